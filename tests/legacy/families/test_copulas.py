"""Distributions and Gaussian copulas of the copulas package, old and new: the same rows, or an error with a path."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from modelcrate.errors import FormatError, ModelcrateError, UnsupportedError
from modelcrate.format import schema
from modelcrate.legacy.families import copulas
from modelcrate.legacy.graph import Call, Dict
from modelcrate.legacy.reader import read_for_conversion
from modelcrate.legacy.view import View
from modelcrate.tabular.copula.config import CopulaConfig
from modelcrate.tabular.copula.core import JointCore
from modelcrate.tabular.copula.distribution import FAMILIES
from modelcrate.tabular.copula.joint import Joint
from modelcrate.tabular.draws import LegacyDraws

CORPUS = Path(__file__).resolve().parents[2] / "corpus" / "copulas"
RELEASES = {"0_8_0": True, "0_14_1": False}
"""Which of them were made with a NumPy below 1.24."""
KINDS = ["normal", "gamma", "beta", "student_t", "truncated_normal", "log_laplace", "uniform", "constant", "gamma",
         "truncated_normal"]  # fmt: skip


def root(release: str) -> View:
    return read_for_conversion(CORPUS / f"{release}.pkl", name="copula").root


def core(release: str) -> JointCore:
    joint = Joint.from_document(copulas.joint(root(release)), "joint")
    return JointCore(joint, CopulaConfig(replay=None, early_rotations=RELEASES[release]))


def attribute(view: View, name: str) -> View:
    return view.attributes(view.class_name or "")[name]


def replace(view: View, **attributes: object) -> None:
    assert isinstance(view.node, Call)
    state = view.node.states[0]
    assert isinstance(state, Dict)
    state.pairs[:] = [(key, attributes.pop(key, value)) for key, value in state.pairs]
    state.pairs += list(attributes.items())


@pytest.mark.parametrize("release", RELEASES)
def test_the_rows_are_the_original_s(release):
    model = core(release)
    with np.load(CORPUS / f"{release}.npz") as wanted:
        found = model.remade(100, {}, LegacyDraws(np.random.RandomState(1234)))
        np.testing.assert_allclose(np.stack(list(found.values()), axis=1), wanted["plain"], rtol=1e-9)
        known = {"beta": 6.0, "trunc": 0.4, "int": 3.0}
        found = model.remade(60, known, LegacyDraws(np.random.RandomState(77)))
        np.testing.assert_allclose(np.stack(list(found.values()), axis=1), wanted["known"], rtol=1e-9)


@pytest.mark.parametrize("release", RELEASES)
def test_every_family_is_known_and_the_document_follows_its_schema(release):
    document = copulas.joint(root(release))
    assert [column["distribution"]["type"] for column in document["columns"]] == KINDS
    assert document["columns"][7]["distribution"]["value"] == 4.25
    schema.validate_state(document, "tabular.joint/1", "joint")
    assert copulas.summarised(document["columns"]) == []


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("change", ["missing", "more", "text"])
def test_parameters_that_belong_to_no_family_are_refused_with_the_column_s_name(release, change):
    view = root(release)
    gamma = attribute(view, "univariates").items()[1]
    given = {key: value.node for key, value in attribute(gamma, "_params").mapping().items()}
    changed = {
        "missing": {key: value for key, value in given.items() if key != "a"},
        "more": {**given, "hook": 1.0},
        "text": {**given, "scale": "1.0"},
    }[change]
    replace(gamma, _params=Dict(list(changed.items())))
    with pytest.raises(FormatError, match="column 'gamma'") as caught:
        copulas.joint(view)
    assert caught.value.where.startswith("copula.univariates[1]")


@pytest.mark.parametrize(
    ("family", "changed"),
    [
        (1, {"scale": 0.0}),
        (1, {"scale": -1.0}),
        (1, {"scale": float("nan")}),
        (0, {"loc": float("inf"), "scale": float("nan")}),
        (2, {"a": 0.0}),
        (4, {"a": float("-inf"), "b": float("inf"), "scale": 0.0}),
        (4, {"a": 1.0, "b": 1.0}),
    ],
)
def test_a_fit_that_came_to_nothing_makes_missing_cells_as_scipy_does(family, changed):
    """What an optimiser ends at that did not converge; scipy's quantiles for such parameters are all NaN."""
    view = root("0_8_0")
    fitted = attribute(view, "univariates").items()[family]
    given = {key: value.number() for key, value in attribute(fitted, "_params").mapping().items()}
    numbers = {**given, **changed}
    replace(fitted, _params=Dict(list(numbers.items())))
    ours, theirs = FAMILIES[KINDS[family]]
    with np.errstate(all="ignore"):
        assert np.isnan(getattr(stats, ours).ppf([0.1, 0.9], **numbers)).all()
    assert set(theirs.values()) == set(numbers)
    assert copulas.distribution(fitted) == {"type": "constant", "value": None}


@pytest.mark.parametrize("release", RELEASES)
def test_a_distribution_that_chose_nothing_was_not_fitted(release):
    view = root(release)
    chosen = attribute(view, "univariates").items()[8]
    for nothing in (None, chosen.node):
        replace(chosen, _instance=nothing)
        with pytest.raises(UnsupportedError, match="not fitted") as caught:
            copulas.joint(view)
        assert caught.value.where == "copula.univariates[8]"


@pytest.mark.parametrize("release", RELEASES)
def test_C27_junk_in_any_attribute_ends_in_an_error_of_ours_or_in_a_document(release):
    whole = root(release)
    for changed in (whole, *attribute(whole, "univariates").items()):
        view = changed.attributes(changed.class_name or "")
        before = {name: view[name].node for name in view.names()}
        for name, node in before.items():
            for junk in (None, 2**70, "x", [], Dict([]), float("nan")):
                replace(changed, **{name: junk})
                try:
                    Joint.from_document(copulas.joint(whole), "joint")
                except ModelcrateError:
                    continue
            replace(changed, **{name: node})
