"""Numbers that were modelled through a fixed curve: a logit between two bounds, or a logarithm from a constant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

import numpy as np

from modelcrate.errors import FormatError, UsageError
from modelcrate.format.document import Fields
from modelcrate.tabular.columns.base import TableEncoding
from modelcrate.tabular.columns.number import Number, as_number
from modelcrate.tabular.draws import Draws, Reversal

SHARE = Decimal.from_float(0.95)
"""Of the logit's range that the bounds take; the rest keeps the bounds themselves finite."""
MARGIN = Decimal.from_float(0.025)


@dataclass(frozen=True, slots=True, kw_only=True)
class Logit(TableEncoding):
    """A number between ``low`` and ``high`` as the logit of its place between them, the ends moved in a little."""

    tag: ClassVar[str] = "logit"
    low: float
    high: float
    number: Number

    @classmethod
    def from_document(cls, fields: Fields) -> Logit:
        found = cls(low=fields.number("low"), high=fields.number("high"), number=_number(fields))
        fields.finish()
        if found.low == found.high:
            raise FormatError("the bounds are one", where=fields.where)
        return found

    def to_document(self) -> dict[str, Any]:
        return {"type": self.tag, "low": self.low, "high": self.high, "number": self.number.to_document()}

    def derived(self) -> list[tuple[str, int]]:
        return self.number.derived()

    @property
    def outputs(self) -> int:
        return self.number.outputs

    def reverse(self, columns: Sequence[np.ndarray], how: Reversal) -> np.ndarray:
        with np.errstate(over="ignore"):
            places = 1.0 / (1.0 + np.exp(-columns[0].astype(np.float64)))
        inside = np.array([float((Decimal(place) - MARGIN) / SHARE) for place in places.tolist()], dtype=np.float64)
        return self.number.reverse([inside * (self.high - self.low) + self.low, *columns[1:]], how)

    def forward(self, value: object, draws: Draws) -> list[object]:
        filled, *flag = self.number.forward(as_number(value), draws)
        place = (as_number(filled) - self.low) / (self.high - self.low)
        if place < 0.0 or place > 1.0:
            raise UsageError(f"{value!r} is not between {self.low} and {self.high}")
        moved = float(Decimal(place) * SHARE + MARGIN)
        return [float(np.log(moved / (1.0 - moved))), *flag]


@dataclass(frozen=True, slots=True, kw_only=True)
class Logarithm(TableEncoding):
    """A number as the logarithm of its distance from ``constant``; with ``below`` it is less than that."""

    tag: ClassVar[str] = "logarithm"
    constant: float
    below: bool
    number: Number

    @classmethod
    def from_document(cls, fields: Fields) -> Logarithm:
        found = cls(constant=fields.number("constant"), below=fields.boolean("below"), number=_number(fields))
        fields.finish()
        return found

    def to_document(self) -> dict[str, Any]:
        return {
            "type": self.tag,
            "constant": self.constant,
            "below": self.below,
            "number": self.number.to_document(),
        }

    def derived(self) -> list[tuple[str, int]]:
        return self.number.derived()

    @property
    def outputs(self) -> int:
        return self.number.outputs

    def reverse(self, columns: Sequence[np.ndarray], how: Reversal) -> np.ndarray:
        with np.errstate(over="ignore"):
            distance = np.exp(columns[0].astype(np.float64))
        values = self.constant - distance if self.below else distance + self.constant
        return self.number.reverse([values, *columns[1:]], how)

    def forward(self, value: object, draws: Draws) -> list[object]:
        filled, *flag = self.number.forward(as_number(value), draws)
        distance = as_number(filled) - self.constant
        if self.below:
            distance = -distance
        if distance <= 0.0:
            raise UsageError(f"{value!r} is not {'below' if self.below else 'above'} {self.constant}")
        return [float(np.log(distance)), *flag]


def _number(fields: Fields) -> Number:
    number = fields.fields("number")
    number.text("type", choices=(Number.tag,))
    return Number.from_document(number)
