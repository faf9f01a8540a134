"""Converting a legacy file into a crate: read it without executing it, translate it by its family, write it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from modelcrate.crate_writer import Form, write_crate
from modelcrate.errors import UnsupportedError
from modelcrate.format.digest import DEFAULT_ALGORITHM, Digest, digest_of
from modelcrate.format.manifest import Manifest, Omission, Provenance, Source, identity
from modelcrate.legacy.families import gretel_actgan
from modelcrate.legacy.families.gretel_actgan import Translation
from modelcrate.legacy.reader import map_file, read_for_conversion
from modelcrate.legacy.view import View
from modelcrate.limits import DEFAULT, Limits
from modelcrate.version import __version__

FAMILIES: Final[dict[str, Callable[[View], Translation]]] = {gretel_actgan.MODEL: gretel_actgan.translate}
"""Translators by the class of the object that a file holds."""
ROOT: Final = "model"
"""What errors call the object in the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What became of a legacy file: the manifest of the crate, its identity, what was left out and why, remarks."""

    manifest: Manifest
    identity: Digest
    omitted: tuple[Omission, ...]
    notes: tuple[str, ...]


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    form: Form = "file",
    digest: str = DEFAULT_ALGORITHM,
    limits: Limits = DEFAULT,
) -> Conversion:
    """Convert the legacy file ``source`` into the crate ``target``. Nothing in the source is executed or imported.

    The same source gives the same bytes. Raises FormatError for a file that is no pickle or contradicts itself,
    PolicyError where it asks for code to be run, UnsupportedError for a model that is not known or holds what a crate
    can't carry (each with the attribute's path), LimitError, StorageError; nothing is left behind then.
    """
    legacy = read_for_conversion(source, limits=limits, name=ROOT)
    kind = legacy.root.class_name
    translate = FAMILIES.get(kind or "")
    if translate is None:
        raise UnsupportedError(
            f"no known model: the file holds {legacy.root.describe()}",
            where=os.fspath(source),
            hint=f"known are {', '.join(sorted(FAMILIES))}",
        )
    found = translate(legacy.root)
    _check(found)
    data = map_file(source)
    provenance = Provenance(
        producer={"modelcrate": __version__},
        source=Source(digest=digest_of(data), size=len(data), format=legacy.container, versions=found.versions),
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
    )


def _check(found: Translation) -> None:
    """Read the documents back as a loader will, so that nothing is written that can't be loaded."""
    from modelcrate.tabular_parts import read_states

    read_states(
        config=found.model[1],
        states={part.name: part.state for part in found.components if part.state is not None},
        generator=next(part.config for part in found.components if part.name == "generator"),
        where=ROOT,
    )
