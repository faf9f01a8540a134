"""Identifiers by a regular expression, in order or scrambled, as often as the values of the original occurred.

Where more are asked for than the expression describes, numbers go on behind the last one, or values get a counter.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

import numpy as np

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields
from modelcrate.tabular.cells import CATEGORIES_LIMIT
from modelcrate.tabular.draws import LegacyDraws
from modelcrate.tabular.identifiers import Texts, enumerate_pattern
from modelcrate.tabular.randomstate import SEED_BOUND, Twister
from modelcrate.tabular.sources.base import BLOCK, Left, Maker, Repeats, Source, cells, own, read_count

DIGITS_LIMIT = 4000
"""Digits of a number that is counted up; Python writes none of more than 4300."""
SINGLE_LIMIT = 32
"""Texts up to which those of a scrambled block are made one by one."""
RULES = ("any", "unique", "match", "scale")
"""Values may repeat, never do, are as many as the original had, or repeat as often as the original's did."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pattern(Source):
    """``pattern`` is only parsed, never compiled. ``distinct`` and ``repeats`` belong to the rules that need them.

    Where the original stood: ``capacity`` is how many texts it counts on, ``made`` and ``spare`` how many it made of
    the expression and beyond it, ``left`` what the last value still repeats; ``seed`` and ``state`` its generator.
    ``restarts``: it begins anew as soon as the expression has too few texts left, also where none is to occur twice.
    """

    tag: ClassVar[str] = "pattern"
    pattern: str
    rule: str
    scrambled: bool
    distinct: int | None
    repeats: Repeats | None
    capacity: float
    made: int
    spare: int
    left: Left
    seed: int
    state: Twister
    texts: Texts
    restarts: bool = False

    @classmethod
    def from_document(cls, fields: Fields) -> Pattern:
        pattern = fields.text("pattern")
        found = cls(
            pattern=pattern,
            rule=fields.text("rule", choices=RULES),
            scrambled=fields.boolean("scrambled"),
            distinct=fields.nullable(
                "distinct", lambda name: fields.integer(name, minimum=1, maximum=CATEGORIES_LIMIT)
            ),
            repeats=fields.nullable("repeats", lambda name: Repeats.from_document(fields.fields(name))),
            capacity=fields.number("capacity", minimum=0.0),
            made=read_count(fields, "made"),
            spare=read_count(fields, "spare"),
            left=Left.from_document(fields, "left"),
            seed=fields.integer("seed", minimum=0, maximum=SEED_BOUND - 1),
            state=Twister.from_document(fields.value("state"), fields.path("state")),
            texts=enumerate_pattern(pattern, where=fields.path("pattern"), grouped=True),
            restarts=fields.optional("restarts", fields.boolean, False),
        )
        fields.finish()
        if (found.rule == "match") != (found.distinct is not None):
            raise FormatError("a number of values belongs to the rule 'match'", where=fields.path("distinct"))
        if (found.rule == "scale") != (found.repeats is not None):
            raise FormatError("repetitions belong to the rule 'scale'", where=fields.path("repeats"))
        if found.left.value is not None and type(found.left.value) is not str:
            raise FormatError("expected text", where=fields.path("left"))
        if found.made > found.texts.size:
            raise FormatError("more were made than the expression describes", where=fields.path("made"))
        return found

    def to_document(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "type": self.tag,
            "pattern": self.pattern,
            "rule": self.rule,
            "scrambled": self.scrambled,
            "distinct": self.distinct,
            "repeats": None if self.repeats is None else self.repeats.to_document(),
            "capacity": self.capacity,
            "made": self.made,
            "spare": self.spare,
            "left": self.left.to_document(),
            "seed": self.seed,
            "state": self.state.to_document(),
        }
        return {**document, "restarts": True} if self.restarts else document

    def derived(self) -> list[tuple[str, int]]:
        found = [("pattern", 1)]
        if self.distinct is not None:
            found.append(("count", 1))
        if self.repeats is not None:
            found.append(("frequency", len(self.repeats.counts)))
        return found

    @property
    def unique(self) -> bool:
        return self.rule == "unique"

    def resume(self) -> Maker:
        return _Resumed(self)

    def start(self, random: Random) -> Maker:
        return _Fresh(self, own(random))

    def values(self, start: int, stop: int) -> list[str]:
        """Distinct values of the rule ``match``, of which there are more than texts where the original had more."""
        assert self.distinct is not None
        stop, size = min(stop, self.distinct), self.texts.size
        found = self.texts.span(start, stop)
        rest = range(max(start, size) - size, stop - size)
        number = number_of(self.texts.text(size - 1)) if rest else None
        if number is not None:
            return found + [str(number + 1 + step) for step in rest]
        some = min(size, self.distinct - size)
        return found + [f"{self.texts.text(step % some)}({step // some})" for step in rest]


def beyond(template: list[str], count: int) -> list[str]:
    """``count`` texts where the expression is exhausted: numbers behind the last, or counters behind each in turn."""
    if count <= 0:
        return []
    number = number_of(template[-1]) if template else None
    if number is not None:
        return [str(number + step) for step in range(1, count + 1)]
    some = template[:count]
    return [f"{some[step % len(some)]}({step // len(some)})" for step in range(count)] if some else []


def number_of(text: str) -> int | None:
    """The whole number that a text writes, as Python reads it; of so many digits that it also writes the next ones."""
    if len(text) > DIGITS_LIMIT:
        return None
    try:
        return int(text)
    except ValueError:
        return None


