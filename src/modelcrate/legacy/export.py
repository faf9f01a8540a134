"""From a legacy file or a crate to the files that other tools read: safetensors, and ``.pt`` of plain tensors."""

from __future__ import annotations

import io
import os
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, Final, cast

import torch

from modelcrate.crate import open as open_crate
from modelcrate.errors import LimitError, UnsupportedError, UsageError
from modelcrate.format.tensors import TensorData, serialize
from modelcrate.legacy.convert import is_crate, refuse_same_file
from modelcrate.legacy.families.torch_module import is_module
from modelcrate.legacy.read import values_of
from modelcrate.legacy.reader import read_for_conversion
from modelcrate.legacy.record import Record
from modelcrate.limits import DEFAULT, Limits
from modelcrate.nn.dtypes import STORED_NAMES, name_of
from modelcrate.nn.state import stored_name
from modelcrate.nn.tensors import tensor_data
from modelcrate.parts import MODULE, STATE_DICT, VALUES
from modelcrate.storage.atomic import replacing_file

FORMATS: Final = ("safetensors", "torch")
DEPTH: Final = 200
_HOLDERS: Final = (torch.Tensor, dict, list, tuple, deque, set, frozenset, Record)
_PLAIN: Final = (type(None), bool, int, float, str, bytes, complex, torch.dtype, torch.device)
"""What ``torch.load(weights_only=True)`` reads beside tensors and containers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What was written: tensors by name, names that are another one's tensor, what was left out."""

    tensors: int
    nbytes: int
    aliases: Mapping[str, str]
    notes: tuple[str, ...]


def export(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    to: str,
    overwrite: bool = False,
    weights_only: bool = False,
    limits: Limits = DEFAULT,
) -> Export:
    """Write the tensors of a legacy file or a crate as a file of another format.

    ``to="safetensors"``: every tensor under its dotted path (blanks and what is not ASCII as ``%xx``), a shared one
    once; the metadata says which names are the same tensor. ``to="torch"``: a ``.pt`` that
    ``torch.load(weights_only=True)`` reads; modules become state dicts, NumPy arrays tensors, and what is neither plain
    nor a tensor is left out and noted. ``weights_only`` keeps the tensors alone, by their dotted paths, as
    :func:`modelcrate.convert` does.
    Raises as :func:`modelcrate.read_legacy` and :func:`modelcrate.open`; UsageError for an unknown format or a target
    that is the source, StorageError where the target exists or can't be written.
    """
    if to not in FORMATS:
        raise UsageError(f"unknown format {to!r}", hint=f"one of {', '.join(FORMATS)}")
    refuse_same_file(source, target)
    if is_crate(source):
        value = _crate_value(source, limits)
    else:
        value = values_of(read_for_conversion(source, limits=limits, script=True).root)
    where = os.path.basename(os.fspath(source))
    if weights_only:
        from modelcrate.legacy.families.torch_values import weights_of

        script = isinstance(value, Record) and value.class_name.startswith("__torch__.")
        value = OrderedDict(weights_of(value, where, script=script))
    elif to == "torch" and isinstance(value, Record) and not is_module(value):
        raise UnsupportedError(
            f"the file holds an object of {value.class_name}", where=where, hint="take its tensors with --weights-only"
        )
    return (_safetensors if to == "safetensors" else _torch)(value, os.fspath(target), where, overwrite)


