"""CTGAN and TVAE files: what is carried, what is left out and named, and what is refused rather than guessed."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import modelcrate
from modelcrate.errors import FormatError, ModelcrateError, UnsupportedError
from modelcrate.legacy.convert import FAMILIES
from modelcrate.legacy.families import ctgan, ctgan_02
from modelcrate.legacy.families.ctgan_parts import column_name
from modelcrate.legacy.families.gretel_actgan import Translation
from modelcrate.legacy.graph import Call, Dict
from modelcrate.legacy.reader import read_for_conversion
from modelcrate.legacy.view import View

CORPUS = Path(__file__).resolve().parents[2] / "corpus"
NAMES = sorted(
    case["name"] for case in json.loads((CORPUS / "ctgan" / "index.json").read_text(encoding="utf-8"))["cases"]
)
OLD = CORPUS / "ctgan_old"


def root(name: str) -> View:
    old = OLD / f"{name}.pkl.xz"
    path = old if old.exists() else CORPUS / "ctgan" / name / "model.pt.xz"
    return read_for_conversion(path, name="model").root


def translate(view: View) -> Translation:
    return FAMILIES[view.class_name or ""](view)


def parts_of(found: Translation) -> dict:
    return {part.name: part for part in found.components}


def inner(view: View, *names: str) -> View:
    for name in names:
        view = view.attributes(view.class_name or "")[name]
    return view


def pairs_of(view: View) -> list:
    """The pairs of an object's attributes, to be changed in place."""
    assert isinstance(view.node, Call)
    state = view.node.states[0]
    assert isinstance(state, Dict)
    return state.pairs


def replace(view: View, **attributes: object) -> None:
    pairs = pairs_of(view)
    pairs[:] = [(key, attributes.pop(key, value)) for key, value in pairs]
    pairs += list(attributes.items())


def arrays(node: object) -> list[np.ndarray]:
    if isinstance(node, np.ndarray):
        return [node]
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [found for child in children for found in arrays(child)]


@pytest.mark.parametrize("name", NAMES)
def test_every_part_is_there_with_its_settings(name):
    found = translate(root(name))
    parts = parts_of(found)
    assert set(parts) - {"random_state"} == {"generator", "transformer", "sampler", "table"}
    assert ("random_state" in parts) == ("random_state" in name)
    assert parts["generator"].type == ("ctgan.decoder/1" if "tvae" in name else "ctgan.generator/1")
    assert json.loads(json.dumps(found.hyperparameters)) == found.hyperparameters
    assert found.hyperparameters["epochs"] >= 1
    assert found.hyperparameters["trained_on"] == ("array" if "numpy" in name else "frame")
    fields = [field["name"] for field in parts["table"].state["fields"]]
    assert fields == [column["name"] for column in parts["transformer"].state["columns"]]


@pytest.mark.parametrize("name", [name for name in NAMES if "tvae" not in name])
def test_D24_no_array_is_as_long_as_the_training_table_and_the_rows_are_named_as_left_out(name):
    view = root(name)
    sampler = inner(view, "_data_sampler")
    sampler = sampler.attributes(sampler.class_name or "")
    rows = len(sampler["_data"].array()) if "_data" in sampler else sampler["_data_length"].integer()
    found = translate(view)
    for part in found.components:
        if part.name != "random_state":
            assert all(array.size < rows for array in arrays(part.state or {})), part.name
    left_out = {omission.what: omission.where for omission in found.omitted}
    assert ("the transformed training table" in left_out) == ("_data" in sampler)
    if sampler["_n_discrete_columns"].integer():
        assert left_out["the row numbers of each category"] == "model._data_sampler._rid_by_cat_cols"
    held = [note for note in found.notes if note.startswith("the file held its whole training table")]
    assert len(held) == ("_data" in sampler)


