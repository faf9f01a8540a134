"""Cells that the Faker package makes up, as often as the values of the original occurred, some of them missing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.format.document import Fields
from modelcrate.tabular.anonymisation import load_fakers
from modelcrate.tabular.cells import CATEGORIES_LIMIT
from modelcrate.tabular.draws import LegacyDraws
from modelcrate.tabular.keywords import KNOWN, Value, checked
from modelcrate.tabular.randomstate import WORDS, Twister
from modelcrate.tabular.sources.base import Left, Maker, Repeats, Source, cells, is_cell, own
from modelcrate.tabular.sources.pattern import RULES

ATTEMPTS = 1000
"""Draws after which Faker gives up to find a value that it has not given yet."""
LOCALES_LIMIT = 64
LOCALE = re.compile(r"[a-z]{2,3}(_[A-Z][A-Za-z]{1,3})?")
STAND_IN = ("bothify", (("text", "??????"),))
"""What stands in where no new value is found: six letters."""


class Exhausted(Exception):
    """No value was found that had not been given yet."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Twisted:
    """The state of one of Python's own generators: ``key``, uint32 of shape (624,), and where it stands."""

    key: np.ndarray
    position: int

    @classmethod
    def from_document(cls, fields: Fields) -> Twisted:
        """Read one. Raises :class:`FormatError`."""
        found = cls(
            key=fields.array("key", dtype="uint32"), position=fields.integer("position", minimum=0, maximum=WORDS)
        )
        fields.finish()
        if len(found.key) != WORDS:
            raise FormatError(f"needs {WORDS} words", where=fields.path("key"))
        return found

    def to_document(self) -> dict[str, Any]:
        """The state in format values."""
        return {"key": self.key, "position": self.position}

    def start(self) -> Random:
        """A generator that goes on from here."""
        random = Random()
        random.setstate((3, (*self.key.tolist(), self.position), None))
        return random


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MadeUp(Source):
    """A Faker ``provider`` out of a closed table, its named arguments, its locales (none: Faker's default).

    ``missing`` is the share of cells that are missing, None where no cell ever is. Where the original stood: ``seed``
    was Faker's, ``twisted`` the generators of its locales where they had gone on, ``seen`` what it had given,
    ``values`` what it repeats by the rule ``match`` (with ``renews`` others in every call), ``left`` by ``scale``;
    ``state`` the generator for all else.
    """

    tag: ClassVar[str] = "made_up"
    provider: str
    keywords: tuple[tuple[str, Value], ...]
    locales: tuple[str, ...]
    rule: str
    missing: float | None
    distinct: int | None
    repeats: Repeats | None
    seed: int | None
    twisted: tuple[Twisted, ...]
    seen: tuple[object, ...]
    stood_in: tuple[object, ...]
    values: tuple[object, ...] | None
    left: Left
    state: Twister
    renews: bool = False

    @classmethod
    def from_document(cls, fields: Fields) -> MadeUp:
        provider = fields.text("provider", max_length=256)
        if provider not in KNOWN:
            raise UnsupportedError(
                f"no known kind of made-up value: {provider!r}",
                where=fields.path("provider"),
                hint="supported are the providers of Faker that give text, numbers or dates",
            )
        keywords = fields.fields("keywords")
        found = cls(
            provider=provider,
            keywords=tuple(
                (name, checked(provider, name, keywords.value(name), keywords.path(name)))
                for name in sorted(keywords.names())
            ),
            locales=fields.texts("locales", max_items=LOCALES_LIMIT),
            rule=fields.text("rule", choices=RULES),
            missing=fields.nullable("missing", lambda name: fields.number(name, minimum=0.0, maximum=1.0)),
            distinct=fields.nullable(
                "distinct", lambda name: fields.integer(name, minimum=0, maximum=CATEGORIES_LIMIT)
            ),
            repeats=fields.nullable("repeats", lambda name: Repeats.from_document(fields.fields(name))),
            seed=fields.nullable("seed", lambda name: fields.integer(name, minimum=0, maximum=2**32 - 1)),
            twisted=tuple(
                Twisted.from_document(item) for item in fields.each_fields("twisted", max_items=LOCALES_LIMIT)
            ),
            seen=_cells(fields, "seen"),
            stood_in=_cells(fields, "stood_in"),
            values=fields.nullable("values", lambda name: _cells(fields, name)),
            left=Left.from_document(fields, "left"),
            state=Twister.from_document(fields.value("state"), fields.path("state")),
            renews=fields.optional("renews", fields.boolean, False),
        )
        fields.finish()
        for locale in found.locales:
            if LOCALE.fullmatch(locale) is None:
                raise FormatError(f"not a locale: {locale!r}", where=fields.path("locales"))
        if len(set(found.locales)) != len(found.locales):
            raise FormatError("the same locale twice", where=fields.path("locales"))
        if (found.rule == "match") != (found.distinct is not None):
            raise FormatError("a number of values belongs to the rule 'match'", where=fields.path("distinct"))
        if (found.rule == "scale") != (found.repeats is not None):
            raise FormatError("repetitions belong to the rule 'scale'", where=fields.path("repeats"))
        if found.twisted and len(found.twisted) != max(len(found.locales), 1):
            raise FormatError("needs one generator per locale", where=fields.path("twisted"))
        return found

    def to_document(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "type": self.tag,
            "provider": self.provider,
            "keywords": dict(self.keywords),
            "locales": list(self.locales),
            "rule": self.rule,
            "missing": self.missing,
            "distinct": self.distinct,
            "repeats": None if self.repeats is None else self.repeats.to_document(),
            "seed": self.seed,
            "twisted": [each.to_document() for each in self.twisted],
            "seen": list(self.seen),
            "stood_in": list(self.stood_in),
            "values": None if self.values is None else list(self.values),
            "left": self.left.to_document(),
            "state": self.state.to_document(),
        }
        return {**document, "renews": True} if self.renews else document

    def derived(self) -> list[tuple[str, int]]:
        found = [("frequency", 1)] if self.missing is not None else []
        if self.distinct is not None:
            found.append(("count", 1))
        return found + ([] if self.repeats is None else [("frequency", len(self.repeats.counts))])

    @property
    def unique(self) -> bool:
        return self.rule == "unique" and not self.missing

    def resume(self) -> Maker:
        count = max(len(self.locales), 1)
        if not self.twisted and self.seed is None:
            raise UnsupportedError(
                "made-up values of this model can't be replayed: its release draws them without a seed",
                where=f"provider {self.provider!r}",
                hint="sample with seed= instead",
            )
        randoms = [each.start() for each in self.twisted] or [Random(self.seed) for _ in range(count)]
        return _Resumed(self, randoms)

    def start(self, random: Random) -> Maker:
        mine = own(random)
        return _Fresh(self, mine)


