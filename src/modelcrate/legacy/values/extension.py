"""pandas' extension arrays and scalars out of the graph: zones, categoricals, periods, nullable, sparse, strings."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, Union

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.legacy.graph import Call, Global, Node, describe
from modelcrate.legacy.names import ZONE, callee_of, name_of, restored
from modelcrate.legacy.values import arrays

if TYPE_CHECKING:
    import numpy as np

    from modelcrate.legacy.context import Context
    from modelcrate.legacy.values.frames import IndexData

NDARRAY_BACKED = "pandas._libs.arrays.__pyx_unpickle_NDArrayBacked"
_ARRAYS = "pandas.core.arrays."
MASKED_ARRAYS = frozenset({
    f"{_ARRAYS}integer.IntegerArray", f"{_ARRAYS}floating.FloatingArray", f"{_ARRAYS}boolean.BooleanArray",
})  # fmt: skip
INTERVAL_MIXIN = "pandas._libs.interval.__pyx_unpickle_IntervalMixin"
ARROW_ARRAY = f"{_ARRAYS}arrow.array.ArrowExtensionArray"
SPARSE_ARRAY = f"{_ARRAYS}sparse.array.SparseArray"
ARROW_STRINGS = frozenset({
    f"{_ARRAYS}string_arrow.ArrowStringArray", f"{_ARRAYS}string_arrow.ArrowStringArrayNumpySemantics",
})  # fmt: skip
EXTENSION_ARRAYS = (
    frozenset({NDARRAY_BACKED, SPARSE_ARRAY, INTERVAL_MIXIN, ARROW_ARRAY}) | MASKED_ARRAYS | ARROW_STRINGS
)
_OFFSETS = {
    "Day": "D", "Hour": "h", "Minute": "min", "Second": "s", "Milli": "ms", "Micro": "us", "Nano": "ns",
    "MonthEnd": "M", "YearEnd": "Y", "QuarterEnd": "Q", "Week": "W", "BusinessDay": "B",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Categorical:
    """A categorical column: integer codes (-1 is missing) into the categories."""

    codes: np.ndarray
    categories: IndexData
    ordered: bool

    @property
    def ndim(self) -> int:
        return self.codes.ndim

    @property
    def shape(self) -> tuple[int, ...]:
        return self.codes.shape

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, row: int) -> Categorical:
        return Categorical(codes=self.codes[row], categories=self.categories, ordered=self.ordered)

    def tolist(self) -> list[object]:
        """The values as Python objects, NaN where missing."""
        labels = self.categories.labels()
        return [float("nan") if code < 0 else labels[code] for code in self.codes.tolist()]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExtensionData:
    """A column with a dtype of pandas' own (``Int64``, ``boolean``, ``datetime64[ns, UTC]``, ``period[M]``).

    ``values`` are the numbers as stored (dates in UTC, periods as ordinals); ``mask`` is True where one is missing.
    """

    dtype: str
    values: np.ndarray
    mask: np.ndarray | None = None

    @property
    def ndim(self) -> int:
        return self.values.ndim

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, row: int) -> ExtensionData:
        return ExtensionData(
            dtype=self.dtype, values=self.values[row], mask=None if self.mask is None else self.mask[row]
        )

    def tolist(self) -> list[object]:
        """The values as Python objects, ``Missing.NA`` where masked."""
        from modelcrate.format.values import Missing

        values: list[object] = self.values.tolist()
        if self.mask is None:
            return values
        return [Missing.NA if gone else value for value, gone in zip(values, self.mask.tolist(), strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarData:
    """A pandas scalar without a plain counterpart: a zoned timestamp, a period, an interval, an offset.

    ``kind`` says which; ``parts`` are its defining values: (datetime64 in UTC, zone), (frequency, ordinal),
    (left, right, closed), (name, count).
    """

    kind: str
    parts: tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IntervalData:
    """A column of intervals: its left and right ends, and which of them belong to it (``closed``)."""

    left: Column
    right: Column
    closed: str

    @property
    def ndim(self) -> int:
        return self.left.ndim

    @property
    def shape(self) -> tuple[int, ...]:
        return self.left.shape

    def __len__(self) -> int:
        return len(self.left)

    def __getitem__(self, row: int) -> IntervalData:
        return IntervalData(left=self.left[row], right=self.right[row], closed=self.closed)

    def tolist(self) -> list[object]:
        """The intervals as :class:`ScalarData`, NaN where an end is missing."""
        ends = zip(self.left.tolist(), self.right.tolist(), strict=True)
        return [
            left
            if left is None or (type(left) is float and math.isnan(left))
            else ScalarData(kind="Interval", parts=(left, right, self.closed))
            for left, right in ends
        ]


Column: TypeAlias = Union["np.ndarray", Categorical, ExtensionData, IntervalData]


def column_of(node: Node, context: Context, where: str) -> Column:
    """A column's values: an array, or the record of an extension array."""
    if arrays.is_array(node):
        return arrays.array_of(node, context, where)
    return context.once("column", node, lambda: _column(node, context, where))


