"""Sparse tensors as a scan sees them: indices that reach outside of their tensor, which PyTorch does not look at.

Loading such a tensor is harmless, using it reads and writes memory that is not its own. A sparse tensor is data only
if all its indices were read and lie within its size.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

from modelcrate.errors import ModelcrateError
from modelcrate.legacy.graph import Call, Node, PersistentId
from modelcrate.legacy.machine import Reading
from modelcrate.legacy.names import callee_of, name_of

SPARSE = "torch._utils._rebuild_sparse_tensor"
_DENSE = frozenset({"torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor"})
_WIDTHS = {"torch.LongStorage": 8, "torch.IntStorage": 4}
_UNCHECKED = "a sparse tensor whose indices can't be checked"
_OUTSIDE = "a sparse tensor with indices outside of it"

Bytes = Callable[[str, int], "bytes | memoryview"]
"""The bytes of a storage, by its key and its size."""


@dataclass(frozen=True, slots=True)
class _Indices:
    """A tensor of integers: where its storage is, and its geometry in elements."""

    key: str
    width: int
    count: int
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def row(self, data: memoryview[int], row: int | None = None) -> memoryview[int]:
        """One row (or the whole of a single dimension) as numbers."""
        start, step, length = self.offset, self.stride[-1], self.shape[-1]
        if row is not None:
            start += row * self.stride[0]
        if not length:
            return data[:0]
        if step == 0:
            raise ValueError("one index for all")
        return data[start : start + (length - 1) * step + 1 : step]


def sparse_complaints(reading: Reading, bytes_of: Bytes) -> list[str]:
    """What is wrong with the sparse tensors of a file whose storages ``bytes_of`` gives."""
    found: list[str] = []
    for call in reading.calls:
        if len(found) > 20:
            break
        if callee_of(call) == SPARSE:
            problem = _problem(call, bytes_of)
            if problem is not None and problem not in found:
                found.append(problem)
    return found


def _problem(call: Call, bytes_of: Bytes) -> str | None:
    layout, data = call.args if len(call.args) == 2 else (None, None)
    kind = layout.args[0] if isinstance(layout, Call) and len(layout.args) == 1 else None
    if type(data) is not tuple or len(data) not in (3, 4) or type(kind) is not str or sys.byteorder != "little":
        return _UNCHECKED
    try:
        if kind == "torch.sparse_coo":
            return _coordinates(data, bytes_of)
        return _compressed(kind, data, bytes_of)
    except (ModelcrateError, ValueError, IndexError, TypeError):
        return _UNCHECKED


def _coordinates(data: tuple[Node, ...], bytes_of: Bytes) -> str | None:
    """``(indices, values, size)``: a row of indices for each sparse dimension."""
    indices, values, size = _indices(data[0]), _shape(data[1]), _sizes(data[2])
    if len(indices.shape) != 2 or not values or indices.shape[0] > len(size) or indices.shape[1] != values[0]:
        return "a sparse tensor whose indices and values disagree"
    numbers = _numbers(indices, bytes_of)
    for row in range(indices.shape[0]):
        places = indices.row(numbers, row)
        if len(places) and not 0 <= min(places) <= max(places) < size[row]:
            return _OUTSIDE
    return None


def _compressed(kind: str, data: tuple[Node, ...], bytes_of: Bytes) -> str | None:
    """``(compressed, plain, values, size)`` of one matrix, by rows or columns, of single values or blocks."""
    starts, places, values, size = _indices(data[0]), _indices(data[1]), _shape(data[2]), _sizes(data[3])
    if len(size) != 2 or len(starts.shape) != 1 or len(places.shape) != 1 or not values:
        return _UNCHECKED
    block = (values[1], values[2]) if kind in ("torch.sparse_bsr", "torch.sparse_bsc") else (1, 1)
    if 0 in block:
        return _UNCHECKED
    grid = [size[0] // block[0], size[1] // block[1]]
    lines, width = grid if kind in ("torch.sparse_csr", "torch.sparse_bsr") else reversed(grid)
    if starts.shape[0] != lines + 1 or places.shape[0] != values[0]:
        return "a sparse tensor whose indices and values disagree"
    numbers = starts.row(_numbers(starts, bytes_of))
    if numbers[0] != 0 or numbers[-1] != values[0]:
        return _OUTSIDE
    if any(later < earlier for earlier, later in itertools.pairwise(numbers)):
        return _OUTSIDE
    columns = places.row(_numbers(places, bytes_of))
    return _OUTSIDE if len(columns) and not 0 <= min(columns) <= max(columns) < width else None


def _numbers(indices: _Indices, bytes_of: Bytes) -> memoryview[int]:
    size = indices.count * indices.width
    data = memoryview(bytes_of(indices.key, size)).cast("B")
    if len(data) < size:
        raise ValueError("a storage that is too short")
    return data[:size].cast("q") if indices.width == 8 else data[:size].cast("i")


def _indices(node: Node) -> _Indices:
    if not isinstance(node, Call) or callee_of(node) not in _DENSE or len(node.args) < 4:
        raise TypeError("no plain tensor")
    source, offset = node.args[:2]
    value = source.value if isinstance(source, PersistentId) else None
    if type(value) is not tuple or len(value) < 5 or type(value[2]) is not str or type(value[4]) is not int:
        raise TypeError("no storage of this file")
    width = _WIDTHS.get(name_of(value[1]) or "", 0)
    shape, stride = _sizes(node.args[2]), _sizes(node.args[3])
    if not width or type(offset) is not int or offset < 0 or len(shape) != len(stride) or not shape:
        raise TypeError("no integers")
    last = offset + sum((length - 1) * step for length, step in zip(shape, stride, strict=True))
    if math.prod(shape) and last >= value[4]:
        raise ValueError("beyond its storage")
    return _Indices(value[2], width, value[4], offset, shape, stride)


def _shape(node: Node) -> tuple[int, ...]:
    """The shape of the tensor of values."""
    if not isinstance(node, Call) or callee_of(node) not in _DENSE or len(node.args) < 4:
        raise TypeError("no plain tensor")
    return _sizes(node.args[2])


def _sizes(node: Node) -> tuple[int, ...]:
    if isinstance(node, Call) and callee_of(node) == "torch.Size" and len(node.args) == 1:
        node = node.args[0]
    if type(node) is not tuple or len(node) > 64:
        raise TypeError("no sizes")
    sizes: list[int] = []
    for size in node:
        if type(size) is not int or not 0 <= size < 2**62:
            raise TypeError("no sizes")
        sizes.append(size)
    return tuple(sizes)
