"""Crates and torch files that no training makes: smallest inputs of faults that mutations of whole crates found."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch

import modelcrate
from modelcrate.disclosure import disclosed_by
from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.legacy.export import export
from modelcrate.tabular.draws import CounterDraws, Reversal
from modelcrate.tabular.table import Table

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
