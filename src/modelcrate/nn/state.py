"""What a module is besides its architecture: its tensors, and the facts that a table of tensors can't say.

:func:`capture` compares a live module with one that was built from the same config, on the meta device, and keeps the
difference; :func:`modelcrate.nn.restore.restore` puts it back. Facts are a state document:

=================== ====================================================================================
``version``         1
``training``        the flag that most modules have, and ``flipped``: the paths of those with the other one
``frozen``          parameters that take no gradient though their dtype could; ``tracked``: buffers that do
``ties``            name of a place -> name under which its tensor is stored: one tensor at several places
``shared``          storages that several tensors lie in (:mod:`modelcrate.nn.sharing`)
``transient``       buffers that are not persistent: stored all the same, so that none is left without values
``dtypes``          dtype of each place that has another one than the architecture builds
``loose``           tensors that are neither parameter nor buffer, but an attribute or inside one
``versions``        path -> version of the module's state, where it is not 1
``attributes``      path -> name -> value (:mod:`modelcrate.nn.nested`): what was put on a module later
``extra_state``     path -> what the module's own ``get_extra_state`` gave
=================== ====================================================================================
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from modelcrate.errors import UnsupportedError, UsageError
from modelcrate.format.document import Fields
from modelcrate.format.manifest import Omission
from modelcrate.format.tensors import METADATA_KEY, TensorData
from modelcrate.format.values import Value
from modelcrate.limits import DEFAULT, Limits
from modelcrate.nn import attributes
from modelcrate.nn.dtypes import NAMED, is_real_or_complex, name_of
from modelcrate.nn.nested import TensorSink, encode
from modelcrate.nn.sharing import Shared, find_shared
from modelcrate.nn.tensors import check_tensor, tensor_data
from modelcrate.nn.walk import Slot, modules, slots_of

VERSION = 1
_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)
_LISTS = ("flipped", "frozen", "tracked", "transient", "loose")
_STORED_NAME = re.compile(r"[!-~]{1,512}")
_PLAIN = "".join(chr(point) for point in range(0x21, 0x7F) if chr(point) != "%")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The facts of one module, typed; see the module's docstring for each."""

    training: bool = True
    flipped: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()
    tracked: tuple[str, ...] = ()
    ties: Mapping[str, str] = field(default_factory=dict)
    shared: tuple[Shared, ...] = ()
    transient: tuple[str, ...] = ()
    dtypes: Mapping[str, str] = field(default_factory=dict)
    loose: tuple[str, ...] = ()
    versions: Mapping[str, int] = field(default_factory=dict)
    attributes: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    extra_state: Mapping[str, Value] = field(default_factory=dict)

    def to_document(self) -> dict[str, Value]:
        """A state document; what is empty is left out."""
        document: dict[str, Value] = {"version": VERSION, "training": self.training}
        for name in _LISTS:
            document[name] = list(getattr(self, name))
        for name in ("ties", "dtypes", "versions", "extra_state"):
            document[name] = dict(getattr(self, name))
        document["shared"] = [one.to_document() for one in self.shared]
        document["attributes"] = {path: dict(held) for path, held in self.attributes.items()}
        return {name: value for name, value in document.items() if value or type(value) is bool}

    @classmethod
    def from_document(cls, document: object, *, where: str, limits: Limits = DEFAULT) -> Facts:
        """The facts of an untrusted document; FormatError for anything that is not one."""
        fields = Fields(document, where)
        version = fields.integer("version", minimum=1)
        if version != VERSION:
            raise UnsupportedError(f"facts of version {version}, this reader knows {VERSION}", where=where)
        found = cls(
            training=fields.boolean("training"),
            shared=tuple(
                Shared.from_fields(one, limits) for one in fields.each_fields("shared", max_items=limits.tensors)
            )
            if fields.has("shared")
            else (),
            versions={name: one.integer(name, minimum=0) for one, name in _entries(fields, "versions")},
            ties={name: one.text(name) for one, name in _entries(fields, "ties")},
            dtypes={name: one.text(name, choices=tuple(NAMED)) for one, name in _entries(fields, "dtypes")},
            extra_state={name: one.value(name) for one, name in _entries(fields, "extra_state")},
            attributes={
                path: {name: held.value(name) for held, name in _entries(one, path)}
                for one, path in _entries(fields, "attributes")
            },
            **{name: fields.texts(name) for name in _LISTS if fields.has(name)},
        )
        fields.finish()
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """The tensors of a module by stored name, each once; the facts; and what stayed behind, with the reason."""

    tensors: Mapping[str, torch.Tensor]
    facts: Facts
    omitted: tuple[Omission, ...]

    def data(self) -> dict[str, TensorData]:
        """The tensors as bytes: their own memory where it is contiguous and on the CPU, else a copy."""
        return {name: tensor_data(tensor, where=name) for name, tensor in self.tensors.items()}


