"""The conditional sampler of CTGAN-like models: how often each category is asked for, without the rows behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.legacy.families.known import refuse_unknown
from modelcrate.legacy.view import View

if TYPE_CHECKING:
    import numpy as np

Document: TypeAlias = "dict[str, Any]"

_NAMES: Final = (
    "_data", "_data_length", "_discrete_column_matrix_st", "_rid_by_cat_cols", "_discrete_column_cond_st",
    "_discrete_column_n_category", "_discrete_column_category_prob", "_n_discrete_columns", "_n_categories",
)  # fmt: skip


def one_hot_columns(transformer: Document) -> list[Document]:
    """The columns that have a place in a condition vector, in order."""
    return [
        {"name": column["name"], "categories": len(column["encoding"]["categories"])}
        for column in transformer["columns"]
        if column["encoding"]["type"] == "one_hot"
    ]


def integers(view: View) -> list[int]:
    """A one-dimensional array of integers."""
    array = view.array()
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise FormatError("expected integers", where=view.path)
    return [int(number) for number in array.tolist()]


def shares_of_matrix(view: View, transformer: Document) -> Document:
    """A sampler from an encoded training table, of which only the shares of the categories are taken."""
    import numpy as np

    columns = one_hot_columns(transformer)
    if not columns:
        return {"columns": [], "cumulative": np.zeros(0)}
    matrix = view.array()
    width = sum(_width(column["encoding"]) for column in transformer["columns"])
    if matrix.ndim != 2 or matrix.shape[1] != width or not matrix.shape[0] or matrix.dtype.kind != "f":
        raise FormatError("the training matrix does not fit the transformer", where=view.path)
    picks: list[np.ndarray] = []
    start = 0
    for column in transformer["columns"]:
        stop = start + _width(column["encoding"])
        if column["encoding"]["type"] == "one_hot":
            picks.append(np.argmax(matrix[:, start:stop], axis=1))
        start = stop
    return shares_of_picks(picks, columns)


def shares_of_picks(picks: list[np.ndarray], columns: list[Document]) -> Document:
    """A sampler from the category of each training row, per column."""
    import numpy as np

    shares = [
        np.bincount(codes, minlength=column["categories"]) / len(codes)
        for codes, column in zip(picks, columns, strict=True)
    ]
    return {"columns": columns, "cumulative": np.cumsum(np.concatenate(shares) / len(shares))}


def translate_sampler(view: View, transformer: Document) -> tuple[Document, bool, bool]:
    """A ctgan ``DataSampler``: its document, whether requests are misplaced, whether it needs its training rows.

    Raises FormatError where it contradicts the transformer, UnsupportedError for what no release writes.
    """
    import numpy as np

    view = view.attributes("ctgan.data_sampler.DataSampler")
    refuse_unknown(view, _NAMES)
    columns = one_hot_columns(transformer)
    counts = [column["categories"] for column in columns]
    if view["_n_discrete_columns"].integer() != len(columns) or view["_n_categories"].integer() != sum(counts):
        raise FormatError("the sampler's columns are not the transformer's", where=view.path)
    if not columns:
        return {"columns": [], "cumulative": np.zeros(0)}, False, False
    starts = integers(view["_discrete_column_cond_st"])
    if starts != [sum(counts[:position]) for position in range(len(counts))]:
        raise FormatError("the sampler's offsets are not those of its columns", where=view.path)
    used = integers(view["_discrete_column_matrix_st"])
    if used != starts and (any(used) or len(used) != len(starts)):
        raise UnsupportedError("unknown offsets of requests", where=view["_discrete_column_matrix_st"].path)
    if "_data" in view:
        return shares_of_matrix(view["_data"], transformer), used != starts, True
    return _by_frequency(view["_discrete_column_category_prob"], columns), used != starts, False


def _by_frequency(view: View, columns: list[Document]) -> Document:
    """Upstream chooses among all categories at once, by float64 steps that are repeated here to the last bit."""
    import numpy as np

    chances = view.array()
    widest = max(column["categories"] for column in columns)
    if chances.dtype != np.dtype(np.float64) or chances.shape != (len(columns), widest):
        raise FormatError("expected one row of frequencies per discrete column", where=view.path)
    rows = [chances[row, : column["categories"]] for row, column in enumerate(columns)]
    padding = sum(float(np.abs(chances[row, column["categories"] :]).sum()) for row, column in enumerate(columns))
    flat = np.concatenate(rows)
    if not bool((flat > 0.0).all()) or not bool(np.isfinite(flat).all()) or padding != 0.0:
        raise UnsupportedError("a category that never occurs", where=view.path)
    cumulative = np.cumsum(flat / np.sum(flat))
    return {"columns": columns, "cumulative": cumulative / cumulative[-1]}


def _width(encoding: Document) -> int:
    if encoding["type"] == "mode_specific":
        return 1 + int(encoding["used"].sum())
    return int(encoding["digits"]) if encoding["type"] == "binary" else len(encoding["categories"])
