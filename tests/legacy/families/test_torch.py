"""Files of ``torch.save`` as crates: what loads from them is what the library that wrote them says is in them."""

from __future__ import annotations

import argparse
import collections
import io
import pickle
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import modelcrate
from modelcrate.errors import FormatError, MismatchError, ModelcrateError, UnsupportedError, UsageError
from modelcrate.legacy.families.torch_module import is_module, tag_of
from modelcrate.legacy.record import Record

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from described import FOLDER, Description, source

NAMES = sorted(path.name.removesuffix(".expected.json") for path in FOLDER.glob("*.expected.json"))
UNSUPPORTED = {
    "quantized": "model.q: a quantised tensor",
    "sparse": "model.s: a sparse tensor",
    "scripted": "TorchScript archive, which contains code",
    "dtypes": "model.complex128: a tensor of dtype complex128",
}
STOCK = [
    "cnn", "cuda_raw_pickle", "eval_mode", "frozen", "gzip", "hooked", "norms_and_more", "pickle_protocol1",
    "pickle_protocol3", "pickle_protocol5", "sequential_blah", "sequential_blah_legacy", "torch1_12_1_cuda_module",
    "torch1_12_1_legacy_module", "torch1_12_1_module", "torch1_12_1_raw_pickle", "torch1_12_1_rnn",
    "torch1_4_0_cuda_module", "torch1_4_0_module", "torch1_4_0_raw_pickle", "torch1_4_0_rnn",
]  # fmt: skip
"""Whole modules of layers of torch.nn."""


class MainNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 2))
        self.note = "not the file's"


class WithState(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([Block(8), Block(8)])
        self.heads = nn.ModuleDict({"mean": nn.Linear(8, 1), "class": nn.Linear(8, 3)})
        self.register_buffer("steps", torch.tensor(0))
        self.register_buffer("scratch", torch.zeros(2), persistent=False)
        self.scale = nn.Parameter(torch.zeros(8))
        self.plain = torch.zeros(4)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 6, padding_idx=0)
        self.rnn = nn.LSTM(6, 6, batch_first=True)
        self.out = nn.Linear(6, 11, bias=False)


class Sequencer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.lstm = nn.LSTM(8, 6, num_layers=2, bidirectional=True, batch_first=True, dropout=0.1)
        self.gru = nn.GRU(12, 8, batch_first=True)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.drop = nn.Dropout(0.1)
        self.experts = nn.ModuleList([nn.Linear(8, 8), nn.Identity()])
        self.heads = nn.ModuleDict({"a": nn.Linear(8, 2), "b": nn.Linear(8, 3)})
        self.extra = nn.ParameterList([nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))])
        self.table = nn.ParameterDict({"bias": nn.Parameter(torch.zeros(2))})

    def forward(self, x):
        y, _ = self.lstm(self.embed(x))
        y, _ = self.gru(y)
        y, _ = self.attention(y, y, y)
        y = self.norm(self.encoder(y))
        return self.heads["a"](self.experts[0](self.drop(y))) + self.table["bias"] * self.extra[0]


class Residual(nn.Module):
    def __init__(self, inputs=4, outputs=5):
        super().__init__()
        self.fc = nn.Linear(inputs, outputs)
        self.bn = nn.BatchNorm1d(outputs)


def residual_net():
    return nn.Sequential(Residual(), nn.Linear(9, 2))


FOREIGN = {
    "cloudpickle_main": (MainNet, "__main__.mainnet/1"),
    "main_class": (MainNet, "__main__.mainnet/1"),
    "custom_state": (WithState, "nets.withstate/1"),
    "module_class": (Net, "nets.net/1"),
    "tied_module": (Tied, "nets.tied/1"),
    "sequence_net": (Sequencer, "__main__.sequencer/1"),
    "torch1_12_1_main_class": (residual_net, "__main__.residual/1"),
    "torch1_4_0_main_class": (residual_net, "__main__.residual/1"),
}
"""Whole modules of classes that are not torch's: what builds them, and the tag that is asked for."""


