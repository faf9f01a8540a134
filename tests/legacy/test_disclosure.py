"""What a legacy file discloses beyond a crate of the same model is found by walking it, and proven."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

import modelcrate
from modelcrate.legacy.disclosure import Leak, leaks, read_disclosures
from modelcrate.legacy.reader import read_for_conversion

CORPUS = Path(__file__).resolve().parent.parent / "corpus"
CELLS = "categorical cells of the training table, row by row"
ROWS = "numbers as long as the training table"


def found_in(data: bytes) -> dict[str, Leak]:
    return {leak.what: leak for leak in leaks(read_for_conversion(data))}


def row_numbers(*columns: list[int]) -> dict[str, object]:
    """What a sampler keeps of categorical columns, made from their codes."""
    return {
        "_rid_by_cat_cols": [
            [np.flatnonzero(np.array(column) == code) for code in sorted(set(column))] for column in columns
        ]
    }


def test_row_numbers_that_give_a_column_back_are_counted_by_cell() -> None:
    leak = found_in(pickle.dumps(row_numbers([0, 1, 0, 2, 1], [1, 1, 0, 0, 1])))[CELLS]
    assert leak.count == 10
    assert leak.where == "bytes._rid_by_cat_cols"


def test_numbers_that_are_not_all_rows_prove_nothing() -> None:
    sampler = row_numbers([0, 1, 0, 2, 1])
    sampler["_rid_by_cat_cols"][0][0][0] = 4
    assert CELLS not in found_in(pickle.dumps(sampler))


def test_an_array_as_long_as_the_table_is_told() -> None:
    codes = [row % 7 for row in range(150)]
    found = found_in(pickle.dumps({**row_numbers(codes), "matrix": np.zeros((150, 4)), "weights": np.zeros((90, 4))}))
    assert (found[ROWS].count, found[ROWS].where) == (600, "bytes.matrix")


@pytest.mark.parametrize(
    ("text", "what", "shown"),
    [
        ("/home/ada/models/fit.py", "user names", "ada"),
        ("C:\\Users\\ada\\fit.py", "user names", "ada"),
        ("/srv/train/fit.py", "file paths", "/srv/train/fit.py"),
        ("class A:\n    pass\nimport os\ndef f():\n    pass\n", "texts of source code", ""),
    ],
)
def test_whose_machine_it_was_is_told(text: str, what: str, shown: str) -> None:
    assert found_in(pickle.dumps(["x", {"name": text}]))[what].detail == shown


def test_plain_values_disclose_nothing() -> None:
    assert found_in(pickle.dumps({"a": [1, 2, 3], "b": "words / and words", "c": np.arange(50)})) == {}


def test_what_recurs_in_itself_is_walked_once() -> None:
    loop: list[object] = ["/home/ada/x"]
    loop.append({"again": loop})
    assert found_in(pickle.dumps(loop))["user names"].count == 1


@pytest.mark.parametrize(
    ("case", "cells", "rows"), [("0_12_1_mixed", 2800, 0), ("0_5_2_mixed", 2800, 46200), ("0_12_1_tvae_mixed", 0, 0)]
)
def test_ctgan_files_give_their_training_table_back(case: str, cells: int, rows: int) -> None:
    """700 rows of four categorical columns; releases up to 0.8 also hold the encoded table, 66 columns wide."""
    path = next((CORPUS / "ctgan" / case).glob("model.*"))
    values, found, unread = read_disclosures(path)
    counts = {leak.what: leak.count for leak in found}
    assert (counts.get(CELLS, 0), counts.get(ROWS, 0)) == (cells, rows)
    assert unread is None
    assert values


def test_a_file_that_cant_be_converted_is_still_looked_at() -> None:
    values, found, unread = read_disclosures(CORPUS / "actgan" / "constraint_custom" / "model.pkl")
    assert values == ()
    assert unread is not None
    assert {"functions or code objects", "file paths"} <= {leak.what for leak in found}


def test_a_conversion_says_in_one_line_what_is_gone(tmp_path: Path) -> None:
    source = next((CORPUS / "ctgan" / "0_12_1_mixed").glob("model.*"))
    done = modelcrate.convert(source, tmp_path / "a.crate")
    assert done.undisclosed == f"2800 {CELLS}"
