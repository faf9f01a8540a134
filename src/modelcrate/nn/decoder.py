"""The decoder of TVAE models: linear layers with ReLU between them, and one standard deviation per output.

The shape of the network is published (Xu et al., "Modeling Tabular Data using Conditional GAN", 2019, section 4.5 and
appendix); parameter names are those that trained models of ctgan use.
"""

from __future__ import annotations

import torch
from torch import nn

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields
from modelcrate.nn.generator import DEPTH_LIMIT, WIDTH_LIMIT
from modelcrate.nn.registry import architecture


def _check_values(module: nn.Module, device: torch.device) -> None:
    """Refuse deviations that no training makes: noise of a negative or infinite width means nothing."""
    sigma = module.get_parameter("sigma")
    if not bool(((sigma >= 0) & torch.isfinite(sigma)).all()):
        raise FormatError("a standard deviation is negative or not finite", where="sigma")


@architecture("ctgan.decoder/1", finish=_check_values)
class Decoder(nn.Module):
    """(N, embedding_dim) float32 -> (N, data_dim) raw outputs, before any activation.

    ``sigma``, shape (data_dim,): the standard deviation of each continuous output around its activated value. Raises
    FormatError for widths out of range.
    """

    def __init__(self, embedding_dim: int, hidden_dim: list[int], data_dim: int) -> None:
        super().__init__()
        config = {"embedding_dim": embedding_dim, "hidden_dim": list(hidden_dim), "data_dim": data_dim}
        fields = Fields(config, "config")
        width = fields.integer("embedding_dim", minimum=1, maximum=WIDTH_LIMIT)
        layers: list[nn.Module] = []
        for size in fields.integers("hidden_dim", minimum=1, maximum=WIDTH_LIMIT, max_items=DEPTH_LIMIT):
            layers += [nn.Linear(width, size), nn.ReLU()]
            width = size
        outputs = fields.integer("data_dim", minimum=1, maximum=WIDTH_LIMIT)
        layers.append(nn.Linear(width, outputs))
        self.seq = nn.Sequential(*layers)
        self.sigma = nn.Parameter(torch.full((outputs,), 0.1))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Raw outputs for rows of noise."""
        result: torch.Tensor = self.seq(rows)
        return result