@pytest.fixture(scope="module")
def crates(tmp_path_factory):
    """Every file of the corpus that converts, converted."""
    folder = tmp_path_factory.mktemp("crates")
    found = {}
    for name in NAMES:
        if name not in UNSUPPORTED:
            found[name] = folder / f"{name}.crate"
            modelcrate.convert(source(name), found[name])
    return found


def saved(tmp_path, value, **how):
    torch.save(value, tmp_path / "in.pt", **how)
    return tmp_path / "in.pt"


def converted(tmp_path, value, **how):
    conversion = modelcrate.convert(saved(tmp_path, value), tmp_path / "out.crate", overwrite=True, **how)
    return tmp_path / "out.crate", conversion


def equal_bits(one, other):
    ours, theirs = (tensor.detach().contiguous().reshape(-1).view(torch.uint8) for tensor in (one, other))
    return one.dtype == other.dtype and one.shape == other.shape and torch.equal(ours, theirs)


def described_tensors(module, path=""):
    """Dotted name to description, of parameters and buffers, out of a description of a module."""
    found = {}
    for table in ("parameters", "buffers"):
        for name, tensor in module[table].items():
            if isinstance(tensor, dict) and tensor["type"] == "tensor":
                found[f"{path}{name}"] = tensor
    for name, child in module["children"].items():
        if child is not None and child["type"] == "module":
            found |= described_tensors(child, f"{path}{name}.")
    return found


def hold_module(module, name):
    """Tensors, flags and, where the corpus has one, the output of a loaded module."""
    description = Description(name)
    tensors = {**dict(module.named_parameters(remove_duplicate=False)), **dict(module.named_buffers())}
    for path, wanted in described_tensors(description.content).items():
        assert equal_bits(tensors[path], description.tensors[wanted["key"]]), path
        assert tensors[path].requires_grad == wanted["requires_grad"], path
    assert module.training == description.content["training"]
    if description.forward:
        module.eval()
        with torch.no_grad():
            output = module(description.tensors["forward.input.0"])
        torch.testing.assert_close(output, description.tensors["forward.output"])


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_no_crate_holds_is_named_and_leaves_nothing(tmp_path, name):
    with pytest.raises(UnsupportedError, match=UNSUPPORTED[name]):
        modelcrate.convert(source(name), tmp_path / "out.crate")
    assert list(tmp_path.iterdir()) == []


def test_every_crate_verifies_and_says_what_it_was(crates):
    assert len(crates) + len(UNSUPPORTED) == 64
    for name, path in crates.items():
        assert modelcrate.verify(path, schemas=True).problems == (), name
        with modelcrate.open(path) as crate:
            assert crate.manifest.provenance.source.size == source(name).stat().st_size


@pytest.mark.parametrize("name", STOCK)
def test_a_module_of_stock_layers_loads_without_its_code(crates, name):
    module = modelcrate.load(crates[name])
    hold_module(module, name)
    with modelcrate.open(crates[name]) as crate:
        assert crate["module"].type == "torch.nn/1"
    if name.startswith("sequential_blah"):
        assert module.blah == 14


def test_hooks_are_left_out_and_listed(crates):
    with modelcrate.open(crates["hooked"]) as crate:
        assert [(one.what, one.why) for one in crate.manifest.omitted] == [("1 hooks", "hooks are code")]


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_module_says_which_tag_to_register(crates, name):
    build, tag = FOREIGN[name]
    with pytest.raises(UnsupportedError, match=f"architecture\\('{tag}'\\)"):
        modelcrate.load(crates[name])
    hold_module(modelcrate.load(crates[name], architecture=build), name)


