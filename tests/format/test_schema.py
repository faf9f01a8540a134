"""The published schemas: closed, bounded, cheap to check, and packaged as they are published."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from modelcrate.errors import FormatError, UsageError
from modelcrate.format import schema
from modelcrate.format.values import Missing, Zone

PUBLISHED = Path(__file__).resolve().parents[2] / "spec" / "schemas"
PACKAGED = Path(schema.__file__).parent / "schemas"
FILES = sorted(PUBLISHED.glob("*.schema.json"))

KEYWORDS = {"$schema", "$id", "$defs", "$ref", "$comment", "title", "description", "type", "enum", "const", "pattern"}
KEYWORDS |= {"anyOf", "oneOf", "allOf", "if", "then", "properties", "required", "additionalProperties", "propertyNames"}
KEYWORDS |= {"minProperties", "maxProperties", "items", "prefixItems", "minItems", "maxItems", "minLength", "maxLength"}
KEYWORDS |= {"minimum", "maximum"}
"""What a schema may use: nothing that fetches, nothing that asserts formats, nothing with quadratic cost."""

INSIDE = {"properties": dict, "$defs": dict, "items": None, "additionalProperties": None, "propertyNames": None,
          "anyOf": list, "oneOf": list, "allOf": list, "prefixItems": list, "if": None, "then": None}  # fmt: skip


def subschemas(node: object, path: str = "$") -> list[tuple[str, dict]]:
    if not isinstance(node, dict):
        assert isinstance(node, bool), path
        return []
    found = [(path, node)]
    for keyword, kind in INSIDE.items():
        inner = node.get(keyword)
        if inner is None:
            continue
        parts = inner.items() if kind is dict else enumerate(inner) if kind is list else [("", inner)]
        for name, part in parts:
            found += subschemas(part, f"{path}.{keyword}.{name}")
    return found


NODES = {path.name: subschemas(json.loads(path.read_text())) for path in FILES}

every_file = pytest.mark.parametrize("file", list(NODES))


def test_C28_the_packaged_copies_are_the_published_schemas():
    published = {path.name: path.read_bytes() for path in FILES}
    assert published == {path.name: path.read_bytes() for path in PACKAGED.glob("*.json")}
    assert "manifest.schema.json" in published


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_schema_says_what_it_is_and_is_a_schema(path):
    from jsonschema import Draft202012Validator

    document = json.loads(path.read_text())
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert document["$id"] == schema.ID_PREFIX + path.name.removesuffix(".schema.json")
    Draft202012Validator.check_schema(document)


@every_file
def test_C11_C12_only_known_keywords_are_used(file):
    assert [(path, set(node) - KEYWORDS) for path, node in NODES[file] if not set(node) <= KEYWORDS] == []


@every_file
def test_C11_whatever_is_not_a_fixed_value_is_bounded(file):
    assert [path for path, node in NODES[file] if not bounded(node)] == []


def bounded(node: dict) -> bool:
    types = node.get("type", [])
    types = {types} if isinstance(types, str) else set(types)
    closed = node.get("additionalProperties") is False
    counted = {"additionalProperties", "propertyNames", "maxProperties"} <= node.keys()
    if "object" in types and not closed and not counted:
        return False
    if "array" in types and not {"items", "maxItems"} <= node.keys():
        return False
    if node.keys() & {"enum", "const"}:
        return True
    if "string" in types and "maxLength" not in node:
        return False
    return not types & {"integer", "number"} or {"minimum", "maximum"} <= node.keys()


@every_file
def test_C11_every_part_constrains_something(file):
    assert [path for path, node in NODES[file] if not node.keys() - {"title", "description", "$comment"}] == []


@every_file
def test_C10_C13_patterns_match_whole_texts_in_linear_time(file):
    for path, node in NODES[file]:
        pattern = node.get("pattern", "^$")
        assert pattern.startswith("^"), path
        assert pattern.endswith("$"), path
        assert not nested_quantifier(pattern), path
        depth = 0
        for piece in re.findall(r"\\.|\[(?:\\.|[^\]])*\]|.", pattern):
            depth += (piece == "(") - (piece == ")")
            assert piece != "|" or depth > 0, f"{path}: an alternative outside of a group escapes the anchors"
        re.compile(pattern)


def nested_quantifier(pattern: str) -> bool:
    """A quantified group that is nothing but one quantified item: the shape of catastrophic backtracking."""
    return re.search(r"\((\?:)?(\[[^\]]*\]|\\?.)[*+]\)[*+{]", pattern) is not None


@every_file
def test_C14_references_stay_among_the_packaged_schemas(file):
    own = {"", *(schema.ID_PREFIX + name for name in schema.schema_names())}
    targets = {node["$ref"].split("#", 1)[0] for _, node in NODES[file] if "$ref" in node}
    assert targets <= own


def test_C10_a_line_feed_at_the_end_does_not_slip_through():
    with pytest.raises(FormatError, match="does not match"):
        schema.validate({**MINIMAL, "requires": ["feature\n"]}, "manifest", "manifest")


MINIMAL = {
    "format": "modelcrate", "format_version": "1.0", "requires": [], "model": None, "components": {}, "members": {},
    "hyperparameters": {}, "omitted": [], "seal": "blake3:" + "0" * 64,
    "provenance": {"producer": {}, "source": None, "created_by": None},
}  # fmt: skip


def test_a_violation_is_named_by_its_path():
    with pytest.raises(FormatError) as caught:
        schema.validate({**MINIMAL, "omitted": [{"what": 1, "where": "", "why": ""}]}, "manifest", "manifest")
    assert caught.value.where == "manifest.omitted[0].what"


def test_C4_true_and_floats_are_no_integers():
    for size in (True, 1.0):
        with pytest.raises(FormatError):
            schema.validate(
                {**MINIMAL, "members": {"a": {"size": size, "digest": "blake3:" + "0" * 64}}}, "manifest", "m"
            )


def test_only_packaged_schemas_can_be_asked_for():
    for name in ("../manifest", "nothing", ""):
        with pytest.raises(UsageError):
            schema.validate({}, name, "x")
    assert schema.schema_name("tabular.table/1") == "tabular.table.1"
    with pytest.raises(FormatError):
        schema.schema_name("../../manifest")


def test_a_state_is_projected_leaf_by_leaf():
    from datetime import date, datetime, time, timedelta, timezone
    from decimal import Decimal

    state = {
        "plain": [None, True, 1, 1.5, "x"],
        "$odd": 2**53 + 1,
        "floats": [float("nan"), float("inf"), float("-inf")],
        "bytes": b"abc",
        "array": np.zeros((2, 3), "float32"),
        "scalar": np.int16(-2),
        "times": [
            datetime(2020, 1, 2, 3, 4, 5, 6),
            datetime(2020, 1, 2, tzinfo=Zone("Europe/Madrid")),
            date(2020, 1, 2),
        ],
        "offset": datetime(2020, 1, 2, tzinfo=timezone(timedelta(hours=1))),
        "time": time(1, 2, 3),
        "duration": timedelta(days=-1, microseconds=5),
        "decimal": Decimal("1.50"),
        "missing": [Missing.NAT, Missing.NA],
    }
    assert schema.project(state) == {
        "plain": [None, True, 1, 1.5, "x"],
        "$$odd": {"$integer": "9007199254740993"},
        "floats": [{"$float": "nan"}, {"$float": "inf"}, {"$float": "-inf"}],
        "bytes": {"$bytes": 3},
        "array": {"$array": {"dtype": "float32", "shape": [2, 3]}},
        "scalar": {"$scalar": {"dtype": "int16", "item": "feff"}},
        "times": [
            {"$datetime": "2020-01-02T03:04:05.000006"},
            {"$datetime": "2020-01-02T00:00:00[Europe/Madrid]"},
            {"$date": "2020-01-02"},
        ],
        "offset": {"$datetime": "2020-01-02T00:00:00+01:00"},
        "time": {"$time": "01:02:03"},
        "duration": {"$duration": [-1, 0, 5]},
        "decimal": {"$decimal": "1.50"},
        "missing": [{"$missing": "nat"}, {"$missing": "na"}],
    }


@pytest.mark.parametrize(
    "name", ["large-integers", "floats", "bytes", "arrays", "scalars", "moments", "decimals", "missing"]
)
def test_every_leaf_that_a_state_can_have_is_one_that_the_schema_of_leaves_knows(name):
    from jsonschema import Draft202012Validator

    from modelcrate.format.values import decode

    document = schema.read_schema("values")
    data = (PUBLISHED.parent / "vectors" / "valid" / "state" / f"{name}.msgpack").read_bytes()
    for leaf in schema.project(decode(data, where="state"))["v"]:
        accepting = [
            kind for kind in document["$defs"]
            if Draft202012Validator({**document, "$ref": f"#/$defs/{kind}"}).is_valid(leaf)
        ]  # fmt: skip
        assert accepting, leaf


def test_an_unknown_type_has_no_schema_and_passes():
    schema.validate_state({"anything": 1}, "acme.unet/1", "state")


def test_what_is_no_state_can_not_be_projected():
    with pytest.raises(UsageError):
        schema.project({"a": object()})


@pytest.mark.parametrize("wrong", [[1], {"$unknown": 3}, {"$scalar": {"dtype": "object", "item": ""}}])
def test_one_wrong_item_in_a_long_list_is_found(wrong):
    encoding = {"type": "one_hot", "categories": [f"value {number}" for number in range(50_000)]}
    document = {"columns": [{"name": "a", "dtype": "object", "encoding": encoding}]}
    schema.validate(document, "tabular.transformer.1", "state")
    encoding["categories"][777] = wrong
    with pytest.raises(FormatError):
        schema.validate(document, "tabular.transformer.1", "state")
