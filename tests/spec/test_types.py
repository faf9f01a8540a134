"""The types that the code writes are those that the specification lists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TAG = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)+/[1-9][0-9]{0,3}")
OTHERS = ("acme.", "you.", "nets.")
"""What examples in messages call the types of users."""


def listed() -> set[str]:
    section = (ROOT / "spec" / "FORMAT.md").read_text(encoding="utf-8").partition("\n7.9 ")[2].partition("\n## 8")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {tag for row in rows for tag in re.findall(r"`([^`]+)`", row)}


def test_every_type_in_the_code_is_listed_and_every_listed_one_is_in_the_code() -> None:
    written: set[str] = set()
    for file in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and TAG.fullmatch(node.value):
                written.add(node.value)
    assert {tag for tag in written if not tag.startswith(OTHERS)} == listed()


def test_every_schema_of_a_state_is_that_of_a_listed_type() -> None:
    names = {path.name.removesuffix(".schema.json") for path in (ROOT / "spec" / "schemas").glob("*.schema.json")}
    numbered = {name for name in names if name.rpartition(".")[2].isdigit()}
    assert numbered <= {tag.replace("/", ".") for tag in listed()}
