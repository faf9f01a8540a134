"""One network or several in a crate, saved and loaded as a user does it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

import modelcrate as mc
from modelcrate.crate_writer import write_crate
from modelcrate.errors import FormatError, IntegrityError, MismatchError, UnsupportedError, UsageError
from modelcrate.format.tensors import DeferredTensorData
from modelcrate.nn import registry, stock
from modelcrate.nn.tensors import tensor_data
from modelcrate.storage.component import ComponentData

RELEASED = Path(__file__).resolve().parent.parent / "spec" / "vectors" / "released" / "1.0"


@pytest.fixture(autouse=True)
def own_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))


def gan() -> dict[str, nn.Module]:
    generator = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    discriminator = nn.Sequential(nn.Linear(3, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    return {"generator": generator, "discriminator": discriminator.eval(), "ema": nn.Linear(4, 3).bfloat16()}


def same(one: nn.Module, other: nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return list(mine) == list(theirs) and all(
        mine[name].dtype == theirs[name].dtype and torch.equal(mine[name], theirs[name]) for name in mine
    )


def damaged(path: Path, member: str) -> Path:
    """The folder crate with the last byte of one member changed."""
    data = bytearray((path / member).read_bytes())
    data[-1] ^= 1
    (path / member).write_bytes(data)
    return path


# Several networks


@pytest.mark.parametrize("form", ["file", "folder"])
def test_several_networks_come_back_by_name_each_in_its_mode(form: Any, tmp_path: Path) -> None:
    networks = gan()
    mc.save(networks, tmp_path / "x", form=form)
    again = mc.load(tmp_path / "x")
    assert set(again) == set(networks)
    for name, network in networks.items():
        assert same(again[name], network)
        assert again[name].training == network.training


def test_each_network_has_a_plain_safetensors_file_of_its_own(tmp_path: Path) -> None:
    networks = gan()
    mc.save(networks, tmp_path / "x", form="folder")
    for name, network in networks.items():
        held = safetensors.torch.load_file(tmp_path / "x" / "weights" / f"{name}.safetensors")
        assert held.keys() == network.state_dict().keys()


def test_the_same_networks_give_the_same_bytes_whatever_their_order(tmp_path: Path) -> None:
    networks = gan()
    mc.save(networks, tmp_path / "x")
    mc.save(dict(reversed(networks.items())), tmp_path / "y")
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


def test_one_network_is_loaded_alone(tmp_path: Path) -> None:
    networks = gan()
    mc.save(networks, tmp_path / "x")
    assert same(mc.load(tmp_path / "x", only="ema"), networks["ema"])
    some = mc.load(tmp_path / "x", only=["ema", "generator"])
    assert list(some) == ["ema", "generator"]
    assert same(some["generator"], networks["generator"])
    assert list(mc.load(tmp_path / "x", only=["ema"])) == ["ema"]
    assert mc.load(tmp_path / "x", only=[]) == {}


def test_of_the_others_nothing_is_read_nor_checked(tmp_path: Path) -> None:
    networks = gan()
    mc.save(networks, tmp_path / "x", form="folder")
    damaged(tmp_path / "x", "weights/discriminator.safetensors")
    assert same(mc.load(tmp_path / "x", only="generator"), networks["generator"])
    for wanted in (None, "discriminator", ["ema", "discriminator"]):
        with pytest.raises(IntegrityError, match="discriminator"):
            mc.load(tmp_path / "x", only=wanted)


def test_facts_of_the_network_that_is_loaded_are_checked(tmp_path: Path) -> None:
    networks = gan()
    networks["generator"][0].note = "hello"  # type: ignore[index]
    mc.save(networks, tmp_path / "x", form="folder")
    damaged(tmp_path / "x", "state/generator.msgpack")
    assert same(mc.load(tmp_path / "x", only="discriminator"), networks["discriminator"])
    with pytest.raises(IntegrityError, match="generator"):
        mc.load(tmp_path / "x", only="generator")


def test_a_name_that_is_not_there_is_told_with_the_nearest_one(tmp_path: Path) -> None:
    mc.save(gan(), tmp_path / "x")
    with pytest.raises(UsageError, match=r"is it 'generator'.*discriminator, ema, generator"):
        mc.load(tmp_path / "x", only="genrator")
    with pytest.raises(UsageError, match="no network 'nothing'"):
        mc.load(tmp_path / "x", only=["ema", "nothing"])
    with pytest.raises(UsageError):
        mc.load(tmp_path / "x", only=3)  # type: ignore[arg-type]


def test_each_network_is_placed_alone(tmp_path: Path) -> None:
    mc.save(gan(), tmp_path / "x")
    again = mc.load(tmp_path / "x", device={"generator": "cpu", "ema": torch.device("cpu")})
    assert {it.device.type for network in again.values() for it in network.parameters()} == {"cpu"}
    with pytest.raises(UsageError, match=r"device.*is it 'generator'"):
        mc.load(tmp_path / "x", device={"genrator": "cpu"})
    with pytest.raises(UsageError, match="can't be used here"):
        mc.load(tmp_path / "x", device={"generator": "cuda:99"})
    alone = mc.load(tmp_path / "x", only="ema", device={"generator": "cuda:99", "ema": "cpu"})
    assert isinstance(alone, nn.Linear)


def test_ties_hold_within_a_network_and_not_between_networks(tmp_path: Path) -> None:
    embedding = nn.Embedding(5, 3)
    one = nn.Sequential(embedding, nn.Linear(3, 5, bias=False))
    one[1].weight = embedding.weight  # type: ignore[assignment]
    two = nn.Sequential(embedding, nn.Linear(3, 2))
    manifest = mc.save({"one": one, "two": two}, tmp_path / "x")
    (told,) = manifest.omitted
    assert (told.what, told.where) == ("1 tensor shared with one", "two")
    again = mc.load(tmp_path / "x")
    assert again["one"][0].weight is again["one"][1].weight
    assert again["two"][0].weight is not again["one"][0].weight
    assert torch.equal(again["two"][0].weight, again["one"][0].weight)
    with torch.no_grad():
        again["one"][0].weight.zero_()
    assert torch.equal(again["two"][0].weight, embedding.weight)


def test_one_module_under_two_names_is_two_networks_afterwards(tmp_path: Path) -> None:
    net = nn.Linear(2, 2)
    mc.save({"a": net, "b": net}, tmp_path / "x")
    again = mc.load(tmp_path / "x")
    assert again["a"] is not again["b"]
    assert same(again["a"], again["b"])


@pytest.mark.parametrize(
    ("networks", "told"),
    [
        ({}, "no network"),
        ({"Generator": nn.Linear(1, 1)}, "lower-case"),
        ({"a.b": nn.Linear(1, 1)}, "lower-case"),
        ({3: nn.Linear(1, 1)}, "lower-case"),
        ({"net": nn.Linear(1, 1), "mean": torch.ones(1)}, r"got a Tensor.*save the module"),
        ({"net": nn.Linear(1, 1), "optimizer": torch.optim.SGD(nn.Linear(1, 1).parameters())}, "save_checkpoint"),
        ({"net": nn.Sequential(nn.LazyLinear(3))}, r"networks\.net"),
    ],
)
def test_what_is_no_family_of_networks_is_not_written(networks: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises((UsageError, UnsupportedError), match=told):
        mc.save(networks, tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_a_family_whose_manifest_says_otherwise_is_refused(tmp_path: Path) -> None:
    part = ComponentData(name="a", role="network", type="torch.nn/1", config=stock.describe(nn.ReLU()), tensors={})
    other = ComponentData(name="a", role="module", type="torch.nn/1", config=part.config, tensors={})
    write_crate(tmp_path / "role", components=[other], model=("nn.modules/1", {}))
    write_crate(tmp_path / "config", components=[part], model=("nn.modules/1", {"training": True}))
    write_crate(tmp_path / "right", components=[part], model=("nn.modules/1", {}))
    for name in ("role", "config"):
        with pytest.raises(FormatError):
            mc.load(tmp_path / name)
    assert not mc.load(tmp_path / "right")["a"].training


def test_options_of_networks_are_refused_for_other_models() -> None:
    for option in (
        {"only": "generator"},
        {"dtype": torch.float16},
        {"strict": False},
        {"device": {"generator": "cpu"}},
    ):
        with pytest.raises(UsageError, match="crates of networks"):
            mc.load(RELEASED / "actgan.crate", **option)


# dtype


class Mixed(nn.Module):
    """Tensors of every kind of dtype, in every kind of place."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 2))
        self.wave = nn.Parameter(torch.randn(2, dtype=torch.complex64))
        self.fixed = nn.Parameter(torch.randn(2).half(), requires_grad=False)
        self.register_buffer("mean", torch.randn(2).double())
        self.register_buffer("scratch", torch.randn(2), persistent=False)
        self.register_buffer("count", torch.arange(3))
        self.register_buffer("flag", torch.tensor(True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, "bfloat16", torch.float64])
