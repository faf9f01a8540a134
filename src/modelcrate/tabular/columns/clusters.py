"""Numbers as modelled columns of their own for the mode and the distance from its mean, missing cells included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from modelcrate.format.document import Fields
from modelcrate.tabular.columns.base import TableEncoding
from modelcrate.tabular.columns.missing import Missing, read_missing, restore
from modelcrate.tabular.columns.modes import ModeSpecific
from modelcrate.tabular.columns.number import as_number
from modelcrate.tabular.draws import Draws, Reversal


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Clusters(TableEncoding):
    """Mode-specific normalisation at the table's level: the distance, the mode's number, perhaps the flag.

    The mode is a number that a model makes, so it is rounded to one that there is.
    """

    tag: ClassVar[str] = "clusters"
    modes: ModeSpecific
    missing: Missing | None

    @classmethod
    def from_document(cls, fields: Fields) -> Clusters:
        modes = fields.fields("modes")
        modes.text("type", choices=(ModeSpecific.tag,))
        found = cls(modes=ModeSpecific.from_document(modes), missing=read_missing(fields))
        fields.finish()
        return found

    def to_document(self) -> dict[str, Any]:
        return {
            "type": self.tag,
            "modes": self.modes.to_document(),
            "missing": None if self.missing is None else self.missing.to_document(),
        }

    def derived(self) -> list[tuple[str, int]]:
        return [*self.modes.derived(), *([] if self.missing is None else self.missing.derived())]

    @property
    def outputs(self) -> int:
        return 1 + (1 if self.missing is None else self.missing.outputs)

    def reverse(self, columns: Sequence[np.ndarray], how: Reversal) -> np.ndarray:
        known = np.nan_to_num(columns[1].astype(np.float64), nan=0.0)
        mode = np.clip(np.round(known), 0, int(self.modes.used.sum()) - 1).astype(np.int64)
        values = self.modes.values(columns[0].astype(np.float64), mode)
        return self.modes.number.restore(restore(self.missing, [values, *columns[2:]], how.draws), how)

    def forward(self, value: object, draws: Draws) -> list[object]:
        x = as_number(value)
        filled, *flag = [x] if self.missing is None else self.missing.forward(x, draws)
        chance = self.modes.chances(as_number(filled)).cumsum()
        mode = int((chance / chance[-1]).searchsorted(draws.uniform(1)[0], side="right"))
        return [self.modes.distance(as_number(filled), mode), mode, *flag]
