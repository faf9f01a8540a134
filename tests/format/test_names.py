"""Names that a crate may hold are harmless on every file system."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelcrate.errors import FormatError
from modelcrate.format import names

PIECES = st.sampled_from(
    ["a", "b9", "..", ".", "", "/", "\\", "con", "A", "é", "ａ", "\n", "\0", " ", ":", "~", "x_", "-"]
)


def accepted(name: str) -> bool:
    try:
        return names.check_member_name(name, where="here") == name
    except FormatError:
        return False


@pytest.mark.parametrize(
    "name", ["a", "weights/net.safetensors", "0/1/2.3", "a" * 255, "console/auxiliary", "com10", "a-b_c.d"]
)
def test_ordinary_member_names_are_accepted(name):
    assert accepted(name)


@given(st.lists(PIECES, max_size=6).map("".join))
def test_B19_an_accepted_name_stays_below_its_folder(name):
    if accepted(name):
        for path in (PurePosixPath(name), PureWindowsPath(name)):
            assert not path.is_absolute()
            assert not path.drive
            assert ".." not in path.parts
        assert str(PurePosixPath(name)) == name
        assert not any(part.startswith(".") or part.endswith((".", " ")) for part in name.split("/"))


@given(st.text(max_size=12))
def test_B2_two_accepted_names_never_fold_together(name):
    if accepted(name):
        assert name.casefold() == name
        assert all(unicodedata.normalize(form, name) == name for form in ("NFC", "NFD", "NFKC", "NFKD"))


@pytest.mark.parametrize("device", ["con", "prn.txt", "a/aux", "nul.tar.gz", "com1", "lpt9.x/y"])
def test_B19_names_of_devices_are_refused(device):
    assert not accepted(device)


def test_B19_a_long_hostile_name_is_refused_at_once():
    assert not accepted("a" * 256)
    assert not accepted("a." * 100_000 + "!")


def test_a_member_can_not_be_the_folder_of_another():
    names.check_member_set(["a/b", "a/c", "ab"], where="here")
    with pytest.raises(FormatError, match="folder"):
        names.check_member_set(["a/b/c", "a/b"], where="here")


@pytest.mark.parametrize(
    "tag",
    ["torch.nn.Linear", "os.system", "a/1", "a.b/0", "a.b/1\n", "../a.b/1", "a.b/1/2", "A.b/1", "a.b/", "." * 200],
)
def test_F1_what_could_be_imported_or_opened_is_no_tag(tag):
    with pytest.raises(FormatError):
        names.check_tag(tag, where="here")


@given(st.text())
def test_C9_escaped_text_shows_no_control_and_no_reordering(text):
    shown = names.escape_display(text)
    bad = {"Cc", "Cs", "Zl", "Zp"}
    assert not [
        it for it in shown if unicodedata.category(it) in bad or unicodedata.bidirectional(it) in ("RLO", "LRO", "RLE")
    ]
    assert names.escape_display(shown) == shown
