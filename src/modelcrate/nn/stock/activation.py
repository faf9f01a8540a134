"""Activations."""

from __future__ import annotations

from torch import nn

from modelcrate.nn.stock.kinds import Real, Whole, Word
from modelcrate.nn.stock.layer import Config, Field, Layer, layer
from modelcrate.nn.stock.shaping import AXIS, COUNT, FLAG

_INPLACE = Field(FLAG, absent=False)
_BOUND = Real(finite=False)
_DIM = Field(Whole(minimum=-64, maximum=64, optional=True), absent=None)


def _prelu_cost(config: Config) -> tuple[int, int]:
    return config["num_parameters"], 1


LAYERS: tuple[Layer, ...] = (
    layer("relu", nn.ReLU, inplace=_INPLACE),
    layer("relu6", nn.ReLU6, inplace=_INPLACE),
    layer("leaky_relu", nn.LeakyReLU, negative_slope=Real(), inplace=_INPLACE),
    layer("rrelu", nn.RReLU, lower=Real(), upper=Real(), inplace=_INPLACE),
    layer("prelu", nn.PReLU, cost=_prelu_cost, num_parameters=COUNT, init=Field(Real(), absent=0.25)),
    layer("elu", nn.ELU, alpha=Real(), inplace=_INPLACE),
    layer("celu", nn.CELU, alpha=Real(), inplace=_INPLACE),
    layer("selu", nn.SELU, inplace=_INPLACE),
    layer("gelu", nn.GELU, approximate=Field(Word(choices=("none", "tanh")), absent="none")),
    layer("glu", nn.GLU, dim=AXIS),
    layer("silu", nn.SiLU, inplace=_INPLACE),
    layer("mish", nn.Mish, inplace=_INPLACE),
    layer("sigmoid", nn.Sigmoid),
    layer("log_sigmoid", nn.LogSigmoid),
    layer("tanh", nn.Tanh),
    layer("tanhshrink", nn.Tanhshrink),
    layer("hardshrink", nn.Hardshrink, lambd=Real()),
    layer("softshrink", nn.Softshrink, lambd=Real()),
    layer("hardsigmoid", nn.Hardsigmoid, inplace=_INPLACE),
    layer("hardswish", nn.Hardswish, inplace=_INPLACE),
    layer("hardtanh", nn.Hardtanh, min_val=_BOUND, max_val=_BOUND, inplace=_INPLACE),
    layer("threshold", nn.Threshold, threshold=_BOUND, value=_BOUND, inplace=_INPLACE),
    layer("softplus", nn.Softplus, beta=Real(), threshold=Real()),
    layer("softsign", nn.Softsign),
    layer("softmax", nn.Softmax, dim=_DIM),
    layer("softmax2d", nn.Softmax2d),
    layer("softmin", nn.Softmin, dim=_DIM),
    layer("log_softmax", nn.LogSoftmax, dim=_DIM),
)
