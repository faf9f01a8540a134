"""Normalisations and dropouts."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import nn

from modelcrate.nn.stock.kinds import Flag, Real, Several, Whole
from modelcrate.nn.stock.layer import Children, Config, Field, Layer, Parts, layer
from modelcrate.nn.stock.shaping import COUNT, FLAG

_EPS = Real(minimum=0)
_PROBABILITY = Real(minimum=0, maximum=1)


def _bias_beside(switch: str) -> Field:
    """The ``bias`` switch of a layer whose ``switch`` turns weight and bias on together; true where both are off."""

    def read(parts: Parts) -> object:
        return parts.attributes.get(switch) is not True or parts.has("bias")

    return Field(Flag(), read)


def _make(cls: type[nn.Module]) -> Callable[[Config, Children], nn.Module]:
    """Pass ``bias`` only where it is off: older versions of torch know no such argument."""

    def make(config: Config, children: Children) -> nn.Module:
        arguments = dict(config)
        if arguments.pop("bias"):
            return cls(**arguments)
        return cls(**arguments, bias=False)

    return make


def _running(tag: str, cls: type[nn.Module], eps: Real = _EPS) -> Layer:
    def cost(config: Config) -> tuple[int, int]:
        return 4 * config["num_features"] + 1, 5

    return layer(
        tag,
        cls,
        cost=cost,
        make=_make(cls),
        num_features=COUNT,
        eps=eps,
        momentum=Real(optional=True),
        affine=FLAG,
        track_running_stats=FLAG,
        bias=_bias_beside("affine"),
    )


def _group_cost(config: Config) -> tuple[int, int]:
    return 2 * config["num_channels"], 2


def _shape_cost(config: Config) -> tuple[int, int]:
    return 2 * math.prod(config["normalized_shape"]), 2


_SHAPE = Several(item=Whole(), shortest=1, longest=8)
_BATCH_EPS = Real(minimum=0, above=True)

LAYERS: tuple[Layer, ...] = (
    _running("batch_norm1d", nn.BatchNorm1d, _BATCH_EPS),
    _running("batch_norm2d", nn.BatchNorm2d, _BATCH_EPS),
    _running("batch_norm3d", nn.BatchNorm3d, _BATCH_EPS),
    _running("sync_batch_norm", nn.SyncBatchNorm, _BATCH_EPS),
    _running("instance_norm1d", nn.InstanceNorm1d),
    _running("instance_norm2d", nn.InstanceNorm2d),
    _running("instance_norm3d", nn.InstanceNorm3d),
    layer(
        "group_norm",
        nn.GroupNorm,
        cost=_group_cost,
        make=_make(nn.GroupNorm),
        num_groups=COUNT,
        num_channels=COUNT,
        eps=_EPS,
        affine=FLAG,
        bias=_bias_beside("affine"),
    ),
    layer(
        "layer_norm",
        nn.LayerNorm,
        cost=_shape_cost,
        make=_make(nn.LayerNorm),
        normalized_shape=_SHAPE,
        eps=_EPS,
        elementwise_affine=FLAG,
        bias=_bias_beside("elementwise_affine"),
    ),
    layer(
        "rms_norm",
        nn.RMSNorm,
        cost=_shape_cost,
        normalized_shape=_SHAPE,
        eps=Real(minimum=0, optional=True),
        elementwise_affine=FLAG,
    ),
    layer("local_response_norm", nn.LocalResponseNorm, size=COUNT, alpha=Real(), beta=Real(), k=Real()),
    layer("cross_map_lrn2d", nn.CrossMapLRN2d, size=COUNT, alpha=Real(), beta=Real(), k=Real()),
    layer("dropout", nn.Dropout, p=_PROBABILITY, inplace=FLAG),
    layer("dropout1d", nn.Dropout1d, p=_PROBABILITY, inplace=FLAG),
    layer("dropout2d", nn.Dropout2d, p=_PROBABILITY, inplace=FLAG),
    layer("dropout3d", nn.Dropout3d, p=_PROBABILITY, inplace=FLAG),
    layer("alpha_dropout", nn.AlphaDropout, p=_PROBABILITY, inplace=FLAG),
    layer("feature_alpha_dropout", nn.FeatureAlphaDropout, p=_PROBABILITY, inplace=FLAG),
)
