"""Values out of pickles against what the libraries that wrote them say is in them."""

from __future__ import annotations

import numpy as np
import pytest
from pickled import named, text
from tagged import CORPUS, expected, tag

from modelcrate.errors import FormatError, LimitError, ModelcrateError, UnsupportedError
from modelcrate.legacy.context import Context
from modelcrate.legacy.machine import read_pickle
from modelcrate.legacy.read import values_of
from modelcrate.legacy.record import Record
from modelcrate.legacy.values.plain import value_of
from modelcrate.legacy.view import View

FILES = sorted(path.stem for path in (CORPUS / "values").glob("*.pkl"))


def view(name: str) -> View:
    data = (CORPUS / "values" / f"{name}.pkl").read_bytes()
    return View(read_pickle(data).root, name, Context(size=len(data)))


def entries(name: str) -> dict[str, object]:
    document = expected("values", name)
    assert isinstance(document, dict)
    return dict(document["items"])


NUMPY = [name for name in FILES if name.startswith("numpy")]
PANDAS = [name for name in FILES if name.startswith("pandas")]
SKLEARN = [name for name in FILES if name.startswith("sklearn")]
PYTHON = [name for name in FILES if name.startswith("python")]


@pytest.mark.parametrize("name", NUMPY)
def test_numpy_values(name: str) -> None:
    wanted, found = entries(name), view(name).mapping()
    assert list(wanted) == list(found)
    for key, original in wanted.items():
        value = original
        if key in ("classes", "ufuncs"):  # references to code, whose names the graph gives
            continue
        made = tag(found[key].value())
        if key == "recarray":
            assert isinstance(value, dict)
            value = {**value, "type": "ndarray"}
        if key == "masked":
            assert isinstance(value, dict)
            value = {part: content for part, content in value.items() if part != "fill_value"}
            value["type"] = "numpy.ma.MaskedArray"  # numpy.ma.core until 1.x
        if key == "random_state":
            state = found[key].value().state  # type: ignore[attr-defined]
            made = tag(("MT19937", state["state"]["key"], state["state"]["pos"], state["has_gauss"], state["gauss"]))
            assert isinstance(value, dict)
            value = value["state"]
        assert made == value, key


@pytest.mark.parametrize("name", PANDAS)
def test_pandas_values(name: str) -> None:
    wanted, found = entries(name), view(name).mapping()
    assert list(wanted) == list(found)
    compared = 0
    for key, value in wanted.items():
        if key in ("frame", "indexed", "empty", "columns_only", "int_columns", "multi_columns", "nullable"):
            frame = found[key].frame()
            assert isinstance(value, dict)
            assert len(frame.columns) == len(value["data"]), key
            for (_, column), data in zip(frame.columns, value["data"], strict=True):
                _same_column(column, data, key)
            labels = value["columns"].get("values", value["columns"].get("tuples"))
            assert [_plain(tag(label)) for label, _ in frame.columns] == labels, key
        elif key in ("series", "object_series", "tz", "tz_utc", "sparse"):
            _same_column(found[key].series().values, value, key)
        elif key == "categorical":
            _same_column(found[key].value(), value, key)
        elif key == "index":
            assert isinstance(value, dict)
            for item, data in zip(found[key].items(), value["items"], strict=True):
                index = item.index()
                assert index.kind == data["type"] or data["type"] in ("Int64Index", "Float64Index", "UInt64Index")
                if "values" in data and not isinstance(index.values, tuple):
                    assert len(index) == len(data["values"])
        elif key in ("nat", "na"):
            assert tag(found[key].value()) == value
        else:
            compared += 1
    assert compared < 12


def _plain(label: object) -> object:
    return label["items"] if isinstance(label, dict) and label.get("type") == "tuple" else label


def _unboxed(item: object) -> object:
    if isinstance(item, dict) and item["type"] in ("numpy.scalar", "float"):
        return float(item["value"])
    return float(item) if type(item) is int else item