def test_dtype_converts_what_is_floating_as_the_modules_own_to_does(dtype: Any, tmp_path: Path) -> None:
    """But complex tensors stay complex: ``to`` drops their imaginary parts."""
    net = mc.architecture("test.mixed/1")(Mixed)()
    net.note = torch.ones(2)
    mc.save(net, tmp_path / "x")
    again = mc.load(tmp_path / "x", dtype=dtype)
    assert torch.equal(again.wave, net.wave)
    del again.wave, net.wave
    expected = net.to(getattr(torch, dtype) if isinstance(dtype, str) else dtype)
    assert same(again, expected)
    assert again.scratch.dtype == expected.scratch.dtype
    assert again.note.dtype == torch.float32
    assert not again.fixed.requires_grad
    assert again.weight.requires_grad


def test_dtype_keeps_ties_and_shared_storages(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    both = torch.randn(4)
    net[0].bias = nn.Parameter(both[:2])
    net[2].bias = nn.Parameter(both[1:3])
    mc.save(net, tmp_path / "x")
    again = mc.load(tmp_path / "x", dtype=torch.float16)
    assert again[0].weight is again[1].weight
    with torch.no_grad():
        again[0].bias[1] = 7
    assert again[2].bias[0].item() == 7


def test_dtype_reaches_what_finish_computes(tmp_path: Path) -> None:
    def finish(module: nn.Module, device: torch.device) -> None:
        module.steps = torch.arange(3.0, device=device)

    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))
            self.register_buffer("steps", torch.arange(3.0), persistent=False)

    net = mc.architecture("test.steps/1", finish=finish)(Steps)()
    mc.save(net, tmp_path / "x")
    again = mc.load(tmp_path / "x", dtype=torch.float16)
    assert again.steps.dtype == again.weight.dtype == torch.float16