def _cells(fields: Fields, name: str) -> tuple[object, ...]:
    found: list[object] = []
    for where, item in fields.each(name, max_items=CATEGORIES_LIMIT):
        if not is_cell(item):
            raise FormatError("expected a cell", where=where)
        found.append(item)
    return tuple(found)


class _Faker:
    """One value after another; with ``distinct`` none that was given before."""

    def __init__(self, source: MadeUp, randoms: list[Random]) -> None:
        self.source = source
        self.first = randoms[0]
        self.fakers = load_fakers(source.locales, randoms)
        self.seen: dict[object, set[object]] = {}

    def value(self, *, distinct: bool) -> object:
        """Raises :class:`Exhausted`, and UnsupportedError where Faker can't."""
        return self._made(self.source.provider, self.source.keywords, distinct)

    def stand_in(self) -> object:
        """Six letters that were not given before."""
        return self._made(*STAND_IN, True)

    def _made(self, provider: str, keywords: tuple[tuple[str, Value], ...], distinct: bool) -> object:
        # the name is one of the closed table, which from_document and this check see to
        able = [faker for faker in self.fakers if provider in KNOWN and hasattr(faker, provider)]
        if not able:
            what = f"the installed Faker has no provider {provider!r} for these locales"
            raise UnsupportedError(what, where="source")
        make = getattr(able[0] if len(able) == 1 else self.first.choice(able), provider)
        try:
            if not distinct:
                return _joined(make(**dict(keywords)))
            seen = self.seen.setdefault((provider, keywords), set())
            for _ in range(ATTEMPTS - 1):
                value = make(**dict(keywords))
                if _hashable(value) not in seen:
                    seen.add(_hashable(value))
                    return _joined(value)
            make(**dict(keywords))  # the original draws once more before it gives up
        except Exception as error:  # some providers raise nothing more specific
            raise UnsupportedError(f"Faker can't make values of {provider!r}: {error}", where="source") from None
        raise Exhausted


def _joined(value: object) -> object:
    if isinstance(value, Iterable) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return value


