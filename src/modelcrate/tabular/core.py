"""The generator with its noise, its conditions and its activations: from draws to an encoded matrix."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import nn

from modelcrate.errors import FormatError, LimitError
from modelcrate.tabular.columns.base import SIGMOID, TANH
from modelcrate.tabular.config import Config
from modelcrate.tabular.draws import CounterDraws, Draws, Reversal
from modelcrate.tabular.sampler import ConditionalSampler
from modelcrate.tabular.transformer import Transformer

TEMPERATURE = 0.2
"""Of the Gumbel softmax (CTGAN paper, section 4.4)."""
BLOCK_ROWS = 2048
"""Rows that the network sees at once when nothing is replayed; part of what a seed means."""
NUMBERS_LIMIT = 1 << 29
"""Single-precision numbers of one pass through the network, 2 GiB; 4 MB of weights can ask for a hundred times that."""


_MODES = threading.Lock()
"""Held while a module's modes are not its own; one for all models, so that a model can be copied."""
Network = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]
"""(noise, condition) -> raw outputs; the condition is each row's position of the one, one vector for all, or None."""


@runtime_checkable
class Unrollable(Protocol):
    """A network that has a faster form for the conditions which sampling meets."""

    def unrolled(self, *, noise_dim: int, batch: int | None) -> Network:
        """That form, its weights as they are now; ``batch`` rows share their statistics, None for running ones."""
        ...


