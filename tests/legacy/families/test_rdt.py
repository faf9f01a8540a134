"""Column transformers of rdt, read from their pickles: the same cells as the original gives, both ways."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.format.document import Fields
from modelcrate.legacy.families import rdt
from modelcrate.legacy.reader import read_for_conversion
from modelcrate.legacy.view import View
from modelcrate.tabular.columns import read_matrix_encoding, read_table_encoding
from modelcrate.tabular.draws import LegacyDraws, Reversal

CORPUS = Path(__file__).resolve().parents[2] / "corpus" / "rdt" / "cases.json"
CASES = json.loads(CORPUS.read_text(encoding="utf-8"))
REVERSE_SEED, FORWARD_SEED = 5, 6


def view_of(case: dict) -> View:
    return read_for_conversion(base64.b64decode(case["pickle"]), name="transformer").root


def table_document(case: dict) -> dict:
    return rdt.translate_column(view_of(case))


def matrix_document(case: dict) -> dict:
    view = view_of(case)
    if view.class_name in rdt.CLUSTER:
        return rdt.modes(view)
    return rdt.binary(view) if view.class_name in rdt.BINARY else rdt.one_hot(view)


def inputs_of(case: dict) -> np.ndarray:
    return np.array([[float.fromhex(cell) for cell in row] for row in case["inputs"]])


def draws(seed: int) -> LegacyDraws:
    return LegacyDraws(np.random.RandomState(seed))


def told(value: object) -> list[str]:
    if value is None or value is pd.NaT:
        return ["None" if value is None else "NaT", ""]
    if isinstance(value, np.datetime64):
        return ["NaT", ""] if np.isnat(value) else ["datetime", pd.Timestamp(value).isoformat()]
    if isinstance(value, (bool, np.bool_)):
        return ["bool", str(bool(value))]
    if isinstance(value, (int, np.integer)):
        return ["int", str(int(value))]
    if isinstance(value, (float, np.floating)):
        return ["nan", ""] if np.isnan(value) else ["float", float(value).hex()]
    return [type(value).__name__, str(value)]


def cell_of(kind: str, text: str) -> object:
    made = {
        "None": lambda: None,
        "nan": lambda: float("nan"),
        "bool": lambda: text == "True",
        "int": lambda: int(text),
        "float": lambda: float.fromhex(text),
        "str": lambda: text,
        "datetime": lambda: pd.Timestamp(text),
    }
    return made[kind]()


def check(found: np.ndarray, wanted: dict) -> None:
    assert str(found.dtype) == wanted["dtype"]
    assert [told(value) for value in found] == wanted["cells"]


@pytest.mark.parametrize("way", ["repaired", "as_released"])
@pytest.mark.parametrize("name", CASES["table"])
def test_a_table_column_comes_back_as_in_the_original(name, way):
    case = CASES["table"][name]
    encoding = read_table_encoding(Fields(table_document(case), "encoding"))
    how = Reversal(draws=draws(REVERSE_SEED), rounds_unlearned=way == "as_released")
    columns = list(inputs_of(case).T)
    assert len(columns) == encoding.outputs
    check(encoding.reverse(columns, how), case["reversed"][way])


FORWARD = [
    pytest.param(name, *pair, id=f"{name}-{pair[0][1] or pair[0][0]}")
    for name, case in CASES["table"].items()
    for pair in case["forward"]
    if pair[1] is not None
]


@pytest.mark.parametrize(("name", "cell", "wanted"), FORWARD)
def test_a_known_cell_is_encoded_as_in_the_original(name, cell, wanted):
    encoding = read_table_encoding(Fields(table_document(CASES["table"][name]), "encoding"))
    found = encoding.forward(cell_of(*cell), draws(FORWARD_SEED))
    assert np.array_equal(np.array(found, dtype=float), np.array(wanted), equal_nan=True)


@pytest.mark.parametrize("name", CASES["matrix"])
def test_a_span_of_the_matrix_comes_back_as_in_the_original(name):
    case = CASES["matrix"][name]
    encoding = read_matrix_encoding(Fields(matrix_document(case), "encoding"))
    matrix = inputs_of(case).astype(np.float32)
    assert matrix.shape[1] == encoding.width
    check(encoding.decode(matrix, Reversal(draws=draws(REVERSE_SEED))), case["reversed"]["repaired"])


MATRIX_FORWARD = [
    pytest.param(name, *pair, id=f"{name}-{pair[0][1]}")
    for name, case in CASES["matrix"].items()
    for pair in case["forward"]
]


@pytest.mark.parametrize(("name", "cell", "wanted"), MATRIX_FORWARD)
def test_a_known_cell_is_encoded_into_its_span_as_in_the_original(name, cell, wanted):
    encoding = read_matrix_encoding(Fields(matrix_document(CASES["matrix"][name]), "encoding"))
    found = encoding.encode(cell_of(*cell), draws(FORWARD_SEED))
    if encoding.tag == "mode_specific":  # the original gives (distance, mode), not a vector of modes
        assert found[0] == np.float32(wanted[0])
        assert int(np.argmax(found[1:])) == wanted[1]
        assert found[1:].sum() == 1
    else:
        assert found.tolist() == wanted


@pytest.mark.parametrize("name", CASES["table"])
def test_a_document_of_a_table_column_survives_reading(name):
    document = table_document(CASES["table"][name])
    again = read_table_encoding(Fields(document, "encoding")).to_document()
    assert repr(again) == repr(document)


def change(case: dict, **attributes: object) -> View:
    """The case's view with some attributes of the pickled object replaced."""
    view = view_of(case)
    state = view.node.states[0]
    state.pairs[:] = [(key, attributes.get(key, value)) for key, value in state.pairs]
    state.pairs += [(key, value) for key, value in attributes.items() if key not in dict(state.pairs)]
    return view


