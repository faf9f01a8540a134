"""A network behind a fitted ColumnTransformer of scikit-learn: saved whole, loaded without scikit-learn."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import modelcrate as mc
from modelcrate.errors import UsageError
from modelcrate.inference import Column
from scikit_portable import build

FIXTURE = Path(__file__).parents[1] / "tabular" / "preprocessing" / "fixtures" / "scikit-1.9.1.json"
CASES = {case["name"]: case for case in json.loads(FIXTURE.read_text())["cases"]}


@pytest.fixture
def columns(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, pd.DataFrame, np.ndarray]:
    """A stand-in for the fitted object, a raw batch, and what scikit-learn made of it."""
    package = types.ModuleType("sklearn")
    package.__version__ = "1.9.1"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sklearn", package)
    case = CASES["columns, remainder drop"]
    run = case["runs"][1]
    frame = pd.DataFrame({name: build(cells) for name, cells in run["batch"]["columns"]})
    return build(case["fitted"]), frame, build(run["wanted"])


def test_names_kinds_and_numbers_come_from_the_fitted_object(tmp_path, columns):
    fitted, frame, wanted = columns
    torch.manual_seed(0)
    model, path = nn.Linear(wanted.shape[1], 2), tmp_path / "package.crate"
    mc.save_inference(path, model, preprocessing=fitted, class_names=["no", "yes"])
    package = mc.load_inference(path)
    assert package.preprocess(frame).tolist() == torch.tensor(wanted).float().tolist()
    assert package.input_schema is not None
    assert package.input_schema.columns == (
        Column(name="age", dtype="number", missing=True),
        Column(name="income", dtype="number", missing=True),
        Column(name="height", dtype="any", missing=True, required=False),
        Column(name="colour", dtype="any", missing=True),
        Column(name="city", dtype="any", missing=True),
        Column(name="id", dtype="any", missing=True, required=False),
    )
    with torch.no_grad():
        chances = torch.softmax(model(torch.tensor(wanted).float()), 1)
    np.testing.assert_array_equal(package.predict_proba(frame.drop(columns=["id", "height"])), chances)
    with pytest.raises(UsageError, match="column 'income' is missing"):
        package.predict(frame.drop(columns="income"))


def test_a_frame_beside_it_gives_the_dtypes(tmp_path, columns):
    fitted, frame, wanted = columns
    path = tmp_path / "package.crate"
    mc.save_inference(
        path, nn.Linear(wanted.shape[1], 1), preprocessing=fitted, input_schema=frame[frame.columns[::-1]]
    )
    package = mc.load_inference(path)
    assert package.preprocess(frame).tolist() == torch.tensor(wanted).float().tolist()
    assert [(it.name, it.dtype) for it in package.input_schema.columns][:3] == [
        ("age", "int64"), ("income", "float64"), ("height", "float32"),
    ]  # fmt: skip
    with pytest.raises(UsageError, match=r"column 'age': holds 0\.5 in row 0, expected int64"):
        package.predict(frame.assign(age=0.5))


def test_loading_and_predicting_import_no_scikit(tmp_path, columns):
    fitted, frame, wanted = columns
    path, rows = tmp_path / "package.crate", tmp_path / "rows.json"
    mc.save_inference(path, nn.Linear(wanted.shape[1], 1), preprocessing=fitted)
    frame.to_json(rows)
    program = (
        "import sys, pandas, modelcrate\n"
        "package = modelcrate.load_inference(sys.argv[1])\n"
        "print(len(package.predict(pandas.read_json(sys.argv[2]))), 'sklearn' in sys.modules)"
    )
    source = str(Path(mc.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", program, str(path), str(rows)],
        capture_output=True, text=True, check=False, env={"PYTHONPATH": source},
    )  # fmt: skip
    assert (done.stdout.split(), done.stderr) == ([str(len(frame)), "False"], "")
