"""Files of sdv 0.17: what is carried, what is left out and named, and what is refused rather than guessed."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import modelcrate
import parity
from modelcrate.errors import FormatError, ModelcrateError, UnsupportedError, UsageError
from modelcrate.legacy.convert import FAMILIES
from modelcrate.legacy.families import copulas, sdv17
from modelcrate.legacy.families.gretel_actgan import Translation
from modelcrate.legacy.graph import Call, Dict
from modelcrate.legacy.reader import read_for_conversion
from modelcrate.legacy.view import View
from modelcrate.tabular.copula.distribution import Quantiles
from modelcrate.tabular.fields import Field
from modelcrate.tabular.identifiers import Identifiers

pytestmark = pytest.mark.usefixtures("one_thread")
ROOT = Path(__file__).resolve().parents[3]
CORPUS = ROOT / "tests" / "corpus"
CASES = parity.cases(CORPUS, "sdv17")
FROM_ROWS = ("copulagan", "ctgan", "ctgan_constraints")
"""Their core draws the category of each row from a random training row."""
KERNELS = ("copula_kernel", "copulagan_kernel")
"""A kernel estimate is its training column."""
COPULAS = [name for name in CASES if name.startswith("copula_")]


@pytest.fixture(scope="module")
def crate_of(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdv17")

    def converted(name: str) -> Path:
        crate = folder / f"{name}.crate"
        if not crate.exists():
            modelcrate.convert(CASES[name][0] / "model.pkl.xz", crate)
        return crate

    return converted


def root(name: str) -> View:
    return read_for_conversion(CASES[name][0] / "model.pkl.xz", name="model").root


def translate(view: View) -> Translation:
    return FAMILIES[view.class_name or ""](view)


def parts_of(found: Translation) -> dict:
    return {part.name: part for part in found.components}


def inner(view: View, *names: str) -> View:
    for name in names:
        view = view.attributes(view.class_name or "")[name]
    return view


def replace(view: View, **attributes: object) -> None:
    """Change an object's attributes in place."""
    assert isinstance(view.node, Call)
    state = view.node.states[0]
    assert isinstance(state, Dict)
    state.pairs[:] = [(key, attributes.pop(key, value)) for key, value in state.pairs]
    state.pairs += list(attributes.items())


def arrays(node: object) -> Iterator[np.ndarray]:
    if isinstance(node, np.ndarray):
        yield node
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        yield from arrays(child)


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_cell_and_every_array_is_the_original_s(name, tmp_path):
    folder, case = CASES[name]
    scores = parity.score_sdv17(folder, case, tmp_path)
    expected = {path.stem for path in (folder / "golden").glob("*.csv")}
    if name in (*FROM_ROWS, *KERNELS):
        expected = {golden for golden in expected if not golden.startswith("sample")}
    if (folder / "golden" / "arrays.npz").exists():
        with np.load(folder / "golden" / "arrays.npz") as held:
            expected |= set(held.files)
    assert set(scores) == expected
    for golden, score in scores.items():
        assert score.problems == [], golden
        assert score.cells > 0
        assert score.equal == score.cells or score.worst <= 1e-9, (golden, score.worst_at)


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_part_is_there_with_its_settings(name):
    found = translate(root(name))
    networks = {"generator", "transformer", "sampler", "table"}
    assert set(parts_of(found)) == ({"joint", "table"} if name in COPULAS else networks)
    assert json.loads(json.dumps(found.hyperparameters)) == found.hyperparameters
    assert found.hyperparameters["training_rows"] in (150, 300, 320, 600)
    assert found.versions["sdv"] == "0.17.2"


@pytest.mark.parametrize("name", sorted(CASES))
def test_D24_no_array_is_as_long_as_the_training_table(name):
    found = translate(root(name))
    rows = found.hyperparameters["training_rows"]
    for part in found.components:
        for array in arrays(part.state or {}):
            assert max(array.shape, default=0) < rows, part.name


