"""ACTGAN models of gretel-synthetics 0.20 to 0.22.20 as the components of a crate.

The releases differ in three layouts: 0.20 describes spans of the matrix (``SpanInfo``) and keeps a sampler with the
whole training matrix; 0.21 describes column encodings and keeps category frequencies only; 0.22.2 adds conditioning on
any column.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.format.manifest import Omission
from modelcrate.legacy.dump import INERT
from modelcrate.legacy.families import rdt
from modelcrate.legacy.families.ctgan_generator import generator_shape, generator_tensors
from modelcrate.legacy.families.ctgan_sampler import integers, one_hot_columns, shares_of_matrix
from modelcrate.legacy.families.known import refuse_unknown, setting
from modelcrate.legacy.families.random_states import state_of_objects
from modelcrate.legacy.families.sdv_table import formats_of, translate_table
from modelcrate.legacy.graph import Call
from modelcrate.legacy.names import callee_of
from modelcrate.legacy.view import View
from modelcrate.storage.component import ComponentData

if TYPE_CHECKING:
    pass

Document: TypeAlias = "dict[str, Any]"

_PACKAGE: Final = "gretel_synthetics.actgan"
MODEL: Final = f"{_PACKAGE}.actgan_wrapper.ACTGAN"
_CORE: Final = f"{_PACKAGE}.actgan.ACTGANSynthesizer"
_WRAPPER_NAMES: Final = (
    "_metadata", "_metadata_fitted", "_auto_transform_datetimes", "_verbose", "_model_kwargs", "_num_rows", "_model",
    "_package_versions",
)  # fmt: skip
_CORE_NAMES: Final = (
    "_embedding_dim", "_generator_dim", "_discriminator_dim", "_generator_lr", "_generator_decay",
    "_discriminator_lr", "_discriminator_decay", "_batch_size", "_discriminator_steps", "_binary_encoder_cutoff",
    "_binary_encoder_nan_handler", "_log_frequency", "_cbn_sample_size", "_verbose", "_epochs", "_epoch_callback",
    "pac", "_conditional_vector_type", "_conditional_select_mean_columns", "_conditional_select_column_prob",
    "_reconstruction_loss_coef", "_force_conditioning", "_device", "_transformer", "_condvec_sampler",
    "_data_sampler", "_generator", "_activation_fns", "_cond_loss_col_ranges", "_cond_vec_dim", "random_states",
)  # fmt: skip
_TRANSFORMER_NAMES: Final = (
    "_max_clusters", "_weight_threshold", "_binary_encoder_cutoff", "_binary_encoder_han_handler",
    "_cbn_sample_size", "_verbose", "dataframe", "_column_raw_dtypes", "_column_transform_info_list",
    "output_info_list", "output_dimensions",
)  # fmt: skip
_OLD_SAMPLER_NAMES: Final = (
    "_data", "_discrete_column_matrix_st", "_rid_by_cat_cols", "_discrete_column_cond_st",
    "_discrete_column_n_category", "_discrete_column_category_prob", "_n_discrete_columns", "_n_categories",
)  # fmt: skip
_CONDITIONING: Final = {
    "single_discrete": "single_discrete",
    "anyway": "anyway",
    "SINGLE_DISCRETE": "single_discrete",
    "ANYWAY": "anyway",
}
LINE_OF_0_21: Final = 370
"""Where release 0.21.0 defines its softmax. It alone makes a spare batch, and nothing else in a file tells it apart."""


@dataclass(slots=True, kw_only=True)
class Translation:
    """A legacy model in our words, ready to be written."""

    model: tuple[str, Document]
    components: list[ComponentData]
    hyperparameters: Document
    omitted: list[Omission] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)


def translate(view: View) -> Translation:
    """Translate one ACTGAN.

    Raises :class:`FormatError` for what contradicts itself, :class:`UnsupportedError` for what a crate can't carry,
    both with the attribute's path.
    """
    view = view.attributes(MODEL)
    refuse_unknown(view, _WRAPPER_NAMES)
    if "_model" not in view or view["_model"].is_none():
        raise UnsupportedError("an ACTGAN that was not fitted", where=view.path)
    core = view["_model"].attributes(_CORE)
    refuse_unknown(core, _CORE_NAMES)
    if core["_generator"].is_none() or core["_transformer"].is_none():
        raise UnsupportedError("an ACTGAN that was not fitted", where=core.path)
    old = "_data_sampler" in core
    table = translate_table(view["_metadata"])
    transformer = _transformer(core["_transformer"], old=old)
    sampler = (_old_sampler if old else _sampler)(core["_data_sampler" if old else "_condvec_sampler"], transformer)
    tensors = generator_tensors(
        core["_generator"], generator=f"{_PACKAGE}.actgan.Generator", residual=f"{_PACKAGE}.actgan.Residual"
    )
    inputs, blocks, outputs = generator_shape(tensors)
    shape: Document = {"embedding_dim": inputs, "generator_dim": blocks, "data_dim": outputs}
    components = [
        ComponentData(
            name="generator",
            role="generator",
            type="ctgan.generator/1",
            config=shape,
            tensors=tensors,
        ),
        ComponentData(name="transformer", role="data_transformer", type="tabular.transformer/1", state=transformer),
        ComponentData(name="sampler", role="conditional_sampler", type="tabular.sampler/1", state=sampler),
        ComponentData(name="table", role="table", type="tabular.table/1", state=table),
    ]
    stored = core.get("random_states")
    if stored is not None and not stored.is_none():
        components.append(
            ComponentData(
                name="random_state", role="random_state", type="tabular.random_state/1", state=state_of_objects(stored)
            )
        )
    found = Translation(
        model=("tabular.synthesizer/1", _config(core, old=old)),
        components=components,
        hyperparameters=_hyperparameters(view),
        versions=_versions(view),
    )
    _list_omissions(found, view, core, old=old)
    return found


def _config(core: View, *, old: bool) -> Document:
    conditioning = "single_discrete"
    given = core.get("_conditional_vector_type")
    if given is not None:
        value = given.enum(f"{_PACKAGE}.structures.ConditionalVectorType")
        if value not in _CONDITIONING:
            raise UnsupportedError(f"conditioning of kind {value!r}", where=given.path)
        conditioning = _CONDITIONING[str(value)]
    forced = core.get("_force_conditioning")
    is_first = not old and given is None and _softmax_line(core) == LINE_OF_0_21
    replay = {"spare_batch": is_first, "repairs": ["sample", "known"]}
    return {
        "noise_dim": core["_embedding_dim"].integer(),
        "batch_size": core["_batch_size"].integer(),
        "conditioning": conditioning,
        "force_conditioning": forced is not None and forced.boolean(),
        "statistics": "batch" if old else "running",
        "replay": None if old else replay,
    }


def _softmax_line(core: View) -> int | None:
    """The line of source on which the softmax activation was defined, as its code object tells; it is not run."""
    for activation in core["_activation_fns"].items():
        function = activation.items()[-1].node
        if isinstance(function, Call) and callee_of(function) == INERT:  # of a live object
            line = function.args[-1]
            return line if type(line) is int else None
        if not isinstance(function, Call) or callee_of(function) not in (
            "cloudpickle.cloudpickle._make_function",
            "cloudpickle.cloudpickle._make_skel_func",
        ):
            continue
        code = function.args[0] if function.args else None
        args = code.args if isinstance(code, Call) else ()
        numbers = [arg for arg in args[10:] if type(arg) is int]
        return numbers[0] if numbers else None
    return None


def _transformer(view: View, *, old: bool) -> Document:
    from modelcrate.tabular.cells import DTYPES

    view = view.attributes(f"{_PACKAGE}.data_transformer.DataTransformer")
    refuse_unknown(view, _TRANSFORMER_NAMES)
    if not view["dataframe"].boolean():
        raise UnsupportedError("a transformer of arrays, not of frames", where=view.path)
    formats = formats_of(view["_column_raw_dtypes"])
    # the table turns cells into pandas' own dtypes later on
    dtypes = {name: form["dtype"] if form["dtype"] in DTYPES else "object" for name, form in formats.items()}
    columns: list[Document] = []
    for item in view["_column_transform_info_list"].items():
        info = item.attributes(f"{_PACKAGE}.structures.ColumnTransformInfo")
        parts = ("output_info", "output_dimensions") if old else ("encodings",)
        refuse_unknown(info, ("column_name", "column_type", "transform", *parts))
        name = info["column_name"].text()
        transform = info["transform"]
        if transform.class_name in rdt.CLUSTER:
            encoding = rdt.modes(transform)
            widths = [(1, "tanh"), (int(encoding["used"].sum()), "softmax")]
        elif transform.class_name == rdt.ONE_HOT:
            encoding = rdt.one_hot(transform)
            widths = [(len(encoding["categories"]), "softmax")]
        elif transform.class_name in rdt.BINARY:
            encoding = rdt.binary(transform)
            widths = [(encoding["digits"], "sigmoid")]
        else:
            raise UnsupportedError(f"a transform of class {transform.class_name}", where=transform.path)
        declared = _spans(info["output_info"]) if old else _encodings(info["encodings"])
        if declared != widths:
            raise FormatError("the encodings differ from the transform's output", where=info.path)
        if name not in dtypes:
            raise FormatError(f"no dtype for the column {name!r}", where=view["_column_raw_dtypes"].path)
        columns.append({"name": name, "dtype": dtypes[name], "encoding": encoding})
    return {"columns": columns}


def _encodings(view: View) -> list[tuple[int, str]]:
    module = f"{_PACKAGE}.column_encodings"
    found: list[tuple[int, str]] = []
    for item in view.items():
        kind = item.class_name
        if kind == f"{module}.FloatColumnEncoding":
            found.append((1, "tanh"))
        elif kind == f"{module}.OneHotColumnEncoding":
            found.append((item.attributes(kind)["_num_values"].integer(), "softmax"))
        elif kind == f"{module}.BinaryColumnEncoding":
            found.append((item.attributes(kind)["_num_bits"].integer(), "sigmoid"))
        else:
            raise UnsupportedError(f"a column encoding of class {kind}", where=item.path)
    return found


def _spans(view: View) -> list[tuple[int, str]]:
    structures = f"{_PACKAGE}.structures"
    found: list[tuple[int, str]] = []
    for item in view.items():
        span = item.attributes(f"{structures}.SpanInfo")
        refuse_unknown(span, ("dim", "activation_fn"))
        activation = str(span["activation_fn"].enum(f"{structures}.ActivationFn")).lower()
        found.append((span["dim"].integer(), activation))
    return found


def _sampler(view: View, transformer: Document) -> Document:
    import numpy as np

    view = view.attributes(f"{_PACKAGE}.data_sampler.CondVecSampler")
    refuse_unknown(
        view,
        ("_n_discrete_columns", "_n_categories", "_categories_uniform_prob_cum", "_discrete_column_cond_st"),
    )
    columns = one_hot_columns(transformer)
    counts = [column["categories"] for column in columns]
    if view["_n_discrete_columns"].integer() != len(columns) or view["_n_categories"].integer() != sum(counts):
        raise FormatError("the sampler's columns are not the transformer's", where=view.path)
    if not columns:
        return {"columns": [], "cumulative": np.zeros(0)}
    starts = integers(view["_discrete_column_cond_st"])
    if starts != [sum(counts[:position]) for position in range(len(counts))]:
        raise FormatError("the sampler's offsets are not those of its columns", where=view.path)
    cumulative = view["_categories_uniform_prob_cum"].array()
    return {"columns": columns, "cumulative": np.array(cumulative, dtype=np.float64)}


def _old_sampler(view: View, transformer: Document) -> Document:
    """Release 0.20 draws conditions from its training matrix. Only the shares of the categories are taken out of it."""
    view = view.attributes(f"{_PACKAGE}.data_sampler.DataSampler")
    refuse_unknown(view, _OLD_SAMPLER_NAMES)
    return shares_of_matrix(view["_data"], transformer)


def _hyperparameters(view: View) -> Document:
    found = {name: _plain(value) for name, value in view["_model_kwargs"].mapping().items() if name != "epoch_callback"}
    table = view["_metadata"].attributes("sdv.metadata.table.Table")
    template = table["_transformer_templates"].mapping().get("FloatFormatter")
    if template is not None and template.class_name == rdt.FLOAT:
        number = template.attributes(rdt.FLOAT)
        for name in ("learn_rounding_scheme", "enforce_min_max_values"):
            found[name] = number[name].boolean()
    found["field_types"] = {
        name: {key: _plain(value) for key, value in given.mapping().items() if key != "transformer"}
        for name, given in table["_field_types"].mapping().items()
    }
    found["field_transformers"] = {
        name: given.class_name.rpartition(".")[2] if given.class_name else _plain(given)
        for name, given in table["_field_transformers"].mapping().items()
    }
    found["anonymize_fields"] = {name: _plain(given) for name, given in table["_anonymize_fields"].mapping().items()}
    found["primary_key"] = _plain(table["_primary_key"])
    found["auto_transform_datetimes"] = view["_auto_transform_datetimes"].boolean()
    rows = view.get("_num_rows")
    if rows is not None and not rows.is_none():
        found["training_rows"] = rows.integer()
    return found


def _plain(view: View) -> Any:
    """A hyperparameter as JSON. Raises UnsupportedError for one that is none."""
    if view.callee in (f"{_PACKAGE}.structures.ConditionalVectorType", "builtins.getattr"):
        return str(view.enum(f"{_PACKAGE}.structures.ConditionalVectorType"))
    return setting(view)


def _versions(view: View) -> dict[str, str]:
    versions = view.get("_package_versions")
    if versions is None or versions.is_none():
        return {}
    return {name: value.text() for name, value in versions.mapping().items() if not value.is_none()}


def _list_omissions(found: Translation, view: View, core: View, *, old: bool) -> None:
    callbacks = [core.get("_epoch_callback"), view["_model_kwargs"].mapping().get("epoch_callback")]
    held = next((given for given in callbacks if given is not None and not given.is_none()), None)

    def omit(what: str, where: View, why: str) -> None:
        found.omitted.append(Omission(what=what, where=where.path, why=why))

    if held is not None:
        omit("the epoch callback", held, "it is code; load(epoch_callback=) attaches one")
    if _has_activation_code(core):
        why = "they are code; the encodings say which activation each column has"
        omit("the activation functions", core["_activation_fns"], why)
    transformer = found.components[1].state or {}
    if any(column["encoding"]["type"] == "binary" for column in transformer["columns"]):
        why = "it is code; binary columns are decoded by this library"
        omit("a function inside of each binary encoder", core["_transformer"], why)
    if old:
        why = "training rows are not carried; only the share of each category was taken from them"
        omit("the transformed training table and its row numbers", core["_data_sampler"], why)
        found.notes.append(
            "release 0.20 draws conditions from training rows, so the original's samples can't be replayed"
        )


def _has_activation_code(core: View) -> bool:
    functions = core.get("_activation_fns")
    if functions is None:
        return False
    callees = [entry.items()[-1].callee or "" for entry in functions.items()]
    return any(callee == INERT or callee.startswith("cloudpickle.") for callee in callees)
