"""Converting a file: the crate that it becomes, the same bytes each time, and nothing left behind where it can't."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import modelcrate
from modelcrate.cli.main import main
from modelcrate.errors import FormatError, ModelcrateError, PolicyError, StorageError, UnsupportedError, UsageError

CORPUS = Path(__file__).resolve().parents[1] / "corpus" / "actgan"
MIXED = CORPUS / "mixed" / "model.pkl"


def test_the_crate_says_what_it_was_made_from(tmp_path):
    conversion = modelcrate.convert(MIXED, tmp_path / "a.crate")
    with modelcrate.open(tmp_path / "a.crate") as crate:
        manifest = crate.manifest
        assert crate.identity == conversion.identity
        assert manifest.model.type == "tabular.synthesizer/1"
        assert manifest.provenance.source.size == MIXED.stat().st_size
        assert manifest.provenance.source.versions["rdt"] == "1.2.1"
        assert manifest.provenance.created_by == "gretel_synthetics.actgan.actgan_wrapper.ACTGAN"
        assert [omission.what for omission in manifest.omitted] == [omission.what for omission in conversion.omitted]
        roles = {name: part.role for name, part in crate.items()}
    assert roles == {
        "generator": "generator",
        "transformer": "data_transformer",
        "sampler": "conditional_sampler",
        "table": "table",
    }
    modelcrate.verify(tmp_path / "a.crate")


def test_the_same_file_gives_the_same_bytes(tmp_path):
    modelcrate.convert(MIXED, tmp_path / "a.crate")
    modelcrate.convert(str(MIXED), tmp_path / "b.crate")
    assert (tmp_path / "a.crate").read_bytes() == (tmp_path / "b.crate").read_bytes()


@pytest.mark.parametrize("name", ["mixed", "anyway"])
def test_a_model_saved_on_a_gpu_has_the_same_parts_as_on_a_cpu(tmp_path, name):
    for each in (name, f"cuda_{name}"):
        modelcrate.convert(CORPUS / each / "model.pkl", tmp_path / f"{each}.crate")
    with modelcrate.open(tmp_path / f"{name}.crate") as cpu, modelcrate.open(tmp_path / f"cuda_{name}.crate") as gpu:
        members = [{key: str(value.digest) for key, value in crate.manifest.members.items()} for crate in (cpu, gpu)]
    assert members[0] == members[1]


def test_a_loaded_synthesizer_saves_to_the_same_parts(tmp_path):
    modelcrate.convert(MIXED, tmp_path / "a.crate")
    synthesizer = modelcrate.load(tmp_path / "a.crate")
    modelcrate.save(synthesizer, tmp_path / "b.crate")
    with modelcrate.open(tmp_path / "a.crate") as before, modelcrate.open(tmp_path / "b.crate") as after:
        assert before.manifest.members == after.manifest.members
        assert before.manifest.components == after.manifest.components
        assert before.manifest.hyperparameters == after.manifest.hyperparameters
    found = modelcrate.load(tmp_path / "b.crate").sample(50, seed=1)
    assert found.equals(synthesizer.sample(50, seed=1))


def test_folder_and_file_give_the_same_rows(tmp_path):
    modelcrate.convert(MIXED, tmp_path / "a.crate")
    modelcrate.convert(MIXED, tmp_path / "folder", form="folder", digest="sha256")
    rows = [modelcrate.load(tmp_path / name).sample(30, replay=3) for name in ("a.crate", "folder")]
    assert rows[0].equals(rows[1])


def test_the_weights_are_bit_for_bit_those_of_the_file(tmp_path):
    """Against PyTorch's own reading of one tensor stream, the last one of the file, which is the last layer's bias."""
    modelcrate.convert(MIXED, tmp_path / "a.crate")
    with modelcrate.open(tmp_path / "a.crate") as crate:
        tensors = dict(crate["generator"].tensors)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32, torch.int64}
    data = MIXED.read_bytes()
    for name, tensor in tensors.items():
        assert tensor.numpy().tobytes() in data, name


def test_an_output_that_exists_is_kept_unless_told_otherwise(tmp_path):
    (tmp_path / "a.crate").write_text("mine")
    with pytest.raises(StorageError):
        modelcrate.convert(MIXED, tmp_path / "a.crate")
    assert (tmp_path / "a.crate").read_text() == "mine"
    modelcrate.convert(MIXED, tmp_path / "a.crate", overwrite=True)
    modelcrate.verify(tmp_path / "a.crate")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        pytest.param(b"", FormatError, id="empty"),
        pytest.param(b"hello, world\n", FormatError, id="text"),
        pytest.param(b"\x80\x04cos\nsystem\n(S'true'\ntR.", (PolicyError, UnsupportedError), id="A1-os-system"),
        pytest.param(b"\x80\x04]\x94h\x00a.", (FormatError, UnsupportedError), id="A47-list-in-itself"),
        pytest.param(b"\x80\x04}\x94.", UnsupportedError, id="a-dict"),
        pytest.param(MIXED.read_bytes()[:5000], FormatError, id="cut-short"),
        pytest.param(MIXED.read_bytes() + b"N.", FormatError, id="A39-something-behind"),
    ],
)
def test_a_file_that_is_no_model_is_refused_and_leaves_nothing(tmp_path, content, kind):
    (tmp_path / "in.pkl").write_bytes(content)
    with pytest.raises(kind):
        modelcrate.convert(tmp_path / "in.pkl", tmp_path / "out.crate")
    assert [path.name for path in tmp_path.iterdir()] == ["in.pkl"]


def test_paths_that_cannot_be_read_are_storage_errors(tmp_path):
    for path in (tmp_path, tmp_path / "absent.pkl"):
        with pytest.raises(StorageError):
            modelcrate.convert(path, tmp_path / "out.crate")
    with pytest.raises(UsageError):
        modelcrate.convert(MIXED, tmp_path / "out.crate", form="tar")
    assert list(tmp_path.iterdir()) == []


def test_single_flipped_bytes_of_a_pickle_never_escape_the_error_tree(tmp_path):
    """A sample of positions; most flips hit weights and convert, the others are one clean error."""
    data = bytearray((CORPUS / "key_int" / "model.pkl").read_bytes())
    rng = np.random.default_rng(0)
    outcomes = {"converted": 0, "refused": 0}
    for position in rng.integers(0, len(data), 60):
        data[position] ^= 1 << int(rng.integers(8))
        (tmp_path / "in.pkl").write_bytes(data)
        try:
            modelcrate.convert(tmp_path / "in.pkl", tmp_path / "out.crate", overwrite=True)
            outcomes["converted"] += 1
        except ModelcrateError:
            outcomes["refused"] += 1
        data[position] ^= data[position] ^ (CORPUS / "key_int" / "model.pkl").read_bytes()[position]
    assert sum(outcomes.values()) == 60


def test_the_manifest_is_json_that_any_tool_reads(tmp_path):
    modelcrate.convert(MIXED, tmp_path / "folder", form="folder")
    manifest = json.loads((tmp_path / "folder" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["hyperparameters"]["embedding_dim"] == 128
    assert manifest["model"]["config"]["noise_dim"] == 128


def test_a_file_is_not_replaced_by_what_is_made_of_it__G12(tmp_path):
    source = tmp_path / "a.pkl"
    source.write_bytes(MIXED.read_bytes())
    (tmp_path / "again.pkl").symlink_to(source)
    for target in (source, tmp_path / "again.pkl"):
        with pytest.raises(UsageError, match="same file"):
            modelcrate.convert(source, target, overwrite=True)
    assert source.read_bytes() == MIXED.read_bytes()


def test_a_crate_is_none_of_the_files_to_convert(tmp_path, capsys):
    modelcrate.convert(MIXED, tmp_path / "a.crate")
    with pytest.raises(UsageError, match="it is a crate already"):
        modelcrate.convert(tmp_path / "a.crate", tmp_path / "b.crate")
    assert main(["convert", str(MIXED), str(tmp_path / "a.crate")]) == 2
    assert "pass --force" in capsys.readouterr().err
