"""Tensors of a legacy file as live ones on the CPU, and what else only torch has: dtypes, devices, sizes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.legacy.context import Context
from modelcrate.legacy.graph import Call, Node
from modelcrate.legacy.names import callee_of
from modelcrate.legacy.storages import ITEM_SIZES, TORCH_DTYPES, Storage, Tensor, storage_of, tensor_of

if TYPE_CHECKING:
    import torch

_PREFIXES = ("torch._utils._rebuild", "torch._tensor._rebuild", "torch.nn.parameter.", "torch.sparse")
_DEVICE = re.compile(r"[a-z]{2,12}(:[0-9]{1,3})?")
_KINDS = {"_rebuild_q": "quantised", "_rebuild_sparse": "sparse", "_rebuild_nested": "nested"}
_WORD = 8
"""The strictest alignment that a processor asks of a number; complex ones are two."""
_DENSE = "save a dense copy of it where it was made (dequantize(), to_dense())"


class Tensors:
    """The tensors of one file: one memory a storage, one object a node, whatever shares it.

    A storage that lies in a private mapping of the file stays there: its tensors keep the mapping alive, and what is
    written to them never reaches the file. Any other is copied, and with ``aligned`` so is one that begins at a place
    that is no multiple of its items' width; without, nobody may compute with the tensors, only take their bytes.
    """

    def __init__(self, context: Context, *, aligned: bool = True) -> None:
        self._context = context
        self._aligned = aligned
        self._memory: dict[int, tuple[Storage, torch.Tensor]] = {}
        self._viewed: dict[int, int] = {}
        self._typed: dict[tuple[int, str], torch.Tensor] = {}

    @staticmethod
    def is_tensor(name: str) -> bool:
        """Whether a call of this name makes a tensor, perhaps one that is not supported."""
        return name.startswith(_PREFIXES)

    def tensor(self, node: Node, where: str) -> torch.Tensor:
        """The tensor that a node describes; a parameter is a ``torch.nn.Parameter``.

        :raises UnsupportedError: sparse, quantised, nested and subclassed tensors, dtypes that this torch lacks.
        :raises FormatError: a geometry that does not fit.
        """
        import torch

        name = callee_of(node) or ""
        for kind, word in _KINDS.items():
            if kind in name:
                raise UnsupportedError(f"a {word} tensor can't be read ({name})", where=where, hint=_DENSE)
        inert = tensor_of(node, self._context, where)
        try:
            view = self._view(inert, where)
            if inert.parameter:
                return torch.nn.Parameter(view, requires_grad=inert.requires_grad)
            return view.requires_grad_(inert.requires_grad)
        except (RuntimeError, ValueError, OverflowError) as error:
            raise FormatError(f"a tensor that torch refuses: {str(error)[:200]}", where=where) from None

    def whole(self, node: Node, where: str) -> torch.Tensor:
        """A storage that stands alone, as a tensor of one dimension over all of it."""
        storage = storage_of(node, self._context, where)
        return self._base(storage, storage.dtype or "U8", where)

    def _view(self, inert: Tensor, where: str) -> torch.Tensor:
        # Views are small until someone writes them out; what they hold together beyond their storage is charged.
        key, size = id(inert.storage), len(inert.storage.data)
        before = self._viewed.get(key, 0)
        self._viewed[key] = before + inert.nbytes
        if self._viewed[key] > size:
            self._context.charge_bytes(self._viewed[key] - max(before, size), where)
        base = self._base(inert.storage, inert.dtype, where)
        return base.as_strided(inert.shape, inert.stride, inert.offset if inert.count else 0)

    def _base(self, storage: Storage, dtype: str, where: str) -> torch.Tensor:
        key = (id(storage), dtype)
        if key not in self._typed:
            kind = _dtypes().get(dtype)
            if kind is None:
                raise UnsupportedError(f"this torch has no dtype for {dtype}", where=where, hint="update torch")
            memory = self._bytes(storage, where)
            if dtype == "BOOL" and memory.numel() and int(memory.max()) > 1:
                raise FormatError("a boolean that is neither 0 nor 1", where=where)
            usable = memory.numel() // kind.itemsize * kind.itemsize
            self._typed[key] = memory[:usable].view(kind)
        return self._typed[key]

    def _bytes(self, storage: Storage, where: str) -> torch.Tensor:
        import torch

        if id(storage) not in self._memory:
            self._context.charge_bytes(len(storage.data), where)
            memory = self._mapped(storage)
            if memory is None:
                copy = bytearray(storage.data)
                memory = torch.frombuffer(copy, dtype=torch.uint8) if copy else torch.empty(0, dtype=torch.uint8)
            self._memory[id(storage)] = (storage, memory)
        return self._memory[id(storage)][1]

    def _mapped(self, storage: Storage) -> torch.Tensor | None:
        """The storage in place, if that is memory of our own and its items may be used where they lie."""
        import torch

        data = storage.data
        if not isinstance(data, memoryview) or data.readonly or not len(data):
            return None
        memory = torch.frombuffer(data, dtype=torch.uint8)
        width = _WORD if storage.dtype is None else min(ITEM_SIZES[storage.dtype], _WORD)
        return None if self._aligned and memory.data_ptr() % width else memory


def _dtypes() -> dict[str, torch.dtype]:
    import torch

    from modelcrate.nn.dtypes import DTYPES

    return {**DTYPES, "C128": torch.complex128}


def dtype_named(name: str) -> torch.dtype | None:
    """The torch dtype of a dotted name, out of a table; None for any other name."""
    stored = TORCH_DTYPES.get(name)
    return None if stored is None else _dtypes().get(stored)


def torch_value(node: Call, name: str, where: str) -> Any:
    """A ``torch.device`` or ``torch.Size`` from checked arguments."""
    import torch

    if node.states or node.appended or node.assigned or node.kwargs is not None:
        raise FormatError(f"a {name} with extra state", where=where)
    if name == "torch.Size":
        return torch.Size(_sizes(node.args[0] if len(node.args) == 1 else None, where))
    kind, index = node.args[0] if node.args else None, node.args[1] if len(node.args) == 2 else 0
    numbered = type(index) is int and 0 <= index < 128
    if type(kind) is not str or _DEVICE.fullmatch(kind) is None or not numbered or len(node.args) > 2:
        raise FormatError("a torch.device that is none", where=where)
    try:
        return torch.device(kind) if len(node.args) == 1 else torch.device(f"{kind}:{index}")
    except RuntimeError:
        raise FormatError(f"a torch.device {kind!r} that this torch doesn't know", where=where) from None


def _sizes(node: Node, where: str) -> list[int]:
    if not isinstance(node, tuple | list) or not all(type(size) is int and 0 <= size < 2**63 for size in node):
        raise FormatError("a torch.Size that is none", where=where)
    return list(node)
