"""Arrays as a scan sees them: shapes, dtypes and byte counts that do not agree. No NumPy is needed to see that."""

from __future__ import annotations

import re
from collections.abc import Callable

from modelcrate.legacy.graph import ByteArray, Call, Dict, Global, Node, OutOfBandBuffer
from modelcrate.legacy.names import callee_of, name_of

_CODE = re.compile(r"[<>=|]?([?bBhHiIlLqQefdgFDGmMSUVOuc])([0-9]{0,9})(?:\[[a-zA-Z0-9]+\])?")
_SIZED = frozenset("biufcmM")
_GENERATORS = frozenset({"MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"})
_LARGE = 1 << 28


def extent_check(name: str) -> Callable[[Call], tuple[str, str] | None] | None:
    """The check of an allowed constructor of arrays, dtypes or scalars: verdict and reason where numbers disagree."""
    check = _CHECKS.get(name)
    if check is None:
        return None

    def checked(call: Call) -> tuple[str, str] | None:
        reason = check(call)
        return None if reason is None else ("broken", reason)

    return checked


def _dtype(call: Call) -> str | None:
    code = call.args[0] if call.args else None
    if type(code) is not str:
        return None if isinstance(code, (Global, Call)) else "a dtype whose code is none"
    match = _CODE.fullmatch(code)
    if match is None or int(match.group(2) or 0) > _LARGE:
        return "a dtype whose code is none"
    for state in call.states:
        complaint = _dtype_state(state, match.group(1), int(match.group(2) or 0))
        if complaint is not None:
            return complaint
    return None


def _dtype_state(state: Node, kind: str, width: int) -> str | None:
    if type(state) is not tuple or len(state) not in (8, 9) or type(state[0]) is not int:
        return "a dtype whose state is none"
    order, names, fields, declared = state[1], state[3], state[4], state[5]
    if type(order) is not str or order not in ("<", ">", "=", "|") or type(declared) is not int:
        return "a dtype whose state is none"
    if not -1 <= declared <= _LARGE:
        return "a dtype of an absurd width"
    if names is not None or fields is not None:
        agree = type(names) is tuple and isinstance(fields, Dict) and _field_count(fields) == len(names)
        return None if agree else "a structured dtype whose names and fields disagree"
    if kind in _SIZED and width and declared not in (-1, width):
        return "a dtype that declares another width than its code"
    if len(state) == 9 and kind not in "mM":
        metadata = state[8]
        if metadata is not None and not (isinstance(metadata, Dict) and not metadata.pairs):
            return "a dtype with metadata"
    return None


def _field_count(fields: Dict) -> int:
    """Fields by name; one with a title stands there twice, as (dtype, offset, title) under both."""
    titles = [value[2] for _, value in fields.pairs if type(value) is tuple and len(value) == 3]
    texts = {title for title in titles if type(title) is str}
    return sum(1 for key, _ in fields.pairs if not (type(key) is str and key in texts))


def item_width(node: Node) -> tuple[str, int] | None:
    """Kind and width of a dtype's items, where they can be told."""
    if not isinstance(node, Call) or callee_of(node) != "numpy.dtype" or not node.args or type(node.args[0]) is not str:
        return None
    match = _CODE.fullmatch(node.args[0])
    if match is None:
        return None
    kind, width = match.group(1), int(match.group(2) or 0)
    state = node.states[0] if node.states else None
    if kind == "U":
        width *= 4
    if width == 0 and type(state) is tuple and len(state) > 5 and type(state[5]) is int and state[5] >= 0:
        width = state[5]
    if kind == "V" and type(state) is tuple and len(state) > 5 and type(state[5]) is int and state[5] >= 0:
        width = state[5]
    if not match.group(2) and kind not in "SUVO":
        return None
    return kind, width


def _count(node: Node) -> int | None:
    if type(node) is int:
        node = (node,)
    if type(node) is not tuple or len(node) > 64:
        return None
    total = 1
    for size in node:
        if type(size) is not int or not 0 <= size < 2**62:
            return None
        total *= size
    return total


def _length(node: Node) -> int | None:
    """Bytes that a node holds, in the spellings of all protocols."""
    if isinstance(node, (bytes, str)):
        return len(node)
    if isinstance(node, ByteArray):
        return len(node.data)
    if isinstance(node, Call):
        name = callee_of(node)
        if name in ("_codecs.encode", "builtins.bytearray", "builtins.bytes"):
            return _length(node.args[0]) if node.args else 0
    return None


