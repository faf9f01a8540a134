"""Numbers on their way back: clipped, rounded, in their dtype."""

from __future__ import annotations

import numpy as np
import pytest

from modelcrate.tabular.columns.missing import Missing
from modelcrate.tabular.columns.number import Number
from modelcrate.tabular.draws import LegacyDraws, Reversal


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
