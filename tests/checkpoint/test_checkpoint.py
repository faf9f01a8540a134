"""Checkpoints part by part: what is kept, what is restored, what is said where something is missing."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn, optim

from checkpoint.trainings import Adversaries, Run
from modelcrate import errors
from modelcrate.checkpoint import CheckpointWarning, load_checkpoint, save_checkpoint
from modelcrate.nn.registry import architecture


def weights(module: nn.Module) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in module.state_dict().items()}


class Unregistered(nn.Module):
    """A class of the user's own that no crate knows."""

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.layer = nn.Linear(width, width)
        self.register_buffer("seen", torch.tensor(7))
        self.register_buffer("scratch", torch.ones(2), persistent=False)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layer(rows) * self.scratch.sum()
        return out


@architecture("tests.checkpoint_net/1")
class Registered(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = nn.Linear(width, 2)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layer(rows)
        return out


def test_what_the_user_keeps_comes_back_as_it_was(tmp_path: Path) -> None:
    kept = {
        "epoch": 4,
        "step": 977,
        "losses": {"train": [0.5, float("nan"), float("-inf")], "val": 0.25},
        "metrics": {"accuracy": np.float32(0.75), "per_class": np.arange(3.0)},
        "config": {"lr": 1e-3, "layers": (3, 2), "name": "café", "dtype": torch.bfloat16, "@home": True, "seed": 2**70},
        "data_position": {"epoch": 4, "order": torch.tensor([3, 1, 2]), 5: b"raw"},
        "extras": {"vocabulary": {"a", "b"}, "table": [{"x": None}], "complex": 1 - 2j},
    }
    save_checkpoint(tmp_path / "c.crate", networks=nn.Linear(1, 1), **kept)
    with load_checkpoint(tmp_path / "c.crate") as found:
        assert (found.epoch, found.next_epoch, found.step) == (4, 5, 977)
        assert repr(found.losses) == repr(kept["losses"])
        assert found.metrics["accuracy"] == np.float32(0.75)
        assert type(found.metrics["accuracy"]) is np.float32
        assert found.metrics["per_class"].tolist() == [0, 1, 2]
        assert found.config == kept["config"]
        assert type(found.config["layers"]) is tuple
        assert found.data_position["order"].tolist() == [3, 1, 2]
        assert found.data_position[5] == b"raw"
        assert found.extras == kept["extras"]


def test_a_loss_that_is_still_a_tensor_is_kept_as_a_number(tmp_path: Path) -> None:
    loss = torch.tensor(0.1, requires_grad=True)
    save_checkpoint(tmp_path / "c.crate", networks=nn.Linear(1, 1), losses={"train": loss})
    assert load_checkpoint(tmp_path / "c.crate").losses == {"train": float(loss.detach())}


def test_without_an_epoch_training_begins_at_the_first(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.crate", networks=nn.Linear(1, 1))
    found = load_checkpoint(tmp_path / "c.crate")
    assert (found.epoch, found.next_epoch, found.step) == (None, 0, None)


@pytest.mark.parametrize(
    "bad", [{"epoch": -1}, {"epoch": True}, {"step": 1.5}, {"step": float("nan")}, {"step": 2**63}], ids=str
)
def test_counters_are_integers_from_zero(bad: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError):
        save_checkpoint(tmp_path / "c.crate", networks=nn.Linear(1, 1), **bad)


@pytest.mark.parametrize(
    ("bad", "path"),
    [
        ({"config": {"model": {"hook": print}}}, r"config\.model\.hook"),
        ({"extras": {"list": [1, object()]}}, r"extras\.list\[1\]"),
        ({"metrics": {"a": np.array([object()])}}, r"metrics\.a"),
        ({"losses": {"a": Path("x")}}, r"losses\.a"),
        ({"data_position": iter([])}, "data_position"),
        ({"config": [1]}, "config"),
        ({"networks": {}}, "networks"),
        ({"networks": {"A B": nn.Linear(1, 1)}}, "networks"),
        ({"networks": {"optimizer_x": nn.Linear(1, 1)}}, "networks"),
        ({"networks": {"progress": nn.Linear(1, 1)}}, "networks"),
        ({"networks": {"a": "text"}}, r"networks\.a"),
        ({"optimizers": {"a": 3}}, r"optimizers\.a"),
        ({"schedulers": {"a": 3}}, r"schedulers\.a"),
        ({"scaler": 3}, "scaler"),
        ({"ema": {"a": 3}}, r"ema\.a"),
        ({"random_state": {"a": 3}}, r"random_state\.a"),
        ({"networks": nn.ParameterList([torch.zeros(1, dtype=torch.complex128)])}, r"networks\.model\.0"),
    ],
)
def test_what_is_no_data_is_refused_by_its_path_and_nothing_is_written(
    bad: dict[str, Any], path: str, tmp_path: Path
) -> None:
    with pytest.raises((errors.UsageError, errors.UnsupportedError), match=path):
        save_checkpoint(tmp_path / "c.crate", **{"networks": nn.Linear(1, 1), **bad})
    assert list(tmp_path.iterdir()) == []


def test_the_same_state_gives_the_same_bytes(tmp_path: Path) -> None:
    run = Run("adamw", "OneCycleLR").steps(3)
    for name in ("a", "b"):
        save_checkpoint(tmp_path / name, **run.parts(), step=3, extras={"b": 1, "a": {3, 1, 2}})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_unregistered_class_needs_nothing_but_itself(tmp_path: Path) -> None:
    module = Unregistered()
    save_checkpoint(tmp_path / "c.crate", networks={"net": module})
    fresh = Unregistered()
    with torch.no_grad():
        fresh.scratch.fill_(5)
    with load_checkpoint(tmp_path / "c.crate") as found:
        found.restore({"net": fresh})
        assert weights(fresh) == weights(module)
        assert fresh.scratch.tolist() == [5, 5]
        with pytest.raises(errors.UnsupportedError, match="not registered"):
            found.network("net")


def test_a_registered_class_is_built_from_the_checkpoint_alone(tmp_path: Path) -> None:
    module = Registered(4)
    save_checkpoint(tmp_path / "c.crate", networks={"net": module})
    with load_checkpoint(tmp_path / "c.crate", only="net") as found:
        built = found.network("net")
    rows = torch.randn(3, 4)
    assert torch.equal(built(rows), module(rows))


def test_each_network_is_a_plain_safetensors_file_in_a_folder(tmp_path: Path) -> None:
    run = Adversaries().steps(1)
    save_checkpoint(tmp_path / "c", **run.parts(), form="folder")
    found = safetensors.torch.load_file(tmp_path / "c" / "weights" / "generator.safetensors")
    assert {name: tensor.numpy().tobytes() for name, tensor in found.items()} == weights(run.networks["generator"])


def test_the_generator_alone_is_loaded_without_a_word_about_the_rest(tmp_path: Path) -> None:
    run = Adversaries().steps(2)
    save_checkpoint(tmp_path / "c", **run.parts(), form="folder")
    for part in ("discriminator", "optimizer_generator", "optimizer_discriminator"):
        path = tmp_path / "c" / "weights" / f"{part}.safetensors"
        path.write_bytes(b"\xff" * path.stat().st_size)  # damage in what is not asked for is not met
    fresh = Adversaries(seed=1)
    with warnings.catch_warnings(), load_checkpoint(tmp_path / "c", only="generator") as found:
        warnings.simplefilter("error")
        report = found.restore({"generator": fresh.networks["generator"]})
        assert report.restored == ("networks.generator",)
        assert found.networks == ("generator",)
        with pytest.raises(errors.UsageError, match="left out"):
            found.tensors("discriminator")
    assert weights(fresh.networks["generator"]) == weights(run.networks["generator"])
    with pytest.raises(errors.IntegrityError):
        load_checkpoint(tmp_path / "c")


def test_networks_without_their_optimizers_are_restored_with_a_warning(tmp_path: Path) -> None:
    run = Run("adamw", "StepLR").steps(2)
    save_checkpoint(tmp_path / "c.crate", **run.parts())
    fresh = Run("adamw", "StepLR", seed=1)
    with pytest.warns(CheckpointWarning, match=r"starts fresh.*optimizers\.model, schedulers\.model"):
        report = load_checkpoint(tmp_path / "c.crate").restore(fresh.network)
    assert report.unused == ("optimizers.model", "schedulers.model")
    assert not report.complete
    assert weights(fresh.network) == weights(run.network)


def test_resuming_where_the_optimizer_was_not_saved_is_a_warning_not_a_crash(tmp_path: Path) -> None:
    run = Run("adamw").steps(2)
    save_checkpoint(tmp_path / "c.crate", networks=run.network)
    fresh = Run("adamw", "StepLR", seed=1)
    with pytest.warns(CheckpointWarning, match=r"not in the checkpoint: optimizers\.model, schedulers\.model, scaler"):
        report = load_checkpoint(tmp_path / "c.crate").restore(**fresh.parts(), scaler=torch.amp.GradScaler("cpu"))
    assert report.fresh == ("optimizers.model", "schedulers.model", "scaler")
    assert fresh.optimizer.state == {}
    fresh.step()


def test_a_network_that_was_not_saved_is_a_mismatch(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.crate", networks={"generator": nn.Linear(1, 1)})
    with pytest.raises(errors.MismatchError, match="there is generator"):
        load_checkpoint(tmp_path / "c.crate").restore({"critic": nn.Linear(1, 1)})


def test_differences_are_told_together_and_nothing_is_changed(tmp_path: Path) -> None:
    saved = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 3), "old": nn.Linear(1, 1)})
    optimizer = optim.SGD(saved.parameters(), lr=0.1)
    save_checkpoint(tmp_path / "c.crate", networks=saved, optimizers=optimizer)
    live = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 4), "new": nn.Linear(1, 1)})
    before = weights(live)
    with load_checkpoint(tmp_path / "c.crate") as found:
        with pytest.raises(errors.MismatchError) as caught:
            found.restore(live, optim.SGD(live.parameters(), lr=0.1))
        for part in ("b.weight", "old.weight", "new.weight", "new.bias"):
            assert part in str(caught.value)
        assert weights(live) == before
        report = found.restore(live, optim.SGD(live.parameters(), lr=0.1), strict=False)
    assert any("b.weight" in difference for difference in report.differences)
    assert not report.complete
    assert weights(live)["a.weight"] == weights(saved)["a.weight"]
    assert weights(live)["b.weight"] == before["b.weight"]


