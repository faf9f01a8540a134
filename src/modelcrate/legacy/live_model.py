"""A live model of a library that is read from files, too: written down in memory, then translated like a file."""

from __future__ import annotations

import importlib.metadata
from dataclasses import replace
from typing import Final

from modelcrate.format.manifest import Provenance
from modelcrate.legacy.convert import FAMILIES, check_translation
from modelcrate.legacy.dump import view_of
from modelcrate.limits import DEFAULT
from modelcrate.parts import Parts
from modelcrate.version import __version__

PACKAGES: Final = {
    "gretel_synthetics": ("gretel-synthetics", "sdv", "rdt"),
    "ctgan": ("ctgan", "rdt"),
    "sdv": ("sdv", "rdt", "ctgan", "copulas"),
}
"""The packages whose versions say how a model of a library was made."""
LIMITS: Final = replace(
    DEFAULT,
    pickle_opcodes=1 << 30,
    pickle_memo=1 << 28,
    pickle_calls=1 << 28,
    pickle_memory=1 << 36,
    pickle_text_bytes=1 << 32,
    legacy_items=1 << 30,
    seconds=86_400.0,
)
"""The caller's own object is in memory already; what it holds is no attack."""


def live_parts(model: object) -> Parts | None:
    """The parts of a live model of a known library; None for any other object.

    The object is not changed, and a callback that it holds stays with it. Raises as a conversion of its file does.
    """
    kind = type(model)
    name = f"{kind.__module__}.{kind.__qualname__}"
    translate = FAMILIES.get(name)
    if translate is None:
        return None
    found = translate(view_of(model, limits=LIMITS))
    check_translation(found)
    producer = {"modelcrate": __version__}
    for package in PACKAGES.get(kind.__module__.split(".", 1)[0], ()):
        try:
            producer[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return Parts(
        model=found.model,
        components=found.components,
        hyperparameters=found.hyperparameters,
        omitted=found.omitted,
        provenance=Provenance(producer=producer, created_by=name),
    )


def known_base(model: object) -> str | None:
    """The class of a known library that an object's own class derives from; None where there is none."""
    names = (f"{kind.__module__}.{kind.__qualname__}" for kind in type.mro(type(model))[1:])
    return next((name for name in names if name in FAMILIES), None)
