"""Cases that need a whole model: a real file changed, a crate whose parts do not fit, a device that fails."""

from __future__ import annotations

import contextlib
import copy
import csv
import dataclasses
import gc
import io
import json
import lzma
import weakref
from typing import Any

import numpy as np
import pytest
import torch

import modelcrate
from crate_bytes import small_crate
from modelcrate.cli.main import main
from modelcrate.crate_writer import write_crate
from modelcrate.errors import FormatError, MismatchError, ModelcrateError, StorageError, UnsupportedError
from modelcrate.legacy.convert import FAMILIES
from modelcrate.legacy.families import gretel_actgan
from modelcrate.legacy.graph import Call, Global
from modelcrate.legacy.names import name_of
from modelcrate.legacy.reader import LegacyFile, read_for_conversion
from modelcrate.nn.registry import lookup
from modelcrate.nn.state import Facts
from modelcrate.storage.component import ComponentData
from modelcrate.tabular.cells import NAME_LIMIT
from modelcrate.tabular.table import Table
from oracle import ROOT, Oracle

CORPUS = ROOT / "tests" / "corpus"
WEIGHTS = "ctgan.generator/1"


# A: objects whose shape another release has


def ctgan(case: str) -> LegacyFile:
    return read_for_conversion(lzma.decompress((CORPUS / "ctgan" / case / "model.pt.xz").read_bytes()), name="model")


def records(file: LegacyFile, class_name: str) -> list[Call]:
    """Every object of a class: what would be called with the parts of a named tuple."""
    found = []
    for call in file.reading.calls:
        if name_of(call.callee) == class_name or (call.args and name_of(call.args[0]) == class_name):
            found.append(call)
    assert found
    return found


def translated(file: LegacyFile) -> object:
    return FAMILIES[file.root.class_name or ""](file.root)


@pytest.mark.parametrize("case", ["0_5_2_mixed", "0_12_1_mixed"])
@pytest.mark.parametrize("kind", ["SpanInfo", "ColumnTransformInfo"])
@pytest.mark.parametrize(
    "change", [lambda args: args[:-1], lambda args: (*args, 1), lambda args: ()], ids=["short", "long", "empty"]
)
def test_A35_a_named_tuple_of_another_arity_is_refused(case, kind, change):
    translated(ctgan(case))
    file = ctgan(case)
    for call in records(file, f"ctgan.data_transformer.{kind}"):
        head = call.args[:1] if call.args and isinstance(call.args[0], Global) else ()
        call.args = (*head, *change(call.args[len(head) :]))
    with pytest.raises(ModelcrateError, match="model"):
        translated(file)


@pytest.mark.parametrize(
    "module", ["ctgan.elsewhere", "ctgan", "CTGAN.synthesizers.ctgan", "ctgan.synthesizers.ctgan.x"]
)
def test_A35_a_class_in_a_module_where_no_release_has_it_is_refused(module, tmp_path):
    file = ctgan("0_12_1_mixed")
    for node in file.reading.globals:
        if node.name == "CTGAN":
            node.module = module
    assert file.root.class_name == f"{module}.CTGAN"
    assert file.root.class_name not in FAMILIES


# C: names and parts


def states(name: str) -> gretel_actgan.Translation:
    return gretel_actgan.translate(read_for_conversion(CORPUS / "actgan" / name / "model.pkl", name="model").root)


@pytest.fixture(scope="module")
def mixed() -> gretel_actgan.Translation:
    return states("mixed")


def renamed(document: Any, new: str) -> Any:
    """The table with its category column ``colour`` under another name."""
    document = copy.deepcopy(document)
    for item in (*document["fields"], *document["columns"]):
        if item["name"] == "colour":
            item["name"] = new
    return document


def table_of(found: gretel_actgan.Translation) -> Any:
    return next(part.state for part in found.components if part.type == Table.type_tag)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("state", id="C21-doubled"),
        pytest.param("x" * (NAME_LIMIT + 1), id="C21-long"),
        pytest.param("x" * (1 << 20), id="C21-megabyte"),
    ],
)
def test_a_column_name_that_can_not_be_is_refused(mixed, name):
    with pytest.raises(FormatError):
        Table.from_document(renamed(table_of(mixed), name), "table")


