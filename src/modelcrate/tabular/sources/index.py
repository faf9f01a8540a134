"""Identifiers that count: a number between two fixed texts."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

import numpy as np

from modelcrate.format.document import Fields
from modelcrate.tabular.sources.base import ROWS_LIMIT, Maker, Source, cells, read_count

TEXT_LIMIT = 4096
"""Characters before and after the number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index(Source):
    """``first`` is the first number; ``made`` identifiers had been made when the model was saved."""

    tag: ClassVar[str] = "index"
    before: str
    first: int
    after: str
    made: int

    @classmethod
    def from_document(cls, fields: Fields) -> Index:
        found = cls(
            before=fields.text("before", max_length=TEXT_LIMIT),
            first=fields.integer("first", minimum=-ROWS_LIMIT, maximum=ROWS_LIMIT),
            after=fields.text("after", max_length=TEXT_LIMIT),
            made=read_count(fields, "made"),
        )
        fields.finish()
        return found

    def to_document(self) -> dict[str, Any]:
        return {"type": self.tag, "before": self.before, "first": self.first, "after": self.after, "made": self.made}

    @property
    def unique(self) -> bool:
        return True

    def resume(self) -> Maker:
        return _Counter(self, self.made)

    def start(self, random: Random) -> Maker:
        return _Counter(self, 0)


class _Counter(Maker):
    def __init__(self, source: Index, made: int) -> None:
        self.source = source
        self.made = made

    def take(self, rows: int) -> np.ndarray:
        first = self.source.first + self.made
        self.made += rows
        before, after = self.source.before, self.source.after
        return cells([f"{before}{number}{after}" for number in range(first, first + rows)])

    def skip(self, rows: int) -> None:
        self.made += rows