class _Resumed(Maker):
    """Repeats the original call by call: how many cells are asked for at a time decides what comes."""

    def __init__(self, source: Pattern) -> None:
        self.source = source
        self.texts = source.texts
        self.draws = LegacyDraws(source.state.start())
        # releases that repeat values do not store how far they were, and begin again once they are loaded
        self.made = 0 if source.rule in ("match", "scale") else source.made
        self.spare = source.spare
        self.left = source.left.copy()

    def take(self, rows: int) -> np.ndarray:
        if self.source.rule == "match":
            found: list[object] = self._matching(rows)
        elif self.source.rule == "scale":
            found = self._scaled(rows)
        else:
            found = self._unique(rows) if self.source.unique else self._repeating(rows)
        if self.source.scrambled:
            found = [found[place] for place in self.draws.permutation(len(found))]
        return cells(found)

    def _next(self, count: int) -> list[object]:
        found: list[object] = [*self.texts.span(self.made, self.made + count)]
        self.made += len(found)
        return found

    def _repeating(self, rows: int) -> list[object]:
        if rows > max(self.source.capacity - self.made, 0.0):
            self.made = 0
        return _cycled(self._next(rows) or self._restarted(rows), rows)

    def _restarted(self, rows: int) -> list[object]:
        self.made = 0
        return self._next(rows)

    def _unique(self, rows: int) -> list[object]:
        if self.source.restarts:
            if rows > max(self.source.capacity - self.made, 0.0):
                self.made = 0
            texts = [str(text) for text in self._next(rows) or self._restarted(rows)]
            return [*texts, *beyond(texts, rows - len(texts))]
        found = [] if self.spare else self._next(rows)
        missing = rows - len(found)
        if missing:
            found = found + _spares(self.texts, self.made, self.spare, missing)
            self.spare += missing
        return found

    def _matching(self, rows: int) -> list[object]:
        return _cycled([*self.source.values(0, rows)], rows)

    def _scaled(self, rows: int) -> list[object]:
        repeats = self.source.repeats
        assert repeats is not None
        if self.left.times > rows:
            return self.left.take(rows)
        found = self.left.take(rows)
        template: list[str] = []
        while len(found) < rows:
            value = self._next(1)
            if value:
                template.append(str(value[0]))
                found += self._repeated(value[0], rows - len(found))
            elif template:
                break
            else:
                self.made, self.left.times = 0, 0
                self.draws = LegacyDraws(np.random.RandomState(self.source.seed))
        if len(found) < rows:
            for extra in beyond(template, rows - len(found)):
                if len(found) == rows:
                    break
                found += self._repeated(extra, rows - len(found))
        return found

    def _repeated(self, value: object, rows: int) -> list[object]:
        assert self.source.repeats is not None
        times = self.source.repeats.draw(float(self.draws.uniform(1)[0]))
        return self.left.add(value, times, rows)


class _Fresh(Maker):
    """Cell ``i`` does not depend on how many are taken at a time."""

    def __init__(self, source: Pattern, random: Random) -> None:
        self.source = source
        self.random = random
        self.order = random.getrandbits(64)
        self.row = 0
        self.left = Left()
        self.size = source.texts.size if source.distinct is None else source.distinct
        self.block: tuple[int, list[int]] | None = None

    def take(self, rows: int) -> np.ndarray:
        if self.source.repeats is not None:
            return cells(self._scaled(rows))
        found = self._rows(self.row, self.row + rows)
        self.row += rows
        return cells(found)

    def skip(self, rows: int) -> None:
        if self.source.repeats is not None:
            super().skip(rows)
        else:
            self.row += rows

    def _rows(self, start: int, stop: int) -> list[object]:
        found: list[object] = []
        while start < stop:
            if start >= self.size and self.source.unique:
                return found + _spares(self.source.texts, self.size, start - self.size, stop - start)
            part = self._part(start % self.size, stop - start)
            found += part
            start += len(part)
        return found

    def _part(self, first: int, count: int) -> list[object]:
        """Texts from one number on, at least one of them, up to the end of its block or of all."""
        base = first - first % BLOCK
        last = min(base + BLOCK if self.source.scrambled else self.size, self.size, first + count)
        if not self.source.scrambled:
            return [*self._span(first, last)]
        if self.block is None or self.block[0] != base:
            order = list(range(min(BLOCK, self.size - base)))
            Random(f"{self.order} {base}").shuffle(order)
            self.block = base, order
        places = self.block[1][first - base : last - base]
        if len(places) <= SINGLE_LIMIT:
            return [text for place in places for text in self._span(base + place, base + place + 1)]
        texts = self._span(base, base + len(self.block[1]))
        return [texts[place] for place in places]

    def _span(self, start: int, stop: int) -> list[str]:
        given = self.source
        return given.texts.span(start, stop) if given.distinct is None else given.values(start, stop)

    def _scaled(self, rows: int) -> list[object]:
        assert self.source.repeats is not None
        found = self.left.take(rows)
        while len(found) < rows:
            (value,) = self._part(self.row % self.size, 1)
            self.row += 1
            found += self.left.add(value, self.source.repeats.draw(self.random.random()), rows - len(found))
        return found


def _cycled(values: list[object], rows: int) -> list[object]:
    whole = values * (rows // max(len(values), 1) + 1)
    return whole[:rows]


def _spares(texts: Texts, made: int, spare: int, count: int) -> list[object]:
    """Values of a unique column that its expression does not describe, after ``spare`` of them."""
    number = number_of(texts.text(made - 1)) if made else None
    if number is not None:
        return [str(number + 1 + step) for step in range(spare, spare + count)]
    return [f"{texts.text(step % texts.size)}({step // texts.size})" for step in range(spare, spare + count)]
