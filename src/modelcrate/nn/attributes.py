"""Plain attributes that were put on a module after it was built (``model.blah = 14``), kept as data.

Only data is kept: numbers, text, lists, maps, arrays, tensors. On loading, an attribute of a file never takes the
place of a method, of a part of the module, or of anything that a torch layer's own constructor set.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from modelcrate.errors import FormatError, ModelcrateError
from modelcrate.format import values
from modelcrate.format.manifest import Omission
from modelcrate.nn.nested import TensorSink, encode
from modelcrate.nn.registry import CAPTURED
from modelcrate.nn.stock.parametrized import base_class
from modelcrate.nn.walk import join

_INTERNAL = frozenset([*nn.Module().__dict__, CAPTURED, "_compiled_call_impl"])
_ABSENT = object()
_LENGTH = 256


def capture(
    module: nn.Module, reference: nn.Module, where: str, sink: TensorSink
) -> tuple[dict[str, Any], list[Omission]]:
    """The attributes in which ``module`` differs from ``reference``, built from the same config: kept ones, others."""
    kept: dict[str, Any] = {}
    omitted: list[Omission] = []
    for name, value in module.__dict__.items():
        if name in _INTERNAL:
            continue
        built = reference.__dict__.get(name, _ABSENT)
        if _unchanged(value, built):
            continue
        place = join(where, name)
        problem = _problem(module, reference, name, value)
        if problem is None:
            try:
                document = encode(value, where=place, sink=sink)
                values.encode(document, where=place)
            except ModelcrateError as error:
                if built is _ABSENT or type(built) is not type(value):
                    omitted.append(Omission(what=f"attribute {name}", where=where, why=error.what))
                continue
            kept[name] = document
        elif built is _ABSENT or not _is_opaque(value):
            omitted.append(Omission(what=f"attribute {name}", where=where, why=problem))
    return kept, omitted


def restore(module: nn.Module, name: str, value: object, where: str) -> None:
    """Put one attribute back; FormatError for a name or a type that is not an attribute's to take."""
    problem = _problem(module, module, name, value)
    if problem is not None:
        raise FormatError(f"{name!r} can't be an attribute: {problem}", where=where)
    module.__dict__[name] = value  # past any property or __setattr__: no code runs on a value from a file


def is_torch_layer(module: nn.Module) -> bool:
    """Whether a module's class is torch's own, parametrised or not: then its constructor's attributes stand."""
    return base_class(module).__module__.startswith("torch.nn.")


def tensors_within(value: object, depth: int = 4) -> Iterator[torch.Tensor]:
    """The tensors in a value and in lists, tuples and maps inside it, a few levels deep."""
    if isinstance(value, torch.Tensor):
        yield value
    elif depth and isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_within(item, depth - 1)
    elif depth and isinstance(value, dict):
        for item in value.values():
            yield from tensors_within(item, depth - 1)


def _problem(module: nn.Module, built: nn.Module, name: str, value: object) -> str | None:
    """Why ``value`` can't stand under ``name`` on a module that was built like ``built``; None if it can."""
    if not 0 < len(name) <= _LENGTH or name.startswith("__") or name in _INTERNAL:
        return "the name belongs to Python or torch"
    if name in built._parameters or name in built._buffers or name in built._modules:
        return "it names a part of the module"
    if isinstance(value, torch.device):
        return "the caller chooses the device"
    present = built.__dict__.get(name, _ABSENT)
    if present is _ABSENT:
        present = inspect.getattr_static(type(built), name, _ABSENT)
    if present is _ABSENT:
        return None
    if is_torch_layer(module):
        return "the layer's own constructor sets it"
    if callable(present) or hasattr(present, "__get__"):
        return "the class defines it"
    if present is None or value is None or type(present) is type(value):
        return None
    if isinstance(present, torch.Tensor) and isinstance(value, torch.Tensor):
        return None
    return f"the class has a {type(present).__name__} there"


def _unchanged(value: object, built: object) -> bool:
    """Whether both are the same data; tensors differ always, because the built one has no values."""
    if value is built or _is_plainly(value, built):
        return True
    if built is _ABSENT or any(True for _ in tensors_within(value)):
        return False
    try:
        return values.encode(encode(value, where="")) == values.encode(encode(built, where=""))
    except ModelcrateError:
        return False


def _is_plainly(value: object, other: object) -> bool:
    """Whether both are the same simple value: what nearly all attributes are. False says nothing."""
    kind = type(value)
    if kind is not type(other):
        return False
    if kind is tuple and isinstance(value, tuple) and isinstance(other, tuple):
        return len(value) == len(other) and all(map(_is_plainly, value, other))
    return kind in (bool, int, str) and value == other


def _is_opaque(value: object) -> bool:
    """Whether a value is no plain data; what a constructor makes of that kind, it makes again."""
    if any(True for _ in tensors_within(value)):
        return True
    try:
        values.encode(encode(value, where=""))
    except ModelcrateError:
        return True
    return False
