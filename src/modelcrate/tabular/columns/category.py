"""Categories as numbers: by frequency, by label, by position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields
from modelcrate.tabular.cells import Categories, as_objects, is_missing, read_dtype
from modelcrate.tabular.columns.base import SOFTMAX, MatrixEncoding, TableEncoding
from modelcrate.tabular.columns.interval import with_missing
from modelcrate.tabular.draws import Draws, Reversal

END_MARGIN = 1e-9
"""A noised value stays this far below the end of its interval, so that it does not become the next category."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frequency(TableEncoding):
    """Each category owns an interval of [0, 1] as long as its share; ``starts`` and ``ends`` have shape (k,).

    ``noise``: a known cell lies about its interval's mean; with ``aside`` that number is drawn beside all others.
    ``shadowed``: the original, read from its file, has a missing category overwrite all that come after it, in samples
    of more rows than there are categories; a replay does as well.
    """

    tag: ClassVar[str] = "frequency"
    dtype: np.dtype[np.generic]
    categories: Categories
    starts: np.ndarray
    ends: np.ndarray
    means: np.ndarray
    deviations: np.ndarray
    noise: bool
    aside: bool = False
    shadowed: bool = False

    @classmethod
    def from_document(cls, fields: Fields) -> Frequency:
        found = cls(
            dtype=read_dtype(fields),
            categories=Categories.from_document(fields),
            starts=fields.array("starts", dtype="float64"),
            ends=fields.array("ends", dtype="float64"),
            means=fields.array("means", dtype="float64"),
            deviations=fields.array("deviations", dtype="float64"),
            noise=fields.boolean("noise"),
            aside=fields.optional("aside", fields.boolean, False),
            shadowed=fields.optional("shadowed", fields.boolean, False),
        )
        fields.finish()
        arrays = (found.starts, found.ends, found.means, found.deviations)
        if any(len(array) != len(found.categories) for array in arrays):
            raise FormatError("needs one interval per category", where=fields.where)
        inside = all(bool(((array >= 0.0) & (array <= 1.0 + 1e-9)).all()) for array in arrays)
        if not inside or found.starts[0] != 0.0 or bool((np.diff(found.starts) < 0.0).any()):
            raise FormatError("the intervals do not divide [0, 1] in rising order", where=fields.path("starts"))
        if bool((found.means < found.starts).any()) or bool((found.ends < found.means).any()):
            raise FormatError("a mean lies outside of its interval", where=fields.path("means"))
        return found

    def to_document(self) -> dict[str, Any]:
        document = {
            "type": self.tag,
            "dtype": self.dtype.name,
            "categories": self.categories.to_document(),
            "starts": self.starts,
            "ends": self.ends,
            "means": self.means,
            "deviations": self.deviations,
            "noise": self.noise,
        }
        return document | {name: True for name in ("aside", "shadowed") if getattr(self, name)}

    def derived(self) -> list[tuple[str, int]]:
        return [("category", len(self.categories)), ("frequency", len(self.categories))]

    @property
    def outputs(self) -> int:
        return 1

    def reverse(self, columns: Sequence[np.ndarray], how: Reversal) -> np.ndarray:
        values = np.clip(columns[0].astype(np.float64), 0.0, 1.0)
        codes = np.searchsorted(self.starts, values, side="right") - 1  # NaN sorts last, as it does upstream
        missing = self.categories.find(None) if self.shadowed and how.overflows else None
        if missing is not None and len(codes) > len(self.categories):
            codes = np.minimum(codes, missing)
        found = self.categories.take(codes)
        try:
            return as_objects(found) if self.dtype.kind == "O" else found.astype(self.dtype)
        except (TypeError, ValueError, OverflowError):  # a missing cell, say; the field decides what becomes of it
            return found

    def forward(self, value: object, draws: Draws) -> list[object]:
        code = self.categories.find(value)
        noise = draws.aside() if self.aside else draws
        other = int(draws.integers(len(self.categories), 1)[0])  # upstream draws this for known values too
        if code is None:
            code = other
        if not self.noise:
            return [float(self.means[code])]
        noised = noise.normal(1)[0] * self.deviations[code] + self.means[code]
        return [float(np.clip(noised, self.starts[code], self.ends[code] - END_MARGIN))]

    def knows(self, value: object) -> bool:
        return self.categories.find(value) is not None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Label(TableEncoding):
    """Each category is its position in the list, with ``noise`` anywhere between that and the next.

    With ``keeps_missing`` missing cells are no category and stay missing; such a list may be empty.
    """

    tag: ClassVar[str] = "label"
    categories: Categories
    noise: bool
    keeps_missing: bool = False

    @classmethod
    def from_document(cls, fields: Fields) -> Label:
        keeps_missing = fields.optional("keeps_missing", fields.boolean, False)
        found = cls(
            categories=Categories.from_document(fields, at_least=0 if keeps_missing else 1),
            noise=fields.boolean("noise"),
            keeps_missing=keeps_missing,
        )
        fields.finish()
        return found

    def to_document(self) -> dict[str, Any]:
        document = {"type": self.tag, "categories": self.categories.to_document(), "noise": self.noise}
        return {**document, "keeps_missing": True} if self.keeps_missing else document

    def derived(self) -> list[tuple[str, int]]:
        return [("category", len(self.categories))]

    @property
    def outputs(self) -> int:
        return 1

    def reverse(self, columns: Sequence[np.ndarray], how: Reversal) -> np.ndarray:
        values: np.ndarray = columns[0].astype(np.float64)
        if not len(self.categories):
            return np.full(len(values), np.nan)
        if self.noise:
            values = np.floor(values)
        values = np.round(np.clip(values, 0, len(self.categories) - 1))
        lost = np.isnan(values)
        found = self.categories.take(np.where(lost, 0, values).astype(np.int64), infer_from_all=True)
        return with_missing(found, lost)

    def forward(self, value: object, draws: Draws) -> list[object]:
        if self.keeps_missing and (is_missing(value) or not len(self.categories)):
            return [float("nan")]
        code = self.categories.find(value)
        if code is None:
            code = int(draws.integers(len(self.categories), 1)[0])
        return [code + float(draws.uniform(1)[0])] if self.noise else [code]

    def knows(self, value: object) -> bool:
        return (self.keeps_missing and is_missing(value)) or self.categories.find(value) is not None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OneHot(TableEncoding, MatrixEncoding):
    """One column per category; the greatest wins, the first of equals. Missing is a category like any other.

    ``dtype``: objects where decoded values become objects even if all that occur are numbers, as in later releases of
    rdt; None for the dtype that is inferred.
    """

    tag: ClassVar[str] = "one_hot"
    categories: Categories
    dtype: np.dtype[np.generic] | None = None

    @classmethod
    def from_document(cls, fields: Fields) -> OneHot:
        found = cls(
            categories=Categories.from_document(fields),
            dtype=fields.optional("dtype", lambda name: np.dtype(fields.text(name, choices=("object",))), None),
        )
        fields.finish()
        return found

    def to_document(self) -> dict[str, Any]:
        document = {"type": self.tag, "categories": self.categories.to_document()}
        return document if self.dtype is None else {**document, "dtype": self.dtype.name}

    def derived(self) -> list[tuple[str, int]]:
        return [("category", len(self.categories))]

    @property
    def outputs(self) -> int:
        return len(self.categories)

    @property
    def activations(self) -> tuple[tuple[int, str], ...]:
        return ((len(self.categories), SOFTMAX),)

    def reverse(self, columns: Sequence[np.ndarray], how: Reversal) -> np.ndarray:
        return self.decode(np.stack([column.astype(np.float64) for column in columns], axis=1), how)

    def decode(self, matrix: np.ndarray, how: Reversal) -> np.ndarray:
        found = self.categories.take(np.argmax(matrix, axis=1))
        if self.dtype is None or found.dtype.kind == "M":  # NumPy would make numbers of dates
            return found
        return found.astype(self.dtype)

    def forward(self, value: object, draws: Draws) -> list[object]:
        code = self.categories.find(value)
        return [int(position == code) for position in range(len(self.categories))]

    def encode(self, value: object, draws: Draws) -> np.ndarray:
        encoded = np.zeros(len(self.categories), dtype=np.float32)
        encoded[self.categories.find(value) or 0] = 1.0  # upstream takes the first for an unseen one
        return encoded

    def knows(self, value: object) -> bool:
        return self.categories.find(value) is not None
