"""The fixed values of constraints, integers, floats or moments, and what rules about one column beside them share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields, kind_of
from modelcrate.tabular.constraints.base import Constraint, column_name, document_of_fields
from modelcrate.tabular.constraints.casting import (
    DATETIME,
    Written,
    cells_of,
    cut_off,
    read_dtype,
    read_resolution,
    read_written,
    restore,
)

Scalar: TypeAlias = "int | float | np.datetime64"


@dataclass(frozen=True, slots=True, kw_only=True)
class BesideScalars(Constraint):
    """One column beside fixed values: integers, floats or ``datetime64[ns]``; a missing cell obeys.

    ``resolution`` is what generated datetimes are cut off to. ``written``: the column holds datetimes as texts.
    """

    column: str
    dtype: str
    resolution: str | None
    written: Written | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def to_document(self) -> dict[str, Any]:
        found = document_of_fields(self)
        written = found.pop("written")
        return found if written is None else {**found, "written": written.to_document()}

    def _cells(self, frame: pd.DataFrame) -> np.ndarray:
        return cells_of(frame, self.column, self.written)

    def _restored(self, values: np.ndarray) -> np.ndarray:
        return cut_off(restore(values, self.dtype, self.column), self.resolution)


def read_beside_scalars(fields: Fields) -> dict[str, Any]:
    """The fields of :class:`BesideScalars`, as its arguments."""
    dtype = read_dtype(fields)
    return {
        "column": column_name(fields, "column"),
        "dtype": dtype,
        "resolution": read_resolution(fields, dtype),
        "written": read_written(fields, dtype),
    }


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
