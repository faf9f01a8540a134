"""All constraints of one table, in order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields, kind_of
from modelcrate.tabular.constraints.ascending import Ascending
from modelcrate.tabular.constraints.base import Constraint, MissingColumns
from modelcrate.tabular.constraints.combinations import FixedCombinations
from modelcrate.tabular.constraints.inequality import Inequality, Negative, Positive, ScalarInequality
from modelcrate.tabular.constraints.patterns import FixedIncrements, OneHot, Unique
from modelcrate.tabular.constraints.ranges import Range, ScalarRange
from modelcrate.tabular.formats import Stage

CONSTRAINTS_LIMIT: Final = 4096
"""Constraints of one table; each runs over every generated row."""

_CLASSES: Final[tuple[type[Constraint], ...]] = (
    Ascending,
    FixedCombinations,
    FixedIncrements,
    Inequality,
    Negative,
    OneHot,
    Positive,
    Range,
    ScalarInequality,
    ScalarRange,
    Unique,
)
_BY_TAG: Final = {cls.tag: cls for cls in _CLASSES}


def read(document: object, where: str) -> Constraint:
    """One constraint of a state document, chosen by its ``type``. Raises :class:`FormatError`."""
    fields = Fields(document, where)
    return _BY_TAG[fields.text("type", choices=tuple(_BY_TAG))].from_document(fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstraintSet:
    """The constraints in the order in which they were fitted.

    ``applied[i]`` tells whether the table was transformed by constraint ``i``: one whose columns an earlier constraint
    had replaced was not, so it is not undone on generated rows either and only decides which of them are kept.

    ``stages[i]``, where there are any, is the table that constraint ``i`` saw: rows are then written in its formats,
    and refused, as each constraint is undone, and not all at the end.
    """

    constraints: tuple[Constraint, ...] = ()
    applied: tuple[bool, ...] = ()
    stages: tuple[Stage, ...] = ()

    @classmethod
    def from_document(cls, fields: Fields) -> ConstraintSet:
        """Read ``{"constraints": [...], "applied": [...]}``. Raises :class:`FormatError`."""
        constraints = tuple(
            read(item, where) for where, item in fields.each("constraints", max_items=CONSTRAINTS_LIMIT)
        )
        applied: list[bool] = []
        for where, item in fields.each("applied", max_items=CONSTRAINTS_LIMIT):
            if type(item) is not bool:
                raise FormatError(f"expected true or false, found {kind_of(item)}", where=where)
            applied.append(item)
        if len(applied) != len(constraints):
            raise FormatError("there must be one value per constraint", where=fields.path("applied"))
        stages: list[Stage] = []
        for item in fields.each_fields("stages", max_items=CONSTRAINTS_LIMIT) if fields.has("stages") else ():
            stages.append(Stage.read(item, "columns"))
            item.finish()
        if stages and len(stages) != len(constraints):
            raise FormatError("there must be one stage per constraint", where=fields.path("stages"))
        fields.finish()
        return cls(constraints=constraints, applied=tuple(applied), stages=tuple(stages))

    def to_document(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "constraints": [constraint.to_document() for constraint in self.constraints],
            "applied": list(self.applied),
        }
        return found | ({"stages": [{"columns": each.to_document()} for each in self.stages]} if self.stages else {})

    def transform_conditions(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Known columns as the model saw them.

        A constraint of which only some columns are known can't be transformed: these columns are left out, and the
        rows that fit them have to be found by rejection.
        """
        for constraint, applied in zip(self.constraints, self.applied, strict=True):
            if self.stages and not applied:  # it only refuses rows, of the table before all the others
                continue
            try:
                with _placed(constraint):
                    frame = constraint.transform(frame)
            except MissingColumns:
                frame = frame.drop(columns=[column for column in constraint.columns if column in frame.columns])
        return frame

    def reverse_transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Generated rows in the columns of the original table; with stages only those that obey, with their labels."""
        for position in reversed(range(len(self.constraints))):
            with _placed(self.constraints[position]):
                if self.applied[position]:
                    frame = self.constraints[position].reverse_transform(frame)
                    if self.stages:
                        frame = self.stages[position].write(frame)
                if self.stages:
                    frame = self.constraints[position].filter_valid(frame)
        return frame

    def filter_valid(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows that obey every constraint, each asked about the rows that the earlier ones left.

        With stages they obey already, and some constraints are about columns that are no more.
        """
        for constraint in () if self.stages else self.constraints:
            with _placed(constraint):
                frame = constraint.filter_valid(frame)
        return frame


@contextmanager
def _placed(constraint: Constraint) -> Iterator[None]:
    """Errors that say of no place are of this constraint."""
    try:
        yield
    except FormatError as error:
        if error.where is not None:
            raise
        where = f"constraint {constraint.tag!r} on {', '.join(constraint.columns)}"
        raise FormatError(error.what, where=where, hint=error.hint) from error