def named_tensors(value: object, where: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Every tensor in a value by the dotted path of keys, indices and module parts; and the names of the same tensor.

    Two tensors are the same if they are one object, or see the same elements of one storage in the same way.
    """
    found: dict[str, torch.Tensor] = {}
    aliases: dict[str, str] = {}
    first: dict[tuple[Any, ...], str] = {}
    for path, tensor in _walk(value, where):
        name = path or "tensor"
        while name in found or name in aliases:
            name += "_"
        key = (
            tensor.untyped_storage().data_ptr(),
            tensor.storage_offset(),
            tensor.shape,
            tensor.stride(),
            tensor.dtype,
        )
        known = first.setdefault(key if tensor.numel() else (id(tensor),), name)
        if known == name:
            found[name] = tensor
        else:
            aliases[name] = known
    return found, aliases


def _walk(value: object, where: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Tensors in order, each container once, without recursion."""
    seen: set[int] = set()
    pending: list[tuple[str, object, int]] = [("", value, 0)]
    while pending:
        path, item, depth = pending.pop()
        if isinstance(item, torch.Tensor):
            yield path, item
            continue
        if not isinstance(item, _HOLDERS):
            continue
        if depth > DEPTH:
            raise LimitError(f"values nested deeper than {DEPTH}", where=f"{where}.{path}")
        if id(item) in seen:
            continue
        seen.add(id(item))
        inner = [
            (f"{path}.{step}" if path else f"{step}"[:512], child, depth + 1)
            for step, child in _inner(item)
            if isinstance(child, _HOLDERS)
        ]
        pending.extend(reversed(inner))


def _inner(item: object) -> list[tuple[object, object]]:
    if isinstance(item, dict):
        return list(item.items())
    if isinstance(item, list | tuple | deque | set | frozenset):
        return list(enumerate(item))
    assert isinstance(item, Record)  # _walk() looked
    if is_module(item):
        held = item.attributes
        rest = {key: child for key, child in held.items() if not str(key).startswith("_")}
        return [
            pair for part in (held["_parameters"], held["_buffers"], held["_modules"], rest) for pair in part.items()
        ]
    state = item.state.items() if isinstance(item.state, dict) else [("state", item.state)]
    pairs: list[tuple[object, object]] = [
        *enumerate(item.args),
        *item.kwargs.items(),
        *state,
        *enumerate(item.items),
        *item.pairs,
    ]
    return pairs


# -- crates


def _crate_value(source: str | os.PathLike[str], limits: Limits) -> Any:
    with open_crate(source, limits=limits) as crate:
        crate.check()
        model = None if crate.manifest.model is None else crate.manifest.model.type
        if model in (VALUES, STATE_DICT):
            from modelcrate.values_parts import load_state_dict, load_values

            cpu = torch.device("cpu")
            if model == VALUES:
                return load_values(crate, {}, cpu, _weights)
            return load_state_dict(next(iter(crate.values())), cpu)
        parts = {name: _weights(part) for name, part in crate.items() if part.has_weights}
        return next(iter(parts.values())) if model == MODULE and len(parts) == 1 else parts


def _weights(component: Any) -> OrderedDict[str, torch.Tensor]:
    """The tensors of a component by name; those that are tied are there under each of their names."""
    found = OrderedDict(component.tensors)
    state = component.state if component.has_state else {}
    for name, kept in (state.get("ties") or {}).items() if type(state.get("ties")) is dict else ():
        if type(name) is str and type(kept) is str and kept in found:
            found[name] = found[kept]
    return found


# -- writing


def _safetensors(value: object, target: str, where: str, overwrite: bool) -> Export:
    tensors, aliases = named_tensors(value, where)
    held: dict[str, TensorData] = {}
    for name, tensor in tensors.items():
        if tensor.dtype not in STORED_NAMES:
            raise UnsupportedError(f"safetensors has no dtype for {name_of(tensor.dtype)}", where=f"{where}.{name}")
        held[stored_name(name, where)] = tensor_data(tensor, where=f"{where}.{name}")
    if not held:
        raise UnsupportedError("there is no tensor in it", where=where)
    with replacing_file(target, overwrite=overwrite) as output:
        for chunk in serialize(held, metadata={"format": "pt", **_stored(aliases)}):
            output.write(chunk)
    nbytes = sum(tensor.nbytes for tensor in held.values())
    return Export(tensors=len(held), nbytes=nbytes, aliases=aliases, notes=())


def _stored(aliases: Mapping[str, str]) -> dict[str, str]:
    return {stored_name(name): stored_name(kept) for name, kept in aliases.items() if name != "format"}


def _torch(value: object, target: str, where: str, overwrite: bool) -> Export:
    tensors, aliases = named_tensors(value, where)
    notes: list[str] = []
    plain = _plain(value, where, notes, 0)
    with replacing_file(target, overwrite=overwrite) as output:
        try:
            torch.save(plain, cast("IO[bytes]", _Sink(output.write)))
        except RuntimeError as error:  # one storage under several dtypes, which its own files can't hold
            raise UnsupportedError(f"torch does not save it: {error}", where=where) from error
    nbytes = sum(tensor.nbytes for tensor in tensors.values())
    return Export(tensors=len(tensors), nbytes=nbytes, aliases=aliases, notes=tuple(notes))


class _Sink(io.RawIOBase):
    """What ``torch.save`` takes for a file: each storage goes on its way as it comes, without a copy of the whole."""

    def __init__(self, put: Callable[[memoryview], object]) -> None:
        self._put = put

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self._put(view)
        return view.nbytes


def _plain(value: Any, where: str, notes: list[str], depth: int) -> Any:
    """What ``weights_only`` reads: tensors, plain values, dicts, lists, tuples and sets."""
    import numpy as np

    if depth > DEPTH:
        raise LimitError(f"values nested deeper than {DEPTH}, or one that contains itself", where=where)
    kind = type(value)
    if kind in _PLAIN or kind in (torch.Tensor, torch.nn.Parameter, torch.Size):
        return value
    if is_module(value):
        tensors, aliases = named_tensors(module_state(value), where)
        return OrderedDict([*tensors.items(), *((name, tensors[kept]) for name, kept in aliases.items())])
    if isinstance(value, dict):
        made = {key: _plain(it, f"{where}.{key}"[:300], notes, depth + 1) for key, it in value.items()}
        return made if kind is not OrderedDict else OrderedDict(made)
    if kind in (list, deque, tuple):
        items = [_plain(it, f"{where}.{index}", notes, depth + 1) for index, it in enumerate(value)]
        return tuple(items) if kind is tuple else items
    if kind in (set, frozenset) and all(type(it) in _PLAIN for it in value):
        return set(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        try:
            return torch.from_numpy(np.ascontiguousarray(value.astype(value.dtype.newbyteorder("="))))
        except TypeError:
            pass  # a dtype that torch lacks
    if isinstance(value, np.generic) and value.dtype.kind in "biufcU":
        return value.item()
    what = value.class_name if isinstance(value, Record) else kind.__name__
    notes.append(f"{where}: {what} is left out, None stands in its place")
    return None


def module_state(record: Record) -> dict[str, Any]:
    """What the ``state_dict()`` of a module holds, as nested dicts: parameters, persistent buffers, children."""
    held = record.attributes
    transient = held.get("_non_persistent_buffers_set") or ()
    buffers = {name: tensor for name, tensor in held["_buffers"].items() if name not in transient}
    children = {
        name: module_state(child)
        for name, child in held["_modules"].items()
        if isinstance(child, Record) and is_module(child)
    }
    return {**held["_parameters"], **buffers, **children}
