"""Cases of several parts that no other test file carries: legacy pickles, containers, tensors, architectures."""

from __future__ import annotations

import ast
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from payloads import frame_free, raw_zip, short_text

from attacks import calls, indirect
from crate_bytes import archive, both, members_of, small_crate
from modelcrate.legacy.scan import scan
from oracle import ROOT, Oracle

ACTGAN = ROOT / "tests" / "corpus" / "actgan" / "no_rounding" / "model.pkl"
SYSTEM = b"cos\nsystem\n"


class TestLegacy:
    def test_A2_many_ways_and_none_is_data(self) -> None:
        ways = {attack.name: attack for attack in (*calls.ways(), *indirect.attacks())}
        assert len(ways) >= 60
        assert all(scan(attack.data).verdict != "data" for attack in ways.values())

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(SYSTEM + b"0N.", id="A3-never-called"),
            pytest.param(SYSTEM + b"(S'x'\ntR0N.", id="A4-result-discarded"),
            pytest.param(b"(" + SYSTEM + b"S'x'\no0N.", id="A4-obj-discarded"),
            pytest.param(b"]((S'x'\nios\nsystem\n10.", id="A4-popped-with-mark"),
            pytest.param(b"N\x94" + SYSTEM + b"\x940h\x01(S'x'\ntR0N.", id="A4-through-the-memo"),
        ],
    )
    def test_what_is_thrown_away_is_still_reported(self, oracle: Oracle, data: bytes) -> None:
        report = oracle.judge(data)
        assert report["verdict"] == "dangerous"
        assert "system" in str(report["findings"])

    def test_A23_many_tensors_over_one_storage_are_charged(self, oracle: Oracle) -> None:
        """A thousand views of 1 MB: shared in the graph, and never a gigabyte."""
        data = torch_archive(b"](" + tensor(count=1 << 18) * 1000 + b"e", storage=bytes(1 << 20))
        assert oracle.run("scan", oracle.file(data)).verdict == "ok"
        target = oracle.outputs / "x.crate"
        outcome = oracle.run("convert", oracle.file(data), target, seconds=8.0)
        assert outcome.error == "LIMIT"
        assert not target.exists()

    @pytest.mark.parametrize(
        "hooks",
        [
            pytest.param(b"ccollections\nOrderedDict\n)R(X\x01\x00\x00\x00acos\nsystem\nu", id="A25-hook"),
            pytest.param(b"}(X\x01\x00\x00\x00acos\nsystem\nu", id="A25-hook-dict"),
        ],
    )
    def test_tensors_with_hooks_are_refused(self, oracle: Oracle, hooks: bytes) -> None:
        data = torch_archive(tensor(count=4, hooks=hooks), storage=bytes(16))
        assert oracle.scan(data)["verdict"] == "dangerous"
        assert oracle.run("convert", oracle.file(data), oracle.outputs / "x.crate").error in ("POLICY", "UNSUPPORTED")

    def test_A37_code_by_value_is_never_data(self) -> None:
        """Functions and code objects, as cloudpickle and dill write them."""
        names = (
            "cloudpickle.cloudpickle _make_function,cloudpickle.cloudpickle _builtin_type,types CodeType,"
            "types FunctionType,dill._dill _create_code,dill._dill _load_type"
        )
        for name in names.replace(" ", "\n").split(","):
            report = scan(frame_free(b"c" + name.encode() + b"\n(" + short_text("x") + b"tR"))
            assert report.verdict in ("unknown", "dangerous"), name

    @pytest.mark.parametrize(
        "key",
        [
            pytest.param(b"]", id="A48-list"),
            pytest.param(b"}", id="A48-dict"),
            pytest.param(b"\x8f", id="A48-set"),
            pytest.param(b"G\x7f\xf8\0\0\0\0\0\0", id="A48-nan"),
            pytest.param(b"h\x00", id="A48-itself"),
            pytest.param(b"cnowhere\nThing\n)\x81", id="A48-object"),
        ],
    )
    def test_keys_are_never_hashed(self, oracle: Oracle, key: bytes) -> None:
        oracle.scan(frame_free(b"}q\x00(" + key + b"Nu"))
        oracle.scan(frame_free(b"\x8fq\x00(" + key + b"\x90"))

    def test_A54_no_module_imports_an_unpickler(self) -> None:
        """Nowhere in the library: what the reader refuses can't be tried by another way. One module has the writer."""
        forbidden = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle"}
        for path in (ROOT / "src").rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names: list[str] = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    names = [node.module or ""] if node.level == 0 else []
                    if names == ["pickle"] and path.name == "dump.py" and [it.name for it in node.names] == ["Pickler"]:
                        continue  # writes down the caller's own live objects; a writer can't load
                assert not {name.partition(".")[0] for name in names} & forbidden, path
                if isinstance(node, ast.Attribute) and node.attr == "load" and isinstance(node.value, ast.Name):
                    assert node.value.id != "torch", f"{path}: torch.load"

    def test_A55_torch_load_is_not_what_stands_between(self, tmp_path: Path) -> None:
        """Everything works with ``torch.load``, ``pickle.loads`` and ``numpy.load`` made to fail."""
        program = (
            "import sys, pickle, numpy, torch\n"
            "def never(*arguments, **options): raise AssertionError('an unpickler was called')\n"
            "torch.load = numpy.load = pickle.load = pickle.loads = pickle.Unpickler = never\n"
            "import modelcrate\n"
            "modelcrate.convert(sys.argv[1], sys.argv[2])\n"
            "assert len(modelcrate.load(sys.argv[2]).sample(5, seed=1)) == 5\n"
        )
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        line = [sys.executable, "-c", program, str(ACTGAN), str(tmp_path / "x.crate")]
        subprocess.run(line, env=environment, check=True, timeout=120)

    def test_A56_a_file_is_opened_once(self, tmp_path: Path) -> None:
        """One descriptor for all that is read, so that a file swapped between two looks is not two files."""
        path = tmp_path / "x.pkl"
        path.write_bytes(b"N.")
        program = (
            "import sys\nfrom modelcrate.legacy.scan import scan\nscan(b'N.')\nopened = []\n"
            "def hook(event, a):\n    if event == 'open' and a[0] == sys.argv[1]: opened.append(a)\n"
            "sys.addaudithook(hook)\n"
            "scan(sys.argv[1])\nassert len(opened) == 1, opened"
        )
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        subprocess.run([sys.executable, "-c", program, str(path)], env=environment, check=True, timeout=60)


