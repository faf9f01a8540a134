"""From a crate to the model that a user calls, and back: one entry per kind of model, looked up by its tag.

A loader gets an open crate whose bytes were checked, a saver gets a live object; both are code of this library, chosen
by a literal table. No file and no class name chooses anything else.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from modelcrate.crate import Crate
from modelcrate.crate import open as open_crate
from modelcrate.crate_writer import Form, write_crate
from modelcrate.device_errors import device_errors
from modelcrate.errors import ModelcrateError, UnsupportedError, UsageError
from modelcrate.format.digest import DEFAULT_ALGORITHM, Digest
from modelcrate.format.manifest import Manifest
from modelcrate.limits import DEFAULT, Limits
from modelcrate.parts import (
    CHECKPOINT,
    COPULA,
    INFERENCE,
    MODULE,
    MODULES,
    SERIES,
    STATE_DICT,
    SYNTHESIZER,
    VALUES,
    Parts,
)
from modelcrate.storage.regions import IO
from modelcrate.storage.source import Location

if TYPE_CHECKING:
    import torch

    from modelcrate.module_parts import Given
    from modelcrate.nn.devices import Placement
    from modelcrate.tabular.callback import EpochCallback


@device_errors()
def load(
    location: Location,
    *,
    only: str | Iterable[str] | None = None,
    device: Placement = "cpu",
    dtype: torch.dtype | str | None = None,
    strict: bool = True,
    architecture: Given | Mapping[str, Given] = None,
    verify: bool = True,
    expect: str | Digest | None = None,
    io: IO = "map",
    epoch_callback: EpochCallback | None = None,
    limits: Limits = DEFAULT,
) -> Any:
    """Load the model in a crate: a ``torch.nn.Module``, a dict of them, or a ``Synthesizer`` with ``sample``.

    All digests are checked before anything is handed out (``verify=False`` leaves them out). Tensors go from the file
    straight to ``device``; on the CPU they are private views of the mapped file, which training may change freely
    without touching it. ``device`` is text, a number or a ``torch.device``; ``"auto"`` picks CUDA, then MPS, then CPU.

    Of several networks, ``only="generator"`` gives that module alone, and a list of names a dict of those; container,
    manifest and the digests of what is loaded are checked then, other networks are not read. ``device`` may be a dict
    by name, where a network that is not in it goes to the CPU. ``dtype`` converts floating-point parameters and
    buffers on the way. ``strict=False`` returns ``(model, report)``, a
    :class:`modelcrate.nn.mismatch.MismatchReport` of what differs between file and architecture (for a dict, a dict of
    reports): what fits is loaded, what the file lacks is newly initialised.
    ``architecture`` (a registered tag, a class or function that builds the module without arguments, or a dict of those
    by name) takes the place of what the crate names, for models whose class was in no file.
    ``epoch_callback`` is attached to a synthesizer as by ``set_callback``; a crate holds none.
    A crate of plain values (a state dict, a checkpoint dict of ``torch.save``) gives those. Of a checkpoint, converted
    or not, ``only`` gives single networks; :func:`modelcrate.load_checkpoint` opens all of it.
    Raises as :func:`modelcrate.open`; UnsupportedError for an unknown tag, MismatchError with every difference between
    tensors and architecture, UsageError for a device that is not here, a name that the crate does not have, and options
    that the crate's kind does not take.
    """
    with open_crate(location, verify=verify, expect=expect, io=io, limits=limits) as crate:
        model = crate.manifest.model
        if model is None:
            raise UsageError("the crate holds parts, not a model", hint="open it with modelcrate.open")
        if model.type in (CHECKPOINT, VALUES) and only is not None and dtype is None and strict:
            from modelcrate.checkpoint.alone import load_alone

            return load_alone(crate, only, device=device, architecture=architecture)
        if model.type not in (MODULE, MODULES, STATE_DICT, VALUES, *_LOADERS):
            hint = None
            if model.type == CHECKPOINT:
                hint = "open it with modelcrate.load_checkpoint, or load one network with only="
            what = f"no model type {model.type!r} can be loaded here"
            raise UnsupportedError(what, where="manifest.model.type", hint=hint)
        if epoch_callback is not None and model.type not in (SYNTHESIZER, COPULA, SERIES):
            raise UsageError(f"epoch_callback= is for synthesizers, this is a {model.type}")
        if model.type in (MODULE, MODULES):
            from modelcrate.module_parts import load_networks

            return load_networks(
                crate, only=only, device=device, dtype=dtype, strict=strict, verify=verify, architecture=architecture
            )
        if only is not None or dtype is not None or not strict or isinstance(device, Mapping):
            what = "only=, dtype=, strict=False and a device for each name are for crates of networks"
            raise UsageError(f"{what}, this is a {model.type}")
        from modelcrate.nn.devices import resolve_device

        target = resolve_device(device)
        if verify:
            crate.check()
        if model.type in (VALUES, STATE_DICT):
            from modelcrate.values_parts import load_any

            return load_any(crate, target, architecture)
        if architecture is not None:
            raise UsageError(f"architecture= is for crates of networks, this is a {model.type}")
        loaded = _LOADERS[model.type](crate, dict(model.config), target)
        if epoch_callback is not None:
            loaded.set_callback(epoch_callback)
        return loaded


def save(
    model: object,
    path: str | os.PathLike[str],
    *,
    form: Form = "file",
    digest: str = DEFAULT_ALGORITHM,
    overwrite: bool = False,
) -> Manifest:
    """Save a model as a crate, atomically and durably; the same model gives the same bytes.

    ``model`` is a module of ``torch.nn`` layers and of classes registered with :func:`modelcrate.architecture`, a dict
    of such modules by name, a state dict (which ``load`` gives back, or fills ``architecture=`` with), a
    ``Synthesizer``, or a live model of gretel-synthetics, ctgan or sdv, which may be in the middle of its training and
    is only looked at: its callback, device, mode and random states stay as they are.
    Each network of a dict has a weights file of its own and loads alone: a tensor that two networks share is stored
    with each of them, and ``omitted`` in the manifest says so.
    Raises UnsupportedError or UsageError that says what to write for anything else, and as
    :func:`modelcrate.crate_writer.write_crate`.
    """
    try:
        parts = _take_apart(model)
    except ModelcrateError:
        raise
    except Exception as error:  # the caller's own objects take part, and may raise whatever they like
        kind, raised = (type.__getattribute__(type(it), "__name__") for it in (model, error))
        what = f"it raised {raised} while it was looked at"
        raise UnsupportedError(what, where=kind, hint="the error behind this one says more") from error
    return write_crate(
        path,
        components=parts.components,
        model=parts.model,
        hyperparameters=parts.hyperparameters,
        omitted=parts.omitted,
        provenance=parts.provenance,
        digest=digest,
        form=form,
        overwrite=overwrite,
    )


def _take_apart(model: object) -> Parts:
    import torch

    if isinstance(model, torch.nn.Module):
        from modelcrate.module_parts import module_parts

        return module_parts(model)
    if isinstance(model, Mapping) and model and all(isinstance(item, torch.Tensor) for item in model.values()):
        from modelcrate.values_parts import state_dict_component

        component = state_dict_component(model, name="state_dict", role="state_dict", where="state_dict")
        return Parts(model=(STATE_DICT, {}), components=[component])
    if isinstance(model, Mapping):
        from modelcrate.module_parts import modules_parts

        return modules_parts(model)
    from modelcrate.synthesizer_parts import copula_parts, synthesizer_parts
    from modelcrate.tabular.copula.synthesizer import CopulaSynthesizer
    from modelcrate.tabular.synthesizer import Synthesizer

    if isinstance(model, CopulaSynthesizer):
        return copula_parts(model)
    if isinstance(model, Synthesizer):
        return synthesizer_parts(model)
    from modelcrate.tabular.series.synthesizer import SeriesSynthesizer

    if isinstance(model, SeriesSynthesizer):
        from modelcrate.series_parts import series_parts

        return series_parts(model)
    from modelcrate.legacy.live_model import known_base, live_parts

    found = live_parts(model)
    if found is not None:
        return found
    base = known_base(model)
    if base is not None:
        raise UsageError(
            f"a {type(model).__name__} can't be saved: it is a subclass of {base}, and what it changes is not known",
            hint="give it that class to save what the two have in common",
        )
    raise UsageError(
        f"a {type(model).__name__} can't be saved",
        hint="modelcrate saves torch modules, dicts of them, synthesizers, and live models of gretel-synthetics, ctgan "
        "and sdv; modelcrate.convert reads other files",
    )


def _load_synthesizer(crate: Crate, config: Mapping[str, Any], device: torch.device) -> Any:
    from modelcrate.synthesizer_parts import load_synthesizer

    return load_synthesizer(crate, config, device)


def _load_series(crate: Crate, config: Mapping[str, Any], device: torch.device) -> Any:
    from modelcrate.series_parts import load_series

    return load_series(crate, config, device)


def _load_copula(crate: Crate, config: Mapping[str, Any], device: torch.device) -> Any:
    from modelcrate.synthesizer_parts import load_copula

    return load_copula(crate, config)


def _load_package(crate: Crate, config: Mapping[str, Any], device: torch.device) -> Any:
    from modelcrate.inference.load import package_of

    return package_of(crate, config, device)


_LOADERS = {SYNTHESIZER: _load_synthesizer, COPULA: _load_copula, SERIES: _load_series, INFERENCE: _load_package}
