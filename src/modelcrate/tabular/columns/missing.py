"""Missing cells of a column that is modelled as numbers: what fills them, and how they come back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields
from modelcrate.tabular.draws import Draws


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """``fill`` stood in for missing cells; they come back by a second column (``flagged``) or by chance (``share``).

    With ``between`` a number between these two stood in for each, drawn anew.
    """

    fill: float | None
    flagged: bool
    seen: bool
    share: float
    between: tuple[float, float] | None = None

    @classmethod
    def from_document(cls, fields: Fields) -> Missing:
        """Read one; a share is in [0, 1]."""
        found = cls(
            fill=fields.nullable("fill", fields.number),
            flagged=fields.boolean("flagged"),
            seen=fields.boolean("seen"),
            share=fields.number("share", minimum=0.0, maximum=1.0),
            between=fields.optional("between", lambda name: read_range(fields, name), None),
        )
        if found.between is not None and found.fill is not None:
            raise FormatError("missing cells were filled by one value or by several", where=fields.path("between"))
        if found.flagged and found.share:
            raise FormatError("missing cells come back by a flag or by chance, not both", where=fields.path("share"))
        fields.finish()
        return found

    def to_document(self) -> dict[str, Any]:
        """The fields, in format values."""
        document = {"fill": self.fill, "flagged": self.flagged, "seen": self.seen, "share": self.share}
        return document if self.between is None else {**document, "between": list(self.between)}

    def derived(self) -> list[tuple[str, int]]:
        """What of it was taken from training data: (kind, how many values)."""
        if self.between is not None:
            return [("bound", 2)]
        return [] if self.fill is None else [("mean", 1)]

    @property
    def outputs(self) -> int:
        """Modelled columns: the value and perhaps the flag."""
        return 2 if self.flagged else 1

    def restore(self, values: np.ndarray, flags: np.ndarray | None, draws: Draws) -> np.ndarray:
        """Values of shape (n,) with NaN where the flag is above a half or chance says so; may be ``values`` itself."""
        if not self.seen:
            return values
        lost = flags > 0.5 if flags is not None else draws.uniform(len(values)) < self.share
        if not lost.any():
            return values
        restored = values.astype(np.result_type(values.dtype, np.float16))
        restored[lost] = np.nan
        return restored

    def forward(self, value: float, draws: Draws) -> list[object]:
        """One number as its modelled cells."""
        lost = bool(np.isnan(value))
        filled = self.fill if lost and self.fill is not None else value
        if self.between is not None:
            low, high = self.between
            drawn = low + (high - low) * float(draws.uniform(1)[0])  # drawn for known numbers, too
            filled = drawn if lost else value
        return [filled, float(lost)] if self.flagged else [filled]


def read_range(fields: Fields, name: str) -> tuple[float, float]:
    """A field of two finite floats, the lower first."""
    ends: list[float] = []
    for where, item in fields.each(name, max_items=2):
        if type(item) is not float or not math.isfinite(item):
            raise FormatError("expected a finite float", where=where)
        ends.append(item)
    if len(ends) != 2 or ends[0] > ends[1]:
        raise FormatError("expected a lower and an upper end", where=fields.path(name))
    return ends[0], ends[1]


def read_missing(fields: Fields, name: str = "missing") -> Missing | None:
    """A field that may be null: the column then never had missing cells handled."""
    return fields.nullable(name, lambda name: Missing.from_document(fields.fields(name)))


def restore(missing: Missing | None, columns: list[np.ndarray], draws: Draws) -> np.ndarray:
    """The value column with its missing cells, from one or two modelled columns."""
    if missing is None:
        return columns[0]
    return missing.restore(columns[0], columns[1] if missing.flagged else None, draws)
