"""From a live model of stock layers to its description."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from modelcrate.errors import ModelcrateError, UnsupportedError
from modelcrate.limits import DEFAULT, Limits
from modelcrate.nn.dtypes import NAMED, is_real_or_complex, name_of
from modelcrate.nn.meta import on_meta, without_modes
from modelcrate.nn.registry import CAPTURED, Architecture, Built, built, what_to_write
from modelcrate.nn.stock import parametrized
from modelcrate.nn.stock.build import Checked, assemble, charge, check
from modelcrate.nn.stock.layer import Parts
from modelcrate.nn.stock.table import BY_CLASS
from modelcrate.nn.stock.tree import EMPTY, Place, TensorSpec, check_name, to_document
from modelcrate.nn.tensors import check_tensor
from modelcrate.nn.walk import Slot, join, own_slots, walk


def describe(module: nn.Module, *, limits: Limits = DEFAULT) -> dict[str, Any]:
    """The tree of a model; see :func:`described`."""
    return described(module, limits=limits)[0]


def described(module: nn.Module, *, limits: Limits = DEFAULT) -> tuple[dict[str, Any], nn.Module]:
    """The tree of a model that is composed of layers of torch.nn, JSON-able; ``build`` makes the model of it again.

    The second result is that model, on the meta device: it is built here anyway, to be compared with the live one.

    Wrappers (DataParallel, DDP, ``torch.compile``) are taken off. Weights, flags and attributes are not part of the
    tree; :mod:`modelcrate.nn.state` keeps those.
    Raises UnsupportedError for a class that is not of torch.nn (it says what to write) and for a layer that was changed
    in a way that no constructor call can repeat.
    """
    found = _places(module, limits)
    live = {place.path: layer for place, layer in found}
    finished: dict[str, Place] = {}

    def compare(part: Checked, made: nn.Module) -> Checked:
        layer = live[part.path]
        assert layer is not None  # assemble() builds layers only
        if isinstance(part.layer, Architecture):
            return part
        with without_modes():
            tensors = overrides(layer, made, part.place)
        if not tensors:
            return part
        place = dataclasses.replace(part.place, tensors=tensors)
        finished[part.path] = place
        return dataclasses.replace(part, place=place)

    try:
        checked = [check(place, place.path or "module") for place, _ in found]
        charge(checked, "module", limits)
        with on_meta():
            reference = assemble(checked, compare)
    except UnsupportedError:
        raise
    except ModelcrateError as error:  # what a reader would refuse is better refused now
        raise UnsupportedError(f"the model could not be built again: {error.what}", where=error.where) from error
    return to_document([finished.get(place.path, place) for place, _ in found]), reference


def parts_of(module: nn.Module) -> Parts:
    """The parts of a live layer; a parametrised tensor counts as the parameter that it stands for."""
    slots = list(own_slots("", module))
    parameters = {slot.attribute: _shape(slot.tensor) for slot in slots if slot.kind == "parameter"}
    for name, computed in parametrized.parametrized(module):
        held = computed._parameters
        parameters[name] = _shape(held.get("original", held.get("original1")))  # a norm and a direction: the latter
    return Parts(
        attributes=module.__dict__,
        parameters=parameters,
        buffers={slot.attribute: _shape(slot.tensor) for slot in slots if slot.kind != "parameter"},
        children=module._modules,
    )


def _places(module: nn.Module, limits: Limits) -> list[tuple[Place, nn.Module | None]]:
    """Every place with its layer and config; tensors come later, when there is something to compare with."""
    found: list[tuple[Place, nn.Module | None]] = []
    listed: set[str] = set()
    hidden: str | None = None  # below it, places are not the tree's to list
    for visit in walk(module, limits=limits):
        if hidden is not None and f"{visit.path}.".startswith(hidden):
            continue
        if visit.path:
            check_name(visit.path.rpartition(".")[2], visit.path)
        if visit.module is None or visit.same_as is not None:
            if visit.same_as is not None and visit.same_as not in listed:
                what = f"shares a module with the inside of a registered architecture ({visit.same_as})"
                raise UnsupportedError(what, where=visit.path)
            found.append((Place(path=visit.path, layer=EMPTY, same_as=visit.same_as), visit.module))
            continue
        place = _place(visit.path, visit.module)
        listed.add(visit.path)
        if "/" in place.layer:
            hidden = join(visit.path, "")
        elif place.parametrizations:
            hidden = join(join(visit.path, parametrized.CHILD), "")
        found.append((place, visit.module))
    return found


def _place(path: str, module: nn.Module) -> Place:
    where = path or "module"
    if isinstance(module.__dict__.get(CAPTURED), Built):
        made = built(module)
        return Place(path=path, layer=made.tag, config=made.config)
    layer = BY_CLASS.get(parametrized.base_class(module))
    if layer is None:
        raise _foreign(type(module), where)
    dtype = _dtype(module, path)  # first: it refuses tensors that have no shape to speak of
    return Place(
        path=path,
        layer=layer.tag,
        config=layer.capture(parts_of(module), where),
        dtype=dtype,
        parametrizations=parametrized.describe(module, where),
    )


def _dtype(module: nn.Module, path: str) -> str:
    """The dtype that most of a layer's own floating-point tensors have."""
    tensors = {slot.attribute: slot.tensor for slot in own_slots("", module)}
    for name, computed in parametrized.parametrized(module):
        tensors |= {f"{name}.{kind}": tensor for kind, tensor in computed._parameters.items()}
    names: Counter[str] = Counter()
    for name, tensor in tensors.items():
        if tensor is not None and not tensor.is_meta:
            check_tensor(tensor, join(path, name))
        if tensor is not None and is_real_or_complex(tensor.dtype):
            names[name_of(tensor.dtype)] += 1
    return names.most_common(1)[0][0] if names else "float32"


