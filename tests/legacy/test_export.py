"""``convert --to``: legacy files and crates as safetensors and as ``.pt`` files that hold nothing but data."""

from __future__ import annotations

import json

import pytest
import torch
from described import FOLDER, Description, source
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

import modelcrate
from modelcrate.cli.main import main
from modelcrate.errors import StorageError, UnsupportedError, UsageError
from modelcrate.legacy.export import export

SCRIPT = "scripted.expected.json"  # its tensors: test_torchscript
NAMES = sorted(
    path.name.removesuffix(".expected.json") for path in FOLDER.glob("*.expected.json") if path.name != SCRIPT
)
WITHOUT_TENSORS = {"int34", "quantized", "sparse"}
ONLY_TORCH = {"dtypes"}


def described(content, path=""):
    """Dotted path to description of every tensor that the library which wrote a file says is in it."""
    if not isinstance(content, dict):
        return {}
    if content["type"] == "tensor":
        return {path: content}
    if content["type"] == "module":
        children = [pair for table in ("parameters", "buffers", "children") for pair in content[table].items()]
        children += list(content["attributes"].items())
    elif content["type"] == "torch.Generator":
        return {}
    elif content["type"] in ("list", "tuple"):
        children = list(enumerate(content["items"]))
    else:
        children = [pair for pair in content.get("items", []) if isinstance(pair, list)]
    found = {}
    for key, child in children:
        found |= described(child, f"{path}.{key}" if path else str(key))
    return found


@pytest.mark.parametrize("name", [name for name in NAMES if name not in (*WITHOUT_TENSORS, *ONLY_TORCH, "devices")])
def test_every_tensor_is_there_under_its_path_and_shared_ones_once(tmp_path, name):
    description = Description(name)
    done = export(source(name), tmp_path / "out.safetensors", to="safetensors")
    found = load_file(tmp_path / "out.safetensors")
    with safe_open(tmp_path / "out.safetensors", "pt") as reader:
        aliases = {key: value for key, value in reader.metadata().items() if key != "format"}
    assert len(found) == done.tensors
    wanted = described(description.content)
    for path, tensor in wanted.items():
        stored = path.replace(" ", "%20") if " " in path else path
        here = found[aliases.get(stored, stored)]
        there = description.tensors[tensor["key"]]
        if here.is_complex():
            here = torch.view_as_real(here)
        assert torch.equal(here.reshape(-1).view(torch.uint8), there.reshape(-1).view(torch.uint8)), path
    places = {
        (it["storage"], it["storage_offset"], *it["shape"], *it["stride"]) if it.get("storage") is not None else path
        for path, it in wanted.items()
    }
    assert len(found) >= len(places)
    if name.startswith("tied"):
        assert aliases == {"out.weight": "embed.weight"}
        assert "out.weight" not in found


@pytest.mark.parametrize("name", [name for name in NAMES if name not in WITHOUT_TENSORS])
def test_a_pt_file_loads_with_weights_only(tmp_path, name):
    export(source(name), tmp_path / "out.pt", to="torch")
    found = torch.load(tmp_path / "out.pt", weights_only=True)
    assert isinstance(found, (dict, int))


@pytest.mark.parametrize("name", sorted(WITHOUT_TENSORS))
def test_a_file_without_plain_tensors_leaves_nothing(tmp_path, name):
    with pytest.raises(UnsupportedError):
        export(source(name), tmp_path / "out.safetensors", to="safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_module_becomes_its_state_dict(tmp_path):
    export(source("sequential_blah"), tmp_path / "out.pt", to="torch")
    model = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 2))
    model.load_state_dict(torch.load(tmp_path / "out.pt", weights_only=True))


def test_a_checkpoint_stays_a_checkpoint(tmp_path):
    export(source("gan_checkpoint"), tmp_path / "out.pt", to="torch")
    found = torch.load(tmp_path / "out.pt", weights_only=True)
    assert found["epoch"] == 3
    assert list(found) == list(modelcrate.read_legacy(source("gan_checkpoint")))
    assert isinstance(found["rng"]["numpy"][1], torch.Tensor)
    assert set(found["generator_optimizer"]["state"][0]) == {"step", "exp_avg", "exp_avg_sq"}


def test_tied_and_transient_tensors_of_a_live_model(tmp_path):
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    model.register_buffer("scratch", torch.ones(2), persistent=False)
    torch.save(model, tmp_path / "in.pt")
    export(tmp_path / "in.pt", tmp_path / "out.pt", to="torch")
    found = torch.load(tmp_path / "out.pt", weights_only=True)
    assert set(found) == set(model.state_dict())
    assert found["1.weight"].data_ptr() == found["0.weight"].data_ptr()


@pytest.mark.parametrize("to", ["safetensors", "torch"])
def test_crates_go_the_same_way(tmp_path, to):
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    modelcrate.save(model, tmp_path / "tied.crate")
    modelcrate.convert(source("gan_checkpoint"), tmp_path / "gan.crate")
    modelcrate.convert(source("state_dict"), tmp_path / "state", form="folder")
    for name in ("tied.crate", "gan.crate", "state"):
        export(tmp_path / name, tmp_path / f"{name}.out", to=to)
    read = load_file if to == "safetensors" else lambda path: torch.load(path, weights_only=True)
    tied, gan, state = (read(tmp_path / f"{name}.out") for name in ("tied.crate", "gan.crate", "state"))
    assert torch.equal(tied["0.weight"], model[0].weight)
    assert ("1.weight" in tied) == (to == "torch")
    assert state
    assert all(isinstance(tensor, torch.Tensor) for tensor in state.values())
    weight = gan["generator.0.weight"] if to == "safetensors" else gan["generator"]["0.weight"]
    assert torch.equal(weight, modelcrate.load(tmp_path / "gan.crate")["generator"]["0.weight"])


def test_safetensors_writes_the_same_bytes_twice(tmp_path):
    for name in ("a", "b"):
        export(source("tied_module"), tmp_path / name, to="safetensors")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_targets_that_exist_and_formats_that_do_not(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(StorageError):
        export(source("state_dict"), tmp_path / "out", to="torch")
    assert (tmp_path / "out").read_text() == "mine"
    with pytest.raises(UsageError):
        export(source("state_dict"), tmp_path / "other", to="onnx")
    export(source("state_dict"), tmp_path / "out", to="torch", overwrite=True)


def test_the_command(tmp_path, capsys):
    command = ["convert", str(source("tied_state")), str(source("state_dict")), "--out", str(tmp_path)]
    assert main([*command, "--to", "safetensors", "--json"]) == 0
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [document["aliases"] for document in documents] == [{"out.weight": "embed.weight"}, {}]
    assert main([*command, "--to", "torch"]) == 0
    assert main([*command, "--weights-only"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{name}.{suffix}" for name in ("tied_state", "state_dict") for suffix in ("safetensors", "pt", "crate")
    }
    assert main([*command, "--to", "torch", "--folder"]) != 0
