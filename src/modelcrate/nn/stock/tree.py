"""The description of a model as a list of places in pre-order, each under its dotted path.

A flat list, not nested maps: order is kept (a ``Sequential`` runs in it), depth costs no recursion, and one look shows
what stands where. A place is a layer, empty, or the same module as an earlier place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from modelcrate.errors import FormatError, LimitError
from modelcrate.format.document import Fields, kind_of
from modelcrate.limits import DEFAULT, Limits
from modelcrate.nn.dtypes import NAMED

EMPTY = "none"
"""The layer of a place that holds no module (``register_module("downsample", None)``)."""

_KINDS = ("parameter", "buffer", "transient")
_NAME_CHARACTERS = 256
_PATH_CHARACTERS = 4096
_PARTS = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """A tensor that the constructor does not make, or makes otherwise; no dtype and shape: registered as None."""

    kind: str
    dtype: str | None
    shape: tuple[int, ...] | None

    def to_document(self) -> dict[str, Any]:
        return {"kind": self.kind, "dtype": self.dtype, "shape": None if self.shape is None else list(self.shape)}

    @classmethod
    def from_fields(cls, fields: Fields, limits: Limits) -> TensorSpec:
        kind = fields.text("kind", choices=_KINDS)
        dtype = fields.nullable("dtype", lambda name: fields.text(name, choices=tuple(NAMED)))
        shape = fields.nullable(
            "shape",
            lambda name: fields.integers(name, maximum=limits.tensor_dimension, max_items=limits.tensor_rank),
        )
        fields.finish()
        if (dtype is None) != (shape is None):
            raise FormatError("dtype and shape are given together or not at all", where=fields.where)
        return cls(kind=kind, dtype=dtype, shape=shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One place. ``config`` and ``parametrizations`` are checked by the table of layers, not here.

    ``dtype`` is that of the layer's floating-point tensors; ``tensors`` holds what differs from what layer, config and
    dtype say; ``same_as`` is the path of the earlier place that holds the same module.
    """

    path: str
    layer: str = EMPTY
    config: dict[str, Any] = field(default_factory=dict)
    dtype: str = "float32"
    tensors: dict[str, TensorSpec] = field(default_factory=dict)
    parametrizations: dict[str, dict[str, Any]] = field(default_factory=dict)
    same_as: str | None = None

    @property
    def parent(self) -> str:
        """The path of the module that this place is a child of."""
        return self.path.rpartition(".")[0]

    @property
    def name(self) -> str:
        """The name under which the parent holds it."""
        return self.path.rpartition(".")[2]

    def to_document(self) -> dict[str, Any]:
        """JSON-able; what has its usual value is left out."""
        if self.same_as is not None:
            return {"path": self.path, "same_as": self.same_as}
        document: dict[str, Any] = {"path": self.path, "layer": self.layer}
        if self.config:
            document["config"] = self.config
        if self.dtype != "float32":
            document["dtype"] = self.dtype
        if self.tensors:
            document["tensors"] = [{"name": name, **spec.to_document()} for name, spec in self.tensors.items()]
        if self.parametrizations:
            document["parametrizations"] = [{"name": name, **it} for name, it in self.parametrizations.items()]
        return document

    @classmethod
    def from_fields(cls, fields: Fields, limits: Limits) -> Place:
        path = fields.text("path", max_length=_PATH_CHARACTERS)
        if fields.has("same_as"):
            same_as = fields.text("same_as", max_length=_PATH_CHARACTERS)
            fields.finish()
            return cls(path=path, same_as=same_as)
        layer = fields.text("layer", max_length=_NAME_CHARACTERS)
        config = _map(fields, "config")
        dtype = fields.text("dtype", choices=tuple(NAMED)) if fields.has("dtype") else "float32"
        tensors = {name: TensorSpec.from_fields(held, limits) for name, held in _named(fields, "tensors")}
        parametrizations = {name: _rest(held, "name") for name, held in _named(fields, "parametrizations")}
        fields.finish()
        return cls(
            path=path, layer=layer, config=config, dtype=dtype, tensors=tensors, parametrizations=parametrizations
        )


