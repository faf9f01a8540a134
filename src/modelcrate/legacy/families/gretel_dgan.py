"""DGAN time-series models of gretel-synthetics 0.18 to 0.22.20 as the components of a crate.

A file of ``DGAN.save`` is a dict of state dicts, configuration, outputs and a converter; a pickled or live DGAN holds
the same as attributes. Three layouts: 0.18 and 0.19 describe outputs without encoders; 0.20 has encoders of
category_encoders; a converter that knows sequences of several lengths (after 0.22.8) makes columns numeric again.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import numpy as np

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.format.manifest import Omission
from modelcrate.format.tensors import TensorData
from modelcrate.legacy.families.category_encoders import BINARY, ONE_HOT, encoded
from modelcrate.legacy.families.gretel_actgan import Translation
from modelcrate.legacy.families.gretel_dgan_network import module_tensors
from modelcrate.legacy.families.known import cell, refuse_unknown, setting
from modelcrate.legacy.values.extension import ScalarData
from modelcrate.legacy.view import View
from modelcrate.parts import SERIES
from modelcrate.storage.component import ComponentData
from modelcrate.tabular.cells import is_missing
from modelcrate.tabular.series.variables import DTYPES as CATEGORY_DTYPES

Document: TypeAlias = "dict[str, Any]"

_PACKAGE: Final = "gretel_synthetics.timeseries_dgan"
MODEL: Final = f"{_PACKAGE}.dgan.DGAN"
_OUTPUTS: Final = f"{_PACKAGE}.transformations"
KEYS: Final = frozenset({"config", "attribute_outputs", "feature_outputs", "generate_state_dict"})
"""What every file of ``DGAN.save`` has."""
_FILE_NAMES: Final = (
    *sorted(KEYS), "feature_discriminator_state_dict", "attribute_discriminator_state_dict", "data_frame_converter",
    "attribute_column_names", "feature_column_names",
)  # fmt: skip
_MODEL_NAMES: Final = (
    "config", "is_built", "data_frame_converter", "EPS", "attribute_outputs", "additional_attribute_outputs",
    "feature_outputs", "device", "generator", "feature_discriminator", "attribute_discriminator",
    "attribute_noise_func", "feature_noise_func", "attribute_column_names", "feature_column_names",
)  # fmt: skip
_SETTINGS: Final = (
    "max_sequence_len", "sample_len", "attribute_noise_dim", "feature_noise_dim", "attribute_num_layers",
    "attribute_num_units", "feature_num_layers", "feature_num_units", "use_attribute_discriminator",
    "apply_feature_scaling", "apply_example_scaling", "binary_encoder_cutoff", "forget_bias",
    "gradient_penalty_coef", "attribute_gradient_penalty_coef", "attribute_loss_coef", "generator_learning_rate",
    "generator_beta1", "discriminator_learning_rate", "discriminator_beta1", "attribute_discriminator_learning_rate",
    "attribute_discriminator_beta1", "batch_size", "epochs", "discriminator_rounds", "generator_rounds", "cuda",
    "mixed_precision_training",
)  # fmt: skip
_DISCRIMINATORS: Final = {
    "feature_discriminator": "the discriminator of whole examples",
    "attribute_discriminator": "the discriminator of attributes",
}
_WIDE: Final = ("WideDataFrameConverter", f"{_PACKAGE}.dgan._WideDataFrameConverter")
_LONG: Final = ("LongDataFrameConverter", f"{_PACKAGE}.dgan._LongDataFrameConverter")
_RANGES: Final[dict[object, str]] = {
    0: "zero_one", 1: "minus_one_one", "ZERO_ONE": "zero_one", "MINUSONE_ONE": "minus_one_one",
}  # fmt: skip


def is_saved(view: View) -> bool:
    """Whether a file holds what ``DGAN.save`` writes."""
    try:
        return set(view.names()) >= KEYS
    except FormatError:
        return False


def translate_saved(view: View) -> Translation:
    """Translate what ``DGAN.save`` wrote.

    Raises :class:`FormatError` for what contradicts itself, :class:`UnsupportedError` for what a crate can't carry,
    both with the path.
    """
    refuse_unknown(view, _FILE_NAMES)
    tensors = {
        name: it.tensor().data(it.context, it.path) for name, it in view["generate_state_dict"].mapping().items()
    }
    config = view["config"]
    refuse_unknown(config, (*_SETTINGS, "normalization"))
    converter = view.get("data_frame_converter")
    kind = None if converter is None else converter["name"].text()
    left = [(f"{name}_state_dict", what) for name, what in _DISCRIMINATORS.items()]
    return _assemble(view, config, tensors, converter, kind, left)


def translate(view: View) -> Translation:
    """Translate one DGAN object, pickled or live. Raises as :func:`translate_saved`."""
    view = view.attributes(MODEL)
    refuse_unknown(view, _MODEL_NAMES)
    if "generator" not in view:
        raise UnsupportedError("a DGAN that was not built", where=view.path)
    config = view["config"].attributes(f"{_PACKAGE}.config.DGANConfig")
    refuse_unknown(config, (*_SETTINGS, "normalization"))
    tensors = module_tensors(view["generator"], f"{_PACKAGE}.torch_modules")
    held = view.get("data_frame_converter")
    converter = None if held is None or held.is_none() else held.attributes(_WIDE[1], _LONG[1])
    kind = None if converter is None else converter.class_name
    return _assemble(view, config, tensors, converter, kind, list(_DISCRIMINATORS.items()))


def _assemble(
    view: View,
    config: View,
    tensors: Mapping[str, TensorData],
    converter: View | None,
    kind: str | None,
    left: list[tuple[str, str]],
) -> Translation:
    attributes, features = _outputs(view["attribute_outputs"]), _outputs(view["feature_outputs"])
    steps = config["max_sequence_len"].integer()
    layout, names = _oldest_layout(view) if converter is None else _layout(converter, kind, steps)
    if layout is not None and layout["type"] == "long":
        flag = layout["flag"]
        if flag is not None and 0 <= flag <= len(names[1]):
            names[1].insert(flag, _free(names[1], "continues"))
        features = _named(features, names[1], view.path)
    if layout is not None:
        attributes = _named(attributes, names[0], view.path)
    state: Document = {
        "attributes": attributes,
        "features": features,
        "steps": steps,
        "layout": layout,
    }
    found = Translation(
        model=(SERIES, {"batch_size": config["batch_size"].integer()}),
        components=[
            ComponentData(
                name="generator",
                role="generator",
                type="dgan.generator/1",
                config=_network(state, config),
                tensors=tensors,
            ),
            ComponentData(name="series", role="series", type="series.table/1", state=state),
        ],
        hyperparameters=_settings(config, layout),
    )
    for name, what in left:
        held = view.get(name)
        if held is not None and not held.is_none():
            found.omitted.append(Omission(what=what, where=held.path, why="training is over"))
    return found


def _network(state: Document, config: View) -> Document:
    """The generator's config: its outputs are decided by the variables, its sizes by the configuration."""
    from modelcrate.tabular.series.table import SeriesTable

    table = SeriesTable.from_document(state, "series")
    sizes = {
        "attribute_noise_dim": "attribute_noise_dim",
        "feature_noise_dim": "feature_noise_dim",
        "attribute_units": "attribute_num_units",
        "attribute_layers": "attribute_num_layers",
        "feature_units": "feature_num_units",
        "feature_layers": "feature_num_layers",
        "steps": "max_sequence_len",
        "cell_steps": "sample_len",
    }
    return {**table.parts(), **{name: config[theirs].integer() for name, theirs in sizes.items()}}


