"""What a preprocessing step is: fitted numbers as data, and what they do to the columns of a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from modelcrate.errors import FormatError, UsageError
from modelcrate.format.document import Fields
from modelcrate.tabular.preprocessing.block import Array, Block

COLUMNS_LIMIT = 1 << 20
"""Columns that a step may take or give; the widest one-hot encodings in use have some hundred thousand."""

Kind = Literal["number", "text", "any"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a step can take in one column: the kind of its cells, and whether a missing cell (NaN or None) is fine."""

    kind: Kind = "any"
    missing: bool = False
    used: bool = True

    def __and__(self, other: Expected) -> Expected:
        """What two steps that read the same column can both take."""
        if not (self.used and other.used):
            return self if self.used else other
        kind = self.kind if other.kind in ("any", self.kind) else other.kind
        return Expected(kind=kind, missing=self.missing and other.missing)


class Step(ABC):
    """A fitted step, as data: ``inputs`` columns in, ``outputs`` columns out, row by row."""

    __slots__ = ()
    tag: ClassVar[str]
    """The value of ``type`` in a document."""

    @classmethod
    @abstractmethod
    def from_document(cls, fields: Fields, depth: int) -> Step:
        """Read a step, ``type`` apart, ``depth`` steps deep. Raises FormatError for whatever does not hold together."""

    @abstractmethod
    def to_document(self) -> dict[str, Any]:
        """The step in format values, ``type`` included."""

    @property
    @abstractmethod
    def inputs(self) -> int:
        """How many columns it takes."""

    @property
    @abstractmethod
    def outputs(self) -> int:
        """How many columns it gives."""

    @property
    def widest(self) -> int:
        """The greatest number of columns at any point inside."""
        return max(self.inputs, self.outputs)

    @abstractmethod
    def transform(self, block: Block) -> Block:
        """Raw columns to encoded ones. Raises UsageError, naming the column, for cells that can't be encoded."""

    def inverse(self, block: Block) -> Block:
        """Encoded columns back to raw ones; UsageError where a step loses what it would take."""
        raise UsageError(f"a step of type {self.tag!r} can't be undone")

    @abstractmethod
    def expects(self, after: tuple[Expected, ...]) -> tuple[Expected, ...]:
        """What each input column may hold, given what the next step can take of each output column."""

    def check_width(self, block: Block) -> None:
        """UsageError if the block does not have ``inputs`` columns."""
        if len(block.names) != self.inputs:
            raise UsageError(f"expected {self.inputs} columns, found {len(block.names)}")


def read_vector(fields: Fields, name: str, *, positive: bool = False) -> Array:
    """A list of finite floats, each above zero if ``positive``: one for each column."""
    vector = fields.array(name, dtype=("float16", "float32", "float64"))
    check_count(len(vector), fields.path(name))
    if positive and not bool((vector > 0).all()):
        raise FormatError("must be greater than zero", where=fields.path(name))
    return vector


def check_count(count: int, where: str) -> None:
    """Between one and :data:`COLUMNS_LIMIT` columns."""
    if not 1 <= count <= COLUMNS_LIMIT:
        raise FormatError(f"needs 1 to {COLUMNS_LIMIT} columns", where=where)


def given_vector(values: object, what: str, *, positive: bool = False) -> Array:
    """A caller's numbers, one for each column, as a vector of floats; UsageError if they are none or not finite."""
    try:
        vector = np.atleast_1d(np.asarray(values))
        if vector.dtype.kind not in "iuf" or vector.dtype.itemsize > 8:
            raise TypeError
        vector = np.array(vector, dtype=vector.dtype if vector.dtype.kind == "f" else np.float64)
    except (TypeError, ValueError):
        raise UsageError("expected numbers", where=what) from None
    if vector.ndim != 1 or not 1 <= len(vector) <= COLUMNS_LIMIT:
        raise UsageError("expected one number for each column", where=what)
    wrong = np.flatnonzero(~np.isfinite(vector) | (vector <= 0 if positive else False))
    if len(wrong):
        wanted = "finite and greater than zero" if positive else "finite"
        raise UsageError(f"{vector[wrong[0]]} for column {wrong[0]} is not {wanted}", where=what)
    return vector
