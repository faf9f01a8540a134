"""Small checks that all family modules make: no attribute is met that nobody knows, no cell that no crate can hold."""

from __future__ import annotations

import datetime
import decimal
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.format.values import Missing
from modelcrate.legacy.graph import Dict, Set
from modelcrate.legacy.values.extension import ScalarData
from modelcrate.legacy.view import View

CELLS = (
    bool,
    int,
    float,
    str,
    bytes,
    datetime.datetime,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
    Missing,
)
_ARRAYS: Final = "pandas.core.arrays"
_MASKED: Final = {
    **{
        f"{_ARRAYS}.integer.{sign}Int{bits}Dtype": f"{sign.lower()}int{bits}"
        for sign in ("", "U")
        for bits in (8, 16, 32, 64)
    },
    **{f"{_ARRAYS}.floating.Float{bits}Dtype": f"float{bits}" for bits in (32, 64)},
    f"{_ARRAYS}.boolean.BooleanDtype": "bool",
    f"{_ARRAYS}.string_.StringDtype": "object",
    "pandas.core.dtypes.dtypes.CategoricalDtype": "object",
    "pandas.core.dtypes.dtypes.DatetimeTZDtype": "datetime64[ns]",
}
"""Dtypes of pandas' own and the NumPy dtype that such cells have while they are encoded."""


def refuse_unknown(view: View, known: Iterable[str]) -> None:
    """Raise :class:`UnsupportedError` for an attribute that is not known: its meaning would have to be guessed."""
    allowed = frozenset(known)
    for name in view.names():
        if name not in allowed:
            raise UnsupportedError(
                f"the attribute {name!r} of {view.class_name or 'this object'} is not known",
                where=view.path,
                hint="a release that this version does not know, or a changed class",
            )


SETTINGS_LIMIT = 10_000
"""Values of one hyperparameter, those of shared lists counted at each visit."""
SETTINGS_DEPTH = 8


def setting(view: View) -> object:
    """A hyperparameter as JSON: a plain value, or lists of these. Raises :class:`UnsupportedError` for another."""
    found: list[object] = []
    pending: list[tuple[View, list[object], int]] = [(view, found, 0)]
    count = 0
    while pending:
        item, into, depth = pending.pop()
        count += 1
        if isinstance(item.node, (list, tuple)) and depth < SETTINGS_DEPTH and count + len(item.node) < SETTINGS_LIMIT:
            inner: list[object] = []
            into.append(inner)
            pending.extend((below, inner, depth + 1) for below in reversed(item.items()))
            continue
        value = None if isinstance(item.node, (list, tuple, Dict, Set)) else unboxed(item.value())
        plain = item.is_none() or isinstance(value, (bool, str))
        whole = isinstance(value, int) and abs(value) < 2**63
        if not plain and not whole and not (isinstance(value, float) and math.isfinite(value)):
            raise UnsupportedError(f"a hyperparameter that is {item.describe()}", where=item.path)
        into.append(value)
    return found[0]


def unboxed(value: object) -> object:
    """A NumPy scalar as Python's own; anything else as it is."""
    import numpy as np

    return value.item() if isinstance(value, np.generic) else value


def cell(view: View) -> object:
    """One cell of a table: text, number, date, missing. Raises :class:`UnsupportedError` for anything else."""
    import numpy as np

    value = _plain_moment(view.value())
    if value is None or isinstance(value, (*CELLS, np.generic)):
        return plain_text(value)
    what = _told(value) if isinstance(value, ScalarData) else view.describe()
    raise UnsupportedError(f"a category that is {what}", where=view.path)


def _plain_moment(value: object) -> object:
    """A timestamp in UTC as a datetime, if it is one of whole microseconds; anything else as it is."""
    import numpy as np

    if not isinstance(value, ScalarData) or value.kind != "Timestamp" or value.parts[1] != "UTC":
        return value
    moment = value.parts[0]
    if not isinstance(moment, np.datetime64) or moment.astype("datetime64[us]") != moment:
        return value
    plain = moment.astype("datetime64[us]").item()
    return plain.replace(tzinfo=datetime.timezone.utc) if isinstance(plain, datetime.datetime) else value


def _told(value: ScalarData) -> str:
    parts = " ".join(str(part) for part in value.parts)
    return f"the pandas {value.kind} {parts[:80]}"


def plain_text(value: object) -> object:
    """A text of NumPy's, as an object column may hold, as Python's own; anything else as it is."""
    return str(value) if isinstance(value, str) and type(value) is not str else value


def cells(values: Iterable[object], where: str) -> list[object]:
    """Cells that were read already, out of an index for example."""
    import numpy as np

    found = [_plain_moment(value) for value in values]
    for value in found:
        if value is not None and not isinstance(value, (*CELLS, np.generic)):
            what = _told(value) if isinstance(value, ScalarData) else f"a {type(value).__name__}"
            raise UnsupportedError(f"a category that is {what}", where=where)
    return [plain_text(value) for value in found]


def column_dtype(dtype: object, where: str) -> str:
    """The name of a dtype, checked to be one that a column may have; byte order is not kept."""
    import numpy as np

    from modelcrate.tabular.cells import DTYPES

    if isinstance(dtype, np.dtype) and dtype.name in DTYPES:
        name: str = dtype.name
        return name
    raise UnsupportedError(f"a column of dtype {dtype}", where=where)


@contextmanager
def told_of_column(name: str) -> Iterator[None]:
    """Errors from within say which column they are about."""
    try:
        yield
    except (FormatError, UnsupportedError) as error:
        raise type(error)(f"column {name!r}: {error.what}", where=error.where, hint=error.hint) from None


def trained_dtype(view: View) -> str:
    """The NumPy dtype of a column's cells while they are encoded, for a dtype of NumPy or of pandas."""
    name = view.class_name
    if name in _MASKED:
        return _MASKED[name]
    dtype = view.dtype()
    if dtype.kind == "M":
        return "datetime64[ns]"
    return column_dtype(dtype, view.path)
