"""State documents and graphs that no training makes: smallest inputs of faults that mutations found, their bounds."""

from __future__ import annotations

import contextlib
import decimal
import pickle
import struct
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest

import modelcrate
from effort import within
from modelcrate.errors import FormatError, LimitError, ModelcrateError, UnsupportedError
from modelcrate.format.document import Fields
from modelcrate.legacy.context import Context
from modelcrate.legacy.disclosure import leaks
from modelcrate.legacy.families.known import setting
from modelcrate.legacy.graph import Call, Dict, Global
from modelcrate.legacy.reader import read_for_conversion
from modelcrate.legacy.view import View
from modelcrate.redaction import _counts, _explained
from modelcrate.tabular.cells import Categories
from modelcrate.tabular.columns import read_table_encoding
from modelcrate.tabular.copula.config import CopulaConfig
from modelcrate.tabular.copula.core import JointCore
from modelcrate.tabular.copula.joint import Joint
from modelcrate.tabular.draws import CounterDraws, LegacyDraws, Reversal
from modelcrate.tabular.formats import CellFormat
from modelcrate.tabular.series.table import SeriesTable
from modelcrate.tabular.sources import read_source

PATTERN: dict[str, Any] = {
    "type": "pattern", "pattern": "[0-9]{3}", "rule": "unique", "scrambled": False, "distinct": None, "repeats": None,
    "capacity": 1000.0, "made": 0, "spare": 0, "left": None, "seed": 1, "state": 7,
}  # fmt: skip
MADE_UP: dict[str, Any] = {
    "type": "made_up", "provider": "name", "keywords": {}, "locales": [], "rule": "any", "missing": None,
    "distinct": None, "repeats": None, "seed": 0, "twisted": [], "seen": [], "stood_in": [], "values": None,
    "left": None, "state": 7,
}  # fmt: skip
ONCE = {"counts": np.ones(1, dtype=np.int64), "shares": np.ones(1)}


def source(document: dict[str, Any], **changes: Any) -> Any:
    return read_source(Fields({**document, **changes}, "source"))


NINES = "9{1000}9{1000}9{1000}9{1000}"


@pytest.mark.parametrize("rule", ["unique", "any", "match", "scale"])
def test_H17_numbers_of_thousands_of_digits_are_not_counted_up(rule: str) -> None:
    given = {"match": {"distinct": 5}, "scale": {"repeats": ONCE}}.get(rule, {})
    made = source(PATTERN, pattern=NINES, rule=rule, **given)
    assert len(made.resume().take(5)) == len(made.start(Random(1)).take(5)) == 5


def test_H1_an_identifier_has_at_most_4096_characters() -> None:
    with pytest.raises(LimitError):
        source(PATTERN, pattern="a{1000}" * 5)


def test_a_counter_at_its_end_begins_again() -> None:
    assert len(source(PATTERN, restarts=True, made=1000, capacity=1e18).resume().take(5)) == 5


@pytest.mark.parametrize("rule", ["unique", "any", "match", "scale"])
def test_no_cells_are_no_trouble(rule: str) -> None:
    given = {"match": {"distinct": 5}, "scale": {"repeats": ONCE}}.get(rule, {})
    assert len(source(PATTERN, rule=rule, **given).resume().take(0)) == 0


def test_H13_a_million_shares_cost_once() -> None:
    many = {"counts": np.ones(10**6, dtype=np.int64), "shares": np.full(10**6, 1e-6)}
    maker = source(PATTERN, rule="scale", repeats=many).start(Random(1))
    within(1.0, lambda: maker.take(1000))


@pytest.mark.parametrize("changes", [{"distinct": 0}, {"distinct": 0, "renews": True}, {"distinct": 3, "values": []}])
def test_F16_nothing_to_repeat_is_said(changes: dict[str, Any]) -> None:
    pytest.importorskip("faker")
    with pytest.raises(UnsupportedError, match="no values"):
        source(MADE_UP, rule="match", **changes).resume().take(5)


def test_what_a_provider_can_not_make_is_said() -> None:
    pytest.importorskip("faker")
    with pytest.raises(UnsupportedError, match="zipcode_in_state"):
        source(MADE_UP, provider="zipcode_in_state", keywords={"state_abbr": "zz"}).start(Random(1)).take(2)


