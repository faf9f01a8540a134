"""Crates and torch files that no training makes: smallest inputs of faults that mutations of whole crates found."""

from __future__ import annotations

import datetime
import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import modelcrate
from modelcrate.disclosure import disclosed_by
from modelcrate.errors import FormatError, ModelcrateError, UnsupportedError, UsageError
from modelcrate.legacy.export import _weights, export
from modelcrate.tabular.draws import CounterDraws, Reversal
from modelcrate.tabular.series.layout import settle
from modelcrate.tabular.table import Table
from modelcrate.tabular.transformer import Transformer

NUMBER: dict[str, Any] = {"type": "number", "dtype": "float64", "missing": None, "digits": None, "learns_digits": False,
                          "minimum": None, "maximum": None}  # fmt: skip


def table(encoding: dict[str, Any], **changes: Any) -> Table:
    """A table of one column ``a``, encoded so."""
    field = {"name": "a", "kind": "number", "whole": False, "dtype": "float64", "identifiers": None, "anonymiser": None}
    document = {
        "fields": [field],
        "columns": [{"name": "a", "outputs": ["a"], "encoding": encoding}],
        "constraints": {"constraints": [], "applied": []},
        "primary_key": [],
    }
    return Table.from_document({**document, **changes}, "table")


def reversed_cells(made: Table, cells: np.ndarray) -> Any:
    how = Reversal(draws=CounterDraws(1, 1))
    return made.reverse({"a": cells}, len(cells), how, Random(1))


@pytest.mark.parametrize("cells", [["blue", "red"], [None, {}], [10**400, 1]], ids=["texts", "objects", "huge"])
def test_C27_modelled_cells_that_its_encoding_does_not_take(cells: list[Any]) -> None:
    """The transformer may give texts where the table's encoding wants numbers: each document is right by itself."""
    with pytest.raises(FormatError, match="column 'a'"):
        reversed_cells(table(NUMBER), np.array([*cells, None], dtype=object)[:-1])


@pytest.mark.parametrize("name", [np.arange(3), np.zeros(0), [1], {"a": 1}, 3.5, ""])
def test_a_name_that_is_none_has_no_column(name: Any) -> None:
    found = list(disclosed_by("table", "tabular.table/1", {"columns": [{"name": name, "something": 4}]}))
    assert ("", 1) in [(item.column, item.count) for item in found]


