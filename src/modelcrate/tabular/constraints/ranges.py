"""Ranges: a column between two others, or between two fixed values.

The model sees the logit of where the value lies between its bounds, drawn in to 0.025..0.975. That drawing in is done
in decimals of 28 digits, as the library that fitted it does: binary floats give other last digits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, ClassVar, Final

import numpy as np
import pandas as pd

from modelcrate.format.document import Fields
from modelcrate.tabular.constraints.base import Constraint, column_name, document_of_fields, mask
from modelcrate.tabular.constraints.casting import NAT, numbers, read_dtype, restore, same_kind, shifted
from modelcrate.tabular.constraints.exponential import exp
from modelcrate.tabular.constraints.scalars import (
    BesideScalars,
    Scalar,
    fitting_array,
    read_beside_scalars,
    read_scalar,
)

_DECIMALS: Final = Context(prec=28, rounding=ROUND_HALF_EVEN, traps=[])
_WIDTH: Final = Decimal.from_float(0.95)
_MARGIN: Final = Decimal.from_float(0.025)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range(Constraint):
    """``middle`` lies between ``low`` and ``high``, bounds included unless ``strict``; a missing bound binds nothing.

    ``scaled`` names the modelled column, ``dtype`` is that of ``middle``.
    """

    tag: ClassVar[str] = "range"
    low: str
    middle: str
    high: str
    scaled: str
    strict: bool
    dtype: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.low, self.middle, self.high)

    @classmethod
    def from_document(cls, fields: Fields) -> Range:
        found = cls(
            low=column_name(fields, "low"),
            middle=column_name(fields, "middle"),
            high=column_name(fields, "high"),
            scaled=column_name(fields, "scaled"),
            strict=fields.boolean("strict"),
            dtype=read_dtype(fields),
        )
        fields.finish()
        return found

    def to_document(self) -> dict[str, Any]:
        return document_of_fields(self)

    def is_valid(self, frame: pd.DataFrame) -> pd.Series:
        low, middle, high = (numbers(frame, column) for column in self.columns)
        return mask(frame, _between(low, middle, high, strict=self.strict))

    def _transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        low, middle, high = (numbers(frame, column) for column in self.columns)
        same_kind(low, middle, high)
        frame[self.scaled] = _logit(middle, low, high)
        return frame.drop(columns=self.middle)

    def _reverse(self, frame: pd.DataFrame) -> pd.DataFrame:
        low, high = numbers(frame, self.low), numbers(frame, self.high)
        same_kind(low, high)
        values = _clipped(_sigmoid(numbers(frame, self.scaled, dates=False), low, high), low, high)
        frame[self.middle] = restore(values, self.dtype, self.middle)
        return frame.drop(columns=self.scaled)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarRange(BesideScalars):
    """``column`` lies between the fixed ``low`` and ``high``, bounds included unless ``strict``; a missing value obeys.

    ``rounds``: integers are rounded, not cut off.
    """

    tag: ClassVar[str] = "scalar_range"
    low: Scalar
    high: Scalar
    scaled: str
    strict: bool
    rounds: bool = False

    @classmethod
    def from_document(cls, fields: Fields) -> ScalarRange:
        shared = read_beside_scalars(fields)
        found = cls(
            low=read_scalar(fields, "low", shared["dtype"]),
            high=read_scalar(fields, "high", shared["dtype"]),
            scaled=column_name(fields, "scaled"),
            strict=fields.boolean("strict"),
            rounds=fields.optional("rounds", fields.boolean, False),
            **shared,
        )
        fields.finish()
        return found

    def to_document(self) -> dict[str, Any]:
        found = BesideScalars.to_document(self)
        if not self.rounds:
            del found["rounds"]
        return found

    def is_valid(self, frame: pd.DataFrame) -> pd.Series:
        values = self._cells(frame)
        low, high = fitting_array(self.low, values), fitting_array(self.high, values)
        return mask(frame, _between(low, values, high, strict=self.strict))

    def _transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        values = self._cells(frame)
        low, high = fitting_array(self.low, values), fitting_array(self.high, values)
        frame[self.scaled] = _logit(values, low, high)
        return frame.drop(columns=self.column)

    def _reverse(self, frame: pd.DataFrame) -> pd.DataFrame:
        low, high = np.asarray(self.low), np.asarray(self.high)
        values = _sigmoid(numbers(frame, self.scaled, dates=False), low, high)
        values = _clipped(values, np.minimum(low, high), np.maximum(low, high))
        if self.rounds and values.dtype.kind == "f":
            values = np.round(values)
        frame[self.column] = self._restored(values)
        return frame.drop(columns=self.scaled)


def _between(low: np.ndarray, middle: np.ndarray, high: np.ndarray, *, strict: bool) -> np.ndarray:
    same_kind(low, middle, high)
    below = low < middle if strict else low <= middle
    above = middle < high if strict else middle <= high
    return np.asarray(((below | np.isnan(low)) & (above | np.isnan(high))) | np.isnan(middle))


def _logit(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Where the values lie between the bounds, on the logit scale: float64, NaN where a value or bound is missing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.asarray((values - low) / (high - low))
        drawn_in = _decimally(share, lambda part: _DECIMALS.add(_DECIMALS.multiply(part, _WIDTH), _MARGIN))
        return np.asarray(np.log(drawn_in / (1.0 - drawn_in)))


def _sigmoid(scaled: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The inverse of :func:`_logit`: floats, or ``datetime64[ns]`` between datetimes; may lie outside the bounds."""
    with np.errstate(over="ignore", invalid="ignore"):
        share = np.asarray(1 / (1 + exp(-scaled)))
        share = _decimally(share, lambda part: _DECIMALS.divide(_DECIMALS.subtract(part, _MARGIN), _WIDTH))
        span = share * (high - low)
        return shifted(low, span) if low.dtype.kind == "M" else np.asarray(span + low)


def _clipped(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The values within the bounds; missing values and missing bounds are left alone.

    Each bound is held against the value as it came, as pandas does: where the lower one is the greater, a value beneath
    both becomes the lower one.
    """
    missing: Any = NAT if values.dtype.kind == "M" else np.nan
    found = np.where(values < low, low, values)
    found = np.where(values > high, high, found)
    return np.where(np.isnan(values), missing, found)


def _decimally(values: np.ndarray, convert: Callable[[Decimal], Decimal]) -> np.ndarray:
    return np.array([float(convert(Decimal(value))) for value in values.tolist()], dtype=np.float64)
