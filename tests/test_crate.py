"""Crates as users hold them: written, opened, loaded, inspected, verified."""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

import modelcrate as mc
from crate_bytes import Raw, archive, members_of, small_components, small_crate
from effort import TRIES, slowness
from modelcrate.crate import ComponentData, write_crate
from modelcrate.errors import (
    FormatError,
    IntegrityError,
    LimitError,
    MismatchError,
    UnsupportedError,
    UsageError,
)
from modelcrate.format.digest import digest_of
from modelcrate.format.manifest import Omission
from modelcrate.format.tensors import TensorData
from modelcrate.limits import DEFAULT
from modelcrate.nn import registry


@pytest.fixture(autouse=True)
def own_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))


def small_net(**arguments: Any) -> torch.nn.Module:
    @mc.architecture("test.net/1")
    class Net(torch.nn.Module):
        def __init__(self, width: int = 4) -> None:
            super().__init__()
            self.fc = torch.nn.Linear(width, width)
            self.bn = torch.nn.BatchNorm1d(width)
            self.register_buffer("mask", torch.tensor([True, False]))

    return Net(**arguments)


# -- modules, saved and loaded


@pytest.mark.parametrize("form", ["file", "folder"])
@pytest.mark.parametrize("io", ["map", "read"])
def test_a_module_comes_back_bit_for_bit(tmp_path: Path, form: str, io: str) -> None:
    net = small_net(width=5)
    net.fc.weight.data[0, 0] = float("nan")
    mc.save(net, tmp_path / "x", form=form)
    loaded = mc.load(tmp_path / "x", io=io)
    assert type(loaded) is type(net)
    for name, tensor in net.state_dict().items():
        assert loaded.state_dict()[name].numpy().tobytes() == tensor.numpy().tobytes()


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_kept(tmp_path: Path, training: bool) -> None:
    mc.save(small_net().train(training), tmp_path / "x")
    assert mc.load(tmp_path / "x").training is training


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_converted_module_keeps_its_dtype(tmp_path: Path, dtype: torch.dtype) -> None:
    mc.save(small_net().to(dtype), tmp_path / "x")
    loaded = mc.load(tmp_path / "x")
    assert loaded.fc.weight.dtype is dtype
    assert loaded.bn.num_batches_tracked.dtype is torch.int64


def test_training_a_loaded_module_does_not_touch_the_file(tmp_path: Path) -> None:
    mc.save(small_net(), tmp_path / "x")
    before = (tmp_path / "x").read_bytes()
    loaded = mc.load(tmp_path / "x")
    with torch.no_grad():
        for tensor in loaded.parameters():
            tensor.add_(1)
    assert (tmp_path / "x").read_bytes() == before
    assert not torch.equal(mc.load(tmp_path / "x").fc.weight, loaded.fc.weight)


def test_tensors_outlive_the_crate_and_the_file(tmp_path: Path) -> None:
    net = small_net()
    mc.save(net, tmp_path / "x")
    loaded = mc.load(tmp_path / "x")
    (tmp_path / "x").unlink()
    gc.collect()
    assert torch.equal(loaded.fc.weight, net.fc.weight)


def test_i28_the_same_module_gives_the_same_bytes(tmp_path: Path) -> None:
    net = small_net()
    for name in ("a", "b"):
        mc.save(net, tmp_path / name)
    mc.save(mc.load(tmp_path / "a"), tmp_path / "c")
    assert len({(tmp_path / name).read_bytes() for name in "abc"}) == 1


def test_strided_tensors_are_saved_by_value(tmp_path: Path) -> None:
    net = small_net()
    net.fc.weight = torch.nn.Parameter(torch.arange(16.0).view(4, 4).t())
    mc.save(net, tmp_path / "x")
    assert torch.equal(mc.load(tmp_path / "x").fc.weight, torch.arange(16.0).view(4, 4).t())


