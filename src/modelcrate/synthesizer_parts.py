"""A tabular synthesizer out of a crate's components, and back into them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelcrate.crate import Crate
from modelcrate.errors import FormatError, MismatchError
from modelcrate.format.document import Fields
from modelcrate.parts import COPULA, SYNTHESIZER, Parts
from modelcrate.storage.component import ComponentData
from modelcrate.stored import StoredComponent

if TYPE_CHECKING:
    import torch

    from modelcrate.tabular.copula.synthesizer import CopulaSynthesizer
    from modelcrate.tabular.randomstate import RandomState
    from modelcrate.tabular.sampler import ConditionalSampler
    from modelcrate.tabular.synthesizer import Synthesizer
    from modelcrate.tabular.table import Table
    from modelcrate.tabular.transformer import Transformer

GENERATORS = ("ctgan.generator/1", "ctgan.decoder/1")
"""The architectures of generators that format 1 has; a synthesizer has one of them."""


def load_synthesizer(crate: Crate, config: Mapping[str, Any], device: torch.device) -> Synthesizer:
    """The synthesizer in a crate, its parts checked against each other before any weight is read.

    Raises FormatError for missing, doubled or malformed parts, MismatchError where they contradict each other.
    """
    from modelcrate.module_parts import load_component
    from modelcrate.tabular.config import Config
    from modelcrate.tabular.fit import check_parts, generator_shape
    from modelcrate.tabular.randomstate import RandomState
    from modelcrate.tabular.sampler import ConditionalSampler
    from modelcrate.tabular.synthesizer import Synthesizer
    from modelcrate.tabular.table import Table
    from modelcrate.tabular.transformer import Transformer

    parts = _by_type(crate)
    settings = Config.from_document(dict(config), "manifest.model.config")
    transformer = Transformer.from_document(*_state(parts, Transformer.type_tag))
    sampler = ConditionalSampler.from_document(*_state(parts, ConditionalSampler.type_tag))
    table = Table.from_document(*_state(parts, Table.type_tag))
    random_state = None
    if RandomState.type_tag in parts:
        random_state = RandomState.from_document(*_state(parts, RandomState.type_tag))
    generator = _part(parts, next((tag for tag in GENERATORS if tag in parts), GENERATORS[0]))
    if parts:
        raise FormatError(f"a synthesizer has no part of type {next(iter(parts))!r}", where="manifest.components")
    check_parts(transformer=transformer, sampler=sampler, table=table)
    _check_shape(generator, generator_shape(transformer, sampler, settings))
    synthesizer = Synthesizer(
        generator=load_component(generator, device),
        transformer=transformer,
        sampler=sampler,
        table=table,
        config=settings,
        random_state=random_state,
    )
    synthesizer.hyperparameters = dict(crate.manifest.hyperparameters)
    return synthesizer


def load_copula(crate: Crate, config: Mapping[str, Any]) -> CopulaSynthesizer:
    """The Gaussian copula in a crate. Raises as :func:`load_synthesizer`."""
    from modelcrate.tabular.copula.config import CopulaConfig
    from modelcrate.tabular.copula.joint import Joint
    from modelcrate.tabular.copula.synthesizer import CopulaSynthesizer
    from modelcrate.tabular.randomstate import RandomState
    from modelcrate.tabular.table import Table

    parts = _by_type(crate)
    settings = CopulaConfig.from_document(dict(config), "manifest.model.config")
    joint = Joint.from_document(*_state(parts, Joint.type_tag))
    table = Table.from_document(*_state(parts, Table.type_tag))
    random_state = None
    if RandomState.type_tag in parts:
        random_state = RandomState.from_document(*_state(parts, RandomState.type_tag))
    if parts:
        raise FormatError(f"a copula has no part of type {next(iter(parts))!r}", where="manifest.components")
    synthesizer = CopulaSynthesizer(joint=joint, table=table, config=settings, random_state=random_state)
    synthesizer.hyperparameters = dict(crate.manifest.hyperparameters)
    return synthesizer


def copula_parts(synthesizer: CopulaSynthesizer) -> Parts:
    """The parts of a live Gaussian copula, as :func:`load_copula` wants them."""
    joint, table, stored = synthesizer.core.joint, synthesizer.table, synthesizer.random_state
    components = [
        ComponentData(name="joint", role="distribution", type=joint.type_tag, state=joint.to_document()),
        ComponentData(name="table", role="table", type=table.type_tag, state=table.to_document()),
    ]
    if stored is not None:
        name = "random_state"
        components.append(ComponentData(name=name, role=name, type=stored.type_tag, state=stored.to_document()))
    return Parts(
        model=(COPULA, synthesizer.config.to_document()),
        components=components,
        hyperparameters=synthesizer.hyperparameters,
    )


def synthesizer_parts(synthesizer: Synthesizer) -> Parts:
    """The parts of a live synthesizer, as :func:`load_synthesizer` wants them."""
    from modelcrate.module_parts import module_component

    core = synthesizer.core
    states: dict[tuple[str, str], Transformer | ConditionalSampler | Table | RandomState | None] = {
        ("transformer", "data_transformer"): core.transformer,
        ("sampler", "conditional_sampler"): core.sampler,
        ("table", "table"): synthesizer.table,
        ("random_state", "random_state"): synthesizer.random_state,
    }
    generator, _ = module_component(core.generator, name="generator", role="generator")
    # Flags and versions are the training's; a sampler runs in evaluation mode, and converted crates have no facts.
    components = [dataclasses.replace(generator, state=None)]
    for (name, role), part in states.items():
        if part is not None:
            components.append(ComponentData(name=name, role=role, type=part.type_tag, state=part.to_document()))
    return Parts(
        model=(SYNTHESIZER, synthesizer.config.to_document()),
        components=components,
        hyperparameters=synthesizer.hyperparameters,
    )


def _by_type(crate: Crate) -> dict[str, StoredComponent]:
    parts: dict[str, StoredComponent] = {}
    for component in crate.values():
        if component.type in parts:
            raise FormatError(f"two parts of type {component.type!r}", where="manifest.components")
        parts[component.type] = component
    return parts


def _part(parts: dict[str, StoredComponent], tag: str) -> StoredComponent:
    """Take a part out of those that are left."""
    if tag not in parts:
        raise FormatError(f"a synthesizer needs a part of type {tag!r}", where="manifest.components")
    return parts.pop(tag)


def _state(parts: dict[str, StoredComponent], tag: str) -> tuple[dict[str, Any], str]:
    """A part's state document and where it is."""
    component = _part(parts, tag)
    if component.has_weights or component.config:
        raise FormatError("the part has only a state, no tensors and no config", where=component.where)
    return component.state, f"{component.where}.state"


def _check_shape(generator: StoredComponent, shape: tuple[int, int]) -> None:
    fields = Fields(dict(generator.config), f"{generator.where}.config")
    found = fields.integer("embedding_dim"), fields.integer("data_dim")
    if found != shape:
        raise MismatchError(
            f"the generator has {found[0]} inputs, {found[1]} outputs; the other parts need {shape[0]} and {shape[1]}",
            where=generator.where,
        )
