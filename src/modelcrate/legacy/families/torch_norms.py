"""``torch.nn.utils.weight_norm`` and ``spectral_norm``, which old files hold as hooks, as parametrisations.

Both compute the same weight from the same tensors, and only the names differ (a spectral norm in training takes the
two halves of its power iteration in the other order, towards the same values): ``weight_g`` and ``weight_v`` are
``parametrizations.weight.original0`` and ``original1`` today, ``weight_orig``, ``weight_u`` and ``weight_v`` are
``original``, ``0._u`` and ``0._v``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn

from modelcrate.errors import FormatError
from modelcrate.legacy.record import Record

_WEIGHT: Final = "torch.nn.utils.weight_norm.WeightNorm"
_SPECTRAL: Final = "torch.nn.utils.spectral_norm.SpectralNorm"
_HELPERS: Final = ("torch.nn.utils.spectral_norm.", "torch.nn.modules.module._WrappedHook")
_TABLES: Final = ("_state_dict_hooks", "_load_state_dict_pre_hooks")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Norm:
    """One normalised tensor of a layer: its name, what ``nn.stock.parametrized`` knows it as, its parts."""

    name: str
    config: dict[str, Any]
    parameters: dict[str, torch.Tensor]
    buffers: dict[str, torch.Tensor]
    hooks: int
    note: str

    def fill(self, module: nn.Module) -> None:
        """Put the parts into the built, parametrised layer."""
        held = module.get_submodule(f"parametrizations.{self.name}")
        for name, tensor in self.parameters.items():
            held._parameters[name] = tensor  # type: ignore[assignment]  # parameters, as take() checked
        for name, tensor in self.buffers.items():
            held.get_submodule("0")._buffers[name] = tensor


def take(record: Record, parameters: dict[Any, Any], buffers: dict[Any, Any], where: str) -> tuple[Norm, ...]:
    """The norms of a layer; in ``parameters`` each gives way to the one tensor that its layer was built with."""
    hooks = record.attributes.get("_forward_pre_hooks")
    found: list[Norm] = []
    for hook in hooks.values() if isinstance(hooks, dict) else ():
        if not isinstance(hook, Record) or hook.class_name not in (_WEIGHT, _SPECTRAL):
            continue
        name = hook.attributes.get("name")
        if type(name) is not str:
            raise FormatError("a norm of a tensor without a name", where=where)
        make = _weight_norm if hook.class_name == _WEIGHT else _spectral_norm
        found.append(make(name, hook, record, parameters, buffers, f"{where}.{name}"))
    return tuple(found)


def _weight_norm(
    name: str, hook: Record, record: Record, parameters: dict[Any, Any], buffers: dict[Any, Any], where: str
) -> Norm:
    dim = hook.attributes.get("dim", 0)
    parts = {new: _taken(parameters, name + old, where) for new, old in (("original0", "_g"), ("original1", "_v"))}
    parameters[name] = parts["original1"]
    return Norm(
        name=name,
        config={"kind": "weight_norm", "dim": None if dim == -1 else dim},
        parameters=parts,
        buffers={},
        hooks=1,
        note="weight_norm as a parametrisation, which computes the same weight",
    )


def _spectral_norm(
    name: str, hook: Record, record: Record, parameters: dict[Any, Any], buffers: dict[Any, Any], where: str
) -> Norm:
    settings = hook.attributes
    original = _taken(parameters, f"{name}_orig", where)
    parts = {new: _taken(buffers, name + old, where) for new, old in (("_u", "_u"), ("_v", "_v"))}
    buffers.pop(name, None)
    parameters[name] = original
    return Norm(
        name=name,
        config={
            "kind": "spectral_norm",
            "dim": settings.get("dim", 0),
            "n_power_iterations": settings.get("n_power_iterations", 1),
            "eps": settings.get("eps", 1e-12),
        },
        parameters={"original": original},
        buffers=parts,
        hooks=1 + sum(_helpers(record.attributes.get(table)) for table in _TABLES),
        note="spectral_norm as a parametrisation, which computes the same weight in evaluation",
    )


def _taken(table: dict[Any, Any], name: str, where: str) -> torch.Tensor:
    tensor = table.pop(name, None)
    if not isinstance(tensor, torch.Tensor):
        raise FormatError(f"a norm whose {name} is missing", where=where)
    return tensor


def _helpers(hooks: object) -> int:
    held = hooks.values() if isinstance(hooks, dict) else ()
    return sum(isinstance(hook, Record) and hook.class_name.startswith(_HELPERS) for hook in held)
