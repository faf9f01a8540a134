"""From a crate to the model that a user calls, and back: one entry per kind of model, looked up by its tag.

A loader gets an open crate whose bytes were checked, a saver gets a live object; both are code of this library, chosen
by a literal table. No file and no class name chooses anything else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from modelcrate.crate import Crate
from modelcrate.crate import open as open_crate
from modelcrate.crate_writer import Form, write_crate
from modelcrate.errors import FormatError, UnsupportedError, UsageError
from modelcrate.format.digest import DEFAULT_ALGORITHM, Digest
from modelcrate.format.document import Fields
from modelcrate.format.jsontext import Json
from modelcrate.format.manifest import Manifest, Omission
from modelcrate.limits import DEFAULT, Limits
from modelcrate.storage.component import ComponentData
from modelcrate.storage.regions import IO
from modelcrate.storage.source import Location
from modelcrate.stored import StoredComponent

if TYPE_CHECKING:
    import torch

    from modelcrate.nn.devices import Device

MODULE = "nn.module/1"
SYNTHESIZER = "tabular.synthesizer/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A live model taken apart: what :func:`modelcrate.crate_writer.write_crate` needs to know of it."""

    model: tuple[str, Mapping[str, Json]]
    components: Sequence[ComponentData]
    hyperparameters: Mapping[str, Json] = field(default_factory=dict)
    omitted: Sequence[Omission] = ()


def load(
    location: Location,
    *,
    device: Device = "cpu",
    verify: bool = True,
    expect: str | Digest | None = None,
    io: IO = "map",
    limits: Limits = DEFAULT,
) -> Any:
    """Load the model in a crate: a ``torch.nn.Module``, or a ``Synthesizer`` with ``sample``.

    All digests are checked before anything is handed out (``verify=False`` leaves them out). Tensors go from the file
    straight to ``device``; on the CPU they are private views of the mapped file, which training may change freely
    without touching it. ``device`` is text, a number or a ``torch.device``; ``"auto"`` picks CUDA, then MPS, then CPU.
    Raises as :func:`modelcrate.open`; UnsupportedError for an unknown tag, MismatchError where tensors and architecture
    differ, UsageError for a device that is not here.
    """
    with open_crate(location, verify=verify, expect=expect, io=io, limits=limits) as crate:
        model = crate.manifest.model
        if model is None:
            raise UsageError("the crate holds parts, not a model", hint="open it with modelcrate.open")
        where = "manifest.model.type"
        if model.type not in _LOADERS:
            raise UnsupportedError(f"no model type {model.type!r} is known here", where=where)
        from modelcrate.nn.devices import resolve_device

        target = resolve_device(device)
        if verify:
            crate.check()
        return _LOADERS[model.type](crate, dict(model.config), target)


def save(
    model: object,
    path: str | os.PathLike[str],
    *,
    form: Form = "file",
    digest: str = DEFAULT_ALGORITHM,
    overwrite: bool = False,
) -> Manifest:
    """Save a model as a crate, atomically and durably; the same model gives the same bytes.

    ``model`` is a module whose class is registered with :func:`modelcrate.architecture`, or a ``Synthesizer``.
    Raises UsageError that says what to write for anything else, and as :func:`modelcrate.crate_writer.write_crate`.
    """
    parts = _take_apart(model)
    return write_crate(
        path,
        components=parts.components,
        model=parts.model,
        hyperparameters=parts.hyperparameters,
        omitted=parts.omitted,
        digest=digest,
        form=form,
        overwrite=overwrite,
    )


def module_of(crate: Crate, component: StoredComponent, device: torch.device, **options: Any) -> torch.nn.Module:
    """The module that a component's type, config and tensors describe; raises as ``nn.materialise``."""
    from modelcrate.nn.materialise import materialise

    return materialise(
        component.type,
        component.config,
        component.header,
        component.weights,
        device,
        where=f"{crate.path or 'crate'}: {component.name}",
        **options,
    )


def _take_apart(model: object) -> Parts:
    import torch

    if isinstance(model, torch.nn.Module):
        from modelcrate.module_parts import take_apart

        return take_apart(model)
    if not type(model).__module__.startswith("modelcrate.tabular."):
        raise UsageError(
            f"a {type(model).__name__} can't be saved",
            hint="modelcrate saves torch modules and synthesizers; convert() reads files of other libraries",
        )
    return _synthesizer_parts(model)


def _synthesizer_parts(synthesizer: Any) -> Parts:
    raise UnsupportedError("saving a live synthesizer is not supported yet", hint=f"convert its file: {synthesizer}")


def _load_module(crate: Crate, config: Mapping[str, Any], device: torch.device) -> torch.nn.Module:
    from modelcrate.nn.tensors import DTYPES

    fields = Fields(dict(config), "manifest.model.config")
    training = fields.boolean("training")
    dtype = fields.nullable("dtype", lambda name: fields.text(name, choices=tuple(DTYPES)))
    fields.finish()
    if len(crate) != 1:
        raise FormatError(f"a module is one component, the crate has {len(crate)}", where="manifest.components")
    (component,) = crate.values()
    module = module_of(crate, component, device, dtype=None if dtype is None else DTYPES[dtype])
    return module.train(training)


def _load_synthesizer(crate: Crate, config: Mapping[str, Any], device: torch.device) -> Any:
    raise UnsupportedError("tabular crates can't be loaded yet")


_LOADERS: dict[str, Callable[[Crate, dict[str, Any], torch.device], Any]] = {
    MODULE: _load_module,
    SYNTHESIZER: _load_synthesizer,
}
