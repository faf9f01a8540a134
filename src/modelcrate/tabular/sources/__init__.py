"""Where the cells of columns come from that no model learns: counters, patterns, made-up values."""

from __future__ import annotations

from random import Random
from typing import Any, Protocol

import numpy as np

from modelcrate.errors import UnsupportedError
from modelcrate.format.document import Fields


class Maker(Protocol):
    """Goes on from call to call."""

    def take(self, rows: int) -> np.ndarray:
        """The next cells, an object array of shape (rows,), NaN where missing."""
        ...


class Source(Protocol):
    """One column's source."""

    unique: bool

    def resume(self) -> Maker:
        """Goes on where the original stood."""
        ...

    def start(self, random: Random) -> Maker:
        """A fresh one that ``random`` decides."""
        ...

    def derived(self) -> list[tuple[str, int]]:
        """What was taken from training data."""
        ...

    def to_document(self) -> dict[str, Any]:
        """The source in format values."""
        ...


def read_source(fields: Fields) -> Source:
    """The source that a document describes."""
    raise UnsupportedError("a source of cells of unknown type", where=fields.path("type"))
