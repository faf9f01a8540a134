"""Inference packages: what goes in comes out again, and predicts what the live network predicts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import modelcrate as mc
from modelcrate.errors import UnsupportedError, UsageError
from modelcrate.inference import Column, InferencePackage, TableInput, TensorInput
from modelcrate.nn import registry
from modelcrate.tabular.preprocessing import Chain, Channels, Impute, OneHot, Ordinal, Rescale, Standardise

COLOURS = ["red", "green", "blue"]
PREPARED = {"age": Standardise.of(mean=40, std=8), "colour": OneHot.of(COLOURS)}
PEOPLE = pd.DataFrame({"age": [24, 40, 56, 40], "colour": ["blue", "red", "green", "green"]})
PREPARED_PEOPLE = [[-2.0, 0, 0, 1], [0.0, 1, 0, 0], [2.0, 0, 1, 0], [0.0, 0, 1, 0]]


@pytest.fixture(autouse=True)
def own_table(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    torch.manual_seed(0)
    return


def network(inputs: int = 4, outputs: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, outputs))


def saved(tmp_path: Path, model: nn.Module, **options: Any) -> InferencePackage:
    path = tmp_path / "package.crate"
    mc.save_inference(path, model, overwrite=True, **options)
    assert mc.verify(path).problems == ()
    return mc.load_inference(path)


@pytest.fixture
def people(tmp_path: Path) -> tuple[nn.Module, InferencePackage]:
    model = network()
    package = saved(tmp_path, model, preprocessing=PREPARED, class_names=["a", "b", "c"], input_schema=PEOPLE)
    return model, package


def scores_of(model: nn.Module, rows: Any) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(torch.tensor(rows))


def test_a_classifier_on_a_frame(people):
    model, package = people
    chances = torch.softmax(scores_of(model, PREPARED_PEOPLE), 1).numpy()
    assert package.preprocess(PEOPLE).tolist() == PREPARED_PEOPLE
    np.testing.assert_array_equal(package.predict_proba(PEOPLE), chances)
    assert package.predict(PEOPLE).tolist() == [["a", "b", "c"][place] for place in chances.argmax(1)]
    assert package.class_names == ["a", "b", "c"]
    assert package.input_schema == TableInput(
        columns=(Column(name="age", dtype="int64"), Column(name="colour", dtype="text"))
    )


def test_the_order_of_the_columns_does_not_matter(people):
    _, package = people
    wanted = package.predict_proba(PEOPLE)
    np.testing.assert_array_equal(package.predict_proba(PEOPLE[["colour", "age"]]), wanted)


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["blue", "red", "green", "green"], dtype="category"),
        pd.Series(["blue", "red", "green", "green"], dtype="string"),
        pd.Series(["blue", "red", "green", "green"], dtype=object),
    ],
    ids=["category", "string", "object"],
)
def test_text_may_have_any_of_the_dtypes_that_pandas_has_for_it(people, column):
    _, package = people
    wanted = package.predict_proba(PEOPLE)
    np.testing.assert_array_equal(package.predict_proba(PEOPLE.assign(colour=column)), wanted)
    np.testing.assert_array_equal(package.predict_proba(PEOPLE.astype({"age": "Int64"})), wanted)
    np.testing.assert_array_equal(package.predict_proba(PEOPLE.astype({"age": "int16"})), wanted)


def test_arrays_tensors_and_frames_are_one_batch(tmp_path):
    model = network(2)
    package = saved(
        tmp_path, model, preprocessing={"a": Standardise.of(1, 2), "b": Rescale.of(0, 4)}, task="classification"
    )
    rows = [[1.0, 2.0], [5.0, 4.0], [-1.0, 0.0]]
    wanted = torch.softmax(scores_of(model, [[0.0, 0.5], [2.0, 1.0], [-1.0, 0.0]]), 1).numpy()
    frame = pd.DataFrame(rows, columns=["a", "b"])
    whole = np.array(rows, dtype=np.int64)
    for batch in (
        frame,
        np.array(rows),
        whole,
        torch.tensor(rows),
        torch.tensor(rows).to(torch.bfloat16),
        whole.astype(object),
    ):
        np.testing.assert_array_equal(package.predict_proba(batch), wanted)
    assert package.predict(frame).tolist() == wanted.argmax(1).tolist()


class Watched(nn.Module):
    """Remembers how it was called."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = nn.Linear(width, 1)
        self.calls: list[tuple[int, bool, bool]] = []

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        self.calls.append((len(rows), torch.is_inference_mode_enabled(), self.training))
        return self.layer(rows)


