"""From the description of a model to the model, on the meta device unless asked otherwise."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from modelcrate.errors import FormatError, LimitError, UnsupportedError
from modelcrate.limits import DEFAULT, Limits
from modelcrate.nn.dtypes import NAMED, is_real_or_complex
from modelcrate.nn.meta import without_modes
from modelcrate.nn.registry import Architecture, lookup
from modelcrate.nn.stock import parametrized
from modelcrate.nn.stock.layer import Children, Config, Layer
from modelcrate.nn.stock.table import LAYERS
from modelcrate.nn.stock.tree import EMPTY, Place, TensorSpec, parse_tree
from modelcrate.nn.walk import own_slots

TAG = "torch.nn/1"
"""The type of a component whose config is a tree of stock layers."""


def build_modules(modules: object) -> nn.Module:
    """What the tag builds from its config, on the device that the caller set."""
    return build({"modules": modules}, None)


def build(
    tree: object, device: str | torch.device | None = "meta", *, where: str = "config", limits: Limits = DEFAULT
) -> nn.Module:
    """The model that an untrusted ``tree`` (made by ``describe``) describes, in training mode.

    A registered architecture may stand among the layers, under its tag. ``device=None`` is the one set by the caller.
    On the meta device nothing is allocated and no random number is drawn; on another one, layers are initialised as
    torch initialises them and tensors that no constructor makes are zeros.
    Raises FormatError for a tree that describes no model, UnsupportedError for a layer that is not in the table,
    LimitError for one that asks for more than ``limits`` allow, counted before anything is built.
    """
    places = parse_tree(tree, where=where, limits=limits)
    checked = [check(place, f"{where}.modules[{index}]") for index, place in enumerate(places)]
    charge(checked, where, limits)
    with contextlib.nullcontext() if device is None else torch.device(device):
        return assemble(checked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A place whose layer is known and whose config is in range; no layer: an empty or shared place.

    The config of a registered architecture is checked when it is built.
    """

    path: str
    where: str
    layer: Layer | Architecture | None
    config: Config
    place: Place


def check(place: Place, where: str) -> Checked:
    """Look the layer up and hold its config against the table."""
    if place.same_as is not None or place.layer == EMPTY:
        return Checked(path=place.path, where=where, layer=None, config={}, place=place)
    layer = LAYERS.get(place.layer)
    if layer is None and "/" in place.layer and place.layer != TAG:
        if place.tensors or place.parametrizations:
            raise FormatError("a registered architecture makes its own tensors", where=where)
        found = lookup(place.layer, where=f"{where}.layer")
        return Checked(path=place.path, where=where, layer=found, config=place.config, place=place)
    if layer is None:
        raise UnsupportedError(f"no stock layer {place.layer!r} is known here", where=f"{where}.layer")
    config = layer.parse(place.config, f"{where}.config")
    for name, document in place.parametrizations.items():
        parametrized.check(document, f"{where}.parametrizations.{name}")
    return Checked(path=place.path, where=where, layer=layer, config=config, place=place)


def charge(checked: Sequence[Checked], where: str, limits: Limits) -> None:
    """Count elements and tensors of all layers in integers; LimitError for more than ``limits`` allow."""
    elements = tensors = 0
    for part in checked:
        if isinstance(part.layer, Layer) and part.layer.cost is not None:
            more = part.layer.cost(part.config)
            elements, tensors = elements + more[0], tensors + more[1]
        for spec in part.place.tensors.values():
            elements, tensors = elements + math.prod(spec.shape or ()), tensors + 1
        if elements > limits.module_elements:
            raise LimitError(f"layers that ask for more than {limits.module_elements} elements", where=part.where)
        if tensors > limits.tensors:
            raise LimitError(f"layers that ask for more than {limits.tensors} tensors", where=part.where)


