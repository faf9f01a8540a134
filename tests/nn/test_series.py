"""The generator of time series: its published shape, its parameter names, its bounds."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from modelcrate.errors import FormatError
from modelcrate.format.tensors import parse_header, serialize
from modelcrate.nn.materialise import materialise
from modelcrate.nn.series import SeriesGenerator
from modelcrate.nn.tensors import tensor_data


def part(width: int, activation: str) -> dict[str, Any]:
    return {"width": width, "activation": activation}


CONFIG: dict[str, Any] = {
    "attributes": [part(3, "softmax"), part(1, "tanh")],
    "scales": [part(1, "tanh"), part(1, "sigmoid")],
    "features": [part(1, "tanh"), part(2, "sigmoid")],
    "attribute_noise_dim": 5,
    "feature_noise_dim": 4,
    "attribute_units": 6,
    "attribute_layers": 1,
    "feature_units": 7,
    "feature_layers": 2,
    "steps": 6,
    "cell_steps": 2,
}


def noise(rows: int, config: dict[str, Any] = CONFIG) -> tuple[torch.Tensor, torch.Tensor]:
    cells = config["steps"] // config["cell_steps"]
    return torch.randn(rows, config["attribute_noise_dim"]), torch.randn(rows, cells, config["feature_noise_dim"])


def test_names_and_shapes_are_those_of_trained_models() -> None:
    shapes = {name: tuple(it.shape) for name, it in SeriesGenerator(**CONFIG).state_dict().items()}
    assert shapes["attribute_gen.0.weight"] == (6, 5)
    assert shapes["attribute_gen.2.running_var"] == (6,)
    assert shapes["attribute_gen.3.generators.0.linear.weight"] == (3, 6)
    assert shapes["additional_attribute_gen.0.weight"] == (6, 5 + 4)
    assert shapes["feature_gen.lstm.weight_ih_l0"] == (28, 4 + 4 + 2)
    assert shapes["feature_gen.lstm.weight_hh_l1"] == (28, 7)
    assert shapes["feature_gen.merger.layers.1.generators.1.linear.bias"] == (2,)
    assert len(shapes) == 2 * 7 + 2 * 2 * 2 + 8 + 2 * 2 * 2


def test_outputs_have_one_value_for_each_step_and_are_activated() -> None:
    attributes, scales, features = SeriesGenerator(**CONFIG).eval()(*noise(9))
    assert attributes.shape == (9, 4)
    assert scales.shape == (9, 2)
    assert features.shape == (9, 6, 3)
    torch.testing.assert_close(attributes[:, :3].sum(dim=1), torch.ones(9))
    assert bool((scales[:, 1] > 0).all() and (features[:, :, 1:] > 0).all() and (features.abs() < 1).all())


@pytest.mark.parametrize("left_out", [("attributes",), ("scales",), ("attributes", "scales")])
def test_models_without_attributes_or_scales(left_out: tuple[str, ...]) -> None:
    config = {**CONFIG, **{name: [] for name in left_out}}
    made = dict(zip(("attributes", "scales", "features"), SeriesGenerator(**config).eval()(*noise(3)), strict=True))
    assert {name for name, value in made.items() if value is None} == set(left_out)
    assert made["features"].shape == (3, 6, 3)


def test_an_example_does_not_depend_on_those_beside_it() -> None:
    network = SeriesGenerator(**CONFIG).eval()
    given = noise(8)
    whole, alone = network(*given), network(*(it[5:6] for it in given))
    for one, other in zip(whole, alone, strict=True):
        torch.testing.assert_close(one[5:6], other)


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 7},
        {"steps": 0},
        {"cell_steps": 0},
        {"features": []},
        {"features": [part(1, "relu")]},
        {"features": [part(0, "tanh")]},
        {"features": [{"width": 1}]},
        {"features": "tanh"},
        {"attributes": [part(1, "tanh")] * 20_000},
        {"feature_layers": 0},
        {"feature_layers": 10_000},
        {"feature_units": 1 << 40},
        {"attribute_units": True},
        {"steps": 1 << 14, "cell_steps": 1 << 14},
    ],
)
def test_D23_sizes_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with torch.device("meta"), pytest.raises(FormatError):
        SeriesGenerator(**{**CONFIG, **change})


@pytest.mark.parametrize(("name", "value"), [("running_var", -1.0), ("running_var", float("nan"))])
def test_statistics_that_no_training_makes_are_refused(name: str, value: float) -> None:
    network = SeriesGenerator(**CONFIG)
    network.get_buffer(f"attribute_gen.2.{name}")[3] = value
    tensors = {key: tensor_data(it, where=key) for key, it in network.state_dict().items()}
    buffer = memoryview(bytearray(b"".join(bytes(it) for it in serialize(tensors))))
    with pytest.raises(FormatError, match="variance"):
        materialise("dgan.generator/1", CONFIG, parse_header(buffer, where="x"), buffer, torch.device("cpu"))
