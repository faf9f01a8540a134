"""The synthesizer that users hold: a trained tabular generator that makes rows."""

from __future__ import annotations

import itertools
import operator
import secrets
import warnings
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any, Literal, SupportsIndex

import numpy as np
import pandas as pd
import torch
from torch import nn

from modelcrate.errors import UsageError
from modelcrate.tabular.conditions import Conditions, groups, matching, read_conditions
from modelcrate.tabular.config import Config
from modelcrate.tabular.core import Core
from modelcrate.tabular.draws import SEED_LIMIT, CounterDraws, Reversal
from modelcrate.tabular.fit import check_parts
from modelcrate.tabular.randomstate import RandomState
from modelcrate.tabular.replay import FIXED_SEED, Replay
from modelcrate.tabular.sampler import ConditionalSampler
from modelcrate.tabular.session import Session
from modelcrate.tabular.table import Table
from modelcrate.tabular.transformer import Transformer

BARREN_BLOCKS = 200
"""Blocks in a row without one acceptable row, after which sampling gives up: some conditions never occur."""
ROWS_LIMIT = 10**9
"""Rows of one call; more is an accident, and would fill any disk."""
CHUNK_ROWS = 1 << 18
"""Rows of one frame of :meth:`Synthesizer.sample_batches`, about."""


