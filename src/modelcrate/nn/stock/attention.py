"""MultiheadAttention and the Transformer family: composites whose parts are children of their own in the tree.

A composite's config holds what is its own (``norm_first``, the activation); widths and dropouts stand at the children
that have them, so an edited Transformer (another norm, a dropped layer) is described as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from modelcrate.errors import FormatError
from modelcrate.nn.stock.kinds import Real, Whole, Word
from modelcrate.nn.stock.layer import Children, Config, Field, Layer, Parts, layer
from modelcrate.nn.stock.shaping import COUNT, FLAG

_FUNCTIONS: dict[str, Callable[..., torch.Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "mish": functional.mish,
    "elu": functional.elu,
    "celu": functional.celu,
    "selu": functional.selu,
    "relu6": functional.relu6,
    "leaky_relu": functional.leaky_relu,
    "softplus": functional.softplus,
    "hardswish": functional.hardswish,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}
"""The activation functions that a Transformer layer may hold, by name; a module is a child of its own instead."""

_AS_CHILD = "child"
_ENCODER_PARTS = ("self_attn", "linear1", "dropout", "linear2", "norm1", "norm2", "dropout1", "dropout2")
_DECODER_PARTS = (*_ENCODER_PARTS, "multihead_attn", "norm3", "dropout3")


def _activation(parts: Parts) -> object:
    if parts.children.get("activation") is not None:
        return _AS_CHILD
    held = parts.attributes.get("activation")
    if type(held) is str:  # what a pickle of an older torch, or a reader of one, knows the function by
        return held
    for name, function in _FUNCTIONS.items():
        if held is function or held is getattr(torch, name, None) or held is getattr(functional, name, None):
            return name
    raise FormatError(
        f"the activation {getattr(held, '__name__', type(held).__name__)!r} is a function that has no name here; "
        "use a module instead (activation=nn.SiLU())",
        where="activation",
    )


_LAYER_FIELDS: dict[str, Any] = {
    "norm_first": Field(FLAG, absent=False),
    "activation": Field(Word(choices=(*_FUNCTIONS, _AS_CHILD)), _activation),
}


def _attention_cost(config: Config) -> tuple[int, int]:
    width = config["embed_dim"]
    return width * (width + (config["kdim"] or width) + (config["vdim"] or width) + 5), 7


def _make_layer(cls: type[nn.Module]) -> Callable[[Config, Children], nn.Module]:
    def make(config: Config, children: Children) -> nn.Module:
        held = children.get("activation")
        if (held is None) == (config["activation"] == _AS_CHILD):
            raise ValueError("the activation is named twice, or not at all")
        activation = held if held is not None else _FUNCTIONS[config["activation"]]
        # The narrowest layer there is: its parts give way to the tree's own children.
        return cls(1, 1, 1, activation=activation, norm_first=config["norm_first"])

    return make


def _make_encoder(config: Config, children: Children) -> nn.Module:
    seed = nn.TransformerEncoderLayer(1, 1, 1)
    # Nested tensors are switched on afterwards: the constructor would judge by the seed, not by the real layers.
    made = nn.TransformerEncoder(
        seed, 0, norm=children.get("norm"), enable_nested_tensor=False, mask_check=config["mask_check"]
    )
    for name in ("num_layers", "enable_nested_tensor", "use_nested_tensor"):
        setattr(made, name, config[name])
    return made


def _make_decoder(config: Config, children: Children) -> nn.Module:
    made = nn.TransformerDecoder(nn.TransformerDecoderLayer(1, 1, 1), 0, norm=children.get("norm"))
    made.num_layers = config["num_layers"]
    return made


def _make_transformer(config: Config, children: Children) -> nn.Module:
    return nn.Transformer(
        config["d_model"],
        config["nhead"],
        custom_encoder=children["encoder"],
        custom_decoder=children["decoder"],
        batch_first=config["batch_first"],
    )


LAYERS: tuple[Layer, ...] = (
    layer(
        "multihead_attention",
        nn.MultiheadAttention,
        needs=("out_proj",),
        cost=_attention_cost,
        embed_dim=COUNT,
        num_heads=COUNT,
        dropout=Real(minimum=0, maximum=1),
        bias=Field(FLAG, lambda parts: parts.has("in_proj_bias")),
        add_bias_kv=Field(FLAG, lambda parts: parts.has("bias_k")),
        add_zero_attn=FLAG,
        kdim=COUNT,
        vdim=COUNT,
        batch_first=Field(FLAG, absent=False),
    ),
    layer(
        "transformer_encoder_layer",
        nn.TransformerEncoderLayer,
        needs=_ENCODER_PARTS,
        make=_make_layer(nn.TransformerEncoderLayer),
        **_LAYER_FIELDS,
    ),
    layer(
        "transformer_decoder_layer",
        nn.TransformerDecoderLayer,
        needs=_DECODER_PARTS,
        make=_make_layer(nn.TransformerDecoderLayer),
        **_LAYER_FIELDS,
    ),
    layer(
        "transformer_encoder",
        nn.TransformerEncoder,
        needs=("layers",),
        make=_make_encoder,
        num_layers=Whole(maximum=65_536),
        enable_nested_tensor=Field(FLAG, absent=False),
        use_nested_tensor=Field(FLAG, absent=False),
        mask_check=Field(FLAG, absent=True),
    ),
    layer(
        "transformer_decoder",
        nn.TransformerDecoder,
        needs=("layers",),
        make=_make_decoder,
        num_layers=Whole(maximum=65_536),
    ),
    layer(
        "transformer",
        nn.Transformer,
        needs=("encoder", "decoder"),
        make=_make_transformer,
        d_model=COUNT,
        nhead=COUNT,
        batch_first=Field(FLAG, absent=False),
    ),
)
