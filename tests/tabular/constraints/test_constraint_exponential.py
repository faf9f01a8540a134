from __future__ import annotations

import numpy as np
from constraint_frames import FIXTURES

from modelcrate.tabular.constraints.exponential import exp

PAIRS = [line.split() for line in (FIXTURES / "exp_of_numpy.txt").read_text(encoding="ascii").splitlines()]


def test_the_exponential_is_that_of_the_old_numpy_to_the_last_bit():
    values, expected = np.array([[float.fromhex(text) for text in pair] for pair in PAIRS]).T
    assert len(values) > 600
    np.testing.assert_array_equal(exp(values), expected)
    # and it is a different function than today's, or than another processor's: that is why it is written out
    np.testing.assert_array_max_ulp(expected, np.exp(values), maxulp=2)


def test_values_beyond_the_range_are_zero_infinite_or_missing_without_a_warning():
    found = exp(np.array([800.0, -800.0, np.inf, -np.inf, np.nan, 708.5, -708.5]))
    np.testing.assert_array_equal(found[:5], [np.inf, 0.0, np.inf, 0.0, np.nan])
    np.testing.assert_array_max_ulp(found[5:], np.exp(np.array([708.5, -708.5])), maxulp=1)


def test_a_value_gives_the_same_alone_as_among_others():
    values = np.linspace(-30, 30, 101)
    np.testing.assert_array_equal(np.concatenate([exp(values[i : i + 1]) for i in range(101)]), exp(values))


def test_other_dtypes_keep_their_width():
    assert exp(np.ones(3, dtype=np.float32)).dtype == np.float32
