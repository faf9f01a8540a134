"""Digests with their algorithm in front: ``blake3:<64 hex digits>`` (FORMAT.md 5).

BLAKE3 is a tree hash: it uses every core on a large buffer. Both algorithms release the GIL while they work.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from modelcrate.errors import FormatError, UsageError
from modelcrate.format.buffers import Buffer

ALGORITHMS = ("blake3", "sha256")
"""The algorithms of format 1; both make 32 bytes."""

DEFAULT_ALGORITHM = "blake3"
HEX_DIGITS = 64

DIGEST_PATTERN = r"(blake3|sha256):[0-9a-f]{64}"
_DIGEST = re.compile(DIGEST_PATTERN)


class Hasher(Protocol):
    """A digest under way: feed it with ``update``, ask it with ``hexdigest``."""

    def update(self, data: Buffer, /) -> object: ...

    def hexdigest(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Digest:
    """One digest; equal digests of equal algorithms are equal, and ``str`` gives the form that a file holds."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str, where: str) -> Digest:
        """Read ``"blake3:<64 lower-case hex digits>"``; FormatError for anything else (FORMAT.md 5.1)."""
        if _DIGEST.fullmatch(text) is None:
            raise FormatError(f"{text!r} is not a digest such as 'blake3:<64 hex digits>'", where=where)
        algorithm, _, digits = text.partition(":")
        return cls(algorithm, digits)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


def new_hasher(algorithm: str = DEFAULT_ALGORITHM, *, threads: int | None = None) -> Hasher:
    """A fresh hasher; UsageError for an algorithm that format 1 doesn't have.

    ``threads`` bounds the cores that one large ``update`` may use, where the algorithm can use several.
    """
    if algorithm == "blake3":
        from blake3 import blake3

        return blake3(max_threads=blake3.AUTO if threads is None else threads)
    if algorithm == "sha256":
        import hashlib

        return hashlib.sha256()
    raise UsageError(f"unknown digest algorithm {algorithm!r}", hint=f"use one of {', '.join(ALGORITHMS)}")


def digest_of(buffer: Buffer, algorithm: str = DEFAULT_ALGORITHM) -> Digest:
    """The digest of all bytes of ``buffer``, read in place."""
    hasher = new_hasher(algorithm)
    hasher.update(buffer)
    return Digest(algorithm, hasher.hexdigest())
