"""Known cells that sampled rows must have: reading what the caller gave, and finding the rows that match."""

from __future__ import annotations

import math
import operator
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex, TypeAlias

import numpy as np
import pandas as pd

from modelcrate.errors import UsageError
from modelcrate.tabular.cells import is_missing, with_columns
from modelcrate.tabular.nearest import did_you_mean

Conditions: TypeAlias = "Mapping[str, Any] | Sequence[tuple[Mapping[str, Any], int]] | pd.DataFrame"
"""Known cells for all rows, a number of rows for each cell of one column, both together (``{"colour": {"green": 100,
"red": 50}, "vip": True}``), several sets of cells with a number of rows each, or a frame with one row each."""

TOLERANCE = 0.01
"""A float cell matches within this fraction of the known value, and is then set to it."""
ROWS_LIMIT = 10**9
FORMS = "expected a dict, a frame, or a list of (dict, rows)"


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Rows with the same known cells: the cells, and the rows' places in what the caller gave, shape (rows,)."""

    known: dict[str, object]
    places: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """So many rows, one after another, with the same known cells."""

    known: dict[str, object]
    rows: int


def read_runs(conditions: Any, rows: int | None, fields: Sequence[str]) -> list[Run]:
    """What the caller gave, unless it is a frame, in the caller's order.

    Raises :class:`UsageError` for an unknown column, a missing cell, no columns, or a number of rows that contradicts.
    """
    if isinstance(conditions, Mapping):
        runs = _counted(conditions, rows)
    elif isinstance(conditions, Sequence) and not isinstance(conditions, (str, bytes)):
        runs = [_pair(item) for item in conditions]
    else:
        raise UsageError(FORMS, where="conditions")
    _check_total(sum(run.rows for run in runs), rows)
    for run in runs:
        _check_columns(list(run.known), fields)
        for name, value in run.known.items():
            _check_cell(name, value)
    return runs


def read_frame(conditions: pd.DataFrame, rows: int | None, fields: Sequence[str]) -> pd.DataFrame:
    """A frame of known cells, checked as :func:`read_runs` does."""
    _check_total(len(conditions), rows)
    _check_columns(list(conditions.columns), fields)
    if bool(conditions.isna().to_numpy().any()):
        raise UsageError("a known cell is missing", where="conditions", hint="leave out what is not known")
    for name in conditions.columns:
        cells = conditions[name]
        try:
            cells.unique()
        except TypeError:
            raise UsageError("expected one cell in each row", where=f"conditions[{name!r}]") from None
        if cells.dtype.kind == "f" and bool(np.isinf(cells.to_numpy()).any()):
            raise UsageError("a known number is infinite", where=f"conditions[{name!r}]")
    return conditions


def read_conditions(conditions: Conditions, rows: int | None, fields: Sequence[str]) -> list[pd.DataFrame]:
    """What the caller gave as frames of known cells, one for each set of columns, as the original takes them.

    Raises as :func:`read_runs` does.
    """
    if isinstance(conditions, pd.DataFrame):
        return [read_frame(conditions, rows, fields)]
    by_columns: dict[tuple[str, ...], list[pd.DataFrame]] = {}
    for run in read_runs(conditions, rows, fields):
        cells = {
            name: pd.Series([value] * run.rows, dtype=None if run.rows else object) for name, value in run.known.items()
        }
        by_columns.setdefault(tuple(run.known), []).append(pd.DataFrame(cells, index=range(run.rows)))
    return [pd.concat(parts, ignore_index=True) for parts in by_columns.values()]


def _counted(conditions: Mapping[str, Any], rows: int | None) -> list[Run]:
    counts = [name for name, value in conditions.items() if isinstance(value, Mapping)]
    if len(counts) > 1:
        raise UsageError(
            f"numbers of rows for {counts[0]!r} and {counts[1]!r} do not say how often their cells meet",
            where="conditions",
            hint="give a list of (dict, rows), one for each combination",
        )
    if counts:
        ((name, cells),) = ((name, conditions[name]) for name in counts)
        return [Run({**conditions, name: value}, _count(count)) for value, count in cells.items()]
    if rows is None:
        raise UsageError("say how many rows to sample", where="n")
    return [Run(dict(conditions), rows)]


def _pair(item: object) -> Run:
    if not (isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], Mapping)):
        raise UsageError(FORMS, where="conditions")
    return Run(dict(item[0]), _count(item[1]))


def _count(given: object) -> int:
    try:
        count = operator.index(given) if isinstance(given, SupportsIndex) and not isinstance(given, bool) else -1
    except TypeError:  # an array of several numbers
        count = -1
    if not 0 <= count <= ROWS_LIMIT:
        hint = f"a number of rows is between 0 and {ROWS_LIMIT}"
        raise UsageError(f"{given!r} is no number of rows; {FORMS}", where="conditions", hint=hint)
    return count


