"""Cells of a table: which dtypes a column may have, what counts as missing, and category lists.

A category list keeps every value as it was (``1``, ``1.0`` and ``"1"`` are three values). Frames are built from NumPy
arrays whose dtype is decided here, as pandas 1.5 decided it for the models that are read, so that a newer pandas with
other defaults (its ``str`` dtype, for one) gives the same frame.
"""

from __future__ import annotations

import datetime
import decimal
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields, kind_of
from modelcrate.format.values import Missing as MissingValue

NAME_LIMIT = 4096
"""Characters in a column name."""
CATEGORIES_LIMIT = 5_000_000
"""Categories of one column; more than a column of distinct texts holds in practice."""
DTYPES = (
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    "float16",
    "float32",
    "float64",
    "object",
    "datetime64[ns]",
)
"""The dtypes that a column of a frame may have."""
CELL_TYPES = (
    bool,
    int,
    float,
    str,
    bytes,
    datetime.datetime,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
)

SIMPLE = frozenset({bool, int, float, str})


def read_name(fields: Fields, name: str) -> str:
    """A field that names a column."""
    return fields.text(name, max_length=NAME_LIMIT)


def read_dtype(fields: Fields, name: str = "dtype") -> np.dtype[np.generic]:
    """A field that names the dtype of a column."""
    return np.dtype(fields.text(name, choices=DTYPES))


def is_missing(value: object) -> bool:
    """Whether pandas counts one cell as missing."""
    if value is None or value is pd.NaT or value is pd.NA:
        return True
    if isinstance(value, (float, np.floating)):
        return math.isnan(value)
    if isinstance(value, decimal.Decimal):
        return value.is_nan()
    return isinstance(value, (np.datetime64, np.timedelta64)) and bool(np.isnat(value))


@dataclass(frozen=True, slots=True, eq=False)
class Categories:
    """The distinct values of one column, in the order of their codes."""

    values: tuple[object, ...]
    _made: dict[str, np.ndarray] = field(default_factory=dict, init=False, repr=False)
    """Arrays that were made of the values before; making them anew for each block of rows would take the time."""
    _codes: dict[object, int] = field(default_factory=dict, init=False, repr=False)
    """The code of each value, where all are of types that equal what has their hash."""

    @classmethod
    def from_document(cls, fields: Fields, name: str = "categories", *, at_least: int = 1) -> Categories:
        """Read a list of cells. Raises :class:`FormatError` for another kind of value or one that occurs twice."""
        found: list[object] = []
        seen: set[str] = set()
        for where, item in fields.each(name, max_items=CATEGORIES_LIMIT):
            if item is not None and not isinstance(item, (*CELL_TYPES, np.generic, MissingValue)):
                raise FormatError(f"expected a cell, found {kind_of(item)}", where=where)
            if isinstance(item, decimal.Decimal) and item.is_snan():
                raise FormatError("a number that signals when it is compared", where=where)
            key = f"{type(item).__name__}:{item!r}"
            if key in seen:
                raise FormatError("the same category twice", where=where)
            seen.add(key)
            found.append(_to_cell(item))
        if len(found) < at_least:
            raise FormatError(f"needs at least {at_least} categories", where=fields.path(name))
        return cls(tuple(found))

    def to_document(self) -> list[object]:
        """The values as format values."""
        return [_from_cell(value) for value in self.values]

    def __len__(self) -> int:
        return len(self.values)

    def find(self, value: object) -> int | None:
        """The code of a value, missing ones being all the same, or None."""
        if is_missing(value):
            return next((code for code, known in enumerate(self.values) if is_missing(known)), None)
        if type(value) in SIMPLE:
            if not self._codes and all(type(known) in SIMPLE or known is None for known in self.values):
                for code, known in enumerate(self.values):
                    self._codes.setdefault(known, code)
            if self._codes:
                return self._codes.get(value)
        return next((code for code, known in enumerate(self.values) if _equal(known, value)), None)

    def take(self, codes: np.ndarray, *, infer_from_all: bool = False) -> np.ndarray:
        """The values of codes (shape (n,), each within the list), in the dtype that pandas infers.

        The dtype follows from the values that occur, or with ``infer_from_all`` from the whole list.
        """
        if infer_from_all:
            if "all" not in self._made:
                self._made["all"] = self._table(np.arange(len(self.values)))
            table = self._made["all"]
        else:
            table = self._table(np.flatnonzero(np.bincount(codes, minlength=len(self.values))))
        taken: np.ndarray = table[codes]
        return taken

    def _table(self, used: np.ndarray) -> np.ndarray:
        """The values in the dtype of those that are used, shape (k,); the others are not set."""
        dtype = inferred([self.values[code] for code in used])
        table = np.empty(len(self.values), dtype=dtype)
        for code in used:
            value = self.values[code]
            if dtype.kind == "M" and isinstance(value, pd.Timestamp):
                value = value.to_datetime64()  # as a datetime, NumPy would cut it off at microseconds
            table[code] = np.nan if dtype.kind == "f" and is_missing(value) else value
        return table

    def objects(self) -> np.ndarray:
        """The values as they are in an object array of shape (k,), NaN for a missing one; not to be written to."""
        if "objects" not in self._made:
            self._made["objects"] = column_of([np.nan if is_missing(value) else value for value in self.values])
        return self._made["objects"]

    @property
    def has_missing(self) -> bool:
        """Whether a missing cell is one of them."""
        if "missing" not in self._made:
            self._made["missing"] = np.array(self.find(None) is not None)
        return bool(self._made["missing"])


