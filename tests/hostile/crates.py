"""Crates and legacy files for tests of the command line."""

from __future__ import annotations

from pathlib import Path

from modelcrate.crate import ComponentData, write_crate
from modelcrate.format.manifest import Omission
from modelcrate.format.tensors import TensorData
from oracle import ROOT

ACTGAN = ROOT / "tests" / "corpus" / "actgan" / "no_rounding" / "model.pkl"
"""The smallest legacy model; whole and honest."""


def small(path: Path, text: str = "plain", *, form: str = "file") -> Path:
    """A crate of one tensor, with ``text`` wherever a crate may hold free text."""
    component = ComponentData(
        name="net",
        role="generator",
        type="acme.net/1",
        config={"note": text},
        tensors={"w": TensorData("F32", (2, 2), bytes(16))},
    )
    write_crate(
        path,
        components=[component],
        model=("acme.model/1", {"note": text}),
        hyperparameters={"note": text, "list": [text]},
        omitted=[Omission(what=text, where=text, why=text)],
        form=form,  # type: ignore[arg-type]
    )
    return path
