"""Constraints of sdv 1 and 2: those that change the table step by step (``sdv.cag``), and those before them.

Only names are translated here; what the rules do is in :mod:`modelcrate.tabular.constraints`. Constraints that hold
Python code are never run, so they can't be carried.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.legacy.families import sdv_constraints
from modelcrate.legacy.families.known import plain_text, refuse_unknown
from modelcrate.legacy.families.sdv1_formats import bounded, dtypes_of, formatted, plain_format
from modelcrate.legacy.values.dtypes import DtypeData
from modelcrate.legacy.view import View

Document: TypeAlias = "dict[str, Any]"

_CAG: Final = "sdv.cag"
_OLD: Final = "sdv.constraints.tabular"
_BASE: Final = (
    "metadata", "_fitted", "_single_table", "_dtypes", "_formatters", "_datetime_min_max_value", "table_name",
    "_table_name", "_original_data_columns",
)  # fmt: skip
_ROUNDS: Final = (1, 10)
"""Releases before this one cut integers between two fixed values off."""
_DATES: Final = "datetime64[ns]"
_UNAMBIGUOUS: Final = "%Y-%m-%d"
"""What a date may begin with so that it is read in one way only."""


def translate_steps(chained: View, rejecting: View, release: tuple[int, ...]) -> Document:
    """The document of the constraints that ``sdv.cag`` holds, with the table that each of them saw.

    ``rejecting`` ones changed nothing. Raises :class:`FormatError`, and :class:`UnsupportedError` for code.
    """
    given = [*rejecting.items(), *chained.items()]
    views = [_known(view) for view in given]
    return {
        "constraints": [_STEPS[view.class_name or ""](view) for view in views],
        "applied": [False] * len(rejecting.items()) + [True] * len(chained.items()),
        "stages": [{"columns": stage_of(view, release)} for view in views],
    }


def stage_of(view: View, release: tuple[int, ...]) -> list[Document]:
    """The table as one constraint of ``sdv.cag`` saw it: its columns in order, and how their cells are written."""
    table = _table(view)
    dtypes = dtypes_of(view["_dtypes"].mapping()[table])
    formatters = _of_table(view.get("_formatters"), table)
    bounds = _of_table(view.get("_datetime_min_max_value"), table)
    found: list[Document] = []
    for item in view["_original_data_columns"].mapping()[table].items():
        name = item.text()
        if name not in dtypes:
            raise FormatError(f"no dtype for the column {name!r}", where=view["_dtypes"].path)
        form = formatted(plain_format(dtypes[name], item.path), formatters.get(name), release)
        form = bounded(form, bounds.get(name))
        found.append({"name": name, "format": {**form, "nones": True} if form["dtype"] == "object" else form})
    return found


def translate_old(constraints: View, to_reverse: View, release: tuple[int, ...]) -> Document:
    """The document of constraints of ``sdv.constraints``, which are undone all at once."""
    given, reversed_ = constraints.items(), to_reverse.items()
    for view in reversed_:
        if not any(view.same(other) for other in given):
            raise FormatError("a constraint that is not one of the table's", where=view.path)
    found: list[Document] = []
    for each in given:
        view = each
        translator = _OLDER.get(view.class_name or "")
        if translator is None:
            _refuse(view)
        assert translator is not None
        view = view.attributes(view.class_name or "")
        refuse_unknown(view, (*_OLD_BASE, *_OLD_OWN[(view.class_name or "").rpartition(".")[2]]))
        document = translator(view)
        if document["type"] == "scalar_range" and document["dtype"].startswith("int") and release >= _ROUNDS:
            document["rounds"] = True
        found.append(document)
    return {"constraints": found, "applied": [any(view.same(other) for other in reversed_) for view in given]}


def _known(view: View) -> View:
    if view.class_name not in _STEPS:
        _refuse(view)
    view = view.attributes(view.class_name or "")
    refuse_unknown(view, (*_BASE, *_OWN[view.class_name or ""]))
    if not view["_fitted"].boolean():
        raise UnsupportedError("a constraint that was not fitted", where=view.path)
    return view


def _refuse(view: View) -> None:
    raise UnsupportedError(
        f"a constraint of class {view.class_name or view.describe()}: it is Python code, which is never run",
        where=view.path,
        hint="only the built-in constraints of sdv can be carried",
    )


def _table(view: View) -> str:
    names = list(view["_original_data_columns"].mapping())
    if len(names) != 1:
        raise UnsupportedError("a constraint of several tables", where=view.path)
    return names[0]


def _of_table(view: View | None, table: str) -> dict[str, View]:
    if view is None or view.is_none():
        return {}
    inner = view.mapping().get(table)
    return {} if inner is None else inner.mapping()


# -- sdv.cag


def _inequality(view: View) -> Document:
    return _ascending(
        view,
        guessed="all",
        columns=["_low_column_name", "_high_column_name"],
        start=view["_fillna_low_column_name"].text(),
        distances=["_diff_column_name"],
        labels=view["_nan_column_name"],
        patterns=["_low_datetime_format", "_high_datetime_format"],
        matched=True,
    )


def _range(view: View) -> Document:
    return _ascending(
        view,
        columns=["_low_column_name", "_middle_column_name", "_high_column_name"],
        start=view["_fillna_low_column_name"].text(),
        distances=["_low_diff_column_name", "_high_diff_column_name"],
        labels=view["_nan_column_name"],
        patterns=["_low_datetime_format", "_middle_datetime_format", "_high_datetime_format"],
        matched=False,
    )


def _ascending(
    view: View,
    *,
    columns: list[str],
    start: str,
    distances: list[str],
    labels: View | None,
    patterns: list[str],
    matched: bool,
    guessed: str | None = None,
) -> Document:
    dtype, texts = _dtype(view)
    given = [view.get(name) for name in patterns]
    found: Document = {
        "type": "ascending",
        "columns": [view[name].text() for name in columns],
        "start": start,
        "distances": [view[name].text() for name in distances],
        "labels": None if labels is None or labels.is_none() else labels.text(),
        "strict": sdv_constraints.comparison(view, ">", ">=", "<", "<=") in (">", "<"),
        "dtype": dtype,
        "texts": texts,
        "patterns": [
            {"pattern": None if not texts or pattern is None or pattern.is_none() else pattern.text()}
            for pattern in given
        ],
        "matched": matched,
    }
    first = found["patterns"][0]["pattern"]
    if guessed is not None and texts and not (first or "").startswith(_UNAMBIGUOUS):
        found["guessed"] = guessed  # the format is not used where the constraint is undone
    return found


def _dtype(view: View) -> tuple[str, bool]:
    """The dtype of a constrained column, and whether it holds dates as texts."""
    import numpy as np

    from modelcrate.tabular.constraints.ascending import NULLABLE
    from modelcrate.tabular.constraints.casting import DTYPES

    dtype, dates = view["_dtype"].value(), view["_is_datetime"].boolean()
    name = dtype.name if isinstance(dtype, (np.dtype, DtypeData)) else ""
    if dates and name.startswith("datetime64") and ("," not in name or name.endswith(", UTC]")):
        return _DATES, False
    if dates and name in ("object", "str", "string"):
        return _DATES, True
    if dates or (name not in DTYPES and name not in NULLABLE) or name == _DATES:
        raise UnsupportedError(f"a constraint on a column of dtype {name or dtype}", where=view["_dtype"].path)
    return name, False


def _increments(view: View) -> Document:
    found = _plain_increments(view)
    return {**found, "factor": view["_fixed_increments_column_name"].text()}


def _plain_increments(view: View) -> Document:
    import numpy as np

    from modelcrate.tabular.constraints.patterns import NULLABLE, NUMBERS

    increment = view["increment_value"].finite()
    if increment < 1 or increment != int(increment):
        raise FormatError("an increment that is no positive whole number", where=view["increment_value"].path)
    dtype = view["_dtype"].value()
    name = dtype.name if isinstance(dtype, (np.dtype, DtypeData)) else ""
    if name not in NUMBERS and name not in NULLABLE:
        raise UnsupportedError(f"increments of a column of dtype {name or dtype}", where=view["_dtype"].path)
    return {
        "type": "fixed_increments",
        "column": view["column_name"].text(),
        "increment": int(increment),
        "dtype": name,
    }


def _one_hot(view: View) -> Document:
    columns = [item.text() for item in view["_column_names"].items()]
    found: Document = {"type": "one_hot", "columns": columns}
    strategy = view.get("learning_strategy")
    if strategy is not None and strategy.text() == "categorical":
        return {**found, "label": view["_categorical_column"].text()}
    parts = view.get("_transformed_col_names")
    names = [] if parts is None else [item.text() for item in parts.items()]
    return {**found, "parts": names} if names and names != columns else found


def _combinations(view: View) -> Document:
    """In the order of their labels: that of the training rows is left behind."""
    names = "column_names" if "column_names" in view else "_columns"
    by_label = view.get("_ids_to_combinations") or view["_uuids_to_combinations"]
    found = by_label.mapping()
    return {
        "type": "fixed_combinations",
        "columns": [item.text() for item in view[names].items()],
        "joint": view["_joint_column"].text(),
        "labels": sorted(found),
        "combinations": [[_cell(cell) for cell in found[label].items()] for label in sorted(found)],
    }


def _cell(view: View) -> object:
    import numpy as np

    value = view.value()
    if value is None or isinstance(value, (bool, int, float, str, np.generic)):
        return plain_text(value)
    raise UnsupportedError(f"a combination with {view.describe()}", where=view.path)


_STEPS: Final[dict[str, Callable[[View], Document]]] = {
    f"{_CAG}.fixed_combinations.FixedCombinations": _combinations,
    f"{_CAG}.fixed_increments.FixedIncrements": _increments,
    f"{_CAG}.inequality.Inequality": _inequality,
    f"{_CAG}.one_hot_encoding.OneHotEncoding": _one_hot,
    f"{_CAG}.range.Range": _range,
}
_BOUNDARIES: Final = ("_fillna_low_column_name", "_nan_column_name", "strict_boundaries", "_operator", "_is_datetime",
                      "_dtype", "_low_datetime_format", "_high_datetime_format", "_low_column_name",
                      "_high_column_name")  # fmt: skip
_OWN: Final[dict[str, tuple[str, ...]]] = {
    f"{_CAG}.fixed_combinations.FixedCombinations": (
        "column_names", "_joint_column", "_combinations", "_combinations_to_uuids", "_uuids_to_combinations",
        "_combinations_to_ids", "_ids_to_combinations",
    ),
    f"{_CAG}.fixed_increments.FixedIncrements": (
        "column_name", "_fixed_increments_column_name", "increment_value", "_dtype",
    ),
    f"{_CAG}.inequality.Inequality": (*_BOUNDARIES, "_diff_column_name"),
    f"{_CAG}.one_hot_encoding.OneHotEncoding": (
        "_column_names", "learning_strategy", "_categorical_column", "_transformed_col_names",
    ),
    f"{_CAG}.range.Range": (
        *_BOUNDARIES, "_middle_column_name", "_low_diff_column_name", "_high_diff_column_name",
        "_middle_datetime_format",
    ),
}  # fmt: skip


# -- sdv.constraints


def _old_inequality(view: View) -> Document:
    return _ascending(
        view,
        guessed="others",
        columns=["_low_column_name", "_high_column_name"],
        start=view["_low_column_name"].text(),
        distances=["_diff_column_name"],
        labels=view.get("_nan_column_name"),
        patterns=["_low_datetime_format", "_high_datetime_format"],
        matched=True,
    )


def _old_range(view: View) -> Document:
    """Until 1.4 the place of the middle column between the others was learned, later two distances."""
    if "low_diff_column_name" not in view:
        return _as_before(view)
    return _ascending(
        view,
        columns=["low_column_name", "middle_column_name", "high_column_name"],
        start=view["low_column_name"].text(),
        distances=["low_diff_column_name", "high_diff_column_name"],
        labels=view.get("nan_column_name"),
        patterns=["_low_datetime_format", "_middle_datetime_format", "_high_datetime_format"],
        matched=False,
    )


def _as_before(view: View) -> Document:
    """A constraint that means what it meant in sdv 0.17."""
    return sdv_constraints.translate(view)


def _bounds(view: View, *names: str) -> tuple[list[object], Document]:
    """The fixed values that one column is compared with, and what its document says of its dtype."""
    import numpy as np

    dtype, texts = _dtype(view)
    found: list[object] = []
    for name in names:
        value = view[name].value()
        if (dtype == _DATES) != isinstance(value, np.datetime64):
            raise FormatError(f"expected a bound of dtype {dtype}", where=view[name].path)
        if isinstance(value, np.datetime64):
            found.append(value.astype(_DATES))
        else:
            whole = isinstance(value, (bool, int, np.bool_, np.integer))
            found.append(view[name].integer() if whole else view[name].finite())
    more: Document = {"dtype": dtype, "resolution": None}
    if texts:
        pattern = view.get("_datetime_format")
        more["written"] = {"pattern": None if pattern is None or pattern.is_none() else pattern.text()}
    return found, more


def _scalar_inequality(view: View) -> Document:
    (value,), more = _bounds(view, "_value")
    return {
        "type": "scalar_inequality",
        "column": view["_column_name"].text(),
        "relation": sdv_constraints.comparison(view, ">", ">=", "<", "<="),
        "value": value,
        "difference": view["_diff_column_name"].text(),
        **more,
    }


def _scalar_range(view: View) -> Document:
    (low, high), more = _bounds(view, "_low_value", "_high_value")
    return {
        "type": "scalar_range",
        "column": view["_column_name"].text(),
        "low": low,
        "high": high,
        "scaled": view["_transformed_column"].text(),
        "strict": sdv_constraints.comparison(view, "<", "<=") == "<",
        **more,
    }


_OLDER: Final[dict[str, Callable[[View], Document]]] = {
    f"{_OLD}.FixedCombinations": _combinations,
    f"{_OLD}.FixedIncrements": _plain_increments,
    f"{_OLD}.Inequality": _old_inequality,
    f"{_OLD}.Negative": _as_before,
    f"{_OLD}.OneHotEncoding": _one_hot,
    f"{_OLD}.Positive": _as_before,
    f"{_OLD}.Range": _old_range,
    f"{_OLD}.ScalarInequality": _scalar_inequality,
    f"{_OLD}.ScalarRange": _scalar_range,
    f"{_OLD}.Unique": _as_before,
}
_OLD_BASE: Final = ("__kwargs__", "metadata", "constraint_columns", "rebuild_columns")
_SCALAR: Final = ("_column_name", "_datetime_format", "_dtype", "_is_datetime", "_operator")
_OLD_OWN: Final[dict[str, tuple[str, ...]]] = {
    "FixedCombinations": (
        "_columns", "_combinations", "_combinations_to_uuids", "_uuids_to_combinations", "_joint_column", "_separator",
    ),
    "FixedIncrements": ("_dtype", "column_name", "increment_value"),
    "Inequality": (
        "_diff_column_name", "_dtype", "_high_column_name", "_high_datetime_format", "_is_datetime",
        "_low_column_name", "_low_datetime_format", "_nan_column_name", "_operator",
    ),
    "Negative": (*_SCALAR, "_diff_column_name", "_value"),
    "OneHotEncoding": ("_column_names",),
    "Positive": (*_SCALAR, "_diff_column_name", "_value"),
    "Range": (
        "_dtype", "_high_datetime_format", "_is_datetime", "_low_datetime_format", "_middle_datetime_format",
        "_operator", "high_column_name", "high_diff_column_name", "low_column_name", "low_diff_column_name",
        "middle_column_name", "nan_column_name", "strict_boundaries", "_transformed_column",
    ),
    "ScalarInequality": (*_SCALAR, "_diff_column_name", "_value"),
    "ScalarRange": (*_SCALAR, "_high_value", "_low_value", "_transformed_column"),
    "Unique": ("column_names", "_column_names"),
}  # fmt: skip
