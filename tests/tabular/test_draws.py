"""Random numbers that a seed and a block decide."""

from __future__ import annotations

import numpy as np
import pytest

from modelcrate.errors import UsageError
from modelcrate.tabular.draws import CounterDraws, key_of


@pytest.mark.parametrize(
    "shares", [[0.5, 0.5], [0.9, 0.09, 0.01], [0.25, 0.0005, 0.7495], [1 / 40] * 40], ids=lambda x: str(len(x))
)
def test_the_greatest_of_logits_and_gumbel_noise_is_a_draw_from_their_softmax(shares: list[float]) -> None:
    rows = 200_000
    logits = np.log(np.array(shares, dtype=np.float32)) + np.float32(3.0)
    drawn = np.argmax(logits + CounterDraws(5, len(shares)).gumbel((rows, len(shares))), axis=1)
    counts = np.bincount(drawn, minlength=len(shares))
    expected = rows * np.array(shares)
    statistic = float((((counts - expected) ** 2) / expected).sum())
    freedom = len(shares) - 1
    assert statistic < freedom + 5 * np.sqrt(2 * freedom)  # five standard deviations of chi-square


def test_gumbel_noise_has_its_mean_and_deviation_and_never_wins_for_certain() -> None:
    noise = CounterDraws(1, 0).gumbel((1_000_000,))
    assert noise.dtype == np.float32
    assert not np.isnan(noise).any()
    assert not np.isposinf(noise).any()
    finite = noise[np.isfinite(noise)].astype(float)
    assert len(finite) > 999_000
    assert finite.mean() == pytest.approx(np.euler_gamma, abs=0.01)
    assert finite.std() == pytest.approx(np.pi / np.sqrt(6), abs=0.01)


def test_a_block_can_be_drawn_without_those_before_it() -> None:
    alone = CounterDraws(7, 3, stream=2).gumbel((4, 5))
    assert np.array_equal(alone, CounterDraws(7, 3, stream=2).gumbel((4, 5)))
    assert not np.array_equal(alone, CounterDraws(7, 4, stream=2).gumbel((4, 5)))
    assert not np.array_equal(alone, CounterDraws(7, 3, stream=1).gumbel((4, 5)))


@pytest.mark.parametrize("seed", [True, 1.0, "1", -1, 2**64], ids=repr)
def test_a_seed_is_one_word_without_a_sign(seed: object) -> None:
    with pytest.raises(UsageError, match="seed"):
        key_of(seed)  # type: ignore[arg-type]  # as a user may
    assert key_of(np.int64(7)) == 7
