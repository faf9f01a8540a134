"""The generator of time series that users hold: a trained model that makes examples, as a frame or as arrays."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, SupportsIndex

import numpy as np
import pandas as pd
import torch
from torch import nn

from modelcrate.errors import FormatError, LimitError, UsageError
from modelcrate.format.document import Fields
from modelcrate.tabular.callback import HoldsCallback
from modelcrate.tabular.config import BATCH_LIMIT
from modelcrate.tabular.core import NUMBERS_LIMIT
from modelcrate.tabular.draws import SEED_LIMIT, CounterDraws, key_of
from modelcrate.tabular.series.table import SeriesTable
from modelcrate.tabular.shard import Shard

BLOCK_EXAMPLES = 1024
"""Most examples that the network sees at once when nothing is replayed; part of what a seed means."""
BLOCK_NUMBERS = 1 << 24
"""Numbers of one block, about: examples are fewer where each is large; part of what a seed means."""
EXAMPLES_LIMIT = 10**9
"""Examples of one call; more is an accident."""

Arrays = tuple[np.ndarray | None, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesConfig:
    """The config of a model of type ``series.synthesizer/1``; ``batch_size``: examples of a batch of the original."""

    batch_size: int

    @classmethod
    def from_document(cls, document: object, where: str) -> SeriesConfig:
        """Read the config. Raises :class:`FormatError`."""
        fields = Fields(document, where)
        found = cls(batch_size=fields.integer("batch_size", minimum=1, maximum=BATCH_LIMIT))
        fields.finish()
        return found

    def to_document(self) -> dict[str, Any]:
        """The config as plain JSON."""
        return {"batch_size": self.batch_size}


class SeriesSynthesizer(HoldsCallback):
    """A trained generator of time series. Made by :func:`modelcrate.load`; safe to use from several threads.

    An example is a sequence of steps with its attributes.
    """

    def __init__(self, *, generator: nn.Module, table: SeriesTable, config: SeriesConfig) -> None:
        self.generator = generator.eval()
        self.table = table
        self.config = config
        self.hyperparameters: Mapping[str, Any] = {}
        """What the model was trained with, as plain JSON; kept for the record."""

    @property
    def columns(self) -> tuple[str | int, ...]:
        """The names of the columns of sampled frames, in order; of a model of arrays, none."""
        return () if self.table.layout is None else self.table.layout.order

    @property
    def steps(self) -> int:
        """Steps of one example, at most."""
        return self.table.steps

    @property
    def device(self) -> torch.device:
        """Where the generator's parameters are."""
        return next(self.generator.parameters()).device

    def __repr__(self) -> str:
        table = self.table
        return (
            f"<SeriesSynthesizer of {len(table.attributes)} attributes and {len(table.features)} features over "
            f"{table.steps} steps on {self.device}>"
        )

    def sample(
        self,
        n: SupportsIndex,
        *,
        seed: int | None = None,
        shard: tuple[int, int] | str | None = None,
        replay: int | None = None,
    ) -> pd.DataFrame:
        """``n`` examples as the frame that the model was trained from: a row each (wide), or a row each step (long).

        The same ``seed`` (0 to 2**64 - 1) gives the same examples, and the first of a larger sample are those of a
        smaller one; without it every call differs. ``shard=(2, 8)``, with a seed, gives the second of eight parts of
        the n examples; put together they are the whole. ``replay=S`` gives what the original gives after
        ``torch.manual_seed(S)``, dtypes included; without it, dtypes are the same in every sample.
        Raises :class:`UsageError` for wrong arguments and for a model that was trained on arrays.
        """
        frames = list(self.sample_batches(n, seed=seed, shard=shard, replay=replay))
        return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)

    def sample_batches(
        self,
        n: SupportsIndex,
        *,
        seed: int | None = None,
        shard: tuple[int, int] | str | None = None,
        replay: int | None = None,
        conditions: object = None,
    ) -> Iterator[pd.DataFrame]:
        """The rows of :meth:`sample` in frames one after another: any number fits in memory, a replay aside."""
        if conditions is not None:
            raise UsageError("a time-series model takes no conditions", where="conditions")
        if self.table.layout is None:
            raise UsageError("the model was trained on arrays", where="sample", hint="call sample_arrays()")
        first, parts = self._decoded(n, seed, shard, replay)
        return self._frames(parts, first, faithful=replay is not None)

    def sample_arrays(
        self,
        n: SupportsIndex,
        *,
        seed: int | None = None,
        shard: tuple[int, int] | str | None = None,
        replay: int | None = None,
    ) -> Arrays:
        """``n`` examples as attributes (n, A), or None where there are none, and features (n, steps, F).

        Arguments and errors as for :meth:`sample`. Of a model with sequences of several lengths, the last feature says
        where an example ends, as in the original.
        """
        parts = list(self._decoded(n, seed, shard, replay)[1])
        attributes = [part[0] for part in parts if part[0] is not None]
        return np.concatenate(attributes) if attributes else None, np.concatenate([part[1] for part in parts])

    def derived(self) -> list[tuple[str, str, int]]:
        """Every kind of value that was taken from the training data: (column, kind, how many)."""
        return self.table.derived()

    def raw(
        self, attribute_noise: torch.Tensor, feature_noise: torch.Tensor, *, faithful: bool = False
    ) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray]:
        """What the network makes of noise: attributes, scales and features, activated, float32.

        ``faithful`` computes as the original does, which keeps gradients: other kernels, other last bits.
        Raises :class:`FormatError` where the weights give something that is not finite.
        """
        with torch.enable_grad() if faithful else torch.inference_mode():
            made = self.generator(attribute_noise.to(self.device), feature_noise.to(self.device))
        found = tuple(None if part is None else part.detach().cpu().numpy() for part in made)
        if not all(part is None or math.isfinite(float(part.sum(dtype=np.float64))) for part in found):
            raise FormatError("the generator's output is not finite", where="generator")
        attributes, scales, features = found
        assert features is not None
        return attributes, scales, features

    # -- examples

    def _frames(self, parts: Iterator[Arrays], start: int, *, faithful: bool) -> Iterator[pd.DataFrame]:
        if faithful:  # dtypes follow from all cells together
            whole = list(parts)
            attributes = [part[0] for part in whole if part[0] is not None]
            parts = iter(
                [(np.concatenate(attributes) if attributes else None, np.concatenate([it[1] for it in whole]))]
            )
        for attributes_part, features in parts:
            yield self.table.frame(attributes_part, features, start=start, faithful=faithful)
            start += len(features)

    def _decoded(
        self, n: SupportsIndex, seed: int | None, shard: tuple[int, int] | str | None, replay: int | None
    ) -> tuple[int, Iterator[Arrays]]:
        """The first example's number, and examples as decoded arrays, block by block: at least one, maybe empty."""
        count = _count(n)
        part = Shard.read(shard)
        if replay is not None and (seed is not None or shard is not None):
            name = "seed" if seed is not None else "shard"
            raise UsageError(f"a replay has its own seed; give {name} or replay, not both", where=name)
        if replay is not None:
            return 0, self._cut(self._replayed(replay), 0, count, faithful=True)
        if shard is not None and seed is None:
            raise UsageError("the parts of one sample need one seed", where="seed")
        first, stop = part.span(count)
        number, skipped = divmod(first, self._block_examples())
        noise = self._blocks(key_of(seed), number)
        return first, self._cut(noise, skipped, stop - first, faithful=False)

    def _cut(
        self, noise: Iterator[tuple[torch.Tensor, torch.Tensor]], skipped: int, left: int, *, faithful: bool
    ) -> Iterator[Arrays]:
        while True:
            attributes, scales, features = self.raw(*next(noise), faithful=faithful)
            rows = slice(skipped, min(skipped + left, len(features)))
            yield self.table.decode(
                None if attributes is None else attributes[rows],
                None if scales is None else scales[rows],
                features[rows],
                faithful=faithful,
            )
            left -= rows.stop - rows.start
            skipped = 0
            if not left:
                return

    def _block_examples(self) -> int:
        return max(1, min(BLOCK_EXAMPLES, BLOCK_NUMBERS // self._numbers()))

    def _blocks(self, key: int, first: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Endless noise from block ``first`` on; block k depends on (key, k) alone."""
        size = self._block_examples()
        self._check_room(size)
        shapes = self._shapes(size)
        for number in itertools.count(first):
            random = CounterDraws(key, number).generator
            one, other = (torch.from_numpy(random.standard_normal(shape, dtype=np.float32)) for shape in shapes)
            yield one, other

    def _replayed(self, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """The noise that the original draws from PyTorch's generator, batch by batch."""
        if type(seed) is not int or not -(2**63) <= seed < SEED_LIMIT:
            raise UsageError("expected a seed", where="replay")
        self._check_room(self.config.batch_size)
        generator = torch.Generator().manual_seed(seed)
        shapes = self._shapes(self.config.batch_size)
        while True:
            first, second = (torch.randn(shape, generator=generator) for shape in shapes)
            yield first, second

    def _shapes(self, rows: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        made: Any = self.generator
        attribute, feature = made.noise_dims
        return (rows, attribute), (rows, made.steps // made.cell_steps, feature)

    def _numbers(self) -> int:
        """Numbers that one example costs on its way through the network and after it."""
        made: Any = self.generator
        cells = made.steps // made.cell_steps
        lstm = made.feature_gen.lstm
        parts = self.table.parts()
        widths = {name: sum(part["width"] for part in found) for name, found in parts.items()}
        outside = sum(weight.shape[0] for name, weight in made.named_parameters() if "attribute_gen" in name)
        inside = cells * (lstm.input_size + 5 * lstm.hidden_size + 2 * made.cell_steps * widths["features"])
        return int(outside + inside + made.steps * len(self.table.features) + sum(made.noise_dims))

    def _check_room(self, rows: int) -> None:
        each = self._numbers()
        if rows * each > NUMBERS_LIMIT:
            what = f"{rows} examples at once of {each} numbers each, more than {NUMBERS_LIMIT}"
            raise LimitError(what, where="generator")


def _count(n: SupportsIndex) -> int:
    try:
        count = operator.index(n)
    except TypeError:
        raise UsageError(f"expected a number of examples, found a {type(n).__name__}", where="n") from None
    if isinstance(n, bool) or not 0 <= count <= EXAMPLES_LIMIT:
        raise UsageError(f"a number of examples is between 0 and {EXAMPLES_LIMIT}", where="n")
    return count
