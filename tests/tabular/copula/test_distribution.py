"""Distributions of single columns: what scipy says, in both directions, and documents that are refused."""

from __future__ import annotations

import ast
import builtins
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from modelcrate.errors import FormatError, ModelcrateError, UnsupportedError
from modelcrate.format import schema, values
from modelcrate.format.document import Fields
from modelcrate.tabular.copula.distribution import EPSILON, Distribution, read_distribution

ROOT = Path(__file__).resolve().parents[3]
FAMILIES = {
    "normal": ({"loc": 3.0, "scale": 2.0}, stats.norm(loc=3.0, scale=2.0)),
    "gamma": ({"shape": 1.7, "loc": -1.0, "scale": 4.0}, stats.gamma(1.7, loc=-1.0, scale=4.0)),
    "beta": ({"a": 0.6, "b": 2.5, "loc": 10.0, "scale": 5.0}, stats.beta(0.6, 2.5, loc=10.0, scale=5.0)),
    "student_t": ({"freedom": 2.4, "loc": 0.5, "scale": 3.0}, stats.t(2.4, loc=0.5, scale=3.0)),
    "truncated_normal": (
        {"low": -0.5, "high": 2.0, "loc": 80.0, "scale": 30.0},
        stats.truncnorm(-0.5, 2.0, loc=80.0, scale=30.0),
    ),
    "log_laplace": ({"shape": 3.0, "loc": 1.0, "scale": 2.0}, stats.loglaplace(3.0, loc=1.0, scale=2.0)),
    "uniform": ({"loc": -4.0, "scale": 9.0}, stats.uniform(loc=-4.0, scale=9.0)),
}
TABLE = {
    "type": "quantiles",
    "scores": np.array([-2.0, -0.5, 0.0, 1.5]),
    "values": np.array([1.0, 4.0, 4.0, 10.0]),
}
DOCUMENTS = {
    **{name: {"type": name, **parameters} for name, (parameters, _) in FAMILIES.items()},
    "constant": {"type": "constant", "value": 7.0},
    "quantiles": TABLE,
}


def read(document: dict) -> Distribution:
    return read_distribution(Fields(document, "distribution"))


@pytest.mark.parametrize("name", FAMILIES)
def test_scores_and_values_are_those_of_scipy(name):
    known = FAMILIES[name][1]
    found = read(DOCUMENTS[name])
    scores = np.linspace(-4.0, 4.0, 81)
    np.testing.assert_array_equal(found.values(scores), known.ppf(stats.norm.cdf(scores)))
    points = known.ppf(np.linspace(0.001, 0.999, 51))
    np.testing.assert_array_equal(found.scores(points), stats.norm.ppf(known.cdf(points)))
    np.testing.assert_allclose(found.values(found.scores(points)), points, rtol=1e-9)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_scores_stay_within_the_bounds_of_the_original(name):
    limit = stats.norm.ppf(1.0 - EPSILON)
    found = read(DOCUMENTS[name]).scores(np.array([-1e300, -1e9, 1e9, 1e300]))
    assert bool((np.abs(found) <= limit).all())
    assert found[0] == -limit
    assert found[-1] == limit


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_distribution_is_what_its_schema_says_and_survives_its_bytes(name):
    state = {"columns": [{"name": "a", "distribution": DOCUMENTS[name]}], "correlation": np.eye(1)}
    schema.validate_state(state, "tabular.joint/1", "joint")
    decoded = values.decode(values.encode(state), where="joint")
    again = read(decoded["columns"][0]["distribution"])
    assert values.encode(again.to_document()) == values.encode(DOCUMENTS[name])
    assert sum(count for _, count in again.derived()) >= 1


def test_a_column_without_any_value_has_missing_cells_alone_and_discloses_none():
    document = {"type": "constant", "value": None}
    state = {"columns": [{"name": "a", "distribution": document}], "correlation": np.eye(1)}
    schema.validate_state(state, "tabular.joint/1", "joint")
    found = read(document)
    assert found.to_document() == document
    assert found.derived() == []
    assert bool(np.isnan(found.values(np.array([-4.0, 0.0, 4.0]))).all())
    assert bool(np.isfinite(found.scores(np.array([np.nan, 1.0]))).all())


