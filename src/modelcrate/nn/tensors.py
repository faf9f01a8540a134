"""Between torch tensors and bytes: views over memory on the way in, the tensor's own memory on the way out."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from modelcrate.errors import UnsupportedError, UsageError
from modelcrate.format.tensors import DeferredTensorData, TensorData, TensorEntry, TensorHeader, check_booleans
from modelcrate.nn.dtypes import DTYPES, STORED_NAMES, name_of

NAMES = STORED_NAMES
"""The safetensors name of each torch dtype that a crate can hold."""

LARGE = 1 << 17
"""Bytes from which torch copies a tensor with several threads."""
FEW_THREADS = 4
"""Up to so many threads of torch, one does as well."""


def tensor_view(buffer: memoryview, header: TensorHeader, entry: TensorEntry, *, where: str) -> torch.Tensor:
    """One tensor of a weights member as a view of ``buffer``, on the CPU, without a copy.

    ``buffer`` is the whole member, writable and private; the tensor keeps it alive.
    Raises FormatError for a boolean that is neither 0 nor 1 (FORMAT.md 6.10).
    """
    dtype = DTYPES.get(entry.dtype)
    if dtype is None:
        raise UnsupportedError(f"this torch has no dtype for {entry.dtype}", where=where, hint="update torch")
    if entry.start == entry.end:
        return torch.empty(entry.shape, dtype=dtype)
    start = header.data_start + entry.start
    if entry.dtype == "BOOL":
        check_booleans(entry, buffer[start : start + entry.end - entry.start], where=where)
    flat = torch.frombuffer(buffer, dtype=dtype, count=(entry.end - entry.start) // dtype.itemsize, offset=start)
    return flat.view(entry.shape)


def tensor_data(tensor: torch.Tensor, *, where: str) -> TensorData:
    """A tensor as plain bytes: its own memory where it is dense, contiguous and on the CPU.

    Else a copy, which is made each time that the bytes are asked for: writing a model that is on a GPU takes the host
    memory of one tensor.
    Raises UnsupportedError for dtypes and layouts that a crate can't hold.
    """
    if tensor.dtype not in NAMES or tensor.layout is not torch.strided or tensor.is_quantized:
        raise UnsupportedError(f"a tensor of {tensor.dtype}, {tensor.layout} can't be kept in a crate", where=where)
    if tensor.is_meta:
        raise UsageError("a tensor on the meta device has no values to keep", where=where)
    name, shape, held = NAMES[tensor.dtype], tuple(tensor.shape), tensor.detach()
    if held.device.type == "cpu" and held.is_contiguous() and not (held.is_conj() or held.is_neg()):
        return TensorData(name, shape, _flat(held).data if held.numel() else memoryview(b""))
    return DeferredTensorData(name, shape, lambda: _bytes(held))


def copy_into(target: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    """``target.copy_(source)`` without gradients; returns ``target``.

    Large plain CPU tensors are copied by this thread alone where torch would use a few: one core nearly fills the
    memory's bus, and on a busy machine threads that wait for one another make it many times slower.
    """
    plain = (
        source.nbytes >= LARGE
        and torch.get_num_threads() <= FEW_THREADS
        and source.dtype == target.dtype
        and source.shape == target.shape
        and all(map(_is_plain, (source, target)))
    )
    with torch.no_grad():
        if not plain:
            return target.copy_(source)
        np.copyto(_flat(target), _flat(source))
        torch.autograd.graph.increment_version(target)  # as copy_ does, for graphs that saved the tensor
    return target


def _is_plain(tensor: torch.Tensor) -> bool:
    return (
        type(tensor) in (torch.Tensor, nn.Parameter)
        and tensor.device.type == "cpu"
        and tensor.layout is torch.strided
        and tensor.is_contiguous()
        and not (tensor.is_quantized or tensor.is_conj() or tensor.is_neg())
    )


def _flat(tensor: torch.Tensor) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """The bytes of a plain tensor with elements, in place."""
    flat = tensor.detach().reshape(-1)
    if flat.is_complex():
        flat = torch.view_as_real(flat).reshape(-1)
    found: np.ndarray[tuple[int], np.dtype[np.uint8]] = flat.view(torch.uint8).numpy()
    return found


def _bytes(tensor: torch.Tensor) -> memoryview:
    dense = tensor.resolve_conj().resolve_neg().cpu().contiguous()
    return _flat(dense).data if dense.numel() else memoryview(b"")


def check_tensor(tensor: torch.Tensor, name: str) -> None:
    """UnsupportedError, naming tensor and reason, for one whose values are no plain dense array of a known dtype."""
    problem = tensor_problem(tensor)
    if problem is not None:
        raise UnsupportedError(problem, where=name)


def tensor_problem(tensor: torch.Tensor) -> str | None:
    """Why a tensor can't be stored, or None if it can."""
    if isinstance(tensor, UninitializedParameter | UninitializedBuffer):
        return "the tensor of a lazy module that has not run yet has no values; run one forward pass first"
    if type(tensor) not in (torch.Tensor, nn.Parameter, nn.Buffer):
        return f"a tensor of the class {type(tensor).__name__} can't be stored"
    if tensor.is_quantized:
        return f"a quantised tensor ({name_of(tensor.dtype)}) can't be stored; dequantise it first"
    if tensor.is_nested:
        return "a nested tensor can't be stored"
    if tensor.layout is not torch.strided:
        return f"a tensor of layout {str(tensor.layout).removeprefix('torch.')} can't be stored; make it dense first"
    if tensor.is_meta:
        return "a tensor on the meta device has no values"
    if tensor.dtype not in NAMES:
        return f"a tensor of dtype {name_of(tensor.dtype)} can't be stored"
    return None
