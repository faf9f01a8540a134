"""Fitted preprocessing on its own: what a converted file held beside its network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelcrate.errors import FormatError, UsageError
from modelcrate.format.document import Fields
from modelcrate.format.jsontext import Json
from modelcrate.inference.columns import NAME_LIMIT, Column
from modelcrate.inference.interface import TableInput
from modelcrate.parts import PREPROCESSING
from modelcrate.storage.component import ComponentData
from modelcrate.stored import StoredComponent
from modelcrate.tabular.preprocessing import Expected, Step, read
from modelcrate.tabular.preprocessing.block import Array

COLUMNS = 10_000
"""Names of columns that a manifest keeps; beyond that, columns count by position."""


class Preprocessing:
    """A fitted step and the names of its columns, where they are known; ``save_inference`` takes it as it is."""

    def __init__(self, step: Step, columns: Sequence[str] | None = None) -> None:
        self.step = step
        self.columns = None if columns is None else tuple(columns)
        self._input = natural_input(step, self.columns)

    def transform(self, batch: Any) -> Array:
        """An array, tensor or DataFrame of raw columns as a matrix, (rows, outputs).

        Raises UsageError that names the column for a batch that does not fit.
        """
        return self.step.transform(self._input.block(batch)).stacked()

    def __repr__(self) -> str:
        return f"<Preprocessing {self.step.tag}: {self.step.inputs} columns in, {self.step.outputs} out>"

    def component(self, name: str) -> ComponentData:
        """The preprocessing as a component of a crate."""
        named = self.columns is not None and len(self.columns) <= COLUMNS
        config: dict[str, Json] = {"columns": list(self.columns or ())} if named else {}
        return ComponentData(
            name=name, role="preprocessing", type=PREPROCESSING, config=config, state=self.step.to_document()
        )

    @classmethod
    def of_component(cls, component: StoredComponent) -> Preprocessing:
        """Out of an open crate; raises FormatError."""
        where = component.where
        if component.has_weights or not component.has_state:
            raise FormatError("preprocessing is a state document without weights", where=where)
        step = read(Fields(component.state, f"{where}.state"))
        config = Fields(dict(component.config), f"{where}.config")
        columns = None
        if config.has("columns"):
            columns = config.texts("columns")
            if len(columns) != step.inputs or len(set(columns)) != len(columns) or max(map(len, columns)) > NAME_LIMIT:
                raise FormatError(f"expected {step.inputs} different names", where=config.path("columns"))
        config.finish()
        return cls(step, columns)


def natural_input(step: Step, names: Sequence[str] | None) -> TableInput:
    """What a step takes if nobody says more: columns by name where names are known, else by position."""
    expected = step.expects((Expected(kind="number"),) * step.outputs)
    own = [f"x{index}" for index in range(len(expected))] if names is None else names
    return TableInput(columns=columns_for(own, [None] * len(own), expected), named=names is not None)


def columns_for(
    names: Sequence[str], declared: Sequence[Column | None], expected: Sequence[Expected]
) -> tuple[Column, ...]:
    """Columns as declared, where they are, held against what the preprocessing can take of each; UsageError."""
    found: list[Column] = []
    for name, column, wanted in zip(names, declared, expected, strict=True):
        dtype = wanted.kind if column is None or column.dtype == "any" else column.dtype
        numeric = dtype not in ("text", "any")
        if wanted.used and (dtype == "text" if wanted.kind == "number" else numeric and wanted.kind == "text"):
            raise UsageError(f"is {dtype}, and the preprocessing takes {wanted.kind}", where=f"column {name!r}")
        missing = wanted.missing and (column is None or column.missing)
        found.append(Column(name=name, dtype=dtype, missing=missing or not wanted.used, required=wanted.used))
    return tuple(found)
