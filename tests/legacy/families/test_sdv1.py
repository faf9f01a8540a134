"""Synthesizers of sdv 1 and 2: every golden of the corpus, what is left out, what is refused rather than guessed."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import modelcrate
import parity
from modelcrate.errors import FormatError, ModelcrateError, UnsupportedError, UsageError
from modelcrate.legacy.convert import FAMILIES
from modelcrate.legacy.families import sdv1
from modelcrate.legacy.families.rdt_columns import states_of
from modelcrate.legacy.families.sdv1_processor import early_numpy
from modelcrate.legacy.graph import Call, Dict, Global
from modelcrate.legacy.reader import read_for_conversion
from modelcrate.legacy.view import View
from modelcrate.tabular.copula.config import CopulaConfig
from modelcrate.tabular.copula.synthesizer import CopulaSynthesizer
from modelcrate.tabular.randomstate import RandomState

pytestmark = pytest.mark.usefixtures("one_thread")
ROOT = Path(__file__).resolve().parents[3]
CORPUS = ROOT / "tests" / "corpus"
CASES = parity.cases(CORPUS, "sdv")
PROCESSOR = ("_data_processor",)
HYPER = (*PROCESSOR, "_hyper_transformer")
MIXED, RULES, KEYS = "sdv1_38_5_ctgan", "sdv1_38_5_ctgan_constraints", "sdv1_38_5_ctgan_regex_pii"


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdv")

    def loaded(name: str):
        crate = folder / f"{name}.crate"
        if not crate.exists():
            modelcrate.convert(CASES[name][0] / "model.pkl.xz", crate)
        return modelcrate.load(crate)

    return loaded


def root(name: str) -> View:
    return read_for_conversion(CASES[name][0] / "model.pkl.xz", name="model").root


def translate(view: View):
    return FAMILIES[view.class_name or ""](view)


def inner(view: View, *names: str) -> View:
    for name in names:
        is_object = isinstance(view.node, Call) and view.class_name != "pandas.core.series.Series"
        view = (view.attributes(view.class_name or "") if is_object else view.mapping())[name]
    return view


def pairs_of(view: View) -> list:
    """The pairs of an object's attributes, or of a dict, to be changed in place."""
    state = view.node.states[0] if isinstance(view.node, Call) else view.node
    assert isinstance(state, Dict)
    return state.pairs


def replace(view: View, **attributes: object) -> None:
    pairs = pairs_of(view)
    pairs[:] = [(key, attributes.pop(key, value)) for key, value in pairs]
    pairs += list(attributes.items())


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_cell_and_every_array_is_the_original_s(name, tmp_path):
    folder, case = CASES[name]
    scores = parity.score_sdv(folder, case, tmp_path)
    expected = {path.stem for path in (folder / "golden").glob("*.csv")}
    if (folder / "golden" / "arrays.npz").exists():
        with np.load(folder / "golden" / "arrays.npz") as arrays:
            expected |= set(arrays.files)
    assert set(scores) == expected
    for golden, score in scores.items():
        assert score.problems == [], golden
        assert score.cells > 0
        assert score.equal == score.cells or score.worst <= 1e-5, (golden, score.worst_at)


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_crate_is_smaller_than_its_file_and_D24_holds_no_array_as_long_as_the_training_table(name, tmp_path):
    folder, case = CASES[name]
    modelcrate.convert(folder / "model.pkl.xz", tmp_path / "m.crate")
    assert (tmp_path / "m.crate").stat().st_size < case["bytes"]
    with modelcrate.open(tmp_path / "m.crate") as crate:
        lengths = [
            length for part in crate.values() if not part.has_weights for length in _lengths(part.state) if length > 1
        ]
    rows = case["training_rows"]
    assert rows > 100
    assert rows not in lengths
    assert max(lengths) < rows or 624 in lengths  # the words of a generator's state


def _lengths(node: object) -> list[int]:
    if isinstance(node, np.ndarray):
        return [len(node)]
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    own = [len(node)] if isinstance(node, list) else []
    return own + [length for child in children for length in _lengths(child)]


def test_provenance_and_settings_are_those_of_the_file(tmp_path):
    found = modelcrate.convert(CASES[MIXED][0] / "model.pkl.xz", tmp_path / "m.crate")
    manifest = found.manifest
    assert manifest.provenance.created_by == sdv1.CTGAN
    assert manifest.provenance.source.versions == {"sdv": "1.38.5"}
    assert manifest.hyperparameters["epochs"] == 2
    assert manifest.hyperparameters["sdtypes"]["text_day"] == "datetime"
    assert manifest.hyperparameters["enforce_rounding"] is True
    assert any("row numbers of each category" in omission.what for omission in found.omitted)
    assert any("rebuild the categorical cells" in note for note in found.notes)