def test_hooks_stay_behind_in_writing(tmp_path: Path) -> None:
    net = small_net()
    net.fc.register_forward_hook(lambda *_: None)
    manifest = mc.save(net, tmp_path / "x")
    assert manifest.omitted == (Omission(what="1 hooks", where="module.fc", why="hooks are code"),)
    assert not mc.load(tmp_path / "x").fc._forward_hooks


def test_a_module_that_was_changed_after_it_was_built_is_not_saved(tmp_path: Path) -> None:
    net = small_net()
    net.extra = torch.nn.Parameter(torch.zeros(1))
    with pytest.raises(UsageError, match="extra"):
        mc.save(net, tmp_path / "x")
    net = small_net()
    net.fc = torch.nn.Linear(9, 9)
    with pytest.raises(UsageError, match="fc"):
        mc.save(net, tmp_path / "x")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("thing", [{"a": "b"}, 3, None, "text"], ids=repr)
def test_what_can_not_be_saved_is_told_what_to_do(tmp_path: Path, thing: object) -> None:
    with pytest.raises(UsageError):
        mc.save(thing, tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_a_class_that_is_not_registered_is_told_what_to_write(tmp_path: Path) -> None:
    class Unknown(torch.nn.Module):
        pass

    with pytest.raises((UsageError, UnsupportedError), match=r"@modelcrate\.architecture"):
        mc.save(Unknown(), tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_plain_safetensors_tools_read_the_weights(tmp_path: Path) -> None:
    net = small_net()
    mc.save(net, tmp_path / "x", form="folder")
    found = safetensors.torch.load_file(tmp_path / "x/weights/module.safetensors")
    assert found.keys() == net.state_dict().keys()
    for name, tensor in net.state_dict().items():
        assert torch.equal(found[name], tensor)


def test_a_pinned_identity(tmp_path: Path) -> None:
    mc.save(small_net(), tmp_path / "x")
    mc.save(small_net(), tmp_path / "folder", form="folder")
    mine = str(mc.open(tmp_path / "x").identity)
    assert mc.load(tmp_path / "x", expect=mine)
    other = str(mc.open(tmp_path / "folder").identity)
    with pytest.raises(IntegrityError, match="not the expected"):
        mc.load(tmp_path / "x", expect=other)
    for wrong in ("", "blake3:0", "md5:" + "0" * 32, mine.upper(), 3):
        with pytest.raises(UsageError):
            mc.load(tmp_path / "x", expect=wrong)  # type: ignore[arg-type]


def test_f12_loading_changes_no_global_state(tmp_path: Path) -> None:
    mc.save(small_net(), tmp_path / "x")
    before = (
        torch.get_rng_state(),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        np.random.get_state()[1].tolist(),
    )
    mc.load(tmp_path / "x")
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (torch.get_default_dtype(), torch.get_num_threads(), np.random.get_state()[1].tolist())


# -- models that are not what they say


def written(path: Path, **changes: Any) -> Path:
    """A crate of a module with some of its parts replaced."""
    registry.lookup("test.net/1")
    tensors = {name: TensorData("F32", shape, bytes(4 * int(np.prod(shape)))) for name, shape in SHAPES.items()}
    tensors["bn.num_batches_tracked"] = TensorData("I64", (), bytes(8))
    tensors["mask"] = TensorData("BOOL", (2,), b"\1\0")
    component = {"name": "module", "role": "module", "type": "test.net/1", "config": {"width": 4}, "tensors": tensors}
    component.update(changes.pop("component", {}))
    arguments = {"model": ("nn.module/1", {"training": False, "dtype": None}), **changes}
    write_crate(path, components=[ComponentData(**component), *arguments.pop("more", [])], **arguments)
    return path


SHAPES = {"fc.weight": (4, 4), "fc.bias": (4,), "bn.weight": (4,), "bn.bias": (4,), "bn.running_mean": (4,),
          "bn.running_var": (4,)}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({}, None),
        ({"model": None}, UsageError),
        ({"model": ("acme.model/1", {})}, UnsupportedError),
        ({"model": ("nn.module/2", {})}, UnsupportedError),
        ({"model": ("nn.module/1", {})}, FormatError),
        ({"model": ("nn.module/1", {"training": 1, "dtype": None})}, FormatError),
        ({"model": ("nn.module/1", {"training": True, "dtype": "object"})}, FormatError),
        ({"model": ("nn.module/1", {"training": True, "dtype": "F64"})}, MismatchError),
        ({"model": ("nn.module/1", {"training": True, "dtype": "BOOL"})}, FormatError),
        ({"model": ("nn.module/1", {"training": True, "dtype": None, "unsafe": True})}, FormatError),
        ({"component": {"type": "os.system/1"}}, UnsupportedError),
        ({"component": {"config": {}}}, None),
        ({"component": {"config": {"width": 5}}}, MismatchError),
        ({"component": {"config": {"width": "__import__('os')"}}}, FormatError),
        ({"component": {"config": {"width": 4, "hook": "os.system"}}}, FormatError),
        ({"component": {"tensors": None}}, UsageError),
        ({"component": {"tensors": {}}}, MismatchError),
        ({"component": {"state": {}}}, FormatError),
        ({"more": [ComponentData(name="other", role="x", type="a.b/1")]}, FormatError),
    ],
    ids=str,
)
def test_f01_f04_f07_crates_of_modules_that_do_not_fit(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception] | None
) -> None:
    small_net()
    path = written(tmp_path / "x", **changes)
    if error is None:
        assert isinstance(mc.load(path), torch.nn.Module)
    else:
        with pytest.raises(error):
            mc.load(path)
    assert mc.verify(path).ok


