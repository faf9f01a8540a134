"""``inspect`` says which models the original samples in another way than it was asked to, or from its training rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelcrate.cli.main import main

CORPUS = Path(__file__).resolve().parent.parent / "corpus"
WRONG = "the original asks for the wrong category"
ROWS = "the original draws on its training rows"


@pytest.mark.parametrize(
    ("name", "told", "untold"),
    [
        ("ctgan/0_12_1_mixed", WRONG, ROWS),  # four discrete columns
        ("ctgan/0_12_1_random_state", None, WRONG),  # one alone is always the first
        ("ctgan/0_12_1_tvae_mixed", None, WRONG),  # conditions are met by drawing again
        ("ctgan/0_7_5_mixed", "with conditions only: all other rows " + ROWS, "not possible"),
        ("sdv17/ctgan", "not possible: " + ROWS, WRONG),
        ("actgan/mixed", None, ROWS),
    ],
)
def test_where_a_replay_is_not_what_was_asked_for(
    name: str, told: str | None, untold: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(next((CORPUS / name).glob("model.*")))
    assert main(["convert", model, str(tmp_path / "m.crate")]) == 0
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "m.crate")]) == 0
    shown = capsys.readouterr().out
    assert (told or "") in shown
    assert untold not in shown
    assert ("\nreplay\n" in shown) is (told is not None)
