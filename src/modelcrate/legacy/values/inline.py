"""Arrays of joblib files, whose bytes lie between the opcodes of the pickle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.legacy.graph import Call
from modelcrate.legacy.joblib import WRAPPER, Inline, attributes
from modelcrate.legacy.names import name_of
from modelcrate.legacy.values.arrays import dtype_of, shape_of

if TYPE_CHECKING:
    import numpy as np

    from modelcrate.legacy.context import Context

__all__ = ["WRAPPER", "inline_array_of"]


def inline_array_of(node: Call, context: Context, where: str) -> np.ndarray:
    """The array of a ``NumpyArrayWrapper``, as an array of its own.

    :raises UnsupportedError: an array of objects, or of a subclass.
    :raises FormatError: shape, dtype and bytes do not agree.
    """
    import numpy as np

    if len(node.states) != 2 or not isinstance(node.states[1], Inline):
        raise UnsupportedError("an array of objects in a joblib file", where=where)
    parts = attributes(node, where)
    if name_of(parts.get("subclass")) not in ("numpy.ndarray", "numpy.memmap", "numpy.matrix", "numpy.recarray"):
        raise UnsupportedError("an array of another class than NumPy's own", where=where)
    dtype, shape = dtype_of(parts.get("dtype"), context, where), shape_of(parts.get("shape"), where)
    order = parts.get("order")
    data = node.states[1].data
    count = 1
    for size in shape:
        count *= size
    if order not in ("C", "F") or dtype.hasobject or count * dtype.itemsize != len(data):
        raise FormatError("an array wrapper that does not fit its bytes", where=where)
    context.charge_bytes(len(data), where)
    if not data:
        return np.zeros(shape, dtype=dtype)
    return np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if order == "F" else "C").copy("K")
