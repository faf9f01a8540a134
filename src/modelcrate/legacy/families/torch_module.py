"""Whole modules out of legacy files: inert records become a component, without a class of the file being touched.

Layers of torch.nn are found in a table by their dotted name, and built from their recorded settings by this library's
own table of layers. Any other class is carried as what it holds: its tensors, its plain attributes and the layers
inside; its code is in no file. The component's type is then a tag made from the class's name, which whoever has the
code registers (or gives as ``load(..., architecture=...)``).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, Final

import torch
from torch import nn

from modelcrate.errors import FormatError, LimitError, ModelcrateError, UnsupportedError
from modelcrate.format.manifest import Omission
from modelcrate.format.names import TAG_LENGTH
from modelcrate.legacy.families import torch_norms
from modelcrate.legacy.record import Name, Record
from modelcrate.limits import DEFAULT, Limits
from modelcrate.nn.dtypes import is_real_or_complex, name_of
from modelcrate.nn.nested import TensorSink, encode
from modelcrate.nn.state import Facts, capture
from modelcrate.nn.stock import BY_PATH, TAG, Parts, build
from modelcrate.nn.stock.build import Checked, assemble, charge, check
from modelcrate.nn.stock.describe import overrides
from modelcrate.nn.stock.tree import EMPTY, Place, check_name, to_document
from modelcrate.nn.walk import join, modules
from modelcrate.storage.component import ComponentData

_TABLES: Final = ("_parameters", "_buffers", "_modules")
_HOOKS: Final = tuple(name for name in nn.Module().__dict__ if name.endswith("_hooks"))
_INTERNAL: Final = frozenset([*nn.Module().__dict__, "_backend", "_flat_weights", "_non_persistent_buffers_set"])
_BARE: Final = "module"
"""The layer that stands in for a class that is not torch's: a holder of tensors and children without any code."""
LISTED: Final = 2000
"""Layers listed for people in the manifest, which has a limit of its own."""
_FUNCTIONS: Final = ("torch.nn.functional.", "torch._C._nn.", "torch._VF.", "torch.")


@dataclass(slots=True, kw_only=True)
class Found:
    """One module of the file: where it hangs, what the file says of it, and a holder of its live tensors."""

    place: Place
    record: Record | None
    stand: nn.Module | None = None
    norms: tuple[torch_norms.Norm, ...] = ()

    @property
    def foreign(self) -> bool:
        """Whether it is an object of a class that is not of torch.nn."""
        return self.record is not None and self.record.class_name not in BY_PATH


@dataclass(slots=True, kw_only=True)
class Module:
    """A module of a legacy file in our words."""

    component: ComponentData
    training: bool
    class_name: str
    foreign: dict[str, str]
    """Path of each module whose class is not of torch.nn, and that class."""
    layers: list[dict[str, Any]]
    """The tree in short, for people: path, layer or class, settings."""
    omitted: list[Omission] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def is_module(value: object) -> bool:
    """Whether a record is that of a ``torch.nn.Module``, of whatever class."""
    return isinstance(value, Record) and all(isinstance(value.attributes.get(table), dict) for table in _TABLES)


def translate_module(
    record: Record, *, name: str, role: str, where: str, with_mode: bool = False, limits: Limits = DEFAULT
) -> Module:
    """The component of a module and all that belongs to it; ``with_mode`` keeps its training flag with it.

    Raises UnsupportedError, naming the path, for layers and tensors that no crate can hold, FormatError for a record
    that is no module or contradicts itself, LimitError for one without bounds.
    """
    found = _walk(record, where, limits)
    tree, foreign = _describe(found, where, limits)
    reference, live = build(tree, limits=limits), build(tree, limits=limits)
    omitted: list[Omission] = []
    _fill(live, found, omitted, where)
    captured = capture(live, reference, limits=limits)
    omitted += captured.omitted
    tag, config = TAG, tree
    if "" in foreign:
        tag, config = tag_of(foreign[""]), {}
    elif foreign:
        config = _with_tags(tree, foreign)
    plain = captured.facts == Facts(training=live.training and not with_mode)
    component = ComponentData(
        name=name,
        role=role,
        type=tag,
        config=config,
        tensors=captured.data(),
        state=None if plain else captured.facts.to_document(),
    )
    return Module(
        component=component,
        training=live.training,
        class_name=record.class_name,
        foreign=foreign,
        layers=_summary(found) if foreign else [],
        omitted=omitted,
        notes=[_note(path, kind) for path, kind in _outermost(foreign).items()]
        + [f"{join(it.place.path, norm.name)}: {norm.note}" for it in found for norm in it.norms],
    )


