"""The manager keeps the last few and the best, writes in the background, and never loses what it had."""

from __future__ import annotations

import dataclasses
import inspect
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from modelcrate import errors
from modelcrate.checkpoint import CheckpointManager, CheckpointWarning, load_checkpoint, save_checkpoint
from modelcrate.checkpoint.save import Training


def network(value: float = 0.0) -> nn.Module:
    module = nn.Linear(4, 3)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(value)
    return module


def value_of(checkpoint: Any) -> float:
    return float(checkpoint.tensors("model")["weight"][0, 0])


def names(manager: CheckpointManager) -> list[str]:
    return [os.path.basename(path) for path in manager.paths()]


def test_an_empty_folder_has_no_latest_and_no_best(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path / "new" / "folder", keep_best="loss")
    assert manager.latest() is None
    assert manager.best() is None
    assert manager.paths() == []


def test_the_last_few_are_kept_and_latest_is_the_newest(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path, keep=2)
    for step in range(5):
        manager.save(networks=network(step), step=step)
    assert names(manager) == ["checkpoint-00000004.crate", "checkpoint-00000005.crate"]
    latest = manager.latest()
    assert latest is not None
    assert (latest.step, value_of(latest)) == (4, 4.0)


@pytest.mark.parametrize(("mode", "best"), [("min", 2), ("max", 1)])
def test_the_best_is_kept_beyond_the_last_few(mode: Any, best: int, tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path, keep=1, keep_best="val_loss", mode=mode)
    for step, loss in enumerate([0.5, 0.9, 0.1, float("nan"), 0.4, 0.4]):
        manager.save(networks=network(step), step=step, losses={"val_loss": loss})
    again = CheckpointManager(tmp_path, keep=1, keep_best="val_loss", mode=mode)  # knows it from the files alone
    for opened in (manager, again):
        found = opened.best()
        assert found is not None
        assert found.step == best
    assert len(manager.paths()) == 2


def test_a_metric_comes_before_a_loss_and_may_be_a_tensor(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path, keep_best="score")
    manager.save(networks=network(), step=0, metrics={"score": torch.tensor(2.0)}, losses={"score": 0.0})
    manager.save(networks=network(), step=1, metrics={"score": 1.0}, losses={"score": 9.0})
    found = manager.best()
    assert found is not None
    assert found.step == 1


def test_best_without_a_metric_to_go_by_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError):
        CheckpointManager(tmp_path).best()


@pytest.mark.parametrize("arguments", [{"keep": 0}, {"keep": True}, {"every": 0}, {"every": 1.5}, {"mode": "low"}])
def test_arguments_that_mean_nothing_are_refused(arguments: Any, tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError):
        CheckpointManager(tmp_path, **arguments)


def test_every_saves_once_in_so_many_steps_also_after_a_restart(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path, keep=99, every=10)
    saved = [step for step in range(5, 35) if manager.save(networks=network(), step=step) is not None]
    assert saved == [5, 10, 20, 30]
    again = CheckpointManager(tmp_path, keep=99, every=10)
    assert [step for step in range(35, 52) if again.save(networks=network(), step=step) is not None] == [40, 50]


def test_numbers_go_on_after_a_roll_back(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path)
    manager.save(networks=network(), step=100)
    manager.save(networks=network(), step=7)
    latest = manager.latest()
    assert latest is not None
    assert latest.step == 7


def test_a_background_save_holds_what_was_there_when_it_was_called(tmp_path: Path) -> None:
    module = nn.Linear(600, 600)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1)
    with CheckpointManager(tmp_path, keep=9) as manager:
        for step in range(4):
            with torch.no_grad():
                for parameter in module.parameters():
                    parameter.fill_(step)
                    parameter.grad = torch.full_like(parameter, step)
            optimizer.step()
            weights = {name: tensor.clone() for name, tensor in module.state_dict().items()}
            average = optimizer.state[module.weight]["exp_avg"].clone()
            extras = {"list": [step], "tensor": torch.full((3,), step)}
            path = manager.save(
                networks=module, optimizers=optimizer, step=step, extras=extras, metrics={"n": step}, block=False
            )
            with torch.no_grad():  # training goes on at once
                module.weight.fill_(-1)
                optimizer.state[module.weight]["exp_avg"].fill_(-1)
                extras["list"].append("later")
                extras["tensor"].fill_(-1)
            manager.wait()
            assert path is not None
            with load_checkpoint(path) as checkpoint:
                assert all(torch.equal(checkpoint.tensors("model")[name], weights[name]) for name in weights)
                saved = checkpoint.crate["optimizer_model"].tensors
                assert torch.equal(saved["exp_avg.0"], average)
                assert checkpoint.extras["list"] == [step]
                assert checkpoint.extras["tensor"].tolist() == [step] * 3


