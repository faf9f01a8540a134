"""``read_legacy``: what the library that wrote a file says is in it, and nothing that the file asks for."""

from __future__ import annotations

import collections
import contextlib
import datetime
import decimal
import enum
import fractions
import io
import pickle
import sys
import uuid

import numpy as np
import pytest
import torch
from described import FOLDER, Description, source

import modelcrate
from modelcrate.errors import FormatError, LimitError, ModelcrateError, PolicyError, UnsupportedError
from modelcrate.legacy.record import Name, Record

UNSUPPORTED = {
    "quantized": ("A24", r"model|quantized.*quantised tensor .*_rebuild_qtensor"),
    "sparse": ("A24", r"sparse tensor .*_rebuild_sparse_tensor"),
}
SCRIPTED = "scripted"
"""TorchScript, which its library describes by running it; see test_torchscript."""
NAMES = sorted(path.name.removesuffix(".expected.json") for path in FOLDER.glob("*.expected.json"))


def saved(value: object, **how: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **how)
    return buffer.getvalue()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in UNSUPPORTED and name != SCRIPTED])
def test_a_file_holds_what_its_library_says(name):
    description = Description(name)
    assert description.hold(modelcrate.read_legacy(source(name))) == EXCEPTIONS.get(name, [])


EXCEPTIONS = {
    # Its __getstate__ leaves "cache" out of the file and adds "format"; its __setstate__, which does not run, makes it.
    "custom_state": [
        "root attributes: wanted ['cache'], found ['format']",
        "root.cache: wanted {'type': 'list', 'id': 1, 'items': [1, 2, 3]}, found None",
    ],
}


def test_no_case_of_the_corpus_is_forgotten():
    assert len(NAMES) == 64
    assert set(UNSUPPORTED) < set(NAMES)


@pytest.mark.parametrize("name", [pytest.param(name, id=f"{row[0]}-{name}") for name, row in UNSUPPORTED.items()])
def test_what_is_unsupported_is_named(name):
    with pytest.raises(UnsupportedError, match=UNSUPPORTED[name][1]):
        modelcrate.read_legacy(source(name))


class Colour(enum.Enum):
    RED = "red"


class Thing:
    pass


def test_python_values_are_themselves():
    value = {
        "none": None, "text": "ü", "bytes": b"\0\1", "big": 10**40, "floats": [0.1, float("inf")], "complex": 1j,
        "tuple": (1, (2, "x")), "set": {1, "a"}, "frozen": frozenset([2.5]), "deque": collections.deque([1, 2], 3),
        "counter": collections.Counter("aab"), "ordered": collections.OrderedDict(b=1, a=2),
        "default": collections.defaultdict(list, a=[1]), 3: "int", (1, "t"): "tuple", None: "none", b"k": "bytes",
        "date": datetime.datetime(2020, 2, 29, 1, 2, 3, 4), "decimal": decimal.Decimal("1.10"),
        "fraction": fractions.Fraction(1, 3), "uuid": uuid.UUID(int=5), "range": range(3), "slice": slice(1, 2),
        "ellipsis": ..., "array": np.arange(6, dtype=">i2").reshape(2, 3), "scalar": np.float32(0.5),
    }  # fmt: skip
    for protocol in range(6):
        found = modelcrate.read_legacy(pickle.dumps(value, protocol))
        array = found.pop("array")
        np.testing.assert_array_equal(array, value["array"])
        assert array.dtype == value["array"].dtype
        assert array.flags.writeable
        assert found == {key: item for key, item in value.items() if key != "array"}
        assert list(found) == [key for key in value if key != "array"]
        assert {type(found[key]) for key in ("counter", "ordered", "default")} == {
            collections.Counter, collections.OrderedDict, collections.defaultdict,
        }  # fmt: skip
        assert found["deque"].maxlen == 3
        assert found["default"]["absent"] == []


def test_objects_are_records_of_name_arguments_and_state():
    thing = Thing()
    thing.size, thing.me = 3, thing
    found = modelcrate.read_legacy(pickle.dumps({"thing": thing, "again": thing, "class": Thing, "colour": Colour.RED}))
    record = found["thing"]
    assert isinstance(record, Record)
    assert record.class_name == f"{__name__}.Thing"
    assert record.attributes["size"] == 3
    assert record.attributes["me"] is record
    assert found["again"] is record
    assert found["class"] == Name(f"{__name__}.Thing")
    assert (found["colour"].class_name, found["colour"].args) == (f"{__name__}.Colour", ("red",))


