"""Files of ``torch.save``: the layout before PyTorch 1.6, pickles in a row, then storages. Zips: ``torchzip``.

Layout of the old form: five pickles (magic number, protocol 1001, system information, the object, the list of storage
keys), then for each key an element count as int64 and the elements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from modelcrate.errors import FormatError, IntegrityError, UnsupportedError
from modelcrate.legacy.context import Context
from modelcrate.legacy.graph import Dict, Node, PersistentId, describe
from modelcrate.legacy.machine import Data, Reading, read_pickle
from modelcrate.legacy.names import name_of
from modelcrate.legacy.storages import ITEM_SIZES, STORAGE_DTYPES, Storage, storage_from_id
from modelcrate.limits import DEFAULT, Limits

if TYPE_CHECKING:
    from modelcrate.legacy.script import Program

MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
QUANTISED_WIDTHS = {"torch.QInt8Storage": 1, "torch.QUInt8Storage": 1, "torch.QInt32Storage": 4}
"""Bytes per element of the storages of quantised tensors, which lie in a file but are not read."""


@dataclass(slots=True, kw_only=True)
class TorchFile:
    """One ``torch.save`` file: the object's graph, its storages by persistent id, and TorchScript's program if any."""

    root: Node
    reading: Reading
    where: str
    size: int
    data_of: Callable[[str, int], bytes | memoryview]
    program: Program | None = None
    big_endian: bool = False
    _records: dict[str, bytes | memoryview] = field(default_factory=dict)
    _storages: dict[str, tuple[tuple[str | None, int], Storage]] = field(default_factory=dict)

    def storage(self, node: PersistentId, where: str) -> Storage:
        """The storage of a persistent id; one key is one storage.

        :raises FormatError: the id is none of PyTorch's, or one key is used with two types or sizes.
        :raises IntegrityError: the record is shorter or longer than declared.
        """
        made = storage_from_id(node.value, where, self._data)
        if self.big_endian and made.key not in self._storages:
            made = made.swapped(where)
        kind = (made.dtype, len(made.data))
        known = self._storages.get(made.key)
        if known is None:
            self._storages[made.key] = (kind, made)
            return made
        if known[0] != kind and kind[1]:
            raise FormatError(f"storage {made.key} is declared with two types or sizes", where=where)
        return known[1] if known[0] == kind else made

    def _data(self, key: str, nbytes: int) -> bytes | memoryview:
        """The record of a key, read and checked once."""
        known = self._records.get(key)
        if known is None:
            known = self._records[key] = self.data_of(key, nbytes)
        return known

    def context(self, limits: Limits = DEFAULT) -> Context:
        """A fresh conversion context that resolves this file's persistent ids."""
        return Context(limits=limits, size=self.size, resolve=self.storage)


def read_torch(
    data: Data,
    *,
    limits: Limits = DEFAULT,
    where: str = "file",
    script: bool = False,
    verify: bool = True,
    memory: memoryview | None = None,
) -> TorchFile:
    """Read a ``torch.save`` file of either layout; with ``script``, one of ``torch.jit.save`` too.

    Without ``verify`` the checksums of storages are not computed. ``memory`` are the same bytes in a better place, for
    the storages of the old layout.

    :raises FormatError: it is neither, or breaks its layout.
    :raises UnsupportedError: TorchScript without ``script``, an unknown protocol or byte order.
    """
    if data[:4] == b"PK\x03\x04":
        from modelcrate.legacy.torchzip import read_torch_zip

        return read_torch_zip(data, limits=limits, where=where, script=script, verify=verify)
    return old_torch_of(memory or data, _in_a_row(data, limits, where), where)


def read_old_torch(data: Data, *, limits: Limits = DEFAULT, where: str = "file") -> TorchFile:
    """Read the layout before PyTorch 1.6."""
    return old_torch_of(data, _in_a_row(data, limits, where), where)


