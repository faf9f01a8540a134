"""Loading an inference package: every part checked on its own, then the parts against each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelcrate.crate import Crate
from modelcrate.device_errors import device_errors
from modelcrate.errors import FormatError, UsageError
from modelcrate.format.digest import Digest
from modelcrate.format.document import Fields
from modelcrate.inference.interface import TableInput
from modelcrate.inference.outputs import TASKS
from modelcrate.inference.package import INTERFACE, InferencePackage, Interface
from modelcrate.limits import DEFAULT, Limits
from modelcrate.module_parts import load_component
from modelcrate.parts import PREPROCESSING
from modelcrate.storage.regions import IO
from modelcrate.storage.source import Location
from modelcrate.stored import StoredComponent
from modelcrate.tabular.preprocessing import Channels, Step, read

if TYPE_CHECKING:
    import torch

    from modelcrate.nn.devices import Device

_TYPES = {"interface": INTERFACE, "preprocessing": PREPROCESSING, "target": PREPROCESSING}


@device_errors()
def load_inference(
    location: Location,
    *,
    device: Device = "cpu",
    verify: bool = True,
    expect: str | Digest | None = None,
    io: IO = "map",
    limits: Limits = DEFAULT,
) -> InferencePackage:
    """Load an inference package, its network on ``device``. Raises as :func:`modelcrate.load`, and UsageError for a
    crate of another kind."""
    from modelcrate.models import load

    found = load(location, device=device, verify=verify, expect=expect, io=io, limits=limits)
    if not isinstance(found, InferencePackage):
        hint = "load it with modelcrate.load"
        raise UsageError(f"the crate holds a {type(found).__name__}, no inference package", hint=hint)
    return found


def package_of(crate: Crate, config: Mapping[str, Any], device: torch.device) -> InferencePackage:
    """The package in an open crate. Raises FormatError for parts that are missing, too many, or do not fit together."""
    fields = Fields(dict(config), "manifest.model.config")
    task = fields.text("task", choices=TASKS)
    fields.finish()
    for name, component in crate.items():
        if name not in ("network", *_TYPES) or component.role != name:
            raise FormatError(f"{name!r} is no part of an inference package", where="manifest.components")
    for name in ("network", "interface"):
        if name not in crate:
            raise FormatError(f"an inference package has a component {name!r}", where="manifest.components")
    interface = Interface.from_document(_state(crate["interface"]), crate["interface"].where)
    if interface.task != task:
        raise FormatError(f"the task is {interface.task!r}, the manifest says {task!r}", where=crate["interface"].where)
    preprocessing = _preprocessing(crate["preprocessing"]) if "preprocessing" in crate else None
    target = _preprocessing(crate["target"]) if "target" in crate else None
    where = crate["interface"].where
    if isinstance(preprocessing, Step) and not (
        isinstance(interface.input, TableInput) and len(interface.input.columns) == preprocessing.inputs
    ):
        raise FormatError(f"the preprocessing takes {preprocessing.inputs} columns, the input is another", where=where)
    if isinstance(preprocessing, Channels) and isinstance(interface.input, TableInput):
        raise FormatError("a table has no channels", where=where)
    if target is not None and (interface.task != "regression" or not isinstance(target, Step)):
        raise FormatError(f"the target of a {interface.task} task is not scaled", where=where)
    network = load_component(crate["network"], device)
    return InferencePackage(
        network, interface, preprocessing=preprocessing, target=target if isinstance(target, Step) else None
    )


def _preprocessing(component: StoredComponent) -> Step | Channels:
    fields = Fields(_state(component), component.where)
    if fields.has("type") and fields.value("type") == Channels.tag:
        return Channels.from_document(fields)
    return read(fields)


def _state(component: StoredComponent) -> dict[str, Any]:
    """The state of a part that is data and nothing else."""
    if component.type != _TYPES[component.name]:
        raise FormatError(f"expected type {_TYPES[component.name]!r}", where=component.where)
    if component.has_weights or component.config or not component.has_state:
        raise FormatError("a part of an inference package is a state document, and nothing else", where=component.where)
    return component.state
