"""Pass the tests: ``python3 tests/run.py [--venv FOLDER] [pytest arguments]`` sets everything up and runs them all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from environment import ROOT, prepare


def main(arguments: list[str]) -> int:
    folder = None
    if arguments[:1] == ["--venv"]:
        folder, arguments = Path(arguments[1]).resolve(), arguments[2:]
    python = prepare(folder)
    return subprocess.run([str(python), "-m", "pytest", "-n", "2", *arguments], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
