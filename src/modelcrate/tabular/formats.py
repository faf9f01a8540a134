"""How the cells of a column are written down in the end: clipped, rounded, as text of a date format, in what dtype.

Nullable and categorical dtypes of pandas exist here alone; everything before it works on NumPy arrays.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields
from modelcrate.tabular.cells import DTYPES, Categories, as_objects, column_of, read_name
from modelcrate.tabular.columns.timestamp import FORMAT_LIMIT, WIDTH, to_text
from modelcrate.tabular.dates import to_moments

NULLABLE: Final = (
    *(f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)),
    "Float32",
    "Float64",
    "boolean",
)
EXTENSIONS: Final = (*NULLABLE, "string", "str", "category")
MOMENTS: Final = tuple(f"datetime64[{unit}]" for unit in ("s", "ms", "us", "ns"))
ZONED: Final = tuple(moment.replace("]", ", UTC]") for moment in MOMENTS)
"""Other zones are looked up by their names, which no file may cause."""
ALL_DTYPES: Final = tuple(dict.fromkeys((*DTYPES, *MOMENTS, *ZONED, *EXTENSIONS)))
"""The dtypes that a finished column may have; ``str`` is that of pandas 3, and ``object`` before it."""
DIGITS_LIMIT: Final = 20
KINDS: Final = ("plain", "number", "date")
STAGE_LIMIT: Final = 65_536

Bound = int | float | np.datetime64 | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CellFormat:
    """``kind`` says what the cells are: ``plain`` ones are only cast.

    Numbers are clipped to ``minimum`` and ``maximum`` and rounded to ``digits``; dates are clipped, and written by
    ``pattern`` where there is one (an ``object`` column then holds texts, any other is cut off to what the pattern
    tells). ``categories`` of the dtype ``category``. ``nones``: a plain object column keeps None apart from NaN.
    """

    kind: Literal["plain", "number", "date"]
    dtype: str
    minimum: Bound = None
    maximum: Bound = None
    digits: int | None = None
    pattern: str | None = None
    categories: Categories | None = None
    ordered: bool = False
    nones: bool = False

    @classmethod
    def from_document(cls, fields: Fields) -> CellFormat:
        """Read one. Raises :class:`FormatError`."""
        kind: Any = fields.text("kind", choices=KINDS)
        dtype = fields.text("dtype", choices=ALL_DTYPES)
        given: dict[str, Any] = {}
        if kind != "plain":
            given["minimum"] = _bound(fields, "minimum", kind)
            given["maximum"] = _bound(fields, "maximum", kind)
        if kind == "number":
            given["digits"] = fields.nullable(
                "digits", lambda name: fields.integer(name, minimum=-DIGITS_LIMIT, maximum=DIGITS_LIMIT)
            )
        if kind == "date":
            given["pattern"] = read_pattern(fields, "pattern")
        if dtype == "category":
            given["categories"] = Categories.from_document(fields, at_least=0)
            given["ordered"] = fields.boolean("ordered")
        given["nones"] = fields.optional("nones", fields.boolean, False)
        fields.finish()
        return cls(kind=kind, dtype=dtype, **given)

    def to_document(self) -> dict[str, Any]:
        """The format in format values."""
        found: dict[str, Any] = {"kind": self.kind, "dtype": self.dtype}
        if self.kind != "plain":
            found |= {"minimum": self.minimum, "maximum": self.maximum}
        if self.kind == "number":
            found["digits"] = self.digits
        if self.kind == "date":
            found["pattern"] = self.pattern
        if self.categories is not None:
            found |= {"categories": self.categories.to_document(), "ordered": self.ordered}
        return {**found, "nones": True} if self.nones else found

    def derived(self) -> list[tuple[str, int]]:
        """What was taken from training data: (kind, how many values)."""
        bounds = (self.minimum is not None) + (self.maximum is not None)
        found = [("bound", bounds)] if bounds else []
        return found + ([("category", len(self.categories))] if self.categories is not None else [])

    def write(self, values: pd.Series) -> pd.Series:
        """The cells in their dtype, the index kept; missing cells stay missing and widen a plain integer to a float.

        Raises :class:`FormatError` where cells do not fit.
        """
        cells = values.to_numpy()
        try:
            with np.errstate(invalid="ignore"):
                if self.kind == "date":
                    return self._date(cells, values.index)
                if self.kind == "number" or self.dtype in NULLABLE or np_kind(self.dtype) in "iufb":
                    return self._number(cells, values.index)
                return self._cast(cells, values.index)
        except (TypeError, ValueError, ArithmeticError, NotImplementedError, re.error) as error:
            raise FormatError(f"cells that are no {self.dtype}: {error}") from error

    def _number(self, cells: np.ndarray, index: pd.Index) -> pd.Series:
        lost = np.asarray(pd.isna(cells))
        numeric = self.dtype.lower() if self.dtype in NULLABLE else self.dtype
        if numeric == "boolean":
            flags = [pd.NA if gone else bool(cell) for cell, gone in zip(cells, lost, strict=True)]
            return pd.Series(flags, index=index, dtype="boolean")
        if np_kind(numeric) not in "iuf":
            if self.kind == "plain" or np_kind(numeric) != "O":
                return self._cast(cells, index)
            numeric = "float64"
        whole = np.dtype(numeric).kind in "iu"
        present = cells[~lost]
        if whole and present.dtype.kind == "f":
            present = np.round(present)
        present = present.astype(numeric)
        if self.kind == "number":
            if self.minimum is not None or self.maximum is not None:
                present = np.clip(present, _like(self.minimum, present), _like(self.maximum, present))
            if self.digits is not None and not (whole and self.digits >= 0):
                present = np.round(present, self.digits)
        if self.dtype in NULLABLE:
            full = np.zeros(len(cells), dtype=numeric)
            full[~lost] = present
            return pd.Series(full, index=index).astype(pd.api.types.pandas_dtype(self.dtype)).mask(lost)
        wide = np.dtype(np.float64 if whole and lost.any() else numeric)
        full = np.full(len(cells), np.nan, dtype=wide) if lost.any() else np.empty(len(cells), dtype=wide)
        full[~lost] = present
        if np_kind(self.dtype) == "O":
            return pd.Series(full.astype(object), index=index, dtype=object)
        return pd.Series(full, index=index, dtype=wide)

    def _date(self, cells: np.ndarray, index: pd.Index) -> pd.Series:
        text = np_kind(self.dtype) != "M"
        bounded = self.minimum is not None or self.maximum is not None
        if self.dtype in NULLABLE or np_kind(self.dtype) in "iuf":  # digits, written in the format already
            return self._number(cells, index)
        if text and (self.pattern is None or (not bounded and _all_texts(cells))):
            return self._cast(cells, index)
        moments = to_moments(cells, self.pattern)
        if self.pattern is not None and not _all_texts(cells):
            moments = to_moments(to_text(moments, self.pattern), self.pattern)
        if bounded:
            moments = np.clip(moments, self.minimum, self.maximum)
        if not text:
            return self._moments(moments, index)
        assert self.pattern is not None
        return self._cast(to_text(moments, self.pattern), index)

    def _moments(self, moments: np.ndarray, index: pd.Index) -> pd.Series:
        found = pd.Series(moments.astype(self.dtype.replace(", UTC", "")), index=index)
        return found.dt.tz_localize("UTC") if self.dtype in ZONED else found

    def _cast(self, cells: np.ndarray, index: pd.Index) -> pd.Series:
        if np_kind(self.dtype) == "M":
            return self._moments(to_moments(cells, None), index)
        if self.dtype == "bool" and not pd.isna(cells).any():
            return pd.Series(cells.astype(bool), index=index)
        if self.dtype == "category":
            assert self.categories is not None
            listed = pd.Series(column_of(self.categories.values), dtype=object)
            known = pd.Index(listed.infer_objects())  # an Index of its own infers nothing before pandas 2
            places, distinct = pd.factorize(as_objects(cells))
            found = [self.categories.find(cell) for cell in distinct.tolist()]
            codes = np.array([*(-1 if code is None else code for code in found), -1])[places]
            return pd.Series(pd.Categorical.from_codes(codes, known, ordered=self.ordered), index=index)
        if self.dtype == "string":
            texts = [pd.NA if gone else str(cell) for cell, gone in zip(cells, pd.isna(cells), strict=True)]
            return pd.Series(texts, index=index, dtype="string")
        boxed = as_objects(cells) if self.nones else _missing_as_nan(as_objects(cells))
        if self.dtype == "str" and int(pd.__version__.partition(".")[0]) >= 3:
            return pd.Series(boxed, index=index, dtype="str")
        return pd.Series(boxed, index=index, dtype=object)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stage:
    """A whole table as it was at one point: its columns in order, and how their cells are written."""

    columns: tuple[tuple[str, CellFormat], ...]

    @classmethod
    def read(cls, fields: Fields, name: str) -> Stage:
        """A field that lists the columns. Raises :class:`FormatError`."""
        found: list[tuple[str, CellFormat]] = []
        for item in fields.each_fields(name, max_items=STAGE_LIMIT):
            found.append((read_name(item, "name"), CellFormat.from_document(item.fields("format"))))
            item.finish()
        if len({column for column, _ in found}) != len(found):
            raise FormatError("the same column twice", where=fields.path(name))
        return cls(columns=tuple(found))

    def to_document(self) -> list[dict[str, Any]]:
        """The stage in format values."""
        return [{"name": name, "format": each.to_document()} for name, each in self.columns]

    def derived(self) -> list[tuple[str, str, int]]:
        """What was taken from training data: (column, kind, how many values)."""
        return [(name, kind, count) for name, each in self.columns for kind, count in each.derived()]

    def write(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The frame's columns in the order and the dtypes of this stage; those that it has not are left out."""
        cells = {name: each.write(frame[name]) for name, each in self.columns if name in frame.columns}
        return pd.DataFrame(cells, index=frame.index, columns=pd.Index(list(cells), dtype=object))


