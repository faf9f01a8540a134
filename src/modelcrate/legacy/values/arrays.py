"""NumPy objects out of the graph: dtypes, scalars, arrays. Bytes become arrays by ``frombuffer``, nothing is called.

NumPy writes ``_reconstruct`` with a state tuple (protocols 0 to 4, and non-contiguous arrays), ``_frombuffer`` (5),
``scalar`` and ``dtype``; the module was ``numpy.core`` until 1.26 and is ``numpy._core`` since.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.legacy.graph import ByteArray, Call, Dict, Node, OutOfBandBuffer, describe
from modelcrate.legacy.joblib import WRAPPER, InlinePickle
from modelcrate.legacy.names import callee_of, name_of, restored

if TYPE_CHECKING:
    import numpy as np

    from modelcrate.legacy.context import Context

RECONSTRUCT = "numpy.core.multiarray._reconstruct"
FROMBUFFER = "numpy.core.numeric._frombuffer"
SCALAR = "numpy.core.multiarray.scalar"
DTYPE = "numpy.dtype"
CALLEES = frozenset({RECONSTRUCT, FROMBUFFER, SCALAR, DTYPE})
SCALAR_TYPES = {
    f"numpy.{name}": name.rstrip("_")
    for name in (
        "bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
        "float16", "float32", "float64", "complex64", "complex128", "str_", "bytes_", "object_",
        "datetime64", "timedelta64", "void", "longlong", "ulonglong", "intc", "uintc", "longdouble", "clongdouble",
    )
} | {"numpy.bool": "bool"}  # fmt: skip
"""Scalar types that a pickle may name instead of a dtype."""

_CODE = re.compile(
    r"[<>=|]?(?:b1|[iu][1248]|f(?:2|4|8|16)|c(?:8|16|32)|[SUV][0-9]{0,9}|O8?|[mM]8|\?|[bBhHiIlLqQefdgFDG])"
)
_UNITS = frozenset({"Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as", "generic"})
_ORDERS = frozenset({"<", ">", "=", "|"})
_LATIN = frozenset({"latin1", "latin-1"})


def raw_bytes(node: Node, where: str) -> bytes | memoryview:
    """The bytes that a node holds, in any of the spellings of protocols 0 to 5."""
    if isinstance(node, bytes):
        return node
    if isinstance(node, ByteArray):
        return node.data
    if type(node) is str:
        # Python 2 wrote bytes as STRING, which the machine decodes as latin-1.
        try:
            return node.encode("latin-1")
        except UnicodeEncodeError:
            raise FormatError("bytes written as text beyond latin-1", where=where) from None
    if isinstance(node, OutOfBandBuffer):
        raise UnsupportedError("bytes in an out-of-band buffer, which is not in this file", where=where)
    if isinstance(node, Call):
        name, args = callee_of(node), node.args
        if name == "_codecs.encode" and len(args) == 2 and type(args[0]) is str and args[1] in _LATIN:
            return raw_bytes(args[0], where)
        if name in ("builtins.bytes", "builtins.bytearray") and not args:
            return b""
        if name == "builtins.bytearray" and len(args) == 1:
            return raw_bytes(args[0], where)
        if name == "builtins.bytearray" and len(args) == 2 and type(args[0]) is str and args[1] in _LATIN:
            return raw_bytes(args[0], where)
        if name == "builtins.bytes" and len(args) == 1 and isinstance(args[0], (bytes, ByteArray)):
            return raw_bytes(args[0], where)
    raise FormatError(f"expected bytes, found {describe(node)}", where=where)


def is_bytes(node: Node) -> bool:
    """Whether :func:`raw_bytes` is the way to read a call."""
    return callee_of(node) in ("_codecs.encode", "builtins.bytes", "builtins.bytearray")


def dtype_of(node: Node, context: Context, where: str) -> np.dtype[np.generic]:
    """A NumPy dtype: ``dtype(code, align, copy)`` with its state, or a scalar type in its place.

    :raises FormatError: the state does not belong to the code.
    :raises UnsupportedError: subarrays, metadata and unknown codes.
    """
    return context.once("dtype", node, lambda: _dtype(node, context, where, 0))


def _dtype(node: Node, context: Context, where: str, depth: int) -> np.dtype[np.generic]:
    import numpy as np

    name = name_of(node)
    if name in SCALAR_TYPES:
        return np.dtype(SCALAR_TYPES[name or ""])
    if type(node) is str:
        return _plain_code(node, where)
    if not isinstance(node, Call) or callee_of(node) != DTYPE or not 1 <= len(node.args) <= 3 or depth > 8:
        raise FormatError(f"expected a dtype, found {describe(node)}", where=where)
    code = node.args[0]
    if name_of(code) == "numpy.record":
        code = "V"
    if type(code) is not str:
        if name_of(code) in SCALAR_TYPES:
            return _dtype(code, context, where, depth + 1)
        raise UnsupportedError(f"a dtype made from {describe(code)}", where=where)
    if node.appended or node.assigned or node.kwargs is not None or len(node.states) > 1:
        raise FormatError("a dtype with more than one state", where=where)
    base = _plain_code(code, where)
    return _with_state(base, node.states[0], context, where, depth) if node.states else base


def _plain_code(code: str, where: str) -> np.dtype[np.generic]:
    import numpy as np

    if _CODE.fullmatch(code) is None or len(code) > 12:
        raise UnsupportedError(f"a dtype of code {code[:40]!r}", where=where)
    try:
        return np.dtype(code)
    except (TypeError, ValueError, OverflowError):
        raise UnsupportedError(f"a dtype of code {code[:40]!r}", where=where) from None


def _with_state(
    base: np.dtype[np.generic], state: Node, context: Context, where: str, depth: int
) -> np.dtype[np.generic]:
    import numpy as np

    if type(state) is not tuple or len(state) not in (8, 9) or type(state[0]) is not int or state[0] not in (3, 4):
        raise FormatError("a dtype's state that is none", where=where)
    order, subarray, names, fields, width, alignment = state[1:7]
    if type(order) is not str or order not in _ORDERS:
        raise UnsupportedError("a dtype with an unknown byte order", where=where)
    if type(width) is not int or type(alignment) is not int or type(state[7]) is not int:
        raise FormatError("a dtype's state that is none", where=where)
    if subarray is not None:
        return _subarray(subarray, width, context, where, depth)
    if names is not None or fields is not None:
        return _structured(names, fields, width, context, where, depth)
    if base.kind in "mM":
        base = np.dtype(f"{base.str[1:]}[{_unit(state[8:], where)}]")
    elif len(state) == 9 and state[8] is not None and not (isinstance(state[8], Dict) and not state[8].pairs):
        raise UnsupportedError("a dtype with metadata", where=where)
    if base.kind in "SUV" and base.itemsize == 0:
        if not 0 <= width <= 2**31 - 1 or (base.kind == "U" and width % 4):
            raise FormatError("a dtype's width that is none", where=where)
        base = np.dtype(f"{base.kind}{width // 4 if base.kind == 'U' else width}")
    elif width not in (-1, base.itemsize):
        raise FormatError(f"a dtype of {base.itemsize} bytes that declares {width}", where=where)
    if order in "<>" and base.kind in "iufcUmM":
        base = base.newbyteorder("<" if order == "<" else ">")
    return base


def _unit(rest: tuple[Node, ...], where: str) -> str:
    """The unit of a datetime dtype: ``(metadata, (unit, count, 1, 1))``."""
    if len(rest) == 1 and type(rest[0]) is tuple and len(rest[0]) == 2 and type(rest[0][1]) is tuple:
        metadata, unit = rest[0]
        if (isinstance(metadata, Dict) and not metadata.pairs) or metadata is None:
            parts = list(unit)
            if len(parts) in (4, 5) and not isinstance(parts[0], int):
                name = parts[0] if type(parts[0]) is str else bytes(raw_bytes(parts[0], where)).decode("latin-1")
                counts = parts[1:]
                plain = all(type(part) is int for part in counts) and all(part == 1 for part in counts[1:])
                if name in _UNITS and plain and 1 <= int(str(counts[0])) < 2**31:
                    return f"{counts[0]}{name}" if counts[0] != 1 else name
    raise FormatError("a datetime dtype without its unit", where=where)


def _subarray(node: Node, width: int, context: Context, where: str, depth: int) -> np.dtype[np.generic]:
    """A field that is an array itself: ``(dtype, shape)``."""
    import numpy as np

    if type(node) is not tuple or len(node) != 2:
        raise FormatError("a dtype with a subarray that is none", where=where)
    base, shape = _dtype(node[0], context, where, depth + 1), shape_of(node[1], where)
    count = 1
    for size in shape:
        count *= size
    if base.hasobject or count * base.itemsize != width or width >= 2**31:
        raise FormatError("a dtype whose subarray does not fill it", where=where)
    made: np.dtype[np.generic] = np.dtype((base, shape))
    return made


def _structured(
    names: Node, fields: Node, width: int, context: Context, where: str, depth: int
) -> np.dtype[np.generic]:
    import numpy as np

    if type(names) is not tuple or not isinstance(fields, Dict) or len(fields.pairs) > 8192 or len(names) > 4096:
        raise FormatError("a structured dtype whose names and fields disagree", where=where)
    found: dict[str, tuple[np.dtype[np.generic], int]] = {}
    titles: dict[str, str] = {}
    for key, given in fields.pairs:
        value = given
        if type(value) is tuple and len(value) == 3 and type(value[2]) is str:
            titles[value[2]] = key if type(key) is str and key != value[2] else titles.get(value[2], "")
            value = value[:2]
        if type(key) is not str or type(value) is not tuple or len(value) != 2 or type(value[1]) is not int:
            raise FormatError("a structured dtype with a field that is none", where=where)
        if value[1] < 0:
            raise FormatError("a structured dtype with a negative offset", where=where)
        found[key] = (_dtype(value[0], context, where, depth + 1), value[1])
    if not all(type(name) is str and name in found for name in names) or len(found.keys() - titles) != len(names):
        raise FormatError("a structured dtype whose names and fields disagree", where=where)
    order = [str(name) for name in names]
    if any(found[name][0].hasobject for name in order) or not 0 <= width < 2**31:
        raise UnsupportedError("a structured dtype with objects in it", where=where)
    named = {name: title for title, name in titles.items()}
    if not named.keys() <= set(order):
        raise FormatError("a structured dtype whose titles are none", where=where)
    try:
        return np.dtype(
            {
                "titles": [named.get(name) for name in order],
                "names": order,
                "formats": [found[name][0] for name in order],
                "offsets": [found[name][1] for name in order],
                "itemsize": width,
            }
        )
    except (TypeError, ValueError, OverflowError):
        raise FormatError("a structured dtype that does not add up", where=where) from None


def is_array(node: Node) -> bool:
    """Whether a node describes an ndarray."""
    return callee_of(node) in (RECONSTRUCT, FROMBUFFER) or callee_of(restored(node)) == WRAPPER


def array_of(node: Node, context: Context, where: str) -> np.ndarray:
    """The ndarray that a node describes; items of an object array are converted by :func:`.plain.value_of`.

    The same node gives the same array. Arrays of plain dtypes are read-only views of the pickle's bytes.

    :raises FormatError: shape, dtype and bytes do not agree.
    """
    return context.once("array", node, lambda: _array(node, context, where))


def _array(node: Node, context: Context, where: str) -> np.ndarray:
    node = restored(node)
    name = callee_of(node)
    if isinstance(node, Call) and name == WRAPPER:
        from modelcrate.legacy.values.inline import inline_array_of

        inner = node.states[1] if len(node.states) == 2 else None
        if isinstance(inner, InlinePickle) and callee_of(inner.root) == RECONSTRUCT:
            return _array(inner.root, context, where)
        return inline_array_of(node, context, where)
    if isinstance(node, Call) and not (node.appended or node.assigned or node.kwargs is not None):
        if name == FROMBUFFER and len(node.args) == 4 and not node.states:
            data, dtype, shape, order = node.args
            return shaped(raw_bytes(data, where), dtype, shape, order, context, where)
        if name == RECONSTRUCT and len(node.args) == 3 and len(node.states) == 1:
            return _reconstructed(node, context, where)
    raise FormatError(f"expected an array, found {describe(node)}", where=where)


def _reconstructed(node: Call, context: Context, where: str) -> np.ndarray:
    kind, shape, code = node.args
    known = name_of(kind) in ("numpy.ndarray", "numpy.recarray", "numpy.matrix")
    if not known or shape != (0,) or bytes(raw_bytes(code, where)) != b"b":
        raise UnsupportedError(f"an array made as {describe(kind)}", where=where)
    state = node.states[0]
    if type(state) is not tuple or len(state) != 5 or type(state[0]) is not int or type(state[3]) not in (bool, int):
        raise FormatError("an array's state that is none", where=where)
    if state[3] not in (0, 1):
        raise FormatError("an array's state that is none", where=where)
    _, size, dtype, fortran, data = state
    order = "F" if fortran else "C"
    return shaped(data if type(data) is list else raw_bytes(data, where), dtype, size, order, context, where)


def shaped(
    data: bytes | memoryview | list[Node],
    dtype_node: Node,
    shape_node: Node,
    order: Node,
    context: Context,
    where: str,
) -> np.ndarray:
    """An array of a dtype and a shape over bytes, or over a list of objects."""
    import numpy as np

    dtype = dtype_of(dtype_node, context, where)
    shape = shape_of(shape_node, where)
    count = 1
    for size in shape:
        count *= size
    if order not in ("C", "F"):
        raise FormatError("an array in neither C nor Fortran order", where=where)
    if dtype.hasobject:
        if type(data) is not list or len(data) != count:
            raise FormatError("an object array whose items do not fill its shape", where=where)
        return _objects(data, shape, order, context, where)
    if isinstance(data, list):
        raise FormatError("an array with items in place of bytes", where=where)
    if count * dtype.itemsize != len(data):
        raise FormatError(f"an array of {count} items of {dtype.itemsize} bytes over {len(data)} bytes", where=where)
    context.charge_bytes(len(data), where)
    try:
        if dtype.itemsize == 0 or count == 0:
            return np.zeros(shape, dtype=dtype, order="F" if order == "F" else "C")
        return np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if order == "F" else "C")
    except (TypeError, ValueError, OverflowError):
        raise FormatError("an array whose bytes do not fit its dtype", where=where) from None


def _objects(items: list[Node], shape: tuple[int, ...], order: Node, context: Context, where: str) -> np.ndarray:
    import numpy as np

    from modelcrate.legacy.values.plain import value_of

    context.charge_items(len(items), where)
    flat = np.empty(len(items), dtype=object)
    for index, item in enumerate(items):
        flat[index] = value_of(item, context, f"{where}[{index}]")
    return flat.reshape(shape, order="F" if order == "F" else "C")


def shape_of(node: Node, where: str) -> tuple[int, ...]:
    """A shape: up to 32 counts."""
    if type(node) is int:
        node = (node,)
    if type(node) is not tuple or len(node) > 32:
        raise FormatError("an array's shape that is none", where=where)
    sizes: list[int] = []
    for item in node:
        if type(item) is not int or not 0 <= item < 2**48:
            raise FormatError("an array's shape that is none", where=where)
        sizes.append(item)
    return tuple(sizes)


def is_scalar(node: Node) -> bool:
    """Whether a node describes a NumPy scalar."""
    return callee_of(node) == SCALAR


def scalar_of(node: Node, context: Context, where: str) -> np.generic:
    """The NumPy scalar that a node describes.

    :raises FormatError: the bytes do not fill the dtype.
    :raises UnsupportedError: an object scalar.
    """
    import numpy as np

    if not isinstance(node, Call) or callee_of(node) != SCALAR or len(node.args) != 2 or node.states:
        raise FormatError(f"expected a NumPy scalar, found {describe(node)}", where=where)
    dtype = dtype_of(node.args[0], context, where)
    if dtype.hasobject:
        raise UnsupportedError("a NumPy scalar that holds an object", where=where)
    data = raw_bytes(node.args[1], where)
    if len(data) != dtype.itemsize:
        raise FormatError(f"a {dtype.name} scalar of {len(data)} bytes", where=where)
    array = np.zeros(1, dtype=dtype) if dtype.itemsize == 0 else np.frombuffer(data, dtype=dtype)
    scalar: np.generic = array[0]
    return scalar
