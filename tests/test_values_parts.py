"""Crates of plain values: documents that lie about their tensors and parts are refused, whatever wrote them."""

from __future__ import annotations

import pytest
import torch

import modelcrate
from modelcrate.crate_writer import write_crate
from modelcrate.errors import FormatError, UnsupportedError, UsageError
from modelcrate.format import schema
from modelcrate.format.tensors import TensorData
from modelcrate.storage.component import ComponentData

TENSORS = {"w": TensorData("F32", (2,), bytes(8)), "i": TensorData("I64", (1,), bytes(8))}
VALUE = {"w": {"@tensor": "w"}, "i": {"@tensor": "i"}}
NAMES = {"torch.values/1": "values", "torch.state_dict/1": "state_dict"}


def crate(path, tag, changes, *others, config=None):
    """A crate whose document no writer would make: the schema does not look at it."""
    document = {"version": 1, "value": VALUE, **changes}
    main = ComponentData(name=NAMES[tag], role="values", type=tag, tensors=TENSORS, state=document)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "validate_state", lambda *_: None)
        write_crate(path / "a.crate", components=[main, *others], model=(tag, config or {}))
    return path / "a.crate"


def part(name="net"):
    held = {"version": 1, "value": {"w": {"@tensor": "w"}}}
    return ComponentData(name=name, role="network", type="torch.state_dict/1", tensors={"w": TENSORS["w"]}, state=held)


@pytest.mark.parametrize("tag", NAMES)
def test_tensors_come_back_with_their_flags(tmp_path, tag):
    found = modelcrate.load(crate(tmp_path, tag, {"parameters": ["w"], "learning": ["w"]}))
    assert isinstance(found["w"], torch.nn.Parameter)
    assert found["w"].requires_grad
    assert found["i"].tolist() == [0]


@pytest.mark.parametrize("tag", NAMES)
@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"version": 2}, UnsupportedError),
        ({"value": 3}, FormatError),
        ({"value": {"w": {"@tensor": "absent"}}}, FormatError),
        ({"value": {"w": {"@tensor": "w"}}}, FormatError),
        ({"value": {"w": {"@pickle": "w"}}}, FormatError),
        ({"learning": ["i"]}, FormatError),
        ({"parameters": ["absent"]}, FormatError),
        ({"shared": 3}, FormatError),
        ({"shared": [{"size": 2**40, "members": {"w": {"offset": 0, "stride": [2**39]}}}]}, FormatError),
        ({"metadata": 3}, FormatError),
        ({"parts": {"net": ["w"]}}, FormatError),
        ({"more": 1}, FormatError),
    ],
)
def test_documents_that_lie_are_refused(tmp_path, tag, changes, kind):
    with pytest.raises(kind):
        modelcrate.load(crate(tmp_path, tag, changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"parts": {}},
        {"parts": {"net": ["w"]}},
        {"parts": {"net": ["absent"]}},
        {"parts": {"net": [0]}},
        {"parts": {"net": []}},
        {"parts": {"net": ["w", 0]}},
        {"parts": {"net": [True]}},
        {"parts": {"other": ["hole"]}},
        {"parts": {"net": ["hole"], "other": ["hole"]}},
    ],
)
def test_parts_without_a_place_are_refused(tmp_path, changes):
    changes = {"value": {**VALUE, "hole": None}, **changes}
    with pytest.raises(FormatError):
        modelcrate.load(crate(tmp_path, "torch.values/1", changes, part()))


def test_a_part_stands_where_its_path_leads(tmp_path):
    changes = {"value": {**VALUE, "nets": [1, None]}, "parts": {"net": ["nets", 1]}}
    found = modelcrate.load(crate(tmp_path, "torch.values/1", changes, part()))
    assert list(found["nets"][1]) == ["w"]


def test_two_parts_can_not_share_a_place(tmp_path):
    changes = {"value": {**VALUE, "hole": None}, "parts": {"net": ["hole"], "other": ["hole"]}}
    with pytest.raises(FormatError, match="taken"):
        modelcrate.load(crate(tmp_path, "torch.values/1", changes, part(), part("other")))


@pytest.mark.parametrize("tag", NAMES)
def test_a_config_and_options_of_networks_are_refused(tmp_path, tag):
    path = crate(tmp_path, tag, {}, config={"x": 1})
    with pytest.raises(FormatError, match="unknown field"):
        modelcrate.load(path)
    with pytest.raises(UsageError):
        modelcrate.load(path, dtype="float16")


@pytest.mark.parametrize("tag", NAMES)
@pytest.mark.parametrize(
    "changes",
    [
        {"version": "1"},
        {"version": 0},
        {"value": {"w": {"@pickle": "w"}}},
        {"value": {"w": {"@tensor": "a b"}}},
        {"value": {"@pairs": [["w"]]}},
        {"value": {"@pairs": [["w", {"@tensor": "w"}]] * 2_000 + [["w", {"@tensor": 3}]]}},
        {"value": {"@pairs": [["w", {"@tensor": "w"}]] * 2_000 + [["w", {"@tensor": "w" * 600}]]}},
        {"learning": "w"},
        {"parameters": [""]},
        {"shared": [{"size": 0, "members": {}}]},
        {"shared": [{"size": 4, "members": {"w": {"offset": -1, "stride": [1]}}}]},
        {"parts": {"Net": ["w"]}, "metadata": {"@what": 1}},
        {"more": 1},
    ],
)
def test_the_schema_refuses_documents_of_another_structure(tag, changes):
    schema.validate_state({"version": 1, "value": VALUE}, tag, "state")
    with pytest.raises(FormatError, match="schema"):
        schema.validate_state({"version": 1, "value": VALUE, **changes}, tag, "state")


def test_the_schemas_take_what_is_written(tmp_path):
    """Names out of order, odd ones, ties, metadata, parameters; values of every kind, nested."""
    net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    tied = {"b": net[0].weight, "@a": net[0].weight, "c d": torch.ones(2), "": torch.ones(1)}
    many = {f"t{9_999 - number}": torch.zeros(1) for number in range(1_500)}
    values = {"n": net.state_dict(), "o": {1: [2, (3, "x")], "y": {4}, "z": 1j}, "d": torch.float16, "none": None}
    for number, value in enumerate([tied, net.state_dict(), many, values]):
        torch.save(value, tmp_path / f"{number}.pt")
        modelcrate.convert(tmp_path / f"{number}.pt", tmp_path / f"{number}.crate")
        assert modelcrate.verify(tmp_path / f"{number}.crate").ok
        assert list(modelcrate.load(tmp_path / f"{number}.crate")) == list(value)
