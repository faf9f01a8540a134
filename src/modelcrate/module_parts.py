"""A live torch module taken apart into one component: architecture, arguments and tensors."""

from __future__ import annotations

import torch

from modelcrate.errors import UnsupportedError, UsageError
from modelcrate.format.manifest import Omission
from modelcrate.models import MODULE, Parts
from modelcrate.nn.materialise import build_meta, named_tensors
from modelcrate.nn.registry import built, lookup
from modelcrate.nn.tensors import NAMES, tensor_data
from modelcrate.storage.component import ComponentData

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def take_apart(module: torch.nn.Module) -> Parts:
    """The parts of a module whose class is registered.

    The architecture is built once more, on the meta device, and compared: what would not load is refused here.
    Raises UsageError for a class that is not registered and for a module that was changed after construction.
    """
    made = built(module)
    tensors = named_tensors(module)
    floating = {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()}
    fresh = build_meta(lookup(made.tag), made.config, dtype=None, where=made.tag)
    dtype = None
    expected = named_tensors(fresh)
    if len(floating) == 1 and {it.dtype for it in expected.values() if it.is_floating_point()} != floating:
        (dtype,) = floating
        expected = named_tensors(fresh.to(dtype))
    _compare(tensors, expected, made.tag)
    return Parts(
        model=(MODULE, {"training": module.training, "dtype": None if dtype is None else NAMES[dtype]}),
        components=[
            ComponentData(
                name="module",
                role="module",
                type=made.tag,
                config=made.config,
                tensors={name: tensor_data(tensor, where=name) for name, tensor in tensors.items()},
            )
        ],
        omitted=_omissions(module),
    )


def _compare(tensors: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], tag: str) -> None:
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
