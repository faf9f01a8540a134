"""Joint distributions: conditioning by the textbook, and documents that are refused."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from modelcrate.errors import FormatError, MismatchError, ModelcrateError, UsageError
from modelcrate.tabular.copula.config import CopulaConfig
from modelcrate.tabular.copula.core import JointCore
from modelcrate.tabular.copula.joint import Joint
from modelcrate.tabular.copula.synthesizer import CopulaSynthesizer
from modelcrate.tabular.table import Table

CORRELATION = np.array([[1.0, 0.5, -0.3], [0.5, 1.0, 0.2], [-0.3, 0.2, 1.0]])
NAMES = ("b", "a", "c")
NUMBER = {"type": "number", "dtype": "float64", "minimum": None, "maximum": None, "digits": None}


def document() -> dict:
    normal = {"type": "normal", "loc": 10.0, "scale": 2.0}
    return {
        "columns": [{"name": name, "distribution": dict(normal)} for name in NAMES],
        "correlation": CORRELATION.copy(),
    }


def table() -> Table:
    field = {"kind": "number", "whole": False, "dtype": "float64", "identifiers": None, "anonymiser": None}
    state = {
        "fields": [{"name": name, **field} for name in NAMES],
        "columns": [
            {"name": name, "outputs": [name], "encoding": {**NUMBER, "learns_digits": False, "missing": None}}
            for name in NAMES
        ],
        "constraints": {"constraints": [], "applied": []},
        "primary_key": [],
    }
    return Table.from_document(state, "table")


def synthesizer() -> CopulaSynthesizer:
    return CopulaSynthesizer(
        joint=Joint.from_document(document(), "joint"), table=table(), config=CopulaConfig(replay=None)
    )


def test_known_columns_leave_the_conditional_distribution_of_the_others():
    """The two-dimensional case by hand: mean r z, variance 1 - r**2."""
    normal = Joint.from_document(document(), "joint").given({"b": 13.0})
    assert normal.names == ("a", "c")
    np.testing.assert_allclose(normal.means, [0.5 * 1.5, -0.3 * 1.5], atol=1e-6)
    expected = np.array([[1 - 0.25, 0.2 + 0.15], [0.2 + 0.15, 1 - 0.09]])
    np.testing.assert_allclose(normal.covariance, expected)


def test_a_known_column_that_says_the_same_as_another_is_no_error():
    given = document()
    given["correlation"] = np.array([[1.0, 1.0, 0.3], [1.0, 1.0, 0.3], [0.3, 0.3, 1.0]])
    normal = Joint.from_document(given, "joint").given({"b": 12.0, "a": 12.0})
    np.testing.assert_allclose(normal.means, [0.3], atol=1e-6)


def test_the_root_of_a_covariance_is_symmetric_and_right():
    root = Joint.from_document(document(), "joint").given({}).root()
    np.testing.assert_allclose(root, root.T)
    np.testing.assert_allclose(root @ root, CORRELATION)


def test_samples_have_the_distributions_and_the_correlations():
    rows = synthesizer().sample(40_000, seed=5)
    assert list(rows.columns) == list(NAMES)
    np.testing.assert_allclose(rows.mean(), 10.0, atol=0.05)
    np.testing.assert_allclose(rows.std(), 2.0, atol=0.05)
    np.testing.assert_allclose(rows.corr(), CORRELATION, atol=0.02)


def test_a_condition_is_met_exactly_and_moves_the_others():
    rows = synthesizer().sample(4_000, conditions={"b": 14.0}, seed=5)
    assert set(rows["b"]) == {14.0}
    np.testing.assert_allclose(rows["a"].mean(), 10.0 + 2.0 * 0.5 * 2.0, atol=0.1)
    everything = synthesizer().sample(3, conditions={"a": 9.0, "b": 8.0, "c": 7.0}, seed=1)
    assert everything.to_numpy().tolist() == [[8.0, 9.0, 7.0]] * 3


def test_the_same_seed_gives_the_same_rows_in_any_number():
    model = synthesizer()
    assert model.sample(5_000, seed=3).iloc[:100].equals(model.sample(100, seed=3))
    assert not model.sample(50, seed=3).equals(model.sample(50, seed=4))


def test_a_block_of_many_columns_has_fewer_rows():
    """Ten rows of a wide table must not cost what four thousand do."""
    assert synthesizer().core.block_rows == 4096
    names = [f"c{place}" for place in range(512)]
    wide = {"columns": [{"name": name, "distribution": {"type": "constant", "value": 1.0}} for name in names]}
    core = JointCore(Joint.from_document({**wide, "correlation": np.eye(512)}, "joint"), CopulaConfig(replay=None))
    assert core.block_rows == 2048


def test_the_root_of_no_known_cells_is_computed_once():
    core = synthesizer().core
    assert core.root(core.given({})[0]) is core.root(core.given({})[0])
    np.testing.assert_allclose(core.root(core.given({"b": 1.0})[0]), core.given({"b": 1.0})[0].root())


def test_a_known_cell_that_is_no_number_is_an_error():
    with pytest.raises(UsageError, match="no number"):
        JointCore(Joint.from_document(document(), "joint"), CopulaConfig(replay=None)).given({"a": "x"})


REFUSED = [
    ("D23-name-twice", lambda d: d["columns"][1].update(name="b"), "twice"),
    ("D23-no-columns", lambda d: d.update(columns=[]), "columns"),
    ("D17-not-square", lambda d: d.update(correlation=CORRELATION[:2]), "correlation"),
    ("D17-one-dimensional", lambda d: d.update(correlation=CORRELATION[0]), "correlation"),
    ("D16-float32", lambda d: d.update(correlation=CORRELATION.astype("float32")), "correlation"),
    ("D22-nan", lambda d: d["correlation"].__setitem__((0, 1), np.nan), "correlation"),
    ("D22-asymmetric", lambda d: d["correlation"].__setitem__((0, 1), 0.4), "symmetric"),
    ("D22-above-one", lambda d: d.update(correlation=CORRELATION * 5), "between"),
    ("D22-diagonal-zero", lambda d: d["correlation"].__setitem__((0, 0), 0.0), "between"),
    ("C6-unknown-field", lambda d: d.update(hook=1), "hook"),
]


@pytest.mark.parametrize(("change", "message"), [pytest.param(*row[1:], id=row[0]) for row in REFUSED])
def test_a_document_with_one_wrong_value_is_refused(change, message):
    given = document()
    change(given)
    with pytest.raises(FormatError, match=message) as caught:
        Joint.from_document(given, "joint")
    assert caught.value.where.startswith("joint")


def test_C27_every_field_replaced_by_junk_is_refused():
    for path in (
        ("columns",),
        ("correlation",),
        ("columns", 0),
        ("columns", 0, "name"),
        ("columns", 0, "distribution"),
    ):
        for junk in (None, True, 2**80, -1.5, [], {}, np.zeros((0,)), np.zeros((0, 0)), b"x"):
            given = copy.deepcopy(document())
            holder = given
            for step in path[:-1]:
                holder = holder[step]
            holder[path[-1]] = junk
            with pytest.raises(ModelcrateError):
                Joint.from_document(given, "joint")


def test_D23_a_column_that_the_table_does_not_make_is_refused():
    given = document()
    given["columns"][1]["name"] = "z"
    with pytest.raises(MismatchError, match="'z'"):
        CopulaSynthesizer(joint=Joint.from_document(given, "joint"), table=table(), config=CopulaConfig(replay=None))
