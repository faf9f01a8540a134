"""Pickled scikit-learn preprocessing becomes steps without being unpickled; the numbers are scikit-learn's own."""

from __future__ import annotations

import base64
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelcrate.errors import FormatError, ModelcrateError, UnsupportedError, UsageError
from modelcrate.legacy.context import Context
from modelcrate.legacy.families.sklearn_preprocessing import translate
from modelcrate.legacy.machine import read_pickle
from modelcrate.legacy.view import View
from modelcrate.tabular.preprocessing import Block
from scikit_portable import build

FOLDER = Path(__file__).parents[2] / "tabular" / "preprocessing" / "fixtures"
CASES = [
    pytest.param(case, id=f"{path.stem}: {case['name']}")
    for path in sorted(FOLDER.glob("scikit-*.json"))
    for case in json.loads(path.read_text())["cases"]
    if "pickle" in case
]


def view_of(data: bytes) -> View:
    return View(read_pickle(data).root, "preprocessing", Context(size=len(data)))


@pytest.mark.parametrize("case", CASES)
def test_the_same_numbers_as_from_the_live_object(case):
    step, names = translate(view_of(base64.b64decode(case["pickle"])))
    for run in case["runs"]:
        batch = run["batch"]
        if "matrix" in batch:
            matrix = build(batch["matrix"])
            block = Block.of_matrix(matrix, [f"x{index}" for index in range(matrix.shape[1])])
            assert names is None
        else:
            given = [name for name, _ in batch["columns"]]
            cells = [build(column) for _, column in batch["columns"]]
            block = Block.of_columns(cells, given, rows=len(cells[0]))
            assert list(names or ()) == given
        if run.get("refused"):
            with pytest.raises(UsageError, match="unknown category"):
                step.transform(block)
            continue
        wanted, made = build(run["wanted"]), step.transform(block).stacked()
        assert made.dtype == wanted.dtype
        np.testing.assert_array_equal(made, wanted)


def pickled(name: str, attributes: dict[str, Any]) -> View:
    """An instance as protocol 2 writes it: GLOBAL, empty tuple, NEWOBJ, state, BUILD."""
    module, _, qualified = name.rpartition(".")
    state = pickle.dumps(attributes, 2)
    data = b"\x80\x02c" + module.encode() + b"\n" + qualified.encode() + b"\n)\x81" + state[2:-1] + b"b."
    return view_of(data)


SCALER = "sklearn.preprocessing._data.StandardScaler"
FITTED = {"with_mean": True, "with_std": True, "mean_": np.array([1.0]), "scale_": np.array([2.0]), "n_features_in_": 1}


def test_a_made_pickle_is_read_as_the_real_ones_are():
    step, _ = translate(pickled(SCALER, FITTED))
    assert step.transform(Block.of_matrix(np.array([[5.0]]), ["a"])).stacked().tolist() == [[2.0]]


@pytest.mark.parametrize(
    "changes",
    [
        {"mean_": None}, {"mean_": "x"}, {"mean_": np.array(["x"])}, {"mean_": np.array([[1.0]])},
        {"mean_": [1.0, 2.0]},
        {"mean_": np.array([np.nan])}, {"scale_": np.array([0.0])}, {"n_features_in_": None}, {"n_features_in_": 2},
        {"n_features_in_": "a"}, {"n_features_in_": 10**30}, {"n_features_in_": -1}, {"_sklearn_version": 7},
        {"feature_names_in_": 7}, {"mean_": {}}, {"mean_": [[[[[[1.0]]]]]]},
    ],
)  # fmt: skip
def test_A34_attributes_that_no_fitted_object_has_are_refused(changes):
    with pytest.raises(ModelcrateError):
        translate(pickled(SCALER, {**FITTED, **changes}))


@pytest.mark.parametrize("version", ["", "x.y", "1", "9" * 400 + ".1", "²."])
def test_A34_a_strange_version_is_only_a_version(version):
    translate(pickled(SCALER, {**FITTED, "_sklearn_version": version}))


def test_an_object_that_is_not_fitted_is_refused():
    with pytest.raises(FormatError, match="has no mean_"):
        translate(pickled(SCALER, {name: value for name, value in FITTED.items() if name != "mean_"}))


@pytest.mark.parametrize("name", ["sklearn.preprocessing._data.PowerTransformer", "acme.StandardScaler", "os.system"])
def test_other_classes_are_refused(name):
    with pytest.raises(UnsupportedError, match="has no counterpart as data"):
        translate(pickled(name, FITTED))


@pytest.mark.parametrize("value", [7, "text", [1], {"a": 1}, None])
def test_a_pickle_of_something_else_is_refused(value):
    with pytest.raises(FormatError, match="expected a fitted object"):
        translate(view_of(pickle.dumps(value)))
