"""What the benchmarks of saving and loading share: steps in fresh processes, rounds, medians, bars.

A step runs in a process of its own: the script calls itself with ``--step NAME ARGUMENT FOLDER`` and reads the seconds,
by name, from its stdout. Rounds run all steps in an order that changes from one to the next. A bar says which step is
compared with which, and the most that the ratio may be: the median of the ratios within the rounds.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).resolve().parent.parent / "src"

Bar = tuple[str, str, float]
"""Step, what it is compared with, and the most that the ratio may be."""
Seconds = dict[str, list[float]]
"""Of each step, one number a round."""


def parser(text: str | None, count: int) -> argparse.ArgumentParser:
    """The options that every script has; ``count`` rounds unless said otherwise."""
    found = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--rounds", type=int, default=count)
    found.add_argument("--folder", type=Path, help="where to write (default: a temporary folder)")
    found.add_argument("--json", type=Path, metavar="FILE")
    found.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    return found


def spawn(script: str, step: str, argument: object, folder: Path | str) -> dict[str, float]:
    """One step in a fresh process."""
    command = [sys.executable, script, "--step", step, str(argument), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{step} failed:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def answer(run_step: Callable[[str, str], dict[str, float]], step: list[str]) -> int:
    """Inside the fresh process: run the step in its folder, with this checkout's modelcrate."""
    name, argument, folder = step
    sys.path.insert(0, str(SOURCE))
    os.chdir(folder)
    print(json.dumps(run_step(name, argument)))
    return 0


def timings(steps: tuple[str, ...], count: int, run: Callable[[str], dict[str, float]]) -> Seconds:
    """Each step once in every round."""
    found: Seconds = {}
    for number in range(count):
        at = number % len(steps)
        for step in steps[at:] + steps[:at]:
            for name, value in run(step).items():
                found.setdefault(name, []).append(value)
    return found


def save_and_load(
    run: Callable[[str], dict[str, float]],
    *,
    saves: tuple[str, ...],
    writers: tuple[str, ...],
    loads: tuple[str, ...],
    files: Iterable[Path],
    count: int,
) -> tuple[Seconds, dict[str, int]]:
    """The saves, each without the others' files and on an idle disk, then the loads of what ``writers`` wrote.

    Loads find their file in the page cache. Returns the seconds and the sizes of the files by name.
    """
    files = list(files)

    def save(step: str) -> dict[str, float]:
        for file in files:
            file.unlink(missing_ok=True)
        os.sync()
        return run(step)

    seconds = timings(saves, count, save)
    for step in writers:
        run(step)
    os.sync()
    for file in files:
        warm(file)
    sizes = {file.name: file.stat().st_size for file in files}
    seconds |= timings(loads, count, run)
    for file in files:
        file.unlink()
    return seconds, sizes


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds and result. The garbage of the imports is collected first: a tenth of a second for whoever comes next."""
    gc.collect()
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def warm(path: Path) -> None:
    """Read a file once, so that it is in the page cache."""
    with path.open("rb") as file:
        while file.read(1 << 24):
            pass


def ratio(mine: Iterable[float], theirs: Iterable[float]) -> float:
    """The median of the ratios within the rounds."""
    return statistics.median(one / other for one, other in zip(mine, theirs, strict=True))


def medians(seconds: Seconds) -> dict[str, float]:
    return {step: statistics.median(values) for step, values in seconds.items()}


def summary(seconds: Seconds, bars: tuple[Bar, ...]) -> dict[str, Any]:
    """Seconds, medians, and each bar with its ratio and whether it is met."""
    judged = []
    for step, other, most in bars:
        found = ratio(seconds[step], seconds[other])
        judged.append({"step": step, "against": other, "most": most, "ratio": found, "met": found <= most})
    return {"seconds": seconds, "medians": medians(seconds), "bars": judged}


def report(title: str, result: dict[str, Any], width: int) -> None:
    """Print one table: a line a step, and what the bars say of it."""
    print(f"\n{title}, load {os.getloadavg()[0]:.1f}")
    for step, median in result["medians"].items():
        bars = "".join(
            f"   {bar['ratio']:5.2f} × {bar['against']} (bar {bar['most']:.0f}: {'met' if bar['met'] else 'MISSED'})"
            for bar in result["bars"]
            if bar["step"] == step
        )
        print(f"  {step:{width}s}{median * 1000:10.1f} ms{bars}")


def finish(options: argparse.Namespace, results: list[dict[str, Any]], met: Iterable[bool], **about: object) -> int:
    """Write the results where ``--json`` says; the exit code is 1 if a bar was missed."""
    if options.json:
        document = {"machine": {**machine(), **about}, "rounds": options.rounds, "results": results}
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return 0 if all(met) else 1


def all_met(results: list[dict[str, Any]]) -> list[bool]:
    """Whether each bar of each result of :func:`summary` is met."""
    return [bar["met"] for result in results for bar in result["bars"]]


def machine() -> dict[str, object]:
    """What the numbers were taken with."""
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
