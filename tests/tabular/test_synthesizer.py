"""Sampling without a replay: reproducible, independent of how it is split, and bounded whatever a crate says."""

from __future__ import annotations

import random
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import modelcrate
from modelcrate.errors import FormatError, LimitError, UnsupportedError, UsageError
from modelcrate.tabular import core as core_module
from modelcrate.tabular import rejection as rejection_module
from modelcrate.tabular import replay as replay_module
from modelcrate.tabular import synthesizer as synthesizer_module
from modelcrate.tabular.config import Config
from modelcrate.tabular.synthesizer import Synthesizer

pytestmark = pytest.mark.usefixtures("one_thread")
CORPUS = Path(__file__).resolve().parents[1] / "corpus" / "actgan"


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crates")
    loaded = {}

    def make(name):
        if name not in loaded:
            modelcrate.convert(CORPUS / name / "model.pkl", folder / f"{name}.crate")
            loaded[name] = modelcrate.load(folder / f"{name}.crate")
        return loaded[name]

    return make


def test_the_same_seed_gives_the_same_rows_and_another_seed_others(load):
    synthesizer = load("mixed")
    first = synthesizer.sample(300, seed=7)
    pd.testing.assert_frame_equal(first, synthesizer.sample(300, seed=7))
    assert not first.equals(synthesizer.sample(300, seed=8))
    assert not synthesizer.sample(300).equals(synthesizer.sample(300))


def test_a_smaller_sample_is_the_beginning_of_a_larger_one(load):
    synthesizer = load("mixed")
    whole = synthesizer.sample(5000, seed=7)
    for rows in (1, 2, 2047, 2048, 2049):
        part = synthesizer.sample(rows, seed=7)
        pd.testing.assert_frame_equal(part, whole.head(rows), check_dtype=False)


@pytest.mark.parametrize("rows", [1, 500, 2048, 10**6])
def test_frames_of_any_size_are_the_same_rows(load, monkeypatch, rows):
    synthesizer = load("key_int")
    whole = synthesizer.sample(5000, seed=3)
    monkeypatch.setattr(synthesizer_module, "CHUNK_ROWS", rows)
    frames = list(synthesizer.sample_batches(5000, seed=3))
    assert (len(frames) > 1) == (rows < 5000)
    pd.testing.assert_frame_equal(pd.concat(frames, ignore_index=True), whole)
    assert whole["id"].tolist() == list(range(5000))


def test_threads_that_share_a_synthesizer_do_not_disturb_each_other(load):
    synthesizer = load("random_state")
    alone = [synthesizer.sample(700, seed=seed) for seed in range(6)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seed: synthesizer.sample(700, seed=seed), range(6)))
    for expected, found in zip(alone, together, strict=True):
        pd.testing.assert_frame_equal(found, expected)


@pytest.mark.parametrize("options", [{"seed": 5}, {"replay": 5}, {"replay": "fixed"}, {}])
def test_F13_the_process_s_own_generators_are_left_alone(load, options):
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    load("highcard_mode").sample(150, **options)
    assert random.getstate() == before[0]
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert torch.equal(torch.get_rng_state(), before[2])


def test_a_sample_follows_the_categories_of_the_training_table(load):
    """The conditions are drawn by frequency; how well the generator follows them is another matter."""
    sampler = load("mixed").core.sampler
    vectors = sampler.vectors(np.random.default_rng(0).random(200_000))
    assert vectors.sum(axis=1).tolist() == [1.0] * len(vectors)
    expected = np.diff(sampler.cumulative, prepend=0.0)
    assert np.abs(vectors.mean(axis=0) - expected).max() < 0.005


def test_batch_statistics_leave_no_trace_in_the_network(load):
    """Release 0.20 leaves its network in training mode while it samples."""
    synthesizer = load("release_0_20_0")
    assert synthesizer.config.statistics == "batch"
    before = {name: tensor.clone() for name, tensor in synthesizer.core.generator.state_dict().items()}
    first = synthesizer.sample(100, seed=1)
    pd.testing.assert_frame_equal(first, synthesizer.sample(100, seed=1))
    after = synthesizer.core.generator.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_a_model_that_needs_its_training_rows_says_that_it_cannot_be_replayed(load):
    for replay in (1, "fixed"):
        with pytest.raises(UnsupportedError, match="training rows"):
            load("release_0_20_0").sample(5, replay=replay)


# -- conditions


def test_one_condition_for_all_rows(load):
    found = load("mixed").sample(40, conditions={"colour": "green"}, seed=1)
    assert found["colour"].tolist() == ["green"] * 40
    assert found["age"].nunique() > 1
    pd.testing.assert_frame_equal(found, load("mixed").sample(40, conditions={"colour": "green"}, seed=1))


def test_several_conditions_with_a_number_of_rows_each(load):
    found = load("anyway").sample(conditions=[({"colour": "red"}, 5), ({"vip": True}, 3)], seed=1)
    assert len(found) == 8
    assert found["colour"].tolist()[:5] == ["red"] * 5
    assert found["vip"].tolist()[5:] == [True] * 3


def test_a_frame_of_known_columns_keeps_its_order_and_its_labels(load):
    known = pd.DataFrame(
        {"colour": ["blue", "red", "blue", "green"], "vip": [True, False, False, True]}, index=[9, 3, 7, 1]
    )
    found = load("mixed").sample(conditions=known, seed=4)
    assert found.index.tolist() == [9, 3, 7, 1]
    assert found["colour"].tolist() == known["colour"].tolist()
    assert found["vip"].tolist() == known["vip"].tolist()


def test_forced_conditions_hold_for_numbers_too(load):
    found = load("anyway_forced").sample(6, conditions={"age": 33, "colour": "blue"}, seed=2)
    assert found["age"].tolist() == [33] * 6
    assert found["colour"].tolist() == ["blue"] * 6