def read_pattern(fields: Fields, name: str) -> str | None:
    """A field that holds a date format, or null."""
    pattern = fields.nullable(name, lambda name: fields.text(name, max_length=FORMAT_LIMIT))
    if pattern is not None and ("\0" in pattern or not pattern.isprintable() or WIDTH.search(pattern)):
        raise FormatError("a date format of printable characters and plain widths only", where=fields.path(name))
    return pattern


def np_kind(dtype: str) -> str:
    """The kind letter of a dtype's name as NumPy knows it; ``O`` for those of pandas."""
    return "O" if dtype in EXTENSIONS else np.dtype(dtype.replace(", UTC", "")).kind


def _bound(fields: Fields, name: str, kind: str) -> Bound:
    value = fields.value(name)
    if value is None:
        return None
    if kind == "date":
        if isinstance(value, np.datetime64) and value.dtype == "datetime64[ns]" and not np.isnat(value):
            return value
        raise FormatError("expected a datetime64[ns]", where=fields.path(name))
    if type(value) is int:
        return fields.integer(name, minimum=-(2**63), maximum=2**64 - 1)
    return fields.number(name)


def _like(bound: Bound, beside: np.ndarray) -> Any:
    """A bound that is compared in the array's own dtype; one beyond it binds nothing."""
    if bound is None or beside.dtype.kind == "f":
        return bound
    limits = np.iinfo(beside.dtype)
    return min(max(int(bound), limits.min), limits.max)


def _all_texts(cells: np.ndarray) -> bool:
    """Whether all cells that are not missing are written already."""
    return cells.dtype.kind == "O" and all(isinstance(cell, str) for cell in cells[~np.asarray(pd.isna(cells))])


def _missing_as_nan(cells: np.ndarray) -> np.ndarray:
    lost = np.asarray(pd.isna(cells))
    if lost.any():
        cells = cells.copy()
        cells[lost] = np.nan
    return cells