@pytest.mark.parametrize("name", ["0_5_2_mixed", "0_7_5_mixed", "0_12_1_mixed"])
def test_the_crate_is_smaller_than_its_file(name, tmp_path):
    source = CORPUS / "ctgan" / name / "model.pt.xz"
    modelcrate.convert(source, tmp_path / "x.crate")
    index = json.loads((CORPUS / "ctgan" / "index.json").read_text(encoding="utf-8"))
    size = next(case["bytes"] for case in index["cases"] if case["name"] == name)
    assert (tmp_path / "x.crate").stat().st_size < size / 2


def test_the_frequencies_of_new_releases_are_those_in_the_file():
    """Logarithms of counts, each column's adding to one; a column is chosen evenly."""
    view = root("0_12_1_mixed")
    given = inner(view, "_data_sampler", "_discrete_column_category_prob").array()
    cumulative = parts_of(translate(view))["sampler"].state["cumulative"]
    np.testing.assert_allclose(np.diff(cumulative, prepend=0.0), given[given > 0] / len(given), atol=1e-12)


def test_the_frequencies_of_old_releases_are_the_shares_of_their_rows():
    view = root("0_2_1_mixed")
    rows = [item.array() for item in inner(view, "cond_generator", "model").items()]
    sampler = parts_of(translate(view))["sampler"].state
    expected = [
        np.mean(codes == code)
        for codes, column in zip(rows, sampler["columns"], strict=True)
        for code in range(column["categories"])
    ]
    np.testing.assert_allclose(np.diff(sampler["cumulative"], prepend=0.0) * len(rows), expected, atol=1e-12)


@pytest.mark.parametrize("name", ["0_2_1_continuous", "0_5_0_mixed", "0_5_0_tvae", "0_5_1_tvae", "0_12_1_nullable"])
def test_early_releases_and_unusual_dtypes_give_the_original_s_rows(name, tmp_path):
    expected = json.loads((OLD / f"{name}.json").read_text(encoding="utf-8"))
    modelcrate.convert(OLD / f"{name}.pkl.xz", tmp_path / "x.crate")
    model = modelcrate.load(tmp_path / "x.crate")
    known = dict([expected["condition"]]) if expected["condition"] else None
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = model.sample(150, conditions=known, replay=1234)
    finally:
        torch.set_num_threads(before)
    assert list(found.columns) == list(expected["columns"])
    for column, (dtype, cells) in expected["columns"].items():
        assert str(found[column].dtype) == dtype
        if found[column].dtype.kind == "f":
            np.testing.assert_allclose(found[column], cells, rtol=1e-6)
        else:
            wanted = pd.Series(cells, dtype=object)
            assert found[column].isna().equals(wanted.isna())
            assert found[column].dropna().tolist() == wanted.dropna().tolist()


@pytest.mark.parametrize("name", ["0_12_1_tvae_mixed", "0_12_1_random_state", "0_7_5_mixed"])
def test_a_loaded_model_saves_as_the_same_crate_again(name, tmp_path):
    modelcrate.convert(CORPUS / "ctgan" / name / "model.pt.xz", tmp_path / "first.crate")
    first = modelcrate.load(tmp_path / "first.crate")
    modelcrate.save(first, tmp_path / "second.crate")
    second = modelcrate.load(tmp_path / "second.crate")
    assert first.config == second.config
    pd.testing.assert_frame_equal(first.sample(40, seed=2), second.sample(40, seed=2))


def test_release_0_2_gives_rows_and_names_what_it_left_out(tmp_path):
    done = modelcrate.convert(OLD / "0_2_1_mixed.pkl.xz", tmp_path / "x.crate")
    assert [omission.what for omission in done.omitted] == ["the categories of each training row"]
    found = modelcrate.load(tmp_path / "x.crate").sample(500, seed=1)
    assert list(found.columns) == ["a", "x", "f", "c", "b", "k"]
    assert set(found["c"]) <= {"red", "green", "blue"}
    assert set(found["k"]) <= {10, 20, 30}
    assert set(found.dtypes) == {np.dtype(object)}, "its rows pass through one matrix and stay objects"
    with pytest.raises(UnsupportedError, match="training rows"):
        modelcrate.load(tmp_path / "x.crate").sample(5, replay=1)


