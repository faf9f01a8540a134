"""ACTGAN files: what is carried, what is left out and named, and what is refused rather than guessed."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import modelcrate
import parity
from modelcrate.errors import FormatError, ModelcrateError, UnsupportedError
from modelcrate.format import values
from modelcrate.legacy.families import gretel_actgan
from modelcrate.legacy.families.sdv_table import formats_of
from modelcrate.legacy.graph import Call, Dict
from modelcrate.legacy.reader import read_for_conversion
from modelcrate.legacy.view import View
from modelcrate.tabular.transformer import Transformer

CORPUS = Path(__file__).resolve().parents[2] / "corpus" / "actgan"
DTYPES = CORPUS.parent / "actgan_dtypes"
NAMES = sorted(case["name"] for case in json.loads((CORPUS / "index.json").read_text(encoding="utf-8"))["cases"])
CONVERTIBLE = [name for name in NAMES if name != "constraint_custom"]


def root(name: str) -> View:
    return read_for_conversion(CORPUS / name / "model.pkl", name="model").root


def state_of(view: View) -> list:
    """The pairs of an object's attributes, to be changed in place."""
    assert isinstance(view.node, Call)
    state = view.node.states[0]
    assert isinstance(state, Dict)
    return state.pairs


def replace(pairs: list, **attributes: object) -> None:
    pairs[:] = [(key, attributes.pop(key, value)) for key, value in pairs]
    pairs += list(attributes.items())


def root_again(view: View) -> View:
    """The same node without what a view remembers."""
    return View(view.node, view.path, view.context)


def inner(view: View, *names: str) -> View:
    for name in names:
        view = view.attributes(view.class_name or "")[name]
    return view


@pytest.mark.parametrize("name", CONVERTIBLE)
def test_every_part_is_there_and_the_weights_have_the_right_shapes(name):
    found = gretel_actgan.translate(root(name))
    parts = {part.name: part for part in found.components}
    assert set(parts) - {"random_state"} == {"generator", "transformer", "sampler", "table"}
    assert ("random_state" in parts) == (name == "random_state")
    shape = parts["generator"].config
    tensors = parts["generator"].tensors
    assert tensors[f"seq.{len(shape['generator_dim'])}.weight"].shape[0] == shape["data_dim"]
    assert json.loads(json.dumps(found.hyperparameters)) == found.hyperparameters
    assert found.hyperparameters["epochs"] in (1, 2, 3)
    assert {"epoch_callback", "_activation_fns"}.isdisjoint(found.hyperparameters)


def test_hyperparameters_are_those_of_the_training():
    found = gretel_actgan.translate(root("no_rounding")).hyperparameters
    expected = {
        "embedding_dim": 32, "generator_dim": [48], "pac": 5, "discriminator_steps": 2, "log_frequency": False,
        "learn_rounding_scheme": False, "enforce_min_max_values": False, "conditional_vector_type": "single_discrete",
    }  # fmt: skip
    assert {key: found[key] for key in expected} == expected
    assert gretel_actgan.translate(root("anyway")).hyperparameters["conditional_select_mean_columns"] == 2


def test_a_callback_is_left_out_and_named():
    found = gretel_actgan.translate(root("callback_cloudpickle"))
    omitted = {omission.what: omission for omission in found.omitted}
    assert "code" in omitted["the epoch callback"].why
    assert omitted["the epoch callback"].where.startswith("model._model")
    saved = gretel_actgan.translate(root("callback_save"))  # .save had dropped it already
    assert "the epoch callback" not in {omission.what for omission in saved.omitted}


def test_D24_the_training_matrix_of_release_0_20_is_left_out_and_named():
    found = gretel_actgan.translate(root("release_0_20_0"))
    assert any("training" in omission.what for omission in found.omitted)
    assert any("can't be replayed" in note for note in found.notes)
    matrix = inner(root("release_0_20_0"), "_model", "_data_sampler", "_data").array()
    rows = len(matrix)
    for part in found.components:
        for path, array in _arrays(part.state or {}, part.name):
            assert array.size < rows, path
    size = sum(len(values.encode(part.state)) for part in found.components if part.state)
    assert size < matrix.nbytes / 2


@pytest.mark.parametrize("name", CONVERTIBLE)
def test_D24_no_array_is_as_long_as_the_training_table(name):
    found = gretel_actgan.translate(root(name))
    rows = found.hyperparameters["training_rows"]
    for part in found.components:
        if part.name != "random_state":
            for path, array in _arrays(part.state or {}, part.name):
                assert array.size < rows, path


