"""Models composed of layers of torch.nn, described as data and built again: no registration is needed for them."""

from __future__ import annotations

from modelcrate.nn.stock.build import build
from modelcrate.nn.stock.describe import describe, parts_of
from modelcrate.nn.stock.layer import Parts
from modelcrate.nn.stock.table import BY_CLASS, BY_PATH, LAYERS

__all__ = ["BY_CLASS", "BY_PATH", "LAYERS", "TAG", "Parts", "build", "describe", "parts_of"]

TAG = "torch.nn/1"
"""The type of a component whose config is a tree of stock layers."""
