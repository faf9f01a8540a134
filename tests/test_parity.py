"""Converted ACTGAN models give the cells that the original library gives: every golden output of the corpus."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import modelcrate
import parity

pytestmark = pytest.mark.usefixtures("one_thread")
ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "tests" / "corpus"
CASES = parity.cases(CORPUS, "actgan")
REFUSED = {"constraint_custom"}
"""Holds Python functions that decide what a row is; without them its rows would be wrong."""


@pytest.fixture(scope="module")
def work():
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.parametrize("name", sorted(set(CASES) - REFUSED))
def test_every_cell_is_the_original_s(name, work):
    folder, case = CASES[name]
    scores = parity.score_case(folder, case, work)
    expected = {path.stem for path in (folder / "golden").glob("*.csv")} - {"known"}
    if name == "release_0_20_0":  # draws its conditions from training rows
        expected = {"inverse_fixed", "reverse_fixed"}
    assert set(scores) == expected
    for golden, score in scores.items():
        assert score.problems == [], golden
        assert score.cells > 0
        assert score.equal == score.cells or score.worst <= 1e-4, (golden, score.worst_at)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_code_in_a_constraint_is_refused_by_the_column_it_is_about(name, tmp_path):
    folder, _ = CASES[name]
    with pytest.raises(modelcrate.errors.UnsupportedError, match="'amount'"):
        modelcrate.convert(folder / "model.pkl", tmp_path / "x.crate")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["mixed", "anyway"])
def test_the_network_alone_gives_the_original_s_outputs(name, work):
    folder, _ = CASES[name]
    modelcrate.convert(folder / "model.pkl", work / "net.crate", overwrite=True)
    core = modelcrate.load(work / "net.crate").core
    given = torch.from_numpy(np.load(folder / "golden" / "gen_in.npy"))
    found = core.raw(given, None).numpy()
    wanted = np.load(folder / "golden" / "gen_raw.npy")
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)  # 32 rows of a batch of 100


def test_the_comparison_sees_a_single_changed_cell(work):
    """Of a golden against itself, one cell changed in each of four ways."""
    path = CASES["mixed"][0] / "golden" / "sample_seeded.csv"
    modelcrate.convert(CASES["mixed"][0] / "model.pkl", work / "c.crate", overwrite=True)
    frame = modelcrate.load(work / "c.crate").sample(200, replay=1234)
    assert parity.compare(frame, path).equal == frame.size
    for column, value in (("income", 1.0), ("colour", "mauve"), ("state", None), ("signup", pd.Timestamp(0))):
        changed = frame.copy()
        row = int(np.flatnonzero(frame[column].notna())[0])
        changed.loc[row, column] = value
        assert parity.compare(changed, path).equal == frame.size - 1
    assert parity.compare(frame.astype({"age": "float64"}), path).problems
    assert parity.compare(frame[frame.columns[::-1]], path).problems
