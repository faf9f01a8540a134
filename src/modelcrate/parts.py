"""A live model taken apart: what is between an object in memory and a crate on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from modelcrate.format.jsontext import Json
from modelcrate.format.manifest import Omission, Provenance
from modelcrate.storage.component import ComponentData

MODULE = "nn.module/1"
"""A crate of one torch module."""
MODULES = "nn.modules/1"
"""A crate of several torch modules, by name."""
SYNTHESIZER = "tabular.synthesizer/1"
"""A crate of a tabular generator: network, transformer, sampler, table."""
SERIES = "series.synthesizer/1"
"""A crate of a generator of time series: network, variables, layout of the frame."""
COPULA = "tabular.copula/1"
"""A crate of a tabular generator without a network: joint distribution, table."""
INFERENCE = "inference.package/1"
"""A crate of a network and what belongs to it for predictions."""
STATE_DICT = "torch.state_dict/1"
"""A crate of tensors by name, as ``state_dict()`` gives them, and the type of such a component."""
PREPROCESSING = "tabular.preprocessing/1"
"""A component: the fitted steps from raw columns to a network's input."""
VALUES = "torch.values/1"
"""A crate of plain values and tensors in any arrangement: what ``torch.save`` was given."""

CHECKPOINT = "training.checkpoint/1"
"""A crate of a training run: networks, optimizers, progress, random states."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What :func:`modelcrate.crate_writer.write_crate` needs to know of a model."""

    model: tuple[str, Mapping[str, Json]]
    components: Sequence[ComponentData]
    hyperparameters: Mapping[str, Json] = field(default_factory=dict)
    omitted: Sequence[Omission] = ()
    provenance: Provenance | None = None