def _in_a_row(data: Data, limits: Limits, where: str) -> Iterator[Reading]:
    position = 0
    for part in (", magic number", ", protocol", ", system information", "", ", storage keys"):
        reading = read_pickle(data, start=position, limits=limits, where=where + part)
        yield reading
        position = reading.end


def old_torch_of(data: Data | memoryview, readings: Iterable[Reading], where: str) -> TorchFile:
    """The same of five pickles that were read already, without a fault; they are asked for one by one."""
    pickles = iter(readings)
    magic = next(pickles)
    if type(magic.root) is not int or magic.root != MAGIC:
        raise FormatError("not a file of torch.save: the magic number is missing", where=where)
    protocol = next(pickles)
    if type(protocol.root) is not int or protocol.root != LEGACY_PROTOCOL:
        raise UnsupportedError(f"torch.save protocol {describe(protocol.root)}; only 1001 exists", where=where)
    system = next(pickles)
    _check_system(system.root, where)
    body, keys = next(pickles), next(pickles)
    if type(keys.root) is not list or not all(type(key) is str for key in keys.root):
        raise FormatError("the list of storage keys is no list of texts", where=where)
    records = _records(data, keys.end, [str(key) for key in keys.root], _widths(body, where), where)

    def data_of(key: str, nbytes: int) -> memoryview:
        if key not in records:
            raise FormatError(f"storage {key} is not in the file", where=where)
        return records[key]

    return TorchFile(root=body.root, reading=body, where=where, size=len(data), data_of=data_of)


def _check_system(root: Node, where: str) -> None:
    if not isinstance(root, Dict):
        raise FormatError(f"the system information is {describe(root)}", where=where)
    for key, value in root.pairs:
        if key == "little_endian" and value is not True:
            raise UnsupportedError("a file written on a big-endian machine", where=where)
        if key == "protocol_version" and not (type(value) is int and value == LEGACY_PROTOCOL):
            raise UnsupportedError("an unknown protocol in the system information", where=where)


def _widths(body: Reading, where: str) -> dict[str, tuple[int, int]]:
    """Element width and declared count of every storage key that the object's pickle names."""
    widths: dict[str, tuple[int, int]] = {}
    for node in body.persistent:
        value = node.value
        if type(value) is not tuple or not value or value[0] != "storage":
            continue
        if len(value) < 5 or type(value[2]) is not str or type(value[4]) is not int:
            raise FormatError("a persistent id that is no storage", where=where)
        name = name_of(value[1])
        if name is None or (name not in STORAGE_DTYPES and name not in QUANTISED_WIDTHS):
            raise UnsupportedError(f"a storage of type {describe(value[1])}", where=where)
        dtype = STORAGE_DTYPES.get(name)
        kind = (QUANTISED_WIDTHS.get(name, 1) if dtype is None else ITEM_SIZES[dtype], value[4])
        if widths.setdefault(value[2], kind) != kind:
            raise FormatError(f"storage {value[2]} is declared with two types or sizes", where=where)
    return widths


def _records(
    data: Data | memoryview, position: int, keys: list[str], widths: dict[str, tuple[int, int]], where: str
) -> dict[str, memoryview]:
    """The storages behind the pickles; the file must end with the last one."""
    if len(set(keys)) != len(keys) or set(keys) != set(widths):
        raise FormatError("the list of storage keys is not that of the storages in use", where=where)
    view = memoryview(data)
    records: dict[str, memoryview] = {}
    for key in keys:
        width, declared = widths[key]
        if position + 8 > len(view):
            raise IntegrityError(f"the file ends before storage {key}", where=where)
        count = int.from_bytes(view[position : position + 8], "little", signed=True)
        if count != declared:
            raise IntegrityError(f"storage {key} has {count} elements where {declared} are declared", where=where)
        position += 8
        if count * width > len(view) - position:
            raise IntegrityError(f"the file ends inside storage {key}", where=where)
        records[key] = view[position : position + count * width]
        position += count * width
    if position != len(view):
        raise FormatError(f"{len(view) - position} bytes behind the last storage", where=where)
    return records