@pytest.mark.parametrize("dtype", [torch.int64, "int8", "float", "half precision", torch.complex64, 16])
def test_a_dtype_without_a_point_is_refused(dtype: Any, tmp_path: Path) -> None:
    mc.save(nn.Linear(1, 1), tmp_path / "x")
    with pytest.raises(UsageError, match="floating-point"):
        mc.load(tmp_path / "x", dtype=dtype)


def test_tensors_that_a_constructor_makes_of_arrays_load(tmp_path: Path) -> None:
    """torch.from_numpy does not ask for the device in force."""

    class Positions(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.from_numpy(np.ones(width)))
            self.register_buffer("table", torch.from_numpy(np.arange(width)))
            self.register_buffer("cache", torch.from_numpy(np.ones(width)), persistent=False)

    net = mc.architecture("test.positions/1")(Positions)(3)
    net.table += 5
    net.cache += 1
    mc.save(net, tmp_path / "x")
    again = mc.load(tmp_path / "x", dtype=torch.float32)
    assert again.table.tolist() == [5, 6, 7]
    assert again.cache.tolist() == [2, 2, 2]
    assert again.scale.dtype == again.cache.dtype == torch.float32


# Differences


def evolved(old: Mapping[str, int], new: Mapping[str, int], path: Path) -> None:
    """A crate of a net with layers ``old``, whose class has layers ``new`` since (name: width)."""

    def define(layers: Mapping[str, int]) -> type[nn.Module]:
        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                for name, width in layers.items():
                    self.add_module(name, nn.Linear(width, 2))

        return mc.architecture("test.evolved/1")(Net)

    mc.save(define(old)(), path)
    define(new)


def test_all_differences_are_one_error_with_the_nearest_names(tmp_path: Path) -> None:
    evolved({"encoder": 2, "head": 3}, {"encodr": 2, "head": 4}, tmp_path / "x")
    with pytest.raises(MismatchError) as told:
        mc.load(tmp_path / "x")
    text = str(told.value)
    assert "encodr.weight is missing (is it encoder.weight?)" in text
    assert "encoder.bias is unexpected" in text
    assert "head.weight has shape [2, 3], the module [2, 4]" in text


def test_without_strict_what_fits_is_loaded_and_the_report_says_the_rest(tmp_path: Path) -> None:
    evolved({"body": 2, "old": 2, "head": 3}, {"body": 2, "new": 2, "head": 4}, tmp_path / "x")
    state = torch.get_rng_state()
    net, report = mc.load(tmp_path / "x", strict=False)
    assert torch.equal(torch.get_rng_state(), state)
    assert set(report.missing) == {"new.weight", "new.bias"}
    assert set(report.unexpected) == {"old.weight", "old.bias"}
    assert report.shapes == {"head.weight": ((2, 3), (2, 4))}
    with mc.open(tmp_path / "x") as crate:
        assert torch.equal(net.body.weight, crate["module"].tensors["body.weight"])
        assert torch.equal(net.head.bias, crate["module"].tensors["head.bias"])
    assert net.new.weight.abs().sum() > 0
    assert net.head(torch.ones(1, 4)).isfinite().all()


