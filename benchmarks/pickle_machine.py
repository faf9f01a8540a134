"""Reading pickles: Python's two unpicklers and this project's machine on the same files, in one run.

Usage: ``python benchmarks/pickle_machine.py [--opcodes N] [--json OUT]``. Each reader runs in a process of its own;
what is shown is the best of three processor times, and the memory that the result takes, per opcode. ``picklescan`` and
``fickling`` are measured as well where they are installed.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import io
import json
import pickle
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

SOURCES = str(Path(__file__).parent.parent / "src")


def records(count: int) -> object:
    """Dicts of numbers, texts, lists and tuples: what application data look like."""
    chance = random.Random(1)
    return [
        {"id": i, "name": f"name {i}", "x": chance.random(), "y": [i, i + 1, None, True], "t": (i, f"tag {i % 100}")}
        for i in range(count // 24)
    ]


def pairs(count: int) -> object:
    """Tuples of an integer and a float."""
    return [(i, float(i)) for i in range(count // 4)]


def texts(count: int) -> object:
    """Short texts, all different."""
    return [f"text {i}" for i in range(count // 2)]


def dates(count: int) -> object:
    """Dates: one call each."""
    start = datetime.date(2000, 1, 1).toordinal()
    return [datetime.date.fromordinal(start + i % 9000) for i in range(count // 7)]


FILES: dict[str, Callable[[int], object]] = {"records": records, "pairs": pairs, "texts": texts, "dates": dates}


def resident() -> int:
    """Bytes of this process that are in memory now."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def read(reader: str, data: bytes) -> object:
    """Run one reader."""
    if reader == "pickle":
        return pickle.loads(data)
    if reader == "_Unpickler":
        return pickle._Unpickler(io.BytesIO(data)).load()  # type: ignore[attr-defined]
    if reader == "picklescan":
        from picklescan.scanner import scan_pickle_bytes

        return scan_pickle_bytes(io.BytesIO(data), "file")
    if reader == "fickling":
        from fickling.fickle import Pickled

        return Pickled.load(data)
    sys.path.insert(0, SOURCES)
    if reader == "modelcrate scan":
        from modelcrate.legacy.scan import scan

        return scan(data)
    from modelcrate.legacy.machine import read_pickle

    return read_pickle(data)


def measure(reader: str, path: str) -> dict[str, float]:
    """Best of three runs, and the memory that one result takes."""
    data = Path(path).read_bytes()
    read(reader, pickle.dumps([1]))  # imports
    times = []
    memory = 0
    for _ in range(3):
        before = resident()
        start = time.process_time()
        made = read(reader, data)
        times.append(time.process_time() - start)
        memory = max(memory, resident() - before)
        del made
    return {"seconds": min(times), "bytes": memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--opcodes", type=int, default=3_000_000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(*options.child)))
        return
    readers = ["pickle", "_Unpickler", "modelcrate", "modelcrate scan"]
    readers += [name for name in ("picklescan", "fickling") if importlib.util.find_spec(name)]
    results: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, make in FILES.items():
            path = Path(folder) / f"{name}.pkl"
            path.write_bytes(pickle.dumps(make(options.opcodes), 4))
            count = _opcodes(path)
            print(f"{name}: {count:,} opcodes, {path.stat().st_size / 1e6:.1f} MB")
            results[name] = {}
            for reader in readers:
                command = [sys.executable, __file__, "--child", reader, str(path)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                found = results[name][reader] = json.loads(done.stdout)
                slower = found["seconds"] / results[name]["pickle"]["seconds"]
                print(f"  {reader:16} {found['seconds']:7.2f} s  {slower:6.1f} x pickle  "
                      f"{found['bytes'] / count:6.1f} bytes an opcode")  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def _opcodes(path: Path) -> int:
    sys.path.insert(0, SOURCES)
    from modelcrate.legacy.machine import read_pickle

    return read_pickle(path.read_bytes()).opcodes


if __name__ == "__main__":
    main()
