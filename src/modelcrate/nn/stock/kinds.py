"""What one field of a layer's config may be: the range table that a stranger's config is held against.

A kind goes both ways: ``write`` turns a live layer's attribute into JSON, ``read`` turns JSON into a constructor
argument. Both apply the same bounds, so whatever is written can be read. No kind is a path, a URL or a callable.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from modelcrate.errors import FormatError
from modelcrate.format.document import kind_of

DIMENSION = 2**31 - 1
"""The largest size of one dimension that a config may ask for."""

_WORDS_FOR_NUMBERS = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}
"""JSON has no infinities; a ConstantPad that fills with minus infinity is honest."""


class Kind(Protocol):
    """One field: strict about types (``true`` is not an integer), bounded, with errors that name the place."""

    def read(self, value: object, where: str) -> object:
        """The constructor argument; FormatError for anything outside of the range table."""

    def write(self, value: object, where: str) -> object:
        """The JSON value; FormatError for an attribute that ``read`` would refuse."""


def _refuse(wanted: str, value: object, where: str) -> FormatError:
    return FormatError(f"expected {wanted}, found {kind_of(value)}", where=where)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """True or false, or null where ``optional``."""

    optional: bool = False

    def read(self, value: object, where: str) -> object:
        if value is None and self.optional:
            return None
        if type(value) is not bool:
            raise _refuse("true or false", value, where)
        return value

    def write(self, value: object, where: str) -> object:
        return self.read(value, where)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """An integer within bounds, or null where ``optional``."""

    minimum: int = 0
    maximum: int = DIMENSION
    optional: bool = False

    def read(self, value: object, where: str) -> object:
        if value is None and self.optional:
            return None
        if type(value) is not int:
            raise _refuse("an integer", value, where)
        if not self.minimum <= value <= self.maximum:
            raise FormatError(f"must be between {self.minimum} and {self.maximum}", where=where)
        return value

    def write(self, value: object, where: str) -> object:
        return self.read(_plain_number(value), where)


@dataclass(frozen=True, slots=True, kw_only=True)
class Real:
    """A number within bounds; an integer stays one. ``above`` excludes the minimum itself."""

    minimum: float = -math.inf
    maximum: float = math.inf
    above: bool = False
    finite: bool = True
    optional: bool = False

    def read(self, value: object, where: str) -> object:
        if value is None and self.optional:
            return None
        if not self.finite and type(value) is str and value in _WORDS_FOR_NUMBERS:
            value = _WORDS_FOR_NUMBERS[value]
        elif type(value) is not float and type(value) is not int:
            raise _refuse("a number", value, where)
        if type(value) is int and not -(2**63) <= value < 2**63:
            raise FormatError("an integer of more than 64 bits", where=where)
        if self.finite and not math.isfinite(value):
            raise FormatError("must be finite", where=where)
        if not math.isnan(value) and not self.minimum <= value <= self.maximum:
            raise FormatError(f"must be between {self.minimum} and {self.maximum}", where=where)
        if self.above and value == self.minimum:
            raise FormatError(f"must be greater than {self.minimum}", where=where)
        return value

    def write(self, value: object, where: str) -> object:
        number = self.read(_plain_number(value), where)
        if isinstance(number, float) and not math.isfinite(number):
            return next(word for word, known in _WORDS_FOR_NUMBERS.items() if repr(known) == repr(number))
        return number


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One of a closed set of texts, or null where ``optional``."""

    choices: tuple[str, ...]
    optional: bool = False

    def read(self, value: object, where: str) -> object:
        if value is None and self.optional:
            return None
        if type(value) is not str:
            raise _refuse("text", value, where)
        if value not in self.choices:
            raise FormatError(f"{value!r} is not one of {', '.join(self.choices)}", where=where)
        return value

    def write(self, value: object, where: str) -> object:
        return self.read(value, where)


@dataclass(frozen=True, slots=True, kw_only=True)
class Several:
    """A list of numbers that becomes a tuple; a bare number too where ``scalar``, null where ``optional``."""

    item: Whole | Real
    shortest: int
    longest: int
    scalar: bool = False
    optional: bool = False

    def read(self, value: object, where: str) -> object:
        if value is None and self.optional:
            return None
        if self.scalar and type(value) is not list:
            return self.item.read(value, where)
        if type(value) is not list:
            raise _refuse("a list", value, where)
        if not self.shortest <= len(value) <= self.longest:
            raise FormatError(f"expected {self.shortest} to {self.longest} items, found {len(value)}", where=where)
        return tuple(self.item.read(item, f"{where}[{index}]") for index, item in enumerate(value))

    def write(self, value: object, where: str) -> object:
        if isinstance(value, (tuple, list)):  # torch.Size is a tuple
            self.read([_plain_number(item) for item in value], where)
            return [self.item.write(item, f"{where}[{index}]") for index, item in enumerate(value)]
        self.read(value := _plain_number(value), where)
        return None if value is None else self.item.write(value, where)


@dataclass(frozen=True, slots=True, kw_only=True)
class WordOr:
    """One of a closed set of texts, or what ``other`` accepts (the padding of a convolution)."""

    word: Word
    other: Several

    def read(self, value: object, where: str) -> object:
        return self.word.read(value, where) if type(value) is str else self.other.read(value, where)

    def write(self, value: object, where: str) -> object:
        return self.word.write(value, where) if type(value) is str else self.other.write(value, where)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """Null: an argument whose other values can't be stored."""

    def read(self, value: object, where: str) -> object:
        if value is not None:
            raise _refuse("null", value, where)
        return None

    def write(self, value: object, where: str) -> object:
        return self.read(value, where)


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """A list of distinct texts, each fit to name an attribute; bounded in number and length."""

    longest: int = 4096
    characters: int = 256

    def read(self, value: object, where: str) -> object:
        if type(value) is not list:
            raise _refuse("a list", value, where)
        if len(value) > self.longest:
            raise FormatError(f"more than {self.longest} items", where=where)
        for index, item in enumerate(value):
            if type(item) is not str or not 0 < len(item) <= self.characters or "." in item:
                raise FormatError("expected a name without dots", where=f"{where}[{index}]")
        if len(set(value)) != len(value):
            raise FormatError("a name stands twice", where=where)
        return tuple(value)

    def write(self, value: object, where: str) -> object:
        names = list(value) if isinstance(value, (tuple, list, dict)) else value
        self.read(names, where)
        return names


def sizes(count: int, *, minimum: int = 0, maximum: int = DIMENSION, optional: bool = False) -> Several:
    """One integer, or one to ``count`` of them: the kernel, stride or padding of a ``count``-dimensional layer."""
    item = Whole(minimum=minimum, maximum=maximum)
    return Several(item=item, shortest=1, longest=count, scalar=True, optional=optional)


def _plain_number(value: object) -> object:
    """A numpy scalar (an ``int64`` read from a config array, say) as Python's own number; all else as it is."""
    if type(value).__module__ == "numpy" and hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    return value
