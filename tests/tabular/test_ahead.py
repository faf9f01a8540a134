"""Blocks are made ahead, in order, and no more of them than are asked for."""

from __future__ import annotations

import itertools
import threading

import pytest

from modelcrate.tabular.ahead import AHEAD, ahead


def counted() -> tuple[list[int], object]:
    made: list[int] = []

    def make(number: int) -> int:
        made.append(number)
        return number * number

    return made, make


@pytest.mark.parametrize(("first", "last"), [(0, 0), (3, 3), (0, 1), (2, 9)])
def test_all_up_to_the_last_in_order_and_none_beyond(first: int, last: int) -> None:
    made, make = counted()
    assert list(ahead(make, first, last)) == [number * number for number in range(first, last + 1)]
    assert made == list(range(first, last + 1))


def test_who_takes_one_makes_one() -> None:
    made, make = counted()
    assert next(ahead(make, 5)) == 25
    assert made == [5]


def test_without_an_end_the_thread_goes_with_the_iterator() -> None:
    made, make = counted()
    blocks = ahead(make, 0)
    assert list(itertools.islice(blocks, 4)) == [0, 1, 4, 9]
    blocks.close()
    assert len(made) <= 4 + AHEAD + 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("modelcrate-ahead")]


def test_what_making_raises_comes_in_its_place() -> None:
    def make(number: int) -> int:
        if number == 2:
            raise ZeroDivisionError
        return number

    blocks = ahead(make, 0)
    assert [next(blocks), next(blocks)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(blocks)
