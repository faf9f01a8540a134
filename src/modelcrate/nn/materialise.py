"""From a tag, a config and tensors in memory to a module: nothing is allocated before everything fits.

The module is built on the meta device, where it has names, shapes and dtypes and no memory; these are compared with the
tensor header, and only then does each tensor become a parameter or buffer of the module. On the CPU that is a view of
the caller's buffer; elsewhere one copy straight from it. No state-dict hook of a module runs on names from a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from modelcrate.errors import MismatchError, UnsupportedError
from modelcrate.format.tensors import TensorHeader
from modelcrate.nn.meta import on_meta, unchanged_globals
from modelcrate.nn.registry import Architecture, lookup
from modelcrate.nn.tensors import NAMES, tensor_view

LISTED = 8
"""Differences named in one message; more are counted."""


def materialise(
    tag: str,
    config: Mapping[str, Any],
    header: TensorHeader,
    buffer: memoryview,
    device: torch.device,
    *,
    dtype: torch.dtype | None = None,
    where: str = "component",
) -> torch.nn.Module:
    """The module that ``tag`` and ``config`` describe, holding the tensors of ``buffer``, in evaluation mode.

    ``buffer`` is the whole weights member, private and writable; on the CPU the module's tensors are views of it.
    ``dtype`` says that the floating-point tensors were converted to it after construction (``module.half()``).
    Raises UnsupportedError for an unknown tag or a module that can't be completed, FormatError for a config that does
    not fit, MismatchError that lists every name, shape and dtype that differs. Global state of torch stays as it is.
    """
    found = lookup(tag, where=f"{where}.type")
    module = build_meta(found, config, dtype=dtype, where=f"{where}.config")
    needed = named_tensors(module)
    _compare(needed, header, where=where)
    moved: dict[int, torch.Tensor] = {}
    for name, tensor in needed.items():
        view = tensor_view(buffer, header, header.entries[name], where=f"{where} tensor {name}")
        value = view if device.type == "cpu" else view.to(device)
        if isinstance(tensor, torch.nn.Parameter):
            value = torch.nn.Parameter(value, requires_grad=tensor.requires_grad)
        moved[id(tensor)] = value
    _assign(module, moved, device)
    with unchanged_globals():
        if found.finish is not None:
            found.finish(module, device)
    _refuse_meta(module, tag, where=where)
    return module.eval()


def build_meta(
    found: Architecture, config: Mapping[str, Any], *, dtype: torch.dtype | None, where: str
) -> torch.nn.Module:
    """The module on the meta device, with the global state of torch as it was."""
    with on_meta():
        module = found.construct(dict(config), where=where)
        return module if dtype is None else module.to(dtype)


def named_tensors(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and persistent buffers by name, each once: a tensor that is shared has its first name."""
    tensors: dict[str, torch.Tensor] = dict(module.named_parameters())
    for prefix, part in module.named_modules():
        for name, buffer in part._buffers.items():
            if buffer is not None and name not in part._non_persistent_buffers_set:
                tensors.setdefault(f"{prefix}.{name}" if prefix else name, buffer)
    first: dict[int, str] = {}
    for name, tensor in tensors.items():
        first.setdefault(id(tensor), name)
    return {name: tensors[name] for name in first.values()}


def _compare(needed: Mapping[str, torch.Tensor], header: TensorHeader, *, where: str) -> None:
    """Collect every difference between what the module needs and what the header has, then raise once."""
    problems = [f"{name} is missing" for name in needed if name not in header.entries]
    problems += [f"{name} is unexpected" for name in header.entries if name not in needed]
    for name, tensor in needed.items():
        entry = header.entries.get(name)
        if entry is None:
            continue
        if entry.shape != tuple(tensor.shape):
            problems.append(f"{name} has shape {list(entry.shape)}, the architecture {list(tensor.shape)}")
        elif entry.dtype != NAMES.get(tensor.dtype):
            problems.append(f"{name} is {entry.dtype}, the architecture's is {NAMES.get(tensor.dtype, tensor.dtype)}")
    if problems:
        more = f" and {len(problems) - LISTED} more" if len(problems) > LISTED else ""
        raise MismatchError("; ".join(problems[:LISTED]) + more, where=where)


def _assign(module: torch.nn.Module, moved: Mapping[int, torch.Tensor], device: torch.device) -> None:
    """Put each new tensor wherever its meta twin was, at every name that shares it."""
    for part in module.modules():
        for table in (part._parameters, part._buffers):
            slots: dict[str, Any] = table
            for name, tensor in slots.items():
                if tensor is None:
                    continue
                if id(tensor) in moved:
                    slots[name] = moved[id(tensor)]
                elif not tensor.is_meta:
                    slots[name] = tensor.to(device)


def _refuse_meta(module: torch.nn.Module, tag: str, *, where: str) -> None:
    """A tensor that is still on the meta device would fail, or lie, at its first use."""
    left = [
        f"{prefix}.{name}" if prefix else name
        for prefix, part in module.named_modules()
        for name, value in [*part._parameters.items(), *part._buffers.items(), *part.__dict__.items()]
        if name not in ("_parameters", "_buffers") and _holds_meta(value)
    ]
    if left:
        raise UnsupportedError(
            f"{tag} has tensors that no file holds: {', '.join(left[:LISTED])}",
            where=where,
            hint="register the architecture with finish=..., a function that computes them on a loaded module",
        )


def _holds_meta(value: object) -> bool:
    if isinstance(value, torch.Tensor):
        return value.is_meta
    if isinstance(value, dict):
        return any(isinstance(item, torch.Tensor) and item.is_meta for item in value.values())
    return isinstance(value, list | tuple) and any(isinstance(item, torch.Tensor) and item.is_meta for item in value)
