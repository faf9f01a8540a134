"""Arrow string columns out of the graph, as pandas 3 pickles them: validity bits, offsets and UTF-8 in buffers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.legacy.graph import Call, Node, describe
from modelcrate.legacy.names import callee_of
from modelcrate.legacy.values import arrays

if TYPE_CHECKING:
    import numpy as np

    from modelcrate.legacy.context import Context


def string_column(node: Node, context: Context, where: str) -> np.ndarray:
    """An object array of texts, NaN where missing.

    :raises UnsupportedError: another Arrow type than a string.
    :raises FormatError: offsets outside of the data, text that is not UTF-8.
    """
    import numpy as np

    chunks = [node]
    if callee_of(node) == "pyarrow.lib.chunked_array" and isinstance(node, Call) and node.args:
        if type(node.args[0]) is not list:
            raise FormatError("an Arrow column without its chunks", where=where)
        chunks = node.args[0]
    texts: list[object] = []
    for chunk in chunks:
        texts.extend(_chunk(chunk, context, where))
    column = np.empty(len(texts), dtype=object)
    column[:] = texts
    return column


def _chunk(node: Node, context: Context, where: str) -> list[object]:
    import numpy as np

    if not isinstance(node, Call) or callee_of(node) != "pyarrow.lib._restore_array" or len(node.args) != 1:
        raise FormatError(f"expected an Arrow array, found {describe(node)}", where=where)
    parts = node.args[0]
    if type(parts) is not tuple or len(parts) != 7 or type(parts[4]) is not list or len(parts[4]) != 3:
        raise FormatError("an Arrow array whose parts are none", where=where)
    alias = parts[0].args[0] if isinstance(parts[0], Call) and len(parts[0].args) == 1 else None
    if alias not in ("large_string", "string") or callee_of(parts[0]) != "pyarrow.lib.type_for_alias":
        raise UnsupportedError(f"an Arrow column of type {describe(parts[0])}", where=where)
    length, offset = parts[1], parts[3]
    if type(length) is not int or type(offset) is not int or min(length, offset) < 0:
        raise FormatError("an Arrow array whose length is none", where=where)
    validity, starts, content = (_buffer(part, where) for part in parts[4])
    width = "<i8" if alias == "large_string" else "<i4"
    stop = offset + length
    if length and len(starts) < (stop + 1) * np.dtype(width).itemsize:
        raise FormatError("an Arrow array with fewer offsets than texts", where=where)
    context.charge_items(length, where)
    context.charge_bytes(len(content), where)
    places = np.frombuffer(starts, dtype=width, count=stop + 1 if length else 0)[offset:].tolist()
    if validity and len(validity) * 8 < stop:
        raise FormatError("an Arrow array with fewer validity bits than texts", where=where)
    data = bytes(content)
    found: list[object] = []
    for row in range(length):
        bit = offset + row
        if validity and not validity[bit >> 3] >> (bit & 7) & 1:
            found.append(float("nan"))
            continue
        begin, end = places[row], places[row + 1]
        if not 0 <= begin <= end <= len(data):
            raise FormatError("an Arrow array with offsets outside of its text", where=where)
        try:
            found.append(data[begin:end].decode())
        except UnicodeDecodeError:
            raise FormatError("an Arrow array with text that is not UTF-8", where=where) from None
    return found


def _buffer(node: Node, where: str) -> bytes | memoryview:
    if node is None:
        return b""
    if isinstance(node, Call) and callee_of(node) == "pyarrow.lib.py_buffer" and len(node.args) == 1:
        return arrays.raw_bytes(node.args[0], where)
    raise FormatError(f"expected an Arrow buffer, found {describe(node)}", where=where)