@pytest.mark.parametrize("changes", [
    {"rule": "unique", "seen": [decimal.Decimal("sNaN")]},
    {"rule": "scale", "repeats": ONCE, "left": [{"a": 1}, 3]},
    {"rule": "scale", "repeats": ONCE, "left": [[1], 3]},
    {"rule": "scale", "repeats": ONCE, "left": [np.zeros(3), 3]},
])  # fmt: skip
def test_what_is_no_cell_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        source(MADE_UP, **changes)


def label(categories: list[object]) -> Any:
    return read_table_encoding(Fields({"type": "label", "categories": categories, "noise": False}, "encoding"))


def test_H17_integers_beyond_floats_are_objects() -> None:
    found = label([10**400, 1.5]).reverse([np.array([0.0, 1.0])], Reversal(draws=CounterDraws(1, 1)))
    assert found.tolist() == [10**400, 1.5]


def test_signalling_numbers_are_no_categories() -> None:
    with pytest.raises(FormatError):
        label([decimal.Decimal("sNaN"), 1])


def test_H13_cells_are_found_among_many_categories_at_once() -> None:
    texts: list[object] = [f"c{number}" for number in range(100_000)]
    categories = Categories(tuple(texts))
    within(1.0, lambda: [categories.find(text) for text in texts[-2000:]])
    assert Categories((1, True, 1.0, "1", None)).find(True) == 0
    assert Categories(("a", None)).find(float("nan")) == 1


@pytest.mark.parametrize("cells", [[decimal.Decimal("sNaN")], [10**400], [{"a": 1}]], ids=["signal", "huge", "map"])
@pytest.mark.parametrize("dtype", ["Int8", "boolean", "float16", "int8"])
def test_cells_that_fit_no_dtype_are_refused(cells: list[object], dtype: str) -> None:
    written = CellFormat.from_document(Fields({"kind": "plain", "dtype": dtype}, "format"))
    try:
        written.write(pd.Series(cells, dtype=object))
    except ModelcrateError:
        return
    assert dtype == "boolean", "only truth can be told of anything"


def timestamp(**changes: Any) -> Any:
    document = {"type": "timestamp", "format": "%Y", "text": True, "unit": 1, "missing": None, **changes}
    return read_table_encoding(Fields(document, "encoding"))


def test_a_format_of_zones_alone_writes_nothing() -> None:
    found = timestamp(format="%Z%z").reverse([np.array([0.0, np.nan])], Reversal(draws=CounterDraws(1, 1)))
    assert found[0] == ""
    assert np.isnan(found[1])


def test_H1_a_zone_is_not_written_out_dozens_of_times() -> None:
    with pytest.raises(FormatError, match="zone"):
        timestamp(format="%Z" * 64, zone={"offset": 0, "name": "z" * 128})


# -- graphs


def test_H4_a_setting_of_shared_lists_is_not_expanded() -> None:
    laughs: list[object] = ["a"] * 10
    for _ in range(12):
        laughs = [laughs] * 10
    with pytest.raises(UnsupportedError):
        setting(View(laughs, "model.epochs", Context()))


@pytest.mark.parametrize(
    "value", [10**2400, float("nan"), b"x", [[[[[[[[[[1]]]]]]]]]]], ids=["huge", "nan", "bytes", "deep"]
)
def test_H17_settings_are_plain_json(value: object) -> None:
    with pytest.raises(UnsupportedError):
        setting(View(value, "model.epochs", Context()))


def test_a_member_of_an_enumeration_is_a_number_or_a_text() -> None:
    kind = Global("kinds", "Kind", offset=0, opcode="GLOBAL")
    for value in (Dict(), [[1]], None, 1.5):
        call = Call(kind, (value,), None, offset=0, opcode="REDUCE")
        with pytest.raises(FormatError, match="member"):
            View(call, "model.kind", Context()).enum("kinds.Kind")


