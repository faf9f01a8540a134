"""A Gaussian copula that makes rows: the synthesizer without a network."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

import pandas as pd
import torch

from modelcrate.errors import MismatchError
from modelcrate.tabular.copula.config import CopulaConfig
from modelcrate.tabular.copula.core import JointCore
from modelcrate.tabular.copula.joint import Joint
from modelcrate.tabular.draws import CounterDraws, Reversal
from modelcrate.tabular.randomstate import RandomState
from modelcrate.tabular.session import Session
from modelcrate.tabular.synthesizer import Synthesizer
from modelcrate.tabular.table import Table


class CopulaSynthesizer(Synthesizer):
    """A trained Gaussian copula. Made by :func:`modelcrate.load`; safe to use from several threads.

    Known cells of ``conditions=`` are conditioned on in the joint distribution; rows that do not have them after all,
    and those that constraints refuse, are drawn again. Raises :class:`MismatchError` where the parts do not fit.
    """

    # what needs the two of a network is defined anew below
    core: JointCore  # type: ignore[assignment]  # in the place of a Core
    config: CopulaConfig  # type: ignore[assignment]  # in the place of a Config

    def __init__(
        self, *, joint: Joint, table: Table, config: CopulaConfig, random_state: RandomState | None = None
    ) -> None:
        check_copula(joint=joint, table=table)
        self.core = JointCore(joint, config)
        self.table = table
        self.config = config
        self.random_state = random_state
        self.hyperparameters: Mapping[str, Any] = {}

    @property
    def device(self) -> torch.device:
        """The CPU: there is no network."""
        return torch.device("cpu")

    def derived(self) -> list[tuple[str, str, int]]:
        return [*self.table.derived(), *self.core.joint.derived()]

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
        normal, cells = self.core.given(known)
        root = self.core.root(normal)
        for number in itertools.count(first) if last is None else range(first, last + 1):
            draws = CounterDraws(key, number, stream=stream)
            modelled = self.core.block(draws, normal, root, cells)
            random = Random(f"{key} {stream} {number}")
            how = Reversal(draws=draws)
            yield self.table.reverse(modelled, self.core.block_rows, how, random, session, counted=False)

    def refuse_unseen(self, known: Mapping[str, object]) -> None:
        """No network: whatever the table has can be asked for."""


def check_copula(*, joint: Joint, table: Table) -> None:
    """Raise :class:`MismatchError` where the joint distribution has a column that the table does not make."""
    outputs = set(table.outputs)
    unknown = [name for name in joint.names if name not in outputs]
    if unknown:
        raise MismatchError(
            f"the joint distribution has a column {unknown[0]!r} that the table does not make", where="joint"
        )
