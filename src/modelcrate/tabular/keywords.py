"""What providers of Faker may be given by name: a closed table with bounds, as the arguments come from files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.format.document import kind_of
from modelcrate.tabular.local_providers import LOCAL_PROVIDERS
from modelcrate.tabular.providers import ARGUMENTS, PROVIDERS, Choice, Number, Text

Value: TypeAlias = "str | int | float | bool | None"

KNOWN: Final = frozenset((*PROVIDERS, *LOCAL_PROVIDERS))
"""Every provider that a source may name."""


@dataclass(frozen=True, slots=True)
class Truth:
    """True or false."""


Kind: TypeAlias = "Number | Text | Choice | Truth"

_TRUTH: Final = Truth()
_TEMPLATE: Final = Text(longest=255)
_WORD: Final = Text(longest=64)
_WIDE: Final = Number(least=-(2**53), most=2**53)
_AGE: Final = Number(least=0, most=200)
_FEW: Final = Number(least=1, most=1000)
_SINCE: Final[dict[str, Kind]] = {"start_date": _WORD, "end_date": _WORD}
_DECADE: Final[dict[str, Kind]] = {"before_today": _TRUTH, "after_today": _TRUTH}
_MOMENT: Final[dict[str, Kind]] = {"before_now": _TRUTH, "after_now": _TRUTH}
_FLOAT: Final[dict[str, Kind]] = {
    "left_digits": Number(least=0, most=15), "right_digits": Number(least=0, most=15), "positive": _TRUTH,
    "min_value": _WIDE, "max_value": _WIDE,
}  # fmt: skip

KEYWORDS: Final[dict[str, dict[str, Kind]]] = {
    "bothify": {"text": _TEMPLATE, "letters": _TEMPLATE},
    "boolean": {"chance_of_getting_true": Number(least=0, most=100)},
    "pybool": {"truth_probability": Number(least=0, most=100)},
    "credit_card_expire": {"date_format": _WORD},
    "credit_card_full": {"card_type": ARGUMENTS["credit_card_full"][0]},
    "credit_card_number": {"card_type": ARGUMENTS["credit_card_number"][0]},
    "credit_card_provider": {"card_type": ARGUMENTS["credit_card_provider"][0]},
    "credit_card_security_code": {"card_type": ARGUMENTS["credit_card_security_code"][0]},
    "country_code": {"representation": Choice(options=("alpha-2", "alpha-3"))},
    "date": {"pattern": _WORD},
    "date_between": _SINCE,
    "date_time_between": _SINCE,
    "date_of_birth": {"minimum_age": _AGE, "maximum_age": _AGE},
    "date_this_century": _DECADE,
    "date_this_decade": _DECADE,
    "date_this_month": _DECADE,
    "date_this_year": _DECADE,
    "date_time_this_century": _MOMENT,
    "date_time_this_decade": _MOMENT,
    "date_time_this_month": _MOMENT,
    "date_time_this_year": _MOMENT,
    "future_date": {"end_date": _WORD},
    "future_datetime": {"end_date": _WORD},
    "past_date": {"start_date": _WORD},
    "past_datetime": {"start_date": _WORD},
    "time": {"pattern": _WORD},
    "email": {"safe": _TRUTH, "domain": _TEMPLATE},
    "hexify": {"text": _TEMPLATE, "upper": _TRUTH},
    "lexify": {"text": _TEMPLATE, "letters": _TEMPLATE},
    "numerify": {"text": _TEMPLATE},
    "hostname": {"levels": Number(least=0, most=20)},
    "domain_name": {"levels": Number(least=1, most=20)},
    "ipv4": {"network": _TRUTH, "private": _WORD, "address_class": Choice(options=("a", "b", "c"))},
    "ipv4_private": {"network": _TRUTH, "address_class": Choice(options=("a", "b", "c"))},
    "ipv4_public": {"network": _TRUTH, "address_class": Choice(options=("a", "b", "c"))},
    "ipv6": {"network": _TRUTH},
    "mac_address": {"multicast": _TRUTH},
    "paragraph": {"nb_sentences": _FEW, "variable_nb_sentences": _TRUTH},
    "paragraphs": {"nb": Number(least=1, most=100)},
    "sentence": {"nb_words": _FEW, "variable_nb_words": _TRUTH},
    "sentences": {"nb": Number(least=1, most=100)},
    "text": {"max_nb_chars": Number(least=5, most=10_000)},
    "word": {"part_of_speech": _WORD},
    "words": {"nb": _FEW, "unique": _TRUTH},
    "password": {
        "length": Number(least=4, most=256), "special_chars": _TRUTH, "digits": _TRUTH, "upper_case": _TRUTH,
        "lower_case": _TRUTH,
    },
    "pystr": {
        "min_chars": Number(least=0, most=1024), "max_chars": Number(least=1, most=1024), "prefix": _TEMPLATE,
        "suffix": _TEMPLATE,
    },
    "pyint": {"min_value": _WIDE, "max_value": _WIDE, "step": Number(least=1, most=2**53)},
    "pyfloat": _FLOAT,
    "pydecimal": _FLOAT,
    "random_int": {"min": _WIDE, "max": _WIDE, "step": Number(least=1, most=2**53)},
    "random_number": {"digits": Number(least=1, most=15), "fix_len": _TRUTH},
    "ssn": {"taxpayer_identification_number_type": Choice(options=("SSN", "EIN", "ITIN", "INVALID_SSN"))},
    "zipcode_in_state": {"state_abbr": _WORD},
    "postcode_in_state": {"state_abbr": _WORD},
    "state_abbr": {"include_territories": _TRUTH, "include_freely_associated_states": _TRUTH},
}  # fmt: skip
"""Provider, name, and what may be given. A provider that is not named here takes nothing by name."""


def checked(provider: str, name: str, value: object, where: str) -> Value:
    """One named argument of a provider; None is what every provider knows as nothing given.

    Raises :class:`FormatError` for a value of another kind or out of bounds, :class:`UnsupportedError` for a name that
    the table does not have.
    """
    kind = KEYWORDS.get(provider, {}).get(name)
    if kind is None:
        raise UnsupportedError(f"{provider!r} with an argument {name!r}", where=where)
    if value is None:
        return None
    if isinstance(kind, Truth):
        return _typed(value, bool, where)
    if isinstance(kind, Number):
        number = value if type(value) is float else _typed(value, int, where)
        assert isinstance(number, (int, float))
        if not kind.least <= number <= kind.most:
            raise FormatError(f"must be between {kind.least} and {kind.most}", where=where)
        return number
    text = _typed(value, str, where)
    assert isinstance(text, str)
    if isinstance(kind, Choice) and text not in kind.options:
        raise FormatError(f"{text!r} is not one of {', '.join(kind.options)}", where=where)
    if isinstance(kind, Text) and len(text) > kind.longest:
        raise FormatError(f"text longer than {kind.longest} characters", where=where)
    return text


def _typed(value: object, kind: type[str] | type[int] | type[bool], where: str) -> Value:
    if type(value) is not kind:
        raise FormatError(f"expected {kind_of(kind())}, found {kind_of(value)}", where=where)
    assert isinstance(value, (str, int))
    return value
