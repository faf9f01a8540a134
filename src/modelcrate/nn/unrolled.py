"""A generator's forward pass for conditions that are one-hot or the same for every row, which sampling's are.

A residual block passes its input on, so a condition of hundreds of columns is multiplied anew in every layer although
all but one of its entries are zero. Here its part of each layer is looked up, the noise meets all layers in one
product, each block adds its share to the layers after it where they lie, and running statistics are folded into the
weights. The same function up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class Unrolled:
    """Residual blocks, each a linear layer with its batch norm, and a last linear layer, as they are at construction.

    ``noise_dim``: how many columns of the input are noise, the rest is the condition. ``batch``: rows that share their
    statistics where those of the batch are used, None for running statistics.
    """

    def __init__(
        self,
        blocks: Sequence[tuple[nn.Linear, nn.BatchNorm1d]],
        last: nn.Linear,
        *,
        noise_dim: int,
        batch: int | None,
    ) -> None:
        self._batch = batch
        self._norms = [norm for _, norm in blocks]
        with torch.inference_mode():
            layers = [_folded(linear, norm if batch is None else None) for linear, norm in blocks]
            layers.append(_folded(last, None))
            # each block puts its outputs before its input: [block k, ..., block 1, noise, condition]
            width = layers[0][0].shape[1]
            inputs = torch.cat([weight[:, weight.shape[1] - width :] for weight, _ in layers])
            self._noise = inputs[:, :noise_dim].t().contiguous()
            self._condition = inputs[:, noise_dim:].t().contiguous()
            self._bias = torch.cat([bias for _, bias in layers])
            self._biased = self._condition + self._bias
            self._onwards = [
                torch.cat([_share(weight, k, blocks) for weight, _ in layers[k + 1 :]]).t().contiguous()
                for k in range(len(blocks))
            ]

    def __call__(self, noise: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
        """Raw outputs, float32 of shape (n, data_dim), for noise, float32 of shape (n, noise_dim).

        ``condition``: int64 of shape (n,), the position of each row's one; float32 of shape (width,), the same for all
        rows; or None for no condition. n is a multiple of ``batch``.
        """
        with torch.inference_mode():
            bias = self._bias
            if condition is not None and condition.is_floating_point():
                bias = bias + condition @ self._condition
            # every layer's share of the input
            if condition is not None and not condition.is_floating_point():
                sums = self._biased.index_select(0, condition).addmm_(noise, self._noise)
            else:
                sums = torch.addmm(bias, noise, self._noise)
            for norm, onwards in zip(self._norms, self._onwards, strict=True):
                part = sums[:, : norm.num_features]
                part = part.relu_() if self._batch is None else _normalised(part, norm, self._batch).relu_()
                sums = sums[:, norm.num_features :]
                sums.addmm_(part, onwards)
            return sums


def _share(weight: torch.Tensor, block: int, blocks: Sequence[tuple[nn.Linear, nn.BatchNorm1d]]) -> torch.Tensor:
    """The columns of a later layer's weight which meet a block's outputs; those of blocks in between come first."""
    sizes = [linear.out_features for linear, _ in blocks]
    width = blocks[0][0].in_features
    stop = weight.shape[1] - width - sum(sizes[:block])
    return weight[:, stop - sizes[block] : stop]


def _folded(linear: nn.Linear, norm: nn.BatchNorm1d | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of a linear layer followed by running statistics."""
    if norm is None:
        return linear.weight.data, linear.bias.data
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = torch.rsqrt(norm.running_var + norm.eps) * norm.weight
    return linear.weight * scale[:, None], torch.addcmul(norm.bias, linear.bias - norm.running_mean, scale)


def _normalised(rows: torch.Tensor, norm: nn.BatchNorm1d, batch: int) -> torch.Tensor:
    """Rows, shape (n, width), by the mean and variance of each ``batch`` of them."""
    groups = rows.reshape(-1, batch, rows.shape[1])
    # means as products: ten times as fast as var_mean over the middle dimension
    share = groups.new_full((len(groups), 1, batch), 1.0 / batch)
    groups = groups - torch.bmm(share, groups)
    scale = torch.rsqrt(torch.bmm(share, groups * groups) + norm.eps) * norm.weight
    return torch.addcmul(norm.bias, groups, scale).view_as(rows)
