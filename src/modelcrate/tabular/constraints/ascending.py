"""Columns in ascending order, each modelled as its distance from the one before.

The model sees the lowest column, for every further one ``log(distance + 1)``, and where cells may be missing one column
of labels that name the missing ones.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields
from modelcrate.tabular.constraints.base import Constraint, column_name, column_names, mask
from modelcrate.tabular.constraints.casting import (
    DATETIME,
    DTYPES,
    numbers,
    restore,
    same_kind,
    texts_as_moments,
)
from modelcrate.tabular.constraints.distances import compressed, expanded, raised
from modelcrate.tabular.dates import precision
from modelcrate.tabular.formats import read_pattern

NONE_MISSING = "None"
"""The label of a row in which no cell is missing."""
GUESSED = ("others", "all")
NULLABLE = tuple(f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ascending(Constraint):
    """``names`` hold ascending values, from left to right; equal ones only where not ``strict``; missing ones obey.

    ``start`` names the modelled column of the lowest, ``distances`` those of the others, ``labels`` the column of the
    missing ones or None. ``dtype`` is that of the highest column. ``patterns``: for each column the format of its dates
    where it holds texts, else None. ``matched``: dates of two formats are compared at the coarser one. ``recent``: the
    distances come back through the exponential of NumPy 2, whose last bit, a nanosecond of a date, is another.
    ``guessed``: undone, the original reads each text of the lowest column on its own, the month first where that gives
    one, for the ``others`` above it or for ``all`` columns.
    """

    tag: ClassVar[str] = "ascending"
    names: tuple[str, ...]
    start: str
    distances: tuple[str, ...]
    labels: str | None
    strict: bool
    dtype: str
    texts: bool
    patterns: tuple[str | None, ...]
    matched: bool
    recent: bool = False
    guessed: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return self.names

    @classmethod
    def from_document(cls, fields: Fields) -> Ascending:
        names = column_names(fields, "columns", at_least=2)
        patterns: list[str | None] = []
        for item in fields.each_fields("patterns", max_items=len(names)):
            patterns.append(read_pattern(item, "pattern"))
            item.finish()
        found = cls(
            names=names,
            start=column_name(fields, "start"),
            distances=column_names(fields, "distances"),
            labels=fields.nullable("labels", lambda name: column_name(fields, name)),
            strict=fields.boolean("strict"),
            dtype=fields.text("dtype", choices=(*DTYPES, *NULLABLE)),
            texts=fields.boolean("texts"),
            patterns=tuple(patterns),
            matched=fields.boolean("matched"),
            recent=fields.optional("recent", fields.boolean, False),
            guessed=fields.optional("guessed", lambda name: fields.text(name, choices=GUESSED), None),
        )
        fields.finish()
        if len(found.distances) != len(names) - 1:
            raise FormatError("there is one distance less than columns", where=fields.path("distances"))
        if len(patterns) != len(names):
            raise FormatError("there must be one format per column", where=fields.path("patterns"))
        if found.texts and found.dtype != DATETIME:
            raise FormatError("only dates are written as texts", where=fields.path("texts"))
        return found

    def to_document(self) -> dict[str, Any]:
        found = {
            "type": self.tag,
            "columns": list(self.names),
            "start": self.start,
            "distances": list(self.distances),
            "labels": self.labels,
            "strict": self.strict,
            "dtype": self.dtype,
            "texts": self.texts,
            "patterns": [{"pattern": pattern} for pattern in self.patterns],
            "matched": self.matched,
        }
        found |= {"recent": True} if self.recent else {}
        return found if self.guessed is None else {**found, "guessed": self.guessed}

    def is_valid(self, frame: pd.DataFrame) -> pd.Series:
        values = [self._values(frame, name, pattern) for name, pattern in zip(self.names, self.patterns, strict=True)]
        same_kind(*values)
        valid = np.ones(len(frame), dtype=bool)
        for low, high in itertools.combinations(range(len(values)), 2):
            first, second = self._matched(values[low], values[high], self.patterns[low], self.patterns[high])
            above = second > first if self.strict else second >= first
            valid &= np.isnan(first) | np.isnan(second) | above
        return mask(frame, valid)

    def _transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        values = [self._values(frame, name, pattern) for name, pattern in zip(self.names, self.patterns, strict=True)]
        same_kind(*values)
        for name, (low, high) in zip(self.distances, itertools.pairwise(range(len(values))), strict=True):
            first, second = self._matched(values[low], values[high], self.patterns[low], self.patterns[high])
            frame[name] = compressed(second - first)
        missing = np.stack([np.isnan(each) for each in values], axis=1)
        if self.labels is not None and missing.any():  # known cells that are all there tell nothing of the labels
            frame[self.labels] = pd.Series(
                [
                    ", ".join(itertools.compress(self.names, row.tolist())) if row.any() else NONE_MISSING
                    for row in missing
                ],
                index=frame.index,
                dtype=object,
            )
        frame = frame.drop(columns=list(self.names[1:]))
        return frame.rename(columns={self.names[0]: self.start})

    def _reverse(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Where ``texts``, the dates come back as ``datetime64[ns]``; the column's format makes texts of them."""
        frame = frame.rename(columns={self.start: self.names[0]})
        value = self._values(frame, self.names[0], self.patterns[0])
        guessed = value
        if self.texts and self.guessed is not None:
            guessed = texts_as_moments(frame[self.names[0]], None, each=True)
        lowest = guessed if self.guessed == "all" else value
        given = frame[self.names[0]].to_numpy()  # between others it stays the text that it is
        restored = {self.names[0]: lowest if self.texts and self.matched else given}
        value = guessed
        for name, distance in zip(self.names[1:], self.distances, strict=True):
            gap = expanded(numbers(frame, distance, dates=False).astype(np.float64), self.dtype, recent=self.recent)
            value = self._above(value, gap, name)
            restored[name] = value
        lost = self._lost(frame)
        for name, values in restored.items():
            rows = lost.get(name)
            empty = np.datetime64("NaT", "ns") if values.dtype.kind == "M" else np.nan
            frame[name] = values if rows is None or not rows.any() else np.where(rows, empty, values)
        spent = [*self.distances, *([] if self.labels is None else [self.labels])]
        return frame.drop(columns=[name for name in spent if name in frame.columns])

    def _above(self, low: np.ndarray, gap: np.ndarray, name: str) -> np.ndarray:
        found = raised(low, gap)
        if self.dtype in NULLABLE or found.dtype.kind == "M":  # missing cells are no error here
            return found
        return restore(found, self.dtype, name, lossy=True)

    def _lost(self, frame: pd.DataFrame) -> dict[str, np.ndarray]:
        if self.labels is None or self.labels not in frame.columns:
            return {}
        labels = frame[self.labels].to_numpy(dtype=object)
        found = {name: np.zeros(len(labels), dtype=bool) for name in self.names}
        for label in {label for label in labels.tolist() if type(label) is str and label != NONE_MISSING}:
            for name in (part.strip() for part in label.split(",")):
                if name in found:
                    found[name] |= labels == label
        return found

    def _values(self, frame: pd.DataFrame, name: str, pattern: str | None) -> np.ndarray:
        if name in frame.columns and self.texts:
            return texts_as_moments(frame[name], pattern)
        return numbers(frame, name)

    def _matched(
        self, first: np.ndarray, second: np.ndarray, low: str | None, high: str | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Dates of formats of different precision, the finer cut off to what the coarser tells."""
        if not self.matched or low == high or low is None or high is None:
            return first, second
        if precision(low) >= precision(high):
            return texts_as_moments(first, high, cut=True), second
        return first, texts_as_moments(second, low, cut=True)
