"""Known constructors of data put to another use: by a detour, with methods among the data, with a path inside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from modelcrate.legacy.arguments import Complaint, checks_of
from modelcrate.legacy.graph import Call, Dict, Global, Node
from modelcrate.legacy.names import callee_of, name_of
from modelcrate.legacy.policy import DANGEROUS, UNKNOWN

_RANGE: Final = 1 << 20
"""Items of a range that something may iterate over; a range is three numbers, a list of it fills the memory."""
_PAIRS: Final = 10_000
_SPECIAL: Final = frozenset({
    "__class__", "__dict__", "__reduce__", "__reduce_ex__", "__setstate__", "__getattr__", "__getattribute__",
    "__del__", "__call__", "__code__", "__globals__", "__builtins__", "__import__", "__init_subclass__", "__new__",
    "__init__", "__bases__", "__mro__",
})  # fmt: skip
_LISTS: Final = frozenset({
    "builtins.list", "builtins.set", "builtins.frozenset", "builtins.bytearray", "collections.deque",
    "collections.UserList", "pandas.core.indexes.frozen.FrozenList", "array.array",
})  # fmt: skip
_MAPS: Final = frozenset({
    "builtins.dict", "collections.OrderedDict", "collections.defaultdict", "collections.Counter",
    "collections.UserDict", "sklearn.utils._bunch.Bunch", "sklearn.utils.deprecation.Bunch",
})  # fmt: skip
_DETOURS: Final = frozenset({"copyreg._reconstructor", "copyreg.__newobj__", "copyreg.__newobj_ex__"})
_ZONED: Final = frozenset({
    "pandas._libs.tslibs.timestamps.Timestamp", "pandas._libs.tslibs.timestamps._unpickle_timestamp",
    "pandas.core.dtypes.dtypes.DatetimeTZDtype", "pandas.core.indexes.datetimes._new_DatetimeIndex",
    "pandas.core.indexes.datetimes.DatetimeIndex", "pandas.core.arrays.datetimes.DatetimeArray", "pytz.tzinfo._p",
    "pyarrow.lib.timestamp", "pandas._libs.tslibs.period.Period", "pandas.core.dtypes.dtypes.PeriodDtype",
})  # fmt: skip
_PATH: Final = re.compile(r"\A(?:dateutil|~|\.{0,2}/|[A-Za-z]:[/\\])|\.\./|//|\Atzlocal|\A.{200}", re.DOTALL)
_TEXTS: Final = frozenset({"numpy.str_", "numpy.bytes_"})
_RAW: Final = frozenset({
    "numpy.ndarray", "numpy.recarray", "numpy.core.numeric._frombuffer", "numpy.core.multiarray.scalar",
})  # fmt: skip
_OBJECTS: Final = re.compile(r"\A[<>=|]?(?:O[0-9]*|object_?[0-9]*)\Z")


def misuse(call: Call, name: str) -> Complaint:
    """What is wrong with a call of the known constructor ``name``, apart from what its own checks say."""
    inner = _behind(call, name) if name in _DETOURS else call
    made = name if inner is call else (name_of(inner.callee) or "")
    for argument in inner.args:
        if isinstance(argument, Call) and callee_of(argument) == "builtins.range" and _is_long(argument):
            return ("broken", "iterates over a range that has no end in practice")
    if inner is not call:
        for check in checks_of(made):
            complaint = check(inner)
            if complaint is not None:
                return complaint
    if call.states or call.kwargs is not None or made in ("types.SimpleNamespace", "argparse.Namespace"):
        for key in _attributes(call):
            if type(key) is str and key in _SPECIAL:
                return (DANGEROUS, f"sets the special attribute {key}")
    if call.appended and made not in _LISTS:
        return (UNKNOWN, "adds items to an object that is no list")
    if call.assigned and made not in _MAPS and not made.endswith(".AttributeDict"):
        return (UNKNOWN, "assigns items of an object that is no mapping")
    if made in _ZONED and any(type(part) is str and _PATH.search(part) for part in _arguments(inner)):
        return (DANGEROUS, "a time zone whose name is a path to a file")
    if made == "numpy.record" and any(type(part) is int and part > _RANGE for part in inner.args):
        return ("broken", "allocates an array out of nothing")
    if made in _TEXTS and len(inner.args) > 1:
        return (UNKNOWN, "uses a codec that is looked up by name")
    if made in _RAW and inner.args and any(_is_object(part) for part in inner.args):
        return (UNKNOWN, "makes objects out of bytes")
    return None


def encoded(call: Node) -> bytes | None:
    """The bytes that ``_codecs.encode(text, codec)`` makes, by the codec that it names; None for any other call."""
    if not isinstance(call, Call) or callee_of(call) != "_codecs.encode" or not call.args:
        return None
    text = call.args[0]
    codec = call.args[1] if len(call.args) > 1 and type(call.args[1]) is str else ""
    if type(text) is not str:
        return None
    # Another reading of the same text could hide what the loader will see behind lengths that count characters.
    return text.encode("utf-8" if codec in ("utf-8", "utf8") else "latin-1", "replace")


def _behind(call: Call, name: str) -> Call:
    """The call that ``copyreg`` makes on behalf of a pickle."""
    args = call.args
    if name == "copyreg._reconstructor":
        if len(args) != 3 or name_of(args[1]) == "builtins.object":
            rest: tuple[Node, ...] = ()
        else:
            return Call(args[1], (args[2],), None, offset=call.offset, opcode=call.opcode)
    else:
        second = args[1] if len(args) == 3 else None
        listed = name == "copyreg.__newobj_ex__" and isinstance(second, tuple)
        rest = second if listed and isinstance(second, tuple) else args[1:]
    return Call(args[0] if args else None, rest, None, offset=call.offset, opcode=call.opcode)


def _is_long(call: Call) -> bool:
    bounds = [part for part in call.args if type(part) is int]
    return any(abs(bound) > _RANGE for bound in bounds) or len(bounds) != len(call.args)


def _arguments(call: Call) -> Iterator[Node]:
    yield from call.args
    if call.kwargs is not None:
        yield from (value for _, value in call.kwargs.pairs)


def _attributes(call: Call) -> Iterator[Node]:
    """Names of attributes that a call, or the states that are set after it, give to an object."""
    if call.kwargs is not None:
        yield from (key for key, _ in call.kwargs.pairs)
    given: list[Node] = list(call.args) if callee_of(call) in ("types.SimpleNamespace", "argparse.Namespace") else []
    for state in call.states:
        given += state if type(state) is tuple and len(state) == 2 else [state]
    for part in given:
        yield from _keys(part)


def _keys(part: Node) -> Iterator[Node]:
    """The keys of a mapping, however the stream makes it."""
    if isinstance(part, Dict):
        yield from (key for key, _ in part.pairs)
    elif isinstance(part, Call):
        yield from (key for key, _ in part.assigned)
        for argument in part.args:
            if isinstance(argument, Dict):
                yield from (key for key, _ in argument.pairs)
            elif isinstance(argument, (list, tuple)):
                yield from (pair[0] for pair in argument[:_PAIRS] if isinstance(pair, (list, tuple)) and pair)


def _is_object(part: Node) -> bool:
    """Whether an argument says that the elements are Python objects."""
    if type(part) is str:
        return _OBJECTS.match(part) is not None
    if isinstance(part, Global):
        return name_of(part) in ("numpy.object_", "builtins.object")
    if isinstance(part, Call) and callee_of(part) == "numpy.dtype":
        return any(_is_object(inner) for inner in part.args[:1] if not isinstance(inner, Call))
    return False
