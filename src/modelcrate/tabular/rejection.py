"""Rejection: counting which candidates were refused and why, when to stop, and what not to let pass twice."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from modelcrate.errors import FormatError, UsageError, printable
from modelcrate.tabular.cells import with_columns
from modelcrate.tabular.conditions import fits, same_cells
from modelcrate.tabular.constraints import ConstraintSet
from modelcrate.tabular.constraints.patterns import Unique

PATIENCE = 50_000
"""Candidates in a row of which none was kept, after which a search ends: fewer than one in 10,000 then is what is
wanted, with 99 % confidence. The original gives up after 1,000 for each row that it wants."""
NAMED = 4
"""Known cells that one message lists."""


@dataclass(slots=True, eq=False)
class Tally:
    """How the candidates of one search fared. ``cells`` are the known ones; ``alone`` how often each occurred."""

    cells: Mapping[str, object]
    wanted: int
    tried: int = 0
    matched: int = 0
    kept: int = 0
    barren: int = 0
    alone: dict[str, int] = field(default_factory=dict)
    reach: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    @property
    def is_hopeless(self) -> bool:
        """Whether to give up."""
        return self.barren >= PATIENCE

    def match(self, frame: pd.DataFrame, candidates: int) -> pd.DataFrame:
        """The rows of ``candidates`` that are left whose cells are the known ones; floats near one are set to it."""
        self.tried += candidates
        kept = np.ones(len(frame), dtype=bool)
        near: dict[str, Any] = {}
        for name, value in self.cells.items():
            found = fits(frame[name], value, name=name)
            self.alone[name] = self.alone.get(name, 0) + int(found.sum())
            kept &= found
            if frame[name].dtype.kind == "f":
                near[name] = value
            if not found.any() and frame[name].dtype.kind in "iuf" and len(frame):
                self.reach[name] = _wider(self.reach.get(name), frame[name])
        if self.cells:
            frame = frame[kept]
            frame = with_columns(frame, {name: same_cells(frame[name], value) for name, value in near.items()})
        self.matched += len(frame)
        return frame

    def keep(self, rows: int, candidates: int) -> None:
        """Note how many of the last candidates were kept in the end."""
        self.kept += rows
        self.barren = 0 if rows else self.barren + candidates

    def reason(self) -> str:
        """Why there are so few rows, in one sentence."""
        names = list(self.cells)[:NAMED]
        together = " and ".join(f"{name}={self.cells[name]!r}" for name in names)
        more = f" and {len(self.cells) - NAMED} more" if len(self.cells) > NAMED else ""
        found: list[str] = []
        if self.cells:
            found.append(f"{self.matched:,} of {self.tried:,} candidates had {together}{more}")
            if len(self.cells) > 1:
                found.append(
                    "alone " + ", ".join(f"{name}={self.cells[name]!r} {self.alone[name]:,}" for name in names)
                )
        if self.matched > self.kept:
            among = f"{self.matched:,} of them" if self.cells else f"{self.tried:,} candidates"
            found.append(f"{self.kept:,} of {among} obeyed the constraints")
        for name, (lowest, highest) in list(self.reach.items())[:NAMED]:
            if not self.alone[name]:
                found.append(f"{name} was between {lowest} and {highest}")
        return printable("; ".join(found), limit=400)

    def advice(self) -> str:
        """What to do about it."""
        never = [name for name in self.cells if not self.alone.get(name)]
        if never and len(self.cells) > 1:
            return printable(f"leave out or change what never occurs: {', '.join(never[:NAMED])}", limit=200)
        if len(self.cells) > 1 and not self.matched:
            return "each occurs, but not together: leave one out"
        return "ask for fewer rows, or for cells that occur more often"


def _wider(before: tuple[Any, Any] | None, column: pd.Series) -> tuple[Any, Any]:
    lowest, highest = column.min(), column.max()
    return (lowest, highest) if before is None else (min(before[0], lowest), max(before[1], highest))


class Seen:
    """What the ``Unique`` constraints let pass before, by 64-bit hashes: 8 bytes a row, not a copy of the rows."""

    def __init__(self, constraints: ConstraintSet, *, distinct: Collection[str] = ()) -> None:
        """``distinct``: columns that never repeat anyway, and that are not filled in yet."""
        rules = [each for each in constraints.constraints if isinstance(each, Unique)]
        self._levels: dict[tuple[str, ...], list[np.ndarray]] = {
            rule.names: [] for rule in rules if not set(rule.names) & set(distinct)
        }

    def fresh(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows that agree with none that passed before; they have passed now."""
        for names, levels in self._levels.items():
            if not len(frame):
                break
            hashes = _hashes(frame, names)
            old = np.zeros(len(hashes), dtype=bool)
            for level in levels:
                places = np.minimum(np.searchsorted(level, hashes), len(level) - 1)
                old |= level[places] == hashes
            frame = frame[~old]
            _add(levels, np.sort(hashes[~old]))
        return frame


def _hashes(frame: pd.DataFrame, names: tuple[str, ...]) -> np.ndarray:
    for name in names:
        if name not in frame.columns:
            raise FormatError(
                f"a constraint uses a column that the table does not have: {name!r}", where="table.constraints"
            )
    cells = frame[list(names)]
    # a column that has missing cells in one block only is whole there and float here
    numbers = {name: cells[name].astype(np.float64) for name in names if cells[name].dtype.kind in "iu"}
    try:
        found: np.ndarray = pd.util.hash_pandas_object(with_columns(cells, numbers), index=False).to_numpy()
    except TypeError:
        raise FormatError("a constraint on unique rows meets cells that can't be compared") from None
    return found


def _add(levels: list[np.ndarray], new: np.ndarray) -> None:
    """Sorted arrays of falling sizes, so that each hash is merged a few times only."""
    while levels and len(levels[-1]) <= len(new):
        new = np.sort(np.concatenate([levels.pop(), new]), kind="stable")
    if len(new):
        levels.append(new)


@dataclass(slots=True, eq=False)
class Shortages:
    """The searches of one call that ended before they had found enough, and how much that was in all."""

    wanted: int = 0
    found: int = 0
    worst: Tally | None = None
    count: int = 0

    def note(self, tally: Tally) -> None:
        """A search is over."""
        self.wanted += tally.wanted
        self.found += tally.kept
        if tally.kept < tally.wanted:
            self.count += 1
            if self.worst is None or tally.kept * self.worst.wanted < self.worst.kept * tally.wanted:
                self.worst = tally

    def report(self) -> str | None:
        """The text of a warning where there were too few rows. Raises :class:`UsageError` where there was none."""
        if self.worst is None:
            return None
        others = f" (and {self.count - 1} more sets of known cells)" if self.count > 1 else ""
        reason = f"{self.worst.reason()}{others}"
        if not self.found:
            what = f"no row satisfies the conditions and constraints: {reason}"
            raise UsageError(what, where="conditions", hint=self.worst.advice())
        what = f"only {self.found} of {self.wanted} rows satisfy the conditions and constraints: {reason}"
        return f"{what}; {self.worst.advice()}"
