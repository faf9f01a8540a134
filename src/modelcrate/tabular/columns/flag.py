"""Truth values, columns that are empty, and columns that are modelled as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from modelcrate.format.document import Fields
from modelcrate.tabular.columns.base import TableEncoding
from modelcrate.tabular.columns.missing import Missing, read_missing, restore
from modelcrate.tabular.columns.number import as_number
from modelcrate.tabular.draws import Draws, Reversal


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag(TableEncoding):
    """True and False as 1.0 and 0.0. Gives back objects: True, False, or NaN where missing."""

    tag: ClassVar[str] = "flag"
    missing: Missing | None

    @classmethod
    def from_document(cls, fields: Fields) -> Flag:
        found = cls(missing=read_missing(fields))
        fields.finish()
        return found

    def to_document(self) -> dict[str, Any]:
        return {"type": self.tag, "missing": None if self.missing is None else self.missing.to_document()}

    @property
    def outputs(self) -> int:
        return 1 if self.missing is None else self.missing.outputs

    def reverse(self, columns: Sequence[np.ndarray], how: Reversal) -> np.ndarray:
        values = restore(self.missing, [column.astype(np.float64) for column in columns], how.draws)
        lost = np.isnan(values)
        found: np.ndarray = (np.clip(np.round(np.where(lost, 0.0, values)), 0, 1) == 1).astype(object)
        found[lost] = np.nan
        return found

    def forward(self, value: object, draws: Draws) -> list[object]:
        return [as_number(value)] if self.missing is None else self.missing.forward(as_number(value), draws)


@dataclass(frozen=True, slots=True, kw_only=True)
class Empty(TableEncoding):
    """A column without any value: a constant stood for it, and every cell comes back missing."""

    tag: ClassVar[str] = "empty"
    fill: float

    @classmethod
    def from_document(cls, fields: Fields) -> Empty:
        found = cls(fill=fields.number("fill"))
        fields.finish()
        return found

    def to_document(self) -> dict[str, Any]:
        return {"type": self.tag, "fill": self.fill}

    @property
    def outputs(self) -> int:
        return 1

    def reverse(self, columns: Sequence[np.ndarray], how: Reversal) -> np.ndarray:
        dtype = columns[0].dtype if columns[0].dtype.kind in "fO" else np.dtype(np.float64)
        return np.full(len(columns[0]), np.nan, dtype=dtype)

    def forward(self, value: object, draws: Draws) -> list[object]:
        return [self.fill]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity(TableEncoding):
    """A column that the model sees as it is."""

    tag: ClassVar[str] = "identity"

    @classmethod
    def from_document(cls, fields: Fields) -> Identity:
        fields.finish()
        return cls()

    def to_document(self) -> dict[str, Any]:
        return {"type": self.tag}

    @property
    def outputs(self) -> int:
        return 1

    def reverse(self, columns: Sequence[np.ndarray], how: Reversal) -> np.ndarray:
        return columns[0]

    def forward(self, value: object, draws: Draws) -> list[object]:
        return [value]
