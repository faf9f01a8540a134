"""The draws and the schedule of the original library, repeated.

The original draws from the process's global generators: Python's ``random``, NumPy's legacy Mersenne Twister and
PyTorch's CPU generator. A replay draws from generators of its own, which stand where the global ones stand after
seeding with S, so the caller's process is not touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import torch

from modelcrate.errors import UnsupportedError, UsageError
from modelcrate.tabular.conditions import Group, groups, matching
from modelcrate.tabular.core import Core
from modelcrate.tabular.draws import LegacyDraws, Reversal
from modelcrate.tabular.randomstate import RandomState
from modelcrate.tabular.session import Session

if TYPE_CHECKING:
    from modelcrate.tabular.config import ReplayRules
    from modelcrate.tabular.copula.core import JointCore
    from modelcrate.tabular.table import Table

FIXED_SEED = 73251
"""What sdv 0.17 seeds the model's own generators with for ``randomize_samples=False``."""
TRIES = 100
"""Rounds of rejection after which the original gives up."""
GROWTH = 10
"""A round samples at most so many times the rows that were asked for."""
FROM_ROWS = "this model can't be replayed: the original draws on its training rows, which a crate does not hold"
HINT = "sample with seed= instead; it follows the frequencies"
SEED_BOUND = 2**32
"""NumPy's legacy seeds are below this."""

Call = Literal["sample", "conditions", "known"]


