"""TorchScript: its code is reported and never run, its tensors come out under the names of the state dict.

No postponed annotations here: the compiler of TorchScript reads the live ones.
"""

import io
import json
import warnings
import zipfile
from pathlib import Path
from typing import Dict, List, Tuple  # noqa: UP035 - what TorchScript's own compiler reads

import pytest
import torch
from described import source
from safetensors.torch import load_file
from torch import nn

import modelcrate
from modelcrate.cli.main import main
from modelcrate.errors import FormatError, IntegrityError, LimitError, PolicyError, UnsupportedError
from modelcrate.legacy.export import export
from modelcrate.legacy.record import Record
from modelcrate.legacy.scan import scan

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")


class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)
        self.norm = nn.BatchNorm1d(3)
        self.register_buffer("mean", torch.arange(3.0))

    def forward(self, x):
        return self.norm(self.fc(x)) + self.mean


class Net(nn.Module):
    tensors: List[torch.Tensor]  # noqa: UP006
    named: Dict[str, torch.Tensor]  # noqa: UP006
    pair: Tuple[int, torch.Tensor]  # noqa: UP006
    counts: List[int]  # noqa: UP006

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(Inner(), nn.ReLU(), nn.Linear(3, 3))
        self.first = nn.Linear(3, 3)
        self.last = nn.Linear(3, 3, bias=False)
        self.last.weight = self.first.weight
        self.rows = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3)])
        self.by_name = nn.ModuleDict({"out": nn.Linear(3, 1)})
        self.turned = nn.Parameter(torch.arange(12.0).reshape(3, 4).t())
        self.scale = nn.Parameter(torch.ones(3))
        self.tensors, self.named, self.pair = [torch.zeros(2), torch.ones(3)], {"k": torch.ones(1)}, (1, torch.ones(2))
        self.counts, self.factor, self.label, self.device = [1, 2], 0.5, "net", torch.device("cpu")

    def forward(self, x):
        y = self.last(self.first(self.body(x)))
        for row in self.rows:
            y = row(y)
        return y + self.tensors[1] + self.named["k"] + self.pair[1].sum() + self.counts[0] * self.factor


def archive(program, **how) -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(program, buffer, **how)
    return buffer.getvalue()


def scripted(tmp_path: Path, program, **how) -> Path:
    path = tmp_path / "net.ts"
    path.write_bytes(archive(program, **how))
    return path


def program(kind: str, model: nn.Module):
    return torch.jit.script(model) if kind == "script" else torch.jit.trace(model.eval(), torch.ones(2, 3))


def weights(path: Path, tmp_path: Path) -> tuple[dict, object]:
    done = modelcrate.convert(path, tmp_path / "out.crate", weights_only=True, overwrite=True)
    return modelcrate.load(tmp_path / "out.crate"), done


def test_A59_the_sample_gives_the_tensors_that_torch_sees(tmp_path):
    found, done = weights(source("scripted"), tmp_path)
    wanted = torch.jit.load(source("scripted")).state_dict()
    assert list(found) == list(wanted) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert done.manifest.provenance.source.format == "torchscript"
    assert any("container.py (717 bytes)" in left.where for left in done.omitted)


@pytest.mark.parametrize("kind", ["script", "trace"])
def test_A59_every_name_of_the_state_dict_and_every_tied_weight(tmp_path, kind):
    model = Net()
    path = scripted(tmp_path, program(kind, model))
    found, _ = weights(path, tmp_path)
    wanted = torch.jit.load(path).state_dict()
    assert set(wanted) <= set(found)
    for name, tensor in wanted.items():
        assert torch.equal(found[name], tensor), name
        assert found[name].dtype == tensor.dtype
    assert found["first.weight"].data_ptr() == found["last.weight"].data_ptr()
    fresh = Net()
    fresh.load_state_dict({name: found[name] for name in fresh.state_dict()})
    more = {"tensors.0", "tensors.1", "named.k", "pair.1"} if kind == "script" else set()
    assert set(found) - set(wanted) == more


