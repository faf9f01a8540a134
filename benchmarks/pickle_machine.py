"""Reading pickles: Python's two unpicklers, two scanners and this project's machine on the same files, in one run.

    python benchmarks/pickle_machine.py [--peers PYTHON] [--opcodes 3e6] [--tensors 1e9] [--rounds 3] [--json FILE]

Each reader runs in a process of its own, in an order that turns from round to round; what is shown is the median of
processor seconds, and the memory that the result takes, per opcode. ``picklescan`` and ``fickling`` run under
``--peers``, an interpreter that has them; one that needs more than four minutes or 6 GiB has no figure. The last two
files are of ``torch.save``, with as many tensors and a hundred times the bytes: a reader that is bound by opcodes takes
the same for both. Exit code 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import datetime
import io
import json
import pickle
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

SOURCES = str(Path(__file__).parent.parent / "src")
PATIENCE = 240
MEMORY = 6 << 30
TENSORS = 10_000
READERS = ("pickle", "_Unpickler", "modelcrate", "modelcrate scan")
PEERS = ("picklescan", "fickling")
LIVE = ("read_legacy", "read_legacy, verify=False", "torch.load", "torch.load(mmap=True)")
BYTES = 120
"""Memory that the graph may take, per opcode."""


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


def numbers(count: int) -> object:
    """Integers of one, two, four and many bytes, and floats."""
    return [(i % 200, i % 60_000, i, i << 40, i / 7)[i % 5] for i in range(count)]


FILES: dict[str, Callable[[int], object]] = {
    "records": records, "pairs": pairs, "texts": texts, "dates": dates, "numbers": numbers,
}  # fmt: skip


def resident() -> int:
    """Bytes of this process that are in memory now, those of mapped files aside."""
    try:
        resident, shared = Path("/proc/self/statm").read_text().split()[1:3]
        return (int(resident) - int(shared)) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def stream_of(path: str) -> bytes:
    """The pickle in a file."""
    if not path.endswith(".pt"):
        return Path(path).read_bytes()
    with zipfile.ZipFile(path) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith("/data.pkl")))


def unpickled(base: Any, data: bytes) -> object:
    """What an unpickler makes of a file of ours, tensors as tuples."""

    class Reader(base):  # type: ignore[misc]
        def persistent_load(self, value: object) -> object:
            return value

        def find_class(self, module: str, name: str) -> object:
            if not module.startswith("torch"):
                return super().find_class(module, name)
            return lambda *arguments: arguments

    return Reader(io.BytesIO(data)).load()


def reader(name: str, path: str) -> Callable[[], object]:
    """What is timed."""
    if name in LIVE:
        import torch

        if name.startswith("torch"):
            return lambda: torch.load(path, mmap="mmap" in name)
        sys.path.insert(0, SOURCES)
        import modelcrate

        return lambda: modelcrate.read_legacy(path, verify="verify" not in name)
    data = stream_of(path)
    if name == "pickle":
        return lambda: unpickled(pickle.Unpickler, data) if path.endswith(".pt") else pickle.loads(data)
    if name == "_Unpickler":
        return lambda: unpickled(pickle._Unpickler, data)  # type: ignore[attr-defined]
    if name == "picklescan":
        from picklescan.scanner import scan_file_path, scan_pickle_bytes

        if path.endswith(".pt"):
            return lambda: scan_file_path(path)
        return lambda: scan_pickle_bytes(io.BytesIO(data), "file")
    if name == "fickling":
        from fickling.fickle import Pickled

        return lambda: Pickled.load(data)
    sys.path.insert(0, SOURCES)
    if name == "modelcrate scan":
        from modelcrate.legacy.scan import scan

        return lambda: scan(path)
    from modelcrate.legacy.machine import read_pickle

    return lambda: read_pickle(data)


def measure(name: str, path: str, small: str) -> dict[str, float]:
    """One run in this process, after one on a small file for the imports."""
    reader(name, small)()
    run = reader(name, path)
    before = resident()
    started = time.process_time()
    made = run()
    seconds = time.process_time() - started
    memory = resident() - before
    del made
    return {"seconds": seconds, "bytes": float(memory)}


def spawn(name: str, path: Path, small: Path, peers: str | None) -> dict[str, float] | None:
    """One run in a fresh process, or None if it fails."""
    python = sys.executable if peers is None or name not in PEERS else peers
    command = [python, __file__, "--child", name, str(path), str(small)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        print(f"  {name}: {(done.stderr.strip() or 'killed').splitlines()[-1][:100]}", file=sys.stderr)
        return None
    found: dict[str, float] = json.loads(done.stdout)
    return found


def compare(path: Path, small: Path, readers: list[str], peers: str | None, rounds: int) -> dict[str, Any]:
    """The medians of each reader's figures; None for one that could not do it."""
    found: dict[str, list[dict[str, float] | None]] = {name: [] for name in readers}
    for number in range(rounds):
        for index in range(len(readers)):
            name = readers[(index + number) % len(readers)]
            if None not in found[name]:
                found[name].append(spawn(name, path, small, peers))
    medians: dict[str, Any] = {}
    for name, runs in found.items():
        good = [run for run in runs if run is not None]
        full = len(good) == len(runs)
        medians[name] = {key: statistics.median(run[key] for run in good) for key in good[0]} if full else None
    return medians


