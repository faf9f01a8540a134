"""A torch module as a component: taken apart into architecture, arguments and tensors, and put together again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from modelcrate.crate import Crate
from modelcrate.errors import FormatError, UnsupportedError, UsageError
from modelcrate.format.document import Fields
from modelcrate.format.manifest import Omission
from modelcrate.nn.materialise import build_meta, materialise, named_tensors
from modelcrate.nn.registry import built, lookup
from modelcrate.nn.tensors import DTYPES, NAMES, tensor_data
from modelcrate.parts import MODULE, Parts
from modelcrate.storage.component import ComponentData
from modelcrate.stored import StoredComponent

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def load_module(crate: Crate, config: Mapping[str, Any], device: torch.device) -> torch.nn.Module:
    """The module of a crate of type ``nn.module/1``, in the mode it was saved in; raises as :func:`load_component`."""
    fields = Fields(dict(config), "manifest.model.config")
    training = fields.boolean("training")
    dtype = fields.nullable("dtype", lambda name: fields.text(name, choices=tuple(DTYPES)))
    fields.finish()
    if len(crate) != 1:
        raise FormatError(f"a module is one component, the crate has {len(crate)}", where="manifest.components")
    (component,) = crate.values()
    return load_component(component, device, dtype=None if dtype is None else DTYPES[dtype]).train(training)


def load_component(
    component: StoredComponent, device: torch.device, *, dtype: torch.dtype | None = None
) -> torch.nn.Module:
    """The module that a component's type, config and tensors describe, in evaluation mode.

    Raises FormatError for a component that also has a state, else as :func:`modelcrate.nn.materialise.materialise`.
    """
    if component.has_state:
        raise FormatError("a module has no state document", where=component.where)
    where = component.where
    return materialise(
        component.type, component.config, component.header, component.weights, device, dtype=dtype, where=where
    )


def module_parts(module: torch.nn.Module) -> Parts:
    """The parts of a live module whose class is registered; raises as :func:`module_component`."""
    component, dtype = module_component(module, name="module", role="module")
    return Parts(
        model=(MODULE, {"training": module.training, "dtype": None if dtype is None else NAMES[dtype]}),
        components=[component],
        omitted=_omissions(module),
    )


def module_component(module: torch.nn.Module, *, name: str, role: str) -> tuple[ComponentData, torch.dtype | None]:
    """A live module as a component, and the dtype to which it was converted after it was built, if it was.

    The architecture is built once more, on the meta device, and compared: what would not load is refused here.
    Raises UsageError for a class that is not registered and for a module that was changed after construction.
    """
    made = built(module)
    tensors = named_tensors(module)
    fresh = build_meta(lookup(made.tag), made.config, dtype=None, where=made.tag)
    expected = named_tensors(fresh)
    dtype = _converted(tensors, expected)
    if dtype is not None:
        expected = named_tensors(fresh.to(dtype))
    _compare(tensors, expected, made.tag)
    data = {each: tensor_data(tensor, where=each) for each, tensor in tensors.items()}
    return ComponentData(name=name, role=role, type=made.tag, config=made.config, tensors=data), dtype


def _converted(tensors: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> torch.dtype | None:
    """The one dtype of all floating-point tensors, if the architecture builds another."""
    floating = {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()}
    if len(floating) != 1 or floating == {it.dtype for it in expected.values() if it.is_floating_point()}:
        return None
    return floating.pop()


def _compare(tensors: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor], tag: str) -> None:
    for name in sorted(tensors.keys() ^ expected.keys()):
        what = "was added" if name in tensors else "was removed"
        raise UsageError(f"{name} {what} after the module was built, so {tag} would not load it", where=tag)
    for name, tensor in tensors.items():
        wanted = expected[name]
        if tensor.shape != wanted.shape or tensor.dtype != wanted.dtype:
            raise UsageError(
                f"{name} is {tensor.dtype} {list(tensor.shape)}, {tag} builds {wanted.dtype} {list(wanted.shape)}",
                where=tag,
            )


def _omissions(module: torch.nn.Module) -> list[Omission]:
    """Hooks are code and stay behind, in writing; extra state is data of an unknown kind and is refused."""
    found: list[Omission] = []
    for name, part in module.named_modules():
        if type(part).get_extra_state is not torch.nn.Module.get_extra_state:
            raise UnsupportedError(f"{type(part).__name__} keeps extra state, which can't be saved", where=name)
        count = sum(len(getattr(part, table, ())) for table in _HOOKS)
        if count:
            where = f"module.{name}" if name else "module"
            found.append(Omission(what=f"{count} hooks", where=where, why="hooks are code"))
    return found
