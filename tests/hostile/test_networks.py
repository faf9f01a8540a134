"""E and F: crates whose tensors and architecture do not fit, cost too much, or ask for more than a network."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import modelcrate
from modelcrate.crate import ComponentData, write_crate
from modelcrate.errors import ModelcrateError
from modelcrate.format.tensors import TensorData
from oracle import Oracle

Change = Callable[[ComponentData], ComponentData]


@pytest.fixture
def honest(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2))
    path = tmp_path / "honest.crate"
    modelcrate.save(net, path)
    return path


def spoiled(honest: Path, target: Path, change: Change) -> Path:
    """The honest crate with one component changed, whole and sealed again."""
    with modelcrate.open(honest) as crate:
        part, described = crate["module"], crate.manifest.components["module"]
        component = ComponentData(
            name="module", role=described.role, type=described.type, config=copy.deepcopy(dict(described.config)),
            tensors={name: TensorData(it.dtype, it.shape, bytes(it.data)) for name, it in part.data.items()},
            state=part.state,
        )  # fmt: skip
        model = crate.manifest.model
        assert model is not None
        write_crate(target, components=[change(component)], model=(model.type, model.config))
    return target


def with_tensors(**changes: TensorData | None) -> Change:
    def change(component: ComponentData) -> ComponentData:
        tensors = {**(component.tensors or {}), **{name.replace("__", "."): it for name, it in changes.items()}}
        return dataclasses.replace(component, tensors={name: it for name, it in tensors.items() if it is not None})

    return change


def with_layer(index: int, **changes: Any) -> Change:
    def change(component: ComponentData) -> ComponentData:
        config: Any = copy.deepcopy(component.config)
        config["modules"][index].setdefault("config", {}).update(changes)
        return dataclasses.replace(component, config=config)

    return change


def floats(*shape: int) -> TensorData:
    count = 4
    for size in shape:
        count *= size
    return TensorData("F32", shape, bytes(count))


MISFITS = {
    "E14-missing": with_tensors(**{"0__weight": None}),
    "E14-extra": with_tensors(extra=floats(1)),
    "E14-renamed": with_tensors(**{"0__weight": None, "0__Weight": floats(4, 3)}),
    "E14-dunder": with_tensors(__class__=floats(1)),
    "E15-dtype": with_tensors(**{"0__weight": TensorData("F64", (4, 3), bytes(96))}),
    "E15-shape": with_tensors(**{"0__weight": floats(3, 4)}),
    "E15-flat": with_tensors(**{"0__weight": floats(12)}),
    "E19-alias": with_tensors(**{"2__weight": None}),
    "F7-config-larger": with_layer(1, in_features=3000),
    "F7-config-smaller": with_layer(1, out_features=2),
    "F5-C22-config-huge": with_layer(1, in_features=2**31, out_features=2**31),
    "F20-dtype-of-the-config": with_layer(1, dtype="float64"),
    "F10-dropout": with_layer(2, eps=-1.0),
    "F4-extra-parameter": with_layer(1, device="cuda:0"),
    "F1-path-of-a-class": with_layer(1, layer="os.system"),
    "F14-hook": with_layer(0, forward="builtins.eval"),
}


@pytest.mark.parametrize("change", [pytest.param(change, id=name) for name, change in MISFITS.items()])
def test_what_does_not_fit_is_refused_before_anything_is_built(honest: Path, oracle: Oracle, change: Change) -> None:
    """E14, E15, F1 to F10: the oracle counts memory, a config of 16 exabytes included."""
    try:
        path = spoiled(honest, oracle.inputs / "x.crate", change)
    except ModelcrateError:
        return  # the format refuses to hold it at all
    assert oracle.run("load", path, memory=64 << 20).verdict == "refused"


def test_E18_weights_that_are_no_numbers_are_weights(honest: Path, oracle: Oracle) -> None:
    """NaN and infinity are bit patterns of a model like any others; they come back bit for bit."""
    nan = TensorData("F32", (4, 3), b"\x01\x00\xc0\x7f\x00\x00\x80\xff\x00\x00\x80\x7f" * 4)
    path = spoiled(honest, oracle.inputs / "x.crate", with_tensors(**{"0__weight": nan}))
    net = modelcrate.load(path)
    assert net[0].weight.detach().numpy().tobytes() == nan.data
    assert oracle.run("verify", path).verdict == "ok"


@pytest.mark.parametrize("tag", ["this.module/1", "antigravity.fly/1", "os.system/1", "builtins.eval/1", "torch.hub/1"])
def test_F3_F23_a_tag_imports_nothing(honest: Path, oracle: Oracle, tag: str) -> None:
    """A tag is looked up, never imported: the oracle sees every import."""
    path = spoiled(honest, oracle.inputs / "x.crate", lambda it: dataclasses.replace(it, type=tag))
    assert oracle.run("load", path).error == "UNSUPPORTED"


def test_F12_F13_loading_changes_nothing_of_torch_but_what_it_returns(honest: Path) -> None:
    torch.manual_seed(5)
    before = (torch.get_rng_state(), torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled())
    modelcrate.load(honest)
    after = (torch.get_rng_state(), torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled())
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


@pytest.mark.parametrize("position", ["first", "middle", "last"])
def test_E22_E23_a_byte_that_changed_is_found_before_a_model_is_handed_out(
    honest: Path, oracle: Oracle, position: str
) -> None:
    data = bytearray(honest.read_bytes())
    with modelcrate.open(honest) as crate:
        weights = bytes(crate["module"].weights)
    start = data.index(weights[-64:]) - len(weights) + 64
    place = {"first": start, "middle": start + len(weights) // 2, "last": start + len(weights) - 1}[position]
    data[place] ^= 1
    outcome = oracle.run("load", bytes(data))
    assert outcome.error == "INTEGRITY"


def test_E21_E22_a_file_that_changes_after_it_was_loaded(honest: Path, tmp_path: Path) -> None:
    """What was loaded with ``io="read"`` is a copy: nobody changes a model through its file."""
    net = modelcrate.load(honest, io="read")
    before = net[0].weight.detach().clone()
    honest.write_bytes(bytes(honest.stat().st_size))
    assert torch.equal(net[0].weight, before)


def test_D18_a_decoded_array_is_nobody_elses(honest: Path) -> None:
    import numpy as np

    from modelcrate.format.values import decode, encode

    data = bytearray(encode({"a": np.arange(4, dtype="int32")}))
    found = decode(data, where="test")["a"]
    data[:] = bytes(len(data))
    assert found.tolist() == [0, 1, 2, 3]


def test_E24_arrays_are_little_endian_whatever_the_machine(honest: Path) -> None:
    import numpy as np

    from modelcrate.format.values import decode, encode

    big, little = np.arange(4, dtype=">i4"), np.arange(4, dtype="<i4")
    assert encode(little) == encode(decode(encode(little), where="test"))
    try:
        assert encode(big) == encode(little)
    except ModelcrateError:
        return
