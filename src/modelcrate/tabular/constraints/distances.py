"""Distances as the model sees them: ``log(distance + 1)``, and values that lie a distance above others."""

from __future__ import annotations

import numpy as np

from modelcrate.errors import FormatError
from modelcrate.tabular.constraints.casting import DATETIME, nanoseconds, shifted
from modelcrate.tabular.constraints.exponential import exp


def compressed(difference: np.ndarray) -> np.ndarray:
    """``log(difference + 1)``; spans of time count in nanoseconds, NaT is NaN."""
    if difference.dtype.kind == "m":
        difference = difference.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(difference + 1))


def expanded(compressed: np.ndarray, dtype: str, *, recent: bool = False) -> np.ndarray:
    """The difference again: rounded, except for a float64 column (a float32 column's is rounded as well).

    ``recent``: by the exponential function of NumPy 2, which is that of the installed one; else by that of NumPy 1.
    """
    with np.errstate(over="ignore"):
        difference = (np.exp(compressed) if recent else exp(compressed)) - 1
    if dtype != "float64":
        difference = np.round(difference)
    return nanoseconds(difference) if dtype == DATETIME else difference


def raised(start: np.ndarray, difference: np.ndarray) -> np.ndarray:
    """``start`` plus a distance; raises :class:`FormatError` where one is about time and the other is not."""
    if (start.dtype.kind == "M") != (difference.dtype.kind == "m"):
        raise FormatError("a constraint adds a number to datetimes, or a span of time to numbers")
    return shifted(start, difference) if start.dtype.kind == "M" else np.asarray(start + difference)