class View:
    """Pickled, four items of the dtype at the beginning of storage ``0``."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype

    def __reduce__(self) -> tuple[Any, ...]:
        return torch._utils._rebuild_tensor_v3, (STORAGE, 0, (4,), (1,), False, OrderedDict(), self.dtype)


STORAGE = object()


class Pickler(pickle._Pickler):
    def persistent_id(self, item: object) -> Any:
        return ("storage", torch.storage.UntypedStorage, "0", "cpu", 16) if item is STORAGE else None


def torch_file(path: Path, value: object) -> Path:
    """A file of ``torch.save`` with one untyped storage of 16 zeros."""
    stream = io.BytesIO()
    Pickler(stream, 2).dump(value)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in (("data.pkl", stream.getvalue()), ("data/0", bytes(16)), ("version", b"3\n")):
            archive.writestr(f"archive/{name}", data)
    return path


def test_one_storage_of_two_dtypes_is_not_for_torch(tmp_path: Path) -> None:
    """A crate of it is fine; ``torch.save`` refuses it, and nothing is left behind."""
    source = torch_file(tmp_path / "mixed.pt", {"a": View(torch.float32), "b": View(torch.int32)})
    modelcrate.convert(source, tmp_path / "mixed.crate")
    assert modelcrate.load(tmp_path / "mixed.crate")["b"].dtype == torch.int32
    with pytest.raises(UnsupportedError, match="as different types"):
        export(source, tmp_path / "out.pt", to="torch")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mixed.crate", "mixed.pt"]


def test_what_a_constraint_can_not_do_is_told_with_its_columns() -> None:
    """Its document is right, and the table has other cells than it wants."""
    positive = {"type": "positive", "column": "a", "difference": "b", "strict": False, "dtype": "float64"}
    made = table(NUMBER, constraints={"constraints": [positive], "applied": [False]})
    frame = pd.DataFrame({"a": [object(), object()]})
    with pytest.raises(FormatError) as caught:
        made.constraints.filter_valid(frame)
    assert caught.value.where == "constraint 'positive' on a"


def test_categories_that_are_none_of_their_dtype() -> None:
    """A document whose every field is right by itself."""
    binary = {"type": "binary", "dtype": "int64", "digits": 2, "categories": ["a", "b"], "fallbacks": []}
    columns = [{"name": "a", "dtype": "int64", "encoding": binary}]
    made = Transformer.from_document({"columns": columns}, "transformer")
    with pytest.raises(FormatError, match="transformer column 'a'"):
        made.inverse(np.ones((2, 2), dtype=np.float32), Reversal(draws=CounterDraws(1, 1)))


def test_ties_that_are_none_are_left_out_of_an_export() -> None:
    part = SimpleNamespace(tensors={"w": torch.zeros(1)}, has_state=True)
    part.state = {"ties": {"a": [], "b": {}, "c": None, "d": "w", "e": "nowhere"}}
    assert set(_weights(part)) == {"w", "d"}


def test_a_known_cell_that_no_network_takes_is_told_with_its_column() -> None:
    once = {"means": np.zeros(1), "deviations": np.ones(1), "scales": np.ones(1), "offsets": np.ones(1)}
    modes = {"type": "mode_specific", **once, "used": np.ones(1, dtype=bool), "number": NUMBER}
    made = Transformer.from_document({"columns": [{"name": "a", "dtype": "float64", "encoding": modes}]}, "transformer")
    with pytest.raises(UsageError) as caught:
        made.condition({"a": "text"}, CounterDraws(1, 1))
    assert caught.value.where == "conditions['a']"


@pytest.mark.parametrize("zone", [None, datetime.timezone.utc])
@pytest.mark.parametrize("year", [1, 9999])
def test_dates_that_nanoseconds_do_not_hold_stay_objects(year: int, zone: datetime.timezone | None) -> None:
    given = [datetime.datetime(2020, 1, 1, tzinfo=zone), datetime.datetime(year, 12, 31, tzinfo=zone)]
    dates = np.array(given, dtype=object)
    for cells in (dates, dates[:1]):
        found = settle(cells, dates, numeric=True, discrete=False, faithful=False)
        assert list(found) == list(cells)
        assert found.dtype == object


# -- live objects


class Trouble(Exception):
    """Whatever a stranger's object raises."""


def trouble(*_: Any, **__: Any) -> Any:
    raise Trouble


class LyingClass:
    __class__ = property(lambda _: dict)  # type: ignore[assignment]


class RaisingClass:
    __class__ = property(trouble)  # type: ignore[assignment]


class RaisingMeta(type):
    def __getattribute__(cls, name: str) -> Any:
        return trouble() if name in ("__module__", "__name__") else super().__getattribute__(name)


class RaisingKind(metaclass=RaisingMeta):
    pass


class RaisingMapping(dict[str, Any]):
    values = trouble


class RaisingTensor(torch.Tensor):
    __torch_function__ = classmethod(trouble)  # type: ignore[assignment]


def changed_linear(**changes: Any) -> torch.nn.Module:
    module = torch.nn.Linear(2, 2)
    vars(module).update(changes)
    return module


LIVE: dict[str, Callable[[], object]] = {
    "a class that lies": LyingClass,
    "a class that raises": RaisingClass,
    "a metaclass that raises": RaisingKind,
    "a mapping that raises": lambda: RaisingMapping(a=1),
    "a tensor that raises": lambda: changed_linear(_buffers={"b": torch.zeros(2).as_subclass(RaisingTensor)}),
    "a number as a parameter": lambda: changed_linear(_parameters={"weight": 5}),
    "no parameters": lambda: changed_linear(_parameters=None),
    "a number as a module": lambda: changed_linear(_modules={"x": 3}),
    "a number as a name": lambda: changed_linear(_modules={3: torch.nn.Identity()}),
    "a nested tensor": lambda: {"a": torch.nested.nested_tensor([torch.ones(1)])},
}


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("name", LIVE)
def test_whatever_a_live_object_does_is_an_error_of_ours(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelcrateError) as caught:
        modelcrate.save(LIVE[name](), tmp_path / "live.crate")
    assert caught.value.where
    assert not list(tmp_path.iterdir())
