"""modelcrate: trained models kept as data, never as code."""