def test_batches_are_bounded_and_run_in_inference_mode(tmp_path):
    mc.architecture("acme.watched/1")(Watched)
    model = Watched(3)
    package = saved(tmp_path, model, input_schema={"a": "float32", "b": "float32", "c": "float32"})
    batch = torch.randn(2500, 3)
    found = package.predict(batch)
    assert found.shape == (2500,)
    np.testing.assert_allclose(found, scores_of(model, batch.tolist()).reshape(-1), rtol=1e-5)
    assert package.network.calls == [(1024, True, False), (1024, True, False), (452, True, False)]
    package.network.calls.clear()
    np.testing.assert_allclose(package.predict(batch, batch_size=2000), found, rtol=1e-5)
    assert [rows for rows, _, _ in package.network.calls] == [2000, 500]
    for size in (0, -1, 2.0, True):
        with pytest.raises(UsageError, match="batch_size"):
            package.predict(batch, batch_size=size)


def test_wide_rows_make_small_batches(tmp_path):
    mc.architecture("acme.watched/1")(Watched)
    package = saved(tmp_path, Watched(1 << 20), input_schema=TensorInput(shape=(1 << 20,)))
    assert package.predict(np.zeros((9, 1 << 20), np.float32)).shape == (9,)
    assert [rows for rows, _, _ in package.network.calls] == [4, 4, 1]


def test_no_rows_give_no_predictions(people):
    _, package = people
    assert package.predict(PEOPLE.iloc[:0]).tolist() == []
    assert package.predict_proba(PEOPLE.iloc[:0]).shape == (0, 3)


def test_the_mode_of_the_live_model_makes_no_difference_and_is_left_alone(tmp_path):
    model = network()
    model[3].eval()
    modes = [part.training for part in model.modules()]
    for name in ("one", "two"):
        mc.save_inference(
            tmp_path / name, model.train() if name == "one" else model.eval(), input_schema=PEOPLE[["age"]]
        )
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert [part.training for part in model.eval().modules()] == [False] * len(modes)
    package = mc.load_inference(tmp_path / "one")
    assert not any(part.training for part in package.network.modules())


def test_a_failed_save_leaves_the_modes_and_no_file(tmp_path):
    model = nn.Sequential(nn.Linear(2, 2), type("Own", (nn.Module,), {})())
    with pytest.raises(UnsupportedError, match="architecture"):
        mc.save_inference(tmp_path / "package.crate", model)
    assert model.training
    assert list(tmp_path.iterdir()) == []


def test_training_state_stays_behind_and_sizes_are_told_by_part(tmp_path):
    model = network()
    scores_of(model, PREPARED_PEOPLE)
    optimizer = torch.optim.Adam(model.parameters())
    model.train()(torch.randn(8, 4)).sum().backward()
    optimizer.step()
    model.optimizer = optimizer
    path = tmp_path / "package.crate"
    manifest = mc.save_inference(path, model, preprocessing=PREPARED, class_names=["a", "b", "c"])
    assert any("optimizer" in omission.where + omission.what for omission in manifest.omitted)
    parts = {part.name: part for part in mc.inspect(path).components}
    assert list(parts) == ["interface", "network", "preprocessing"]
    assert parts["network"].parameters == sum(it.numel() for it in model.state_dict().values())
    assert parts["preprocessing"].state_bytes > 0
    assert parts["preprocessing"].weights_bytes == parts["interface"].weights_bytes == 0
    assert b"exp_avg" not in path.read_bytes()


def test_regression_gives_numbers_in_the_units_of_the_target(tmp_path):
    model = network(1, 1)
    target = Chain.of(Standardise.of(200, 50))
    package = saved(tmp_path, model, preprocessing={"age": Standardise.of(40, 8)}, target=target)
    wanted = scores_of(model, [[-2.0], [0.0], [2.0], [0.0]]).reshape(-1).numpy() * np.float32(50) + np.float32(200)
    given = package.predict(PEOPLE[["age"]])
    assert given.shape == (4,)
    np.testing.assert_array_equal(given, wanted)
    with pytest.raises(UsageError, match="no probabilities"):
        package.predict_proba(PEOPLE[["age"]])