def test_C21_a_hundred_thousand_columns_are_refused(mixed):
    document = copy.deepcopy(table_of(mixed))
    field = document["fields"][0]
    document["fields"] = [{**field, "name": str(number)} for number in range(100_000)]
    with pytest.raises(FormatError):
        Table.from_document(document, "table")


NAMES = [
    "",
    " ",
    "__class__",
    "constructor",
    "=cmd|' /C calc'!A0",
    "+1",
    "@x",
    "a,b",
    'say "x"',
    "two\nlines",
    "\u202e",
    "'",
]


@pytest.mark.parametrize("name", NAMES, ids=[f"C21-{number}" for number in range(len(NAMES))])
def test_any_other_column_name_is_text_and_quoted_on_output(mixed, tmp_path, name):
    crate, out = tmp_path / "x.crate", tmp_path / "rows.csv"
    parts = [
        dataclasses.replace(part, state=renamed(part.state, name)) if part.type == Table.type_tag else part
        for part in mixed.components
    ]
    write_crate(crate, components=parts, model=mixed.model, hyperparameters={}, omitted=[])
    assert main(["sample", str(crate), "-n", "3", "--seed", "1", "-o", str(out)]) == 0
    rows = list(csv.reader(io.StringIO(out.read_text(encoding="utf-8"), newline="")))
    assert name in rows[0]
    assert [len(row) for row in rows] == [len(rows[0])] * 4


@pytest.mark.parametrize("part", ["transformer", "sampler", "table"])
def test_C23_parts_of_two_models_are_refused_before_a_weight_is_read(mixed, part, tmp_path, monkeypatch):
    other = {found.name: found for found in states("transformers_named").components}
    parts = [other[found.name] if found.name == part else found for found in mixed.components]
    write_crate(tmp_path / "x.crate", components=parts, model=mixed.model, hyperparameters={}, omitted=[])
    monkeypatch.setattr("modelcrate.nn.materialise.materialise", None)
    monkeypatch.setattr("modelcrate.nn.restore.transfer", None)
    with pytest.raises((MismatchError, FormatError)):
        modelcrate.load(tmp_path / "x.crate")


# E: shards, devices


SHARDED = {
    "missing": {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}},
    "extra": {"weight_map": {"a": "model-00001-of-00002.safetensors"}},
    "twice": {"weight_map": {"a": "model-00001-of-00002.safetensors", "A": "model-00001-of-00002.safetensors"}},
    "absent-tensor": {"weight_map": {"nothing": "model-00001-of-00002.safetensors"}},
    "outside": {"weight_map": {"a": "../../etc/passwd"}},
    "url": {"weight_map": {"a": "https://localhost/x"}},
}


@pytest.mark.parametrize("name", SHARDED, ids=[f"E26-{name}" for name in SHARDED])
def test_an_index_of_shards_opens_nothing(oracle: Oracle, name):
    """Crates have no shards: an index beside the weights is a member that no manifest knows, alone it is no crate."""
    index = json.dumps(SHARDED[name]).encode()
    crate = small_crate(oracle.inputs / "crate", form="folder")
    (crate / "weights" / "model.safetensors.index.json").write_bytes(index)
    folder = oracle.inputs / "sharded"
    folder.mkdir()
    (folder / "model.safetensors.index.json").write_bytes(index)
    (folder / "model-00001-of-00002.safetensors").write_bytes((crate / "weights" / "net.safetensors").read_bytes())
    for verb in ("inspect", "verify", "load"):
        assert oracle.run(verb, crate).verdict == "refused"
        assert oracle.run(verb, folder).verdict == "refused"
        assert oracle.run(verb, folder / "model.safetensors.index.json").verdict == "refused"
    assert oracle.run("scan", folder / "model.safetensors.index.json").verdict != "ok"


