"""From encoded matrices to modelled columns: the dtypes that cells of all columns pass through."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from modelcrate.tabular.draws import CounterDraws, LegacyDraws, Reversal
from modelcrate.tabular.transformer import Transformer

NUMBER = {"type": "number", "minimum": None, "maximum": None, "digits": None, "learns_digits": False, "missing": None}
PLAIN = Reversal(draws=CounterDraws(0, 0))
REPLAY = Reversal(draws=LegacyDraws(np.random.RandomState(0)), overflows=True)


def transformer(*columns: tuple[str, dict[str, object]]) -> Transformer:
    document = {
        "columns": [
            {"name": str(place), "dtype": dtype, "encoding": encoding}
            for place, (dtype, encoding) in enumerate(columns)
        ]
    }
    return Transformer.from_document(document, "transformer")


def categories(*values: object) -> dict[str, object]:
    return {"type": "one_hot", "categories": list(values)}


def around(mean: float) -> dict[str, object]:
    one = np.ones(1)
    return {
        "type": "mode_specific",
        "means": one * mean,
        "deviations": one,
        "used": one > 0,
        "scales": one,
        "offsets": one,
        "number": {**NUMBER, "dtype": "float64"},
    }


def test_dates_may_be_missing() -> None:
    first = np.datetime64("2020-01-05", "ns")
    made = transformer(("datetime64[ns]", categories(first, math.nan)))
    found = made.inverse(np.eye(2, dtype=np.float32), PLAIN)["0"]
    assert found.dtype == "datetime64[ns]"
    assert pd.isna(found).tolist() == [False, True]
    assert found[0] == first


@pytest.mark.parametrize("beside", ["red", 1.5])
def test_a_number_beyond_its_dtype_overflows_in_a_replay_and_else_is_cut_off(beside: object) -> None:
    """Beside texts, all columns are objects on their way."""
    made = transformer(("object", categories(beside)), ("uint8", around(300.9)))
    matrix = np.array([[1.0, 0.0, 1.0]], dtype=np.float32)
    assert made.inverse(matrix, PLAIN)["1"].tolist() == [255]
    assert made.inverse(matrix, REPLAY)["1"].tolist() == [300 - 256]
