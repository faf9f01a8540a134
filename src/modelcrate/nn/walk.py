"""The modules of a model in order, each under its dotted path: bounded, without recursion, wrappers taken off.

A module that hangs in two places is visited at both; the second visit says which path it is the same as.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import nn

from modelcrate.errors import LimitError, UnsupportedError
from modelcrate.limits import DEFAULT, Limits
from modelcrate.nn.prefix import unwrap


class Visit(NamedTuple):
    """One place in a model: ``module`` is None for an empty one, ``same_as`` is the earlier path of a shared one."""

    path: str
    module: nn.Module | None
    same_as: str | None = None


class Slot(NamedTuple):
    """One place that holds a tensor: ``kind`` is ``parameter``, ``buffer`` or ``transient`` (not persistent).

    ``name`` is the dotted one, as ``state_dict`` gives it; ``attribute`` its last part.
    """

    name: str
    module: nn.Module
    attribute: str
    kind: str
    tensor: torch.Tensor | None


def join(path: str, name: str) -> str:
    """``path.name``, or ``name`` at the root."""
    return f"{path}.{name}" if path else name


def walk(root: nn.Module, *, limits: Limits = DEFAULT) -> Iterator[Visit]:
    """Every place of ``root`` in pre-order, parents before children, children in the order they were added.

    Raises LimitError for a model that is deeper or larger than ``limits`` allow, UnsupportedError for one that contains
    itself.
    """
    seen: dict[int, str] = {}
    pending: list[tuple[str, nn.Module | None, int]] = [("", unwrap(root), 0)]
    count = 0
    while pending:
        path, module, depth = pending.pop()
        count += 1
        if count > limits.modules:
            raise LimitError(f"more than {limits.modules} modules", where=path or "module")
        if depth > limits.module_depth:
            raise LimitError(f"modules nested deeper than {limits.module_depth}", where=path)
        if module is None:
            yield Visit(path, None)
            continue
        known = seen.get(id(module))
        if known is not None:
            if known == "" or path.startswith(known + "."):
                raise UnsupportedError("a module that contains itself can't be stored", where=path)
            yield Visit(path, module, known)
            continue
        seen[id(module)] = path
        yield Visit(path, module)
        children = [(join(path, name), child) for name, child in module._modules.items()]
        for child_path, child in reversed(children):
            pending.append((child_path, None if child is None else unwrap(child), depth + 1))


def modules(root: nn.Module, *, limits: Limits = DEFAULT) -> Iterator[tuple[str, nn.Module]]:
    """Every module once, under its first path."""
    for visit in walk(root, limits=limits):
        if visit.module is not None and visit.same_as is None:
            yield visit.path, visit.module


def slots(root: nn.Module, *, limits: Limits = DEFAULT) -> Iterator[Slot]:
    """Every place that holds a parameter or a buffer, tied ones at each of their places."""
    return slots_of(modules(root, limits=limits))


def slots_of(parts: Iterable[tuple[str, nn.Module]]) -> Iterator[Slot]:
    """As :func:`slots`, of modules that were walked already."""
    for path, module in parts:
        yield from own_slots(path, module)


def own_slots(path: str, module: nn.Module) -> Iterator[Slot]:
    """The parameters and buffers of one module, its children's not included; None where one is absent."""
    for name, parameter in module._parameters.items():
        yield Slot(join(path, name), module, name, "parameter", parameter)
    for name, buffer in module._buffers.items():
        kind = "transient" if name in module._non_persistent_buffers_set else "buffer"
        yield Slot(join(path, name), module, name, kind, buffer)
