"""Constraints: rules over a table's columns that generated rows obey, as data."""

from __future__ import annotations

from modelcrate.tabular.constraints.base import Constraint, MissingColumns
from modelcrate.tabular.constraints.collection import ConstraintSet, read

__all__ = ["Constraint", "ConstraintSet", "MissingColumns", "read"]