def test_several_numbers_a_row_stay_a_matrix(tmp_path):
    package = saved(tmp_path, network(2, 3), target=Standardise.of([1, 2, 3]), input_schema=TensorInput(shape=(2,)))
    assert package.predict(torch.zeros(5, 2)).shape == (5, 3)
    wrong = saved(tmp_path, network(2, 3), target=Standardise.of([1, 2]), input_schema=TensorInput(shape=(2,)))
    with pytest.raises(UsageError, match=r"gives shape \[5, 3\], the target has 2 columns"):
        wrong.predict(torch.zeros(5, 2))


@pytest.fixture
def fixed() -> nn.Module:
    """Gives its input back as scores."""
    return nn.Identity()


LOG3 = float(np.log(3.0))


@pytest.mark.parametrize(
    ("task", "scores", "row", "chances", "label"),
    [
        ("classification", "logits", [0.0, LOG3], [0.25, 0.75], "yes"),
        ("classification", "probabilities", [0.75, 0.25], [0.75, 0.25], "no"),
        ("classification", "log_probabilities", [float(np.log(0.25)), float(np.log(0.75))], [0.25, 0.75], "yes"),
        ("binary", "logits", [LOG3], [0.25, 0.75], "yes"),
        ("binary", "logits", [-LOG3], [0.75, 0.25], "no"),
        ("binary", "probabilities", [0.25], [0.75, 0.25], "no"),
        ("multilabel", "logits", [LOG3, -LOG3], [0.75, 0.25], [True, False]),
    ],
)
def test_what_scores_mean_is_said_when_saving(tmp_path, fixed, task, scores, row, chances, label):
    package = saved(tmp_path, fixed, task=task, scores=scores, class_names=["no", "yes"])
    batch = torch.tensor([row, row])
    np.testing.assert_allclose(package.predict_proba(batch), [chances, chances], rtol=1e-6)
    assert package.predict(batch).tolist() == [label, label]


def test_labels_keep_their_kind(tmp_path, fixed):
    scores = torch.eye(3)
    assert saved(tmp_path, fixed, class_names=[10, 20, 30]).predict(scores).tolist() == [10, 20, 30]
    assert saved(tmp_path, fixed, class_names=np.array([3, 7, 9])).predict(scores).dtype == np.int64
    assert saved(tmp_path, fixed, class_names=["x", 2, True]).predict(scores).tolist() == ["x", 2, True]
    assert saved(tmp_path, fixed, task="classification").predict(scores).tolist() == [0, 1, 2]


def test_scores_that_are_no_numbers_make_no_label(tmp_path, fixed):
    package = saved(tmp_path, fixed, class_names=["no", "yes"])
    batch = torch.zeros(1500, 2)
    batch[1300, 1] = torch.nan
    with pytest.raises(UsageError, match="scores for row 1300 are not numbers"):
        package.predict(batch)


@pytest.mark.parametrize(
    ("task", "shape", "message"),
    [
        ("classification", (4, 3), "gives 3 scores a row, there are 2 classes"),
        ("classification", (4,), r"gives shape \[4\], expected one score a class"),
        ("multilabel", (4, 3), "gives 3 scores a row, there are 2 classes"),
        ("binary", (4, 2), r"gives shape \[4, 2\], a binary task needs one score a row"),
    ],
)
def test_an_output_that_does_not_fit_the_task_is_refused(tmp_path, fixed, task, shape, message):
    package = saved(tmp_path, fixed, task=task, class_names=["no", "yes"])
    with pytest.raises(UsageError, match=message):
        package.predict(torch.zeros(shape))


