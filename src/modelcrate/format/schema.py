"""The published schemas, enforced: a second opinion beside the typed readers (FORMAT.md 3.8 and 7.7).

``jsonschema`` is imported on first use only. Schemas come from this package, references resolve among them and nowhere
else, and nothing that a file says chooses a schema other than by a type tag that has one.
"""

from __future__ import annotations

import functools
import math
import operator
import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from modelcrate.errors import FormatError, UsageError
from modelcrate.format import names
from modelcrate.format.extensions import Missing, Zone
from modelcrate.format.jsontext import INTEGER_BOUND

MANIFEST = "manifest"
LONG_LIST = 1_000
"""Items from which a list of plain values is represented by its extremes."""
STRUCTURE_DEPTH = 8
"""Levels of an entry that are compared; a deeper one is built like no other."""
MANY_ENTRIES = 100
"""Items from which entries that are built alike (the pairs of a map, say) are represented by their extremes."""
ID_PREFIX = "urn:modelcrate:schema:"

_FOLDER = Path(__file__).parent / "schemas"
_SUFFIX = ".schema.json"


def schema_name(tag: str) -> str:
    """The schema's name for a component's type tag: ``tabular.table/1`` gives ``tabular.table.1``."""
    return names.check_tag(tag, where="tag").replace("/", ".")


def has_schema(name: str) -> bool:
    """Whether this package carries a schema of that name."""
    return name in schema_names()


@functools.cache
def schema_names() -> frozenset[str]:
    """The names of all schemas in this package."""
    return frozenset(path.name.removesuffix(_SUFFIX) for path in _FOLDER.glob(f"*{_SUFFIX}"))


def validate(document: Any, name: str, where: str) -> None:
    """Refuse a JSON document (a manifest, or the :func:`project`\\ ion of a state) that its schema refuses.

    Raises FormatError with the dotted path of the first violation, UsageError for a schema that doesn't exist.
    """
    if not has_schema(name):
        raise UsageError(f"there is no schema {name!r}")
    for error in _validator(name).iter_errors(document):
        steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path)
        raise FormatError(f"the schema refuses it: {error.message[:200]}", where=where + steps)


def validate_state(state: object, tag: str, where: str) -> None:
    """Refuse a decoded state document that the schema of its component's type refuses; a type without one passes."""
    name = schema_name(tag)
    if has_schema(name):
        validate(project(state), name, where)


def project(value: object) -> Any:
    """The projection of a state document on JSON: a new tree with typed leaves for what JSON can't say.

    ``value`` comes out of :func:`modelcrate.format.values.decode` or would pass ``encode``; UsageError otherwise.
    """
    if value is None or type(value) in (bool, str):
        return value
    if type(value) is list:
        return [project(item) for item in value]
    if type(value) is dict:
        return {f"${key}" if key.startswith("$") else key: project(item) for key, item in value.items()}
    return _leaf(value)


def _leaf(value: object) -> object:
    if type(value) is int:
        return value if -INTEGER_BOUND <= value <= INTEGER_BOUND else {"$integer": str(value)}
    if type(value) is float:
        text = repr(value)
        return {"$float": text} if text in ("nan", "inf", "-inf") else value
    if type(value) is bytes:
        return {"$bytes": len(value)}
    if type(value) is datetime:
        zone = f"[{value.tzinfo.name}]" if isinstance(value.tzinfo, Zone) else ""
        return {"$datetime": (value.replace(tzinfo=None) if zone else value).isoformat() + zone}
    if type(value) is date:
        return {"$date": value.isoformat()}
    if type(value) is time:
        return {"$time": value.isoformat()}
    if type(value) is timedelta:
        return {"$duration": [value.days, value.seconds, value.microseconds]}
    if type(value) is Decimal:
        return {"$decimal": str(value)}
    if type(value) is Missing:
        return {"$missing": value.name.lower()}
    return _numpy_leaf(value)


def _numpy_leaf(value: object) -> object:
    import numpy as np

    if type(value) is np.ndarray:
        return {"$array": {"dtype": value.dtype.name, "shape": list(value.shape)}}
    if isinstance(value, np.generic):
        item = np.asarray(value).astype(value.dtype.newbyteorder("<")).tobytes()
        return {"$scalar": {"dtype": value.dtype.name, "item": item.hex()}}
    raise UsageError(f"a value of type {type(value).__name__} can't be part of a state document")


def read_schema(name: str) -> dict[str, Any]:
    """A schema of this package as plain JSON."""
    import json

    if not has_schema(name):
        raise UsageError(f"there is no schema {name!r}")
    document: dict[str, Any] = json.loads((_FOLDER / f"{name}{_SUFFIX}").read_text(encoding="utf-8"))
    return document