class Core:
    """A generator beside its transformer and sampler; makes encoded matrices, float32 of shape (n, width)."""

    def __init__(
        self, generator: nn.Module, transformer: Transformer, sampler: ConditionalSampler, config: Config
    ) -> None:
        self.generator = generator.eval()
        self.transformer = transformer
        self.sampler = sampler
        self.config = config
        parts = list(transformer.activations())
        self.parts = parts
        sigma = getattr(generator, "sigma", None)
        self.sigmas: np.ndarray | None = None
        """Of a decoder: the standard deviation of each output, float64 of shape (width,)."""
        if isinstance(sigma, torch.Tensor):
            self.sigmas = sigma.detach().cpu().double().numpy()

    @property
    def device(self) -> torch.device:
        """Where the generator's parameters are."""
        return next(self.generator.parameters()).device

    @property
    def condition_width(self) -> int:
        """Columns of the generator's input beside the noise."""
        return self.transformer.width if self.config.conditioning == "anyway" else self.sampler.width

    def raw(self, noise: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
        """Raw outputs on the CPU for noise (n, noise_dim) and condition (n, condition_width), both float32.

        Raises :class:`FormatError` where the weights give something that is not finite.
        """
        rows = noise if condition is None or not condition.shape[1] else torch.cat([noise, condition], dim=1)
        with torch.inference_mode(), _statistics(self.generator, self.config.statistics):
            found: torch.Tensor = self.generator(rows.to(self.device)).cpu()
        return _finite(found)

    def activate(self, raw: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Activations part by part, the draws of the Gumbel softmax taken from ``generator`` in the parts' order."""
        found: list[torch.Tensor] = []
        if self.sigmas is not None:  # a decoder's categories are read off as they are (TVAE, section 4.5)
            return torch.tanh(raw)
        with torch.inference_mode():
            for start, stop, kind in self.parts:
                part = raw[:, start:stop]
                if kind == TANH:
                    found.append(torch.tanh(part))
                elif kind == SIGMOID:
                    found.append(torch.sigmoid(part))
                else:
                    draws = torch.empty_like(part, memory_format=torch.legacy_contiguous_format)
                    gumbel = -draws.exponential_(generator=generator).log()
                    found.append(((part + gumbel) / TEMPERATURE).softmax(-1))
        return torch.cat(found, dim=1)

    def check_room(self, rows: int) -> None:
        """Raise :class:`LimitError` where the network can't see so many rows at once within bounds."""
        inside = sum(weight.shape[0] for weight in self.generator.parameters() if weight.ndim == 2)
        each = self.config.noise_dim + self.condition_width + self.transformer.width + inside
        if rows * each > NUMBERS_LIMIT:
            what = f"{rows} rows at once of {each} numbers each, more than {NUMBERS_LIMIT}"
            raise LimitError(what, where="generator")

    def request(self, known: Mapping[str, object], draws: Draws, *, misplaced: bool = False) -> np.ndarray | None:
        """The condition vector, float32 of shape (condition_width,), that asks for known cells as far as it can.

        None where there is nothing to ask for. Raises :class:`UsageError` for a category that was never seen.
        """
        if self.config.conditioning == "anyway":
            return self.transformer.condition(known, draws)
        if self.config.conditioning != "requested_discrete":
            return None
        discrete = {name for name, _ in self.sampler.columns}
        codes = {
            column.name: int(np.argmax(column.encoding.encode(known[column.name], draws)))
            for column in self.transformer.columns
            if column.name in known and column.name in discrete
        }
        asked = self.sampler.rarest(codes)
        return None if asked is None else self.sampler.request(asked, codes[asked], misplaced=misplaced)

    def inverse(self, matrix: np.ndarray, how: Reversal) -> dict[str, np.ndarray]:
        """Activated outputs of shape (n, width) as modelled columns of shape (n,), a decoder's noise added."""
        return self.transformer.inverse(matrix, how, self.sigmas)

    def unrolled(self) -> Network | None:
        """The generator as it is now, for :meth:`block`; None where it has no faster form."""
        if not isinstance(self.generator, Unrollable) or next(self.generator.parameters()).dtype != torch.float32:
            return None
        batch = self._pass_rows() if self.config.statistics == "batch" else None
        return self.generator.unrolled(noise_dim=self.config.noise_dim, batch=batch)

    def block(self, draws: CounterDraws, condition: np.ndarray | None, unrolled: Network | None) -> np.ndarray:
        """One block of activated outputs: ``BLOCK_ROWS`` rows or a little more, which depend on the arguments alone.

        Parts that are read by their greatest value are given as that order's logits.
        """
        random = draws.generator
        size = self._pass_rows()
        rows = self.block_rows
        self.check_room(rows)
        wanted: np.ndarray | None = condition
        if condition is None and self.config.conditioning != "anyway" and self.sampler.width:
            wanted = self.sampler.picks(random.random(rows))
        noise = torch.from_numpy(random.standard_normal((rows, self.config.noise_dim), dtype=np.float32))
        if unrolled is not None:
            asked = None if wanted is None else torch.from_numpy(wanted).to(self.device)
            found = _finite(unrolled(noise.to(self.device), asked).cpu())
        else:
            beside = self._vectors(wanted, rows)
            made = [self.raw(noise[at : at + size], beside[at : at + size]) for at in range(0, rows, size)]
            found = torch.cat(made)
        matrix = found.numpy()
        for start, stop, kind in self.parts:
            part = matrix[:, start:stop]
            if kind == TANH:
                np.tanh(part, out=part)
            elif kind == SIGMOID:
                np.greater(part, 0.0, out=part)
            elif self.sigmas is None:  # a decoder's categories are read off as they are
                part += draws.gumbel(part.shape)
        return matrix

    @property
    def block_rows(self) -> int:
        """Rows of every block."""
        size = self._pass_rows()
        return -(-BLOCK_ROWS // size) * size

    def _pass_rows(self) -> int:
        """Rows that the network sees at once while a block is made."""
        return self.config.batch_size if self.config.statistics == "batch" else BLOCK_ROWS

    def _vectors(self, wanted: np.ndarray | None, rows: int) -> torch.Tensor:
        """Condition vectors, float32 of shape (rows, condition_width), for one vector, each row's position, or none."""
        vectors = np.zeros((rows, self.condition_width), dtype=np.float32)
        if wanted is not None and wanted.dtype == np.float32:
            vectors[:] = wanted
        elif wanted is not None:
            vectors[np.arange(rows), wanted] = 1.0
        return torch.from_numpy(vectors)


def _finite(raw: torch.Tensor) -> torch.Tensor:
    # a sum in single precision may overflow where no number is infinite; that in double precision takes longer
    if not math.isfinite(float(raw.sum())) and not math.isfinite(float(raw.sum(dtype=torch.float64))):
        raise FormatError("the generator's output is not finite", where="generator")
    return raw


@contextmanager
def _statistics(module: nn.Module, kind: str) -> Iterator[None]:
    """Batch norm by the batch's own statistics where asked, with no trace of it left in the module."""
    if kind == "running":
        yield
        return
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm1d)]
    with _MODES:
        try:
            for norm in norms:
                norm.train()
                norm.track_running_stats = False
            yield
        finally:
            for norm in norms:
                norm.track_running_stats = True
                norm.eval()