class Lost(RuntimeError):
    pass


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"), id="E27-full"),
        pytest.param(RuntimeError("CUDA error: device-side assert triggered"), id="E27-lost"),
        pytest.param(
            type("AcceleratorError", (RuntimeError,), {})("CUDA error: unspecified launch failure"),
            id="E27-accelerator",
        ),
    ],
)
def test_a_device_that_fails_half_way_leaves_no_half_model(tmp_path, monkeypatch, failure):
    made: list[weakref.ref[torch.Tensor]] = []

    @contextlib.contextmanager
    def transfer(device):
        def move(tensor):
            if len(made) == 3:
                raise failure
            copied = tensor.clone()
            made.append(weakref.ref(copied))
            return copied

        yield move

    model = torch.nn.Sequential(*[torch.nn.Linear(4, 4) for _ in range(4)])
    modelcrate.save(model, tmp_path / "net.crate")
    monkeypatch.setattr("modelcrate.nn.restore.transfer", transfer)
    with pytest.raises(StorageError, match="device") as caught:
        modelcrate.load(tmp_path / "net.crate")
    failure.__traceback__ = None
    gc.collect()
    assert caught.value.code == "IO"
    assert len(made) == 3
    assert [ref() for ref in made] == [None] * 3, "what was moved is freed"


def test_E27_another_error_of_the_callers_own_is_not_dressed_up(tmp_path, monkeypatch):
    def broken(device):
        raise Lost("the caller's own")

    modelcrate.save(torch.nn.Linear(2, 2), tmp_path / "net.crate")
    monkeypatch.setattr("modelcrate.nn.restore.transfer", broken)
    with pytest.raises(Lost):
        modelcrate.load(tmp_path / "net.crate")


# F: what buffers mean, versions


def spoiled(mixed, name: str, value: float) -> list[ComponentData]:
    parts = []
    for part in mixed.components:
        if part.type == WEIGHTS:
            tensors = dict(part.tensors)
            (key, old) = next((key, old) for key, old in tensors.items() if key.endswith(name))
            kind = {"F32": np.float32, "I64": np.int64}[old.dtype]
            values = np.frombuffer(old.data, dtype=kind).copy()
            values.reshape(-1)[0] = value
            tensors[key] = type(old)(dtype=old.dtype, shape=old.shape, data=values.tobytes())
            parts.append(dataclasses.replace(part, tensors=tensors))
        else:
            parts.append(part)
    return parts


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("running_var", -1.0, id="F15-variance-negative"),
        pytest.param("running_var", float("nan"), id="F15-variance-nan"),
        pytest.param("num_batches_tracked", -1, id="F15-count-negative"),
        pytest.param("num_batches_tracked", -(2**63), id="F15-count-least"),
    ],
)
def test_a_buffer_with_a_value_that_no_training_makes_is_refused(mixed, tmp_path, name, value):
    write_crate(
        tmp_path / "x.crate", components=spoiled(mixed, name, value), model=mixed.model, hyperparameters={}, omitted=[]
    )
    with pytest.raises(FormatError, match=r"running variance|count of batches"):
        modelcrate.load(tmp_path / "x.crate")


@pytest.mark.parametrize(
    "tag",
    [
        "ctgan.generator/0",
        "ctgan.generator/2",
        "ctgan.generator/01",
        "ctgan.generator/1.0",
        "ctgan.generator/",
        "ctgan.generator",
        "CTGAN.generator/1",
        "ctgan.generator/１",
        "ctgan.generator/-1",
    ],
)
def test_F22_a_version_of_an_architecture_that_is_not_here_is_refused_by_name(tag):
    with pytest.raises((UnsupportedError, FormatError)):
        lookup(tag, where="component.type")


@pytest.mark.parametrize("version", [0, -1, 2, 2**63, "1", 1.0, True, None, [1], {}])
def test_F22_a_document_of_another_version_is_refused_and_never_guessed(version):
    """There is one version of each document; another is not migrated by hope."""
    with pytest.raises((UnsupportedError, FormatError)):
        Facts.from_document({"version": version, "training": True}, where="net.state")
    with pytest.raises((UnsupportedError, FormatError)):
        Facts.from_document({"training": True}, where="net.state")
