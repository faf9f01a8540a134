"""Columns in and out of numpy, with the casts of pandas 1.5 on x86-64 spelled out.

Other processors and other releases of numpy and pandas give other results for a float beyond the integers, so nothing
here is left to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionDtype

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.format.document import Fields
from modelcrate.tabular.columns.timestamp import to_text
from modelcrate.tabular.dates import to_moments
from modelcrate.tabular.formats import read_pattern

DATETIME: Final = "datetime64[ns]"
INTEGERS: Final = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS: Final = ("float16", "float32", "float64")
DTYPES: Final = (*INTEGERS, *FLOATS, DATETIME)
"""The dtypes that a constrained column can have had in the table that was fitted."""

NAT: Final = np.datetime64("NaT", "ns")
_LEAST: Final = np.iinfo(np.int64).min
_NANOSECONDS: Final = {
    "day": 86_400_000_000_000,
    "hour": 3_600_000_000_000,
    "minute": 60_000_000_000,
    "second": 1_000_000_000,
    "microsecond": 1_000,
}
RESOLUTIONS: Final = tuple(_NANOSECONDS)
"""What a date may be cut off to; finest last."""


def read_dtype(fields: Fields, *, choices: tuple[str, ...] = DTYPES) -> str:
    """The field ``dtype``."""
    return fields.text("dtype", choices=choices)


def read_resolution(fields: Fields, dtype: str) -> str | None:
    """The field ``resolution``: null, or for datetimes what they are cut off to."""
    found = fields.nullable("resolution", lambda name: fields.text(name, choices=RESOLUTIONS))
    if found is not None and dtype != DATETIME:
        raise FormatError("only datetimes have a resolution", where=fields.path("resolution"))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """How a column of datetimes is written as texts: by ``pattern``, or in a way that pandas recognises."""

    pattern: str | None

    def to_document(self) -> dict[str, Any]:
        """It in format values."""
        return {"pattern": self.pattern}


def read_written(fields: Fields, dtype: str) -> Written | None:
    """The field ``written`` where there is one; of datetimes only."""
    if not fields.has("written"):
        return None
    inner = fields.fields("written")
    found = Written(pattern=read_pattern(inner, "pattern"))
    inner.finish()
    if dtype != DATETIME:
        raise FormatError("only datetimes are written as texts", where=fields.path("written"))
    return found


def cells_of(frame: pd.DataFrame, column: str, written: Written | None) -> np.ndarray:
    """A column as :func:`numbers` gives it, or as datetimes where they are written as texts."""
    if written is None or column not in frame.columns:
        return numbers(frame, column)
    return texts_as_moments(frame[column], written.pattern)


def numbers(frame: pd.DataFrame, column: str, *, dates: bool = True, flags: bool = False) -> np.ndarray:
    """A column as a numeric or ``datetime64[ns]`` array; an object column of such values is converted.

    ``dates=False`` refuses datetimes, ``flags=True`` leaves booleans as they are instead of counting them as 0 and 1.
    Raises :class:`FormatError` for other content and for a column that is not there.
    """
    if column not in frame.columns:
        raise FormatError(
            f"a constraint uses a column that the table does not have: {column!r}", where="table.constraints"
        )
    series = frame[column]
    if isinstance(series.dtype, ExtensionDtype) and series.dtype.kind in "iufb":
        lost = bool(series.isna().any())
        wide = np.float64 if lost else np.dtype(str(series.dtype).lower().replace("boolean", "bool"))
        series = pd.Series(series.to_numpy(dtype=wide, na_value=np.nan) if lost else series.to_numpy(dtype=wide))
    if isinstance(series.dtype, pd.DatetimeTZDtype):
        series = series.dt.tz_convert(None)
    if series.dtype.kind == "O":
        series = _unboxed(series)
    values = series.to_numpy()
    kind = values.dtype.kind
    if kind == "M" and dates:
        return values.astype(DATETIME)
    if kind not in "iufb":
        wanted = "numbers or datetimes" if dates else "numbers"
        raise FormatError(f"a constraint needs {wanted}, but the column {column!r} holds others")
    return values.astype(np.int64) if kind == "b" and not flags else values


def _unboxed(series: pd.Series) -> pd.Series:
    present = series[series.notna()].infer_objects()
    kind = present.dtype.kind
    if len(present) == len(series) and kind in "iufbM":
        return present
    if kind in "iuf" or len(present) == 0:
        return series.where(series.notna(), np.nan).astype("float64")
    if kind == "M":
        return present.astype(DATETIME).reindex(series.index)
    return series


def same_kind(first: np.ndarray, *others: np.ndarray) -> None:
    """Refuse to compare datetimes with numbers."""
    for other in others:
        if (first.dtype.kind == "M") != (other.dtype.kind == "M"):
            raise FormatError("a constraint compares a column of datetimes with one of numbers")


def texts_as_moments(
    values: pd.Series | np.ndarray, pattern: str | None, *, cut: bool = False, each: bool = False
) -> np.ndarray:
    """Dates that may be texts of this format as ``datetime64[ns]``; ``cut`` off to what the format tells.

    Without a format pandas guesses one, of all cells alike or of ``each``.
    """
    cells = values if isinstance(values, np.ndarray) else values.to_numpy()
    moments = to_moments(cells, pattern, each=each)
    if cut and pattern is not None:
        moments = to_moments(to_text(moments, pattern), pattern)
    return moments


def restore(values: np.ndarray, dtype: str, column: str, *, lossy: bool = False) -> np.ndarray:
    """``values`` in the dtype that the column had; with ``lossy``, integers with missing ones among them stay floats.

    Raises :class:`UnsupportedError` for a missing value in an integer column and for a negative one in an unsigned one,
    as the library that fitted the constraint stops there too.
    """
    if (dtype == DATETIME) != (values.dtype.kind == "M"):
        raise FormatError(f"the constraint on {column!r} is about {dtype}, but its columns hold {values.dtype.name}")
    if dtype not in INTEGERS:
        return values.astype(dtype)
    if values.dtype.kind == "f":
        if lossy and bool(np.isnan(values).any()):
            return values
        if not bool(np.isfinite(values).all()):
            raise UnsupportedError(f"a constraint gives a missing or infinite value in the {dtype} column {column!r}")
        if dtype.startswith("uint") and bool((values < 0).any()):
            raise UnsupportedError(f"a constraint gives a negative value in the {dtype} column {column!r}")
        if dtype == "uint64":
            return np.where(values < 2.0**64, values, 0.0).astype(np.uint64)
        values = truncated(values)
    return values.astype(dtype)


def truncated(values: np.ndarray) -> np.ndarray:
    """Floats as int64, cut towards zero; what does not fit (NaN too) becomes the least integer, as on x86-64."""
    fits = (values >= -(2.0**63)) & (values < 2.0**63)
    return np.where(fits, np.trunc(np.where(fits, values, 0.0)).astype(np.int64), _LEAST)


def nanoseconds(values: np.ndarray) -> np.ndarray:
    """Floats as ``timedelta64[ns]``, cut towards zero; NaN and what does not fit is NaT."""
    return np.asarray(truncated(values).view("timedelta64[ns]"))


def shifted(moments: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """Datetimes plus spans; NaT where either is NaT or the sum leaves the range."""
    left, right = np.broadcast_arrays(moments.astype(DATETIME).view(np.int64), spans.view(np.int64))
    with np.errstate(over="ignore"):
        total = left + right
    beyond = ((left ^ total) & (right ^ total)) < 0
    total[beyond | (left == _LEAST) | (right == _LEAST)] = _LEAST
    return np.asarray(total.view(DATETIME))


def cut_off(moments: np.ndarray, resolution: str | None) -> np.ndarray:
    """Datetimes without what is finer than ``resolution``: what writing them out and reading them again gives."""
    if resolution is None:
        return moments
    ticks = moments.view(np.int64)
    whole = ticks - np.mod(ticks, _NANOSECONDS[resolution])
    return np.where(ticks == _LEAST, ticks, whole).view(DATETIME)
