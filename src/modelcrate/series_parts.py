"""A generator of time series out of a crate's components, and back into them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelcrate.crate import Crate
from modelcrate.errors import FormatError, MismatchError
from modelcrate.parts import SERIES, Parts
from modelcrate.storage.component import ComponentData

if TYPE_CHECKING:
    import torch

    from modelcrate.tabular.series.synthesizer import SeriesSynthesizer
    from modelcrate.tabular.series.table import SeriesTable

GENERATOR = "dgan.generator/1"


def load_series(crate: Crate, config: Mapping[str, Any], device: torch.device) -> SeriesSynthesizer:
    """The generator of time series in a crate, its parts checked against each other before any weight is read.

    Raises FormatError for missing, doubled or malformed parts, MismatchError where they contradict each other.
    """
    from modelcrate.module_parts import load_component
    from modelcrate.tabular.series.synthesizer import SeriesConfig, SeriesSynthesizer
    from modelcrate.tabular.series.table import SeriesTable

    parts = {component.type: component for component in crate.values()}
    wanted = {GENERATOR, SeriesTable.type_tag}
    if len(crate) != 2 or set(parts) != wanted:
        raise FormatError(f"needs a part of each type {' and '.join(sorted(wanted))}", where="manifest.components")
    generator, stored = parts[GENERATOR], parts[SeriesTable.type_tag]
    if stored.has_weights or stored.config or not stored.has_state:
        raise FormatError("the part has only a state, no tensors and no config", where=stored.where)
    settings = SeriesConfig.from_document(dict(config), "manifest.model.config")
    table = SeriesTable.from_document(stored.state, f"{stored.where}.state")
    check_generator(generator.config, table, generator.where)
    synthesizer = SeriesSynthesizer(generator=load_component(generator, device), table=table, config=settings)
    synthesizer.hyperparameters = dict(crate.manifest.hyperparameters)
    return synthesizer


def check_generator(config: Mapping[str, Any], table: SeriesTable, where: str) -> None:
    """Raise MismatchError where the network's outputs are not those of the variables."""
    wanted = {**table.parts(), "steps": table.steps}
    for name, value in wanted.items():
        if config.get(name) != value:
            raise MismatchError(f"the generator's {name} are not those of the variables", where=where)


def series_parts(synthesizer: SeriesSynthesizer) -> Parts:
    """The parts of a live generator of time series, as :func:`load_series` wants them."""
    from modelcrate.module_parts import module_component

    table = synthesizer.table
    generator, _ = module_component(synthesizer.generator, name="generator", role="generator")
    return Parts(
        model=(SERIES, synthesizer.config.to_document()),
        components=[
            dataclasses.replace(generator, state=None),
            ComponentData(name="series", role="series", type=table.type_tag, state=table.to_document()),
        ],
        hyperparameters=synthesizer.hyperparameters,
    )