@pytest.mark.parametrize("depth", [2, 5000])
def test_H6_a_bit_generator_of_bit_generators_is_none(depth: int) -> None:
    data = (
        b"\x80\x04" + b"cnumpy.random._pickle\n__bit_generator_ctor\n" * depth + b"\x8c\x07MT19937" + b"\x85R" * depth
    )
    with pytest.raises(ModelcrateError):
        read_for_conversion(data + b".").root.value()
    with pytest.raises(ModelcrateError):
        modelcrate.read_legacy(data + b".")


def text(content: str) -> bytes:
    return b"X" + struct.pack("<I", len(content)) + content.encode()


def shared(node: bytes, times: int) -> bytes:
    return node + b"r\x84\x03\0\0" + b"j\x84\x03\0\0" * times


NUMBERS = pickle.dumps(np.arange(50_000, dtype=np.int32), 2)[2:-1]
WALKS = {
    "lines": text("\n" * 65536),
    "one text": b"](" + shared(text("x" * 65536), 20_000) + b"e",
    "row numbers": b"}(" + text("model") + b"](](" + shared(NUMBERS, 20_000) + b"eeu",
}


@pytest.mark.parametrize("name", WALKS)
def test_H13_what_a_file_discloses_is_found_in_linear_time(name: str) -> None:
    legacy = read_for_conversion(b"\x80\x04" + WALKS[name] + b".")
    within(1.0, lambda: leaks(legacy))


def test_H13_shares_of_many_categories_are_explained_within_bounds() -> None:
    within(2.0, lambda: _explained(np.full(20_000, 1 / 20_000)))
    assert 20_000 in _explained(np.full(20_000, 1 / 20_000))
    assert _explained(np.zeros(3)) == set()
    assert not _counts(np.zeros(3), 100).any()


# -- copulas and time series


def joint_core(correlation: object, distribution: dict[str, Any] | None = None) -> JointCore:
    matrix = np.array(correlation, dtype=np.float64)
    given = distribution or {"type": "normal", "loc": 0.0, "scale": 1.0}
    columns = [{"name": f"c{number}", "distribution": dict(given)} for number in range(len(matrix))]
    joint = Joint.from_document({"columns": columns, "correlation": matrix}, "joint")
    return JointCore(joint, CopulaConfig(replay=None, early_rotations=True))


TINY = 5e-324
MATRICES = {
    "denormal": [[TINY, 0.0], [0.0, TINY]],
    "underflow": np.full((3, 3), 1e-200).tolist(),
    "no eigenvalues": [[TINY, 1e-160, 0.5], [1e-160, 1e-160, 1e-160], [0.5, 1e-160, 1e-200]],
    "one": np.ones((4, 4)).tolist(),
}


@pytest.mark.parametrize("known", [{}, {"c0": 0.5}], ids=["free", "known"])
@pytest.mark.parametrize("name", MATRICES)
def test_F16_correlations_that_are_none_give_rows_or_an_error(name: str, known: dict[str, object]) -> None:
    pytest.importorskip("scipy")
    core = joint_core(MATRICES[name])
    with contextlib.suppress(FormatError):
        core.remade(5, known, LegacyDraws(np.random.RandomState(1)))
    with contextlib.suppress(FormatError):
        core.given(known)[0].root()


def test_F16_a_distribution_beyond_computing_is_an_error() -> None:
    pytest.importorskip("scipy")
    core = joint_core([[1.0]], {"type": "beta", "a": 1e308, "b": TINY, "loc": 0.0, "scale": 1.0})
    with contextlib.suppress(FormatError):  # some releases of scipy compute it
        core.remade(5, {}, LegacyDraws(np.random.RandomState(1)))


def test_H1_times_are_short() -> None:
    feature = {"name": "f", "encoding": {"type": "scaled", "range": "zero_one", "minimum": None, "maximum": None,
                                         "per_example": False}}  # fmt: skip
    layout = {"type": "long", "order": ["f", "t"], "discrete": [], "example": None, "flag": None, "numeric": True,
              "time": {"name": "t", "values": ["a" * 100_000]}}  # fmt: skip
    with pytest.raises(FormatError, match="time"):
        SeriesTable.from_document({"attributes": [], "features": [feature], "steps": 1000, "layout": layout}, "series")
