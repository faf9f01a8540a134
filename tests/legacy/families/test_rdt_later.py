"""Transformers of rdt 1.22 and 2.0, read from their pickles: the same cells as the original, draw for draw.

The corpus was made by these releases (``tests/corpus/rdt/later/make.py``); no expectation is ours.
"""

from __future__ import annotations

import contextlib
import datetime
import decimal
import functools
import json
import tarfile
import zlib
from pathlib import Path
from random import Random
from typing import Any

import faker
import numpy as np
import pandas as pd
import pytest

from modelcrate.errors import FormatError, ModelcrateError, UnsupportedError
from modelcrate.format import schema, values
from modelcrate.format.document import Fields
from modelcrate.legacy.families import rdt_columns, rdt_sources
from modelcrate.legacy.reader import read_for_conversion
from modelcrate.legacy.view import View
from modelcrate.tabular.columns import read_table_encoding
from modelcrate.tabular.draws import CounterDraws, LegacyDraws, Reversal
from modelcrate.tabular.randomstate import Twister
from modelcrate.tabular.sources import read_source
from modelcrate.tabular.table import Table

CORPUS = Path(__file__).resolve().parents[2] / "corpus" / "rdt" / "later"
LATEST = "1.22"
COLUMNS = ("numbers", "categories", "dates", "pseudo")
INPUTS = (9, 40)


@functools.cache
def archive(group: str, release: str) -> dict[str, bytes]:
    with tarfile.open(CORPUS / f"later_{release}_{group}.tar.xz") as file:
        return {member.name: file.extractfile(member).read() for member in file.getmembers()}  # type: ignore[union-attr]


@functools.cache
def corpus(group: str, release: str) -> dict[str, Any]:
    return json.loads(archive(group, release)["cases.json"])


def cases(group: str, release: str) -> dict[str, Any]:
    return corpus(group, release)["cases"]


def present(*groups: str) -> list[tuple[str, str]]:
    """(release, group) of every archive."""
    parts = [file.name.removesuffix(".tar.xz").split("_") for file in sorted(CORPUS.glob("*.tar.xz"))]
    return [(release, group) for _, release, group in parts if group in groups]


NAMES = [
    pytest.param(release, group, name, id=f"rdt{release}-{group}-{name}")
    for release, group in present(*COLUMNS)
    for name in cases(group, release)
]
MADE = [
    pytest.param(release, name, id=f"rdt{release}-{name}")
    for release, group in present("made")
    for name in cases(group, release)
]

CURVES = ("normal", "log", "clusters")
"""The last bit of these depends on the processor and on the release of NumPy or SciPy."""

FORWARD_DIFFERS = {
    # of these two the original takes a missing cell for a category that it never saw, and draws one at random
    "label_Int64",
    "uniform_category_none",
    # a crate holds no map from real values to pseudonyms
    "pseudo",
    "pseudo_digits",
}


def views(group: str, release: str, name: str) -> list[View]:
    return read_for_conversion(archive(group, release)[f"{name}.pkl"], name="sequence").root.items()


def chain(group: str, release: str, name: str) -> list[tuple[Any, dict[str, LegacyDraws], dict[str, Any]]]:
    """Each transformer of a column, first to last: encoding, generators, document."""
    found = []
    for view in views(group, release, name):
        document = rdt_columns.translate_column(view)
        states = {
            way: LegacyDraws(Twister.from_document(state, way).start())
            for way, state in rdt_columns.states_of(view).items()
        }
        found.append((read_table_encoding(Fields(document, "encoding")), states, document))
    return found


def told(value: object) -> list[str]:
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if value is None or value is pd.NaT or value is pd.NA:
        return ["missing", ""]
    if isinstance(value, (bool, np.bool_)):
        return ["bool", str(bool(value))]
    if isinstance(value, (int, np.integer)):
        return ["number", float(value).hex()]
    if isinstance(value, (float, np.floating)):
        return ["missing", ""] if np.isnan(value) else ["number", float(value).hex()]
    return ["stamp" if isinstance(value, pd.Timestamp) else type(value).__name__, str(value)]


def wanted(cell: list[str]) -> list[str]:
    """A cell of the corpus; whether a whole number is a float is decided by the table, not by its columns."""
    if cell[0] == "int":
        return ["number", float(int(cell[1])).hex()]
    return ["number", cell[1]] if cell[0] == "float" else cell


