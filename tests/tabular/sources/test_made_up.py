"""Values that Faker makes up: rules, missing cells, the closed tables of what a file may ask for."""

from __future__ import annotations

import builtins
from random import Random
from typing import Any

import faker
import numpy as np
import pandas as pd
import pytest

from modelcrate.errors import FormatError, ModelcrateError, UnsupportedError
from modelcrate.format.document import Fields
from modelcrate.tabular.keywords import KEYWORDS, KNOWN
from modelcrate.tabular.local_providers import LOCAL_PROVIDERS
from modelcrate.tabular.providers import PROVIDERS
from modelcrate.tabular.sources import read_source


def document(**changes: Any) -> dict[str, Any]:
    return {
        "type": "made_up", "provider": "first_name", "keywords": {}, "locales": [], "rule": "any", "missing": None,
        "distinct": None, "repeats": None, "seed": 5, "twisted": [], "seen": [], "stood_in": [], "values": None,
        "left": None, "state": 6, **changes,
    }  # fmt: skip


def source(**changes: Any) -> Any:
    return read_source(Fields(document(**changes), "source"))


def test_a_resumed_source_gives_what_a_seeded_faker_gives():
    original = faker.Faker()
    original.seed_instance(5)
    expected = [original.first_name() for _ in range(20)]
    assert list(source().resume().take(20)) == expected


def test_locales_take_turns_as_fakers_do():
    original = faker.Faker(["en_US", "de_DE", "ja_JP"])
    original.seed_instance(5)
    expected = [original.name() for _ in range(30)]
    assert list(source(provider="name", locales=["en_US", "de_DE", "ja_JP"]).resume().take(30)) == expected


def test_only_locales_that_have_a_provider_are_asked():
    found = source(provider="cpf", locales=["en_US", "pt_BR"]).start(Random(1)).take(5)
    assert all(isinstance(value, str) and value.count(".") == 2 for value in found)
    with pytest.raises(UnsupportedError, match="no provider 'cpf'"):
        source(provider="cpf", locales=["en_US"]).start(Random(1)).take(1)


def test_different_values_and_then_six_letters():
    found = source(provider="random_digit", rule="unique").start(Random(1)).take(14)
    assert sorted(found[:10]) == list(range(10))
    assert all(isinstance(value, str) and len(value) == 6 and value.isalpha() for value in found[10:])
    assert len(set(found)) == 14


def test_what_was_given_before_does_not_come_again():
    seen = list(range(9))
    found = source(provider="random_digit", rule="unique", seen=seen).resume().take(3)
    assert found[0] == 9
    assert all(isinstance(value, str) for value in found[1:])


def test_missing_cells_are_as_frequent_as_they_were():
    found = source(missing=0.25).start(Random(3)).take(2000)
    assert 0.2 < pd.isna(found).mean() < 0.3
    assert pd.isna(source(missing=0.25).resume().take(80)).sum() == 20


def test_the_arguments_are_given_by_name():
    found = source(provider="random_int", keywords={"min": 7, "max": 9}).start(Random(3)).take(50)
    assert set(found) == {7, 8, 9}


def test_several_values_at_once_are_joined():
    (found,) = source(provider="latlng").start(Random(3)).take(1)
    assert len([float(part) for part in found.split(", ")]) == 2


def test_without_a_stored_seed_there_is_no_replay():
    with pytest.raises(UnsupportedError, match="without a seed"):
        source(seed=None).resume()
    assert len(source(seed=None).start(Random(1)).take(3)) == 3


def test_without_faker_the_error_says_how_to_install_it(monkeypatch):
    original = builtins.__import__

    def absent(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".", maxsplit=1)[0] == "faker":
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    found = source()
    with pytest.raises(UnsupportedError, match=r"pip install 'modelcrate\[faker\]'"):
        found.start(Random(1))


INVALID = [
    ("F1-dunder", {"provider": "__init__"}, "provider"),
    ("F2-method", {"provider": "seed_instance"}, "provider"),
    ("F2-container", {"provider": "profile"}, "provider"),
    ("F2-bytes", {"provider": "binary"}, "provider"),
    ("F2-path", {"provider": "os.system"}, "provider"),
    ("D15-provider", {"provider": 3}, "provider"),
    ("F2-argument", {"provider": "random_int", "keywords": {"cast_to": "os.system"}}, "cast_to"),
    ("F2-argument-of-another", {"keywords": {"text": "x"}}, "text"),
    ("D15-argument", {"provider": "random_int", "keywords": {"min": "0"}}, "min"),
    ("D15-argument-list", {"provider": "random_int", "keywords": {"min": [0]}}, "min"),
    ("argument-huge", {"provider": "pystr", "keywords": {"max_chars": 10**9}}, "max_chars"),
    ("template", {"provider": "bothify", "keywords": {"text": "?" * 256}}, "text"),
    ("D15-choice", {"provider": "ipv4", "keywords": {"address_class": "z"}}, "address_class"),
    ("D15-truth", {"provider": "ipv4", "keywords": {"network": 1}}, "network"),
    ("D15-locale", {"locales": ["../en"]}, "locales"),
    ("D23-locale-twice", {"locales": ["en_US", "en_US"]}, "locales"),
    ("D15-rule", {"rule": "some"}, "rule"),
    ("D21-missing", {"missing": 1.5}, "missing"),
    ("D23-match", {"rule": "match"}, "distinct"),
    ("D23-scale", {"rule": "scale"}, "repeats"),
    ("D23-generators", {"twisted": [{"key": np.zeros(624, "uint32"), "position": 0}] * 2}, "twisted"),
    ("D17-generator", {"twisted": [{"key": np.zeros(5, "uint32"), "position": 0}]}, "key"),
    ("D15-position", {"twisted": [{"key": np.zeros(624, "uint32"), "position": 625}]}, "position"),
    ("D15-seen", {"seen": [[]]}, "seen"),
    ("C6-unknown", {"callback": "x"}, "callback"),
]


@pytest.mark.parametrize(("changes", "where"), [each[1:] for each in INVALID], ids=[each[0] for each in INVALID])
def test_a_document_that_is_none_is_refused_by_its_field(changes, where):
    with pytest.raises(ModelcrateError) as caught:
        source(**changes)
    assert where in str(caught.value)


def test_the_tables_are_closed_and_name_nothing_private():
    assert not set(LOCAL_PROVIDERS) & set(PROVIDERS)
    assert list(LOCAL_PROVIDERS) == sorted(set(LOCAL_PROVIDERS))
    assert set(KEYWORDS) <= KNOWN
    assert not any(name.startswith("_") for name in KNOWN)
    wild = {
        "binary", "csv", "json", "tar", "zip", "image", "xml", "profile", "pyobject", "pystruct", "enum", "seed",
        "seed_instance", "add_provider", "format", "parse", "get_providers", "random_element", "optional", "unique",
    }  # fmt: skip
    assert not wild & KNOWN


@pytest.mark.parametrize("provider", sorted(KEYWORDS))
def test_the_named_arguments_are_those_of_faker(provider):
    import inspect

    make = getattr(faker.Faker(), provider)
    assert set(KEYWORDS[provider]) <= set(inspect.signature(make).parameters)


def test_an_error_of_faker_is_an_error_of_the_tree():
    with pytest.raises(UnsupportedError, match="Faker can't make"):
        source(provider="random_int", keywords={"min": 9, "max": 1}).start(Random(1)).take(1)
    with pytest.raises((UnsupportedError, FormatError)):
        source(provider="date_between", keywords={"start_date": "never"}).start(Random(1)).take(1)
