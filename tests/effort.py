"""How much work something is, whatever else the machine does.

Processor time is what is measured, never the clock on the wall; but a core that is shared also makes each processor
second worth less. So a limit is in seconds of a quiet machine (a fixed loop beside the work tells how slow this one
is), and of several runs the least counts: other work only ever makes a measurement worse.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

QUIET = 0.012
"""Processor seconds that the loop takes on a quiet machine of the kind that the limits were set on."""
TRIES = 5
T = TypeVar("T")
D = TypeVar("D")


def slowness() -> float:
    """How much slower than a quiet machine this one is just now, never less than 1."""

    def loop() -> float:
        started, total = time.thread_time(), 0
        for number in range(400_000):
            total += number & 7
        return time.thread_time() - started

    return max(1.0, min(loop() for _ in range(3)) / QUIET)


def within(seconds: float, act: Callable[[], T]) -> T:
    """What ``act`` returns; fails if it takes more processor time of this process (all threads) each time it is run."""
    took = []
    for _ in range(TRIES):
        started = time.process_time()
        result = act()
        took.append(time.process_time() - started)
        if took[-1] < seconds or (took[-1] < 10 * seconds and took[-1] < seconds * slowness()):
            return result
        if took[-1] > 10 * seconds:
            break
    raise AssertionError(f"more than {seconds:g} s of processor time: {', '.join(f'{one:.2f}' for one in took)}")


def exponent(costs: Sequence[float], floor: float) -> float:
    """The power of n that costs of n, 2n and 4n parts grow with; below ``floor`` all costs are alike."""
    return math.log(max(costs[2], floor) / max(costs[0], floor)) / math.log(4)


def costs(act: Callable[[D], object], inputs: Sequence[D], *, most: float, floor: float = 1e-4) -> list[float]:
    """Processor seconds of this thread for inputs of n, 2n and 4n parts: the least of each, over rounds of all three.

    Two rounds, and more (up to thirty) while the exponent is still above ``most``.
    """
    act(inputs[0])
    gc.collect()
    gc.freeze()  # what was there before is not this work's garbage to look through
    try:
        best = [math.inf] * 3
        for turn in range(30):
            for place, data in enumerate(inputs):
                gc.collect()
                started = time.thread_time()
                act(data)
                best[place] = min(best[place], time.thread_time() - started)
            if turn and exponent(best, floor) <= most:
                break
        return best
    finally:
        gc.unfreeze()
