"""Fitted scikit-learn objects beside a network in a torch file load as what applies them, without scikit-learn."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import modelcrate
from modelcrate.crate_writer import write_crate
from modelcrate.errors import FormatError, UsageError
from modelcrate.inference.fitted import Preprocessing
from modelcrate.parts import VALUES
from modelcrate.tabular.preprocessing import Standardise
from modelcrate.values_parts import values_component

NAMES = np.array(["age", "height"], dtype=object)
FITTED = {
    "with_mean": True, "with_std": True, "mean_": np.array([40.0, 1.7]), "scale_": np.array([10.0, 0.25]),
    "n_features_in_": 2, "feature_names_in_": NAMES, "_sklearn_version": "1.3.2",
}  # fmt: skip


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An inference dict as it is written by those who have no better way: network, scaler, class names."""
    module: Any = types.ModuleType("sklearn.preprocessing._data")
    made = {}
    for kind in ("StandardScaler", "PowerTransformer"):
        made[kind] = type(kind, (), {"__module__": module.__name__})
        setattr(module, kind, made[kind])
    with monkeypatch.context() as patch:
        for name in ("sklearn", "sklearn.preprocessing", module.__name__):
            patch.setitem(sys.modules, name, module)
        scaler, other = made["StandardScaler"](), made["PowerTransformer"]()
        vars(scaler).update(FITTED)
        value = {"model": nn.Linear(2, 2), "steps": [scaler], "other": other, "class_names": ["no", "yes"]}
        torch.save(value, tmp_path / "m.pt")
    return tmp_path / "m.pt"


@pytest.fixture
def loaded(file: Path) -> dict[str, Any]:
    conversion = modelcrate.convert(file, file.with_suffix(".crate"))
    assert [one.what for one in conversion.omitted] == ["an object of sklearn.preprocessing._data.PowerTransformer"]
    assert any("StandardScaler" in note for note in conversion.notes)
    found: dict[str, Any] = modelcrate.load(file.with_suffix(".crate"))
    return found


PEOPLE = pd.DataFrame({"height": [1.95, 1.7], "age": [50, 20]})
SCALED = [[1.0, 1.0], [-2.0, 0.0]]


def test_a_scaler_is_an_object_that_scales(loaded):
    scaler = loaded["steps"][0]
    np.testing.assert_allclose(scaler.transform(PEOPLE), SCALED, atol=1e-12)
    np.testing.assert_allclose(scaler.transform(PEOPLE[["age", "height"]].to_numpy()), SCALED, atol=1e-12)
    assert loaded["other"] is None
    assert loaded["class_names"] == ["no", "yes"]


def test_a_batch_that_does_not_fit_is_refused_by_column(loaded):
    with pytest.raises(UsageError, match="'height' is missing"):
        loaded["steps"][0].transform(PEOPLE[["age"]])


def test_an_inference_package_takes_it_as_it_is(loaded, tmp_path):
    scaler, network = loaded["steps"][0], loaded["model"]
    package = tmp_path / "package.crate"
    modelcrate.save_inference(package, network, preprocessing=scaler, class_names=loaded["class_names"])
    fed = modelcrate.load_inference(package).preprocess(PEOPLE)
    np.testing.assert_allclose(fed.numpy(), SCALED, atol=1e-6)


@pytest.mark.parametrize(
    "config", [{"columns": ["a"]}, {"columns": ["a", "a"]}, {"columns": [1, 2]}, {"columns": "ab"}, {"other": 1}]
)
def test_a_config_that_is_none_is_refused(config, tmp_path):
    step = Standardise(width=2, centre=np.array([1.0, 2.0]), scale=np.array([1.0, 2.0]))
    part = Preprocessing(step).component("scaler")
    object.__setattr__(part, "config", config)
    main = values_component({"scaler": None}, VALUES, parts={"scaler": ("scaler",)}, where="value")
    write_crate(tmp_path / "m.crate", components=[main, part], model=(VALUES, {}))
    with pytest.raises(FormatError):
        modelcrate.load(tmp_path / "m.crate")
