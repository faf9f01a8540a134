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

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rounds
from rounds import timed

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
    parser = rounds.parser(__doc__, 3)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    options = parser.parse_args()
    if options.step:
        return rounds.answer(run_step, options.step)
    results = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for network in options.networks:
            results.append(measure(network, options.rounds, Path(folder)))
            rounds.report(f"{network}: {results[-1]['bytes'] / 1e6:,.0f} MB", results[-1], 52)
    return rounds.finish(options, results, rounds.all_met(results))


def measure(network: str, count: int, folder: Path) -> dict[str, Any]:
    """All steps for one network: seconds of each round, and the ratios that the bars ask for."""
    seconds, sizes = rounds.save_and_load(
        lambda step: rounds.spawn(__file__, step, network, folder),
        saves=SAVES,
        writers=("torch.save", "modelcrate.save"),
        loads=LOADS,
        files=[folder / name for name in FILES.values()],
        count=count,
    )
    return {"network": network, "bytes": sizes[FILES["crate"]], **rounds.summary(seconds, BARS)}


def run_step(step: str, network: str) -> dict[str, float]:
    """Inside the fresh process: run once untimed on a layer, so that all code is imported, then time it."""
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


if __name__ == "__main__":
    sys.exit(main())