def _check_total(total: int, rows: int | None) -> None:
    if rows is not None and rows != total:
        raise UsageError(f"the conditions are for {total} rows, not {rows}", where="n")
    if total > ROWS_LIMIT:
        raise UsageError(f"a number of rows is between 0 and {ROWS_LIMIT}", where="conditions")


def _check_columns(names: list[Any], fields: Sequence[str]) -> None:
    for name in names:
        if name not in fields:
            raise UsageError(f"no column is named {name!r}", where="conditions", hint=did_you_mean(name, fields))
    if not names:
        raise UsageError("no column is known", where="conditions")
    if len(set(names)) != len(names):
        raise UsageError("a column is named twice", where="conditions")


def _check_cell(name: str, value: object) -> None:
    where = f"conditions[{name!r}]"
    one = isinstance(value, Hashable) and not isinstance(value, (tuple, frozenset))
    if not one:
        raise UsageError(f"expected one cell, found a {type(value).__name__}", where=where)
    if is_missing(value):
        raise UsageError("a known cell is missing", where=where, hint="leave out what is not known")
    if isinstance(value, (float, np.floating)) and math.isinf(value):
        raise UsageError("a known number is infinite", where=where)


def groups(frame: pd.DataFrame) -> list[Group]:
    """The frame's rows by equal cells, ordered by them as the original orders them."""
    columns = list(frame.columns)
    if not columns:
        return [Group({}, np.arange(len(frame)))]
    found: list[Group] = []
    plain = frame.reset_index(drop=True)
    halves = [name for name in columns if plain[name].dtype == np.float16]  # pandas has no index of these
    plain = plain.astype(dict.fromkeys(halves, np.float32))
    alone = len(columns) == 1  # one column in a list gives a cell or a tuple, as the release of pandas will have it
    for key, part in plain.groupby(columns[0] if alone else columns, sort=True, dropna=True, observed=True):
        cells: Any = (key,) if alone else key
        found.append(Group(dict(zip(columns, cells, strict=True)), part.index.to_numpy()))
    return found


def fits(column: pd.Series, value: Any, *, name: str) -> np.ndarray:
    """Which cells are the known one, bool of shape (n,).

    A float is as good as equal within :data:`TOLERANCE` of the value, or of the column's own deviation where that is
    more, without which nothing ever were zero. Raises :class:`UsageError` where cells and value can't be compared.
    """
    room = None
    if column.dtype.kind == "f" and len(column) > 1:
        cells = column.to_numpy(dtype=np.float64, na_value=np.nan)
        deviation = float(cells[np.isfinite(cells)].std()) if np.isfinite(cells).any() else 0.0
        room = TOLERANCE * deviation
    return _compared(column, value, name, room=room)


def matching(frame: pd.DataFrame, known: Mapping[str, Any], *, signed: bool = False) -> pd.DataFrame:
    """The rows whose cells are the known ones as the original finds them; floats near it are set to it.

    ``signed``: as sdv 0.17 does, which computes the tolerance so that no row matches a negative value, and sets the
    column anew, whatever its precision was. Raises as :func:`fits` does.
    """
    for name, value in known.items():
        found = frame[_compared(frame[name], value, name, signed=signed)]
        if found[name].dtype.kind == "f":
            anew = pd.Series(value, index=found.index, dtype=np.float64)
            found = with_columns(found, {name: anew if signed else same_cells(found[name], value)})
        frame = found
    return frame


def same_cells(column: pd.Series, value: Any) -> pd.Series:
    """A column of floats that are all the known one, in its own dtype where that holds it."""
    try:
        held = pd.Series(value, index=column.index, dtype=column.dtype)
        if not len(held) or float(held.iloc[0]) == value:
            return held
    except (TypeError, ValueError, OverflowError):
        pass
    return pd.Series(value, index=column.index)


def _compared(
    column: pd.Series, value: Any, name: str, *, signed: bool = False, room: float | None = None
) -> np.ndarray:
    try:
        if column.dtype.kind == "f":
            share = value * TOLERANCE if signed else abs(value * TOLERANCE)
            found: Any = (column - value).abs() <= (share if room is None else max(share, room))
        else:
            found = column == value
        equal: np.ndarray = found.fillna(False).to_numpy(dtype=bool)
        return equal
    except (TypeError, ValueError, OverflowError):
        where = f"conditions[{name!r}]"
        raise UsageError(f"{value!r} can't be compared with {column.dtype}", where=where) from None
