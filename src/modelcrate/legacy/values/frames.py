"""pandas objects out of the graph, as small inert records: frames, series, indexes, 1.x to 3.x.

Nothing of pandas is imported. Columns are NumPy arrays, or the records of :mod:`.extension` where pandas has an
extension array.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelcrate.errors import FormatError, LimitError, UnsupportedError
from modelcrate.legacy.graph import Call, Dict, Node, describe
from modelcrate.legacy.names import callee_of, name_of, restored
from modelcrate.legacy.values import arrays, dtypes, plain
from modelcrate.legacy.values.extension import EXTENSION_ARRAYS, Column, IntervalData, column_of, scalar_value

if TYPE_CHECKING:
    from modelcrate.legacy.context import Context

FRAME = "pandas.core.frame.DataFrame"
SERIES = "pandas.core.series.Series"
NEW_INDEX = frozenset({
    "pandas.core.indexes.base._new_Index",
    "pandas.core.indexes.datetimes._new_DatetimeIndex",
    "pandas.core.indexes.period._new_PeriodIndex",
    "pandas.core.indexes.interval._new_IntervalIndex",
    "pandas.core.indexes.timedeltas._new_TimedeltaIndex",
    "pandas.core.indexes.multi._new_MultiIndex",
})  # fmt: skip
PLAIN_INDEXES = {
    "pandas.core.indexes.base.Index": "Index",
    "pandas.core.indexes.numeric.Int64Index": "Index",
    "pandas.core.indexes.numeric.UInt64Index": "Index",
    "pandas.core.indexes.numeric.Float64Index": "Index",
    "pandas.core.indexes.numeric.NumericIndex": "Index",
    "pandas.core.indexes.datetimes.DatetimeIndex": "DatetimeIndex",
    "pandas.core.indexes.timedeltas.TimedeltaIndex": "TimedeltaIndex",
    "pandas.core.indexes.category.CategoricalIndex": "CategoricalIndex",
    "pandas.core.indexes.period.PeriodIndex": "PeriodIndex",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IndexData:
    """One index: its class without module, its labels, its name. A range is spelled out by :meth:`labels`."""

    kind: str
    values: Column | range | tuple[Column, ...]
    name: object

    def __len__(self) -> int:
        if isinstance(self.values, tuple):
            return len(self.values[0]) if self.values else 0
        return len(self.values)

    def labels(self) -> list[object]:
        """The labels as Python values, moments as NumPy's, in order; those of a multi-index are tuples."""
        if isinstance(self.values, tuple):
            return list(zip(*(_labels(level) for level in self.values), strict=True))
        return list(self.values) if isinstance(self.values, range) else _labels(self.values)


def _labels(column: Column) -> list[object]:
    import numpy as np

    if isinstance(column, np.ndarray) and column.dtype.kind in "mM":
        return list(column)  # tolist() makes whole numbers of moments
    return list(column.tolist())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeriesData:
    """A series: values, index, name."""

    values: Column
    index: IndexData
    name: object


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameData:
    """A data frame: columns in order as (label, values), and the index."""

    columns: list[tuple[object, Column]]
    index: IndexData


def pandas_value(node: Call, name: str, context: Context, where: str) -> object:
    """A pandas object of any kind that the reader knows.

    :raises UnsupportedError: another one.
    """
    if name == FRAME:
        return frame_of(node, context, where)
    if name == SERIES:
        return series_of(node, context, where)
    if name in NEW_INDEX:
        return index_of(node, context, where)
    if name in EXTENSION_ARRAYS:
        return column_of(node, context, where)
    if name in dtypes.CALLEES:
        return dtypes.dtype_of(node, context, where)
    return scalar_value(node, name, context, where)


def _state(node: Call, where: str) -> dict[str, Node]:
    if node.args or node.appended or node.assigned or node.kwargs is not None or len(node.states) != 1:
        raise FormatError(f"{describe(node)} made in an unknown way", where=where)
    return named_pairs(node.states[0], where)


def named_pairs(node: Node, where: str) -> dict[str, Node]:
    """The pairs of a dict node with text keys."""
    if not isinstance(node, Dict) or len(node.pairs) > 10_000:
        raise FormatError(f"expected a dict of attributes, found {describe(node)}", where=where)
    found: dict[str, Node] = {}
    for key, value in node.pairs:
        if type(key) is not str:
            raise FormatError("an attribute whose name is no text", where=where)
        found[key] = value
    return found


def index_of(node: Node, context: Context, where: str) -> IndexData:
    """The index that a node describes; the same node gives the same object."""
    return context.once("index", node, lambda: _index(node, context, where))


