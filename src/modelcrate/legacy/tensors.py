"""Tensors as a scan sees them: geometry that does not fit its storage, counts that do not fit the file."""

from __future__ import annotations

from modelcrate.errors import ModelcrateError
from modelcrate.legacy.graph import Call, Node, PersistentId
from modelcrate.legacy.machine import Reading
from modelcrate.legacy.names import callee_of, name_of
from modelcrate.legacy.sparse import sparse_complaints
from modelcrate.legacy.storages import ITEM_SIZES, STORAGE_DTYPES
from modelcrate.legacy.stream import Data
from modelcrate.legacy.torchfile import QUANTISED_WIDTHS, old_torch_of, read_old_torch

FACTOR = 4
BASE = 64 << 20
"""A tensor may become 64 MiB or four times the file's size; expanded views beyond that are built to fill memory."""
_REBUILDERS = frozenset(f"torch._utils._rebuild_{kind}" for kind in ("tensor", "tensor_v2", "tensor_v3", "qtensor"))
_TYPED = "torch._tensor._rebuild_from_type_v2"


def container_complaints(data: Data, readings: list[Reading], size: int | None = None) -> list[str]:
    """What is wrong with the storages and tensors of a PyTorch file; ``readings`` are its one or five pickles."""
    total = len(data) if size is None else size
    body = readings[3] if len(readings) == 5 else readings[0]
    found: list[str] = []
    declared: dict[str, tuple[str | None, object]] = {}
    for node in body.persistent:
        complaint = _storage_complaint(node, declared, total)
        if complaint is not None and complaint not in found:
            found.append(complaint)
    for call in body.calls:
        complaint = _tensor_complaint(call, total)
        if complaint is not None and complaint not in found:
            found.append(complaint)
    if len(readings) == 5:
        try:
            # A tolerant reading without faults is what a strict one would give.
            clean = not any(reading.faults for reading in readings)
            file = old_torch_of(data, readings, "file") if clean else read_old_torch(data)
            found.extend(sparse_complaints(body, file.data_of))
        except ModelcrateError as error:
            found.append(error.what)
    return found[:20]


def _storage_complaint(node: PersistentId, declared: dict[str, tuple[str | None, object]], total: int) -> str | None:
    value = node.value
    if type(value) is not tuple or not value:
        return "a persistent id that is no storage"
    if value[0] == "module" and len(value) == 4:
        return None
    if value[0] != "storage" or len(value) not in (5, 6):
        return "a persistent id that is no storage"
    name, key, count = name_of(value[1]), value[2], value[4]
    if type(key) is not str or not key.isalnum() or len(key) > 64 or type(value[3]) is not str:
        return "a storage whose key or location is none"
    if type(count) is not int or count < 0:
        return "a storage whose element count is none"
    width = _width(name)
    if width is not None and count * width > total:
        return f"storage {key} declares more bytes than the file has"
    if declared.setdefault(key, (name, count)) != (name, count) and count:
        return f"storage {key} is declared with two types or sizes"
    return None


def _width(name: str | None) -> int | None:
    if name in STORAGE_DTYPES:
        dtype = STORAGE_DTYPES[name]
        return 1 if dtype is None else ITEM_SIZES[dtype]
    return QUANTISED_WIDTHS.get(name or "")


def _tensor_complaint(call: Call, total: int) -> str | None:
    name, args = callee_of(call), call.args
    if name == _TYPED and len(args) == 4 and type(args[2]) is tuple:
        name, args = name_of(args[0]), args[2]
    if name not in _REBUILDERS:
        return None
    if len(args) < 4:
        return "a tensor without its geometry"
    source, offset, size, stride = args[:4]
    sizes, strides = _counts(size), _counts(stride)
    if sizes is None or strides is None or len(sizes) != len(strides) or type(offset) is not int or offset < 0:
        return "a tensor whose geometry is none"
    product = 1
    for dimension in sizes:
        product *= dimension
    if product > max(BASE, FACTOR * total):
        return f"a tensor of {product} elements out of a file of {total} bytes"
    count = _declared(source)
    if count is not None and product:
        last = offset + sum((dimension - 1) * step for dimension, step in zip(sizes, strides, strict=True))
        if last >= count:
            return "a tensor that reaches beyond its storage"
    return None


def _declared(node: Node) -> int | None:
    """Elements of the storage behind a typed persistent id; an untyped one counts bytes and is left to the reader."""
    if isinstance(node, PersistentId) and type(node.value) is tuple and len(node.value) >= 5:
        name = name_of(node.value[1])
        typed = (name in STORAGE_DTYPES and STORAGE_DTYPES[name] is not None) or name in QUANTISED_WIDTHS
        if type(node.value[4]) is int and typed:
            return node.value[4]
    return None


def _counts(node: Node) -> list[int] | None:
    if isinstance(node, Call) and callee_of(node) == "torch.Size" and len(node.args) == 1:
        node = node.args[0]
    if type(node) is not tuple or len(node) > 64:
        return None
    counts: list[int] = []
    for item in node:
        if type(item) is not int or not 0 <= item < 2**61:
            return None
        counts.append(item)
    return counts