def _column(node: Node, context: Context, where: str) -> Column:
    node = restored(node)
    name = callee_of(node)
    if isinstance(node, Call) and name is not None:
        if name == NDARRAY_BACKED and len(node.args) == 3:
            return _backed(node, context, where)
        if name in MASKED_ARRAYS:
            return _masked(node, context, where)
        if name == SPARSE_ARRAY:
            return _sparse(node, context, where)
        if name in ARROW_STRINGS:
            from modelcrate.legacy.values.arrow import string_column

            return string_column(_attributes(node, where).get("_pa_array"), context, where)
        if name == ARROW_ARRAY:
            from modelcrate.legacy.values.arrow import typed_column

            return typed_column(_attributes(node, where).get("_pa_array"), context, where)
        if name == INTERVAL_MIXIN:
            return _intervals(node, context, where)
        if name.startswith("pandas.core.indexes."):
            from modelcrate.legacy.values.frames import index_of

            values = index_of(node, context, where).values
            if not isinstance(values, (range, tuple)):
                return values
    raise UnsupportedError(f"a column made as {describe(node)}", where=where)


def _attributes(node: Call, where: str) -> dict[str, Node]:
    from modelcrate.legacy.values.frames import named_pairs

    if node.args or node.appended or node.assigned or len(node.states) != 1:
        raise FormatError(f"{describe(node)} made in an unknown way", where=where)
    return named_pairs(node.states[0], where)


def _backed(node: Call, context: Context, where: str) -> Column:
    """Dates, durations, periods, categoricals and strings: ``(dtype, values, attributes)``."""
    kind = name_of(node.args[0]) or "?"
    state = node.args[2] if node.args[2] is not None else (node.states[0] if len(node.states) == 1 else None)
    if type(state) is not tuple or len(state) not in (2, 3):
        raise FormatError(f"a {kind} without its state", where=where)
    first, second = state[0], state[1]
    if arrays.is_array(first):
        first, second = second, first
    values = arrays.array_of(second, context, where)
    short = kind.removeprefix(_ARRAYS)
    if short in ("datetimes.DatetimeArray", "timedeltas.TimedeltaArray"):
        if values.dtype.kind not in "mM":
            raise FormatError("dates that are no dates", where=where)
        if callee_of(first) == arrays.DTYPE:
            return values
        zone = zone_name(_dtype_parts(first, where).get("tz"), where)
        return ExtensionData(dtype=f"datetime64[{_unit_of(values)}, {zone}]", values=values)
    if short == "categorical.Categorical":
        return _categorical(first, values, context, where)
    if short == "period.PeriodArray":
        return ExtensionData(dtype=_period_dtype(first, where), values=values)
    if short in ("string_.StringArray", "numpy_.PandasArray", "numpy_.NumpyExtensionArray"):
        return values
    raise UnsupportedError(f"a column of class {kind}", where=where)


def _unit_of(values: np.ndarray) -> str:
    import numpy as np

    return np.datetime_data(values.dtype)[0]


def _dtype_parts(node: Node, where: str) -> dict[str, Node]:
    from modelcrate.legacy.values.frames import named_pairs

    node = restored(node)
    if isinstance(node, Call) and len(node.states) == 1:
        return named_pairs(node.states[0], where)
    if isinstance(node, Call) and len(node.args) == 2 and not node.states:
        return {"unit": node.args[0], "tz": node.args[1]}
    raise FormatError(f"a dtype that is {describe(node)}", where=where)


def _period_dtype(node: Node, where: str) -> str:
    if not isinstance(node, Call) or callee_of(node) != "pandas.core.dtypes.dtypes.PeriodDtype" or len(node.args) != 1:
        raise FormatError(f"a period dtype that is {describe(node)}", where=where)
    frequency = node.args[0]
    if type(frequency) is str and len(frequency) < 40:
        return frequency if frequency.startswith("period[") else f"period[{frequency}]"
    return f"period[{offset_name(frequency, where)}]"


def offset_name(node: Node, where: str) -> str:
    """A frequency as its alias with its count: ``M``, ``3D``."""
    name = (callee_of(node) or "").rpartition(".")[2]
    if not isinstance(node, Call) or name not in _OFFSETS or not node.args or type(node.args[0]) is not int:
        raise UnsupportedError(f"the frequency {describe(node)}", where=where)
    return _OFFSETS[name] if node.args[0] == 1 else f"{node.args[0]}{_OFFSETS[name]}"


