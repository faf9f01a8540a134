"""Rejection: when a search ends, what it says then, and what never passes twice."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from modelcrate.errors import FormatError, UsageError
from modelcrate.tabular.constraints import ConstraintSet
from modelcrate.tabular.constraints.patterns import Unique
from modelcrate.tabular.rejection import PATIENCE, Seen, Shortages, Tally

FRAME = pd.DataFrame({"colour": ["red", "red", "green", "blue"], "age": [20, 30, 40, 50], "x": [0.5, 1.0, 1.5, 2.0]})


def searched(cells, rounds, *, wanted=100):
    tally = Tally(cells, wanted)
    for _ in range(rounds):
        tally.keep(len(tally.match(FRAME, len(FRAME))), len(FRAME))
    return tally


def test_a_search_ends_when_nothing_fits_for_long_enough_and_not_before():
    tally = Tally({"age": 99}, 5)
    tally.keep(0, PATIENCE - 1)
    assert not tally.is_hopeless
    tally.keep(1, 10)
    tally.keep(0, PATIENCE - 1)
    assert not tally.is_hopeless
    tally.keep(0, 1)
    assert tally.is_hopeless


def test_a_message_says_what_was_tried_what_matched_and_what_never_occurs():
    tally = searched({"colour": "red", "age": 99}, 3)
    assert tally.reason() == (
        "0 of 12 candidates had colour='red' and age=99; alone colour='red' 6, age=99 0; age was between 20 and 50"
    )
    assert tally.advice() == "leave out or change what never occurs: age"


def test_a_message_says_when_cells_occur_but_not_together():
    tally = searched({"colour": "red", "age": 40}, 1)
    assert "alone colour='red' 2, age=40 1" in tally.reason()
    assert "not together" in tally.advice()


def test_a_message_says_what_the_constraints_refused():
    tally = Tally({"colour": "red"}, 5)
    tally.match(FRAME, 4)
    tally.keep(0, 4)
    assert "0 of 2 of them obeyed the constraints" in tally.reason()
    tally = Tally({}, 5)
    tally.match(FRAME, 10)  # six were refused while a constraint was undone
    tally.keep(1, 10)
    assert tally.reason() == "1 of 10 candidates obeyed the constraints"


def test_J1_cells_in_a_message_are_escaped_and_it_is_bounded():
    tally = Tally({f"c\x1b[2J{number}": "x" * 10_000 for number in range(50)}, 1)
    tally.alone = dict.fromkeys(tally.cells, 0)
    for text in (tally.reason(), tally.advice()):
        assert "\x1b" not in text
        assert len(text) <= 400


def test_floats_that_match_are_set_to_what_was_asked():
    assert Tally({"x": 1.001}, 5).match(FRAME, 4)["x"].tolist() == [1.001]


def test_of_several_shortages_the_worst_is_told():
    shortages = Shortages()
    for cells, rounds, wanted in (({"colour": "red"}, 5, 10), ({"colour": "green"}, 5, 10), ({"age": 99}, 1, 7)):
        shortages.note(searched(cells, rounds, wanted=wanted))
    text = shortages.report()
    assert text is not None
    assert text.startswith("only 15 of 27 rows")
    assert "age=99" in text
    assert "1 more set" in text
    nothing = Shortages()
    nothing.note(searched({"age": 99}, 1))
    with pytest.raises(UsageError, match=r"no row satisfies.*0 of 4 candidates had age=99"):
        nothing.report()
    assert Shortages().report() is None


def seen(*names):
    return Seen(ConstraintSet(constraints=(Unique(names=names),), applied=(True,)))


def test_unique_rows_pass_once_as_pandas_decides_it():
    random = np.random.default_rng(0)
    frames = [
        pd.DataFrame({"a": random.integers(0, 40, 100), "b": random.choice(["x", "y", "z", None], 100)})
        for _ in range(12)
    ]
    unique = seen("a", "b")
    passed = pd.concat([unique.fresh(frame.drop_duplicates()) for frame in frames], ignore_index=True)
    wanted = pd.concat(frames, ignore_index=True).drop_duplicates(ignore_index=True)
    pd.testing.assert_frame_equal(passed, wanted)


def test_a_whole_number_is_the_same_beside_missing_cells():
    unique = seen("a")
    assert len(unique.fresh(pd.DataFrame({"a": [1, 2]}))) == 2
    assert unique.fresh(pd.DataFrame({"a": [2.0, np.nan, 3.0]}))["a"].tolist()[1:] == [3.0]


def test_keys_that_are_counted_later_are_no_reason_to_refuse():
    keyed = Seen(ConstraintSet(constraints=(Unique(names=("id",)),), applied=(True,)), distinct=["id"])
    frame = pd.DataFrame({"id": [0, 1]})
    assert len(keyed.fresh(frame)) == len(keyed.fresh(frame)) == 2


def test_a_unique_column_that_is_not_there_is_an_error():
    with pytest.raises(FormatError, match="does not have"):
        seen("z").fresh(FRAME)


def test_H14_what_was_seen_is_a_few_bytes_a_row():
    unique = seen("a")
    for start in range(0, 200_000, 2_000):
        unique.fresh(pd.DataFrame({"a": np.arange(start, start + 2_000)}))
    (levels,) = unique._levels.values()
    assert sum(level.nbytes for level in levels) == 8 * 200_000
    assert len(levels) < 12
