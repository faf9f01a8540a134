"""The fuzzers run, and a few seconds of them find nothing. Longer runs are for ``benchmarks/fuzz_*.py`` by hand."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from oracle import ROOT

BENCHMARKS = ROOT / "benchmarks"
VALUES = ROOT / "tests" / "corpus" / "values"
TARGETS = {"machine", "survey", "scan", "values", "manifest", "tensors", "crate", "archive"}


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_mutations_of_the_corpus_find_nothing(tmp_path: Path) -> None:
    outcome = run(
        "fuzz_mutate.py", "--seconds", 5, "--keep", tmp_path / "findings", ROOT / "tests" / "corpus" / "values"
    )
    assert outcome.returncode == 0, outcome.stderr[-2000:]
    summary = json.loads(outcome.stdout)
    assert summary["findings"] == []
    assert summary["executions"] > 500
    assert {key.split()[0] for key in summary["outcomes"]} >= {
        "machine",
        "scan",
        "values",
        "manifest",
        "tensors",
        "crate",
    }
    assert not list((tmp_path / "findings").iterdir())


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
def test_coverage_guided_inputs_find_nothing(tmp_path: Path) -> None:
    outcome = run(
        "fuzz_pickle.py", "--seconds", 5, "--keep", tmp_path / "findings", ROOT / "tests" / "corpus" / "values"
    )
    assert outcome.returncode == 0, outcome.stderr[-2000:]
    summary = json.loads(outcome.stdout)
    assert summary["findings"] == []
    assert summary["executions"] > 500
    assert summary["edges"] > 500


def test_without_atheris_the_script_says_so(tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is not None:
        pytest.skip("atheris is installed")
    assert run("fuzz_pickle.py", "--keep", tmp_path).returncode == 3


def test_the_harness_notices(tmp_path: Path) -> None:
    """A harness that finds nothing in what is broken would be worth nothing."""
    program = f"""
import sys, pathlib
sys.path.insert(0, {str(BENCHMARKS)!r})
import fuzzing
def raises(data): raise KeyError("x")
def imports(data): exec("pass")
def breaks(data): raise fuzzing.Broken("a promise")
fuzzing.TARGETS.update(raises=raises, imports=imports, breaks=breaks)
harness = fuzzing.Harness(pathlib.Path({str(tmp_path)!r}))
for target, data in (("machine", b""), ("machine", b"N."), ("raises", b""), ("imports", b""), ("breaks", b"")):
    before = set(harness.findings)
    harness.run(target, data)
    print(*(set(harness.findings) - before) or {{"nothing"}})
"""
    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=True)
    found = [line.split()[0].rstrip(":") for line in outcome.stdout.splitlines()]
    assert found == ["nothing", "nothing", "KeyError", "audit", "Broken"]
