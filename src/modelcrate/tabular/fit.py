"""Whether the parts of a synthesizer fit together; decided from their documents, before any weight is read."""

from __future__ import annotations

from modelcrate.errors import MismatchError
from modelcrate.tabular.config import Config
from modelcrate.tabular.sampler import ConditionalSampler
from modelcrate.tabular.table import Table
from modelcrate.tabular.transformer import Transformer


def check_parts(*, transformer: Transformer, sampler: ConditionalSampler, table: Table) -> None:
    """Raise :class:`MismatchError` for a column of one part that another lacks or has otherwise; reads no weight."""
    modelled = {column.name: column for column in transformer.columns}
    unknown = [name for name in modelled if name not in table.outputs]
    if unknown:
        raise MismatchError(
            f"the transformer has a column {unknown[0]!r} that the table does not make", where="transformer"
        )
    for name, count in sampler.columns:
        if name not in modelled or modelled[name].encoding.activations != ((count, "softmax"),):
            raise MismatchError(f"the column {name!r} is no one-hot column of {count} categories", where="sampler")


def generator_shape(transformer: Transformer, sampler: ConditionalSampler, config: Config) -> tuple[int, int]:
    """(inputs, outputs) that the generator must have."""
    condition = transformer.width if config.conditioning == "anyway" else sampler.width
    return config.noise_dim + condition, transformer.width