def test_a_foreign_module_keeps_plain_attributes_ties_and_buffers(crates):
    assert modelcrate.load(crates["main_class"], architecture=MainNet).note == "made in __main__"
    net = modelcrate.load(crates["module_class"], architecture=Net)
    assert torch.equal(net.plain, torch.arange(4.0))
    assert net.labels == {"a": 0, "b": 1}
    assert torch.equal(net.scratch, torch.ones(2))
    assert int(net.steps) == 3
    assert not net.scale.requires_grad
    tied = modelcrate.load(crates["tied_module"], architecture=Tied)
    assert tied.out.weight is tied.embed.weight
    with modelcrate.open(crates["module_class"]) as crate:
        omitted = {one.what: one.why for one in crate.manifest.omitted}
        layers = {one["path"]: one for one in crate.manifest.hyperparameters["modules"]["module"]["layers"]}
    assert omitted == {
        "attribute settings": "an object of nets.Settings is no data",
        "attribute mode": "an object of nets.Mode is no data",
    }
    assert layers[""]["class"] == "nets.Net"
    assert layers["heads.class"] == {
        "path": "heads.class", "layer": "linear", "config": {"in_features": 8, "out_features": 3, "bias": True},
    }  # fmt: skip


def test_a_registered_class_loads_under_its_tag(tmp_path):
    class Small(nn.Module):
        def __init__(self, width=3):
            super().__init__()
            self.fc = nn.Linear(width, 1)

    Small.__module__, Small.__qualname__ = "shop", "Small"
    sys.modules["shop"] = sys.modules[__name__]
    globals()["Small"] = Small
    try:
        model = Small()
        path, _ = converted(tmp_path, nn.Sequential(model, nn.ReLU()))
    finally:
        del sys.modules["shop"], globals()["Small"]
    assert tag_of("shop.Small") == "shop.small/1"
    modelcrate.architecture("shop.small/1")(Small)
    loaded = modelcrate.load(path)
    assert equal_bits(loaded[0].fc.weight, model.fc.weight)
    with pytest.raises(MismatchError):
        modelcrate.load(path, architecture=lambda: nn.Sequential(Small(4), nn.ReLU()))
    with pytest.raises(UsageError):
        modelcrate.load(path, architecture=3)


