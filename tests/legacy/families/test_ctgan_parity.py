"""Converted CTGAN and TVAE models give what the ctgan package gives: every golden output of the corpus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import modelcrate
import parity
from modelcrate.errors import UnsupportedError, UsageError

pytestmark = pytest.mark.usefixtures("one_thread")
ROOT = Path(__file__).resolve().parents[3]
CORPUS = ROOT / "tests" / "corpus"
CASES = parity.cases(CORPUS, "ctgan")
FROM_ROWS = ("0_5_2_mixed", "0_5_2_nan_category", "0_5_2_nan_continuous", "0_5_2_random_state", "0_7_5_mixed",
             "0_7_5_nan_category")  # fmt: skip
"""Their release draws the category of each row from a random training row."""


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ctgan")

    def loaded(name: str):
        crate = folder / f"{name}.crate"
        if not crate.exists():
            modelcrate.convert(CASES[name][0] / "model.pt.xz", crate)
        return modelcrate.load(crate)

    return loaded


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_cell_and_every_array_is_the_original_s(name, tmp_path):
    folder, case = CASES[name]
    scores = parity.score_ctgan(folder, case, tmp_path)
    with np.load(folder / "golden" / "arrays.npz") as arrays:
        expected = {path.stem for path in (folder / "golden").glob("*.csv")} | set(arrays.files)
    assert set(scores) == expected
    assert "sample_seeded" in scores or name in FROM_ROWS
    for golden, score in scores.items():
        assert score.problems == [], golden
        assert score.cells > 0
        assert score.equal == score.cells or score.worst <= 1e-5, (golden, score.worst_at)


def test_the_model_of_default_size_too(tmp_path):
    folder = ROOT / "benchmarks" / "models" / "bench_ctgan"
    modelcrate.convert(folder / "model.pt.xz", tmp_path / "bench.crate")
    found = modelcrate.load(tmp_path / "bench.crate").sample(200, replay=1234)
    score = parity.compare(found, folder / "golden" / "sample_seeded.csv")
    assert score.problems == []
    assert score.equal == score.cells == 15 * 200 or score.worst <= 1e-5


@pytest.mark.parametrize("name", FROM_ROWS)
def test_a_release_that_draws_from_training_rows_can_t_be_replayed_without_a_request(name, load):
    with pytest.raises(UnsupportedError, match="training rows, which a crate does not hold"):
        load(name).sample(10, replay=1)
    assert len(load(name).sample(10, seed=1)) == 10


def test_plain_samples_have_the_category_that_was_asked_for_and_replay_need_not(load):
    """Upstream asks for the third category of the first column where the third of another was meant."""
    mixed = load("0_12_1_mixed")
    for known in ({"code": 20}, {"vip": True}, {"k": "k07", "state": "green"}):
        found = mixed.sample(60, conditions=known, seed=3)
        assert len(found) == 60
        for column, value in known.items():
            assert set(found[column]) == {value}
    assert set(mixed.sample(60, conditions={"code": 20}, replay=3)["code"]) != {20}


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"code": 20, "vip": True}, "one category of one column"),
        ({"age": 40}, "discrete columns only"),
        ([({"code": 20}, 5), ({"code": 30}, 5)], "one category of one column"),
    ],
)
def test_a_replay_asks_for_no_more_than_the_original_can(conditions, message, load):
    with pytest.raises(UsageError, match=message):
        load("0_12_1_mixed").sample(conditions=conditions, n=10, replay=1)


@pytest.mark.parametrize("replay", [None, 1])
def test_a_category_that_was_never_seen_is_an_error(replay, load):
    with pytest.raises(UsageError, match="does not occur in the training data"):
        load("0_12_1_mixed").sample(5, conditions={"state": "mauve"}, replay=replay)


def test_a_stored_random_state_decides_a_replay_whatever_its_seed(load):
    """ctgan goes on from the state in the file; the process's own seeds do not matter."""
    for name in ("0_12_1_random_state", "0_12_1_tvae_random_state"):
        model = load(name)
        assert model.random_state is not None
        assert model.sample(50, replay=1).equals(model.sample(50, replay=2))
        assert not model.sample(50, seed=1).equals(model.sample(50, seed=2))


def test_decoded_numbers_are_noised_around_the_network_s(load):
    """With deviations of zero the values repeat what the network alone says."""
    model = load("0_12_1_tvae_continuous")
    noisy = model.sample(400, seed=5)
    model.core.sigmas[:] = 0.0
    exact = model.sample(400, seed=5)
    assert not noisy["a"].equals(exact["a"])
    assert abs(noisy["a"].mean() - exact["a"].mean()) < noisy["a"].std()


@pytest.mark.parametrize("name", ["0_5_2_mixed", "0_7_5_nan_category", "0_12_1_mixed"])
def test_categories_are_asked_for_as_often_as_the_file_says(name, load):
    """A chi-square test of 100,000 requests against the frequencies of the file, at one in a million."""
    sampler = load(name).core.sampler
    rows = 100_000
    chances = np.diff(sampler.cumulative, prepend=0.0)
    counts = sampler.vectors(np.random.default_rng(11).random(rows)).sum(axis=0)
    statistic = float(((counts - rows * chances) ** 2 / (rows * chances)).sum())
    freedom = len(chances) - 1
    assert statistic < freedom + 5 * np.sqrt(2 * freedom) + 15
