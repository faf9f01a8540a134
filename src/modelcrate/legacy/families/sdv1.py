"""The single-table synthesizers of sdv 1 and 2: CTGAN, TVAE, CopulaGAN and GaussianCopula, as the parts of a crate.

Each is a DataProcessor around a core of ctgan or copulas. The attributes grew from release to release; what they mean
changed in few places, which the release that a file names decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from modelcrate.errors import UnsupportedError
from modelcrate.format.manifest import Omission
from modelcrate.legacy.families import copulas, ctgan
from modelcrate.legacy.families.gretel_actgan import Translation
from modelcrate.legacy.families.known import refuse_unknown
from modelcrate.legacy.families.random_states import state_of_twister
from modelcrate.legacy.families.sdv1_processor import (
    SEVERAL,
    chained_columns,
    early_numpy,
    pseudonyms,
    sdtypes_of,
    single_metadata,
    translate_columns,
    translate_table,
)
from modelcrate.legacy.view import View
from modelcrate.parts import COPULA
from modelcrate.storage.component import ComponentData

Document: TypeAlias = "dict[str, Any]"

_MODULE: Final = "sdv.single_table"
CTGAN: Final = f"{_MODULE}.ctgan.CTGANSynthesizer"
TVAE: Final = f"{_MODULE}.ctgan.TVAESynthesizer"
COPULA_GAN: Final = f"{_MODULE}.copulagan.CopulaGANSynthesizer"
GAUSSIAN_COPULA: Final = f"{_MODULE}.copulas.GaussianCopulaSynthesizer"
SEED: Final = 73251
"""What a synthesizer seeds its core with before its first sample."""
_FIRST_UNSIGNED: Final = (1, 5)
"""From this release on negative known numbers are compared by their size."""
_NAMES: Final = (
    "metadata", "_input_metadata", "_original_metadata", "_table_name", "enforce_min_max_values", "enforce_rounding",
    "locales", "_data_processor", "_original_columns", "_fitted", "_random_state_set", "_creation_date", "_fitted_date",
    "_fitted_sdv_version", "_fitted_sdv_enterprise_version", "_chained_constraints", "_reject_sampling_constraints",
    "_constraints_fitted", "_synthesizer_id", "_model", "_model_kwargs", "_suppress_datetime_format_warning",
)  # fmt: skip
_NETWORK: Final = (
    "embedding_dim", "generator_dim", "discriminator_dim", "generator_lr", "generator_decay", "discriminator_lr",
    "discriminator_decay", "batch_size", "discriminator_steps", "log_frequency", "verbose", "epochs", "pac", "cuda",
    "enable_gpu", "compress_dims", "decompress_dims", "l2scale", "loss_factor",
)  # fmt: skip
_DISTRIBUTIONS: Final = (
    "numerical_distributions", "default_distribution", "_numerical_distributions", "_default_distribution",
)  # fmt: skip
_OTHERS: Final = {
    "sdv.sequential.par.PARSynthesizer": "a synthesizer of sequences",
    "sdv.multi_table.hma.HMASynthesizer": "a synthesizer of several tables",
    "sdv.multi_table.dayz.DayZSynthesizer": "a synthesizer of several tables",
    f"{_MODULE}.dayz.DayZSynthesizer": "a synthesizer that learned nothing",
    "sdv.lite.single_table.SingleTablePreset": "a preset around a synthesizer",
}


def translate_network(view: View) -> Translation:
    """Translate one CTGAN, TVAE or CopulaGAN synthesizer.

    Raises :class:`FormatError` for what contradicts itself, :class:`UnsupportedError` for what a crate can't carry,
    both with the attribute's path.
    """
    kind = view.class_name or ""
    view = view.attributes(CTGAN, TVAE, COPULA_GAN)
    own = (*_DISTRIBUTIONS, "_gaussian_normalizer_hyper_transformer") if kind == COPULA_GAN else ()
    refuse_unknown(view, (*_NAMES, *_NETWORK, *own))
    table = _table(view)
    if kind == COPULA_GAN:
        inner, _ = translate_columns(
            view["_gaussian_normalizer_hyper_transformer"].attributes("rdt.hyper_transformer.HyperTransformer")
        )
        table["columns"] = chained_columns(table["columns"], inner)
    for column in table["columns"]:
        column.get("states", {}).pop("forward", None)  # these cores take no known cells, rows are rejected instead
    found = (ctgan.translate_tvae if kind == TVAE else ctgan.translate_ctgan)(view["_model"])
    parts = {part.name: part for part in found.components}
    parts["table"] = ComponentData(name="table", role="table", type="tabular.table/1", state=table)
    advanced = view["_random_state_set"].boolean() and "random_state" in parts
    if not advanced:
        parts.pop("random_state", None)
    found.components = list(parts.values())
    tag, config = found.model
    names = copulas.summarised(table["columns"])
    rules: Document = {"spare_batch": True, **_rules(view, advanced=advanced)}
    replayed = config["replay"].get("unconditioned", True) and not names
    found.model = (tag, {**config, "conditioning": "single_discrete", "replay": rules if replayed else None})
    found.notes = [note for note in found.notes if not note.startswith("ctgan asks for the wrong category")]
    _finish(found, view, names)
    return found


def translate_copula(view: View) -> Translation:
    """Translate one GaussianCopula synthesizer. Raises as :func:`translate_network`."""
    view = view.attributes(GAUSSIAN_COPULA)
    refuse_unknown(view, (*_NAMES, *_DISTRIBUTIONS, "_num_rows"))
    table = _table(view)
    joint = copulas.joint(view["_model"])
    names = copulas.summarised(joint["columns"])
    advanced = view["_random_state_set"].boolean()
    rules: Document = {"spare_batch": False, **_rules(view, advanced=advanced)}
    config: Document = {"replay": None if names else rules}
    if early_numpy(view["_data_processor"]):
        config["early_rotations"] = True
    found = Translation(
        model=(COPULA, config),
        components=[
            ComponentData(name="joint", role="distribution", type="tabular.joint/1", state=joint),
            ComponentData(name="table", role="table", type="tabular.table/1", state=table),
        ],
        hyperparameters={},
    )
    if advanced and not names:  # saved after it had sampled
        state = state_of_twister(view["_model"].attributes(copulas.MULTIVARIATE)["random_state"])
        name = "random_state"
        found.components.append(ComponentData(name=name, role=name, type="tabular.random_state/1", state=state))
    _finish(found, view, names)
    return found


def refuse(view: View) -> Translation:
    """Say what a synthesizer is that can't be carried: of several tables, of sequences."""
    name = view.class_name or ""
    raise UnsupportedError(
        f"{_OTHERS[name]} ({name})",
        where=view.path,
        hint="CTGAN, TVAE, CopulaGAN and GaussianCopula synthesizers of single tables can be converted",
    )


