"""Where tensors go: the caller decides, the file is never asked."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeAlias

import torch

from modelcrate.errors import UsageError

Device: TypeAlias = "str | int | torch.device"
"""A device as callers write it: ``"cpu"``, ``"cuda:1"``, ``1``, a ``torch.device``, or ``"auto"``."""

Placement: TypeAlias = "Device | Mapping[str, Device]"
"""One device for all networks, or devices by network name; a network that is not named goes to the CPU."""


def resolve_devices(placement: Placement, wanted: Iterable[str], known: Iterable[str]) -> dict[str, torch.device]:
    """The device of each ``wanted`` network, of those that are ``known``.

    Devices of networks that are not wanted are not looked at. Raises UsageError for a name that is not known, and as
    :func:`resolve_device`.
    """
    if not isinstance(placement, Mapping):
        target = resolve_device(placement)
        return dict.fromkeys(wanted, target)
    for name in placement:
        unknown_name(name, known, "device")
    return {name: resolve_device(placement.get(name, "cpu")) for name in wanted}


def unknown_name(name: object, known: Iterable[str], argument: str) -> None:
    """UsageError, with the nearest name there is, unless ``name`` is among those known."""
    listed = list(known)
    if name in listed:
        return
    near = difflib.get_close_matches(name, listed, n=1) if isinstance(name, str) else []
    question = f" (is it {near[0]!r}?)" if near else ""
    raise UsageError(
        f"there is no network {str(name)!r}{question}", where=argument, hint=f"the crate has {', '.join(listed)}"
    )


def resolve_device(device: Device) -> torch.device:
    """The device meant; ``"auto"`` is CUDA, else MPS, else the CPU. UsageError if this machine does not have it."""
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if isinstance(device, bool) or not isinstance(device, str | int | torch.device):
        raise UsageError(f"a device is text, a number or a torch.device, not a {type(device).__name__}")
    try:
        found = torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
        if found.type == "meta":
            raise UsageError("the meta device holds no values, so nothing can be loaded onto it")
        torch.empty(0, device=found)
    except UsageError:
        raise
    except Exception as error:  # every backend has its own way to say that it is absent
        raise UsageError(f"device {str(device)!r} can't be used here", hint="try device='cpu' or 'auto'") from error
    return found