def test_a_release_that_keeps_its_training_table_says_so_and_can_t_be_replayed(load, tmp_path):
    found = modelcrate.convert(CASES["release_1_5"][0] / "model.pkl.xz", tmp_path / "m.crate")
    assert any("its whole training table, transformed; the crate does not" in note for note in found.notes)
    model = load("release_1_5")
    with pytest.raises(UnsupportedError, match="training rows, which a crate does not hold"):
        model.sample(10, replay="fixed")
    rows = model.sample(500, seed=1)
    assert set(rows["grade"].dropna()) <= {"A", "B", "C", "D"}


@pytest.mark.parametrize("name", ["constraints_dates", "constraints_others", "release_1_0_1", "release_1_20"])
def test_constraints_of_both_generations_hold_for_plain_samples(name, load):
    model = load(name)
    rows = model.sample(400, seed=8)
    assert len(rows) == 400
    pd.testing.assert_frame_equal(rows.iloc[:50], model.sample(50, seed=8))
    replayed = model.sample(20, replay=1)
    assert rows.columns.tolist() == replayed.columns.tolist() == list(model.columns)


def test_a_copula_is_conditioned_and_its_numbers_are_noised_as_the_original_noises_them(load):
    rows = load("copula").sample(60, conditions={"grade": "B"}, seed=4)
    assert set(rows["grade"]) == {"B"}
    assert rows["age"].nunique() > 5


FORMS = {
    "1.23": ("MT19937",),
    "1.24": ("MT19937", Global("numpy.random._pickle", "__bit_generator_ctor", offset=0, opcode="STACK_GLOBAL")),
}


@pytest.mark.parametrize(("form", "early"), [(None, False), ("1.23", True), ("1.24", False)])
def test_generators_in_a_file_tell_which_numpy_drew_its_copula(form, early):
    """NumPy 1.24 changed both how a RandomState is pickled and the signs of its decompositions."""
    view = root("copula")
    for item in inner(view, *HYPER, "_transformers_sequence").items() if form else ():
        for state in inner(item, "random_states").mapping().values():
            state.node.args = FORMS[form]
    assert translate(view).model[1].get("early_rotations", False) is early


@pytest.mark.parametrize(("name", "early"), [("release_1_0_1", True), ("release_1_5", True), (MIXED, False)])
def test_files_of_either_numpy_are_told_apart(name, early):
    assert early_numpy(inner(root(name), *PROCESSOR)) is early


def test_one_replay_goes_on_from_call_to_call_and_the_process_s_seeds_do_not_matter(load):
    model = load(MIXED)
    first = model.sample(60, replay=1)
    pd.testing.assert_frame_equal(first, model.sample(60, replay="fixed"))
    again = model.begin_replay()
    pd.testing.assert_frame_equal(first, model.sample(60, replay=again))
    second = model.sample(60, replay=again)
    assert not second.equals(first)
    assert set(second["id"]).isdisjoint(first["id"])
    with pytest.raises(UsageError, match="another synthesizer"):
        load(RULES).sample(5, replay=model.begin_replay())
    with pytest.raises(UsageError, match="'fixed'"):
        model.begin_replay("now")


@pytest.mark.parametrize("name", [MIXED, KEYS, "copula", "keys_codes"])
def test_what_rdt_sets_in_every_transformer_that_has_made_rows_is_known(name):
    view = root(name)
    for item in inner(view, *HYPER, "_transformers_sequence").items():
        if "missing_value_generation" not in item.attributes(item.class_name):
            replace(item, missing_value_generation=None)
    assert translate(view).components


def test_a_copula_that_was_saved_after_it_had_sampled_goes_on_where_it_stood(load, tmp_path):
    view = root("copula")
    fresh = inner(view, *HYPER, "_transformers_sequence").items()[0]
    seed = states_of(fresh)["forward"]
    replace(view, _random_state_set=True)
    replace(inner(view, "_model"), random_state=inner(fresh, "random_states").mapping()["transform"].node)
    found = translate(view)
    stored = {part.name: part for part in found.components}["random_state"]
    model = load("copula")
    parts = {"joint": model.core.joint, "table": model.table}
    config = CopulaConfig.from_document(found.model[1], "config")
    state = RandomState.from_document(stored.state, "random_state")
    modelcrate.save(CopulaSynthesizer(**parts, config=config, random_state=state), tmp_path / "m.crate")
    rules = {**model.config.to_document()["replay"], "model_seed": seed}
    seeded = CopulaSynthesizer(**parts, config=CopulaConfig.from_document({"replay": rules}, "config"))
    rows = modelcrate.load(tmp_path / "m.crate").sample(30, replay="fixed")
    pd.testing.assert_frame_equal(rows, seeded.sample(30, replay="fixed"))
    assert not rows.equals(model.sample(30, replay="fixed"))