def test_old_norms_compute_the_same_weight(tmp_path):
    """Hooks of torch.nn.utils become parametrisations; training approaches the same norm by steps of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        live = nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 5)), nn.ReLU(), nn.utils.spectral_norm(nn.Linear(5, 3)))
    batch = torch.randn(6, 4)
    live(batch)
    path, conversion = converted(tmp_path, live)
    loaded = modelcrate.load(path)
    assert any("parametrisation" in note for note in conversion.notes)
    torch.testing.assert_close(loaded.eval()(batch), live.eval()(batch))
    torch.testing.assert_close(loaded[0].train()(batch), live[0].train()(batch))
    for _ in range(200):
        loaded.train()(batch)
        live.train()(batch)
    torch.testing.assert_close(loaded.eval()(batch), live.eval()(batch))


def same(loaded, read, path="root"):
    """Whether a crate gives back what the file holds, modules compared by their tensors."""
    if isinstance(read, Record):
        assert is_module(read), path
        assert isinstance(loaded, nn.Module), path
        for name, tensor in read.attributes["_parameters"].items():
            assert equal_bits(loaded.get_parameter(name), tensor), f"{path}.{name}"
        for name, child in read.attributes["_modules"].items():
            same(loaded.get_submodule(name), child, f"{path}.{name}")
    elif isinstance(read, torch.Tensor):
        assert equal_bits(loaded, read), path
        assert (loaded.requires_grad, type(loaded)) == (read.requires_grad, type(read)), path
    elif isinstance(read, dict):
        assert list(loaded) == list(read), path
        for key, item in read.items():
            same(loaded[key], item, f"{path}.{key}")
    elif isinstance(read, (list, tuple)):
        assert (type(loaded) is list) == (type(read) is list), path
        assert len(loaded) == len(read), path
        for index, item in enumerate(read):
            same(loaded[index], item, f"{path}.{index}")
    elif isinstance(read, np.ndarray):
        np.testing.assert_array_equal(loaded, read)
        assert loaded.dtype == read.dtype
    else:
        assert type(loaded) is type(read), path
        assert loaded == read or np.isnan(read), path


VALUES = [name for name in NAMES if name not in (*UNSUPPORTED, *STOCK, *FOREIGN, "old_weight_norm", "devices")]


@pytest.mark.parametrize("name", VALUES)
def test_anything_else_comes_back_as_it_was_saved(crates, name):
    same(modelcrate.load(crates[name]), modelcrate.read_legacy(source(name)))


def test_a_bare_number_and_a_dict_of_tensor_and_module(crates):
    assert modelcrate.load(crates["int34"]) == 34
    found = modelcrate.load(crates["mixed_dict"])
    assert found["a"].tolist() == [0, 1, 2, 3, 4]
    assert isinstance(found["b"], nn.Linear)
    assert found["b"].training


def test_the_networks_of_a_checkpoint_are_plain_safetensors_of_their_own(crates):
    """Any tool reads them: one weights file a network, under the names of its state dict."""
    with modelcrate.open(crates["gan_checkpoint"]) as crate:
        assert {name: part.type for name, part in crate.items()} == {
            "values": "torch.values/1",
            "generator": "torch.state_dict/1",
            "discriminator": "torch.state_dict/1",
        }
        assert set(crate["generator"].tensors) >= {"0.weight", "1.running_mean", "3.bias"}
    checkpoint = modelcrate.load(crates["gan_checkpoint"])
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 6))
    model.load_state_dict(checkpoint["generator"])
    optimizer = torch.optim.Adam(model.parameters())
    optimizer.load_state_dict(checkpoint["generator_optimizer"])
    assert optimizer.state_dict()["state"][0]["step"] == 3
    torch.set_rng_state(checkpoint["rng"]["torch"])


def test_a_state_dict_keeps_order_metadata_and_ties(tmp_path):
    model = Tied()
    model.out.weight = model.embed.weight
    path, _ = converted(tmp_path, model.state_dict())
    found = modelcrate.load(path)
    assert list(found) == list(model.state_dict())
    assert found._metadata == model.state_dict()._metadata
    assert found["out.weight"].data_ptr() == found["embed.weight"].data_ptr()
    loaded = modelcrate.load(path, architecture=Tied)
    assert equal_bits(loaded.rnn.weight_hh_l0, model.rnn.weight_hh_l0)


def test_views_of_one_storage_still_share_it(crates):
    found = modelcrate.load(crates["shapes"])
    found["base"][8] = 99.0
    assert found["view"][1, 2] == 99.0
    assert found["column"][1] == 99.0


def test_the_same_file_gives_the_same_bytes(crates, tmp_path):
    for name in ("gan_checkpoint", "module_class", "state_dict"):
        modelcrate.convert(source(name), tmp_path / f"{name}.crate")
        assert (tmp_path / f"{name}.crate").read_bytes() == crates[name].read_bytes()


def test_weights_alone(tmp_path):
    modelcrate.convert(source("mixed_dict"), tmp_path / "a.crate", weights_only=True)
    assert set(modelcrate.load(tmp_path / "a.crate")) == {"a", "b.weight", "b.bias"}


def test_objects_in_a_dict_are_left_out_and_listed(tmp_path):
    value = {
        "args": argparse.Namespace(lr=0.1, sizes=[1, 2]), "path": Path("x"), "w": torch.ones(1),
        "names": np.array(["a", "b"]), "@odd": {"@tensor": 1}, "deque": collections.deque([1]),
    }  # fmt: skip
    path, conversion = converted(tmp_path, value)
    found = modelcrate.load(path)
    assert found["args"] == {"lr": 0.1, "sizes": [1, 2]}
    assert found["path"] is None
    assert found["names"] == ["a", "b"]
    assert found["@odd"] == {"@tensor": 1}
    assert found["deque"] == [1]
    assert [one.where for one in conversion.omitted] == ["model.path"]
    assert len(conversion.notes) == 2


def test_devices_are_data_and_generators_are_left_out(crates):
    found = modelcrate.load(crates["devices"])
    assert found["device"] == torch.device("cuda:1")
    assert found["dtype"] is torch.bfloat16
    assert found["size"] == (2, 3)
    assert found["gen"] is None


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        pytest.param({"x": torch.ones(2, dtype=torch.complex128)}, "model.x.*complex128", id="complex128"),
        pytest.param({"x": Path("a")}, None, id="objects-are-omitted"),
        pytest.param(nn.LazyLinear(3), None, id="lazy"),
    ],
)
def test_what_cannot_be_carried_is_one_clean_error(tmp_path, value, problem):
    if problem is None and isinstance(value, dict):
        converted(tmp_path, value)
        return
    with pytest.raises(ModelcrateError, match=problem):
        converted(tmp_path, value)
    assert [path.name for path in tmp_path.iterdir()] == ["in.pt"]


def test_a_pickle_without_tensors_is_no_model(tmp_path):
    (tmp_path / "in.pkl").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(UnsupportedError, match="no known model"):
        modelcrate.convert(tmp_path / "in.pkl", tmp_path / "out.crate")


def module_record(**changes):
    """A pickle that claims to be a Linear, with tables of the caller's choice."""
    linear = nn.Linear(2, 2)
    linear.__dict__.update(changes)
    buffer = io.BytesIO()
    torch.save(linear, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"in_features": 2**40}, id="huge"),
        pytest.param({"in_features": -1}, id="negative"),
        pytest.param({"in_features": "2"}, id="text"),
        pytest.param({"_parameters": {"weight": 3}}, id="no-tensor"),
        pytest.param({"_parameters": {}}, id="no-tensors"),
        pytest.param({"_modules": {"x": 3}}, id="child-is-a-number"),
        pytest.param({"_modules": {"a.b": nn.ReLU()}}, id="child-with-a-dot"),
        pytest.param({"_modules": {"forward": nn.ReLU()}}, id="child-named-forward"),
        pytest.param({"training": 1}, id="training-is-a-number"),
        pytest.param({"_buffers": {"forward": torch.ones(1)}}, id="buffer-named-forward"),
    ],
)
def test_modules_that_contradict_themselves_are_refused(tmp_path, changes):
    (tmp_path / "in.pt").write_bytes(module_record(**changes))
    with pytest.raises((FormatError, UnsupportedError, MismatchError)):
        modelcrate.convert(tmp_path / "in.pt", tmp_path / "out.crate")
    assert [path.name for path in tmp_path.iterdir()] == ["in.pt"]