def test_one_bad_part_keeps_all_others_from_being_touched(tmp_path: Path) -> None:
    run = Run("adamw", "StepLR").steps(2)
    save_checkpoint(tmp_path / "c.crate", **run.parts())
    fresh = Run("adamw", "ExponentialLR", seed=1)
    before, state = weights(fresh.network), torch.get_rng_state()
    with load_checkpoint(tmp_path / "c.crate") as found, pytest.raises(errors.MismatchError, match="StepLR"):
        found.restore(**fresh.parts())
    assert weights(fresh.network) == before
    assert fresh.optimizer.state == {}
    assert torch.equal(torch.get_rng_state(), state)


def test_tied_parameters_are_saved_once_and_restored_tied(tmp_path: Path) -> None:
    def make() -> nn.Module:
        module = nn.ModuleDict({"embed": nn.Embedding(5, 3), "out": nn.Linear(3, 5, bias=False)})
        module["out"].weight = module["embed"].weight
        return module

    saved, live = make(), make()
    optimizer = optim.Adam(live.parameters())
    save_checkpoint(tmp_path / "c.crate", networks=saved)
    with load_checkpoint(tmp_path / "c.crate") as found, warnings.catch_warnings():
        warnings.simplefilter("ignore", CheckpointWarning)
        assert list(found.tensors("model")) == ["embed.weight"]
        found.restore(live, optimizer)
    assert live["out"].weight is live["embed"].weight
    assert weights(live) == weights(saved)


