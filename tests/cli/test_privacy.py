"""``inspect --privacy`` and ``convert --redact`` as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modelcrate.cli.main import main

CORPUS = Path(__file__).resolve().parent.parent / "corpus"
MIXED = str(next((CORPUS / "ctgan" / "0_12_1_mixed").glob("model.*")))


def test_a_legacy_file_is_told_with_its_proof(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--privacy", MIXED]) == 0
    shown = capsys.readouterr()
    assert "2800 categorical cells of the training table, row by row" in shown.out
    assert "'red'" in shown.out
    assert "weights" in shown.err


def test_a_crate_tells_no_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", MIXED, str(tmp_path / "a.crate")]) == 0
    assert "discloses what the crate does not: 2800 categorical cells" in capsys.readouterr().err
    assert main(["inspect", "--privacy", "--json", str(tmp_path / "a.crate")]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["beyond"] == []
    assert {"component", "column", "kind", "count", "nbytes", "examples"} == set(report["learnt"][0])


def test_a_redaction_says_what_sampling_loses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "a.crate"
    assert main(["convert", MIXED, str(target), "--redact", "rare-categories=20/700"]) == 0
    assert "they can't be asked for" in capsys.readouterr().err
    assert main(["convert", MIXED, str(tmp_path / "b.crate"), "--redact", "names"]) == 2
    assert "'names' is nothing that can be taken out" in capsys.readouterr().err
    assert not (tmp_path / "b.crate").exists()