def capture(module: nn.Module, reference: nn.Module, *, limits: Limits = DEFAULT) -> Captured:
    """Take the state of ``module``; ``reference`` is what its architecture and config build, on the meta device.

    Raises UnsupportedError, naming the tensor, for sparse, quantised, nested and meta tensors, subclasses of a tensor,
    dtypes that no crate holds and lazy modules without weights; UsageError where module and reference do not fit
    together, so that the crate would not load.
    """
    parts, built = dict(modules(module, limits=limits)), dict(modules(reference, limits=limits))
    held = list(slots_of(parts.items()))
    wanted = {slot.name: slot for slot in slots_of(built.items())}
    _compare(held, wanted)
    sink = TensorSink()
    ties: dict[str, str] = {}
    first: dict[int, str] = {}
    for slot in held:
        if slot.tensor is None:
            continue
        check_tensor(slot.tensor, slot.name)
        if id(slot.tensor) in first:
            ties[slot.name] = first[id(slot.tensor)]
            continue
        first[id(slot.tensor)] = slot.name
        sink.add(stored_name(slot.name, slot.name), slot.tensor, where=slot.name)
    known = len(sink.tensors)
    kept, extra, omitted = _put_on(parts, built, sink)
    present = [slot for slot in held if slot.tensor is not None]
    facts = Facts(
        **_flags(parts),
        frozen=_names(slot for slot in present if slot.kind == "parameter" and _is_frozen(slot.tensor)),
        tracked=_names(slot for slot in present if slot.kind != "parameter" and _tracks(slot.tensor)),
        ties=ties,
        shared=tuple(find_shared({name: sink.tensors[name] for name in map(stored_name, first.values())})),
        transient=_names(slot for slot in present if slot.kind == "transient"),
        dtypes=_dtypes(present, wanted),
        loose=tuple(list(sink.tensors)[known:]),
        versions={path: part._version for path, part in parts.items() if part._version != 1},
        attributes=kept,
        extra_state=extra,
    )
    return Captured(tensors=sink.tensors, facts=facts, omitted=tuple(omitted))


def stored_name(name: str, where: str | None = None) -> str:
    """The name of a tensor in the weights file: itself, with what that file can't hold written as ``%xx``."""
    stored = name if _STORED_NAME.fullmatch(name) and "%" not in name else quote(name, safe=_PLAIN)
    if _STORED_NAME.fullmatch(stored) is None or stored == METADATA_KEY:
        raise UnsupportedError("no tensor can be stored under this name", where=where or name)
    return stored


def place_name(stored: str) -> str:
    """The place whose tensor is stored under a name."""
    return unquote(stored) if "%" in stored else stored


def _compare(live: list[Slot], wanted: Mapping[str, Slot]) -> None:
    """What a crate could not be loaded into is refused while the model is still at hand."""
    missing = dict(wanted)
    for slot in live:
        other = missing.pop(slot.name, None)
        if other is None:
            raise UsageError(f"{slot.name} was added after the module was built, so the crate would not load")
        shapes = [None if it.tensor is None else _shape(it.tensor) for it in (slot, other)]
        if shapes[0] != shapes[1]:
            told = [it if it is None or isinstance(it, str) else list(it) for it in shapes]
            raise UsageError(f"{slot.name} has shape {told[0]}, its architecture builds {told[1]}")
    for name in missing:
        raise UsageError(f"{name} was removed after the module was built, so the crate would not load")


def _shape(tensor: torch.Tensor) -> torch.Size | str:
    return "of a lazy module" if type(tensor) in (UninitializedParameter, UninitializedBuffer) else tensor.shape


def _put_on(
    parts: Mapping[str, nn.Module], built: Mapping[str, nn.Module], sink: TensorSink
) -> tuple[dict[str, dict[str, Value]], dict[str, Value], list[Omission]]:
    """Attributes and extra state by path, and what can't be kept."""
    kept: dict[str, dict[str, Value]] = {}
    extra: dict[str, Value] = {}
    omitted: list[Omission] = []
    for path, part in parts.items():
        where = f"module.{path}" if path else "module"
        found, left = attributes.capture(part, built[path], path, sink)
        if found:
            kept[path] = found
        omitted += [Omission(what=one.what, where=where, why=one.why) for one in left]
        hooks = sum(len(getattr(part, table, ())) - len(getattr(built[path], table, ())) for table in _HOOKS)
        if hooks > 0:
            omitted.append(Omission(what=f"{hooks} hooks", where=where, why="hooks are code"))
        if type(part).get_extra_state is not nn.Module.get_extra_state:
            extra[path] = encode(part.get_extra_state(), where=f"{where}.extra_state", sink=sink)
    return kept, extra, omitted


def _flags(parts: Mapping[str, nn.Module]) -> dict[str, Any]:
    flags = {path: part.training for path, part in parts.items()}
    usual = Counter(flags.values()).most_common(1)[0][0]
    return {"training": usual, "flipped": tuple(path for path, flag in flags.items() if flag is not usual)}


def _dtypes(held: list[Slot], wanted: Mapping[str, Slot]) -> dict[str, str]:
    found: dict[str, str] = {}
    for slot in held:
        built = wanted[slot.name].tensor
        if slot.tensor is not None and built is not None and slot.tensor.dtype != built.dtype:
            found[slot.name] = name_of(slot.tensor.dtype)
    return found


def _names(found: Iterator[Slot]) -> tuple[str, ...]:
    return tuple(slot.name for slot in found)


def _is_frozen(tensor: torch.Tensor | None) -> bool:
    return tensor is not None and is_real_or_complex(tensor.dtype) and not tensor.requires_grad


def _tracks(tensor: torch.Tensor | None) -> bool:
    return tensor is not None and tensor.requires_grad


def _entries(fields: Fields, name: str) -> Iterator[tuple[Fields, str]]:
    """Each key of a nested map, with the map; nothing where the field is absent."""
    if fields.has(name):
        held = fields.fields(name)
        for key in held.names():
            yield held, key
