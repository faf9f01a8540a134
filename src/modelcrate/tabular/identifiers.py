"""Identifiers: the values of a key column, which no model learns and every sample counts up again.

Integers count from 0. Texts are enumerated from a regular expression, in the order of sdv 0.17.2: the last character
turns fastest, and shorter repetitions come before longer ones. The expression is data from a file, so it is only
parsed, never compiled or matched, and what it may describe is bounded.
"""

from __future__ import annotations

import re
import string
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import pandas as pd

from modelcrate.errors import FormatError, LimitError, UnsupportedError, UsageError
from modelcrate.format.document import Fields

if sys.version_info >= (3, 11):
    from re import _parser as _sre  # type: ignore[attr-defined]  # not in typeshed
else:
    import sre_parse as _sre

PATTERN_LIMIT: Final = 256
"""Characters of an expression; the parser recurses into groups."""
TEXT_LIMIT: Final = 1024
"""Characters of one identifier; ``(?:(?:a{999}){999}){999}`` would ask for a gigabyte."""
LONGEST_LIMIT: Final = 1 << 12
"""Characters of one identifier of all parts together."""
SPAN_LEAST: Final = 32
"""Fewer texts than these are made one by one."""
ENDS_LIMIT: Final = 4096
"""Ends of texts that are written out to make many of them."""
OPEN_REPEAT: Final = 16
"""Most repetitions for ``*``, ``+`` and ``{n,}``."""


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