def test_images_are_normalised_by_channel(tmp_path):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    step = Channels.of([0.5, 0.4, 0.3], [0.2, 0.3, 0.4], divisor=255, layout="last")
    schema = TensorInput(shape=(8, 9, 3), dtype="uint8")
    package = saved(tmp_path, model, preprocessing=step, input_schema=schema, class_names=["cat", "dog"])
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 9, 3)).astype(np.uint8)
    made = (torch.tensor(images) / 255 - torch.tensor([0.5, 0.4, 0.3])) / torch.tensor([0.2, 0.3, 0.4])
    wanted = torch.softmax(scores_of(model, made.permute(0, 3, 1, 2).tolist()), 1)
    np.testing.assert_allclose(package.predict_proba(images), wanted, rtol=1e-5)
    np.testing.assert_array_equal(package.predict(torch.from_numpy(images)), package.predict(images))
    for wrong, message in (
        (images.astype(np.float32), "expected uint8, found float32"),
        (images.astype(np.int64) + 1000, "a number does not fit into uint8"),
        (images[:, :, :, :1], r"expected shape \(n, 8, 9, 3\), found \[5, 8, 9, 1\]"),
        (PEOPLE, "not a DataFrame"),
    ):
        with pytest.raises(UsageError, match=message):
            package.predict(wrong)


def test_codes_for_an_embedding_are_fed_as_integers(tmp_path):
    model = nn.Sequential(nn.Embedding(3, 4), nn.Flatten(), nn.Linear(4, 2))
    prepared = {"colour": Ordinal.of(COLOURS)}
    package = saved(tmp_path, model, preprocessing=prepared, input_dtype="int64", class_names=["a", "b"])
    wanted = torch.softmax(scores_of(model, [[2], [0], [1], [1]]), 1)
    np.testing.assert_array_equal(package.predict_proba(PEOPLE[["colour"]]), wanted)
    tokens = saved(tmp_path, model, input_schema=TensorInput(shape=(None,), dtype="int64"), class_names=["a", "b"])
    np.testing.assert_array_equal(tokens.predict_proba(np.array([[2], [0], [1], [1]])), wanted)


def test_a_network_in_half_precision_is_fed_its_own_dtype(tmp_path):
    package = saved(
        tmp_path, network(2).to(torch.bfloat16), preprocessing=Standardise.of([0, 0]), task="classification"
    )
    assert package.preprocess(np.zeros((3, 2))).dtype == torch.bfloat16
    assert package.predict_proba(np.zeros((3, 2))).dtype == np.float32


def test_missing_cells_pass_where_the_preprocessing_fills_them(tmp_path):
    steps = {
        "age": Chain.of(Impute.of(40), Standardise.of(40, 8)),
        "colour": Chain.of(Impute.of("red"), OneHot.of(COLOURS)),
    }
    package = saved(tmp_path, network(), preprocessing=steps, class_names=["a", "b", "c"], input_schema=PEOPLE)
    gaps = pd.DataFrame({"age": [24, None, 56, 40], "colour": ["blue", None, "green", "green"]})
    assert package.preprocess(gaps).tolist() == PREPARED_PEOPLE
    nullable = gaps.astype({"age": "Int64", "colour": "string"})
    assert package.preprocess(nullable).tolist() == PREPARED_PEOPLE


def test_load_gives_a_package_too_and_load_inference_nothing_else(tmp_path, people):
    _, package = people
    assert isinstance(mc.load(tmp_path / "package.crate"), InferencePackage)
    assert repr(package) == "<InferencePackage classification of Sequential, preprocessing: Branches>"
    mc.save(network(), tmp_path / "net.crate")
    with pytest.raises(UsageError, match=r"holds a Sequential, no inference package; load it with modelcrate\.load"):
        mc.load_inference(tmp_path / "net.crate")


def test_the_same_arguments_give_the_same_bytes(tmp_path):
    model = network()
    for name in ("one", "two"):
        mc.save_inference(
            tmp_path / name, model, preprocessing=PREPARED, class_names=["a", "b", "c"], input_schema=PEOPLE
        )
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_bytes_and_pins_are_as_for_every_crate(tmp_path, people):
    data = (tmp_path / "package.crate").read_bytes()
    with mc.open(data) as crate:
        identity = str(crate.identity)
    assert mc.load_inference(data, expect=identity, io="read").predict(PEOPLE).shape == (4,)
    with pytest.raises(mc.errors.IntegrityError):
        mc.load_inference(data, expect="blake3:" + "0" * 64)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_the_batch_goes_where_the_network_is(tmp_path, people):
    _, package = people
    there = mc.load_inference(tmp_path / "package.crate", device="cuda:0")
    assert next(there.network.parameters()).device == torch.device("cuda:0")
    given = there.predict_proba(PEOPLE)
    np.testing.assert_allclose(given, package.predict_proba(PEOPLE), rtol=1e-4)
    assert there.preprocess(PEOPLE).device == torch.device("cpu")
