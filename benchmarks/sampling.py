"""Rows per second of default-sized generators: ``python benchmarks/sampling.py [--rows N ...] [--json sampling.json]``.

The models, an ACTGAN and a CTGAN of the same made-up table (15 columns, 2,000 rows), lie in ``benchmarks/models``.
``plain`` is ``sample(n, seed=7)``, ``replay`` repeats the original's draws. ``--original PYTHON`` names an interpreter
that has the library that wrote the model; it is then timed on the same file in the same way, and ``ratio`` says how
many times faster ``plain`` is. Times are medians, loading left out.
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

ORIGINAL = """
import json, os, statistics, sys, tempfile, time, warnings
warnings.simplefilter("ignore")
path, kind = sys.argv[1:3]
threads, repeats, rows = (json.loads(argument) for argument in sys.argv[3:6])
import torch
torch.set_num_threads(threads)
os.chdir(tempfile.mkdtemp())
if kind == "actgan":
    from gretel_synthetics.actgan import ACTGAN
    model = ACTGAN.load_v2(path)
else:
    model = torch.load(path, weights_only=False)
model.sample(10)
found = {}
for n in rows:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        model.sample(n)
        times.append(time.perf_counter() - start)
    found[n] = n / statistics.median(times)
print("RATES " + json.dumps(found))
"""


def median(call: Callable[[], Any], repeats: int) -> float:
    """Seconds of a call, the median of some."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def original(python: str, path: Path, kind: str, options: argparse.Namespace) -> dict[int, float]:
    """Rows per second of the library that wrote the model, in its own interpreter."""
    arguments = [str(path), kind, str(options.threads), str(options.repeats), json.dumps(list(options.rows))]
    done = subprocess.run([python, "-c", ORIGINAL, *arguments], capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        if line.startswith("RATES "):
            return {int(rows): rate for rows, rate in json.loads(line[6:]).items()}
    print(f"the original {kind} could not be timed: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
    return {}


def measure(kind: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All figures of one model."""
    source = FILES[kind]
    if source.suffix == ".xz":
        plain = folder / source.stem
        plain.write_bytes(lzma.decompress(source.read_bytes()))
        source = plain
    crate = folder / f"{kind}.crate"
    converting = median(lambda: modelcrate.convert(source, crate, overwrite=True), options.repeats)
    loading = median(lambda: modelcrate.load(crate), options.repeats)
    synthesizer = modelcrate.load(crate)
    synthesizer.sample(10, seed=1)
    rates = original(options.original, source, kind, options) if options.original else {}
    print(f"{kind}: convert {converting:.3f} s, load {loading:.3f} s, {options.threads} threads")
    print(f"{'rows':>8}{'plain, rows/s':>18}{'replay, rows/s':>18}{'original, rows/s':>18}{'ratio':>8}")
    results = []
    for rows in options.rows:
        row: dict[str, Any] = {"rows": rows}
        row["plain"] = rows / median(lambda rows=rows: synthesizer.sample(rows, seed=7), options.repeats)
        row["replay"] = rows / median(lambda rows=rows: synthesizer.sample(rows, replay=7), options.repeats)
        if rows in rates:
            row["original"] = rates[rows]
            row["ratio"] = row["plain"] / rates[rows]
        results.append(row)
        shown = [f"{row[key]:18,.0f}" if key in row else f"{'-':>18}" for key in ("plain", "replay", "original")]
        print(f"{rows:8}{''.join(shown)}{row.get('ratio', float('nan')):8.1f}")
    return {"model": kind, "convert_s": converting, "load_s": loading, "results": results}


def main() -> int:
    """Print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=sorted(FILES), action="append", help="only this one")
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--original", metavar="PYTHON", help="an interpreter that has the library that wrote the model")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        models = [measure(kind, Path(folder), options) for kind in options.model or sorted(FILES)]
    if options.json:
        report = {
            "machine": platform.machine(),
            "cpus": os.cpu_count(),
            "threads": options.threads,
            "versions": {"torch": torch.__version__, "numpy": np.__version__, "pandas": pd.__version__},
            "models": models,
        }
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
