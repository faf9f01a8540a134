"""Rows per second of default-sized generators: ``python benchmarks/sampling.py [--rows N ...] [--json sampling.json]``.

The models, an ACTGAN and a CTGAN of the same made-up table (15 columns, 2,000 rows), lie in ``benchmarks/models``.
``plain`` is ``sample(n, seed=7)``, ``replay`` repeats the original's draws. ``--original actgan=PYTHON ctgan=PYTHON``
names interpreters that have the library that wrote the model. It then samples the same file, in a process of its own
with as many threads, in turn with ours: each round times plain, the original and replay one after another, and gives
one ratio for each, so that whatever else the machine does hits all alike. Shown are medians over the rounds, and the
least and the greatest ratio; loading is left out.

``--memory`` instead measures the peak memory of ``modelcrate sample`` in a process of its own, for ``--rows`` (5
million unless given) as CSV and as Parquet.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import modelcrate

MODELS = Path(__file__).resolve().parent / "models"
FILES = {"actgan": MODELS / "bench_actgan" / "model.pkl", "ctgan": MODELS / "bench_ctgan" / "model.pt.xz"}
ROWS = (1_000, 10_000, 100_000)
REPEATS = 3

MEMORY_ROWS = (5_000_000,)

ORIGINAL = """
import os, sys, tempfile, time, warnings
warnings.simplefilter("ignore")
path, kind, threads = sys.argv[1:4]
import torch
torch.set_num_threads(int(threads))
os.chdir(tempfile.mkdtemp())
if kind == "actgan":
    from gretel_synthetics.actgan import ACTGAN
    model = ACTGAN.load_v2(path)
else:
    model = torch.load(path, weights_only=False)
model.sample(10)
print("READY", flush=True)
for line in sys.stdin:
    start = time.perf_counter()
    model.sample(int(line))
    print("SECONDS", time.perf_counter() - start, flush=True)