@functools.cache
def _validator(name: str) -> Any:
    from jsonschema import Draft202012Validator, validators
    from referencing import Registry, Resource

    registry: Registry[Any] = Registry().with_resources(
        (ID_PREFIX + each, Resource.from_contents(read_schema(each))) for each in sorted(schema_names())
    )
    types = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, instance: type(instance) is int).redefine(
        "number", lambda _, instance: type(instance) in (int, float)
    )
    extend: Any = validators.extend  # the stubs leave it untyped
    keywords = {"pattern": _check_pattern, "items": _check_items, "type": _check_type}
    strict = extend(Draft202012Validator, keywords, type_checker=types)
    return strict(read_schema(name), registry=registry)


def _check_pattern(validator: Any, pattern: str, instance: object, schema: object) -> Iterator[Exception]:
    from jsonschema import ValidationError

    if type(instance) is str and _compiled(pattern).search(instance) is None:
        yield ValidationError(f"{instance[:80]!r} does not match {pattern[:80]!r}")


def _check_type(validator: Any, types: str | list[str], instance: object, schema: object) -> Iterator[Exception]:
    """The ``type`` keyword; the library's own writes out the whole instance wherever an alternative does not apply."""
    from jsonschema import ValidationError

    wanted = [types] if isinstance(types, str) else types
    if not any(validator.is_type(instance, name) for name in wanted):
        found = f"a {type(instance).__name__}" if type(instance) in (list, dict) else repr(instance)[:80]
        yield ValidationError(f"{found} is not of type {', '.join(map(repr, wanted))}")


def _check_items(validator: Any, items: Any, instance: object, schema: dict[str, Any]) -> Iterator[Exception]:
    """The ``items`` keyword, with long lists of plain values represented by their extremes.

    A category list may have a hundred thousand entries, and each costs a sixth of a millisecond here; the reader of the
    type checks every one of them in any case.
    """
    if type(instance) is not list:
        return
    first = len(schema.get("prefixItems", ()))
    numbered = list(enumerate(instance))[first:]
    if len(numbered) > LONG_LIST:
        numbered = _extremes(numbered)
    if len(numbered) > MANY_ENTRIES:
        numbered = _alike(numbered)
    for position, item in numbered:
        yield from validator.descend(item, items, path=position)


def _extremes(numbered: list[tuple[int, Any]]) -> list[tuple[int, Any]]:
    """Of texts the shortest and longest, of numbers the least and greatest, of typed scalars two a dtype, else all."""
    kept: dict[object, list[tuple[int, Any]]] = {}
    for pair in numbered:
        item = pair[1]
        if item is None or type(item) in (str, int, float, bool):
            size = len(item) if type(item) is str else item or 0
            least_greatest = kept.setdefault(type(item), [pair, pair])
            for place, beats in ((0, operator.lt), (1, operator.gt)):
                other = least_greatest[place][1]
                if beats(size, len(other) if type(other) is str else other or 0):
                    least_greatest[place] = pair
        elif type(item) is dict and item.keys() == {"$scalar"}:
            kept.setdefault(item["$scalar"]["dtype"], [pair])[1:] = [pair]
        else:
            kept.setdefault("others", []).append(pair)
    return [pair for pairs in kept.values() for pair in pairs]


def _alike(numbered: list[tuple[int, Any]]) -> list[tuple[int, Any]]:
    """Of lists and maps with the same structure those with the shortest and the longest texts in them; else all."""
    kept: dict[object, list[tuple[int, tuple[int, Any]]]] = {}
    for pair in numbered:
        structure, size = _structure(pair[1], 0) if type(pair[1]) in (list, dict) else (pair[0], 0)
        extremes = kept.setdefault(structure, [(size, pair)])
        if size < extremes[0][0] or size > extremes[-1][0]:
            extremes.append((size, pair))
            extremes.sort(key=operator.itemgetter(0))
            del extremes[1:-1]
    return [pair for extremes in kept.values() for _, pair in extremes]


def _structure(item: Any, depth: int) -> tuple[object, int]:
    """What decides which parts of a schema apply to a value, and the length of its texts; numbers as they are."""
    if type(item) is str:
        return str, len(item)
    if type(item) is list and depth < STRUCTURE_DEPTH and len(item) <= LONG_LIST:
        parts = [_structure(part, depth + 1) for part in item]
        return ("list", *(part for part, _ in parts)), sum(size for _, size in parts)
    if type(item) is dict and depth < STRUCTURE_DEPTH and len(item) <= LONG_LIST:
        parts = [_structure(part, depth + 1) for part in item.values()]
        return ("dict", *zip(item, (part for part, _ in parts), strict=True)), sum(size for _, size in parts)
    if type(item) in (int, float):
        return (type(item), item > 0), abs(int(item)).bit_length() if math.isfinite(item) else 0
    return (type(item), item) if item is None or type(item) is bool else ("other", id(item)), 0


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """The pattern with its final ``$`` as ECMA-262 means it: the very end, not before a last line feed."""
    return re.compile(pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern)
