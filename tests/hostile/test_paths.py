"""G: paths, links, special files and outputs. Nothing outside of what the caller named is opened or written."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from crates import ACTGAN, small

from modelcrate.errors import ModelcrateError
from modelcrate.format.names import check_member_name
from oracle import ROOT, Oracle

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
MEMBER = "weights/net.safetensors"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, id=f"{number}-{index}")
        for number, names in {
            "G1": ["../x", "/x", "C:\\x", "C:/x", "\\\\server\\x", "~/x", "$HOME/x", "%2e%2e/x", "file:///x", "x\0y", "http://x"],
            "G2": ["a/../b", "junk/../../x", "a/..", "a/./b", "./a"],
            "G15": ["modelé.safetensors", "mode\u0301l", "ﬁle", "Model.safetensors", "a ", "a."],
        }.items()
        for index, name in enumerate(names)
    ],
)  # fmt: skip
def test_a_member_name_is_refused_before_it_becomes_a_path(name: str) -> None:
    """G1, G2, G15: by grammar, whatever the path would have led to."""
    with pytest.raises(ModelcrateError):
        check_member_name(name, where="test")


def folder_crate(oracle: Oracle) -> Path:
    return small(oracle.inputs / "crate", form="folder")


def refused(oracle: Oracle, path: Path) -> None:
    for verb in ("inspect", "verify", "load"):
        outcome = oracle.run(verb, path)
        assert outcome.verdict == "refused", f"{verb}: {outcome}"


class TestLinks:
    def test_G3_a_folder_beside_is_not_inside(self, oracle: Oracle) -> None:
        inside, beside = oracle.inputs / "model", oracle.inputs / "model-evil"
        inside.mkdir()
        beside.mkdir()
        (beside / "x.pkl").write_bytes(b"cos\nsystem\n.")
        (inside / "link").symlink_to(beside / "x.pkl")
        outcome = oracle.cli("scan", "--json", inside)
        assert outcome.exit_code == 2
        assert b"leads out of the folder" in outcome.stdout

    def test_G4_a_member_that_is_a_link(self, oracle: Oracle) -> None:
        path = folder_crate(oracle)
        target = oracle.inputs / "moved"
        (path / MEMBER).rename(target)
        (path / MEMBER).symlink_to(target)
        refused(oracle, path)

    def test_G5_a_folder_of_members_that_is_a_link(self, oracle: Oracle) -> None:
        path = folder_crate(oracle)
        (path / "weights").rename(oracle.inputs / "moved")
        (path / "weights").symlink_to(oracle.inputs / "moved")
        refused(oracle, path)

    @pytest.mark.parametrize(
        "goal", [pytest.param("net.safetensors", id="G6-loop"), pytest.param("absent", id="G7-dangling")]
    )
    def test_a_link_that_leads_nowhere(self, oracle: Oracle, goal: str) -> None:
        path = folder_crate(oracle)
        (path / MEMBER).unlink()
        (path / MEMBER).symlink_to(goal)
        refused(oracle, path)

    def test_G8_a_hard_link_is_a_file_and_its_digest_is_what_counts(self, oracle: Oracle) -> None:
        path = folder_crate(oracle)
        other = oracle.inputs / "secret"
        other.write_bytes(b"not weights")
        (path / MEMBER).unlink()
        os.link(other, path / MEMBER)
        refused(oracle, path)

    def test_G9_a_cache_of_links_to_blobs(self, oracle: Oracle) -> None:
        """A single file may be reached through a link, as model caches do; a folder of links is not a crate."""
        blobs = oracle.inputs / "models--x" / "blobs"
        snapshot = oracle.inputs / "models--x" / "snapshots" / "1"
        blobs.mkdir(parents=True)
        snapshot.mkdir(parents=True)
        small(blobs / "abc")
        (snapshot / "x.crate").symlink_to("../../blobs/abc")
        assert oracle.run("verify", snapshot / "x.crate").verdict == "ok"
        assert oracle.cli("scan", snapshot / "x.crate").exit_code == 0
        whole = small(oracle.inputs / "folder", form="folder")
        for index, member in enumerate(path for path in sorted(whole.rglob("*")) if path.is_file()):
            blob = blobs / str(index)
            member.rename(blob)
            member.symlink_to(blob)
        refused(oracle, whole)

    def test_G10_a_link_swapped_in_while_it_is_read(self, oracle: Oracle) -> None:
        """Whenever the swap comes, the verdict is about bytes that were checked; nothing outside is opened."""
        path = folder_crate(oracle)
        outside = oracle.inputs.parent / "outside"
        outside.write_bytes((path / MEMBER).read_bytes())
        stop = threading.Event()

        def swap() -> None:
            spare, link = path.parent / "spare", path.parent / "link"
            shutil.copyfile(path / MEMBER, spare)
            while not stop.is_set():
                link.symlink_to(outside)
                os.replace(link, path / MEMBER)
                shutil.copyfile(outside, spare)
                os.replace(spare, path / MEMBER)

        thread = threading.Thread(target=swap)
        thread.start()
        try:
            for _ in range(30):
                assert oracle.run("verify", path, allow_changes=True).verdict in ("ok", "refused")
        finally:
            stop.set()
            thread.join()


class TestOutputs:
    """G11 to G13, G16, G18, G21, G22"""

    @pytest.mark.parametrize("kind", ["link", "dangling", "hard-link", "pipe", "folder"])
    def test_G11_an_output_that_is_something_else(self, oracle: Oracle, kind: str) -> None:
        target = oracle.outputs / "x.crate"
        precious = oracle.inputs / "precious"
        precious.write_bytes(b"precious")
        if kind == "link":
            target.symlink_to(precious)
        elif kind == "dangling":
            target.symlink_to(oracle.inputs / "absent")
        elif kind == "hard-link":
            os.link(precious, target)
        elif kind == "pipe":
            os.mkfifo(target)
        else:
            target.mkdir()
        outcome = oracle.cli("convert", ACTGAN, target, allow=[ACTGAN], seconds=8.0)
        assert outcome.exit_code == 2
        assert precious.read_bytes() == b"precious"
        assert not (oracle.inputs / "absent").exists()

    def test_G11_a_link_is_replaced_and_not_followed(self, oracle: Oracle) -> None:
        target, precious = oracle.outputs / "x.crate", oracle.inputs / "precious"
        precious.write_bytes(b"precious")
        target.symlink_to(precious)
        outcome = oracle.cli("convert", "--force", ACTGAN, target, allow=[ACTGAN], seconds=8.0, allow_changes=True)
        assert precious.read_bytes() == b"precious"
        assert outcome.exit_code == 2 or not target.is_symlink()

    def test_G12_a_file_is_not_converted_onto_itself(self, oracle: Oracle) -> None:
        path = oracle.file(ACTGAN.read_bytes())
        for options in ([], ["--force"]):
            outcome = oracle.cli("convert", *options, path, path, seconds=8.0, allow_changes=bool(options))
            assert path.read_bytes() == ACTGAN.read_bytes() or outcome.exit_code == 0
            if not options:
                assert outcome.exit_code == 2

    def test_G13_what_exists_is_kept(self, oracle: Oracle) -> None:
        target = oracle.outputs / "x.crate"
        target.write_bytes(b"precious")
        outcome = oracle.cli("convert", ACTGAN, target, allow=[ACTGAN], seconds=8.0)
        assert outcome.exit_code == 2
        assert b"--force" in outcome.stderr or b"exists" in outcome.stderr

    def test_G14_no_verb_unpacks_an_archive_to_paths_that_it_names(self) -> None:
        from modelcrate.cli.main import build_parser

        help_text = build_parser().format_help()
        assert "extract" not in help_text

    @pytest.mark.parametrize("length", [250, 255, 256, 5000])
    def test_G16_names_that_are_too_long(self, oracle: Oracle, length: int) -> None:
        name = "x" * length
        for arguments in (
            ("scan", oracle.inputs / name),
            ("inspect", oracle.inputs / name),
            ("convert", ACTGAN, oracle.outputs / name),
        ):
            outcome = oracle.cli(*arguments, allow=[ACTGAN], seconds=8.0)
            assert outcome.exit_code in (0, 2)

    def test_G18_a_folder_that_refuses(self, oracle: Oracle) -> None:
        outcome = oracle.cli("convert", ACTGAN, oracle.outputs / "absent" / "x.crate", allow=[ACTGAN], seconds=8.0)
        assert outcome.exit_code == 2
        outcome = oracle.cli("convert", ACTGAN, oracle.file(b"a file") / "x.crate", allow=[ACTGAN], seconds=8.0)
        assert outcome.exit_code == 2

    def test_G18_a_disk_that_fills_up(self, oracle: Oracle) -> None:
        """A limit on file sizes stands in for a full disk: the write in the middle fails."""
        outcome = oracle.run("actions:convert_on_a_small_disk", ACTGAN, oracle.outputs / "x.crate", heavy=True,
                             allow=[ACTGAN], seconds=8.0)  # fmt: skip
        assert outcome.error == "IO"
        assert not list(oracle.outputs.iterdir())

    def test_G21_G22_temporary_files_are_private_and_outputs_follow_the_umask(self, tmp_path: Path) -> None:
        program = (
            "import os, sys; os.umask(0o027); seen = []\n"
            "def hook(event, arguments):\n"
            "    if event == 'open' and isinstance(arguments[0], (str, bytes)) and arguments[2] & os.O_CREAT:\n"
            "        seen.append((os.fsdecode(arguments[0]), arguments[2]))\n"
            "sys.addaudithook(hook)\n"
            "from modelcrate.crate import ComponentData, write_crate\n"
            "from modelcrate.format.tensors import TensorData\n"
            "tensors = {'w': TensorData('F32', (2,), bytes(8))}\n"
            "part = ComponentData(name='n', role='generator', type='a.b/1', tensors=tensors)\n"
            "write_crate(sys.argv[1], components=[part])\n"
            "made = [flags for path, flags in seen if os.path.dirname(path) in ('', os.path.dirname(sys.argv[1]))]\n"
            "assert made and all(flags & os.O_EXCL for flags in made), seen\n"
        )
        target = tmp_path / "x.crate"
        subprocess.run([sys.executable, "-c", program, str(target)], env=ENVIRONMENT, check=True, timeout=60)
        assert stat.S_IMODE(target.stat().st_mode) == 0o640
        assert os.listdir(tmp_path) == ["x.crate"]


class TestInputs:
    @pytest.mark.parametrize(
        "path", ["/dev/zero", "/dev/null", "/proc/self/mem", "/dev/tty", "/proc/self/environ", "/"]
    )
    def test_G17_special_files(self, oracle: Oracle, path: str) -> None:
        verbs: list[tuple[object, ...]] = [("inspect", path), ("verify", path)]
        if path != "/":
            verbs.append(("scan", path))
        for line in (*verbs, ("convert", path, oracle.outputs / "x.crate")):
            outcome = oracle.cli(*line, allow=[Path("/dev"), Path("/proc"), Path("/")], seconds=4.0)
            assert outcome.exit_code in (1, 2), line

    def test_G17_a_pipe_does_not_hang(self, oracle: Oracle) -> None:
        pipe = oracle.inputs / "pipe"
        os.mkfifo(pipe)
        for line in (
            ("scan", pipe),
            ("inspect", pipe),
            ("verify", pipe),
            ("convert", pipe, oracle.outputs / "x.crate"),
        ):
            assert oracle.cli(*line).exit_code in (1, 2)

    @pytest.mark.parametrize(
        "address", ["http://localhost/x", "hf://a/b", "s3://bucket/x", "file:///etc/hostname", "//host/x"]
    )
    def test_G19_addresses_are_not_fetched(self, oracle: Oracle, address: str) -> None:
        """The oracle refuses every socket."""
        for line in (("scan", address), ("inspect", address), ("verify", address), ("sample", address, "-n", "1"),
                     ("convert", address, oracle.outputs / "x.crate")):  # fmt: skip
            assert oracle.cli(*line, allow=[Path("/host")]).exit_code in (1, 2)

    def test_G20_nothing_is_read_beside_the_input(self, oracle: Oracle) -> None:
        """Whatever lies beside a file is not even opened: only the file itself is allowed here."""
        path = oracle.file(b"N.", "beside/x.pkl")
        for name in ("modelcrate.toml", "config.json", "settings.toml", "__init__.py", "x.json"):
            (path.parent / name).write_text("{}")
            os.chmod(path.parent / name, 0)
        assert oracle.cli("scan", path).exit_code == 0


@pytest.mark.skipif(sys.version_info < (3, 11), reason="python -P is new in 3.11")
def test_G23_modules_in_the_current_folder_are_not_imported(tmp_path: Path) -> None:
    for name in ("torch", "numpy", "msgpack", "json", "modelcrate", "jsonschema", "blake3"):
        (tmp_path / f"{name}.py").write_text("import pathlib; pathlib.Path('sentinel').touch()")
    crate = small(tmp_path / "x.crate")
    for verb in ("scan", "inspect", "verify"):
        outcome = subprocess.run(
            [sys.executable, "-P", "-m", "modelcrate", verb, str(crate)],
            cwd=tmp_path, env=ENVIRONMENT, capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        assert outcome.returncode == 0, outcome.stderr
    assert not (tmp_path / "sentinel").exists()