"""


class Original:
    """The library that wrote a model, in its own interpreter, waiting to sample."""

    def __init__(self, python: str, path: Path, kind: str, threads: int) -> None:
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed with the process)
        command = [python, "-c", ORIGINAL, str(path), kind, str(threads)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True
        )
        self._answer("READY")

    def __enter__(self) -> Original:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()
        self.errors.close()

    def seconds(self, rows: int) -> float:
        """How long one call takes there."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{rows}\n")
        self.process.stdin.flush()
        return float(self._answer("SECONDS"))

    def _answer(self, word: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(word):
                return line[len(word) :].strip()
        self.errors.seek(0)
        last = self.errors.read().strip().splitlines()[-1:]
        raise SystemExit(f"the original could not be timed: {' '.join(last)}")


def seconds(call: Callable[[], Any]) -> float:
    """Seconds of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def prepared(kind: str, folder: Path) -> tuple[Path, Path]:
    """The model's own file, and the place for its crate."""
    source = FILES[kind]
    if source.suffix == ".xz":
        plain = folder / source.stem
        plain.write_bytes(lzma.decompress(source.read_bytes()))
        source = plain
    return source, folder / f"{kind}.crate"


def rounds(synthesizer: Any, rows: int, repeats: int, original: Original | None) -> dict[str, Any]:
    """The figures for one number of rows."""
    times: dict[str, list[float]] = {"plain": [], "replay": [], "original": []}
    for _ in range(repeats):
        times["plain"].append(seconds(lambda: synthesizer.sample(rows, seed=7)))
        if original is not None:
            times["original"].append(original.seconds(rows))
        times["replay"].append(seconds(lambda: synthesizer.sample(rows, replay=7)))
    found: dict[str, Any] = {"rows": rows}
    for name, taken in times.items():
        if taken:
            found[name] = rows / statistics.median(taken)
    for name in ("plain", "replay") if original is not None else ():
        ratios = [other / own for own, other in zip(times[name], times["original"], strict=True)]
        found[f"{name}_ratio"] = {"median": statistics.median(ratios), "least": min(ratios), "greatest": max(ratios)}
    return found


def measure(kind: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All speeds of one model."""
    source, crate = prepared(kind, folder)
    converting, loading = (
        statistics.median(seconds(call) for _ in range(options.repeats))
        for call in (
            lambda: modelcrate.convert(source, crate, overwrite=True),
            lambda: modelcrate.load(crate),
        )
    )
    synthesizer = modelcrate.load(crate)
    synthesizer.sample(10, seed=1)
    python = options.original.get(kind)
    print(
        f"{kind}: convert {converting:.3f} s, load {loading:.3f} s, {options.threads} threads, {options.repeats} rounds"
    )
    print(f"{'rows':>8}{'plain, rows/s':>15}{'replay, rows/s':>16}{'original, rows/s':>18}{'plain':>22}{'replay':>22}")
    results = []
    with Original(python, source, kind, options.threads) if python else nullcontext() as original:
        for rows in options.rows or ROWS:
            row = rounds(synthesizer, rows, options.repeats, original)
            results.append(row)
            rates = [f"{row[key]:,.0f}" if key in row else "-" for key in ("plain", "replay", "original")]
            shown = [_ratio(row.get(f"{key}_ratio")) for key in ("plain", "replay")]
            print(f"{rows:8}{rates[0]:>15}{rates[1]:>16}{rates[2]:>18}{shown[0]:>22}{shown[1]:>22}", flush=True)
    return {"model": kind, "convert_s": converting, "load_s": loading, "results": results}


def _ratio(found: dict[str, float] | None) -> str:
    return "-" if found is None else f"{found['median']:.2f} ({found['least']:.2f}-{found['greatest']:.2f})"


def memory(kind: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Peak memory of the command line, of each format and number of rows."""
    source, crate = prepared(kind, folder)
    modelcrate.convert(source, crate, overwrite=True)
    print(f"{kind}\n{'rows':>12}{'format':>10}{'peak, MiB':>12}{'seconds':>10}{'file, MB':>10}")
    results = []
    for rows in options.rows or MEMORY_ROWS:
        for suffix in ("csv", "parquet"):
            target = folder / f"rows.{suffix}"
            line = [sys.executable, "-m", "modelcrate", "sample", str(crate), "-n", str(rows), "--seed", "7"]
            start = time.perf_counter()
            process = subprocess.Popen([*line, "-o", str(target), "--force"])
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise SystemExit(f"sampling {rows} rows ended with exit code {process.returncode}")
            taken = time.perf_counter() - start
            peak = usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
            size = target.stat().st_size / 1e6
            target.unlink()
            print(f"{rows:12,}{suffix:>10}{peak:12.0f}{taken:10.1f}{size:10.1f}", flush=True)
            results.append({"rows": rows, "format": suffix, "peak_mib": peak, "seconds": taken, "file_mb": size})
    return {"model": kind, "results": results}


def _original(text: str) -> tuple[str, str]:
    kind, separator, python = text.partition("=")
    if not separator or kind not in FILES:
        raise argparse.ArgumentTypeError(f"expected MODEL=PYTHON, the model one of {', '.join(sorted(FILES))}")
    return kind, python


def main() -> int:
    """Print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=sorted(FILES), action="append", help="only this one")
    parser.add_argument("--rows", type=int, nargs="+")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument(
        "--original", metavar="MODEL=PYTHON", type=_original, nargs="+", default=[], help="interpreters to compare with"
    )
    parser.add_argument("--memory", action="store_true", help="peak memory of the command line instead of speed")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.original = dict(options.original)
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        each = memory if options.memory else measure
        models = [each(kind, Path(folder), options) for kind in options.model or sorted(FILES)]
    if options.json:
        report = {
            "machine": platform.machine(),
            "cpus": os.cpu_count(),
            "threads": options.threads,
            "versions": {"torch": torch.__version__, "numpy": np.__version__, "pandas": pd.__version__},
            "measured": "memory" if options.memory else "speed",
            "models": models,
        }
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
