"""Allowed constructors given something that makes them do more than hold data: code, files, memory, time."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from modelcrate.legacy.extents import extent_check
from modelcrate.legacy.graph import ByteArray, Call, Dict, Extension, Global, Node, PersistentId
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
    elif name.startswith(_RESTORED) or name in _RESTORED_CLASSES or _STORAGE.fullmatch(name):
        found.append(_restored)
    extent = extent_check(name)
    if extent is not None:
        found.append(extent)
    return tuple(found)


_STORAGE = re.compile(r"torch\.(?:storage\.)?_?[A-Z][A-Za-z0-9]*Storage")
_RESTORED = ("torch.nn.modules.", "torch.nn.parallel.", "torch.optim.")
_RESTORED_CLASSES = frozenset({
    "pandas.core.frame.DataFrame", "pandas.core.series.Series", "pandas.core.indexes.base.Index",
    "pandas.core.indexes.range.RangeIndex", "pandas.core.indexes.multi.MultiIndex",
    "pandas.core.indexes.numeric.Int64Index", "pandas.core.indexes.numeric.UInt64Index",
    "pandas.core.indexes.numeric.Float64Index", "pandas.core.indexes.numeric.NumericIndex",
    "pandas.core.indexes.category.CategoricalIndex", "pandas.core.indexes.datetimes.DatetimeIndex",
    "pandas.core.indexes.timedeltas.TimedeltaIndex", "pandas.core.indexes.period.PeriodIndex",
    "pandas.core.indexes.interval.IntervalIndex", "pandas.core.arrays.categorical.Categorical",
    "pandas.core.arrays.sparse.array.SparseArray",
})  # fmt: skip
"""Classes that a pickle restores by their state. Called with arguments they would compute and allocate instead."""


def _restored(call: Call) -> Complaint:
    if call.args or (call.kwargs is not None and call.kwargs.pairs):
        return (UNKNOWN, "makes a new object from arguments where a pickle restores one from its state")
    return None


def _state_keys(call: Call) -> Complaint:
    """A class whose items are its attributes: a ``__setstate__`` among them would be called."""
    if call.states:
        return (UNKNOWN, "a mapping with attributes of its own")
    for key, _ in call.assigned:
        if type(key) is not str or key.startswith("__"):
            return (UNKNOWN, "a mapping with items that stand in for methods")
    for argument in call.args:
        if not isinstance(argument, Global):
            return (UNKNOWN, "a mapping that is made from something else than its items")
    return None


def _null(call: Call) -> Complaint:
    """``type(None)``, as Python pickles the class of a singleton."""
    argument = call.args[0] if len(call.args) == 1 else False
    if argument is None or name_of(argument) in ("builtins.Ellipsis", "builtins.NotImplemented"):
        return None
    return (UNKNOWN, "calls a function where data would only refer to it")


_TENSOR_MAKERS = frozenset(f"torch._utils._rebuild_{kind}" for kind in (
    "tensor", "tensor_v2", "tensor_v3", "parameter", "parameter_with_state", "qtensor", "sparse_tensor",
    "meta_tensor_no_storage",
))  # fmt: skip
_TENSOR_CLASSES = frozenset({"torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer"})


def _typed_tensor(call: Call) -> Complaint:
    """``_rebuild_from_type_v2(maker, class, arguments, attributes)``: a tensor with attributes of its own."""
    if len(call.args) != 4 or name_of(call.args[0]) not in _TENSOR_MAKERS:
        return (UNKNOWN, "makes a tensor in an unknown way")
    if name_of(call.args[1]) not in _TENSOR_CLASSES or type(call.args[2]) is not tuple:
        return (UNKNOWN, "makes a tensor of another class than PyTorch's own")
    state = call.args[3]
    for part in state if type(state) is tuple and len(state) == 2 else (state,):
        if part is None:
            continue
        if not isinstance(part, Dict):
            return (UNKNOWN, "a tensor whose attributes are none")
        for key, _ in part.pairs:
            if type(key) is not str or key.startswith("__"):
                return (DANGEROUS, "sets a special attribute of a tensor")
    inner = Call(call.args[0], call.args[2], None, offset=call.offset, opcode=call.opcode)
    return next((found for check in checks_of(name_of(call.args[0]) or "") if (found := check(inner))), None)


def _sparse_tensor(call: Call) -> Complaint:
    # The indices are read where the storages are, in :mod:`.sparse`; here there is only the shape of the call.
    layout, data = call.args if len(call.args) == 2 else (None, None)
    kind = layout.args[0] if isinstance(layout, Call) and len(layout.args) == 1 else None
    if name_of(layout.callee if isinstance(layout, Call) else None) != "torch.serialization._get_layout":
        return (UNKNOWN, "a sparse tensor without its layout")
    parts = {"torch.sparse_coo": (3, 4)}
    compressed = kind in ("torch.sparse_csr", "torch.sparse_csc", "torch.sparse_bsr", "torch.sparse_bsc")
    lengths = parts.get(str(kind), (4,) if compressed else ())
    if type(data) is not tuple or len(data) not in lengths:
        return (UNKNOWN, "a sparse tensor whose parts are none")
    for part in data[: 2 if kind == "torch.sparse_coo" else 3]:
        if not isinstance(part, Call) or not part.args or not isinstance(part.args[0], PersistentId):
            return (UNKNOWN, "a sparse tensor whose indices can't be checked")
    return None


def _quantised_tensor(call: Call) -> Complaint:
    """``_rebuild_qtensor(storage, offset, size, stride, (scheme, ...), requires_grad, hooks)``."""
    args = call.args
    if len(args) != 7 or not isinstance(args[0], PersistentId) or type(args[4]) is not tuple or not args[4]:
        return (UNKNOWN, "a quantised tensor whose parts are none")
    scheme, parts = name_of(args[4][0]), args[4][1:]
    if scheme == "torch.per_tensor_affine":
        made = len(parts) == 2 and type(parts[0]) is float and type(parts[1]) is int
    else:
        axis = parts[2] if len(parts) == 3 else None
        size = args[2]
        made = (
            type(axis) is int
            and type(size) is tuple
            and 0 <= axis < len(size)
            and all(
                isinstance(part, Call) and len(part.args) > 2 and part.args[2] == (size[axis],) for part in parts[:2]
            )
        )
        made = made and scheme in ("torch.per_channel_affine", "torch.per_channel_affine_float_qparams")
    return None if made else (UNKNOWN, "a quantised tensor whose scales are none")


def _meta_tensor(call: Call) -> Complaint:
    """``_rebuild_meta_tensor_no_storage(dtype, size, stride, requires_grad)``."""
    made = len(call.args) == 4 and isinstance(call.args[0], Global) and type(call.args[3]) is bool
    return None if made else (UNKNOWN, "a tensor without storage whose parts are none")


def _layout_name(call: Call) -> Complaint:
    if len(call.args) == 1 and type(call.args[0]) is str and call.args[0].startswith("torch."):
        return None
    return ("broken", "a layout without a name")


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
    pending = list(call.args)
    for _ in range(_SHAPE_ITEMS):  # a list may hold itself
        if not pending or total > _ALLOCATION:
            break
        argument = pending.pop()
        if isinstance(argument, (tuple, list)) and len(argument) <= 64:
            pending.extend(argument)
        elif type(argument) is int:
            total *= max(1, abs(argument))
    return ("broken", "allocates an array out of nothing") if pending or total > _ALLOCATION else None


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
    "array.array": _literal,
    "pandas.core.indexes.frozen.FrozenList": _literal,
    "collections.UserDict": _literal,
    "collections.UserList": _literal,
    "collections.UserString": _literal,
    "torch.Size": _literal,
    "builtins.type": _null,
    **{
        f"{module}.AttributeDict": _state_keys
        for module in (
            "pytorch_lightning.utilities.parsing",
            "lightning.pytorch.utilities.parsing",
            "lightning.fabric.utilities.data",
            "lightning_fabric.utilities.data",
        )
    },
    "numpy.random.bit_generator.SeedSequence": _pool,
    "numpy.random.bit_generator.__pyx_unpickle_SeedSequence": _pool,
    "copyreg._reconstructor": _reconstructor,
    "torch.storage._load_from_bytes": _tensor_stream,
    "torch.serialization._get_layout": _layout_name,
    "torch._tensor._rebuild_from_type_v2": _typed_tensor,
    "torch._utils._rebuild_sparse_tensor": _sparse_tensor,
    "torch._utils._rebuild_qtensor": _quantised_tensor,
    "torch._utils._rebuild_meta_tensor_no_storage": _meta_tensor,
}