class Synthesizer:
    """A trained tabular generator. Made by :func:`modelcrate.load`; safe to use from several threads.

    Raises :class:`MismatchError` where the parts do not fit together.
    """

    def __init__(
        self,
        *,
        generator: nn.Module,
        transformer: Transformer,
        sampler: ConditionalSampler,
        table: Table,
        config: Config,
        random_state: RandomState | None = None,
        hyperparameters: Mapping[str, Any] | None = None,
    ) -> None:
        check_parts(transformer=transformer, sampler=sampler, table=table, config=config)
        self.core = Core(generator, transformer, sampler, config)
        self.table = table
        self.config = config
        self.random_state = random_state
        self.hyperparameters: Mapping[str, Any] = {}
        """What the model was trained with, as plain JSON; kept for the record."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns of sampled rows, in order."""
        return tuple(field.name for field in self.table.fields)

    @property
    def device(self) -> torch.device:
        """Where the generator's parameters are."""
        return self.core.device

    def __repr__(self) -> str:
        return f"<Synthesizer of {len(self.columns)} columns on {self.device}>"

    def sample(
        self,
        n: SupportsIndex | None = None,
        *,
        seed: int | None = None,
        conditions: Conditions | None = None,
        replay: int | Literal["fixed"] | Replay | None = None,
    ) -> pd.DataFrame:
        """``n`` rows as a frame.

        The same ``seed`` (0 to 2**64 - 1) gives the same rows, and the first rows of a larger sample are those of a
        smaller one; without it every call differs. ``conditions`` is a dict of known cells for all rows, a frame of
        known cells with one row each, or a list of (dict, rows). ``replay=S`` gives the rows of the original library in
        a fresh process after ``random.seed(S); numpy.random.seed(S); torch.manual_seed(S)``, ``replay="fixed"`` those
        of sdv 0.17's ``randomize_samples=False``. Models of sdv 1 and 2 seed themselves: any S gives the rows of the
        first call after loading, and a replay that was begun with :meth:`begin_replay` those of one call after another.
        Too few rows that satisfy conditions or constraints are a warning, none at all are an error. Raises
        :class:`UsageError` for wrong arguments, :class:`UnsupportedError` for a replay that is not possible.
        """
        frames = list(self.sample_batches(n, seed=seed, conditions=conditions, replay=replay))
        return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)

    def sample_batches(
        self,
        n: SupportsIndex | None = None,
        *,
        seed: int | None = None,
        conditions: Conditions | None = None,
        replay: int | Literal["fixed"] | Replay | None = None,
    ) -> Iterator[pd.DataFrame]:
        """The rows of :meth:`sample`, same arguments, in frames one after another: any number fits in memory."""
        rows = _row_count(n)
        if replay is not None and seed is not None:
            raise UsageError("a replay has its own seed; give seed or replay, not both", where="seed")
        if rows is None and conditions is None:
            raise UsageError("say how many rows to sample", where="n")
        if replay is not None:
            return iter([self._replayed(rows, conditions, replay)])
        key = secrets.randbits(64) if seed is None else _seed(seed)
        if conditions is not None:
            return iter([self._conditioned(rows, conditions, key)])
        assert rows is not None
        return self._chunks(rows, key)

    def begin_replay(self, replay: int | Literal["fixed"] = "fixed") -> Replay:
        """A process of the original, seeded as ``replay`` says, in which the model was just loaded.

        Pass it to :meth:`sample` as ``replay=`` again and again: each call gives the rows of the original's next call.
        Raises as :meth:`sample` does.
        """
        fixed = replay == "fixed"
        if not fixed and (type(replay) is not int):
            raise UsageError("expected a seed or 'fixed'", where="replay")
        rules = self.config.replay
        return Replay(
            self.core,
            self.table,
            seed=FIXED_SEED if fixed else int(replay),
            model_seed=FIXED_SEED if fixed else None,
            stored=self.random_state if rules is not None and rules.goes_on else None,
        )

    def derived(self) -> list[tuple[str, str, int]]:
        """Every kind of value that was taken from the training data: (column, kind, how many)."""
        return [*self.table.derived(), *self.core.transformer.derived(), *self.core.sampler.derived()]

    # -- without replay

    def _blocks(
        self, key: int, stream: int, known: Mapping[str, object] | None, session: Session | None
    ) -> Iterator[pd.DataFrame]:
        """Endless candidate rows; block k depends on (key, stream, k) alone. Keys are not counted yet.

        Only a ``session`` fills fields that have a source; it does not start anew with each block.
        """
        unrolled = self.core.unrolled()
        for number in itertools.count():
            draws = CounterDraws(key, number, stream=stream)
            vector = None
            if known:
                vector = self.core.request(known, draws)
            matrix = self.core.block(draws, vector, unrolled)
            how = Reversal(draws=draws)
            modelled = self.core.inverse(matrix, how)
            if known and self.config.force_conditioning:
                for name, value in known.items():
                    modelled[name] = np.full(len(matrix), value, dtype=object if isinstance(value, str) else None)
            random = Random(f"{key} {stream} {number}")
            yield self.table.reverse(modelled, len(matrix), how, random, session)

    def _accepted(
        self, key: int, stream: int, cells: Mapping[str, object] | None, known: Mapping[str, object] | None
    ) -> Iterator[pd.DataFrame]:
        """Rows of the blocks that constraints and conditions let pass; ends where nothing passes any more."""
        across = any(constraint.tag == "unique" for constraint in self.table.constraints.constraints)
        before: pd.DataFrame | None = None
        barren = 0
        session = Session.start(self.table, Random(f"{key} {stream}")) if self.table.constrains_sources else None
        cells = {name: value for name, value in (cells or {}).items() if name not in self.table.made_up}
        for block in self._blocks(key, stream, known, session):
            frame = matching(block, cells) if cells else block
            if self.table.has_constraints:
                if across and before is not None:
                    frame = pd.concat([before, frame], ignore_index=True)
                frame = self.table.constraints.filter_valid(frame)
                if across:
                    frame, before = frame.iloc[0 if before is None else len(before) :], frame
            barren = 0 if len(frame) else barren + 1
            if barren == BARREN_BLOCKS:
                return
            yield frame

    def _chunks(self, rows: int, key: int) -> Iterator[pd.DataFrame]:
        done = 0
        waiting: list[pd.DataFrame] = []
        count = 0
        accepted = self._accepted(key, 0, None, None)
        session = Session.start(self.table, Random(f"{key} sources"))
        if rows == 0:
            yield self.table.fill(next(accepted).iloc[:0].reset_index(drop=True), session)
            return
        while done + count < rows:
            frame = next(accepted, None)
            if frame is not None:
                frame = frame.iloc[: rows - done - count]
                waiting.append(frame)
                count += len(frame)
            if frame is None or count >= CHUNK_ROWS or done + count == rows:
                if count:
                    yield self.table.fill(self.table.renumber(_joined(waiting), start=done), session)
                done, count, waiting = done + count, 0, []
                if frame is None:
                    _report_shortage(done, rows)
                    return

    def _conditioned(self, rows: int | None, conditions: Conditions, key: int) -> pd.DataFrame:
        frames = read_conditions(conditions, rows, self.columns)
        whole: list[pd.DataFrame] = []
        wanted = sum(len(frame) for frame in frames)
        stream = 0
        for frame in frames:
            parts: list[pd.DataFrame] = []
            for group in groups(frame):
                stream += 1
                parts.append(self._group(key, stream, group.known, len(group.places)))
                parts[-1].index = group.places[: len(parts[-1])]
            if parts:
                joined = pd.concat(parts).sort_index()
                whole.append(joined.set_axis(frame.index[joined.index]))
        found = pd.concat(whole, ignore_index=not isinstance(conditions, pd.DataFrame)) if whole else pd.DataFrame()
        _report_shortage(len(found), wanted)
        if not len(found):
            return found
        return self.table.fill(self.table.renumber(found), Session.start(self.table, Random(f"{key} sources")))

    def _group(self, key: int, stream: int, cells: Mapping[str, object], wanted: int) -> pd.DataFrame:
        known = self.table.forward(cells, CounterDraws(key, 0, stream=SEED_LIMIT - stream))
        self._refuse_unseen(known)
        given: dict[str, Any] = {name: value for name, value in cells.items() if name in self.table.made_up}
        parts: list[pd.DataFrame] = []
        count = 0
        for frame in self._accepted(key, stream, cells, known):
            parts.append(frame.iloc[: wanted - count].assign(**given))
            count += len(parts[-1])
            if count == wanted:
                break
        return _joined(parts) if parts else pd.DataFrame()

    def _refuse_unseen(self, known: Mapping[str, object]) -> None:
        """Raise UsageError for a modelled cell that the generator can't make."""
        for column in () if self.config.force_conditioning else self.core.transformer.columns:
            if column.name in known and not column.encoding.knows(known[column.name]):
                what = f"{known[column.name]!r} does not occur in the training data"
                raise UsageError(what, where=f"conditions[{column.name!r}]")

    # -- replayed

    def _replayed(
        self, rows: int | None, conditions: Conditions | None, replay: int | Literal["fixed"] | Replay
    ) -> pd.DataFrame:
        again = replay if isinstance(replay, Replay) else self.begin_replay(replay)
        if again.table is not self.table:
            raise UsageError("a replay of another synthesizer", where="replay")
        return self.replayed(again, rows, conditions)

    def replayed(self, again: Replay, rows: int | None, conditions: Conditions | None = None) -> pd.DataFrame:
        """The rows of one call of the original, from a replay that was prepared."""
        if conditions is None:
            assert rows is not None
            if rows == 0:
                return self.sample(0, seed=0)
            found = again.sample(rows)
            _report_shortage(len(found), rows)
            return found
        frames = read_conditions(conditions, rows, self.columns)
        wanted = sum(len(frame) for frame in frames)
        if self.config.conditioning == "requested_discrete":
            found = again.requested(frames)
        elif isinstance(conditions, pd.DataFrame):
            found = again.known(frames[0], "known")
        else:
            parts = [part for part in (again.known(frame, "conditions") for frame in frames) if len(part)]
            found = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
        _report_shortage(len(found), wanted)
        return found


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    if len(frames) == 1:
        return frames[0].reset_index(drop=True)
    filled = [frame for frame in frames if len(frame)] or frames[:1]
    return pd.concat(filled, ignore_index=True)


def _row_count(n: SupportsIndex | None) -> int | None:
    if n is None:
        return None
    try:
        rows = operator.index(n)
    except TypeError:
        raise UsageError(f"expected a number of rows, found a {type(n).__name__}", where="n") from None
    if isinstance(n, bool) or not 0 <= rows <= ROWS_LIMIT:
        raise UsageError(f"a number of rows is between 0 and {ROWS_LIMIT}", where="n")
    return rows


def _seed(seed: object) -> int:
    try:
        value = operator.index(seed)  # type: ignore[arg-type]
    except TypeError:
        raise UsageError(f"expected an integer, found a {type(seed).__name__}", where="seed") from None
    if not 0 <= value < SEED_LIMIT:
        raise UsageError("a seed is between 0 and 2**64 - 1", where="seed")
    return value


def _report_shortage(found: int, wanted: int) -> None:
    if found == wanted:
        return
    if not found:
        raise UsageError("no row satisfies the conditions and constraints", where="conditions")
    warnings.warn(f"only {found} of {wanted} rows satisfy the conditions and constraints", stacklevel=4)
