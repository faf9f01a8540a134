"""Scanners side by side: ``python benchmarks/scanners.py [--peers PYTHON] [--json FILE]``.

Runs modelcrate, picklescan, fickling and modelscan over the attack files that the tests generate and over the benign
files of the tests' corpus, and prints totals: caught, missed, wrongly accused, errors, seconds. Totals only: which
file gets past whom is nobody's business but theirs. The peers run in an interpreter of their own (``--peers``, or a
virtual environment that this script makes), one process a scanner, replaced when it dies or hangs on a file.
"""

from __future__ import annotations

import argparse
import json
import select
import subprocess
import sys
import tempfile
import time
import venv
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]
PEERS = ["picklescan", "fickling", "modelscan"]
PATIENCE = 20.0
"""Seconds for one file; a scanner that needs more has no answer."""

OURS = f"""
import sys
sys.path.insert(0, {str(ROOT / "src")!r})
from modelcrate.legacy.scan import scan
def answer(path):
    verdict = scan(path).verdict
    return {{"data": "passed", "dangerous": "accused"}}.get(verdict, "undecided")
"""
DRIVERS = {
    "modelcrate": OURS,
    "picklescan": """
from picklescan.scanner import scan_file_path
def answer(path):
    result = scan_file_path(path)
    if result.infected_files or result.issues_count:
        return "accused"
    return "error" if result.scan_err or not result.scanned_files else "passed"
""",
    "fickling": """
import io
import zipfile
import fickling.fickle
from fickling.analysis import Severity, check_safety
def streams(path):  # its own reader of PyTorch archives needs torch; what it would look at is data.pkl
    if not zipfile.is_zipfile(path):
        return [open(path, "rb")]
    with zipfile.ZipFile(path) as archive:
        return [io.BytesIO(archive.read(name)) for name in archive.namelist() if name.endswith(".pkl")]
def answer(path):
    found = [check_safety(pickled).severity for stream in streams(path)
             for pickled in fickling.fickle.StackedPickle.load(stream)]
    if not found:
        return "error"
    worst = max(found)
    if worst == Severity.LIKELY_SAFE:
        return "passed"
    return "accused" if worst >= Severity.LIKELY_UNSAFE else "undecided"
""",
    "modelscan": """
import logging
from modelscan.modelscan import ModelScan
logging.disable(logging.CRITICAL)
def answer(path):
    result = ModelScan().scan(path)
    if result["summary"]["total_issues"]:
        return "accused"
    return "error" if result["errors"] or not result["summary"]["scanned"]["total_scanned"] else "passed"
""",
}
LOOP = """
import json, os, sys
talk = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
except ImportError:
    pass
for line in sys.stdin:
    try:
        found = answer(json.loads(line))
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        found = "error"
    print(found, file=talk, flush=True)
"""


class Scanner:
    """One scanner in a process of its own."""

    def __init__(self, name: str, python: str) -> None:
        self.name = name
        self.python = python
        self.process: subprocess.Popen[str] | None = None

    def ask(self, path: Path) -> str:
        """``accused``, ``undecided``, ``passed`` or ``error``."""
        if self.process is None:
            self.process = subprocess.Popen(
                [self.python, "-c", DRIVERS[self.name] + LOOP],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            )  # fmt: skip
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(str(path)) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self.stop()
            return "error"
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        found = self.process.stdout.readline().strip() if ready else ""
        if not found:
            self.stop()
        return found or "error"

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


def write_attacks(folder: Path) -> dict[str, list[Path]]:
    """The generated attacks: those that run code, and those that are only malformed or costly."""
    from attacks import bombs, calls, containers, faults, indirect, values

    groups = [calls.functions(), calls.ways(), indirect.attacks(), faults.attacks(), containers.attacks(),
              values.attacks(), bombs.attacks()]  # fmt: skip
    sets: dict[str, list[Path]] = {"attacks that run code": [], "malformed and costly files": []}
    for index, attack in enumerate(attack for group in groups for attack in group):
        kind = "attacks that run code" if attack.verdict == "dangerous" else "malformed and costly files"
        path = folder / f"{index:04}{extension(attack.data)}"
        path.write_bytes(attack.data)
        sets[kind].append(path)
    return sets


def extension(data: bytes) -> str:
    """The name a file of this content would have; some scanners go by it."""
    if data[:2] == b"PK":
        return ".pt" if b"data.pkl" in data else ".zip"
    if data[:6] == b"\x93NUMPY":
        return ".npy"
    return ".pkl"


def benign() -> list[Path]:
    """Every model and value file of the tests' corpus; goldens and documents aside."""
    endings = {".pkl", ".pt", ".pth", ".bin", ".npy", ".npz", ".joblib", ".ckpt", ".pickle"}
    corpus = ROOT / "tests" / "corpus"
    return sorted(path for path in corpus.rglob("*") if path.suffix in endings and "golden" not in path.parts)


def prepare_peers(folder: Path) -> str:
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", *PEERS], check=True)
    return python


def measure(scanner: Scanner, paths: list[Path]) -> dict[str, object]:
    """Answers counted, and seconds for all files, the scanner's start aside."""
    scanner.ask(ROOT / "README.md")
    started = time.perf_counter()
    counts = Counter(scanner.ask(path) for path in paths)
    seconds = time.perf_counter() - started
    return {
        "scanner": scanner.name,
        "files": len(paths),
        **{answer: counts[answer] for answer in ("accused", "undecided", "passed", "error")},
        "seconds": round(seconds, 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="a Python that has picklescan, fickling and modelscan")
    parser.add_argument("--json", type=Path, help="write the table here as well")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as work:
        peers = options.peers or prepare_peers(Path(work) / "peers")
        (Path(work) / "attacks").mkdir()
        sets = {**write_attacks(Path(work) / "attacks"), "benign files": benign()}
        for name in DRIVERS:
            scanner = Scanner(name, sys.executable if name == "modelcrate" else peers)
            for title, paths in sets.items():
                rows.append({"set": title, **measure(scanner, paths)})
                print(rows[-1], file=sys.stderr, flush=True)
            scanner.stop()
    show(rows)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


def show(rows: list[dict[str, object]]) -> None:
    """One line a set and scanner. Of attacks, ``passed`` is missed; of benign files, ``accused`` is wrongly accused."""
    titles = ["set", "scanner", "files", "accused", "undecided", "passed", "error", "seconds"]
    lines = [titles, *[[str(row[title]) for title in titles] for row in sorted(rows, key=lambda row: str(row["set"]))]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


if __name__ == "__main__":
    sys.exit(main())
