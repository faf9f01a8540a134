"""The table: from modelled columns back to the rows of the original, and from known cells to modelled ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from modelcrate.errors import FormatError, UsageError
from modelcrate.format.document import Fields
from modelcrate.tabular.cells import (
    NAME_LIMIT,
    column_of,
    frame_of,
    inferred,
    is_missing,
    read_name,
    with_columns,
)
from modelcrate.tabular.columns import TableEncoding, read_table_encoding
from modelcrate.tabular.constraints import ConstraintSet
from modelcrate.tabular.draws import Draws, Reversal
from modelcrate.tabular.fields import Field
from modelcrate.tabular.formats import Stage
from modelcrate.tabular.session import Session, States
from modelcrate.tabular.transformer import COLUMNS_LIMIT, WIDTH_LIMIT


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TableColumn:
    """One column after the constraints, the modelled columns that stand for it, and how.

    ``states``: where its own random generators stood, in releases that give each column some.
    """

    name: str
    outputs: tuple[str, ...]
    encoding: TableEncoding
    states: States | None = None

    @classmethod
    def from_document(cls, fields: Fields) -> TableColumn:
        """Read one. Raises :class:`FormatError`."""
        found = cls(
            name=read_name(fields, "name"),
            outputs=fields.texts("outputs", max_items=WIDTH_LIMIT),
            encoding=read_table_encoding(fields.fields("encoding")),
            states=fields.optional("states", lambda name: States.from_document(fields.fields(name)), None),
        )
        fields.finish()
        if any(len(name) > NAME_LIMIT for name in found.outputs):
            raise FormatError("a column's name is too long", where=fields.path("outputs"))
        if len(found.outputs) != found.encoding.outputs:
            raise FormatError(
                f"the encoding gives {found.encoding.outputs} columns, {len(found.outputs)} are named",
                where=fields.path("outputs"),
            )
        return found

    def to_document(self) -> dict[str, Any]:
        """The column in format values."""
        found = {"name": self.name, "outputs": list(self.outputs), "encoding": self.encoding.to_document()}
        return found if self.states is None else {**found, "states": self.states.to_document()}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """The state of a component of type ``tabular.table/1``.

    ``fields`` in the order of the original table; ``columns`` in the order in which they were encoded. A column that
    is an output of an earlier one is encoded further: it is between the two, and no field.
    """

    type_tag: ClassVar[str] = "tabular.table/1"
    fields: tuple[Field, ...]
    columns: tuple[TableColumn, ...]
    constraints: ConstraintSet
    primary_key: tuple[str, ...]
    modelled: Stage | None = None

    @classmethod
    def from_document(cls, document: object, where: str) -> Table:
        """Read the state. Raises :class:`FormatError`, and as constraints, identifiers and anonymisers do."""
        top = Fields(document, where)
        found = cls(
            fields=tuple(Field.from_document(item) for item in top.each_fields("fields", max_items=COLUMNS_LIMIT)),
            columns=tuple(
                TableColumn.from_document(item) for item in top.each_fields("columns", max_items=COLUMNS_LIMIT)
            ),
            constraints=ConstraintSet.from_document(top.fields("constraints")),
            primary_key=top.texts("primary_key", max_items=COLUMNS_LIMIT),
            modelled=top.optional("modelled", lambda name: Stage.read(top, name), None),
        )
        top.finish()
        names = [field.name for field in found.fields]
        _distinct(names, top.path("fields"))
        _distinct([column.name for column in found.columns], top.path("columns"))
        _distinct([name for column in found.columns for name in column.outputs], top.path("columns"))
        if not names:
            raise FormatError("a table without fields", where=top.path("fields"))
        if not set(found.primary_key) <= set(names):
            raise FormatError("the key is not one of the fields", where=top.path("primary_key"))
        return found

    def to_document(self) -> dict[str, Any]:
        """The state in format values."""
        found = {
            "fields": [field.to_document() for field in self.fields],
            "columns": [column.to_document() for column in self.columns],
            "constraints": self.constraints.to_document(),
            "primary_key": list(self.primary_key),
        }
        return found if self.modelled is None else {**found, "modelled": self.modelled.to_document()}

    @property
    def outputs(self) -> tuple[str, ...]:
        """The modelled columns that the table's columns became."""
        return tuple(name for column in self.columns for name in column.outputs)

    def derived(self) -> list[tuple[str, str, int]]:
        """What was taken from training data, constraints aside: (column, kind, how many values)."""
        found = [(column.name, kind, count) for column in self.columns for kind, count in column.encoding.derived()]
        found += [item for field in self.fields for item in field.derived()]
        stages = [*self.constraints.stages, *([] if self.modelled is None else [self.modelled])]
        return list(dict.fromkeys([*found, *(item for stage in stages for item in stage.derived())]))

    @property
    def has_constraints(self) -> bool:
        """Whether rows may be refused."""
        return bool(self.constraints.constraints)

    def reverse(
        self,
        modelled: Mapping[str, np.ndarray],
        rows: int,
        how: Reversal,
        random: Random,
        session: Session | None = None,
        known: Mapping[str, object] | None = None,
        *,
        counted: bool = True,
    ) -> pd.DataFrame:
        """Modelled columns of shape (rows,) as rows of the original table, keys counted from 0.

        With ``counted=False`` keys stand in for those that :meth:`renumber` gives the rows that are wanted: a pattern
        may have enough keys for these and not for all. ``random`` decides made-up cells alone. ``session`` makes the
        cells of fields that have a source, those of ``known`` aside; without it these fields are left out. Rows that a
        constraint refuses while it is undone are not there; the others keep their labels. Raises :class:`FormatError`
        where a field gets no values.
        """
        frame = self.decode(modelled, rows, how, session)
        made = {} if session is None else session.made(rows, known or {})
        if made:
            frame = with_columns(frame, {name: cells for name, cells in made.items() if name in self.constrained})
        frame = self.constraints.reverse_transform(frame)
        cells: dict[str, pd.Series] = {}
        for field in self.fields:
            values = frame.get(field.name)
            if field.source is not None:
                if field.name not in made:
                    continue
                values = made[field.name].loc[frame.index]
            cells[field.name] = field.finish(values, rows, random, counted=counted)
        return pd.DataFrame(
            {name: values.set_axis(frame.index) for name, values in cells.items()},
            index=frame.index,
            columns=pd.Index(list(cells), dtype=object),
        )

    def decode(
        self, modelled: Mapping[str, np.ndarray], rows: int, how: Reversal, session: Session | None = None
    ) -> pd.DataFrame:
        """Modelled columns of shape (rows,) as the table that the constraints left, none of them undone."""
        columns = dict(modelled)
        for position in reversed(range(len(self.columns))):
            column = self.columns[position]
            if all(name in columns for name in column.outputs):
                own = how if session is None else session.reversal(position, how)
                given = [columns[name] for name in column.outputs]
                try:
                    columns[column.name] = column.encoding.reverse(given, own)
                except (TypeError, ValueError, OverflowError) as error:  # texts, say, where the encoding gave numbers
                    what = f"the modelled cells are none of its encoding: {error}"
                    raise FormatError(what, where=f"column {column.name!r}") from error
        inner = self._inner()
        kept = {
            column.name: columns[column.name]
            for column in self.columns
            if column.name in columns and column.name not in inner
        }
        frame = frame_of(kept, rows)
        return frame if self.modelled is None else self.modelled.write(frame)

    @property
    def constrains_sources(self) -> bool:
        """Whether a constraint is about a column that no model learns."""
        return not self.constrained.isdisjoint(self.made_up)

    @property
    def compares_rows(self) -> bool:
        """Whether a constraint refuses a row for what another row holds."""
        return any(constraint.tag == "unique" for constraint in self.constraints.constraints)

    @property
    def constrained(self) -> set[str]:
        """The columns that constraints are about."""
        return {name for constraint in self.constraints.constraints for name in constraint.columns}

    @property
    def made_up(self) -> dict[str, Field]:
        """The fields that have a source, by name."""
        return {field.name: field for field in self.fields if field.source is not None}

    @property
    def set_outright(self) -> set[str]:
        """The fields that no model learns, of which known cells are set and not searched for; counted keys aside."""
        return {field.name for field in self.fields if field.source is not None or field.anonymiser is not None}

    def fill(self, frame: pd.DataFrame, session: Session) -> pd.DataFrame:
        """The frame with the cells of those fields that have a source, where it has none yet, columns in order."""
        fields = self.made_up
        if not fields:
            return frame
        made = session.made(len(frame), {})
        for name, field in fields.items():
            if self.constrains_sources and name in frame.columns and name in self.constrained:
                continue
            cells = made[name].set_axis(frame.index)
            if name in frame.columns:
                cells = frame[name].astype(object).where(frame[name].notna(), cells)
            frame = with_columns(frame, {name: field.finish(cells, len(frame), Random(0))})
        return frame[[field.name for field in self.fields]]

    def forward(self, known: Mapping[str, object], draws: Draws, session: Session | None = None) -> dict[str, object]:
        """Known cells of one row as modelled cells, as far as they tell any.

        Raises :class:`UsageError` for a value that can't be in its column.
        """
        learned = {field.name for field in self.fields if field.kind != "key" and field.source is None}
        cells = {name: value for name, value in known.items() if name in learned}
        if self.has_constraints and cells:
            typed = {name: column_of([value]).astype(inferred([value])) for name, value in cells.items()}
            frame = self.constraints.transform_conditions(frame_of(typed, 1))
            cells = {str(name): frame[name].iloc[0] for name in frame.columns}
        found: dict[str, object] = {}
        inner = self._inner()
        for position, column in enumerate(self.columns):
            given = found if column.name in inner else cells
            if column.name in given:
                cell = given.pop(column.name)
                own = draws if session is None else session.draws(position, draws)
                try:
                    found.update(zip(column.outputs, column.encoding.forward(cell, own), strict=True))
                except UsageError as error:
                    raise UsageError(error.what, where=f"conditions[{column.name!r}]") from None
        return {name: value for name, value in found.items() if not is_missing(value)}

    def _inner(self) -> frozenset[str]:
        """Columns between two encodings: those that an earlier column became, and that became others in turn."""
        found: set[str] = set()
        made: set[str] = set()
        for column in self.columns:
            if column.name in made:
                found.add(column.name)
            made.update(column.outputs)
        return frozenset(found)

    def renumber(self, frame: pd.DataFrame, *, start: int = 0) -> pd.DataFrame:
        """The frame with its keys counted up from ``start``, row by row."""
        keys = {
            field.name: field.identifiers.make(len(frame), start=start).set_axis(frame.index).astype(field.dtype)
            for field in self.fields
            if field.identifiers is not None
        }
        return with_columns(frame, keys) if keys else frame

    def make_keys_distinct(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The frame with those keys counted up anew that are not distinct, as the original does after conditions."""
        keys = {
            field.name: field.identifiers.make(len(frame)).set_axis(frame.index)
            for field in self.fields
            if field.identifiers is not None and not frame[field.name].is_unique
        }
        return with_columns(frame, keys) if keys else frame


def _distinct(names: list[str], where: str) -> None:
    if len(set(names)) != len(names):
        raise FormatError("the same name twice", where=where)