def _arrays(node: object, path: str) -> list[tuple[str, np.ndarray]]:
    if isinstance(node, np.ndarray):
        return [(path, node)]
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [found for key, value in children for found in _arrays(value, f"{path}.{key}")]


def test_the_sampler_of_release_0_20_follows_the_shares_of_the_categories():
    """Its own draw takes a random row and reads a category there; the shares are those of the rows."""
    found = gretel_actgan.translate(root("release_0_20_0"))
    sampler = next(part.state for part in found.components if part.name == "sampler")
    transformer = next(part.state for part in found.components if part.name == "transformer")
    matrix = inner(root("release_0_20_0"), "_model", "_data_sampler", "_data").array()
    chances = np.diff(sampler["cumulative"], prepend=0.0) * len(sampler["columns"])
    start = position = 0
    for column, read in zip(transformer["columns"], Transformer.from_document(transformer, "x").columns, strict=True):
        width = read.encoding.width
        if column["encoding"]["type"] == "one_hot":
            shares = matrix[:, start : start + width].mean(axis=0)
            np.testing.assert_allclose(chances[position : position + width], shares, atol=1e-6)
            position += width
        start += width
    assert position == len(chances)


@pytest.mark.parametrize("name", ["mixed", "anyway"])
def test_known_cells_are_forced_whatever_the_generator_is_conditioned_on(name):
    view = root(name)
    assert gretel_actgan.translate(view).model[1]["force_conditioning"] is False
    replace(state_of(inner(view, "_model")), _force_conditioning=True)
    assert gretel_actgan.translate(root_again(view)).model[1]["force_conditioning"] is True


@pytest.mark.parametrize("line", [(370, True), (499, False), (578, False)])
def test_release_0_21_is_known_by_the_line_of_its_softmax(line):
    view = root("mixed")
    core = inner(view, "_model")
    replace_line(core, line[0])
    dropped = ("_conditional_vector_type", "_force_conditioning", "_cond_vec_dim", "_reconstruction_loss_coef")
    pairs = state_of(core)
    pairs[:] = [(key, value) for key, value in pairs if key not in dropped]
    assert gretel_actgan.translate(view).model[1]["replay"]["spare_batch"] is line[1]


def replace_line(core: View, line: int) -> None:
    for activation in core.attributes(core.class_name)["_activation_fns"].items():
        function = activation.items()[-1].node
        if isinstance(function, Call) and function.args and isinstance(function.args[0], Call):
            code = function.args[0]
            at = next(index for index, arg in enumerate(code.args) if index >= 10 and type(arg) is int)
            code.args = (*code.args[:at], line, *code.args[at + 1 :])


CHANGES = [
    pytest.param((), {"_hook": 1}, r"^model: the attribute '_hook'", id="wrapper-unknown"),
    pytest.param(("_model",), {"_secret": 1}, r"^model\._model: the attribute '_secret'", id="core-unknown"),
    pytest.param(
        ("_model", "_transformer"),
        {"x": 1},
        r"^model\._model\._transformer: the attribute 'x'",
        id="transformer-unknown",
    ),
    pytest.param(
        ("_model", "_condvec_sampler"), {"x": 1}, r"_condvec_sampler: the attribute 'x'", id="sampler-unknown"
    ),
    pytest.param(("_metadata",), {"x": 1}, r"^model\._metadata: the attribute 'x'", id="table-unknown"),
    pytest.param(
        ("_metadata", "_hyper_transformer"), {"x": 1}, r"_hyper_transformer: the attribute 'x'", id="hyper-unknown"
    ),
    pytest.param(("_model", "_generator"), {"x": 1}, r"_generator: the attribute 'x'", id="A36-network-unknown"),
    pytest.param(("_model", "_generator"), {"forward": 1}, r"'forward'", id="A36-shadowed-forward"),
    pytest.param(("_model",), {"_embedding_dim": "128"}, r"_embedding_dim: expected an integer", id="noise-text"),
    pytest.param(("_model",), {"_embedding_dim": True}, r"_embedding_dim: expected an integer", id="noise-bool"),
    pytest.param(("_model",), {"_batch_size": None}, r"_batch_size", id="batch-none"),
    pytest.param(("_model",), {"_conditional_vector_type": "anyway"}, r"_conditional_vector_type", id="enum-as-text"),
    pytest.param(("_model",), {"_generator": None}, r"not fitted", id="no-generator"),
    pytest.param((), {"_model": None}, r"not fitted", id="no-model"),
    pytest.param(("_metadata",), {"fitted": False}, r"not fitted", id="table-not-fitted"),
    pytest.param(("_metadata",), {"_sequence_index": "t"}, r"sequences", id="sequences"),
    pytest.param(("_model", "_transformer"), {"dataframe": False}, r"arrays", id="arrays"),
    pytest.param(("_model", "_condvec_sampler"), {"_n_categories": 3}, r"sampler's columns", id="D23-sampler-count"),
    pytest.param(("_model", "_transformer"), {"_column_transform_info_list": [7]}, r"\[0\]", id="column-is-a-number"),
    pytest.param(("_metadata",), {"_dtypes": []}, r"_dtypes", id="dtypes-no-series"),
]


