"""Strict JSON in one byte form: the text in which a manifest is written (FORMAT.md 3.1).

Bytes are parsed once. Size, character set, depth and item count are checked over the raw bytes before the parser
runs, so that nesting can't exhaust its stack; duplicate keys, non-numbers and numbers outside the exact range are
refused while it runs; and what was parsed must be written again to the very bytes that were read.
"""

from __future__ import annotations

import json
import math
import re
from json.encoder import encode_basestring_ascii
from typing import NoReturn, TypeAlias

from modelcrate.errors import FormatError, LimitError
from modelcrate.format.buffers import Buffer
from modelcrate.limits import DEFAULT, Limits

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

INTEGER_BOUND = 2**53
"""Integers beyond this are not exact in every JSON implementation."""

_CONSTANTS = {True: "true", False: "false"}
_PATH_LENGTH = 200
_BRACKET = re.compile(rb"[\[\]{}]")
_OUTSIDE = re.compile(rb"[^\n\x20-\x7e]")


def parse(data: Buffer, *, where: str, limits: Limits = DEFAULT) -> Json:
    """Read one JSON document.

    Raises LimitError for a document larger, deeper or richer than ``limits`` allows, FormatError for anything else
    that is not strict JSON. Whether the bytes are canonical is asked with :func:`check_canonical`.
    """
    if len(data) > limits.manifest_bytes:
        raise LimitError(f"larger than {limits.manifest_bytes} bytes", where=where)
    raw = bytes(data)
    outside = _OUTSIDE.search(raw)
    if outside is not None:
        raise FormatError(f"byte 0x{raw[outside.start()]:02x} at {outside.start()} is not ASCII text", where=where)
    _check_nesting(raw, where=where, limits=limits)
    reader = _Reader(where)
    try:
        document: Json = json.loads(
            raw.decode("ascii"),
            object_pairs_hook=reader.pairs,
            parse_constant=reader.constant,
            parse_int=reader.integer,
            parse_float=reader.number,
        )
    except json.JSONDecodeError as error:
        raise FormatError(f"not JSON: {error.msg} (byte {error.pos})", where=where) from None
    check_plain(document, where=where, limits=limits)
    return document


def dump(document: Json) -> bytes:
    """The canonical bytes of a document that :func:`check_plain` accepts (FORMAT.md 3.1.3)."""
    return _written(document, "\n").encode("ascii") + b"\n"


def _written(value: Json, line: str) -> str:
    """As ``json.dumps`` with sorted keys and an indent of two, in half of the time that it takes for that.

    ``line`` is the line break with the indent of the place where the value stands. The depth of a document that
    :func:`check_plain` accepts bounds the recursion.
    """
    inner = line + "  "
    if type(value) is dict:
        parts = []
        for key in sorted(value):
            item = value[key]
            text = encode_basestring_ascii(item) if type(item) is str else _written(item, inner)
            parts.append(encode_basestring_ascii(key) + ": " + text)
        return "{" + inner + ("," + inner).join(parts) + line + "}" if parts else "{}"
    if type(value) is list:
        parts = [_written(item, inner) for item in value]
        return "[" + inner + ("," + inner).join(parts) + line + "]" if parts else "[]"
    if type(value) is int:
        return int.__repr__(value)
    return _CONSTANTS[value] if type(value) is bool else json.dumps(value, allow_nan=False)


def check_canonical(data: Buffer, document: Json, *, where: str) -> None:
    """Refuse ``data`` unless it is the canonical form of the ``document`` that was parsed from it."""
    if dump(document) != data:
        raise FormatError(
            "the JSON text is not in canonical form (sorted keys, two-space indent, shortest numbers)", where=where
        )


