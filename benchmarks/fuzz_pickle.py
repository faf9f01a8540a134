"""Coverage-guided fuzzing with atheris: ``python benchmarks/fuzz_pickle.py [--seconds 60] [FOLDER...]``.

The first byte of an input chooses the target, unless one is named. The corpus grows in ``--corpus``. Prints one JSON
object with executions, coverage (edges and features, as libFuzzer counts them) and findings; exit code 1 when anything
was found, 3 where atheris is not installed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from fuzzing import ROOT, TARGETS, Harness, seeds

PROGRESS = re.compile(r"#(\d+)\s.*cov: (\d+) ft: (\d+) corp: (\d+)")


def child(options: argparse.Namespace) -> None:
    """The fuzzing process itself: everything of modelcrate is instrumented while it is imported."""
    import atheris

    with atheris.instrument_imports(include=["modelcrate"]):
        import modelcrate.format.manifest
        import modelcrate.format.tensors
        import modelcrate.format.values
        import modelcrate.legacy.archive
        import modelcrate.legacy.machine
        import modelcrate.legacy.scan
        import modelcrate.storage  # noqa: F401

        harness = Harness(options.keep)
    names = options.target or list(TARGETS)

    def one(data: bytes) -> None:
        if len(names) == 1:
            harness.run(names[0], data)
        elif data:
            harness.run(names[data[0] % len(names)], data[1:])

    flags = [f"-max_total_time={int(options.seconds)}", "-max_len=16384", "-timeout=60", "-rss_limit_mb=4096",
             "-print_final_stats=1", f"-seed={options.seed}", f"-artifact_prefix={options.keep}/"]  # fmt: skip
    atheris.Setup([sys.argv[0], *flags, str(options.corpus)], one)
    atheris.Fuzz()


def prepare(options: argparse.Namespace) -> None:
    """Write the seeds once for each target, behind the byte that chooses it."""
    options.corpus.mkdir(parents=True, exist_ok=True)
    options.keep.mkdir(parents=True, exist_ok=True)
    names = options.target or list(TARGETS)
    for data in seeds(options.folders or [ROOT / "tests" / "corpus"]):
        if len(data) > 16000:
            continue
        for index in range(len(names)):
            content = data if len(names) == 1 else bytes([index]) + data
            (options.corpus / hashlib.sha256(content).hexdigest()[:20]).write_bytes(content)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--target", action="append", choices=sorted(TARGETS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--keep", type=Path, default=Path("fuzz-findings"), help="folder for inputs that found something"
    )
    parser.add_argument("--corpus", type=Path, help="folder in which the corpus grows (default: a temporary one)")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options)
        return 0
    try:
        import atheris  # noqa: F401
    except ImportError:
        print("atheris is not installed; fuzz_mutate.py needs nothing", file=sys.stderr)
        return 3
    with tempfile.TemporaryDirectory() as folder:
        options.corpus = options.corpus or Path(folder) / "corpus"
        prepare(options)
        command = [sys.executable, __file__, "--child", "--seconds", str(options.seconds), "--seed", str(options.seed),
                   "--keep", str(options.keep), "--corpus", str(options.corpus)]  # fmt: skip
        for target in options.target or []:
            command += ["--target", target]
        summary = watch(command)
    print(json.dumps(summary, indent=1))
    return 1 if summary["findings"] or summary["exit_code"] else 0


def watch(command: list[str]) -> dict[str, object]:
    """Run the fuzzing process, pass on what it says, and sum it up."""
    summary: dict[str, object] = {"executions": 0, "edges": 0, "features": 0, "corpus": 0}
    findings: list[str] = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") as process:
        assert process.stderr is not None
        for line in process.stderr:
            sys.stderr.write(line)
            found = PROGRESS.search(line)
            if found:
                summary |= dict(
                    zip(("executions", "edges", "features", "corpus"), map(int, found.groups()), strict=True)
                )
            if line.startswith("FINDING") or " ERROR: " in line:
                findings.append(line.strip())
            done = re.match(r"stat::number_of_executed_units:\s*(\d+)", line)
            if done:
                summary["executions"] = int(done[1])
    return {**summary, "findings": findings, "exit_code": process.returncode}


if __name__ == "__main__":
    sys.exit(main())
