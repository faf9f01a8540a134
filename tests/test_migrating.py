"""The page for users of other libraries: each of its commands and snippets does what the page says, on real files."""

from __future__ import annotations

import lzma
import re
import shutil

import pytest

import modelcrate
import pages
from pages import CORPUS, ROOT

PAGE = ROOT / "docs" / "migrating.md"
FILES = {
    "actgan.pkl": "actgan/mixed/model.pkl",
    "custom.pkl": "actgan/constraint_custom/model.pkl",
    "ctgan.pt": "ctgan/0_12_1_mixed/model.pt.xz",
    "ctgan_0_7.pt": "ctgan/0_7_5_mixed/model.pt.xz",
    "sdv.pkl": "sdv/sdv1_38_5_ctgan/model.pkl.xz",
    "sdv17.pkl": "sdv17/tvae/model.pkl.xz",
    "copula.pkl": "sdv17/copula_default/model.pkl.xz",
    "dgan.pt": "dgan/dgan_long/model.pt.xz",
    "checkpoint.pt": "torch/checkpoint.pt",
}
"""What the page's names stand for."""
EXIT = {"scan": {1}, "custom.pkl": {2}}
"""Exit codes that the page announces; all others are 0."""


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Everything on the page, run in its order: the folder after it, the snippets' names, the exit codes."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "old").mkdir()
    (folder / "crates").mkdir()
    for name, path in FILES.items():
        if path.endswith(".xz"):
            (folder / "old" / name).write_bytes(lzma.decompress((CORPUS / path).read_bytes()))
        else:
            shutil.copy(CORPUS / path, folder / "old" / name)
    names: dict[str, object] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        codes = pages.run(PAGE, names)
    return folder, names, codes


def test_every_block_is_run():
    assert not any(block.skipped for block in pages.blocks(PAGE))


def test_each_command_ends_as_the_page_says(ran):
    _, _, codes = ran
    assert len(codes) >= 10
    for line, code in codes.items():
        wanted = next((codes for word, codes in EXIT.items() if word in line), {0})
        assert code in wanted, line


def test_the_snippets_give_what_their_comments_say(ran):
    folder, names, _ = ran
    assert len(names["frame"]["example"].unique()) == 500
    assert len(names["attributes"]) == len(names["features"]) == 500
    assert (len(names["first"]), len(names["second"])) == (200, 100)
    assert not (folder / "crates" / "custom.crate").exists()
    green = (folder / "green.csv").read_text(encoding="utf-8").splitlines()
    place = green[0].split(",").index("state")
    assert {line.split(",")[place] for line in green[1:]} == {"green"}
    assert len(green) == 51
    assert "training rows" in str(names["done"].omitted) or "training table" in str(names["done"].omitted)


def test_a_replay_is_the_original_s_golden(ran):
    _, names, _ = ran
    golden = (CORPUS / "actgan" / "mixed" / "golden" / "sample_seeded.csv").read_text(encoding="utf-8").splitlines()
    place = golden[0].split(",").index("colour")
    assert names["same"]["colour"].tolist() == [line.split(",")[place] for line in golden[1:]]


def test_the_readme_links_the_page():
    assert "(docs/migrating.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_classes_of_the_page_are_the_ones_that_are_translated():
    """Those that are refused by name included."""
    from modelcrate.legacy.convert import FAMILIES

    page = PAGE.read_text(encoding="utf-8")
    for path in FAMILIES:
        assert f"`{path.rpartition('.')[2]}`" in page, path


def test_modelcrate_is_all_that_the_snippets_import():
    for block in pages.blocks(PAGE):
        if block.language == "python":
            assert set(re.findall(r"^(?:import|from) (\w+)", block.text, re.MULTILINE)) <= {modelcrate.__name__}
