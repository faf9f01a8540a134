"""Scanning: verdicts on honest files, what a finding says, and that nothing heavy is imported."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import pytest
from pickled import named, text
from tagged import CORPUS

from modelcrate.errors import StorageError, UsageError
from modelcrate.legacy.findings import ORDER, ScanReport, render
from modelcrate.legacy.machine import read_pickle
from modelcrate.legacy.read import read_legacy
from modelcrate.legacy.scan import scan

SOURCES = Path(__file__).parent.parent.parent / "src"
ORIGINALS = sorted(
    path
    for folder in ("values", "torch", "actgan")
    for path in (CORPUS / folder).rglob("*")
    if path.suffix in (".pkl", ".pt", ".ts", ".ckpt", ".joblib", ".gz")
)
KNOWN_DATA = {"state_dict", "checkpoint", "gan_checkpoint", "lightning", "tied_state", "dtypes", "shapes", "gzip",
              "joblib",
              "joblib_zlib", "numpy_np123_pd15_p2", "pandas_np24_pd23_p5", "sklearn_np24_pd23_p5",
              "state_dict_legacy", "torch1_4_0_checkpoint"}  # fmt: skip


@pytest.mark.parametrize("path", ORIGINALS, ids=[str(path.relative_to(CORPUS)) for path in ORIGINALS])
def test_no_honest_file_is_called_dangerous_or_broken(path: Path) -> None:
    report = scan(path)
    assert report.verdict in ("data", "unknown"), [finding.to_dict() for finding in report.findings][:5]
    json.dumps(report.to_dict())


@pytest.mark.parametrize(
    "path", [path for path in ORIGINALS if path.name.partition(".")[0] in KNOWN_DATA], ids=lambda path: path.name
)
def test_tensors_arrays_frames_and_estimators_are_data(path: Path) -> None:
    assert scan(path).verdict == "data"


def test_a_finding_says_what_where_and_why() -> None:
    data = b"\x80\x02" + named("os", "system") + text("touch x") + b"\x85R."
    report = scan(data)
    assert report.verdict == "dangerous"
    (finding,) = report.findings
    document = finding.to_dict()
    assert document["global"] == "os.system"
    assert document["offset"] == 2
    assert document["opcode"] == "GLOBAL"
    assert document["call"] == "os.system('touch x')"
    assert "command" in str(document["reason"])


def test_a_name_that_the_caller_allows_is_data() -> None:
    data = b"\x80\x02" + named("acme.nets", "Net") + b")\x81."
    assert scan(data).verdict == "unknown"
    assert scan(data, allow=["acme.nets.Net"]).verdict == "data"
    assert scan(data, allow=["acme.nets.Other"]).verdict == "unknown"


def test_all_names_are_listed_known_ones_included() -> None:
    report = scan(pickle.dumps(OrderedDict(a=1), 2))
    assert report.verdict == "data"
    assert report.globals == ["collections.OrderedDict"]


@pytest.mark.parametrize(
    ("data", "verdict"),
    [
        (b"", "unrecognised"), (b"hello", "unrecognised"), (b"\x89PNG\r\n\x1a\n" + bytes(50), "unrecognised"),
        (pickle.dumps([1, 2, {"a": None}]), "data"), (b"\x80\x02N", "broken"), (b"\x80\x04\x8c\x05ab", "broken"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_never_data__A60(data: bytes, verdict: str) -> None:
    assert scan(data).verdict == verdict


def test_a_fault_does_not_hide_a_finding__A38() -> None:
    report = scan(b"\x80\x02" + named("os", "system") + b"\xff")
    assert report.verdict == "dangerous"
    assert {finding.verdict for finding in report.findings} == {"dangerous", "broken"}
    assert report.findings[0].verdict == "dangerous"


def test_the_worst_verdict_wins_and_comes_first() -> None:
    data = b"\x80\x02" + named("acme", "x") + b"0" + named("subprocess", "run") + b")R0N.junk"
    report = scan(data)
    assert [finding.verdict for finding in report.findings] == sorted(
        (finding.verdict for finding in report.findings), key=ORDER.index, reverse=True
    )


def test_what_the_unpicklers_disagree_on_is_reported() -> None:
    """The C one calls with tuples only and does not look at frames, the Python one takes any iterable and does."""
    for data in (
        b"\x80\x04" + named("collections", "OrderedDict") + b"]R.",
        b"\x80\x04\x95\x02" + bytes(7) + b"\x8c\x02ab.",
        b"I010\n.",
    ):
        report = scan(data)
        assert report.verdict == "broken"
        assert any(finding.offset is not None for finding in report.findings)


def test_names_are_escaped_before_they_are_shown__J1() -> None:
    data = b"\x80\x02" + named("o\x1b[2Js", "sys\u202etem") + b")R."
    for finding in scan(data).to_dict()["findings"]:  # type: ignore[attr-defined]
        assert all(
            character.isprintable() for value in finding.values() if isinstance(value, str) for character in value
        )


def test_renderings_are_bounded() -> None:
    node = read_pickle(b"\x80\x04" + text("x" * 10_000) + b"](" + b"K\x01" * 1000 + b"e" + b"\x86.").root
    assert len(render(node)) < 260
    deep = read_pickle(b")" + b"\x85" * 5000 + b".").root
    assert len(render(deep)) < 260


def test_a_pickle_of_a_pickle_is_looked_into() -> None:
    inner = b"\x80\x02" + named("os", "system") + b")R."
    report = scan(gzip.compress(pickle.dumps([pickle.dumps(inner), 1])))
    assert report.verdict == "dangerous"
    assert "bytes at" in report.findings[0].member


def test_numbers_that_look_like_opcodes_accuse_nobody() -> None:
    import random

    chance = random.Random(1)
    for seed in range(300):
        chance.seed(seed)
        data = bytes([chance.choice(b"\x80cI(}i]P")]) + chance.randbytes(400)
        assert scan(pickle.dumps({"weights": data})).verdict == "data", seed


def test_a_missing_file_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        scan(tmp_path / "absent.pkl")
    with pytest.raises(StorageError):
        scan(tmp_path)


def test_a_scan_imports_nothing_heavy__J18() -> None:
    """A whole process that scans a PyTorch file with tensors in it."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from modelcrate.legacy.scan import scan; "
        "assert scan(sys.argv[2]).verdict == 'data'; "
        "print([name for name in ('torch', 'pandas', 'numpy', 'jsonschema', 'pickle') if name in sys.modules])"
    )
    source = str(CORPUS / "torch" / "checkpoint.pt")
    done = subprocess.run([sys.executable, "-I", "-c", program, str(SOURCES), source], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"


def test_reports_of_the_same_file_are_equal() -> None:
    data = b"\x80\x02" + named("os", "system") + b")R0" + named("acme", "x") + b"."
    first, second = scan(data), scan(data)
    assert isinstance(first, ScanReport)
    assert first == second


@pytest.mark.parametrize(
    "data",
    [
        b"c__builtin__\nbytearray\n(c_codecs\nencode\n(Va\nVlatin1\ntR]tR.",
        b"c_codecs\nencode\n(Va\n]tR.",
        b"cnumpy\nndarray\n(]p0\ng0\natR.",
    ],
    ids=["bytearray-of-a-list", "encode-with-a-list", "shape-that-holds-itself"],
)
def test_arguments_that_can_not_be_hashed_or_end_nowhere_are_findings(data: bytes) -> None:
    assert scan(data).verdict != "data"


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_bytes_of_any_kind_are_one_file(form: type, tmp_path: Path) -> None:
    data = pickle.dumps({"a": [1, 2.5, "b"]})
    (tmp_path / "x.pkl").write_bytes(data)
    assert scan(form(data)).verdict == scan(tmp_path / "x.pkl").verdict == "data"
    assert read_legacy(form(data)) == read_legacy(tmp_path / "x.pkl") == {"a": [1, 2.5, "b"]}


@pytest.mark.parametrize("source", [io.BytesIO(b"N."), 5, None], ids=["file object", "descriptor", "nothing"])
def test_what_is_neither_a_path_nor_bytes_is_not_opened(source: object) -> None:
    for verb in (scan, read_legacy):
        with pytest.raises(UsageError, match="expected a path or bytes"):
            verb(source)  # type: ignore[operator]  # as a user may
