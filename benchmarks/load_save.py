"""Saving and loading tensors: a crate against torch, torch with mmap, and plain safetensors.

    python benchmarks/load_save.py [--sizes 100e6 1.6e9] [--rounds 5] [--json FILE] [--folder DIR]

Every step runs in a process of its own, in an order that changes from round to round, against a warm page cache; times
are medians over the rounds, ratios are medians of the ratios within each round, against the step named in the table.
Before each save the outputs of the others are removed and the disk is idle, so that no save pays for another's pages. A
crate's save ends after fsync, torch's and safetensors' saves end in the page cache: "torch.save + fsync" shows what a
durable one takes. Lazily mapped loads return at once and pay at the first touch of a page; so each load is also timed
with every byte read once ("+ touch").
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

TENSORS = 16
FILES = {"torch": "x.pt", "safetensors": "x.safetensors", "crate": "x.crate"}

SAVES = ("torch.save", "torch.save + fsync", "safetensors.save_file", "modelcrate.save")
LOADS = (
    "torch.load",
    "torch.load(mmap=True)",
    "safetensors.load_file",
    "modelcrate tensors",
    "modelcrate tensors, verify=False",
    "modelcrate.load",
    "modelcrate.load, verify=False",
    "modelcrate.load, io=read",
)
BARS = (
    ("modelcrate.save", "torch.save", 1.0),
    ("modelcrate.save", "torch.save + fsync", 1.0),
    ("modelcrate tensors", "torch.load", 1.0),
    ("modelcrate.load", "torch.load", 1.0),
    ("modelcrate tensors, verify=False", "safetensors.load_file", 2.0),
    ("modelcrate tensors, verify=False + touch", "safetensors.load_file + touch", 2.0),
    ("modelcrate.load, verify=False + touch", "safetensors.load_file + touch", 2.0),
)
"""Step, what it is compared with, and the most that the ratio may be."""


def main() -> int:
    """Run all rounds, print the tables, write JSON; exit code 1 if a bar is missed."""
    parser = rounds.parser(__doc__, 5)
    parser.add_argument("--sizes", nargs="+", type=float, default=[100e6, 1.6e9], metavar="BYTES")
    options = parser.parse_args()
    if options.step:
        return rounds.answer(run_step, options.step)
    results = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for size in options.sizes:
            results.append(measure(int(size), options.rounds, Path(folder)))
            rounds.report(f"{size / 1e6:,.0f} MB in {TENSORS} tensors", results[-1], 44)
    return rounds.finish(options, results, rounds.all_met(results))


def measure(size: int, count: int, folder: Path) -> dict[str, Any]:
    """All steps at one size: seconds of each round, and the ratios that the bars ask for."""
    seconds, _ = rounds.save_and_load(
        lambda step: rounds.spawn(__file__, step, size, folder),
        saves=SAVES,
        writers=("torch.save", "safetensors.save_file", "modelcrate.save"),
        loads=LOADS,
        files=[folder / name for name in FILES.values()],
        count=count,
    )
    return {"bytes": size, **rounds.summary(seconds, BARS)}


def run_step(step: str, size: str) -> dict[str, float]:
    """Inside the fresh process: prepare, run once untimed at a tiny size where code must be imported, then time it."""
    if step in SAVES:
        return {step: timed(saver(step, int(size)))[0]}
    load = loader(step)
    seconds, tensors = timed(load)
    touch, _ = timed(lambda: [float(tensor.sum()) for tensor in tensors])
    return {step: seconds, f"{step} + touch": seconds + touch}


def saver(step: str, size: int) -> Callable[[], object]:
    import safetensors.torch
    import torch

    net = flat(size // 4 // TENSORS)
    tensors = {name: tensor.detach() for name, tensor in net.named_parameters()}
    if step == "modelcrate.save":
        import modelcrate

        modelcrate.save(flat(1), "warm-up.crate", overwrite=True)
        os.unlink("warm-up.crate")
        return lambda: modelcrate.save(net, FILES["crate"], overwrite=True)
    if step == "safetensors.save_file":
        return lambda: safetensors.torch.save_file(tensors, FILES["safetensors"])

    def save() -> None:
        torch.save(tensors, FILES["torch"])
        if step.endswith("fsync"):
            with open(FILES["torch"], "rb") as file:
                os.fsync(file.fileno())

    return save


def loader(step: str) -> Callable[[], list[object]]:
    import safetensors.torch
    import torch

    if step.startswith("torch"):
        return lambda: list(torch.load(FILES["torch"], mmap="mmap" in step).values())
    if step.startswith("safetensors"):
        safetensors.torch.save_file({"x": torch.zeros(1)}, "warm-up.safetensors")
        safetensors.torch.load_file("warm-up.safetensors")
        return lambda: list(safetensors.torch.load_file(FILES["safetensors"]).values())
    import modelcrate

    modelcrate.save(flat(1), "warm-up.crate", overwrite=True)
    verify = "verify=False" not in step
    if step.startswith("modelcrate tensors"):

        def tensors(path: str = FILES["crate"]) -> list[object]:
            with modelcrate.open(path, verify=verify) as crate:
                return list(crate["module"].tensors.values())

        tensors("warm-up.crate")
        return tensors
    io = "read" if "io=read" in step else "map"
    modelcrate.load("warm-up.crate", verify=verify, io=io)
    return lambda: [it.detach() for it in modelcrate.load(FILES["crate"], verify=verify, io=io).parameters()]


def flat(size: int) -> object:
    """A module of sixteen vectors of ``size`` float32."""
    import torch

    import modelcrate

    @modelcrate.architecture("benchmark.flat/1")
    class Flat(torch.nn.Module):
        def __init__(self, size: int) -> None:
            super().__init__()
            self.vectors = torch.nn.ParameterList(torch.nn.Parameter(torch.empty(size)) for _ in range(TENSORS))

    net = Flat(size)
    for vector in net.vectors:
        torch.nn.init.normal_(vector)
    return net


if __name__ == "__main__":
    sys.exit(main())