def test_e23_a_wrong_last_byte_is_found_before_anything_is_handed_out(tmp_path: Path) -> None:
    path = tmp_path / "x"
    mc.save(small_net(), path, form="folder")
    weights = path / "weights/module.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises((IntegrityError, FormatError)):
        mc.load(path)
    report = mc.verify(path)
    assert [(it.code, it.where) for it in report.problems] == [("INTEGRITY", f"{path}: weights/module.safetensors")]
    with mc.open(path) as crate, pytest.raises(IntegrityError):
        crate["module"].tensors["mask"]


def test_i05_two_members_of_the_same_size_that_changed_places(tmp_path: Path) -> None:
    state = [ComponentData(name=name, role="x", type="a.b/1", state={"value": name}) for name in ("one", "two")]
    write_crate(tmp_path / "x", components=state, form="folder")
    (tmp_path / "x/state/one.msgpack").rename(tmp_path / "swap")
    (tmp_path / "x/state/two.msgpack").rename(tmp_path / "x/state/one.msgpack")
    (tmp_path / "swap").rename(tmp_path / "x/state/two.msgpack")
    assert len(mc.verify(tmp_path / "x").problems) == 2
    with mc.open(tmp_path / "x") as crate, pytest.raises(IntegrityError):
        assert crate["one"].state
    with mc.open(tmp_path / "x", verify=False) as crate:
        assert crate["one"].state == {"value": "two"}


# -- open, inspect, verify


@pytest.mark.parametrize("form", ["file", "folder"])
@pytest.mark.parametrize("digest", ["blake3", "sha256"])
def test_an_open_crate_gives_what_was_written(tmp_path: Path, form: str, digest: str) -> None:
    small_crate(tmp_path / "x", form=form, digest=digest)
    with mc.open(tmp_path / "x") as crate:
        assert list(crate) == ["net", "table"]
        assert crate["net"].role == "network"
        assert crate["net"].type == "test.net/1"
        assert crate["net"].config == {"width": 2}
        assert crate["table"].state == small_components()[1].state
        assert crate["net"].tensors["mask"].tolist() == [False, True, True]
        assert crate["net"].tensors["empty"].shape == (0,)
        assert bytes(crate["net"].data["weight"].data) == bytes(range(16))
        assert crate.manifest.algorithm == digest
    assert mc.verify(tmp_path / "x", schemas=True).ok


def test_sha256_digests_are_those_of_hashlib(tmp_path: Path) -> None:
    small_crate(tmp_path / "x", form="folder", digest="sha256")
    members = json.loads((tmp_path / "x/manifest.json").read_bytes())["members"]
    for name, member in members.items():
        assert member["digest"] == "sha256:" + hashlib.sha256((tmp_path / "x" / name).read_bytes()).hexdigest()


