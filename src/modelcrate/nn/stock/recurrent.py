"""Recurrent layers and their cells."""

from __future__ import annotations

from typing import Any

from torch import nn

from modelcrate.nn.stock.kinds import Real, Whole, Word
from modelcrate.nn.stock.layer import Config, Field, Layer, Parts, layer
from modelcrate.nn.stock.shaping import COUNT, FLAG

_NONLINEARITY = Word(choices=("tanh", "relu"))
_MODES = ("RNN_TANH", "RNN_RELU", "LSTM", "GRU")
_STACK = 4096
"""Layers in one recurrent stack: each makes several tensors, whatever their size."""

_STACKED: dict[str, Any] = {
    "input_size": COUNT,
    "hidden_size": COUNT,
    "num_layers": Whole(minimum=1, maximum=_STACK),
    "bias": FLAG,
    "batch_first": FLAG,
    "dropout": Real(minimum=0, maximum=1),
    "bidirectional": FLAG,
}
_PROJECTION = Field(Whole(), absent=0)
_CELL: dict[str, Any] = {"input_size": COUNT, "hidden_size": COUNT, "bias": FLAG}


def _stack_cost(config: Config) -> tuple[int, int]:
    directions = 2 if config["bidirectional"] else 1
    hidden, projection = config["hidden_size"], config.get("proj_size", 0)
    widest = max(config["input_size"], hidden * directions)
    one = 4 * hidden * (widest + hidden + 2) + projection * hidden
    return config["num_layers"] * directions * one, 5 * config["num_layers"] * directions


def _cell_cost(config: Config) -> tuple[int, int]:
    gates = config.get("num_chunks", 4) * config["hidden_size"]
    return gates * (config["input_size"] + config["hidden_size"] + 2), 4


def _chunks(parts: Parts) -> object:
    weight, hidden = parts.parameters.get("weight_ih"), parts.attributes.get("hidden_size")
    if not weight or type(hidden) is not int or hidden < 1:
        return None  # refused by the field's kind
    return weight[0] // hidden


def _nonlinearity(parts: Parts) -> object:
    mode = parts.attributes.get("mode")
    return "relu" if mode == "RNN_RELU" else "tanh" if mode == "RNN_TANH" else mode


LAYERS: tuple[Layer, ...] = (
    layer("rnn", nn.RNN, cost=_stack_cost, **_STACKED, nonlinearity=Field(_NONLINEARITY, _nonlinearity)),
    layer("lstm", nn.LSTM, cost=_stack_cost, **_STACKED, proj_size=_PROJECTION),
    layer("gru", nn.GRU, cost=_stack_cost, **_STACKED),
    layer("rnn_base", nn.RNNBase, cost=_stack_cost, mode=Word(choices=_MODES), **_STACKED, proj_size=_PROJECTION),
    layer("rnn_cell", nn.RNNCell, cost=_cell_cost, **_CELL, nonlinearity=_NONLINEARITY),
    layer("lstm_cell", nn.LSTMCell, cost=_cell_cost, **_CELL),
    layer("gru_cell", nn.GRUCell, cost=_cell_cost, **_CELL),
    layer(
        "rnn_cell_base",
        nn.RNNCellBase,
        cost=_cell_cost,
        **_CELL,
        num_chunks=Field(Whole(minimum=1, maximum=64), _chunks),
    ),
)
