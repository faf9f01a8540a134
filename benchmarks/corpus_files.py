"""The generators in a folder of legacy files, and what converting one of them gives: sizes, seconds, what is left out.

A folder is read by its ``index.json``, those of its sub-folders, or the ``case.json`` beside each model.
"""

from __future__ import annotations

import csv
import json
import lzma
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import modelcrate

GENERATOR_STATE = 624
"""Numbers of a Mersenne Twister's state: no data, and longer than some training tables here."""
FAMILIES = ("actgan", "ctgan", "sdv 0.17", "sdv 1", "sdv 2", "dgan", "bench")


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One legacy file; ``kind`` is the family that knows how to score it, ``family`` the line it is listed under."""

    family: str
    kind: str
    name: str
    model: Path
    case: dict[str, Any]

    @property
    def folder(self) -> Path:
        """Where the model and its goldens lie."""
        return self.model.parent

    @property
    def refused(self) -> bool:
        """Whether it must not become a crate: it holds code that decides what a row is."""
        return any("expected unsupported" in note for note in self.case["notes"])

    def size(self) -> int:
        """Bytes of the file as its library wrote it."""
        return len(lzma.open(self.model).read()) if self.model.suffix == ".xz" else self.model.stat().st_size

    def training_rows(self) -> int | None:
        """Rows of the training table, where the folder says so."""
        if "training_rows" in self.case:
            return int(self.case["training_rows"])
        if self.kind == "dgan" or not (self.folder / "train.csv").exists():  # a series has several rows an example
            return None
        with (self.folder / "train.csv").open(encoding="utf-8", newline="") as rows:
            return sum(1 for _ in csv.reader(rows)) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a conversion took, gave and left out; ``longest`` is the longest list or array in the crate's state."""

    before: int
    after: int
    seconds: float
    omitted: list[tuple[str, str]]
    notes: list[str]
    longest: int
    longest_at: str


def files(corpus: Path) -> list[File]:
    """The generators of a folder, in the order of :data:`FAMILIES`."""
    found = [file for case, family in _cases(corpus) if (file := _file(corpus, case, family)) is not None]
    return sorted(found, key=lambda file: FAMILIES.index(file.family))


def _cases(corpus: Path) -> Iterator[tuple[dict[str, Any], str]]:
    indexes = [corpus / "index.json"] if (corpus / "index.json").exists() else sorted(corpus.glob("*/index.json"))
    for index in indexes:
        for case in json.loads(index.read_text(encoding="utf-8"))["cases"]:
            yield case, case.get("family", index.parent.name)
    if not indexes:
        for path in sorted(corpus.glob("**/case.json")):
            case = json.loads(path.read_text(encoding="utf-8"))
            yield case, case["family"]


def _file(corpus: Path, case: dict[str, Any], family: str) -> File | None:
    kind = family
    if family == "bench":
        kind = "actgan" if "gretel-synthetics" in case["producer"] else "ctgan"
    elif family in ("sdv", "sdv17"):
        release = case["producer"]["sdv"]
        kind = "sdv17" if release.startswith("0.") else "sdv"
        family = "sdv 0.17" if kind == "sdv17" else f"sdv {release.partition('.')[0]}"
    if family not in FAMILIES:
        return None
    model = corpus / case["path"]
    if not model.exists():
        model = model.with_name(model.name + ".xz")
    return File(family=family, kind=kind, name=case["name"], model=model, case=case)


def measure(file: File, crate: Path) -> Cost:
    """Convert a file and look at what came of it; errors of the library are its caller's."""
    start = time.perf_counter()
    done = modelcrate.convert(file.model, crate, overwrite=True)
    seconds = time.perf_counter() - start
    with modelcrate.open(crate) as opened:
        lengths = [
            found
            for name, part in opened.items()
            if part.has_state
            for found in _lengths(part.state, name)
            if not (found[0] == GENERATOR_STATE and found[1].endswith(".key"))
        ]  # fmt: skip
    longest, where = max(lengths, default=(0, ""))
    return Cost(
        before=file.size(),
        after=crate.stat().st_size,
        seconds=seconds,
        omitted=[(each.what, each.why) for each in done.omitted],
        notes=list(done.notes),
        longest=longest,
        longest_at=where,
    )


def _lengths(node: Any, where: str) -> Iterator[tuple[int, str]]:
    shape = getattr(node, "shape", None)
    if shape is not None:
        yield math.prod(shape), where
    elif isinstance(node, (dict, list)):
        if isinstance(node, list):
            yield len(node), where
        pairs = node.items() if isinstance(node, dict) else enumerate(node)
        for key, child in pairs:
            yield from _lengths(child, f"{where}.{key}" if isinstance(node, dict) else f"{where}[{key}]")
