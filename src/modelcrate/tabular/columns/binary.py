"""Columns of very many categories: the category's number, written in binary digits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields
from modelcrate.tabular.cells import Categories, column_of, read_dtype
from modelcrate.tabular.columns.base import SIGMOID, MatrixEncoding
from modelcrate.tabular.draws import Draws, Reversal

DIGITS_LIMIT = 62
"""Binary digits; a signed 64-bit number holds no more."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Binary(MatrixEncoding):
    """Category k of the list is the number k + 1, most significant digit first; a digit is set above a half.

    A number without a category is a missing cell, or, where ``fallbacks`` are given, one of these at random.
    """

    tag: ClassVar[str] = "binary"
    dtype: np.dtype[np.generic]
    digits: int
    categories: Categories
    fallbacks: Categories

    @classmethod
    def from_document(cls, fields: Fields) -> Binary:
        found = cls(
            dtype=read_dtype(fields),
            digits=fields.integer("digits", minimum=1, maximum=DIGITS_LIMIT),
            categories=Categories.from_document(fields),
            fallbacks=Categories.from_document(fields, "fallbacks", at_least=0),
        )
        fields.finish()
        if len(found.categories) >= 1 << found.digits:
            raise FormatError("too few digits for the categories", where=fields.path("digits"))
        return found

    def to_document(self) -> dict[str, Any]:
        return {
            "type": self.tag,
            "dtype": self.dtype.name,
            "digits": self.digits,
            "categories": self.categories.to_document(),
            "fallbacks": self.fallbacks.to_document(),
        }

    def derived(self) -> list[tuple[str, int]]:
        return [("category", len(self.categories))]

    @property
    def activations(self) -> tuple[tuple[int, str], ...]:
        return ((self.digits, SIGMOID),)

    def decode(self, matrix: np.ndarray, how: Reversal) -> np.ndarray:
        places = np.left_shift(1, np.arange(self.digits)[::-1])
        codes = (matrix > 0.5).astype(np.int64) @ places - 1
        unknown = (codes < 0) | (codes >= len(self.categories))
        values = self.categories.objects()[np.where(unknown, 0, codes)]
        values[unknown] = np.nan
        if len(self.fallbacks) and unknown.any():
            choices = column_of(self.fallbacks.values)
            values[unknown] = choices[how.draws.integers(len(choices), int(unknown.sum()))]
        return values.astype(self.dtype)

    def encode(self, value: object, draws: Draws) -> np.ndarray:
        code = self.categories.find(value)
        number = 0 if code is None else code + 1  # an unseen value is all zeros upstream, too
        return np.array([number >> place & 1 for place in range(self.digits - 1, -1, -1)], dtype=np.float32)

    def knows(self, value: object) -> bool:
        return self.categories.find(value) is not None