def _settings(config: View, layout: Document | None) -> Document:
    found: Document = {"normalization": _range(config["normalization"])}
    for name in _SETTINGS:
        if name in config:
            value = setting(config[name])
            if not isinstance(value, (bool, int, float)):
                raise UnsupportedError(f"a setting that is {config[name].describe()}", where=config[name].path)
            found[name] = value
    found["trained_on"] = "array" if layout is None else "frame"
    return found


# -- variables


def _outputs(view: View) -> list[Document]:
    if view.is_none():
        return []
    found = []
    names: set[str] = set()
    for item in view.items():
        output = item.attributes(
            *(f"{_OUTPUTS}.{name}Output" for name in ("OneHotEncoded", "BinaryEncoded", "Continuous", "Discrete"))
        )
        name = output["name"].text()
        while name in names:
            name += "_"
        names.add(name)
        found.append({"name": name, "encoding": _encoding(output)})
    return found


def _encoding(output: View) -> Document:
    fitted = output.get("is_fit")
    if fitted is not None and not fitted.boolean():
        raise UnsupportedError("an output that was not fitted", where=output.path)
    kind = (output.class_name or "").rpartition(".")[2]
    if kind == "ContinuousOutput":
        refuse_unknown(output, ("name", "is_fit", "dim", "normalization", "apply_feature_scaling",
                                "apply_example_scaling", "global_min", "global_max"))  # fmt: skip
        scaled = output["apply_feature_scaling"].boolean()
        return {
            "type": "scaled",
            "range": _range(output["normalization"]),
            "minimum": output["global_min"].finite() if scaled else None,
            "maximum": output["global_max"].finite() if scaled else None,
            "per_example": output["apply_example_scaling"].boolean(),
        }
    if kind == "DiscreteOutput":
        refuse_unknown(output, ("name", "dim"))
        count = output["dim"].integer()
        output.context.charge_items(max(count, 0), output.path)
        return {"type": "one_hot", "dtype": "int64", "categories": list(range(count))}
    refuse_unknown(output, ("name", "is_fit", "_encoder", "_convert_to_int", "_nan_proxy", "_mode"))
    encoder = output["_encoder"]
    if encoder.class_name != (BINARY if kind == "BinaryEncodedOutput" else ONE_HOT):
        raise FormatError(f"an encoder that is {encoder.describe()}", where=encoder.path)
    learned = encoded(encoder)
    if learned.dtype not in CATEGORY_DTYPES:
        raise UnsupportedError(f"categories of dtype {learned.dtype}", where=encoder.path)
    if kind == "OneHotEncodedOutput":
        if learned.width != len(learned.categories):
            raise FormatError("a one-hot encoder whose columns are not its categories", where=encoder.path)
        return {"type": "one_hot", "dtype": learned.dtype, "categories": learned.categories}
    return _digits(output, learned.dtype, learned.categories, learned.width)


