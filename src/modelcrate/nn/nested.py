"""Nested Python data with tensors in it, as a plain document and a table of named tensors.

The document shares nothing that can be changed with the data it was made of, but for the tensors.

Training state is made of dicts, lists, tuples, numbers and tensors in any arrangement that an optimizer, a scheduler or
a user came up with. State documents know maps with text keys and lists (FORMAT.md 7.3); what else Python has is a map
with one key that begins with ``@``, and a map whose own keys begin with ``@`` gets another one in front:

=============================== ==========================================================================
``{"@tensor": name}``           a tensor of the component's weights; the same name is the same tensor
``{"@tuple": [...]}``           a tuple, or a ``torch.Size``
``{"@pairs": [[key, value]]}``  a dict with keys that are not all text, in its order
``{"@counter": [[key, n]]}``    a ``collections.Counter``
``{"@set": [...]}``             a set, sorted by the bytes of its items
``{"@complex": [re, im]}``      a complex number
``{"@dtype": "bfloat16"}``      a ``torch.dtype``
``{"@device": "cuda:0"}``       a ``torch.device``
=============================== ==========================================================================

Anything else, a function or an object of some class, is no data: the error names its path.
"""

from __future__ import annotations

import datetime
import decimal
import re
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch

from modelcrate.errors import FormatError, LimitError, UnsupportedError, UsageError
from modelcrate.format import values
from modelcrate.format.document import Fields, kind_of
from modelcrate.format.extensions import DTYPE_SIZES
from modelcrate.format.tensors import METADATA_KEY
from modelcrate.format.values import Missing, Value
from modelcrate.nn.dtypes import NAMED, STORED_NAMES, name_of

Tensors: TypeAlias = Mapping[str, torch.Tensor]

DEPTH = 24
"""Nested containers of live data; a dict that holds itself has no end, and a tag takes two levels of a document."""
NAME_LENGTH = 512
"""Characters of a tensor's name (FORMAT.md 6.8); tensors with longer paths are numbered."""

_LEAVES = frozenset(
    [
        type(None),
        bool,
        int,
        float,
        str,
        bytes,
        datetime.datetime,
        datetime.date,
        datetime.time,
        datetime.timedelta,
        decimal.Decimal,
        Missing,
    ]
)
_MAPS = (dict, OrderedDict, defaultdict)
_KEYS = frozenset([type(None), bool, int, float, str, bytes, tuple])
_NAME = re.compile(r"[!-~]+")
_DEVICE = re.compile(r"(cpu|cuda|mps|xpu|meta)(:[0-9]{1,3})?")


class TensorSink:
    """Collects the tensors of a document under distinct names; the same tensor object keeps its first name."""

    def __init__(self) -> None:
        self.tensors: dict[str, torch.Tensor] = {}
        self._names: dict[int, str] = {}
        self.live: dict[str, torch.Tensor] = {}
        """The tensors as they were given; an id names an object only while the object lives."""

    def add(self, name: str, tensor: torch.Tensor, *, where: str) -> str:
        """Keep ``tensor`` (detached, not copied) under ``name``, or a numbered name where that one can't be used."""
        if id(tensor) in self._names:
            return self._names[id(tensor)]
        check_tensor(tensor, where=where)
        usable = len(name) <= NAME_LENGTH and _NAME.fullmatch(name) is not None and name != METADATA_KEY
        if not usable or name in self.tensors:
            name = f"tensor.{len(self.tensors)}"
            while name in self.tensors:
                name += "_"
        self.tensors[name] = tensor.detach()
        self._names[id(tensor)] = name
        self.live[name] = tensor
        return name


def check_tensor(tensor: torch.Tensor, *, where: str) -> None:
    """Refuse, with UnsupportedError, a tensor that has no plain dense bytes or a dtype that no crate can hold."""
    if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        raise UnsupportedError(f"a tensor of the class {type(tensor).__name__} can't be kept", where=where)
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta or tensor.is_nested:
        kinds = {"meta": tensor.is_meta, "quantised": tensor.is_quantized, "nested": tensor.is_nested}
        kind = next((kind for kind, holds in kinds.items() if holds), str(tensor.layout))
        raise UnsupportedError(f"a {kind} tensor can't be kept", where=where)
    if tensor.dtype not in STORED_NAMES:
        raise UnsupportedError(f"a tensor of dtype {name_of(tensor.dtype)} can't be kept", where=where)


def encode(value: object, *, where: str, sink: TensorSink | None = None) -> Value:
    """``value`` as a document; its tensors go to ``sink`` under their dotted paths.

    Raises UsageError, naming the path, for what is no data, and for tensors where there is no ``sink``.
    """
    return Encoder(sink).value(value, where, 0)


