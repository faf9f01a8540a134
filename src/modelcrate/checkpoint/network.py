"""One network of a checkpoint: its tensors by name, out of a live module and back into one.

A live module need not be registered: whoever resumes has its class at hand. Where it is (or is made of stock layers),
the component says what it is, and can be built without the training code.
Values go into the live tensors in place, because the optimizers hold those very tensors.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

import torch

from modelcrate.checkpoint.parts import NETWORK_TYPE
from modelcrate.errors import MismatchError, ModelcrateError, UnsupportedError
from modelcrate.format.jsontext import Json
from modelcrate.nn import prefix, walk
from modelcrate.nn.nested import check_tensor

LISTED = 8
"""Differences named in one message; more are counted."""


def named_tensors(module: torch.nn.Module, *, where: str) -> dict[str, torch.Tensor]:
    """Parameters and persistent buffers by name at each place, without wrapper prefixes (tied ones more than once).

    Raises UnsupportedError for a module with extra state, whose kind is unknown.
    """
    tensors: dict[str, torch.Tensor] = {}
    for path, part in walk.modules(module):
        if type(part).get_extra_state is not torch.nn.Module.get_extra_state:
            place = f"{where}.{path}" if path else where
            raise UnsupportedError(f"{type(part).__name__} keeps extra state, which can't be saved", where=place)
        for slot in walk.own_slots(path, part):
            if slot.tensor is not None and slot.kind != "transient":
                tensors[slot.name] = slot.tensor
    return tensors


def parameter_names(networks: Mapping[str, Any]) -> dict[int, str]:
    """``network.parameter`` by the ``id`` of each parameter, for pairing optimizer state by name."""
    names: dict[int, str] = {}
    for network, module in networks.items():
        if isinstance(module, torch.nn.Module):
            for slot in walk.slots(module):
                if slot.kind == "parameter" and slot.tensor is not None:
                    names.setdefault(id(slot.tensor), f"{network}.{slot.name}")
    return names


def capture(module: torch.nn.Module, *, where: str) -> tuple[str, dict[str, Json], dict[str, torch.Tensor]]:
    """Type tag, config, and tensors (each once, under its first name; not copied) of a live module."""
    tensors: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for name, tensor in named_tensors(module, where=where).items():
        check_tensor(tensor, where=f"{where}.{name}")
        if id(tensor) not in seen:
            seen.add(id(tensor))
            tensors[name] = tensor.detach()
    tag, config = describe(module, set(tensors))
    return tag, config, tensors


def describe(module: torch.nn.Module, names: set[str]) -> tuple[str, dict[str, Json]]:
    """What the module is, if a crate can say it and would hold the same tensors; else only that it is a network."""
    from modelcrate.module_parts import take_apart

    try:
        parts = take_apart(prefix.unwrap(module))
    except ModelcrateError:
        return NETWORK_TYPE, {}
    (component, *others) = parts.components
    if others or component.state is not None or set(component.tensors or {}) != names:
        return NETWORK_TYPE, {}
    return component.type, dict(component.config)


def prepare(
    module: torch.nn.Module, saved: Mapping[str, torch.Tensor], *, where: str, strict: bool
) -> tuple[Callable[[], None], list[str]]:
    """Compare with a live module; what copies the saved values into it, and the differences.

    All differences are collected. Raises MismatchError that lists them if ``strict``; else what fits is copied.
    """
    places = named_tensors(module, where=where)
    pairs = prefix.match(saved, places)
    found: dict[int, list[str]] = {}
    for theirs, ours in pairs.items():
        found.setdefault(id(places[ours]), []).append(theirs)
    differences = [f"unexpected {name}" for name in saved if name not in pairs]
    copies: list[tuple[torch.Tensor, torch.Tensor]] = []
    seen: set[int] = set()
    for name, tensor in places.items():
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        sources = found.get(id(tensor), [])
        if not sources:
            close = difflib.get_close_matches(name, [it for it in saved if it not in pairs], 1)
            differences.append(f"missing {name}" + (f" (there is {close[0]})" if close else ""))
            continue
        values = [saved[source] for source in sources]
        value = values[0]
        if value.shape != tensor.shape or value.dtype != tensor.dtype:
            theirs, ours = _describe(value), _describe(tensor)
            differences.append(f"{name} is {theirs}, here {ours}")
        elif any(not _equal(value, other) for other in values[1:]):
            differences.append(f"{name} is one tensor here, and was saved with different values")
        else:
            copies.append((tensor, value))
    if differences and strict:
        more = f" and {len(differences) - LISTED} more" if len(differences) > LISTED else ""
        raise MismatchError("; ".join(differences[:LISTED]) + more, where=where)

    def apply() -> None:
        try:
            with torch.no_grad():
                for target, value in copies:
                    target.copy_(value)
        except RuntimeError as error:
            raise MismatchError(f"a tensor can't be written to: {error}", where=where) from error

    return apply, [f"{where}: {difference}" for difference in differences]


def _describe(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(
        one.contiguous().reshape(-1).view(torch.uint8), other.contiguous().reshape(-1).view(torch.uint8)
    )
