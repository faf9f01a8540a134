"""How far training has come, as a document: counters, numbers, schedulers, and what the user wants to keep."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from modelcrate.errors import FormatError, UsageError
from modelcrate.format.document import INTEGER_BOUND, Fields
from modelcrate.format.values import Value
from modelcrate.nn import nested
from modelcrate.nn.nested import Tensors, TensorSink
from modelcrate.nn.scheduler import SchedulerState

SCHEDULERS = 1024
_TREES = ("losses", "metrics", "config", "extras")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Everything of a checkpoint that is neither a network, nor an optimizer, nor a random generator."""

    epoch: int | None = None
    step: int | None = None
    losses: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    extras: Mapping[str, Any] = field(default_factory=dict)
    data_position: Any = None
    schedulers: Mapping[str, SchedulerState] = field(default_factory=dict)
    scaler: SchedulerState | None = None

    def __post_init__(self) -> None:
        for name in ("epoch", "step"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or not 0 <= value < INTEGER_BOUND):
                raise UsageError(f"expected an integer from 0, got {value!r}", where=name)
        for name in _TREES:
            value = getattr(self, name)
            if not isinstance(value, Mapping) or not all(type(key) is str for key in value):
                raise UsageError(f"expected a map with text keys, got a {type(value).__name__}", where=name)

    def to_document(self) -> tuple[dict[str, Value], dict[str, torch.Tensor]]:
        """See ``training.progress.1.schema.json``; UsageError, naming the path, for what is no data."""
        sink = TensorSink()
        document: dict[str, Value] = {"epoch": self.epoch, "step": self.step}
        for name in _TREES:
            values = {key: number(value) if name in ("losses", "metrics") else value for key, value in self._map(name)}
            document[name] = nested.encode(values, where=name, sink=sink)
        document["data_position"] = nested.encode(self.data_position, where="data_position", sink=sink)
        document["schedulers"] = {
            name: state.to_document(where=f"schedulers.{name}", sink=sink) for name, state in self.schedulers.items()
        }
        document["scaler"] = None if self.scaler is None else self.scaler.to_document(where="scaler", sink=sink)
        return document, sink.tensors

    def _map(self, name: str) -> list[tuple[str, Any]]:
        return list(getattr(self, name).items())

    @classmethod
    def from_document(cls, fields: Fields, tensors: Tensors) -> Progress:
        """Read a document strictly; FormatError for anything that :meth:`to_document` would not have written."""
        used: set[str] = set()
        epoch = fields.nullable("epoch", lambda name: fields.integer(name, minimum=0))
        step = fields.nullable("step", lambda name: fields.integer(name, minimum=0))
        trees = {name: nested.read_map(fields, name, tensors=tensors, used=used) for name in _TREES}
        data_position = nested.decode(
            fields.value("data_position"), where=fields.path("data_position"), tensors=tensors, used=used
        )
        schedulers = fields.fields("schedulers")
        if len(schedulers.names()) > SCHEDULERS:
            raise FormatError(f"more than {SCHEDULERS} schedulers", where=schedulers.where)
        states = {
            name: SchedulerState.from_document(schedulers.fields(name), tensors, used) for name in schedulers.names()
        }
        scaler = fields.nullable(
            "scaler", lambda name: SchedulerState.from_document(fields.fields(name), tensors, used)
        )
        fields.finish()
        nested.check_used(tensors, used, where=fields.where)
        return cls(epoch=epoch, step=step, data_position=data_position, schedulers=states, scaler=scaler, **trees)


def prepare_scaler(state: SchedulerState, scaler: Any, *, where: str, strict: bool) -> Callable[[], list[str]]:
    """As :meth:`SchedulerState.prepare` for a GradScaler: its numbers must be finite and not negative.

    A disabled scaler has no state; one that is disabled on either side is left as it is, with a note.
    """
    live = SchedulerState.capture(scaler, where=where)
    if not state.state or not live.state:
        return lambda: [] if not state.state and not live.state else [f"{where}: disabled here or there, left as it is"]
    for name, value in state.state.items():
        if isinstance(value, int | float) and not (math.isfinite(value) and value >= 0):
            raise FormatError("must be finite and not negative", where=f"{where}.{name}")
    return state.prepare(scaler, where=where, strict=strict)


def number(value: Any) -> Any:
    """A loss is often still a tensor without dimensions; it is kept as the number that it is."""
    return value.item() if isinstance(value, torch.Tensor) and value.ndim == 0 else value
