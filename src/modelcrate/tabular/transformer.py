"""The data transformer: the generator's activated output and the modelled columns that it stands for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from modelcrate.errors import FormatError, UsageError
from modelcrate.format.document import Fields
from modelcrate.tabular.cells import read_dtype, read_name
from modelcrate.tabular.columns import MatrixEncoding, read_matrix_encoding
from modelcrate.tabular.columns.base import TANH
from modelcrate.tabular.columns.number import within
from modelcrate.tabular.dates import to_moments
from modelcrate.tabular.draws import Draws, Reversal

COLUMNS_LIMIT = 65_536
"""Columns of one table."""
WHOLE_LIMIT = 2.0**63
"""Floats from here on are no int64."""
WIDTH_LIMIT = 1 << 24
"""Columns of the encoded matrix; one row of it is then 64 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelledColumn:
    """One column that was modelled: its name, its dtype in the modelled frame, its encoding."""

    name: str
    dtype: np.dtype[np.generic]
    encoding: MatrixEncoding


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Transformer:
    """The state of a component of type ``tabular.transformer/1``: the columns in the order of their spans."""

    type_tag: ClassVar[str] = "tabular.transformer/1"
    columns: tuple[ModelledColumn, ...]

    @classmethod
    def from_document(cls, document: object, where: str) -> Transformer:
        """Read the state. Raises :class:`FormatError` with the path of what is wrong."""
        fields = Fields(document, where)
        found: list[ModelledColumn] = []
        names: set[str] = set()
        width = 0
        for item in fields.each_fields("columns", max_items=COLUMNS_LIMIT):
            column = ModelledColumn(
                name=read_name(item, "name"),
                dtype=read_dtype(item),
                encoding=read_matrix_encoding(item.fields("encoding")),
            )
            item.finish()
            if column.name in names:
                raise FormatError(f"two columns of the name {column.name!r}", where=item.where)
            names.add(column.name)
            width += column.encoding.width
            found.append(column)
        fields.finish()
        if not found or width > WIDTH_LIMIT:
            raise FormatError("no columns" if not found else "too many columns", where=fields.path("columns"))
        return cls(columns=tuple(found))

    def to_document(self) -> dict[str, Any]:
        """The state in format values."""
        columns = [
            {"name": column.name, "dtype": column.dtype.name, "encoding": column.encoding.to_document()}
            for column in self.columns
        ]
        return {"columns": columns}

    @property
    def width(self) -> int:
        """Columns of the encoded matrix."""
        return sum(column.encoding.width for column in self.columns)

    def activations(self) -> Iterator[tuple[int, int, str]]:
        """(start, end, activation) of each part of the matrix, in order."""
        start = 0
        for column in self.columns:
            for width, activation in column.encoding.activations:
                yield start, start + width, activation
                start += width

    def derived(self) -> list[tuple[str, str, int]]:
        """What was taken from training data: (column, kind, how many values)."""
        return [(column.name, kind, count) for column in self.columns for kind, count in column.encoding.derived()]

    def inverse(self, matrix: np.ndarray, how: Reversal, sigmas: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Activated outputs, float32 of shape (n, width), as modelled columns of shape (n,).

        ``sigmas``, shape (width,): normalised numbers get normal noise of these deviations first.
        Raises :class:`FormatError` where the values do not fit the column's dtype.
        """
        start = 0
        decoded: dict[str, np.ndarray] = {}
        for column in self.columns:
            stop = start + column.encoding.width
            span = matrix[:, start:stop]
            if sigmas is not None and column.encoding.activations[0][1] == TANH:
                span = span.astype(np.float64)
                span[:, 0] += sigmas[start] * how.draws.normal(len(span))
            try:
                decoded[column.name] = column.encoding.decode(span, how)
            except (TypeError, ValueError, OverflowError) as error:  # texts, say, as categories of a whole number
                what = f"categories that are no {column.dtype}: {error}"
                raise FormatError(what, where=f"transformer column {column.name!r}") from error
            start = stop
        shared = _shared_dtype(decoded)
        return {column.name: _cast(decoded[column.name], shared, column, how) for column in self.columns}

    def condition(self, known: Mapping[str, object], draws: Draws) -> np.ndarray:
        """Known modelled cells as one vector, float32 of shape (width,), zero where nothing is known.

        Raises :class:`UsageError` for a column or a value that the model does not know.
        """
        unknown = set(known) - {column.name for column in self.columns}
        if unknown:
            raise UsageError(f"no modelled column is named {min(unknown)!r}", where="conditions")
        parts = [np.zeros(column.encoding.width, dtype=np.float32) for column in self.columns]
        for position, column in enumerate(self.columns):
            if column.name in known:
                try:
                    parts[position] = column.encoding.encode(known[column.name], draws)
                except UsageError as error:
                    raise UsageError(error.what, where=f"conditions[{column.name!r}]") from None
        return np.concatenate(parts)


def _shared_dtype(columns: Mapping[str, np.ndarray]) -> np.dtype[np.generic]:
    """The dtype of all columns in one matrix: the original passes through one, and integers may become floats there."""
    try:
        return np.result_type(*(values.dtype for values in columns.values()))
    except TypeError:
        return np.dtype(object)


def _cast(values: np.ndarray, shared: np.dtype[np.generic], column: ModelledColumn, how: Reversal) -> np.ndarray:
    if column.dtype.kind == "M":
        return to_moments(values, None)
    try:
        with np.errstate(invalid="ignore"):
            if values.dtype.kind == "M":
                return values.astype(column.dtype)
            if not how.overflows:
                values = within(values, column.dtype)
            elif shared.kind == "O" and column.dtype.kind in "iu" and _is_whole(values):
                values, shared = values.astype(np.int64), column.dtype  # so did objects in NumPy 1
            return values.astype(shared).astype(column.dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise FormatError(f"values that are no {column.dtype}: {error}", where=f"column {column.name!r}") from error


def _is_whole(values: np.ndarray) -> bool:
    """Whether these are floats that an int64 holds, but for their decimals."""
    return values.dtype.kind == "f" and bool((np.abs(values) < WHOLE_LIMIT).all())
