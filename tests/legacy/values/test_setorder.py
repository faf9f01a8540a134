"""The order of a set that was read is the one that CPython itself gives it with a fixed hash seed."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import pytest

from modelcrate.legacy.values import setorder
from modelcrate.legacy.values.setorder import set_order

WALKED = "import json, sys; print(json.dumps([list(frozenset(given)) for given in json.load(sys.stdin)]))"


def sets() -> list[list[object]]:
    rng = random.Random(5)
    found: list[list[object]] = [[], ["08:55", "10:16"], ["", "a"], ["ü", "東", "🙂", "plain"], [1, 2.5, -1, 2**70]]
    for size in (2, 3, 4, 5, 7, 20, 60, 500):
        for _ in range(5):
            found.append(list(dict.fromkeys(f"{rng.choice(['u-', 'ü', '東 ', ''])}{rng.getrandbits(20)}"
                                            for _ in range(size))))  # fmt: skip
    return found


@pytest.mark.skipif(sys.version_info < (3, 11), reason="CPython 3.10 hashes texts with SipHash-2-4")
def test_sets_are_walked_through_as_cpython_does_it() -> None:
    given = sets()
    done = subprocess.run(
        [sys.executable, "-c", WALKED],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "0"},
    )
    assert [set_order(each) for each in given] == json.loads(done.stdout)


@pytest.mark.parametrize("values", [["b", None, "a"], ["b", float("nan")], ["b", ("a",)]])
def test_values_whose_hash_is_an_address_stay_in_the_order_of_the_file(values: list[object]) -> None:
    assert set_order(values) == values


def test_very_large_sets_stay_in_the_order_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setorder, "ORDERED_LIMIT", 3)
    values: list[object] = ["10:16", "08:55", "x", "y"]
    assert set_order(values) == values
