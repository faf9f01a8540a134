"""Single networks out of a checkpoint, without anything else of it: what ``modelcrate.load(path, only=...)`` gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch

from modelcrate.checkpoint import network
from modelcrate.checkpoint.load import Checkpoint
from modelcrate.checkpoint.parts import NETWORK_TYPE, STATE_TYPE
from modelcrate.checkpoint.torch_dict import DictCheckpoint
from modelcrate.crate import Crate
from modelcrate.errors import UnsupportedError, UsageError
from modelcrate.module_parts import given_for, load_component
from modelcrate.nn.devices import resolve_devices
from modelcrate.parts import VALUES
from modelcrate.stored import StoredComponent

if TYPE_CHECKING:
    from modelcrate.module_parts import Given
    from modelcrate.nn.devices import Placement


def load_alone(
    crate: Crate,
    only: str | Iterable[str],
    *,
    device: Placement,
    architecture: Given | Mapping[str, Given],
) -> Any:
    """The network ``only`` of a checkpoint, or a dict of those in a list; digests are checked as they are read.

    A network whose class the checkpoint does not say is an error that asks for ``architecture``, except in a converted
    dict, where its state dict is given. Raises UsageError for a name that is not there.
    """
    model = crate.manifest.model
    assert model is not None  # load() found the tag in it
    cpu = torch.device("cpu")
    source = DictCheckpoint(crate, cpu, None) if model.type == VALUES else Checkpoint(crate, cpu, None)
    names = list(dict.fromkeys([only] if isinstance(only, str) else only))
    targets = resolve_devices(device, names, names)
    found = {name: _load(source, name, targets[name], given_for(architecture, name)) for name in names}
    return found[only] if isinstance(only, str) else found


def _load(source: Checkpoint, name: str, device: torch.device, given: Given) -> Any:
    part = source.stored(name)
    if isinstance(part, StoredComponent) and part.type not in (NETWORK_TYPE, STATE_TYPE):
        return load_component(part, device, architecture=given).eval()
    if given is None and not isinstance(part, StoredComponent):
        return type(part)((key, tensor.to(device)) for key, tensor in part.items())
    if given is None:
        raise UnsupportedError(
            "the class of this network was not registered when it was saved",
            where=name,
            hint="give load(architecture=...) what builds it",
        )
    if not callable(given):
        raise UsageError("give a function or a class that builds the module without arguments", where="architecture")
    module = given()
    if isinstance(part, StoredComponent):
        apply, _ = network.prepare(module, part, where=name, strict=True)
    else:
        apply, _ = network.prepare_tensors(module, part, where=name, strict=True)
    apply()
    return module.to(device).eval()