class Encoder:
    """One document in the making; a subclass may choose the names of tensors and the form of maps."""

    def __init__(self, sink: TensorSink | None) -> None:
        self.sink = sink

    def value(self, value: Any, where: str, depth: int) -> Value:
        kind = type(value)
        if kind in _LEAVES:
            return value
        if depth > DEPTH:
            raise UsageError(f"the data is nested deeper than {DEPTH}, or contains itself", where=where)
        if isinstance(value, torch.Tensor):
            if self.sink is None:
                raise UsageError("a tensor has no place here", where=where, hint="put it into extras=")
            return {"@tensor": self.sink.add(where, value, where=where)}
        if isinstance(value, np.ndarray | np.generic):
            return _numpy(value, where)
        if kind is list:
            return self.items(value, where, depth)
        if kind in (tuple, torch.Size):
            return {"@tuple": self.items(value, where, depth)}
        if kind in _MAPS:
            return self.mapping(value, where, depth)
        if kind is Counter:
            return {"@counter": self.pairs(value, where, depth)}
        if kind in (set, frozenset):
            items = self.items(value, where, depth)
            return {"@set": sorted(items, key=lambda item: values.encode(item, where=where))}
        if kind is complex:
            return {"@complex": [value.real, value.imag]}
        if kind is torch.dtype and value in STORED_NAMES:
            return {"@dtype": name_of(value)}
        if kind is torch.device:
            return {"@device": str(value)}
        raise UsageError(f"{_describe(value)} is not data, so it can't be kept", where=where)

    def items(self, found: Any, where: str, depth: int) -> list[Value]:
        return [self.value(item, f"{where}[{index}]", depth + 1) for index, item in enumerate(found)]

    def mapping(self, found: Mapping[Any, object], where: str, depth: int) -> Value:
        if all(type(key) is str for key in found):
            return {
                f"@{key}" if key.startswith("@") else key: self.value(item, f"{where}.{key}", depth + 1)
                for key, item in found.items()
            }
        return {"@pairs": self.pairs(found, where, depth)}

    def pairs(self, found: Mapping[Any, object], where: str, depth: int) -> list[Value]:
        pairs: list[Value] = []
        for key, item in found.items():
            self.check_key(key, where)
            pairs.append([self.value(key, f"{where} key", depth + 1), self.value(item, f"{where}[{key!r}]", depth + 1)])
        return pairs

    def check_key(self, key: object, where: str) -> None:
        if type(key) not in _KEYS:
            raise UsageError(f"{_describe(key)} as a key is not data, so it can't be kept", where=where)


def _numpy(value: np.ndarray[Any, Any] | np.generic, where: str) -> Value:
    if type(value) is np.ndarray and value.ndim == 0:
        raise UsageError("a NumPy array without dimensions can't be kept", where=where, hint="keep array[()] instead")
    if type(value) is not np.ndarray and isinstance(value, np.ndarray):
        raise UsageError(f"{_describe(value)} is not data, so it can't be kept", where=where)
    if value.dtype.fields is not None or value.dtype.name not in DTYPE_SIZES:
        raise UsageError(f"a NumPy value of dtype {value.dtype} can't be kept", where=where)
    return value.copy() if isinstance(value, np.ndarray) else value


def _describe(value: object) -> str:
    kind = type(value)
    if callable(value) and hasattr(value, "__qualname__"):
        return f"the function or class {value.__qualname__}"
    return f"an object of {kind.__module__}.{kind.__qualname__}"


def decode(document: Value, *, where: str, tensors: Tensors, used: set[str] | None = None) -> Any:
    """The data of a document; ``used`` gets the names of the tensors that it asked for.

    Raises FormatError for a tag that doesn't exist, a tensor that isn't there, keys that are the same, and so on.
    """
    return _Decoder(tensors, set() if used is None else used).value(document, where, 0)