@pytest.mark.parametrize("name", ["ctgan", "ctgan_constraints", "copulagan", "copulagan_numbers"])
def test_D24_a_training_table_in_the_file_is_left_out_and_said_in_one_line(name, crate_of):
    found = translate(root(name))
    assert "the transformed training table" in {omission.what for omission in found.omitted}
    said = [note for note in found.notes if "whole training table" in note]
    assert len(said) == 1
    assert "\n" not in said[0]
    assert crate_of(name).stat().st_size < CASES[name][1]["bytes"] / 2


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_crate_is_smaller_than_its_file(name, crate_of):
    assert crate_of(name).stat().st_size < CASES[name][1]["bytes"]


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_loaded_model_saves_to_the_same_model(name, crate_of, tmp_path):
    model = modelcrate.load(crate_of(name))
    modelcrate.save(model, tmp_path / "again.crate")
    again = modelcrate.load(tmp_path / "again.crate")
    assert again.sample(40, seed=9).equals(model.sample(40, seed=9))
    assert again.derived() == model.derived()
    assert model.derived()


@pytest.mark.parametrize("name", sorted(CASES))
def test_plain_samples_have_the_training_dtypes_and_obey_constraints(name, crate_of):
    model = modelcrate.load(crate_of(name))
    rows = model.sample(300, seed=2)
    assert len(rows) == 300
    assert tuple(rows.columns) == model.columns
    assert len(model.table.constraints.filter_valid(rows)) == 300
    if model.table.has_constraints:
        assert bool((rows["low"] <= rows["high"]).all())


@pytest.mark.parametrize("name", sorted(name for name in CASES if CASES[name][1]["conditions"]))
def test_conditions_are_met(name, crate_of):
    model = modelcrate.load(crate_of(name))
    for asked in CASES[name][1]["conditions"]:
        known = asked["column_values"]
        if known == {"colour": "blue", "kids": 3}:
            known = {"colour": "blue"}
        rows = model.sample(asked["num_rows"], conditions=known, seed=4)
        assert len(rows) == asked["num_rows"]
        for column, value in known.items():
            assert set(rows[column]) == {value}


@pytest.mark.parametrize("name", [*FROM_ROWS, *KERNELS])
def test_what_draws_on_training_rows_can_t_be_replayed_and_says_why(name, crate_of):
    model = modelcrate.load(crate_of(name))
    with pytest.raises(UnsupportedError, match="training rows, which a crate does not hold"):
        model.sample(10, replay=1)
    with pytest.raises(UnsupportedError, match="training rows"):
        model.sample(10, replay="fixed")
    assert any("can't be replayed" in note for note in translate(root(name)).notes)


@pytest.mark.parametrize("name", FROM_ROWS)
def test_categories_are_asked_for_as_often_as_they_are_in_the_training_table(name, crate_of):
    """A chi-square test of 100,000 requests against the counts in the file's own table, at one in a million."""
    sampler = modelcrate.load(crate_of(name)).core.sampler
    matrix = inner(root(name), "_model", "_data_sampler", "_data").array()
    transformer = parts_of(translate(root(name)))["transformer"].state
    shares: list[float] = []
    start = 0
    for column in transformer["columns"]:
        one_hot = column["encoding"]["type"] == "one_hot"
        width = len(column["encoding"]["categories"]) if one_hot else 1 + int(column["encoding"]["used"].sum())
        if one_hot:
            shares += list(matrix[:, start : start + width].mean(axis=0))
        start += width
    assert start == matrix.shape[1]
    chances = np.array(shares) / len(sampler.columns)
    rows = 100_000
    counts = sampler.vectors(np.random.default_rng(13).random(rows)).sum(axis=0)
    statistic = float(((counts - rows * chances) ** 2 / (rows * chances)).sum())
    freedom = len(chances) - 1
    assert statistic < freedom + 5 * np.sqrt(2 * freedom) + 15


