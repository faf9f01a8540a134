"""Where random numbers come from while rows are made: the process that a replay repeats, or a counter."""

from __future__ import annotations

import operator
import secrets
from dataclasses import dataclass
from typing import Any, Protocol, SupportsIndex

import numpy as np

from modelcrate.errors import UsageError

SEED_LIMIT = 2**64
"""Seeds are one word of a Philox key."""


def key_of(seed: SupportsIndex | None) -> int:
    """The key of one sample: its seed, or a random one. Raises :class:`UsageError` for what is no seed."""
    if seed is None:
        return secrets.randbits(64)
    try:
        value = operator.index(seed)
    except TypeError:
        raise UsageError(f"expected an integer, found a {type(seed).__name__}", where="seed") from None
    if isinstance(seed, bool) or not 0 <= value < SEED_LIMIT:
        raise UsageError("a seed is a number between 0 and 2**64 - 1", where="seed")
    return value


class Draws(Protocol):
    """A stream of random numbers. Every call takes the next ones; float64 and int64."""

    def uniform(self, size: int) -> np.ndarray:
        """Uniform in [0, 1), shape (size,)."""
        ...

    def integers(self, bound: int, size: int) -> np.ndarray:
        """Uniform in [0, bound), shape (size,)."""
        ...

    def normal(self, size: int) -> np.ndarray:
        """Standard normal, shape (size,)."""
        ...

    def permutation(self, size: int) -> np.ndarray:
        """The numbers below ``size`` in random order, shape (size,)."""
        ...

    def aside(self) -> Draws:
        """A stream for numbers that the original draws beside this one, from where it stands."""
        ...


class CounterDraws:
    """Draws from Philox 4x64 keyed by (seed, block): any block can be made without those before it."""

    __slots__ = ("generator",)

    def __init__(self, seed: int, block: int, *, stream: int = 0) -> None:
        bits = np.random.Philox(
            key=np.array([seed, block], dtype=np.uint64), counter=np.array([0, 0, 0, stream], dtype=np.uint64)
        )
        self.generator = np.random.Generator(bits)

    def uniform(self, size: int) -> np.ndarray:
        return self.generator.random(size)

    def integers(self, bound: int, size: int) -> np.ndarray:
        return self.generator.integers(bound, size=size)

    def normal(self, size: int) -> np.ndarray:
        return self.generator.standard_normal(size)

    def permutation(self, size: int) -> np.ndarray:
        return self.generator.permutation(size)

    def gumbel(self, shape: tuple[int, ...]) -> np.ndarray:
        """Standard Gumbel, float32: what added to logits makes the greatest a draw from their softmax.

        One in 2**24 is -inf. The two logarithms are half the price of a standard exponential and its logarithm.
        """
        found = self.generator.random(shape, dtype=np.float32)
        with np.errstate(divide="ignore"):
            np.log(found, out=found)
            np.negative(found, out=found)
            np.log(found, out=found)
        return np.negative(found, out=found)

    def aside(self) -> Draws:
        return self


class LegacyDraws:
    """Draws from NumPy's legacy Mersenne Twister, in the order of the calls that upstream makes on ``numpy.random``."""

    __slots__ = ("state",)

    def __init__(self, state: np.random.RandomState) -> None:
        self.state = state

    def uniform(self, size: int) -> np.ndarray:
        return self.state.random_sample(size)

    def integers(self, bound: int, size: int) -> np.ndarray:
        found: np.ndarray[Any, Any] = self.state.randint(0, bound, size=size)
        return found

    def normal(self, size: int) -> np.ndarray:
        return self.state.standard_normal(size)

    def permutation(self, size: int) -> np.ndarray:
        return self.state.permutation(size)

    def aside(self) -> Draws:
        state = np.random.RandomState()
        state.set_state(self.state.get_state())
        return LegacyDraws(state)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reversal:
    """How encoded columns are turned back: the draws they take, and which of upstream's releases is followed.

    ``rounds_unlearned``: rdt 1.2 rounds a float column whose decimals it could not learn to whole numbers; releases of
    gretel-synthetics from 0.21 repair that in some calls only, and a replay has to know in which. ``overflows``:
    numbers beyond an integer dtype become whatever the processor makes of them, as in the original; otherwise the
    nearest number that there is.
    """

    draws: Draws
    rounds_unlearned: bool = False
    overflows: bool = False
