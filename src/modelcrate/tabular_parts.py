"""A synthesizer as the components of a crate, and back: every document is read and compared before any weight is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from modelcrate.errors import FormatError, MismatchError
from modelcrate.format.document import Fields
from modelcrate.tabular.core import Config
from modelcrate.tabular.randomstate import RandomState
from modelcrate.tabular.sampler import ConditionalSampler
from modelcrate.tabular.synthesizer import Synthesizer, check_parts, generator_shape
from modelcrate.tabular.table import Table
from modelcrate.tabular.transformer import Transformer

if TYPE_CHECKING:
    import torch

    from modelcrate.crate import Crate
    from modelcrate.stored import StoredComponent

GENERATOR: Final = "ctgan.generator/1"
_TYPES: Final = {
    "generator": GENERATOR,
    "transformer": Transformer.type_tag,
    "sampler": ConditionalSampler.type_tag,
    "table": Table.type_tag,
    "random_state": RandomState.type_tag,
}
_OPTIONAL: Final = frozenset({"random_state"})


@dataclass(frozen=True, slots=True, kw_only=True)
class States:
    """The parts of a synthesizer but for its weights."""

    config: Config
    transformer: Transformer
    sampler: ConditionalSampler
    table: Table
    random_state: RandomState | None


def read_states(
    *, config: Mapping[str, Any], states: Mapping[str, Any], generator: Mapping[str, Any], where: str
) -> States:
    """Read all documents and compare them with each other and with the generator's config.

    Raises FormatError and UnsupportedError with the field's path, MismatchError where two parts contradict each other.
    """
    found = States(
        config=Config.from_document(dict(config), "manifest.model.config"),
        transformer=Transformer.from_document(states["transformer"], f"{where}: transformer.state"),
        sampler=ConditionalSampler.from_document(states["sampler"], f"{where}: sampler.state"),
        table=Table.from_document(states["table"], f"{where}: table.state"),
        random_state=RandomState.from_document(states["random_state"], f"{where}: random_state.state")
        if "random_state" in states
        else None,
    )
    check_parts(transformer=found.transformer, sampler=found.sampler, table=found.table, config=found.config)
    shape = Fields(dict(generator), "manifest.components.generator.config")
    wanted = generator_shape(found.transformer, found.sampler, found.config)
    given = (shape.integer("embedding_dim"), shape.integer("data_dim"))
    if given != wanted:
        raise MismatchError(
            f"the generator maps {given[0]} inputs to {given[1]} outputs, its transformer and sampler need "
            f"{wanted[0]} and {wanted[1]}",
            where=shape.where,
        )
    return found


def load_synthesizer(
    crate: Crate,
    config: Mapping[str, Any],
    device: torch.device,
    module_of: Callable[[Crate, StoredComponent, torch.device], torch.nn.Module],
) -> Synthesizer:
    """The synthesizer in a crate. Raises as :func:`read_states`, and as ``nn.materialise`` for the weights."""
    for name, kind in _TYPES.items():
        if name not in crate:
            if name not in _OPTIONAL:
                raise FormatError(f"a synthesizer has a component {name!r}", where="manifest.components")
        elif crate[name].type != kind:
            raise FormatError(f"expected {kind}, found {crate[name].type}", where=f"manifest.components.{name}.type")
    stray = [name for name in crate if name not in _TYPES]
    if stray:
        raise FormatError(f"a synthesizer has no component {stray[0]!r}", where="manifest.components")
    states = read_states(
        config=config,
        states={name: crate[name].state for name in crate if name != "generator"},
        generator=crate["generator"].config,
        where=crate.path or "crate",
    )
    return Synthesizer(
        generator=module_of(crate, crate["generator"], device),
        transformer=states.transformer,
        sampler=states.sampler,
        table=states.table,
        config=states.config,
        random_state=states.random_state,
    )
