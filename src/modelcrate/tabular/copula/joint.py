"""The joint distribution of a Gaussian copula: a distribution for each column, and how their scores are correlated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields
from modelcrate.tabular.cells import read_name
from modelcrate.tabular.copula.distribution import Distribution, read_distribution

WIDTH_LIMIT: Final = 4096
"""Columns; a correlation matrix of so many has 128 MiB, and taking its root costs minutes."""
ASYMMETRY: Final = 1e-6
"""How far a correlation may differ from its mirror image, or exceed one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Joint:
    """The state of a component of type ``tabular.joint/1``.

    ``correlation``: float64 of shape (k, k), of the scores of the k columns.
    """

    type_tag: ClassVar[str] = "tabular.joint/1"
    names: tuple[str, ...]
    distributions: tuple[Distribution, ...]
    correlation: np.ndarray

    @classmethod
    def from_document(cls, document: object, where: str) -> Joint:
        """Read the state. Raises :class:`FormatError` with the path of what is wrong."""
        fields = Fields(document, where)
        names: list[str] = []
        distributions: list[Distribution] = []
        for item in fields.each_fields("columns", max_items=WIDTH_LIMIT):
            names.append(read_name(item, "name"))
            distributions.append(read_distribution(item.fields("distribution")))
            item.finish()
        correlation = fields.array("correlation", dtype="float64", ndim=2)
        fields.finish()
        if not names or len(set(names)) != len(names):
            raise FormatError("no columns" if not names else "the same name twice", where=fields.path("columns"))
        if correlation.shape != (len(names), len(names)):
            raise FormatError(f"needs one row for each of {len(names)} columns", where=fields.path("correlation"))
        if bool((np.abs(correlation - correlation.T) > ASYMMETRY).any()):
            raise FormatError("is not symmetric", where=fields.path("correlation"))
        if bool((np.abs(correlation) > 1.0 + ASYMMETRY).any()) or bool((np.diagonal(correlation) <= 0.0).any()):
            raise FormatError("correlations are between -1 and 1", where=fields.path("correlation"))
        return cls(names=tuple(names), distributions=tuple(distributions), correlation=correlation)

    def to_document(self) -> dict[str, Any]:
        """The state in format values."""
        columns = [
            {"name": name, "distribution": distribution.to_document()}
            for name, distribution in zip(self.names, self.distributions, strict=True)
        ]
        return {"columns": columns, "correlation": self.correlation}

    def derived(self) -> list[tuple[str, str, int]]:
        """What was taken from training data: (column, kind, how many values)."""
        found = [
            (name, kind, count)
            for name, distribution in zip(self.names, self.distributions, strict=True)
            for kind, count in distribution.derived()
        ]
        return [*found, *((name, "correlation", len(self.names) - 1) for name in self.names if len(self.names) > 1)]

    def given(self, known: Mapping[str, float]) -> Normal:
        """The scores' distribution where the values of some columns are known; of the columns that are not.

        The free columns are in the order of their names, as copulas orders them; all in their own order where none is
        known (Bishop, Pattern Recognition and Machine Learning, 2.81 and 2.82).
        """
        places = {name: place for place, name in enumerate(self.names)}
        if not known:
            return Normal(names=self.names, means=np.zeros(len(self.names)), covariance=self.correlation)
        fixed = [places[name] for name in known]
        names = tuple(sorted(name for name in self.names if name not in known))
        free = [places[name] for name in names]
        scores = np.array(
            [self.distributions[places[name]].scores(np.array([value]))[0] for name, value in known.items()]
        )
        across = self.correlation[np.ix_(free, fixed)]
        with np.errstate(all="ignore"):
            weights = across @ _inverse(self.correlation[np.ix_(fixed, fixed)])
            covariance = self.correlation[np.ix_(free, free)] - weights @ self.correlation[np.ix_(fixed, free)]
        if not np.isfinite(weights).all() or not np.isfinite(covariance).all():
            raise FormatError("the known columns leave no distribution of the others", where="joint.correlation")
        return Normal(names=names, means=weights @ scores, covariance=covariance)

    def values(self, normal: Normal, scores: np.ndarray, known: Mapping[str, float]) -> dict[str, np.ndarray]:
        """Scores of shape (n, free columns) as modelled columns of shape (n,), the known ones beside them."""
        places = {name: place for place, name in enumerate(normal.names)}
        return {
            name: np.full(len(scores), known[name]) if name in known else distribution.values(scores[:, places[name]])
            for name, distribution in zip(self.names, self.distributions, strict=True)
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Normal:
    """A multivariate normal distribution of some columns' scores: ``means`` (k,) and ``covariance`` (k, k)."""

    names: tuple[str, ...]
    means: np.ndarray
    covariance: np.ndarray

    def root(self) -> np.ndarray:
        """The symmetric square root of the covariance, float64 of shape (k, k); it has no sign to choose."""
        if not len(self.means):
            return self.covariance
        try:
            variances, directions = np.linalg.eigh(self.covariance)
        except np.linalg.LinAlgError:
            raise FormatError("the correlations have no eigenvalues", where="joint.correlation") from None
        found: np.ndarray = (directions * np.sqrt(np.clip(variances, 0.0, None))) @ directions.T
        return found


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """The inverse, or the best there is where known columns tell the same thing twice."""
    try:
        return np.linalg.inv(matrix)
    except np.linalg.LinAlgError:
        return np.linalg.pinv(matrix, hermitian=True)