def numbers_of(cells: list[list[str]]) -> list[float]:
    return [float.fromhex(text) for kind, text in cells if kind == "number"]


def cell_of(kind: str, text: str) -> object:
    made = {
        "missing": lambda: None,
        "bool": lambda: text == "True",
        "int": lambda: int(text),
        "float": lambda: float.fromhex(text),
        "str": lambda: text,
        "stamp": lambda: pd.Timestamp(text),
        "date": lambda: datetime.date.fromisoformat(text),
        "Decimal": lambda: decimal.Decimal(text),
    }
    return made[kind]()


def modelled(case: dict, name: str) -> list[list[np.ndarray]]:
    """The modelled cells that the corpus was made of, call by call."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    low, high = (float.fromhex(end) for end in case["range"])
    found = []
    for rows in INPUTS:
        columns = [rng.normal(0.4, 0.6, rows) for _ in case["forward"][0][1]]
        columns[0] = low + (high - low) * columns[0]
        found.append(columns)
    return found


@pytest.mark.parametrize(("release", "group", "name"), NAMES)
def test_columns_come_back_as_in_the_original_twice_in_a_row(release, group, name):
    case = cases(group, release)[name]
    steps = chain(group, release, name)
    for columns, call in zip(modelled(case, name), case["calls"], strict=True):
        for encoding, states, _ in reversed(steps):
            assert len(columns) == encoding.outputs
            columns = [encoding.reverse(columns, Reversal(draws=states["reverse"]))]  # noqa: PLW2901
        found, expected = [told(value) for value in columns[0]], [wanted(cell) for cell in call["cells"]]
        if name.startswith(CURVES):
            assert [kind for kind, _ in found] == [kind for kind, _ in expected]
            assert numbers_of(found) == pytest.approx(numbers_of(expected), rel=1e-9)
        else:
            assert found == expected


@pytest.mark.parametrize(
    ("release", "group", "name"), [each for each in NAMES if each.values[2] not in FORWARD_DIFFERS]
)
def test_known_cells_are_encoded_as_in_the_original(release, group, name):
    steps = chain(group, release, name)
    inexact = name.startswith(CURVES)
    for cell, expected in cases(group, release)[name]["forward"]:
        found: list[Any] = [cell_of(*cell)]
        for encoding, states, _ in steps:
            found = encoding.forward(found[0], states["forward"])
        numbers = [float.fromhex(each) for each in expected]
        if inexact:
            assert np.array(found, dtype=float) == pytest.approx(np.array(numbers), rel=1e-9, nan_ok=True)
        else:
            assert np.array_equal(np.array(found, dtype=float), np.array(numbers), equal_nan=True)


def source_of(release: str, name: str) -> Any:
    (view,) = views("made", release, name)
    assert rdt_sources.is_source(view)
    return read_source(Fields(rdt_sources.translate_source(view), "source"))


@pytest.mark.parametrize("stored", ["", "/later"], ids=["fresh", "after-sampling"])
@pytest.mark.parametrize(("release", "name"), MADE)
def test_made_cells_are_those_of_the_original_call_after_call(release, name, stored):
    case = cases("made", release)[name]
    source = source_of(release, name + stored)
    if source.tag == "made_up" and corpus("made", release)["faker"] != faker.VERSION:
        pytest.skip(f"Faker {faker.VERSION} makes other values than that of the corpus")
    maker = source.resume()
    for call in case["later" if stored else "calls"]:
        assert [told(value) for value in maker.take(len(call))] == [wanted(cell) for cell in call]


ONCE = [each for each in MADE if each.values[0] == LATEST]


@pytest.mark.parametrize(("release", "name"), ONCE)
def test_fresh_cells_do_not_depend_on_how_many_are_taken_at_a_time(release, name):
    source = source_of(release, name)
    whole = source.start(Random(3)).take(60)
    maker = source.start(Random(3))
    parts = np.concatenate([maker.take(rows) for rows in (1, 7, 32, 20)])
    assert [told(value) for value in parts] == [told(value) for value in whole]
    if source.unique:
        assert len(set(whole)) == 60
    skipping = source.start(Random(3))
    skipping.skip(25)
    assert [told(value) for value in skipping.take(35)] == [told(value) for value in whole[25:]]


@pytest.mark.parametrize(("release", "name"), ONCE)
def test_fresh_cells_follow_their_rule(release, name):
    source = source_of(release, name)
    cells = pd.Series(source.start(Random(9)).take(400))
    missing = getattr(source, "missing", None) or 0.0
    assert abs(cells.isna().mean() - missing) < 0.08
    counts = cells.dropna().value_counts()
    rule = getattr(source, "rule", "unique")
    if rule == "unique":
        assert counts.max() == 1
    if rule == "match":
        assert len(counts) == source.distinct
    if rule == "scale" and getattr(getattr(source, "texts", None), "size", 400) >= 400:
        assert counts.iloc[:-1].isin(source.repeats.counts).mean() > 0.9


@pytest.mark.parametrize("release", [LATEST, "2.0"])
def test_a_table_of_them_all_is_what_its_schema_says_and_survives_its_bytes(release):
    columns, fields = [], []
    for group in COLUMNS:
        for name in cases(group, release):
            (view, *_) = views(group, release, name)
            columns.append(
                {
                    "name": f"{group} {name}",
                    "outputs": [f"{group} {output}" for output in rdt_columns.names_of(view)[1]],
                    "encoding": rdt_columns.translate_column(view),
                    "states": rdt_columns.states_of(view),
                }
            )
    for name in cases("made", release):
        for stored in ("", "/later"):
            (view,) = views("made", release, name + stored)
            fields.append(
                {
                    "name": name + stored,
                    "kind": "key",
                    "whole": False,
                    "dtype": "object",
                    "identifiers": None,
                    "anonymiser": None,
                    "source": rdt_sources.translate_source(view),
                }
            )
    constraints = {"constraints": [], "applied": []}
    document = {"fields": fields, "columns": columns, "constraints": constraints, "primary_key": []}
    table = Table.from_document(document, "table")
    state = table.to_document()
    schema.validate_state(state, Table.type_tag, "table")
    again = Table.from_document(values.decode(values.encode(state), where="table"), "table").to_document()
    assert values.encode(again) == values.encode(state)


@pytest.mark.parametrize(("release", "group", "name"), NAMES)
def test_columns_sample_by_a_counter_alone(release, group, name):
    case = cases(group, release)[name]
    steps = chain(group, release, name)
    found = []
    for _ in range(2):
        draws = CounterDraws(5, 0)
        columns = modelled(case, name)[1]
        for encoding, _, _ in reversed(steps):
            columns = [encoding.reverse(columns, Reversal(draws=draws))]
        found.append([told(value) for value in columns[0]])
    assert found[0] == found[1]


EXTREMES = np.array([np.nan, np.inf, -np.inf, 1e300, -1e300, 2.0**63, -(2.0**63), 1e-300, 0.0, -0.0, 0.5, 1.0, 1e9])


@pytest.mark.parametrize(("release", "group", "name"), [each for each in NAMES if each.values[0] == LATEST])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_whatever_a_network_makes_becomes_cells_or_an_error_of_the_tree(release, group, name):
    for encoding, _, _ in reversed(chain(group, release, name)):
        for columns in ([EXTREMES] * encoding.outputs, [EXTREMES.astype(np.float32)] * encoding.outputs):
            with contextlib.suppress(ModelcrateError):
                assert len(encoding.reverse(columns, Reversal(draws=CounterDraws(1, 2)))) == len(EXTREMES)
        none = [np.empty(0)] * encoding.outputs
        assert len(encoding.reverse(none, Reversal(draws=CounterDraws(1, 2)))) == 0
        for cell in (None, float("nan"), "", "never seen", 10**400, b"x", [], pd.Timestamp(0), True, 1e308):
            with contextlib.suppress(ModelcrateError):
                assert len(encoding.forward(cell, CounterDraws(1, 2))) == encoding.outputs


@pytest.mark.parametrize("name", ["pseudo", "pseudo_digits"])
def test_D24_pseudonyms_lose_the_map_to_the_values_that_they_stand_for(name):
    documents = [document for _, _, document in chain("pseudo", LATEST, name)]
    assert documents[0] == {"type": "identity"}
    assert b"person 1" not in values.encode({"documents": documents})
    assert len(documents[1]["categories"]) >= 20


def test_states_of_transformers_are_seeds_until_they_are_used():
    (view,) = views("made", LATEST, "scale")
    document = rdt_sources.translate_source(view)
    assert type(document["state"]) is int
    assert document["twisted"] == []
    (view,) = views("made", LATEST, "scale/later")
    document = rdt_sources.translate_source(view)
    assert set(document["state"]) == {"key", "position", "has_normal", "normal"}
    assert len(document["twisted"]) == 1
    assert len(document["seen"]) > 0


# -- what is refused, by its path


def change(view: View, **attributes: object) -> View:
    """The view with some attributes of the pickled object replaced."""
    pairs = view.node.states[0].pairs
    pairs[:] = [(key, attributes.get(key, value)) for key, value in pairs]
    pairs += [(key, value) for key, value in attributes.items() if key not in dict(pairs)]
    return view


ONE_OF_EACH = [
    ("numbers", "int64"), ("numbers", "normal_norm"), ("numbers", "clusters"), ("numbers", "logit"), ("numbers", "log"),
    ("numbers", "bool_none"), ("categories", "uniform_text"), ("categories", "ordered_uniform"),
    ("categories", "label_text"), ("categories", "ordered_label"), ("categories", "custom"),
    ("categories", "one_hot_text"), ("categories", "frequency_text"), ("dates", "days"), ("dates", "optimized"),
    ("pseudo", "pseudo"), ("made", "regex"), ("made", "index"), ("made", "id"), ("made", "email"),
]  # fmt: skip


def translate(view: View) -> dict[str, Any]:
    return rdt_sources.translate_source(view) if rdt_sources.is_source(view) else rdt_columns.translate_column(view)


@pytest.mark.parametrize(("group", "name"), ONE_OF_EACH)
def test_an_attribute_that_nobody_knows_is_refused_by_its_path(group, name):
    (view, *_) = views(group, LATEST, name)
    with pytest.raises(UnsupportedError, match=r"^sequence\[0\]: the attribute '_secret_scale'"):
        translate(change(view, _secret_scale=3))


@pytest.mark.parametrize(("group", "name"), ONE_OF_EACH)
def test_attributes_of_another_type_are_errors_of_the_tree(group, name):
    (view, *_) = views(group, LATEST, name)
    pairs = view.node.states[0].pairs
    before = list(pairs)
    read = read_source if rdt_sources.is_source(view) else read_table_encoding
    for attribute, _ in before:
        for junk in (None, True, "\x00", -1, 2**80, 1.5, []):
            try:
                read(Fields(translate(change(view, **{attribute: junk})), "document"))
            except (FormatError, UnsupportedError) as error:
                assert error.where  # noqa: PT017
            pairs[:] = before


@pytest.mark.parametrize(
    ("group", "name", "attribute", "value", "message"),
    [
        ("made", "regex", "cardinality_rule", "thrice", "rule"),
        ("made", "regex", "generation_order", "backwards", "order"),
        ("made", "email", "missing_value_generation", "from_column", "missing"),
        ("numbers", "int64", "computer_representation", "Int128", "Int128"),
        ("categories", "uniform_text", "missing_value_encoding", "drop", "drop"),
        ("dates", "days", "_timezone_offset", "Mars", "Mars|text|dates"),
    ],
)
def test_settings_that_nobody_knows_are_refused(group, name, attribute, value, message):
    (view, *_) = views(group, LATEST, name)
    with pytest.raises(UnsupportedError, match=message):
        translate(
            change(
                view, **{attribute: value, "enforce_min_max_values": False} if name == "int64" else {attribute: value}
            )
        )


def test_F2_a_provider_beyond_the_table_is_refused():
    for function in ("__class__", "seed_instance", "add_provider", "binary", "pyobject", "zip", "format"):
        (view,) = views("made", LATEST, "email")
        with pytest.raises(UnsupportedError, match="made-up value"):
            read_source(Fields(translate(change(view, function_name=function)), "source"))


def test_a_class_that_nobody_knows_is_refused_by_name():
    data = b"\x80\x02crdt.transformers.addons\nSecretEncoder\n)\x81}b."
    view = read_for_conversion(data, name="sequence").root
    assert not rdt_sources.is_source(view)
    for read in (rdt_columns.translate_column, rdt_sources.translate_source):
        with pytest.raises(UnsupportedError, match=r"rdt\.transformers\.addons\.SecretEncoder"):
            read(view)
