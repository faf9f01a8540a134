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

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "src"
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=float, default=[100e6, 1.6e9], metavar="BYTES")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to write (default: a temporary folder)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(json.dumps(run_step(*options.step)))
        return 0
    results = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for size in options.sizes:
            results.append(measure(int(size), options.rounds, Path(folder)))
            report(results[-1])
    document = {"machine": machine(), "rounds": options.rounds, "results": results}
    if options.json:
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    missed = [bar for result in results for bar in result["bars"] if not bar["met"]]
    return 1 if missed else 0


def measure(size: int, rounds: int, folder: Path) -> dict[str, object]:
    """All steps at one size: seconds of each round, and the ratios that the bars ask for."""
    seconds: dict[str, list[float]] = {}
    for number in range(rounds):
        for step in rotated(SAVES, number):
            for name in FILES.values():
                (folder / name).unlink(missing_ok=True)
            os.sync()
            keep(seconds, spawn(step, size, folder))
    for step in ("torch.save", "safetensors.save_file", "modelcrate.save"):
        spawn(step, size, folder)
    os.sync()
    for name in FILES.values():
        warm(folder / name)
    for number in range(rounds):
        for step in rotated(LOADS, number):
            keep(seconds, spawn(step, size, folder))
    for name in FILES.values():
        (folder / name).unlink()
    medians = {step: statistics.median(values) for step, values in seconds.items()}
    bars = judged(BARS, seconds)
    return {"bytes": size, "seconds": seconds, "medians": medians, "bars": bars}


def spawn(step: str, size: int, folder: Path) -> dict[str, float]:
    """One step in a fresh process."""
    command = [sys.executable, __file__, "--step", step, str(size), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{step} failed:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def run_step(step: str, size: str, folder: str) -> dict[str, float]:
    """Inside the fresh process: prepare, run once untimed at a tiny size where code must be imported, then time it."""
    sys.path.insert(0, str(SOURCE))
    os.chdir(folder)
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


def timed(action: Callable[[], object]) -> tuple[float, object]:
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def warm(path: Path) -> None:
    """Read a file once, so that it is in the page cache."""
    with path.open("rb") as file:
        while file.read(1 << 24):
            pass


def rotated(steps: tuple[str, ...], number: int) -> tuple[str, ...]:
    at = number % len(steps)
    return steps[at:] + steps[:at]


def keep(seconds: dict[str, list[float]], found: dict[str, float]) -> None:
    for step, value in found.items():
        seconds.setdefault(step, []).append(value)


def judged(bars: tuple[tuple[str, str, float], ...], seconds: dict[str, list[float]]) -> list[dict[str, object]]:
    """Each bar with the median of the ratios within the rounds."""
    found = []
    for step, other, most in bars:
        ratio = statistics.median(mine / theirs for mine, theirs in zip(seconds[step], seconds[other], strict=True))
        found.append({"step": step, "against": other, "most": most, "ratio": ratio, "met": ratio <= most})
    return found


def noted(bars: list[dict[str, object]], step: str) -> str:
    """What the bars say of a step, for the end of its line."""
    return "".join(
        f"   {bar['ratio']:5.2f} × {bar['against']} (bar {bar['most']:.0f}: {'met' if bar['met'] else 'MISSED'})"
        for bar in bars
        if bar["step"] == step
    )


def report(result: dict[str, object]) -> None:
    print(f"\n{result['bytes'] / 1e6:,.0f} MB in {TENSORS} tensors, load {os.getloadavg()[0]:.1f}")
    for step, median in result["medians"].items():
        print(f"  {step:44s}{median * 1000:10.1f} ms{noted(result['bars'], step)}")


def machine() -> dict[str, object]:
    import blake3
    import safetensors
    import torch

    return {
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "torch": torch.__version__,
        "safetensors": safetensors.__version__,
        "blake3": blake3.__version__,
    }


if __name__ == "__main__":
    sys.exit(main())
