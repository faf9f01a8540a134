"""Transformers of rdt 1.3 to 2.0 that learn no column and make its cells up, in the words of our sources.

Pickles of these releases leave out the enumeration of a regular expression and tell how far it was; they hold the whole
Faker with all its providers, of which only the random state and the values given so far are read.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.legacy.families.known import cell, refuse_unknown, unboxed
from modelcrate.legacy.families.rdt_columns import BASE, FAKER_NAMES, MODULES, twister_of
from modelcrate.legacy.graph import Call
from modelcrate.legacy.view import View

Document: TypeAlias = "dict[str, Any]"

_ID: Final = (*BASE, "missing_value_replacement", "missing_value_generation", "model_missing_values")
_RULES: Final = {None: "any", "unique": "unique", "match": "match", "scale": "scale"}
_PROXY: Final = "faker.proxy.Faker"
_WORDS: Final = 624


def is_source(view: View) -> bool:
    """Whether a transformer makes cells up instead of learning a column."""
    return view.class_name in _TRANSLATORS


def translate_source(view: View) -> Document:
    """The source that a transformer is. Raises FormatError, and UnsupportedError for another class or attribute."""
    name = view.class_name
    translator = _TRANSLATORS.get(name or "")
    if name is None or translator is None:
        raise UnsupportedError(f"a source of class {name or view.describe()}", where=view.path)
    return translator(view.attributes(name))


def _index(view: View) -> Document:
    refuse_unknown(view, (*_ID, "prefix", "starting_value", "suffix", "_counter"))
    before, after = (_text_or_none(view[name]) for name in ("prefix", "suffix"))
    return {
        "type": "index",
        "before": before or "",
        "first": view["starting_value"].integer(),
        "after": after or "",
        "made": view["_counter"].integer(),
    }


def _pattern(view: View) -> Document:
    refuse_unknown(
        view,
        (
            *_ID, "regex_format", "enforce_uniqueness", "cardinality_rule", "generation_order", "data_length",
            "generator_size", "generated", "_num_fallback_samples_generated", "_data_cardinality",
            "_data_cardinality_scale", "_remaining_samples", "_unique_regex_values",
        ),
    )  # fmt: skip
    rule = _rule(view)
    order = view.get("generation_order")
    if order is not None and order.text() not in ("alphanumeric", "scrambled"):
        raise UnsupportedError(f"identifiers in the order {order.text()!r}", where=order.path)
    capacity = view.get("generator_size")
    size = math.inf if capacity is None or capacity.is_none() else _size(capacity)
    seed = _seed(view)
    document: Document = {
        "type": "pattern",
        "pattern": view["regex_format"].text(),
        "rule": rule,
        "scrambled": order is not None and order.text() == "scrambled",
        "distinct": view["_data_cardinality"].integer() if rule == "match" else None,
        "repeats": _repeats(view["_data_cardinality_scale"]) if rule == "scale" else None,
        "capacity": size if math.isfinite(size) else 1.7976931348623157e308,
        "made": _count(view.get("generated")),
        "spare": _count(view.get("_num_fallback_samples_generated")),
        "left": _left(view.get("_remaining_samples")),
        "seed": seed,
        "state": twister_of(view["random_states"].mapping()["reverse_transform"], seed),
    }
    later = "_num_fallback_samples_generated" in view  # earlier releases begin again where too few are left
    return document if later or rule != "unique" else {**document, "restarts": True}


def _size(view: View) -> float:
    """How many texts the original counts on; a complex number in some releases."""
    value = unboxed(view.value())
    return float(value.real) if isinstance(value, complex) else view.number()


def _made_up(view: View) -> Document:
    refuse_unknown(view, FAKER_NAMES)
    rule = _rule(view)
    if rule == "scale" and "_data_cardinality_scale" not in view:
        rule = "any"  # a release that takes the rule and does nothing with it
    way = view.get("missing_value_generation")
    sometimes = way is not None and not way.is_none()
    if way is not None and sometimes and way.text() != "random":
        raise UnsupportedError(f"missing values made by {way.text()!r}", where=way.path)
    share = view.get("_nan_frequency")
    function = view["function_name"].text()
    faker = view["faker"].attributes(_PROXY)
    seed = view.get("_faker_random_seed")
    start = None if seed is None or seed.is_none() else seed.integer()
    given = faker["_unique_proxy"].attributes("faker.proxy.UniqueProxy")["_seen"]
    keywords = {key.text(): item.value() for key, item in view["function_kwargs"].pairs()}
    values = view.get("_unique_categories")
    unfit = [name for name, value in keywords.items() if not isinstance(value, (str, int, float, type(None)))]
    if unfit:
        raise UnsupportedError(f"{function!r} with an argument {unfit[0]!r}", where=view["function_kwargs"].path)
    document: Document = {
        "type": "made_up",
        "provider": function,
        "keywords": keywords,
        "locales": _locales(view["locales"]),
        "rule": rule,
        "missing": share.finite() if sometimes and share is not None else 0.0 if sometimes else None,
        "distinct": view["_data_cardinality"].integer() if rule == "match" else None,
        "repeats": _repeats(view["_data_cardinality_scale"]) if rule == "scale" else None,
        "seed": start,
        "twisted": _twisted(faker, start),
        "seen": _seen(given, function, keywords),
        "stood_in": _seen(given, "bothify", {"text": "??????"}),
        "values": _values(values) if values is not None and not values.is_none() else None,
        "left": _left(view.get("_remaining_samples")),
        "state": twister_of(view["random_states"].mapping()["reverse_transform"], _seed(view)),
    }
    return {**document, "renews": True} if rule == "match" and values is None else document


def _rule(view: View) -> str:
    given = view.get("cardinality_rule")
    if given is None:
        given = view.get("enforce_uniqueness")
        return "unique" if given is not None and not given.is_none() and given.boolean() else "any"
    rule = None if given.is_none() else given.text()
    if rule not in _RULES:
        raise UnsupportedError(f"values by the rule {rule!r}", where=given.path)
    return _RULES[rule]


def _seed(view: View) -> int:
    return view["random_seed"].integer() if "random_seed" in view else 42


def _count(view: View | None) -> int:
    if view is None or view.is_none():
        return 0
    count = view.number()
    if not count.is_integer() or not 0 <= count <= 2**53:
        raise FormatError("expected a number of cells", where=view.path)
    return int(count)


def _text_or_none(view: View) -> str | None:
    return None if view.is_none() else view.text()


def _left(view: View | None) -> list[object] | None:
    if view is None:
        return None
    parts = view.mapping()
    times = parts["repetitions"].integer()
    return [cell(parts["value"]), times] if times else None


def _repeats(view: View) -> Document:
    import numpy as np

    parts = view.mapping()
    return {
        "counts": np.array([item.integer() for item in parts["num_repetitions"].items()], dtype=np.int64),
        "shares": np.array([item.finite() for item in parts["frequency"].items()], dtype=np.float64),
    }


def _locales(view: View) -> list[str]:
    if view.is_none():
        return []
    given = [view.text()] if type(view.node) is str else [item.text() for item in view.items()]
    return list(dict.fromkeys(locale.replace("-", "_") for locale in given))


def _values(view: View) -> list[object]:
    return [unboxed(item) for item in view.array().tolist()]


def _seen(view: View, function: str, keywords: dict[str, object]) -> list[object]:
    """What Faker has given so far by one function, and will not give again."""
    for key, given in view.pairs():
        name, positional, named = key.items()
        found = {pair.items()[0].text(): pair.items()[1].value() for pair in named.items()}
        if name.text() == function and not positional.items() and found == keywords:
            values = [cell(item) for item in given.items() if item.callee != "builtins.object"]
            return sorted(values, key=lambda value: (type(value).__name__, str(value)))
    return []


def _twisted(faker: View, seed: int | None) -> list[Document]:
    """The generators of all locales; none where they are as fresh as their seed."""
    from random import Random

    import numpy as np

    fresh = None if seed is None else Random(seed).getstate()[1]
    found: list[Document] = []
    moved = False
    for factory in faker["_factories"].items():
        inner = factory
        if factory.class_name == _PROXY:
            inner = factory.attributes(_PROXY)["_factories"].items()[0]
        state = _state(inner.attributes("faker.generator.Generator")["_Generator__random"])
        moved = moved or state != fresh
        found.append({"key": np.array(state[:_WORDS], dtype=np.uint32), "position": state[_WORDS]})
    return found if moved else []


def _state(view: View) -> tuple[int, ...]:
    node = view.node
    if view.class_name != "random.Random" or not isinstance(node, Call) or len(node.states) != 1:
        raise UnsupportedError("made-up values without a generator of their own", where=view.path)
    parts = View(node.states[0], f"{view.path}.state", view.context).items()
    if len(parts) != 3 or parts[0].integer() != 3:
        raise UnsupportedError("a random state of an unknown version", where=view.path)
    if not parts[2].is_none():
        raise UnsupportedError("a random state amid a pair of normal numbers", where=view.path)
    words = tuple(item.integer() for item in parts[1].items())
    if len(words) != _WORDS + 1 or not all(0 <= word < 2**32 for word in words) or words[_WORDS] > _WORDS:
        raise FormatError("a random state of another size", where=view.path)
    return words


_TRANSLATORS: Final[dict[str, Callable[[View], Document]]] = {
    f"{MODULES}.id.RegexGenerator": _pattern,
    f"{MODULES}.text.RegexGenerator": _pattern,
    f"{MODULES}.id.IndexGenerator": _index,
    f"{MODULES}.id.IDGenerator": _index,
    f"{MODULES}.text.IDGenerator": _index,
    f"{MODULES}.pii.anonymizer.AnonymizedFaker": _made_up,
}
