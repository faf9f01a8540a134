"""What flows between preprocessing steps: named columns of equal length, or the matrix that they are views of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelcrate.errors import UsageError

Array = np.ndarray[Any, Any]

NUMERIC = "biuf"
"""Kinds of dtypes that can become floats without looking at single cells."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """Columns, each an array of shape (rows,); ``matrix`` is set where they are the columns of one array.

    ``names`` say, for messages, which column of the caller's batch each column came from.
    """

    names: tuple[str, ...]
    rows: int
    first_row: int = 0
    matrix: Array | None = None
    parts: tuple[Array, ...] = ()

    @classmethod
    def of_matrix(cls, matrix: Array, names: Sequence[str], *, first_row: int = 0) -> Block:
        """The columns of an array of shape (rows, len(names))."""
        return cls(names=tuple(names), rows=len(matrix), matrix=matrix, first_row=first_row)

    @classmethod
    def of_columns(cls, columns: Sequence[Array], names: Sequence[str], *, rows: int, first_row: int = 0) -> Block:
        """Columns of their own, each of shape (rows,)."""
        return cls(names=tuple(names), rows=rows, parts=tuple(columns), first_row=first_row)

    @property
    def columns(self) -> tuple[Array, ...]:
        """One array of shape (rows,) for each name."""
        if self.matrix is None:
            return self.parts
        return tuple(self.matrix[:, index] for index in range(len(self.names)))

    def select(self, indexes: Sequence[int]) -> Block:
        """Some of the columns, in the order given."""
        names = tuple(self.names[index] for index in indexes)
        if self.matrix is not None:
            return Block.of_matrix(self.matrix[:, list(indexes)], names, first_row=self.first_row)
        parts = [self.parts[index] for index in indexes]
        return Block.of_columns(parts, names, rows=self.rows, first_row=self.first_row)

    def take(self, start: int, stop: int) -> Block:
        """The rows from ``start`` to ``stop``."""
        first = self.first_row + start
        if self.matrix is not None:
            return Block.of_matrix(self.matrix[start:stop], self.names, first_row=first)
        parts = [column[start:stop] for column in self.parts]
        return Block.of_columns(parts, self.names, rows=min(stop, self.rows) - start, first_row=first)

    def stacked(self) -> Array:
        """The columns as a new array of shape (rows, len(names)), in the dtype that holds them all."""
        if self.matrix is not None:
            return self.matrix.copy()
        if not self.parts:
            return np.zeros((self.rows, 0))
        stacked = np.empty((self.rows, len(self.parts)), dtype=self.dtype)
        for index, column in enumerate(self.parts):
            stacked[:, index] = column
        return stacked

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype that holds all columns."""
        dtype: np.dtype[Any]
        if self.matrix is not None:
            dtype = self.matrix.dtype
            return dtype
        if not self.parts:
            return np.dtype(np.float64)
        if any(column.dtype.kind not in NUMERIC for column in self.parts):
            return np.dtype(object)
        dtype = np.result_type(*(column.dtype for column in self.parts))
        return dtype

    def floats(self) -> Array:
        """The columns as a new floating-point array of shape (rows, len(names)).

        Floats of 16, 32 and 64 bits stay what they are, all else becomes float64. None and NaN become NaN. Raises
        UsageError, naming the column, for a cell that is no number.
        """
        dtype = self.dtype if self.dtype in (np.float16, np.float32, np.float64) else np.dtype(np.float64)
        if self.matrix is not None and self.matrix.dtype.kind in NUMERIC:
            return self.matrix.astype(dtype)
        stacked = np.empty((self.rows, len(self.names)), dtype=dtype)
        for index, (name, column) in enumerate(zip(self.names, self.columns, strict=True)):
            stacked[:, index] = column if column.dtype.kind in NUMERIC else self._numbers(column, name)
        return stacked

    def place(self, column: str, row: int) -> str:
        """A cell, for messages; rows count from 0 in the caller's batch."""
        return f"column {column!r}, row {self.first_row + row}"

    def _numbers(self, column: Array, name: str) -> Array:
        for row, value in enumerate(column.tolist()):
            if value is not None and not isinstance(value, int | float):
                raise UsageError(f"{_brief(value)} is not a number", where=self.place(name, row))
        try:
            return column.astype(np.float64)
        except OverflowError:
            raise UsageError("an integer is too large for a float", where=f"column {name!r}") from None


def _brief(value: object) -> str:
    return repr(value[:40]) if isinstance(value, str) else f"a {type(value).__name__}"