def inferred(values: Sequence[object]) -> np.dtype[np.generic]:
    """The dtype that pandas 1.5 gives a column of these cells when it infers one."""
    kinds = {_kind(value) for value in values}
    if not kinds or "object" in kinds or kinds == {"none"}:
        return np.dtype(object)
    if "bool" in kinds:
        return np.dtype(bool if kinds == {"bool"} else object)
    if kinds == {"datetime"}:
        return np.dtype("datetime64[ns]")
    if "datetime" in kinds:
        return np.dtype(object)
    numbers = [int(value) for value in values if isinstance(value, (int, np.integer))]
    lowest, highest = min(numbers, default=0), max(numbers, default=0)
    if lowest < -(2**63) or highest >= (2**63 if lowest < 0 else 2**64):
        return np.dtype(object)
    if kinds != {"int"}:
        return np.dtype("float64")
    return np.dtype("int64" if highest < 2**63 else "uint64")


def _kind(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, (bool, np.bool_)):
        return "bool"
    if isinstance(value, np.timedelta64):
        return "object"
    if isinstance(value, (int, np.integer)):
        return "int"
    if isinstance(value, (float, np.floating)):
        return "float"
    if isinstance(value, pd.Timestamp) and value.tzinfo is None:
        return "datetime"
    return "object"


def _equal(known: object, value: object) -> bool:
    try:
        return bool(known == value)
    except (TypeError, ValueError, OverflowError):
        return False


def _to_cell(value: object) -> object:
    if isinstance(value, MissingValue):
        return pd.NaT if value is MissingValue.NAT else pd.NA
    if isinstance(value, np.datetime64):
        return pd.NaT if np.isnat(value) else pd.Timestamp(value)
    return value


def _from_cell(value: object) -> object:
    if value is pd.NaT:
        return MissingValue.NAT
    if value is pd.NA:
        return MissingValue.NA
    if isinstance(value, pd.Timestamp):
        return value.to_datetime64() if value.tzinfo is None else value.to_pydatetime()
    return value


def column_of(values: Sequence[object]) -> np.ndarray:
    """Cells as an object array of shape (n,), never unpacked further."""
    found = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        found[row] = value
    return found


def as_objects(cells: np.ndarray) -> np.ndarray:
    """Cells as an object array of the same shape: moments become timestamps, which NumPy's cast makes whole numbers."""
    if cells.dtype.kind == "M":
        return np.array(pd.Series(cells).astype(object), dtype=object)
    return cells.astype(object)


def frame_of(columns: Mapping[Any, np.ndarray | pd.api.extensions.ExtensionArray], rows: int) -> pd.DataFrame:
    """A frame with the very dtypes of the arrays, whatever the installed pandas would infer."""
    index = pd.RangeIndex(rows)
    series = {name: pd.Series(values, index=index, dtype=values.dtype) for name, values in columns.items()}
    return pd.DataFrame(series, index=index, columns=pd.Index(list(columns), dtype=object))


def with_columns(frame: pd.DataFrame, columns: Mapping[Any, Any]) -> pd.DataFrame:
    """The frame with these columns set, as ``frame.assign`` does where no column is named ``self``."""
    found = frame.copy(deep=False)
    for name, cells in columns.items():
        found[name] = cells
    return found
