"""What differs between the tensors that a module needs and those that a file has: collected, then told at once."""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from modelcrate.errors import MismatchError

Wanted = Mapping[str, tuple[str, tuple[int, ...]]]
"""Tensors by name: safetensors dtype name and shape."""

LISTED = 8
"""Differences named in one message; more are counted."""
CANDIDATES = 4096
"""Unexpected names among which the near one of a missing name is looked for; a hostile header is long."""
_COMPARED = 16
_LENGTH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class MismatchReport:
    """Every difference, by kind. ``suggestions`` gives the unexpected name that a missing one is probably called."""

    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    shapes: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    dtypes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    suggestions: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(self.missing or self.unexpected or self.shapes or self.dtypes)

    def lines(self) -> list[str]:
        """One sentence for each difference. ``shapes`` and ``dtypes`` hold the file's first, the module's second."""
        told = [
            f"{name} is missing" + (f" (is it {self.suggestions[name]}?)" if name in self.suggestions else "")
            for name in self.missing
        ]
        told += [f"{name} is unexpected" for name in self.unexpected]
        told += [
            f"{name} has shape {list(found)}, the module {list(wanted)}"
            for name, (found, wanted) in self.shapes.items()
        ]
        told += [f"{name} has dtype {found}, the module {wanted}" for name, (found, wanted) in self.dtypes.items()]
        return told

    def __str__(self) -> str:
        lines = self.lines()
        more = f" and {len(lines) - LISTED} more" if len(lines) > LISTED else ""
        return "; ".join(lines[:LISTED]) + more if lines else "no differences"

    def error(self, where: str) -> MismatchError:
        """The report as an error."""
        return MismatchError(str(self), where=where)


def compare(wanted: Wanted, found: Wanted) -> MismatchReport:
    """Hold the tensors that were found against those that are wanted."""
    missing = tuple(name for name in wanted if name not in found)
    unexpected = tuple(name for name in found if name not in wanted)
    both = [name for name in wanted if name in found]
    return MismatchReport(
        missing=missing,
        unexpected=unexpected,
        shapes={name: (found[name][1], wanted[name][1]) for name in both if found[name][1] != wanted[name][1]},
        dtypes={name: (found[name][0], wanted[name][0]) for name in both if found[name][0] != wanted[name][0]},
        suggestions=_suggest(missing, unexpected),
    )


def _suggest(missing: Iterable[str], unexpected: Iterable[str]) -> dict[str, str]:
    candidates = [name for name in unexpected if len(name) <= _LENGTH][:CANDIDATES]
    suggestions: dict[str, str] = {}
    for name in list(missing)[:LISTED]:
        if len(name) <= _LENGTH:
            likely = heapq.nlargest(_COMPARED, candidates, key=lambda other: _common(name, other))
            near = difflib.get_close_matches(name, likely, n=1, cutoff=0.6)
            suggestions.update({name: near[0]} if near else {})
    return suggestions


def _common(one: str, other: str) -> int:
    """Characters that two names share at the start and at the end: cheap, and what renamed tensors have."""
    return _ahead(one, other) + _ahead(one[::-1], other[::-1])


def _ahead(one: str, other: str) -> int:
    for index, (ours, theirs) in enumerate(zip(one, other, strict=False)):
        if ours != theirs:
            return index
    return min(len(one), len(other))
