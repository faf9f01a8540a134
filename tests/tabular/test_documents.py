"""State documents of a synthesizer: read strictly, compared with each other, refused by the field that is wrong."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelcrate.errors import FormatError, MismatchError, ModelcrateError
from modelcrate.format import schema, values
from modelcrate.legacy.families import gretel_actgan
from modelcrate.legacy.reader import read_for_conversion
from modelcrate.tabular.config import Config
from modelcrate.tabular.fit import check_parts
from modelcrate.tabular.randomstate import RandomState
from modelcrate.tabular.sampler import ConditionalSampler
from modelcrate.tabular.table import Table
from modelcrate.tabular.transformer import Transformer

CORPUS = Path(__file__).resolve().parents[1] / "corpus" / "actgan"
READERS = {
    "transformer": Transformer,
    "sampler": ConditionalSampler,
    "table": Table,
    "random_state": RandomState,
}
NAN, INF = float("nan"), float("inf")


def states(name: str) -> dict[str, Any]:
    found = gretel_actgan.translate(read_for_conversion(CORPUS / name / "model.pkl", name="model").root)
    parts = {part.name: part.state for part in found.components if part.state is not None}
    return {**parts, "config": found.model[1]}


STATES = {
    name: states(name) for name in ("mixed", "transformers_named", "anyway", "random_state", "dates_auto", "key_int")
}


def place(document: Any, path: tuple) -> Any:
    for step in path:
        document = document[step]
    return document


def put(value: Any) -> Callable[[Any], Any]:
    return lambda old: value


def item(index: int, value: Any) -> Callable[[np.ndarray], np.ndarray]:
    def change(old: np.ndarray) -> np.ndarray:
        new = old.copy()
        new[index] = value
        return new

    return change


MODES = ("columns", 0, "encoding")
FREQUENCY = ("columns", 0, "encoding")
STATE_CASES = [
    # mode-specific normalisation (column 0 of mixed)
    ("D22-std-zero", "mixed", "transformer", (*MODES, "deviations"), item(0, 0.0), "deviations"),
    ("D22-std-negative", "mixed", "transformer", (*MODES, "deviations"), item(0, -1.0), "deviations"),
    ("D22-std-nan", "mixed", "transformer", (*MODES, "deviations"), item(0, NAN), "deviations"),
    ("D22-mean-inf", "mixed", "transformer", (*MODES, "means"), item(0, INF), "means"),
    ("D22-weights-nan", "mixed", "transformer", (*MODES, "offsets"), item(0, NAN), "offsets"),
    ("D22-scale-zero", "mixed", "transformer", (*MODES, "scales"), item(0, 0.0), "mode_|deviations|scales"),
    ("D22-counts-differ", "mixed", "transformer", (*MODES, "means"), lambda old: old[:-1], "encoding"),
    ("D22-no-mode-used", "mixed", "transformer", (*MODES, "used"), lambda old: old & False, "used"),
    ("D22-used-as-numbers", "mixed", "transformer", (*MODES, "used"), lambda old: old.astype("int64"), "used"),
    ("D17-two-dimensional", "mixed", "transformer", (*MODES, "means"), lambda old: old.reshape(-1, 1), "means"),
    ("D16-float32", "mixed", "transformer", (*MODES, "means"), lambda old: old.astype("float32"), "means"),
    ("D22-flag-inside", "mixed", "transformer", (*MODES, "number", "missing", "flagged"), put(True), "number"),
    # categories
    ("D20-no-category", "mixed", "transformer", ("columns", -2, "encoding", "categories"), put([]), "categories"),
    (
        "D20-doubled",
        "mixed",
        "transformer",
        ("columns", -2, "encoding", "categories"),
        lambda old: [*old, old[0]],
        "twice",
    ),
    (
        "D20-nan-twice",
        "mixed",
        "transformer",
        ("columns", -3, "encoding", "categories"),
        lambda old: [*old, NAN],
        "twice",
    ),
    (
        "D20-list-as-category",
        "mixed",
        "transformer",
        ("columns", -2, "encoding", "categories"),
        lambda old: [*old, []],
        "cell",
    ),
    (
        "D20-array-as-category",
        "mixed",
        "transformer",
        ("columns", -2, "encoding", "categories"),
        lambda old: [*old, np.zeros(2)],
        "cell",
    ),
    ("D23-digits-too-few", "anyway", "transformer", ("columns", 5, "encoding", "digits"), put(2), "digits"),
    ("D23-digits-huge", "anyway", "transformer", ("columns", 5, "encoding", "digits"), put(2**40), "digits"),
    ("D23-digits-none", "anyway", "transformer", ("columns", 5, "encoding", "digits"), put(0), "digits"),
    ("D15-digits-float", "anyway", "transformer", ("columns", 5, "encoding", "digits"), put(9.0), "digits"),
    # the frame
    ("D16-object-injection", "mixed", "transformer", ("columns", 0, "dtype"), put("V8"), "dtype"),
    ("D16-dtype-order", "mixed", "transformer", ("columns", 0, "dtype"), put(">f8"), "dtype"),
    ("F1-unknown-encoding", "mixed", "transformer", (*MODES, "type"), put("os.system"), "type"),
    ("F2-class-as-encoding", "mixed", "transformer", (*MODES, "type"), put("__class__"), "type"),
    ("C6-unknown-field", "mixed", "transformer", MODES, lambda old: {**old, "hook": "x"}, "hook"),
    (
        "C6-missing-field",
        "mixed",
        "transformer",
        MODES,
        lambda old: {k: v for k, v in old.items() if k != "used"},
        "used",
    ),
    ("D23-name-twice", "mixed", "transformer", ("columns", 1, "name"), put("age.value"), "name"),
    ("D23-no-columns", "mixed", "transformer", ("columns",), put([]), "columns"),
    ("D15-name-number", "mixed", "transformer", ("columns", 1, "name"), put(3), "name"),
    # the sampler
    ("D21-negative", "mixed", "sampler", ("cumulative",), item(0, -0.1), "cumulative"),
    ("D21-above-one", "mixed", "sampler", ("cumulative",), item(-1, 1.5), "cumulative"),
    ("D21-falling", "mixed", "sampler", ("cumulative",), item(2, 0.0), "cumulative"),
    ("D21-nan", "mixed", "sampler", ("cumulative",), item(1, NAN), "cumulative"),
    ("D21-sum-below-one", "mixed", "sampler", ("cumulative",), lambda old: old * 0.5, "cumulative"),
    ("D21-all-zero", "mixed", "sampler", ("cumulative",), lambda old: old * 0.0, "cumulative"),
    ("D23-count-overflow", "mixed", "sampler", ("columns", 0, "categories"), put(2**31), "categories"),
    ("D23-count-zero", "mixed", "sampler", ("columns", 0, "categories"), put(0), "categories"),
    ("D23-lengths-differ", "mixed", "sampler", ("cumulative",), lambda old: old[1:], "cumulative"),
    # the table
    (
        "D21-interval-backwards",
        "transformers_named",
        "table",
        (*FREQUENCY, "starts"),
        lambda old: old[::-1].copy(),
        "starts",
    ),
    ("D21-interval-beyond", "transformers_named", "table", (*FREQUENCY, "ends"), item(0, 7.0), "starts"),
    ("D21-interval-nan", "transformers_named", "table", (*FREQUENCY, "means"), item(0, NAN), "means"),
    ("D21-interval-count", "transformers_named", "table", (*FREQUENCY, "means"), lambda old: old[1:], "encoding"),
    ("D21-share-above-one", "mixed", "table", ("columns", 0, "encoding", "missing", "share"), put(1.5), "share"),
    ("D21-share-nan", "mixed", "table", ("columns", 0, "encoding", "missing", "share"), put(NAN), "share"),
    ("D13-fill-inf", "mixed", "table", ("columns", 0, "encoding", "missing", "fill"), put(INF), "fill"),
    ("F10-digits-huge", "mixed", "table", ("columns", 0, "encoding", "digits"), put(10**6), "digits"),
    ("F10-digits-bool", "mixed", "table", ("columns", 0, "encoding", "digits"), put(True), "digits"),
    ("F10-bounds-crossed", "mixed", "table", ("columns", 0, "encoding", "minimum"), put(10**6), "minimum"),
    ("D23-outputs-missing", "mixed", "table", ("columns", 1, "outputs"), put(["income.value"]), "outputs"),
    ("D23-output-twice", "mixed", "table", ("columns", 1, "outputs"), put(["age.value", "x"]), "twice"),
    ("D23-field-twice", "mixed", "table", ("fields", 1, "name"), put("age"), "twice"),
    ("D23-no-fields", "mixed", "table", ("fields",), put([]), "fields"),
    ("D23-kind-unknown", "mixed", "table", ("fields", 0, "kind"), put("pickle"), "kind"),
    ("D23-whole-category", "mixed", "table", ("fields", 5, "whole"), put(True), "whole"),
    ("D23-key-without-identifiers", "key_int", "table", ("fields", 0, "identifiers"), put(None), "identifiers"),
    ("D23-key-unknown", "key_int", "table", ("primary_key",), put(["nobody"]), "key"),
    (
        "F11-format-with-control",
        "dates_auto",
        "table",
        ("columns", 0, "encoding", "format"),
        put("%Y\x1b[0m"),
        "format",
    ),
    ("F11-format-long", "dates_auto", "table", ("columns", 0, "encoding", "format"), put("%Y" * 10**6), "format"),
    ("F10-unit-zero", "dates_auto", "table", ("columns", 0, "encoding", "unit"), put(0), "unit"),
    # the stored random state
    ("A32-key-short", "random_state", "random_state", ("numpy", "key"), lambda old: old[:-1], "key"),
    ("A32-position", "random_state", "random_state", ("numpy", "position"), put(625), "position"),
    ("A32-torch-short", "random_state", "random_state", ("torch",), lambda old: old[:-1], "torch"),
    ("A32-torch-junk", "random_state", "random_state", ("torch",), lambda old: old * 0 + 255, "torch"),
    # the config
    ("F10-noise-zero", "mixed", "config", ("noise_dim",), put(0), "noise_dim"),
    ("F10-noise-huge", "mixed", "config", ("noise_dim",), put(2**40), "noise_dim"),
    ("F10-batch-zero", "mixed", "config", ("batch_size",), put(0), "batch_size"),
    ("F10-batch-huge", "mixed", "config", ("batch_size",), put(2**31), "batch_size"),
    ("F9-conditioning", "mixed", "config", ("conditioning",), put("eval"), "conditioning"),
    ("F4-extra", "mixed", "config", (), lambda old: {**old, "device": "cuda:7"}, "device"),
    ("F9-repairs", "mixed", "config", ("replay", "repairs"), put(["fit"]), "repairs"),
]


def changed(case: str, part: str, path: tuple, change: Callable[[Any], Any]) -> Any:
    document = copy.deepcopy(STATES[case][part])
    if not path:
        return change(document)
    holder = place(document, path[:-1])
    holder[path[-1]] = change(holder[path[-1]])
    return document


@pytest.mark.parametrize(
    ("case", "part", "path", "change", "message"), [pytest.param(*row[1:], id=row[0]) for row in STATE_CASES]
)
def test_a_document_with_one_wrong_value_is_refused(case, part, path, change, message):
    document = changed(case, part, path, change)
    reader = Config if part == "config" else READERS[part]
    with pytest.raises(FormatError, match=message) as caught:
        reader.from_document(document, f"{part}.state")
    assert caught.value.where.startswith(f"{part}.state")


@pytest.mark.parametrize("part", READERS)
@pytest.mark.parametrize("document", [None, [], "x", 7, {}, {"columns": None}, {"columns": [None]}, {"columns": {}}])
def test_a_state_of_another_shape_is_refused(part, document):
    with pytest.raises(FormatError):
        READERS[part].from_document(document, part)


def _numbers(node: Any, path: tuple = ()) -> list[tuple]:
    found = []
    children = node.items() if type(node) is dict else enumerate(node) if type(node) is list else ()
    for key, value in children:
        found += [(*path, key), *_numbers(value, (*path, key))]
    return found


@pytest.mark.parametrize("case", ["transformers_named", "anyway"])
@pytest.mark.parametrize("part", ["transformer", "sampler", "table"])
def test_C27_every_field_replaced_by_junk_is_refused_or_understood(case, part):
    """Each field in turn becomes null, a huge number, a list, a text: one error of the tree, or a valid document."""
    document = STATES[case][part]
    for path in _numbers(document):
        if len(path) > 5 and isinstance(path[-1], int) and path[-1] > 1:
            continue  # one or two categories stand for all
        for junk in (None, True, 2**80, -1.5, "\x00", [], {}, np.zeros((0,)), b"x"):
            broken = changed(case, part, path, put(junk))
            try:
                READERS[part].from_document(broken, part)
            except ModelcrateError:
                continue


@pytest.mark.parametrize("case", STATES)
@pytest.mark.parametrize("part", READERS)
def test_states_are_what_their_schemas_say_and_survive_their_bytes(case, part):
    state = STATES[case].get(part)
    if state is None:
        assert part == "random_state"
        return
    reader = READERS[part]
    schema.validate_state(state, reader.type_tag, part)
    decoded = values.decode(values.encode(state), where=part)
    again = reader.from_document(decoded, part).to_document()
    assert values.encode(again) == values.encode(state)


def check(case: str, **changes: Any) -> None:
    given = {**STATES[case], **changes}
    check_parts(
        transformer=Transformer.from_document(given["transformer"], "transformer"),
        sampler=ConditionalSampler.from_document(given["sampler"], "sampler"),
        table=Table.from_document(given["table"], "table"),
    )


def test_parts_that_fit_are_accepted():
    for case in STATES:
        check(case)


@pytest.mark.parametrize("other", ["transformers_named", "anyway", "key_int"])
@pytest.mark.parametrize("part", ["table", "transformer"])
def test_D23_parts_of_different_models_do_not_fit(part, other):
    with pytest.raises(MismatchError):
        check("mixed", **{part: STATES[other][part]})


def test_D23_a_sampler_of_other_columns_does_not_fit():
    sampler = changed("mixed", "sampler", ("columns", 0, "name"), put("age.value"))
    with pytest.raises(MismatchError, match=r"age\.value"):
        check("mixed", sampler=sampler)
