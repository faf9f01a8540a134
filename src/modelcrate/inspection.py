"""What is in a crate, as data to show: components, tensors, and every value that was learnt from training data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from modelcrate.crate import open as open_crate
from modelcrate.format.digest import Digest
from modelcrate.format.document import kind_of
from modelcrate.format.manifest import Manifest
from modelcrate.format.tensors import TensorEntry
from modelcrate.format.values import Value
from modelcrate.limits import DEFAULT, Limits
from modelcrate.storage.regions import IO
from modelcrate.storage.source import Location
from modelcrate.stored import StoredComponent

PATHS_LIMIT = 2_000
"""Distinct places listed of one state document; a map with a million keys is counted, not listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateValue:
    """All values at one place of a state document; list positions are left out: 12 floats at ``columns[].mean``."""

    path: str
    kind: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentSummary:
    """One component: what the manifest says of it, its tensors, and what its state holds."""

    name: str
    role: str
    type: str
    config: Mapping[str, object]
    tensors: tuple[TensorEntry, ...]
    parameters: int
    weights_bytes: int
    state_bytes: int
    state: tuple[StateValue, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """A crate's content in words and numbers; ``size`` is that of all members, in bytes."""

    path: str | None
    form: str
    size: int
    identity: Digest
    manifest: Manifest
    components: tuple[ComponentSummary, ...]


def inspect(location: Location, *, verify: bool = True, io: IO = "map", limits: Limits = DEFAULT) -> Inspection:
    """Describe a crate; torch is not imported, nothing is built. Raises as :func:`modelcrate.crate.open`."""
    with open_crate(location, verify=verify, io=io, limits=limits) as crate:
        return Inspection(
            path=crate.path,
            form=crate.form,
            size=crate.size,
            identity=crate.identity,
            manifest=crate.manifest,
            components=tuple(_summary(component) for component in crate.values()),
        )


def _summary(component: StoredComponent) -> ComponentSummary:
    entries = tuple(component.header.entries.values()) if component.has_weights else ()
    return ComponentSummary(
        name=component.name,
        role=component.role,
        type=component.type,
        config=component.config,
        tensors=tuple(sorted(entries, key=lambda entry: entry.name)),
        parameters=sum(_items(entry) for entry in entries),
        weights_bytes=len(component.weights) if component.has_weights else 0,
        state_bytes=len(component.state_bytes) if component.has_state else 0,
        state=_state_values(component.state) if component.has_state else (),
    )


def _items(entry: TensorEntry) -> int:
    count = 1
    for size in entry.shape:
        count *= size
    return count


def _state_values(document: Value) -> tuple[StateValue, ...]:
    counts: dict[tuple[str, str], int] = {}
    pending: list[tuple[str, Value]] = [("", document)]
    while pending:
        path, value = pending.pop()
        if type(value) is dict and value:
            pending.extend((f"{path}.{key}" if path else key, item) for key, item in value.items())
        elif type(value) is list and value:
            pending.extend((f"{path}[]", item) for item in value)
        else:
            place = (path, _kind(value))
            if place not in counts and len(counts) >= PATHS_LIMIT:
                place = ("…", "other places")
            counts[place] = counts.get(place, 0) + 1
    return tuple(StateValue(path=path, kind=kind, count=count) for (path, kind), count in sorted(counts.items()))


def _kind(value: Value) -> str:
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if dtype is not None and shape:
        return f"an array of {dtype} {'×'.join(map(str, shape))}"
    return kind_of(value)