def zone_name(node: Node, where: str) -> str:
    """A time zone by name, or a fixed offset as Python writes it; no time zone is looked up."""
    if isinstance(node, Call):
        name = callee_of(node)
        if name == "pytz._UTC" and not node.args:
            return "UTC"
        if name in ("pytz._p", "zoneinfo.ZoneInfo", ZONE) and node.args:
            key = node.args[0]
            if type(key) is str and 0 < len(key) <= 80 and key.isprintable() and ".." not in key and key[0] != "/":
                return key
        if name == "datetime.timezone":
            from modelcrate.legacy.context import Context
            from modelcrate.legacy.values.plain import value_of

            zone = value_of(node, Context(), where)
            if isinstance(zone, datetime.timezone):
                return str(zone)
    if isinstance(node, Global) and name_of(node) == "datetime:timezone.utc":
        return "UTC"
    raise UnsupportedError(f"the time zone {describe(node)}", where=where)


def _categorical(dtype: Node, codes: np.ndarray, context: Context, where: str) -> Categorical:
    from modelcrate.legacy.values.frames import index_of, named_pairs

    dtype = restored(dtype)
    if not isinstance(dtype, Call) or callee_of(dtype) != "pandas.core.dtypes.dtypes.CategoricalDtype":
        raise FormatError(f"a categorical with {describe(dtype)} for a dtype", where=where)
    parts = named_pairs(dtype.states[0], where) if len(dtype.states) == 1 else {}
    ordered = parts.get("ordered")
    categories = index_of(parts.get("categories"), context, where)
    if codes.dtype.kind != "i" or not (type(ordered) is bool or ordered is None):
        raise FormatError("a categorical whose codes are no integers", where=where)
    if codes.size and not -1 <= int(codes.min()) <= int(codes.max()) < len(categories):
        raise FormatError("a categorical whose codes reach beyond its categories", where=where)
    return Categorical(codes=codes, categories=categories, ordered=bool(ordered))


def _intervals(node: Call, context: Context, where: str) -> IntervalData:
    """``__pyx_unpickle_IntervalMixin(IntervalArray, ...)``, its attributes in the state."""
    from modelcrate.legacy.values.frames import named_pairs

    state = node.states[0] if len(node.states) == 1 else node.args[2] if len(node.args) == 3 else None
    if type(state) is not tuple or len(state) != 1 or name_of(node.args[0]) != f"{_ARRAYS}interval.IntervalArray":
        raise FormatError("a column of intervals without its state", where=where)
    parts = named_pairs(state[0], where)
    left, right = (column_of(parts.get(side), context, where) for side in ("_left", "_right"))
    closed = _dtype_parts(parts.get("_dtype"), where).get("closed")
    if left.ndim != 1 or left.shape != right.shape or closed not in ("left", "right", "both", "neither"):
        raise FormatError("a column of intervals whose ends disagree", where=where)
    return IntervalData(left=left, right=right, closed=str(closed))


def _masked(node: Call, context: Context, where: str) -> ExtensionData:
    """Nullable integers, floats and booleans: numbers and a mask of the same shape."""
    parts = _attributes(node, where)
    values = arrays.array_of(parts.get("_data"), context, where)
    mask = arrays.array_of(parts.get("_mask"), context, where)
    if values.dtype.kind not in "iufb" or mask.dtype.kind != "b" or mask.shape != values.shape:
        raise FormatError("a nullable column whose mask is not that of its values", where=where)
    prefix = {"i": "Int", "u": "UInt", "f": "Float"}.get(values.dtype.kind)
    dtype = "boolean" if prefix is None else f"{prefix}{values.dtype.itemsize * 8}"
    return ExtensionData(dtype=dtype, values=values, mask=mask)


def _sparse(node: Call, context: Context, where: str) -> ExtensionData:
    """A sparse column, made dense within the budget."""
    import numpy as np

    from modelcrate.legacy.values.plain import value_of

    parts = _attributes(node, where)
    index, dtype = parts.get("_sparse_index"), parts.get("_dtype")
    values = arrays.array_of(parts.get("_sparse_values"), context, where)
    length, positions = _sparse_places(index, context, where)
    if positions.shape != values.shape or values.ndim != 1:
        raise FormatError("a sparse column whose positions and values disagree", where=where)
    if positions.size and not 0 <= int(positions.min()) <= int(positions.max()) < length:
        raise FormatError("a sparse column with positions outside of it", where=where)
    if not isinstance(dtype, Call):
        raise FormatError("a sparse column without a dtype", where=where)
    fill = value_of(_dtype_parts(dtype, where).get("_fill_value"), context, where)
    context.charge_bytes(length * values.dtype.itemsize, where)
    try:
        dense = np.full(length, fill, dtype=values.dtype)
    except (TypeError, ValueError, OverflowError):
        raise FormatError("a sparse column whose fill value is none of its dtype", where=where) from None
    dense[positions] = values
    return ExtensionData(dtype=f"Sparse[{values.dtype.name}, {fill}]", values=dense)


