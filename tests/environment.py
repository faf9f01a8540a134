"""A virtual environment with modelcrate and its test tools in it, made with nothing but Python and its venv module."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "tests" / "constraints.txt"


def prepare(folder: Path | None = None) -> Path:
    """Return the environment's Python, installing what is needed on the first call or after pyproject.toml changed."""
    folder = folder or ROOT / ".venv"
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + CONSTRAINTS.read_bytes()).hexdigest()
    stamp = folder / "modelcrate-environment"
    if stamp.is_file() and stamp.read_text() == wanted:
        return python
    print(f"setting up {folder} (a few minutes the first time)", file=sys.stderr, flush=True)
    venv.create(folder, with_pip=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", str(CONSTRAINTS)]
    # torch by itself first: a pinned torch keeps every later resolution from reaching for another build.
    subprocess.run([*install, "torch"], check=True)
    subprocess.run([*install, "-e", f"{ROOT}[test]"], check=True)
    stamp.write_text(wanted)
    return python
