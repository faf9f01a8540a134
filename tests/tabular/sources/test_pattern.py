"""Identifiers by a regular expression: order, exhaustion, scrambling, bounds."""

from __future__ import annotations

import contextlib
import itertools
import string
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effort import within
from modelcrate.errors import FormatError, LimitError, ModelcrateError, UnsupportedError
from modelcrate.format import values
from modelcrate.format.document import Fields
from modelcrate.tabular.identifiers import enumerate_pattern
from modelcrate.tabular.sources import read_source


def document(pattern: str = "[ab]c?", **changes: Any) -> dict[str, Any]:
    return {
        "type": "pattern", "pattern": pattern, "rule": "any", "scrambled": False, "distinct": None, "repeats": None,
        "capacity": 4.0, "made": 0, "spare": 0, "left": None, "seed": 3, "state": 4, **changes,
    }  # fmt: skip


def source(pattern: str = "[ab]c?", **changes: Any) -> Any:
    return read_source(Fields(document(pattern, **changes), "source"))


def repeats(counts: list[int], shares: list[float]) -> dict[str, Any]:
    return {"counts": np.array(counts, dtype=np.int64), "shares": np.array(shares)}


GROUPS = [
    ("(ab)", ["ab"]),
    ("([ab]\\d)x", [f"{a}{b}x" for a in "ab" for b in string.digits]),
    ("(a|b)(c)", ["ac", "bc"]),
    ("([ab]){2}", ["aa", "ab", "ba", "bb"]),
    ("(?P<n>[xy])-", ["x-", "y-"]),
    ("^(a)$", ["a"]),
    ("((a|b)-){1,2}", ["a-", "b-", "a-a-", "a-b-", "b-a-", "b-b-"]),
]


@pytest.mark.parametrize(("pattern", "texts"), GROUPS)
def test_numbered_groups_are_enumerated(pattern, texts):
    found = enumerate_pattern(pattern, where="pattern", grouped=True)
    assert found.span(0, found.size) == texts
    with pytest.raises(UnsupportedError):
        enumerate_pattern(pattern, where="pattern")


@given(
    parts=st.lists(
        st.sampled_from(["[ab]", "\\d", "x", "[a-c]{2}", "[01]{1,3}", "(a|b)", "([ab]c){1,2}", "y?"]), max_size=5
    ),
    start=st.integers(0, 3000),
    count=st.integers(0, 300),
)
@settings(max_examples=60, deadline=None)
def test_a_span_is_its_texts_one_by_one(parts, start, count):
    texts = enumerate_pattern("z" + "".join(parts), where="pattern", grouped=True)
    stop = min(start + count, texts.size)
    assert texts.span(start, start + count) == [texts.text(number) for number in range(start, stop)]


def test_a_long_number_is_counted_like_a_number():
    texts = enumerate_pattern("\\d{30}", where="pattern", grouped=True)
    assert texts.span(10**29 - 40, 10**29 + 40) == [f"{number:030}" for number in range(10**29 - 40, 10**29 + 40)]


HOSTILE = [
    "(" * 120 + "a" + ")" * 120,
    "((((.{16}){16}){16}){16}){16}",
    "(a{1000}){1000}",
    "(" + "a{999}" * 35 + "){2}",
    "(.{1,1000})" * 20,
    "((a?){16}){16}",
    "(.*)*",
    "(((a{0}){9}){9}){999}",
]


@pytest.mark.parametrize("pattern", HOSTILE, ids=[pattern[:20] for pattern in HOSTILE])
def test_hostile_expressions_cost_nothing(pattern):
    def made():
        with contextlib.suppress(LimitError, FormatError, UnsupportedError):
            maker = source(pattern).start(Random(1))
            assert max(map(len, maker.take(3))) <= 1 << 15

    within(3.0, made)


@pytest.mark.parametrize("pattern", ["a|bc", "[^a]", "a(?=b)", "(?!a)b", "(a)\\1", "a*?", "(?>a)b", "a++"])
def test_what_no_order_can_be_told_of_is_refused(pattern):
    with pytest.raises((UnsupportedError, FormatError)):
        source(pattern)


def test_more_than_the_expression_describes_begins_again():
    assert list(source("[ab]").start(Random(1)).take(5)) == list("ababa")


def test_unique_texts_go_on_with_numbers_or_counters():
    assert list(source("[89]", rule="unique").start(Random(1)).take(5)) == ["8", "9", "10", "11", "12"]
    letters = source("[ab]", rule="unique").start(Random(1)).take(7)
    assert list(letters) == ["a", "b", "a(0)", "b(0)", "a(1)", "b(1)", "a(2)"]


