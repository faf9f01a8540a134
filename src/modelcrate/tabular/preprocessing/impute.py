"""A number or a text in the place of what is missing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from modelcrate.errors import FormatError, UsageError
from modelcrate.format.document import Fields, kind_of
from modelcrate.format.values import Missing
from modelcrate.tabular.preprocessing.base import COLUMNS_LIMIT, Expected, Kind, Step, check_count, given_vector
from modelcrate.tabular.preprocessing.block import NUMERIC, Array, Block
from modelcrate.tabular.preprocessing.categories import CATEGORY_DTYPES

_CELLS = (str, bool, int, float)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Impute(Step):
    """``fills[i]`` replaces each cell of column ``kept[i]`` that equals ``missing``; other columns are left out.

    ``missing`` is NaN, None, :attr:`Missing.NA` (whatever pandas counts as missing), a number or a text. ``floats``
    says that all columns become floats first. Each column of ``flagged`` gives one more output, at the end: whether the
    cell was missing.
    """

    tag: ClassVar[str] = "impute"
    width: int
    missing: object
    kept: tuple[int, ...]
    fills: Array | tuple[object, ...]
    floats: bool
    flagged: tuple[int, ...] = ()

    @classmethod
    def of(cls, *fills: object) -> Impute:
        """From what replaces NaN, None and the like in each column: finite numbers, or texts and numbers."""
        everywhere = tuple(range(len(fills)))
        if not fills:
            raise UsageError("needs a value for at least one column")
        if any(isinstance(value, str) for value in fills):
            cells = tuple(value.item() if isinstance(value, np.generic) else value for value in fills)
            problem = _problem(cells)
            if problem is not None:
                raise UsageError(problem, where="fills")
            return cls(width=len(fills), missing=Missing.NA, kept=everywhere, fills=cells, floats=False)
        numbers = given_vector(list(fills), "fills")
        return cls(width=len(fills), missing=Missing.NA, kept=everywhere, fills=numbers, floats=True)

    @classmethod
    def from_document(cls, fields: Fields, depth: int) -> Impute:
        width = fields.integer("width", minimum=1, maximum=COLUMNS_LIMIT)
        found = cls(
            width=width,
            missing=_read_missing(fields),
            kept=_read_indexes(fields, "kept", width),
            fills=_read_fills(fields),
            floats=fields.boolean("floats"),
            flagged=_read_indexes(fields, "flagged", width),
        )
        fields.finish()
        if len(found.fills) != len(found.kept):
            raise FormatError("needs one value for each column that is kept", where=fields.path("fills"))
        if found.floats and not isinstance(found.fills, np.ndarray):
            raise FormatError("columns of floats are filled with numbers", where=fields.path("fills"))
        check_count(found.outputs, fields.path("kept"))
        return found

    def to_document(self) -> dict[str, Any]:
        return {
            "type": self.tag,
            "width": self.width,
            "missing": self.missing,
            "kept": list(self.kept),
            "fills": self.fills if isinstance(self.fills, np.ndarray) else list(self.fills),
            "floats": self.floats,
            "flagged": list(self.flagged),
        }

    @property
    def inputs(self) -> int:
        return self.width

    @property
    def outputs(self) -> int:
        return len(self.kept) + len(self.flagged)

    def transform(self, block: Block) -> Block:
        self.check_width(block)
        if isinstance(self.fills, np.ndarray):
            return self._transform_numbers(block, self.fills)
        masks = [self._mask(column) for column in block.columns]
        columns: list[Array] = []
        for fill, index in zip(self.fills, self.kept, strict=True):
            column = block.columns[index].astype(object)
            column[masks[index]] = fill
            columns.append(column)
        columns += [masks[index] for index in self.flagged]
        return Block.of_columns(columns, self._names(block), rows=block.rows, first_row=block.first_row)

    def expects(self, after: tuple[Expected, ...]) -> tuple[Expected, ...]:
        kinds: list[Kind] = ["number" if isinstance(self.fills, np.ndarray) else "any"] * self.width
        used = [False] * self.width
        lenient = [self.missing is Missing.NA or _is_nan(self.missing) or self.missing is None] * self.width
        for output, index in enumerate(self.kept):
            used[index] = True
            lenient[index] = lenient[index] or after[output].missing
            if kinds[index] == "any":
                kinds[index] = after[output].kind
        for index in self.flagged:
            used[index] = True
        return tuple(
            Expected(kind=kind, missing=missing, used=seen)
            for kind, missing, seen in zip(kinds, lenient, used, strict=True)
        )

    def _transform_numbers(self, block: Block, fills: Array) -> Block:
        whole = block.dtype.kind in "iub" and not self.floats
        matrix = block.stacked() if whole else block.floats()
        mask = self._mask(block.stacked() if self.missing is None else matrix)
        kept = matrix[:, list(self.kept)]
        for output, index in enumerate(self.kept):
            kept[mask[:, index], output] = fills[output]
        if self.flagged:
            kept = np.hstack([kept, mask[:, list(self.flagged)]])
        return Block.of_matrix(kept, self._names(block), first_row=block.first_row)

    def _names(self, block: Block) -> list[str]:
        return [block.names[index] for index in (*self.kept, *self.flagged)]

    def _mask(self, cells: Array) -> Array:
        """Where cells are missing, of the same shape."""
        if self.missing is Missing.NA or _is_nan(self.missing):
            if cells.dtype.kind == "f":
                return np.isnan(cells)
            if cells.dtype.kind in NUMERIC:
                return np.zeros(cells.shape, dtype=bool)
            test = _is_absent if self.missing is Missing.NA else _is_nan
        elif self.missing is None:
            test = _is_none
        else:
            test = self._is_missing
        if cells.dtype.kind in NUMERIC and not isinstance(self.missing, str | None):
            with np.errstate(all="ignore"):
                return np.asarray(cells == self.missing, dtype=bool)
        flat = np.fromiter((test(cell) for cell in cells.reshape(-1).tolist()), dtype=bool, count=cells.size)
        return flat.reshape(cells.shape)

    def _is_missing(self, cell: object) -> bool:
        return isinstance(cell, (*_CELLS, np.generic)) and bool(cell == self.missing)


def _is_none(cell: object) -> bool:
    return cell is None


def _is_nan(cell: object) -> bool:
    return isinstance(cell, float | np.floating) and bool(np.isnan(cell))


def _is_absent(cell: object) -> bool:
    return cell is None or _is_nan(cell) or type(cell).__name__ in ("NAType", "NaTType")


def _read_missing(fields: Fields) -> object:
    value = fields.value("missing")
    if value is None or value is Missing.NA or type(value) in (str, int):
        return value
    if type(value) is float and not math.isinf(value):
        return value
    raise FormatError(f"{kind_of(value)} can't mean that a cell is missing", where=fields.path("missing"))


def _read_indexes(fields: Fields, name: str, width: int) -> tuple[int, ...]:
    found = fields.integers(name, maximum=width - 1, max_items=COLUMNS_LIMIT)
    if any(one >= other for one, other in itertools.pairwise(found)):
        raise FormatError("the columns do not rise", where=fields.path(name))
    return found


def _read_fills(fields: Fields) -> Array | tuple[object, ...]:
    if isinstance(fields.value("fills"), np.ndarray):
        return fields.array("fills", dtype=CATEGORY_DTYPES)
    cells = tuple(fields.items("fills", max_items=COLUMNS_LIMIT))
    problem = _problem(cells)
    if problem is not None:
        raise FormatError(problem, where=fields.path("fills"))
    return cells


def _problem(cells: Sequence[object]) -> str | None:
    for index, cell in enumerate(cells):
        if type(cell) not in _CELLS or (isinstance(cell, float) and not math.isfinite(cell)):
            return f"item {index} can't replace a missing cell"
    return None