def test_quantiles_of_a_kernel_estimate_are_those_of_its_mixture_and_far_fewer_than_rows():
    """Each quantile put into the mixture of kernels that the file holds gives its score back."""
    view = root("copula_kernel")
    joint = parts_of(translate(view))["joint"].state
    (place,) = [at for at, column in enumerate(joint["columns"]) if column["distribution"]["type"] == "quantiles"]
    found = joint["columns"][place]["distribution"]
    univariate = inner(view, "_model", "univariates").items()[place]
    estimate = univariate.attributes(univariate.class_name or "")["_model"]
    estimate = estimate.attributes(estimate.class_name or "")
    centres, spread = estimate["dataset"].array()[0], float(np.sqrt(estimate["covariance"].array()[0, 0]))
    assert 4 * len(found["values"]) <= len(centres)
    assert not set(found["values"]) & set(centres)
    points = torch.from_numpy((found["values"][:, None] - centres[None]) / spread)
    reached = torch.special.ndtr(points).mean(dim=1)
    np.testing.assert_allclose(torch.special.ndtri(reached), found["scores"], atol=1e-6)
    between = Quantiles(at=found["scores"], found=found["values"]).values(np.linspace(-3, 3, 200))
    points = torch.from_numpy((between[:, None] - centres[None]) / spread)
    reached = torch.special.ndtri(torch.special.ndtr(points).mean(dim=1))
    np.testing.assert_allclose(reached, np.linspace(-3, 3, 200), atol=0.03)


def test_a_kernel_estimate_is_named_as_left_out():
    found = translate(root("copula_kernel"))
    (omission,) = found.omitted
    assert "kernel estimate of the column 'b.value'" in omission.what
    assert "training column" in found.notes[0]
    assert found.model[1]["replay"] is None
    (omission,) = [each for each in translate(root("copulagan_kernel")).omitted if "kernel" in each.what]
    assert omission.what == "the kernel estimate of the column 'b'"


def test_a_summary_of_a_few_rows_is_refused(tmp_path):
    """Of five rows, one quantile for four would be one."""
    (tmp_path / "few.pkl").write_bytes(pickle.dumps({"dataset": np.arange(5.0)[None], "weights": np.full(5, 0.2)}))
    few = read_for_conversion(tmp_path / "few.pkl", name="few").root
    view = root("copula_kernel")
    for univariate in inner(view, "_model", "univariates").items():
        if univariate.class_name == "copulas.univariate.gaussian_kde.GaussianKDE":
            estimate = univariate.attributes(univariate.class_name)["_model"]
            replace(estimate, dataset=few["dataset"].node, _weights=few["weights"].node)
            with pytest.raises(UnsupportedError, match="so few training rows"):
                copulas.distribution(univariate)


PATHS = [
    ("ctgan", (), "model"),
    ("ctgan", ("_model",), "model._model"),
    ("ctgan", ("_metadata",), "model._metadata"),
    ("tvae", ("_model",), "model._model"),
    ("copulagan", ("_hyper_transformer",), "model._hyper_transformer"),
    ("copula_default", (), "model"),
    ("copula_default", ("_model",), "model._model"),
]


@pytest.mark.parametrize(("name", "path", "where"), PATHS)
def test_an_attribute_that_nobody_knows_is_refused_by_its_path(name, path, where):
    view = root(name)
    replace(inner(view, *path), _novelty=3)
    with pytest.raises(UnsupportedError, match="'_novelty'") as caught:
        translate(view)
    assert caught.value.where == where


def test_an_unknown_attribute_or_class_of_a_distribution_is_refused_by_its_path():
    view = root("copula_default")
    replace(inner(view, "_model", "univariates").items()[2], _novelty=3)
    with pytest.raises(UnsupportedError, match="'_novelty'") as caught:
        translate(view)
    assert caught.value.where == "model._model.univariates[2]"
    view = root("copula_default")
    replace(inner(view, "_model"), univariates=[inner(view, "_metadata").node])
    with pytest.raises(UnsupportedError, match=r"a distribution of class sdv\.metadata") as caught:
        translate(view)
    assert caught.value.where == "model._model.univariates[0]"


