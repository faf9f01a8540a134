"""Dates out of cells: texts of a format, timestamps, numbers of nanoseconds, all as ``datetime64[ns]``."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from modelcrate.errors import FormatError

NAT = np.datetime64("NaT", "ns")
PRECISION = {
    "Y": 1, "y": 1, "B": 2, "b": 2, "m": 2, "d": 3, "j": 3, "U": 3, "W": 3, "A": 3, "a": 3, "w": 3, "H": 4, "I": 4,
    "M": 5, "S": 6, "f": 7,
}  # fmt: skip
"""How fine the directives of a date format are, from years to microseconds."""


def to_moments(cells: np.ndarray, pattern: str | None, *, each: bool = False) -> np.ndarray:
    """Cells as ``datetime64[ns]`` of the same shape, NaT where there is no date or none of this pattern.

    Texts are read by ``pattern``, or by pandas' own guess where it is None, one for ``each`` or for all; a zone is
    dropped. Raises :class:`FormatError` for cells that can't be dates at all.
    """
    if cells.dtype.kind == "M":
        return _in_range(cells)
    plain = None if pattern is None else pattern.replace("%#", "%").replace("%-", "%")
    texts = bool(len(cells)) and any(isinstance(cell, str) for cell in cells)
    if plain is None and each and not pd.__version__.startswith("1."):
        plain = "mixed"  # pandas 1.5 reads each on its own anyway
    try:
        found = pd.to_datetime(pd.Series(cells), format=plain if texts else None, errors="coerce")
        if found.dtype.kind == "O":
            found = pd.to_datetime(found, utc=True, errors="coerce")
    except (TypeError, ValueError, OverflowError, re.error) as error:
        raise FormatError(f"cells that are no dates: {error}") from error
    if getattr(found.dtype, "tz", None) is not None:
        found = found.dt.tz_localize(None)
    return _in_range(found.to_numpy())


def _in_range(moments: np.ndarray) -> np.ndarray:
    """Moments of any unit in nanoseconds, NaT for those that are too far away: NumPy would wrap them around."""
    found: np.ndarray = moments.astype("datetime64[ns]")
    if found.dtype != moments.dtype:
        found[found.astype(moments.dtype) != moments] = NAT
    return found


def precision(pattern: str) -> int:
    """The finest part that a date format names, 1 (years) to 7 (microseconds); 0 for none."""
    return max((PRECISION.get(letter, 0) for letter in re.findall(r"%-?([A-Za-z])", pattern)), default=0)