class Replay:
    """Calls of the original in a fresh process, one after another: generators that go on from draw to draw.

    ``model_seed`` gives the model generators of its own, as ``randomize_samples=False`` does; ``stored`` starts them
    from a stored state. Raises :class:`UsageError` for a seed out of range, :class:`UnsupportedError` for a model
    whose draws can't be repeated.
    """

    def __init__(
        self,
        core: Core | JointCore,
        table: Table,
        *,
        seed: int,
        model_seed: int | None = None,
        stored: RandomState | None = None,
    ) -> None:
        if core.config.replay is None:
            raise UnsupportedError(FROM_ROWS, hint=HINT)
        if not 0 <= seed < SEED_BOUND:
            raise UsageError(f"a replayed seed is between 0 and {SEED_BOUND - 1}", where="replay")
        self.core = core
        self.table = table
        self.made_up = frozenset(table.made_up)
        self.rules: ReplayRules = core.config.replay
        self.session = Session.resume(table)
        if self.rules.model_seed is not None:
            model_seed = self.rules.model_seed
        self.random = Random(seed)
        self.outer = LegacyDraws(np.random.RandomState(seed))
        if stored is not None:
            self.inner, self.torch = LegacyDraws(stored.twister()), stored.generator()
        elif model_seed is not None:
            self.inner = LegacyDraws(np.random.RandomState(model_seed))
            self.torch = torch.Generator().manual_seed(model_seed)
        else:
            self.inner, self.torch = self.outer, torch.Generator().manual_seed(seed)

    def sample(self, rows: int) -> pd.DataFrame:
        """``rows`` rows, fewer where constraints refuse too many."""
        return self._batch(rows, "sample", None, None)

    def known(self, frame: pd.DataFrame, call: Call) -> pd.DataFrame:
        """The rows of known cells completed, labelled and ordered as ``frame`` is; fewer where too few match."""
        parts: list[pd.DataFrame] = []
        for group in groups(frame):
            modelled = self.table.forward(group.known, self.outer, self.session)
            sampled = self._batch(len(group.places), call, group, modelled or None)
            parts.append(sampled.set_axis(group.places[: len(sampled)]))
        parts = [part for part in parts if len(part)]
        if not parts:
            return pd.DataFrame()
        whole = self.table.make_keys_distinct(pd.concat(parts).sort_index())
        return whole.set_axis(frame.index[whole.index])

    def requested(self, frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
        """As many rows as there are, all asked for the same one category, as ctgan asks; not all of them have it.

        Raises :class:`UsageError` for several known cells, or a column that is not discrete.
        """
        found = [group for frame in frames for group in groups(frame)]
        if len(found) != 1 or len(found[0].known) != 1:
            raise UsageError("the original asks for one category of one column", where="conditions")
        ((column, value),) = found[0].known.items()
        core = self.core
        if not isinstance(core, Core) or column not in dict(core.sampler.columns):
            raise UsageError("the original asks for categories of discrete columns only", where="conditions")
        encoding = next(each.encoding for each in core.transformer.columns if each.name == column)
        if not encoding.knows(value):
            raise UsageError(f"{value!r} does not occur in the training data", where=f"conditions[{column!r}]")
        return self._batch(len(found[0].places), "conditions", None, {column: value})

    def modelled(
        self, rows: int, known: Mapping[str, object] | None = None, call: Call | None = None
    ) -> dict[str, np.ndarray]:
        """What the inner synthesizer gives: modelled columns of shape (rows,)."""
        core = self.core
        if not isinstance(core, Core):
            return core.remade(rows, known or {}, self.inner)
        batch = core.config.batch_size
        core.check_room(batch)
        fixed: torch.Tensor | None = None
        if core.config.conditioning == "anyway":
            vector = np.zeros(core.transformer.width, dtype=np.float32)
            if known is not None:
                vector = core.transformer.condition(known, self.inner)
            fixed = torch.from_numpy(np.repeat(vector[None], batch, axis=0))
        elif core.config.conditioning == "requested_discrete" and known is not None:
            asked = core.request(known, self.inner, misplaced=self.rules.misplaced)
            if asked is not None:
                fixed = torch.from_numpy(np.repeat(asked[None], batch, axis=0))
        if fixed is None and core.sampler.width and not self.rules.unconditioned:
            raise UnsupportedError(FROM_ROWS, hint=HINT)
        steps = rows // batch + 1 if self.rules.spare_batch else (rows - 1) // batch + 1
        parts: list[torch.Tensor] = []
        for _ in range(steps):
            condition = fixed
            if condition is None and core.sampler.width:
                condition = torch.from_numpy(core.sampler.vectors(self.inner.uniform(batch)))
            mean = torch.zeros((batch, core.config.noise_dim), dtype=torch.float32)
            noise = torch.normal(mean, mean + 1.0, generator=self.torch)
            parts.append(core.activate(core.raw(noise, condition), self.torch))
        matrix = torch.cat(parts).numpy()[:rows]
        found = core.inverse(matrix, self._how(self.inner, call))
        if core.config.force_conditioning and known is not None:
            for name, value in known.items():
                found[name] = np.full(rows, value, dtype=object if isinstance(value, str) else None)
        return found

    def _how(self, draws: LegacyDraws, call: Call | None) -> Reversal:
        return Reversal(draws=draws, rounds_unlearned=call not in self.rules.repairs, overflows=True)

    def _rows(
        self,
        rows: int,
        call: Call,
        group: Group | None,
        known: Mapping[str, object] | None,
        before: pd.DataFrame | None,
    ) -> pd.DataFrame:
        modelled = self.modelled(rows, known, call)
        given = {} if group is None else {name: group.known[name] for name in group.known if name in self.made_up}
        frame = self.table.reverse(
            modelled, rows, self._how(self.outer, call), self.random, session=self.session, known=given
        )
        if before is not None and len(before.columns):
            frame = pd.concat([before, frame], ignore_index=True)
        frame = self.table.constraints.filter_valid(frame)
        return frame if group is None else matching(frame, group.known, signed=self.rules.signed)

    def _batch(self, wanted: int, call: Call, group: Group | None, known: Mapping[str, object] | None) -> pd.DataFrame:
        """Rejection as the original schedules it; how many rows a round asks for decides all draws after it."""
        found: pd.DataFrame | None = None
        valid, asked = 0, wanted
        for _ in range(TRIES):
            if valid >= wanted:
                break
            before = valid
            found = self._rows(asked, call, group, known, found)
            valid = len(found)
            rate = max(valid - before, 1) / max(asked, 1)
            asked = min(GROWTH * wanted, int((wanted - valid) / rate))
        if found is None:
            return pd.DataFrame()
        return found.head(wanted).reset_index(drop=True)
