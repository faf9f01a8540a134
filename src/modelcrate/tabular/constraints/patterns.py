"""Rules over cells that need no fitted numbers: multiples of an increment, one-hot columns, unique rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import pandas as pd

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields
from modelcrate.tabular.constraints.base import Constraint, column_name, column_names, mask
from modelcrate.tabular.constraints.casting import FLOATS, INTEGERS, numbers, read_dtype, restore

_INCREMENT_LIMIT: Final = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedIncrements(Constraint):
    """Every value of ``column`` is a multiple of ``increment``; a missing value obeys. The model sees the factor."""

    tag: ClassVar[str] = "fixed_increments"
    column: str
    increment: int
    dtype: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    @classmethod
    def from_document(cls, fields: Fields) -> FixedIncrements:
        found = cls(
            column=column_name(fields, "column"),
            increment=fields.integer("increment", minimum=1, maximum=_INCREMENT_LIMIT),
            dtype=read_dtype(fields, choices=(*INTEGERS, *FLOATS)),
        )
        fields.finish()
        return found

    def to_document(self) -> dict[str, Any]:
        return {"type": self.tag, "column": self.column, "increment": self.increment, "dtype": self.dtype}

    def is_valid(self, frame: pd.DataFrame) -> pd.Series:
        values = self._numbers(frame)
        with np.errstate(invalid="ignore"):
            return mask(frame, (np.mod(values, np.float64(self.increment)) == 0) | np.isnan(values))

    def _transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        frame[self.column] = self._numbers(frame) / self.increment
        return frame

    def _reverse(self, frame: pd.DataFrame) -> pd.DataFrame:
        factors = self._numbers(frame)
        with np.errstate(over="ignore"):
            values = np.round(factors) * self.increment if factors.dtype.kind == "f" else factors * self.increment
        frame[self.column] = restore(values, self.dtype, self.column)
        return frame

    def _numbers(self, frame: pd.DataFrame) -> np.ndarray:
        values = numbers(frame, self.column, dates=False)
        return values.astype(np.int64 if values.dtype.kind in "iu" else np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class OneHot(Constraint):
    """Of these columns exactly one is 1 and the others are 0; generated rows get their largest value as the 1."""

    tag: ClassVar[str] = "one_hot"
    names: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return self.names

    @classmethod
    def from_document(cls, fields: Fields) -> OneHot:
        found = cls(names=column_names(fields, "columns"))
        fields.finish()
        return found

    def to_document(self) -> dict[str, Any]:
        return {"type": self.tag, "columns": list(self.names)}

    def is_valid(self, frame: pd.DataFrame) -> pd.Series:
        table = self._table(frame).astype(np.float64)
        missing = np.isnan(table)
        filled = np.where(missing, 0.0, table)
        one = (filled.sum(axis=1) == 1) & (filled.max(axis=1) == 1) & (filled.min(axis=1) == 0)
        return mask(frame, one & ~missing.any(axis=1))

    def _reverse(self, frame: pd.DataFrame) -> pd.DataFrame:
        table = self._table(frame)
        result = np.zeros_like(table)
        if len(table):
            result[np.arange(len(table)), np.argmax(table, axis=1)] = 1
        for position, name in enumerate(self.names):
            frame[name] = result[:, position]
        return frame

    def _table(self, frame: pd.DataFrame) -> np.ndarray:
        return np.column_stack([numbers(frame, name, dates=False, flags=True) for name in self.names])


@dataclass(frozen=True, slots=True, kw_only=True)
class Unique(Constraint):
    """No two rows agree in all of these columns; of rows that do, the first obeys. Missing values count as equal."""

    tag: ClassVar[str] = "unique"
    names: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return self.names

    @classmethod
    def from_document(cls, fields: Fields) -> Unique:
        found = cls(names=column_names(fields, "columns"))
        fields.finish()
        return found

    def to_document(self) -> dict[str, Any]:
        return {"type": self.tag, "columns": list(self.names)}

    def is_valid(self, frame: pd.DataFrame) -> pd.Series:
        for name in self.names:
            if name not in frame.columns:
                raise FormatError(f"a constraint uses a column that the table does not have: {name!r}")
        try:
            again = frame.duplicated(subset=list(self.names), keep="first").to_numpy()
        except TypeError:
            raise FormatError("a constraint on unique rows meets cells that can't be compared") from None
        return mask(frame, ~again)