def test_the_shape_of_the_answer_without_strict(tmp_path: Path) -> None:
    mc.save(gan(), tmp_path / "x")
    network, report = mc.load(tmp_path / "x", only="ema", strict=False)
    assert isinstance(network, nn.Linear)
    assert not report
    networks, reports = mc.load(tmp_path / "x", strict=False)
    assert networks.keys() == reports.keys() == gan().keys()
    assert not any(reports.values())


HUGE = """
import resource, sys
sys.path.insert(0, sys.argv[1])
import modelcrate as mc, torch
mc.load(sys.argv[3])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
try:
    mc.load(sys.argv[2], strict=False)
except mc.errors.MismatchError:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_f05_without_strict_a_small_file_allocates_no_terabytes(tmp_path: Path) -> None:
    with torch.device("meta"):
        config = stock.describe(nn.Linear(1 << 18, 1 << 18))
    huge = ComponentData(name="module", role="module", type="torch.nn/1", config=config, tensors={})
    write_crate(tmp_path / "huge", components=[huge], model=("nn.module/1", {"training": True, "dtype": None}))
    mc.save(nn.Linear(1, 1), tmp_path / "small")
    source = str(Path(__file__).resolve().parent.parent / "src")
    command = [sys.executable, "-c", HUGE, source, str(tmp_path / "huge"), str(tmp_path / "small")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 64 << 10  # KiB


# Wrappers


@pytest.fixture
def process_group(tmp_path: Path) -> Iterator[None]:
    method = f"file://{tmp_path / 'rendezvous'}"
    torch.distributed.init_process_group("gloo", init_method=method, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("process_group")
def test_wrappers_do_not_matter_on_saving(tmp_path: Path) -> None:
    distributed = nn.parallel.DistributedDataParallel
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    wrapped = {
        "compiled": torch.compile(net),
        "parallel": nn.DataParallel(net),
        "distributed": distributed(net),
        "both": distributed(torch.compile(net)),
        "other": torch.compile(nn.DataParallel(net)),
    }
    for name, module in wrapped.items():
        assert list(module.state_dict()) != list(net.state_dict()), name
    mc.save(wrapped, tmp_path / "x")
    for name, again in mc.load(tmp_path / "x").items():
        assert type(again) is nn.Sequential, name
        assert same(again, net), name


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_wrapper_prefixes_in_a_file_do_not_matter_on_loading(prefix: str, tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    tensors = {prefix + name: tensor_data(value, where=name) for name, value in net.state_dict().items()}
    part = ComponentData(name="a", role="network", type="torch.nn/1", config=stock.describe(net), tensors=tensors)
    write_crate(tmp_path / "x", components=[part], model=("nn.modules/1", {}))
    assert same(mc.load(tmp_path / "x", only="a"), net)


def test_a_class_that_compiles_its_own_part_comes_back(tmp_path: Path) -> None:
    class Compiled(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.body = torch.compile(nn.Linear(width, width))

    net = mc.architecture("test.compiled/1")(Compiled)(2)
    mc.save(torch.compile(net), tmp_path / "x")
    assert same(mc.load(tmp_path / "x"), net)


# Classes that are not registered


def written(error: Exception, cls: type[nn.Module]) -> type[nn.Module]:
    """The class with the line that the error says to write above it."""
    found = re.search(rf"put @modelcrate\.architecture\('([^']+)'\) above class {cls.__name__}\b", str(error))
    assert found is not None, error
    return mc.architecture(found[1])(cls)


@pytest.mark.parametrize("name", ["UNet", "_Net", "Übernet", "网络", "Net2D"])
@pytest.mark.parametrize("place", ["alone", "inside", "family"])
def test_the_error_says_exactly_what_to_write(name: str, place: str, tmp_path: Path) -> None:
    def construct(self: Any, width: int = 2) -> None:
        nn.Module.__init__(self)
        self.layer = nn.Linear(width, width)

    cls = type(name, (nn.Module,), {"__init__": construct, "forward": lambda self, x: self.layer(x)})

    def model() -> Any:
        net = cls(3)
        return {"alone": net, "inside": nn.Sequential(nn.ReLU(), net), "family": {"net": net}}[place]

    with pytest.raises((UnsupportedError, UsageError)) as told:
        mc.save(model(), tmp_path / "x")
    cls = written(told.value, cls)
    net = model()
    mc.save(net, tmp_path / "x")
    again = mc.load(tmp_path / "x")
    pairs = [(again["net"], net["net"])] if place == "family" else [(again, net)]
    assert all(same(one, other) for one, other in pairs)


def test_the_error_names_the_place_of_the_class(tmp_path: Path) -> None:
    class Block(nn.Module):
        pass

    with pytest.raises(UnsupportedError, match=r"networks\.generator: 1\.block.*Block is neither"):
        mc.save({"generator": nn.Sequential(nn.ReLU(), nn.ModuleDict({"block": Block()}))}, tmp_path / "x")


def test_a_class_that_is_not_registered_where_it_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

    plain = type("Net", (Net,), {"__module__": Net.__module__, "__qualname__": Net.__qualname__})
    net = mc.architecture("acme.net/1")(plain)()
    mc.save(net, tmp_path / "x")
    monkeypatch.setattr(registry, "_registered", {})
    with pytest.raises(UnsupportedError) as told:
        mc.load(tmp_path / "x")
    found = re.search(r"@modelcrate\.architecture\('([^']+)'\)", str(told.value))
    assert found is not None
    mc.architecture(found[1])(Net)
    assert same(mc.load(tmp_path / "x"), net)


def test_an_unknown_class_among_stock_layers_is_told_with_its_place_and_both_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Inner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

    plain = type("Inner", (Inner,), {"__module__": Inner.__module__, "__qualname__": Inner.__qualname__})
    net = nn.Sequential(nn.ReLU(), mc.architecture("acme.inner/1")(plain)())
    mc.save(net, tmp_path / "x")
    monkeypatch.setattr(registry, "_registered", {})
    told = r"module\.config\.modules\[2\]\.layer: .*@modelcrate\.architecture\('acme\.inner/1'\).*load\(architecture="
    with pytest.raises(UnsupportedError, match=told):
        mc.load(tmp_path / "x")
    again = mc.load(tmp_path / "x", architecture=lambda: nn.Sequential(nn.ReLU(), Inner()))
    assert torch.equal(again[1].layer.weight, net[1].layer.weight)


# Memory of a save


def test_tensors_that_must_be_copied_are_copied_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of a GPU, here transposed ones: a save never holds copies of the whole model."""
    import weakref

    from modelcrate.nn import tensors

    class Block(bytearray):
        pass

    live = peak = count = 0
    original = tensors._bytes

    def gone() -> None:
        nonlocal live
        live -= 1

    def counted(tensor: torch.Tensor) -> memoryview:
        nonlocal live, peak, count
        live, count = live + 1, count + 1
        peak = max(peak, live)
        block = Block(original(tensor))
        weakref.finalize(block, gone)
        return memoryview(block)

    net = nn.ParameterList([nn.Parameter(torch.randn(500, 200).t()) for _ in range(40)])
    monkeypatch.setattr(tensors, "_bytes", counted)
    mc.save(net, tmp_path / "x")
    assert count == 40
    assert peak <= 10, peak
    monkeypatch.undo()
    assert same(mc.load(tmp_path / "x"), net)


