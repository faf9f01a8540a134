"""Parametrisations of ``torch.nn.utils.parametrizations``: what a layer's tensor is computed from, as data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.nn.utils import parametrizations, parametrize

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.nn.stock.kinds import Kind, Real, Whole

CHILD = "parametrizations"
"""The child under which torch keeps the parametrised tensors of a module."""

_DIM = Whole(minimum=-64, maximum=64)
_FIELDS: dict[str, dict[str, Kind]] = {
    "weight_norm": {"dim": Whole(minimum=-64, maximum=64, optional=True)},
    "spectral_norm": {
        "dim": _DIM,
        "n_power_iterations": Whole(minimum=1, maximum=1_000_000),
        "eps": Real(minimum=0, above=True),
    },
}


def base_class(module: nn.Module) -> type[nn.Module]:
    """The class of a module, or the one it had before it was parametrised."""
    if not parametrize.is_parametrized(module):
        return type(module)
    before: type[nn.Module] = parametrize.type_before_parametrizations(module)
    return before


def parametrized(module: nn.Module) -> Iterator[tuple[str, parametrize.ParametrizationList]]:
    """The parametrised tensors of a module by name."""
    if parametrize.is_parametrized(module):
        held = module._modules[CHILD]
        assert isinstance(held, nn.ModuleDict)  # what is_parametrized asked
        for name, computed in held.items():
            assert isinstance(computed, parametrize.ParametrizationList)
            yield name, computed


def describe(module: nn.Module, where: str) -> dict[str, dict[str, Any]]:
    """The parametrisations of one module, JSON-able; UnsupportedError for one that has no name here."""
    described: dict[str, dict[str, Any]] = {}
    for name, computed in parametrized(module):
        place = f"{where}.{name}"
        steps = list(computed.children())
        if len(steps) != 1:
            raise UnsupportedError("several parametrisations of one tensor can't be stored", where=place)
        described[name] = _describe(steps[0], place)
    return described


def check(document: dict[str, Any], where: str) -> tuple[str, dict[str, Any]]:
    """Kind and arguments of one untrusted parametrisation."""
    kind = document.get("kind")
    fields = _FIELDS.get(kind) if type(kind) is str else None
    if fields is None or type(kind) is not str:
        raise FormatError(f"expected one of {', '.join(_FIELDS)}", where=f"{where}.kind")
    if set(document) != {"kind", *fields}:
        raise FormatError(f"expected exactly the fields kind, {', '.join(fields)}", where=where)
    return kind, {name: spec.read(document[name], f"{where}.{name}") for name, spec in fields.items()}


def apply(module: nn.Module, document: dict[str, dict[str, Any]], where: str) -> None:
    """Parametrise the tensors of a module that was built without; FormatError for what does not fit it."""
    for name, config in document.items():
        place = f"{where}.{name}"
        kind, arguments = check(config, place)
        if module._parameters.get(name) is None:
            raise FormatError(f"there is no parameter {name!r} to parametrise", where=place)
        try:
            if kind == "weight_norm":
                parametrizations.weight_norm(module, name, **arguments)
            else:
                parametrizations.spectral_norm(module, name, **arguments)
        except Exception as error:  # whatever torch raises, the config is to blame
            raise FormatError(f"{kind} does not fit {name!r}: {error}", where=place) from error


def _describe(step: nn.Module, where: str) -> dict[str, Any]:
    if type(step) is parametrizations._WeightNorm:
        # torch keeps "over the whole tensor" as -1
        return {"kind": "weight_norm", "dim": None if step.dim == -1 else step.dim}
    if type(step) is parametrizations._SpectralNorm:
        iterations = getattr(step, "n_power_iterations", 1)  # a vector needs none
        return {"kind": "spectral_norm", "dim": step.dim, "n_power_iterations": iterations, "eps": step.eps}
    raise UnsupportedError(
        f"the parametrisation {type(step).__name__} can't be stored",
        where=where,
        hint="torch.nn.utils.parametrize.remove_parametrizations bakes it into the tensor",
    )