def test_sharing_and_circles_are_kept():
    inner = [1]
    value = {"a": inner, "b": inner, "loop": []}
    value["loop"].append(value["loop"])
    value["self"] = value
    found = modelcrate.read_legacy(pickle.dumps(value))
    assert found["a"] is found["b"]
    assert found["loop"][0] is found["loop"]
    assert found["self"] is found


def test_a_tuple_in_a_circle_is_one_tuple__A47():
    inner = []
    loop = (inner, {"x": inner})
    inner.append(loop)
    inner.append((loop, 1))
    for protocol in range(6):
        found = modelcrate.read_legacy(pickle.dumps([loop, loop], protocol))
        assert found[0] is found[1]
        assert found[0][0][0] is found[0]
        assert found[0][0][1][0] is found[0]
        assert found[0][1]["x"] is found[0][0]


def test_views_share_their_storage_and_parameters_their_identity():
    base = torch.arange(10.0)
    weight = torch.nn.Parameter(torch.ones(2, 2))
    value = {"base": base, "view": base[2:8].reshape(2, 3).t(), "w": weight, "tied": weight, "frozen": base[:0]}
    old = {"_use_new_zipfile_serialization": False}
    for how in ({}, old, *({**old, "pickle_protocol": number} for number in (1, 3, 4, 5))):
        found = modelcrate.read_legacy(saved(value, **how))
        assert found["w"] is found["tied"]
        assert found["view"].stride() == (1, 3)
        found["base"][4] = 77.0  # writable, and only in memory
        assert found["view"][2, 0] == 77.0
        assert isinstance(found["w"], torch.nn.Parameter)


def test_a_state_dict_keeps_its_versions():
    state = torch.nn.Sequential(torch.nn.BatchNorm1d(3)).state_dict()
    found = modelcrate.read_legacy(saved(state))
    assert found._metadata == state._metadata
    torch.nn.Sequential(torch.nn.BatchNorm1d(3)).load_state_dict(found)


def test_nothing_is_imported_or_executed():
    """A class of a module that is there, and would be imported; a call that is harmless in itself."""
    data = b"\x80\x04cthis\nZen\n)\x81."
    assert "this" not in sys.modules
    assert modelcrate.read_legacy(data).class_name == "this.Zen"
    assert "this" not in sys.modules
    with pytest.raises(PolicyError, match=r"os\.system"):
        modelcrate.read_legacy(b"\x80\x04cos\nsystem\n(S'true'\ntR.")


def test_depth_and_keys_are_bounded():
    nested = b"\x80\x04" + b"]" * 600 + b"a" * 599 + b"."
    with pytest.raises(LimitError, match="nested deeper"):
        modelcrate.read_legacy(nested)
    keys = {index * (2**61 - 1): None for index in range(1, 500)}
    with pytest.raises(LimitError, match="one hash"):
        modelcrate.read_legacy(pickle.dumps(keys))


def test_an_expanded_view_of_a_terabyte_is_refused__A20():
    """Zero strides make four bytes look like a terabyte."""
    with pytest.raises(LimitError, match="larger than the file"):
        modelcrate.read_legacy(saved({"x": torch.ones(1).expand(2**38)}))


def test_a_boolean_that_is_none_is_refused():
    data = saved({"flags": torch.tensor([True, False, True, True])})
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            new.writestr(name, b"\1\0\2\1" if "/data/0" in name else old.read(name))
    with pytest.raises(FormatError, match="boolean"):
        modelcrate.read_legacy(buffer.getvalue())


@pytest.mark.parametrize("name", ["mixed_dict", "torch1_4_0_module", "pickle_protocol3", "joblib"])
def test_flipped_bytes_never_escape_the_error_tree(name):
    data = bytearray(source(name).read_bytes())
    rng = np.random.default_rng(1)
    for position in rng.integers(0, len(data), 60):
        before = data[position]
        data[position] ^= 1 << int(rng.integers(8))
        with contextlib.suppress(ModelcrateError):
            modelcrate.read_legacy(bytes(data))
        data[position] = before
