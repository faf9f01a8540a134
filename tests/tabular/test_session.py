"""Generators that a table has of its own: where they stand, and that they go on from call to call."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields
from modelcrate.tabular.draws import LegacyDraws, Reversal
from modelcrate.tabular.session import Session, States
from modelcrate.tabular.table import Table

FIELD = {"kind": "number", "whole": False, "dtype": "float64", "identifiers": None, "anonymiser": None}
NUMBER = {
    "type": "number",
    "dtype": "float64",
    "minimum": None,
    "maximum": None,
    "digits": None,
    "learns_digits": False,
    "missing": {"fill": 0.0, "flagged": False, "seen": True, "share": 0.5},
}
COUNTER = {"type": "index", "before": "N", "first": 5, "after": "", "made": 2}
TABLE = {
    "fields": [
        {"name": "key", **FIELD, "kind": "key", "dtype": "object", "source": COUNTER},
        {"name": "a", **FIELD},
        {"name": "b", **FIELD},
    ],
    "columns": [
        {"name": "a", "outputs": ["a"], "encoding": NUMBER, "states": {"reverse": 7}},
        {"name": "b", "outputs": ["b"], "encoding": NUMBER, "states": {"reverse": 9, "forward": 8}},
    ],
    "constraints": {"constraints": [], "applied": []},
    "primary_key": ["key"],
}


def table() -> Table:
    return Table.from_document(TABLE, "table")


def lost(seed: int, *sizes: int) -> list[list[bool]]:
    """Which cells of consecutive calls go missing when a column draws from a generator of its own."""
    state = np.random.RandomState(seed)
    return [(state.random_sample(size) < 0.5).tolist() for size in sizes]


def reverse(made: Table, session: Session, rows: int):
    how = Reversal(draws=LegacyDraws(np.random.RandomState(0)))
    modelled = {"a": np.ones(rows), "b": np.ones(rows)}
    return made.reverse(modelled, rows, how, Random(0), session=session)


def test_each_column_draws_from_its_own_generator_and_goes_on():
    made = table()
    session = Session.resume(made)
    first, second = reverse(made, session, 20), reverse(made, session, 30)
    for name, seed in (("a", 7), ("b", 9)):
        assert [first[name].isna().tolist(), second[name].isna().tolist()] == lost(seed, 20, 30)


def test_a_replay_goes_on_where_the_counter_stood_and_a_plain_sample_starts_anew():
    made = table()
    again = Session.resume(made)
    assert reverse(made, again, 2)["key"].tolist() == ["N7", "N8"]
    assert reverse(made, again, 1)["key"].tolist() == ["N9"]
    fresh = Session.start(made, Random(1))
    assert reverse(made, fresh, 2)["key"].tolist() == ["N5", "N6"]
    assert not fresh.reversing


def test_fields_that_no_model_learns_are_left_out_until_they_are_filled():
    made = table()
    how = Reversal(draws=LegacyDraws(np.random.RandomState(0)))
    rows = made.reverse({"a": np.ones(3), "b": np.ones(3)}, 3, how, Random(0))
    assert rows.columns.tolist() == ["a", "b"]
    session = Session.start(made, Random(1))
    assert made.fill(rows.iloc[:2], session)["key"].tolist() == ["N5", "N6"]
    filled = made.fill(rows.iloc[2:].assign(key="mine"), session)
    assert filled.columns.tolist() == ["key", "a", "b"]
    assert filled["key"].tolist() == ["mine"]


def test_documents_come_back():
    assert table().to_document() == TABLE
    assert ("a", "mean", 1) in table().derived()


@pytest.mark.parametrize(
    ("document", "what"),
    [
        ({}, "reverse"),
        ({"reverse": -1}, "seed"),
        ({"reverse": 2**32}, "seed"),
        ({"reverse": 1, "forward": "x"}, "forward"),
        ({"reverse": 1, "more": 2}, "more"),
        ({"reverse": {"key": np.zeros(3, dtype="uint32"), "position": 0, "has_normal": False, "normal": 0.0}}, "624"),
    ],
)
def test_generators_that_are_none_are_refused(document, what):
    with pytest.raises(FormatError, match=what):
        States.from_document(Fields(document, "states"))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"source": {**COUNTER, "type": "os.system"}}, "type"),
        ({"identifiers": {"kind": "integer"}, "source": COUNTER}, "one source"),
        ({"format": {"kind": "plain", "dtype": "float65"}}, "float65"),
    ],
)
def test_fields_with_contradicting_parts_are_refused(change, what):
    fields = [{**TABLE["fields"][0], **change}, *TABLE["fields"][1:]]
    with pytest.raises(FormatError, match=what):
        Table.from_document({**TABLE, "fields": fields}, "table")


@pytest.mark.parametrize(
    ("key", "value"),
    [("modelled", {}), ("modelled", [{"name": "a"}]), ("modelled", [{"name": "a", "format": None}]), ("stages", [])],
)
def test_stages_that_are_none_are_refused(key, value):
    with pytest.raises(FormatError, match=key):
        Table.from_document({**TABLE, key: value}, "table")