def test_a_closed_crate_can_not_be_read_further(tmp_path: Path) -> None:
    with mc.open(small_crate(tmp_path / "x")) as crate:
        weight = crate["net"].tensors["weight"]
    assert weight.shape == (2, 2)
    with pytest.raises(UsageError, match="closed"):
        assert crate["table"].state


def test_what_a_component_does_not_have_is_said(tmp_path: Path) -> None:
    with mc.open(small_crate(tmp_path / "x")) as crate:
        with pytest.raises(UsageError, match="no state"):
            assert crate["net"].state
        with pytest.raises(UsageError, match="no tensors"):
            assert crate["table"].tensors
        with pytest.raises(KeyError):
            crate["other"]


def test_inspect_tells_what_is_inside(tmp_path: Path) -> None:
    found = mc.inspect(small_crate(tmp_path / "x", hyperparameters={"epochs": 3}))
    net, table = found.components
    assert found.manifest.hyperparameters == {"epochs": 3}
    assert found.identity == mc.open(tmp_path / "x").identity
    assert [(it.name, it.dtype, it.shape) for it in net.tensors] == [
        ("empty", "F32", (0,)), ("mask", "BOOL", (3,)), ("weight", "F32", (2, 2))
    ]  # fmt: skip
    assert net.parameters == 7
    assert [(it.path, it.kind, it.count) for it in table.state] == [
        ("columns[]", "text", 2), ("mean", "a float", 1), ("nested.count", "an integer", 1), ("nested.raw", "bytes", 1)
    ]  # fmt: skip


def test_h18_inspect_lists_a_bounded_number_of_places(tmp_path: Path) -> None:
    state = {f"k{index}": index for index in range(5000)}
    write_crate(tmp_path / "x", components=[ComponentData(name="a", role="a", type="a.b/1", state=state)])
    (component,) = mc.inspect(tmp_path / "x").components
    assert len(component.state) <= 2001
    assert sum(it.count for it in component.state) == 5000


def test_inspect_and_verify_need_neither_torch_nor_pandas(tmp_path: Path) -> None:
    import subprocess
    import sys

    path = small_crate(tmp_path / "x")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import modelcrate as mc\n"
        "mc.inspect(sys.argv[2]); assert mc.verify(sys.argv[2]).ok\n"
        "print([name for name in ('torch', 'pandas', 'jsonschema', 'safetensors') if name in sys.modules])"
    )
    source = str(Path(__file__).resolve().parent.parent / "src")
    done = subprocess.run([sys.executable, "-c", code, source, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_importing_modelcrate_is_cheap() -> None:
    import subprocess
    import sys

    source = str(Path(__file__).resolve().parent.parent / "src")
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); start = time.process_time(); import modelcrate\n"
        "print(time.process_time() - start)"
    )
    took = []
    while len(took) < TRIES and not (took and min(took) < 0.05 * slowness()):
        child = subprocess.run([sys.executable, "-c", code, source], capture_output=True, check=True)
        took.append(float(child.stdout))
    assert min(took) < 0.05 * slowness(), took


@pytest.mark.parametrize("name", ["no_such_name", "_HOME", "torch"])
def test_other_names_of_the_package_do_not_exist(name: str) -> None:
    with pytest.raises(AttributeError):
        getattr(mc, name)


def test_the_public_names_exist() -> None:
    assert set(mc.__all__) >= {"save", "load", "open", "convert", "inspect", "verify", "scan", "Crate", "errors"}
    for name in mc.__all__:
        assert getattr(mc, name) is not None


def test_verify_reports_every_damaged_member(tmp_path: Path) -> None:
    small_crate(tmp_path / "x", form="folder")
    for name in ("state/table.msgpack", "weights/net.safetensors"):
        data = bytearray((tmp_path / "x" / name).read_bytes())
        data[10] ^= 1
        (tmp_path / "x" / name).write_bytes(data)
    report = mc.verify(tmp_path / "x")
    assert not report.ok
    assert {(it.code, str(it.where).rsplit(": ")[-1]) for it in report.problems} == {
        ("INTEGRITY", "state/table.msgpack"), ("INTEGRITY", "weights/net.safetensors")
    }  # fmt: skip


