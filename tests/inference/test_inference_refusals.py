"""What is refused when a package is saved, and when a stranger's package is loaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import modelcrate as mc
from modelcrate.crate import ComponentData, write_crate
from modelcrate.errors import FormatError, ModelcrateError, UnsupportedError, UsageError
from modelcrate.inference import Column, Interface, TableInput, TensorInput
from modelcrate.module_parts import module_component
from modelcrate.tabular.preprocessing import Channels, Keep, OneHot, Standardise

PEOPLE = pd.DataFrame({"age": [24, 40], "colour": ["blue", "red"]})
SCALE = {"age": Standardise.of(40, 8)}
COLUMNS = (Column(name="a"), Column(name="b"))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"task": "ranking"}, UsageError, "task: 'ranking' is none of"),
        ({"scores": "odds"}, UsageError, "scores: 'odds' is none of"),
        ({"input_dtype": "float8"}, UsageError, "input_dtype: 'float8' is none of"),
        ({"class_names": ["a", "a"]}, UsageError, "class_names: categories: item 1 is the same"),
        ({"class_names": ["a", None]}, UsageError, "class_names: a class can't be missing"),
        ({"class_names": ["a"], "task": "binary"}, UsageError, "class_names: a binary task has 2 classes, not 1"),
        ({"class_names": ["a"], "task": "regression"}, UsageError, "class_names: numbers have no classes"),
        ({"class_names": "abc"}, UsageError, "class_names: expected a list"),
        ({"target": Standardise.of(1), "task": "binary"}, UsageError, "target: the target of a binary task"),
        ({"target": np.log}, UnsupportedError, "target: a ufunc can't be kept as data"),
        ({"preprocessing": np.log}, UnsupportedError, "preprocessing: a ufunc can't be kept as data"),
        ({"preprocessing": {}}, UsageError, "preprocessing: names no column"),
        ({"preprocessing": {1: Keep(width=1)}}, UsageError, "the keys are column names, or tuples of them"),
        ({"preprocessing": {"a": Keep(width=2)}}, UsageError, "preprocessing['a']: takes 2 columns, and 1 are named"),
        ({"preprocessing": {"a": None}}, UsageError, "preprocessing['a']: is None"),
        ({"preprocessing": {("a", "b"): Keep(width=2), "a": Keep(width=1)}}, UsageError, "a column is named twice"),
        ({"preprocessing": SCALE, "input_schema": PEOPLE}, UsageError, "2 columns, and the preprocessing takes 1"),
        ({"preprocessing": SCALE, "input_schema": PEOPLE[["colour"]]}, UsageError, "column 'age', on which the"),
        ({"preprocessing": SCALE, "input_schema": {"age": "text"}}, UsageError,
         "column 'age': is text, and the preprocessing takes number"),
        ({"preprocessing": {"a": OneHot.of(["x"])}, "input_schema": {"a": "int64"}}, UsageError,
         "column 'a': is int64, and the preprocessing takes text"),
        ({"preprocessing": SCALE, "input_schema": TensorInput(shape=(1,))}, UsageError, "images are a TensorInput"),
        ({"preprocessing": Channels.of(0, 1), "input_schema": PEOPLE}, UsageError, "images are a TensorInput"),
        ({"input_schema": PEOPLE}, UsageError, "column 'colour': is text, and the preprocessing takes number"),
        ({"input_schema": {"a": "datetime64[ns]"}}, UsageError, "'datetime64[ns]' is none of"),
        ({"input_schema": pd.DataFrame([[1]])}, UsageError, "the columns need names"),
        ({"input_schema": 7}, UsageError, "a int is no schema"),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit_together_are_refused(tmp_path, options, error, message):
    with pytest.raises(error) as caught:
        mc.save_inference(tmp_path / "package.crate", nn.Linear(1, 1), **options)
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("model", [{"generator": nn.Linear(1, 1)}, None, nn.Linear])
def test_only_one_network_is_a_model(tmp_path, model):
    with pytest.raises(UsageError, match=r"model: expected a torch.nn.Module, got a"):
        mc.save_inference(tmp_path / "package.crate", model)


def test_what_is_there_already_is_left_alone(tmp_path):
    path = tmp_path / "package.crate"
    mc.save_inference(path, nn.Linear(1, 1))
    before = path.read_bytes()
    with pytest.raises(ModelcrateError, match="exists"):
        mc.save_inference(path, nn.Linear(1, 2))
    assert path.read_bytes() == before
    mc.save_inference(path, nn.Linear(1, 2), overwrite=True)
    assert path.read_bytes() != before


def test_a_network_that_does_not_fit_its_input_is_named(tmp_path):
    path = tmp_path / "package.crate"
    mc.save_inference(path, nn.Linear(3, 1), input_schema=TableInput(columns=COLUMNS))
    with pytest.raises(UsageError, match=r"network: the network refuses an input of shape \[4, 2\], torch.float32: "):
        mc.load_inference(path).predict(np.zeros((4, 2)))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.LSTM(2, 3), "the network gives a tuple, expected one tensor"),
        (nn.Flatten(0), r"the network gives shape \[8\] for 4 rows"),
    ],
)
def test_a_network_with_another_output_is_named(tmp_path, layer, message):
    path = tmp_path / "package.crate"
    mc.save_inference(path, layer, input_schema=TableInput(columns=COLUMNS))
    with pytest.raises(UsageError, match=message):
        mc.load_inference(path).predict(np.zeros((4, 2)))


# --- packages of strangers ---

INTERFACE = {
    "input": TableInput(columns=COLUMNS).to_document(), "task": "classification", "scores": "logits", "feed": "float32",
    "classes": ["x", "y"],
}  # fmt: skip
PREPARED = Standardise.of([0, 0], [1, 1]).to_document()


def part(name: str, state: dict[str, Any] | None, **changes: Any) -> ComponentData:
    tag = "inference.interface/1" if name == "interface" else "tabular.preprocessing/1"
    return dataclasses.replace(ComponentData(name=name, role=name, type=tag, state=state), **changes)


def network() -> ComponentData:
    torch.manual_seed(0)
    return module_component(nn.Linear(2, 2).eval(), name="network", role="network")[0]


def write(path: Path, components: Sequence[ComponentData], **config: Any) -> None:
    config = {"task": "classification", **config}
    write_crate(path, components=components, model=("inference.package/1", config))


def test_the_package_that_the_others_are_spoilt_copies_of_is_fine(tmp_path):
    path = tmp_path / "package.crate"
    write(path, [network(), part("interface", INTERFACE), part("preprocessing", PREPARED)])
    assert mc.load_inference(path).predict(np.zeros((3, 2))).shape == (3,)


SPOILT = {
    "no interface": lambda: [network()],
    "no network": lambda: [part("interface", INTERFACE)],
    "an optimizer": lambda: [network(), part("interface", INTERFACE),
                             ComponentData(name="optimizer", role="optimizer", type="acme.state/1", state={})],
    "a discriminator": lambda: [network(), part("interface", INTERFACE),
                                dataclasses.replace(network(), name="discriminator")],
    "another role": lambda: [network(), part("interface", INTERFACE, role="other")],
    "another type": lambda: [network(), part("interface", INTERFACE, type="acme.interface/1")],
    "config beside the state": lambda: [network(), part("interface", INTERFACE, config={"code": "import os"})],
    "tensors beside the state": lambda: [network(), part("interface", INTERFACE, tensors={})],
    "no state": lambda: [network(), part("interface", None)],
    "no state of preprocessing": lambda: [network(), part("interface", INTERFACE), part("preprocessing", None)],
    "preprocessing of other columns": lambda: [network(), part("interface", INTERFACE),
                                               part("preprocessing", Standardise.of([0]).to_document())],
    "preprocessing without a table": lambda: [network(), part("interface", {**INTERFACE, "input": None}),
                                              part("preprocessing", PREPARED)],
    "channels of a table": lambda: [network(), part("interface", INTERFACE),
                                    part("preprocessing", Channels.of(0, 1).to_document())],
    "the target of classes": lambda: [network(), part("interface", INTERFACE), part("target", PREPARED)],
    "another task": lambda: [network(), part("interface", {**INTERFACE, "task": "multilabel"})],
    "two classes of one name": lambda: [network(), part("interface", {**INTERFACE, "classes": ["x", "x"]})],
    "a missing class": lambda: [network(), part("interface", {**INTERFACE, "classes": ["x", None]})],
    "two columns of one name": lambda: [network(), part("interface", {**INTERFACE, "input": {
        "type": "table", "named": True, "columns": [Column(name="a").to_document()] * 2}})],
    "no columns in channels": lambda: [network(), part("interface", {**INTERFACE, "input": None}), part(
        "preprocessing", {**Channels.of(0, 1).to_document(), "std": np.zeros(1, np.float32)})],
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILT)
def test_parts_that_do_not_belong_together_are_refused(tmp_path, name):
    path = tmp_path / "package.crate"
    write(path, SPOILT[name]())
    with pytest.raises(FormatError):
        mc.load_inference(path)


@pytest.mark.parametrize("config", [{"task": "ranking"}, {"task": 1}, {"code": "x"}])
def test_a_model_config_of_another_shape_is_refused(tmp_path, config):
    path = tmp_path / "package.crate"
    write(path, [network(), part("interface", INTERFACE)], **config)
    with pytest.raises(FormatError):
        mc.load_inference(path)


@pytest.mark.parametrize(
    "changes",
    [{"scores": "odds"}, {"feed": "complex64"}, {"feed": 1}, {"classes": []}, {"extra": 1},
     {"task": None}, {"input": {"type": "frame"}}, {"input": {"type": "tensor", "shape": [-1], "dtype": "float32"}},
     {"input": {"type": "tensor", "shape": [1] * 8, "dtype": "float32"}},
     {"input": {"type": "table", "named": 1, "columns": [Column(name="a").to_document()]}},
     {"input": {"type": "table", "named": True, "columns": []}},
     {"input": {"type": "table", "named": True, "columns": [{**Column(name="a").to_document(), "dtype": "object"}]}}],
)  # fmt: skip
def test_an_interface_that_its_schema_refuses_is_not_written_and_not_read(tmp_path, changes):
    with pytest.raises(FormatError):
        write(tmp_path / "package.crate", [network(), part("interface", {**INTERFACE, **changes})])
    with pytest.raises(FormatError):
        Interface.from_document({**INTERFACE, **changes}, "interface")
