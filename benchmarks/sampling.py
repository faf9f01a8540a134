"""Rows per second of a default-sized ACTGAN: ``python benchmarks/sampling.py [--rows N ...] [--json sampling.json]``.

The model (15 columns, trained on 2,000 rows of made-up values) is in the corpus. ``counter`` is ``sample(n, seed=7)``,
``replay`` repeats the original's draws. Where gretel-synthetics is installed, it is timed on the same file in the same way;
``ratio`` is then how many times faster ``counter`` is. Each time is the best of three, loading left out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
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

MODEL = Path(__file__).resolve().parent.parent / "tests" / "corpus" / "bench_actgan" / "model.pkl"
ROWS = (1_000, 10_000, 100_000)
REPEATS = 3


def best(call: Callable[[], Any], repeats: int) -> float:
    """Seconds of the fastest of some calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def original(path: Path) -> Any:
    """The model in its own library, or None where that is not installed."""
    try:
        from gretel_synthetics.actgan import ACTGAN  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return None
    os.chdir(tempfile.mkdtemp())  # sdv leaves a file in the working folder
    return ACTGAN.load_v2(str(path))


def main() -> int:
    """Print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        crate = Path(folder) / "bench.crate"
        converting = best(lambda: modelcrate.convert(MODEL, crate, overwrite=True), options.repeats)
        loading = best(lambda: modelcrate.load(crate), options.repeats)
        synthesizer = modelcrate.load(crate)
    synthesizer.sample(10, seed=1)
    upstream = original(MODEL)
    print(f"convert {converting:.3f} s, load {loading:.3f} s, {options.threads} threads")
    print(f"{'rows':>8}{'counter, rows/s':>18}{'replay, rows/s':>18}{'original, rows/s':>18}{'ratio':>8}")
    results = []
    for rows in options.rows:
        row: dict[str, Any] = {"rows": rows}
        row["counter"] = rows / best(lambda rows=rows: synthesizer.sample(rows, seed=7), options.repeats)
        row["replay"] = rows / best(lambda rows=rows: synthesizer.sample(rows, replay=7), options.repeats)
        if upstream is not None:
            row["original"] = rows / best(lambda rows=rows: upstream.sample(rows), options.repeats)
            row["ratio"] = row["counter"] / row["original"]
        results.append(row)
        shown = [f"{row[key]:18,.0f}" if key in row else f"{'-':>18}" for key in ("counter", "replay", "original")]
        print(f"{rows:8}{''.join(shown)}{row.get('ratio', float('nan')):8.1f}")
    if options.json:
        versions = {"torch": torch.__version__, "numpy": np.__version__, "pandas": pd.__version__}
        report = {
            "machine": platform.machine(),
            "cpus": os.cpu_count(),
            "threads": options.threads,
            "versions": versions,
            "convert_s": converting,
            "load_s": loading,
            "results": results,
        }
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
