"""A shard: the part of a sample that one of several workers makes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from modelcrate.errors import UsageError

COUNT_LIMIT = 1 << 20
"""Workers; their streams of random numbers lie side by side in the counter of one generator."""
STREAMS = 1 << 32
"""Streams of each worker, more than a sample has rows."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Part ``number``, counted from 1, of ``count``."""

    number: int = 1
    count: int = 1

    @classmethod
    def read(cls, given: object) -> Shard:
        """What a caller gave: ``(2, 8)`` or ``"2/8"``; None for the whole. Raises :class:`UsageError`."""
        if given is None:
            return cls()
        if isinstance(given, str):
            parts = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", given)
            given = None if parts is None else tuple(int(part) for part in parts.groups())
        if not isinstance(given, tuple) or len(given) != 2 or any(type(part) is not int for part in given):
            raise UsageError("expected a part and how many there are: (2, 8) or '2/8'", where="shard")
        number, count = given
        if not 1 <= number <= count <= COUNT_LIMIT:
            raise UsageError(f"parts are numbered from 1 to their number, {COUNT_LIMIT} at most", where="shard")
        return cls(number, count)

    @property
    def is_whole(self) -> bool:
        """Whether there is no other part."""
        return self.count == 1

    def span(self, rows: int) -> tuple[int, int]:
        """The first of this part's rows, and the one after its last."""
        return (self.number - 1) * rows // self.count, self.number * rows // self.count

    def stream(self, place: int) -> int:
        """A stream of random numbers, ``place`` below 2**32, that no other part uses."""
        return (self.number - 1) * STREAMS + place