def test_wrappers_do_not_matter_on_either_side(tmp_path: Path) -> None:
    module = nn.Linear(2, 2)
    wrapped = nn.DataParallel(module)
    optimizer = optim.Adam(wrapped.parameters())
    save_checkpoint(tmp_path / "c.crate", networks=wrapped, optimizers=optimizer)
    bare = nn.Linear(2, 2)
    with load_checkpoint(tmp_path / "c.crate") as found:
        assert set(found.tensors("model")) == {"weight", "bias"}
        assert found.restore(bare, optim.Adam(bare.parameters())).complete
    assert weights(bare) == weights(module)


class WithExtraState(nn.Linear):
    def get_extra_state(self) -> Any:
        return {"calls": 3, "mean": torch.ones(2)}

    def set_extra_state(self, state: Any) -> None:
        self.restored = state


def test_extra_state_of_modules_is_kept_as_data(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.crate", networks=nn.Sequential(WithExtraState(2, 2)))
    live = nn.Sequential(WithExtraState(2, 2))
    load_checkpoint(tmp_path / "c.crate").restore(live)
    restored = live[0].restored
    assert restored["calls"] == 3
    assert restored["mean"].tolist() == [1, 1]


class Shadow:
    """An average kept by an object that is no module."""

    def __init__(self) -> None:
        self.decay, self.shadow = 0.9, [torch.zeros(2)]

    def state_dict(self) -> dict[str, Any]:
        return {"decay": self.decay, "shadow": self.shadow}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def test_an_average_may_be_kept_by_any_object(tmp_path: Path) -> None:
    shadow, fresh = Shadow(), Shadow()
    shadow.decay, shadow.shadow = 0.5, [torch.full((2,), 4.0)]
    save_checkpoint(tmp_path / "c.crate", networks=nn.Linear(1, 1), ema=shadow)
    with load_checkpoint(tmp_path / "c.crate") as found:
        assert found.ema == ("model",)
        assert found.restore(nn.Linear(1, 1), ema=fresh).complete
        with pytest.raises(errors.MismatchError):
            found.restore(ema=nn.Linear(1, 1))
    assert fresh.decay == 0.5
    assert fresh.shadow[0].tolist() == [4, 4]


def test_a_gradient_scaler_goes_on_with_its_scale(tmp_path: Path) -> None:
    def scaler() -> torch.amp.GradScaler:
        return torch.amp.GradScaler("cpu", init_scale=64.0, growth_interval=2)

    def use(grad_scaler: torch.amp.GradScaler, module: nn.Module, steps: int) -> list[float]:
        optimizer = optim.SGD(module.parameters(), lr=0.01)
        scales = []
        for _ in range(steps):
            optimizer.zero_grad()
            grad_scaler.scale(module(torch.ones(1, 2)).sum()).backward()
            grad_scaler.step(optimizer)
            grad_scaler.update()
            scales.append(grad_scaler.get_scale())
        return scales

    torch.manual_seed(0)
    module, whole = nn.Linear(2, 2), scaler()
    use(whole, module, 3)
    save_checkpoint(tmp_path / "c.crate", networks=module, scaler=whole)
    wanted = use(whole, module, 4)
    fresh = scaler()
    assert load_checkpoint(tmp_path / "c.crate").restore(module, scaler=fresh).complete
    assert use(fresh, module, 4) == wanted


def test_a_disabled_scaler_is_no_crash_on_either_side(tmp_path: Path) -> None:
    on, off = torch.amp.GradScaler("cpu"), torch.amp.GradScaler("cpu", enabled=False)
    for name, saved, live in (("a", on, off), ("b", off, on), ("c", off, off)):
        save_checkpoint(tmp_path / name, networks=nn.Linear(1, 1), scaler=saved)
        report = load_checkpoint(tmp_path / name).restore(nn.Linear(1, 1), scaler=live)
        assert bool(report.notes) == (saved is not live)


def test_generators_of_the_users_own_go_on(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(4)
    save_checkpoint(tmp_path / "c.crate", networks=nn.Linear(1, 1), random_state={"loader": generator})
    wanted = torch.rand(3, generator=generator)
    other = torch.Generator()
    load_checkpoint(tmp_path / "c.crate").restore(nn.Linear(1, 1), random_state={"loader": other})
    assert torch.equal(torch.rand(3, generator=other), wanted)


def test_random_state_is_left_out_and_left_alone_where_that_is_asked_for(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "with", networks=nn.Linear(1, 1))
    save_checkpoint(tmp_path / "without", networks=nn.Linear(1, 1), random_state=False)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    load_checkpoint(tmp_path / "with").restore(random_state=False)
    load_checkpoint(tmp_path / "without").restore()
    assert torch.equal(torch.get_rng_state(), state)


def test_training_on_changes_neither_the_file_nor_the_checkpoint(tmp_path: Path) -> None:
    run = Run("adam").steps(2)
    save_checkpoint(tmp_path / "c.crate", **run.parts())
    before = (tmp_path / "c.crate").read_bytes()
    with load_checkpoint(tmp_path / "c.crate") as found:
        first = Run("adam", seed=1)
        found.restore(**first.parts())
        first.steps(3)
        second = Run("adam", seed=2)
        found.restore(**second.parts())
        assert weights(second.network) == weights(run.network)
    assert (tmp_path / "c.crate").read_bytes() == before


def test_another_crate_is_no_checkpoint(tmp_path: Path) -> None:
    import modelcrate

    modelcrate.save(Registered(2), tmp_path / "net.crate")
    with pytest.raises(errors.UnsupportedError, match="not a training checkpoint"):
        load_checkpoint(tmp_path / "net.crate")


def test_a_component_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.crate", networks=nn.Linear(1, 1))
    with pytest.raises(errors.UsageError, match="no component 'x'"):
        load_checkpoint(tmp_path / "c.crate", only="x")
    with pytest.raises(errors.UsageError, match="no network 'progress'"):
        load_checkpoint(tmp_path / "c.crate").tensors("progress")


def test_no_pickle_is_loaded_by_saving_and_restoring(tmp_path: Path) -> None:
    """pickle itself is imported by torch; what must not happen is that any object goes through it."""
    program = """
import copyreg, io, pickle, sys, torch
def refuse(*arguments, **options): raise AssertionError("pickle was used")
class Refused:
    def __init__(self, *arguments, **options): refuse()
pickle.dump = pickle.dumps = pickle.load = pickle.loads = refuse
pickle.Pickler = pickle.Unpickler = Refused
torch.save = torch.load = refuse
from modelcrate.checkpoint import load_checkpoint, save_checkpoint
module = torch.nn.Linear(2, 2)
optimizer = torch.optim.AdamW(module.parameters())
module(torch.ones(1, 2)).sum().backward()
optimizer.step()
scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3])
save_checkpoint(sys.argv[1], networks=module, optimizers=optimizer, schedulers=scheduler, extras={"a": {1: (2,)}})
assert load_checkpoint(sys.argv[1]).restore(module, optimizer, scheduler).complete
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "c.crate")], check=True)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("make", [optim.Adam, optim.NAdam, optim.SGD], ids=lambda kind: kind.__name__)
def test_saved_on_cuda_resumed_on_the_cpu_and_back(make: Any, tmp_path: Path) -> None:
    def parts(device: str) -> tuple[nn.Module, optim.Optimizer]:
        module = nn.Linear(8, 8).to(device)
        return module, make(module.parameters(), lr=0.01)

    def train(module: nn.Module, optimizer: optim.Optimizer, steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            module(torch.randn(4, 8, device=next(module.parameters()).device)).square().mean().backward()
            optimizer.step()

    module, optimizer = parts("cuda")
    train(module, optimizer, 3)
    save_checkpoint(tmp_path / "c.crate", networks=module, optimizers=optimizer)
    train(module, optimizer, 4)
    again, other = parts("cuda")
    load_checkpoint(tmp_path / "c.crate").restore(again, other)
    train(again, other, 4)
    assert weights(again.cpu()) == weights(module.cpu())
    on_host, host_optimizer = parts("cpu")
    load_checkpoint(tmp_path / "c.crate").restore(on_host, host_optimizer)
    train(on_host, host_optimizer, 1)
