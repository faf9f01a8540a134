"""The tabular models of sdv 0.17 (CTGAN, TVAE, CopulaGAN, GaussianCopula) as the components of a crate.

Each is a table's metadata around a core: a model of ctgan 0.5, or a Gaussian copula of the copulas package. CopulaGAN
puts a second transformer between the two, which turns numbers into normal scores.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from modelcrate.errors import UnsupportedError
from modelcrate.format.manifest import Omission
from modelcrate.legacy.families import copulas, ctgan
from modelcrate.legacy.families.gretel_actgan import Translation
from modelcrate.legacy.families.known import refuse_unknown
from modelcrate.legacy.families.sdv_table import translate_columns, translate_table
from modelcrate.legacy.view import View
from modelcrate.parts import COPULA
from modelcrate.storage.component import ComponentData

Document: TypeAlias = "dict[str, Any]"

_MODULE: Final = "sdv.tabular"
CTGAN: Final = f"{_MODULE}.ctgan.CTGAN"
TVAE: Final = f"{_MODULE}.ctgan.TVAE"
COPULA_GAN: Final = f"{_MODULE}.copulagan.CopulaGAN"
GAUSSIAN_COPULA: Final = f"{_MODULE}.copulas.GaussianCopula"
_NAMES: Final = ("_metadata", "_metadata_fitted", "_num_rows", "_model", "_package_versions")
_DISTRIBUTIONS: Final = ("_field_distributions", "_default_distribution")
_CORES: Final[dict[str, tuple[tuple[str, ...], Callable[[View], Translation]]]] = {
    CTGAN: (ctgan.CTGAN, ctgan.translate_ctgan),
    COPULA_GAN: (ctgan.CTGAN, ctgan.translate_ctgan),
    TVAE: (ctgan.TVAE, ctgan.translate_tvae),
}
_NO_REPAIRS: Final[Document] = {"spare_batch": True, "repairs": []}


def translate_network(view: View) -> Translation:
    """Translate one CTGAN, TVAE or CopulaGAN.

    Raises :class:`FormatError` for what contradicts itself, :class:`UnsupportedError` for what a crate can't carry,
    both with the attribute's path.
    """
    name = view.class_name or ""
    view = view.attributes(*_CORES)
    own = ("_model_kwargs", *((*_DISTRIBUTIONS, "_hyper_transformer") if name == COPULA_GAN else ()))
    refuse_unknown(view, (*_NAMES, *own))
    _check_fitted(view)
    table = translate_table(view["_metadata"])
    if name == COPULA_GAN:
        table["columns"] = _chained(table["columns"], translate_columns(view["_hyper_transformer"]))
    classes, translate = _CORES[name]
    if view["_model"].class_name not in classes:
        raise UnsupportedError(f"a core of class {view['_model'].class_name}", where=view["_model"].path)
    found = translate(view["_model"])
    parts = {part.name: part for part in found.components}
    parts["table"] = ComponentData(name="table", role="table", type="tabular.table/1", state=table)
    parts.pop("random_state", None)  # sdv seeds its core anew before each sample
    tag, config = found.model
    rules = config["replay"]
    summaries = copulas.summarised(table["columns"])
    replayed = rules.get("unconditioned", True) and not summaries
    discrete = bool((parts["sampler"].state or {})["columns"])
    found.components = list(parts.values())
    found.model = (
        tag,
        {
            **config,
            # sdv leaves known cells to rejection, so a replay asks for nothing
            "conditioning": "requested_discrete" if discrete else "single_discrete",
            "replay": dict(_NO_REPAIRS) if replayed else None,
        },
    )
    found.hyperparameters = {**found.hyperparameters, **_settings(view)}
    found.versions = _versions(view)
    found.notes = [note for note in found.notes if not note.startswith("ctgan asks for the wrong category")]
    _list_summaries(found, view, summaries)
    return found


def translate_copula(view: View) -> Translation:
    """Translate one GaussianCopula. Raises as :func:`translate_network`."""
    view = view.attributes(GAUSSIAN_COPULA)
    refuse_unknown(view, (*_NAMES, *_DISTRIBUTIONS, "_categorical_transformer", "_DTYPE_TRANSFORMERS"))
    _check_fitted(view)
    joint = copulas.joint(view["_model"])
    summaries = copulas.summarised(joint["columns"])
    found = Translation(
        # sdv 0.17 and pandas 1 go with NumPy below 1.24, as far as a file tells
        model=(
            COPULA,
            {"replay": None if summaries else {"spare_batch": False, "repairs": []}, "early_rotations": True},
        ),
        components=[
            ComponentData(name="joint", role="distribution", type="tabular.joint/1", state=joint),
            ComponentData(name="table", role="table", type="tabular.table/1", state=translate_table(view["_metadata"])),
        ],
        hyperparameters=_settings(view),
        versions=_versions(view),
    )
    _list_summaries(found, view["_model"], summaries)
    return found


def _check_fitted(view: View) -> None:
    if "_model" not in view or view["_model"].is_none():
        raise UnsupportedError("a model that was not fitted, or a table of keys alone", where=view.path)


def _chained(columns: list[Document], inner: list[Document]) -> list[Document]:
    """Columns of the table and those that these were turned into further; identities in between fall away."""
    further = {column["name"]: column for column in inner if column["encoding"]["type"] != "identity"}
    outer = [
        further.pop(column["name"])
        if column["encoding"]["type"] == "identity" and column["name"] in further
        else column
        for column in columns
    ]
    return [*outer, *further.values()]


def _settings(view: View) -> Document:
    """What else the model was made with, for the record."""
    found: Document = {}
    rows = view.get("_num_rows")
    if rows is not None and not rows.is_none():
        found["training_rows"] = rows.integer()
    kind = view.get("_categorical_transformer")
    if kind is not None and not kind.is_none():
        found["categorical_transformer"] = kind.text()
    return found


def _versions(view: View) -> dict[str, str]:
    versions = view.get("_package_versions")
    if versions is None or versions.is_none():
        return {}
    return {name: value.text() for name, value in versions.mapping().items() if not value.is_none()}


def _list_summaries(found: Translation, view: View, names: list[str]) -> None:
    for name in names:
        why = "it is the training column itself; some quantiles of it are kept"
        found.omitted.append(Omission(what=f"the kernel estimate of the column {name!r}", where=view.path, why=why))
    if names:
        found.notes.append(
            f"the file held the training column{'s' if len(names) > 1 else ''} {', '.join(map(repr, names))} as kernel "
            "estimates; the crate holds quantiles of them, so the original's samples can't be replayed"
        )


TRANSLATORS: Final[dict[str, Callable[[View], Translation]]] = {
    **dict.fromkeys(_CORES, translate_network),
    GAUSSIAN_COPULA: translate_copula,
}