def tag_of(class_name: str) -> str:
    """The tag under which a class of a legacy file is looked up: its dotted name in lower case, version 1."""
    parts = [re.sub(r"[^a-z0-9_]", "_", part) for part in class_name.lower().split(".") if part]
    tag = ".".join(parts if len(parts) > 1 else ["legacy", *parts]) + "/1"
    return tag if len(tag) <= TAG_LENGTH else f"legacy.{parts[-1][: TAG_LENGTH - 10]}/1"


def _outermost(foreign: dict[str, str]) -> dict[str, str]:
    """Those that stand in no other one, which would make them itself."""
    found: dict[str, str] = {}
    for path, kind in foreign.items():
        if not any(other == "" or path.startswith(f"{other}.") for other in found):
            found[path] = kind
    return found


def _note(path: str, kind: str) -> str:
    what = f"{path} is" if path else "the model is"
    return f"{what} of class {kind}, whose code is in no crate; register it as {tag_of(kind)!r} to load it"


# -- the modules of the file


def _walk(root: Record, where: str, limits: Limits) -> list[Found]:
    """Every place in pre-order, parents before children, shared modules once."""
    seen: dict[int, str] = {}
    found: list[Found] = []
    pending: list[tuple[str, object, int]] = [("", root, 0)]
    while pending:
        path, record, depth = pending.pop()
        if len(found) >= limits.modules:
            raise LimitError(f"more than {limits.modules} modules", where=where)
        if depth > limits.module_depth:
            raise LimitError(f"modules nested deeper than {limits.module_depth}", where=f"{where}.{path}")
        if path:
            check_name(path.rpartition(".")[2], f"{where}.{path}")
        if record is None:
            found.append(Found(place=Place(path=path), record=None))
            continue
        if not isinstance(record, Record) or not is_module(record):
            raise FormatError("a child that is no module", where=f"{where}.{path}")
        known = seen.get(id(record))
        if known is not None:
            if known == "" or path.startswith(known + "."):
                raise UnsupportedError("a module that contains itself can't be stored", where=f"{where}.{path}")
            found.append(Found(place=Place(path=path, layer=EMPTY, same_as=known), record=None))
            continue
        seen[id(record)] = path
        at = f"{where}.{path}" if path else where
        stand, norms = _stand(record, at)
        found.append(Found(place=_place(path, record, stand, norms, at), record=record, stand=stand, norms=norms))
        children = record.attributes["_modules"]
        if not all(type(key) is str for key in children):
            raise FormatError("a child whose name is no text", where=at)
        pending += [(join(path, key), child, depth + 1) for key, child in reversed(children.items())]
    return found


def _stand(record: Record, where: str) -> tuple[nn.Module, tuple[torch_norms.Norm, ...]]:
    """A holder of the record's tensors, hook-made norms taken back to the tensors that they stand for."""
    stand = nn.Module()
    tables = {kind: dict(record.attributes[f"_{kind}"]) for kind in ("parameters", "buffers")}
    norms = torch_norms.take(record, tables["parameters"], tables["buffers"], where)
    for kind, table in tables.items():
        for name, tensor in table.items():
            if type(name) is not str:
                raise FormatError("a tensor whose name is no text", where=where)
            check_name(name, f"{where}.{name}")
            wanted = nn.Parameter if kind == "parameters" else torch.Tensor
            if tensor is not None and not isinstance(tensor, wanted):
                raise FormatError(f"expected a tensor, found {_kind(tensor)}", where=f"{where}.{name}")
            getattr(stand, f"_{kind}")[name] = tensor
    transient = record.attributes.get("_non_persistent_buffers_set", set())
    if isinstance(transient, set | frozenset):
        stand._non_persistent_buffers_set = {name for name in transient if name in stand._buffers}
    return stand, norms


def _place(path: str, record: Record, stand: nn.Module, norms: tuple[torch_norms.Norm, ...], where: str) -> Place:
    names: Counter[str] = Counter()
    shapes: dict[str, dict[str, tuple[int, ...] | None]] = {"_parameters": {}, "_buffers": {}}
    for table, sizes in shapes.items():
        for name, tensor in getattr(stand, table).items():
            sizes[name] = None if tensor is None else tuple(tensor.shape)
            if tensor is not None and is_real_or_complex(tensor.dtype):
                names[name_of(tensor.dtype)] += 1
    layer = BY_PATH.get(record.class_name)
    attributes = {key: _setting(value) for key, value in record.attributes.items()}
    parts = Parts(
        attributes=attributes,
        parameters=shapes["_parameters"],
        buffers=shapes["_buffers"],
        children=record.attributes["_modules"],
    )
    return Place(
        path=path,
        layer=_BARE if layer is None else layer.tag,
        config={} if layer is None else layer.capture(parts, where),
        dtype=names.most_common(1)[0][0] if names else "float32",
        parametrizations={norm.name: norm.config for norm in norms},
    )


