"""What the releases of ctgan have in common: a network, a transformer and a sampler, and no table of their own."""

from __future__ import annotations

from typing import Any, TypeAlias

from modelcrate.errors import UnsupportedError
from modelcrate.format.tensors import TensorData
from modelcrate.legacy.families.ctgan_generator import generator_shape
from modelcrate.legacy.families.gretel_actgan import Translation
from modelcrate.legacy.families.known import setting, unboxed
from modelcrate.legacy.view import View
from modelcrate.storage.component import ComponentData

Document: TypeAlias = "dict[str, Any]"


def generator_part(tensors: dict[str, TensorData]) -> ComponentData:
    """A generator of residual blocks as a component, its shape read off its tensors."""
    inputs, blocks, outputs = generator_shape(tensors)
    shape: Document = {"embedding_dim": inputs, "generator_dim": blocks, "data_dim": outputs}
    return ComponentData(
        name="generator",
        role="generator",
        type="ctgan.generator/1",
        config=shape,
        tensors=tensors,
    )


def assemble(
    *,
    network: ComponentData,
    transformer: Document,
    sampler: Document,
    config: Document,
    replay: Document,
    random_state: Document | None,
    hyperparameters: Document,
) -> Translation:
    """The parts of a model that has no table of its own: each modelled column is a column of the table."""
    unusual = {
        "goes_on": random_state is not None,
        "misplaced": replay.get("misplaced", False),
        "unconditioned": replay.get("unconditioned", True),
    }
    usual = {"goes_on": False, "misplaced": False, "unconditioned": True}
    rules = {name: value for name, value in unusual.items() if value != usual[name]}
    components = [
        network,
        ComponentData(name="transformer", role="data_transformer", type="tabular.transformer/1", state=transformer),
        ComponentData(name="sampler", role="conditional_sampler", type="tabular.sampler/1", state=sampler),
        ComponentData(name="table", role="table", type="tabular.table/1", state=_plain_table(transformer)),
    ]
    if random_state is not None:
        components.append(
            ComponentData(name="random_state", role="random_state", type="tabular.random_state/1", state=random_state)
        )
    return Translation(
        model=(
            "tabular.synthesizer/1",
            {**config, "force_conditioning": False, "replay": {"spare_batch": True, "repairs": [], **rules}},
        ),
        components=components,
        hyperparameters=hyperparameters,
    )


def settings(view: View, names: tuple[str, ...], *, is_frame: bool) -> Document:
    """What a model was trained with, as JSON, by the names of its constructor."""
    found: Document = {name.lstrip("_"): setting(view[name]) for name in names if name in view}
    found["trained_on"] = "frame" if is_frame else "array"
    return found


def _plain_table(transformer: Document) -> Document:
    fields = [
        {
            "name": column["name"],
            "kind": _kind(column),
            "whole": False,
            "dtype": column["dtype"],
            "identifiers": None,
            "anonymiser": None,
        }
        for column in transformer["columns"]
    ]
    columns = [
        {"name": column["name"], "outputs": [column["name"]], "encoding": {"type": "identity"}}
        for column in transformer["columns"]
    ]
    nothing: Document = {"constraints": [], "applied": []}
    return {"fields": fields, "columns": columns, "constraints": nothing, "primary_key": []}


def _kind(column: Document) -> str:
    if column["dtype"] == "bool":
        return "boolean"
    return "category" if column["encoding"]["type"] == "one_hot" else "number"


def label(view: View) -> str:
    """A column's name as text; those of arrays were numbers in early releases. Raises as :func:`column_name`."""
    return column_name(unboxed(view.value()), view.path)


def column_name(value: object, where: str) -> str:
    """A column's name as text: numbers, and tuples of texts and numbers, as Python writes them.

    Raises :class:`UnsupportedError` for another.
    """
    parts = value if isinstance(value, tuple) else (value,)
    if not all(type(part) in (str, int, float) for part in parts):
        raise UnsupportedError("a column whose name is neither text nor a number", where=where)
    return str(value)


def bare_number(dtype: str = "float64") -> Document:
    """A number that is not clipped, and rounded only where its dtype is one of whole numbers."""
    return {
        "type": "number",
        "dtype": dtype,
        "minimum": None,
        "maximum": None,
        "digits": None,
        "learns_digits": False,
        "missing": None,
    }
