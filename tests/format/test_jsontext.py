"""JSON in one byte form: what is read can be written again, and nothing makes the reader work beyond its limits."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effort import within
from modelcrate.errors import FormatError, LimitError, ModelcrateError
from modelcrate.format import jsontext
from modelcrate.limits import DEFAULT

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "spec" / "vectors"))

from making.build import rendered  # noqa: E402 (the other implementation of the canonical form)

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False).map(lambda value: value or 0.0)
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | NUMBERS | TEXT
DOCUMENTS = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4))


@given(DOCUMENTS)
def test_C26_a_document_has_one_byte_form_and_reads_back_from_it(document):
    data = jsontext.dump(document)
    assert data == (rendered(document) + "\n").encode()
    found = jsontext.parse(data, where="json")
    jsontext.check_canonical(data, found, where="json")
    assert json.dumps(found, sort_keys=True) == json.dumps(document, sort_keys=True)


@given(DOCUMENTS, st.integers(0, 200), st.binary(min_size=1, max_size=3))
def test_any_bytes_are_read_or_refused(document, place, junk):
    data = bytearray(jsontext.dump(document))
    data[place % len(data) : place % len(data) + 1] = junk
    try:
        found = jsontext.parse(bytes(data), where="json")
        jsontext.check_canonical(bytes(data), found, where="json")
    except ModelcrateError:
        return
    assert jsontext.dump(found) == data


@pytest.mark.parametrize(
    "data",
    [
        b" " * (4 << 20) + b" ",
        b'{"a": "' + b"x" * (3 << 20) + b'"}',
        b"{" + b",".join(b'"%d": 1' % index for index in range(100_001)) + b"}",
        b"[" + b"1," * 1_000_000 + b"1]",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 65 + b"]" * 65,
    ],
    ids=["4MiB+1", "3MiB-text", "100001-keys", "1000001-items", "depth-100000", "objects-100000", "depth-65"],
)
def test_C5_C6_what_is_too_much_is_refused_by_a_limit(data):
    with pytest.raises(LimitError):
        jsontext.parse(data, where="json")


def test_C6_a_caller_may_raise_the_limits():
    wider = dataclasses.replace(DEFAULT, manifest_depth=70, manifest_items=10)
    assert jsontext.parse(b"[" * 65 + b"]" * 65, where="json", limits=dataclasses.replace(wider, manifest_items=100))
    with pytest.raises(LimitError):
        jsontext.parse(b"[1,2,3,4,5,6,7,8,9,10,11]", where="json", limits=wider)


@pytest.mark.parametrize("piece", [b'\\"', b"\\\\", b'"', b"[", b'"\\', b'":"'], ids=repr)
def test_H13_time_grows_with_the_size_of_the_text_and_no_faster(piece):
    def refused(data):
        with pytest.raises(ModelcrateError):
            jsontext.parse(data, where="json")

    within(1.0, lambda: refused(b'{"' + piece * (2_000_000 // len(piece))))


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": {"b": (1, 2)}}, "json.a.b"),
        ({"a": [1, float("nan")]}, "json.a[1]"),
        ({"a": [{"b": -0.0}]}, "json.a[0].b"),
        ({"a": 2**53 + 1}, "json.a"),
        ({"a": "\ud800"}, "json.a"),
        ({"a": {1: 2}}, "json.a"),
        ({"a": b"x"}, "json.a"),
    ],
)
def test_a_value_that_is_not_plain_is_named_by_its_path(value, path):
    with pytest.raises(FormatError) as caught:
        jsontext.check_plain(value, where="json")
    assert caught.value.where == path


def test_a_value_that_holds_itself_is_refused():
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(LimitError):
        jsontext.check_plain(loop, where="json")


def test_C25_bytes_depend_neither_on_the_hash_seed_nor_on_the_locale():
    program = (
        "from modelcrate.format import jsontext\n"
        "value = {'I': 1.5, 'i': 'İı', 'b': {key: None for key in {'x', 'y', 'z'}}}\n"
        "print(jsontext.dump(value).hex())"
    )
    outputs = set()
    for seed, locale in [("0", "C"), ("1", "tr_TR.UTF-8")]:
        environment = {**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": locale, "PYTHONPATH": str(ROOT / "src")}
        outputs.add(
            subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True).stdout
        )
    assert len(outputs) == 1
