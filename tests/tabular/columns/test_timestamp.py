"""Date formats from a file: what they may ask of the C library and of pandas."""

from __future__ import annotations

import numpy as np
import pytest

from modelcrate.errors import FormatError, UsageError
from modelcrate.format.document import Fields
from modelcrate.tabular.columns.timestamp import Timestamp
from modelcrate.tabular.draws import CounterDraws, Reversal


def timestamp(pattern, *, text=True):
    return Timestamp.from_document(Fields({"format": pattern, "text": text, "unit": 1, "missing": None}, "date"))


@pytest.mark.parametrize("pattern", ["%30000Y", "%-9d", "%_0^#7Y", "%Y %100000000m"])
def test_a_format_that_pads_to_a_width_of_its_own_is_refused(pattern):
    with pytest.raises(FormatError, match="width"):
        timestamp(pattern)


@pytest.mark.parametrize("pattern", ["%Y%Y", "%c%c", "%d" * 20])
def test_a_directive_that_comes_twice_never_ends_in_an_error_of_the_regular_expressions(pattern):
    dates = np.array([0.0, np.nan, 1e18])
    for text in (True, False):
        found = timestamp(pattern, text=text).reverse([dates], Reversal(draws=CounterDraws(1, 0)))
        assert len(found) == 3
    with pytest.raises(UsageError, match="is no date of the format"):
        timestamp(pattern).forward("2020-01-01", CounterDraws(1, 0))
