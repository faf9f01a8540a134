"""Typed reading of an untrusted map: strict types, stated bounds, and the path of whatever is wrong."""

from __future__ import annotations

import re

import numpy as np
import pytest

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields, kind_of


def fields(**values: object) -> Fields:
    return Fields(values, "state.x")


@pytest.mark.parametrize("value", [None, [], "x", 1, [("a", 1)], {1: 2}, {b"a": 1}])
def test_only_a_map_with_text_keys_has_fields(value):
    with pytest.raises(FormatError):
        Fields(value, "state")


@pytest.mark.parametrize(
    ("read", "good", "bad"),
    [
        ("boolean", [True, False], [0, 1, None, "true", 1.0]),
        ("integer", [0, -5, 2**62], [True, 1.0, "1", None, 2**63]),
        ("number", [0.5, -1.0], [1, True, float("nan"), float("inf"), "1"]),
        ("text", ["", "x"], [b"x", 1, None, ["x"]]),
        ("bytes", [b"", b"x"], ["x", bytearray(b"x"), None]),
        ("items", [[], [1]], [(), "x", {}]),
        ("texts", [["a"], []], [["a", 1], "a", [None]]),
        ("integers", [[1, 2]], [[1, True], [1.0], [-1]]),
        ("fields", [{}], [[], None]),
    ],
)
def test_D15_types_are_strict(read, good, bad):
    for value in good:
        getattr(fields(a=value), read)("a")
    for value in bad:
        with pytest.raises(FormatError) as caught:
            getattr(fields(a=value), read)("a")
        assert str(caught.value.where).startswith("state.x.a")


def test_bounds_are_kept():
    assert fields(a=3).integer("a", minimum=3, maximum=3) == 3
    for call in (
        lambda: fields(a=4).integer("a", maximum=3),
        lambda: fields(a=2.0).number("a", maximum=1.0),
        lambda: fields(a="abc").text("a", max_length=2),
        lambda: fields(a="a\n").text("a", pattern=re.compile("a")),
        lambda: fields(a="c").text("a", choices=("a", "b")),
        lambda: fields(a=[1, 2]).items("a", max_items=1),
        lambda: fields(a=[9]).integers("a", maximum=8),
        lambda: fields(a=b"abc").bytes("a", max_length=2),
    ):
        with pytest.raises(FormatError):
            call()


def test_arrays_are_of_one_dtype_and_rank():
    array = np.array([1.0, 2.0])
    assert fields(a=array).array("a", dtype="float64") is array
    for wrong in (array.astype("float32"), array.reshape(1, 2), [1.0], None, np.array([1.0, np.nan])):
        with pytest.raises(FormatError):
            fields(a=wrong).array("a", dtype="float64")
    assert fields(a=np.array([np.nan])).array("a", dtype=("float32", "float64"), finite=False).size == 1


def test_absent_null_and_optional_are_three_things():
    assert fields(a=None).nullable("a", fields().text) is None
    document = fields(b=2)
    assert document.optional("a", document.integer, 7) == 7
    assert document.optional("b", document.integer, 7) == 2
    with pytest.raises(FormatError, match="missing"):
        document.integer("a")
    with pytest.raises(FormatError):
        fields(a=None).integer("a")


def test_a_field_that_nobody_asked_for_is_an_error():
    document = fields(a=1, evil=2)
    document.integer("a")
    with pytest.raises(FormatError, match="evil"):
        document.finish()


def test_paths_lead_to_the_item():
    document = fields(rows=[{"n": 1}, {"n": "x"}])
    first, second = document.each_fields("rows")
    assert first.integer("n") == 1
    with pytest.raises(FormatError) as caught:
        second.integer("n")
    assert caught.value.where == "state.x.rows[1].n"


def test_kinds_are_named_in_the_words_of_the_format():
    assert [kind_of(it) for it in (None, True, 1, 1.5, "x", b"x", [], {}, np.zeros(1))] == [
        "null", "a boolean", "an integer", "a float", "text", "bytes", "a list", "a map", "an array",
    ]  # fmt: skip
