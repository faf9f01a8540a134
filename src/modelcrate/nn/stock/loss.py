"""Losses. Class weights are buffers, and stand with the other tensors."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from modelcrate.nn.stock.kinds import Flag, Nothing, Real, Several, Whole, Word
from modelcrate.nn.stock.layer import Children, Config, Field, Layer, layer
from modelcrate.nn.stock.shaping import COUNT, FLAG

_REDUCTION = Word(choices=("none", "mean", "sum"))
_LABEL = Whole(minimum=-(2**63), maximum=2**63 - 1)
_SMOOTHING = Field(Real(minimum=0, maximum=1), absent=0.0)


def _adaptive_cost(config: Config) -> tuple[int, int]:
    clusters = len(config["cutoffs"])
    return 2 * config["in_features"] * (config["n_classes"] + clusters + 1) + config["n_classes"], 2 + 2 * clusters


def _make_adaptive(config: Config, children: Children) -> nn.Module:
    return nn.AdaptiveLogSoftmaxWithLoss(**{**config, "cutoffs": list(config["cutoffs"])})


def _adaptive_cutoffs(parts: Any) -> object:
    cutoffs = parts.attributes.get("cutoffs")
    return cutoffs[:-1] if isinstance(cutoffs, list) else None  # the layer appends n_classes itself


def _reduced(tag: str, cls: type[nn.Module], **fields: Any) -> Layer:
    return layer(tag, cls, **fields, reduction=_REDUCTION)


def _newer() -> tuple[Layer, ...]:
    """Losses that came after the oldest torch that is supported."""
    if not hasattr(nn, "LinearCrossEntropyLoss"):
        return ()
    fused = nn.LinearCrossEntropyLoss

    def cost(config: Config) -> tuple[int, int]:
        return config["num_classes"] * math.prod(config["out_features"]), 1

    def make(config: Config, children: Children) -> nn.Module:
        return fused(1, **config)  # its linear map gives way to the tree's own child

    entry = layer(
        "linear_cross_entropy_loss",
        fused,
        needs=("linear",),
        cost=cost,
        make=make,
        num_classes=COUNT,
        out_features=Several(item=COUNT, shortest=0, longest=8),
        ignore_index=Whole(minimum=-(2**63), maximum=2**63 - 1, optional=True),
        label_smoothing=_SMOOTHING,
        reduction=_REDUCTION,
        options=Nothing(),
    )
    return (entry,)


LAYERS: tuple[Layer, ...] = (
    _reduced("l1_loss", nn.L1Loss),
    _reduced("mse_loss", nn.MSELoss),
    _reduced("smooth_l1_loss", nn.SmoothL1Loss, beta=Field(Real(minimum=0), absent=1.0)),
    _reduced("huber_loss", nn.HuberLoss, delta=Real(minimum=0, above=True)),
    _reduced("bce_loss", nn.BCELoss),
    _reduced("bce_with_logits_loss", nn.BCEWithLogitsLoss),
    _reduced("nll_loss", nn.NLLLoss, ignore_index=_LABEL),
    _reduced("nll_loss2d", nn.NLLLoss2d, ignore_index=_LABEL),
    _reduced("cross_entropy_loss", nn.CrossEntropyLoss, ignore_index=_LABEL, label_smoothing=_SMOOTHING),
    _reduced("poisson_nll_loss", nn.PoissonNLLLoss, log_input=FLAG, full=FLAG, eps=Real(minimum=0)),
    _reduced("gaussian_nll_loss", nn.GaussianNLLLoss, full=FLAG, eps=Real(minimum=0, above=True)),
    _reduced("kl_div_loss", nn.KLDivLoss, log_target=Field(Flag(), absent=False)),
    _reduced("ctc_loss", nn.CTCLoss, blank=_LABEL, zero_infinity=FLAG),
    _reduced("hinge_embedding_loss", nn.HingeEmbeddingLoss, margin=Real()),
    _reduced("cosine_embedding_loss", nn.CosineEmbeddingLoss, margin=Real()),
    _reduced("margin_ranking_loss", nn.MarginRankingLoss, margin=Real()),
    _reduced("soft_margin_loss", nn.SoftMarginLoss),
    _reduced("multi_margin_loss", nn.MultiMarginLoss, p=Whole(minimum=1, maximum=2), margin=Real()),
    _reduced("multi_label_margin_loss", nn.MultiLabelMarginLoss),
    _reduced("multi_label_soft_margin_loss", nn.MultiLabelSoftMarginLoss),
    _reduced(
        "triplet_margin_loss",
        nn.TripletMarginLoss,
        margin=Real(minimum=0, above=True),
        p=Real(finite=False),
        eps=Real(minimum=0),
        swap=FLAG,
    ),
    _reduced(
        "triplet_margin_with_distance_loss",
        nn.TripletMarginWithDistanceLoss,
        needs=("distance_function",),  # a plain function has no name here; a module is a child
        margin=Real(minimum=0, above=True),
        swap=FLAG,
    ),
    layer(
        "adaptive_log_softmax_with_loss",
        nn.AdaptiveLogSoftmaxWithLoss,
        needs=("head", "tail"),
        cost=_adaptive_cost,
        make=_make_adaptive,
        in_features=COUNT,
        n_classes=COUNT,
        cutoffs=Field(Several(item=COUNT, shortest=1, longest=1024), _adaptive_cutoffs),
        div_value=Real(minimum=0, above=True),
        head_bias=FLAG,
    ),
    *_newer(),
)
