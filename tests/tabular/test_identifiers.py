"""Identifiers count as they did: ``fixtures/identifiers.json`` holds, per expression, the first 70 texts that
``sdv.metadata.utils.strings_from_regex`` of sdv 0.17.2 gives (``all``: there are no more)."""

from __future__ import annotations

import contextlib
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from effort import within
from modelcrate.errors import FormatError, LimitError, UnsupportedError, UsageError
from modelcrate.format.document import Fields
from modelcrate.tabular.identifiers import Identifiers, enumerate_pattern

CASES = json.loads((Path(__file__).parent / "fixtures" / "identifiers.json").read_text(encoding="utf-8"))


def read(document):
    return Identifiers.from_document(Fields(document, "table.columns[0].identifiers"))


@pytest.mark.parametrize("case", CASES, ids=[case["pattern"] for case in CASES])
def test_texts_come_in_the_order_of_the_original(case):
    expected = case["first"]
    made = read({"kind": "text", "pattern": case["pattern"]}).make(len(expected))
    assert made.tolist() == expected
    assert made.dtype == object
    if case["all"]:
        assert enumerate_pattern(case["pattern"], where="pattern").size == len(expected)


def test_integers_count_from_zero():
    made = read({"kind": "integer"}).make(4)
    assert made.tolist() == [0, 1, 2, 3]
    assert made.dtype == np.int64
    assert Identifiers().make(2, start=5).tolist() == [5, 6]
    assert Identifiers().make(0).tolist() == []


def test_a_later_start_goes_on_where_an_earlier_sample_stopped():
    texts = Identifiers(pattern="[a-c]{1,3}")
    whole = texts.make(39).tolist()
    assert texts.make(20).tolist() + texts.make(19, start=20).tolist() == whole
    assert len(set(whole)) == 39
    assert all(len(first) <= len(second) for first, second in pairwise(whole))


def test_asking_for_more_than_there_are_says_how_many_there_are():
    with pytest.raises(UsageError, match="gives 10 different identifiers, fewer than 11"):
        Identifiers(pattern="x[0-9]").make(11)
    with pytest.raises(UsageError, match="gives 10 "):
        Identifiers(pattern="x[0-9]").make(1, start=10)


def test_a_pattern_of_more_than_64_bits_of_texts_is_counted_exactly():
    # the original counts in 64 bits and wraps around
    assert enumerate_pattern("[a-zA-Z]+", where="pattern").size == sum(52**n for n in range(1, 17))
    assert enumerate_pattern("[0-9a-f]{32}", where="pattern").text(16**32 - 1) == "f" * 32


@pytest.mark.parametrize("document", [{"kind": "integer"}, {"kind": "text", "pattern": r"AB\d{4}"}])
def test_a_document_survives_reading_and_writing(document):
    assert read(document).to_document() == document


@pytest.mark.parametrize(
    "pattern",
    [
        "(a)",
        "a+?",
        "[^a]",
        "[^ab]",
        "ab|cd",
        "(?=a)b",
        "(?P<n>a)",
        "(a|b)c",
        "(ab)+",
        r"[^\d]",
        r"(a)\1",
        "a{0}",
        "(?>a)",
    ],
)
def test_what_the_original_could_not_enumerate_is_unsupported(pattern):
    with pytest.raises((UnsupportedError, FormatError)) as caught:
        read({"kind": "text", "pattern": pattern})
    assert "pattern" in str(caught.value)


@pytest.mark.parametrize("pattern", ["(", "[", "a**", "\\", "(?P<", "x{3,2}", "\\N{NO SUCH}", "(?z)", "(?a)a", "[z-a]"])
def test_what_is_no_expression_is_refused(pattern):
    with pytest.raises(FormatError):
        read({"kind": "text", "pattern": pattern})


@pytest.mark.parametrize(
    "pattern",
    [
        "a" * 257,
        "(" * 100 + "a" + ")" * 100,
        "(?:" * 60 + "a" + ")" * 60,
        "a{4294967294}",
        "a{1000000,}",
        "a{0,99999999999999999999}",
        "(?:(?:a{999}){999}){999}",
        "[a-z]{1025}",
        "[\\ud800-\\udfff]",
        "[\\x00-\\U0010ffff]",
        "(?:[a-z]{30}){30}" * 8,
        "(?:){1,1000000000}",
        "(?:a{0}){1,4000000000}b",
    ],
)
def test_a_hostile_pattern_costs_nothing(pattern):
    """H15: an expression from a file is bounded before anything is built from it."""

    def enumerated():
        with contextlib.suppress(FormatError, LimitError, UnsupportedError):
            texts = enumerate_pattern(pattern, where="pattern")
            assert len(texts.text(min(texts.size, 10**9) - 1)) <= 10_000

    within(1.0, enumerated)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"kind": "uuid"},
        {"kind": "text"},
        {"kind": "text", "pattern": 3},
        {"kind": "text", "pattern": "a", "more": 1},
        {"kind": "integer", "pattern": "a"},
        [],
    ],
)
def test_a_malformed_document_is_refused(document):
    with pytest.raises(FormatError):
        read(document)


def test_cells_that_stand_in_for_keys_begin_anew_where_the_pattern_ends():
    assert read({"kind": "text", "pattern": "[ab]"}).stand_in(5).tolist() == ["a", "b", "a", "b", "a"]
    assert read({"kind": "text", "pattern": "[0-9]"}).stand_in(3).tolist() == ["0", "1", "2"]
    assert read({"kind": "integer"}).stand_in(3).tolist() == [0, 1, 2]