def test_A59_without_weights_only_the_program_is_refused(tmp_path):
    with pytest.raises(UnsupportedError, match=r"contains code.*--weights-only"):
        modelcrate.convert(source("scripted"), tmp_path / "x.crate")
    assert not (tmp_path / "x.crate").exists()


@pytest.mark.parametrize("to", ["safetensors", "torch"])
def test_A59_straight_to_other_formats(tmp_path, to):
    path = scripted(tmp_path, program("script", Net()))
    done = export(path, tmp_path / "out", to=to, weights_only=True)
    found = load_file(tmp_path / "out") if to == "safetensors" else torch.load(tmp_path / "out", weights_only=True)
    names = set(torch.jit.load(path).state_dict())
    assert names <= set(found) | set(done.aliases)
    modelcrate.convert(path, tmp_path / "net.crate", weights_only=True)
    export(tmp_path / "net.crate", tmp_path / "again", to=to)
    again = load_file(tmp_path / "again") if to == "safetensors" else torch.load(tmp_path / "again", weights_only=True)
    assert all(torch.equal(again[name], found[name]) for name in found)


def test_A59_a_pt_file_of_a_program_needs_weights_only(tmp_path):
    with pytest.raises(UnsupportedError, match="--weights-only"):
        export(source("scripted"), tmp_path / "out.pt", to="torch")
    assert not (tmp_path / "out.pt").exists()


def test_A59_the_command(tmp_path, capsys):
    assert main(["convert", "--weights-only", str(source("scripted")), str(tmp_path / "x.crate")]) == 0
    assert "left out code of the program" in capsys.readouterr().err
    to = ["convert", "--weights-only", "--to", "safetensors", str(source("scripted"))]
    assert main([*to, str(tmp_path / "x.safetensors")]) == 0
    assert main(["convert", str(source("scripted")), str(tmp_path / "y.crate")]) == 2


def test_A59_a_reading_is_records_of_attributes(tmp_path):
    net = modelcrate.read_legacy(archive(torch.jit.script(Net())))
    assert isinstance(net, Record)
    assert net.class_name == "__torch__.test_torchscript.Net" or net.class_name.startswith("__torch__.")
    held = net.attributes
    assert held["counts"] == [1, 2]
    assert (held["factor"], held["label"], held["device"]) == (0.5, "net", torch.device("cpu"))
    assert [tensor.tolist() for tensor in held["tensors"]] == [[0, 0], [1, 1, 1]]
    assert held["pair"][0] == 1
    assert held["turned"].stride() == (1, 4)
    assert held["body"].attributes["0"].attributes["mean"].tolist() == [0, 1, 2]
    assert held["first"].attributes["weight"].data_ptr() == held["last"].attributes["weight"].data_ptr()


def test_A59_constants_are_listed_and_left(tmp_path):
    class Adds(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(3, 3)

        def forward(self, x):
            return self.fc(x) + torch.tensor([1.0, 2.0, 3.0])

    path = scripted(tmp_path, program("trace", Adds()))
    found, done = weights(path, tmp_path)
    assert set(found) == {"fc.weight", "fc.bias"}
    assert any("1 constants" in left.what and "float32 [3]" in left.what for left in done.omitted)


def test_A59_a_frozen_program_has_only_numbered_constants(tmp_path):
    frozen = torch.jit.freeze(torch.jit.script(nn.Sequential(nn.Linear(3, 3)).eval()))
    found, done = weights(scripted(tmp_path, frozen), tmp_path)
    assert found
    assert all(name.startswith("constants.") for name in found)
    assert "frozen" in done.notes[0]


def test_A59_extra_files_and_the_lite_interpreter(tmp_path):
    small = torch.jit.script(nn.Sequential(nn.Linear(2, 2)))
    found, done = weights(scripted(tmp_path, small, _extra_files={"notes.txt": "hello"}), tmp_path)
    assert any("notes.txt (5 bytes)" in left.where for left in done.omitted)
    small._save_for_lite_interpreter(str(tmp_path / "small.ptl"))
    lite, done = weights(tmp_path / "small.ptl", tmp_path)
    assert any("bytecode.pkl" in left.where for left in done.omitted)
    assert all(torch.equal(lite[name], found[name]) for name in found)


@pytest.mark.parametrize("kind", ["buffer", "dynamic"])
def test_A59_A24_quantised_tensors_are_named_and_refused(tmp_path, kind):
    class Held(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("q", torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8))

        def forward(self, x):
            return x + self.q.dequantize()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Held() if kind == "buffer" else torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(3, 3)))
        path = scripted(tmp_path, torch.jit.script(model))
    with pytest.raises(UnsupportedError, match=r"model.*: a quantised tensor .*dequantize"):
        modelcrate.convert(path, tmp_path / "x.crate", weights_only=True)


