"""The parts of an optimizer's document: parameters, groups, and the columns of its state.

See ``training.optimizer.1.schema.json`` for the layout; everything here is read strictly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields
from modelcrate.format.values import Value
from modelcrate.limits import DEFAULT
from modelcrate.nn import nested
from modelcrate.nn.dtypes import STORED_NAMES
from modelcrate.nn.nested import Tensors

PARAMETERS = 1 << 20
"""Parameters of one optimizer."""
RESERVED = frozenset(["params", "param_names"])
"""Keys of a parameter group that are no options."""

_SLUG = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """What is known of a parameter without its values: its name where a network is at hand, dtype, and shape."""

    name: str | None
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One parameter group: its options and its parameters by their index."""

    options: Mapping[str, Any]
    parameters: tuple[int, ...]


def slug(key: str, position: int) -> str:
    """What a column's tensors are called by; ``column.``, with a point, can't be a key that passes as it is."""
    return key if _SLUG.fullmatch(key) is not None else f"column.{position}"


def parameters_document(parameters: Sequence[Parameter]) -> dict[str, Value]:
    """Shapes and dtypes as arrays: ranks of all parameters, sizes one after another, places in a table of dtypes."""
    dtypes = sorted({parameter.dtype for parameter in parameters})
    return {
        "names": [parameter.name for parameter in parameters],
        "dtypes": dtypes,
        "dtype": np.asarray([dtypes.index(parameter.dtype) for parameter in parameters], dtype=np.int64),
        "ranks": np.asarray([len(parameter.shape) for parameter in parameters], dtype=np.int64),
        "sizes": np.asarray([size for parameter in parameters for size in parameter.shape], dtype=np.int64),
    }


def read_parameters(fields: Fields) -> tuple[Parameter, ...]:
    names = list(fields.each("names", max_items=PARAMETERS))
    dtypes = fields.texts("dtypes", max_items=len(STORED_NAMES))
    indices = _numbers(fields, "dtype", len(dtypes) - 1)
    ranks = _numbers(fields, "ranks", DEFAULT.tensor_rank)
    sizes = _numbers(fields, "sizes", DEFAULT.tensor_dimension)
    fields.finish()
    if not len(names) == len(indices) == len(ranks) or sum(ranks) != len(sizes):
        raise FormatError("names, dtypes and shapes are not equally many", where=fields.where)
    if not set(dtypes) <= set(STORED_NAMES.values()):
        raise FormatError("an unknown dtype", where=fields.path("dtypes"))
    found: list[Parameter] = []
    position = 0
    for (where, name), index, rank in zip(names, indices, ranks, strict=True):
        if name is not None and type(name) is not str:
            raise FormatError("expected text or null", where=where)
        found.append(Parameter(name=name, dtype=dtypes[index], shape=tuple(sizes[position : position + rank])))
        position += rank
    return tuple(found)


def read_groups(fields: Fields, count: int, tensors: Tensors, used: set[str]) -> tuple[Group, ...]:
    groups: list[Group] = []
    start = 0
    for group in fields.each_fields("groups", max_items=1 << 16):
        indices = _indices(group, "parameters", count)
        if indices != list(range(start, start + len(indices))):
            raise FormatError("the groups do not share the parameters out in order", where=group.path("parameters"))
        start += len(indices)
        options = nested.read_map(group, "options", tensors=tensors, used=used)
        if RESERVED & set(options):
            raise FormatError("an option has a reserved name", where=group.path("options"))
        group.finish()
        groups.append(Group(options=options, parameters=tuple(indices)))
    if start != count:
        raise FormatError("a parameter is in no group", where=fields.path("groups"))
    return tuple(groups)


def read_column(
    column: Fields,
    position: int,
    count: int,
    state: dict[int, dict[str, Any]],
    on_host: dict[str, bool | None],
    tensors: Tensors,
    used: set[str],
) -> None:
    key = column.text("key", max_length=1024)
    prefix = slug(key, position)
    if key in on_host:
        raise FormatError("a column is there twice", where=column.path("key"))
    on_host[key] = column.nullable("on_host", column.boolean)

    def put(index: int, value: object, where: str) -> None:
        if key in state.setdefault(index, {}):
            raise FormatError(f"parameter {index} is there twice", where=where)
        state[index][key] = value

    def take(name: str, where: str) -> torch.Tensor:
        found: torch.Tensor = nested.decode({"@tensor": name}, where=where, tensors=tensors, used=used)
        return found

    for index in _indices(column, "tensors", count):
        put(index, take(f"{prefix}.{index}", column.path("tensors")), column.path("tensors"))
    scalars = _indices(column, "scalars", count)
    if scalars:
        vector = take(f"{prefix}.all", column.path("scalars"))
        if tuple(vector.shape) != (len(scalars),):
            raise FormatError("not one number for each parameter", where=column.path("scalars"))
        for index, value in zip(scalars, vector.unbind(), strict=True):
            put(index, value, column.path("scalars"))
    for where, item in column.each("plain", max_items=PARAMETERS):
        if type(item) is not list or len(item) != 2 or type(item[0]) is not int or not 0 <= item[0] < count:
            raise FormatError("expected a parameter's index and a value", where=where)
        put(item[0], nested.decode(item[1], where=where, tensors=tensors, used=used), where)
    column.finish()


def _indices(fields: Fields, name: str, count: int) -> list[int]:
    array = fields.array(name, dtype="int64")
    if array.size and (array[0] < 0 or array[-1] >= count or bool((array[1:] <= array[:-1]).any())):
        raise FormatError(f"expected ascending indices below {count}", where=fields.path(name))
    found: list[int] = array.tolist()
    return found


def _numbers(fields: Fields, name: str, maximum: int) -> list[int]:
    array = fields.array(name, dtype="int64")
    if array.size and (array.min() < 0 or array.max() > maximum):
        raise FormatError(f"expected numbers from 0 to {maximum}", where=fields.path(name))
    found: list[int] = array.tolist()
    return found
