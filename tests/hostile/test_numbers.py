"""The numbered cases of hostile input: each is carried by a test, under its number, in the test's id."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
LAST = {
    "A": 60,  # legacy pickles
    "B": 35,  # containers
    "C": 28,  # the manifest
    "D": 25,  # state documents
    "E": 27,  # tensors
    "F": 23,  # architectures
    "G": 23,  # paths
    "H": 24,  # resources
    "J": 23,  # the command line
}
"""The last case of each part; all from 1 on are expected. Part I is about signatures, which crates do not have."""
_NUMBER = re.compile(r"(?<![A-Za-z0-9])([A-J])0*([1-9][0-9]?)(?![A-Za-z0-9])")
_NAMED = re.compile(r"(?<![a-z0-9])([a-j])([0-9]{2})(?![a-z0-9])")
"""The same in the name of a function, in small letters and two digits: ``test_f05_sizes``."""


def numbers(identity: str) -> set[str]:
    """The cases that the id of a test carries."""
    function, _, rest = identity.partition("::")[2].replace("_", " ").partition("[")
    found = {f"{part}{int(number)}" for part, number in _NUMBER.findall(f"{function} {rest}")}
    return found | {f"{part.upper()}{int(number)}" for part, number in _NAMED.findall(function)}


def test_numbers_are_read_out_of_ids() -> None:
    assert numbers("a.py::test_f05_f06_sizes") == {"F5", "F6"}
    assert numbers("a.py::test_x__A15_A43[B2-and-C10]") == {"A15", "A43", "B2", "C10"}
    assert numbers("a.py::TestH7::test_it[f16-F64x-0xA1]") == set()


def test_every_case_is_carried_by_a_test(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("keyword") or request.config.getoption("markexpr"):
        pytest.skip("only a selection of the suite was collected")
    collected = [item.nodeid for item in request.session.items]
    files = {Path(str(item.path)) for item in request.session.items}
    missing_files = {path for path in TESTS.rglob("test_*.py") if "__pycache__" not in path.parts} - files
    if missing_files:
        pytest.skip(f"only a part of the suite was collected: {len(missing_files)} files were not")
    carried = {number for identity in collected for number in numbers(identity)}
    expected = {f"{part}{number}" for part, last in LAST.items() for number in range(1, last + 1)}
    assert sorted(expected - carried) == []
