"""The synthesizer that users hold: a trained tabular generator that makes rows."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any, Literal, SupportsIndex

import numpy as np
import pandas as pd
import torch
from torch import nn

from modelcrate.errors import UsageError
from modelcrate.tabular.ahead import ahead
from modelcrate.tabular.callback import HoldsCallback
from modelcrate.tabular.cells import Categories, is_missing
from modelcrate.tabular.conditions import Conditions, read_conditions, read_frame, read_runs
from modelcrate.tabular.config import Config
from modelcrate.tabular.core import Core
from modelcrate.tabular.draws import CounterDraws, Reversal, key_of
from modelcrate.tabular.fit import check_parts
from modelcrate.tabular.randomstate import RandomState
from modelcrate.tabular.replay import FIXED_SEED, Replay
from modelcrate.tabular.rows import Rows
from modelcrate.tabular.sampler import ConditionalSampler
from modelcrate.tabular.session import Session
from modelcrate.tabular.shard import Shard
from modelcrate.tabular.table import Table
from modelcrate.tabular.transformer import Transformer
from modelcrate.tabular.unseen import unseen

ROWS_LIMIT = 10**9
"""Rows of one call; more is an accident, and would fill any disk."""
CHUNK_ROWS = 1 << 18
"""Rows of one frame of :meth:`Synthesizer.sample_batches`, about."""
TEXTS = frozenset({"object", "string", "str", "category"})
"""Dtypes of columns that may hold texts."""


class Synthesizer(HoldsCallback):
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
        check_parts(transformer=transformer, sampler=sampler, table=table)
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
    def text_columns(self) -> frozenset[str]:
        """The columns of sampled rows that hold texts alone."""
        encoded = [*self.table.columns, *getattr(getattr(self.core, "transformer", None), "columns", ())]
        mixed = {
            column.name
            for column in encoded
            if any(not isinstance(cell, str) and not is_missing(cell) for cell in _categories(column.encoding))
        }
        kinds = {
            field.name: field.dtype.name if field.format is None else field.format.dtype for field in self.table.fields
        }
        return frozenset(name for name, dtype in kinds.items() if dtype in TEXTS and name not in mixed)

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
        shard: tuple[int, int] | str | None = None,
        replay: int | Literal["fixed"] | Replay | None = None,
    ) -> pd.DataFrame:
        """``n`` rows as a frame.

        The same ``seed`` (0 to 2**64 - 1) gives the same rows, and the first rows of a larger sample are those of a
        smaller one; without it every call differs. ``conditions`` is a dict of known cells for all rows; a dict in
        which one column has a number of rows for each cell (``{"colour": {"green": 100, "red": 50}}``, without n); a
        list of (dict, rows); or a frame of known cells with one row each. A known float is met within 1 % (or 1 % of
        the column's deviation) and set to what was asked, all else is met exactly.

        ``shard=(2, 8)``, with a seed, gives the second of eight parts of the n rows. Parts have different rows, keys
        and made-up unique cells; put together they are the whole sample, row by row, unless rows are refused by
        constraints or conditions.

        ``replay=S`` gives the rows of the original library in
        a fresh process after ``random.seed(S); numpy.random.seed(S); torch.manual_seed(S)``, ``replay="fixed"`` those
        of sdv 0.17's ``randomize_samples=False``. Models of sdv 1 and 2 seed themselves: any S gives the rows of the
        first call after loading, and a replay that was begun with :meth:`begin_replay` those of one call after another.

        Too few rows that satisfy conditions or constraints are a warning, none at all are an error; either says what
        was tried. Raises :class:`UsageError` for wrong arguments, :class:`UnsupportedError` for a replay or a shard
        that is not possible.
        """
        frames = list(self.sample_batches(n, seed=seed, conditions=conditions, shard=shard, replay=replay))
        labelled = isinstance(conditions, pd.DataFrame)
        return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=not labelled)

    def sample_batches(
        self,
        n: SupportsIndex | None = None,
        *,
        seed: int | None = None,
        conditions: Conditions | None = None,
        shard: tuple[int, int] | str | None = None,
        replay: int | Literal["fixed"] | Replay | None = None,
    ) -> Iterator[pd.DataFrame]:
        """The rows of :meth:`sample`, same arguments, in frames one after another: any number fits in memory.

        Only a replay is made as the original makes it, all at once.
        """
        rows = _row_count(n)
        if rows is None and conditions is None:
            raise UsageError("say how many rows to sample", where="n")
        if replay is not None:
            if seed is not None or shard is not None:
                name = "seed" if seed is not None else "shard"
                raise UsageError(f"a replay has its own seed; give {name} or replay, not both", where=name)
            return _slices(self._replayed(rows, conditions, replay), CHUNK_ROWS)
        part = Shard.read(shard)
        if shard is not None and seed is None:
            raise UsageError("the parts of one sample need one seed", where="seed")
        key = key_of(seed)
        made = Rows(self, key, part, chunk=CHUNK_ROWS)
        if isinstance(conditions, pd.DataFrame):
            return made.completed(read_frame(conditions, rows, self.columns))
        if conditions is not None:
            return made.known(read_runs(conditions, rows, self.columns))
        assert rows is not None
        return made.plain(rows)

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

    def blocks(
        self,
        key: int,
        stream: int,
        known: Mapping[str, object],
        session: Session | None,
        *,
        first: int = 0,
        last: int | None = None,
    ) -> Iterator[pd.DataFrame]:
        """Candidate rows from block ``first`` on, up to ``last`` or endless; block k depends on (key, stream, k) alone.

        Keys are not counted yet. Only a ``session`` fills fields that have a source; it does not start anew with each
        block.
        """
        unrolled = self.core.unrolled()

        def make(number: int) -> tuple[int, CounterDraws, np.ndarray]:
            draws = CounterDraws(key, number, stream=stream)
            vector = self.core.request(known, draws) if known else None
            return number, draws, self.core.block(draws, vector, unrolled)

        for number, draws, matrix in ahead(make, first, last):
            how = Reversal(draws=draws)
            modelled = self.core.inverse(matrix, how)
            if known and self.config.force_conditioning:
                for name, value in known.items():
                    modelled[name] = np.full(len(matrix), value, dtype=object if isinstance(value, str) else None)
            random = Random(f"{key} {stream} {number}")
            yield self.table.reverse(modelled, len(matrix), how, random, session, counted=False)

    def refuse_unseen(self, known: Mapping[str, object]) -> None:
        """Raise UsageError, with the nearest there are, for a modelled cell that no row can have."""
        for column in () if self.config.force_conditioning else self.core.transformer.columns:
            if column.name in known and not column.encoding.knows(known[column.name]):
                raise unseen(column.name, known[column.name], getattr(column.encoding, "categories", None))

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


def _categories(encoding: object) -> tuple[object, ...]:
    held = getattr(encoding, "categories", None)
    return held.values if isinstance(held, Categories) else ()


def _slices(frame: pd.DataFrame, rows: int) -> Iterator[pd.DataFrame]:
    if len(frame) <= rows:
        return iter([frame])
    return (frame.iloc[start : start + rows] for start in range(0, len(frame), rows))


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


def _report_shortage(found: int, wanted: int) -> None:
    if found == wanted:
        return
    if not found:
        raise UsageError("no row satisfies the conditions and constraints", where="conditions")
    warnings.warn(f"only {found} of {wanted} rows satisfy the conditions and constraints", stacklevel=4)
