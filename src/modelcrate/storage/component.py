"""One part of a model as plain values, on its way into a crate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from modelcrate.format.jsontext import Json
from modelcrate.format.tensors import TensorData
from modelcrate.format.values import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentData:
    """A component before it is written: what the manifest says of it, its tensors, and its state.

    ``role`` says what it is for (``generator``, ``transformer``), ``type`` is the tag of what it is, ``config`` is
    plain JSON. ``tensors`` and ``state`` (a map of :mod:`modelcrate.format.values`) may be absent.
    """

    name: str
    role: str
    type: str
    config: Mapping[str, Json] = field(default_factory=dict)
    tensors: Mapping[str, TensorData] | None = None
    state: Mapping[str, Value] | None = None