@pytest.mark.parametrize(
    ("dtypes", "shared"),
    [(["int64", "int64"], "int64"), (["bool", "int64"], "int64"), (["bool"], "bool"), (["int64", "float64"], "float64"),
     (["int64", "object"], "object"), (["float64", "datetime64[ns]"], "object")],
)  # fmt: skip
def test_all_columns_of_release_0_2_have_the_dtype_of_one_matrix(dtypes, shared):
    assert ctgan_02.shared_dtype([np.dtype(name) for name in dtypes]) == np.dtype(shared)


@pytest.mark.parametrize(
    ("name", "text"), [("a", "a"), (0, "0"), (2.5, "2.5"), (("a", 1), "('a', 1)"), (None, None), ((None,), None)]
)
def test_a_column_s_name_becomes_text_or_is_refused(name, text):
    if text is None:
        with pytest.raises(UnsupportedError, match=r"^model: a column whose name is neither"):
            column_name(name, "model")
    else:
        assert column_name(name, "model") == text


def test_missing_numbers_that_were_never_modelled_are_said_and_not_made_up(tmp_path):
    done = modelcrate.convert(CORPUS / "ctgan" / "0_5_2_nan_continuous" / "model.pt.xz", tmp_path / "x.crate")
    assert any("'m'" in note and "not missing" in note for note in done.notes)
    assert modelcrate.load(tmp_path / "x.crate").sample(300, seed=1)["m"].notna().all()


CHANGES = [
    pytest.param("0_12_1_mixed", (), {"_hook": 1}, r"^model: the attribute '_hook'", id="model-unknown"),
    pytest.param("0_12_1_mixed", ("_transformer",), {"x": 1}, r"_transformer: the attribute 'x'", id="transformer"),
    pytest.param("0_12_1_mixed", ("_data_sampler",), {"x": 1}, r"_data_sampler: the attribute 'x'", id="sampler"),
    pytest.param("0_12_1_mixed", ("_generator",), {"forward": 1}, r"'forward'", id="A36-shadowed-forward"),
    pytest.param("0_12_1_mixed", (), {"_embedding_dim": "8"}, r"_embedding_dim: expected an integer", id="noise-text"),
    pytest.param("0_12_1_mixed", (), {"_batch_size": True}, r"_batch_size: expected an integer", id="batch-bool"),
    pytest.param("0_12_1_mixed", (), {"_generator": None}, r"not fitted", id="no-generator"),
    pytest.param("0_12_1_mixed", (), {"_data_sampler": None}, r"not fitted", id="no-sampler"),
    pytest.param("0_12_1_mixed", ("_data_sampler",), {"_n_categories": 3}, r"sampler's columns", id="D23-count"),
    pytest.param(
        "0_12_1_mixed", ("_transformer",), {"_column_transform_info_list": [7]}, r"\[0\]", id="column-is-a-number"
    ),
    pytest.param("0_12_1_mixed", ("_transformer",), {"_column_raw_dtypes": []}, r"_column_raw_dtypes", id="dtypes"),
    pytest.param("0_12_1_random_state", (), {"_numpy_random_state": ("PCG64", 1, 2, 3, 4)}, r"Twister", id="pcg"),
    pytest.param("0_12_1_random_state", (), {"_torch_random_state": 7}, r"_torch_random_state", id="torch-state"),
    pytest.param("0_12_1_tvae_mixed", (), {"_secret": 1}, r"^model: the attribute '_secret'", id="tvae-unknown"),
    pytest.param("0_12_1_tvae_mixed", ("decoder",), {"x": 1}, r"decoder: the attribute 'x'", id="A36-decoder"),
    pytest.param("0_12_1_tvae_mixed", ("decoder",), {"_parameters": Dict()}, r"without deviations", id="no-sigma"),
    pytest.param("0_12_1_tvae_mixed", (), {"embedding_dim": None}, r"embedding_dim: expected an int", id="tvae-noise"),
    pytest.param("0_2_1_mixed", (), {"x": 1}, r"^model: the attribute 'x'", id="early-unknown"),
    pytest.param("0_2_1_mixed", ("cond_generator",), {"n_opt": 1}, r"sampler's columns", id="early-count"),
    pytest.param("0_2_1_mixed", ("cond_generator",), {"model": []}, r"one list per", id="early-rows"),
    pytest.param("0_2_1_mixed", ("transformer",), {"meta": [3]}, r"meta\[0\]: expected a mapping", id="early-meta"),
]


