"""Reading msgpack in the one byte form of each value; every other byte sequence is refused (FORMAT.md 7.2).

A length is compared with what is left of the document, and charged to the budget, before anything is built for it.
"""

from __future__ import annotations

import math
from struct import Struct

from modelcrate.format import extensions
from modelcrate.format.budget import CONTAINER_ITEMS, MAP_ITEMS, Budget
from modelcrate.format.extensions import Refused

_FLOAT = Struct(">d")
_NAN = b"\x7f\xf8\x00\x00\x00\x00\x00\x00"

_LENGTHS = {
    head: (size, minimum)
    for first, smallest in ((0xC4, (0, 2**8, 2**16)), (0xC7, (0, 2**8, 2**16)), (0xD9, (32, 2**8, 2**16)))
    for head, size, minimum in zip(range(first, first + 3), (1, 2, 4), smallest, strict=True)
} | {0xDC: (2, 16), 0xDD: (4, 2**16), 0xDE: (2, 16), 0xDF: (4, 2**16)}
"""Per head byte: bytes of the length that follows, and the smallest length that belongs there."""

_FIXED_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
_FIXED_SIZES = frozenset(_FIXED_EXTENSIONS.values())


class Decoder:
    """Reads values from ``position`` on; recursion is bounded by the budget's depth."""

    __slots__ = ("budget", "data", "keys", "position")

    def __init__(self, data: bytes, budget: Budget) -> None:
        self.data = data
        self.position = 0
        self.budget = budget
        self.keys: dict[bytes, str] = {}

    def value(self, depth: int) -> object:
        """The next value, which stands inside of ``depth`` lists and maps."""
        data, position = self.data, self.position
        if position >= len(data):
            raise Refused("the document is cut short")
        head = data[position]
        self.position = position + 1
        if head < 0x80:
            return head
        if head >= 0xE0:
            return head - 0x100
        if head >= 0xC0:
            return self._headed(head, depth)
        if head >= 0xA0:
            return self._text(self._bytes(head & 0x1F))
        if head >= 0x90:
            return self._list(head & 0x0F, depth)
        return self._map(head & 0x0F, depth)

    def _headed(self, head: int, depth: int) -> object:
        if head == 0xCB:
            return self._float()
        if 0xD9 <= head <= 0xDB:
            return self._text(self._bytes(self._length(head)))
        if 0xCC <= head <= 0xD3:
            return self._integer(head)
        if head in (0xC2, 0xC3):
            return head == 0xC3
        if head == 0xC0:
            return None
        if head in (0xDC, 0xDD):
            return self._list(self._length(head), depth)
        if head in (0xDE, 0xDF):
            return self._map(self._length(head), depth)
        if 0xC4 <= head <= 0xC6:
            return self._bytes(self._length(head))
        if 0xC7 <= head <= 0xC9:
            size = self._length(head)
            if size in _FIXED_SIZES:
                raise Refused("an extension that is not in its shortest form")
            return self._extension(size)
        if head in _FIXED_EXTENSIONS:
            return self._extension(_FIXED_EXTENSIONS[head])
        raise Refused("32-bit floats are not used" if head == 0xCA else f"byte 0x{head:02x} begins no value")

    def _bytes(self, size: int) -> bytes:
        start = self.position
        end = start + size
        if end > len(self.data):
            raise Refused("the document is cut short")
        self.position = end
        return self.data[start:end]

    def _length(self, head: int) -> int:
        """The length after a head byte, which no shorter header could have held."""
        size, minimum = _LENGTHS[head]
        length = int.from_bytes(self._bytes(size), "big")
        if length < minimum:
            raise Refused("a length that is not in its shortest form")
        return length

    def _float(self) -> float:
        raw = self._bytes(8)
        value: float = _FLOAT.unpack(raw)[0]
        if math.isnan(value) and raw != _NAN:
            raise Refused("a NaN that is not in its one form")
        return value

    def _integer(self, head: int) -> int:
        signed = head >= 0xD0
        size = 1 << (head & 3)
        value = int.from_bytes(self._bytes(size), "big", signed=signed)
        half = 4 * size  # bits of the next shorter form
        if signed:
            shortest = value < (-32 if size == 1 else -(1 << (half - 1)))
        else:
            shortest = value >= (128 if size == 1 else 1 << half)
        if not shortest:
            raise Refused("an integer that is not in its shortest form")
        return value

    def _text(self, raw: bytes) -> str:
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise Refused("text that is not UTF-8") from None
        self.budget.take_text(raw, text)
        return text

    def _list(self, count: int, depth: int) -> list[object]:
        if count > len(self.data) - self.position:
            raise Refused("the document is cut short")
        self.budget.enter(depth, CONTAINER_ITEMS + count)
        read, inner = self.value, depth + 1
        return [read(inner) for _ in range(count)]

    def _map(self, count: int, depth: int) -> dict[str, object]:
        if 2 * count > len(self.data) - self.position:
            raise Refused("the document is cut short")
        self.budget.enter(depth, MAP_ITEMS + 2 * count)
        found: dict[str, object] = {}
        before: bytes | None = None
        for _ in range(count):
            raw = self._key()
            if before is not None and raw <= before:
                raise Refused("map keys that are not in order" if raw < before else "a map key that is there twice")
            before = raw
            key = self.keys.get(raw)
            if key is None:
                key = self.keys[raw] = self._text(raw)
            else:
                self.budget.take_text(raw, key)
            found[key] = self.value(depth + 1)
        return found

    def _key(self) -> bytes:
        head = self._bytes(1)[0]
        if 0xA0 <= head < 0xC0:
            return self._bytes(head & 0x1F)
        if 0xD9 <= head <= 0xDB:
            return self._bytes(self._length(head))
        raise Refused("a map key that is not text")

    def _extension(self, size: int) -> object:
        code = int.from_bytes(self._bytes(1), "big", signed=True)
        payload = self._bytes(size)
        self.budget.take_items(CONTAINER_ITEMS)
        return extensions.decode(code, payload)
