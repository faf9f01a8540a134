"""modelcrate: trained models kept as data, never as code.

::

    modelcrate.convert("actgan.pkl", "actgan.crate")       # a legacy file becomes a crate; nothing in it is executed
    model = modelcrate.load("actgan.crate", device="auto") # digests checked, tensors straight to the device
    modelcrate.save(module, "net.crate")                   # any module of a registered architecture
    with modelcrate.open("net.crate") as crate: ...        # manifest, components, single tensors

Everything is imported on first use, so that ``import modelcrate`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from modelcrate.version import __version__

if TYPE_CHECKING:
    from modelcrate import errors
    from modelcrate.checkpoint import Checkpoint, CheckpointManager, load_checkpoint, save_checkpoint
    from modelcrate.crate import Crate, open
    from modelcrate.inference import load_inference, save_inference
    from modelcrate.inspection import inspect
    from modelcrate.legacy.convert import convert
    from modelcrate.legacy.read import read_legacy
    from modelcrate.legacy.scan import scan
    from modelcrate.models import load, save
    from modelcrate.nn.registry import architecture
    from modelcrate.verification import verify

__all__ = [
    "Checkpoint",
    "CheckpointManager",
    "Crate",
    "__version__",
    "architecture",
    "convert",
    "errors",
    "inspect",
    "load",
    "load_checkpoint",
    "load_inference",
    "open",
    "read_legacy",
    "save",
    "save_checkpoint",
    "save_inference",
    "scan",
    "verify",
]

_HOMES = {
    "Checkpoint": "modelcrate.checkpoint",
    "CheckpointManager": "modelcrate.checkpoint",
    "Crate": "modelcrate.crate",
    "architecture": "modelcrate.nn.registry",
    "convert": "modelcrate.legacy.convert",
    "inspect": "modelcrate.inspection",
    "load": "modelcrate.models",
    "load_checkpoint": "modelcrate.checkpoint",
    "load_inference": "modelcrate.inference",
    "open": "modelcrate.crate",
    "read_legacy": "modelcrate.legacy.read",
    "save": "modelcrate.models",
    "save_checkpoint": "modelcrate.checkpoint",
    "save_inference": "modelcrate.inference",
    "scan": "modelcrate.legacy.scan",
    "verify": "modelcrate.verification",
}


def __getattr__(name: str) -> Any:
    if name == "errors":
        return importlib.import_module("modelcrate.errors")
    if name not in _HOMES:
        raise AttributeError(f"module 'modelcrate' has no attribute {name!r}")
    found = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
