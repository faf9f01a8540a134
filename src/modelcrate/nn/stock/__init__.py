"""Models composed of layers of torch.nn, described as data and built again: no registration is needed for them."""

from __future__ import annotations

from modelcrate.nn.stock.build import TAG, build, build_modules
from modelcrate.nn.stock.describe import describe, described, parts_of
from modelcrate.nn.stock.layer import Parts
from modelcrate.nn.stock.table import BY_CLASS, BY_PATH, LAYERS

__all__ = [
    "BY_CLASS",
    "BY_PATH",
    "LAYERS",
    "TAG",
    "Parts",
    "build",
    "build_modules",
    "describe",
    "described",
    "parts_of",
]
