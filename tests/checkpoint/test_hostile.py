"""Checkpoints from a stranger: whatever they say, an error of the library or a restored run, and nothing else."""

from __future__ import annotations

import copy
import random
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from checkpoint.trainings import Adversaries
from modelcrate import errors
from modelcrate.checkpoint import load_checkpoint, save_checkpoint
from modelcrate.crate import open as open_crate
from modelcrate.crate_writer import write_crate
from modelcrate.format import schema
from modelcrate.storage.component import ComponentData

VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    2**70,
    1.5,
    float("nan"),
    float("inf"),
    "",
    "step",
    b"\0",
    [],
    {},
    [[]],
    {"@tensor": "absent"},
    {"@tensor": 3},
    {"@tuple": [1]},
    {"@pairs": [[1, 2]]},
    {"@pairs": [[{"@tuple": [[1]]}, 2]]},
    {"@counter": [[1, "x"]]},
    {"@set": [[1]]},
    {"@dtype": "system"},
    {"@device": "cuda:99"},
    {"@unknown": 1},
    {"optimizer": {}, "step": 1},
    np.zeros(0, np.int64),
    np.array([2**62, -5]),
    np.zeros((2, 2), np.uint8),
    np.float32("nan"),
]


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ComponentData]]:
    """The components of a good checkpoint. Schemas are off, which no reader may rely on a stranger to have kept on."""
    run = Adversaries().steps(2)
    save_checkpoint(tmp_path / "good", **run.parts(), scaler=torch.amp.GradScaler("cpu"), extras={"a": torch.ones(2)})
    monkeypatch.setattr(schema, "validate_state", lambda *_: None)
    with open_crate(tmp_path / "good") as crate:
        yield {
            name: ComponentData(
                name=name,
                role=part.role,
                type=part.type,
                config=part.config,
                tensors=dict(part.data) if part.has_weights else None,
                state=part.state if part.has_state else None,
            )
            for name, part in crate.items()
        }


def attempt(path: Path, parts: dict[str, ComponentData], model: Any = ("training.checkpoint/1", {})) -> str:
    """Write, load and restore; ``restored`` or the code of the library's error. Any other error fails the test."""
    write_crate(path, components=list(parts.values()), model=model, overwrite=True)
    live = Adversaries(seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with load_checkpoint(path) as found:
                found.restore(**live.parts(), scaler=torch.amp.GradScaler("cpu"))
        except errors.ModelcrateError as error:
            return error.code
    return "restored"


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a document."""
    yield path
    children = document.items() if isinstance(document, dict) else enumerate(document) if type(document) is list else ()
    for key, item in children:
        yield from places(item, (*path, key))


def changed(document: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """A copy with one value replaced, removed, or put where none belongs."""
    copied = copy.deepcopy(document)
    path = chance.choice([path for path in places(copied) if path])
    here: Any = copied
    for step in path[:-1]:
        here = here[step]
    kind = chance.random()
    if kind < 0.15 and isinstance(here, dict):
        del here[path[-1]]
    elif kind < 0.3 and isinstance(here, dict):
        here[chance.choice(["step", "optimizer", "__class__", "more", "@x", "params"])] = chance.choice(VALUES)
    else:
        here[path[-1]] = copy.deepcopy(chance.choice(VALUES))
    return copied


def with_state(part: ComponentData, state: Any) -> ComponentData:
    return ComponentData(
        name=part.name, role=part.role, type=part.type, config=part.config, tensors=part.tensors, state=state
    )


@pytest.mark.parametrize("name", ["optimizer_generator", "optimizer_discriminator", "progress", "random_state"])
def test_any_change_to_a_document_is_restored_or_refused(
    name: str, parts: dict[str, ComponentData], tmp_path: Path
) -> None:
    chance = random.Random(name)
    codes = []
    for _ in range(80):
        state = changed(dict(parts[name].state or {}), chance)
        codes.append(attempt(tmp_path / "bad", {**parts, name: with_state(parts[name], state)}))
    assert codes.count("restored") < len(codes) / 2
    assert set(codes) <= {"restored", "FORMAT", "MISMATCH", "UNSUPPORTED", "LIMIT"}


def test_tensors_of_other_shapes_and_names_are_refused(parts: dict[str, ComponentData], tmp_path: Path) -> None:
    for name in ("generator", "optimizer_generator", "ema_generator", "progress"):
        part = parts[name]
        tensors = dict(part.tensors or {})
        key = sorted(tensors)[0]
        for spoiled in (
            {other: tensor for other, tensor in tensors.items() if other != key},
            {**tensors, "more": tensors[key]},
            {**tensors, key: type(tensors[key])("U8", (1,), b"\0")},
        ):
            given = ComponentData(
                name=name, role=part.role, type=part.type, config=part.config, tensors=spoiled, state=part.state
            )
            # a tensor of the user's own may be of any shape; all others belong to something
            if attempt(tmp_path / "bad", {**parts, name: given}) == "restored":
                assert name == "progress"
                assert spoiled.keys() == tensors.keys()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("progress", {"type": "training.state/1"}),
        ("progress", {"config": {"a": 1}}),
        ("progress", {"state": None}),
        ("progress", {"role": "network"}),
        ("optimizer_generator", {"type": "training.progress/1"}),
        ("optimizer_generator", {"state": None}),
        ("optimizer_generator", {"tensors": None}),
        ("optimizer_generator", {"config": {"a": 1}}),
        ("random_state", {"type": "tabular.random_state/1"}),
        ("random_state", {"state": None}),
        ("generator", {"tensors": None}),
        ("generator", {"role": "optimizer"}),
        ("ema_generator", {"type": "training.state/1"}),
        ("ema_generator", {"tensors": None}),
    ],
    ids=str,
)
def test_components_that_are_not_what_their_place_says_are_refused(
    name: str, change: dict[str, Any], parts: dict[str, ComponentData], tmp_path: Path
) -> None:
    part = parts[name]
    fields = {field: getattr(part, field) for field in ("name", "role", "type", "config", "tensors", "state")}
    assert attempt(tmp_path / "bad", {**parts, name: ComponentData(**{**fields, **change})}) != "restored"


def test_a_checkpoint_without_progress_or_of_another_kind_is_refused(
    parts: dict[str, ComponentData], tmp_path: Path
) -> None:
    without = {name: part for name, part in parts.items() if name != "progress"}
    assert attempt(tmp_path / "bad", without) == "FORMAT"
    assert attempt(tmp_path / "bad", parts, model=("training.checkpoint/2", {})) == "UNSUPPORTED"
    assert attempt(tmp_path / "bad", parts, model=("training.checkpoint/1", {"a": 1})) == "FORMAT"
    assert attempt(tmp_path / "bad", parts, model=None) == "UNSUPPORTED"


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), -1.0, "x", None, [1.0]])
def test_a_scale_that_would_spoil_all_gradients_is_refused(
    scale: Any, parts: dict[str, ComponentData], tmp_path: Path
) -> None:
    state = copy.deepcopy(dict(parts["progress"].state or {}))
    state["scaler"]["state"]["scale"] = scale
    assert attempt(tmp_path / "bad", {**parts, "progress": with_state(parts["progress"], state)}) != "restored"
