"""Pooling layers: none of them holds a weight."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from modelcrate.nn.stock.kinds import Flag, Real, Several, Whole, sizes
from modelcrate.nn.stock.layer import Field, Layer, layer

_FLAG = Flag()
_SHARE = Real(minimum=0, maximum=1, above=True)


def _window(count: int, *, dilated: bool = False) -> dict[str, Any]:
    """Kernel, stride (null: the kernel's) and padding of a window over ``count`` dimensions."""
    fields: dict[str, Any] = {
        "kernel_size": sizes(count, minimum=1),
        "stride": sizes(count, minimum=1, optional=True),
        "padding": sizes(count),
    }
    if dilated:
        fields["dilation"] = sizes(count, minimum=1)
    return fields


def _pools(count: int) -> Iterator[Layer]:
    at = count - 1
    divisor: dict[str, Any] = (
        {} if count == 1 else {"divisor_override": Field(Whole(minimum=-(2**31), optional=True), absent=None)}
    )
    rest: dict[str, Any] = {"ceil_mode": _FLAG}
    yield layer(
        f"max_pool{count}d",
        (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[at],
        **_window(count, dilated=True),
        **rest,
        return_indices=_FLAG,
    )
    yield layer(
        f"avg_pool{count}d",
        (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)[at],
        **_window(count),
        **rest,
        count_include_pad=_FLAG,
        **divisor,
    )
    yield layer(f"max_unpool{count}d", (nn.MaxUnpool1d, nn.MaxUnpool2d, nn.MaxUnpool3d)[at], **_window(count))
    window = _window(count)
    del window["padding"]
    # LPPool3d came with torch 2.3
    yield layer(
        f"lp_pool{count}d",
        (nn.LPPool1d, nn.LPPool2d, nn.LPPool3d)[at],
        norm_type=Real(finite=False),
        **window,
        **rest,
    )
    output = Several(item=Whole(minimum=0, optional=True), shortest=1, longest=count, scalar=True)
    yield layer(
        f"adaptive_avg_pool{count}d",
        (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)[at],
        output_size=output,
    )
    yield layer(
        f"adaptive_max_pool{count}d",
        (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d)[at],
        output_size=output,
        return_indices=_FLAG,
    )


def _fractional(count: int, cls: type[nn.Module]) -> Layer:
    return layer(
        f"fractional_max_pool{count}d",
        cls,
        kernel_size=sizes(count, minimum=1),
        output_size=sizes(count, minimum=1, optional=True),
        output_ratio=Several(item=_SHARE, shortest=1, longest=count, scalar=True, optional=True),
        return_indices=_FLAG,
    )


LAYERS: tuple[Layer, ...] = (
    *_pools(1),
    *_pools(2),
    *_pools(3),
    _fractional(2, nn.FractionalMaxPool2d),
    _fractional(3, nn.FractionalMaxPool3d),
)
