"""``modelcrate scan``: what it looks at, what it prints, what it exits with."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from effort import slowness
from modelcrate.legacy.batch import scan_paths
from modelcrate.limits import Limits
from oracle import ROOT, Oracle

DATA = b"\x80\x04}\x94\x8c\x01a\x94K\x01s."
UNKNOWN = b"\x80\x04\x8c\x07nowhere\x94\x8c\x05thing\x94\x93\x94)R\x94."
DANGEROUS = b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94\x93\x94\x8c\x0btouch /evil\x94\x85\x94R\x94."
BROKEN = DATA[:-2]
SCHEMA = json.loads((ROOT / "spec" / "reports" / "scan.schema.json").read_text())


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def tree(oracle: Oracle, **files: bytes) -> Path:
    folder = oracle.inputs / "tree"
    for name, data in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def reports(oracle: Oracle, *arguments: object) -> tuple[int, list[dict[str, object]]]:
    """Exit code and one report a line, each of the published shape."""
    outcome = oracle.cli("scan", "--json", "--workers", "0", *arguments)
    lines = [json.loads(line) for line in outcome.stdout.splitlines()]
    for line in lines:
        jsonschema.validate(line, SCHEMA)
    assert outcome.exit_code is not None
    return outcome.exit_code, lines


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"a": DATA}, 0),
        ({"a": DATA, "b": DATA}, 0),
        ({"a": DATA, "b": UNKNOWN}, 1),
        ({"a": DATA, "b": DANGEROUS}, 1),
        ({"a": BROKEN, "b": DANGEROUS}, 1),
        ({"a": DATA, "b": BROKEN}, 2),
        ({"a": DATA, "b": b"just text, nothing more"}, 2),
    ],
    ids=["data", "all-data", "unknown", "dangerous", "broken-and-dangerous", "broken", "unrecognised"],
)
def test_exit_code_is_that_of_the_worst_file(oracle: Oracle, files: dict[str, bytes], code: int) -> None:
    """J7"""
    found, lines = reports(oracle, tree(oracle, **files))
    assert found == code
    assert len(lines) == len(files)


def test_an_empty_folder_is_no_success(oracle: Oracle) -> None:
    """J7"""
    empty = oracle.inputs / "empty"
    empty.mkdir()
    outcome = oracle.cli("scan", empty)
    assert outcome.exit_code == 2
    assert b"no file to scan" in outcome.stderr


def test_a_missing_file_does_not_stop_the_others(oracle: Oracle) -> None:
    code, lines = reports(oracle, oracle.inputs / "absent", oracle.file(DATA))
    assert code == 2
    assert [line["verdict"] for line in lines] == ["unrecognised", "data"]
    assert lines[0]["error"] == {"code": "IO", "what": "can't be read: No such file or directory"}


def test_a_finding_says_what_would_have_been_called(oracle: Oracle) -> None:
    code, (line,) = reports(oracle, oracle.file(DANGEROUS))
    assert code == 1
    (finding,) = line["findings"]  # type: ignore[misc]
    assert finding["global"] == "os.system"
    assert finding["offset"] == DANGEROUS.index(b"\x93")
    assert finding["opcode"] == "STACK_GLOBAL"
    assert finding["call"] == "os.system('touch /evil')"
    assert finding["reason"]


def test_folders_are_searched_in_a_fixed_order(oracle: Oracle) -> None:
    folder = tree(oracle, b=DATA, a__z=DATA, a__b__c=DATA, c=DATA)
    _, lines = reports(oracle, folder)
    found = [os.path.relpath(str(line["path"]), folder) for line in lines]
    assert sorted(found) == ["a/b/c", "a/z", "b", "c"]
    assert reports(oracle, folder)[1] == lines


def test_a_trusted_name_is_not_a_finding(oracle: Oracle) -> None:
    path = oracle.file(UNKNOWN)
    assert reports(oracle, path)[0] == 1
    assert reports(oracle, path, "--allow", "nowhere.thing")[0] == 0
    assert reports(oracle, path, "--allow", "nowhere.other")[0] == 1


@pytest.mark.parametrize("name", ["thing", "nowhere.*", ".thing", "nowhere.", "a..b"])
def test_only_whole_names_can_be_trusted(oracle: Oracle, name: str) -> None:
    outcome = oracle.cli("scan", oracle.file(UNKNOWN), "--allow", name)
    assert outcome.exit_code == 2
    assert b"--allow" in outcome.stderr


def test_people_see_verdict_path_and_reason(oracle: Oracle) -> None:
    path = oracle.file(DANGEROUS)
    text = oracle.cli("scan", path).stdout.decode()
    first, second = text.splitlines()
    assert first == f"dangerous  {path}"
    assert "os.system('touch /evil')" in second
    assert f"byte {DANGEROUS.index(bytes([0x93]))}" in second


def test_J19_sarif(oracle: Oracle) -> None:
    """J19"""
    folder = tree(oracle, bad=DANGEROUS, good=DATA, odd=BROKEN)
    outcome = oracle.cli("scan", "--sarif", "--workers", "0", folder)
    assert outcome.exit_code == 1
    log = json.loads(outcome.stdout)
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    levels = {}
    for result in run["results"]:
        assert result["ruleId"] in rules
        place = result["locations"][0]["physicalLocation"]
        levels[place["artifactLocation"]["uri"].rpartition("/")[2]] = result["level"]
        assert result["message"]["text"]
    assert levels == {"bad": "error", "odd": "warning"}


def test_json_and_sarif_are_two_questions(oracle: Oracle) -> None:
    assert oracle.cli("scan", "--json", "--sarif", oracle.file(DATA)).exit_code == 2


class TestFolders:
    """J8: whatever lies in a folder is bounded, reported, and never leads out of it."""

    def test_J8_links_out_are_not_followed(self, oracle: Oracle, tmp_path: Path) -> None:
        folder = tree(oracle, a=DATA)
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "evil").write_bytes(DANGEROUS)
        (folder / "file").symlink_to(outside / "evil")
        (folder / "folder").symlink_to(outside)
        code, lines = reports(oracle, folder)
        assert code == 2
        assert {str(line["path"]).rpartition("/")[2]: line["verdict"] for line in lines} == {
            "a": "data", "file": "unrecognised", "folder": "unrecognised",
        }  # fmt: skip

    def test_links_inside_are_followed_to_files_only(self, oracle: Oracle) -> None:
        folder = tree(oracle, a__evil=DANGEROUS)
        (folder / "again").symlink_to("a/evil")
        (folder / "a" / "up").symlink_to("..")
        (folder / "loop").symlink_to("loop")
        code, lines = reports(oracle, folder)
        assert code == 1
        assert {os.path.relpath(str(line["path"]), folder): line["verdict"] for line in lines} == {
            "a/evil": "dangerous", "again": "dangerous", "loop": "unrecognised",
        }  # fmt: skip

    def test_a_link_that_is_named_is_followed(self, oracle: Oracle) -> None:
        path = oracle.file(DANGEROUS)
        link = oracle.inputs / "link"
        link.symlink_to(path)
        assert reports(oracle, link)[0] == 1

    def test_pipes_sockets_and_devices_are_not_opened(self, oracle: Oracle) -> None:
        folder = tree(oracle, a=DATA)
        os.mkfifo(folder / "pipe")
        code, lines = reports(oracle, folder, folder / "pipe")
        assert code == 2
        assert [line["verdict"] for line in lines] == ["data", "unrecognised", "unrecognised"]
        assert lines[1]["error"] == {"code": "IO", "what": "not a regular file"}

    @pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable to root")
    def test_an_unreadable_folder_is_reported(self, oracle: Oracle) -> None:
        folder = tree(oracle, a=DATA, locked__b=DATA)
        (folder / "locked").chmod(0)
        code, lines = reports(oracle, folder)
        (folder / "locked").chmod(0o700)
        assert code == 2
        assert len(lines) == 2

    def test_depth_is_no_recursion(self, oracle: Oracle) -> None:
        folder = oracle.inputs / "deep"
        folder.mkdir()
        inner = os.open(folder, os.O_RDONLY)
        for _ in range(300):
            os.mkdir("d", dir_fd=inner)
            deeper = os.open("d", os.O_RDONLY, dir_fd=inner)
            os.close(inner)
            inner = deeper
        os.close(inner)
        assert oracle.cli("scan", folder).exit_code == 2  # nothing in it

    def test_many_files(self, tmp_path: Path) -> None:
        for index in range(2_000):
            (tmp_path / f"{index:05}").write_bytes(DATA)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert all(report.verdict == "data" for report in scan_paths([tmp_path], workers=2))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 20 * slowness()


class TestBatch:
    """One hostile file can't stop a batch: files are looked at in processes with limits."""

    SLOW = b"\x80\x04](" + b"N0" * 2_000_000 + b"e."
    LARGE = b"\x80\x04(" + b"]" * 1_500_000 + b"t."

    def test_a_file_that_takes_too_long(self, tmp_path: Path) -> None:
        for name, data in (("a", DATA), ("b", self.SLOW), ("c", DANGEROUS), ("d", DATA)):
            (tmp_path / name).write_bytes(data)
        # The machine may be busy; what an honest file takes is measured, a slow one gets far less than it needs.
        limits = Limits(scan_seconds=0.25)
        found = {Path(report.path).name: report for report in scan_paths([tmp_path], workers=1, limits=limits)}
        assert list(found) == ["a", "b", "c", "d"]
        assert found["b"].verdict == "broken"
        assert found["b"].error == {"code": "LIMIT", "what": "looking at it takes longer than 0.25 s"}

    def test_a_file_that_takes_too_much_memory(self, tmp_path: Path) -> None:
        for name, data in (("a", DATA), ("b", self.LARGE), ("c", DANGEROUS)):
            (tmp_path / name).write_bytes(data)
        limits = Limits(scan_memory=48 << 20)
        found = [report.verdict for report in scan_paths([tmp_path], workers=1, limits=limits)]
        assert found == ["data", "broken", "dangerous"]

    def test_order_and_content_do_not_depend_on_the_number_of_workers(self, tmp_path: Path) -> None:
        for index, data in enumerate([DATA, UNKNOWN, DANGEROUS, BROKEN, b"text"] * 5):
            (tmp_path / f"{index:02}").write_bytes(data)
        one, two = (list(scan_paths([tmp_path], workers=workers)) for workers in (0, 2))
        assert one == two

    def test_a_worker_takes_nothing_from_the_current_folder(self, tmp_path: Path) -> None:
        """G23"""
        trap = "import pathlib; pathlib.Path('sentinel').touch()"
        for name in ("modelcrate.py", "json.py", "numpy.py", "selectors.py", "sitecustomize.py"):
            (tmp_path / name).write_text(trap)
        (tmp_path / "a.pkl").write_bytes(DATA)
        (tmp_path / "b.pkl").write_bytes(DATA)
        program = "import sys; sys.path[:] = sys.path[1:]; from modelcrate.cli.main import main; sys.exit(main())"
        outcome = subprocess.run(
            [sys.executable, "-c", program, "scan", "--workers", "2", "a.pkl", "b.pkl"], cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        assert outcome.returncode == 0, outcome.stderr
        assert not (tmp_path / "sentinel").exists()

    def test_leaving_early_ends_the_workers(self, tmp_path: Path) -> None:
        for index in range(20):
            (tmp_path / f"{index:02}").write_bytes(self.SLOW)
        before = children()
        batch = scan_paths([tmp_path], workers=2)
        next(batch)
        assert len(children() - before) == 2
        batch.close()  # type: ignore[attr-defined]
        assert children() == before


class TestCrates:
    """A crate is data, in any form; a document that is a pickle as well is judged as the pickle."""

    def test_crates_are_data(self, oracle: Oracle) -> None:
        from modelcrate.crate import ComponentData, write_crate
        from modelcrate.format.tensors import TensorData

        component = ComponentData(
            name="net", role="generator", type="acme.net/1", tensors={"w": TensorData("F32", (2,), bytes(8))}
        )
        for form in ("file", "folder"):
            path = oracle.inputs / form
            write_crate(path, components=[component], form=form)  # type: ignore[arg-type]
            code, lines = reports(oracle, path)
            assert code == 0
            assert {line["verdict"] for line in lines} == {"data"}

    def test_a_state_document_that_is_a_pickle_too(self, oracle: Oracle) -> None:
        """LONG1 and a map of ten entries are one byte; text in a document can be opcodes."""
        from modelcrate.format.values import encode

        opcodes = "0cnowhere\nthing\n)R."
        document = {f"k{index:02}": "x" for index in range(9)} | {"a": "-" * 500}
        data = encode(document)
        length = data[1]
        assert data[0] == 0x8A
        start = data.index(b"-" * 500)
        shift = 2 + length - start
        assert 0 <= shift < 400
        document["a"] = "-" * shift + opcodes + "-" * (500 - shift - len(opcodes))
        code, (line,) = reports(oracle, oracle.file(encode(document)))
        assert code == 1
        assert line["verdict"] == "unknown"
