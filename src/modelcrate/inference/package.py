"""The noun that users hold: a network in evaluation mode, and what turns raw input into its predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from modelcrate.errors import FormatError, UsageError
from modelcrate.format.document import Fields
from modelcrate.inference.interface import (
    TENSOR_DTYPES,
    TableInput,
    TensorInput,
    as_array,
    as_tensor,
    is_frame,
    read_input,
)
from modelcrate.inference.outputs import SCORES, TASKS, Scores, Task, check_shape, labels, probabilities
from modelcrate.nn.dtypes import NAMED
from modelcrate.tabular.preprocessing import Block, Channels, Step
from modelcrate.tabular.preprocessing.block import Array
from modelcrate.tabular.preprocessing.categories import Categories

INTERFACE = "inference.interface/1"

BATCH_ROWS = 1_024
"""Rows that go through a network at once, unless the caller says otherwise."""
BATCH_ELEMENTS = 1 << 22
"""Numbers that go through a network at once: fewer rows where rows are wide, as with images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """What a package takes and what it gives.

    ``feed`` is the dtype of the network's input, None for that of the batch. ``scores`` says what the network's output
    is; a task of ``regression`` takes it as it is.
    """

    input: TableInput | TensorInput | None
    task: Task
    scores: Scores
    feed: str | None
    classes: Categories | None

    @classmethod
    def from_document(cls, document: object, where: str) -> Interface:
        """Read the state of a component of type ``inference.interface/1``. Raises FormatError."""
        fields = Fields(document, where)
        task = fields.text("task", choices=TASKS)
        scores = fields.text("scores", choices=SCORES)
        found = cls(
            input=fields.nullable("input", lambda name: read_input(fields.fields(name))),
            task=next(it for it in TASKS if it == task),
            scores=next(it for it in SCORES if it == scores),
            feed=fields.nullable("feed", lambda name: fields.text(name, choices=TENSOR_DTYPES)),
            classes=fields.nullable("classes", lambda name: Categories.from_document(fields, name)),
        )
        fields.finish()
        problem = class_problem(found.task, found.classes)
        if problem is not None:
            raise FormatError(problem, where=fields.path("classes"))
        return found

    def to_document(self) -> dict[str, Any]:
        """The interface in format values."""
        return {
            "input": None if self.input is None else self.input.to_document(),
            "task": self.task,
            "scores": self.scores,
            "feed": self.feed,
            "classes": None if self.classes is None else self.classes.to_document(),
        }


def class_problem(task: Task, classes: Categories | None) -> str | None:
    """What is wrong with the classes of a task, if anything is."""
    if classes is None:
        return None
    if task == "regression":
        return "numbers have no classes"
    if task == "binary" and len(classes) != 2:
        return f"a binary task has 2 classes, not {len(classes)}"
    return "a class can't be missing" if classes.missing else None


