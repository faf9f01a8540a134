"""Categories to numbers: one column for each category, or one number for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from modelcrate.errors import FormatError, UsageError
from modelcrate.format.document import Fields
from modelcrate.tabular.preprocessing.base import COLUMNS_LIMIT, Expected, Step, check_count
from modelcrate.tabular.preprocessing.block import Array, Block
from modelcrate.tabular.preprocessing.categories import CATEGORY_DTYPES, UNKNOWN, Categories, rises

ZEROS = -1
"""The code of a category, or of all unknown ones, that is encoded as zeros only."""
OUTPUT_DTYPES = ("bool", *CATEGORY_DTYPES)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OneHotColumn:
    """One column: ``codes[k]``, int64, is the output of category k, or :data:`ZEROS`; several may share one.

    ``unknown`` is the output of a cell that is no category; None refuses it.
    """

    categories: Categories
    codes: Array
    width: int
    unknown: int | None

    @classmethod
    def from_document(cls, fields: Fields) -> OneHotColumn:
        found = cls(
            categories=Categories.from_document(fields),
            codes=fields.array("codes", dtype="int64"),
            width=fields.integer("width", minimum=0, maximum=COLUMNS_LIMIT),
            unknown=fields.nullable("unknown", lambda name: fields.integer(name, minimum=ZEROS)),
        )
        fields.finish()
        if len(found.codes) != len(found.categories):
            raise FormatError("needs one code for each category", where=fields.path("codes"))
        used = np.unique(found.codes)
        if not np.array_equal(used[used != ZEROS], np.arange(found.width)) or used[0] < ZEROS:
            raise FormatError("the codes do not use each output", where=fields.path("codes"))
        if found.unknown is not None and found.unknown >= found.width:
            raise FormatError("is no output", where=fields.path("unknown"))
        return found

    def to_document(self) -> dict[str, Any]:
        return {
            "categories": self.categories.to_document(),
            "codes": self.codes,
            "width": self.width,
            "unknown": self.unknown,
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OneHot(Step):
    """Each column becomes one output for each of its categories, which is 1 where the cell is that category."""

    tag: ClassVar[str] = "one_hot"
    columns: tuple[OneHotColumn, ...]
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, *categories: Sequence[object] | Array, unknown: Literal["error", "zeros"] = "error") -> OneHot:
        """From the categories of each column. Raises UsageError for cells that can't be categories."""
        if unknown not in ("error", "zeros"):
            raise UsageError(f"unknown is 'error' or 'zeros', not {unknown!r}")
        found = [Categories.of(values) for values in categories]
        if not found:
            raise UsageError("needs the categories of at least one column")
        columns = [
            OneHotColumn(
                categories=it,
                codes=np.arange(len(it), dtype=np.int64),
                width=len(it),
                unknown=None if unknown == "error" else ZEROS,
            )
            for it in found
        ]
        return cls(columns=tuple(columns), dtype=np.dtype(np.float64))

    @classmethod
    def from_document(cls, fields: Fields, depth: int) -> OneHot:
        columns = tuple(OneHotColumn.from_document(each) for each in fields.each_fields("columns"))
        dtype = np.dtype(fields.text("dtype", choices=OUTPUT_DTYPES))
        fields.finish()
        check_count(len(columns), fields.path("columns"))
        found = cls(columns=columns, dtype=dtype)
        if found.outputs > COLUMNS_LIMIT:
            raise FormatError(f"gives more than {COLUMNS_LIMIT} columns", where=fields.path("columns"))
        return found

    def to_document(self) -> dict[str, Any]:
        columns = [column.to_document() for column in self.columns]
        return {"type": self.tag, "columns": columns, "dtype": self.dtype.name}

    @property
    def inputs(self) -> int:
        return len(self.columns)

    @property
    def outputs(self) -> int:
        return sum(column.width for column in self.columns)

    def transform(self, block: Block) -> Block:
        self.check_width(block)
        matrix = np.zeros((block.rows, self.outputs), dtype=self.dtype)
        names: list[str] = []
        start = 0
        for name, cells, column in zip(block.names, block.columns, self.columns, strict=True):
            places = find(column.categories, cells, block, name, refuse=column.unknown is None)
            codes = np.where(places == UNKNOWN, column.unknown or 0, column.codes[places])
            rows = np.flatnonzero(codes != ZEROS)
            matrix[rows, start + codes[rows]] = 1
            names += [name] * column.width
            start += column.width
        return Block.of_matrix(matrix, names, first_row=block.first_row)

    def expects(self, after: tuple[Expected, ...]) -> tuple[Expected, ...]:
        return tuple(_expected(column.categories, column.unknown is not None) for column in self.columns)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OrdinalColumn:
    """One column: ``values[k]`` is the number of category k; ``unknown``, of the same dtype, that of all other cells.

    None refuses other cells. A missing category may have NaN for a number.
    """

    categories: Categories
    values: Array
    unknown: np.generic | None

    @classmethod
    def from_document(cls, fields: Fields) -> OrdinalColumn:
        categories = Categories.from_document(fields)
        values = fields.array("values", dtype=CATEGORY_DTYPES, finite=False)
        unknown = fields.value("unknown")
        fields.finish()
        if len(values) != len(categories):
            raise FormatError("needs one number for each category", where=fields.path("values"))
        if bool(np.isinf(values).any()):
            raise FormatError("the array holds infinities", where=fields.path("values"))
        if unknown is None:
            return cls(categories=categories, values=values, unknown=None)
        if not isinstance(unknown, np.generic) or unknown.dtype != values.dtype or bool(np.isinf(unknown)):
            raise FormatError(f"expected a number of {values.dtype.name}", where=fields.path("unknown"))
        return cls(categories=categories, values=values, unknown=unknown)

    def to_document(self) -> dict[str, Any]:
        return {"categories": self.categories.to_document(), "values": self.values, "unknown": self.unknown}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ordinal(Step):
    """Each cell becomes the number of its category."""

    tag: ClassVar[str] = "ordinal"
    columns: tuple[OrdinalColumn, ...]

    @classmethod
    def of(cls, *categories: Sequence[object] | Array, unknown: float | None = None) -> Ordinal:
        """From the categories of each column, which become 0.0, 1.0, ...; ``unknown`` stands for all other cells."""
        found = [Categories.of(values) for values in categories]
        if not found:
            raise UsageError("needs the categories of at least one column")
        other = None if unknown is None else np.float64(unknown)
        columns = [
            OrdinalColumn(categories=it, values=np.arange(len(it), dtype=np.float64), unknown=other) for it in found
        ]
        return cls(columns=tuple(columns))

    @classmethod
    def from_document(cls, fields: Fields, depth: int) -> Ordinal:
        columns = tuple(OrdinalColumn.from_document(each) for each in fields.each_fields("columns"))
        fields.finish()
        check_count(len(columns), fields.path("columns"))
        if len({column.values.dtype for column in columns}) != 1:
            raise FormatError("the columns have numbers of different dtypes", where=fields.path("columns"))
        return cls(columns=columns)

    def to_document(self) -> dict[str, Any]:
        return {"type": self.tag, "columns": [column.to_document() for column in self.columns]}

    @property
    def inputs(self) -> int:
        return len(self.columns)

    @property
    def outputs(self) -> int:
        return len(self.columns)

    def transform(self, block: Block) -> Block:
        self.check_width(block)
        matrix = np.empty((block.rows, len(self.columns)), dtype=self.columns[0].values.dtype)
        for index, (name, cells) in enumerate(zip(block.names, block.columns, strict=True)):
            column = self.columns[index]
            places = find(column.categories, cells, block, name, refuse=column.unknown is None)
            matrix[:, index] = column.values[places]
            if column.unknown is not None:
                matrix[places == UNKNOWN, index] = column.unknown
        return Block.of_matrix(matrix, block.names, first_row=block.first_row)

    def inverse(self, block: Block) -> Block:
        """Numbers back to categories; UsageError for a number that stands for none, or for several of them."""
        self.check_width(block)
        cells: list[Array] = []
        for name, numbers, column in zip(block.names, block.columns, self.columns, strict=True):
            order = np.argsort(column.values, kind="stable")
            known = column.values[order]
            if not rises(known):
                raise UsageError("several categories share one number", where=f"column {name!r}")
            places = Categories(values=known).codes(numbers)
            wrong = np.flatnonzero(places == UNKNOWN)
            if len(wrong):
                what = f"{numbers[wrong[0]]} stands for no category"
                raise UsageError(what, where=block.place(name, int(wrong[0])))
            cells.append(column.categories.take(order[places]))
        return Block.of_columns(cells, block.names, rows=block.rows, first_row=block.first_row)

    def expects(self, after: tuple[Expected, ...]) -> tuple[Expected, ...]:
        return tuple(_expected(column.categories, column.unknown is not None) for column in self.columns)


def find(categories: Categories, cells: Array, block: Block, name: str, *, refuse: bool) -> Array:
    """The place of each cell among the categories; with ``refuse`` UsageError for the first that is none of them."""
    try:
        places = categories.codes(cells)
    except UsageError as error:
        raise UsageError(error.what, where=f"column {name!r}") from None
    if refuse:
        wrong = np.flatnonzero(places == UNKNOWN)
        if len(wrong):
            cell = cells[wrong[0]]
            cell = cell.item() if isinstance(cell, np.generic) else cell
            more = f" (and {len(wrong) - 1} more rows)" if len(wrong) > 1 else ""
            shown = repr(cell[:80]) if isinstance(cell, str) else repr(cell)[:80]
            raise UsageError(
                f"unknown category {shown}{more}",
                where=block.place(name, int(wrong[0])),
                hint=categories.similar(cell) or f"{len(categories)} categories are known",
            )
    return places


def _expected(categories: Categories, lenient: bool) -> Expected:
    return Expected(kind="any" if lenient else categories.kind, missing=lenient or categories.missing)
