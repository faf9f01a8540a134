"""What sdv 1 and 2 know of a column beside its transformer: its dtype, and how its numbers and dates are written."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.legacy.families.known import cells, refuse_unknown
from modelcrate.legacy.values.dtypes import DtypeData
from modelcrate.legacy.values.extension import ScalarData
from modelcrate.legacy.view import View

Document: TypeAlias = "dict[str, Any]"

NUMBER: Final = "sdv.data_processing.numerical_formatter.NumericalFormatter"
DATE: Final = "sdv.data_processing.datetime_formatter.DatetimeFormatter"
_NUMBER_NAMES: Final = (
    "enforce_rounding", "enforce_min_max_values", "computer_representation", "decimal_places", "_dtype", "_min_value",
    "_max_value", "_rounding_digits",
)  # fmt: skip
_DATE_NAMES: Final = ("datetime_format", "_dtype")
_REWRITES_DATES: Final = (1, 22)
"""Releases before this one write every date as text once, which cuts off what its format does not tell."""
_NUMPY_OF: Final = {"boolean": "bool", "string": "object", "str": "object", "category": "object"}


def dtypes_of(view: View) -> dict[str, object]:
    """A Series or a mapping of dtypes by column; each a NumPy dtype or a :class:`DtypeData`."""
    if view.class_name == "pandas.core.series.Series":
        series = view.series()
        found = dict(zip(series.index.labels(), series.values.tolist(), strict=True))
    else:
        found = {key.value(): dtype.value() for key, dtype in view.pairs()}
    for name in found:
        if not isinstance(name, str):
            raise UnsupportedError("a column whose name is no text", where=view.path)
    return {str(name): dtype for name, dtype in found.items()}


def plain_format(dtype: object, where: str) -> Document:
    """The format of cells that are only cast. Raises :class:`UnsupportedError` for a dtype that no column may have."""
    import numpy as np

    from modelcrate.tabular.formats import ALL_DTYPES

    name = dtype.name if isinstance(dtype, (np.dtype, DtypeData)) else None
    if name not in ALL_DTYPES:
        zoned = name is not None and name.startswith("datetime64") and "," in name
        hint = (
            "train on dates in UTC, or without a zone: the rules of other zones are not in the file" if zoned else None
        )
        raise UnsupportedError(f"a column of dtype {name or dtype}", where=where, hint=hint)
    found: Document = {"kind": "plain", "dtype": name}
    if isinstance(dtype, DtypeData) and dtype.categories is not None:
        found |= {"categories": cells(dtype.categories, where), "ordered": dtype.ordered}
    return found


def numpy_name(form: Document) -> str:
    """The name of the NumPy dtype that comes nearest to a format's."""
    name: str = form["dtype"]
    if name.startswith("datetime64"):
        return "datetime64[ns]"
    return _NUMPY_OF.get(name, name.lower())


def formatted(form: Document, formatter: View | None, release: tuple[int, ...]) -> Document:
    """``form`` with what a formatter adds to it: bounds, decimals, a date format."""
    if formatter is None or formatter.is_none():
        return form
    if formatter.class_name == NUMBER:
        return _number(form, formatter.attributes(NUMBER))
    if formatter.class_name == DATE:
        return _date(form, formatter.attributes(DATE), release)
    raise UnsupportedError(f"a formatter of class {formatter.class_name}", where=formatter.path)


def bounded(form: Document, bounds: View | None) -> Document:
    """A format of dates with the earliest and the latest that constraints keep."""
    import numpy as np

    if bounds is None or bounds.is_none():
        return form
    found = [_moment(item.value()) for item in bounds.items()]
    moments = [value.astype("datetime64[ns]") for value in found if isinstance(value, np.datetime64)]
    if len(moments) != 2 or form["kind"] != "date":
        raise FormatError("expected the first and the last of some dates", where=bounds.path)
    known = [None if bool(np.isnat(moment)) else moment for moment in moments]
    return {**form, "minimum": known[0], "maximum": known[1]}


def _moment(value: object) -> object:
    """A moment in universal time without its zone; anything else as it is."""
    zoned = isinstance(value, ScalarData) and value.kind == "Timestamp" and value.parts[1:] == ("UTC",)
    return value.parts[0] if isinstance(value, ScalarData) and zoned else value


def _number(form: Document, view: View) -> Document:
    refuse_unknown(view, _NUMBER_NAMES)
    minimum = maximum = None
    representation = "Float" if "computer_representation" not in view else view["computer_representation"].text()
    if view["enforce_min_max_values"].boolean():
        minimum, maximum = (_limit(view.get(name)) for name in ("_min_value", "_max_value"))
    elif not representation.startswith("Float"):
        minimum, maximum = _integer_limits(representation, view["computer_representation"].path)
    digits = None
    given = view.get("_rounding_digits")
    if view["enforce_rounding"].boolean() and given is not None and not given.is_none():
        digits = given.integer()
    return {**form, "kind": "number", "minimum": minimum, "maximum": maximum, "digits": digits}


def _date(form: Document, view: View, release: tuple[int, ...]) -> Document:
    refuse_unknown(view, _DATE_NAMES)
    if form["dtype"] == "category":
        return form  # the transformer writes the dates, and those that are no category get lost
    given = view["datetime_format"]
    pattern = None if given.is_none() else given.text()
    if form["dtype"].startswith("datetime64") and release >= _REWRITES_DATES:
        pattern = None
    return {**form, "kind": "date", "minimum": None, "maximum": None, "pattern": pattern}


def _limit(view: View | None) -> int | float | None:
    """A bound; a missing one (of a column without values) binds nothing."""
    import math

    import numpy as np

    value = None if view is None else view.value()
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (int, float)):
        return value
    raise UnsupportedError(f"a bound that is a {type(value).__name__}", where="" if view is None else view.path)


def _integer_limits(name: str, where: str) -> tuple[int, int]:
    bits = name.removeprefix("UInt").removeprefix("Int")
    if bits not in ("8", "16", "32", "64"):
        raise UnsupportedError(f"numbers stored as {name!r}", where=where)
    size = int(bits)
    return (0, 2**size - 1) if name.startswith("U") else (-(2 ** (size - 1)), 2 ** (size - 1) - 1)
