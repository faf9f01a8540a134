"""A live object written down as a pickle in memory, for the machine that reads files: what is saved goes one way.

This is the only module that imports anything of ``pickle``, and it imports the writer alone: the object is the caller's
own, and nothing is ever loaded. What is no data (functions that can't be imported, callbacks, open files, locks)
becomes an :class:`Inert` mark in its place. The object is only looked at: no hook of a library that moves it between
devices is called, tensors are read where they are, and nothing is assigned.
"""

from __future__ import annotations

import copyreg
import io
import sys
from collections import OrderedDict
from pickle import Pickler
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, Final

from modelcrate.errors import LimitError, UnsupportedError
from modelcrate.legacy.context import Context
from modelcrate.legacy.graph import PersistentId
from modelcrate.legacy.machine import read_pickle
from modelcrate.legacy.storages import Storage
from modelcrate.legacy.view import View
from modelcrate.limits import DEFAULT, Limits

if TYPE_CHECKING:
    import torch

PROTOCOL: Final = 4
"""Arrays lie within the stream; the machine reads no buffers beside it."""
CALLBACKS: Final = frozenset({"_epoch_callback", "epoch_callback"})
"""Attributes and arguments that hold the caller's function, whatever it is made of."""
MOVING: Final = ("ctgan.synthesizers.base", "BaseSynthesizer")
"""Its ``__getstate__`` moves the networks to the CPU and back; its attributes alone tell the same."""


_MAKERS: Final = (copyreg.__newobj__, copyreg.__newobj_ex__, copyreg._reconstructor)  # type: ignore[attr-defined]  # not in typeshed
"""What makes an instance from its class."""


class Inert:
    """What stands in a pickle for something that is no data: its kind, its name, the line that defines it."""

    def __init__(self, kind: str, name: str, line: int = 0) -> None:
        self.kind, self.name, self.line = kind, name, line

    def __reduce__(self) -> tuple[type[Inert], tuple[str, str, int]]:
        return Inert, (self.kind, self.name, self.line)


INERT: Final = f"{Inert.__module__}.{Inert.__qualname__}"
"""The name of the mark in a graph."""


class _StorageMark:
    """A storage, told to :meth:`_Writer.persistent_id` by its key."""

    def __init__(self, key: str) -> None:
        self.key = key


def view_of(obj: object, *, limits: Limits = DEFAULT) -> View:
    """The object as the graph that a file of it would be, its class's name at the root of paths.

    Raises UnsupportedError where it can't be written down, LimitError where it is nested too deep.
    """
    writer = _Writer(obj)
    try:
        writer.dump(obj)
    except RecursionError:
        raise LimitError("values nested too deep", where=type(obj).__name__) from None
    except Exception as error:  # the caller's own objects take part, and may raise whatever they like
        raise UnsupportedError(f"the object can't be written down: {error}", where=type(obj).__name__) from error
    data = writer.target.getvalue()
    reading = read_pickle(data, limits=limits, where=type(obj).__name__)
    size = len(data) + sum(len(held.data) for held in writer.storages.values())
    context = Context(limits=limits, size=size, resolve=writer.resolve)
    return View(reading.root, type(obj).__name__, context)


