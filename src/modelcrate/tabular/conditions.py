"""Known cells that sampled rows must have: grouping what the caller gave, and keeping the rows that match."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from modelcrate.errors import UsageError

Conditions: TypeAlias = "Mapping[str, Any] | Sequence[tuple[Mapping[str, Any], int]] | pd.DataFrame"
"""One set of known cells for all rows, several with a number of rows each, or a frame with one row each."""

TOLERANCE = 0.01
"""A float cell matches within this fraction of the known value, and is then set to it."""


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Rows with the same known cells: the cells, and the rows' places in what the caller gave, shape (rows,)."""

    known: dict[str, object]
    places: np.ndarray


def read_conditions(conditions: Conditions, rows: int | None, fields: Sequence[str]) -> list[pd.DataFrame]:
    """What the caller gave as frames of known cells, one for each set of columns, in the caller's order.

    Raises :class:`UsageError` for an unknown column, a missing cell, no columns, or a number of rows that contradicts.
    """
    if isinstance(conditions, pd.DataFrame):
        frames = [conditions]
        total = len(conditions)
    else:
        frames, total = _frames(conditions, rows)
    if rows is not None and rows != total:
        raise UsageError(f"the conditions are for {total} rows, not {rows}", where="n")
    for frame in frames:
        for name in frame.columns:
            if name not in fields:
                hint = f"columns: {', '.join(fields)}"
                raise UsageError(f"no column is named {name!r}", where="conditions", hint=hint)
        if not len(frame.columns):
            raise UsageError("no column is known", where="conditions")
        if bool(frame.isna().to_numpy().any()):
            raise UsageError("a known cell is missing", where="conditions", hint="leave out what is not known")
    return frames


def _frames(conditions: Any, rows: int | None) -> tuple[list[pd.DataFrame], int]:
    if isinstance(conditions, Mapping):
        if rows is None:
            raise UsageError("say how many rows to sample", where="n")
        pairs: list[tuple[Mapping[str, Any], int]] = [(conditions, rows)]
    else:
        pairs = []
        for item in conditions:
            well_formed = isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], Mapping)
            if not well_formed or not isinstance(item[1], int) or item[1] < 0:
                raise UsageError("expected a dict, a frame, or a list of (dict, rows)", where="conditions")
            pairs.append(item)
    by_columns: dict[tuple[str, ...], list[pd.DataFrame]] = {}
    for known, count in pairs:
        cells = {name: pd.Series([value] * count, dtype=None if count else object) for name, value in known.items()}
        by_columns.setdefault(tuple(known), []).append(pd.DataFrame(cells, index=range(count)))
    frames = [pd.concat(parts, ignore_index=True) for parts in by_columns.values()]
    return frames, sum(count for _, count in pairs)


def groups(frame: pd.DataFrame) -> list[Group]:
    """The frame's rows by equal cells, ordered by them as the original orders them."""
    columns = list(frame.columns)
    found: list[Group] = []
    plain = frame.reset_index(drop=True)
    for key, part in plain.groupby(columns, sort=True, dropna=True):
        cells = key if isinstance(key, tuple) else (key,)
        found.append(Group(dict(zip(columns, cells, strict=True)), part.index.to_numpy()))
    return found


def matching(frame: pd.DataFrame, known: Mapping[str, Any], *, signed: bool = False) -> pd.DataFrame:
    """The rows whose cells are the known ones; floats within a tolerance, and then set to them.

    ``signed``: as the original computes the tolerance, which lets no row match a negative value.
    Raises :class:`UsageError` where a value can't be compared with its column.
    """
    for name, value in known.items():
        column = frame[name]
        try:
            if column.dtype.kind == "f":
                room = value * TOLERANCE
                frame = frame[(column - value).abs() <= (room if signed else abs(room))].assign(**{name: value})
            else:
                frame = frame[(column == value).to_numpy(dtype=bool)]
        except (TypeError, ValueError):
            where = f"conditions[{name!r}]"
            raise UsageError(f"{value!r} can't be compared with {column.dtype}", where=where) from None
    return frame
