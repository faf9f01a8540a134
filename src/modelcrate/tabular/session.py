"""What a table draws from by itself, call after call: a generator per column in a replay, and makers of identifiers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from modelcrate.format.document import Fields
from modelcrate.tabular.draws import Draws, LegacyDraws, Reversal
from modelcrate.tabular.randomstate import Twister

if TYPE_CHECKING:
    from modelcrate.tabular.sources import Maker
    from modelcrate.tabular.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class States:
    """Where one column's own generators stood: ``reverse`` decodes sampled cells, ``forward`` encodes known ones.

    A model that takes no known cells needs no ``forward``.
    """

    reverse: Twister
    forward: Twister | None = None

    @classmethod
    def from_document(cls, fields: Fields) -> States:
        """Read them. Raises :class:`FormatError`."""
        found = cls(
            reverse=Twister.from_document(fields.value("reverse"), fields.path("reverse")),
            forward=fields.optional(
                "forward", lambda name: Twister.from_document(fields.value(name), fields.path(name)), None
            ),
        )
        fields.finish()
        return found

    def to_document(self) -> dict[str, Any]:
        """The states in format values."""
        found = {"reverse": self.reverse.to_document()}
        return found if self.forward is None else {**found, "forward": self.forward.to_document()}


@dataclass(slots=True, kw_only=True)
class Session:
    """Generators that go on from call to call; by column for those that have one, else those that are handed in."""

    makers: dict[str, Maker] = field(default_factory=dict)
    reversing: dict[int, Draws] = field(default_factory=dict)
    forwarding: dict[int, Draws] = field(default_factory=dict)

    @classmethod
    def start(cls, table: Table, random: Random) -> Session:
        """A fresh one that ``random`` decides."""
        fields = [each for each in table.fields if each.source is not None]
        return cls(makers={each.name: each.source.start(random) for each in fields if each.source is not None})

    @classmethod
    def resume(cls, table: Table) -> Session:
        """One that goes on where the original stood when it was saved."""
        found = cls()
        for each in table.fields:
            if each.source is not None:
                found.makers[each.name] = each.source.resume()
        for position, column in enumerate(table.columns):
            if column.states is not None:
                found.reversing[position] = LegacyDraws(column.states.reverse.start())
                if column.states.forward is not None:
                    found.forwarding[position] = LegacyDraws(column.states.forward.start())
        return found

    def reversal(self, position: int, how: Reversal) -> Reversal:
        """How the column at this position is turned back."""
        draws = self.reversing.get(position)
        return how if draws is None else replace(how, draws=draws)

    def draws(self, position: int, given: Draws) -> Draws:
        """What known cells of the column at this position are encoded with."""
        return self.forwarding.get(position, given)

    def skip(self, rows: int) -> None:
        """Go on as if so many rows had been made."""
        for maker in self.makers.values() if rows else ():
            maker.skip(rows)

    def made(self, rows: int, known: Mapping[str, object]) -> dict[str, pd.Series]:
        """The next ``rows`` cells of each field that no model learns, those that are ``known`` aside."""
        found: dict[str, pd.Series] = {}
        for name, maker in self.makers.items():
            if name in known:
                cells = np.full(rows, None, dtype=object)
                cells[:] = [known[name]] * rows
            else:
                cells = maker.take(rows) if rows else np.empty(0, dtype=object)
            found[name] = pd.Series(cells, dtype=object)
        return found
