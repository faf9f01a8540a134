"""Saving and loading networks as people have them: against torch.save and torch.load.

    python benchmarks/networks.py [--networks resnet50 transformer many] [--rounds 3] [--json FILE] [--folder DIR]

``resnet50`` is that network, 161 parameters and 159 buffers, 102 MB; ``transformer`` is an embedding and 28 encoder
layers of width 1024, 337 parameters, 1.6 GB; ``many`` is 10,000 small layers, 20,000 tensors, 3 MB. Every step runs in
a process of its own, in an order that changes from round to round, the file in the page cache; ratios are medians of
the ratios within each round. A crate's save ends after fsync, torch's ends in the page cache: "+ fsync" shows what a
durable one takes, and both are compared. ``torch.load`` gives a state dict only; "into a module" is what makes a
network of it: built, then filled ("assign": on the meta device, then assigned). Mapped loads pay at the first touch of
a page, so each load is also timed with every byte read once ("+ touch").
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from load_save import judged, keep, machine, noted, rotated, timed, warm

SOURCE = Path(__file__).resolve().parent.parent / "src"
FILES = {"torch": "x.pt", "crate": "x.crate"}
NETWORKS = ("resnet50", "transformer", "many")

SAVES = ("torch.save", "torch.save + fsync", "modelcrate.save")
LOADS = (
    "torch.load",
    "torch.load into a module",
    "torch.load(mmap=True) into a module, assign",
    "modelcrate.load",
    "modelcrate.load, verify=False",
)
BARS = (
    ("modelcrate.save", "torch.save", 1.0),
    ("modelcrate.save", "torch.save + fsync", 1.0),
    ("modelcrate.load", "torch.load", 1.0),
    ("modelcrate.load", "torch.load into a module", 1.0),
    ("modelcrate.load + touch", "torch.load into a module + touch", 1.0),
    ("modelcrate.load, verify=False", "torch.load(mmap=True) into a module, assign", 1.0),
)
"""Step, what it is compared with, and the most that the ratio may be."""


def main() -> int:
    """Run all rounds, print the tables, write JSON; exit code 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to write (default: a temporary folder)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(json.dumps(run_step(*options.step)))
        return 0
    results = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for network in options.networks:
            results.append(measure(network, options.rounds, Path(folder)))
            report(results[-1])
    if options.json:
        document = {"machine": machine(), "rounds": options.rounds, "results": results}
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    missed = [bar for result in results for bar in result["bars"] if not bar["met"]]
    return 1 if missed else 0


def measure(network: str, rounds: int, folder: Path) -> dict[str, object]:
    """All steps for one network: seconds of each round, and the ratios that the bars ask for."""
    seconds: dict[str, list[float]] = {}
    for number in range(rounds):
        for step in rotated(SAVES, number):
            for name in FILES.values():
                (folder / name).unlink(missing_ok=True)
            os.sync()
            keep(seconds, spawn(step, network, folder))
    for step in ("torch.save", "modelcrate.save"):
        spawn(step, network, folder)
    os.sync()
    size = (folder / FILES["crate"]).stat().st_size
    for name in FILES.values():
        warm(folder / name)
    for number in range(rounds):
        for step in rotated(LOADS, number):
            keep(seconds, spawn(step, network, folder))
    for name in FILES.values():
        (folder / name).unlink()
    bars = judged(BARS, seconds)
    medians = {step: statistics.median(values) for step, values in seconds.items()}
    return {"network": network, "bytes": size, "seconds": seconds, "medians": medians, "bars": bars}


