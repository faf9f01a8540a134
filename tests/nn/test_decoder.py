"""The decoder network: its published shape, its parameter names, its bounds."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from modelcrate.errors import FormatError
from modelcrate.format.tensors import parse_header, serialize
from modelcrate.nn.decoder import Decoder
from modelcrate.nn.materialise import materialise
from modelcrate.nn.tensors import tensor_data

CONFIG = {"embedding_dim": 5, "hidden_dim": [4, 3], "data_dim": 7}


def test_names_and_shapes_are_those_of_trained_models() -> None:
    shapes = {name: tuple(it.shape) for name, it in Decoder(5, [4, 3], 7).state_dict().items()}
    assert shapes == {
        "sigma": (7,),
        "seq.0.weight": (4, 5),
        "seq.0.bias": (4,),
        "seq.2.weight": (3, 4),
        "seq.2.bias": (3,),
        "seq.4.weight": (7, 3),
        "seq.4.bias": (7,),
    }


def test_relu_lies_between_layers_and_not_behind_the_last() -> None:
    network = Decoder(2, [2], 2)
    with torch.no_grad():
        for layer in (network.seq[0], network.seq[2]):
            layer.weight.copy_(torch.eye(2))
            layer.bias.zero_()
        network.seq[2].weight.neg_()
        found = network(torch.tensor([[3.0, -2.0]]))
    assert found.tolist() == [[-3.0, 0.0]]


@pytest.mark.parametrize(
    "change",
    [{"embedding_dim": 0}, {"data_dim": -1}, {"hidden_dim": [0]}, {"hidden_dim": [1] * 300}, {"data_dim": 1 << 40}],
)
def test_D23_widths_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        Decoder(**{**CONFIG, **change})


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_deviations_that_mean_nothing_are_refused(value: float) -> None:
    network = Decoder(**CONFIG)
    with torch.no_grad():
        network.sigma[3] = value
    tensors = {key: tensor_data(it, where=key) for key, it in network.state_dict().items()}
    buffer = memoryview(bytearray(b"".join(bytes(it) for it in serialize(tensors))))
    with pytest.raises(FormatError, match="deviation"):
        materialise("ctgan.decoder/1", CONFIG, parse_header(buffer, where="x"), buffer, torch.device("cpu"))