def test_latest_waits_for_the_background_save(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path)
    for step in range(3):
        manager.save(networks=nn.Linear(500, 500), step=step, block=False)
        latest = manager.latest()
        assert latest is not None
        assert latest.step == step
    manager.close()


@pytest.mark.parametrize("surface", ["save", "latest", "wait", "close"])
def test_the_error_of_a_background_save_comes_at_the_next_call(surface: str, tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path / "c")
    manager.save(networks=network(), step=0)
    folder, manager.folder = manager.folder, str(tmp_path / "c")
    paths = manager.paths
    os.rename(tmp_path / "c", tmp_path / "away")
    manager.paths = list  # type: ignore[method-assign]  # numbering a new file must not notice first
    manager.save(networks=network(), step=1, block=False)
    manager.paths = paths  # type: ignore[method-assign]
    while manager._pending is not None and not manager._pending.done():
        pass
    os.rename(tmp_path / "away", tmp_path / "c")
    with pytest.raises(errors.StorageError):
        manager.save(networks=network(), step=2) if surface == "save" else getattr(manager, surface)()
    assert folder == manager.folder
    manager.save(networks=network(), step=3)  # the error was told once, and all is well again
    latest = manager.latest()
    assert latest is not None
    assert latest.step == 3
    manager.close()


def test_what_a_killed_process_left_is_removed_by_the_next_save(tmp_path: Path) -> None:
    CheckpointManager(tmp_path).save(networks=network(), step=0)
    leftover = tmp_path / ".modelcrate-0123456789abcdef.tmp"
    leftover.write_bytes(b"half a checkpoint")
    mine = tmp_path / "notes.txt"
    mine.write_text("not a leftover")
    manager = CheckpointManager(tmp_path)
    assert manager.latest() is not None
    manager.save(networks=network(), step=1)
    assert not leftover.exists()
    assert mine.exists()


def test_a_damaged_newest_is_passed_over_with_a_warning(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path)
    manager.save(networks=network(1), step=1)
    path = manager.save(networks=network(2), step=2)
    assert path is not None
    data = bytearray(Path(path).read_bytes())
    data[len(data) // 2] ^= 1
    Path(path).write_bytes(data)
    with pytest.warns(CheckpointWarning, match="passed over"):
        latest = manager.latest()
    assert latest is not None
    assert latest.step == 1


def test_where_all_are_damaged_it_is_an_error_not_a_fresh_start(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path)
    path = manager.save(networks=network(1), step=1)
    assert path is not None
    Path(path).write_bytes(Path(path).read_bytes()[:-9])
    with pytest.warns(CheckpointWarning), pytest.raises(errors.StorageError):
        manager.latest()


def test_a_value_that_is_no_data_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path)
    manager.save(networks=network(), step=0)
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(errors.UsageError, match=r"extras\.hook"):
        manager.save(networks=network(), step=1, extras={"hook": print})
    assert sorted(os.listdir(tmp_path)) == before


DISK_FULL = """
    import resource, signal, sys
    import torch
    from modelcrate.checkpoint import CheckpointManager
    from modelcrate.errors import StorageError

    manager = CheckpointManager(sys.argv[1], keep=2)
    manager.save(networks=torch.nn.Linear(100, 100), step=1)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    for block in (True, False):
        try:
            manager.save(networks=torch.nn.Linear(100, 100), step=2, block=block)
            manager.wait()
        except StorageError as error:
            print("refused", error.code)
    latest = manager.latest()
    print(latest.step, len(manager.paths()))
"""


def test_a_full_disk_leaves_the_old_ones_alone(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(DISK_FULL), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert result.stdout.splitlines() == ["refused IO", "refused IO", "1 1"], result.stderr
    assert os.listdir(tmp_path) == ["checkpoint-00000001.crate"]


def test_the_function_and_the_manager_take_what_a_training_has() -> None:
    fields = {field.name: field.default for field in dataclasses.fields(Training)}
    for save, own in (
        (save_checkpoint, {"path", "form", "digest", "overwrite"}),
        (CheckpointManager.save, {"self", "block"}),
    ):
        taken = inspect.signature(save).parameters.values()
        found = {it.name: it.default for it in taken if it.name not in own}
        assert list(found) == list(fields)
        assert [found[name] for name in list(fields)[1:]] == [fields[name] for name in list(fields)[1:]]
