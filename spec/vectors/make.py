"""Makes all vectors and their index anew: ``python spec/vectors/make.py [FOLDER]``. Needs Python and blake3 only.

The bytes are put together by the code in ``making/``, independent of the library; the same bytes every time.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from making import crates, manifests, states, tensorfiles, typed  # noqa: E402
from making.build import Vector  # noqa: E402

SUFFIXES = {"manifest": ".json", "state": ".msgpack", "tensors": ".safetensors", "crate": ".crate"}


def main(target: Path) -> None:
    for validity in ("valid", "invalid"):
        shutil.rmtree(target / validity, ignore_errors=True)
    rows: dict[str, dict[str, object]] = {}
    for module in (manifests, states, tensorfiles, crates, typed):
        for vector in module.vectors():
            row = write(vector, target)
            assert str(row["file"]) not in rows, row["file"]
            rows[str(row["file"])] = row
    index = [rows[name] for name in sorted(rows)]
    (target / "index.json").write_text(json.dumps(index, indent=1, ensure_ascii=True) + "\n", encoding="ascii")


def write(vector: Vector, target: Path) -> dict[str, object]:
    validity = "invalid" if vector.clause else "valid"
    suffix = "" if isinstance(vector.data, dict) else SUFFIXES[vector.kind]
    file = f"{validity}/{vector.kind}/{vector.name}{suffix}"
    parts = vector.data if isinstance(vector.data, dict) else {"": vector.data}
    for name, data in parts.items():
        path = target / file / name if name else target / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    row: dict[str, object] = {"file": file, "kind": vector.kind, "what": vector.what}
    if vector.clause:
        row |= {"clause": vector.clause, "code": vector.code}
        if vector.schema:
            row["schema"] = True
    else:
        row["expected"] = f"{validity}/{vector.kind}/{vector.name}.expected.json"
        text = json.dumps(vector.expected, indent=1, ensure_ascii=True)
        (target / str(row["expected"])).write_text(text + "\n", encoding="ascii")
    return row


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
