"""Convolutions, transposed ones, and padding."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from torch import nn

from modelcrate.nn.stock.kinds import Real, Several, Whole, Word, WordOr, sizes
from modelcrate.nn.stock.layer import Config, Field, Layer, layer
from modelcrate.nn.stock.shaping import BIAS, COUNT

_MARGIN = Whole(minimum=-(2**31))
"""Negative padding crops."""
_PADDING_MODES = Word(choices=("zeros", "reflect", "replicate", "circular"))


def _convolution(tag: str, cls: type[nn.Module], count: int, *, transposed: bool = False) -> Layer:
    def cost(config: Config) -> tuple[int, int]:
        kernel = config["kernel_size"]
        volume = math.prod(kernel) if isinstance(kernel, tuple) else kernel**count
        return config["in_channels"] * config["out_channels"] * volume + config["out_channels"], 2

    fields: dict[str, Any] = {
        "in_channels": COUNT,
        "out_channels": COUNT,
        "kernel_size": sizes(count, minimum=1),
        "stride": sizes(count, minimum=1),
        "padding": sizes(count),
        "dilation": sizes(count, minimum=1),
        "groups": COUNT,
        "bias": BIAS,
        "padding_mode": Field(_PADDING_MODES, absent="zeros"),
    }
    if transposed:
        fields["output_padding"] = sizes(count)
    else:
        fields["padding"] = WordOr(word=Word(choices=("same", "valid")), other=sizes(count))
    return layer(tag, cls, cost=cost, **fields)


def _paddings() -> Iterator[Layer]:
    families: tuple[tuple[str, tuple[type[nn.Module], ...], dict[str, Any]], ...] = (
        ("zero", (nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d), {}),
        ("constant", (nn.ConstantPad1d, nn.ConstantPad2d, nn.ConstantPad3d), {"value": Real(finite=False)}),
        ("circular", (nn.CircularPad1d, nn.CircularPad2d, nn.CircularPad3d), {}),
        ("reflection", (nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReflectionPad3d), {}),
        ("replication", (nn.ReplicationPad1d, nn.ReplicationPad2d, nn.ReplicationPad3d), {}),
    )
    for name, classes, more in families:
        for count, cls in enumerate(classes, start=1):
            padding = Several(item=_MARGIN, shortest=2 * count, longest=2 * count, scalar=True)
            yield layer(f"{name}_pad{count}d", cls, padding=padding, **more)


LAYERS: tuple[Layer, ...] = (
    _convolution("conv1d", nn.Conv1d, 1),
    _convolution("conv2d", nn.Conv2d, 2),
    _convolution("conv3d", nn.Conv3d, 3),
    _convolution("conv_transpose1d", nn.ConvTranspose1d, 1, transposed=True),
    _convolution("conv_transpose2d", nn.ConvTranspose2d, 2, transposed=True),
    _convolution("conv_transpose3d", nn.ConvTranspose3d, 3, transposed=True),
    *_paddings(),
)
