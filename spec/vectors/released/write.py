"""Writes the crates of the current format version with the library: ``python spec/vectors/released/write.py``."""

from __future__ import annotations

import dataclasses
import json
import sys
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import numpy as np
import torch
from torch import nn

import modelcrate
from modelcrate.crate import ComponentData, write_crate
from modelcrate.format.digest import digest_of
from modelcrate.format.extensions import DTYPE_SIZES
from modelcrate.format.manifest import Omission, Provenance, Source
from modelcrate.format.tensors import DTYPE_SIZES as TENSOR_SIZES
from modelcrate.format.tensors import TensorData
from modelcrate.format.values import Missing, Zone
from modelcrate.format.version import CURRENT
from modelcrate.stored import StoredComponent

HERE = Path(__file__).resolve().parent
LEGACY = HERE.parents[2] / "tests" / "corpus" / "actgan" / "no_rounding" / "model.pkl"


def every_value() -> dict[str, object]:
    return {
        "plain": [None, True, False, 0, -1, 2**63, -(2**63), 1.5, -0.0, float("nan"), float("inf"), "é€😀", b"\0\xff"],
        "integers": [2**64, -(2**63) - 1, 2**1000],
        "arrays": {name: np.arange(6).astype("int8").astype(name).reshape(2, 3) for name in DTYPE_SIZES},
        "scalars": [np.bool_(True), np.int64(-3), np.float32(0.5), np.datetime64("NaT", "ns")],
        "times": [
            datetime(2020, 2, 29, 23, 59, 59, 999999),
            datetime(2020, 1, 2, tzinfo=timezone(timedelta(hours=-3))),
            datetime(2020, 1, 2, tzinfo=Zone("Europe/Madrid"), fold=1),
            date(1, 1, 1),
            time(1, 2, 3, 4),
            timedelta(days=-1, microseconds=1),
        ],
        "decimals": [Decimal("1.50"), Decimal("-0"), Decimal("NaN"), Decimal("1E+3")],
        "missing": [Missing.NAT, Missing.NA],
        "nested": {"": [[], {}, [{"$x": None}]]},
    }


def components() -> list[ComponentData]:
    held = {
        f"t.{dtype}": TensorData(dtype, (2, 3), bytes(index % 2 for index in range(6 * size)))
        for dtype, size in TENSOR_SIZES.items()
    }
    return [
        ComponentData(
            name="values", role="sampler", type="corpus.values/1", config={"x": [1, 2.5]}, state=every_value()
        ),
        ComponentData(name="net", role="generator", type="corpus.net/1", tensors=held),
        ComponentData(name="both", role="other", type="corpus.both/2", tensors={}, state={}),
    ]


def write(folder: Path) -> None:
    full = {
        "components": components(),
        "model": ("corpus.model/1", {"parts": ["values", "net"]}),
        "hyperparameters": {"epochs": 300, "learning_rate": 2e-4, "tiny": 1e-7, "names": ["é", None, True]},
        "omitted": [Omission(what="a callback", where="model.callback", why="code is never kept")],
        "provenance": Provenance(
            producer={"modelcrate": modelcrate.__version__},
            source=Source(digest=digest_of(b"abc"), size=3, format="pickle", versions={"numpy": "1.23.5"}),
            created_by="convert",
        ),
    }
    write_crate(folder / "every_value.crate", **full)
    write_crate(folder / "every_value", form="folder", **full)
    sha = dataclasses.replace(full["provenance"], source=None)
    write_crate(folder / "sha256.crate", digest="sha256", **{**full, "provenance": sha})
    write_crate(folder / "nothing.crate", components=[])
    modelcrate.convert(LEGACY, folder / "actgan.crate")
    save_network(folder / "network.crate")


def save_network(path: Path) -> None:
    torch.manual_seed(0)
    modelcrate.save(nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)), path)


def shapes(part: StoredComponent) -> dict[str, list[object]]:
    return {name: [tensor.dtype, *tensor.shape] for name, tensor in part.data.items()}


def describe(path: Path) -> dict[str, object]:
    with modelcrate.open(path) as crate:
        manifest = crate.manifest
        return {
            "identity": str(crate.identity),
            "model": None if manifest.model is None else manifest.model.type,
            "components": {
                name: {
                    "type": part.type,
                    "tensors": {key: [it.dtype, *it.shape] for key, it in part.data.items()}
                    if part.has_weights
                    else None,
                    "state": sorted(part.state) if part.has_state else None,
                }
                for name, part in crate.items()
            },
        }


def main() -> None:
    folder = HERE / str(CURRENT)
    if folder.exists():
        sys.exit(f"{folder} is there; released crates stay as they are")
    folder.mkdir()
    write(folder)
    expected = {path.name: describe(path) for path in sorted(folder.iterdir())}
    text = json.dumps(expected, indent=1, sort_keys=True, ensure_ascii=True)
    (folder / "expected.json").write_text(text + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
