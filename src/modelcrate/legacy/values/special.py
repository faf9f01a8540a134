"""NumPy's less common objects out of the graph: masked and record arrays, RandomState, Generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.legacy.graph import Call, Node, describe
from modelcrate.legacy.names import callee_of, name_of
from modelcrate.legacy.values import arrays

if TYPE_CHECKING:
    import numpy as np

    from modelcrate.legacy.context import Context

MASKED = "numpy.ma._mareconstruct"
RANDOM_STATE = "numpy.random._pickle.__randomstate_ctor"
GENERATOR = "numpy.random._pickle.__generator_ctor"
BIT_GENERATOR = "numpy.random._pickle.__bit_generator_ctor"
CALLEES = frozenset({MASKED, RANDOM_STATE, GENERATOR, BIT_GENERATOR})
_KINDS = {
    "MT19937": "MT19937", "PCG64": "PCG64", "PCG64DXSM": "PCG64DXSM", "Philox": "Philox", "SFC64": "SFC64",
    "numpy.random._mt19937.MT19937": "MT19937", "numpy.random._pcg64.PCG64": "PCG64",
    "numpy.random._pcg64.PCG64DXSM": "PCG64DXSM", "numpy.random._philox.Philox": "Philox",
    "numpy.random._sfc64.SFC64": "SFC64",
}  # fmt: skip
_KEY_LENGTH = 624


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MaskedData:
    """A masked array: values, mask of the same shape (True is missing), and the fill value as stored."""

    values: np.ndarray
    mask: np.ndarray
    fill_value: object


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GeneratorData:
    """A random generator: ``RandomState``, ``Generator`` or a bare bit generator, and its state as NumPy names it."""

    kind: str
    bit_generator: str
    state: dict[str, object]


def special_value(node: Call, name: str, context: Context, where: str) -> object:
    """A masked array or a random generator."""
    if name == MASKED:
        return masked_of(node, context, where)
    return generator_of(node, context, where)


def masked_of(node: Call, context: Context, where: str) -> MaskedData:
    """A masked array.

    :raises FormatError: values and mask do not fill the shape.
    """
    import numpy as np

    kind = tuple(name_of(arg) for arg in node.args[:2])
    state = node.states[0] if len(node.states) == 1 else None
    if len(node.args) != 4 or kind != ("numpy.ma.MaskedArray", "numpy.ndarray"):
        raise UnsupportedError("a masked array made in an unknown way", where=where)
    if type(state) is not tuple or len(state) != 7:
        raise FormatError("a masked array's state that is none", where=where)
    _, shape, dtype, fortran, data, mask, fill = state
    parts = data if type(data) is list else arrays.raw_bytes(data, where)
    order = "F" if fortran else "C"
    values = arrays.shaped(parts, dtype, shape, order, context, where)
    if values.dtype.names is not None:
        raise UnsupportedError("a masked array of records", where=where)
    flags = arrays.raw_bytes(mask, where)
    if len(flags) != values.size:
        raise FormatError(f"a mask of {len(flags)} items over {values.size} values", where=where)
    from modelcrate.legacy.values.plain import value_of

    return MaskedData(
        values=values,
        mask=np.frombuffer(flags, dtype="bool").reshape(values.shape, order="F" if fortran else "C"),
        fill_value=None if fill is None else value_of(fill, context, where),
    )


def generator_of(node: Node, context: Context, where: str) -> GeneratorData:
    """A RandomState, Generator or bit generator, its state checked for size and range.

    :raises FormatError: the state is none of the named bit generator.
    :raises UnsupportedError: another bit generator than NumPy's own.
    """
    name = callee_of(node)
    if not isinstance(node, Call) or name not in (RANDOM_STATE, GENERATOR, BIT_GENERATOR):
        raise FormatError(f"expected a random generator, found {describe(node)}", where=where)
    argument = node.args[0] if node.args else "MT19937"
    holds = name != BIT_GENERATOR and callee_of(argument) == BIT_GENERATOR  # and that one holds no other
    inner = generator_of(argument, context, where) if holds else None
    bits = inner.bit_generator if inner is not None else _bit_generator(argument, where)
    states = node.states
    if not states and inner is not None:
        state = inner.state
    elif len(states) == 1:
        state = _state(states[0], bits, context, where)
    else:
        raise FormatError("a random generator without its state", where=where)
    kind = {RANDOM_STATE: "RandomState", GENERATOR: "Generator", BIT_GENERATOR: "BitGenerator"}[name]
    return GeneratorData(kind=kind, bit_generator=bits, state=state)


def _bit_generator(node: Node, where: str) -> str:
    name = node if type(node) is str else name_of(node)
    if name not in _KINDS:
        raise UnsupportedError(f"the bit generator {describe(node)}", where=where)
    return _KINDS[name]


def _state(node: Node, bits: str, context: Context, where: str) -> dict[str, object]:
    import numpy as np

    from modelcrate.legacy.values.plain import value_of

    if type(node) is tuple and len(node) == 2:
        node = node[0]  # the other half is the seed sequence, which drawing does not need
    state = value_of(node, context, where)
    if not isinstance(state, dict) or state.get("bit_generator") != bits:
        raise FormatError("a random generator's state that is none", where=where)
    inner = state.get("state")
    if bits == "MT19937" and isinstance(inner, dict):
        key, position = inner.get("key"), inner.get("pos")
        whole = isinstance(key, np.ndarray) and key.dtype == np.uint32 and key.shape == (_KEY_LENGTH,)
        if not whole or type(position) is not int or not 0 <= position <= _KEY_LENGTH:
            raise FormatError("a Mersenne twister whose key or position is none", where=where)
    return state
