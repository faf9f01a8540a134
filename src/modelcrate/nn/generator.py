"""The generator of CTGAN-like models: residual blocks that widen their input, then one linear layer.

The shape of the network is published (Xu et al., "Modeling Tabular Data using Conditional GAN", 2019, section 4.4);
parameter names are those that trained models of ctgan and gretel-synthetics use.
"""

from __future__ import annotations

import torch
from torch import nn

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields
from modelcrate.nn.registry import architecture
from modelcrate.nn.unrolled import Unrolled

WIDTH_LIMIT = 1 << 24
"""Units in one layer; beyond it a config is an attack on whatever multiplies widths."""
DEPTH_LIMIT = 256
"""Residual blocks; each costs Python objects before any tensor is compared."""


class Residual(nn.Module):
    """(N, in) -> (N, out + in): linear, batch norm, ReLU, and the input beside the result."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.fc = nn.Linear(in_features, out_features)
        self.bn = nn.BatchNorm1d(out_features)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Apply the block to rows of shape (N, in)."""
        return torch.cat([torch.relu(self.bn(self.fc(rows))), rows], dim=1)


def _check_values(module: nn.Module, device: torch.device) -> None:
    """Refuse batch-norm statistics that no training makes: a negative variance turns every sample into NaN."""
    for name, buffer in module.named_buffers():
        if name.endswith("running_var") and not bool((buffer >= 0).all()):
            raise FormatError("a running variance is negative or NaN", where=name)
        if name.endswith("num_batches_tracked") and not bool((buffer >= 0).all()):
            raise FormatError("a count of batches is negative", where=name)


@architecture("ctgan.generator/1", finish=_check_values)
class Generator(nn.Module):
    """(N, embedding_dim) float32 -> (N, data_dim) raw outputs, before any activation.

    ``embedding_dim`` is the width of the input: noise and condition together. Raises FormatError for widths out of
    range.
    """

    def __init__(self, embedding_dim: int, generator_dim: list[int], data_dim: int) -> None:
        super().__init__()
        config = {"embedding_dim": embedding_dim, "generator_dim": list(generator_dim), "data_dim": data_dim}
        fields = Fields(config, "config")
        width = fields.integer("embedding_dim", minimum=1, maximum=WIDTH_LIMIT)
        blocks: list[nn.Module] = []
        for size in fields.integers("generator_dim", minimum=1, maximum=WIDTH_LIMIT, max_items=DEPTH_LIMIT):
            blocks.append(Residual(width, size))
            width += size
        blocks.append(nn.Linear(width, fields.integer("data_dim", minimum=1, maximum=WIDTH_LIMIT)))
        self.seq = nn.Sequential(*blocks)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Raw outputs for rows of noise and condition."""
        result: torch.Tensor = self.seq(rows)
        return result

    def unrolled(self, *, noise_dim: int, batch: int | None) -> Unrolled:
        """The same function for one-hot or constant conditions, faster, with the weights as they are now."""
        *blocks, last = self.seq
        assert isinstance(last, nn.Linear)
        return Unrolled(
            [(block.fc, block.bn) for block in blocks if isinstance(block, Residual)],
            last,
            noise_dim=noise_dim,
            batch=batch,
        )
