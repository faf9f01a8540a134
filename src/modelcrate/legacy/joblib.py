"""joblib files: a pickle whose arrays lie between its opcodes, each right behind the object that describes it.

After BUILD of a ``NumpyArrayWrapper`` come padding and the array's bytes, or, for an array of objects, a whole pickle.
The machine calls :func:`skip_array` there, which takes the block out of the stream and adds it to the wrapper as one
more state, so that converters find it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.legacy.graph import Call, Dict, Node, describe
from modelcrate.legacy.names import callee_of, restored

WRAPPER = "joblib.numpy_pickle.NumpyArrayWrapper"
_CODE = re.compile(r"[<>=|]?([biufcmMSUVO])([0-9]{0,9})")


class Inline:
    """Bytes that lie in the stream outside of any opcode."""

    __slots__ = ("data", "offset")

    def __init__(self, data: bytes, *, offset: int) -> None:
        self.data = data
        self.offset = offset


class InlinePickle:
    """A pickle in the middle of another one; ``root`` is its graph."""

    __slots__ = ("offset", "root")

    def __init__(self, root: Node, *, offset: int) -> None:
        self.root = root
        self.offset = offset


def inline_array(
    call: Call,
    begin: Callable[[], None],
    take: Callable[[int], bytes],
    nested: Callable[[], Node],
    position: Callable[[], int],
    where: str,
) -> None:
    """Take an array's bytes out of the stream behind the BUILD of its wrapper.

    :raises FormatError: a wrapper without a shape or a dtype.
    """
    if callee_of(restored(call)) != WRAPPER or len(call.states) != 1:
        return
    parts = attributes(call, where)
    shape, kind, width = parts.get("shape"), *item(parts.get("dtype"), where)
    if type(shape) is not tuple or len(shape) > 32 or not all(type(size) is int and size >= 0 for size in shape):
        raise FormatError("an array wrapper without a shape", where=where)
    count = 1
    for size in shape:
        count *= int(str(size))
    begin()
    if kind == "O":
        offset = position()
        call.build(InlinePickle(nested(), offset=offset))
        return
    if type(parts.get("numpy_array_alignment_bytes")) is int:
        take(take(1)[0])
    offset = position()
    call.build(Inline(take(count * width), offset=offset))


def attributes(call: Call, where: str) -> dict[str, Node]:
    """The wrapper's attributes."""
    state = call.states[0]
    if not isinstance(state, Dict) or not all(type(key) is str for key, _ in state.pairs):
        raise FormatError(f"an array wrapper whose state is {describe(state)}", where=where)
    return {str(key): value for key, value in state.pairs}


def item(node: Node, where: str) -> tuple[str, int]:
    """Kind and width in bytes of a dtype, without NumPy."""
    if not isinstance(node, Call) or callee_of(node) != "numpy.dtype" or not node.args or type(node.args[0]) is not str:
        raise FormatError("an array wrapper without a dtype", where=where)
    match = _CODE.fullmatch(node.args[0])
    if match is None:
        raise UnsupportedError(f"an array of dtype {node.args[0][:40]!r}", where=where)
    kind, width = match.group(1), int(match.group(2) or 0)
    if kind == "U":
        width *= 4
    state = node.states[0] if node.states else None
    if width == 0 and type(state) is tuple and len(state) > 5 and type(state[5]) is int:
        width = max(0, state[5])
    if kind == "b":
        width = 1
    return kind, width
