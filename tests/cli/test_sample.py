"""``modelcrate sample``: counts, shards, streamed files that are whole or not there, and what it says meanwhile."""

from __future__ import annotations

import gzip
import io
import os
import pty
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import modelcrate
from modelcrate.cli.main import main
from modelcrate.cli.rows import RowWriter
from modelcrate.cli.sample import _known_columns
from modelcrate.errors import UnsupportedError
from modelcrate.tabular import rejection

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests" / "corpus" / "actgan"


@pytest.fixture(scope="module")
def crate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crates")

    def made(name):
        path = folder / f"{name}.crate"
        if not path.exists():
            modelcrate.convert(CORPUS / name / "model.pkl", path)
        return str(path)

    return made


def read(capsys):
    out, errors = capsys.readouterr()
    return pd.read_csv(io.StringIO(out)), errors


def test_counts_are_an_object_and_its_keys_are_read_as_values_are(crate, capsys):
    line = ["sample", crate("mixed"), "--seed", "1", "--condition"]
    assert main([*line, 'colour={"green": 3, "red": 2}', "--condition", "vip=true"]) == 0
    found, errors = read(capsys)
    assert found["colour"].tolist() == ["green"] * 3 + ["red"] * 2
    assert found["vip"].tolist() == [True] * 5
    assert errors == ""
    assert main([*line, 'vip={"true": 2, "false": 1}']) == 0
    assert read(capsys)[0]["vip"].tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "how many rows"),
        (["--condition", "colour=red"], "how many rows"),
        (["-n", "5", "--condition", 'colour={"red": 5}'], "in one of these ways"),
        (["--condition", 'colour={"red": -5}'], "numbers of rows"),
        (["--condition", 'colour={"red": true}'], "numbers of rows"),
        (["--condition", "colour={}"], "numbers of rows"),
        (["--condition", 'age={"1": 2, "1.0": 3}'], "same cell twice"),
        (["-n", "5", "--condition", "colour=red", "--condition", "colour=green"], "two values for one column"),
        (["--known", "http://127.0.0.1:9/known.csv"], "can't read the known columns"),
        (["--known", "s3://bucket/known.csv"], "can't read the known columns"),
        (["--condition", 'colour={"red": 1}', "--condition", 'vip={"true": 1}'], "cells meet"),
        (["-n", "5", "--condition", "color=red"], "did you mean 'colour'"),
        (["-n", "5", "--condition", "colour=gren"], "did you mean 'green'"),
        (["-n", "5", "--shard", "2/8"], "one seed"),
        (["-n", "5", "--seed", "1", "--shard", "9/8"], "numbered from 1"),
        (["-n", "5", "--seed", "1", "--shard", "two"], "expected a part"),
        (["-n", "5", "--replay", "1", "--shard", "1/2"], "not both"),
    ],
)
def test_J16_wrong_arguments_are_one_line_and_leave_no_file(crate, tmp_path, capsys, arguments, message):
    target = tmp_path / "rows.csv"
    try:
        code = main(["sample", crate("mixed"), "-o", str(target), *arguments])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_shards_are_the_parts_of_the_whole(crate, capsys):
    line = ["sample", crate("key_int"), "-n", "3000", "--seed", "4"]
    texts = []
    for more in (["--shard", "1/2"], ["--shard", "2/2"], []):
        assert main([*line, *more]) == 0
        texts.append(capsys.readouterr().out.splitlines())
    assert texts[0] + texts[1][1:] == texts[2]


def test_too_few_rows_are_a_warning_of_one_line(crate, capsys, monkeypatch):
    monkeypatch.setattr(rejection, "PATIENCE", 2000)
    known = pd.DataFrame({"age": [1000, 30], "colour": ["red", "red"]})
    path = Path(crate("mixed")).with_name("known.csv")
    known.to_csv(path, index=False)
    assert main(["sample", crate("mixed"), "--known", str(path), "--seed", "1"]) == 0
    found, errors = read(capsys)
    assert found["age"].tolist() == [30]
    assert errors.count("\n") == 1
    assert errors.startswith("warning: only 1 of 2 rows")


