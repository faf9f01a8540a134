"""The README: its snippets and commands run as they stand, its links lead somewhere."""

from __future__ import annotations

import re
import shutil

import pytest

import pages
from modelcrate.cli.main import build_parser
from pages import CORPUS, ROOT

PAGE = ROOT / "README.md"
TEXT = PAGE.read_text(encoding="utf-8")
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
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        codes = pages.run(PAGE, names)
    return names, codes, folder


def test_nearly_every_block_is_run():
    assert sum(not block.skipped for block in pages.blocks(PAGE)) >= 10


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
    links = re.findall(r"\]\(([^)#]+)\)", TEXT)
    assert len(links) >= 6
    for link in links:
        assert (ROOT / link).exists(), link


def test_every_verb_is_in_the_table_and_every_option_has_a_text():
    (verbs,) = (action for action in build_parser()._actions if action.dest == "verb")
    for verb, parser in verbs.choices.items():
        assert re.search(rf"^\| `{verb} ", TEXT, re.MULTILINE), verb
        assert parser.description
        for action in parser._actions:
            assert action.help, f"{verb} {action.dest}"
