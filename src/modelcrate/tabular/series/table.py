"""The state of a time-series model beside its network: variables, steps, and the frame that it was trained from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields
from modelcrate.tabular.series.layout import Layout, Made, Name, read_label, read_layout
from modelcrate.tabular.series.variables import Variable, read_variable

VARIABLES_LIMIT = 1 << 14
"""Attributes, or features."""
STEPS_LIMIT = 1 << 24
"""Steps of one example."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeriesTable:
    """The state of a component of type ``series.table/1``.

    ``attributes`` and ``features`` in the order of the network's output, by name; ``layout`` None: trained on arrays.
    """

    type_tag: ClassVar[str] = "series.table/1"
    attributes: Mapping[Name, Variable]
    features: Mapping[Name, Variable]
    steps: int
    layout: Layout | None

    @classmethod
    def from_document(cls, document: object, where: str) -> SeriesTable:
        """Read the state. Raises :class:`FormatError` with the path of what is wrong."""
        fields = Fields(document, where)
        attributes, features = _variables(fields, "attributes"), _variables(fields, "features")
        steps = fields.integer("steps", minimum=1, maximum=STEPS_LIMIT)
        if not features:
            raise FormatError("no features", where=fields.path("features"))
        if any(variable.scales for variable in attributes.values()):
            raise FormatError("an attribute has no range of its own", where=fields.path("attributes"))
        layout = fields.nullable(
            "layout", lambda name: read_layout(fields.fields(name), tuple(attributes), tuple(features), steps)
        )
        fields.finish()
        return cls(attributes=attributes, features=features, steps=steps, layout=layout)

    def to_document(self) -> dict[str, Any]:
        """The state in format values."""
        return {
            "attributes": [{"name": name, "encoding": it.to_document()} for name, it in self.attributes.items()],
            "features": [{"name": name, "encoding": it.to_document()} for name, it in self.features.items()],
            "steps": self.steps,
            "layout": None if self.layout is None else self.layout.to_document(),
        }

    def parts(self) -> dict[str, list[dict[str, Any]]]:
        """The outputs that the network has for these variables, as its config lists them."""
        spans = {
            "attributes": [it.part for it in self.attributes.values()],
            "scales": [part for it in self.features.values() for part in it.scales],
            "features": [it.part for it in self.features.values()],
        }
        return {name: [{"width": width, "activation": kind} for width, kind in found] for name, found in spans.items()}

    def derived(self) -> list[tuple[str, str, int]]:
        """What was taken from training data: (column, kind, how many values)."""
        found = [
            (str(name), kind, count)
            for variables in (self.attributes, self.features)
            for name, variable in variables.items()
            for kind, count in variable.derived()
        ]
        return found if self.layout is None else [*found, *self.layout.derived()]

    def decode(
        self, attributes: np.ndarray | None, scales: np.ndarray | None, features: np.ndarray, *, faithful: bool
    ) -> tuple[np.ndarray | None, np.ndarray]:
        """Activated outputs, float32, as attributes (N, A) or None and features (N, steps, F), each of one dtype."""
        found: np.ndarray | None = None
        if attributes is not None:
            cells: list[np.ndarray] = []
            start = 0
            for variable in self.attributes.values():
                width = variable.part[0]
                cells.append(variable.decode(attributes[:, start : start + width], None, faithful=faithful))
                start += width
            found = _stacked(cells)
        parts: list[np.ndarray] = []
        start = used = 0
        for variable in self.features.values():
            width, own = variable.part[0], len(variable.scales)
            beside = None if not own or scales is None else scales[:, used : used + own]
            parts.append(variable.decode(features[:, :, start : start + width], beside, faithful=faithful))
            start, used = start + width, used + own
        return found, _stacked(parts)

    def frame(self, attributes: np.ndarray | None, features: np.ndarray, *, start: int, faithful: bool) -> pd.DataFrame:
        """Decoded examples as the frame that the model was trained from."""
        assert self.layout is not None
        variables = tuple(self.attributes.values()), tuple(self.features.values())
        made = Made(attributes=attributes, features=features, variables=variables)
        return self.layout.frame(made, start=start, faithful=faithful)


def _stacked(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Columns beside each other in the dtype that holds them all; an array of objects where texts are among them."""
    return np.concatenate([column[..., None] for column in columns], axis=-1)


def _variables(fields: Fields, name: str) -> dict[Name, Variable]:
    found: dict[Name, Variable] = {}
    for item in fields.each_fields(name, max_items=VARIABLES_LIMIT):
        label = read_label(item, "name")
        variable = read_variable(item.fields("encoding"))
        item.finish()
        if label in found:
            raise FormatError(f"two variables of the name {label!r}", where=item.where)
        found[label] = variable
    return found
