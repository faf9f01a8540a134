"""In which order a set that was read from a pickle is walked through by CPython 3.11 with ``PYTHONHASHSEED=0``.

A model that draws from ``list(a_set)`` gives other rows for another order. That of texts differs from process to
process unless the hash seed is fixed; then it follows from the texts and from the order in which they were put in.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

_MASK: Final = 2**64 - 1
_LINEAR_PROBES: Final = 9
_PERTURB_SHIFT: Final = 5
_SMALLEST: Final = 8
_LARGE: Final = 50_000
ORDERED_LIMIT: Final = 100_000
"""Values of a set that is put in order; hashing takes about ten microseconds each."""


def set_order(values: Sequence[object]) -> list[object]:
    """Distinct values in the order of the set that they are put into one by one.

    They stay as they are where that order depends on more: on the places in memory of None and NaN, for example.
    """
    if len(values) > ORDERED_LIMIT:
        return list(values)
    hashes: list[int] = []
    for value in values:
        if type(value) is str:
            hashes.append(_hash_of_text(value))
        elif type(value) in (int, bool) or (isinstance(value, float) and not math.isnan(value)):
            hashes.append(hash(value) & _MASK)
        else:
            return list(values)
    size = _SMALLEST
    table: list[int | None] = [None] * size
    for count, given in enumerate(hashes, 1):
        table[_free(table, given)] = count - 1
        if count * 5 >= (size - 1) * 3:
            wanted = count * (2 if count > _LARGE else 4)
            while size <= wanted:
                size *= 2
            held, table = table, [None] * size
            for place in held:
                if place is not None:
                    table[_free(table, hashes[place])] = place
    return [values[place] for place in table if place is not None]


def _free(table: Sequence[int | None], given: int) -> int:
    return next(at for at in _probes(given, len(table) - 1) if table[at] is None)


def _probes(given: int, mask: int) -> Iterator[int]:
    """The slots that are tried, one after another."""
    at, perturb = given & mask, given
    while True:
        yield from range(at, at + (_LINEAR_PROBES if at + _LINEAR_PROBES <= mask else 0) + 1)
        perturb >>= _PERTURB_SHIFT
        at = (at * 5 + 1 + perturb) & mask


def _hash_of_text(text: str) -> int:
    """CPython's hash of a text, as 64 bits without a sign: SipHash-1-3 of its characters with a key of zeros."""
    if not text:
        return 0
    widest = max(text)
    name = "latin-1" if widest < "\u0100" else "utf-16-le" if widest < "\U00010000" else "utf-32-le"
    found = siphash13(text.encode(name, "surrogatepass" if name != "latin-1" else "strict"))
    return _MASK - 1 if found == _MASK else found


def siphash13(data: bytes) -> int:
    """SipHash with one round a word and three at the end, its key all zeros (Aumasson and Bernstein, 2012)."""
    state = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
    whole = len(data) - len(data) % 8
    words = [int.from_bytes(data[start : start + 8], "little") for start in range(0, whole, 8)]
    words.append(int.from_bytes(data[whole:], "little") | (len(data) & 0xFF) << 56)
    for word in words:
        a, b, c, d = state
        a, b, c, d = _round(a, b, c, d ^ word)
        state = (a ^ word, b, c, d)
    a, b, c, d = state
    c ^= 0xFF
    for _ in range(3):
        a, b, c, d = _round(a, b, c, d)
    return a ^ b ^ c ^ d


def _round(a: int, b: int, c: int, d: int) -> tuple[int, int, int, int]:
    a, c = (a + b) & _MASK, (c + d) & _MASK
    b, d = _rotated(b, 13) ^ a, _rotated(d, 16) ^ c
    a = _rotated(a, 32)
    c, a = (c + b) & _MASK, (a + d) & _MASK
    b, d = _rotated(b, 17) ^ c, _rotated(d, 21) ^ a
    return a, b, _rotated(c, 32), d


def _rotated(word: int, by: int) -> int:
    return (word << by | word >> (64 - by)) & _MASK
