"""Arrow columns out of the graph, as pandas 2 and 3 pickle them: validity bits, and numbers or offsets and text.

Strings are the default of pandas 3; columns of an ``ArrowDtype`` hold numbers, moments, decimals, bytes and more.
Nested types (lists, structs, dictionaries) are not read.
"""

from __future__ import annotations

import decimal
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.legacy.graph import Call, Node, describe
from modelcrate.legacy.names import callee_of
from modelcrate.legacy.values import arrays

if TYPE_CHECKING:
    import numpy as np

    from modelcrate.legacy.context import Context
    from modelcrate.legacy.values.extension import ExtensionData

_NUMBERS = {
    **{f"{sign}int{bits}": f"<{kind}{bits // 8}" for sign, kind in (("", "i"), ("u", "u")) for bits in (8, 16, 32, 64)},
    "halffloat": "<f2", "float": "<f4", "double": "<f8",
    "date32[day]": "<i4", "date64[ms]": "<i8", "time32[s]": "<i4", "time32[ms]": "<i4",
}  # fmt: skip
_TEXTS = {"string": "<i4", "large_string": "<i8", "binary": "<i4", "large_binary": "<i8"}
_MOMENT = re.compile(r"(time64|duration)\[(s|ms|us|ns)\]")
_UNITS = ("s", "ms", "us", "ns")


@dataclass(frozen=True, slots=True)
class _Chunk:
    """One array: its rows, its first row within the buffers, and the buffers (empty where there is none)."""

    length: int
    offset: int
    buffers: list[bytes | memoryview]

    def present(self, where: str) -> list[bool]:
        """Whether each row has a value."""
        bits = self.buffers[0] if self.buffers else b""
        if not bits:
            return [True] * self.length
        if len(bits) * 8 < self.offset + self.length:
            raise FormatError("an Arrow array with fewer validity bits than rows", where=where)
        return [bool(bits[row >> 3] >> (row & 7) & 1) for row in range(self.offset, self.offset + self.length)]


def string_column(node: Node, context: Context, where: str) -> np.ndarray:
    """An object array of texts, NaN where missing.

    :raises UnsupportedError: another Arrow type than a string.
    :raises FormatError: offsets outside of the data, text that is not UTF-8.
    """
    import numpy as np

    kind, chunks = _column(node, context, where)
    if kind not in ("string", "large_string"):
        raise UnsupportedError(f"an Arrow column of type {kind}", where=where)
    texts = [float("nan") if text is None else text for chunk in chunks for text in _texts(chunk, kind, context, where)]
    column = np.empty(len(texts), dtype=object)
    column[:] = texts
    return column


def typed_column(node: Node, context: Context, where: str) -> ExtensionData:
    """A column of an ``ArrowDtype``: numbers, booleans, moments and durations as NumPy keeps them, all else as objects.

    :raises UnsupportedError: a nested type.
    :raises FormatError: buffers that are shorter than the rows.
    """
    import numpy as np

    from modelcrate.legacy.values.extension import ExtensionData

    kind, chunks = _column(node, context, where)
    parts = [_values(kind, chunk, context, where) for chunk in chunks] or [np.empty(0, dtype=object)]
    present = [flag for chunk in chunks for flag in chunk.present(where)]
    mask = np.array([kind == "null" or not flag for flag in present], dtype=bool)
    return ExtensionData(dtype=f"{kind}[pyarrow]", values=np.concatenate(parts), mask=mask)


def _column(node: Node, context: Context, where: str) -> tuple[str, list[_Chunk]]:
    """The type of a column by Arrow's name, and its chunks."""
    nodes: list[Node] = [node]
    declared: Node = None
    if isinstance(node, Call) and callee_of(node) == "pyarrow.lib.chunked_array" and node.args:
        if type(node.args[0]) is not list:
            raise FormatError("an Arrow column without its chunks", where=where)
        nodes, declared = list(node.args[0]), node.args[1] if len(node.args) == 2 else None
    made = [_chunk(part, context, where) for part in nodes]
    kinds = {kind for kind, _ in made} or {_type_name(declared, where)}
    if len(kinds) != 1:
        raise FormatError("an Arrow column of several types", where=where)
    return kinds.pop(), [chunk for _, chunk in made]


def _chunk(node: Node, context: Context, where: str) -> tuple[str, _Chunk]:
    if not isinstance(node, Call) or callee_of(node) != "pyarrow.lib._restore_array" or len(node.args) != 1:
        raise FormatError(f"expected an Arrow array, found {describe(node)}", where=where)
    parts = node.args[0]
    if type(parts) is not tuple or len(parts) != 7 or type(parts[4]) is not list or len(parts[4]) > 3:
        raise FormatError("an Arrow array whose parts are none", where=where)
    length, offset = parts[1], parts[3]
    if type(length) is not int or type(offset) is not int or not 0 <= length < 2**40 or not 0 <= offset < 2**40:
        raise FormatError("an Arrow array whose length is none", where=where)
    kind = _type_name(parts[0], where)
    if parts[5] != [] or parts[6] is not None:
        raise UnsupportedError(f"an Arrow column of type {kind}", where=where)
    context.charge_items(length, where)
    return kind, _Chunk(length, offset, [_buffer(part, where) for part in parts[4]])