def test_an_attribute_that_nobody_knows_is_refused_by_its_path():
    with pytest.raises(UnsupportedError, match=r"^transformer: the attribute '_secret_scale'"):
        rdt.translate_column(change(CASES["table"]["number_int"], _secret_scale=3))


def test_a_transformer_of_another_class_is_refused_by_name():
    view = read_for_conversion(b"\x80\x02crdt.transformers.text\nRegexGenerator\n)\x81}b.", name="transformer").root
    with pytest.raises(UnsupportedError, match=r"rdt\.transformers\.text\.RegexGenerator"):
        rdt.translate_column(view)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("_dtype", "V8"), ("_rounding_digits", "two"), ("learn_rounding_scheme", 1), ("null_transformer", None)],
)
def test_an_attribute_of_another_type_is_refused(attribute, value):
    with pytest.raises((FormatError, UnsupportedError)) as caught:
        rdt.translate_column(change(CASES["table"]["number_int"], **{attribute: value}))
    assert "transformer" in str(caught.value)


def test_a_mixture_with_missing_values_of_its_own_is_refused():
    case = CASES["matrix"]["modes"]
    view = view_of(case)
    handler = next(value for key, value in view.node.states[0].pairs if key == "null_transformer")
    pairs = handler.states[0].pairs
    pairs[:] = [(key, True if key == "nulls" else value) for key, value in pairs]
    with pytest.raises(UnsupportedError, match="missing values"):
        rdt.modes(view)


@pytest.mark.parametrize(
    ("x", "digamma"),
    [
        (1.0, -0.57721566490153286061),  # minus Euler's constant
        (0.5, -1.96351002602142347944),
        (2.0, 0.42278433509846713939),
        (1e-4, -10000.577051183514335),
        (1e6, 13.815510057964191),
    ],
)
def test_the_digamma_of_mixture_weights(x, digamma):
    assert rdt._digamma(np.array([x]))[0] == pytest.approx(digamma, rel=1e-14)
