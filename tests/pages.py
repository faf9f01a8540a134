"""Pages of documentation, run as they stand: snippets share their names, commands go through the command line."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelcrate.cli.main import main

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "tests" / "corpus"
_BLOCK = re.compile(r"(<!-- not run: .+ -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block of a page; ``skipped`` says that the page itself gives a reason why it can't be run."""

    skipped: bool
    language: str
    text: str


def blocks(path: Path) -> list[Block]:
    """The blocks of a page in their order: snippets (``python``) and commands (``sh``), nothing else."""
    found = _BLOCK.findall(path.read_text(encoding="utf-8"))
    made = [Block(skipped=bool(skipped), language=language, text=text) for skipped, language, text in found]
    assert {block.language for block in made} == {"python", "sh"}
    return made


def run(path: Path, names: dict[str, Any]) -> dict[str, int]:
    """Run a page in the working folder, its snippets with and into ``names``; each command's exit code by its line."""
    codes: dict[str, int] = {}
    for block in blocks(path):
        if block.skipped:
            continue
        if block.language == "python":
            exec(compile(block.text, path.name, "exec"), names)  # noqa: S102
            continue
        for line in block.text.splitlines():
            command, *arguments = shlex.split(line, comments=True)
            assert command == "modelcrate", line
            codes[line] = main(arguments)
    return codes