def test_H8_a_table_of_known_columns_is_read_as_it_is(crate, tmp_path, capsys):
    """pandas would unpack it for its name: a small file then takes any amount of memory."""
    packed = tmp_path / "known.csv.gz"
    packed.write_bytes(gzip.compress(b"colour\nred\n"))
    assert main(["sample", crate("mixed"), "--known", str(packed), "--seed", "1"]) == 2
    assert "known columns" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="signals and terminals are those of POSIX")
@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_J16_ctrl_c_leaves_no_file_and_a_terminal_shows_progress(crate, tmp_path, name):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    terminal, side = pty.openpty()
    line = [sys.executable, "-m", "modelcrate", "sample", crate("key_int"), "-n", "900000000", "-o", name]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(line, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=side)
    os.close(side)
    shown = b""
    deadline = time.monotonic() + 120
    os.set_blocking(terminal, False)
    while b"sampling" not in shown and time.monotonic() < deadline:
        shown += _waiting(terminal)
        time.sleep(0.05)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    shown += _waiting(terminal)
    os.close(terminal)
    assert process.returncode == 130
    assert b"sampling" in shown
    assert b"900000000" in shown
    assert b"interrupted" in shown
    assert b"Traceback" not in shown
    assert out == b""
    assert list(tmp_path.iterdir()) == []


def _waiting(terminal):
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # nothing there yet, or nobody any more
        return b""


# -- Parquet


def test_parquet_of_several_frames_has_the_dtypes_of_the_first(tmp_path):
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    first = pd.DataFrame({"a": [1, 2], "b": np.array([None, None], dtype=object), "c": [0.5, 1.5]})
    second = pd.DataFrame({"a": [3.0, np.nan], "b": np.array(["x", None], dtype=object), "c": [2, 3]})
    with RowWriter(tmp_path / "rows.parquet", stdout=io.StringIO()) as writer:
        writer.write(first)
        writer.write(second)
    found = pd.read_parquet(tmp_path / "rows.parquet")
    assert found["a"].tolist()[:3] == [1, 2, 3]
    assert found["b"].isna().tolist() == [True, True, False, True]
    assert found["c"].tolist() == [0.5, 1.5, 2.0, 3.0]


def test_cells_that_parquet_has_no_type_for_are_an_error_and_no_file(tmp_path):
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    mixed = pd.DataFrame({"a": np.array(["x", 1, 2.5], dtype=object)})
    with (
        pytest.raises(UnsupportedError, match=r"no type.*\.csv"),
        RowWriter(tmp_path / "rows.parquet", stdout=io.StringIO()) as writer,
    ):
        writer.write(mixed)
    assert list(tmp_path.iterdir()) == []


def test_a_terminal_gets_escaped_cells_and_a_pipe_the_very_texts() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    frame = pd.DataFrame({"a\x1b[2J": ["\x1b]0;owned\x07", "é\u202e"], "n": [1, 2]})
    shown: list[str] = []
    for stdout in (Terminal(), io.StringIO()):
        with RowWriter(None, stdout=stdout) as writer:
            writer.write(frame)
        shown.append(stdout.getvalue())
    assert shown == ["a\\x1b[2J,n\n\\x1b]0;owned\\x07,1\né\\u202e,2\n", "a\x1b[2J,n\n\x1b]0;owned\x07,1\né\u202e,2\n"]


def test_a_pipe_gets_utf_8_whatever_the_locale_is() -> None:
    raw = io.BytesIO()
    stdout = io.TextIOWrapper(raw, encoding="ascii", errors="backslashreplace")
    with RowWriter(None, stdout=stdout) as writer:
        writer.write(pd.DataFrame({"ключ": ["東京"]}))
    stdout.flush()
    assert raw.getvalue().decode() == "ключ\n東京\n"


def test_a_table_of_known_columns_keeps_texts_that_look_like_something_else(tmp_path):
    path = tmp_path / "known.csv"
    path.write_text("code,country,age\n007,NA,40\n,None,41\n")
    held = types.SimpleNamespace(text_columns=frozenset({"code", "country", "name"}))
    found = _known_columns(str(path), held)
    assert found["code"].tolist()[0] == "007"
    assert pd.isna(found["code"].tolist()[1])
    assert found["country"].tolist() == ["NA", "None"]
    assert found["age"].tolist() == [40, 41]


def test_the_columns_of_texts_are_those_without_any_other_cell(crate):
    assert modelcrate.load(crate("mixed")).text_columns == {"state", "colour"}
