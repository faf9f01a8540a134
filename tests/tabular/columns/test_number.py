"""Numbers on their way back: clipped, rounded, in their dtype."""

from __future__ import annotations

import numpy as np
import pytest

from modelcrate.tabular.columns.missing import Missing
from modelcrate.tabular.columns.number import Number, within
from modelcrate.tabular.draws import CounterDraws, LegacyDraws, Reversal


@pytest.mark.parametrize("dtype", ["int16", "uint8"])
def test_missing_cells_keep_a_column_of_whole_numbers_float(dtype: str) -> None:
    missing = Missing(fill=4.0, flagged=True, seen=True, share=0.0)
    column = Number(dtype=np.dtype(dtype), minimum=4, maximum=99, digits=0, learns_digits=False, missing=missing)
    how = Reversal(draws=LegacyDraws(np.random.RandomState(0)))
    found = column.reverse([np.array([3.2, 50.7, 120.0]), np.array([0.0, 1.0, 0.2])], how)
    assert found.dtype == np.float64
    assert found[[0, 2]].tolist() == [4.0, 99.0]
    assert np.isnan(found[1])
    whole = column.reverse([np.array([3.2, 50.7]), np.array([0.0, 0.0])], how)
    assert whole.dtype == np.dtype(dtype)
    assert whole.tolist() == [4, 51]


def test_numbers_beyond_the_dtype_are_cut_off_and_overflow_only_in_a_replay() -> None:
    column = Number(dtype=np.dtype("int8"), minimum=None, maximum=None, digits=None, learns_digits=False, missing=None)
    values = [np.array([300.4, -200.0, 5.6])]
    assert column.reverse(values, Reversal(draws=CounterDraws(0, 0))).tolist() == [127, -128, 6]
    again = Reversal(draws=LegacyDraws(np.random.RandomState(0)), overflows=True)
    assert column.reverse(values, again).tolist() == [300 - 256, 256 - 200, 6]


@pytest.mark.parametrize("dtype", ["int64", "uint64", "int32", "uint8"])
def test_what_is_cut_off_is_a_number_of_the_dtype(dtype: str) -> None:
    limits = np.iinfo(dtype)
    found = within(np.array([-1e30, 1e30]), np.dtype(dtype)).astype(dtype)
    assert found[0] == limits.min
    assert limits.max - 2048 < int(found[1]) <= limits.max  # the next float below 2**64 is 2048 less
