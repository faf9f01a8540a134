"""Wrappers around a module (DataParallel, DDP, ``torch.compile``) and the prefixes that they put into tensor names.

A wrapper changes how a module runs, not what it is: it is taken off before saving, and names that were written with it
fit a model without it, and the other way round.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

SEGMENTS = frozenset(["module", "_orig_mod"])
"""Where DataParallel and DDP (``module``) and ``torch.compile`` (``_orig_mod``) hold the real module."""

_WRAPPERS = {
    ("torch._dynamo.eval_frame", "OptimizedModule"): "_orig_mod",
    ("torch.nn.parallel.data_parallel", "DataParallel"): "module",
    ("torch.nn.parallel.distributed", "DistributedDataParallel"): "module",
}
_WRAPPER_NAMES = frozenset(name for _, name in _WRAPPERS)
_NESTED_WRAPPERS = 8


def wrapper_of(module: nn.Module) -> str | None:
    """The class name of the wrapper that ``module`` is, or None for a module that wraps nothing."""
    kind = type(module)
    return kind.__name__ if (kind.__module__, kind.__name__) in _WRAPPERS else None


def unwrap(module: nn.Module) -> nn.Module:
    """The module inside any wrappers, compiled over DDP or DDP over compiled alike."""
    for _ in range(_NESTED_WRAPPERS):
        kind = type(module)
        if kind.__name__ not in _WRAPPER_NAMES:
            return module
        inner = _WRAPPERS.get((kind.__module__, kind.__name__))
        found = None if inner is None else module._modules.get(inner)
        if found is None:
            return module
        module = found
    return module


def bare(name: str) -> str:
    """``name`` without its wrapper segments: ``module._orig_mod.0.weight`` is ``0.weight``.

    The last segment names the tensor itself and always stays.
    """
    *path, last = name.split(".")
    return ".".join([*(segment for segment in path if segment not in SEGMENTS), last])


def match(found: Iterable[str], expected: Iterable[str]) -> dict[str, str]:
    """Pair names that differ in wrapper segments only: ``{found name: expected name}``.

    A name that is expected as it stands is never paired with another one, and where two names become one without
    their prefixes neither is guessed at; what has no partner is absent from the result.
    """
    found, expected = list(found), list(expected)
    wanted = set(expected)
    pairs = {name: name for name in found if name in wanted}
    open_found = _unambiguous(name for name in found if name not in pairs)
    open_expected = _unambiguous(name for name in expected if name not in pairs)
    for key, name in open_found.items():
        if key in open_expected:
            pairs[name] = open_expected[key]
    return pairs


def strip(names: Mapping[str, object] | Iterable[str]) -> dict[str, str]:
    """``{name: name without wrapper prefixes}`` for names of a state dict whose model is not at hand.

    ``_orig_mod`` is no honest attribute and goes wherever it stands; ``module`` goes only from the front, and only
    where every name has it, because a model may have a child of that name. Names that would collide are left alone.
    """
    current = {name: ".".join(part for part in name.split(".") if part != "_orig_mod") for name in names}
    while current and all(short.startswith("module.") for short in current.values()):
        current = {name: short.removeprefix("module.") for name, short in current.items()}
    if len(set(current.values())) < len(current):
        return {name: name for name in current}
    return current


def _unambiguous(names: Iterable[str]) -> dict[str, str]:
    listed = list(names)
    count = Counter(bare(name) for name in listed)
    return {bare(name): name for name in listed if count[bare(name)] == 1}