def _reconstructed(call: Call) -> str | None:
    if len(call.args) != 3 or call.args[1] != (0,) or _length(call.args[2]) != 1:
        return "an array that is not made as NumPy makes them"
    if name_of(call.args[0]) not in ("numpy.ndarray", "numpy.recarray", "numpy.matrix"):
        return None
    if len(call.states) != 1:
        return "an array without its state"
    state = call.states[0]
    if type(state) is not tuple or len(state) != 5 or type(state[3]) not in (bool, int):
        return "an array whose state is none"
    return _filled(state[4], state[2], state[1])


def _filled(data: Node, dtype: Node, shape: Node) -> str | None:
    count, item = _count(shape), item_width(dtype)
    if count is None:
        return "an array whose shape is none"
    if isinstance(data, OutOfBandBuffer):
        return None
    if type(data) is list:
        if item is not None and item[0] not in "OV":
            return "an array of numbers with objects in it"
        return None if len(data) == count else "an array whose items do not fill its shape"
    if item is not None and item[0] == "O":
        return "an array of objects made from bytes"
    length = _length(data)
    if length is None:
        return "an array whose data are no bytes"
    if item is not None and length != count * item[1]:
        return f"an array of {count} items over {length} bytes"
    return None


def _from_buffer(call: Call) -> str | None:
    if len(call.args) != 4 or call.args[3] not in ("C", "F"):
        return "an array that is not made as NumPy makes them"
    if isinstance(call.args[0], Call) and callee_of(call.args[0]) == "builtins.memoryview":
        return None
    return _filled(call.args[0], call.args[1], call.args[2])


def _scalar(call: Call) -> str | None:
    item = item_width(call.args[0]) if call.args else None
    if len(call.args) != 2:
        return None if len(call.args) == 1 else "a scalar that is not made as NumPy makes them"
    if item is None or item[0] in "OV":
        return None
    length = _length(call.args[1])
    return None if length == item[1] else f"a scalar of {item[1]} bytes over {length}"


def _generator_name(call: Call) -> str | None:
    """The bit generator is looked up by name, or handed over as an object."""
    for argument in call.args[:1]:
        if isinstance(argument, str) and argument not in _GENERATORS:
            return "a random generator of an unknown name"
        if not isinstance(argument, (str, Call, Global)):
            return "a random generator of an unknown kind"
    for state in call.states:
        complaint = _generator_state(state)
        if complaint is not None:
            return complaint
    return None


def _generator_state(state: Node) -> str | None:
    if not isinstance(state, Dict):
        return None
    for key, value in state.pairs:
        if key == "state" and isinstance(value, Dict):
            for inner, content in value.pairs:
                if inner == "key" and _key_count(content) not in (624, 2):
                    return "a random generator whose key has another length"
                if inner == "pos" and not (type(content) is int and 0 <= content <= 624):
                    return "a random generator whose position is out of range"
    return None


def _key_count(node: Node) -> int | None:
    if isinstance(node, Call) and callee_of(node) == "numpy.core.numeric._frombuffer" and len(node.args) == 4:
        return _count(node.args[2])
    if isinstance(node, Call) and node.states:
        state = node.states[0]
        return _count(state[1]) if type(state) is tuple and len(state) == 5 else None
    return None


def _block(call: Call) -> str | None:
    placement = call.args[1] if len(call.args) > 1 else None
    if isinstance(placement, Call) and callee_of(placement) == "builtins.slice":
        for bound in placement.args:
            if bound is not None and not (type(bound) is int and abs(bound) <= _LARGE):
                return "a block that is placed outside of any frame"
    return None


def _index(call: Call) -> str | None:
    parts = call.args[1] if len(call.args) > 1 else None
    if isinstance(parts, Dict):
        for key, value in parts.pairs:
            if key in ("start", "stop", "step") and type(value) is int and abs(value) >= 2**63:
                return "a range index beyond 64 bits"
    return None


_CHECKS: dict[str, Callable[[Call], str | None]] = {
    "numpy.dtype": _dtype,
    "numpy.core.multiarray._reconstruct": _reconstructed,
    "numpy.core.numeric._frombuffer": _from_buffer,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.random._pickle.__randomstate_ctor": _generator_name,
    "numpy.random._pickle.__generator_ctor": _generator_name,
    "numpy.random._pickle.__bit_generator_ctor": _generator_name,
    "pandas._libs.internals._unpickle_block": _block,
    "pandas.core.indexes.base._new_Index": _index,
}
