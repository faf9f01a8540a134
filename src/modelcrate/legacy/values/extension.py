"""pandas' extension arrays and scalars out of the graph: dates with zones, categoricals, nullable and string arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, Union

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.legacy.graph import Call, Node, describe
from modelcrate.legacy.names import callee_of, name_of
from modelcrate.legacy.values import arrays

if TYPE_CHECKING:
    import numpy as np

    from modelcrate.legacy.context import Context
    from modelcrate.legacy.values.frames import IndexData

NDARRAY_BACKED = "pandas._libs.arrays.__pyx_unpickle_NDArrayBacked"


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


Column: TypeAlias = Union["np.ndarray", Categorical]
EXTENSION_ARRAYS = frozenset({NDARRAY_BACKED})


def column_of(node: Node, context: Context, where: str) -> Column:
    """A column's values: an array, or the record of an extension array."""
    if arrays.is_array(node):
        return arrays.array_of(node, context, where)
    return context.once("column", node, lambda: _column(node, context, where))


def _column(node: Node, context: Context, where: str) -> Column:
    name = callee_of(node)
    if isinstance(node, Call) and name == NDARRAY_BACKED and len(node.args) == 3:
        return _backed(node, context, where)
    if isinstance(node, Call) and name is not None and name.startswith("pandas.core.indexes."):
        from modelcrate.legacy.values.frames import index_of

        values = index_of(node, context, where).values
        if not isinstance(values, (range, tuple)):
            return values
    raise UnsupportedError(f"a column made as {describe(node)}", where=where)


def _backed(node: Call, context: Context, where: str) -> Column:
    """Dates, durations, periods, categoricals and strings: ``(dtype, values, attributes)``."""
    kind = name_of(node.args[0])
    state = node.args[2] if node.args[2] is not None else (node.states[0] if len(node.states) == 1 else None)
    if type(state) is not tuple or len(state) not in (2, 3):
        raise FormatError(f"a {kind} without its state", where=where)
    first, second = state[0], state[1]
    if arrays.is_array(first):
        first, second = second, first
    values = arrays.array_of(second, context, where)
    if kind in ("pandas.core.arrays.datetimes.DatetimeArray", "pandas.core.arrays.timedeltas.TimedeltaArray"):
        if values.dtype.kind not in "mM":
            raise FormatError("dates that are no dates", where=where)
        if callee_of(first) == arrays.DTYPE:
            return values
    if kind == "pandas.core.arrays.categorical.Categorical":
        return _categorical(first, values, context, where)
    raise UnsupportedError(f"a column of class {kind}", where=where)


def _categorical(dtype: Node, codes: np.ndarray, context: Context, where: str) -> Categorical:
    from modelcrate.legacy.values.frames import index_of, named_pairs

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


def scalar_value(node: Call, name: str, context: Context, where: str) -> object:
    """A pandas scalar: a timestamp as datetime or datetime64, a timedelta, NaT."""
    import numpy as np

    if name == "pandas._libs.tslibs.nattype.__nat_unpickle":
        from modelcrate.format.values import Missing

        return Missing.NAT
    if name == "pandas._libs.tslibs.timestamps._unpickle_timestamp" and 3 <= len(node.args) <= 4:
        unit = _resolution(node.args[3] if len(node.args) == 4 else None, where)
        ticks, zone = node.args[0], node.args[2]
        if type(ticks) is not int or not -(2**63) <= ticks < 2**63:
            raise FormatError("a timestamp that is no number", where=where)
        if zone is not None:
            raise UnsupportedError("a timestamp with a time zone", where=where)
        return np.array([ticks], dtype="int64").view(f"datetime64[{unit}]")[0]
    if name == "pandas._libs.tslibs.timedeltas._timedelta_unpickle" and 1 <= len(node.args) <= 2:
        unit = _resolution(node.args[1] if len(node.args) == 2 else None, where)
        ticks = node.args[0]
        if type(ticks) is not int or not -(2**63) <= ticks < 2**63:
            raise FormatError("a timedelta that is no number", where=where)
        return np.array([ticks], dtype="int64").view(f"timedelta64[{unit}]")[0]
    raise UnsupportedError(f"a value made by {name}", where=where)


def _resolution(node: Node, where: str) -> str:
    """pandas' numbers for units, of which 10 is nanoseconds and the only one before 2.0."""
    units = {None: "ns", 10: "ns", 9: "us", 8: "ms", 7: "s"}
    if (node is None or type(node) is int) and node in units:
        return units[node]
    raise FormatError("a timestamp of unknown resolution", where=where)
