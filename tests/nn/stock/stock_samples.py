"""A constructor call and an input for every layer that torch.nn exports; what has none is listed with the reason."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

NO_FORWARD = {
    "Module": "a bare holder of children computes nothing",
    "Container": "a bare holder of children computes nothing",
    "ModuleList": "a list computes nothing",
    "ModuleDict": "a map computes nothing",
    "ParameterList": "a list computes nothing",
    "ParameterDict": "a map computes nothing",
    "RNNBase": "the base of RNN, LSTM and GRU, whose forward picks its kernel by the subclass",
    "RNNCellBase": "the base of the cells computes nothing",
}
"""Layers that round-trip in config and weights and have no output to compare."""

NOT_KEPT = {
    "LinearCrossEntropyOptions": "not a module",
    **{
        f"Lazy{name}": "has no weights before its first run; after that it is the plain layer, which is kept"
        for name in (
            *(
                f"{kind}{count}d"
                for kind in ("BatchNorm", "Conv", "ConvTranspose", "InstanceNorm")
                for count in (1, 2, 3)
            ),
            "Linear",
        )
    },
}

TRAINS_ON_CUDA_ONLY = {"SyncBatchNorm": "synchronises over CUDA devices when it trains"}


def _x(*shape: int) -> torch.Tensor:
    return torch.randn(*shape)


def _probability(*shape: int) -> torch.Tensor:
    return torch.rand(*shape) * 0.9 + 0.05


def _labels(high: int, *shape: int) -> torch.Tensor:
    return torch.randint(0, high, shape)


def _signs(*shape: int) -> torch.Tensor:
    return torch.randint(0, 2, shape).float() * 2 - 1


Make = Callable[[], nn.Module]
Inputs = Callable[[], tuple[Any, ...]]


def _unpool(count: int) -> tuple[Make, Inputs]:
    shape = (2, 3, *[4] * count)

    def inputs() -> tuple[Any, ...]:
        pool = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[count - 1]
        return pool(2, return_indices=True)(_x(*shape))

    return lambda: getattr(nn, f"MaxUnpool{count}d")(2), inputs


SAMPLES: dict[str, list[tuple[Make, Inputs]]] = {
    "Identity": [(nn.Identity, lambda: (_x(2, 3),))],
    "Linear": [
        (lambda: nn.Linear(3, 4), lambda: (_x(2, 3),)),
        (lambda: nn.Linear(3, 4, bias=False, dtype=torch.float64), lambda: (_x(2, 3).double(),)),
        (lambda: nn.Linear(3, 4, dtype=torch.complex64), lambda: (_x(2, 3).to(torch.complex64),)),
    ],
    "Bilinear": [(lambda: nn.Bilinear(3, 4, 5, bias=False), lambda: (_x(2, 3), _x(2, 4)))],
    "Embedding": [
        (lambda: nn.Embedding(7, 3, padding_idx=-1, max_norm=1.0), lambda: (_labels(7, 2, 3),)),
        (
            lambda: nn.Embedding(7, 3, scale_grad_by_freq=True, sparse=True, norm_type=float("inf")),
            lambda: (_labels(7, 4),),
        ),
    ],
    "EmbeddingBag": [
        (lambda: nn.EmbeddingBag(7, 3, mode="sum", padding_idx=2), lambda: (_labels(7, 2, 3),)),
        (
            lambda: nn.EmbeddingBag(7, 3, mode="max", include_last_offset=True),
            lambda: (_labels(7, 4), torch.tensor([0, 2, 4])),
        ),
    ],
    "CosineSimilarity": [(lambda: nn.CosineSimilarity(0, 1e-3), lambda: (_x(4, 3), _x(4, 3)))],
    "PairwiseDistance": [(lambda: nn.PairwiseDistance(1.5, 1e-3, True), lambda: (_x(4, 3), _x(4, 3)))],
    "Flatten": [(lambda: nn.Flatten(0, -2), lambda: (_x(2, 3, 4),))],
    "Unflatten": [(lambda: nn.Unflatten(1, (2, -1)), lambda: (_x(2, 6),))],
    "Fold": [(lambda: nn.Fold((4, 5), 2, stride=(1, 2), padding=1), lambda: (_x(1, 12, 15),))],
    "Unfold": [(lambda: nn.Unfold((2, 3), dilation=1, padding=(1, 0), stride=2), lambda: (_x(1, 2, 5, 6),))],
    "ChannelShuffle": [(lambda: nn.ChannelShuffle(2), lambda: (_x(1, 4, 2, 2),))],
    "PixelShuffle": [(lambda: nn.PixelShuffle(2), lambda: (_x(1, 8, 2, 2),))],
    "PixelUnshuffle": [(lambda: nn.PixelUnshuffle(2), lambda: (_x(1, 2, 4, 4),))],
    "Upsample": [
        (lambda: nn.Upsample(scale_factor=(2, 1.5), mode="bilinear", align_corners=True), lambda: (_x(1, 2, 4, 4),)),
        (lambda: nn.Upsample(size=7, mode="nearest"), lambda: (_x(1, 2, 4),)),
        (lambda: nn.Upsample(scale_factor=1.7, recompute_scale_factor=True), lambda: (_x(1, 2, 4),)),
    ],
    "UpsamplingBilinear2d": [(lambda: nn.UpsamplingBilinear2d(scale_factor=2), lambda: (_x(1, 2, 3, 3),))],
    "UpsamplingNearest2d": [(lambda: nn.UpsamplingNearest2d((5, 6)), lambda: (_x(1, 2, 3, 3),))],
    "MaxUnpool1d": [_unpool(1)],
    "MaxUnpool2d": [_unpool(2)],
    "MaxUnpool3d": [_unpool(3)],
    "FractionalMaxPool2d": [
        (lambda: nn.FractionalMaxPool2d(2, output_size=(3, 2)), lambda: (_x(1, 2, 6, 6),)),
        (
            lambda: nn.FractionalMaxPool2d(2, output_ratio=0.5, _random_samples=torch.rand(1, 2, 2)),
            lambda: (_x(1, 2, 6, 6),),
        ),
    ],
    "FractionalMaxPool3d": [
        (lambda: nn.FractionalMaxPool3d(2, output_ratio=(0.5, 0.6, 0.5)), lambda: (_x(1, 2, 6, 6, 6),))
    ],
    "GroupNorm": [
        (lambda: nn.GroupNorm(2, 4, eps=1e-3), lambda: (_x(2, 4, 3),)),
        (lambda: nn.GroupNorm(2, 4, affine=False), lambda: (_x(2, 4, 3),)),
    ],
    "LayerNorm": [
        (lambda: nn.LayerNorm((3, 4), bias=False), lambda: (_x(2, 3, 4),)),
        (lambda: nn.LayerNorm(4, elementwise_affine=False), lambda: (_x(2, 3, 4),)),
    ],
    "RMSNorm": [
        (lambda: nn.RMSNorm((3, 4), eps=1e-4), lambda: (_x(2, 3, 4),)),
        (lambda: nn.RMSNorm(4), lambda: (_x(2, 4),)),
    ],
    "LocalResponseNorm": [(lambda: nn.LocalResponseNorm(2, alpha=0.1, beta=1, k=2), lambda: (_x(2, 4, 3),))],
    "CrossMapLRN2d": [(lambda: nn.CrossMapLRN2d(2, alpha=0.1), lambda: (_x(2, 4, 3, 3),))],
    "SyncBatchNorm": [(lambda: nn.SyncBatchNorm(3), lambda: (_x(2, 3, 4),))],
    "LeakyReLU": [(lambda: nn.LeakyReLU(1, inplace=True), lambda: (_x(2, 3),))],
    "RReLU": [(lambda: nn.RReLU(0.1, 0.2), lambda: (_x(2, 3),))],
    "PReLU": [(lambda: nn.PReLU(3, 0.5), lambda: (_x(2, 3),))],
    "ELU": [(lambda: nn.ELU(0.5), lambda: (_x(2, 3),))],
    "CELU": [(lambda: nn.CELU(0.5), lambda: (_x(2, 3),))],
    "GELU": [(lambda: nn.GELU("tanh"), lambda: (_x(2, 3),))],
    "GLU": [(lambda: nn.GLU(0), lambda: (_x(2, 3),))],
    "Hardshrink": [(lambda: nn.Hardshrink(0.3), lambda: (_x(2, 3),))],
    "Softshrink": [(lambda: nn.Softshrink(0.3), lambda: (_x(2, 3),))],
    "Hardtanh": [(lambda: nn.Hardtanh(-0.5, float("inf")), lambda: (_x(2, 3),))],
    "Threshold": [(lambda: nn.Threshold(0.1, float("-inf")), lambda: (_x(2, 3),))],
    "Softplus": [(lambda: nn.Softplus(2, 5), lambda: (_x(2, 3),))],
    "Softmax": [(lambda: nn.Softmax(-1), lambda: (_x(2, 3),))],
    "Softmin": [(lambda: nn.Softmin(0), lambda: (_x(2, 3),))],
    "LogSoftmax": [(lambda: nn.LogSoftmax(1), lambda: (_x(2, 3),))],
    "Softmax2d": [(nn.Softmax2d, lambda: (_x(1, 2, 3, 3),))],
    "RNN": [
        (lambda: nn.RNN(3, 4, 2, nonlinearity="relu", bidirectional=True), lambda: (_x(5, 2, 3),)),
        (lambda: nn.RNN(3, 4, bias=False), lambda: (_x(5, 2, 3),)),
    ],
    "LSTM": [
        (lambda: nn.LSTM(3, 4, 2, dropout=0.25, batch_first=True, proj_size=2), lambda: (_x(5, 2, 3),)),
        (lambda: nn.LSTM(3, 4, dtype=torch.float64), lambda: (_x(5, 2, 3).double(),)),
    ],
    "GRU": [(lambda: nn.GRU(3, 4, 2, dropout=0.25), lambda: (_x(5, 2, 3),))],
    "RNNBase": [(lambda: nn.RNNBase("GRU", 3, 4), tuple)],
    "RNNCell": [(lambda: nn.RNNCell(3, 4, nonlinearity="relu"), lambda: (_x(2, 3),))],
    "LSTMCell": [(lambda: nn.LSTMCell(3, 4, bias=False), lambda: (_x(2, 3),))],
    "GRUCell": [(lambda: nn.GRUCell(3, 4), lambda: (_x(2, 3),))],
    "RNNCellBase": [(lambda: nn.RNNCellBase(3, 4, True, 3), tuple)],
    "MultiheadAttention": [
        (lambda: nn.MultiheadAttention(4, 2, 0.1, batch_first=True), lambda: (_x(2, 3, 4),) * 3),
        (
            lambda: nn.MultiheadAttention(4, 2, bias=False, add_bias_kv=True, add_zero_attn=True, kdim=3, vdim=5),
            lambda: (_x(3, 2, 4), _x(3, 2, 3), _x(3, 2, 5)),
        ),
    ],
    "TransformerEncoderLayer": [
        (lambda: nn.TransformerEncoderLayer(4, 2, 8, activation="gelu", batch_first=True), lambda: (_x(2, 3, 4),)),
        (lambda: nn.TransformerEncoderLayer(4, 2, 8, activation=nn.SiLU(), norm_first=True), lambda: (_x(2, 3, 4),)),
    ],
    "TransformerDecoderLayer": [
        (lambda: nn.TransformerDecoderLayer(4, 2, 8, 0.2, torch.tanh, bias=False), lambda: (_x(2, 3, 4), _x(2, 3, 4)))
    ],
    "TransformerEncoder": [
        (
            lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 2, nn.LayerNorm(4)),
            lambda: (_x(2, 3, 4),),
        ),
        (
            lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 1, 8), 1, mask_check=False),
            lambda: (_x(2, 3, 4),),
        ),
    ],
    "TransformerDecoder": [
        (
            lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8), 2, nn.RMSNorm(4)),
            lambda: (_x(2, 3, 4), _x(2, 3, 4)),
        )
    ],
    "Transformer": [
        (lambda: nn.Transformer(4, 2, 1, 2, 8, batch_first=True), lambda: (_x(2, 3, 4), _x(2, 3, 4))),
    ],
    "Sequential": [(lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), lambda: (_x(2, 3),))],
    "ModuleList": [(lambda: nn.ModuleList([nn.Linear(3, 4), nn.ReLU()]), tuple)],
    "ModuleDict": [(lambda: nn.ModuleDict({"z": nn.Linear(3, 4), "größe a": nn.ReLU()}), tuple)],
    "Module": [(nn.Module, tuple)],
    "Container": [(lambda: nn.Container(one=nn.Linear(2, 2)), tuple)],
    "ParameterList": [(lambda: nn.ParameterList([_x(2), _x(2, 3).half(), torch.tensor(1.5)]), tuple)],
    "ParameterDict": [(lambda: nn.ParameterDict({"b": _x(2), "a": _x(0, 3)}), tuple)],
    "BCELoss": [(lambda: nn.BCELoss(torch.rand(3)), lambda: (_probability(2, 3), _probability(2, 3)))],
    "BCEWithLogitsLoss": [
        (lambda: nn.BCEWithLogitsLoss(torch.rand(3), pos_weight=torch.rand(3)), lambda: (_x(2, 3), _probability(2, 3)))
    ],
    "NLLLoss": [(lambda: nn.NLLLoss(torch.rand(3), ignore_index=1), lambda: (_x(4, 3), _labels(3, 4)))],
    "NLLLoss2d": [(nn.NLLLoss2d, lambda: (_x(4, 3, 2, 2), _labels(3, 4, 2, 2)))],
    "CrossEntropyLoss": [
        (
            lambda: nn.CrossEntropyLoss(torch.rand(3), label_smoothing=0.1, reduction="sum"),
            lambda: (_x(4, 3), _labels(3, 4)),
        )
    ],
    "PoissonNLLLoss": [(lambda: nn.PoissonNLLLoss(False, True), lambda: (_probability(2, 3), _probability(2, 3)))],
    "GaussianNLLLoss": [(lambda: nn.GaussianNLLLoss(full=True), lambda: (_x(2, 3), _x(2, 3), _probability(2, 3)))],
    "KLDivLoss": [(lambda: nn.KLDivLoss(reduction="sum", log_target=True), lambda: (_x(2, 3), _x(2, 3)))],
    "CTCLoss": [
        (
            lambda: nn.CTCLoss(1, zero_infinity=True),
            lambda: (_x(5, 2, 4).log_softmax(2), _labels(2, 2, 2) + 2, torch.tensor([5, 5]), torch.tensor([2, 2])),
        )
    ],
    "HingeEmbeddingLoss": [(lambda: nn.HingeEmbeddingLoss(0.5), lambda: (_x(4), _signs(4)))],
    "CosineEmbeddingLoss": [(lambda: nn.CosineEmbeddingLoss(0.5), lambda: (_x(4, 3), _x(4, 3), _signs(4)))],
    "MarginRankingLoss": [(lambda: nn.MarginRankingLoss(0.5), lambda: (_x(4), _x(4), _signs(4)))],
    "SoftMarginLoss": [(lambda: nn.SoftMarginLoss(reduction="none"), lambda: (_x(4), _signs(4)))],
    "MultiMarginLoss": [(lambda: nn.MultiMarginLoss(2, 0.5, torch.rand(3)), lambda: (_x(4, 3), _labels(3, 4)))],
    "MultiLabelMarginLoss": [(nn.MultiLabelMarginLoss, lambda: (_x(4, 3), _labels(3, 4, 3)))],
    "MultiLabelSoftMarginLoss": [
        (lambda: nn.MultiLabelSoftMarginLoss(torch.rand(3)), lambda: (_x(4, 3), _labels(2, 4, 3).float()))
    ],
    "TripletMarginLoss": [(lambda: nn.TripletMarginLoss(0.5, 1, swap=True), lambda: (_x(4, 3), _x(4, 3), _x(4, 3)))],
    "TripletMarginWithDistanceLoss": [
        (
            lambda: nn.TripletMarginWithDistanceLoss(distance_function=nn.CosineSimilarity(), swap=True),
            lambda: (_x(4, 3), _x(4, 3), _x(4, 3)),
        )
    ],
    "AdaptiveLogSoftmaxWithLoss": [
        (
            lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 20, [5, 10], div_value=2.0, head_bias=True),
            lambda: (_x(4, 8), _labels(20, 4)),
        )
    ],
    "LinearCrossEntropyLoss": [
        (lambda: nn.LinearCrossEntropyLoss(4, 5, bias=True, label_smoothing=0.1), lambda: (_x(3, 4), _labels(5, 3)))
    ],
}


def _convolution(name: str) -> None:
    count = int(name[-2])
    shape = (2, 4, *[6] * count)
    rest = {} if "Transpose" in name else {"padding": "same"}
    first = {"stride": 2, "padding": 1, "groups": 2, "bias": False, "dilation": 2}
    make = getattr(nn, name)
    SAMPLES[name] = [
        (lambda: make(4, 6, (3,) * count, **first), lambda: (_x(*shape),)),
        (lambda: make(4, 6, 3, **rest), lambda: (_x(*shape),)),
    ]
    if not rest:
        SAMPLES[name].append((lambda: make(4, 6, 3, stride=2, output_padding=1), lambda: (_x(*shape),)))
    else:
        SAMPLES[name].append((lambda: make(4, 6, 3, padding=2, padding_mode="circular"), lambda: (_x(*shape),)))


for _kind in ("Conv", "ConvTranspose"):
    for _count in (1, 2, 3):
        _convolution(f"{_kind}{_count}d")


def _by_dimension(kind: str, *calls: Callable[[type[nn.Module]], nn.Module], channels: int = 2, size: int = 5) -> None:
    for count in (1, 2, 3):
        cls = getattr(nn, f"{kind}{count}d")
        shape = (2, channels, *[size] * count)
        SAMPLES[f"{kind}{count}d"] = [
            (lambda call=call, cls=cls: call(cls), lambda shape=shape: (_x(*shape),)) for call in calls
        ]


_by_dimension("MaxPool", lambda cls: cls(3, 2, 1, ceil_mode=True), lambda cls: cls(2, dilation=2, return_indices=True))
_by_dimension("AvgPool", lambda cls: cls(3, 2, 1, count_include_pad=False), lambda cls: cls(2))
_by_dimension("LPPool", lambda cls: cls(2, 3, ceil_mode=True), lambda cls: cls(4, 2, stride=1))
_by_dimension("AdaptiveAvgPool", lambda cls: cls(2))
_by_dimension("AdaptiveMaxPool", lambda cls: cls(3, return_indices=True))
_by_dimension("ZeroPad", lambda cls: cls(1))
_by_dimension("ConstantPad", lambda cls: cls(2, float("-inf")), lambda cls: cls(-1, 3))
_by_dimension("CircularPad", lambda cls: cls(1))
_by_dimension("ReflectionPad", lambda cls: cls(2))
_by_dimension("ReplicationPad", lambda cls: cls(1))
_by_dimension(
    "BatchNorm",
    lambda cls: cls(2, eps=1e-3, momentum=None),
    lambda cls: cls(2, affine=False, track_running_stats=False),
)
_by_dimension(
    "InstanceNorm", lambda cls: cls(2), lambda cls: cls(2, affine=True, track_running_stats=True, momentum=0.2)
)
_by_dimension("Dropout", lambda cls: cls(0.3))
SAMPLES["AdaptiveAvgPool2d"].append((lambda: nn.AdaptiveAvgPool2d((None, 3)), lambda: (_x(1, 2, 5, 5),)))


def _each(names: str, *shapes: tuple[int, ...], **arguments: Any) -> None:
    for name in names.split():
        cls = getattr(nn, name)
        SAMPLES[name] = [(functools.partial(cls, **arguments), lambda: tuple(_x(*shape) for shape in shapes))]


_each("Dropout AlphaDropout FeatureAlphaDropout", (4, 6, 3), p=0.3, inplace=True)
_each("ReLU ReLU6 SELU SiLU Mish Hardsigmoid Hardswish", (2, 3), inplace=True)
_each("Sigmoid LogSigmoid Tanh Tanhshrink Softsign", (2, 3))
_each("L1Loss MSELoss SmoothL1Loss HuberLoss", (2, 3), (2, 3), reduction="sum")