def test_a_constant_column_has_one_value():
    found = read(DOCUMENTS["constant"])
    assert set(found.values(np.linspace(-3, 3, 9))) == {7.0}
    low, at = found.scores(np.array([6.9, 7.0]))
    assert low < 0 < at


def test_quantiles_are_joined_by_lines_and_prolonged():
    found = read(TABLE)
    np.testing.assert_allclose(found.values(np.array([-2.0, -1.25, -0.2, 0.75, 1.5])), [1.0, 2.5, 4.0, 7.0, 10.0])
    np.testing.assert_allclose(found.values(np.array([-3.0, 2.5])), [-1.0, 14.0])
    np.testing.assert_allclose(found.scores(np.array([1.0, 2.5, 7.0, 10.0])), [-2.0, -1.25, 0.75, 1.5])


REFUSED = [
    ("D22-scale-zero", "normal", {"scale": 0.0}, "scale"),
    ("D22-scale-negative", "gamma", {"scale": -1.0}, "scale"),
    ("D22-scale-nan", "beta", {"scale": float("nan")}, "scale"),
    ("D22-loc-inf", "uniform", {"loc": float("inf")}, "loc"),
    ("D22-shape-zero", "log_laplace", {"shape": 0.0}, "shape"),
    ("D22-freedom-negative", "student_t", {"freedom": -2.0}, "freedom"),
    ("D22-ends-crossed", "truncated_normal", {"low": 3.0}, "low"),
    ("D15-integer", "normal", {"loc": 3}, "loc"),
    ("D15-constant-text", "constant", {"value": "7"}, "value"),
    ("C6-unknown-field", "normal", {"hook": 1.0}, "hook"),
    ("F1-unknown-family", "normal", {"type": "scipy.stats.norm"}, "type"),
    ("F2-class-as-family", "normal", {"type": "__class__"}, "type"),
    ("D21-scores-falling", "quantiles", {"scores": np.array([0.0, 1.0, 1.0, 2.0])}, "scores"),
    ("D21-values-falling", "quantiles", {"values": np.array([0.0, 1.0, 0.5, 2.0])}, "values"),
    ("D21-values-nan", "quantiles", {"values": np.array([0.0, np.nan, 1.0, 2.0])}, "values"),
    ("D23-lengths-differ", "quantiles", {"values": np.array([0.0, 1.0])}, "scores"),
    ("D23-one-quantile", "quantiles", {"scores": np.zeros(1), "values": np.zeros(1)}, "scores"),
    ("D16-float32", "quantiles", {"values": np.zeros(4, dtype=np.float32)}, "values"),
]


@pytest.mark.parametrize(("name", "change", "message"), [pytest.param(*row[1:], id=row[0]) for row in REFUSED])
def test_a_document_with_one_wrong_value_is_refused(name, change, message):
    with pytest.raises(FormatError, match=message) as caught:
        read({**DOCUMENTS[name], **change})
    assert caught.value.where.startswith("distribution")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_C27_every_field_replaced_by_junk_is_refused_or_understood(name):
    for key in DOCUMENTS[name]:
        for junk in (None, True, 2**80, -1.5, 1e308, 5e-324, "\x00", [], {}, np.zeros((0,)), b"x"):
            try:
                found = read({**DOCUMENTS[name], key: junk})
            except ModelcrateError:
                continue
            assert found.values(np.linspace(-5, 5, 11)).shape == (11,)
            assert found.scores(np.linspace(-5, 5, 11)).shape == (11,)


def test_without_scipy_the_error_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def absent(name, *args):
        if name.split(".")[0] == "scipy":
            raise ImportError(name)
        return real(name, *args)

    found = read(DOCUMENTS["normal"])
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(UnsupportedError, match="scipy") as caught:
        found.values(np.zeros(1))
    assert "modelcrate[copula]" in str(caught.value.hint)
    assert read(TABLE).values(np.zeros(1)) == 4.0  # quantiles need none


def test_scipy_is_imported_inside_of_functions_alone():
    """It takes half a second, and nobody but a copula needs it."""
    for file in (ROOT / "src").rglob("*.py"):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] == "scipy" for name in names), file
