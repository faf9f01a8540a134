"""The generator's faster form is the same function as its forward pass."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from modelcrate.nn.generator import Generator

NOISE, CATEGORIES, BATCH = 7, 11, 6


def trained(generator_dim: list[int], width: int) -> Generator:
    torch.manual_seed(len(generator_dim))
    generator = Generator(embedding_dim=width, generator_dim=generator_dim, data_dim=9)
    for module in generator.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
            module.running_mean = torch.randn(module.num_features)
            module.running_var = torch.rand(module.num_features) + 0.1
    return generator


def forward(generator: Generator, rows: torch.Tensor, batch: int | None) -> torch.Tensor:
    if batch is None:
        return generator.eval()(rows)
    generator.train()
    return torch.cat([generator(rows[start:stop]) for start, stop in pairwise(range(0, len(rows) + 1, batch))])


@pytest.mark.parametrize("batch", [None, BATCH])
@pytest.mark.parametrize("generator_dim", [[], [5], [8, 3], [4, 6, 5]], ids=str)
@pytest.mark.parametrize("condition", ["none", "one-hot", "constant"])
@torch.no_grad()
def test_the_same_outputs_as_the_forward_pass(generator_dim: list[int], condition: str, batch: int | None) -> None:
    width = NOISE if condition == "none" else NOISE + CATEGORIES
    generator = trained(generator_dim, width)
    noise = torch.randn(3 * BATCH, NOISE)
    asked, beside = None, torch.empty(3 * BATCH, 0)
    if condition == "one-hot":
        asked = torch.randint(0, CATEGORIES, (3 * BATCH,))
        beside = nn.functional.one_hot(asked, CATEGORIES).float()
    elif condition == "constant":
        asked = torch.randn(CATEGORIES)
        beside = asked.expand(3 * BATCH, CATEGORIES)
    fast = generator.unrolled(noise_dim=NOISE, batch=batch)
    expected = forward(generator, torch.cat([noise, beside], dim=1), batch)
    torch.testing.assert_close(fast(noise, asked), expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_it_holds_the_weights_as_they_were() -> None:
    generator = trained([4], NOISE)
    noise = torch.randn(BATCH, NOISE)
    fast = generator.unrolled(noise_dim=NOISE, batch=None)
    before = fast(noise, None)
    generator.seq[0].fc.weight.add_(1.0)
    assert torch.equal(fast(noise, None), before)
