"""Time series: their variables, the frames that they stand in, and the sampler of examples."""