def _setting(value: object) -> object:
    """A setting as the table of layers reads it; a function of torch is known by its own name there."""
    if isinstance(value, Name):
        for prefix in _FUNCTIONS:
            if value.name.startswith(prefix) and "." not in value.name[len(prefix) :]:
                return value.name[len(prefix) :]
    return value


# -- the tree, and the module that it builds


def _describe(found: list[Found], where: str, limits: Limits) -> tuple[dict[str, Any], dict[str, str]]:
    """The tree of layers, foreign classes as bare holders; and those classes by path."""
    by_path = {it.place.path: it for it in found}
    finished: dict[str, Place] = {}

    def compare(part: Checked, made: nn.Module) -> Checked:
        stand = by_path[part.path].stand
        assert stand is not None  # assemble() builds layers only
        place = replace(part.place, tensors=overrides(stand, made, part.place))
        finished[part.path] = place
        return replace(part, place=place)

    try:
        checked = [check(it.place, f"{where}.{it.place.path}" if it.place.path else where) for it in found]
        charge(checked, where, limits)
        with torch.device("meta"):
            assemble(checked, compare)
    except UnsupportedError:
        raise
    except ModelcrateError as error:
        raise UnsupportedError(f"this model can't be built again: {error.what}", where=error.where) from error
    tree = to_document([finished.get(it.place.path, it.place) for it in found])
    foreign = {it.place.path: it.record.class_name for it in found if it.foreign and it.record is not None}
    return tree, foreign


def _with_tags(tree: dict[str, Any], foreign: dict[str, str]) -> dict[str, Any]:
    """The tree with the tags of foreign classes in their places, which make their own insides."""
    kept: list[dict[str, Any]] = []
    hidden: str | None = None
    for listed in tree["modules"]:
        place, path = listed, listed["path"]
        if hidden is not None and f"{path}.".startswith(hidden):
            continue
        if path in foreign:
            hidden = f"{path}."
            place = {"path": path, "layer": tag_of(foreign[path])}
        kept.append(place)
    present = {place["path"] for place in kept}
    for place in kept:
        if place.get("same_as", "") not in present:
            raise UnsupportedError("a module is shared with the inside of a foreign one", where=place["path"])
    return {"modules": kept}


def _fill(live: nn.Module, found: list[Found], omitted: list[Omission], where: str) -> None:
    """Put the file's tensors, flags and plain attributes on the built modules; list what is neither."""
    parts = dict(modules(live))
    for it in found:
        if it.record is None or it.stand is None:
            continue
        part = parts[it.place.path]
        at = f"{where}.{it.place.path}" if it.place.path else where
        normed = {norm.name for norm in it.norms}
        for table in ("_parameters", "_buffers"):
            own = getattr(part, table)
            for name, tensor in getattr(it.stand, table).items():
                if name not in normed:
                    own[name] = tensor
        for norm in it.norms:
            norm.fill(part)
        training = it.record.attributes.get("training", True)
        if type(training) is not bool:
            raise FormatError("a training flag that is neither true nor false", where=at)
        for module in (part, *(part.modules() if it.norms else ())):
            module.training = training
        if isinstance(part, nn.RNNBase):
            part._init_flat_weights()
        _attributes(part, it, omitted, at)


def _attributes(part: nn.Module, it: Found, omitted: list[Omission], where: str) -> None:
    assert it.record is not None
    hooks = sum(len(held) for name in _HOOKS if isinstance(held := it.record.attributes.get(name), dict))
    hooks -= sum(norm.hooks for norm in it.norms)
    if hooks > 0:
        omitted.append(Omission(what=f"{hooks} hooks", where=where, why="hooks are code"))
    normed = {norm.name for norm in it.norms}
    for name, value in it.record.attributes.items():
        if name in _INTERNAL or name in normed or type(name) is not str:
            continue
        if not it.foreign and (name.startswith("_") or hasattr(part, name)):
            continue  # a setting of the layer's own
        problem = _no_data(value, where)
        if problem is None:
            part.__dict__[name] = value
        else:
            omitted.append(Omission(what=f"attribute {name}", where=where, why=problem))


def _no_data(value: object, where: str) -> str | None:
    """Why a value is no plain data, or None."""
    if isinstance(value, Record):
        return f"an object of {value.class_name} is no data"
    if isinstance(value, Name):
        return f"{value.name} is a class or a function"
    try:
        encode(value, where=where, sink=TensorSink())
    except ModelcrateError as error:
        return "it holds objects that are no data" if "Record" in error.what else error.what
    return None


def _summary(found: list[Found]) -> list[dict[str, Any]]:
    return [
        {
            "path": it.place.path,
            **({"class": it.record.class_name} if it.foreign else {"layer": it.place.layer}),
            **({"config": it.place.config} if it.place.config else {}),
        }
        for it in found
        if it.record is not None
    ][:LISTED]


def _kind(value: object) -> str:
    return f"an object of {value.class_name}" if isinstance(value, Record) else f"a {type(value).__name__}"
