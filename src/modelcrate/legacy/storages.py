"""PyTorch storages and tensors out of the graph, as bytes with exact geometry; torch is not needed.

Locations (``cuda:0``) are ignored: where a tensor lived is no property of its values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelcrate.errors import FormatError, IntegrityError, LimitError, UnsupportedError
from modelcrate.legacy.context import Context
from modelcrate.legacy.graph import Call, Dict, Node, PersistentId, describe
from modelcrate.legacy.names import callee_of, name_of

if TYPE_CHECKING:
    from modelcrate.format.tensors import TensorData

STORAGE_DTYPES: dict[str, str | None] = {
    "torch.FloatStorage": "F32",
    "torch.DoubleStorage": "F64",
    "torch.HalfStorage": "F16",
    "torch.BFloat16Storage": "BF16",
    "torch.LongStorage": "I64",
    "torch.IntStorage": "I32",
    "torch.ShortStorage": "I16",
    "torch.CharStorage": "I8",
    "torch.ByteStorage": "U8",
    "torch.BoolStorage": "BOOL",
    "torch.ComplexFloatStorage": "C64",
    "torch.ComplexDoubleStorage": "C128",
    "torch.storage.UntypedStorage": None,
    "torch.storage._UntypedStorage": None,
    "torch.UntypedStorage": None,
}
"""Storage class to dtype; an untyped storage counts bytes."""

TORCH_DTYPES = {
    "torch.float32": "F32", "torch.float": "F32", "torch.float64": "F64", "torch.double": "F64",
    "torch.float16": "F16", "torch.half": "F16", "torch.bfloat16": "BF16", "torch.int64": "I64", "torch.long": "I64",
    "torch.int32": "I32", "torch.int": "I32", "torch.int16": "I16", "torch.short": "I16", "torch.int8": "I8",
    "torch.uint8": "U8", "torch.uint16": "U16", "torch.uint32": "U32", "torch.uint64": "U64", "torch.bool": "BOOL",
    "torch.complex64": "C64", "torch.complex128": "C128", "torch.float8_e4m3fn": "F8_E4M3",
    "torch.float8_e5m2": "F8_E5M2", "torch.float8_e4m3fnuz": "F8_E4M3FNUZ", "torch.float8_e5m2fnuz": "F8_E5M2FNUZ",
    "torch.float8_e8m0fnu": "F8_E8M0",
}  # fmt: skip
"""A pickled ``torch.dtype`` to the name that safetensors gives it."""

ITEM_SIZES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E4M3FNUZ": 1, "F8_E5M2FNUZ": 1, "F8_E8M0": 1,
    "U16": 2, "I16": 2, "F16": 2, "BF16": 2, "U32": 4, "I32": 4, "F32": 4,
    "U64": 8, "I64": 8, "F64": 8, "C64": 8, "C128": 16,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Storage:
    """The bytes behind one or more tensors, little-endian. ``dtype`` is None for an untyped storage."""

    key: str
    dtype: str | None
    data: bytes | memoryview

    def swapped(self, where: str) -> Storage:
        """The same storage out of a big-endian file, copied.

        :raises UnsupportedError: an untyped one, whose items' width nobody wrote down.
        """
        if self.dtype is None:
            raise UnsupportedError(f"storage {self.key} is big-endian, and of no type", where=where)
        import numpy as np

        width = ITEM_SIZES[self.dtype] // (2 if self.dtype in ("C64", "C128") else 1)
        words = np.frombuffer(self.data, dtype=f">u{width}").astype(f"<u{width}")
        return Storage(key=self.key, dtype=self.dtype, data=words.tobytes())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tensor:
    """A strided view of a storage; ``shape``, ``stride`` and ``offset`` count elements and were checked to fit."""

    storage: Storage
    dtype: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    requires_grad: bool
    parameter: bool = False

    @property
    def count(self) -> int:
        """Number of elements."""
        return _product(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the values, each counted once."""
        return self.count * ITEM_SIZES[self.dtype]

    @property
    def is_contiguous(self) -> bool:
        """Whether the values lie in C order without gaps."""
        expected = 1
        for size, step in zip(reversed(self.shape), reversed(self.stride), strict=True):
            if size != 1 and step != expected:
                return False
            expected *= size
        return True

    def values(self, context: Context, where: str) -> bytes | memoryview:
        """The values in C order, little-endian: a view of the storage where they lie so already.

        :raises LimitError: all values of the file together would be many times its size.
        """
        width = ITEM_SIZES[self.dtype]
        if self.count == 0:
            return b""
        context.charge_bytes(self.nbytes, where)
        if self.is_contiguous:
            return memoryview(self.storage.data)[self.offset * width : (self.offset + self.count) * width]
        import numpy as np

        words = np.frombuffer(self.storage.data, dtype=f"V{width}", count=len(self.storage.data) // width)
        strides = tuple(step * width for step in self.stride)
        view = np.lib.stride_tricks.as_strided(words[self.offset :], self.shape, strides, writeable=False)
        return view.tobytes()

    def data(self, context: Context, where: str) -> TensorData:
        """The tensor as :class:`~modelcrate.format.tensors.TensorData`, C order."""
        from modelcrate.format.tensors import TensorData

        return TensorData(dtype=self.dtype, shape=self.shape, data=self.values(context, where))


def _product(sizes: Sequence[int]) -> int:
    product = 1
    for size in sizes:
        product *= size
    return product


def storage_from_id(value: Node, where: str, data_of: Callable[[str, int], bytes | memoryview]) -> Storage:
    """A storage out of the tuple that ``torch.save`` puts into a persistent id.

    ``data_of(key, nbytes)`` gives the bytes. The shapes of the tuple are those of PyTorch 0.4 to today:
    ``("storage", class, key, location, elements[, view])``.

    :raises FormatError: another shape, another type, a negative or absurd count.
    :raises UnsupportedError: a storage class without a plain dtype (quantised), or a view of another storage.
    """
    if type(value) is not tuple or len(value) not in (5, 6) or value[0] != "storage":
        raise FormatError("a persistent id that is no storage", where=where)
    name, key, location, count = name_of(value[1]), value[2], value[3], value[4]
    if type(key) is not str or not _is_key(key):
        raise FormatError("a storage key that is no plain key", where=where)
    if type(location) is not str or type(count) is not int or not 0 <= count < 2**61:
        raise FormatError(f"storage {key}: a location or an element count that is none", where=where)
    if len(value) == 6 and value[5] is not None:
        raise UnsupportedError(f"storage {key} is a view of another storage", where=where)
    if name not in STORAGE_DTYPES:
        raise UnsupportedError(f"storage {key} has type {describe(value[1])}", where=where)
    dtype = STORAGE_DTYPES[name]
    nbytes = count * (1 if dtype is None else ITEM_SIZES[dtype])
    data = data_of(key, nbytes)
    if len(data) != nbytes:
        raise IntegrityError(f"storage {key} holds {len(data)} bytes where {nbytes} are declared", where=where)
    return Storage(key=key, dtype=dtype, data=data)


def _is_key(key: str) -> bool:
    return 0 < len(key) <= 64 and key.isascii() and key.isalnum()


def tensor_of(node: Node, context: Context, where: str) -> Tensor:
    """The tensor that a node describes; the same node gives the same object.

    :raises FormatError: no tensor, or a geometry that does not fit its storage.
    :raises UnsupportedError: sparse, quantised, nested, meta and subclassed tensors, hooks, unknown dtypes.
    """
    return context.once("tensor", node, lambda: _tensor(node, context, where))


def _tensor(node: Node, context: Context, where: str) -> Tensor:
    name = callee_of(node)
    if not isinstance(node, Call) or name is None or not name.startswith("torch."):
        raise FormatError(f"expected a tensor, found {describe(node)}", where=where)
    _no_additions(node, where)
    args = node.args
    if name == "torch._utils._rebuild_parameter" and len(args) == 3:
        _no_hooks(args[2], where)
        inner = tensor_of(args[0], context, where)
        return _as_parameter(inner, _flag(args[1], where))
    if name == "torch._utils._rebuild_parameter_with_state" and len(args) == 4:
        _no_hooks(args[2], where)
        _no_hooks(args[3], where)
        return _as_parameter(tensor_of(args[0], context, where), _flag(args[1], where))
    if name == "torch._utils._rebuild_tensor" and len(args) == 4:
        return _strided(args[0], None, args[1:4], False, context, where)
    if name == "torch._utils._rebuild_tensor_v2" and len(args) in (6, 7):
        _no_hooks(args[5], where)
        _no_metadata(args[6:], where)
        return _strided(args[0], None, args[1:4], _flag(args[4], where), context, where)
    if name == "torch._utils._rebuild_tensor_v3" and len(args) in (7, 8):
        _no_hooks(args[5], where)
        _no_metadata(args[7:], where)
        dtype = TORCH_DTYPES.get(name_of(args[6]) or "")
        if dtype is None:
            raise UnsupportedError(f"a tensor of dtype {describe(args[6])}", where=where)
        return _strided(args[0], dtype, args[1:4], _flag(args[4], where), context, where)
    if name.startswith(("torch._utils._rebuild", "torch._tensor._rebuild", "torch.nn.parameter.")):
        raise UnsupportedError(f"a tensor made by {name}", where=where)
    raise FormatError(f"expected a tensor, found {describe(node)}", where=where)


def _as_parameter(tensor: Tensor, requires_grad: bool) -> Tensor:
    return Tensor(
        storage=tensor.storage, dtype=tensor.dtype, shape=tensor.shape, stride=tensor.stride,
        offset=tensor.offset, requires_grad=requires_grad, parameter=True,
    )  # fmt: skip


def _strided(
    source: Node, dtype: str | None, geometry: Sequence[Node], requires_grad: bool, context: Context, where: str
) -> Tensor:
    storage = storage_of(source, context, where)
    dtype = dtype or storage.dtype
    if dtype is None:
        raise FormatError("an untyped storage for a tensor without a dtype", where=where)
    if storage.dtype is not None and dtype != storage.dtype:
        raise FormatError(f"a {dtype} tensor over a {storage.dtype} storage", where=where)
    offset = geometry[0]
    shape = _sizes(geometry[1], "size", context, where)
    stride = _sizes(geometry[2], "stride", context, where)
    if type(offset) is not int or not 0 <= offset < 2**61:
        raise FormatError("a tensor's storage offset that is no count", where=where)
    if len(shape) != len(stride):
        raise FormatError(f"a tensor with {len(shape)} sizes and {len(stride)} strides", where=where)
    width = ITEM_SIZES[dtype]
    if _product(shape):
        last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
        if last >= len(storage.data) // width:
            raise FormatError("a tensor reaches beyond its storage", where=where)
    count = _product(shape)
    if count * width > context.limits.materialised_bytes:
        raise LimitError(f"a tensor of {count} elements out of {len(storage.data)} bytes", where=where)
    return Tensor(storage=storage, dtype=dtype, shape=shape, stride=stride, offset=offset, requires_grad=requires_grad)


def storage_of(node: Node, context: Context, where: str) -> Storage:
    """The storage that a persistent id or ``torch.storage._load_from_bytes(...)`` stands for."""
    if isinstance(node, PersistentId):
        if context.resolve is None:
            raise FormatError("a persistent id, but this file is no PyTorch container", where=where)
        resolve = context.resolve
        return context.once("storage", node, lambda: resolve(node, where))
    if callee_of(node) == "torch.storage._load_from_bytes" and isinstance(node, Call):
        return context.once("storage", node, lambda: _from_bytes(node, context, where))
    raise FormatError(f"expected a storage, found {describe(node)}", where=where)


def _from_bytes(node: Call, context: Context, where: str) -> Storage:
    if len(node.args) != 1:
        raise FormatError("torch.storage._load_from_bytes without its bytes", where=where)
    from modelcrate.legacy.torchfile import read_torch
    from modelcrate.legacy.values.arrays import raw_bytes

    stream = bytes(raw_bytes(node.args[0], where))  # protocols 0 to 2 write bytes as text
    memory = None if context.place is None else context.place(stream, node.offset)
    place = f"{where} (tensor stream at byte {node.offset})"
    inner = read_torch(stream, limits=context.limits, where=place, memory=memory)
    if not isinstance(inner.root, PersistentId):
        raise FormatError(f"a tensor stream that holds {describe(inner.root)}, not a storage", where=where)
    return inner.storage(inner.root, where)


def _sizes(node: Node, what: str, context: Context, where: str) -> tuple[int, ...]:
    if isinstance(node, Call) and callee_of(node) == "torch.Size" and len(node.args) == 1:
        node = node.args[0]
    if type(node) is not tuple:
        raise FormatError(f"a tensor's {what} that is {describe(node)}", where=where)
    if len(node) > 64 or len(node) > max(64, context.limits.tensor_rank):
        raise LimitError(f"a tensor of {len(node)} dimensions", where=where)
    sizes: list[int] = []
    for item in node:
        if type(item) is not int or not 0 <= item < 2**61:
            raise FormatError(f"a tensor's {what} holds something that is no count", where=where)
        sizes.append(item)
    return tuple(sizes)


def _flag(node: Node, where: str) -> bool:
    if type(node) is not bool:
        raise FormatError(f"a tensor's requires_grad that is {describe(node)}", where=where)
    return node


def _no_hooks(node: Node, where: str) -> None:
    """Backward hooks are functions; an empty OrderedDict (or dict, or None) is what honest files hold."""
    empty = node is None or (isinstance(node, Dict) and not node.pairs)
    if isinstance(node, Call) and callee_of(node) == "collections.OrderedDict":
        empty = not (node.assigned or node.states) and node.args in ((), ([],))
    if not empty:
        raise UnsupportedError("a tensor with hooks or extra state", where=where)


def _no_metadata(rest: Sequence[Node], where: str) -> None:
    for node in rest:
        if not (node is None or (isinstance(node, Dict) and not node.pairs)):
            raise UnsupportedError("a tensor with metadata (negative or conjugate bit)", where=where)


def _no_additions(node: Call, where: str) -> None:
    if node.states or node.appended or node.assigned or node.kwargs is not None:
        raise UnsupportedError("a tensor with extra state", where=where)
