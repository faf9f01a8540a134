"""A redacted crate still samples, without what was taken out; where nothing sensible is left, it says so."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import modelcrate
from modelcrate.crate import ComponentData, write_crate
from modelcrate.disclosure import disclosed
from modelcrate.errors import ModelcrateError, UnsupportedError, UsageError
from modelcrate.redaction import Redaction, _counts, _explained, _rows, redact

CORPUS = Path(__file__).resolve().parent / "corpus"


def converted(case: str, folder: Path) -> Path:
    crate = folder / "whole.crate"
    modelcrate.convert(next((CORPUS / case).glob("model.*")), crate)
    return crate


def test_bounds_are_taken_out_and_sampling_goes_on(tmp_path: Path) -> None:
    whole = converted("actgan/mixed", tmp_path)
    done = redact(whole, tmp_path / "b.crate", "min-max")
    assert "age" in done.omitted[0].where
    assert "bound" in {item.kind for item in disclosed(whole)}
    assert "bound" not in {item.kind for item in disclosed(tmp_path / "b.crate")}
    with modelcrate.open(tmp_path / "b.crate") as crate:
        assert crate.manifest.omitted[-1] == done.omitted[0]
    before, after = (modelcrate.load(path).sample(500, seed=3) for path in (whole, tmp_path / "b.crate"))
    assert list(before.columns) == list(after.columns)
    assert (before.dtypes == after.dtypes).all()


def test_rare_categories_get_stand_ins_everywhere(tmp_path: Path) -> None:
    whole = converted("ctgan/0_12_1_mixed", tmp_path)
    done = modelcrate.convert(whole, tmp_path / "r.crate", redact="rare-categories=20/700")
    assert [item.where for item in done.omitted] == ["k"]
    kept = set(modelcrate.load(tmp_path / "r.crate").sample(3000, seed=1)["k"])
    seen = set(modelcrate.load(whole).sample(3000, seed=1)["k"])
    assert kept - seen
    assert all(value.startswith("(rare ") for value in kept - seen)
    gone = next(iter(seen - kept))
    assert gone.encode() not in (tmp_path / "r.crate").read_bytes()
    with pytest.raises(UsageError):
        modelcrate.load(tmp_path / "r.crate").sample(1, conditions={"k": gone})


def test_a_legacy_file_is_redacted_on_its_way(tmp_path: Path) -> None:
    source = next((CORPUS / "ctgan" / "0_12_1_mixed").glob("model.*"))
    done = modelcrate.convert(source, tmp_path / "r.crate", redact="rare-categories=3%")
    assert "k" in {item.where for item in done.omitted}
    assert done.undisclosed is not None


def ends(crate: Path) -> dict[str, tuple[float, float]]:
    """Where the truncated distributions of a copula begin and end."""
    with modelcrate.open(crate) as opened:
        columns = opened["joint"].state["columns"]
    given = {column["name"]: column["distribution"] for column in columns}
    return {
        name: (one["loc"] + one["low"] * one["scale"], one["loc"] + one["high"] * one["scale"])
        for name, one in given.items()
        if one["type"] == "truncated_normal"
    }


def test_the_ends_of_distributions_are_the_least_and_greatest_values_and_go_too(tmp_path: Path) -> None:
    whole = converted("sdv17/copula_default", tmp_path)
    done = redact(whole, tmp_path / "b.crate", "min-max")
    moved = next(item.where for item in done.omitted if "distributions" in item.what).split(", ")
    before, after = ends(whole), ends(tmp_path / "b.crate")
    assert set(moved) <= set(before)
    for name in moved:
        (least, greatest), (lower, upper) = before[name], after[name]
        assert lower <= least + 1e-6 * (greatest - least)
        assert upper >= greatest - 1e-6 * (greatest - least)
        assert upper - lower < 1.5 * (greatest - least)
        assert (least, greatest) != (lower, upper)
        step = 10.0 ** np.floor(np.log10((upper - lower) / 10))  # at most two digits are left of each
        for end in (lower, upper):
            assert end / step == pytest.approx(round(end / step), abs=1e-6)
    rows, redacted = (modelcrate.load(path).sample(300, seed=1) for path in (whole, tmp_path / "b.crate"))
    assert (rows.dtypes == redacted.dtypes).all()


@pytest.mark.parametrize("case", ["sdv17/copula_default", "actgan/mixed"])
def test_what_is_redacted_already_stays_as_it_is(case: str, tmp_path: Path) -> None:
    once = tmp_path / "once.crate"
    redact(converted(case, tmp_path), once, "min-max,rare-categories=40/600")
    assert not redact(once, tmp_path / "twice.crate", "min-max,rare-categories=40/600").omitted
    assert once.read_bytes() == (tmp_path / "twice.crate").read_bytes()


def test_the_two_values_of_a_boolean_column_are_of_nobody(tmp_path: Path) -> None:
    whole = converted("ctgan/0_12_1_tvae_mixed", tmp_path)
    with pytest.raises(UnsupportedError) as refused:
        redact(whole, tmp_path / "r.crate", "rare-categories=5/700")
    assert "vip" not in str(refused.value)


def test_the_same_redaction_gives_the_same_bytes(tmp_path: Path) -> None:
    whole = converted("actgan/mixed", tmp_path)
    for name in ("a.crate", "b.crate"):
        redact(whole, tmp_path / name, "min-max,rare-categories=5/600")
    assert (tmp_path / "a.crate").read_bytes() == (tmp_path / "b.crate").read_bytes()


def test_categories_whose_frequency_is_not_known_all_go(tmp_path: Path) -> None:
    """A column written in binary digits keeps its values without saying how often each occurred."""
    whole = converted("actgan/highcard_unicode", tmp_path)
    done = redact(whole, tmp_path / "r.crate", "rare-categories=5/600")
    assert any("not known" in item.what for item in done.omitted)
    column = next(item.where for item in done.omitted if "not known" in item.what)
    cells = modelcrate.load(tmp_path / "r.crate").sample(200, seed=1)[column].dropna()
    assert cells.str.startswith("(rare ").all()


@pytest.mark.parametrize(
    ("case", "what", "error", "says"),
    [
        ("ctgan/0_12_1_tvae_mixed", "rare-categories=5/700", UnsupportedError, "code"),
        ("actgan/constraint_combos", "rare-categories=100000/600", UnsupportedError, "every category is rare"),
        ("ctgan/0_12_1_mixed", "min-max, everything", UsageError, "everything"),
        ("dgan/dgan_wide", "min-max", UnsupportedError, "only crates of tables"),
    ],
)
def test_what_has_no_sense_is_refused(case: str, what: str, error: type[Exception], says: str, tmp_path: Path) -> None:
    whole = converted(case, tmp_path)
    with pytest.raises(error, match=says):
        redact(whole, tmp_path / "r.crate", what)
    assert not (tmp_path / "r.crate").exists()


@pytest.mark.parametrize("counts", [[3, 40, 57], [1, 1, 98, 900], [211, 389]])
@pytest.mark.parametrize("logarithmic", [False, True])
def test_the_rows_behind_shares_are_found_again(counts: list[int], logarithmic: bool) -> None:
    """CTGAN keeps the shares of log(count + 1): the number of rows can be solved for, and so can each count."""
    held = np.log1p(counts) if logarithmic else np.array(counts, dtype=float)
    shares = held / held.sum()
    explained = _explained(shares)
    assert sum(counts) in explained or any(sum(counts) % rows == 0 for rows in explained)
    assert np.round(_counts(shares, sum(counts))).tolist() == counts


def test_shares_that_no_number_of_rows_explains_ask_for_it(tmp_path: Path) -> None:
    documents = {
        "table": {"columns": [], "constraints": {"constraints": []}},
        "sampler": {"columns": [{"name": "c", "categories": 2}], "cumulative": np.array([1 / np.pi, 1.0])},
        "transformer": {"columns": [{"name": "c", "encoding": {"categories": ["x", "y"]}}]},
    }
    with pytest.raises(UsageError, match="how many rows"):
        _rows(documents)


def test_a_redaction_is_read_from_text() -> None:
    assert Redaction.parse("min-max, rare-categories=5/2000") == Redaction(bounds=True, count=5, rows=2000)
    assert Redaction.parse("rare-categories=0.25%") == Redaction(share=0.0025)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return converted("ctgan/0_12_1_mixed", tmp_path_factory.mktemp("honest"))


@pytest.mark.parametrize("change", [
    lambda states: states["sampler"].update(columns=[], cumulative=np.zeros(0)) or states.pop("transformer"),
    lambda states: states["sampler"].update(columns=[{"name": "k", "categories": 3}], cumulative=np.ones(3)),
    lambda states: states["transformer"]["columns"].reverse() or states["table"]["columns"].pop(),
    lambda states: states.update(table={"columns": []}),
    lambda states: states.update(sampler={"columns": []}),
    lambda states: states["table"]["constraints"].update(constraints=[7]),
], ids=["no transformer", "other categories", "fewer columns", "no fields", "no shares", "no constraint"])  # fmt: skip
@pytest.mark.parametrize("what", ["min-max", "rare-categories=5"])
def test_a_crate_that_no_loader_would_read_is_refused(
    change: Callable[[dict[str, Any]], object], what: str, honest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with modelcrate.open(honest) as crate:
        states = {name: copy.deepcopy(part.state) for name, part in crate.items() if part.has_state}
        change(states)
        parts = [
            ComponentData(name=name, role=name, type=crate[name].type, state=state) for name, state in states.items()
        ]
    with monkeypatch.context() as any_state:
        any_state.setattr("modelcrate.format.schema.validate_state", lambda *_: None)
        write_crate(tmp_path / "strange.crate", components=parts)
    with pytest.raises(ModelcrateError) as caught:
        redact(tmp_path / "strange.crate", tmp_path / "r.crate", what)
    assert caught.value.where
    assert not (tmp_path / "r.crate").exists()