def _sparse_places(index: Node, context: Context, where: str) -> tuple[int, np.ndarray]:
    """Length and positions of the stored values: one by one, or as runs of neighbours."""
    import numpy as np

    kind = callee_of(index)
    if not isinstance(index, Call) or kind not in ("pandas._libs.sparse.IntIndex", "pandas._libs.sparse.BlockIndex"):
        raise UnsupportedError(f"a sparse column over {describe(index)}", where=where)
    length = index.args[0] if len(index.args) in (2, 3) else None
    if type(length) is not int or not 0 <= length < 2**31:
        raise FormatError("a sparse column without a length", where=where)
    places = arrays.array_of(index.args[1], context, where)
    if kind == "pandas._libs.sparse.IntIndex":
        return length, places
    counts = arrays.array_of(index.args[2] if len(index.args) == 3 else None, context, where)
    whole = places.dtype.kind in "iu" and counts.dtype.kind in "iu" and places.ndim == 1
    if not whole or places.shape != counts.shape or (counts.size and int(counts.min()) < 0):
        raise FormatError("a sparse column whose runs disagree", where=where)
    total = int(counts.sum(dtype="int64"))
    if total > length:
        raise FormatError("a sparse column with positions outside of it", where=where)
    context.charge_bytes(8 * total, where)
    before = np.cumsum(counts, dtype="int64") - counts
    return length, np.repeat(places.astype("int64") - before, counts) + np.arange(total, dtype="int64")


_TIMESTAMPS = ("pandas._libs.tslibs.timestamps._unpickle_timestamp", "pandas._libs.tslibs.timestamps.Timestamp")
_TIMEDELTAS = ("pandas._libs.tslibs.timedeltas._timedelta_unpickle", "pandas._libs.tslibs.timedeltas.Timedelta")
"""Releases of pandas up to 1.3 write the classes themselves, with the same arguments."""


def scalar_value(node: Call, name: str, context: Context, where: str) -> object:
    """A pandas scalar: a timestamp, timedelta, period, interval or offset, and NaT."""
    if name == "pandas._libs.tslibs.nattype.__nat_unpickle":
        from modelcrate.format.values import Missing

        return Missing.NAT
    if name in _TIMESTAMPS and 3 <= len(node.args) <= 4:
        moment = _ticks(node.args, "datetime64", 3, where)
        zone = node.args[2]
        return moment if zone is None else ScalarData(kind="Timestamp", parts=(moment, zone_name(zone, where)))
    if name in _TIMEDELTAS and 1 <= len(node.args) <= 2:
        return _ticks(node.args, "timedelta64", 1, where)
    if name == "pandas._libs.tslibs.period.Period" and len(node.args) == 3 and type(node.args[2]) is int:
        frequency = node.args[1] if type(node.args[1]) is str else offset_name(node.args[1], where)
        return ScalarData(kind="Period", parts=(frequency, node.args[2]))
    if name == "pandas._libs.interval.Interval" and len(node.args) == 3 and type(node.args[2]) is str:
        from modelcrate.legacy.values.plain import value_of

        ends = tuple(value_of(end, context, where) for end in node.args[:2])
        return ScalarData(kind="Interval", parts=(*ends, node.args[2]))
    if name.startswith("pandas._libs.tslibs.offsets.") and node.args and type(node.args[0]) is int:
        return ScalarData(kind="Offset", parts=(name.rpartition(".")[2], node.args[0]))
    raise UnsupportedError(f"a value made by {name}", where=where)


def _ticks(args: Sequence[Node], kind: str, place: int, where: str) -> object:
    import numpy as np

    unit = _resolution(args[place] if len(args) > place else None, where)
    ticks = args[0]
    if type(ticks) is not int or not -(2**63) <= ticks < 2**63:
        raise FormatError(f"a {kind} that is no number", where=where)
    return np.array([ticks], dtype="int64").view(f"{kind}[{unit}]")[0]


def _resolution(node: Node, where: str) -> str:
    """pandas' numbers for units, of which 10 is nanoseconds and the only one before 2.0."""
    units = {None: "ns", 10: "ns", 9: "us", 8: "ms", 7: "s"}
    if (node is None or type(node) is int) and node in units:
        return units[node]
    raise FormatError("a timestamp of unknown resolution", where=where)
