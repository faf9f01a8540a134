"""Converting a legacy file into a crate: read it without executing it, translate it by its family, write it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from modelcrate.crate_writer import Form, write_crate
from modelcrate.errors import FormatError, MismatchError, UnsupportedError, UsageError
from modelcrate.format.digest import DEFAULT_ALGORITHM, Digest, digest_of
from modelcrate.format.manifest import Manifest, Omission, Provenance, Source, identity
from modelcrate.legacy.disclosure import beyond, leaks
from modelcrate.legacy.families import ctgan, ctgan_02, gretel_actgan, gretel_dgan, sdv1, sdv17
from modelcrate.legacy.families.gretel_actgan import Translation
from modelcrate.legacy.reader import LegacyFile, content_of, read_for_conversion
from modelcrate.legacy.view import View
from modelcrate.limits import DEFAULT, Limits
from modelcrate.parts import COPULA, SERIES, SYNTHESIZER
from modelcrate.version import __version__

FAMILIES: Final[dict[str, Callable[[View], Translation]]] = {
    gretel_actgan.MODEL: gretel_actgan.translate,
    gretel_dgan.MODEL: gretel_dgan.translate,
    **ctgan.TRANSLATORS,
    ctgan_02.MODEL: ctgan_02.translate,
    **sdv17.TRANSLATORS,
    **sdv1.TRANSLATORS,
}
"""Translators by the class of the object that a file holds."""
ROOT: Final = "model"
"""What errors call the object in the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What became of a file: the manifest of the crate, its identity, what was left out and why, remarks.

    ``undisclosed``: what the source says about its training rows and its machine and the crate does not, in one line.
    """

    manifest: Manifest
    identity: Digest
    omitted: tuple[Omission, ...]
    notes: tuple[str, ...]
    undisclosed: str | None = None


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    form: Form = "file",
    digest: str = DEFAULT_ALGORITHM,
    weights_only: bool = False,
    redact: str | None = None,
    limits: Limits = DEFAULT,
) -> Conversion:
    """Convert the legacy file ``source`` into the crate ``target``. Nothing in the source is executed or imported.

    Models of a known library become what they are here; a file of ``torch.save``, or a pickle that holds tensors, is
    carried as :mod:`modelcrate.legacy.families.torch_values` says. ``weights_only`` keeps the tensors alone, as one
    state dict; it is the only way to take anything out of TorchScript, whose code is listed and left behind.
    ``redact`` takes learnt values out, as :func:`modelcrate.redaction.redact` says; the source may then be a crate.
    The same source gives the same bytes. Raises FormatError for a file that is no pickle or contradicts itself,
    PolicyError where it asks for code to be run, UnsupportedError for a model that is not known or holds what a crate
    can't carry (each with the attribute's path), LimitError, StorageError; nothing is left behind then.
    """
    refuse_same_file(source, target)
    if redact is not None:
        return _redacted(source, target, redact, overwrite, form, digest, limits)
    try:
        legacy = read_for_conversion(source, limits=limits, name=ROOT, script=weights_only)
    except FormatError:
        if is_crate(source):
            hint = "copy it; redact takes learnt values out of it"
            raise UsageError("it is a crate already", where=os.fspath(source), hint=hint) from None
        raise
    kind = legacy.root.class_name
    found = translate_file(legacy, source, weights_only=weights_only)
    check_translation(found)
    data = content_of(source)
    provenance = Provenance(
        producer={"modelcrate": __version__},
        source=Source(
            digest=digest_of(memoryview(data)), size=len(data), format=legacy.container, versions=found.versions
        ),
        created_by=kind,
    )
    manifest = write_crate(
        target,
        components=found.components,
        model=found.model,
        hyperparameters=found.hyperparameters,
        omitted=found.omitted,
        provenance=provenance,
        digest=digest,
        form=form,
        overwrite=overwrite,
        limits=limits,
    )
    return Conversion(
        manifest=manifest,
        identity=identity(manifest.to_bytes()),
        omitted=tuple(found.omitted),
        notes=tuple(found.notes),
        undisclosed=beyond(leaks(legacy, limits=limits)),
    )


def _redacted(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    what: str,
    overwrite: bool,
    form: Form,
    digest: str,
    limits: Limits,
) -> Conversion:
    """A crate, or a legacy file by way of one in a temporary folder, without ``what``."""
    from modelcrate.redaction import Redaction, redact

    Redaction.parse(what)
    with tempfile.TemporaryDirectory(prefix="modelcrate-") as folder:
        whole: Conversion | None = None
        if not is_crate(source):
            whole = convert(source, os.path.join(folder, "whole.crate"), limits=limits)
            source = os.path.join(folder, "whole.crate")
        done = redact(source, target, what, overwrite=overwrite, form=form, digest=digest, limits=limits)
    return Conversion(
        manifest=done.manifest,
        identity=identity(done.manifest.to_bytes()),
        omitted=(*(() if whole is None else whole.omitted), *done.omitted),
        notes=() if whole is None else whole.notes,
        undisclosed=None if whole is None else whole.undisclosed,
    )


def translate_file(legacy: LegacyFile, source: str | os.PathLike[str], *, weights_only: bool = False) -> Translation:
    """The parts of a crate out of a legacy file that was read. Raises as :func:`convert`."""
    translate = _family(legacy, weights_only)
    if translate is None:
        raise UnsupportedError(
            f"no known model: the file holds {legacy.root.describe()}",
            where=os.fspath(source),
            hint="known are models of gretel-synthetics, ctgan and SDV, and files that hold tensors",
        )
    return translate(legacy.root)


def _family(legacy: LegacyFile, weights_only: bool) -> Callable[[View], Translation] | None:
    """Who translates a file: the family of its object's class, else that of anything with tensors in it."""
    known = None if weights_only else FAMILIES.get(legacy.root.class_name or "")
    if known is not None:
        return known
    if not weights_only and gretel_dgan.is_saved(legacy.root):
        return gretel_dgan.translate_saved
    tensors = any(found.module.split(".")[0] == "torch" for found in legacy.reading.globals)
    if legacy.container == "pickle" and not tensors:
        return None
    from modelcrate.legacy.families import torch_values

    if weights_only:
        return lambda view: torch_values.translate_weights(view, legacy.program)
    return torch_values.translate