def _digits(output: View, dtype: str, categories: list[object], width: int) -> Document:
    """Missing cells stood in the encoder under a made-up name, which no crate needs."""
    from modelcrate.tabular.cells import inferred

    replaces = inferred(categories).kind == "O"  # numbers keep NaN, which is not the object that is looked for
    held = output.get("_nan_proxy")
    proxy = None if held is None or held.is_none() else held.text()
    mode = cell(output["_mode"])
    mode = str(mode) if isinstance(mode, np.str_) else mode
    mode = mode.item() if isinstance(mode, (np.integer, np.floating, np.bool_)) else mode

    def real(value: object) -> object:
        return float("nan") if proxy is not None and value == proxy else value

    return {
        "type": "binary",
        "dtype": dtype,
        "digits": width,
        "categories": [real(value) for value in categories],
        "fallback": float("nan") if mode is not None and is_missing(mode) else real(mode),
        "whole": output["_convert_to_int"].boolean() if "_convert_to_int" in output else False,
        "replaces": replaces,
    }


def _range(view: View) -> str:
    value = view.enum(f"{_PACKAGE}.config.Normalization")
    if value not in _RANGES:
        raise UnsupportedError(f"normalisation of kind {value!r}", where=view.path)
    return _RANGES[value]


# -- frames