def _named(fields: Fields, name: str) -> Iterator[tuple[str, Fields]]:
    """The maps of an optional list by the name in each; a list, because their order is that of the module's tables."""
    seen: set[str] = set()
    if fields.has(name):
        for held in fields.each_fields(name, max_items=_PARTS):
            found = check_name(held.text("name"), held.path("name"))
            if found in seen:
                raise FormatError(f"{found!r} stands twice", where=held.where)
            seen.add(found)
            yield found, held


def _map(fields: Fields, name: str) -> dict[str, Any]:
    """A nested map as it is, for the table of layers to check; empty where the field is absent."""
    if not fields.has(name):
        return {}
    value = fields.value(name)
    if type(value) is not dict:
        raise FormatError(f"expected a map, found {kind_of(value)}", where=fields.path(name))
    return value


def _rest(fields: Fields, *but: str) -> dict[str, Any]:
    """The fields of a map but those, unchecked."""
    return {name: fields.value(name) for name in fields.names() if name not in but}


def check_name(name: str, where: str) -> str:
    """Return ``name`` if a module may hold a child or a tensor under it."""
    if not 0 < len(name) <= _NAME_CHARACTERS or "." in name or name.startswith("__"):
        raise FormatError(f"{name!r} can't name a part of a module", where=where)
    return name


def parse_tree(document: object, *, where: str, limits: Limits = DEFAULT) -> tuple[Place, ...]:
    """The places of an untrusted tree, parents before children, every reference to an earlier, finished place.

    Raises FormatError for a tree that is none, LimitError beyond ``limits``.
    """
    fields = Fields(document, where)
    listed = fields.items("modules", max_items=limits.modules)
    fields.finish()
    branch = _Branch(limits)
    places: list[Place] = []
    for index, item in enumerate(listed):
        at = f"{where}.modules[{index}]"
        place = Place.from_fields(Fields(item, at), limits)
        branch.add(place, at)
        places.append(place)
    if not places:
        raise FormatError("a tree without a root", where=where)
    branch.close(where)
    return tuple(places)


def to_document(places: tuple[Place, ...] | list[Place]) -> dict[str, Any]:
    """The JSON-able form of a tree."""
    return {"modules": [place.to_document() for place in places]}


class _Branch:
    """The ancestors of the next place, each with the number of places that a walk below it sees.

    References to finished places only can make no cycle, but they can double at every level: hence the count.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: list[tuple[str, int]] = []
        self._visits: dict[str, int] = {}
        self._known: set[str] = set()

    def add(self, place: Place, where: str) -> None:
        """Refuse a place that does not continue the walk: absent parent, second mention, reference to no module."""
        if not self._known:
            if place.path or place.same_as is not None or place.layer == EMPTY:
                raise FormatError("the first module is the root, with the empty path", where=where)
        else:
            if not place.path or place.path in self._known:
                raise FormatError(f"{place.path!r} stands twice", where=where)
            if place.path.count(".") >= self._limits.module_depth:
                raise LimitError(f"modules nested deeper than {self._limits.module_depth}", where=where)
            check_name(place.name, where)
            while self._open and self._open[-1][0] != place.parent:
                self._finish(where)
            if not self._open:
                raise FormatError(f"{place.path!r} does not stand below its parent", where=where)
        self._known.add(place.path)
        if place.same_as is not None:
            seen = self._visits.get(place.same_as)
            if seen is None:
                raise FormatError(f"{place.same_as!r} is not an earlier module that this one could be", where=where)
            self._count(seen, where)
        elif place.layer == EMPTY:
            self._count(1, where)
        else:
            self._open.append((place.path, 1))

    def close(self, where: str) -> None:
        """Finish every open place."""
        while self._open:
            self._finish(where)

    def _finish(self, where: str) -> None:
        path, visits = self._open.pop()
        self._visits[path] = visits
        if self._open:
            self._count(visits, where)

    def _count(self, more: int, where: str) -> None:
        path, visits = self._open[-1]
        if visits + more > self._limits.module_visits:
            raise LimitError(f"modules visited more than {self._limits.module_visits} times", where=where)
        self._open[-1] = (path, visits + more)