class _Decoder:
    def __init__(self, tensors: Tensors, used: set[str]) -> None:
        self.tensors = tensors
        self.used = used
        self.tags: dict[str, Callable[[Value, str, int], object]] = {
            "@tensor": self.tensor,
            "@tuple": lambda value, where, depth: tuple(self.items(value, where, depth)),
            "@pairs": self.pairs,
            "@counter": self.counter,
            "@set": self.set,
            "@complex": self.complex,
            "@dtype": self.dtype,
            "@device": self.device,
        }

    def value(self, value: Value, where: str, depth: int) -> Any:
        if depth > 2 * DEPTH:
            raise LimitError("the document is nested too deep", where=where)
        if type(value) is list:
            return self.items(value, where, depth)
        if type(value) is not dict:
            return value
        tags = [key for key in value if key.startswith("@") and not key.startswith("@@")]
        if not tags:
            return {
                key[1:] if key.startswith("@@") else key: self.value(item, f"{where}.{key}", depth + 1)
                for key, item in value.items()
            }
        if len(value) != 1 or tags[0] not in self.tags:
            raise FormatError(f"unknown tag {tags[0]!r}", where=where)
        return self.tags[tags[0]](value[tags[0]], where, depth)

    def items(self, value: Value, where: str, depth: int) -> list[Any]:
        if type(value) is not list:
            raise FormatError(f"expected a list, found {kind_of(value)}", where=where)
        return [self.value(item, f"{where}[{index}]", depth + 1) for index, item in enumerate(value)]

    def tensor(self, value: Value, where: str, _: int) -> torch.Tensor:
        if type(value) is not str:
            raise FormatError(f"expected a tensor's name, found {kind_of(value)}", where=where)
        if value not in self.tensors:
            raise FormatError(f"there is no tensor {value!r}", where=where)
        self.used.add(value)
        return self.tensors[value]

    def pairs(self, value: Value, where: str, depth: int) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        items = self.items(value, where, depth)
        for item in items:
            if type(item) is not list or len(item) != 2 or not _is_key(item[0]):
                raise FormatError("expected pairs of a plain key and a value", where=where)
            found[item[0]] = item[1]
        if len(found) != len(items):
            raise FormatError("a key is there twice", where=where)
        return found

    def counter(self, value: Value, where: str, depth: int) -> Counter[Any]:
        found = self.pairs(value, where, depth)
        if not all(type(count) is int for count in found.values()):
            raise FormatError("expected counts that are integers", where=where)
        return Counter(found)

    def set(self, value: Value, where: str, depth: int) -> set[Any]:
        items = self.items(value, where, depth)
        if not all(_is_key(item) for item in items) or len(set(items)) != len(items):
            raise FormatError("expected distinct plain items", where=where)
        return set(items)

    def complex(self, value: Value, where: str, _: int) -> complex:
        if type(value) is not list or len(value) != 2 or not all(type(part) is float for part in value):
            raise FormatError("expected two floats", where=where)
        return complex(value[0], value[1])

    def dtype(self, value: Value, where: str, _: int) -> torch.dtype:
        if type(value) is not str or value not in NAMED:
            raise FormatError("unknown dtype", where=where)
        return NAMED[value]

    def device(self, value: Value, where: str, _: int) -> torch.device:
        if type(value) is not str or _DEVICE.fullmatch(value) is None:
            raise FormatError("not a device", where=where)
        return torch.device(value)


def _is_key(value: object) -> bool:
    if type(value) is tuple:
        return all(_is_key(item) for item in value)
    return type(value) in _KEYS


def check_used(tensors: Tensors, used: set[str], *, where: str) -> None:
    """Refuse a component that carries tensors which its document doesn't mention."""
    for name in tensors:
        if name not in used:
            raise FormatError(f"the tensor {name!r} belongs to nothing", where=where)


def read_map(fields: Fields, name: str, *, tensors: Tensors, used: set[str] | None = None) -> dict[str, Any]:
    """A field that is a tree and must be a map with text keys."""
    found = decode(fields.value(name), where=fields.path(name), tensors=tensors, used=used)
    if type(found) is not dict or not all(type(key) is str for key in found):
        raise FormatError("expected a map with text keys", where=fields.path(name))
    return found


def compatible(live: object, saved: object) -> bool:
    """Whether ``saved`` may take the place of ``live`` as an option: the same kind of value, numbers of any type.

    None stands where nothing was chosen, so any simple value may take its place, and it that of a choice or a text;
    it is no number.
    """
    if saved is None:
        return live is None or isinstance(live, bool | str)
    if live is None:
        return isinstance(saved, bool | str) or is_number(saved)
    if isinstance(live, bool) or isinstance(saved, bool):
        return isinstance(live, bool) and isinstance(saved, bool)
    if is_number(live):
        return is_number(saved)
    if isinstance(live, torch.Tensor):
        return isinstance(saved, torch.Tensor) and saved.shape == live.shape
    if isinstance(live, list | tuple):
        return (
            isinstance(saved, list | tuple)
            and len(saved) == len(live)
            and all(compatible(ours, theirs) for ours, theirs in zip(live, saved, strict=True))
        )
    if isinstance(live, Mapping):
        return isinstance(saved, Mapping)
    return type(live) is type(saved)


def is_number(value: object) -> bool:
    """An integer or a float, also as a NumPy scalar or as a tensor without dimensions; no boolean."""
    if isinstance(value, torch.Tensor):
        return value.ndim == 0 and value.dtype != torch.bool
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
