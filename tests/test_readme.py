"""The README: its snippets and commands run as they stand, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from modelcrate.cli.main import build_parser, main

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "tests" / "corpus"
PAGE = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"(<!-- not run: .+ -->\n)?^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FILES = {"actgan.pkl": "actgan/mixed/model.pkl", "old.pt": "torch/checkpoint.pt"}
"""What the page's names stand for."""
FINDINGS = ("modelcrate scan downloads/",)
"""Commands that end with 1: the file is a synthesizer, which names code."""


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Everything on the page, in its order: the snippets' names, the exit code of each command, the folder."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "downloads").mkdir()
    for name, path in FILES.items():
        shutil.copy(CORPUS / path, folder / name)
    shutil.copy(folder / "actgan.pkl", folder / "downloads")
    names: dict[str, object] = {"train_one_epoch": lambda networks, optimizers: 0.5}
    codes: dict[str, int] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for skipped, language, text in BLOCKS:
            if skipped:
                continue
            if language == "python":
                exec(compile(text, "README.md", "exec"), names)  # noqa: S102
            else:
                for line in text.splitlines():
                    codes[line.partition("  ")[0]] = main(shlex.split(line, comments=True)[1:])
    return names, codes, folder


def test_each_block_is_a_snippet_or_commands():
    assert {language for _, language, _ in BLOCKS} == {"python", "sh"}
    assert sum(not skipped for skipped, _, _ in BLOCKS) >= 10
    for skipped, language, text in BLOCKS:
        if language == "sh" and not skipped:
            assert all(line.startswith("modelcrate ") for line in text.splitlines())


def test_each_command_does_its_work(ran):
    _, codes, folder = ran
    assert len(codes) >= 8
    for line, code in codes.items():
        assert code == (1 if line.startswith(FINDINGS) else 0), line
    assert len((folder / "rows.csv").read_text(encoding="utf-8").splitlines()) == 1001


def test_the_snippets_give_what_they_say(ran):
    names, _, folder = ran
    assert set(names["networks"]) == {"generator", "discriminator"}
    assert names["weight"].shape == (8, 4)
    assert str(names["package"].predict(names["people"])[0]) in ("stays", "leaves")
    assert len(list((folder / "runs" / "gan").iterdir())) == 3
    assert (folder / "new.pt").stat().st_size > 0


def test_links_lead_to_files():
    links = re.findall(r"\]\(([^)#]+)\)", PAGE)
    assert len(links) >= 6
    for link in links:
        assert (ROOT / link).exists(), link


def test_every_verb_is_in_the_table_and_every_option_has_a_text():
    (verbs,) = (action for action in build_parser()._actions if action.dest == "verb")
    for verb, parser in verbs.choices.items():
        assert re.search(rf"^\| `{verb} ", PAGE, re.MULTILINE), verb
        assert parser.description
        for action in parser._actions:
            assert action.help, f"{verb} {action.dest}"