def _same_column(column: object, data: object, key: str) -> None:
    from tagged import _column

    made = _column(column)
    assert isinstance(data, dict)
    if data["dtype"] == "string":
        assert made["values"] == data["values"], key
        return
    if str(data["dtype"]).startswith("datetime64"):
        assert made["dtype"] == data["dtype"], key
        return
    if str(data["dtype"]).startswith("Sparse"):
        assert made["values"] == [item["value"] if isinstance(item, dict) else item for item in data["values"]]
        return
    if str(data["dtype"])[0].isupper() or data["dtype"] == "boolean":  # nullable: numbers as NumPy scalars there
        plain = [_unboxed(item) for item in data["values"]]
        assert (made["dtype"], [_unboxed(item) for item in made["values"]]) == (data["dtype"], plain), key
        return
    for part in ("dtype", "values", "codes", "categories", "ordered"):
        if part in data:
            assert made[part] == data[part], (key, part)


@pytest.mark.parametrize("name", SKLEARN)
def test_estimators_are_maps_of_attributes(name: str) -> None:
    document = view(name)
    wanted = entries(name)
    compared = 0
    for key, item in document.mapping().items():
        value = wanted[key]
        if key == "forest":
            continue  # a tree of Cython objects
        described = values_of(item, aligned=True)
        assert isinstance(described, Record)
        assert isinstance(value, dict)
        assert described.class_name == value["class"]
        for attribute, content in value["state"].items():
            if isinstance(content, dict) and content.get("type") in ("ndarray", "numpy.scalar", "float"):
                assert tag(described.attributes[attribute]) == content, (key, attribute)
                compared += 1
    assert compared > 40


@pytest.mark.parametrize("name", PYTHON)
def test_python_values(name: str) -> None:
    wanted, found = entries(name), view(name).mapping()
    skipped = {
        "types", "functions", "point", "row", "colour", "level", "flags", "text_enum", "config", "stateful", "reduced",
        "slots", "newargs", "mydict", "mylist", "exception", "chain", "default", "default_int", "frozen",
    }  # fmt: skip
    for key, original in wanted.items():
        value = original
        if key in skipped:
            values_of(found[key])
            continue
        if key in ("deque",):
            assert isinstance(value, dict)
            assert tag(found[key].value()) == {"type": "list", "items": value["items"]}
            continue
        made = tag(found[key].value())
        if key == "fold" and name[-1] in "012":  # only protocols 4 and 5 keep it
            assert isinstance(value, dict)
            value = {**value, "fold": 0}
        if isinstance(value, dict) and str(value["type"]).startswith("collections."):
            assert isinstance(made, dict)
            assert made["items"] == value["items"], key
            continue
        assert made == value, key


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("recursion")])
def test_recursive_values_are_described_and_refused_as_plain_values__A47(name: str) -> None:
    document = view(name)
    described = values_of(document)
    assert described is not None
    with pytest.raises(ModelcrateError):
        document.value()


def converted(data: bytes) -> object:
    return value_of(read_pickle(data).root, Context(size=len(data)), "value")


DTYPE = (
    named("numpy", "dtype") + text("f8") + b"\x89\x88\x87R(K\x03" + text("<")
    + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
)  # fmt: skip


def array(
    state: bytes, *, kind: bytes = b"cnumpy\nndarray\n", shape: bytes = b"K\x00\x85", code: bytes = b"C\x01b"
) -> bytes:
    return b"\x80\x04cnumpy.core.multiarray\n_reconstruct\n" + kind + shape + code + b"\x87R" + state + b"b."


GOOD = b"(K\x01K\x02\x85" + DTYPE + b"\x89C\x10" + bytes(16) + b"t"


def test_an_array_by_hand() -> None:
    found = converted(array(GOOD))
    assert found.tolist() == [0.0, 0.0]  # type: ignore[attr-defined]


