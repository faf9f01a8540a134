"""Building modules on the meta device, where they have names, shapes and dtypes, and no memory and no values."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


@contextlib.contextmanager
def on_meta() -> Iterator[None]:
    """What is constructed inside is on the meta device, and the global state of torch is afterwards as it was."""
    with unchanged_globals(), torch.device("meta"), _WithoutValues():
        yield


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
