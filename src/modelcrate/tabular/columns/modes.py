"""Mode-specific normalisation: a number as its Gaussian mode and its distance from that mode's mean.

CTGAN paper, section 4.2. The modes come from a variational Gaussian mixture; modes of little weight are not used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields
from modelcrate.tabular.columns.base import SOFTMAX, TANH, MatrixEncoding
from modelcrate.tabular.columns.number import Number, as_number
from modelcrate.tabular.draws import Draws, Reversal

SPREAD = 4
"""Standard deviations of a mode that the interval [-1, 1] stands for."""
EDGE = 0.99
"""Normalised values are kept inside of this."""
FLOOR = 1e-6
"""Added to every mode's probability, so that none is impossible."""
MODES_LIMIT = 4096


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModeSpecific(MatrixEncoding):
    """Modes: float64 arrays of shape (k,), ``used`` says which of them have a column in the matrix.

    ``scales`` are the inverse standard deviations and ``offsets`` the log weights with the mixture's other constants:
    the log density of x under mode i is ``offsets[i] - ((x - means[i]) * scales[i])**2 / 2``, up to one constant.
    """

    tag: ClassVar[str] = "mode_specific"
    means: np.ndarray
    deviations: np.ndarray
    used: np.ndarray
    scales: np.ndarray
    offsets: np.ndarray
    number: Number

    @classmethod
    def from_document(cls, fields: Fields) -> ModeSpecific:
        number = fields.fields("number")
        number.text("type", choices=(Number.tag,))
        found = cls(
            means=fields.array("means", dtype="float64"),
            deviations=fields.array("deviations", dtype="float64"),
            used=fields.array("used", dtype="bool"),
            scales=fields.array("scales", dtype="float64"),
            offsets=fields.array("offsets", dtype="float64"),
            number=Number.from_document(number),
        )
        fields.finish()
        count = len(found.means)
        if not 1 <= count <= MODES_LIMIT:
            raise FormatError(f"needs between 1 and {MODES_LIMIT} modes", where=fields.path("means"))
        if any(len(array) != count for array in (found.deviations, found.used, found.scales, found.offsets)):
            raise FormatError("the arrays of the modes differ in length", where=fields.where)
        if bool((found.deviations <= 0.0).any()) or bool((found.scales <= 0.0).any()):
            raise FormatError("a mode without spread", where=fields.path("deviations"))
        if not bool(found.used.any()):
            raise FormatError("no mode is used", where=fields.path("used"))
        if found.number.outputs != 1:
            raise FormatError("a normalised column carries no flag of its own", where=fields.path("number.missing"))
        return found

    def to_document(self) -> dict[str, Any]:
        return {
            "type": self.tag,
            "means": self.means,
            "deviations": self.deviations,
            "used": self.used,
            "scales": self.scales,
            "offsets": self.offsets,
            "number": self.number.to_document(),
        }

    def derived(self) -> list[tuple[str, int]]:
        return [("mode", len(self.means)), *self.number.derived()]

    @property
    def activations(self) -> tuple[tuple[int, str], ...]:
        return ((1, TANH), (int(self.used.sum()), SOFTMAX))

    def decode(self, matrix: np.ndarray, how: Reversal) -> np.ndarray:
        return self.number.reverse([self.values(matrix[:, 0], np.argmax(matrix[:, 1:], axis=1))], how)

    def encode(self, value: object, draws: Draws) -> np.ndarray:
        x = float(np.float32(as_number(value)))  # the original works on single precision here
        chance = self.chances(x)
        mode = int(np.argmax(draws.uniform(1)[0] < chance.cumsum()))
        encoded = np.zeros(self.width, dtype=np.float32)
        encoded[0] = self.distance(x, mode)
        encoded[1 + mode] = 1.0
        return encoded

    def values(self, normalised: np.ndarray, mode: np.ndarray) -> np.ndarray:
        """Numbers by their distance from the mean of a used mode, both of shape (n,); not yet clipped or rounded."""
        inside = np.clip(normalised, -1, 1)
        found: np.ndarray = inside * SPREAD * self.deviations[self.used][mode] + self.means[self.used][mode]
        return found

    def chances(self, x: float) -> np.ndarray:
        """How likely each used mode made ``x``, float64 of shape (used,), none of them impossible."""
        density = self.offsets - 0.5 * (x * self.scales - self.means * self.scales) ** 2
        likely = np.exp(density - density.max())
        chance: np.ndarray = (likely / likely.sum())[self.used] + FLOOR
        chance /= chance.sum()
        return chance

    def distance(self, x: float, mode: int) -> float:
        """How far ``x`` is from the mean of a used mode, kept inside of the interval."""
        scaled = (x - self.means[self.used][mode]) / (SPREAD * self.deviations[self.used][mode])
        return float(np.clip(scaled, -EDGE, EDGE))