@pytest.mark.parametrize(("name", "where", "attributes", "message"), CHANGES)
def test_what_is_not_understood_is_refused_by_its_path(name, where, attributes, message):
    view = root(name)
    replace(inner(view, *where), **attributes)
    with pytest.raises((FormatError, UnsupportedError), match=message):
        translate(view)


@pytest.mark.parametrize(("name", "network"), [("0_12_1_mixed", "_generator"), ("0_12_1_tvae_mixed", "decoder")])
def test_A36_a_network_with_hooks_is_refused(name, network):
    view = root(name)
    hooks = Dict()
    hooks.pairs.append((1, "hook"))
    replace(inner(view, network), _forward_hooks=hooks)
    with pytest.raises(UnsupportedError, match="hooks"):
        translate(view)


def test_D23_a_decoder_with_too_few_deviations_is_refused():
    view = root("0_12_1_tvae_mixed")
    layer = inner(view, "decoder", "_modules").mapping()["seq"]
    bias = inner(inner(layer, "_modules").mapping()["0"], "_parameters").mapping()["bias"]
    held = Dict()
    held.pairs.append(("sigma", bias.node))
    replace(inner(view, "decoder"), _parameters=held)
    with pytest.raises(FormatError, match="one deviation for each"):
        translate(view)


def test_D23_a_network_that_does_not_fit_its_transformer_is_refused(tmp_path, monkeypatch):
    """Each part is well formed; only their widths contradict each other."""

    def changed(view: View) -> Translation:
        replace(view, _embedding_dim=view.attributes(*ctgan.CTGAN)["_embedding_dim"].integer() + 1)
        return ctgan.translate_ctgan(view)

    monkeypatch.setitem(FAMILIES, ctgan.CTGAN[0], changed)
    with pytest.raises(modelcrate.errors.MismatchError, match="width"):
        modelcrate.convert(CORPUS / "ctgan" / "0_12_1_mixed" / "model.pt.xz", tmp_path / "x.crate")
    assert list(tmp_path.iterdir()) == []


JUNK = [lambda: None, lambda: -1, lambda: "x", list, Dict, lambda: (1, 2)]


@pytest.mark.parametrize("name", ["0_12_1_random_state", "0_12_1_tvae_random_state", "0_2_1_mixed"])
def test_every_attribute_replaced_by_junk_is_refused_or_does_not_matter(name):
    """Each attribute of the main objects in turn becomes something else: an error of the tree, or no difference."""
    places = [(), *((part,) for part in ("_transformer", "_data_sampler", "transformer", "decoder", "cond_generator"))]
    view = root(name)
    names = view.attributes(view.class_name or "")
    for turn, where in enumerate(place for place in places if not place or place[0] in names):
        for position in range(len(pairs_of(inner(view, *where)))):
            pairs = pairs_of(inner(view, *where))
            kept = pairs[position]
            pairs[position] = (kept[0], JUNK[(turn + position) % len(JUNK)]())
            with contextlib.suppress(ModelcrateError):
                translate(view)
            pairs[position] = kept


def test_families_are_chosen_by_the_exact_class():
    assert {*ctgan.CTGAN, *ctgan.TVAE, ctgan_02.MODEL} <= set(FAMILIES)
    view = root("0_12_1_mixed")
    assert isinstance(view.node, Call)
    view.node.callee.name = "CTGANPlus"
    assert view.class_name not in FAMILIES
