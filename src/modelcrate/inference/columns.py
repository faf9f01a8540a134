"""One column of a batch: which cells it may hold, and a caller's cells held against that."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelcrate.errors import FormatError, UsageError
from modelcrate.format.document import Fields
from modelcrate.tabular.preprocessing.block import Array
from modelcrate.tabular.preprocessing.categories import CATEGORY_DTYPES

NAME_LIMIT = 4_096
"""Characters in a column name."""
DTYPES = ("any", "number", "text", "bool", *CATEGORY_DTYPES)
"""What a column may be declared as: a NumPy dtype, ``text``, ``number`` (any real dtype), ``any`` of these."""

_KINDS = {"b": "bool", "i": "integers", "u": "integers", "f": "floats", "U": "text", "M": "dates", "m": "durations"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: its name, its dtype (one of :data:`DTYPES`), whether a cell may be missing (None, NaN, NA).

    A column that is not ``required`` may be absent, and is not looked at: nothing reads it.
    """

    name: str
    dtype: str = "number"
    missing: bool = False
    required: bool = True

    def __post_init__(self) -> None:
        if type(self.name) is not str or len(self.name) > NAME_LIMIT:
            raise UsageError(f"the name of a column is text of at most {NAME_LIMIT} characters")
        if self.dtype not in DTYPES:
            raise UsageError(f"{self.dtype!r} is none of {', '.join(DTYPES)}", where=f"column {self.name!r}")

    @classmethod
    def from_document(cls, fields: Fields) -> Column:
        """Read a column; raises FormatError."""
        found = cls(
            name=fields.text("name", max_length=NAME_LIMIT),
            dtype=fields.text("dtype", choices=DTYPES),
            missing=fields.boolean("missing"),
            required=fields.boolean("required"),
        )
        fields.finish()
        return found

    def to_document(self) -> dict[str, Any]:
        """The column in format values."""
        return {"name": self.name, "dtype": self.dtype, "missing": self.missing, "required": self.required}

    def check(self, cells: Array, *, whole: bool = False) -> Array:
        """Cells, shape (n,), in the declared dtype; with ``whole``, floats may stand for integers if they are whole.

        Raises UsageError, naming the column and the row, for a cell of another kind, a number that the dtype can't
        hold, infinity, and a missing cell where none may be.
        """
        if cells.dtype.kind == "O":
            cells = _without_na(cells)
        elif cells.dtype.kind == "U":
            cells = cells.astype(object)
        if cells.dtype.kind not in "biufO":
            raise self._wrong(f"holds {_KINDS.get(cells.dtype.kind, str(cells.dtype))}")
        absent = _absent(cells)
        if not self.missing and bool(absent.any()):
            row = int(np.flatnonzero(absent)[0])
            hint = "fill it first, or save the package with a preprocessing that does"
            raise UsageError("the cell is missing", where=self._place(row), hint=hint)
        if cells.dtype.kind == "f" and bool(np.isinf(cells).any()):
            raise UsageError("the number is infinite", where=self._place(int(np.flatnonzero(np.isinf(cells))[0])))
        if self.dtype in ("text", "any") or cells.dtype.kind == "O":
            self._check_cells(cells, absent)
        if self.dtype in ("text", "any", "number"):
            return cells
        return self._cast(cells, absent, whole=whole or self.missing)

    def _check_cells(self, cells: Array, absent: Array) -> None:
        """Look at single cells: text, where it may be; numbers, where they must be."""
        if self.dtype == "any":
            return
        if self.dtype == "text" and cells.dtype.kind != "O" and not bool(absent.all()):
            raise self._wrong(f"holds {_KINDS[cells.dtype.kind]}")
        wanted: type | tuple[type, ...] = str if self.dtype == "text" else (bool, int, float, np.number, np.bool_)
        for row, cell in enumerate(cells.tolist()):
            if not isinstance(cell, wanted) and not absent[row]:
                shown = repr(cell[:40]) if isinstance(cell, str) else f"a {type(cell).__name__}"
                raise self._wrong(f"holds {shown} in row {row}")

    def _cast(self, cells: Array, absent: Array, *, whole: bool) -> Array:
        """To the declared NumPy dtype, where that loses no more than the last digits of a float.

        Where cells are missing, all but floats become float64.
        """
        dtype: np.dtype[Any] = np.dtype(self.dtype)
        rows = np.flatnonzero(~absent)
        held = cells[rows]
        kind = _number_kind(held)
        allowed = {"b": "b", "i": "iu", "u": "iu", "f": "iuf"}[dtype.kind]
        if whole and allowed == "iu":
            allowed += "f"  # integers with missing cells come as floats, and so do those in an array of floats
        if len(held) and kind not in allowed:
            raise self._wrong(f"holds {_KINDS[kind]}")
        try:
            with np.errstate(all="ignore"):
                found = held.astype(dtype)
        except (OverflowError, TypeError, ValueError):
            raise self._wrong("holds a number that does not fit") from None
        if dtype.kind in "iu":
            wrong = np.flatnonzero(found != held)
            if len(wrong):
                raise self._wrong(f"holds {held[wrong[0]]} in row {rows[wrong[0]]}")
        elif dtype.kind == "f" and bool(np.isinf(found).any()):
            raise self._wrong("holds a number that does not fit")
        if len(rows) == len(cells):
            return found
        padded = np.full(len(cells), np.nan, dtype=dtype if dtype.kind == "f" else np.float64)
        padded[rows] = found
        return padded

    def _place(self, row: int) -> str:
        return f"column {self.name!r}, row {row}"

    def _wrong(self, what: str) -> UsageError:
        wanted = {"number": "numbers", "any": "numbers or text"}.get(self.dtype, self.dtype)
        return UsageError(f"{what}, expected {wanted}", where=f"column {self.name!r}")