def test_verify_looks_into_members_whose_digests_are_right(tmp_path: Path) -> None:
    for data in (b"\xc1", b"\x93\1\2\3", b""):
        path = tmp_path / hashlib.sha256(data).hexdigest()
        small_crate(path, form="folder")
        (path / "state/table.msgpack").write_bytes(data)
        report = mc.verify(resealed(path, "state/table.msgpack"))
        assert [it.code for it in report.problems] == ["FORMAT"]


def resealed(folder: Path, name: str) -> bytes:
    """A single-file crate of a changed folder crate, whose manifest says of ``name`` what is there now."""
    from modelcrate.format.manifest import Manifest, Member

    data = (folder / name).read_bytes()
    manifest = Manifest.from_bytes((folder / "manifest.json").read_bytes())
    members = {**manifest.members, name: Member(size=len(data), digest=digest_of(data))}
    raw = members_of(folder)
    raw[-1] = Raw(name=b"manifest.json", data=dataclasses.replace(manifest, members=members).to_bytes())
    return archive(raw)


def test_c20_sizes_that_the_manifest_says_otherwise(tmp_path: Path) -> None:
    folder = small_crate(tmp_path / "x", form="folder")
    with (folder / "state/table.msgpack").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(IntegrityError, match="the manifest says"):
        mc.open(folder)


def test_limits_are_the_callers_to_set(tmp_path: Path) -> None:
    path = small_crate(tmp_path / "x")
    for tight in ({"manifest_bytes": 100}, {"members": 2}, {"manifest_items": 5}):
        with pytest.raises(LimitError):
            mc.open(path, limits=dataclasses.replace(DEFAULT, **tight))


@pytest.mark.parametrize(
    "component",
    [
        {"name": "Net"}, {"name": "a/b"}, {"type": "net"}, {"role": ""}, {"config": {"x": float("nan")}},
        {"config": {"x": object()}}, {"state": {"x": (1, 2)}}, {"state": {"x": object()}}, {"state": {1: 2}},
        {"tensors": {"bad name": TensorData("F32", (), bytes(4))}}, {"tensors": {"x": TensorData("F32", (2,), b"")}},
        {"tensors": {"x": TensorData("F128", (), b"")}},
    ],
)  # fmt: skip
def test_what_a_crate_can_not_hold_is_not_written(tmp_path: Path, component: dict[str, Any]) -> None:
    data = {"name": "net", "role": "net", "type": "a.b/1", **component}
    with pytest.raises((UsageError, FormatError)):
        write_crate(tmp_path / "x", components=[ComponentData(**data)])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options", [{"form": "zip"}, {"digest": "md5"}, {"model": ("net", {})}, {"hyperparameters": {"x": {1}}}], ids=str
)
def test_wrong_options_write_nothing(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises((UsageError, FormatError)):
        write_crate(tmp_path / "x", components=small_components(), **options)
    with pytest.raises(UsageError):
        write_crate(3, components=[])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="two components"):
        write_crate(tmp_path / "x", components=small_components() * 2)
    assert not list(tmp_path.iterdir())


def test_h19_many_threads_open_the_same_crate(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    mc.save(small_net(), tmp_path / "x")

    def work(_: int) -> Iterator[float]:
        return mc.load(tmp_path / "x").fc.weight.sum().item()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(work, range(32)))) == 1


def test_e21_a_file_that_shrinks_while_it_is_checked_is_damaged(tmp_path: Path) -> None:
    path = small_crate(tmp_path / "x")
    with mc.open(path, io="read") as crate:
        path.write_bytes(path.read_bytes()[:10])
        assert {it.code for it in crate.damaged()} == {"INTEGRITY"}
        with pytest.raises(IntegrityError, match="shorter"):
            crate.check()
