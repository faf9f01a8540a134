"""Hints at the nearest names: useful, bounded, and harmless to print."""

from __future__ import annotations

import pytest

from effort import within
from modelcrate.tabular.nearest import did_you_mean


@pytest.mark.parametrize(
    ("value", "choices", "hint"),
    [
        ("color", ["age", "colour", "state"], "did you mean 'colour'?"),
        ("GREEN ", ["red", "green"], "did you mean 'green'?"),
        (7, [1, 6, 9, 100], "did you mean 6 or 9 or 1?"),
        ("1", [1, 2], "did you mean 1?"),
        ("True", [True, False], "did you mean True?"),
        ("mauve", ["red", "blue"], "there are 'red', 'blue'"),
        ("x", ["alpha", "bravo", "chuck", "delta"], "there are 'alpha', 'bravo', 'chuck', and others"),
        ("x", [None], None),
        ("x", [], None),
    ],
)
def test_the_nearest_are_named(value, choices, hint):
    assert did_you_mean(value, choices) == hint


def test_J1_control_characters_of_a_category_are_escaped():
    hint = did_you_mean("green", ["gree\x1b[2Jn", "gr\u202een"])
    assert hint is not None
    assert "\x1b" not in hint
    assert "\u202e" not in hint
    assert "\\x1b" in hint


def test_F16_very_many_or_very_long_categories_cost_little():
    long = ["a" * 5_000_000 + str(number) for number in range(20)]
    many = within(4.0, lambda: did_you_mean("categry 17", (f"category {number}" for number in range(10**9))))
    assert many is not None
    hint = within(1.0, lambda: did_you_mean("a" * 5_000_000, long))
    assert hint is not None
    assert len(hint) < 300