def test_a_saved_and_reloaded_synthesizer_gives_the_same_rows(load, tmp_path):
    for name in (RULES, KEYS):
        model = load(name)
        modelcrate.save(model, tmp_path / f"{name}.crate")
        again = modelcrate.load(tmp_path / f"{name}.crate")
        pd.testing.assert_frame_equal(again.sample(40, replay=1), model.sample(40, replay=1))
        pd.testing.assert_frame_equal(again.sample(40, seed=4), model.sample(40, seed=4))


def test_plain_samples_have_the_dtypes_of_the_training_table_and_distinct_keys_in_every_batch(load, monkeypatch):
    from modelcrate.tabular import synthesizer

    model = load(MIXED)
    table = pd.DataFrame({column: model.sample(10, replay=1)[column] for column in model.columns})
    rows = model.sample(5000, seed=3)
    assert rows.dtypes.astype(str).to_dict() == table.dtypes.astype(str).to_dict()
    assert rows["id"].is_unique
    monkeypatch.setattr(synthesizer, "CHUNK_ROWS", 1000)
    batches = list(model.sample_batches(5000, seed=3))
    assert len(batches) > 1
    pd.testing.assert_frame_equal(pd.concat(batches, ignore_index=True), rows)
    pd.testing.assert_frame_equal(model.sample(7, seed=3), rows.iloc[:7])
    assert len(model.sample(0, seed=1)) == 0


def test_identifiers_follow_their_pattern_and_made_up_cells_are_made_up(load):
    rows = load(KEYS).sample(300, seed=9)
    assert rows["key"].is_unique
    assert rows["key"].str.fullmatch("AB[0-9]{4}").all()
    assert rows["mail"].str.contains("@").all()
    assert rows["who"].notna().all()
    assert not rows["key"].equals(load(KEYS).sample(300, seed=10)["mail"])


def test_rows_obey_their_constraints(load):
    rows = load(RULES).sample(3000, seed=5)
    assert len(rows) == 3000
    assert (rows["high"] >= rows["low"]).all()
    seen = {("FR", "Lyon"), ("US", "Austin"), ("JP", "Kobe"), ("US", "Boston"), ("FR", "Nice")}
    assert set(zip(rows["country"], rows["city"], strict=True)) <= seen
    assert rows["low"].dtype == "int64"


def test_known_cells_of_columns_that_are_learned_and_of_such_that_are_made_up(load):
    found = load(MIXED).sample(40, conditions={"colour": "green", "vip": True}, seed=2)
    assert set(found["colour"]) == {"green"}
    assert found["vip"].all()
    given = load(KEYS).sample(conditions=[({"mail": "me@x.org"}, 3), ({"c": "blue"}, 4)], seed=2)
    assert given["mail"].tolist()[:3] == ["me@x.org"] * 3
    assert "me@x.org" not in given["mail"].tolist()[3:]
    assert given["c"].tolist()[3:] == ["blue"] * 4
    assert given["key"].is_unique
    assert given.columns.tolist() == ["key", "mail", "who", "x", "c"]
    replayed = load(KEYS).sample(5, conditions={"mail": "me@x.org"}, replay=1)
    assert set(replayed["mail"]) == {"me@x.org"}


def test_a_condition_that_never_occurs_ends_with_an_error(load):
    with pytest.raises(UsageError, match=r"no row satisfies|does not occur"):
        load(MIXED).sample(3, conditions={"colour": "mauve"}, seed=1)


CHANGES = [
    pytest.param(MIXED, (), {"_secret": 1}, r"^model: the attribute '_secret'", id="unknown"),
    pytest.param(MIXED, (), {"_fitted": False}, r"not fitted", id="not-fitted"),
    pytest.param(MIXED, (), {"_model": None}, r"not fitted", id="no-model"),
    pytest.param(MIXED, PROCESSOR, {"later": 1}, r"^model\._data_processor: the attribute 'later'", id="processor"),
    pytest.param(MIXED, PROCESSOR, {"fitted": False}, r"table that was not fitted", id="processor-not-fitted"),
    pytest.param(MIXED, PROCESSOR, {"_keys": 3}, r"_keys: expected a list", id="keys"),
    pytest.param(MIXED, PROCESSOR, {"_dtypes": Dict()}, r"no dtype for the column 'id'", id="no-dtypes"),
    pytest.param(MIXED, HYPER, {"x": 1}, r"_hyper_transformer: the attribute 'x'", id="hyper"),
    pytest.param(MIXED, HYPER, {"_fitted": False}, r"without a fitted column", id="hyper-not-fitted"),
    pytest.param(MIXED, (*PROCESSOR, "metadata"), {"sequence_key": "id"}, r"table of sequences", id="sequence"),
    pytest.param(MIXED, (*PROCESSOR, "metadata"), {"more": 1}, r"metadata: the attribute 'more'", id="metadata"),
    pytest.param(MIXED, (*PROCESSOR, "formatters", "age"), {"x": 1}, r"\['age'\]: the attribute 'x'", id="formatter"),
    pytest.param(
        MIXED, (*PROCESSOR, "formatters", "age"), {"_rounding_digits": "two"}, r"expected an integer", id="digits"
    ),
    pytest.param(
        MIXED, (*PROCESSOR, "formatters"), {"age": Dict()}, r"\['age'\]|formatter of class", id="no-formatter"
    ),
]


