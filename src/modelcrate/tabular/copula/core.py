"""What draws a Gaussian copula's rows: correlated scores, turned into values column by column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from modelcrate.errors import UsageError
from modelcrate.tabular.copula.config import CopulaConfig
from modelcrate.tabular.copula.factor import factor
from modelcrate.tabular.copula.joint import Joint, Normal
from modelcrate.tabular.draws import CounterDraws, LegacyDraws

BLOCK_ROWS: Final = 4096
"""Rows that are made at once when nothing is replayed; part of what a seed means."""
BLOCK_NUMBERS: Final = 1 << 20
"""Numbers of a block: of many columns it has fewer rows for those who want few, not so few that frames cost most."""


class JointCore:
    """A joint distribution in the place of a generator; makes modelled columns, float64 of shape (n,)."""

    def __init__(self, joint: Joint, config: CopulaConfig) -> None:
        self.joint = joint
        self.config = config
        self.block_rows = max(1, min(BLOCK_ROWS, BLOCK_NUMBERS // len(joint.names)))
        self._root: np.ndarray | None = None

    def given(self, known: Mapping[str, Any]) -> tuple[Normal, dict[str, float]]:
        """The distribution of the scores that are free, and the known cells as numbers, those of the model alone."""
        cells: dict[str, float] = {}
        for name, value in known.items():
            if name in self.joint.names:
                try:
                    cells[name] = float(value)
                except (TypeError, ValueError, OverflowError):
                    raise UsageError(f"{value!r} is no number", where=f"conditions[{name!r}]") from None
        return self.joint.given(cells), cells

    def root(self, normal: Normal) -> np.ndarray:
        """The root of a distribution that :meth:`given` gave; that of no known cells is computed once."""
        if len(normal.names) < len(self.joint.names):
            return normal.root()
        if self._root is None:
            self._root = normal.root()
        return self._root

    def block(
        self, draws: CounterDraws, normal: Normal, root: np.ndarray, known: Mapping[str, float]
    ) -> dict[str, np.ndarray]:
        """One block of modelled columns: ``block_rows`` rows whose bits depend on the arguments alone."""
        noise = draws.generator.standard_normal((self.block_rows, len(normal.names)))
        return self.joint.values(normal, normal.means + noise @ root, known)

    def remade(self, rows: int, known: Mapping[str, object], draws: LegacyDraws) -> dict[str, np.ndarray]:
        """The original's modelled columns, ``rows`` of them: it draws as NumPy's legacy multivariate normal does."""
        normal, cells = self.given(known)
        noise = draws.normal(rows * len(normal.names)).reshape(rows, len(normal.names))
        if not normal.names:  # all is known, and nothing drawn
            return self.joint.values(normal, noise, cells)
        scores = noise @ factor(normal.covariance, early=self.config.early_rotations) + normal.means
        return self.joint.values(normal, scores, cells)