def test_A59_the_scan_lists_each_file_of_code():
    report = scan(source("scripted"))
    listed = {found.name: found.reason for found in report.findings if "code" in found.reason}
    with zipfile.ZipFile(source("scripted")) as packed:
        wanted = {entry.filename: entry.file_size for entry in packed.infolist() if entry.filename.endswith(".py")}
    assert report.verdict == "unknown"
    assert set(listed) == set(wanted)
    assert all(f"{size} bytes" in listed[name] for name, size in wanted.items())


def rewritten(changes: dict[str, bytes | None]) -> bytes:
    """The sample with members replaced, added or (None) taken away."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(source("scripted")) as old, zipfile.ZipFile(buffer, "w") as new:
        members = {name: old.read(name) for name in old.namelist()} | changes
        for name, data in members.items():
            if data is not None:
                new.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"scripted/evil.bin": b"x"}, FormatError, id="A59-a-member-of-no-kind"),
        pytest.param({"scripted/data/0": None}, IntegrityError, id="A59-a-storage-is-missing"),
        pytest.param({"scripted/data/0": bytes(7)}, IntegrityError, id="A59-a-storage-is-short"),
        pytest.param({"scripted/data.pkl": None}, FormatError, id="A59-no-module"),
        pytest.param(
            {"scripted/constants.pkl": b"\x80\x02cos\nsystem\n)R."}, PolicyError, id="A59-a-call-in-constants"
        ),
        pytest.param({"scripted/byteorder": b"big"}, UnsupportedError, id="A59-big-endian"),
        pytest.param({"scripted/constants.pkl": b"\x80\x02(("}, FormatError, id="A59-broken-constants"),
    ],
)
def test_a_broken_program_is_refused_and_nothing_is_written(tmp_path, changes, error):
    (tmp_path / "x.ts").write_bytes(rewritten(changes))
    with pytest.raises(error):
        modelcrate.convert(tmp_path / "x.ts", tmp_path / "x.crate", weights_only=True)
    assert not (tmp_path / "x.crate").exists()


def test_A59_under_guard_nothing_of_it_runs(oracle):
    path = oracle.inputs / "net.ts"
    path.write_bytes(archive(torch.jit.script(Net())))
    outcome = oracle.cli("convert", "--weights-only", path, oracle.outputs / "net.crate", seconds=8.0)
    assert outcome.exit_code == 0
    assert json.loads(oracle.cli("scan", "--json", path).stdout)["verdict"] == "unknown"


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 2)
        self.register_buffer("kept", torch.ones(2))
        self.register_buffer("passing", torch.ones(3), persistent=False)
        self.scratch = torch.zeros(4)


def test_a_module_of_an_unknown_class_becomes_its_state_dict(tmp_path):
    model = Own()
    torch.save(model, tmp_path / "own.pt")
    found, done = weights(tmp_path / "own.pt", tmp_path)
    assert list(found) == list(model.state_dict())
    assert all(torch.equal(found[name], tensor) for name, tensor in model.state_dict().items())
    assert done.manifest.model.type == "torch.state_dict/1"
    Own().load_state_dict(found)


def test_a_checkpoint_becomes_its_tensors(tmp_path):
    model = nn.Linear(2, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    torch.save({"epoch": 3, "model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "c.pt")
    found, done = weights(tmp_path / "c.pt", tmp_path)
    assert {"model.weight", "model.bias", "optimizer.state.0.exp_avg"} <= set(found)
    assert "everything but tensors" in [left.what for left in done.omitted]


# PyTorch 1.0 to 1.2, written by hand after PyTorch's own description (``ModelDef``): no release here can write it

FIRST = {"dims": ["3", "2"], "offset": "0", "strides": ["1", "3"], "requiresGrad": True, "dataType": "FLOAT",
         "data": {"key": "tensors/0"}, "device": "cuda:0"}  # fmt: skip
SECOND = {"dims": ["3"], "strides": ["1"], "dataType": "INT64", "data": {"key": "tensors/1"}}
MODEL = {
    "protoVersion": "2",
    "producerName": "pytorch",
    "mainModule": {
        "name": "net",
        "torchscriptArena": {"key": "code/net.py"},
        "parameters": [{"tensorId": "0", "name": "scale"}],
        "submodules": [{"name": "fc", "parameters": [{"tensorId": "0", "name": "weight"},
                                                     {"isBuffer": True, "tensorId": "1", "name": "steps"}]}],
    },
    "tensors": [FIRST, SECOND],
}  # fmt: skip


def old(model: dict) -> bytes:
    members = {
        "net/version": b"1\n",
        "net/tensors/0": torch.arange(6.0).numpy().tobytes(),
        "net/tensors/1": torch.arange(3).numpy().tobytes(),
        "net/code/net.py": b"op_version_set = 0\n",
        "net/debug/net.pkl": b"\x80\x02N.",
        "net/attributes.pkl": b"\x80\x02].",
        "net/model.json": json.dumps(model).encode(),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, data in members.items():
            packed.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()


def test_A59_the_layout_with_a_json_model_gives_its_tensors_and_ties(tmp_path):
    (tmp_path / "old.pt").write_bytes(old(MODEL))
    found, done = weights(tmp_path / "old.pt", tmp_path)
    assert set(found) == {"scale", "fc.weight", "fc.steps"}
    assert found["fc.weight"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert found["fc.steps"].tolist() == [0, 1, 2]
    assert found["scale"].data_ptr() == found["fc.weight"].data_ptr()
    assert found["scale"].requires_grad
    assert any("code/net.py (19 bytes)" in left.where for left in done.omitted)
    assert scan(tmp_path / "old.pt").verdict == "unknown"


DEEP: dict = {"name": "x"}
for _ in range(100):
    DEEP = {"name": "x", "submodules": [DEEP]}
WRONG = {
    "no-record": {"tensors": [{**FIRST, "data": {"key": "tensors/7"}}]},
    "path-record": {"tensors": [{**FIRST, "data": {"key": "../x"}}]},
    "beyond": {"tensors": [{**FIRST, "dims": ["300", "200"]}]},
    "negative": {"tensors": [{**FIRST, "dims": [-3, 2]}]},
    "quantised": {"tensors": [{**FIRST, "isQuantized": True}]},
    "unknown-type": {"tensors": [{**FIRST, "dataType": "STRING"}]},
    "no-tensor": {"mainModule": {"parameters": [{"tensorId": "9", "name": "a"}]}},
    "dotted-name": {"mainModule": {"parameters": [{"tensorId": "0", "name": "a.b"}]}},
    "twice": {"mainModule": {"parameters": [{"name": "a"}, {"name": "a"}]}},
    "no-name": {"mainModule": {"submodules": [{}]}},
    "list": {"mainModule": []},
    "tensors-map": {"tensors": {}},
    "deep": {"mainModule": DEEP},
}


@pytest.mark.parametrize("case", [pytest.param(change, id=f"A59-{name}") for name, change in WRONG.items()])
def test_a_json_model_that_contradicts_itself_is_refused(case):
    with pytest.raises((FormatError, UnsupportedError, LimitError)):
        modelcrate.read_legacy(old({**MODEL, **case}))
