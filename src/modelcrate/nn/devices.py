"""Where tensors go: the caller decides, the file is never asked."""

from __future__ import annotations

from typing import TypeAlias

import torch

from modelcrate.errors import UsageError

Device: TypeAlias = "str | int | torch.device"
"""A device as callers write it: ``"cpu"``, ``"cuda:1"``, ``1``, a ``torch.device``, or ``"auto"``."""


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
