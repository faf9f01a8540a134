"""Anonymised columns: their cells are made up afresh for every sample, by the Faker package.

What to make up is a name in a file, so it is looked up in a literal table and never resolved beyond it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final, TypeAlias

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.format.document import Fields, kind_of
from modelcrate.tabular.providers import ARGUMENTS, PROVIDERS, Choice, Number, Text

Argument: TypeAlias = "str | int"

_LOCALE: Final = re.compile(r"[a-z]{2,3}(_[A-Z][A-Za-z]{1,3})?")
_LOCALES_LIMIT: Final = 64
_ARGUMENTS_LIMIT: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Anonymiser:
    """One column's source of made-up values: a Faker ``provider``, its arguments, locales (none: Faker's default)."""

    provider: str
    arguments: tuple[Argument, ...] = ()
    locales: tuple[str, ...] = ()

    @classmethod
    def from_document(cls, fields: Fields) -> Anonymiser:
        """Read ``{"provider": "name", "arguments": [], "locales": []}``.

        Raises :class:`FormatError`, and :class:`UnsupportedError` for a provider or an argument outside the tables.
        """
        provider = fields.text("provider", max_length=256)
        if provider not in PROVIDERS:
            raise UnsupportedError(
                f"no known kind of made-up value: {provider!r}",
                where=fields.path("provider"),
                hint="supported are the standard providers of Faker that give text, numbers or dates",
            )
        arguments: list[Argument] = []
        allowed = ARGUMENTS.get(provider, ())
        for position, (where, item) in enumerate(fields.each("arguments", max_items=_ARGUMENTS_LIMIT)):
            if position >= len(allowed):
                raise UnsupportedError(f"{provider!r} with {position + 1} arguments", where=where)
            arguments.append(_argument(item, allowed[position], where))
        locales = fields.texts("locales", max_items=_LOCALES_LIMIT)
        for locale in locales:
            if _LOCALE.fullmatch(locale) is None:
                raise FormatError(f"not a locale: {locale!r}", where=fields.path("locales"))
        fields.finish()
        return cls(provider=provider, arguments=tuple(arguments), locales=tuple(dict.fromkeys(locales)))

    def to_document(self) -> dict[str, Any]:
        return {"provider": self.provider, "arguments": list(self.arguments), "locales": list(self.locales)}

    def values(self, count: int, *, random: Random) -> list[object]:
        """``count`` values that ``random`` alone decides: text, numbers, dates.

        ``Random(seed)`` gives what the same release of Faker gives after ``Faker.seed(seed)``. Raises
        :class:`UnsupportedError` without Faker, and where the installed release lacks the provider or a locale.
        """
        makers = self._makers(random)
        try:
            return [(makers[0] if len(makers) == 1 else random.choice(makers))(*self.arguments) for _ in range(count)]
        except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise UnsupportedError(f"Faker can't make values of {self.provider!r}: {error}") from None

    def _makers(self, random: Random) -> list[Any]:
        fakers = load_fakers(self.locales, [random] * max(len(self.locales), 1))
        # the name is one of PROVIDERS, which from_document and this check see to
        known = self.provider in PROVIDERS
        makers = [getattr(faker, self.provider) for faker in fakers if known and hasattr(faker, self.provider)]
        if not makers:
            raise UnsupportedError(f"the installed Faker has no provider {self.provider!r} for these locales")
        return makers


def load_fakers(locales: Sequence[str], randoms: Sequence[Random]) -> list[Any]:
    """One Faker for each locale (none: the default one), each with the generator at its place.

    Raises :class:`UnsupportedError` without Faker, and where the installed release lacks a locale.
    """
    try:
        from faker import Faker
        from faker.config import AVAILABLE_LOCALES
    except ImportError:
        raise UnsupportedError(
            "an anonymised column needs the Faker package", hint="pip install 'modelcrate[faker]'"
        ) from None
    unknown = [locale for locale in locales if locale not in AVAILABLE_LOCALES]
    if unknown:
        raise UnsupportedError(f"the installed Faker has no locale {unknown[0]!r}")
    fakers: list[Any] = [Faker(locale) for locale in locales] or [Faker()]
    for faker, random in zip(fakers, randoms, strict=True):
        faker.random = random
    return fakers


def _argument(item: object, allowed: Number | Text | Choice, where: str) -> Argument:
    if isinstance(allowed, Number):
        if type(item) is not int:
            raise FormatError(f"expected an integer, found {kind_of(item)}", where=where)
        if not allowed.least <= item <= allowed.most:
            raise FormatError(f"must be between {allowed.least} and {allowed.most}", where=where)
        return item
    if type(item) is not str:
        raise FormatError(f"expected text, found {kind_of(item)}", where=where)
    if isinstance(allowed, Choice) and item not in allowed.options:
        raise FormatError(f"{item!r} is not one of {', '.join(allowed.options)}", where=where)
    if isinstance(allowed, Text) and len(item) > allowed.longest:
        raise FormatError(f"text longer than {allowed.longest} characters", where=where)
    return item
