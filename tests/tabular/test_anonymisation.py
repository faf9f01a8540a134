from __future__ import annotations

import builtins
import datetime
import decimal
from random import Random

import faker
import pytest
from faker.config import AVAILABLE_LOCALES

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.format.document import Fields
from modelcrate.tabular.anonymisation import Anonymiser
from modelcrate.tabular.providers import ARGUMENTS, PROVIDERS

PLAIN = (str, int, float, bool, decimal.Decimal, datetime.date, datetime.time, datetime.timedelta, type(None))


def read(document):
    return Anonymiser.from_document(Fields({"arguments": [], "locales": [], **document}, "table.columns[0].made_up"))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_provider_of_the_table_gives_plain_values(provider):
    values = read({"provider": provider}).values(3, random=Random(1))
    assert len(values) == 3
    assert all(isinstance(value, PLAIN) for value in values)


def test_the_table_is_sorted_and_names_no_internals():
    assert list(PROVIDERS) == sorted(set(PROVIDERS))
    assert set(ARGUMENTS) <= set(PROVIDERS)
    assert not any(name.startswith("_") for name in PROVIDERS)
    assert not {
        "add_provider",
        "seed",
        "seed_instance",
        "format",
        "parse",
        "binary",
        "tar",
        "zip",
        "image",
        "json",
    } & set(PROVIDERS)


def test_a_seed_gives_what_faker_gives_for_it():
    made_up = read({"provider": "name"}), read({"provider": "email"})
    random = Random(1234)
    found = [one.values(20, random=random) for one in made_up]
    faker.Faker.seed(1234)
    original = faker.Faker()
    assert found == [[original.name() for _ in range(20)], [original.email() for _ in range(20)]]


def test_values_depend_on_the_given_random_only():
    one = read({"provider": "name", "locales": ["de_DE", "fr_FR"]})
    first = one.values(10, random=Random(3))
    faker.Faker.seed(99)
    assert one.values(10, random=Random(3)) == first
    assert one.values(10, random=Random(4)) != first


def test_locales_are_honoured():
    assert any(
        "東" in text or "県" in text
        for text in read({"provider": "address", "locales": ["ja_JP"]}).values(20, random=Random(1))
    )
    assert all(Anonymiser(provider="name", locales=(locale,)) for locale in AVAILABLE_LOCALES)


@pytest.mark.parametrize("locale", AVAILABLE_LOCALES)
def test_the_grammar_of_locales_holds_every_locale_of_faker(locale):
    assert read({"provider": "name", "locales": [locale]}).locales == (locale,)


@pytest.mark.parametrize(
    ("provider", "arguments", "holds"),
    [
        ("credit_card_number", ["visa"], lambda text: text.startswith("4")),
        ("random_int", [3, 5], lambda number: 3 <= number <= 5),
        ("numerify", ["AB-###"], lambda text: text.startswith("AB-") and text[3:].isdigit()),
        ("password", [32], lambda text: len(text) == 32),
        ("pystr", [4, 6], lambda text: 4 <= len(text) <= 6),
    ],
)
def test_arguments_of_the_table_are_passed_on(provider, arguments, holds):
    assert all(
        holds(value) for value in read({"provider": provider, "arguments": arguments}).values(20, random=Random(1))
    )


@pytest.mark.parametrize(
    "provider",
    [
        "__class__",
        "__init__",
        "_Generator__config",
        "add_provider",
        "seed_instance",
        "format",
        "parse",
        "providers",
        "get_providers",
        "random",
        "random.seed",
        "binary",
        "zip",
        "image",
        "json",
        "pyobject",
        "enum",
        "profile",
        "name\x00",
        "Name",
        "",
        "os.system",
    ],
)
def test_a_name_outside_the_table_is_never_looked_up(provider):
    """F2: the name comes from a file."""
    with pytest.raises(UnsupportedError, match="made-up"):
        read({"provider": provider})
    with pytest.raises(UnsupportedError):
        Anonymiser(provider=provider).values(1, random=Random(1))


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({"provider": "name", "arguments": ["x"]}, UnsupportedError),
        ({"provider": "text", "arguments": [10**9]}, FormatError),
        ({"provider": "password", "arguments": [10**9]}, FormatError),
        ({"provider": "pystr", "arguments": [0, 10**9]}, FormatError),
        ({"provider": "random_int", "arguments": [True]}, FormatError),
        ({"provider": "random_int", "arguments": [1.0]}, FormatError),
        ({"provider": "numerify", "arguments": ["#" * 256]}, FormatError),
        ({"provider": "numerify", "arguments": [3]}, FormatError),
        ({"provider": "credit_card_number", "arguments": ["__class__"]}, FormatError),
        ({"provider": "name", "locales": ["../../etc"]}, FormatError),
        ({"provider": "name", "locales": ["en-US"]}, FormatError),
        ({"provider": "name", "locales": ["en_US"] * 65}, FormatError),
        ({"provider": "name", "locales": "en_US"}, FormatError),
        ({"provider": "name", "module": "os"}, FormatError),
        ({"provider": 3}, FormatError),
    ],
)
def test_a_malformed_document_is_refused(document, error):
    with pytest.raises(error):
        read(document)


def test_an_impossible_request_is_an_error_of_the_library():
    with pytest.raises(UnsupportedError, match="Faker can't make"):
        read({"provider": "random_int", "arguments": [9, 3]}).values(1, random=Random(1))
    with pytest.raises(UnsupportedError, match="no locale"):
        read({"provider": "name", "locales": ["xx_XX"]}).values(1, random=Random(1))
    with pytest.raises(UnsupportedError, match="no provider"):
        read({"provider": "military_ship", "locales": ["ja_JP"]}).values(1, random=Random(1))


def test_without_faker_the_error_says_how_to_install_it(monkeypatch):
    imported = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == "faker":
            raise ImportError(name)
        return imported(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UnsupportedError, match=r"pip install 'modelcrate\[faker\]'"):
        read({"provider": "name"}).values(1, random=Random(1))


@pytest.mark.parametrize(
    "document",
    [
        {"provider": "name", "arguments": [], "locales": []},
        {"provider": "random_int", "arguments": [1, 6], "locales": ["de_DE", "en_GB"]},
    ],
)
def test_a_document_survives_reading_and_writing(document):
    assert read(document).to_document() == document
