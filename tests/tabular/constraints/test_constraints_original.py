"""Every constraint gives what sdv 0.17.2 gave under pandas 1.5.3, to the last digit and with the same dtypes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from constraint_frames import all_cases, document, frame

from modelcrate.errors import UnsupportedError
from modelcrate.tabular.constraints import read

CASES = [pytest.param(name, case, id=f"{name}-{case['name']}") for name, case in all_cases()]


def same(found, expected, *, last_bits=0):
    """Cells equal, of the same Python type in object columns; dtypes, order of columns and index too."""
    assert list(found.columns) == list(expected.columns)
    assert [str(dtype) for dtype in found.dtypes] == [str(dtype) for dtype in expected.dtypes]
    assert list(found.index) == list(expected.index)
    for name in expected.columns:
        if expected[name].dtype.kind == "O":
            assert [repr(cell) for cell in found[name].tolist()] == [repr(cell) for cell in expected[name].tolist()]
        elif last_bits and expected[name].dtype.kind == "f":
            np.testing.assert_array_max_ulp(found[name].to_numpy(), expected[name].to_numpy(), maxulp=last_bits)
        else:
            np.testing.assert_array_equal(found[name].to_numpy(), expected[name].to_numpy(), err_msg=name)


@pytest.mark.parametrize(("name", "case"), CASES)
def test_the_transform_gives_what_the_model_was_trained_on(name, case):
    given = frame(case["fit"])
    kept = given.copy()
    # releases of numpy differ in the last bit of log; it only reaches a network of 32-bit floats, as a condition
    same(read(document(name, case), "constraint").transform(given), frame(case["transform"]), last_bits=2)
    pd.testing.assert_frame_equal(given, kept)


@pytest.mark.parametrize(("name", "case"), CASES)
def test_generated_rows_come_back_as_they_did(name, case):
    constraint = read(document(name, case), "constraint")
    for one in case["reverse"]:
        given = frame(one["given"])
        if "error" in one:
            with pytest.raises(UnsupportedError, match="missing"):
                constraint.reverse_transform(given)
        else:
            same(constraint.reverse_transform(given), frame(one["result"]))


@pytest.mark.parametrize(("name", "case"), CASES)
def test_the_same_rows_are_valid(name, case):
    constraint = read(document(name, case), "constraint")
    for one in case["valid"]:
        given = frame(one["given"])
        assert constraint.is_valid(given).tolist() == one["mask"]
        kept = constraint.filter_valid(given)
        assert list(kept.index) == one["kept"]
        assert list(kept.columns) == list(given.columns)


@pytest.mark.parametrize(("name", "case"), CASES)
def test_a_document_survives_reading_and_writing(name, case):
    given = document(name, case)
    written = read(given, "constraint").to_document()
    assert repr(sorted(written.items())) == repr(sorted(given.items()))  # 1 is not 1.0
