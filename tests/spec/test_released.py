"""Readable for ever: crates of every released format version, opened by today's reader (FORMAT.md 8.5)."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

import modelcrate
from modelcrate.format.version import CURRENT

RELEASED = Path(__file__).resolve().parents[2] / "spec" / "vectors" / "released"
CRATES = [
    pytest.param(folder / name, expected, id=f"{folder.name}/{name}")
    for folder in sorted(path for path in RELEASED.iterdir() if path.is_dir() and path.name[0].isdigit())
    for name, expected in json.loads((folder / "expected.json").read_text(encoding="ascii")).items()
]


@pytest.mark.parametrize(("path", "expected"), CRATES)
def test_a_released_crate_opens_and_holds_what_it_held(path, expected):
    assert modelcrate.verify(path, expect=expected["identity"], schemas=True).problems == ()
    with modelcrate.open(path) as crate:
        model = crate.manifest.model
        assert (None if model is None else model.type) == expected["model"]
        assert set(crate) == set(expected["components"])
        for name, part in expected["components"].items():
            assert crate[name].type == part["type"]
            if part["tensors"] is not None:
                held = {key: [it.dtype, *it.shape] for key, it in crate[name].data.items()}
                assert held == part["tensors"]
            if part["state"] is not None:
                assert sorted(crate[name].state) == part["state"]


def test_the_current_version_has_its_corpus():
    names = {path.values[0].name for path in CRATES if path.values[0].parent.name == str(CURRENT)}
    assert {
        "every_value",
        "every_value.crate",
        "sha256.crate",
        "nothing.crate",
        "network.crate",
        "actgan.crate",
    } <= names


def test_file_and_folder_are_one_crate():
    for folder in {path.values[0].parent for path in CRATES}:
        with modelcrate.open(folder / "every_value.crate") as file, modelcrate.open(folder / "every_value") as other:
            assert file.identity == other.identity


def test_values_of_format_1_0_mean_what_they_meant():
    with modelcrate.open(RELEASED / "1.0" / "every_value.crate") as crate:
        state = crate["values"].state
        floats = bytes(crate["net"].data["t.F32"].data)
        assert crate.manifest.hyperparameters["learning_rate"] == 0.0002
        assert crate.manifest.omitted[0].what == "a callback"
    assert state["plain"][:8] == [None, True, False, 0, -1, 2**63, -(2**63), 1.5]
    assert math.copysign(1, state["plain"][8]) == -1
    assert math.isnan(state["plain"][9])
    assert state["integers"] == [2**64, -(2**63) - 1, 2**1000]
    assert state["times"][0].isoformat() == "2020-02-29T23:59:59.999999"
    assert state["times"][2].tzinfo.name == "Europe/Madrid"
    assert [str(it) for it in state["decimals"]] == ["1.50", "-0", "NaN", "1E+3"]
    assert [it.name for it in state["missing"]] == ["NAT", "NA"]
    assert state["scalars"][1].dtype == np.int64
    assert state["arrays"]["float16"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert state["arrays"]["datetime64[ns]"].astype(int).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert floats == bytes([0, 1] * 12)


def test_models_of_format_1_0_still_run():
    torch = pytest.importorskip("torch", reason="models need torch")
    network = modelcrate.load(RELEASED / "1.0" / "network.crate").eval()
    assert network(torch.zeros(3, 4)).shape == (3, 2)
    assert modelcrate.load(RELEASED / "1.0" / "actgan.crate").sample(5, seed=7).shape[0] == 5