def release_of(view: View) -> tuple[int, ...]:
    """The release of sdv that fitted a model; the earliest where the file does not say."""
    given = view.get("_fitted_sdv_version")
    text = "1.0" if given is None or given.is_none() else given.text()
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3]) or (1, 0)


def _table(view: View) -> Document:
    if not view["_fitted"].boolean() or "_model" not in view or view["_model"].is_none():
        raise UnsupportedError("a synthesizer that was not fitted, or of keys alone", where=view.path)
    return translate_table(
        view["_data_processor"],
        view.get("_chained_constraints"),
        view.get("_reject_sampling_constraints"),
        release_of(view),
    )


def _rules(view: View, *, advanced: bool) -> Document:
    rules: Document = {"repairs": ["sample", "conditions", "known"]}
    if advanced:
        rules["goes_on"] = True
    else:
        rules["model_seed"] = SEED
    if release_of(view) >= _FIRST_UNSIGNED:
        rules["signed"] = False
    return rules


def _finish(found: Translation, view: View, summarised: list[str]) -> None:
    metadata = view.get("_original_metadata") or view["metadata"]
    if metadata.class_name in SEVERAL or not metadata.is_none():
        found.hyperparameters["sdtypes"] = sdtypes_of(single_metadata(metadata))
    for name in ("enforce_rounding", "enforce_min_max_values"):
        found.hyperparameters[name] = view[name].boolean()
    version = view.get("_fitted_sdv_version")
    if version is not None and not version.is_none():
        found.versions["sdv"] = version.text()
    numbered = view.get("_original_columns")
    if numbered is not None and not numbered.is_none() and len(numbered.index().labels()):
        found.notes.append("the training table's columns were numbers; sampled frames name them by these as texts")
    for item, column in pseudonyms(view["_data_processor"]):
        why = "it tells the real values; sampled cells need the made-up ones alone"
        what = f"the map from real to made-up values of the column {column!r}"
        found.omitted.append(Omission(what=what, where=item.path, why=why))
    for name in summarised:
        why = "it is the training column itself; some quantiles of it are kept"
        found.omitted.append(Omission(what=f"the kernel estimate of the column {name!r}", where=view.path, why=why))
    if summarised:
        found.notes.append(
            f"the file held the training column{'s' if len(summarised) > 1 else ''} "
            f"{', '.join(map(repr, summarised))} as kernel estimates; the crate holds quantiles of them, so the "
            "original's samples can't be replayed"
        )


TRANSLATORS: Final[dict[str, Callable[[View], Translation]]] = {
    CTGAN: translate_network,
    TVAE: translate_network,
    COPULA_GAN: translate_network,
    GAUSSIAN_COPULA: translate_copula,
    **dict.fromkeys(_OTHERS, refuse),
}