def _index(node: Node, context: Context, where: str) -> IndexData:
    if not isinstance(node, Call) or callee_of(node) not in NEW_INDEX or len(node.args) != 2 or node.states:
        raise FormatError(f"expected an index, found {describe(node)}", where=where)
    kind, parts = name_of(node.args[0]) or "?", named_pairs(node.args[1], where)
    if kind == "pandas.core.indexes.range.RangeIndex":
        return _range_index(parts, context, where)
    if kind == "pandas.core.indexes.multi.MultiIndex":
        return _multi_index(parts, context, where)
    if kind == "pandas.core.indexes.interval.IntervalIndex":
        left, right = (column_of(parts.get(side), context, where) for side in ("left", "right"))
        closed = parts.get("closed", "right")
        if left.ndim != 1 or left.shape != right.shape or closed not in ("left", "right", "both", "neither"):
            raise FormatError("an index of intervals whose ends disagree", where=where)
        intervals = IntervalData(left=left, right=right, closed=str(closed))
        return IndexData(kind="IntervalIndex", values=intervals, name=_label(parts.get("name"), context, where))
    if kind not in PLAIN_INDEXES:
        raise UnsupportedError(f"an index of class {kind}", where=where)
    if "data" not in parts:
        raise FormatError("an index without data", where=where)
    values = column_of(parts["data"], context, where)
    if values.ndim != 1:
        raise FormatError("an index whose data is not one-dimensional", where=where)
    return IndexData(kind=PLAIN_INDEXES[kind], values=values, name=_label(parts.get("name"), context, where))


def _range_index(parts: dict[str, Node], context: Context, where: str) -> IndexData:
    bounds = [parts.get(name) for name in ("start", "stop", "step")]
    if not all(type(bound) is int and abs(bound) < 2**62 for bound in bounds) or bounds[2] == 0:
        raise FormatError("a range index whose bounds are no integers", where=where)
    span = range(*(int(str(bound)) for bound in bounds))
    if len(span) > context.limits.legacy_items:
        raise LimitError(f"a range index of {len(span)} rows", where=where)
    return IndexData(kind="RangeIndex", values=span, name=_label(parts.get("name"), context, where))


def _multi_index(parts: dict[str, Node], context: Context, where: str) -> IndexData:
    import numpy as np

    levels, codes, names = parts.get("levels"), parts.get("codes", parts.get("labels")), parts.get("names")
    lists = [_items(part, where) for part in (levels, codes, names)]
    if not len(lists[0]) == len(lists[1]) == len(lists[2]) or not lists[0] or len(lists[0]) > 1000:
        raise FormatError("a multi-index whose levels, codes and names disagree", where=where)
    columns: list[Column] = []
    for level, code in zip(lists[0], lists[1], strict=True):
        labels = index_of(level, context, where).labels()
        numbers = arrays.array_of(code, context, where)
        if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
            raise FormatError("a multi-index whose codes are no integers", where=where)
        if numbers.size and not -1 <= int(numbers.min()) <= int(numbers.max()) < len(labels):
            raise FormatError("a multi-index whose codes reach beyond its levels", where=where)
        context.charge_items(numbers.size, where)
        column = np.empty(numbers.size, dtype=object)
        for row, number in enumerate(numbers.tolist()):
            column[row] = float("nan") if number < 0 else labels[number]
        columns.append(column)
    if len({len(column) for column in columns}) != 1:
        raise FormatError("a multi-index whose codes differ in length", where=where)
    name = tuple(_label(item, context, where) for item in lists[2])
    return IndexData(kind="MultiIndex", values=tuple(columns), name=name)


def _items(node: Node, where: str) -> Sequence[Node]:
    if isinstance(node, Call) and callee_of(node) == "pandas.core.indexes.frozen.FrozenList":
        node = node.args[0] if len(node.args) == 1 else None
    if not isinstance(node, (list, tuple)):
        raise FormatError(f"expected a list, found {describe(node)}", where=where)
    return node


def _label(node: Node, context: Context, where: str) -> object:
    return plain.value_of(node, context, where)


def series_of(node: Node, context: Context, where: str) -> SeriesData:
    """The series that a node describes."""
    return context.once("series", node, lambda: _series(node, context, where))


def _series(node: Node, context: Context, where: str) -> SeriesData:
    node = restored(node)
    if not isinstance(node, Call) or callee_of(node) != SERIES:
        raise FormatError(f"expected a series, found {describe(node)}", where=where)
    parts = _state(node, where)
    manager = parts.get("_mgr", parts.get("_data"))
    blocks, axes = _manager(manager, "pandas.core.internals.managers.SingleBlockManager", where)
    if len(blocks) != 1 or len(axes) != 1:
        raise FormatError("a series that is not one block over one axis", where=where)
    values = column_of(blocks[0][0], context, where)
    index = index_of(axes[0], context, where)
    if values.ndim != 1 or len(values) != len(index):
        raise FormatError(f"a series of {len(values)} values over {len(index)} labels", where=where)
    name = parts.get("_name", parts.get("name"))
    return SeriesData(values=values, index=index, name=_label(name, context, where))