def report(name: str, opcodes: int, found: dict[str, Any], *, bars: bool) -> list[str]:
    """Print one file's rows; the bars that it misses."""
    for reader_name, row in found.items():
        if row is None:
            print(f"  {reader_name:26}       -")
            continue
        slower = row["seconds"] / found["pickle"]["seconds"] if found.get("pickle") else 1.0
        each = row["bytes"] / opcodes
        print(f"  {reader_name:26} {row['seconds']:7.2f} s  {slower:6.1f} x pickle  {each:6.1f} bytes an opcode")
    missed = []
    if bars:
        ours = found["modelcrate"]
        if ours["seconds"] > 2 * found["_Unpickler"]["seconds"]:
            missed.append(f"{name}: more than twice _Unpickler")
        if found.get("picklescan") and ours["seconds"] > found["picklescan"]["seconds"]:
            missed.append(f"{name}: slower than picklescan")
        if ours["bytes"] > BYTES * opcodes:
            missed.append(f"{name}: more than {BYTES} bytes an opcode")
    return missed


def main() -> int:
    """All files, all readers, and the bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--opcodes", type=float, default=3e6)
    parser.add_argument("--tensors", type=float, default=1e9, help="bytes of the larger torch file; 0 for none")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--files", nargs="+", choices=[*FILES], default=[*FILES])
    parser.add_argument("--peers", metavar="PYTHON", help="an interpreter that has picklescan and fickling")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        if options.child[0] in PEERS:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        print(json.dumps(measure(*options.child)))
        return 0
    readers = [*READERS, *(PEERS if options.peers else ())]
    results: dict[str, dict[str, Any]] = {}
    missed: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.pkl"
        small.write_bytes(pickle.dumps([1], 4))
        for name in options.files:
            path = Path(folder) / f"{name}.pkl"
            path.write_bytes(pickle.dumps(FILES[name](int(options.opcodes)), 4))
            count = opcodes(path.read_bytes())
            print(f"{name}: {count:,} opcodes, {path.stat().st_size / 1e6:.1f} MB", flush=True)
            results[name] = compare(path, small, readers, options.peers, options.rounds)
            missed += report(name, count, results[name], bars=True)
            path.unlink()
        for size in [options.tensors / 100, options.tensors] if options.tensors else []:
            path, small = Path(folder) / "tensors.pt", Path(folder) / "small.pt"
            make_tensors(path, int(size), TENSORS)
            make_tensors(small, 400, 1)
            count = opcodes(stream_of(str(path)))
            title = f"{size / 1e6:,.0f} MB in {TENSORS:,} tensors"
            print(f"{title}: {count:,} opcodes", flush=True)
            results[title] = compare(path, small, [*readers, *LIVE], options.peers, options.rounds)
            missed += report(title, count, results[title], bars=False)
    for line in missed:
        print(f"MISSED {line}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    return 1 if missed else 0


def make_tensors(path: Path, size: int, count: int) -> None:
    """A state dict of ``count`` tensors and about ``size`` bytes."""
    import torch

    value = OrderedDict((f"layer.{index}", torch.zeros(size // count // 4)) for index in range(count))
    torch.save(value, path)


def opcodes(data: bytes) -> int:
    """How many opcodes a pickle has."""
    sys.path.insert(0, SOURCES)
    from modelcrate.legacy.machine import read_pickle

    return read_pickle(data).opcodes


if __name__ == "__main__":
    sys.exit(main())
