"""Pickle streams written by hand, and what a graph of plain values evaluates to."""

from __future__ import annotations

import struct

from modelcrate.legacy.graph import ByteArray, Call, Dict, Global, Set


def text(value: str) -> bytes:
    """BINUNICODE, or its short form."""
    data = value.encode("utf-8", "surrogatepass")
    if len(data) < 256:
        return b"\x8c" + bytes([len(data)]) + data
    return b"X" + struct.pack("<I", len(data)) + data


def named(module: str, name: str) -> bytes:
    """GLOBAL."""
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def stacked(module: str, name: str) -> bytes:
    """STACK_GLOBAL."""
    return text(module) + text(name) + b"\x93"


def evaluate(node: object) -> object:
    """What a graph of Python's plain types stands for; cycles are kept."""
    return _evaluate(node, {})


def _evaluate(node: object, made: dict[int, object]) -> object:
    if id(node) in made:
        return made[id(node)]
    if isinstance(node, list):
        found: list[object] = []
        made[id(node)] = found
        found.extend(_evaluate(item, made) for item in node)
        return found
    if isinstance(node, Dict):
        mapping: dict[object, object] = {}
        made[id(node)] = mapping
        for key, value in node.pairs:
            mapping[_evaluate(key, made)] = _evaluate(value, made)
        return mapping
    if isinstance(node, tuple):
        return tuple(_evaluate(item, made) for item in node)
    if isinstance(node, Set):
        kind = frozenset if node.frozen else set
        return kind(_evaluate(item, made) for item in node.items)
    if isinstance(node, ByteArray):
        return bytearray(node.data)
    if isinstance(node, Call):
        assert isinstance(node.callee, Global)
        args = [_evaluate(arg, made) for arg in node.args]
        name = node.callee.dotted.replace("__builtin__", "builtins")
        if name == "_codecs.encode":
            return str(args[0]).encode(str(args[1]))
        plain = {"builtins.set": set, "builtins.frozenset": frozenset, "builtins.bytearray": bytearray,
                 "builtins.complex": complex, "builtins.bytes": bytes}  # fmt: skip
        if name == "builtins.bytearray" and len(args) == 2:
            return bytearray(str(args[0]).encode(str(args[1])))
        return plain[name](*args)
    return node
