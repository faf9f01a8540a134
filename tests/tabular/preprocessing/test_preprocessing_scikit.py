"""Fitted scikit-learn objects become data that gives the same numbers; scikit-learn is not needed for either.

The expectations are scikit-learn's own (``make_fixtures.py``), of two releases that differ in how they round.
"""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelcrate.errors import UnsupportedError, UsageError
from modelcrate.format import schema, values
from modelcrate.format.document import Fields
from modelcrate.tabular.preprocessing import Block, Step, feature_names, from_scikit, read
from scikit_portable import build, stand_in

FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("scikit-*.json"))
RELEASES = {path.stem.removeprefix("scikit-"): json.loads(path.read_text()) for path in FIXTURES}
CASES = [
    pytest.param(release, case, id=f"{release}: {case['name']}")
    for release, content in RELEASES.items()
    for case in content["cases"]
]


def use_release(monkeypatch: pytest.MonkeyPatch, release: str) -> None:
    package = types.ModuleType("sklearn")
    package.__version__ = release  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sklearn", package)


def stored_and_read(step: Step) -> Step:
    document = step.to_document()
    schema.validate_state(document, "tabular.preprocessing/1", "state")
    data = values.encode(document)
    back = read(Fields(values.decode(data, where="state"), "state"))
    assert values.encode(back.to_document()) == data
    return back


def block_of(batch: dict[str, Any]) -> Block:
    if "matrix" in batch:
        matrix = build(batch["matrix"])
        return Block.of_matrix(matrix, [f"x{index}" for index in range(matrix.shape[1])])
    columns = [build(column) for _, column in batch["columns"]]
    return Block.of_columns(columns, [name for name, _ in batch["columns"]], rows=len(columns[0]))


@pytest.mark.parametrize(("release", "case"), CASES)
def test_the_same_numbers(release, case, monkeypatch):
    use_release(monkeypatch, release)
    step = stored_and_read(from_scikit(build(case["fitted"])))
    assert case["runs"]
    for run in case["runs"]:
        block = block_of(run["batch"])
        if run.get("refused"):
            with pytest.raises(UsageError, match="unknown category"):
                step.transform(block)
            continue
        wanted, given = build(run["wanted"]), step.transform(block).stacked()
        assert given.dtype == wanted.dtype
        np.testing.assert_array_equal(given, wanted)


def test_both_ways_of_rounding_are_among_the_releases():
    """From 1.8 on StandardScaler rounds its statistics first, which shows in the last digit of float32."""
    wanted = {release: {case["name"]: case for case in RELEASES[release]["cases"]} for release in RELEASES}
    name = "standard float32"
    older, newer = (json.dumps(wanted[release][name]["runs"][1]["wanted"]) for release in ("1.3.2", "1.9.1"))
    assert older != newer


@pytest.mark.parametrize("name", ["standard float64", "robust float64", "min max without clip, with holes", "ordinal"])
def test_inverse_gives_back_what_was_transformed(name, monkeypatch):
    use_release(monkeypatch, "1.9.1")
    (case,) = [case for case in RELEASES["1.9.1"]["cases"] if case["name"] == name]
    step, block = stored_and_read(from_scikit(build(case["fitted"]))), block_of(case["runs"][0]["batch"])
    back = step.inverse(step.transform(block)).stacked()
    if back.dtype == object:
        assert back.tolist() == block.stacked().tolist()
    else:
        np.testing.assert_allclose(back, block.stacked(), rtol=1e-12)


def scaler(**changes: Any) -> Any:
    attributes = {"with_mean": True, "with_std": True, "mean_": np.array([1.0]), "scale_": np.array([2.0])}
    attributes |= {"n_features_in_": 1, **changes}
    attributes = {name: value for name, value in attributes.items() if value is not None}
    return stand_in("sklearn.preprocessing._data", "StandardScaler", attributes)


def test_an_object_that_is_not_fitted_is_refused_with_the_attribute_that_it_lacks():
    with pytest.raises(UsageError, match=r"preprocessing \(StandardScaler\): has no mean_; fit it first"):
        from_scikit(scaler(mean_=None))


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, -1.0])
def test_statistics_that_no_reader_would_take_are_refused(value):
    with pytest.raises(UsageError, match=r"scale_: .* for column 0 is not finite and greater than zero"):
        from_scikit(scaler(scale_=np.array([value])))


def test_a_class_is_known_by_its_exact_name():
    inherited = type("StandardScaler", (type(scaler()),), {"__module__": "acme", "__qualname__": "StandardScaler"})()
    elsewhere = stand_in("acme.preprocessing", "StandardScaler", {})
    unknown = stand_in("sklearn.preprocessing._data", "PowerTransformer", {})
    for other in (inherited, elsewhere, unknown):
        with pytest.raises(UnsupportedError, match="has no counterpart as data; supported: ColumnTransformer, "):
            from_scikit(other)


def test_the_last_step_of_a_pipeline_that_is_a_model_is_named():
    model = stand_in("sklearn.linear_model._logistic", "LogisticRegression", {})
    pipeline = stand_in("sklearn.pipeline", "Pipeline", {"steps": [("scale", scaler()), ("model", model)]})
    with pytest.raises(UnsupportedError, match=r"\(Pipeline\)\.model: a LogisticRegression has no counterpart"):
        from_scikit(pipeline)


def test_a_function_is_code():
    attributes = {"func": np.log1p, "n_features_in_": 1}
    with pytest.raises(UnsupportedError, match="a function is code"):
        from_scikit(stand_in("sklearn.preprocessing._function_transformer", "FunctionTransformer", attributes))


def test_categories_that_are_dates_are_refused():
    attributes = {
        "categories_": [np.array(["2020-01-01"], dtype="datetime64[D]")],
        "handle_unknown": "error",
        "dtype": np.float64,
        "_infrequent_enabled": False,
    }
    with pytest.raises(UnsupportedError, match=r"column 0: .*can't be a category"):
        from_scikit(stand_in("sklearn.preprocessing._encoders", "OneHotEncoder", attributes))


def test_pipelines_within_pipelines_are_bounded():
    nested: Any = scaler()
    for _ in range(9):
        nested = stand_in("sklearn.pipeline", "Pipeline", {"steps": [("inner", nested)]})
    with pytest.raises(UnsupportedError, match="more than 8 steps inside each other"):
        from_scikit(nested)


def test_names_are_those_of_the_first_step():
    named = scaler(feature_names_in_=np.array(["age"], dtype=object))
    steps = [("nothing", "passthrough"), ("scale", named)]
    assert feature_names(stand_in("sklearn.pipeline", "Pipeline", {"steps": steps})) == ("age",)
    assert feature_names(scaler()) is None