def test_deferred_bytes_that_do_not_fit_leave_nothing_behind(tmp_path: Path) -> None:
    wrong = {"x": DeferredTensorData("F32", (4,), lambda: bytes(15))}
    part = ComponentData(name="a", role="network", type="torch.nn/1", tensors=wrong)
    with pytest.raises(UsageError, match="15 bytes do not fit"):
        write_crate(tmp_path / "x", components=[part])
    assert not list(tmp_path.iterdir())


def test_a_state_dict_is_saved_as_one(tmp_path: Path) -> None:
    """What most people write today, ``torch.save(model.state_dict(), path)``, has its place here too."""
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    mc.save(nn.DataParallel(net).state_dict(), tmp_path / "x.crate")
    found = mc.load(tmp_path / "x.crate")
    assert list(found) == [f"module.{name}" for name in net.state_dict()]
    assert all(torch.equal(found[f"module.{name}"], tensor) for name, tensor in net.state_dict().items())
    made = mc.load(tmp_path / "x.crate", architecture=lambda: nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)))
    assert torch.equal(made[0].weight, net[0].weight)


def test_an_average_under_way_says_what_to_save(tmp_path: Path) -> None:
    averaged = torch.optim.swa_utils.AveragedModel(nn.Linear(2, 2))
    with pytest.raises(UnsupportedError, match=r"\.module.*ema="):
        mc.save(averaged, tmp_path / "x.crate")
    mc.save(averaged.module, tmp_path / "x.crate")
    mc.save_checkpoint(tmp_path / "c.crate", networks=averaged.module, ema=averaged)