class _Writer(Pickler):
    def __init__(self, root: object) -> None:
        self.target = io.BytesIO()
        super().__init__(self.target, protocol=PROTOCOL)
        self.storages: dict[str, Storage] = {}
        self._kept: list[object] = [root]

    def resolve(self, node: PersistentId, where: str) -> Storage:
        """The storage behind a mark in the graph."""
        value = node.value
        if type(value) is not str or value not in self.storages:
            raise UnsupportedError("a mark of no storage", where=where)
        return self.storages[value]

    def persistent_id(self, obj: Any) -> str | None:
        return obj.key if type(obj) is _StorageMark else None

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is _StorageMark:
            return NotImplemented
        if isinstance(obj, type):
            return NotImplemented if _can_be_imported(obj) else _mark("class", obj)
        if callable(obj) and _can_be_imported(obj):
            return NotImplemented  # written down as its name
        if isinstance(obj, FunctionType):
            return _mark("function", obj)
        if isinstance(obj, ModuleType | MethodType):
            return _mark("module" if kind is ModuleType else "method", obj)
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(obj, torch.Tensor):
            return self._tensor(obj)
        if torch is not None and isinstance(obj, torch.dtype):
            return _mark("dtype", obj)  # pickle would look through every module for its name
        if kind in copyreg.dispatch_table:
            return NotImplemented
        return self._reduced(obj, kind)

    def _reduced(self, obj: Any, kind: type) -> Any:
        if any((it.__module__, it.__qualname__) == MOVING for it in kind.__mro__):
            return copyreg.__newobj__, (kind,), _without_callbacks(obj.__dict__)  # type: ignore[attr-defined]  # not in typeshed
        try:
            found = obj.__reduce_ex__(PROTOCOL)
        except Exception:  # whatever an object does that is not meant to be written down: files, locks, generators
            return _mark("instance", obj)
        if isinstance(found, tuple) and found[0] in (kind, *_MAKERS) and not _can_be_imported(kind):
            return _mark("instance", obj)
        if isinstance(found, tuple) and len(found) > 2 and type(found[2]) is dict:
            found = (*found[:2], _without_callbacks(found[2]), *found[3:])
        return found

    # -- tensors

    def _tensor(self, tensor: torch.Tensor) -> Any:
        """As ``torch.save`` describes it, its storage copied to the CPU if it is elsewhere."""
        import torch
        from torch import _utils as utils

        from modelcrate.nn.dtypes import STORED_NAMES

        plain: Any = utils
        if type(tensor) is torch.nn.Parameter:
            return plain._rebuild_parameter, (self._keep(tensor.detach()), tensor.requires_grad, OrderedDict())
        usual = type(tensor) is torch.Tensor and tensor.layout == torch.strided and not tensor.is_quantized
        if not usual or tensor.is_meta:
            return _mark("tensor", tensor)
        with torch.no_grad():
            values = tensor.detach().resolve_conj().resolve_neg()
        name = STORED_NAMES.get(values.dtype)
        if name is None:
            return _mark("tensor", tensor)
        storage = self._storage(values.untyped_storage(), name)
        geometry = storage, values.storage_offset(), tuple(values.size()), values.stride()
        return plain._rebuild_tensor_v2, (*geometry, tensor.requires_grad, OrderedDict())

    def _storage(self, storage: torch.UntypedStorage, dtype: str) -> _StorageMark:
        import torch

        key = f"{dtype}-{storage._cdata}"
        if key not in self.storages:
            self._keep(storage)
            near: Any = storage
            data = torch.empty(0, dtype=torch.uint8).set_(near if near.device.type == "cpu" else near.cpu())
            self.storages[key] = Storage(key=key, dtype=dtype, data=data.numpy().data)
        return _StorageMark(key)

    def _keep(self, obj: Any) -> Any:
        """Hold what was made on the way: an id, or an address, names one thing only while that lives."""
        self._kept.append(obj)
        return obj


def _can_be_imported(obj: Any) -> bool:
    """Whether the name of a class or a function leads to it, in a module that is imported already."""
    module, name = getattr(obj, "__module__", None), getattr(obj, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str):
        return False
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is obj


def _mark(kind: str, obj: Any) -> Any:
    name = getattr(obj, "__qualname__", None) or type(obj).__qualname__
    code = getattr(obj, "__code__", None)
    return Inert, (kind, str(name)[:200], int(getattr(code, "co_firstlineno", 0)))


def _without_callbacks(state: dict[str, Any]) -> dict[str, Any]:
    """Attributes with marks in the place of the caller's functions; a dict of arguments may hold one, too."""
    found = dict(state)
    for name, value in state.items():
        if name in CALLBACKS and value is not None:
            found[name] = Inert("callback", type(value).__qualname__)
        elif type(value) is dict and any(value.get(held) is not None for held in CALLBACKS):
            found[name] = _without_callbacks(value)
    return found
