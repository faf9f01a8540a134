"""Categories as intervals of [0, 1]: a known one is a number anywhere in its interval, as long as its share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields
from modelcrate.tabular.cells import Categories, is_missing
from modelcrate.tabular.columns.base import TableEncoding
from modelcrate.tabular.draws import Draws, Reversal


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Interval(TableEncoding):
    """``ends``: float64 of shape (k,), where each category's interval ends; the next begins there, the first at 0.

    An end belongs to its own interval. With ``keeps_missing`` missing cells are no category and stay missing.
    """

    tag: ClassVar[str] = "interval"
    categories: Categories
    ends: np.ndarray
    keeps_missing: bool

    @classmethod
    def from_document(cls, fields: Fields) -> Interval:
        keeps_missing = fields.boolean("keeps_missing")
        found = cls(
            categories=Categories.from_document(fields, at_least=0 if keeps_missing else 1),
            ends=fields.array("ends", dtype="float64"),
            keeps_missing=keeps_missing,
        )
        fields.finish()
        if len(found.ends) != len(found.categories):
            raise FormatError("needs one interval per category", where=fields.where)
        inside = bool(((found.ends >= 0.0) & (found.ends <= 1.0)).all())
        if len(found.ends) and (not inside or found.ends[-1] != 1.0 or bool((np.diff(found.ends) < 0.0).any())):
            raise FormatError("the intervals do not divide [0, 1] in rising order", where=fields.path("ends"))
        if keeps_missing and found.categories.has_missing:
            raise FormatError("missing cells are kept, and a category as well", where=fields.path("categories"))
        return found

    def to_document(self) -> dict[str, Any]:
        return {
            "type": self.tag,
            "categories": self.categories.to_document(),
            "ends": self.ends,
            "keeps_missing": self.keeps_missing,
        }

    def derived(self) -> list[tuple[str, int]]:
        return [("category", len(self.categories)), ("frequency", len(self.categories))]

    @property
    def outputs(self) -> int:
        return 1

    def reverse(self, columns: Sequence[np.ndarray], how: Reversal) -> np.ndarray:
        values = np.clip(columns[0].astype(np.float64), 0.0, 1.0)
        lost = np.isnan(values)
        if not len(self.categories):
            return np.full(len(values), np.nan)
        codes = np.searchsorted(self.ends, np.where(lost, 0.0, values), side="left")
        if self.categories.has_missing:  # the whole list shares one dtype unless a text for NaN is in it
            found = self.categories.objects()[codes]
            found[lost] = np.nan
            return found
        return with_missing(self.categories.take(codes, infer_from_all=True), lost)

    def forward(self, value: object, draws: Draws) -> list[object]:
        if self.keeps_missing and (is_missing(value) or not len(self.categories)):
            return [float("nan")]
        code = self.categories.find(value)
        if code is None:
            code = int(draws.integers(len(self.categories), 1)[0])
        start = float(self.ends[code - 1]) if code else 0.0
        return [start + (float(self.ends[code]) - start) * float(draws.uniform(1)[0])]

    def knows(self, value: object) -> bool:
        return (self.keeps_missing and is_missing(value)) or self.categories.find(value) is not None


def with_missing(values: np.ndarray, lost: np.ndarray) -> np.ndarray:
    """Values of shape (n,) in a dtype that holds NaN, set where ``lost``; the same array where nothing is."""
    if not lost.any():
        return values
    if values.dtype.kind == "M":
        found = values.copy()
        found[lost] = np.datetime64("NaT")
        return found
    numeric = values.dtype.kind in "iuf"
    found = values.astype(np.result_type(values.dtype, np.float16) if numeric else object)
    found[lost] = np.nan
    return found
