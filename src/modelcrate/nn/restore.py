"""Putting a module's tensors and facts into a module that was built on the meta device.

Everything is compared before anything is allocated: :func:`prepare` brings the empty module to what the facts say, then
names, shapes and dtypes are held against the header, then each tensor becomes a parameter, a buffer or part of an
attribute. No state-dict hook of a module runs on names from a file.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any

import torch
from torch import nn

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.format.tensors import tensor_bytes
from modelcrate.limits import DEFAULT, Limits
from modelcrate.nn import attributes
from modelcrate.nn.dtypes import NAMED, STORED_NAMES, is_real_or_complex
from modelcrate.nn.mismatch import MismatchReport, Wanted, compare
from modelcrate.nn.nested import decode
from modelcrate.nn.prefix import match
from modelcrate.nn.staging import transfer
from modelcrate.nn.state import Facts, stored_name
from modelcrate.nn.walk import Slot, modules, slots, slots_of

_PLAIN = (bool, int, float, str, type(None))
Modules = Mapping[str, nn.Module]
"""Every module of a model, once, under its first path."""
Read = Callable[[str], torch.Tensor]
"""The tensor stored under a name: a CPU view of the file, or a copy on the device."""


def restore(
    module: nn.Module,
    found: Wanted,
    read: Read,
    facts: Facts,
    *,
    where: str,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
    strict: bool = True,
    fresh: Callable[[], nn.Module] | None = None,
    finish: Callable[[nn.Module], None] | None = None,
    limits: Limits = DEFAULT,
) -> MismatchReport:
    """Fill ``module`` (built on meta) with the tensors in ``found``, which ``read`` gives one by one.

    ``dtype`` converts floating-point parameters and buffers on the way. ``strict=False`` takes what fits and returns
    what did not; what is missing then comes from ``fresh()``, a newly initialised module of the same architecture, so
    that nothing is left without values. ``finish`` completes the module before it is searched for tensors without
    values.
    Wrapper prefixes in the names of ``found`` do not matter.
    Raises MismatchError with every difference, FormatError for facts that do not fit the module.
    """
    target = device or torch.device("cpu")
    parts = dict(modules(module, limits=limits))
    _empty(parts, facts)
    prepare(parts, facts, where=where)
    wanted = expected(parts, {*found, *facts.transient})
    loose = {name: found[name] for name in facts.loose if name in found}
    names = match((name for name in found if name not in loose), wanted)
    known = {names.get(name, name): kind for name, kind in found.items() if name not in loose}
    report = compare({name: _kind(tensor) for name, tensor in wanted.items()}, known)
    if report and strict:
        raise report.error(where)
    source = {here: there for there, here in names.items()}
    spare = _spare(report, wanted, known, fresh, where=where, limits=limits)
    with transfer(target) as move:

        def tensor(name: str, like: torch.Tensor) -> torch.Tensor:
            stored = spare.get(name)
            value = move(stored if stored is not None else read(source.get(name, name)))
            if value.dtype != like.dtype:
                value = value.to(like.dtype)
            return value.to(dtype) if dtype is not None and value.is_floating_point() else value

        values = {name: tensor(name, like) for name, like in wanted.items()}
        attached = {name: move(read(name)) for name in loose}
    for index, shared in enumerate(facts.shared):
        if not spare:
            values.update(shared.lay_out(values, f"{where}.shared[{index}]"))
    assign(parts, {id(wanted[name]): value for name, value in values.items()}, facts)
    _put_back(parts, facts, {**_by_name(parts), **attached}, where)
    if finish is not None:
        finish(module)
    parts = dict(modules(module, limits=limits))  # again: code of the architecture's own has run
    refuse_meta(parts, where=where)
    _settle(parts, target, dtype)
    return report


def _empty(parts: Modules, facts: Facts) -> None:
    """Put an empty twin in the place of each tensor that a constructor made in spite of the meta device.

    ``torch.from_numpy`` does that, for one. A buffer that no file holds keeps the value that it was built with.
    """
    kept = set(facts.transient)
    twins: dict[int, torch.Tensor] = {}
    for slot in list(slots_of(parts.items())):
        if slot.tensor is None or slot.tensor.is_meta or (slot.kind == "transient" and slot.name not in kept):
            continue
        if id(slot.tensor) not in twins:
            twins[id(slot.tensor)] = slot.tensor.detach().to("meta")
            twins[-id(slot.tensor)] = slot.tensor  # an id names an object only while the object lives
        twin = twins[id(slot.tensor)]
        if slot.kind == "parameter" and not isinstance(twin, nn.Parameter):
            twin = twins[id(slot.tensor)] = nn.Parameter(twin, requires_grad=slot.tensor.requires_grad)
        _table(slot)[slot.attribute] = twin


def _settle(parts: Modules, device: torch.device, dtype: torch.dtype | None) -> None:
    """Bring what a constructor or ``finish`` made to the device and dtype of everything else."""
    made: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    for slot in list(slots_of(parts.items())):
        if slot.tensor is None:
            continue
        if id(slot.tensor) not in made:
            to = dtype if slot.tensor.is_floating_point() else None
            value = slot.tensor.detach().to(device, to)
            if value.device == slot.tensor.device and value.dtype == slot.tensor.dtype:
                value = slot.tensor
            elif slot.kind == "parameter":
                value = nn.Parameter(value, requires_grad=slot.tensor.requires_grad)
            made[id(slot.tensor)] = slot.tensor, value
        _table(slot)[slot.attribute] = made[id(slot.tensor)][1]


def prepare(parts: Modules, facts: Facts, *, where: str) -> None:
    """Bring an empty module to what the facts say of its places: dtypes, ties, persistence, versions."""
    named = bool(facts.dtypes or facts.ties or facts.transient)
    places = {slot.name: slot for slot in slots_of(parts.items())} if named else {}
    for name, dtype in facts.dtypes.items():
        slot = _place(places, name, f"{where}.dtypes")
        assert slot.tensor is not None  # _place() gives places that hold a tensor
        _put(slot, slot.tensor.detach().to(NAMED[dtype]))
    if facts.dtypes:
        places = {slot.name: slot for slot in slots_of(parts.items())}
    for name, first in facts.ties.items():
        slot, other = _place(places, name, f"{where}.ties"), _place(places, first, f"{where}.ties")
        assert slot.tensor is not None
        assert other.tensor is not None
        if slot.tensor.shape != other.tensor.shape or first in facts.ties:
            raise FormatError(f"{name!r} and {first!r} can't be one tensor", where=f"{where}.ties")
        _table(slot)[slot.attribute] = other.tensor
    for name in facts.transient:
        slot = _place(places, name, f"{where}.transient")
        if slot.kind == "parameter":
            raise FormatError(f"{name!r} is a parameter, not a buffer", where=f"{where}.transient")
        slot.module._non_persistent_buffers_set.add(slot.attribute)
    for path, version in facts.versions.items():
        part = _part(parts, path, f"{where}.versions")
        if version > part._version:
            what = f"{type(part).__name__} of version {version} is newer than the one here, {part._version}"
            raise UnsupportedError(what, where=where, hint="update torch")


def expected(parts: Modules, kept: Container[str]) -> dict[str, torch.Tensor]:
    """The tensors that a module needs, by stored name, each once.

    A buffer that is not persistent is needed if it is among the ``kept`` names; else whoever built the module fills it.
    """
    first: set[int] = set()
    wanted: dict[str, torch.Tensor] = {}
    for slot in slots_of(parts.items()):
        if slot.tensor is None or not slot.tensor.is_meta or id(slot.tensor) in first:
            continue
        stored = stored_name(slot.name)
        if slot.kind != "transient" or stored in kept or slot.name in kept:
            first.add(id(slot.tensor))
            wanted[stored] = slot.tensor
    return wanted


def assign(parts: Modules, values: Mapping[int, torch.Tensor], facts: Facts) -> None:
    """Put each value wherever its empty twin (by id) stands, at every place that shares it."""
    frozen, tracked = set(facts.frozen), set(facts.tracked)
    made: dict[int, torch.Tensor] = {}
    for slot in list(slots_of(parts.items())):
        value = None if slot.tensor is None else values.get(id(slot.tensor))
        if slot.tensor is None or value is None:
            continue
        key = id(slot.tensor)
        if key not in made:
            if slot.kind == "parameter":
                learns = is_real_or_complex(value.dtype) and slot.name not in frozen
                made[key] = nn.Parameter(value, requires_grad=learns)
            else:
                made[key] = value.requires_grad_(slot.name in tracked)
        _table(slot)[slot.attribute] = made[key]
    for part in parts.values():
        if isinstance(part, nn.RNNBase):
            part._init_flat_weights()  # its own list of its weights still names the empty ones


def refuse_meta(parts: Modules, *, where: str) -> None:
    """UnsupportedError for a tensor that is still on the meta device: it would fail, or lie, at its first use."""
    left = [slot.name for slot in slots_of(parts.items()) if slot.tensor is not None and slot.tensor.is_meta]
    for path, part in parts.items():
        for name, value in part.__dict__.items():
            if type(value) in _PLAIN or (type(value) is dict and not value):
                continue  # nearly all are; the search for tensors within takes longer
            if name not in ("_parameters", "_buffers", "_modules"):
                left += [f"{path}.{name}" for tensor in attributes.tensors_within(value) if tensor.is_meta]
    if left:
        raise UnsupportedError(
            f"no file holds the tensors {', '.join(left[:8])}",
            where=where,
            hint="register the architecture with finish=..., a function that computes them on a loaded module",
        )


def _put_back(parts: Modules, facts: Facts, tensors: Mapping[str, torch.Tensor], where: str) -> None:
    """Flags, attributes and extra state."""
    flipped = set(facts.flipped)
    for path in facts.flipped:
        _part(parts, path, f"{where}.flipped")
    for path, part in parts.items():
        part.training = facts.training != (path in flipped)
    for path, held in facts.attributes.items():
        part = _part(parts, path, f"{where}.attributes")
        for name, document in held.items():
            place = f"{where}.attributes.{path}.{name}"
            attributes.restore(part, name, decode(document, where=place, tensors=tensors), place)
    for path, document in facts.extra_state.items():
        part = _part(parts, path, f"{where}.extra_state")
        if type(part).set_extra_state is nn.Module.set_extra_state:
            raise FormatError(f"a {type(part).__name__} takes no extra state", where=f"{where}.extra_state")
        part.set_extra_state(decode(document, where=f"{where}.extra_state", tensors=tensors))


def _spare(
    report: MismatchReport,
    wanted: Mapping[str, torch.Tensor],
    found: Wanted,
    fresh: Callable[[], nn.Module] | None,
    *,
    where: str,
    limits: Limits,
) -> dict[str, torch.Tensor]:
    """Initialised tensors for the places that the file can't fill.

    A file that asks for far more than it holds does not get it: a config of a few bytes must not allocate terabytes.
    """
    names = {*report.missing, *report.shapes}
    if not names:
        return {}
    held = sum(tensor_bytes(dtype, shape) for dtype, shape in found.values())
    asked = sum(wanted[name].numel() * wanted[name].element_size() for name in names)
    if fresh is None or asked > max(limits.fresh_bytes, held):
        raise report.error(where)
    made = {stored_name(slot.name): slot.tensor for slot in slots(fresh(), limits=limits)}
    return {name: tensor.detach() for name in names if (tensor := made.get(name)) is not None}


def _by_name(parts: Modules) -> dict[str, torch.Tensor]:
    return {stored_name(slot.name): slot.tensor for slot in slots_of(parts.items()) if slot.tensor is not None}


def _kind(tensor: torch.Tensor) -> tuple[str, tuple[int, ...]]:
    return STORED_NAMES.get(tensor.dtype, str(tensor.dtype)), tuple(tensor.shape)


def _place(places: Mapping[str, Slot], name: str, where: str) -> Slot:
    slot = places.get(name)
    if slot is None or slot.tensor is None:
        raise FormatError(f"the module has no tensor {name!r}", where=where)
    return slot


def _part(parts: Modules, path: str, where: str) -> nn.Module:
    if path not in parts:
        raise FormatError(f"the module has no part {path!r}", where=where)
    return parts[path]


def _table(slot: Slot) -> dict[str, torch.Tensor | None]:
    tables: Any = (slot.module._parameters, slot.module._buffers)  # typed apart, and used alike
    table: dict[str, torch.Tensor | None] = tables[0 if slot.kind == "parameter" else 1]
    return table


def _put(slot: Slot, value: torch.Tensor) -> None:
    if slot.kind == "parameter":
        value = nn.Parameter(value, requires_grad=is_real_or_complex(value.dtype))
    _table(slot)[slot.attribute] = value