_CATEGORIES: Final[dict[str, Callable[[str], bool]]] = {
    "CATEGORY_SPACE": str.isspace,
    "CATEGORY_DIGIT": str.isdigit,
    "CATEGORY_WORD": _is_word,
}
_SURROGATES: Final = range(0xD800, 0xE000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifiers:
    """How a key column is filled: ``pattern`` None for integers, else the regular expression of the texts."""

    pattern: str | None = None
    KINDS: ClassVar[tuple[str, str]] = ("integer", "text")

    @classmethod
    def from_document(cls, fields: Fields) -> Identifiers:
        """Read ``{"kind": "integer"}`` or ``{"kind": "text", "pattern": ...}``.

        Raises :class:`FormatError`, :class:`LimitError`, and :class:`UnsupportedError` for an expression that uses
        groups, alternatives, negated sets or other things that can't be enumerated.
        """
        if fields.text("kind", choices=cls.KINDS) == "integer":
            fields.finish()
            return cls()
        pattern = fields.text("pattern")
        enumerate_pattern(pattern, where=fields.path("pattern"))
        fields.finish()
        return cls(pattern=pattern)

    def to_document(self) -> dict[str, Any]:
        return {"kind": "integer"} if self.pattern is None else {"kind": "text", "pattern": self.pattern}

    def make(self, count: int, *, start: int = 0) -> pd.Series:
        """``count`` identifiers from number ``start`` on: int64, or ``object`` holding text.

        Raises :class:`UsageError` where the pattern does not have so many.
        """
        if self.pattern is None:
            return pd.Series(np.arange(start, start + count, dtype=np.int64))
        texts = enumerate_pattern(self.pattern, where="identifiers")
        if start + count > texts.size:
            raise UsageError(
                f"the pattern {self.pattern!r} gives {texts.size} different identifiers, fewer than {start + count}",
                hint="sample fewer rows at once",
            )
        return pd.Series(texts.span(start, start + count), dtype=object)

    def stand_in(self, count: int) -> pd.Series:
        """``count`` cells of the kind, from the first on and over again where the pattern has fewer."""
        if self.pattern is None:
            return self.make(count)
        size = enumerate_pattern(self.pattern, where="identifiers").size
        return pd.Series(np.resize(self.make(min(count, size)).to_numpy(), count), dtype=object)


class Texts:
    """An ordered, finite family of texts, addressed by number; ``longest`` is a bound on their length."""

    __slots__ = ("longest", "size")
    size: int
    longest: int

    def text(self, number: int) -> str:
        """Text ``number``, from 0 to ``size - 1``."""
        raise NotImplementedError

    def span(self, start: int, stop: int) -> list[str]:
        """The texts from number ``start`` up to ``stop``, as far as there are any."""
        return [self.text(number) for number in range(start, min(stop, self.size))]


class Characters(Texts):
    """One character out of several runs of them."""

    __slots__ = ("_runs",)

    def __init__(self, runs: list[range | str]) -> None:
        self._runs = runs
        self.size = sum(len(run) for run in runs)
        self.longest = 1

    def text(self, number: int) -> str:
        for run in self._runs:
            if number < len(run):
                found = run[number]
                return found if isinstance(found, str) else chr(found)
            number -= len(run)
        raise IndexError(number)


class Sequence(Texts):
    """One text of each part, joined; the last part turns fastest."""

    __slots__ = ("_ends", "_head", "_parts")

    def __init__(self, parts: list[Texts]) -> None:
        self._parts = parts
        self.size = 1
        for part in parts:
            self.size *= part.size
        self.longest = sum(part.longest for part in parts)
        self._head: Sequence | None = None
        self._ends: list[str] = []

    def span(self, start: int, stop: int) -> list[str]:
        stop = min(stop, self.size)
        if stop - start < SPAN_LEAST or self.size == 0:
            return super().span(start, stop)
        if self._head is None:  # the last few parts are written out once, and joined to what stands before them
            count, room = len(self._parts), 1
            while count and room * self._parts[count - 1].size <= ENDS_LIMIT:
                count -= 1
                room *= self._parts[count].size
            tail = Sequence(self._parts[count:])
            self._ends = [tail.text(number) for number in range(tail.size)]
            self._head = Sequence(self._parts[:count])
        found: list[str] = []
        while start < stop:
            number, first = divmod(start, len(self._ends))
            before = self._head.text(number)
            ends = self._ends[first : first + stop - start]
            found.extend([before + end for end in ends])
            start += len(ends)
        return found

    def text(self, number: int) -> str:
        found = []
        for part in reversed(self._parts):
            number, digit = divmod(number, part.size)
            found.append(part.text(digit))
        return "".join(reversed(found))


class Repetition(Texts):
    """``least`` to ``most`` texts of one family, joined; fewer come first, and none at all never comes."""

    __slots__ = ("_least", "_most", "_part", "_times")

    def __init__(self, part: Texts, least: int, most: int) -> None:
        self._part = part
        self._least = max(least, 1)
        self._most = most
        self._times: dict[int, Sequence] = {}
        self.size = sum(part.size**times for times in range(self._least, most + 1))
        self.longest = part.longest * most

    def text(self, number: int) -> str:
        times, before = self._least, 0
        while number - before >= self._part.size**times:
            before += self._part.size**times
            times += 1
        return self._of(times).text(number - before)

    def span(self, start: int, stop: int) -> list[str]:
        found: list[str] = []
        before = 0
        for times in range(self._least, self._most + 1):
            room = self._part.size**times
            if start < before + room and before < stop:
                found.extend(self._of(times).span(max(start - before, 0), stop - before))
            before += room
        return found

    def parts(self) -> list[Texts]:
        """What is joined, where that is the same number of texts each time."""
        return [self._part] * self._least if self._least == self._most else [self]

    def _of(self, times: int) -> Sequence:
        if times not in self._times:
            self._times[times] = Sequence([self._part] * times)
        return self._times[times]


def enumerate_pattern(pattern: str, *, where: str, grouped: bool = False) -> Texts:
    """The texts that a regular expression describes, in order.

    Understood are characters, sets, ranges, the classes ``\\d \\s \\w`` and their opposites, the dot (printable ASCII)
    and repetitions; anchors mean nothing. Of a repeated group only the first item is repeated, as in sdv 0.17.2, unless
    the group is numbered: these are understood with ``grouped``, as in rdt from 1.3. Raises :class:`FormatError`,
    :class:`LimitError`, :class:`UnsupportedError`.
    """
    if len(pattern) > PATTERN_LIMIT:
        raise LimitError(f"an expression of more than {PATTERN_LIMIT} characters", where=where)
    try:
        parsed = _sre.parse(pattern, flags=re.UNICODE)
    except (re.error, ValueError, OverflowError, RecursionError, Warning) as error:
        raise FormatError(f"not a regular expression: {error}", where=where) from None
    texts = _joined(parsed, where, grouped)
    if texts.size == 0:
        raise UnsupportedError("the expression describes no identifier", where=where)
    if texts.longest > LONGEST_LIMIT:
        raise LimitError(f"the expression describes texts of more than {LONGEST_LIMIT} characters", where=where)
    return texts


def _joined(items: Any, where: str, grouped: bool) -> Sequence:
    parts: list[Texts] = []
    for op, argument in items:
        if op is not _sre.AT:
            part = _texts(op, argument, where, grouped)
            parts.extend(part.parts() if isinstance(part, Repetition) else [part])
    return Sequence(parts)


def _texts(op: Any, argument: Any, where: str, grouped: bool) -> Texts:
    if grouped and op is _sre.SUBPATTERN:
        return _joined(argument[3], where, grouped)
    if op is _sre.MAX_REPEAT:
        least, most, items = argument
        most = OPEN_REPEAT if most is _sre.MAXREPEAT else int(most)
        part = _texts(items[0][0], items[0][1], where, grouped) if items else Sequence([])
        if max(part.longest, 1) * most > TEXT_LIMIT:  # repeating nothing takes its time, too
            raise LimitError(f"the expression describes texts of more than {TEXT_LIMIT} characters", where=where)
        return Repetition(part, int(least), most)
    return Characters(_runs(op, argument, where))


def _runs(op: Any, argument: Any, where: str) -> list[range | str]:
    if op is _sre.LITERAL:
        return [_checked(range(argument, argument + 1), where)]
    if op is _sre.RANGE:
        return [_checked(range(argument[0], argument[1] + 1), where)]
    if op is _sre.ANY:
        return [string.printable]
    if op is _sre.CATEGORY:
        return [_category(str(argument), where)]
    if op is _sre.IN:
        return [run for item_op, item in argument for run in _runs(item_op, item, where)]
    raise UnsupportedError(f"identifiers can't be enumerated from an expression with {str(op).lower()}", where=where)


def _checked(points: range, where: str) -> range:
    if points.start < _SURROGATES.stop and points.stop > _SURROGATES.start:
        raise FormatError("the expression describes lone surrogates, which are no text", where=where)
    return points


def _category(name: str, where: str) -> str:
    positive = name.replace("CATEGORY_NOT_", "CATEGORY_")
    belongs = _CATEGORIES.get(positive)
    if belongs is None:
        raise UnsupportedError(f"the character class {name.lower()}", where=where)
    return "".join(character for character in string.printable if belongs(character) == (name == positive))
