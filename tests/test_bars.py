"""What every crate of a generator keeps to: smaller than its file, as small for many training rows as for few."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest

import corpus_files
import modelcrate

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "tests" / "corpus"
FILES = {f"{file.family}: {file.name}": file for file in corpus_files.files(CORPUS) if not file.refused}


@pytest.mark.parametrize("name", FILES)
def test_a_crate_is_smaller_than_its_file_and_D24_holds_nothing_as_long_as_the_training_table(name, tmp_path):
    file = FILES[name]
    cost = corpus_files.measure(file, tmp_path / "m.crate")
    assert cost.after < cost.before
    rows = file.training_rows()
    assert rows is None or cost.longest < rows, cost.longest_at


def test_all_families_are_among_these_files():
    assert {file.family for file in FILES.values()} >= {"actgan", "ctgan", "sdv 0.17", "sdv 1", "sdv 2", "dgan"}


@pytest.mark.parametrize("release", ["0_7_5", "0_12_1"])
def test_D24_a_crate_does_not_grow_with_the_training_rows(release, tmp_path):
    parts, files, crates = {}, {}, {}
    for rows in (100, 1000):
        source = CORPUS / "ctgan_rows" / f"{release}_{rows}_rows.pt.xz"
        done = modelcrate.convert(source, tmp_path / f"{rows}.crate")
        assert done.manifest.hyperparameters["epochs"] == 1
        files[rows] = len(lzma.decompress(source.read_bytes()))
        crates[rows] = (tmp_path / f"{rows}.crate").stat().st_size
        parts[rows] = {name: each.size for name, each in done.manifest.members.items() if name.startswith("state/")}
    assert files[1000] - files[100] > 15 * 900  # bytes that the original keeps of each training row
    assert parts[1000] == parts[100]
    # the network of the larger table has no column more: its number was found to have fewer modes
    assert crates[1000] <= crates[100]


def test_the_longest_thing_in_a_document_is_found():
    lengths = dict.fromkeys(length for length, _ in corpus_files._lengths({"a": [[1, 2, 3], {"b": [1] * 7}]}, "x"))
    assert max(lengths) == 7
    assert (7, "x.a[1].b") in list(corpus_files._lengths({"a": [[1, 2, 3], {"b": [1] * 7}]}, "x"))