@pytest.mark.parametrize(("name", "where", "attributes", "message"), CHANGES)
def test_what_is_not_understood_is_refused_by_its_path(name, where, attributes, message):
    view = root(name)
    replace(inner(view, *where), **attributes)
    with pytest.raises((FormatError, UnsupportedError), match=message):
        translate(view)


def constraint(view: View, position: int) -> View:
    return view.attributes(sdv1.CTGAN)["_chained_constraints"].items()[position]


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"_secret": 1}, r"_chained_constraints\[0\]: the attribute '_secret'"),
        ({"_fitted": False}, "constraint that was not fitted"),
        ({"_operator": 5}, r"_operator"),
        ({"_is_datetime": True}, r"a constraint on a column of dtype int64"),
        ({"_low_column_name": None}, r"_low_column_name: expected text"),
    ],
)
def test_constraints_that_are_not_understood_are_refused(attributes, message):
    view = root(RULES)
    replace(constraint(view, 0), **attributes)
    with pytest.raises((FormatError, UnsupportedError), match=message):
        translate(view)


def test_a_constraint_that_is_code_is_refused():
    view = root(RULES)
    node = constraint(view, 0).node
    assert isinstance(node, Call)
    held = node.args[0] if node.args else node.callee
    held.module, held.name = "sdv.cag.programmable_constraint", "ProgrammableConstraintHarness"
    with pytest.raises(UnsupportedError, match=r"_chained_constraints\[0\].*Python code, which is never run"):
        translate(view)


@pytest.mark.parametrize(
    ("module", "name", "what"),
    [
        ("sdv.multi_table.hma", "HMASynthesizer", "several tables"),
        ("sdv.sequential.par", "PARSynthesizer", "sequences"),
        ("sdv.single_table.dayz", "DayZSynthesizer", "learned nothing"),
    ],
)
def test_other_synthesizers_are_refused_by_what_they_are(module, name, what, tmp_path):
    held = b"\x80\x02c%s\n%s\n)\x81}X\x08\x00\x00\x00metadataNsb." % (module.encode(), name.encode())
    (tmp_path / "m.pkl").write_bytes(held)
    with pytest.raises(UnsupportedError, match=what):
        modelcrate.convert(tmp_path / "m.pkl", tmp_path / "m.crate")
    assert not (tmp_path / "m.crate").exists()


JUNK = [lambda: None, lambda: -1, lambda: "x", list, Dict, lambda: (1, 2)]
PLACES = [(), PROCESSOR, HYPER, (*PROCESSOR, "metadata"), (*PROCESSOR, "formatters", "low.fillna")]


@pytest.mark.parametrize("turn", range(len(PLACES) + 2))
def test_every_attribute_replaced_by_junk_is_refused_or_does_not_matter(turn):
    """Each attribute of the main objects in turn becomes something else: an error of the tree, or no difference."""
    view = root(RULES)
    place = constraint(view, turn - len(PLACES)) if turn >= len(PLACES) else inner(view, *PLACES[turn])
    pairs = pairs_of(place)
    for position, kept in enumerate(list(pairs)):
        pairs[position] = (kept[0], JUNK[(turn + position) % len(JUNK)]())
        with contextlib.suppress(ModelcrateError):
            translate(view)
        pairs[position] = kept


def test_nothing_of_the_original_libraries_is_imported():
    assert not {"sdv", "rdt", "ctgan", "copulas", "cloudpickle"} & set(sys.modules)


def test_the_index_names_every_file():
    index = json.loads((CORPUS / "sdv" / "index.json").read_text(encoding="utf-8"))
    folders = {path.name for path in (CORPUS / "sdv").iterdir() if path.is_dir()}
    assert {case["name"] for case in index["cases"]} == folders
