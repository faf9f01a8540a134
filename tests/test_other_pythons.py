"""The format and the pickle machine on the other Python versions that this machine has, without torch and pandas."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from environment import CONSTRAINTS, ROOT

PACKAGES = ["numpy", "msgpack", "safetensors", "blake3", "jsonschema", "pytest", "hypothesis"]
SELECTED = ["tests/format", "tests/spec", "tests/legacy/test_machine.py", "tests/legacy/test_machine_differential.py"]
LEFT_OUT = "not H14"
"""Tests of memory: the same on every version, and the longest of all."""
SECONDS = 300


def find(version: str) -> str | None:
    """The interpreter of a version: on the path, or among those that pyenv keeps."""
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for candidate in [shutil.which(f"python{version}"), *sorted(map(str, kept.glob(f"{version}.*/bin/python")))]:
        if candidate is None:
            continue
        command = [candidate, "-c", "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip() == version:
            return candidate
    return None


def environment(interpreter: str, version: str) -> Path:
    """A virtual environment for ``interpreter``, kept beside the checkout's own one until the pins change."""
    folder = ROOT / f".venv-{version}"
    python = folder / "bin" / "python"
    wanted = hashlib.sha256(repr(PACKAGES).encode() + CONSTRAINTS.read_bytes()).hexdigest()
    stamp = folder / "modelcrate-environment"
    if stamp.is_file() and stamp.read_text() == wanted:
        return python
    subprocess.run([interpreter, "-m", "venv", "--clear", str(folder)], check=True, capture_output=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", str(CONSTRAINTS)]
    done = subprocess.run([*install, *PACKAGES], capture_output=True, text=True, check=False)
    assert "ResolutionImpossible" not in done.stderr, done.stderr
    if done.returncode != 0:
        pytest.skip(f"no packages for Python {version}: {done.stderr.strip().splitlines()[-1]}")
    stamp.write_text(wanted)
    return python


@pytest.mark.skipif(sys.platform == "win32", reason="interpreters are found as POSIX systems name them")
@pytest.mark.parametrize("version", ["3.10", "3.12", "3.13"])
def test_format_and_pickle_machine_work_without_torch_on_python(version):
    interpreter = find(version)
    if interpreter is None:
        pytest.skip(f"there is no Python {version} on this machine")
    python = environment(interpreter, version)
    variables = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", LEFT_OUT, *SELECTED]
    done = subprocess.run(
        command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert subprocess.run([str(python), "-c", "import torch"], capture_output=True, check=False).returncode != 0
