"""One column's own distribution: from standard normal scores to values, and back.

A value x of a column with the distribution function F has the score z with Phi(z) = F(x), where Phi is that of the
standard normal distribution. scipy computes the distribution functions; it is imported when one is first needed.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

import numpy as np

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.format.document import Fields

EPSILON: Final = float(np.finfo(np.float32).eps)
"""Probabilities are kept this far from 0 and 1 before they become scores, as copulas does; scores stay within 5.2."""
LEVELS_LIMIT: Final = 4096
"""Quantiles of one column."""
FAMILIES: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "normal": ("norm", {"loc": "loc", "scale": "scale"}),
    "gamma": ("gamma", {"shape": "a", "loc": "loc", "scale": "scale"}),
    "beta": ("beta", {"a": "a", "b": "b", "loc": "loc", "scale": "scale"}),
    "student_t": ("t", {"freedom": "df", "loc": "loc", "scale": "scale"}),
    "truncated_normal": ("truncnorm", {"low": "a", "high": "b", "loc": "loc", "scale": "scale"}),
    "log_laplace": ("loglaplace", {"shape": "c", "loc": "loc", "scale": "scale"}),
    "uniform": ("uniform", {"loc": "loc", "scale": "scale"}),
}
"""Our names and scipy's: of each family, and of its parameters. ``low`` and ``high`` count scales from ``loc``."""
_POSITIVE: Final = ("scale", "shape", "a", "b", "freedom")


