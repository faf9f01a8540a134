"""What every constraint is: a fitted rule over some columns of one table, as data.

A constraint changes how a table was modelled (``transform``), undoes that on generated rows (``reverse_transform``),
and says which rows obey it (``is_valid``). The behaviour of each is that of sdv 0.17.2 under pandas 1.5, number for
number, because a model that was trained with it gives the same rows only then.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from modelcrate.errors import FormatError, UsageError
from modelcrate.format.document import Fields

NAME_LIMIT = 4096
"""Characters in a column name; derived names join two or three of them."""
COLUMNS_LIMIT = 65_536
"""Columns that one constraint may name."""


class MissingColumns(UsageError):
    """A frame to transform lacks some of a constraint's columns; the rows are then left to rejection."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        self.columns = columns
        super().__init__(f"the constraint needs the columns {', '.join(columns)}")


class Constraint(ABC):
    """One rule. Frames go in and come out with numpy dtypes or ``object``; datetimes are ``datetime64[ns]``."""

    __slots__ = ()
    tag: ClassVar[str]
    """The value of ``"type"`` in a document (FORMAT.md, "tabular.constraint")."""

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """The columns of the original table that the rule is about."""

    @classmethod
    @abstractmethod
    def from_document(cls, fields: Fields) -> Constraint:
        """Read one constraint; the field ``type`` has been read. Raises :class:`FormatError`."""

    @abstractmethod
    def to_document(self) -> dict[str, Any]:
        """The constraint in format values, ``type`` included."""

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The frame as it was modelled, as a new frame. Raises :class:`MissingColumns`."""
        missing = tuple(column for column in self.columns if column not in frame.columns)
        if missing:
            raise MissingColumns(missing)
        return self._transform(frame.copy())

    def reverse_transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Generated rows with this rule's own columns restored, as a new frame of the same index."""
        return self._reverse(frame.copy())

    @abstractmethod
    def is_valid(self, frame: pd.DataFrame) -> pd.Series:
        """Whether each row obeys the rule: booleans with the frame's index."""

    def filter_valid(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows that obey the rule, with their index labels."""
        return frame[self.is_valid(frame).to_numpy()]

    def _transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        return frame

    def _reverse(self, frame: pd.DataFrame) -> pd.DataFrame:
        return frame


def document_of_fields(constraint: Any) -> dict[str, Any]:
    """The document of a constraint whose fields are format values and are called there as they are here."""
    values = {field.name: getattr(constraint, field.name) for field in dataclasses.fields(constraint)}
    return {"type": constraint.tag, **values}


def mask(frame: pd.DataFrame, valid: np.ndarray) -> pd.Series:
    """One boolean per row, labelled as the frame is."""
    return pd.Series(valid, index=frame.index, dtype=bool)


def column_name(fields: Fields, name: str) -> str:
    """A field that names a column."""
    return fields.text(name, max_length=NAME_LIMIT)


def column_names(fields: Fields, name: str, *, at_least: int = 1) -> tuple[str, ...]:
    """A field that names several columns, each once."""
    found = fields.texts(name, max_items=COLUMNS_LIMIT)
    if len(found) < at_least:
        raise FormatError(f"needs at least {at_least} columns", where=fields.path(name))
    if len(set(found)) != len(found):
        raise FormatError("names a column twice", where=fields.path(name))
    return found
