"""Typed reading of one untrusted mapping: the edge at which a document stops being bytes and starts being values.

Every reader of a manifest, a config or a state document goes through :class:`Fields`, so that types are strict
(``True`` is not an integer, ``1.0`` is not one either), bounds are stated at the field, errors carry the dotted path,
and a key that nobody asked for is an error (FORMAT.md, "unknown means error").
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from modelcrate.errors import FormatError

if TYPE_CHECKING:
    import numpy as np  # at run time only where an array is met: `inspect` and `verify` must start fast

T = TypeVar("T")

INTEGER_BOUND = 2**63
TEXT_LIMIT = 1 << 20
"""Characters in one text field; longer text in a document is a way to fill memory, not a name."""


class Fields:
    """The fields of one mapping, read by name and type; :meth:`finish` refuses what was not read."""

    __slots__ = ("_read", "_values", "where")

    def __init__(self, value: object, where: str) -> None:
        if type(value) is not dict or not all(type(key) is str for key in value):
            raise FormatError(f"expected a map with text keys, found {kind_of(value)}", where=where)
        self._values: dict[str, object] = value
        self._read: set[str] = set()
        self.where = where

    def names(self) -> tuple[str, ...]:
        """All keys, in the document's order."""
        return tuple(self._values)

    def has(self, name: str) -> bool:
        """Whether the key is present (its value may still be null)."""
        return name in self._values

    def path(self, name: str) -> str:
        """The dotted path of a field, for messages."""
        return f"{self.where}.{name}"

    def value(self, name: str) -> object:
        """The field's value, whatever its type; an absent one is an error."""
        if name not in self._values:
            raise FormatError("a required field is missing", where=self.path(name))
        self._read.add(name)
        return self._values[name]

    def nullable(self, name: str, read: Callable[[str], T]) -> T | None:
        """``read(name)``, or ``None`` where the field is null. The field itself must be present."""
        return None if self.value(name) is None else read(name)

    def optional(self, name: str, read: Callable[[str], T], default: T) -> T:
        """``read(name)``, or ``default`` where the field is absent."""
        return read(name) if name in self._values else default

    def boolean(self, name: str) -> bool:
        value = self.value(name)
        if type(value) is not bool:
            raise self._wrong(name, "true or false", value)
        return value

    def integer(self, name: str, *, minimum: int = -INTEGER_BOUND, maximum: int = INTEGER_BOUND - 1) -> int:
        value = self.value(name)
        if type(value) is not int:
            raise self._wrong(name, "an integer", value)
        if not minimum <= value <= maximum:
            raise FormatError(f"must be between {minimum} and {maximum}", where=self.path(name))
        return value

    def number(self, name: str, *, minimum: float = -math.inf, maximum: float = math.inf, finite: bool = True) -> float:
        """A float field; an integer in its place is an error, NaN and infinities too unless ``finite=False``."""
        value = self.value(name)
        if type(value) is not float:
            raise self._wrong(name, "a float", value)
        if finite and not math.isfinite(value):
            raise FormatError("must be finite", where=self.path(name))
        if not math.isnan(value) and not minimum <= value <= maximum:
            raise FormatError(f"must be between {minimum} and {maximum}", where=self.path(name))
        return value

    def text(
        self,
        name: str,
        *,
        choices: tuple[str, ...] | None = None,
        pattern: re.Pattern[str] | None = None,
        max_length: int = TEXT_LIMIT,
    ) -> str:
        """A text field; ``pattern`` must match all of it."""
        value = self.value(name)
        if type(value) is not str:
            raise self._wrong(name, "text", value)
        if len(value) > max_length:
            raise FormatError(f"text longer than {max_length} characters", where=self.path(name))
        if choices is not None and value not in choices:
            raise FormatError(f"{value!r} is not one of {', '.join(choices)}", where=self.path(name))
        if pattern is not None and pattern.fullmatch(value) is None:
            raise FormatError(f"{value!r} does not follow the grammar of this field", where=self.path(name))
        return value

    def bytes(self, name: str, *, max_length: int = TEXT_LIMIT) -> bytes:
        value = self.value(name)
        if type(value) is not bytes:
            raise self._wrong(name, "bytes", value)
        if len(value) > max_length:
            raise FormatError(f"longer than {max_length} bytes", where=self.path(name))
        return value

    def items(self, name: str, *, max_items: int = 1 << 24) -> list[object]:
        """A list field, its items unchecked; :meth:`each` gives them with their paths."""
        value = self.value(name)
        if type(value) is not list:
            raise self._wrong(name, "a list", value)
        if len(value) > max_items:
            raise FormatError(f"more than {max_items} items", where=self.path(name))
        return value

    def each(self, name: str, *, max_items: int = 1 << 24) -> Iterator[tuple[str, object]]:
        """The items of a list field, each with its path (``where.name[3]``)."""
        for index, item in enumerate(self.items(name, max_items=max_items)):
            yield f"{self.path(name)}[{index}]", item

    def each_fields(self, name: str, *, max_items: int = 1 << 24) -> Iterator[Fields]:
        """The items of a list of maps."""
        for where, item in self.each(name, max_items=max_items):
            yield Fields(item, where)

    def texts(self, name: str, *, max_items: int = 1 << 20) -> tuple[str, ...]:
        """A list of texts."""
        found: list[str] = []
        for where, item in self.each(name, max_items=max_items):
            if type(item) is not str:
                raise FormatError(f"expected text, found {kind_of(item)}", where=where)
            found.append(item)
        return tuple(found)

    def integers(
        self, name: str, *, minimum: int = 0, maximum: int = INTEGER_BOUND - 1, max_items: int = 1 << 20
    ) -> tuple[int, ...]:
        """A list of integers within bounds."""
        found: list[int] = []
        for where, item in self.each(name, max_items=max_items):
            if type(item) is not int:
                raise FormatError(f"expected an integer, found {kind_of(item)}", where=where)
            if not minimum <= item <= maximum:
                raise FormatError(f"must be between {minimum} and {maximum}", where=where)
            found.append(item)
        return tuple(found)

    def fields(self, name: str) -> Fields:
        """A nested map."""
        return Fields(self.value(name), self.path(name))

    def array(
        self, name: str, *, dtype: str | tuple[str, ...], ndim: int = 1, finite: bool = True
    ) -> np.ndarray[Any, Any]:
        """An n-d array field of one of the given numpy dtype names (``float64``); NaN is refused unless asked for."""
        import numpy as np

        value = self.value(name)
        wanted = (dtype,) if isinstance(dtype, str) else dtype
        if not isinstance(value, np.ndarray):
            raise self._wrong(name, "an array", value)
        if value.dtype.name not in wanted or value.ndim != ndim:
            raise FormatError(
                f"expected a {ndim}-d array of {' or '.join(wanted)}, found {value.ndim}-d {value.dtype.name}",
                where=self.path(name),
            )
        if finite and value.dtype.kind in "fc" and not bool(np.isfinite(value).all()):
            raise FormatError("the array holds NaN or infinities", where=self.path(name))
        return value

    def finish(self) -> None:
        """Refuse every key that was not read."""
        unknown = [name for name in self._values if name not in self._read]
        if unknown:
            raise FormatError(f"unknown field {unknown[0]!r}", where=self.where)

    def _wrong(self, name: str, wanted: str, value: object) -> FormatError:
        return FormatError(f"expected {wanted}, found {kind_of(value)}", where=self.path(name))


def kind_of(value: object) -> str:
    """What a document value is, in the words of the format."""
    names = {
        type(None): "null",
        bool: "a boolean",
        int: "an integer",
        float: "a float",
        str: "text",
        bytes: "bytes",
        list: "a list",
        dict: "a map",
    }
    name = type(value).__name__
    return names.get(type(value)) or ("an array" if name == "ndarray" else f"a {name}")
