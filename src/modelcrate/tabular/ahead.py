"""Making the next blocks while the last one is being used: their network runs beside the table that is written."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")

AHEAD: Final = 3
"""Blocks under way at once. Random numbers are drawn by one core each, and often one waits for the interpreter."""


def ahead(make: Callable[[int], T], first: int, last: int | None = None) -> Iterator[T]:
    """``make(first)``, ``make(first + 1)`` and so on in order, up to ``last`` or without end.

    From the second on, ``AHEAD`` more are made in threads while the caller uses what it was given; whoever takes one
    pays for one. Raises what ``make`` raises, in its place; ends its threads with the iterator.
    """
    yield make(first)
    if first == last:
        return
    coming: deque[Future[T]] = deque()
    with ThreadPoolExecutor(max_workers=AHEAD, thread_name_prefix="modelcrate-ahead") as pool:
        number = first + 1
        while True:
            while len(coming) <= AHEAD and (last is None or number <= last):
                coming.append(pool.submit(make, number))
                number += 1
            if not coming:
                return
            try:
                yield coming.popleft().result()
            except GeneratorExit:
                for future in coming:
                    future.cancel()
                raise