def test_moments_and_spans_as_pandas_up_to_1_3_wrote_them() -> None:
    moment = named("pandas._libs.tslibs.timestamps", "Timestamp") + b"\x8a\x08" + (10**18).to_bytes(8, "little")
    span = named("pandas._libs.tslibs.timedeltas", "Timedelta") + b"K\x07\x85R."
    assert converted(moment + b"NN\x87R.") == np.datetime64(10**18, "ns")
    assert converted(span) == np.timedelta64(7, "ns")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(array(GOOD, kind=b"cnumpy\nmemmap\n"), id="A28-subtype"),
        pytest.param(
            named("pandas._libs.tslibs.timestamps", "Timestamp") + text("now") + b"NN\x87R.", id="moment-by-text"
        ),
        pytest.param(array(GOOD, shape=b"K\x01\x85"), id="A28-shape"),
        pytest.param(array(GOOD, code=b"C\x01x"), id="A28-code"),
        pytest.param(array(b"(K\x01K\x02\x85" + DTYPE + b"\x89t"), id="A29-length"),
        pytest.param(array(b"(K\x01K\x03\x85" + DTYPE + b"\x89C\x10" + bytes(16) + b"t"), id="A29-short"),
        pytest.param(array(b"(K\x01K\x01\x85" + DTYPE + b"\x89C\x10" + bytes(16) + b"t"), id="A29-long"),
        pytest.param(
            array(b"(K\x01J\xff\xff\xff\xff\x85" + DTYPE + b"\x89C\x10" + bytes(16) + b"t"), id="A29-negative"
        ),
        pytest.param(array(b"(K\x01K\x02\x85" + DTYPE + b"\x8c\x01xC\x10" + bytes(16) + b"t"), id="A29-order"),
        pytest.param(array(b"(K\x01K\x02\x85" + DTYPE + b"\x89](NNet"), id="A29-objects"),
        pytest.param(b"cnumpy.core.multiarray\nscalar\n" + DTYPE + b"C\x03abc\x86R.", id="A31-short"),
        pytest.param(named("numpy", "dtype") + text("O8") + b"\x89\x88\x87R" + b"K\x01b.", id="A30-state"),
        pytest.param(named("numpy", "dtype") + text("zz") + b"\x89\x88\x87R.", id="A30-code"),
        pytest.param(b"cdatetime\ndate\nC\x02ab\x85R.", id="date"),
        pytest.param(b"cdatetime\ndate\nC\x04\xff\xff\xff\xff\x85R.", id="date-range"),
        pytest.param(b"cdecimal\nDecimal\n" + text("1_0") + b"\x85R.", id="decimal"),
        pytest.param(b"cfractions\nFraction\n" + text("1e999999999") + b"\x85R.", id="fraction"),
        pytest.param(b"ccollections\nOrderedDict\n)R}" + text("items") + text("x") + b"sb.", id="A26"),
        pytest.param(b"cos\nsystem\n" + text("x") + b"\x85R.", id="A1"),
        pytest.param(b"]q\x00h\x00a.", id="A47-list"),
        pytest.param(b"}q\x00" + text("k") + b"h\x00s.", id="A47-dict"),
        pytest.param(b"]" * 500 + b"a" * 499 + b".", id="H7"),
    ],
)
def test_arguments_that_no_library_writes_are_refused(data: bytes) -> None:
    with pytest.raises((FormatError, UnsupportedError, LimitError)):
        converted(data)


def test_shared_parts_stay_shared_and_cost_nothing__H4() -> None:
    data = b"\x80\x04]\x94" + b"".join(b"0](" + b"h%c" % index * 10 + b"e\x94" for index in range(12)) + b"."
    found = converted(data)
    for _ in range(11):
        assert isinstance(found, list)
        assert all(item is found[0] for item in found)
        found = found[0]


def test_arrays_together_stay_within_a_multiple_of_the_file() -> None:
    shared = b"cnumpy.core.numeric\n_frombuffer\n(B" + (1 << 22).to_bytes(4, "little") + bytes(1 << 22) + DTYPE
    shape = b"J" + (1 << 19).to_bytes(4, "little") + b"\x85"
    data = b"\x80\x04" + shared + shape + text("C") + b"tR."
    assert converted(data).nbytes == 1 << 22  # type: ignore[attr-defined]