class InferencePackage:
    """A network and its preprocessing, ready for raw batches: arrays, tensors or DataFrames.

    A batch is held against ``interface.input`` first. ``preprocessing`` makes the network's input of it, ``target``
    turns the network's numbers back into the units of the training target. The network stays in evaluation mode.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        interface: Interface,
        *,
        preprocessing: Step | Channels | None = None,
        target: Step | None = None,
    ) -> None:
        self.network = network.eval()
        self.interface = interface
        self.preprocessing = preprocessing
        self.target = target

    @property
    def class_names(self) -> list[Any] | None:
        """The classes, in the order of the network's scores."""
        classes = self.interface.classes
        return None if classes is None else list(classes.take(np.arange(len(classes))).tolist())

    @property
    def input_schema(self) -> TableInput | TensorInput | None:
        """What a batch has to be; None for whatever the network takes."""
        return self.interface.input

    def predict(self, batch: Any, *, batch_size: int | None = None) -> Array:
        """One prediction for each row: labels, (n,), or numbers, (n,) or (n, ...); for multilabel booleans, (n, k).

        ``batch_size`` rows go through the network at once. Raises UsageError that names the column for a batch that
        does not fit, and for an output of the network that does not fit its task.
        """
        task, classes = self.interface.task, self.interface.classes
        if task == "regression":
            return self._collect(batch, batch_size, self._numbers)
        return self._collect(batch, batch_size, lambda scores, row: labels(self._chances(scores), task, classes, row))

    def predict_proba(self, batch: Any, *, batch_size: int | None = None) -> Array:
        """The probability of each class for each row, (n, k), in the order of ``class_names``; raises as predict."""
        if self.interface.task == "regression":
            raise UsageError("a regression has no probabilities", hint="call predict")
        return self._collect(batch, batch_size, lambda scores, row: self._chances(scores))

    def preprocess(self, batch: Any) -> torch.Tensor:
        """What the network would be given for a batch, whole and on the CPU; raises as predict."""
        parts = [self._fed(part).cpu() for _, part in self._parts(batch, None)]
        return torch.cat(parts)

    def __repr__(self) -> str:
        kind = type(self.network).__name__
        return f"<InferencePackage {self.interface.task} of {kind}, preprocessing: {_name(self.preprocessing)}>"

    def _collect(self, batch: Any, batch_size: int | None, finish: Callable[[torch.Tensor, int], Array]) -> Array:
        device = self._device()
        found: list[Array] = []
        classes = self.interface.classes
        self.network.eval()
        with torch.inference_mode():
            for first_row, part in self._parts(batch, batch_size):
                fed = self._fed(part).to(device)
                scores = self._run(fed)
                check_shape(scores, self.interface.task, None if classes is None else len(classes))
                found.append(finish(scores, first_row))
        return np.concatenate(found)

    def _run(self, fed: torch.Tensor) -> torch.Tensor:
        try:
            scores = self.network(fed)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            what = f"the network refuses an input of shape {list(fed.shape)}, {fed.dtype}: {error}"
            raise UsageError(what, where="network") from error
        if not isinstance(scores, torch.Tensor):
            raise UsageError(f"the network gives a {type(scores).__name__}, expected one tensor", where="network")
        if scores.ndim < 1 or len(scores) != len(fed):
            raise UsageError(f"the network gives shape {list(scores.shape)} for {len(fed)} rows", where="network")
        return scores

    def _parts(self, batch: Any, batch_size: int | None) -> Iterator[tuple[int, Block | torch.Tensor]]:
        """The batch in pieces of bounded size, each with the number of its first row; one piece at least."""
        whole = self._checked(batch)
        if isinstance(whole, Block):
            widest = len(whole.names) if self.preprocessing is None else self._step().widest
            rows, elements = whole.rows, widest
        else:
            rows, elements = len(whole), whole[:1].numel()
        size = _rows_at_once(batch_size, elements)
        for start in range(0, max(rows, 1), size):
            stop = min(start + size, rows)
            yield start, whole.take(start, stop) if isinstance(whole, Block) else whole[start:stop]

    def _checked(self, batch: Any) -> Block | torch.Tensor:
        schema = self.interface.input
        if isinstance(schema, TableInput):
            return schema.block(batch)
        if is_frame(batch):
            raise UsageError("expected an array or a tensor, not a DataFrame", where="batch")
        tensor = as_tensor(batch)
        if tensor.ndim < 1:
            raise UsageError("expected a batch of rows, found a single number", where="batch")
        return tensor if schema is None else schema.check(tensor)

    def _fed(self, part: Block | torch.Tensor) -> torch.Tensor:
        """A piece of the batch as the network's input, on the CPU or where the caller's tensor is."""
        feed = self.interface.feed
        if isinstance(part, Block):
            encoded = part if self.preprocessing is None else self._step().transform(part)
            return _to(torch.from_numpy(_matrix(encoded)), feed)
        if isinstance(self.preprocessing, Channels):
            return _to(torch.from_numpy(self.preprocessing.transform(as_array(part))), feed)
        return _to(part, feed)

    def _step(self) -> Step:
        assert isinstance(self.preprocessing, Step)  # a table has no other preprocessing, which load and save check
        return self.preprocessing

    def _chances(self, scores: torch.Tensor) -> Array:
        found: Array = probabilities(scores, self.interface.task, self.interface.scores).cpu().numpy()
        return found

    def _numbers(self, scores: torch.Tensor, first_row: int) -> Array:
        """The network's numbers, in the units of the target; (n,) where there is one a row."""
        numbers = as_array(scores.float() if scores.dtype in (torch.float16, torch.bfloat16) else scores)
        if self.target is not None:
            matrix = numbers.reshape(-1, 1) if numbers.ndim == 1 else numbers
            if matrix.ndim != 2 or matrix.shape[1] != self.target.outputs:
                what = f"the network gives shape {list(numbers.shape)}, the target has {self.target.outputs} columns"
                raise UsageError(what, where="network")
            names = [f"output {index}" for index in range(matrix.shape[1])]
            numbers = self.target.inverse(Block.of_matrix(matrix, names, first_row=first_row)).stacked()
        return numbers.reshape(-1) if numbers.ndim == 2 and numbers.shape[1] == 1 else numbers

    def _device(self) -> torch.device:
        for tensors in (self.network.parameters(), self.network.buffers()):
            for tensor in tensors:
                return tensor.device
        return torch.device("cpu")


def _matrix(block: Block) -> Array:
    """Encoded columns as numbers; UsageError for a column that is still text."""
    for name, column in zip(block.names, block.columns, strict=True):
        if column.dtype.kind == "O":
            block.floats()  # names the cell, if one is no number
        elif column.dtype.kind not in "biuf":
            raise UsageError(f"holds {column.dtype}, no numbers", where=f"column {name!r}")
    return block.floats() if block.dtype.kind == "O" else block.stacked()


def _to(tensor: torch.Tensor, feed: str | None) -> torch.Tensor:
    if feed is None or tensor.dtype == NAMED[feed]:
        return tensor
    wanted = NAMED[feed]
    if tensor.is_floating_point() and not wanted.is_floating_point and not bool((tensor == tensor.trunc()).all()):
        raise UsageError(f"a number is no integer, and the network takes {feed}", where="batch")
    return tensor.to(wanted)


def _rows_at_once(batch_size: int | None, elements: int) -> int:
    if batch_size is None:
        return max(1, min(BATCH_ROWS, BATCH_ELEMENTS // max(1, elements)))
    if type(batch_size) is not int or batch_size < 1:
        raise UsageError("expected a number of rows, at least 1", where="batch_size")
    return batch_size


def _name(part: object) -> str:
    return "none" if part is None else type(part).__name__
