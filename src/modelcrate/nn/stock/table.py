"""The table of stock layers: a literal map from tag to entry. Nothing else is looked up."""

from __future__ import annotations

from torch import nn

from modelcrate.nn.stock import (
    activation,
    attention,
    container,
    convolution,
    loss,
    normalisation,
    pooling,
    recurrent,
    shaping,
)
from modelcrate.nn.stock.layer import Layer

_ALL: tuple[Layer, ...] = (
    *container.LAYERS,
    *shaping.LAYERS,
    *convolution.LAYERS,
    *pooling.LAYERS,
    *normalisation.LAYERS,
    *activation.LAYERS,
    *recurrent.LAYERS,
    *attention.LAYERS,
    *loss.LAYERS,
)

LAYERS: dict[str, Layer] = {entry.tag: entry for entry in _ALL}
"""Every stock layer by its tag."""

BY_CLASS: dict[type[nn.Module], Layer] = {entry.cls: entry for entry in _ALL}
"""Every stock layer by its class; a subclass is not the class."""

BY_PATH: dict[str, Layer] = {f"{entry.cls.__module__}.{entry.cls.__qualname__}": entry for entry in _ALL}
"""Every stock layer by the dotted name that a pickle gives it, for readers of pickles; nothing is imported by it."""
