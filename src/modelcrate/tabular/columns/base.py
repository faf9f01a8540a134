"""What a column encoding is: at the table's level one column to a few, at the matrix's level one column to a span."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from modelcrate.format.document import Fields
from modelcrate.tabular.draws import Draws, Reversal

TANH = "tanh"
SOFTMAX = "softmax"
SIGMOID = "sigmoid"
"""The activation of a span of the generator's output (CTGAN paper, section 4.3; sigmoid for binary digits)."""


class Encoding(ABC):
    """A fitted encoding of one column, as data."""

    __slots__ = ()
    tag: ClassVar[str]
    """The value of ``type`` in a document."""

    @classmethod
    @abstractmethod
    def from_document(cls, fields: Fields) -> Encoding:
        """Read one encoding; ``type`` has been read. Raises :class:`FormatError`."""

    @abstractmethod
    def to_document(self) -> dict[str, Any]:
        """The encoding in format values, ``type`` included."""

    def derived(self) -> list[tuple[str, int]]:
        """What of it was taken from training data: (kind, how many values)."""
        return []


class TableEncoding(Encoding):
    """One column of the original table and the columns that were modelled in its place."""

    __slots__ = ()

    @property
    @abstractmethod
    def outputs(self) -> int:
        """How many columns stand for it."""

    @abstractmethod
    def reverse(self, columns: Sequence[np.ndarray], how: Reversal) -> np.ndarray:
        """Modelled columns, ``outputs`` arrays of shape (n,), back to the original one, shape (n,)."""

    @abstractmethod
    def forward(self, value: object, draws: Draws) -> list[object]:
        """One known cell as ``outputs`` cells. Raises :class:`UsageError` for a value that can't be one."""

    def knows(self, value: object) -> bool:
        """Whether the column can hold this cell at all; a category that was never seen it can't."""
        return True


class MatrixEncoding(Encoding):
    """One modelled column and its span of the encoded matrix that the generator makes."""

    __slots__ = ()

    @property
    @abstractmethod
    def activations(self) -> tuple[tuple[int, str], ...]:
        """(width, activation) of each part of the span, in order."""

    @property
    def width(self) -> int:
        """Columns of the span."""
        return sum(width for width, _ in self.activations)

    @abstractmethod
    def decode(self, matrix: np.ndarray, how: Reversal) -> np.ndarray:
        """The span of activated outputs, float32 of shape (n, width), as a column of shape (n,)."""

    @abstractmethod
    def encode(self, value: object, draws: Draws) -> np.ndarray:
        """One known cell as a float32 vector of shape (width,)."""

    def knows(self, value: object) -> bool:
        """Whether the generator can make this cell at all; a category that was never seen it can't."""
        return True
