"""Variables of a time-series model: what stands for one in the network's output, and how it is turned back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields
from modelcrate.tabular.cells import Categories, column_of, inferred, is_missing
from modelcrate.tabular.columns.base import SIGMOID, SOFTMAX, TANH
from modelcrate.tabular.columns.binary import Binary
from modelcrate.tabular.columns.category import OneHot
from modelcrate.tabular.draws import CounterDraws, Reversal

RANGES = ("zero_one", "minus_one_one")
DTYPES = ("object", "bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
          "float16", "float32", "float64")  # fmt: skip
"""Dtypes that a column of categories may have had."""
SINGLE_MAX = float(np.finfo(np.float32).max)
LOWEST = np.iinfo(np.int64).min


class Variable(ABC):
    """One attribute or feature, as data."""

    tag: ClassVar[str]
    """The value of ``type`` in a document."""

    @classmethod
    @abstractmethod
    def from_document(cls, fields: Fields) -> Variable:
        """Read one; ``type`` has been read. Raises :class:`FormatError`."""

    @abstractmethod
    def to_document(self) -> dict[str, Any]:
        """The variable in format values, ``type`` included."""

    @abstractmethod
    def derived(self) -> list[tuple[str, int]]:
        """What of it was taken from training data: (kind, how many values)."""

    @property
    @abstractmethod
    def part(self) -> tuple[int, str]:
        """(width, activation) of its span of the output."""

    @property
    def scales(self) -> tuple[tuple[int, str], ...]:
        """(width, activation) of the numbers of each example that scale it."""
        return ()

    @abstractmethod
    def decode(self, span: np.ndarray, scales: np.ndarray | None, *, faithful: bool) -> np.ndarray:
        """Activated outputs, float32 of shape (..., width), as cells of shape (...).

        ``scales``, float32 of shape (N, 2): middle and half of each example's range, for a variable that has them.
        ``faithful``: as the original does it, where that is an accident too.
        """

    @abstractmethod
    def possible(self) -> np.ndarray:
        """Every cell that :meth:`decode` may give where these can be listed, else one that stands for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled(Variable):
    """A number in [0, 1] or [-1, 1], perhaps scaled by each example's own range first, then by one for all.

    ``minimum`` and ``maximum`` None: the numbers were in that range by themselves.
    """

    tag: ClassVar[str] = "scaled"
    range: str
    minimum: float | None
    maximum: float | None
    per_example: bool

    @classmethod
    def from_document(cls, fields: Fields) -> Scaled:
        found = cls(
            range=fields.text("range", choices=RANGES),
            minimum=fields.nullable("minimum", fields.number),
            maximum=fields.nullable("maximum", fields.number),
            per_example=fields.boolean("per_example"),
        )
        fields.finish()
        if (found.minimum is None) != (found.maximum is None):
            raise FormatError("one bound without the other", where=fields.where)
        if found.minimum is not None and found.maximum is not None and found.minimum > found.maximum:
            raise FormatError("the minimum is above the maximum", where=fields.where)
        return found

    def to_document(self) -> dict[str, Any]:
        return {
            "type": self.tag,
            "range": self.range,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "per_example": self.per_example,
        }

    def derived(self) -> list[tuple[str, int]]:
        return [] if self.minimum is None else [("bound", 2)]

    @property
    def part(self) -> tuple[int, str]:
        return 1, SIGMOID if self.range == "zero_one" else TANH

    @property
    def scales(self) -> tuple[tuple[int, str], ...]:
        return (self.part, (1, SIGMOID)) if self.per_example else ()  # half of a range is never negative

    def decode(self, span: np.ndarray, scales: np.ndarray | None, *, faithful: bool) -> np.ndarray:
        values: np.ndarray = span[..., 0]
        if self.per_example:
            assert scales is not None  # the network has an output for them
            middle, half = scales[:, 0], scales[:, 1]
            shape = (-1, *[1] * (values.ndim - 1))
            values = self._spread(values, (middle - half).reshape(shape), (middle + half).reshape(shape))
        if self.minimum is not None and self.maximum is not None:
            # single precision, as the original computes, while the bounds fit in it
            if max(abs(self.minimum), abs(self.maximum), self.maximum - self.minimum) > SINGLE_MAX:
                values = values.astype(np.float64)
            values = self._spread(values, self.minimum, self.maximum)
        return values

    def _spread(self, values: np.ndarray, low: Any, high: Any) -> np.ndarray:
        shares = values if self.range == "zero_one" else (values + 1.0) / 2.0
        found: np.ndarray = shares * (high - low) + low
        return found

    def possible(self) -> np.ndarray:
        return np.zeros(1, dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Choice(Variable):
    """One of a list of categories, one output for each; ``dtype`` is that of the column in the training data."""

    tag: ClassVar[str] = "one_hot"
    dtype: np.dtype[np.generic]
    encoding: OneHot

    @classmethod
    def from_document(cls, fields: Fields) -> Choice:
        found = cls(dtype=_dtype(fields), encoding=OneHot(categories=Categories.from_document(fields)))
        fields.finish()
        _check_cells(found.encoding.categories, found.dtype, fields.where)
        return found

    def to_document(self) -> dict[str, Any]:
        return {**self.encoding.to_document(), "type": self.tag, "dtype": self.dtype.name}

    def derived(self) -> list[tuple[str, int]]:
        return self.encoding.derived()

    @property
    def part(self) -> tuple[int, str]:
        return len(self.encoding.categories), SOFTMAX

    def decode(self, span: np.ndarray, scales: np.ndarray | None, *, faithful: bool) -> np.ndarray:
        codes = np.argmax(span, axis=-1)
        found: np.ndarray = self.possible()[codes]
        return found

    def possible(self) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            found: np.ndarray = column_of(self.encoding.categories.values).astype(self.dtype)
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Digits(Variable):
    """One of very many categories, by its number in binary digits; a number without a category is ``fallback``.

    ``whole``: the column held integers and was encoded as floats. ``replaces``: the original does take the fallback; it
    leaves NaN in columns of numbers, which an integer column shows as the lowest integer.
    """

    tag: ClassVar[str] = "binary"
    dtype: np.dtype[np.generic]
    encoding: Binary
    whole: bool
    replaces: bool

    @classmethod
    def from_document(cls, fields: Fields) -> Digits:
        whole, replaces, dtype = fields.boolean("whole"), fields.boolean("replaces"), _dtype(fields)
        inner = {name: fields.value(name) for name in ("digits", "categories")}
        fallback = [fields.value("fallback")]
        fields.finish()
        encoding = Binary.from_document(Fields({**inner, "dtype": "object", "fallbacks": fallback}, fields.where))
        _check_cells(encoding.categories, dtype, fields.where)
        _check_cells(encoding.fallbacks, dtype, fields.where)
        if whole and (dtype.kind != "f" or not _are_whole([*encoding.categories.values, *encoding.fallbacks.values])):
            raise FormatError("whole numbers in a column that has others", where=fields.where)
        return cls(dtype=dtype, encoding=encoding, whole=whole, replaces=replaces)

    def to_document(self) -> dict[str, Any]:
        inner = self.encoding.to_document()
        return {
            "type": self.tag,
            "dtype": self.dtype.name,
            "digits": inner["digits"],
            "categories": inner["categories"],
            "fallback": inner["fallbacks"][0],
            "whole": self.whole,
            "replaces": self.replaces,
        }

    def derived(self) -> list[tuple[str, int]]:
        return [*self.encoding.derived(), ("mode", 1)]

    @property
    def part(self) -> tuple[int, str]:
        return self.encoding.digits, SIGMOID

    def decode(self, span: np.ndarray, scales: np.ndarray | None, *, faithful: bool) -> np.ndarray:
        encoding = self.encoding
        if faithful and not self.replaces:
            none = Categories(())
            encoding = Binary(
                dtype=encoding.dtype, digits=encoding.digits, categories=encoding.categories, fallbacks=none
            )
        flat = span.reshape(-1, span.shape[-1])
        cells = encoding.decode(flat, Reversal(draws=CounterDraws(0, 0)))  # of one fallback there is no choice
        return self._typed(cells).reshape(span.shape[:-1])

    def _typed(self, cells: np.ndarray) -> np.ndarray:
        if not self.whole:
            kept: np.ndarray = cells.astype(self.dtype)
            return kept
        numbers = cells.astype(np.float64)
        known = np.isfinite(numbers)
        return np.where(known, np.where(known, numbers, 0.0).astype(np.int64), LOWEST)

    def possible(self) -> np.ndarray:
        return self._typed(column_of([*self.encoding.categories.values, *self.encoding.fallbacks.values]))


VARIABLES: dict[str, type[Variable]] = {kind.tag: kind for kind in (Scaled, Choice, Digits)}


def read_variable(fields: Fields) -> Variable:
    """One variable. Raises :class:`FormatError`."""
    return VARIABLES[fields.text("type", choices=tuple(VARIABLES))].from_document(fields)


def _dtype(fields: Fields) -> np.dtype[np.generic]:
    return np.dtype(fields.text("dtype", choices=DTYPES))


def _check_cells(categories: Categories, dtype: np.dtype[np.generic], where: str) -> None:
    """Refuse categories that can't be cells of the column."""
    kind = inferred(categories.values).kind
    fits = {"b": "b", "i": "iuf", "u": "iuf", "f": "iuf"}
    if dtype.kind != "O" and kind not in fits[dtype.kind]:
        raise FormatError(f"categories that are no {dtype}", where=where)
    try:
        with np.errstate(invalid="ignore", over="ignore"):
            column_of(categories.values).astype(dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise FormatError(f"categories that are no {dtype}: {error}", where=where) from None


def _are_whole(values: list[Any]) -> bool:
    return all(float(value).is_integer() and abs(value) < 2**63 for value in values if not is_missing(value))
