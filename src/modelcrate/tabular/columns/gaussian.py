"""Numbers as standard normal scores by a distribution of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from modelcrate.format.document import Fields
from modelcrate.tabular.columns.base import TableEncoding
from modelcrate.tabular.columns.number import Number
from modelcrate.tabular.copula.distribution import Distribution, read_distribution
from modelcrate.tabular.draws import Draws, Reversal


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalScore(TableEncoding):
    """A number x as the score z with Phi(z) = F(x), beside its flag where missing cells have one."""

    tag: ClassVar[str] = "normal_score"
    distribution: Distribution
    number: Number

    @classmethod
    def from_document(cls, fields: Fields) -> NormalScore:
        number = fields.fields("number")
        number.text("type", choices=(Number.tag,))
        found = cls(
            distribution=read_distribution(fields.fields("distribution")),
            number=Number.from_document(number),
        )
        fields.finish()
        return found

    def to_document(self) -> dict[str, Any]:
        return {
            "type": self.tag,
            "distribution": self.distribution.to_document(),
            "number": self.number.to_document(),
        }

    def derived(self) -> list[tuple[str, int]]:
        return [*self.distribution.derived(), *self.number.derived()]

    @property
    def outputs(self) -> int:
        return self.number.outputs

    def reverse(self, columns: Sequence[np.ndarray], how: Reversal) -> np.ndarray:
        values = self.distribution.values(columns[0].astype(np.float64))
        return self.number.reverse([values, *columns[1:]], how)

    def forward(self, value: object, draws: Draws) -> list[object]:
        first, *rest = self.number.forward(value, draws)
        assert isinstance(first, float)
        return [float(self.distribution.scores(np.array([first]))[0]), *rest]