def _type_name(node: Node, where: str) -> str:
    name, args = callee_of(node), node.args if isinstance(node, Call) else ()
    if name == "pyarrow.lib.type_for_alias" and len(args) == 1 and type(args[0]) is str and len(args[0]) < 40:
        return args[0]
    if name == "pyarrow.lib.timestamp" and 1 <= len(args) <= 2 and args[0] in _UNITS:
        zone = args[1] if len(args) == 2 else None
        if zone is None:
            return f"timestamp[{args[0]}]"
        if type(zone) is str and len(zone) <= 80 and zone.isprintable():
            return f"timestamp[{args[0]}, tz={zone}]"
    if name == "pyarrow.lib.decimal128" and len(args) == 2 and all(type(arg) is int for arg in args):
        return f"decimal128({args[0]}, {args[1]})"
    raise UnsupportedError(f"an Arrow column of type {describe(node)}", where=where)


def _values(kind: str, chunk: _Chunk, context: Context, where: str) -> np.ndarray:
    import numpy as np

    if kind in _TEXTS:
        found = _texts(chunk, kind, context, where)
        column = np.empty(len(found), dtype=object)
        column[:] = found
        return column
    if kind == "null":
        return np.full(chunk.length, None, dtype=object)
    if kind == "bool":
        bits = _taken(chunk, 0, where)
        if len(bits) * 8 < chunk.offset + chunk.length:
            raise FormatError("an Arrow array with fewer bits than rows", where=where)
        flags = np.unpackbits(np.frombuffer(bits, dtype="u1"), bitorder="little").astype(bool)
        return flags[chunk.offset : chunk.offset + chunk.length]
    if kind.startswith("decimal128("):
        return _decimals(chunk, int(kind[11:-1].partition(",")[2]), where)
    moment, view = _MOMENT.fullmatch(kind), None
    if kind.startswith("timestamp["):
        view = f"datetime64[{kind[10:-1].partition(',')[0]}]"
    elif moment is not None:
        view = f"timedelta64[{moment.group(2)}]"
    elif kind not in _NUMBERS:
        raise UnsupportedError(f"an Arrow column of type {kind}", where=where)
    plain = np.dtype(_NUMBERS.get(kind, "<i8"))
    context.charge_bytes(chunk.length * 8, where)
    numbers = np.frombuffer(_taken(chunk, plain.itemsize, where), dtype=plain, count=chunk.offset + chunk.length)
    numbers = numbers[chunk.offset :]
    if view is None and kind.startswith(("date", "time")):
        unit = kind.partition("[")[2][:-1].replace("day", "D")
        view, numbers = f"{'datetime64' if kind.startswith('date') else 'timedelta64'}[{unit}]", numbers.astype("<i8")
    return numbers if view is None else numbers.view(view)


def _taken(chunk: _Chunk, width: int, where: str) -> bytes | memoryview:
    """The buffer of the values, long enough for so many bytes a row."""
    if len(chunk.buffers) < 2 or len(chunk.buffers[1]) < (chunk.offset + chunk.length) * width:
        raise FormatError("an Arrow array with fewer values than rows", where=where)
    return chunk.buffers[1]


def _decimals(chunk: _Chunk, scale: int, where: str) -> np.ndarray:
    import numpy as np

    if not -100 <= scale <= 100:
        raise FormatError("an Arrow decimal whose scale is none", where=where)
    data = _taken(chunk, 16, where)
    column = np.empty(chunk.length, dtype=object)
    for row, present in enumerate(chunk.present(where)):
        place = 16 * (chunk.offset + row)
        number = int.from_bytes(data[place : place + 16], "little", signed=True)
        digits = tuple(int(digit) for digit in str(abs(number)))
        column[row] = decimal.Decimal((int(number < 0), digits, -scale)) if present else None
    return column


def _texts(chunk: _Chunk, kind: str, context: Context, where: str) -> list[object]:
    """Texts or byte strings, None where missing."""
    import numpy as np

    width, stop = _TEXTS[kind], chunk.offset + chunk.length
    if len(chunk.buffers) != 3:
        raise FormatError("an Arrow array of texts without its buffers", where=where)
    starts, content = chunk.buffers[1:]
    if chunk.length and len(starts) < (stop + 1) * np.dtype(width).itemsize:
        raise FormatError("an Arrow array with fewer offsets than texts", where=where)
    context.charge_bytes(len(content), where)
    places = np.frombuffer(starts, dtype=width, count=stop + 1 if chunk.length else 0)[chunk.offset :].tolist()
    data = bytes(content)
    found: list[object] = []
    for row, present in enumerate(chunk.present(where)):
        if not present:
            found.append(None)
            continue
        begin, end = places[row], places[row + 1]
        if not 0 <= begin <= end <= len(data):
            raise FormatError("an Arrow array with offsets outside of its text", where=where)
        try:
            found.append(data[begin:end] if "binary" in kind else data[begin:end].decode())
        except UnicodeDecodeError:
            raise FormatError("an Arrow array with text that is not UTF-8", where=where) from None
    return found


def _buffer(node: Node, where: str) -> bytes | memoryview:
    if node is None:
        return b""
    if isinstance(node, Call) and callee_of(node) == "pyarrow.lib.py_buffer" and len(node.args) == 1:
        return arrays.raw_bytes(node.args[0], where)
    raise FormatError(f"expected an Arrow buffer, found {describe(node)}", where=where)
