"""Numbers: clipped to what was seen, rounded to the decimals that were seen, cast to the column's own dtype."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from modelcrate.errors import FormatError, UsageError
from modelcrate.format.document import Fields
from modelcrate.tabular.cells import is_missing, read_dtype
from modelcrate.tabular.columns.base import TableEncoding
from modelcrate.tabular.columns.missing import Missing, read_missing, restore
from modelcrate.tabular.draws import Draws, Reversal

DIGITS_LIMIT = 20
"""Decimals beyond those of a float64 say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(TableEncoding):
    """A numeric column. ``learns_digits`` with ``digits`` None: no number of decimals was enough for its values."""

    tag: ClassVar[str] = "number"
    dtype: np.dtype[np.generic]
    minimum: int | float | None
    maximum: int | float | None
    digits: int | None
    learns_digits: bool
    missing: Missing | None

    @classmethod
    def from_document(cls, fields: Fields) -> Number:
        found = cls(
            dtype=read_dtype(fields),
            minimum=_bound(fields, "minimum"),
            maximum=_bound(fields, "maximum"),
            digits=fields.nullable("digits", lambda name: fields.integer(name, minimum=0, maximum=DIGITS_LIMIT)),
            learns_digits=fields.boolean("learns_digits"),
            missing=read_missing(fields),
        )
        if found.minimum is not None and found.maximum is not None and found.minimum > found.maximum:
            raise FormatError("the minimum is above the maximum", where=fields.where)
        if found.dtype.kind not in "iufbO":
            raise FormatError(f"a number of dtype {found.dtype}", where=fields.path("dtype"))
        fields.finish()
        return found

    def to_document(self) -> dict[str, Any]:
        return {
            "type": self.tag,
            "dtype": self.dtype.name,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "digits": self.digits,
            "learns_digits": self.learns_digits,
            "missing": None if self.missing is None else self.missing.to_document(),
        }

    def derived(self) -> list[tuple[str, int]]:
        bounds = (self.minimum is not None) + (self.maximum is not None)
        return [("bound", bounds)] * (bounds > 0) + ([] if self.missing is None else self.missing.derived())

    @property
    def outputs(self) -> int:
        return 1 if self.missing is None else self.missing.outputs

    def reverse(self, columns: Sequence[np.ndarray], how: Reversal) -> np.ndarray:
        return self.restore(restore(self.missing, list(columns), how.draws), how)

    def restore(self, values: np.ndarray, how: Reversal) -> np.ndarray:
        """Clip, round and cast; NaN stays, and keeps an integer column float."""
        if values.dtype.kind not in "iuf":
            values = values.astype(np.float64)
        if self.minimum is not None:
            values = np.where(values < self.minimum, self.minimum, values)
        if self.maximum is not None:
            values = np.where(values > self.maximum, self.maximum, values)
        whole = self.dtype.kind == "i"
        if self.digits is not None:
            values = np.round(values, self.digits)
        elif whole or (self.learns_digits and how.rounds_unlearned):
            values = np.round(values)
        if self.dtype.kind in "iu" and values.dtype.kind == "f" and np.isnan(values).any():
            return values
        with np.errstate(invalid="ignore"):
            return (values if how.overflows else within(values, self.dtype)).astype(self.dtype)

    def forward(self, value: object, draws: Draws) -> list[object]:
        return [as_number(value)] if self.missing is None else self.missing.forward(as_number(value), draws)


def within(values: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Floats cut off at the least and the greatest that an integer dtype holds; anything else as it is."""
    if dtype.kind not in "iu" or values.dtype.kind != "f":
        return values
    limits = np.iinfo(dtype)
    # the float nearest to 2**63 - 1 is 2**63
    highest = float(limits.max) if limits.bits < 64 else np.nextafter(float(limits.max), 0.0)
    found: np.ndarray = np.clip(values.astype(np.float64, copy=False), float(limits.min), highest)
    return found


def as_number(value: object) -> float:
    """A known cell as a float. Raises :class:`UsageError` where it is none."""
    if is_missing(value):
        return float("nan")
    if not isinstance(value, (bool, int, float, np.bool_, np.integer, np.floating, str)):
        raise UsageError(f"expected a number, found a {type(value).__name__}")
    try:
        return float(value)
    except (ValueError, OverflowError):
        raise UsageError(f"{value!r} is no number") from None


def _bound(fields: Fields, name: str) -> int | float | None:
    value = fields.value(name)
    if value is None or type(value) is int:
        return None if value is None else fields.integer(name, minimum=-(2**63), maximum=2**64 - 1)
    return fields.number(name, finite=False)
