"""Constraints, identifiers and anonymised fields of sdv 0.17 tables, as documents in our vocabulary.

Only names are translated here; what the rules do is in :mod:`modelcrate.tabular.constraints`. A custom constraint is
Python code in the file, which is never run, so it can't be carried.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.legacy.families.known import plain_text
from modelcrate.legacy.graph import Call, Dict
from modelcrate.legacy.view import View

Document: TypeAlias = "dict[str, Any]"

_MODULE: Final = "sdv.constraints.tabular"
_UFUNCS: Final = ("numpy", "numpy.core.umath", "numpy.core._multiarray_umath")
_COMPARISONS: Final = {
    **{f"{module}.greater": ">" for module in _UFUNCS},
    **{f"{module}.greater_equal": ">=" for module in _UFUNCS},
    **{f"{module}.less": "<" for module in _UFUNCS},
    **{f"{module}.less_equal": "<=" for module in _UFUNCS},
    **{f"{module}.lt": "<" for module in ("operator", "_operator")},
    **{f"{module}.le": "<=" for module in ("operator", "_operator")},
}
_RESOLUTIONS: Final = {
    "%Y-%m-%d": "day",
    "%Y-%m-%d %H": "hour",
    "%Y-%m-%d %H:%M": "minute",
    "%Y-%m-%d %H:%M:%S": "second",
    "%Y-%m-%d %H:%M:%S.%f": "microsecond",
}
"""The ways in which pandas 1.5 writes out datetimes, which is where sdv takes its format from."""
_DATETIME: Final = "datetime64[ns]"


def translate_set(constraints: View, to_reverse: View) -> Document:
    """The document of all constraints of a table, from its ``_constraints`` and ``_constraints_to_reverse``.

    Raises :class:`FormatError` and :class:`UnsupportedError`, the latter for a custom constraint.
    """
    given, reversed_ = constraints.items(), to_reverse.items()
    for view in reversed_:
        if not any(view.same(other) for other in given):
            raise FormatError("a constraint that is not one of the table's", where=view.path)
    return {
        "constraints": [translate(view) for view in given],
        "applied": [any(view.same(other) for other in reversed_) for view in given],
    }


def translate(view: View) -> Document:
    """The document of one constraint. Raises :class:`FormatError` and :class:`UnsupportedError`."""
    name = view.class_name
    translator = _TRANSLATORS.get(name or "")
    if name is None or translator is None:
        raise UnsupportedError(
            f"a custom constraint on {_columns_in_words(view)}: it is Python code, which is never run",
            where=view.path,
            hint="only the built-in constraints of sdv can be carried",
        )
    return translator(view.attributes(name))


def translate_identifiers(field: View) -> Document | None:
    """How a key column is filled, from its entry in ``_fields_metadata``; None where it is no key."""
    if field["type"].text() != "id":
        return None
    subtype = field.get("subtype")
    if subtype is None or subtype.text() != "string":
        return {"kind": "integer"}
    pattern = field.get("regex")
    return {"kind": "text", "pattern": "[a-zA-Z]+" if pattern is None else pattern.text()}


def translate_anonymiser(field: View) -> Document | None:
    """What a column is anonymised with, from its entry in ``_fields_metadata``; None where it is not."""
    flag = field.get("pii")
    if flag is None or flag.is_none() or not flag.boolean():
        return None
    category = field["pii_category"]
    name, *arguments = [category] if type(category.node) is str else category.items()
    locales = field.get("pii_locales")
    return {
        "provider": name.text(),
        "arguments": [argument.value() for argument in arguments],
        "locales": [] if locales is None or locales.is_none() else _locales(locales),
    }


def _locales(view: View) -> list[str]:
    names = [view] if type(view.node) is str else view.items()
    return list(dict.fromkeys(name.text().replace("-", "_") for name in names))


def _inequality(view: View) -> Document:
    dtype = _dtype(view)
    return {
        "type": "inequality",
        "low": view["_low_column_name"].text(),
        "high": view["_high_column_name"].text(),
        "difference": view["_diff_column_name"].text(),
        "strict": comparison(view, ">", ">=") == ">",
        "dtype": dtype,
    }


def _scalar_inequality(view: View) -> Document:
    dtype = _dtype(view)
    return {
        "type": "scalar_inequality",
        "column": view["_column_name"].text(),
        "relation": comparison(view, ">", ">=", "<", "<="),
        "value": _scalar(view["_value"], dtype),
        "difference": view["_diff_column_name"].text(),
        "dtype": dtype,
        "resolution": _resolution(view),
    }


def _sign(view: View) -> Document:
    positive = view.class_name == f"{_MODULE}.Positive"
    relation = comparison(view, ">", ">=") if positive else comparison(view, "<", "<=")
    if view["_value"].integer() != 0:
        raise FormatError("a sign is not compared with zero", where=view.path)
    return {
        "type": "positive" if positive else "negative",
        "column": view["_column_name"].text(),
        "strict": len(relation) == 1,
        "difference": view["_diff_column_name"].text(),
        "dtype": _dtype(view),
    }


def _range(view: View) -> Document:
    return {
        "type": "range",
        "low": view["low_column_name"].text(),
        "middle": view["middle_column_name"].text(),
        "high": view["high_column_name"].text(),
        "scaled": view["_transformed_column"].text(),
        "strict": comparison(view, "<", "<=") == "<",
        "dtype": _dtype(view),
    }


def _scalar_range(view: View) -> Document:
    dtype = _dtype(view)
    return {
        "type": "scalar_range",
        "column": view["_column_name"].text(),
        "low": _scalar(view["_low_value"], dtype),
        "high": _scalar(view["_high_value"], dtype),
        "scaled": view["_transformed_column"].text(),
        "strict": comparison(view, "<", "<=") == "<",
        "dtype": dtype,
        "resolution": _resolution(view),
    }


def _fixed_increments(view: View) -> Document:
    increment = view["increment_value"].finite()
    if increment < 1 or increment != int(increment):
        raise FormatError("an increment that is no positive whole number", where=view["increment_value"].path)
    return {
        "type": "fixed_increments",
        "column": view["column_name"].text(),
        "increment": int(increment),
        "dtype": view["_dtype"].dtype().name,
    }


def _one_hot(view: View) -> Document:
    return {"type": "one_hot", "columns": _texts(view["_column_names"])}


def _unique(view: View) -> Document:
    return {"type": "unique", "columns": _texts(view["column_names"])}


def _fixed_combinations(view: View) -> Document:
    """The combinations, in the order of their random labels: that of the training rows is left behind."""
    found = view["_uuids_to_combinations"].mapping()
    return {
        "type": "fixed_combinations",
        "columns": _texts(view["_columns"]),
        "joint": view["_joint_column"].text(),
        "labels": sorted(found),
        "combinations": [[plain_text(cell.value()) for cell in found[label].items()] for label in sorted(found)],
    }


_TRANSLATORS: Final[dict[str, Callable[[View], Document]]] = {
    f"{_MODULE}.FixedCombinations": _fixed_combinations,
    f"{_MODULE}.FixedIncrements": _fixed_increments,
    f"{_MODULE}.Inequality": _inequality,
    f"{_MODULE}.Negative": _sign,
    f"{_MODULE}.OneHotEncoding": _one_hot,
    f"{_MODULE}.Positive": _sign,
    f"{_MODULE}.Range": _range,
    f"{_MODULE}.ScalarInequality": _scalar_inequality,
    f"{_MODULE}.ScalarRange": _scalar_range,
    f"{_MODULE}.Unique": _unique,
}


def _texts(view: View) -> list[str]:
    return [item.text() for item in view.items()]


def _dtype(view: View) -> str:
    """The dtype that the constrained column had, which is also what tells datetimes from numbers."""
    name: str = view["_dtype"].dtype().name
    if view["_is_datetime"].boolean() != (name == _DATETIME):
        raise UnsupportedError(f"a constraint on a column of dtype {name}", where=view.path)
    return name


def comparison(view: View, *choices: str) -> str:
    """The sign of the comparison function that a constraint holds."""
    operator = view["_operator"]
    name = operator.global_name
    if operator.callee == "numpy.core._ufunc_reconstruct":
        parts = [part.text() for part in operator.args()]
        name = ".".join(parts).replace("numpy._core", "numpy.core")
    sign = _COMPARISONS.get(name or "")
    if sign not in choices:
        raise FormatError(f"expected one of {choices}, found {operator.describe()}", where=operator.path)
    return sign


def _scalar(view: View, dtype: str) -> object:
    """A bound: an integer, a float, or for datetimes a ``datetime64[ns]``."""
    import numpy as np

    value = view.value()
    if dtype == _DATETIME:
        if not isinstance(value, np.datetime64):
            raise FormatError(f"expected a datetime, found {view.describe()}", where=view.path)
        return value.astype(_DATETIME)
    return int(value) if isinstance(value, (bool, int, np.bool_, np.integer)) else view.finite()


def _resolution(view: View) -> str | None:
    form = view["_datetime_format"]
    if form.is_none():
        return None
    if form.text() not in _RESOLUTIONS:
        raise UnsupportedError(f"dates written as {form.text()!r}", where=form.path)
    return _RESOLUTIONS[form.text()]


def _columns_in_words(view: View) -> str:
    """The columns of a constraint whose class is not known, as far as its state tells them."""
    states = view.node.states if isinstance(view.node, Call) else ()
    for state in states:
        for key, value in state.pairs if isinstance(state, Dict) else ():
            if key == "constraint_columns" and isinstance(value, (list, tuple)):
                names = [repr(name) for name in value[:20] if type(name) is str]
                return f"the column{'s' if len(names) > 1 else ''} {', '.join(names)}" if names else "no column"
    return "unknown columns"
