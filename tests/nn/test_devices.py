"""Where tensors go, and how they get there.

The tests marked ``cuda`` need a device, and skip with that reason where there is none.
"""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import modelcrate as mc
from modelcrate.errors import UsageError
from modelcrate.format.tensors import DeferredTensorData, TensorData
from modelcrate.nn.devices import resolve_devices
from modelcrate.nn.dtypes import NAMED
from modelcrate.nn.staging import Staging, transfer
from modelcrate.nn.tensors import tensor_data

CPU = torch.device("cpu")
SOURCE = str(Path(__file__).resolve().parents[2] / "src")

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


def raw(tensor: torch.Tensor) -> torch.Tensor:
    """The bytes of a contiguous tensor."""
    tensor = tensor.cpu()
    return (torch.view_as_real(tensor) if tensor.is_complex() else tensor).reshape(-1).view(torch.uint8)


def same(one: nn.Module, other: nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return list(mine) == list(theirs) and all(torch.equal(mine[name].cpu(), theirs[name].cpu()) for name in mine)


# Which device


def test_one_device_is_for_all_and_a_mapping_for_those_it_names() -> None:
    assert resolve_devices("cpu", ["a", "b"], ["a", "b"]) == {"a": CPU, "b": CPU}
    assert resolve_devices({"a": CPU}, ["a", "b"], ["a", "b"]) == {"a": CPU, "b": CPU}
    assert resolve_devices({"a": "cpu", "b": "nonsense"}, ["a"], ["a", "b"]) == {"a": CPU}


@pytest.mark.parametrize(
    "placement", [{"c": "cpu"}, {"a": "nonsense"}, {"a": None}, {1: "cpu"}, {"a": {"a": "cpu"}}, "nonsense", None]
)
def test_placements_that_can_not_be_are_refused(placement: Any) -> None:
    with pytest.raises(UsageError):
        resolve_devices(placement, ["a"], ["a", "b"])


# Staging, on a machine without a device: the same buffers, not page-locked


@pytest.mark.parametrize("name", sorted(NAMED))
def test_staging_keeps_the_bits_of_every_dtype(name: str) -> None:
    staging = Staging(CPU, size=256, pinned=False)
    item = NAMED[name].itemsize
    for count in (1, 3, 64, 257):
        data = torch.randint(0, 2 if name == "bool" else 120, (count * item,), dtype=torch.uint8)
        tensor = data.view(torch.float32).view(torch.complex64) if name == "complex64" else data.view(NAMED[name])
        moved = staging.move(tensor)
        assert moved.dtype == NAMED[name]
        assert moved.data_ptr() != tensor.data_ptr()
        assert torch.equal(raw(moved), data)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1, 1), (5, 7)])
def test_staging_keeps_shapes(shape: tuple[int, ...]) -> None:
    tensor = torch.randn(shape)
    moved = Staging(CPU, size=64, pinned=False).move(tensor)
    assert moved.shape == tensor.shape
    assert torch.equal(moved, tensor)


def test_staging_copies_any_run_of_sizes_through_two_buffers() -> None:
    staging = Staging(CPU, size=1000, pinned=False)
    draw = random.Random(5)
    tensors = [torch.randint(0, 255, (draw.choice([0, 1, 63, 64, 65, 999, 1000, 1001, 9000]),), dtype=torch.uint8)
               for _ in range(300)]  # fmt: skip
    moved = [staging.move(tensor) for tensor in tensors]
    staging.wait()
    assert all(torch.equal(one, other) for one, other in zip(moved, tensors, strict=True))
    assert len(staging._buffers) == 2


class LateDevice:
    """Stands for ``torch.cuda``: a copy happens as late as it may, when somebody waits for what came after it."""

    def __init__(self) -> None:
        self.queue: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.done = 0
        self.longest = 0

    def current_stream(self, device: object) -> LateDevice:
        return self

    def record_event(self) -> LateEvent:
        return LateEvent(self, len(self.queue))

    def synchronize(self) -> None:
        self.run(len(self.queue))

    def run(self, until: int) -> None:
        self.longest = max(self.longest, until - self.done)
        for target, piece in self.queue[self.done : until]:
            target.copy_(piece)
        self.done = max(self.done, until)


class LateEvent:
    def __init__(self, device: LateDevice, place: int) -> None:
        self.device, self.place = device, place

    def synchronize(self) -> None:
        self.device.run(self.place)