def assemble(
    checked: Sequence[Checked], revise: Callable[[Checked, nn.Module], Checked] = lambda part, made: part
) -> nn.Module:
    """Build every place, children before their parents, a shared module before its second place.

    ``revise`` sees each place with what its constructor made, before the place's own tensors are put in.
    """
    built: dict[str, nn.Module] = {}
    pending: list[tuple[Checked, dict[str, nn.Module | None]]] = []

    def close() -> None:
        part, children = pending.pop()
        made = construct(part, children)
        built[part.path] = finish(made, revise(part, made), children)
        if pending:
            pending[-1][1][part.place.name] = built[part.path]

    for part in checked:
        while pending and pending[-1][0].path != part.place.parent:
            close()
        if part.layer is not None:
            pending.append((part, {}))
        else:
            target = part.place.same_as
            pending[-1][1][part.place.name] = None if target is None else built[target]
    while pending:
        close()
    return built[""]


def construct(part: Checked, children: Children) -> nn.Module:
    """The layer as its constructor makes it."""
    assert part.layer is not None  # assemble() calls this for layers only
    if isinstance(part.layer, Architecture):
        return part.layer.construct(part.config, where=f"{part.where}.config")
    return part.layer.build(part.config, children, f"{part.where}.config")


def finish(made: nn.Module, part: Checked, children: Children) -> nn.Module:
    """Bring a fresh layer to what its place says: dtype, tensors, children in order, parametrisations."""
    if isinstance(part.layer, Architecture):
        if children:
            raise FormatError("a registered architecture makes its own children", where=part.where)
        return made
    dtype = NAMED[part.place.dtype]
    with without_modes():
        others = [
            (slot, slot.tensor)
            for slot in own_slots("", made)
            if slot.tensor is not None and slot.tensor.dtype != dtype and is_real_or_complex(slot.tensor.dtype)
        ]
    for slot, tensor in others:
        _put(made, slot.attribute, slot.kind, torch.zeros_like(tensor, dtype=dtype))
    for name, spec in part.place.tensors.items():
        _override(made, name, spec, f"{part.where}.tensors.{name}")
    made._modules.clear()
    for name, child in children.items():
        held = made.__dict__.get(name)
        if held is None:
            made.__dict__.pop(name, None)  # a constructor leaves None where a child may come
        if hasattr(made, name):
            raise FormatError(f"{name!r} can't name a child of a {part.place.layer}", where=part.where)
        made.add_module(name, child)
    parametrized.apply(made, part.place.parametrizations, f"{part.where}.parametrizations")
    return made


def _override(made: nn.Module, name: str, spec: TensorSpec, where: str) -> None:
    """Register a tensor that the constructor did not make, or give one that it made another kind, dtype or shape."""
    present = name in made._parameters or name in made._buffers
    if not present:
        if made.__dict__.get(name, made) is None:
            del made.__dict__[name]
        if hasattr(made, name):
            raise FormatError(f"{name!r} can't name a tensor of this layer", where=where)
    value = None if spec.dtype is None or spec.shape is None else torch.zeros(spec.shape, dtype=NAMED[spec.dtype])
    _put(made, name, spec.kind, value)


def _put(made: nn.Module, name: str, kind: str, value: torch.Tensor | None) -> None:
    """Register a tensor under its kind; through ``setattr`` where the name is known, which recurrent layers rely on."""
    parameter: nn.Parameter | None = None
    if kind == "parameter" and value is not None:
        value = parameter = nn.Parameter(value, requires_grad=is_real_or_complex(value.dtype))
    table = made._parameters if kind == "parameter" else made._buffers
    if name in table:
        setattr(made, name, value)
    else:
        made._parameters.pop(name, None)
        made._buffers.pop(name, None)
        if kind == "parameter":
            made.register_parameter(name, parameter)
        else:
            made.register_buffer(name, value)
    if kind == "transient":
        made._non_persistent_buffers_set.add(name)
    elif kind == "buffer":
        made._non_persistent_buffers_set.discard(name)
