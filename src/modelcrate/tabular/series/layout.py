"""The frames that time series stand in: one row an example (wide), or one row a step (long).

A frame is put together as the original does: all cells pass through one matrix, whose dtype the parts decide together,
and columns are made numbers again afterwards. Whether a column can be one is decided by all cells that may occur, so
that frames of one model always have the same dtypes; ``faithful`` decides by the cells at hand, as the original does.
"""

from __future__ import annotations

import datetime
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
import pandas as pd

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields, kind_of
from modelcrate.tabular.cells import NAME_LIMIT, Categories, column_of, frame_of
from modelcrate.tabular.series.variables import Scaled, Variable

Name: TypeAlias = "str | int"
"""A column's label."""
COLUMNS_LIMIT = 65_536
"""Columns of one frame."""
Column: TypeAlias = "np.ndarray | pd.api.extensions.ExtensionArray"
"""The cells of a finished column; dates with a zone have no dtype of NumPy's."""
ZONED = "datetime64[ns, UTC]"
NEAR_YEARS = range(1678, 2262)
"""Years that nanoseconds reach whole."""
TIME_LIMIT = 256
"""Characters of a time; all cells of a frame pass through texts as wide as the longest."""


class Layout(ABC):
    """A kind of frame, as data."""

    tag: ClassVar[str]
    order: tuple[Name, ...]
    discrete: frozenset[Name]

    @abstractmethod
    def to_document(self) -> dict[str, Any]:
        """The layout in format values, ``type`` included."""

    @abstractmethod
    def check(self, attributes: Sequence[Name], features: Sequence[Name], steps: int, where: str) -> None:
        """Raise :class:`FormatError` where the columns are not those that the variables give."""

    @abstractmethod
    def frame(self, made: Made, *, start: int, faithful: bool) -> pd.DataFrame:
        """The examples as a frame; the first has number ``start``."""

    def derived(self) -> list[tuple[str, str, int]]:
        """What was taken from training data: (column, kind, how many values)."""
        return []


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Made:
    """Decoded examples: attributes (N, A) or None, features (N, steps, F), and what they are."""

    attributes: np.ndarray | None
    features: np.ndarray
    variables: tuple[tuple[Variable, ...], tuple[Variable, ...]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wide(Layout):
    """One row an example: attributes, then the steps of the only feature, one column each."""

    tag: ClassVar[str] = "wide"
    columns: tuple[Name, ...]
    attributes: tuple[Name, ...]
    order: tuple[Name, ...]
    discrete: frozenset[Name]

    def to_document(self) -> dict[str, Any]:
        return {
            "type": self.tag,
            "columns": list(self.columns),
            "order": list(self.order),
            "discrete": [name for name in self.order if name in self.discrete],
        }

    def check(self, attributes: Sequence[Name], features: Sequence[Name], steps: int, where: str) -> None:
        if len(features) != 1 or len(self.columns) != steps:
            raise FormatError(f"{len(self.columns)} columns for {len(features)} features of {steps} steps", where=where)
        _check_names([*attributes, *self.columns], self.order, self.discrete, where)

    def frame(self, made: Made, *, start: int, faithful: bool) -> pd.DataFrame:
        rows = len(made.features)
        given = [] if made.attributes is None else [made.attributes]
        matrix = np.concatenate([*given, made.features.reshape(rows, -1)], axis=1)
        possible = [it.possible() for it in made.variables[0]]
        possible += [made.variables[1][0].possible()] * len(self.columns)
        kinds = [*made.variables[0], *[made.variables[1][0]] * len(self.columns)]
        found: dict[Any, Column] = {}
        for position, name in enumerate((*self.attributes, *self.columns)):
            values = matrix[:, position]
            listed = _reference(values, possible[position], faithful)
            number = _is_number(kinds[position], faithful)
            found[name] = settle(values, listed, numeric=number, discrete=name in self.discrete, faithful=faithful)
        return frame_of({name: found[name] for name in self.order}, rows)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Long(Layout):
    """One row a step, attributes repeated in each of an example's.

    ``example`` names the column that numbers examples; ``time`` the one that holds ``times``, from the first again
    where they do not suffice. ``flag``: the feature at this position tells, by the first false, the last step.
    ``numeric``: every column whose cells all read as numbers is one.
    """

    tag: ClassVar[str] = "long"
    features: tuple[Name, ...]
    attributes: tuple[Name, ...]
    order: tuple[Name, ...]
    discrete: frozenset[Name]
    example: Name | None
    time: Name | None
    times: Categories
    flag: int | None
    numeric: bool

    def to_document(self) -> dict[str, Any]:
        return {
            "type": self.tag,
            "order": list(self.order),
            "discrete": [name for name in self.order if name in self.discrete],
            "example": self.example,
            "time": None if self.time is None else {"name": self.time, "values": self.times.to_document()},
            "flag": self.flag,
            "numeric": self.numeric,
        }

    def derived(self) -> list[tuple[str, str, int]]:
        return [] if self.time is None else [(str(self.time), "time of the first example", len(self.times))]

    def check(self, attributes: Sequence[Name], features: Sequence[Name], steps: int, where: str) -> None:
        extra = [name for name in (self.example, self.time) if name is not None]
        if len(self.times) > steps:
            raise FormatError("more times than steps", where=f"{where}.time")
        if self.flag is not None and not self.flag < len(features):
            raise FormatError("the flag is none of the features", where=f"{where}.flag")
        kept = [name for position, name in enumerate(features) if position != self.flag]
        if not kept:
            raise FormatError("no feature beside the flag", where=where)
        _check_names([*attributes, *kept, *extra], self.order, self.discrete, where)

    def frame(self, made: Made, *, start: int, faithful: bool) -> pd.DataFrame:
        count, steps, _ = made.features.shape
        lengths = np.full(count, steps, dtype=np.int64)
        if self.flag is not None:
            ends = np.equal(made.features[:, :, self.flag], False).astype(bool)
            lengths = np.where(ends.any(axis=1), ends.argmax(axis=1) + 1, steps)
        inside = np.arange(steps) < lengths[:, None]
        rows = made.features[inside]
        columns: list[tuple[Name, np.ndarray, np.ndarray, Variable | None]] = [
            (name, rows[:, position], kind.possible(), kind)
            for position, (name, kind) in enumerate(zip(self.features, made.variables[1], strict=True))
            if position != self.flag
        ]
        for position, (name, kind) in enumerate(zip(self.attributes, made.variables[0], strict=True)):
            assert made.attributes is not None
            columns.append((name, np.repeat(made.attributes[:, position], lengths), kind.possible(), kind))
        numbers = np.repeat(np.arange(start, start + count), lengths)
        beside: list[tuple[Name, np.ndarray, np.ndarray, Variable | None]] = []
        if self.example is not None:
            beside.append((self.example, numbers, numbers, None))
        if self.time is not None:
            times = self._times(steps)
            beside.append((self.time, np.broadcast_to(times, (count, steps))[inside], times, None))
        found: dict[Any, Column] = {}
        if self.numeric:
            columns += beside
        shared = np.result_type(rows.dtype, *(values.dtype for _, values, _, _ in columns))
        for name, values, possible, variable in columns:
            cells = values.astype(shared)
            listed = _reference(cells, possible, faithful)
            number = self.numeric or _is_number(variable, faithful)
            whole = name in self.discrete or name == self.example
            found[name] = settle(cells, listed, numeric=number, discrete=whole, faithful=faithful)
        if not self.numeric:
            for name, values, possible, _ in beside:
                found[name] = settle(values, possible, numeric=False, discrete=False, faithful=faithful)
        return frame_of({name: found[name] for name in self.order}, len(rows))

    def _times(self, steps: int) -> np.ndarray:
        cells = [self.times.values[step % len(self.times)] for step in range(steps)]
        # what NumPy makes of a plain list decides what the other columns pass through
        plain = all(isinstance(cell, (bool, int, float, str, np.generic)) for cell in cells)
        return np.array(cells) if plain else column_of(cells)


LAYOUTS: tuple[str, ...] = (Wide.tag, Long.tag)


def read_layout(fields: Fields, attributes: tuple[Name, ...], features: tuple[Name, ...], steps: int) -> Layout:
    """The layout of a document, checked against the variables' names. Raises :class:`FormatError`."""
    tag = fields.text("type", choices=LAYOUTS)
    order, discrete = read_names(fields, "order"), frozenset(read_names(fields, "discrete"))
    found: Layout
    if tag == Wide.tag:
        columns = read_names(fields, "columns")
        found = Wide(columns=columns, attributes=attributes, order=order, discrete=discrete)
    else:
        time = fields.nullable("time", fields.fields)
        found = Long(
            features=features,
            attributes=attributes,
            order=order,
            discrete=discrete,
            example=fields.nullable("example", lambda name: read_label(fields, name)),
            time=None if time is None else read_label(time, "name"),
            times=Categories(()) if time is None else _read_times(time),
            flag=fields.nullable("flag", lambda name: fields.integer(name, minimum=0, maximum=COLUMNS_LIMIT)),
            numeric=fields.boolean("numeric"),
        )
    fields.finish()
    found.check(attributes, features, steps, fields.where)
    return found


def read_label(fields: Fields, name: str) -> Name:
    """A field that names a column: text, or an integer."""
    if type(fields.value(name)) is int:
        return fields.integer(name)
    return fields.text(name, max_length=NAME_LIMIT)


def read_names(fields: Fields, name: str) -> tuple[Name, ...]:
    """A list of distinct column names."""
    found: list[Name] = []
    for where, item in fields.each(name, max_items=COLUMNS_LIMIT):
        if (type(item) is str and len(item) <= NAME_LIMIT) or (type(item) is int and -(2**63) <= item < 2**63):
            found.append(item)
        else:
            raise FormatError(f"expected a column's name, found {kind_of(item)}", where=where)
    if len(set(found)) != len(found):
        raise FormatError("the same name twice", where=fields.path(name))
    return tuple(found)


def _read_times(fields: Fields) -> Categories:
    """A list of cells in which one may occur several times."""
    cells: list[object] = []
    for where, item in fields.each("values", max_items=1 << 24):
        if isinstance(item, (str, bytes)) and len(item) > TIME_LIMIT:
            raise FormatError(f"a time of more than {TIME_LIMIT} characters", where=where)
        if isinstance(item, datetime.datetime) and item.tzinfo is not None:
            if item.tzinfo != datetime.timezone.utc:
                raise FormatError("a time in a zone that is not UTC", where=where)
            if item.year not in NEAR_YEARS:
                raise FormatError("a time out of the range of nanoseconds", where=where)
        cells += Categories.from_document(Fields({"values": [item]}, where), "values").values
    fields.finish()
    if not cells:
        raise FormatError("no times", where=fields.path("values"))
    return Categories(tuple(cells))


def _check_names(made: Sequence[Name], order: Sequence[Name], discrete: frozenset[Name], where: str) -> None:
    if len(set(made)) != len(made) or set(made) != set(order):
        raise FormatError("the columns in order are not those that the variables give", where=f"{where}.order")
    if not discrete <= set(order):
        raise FormatError("a discrete column that there is not", where=f"{where}.discrete")


def _is_number(kind: Variable | None, faithful: bool) -> bool:
    """Whether a column is one of numbers whatever the others are; the original leaves it one of objects then."""
    return isinstance(kind, Scaled) and not faithful


def _reference(values: np.ndarray, possible: np.ndarray, faithful: bool) -> np.ndarray:
    """The cells that decide a column's dtype."""
    return values if faithful and len(values) else possible.astype(values.dtype)


def settle(values: np.ndarray, reference: np.ndarray, *, numeric: bool, discrete: bool, faithful: bool) -> Column:
    """A column of the matrix in the dtype that it ends up with, decided by the cells of ``reference``.

    Dates among objects become dates, in UTC where they have a zone. With ``numeric``, what reads as numbers becomes
    float64; ``discrete`` numbers become int64, unless that would lose decimals (``faithful``: even then).
    """
    if values.dtype.kind in "OUS":
        values, reference = values.astype(object), reference.astype(object)
        if _are_dates(reference, zoned=True):
            return pd.DatetimeIndex(values, dtype=ZONED).array if _are_near(reference) else values
        if _are_dates(reference, zoned=False):
            if not _are_near(reference):
                return values
            dates: np.ndarray = pd.DatetimeIndex(values).to_numpy().astype("datetime64[ns]")
            return dates.astype(np.int64) if discrete else dates
    if numeric:
        trial = _converted(reference, np.float64)
        if trial is not None:
            reference, values = trial, values.astype(np.float64)
    if not discrete:
        return values
    whole = _whole(reference, faithful)
    return values.astype(np.int64) if whole else values


def _are_near(dates: np.ndarray) -> bool:
    """Whether nanoseconds hold these dates; others stay objects, as they do in pandas."""
    return all(cell is None or cell is pd.NaT or cell.year in NEAR_YEARS for cell in dates)


def _converted(cells: np.ndarray, dtype: type) -> np.ndarray | None:
    try:
        found: np.ndarray = cells.astype(dtype)
        return found
    except (TypeError, ValueError, OverflowError):
        return None


def _whole(reference: np.ndarray, faithful: bool) -> bool:
    if reference.dtype.kind in "biu":
        return True
    if reference.dtype.kind == "f":
        inside = bool(((reference >= -(2.0**63)) & (reference < 2.0**63)).all())  # NaN is not
        return inside and (faithful or bool((reference == np.floor(reference)).all()))
    if any(isinstance(cell, float) and not np.isfinite(cell) for cell in reference):
        return False
    trial = _converted(reference, np.int64)
    if trial is None:
        return False
    return faithful or all(
        isinstance(cell, str) or cell == number for cell, number in zip(reference, trial, strict=True)
    )


def _are_dates(cells: np.ndarray, *, zoned: bool) -> bool:
    known = [cell for cell in cells if cell is not None and cell is not pd.NaT]
    return bool(known) and all(
        isinstance(cell, datetime.datetime) and (cell.tzinfo is not None) == zoned for cell in known
    )
