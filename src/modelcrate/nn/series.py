"""The generator of DoppelGANger time series: attributes, then what scales the series, then the series themselves.

The shape of the network is published (Lin et al., "Using GANs for Sharing Networked Time Series Data: Challenges,
Initial Promise, and Open Questions", 2020, section 4); parameter names are those that trained models of
gretel-synthetics use.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields
from modelcrate.nn.generator import DEPTH_LIMIT, WIDTH_LIMIT
from modelcrate.nn.registry import architecture

TAG = "dgan.generator/1"
HEADS_LIMIT = 1 << 13
"""Linear layers at the end of the recurrent part, one for each variable and step of a cell."""
ACTIVATIONS = ("softmax", "sigmoid", "tanh")


class Head(nn.Module):
    """(..., in) -> (..., width): one variable of the output, activated."""

    def __init__(self, in_features: int, width: int, activation: str) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, width)
        self.activation = activation

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Apply layer and activation; the softmax is over the last dimension."""
        found: torch.Tensor = self.linear(rows)
        if self.activation == "softmax":
            return torch.softmax(found, dim=-1)
        return torch.sigmoid(found) if self.activation == "sigmoid" else torch.tanh(found)


class Heads(nn.Module):
    """All variables of one output, side by side."""

    def __init__(self, in_features: int, parts: list[tuple[int, str]]) -> None:
        super().__init__()
        self.generators = nn.ModuleList(Head(in_features, width, kind) for width, kind in parts)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """(..., in) -> (..., sum of widths)."""
        return torch.cat([head(rows) for head in self.generators], dim=-1)


class Recurrent(nn.Module):
    """(N, cells, in) -> (N, cells, steps a cell * sum of widths): an LSTM, and heads of their own for each step."""

    def __init__(
        self, in_features: int, units: int, layers: int, cell_steps: int, parts: list[tuple[int, str]]
    ) -> None:
        super().__init__()
        self.lstm = nn.LSTM(in_features, units, layers, batch_first=True)
        self.merger = nn.Module()
        self.merger.layers = nn.ModuleList(Heads(units, parts) for _ in range(cell_steps))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Apply the LSTM, then each step's heads."""
        hidden, _ = self.lstm(rows)
        layers: Any = self.merger.layers
        return torch.cat([heads(hidden) for heads in layers], dim=-1)


def _check_statistics(module: nn.Module, device: torch.device) -> None:
    """Refuse batch-norm statistics that no training makes: a negative variance turns every sample into NaN."""
    for name, buffer in module.named_buffers():
        if name.endswith(("running_var", "num_batches_tracked")) and not bool((buffer >= 0).all()):
            raise FormatError("a running variance or a count of batches is negative or NaN", where=name)


@architecture(TAG, finish=_check_statistics)
class SeriesGenerator(nn.Module):
    """Noise (N, attribute_noise_dim) and (N, steps / cell_steps, feature_noise_dim), both float32, to three outputs.

    ``attributes``, ``scales`` and ``features`` list ``{"width", "activation"}`` of each variable; ``scales`` are the
    additional attributes, middle and half of the range of each series that is scaled by example. Outputs are activated:
    attributes (N, sum of widths) or None, scales likewise, features (N, steps, sum of widths).
    Raises FormatError for sizes out of range.
    """

    def __init__(
        self,
        attributes: list[dict[str, Any]],
        scales: list[dict[str, Any]],
        features: list[dict[str, Any]],
        attribute_noise_dim: int,
        feature_noise_dim: int,
        attribute_units: int,
        attribute_layers: int,
        feature_units: int,
        feature_layers: int,
        steps: int,
        cell_steps: int,
    ) -> None:
        super().__init__()
        given = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        fields = Fields(given, "config")
        parts = {name: _parts(fields, name) for name in ("attributes", "scales", "features")}

        def size(name: str, minimum: int = 1, maximum: int = WIDTH_LIMIT) -> int:
            return fields.integer(name, minimum=minimum, maximum=maximum)

        self.steps = size("steps")
        self.cell_steps = size("cell_steps")
        self.noise_dims = size("attribute_noise_dim"), size("feature_noise_dim")
        if self.steps % self.cell_steps:
            raise FormatError("the steps are no multiple of those of a cell", where="config.cell_steps")
        if not parts["features"] or self.cell_steps * len(parts["features"]) > HEADS_LIMIT:
            raise FormatError("no features, or too many for so many steps a cell", where="config.features")
        units, layers = size("attribute_units"), size("attribute_layers", 0, DEPTH_LIMIT)
        width, inside = 0, self.noise_dims[0]
        self.attribute_gen = self.additional_attribute_gen = None
        if parts["attributes"]:
            self.attribute_gen = _perceptron(inside, units, layers, parts["attributes"])
            width = _width(parts["attributes"])
        if parts["scales"]:
            self.additional_attribute_gen = _perceptron(inside + width, units, layers, parts["scales"])
            width += _width(parts["scales"])
        self.feature_gen = Recurrent(
            width + self.noise_dims[1],
            size("feature_units"),
            size("feature_layers", 1, DEPTH_LIMIT),
            self.cell_steps,
            parts["features"],
        )

    def forward(
        self, attribute_noise: torch.Tensor, feature_noise: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor]:
        """Attributes, scales and features, see the class."""
        attributes = scales = None
        known: list[torch.Tensor] = []
        if self.attribute_gen is not None:
            attributes = self.attribute_gen(attribute_noise)
            known.append(attributes)
        if self.additional_attribute_gen is not None:
            scales = self.additional_attribute_gen(torch.cat([*known, attribute_noise], dim=1))
            known.append(scales)
        rows = feature_noise
        if known:
            beside = torch.cat(known, dim=1).unsqueeze(1).expand(-1, feature_noise.shape[1], -1)
            rows = torch.cat([beside, feature_noise], dim=2)
        features: torch.Tensor = self.feature_gen(rows)
        return attributes, scales, features.reshape(len(features), self.steps, -1)


def _parts(fields: Fields, name: str) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for item in fields.each_fields(name, max_items=HEADS_LIMIT):
        width = item.integer("width", minimum=1, maximum=WIDTH_LIMIT)
        found.append((width, item.text("activation", choices=ACTIVATIONS)))
        item.finish()
    return found


def _width(parts: list[tuple[int, str]]) -> int:
    return sum(width for width, _ in parts)


def _perceptron(inputs: int, units: int, layers: int, parts: list[tuple[int, str]]) -> nn.Sequential:
    """Linear, ReLU and batch norm, ``layers`` times, then the heads."""
    found: list[nn.Module] = []
    for _ in range(layers):
        found += [nn.Linear(inputs, units), nn.ReLU(), nn.BatchNorm1d(units)]
        inputs = units
    return nn.Sequential(*found, Heads(inputs, parts))
