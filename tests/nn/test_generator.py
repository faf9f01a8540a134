"""The generator network: its published shape, its parameter names, its bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from modelcrate.errors import FormatError
from modelcrate.format.tensors import TensorData, parse_header, serialize
from modelcrate.nn.generator import Generator
from modelcrate.nn.materialise import materialise
from modelcrate.nn.tensors import tensor_data


def test_names_and_shapes_are_those_of_trained_models() -> None:
    shapes = {name: tuple(it.shape) for name, it in Generator(5, [4, 3], 7).state_dict().items()}
    assert shapes == {
        "seq.0.fc.weight": (4, 5),
        "seq.0.fc.bias": (4,),
        "seq.0.bn.weight": (4,),
        "seq.0.bn.bias": (4,),
        "seq.0.bn.running_mean": (4,),
        "seq.0.bn.running_var": (4,),
        "seq.0.bn.num_batches_tracked": (),
        "seq.1.fc.weight": (3, 9),
        "seq.1.fc.bias": (3,),
        "seq.1.bn.weight": (3,),
        "seq.1.bn.bias": (3,),
        "seq.1.bn.running_mean": (3,),
        "seq.1.bn.running_var": (3,),
        "seq.1.bn.num_batches_tracked": (),
        "seq.2.weight": (7, 12),
        "seq.2.bias": (7,),
    }


def test_each_block_puts_its_result_before_its_input() -> None:
    network = Generator(2, [2], 4).eval()
    with torch.no_grad():
        network.seq[0].fc.weight.copy_(torch.eye(2))
        network.seq[0].fc.bias.zero_()
        network.seq[1].weight.copy_(torch.eye(4))
        network.seq[1].bias.zero_()
        rows = torch.tensor([[1.0, -2.0]])
        found = network(rows)
    scale = 1 / np.sqrt(1 + 1e-5)  # fresh running variance and torch's epsilon
    np.testing.assert_allclose(found.numpy(), [[scale, 0.0, 1.0, -2.0]], rtol=1e-6)


def test_no_blocks_is_one_linear_layer() -> None:
    assert list(Generator(3, [], 2).state_dict()) == ["seq.0.weight", "seq.0.bias"]


@pytest.mark.parametrize(
    "config",
    [
        {"embedding_dim": 0},
        {"embedding_dim": -1},
        {"embedding_dim": True},
        {"embedding_dim": 2.0},
        {"embedding_dim": 2**31},
        {"data_dim": 0},
        {"data_dim": None},
        {"generator_dim": [0]},
        {"generator_dim": [2**31]},
        {"generator_dim": ["1"]},
        {"generator_dim": [1] * 100_000},
        {"generator_dim": 3},
        {"pac": 1},
    ],
    ids=lambda config: str(config)[:40],
)
def test_f05_f08_f10_configs_out_of_range(config: dict[str, Any]) -> None:
    buffer = memoryview(bytearray(b"".join(bytes(it) for it in serialize({}))))
    whole = {"embedding_dim": 2, "generator_dim": [2], "data_dim": 2, **config}
    with pytest.raises(FormatError):
        materialise("ctgan.generator/1", whole, parse_header(buffer, where="x"), buffer, torch.device("cpu"))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("seq.0.bn.running_var", TensorData("F32", (2,), np.array([1, -1], np.float32).tobytes())),
        ("seq.0.bn.running_var", TensorData("F32", (2,), np.array([np.nan, 1], np.float32).tobytes())),
        ("seq.0.bn.num_batches_tracked", TensorData("I64", (), np.int64(-1).tobytes())),
    ],
    ids=["negative-variance", "nan-variance", "negative-count"],
)
def test_f15_statistics_that_no_training_makes(name: str, data: TensorData) -> None:
    network = Generator(2, [2], 2)
    tensors = {key: tensor_data(it, where=key) for key, it in network.state_dict().items()}
    buffer = memoryview(bytearray(b"".join(bytes(it) for it in serialize({**tensors, name: data}))))
    config = {"embedding_dim": 2, "generator_dim": [2], "data_dim": 2}
    with pytest.raises(FormatError, match=r"seq\.0\.bn"):
        materialise("ctgan.generator/1", config, parse_header(buffer, where="x"), buffer, torch.device("cpu"))