def overrides(live: nn.Module, made: nn.Module, place: Place) -> dict[str, TensorSpec]:
    """The tensors in which a live layer differs from what its constructor makes in the layer's dtype."""
    where = place.path or "module"
    expected = {slot.attribute: slot for slot in own_slots("", made)}
    held = {slot.attribute: slot for slot in own_slots("", live)}
    for name in expected:
        if name not in held and name not in place.parametrizations:
            raise _removed(live, name, where)
    return {
        name: _spec(slot, join(place.path, name))
        for name, slot in held.items()
        if name not in expected or _signature(slot) != _signature(expected[name], NAMED[place.dtype])
    }


def _signature(slot: Slot, dtype: torch.dtype | None = None) -> tuple[str, object, object]:
    if slot.tensor is None:
        return slot.kind, None, None
    real = is_real_or_complex(slot.tensor.dtype)
    return slot.kind, dtype if real and dtype is not None else slot.tensor.dtype, tuple(slot.tensor.shape)


def _spec(slot: Slot, where: str) -> TensorSpec:
    if slot.tensor is None:
        return TensorSpec(kind=slot.kind, dtype=None, shape=None)
    if not slot.tensor.is_meta:
        check_tensor(slot.tensor, where)
    return TensorSpec(kind=slot.kind, dtype=name_of(slot.tensor.dtype), shape=tuple(slot.tensor.shape))


def _shape(tensor: torch.Tensor | None) -> tuple[int, ...] | None:
    return None if tensor is None else tuple(tensor.shape)


def _foreign(cls: type[nn.Module], where: str) -> UnsupportedError:
    kind = cls.__name__
    if issubclass(cls, nn.modules.lazy.LazyModuleMixin):
        return _lazy(cls, where)
    if "quantized" in cls.__module__:
        return UnsupportedError(f"{kind} is a quantised layer, which can't be stored", where=where)
    if cls.__module__.startswith(("torch.jit", "torch.fx")):
        return UnsupportedError(f"{kind} is a compiled program, not a model as data", where=where)
    if cls.__module__ == "torch.optim.swa_utils":
        hint = "save its .module, or give it as ema= to modelcrate.save_checkpoint, which keeps its count too"
        return UnsupportedError(f"{kind} is an average under way, not a network", where=where, hint=hint)
    return UnsupportedError(
        f"{kind} is neither a layer of torch.nn nor a registered architecture",
        where=where,
        hint=what_to_write(cls),
    )


def _lazy(cls: type[nn.Module], where: str) -> UnsupportedError:
    return UnsupportedError(
        f"{cls.__name__} has no weights yet", where=where, hint="run one forward pass, or build it with its sizes"
    )


def _removed(live: nn.Module, name: str, where: str) -> UnsupportedError:
    held: Mapping[str, object] = {**live._parameters, **live._buffers}
    hint = "register the model's class as an architecture"
    if f"{name}_g" in held or f"{name}_orig" in held or f"{name}_bar" in held:
        hint = (
            "use torch.nn.utils.parametrizations (weight_norm, spectral_norm) instead of the hooks of torch.nn.utils, "
            "and prune.remove() for pruning"
        )
    return UnsupportedError(
        f"the {name} of this {type(live).__name__} was taken away or replaced", where=where, hint=hint
    )
