"""Typed walking of a graph, with the path in every error."""

from __future__ import annotations

import pickle
from collections import OrderedDict, defaultdict, deque

import numpy as np
import pytest
from pickled import named, stacked, text

from modelcrate.errors import FormatError, ModelcrateError
from modelcrate.legacy.context import Context
from modelcrate.legacy.machine import read_pickle
from modelcrate.legacy.view import View


def view(data: bytes) -> View:
    return View(read_pickle(data).root, "Model", Context(size=len(data)))


def of(value: object, protocol: int = 4) -> View:
    return view(pickle.dumps(value, protocol))


STATE = b"}(" + text("width") + b"K\x07" + text("name") + text("net") + b"u"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x80\x02" + named("pkg", "Net") + b")\x81" + STATE + b"b.", id="newobj"),
        pytest.param(b"\x80\x04" + stacked("pkg", "Net") + b")}\x92" + STATE + b"b.", id="newobj-ex"),
        pytest.param(b"(ipkg\nNet\n" + STATE + b"b.", id="inst"),
        pytest.param(b"(" + named("pkg", "Net") + b"o" + STATE + b"b.", id="obj"),
        pytest.param(
            b"ccopy_reg\n_reconstructor\n(" + named("pkg", "Net") + b"c__builtin__\nobject\nNtR" + STATE + b"b.",
            id="reconstructor",
        ),
        pytest.param(b"ccopyreg\n__newobj__\n" + named("pkg", "Net") + b"\x85R" + STATE + b"b.", id="copyreg-newobj"),
        pytest.param(b"\x80\x02" + named("pkg", "Net") + b")\x81" + STATE + b"N\x86b.", id="dict-and-slots"),
        pytest.param(b"\x80\x02" + named("pkg", "Net") + b")\x81N" + STATE + b"\x86b.", id="slots-only"),
    ],
)
def test_instances_in_every_spelling_have_attributes(data: bytes) -> None:
    net = view(data).attributes("pkg.Net", "pkg.Other")
    assert net["width"].integer() == 7
    assert net["name"].text() == "net"
    assert net.get("absent") is None
    assert "width" in net
    assert net.names() == ("width", "name")
    assert net.class_name == "pkg.Net"


def test_later_states_win() -> None:
    data = b"\x80\x02" + named("pkg", "Net") + b")\x81" + STATE + b"b}" + text("width") + b"K\x09sb."
    assert view(data).attributes("pkg.Net")["width"].integer() == 9


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02" + named("pkg", "Evil") + b")\x81" + STATE + b"b.",
        b"\x80\x04" + stacked("pkg", "Sub.Net") + b")\x81" + STATE + b"b.",
        b"\x80\x02" + named("pkg ", "Net") + b")\x81" + STATE + b"b.",
        b"\x80\x02" + named("pkg", "Net") + b")\x81" + text("x") + b"b.",
        b"\x80\x02" + named("pkg", "Net") + b")\x81}K\x01K\x01sb.",
        named("pkg", "Net") + b".",
        b"}.",
    ],
)
def test_another_class_or_state_is_refused__A11_A12(data: bytes) -> None:
    with pytest.raises(ModelcrateError, match="Model"):
        view(data).attributes("pkg.Net")


def test_errors_carry_the_path() -> None:
    with pytest.raises(FormatError) as caught:
        of({"a": [1, {"b": "x"}]})["a"].items()[1]["b"].integer()
    assert str(caught.value) == "Model['a'][1]['b']: expected an integer, found text"


def test_scalars_are_strict() -> None:
    assert of(3).integer() == 3
    assert of(np.int64(3), 2).integer() == 3
    assert of(np.float64(2.5)).number() == 2.5
    assert of(True).boolean() is True
    assert of(np.True_).boolean() is True
    refused = [
        (True, View.integer),
        (1, View.boolean),
        (1.0, View.integer),
        (True, View.number),
        (1, View.text),
        ("1", View.number),
        (None, View.text),
        ("\ud800", View.text),
        (10**400, View.number),
    ]
    for value, read in refused:
        with pytest.raises(FormatError):
            read(of(value))
    with pytest.raises(FormatError):
        of(float("nan")).finite()
    assert of(None).is_none()


@pytest.mark.parametrize("protocol", range(6))
def test_containers_in_every_protocol(protocol: int) -> None:
    for value in ([1, 2], (1, 2), {1, 2}, frozenset({1, 2}), deque([1, 2])):
        assert sorted(item.integer() for item in of(value, protocol).items()) == [1, 2]
    for value in ({"a": 1}, OrderedDict(a=1), defaultdict(int, a=1)):
        assert {key: item.integer() for key, item in of(value, protocol).mapping().items()} == {"a": 1}
    assert [(key.integer(), item.text()) for key, item in of({1: "x"}, protocol).pairs()] == [(1, "x")]
    assert of(np.arange(3), protocol).array().tolist() == [0, 1, 2]
    with pytest.raises(FormatError):
        of({1: 2}, protocol).mapping()
    with pytest.raises(FormatError):
        of("ab", protocol).items()


def test_enum_members_by_value_and_by_name() -> None:
    by_value = view(b"\x80\x04" + stacked("pkg", "Colour") + b"K\x02\x85R.")
    assert by_value.enum("pkg.Colour") == 2
    by_name = view(b"\x80\x04" + stacked("builtins", "getattr") + stacked("pkg", "Colour") + text("RED") + b"\x86R.")
    assert by_name.enum("pkg.Colour") == "RED"
    with pytest.raises(FormatError):
        by_value.enum("pkg.Shape")


def test_the_same_node_is_the_same_object() -> None:
    shared = [1]
    both = of([shared, shared]).items()
    assert both[0].same(both[1])
    array = np.arange(4)
    pair = of([array, array]).items()
    assert pair[0].array() is pair[1].array()
