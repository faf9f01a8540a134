"""The page on sampling: its snippets and its commands run as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pandas as pd

import modelcrate
from modelcrate.cli.main import main

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "sampling.md").read_text(encoding="utf-8")


def test_everything_on_the_page_does_what_it_says(tmp_path, monkeypatch):
    modelcrate.convert(ROOT / "tests" / "corpus" / "actgan" / "mixed" / "model.pkl", tmp_path / "actgan.crate")
    monkeypatch.chdir(tmp_path)
    names = {"synthesizer": modelcrate.load("actgan.crate")}
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert {language for language, _ in blocks} == {"python", "sh"}
    for language, text in blocks:
        if language == "python":
            exec(compile(text, "sampling.md", "exec"), names)  # noqa: S102
        else:
            for line in text.splitlines():
                assert main(shlex.split(line)[1:]) == 0, line
    assert names["rows"]["colour"].tolist() == ["green"] * 10 + ["red"] * 5
    pd.testing.assert_frame_equal(
        pd.concat(names["parts"], ignore_index=True), names["synthesizer"].sample(5000, seed=7)
    )
    assert pd.read_csv("counted.csv")["colour"].value_counts().to_dict() == {"green": 60, "red": 40}
    pd.testing.assert_frame_equal(
        pd.read_csv("part2.csv"), pd.read_csv("rows.csv").iloc[1250:2500].reset_index(drop=True)
    )
