"""Writing a crate from plain values: members in their places, digests, and the manifest last."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Literal

from modelcrate.errors import UsageError
from modelcrate.format import schema, tensors, values
from modelcrate.format.digest import ALGORITHMS, DEFAULT_ALGORITHM
from modelcrate.format.jsontext import Json
from modelcrate.format.manifest import Component, Manifest, Member, Model, Omission, Provenance
from modelcrate.format.names import check_component_name
from modelcrate.limits import DEFAULT, Limits
from modelcrate.storage import Payload, Written, write_archive, write_folder
from modelcrate.storage.component import ComponentData
from modelcrate.version import __version__

Form = Literal["file", "folder"]


def write_crate(
    path: str | os.PathLike[str],
    *,
    components: Sequence[ComponentData],
    model: tuple[str, Mapping[str, Json]] | None = None,
    hyperparameters: Mapping[str, Json] | None = None,
    omitted: Sequence[Omission] = (),
    provenance: Provenance | None = None,
    digest: str = DEFAULT_ALGORITHM,
    form: Form = "file",
    overwrite: bool = False,
    limits: Limits = DEFAULT,
) -> Manifest:
    """Write a crate atomically and durably, and return its manifest (FORMAT.md 3 and 4).

    Equal arguments give equal bytes. Tensors are written from the memory they are in. State documents are held against
    their schemas first. Raises UsageError for values that a crate can't hold, LimitError for what a reader would
    refuse, FormatError where a schema refuses a state, StorageError where the file system refuses or the output exists
    and ``overwrite`` is false; nothing is left behind then.
    """
    if form not in ("file", "folder"):
        raise UsageError(f"a crate's form is 'file' or 'folder', not {form!r}")
    if digest not in ALGORITHMS:
        raise UsageError(f"unknown digest algorithm {digest!r}", hint=f"use one of {', '.join(ALGORITHMS)}")
    payloads: dict[str, Payload] = {}
    described: dict[str, Component] = {}
    for component in components:
        if component.name in described:
            raise UsageError("two components have this name", where=component.name)
        described[component.name] = _lay_out(component, payloads, limits)

    def finish(written: Mapping[str, Written]) -> bytes:
        manifest = describe({name: Member(size=it.size, digest=it.digest) for name, it in written.items()})
        data = manifest.to_bytes(limits=limits)
        made.append(manifest)
        return data

    def describe(members: Mapping[str, Member]) -> Manifest:
        return Manifest(
            members=members,
            components=described,
            model=None if model is None else Model(type=model[0], config=model[1]),
            hyperparameters=dict(hyperparameters or {}),
            omitted=tuple(omitted),
            provenance=provenance or Provenance(producer={"modelcrate": __version__}),
            algorithm=digest,
        )

    made: list[Manifest] = []
    write = write_archive if form == "file" else write_folder
    write(_text(path), payloads, finish, algorithm=digest, overwrite=overwrite)
    return made[0]


def _lay_out(component: ComponentData, payloads: dict[str, Payload], limits: Limits) -> Component:
    """Add the component's members to ``payloads``, and describe it as the manifest will."""
    name = check_component_name(component.name, where="components")
    weights = state = None
    if component.tensors is not None:
        weights, file = f"weights/{name}.safetensors", tensors.serialize(component.tensors)
        payloads[weights] = Payload(size=file.size, chunks=file.__iter__)
    if component.state is not None:
        state, where = f"state/{name}.msgpack", f"components.{name}.state"
        document = dict(component.state)
        data = values.encode(document, where=where, limits=limits)
        schema.validate_state(document, component.type, where)
        payloads[state] = Payload.of(data)
    return Component(
        role=component.role, type=component.type, config=dict(component.config), weights=weights, state=state
    )


def _text(path: str | os.PathLike[str]) -> str:
    try:
        text = os.fspath(path)
    except TypeError:
        raise UsageError(f"expected a path, got {type(path).__name__}") from None
    if not isinstance(text, str):
        raise UsageError("expected a path as text")
    return text
