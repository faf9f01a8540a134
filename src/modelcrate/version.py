"""The version of this library; the version of the format lives in :mod:`modelcrate.format.version`."""

__version__ = "0.1.0"
