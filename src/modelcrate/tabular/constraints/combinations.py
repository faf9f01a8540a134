"""Fixed combinations: several columns take only the combinations of values that the training table had.

The model sees one label per combination. The labels are random and the combinations are kept in their order, so that
nothing here tells in which row a combination appeared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeAlias

import numpy as np
import pandas as pd

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields, kind_of
from modelcrate.format.values import Missing
from modelcrate.tabular.constraints.base import Constraint, column_name, column_names, mask
from modelcrate.tabular.constraints.casting import DATETIME

Cell: TypeAlias = Any
"""``None``, a boolean, integer, float (NaN too), text, ``pandas.Timestamp``, ``pandas.NaT``; numpy scalars as well."""

_COMBINATIONS_LIMIT: Final = 1_000_000
_INTEGERS: Final = (-(2**63), 2**64 - 1)
_ABSENT: Final = object()
_STRANGE: Final = object()
"""Stands for a cell that no combination holds, and that may not even be hashable."""
_SCALARS: Final = (str, bool, int, float, np.generic, pd.Timestamp, type(pd.NaT))


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedCombinations(Constraint):
    """``combinations[i]`` are the values, in the order of ``columns``, that ``labels[i]`` of column ``joint`` means."""

    tag: ClassVar[str] = "fixed_combinations"
    names: tuple[str, ...]
    joint: str
    labels: tuple[str, ...]
    combinations: tuple[tuple[Cell, ...], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return self.names

    @classmethod
    def from_document(cls, fields: Fields) -> FixedCombinations:
        names = column_names(fields, "columns", at_least=2)
        labels = fields.texts("labels", max_items=_COMBINATIONS_LIMIT)
        if list(labels) != sorted(set(labels)):
            raise FormatError("the labels must be sorted and distinct", where=fields.path("labels"))
        combinations: list[tuple[Cell, ...]] = []
        for where, row in fields.each("combinations", max_items=_COMBINATIONS_LIMIT):
            if type(row) is not list or len(row) != len(names):
                raise FormatError(f"expected a list of {len(names)} values, found {kind_of(row)}", where=where)
            combinations.append(tuple(_read_cell(value, f"{where}[{index}]") for index, value in enumerate(row)))
        if len(combinations) != len(labels):
            raise FormatError("there must be one label per combination", where=fields.path("combinations"))
        found = cls(names=names, joint=column_name(fields, "joint"), labels=labels, combinations=tuple(combinations))
        fields.finish()
        return found

    def to_document(self) -> dict[str, Any]:
        return {
            "type": self.tag,
            "columns": list(self.names),
            "joint": self.joint,
            "labels": list(self.labels),
            "combinations": [[_write_cell(cell) for cell in row] for row in self.combinations],
        }

    def allowed(self, names: Sequence[str]) -> dict[tuple[Cell, ...], None]:
        """The different cells that some of the columns have together in any combination, in their order."""
        places = [self.names.index(name) for name in names]
        return dict.fromkeys(tuple(row[place] for place in places) for row in self.combinations)

    def is_valid(self, frame: pd.DataFrame) -> pd.Series:
        """Missing values of any kind count as equal here, and so do equal numbers of different types."""
        allowed = {tuple(map(_comparable, row)) for row in self.combinations}
        columns = [map(_comparable, _cells(frame, name)) for name in self.names]
        return mask(frame, np.array([row in allowed for row in zip(*columns, strict=True)], dtype=bool))

    def _transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        labels = dict(zip(self.combinations, self.labels, strict=True))
        columns = [_cells(frame, name) for name in self.names]
        found = [labels.get(row) for row in zip(*columns, strict=True)]
        frame[self.joint] = pd.Series(found, index=frame.index, dtype=object)
        return frame.drop(columns=list(self.names))

    def _reverse(self, frame: pd.DataFrame) -> pd.DataFrame:
        """A label that stands for nothing (a missing one, say) leaves NaN in every column."""
        rows = dict(zip(self.labels, self.combinations, strict=True))
        found = [rows.get(label) if type(label) is str else None for label in _cells(frame, self.joint)]
        frame = frame.drop(columns=self.joint)
        for position, name in enumerate(self.names):
            frame[name] = _column([np.nan if row is None else row[position] for row in found], frame.index)
        return frame


def _cells(frame: pd.DataFrame, name: str) -> list[Cell]:
    if name not in frame.columns:
        raise FormatError(
            f"a constraint uses a column that the table does not have: {name!r}", where="table.constraints"
        )
    cells = frame[name].tolist()
    return [cell if cell is None or isinstance(cell, _SCALARS) else _STRANGE for cell in cells]


def _comparable(cell: Cell) -> object:
    return cell if cell is _STRANGE or not bool(pd.isna(cell)) else _ABSENT


def _column(cells: list[Cell], index: pd.Index) -> pd.Series:
    """A column of the dtype that pandas 1.5 finds for values taken out of tuples."""
    kinds = {_kind(cell) for cell in cells}
    if kinds == {"integer"}:
        return pd.Series(np.array(cells, dtype=np.int64), index=index)
    if kinds == {"boolean"}:
        return pd.Series(np.array(cells, dtype=np.bool_), index=index)
    if kinds & {"integer", "float", "nan"} and kinds <= {"integer", "float", "nan", "none"}:
        return pd.Series(np.array([np.nan if cell is None else float(cell) for cell in cells]), index=index)
    values = np.empty(len(cells), dtype=object)
    values[:] = cells
    return pd.Series(values, index=index, dtype=object)


def _kind(cell: Cell) -> str:
    if cell is None:
        return "none"
    if isinstance(cell, (bool, np.bool_)):
        return "boolean"
    if isinstance(cell, (int, np.integer)):
        return "integer" if -(2**63) <= cell < 2**63 else "other"
    if isinstance(cell, (float, np.floating)):
        return "nan" if np.isnan(cell) else "float"
    return "other"


def _read_cell(value: object, where: str) -> Cell:
    if value is None or type(value) in (bool, float, str):
        return value
    if type(value) is int:
        if not _INTEGERS[0] <= value <= _INTEGERS[1]:
            raise FormatError("an integer beyond 64 bits can't be a cell", where=where)
        return value
    if value is Missing.NAT:
        return pd.NaT
    if isinstance(value, np.datetime64) and value.dtype == DATETIME:
        return pd.Timestamp(value)
    if isinstance(value, np.generic) and value.dtype.kind in "biuf":
        return value
    raise FormatError(f"{kind_of(value)} can't be a cell", where=where)


def _write_cell(cell: Cell) -> object:
    if cell is pd.NaT:
        return Missing.NAT
    return cell.to_datetime64().astype(DATETIME) if isinstance(cell, pd.Timestamp) else cell
