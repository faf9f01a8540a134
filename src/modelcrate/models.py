"""From a crate to the model that a user calls, and back: one entry per kind of model, looked up by its tag.

A loader gets an open crate whose bytes were checked, a saver gets a live object; both are code of this library, chosen
by a literal table. No file and no class name chooses anything else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelcrate.crate import Crate
from modelcrate.crate import open as open_crate
from modelcrate.crate_writer import Form, write_crate
from modelcrate.errors import UnsupportedError, UsageError
from modelcrate.format.digest import DEFAULT_ALGORITHM, Digest
from modelcrate.format.manifest import Manifest
from modelcrate.limits import DEFAULT, Limits
from modelcrate.parts import CHECKPOINT, INFERENCE, MODULE, SYNTHESIZER, Parts
from modelcrate.storage.regions import IO
from modelcrate.storage.source import Location

if TYPE_CHECKING:
    import torch

    from modelcrate.nn.devices import Device


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
        if model.type not in _LOADERS:
            hint = "open it with modelcrate.load_checkpoint" if model.type == CHECKPOINT else None
            what = f"no model type {model.type!r} can be loaded here"
            raise UnsupportedError(what, where="manifest.model.type", hint=hint)
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


def _take_apart(model: object) -> Parts:
    import torch

    if isinstance(model, torch.nn.Module):
        from modelcrate.module_parts import module_parts

        return module_parts(model)
    from modelcrate.synthesizer_parts import synthesizer_parts
    from modelcrate.tabular.synthesizer import Synthesizer

    if isinstance(model, Synthesizer):
        return synthesizer_parts(model)
    raise UsageError(
        f"a {type(model).__name__} can't be saved",
        hint="modelcrate saves torch modules and synthesizers; modelcrate.convert reads files of other libraries",
    )


def _load_module(crate: Crate, config: Mapping[str, Any], device: torch.device) -> Any:
    from modelcrate.module_parts import load_module

    return load_module(crate, config, device)


def _load_synthesizer(crate: Crate, config: Mapping[str, Any], device: torch.device) -> Any:
    from modelcrate.synthesizer_parts import load_synthesizer

    return load_synthesizer(crate, config, device)


def _load_package(crate: Crate, config: Mapping[str, Any], device: torch.device) -> Any:
    from modelcrate.inference.load import package_of

    return package_of(crate, config, device)


_LOADERS = {MODULE: _load_module, SYNTHESIZER: _load_synthesizer, INFERENCE: _load_package}
