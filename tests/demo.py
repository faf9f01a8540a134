"""The main job: ``python3 tests/demo.py`` converts a legacy ACTGAN pickle, checks the crate and prints ten rows."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from environment import ROOT, prepare

LEGACY = ROOT / "tests" / "corpus" / "actgan" / "mixed" / "model.pkl"


def main(arguments: list[str]) -> int:
    folder = Path(arguments[1]).resolve() if arguments[:1] == ["--venv"] else None
    python = prepare(folder)
    with tempfile.TemporaryDirectory() as work:
        crate = str(Path(work) / "actgan.crate")
        for verb in (
            ["convert", str(LEGACY), crate],
            ["verify", crate],
            ["sample", crate, "-n", "10", "--seed", "7", "-o", "-"],
        ):
            print("$ modelcrate", *verb, file=sys.stderr, flush=True)
            code = subprocess.run([str(python), "-m", "modelcrate", *verb], check=False).returncode
            if code != 0:
                return code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
