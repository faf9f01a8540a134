"""The fixed values of constraints: an integer, a float or a moment."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields, kind_of
from modelcrate.tabular.constraints.casting import DATETIME

Scalar: TypeAlias = "int | float | np.datetime64"


def read_scalar(fields: Fields, name: str, dtype: str) -> Scalar:
    """A field that holds a finite number, or for datetime columns a ``datetime64[ns]``."""
    value = fields.value(name)
    if dtype == DATETIME:
        if not isinstance(value, np.datetime64) or value.dtype != DATETIME or bool(np.isnat(value)):
            raise FormatError(f"expected a {DATETIME}, found {kind_of(value)}", where=fields.path(name))
        return value
    if type(value) is int:
        return fields.integer(name)
    if type(value) is float and math.isfinite(value):
        return value
    raise FormatError(f"expected a finite number, found {kind_of(value)}", where=fields.path(name))


def fitting_array(value: Scalar, beside: np.ndarray) -> np.ndarray:
    """``value`` as a 0-d array that combines with ``beside`` as numpy 1.23 combined a Python scalar with it."""
    found = np.asarray(value)
    if (found.dtype.kind == "M") != (beside.dtype.kind == "M"):
        raise FormatError("a constraint compares a column of datetimes with a number, or the other way around")
    if found.dtype.kind == "M":
        return found
    kind = beside.dtype.kind
    if kind == "f":
        with np.errstate(over="ignore"):
            return found.astype(beside.dtype)
    if kind in "iu" and isinstance(value, int):
        bounds = np.iinfo(beside.dtype)
        return found.astype(beside.dtype) if bounds.min <= value <= bounds.max else found
    return found