def tensor(*, count: int, hooks: bytes = b"ccollections\nOrderedDict\n)R") -> bytes:
    """``torch._utils._rebuild_tensor_v2`` over storage 0, all of it."""
    storage = (
        b"(" + _text("storage") + b"ctorch\nFloatStorage\n" + _text("0") + _text("cpu") + b"J"
        + count.to_bytes(4, "little") + b"tQ"
    )  # fmt: skip
    shape = b"J" + count.to_bytes(4, "little") + b"\x85"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00" + shape + b"K\x01\x85\x89" + hooks + b"tR"


def _text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def torch_archive(body: bytes, *, storage: bytes) -> bytes:
    import zlib

    members = {b"a/data.pkl": b"\x80\x02" + body + b".", b"a/version": b"3\n", b"a/data/0": storage}
    return raw_zip([(name, 0, zlib.crc32(data), len(data), data) for name, data in members.items()])


class TestContainers:
    @pytest.mark.parametrize("name", [b"weights/net.safetensors", b"manifest.json"])
    def test_B22_B23_a_member_twice_or_the_manifest_in_itself(
        self, tmp_path: Path, oracle: Oracle, name: bytes
    ) -> None:
        folder = small_crate(tmp_path / "crate", form="folder")
        members = members_of(folder)
        data = archive([*members, both(name, b"again")])
        for verb in ("inspect", "load", "verify"):
            assert oracle.run(verb, data).verdict == "refused"

    @pytest.mark.parametrize("name", ["x.zip", "x.safetensors", "x.pkl", "x.txt", "x"])
    def test_B30_content_decides_and_not_the_name(self, oracle: Oracle, name: str) -> None:
        path = small_crate(oracle.inputs / "x.crate")
        other = path.rename(oracle.inputs / name)
        assert oracle.run("verify", other).verdict == "ok"
        assert oracle.cli("scan", other).exit_code == 0
        pickled = oracle.file(b"cos\nsystem\n(S'x'\ntR.", "y" + name)
        assert oracle.cli("scan", pickled).exit_code == 1

    @pytest.mark.parametrize("kind", ["link", "folder", "pipe", "socket"])
    def test_B32_a_member_that_is_no_file(self, oracle: Oracle, kind: str) -> None:
        path = small_crate(oracle.inputs / "crate", form="folder")
        member = path / "weights" / "net.safetensors"
        member.unlink()
        if kind == "link":
            member.symlink_to("/dev/zero")
        elif kind == "folder":
            member.mkdir()
        elif kind == "pipe":
            os.mkfifo(member)
        else:
            here = os.open(member.parent, os.O_RDONLY)
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(f"/proc/self/fd/{here}/{member.name}")
            os.close(here)
        for verb in ("inspect", "load", "verify"):
            assert oracle.run(verb, path).verdict == "refused"

    def test_B34_file_and_folder_are_one_crate(self, oracle: Oracle) -> None:
        from modelcrate.crate import open as open_crate

        one = small_crate(oracle.inputs / "x.crate")
        two = small_crate(oracle.inputs / "folder", form="folder")
        with open_crate(one) as first, open_crate(two) as second, open_crate(one.read_bytes()) as third:
            assert first.identity == second.identity == third.identity
        for verb in ("inspect", "verify"):
            assert {oracle.run(verb, form).verdict for form in (one, two, one.read_bytes())} == {"ok"}

    def test_B35_a_hole_of_a_terabyte(self, oracle: Oracle) -> None:
        path = small_crate(oracle.inputs / "crate", form="folder")
        os.truncate(path / "weights" / "net.safetensors", 1 << 40)
        for verb in ("inspect", "load", "verify"):
            assert oracle.run(verb, path, size=0, allow_changes=True).verdict == "refused"
        os.truncate(path / "weights" / "net.safetensors", 0)


class TestArchitectures:
    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(torch_archive(b"N", storage=b"").replace(b"a/version", b"a/code/x."), id="F18-torchscript"),
            pytest.param(b"\x08\x07\x12\x07pytorch\x1a\x031.0:\x10graph", id="F18-onnx"),
            pytest.param(b"\x80\x02N.", id="F18-pickle"),
        ],
    )
    def test_other_programs_models_are_no_crate(self, oracle: Oracle, data: bytes) -> None:
        for verb in ("inspect", "load", "verify"):
            assert oracle.run(verb, data).verdict == "refused"

    @pytest.mark.parametrize("device", ["cuda:99", "privateuseone", "nowhere", "", "cpu:x\x1b[2K", "-1"])
    def test_F19_a_device_is_the_callers_and_must_exist(self, oracle: Oracle, device: str) -> None:
        crate = small_crate(oracle.inputs / "x.crate")
        outcome = oracle.cli("sample", crate, "-n", "1", f"--device={device}")
        assert outcome.exit_code == 2
