"""The conditional sampler: which category of which column a row of noise is asked for (CTGAN paper, section 4.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from modelcrate.errors import FormatError, UsageError
from modelcrate.format.document import Fields
from modelcrate.tabular.cells import read_name
from modelcrate.tabular.transformer import COLUMNS_LIMIT, WIDTH_LIMIT

SUM_TOLERANCE = 1e-6
"""How far cumulated float64 probabilities of many categories may miss 1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConditionalSampler:
    """The state of a component of type ``tabular.sampler/1``.

    ``columns`` are (name, categories) in order; ``cumulative``, float64 of shape (all categories,), are the cumulated
    probabilities of choosing a column evenly and then a category by its frequency.
    """

    type_tag: ClassVar[str] = "tabular.sampler/1"
    columns: tuple[tuple[str, int], ...]
    cumulative: np.ndarray

    @classmethod
    def from_document(cls, document: object, where: str) -> ConditionalSampler:
        """Read the state. Raises :class:`FormatError`."""
        fields = Fields(document, where)
        columns: list[tuple[str, int]] = []
        for item in fields.each_fields("columns", max_items=COLUMNS_LIMIT):
            columns.append((read_name(item, "name"), item.integer("categories", minimum=1, maximum=WIDTH_LIMIT)))
            item.finish()
        cumulative = fields.array("cumulative", dtype="float64")
        fields.finish()
        if len(cumulative) != sum(count for _, count in columns):
            raise FormatError("needs one probability per category", where=fields.path("cumulative"))
        if len(cumulative):
            rising = bool((np.diff(cumulative) >= 0.0).all()) and bool(cumulative[0] >= 0.0)
            if not rising or abs(float(cumulative[-1]) - 1.0) > SUM_TOLERANCE:
                raise FormatError("cumulated probabilities rise from 0 to 1", where=fields.path("cumulative"))
        return cls(columns=tuple(columns), cumulative=cumulative)

    def to_document(self) -> dict[str, Any]:
        """The state in format values."""
        columns = [{"name": name, "categories": count} for name, count in self.columns]
        return {"columns": columns, "cumulative": self.cumulative}

    @property
    def width(self) -> int:
        """Length of a condition vector: all categories of all columns."""
        return len(self.cumulative)

    def derived(self) -> list[tuple[str, str, int]]:
        """What was taken from training data: (column, kind, how many values)."""
        return [(name, "frequency", count) for name, count in self.columns]

    def rarest(self, codes: Mapping[str, int]) -> str | None:
        """Of columns with a category each, the one to ask for: it would otherwise be met most seldom."""
        chances = np.diff(self.cumulative, prepend=0.0)
        found: dict[str, float] = {}
        start = 0
        for name, count in self.columns:
            if name in codes:
                found[name] = float(chances[start + codes[name]])
            start += count
        return min(found, key=found.__getitem__) if found else None

    def request(self, column: str, category: int, *, misplaced: bool = False) -> np.ndarray:
        """The condition vector, float32 of shape (width,), that asks for one category of one of the columns.

        ``misplaced``: as if the column were the first, which is what ctgan's releases do. Raises :class:`UsageError`
        for a column that has no place in the vector.
        """
        start = 0
        for name, count in self.columns:
            if name == column:
                vector = np.zeros(self.width, dtype=np.float32)
                vector[category if misplaced else start + category] = 1.0
                return vector
            start += count
        raise UsageError("categories can be requested of discrete columns only", where=f"conditions[{column!r}]")

    def picks(self, chances: np.ndarray) -> np.ndarray:
        """The position of the one in each condition vector, int64 of shape (n,), for n uniform numbers in [0, 1)."""
        picks = np.searchsorted(self.cumulative, chances, side="right")
        picks[picks == self.width] = 0  # the last bound may be a rounding below 1; the original then takes the first
        return picks

    def vectors(self, chances: np.ndarray) -> np.ndarray:
        """Condition vectors, float32 of shape (n, width), one-hot, for n uniform numbers in [0, 1)."""
        picks = self.picks(chances)
        vectors = np.zeros((len(chances), self.width), dtype=np.float32)
        vectors[np.arange(len(chances)), picks] = 1.0
        return vectors
