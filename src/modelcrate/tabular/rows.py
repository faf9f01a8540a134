"""One call of ``sample`` that replays nothing: candidates, block by block, to frames of finished rows."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

import pandas as pd

from modelcrate.errors import UnsupportedError
from modelcrate.tabular.cells import with_columns
from modelcrate.tabular.conditions import Run, groups
from modelcrate.tabular.draws import SEED_LIMIT, CounterDraws
from modelcrate.tabular.known import given_cells, refuse_impossible_frame, refuse_keys, settled
from modelcrate.tabular.rejection import Seen, Shortages, Tally
from modelcrate.tabular.session import Session
from modelcrate.tabular.shard import Shard
from modelcrate.tabular.unseen import refuse_impossible

if TYPE_CHECKING:
    from modelcrate.tabular.synthesizer import Synthesizer

PART_ROWS = 1 << 18
"""Rows of a frame of known cells that are completed at a time; part of what a seed means."""


class Rows:
    """The rows that a seed and a shard decide. Each of its methods is for one call.

    ``chunk``: rows of one frame, about. Raises :class:`UnsupportedError` for a shard of a table whose constraints bind
    rows of different shards.
    """

    def __init__(self, source: Synthesizer, key: int, shard: Shard, *, chunk: int) -> None:
        table = source.table
        if not shard.is_whole and (table.constrains_sources or table.compares_rows):
            raise UnsupportedError(
                "a constraint compares rows, or made-up cells, that different workers would make",
                where="shard",
                hint="sample it in one process; sample_batches() keeps it within memory",
            )
        self.source = source
        self.table = table
        self.key = key
        self.shard = shard
        self.chunk = chunk
        self.seen = Seen(
            table.constraints, distinct=[field.name for field in table.fields if field.identifiers is not None]
        )
        self.shortages = Shortages()
        self.session = Session.start(table, Random(f"{key} sources"))

    def plain(self, rows: int) -> Iterator[pd.DataFrame]:
        """The shard's part of so many rows. All parts together are the whole, row by row, where none is refused."""
        first, stop = self.shard.span(rows)
        if self.table.has_constraints:
            parts = self._searched(self.shard.stream(0), {}, {}, stop - first)
        else:
            parts = self._from(first, stop)
        return self._finished(parts, first)

    def known(self, runs: Sequence[Run]) -> Iterator[pd.DataFrame]:
        """Rows with known cells, in the order of the runs."""
        first, _ = self.shard.span(sum(run.rows for run in runs))
        refuse_keys(self.table, runs)
        runs = [Run(settled(self.table, run.known), run.rows) for run in runs]
        for place, run in enumerate(runs, start=1):  # a wrong cell is told before any row is made
            self._forward(self.shard.stream(place), run.known)
        return self._finished(self._runs(runs), first)

    def completed(self, frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
        """The rows of a frame of known cells with the others, labelled and ordered as they are."""
        refuse_impossible_frame(self.table, frame)
        return self._completed(frame)

    def _completed(self, frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
        given = [
            field
            for field in self.table.fields
            if field.name in frame.columns and (field.name in self.table.set_outright or field.identifiers is not None)
        ]
        sought = frame.drop(columns=[field.name for field in given])
        first, stop = self.shard.span(len(frame))
        self.session.skip(first)
        done = stream = 0
        for start in range(first, stop, PART_ROWS):
            part = slice(start, min(start + PART_ROWS, stop))
            parts: list[pd.DataFrame] = []
            for group in groups(sought.iloc[part]):
                stream += 1
                cells = settled(self.table, group.known)
                found = list(self._group(self.shard.stream(stream), cells, len(group.places)))
                if found:
                    joined = pd.concat(found)
                    parts.append(joined.set_axis(group.places[: len(joined)]))
            if parts:
                joined = self.table.renumber(pd.concat(parts).sort_index(), start=first + done)
                known = frame.iloc[part].iloc[joined.index]
                joined = joined.set_axis(known.index)
                own = {field.name: given_cells(field, self.table, known[field.name]) for field in given}
                yield self.table.fill(with_columns(joined, own), self.session)
                done += len(joined)
        self._report()
        if not done:
            yield self._none()

    # -- parts

    def _from(self, first: int, stop: int) -> Iterator[pd.DataFrame]:
        """Rows of the endless table of a model that refuses none."""
        size = self.source.core.block_rows
        number, skipped = divmod(first, size)
        if first == stop:
            return
        for block in self.source.blocks(self.key, 0, {}, None, first=number, last=(stop - 1) // size):
            part = block.iloc[skipped : skipped + stop - first]
            skipped = 0
            first += len(part)
            yield part
            if first == stop:
                return

    def _runs(self, runs: Sequence[Run]) -> Iterator[pd.DataFrame]:
        first, stop = self.shard.span(sum(run.rows for run in runs))
        position = 0
        for place, run in enumerate(runs, start=1):
            wanted = min(position + run.rows, stop) - max(position, first)
            position += run.rows
            if wanted > 0:
                yield from self._group(self.shard.stream(place), run.known, wanted)

    def _group(self, stream: int, cells: Mapping[str, object], wanted: int) -> Iterator[pd.DataFrame]:
        """Rows with the same known cells."""
        known = self._forward(stream, cells)
        given: dict[str, Any] = {name: value for name, value in cells.items() if name in self.table.set_outright}
        sampled = {name: value for name, value in cells.items() if name not in given}
        for part in self._searched(stream, sampled, known, wanted):
            # a series of its own dtype: pandas 3 makes its own texts of a single one
            own = {name: pd.Series([value] * len(part), part.index, dtype=object) for name, value in given.items()}
            yield with_columns(part, own) if own else part

    def _forward(self, stream: int, cells: Mapping[str, object]) -> dict[str, object]:
        """Known cells as modelled ones. Raises :class:`UsageError` for those that can't be."""
        sought = {name: value for name, value in cells.items() if name not in self.table.set_outright}
        refuse_impossible(self.table, sought)
        known = self.table.forward(sought, CounterDraws(self.key, 0, stream=SEED_LIMIT - stream))
        self.source.refuse_unseen(known)
        return known

    def _searched(
        self, stream: int, cells: Mapping[str, object], known: Mapping[str, object], wanted: int
    ) -> Iterator[pd.DataFrame]:
        """Rows of the blocks that constraints and conditions let pass, until it is enough or there is no hope."""
        if not wanted:
            return
        table = self.table
        tally = Tally(cells, wanted)
        size = self.source.core.block_rows
        session = Session.start(table, Random(f"{self.key} {stream}")) if table.constrains_sources else None
        for block in self.source.blocks(self.key, stream, known, session):
            frame = tally.match(block, size)
            if table.has_constraints:
                frame = self.seen.fresh(table.constraints.filter_valid(frame))
            frame = frame.iloc[: wanted - tally.kept]
            tally.keep(len(frame), size)
            if len(frame):
                yield frame
            if tally.kept == wanted or tally.is_hopeless:
                break
        self.shortages.note(tally)

    # -- frames

    def _finished(self, parts: Iterable[pd.DataFrame], first: int) -> Iterator[pd.DataFrame]:
        """Parts joined to frames, keys counted up from ``first``, made-up cells filled in."""
        self.session.skip(first)
        done = 0
        for frame in _chunks(parts, self.chunk):
            yield self.table.fill(self.table.renumber(frame, start=first + done), self.session)
            done += len(frame)
        self._report()
        if not done:
            yield self._none()

    def _report(self) -> None:
        warning = self.shortages.report()
        if warning:
            warnings.warn(warning, stacklevel=5)

    def _none(self) -> pd.DataFrame:
        """No rows, all columns."""
        session = Session.start(self.table, Random(0))
        block = next(iter(self.source.blocks(self.key, 0, {}, session if self.table.constrains_sources else None)))
        return self.table.fill(block.iloc[:0].reset_index(drop=True), session)


def _chunks(parts: Iterable[pd.DataFrame], size: int) -> Iterator[pd.DataFrame]:
    waiting: list[pd.DataFrame] = []
    count = 0
    for part in parts:
        waiting.append(part)
        count += len(part)
        if count >= size:
            yield _joined(waiting)
            waiting, count = [], 0
    if count:
        yield _joined(waiting)


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    if len(frames) == 1:
        return frames[0].reset_index(drop=True)
    return pd.concat([frame for frame in frames if len(frame)], ignore_index=True)