def test_a_scrambled_column_holds_the_same_texts_in_another_order():
    found = source("[a-z]{3}", rule="unique", scrambled=True).start(Random(1)).take(26**3)
    texts = ["".join(letters) for letters in itertools.product(string.ascii_lowercase, repeat=3)]
    assert list(found) != texts
    assert sorted(found) == texts
    other = source("[a-z]{3}", rule="unique", scrambled=True).start(Random(2)).take(26**3)
    assert list(other) != list(found)


def test_as_many_values_as_the_original_had():
    found = source("[ab]", rule="match", distinct=5).start(Random(1)).take(11)
    assert list(found) == ["a", "b", "a(0)", "b(0)", "a(1)"] * 2 + ["a"]


def test_very_many_values_are_not_made_before_they_are_needed():
    maker = source("[ab]", rule="match", distinct=5_000_000)
    for begin in (maker.resume, lambda: maker.start(Random(1))):
        assert within(1.0, lambda begin=begin: list(begin().take(3))) == ["a", "b", "a(0)"]


def test_values_repeat_as_often_as_in_the_original():
    found = source("\\d{3}", rule="scale", repeats=repeats([2, 3], [0.5, 0.5])).start(Random(1)).take(400)
    lengths = {len(list(group)) for _, group in itertools.groupby(found[:-3])}
    assert lengths == {2, 3}


def test_what_is_left_of_a_value_comes_first():
    maker = source("\\d", rule="scale", repeats=repeats([2], [1.0]), left=["7", 3]).resume()
    assert list(maker.take(2)) == ["7", "7"]
    assert list(maker.take(4)) == ["7", "0", "0", "1"]


STATE = {"key": np.zeros(624, "uint32"), "position": 0, "has_normal": False, "normal": 0.0}
INVALID = [
    ("C6-unknown-field", {"hook": 1}, "hook"),
    ("F1-other-kind", {"type": "os.system"}, "type"),
    ("D15-pattern-bytes", {"pattern": b"a"}, "pattern"),
    ("pattern-long", {"pattern": "a" * 257}, "pattern"),
    ("D15-broken-pattern", {"pattern": "[a"}, "pattern"),
    ("D15-rule", {"rule": "thrice"}, "rule"),
    ("D23-match-without-number", {"rule": "match"}, "distinct"),
    ("D23-number-without-match", {"distinct": 4}, "distinct"),
    ("D23-huge-number", {"rule": "match", "distinct": 10**9}, "distinct"),
    ("D23-scale-without-repeats", {"rule": "scale"}, "repeats"),
    ("D21-shares", {"rule": "scale", "repeats": repeats([1], [0.5])}, "shares"),
    ("D21-negative-share", {"rule": "scale", "repeats": repeats([1, 2], [1.5, -0.5])}, "shares"),
    ("D21-share-nan", {"rule": "scale", "repeats": repeats([1], [float("nan")])}, "shares"),
    ("D22-no-repetition", {"rule": "scale", "repeats": repeats([0], [1.0])}, "counts"),
    ("D23-lengths", {"rule": "scale", "repeats": repeats([1, 2], [1.0])}, "repeats"),
    ("D22-capacity-nan", {"capacity": float("nan")}, "capacity"),
    ("D15-capacity", {"capacity": 4}, "capacity"),
    ("D23-more-made-than-there-are", {"made": 5}, "made"),
    ("D15-negative", {"made": -1}, "made"),
    ("D15-left", {"left": ["a"]}, "left"),
    ("D15-left-number", {"left": [1, 2]}, "left"),
    ("D15-left-negative", {"left": ["a", -2]}, "left"),
    ("D15-seed", {"seed": 2**32}, "seed"),
    ("D15-state", {"state": "now"}, "state"),
    ("D17-state-short", {"state": {**STATE, "key": np.zeros(3, "uint32")}}, "key"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "where"), [each[1:] for each in INVALID], ids=[each[0] for each in INVALID])
def test_a_document_that_is_none_is_refused_by_its_field(changes, where):
    with pytest.raises(ModelcrateError) as caught:
        source(**changes)
    assert where in str(caught.value)


@given(
    st.fixed_dictionaries(
        {
            "rule": st.sampled_from(["any", "unique"]),
            "scrambled": st.booleans(),
            "capacity": st.floats(0, 1e30),
            "made": st.integers(0, 20),
            "spare": st.integers(0, 2**53),
            "left": st.none() | st.tuples(st.text(max_size=5), st.integers(1, 2**53)).map(list),
            "seed": st.integers(0, 2**32 - 1),
            "state": st.integers(0, 2**32 - 1),
        }
    )
)
@settings(max_examples=40, deadline=None)
def test_a_document_survives_its_bytes(changes):
    first = document("[ab]\\d", **changes)
    again = read_source(Fields(values.decode(values.encode(first), where="source"), "source")).to_document()
    assert again == first