def _hashable(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


class _Resumed(Maker):
    """Repeats the original call by call: how many cells are asked for at a time decides what comes."""

    def __init__(self, source: MadeUp, randoms: list[Random]) -> None:
        self.source = source
        self.draws = LegacyDraws(source.state.start())
        self.faker = _Faker(source, randoms)
        self.faker.seen = {
            (source.provider, source.keywords): set(source.seen),
            STAND_IN: set(source.stood_in),
        }
        self.left = source.left.copy()
        self.values: list[object] | None = None if source.values is None else list(source.values)

    def take(self, rows: int) -> np.ndarray:
        gaps = 0 if self.source.missing is None else int(self.source.missing * rows)
        if self.source.rule in ("match", "scale"):
            found: list[object] = [np.nan] * gaps
            if rows <= gaps:
                return cells(found)
            found += self._matching(rows - gaps) if self.source.rule == "match" else self._scaled(rows - gaps)
            found = [found[place] for place in self.draws.permutation(len(found))]
        else:
            found = self._plain(rows)
        whole = cells(found)
        if self.source.missing is not None and not bool(pd.isna(whole).any()):
            whole[self.draws.permutation(rows)[:gaps]] = np.nan
        return whole

    def _plain(self, rows: int) -> list[object]:
        found: list[object] = []
        try:
            while len(found) < rows:
                found.append(self.faker.value(distinct=self.source.rule == "unique"))
        except Exhausted:
            while len(found) < rows:
                found.append(self._stand_in())
        return found

    def _stand_in(self) -> object:
        try:
            return self.faker.stand_in()
        except Exhausted:
            raise UnsupportedError("Faker finds no more values that it has not given yet") from None

    def _value(self) -> object:
        try:
            return self.faker.value(distinct=True)
        except Exhausted:
            raise UnsupportedError(f"Faker finds no more different values of {self.source.provider!r}") from None

    def _matching(self, rows: int) -> list[object]:
        assert self.source.distinct is not None
        if not self.source.distinct or self.values == []:
            raise UnsupportedError("no values to repeat", where=f"provider {self.source.provider!r}")
        if self.source.renews:
            new = [self._value() for _ in range(min(rows, self.source.distinct))]
            if rows < self.source.distinct:
                return new
            return new + [new[place] for place in self.draws.integers(len(new), rows - len(new))]
        if self.values is None:
            self.values = [self._value() for _ in range(self.source.distinct)]
        values = self.values
        if rows <= len(values):
            return [values[place] for place in self.draws.permutation(len(values))[:rows]]
        return values + [values[place] for place in self.draws.integers(len(values), rows - len(values))]

    def _scaled(self, rows: int) -> list[object]:
        assert self.source.repeats is not None
        if self.left.times >= rows:
            return self.left.take(rows)
        found = self.left.take(rows)
        while len(found) < rows:
            value = self._value()
            times = self.source.repeats.draw(float(self.draws.uniform(1)[0]))
            found += self.left.add(value, times, rows - len(found))
        return found


class _Fresh(Maker):
    """Cell ``i`` does not depend on how many are taken at a time."""

    def __init__(self, source: MadeUp, random: Random) -> None:
        self.source = source
        self.random = random
        seed = random.getrandbits(64)
        self.faker = _Faker(source, [Random(f"{seed} {place}") for place in range(max(len(source.locales), 1))])
        self.left = Left()
        self.values: list[object] = []
        self.exhausted = False

    def take(self, rows: int) -> np.ndarray:
        return cells([self._cell() for _ in range(rows)])

    def _cell(self) -> object:
        if self.source.missing and self.random.random() < self.source.missing:
            return np.nan
        if self.source.rule == "any":
            return self.faker.value(distinct=False)
        if self.source.rule == "unique":
            return self._new()
        if self.source.rule == "match":
            if len(self.values) < max(self.source.distinct or 1, 1):
                self.values.append(self._new())
                return self.values[-1]
            return self.values[self.random.randrange(len(self.values))]
        assert self.source.repeats is not None
        if not self.left.times:
            self.left = Left(value=self._new(), times=self.source.repeats.draw(self.random.random()))
        return self.left.take(1)[0]

    def _new(self) -> object:
        """A value that was not given yet; six letters where the provider has no more."""
        if not self.exhausted:
            try:
                return self.faker.value(distinct=True)
            except Exhausted:
                self.exhausted = True
        try:
            return self.faker.stand_in()
        except Exhausted:
            raise UnsupportedError("Faker finds no more values that it has not given yet") from None
