"""The DataProcessor of sdv 1 and 2 in the words of our table document: metadata, transformers, formatters, keys."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.legacy.families import rdt_columns, rdt_sources
from modelcrate.legacy.families.known import refuse_unknown
from modelcrate.legacy.families.sdv1_constraints import translate_old, translate_steps
from modelcrate.legacy.families.sdv1_formats import dtypes_of, formatted, numpy_name, plain_format
from modelcrate.legacy.view import View

Document: TypeAlias = "dict[str, Any]"

_PROCESSOR: Final = "sdv.data_processing.data_processor.DataProcessor"
SINGLE: Final = ("sdv.metadata.single_table.SingleTableMetadata", "sdv.metadata._single_table._SingleTableMetadata")
SEVERAL: Final = ("sdv.metadata.metadata.Metadata", "sdv.metadata.multi_table.MultiTableMetadata")
_HYPER: Final = "rdt.hyper_transformer.HyperTransformer"
_NAMES: Final = (
    "metadata", "_enforce_rounding", "_enforce_min_max_values", "_model_kwargs", "_locales", "_constraints_list",
    "_constraints", "_constraints_to_reverse", "_custom_constraint_classes", "_COLUMN_RELATIONSHIP_TO_TRANSFORMER",
    "_transformers_by_sdtype", "_DEFAULT_TRANSFORMERS_BY_SDTYPE", "grouped_columns_to_transformers",
    "_hyper_transformer", "table_name", "_dtypes", "fitted", "formatters", "_primary_key", "_warned_overflow",
    "_prepared_for_fitting", "_keys", "_id_columns_use_old_behavior",
)  # fmt: skip
_HYPER_NAMES: Final = (
    "field_sdtypes", "field_transformers", "_specified_fields", "_valid_output_sdtypes", "_multi_column_fields",
    "_transformers_sequence", "_output_columns", "_input_columns", "_fitted_fields", "_fitted", "_modified_config",
    "_default_sdtype_transformers", "_transformers_tree", "_provided_field_sdtypes", "_provided_field_transformers",
    "_subset_columns",
)  # fmt: skip
_METADATA: Final = (
    "columns", "primary_key", "alternate_keys", "sequence_key", "sequence_index", "column_relationships", "_version",
    "_updated", "_valid_column_relationships", "_primary_key_candidates", "METADATA_SPEC_VERSION",
)  # fmt: skip
_SEVERAL: Final = ("tables", "relationships", "_multi_table_updated", "_updated")
_KINDS: Final = {"numerical": "number", "boolean": "boolean", "datetime": "date"}


def translate_table(view: View, chained: View | None, rejecting: View | None, release: tuple[int, ...]) -> Document:
    """The state of a ``tabular.table/1``, from a DataProcessor and the constraints that its synthesizer holds.

    Raises :class:`FormatError` and :class:`UnsupportedError` with the attribute's path.
    """
    view = view.attributes(_PROCESSOR)
    refuse_unknown(view, _NAMES)
    if not view["fitted"].boolean():
        raise UnsupportedError("a table that was not fitted", where=view.path)
    grouped = view.get("grouped_columns_to_transformers")
    if grouped is not None and grouped.pairs():
        raise UnsupportedError("a transformer of several columns at once (addresses, places)", where=grouped.path)
    metadata = single_metadata(view["metadata"])
    hyper = view["_hyper_transformer"].attributes(_HYPER)
    refuse_unknown(hyper, _HYPER_NAMES)
    columns, sources = translate_columns(hyper)
    dtypes = dtypes_of(view["_dtypes"])
    formatters = view["formatters"].mapping()
    formats: dict[str, Document] = {}
    for name in metadata["columns"].mapping():
        if name not in dtypes:
            raise FormatError(f"no dtype for the column {name!r}", where=view["_dtypes"].path)
        plain = plain_format(dtypes[name], f"{view['_dtypes'].path}[{name!r}]")
        formats[name] = formatted(plain, formatters.get(name), release)
    keys = [item.text() for item in view["_keys"].items()]
    found: Document = {
        "columns": columns,
        "constraints": translate_old(view["_constraints"], view["_constraints_to_reverse"], release)
        if "_constraints" in view
        else {"constraints": [], "applied": []},
        "primary_key": _key(metadata),
    }
    sdtypes = sdtypes_of(metadata)
    if (chained is not None and chained.items()) or (rejecting is not None and rejecting.items()):
        if chained is None or rejecting is None or found["constraints"]["constraints"]:
            raise UnsupportedError("constraints of two kinds at once", where=view["_constraints"].path)
        found["constraints"] = translate_steps(chained, rejecting, release)
        found["modelled"] = [{"name": name, "format": formats[name]} for name in formats if name not in sources]
        if chained.items():
            steps = found["constraints"]
            stage = steps["stages"][steps["applied"].index(True)]
            formats = {each["name"]: _cast_only(each["format"]) for each in stage["columns"]}
    if recent_numpy(view):
        for each in found["constraints"]["constraints"]:
            if each["type"] == "ascending":
                each["recent"] = True
    found["fields"] = [
        _field(name, form, sdtypes.get(name), name in keys, sources.get(name)) for name, form in formats.items()
    ]
    return found


def single_metadata(view: View) -> View:
    """The metadata of the one table, out of any of the containers that sdv has had for it."""
    if view.class_name in SEVERAL:
        view = view.attributes(*SEVERAL)
        refuse_unknown(view, _SEVERAL)
        tables = list(view["tables"].mapping().values())
        if len(tables) != 1:
            raise UnsupportedError(f"metadata of {len(tables)} tables", where=view["tables"].path)
        view = tables[0]
    view = view.attributes(*SINGLE)
    refuse_unknown(view, _METADATA)
    for name in ("sequence_key", "sequence_index"):
        given = view.get(name)
        if given is not None and not given.is_none():
            raise UnsupportedError("a table of sequences", where=given.path)
    return view


def sdtypes_of(metadata: View) -> dict[str, str]:
    """What each column means, by name and in order."""
    return {name: each["sdtype"].text() for name, each in metadata["columns"].mapping().items()}


def translate_columns(hyper: View) -> tuple[list[Document], dict[str, Document]]:
    """The columns that a HyperTransformer encodes, in order, and the sources of those that it makes up."""
    if not hyper["_fitted"].boolean():
        raise UnsupportedError("a table without a fitted column", where=hyper.path)
    columns: list[Document] = []
    sources: dict[str, Document] = {}
    for item in hyper["_transformers_sequence"].items():
        names, outputs = rdt_columns.names_of(item)
        (name,) = names
        if rdt_sources.is_source(item):
            sources[name] = rdt_sources.translate_source(item)
            continue
        encoding = rdt_columns.translate_column(item)
        if encoding["type"] == "identity" and outputs == [name]:
            continue  # what comes after it in the sequence encodes the same column
        if any(column["name"] == name for column in columns):
            raise UnsupportedError(f"two transformers of the column {name!r}", where=item.path)
        states = rdt_columns.states_of(item)
        column: Document = {"name": name, "outputs": outputs, "encoding": encoding}
        if "forward" in states and "reverse" in states:
            column["states"] = states
        columns.append(column)
    encoded = {column["name"] for column in columns}
    for item in hyper["_input_columns"].items():
        name = item.text()
        if name not in encoded and name not in sources:
            columns.append({"name": name, "outputs": [name], "encoding": {"type": "identity"}})
    return columns, sources


def pseudonyms(processor: View) -> list[tuple[View, str]]:
    """The transformers that hold a map from real to made-up values, and their columns."""
    hyper = processor.attributes(_PROCESSOR)["_hyper_transformer"].attributes(_HYPER)
    sequence = hyper["_transformers_sequence"].items()
    held = [item for item in sequence if item.class_name == rdt_columns.PSEUDONYMS]
    return [(item, rdt_columns.names_of(item)[0][0]) for item in held]


def early_numpy(processor: View) -> bool | None:
    """Whether NumPy 1.23 or an earlier one wrote the file; None where no transformer holds a generator that tells.

    These pickled a RandomState with the name of its bit generator alone; 1.24 added what makes one, and 2.0 gives the
    bit generator itself.
    """
    given = _pickled_generator(processor)
    return None if given is None else len(given) == 1 and type(given[0].node) is str


def recent_numpy(processor: View) -> bool:
    """Whether NumPy 2 wrote the file, told as by :func:`early_numpy`."""
    given = _pickled_generator(processor)
    return given is not None and len(given) > 0 and type(given[0].node) is not str


def _pickled_generator(processor: View) -> list[View] | None:
    hyper = processor.attributes(_PROCESSOR)["_hyper_transformer"].attributes(_HYPER)
    for item in hyper["_transformers_sequence"].items():
        states = item.attributes(item.class_name or "").get("random_states")
        for state in () if states is None else states.mapping().values():
            if not state.is_none():
                return state.args()
    return None


def chained_columns(columns: list[Document], inner: list[Document]) -> list[Document]:
    """Columns of a table and those that a second transformer made of them: outer ones first.

    These releases keep a column's name from step to step, so the intermediate ones get names of their own.
    """
    taken = {name for column in [*columns, *inner] for name in (column["name"], *column["outputs"])}
    names: dict[str, str] = {}
    for column in inner:
        if column["encoding"]["type"] == "identity":
            continue
        name = f"{column['name']}#1"
        while name in taken:
            name += "_"
        taken.add(name)
        names[column["name"]] = name
    outer = [
        {**column, "outputs": [names.get(name, name) for name in column["outputs"]]}
        for column in columns
        if not (column["encoding"]["type"] == "identity" and column["name"] in names)
    ]
    made = {name for column in outer for name in column["outputs"]}
    further = [
        {**column, "name": names[column["name"]] if names[column["name"]] in made else column["name"]}
        for column in inner
        if column["name"] in names
    ]
    return [*outer, *further]


def _cast_only(form: Document) -> Document:
    kept = ("dtype", "categories", "ordered", "nones")
    return {"kind": "plain", **{name: form[name] for name in kept if name in form}}


def _field(name: str, form: Document, sdtype: str | None, is_key: bool, source: Document | None) -> Document:
    kind = "key" if is_key and source is not None else "category"
    found: Document = {
        "name": name,
        "kind": kind if source is not None else _KINDS.get(sdtype or "", "category"),
        "whole": False,
        "dtype": numpy_name(form),
        "identifiers": None,
        "anonymiser": None,
        "format": form,
    }
    return found if source is None else {**found, "source": source}


def _key(metadata: View) -> list[str]:
    given = metadata.get("primary_key")
    if given is None or given.is_none():
        return []
    return [given.text()] if type(given.node) is str else [item.text() for item in given.items()]