def _number_kind(held: Array) -> str:
    """The kind of the dtype that numbers without missing ones have, or would have if they were no objects."""
    if held.dtype.kind != "O":
        return str(held.dtype.kind)
    if any(isinstance(cell, float | np.floating) for cell in held):
        return "f"
    return "b" if all(isinstance(cell, bool | np.bool_) for cell in held) else "i"


def dtype_of(cells: Array, name: str) -> str:
    """How a caller's cells would be declared; ``any`` for a mixture, UsageError for what no batch may hold."""
    if cells.dtype.kind in "biuf" and cells.dtype.name in DTYPES:
        return str(cells.dtype.name)
    if cells.dtype.kind not in "OU":
        raise UsageError(f"cells of dtype {cells.dtype} can't be part of a batch", where=f"column {name!r}")
    kinds = {type(cell) for cell, gone in zip(cells.tolist(), _absent(cells), strict=True) if not gone}
    return "text" if kinds <= {str} else "any"


def cells_of(series: Any) -> Array:
    """A pandas series as an array of shape (n,): NumPy's dtypes where it can be, else objects, NA as NaN."""
    values = series.array
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        found: Array = series.to_numpy()
        return found
    name = str(dtype).lower()
    if re.fullmatch(r"u?int\d+|float\d+|boolean", name):
        if bool(series.isna().any()):
            return np.asarray(values.to_numpy(dtype="float64", na_value=np.nan))
        return np.asarray(values.to_numpy(dtype="bool" if name == "boolean" else name))
    if name == "category":
        return np.asarray(series)
    return _without_na(np.asarray(series.to_numpy(dtype=object)))


def _absent(cells: Array) -> Array:
    """Where cells are None or NaN."""
    if cells.dtype.kind == "f":
        return np.isnan(cells)
    if cells.dtype.kind != "O":
        return np.zeros(len(cells), dtype=bool)
    return np.fromiter((cell is None or _is_nan(cell) for cell in cells.tolist()), dtype=bool, count=len(cells))


def _without_na(cells: Array) -> Array:
    """Objects with NaN in place of pandas' NA and NaT."""
    gone = [row for row, cell in enumerate(cells.tolist()) if type(cell).__name__ in ("NAType", "NaTType")]
    if not gone:
        return cells
    found = cells.copy()
    found[gone] = np.nan
    return found


def _is_nan(cell: object) -> bool:
    return isinstance(cell, float | np.floating) and bool(np.isnan(cell))


def refuse_names(names: list[str], where: str) -> None:
    """FormatError for a name that two columns share."""
    if len(set(names)) != len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise FormatError(f"two columns are named {repeated!r}", where=where)
