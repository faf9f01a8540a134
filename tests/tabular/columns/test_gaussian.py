"""Numbers as normal scores: alone, with missing cells, and encoded twice in one table."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from scipy import stats

from modelcrate.errors import FormatError
from modelcrate.format import schema, values
from modelcrate.format.document import Fields
from modelcrate.tabular.columns import read_table_encoding
from modelcrate.tabular.draws import CounterDraws, Reversal
from modelcrate.tabular.table import Table

MISSING = {"fill": 4.0, "flagged": True, "seen": True, "share": 0.0}


def encoding(*, missing: dict | None = None, dtype: str = "float64", digits: int | None = None) -> dict:
    number = {
        "type": "number", "dtype": dtype, "minimum": None, "maximum": None, "digits": digits, "learns_digits": False,
        "missing": missing,
    }  # fmt: skip
    return {
        "type": "normal_score",
        "distribution": {"type": "gamma", "shape": 2.0, "loc": 0.0, "scale": 3.0},
        "number": number,
    }


def how() -> Reversal:
    return Reversal(draws=CounterDraws(1, 1))


def test_scores_become_values_and_values_scores():
    column = read_table_encoding(Fields(encoding(), "encoding"))
    scores = np.linspace(-2.0, 2.0, 9)
    found = column.reverse([scores], how())
    np.testing.assert_allclose(found, stats.gamma.ppf(stats.norm.cdf(scores), 2.0, scale=3.0))
    again = [column.forward(float(value), CounterDraws(1, 1))[0] for value in found]
    np.testing.assert_allclose(again, scores, atol=1e-9)


def test_a_flag_goes_past_the_distribution():
    column = read_table_encoding(Fields(encoding(missing=MISSING), "encoding"))
    assert column.outputs == 2
    found = column.reverse([np.array([0.0, 1.0]), np.array([0.1, 0.9])], how())
    assert np.isnan(found).tolist() == [False, True]
    score, flag = column.forward(None, CounterDraws(1, 1))
    assert flag == 1.0
    assert score == pytest.approx(stats.norm.ppf(stats.gamma.cdf(4.0, 2.0, scale=3.0)))


def test_values_are_rounded_as_the_number_says():
    column = read_table_encoding(Fields(encoding(dtype="int64"), "encoding"))
    assert column.reverse([np.linspace(-1, 1, 5)], how()).dtype == np.dtype("int64")


def table(inner: str) -> dict:
    field = {"kind": "number", "whole": True, "dtype": "int64", "identifiers": None, "anonymiser": None}
    outer = {**encoding(dtype="int64")["number"], "minimum": 1, "maximum": 9}
    return {
        "fields": [{"name": "age", **field}],
        "columns": [
            {"name": "age", "outputs": [inner], "encoding": outer},
            {"name": inner, "outputs": ["age"], "encoding": encoding()},
        ],
        "constraints": {"constraints": [], "applied": []},
        "primary_key": [],
    }


def test_a_column_may_be_encoded_twice_and_end_under_its_first_name():
    found = Table.from_document(table("age#1"), "table")
    rows = found.reverse({"age": np.array([-2.0, 0.0, 3.0])}, 3, how(), Random(1))
    assert list(rows.columns) == ["age"]
    expected = np.clip(stats.gamma.ppf(stats.norm.cdf([-2.0, 0.0, 3.0]), 2.0, scale=3.0), 1, 9).round()
    assert rows["age"].tolist() == expected.tolist()
    known = found.forward({"age": 5}, CounterDraws(1, 1))
    assert known == {"age": pytest.approx(stats.norm.ppf(stats.gamma.cdf(5.0, 2.0, scale=3.0)))}


def test_its_document_follows_the_schema_and_survives_its_bytes():
    state = table("age#1")
    schema.validate_state(state, "tabular.table/1", "table")
    decoded = values.decode(values.encode(state), where="table")
    assert values.encode(Table.from_document(decoded, "table").to_document()) == values.encode(state)


@pytest.mark.parametrize("part", ["distribution", "number", "type"])
@pytest.mark.parametrize("junk", [None, [], {}, 3, "x", {"type": "normal_score"}])
def test_C27_junk_in_a_field_is_refused(part, junk):
    with pytest.raises(FormatError):
        read_table_encoding(Fields({**encoding(), part: junk}, "encoding"))