class Distribution(ABC):
    """A fitted distribution of one column, as data."""

    __slots__ = ()

    @classmethod
    @abstractmethod
    def from_document(cls, fields: Fields) -> Distribution:
        """Read one. Raises :class:`FormatError`."""

    @abstractmethod
    def to_document(self) -> dict[str, Any]:
        """The distribution in format values, ``type`` included."""

    @abstractmethod
    def derived(self) -> list[tuple[str, int]]:
        """What of it was taken from training data: (kind, how many values)."""

    @abstractmethod
    def values(self, scores: np.ndarray) -> np.ndarray:
        """The values of standard normal scores; float64 of the same shape. Raises UnsupportedError without scipy."""

    @abstractmethod
    def scores(self, values: np.ndarray) -> np.ndarray:
        """The scores of values, within 5.2 of zero; float64 of the same shape. Raises as :meth:`values`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant(Distribution):
    """A column of one value; None where no cell was known, and none is made."""

    tag: ClassVar[str] = "constant"
    value: float | None

    @classmethod
    def from_document(cls, fields: Fields) -> Constant:
        fields.text("type", choices=(cls.tag,))
        found = cls(value=fields.nullable("value", fields.number))
        fields.finish()
        return found

    def to_document(self) -> dict[str, Any]:
        return {"type": self.tag, "value": self.value}

    def derived(self) -> list[tuple[str, int]]:
        return [] if self.value is None else [("constant", 1)]

    def values(self, scores: np.ndarray) -> np.ndarray:
        return np.full(scores.shape, np.nan if self.value is None else self.value)

    def scores(self, values: np.ndarray) -> np.ndarray:
        return _scores_of((values >= (np.nan if self.value is None else self.value)).astype(np.float64))


@dataclass(frozen=True, slots=True, kw_only=True)
class Parametric(Distribution):
    """One of :data:`FAMILIES` with its parameters, in the order of the table."""

    family: str
    parameters: tuple[float, ...]

    @classmethod
    def from_document(cls, fields: Fields) -> Parametric:
        family = fields.text("type", choices=tuple(FAMILIES))
        found = {name: fields.number(name) for name in FAMILIES[family][1]}
        fields.finish()
        wrong = wrong_parameter(family, found)
        if wrong is not None:
            raise FormatError(f"no distribution of the family {family} has {found[wrong]!r}", where=fields.path(wrong))
        return cls(family=family, parameters=tuple(found.values()))

    def to_document(self) -> dict[str, Any]:
        return {"type": self.family, **dict(zip(FAMILIES[self.family][1], self.parameters, strict=True))}

    def derived(self) -> list[tuple[str, int]]:
        return [("parameter", len(self.parameters))]

    def values(self, scores: np.ndarray) -> np.ndarray:
        return self._computed("ppf", _special().ndtr(scores))

    def scores(self, values: np.ndarray) -> np.ndarray:
        return _scores_of(self._computed("cdf", values))

    def _computed(self, function: Literal["ppf", "cdf"], given: np.ndarray) -> np.ndarray:
        family = self._family()
        compute = family.ppf if function == "ppf" else family.cdf
        try:
            with np.errstate(all="ignore"):
                found: np.ndarray = compute(given, **self._arguments())
        except (ArithmeticError, ValueError) as error:
            raise FormatError(f"parameters of {self.family} that can't be computed with: {error}") from None
        return found

    def _family(self) -> Any:
        return getattr(_scipy("stats"), FAMILIES[self.family][0])

    def _arguments(self) -> dict[str, float]:
        return dict(zip(FAMILIES[self.family][1].values(), self.parameters, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quantiles(Distribution):
    """Values at some scores, straight lines between them, and the outer ones prolonged: a summary of any distribution.

    ``at``: rising, ``found``: not falling; both float64 of shape (k,), k at least 2.
    """

    tag: ClassVar[str] = "quantiles"
    at: np.ndarray
    found: np.ndarray

    @classmethod
    def from_document(cls, fields: Fields) -> Quantiles:
        fields.text("type", choices=(cls.tag,))
        found = cls(at=fields.array("scores", dtype="float64"), found=fields.array("values", dtype="float64"))
        fields.finish()
        if not 2 <= len(found.at) <= LEVELS_LIMIT or len(found.found) != len(found.at):
            raise FormatError(f"needs 2 to {LEVELS_LIMIT} scores and as many values", where=fields.path("scores"))
        if not bool((np.diff(found.at) > 0.0).all()):
            raise FormatError("scores rise", where=fields.path("scores"))
        if not bool((np.diff(found.found) >= 0.0).all()):
            raise FormatError("values do not fall", where=fields.path("values"))
        return found

    def to_document(self) -> dict[str, Any]:
        return {"type": self.tag, "scores": self.at, "values": self.found}

    def derived(self) -> list[tuple[str, int]]:
        return [("quantile", len(self.at))]

    def values(self, scores: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            inside = np.interp(scores, self.at, self.found)
            below = (scores - self.at[0]) * self._slope(0, 1)
            above = (scores - self.at[-1]) * self._slope(-2, -1)
            found: np.ndarray = inside + np.minimum(below, 0.0) + np.maximum(above, 0.0)
        return found

    def scores(self, values: np.ndarray) -> np.ndarray:
        limit = float(_scores_of(np.array(1.0)))
        known = np.interp(values, self.found, self.at)
        known = np.where(values < self.found[0], -limit, np.where(values > self.found[-1], limit, known))
        return np.clip(known, -limit, limit)

    def _slope(self, first: int, last: int) -> float:
        return float((self.found[last] - self.found[first]) / (self.at[last] - self.at[first]))


def wrong_parameter(family: str, parameters: Mapping[str, float]) -> str | None:
    """The first parameter with which the family has no distribution; None where all are right. Infinite ones pass."""
    for name, value in parameters.items():
        if math.isnan(value) or (name in _POSITIVE and value <= 0.0):
            return name
    return "low" if family == "truncated_normal" and parameters["low"] >= parameters["high"] else None


def read_distribution(fields: Fields) -> Distribution:
    """A distribution by its ``type``. Raises :class:`FormatError`."""
    kind = fields.text("type", choices=(*FAMILIES, Constant.tag, Quantiles.tag))
    if kind == Constant.tag:
        return Constant.from_document(fields)
    return Quantiles.from_document(fields) if kind == Quantiles.tag else Parametric.from_document(fields)


def _scores_of(chances: np.ndarray) -> np.ndarray:
    found: np.ndarray = _special().ndtri(np.clip(chances, EPSILON, 1.0 - EPSILON))
    return found


def _special() -> Any:
    return _scipy("special")


def _scipy(part: Literal["special", "stats"]) -> Any:
    try:
        from scipy import special, stats
    except ImportError:
        raise UnsupportedError(
            "a column with a distribution of its own needs the scipy package", hint="pip install 'modelcrate[copula]'"
        ) from None
    return special if part == "special" else stats
