"""Nested data and its document: the same back, tags that no data can forge, and errors that name the path."""

from __future__ import annotations

import datetime
from collections import Counter, OrderedDict, defaultdict
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modelcrate import errors
from modelcrate.format import schema, values
from modelcrate.nn import nested
from modelcrate.nn.nested import TensorSink

TEXTS = st.text(max_size=5) | st.binary(max_size=3)
KEYS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS
LEAVES = (
    KEYS
    | st.floats()
    | st.complex_numbers(allow_nan=False)
    | st.sampled_from([torch.float16, torch.bool, torch.device("cuda:3"), torch.device("cpu"), Decimal("1.50")])
    | st.dates()
)
DATA = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(alphabet="@a$", max_size=3), inner, max_size=3)
        | st.dictionaries(KEYS, inner, max_size=3)
        | st.sets(KEYS, max_size=3)
        | st.dictionaries(KEYS, st.integers(0, 9), max_size=3).map(Counter)
    ),
    max_leaves=12,
)


def through_bytes(data: Any) -> Any:
    sink = TensorSink()
    document = nested.encode(data, where="extras", sink=sink)
    schema.validate(schema.project(document), "training.nested", "extras")
    decoded = values.decode(values.encode(document), where="extras")
    used: set[str] = set()
    found = nested.decode(decoded, where="extras", tensors=sink.tensors, used=used)
    nested.check_used(sink.tensors, used, where="extras")
    return found


@settings(max_examples=150, deadline=None)
@given(DATA)
def test_data_comes_back_the_same_in_value_and_in_type(data: Any) -> None:
    assert canonical(through_bytes(data)) == canonical(data)


def canonical(value: Any) -> str:
    """Value and type as text; maps with text keys and sets have no order."""
    kind = type(value).__name__
    if isinstance(value, dict):
        items = [(canonical(key), canonical(item)) for key, item in value.items()]
        return f"{kind}{sorted(items) if all(type(key) is str for key in value) else items}"
    if isinstance(value, set):
        return f"{kind}{sorted(map(canonical, value))}"
    if isinstance(value, list | tuple):
        return f"{kind}{[canonical(item) for item in value]}"
    return f"{kind}:{value!r}"


def test_ordered_and_default_dicts_become_dicts_and_sizes_become_tuples() -> None:
    data = {"a": OrderedDict(b=1), "c": defaultdict(list, d=[2]), "e": torch.Size([3, 4]), "f": frozenset([1])}
    assert through_bytes(data) == {"a": {"b": 1}, "c": {"d": [2]}, "e": (3, 4), "f": {1}}


def test_a_tensor_in_two_places_is_one_tensor_again() -> None:
    tensor = torch.arange(3)
    found = through_bytes({"a": tensor, "b": [tensor], "c": tensor.clone()})
    assert found["a"] is found["b"][0]
    assert found["a"] is not found["c"]


def test_the_document_does_not_change_with_the_data() -> None:
    data = {"array": np.arange(3), "list": [1], "map": {"a": 1}}
    document = nested.encode(data, where="extras")
    before = values.encode(document)
    data["array"][0] = 9
    data["list"].append(2)
    data["map"]["b"] = 2
    assert values.encode(document) == before


def test_names_of_tensors_are_their_paths_where_a_file_can_hold_them() -> None:
    sink = TensorSink()
    data = {"a": [torch.ones(1)], "b c": torch.ones(1), "x" * 600: torch.ones(1), "é": torch.ones(1)}
    nested.encode(data, where="extras", sink=sink)
    assert sorted(sink.tensors) == ["extras.a[0]", "tensor.1", "tensor.2", "tensor.3"]


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({"a": [1, {"b": (0, print)}]}, r"extras\.a\[1\]\.b\[1\]: the function or class print"),
        ({"a": object()}, r"extras\.a: an object of builtins\.object"),
        ({"a": type}, r"extras\.a"),
        ({(1, object()): 1}, r"extras key\[1\]"),
        ({"a": {object(): 1}}, r"extras\.a"),
        ({"a": np.array(1.0)}, r"extras\.a: .*without dimensions"),
        ({"a": np.array(["x"])}, r"extras\.a: .*dtype"),
        ({"a": np.zeros(2, dtype=[("x", "i4")])}, r"extras\.a: .*dtype"),
        ({"a": np.ma.masked_array([1])}, r"extras\.a: an object of numpy\.ma"),
        ({"a": torch.zeros(2, device="meta")}, r"extras\.a: a meta tensor"),
        ({"a": datetime.timezone.utc}, r"extras\.a"),
        ({"a": iter([])}, r"extras\.a"),
    ],
)
def test_what_is_no_data_is_named_with_its_path(data: Any, path: str) -> None:
    with pytest.raises((errors.UsageError, errors.UnsupportedError), match=path):
        nested.encode(data, where="extras", sink=TensorSink())


@pytest.mark.parametrize(
    "document",
    [
        {"@tensor": "absent"},
        {"@tensor": ["a"]},
        {"@": 1},
        {"@tuple": 1},
        {"@tuple": [], "a": 1},
        {"@tuple": [], "@set": []},
        {"@pairs": {"a": 1}},
        {"@pairs": [[1]]},
        {"@pairs": [[1, 2], [True, 3]]},
        {"@pairs": [[{}, 1]]},
        {"@counter": [["a", 1.5]]},
        {"@set": [1, 1.0]},
        {"@set": [[1]]},
        {"@complex": [1, 2]},
        {"@complex": [1.0]},
        {"@dtype": "float"},
        {"@dtype": 3},
        {"@device": "cuda:0; rm"},
        {"@device": None},
        {"@import": "os.system"},
    ],
    ids=str,
)
def test_a_document_that_no_data_gives_is_refused(document: Any) -> None:
    with pytest.raises(errors.FormatError, match="extras"):
        nested.decode(document, where="extras", tensors={"a": torch.ones(1)})


@pytest.mark.parametrize(
    ("live", "saved", "fits"),
    [
        (0.1, 1, True),
        (0.1, torch.tensor(0.1), True),
        (torch.tensor(0.1), 0.5, True),
        (1, True, False),
        (True, 1, False),
        (0.1, None, False),
        (0.1, "x", False),
        (None, True, True),
        (None, 0.5, True),
        (None, [1], False),
        (False, None, True),
        ("min", "max", True),
        ("min", 1, False),
        ((0.9, 0.99), (0.8, 1), True),
        ((0.9, 0.99), (0.8,), False),
        ([1], {"a": 1}, False),
        (torch.ones(2), torch.ones(3), False),
        ({"a": 1}, {"b": 2}, True),
    ],
    ids=str,
)
def test_an_option_is_replaced_by_its_own_kind_only(live: Any, saved: Any, fits: bool) -> None:
    assert nested.compatible(live, saved) is fits
