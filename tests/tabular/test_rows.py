"""One call of ``sample``: frames that follow each other, shards of several workers, conditions that are never met."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pandas as pd
import pytest

import modelcrate
from modelcrate.errors import UnsupportedError, UsageError
from modelcrate.tabular import rejection as rejection_module
from modelcrate.tabular import rows as rows_module
from modelcrate.tabular import synthesizer as synthesizer_module
from modelcrate.tabular.shard import Shard

pytestmark = pytest.mark.usefixtures("one_thread")
ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests" / "corpus"
SERIES = CORPUS / "dgan" / "long_var" / "model.pt.xz"
MODELS = {
    "mixed": CORPUS / "actgan" / "mixed" / "model.pkl",
    "key_int": CORPUS / "actgan" / "key_int" / "model.pkl",
    "combos": CORPUS / "actgan" / "constraint_combos" / "model.pkl",
    "inequality": CORPUS / "actgan" / "constraint_inequality" / "model.pkl",
    "keys": CORPUS / "sdv" / "sdv1_38_5_ctgan_regex_pii" / "model.pkl.xz",
    "copula": CORPUS / "sdv17" / "copula_default",
    "series": SERIES,
}


@pytest.fixture(scope="module")
def crate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crates")

    def made(name):
        path = folder / f"{name}.crate"
        if not path.exists():
            source = MODELS[name]
            modelcrate.convert(next(source.glob("model.pkl*")) if source.is_dir() else source, path)
        return path

    return made


@pytest.fixture
def load(crate):
    loaded = {}

    def made(name):
        if name not in loaded:
            loaded[name] = modelcrate.load(crate(name))
        return loaded[name]

    return made


def together(frames):
    return pd.concat(frames, ignore_index=True)


# -- frames


def test_conditioned_rows_come_in_frames_too(load, monkeypatch):
    synthesizer = load("mixed")
    whole = synthesizer.sample(9000, conditions={"colour": "green"}, seed=3)
    monkeypatch.setattr(synthesizer_module, "CHUNK_ROWS", 1000)
    frames = list(synthesizer.sample_batches(9000, conditions={"colour": "green"}, seed=3))
    assert len(frames) > 3
    pd.testing.assert_frame_equal(together(frames), whole)
    pd.testing.assert_frame_equal(synthesizer.sample(50, conditions={"colour": "green"}, seed=3), whole.head(50))


def test_any_number_of_conditioned_rows_begins_at_once(load, monkeypatch):
    """A thousand million rows would not fit anywhere."""
    monkeypatch.setattr(synthesizer_module, "CHUNK_ROWS", 1000)
    frames = load("mixed").sample_batches(10**9, conditions={"colour": "green"}, seed=3)
    assert set(next(frames)["colour"]) == {"green"}


def test_a_long_frame_of_known_cells_is_completed_part_by_part(load, monkeypatch):
    monkeypatch.setattr(rows_module, "PART_ROWS", 4)
    synthesizer = load("mixed")
    known = pd.DataFrame({"colour": ["red", "green"] * 5}, index=range(100, 90, -1))
    frames = list(synthesizer.sample_batches(conditions=known, seed=1))
    assert [len(frame) for frame in frames] == [4, 4, 2]
    found = synthesizer.sample(conditions=known, seed=1)
    assert found.index.tolist() == known.index.tolist()
    assert found["colour"].tolist() == known["colour"].tolist()
    assert not found.duplicated().any()


def test_a_replay_is_cut_into_frames(load, monkeypatch):
    synthesizer = load("key_int")
    whole = synthesizer.sample(50, replay=1)
    monkeypatch.setattr(synthesizer_module, "CHUNK_ROWS", 20)
    frames = list(synthesizer.sample_batches(50, replay=1))
    assert [len(frame) for frame in frames] == [20, 20, 10]
    pd.testing.assert_frame_equal(together(frames), whole)


def test_rows_by_count(load):
    found = load("mixed").sample(conditions={"colour": {"green": 30, "red": 20}, "vip": True}, seed=1)
    assert found["colour"].tolist() == ["green"] * 30 + ["red"] * 20
    assert found["vip"].tolist() == [True] * 50


@pytest.mark.parametrize("conditions", [{"colour": "green"}, [], {"colour": {"green": 0}}])
def test_no_rows_have_all_columns(load, conditions):
    found = load("mixed").sample(0, conditions=conditions, seed=1)
    assert len(found) == 0
    assert tuple(found.columns) == load("mixed").columns


# -- conditions that are never met


def test_F16_an_impossible_condition_ends_soon_and_says_why(load):
    synthesizer = load("mixed")
    with pytest.raises(UsageError) as caught:
        synthesizer.sample(5, conditions={"colour": "red", "age": 1000}, seed=1)
    text = str(caught.value)
    assert "no row satisfies" in text
    assert "0 of 51,200 candidates had colour='red' and age=1000" in text  # 25 blocks
    assert "age=1000 0" in text
    assert "age was between" in text
    assert "change what never occurs: age" in text


def test_F16_few_matches_are_a_warning_with_numbers(load, monkeypatch):
    monkeypatch.setattr(rejection_module, "PATIENCE", 3000)
    with pytest.warns(UserWarning, match=r"only 4 of 8 rows .*0 of 4,096 candidates had age=1000"):
        load("mixed").sample(conditions=[({"colour": "red"}, 4), ({"age": 1000}, 4)], seed=1)


@pytest.mark.parametrize(
    ("name", "conditions", "message"),
    [
        ("mixed", {"color": "red"}, "did you mean 'colour'"),
        ("mixed", {"colour": "grren"}, "'grren' does not occur in the training data; did you mean 'green'?"),
        ("mixed", {"age": 33.5}, "33.5 is no whole number"),
        ("copula", {"colour": "grren"}, "did you mean 'green'?"),
    ],
)
def test_F17_what_no_row_can_have_is_told_at_once(load, name, conditions, message):
    model = load(name)
    if name == "copula":
        pytest.importorskip("scipy", reason="copulas sample with scipy")
    assert set(conditions) <= {*model.columns, "color"}
    with pytest.raises(UsageError) as caught:
        model.sample_batches(5, conditions=[(conditions, 5)], seed=1)  # before the first frame is asked for
    assert message in str(caught.value)


# -- shards


@pytest.mark.parametrize(
    ("name", "rows", "count"),
    [("key_int", 9000, 1), ("key_int", 9000, 3), ("mixed", 5, 7), ("keys", 2500, 2), ("series", 1200, 3)],
)
def test_shards_put_together_are_the_whole(load, name, rows, count):
    model = load(name)
    whole = model.sample(rows, seed=7)
    parts = [model.sample(rows, seed=7, shard=(number, count)) for number in range(1, count + 1)]
    pd.testing.assert_frame_equal(together([part for part in parts if len(part)]), whole, check_dtype=rows > 5)


def test_shards_of_a_copula_put_together_are_the_whole(load):
    pytest.importorskip("scipy", reason="copulas sample with scipy")
    model = load("copula")
    parts = [model.sample(9000, seed=7, shard=f"{number}/2") for number in (1, 2)]
    pd.testing.assert_frame_equal(together(parts), model.sample(9000, seed=7))


@pytest.mark.parametrize(("name", "conditions"), [("inequality", None), ("key_int", "first"), ("keys", "first")])
def test_shards_of_rows_that_are_refused_differ_and_their_keys_do(load, name, conditions):
    model = load(name)
    column = next(field.name for field in model.table.fields if field.kind == "category") if conditions else None
    cells = None if column is None else {column: model.sample(1, seed=1)[column].iloc[0]}
    parts = [model.sample(300, seed=7, shard=(number, 3), conditions=cells) for number in (1, 2, 3)]
    assert [len(part) for part in parts] == [100] * 3
    for one, other in itertools.combinations(parts, 2):
        assert not one.equals(other)
    whole = together(parts)
    for field in model.table.fields:
        if field.kind == "key" or (field.source is not None and field.source.unique):
            assert whole[field.name].is_unique
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pd.testing.assert_frame_equal(parts[1], model.sample(300, seed=7, shard=(2, 3), conditions=cells))


def test_shards_of_a_frame_of_known_cells_share_its_rows(load):
    known = pd.DataFrame({"colour": ["red", "green", "blue"] * 3})
    parts = [load("mixed").sample(conditions=known, seed=1, shard=(number, 2)) for number in (1, 2)]
    whole = pd.concat(parts)
    assert whole["colour"].tolist() == known["colour"].tolist()
    assert whole.index.tolist() == known.index.tolist()


def test_a_constraint_that_compares_rows_cannot_be_sharded(load):
    with pytest.raises(UnsupportedError, match="compares rows"):
        load("combos").sample(50, seed=1, shard=(1, 2))
    assert len(load("combos").sample(50, seed=1, shard=(1, 1))) == 50


@pytest.mark.parametrize("name", ["key_int", "series"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shard": (1, 2)}, "one seed"),
        ({"shard": (0, 2), "seed": 1}, "numbered from 1"),
        ({"shard": (3, 2), "seed": 1}, "numbered from 1"),
        ({"shard": (1, 2**30), "seed": 1}, "numbered from 1"),
        ({"shard": "2-8", "seed": 1}, "expected a part"),
        ({"shard": (1.0, 2), "seed": 1}, "expected a part"),
        ({"shard": 2, "seed": 1}, "expected a part"),
        ({"shard": (1, 2), "replay": 1}, "not both"),
    ],
)
def test_F17_a_wrong_shard_is_named(load, name, options, message):
    with pytest.raises(UsageError, match=message):
        load(name).sample(5, **options)


def test_spans_cover_every_row_once():
    for rows, count in itertools.product((0, 1, 5, 10**9), (1, 3, 8)):
        spans = [Shard(number, count).span(rows) for number in range(1, count + 1)]
        assert [spans[0][0], spans[-1][1]] == [0, rows]
        assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))


def test_workers_in_processes_of_their_own_make_one_table_with_unique_keys(crate, tmp_path):
    """Regular expressions count on, made-up addresses are as in one run, and the files' text is that of one run."""
    path = crate("keys")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    line = [sys.executable, "-m", "modelcrate", "sample", str(path), "-n", "2500", "--seed", "5"]
    shards = [["--shard", f"{number}/2", "-o", str(tmp_path / f"{number}.csv")] for number in (1, 2)]
    workers = [
        subprocess.Popen([*line, *more], env=environment, stderr=subprocess.PIPE)
        for more in [*shards, ["-o", str(tmp_path / "whole.csv")]]
    ]
    for worker in workers:
        _, errors = worker.communicate(timeout=240)
        assert worker.returncode == 0, errors
    texts = [(tmp_path / f"{name}.csv").read_text() for name in (1, 2, "whole")]
    header = texts[2].partition("\n")[0] + "\n"
    assert header + "".join(text.removeprefix(header) for text in texts[:2]) == texts[2]
    assert pd.read_csv(tmp_path / "whole.csv")["key"].is_unique


# -- dtypes


@pytest.mark.parametrize("name", ["mixed", "mixed_categories", "dates_auto", "empty_bool", "highcard_none"])
def test_plain_rows_have_the_dtypes_of_the_original_s(tmp_path, name):
    """Whatever the installed pandas would infer; the golden is of pandas 1.5."""
    golden = json.loads((CORPUS / "actgan" / name / "golden" / "sample_seeded.dtypes.json").read_text())
    modelcrate.convert(CORPUS / "actgan" / name / "model.pkl", tmp_path / "x.crate")
    found = modelcrate.load(tmp_path / "x.crate").sample(500, seed=1)
    assert [(name, str(dtype)) for name, dtype in found.dtypes.items()] == [
        (column["name"], column["dtype"]) for column in golden["columns"]
    ]
