"""The page on sampling: its snippets and its commands run as they stand."""

from __future__ import annotations

import pandas as pd

import modelcrate
import pages
from pages import CORPUS, ROOT

PAGE = ROOT / "docs" / "sampling.md"


def test_everything_on_the_page_does_what_it_says(tmp_path, monkeypatch):
    modelcrate.convert(CORPUS / "actgan" / "mixed" / "model.pkl", tmp_path / "actgan.crate")
    monkeypatch.chdir(tmp_path)
    names = {"synthesizer": modelcrate.load("actgan.crate")}
    assert set(pages.run(PAGE, names).values()) == {0}
    assert names["rows"]["colour"].tolist() == ["green"] * 10 + ["red"] * 5
    pd.testing.assert_frame_equal(
        pd.concat(names["parts"], ignore_index=True), names["synthesizer"].sample(5000, seed=7)
    )
    assert pd.read_csv("counted.csv")["colour"].value_counts().to_dict() == {"green": 60, "red": 40}
    pd.testing.assert_frame_equal(
        pd.read_csv("part2.csv"), pd.read_csv("rows.csv").iloc[1250:2500].reset_index(drop=True)
    )
