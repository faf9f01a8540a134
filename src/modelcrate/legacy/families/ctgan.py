"""CTGAN and TVAE models of the ctgan package, 0.2 to 0.12, as the components of a crate.

Four layouts: 0.2 keeps scikit-learn's own encoders; 0.3 to 0.5.0 keep a mixture of scikit-learn and a one-hot encoder
of rdt below 1.0; 0.5.1 keeps transformers of rdt 0.6, 0.5.2 and later those of rdt 1.2 and later. Up to 0.8.0 the
sampler holds the encoded training table, later only the row numbers of each category. Neither is carried.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.format.manifest import Omission
from modelcrate.legacy.families import rdt, rdt_06
from modelcrate.legacy.families.ctgan_generator import decoder_shape, decoder_tensors, generator_tensors
from modelcrate.legacy.families.ctgan_parts import assemble, bare_number, column_name, generator_part, label, settings
from modelcrate.legacy.families.ctgan_sampler import translate_sampler
from modelcrate.legacy.families.gretel_actgan import Translation
from modelcrate.legacy.families.known import column_dtype, refuse_unknown, unboxed
from modelcrate.legacy.families.random_states import state_of_objects, state_of_tuples
from modelcrate.legacy.families.sdv1_formats import numpy_name, plain_format
from modelcrate.legacy.values.dtypes import DtypeData
from modelcrate.legacy.view import View
from modelcrate.storage.component import ComponentData

Document: TypeAlias = "dict[str, Any]"

_CTGAN: Final = "ctgan.synthesizers.ctgan"
_TVAE: Final = "ctgan.synthesizers.tvae"
CTGAN: Final = (f"{_CTGAN}.CTGAN", f"{_CTGAN}.CTGANSynthesizer")
TVAE: Final = (f"{_TVAE}.TVAE", f"{_TVAE}.TVAESynthesizer")
_RANDOM: Final = ("random_states", "_numpy_random_state", "_torch_random_state")
_CTGAN_SETTINGS: Final = (
    "_embedding_dim", "_generator_dim", "_discriminator_dim", "_generator_lr", "_generator_decay",
    "_discriminator_lr", "_discriminator_decay", "_batch_size", "_discriminator_steps", "_log_frequency", "_verbose",
    "_epochs", "pac", "trained_epochs",
)  # fmt: skip
_CTGAN_NAMES: Final = (
    *_CTGAN_SETTINGS, *_RANDOM, "_device", "_enable_gpu", "_transformer", "_data_sampler", "_generator", "loss_values",
    "_discriminator", "_optimizerG", "_optimizerD",
)  # fmt: skip
_TVAE_SETTINGS: Final = (
    "embedding_dim", "compress_dims", "decompress_dims", "l2scale", "batch_size", "loss_factor", "epochs", "verbose",
)  # fmt: skip
_TVAE_NAMES: Final = (*_TVAE_SETTINGS, *_RANDOM, "_device", "_enable_gpu", "transformer", "decoder", "loss_values")
_TRANSFORMER_NAMES: Final = (
    "_max_clusters", "_weight_threshold", "output_info_list", "output_dimensions", "dataframe", "_column_raw_dtypes",
    "_column_transform_info_list",
)  # fmt: skip
_TRAINING: Final = {
    "_discriminator": "the discriminator",
    "_optimizerG": "the generator's optimizer",
    "_optimizerD": "the discriminator's optimizer",
    "loss_values": "the losses of each epoch",
}
"""What only training needs, by attribute."""


def translate_ctgan(view: View) -> Translation:
    """Translate one CTGAN.

    Raises :class:`FormatError` for what contradicts itself, :class:`UnsupportedError` for what a crate can't carry,
    both with the attribute's path.
    """
    view = view.attributes(*CTGAN)
    refuse_unknown(view, _CTGAN_NAMES)
    for name in ("_transformer", "_data_sampler", "_generator"):
        if name not in view or view[name].is_none():
            raise UnsupportedError("a CTGAN that was not fitted", where=view.path)
    notes: list[str] = []
    transformer, is_frame = _transformer(view["_transformer"], notes)
    sampler, misplaced, needs_rows = translate_sampler(view["_data_sampler"], transformer)
    tensors = generator_tensors(view["_generator"], generator=f"{_CTGAN}.Generator", residual=f"{_CTGAN}.Residual")
    found = assemble(
        network=generator_part(tensors),
        transformer=transformer,
        sampler=sampler,
        config={
            "noise_dim": view["_embedding_dim"].integer(),
            "batch_size": view["_batch_size"].integer(),
            "conditioning": "requested_discrete",
            "statistics": "batch",
        },
        replay={"misplaced": misplaced, "unconditioned": not needs_rows},
        random_state=_random_state(view),
        hyperparameters=settings(view, _CTGAN_SETTINGS, is_frame=is_frame),
    )
    found.notes += notes
    _cast_back(found, view["_transformer"])
    _list_omissions(found, view, view["_data_sampler"])
    if misplaced:
        found.notes.append(
            "ctgan asks for the wrong category of any discrete column but the first; conditions= asks for the right "
            "one, with replay= it repeats the original"
        )
    return found


def translate_tvae(view: View) -> Translation:
    """Translate one TVAE. Raises as :func:`translate_ctgan`."""
    import numpy as np

    view = view.attributes(*TVAE)
    refuse_unknown(view, _TVAE_NAMES)
    if "decoder" not in view or "transformer" not in view:
        raise UnsupportedError("a TVAE that was not fitted", where=view.path)
    notes: list[str] = []
    transformer, is_frame = _transformer(view["transformer"], notes)
    tensors = decoder_tensors(view["decoder"], decoder=f"{_TVAE}.Decoder")
    inputs, hidden, outputs = decoder_shape(tensors)
    shape: Document = {"embedding_dim": inputs, "hidden_dim": hidden, "data_dim": outputs}
    found = assemble(
        network=ComponentData(
            name="generator",
            role="generator",
            type="ctgan.decoder/1",
            config=shape,
            tensors=tensors,
        ),
        transformer=transformer,
        sampler={"columns": [], "cumulative": np.zeros(0)},
        config={
            "noise_dim": view["embedding_dim"].integer(),
            "batch_size": view["batch_size"].integer(),
            "conditioning": "single_discrete",
            "statistics": "running",
        },
        replay={},
        random_state=_random_state(view),
        hyperparameters=settings(view, _TVAE_SETTINGS, is_frame=is_frame),
    )
    found.notes += notes
    _cast_back(found, view["transformer"])
    _list_omissions(found, view, None)
    return found


def _transformer(view: View, notes: list[str]) -> tuple[Document, bool]:
    view = view.attributes("ctgan.data_transformer.DataTransformer")
    refuse_unknown(view, _TRANSFORMER_NAMES)
    where = view["_column_raw_dtypes"].path
    dtypes, are_texts = _raw_dtypes(view["_column_raw_dtypes"])
    columns: list[Document] = []
    for item in view["_column_transform_info_list"].items():
        parts = _parts(item)
        name = label(parts[0])
        if name not in dtypes:
            raise FormatError(f"no dtype for the column {name!r}", where=where)
        encoding = _encoding(parts, name, notes)
        declared = [_span(span) for span in parts[-2].items()]
        expected = (
            [(len(encoding["categories"]), "softmax")]
            if encoding["type"] == "one_hot"
            else [
                (1, "tanh"),
                (int(encoding["used"].sum()), "softmax"),
            ]
        )
        if declared != expected:
            raise FormatError("the spans differ from the transform's output", where=item.path)
        dtype = _modelled_dtype(dtypes[name], encoding, f"{where}[{name!r}]")
        columns.append({"name": name, "dtype": dtype, "encoding": encoding})
    is_frame = view["dataframe"].boolean()
    if not is_frame:
        notes.append("trained on an array; sampling gives a frame of the same columns, numbered from 0")
    elif not are_texts:
        notes.append("column names that were no texts are texts now: 0 became '0'")
    return {"columns": columns}, is_frame


def _parts(item: View) -> list[View]:
    name = "ctgan.data_transformer.ColumnTransformInfo"
    if item.class_name != name:
        raise FormatError(f"expected an instance of {name}, found {item.describe()}", where=item.path)
    parts = item.args()
    if parts and parts[0].global_name == name:
        parts = parts[1:]
    if len(parts) not in (5, 6):
        raise UnsupportedError("a description of a column of unknown length", where=item.path)
    return parts


def _encoding(parts: list[View], name: str, notes: list[str]) -> Document:
    """Five parts since 0.5.2: name, type, transform, spans, width; before, the used modes came after the transform."""
    transform = parts[2]
    if transform.class_name in (rdt.ONE_HOT, rdt.OLD_ONE_HOT):
        return rdt.one_hot(transform)
    if transform.class_name in rdt.CLUSTER:
        encoding = rdt.modes(transform, unflagged=True)
        if _had_missing(transform):
            notes.append(f"the missing cells of the column {name!r} were never modelled; sampled cells are not missing")
        return encoding
    if transform.class_name == rdt_06.MODES:
        return rdt_06.modes(transform)
    if transform.class_name in rdt.MIXTURE and len(parts) == 6:
        return rdt.mixture_modes(transform, parts[3], bare_number())
    raise UnsupportedError(f"a transform of class {transform.class_name}", where=transform.path)


def _had_missing(transform: View) -> bool:
    handler = transform.attributes(*rdt.CLUSTER)["null_transformer"].attributes("rdt.transformers.null.NullTransformer")
    seen = handler.get("nulls")
    return seen is not None and not seen.is_none() and seen.boolean()


def _span(view: View) -> tuple[int, str]:
    name = "ctgan.data_transformer.SpanInfo"
    if view.class_name != name:
        raise FormatError(f"expected an instance of {name}, found {view.describe()}", where=view.path)
    parts = view.args()
    if parts and parts[0].global_name == name:
        parts = parts[1:]
    if len(parts) != 2:
        raise FormatError("a span has a width and an activation", where=view.path)
    return parts[0].integer(), parts[1].text()


def _raw_dtypes(view: View) -> tuple[dict[str, object], bool]:
    """The dtypes of NumPy and pandas by column, and whether all names were texts."""
    series = view.series()
    found: dict[str, object] = {}
    labels = [unboxed(name) for name in series.index.labels()]
    for name, dtype in zip(labels, series.values.tolist(), strict=True):
        text = column_name(name, view.path)
        if text in found:
            raise UnsupportedError(f"two columns whose names are both written {text!r}", where=view.path)
        found[text] = dtype
    return found, all(isinstance(name, str) for name in labels)


def _modelled_dtype(dtype: object, encoding: Document, where: str) -> str:
    """The NumPy dtype of a column before :func:`_cast_back`."""
    if isinstance(dtype, DtypeData):
        # categories may be missing, and numbers are cells of their dtype at once
        return "object" if encoding["type"] == "one_hot" else numpy_name(plain_format(dtype, where))
    if getattr(dtype, "kind", None) == "M":
        return "datetime64[ns]"
    return column_dtype(dtype, where)


def _cast_back(found: Translation, view: View) -> None:
    """Give columns of dtypes that NumPy has not, or not so exactly, these dtypes, as the original does last of all."""
    view = view.attributes("ctgan.data_transformer.DataTransformer")["_column_raw_dtypes"]
    dtypes, _ = _raw_dtypes(view)
    (table,) = (component.state for component in found.components if component.name == "table")
    for field in (table or {})["fields"]:
        dtype = dtypes[field["name"]]
        if isinstance(dtype, DtypeData) or getattr(dtype, "name", field["dtype"]) != field["dtype"]:
            field["format"] = plain_format(dtype, f"{view.path}[{field['name']!r}]")


def _random_state(view: View) -> Document | None:
    if "_numpy_random_state" in view:
        return state_of_tuples(view["_numpy_random_state"], view["_torch_random_state"])
    stored = view.get("random_states")
    return None if stored is None or stored.is_none() else state_of_objects(stored)


def _list_omissions(found: Translation, view: View, sampler: View | None) -> None:
    for name, what in _TRAINING.items():
        if name in view and not view[name].is_none():
            found.omitted.append(Omission(what=what, where=view[name].path, why="training is over"))
    if sampler is None:
        return
    sampler = sampler.attributes("ctgan.data_sampler.DataSampler")
    if "_data" in sampler:
        why = "training rows are not carried; only the share of each category was taken from them"
        where = sampler["_data"].path
        found.omitted.append(Omission(what="the transformed training table", where=where, why=why))
        found.notes.append("the file held its whole training table, transformed; the crate does not")
        if (found.components[2].state or {})["columns"]:
            found.notes.append(
                "its release draws conditions from training rows, so the original's samples can't be replayed"
            )
    rows = sampler.get("_rid_by_cat_cols")
    if rows is not None and rows.items():
        why = "they rebuild every cell of the categorical columns of the training table"
        found.omitted.append(Omission(what="the row numbers of each category", where=rows.path, why=why))
        if "_data" not in sampler:
            found.notes.append(
                "the file held the row numbers of each category, which rebuild the categorical cells of its training "
                "table; the crate does not"
            )


TRANSLATORS: Final[dict[str, Callable[[View], Translation]]] = {
    **dict.fromkeys(CTGAN, translate_ctgan),
    **dict.fromkeys(TVAE, translate_tvae),
}
