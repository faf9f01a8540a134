"""What a source is: the cells of one column that no model learns, made up call after call."""

from __future__ import annotations

import decimal
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar

import numpy as np

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields
from modelcrate.tabular.cells import CELL_TYPES, column_of

BLOCK = 4096
"""Rows that are put in random order together where the order is to be scrambled."""
ROWS_LIMIT = 2**53
"""A counter of made cells stays a whole float."""
REPEATS_LIMIT = 1_000_000
"""Different numbers of repetitions of one column."""


class Maker(ABC):
    """Makes cells and goes on from call to call; not for several threads at once."""

    @abstractmethod
    def take(self, rows: int) -> np.ndarray:
        """The next cells, an object array of shape (rows,), NaN where missing."""

    def skip(self, rows: int) -> None:
        """Go on as if so many cells had been made."""
        for start in range(0, rows, BLOCK):
            self.take(min(BLOCK, rows - start))


class Source(ABC):
    """One column's source, as data."""

    __slots__ = ()
    tag: ClassVar[str]
    """The value of ``type`` in a document."""

    @classmethod
    @abstractmethod
    def from_document(cls, fields: Fields) -> Source:
        """Read one; ``type`` has been read. Raises :class:`FormatError`."""

    @abstractmethod
    def to_document(self) -> dict[str, Any]:
        """The source in format values, ``type`` included."""

    @property
    @abstractmethod
    def unique(self) -> bool:
        """Whether no cell of one maker occurs twice."""

    @abstractmethod
    def resume(self) -> Maker:
        """Goes on where the original stood when it was saved, in its very draws."""

    @abstractmethod
    def start(self, random: Random) -> Maker:
        """A fresh one that ``random`` alone decides; how many cells are taken at a time changes nothing."""

    def derived(self) -> list[tuple[str, int]]:
        """What was taken from training data: (kind, how many values)."""
        return []


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Repeats:
    """How often values occurred: ``counts`` of repetitions, int64 of shape (k,), and the share of values with each."""

    counts: np.ndarray
    shares: np.ndarray
    _edges: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        with np.errstate(all="ignore"):  # shares that are none are refused afterwards
            edges = self.shares.cumsum()
            object.__setattr__(self, "_edges", edges / edges[-1] if len(edges) else edges)

    @classmethod
    def from_document(cls, fields: Fields) -> Repeats:
        """Read one. Raises :class:`FormatError`."""
        found = cls(counts=fields.array("counts", dtype="int64"), shares=fields.array("shares", dtype="float64"))
        fields.finish()
        if not 1 <= len(found.counts) <= REPEATS_LIMIT or len(found.counts) != len(found.shares):
            raise FormatError("needs one share for each number of repetitions", where=fields.where)
        if not bool((found.counts >= 1).all()) or bool((found.counts > ROWS_LIMIT).any()):
            raise FormatError("a value occurs once at least", where=fields.path("counts"))
        if not bool((found.shares >= 0.0).all()) or abs(float(found.shares.sum()) - 1.0) > 1e-6:
            raise FormatError("the shares are not those of a whole", where=fields.path("shares"))
        return found

    def to_document(self) -> dict[str, Any]:
        """The fields, in format values."""
        return {"counts": self.counts, "shares": self.shares}

    def draw(self, uniform: float) -> int:
        """How often the next value occurs."""
        return int(self.counts[min(int(self._edges.searchsorted(uniform, side="right")), len(self._edges) - 1)])


@dataclass(slots=True, kw_only=True)
class Left:
    """A value that still has repetitions to come."""

    value: object = None
    times: int = 0

    @classmethod
    def from_document(cls, fields: Fields, name: str) -> Left:
        """Read one: ``[value, times]``, or null. Raises :class:`FormatError`."""
        if fields.value(name) is None:
            return cls()
        items = fields.items(name, max_items=2)
        if len(items) != 2 or not is_cell(items[0]) or type(items[1]) is not int or not 0 <= items[1] <= ROWS_LIMIT:
            raise FormatError("expected a value and how often it comes", where=fields.path(name))
        return cls(value=items[0], times=items[1])

    def to_document(self) -> list[object] | None:
        """The fields, in format values."""
        return [self.value, self.times] if self.times else None

    def copy(self) -> Left:
        """One that changes by itself."""
        return Left(value=self.value, times=self.times)

    def take(self, rows: int) -> list[object]:
        """At most ``rows`` of what is left."""
        count = min(rows, self.times)
        self.times -= count
        return [self.value] * count

    def add(self, value: object, times: int, rows: int) -> list[object]:
        """``times`` of a value, of which ``rows`` are taken at once and the rest is left."""
        if times > rows:
            self.value, self.times = value, times - rows
        return [value] * min(times, rows)


def is_cell(value: object) -> bool:
    """Whether a document's value can be one cell, found again among others."""
    if isinstance(value, decimal.Decimal) and value.is_snan():
        return False
    return value is None or isinstance(value, (*CELL_TYPES, np.generic))


def read_count(fields: Fields, name: str) -> int:
    """A field that counts cells."""
    return fields.integer(name, minimum=0, maximum=ROWS_LIMIT)


def cells(values: list[object]) -> np.ndarray:
    """Values as an object array of shape (n,)."""
    return column_of(values)


def own(random: Random) -> Random:
    """A generator that the given one decides and that others do not disturb."""
    return Random(random.getrandbits(64))
