"""One network of a checkpoint: its tensors by name, out of a live module and back into one.

A live module need not be registered: whoever resumes has its class at hand. Where it is (or is made of stock layers),
the component says what it is, and can be built without the training code.
Values go into the live tensors in place, because the optimizers hold those very tensors.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import torch

from modelcrate.checkpoint.parts import NETWORK_TYPE
from modelcrate.errors import MismatchError, ModelcrateError, UnsupportedError
from modelcrate.format.document import Fields
from modelcrate.format.tensors import TensorData
from modelcrate.format.values import Value
from modelcrate.module_parts import module_component
from modelcrate.nn import nested, prefix, walk
from modelcrate.nn.nested import Tensors, TensorSink, check_tensor
from modelcrate.nn.state import stored_name
from modelcrate.nn.tensors import copy_into, tensor_data
from modelcrate.storage.component import ComponentData
from modelcrate.stored import StoredComponent

Copy: TypeAlias = Callable[[str, torch.Tensor], torch.Tensor]
"""Makes the copy of a tensor that is kept until it is written, given a name that stays the same between saves."""

LISTED = 8
"""Differences named in one message; more are counted."""
CANDIDATES = 512
"""Unexpected names among which the near one of a missing name is looked for; the search is slow."""


def places(module: torch.nn.Module) -> dict[str, walk.Slot]:
    """Where the module holds tensors, by stored name without wrapper prefixes (tied ones more than once)."""
    return {stored_name(slot.name): slot for slot in walk.slots(module) if slot.tensor is not None}


def parameter_names(networks: Mapping[str, Any]) -> dict[int, str]:
    """``network.parameter`` by the ``id`` of each parameter, for pairing optimizer state by name."""
    names: dict[int, str] = {}
    for network, module in networks.items():
        if isinstance(module, torch.nn.Module):
            for slot in walk.slots(module):
                if slot.kind == "parameter" and slot.tensor is not None:
                    names.setdefault(id(slot.tensor), f"{network}.{slot.name}")
    return names


def capture(module: torch.nn.Module, *, name: str, role: str, where: str, copy: Copy | None) -> ComponentData:
    """A live module as a component. With ``copy``, nothing in it changes when the module does.

    Raises UnsupportedError, naming the tensor, for what no crate can hold.
    """
    module = prefix.unwrap(module)
    tensors: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for place, slot in places(module).items():
        if slot.tensor is not None and slot.kind != "transient" and id(slot.tensor) not in seen:
            seen.add(id(slot.tensor))
            check_tensor(slot.tensor, where=f"{where}.{slot.name}")
            tensors[place] = slot.tensor.detach()
    described = _describe(module, name, role)
    if described is None or not set(tensors) <= set(described.tensors or {}):
        extra = _extra_state(module, where, tensors)
        described = ComponentData(name=name, role=role, type=NETWORK_TYPE, state=extra)
    known = described.tensors or {}
    held: dict[str, TensorData] = {}
    for key, tensor in tensors.items():
        kept = tensor if copy is None else copy(f"{name}/{key}", tensor)
        held[key] = tensor_data(kept, where=f"{where}.{key}")
    for key, data in known.items():
        if key not in held:
            held[key] = data if copy is None else TensorData(data.dtype, data.shape, bytes(data.data))
    return dataclasses.replace(described, tensors=held)


def _describe(module: torch.nn.Module, name: str, role: str) -> ComponentData | None:
    """The component that is loadable without the training code; None where a crate can't say what the module is."""
    try:
        return module_component(module, name=name, role=role)[0]
    except ModelcrateError:
        return None


def _extra_state(module: torch.nn.Module, where: str, tensors: dict[str, torch.Tensor]) -> dict[str, Value] | None:
    """What modules say of themselves beside their tensors, in the place where every network keeps it."""
    found: dict[str, Value] = {}
    sink = TensorSink()
    for path, part in walk.modules(module):
        if type(part).get_extra_state is not torch.nn.Module.get_extra_state:
            found[path] = nested.encode(part.get_extra_state(), where=f"{where}.extra_state[{path!r}]", sink=sink)
    if not set(tensors).isdisjoint(sink.tensors):
        raise UnsupportedError("extra state takes the name of a tensor", where=where)
    tensors.update(sink.tensors)
    return {"extra_state": found} if found else None


