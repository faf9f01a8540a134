"""Known cells as their columns hold them: a date for a text that is one, a float for a whole number in a float column.

What a column can't hold at all is an error here, before any row is made, instead of a search without end.
"""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from modelcrate.errors import FormatError, UsageError
from modelcrate.tabular.columns.timestamp import Timestamp, to_text
from modelcrate.tabular.conditions import Run
from modelcrate.tabular.dates import to_moments
from modelcrate.tabular.fields import Field
from modelcrate.tabular.formats import NULLABLE, ZONED, np_kind
from modelcrate.tabular.nearest import shown
from modelcrate.tabular.table import Table
from modelcrate.tabular.unseen import refuse_uncombined, refuse_unknown

_NUMBERS = (bool, int, float, decimal.Decimal, np.bool_, np.integer, np.floating)
_MOMENTS = (datetime.date, np.datetime64)  # a datetime and a Timestamp are dates


def settled(table: Table, cells: Mapping[str, object]) -> dict[str, object]:
    """The cells, each as its column holds it. Raises :class:`UsageError` for one that the column can't hold."""
    fields = {field.name: field for field in table.fields}
    return {name: _settled(table, fields[name], value) for name, value in cells.items()}


def refuse_keys(table: Table, runs: Sequence[Run]) -> None:
    """Raise :class:`UsageError` where the key is asked for; several rows would have it."""
    for name in _keys(table):
        if any(name in run.known for run in runs):
            raise UsageError(
                "a key is different in every row and can't be asked for",
                where=f"conditions[{name!r}]",
                hint="give a frame with a key of its own in each row",
            )


def refuse_impossible_frame(table: Table, frame: pd.DataFrame) -> None:
    """Raise :class:`UsageError` for a cell that its column can't hold or does not have, and for a key that repeats."""
    for name in frame.columns:
        cells = frame[name]
        if name in _keys(table) and not cells.is_unique:
            again = shown(cells[cells.duplicated()].iloc[0])
            raise UsageError(f"the key {again} is in several rows", where=f"conditions[{name!r}]")
        for value in cells.drop_duplicates().tolist():
            refuse_unknown(table, settled(table, {name: value}))
    for constraint in table.constraints.constraints:
        names = [name for name in constraint.columns if name in frame.columns]
        if names:
            rows = frame[names].drop_duplicates().to_dict("records")
            refuse_uncombined(table, [settled(table, {str(name): row[name] for name in row}) for row in rows])


def given_cells(field: Field, table: Table, cells: pd.Series) -> pd.Series:
    """Cells of a column that are set and not searched for, as the table holds them before they are written."""
    found = pd.Series([_settled(table, field, value) for value in cells.tolist()], index=cells.index, dtype=object)
    return found if field.identifiers is None else found.astype(field.dtype)


def _keys(table: Table) -> set[str]:
    keys = {field.name for field in table.fields if field.identifiers is not None}
    return keys | set(table.primary_key) if len(table.primary_key) == 1 else keys


def _settled(table: Table, field: Field, value: Any) -> object:
    dtype = field.dtype.name if field.format is None else field.format.dtype
    plain = dtype.lower() if dtype in NULLABLE else dtype
    kind = "b" if plain == "boolean" else np_kind(plain)
    try:
        if kind in "iuf":
            return _number(value, np.dtype(plain))
        if kind == "b":
            return _truth(value)
        if kind == "M":
            return _moment(value, _pattern(table, field), zoned=dtype in ZONED)
        if plain != "category":
            return _text(value, _pattern(table, field))
    except UsageError as error:
        raise UsageError(error.what, where=f"conditions[{field.name!r}]", hint=error.hint) from None
    return value


def _number(value: Any, dtype: np.dtype[Any]) -> object:
    if not isinstance(value, _NUMBERS):
        raise UsageError(f"{shown(value)} is no number, as {dtype} has to be", hint=_unquoted(value))
    try:
        number: int | float = int(value) if float(value).is_integer() else float(value)
        if dtype.kind == "f":
            return float(number)
    except OverflowError:
        number = float("inf")
    if isinstance(number, float) and not np.isinf(number):
        raise UsageError(f"{shown(value)} is no whole number, as {dtype} has to be")
    limits = None if dtype.kind == "f" else np.iinfo(dtype)
    if limits is None or not limits.min <= number <= limits.max:
        raise UsageError(f"{shown(value)} is more than {dtype} holds")
    return int(value)


def _truth(value: Any) -> bool:
    if isinstance(value, _NUMBERS) and value in (0, 1):
        return bool(value)
    raise UsageError(f"{shown(value)} is neither true nor false", hint=_unquoted(value))


def _unquoted(value: object) -> str | None:
    """Advice for a text that says what is wanted."""
    try:
        plain = isinstance(value, str) and (value.lower() in ("true", "false") or np.isfinite(float(value)))
    except ValueError:
        plain = False
    return f"give {str(value).lower()} itself, not as text" if plain else None


def _moment(value: Any, pattern: str | None, *, zoned: bool) -> pd.Timestamp:
    """A text is read by the column's own format, and else as pandas reads it."""
    if not isinstance(value, (str, *_MOMENTS)):
        raise UsageError(f"{shown(value)} is no date")
    try:
        found: Any = pd.NaT
        if pattern is not None and isinstance(value, str):
            found = pd.Timestamp(to_moments(np.array([value], dtype=object), pattern)[0])
        if pd.isna(found):
            found = pd.Timestamp(value)
        if pd.isna(found) or not pd.Timestamp.min.year < found.year < pd.Timestamp.max.year:
            raise ValueError
        moment: pd.Timestamp = found
        if zoned:
            moment = moment.tz_localize("UTC") if moment.tzinfo is None else moment.tz_convert("UTC")
    except (ValueError, TypeError, OverflowError, FormatError):
        raise UsageError(f"{shown(value)} is no date") from None
    if not zoned and moment.tzinfo is not None:
        raise UsageError(f"{shown(value)} has a time zone, and the column's dates have none")
    return moment


def _text(value: Any, pattern: str | None) -> object:
    """A date as a column of texts has it written; anything as it is where the column has no dates."""
    if pattern is None or isinstance(value, str):
        return value
    if not isinstance(value, _MOMENTS):
        raise UsageError(f"{shown(value)} is no date of the format {pattern}")
    try:
        found: object = to_text(np.array([pd.Timestamp(value).to_datetime64()], dtype="datetime64[ns]"), pattern)[0]
    except (ValueError, TypeError, OverflowError):
        raise UsageError(f"{shown(value)} can't be written as {pattern}") from None
    return found


def _pattern(table: Table, field: Field) -> str | None:
    if field.format is not None and field.format.pattern is not None:
        return field.format.pattern
    for column in table.columns:
        encoding = column.encoding
        if column.name == field.name and isinstance(encoding, Timestamp) and encoding.dtype is None:
            return encoding.format
    return None
