"""The version of the format, apart from the version of the library (FORMAT.md 8)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from modelcrate.errors import FormatError, UnsupportedError

FORMAT_NAME = "modelcrate"
"""What the ``format`` field of every manifest says."""

KNOWN_FEATURES: frozenset[str] = frozenset()
"""Entries of ``requires`` that this reader honours; format 1.0 has none."""

_VERSION = re.compile(r"(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})")


@dataclass(frozen=True, slots=True, order=True)
class FormatVersion:
    """MAJOR.MINOR: another major can't be read, another minor can unless it requires something unknown."""

    major: int
    minor: int

    @classmethod
    def parse(cls, text: str, *, where: str) -> FormatVersion:
        """Read ``"1.0"``; FormatError for anything that is not two plain decimal numbers (FORMAT.md 8.1)."""
        match = _VERSION.fullmatch(text)
        if match is None:
            raise FormatError(f"{text!r} is not a format version such as '1.0'", where=where)
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


CURRENT = FormatVersion(1, 0)
"""The version that this library writes."""


def check_readable(version: FormatVersion, *, where: str) -> None:
    """Refuse another major version with an UnsupportedError that says so (FORMAT.md 8.2)."""
    if version.major > CURRENT.major:
        raise UnsupportedError(
            f"the crate has format {version}, this modelcrate reads format {CURRENT.major}",
            where=where,
            hint=f"upgrade to a modelcrate that reads format {version.major}",
        )
    if version.major < CURRENT.major:
        raise UnsupportedError(f"format {version} was never released", where=where)


def check_requires(features: Sequence[str], *, where: str) -> None:
    """Refuse a crate that requires a feature which this reader doesn't know (FORMAT.md 8.4)."""
    unknown = [feature for feature in features if feature not in KNOWN_FEATURES]
    if unknown:
        raise UnsupportedError(
            f"the crate requires {unknown[0]!r}, which this modelcrate doesn't know",
            where=where,
            hint="upgrade to a newer modelcrate",
        )
