"""Linear maps, embeddings, distances, and the layers that only move elements around."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from modelcrate.nn.stock.kinds import Flag, Real, Several, Whole, Word, sizes
from modelcrate.nn.stock.layer import Children, Config, Field, Layer, layer

COUNT = Whole(minimum=1)
COUNT_OR_NONE_AT_ALL = Whole(minimum=0)
AXIS = Whole(minimum=-64, maximum=64)
BIAS = Field(Flag(), lambda parts: parts.has("bias"))
FLAG = Flag()
RATIO = Real(minimum=0, above=True)


def _linear_cost(config: Config) -> tuple[int, int]:
    return config["in_features"] * config["out_features"] + config["out_features"], 2


def _bilinear_cost(config: Config) -> tuple[int, int]:
    return config["out_features"] * (config["in1_features"] * config["in2_features"] + 1), 2


def _embedding_cost(config: Config) -> tuple[int, int]:
    return config["num_embeddings"] * config["embedding_dim"], 1


def _make_embedding(cls: type[nn.Module]) -> Callable[[Config, Children], nn.Module]:
    def make(config: Config, children: Children) -> nn.Module:
        if torch.get_default_device().type != "meta":
            return cls(**config)
        # Drawing normal numbers on the meta device imports hundreds of modules of torch, and takes seconds.
        return cls(**config, _weight=torch.empty(config["num_embeddings"], config["embedding_dim"]))

    return make


_EMBEDDING: dict[str, Any] = {
    "num_embeddings": COUNT,
    "embedding_dim": COUNT,
    "padding_idx": Field(Whole(optional=True), absent=None),
    "max_norm": Real(minimum=0, optional=True),
    "norm_type": Real(finite=False),
    "scale_grad_by_freq": FLAG,
    "sparse": FLAG,
}
_MODES = ("nearest", "linear", "bilinear", "bicubic", "trilinear", "area", "nearest-exact")
_UPSAMPLED: dict[str, Any] = {
    "size": sizes(3, minimum=1, optional=True),
    "scale_factor": Several(item=RATIO, shortest=1, longest=3, scalar=True, optional=True),
}
_FOLDING: dict[str, Any] = {"kernel_size": sizes(2, minimum=1), "dilation": sizes(2, minimum=1), "padding": sizes(2)}

LAYERS: tuple[Layer, ...] = (
    layer("identity", nn.Identity),
    layer(
        "linear",
        nn.Linear,
        cost=_linear_cost,
        in_features=COUNT_OR_NONE_AT_ALL,
        out_features=COUNT_OR_NONE_AT_ALL,
        bias=BIAS,
    ),
    layer(
        "linear.non_dynamically_quantizable",  # the output projection of MultiheadAttention is of this class
        nn.modules.linear.NonDynamicallyQuantizableLinear,
        cost=_linear_cost,
        in_features=COUNT_OR_NONE_AT_ALL,
        out_features=COUNT_OR_NONE_AT_ALL,
        bias=BIAS,
    ),
    layer(
        "bilinear",
        nn.Bilinear,
        cost=_bilinear_cost,
        in1_features=COUNT,
        in2_features=COUNT_OR_NONE_AT_ALL,
        out_features=COUNT_OR_NONE_AT_ALL,
        bias=BIAS,
    ),
    layer("embedding", nn.Embedding, cost=_embedding_cost, make=_make_embedding(nn.Embedding), **_EMBEDDING),
    layer(
        "embedding_bag",
        nn.EmbeddingBag,
        cost=_embedding_cost,
        make=_make_embedding(nn.EmbeddingBag),
        **_EMBEDDING,
        mode=Word(choices=("sum", "mean", "max")),
        include_last_offset=Field(FLAG, absent=False),
    ),
    layer("cosine_similarity", nn.CosineSimilarity, dim=AXIS, eps=Real(minimum=0)),
    layer(
        "pairwise_distance",
        nn.PairwiseDistance,
        p=Field(Real(finite=False), "norm"),
        eps=Real(minimum=0),
        keepdim=FLAG,
    ),
    layer("flatten", nn.Flatten, start_dim=AXIS, end_dim=AXIS),
    layer(
        "unflatten",
        nn.Unflatten,
        dim=AXIS,
        unflattened_size=Several(item=Whole(minimum=-1), shortest=1, longest=64),
    ),
    layer("fold", nn.Fold, output_size=sizes(2, minimum=1), **_FOLDING, stride=sizes(2, minimum=1)),
    layer("unfold", nn.Unfold, **_FOLDING, stride=sizes(2, minimum=1)),
    layer("channel_shuffle", nn.ChannelShuffle, groups=COUNT),
    layer("pixel_shuffle", nn.PixelShuffle, upscale_factor=COUNT),
    layer("pixel_unshuffle", nn.PixelUnshuffle, downscale_factor=COUNT),
    layer(
        "upsample",
        nn.Upsample,
        **_UPSAMPLED,
        mode=Word(choices=_MODES),
        align_corners=Flag(optional=True),
        recompute_scale_factor=Field(Flag(optional=True), absent=None),
    ),
    layer("upsampling_bilinear2d", nn.UpsamplingBilinear2d, **_UPSAMPLED),
    layer("upsampling_nearest2d", nn.UpsamplingNearest2d, **_UPSAMPLED),
)
