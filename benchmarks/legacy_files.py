"""Legacy PyTorch files: reading and converting them against ``torch.load`` followed by ``torch.save``.

    python benchmarks/legacy_files.py [--size 400e6] [--many 20000] [--rounds 3] [--json FILE] [--folder DIR]

Files are made on the fly, in both layouts of ``torch.save``: a state dict of one large tensor, one of many small ones,
and a whole module. Every step runs in a process of its own against a warm page cache; what is shown is the median of
processor and wall seconds, the ratio to PyTorch's own round trip, and the highest anonymous memory beyond what the
process had before the step: pages of the mapped file are the page cache's, and are not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).resolve().parent.parent / "src"
KINDS = ("one", "many", "module")
LAYOUTS = ("zip", "old")
TORCH = "torch.load + torch.save"
CONVERSIONS = {"convert": None, "convert --to safetensors": "safetensors", "convert --to torch": "torch"}
STEPS = (TORCH, *CONVERSIONS, "read_legacy", "scan")
MOST = 1.5
"""What a conversion may take, as a multiple of PyTorch's round trip."""
SMALL = 32 << 20
EACH = 6 << 10
"""Anonymous memory that a conversion may take beyond the mapped file: in all, and for each tensor's place and name."""
POLL = 0.002


def make(kind: str, layout: str, size: int, many: int, path: Path) -> None:
    """One file of about ``size`` bytes."""
    import torch

    count = size // 4
    value: Any
    if kind == "one":
        value = {"weight": torch.rand(count)}
    elif kind == "many":
        value = {f"layers.{index}.weight": torch.rand(max(1, count // many)) for index in range(many)}
    else:
        width = int((count / 8) ** 0.5)
        value = torch.nn.Sequential(*(torch.nn.Linear(width, width) for _ in range(8)))
    torch.save(value, path, _use_new_zipfile_serialization=layout == "zip")


def run_step(step: str, path: str, target: str) -> dict[str, float]:
    """Inside the fresh process: import, tell the parent, wait for it, then work."""
    sys.path.insert(0, str(SOURCE))
    import torch

    import modelcrate
    from modelcrate.legacy.convert import convert
    from modelcrate.legacy.export import export
    from modelcrate.legacy.scan import scan

    small = target + ".small"
    torch.save({"weight": torch.zeros(4)}, small)
    convert(small, target)  # imports what it needs
    Path(target).unlink()
    export(small, target, to="safetensors")
    Path(target).unlink()
    print("ready", flush=True)
    sys.stdin.readline()
    wall, processor = time.perf_counter(), time.process_time()
    if step == TORCH:
        loaded = torch.load(path, weights_only="module" not in path)
        torch.save(loaded, target, _use_new_zipfile_serialization="zip" in path)
    elif step == "read_legacy":
        modelcrate.read_legacy(path)
    elif step == "scan":
        scan(path)
    elif CONVERSIONS[step] is None:
        convert(path, target)
    else:
        export(path, target, to=CONVERSIONS[step])
    return {"processor": time.process_time() - processor, "wall": time.perf_counter() - wall}


def anonymous(process: int) -> int:
    """Bytes of a process that are in memory and in no file; 0 where the system does not say."""
    try:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def spawn(step: str, path: Path, target: Path) -> dict[str, float]:
    """One step in a fresh process, watched from outside."""
    command = [sys.executable, __file__, "--step", step, str(path), str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        if child.stdout.readline() != "ready\n":
            raise SystemExit(f"{step} failed on {path.name}")
        before = peak = anonymous(child.pid)
        child.stdin.write("\n")
        child.stdin.flush()
        while child.poll() is None:
            peak = max(peak, anonymous(child.pid))
            time.sleep(POLL)
        output = child.stdout.read()
    if child.returncode:
        raise SystemExit(f"{step} failed on {path.name}")
    found: dict[str, float] = json.loads(output)
    return {**found, "memory": float(peak - before)}


def measure(path: Path, rounds: int, steps: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """The medians of each step's figures over the rounds."""
    found: dict[str, list[dict[str, float]]] = {step: [] for step in steps}
    for number in range(rounds):
        for index in range(len(steps)):
            step = steps[(index + number) % len(steps)]
            target = path.with_suffix(".out")
            found[step].append(spawn(step, path, target))
            target.unlink(missing_ok=True)
            os.sync()
    return {
        step: {figure: statistics.median(run[figure] for run in runs) for figure in runs[0]}
        for step, runs in found.items()
    }


def main() -> int:
    """Print the table, write JSON; exit code 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, default=400e6, metavar="BYTES")
    parser.add_argument("--many", type=int, default=20_000, metavar="TENSORS", help="how many the small ones are")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=list(LAYOUTS))
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--folder", type=Path, help="where to write (default: a temporary folder)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(json.dumps(run_step(*options.step)))
        return 0
    results: dict[str, dict[str, dict[str, float]]] = {}
    missed = False
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for kind in options.kinds:
            for layout in options.layouts:
                path = Path(folder) / f"{kind}-{layout}.pt"
                make(kind, layout, int(options.size), options.many, path)
                os.sync()
                path.read_bytes()
                name = f"{kind}, {layout}"
                print(f"{name}: {path.stat().st_size / 1e6:,.0f} MB", flush=True)
                results[name] = measure(path, options.rounds, tuple(options.steps))
                path.unlink()
                missed |= report(results[name], options.many if kind == "many" else 1)
    if options.json:
        options.json.write_text(json.dumps({"bytes": options.size, "results": results}, indent=1) + "\n")
    return 1 if missed else 0


def report(result: dict[str, dict[str, float]], tensors: int) -> bool:
    """Print one file's rows; whether one of them misses its bar."""
    missed = False
    base = result.get(TORCH)
    for step, found in result.items():
        line = f"  {step:26} {found['processor']:6.2f} s processor {found['wall']:6.2f} s wall"
        line += f" {found['memory'] / 1e6:8.1f} MB"
        if base is not None and step in CONVERSIONS:
            ratio = found["processor"] / base["processor"]
            late = ratio > MOST or found["memory"] > SMALL + EACH * tensors
            missed |= late
            line += f"  {ratio:5.2f} x torch{'  MISSED' if late else ''}"
        print(line, flush=True)
    return missed


if __name__ == "__main__":
    sys.exit(main())
