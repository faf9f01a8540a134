"""CTGAN models of ctgan 0.2 and before, which kept scikit-learn's encoders and a plain list of columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.format.manifest import Omission
from modelcrate.legacy.families import rdt
from modelcrate.legacy.families.ctgan_generator import generator_tensors
from modelcrate.legacy.families.ctgan_parts import assemble, bare_number, generator_part, label, settings
from modelcrate.legacy.families.ctgan_sampler import one_hot_columns, shares_of_picks
from modelcrate.legacy.families.gretel_actgan import Translation
from modelcrate.legacy.families.known import cells, column_dtype, refuse_unknown
from modelcrate.legacy.view import View

if TYPE_CHECKING:
    import numpy as np

Document: TypeAlias = "dict[str, Any]"

MODEL: Final = "ctgan.synthesizer.CTGANSynthesizer"
_SETTINGS: Final = ("embedding_dim", "gen_dim", "dis_dim", "l2scale", "batch_size", "trained_epoches")
_TRAINING: Final = ("discriminator", "optimizerG", "optimizerD")
_NAMES: Final = (*_SETTINGS, *_TRAINING, "device", "transformer", "cond_generator", "generator")
_ENCODER: Final = (
    "sklearn.preprocessing._encoders.OneHotEncoder",
    "sklearn.preprocessing.encoders.OneHotEncoder",
)
_ENCODER_NAMES: Final = (
    "categories", "sparse", "sparse_output", "dtype", "handle_unknown", "drop", "min_frequency", "max_categories",
    "feature_name_combiner", "categories_", "drop_idx_", "_drop_idx_after_grouping", "n_values", "categorical_features",
    "_legacy_mode", "_infrequent_enabled", "n_features_in_", "feature_names_in_", "_n_features_outs",
    "_sklearn_version",
)  # fmt: skip


def translate(view: View) -> Translation:
    """Translate one CTGAN of 0.2.

    Raises :class:`FormatError` for what contradicts itself, :class:`UnsupportedError` for what a crate can't carry,
    both with the attribute's path.
    """
    view = view.attributes(MODEL)
    refuse_unknown(view, _NAMES)
    for name in ("transformer", "cond_generator", "generator"):
        if name not in view or view[name].is_none():
            raise UnsupportedError("a CTGAN that was not fitted", where=view.path)
    transformer, is_frame = _transformer(view["transformer"])
    sampler = _sampler(view["cond_generator"], transformer)
    tensors = generator_tensors(view["generator"], generator="ctgan.models.Generator", residual="ctgan.models.Residual")
    found = assemble(
        network=generator_part(tensors),
        transformer=transformer,
        sampler=sampler,
        config={
            "noise_dim": view["embedding_dim"].integer(),
            "batch_size": view["batch_size"].integer(),
            "conditioning": "requested_discrete",
            "statistics": "batch",
        },
        replay={"unconditioned": not sampler["columns"]},
        random_state=None,
        hyperparameters=settings(view, _SETTINGS, is_frame=is_frame),
    )
    for name in _TRAINING:
        if name in view and not view[name].is_none():
            found.omitted.append(Omission(what=f"the {name}", where=view[name].path, why="training is over"))
    if sampler["columns"]:
        why = "training rows are not carried; only the share of each category was taken from them"
        where = view["cond_generator"].path
        found.omitted.append(Omission(what="the categories of each training row", where=where, why=why))
        found.notes.append(
            "the file held the categorical cells of its training table, row by row; the crate does not. Its release "
            "draws conditions from them, so the original's samples can't be replayed"
        )
    return found


def _transformer(view: View) -> tuple[Document, bool]:
    view = view.attributes("ctgan.transformer.DataTransformer")
    refuse_unknown(view, ("n_clusters", "epsilon", "output_info", "output_dimensions", "dataframe", "meta"))
    import numpy as np

    columns: list[Document] = []
    dtypes: list[np.dtype[Any]] = []
    for item in view["meta"].items():
        meta = item.mapping()
        name = label(meta["name"]) if "name" in meta else None
        if name is None:
            raise FormatError("a column without a name", where=item.path)
        if "model" in meta and "components" in meta:
            encoding = rdt.mixture_modes(meta["model"], meta["components"], bare_number())
            dtypes.append(np.dtype(np.float64))
        elif "encoder" in meta:
            encoding, dtype = _one_hot(meta["encoder"])
            dtypes.append(dtype)
        else:
            raise UnsupportedError(f"a column with {', '.join(meta)}", where=item.path)
        columns.append({"name": name, "encoding": encoding})
    # all columns pass through one matrix, and nothing gives them their dtypes back
    shared = column_dtype(shared_dtype(dtypes), view["meta"].path)
    return {"columns": [{**column, "dtype": shared} for column in columns]}, view["dataframe"].boolean()


def shared_dtype(dtypes: list[np.dtype[Any]]) -> np.dtype[Any]:
    """The dtype of a matrix of such columns; texts are kept as objects, and so is what no other dtype holds."""
    import numpy as np

    if all(dtype.kind in "biuf" for dtype in dtypes):
        return np.result_type(*dtypes) if dtypes else np.dtype(np.float64)
    return np.dtype(object)


def _one_hot(view: View) -> tuple[Document, np.dtype[Any]]:
    """A scikit-learn one-hot encoder of one column, and the dtype of its categories."""
    view = view.attributes(*_ENCODER)
    refuse_unknown(view, _ENCODER_NAMES)
    dropped = view.get("drop")
    if dropped is not None and not dropped.is_none():
        raise UnsupportedError("an encoder that drops a category", where=dropped.path)
    lists = view["categories_"].items()
    if len(lists) != 1:
        raise UnsupportedError("an encoder of several columns", where=view["categories_"].path)
    categories = lists[0].array()
    if categories.ndim != 1 or not categories.size:
        raise FormatError("expected a list of categories", where=lists[0].path)
    found = cells(categories.tolist(), lists[0].path)
    return {"type": "one_hot", "categories": found}, categories.dtype


def _sampler(view: View, transformer: Document) -> Document:
    import numpy as np

    view = view.attributes("ctgan.conditional.ConditionalGenerator")
    refuse_unknown(view, ("model", "interval", "n_col", "n_opt", "p"))
    columns = one_hot_columns(transformer)
    counts = [column["categories"] for column in columns]
    if view["n_col"].integer() != len(columns) or view["n_opt"].integer() != sum(counts):
        raise FormatError("the sampler's columns are not the transformer's", where=view.path)
    if not columns:
        return {"columns": [], "cumulative": np.zeros(0)}
    picks = []
    for item, column in zip(view["model"].items(), columns, strict=False):
        codes = item.array()
        fits = codes.ndim == 1 and codes.size and codes.dtype.kind in "iu"
        if not fits or codes.min() < 0 or codes.max() >= column["categories"]:
            raise FormatError("expected the category of each training row", where=item.path)
        picks.append(codes)
    if len(picks) != len(columns):
        raise FormatError("expected one list per discrete column", where=view["model"].path)
    return shares_of_picks(picks, columns)
