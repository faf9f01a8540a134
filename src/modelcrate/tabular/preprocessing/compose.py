"""Steps made of steps: one after another, or side by side on columns of their own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from modelcrate.errors import FormatError, UsageError
from modelcrate.format.document import Fields
from modelcrate.tabular.preprocessing.base import COLUMNS_LIMIT, Expected, Step, check_count
from modelcrate.tabular.preprocessing.block import Block
from modelcrate.tabular.preprocessing.encode import OneHot, Ordinal
from modelcrate.tabular.preprocessing.impute import Impute
from modelcrate.tabular.preprocessing.scale import Rescale, Standardise

STEPS_LIMIT = 4_096
"""Steps in one sequence, and branches side by side."""
DEPTH_LIMIT = 8
"""Steps inside steps; a pipeline in a column transformer in a pipeline has three."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Keep(Step):
    """Columns as they are."""

    tag: ClassVar[str] = "keep"
    width: int

    @classmethod
    def from_document(cls, fields: Fields, depth: int) -> Keep:
        found = cls(width=fields.integer("width", minimum=1, maximum=COLUMNS_LIMIT))
        fields.finish()
        return found

    def to_document(self) -> dict[str, Any]:
        return {"type": self.tag, "width": self.width}

    @property
    def inputs(self) -> int:
        return self.width

    @property
    def outputs(self) -> int:
        return self.width

    def transform(self, block: Block) -> Block:
        self.check_width(block)
        return block

    def inverse(self, block: Block) -> Block:
        self.check_width(block)
        return block

    def expects(self, after: tuple[Expected, ...]) -> tuple[Expected, ...]:
        return after


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chain(Step):
    """One step after another; each takes what the one before it gives."""

    tag: ClassVar[str] = "chain"
    steps: tuple[Step, ...]

    @classmethod
    def of(cls, *steps: Step) -> Chain:
        """UsageError where a step does not give as many columns as the next one takes."""
        if not steps:
            raise UsageError("a chain has at least one step")
        wrong = _first_gap(steps)
        if wrong is not None:
            raise UsageError(wrong)
        return cls(steps=steps)

    @classmethod
    def from_document(cls, fields: Fields, depth: int) -> Chain:
        steps = tuple(read(each, depth + 1) for each in _each(fields, "steps"))
        fields.finish()
        if not steps:
            raise FormatError("needs at least one step", where=fields.path("steps"))
        wrong = _first_gap(steps)
        if wrong is not None:
            raise FormatError(wrong, where=fields.path("steps"))
        return cls(steps=steps)

    def to_document(self) -> dict[str, Any]:
        return {"type": self.tag, "steps": [step.to_document() for step in self.steps]}

    @property
    def inputs(self) -> int:
        return self.steps[0].inputs

    @property
    def outputs(self) -> int:
        return self.steps[-1].outputs

    @property
    def widest(self) -> int:
        return max(step.widest for step in self.steps)

    def transform(self, block: Block) -> Block:
        for step in self.steps:
            block = step.transform(block)
        return block

    def inverse(self, block: Block) -> Block:
        for step in reversed(self.steps):
            block = step.inverse(block)
        return block

    def expects(self, after: tuple[Expected, ...]) -> tuple[Expected, ...]:
        for step in reversed(self.steps):
            after = step.expects(after)
        return after


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Branch:
    """A step for some columns of the batch, and a factor for what it gives (1.0 for none)."""

    columns: tuple[int, ...]
    step: Step
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Branches(Step):
    """Steps side by side; their outputs follow one another. Columns that no branch names are left out."""

    tag: ClassVar[str] = "branches"
    width: int
    branches: tuple[Branch, ...]

    @classmethod
    def from_document(cls, fields: Fields, depth: int) -> Branches:
        width = fields.integer("width", minimum=1, maximum=COLUMNS_LIMIT)
        branches = tuple(_read_branch(each, width, depth) for each in _each(fields, "branches"))
        fields.finish()
        found = cls(width=width, branches=branches)
        check_count(found.outputs, fields.path("branches"))
        return found

    def to_document(self) -> dict[str, Any]:
        branches = [
            {"columns": list(it.columns), "step": it.step.to_document(), "weight": it.weight} for it in self.branches
        ]
        return {"type": self.tag, "width": self.width, "branches": branches}

    @property
    def inputs(self) -> int:
        return self.width

    @property
    def outputs(self) -> int:
        return sum(branch.step.outputs for branch in self.branches)

    @property
    def widest(self) -> int:
        return max(self.inputs, self.outputs, *(branch.step.widest for branch in self.branches))

    def transform(self, block: Block) -> Block:
        self.check_width(block)
        results = [self._apply(branch, block) for branch in self.branches]
        names = [name for result in results for name in result.names]
        if any(result.dtype.kind == "O" for result in results):
            columns = [column for result in results for column in result.columns]
            return Block.of_columns(columns, names, rows=block.rows, first_row=block.first_row)
        matrix = np.hstack([result.stacked() for result in results])
        return Block.of_matrix(matrix, names, first_row=block.first_row)

    def expects(self, after: tuple[Expected, ...]) -> tuple[Expected, ...]:
        found = [Expected(missing=True, used=False)] * self.width
        start = 0
        for branch in self.branches:
            stop = start + branch.step.outputs
            for index, expected in zip(branch.columns, branch.step.expects(after[start:stop]), strict=True):
                found[index] = found[index] & expected
            start = stop
        return tuple(found)

    @staticmethod
    def _apply(branch: Branch, block: Block) -> Block:
        result = branch.step.transform(block.select(branch.columns))
        if branch.weight == 1.0:
            return result
        matrix = result.stacked()
        if matrix.dtype.kind == "O":
            matrix = result.floats()
        return Block.of_matrix(matrix * branch.weight, result.names, first_row=result.first_row)


def read(fields: Fields, depth: int = 1) -> Step:
    """A step of any type. Raises FormatError for an unknown type, nesting beyond DEPTH_LIMIT, and as the step."""
    if depth > DEPTH_LIMIT:
        raise FormatError(f"more than {DEPTH_LIMIT} steps inside each other", where=fields.where)
    return _READERS[fields.text("type", choices=tuple(_READERS))](fields, depth)


def _each(fields: Fields, name: str) -> list[Fields]:
    return list(fields.each_fields(name, max_items=STEPS_LIMIT))


def _read_branch(fields: Fields, width: int, depth: int) -> Branch:
    found = Branch(
        columns=fields.integers("columns", maximum=width - 1, max_items=COLUMNS_LIMIT),
        step=read(fields.fields("step"), depth + 1),
        weight=fields.number("weight"),
    )
    fields.finish()
    if len(found.columns) != found.step.inputs:
        what = f"names {len(found.columns)} columns for a step that takes {found.step.inputs}"
        raise FormatError(what, where=fields.path("columns"))
    return found


def _first_gap(steps: Sequence[Step]) -> str | None:
    for index, (one, other) in enumerate(itertools.pairwise(steps)):
        if one.outputs != other.inputs:
            return f"step {index} gives {one.outputs} columns, step {index + 1} takes {other.inputs}"
    return None


_STEPS: tuple[type[Step], ...] = (Keep, Standardise, Rescale, OneHot, Ordinal, Impute, Chain, Branches)
_READERS: dict[str, Callable[[Fields, int], Step]] = {step.tag: step.from_document for step in _STEPS}