def test_a_model_that_knows_no_conditions_is_forced_after_it_has_sampled(load):
    """The rows of the original are those without conditions, in which the known cells are put."""
    plain = load("mixed")
    forced = Synthesizer(
        generator=plain.core.generator,
        transformer=plain.core.transformer,
        sampler=plain.core.sampler,
        table=plain.table,
        config=replace(plain.config, force_conditioning=True),
    )
    found = forced.sample(conditions=[({"age": 33}, 6)], replay=1)
    wanted = plain.sample(6, replay=1).assign(age=33)
    pd.testing.assert_frame_equal(found.drop(columns="raw"), wanted.drop(columns="raw"))  # which sdv rounds here
    assert forced.sample(6, conditions={"age": 33}, seed=1)["age"].tolist() == [33] * 6


def test_F16_a_value_that_never_occurs_ends_in_an_error_not_in_a_loop(load, monkeypatch):
    monkeypatch.setattr(rejection_module, "PATIENCE", 3000)
    monkeypatch.setattr(replay_module, "TRIES", 3)
    with pytest.raises(UsageError, match="no row"):
        load("mixed").sample(5, conditions={"age": 1000}, seed=1)
    with pytest.raises(UsageError, match="no row"):
        load("mixed").sample(5, conditions={"colour": "mauve"}, replay=1)


def test_too_few_matching_rows_are_a_warning(load, monkeypatch):
    monkeypatch.setattr(rejection_module, "PATIENCE", 3000)
    conditions = [({"colour": "red"}, 4), ({"age": 1000}, 4)]
    with pytest.warns(UserWarning, match="only 4 of 8"):
        assert len(load("mixed").sample(conditions=conditions, seed=1)) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 5, "conditions": {"color": "red"}}, "no column is named 'color'"),
        ({"n": 5, "conditions": {"colour": "mauve"}}, "'mauve' does not occur"),
        ({"n": 5, "conditions": {}}, "no column is known"),
        ({"conditions": {"colour": "red"}}, "how many rows"),
        ({"n": 5, "conditions": {"state": None}}, "missing"),
        ({"n": 5, "conditions": {"income": "much"}}, "compared|number"),
        ({"n": 3, "conditions": [({"colour": "red"}, 2)]}, "for 2 rows, not 3"),
        ({"conditions": [("colour", 2)]}, "a list of"),
        ({"conditions": [({"colour": "red"}, -1)]}, "a list of"),
        ({}, "how many rows"),
        ({"n": -1}, "between 0"),
        ({"n": 10**12}, "between 0"),
        ({"n": True}, "between 0"),
        ({"n": 2.0}, "number of rows"),
        ({"n": "5"}, "number of rows"),
        ({"n": 5, "seed": -1}, "2\\*\\*64"),
        ({"n": 5, "seed": 2**64}, "2\\*\\*64"),
        ({"n": 5, "seed": 1.5}, "integer"),
        ({"n": 5, "seed": 1, "replay": 1}, "not both"),
        ({"n": 5, "replay": -1}, "replayed seed"),
        ({"n": 5, "replay": 2**32}, "replayed seed"),
        ({"n": 5, "replay": "later"}, "'fixed'"),
    ],
)
def test_F17_wrong_arguments_are_named(load, arguments, message):
    with pytest.raises(UsageError, match=message):
        load("mixed").sample(**arguments)


@pytest.mark.parametrize("options", [{"seed": 1}, {"replay": 1}])
def test_no_rows_still_have_their_columns(load, options):
    found = load("mixed").sample(0, **options)
    assert len(found) == 0
    assert tuple(found.columns) == load("mixed").columns


# -- constraints


def test_rows_obey_their_constraints_and_unique_holds_across_blocks(load, monkeypatch):
    monkeypatch.setattr(core_module, "BLOCK_ROWS", 64)
    combos = load("constraint_combos")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = combos.sample(300, seed=5)
    assert found["u"].is_unique
    inequality = load("constraint_inequality").sample(300, seed=5)
    assert (inequality["low"] <= inequality["high"]).all()
    assert (inequality["amount"] > 0).all()


# -- what a hostile crate may say


def test_F16_a_generator_that_gives_nothing_finite_is_refused(load):
    synthesizer = load("only_discrete")
    weight = synthesizer.core.generator.seq[-1].weight
    kept = weight.detach().clone()
    with torch.no_grad():
        weight.fill_(float("nan"))
    try:
        for options in ({"seed": 1}, {"replay": 1}):
            with pytest.raises(FormatError, match="not finite"):
                synthesizer.sample(10, **options)
    finally:
        with torch.no_grad():
            weight.copy_(kept)


def test_everything_taken_from_the_data_can_be_listed(load):
    derived = load("anyway").derived()
    assert ("colour", "category", 3) in derived
    assert {kind for _, kind, _ in derived} >= {"category", "bound", "mode", "frequency", "mean"}


@pytest.mark.parametrize("how", [{"seed": 1}, {"replay": 1}])
def test_a_network_too_wide_for_its_rows_is_refused_before_they_are_drawn(load, monkeypatch, how):
    """A million inputs are 4 MB of weights and 8 GB of noise."""
    synthesizer = load("key_int")
    monkeypatch.setattr(core_module, "NUMBERS_LIMIT", 10_000)
    with pytest.raises(LimitError, match="rows at once"):
        synthesizer.sample(3, **how)


def test_statistics_of_a_batch_of_one_row_are_refused(load):
    document = {**load("key_int").config.to_document(), "statistics": "batch", "batch_size": 1}
    with pytest.raises(FormatError, match="one row has no statistics"):
        Config.from_document(document, "config")