def spawn(step: str, network: str, folder: Path) -> dict[str, float]:
    """One step in a fresh process."""
    command = [sys.executable, __file__, "--step", step, network, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{step} failed:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def run_step(step: str, network: str, folder: str) -> dict[str, float]:
    """Inside the fresh process: run once untimed on a layer, so that all code is imported, then time it."""
    sys.path.insert(0, str(SOURCE))
    os.chdir(folder)
    if step in SAVES:
        return {step: timed(saver(step, network))[0]}
    seconds, tensors = timed(loader(step, network))
    touch, _ = timed(lambda: [float(tensor.sum()) for tensor in tensors])
    return {step: seconds, f"{step} + touch": seconds + touch}


def saver(step: str, network: str) -> Callable[[], object]:
    import torch

    net = build(network, "meta").to_empty(device="cpu")
    for number, tensor in enumerate(net.state_dict().values()):
        tensor.fill_(number % 7)
    if step == "modelcrate.save":
        import modelcrate

        modelcrate.save(torch.nn.Linear(1, 1), "warm-up.crate", overwrite=True)
        os.unlink("warm-up.crate")
        return lambda: modelcrate.save(net, FILES["crate"], overwrite=True)
    torch.save(torch.nn.Linear(1, 1).state_dict(), "warm-up.pt")

    def save() -> None:
        torch.save(net.state_dict(), FILES["torch"])
        if step.endswith("fsync"):
            with open(FILES["torch"], "rb") as file:
                os.fsync(file.fileno())

    return save


def loader(step: str, network: str) -> Callable[[], list[object]]:
    import torch

    if step.startswith("torch"):
        torch.save(torch.nn.Linear(1, 1).state_dict(), "warm-up.pt")
        torch.load("warm-up.pt")
        if step == "torch.load":
            return lambda: list(torch.load(FILES["torch"]).values())

        def load() -> list[object]:
            assign = step.endswith("assign")
            net = build(network, "meta" if assign else "cpu")
            net.load_state_dict(torch.load(FILES["torch"], mmap=assign), assign=assign)
            return list(net.state_dict().values())

        return load
    import modelcrate

    build("resnet50", "meta")  # registers it
    modelcrate.save(torch.nn.Linear(1, 1), "warm-up.crate", overwrite=True)
    verify = "verify=False" not in step
    modelcrate.load("warm-up.crate", verify=verify)
    return lambda: list(modelcrate.load(FILES["crate"], verify=verify).state_dict().values())


def build(network: str, device: str) -> object:
    """The network on a device, registered where that is needed."""
    import torch
    from torch import nn

    import modelcrate

    with torch.device(device):
        if network == "many":
            return nn.Sequential(*(nn.Sequential(*(nn.Linear(5, 5) for _ in range(100))) for _ in range(100)))
        if network == "transformer":
            layer = nn.TransformerEncoderLayer(1024, 16, 4096, batch_first=True)
            return nn.Sequential(
                nn.Embedding(50_257, 1024),
                nn.TransformerEncoder(layer, 28, enable_nested_tensor=False),
            )

        @modelcrate.architecture("benchmark.bottleneck/1")
        class Bottleneck(nn.Module):
            def __init__(self, wide: int, narrow: int, stride: int) -> None:
                super().__init__()
                self.path = nn.Sequential(
                    nn.Conv2d(wide, narrow, 1, bias=False),
                    nn.BatchNorm2d(narrow),
                    nn.ReLU(),
                    nn.Conv2d(narrow, narrow, 3, stride, 1, bias=False),
                    nn.BatchNorm2d(narrow),
                    nn.ReLU(),
                    nn.Conv2d(narrow, 4 * narrow, 1, bias=False),
                    nn.BatchNorm2d(4 * narrow),
                )
                self.shortcut = nn.Sequential()
                if wide != 4 * narrow:
                    self.shortcut = nn.Sequential(
                        nn.Conv2d(wide, 4 * narrow, 1, stride, bias=False), nn.BatchNorm2d(4 * narrow)
                    )

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return torch.relu(self.path(x) + self.shortcut(x))

        layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        wide = 64
        for stage, count in enumerate((3, 4, 6, 3)):
            for number in range(count):
                layers.append(Bottleneck(wide, 64 << stage, 2 if stage and not number else 1))
                wide = 256 << stage
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))


def report(result: dict[str, object]) -> None:
    print(f"\n{result['network']}: {result['bytes'] / 1e6:,.0f} MB, load {os.getloadavg()[0]:.1f}")
    for step, median in result["medians"].items():
        print(f"  {step:52s}{median * 1000:10.1f} ms{noted(result['bars'], step)}")


if __name__ == "__main__":
    sys.exit(main())