def test_a_buffer_is_filled_again_only_when_the_device_has_emptied_it(monkeypatch: pytest.MonkeyPatch) -> None:
    device, copy = LateDevice(), torch.Tensor.copy_

    def late(target: torch.Tensor, source: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
        if not non_blocking:
            return copy(target, source)
        device.queue.append((target, source))
        return target

    staging = Staging(CPU, size=1000)
    monkeypatch.setattr(staging, "_make", lambda: torch.empty(1000, dtype=torch.uint8))
    monkeypatch.setattr(torch.cuda, "current_stream", device.current_stream)
    monkeypatch.setattr(torch.Tensor, "copy_", late)
    draw = random.Random(7)
    tensors = [torch.randint(0, 255, (draw.choice([1, 64, 65, 999, 1000, 1001, 9000]),), dtype=torch.uint8)
               for _ in range(200)]  # fmt: skip
    moved = [staging.move(tensor) for tensor in tensors]
    assert device.done < len(device.queue)  # some are still under way
    staging.wait()
    assert device.done == len(device.queue)
    assert all(torch.equal(one, other) for one, other in zip(moved, tensors, strict=True))
    assert len(staging._buffers) == 2
    assert 1 < device.longest < 60  # the device never idles while there is a full buffer


def test_a_tensor_that_is_not_contiguous_is_copied_all_the_same() -> None:
    tensor = torch.randn(4, 5).t()
    assert torch.equal(Staging(CPU, size=64, pinned=False).move(tensor), tensor)


def test_on_the_cpu_nothing_is_copied() -> None:
    tensor = torch.randn(4)
    with transfer(CPU) as move:
        assert move(tensor) is tensor


# Bytes on the way out


def test_memory_that_is_plain_is_used_in_place_and_other_is_copied_when_asked() -> None:
    plain = torch.randn(3, 4)
    assert type(tensor_data(plain, where="x")) is TensorData
    for tensor in (plain.t(), plain[:, ::2], torch.randn(3, dtype=torch.complex64).conj()):
        data = tensor_data(tensor, where="x")
        assert isinstance(data, DeferredTensorData)
        assert data.shape == tuple(tensor.shape)
        assert bytes(data.data) == bytes(raw(tensor.resolve_conj().contiguous()).numpy())


# With a device


@pytest.fixture
def networks() -> dict[str, nn.Module]:
    torch.manual_seed(3)
    generator = nn.Sequential(nn.Linear(4, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 3)).to("cuda:0")
    generator(torch.randn(8, 4, device="cuda:0"))
    discriminator = nn.Sequential(nn.Linear(3, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    return {"generator": generator, "discriminator": discriminator, "tied": tied().to("cuda:0")}


def tied() -> nn.Module:
    net = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 5, bias=False))
    net[1].weight = net[0].weight
    return net


@pytest.mark.cuda
@needs_cuda
def test_saved_on_a_gpu_loaded_on_the_cpu_and_back(networks: dict[str, nn.Module], tmp_path: Path) -> None:
    mc.save(networks["generator"], tmp_path / "x")
    on_cpu = mc.load(tmp_path / "x")
    assert {it.device.type for it in on_cpu.state_dict().values()} == {"cpu"}
    assert same(on_cpu, networks["generator"])
    mc.save(on_cpu, tmp_path / "y")
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()
    for device in ("cuda", "cuda:0", 0, torch.device("cuda:0"), "auto"):
        back = mc.load(tmp_path / "y", device=device)
        assert {it.device for it in back.state_dict().values()} == {torch.device("cuda:0")}
        assert same(back, networks["generator"])
    given = torch.randn(5, 4, device="cuda:0")
    assert torch.equal(back.eval()(given), networks["generator"].eval()(given))


@pytest.mark.cuda
@needs_cuda
def test_networks_are_placed_one_by_one(networks: dict[str, nn.Module], tmp_path: Path) -> None:
    mc.save(networks, tmp_path / "x")
    again = mc.load(tmp_path / "x", device={"generator": "cuda:0", "discriminator": "cpu", "tied": 0})
    devices = {name: {it.device.type for it in net.state_dict().values()} for name, net in again.items()}
    assert devices == {"generator": {"cuda"}, "discriminator": {"cpu"}, "tied": {"cuda"}}
    assert all(same(again[name], networks[name]) for name in networks)
    assert again["tied"][0].weight is again["tied"][1].weight


@pytest.mark.cuda
@needs_cuda
@pytest.mark.parametrize("name", sorted(NAMED))
def test_every_dtype_reaches_the_device(name: str) -> None:
    data = torch.randint(0, 2 if name == "bool" else 120, (5 * NAMED[name].itemsize,), dtype=torch.uint8)
    tensor = data.view(torch.float32).view(torch.complex64) if name == "complex64" else data.view(NAMED[name])
    staging = Staging(torch.device("cuda:0"), size=256)
    moved = staging.move(tensor)
    staging.wait()
    assert moved.device.type == "cuda"
    assert torch.equal(raw(moved), data)


@pytest.mark.cuda
@needs_cuda
def test_large_tensors_cross_in_pieces() -> None:
    staging = Staging(torch.device("cuda:0"), size=1 << 20)
    tensors = [torch.randn(count) for count in (1, 262_144, 262_145, 3_000_001, 17, 2_000_000)]
    moved = [staging.move(tensor) for tensor in tensors]
    staging.wait()
    assert all(torch.equal(one.cpu(), other) for one, other in zip(moved, tensors, strict=True))


@pytest.mark.cuda
@needs_cuda
def test_dtype_converts_on_the_way_to_the_device(networks: dict[str, nn.Module], tmp_path: Path) -> None:
    mc.save(networks["generator"], tmp_path / "x")
    again = mc.load(tmp_path / "x", device="cuda", dtype=torch.bfloat16)
    assert same(again, networks["generator"].to(torch.bfloat16))


PEAK = """
import os, sys
sys.path.insert(0, sys.argv[1])
import torch, modelcrate as mc
mc.load(sys.argv[3], device="cuda")
def private():
    with open("/proc/self/status") as status:
        return {line.split(":")[0]: int(line.split()[1]) for line in status if line.startswith("Rss")}["RssAnon"]
import threading
peak, done = private(), threading.Event()
before = peak
def watch():
    global peak
    while not done.wait(0.002):
        peak = max(peak, private())
thread = threading.Thread(target=watch); thread.start()
net = mc.load(sys.argv[2], device="cuda")
done.set(); thread.join()
print(peak - before)
"""


@pytest.mark.cuda
@needs_cuda
@pytest.mark.skipif(sys.platform != "linux", reason="private memory is read from /proc")
def test_a_load_takes_the_host_memory_of_the_buffers_and_not_of_the_model(tmp_path: Path) -> None:
    mc.save(nn.ModuleList([nn.Linear(4096, 4096) for _ in range(16)]), tmp_path / "large")  # 1 GiB
    mc.save(nn.Linear(1, 1), tmp_path / "small")
    command = [sys.executable, "-c", PEAK, SOURCE, str(tmp_path / "large"), str(tmp_path / "small")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 192 << 10  # KiB: two buffers of 32 MiB, and what the driver takes


@pytest.mark.cuda
@needs_cuda
def test_a_checkpoint_keeps_the_generator_of_the_device(tmp_path: Path) -> None:
    net = nn.Linear(2, 2).to("cuda:0")
    torch.cuda.manual_seed(11)
    mc.save_checkpoint(tmp_path / "x", networks={"net": net})
    expected = torch.randn(7, device="cuda:0")
    torch.cuda.manual_seed(99)
    mc.load_checkpoint(tmp_path / "x").restore(networks={"net": net})
    assert torch.equal(torch.randn(7, device="cuda:0"), expected)


def run(steps: int, net: nn.Module, optimizer: torch.optim.Optimizer) -> list[float]:
    """Losses of a few steps whose data and dropout come from the device's generator."""
    losses = []
    for _ in range(steps):
        given = torch.randn(16, 4, device="cuda:0")
        loss = net(given).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def fresh() -> tuple[nn.Module, torch.optim.Optimizer]:
    net = nn.Sequential(nn.Linear(4, 32), nn.BatchNorm1d(32), nn.Dropout(0.3), nn.ReLU(), nn.Linear(32, 2)).to("cuda:0")
    return net, torch.optim.AdamW(net.parameters(), lr=1e-2)


@pytest.mark.cuda
@needs_cuda
@pytest.mark.parametrize("block", [True, False])
def test_a_run_on_the_device_resumes_bit_for_bit(tmp_path: Path, block: bool) -> None:
    torch.manual_seed(1)
    net, optimizer = fresh()
    run(5, net, optimizer)
    with mc.CheckpointManager(tmp_path / "runs") as manager:
        manager.save(networks={"net": net}, optimizers={"optimizer": optimizer}, epoch=0, block=block)
        losses = run(5, net, optimizer)  # goes on while a save in the background is under way
    torch.manual_seed(2)
    again, other = fresh()
    found = mc.CheckpointManager(tmp_path / "runs").latest()
    assert found is not None
    found.restore(networks={"net": again}, optimizers={"optimizer": other})
    assert run(5, again, other) == losses
    assert same(again, net)