def check_plain(document: object, *, where: str, limits: Limits = DEFAULT) -> None:
    """Refuse a value that is not plain JSON within the bounds, with the path at which it stands."""
    budget = limits.manifest_items
    pending: list[tuple[object, str, int]] = [(document, where, 1)]
    while pending:
        value, path, depth = pending.pop()
        budget -= 1
        if budget < 0:
            raise LimitError(f"more than {limits.manifest_items} values", where=where)
        if depth > limits.manifest_depth and type(value) in (dict, list):
            raise LimitError(f"nested deeper than {limits.manifest_depth}", where=where)
        if type(value) is list:
            pending.extend((item, _join(path, f"[{index}]"), depth + 1) for index, item in enumerate(value))
        elif type(value) is dict:
            for key, item in value.items():
                if type(key) is not str:
                    raise FormatError(f"a key is a {type(key).__name__}, not text", where=path)
                _check_text(key, path, limits.manifest_key)
                if _is_simple(item, limits):
                    budget -= 1
                else:
                    pending.append((item, _join(path, f".{key}"), depth + 1))
        else:
            _check_leaf(value, path, limits)
    if budget < 0:
        raise LimitError(f"more than {limits.manifest_items} values", where=where)


def _is_simple(value: object, limits: Limits) -> bool:
    """Whether a value needs no path, because nothing is wrong with it: what nearly all are."""
    if type(value) is str:
        return value.isascii() and "\0" not in value and len(value) <= limits.manifest_text
    return type(value) is bool or (type(value) is int and -INTEGER_BOUND <= value <= INTEGER_BOUND)


def _join(path: str, step: str) -> str:
    return path + step if len(path) < _PATH_LENGTH else path


def _check_leaf(value: object, path: str, limits: Limits) -> None:
    if value is None or type(value) is bool:
        return
    if type(value) is str:
        _check_text(value, path, limits.manifest_text)
    elif type(value) is int:
        if not -INTEGER_BOUND <= value <= INTEGER_BOUND:
            raise FormatError("an integer outside of -2**53 to 2**53", where=path)
    elif type(value) is float:
        if not math.isfinite(value):
            raise FormatError("NaN and infinities are not JSON", where=path)
        if value == 0 and math.copysign(1, value) < 0:
            raise FormatError("negative zero is not allowed", where=path)
    else:
        raise FormatError(f"a {type(value).__name__} is not plain JSON", where=path)


def _check_text(text: str, path: str, bound: int) -> None:
    if len(text) > bound:
        raise LimitError(f"text longer than {bound} characters", where=path)
    if "\0" in text:
        raise FormatError("text holds a NUL character", where=path)
    if not text.isascii() and any(0xD800 <= ord(character) <= 0xDFFF for character in text):
        raise FormatError("text holds half of a surrogate pair", where=path)


def _check_nesting(raw: bytes, *, where: str, limits: Limits) -> None:
    """Bound depth and item count before the recursive parser sees the text.

    Without its escapes, a string ends at the next quote; up to the first fault in the text this split agrees with
    the parser, and the parser goes no further than that.
    """
    outside = b"".join(raw.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    if outside.count(b",") + outside.count(b"[") + outside.count(b"{") > 2 * limits.manifest_items:
        raise LimitError(f"more than {limits.manifest_items} values", where=where)
    depth = 0
    for match in _BRACKET.finditer(outside):
        depth += 1 if match[0] in b"[{" else -1
        if depth > limits.manifest_depth:
            raise LimitError(f"nested deeper than {limits.manifest_depth}", where=where)


class _Reader:
    """The hooks that make the standard parser strict."""

    __slots__ = ("where",)

    def __init__(self, where: str) -> None:
        self.where = where

    def pairs(self, pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for key, value in pairs:
            if key in found:
                raise FormatError(f"the key {key[:80]!r} is there twice", where=self.where)
            found[key] = value
        return found

    def constant(self, text: str) -> NoReturn:
        raise FormatError(f"{text} is not JSON", where=self.where)

    def integer(self, text: str) -> int:
        if len(text) > len(str(-INTEGER_BOUND)):
            raise FormatError("an integer outside of -2**53 to 2**53", where=self.where)
        return int(text)

    def number(self, text: str) -> float:
        if len(text) > 32:
            raise FormatError("a number with more digits than a double has", where=self.where)
        return float(text)
