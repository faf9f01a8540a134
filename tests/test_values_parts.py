"""Crates of plain values: documents that lie about their tensors and parts are refused, whatever wrote them."""

from __future__ import annotations

import pytest
import torch

import modelcrate
from modelcrate.crate_writer import write_crate
from modelcrate.errors import FormatError, UnsupportedError, UsageError
from modelcrate.format.tensors import TensorData
from modelcrate.storage.component import ComponentData

TENSORS = {"w": TensorData("F32", (2,), bytes(8)), "i": TensorData("I64", (1,), bytes(8))}
VALUE = {"w": {"@tensor": "w"}, "i": {"@tensor": "i"}}
NAMES = {"torch.values/1": "values", "torch.state_dict/1": "state_dict"}


def crate(path, tag, changes, *others, config=None):
    document = {"version": 1, "value": VALUE, **changes}
    main = ComponentData(name=NAMES[tag], role="values", type=tag, tensors=TENSORS, state=document)
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
