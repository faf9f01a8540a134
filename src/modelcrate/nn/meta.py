"""Building modules on the meta device, where they have names, shapes and dtypes, and no memory and no values."""

from __future__ import annotations

import contextlib
import contextvars
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode


@contextlib.contextmanager
def on_meta() -> Iterator[None]:
    """What is constructed inside is on the meta device, and the global state of torch is afterwards as it was."""
    with unchanged_globals(), torch.device("meta"), _WithoutValues():
        token = _BUILDING.set(True)
        try:
            yield
        finally:
            _BUILDING.reset(token)


def is_building() -> bool:
    """Whether :func:`on_meta` is under way."""
    return _BUILDING.get()


def make(cls: type[nn.Module], arguments: Mapping[str, Any]) -> nn.Module:
    """A stock layer from its constructor's arguments; under :func:`on_meta` without all that has no effect there.

    Half of what constructing a layer takes is initial values, and most of the rest is torch asking for each of its own
    calls whether a mode wants to see it. A class that takes a device is told it, and no mode is asked.
    """
    if not is_building() or not _takes_device(cls):
        return cls(**arguments)
    made = cls.__new__(cls)
    made.__dict__[_RESET] = _nothing
    with torch._C.DisableTorchFunction():
        made.__init__(**arguments, device="meta")  # type: ignore[misc]  # of its own class
    del made.__dict__[_RESET]
    return made


def without_modes() -> contextlib.AbstractContextManager[None]:
    """Code inside reads attributes of tensors (their shapes, their dtypes) at full speed, and creates none."""
    found: contextlib.AbstractContextManager[None] = torch._C.DisableTorchFunction()
    return found


def _takes_device(cls: type[nn.Module]) -> bool:
    """Whether a class of torch.nn has a device among the arguments, and initial values in ``reset_parameters``."""
    found = _TAKES_DEVICE.get(cls)
    if found is None:
        found = _TAKES_DEVICE[cls] = hasattr(cls, _RESET) and "device" in inspect.signature(cls).parameters
    return found


def _nothing() -> None:
    """In place of ``reset_parameters`` on a device without values."""


_RESET = "reset_parameters"
_TAKES_DEVICE: dict[type[nn.Module], bool] = {}
_BUILDING: contextvars.ContextVar[bool] = contextvars.ContextVar("modelcrate_building_on_meta", default=False)


@contextlib.contextmanager
def unchanged_globals() -> Iterator[None]:
    """Whatever a constructor does to torch's random state and default dtype is undone."""
    state, dtype = torch.get_rng_state(), torch.get_default_dtype()
    try:
        yield
    finally:
        torch.set_rng_state(state)
        torch.set_default_dtype(dtype)


class _WithoutValues(TorchFunctionMode):
    """Leaves out the initial values of tensors that have none: they are half of what constructing a layer takes."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if function in _INITIALISERS:
            tensor = args[0] if args else (kwargs or {}).get("tensor")
            if isinstance(tensor, torch.Tensor) and tensor.is_meta:
                return tensor
        return function(*args, **(kwargs or {}))


_INITIALISERS: frozenset[Callable[..., Any]] = frozenset(
    [
        torch.Tensor.uniform_,
        torch.Tensor.normal_,
        torch.Tensor.fill_,
        torch.Tensor.zero_,
        torch.nn.init.uniform_,
        torch.nn.init.normal_,
        torch.nn.init.trunc_normal_,
        torch.nn.init.constant_,
        torch.nn.init.ones_,
        torch.nn.init.zeros_,
        torch.nn.init.kaiming_uniform_,
        torch.nn.init.kaiming_normal_,
        torch.nn.init.xavier_uniform_,
        torch.nn.init.xavier_normal_,
    ]
)
"""In-place, without an effect but on values, and giving back their first argument."""