Names: TypeAlias = "tuple[list[str | int], list[str | int]]"


def _layout(view: View, kind: str | None, steps: int) -> tuple[Document | None, Names]:
    is_object = kind in (_WIDE[1], _LONG[1])

    def part(name: str) -> View:
        return view[f"_{name}" if is_object else name]

    def has(name: str) -> bool:
        return (f"_{name}" if is_object else name) in view

    usual = ("attribute_columns", "feature_columns", "discrete_columns", "df_column_order", "attribute_types",
             "feature_types")  # fmt: skip
    extra = ("example_id_column", "time_column", "time_column_values", "generation_flag_index")
    if kind not in (*_WIDE, *_LONG):
        raise UnsupportedError(f"a converter named {kind!r}", where=view.path)
    known = usual if kind in _WIDE else (*usual, *extra)
    refuse_unknown(view, [f"_{name}" for name in known] if is_object else [*known, "name"])
    attributes, columns, order = (
        _labels(part(name)) for name in ("attribute_columns", "feature_columns", "df_column_order")
    )
    told = set(_labels(part("discrete_columns")))
    discrete = [name for name in order if name in told]
    document: Document = {"order": order, "discrete": discrete}
    if kind in _WIDE:
        return {"type": "wide", "columns": columns, **document}, (attributes, [])
    example, time = part("example_id_column"), part("time_column")
    named = None if time.is_none() else _label(time)
    times: Document | None = None
    if named is not None:
        held = part("time_column_values").items()[:steps]  # later ones are never reached
        times = {"name": named, "values": [_time(item) for item in held]}
    flag = part("generation_flag_index") if has("generation_flag_index") else None
    document |= {
        "example": None if example.is_none() else _label(example),
        "time": times,
        "flag": None if flag is None or flag.is_none() else flag.integer(),
        "numeric": flag is not None,
    }
    return {"type": "long", **document}, (attributes, columns)


def _oldest_layout(view: View) -> tuple[Document | None, Names]:
    """Release 0.18 keeps two lists of names beside the networks, and knows wide frames alone."""
    held = view.get("attribute_column_names"), view.get("feature_column_names")
    if held[0] is None or held[1] is None or held[0].is_none() or held[1].is_none():
        return None, ([], [])
    attributes, columns = _labels(held[0]), _labels(held[1])
    return {"type": "wide", "columns": columns, "order": [*attributes, *columns], "discrete": []}, (attributes, [])


def _time(view: View) -> object:
    held = view.value()
    if not isinstance(held, ScalarData) or held.kind != "Timestamp":
        return cell(view)
    moment, zone = held.parts
    assert isinstance(moment, np.datetime64)
    if zone != "UTC":
        raise UnsupportedError(f"times in the zone {zone}, and only those in UTC can be carried", where=view.path)
    if moment.astype("datetime64[us]") != moment:
        raise UnsupportedError("times with a zone that are finer than microseconds", where=view.path)
    plain: datetime.datetime = moment.astype("datetime64[us]").item()
    return plain.replace(tzinfo=datetime.timezone.utc)


def _labels(view: View) -> list[str | int]:
    if view.callee is not None and "index" in view.callee.lower():
        return [_checked(label, view) for label in view.index().labels()]
    return [_label(item) for item in view.items()]


def _label(view: View) -> str | int:
    return _checked(view.value(), view)


def _checked(value: object, view: View) -> str | int:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise UnsupportedError("a column whose name is neither text nor a whole number", where=view.path)
    return value


def _named(variables: list[Document], names: list[str | int], where: str) -> list[Document]:
    if len(variables) != len(names):
        raise FormatError(f"{len(names)} columns for {len(variables)} outputs", where=where)
    return [{**variable, "name": name} for variable, name in zip(variables, names, strict=True)]


def _free(names: list[str | int], name: str) -> str:
    while name in names:
        name += "_"
    return name
