"""Allowed constructors given something that makes them do more than hold data: code, files, memory, time."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from modelcrate.legacy.extents import extent_check
from modelcrate.legacy.graph import ByteArray, Call, Dict, Extension, Node, PersistentId
from modelcrate.legacy.names import callee_of, name_of
from modelcrate.legacy.policy import DANGEROUS, UNKNOWN

Complaint: TypeAlias = "tuple[str, str] | None"
"""Verdict and reason, or None where there is nothing to say."""
Check: TypeAlias = Callable[[Call], Complaint]

_ENCODINGS = frozenset({"latin1", "latin-1", "ascii", "utf-8", "utf8", "iso-8859-1"})
_FRACTION = re.compile(r"-?[0-9]{1,2000}(?:/[0-9]{1,2000})?")
_DECIMAL_TEXT = re.compile(r"[-+]?(?:[0-9.]{1,2000}(?:[eE][-+]?[0-9]{1,9})?|s?NaN[0-9]*|Inf(?:inity)?)")
_ZONE = re.compile(r"[A-Za-z0-9_+\-]+(?:/[A-Za-z0-9_+\-]+){0,3}")
_ALLOCATION = 1 << 24
_SHAPE_ITEMS = 4096


def checks_of(name: str) -> tuple[Check, ...]:
    """What to look at in each call of an allowed constructor."""
    found: list[Check] = []
    if name in _CHECKS:
        found.append(_CHECKS[name])
    extent = extent_check(name)
    if extent is not None:
        found.append(extent)
    return tuple(found)


def _tensor_stream(call: Call) -> Complaint:
    literal = len(call.args) == 1 and (isinstance(call.args[0], (bytes, ByteArray)) or _is_encoded(call.args[0]))
    return None if literal else (DANGEROUS, "reads a serialised object out of bytes that it computed")


def _is_encoded(node: Node) -> bool:
    return isinstance(node, Call) and name_of(node.callee) == "_codecs.encode"


def _bytes_like(call: Call) -> Complaint:
    args = call.args
    if args and type(args[0]) is int and args[0] > _ALLOCATION:
        return ("broken", f"allocates {args[0]} bytes out of nothing")
    if len(args) > 1 and not _is_encoding(args[1]):
        return (UNKNOWN, "uses a codec that is looked up by name")
    return _literal(call)


def _is_encoding(node: Node) -> bool:
    """Only text is compared: a node of the file is never hashed."""
    return type(node) is str and node in _ENCODINGS


def _literal(call: Call) -> Complaint:
    """Containers made from literal containers only; ``list(range(10**10))`` is no data."""
    for argument in call.args:
        if isinstance(argument, Call) and not _is_encoded(argument) and name_of(argument.callee) not in _LITERALS:
            return (UNKNOWN, "iterates over something that is no literal")
        if isinstance(argument, (PersistentId, Extension)):
            return (UNKNOWN, "iterates over something that is no literal")
    return None


_LITERALS = frozenset({
    "builtins.list", "builtins.tuple", "builtins.set", "builtins.frozenset", "builtins.dict", "builtins.bytes",
    "builtins.bytearray", "collections.OrderedDict", "collections.deque", "builtins.str",
    "numpy.core.multiarray._reconstruct", "numpy.core.numeric._frombuffer",
})  # fmt: skip


def _codec(call: Call) -> Complaint:
    if len(call.args) != 2 or type(call.args[0]) is not str or not _is_encoding(call.args[1]):
        return (UNKNOWN, "uses a codec that is looked up by name")
    return None


def _fraction(call: Call) -> Complaint:
    for argument in call.args:
        if type(argument) is not int and not (type(argument) is str and _FRACTION.fullmatch(argument)):
            return ("broken", "a fraction whose text would be computed, not read")
    return None


def _decimal(call: Call) -> Complaint:
    for argument in call.args[:1]:
        if not (type(argument) is str and _DECIMAL_TEXT.fullmatch(argument)):
            return (UNKNOWN, "a decimal that is not made from text")
    return None


def _zone(call: Call) -> Complaint:
    name = call.args[0] if call.args else None
    if type(name) is not str or len(name) > 80 or _ZONE.fullmatch(name) is None:
        return (DANGEROUS, "a time zone whose name is a path to a file")
    return None


def _array_class(call: Call) -> Complaint:
    if not call.args or name_of(call.args[0]) not in ("numpy.ndarray", "numpy.recarray", "numpy.matrix"):
        return (UNKNOWN, "makes an array of another class than NumPy's")
    return None


def _shape_argument(call: Call) -> Complaint:
    """``numpy.ndarray(shape)``, ``numpy.void(size)`` and the like allocate what their arguments say."""
    total = 1
    todo = list(call.args)
    for _ in range(_SHAPE_ITEMS):  # a list may hold itself
        if not todo or total > _ALLOCATION:
            break
        argument = todo.pop()
        if isinstance(argument, (tuple, list)) and len(argument) <= 64:
            todo.extend(argument)
        elif type(argument) is int:
            total *= max(1, abs(argument))
    return ("broken", "allocates an array out of nothing") if todo or total > _ALLOCATION else None


def _pool(call: Call) -> Complaint:
    named = [] if call.kwargs is None else [value for _, value in call.kwargs.pairs]
    counts = call.args if callee_of(call) == "numpy.random.bit_generator.SeedSequence" else ()
    for argument in [*counts, *named]:
        if type(argument) is int and 10**6 < argument < 2**31:
            return ("broken", "a pool of absurd size")
    for state in [*call.states, *call.args[2:3]]:
        items = [value for _, value in state.pairs] if isinstance(state, Dict) else state
        if isinstance(items, (tuple, list)) and any(type(item) is int and 10**6 < item < 2**31 for item in items[2:4]):
            return ("broken", "a pool of absurd size")
    return None


def _mapping(call: Call) -> Complaint:
    for state in call.states:
        if not isinstance(state, Dict) or any(key != "_metadata" for key, _ in state.pairs):
            return (UNKNOWN, "a mapping with attributes of its own")
    for argument in call.args[:1]:
        factory = name_of(call.callee) == "collections.defaultdict"
        if factory and not (argument is None or name_of(argument) in _FACTORIES):
            return (UNKNOWN, "a defaultdict whose factory is no plain type")
    return _literal(call)


_FACTORIES = frozenset({
    "builtins.list", "builtins.dict", "builtins.set", "builtins.int", "builtins.float", "builtins.str",
    "builtins.tuple", "builtins.bool", "collections.OrderedDict", "collections.Counter",
})  # fmt: skip


def _reconstructor(call: Call) -> Complaint:
    if len(call.args) == 3 and call.args[2] is not None and name_of(call.args[1]) != "builtins.object":
        base = name_of(call.args[1])
        if base not in _LITERALS and base not in ("builtins.int", "builtins.float", "builtins.complex"):
            return (UNKNOWN, "makes an object with another base than a plain type")
    return None


_CHECKS: dict[str, Check] = {
    "builtins.bytes": _bytes_like,
    "builtins.bytearray": _bytes_like,
    "builtins.str": _bytes_like,
    "builtins.list": _literal,
    "builtins.tuple": _literal,
    "builtins.set": _literal,
    "builtins.frozenset": _literal,
    "builtins.dict": _literal,
    "collections.deque": _literal,
    "collections.OrderedDict": _mapping,
    "collections.defaultdict": _mapping,
    "collections.Counter": _mapping,
    "_codecs.encode": _codec,
    "fractions.Fraction": _fraction,
    "decimal.Decimal": _decimal,
    "pytz._p": _zone,
    "zoneinfo.ZoneInfo": _zone,
    "zoneinfo:ZoneInfo._unpickle": _zone,
    "numpy.core.multiarray._reconstruct": _array_class,
    "numpy.ndarray": _shape_argument,
    "numpy.recarray": _shape_argument,
    "numpy.void": _shape_argument,
    "numpy.matrix": _shape_argument,
    "array.array": _shape_argument,
    "numpy.random.bit_generator.SeedSequence": _pool,
    "numpy.random.bit_generator.__pyx_unpickle_SeedSequence": _pool,
    "copyreg._reconstructor": _reconstructor,
    "torch.storage._load_from_bytes": _tensor_stream,
}
