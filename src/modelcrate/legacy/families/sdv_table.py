"""The table metadata of sdv 0.17 in the words of our table document."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.legacy.families import rdt
from modelcrate.legacy.families.known import refuse_unknown, told_of_column
from modelcrate.legacy.families.sdv1_formats import numpy_name, plain_format
from modelcrate.legacy.families.sdv_constraints import translate_anonymiser, translate_identifiers, translate_set
from modelcrate.legacy.view import View

Document: TypeAlias = "dict[str, Any]"

TABLE: Final = "sdv.metadata.table.Table"
_NAMES: Final = (
    "name", "_field_names", "_field_types", "_field_transformers", "_anonymize_fields", "_model_kwargs",
    "_primary_key", "_sequence_index", "_entity_columns", "_context_columns", "_constraints",
    "_constraints_to_reverse", "_dtype_transformers", "_transformer_templates", "_dtypes", "_fields_metadata",
    "_hyper_transformer", "fitted",
)  # fmt: skip
_HYPER_NAMES: Final = (
    "_default_sdtype_transformers", "field_sdtypes", "field_transformers", "_specified_fields",
    "_valid_output_sdtypes", "_multi_column_fields", "_transformers_sequence", "_output_columns", "_input_columns",
    "_fitted_fields", "_fitted", "_modified_config", "_transformers_tree",
)  # fmt: skip
_KINDS: Final = {
    "numerical": "number",
    "categorical": "category",
    "boolean": "boolean",
    "datetime": "date",
    "id": "key",
}


def translate_table(view: View) -> Document:
    """The state of a ``tabular.table/1``. Raises FormatError and UnsupportedError with the attribute's path."""
    view = view.attributes(TABLE)
    refuse_unknown(view, _NAMES)
    if "fitted" not in view or not view["fitted"].boolean():
        raise UnsupportedError("a table that was not fitted", where=view.path)
    for name in ("_sequence_index", "_entity_columns", "_context_columns"):
        given = view.get(name)
        if given is not None and not given.is_none() and (type(given.node) is str or given.items()):
            raise UnsupportedError("a table of sequences", where=given.path)
    return {
        "fields": _fields(view),
        "columns": translate_columns(view["_hyper_transformer"]),
        "constraints": translate_set(view["_constraints"], view["_constraints_to_reverse"]),
        "primary_key": _primary_key(view["_primary_key"]),
    }


def _fields(view: View) -> list[Document]:
    from modelcrate.tabular.cells import DTYPES

    names = [item.text() for item in view["_field_names"].items()]
    metadata = view["_fields_metadata"].mapping()
    if set(names) != set(metadata) or len(set(names)) != len(names):
        raise UnsupportedError("fields that differ from their metadata", where=view["_field_names"].path)
    dtypes = formats_of(view["_dtypes"])
    found: list[Document] = []
    for name in names:
        field = metadata[name]
        kind = field["type"].text()
        if kind not in _KINDS:
            raise UnsupportedError(f"a field of type {kind!r}", where=field.path)
        if kind == "numerical" and "subtype" not in field:
            what = f"the number {name!r} is neither an integer nor a float; sdv itself can't sample such a model"
            raise UnsupportedError(what, where=field.path)
        if name not in dtypes:
            raise FormatError(f"no dtype for the field {name!r}", where=view["_dtypes"].path)
        document = {
            "name": name,
            "kind": _KINDS[kind],
            "whole": kind == "numerical" and field["subtype"].text() == "integer",
            "dtype": numpy_name(dtypes[name]),
            "identifiers": translate_identifiers(field),
            "anonymiser": None if kind == "id" else translate_anonymiser(field),
        }
        # NumPy's dtypes need no format
        found.append(document if dtypes[name]["dtype"] in DTYPES else {**document, "format": dtypes[name]})
    return found


def formats_of(view: View) -> dict[str, Document]:
    """A Series of dtypes, as pandas' ``frame.dtypes`` is, as formats of plain cells by column."""
    series = view.series()
    found: dict[str, Document] = {}
    for label, dtype in zip(series.index.labels(), series.values.tolist(), strict=True):
        if not isinstance(label, str):  # NumPy's own text is text
            raise UnsupportedError("a column whose name is no text", where=view.path)
        found[str(label)] = plain_format(dtype, f"{view.path}[{str(label)!r}]")
    return found


def translate_columns(view: View) -> list[Document]:
    """The columns of a fitted ``HyperTransformer`` in the order of its input, then those that it encoded further.

    Raises as :func:`translate_table`.
    """
    view = view.attributes("rdt.hyper_transformer.HyperTransformer")
    refuse_unknown(view, _HYPER_NAMES)
    if not view["_fitted"].boolean():
        raise UnsupportedError("a table without a fitted column", where=view.path)
    encoded: dict[str, Document] = {}
    for item in view["_transformers_sequence"].items():
        name, outputs = rdt.names_of(item.attributes(item.class_name or ""))
        with told_of_column(name):
            encoding = rdt.translate_column(item)
        if name in encoded:
            raise UnsupportedError(f"two transformers of the column {name!r}", where=item.path)
        encoded[name] = {"name": name, "outputs": outputs, "encoding": encoding}
    names = [item.text() for item in view["_input_columns"].items()]
    made: set[str] = set()
    further: list[Document] = []
    for name, column in encoded.items():
        if name not in names:
            if name not in made:
                raise FormatError(f"a transformer of {name!r}, which is no column", where=view.path)
            further.append(column)
        made.update(column["outputs"])
    outer = [encoded.get(name) or {"name": name, "outputs": [name], "encoding": {"type": "identity"}} for name in names]
    return [*outer, *further]


def _primary_key(view: View) -> list[str]:
    if view.is_none():
        return []
    return [view.text()] if type(view.node) is str else [item.text() for item in view.items()]
