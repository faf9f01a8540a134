"""Missing cells of a column that is modelled as numbers: what fills them, and how they come back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields
from modelcrate.tabular.draws import Draws


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """``fill`` stood in for missing cells; they come back by a second column (``flagged``) or by chance (``share``)."""

    fill: float | None
    flagged: bool
    seen: bool
    share: float

    @classmethod
    def from_document(cls, fields: Fields) -> Missing:
        """Read one; a share is in [0, 1]."""
        found = cls(
            fill=fields.nullable("fill", fields.number),
            flagged=fields.boolean("flagged"),
            seen=fields.boolean("seen"),
            share=fields.number("share", minimum=0.0, maximum=1.0),
        )
        if found.flagged and found.share:
            raise FormatError("missing cells come back by a flag or by chance, not both", where=fields.path("share"))
        fields.finish()
        return found

    def to_document(self) -> dict[str, Any]:
        """The fields, in format values."""
        return {"fill": self.fill, "flagged": self.flagged, "seen": self.seen, "share": self.share}

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

    def forward(self, value: float) -> list[object]:
        """One number as its modelled cells."""
        lost = bool(np.isnan(value))
        filled = self.fill if lost and self.fill is not None else value
        return [filled, float(lost)] if self.flagged else [filled]


def read_missing(fields: Fields, name: str = "missing") -> Missing | None:
    """A field that may be null: the column then never had missing cells handled."""
    return fields.nullable(name, lambda name: Missing.from_document(fields.fields(name)))


def restore(missing: Missing | None, columns: list[np.ndarray], draws: Draws) -> np.ndarray:
    """The value column with its missing cells, from one or two modelled columns."""
    if missing is None:
        return columns[0]
    return missing.restore(columns[0], columns[1] if missing.flagged else None, draws)
