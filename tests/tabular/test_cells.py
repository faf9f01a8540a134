"""Cells of frames: the dtype that pandas infers, columns of any name."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from modelcrate.tabular.cells import Categories, inferred, with_columns


@pytest.mark.parametrize(
    "values",
    [
        [5, math.nan],
        [2**70, 5, math.nan],
        [2**70, 1.5],
        [2**63, math.nan],
        [2**63, 1.5],
        [2**63, -1],
        [2**63, -1, math.nan],
        [2**63, 1, math.nan],
        [2**64, math.nan],
        [-(2**63) - 1, math.nan],
        [2**63, 1],
        [2**64],
        [-1, 1],
        [10**400, 1.5],
    ],
)
def test_integers_of_any_size_are_of_the_dtype_that_pandas_infers(values: list[object]) -> None:
    assert inferred(values) == pd.Series(values).dtype


def test_a_column_may_have_the_name_of_an_argument() -> None:
    frame = pd.DataFrame({"self": [1, 2], "a": [3, 4]})
    found = with_columns(frame, {"self": np.array([5, 6]), "b": "x"})
    assert found.to_dict("list") == {"self": [5, 6], "a": [3, 4], "b": ["x", "x"]}
    assert frame.to_dict("list") == {"self": [1, 2], "a": [3, 4]}


def test_categories_that_are_moments_keep_their_nanoseconds() -> None:
    moments = [pd.Timestamp("2014-02-03 00:00:00.915947503"), pd.Timestamp("2014-02-03")]
    found = Categories(tuple(moments)).take(np.array([1, 0]))
    assert found.tolist() == [moment.as_unit("ns").value for moment in reversed(moments)]
