"""The JSON with type tags that describes an object in the corpus, made from what the reader found."""

from __future__ import annotations

import datetime
import decimal
import fractions
import json
import pathlib
import uuid
from pathlib import Path

import numpy as np

from modelcrate.format.values import Missing
from modelcrate.legacy.values.extension import Categorical, ExtensionData, ScalarData
from modelcrate.legacy.values.frames import FrameData, IndexData, SeriesData
from modelcrate.legacy.values.plain import MappingData, NameData, SetData
from modelcrate.legacy.values.special import GeneratorData, MaskedData

CORPUS = Path(__file__).parent.parent / "corpus"


def expected(folder: str, name: str) -> object:
    """What a file of the corpus holds, references written out, identities left out."""
    document = json.loads((CORPUS / folder / f"{name}.expected.json").read_text())
    return _resolved(document["content"], {})


def _resolved(value: object, known: dict[int, object]) -> object:
    if isinstance(value, list):
        return [_resolved(item, known) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("type") == "ref":
        return known.get(value["id"], "cycle")
    made = {key: _resolved(item, known) for key, item in value.items() if key != "id"}
    if "id" in value:
        known[value["id"]] = made
    return made


def tag(value: object) -> object:
    """The tagged form of a value that the reader made."""
    if value is None or isinstance(value, bool) or type(value) is str:
        return value
    if type(value) is int:
        return value if abs(value) < 2**53 else {"type": "int", "value": str(value)}
    if type(value) is float:
        return {"type": "float", "value": repr(value), "hex": value.hex()}
    if type(value) is complex:
        return {"type": "complex", "real": repr(value.real), "imag": repr(value.imag)}
    if type(value) is bytes:
        return {"type": "bytes", "hex": value.hex()}
    if type(value) is bytearray:
        return {"type": "bytearray", "hex": bytes(value).hex()}
    if isinstance(value, (list, tuple)):
        return {"type": type(value).__name__, "items": [tag(item) for item in value]}
    if isinstance(value, dict):
        return {"type": "dict", "items": [[tag(key), tag(item)] for key, item in value.items()]}
    if isinstance(value, MappingData):
        items: dict[str, list[object]] = {repr(tag(key)): [tag(key), tag(item)] for key, item in value.pairs}
        return {"type": value.kind, "items": list(items.values())}
    if isinstance(value, SetData):
        items_ = sorted({repr(tag(item)): tag(item) for item in value.items}.values(), key=repr)
        return {"type": "frozenset" if value.frozen else "set", "items": items_}
    if value is Missing.NAT or value is Missing.NA:
        return {"type": "NaT" if value is Missing.NAT else "pandas.NA"}
    for describe in (_time, _numpy, _pandas):
        found = describe(value)
        if found is not None:
            return found
    if isinstance(value, (decimal.Decimal, fractions.Fraction, uuid.UUID, pathlib.PurePath)):
        kind = type(value)
        return {"type": f"{kind.__module__.partition('.')[0]}.{kind.__name__}", "value": str(value)}
    if isinstance(value, (range, slice)):
        return {"type": type(value).__name__, "items": [tag(part) for part in (value.start, value.stop, value.step)]}
    if isinstance(value, NameData):
        short = value.name.rpartition(".")[2]
        return {"type": short} if short in ("Ellipsis", "NotImplemented") else {"type": "name", "name": value.name}
    raise TypeError(type(value))


def _time(value: object) -> object:
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return {
            "type": f"datetime.{type(value).__name__}",
            "value": value.isoformat(),
            "tz": str(getattr(value, "tzinfo", None)),
            "fold": getattr(value, "fold", None),
        }
    if isinstance(value, datetime.timedelta):
        return {
            "type": "datetime.timedelta",
            "days": value.days,
            "seconds": value.seconds,
            "microseconds": value.microseconds,
        }
    return None


def _dtype(dtype: np.dtype[np.generic]) -> object:
    if dtype.names is not None or dtype.subdtype is not None:
        return {"descr": repr(dtype.descr), "itemsize": dtype.itemsize}
    return "|O" if dtype.hasobject else dtype.str


def _values(array: np.ndarray) -> list[object]:
    flat = np.asarray(array).ravel(order="C")
    if flat.dtype.kind in "mM":
        return [str(item) for item in flat]
    if flat.dtype.kind == "O":
        return [tag(item) for item in flat]
    if flat.dtype.kind == "V":
        if flat.dtype.names is None:
            return [bytes(item).hex() for item in flat]
        return [[_values(np.asarray(row[name])) for name in flat.dtype.names] for row in flat]
    if flat.dtype.kind == "S":
        return [item.hex() for item in flat.tolist()]
    if flat.dtype.kind in "fc":
        if flat.dtype.itemsize > 8 and flat.dtype.kind == "f":
            return [str(item) for item in flat]
        return [repr(item.item() if hasattr(item, "item") else item) for item in flat]
    return list(flat.tolist())


def _numpy(value: object) -> object:
    if isinstance(value, np.dtype):
        return {"type": "numpy.dtype", "value": _dtype(value)}
    if isinstance(value, np.generic):
        array = np.asarray(value)
        return {"type": "numpy.scalar", "dtype": _dtype(array.dtype), "value": _values(array)[0]}
    if isinstance(value, np.ndarray):
        return {
            "type": "ndarray",
            "dtype": _dtype(value.dtype),
            "shape": list(value.shape),
            "fortran": bool(value.flags.f_contiguous and not value.flags.c_contiguous),
            "values": _values(value),
        }
    if isinstance(value, MaskedData):
        found = _numpy(value.values)
        assert isinstance(found, dict)
        return {**found, "type": "numpy.ma.MaskedArray", "mask": value.mask.ravel().tolist()}
    if isinstance(value, GeneratorData):
        return {"type": f"numpy.random.{value.kind}", "state": tag(value.state)}
    return None


def _column(column: object) -> dict[str, object]:
    if isinstance(column, Categorical):
        return {
            "dtype": "category",
            "categories": [tag(label) for label in column.categories.labels()],
            "ordered": column.ordered,
            "codes": column.codes.tolist(),
        }
    if isinstance(column, ExtensionData):
        return {"dtype": column.dtype, "values": [tag(item) for item in column.tolist()]}
    if isinstance(column, range):
        return {"dtype": "int64", "values": list(column)}
    assert isinstance(column, np.ndarray)
    kind = column.dtype.kind
    if kind in "mM":
        return {"dtype": column.dtype.name, "values": [str(item) for item in column.ravel()]}
    return {"dtype": column.dtype.name, "values": [tag(item) for item in column.tolist()]}


def _pandas(value: object) -> object:
    if isinstance(value, FrameData):
        columns = [_column(column) for _, column in value.columns]
        return {"type": "DataFrame", "index": tag(value.index), "data": columns,
                "columns": [tag(label) for label, _ in value.columns]}  # fmt: skip
    if isinstance(value, SeriesData):
        return {"type": "Series", "name": tag(value.name), "index": tag(value.index), **_column(value.values)}
    if isinstance(value, IndexData):
        if isinstance(value.values, tuple):
            return {"type": value.kind, "tuples": [[tag(item) for item in row] for row in value.labels()]}  # type: ignore[attr-defined]
        return {"type": value.kind, "name": tag(value.name), **_column(value.values)}
    if isinstance(value, (Categorical, ExtensionData)):
        return {"type": type(value).__name__, **_column(value)}
    if isinstance(value, ScalarData):
        return {"type": f"pandas.{value.kind}", "parts": [tag(part) for part in value.parts]}
    return None