@pytest.mark.parametrize(("where", "attributes", "message"), CHANGES)
def test_what_is_not_understood_is_refused_by_its_path(where, attributes, message):
    view = root("mixed")
    replace(state_of(inner(view, *where)), **attributes)
    with pytest.raises((FormatError, UnsupportedError), match=message):
        gretel_actgan.translate(view)


def test_A36_a_network_with_hooks_is_refused():
    view = root("mixed")
    hooks = Dict()
    hooks.pairs.append((1, "hook"))
    replace(state_of(inner(view, "_model", "_generator")), _forward_hooks=hooks)
    with pytest.raises(UnsupportedError, match="hooks"):
        gretel_actgan.translate(view)


def test_a_number_without_a_subtype_is_refused_as_what_its_own_library_can_t_sample_either():
    view = root("mixed")
    field = inner(view, "_metadata", "_fields_metadata")["age"]
    assert isinstance(field.node, Dict)
    field.node.pairs[:] = [(key, value) for key, value in field.node.pairs if key != "subtype"]
    with pytest.raises(UnsupportedError, match="the number 'age' is neither") as caught:
        gretel_actgan.translate(root_again(view))
    assert caught.value.where == "model._metadata._fields_metadata['age']"


def test_columns_named_by_numpy_s_text_are_named_by_text(tmp_path):
    """``field_names=list(array)`` gives such names, and the dtypes are kept by them."""
    dtypes = pd.Series([np.dtype("int64")], index=pd.Index([np.str_("age")], dtype=object))
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(dtypes))
    found = formats_of(read_for_conversion(tmp_path / "x.pkl", name="model").root)
    assert found == {"age": {"kind": "plain", "dtype": "int64"}}
    assert type(next(iter(found))) is str


def test_columns_in_pandas_own_dtypes_come_back_in_them_and_forced_cells_need_not_have_been_seen(tmp_path):
    modelcrate.convert(DTYPES / "model.pkl.xz", tmp_path / "x.crate")
    found = modelcrate.load(tmp_path / "x.crate")
    asked = [({"size": "XL", "level": 0.5}, 5)]
    for name, frame in (
        ("sample", found.sample(60, replay=1234)),
        ("conditions", found.sample(conditions=asked, replay=1234)),
    ):
        score = parity.compare(frame, DTYPES / f"{name}.csv")
        assert score.problems == []
        assert score.equal == score.cells > 0
    assert list(frame["size"].cat.categories) == ["S", "M", "L", "XL"]
    assert frame["size"].cat.ordered
    plain = found.sample(conditions=asked, seed=1)
    assert plain["size"].tolist() == ["XL"] * 5
    assert plain.dtypes.astype(str).tolist() == ["category", "category", "boolean", "Int64", "float64"]


JUNK = [lambda: None, lambda: -1, lambda: "x", list, Dict, lambda: (1, 2)]


@pytest.mark.parametrize(("name", "turn"), [("mixed", 0), ("transformers_named", 2), ("constraint_combos", 4)])
def test_every_attribute_replaced_by_junk_is_refused_or_does_not_matter(name, turn):
    """Each attribute of the main objects in turn becomes something else: an error of the tree, or no difference."""
    places = [(), ("_metadata",), ("_metadata", "_hyper_transformer"), ("_model",), ("_model", "_transformer")]
    for where in places:
        for position in range(len(state_of(inner(root(name), *where)))):
            view = root(name)
            pairs = state_of(inner(view, *where))
            pairs[position] = (pairs[position][0], JUNK[(position + turn) % len(JUNK)]())
            try:
                gretel_actgan.translate(view)
            except ModelcrateError:
                continue


def test_nothing_of_the_original_libraries_is_imported():
    for name in ("gretel_synthetics", "sdv", "rdt", "sklearn", "category_encoders", "cloudpickle"):
        assert name not in sys.modules
