"""Counters between two texts."""

from __future__ import annotations

from random import Random

import pytest

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields
from modelcrate.tabular.sources import read_source

DOCUMENT = {"type": "index", "before": "A-", "first": -1, "after": "!", "made": 3}


def test_a_fresh_one_begins_and_a_resumed_one_goes_on():
    source = read_source(Fields(dict(DOCUMENT), "source"))
    fresh = source.start(Random(1))
    assert list(fresh.take(2)) == ["A--1!", "A-0!"]
    fresh.skip(10)
    assert list(fresh.take(1)) == ["A-11!"]
    assert list(source.resume().take(2)) == ["A-2!", "A-3!"]
    assert source.unique
    assert source.to_document() == DOCUMENT


@pytest.mark.parametrize(
    ("field", "junk"),
    [("before", 3), ("before", "x" * 5000), ("first", 1.0), ("first", 2**60), ("after", None), ("made", -1)],
)
def test_a_document_that_is_none_is_refused_by_its_field(field, junk):
    with pytest.raises(FormatError, match=field):
        read_source(Fields({**DOCUMENT, field: junk}, "source"))
