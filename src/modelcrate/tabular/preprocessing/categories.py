"""The categories of one column, and where a cell stands among them."""

from __future__ import annotations

import difflib
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modelcrate.errors import FormatError, UsageError
from modelcrate.format.document import Fields, kind_of
from modelcrate.tabular.preprocessing.base import Kind
from modelcrate.tabular.preprocessing.block import Array

CATEGORIES_LIMIT = 1 << 20
"""Categories of one column."""
CATEGORY_DTYPES = (
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    "float16",
    "float32",
    "float64",
)
SUGGESTED_FROM = 2_000
"""Categories that a misspelt one is compared with; the comparison is slow."""
SUGGESTED_LENGTH = 100
"""Characters of a cell up to which a similar category is looked for; the comparison is quadratic in them."""

UNKNOWN = -1
"""The code of a cell that is no category."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Categories:
    """Distinct cells: a rising array of numbers (NaN last), or a list of text, numbers, booleans, None and NaN.

    Cells are compared as Python compares them, so 1, 1.0 and True are one category; NaN is one, None another.
    """

    values: Array | tuple[object, ...]

    @classmethod
    def of(cls, values: Sequence[object] | Array) -> Categories:
        """From a caller's values; UsageError for a cell that can't be a category, and for one that occurs twice."""
        if isinstance(values, np.ndarray) and values.dtype.kind in "iuf" and values.ndim == 1 and rises(values):
            return cls(values=values.copy())
        if isinstance(values, str) or not hasattr(values, "__iter__"):
            raise UsageError("expected a list of categories")
        cells = tuple(value.item() if isinstance(value, np.generic) else value for value in values)
        problem = _problem(cells)
        if problem is not None:
            raise UsageError(f"categories: {problem}")
        return cls(values=cells)

    @classmethod
    def from_document(cls, fields: Fields, name: str = "categories") -> Categories:
        """Read an array or a list. Raises FormatError for other cells, ones that occur twice, and none at all."""
        where = fields.path(name)
        value = fields.value(name)
        if isinstance(value, np.ndarray):
            array = fields.array(name, dtype=CATEGORY_DTYPES, finite=False)
            if not 1 <= len(array) <= CATEGORIES_LIMIT:
                raise FormatError(f"needs 1 to {CATEGORIES_LIMIT} categories", where=where)
            if not rises(array):
                raise FormatError("the numbers do not rise, or are not finite", where=where)
            return cls(values=array)
        cells = tuple(fields.items(name, max_items=CATEGORIES_LIMIT))
        problem = _problem(cells)
        if problem is not None:
            raise FormatError(problem, where=where)
        return cls(values=cells)

    def to_document(self) -> Array | list[object]:
        """The categories as one format value."""
        return self.values if isinstance(self.values, np.ndarray) else list(self.values)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def kind(self) -> Kind:
        """The kind of the categories, missing ones apart."""
        if isinstance(self.values, np.ndarray):
            return "number"
        kinds = {type(value) for value in self.values if not _is_missing(value)}
        if kinds == {str}:
            return "text"
        return "number" if kinds and kinds <= {int, float} else "any"

    @functools.cached_property
    def missing(self) -> bool:
        """Whether None or NaN is a category."""
        return any(_is_missing(value) for value in self._cells)

    def codes(self, column: Array) -> Array:
        """The place of each cell, shape (n,), in the list: int64, :data:`UNKNOWN` for a cell that is none of them."""
        if isinstance(self.values, np.ndarray) and column.dtype.kind in "iuf":
            return self._numeric_codes(self.values, column)
        table = self._table
        try:
            codes = np.fromiter((table.get(it, UNKNOWN) for it in column.tolist()), dtype=np.int64, count=len(column))
        except TypeError:
            raise UsageError("a cell holds a list or a map, not a category") from None
        if self._nan is not None:
            for row in np.flatnonzero(codes == UNKNOWN):
                if _is_nan(column[row]):
                    codes[row] = self._nan
        return codes

    def take(self, codes: Array) -> Array:
        """The categories at some places."""
        if isinstance(self.values, np.ndarray):
            return self.values[codes]
        table = np.empty(len(self.values), dtype=object)
        table[:] = self.values
        return table[codes]

    def similar(self, cell: object) -> str | None:
        """A hint at categories whose text is close to that of ``cell``."""
        if not isinstance(cell, str) or len(cell) > SUGGESTED_LENGTH:
            return None
        known = [it for it in self._cells[:SUGGESTED_FROM] if isinstance(it, str) and len(it) <= SUGGESTED_LENGTH]
        close = difflib.get_close_matches(cell, known, 3)
        folded = [it for it in known if it.strip().casefold() == cell.strip().casefold()]
        names = list(dict.fromkeys([*folded, *close]))[:3]
        return f"did you mean {' or '.join(repr(name) for name in names)}?" if names else None

    @functools.cached_property
    def _cells(self) -> tuple[object, ...]:
        return tuple(self.values.tolist()) if isinstance(self.values, np.ndarray) else self.values

    @functools.cached_property
    def _table(self) -> dict[object, int]:
        return {value: code for code, value in enumerate(self._cells) if not _is_nan(value)}

    @functools.cached_property
    def _nan(self) -> int | None:
        return next((code for code, value in enumerate(self._cells) if _is_nan(value)), None)

    def _numeric_codes(self, values: Array, column: Array) -> Array:
        known = values if self._nan is None else values[:-1]
        if len(known):
            places = np.minimum(np.searchsorted(known, column), len(known) - 1)
            codes = np.where(known[places] == column, places, UNKNOWN).astype(np.int64)
        else:
            codes = np.full(len(column), UNKNOWN, dtype=np.int64)
        if self._nan is not None and column.dtype.kind == "f":
            codes[np.isnan(column)] = self._nan
        return codes


def _is_nan(value: object) -> bool:
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def _is_missing(value: object) -> bool:
    return value is None or _is_nan(value)


def rises(array: Array) -> bool:
    """Whether numbers are finite and each is above the one before it; the last may be NaN."""
    known = array[:-1] if len(array) and array.dtype.kind == "f" and np.isnan(array[-1]) else array
    return len(array) > 0 and bool(np.isfinite(known).all()) and bool((known[1:] > known[:-1]).all())


def _problem(cells: tuple[object, ...]) -> str | None:
    """What is wrong with a list of categories, if anything is."""
    if not 1 <= len(cells) <= CATEGORIES_LIMIT:
        return f"needs 1 to {CATEGORIES_LIMIT} categories"
    seen: set[object] = set()
    for index, cell in enumerate(cells):
        if cell is not None and type(cell) not in (str, bool, int, float):
            return f"item {index} is {kind_of(cell)}, which can't be a category"
        if isinstance(cell, float) and math.isinf(cell):
            return f"item {index} is infinite"
        key = "nan" if _is_nan(cell) else cell
        if (key, _is_nan(cell)) in seen:
            return f"item {index} is the same category as one before it"
        seen.add((key, _is_nan(cell)))
    return None