@pytest.mark.parametrize("name", ["ctgan_constraints", "tvae", "copulagan_numbers", "copula_default"])
@pytest.mark.parametrize("path", [(), ("_model",), ("_metadata",)])
def test_C27_junk_in_any_attribute_ends_in_an_error_of_ours_or_in_a_model(name, path):
    view = root(name)
    changed = inner(view, *path)
    held = changed.attributes(changed.class_name or "")
    before = {attribute: held[attribute].node for attribute in held.names()}
    for attribute, node in before.items():
        for junk in (None, 2**70, [], Dict([])):
            replace(changed, **{attribute: junk})
            with contextlib.suppress(ModelcrateError):
                translate(view)
        replace(changed, **{attribute: node})


def test_a_copula_whose_parts_contradict_each_other_is_refused():
    view = root("copula_default")
    columns = inner(view, "_model", "columns")
    replace(inner(view, "_model"), columns=list(reversed(columns.node)))
    with pytest.raises(FormatError, match="correlations"):
        translate(view)
    view = root("copula_default")
    replace(inner(view, "_model"), univariates=inner(view, "_model", "univariates").node[1:])
    with pytest.raises(FormatError, match="one distribution for each column"):
        translate(view)


def test_models_that_were_not_fitted_are_refused():
    for name in ("ctgan", "tvae", "copulagan", "copula_default"):
        view = root(name)
        replace(view, _model=None)
        with pytest.raises(UnsupportedError, match="not fitted"):
            translate(view)


@pytest.mark.parametrize("name", ["copula_default", "tvae"])
def test_a_key_has_enough_texts_for_the_rows_that_are_wanted_not_for_those_made_at_once(name, crate_of):
    model = modelcrate.load(crate_of(name))
    key = Field(
        name="key", kind="key", whole=False, dtype=np.dtype(object), identifiers=Identifiers(pattern="[a-c][0-9]"),
        anonymiser=None,
    )  # fmt: skip
    model.table = dataclasses.replace(model.table, fields=(*model.table.fields, key))
    rows = model.sample(30, seed=1)
    assert sorted(rows["key"]) == [f"{letter}{digit}" for letter in "abc" for digit in range(10)]
    with pytest.raises(UsageError, match="30 different identifiers, fewer than 31"):
        model.sample(31, seed=1)


def test_a_fitted_column_that_is_refused_is_named():
    view = root("copula_default")
    item = inner(view, "_metadata", "_hyper_transformer", "_transformers_sequence").items()[0]
    (name,) = (column.text() for column in inner(item, "columns").items())
    replace(item, hook=1)
    with pytest.raises(UnsupportedError, match=f"column '{name}': the attribute 'hook'"):
        translate(view)


def test_a_transformer_of_no_column_is_refused():
    view = root("copula_dtypes")
    (item,) = (
        item
        for item in inner(view, "_metadata", "_hyper_transformer", "_transformers_sequence").items()
        if [column.text() for column in inner(item, "columns").items()] == ["amount.component"]
    )
    replace(item, columns=["another"])
    with pytest.raises(FormatError, match="a transformer of 'another', which is no column"):
        translate(view)


def test_a_condition_on_an_unseen_category_is_an_error(crate_of):
    for name in ("ctgan", "copula_one_hot"):
        with pytest.raises(UsageError, match="'mauve' does not occur in the training data"):
            modelcrate.load(crate_of(name)).sample(3, conditions={"colour": "mauve"}, seed=1)


def test_all_four_kinds_are_known():
    assert set(sdv17.TRANSLATORS) <= set(FAMILIES)
    kinds = {case["kind"] for _, case in CASES.values()}
    assert {name.rpartition(".")[2] for name in sdv17.TRANSLATORS} == kinds
