"""The text forms of protocol 0: integers, floats, quoted strings and raw-unicode-escape text, read strictly.

CPython's two unpicklers read these with ``strtol``, ``int(..., 0)`` and ``float``, which differ from each other on odd
spellings (``010``, `` 1``, ``1_0``). What is accepted here is what a pickler writes; every other spelling is a
:class:`ValueError` with the reason, which the machine turns into an error that names the offset.
"""

from __future__ import annotations

import codecs
import math
import re

_DECIMAL = re.compile(rb"0|-?[1-9][0-9]*")
_INDEX = re.compile(rb"0|[1-9][0-9]*")
_FLOAT = re.compile(rb"-?(?:[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|inf|nan)")
_ESCAPE = re.compile(rb"\\(?:x[0-9a-fA-F]{2}|[0-7]{1,3}|[\\'\"abfnrtv]|.|$)", re.DOTALL)
_RAW_UNICODE = re.compile(rb"(?<!\\)(\\+)(u[0-9a-fA-F]{0,4}|U[0-9a-fA-F]{0,8})")
"""Begins where a run of backslashes begins, or a long run would be tried from each of its places."""
_NAMED = {
    b"\\": b"\\", b"'": b"'", b'"': b'"', b"a": b"\a", b"b": b"\b", b"f": b"\f",
    b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v",
}  # fmt: skip
codecs.lookup("raw-unicode-escape")  # imported here, so that no file is the one that causes an import
FLOAT_TEXT_LIMIT = 400
"""Characters of one float's text; ``repr`` needs at most 24, C's ``%f`` of the largest double 316."""


def integer(line: bytes, *, max_bytes: int) -> int | bool:
    """INT: a decimal integer, or ``00`` and ``01``, which are False and True."""
    if line == b"00":
        return False
    if line == b"01":
        return True
    return long_integer(line, max_bytes=max_bytes)


def long_integer(line: bytes, *, max_bytes: int) -> int:
    """LONG: a decimal integer with or without the trailing ``L`` of Python 2."""
    digits = line[:-1] if line.endswith(b"L") else line
    if len(digits) > min(4300, max_bytes * 2408 // 1000 + 1):
        raise OverflowError(f"an integer of {len(digits)} digits")
    if _DECIMAL.fullmatch(digits) is None:
        raise ValueError("not a canonical decimal integer")
    return int(digits)


def index(line: bytes) -> int:
    """PUT and GET: a memo index in canonical decimal."""
    if len(line) > 19 or _INDEX.fullmatch(line) is None:
        raise ValueError("not a canonical memo index")
    return int(line)


def real(line: bytes) -> float:
    """FLOAT: what ``repr(float)`` writes, ``inf`` and ``nan`` included, but no number that overflows to infinity."""
    if len(line) > FLOAT_TEXT_LIMIT or _FLOAT.fullmatch(line) is None:
        raise ValueError("not a float as a pickler writes it")
    value = float(line)
    if math.isinf(value) and not line.endswith(b"inf"):
        raise ValueError("a float beyond the double range")
    return value


def quoted(line: bytes) -> str:
    """STRING: a Python 2 ``repr`` of a byte string, decoded as latin-1 so that every byte keeps its value."""
    if len(line) < 2 or line[0] != line[-1] or line[0] not in b"'\"":
        raise ValueError("a STRING that is not quoted")
    inner = line[1:-1]
    if b"\\" not in inner:
        return inner.decode("latin-1")
    return _ESCAPE.sub(_unescape, inner).decode("latin-1")


def _unescape(match: re.Match[bytes]) -> bytes:
    body = match.group()[1:]
    if body[:1] == b"x" and len(body) == 3:
        return bytes([int(body[1:], 16)])
    if body[:1].isdigit() and body[:1] < b"8":
        return bytes([int(body, 8) & 0xFF])
    if body in _NAMED:
        return _NAMED[body]
    if body == b"\n":
        return b""
    if body in (b"x", b""):
        raise ValueError("a broken escape in a STRING")
    return b"\\" + body


def raw_unicode(line: bytes) -> str:
    """UNICODE: raw-unicode-escape text; a cut escape is refused, lone surrogates stay."""
    for match in _RAW_UNICODE.finditer(line):
        backslashes, escape = match.groups()
        if len(backslashes) % 2 and len(escape) != (5 if escape[:1] == b"u" else 9):
            raise ValueError("a cut escape in a UNICODE")
    try:
        return line.decode("raw-unicode-escape")
    except UnicodeError:
        raise ValueError("a UNICODE that is not text") from None