def prepare(
    module: torch.nn.Module, component: StoredComponent, *, where: str, strict: bool
) -> tuple[Callable[[], None], list[str]]:
    """Compare with a live module; what copies the saved values into it, and the differences.

    All differences are collected. Raises MismatchError that lists them if ``strict``; else what fits is copied.
    """
    saved: Mapping[str, torch.Tensor] = component.tensors if component.has_weights else {}
    state = component.state if component.has_state else {}
    used: set[str] = set(Fields(state, component.where).texts("loose")) if "loose" in state else set()
    actions, differences = _prepare_extra_state(module, state, saved, used, component.where)
    plain = {name: saved[name] for name in saved if name not in used}
    return prepare_tensors(module, plain, where=where, strict=strict, actions=actions, differences=differences)


def prepare_tensors(
    module: torch.nn.Module,
    tensors: Mapping[str, torch.Tensor],
    *,
    where: str,
    strict: bool,
    actions: Sequence[Callable[[], None]] = (),
    differences: Sequence[str] = (),
) -> tuple[Callable[[], None], list[str]]:
    """As :func:`prepare` for tensors by name; ``actions`` are called after they are copied."""
    differences = list(differences)
    saved = {stored_name(name): tensor for name, tensor in tensors.items()}
    slots = places(module)
    pairs = prefix.match(saved, slots)
    found: dict[int, list[str]] = {}
    for theirs, ours in pairs.items():
        found.setdefault(id(slots[ours].tensor), []).append(theirs)
    unexpected = [name for name in saved if name not in pairs]
    differences += [f"{name} is unexpected" for name in unexpected]
    copies: list[tuple[torch.Tensor, torch.Tensor]] = []
    seen: set[int] = set()
    for name, slot in slots.items():
        if slot.tensor is None or id(slot.tensor) in seen:
            continue
        seen.add(id(slot.tensor))
        sources = found.get(id(slot.tensor), [])
        if not sources:
            if slot.kind != "transient":
                close = difflib.get_close_matches(name, unexpected[:CANDIDATES], 1) if len(differences) < LISTED else []
                differences.append(f"{name} is missing" + (f" (is it {close[0]}?)" if close else ""))
            continue
        values = [saved[source] for source in sources]
        if values[0].shape != slot.tensor.shape or values[0].dtype != slot.tensor.dtype:
            differences.append(f"{name} is {_kind(values[0])}, here {_kind(slot.tensor)}")
        elif any(not _equal(values[0], other) for other in values[1:]):
            differences.append(f"{name} is one tensor here, and was saved with different values")
        else:
            copies.append((slot.tensor, values[0]))
    if differences and strict:
        more = f" and {len(differences) - LISTED} more" if len(differences) > LISTED else ""
        raise MismatchError("; ".join(differences[:LISTED]) + more, where=where)

    def apply() -> None:
        try:
            for target, value in copies:
                copy_into(target, value)
            for action in actions:
                action()
        except (RuntimeError, TypeError, ValueError, KeyError, AttributeError) as error:
            raise MismatchError(f"the module refused its state: {error}", where=where) from error

    return apply, [f"{where}: {difference}" for difference in differences]


def _prepare_extra_state(
    module: torch.nn.Module, state: Mapping[str, Value], tensors: Tensors, used: set[str], where: str
) -> tuple[list[Callable[[], None]], list[str]]:
    """What hands each part its extra state, and the parts that have none here or there."""
    held = Fields(state["extra_state"], f"{where}.extra_state") if "extra_state" in state else None
    names = () if held is None else held.names()
    actions: list[Callable[[], None]] = []
    parts = {
        path: part
        for path, part in walk.modules(module)
        if type(part).set_extra_state is not torch.nn.Module.set_extra_state
    }
    for path in names:
        assert held is not None  # names would be empty
        value = nested.decode(held.value(path), where=held.path(path), tensors=tensors, used=used)
        if path in parts:
            actions.append(functools.partial(parts[path].set_extra_state, value))
    return actions, [f"extra state of {path!r} is on one side only" for path in set(parts) ^ set(names)]


def _kind(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(
        one.contiguous().reshape(-1).view(torch.uint8), other.contiguous().reshape(-1).view(torch.uint8)
    )
