"""Rules over cells that need no fitted numbers: multiples of an increment, one-hot columns, unique rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import pandas as pd

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields
from modelcrate.tabular import formats
from modelcrate.tabular.constraints.base import Constraint, column_name, column_names, mask
from modelcrate.tabular.constraints.casting import FLOATS, INTEGERS, numbers, read_dtype, restore

_INCREMENT_LIMIT: Final = 2**53
NUMBERS: Final = (*INTEGERS, *FLOATS)
NULLABLE: Final = tuple(name for name in formats.NULLABLE if name != "boolean")
"""Dtypes of pandas that have room for missing cells."""
NEARLY: Final = float(np.finfo(np.float32).eps)
"""How far from 0 and 1 the model sees the parts of a one-hot row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedIncrements(Constraint):
    """Every value of ``column`` is a multiple of ``increment``; a missing value obeys. The model sees the factor.

    It sees it in the column of the name ``factor``; where that is None, in the place of the column itself.
    """

    tag: ClassVar[str] = "fixed_increments"
    column: str
    increment: int
    dtype: str
    factor: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    @classmethod
    def from_document(cls, fields: Fields) -> FixedIncrements:
        found = cls(
            column=column_name(fields, "column"),
            increment=fields.integer("increment", minimum=1, maximum=_INCREMENT_LIMIT),
            dtype=read_dtype(fields, choices=(*NUMBERS, *NULLABLE)),
            factor=fields.optional("factor", lambda name: column_name(fields, name), None),
        )
        fields.finish()
        return found

    def to_document(self) -> dict[str, Any]:
        found = {"type": self.tag, "column": self.column, "increment": self.increment, "dtype": self.dtype}
        return found if self.factor is None else {**found, "factor": self.factor}

    def is_valid(self, frame: pd.DataFrame) -> pd.Series:
        values = self._numbers(frame, self.column)
        with np.errstate(invalid="ignore"):
            return mask(frame, (np.mod(values, np.float64(self.increment)) == 0) | np.isnan(values))

    def _transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        frame[self.factor or self.column] = self._numbers(frame, self.column) / self.increment
        return frame if self.factor is None else frame.drop(columns=self.column)

    def _reverse(self, frame: pd.DataFrame) -> pd.DataFrame:
        factors = self._numbers(frame, self.factor or self.column)
        with np.errstate(over="ignore"):
            values = np.round(factors) * self.increment if factors.dtype.kind == "f" else factors * self.increment
        if self.dtype not in NULLABLE:  # these have room for missing cells, which the column's format puts there
            values = restore(values, self.dtype, self.column, lossy=self.factor is not None)
        frame[self.column] = values
        return frame if self.factor is None else frame.drop(columns=self.factor)

    def _numbers(self, frame: pd.DataFrame, column: str) -> np.ndarray:
        values = numbers(frame, column, dates=False)
        return values.astype(np.int64 if values.dtype.kind in "iu" else np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class OneHot(Constraint):
    """Of these columns exactly one is 1 and the others are 0; generated rows get their largest value as the 1.

    The model sees the columns, or in their place those of the names ``parts``, or one column of the name ``label`` that
    says which of them is 1.
    """

    tag: ClassVar[str] = "one_hot"
    names: tuple[str, ...]
    parts: tuple[str, ...] | None = None
    label: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return self.names

    @classmethod
    def from_document(cls, fields: Fields) -> OneHot:
        found = cls(
            names=column_names(fields, "columns"),
            parts=fields.optional("parts", lambda name: column_names(fields, name), None),
            label=fields.optional("label", lambda name: column_name(fields, name), None),
        )
        fields.finish()
        if found.parts is not None and (len(found.parts) != len(found.names) or found.label is not None):
            raise FormatError("there must be one part per column, or a label", where=fields.path("parts"))
        return found

    def to_document(self) -> dict[str, Any]:
        found: dict[str, Any] = {"type": self.tag, "columns": list(self.names)}
        if self.parts is not None:
            found["parts"] = list(self.parts)
        return found if self.label is None else {**found, "label": self.label}

    def is_valid(self, frame: pd.DataFrame) -> pd.Series:
        table = self._table(frame, self.names).astype(np.float64)
        missing = np.isnan(table)
        filled = np.where(missing, 0.0, table)
        one = (filled.sum(axis=1) == 1) & (filled.max(axis=1) == 1) & (filled.min(axis=1) == 0)
        return mask(frame, one & ~missing.any(axis=1))

    def _transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        if self.parts is None and self.label is None:
            return frame
        table = self._table(frame, self.names).astype(np.float64)
        kept = frame.drop(columns=list(self.names))
        if self.label is not None:
            which = np.array(self.names, dtype=object)[np.argmax(table, axis=1)]
            kept[self.label] = pd.Series(which, index=frame.index, dtype=object)
        for position, name in enumerate(self.parts or ()):
            kept[name] = np.where(table[:, position] == 0, NEARLY, 1 - NEARLY)
        return kept

    def _reverse(self, frame: pd.DataFrame) -> pd.DataFrame:
        if self.label is not None:
            result = self._labelled(frame, self.label)
        else:
            table = self._table(frame, self.parts or self.names)
            result = np.zeros_like(table)
            if len(table):
                result[np.arange(len(table)), np.argmax(table, axis=1)] = 1
        if self.label is not None or self.parts is not None:
            frame = frame.drop(columns=[self.label] if self.label is not None else list(self.parts or ()))
        for position, name in enumerate(self.names):
            frame[name] = result[:, position]
        return frame

    def _labelled(self, frame: pd.DataFrame, label: str) -> np.ndarray:
        """One row per label: 1.0 in the column that it names, 0.0 elsewhere."""
        if label not in frame.columns:
            raise FormatError(
                f"a constraint uses a column that the table does not have: {label!r}", where="table.constraints"
            )
        places = {name: position for position, name in enumerate(self.names)}
        found = [places.get(cell) if type(cell) is str else None for cell in frame[label].tolist()]
        if None in found:
            raise FormatError(f"a label of {label!r} names none of the columns", where="table.constraints")
        return np.eye(len(self.names))[np.array(found, dtype=np.int64)]

    def _table(self, frame: pd.DataFrame, names: tuple[str, ...]) -> np.ndarray:
        return np.column_stack([numbers(frame, name, dates=False, flags=True) for name in names])


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
                raise FormatError(
                    f"a constraint uses a column that the table does not have: {name!r}", where="table.constraints"
                )
        try:
            again = frame.duplicated(subset=list(self.names), keep="first").to_numpy()
        except TypeError:
            raise FormatError("a constraint on unique rows meets cells that can't be compared") from None
        return mask(frame, ~again)
