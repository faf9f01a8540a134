"""The fields of the original table: name, kind, dtype, and what fills those that no model learns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import pandas as pd

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields
from modelcrate.tabular.anonymisation import Anonymiser
from modelcrate.tabular.cells import as_objects, column_of, read_dtype, read_name
from modelcrate.tabular.formats import CellFormat
from modelcrate.tabular.identifiers import Identifiers
from modelcrate.tabular.sources import Source, read_source

KINDS = ("number", "category", "boolean", "date", "key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One column of the original table. ``whole``: a number without decimals.

    ``identifiers`` count a key up; ``anonymiser`` makes up cells, whatever the model generated for them; ``source``
    makes those of a column that no model learns, keys among them. ``format`` is how the cells are written in the end;
    without it they are cast to ``dtype``.
    """

    name: str
    kind: str
    whole: bool
    dtype: np.dtype[np.generic]
    identifiers: Identifiers | None
    anonymiser: Anonymiser | None
    source: Source | None = None
    format: CellFormat | None = None

    @classmethod
    def from_document(cls, fields: Fields) -> Field:
        """Read one field. Raises :class:`FormatError`, and as identifiers and anonymisers do."""
        found = cls(
            name=read_name(fields, "name"),
            kind=fields.text("kind", choices=KINDS),
            whole=fields.boolean("whole"),
            dtype=read_dtype(fields),
            identifiers=_nested(fields, "identifiers", Identifiers.from_document),
            anonymiser=_nested(fields, "anonymiser", Anonymiser.from_document),
            source=fields.optional("source", lambda name: read_source(fields.fields(name)), None),
            format=fields.optional("format", lambda name: CellFormat.from_document(fields.fields(name)), None),
        )
        fields.finish()
        if found.source is not None and (found.identifiers is not None or found.anonymiser is not None):
            raise FormatError("a field has one source of made-up values", where=fields.path("source"))
        if (found.kind == "key") != (found.identifiers is not None) and not (found.kind == "key" and found.source):
            raise FormatError("keys have identifiers, and nothing else has", where=fields.path("identifiers"))
        if found.whole and found.kind != "number":
            raise FormatError("only numbers are whole", where=fields.path("whole"))
        return found

    def to_document(self) -> dict[str, Any]:
        """The field in format values."""
        found = {
            "name": self.name,
            "kind": self.kind,
            "whole": self.whole,
            "dtype": self.dtype.name,
            "identifiers": None if self.identifiers is None else self.identifiers.to_document(),
            "anonymiser": None if self.anonymiser is None else self.anonymiser.to_document(),
        }
        if self.source is not None:
            found["source"] = self.source.to_document()
        if self.format is not None:
            found["format"] = self.format.to_document()
        return found

    def derived(self) -> list[tuple[str, str, int]]:
        """What was taken from training data: (column, kind, how many values)."""
        found = [] if self.source is None else self.source.derived()
        found += [] if self.format is None else self.format.derived()
        return [(self.name, kind, count) for kind, count in found]

    def finish(self, values: pd.Series | None, rows: int, random: Random, *, counted: bool = True) -> pd.Series:
        """The field's cells in its own dtype; missing cells widen it as they do in pandas.

        ``values`` are what the model and the constraints gave, or None. ``counted``: keys are distinct. Raises
        :class:`FormatError` where a field that is no key got none, or cells that do not fit the dtype.
        """
        if self.identifiers is not None and values is None:
            values = self.identifiers.make(rows) if counted else self.identifiers.stand_in(rows)
        elif self.anonymiser is not None:
            made = column_of(self.anonymiser.values(rows, random=random))
            values = pd.Series(made, index=None if values is None else values.index, dtype=object)
        if values is None:
            raise FormatError("nothing gives the values of this field", where=f"field {self.name!r}")
        if self.format is not None:
            try:
                written = self.format.write(values)
            except FormatError as error:
                if self.source is not None:
                    return _as_made(values)
                raise FormatError(error.what, where=f"field {self.name!r}") from error
            lost = self.source is not None and written.isna().sum() > values.isna().sum()
            return _as_made(values) if lost else written
        cells = values.to_numpy()
        if self.whole and cells.dtype.kind == "f":
            cells = np.round(cells)
        try:
            with np.errstate(invalid="ignore"):
                cells = self._cast(cells)
        except (TypeError, ValueError, OverflowError) as error:
            raise FormatError(f"values that are no {self.dtype}: {error}", where=f"field {self.name!r}") from error
        return pd.Series(cells, index=values.index, dtype=cells.dtype)

    def _cast(self, cells: np.ndarray) -> np.ndarray:
        if cells.dtype.kind == "M" and self.dtype.kind == "O":
            cells = as_objects(cells)
        lost = pd.isna(cells)
        if not lost.any():
            return cells.astype(self.dtype)
        wide = _widened(self.dtype)
        found = np.full(len(cells), np.datetime64("NaT", "ns") if wide.kind == "M" else np.nan, dtype=wide)
        found[~lost] = cells[~lost].astype(self.dtype)
        return found


def _as_made(values: pd.Series) -> pd.Series:
    """Made-up cells that do not fit the column's dtype, texts where numbers were: sdv leaves them as they are."""
    return values.astype(object).where(values.notna(), np.nan)


def _widened(dtype: np.dtype[np.generic]) -> np.dtype[np.generic]:
    if dtype.kind in "fMO":
        return dtype
    return np.dtype(np.float64 if dtype.kind in "iu" else object)


def _nested(fields: Fields, name: str, read: Callable[[Fields], Any]) -> Any:
    return fields.nullable(name, lambda name: read(fields.fields(name)))
