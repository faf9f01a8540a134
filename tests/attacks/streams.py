"""Small pieces of pickle streams, for building hostile ones by hand."""

from __future__ import annotations

import struct
from dataclasses import dataclass

SENTINEL = "modelcrate-attack-was-here"
"""The file that a payload would create in the current folder, if anything executed it."""
COMMAND = f"echo > {SENTINEL}"
PYTHON = f"open({SENTINEL!r}, 'w').close()"


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One hostile file. ``verdict`` is the least that a scan must call it; ``about`` names the technique."""

    name: str
    data: bytes
    verdict: str = "dangerous"
    about: str = ""


def text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    if len(data) < 256:
        return b"\x8c" + bytes([len(data)]) + data
    return b"X" + struct.pack("<I", len(data)) + data


def raw(value: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(value)) + value


def number(value: int) -> bytes:
    if 0 <= value < 256:
        return b"K" + bytes([value])
    size = value.bit_length() // 8 + 1
    if size < 256:
        return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)
    return b"\x8b" + struct.pack("<i", size) + value.to_bytes(size, "little", signed=True)


def literal(value: object) -> bytes:
    """A plain value as opcodes; bytes that are :class:`Code` stand for themselves."""
    if isinstance(value, Code):
        return value.opcodes
    if value is None:
        return b"N"
    if value is True:
        return b"\x88"
    if value is False:
        return b"\x89"
    if isinstance(value, str):
        return text(value)
    if isinstance(value, bytes):
        return raw(value)
    if isinstance(value, int):
        return number(value)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, tuple):
        return b"(" + b"".join(map(literal, value)) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(map(literal, value)) + b"e"
    if isinstance(value, dict):
        return b"}(" + b"".join(literal(part) for pair in value.items() for part in pair) + b"u"
    raise TypeError(type(value))


@dataclass(frozen=True)
class Code:
    """Opcodes that push one object."""

    opcodes: bytes


def name(module: str, attribute: str, protocol: int = 4) -> Code:
    """A global by GLOBAL (protocols below 4) or STACK_GLOBAL."""
    if protocol < 4:
        return Code(b"c" + module.encode() + b"\n" + attribute.encode() + b"\n")
    return Code(text(module) + text(attribute) + b"\x93")


def call(callee: Code, *args: object) -> Code:
    """REDUCE."""
    return Code(callee.opcodes + literal(tuple(args)) + b"R")


def pickled(value: object, protocol: int = 4) -> bytes:
    """A whole pickle of opcodes or plain values."""
    return b"\x80" + bytes([protocol]) + literal(value) + b"."


def evil() -> Code:
    return call(name("os", "system"), COMMAND)


def evil_pickle(protocol: int = 4) -> bytes:
    return pickled(call(name("os", "system", protocol), COMMAND), protocol)
