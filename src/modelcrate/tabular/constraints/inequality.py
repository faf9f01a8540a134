"""Inequalities: one column above another, or above or below a fixed value.

The model sees ``log(difference + 1)`` in place of the constrained column.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
import pandas as pd

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields
from modelcrate.tabular.constraints.base import Constraint, column_name, document_of_fields, mask
from modelcrate.tabular.constraints.casting import DATETIME, numbers, read_dtype, restore, same_kind
from modelcrate.tabular.constraints.distances import compressed, expanded, raised
from modelcrate.tabular.constraints.scalars import (
    BesideScalars,
    Scalar,
    fitting_array,
    read_beside_scalars,
    read_scalar,
)

Comparison: TypeAlias = Callable[[Any, Any], Any]

_RELATIONS: dict[str, Comparison] = {
    ">": np.greater,
    ">=": np.greater_equal,
    "<": np.less,
    "<=": np.less_equal,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Inequality(Constraint):
    """``high`` is at least ``low`` (above it, where ``strict``); rows with a missing value obey.

    ``difference`` names the modelled column, ``dtype`` is that of ``high``.
    """

    tag: ClassVar[str] = "inequality"
    low: str
    high: str
    difference: str
    strict: bool
    dtype: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.low, self.high)

    @classmethod
    def from_document(cls, fields: Fields) -> Inequality:
        found = cls(
            low=column_name(fields, "low"),
            high=column_name(fields, "high"),
            difference=column_name(fields, "difference"),
            strict=fields.boolean("strict"),
            dtype=read_dtype(fields),
        )
        fields.finish()
        return found

    def to_document(self) -> dict[str, Any]:
        return document_of_fields(self)

    def is_valid(self, frame: pd.DataFrame) -> pd.Series:
        low, high = numbers(frame, self.low), numbers(frame, self.high)
        same_kind(low, high)
        above = high > low if self.strict else high >= low
        return mask(frame, np.isnan(low) | np.isnan(high) | above)

    def _transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        low, high = numbers(frame, self.low), numbers(frame, self.high)
        same_kind(low, high)
        frame[self.difference] = compressed(high - low)
        return frame.drop(columns=self.high)

    def _reverse(self, frame: pd.DataFrame) -> pd.DataFrame:
        difference = expanded(numbers(frame, self.difference, dates=False), self.dtype)
        low = numbers(frame, self.low)
        frame[self.high] = restore(raised(low, difference), self.dtype, self.high)
        return frame.drop(columns=self.difference)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarInequality(BesideScalars):
    """``column`` stands in ``relation`` (``>``, ``>=``, ``<``, ``<=``) to ``value``; a missing value obeys."""

    tag: ClassVar[str] = "scalar_inequality"
    relation: str
    value: Scalar
    difference: str

    @classmethod
    def from_document(cls, fields: Fields) -> ScalarInequality:
        shared = read_beside_scalars(fields)
        found = cls(
            relation=fields.text("relation", choices=tuple(_RELATIONS)),
            value=read_scalar(fields, "value", shared["dtype"]),
            difference=column_name(fields, "difference"),
            **shared,
        )
        fields.finish()
        return found

    def is_valid(self, frame: pd.DataFrame) -> pd.Series:
        values = self._cells(frame)
        bound = fitting_array(self.value, values)
        return mask(frame, np.isnan(values) | _RELATIONS[self.relation](values, bound))

    def _transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        values = self._cells(frame)
        frame[self.difference] = compressed(np.abs(values - fitting_array(self.value, values)))
        return frame.drop(columns=self.column)

    def _reverse(self, frame: pd.DataFrame) -> pd.DataFrame:
        difference = expanded(numbers(frame, self.difference, dates=False), self.dtype)
        if self.relation in ("<", "<="):
            difference = -difference
        frame[self.column] = self._restored(raised(np.asarray(self.value), difference))
        return frame.drop(columns=self.difference)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign(Constraint):
    """A column that is positive, or negative: at least 0 (above, where ``strict``), or at most 0 (below)."""

    column: str
    strict: bool
    difference: str
    dtype: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    @classmethod
    def from_document(cls, fields: Fields) -> Sign:
        found = cls(
            column=column_name(fields, "column"),
            strict=fields.boolean("strict"),
            difference=column_name(fields, "difference"),
            dtype=read_dtype(fields),
        )
        if found.dtype == DATETIME:
            raise FormatError("a datetime has no sign", where=fields.path("dtype"))
        fields.finish()
        return found

    def to_document(self) -> dict[str, Any]:
        return document_of_fields(self)

    def is_valid(self, frame: pd.DataFrame) -> pd.Series:
        return self._against_zero().is_valid(frame)

    def _transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        return self._against_zero()._transform(frame)

    def _reverse(self, frame: pd.DataFrame) -> pd.DataFrame:
        return self._against_zero()._reverse(frame)

    def _against_zero(self) -> ScalarInequality:
        relation = (">" if self.tag == "positive" else "<") + ("" if self.strict else "=")
        return ScalarInequality(
            column=self.column,
            relation=relation,
            value=0,
            difference=self.difference,
            dtype=self.dtype,
            resolution=None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Positive(Sign):
    """See :class:`Sign`."""

    tag: ClassVar[str] = "positive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Negative(Sign):
    """See :class:`Sign`."""

    tag: ClassVar[str] = "negative"
