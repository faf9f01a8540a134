"""What reading a manifest, a header or a digest may cost: nothing heavy is imported until it is needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("numpy", "torch", "pandas", "jsonschema", "referencing", "safetensors", "msgpack", "zoneinfo")


def modules_after(program: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after running ``program``."""
    program += "\nimport sys, json; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True, text=True)
    return set(json.loads(done.stdout))


def test_J18_reading_imports_nothing_heavy():
    vectors = ROOT / "spec" / "vectors" / "valid"
    found = modules_after(
        "from pathlib import Path\n"
        "from modelcrate.format import digest, manifest, tensors, values\n"
        f"manifest.identity(Path({str(vectors / 'manifest' / 'full.json')!r}).read_bytes())\n"
        f"data = Path({str(vectors / 'tensors' / 'every-dtype.safetensors')!r}).read_bytes()\n"
        "tensors.parse_header(data, where='x')\n"
        f"values.decode(Path({str(vectors / 'state' / 'moments.msgpack')!r}).read_bytes(), where='x')\n"
        "digest.digest_of(b'x')"
    )
    assert found.isdisjoint(HEAVY)


def test_numpy_is_imported_when_an_array_is_met():
    path = ROOT / "spec" / "vectors" / "valid" / "state" / "arrays.msgpack"
    found = modules_after(
        "from pathlib import Path\nfrom modelcrate.format import values\n"
        f"values.decode(Path({str(path)!r}).read_bytes(), where='x')"
    )
    assert "numpy" in found
    assert found.isdisjoint({"torch", "pandas", "jsonschema"})
