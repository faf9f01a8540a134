"""A generator of time series goes into a crate and comes out of it, samples, and refuses parts that do not fit."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import modelcrate as mc
from modelcrate.cli.main import main
from modelcrate.crate import ComponentData, write_crate
from modelcrate.errors import FormatError, LimitError, MismatchError, ModelcrateError, UsageError
from modelcrate.tabular.series import synthesizer as module

CORPUS = Path(__file__).parent / "corpus" / "dgan"


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("series")

    def make(name: str) -> Path:
        path: Path = folder / f"{name}.crate"
        if not path.exists():
            mc.convert(CORPUS / name / "model.pt.xz", path)
        return path

    return make


@pytest.mark.parametrize("name", ["dgan_wide", "long_var", "arrays_types"])
def test_a_loaded_model_saved_again_is_the_same_model(tmp_path: Path, converted: Any, name: str) -> None:
    first = mc.load(converted(name))
    mc.save(first, tmp_path / "again.crate")
    with mc.open(converted(name)) as before, mc.open(tmp_path / "again.crate") as after:
        assert after.manifest.members == before.manifest.members
        assert after.manifest.components == before.manifest.components
        assert after.manifest.model == before.manifest.model
        assert after.manifest.hyperparameters == before.manifest.hyperparameters


def test_the_same_seed_gives_the_same_examples_and_another_others(converted: Any) -> None:
    model = mc.load(converted("dgan_long"))
    first = model.sample(30, seed=7)
    pd.testing.assert_frame_equal(first, model.sample(30, seed=7))
    assert not first.equals(model.sample(30, seed=8))
    assert not model.sample(30).equals(model.sample(30))


@pytest.mark.parametrize("name", ["long_var", "dgan_wide"])
def test_a_smaller_sample_is_the_beginning_of_a_larger_one(converted: Any, name: str) -> None:
    model = mc.load(converted(name))
    whole = model.sample(2100, seed=7)
    for count in (1, 1023, 1024, 1025):
        part = model.sample(count, seed=7)
        pd.testing.assert_frame_equal(part, whole.head(len(part)))


def test_batches_together_are_the_sample_and_count_examples_on(converted: Any) -> None:
    model = mc.load(converted("dgan_long"))
    frames = list(model.sample_batches(2000, seed=3))
    assert len(frames) > 1
    pd.testing.assert_frame_equal(pd.concat(frames, ignore_index=True), model.sample(2000, seed=3))
    assert frames[-1]["example"].iloc[-1] == 1999


def test_arrays_and_frames_of_one_seed_are_the_same_examples(converted: Any) -> None:
    model = mc.load(converted("dgan_wide"))
    attributes, features = model.sample_arrays(40, seed=5)
    frame = model.sample(40, seed=5)
    assert attributes[:, 0].tolist() == frame["site"].tolist()
    np.testing.assert_array_equal(features[:, 3, 0].astype(np.float64), frame["t3"])


def test_nothing_of_the_process_s_random_states_is_used_or_changed(converted: Any) -> None:
    model = mc.load(converted("dgan_long"))
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    first = model.sample(5, replay=9)
    torch.manual_seed(1)
    pd.testing.assert_frame_equal(first, model.sample(5, replay=9))
    torch.set_rng_state(before[0])
    model.sample(5, seed=1)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()


def test_no_examples_are_an_empty_frame_of_the_right_dtypes(converted: Any) -> None:
    model = mc.load(converted("long_var"))
    for options in ({"seed": 1}, {"replay": 1}):
        frame = model.sample(0, **options)
        assert len(frame) == 0
        assert (frame.dtypes == model.sample(3, seed=1).dtypes).all()


def test_a_model_of_arrays_says_what_to_call(converted: Any) -> None:
    model = mc.load(converted("arrays_types"))
    with pytest.raises(UsageError, match="arrays") as caught:
        model.sample(3)
    assert "sample_arrays" in (caught.value.hint or "")
    assert model.sample_arrays(3, seed=1)[1].shape == (3, 6, 2)


@pytest.mark.parametrize(
    "options",
    [
        {"n": -1}, {"n": True}, {"n": "3"}, {"n": 10**12}, {"n": 3, "seed": -1}, {"n": 3, "seed": 2**64},
        {"n": 3, "seed": 1.0}, {"n": 3, "seed": 1, "replay": 1}, {"n": 3, "replay": "fixed"},
    ],
)  # fmt: skip
def test_wrong_arguments_are_usage_errors(converted: Any, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        mc.load(converted("dgan_long")).sample(**options)


def test_a_model_too_large_for_one_example_is_a_limit_not_a_crash(
    converted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = mc.load(converted("dgan_long"))
    monkeypatch.setattr(module, "NUMBERS_LIMIT", 100)
    for options in ({"seed": 1}, {"replay": 1}):
        with pytest.raises(LimitError, match="at once"):
            model.sample(1, **options)


def test_weights_that_give_nothing_finite_are_refused(converted: Any) -> None:
    model = mc.load(converted("dgan_long"))
    with torch.no_grad():
        model.generator.feature_gen.lstm.weight_hh_l0.fill_(float("nan"))
    with pytest.raises(FormatError, match="finite"):
        model.sample(3, seed=1)


def rewritten(source: Path, target: Path, change: Any, **model: Any) -> Path:
    with mc.open(source) as crate:
        parts = {
            name: ComponentData(
                name=name,
                role=it.role,
                type=it.type,
                config=it.config,
                tensors=dict(it.data) if it.has_weights else None,
                state=it.state if it.has_state else None,
            )
            for name, it in crate.items()
        }
        change(parts)
        assert crate.manifest.model is not None
        config = {**crate.manifest.model.config, **model}
        write_crate(target, components=list(parts.values()), model=(crate.manifest.model.type, config))
    return target


def configured(**changes: Any) -> Any:
    def change(parts: dict[str, ComponentData]) -> None:
        held = parts["generator"]
        parts["generator"] = dataclasses.replace(held, config={**held.config, **changes})

    return change


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda parts: parts.pop("series"), FormatError),
        (lambda parts: parts.pop("generator"), FormatError),
        (lambda parts: parts.update(more=dataclasses.replace(parts["series"], name="more")), FormatError),
        (configured(steps=12), MismatchError),
        (configured(features=[]), MismatchError),
        (configured(cell_steps=1), MismatchError),
        (configured(feature_units=10**6), MismatchError),
        (configured(feature_layers=200), MismatchError),
        (configured(attribute_units="many"), FormatError),
        (configured(device="cuda"), FormatError),
    ],
)
def test_B21_D23_parts_that_do_not_fit_are_refused(
    tmp_path: Path, converted: Any, change: Any, error: type[ModelcrateError]
) -> None:
    path = rewritten(converted("dgan_long"), tmp_path / "x.crate", change)
    with pytest.raises(error):
        mc.load(path)


@pytest.mark.parametrize("size", [0, -1, True, 1 << 40, "many"])
def test_a_batch_size_that_is_none(tmp_path: Path, converted: Any, size: Any) -> None:
    path = rewritten(converted("dgan_long"), tmp_path / "x.crate", lambda parts: None, batch_size=size)
    with pytest.raises(FormatError):
        mc.load(path)


def test_the_commands_sample_inspect_and_verify(
    tmp_path: Path, converted: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(converted("long_var"))
    assert main(["sample", path, "-n", "20", "--seed", "4", "-o", str(tmp_path / "rows.csv")]) == 0
    rows = pd.read_csv(tmp_path / "rows.csv")
    assert rows["id"].nunique() == 20
    assert len(rows) == len(mc.load(path).sample(20, seed=4))
    assert main(["inspect", path]) == 0
    assert main(["verify", path]) == 0
    assert "series.synthesizer/1" in capsys.readouterr().out
    assert main(["sample", path, "-n", "2", "--condition", "kind=x"]) == 2
    assert main(["sample", str(converted("arrays_types")), "-n", "2"]) == 2
    assert "sample_arrays" in capsys.readouterr().err


def test_the_command_replays_the_original(converted: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", str(converted("plain")), "-n", "60", "--replay", "1234"]) == 0
    found = pd.read_csv(io.StringIO(capsys.readouterr().out))
    wanted = pd.read_csv(CORPUS / "plain" / "golden" / "sample_seeded.csv")
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