def frame_of(node: Node, context: Context, where: str) -> FrameData:
    """The data frame that a node describes."""
    return context.once("frame", node, lambda: _frame(node, context, where))


def _frame(node: Node, context: Context, where: str) -> FrameData:
    node = restored(node)
    if not isinstance(node, Call) or callee_of(node) != FRAME:
        raise FormatError(f"expected a data frame, found {describe(node)}", where=where)
    parts = _state(node, where)
    manager = parts.get("_mgr", parts.get("_data"))
    blocks, axes = _manager(manager, "pandas.core.internals.managers.BlockManager", where)
    if len(axes) != 2:
        raise FormatError("a data frame without two axes", where=where)
    labels, index = index_of(axes[0], context, where), index_of(axes[1], context, where)
    columns: list[Column | None] = [None] * len(labels)
    for values, placement in blocks:
        for position, column in _block_columns(values, placement, len(labels), len(index), context, where):
            if columns[position] is not None:
                raise FormatError(f"a data frame with two values for column {position}", where=where)
            columns[position] = column
    made = [(label, column) for label, column in zip(labels.labels(), columns, strict=True) if column is not None]
    if len(made) != len(labels):
        raise FormatError("a data frame with columns that no block fills", where=where)
    return FrameData(columns=made, index=index)


def _manager(node: Node, name: str, where: str) -> tuple[list[tuple[Node, Node]], Sequence[Node]]:
    """Blocks as (values, placement) and axes, in any of the forms since pandas 0.14."""
    node = restored(node)
    if not isinstance(node, Call) or callee_of(node) not in (name, "pandas.core.internals.managers.BlockManager"):
        raise FormatError(f"expected a block manager, found {describe(node)}", where=where)
    if node.kwargs is not None or node.appended or node.assigned or len(node.states) > 1:
        raise FormatError("a block manager made in an unknown way", where=where)
    if not node.states:
        if len(node.args) != 2:
            raise FormatError("a block manager without blocks and axes", where=where)
        return [_block(block, where) for block in _items(node.args[0], where)], _items(node.args[1], where)
    state = node.states[0]
    if type(state) is not tuple or len(state) < 4:
        raise FormatError("a block manager's state that is none", where=where)
    versions = named_pairs(state[3], where)
    newest = named_pairs(versions.get("0.14.1"), where)
    found: list[tuple[Node, Node]] = []
    for item in _items(newest.get("blocks"), where):
        block = named_pairs(item, where)
        found.append((block.get("values"), block.get("mgr_locs")))
    return found, _items(newest.get("axes"), where)


def _block(node: Node, where: str) -> tuple[Node, Node]:
    known = ("pandas._libs.internals._unpickle_block", "pandas.core.internals.blocks.new_block")
    if not isinstance(node, Call) or callee_of(node) not in known or len(node.args) != 3 or node.states:
        raise FormatError(f"expected a block, found {describe(node)}", where=where)
    return node.args[0], node.args[1]


def _block_columns(
    values: Node, placement: Node, width: int, height: int, context: Context, where: str
) -> list[tuple[int, Column]]:
    column = column_of(values, context, where)
    positions = _positions(placement, width, context, where)
    if column.ndim == 1:
        if len(positions) != 1 or len(column) != height:
            raise FormatError("a block whose size is not that of its columns", where=where)
        return [(positions[0], column)]
    if column.ndim != 2 or column.shape != (len(positions), height):
        raise FormatError("a block whose size is not that of its columns", where=where)
    return [(position, column[row]) for row, position in enumerate(positions)]


def _positions(node: Node, width: int, context: Context, where: str) -> list[int]:
    """The columns that a block fills: a slice, or an integer array."""
    found: Sequence[int]
    if isinstance(node, Call) and callee_of(node) == "builtins.slice":
        span = plain.value_of(node, context, where)
        if not isinstance(span, slice):
            raise FormatError("a block placed by something that is no slice", where=where)
        found = range(width)[span]
        declared = [bound for bound in (span.start, span.stop) if bound is not None]
        if any(not -1 <= bound <= width for bound in declared):
            raise FormatError("a block placed outside its frame", where=where)
    else:
        array = arrays.array_of(node, context, where)
        if array.ndim != 1 or array.dtype.kind not in "iu" or array.size > width:
            raise FormatError("a block placed by something that is no list of columns", where=where)
        found = array.tolist()
    if any(not 0 <= position < width for position in found):
        raise FormatError("a block placed outside its frame", where=where)
    return list(found)