def is_crate(source: str | os.PathLike[str]) -> bool:
    """Whether a path is a crate: a folder with a manifest, or a zip whose members are those of one."""
    if os.path.isdir(source):
        return True
    import zipfile

    try:
        with zipfile.ZipFile(source) as archive:
            return "manifest.json" in archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError):
        return False  # all that zipfile raises of a file that is no zip for it; its reader then says what is wrong


def refuse_same_file(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Raise UsageError where a conversion would replace its own source."""
    if os.path.exists(source) and os.path.exists(target) and os.path.samefile(source, target):
        raise UsageError(
            "source and target are the same file", where=os.fspath(target), hint="name another target; the source stays"
        )


def check_translation(found: Translation) -> None:
    """Read the documents back as a loader will, so that nothing is written that can't be loaded."""
    check = {SYNTHESIZER: _check, COPULA: _check_copula, SERIES: _check_series}.get(found.model[0])
    if check is not None:
        check(found)


def _check(found: Translation) -> None:
    from modelcrate.tabular.config import Config
    from modelcrate.tabular.fit import check_parts, generator_shape
    from modelcrate.tabular.randomstate import RandomState
    from modelcrate.tabular.sampler import ConditionalSampler
    from modelcrate.tabular.table import Table
    from modelcrate.tabular.transformer import Transformer

    parts = {part.name: part for part in found.components}
    config = Config.from_document(dict(found.model[1]), f"{ROOT}.config")
    transformer = Transformer.from_document(parts["transformer"].state, f"{ROOT}.transformer")
    sampler = ConditionalSampler.from_document(parts["sampler"].state, f"{ROOT}.sampler")
    table = Table.from_document(parts["table"].state, f"{ROOT}.table")
    if "random_state" in parts:
        RandomState.from_document(parts["random_state"].state, f"{ROOT}.random_state")
    check_parts(transformer=transformer, sampler=sampler, table=table)
    shape = parts["generator"].config
    if (shape["embedding_dim"], shape["data_dim"]) != generator_shape(transformer, sampler, config):
        raise MismatchError("the generator's width is not that of its transformer and sampler", where=ROOT)


def _check_copula(found: Translation) -> None:
    from modelcrate.tabular.copula.config import CopulaConfig
    from modelcrate.tabular.copula.joint import Joint
    from modelcrate.tabular.copula.synthesizer import check_copula
    from modelcrate.tabular.randomstate import RandomState
    from modelcrate.tabular.table import Table

    parts = {part.name: part for part in found.components}
    CopulaConfig.from_document(dict(found.model[1]), f"{ROOT}.config")
    check_copula(
        joint=Joint.from_document(parts["joint"].state, f"{ROOT}.joint"),
        table=Table.from_document(parts["table"].state, f"{ROOT}.table"),
    )
    if "random_state" in parts:
        RandomState.from_document(parts["random_state"].state, f"{ROOT}.random_state")


def _check_series(found: Translation) -> None:
    """The variables against the network's config, and that against its tensors, name by name."""
    from modelcrate.nn.materialise import build_meta, named_tensors
    from modelcrate.nn.mismatch import compare
    from modelcrate.nn.registry import lookup
    from modelcrate.nn.tensors import NAMES
    from modelcrate.series_parts import check_generator
    from modelcrate.tabular.series.synthesizer import SeriesConfig
    from modelcrate.tabular.series.table import SeriesTable

    parts = {part.name: part for part in found.components}
    generator = parts["generator"]
    SeriesConfig.from_document(dict(found.model[1]), f"{ROOT}.config")
    table = SeriesTable.from_document(parts["series"].state, f"{ROOT}.series")
    check_generator(generator.config, table, f"{ROOT}.generator")
    module = build_meta(lookup(generator.type), dict(generator.config), dtype=None, where=f"{ROOT}.generator")
    wanted = {name: (NAMES[it.dtype], tuple(it.shape)) for name, it in named_tensors(module).items()}
    held = {name: (it.dtype, tuple(it.shape)) for name, it in (generator.tensors or {}).items()}
    report = compare(wanted, held)
    if report:
        raise report.error(f"{ROOT}.generator")