def test_a_module_inside_itself_is_refused(tmp_path):
    loop = nn.Sequential(nn.ReLU())
    loop._modules["me"] = loop
    with pytest.raises(UnsupportedError, match="contains itself"):
        converted(tmp_path, loop)


def test_attributes_never_take_the_place_of_methods(tmp_path):
    model = nn.Sequential(nn.ReLU())
    model.__dict__.update({"forward": 3, "state_dict": "x", "mine": 5})
    path, _ = converted(tmp_path, model)
    loaded = modelcrate.load(path)
    assert loaded.mine == 5
    assert loaded(torch.ones(1)) == 1
    assert callable(loaded.state_dict)


@pytest.mark.parametrize("name", ["module_class", "gan_checkpoint", "torch1_4_0_rnn"])
def test_flipped_bytes_never_escape_the_error_tree(tmp_path, name):
    data = bytearray(source(name).read_bytes())
    rng = np.random.default_rng(2)
    outcomes = collections.Counter()
    for position in rng.integers(0, len(data), 40):
        before = data[position]
        data[position] ^= 1 << int(rng.integers(8))
        (tmp_path / "in.pt").write_bytes(data)
        try:
            modelcrate.convert(tmp_path / "in.pt", tmp_path / "out.crate", overwrite=True)
            outcomes["converted"] += 1
        except ModelcrateError:
            outcomes["refused"] += 1
        data[position] = before
    assert outcomes.total() == 40
