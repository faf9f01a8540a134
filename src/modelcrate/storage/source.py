"""One noun, :class:`Source`: the members of a crate by name, wherever their bytes are.

What a crate is, file, folder or bytes, is decided by looking, never by its name; all forms give the same members the
same verdict. No name that a file holds is ever opened outside of it, and nothing is fetched from anywhere.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from types import TracebackType
from typing import Literal, Protocol, TypeAlias

from modelcrate.errors import FormatError, UsageError
from modelcrate.format.names import MANIFEST_NAME, check_member_set
from modelcrate.limits import DEFAULT, Limits
from modelcrate.storage import archive, folder
from modelcrate.storage.regions import (
    IO,
    map_region,
    open_read,
    private_region,
    read_region,
    regular_size,
    storage_error,
    will_need,
)
from modelcrate.storage.ziplayout import Entry

Form = Literal["file", "folder", "memory"]
Location: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview"
"""What :func:`open_source` opens: a path, or the bytes of a single-file crate."""


class Source(Protocol):
    """The members of one crate. Bytes that were read stay valid after :meth:`close`."""

    path: str | None
    form: Form
    where: str

    def names(self) -> tuple[str, ...]:
        """The names of all members, sorted, ``manifest.json`` last."""

    def size(self, name: str) -> int:
        """The size of a member in bytes."""

    def read(self, name: str) -> memoryview:
        """A member's bytes in private, writable memory, the same memory at each call."""

    def expect(self, name: str) -> None:
        """Say that all of a member is about to be read."""

    def check_crc(self, name: str) -> None:
        """Compare a member with the checksum of its container, where it has one; IntegrityError if they differ."""

    def close(self) -> None:
        """Let go of the file."""

    def __enter__(self) -> Source: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_source(location: Location, *, io: IO = "map", limits: Limits = DEFAULT) -> Source:
    """Open a crate of any form and check its container, not yet its content.

    ``io="read"`` copies each member into memory before anything looks at it, which is slower and safe against a file
    that is changed while it is in use; ``io="map"`` maps it in place.
    Raises StorageError, FormatError or LimitError; UsageError for a location that is neither path nor bytes.
    """
    if io not in ("map", "read"):
        raise UsageError(f"io is 'map' or 'read', not {io!r}")
    if isinstance(location, bytes | bytearray | memoryview):
        return _open_bytes(location, limits)
    try:
        path = os.fspath(location)
    except TypeError:
        raise UsageError(f"expected a path or bytes, got {type(location).__name__}") from None
    if type(path) is not str:
        raise UsageError("expected a path as text")
    return _open_path(path, io, limits)


class _Members:
    """What the forms have in common: a table of readable members that empties on close."""

    def __init__(self, path: str | None, form: Form, where: str, sizes: Mapping[str, int]) -> None:
        self.path = path
        self.form = form
        self.where = where
        self._sizes = dict(sizes)
        self._read: dict[str, memoryview] = {}
        self._closed = False

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._sizes, key=lambda name: (name == MANIFEST_NAME, name)))

    def size(self, name: str) -> int:
        if name not in self._sizes:
            raise FormatError(f"there is no member {name!r}", where=self.where)
        return self._sizes[name]

    def read(self, name: str) -> memoryview:
        if self._closed:
            raise UsageError("the crate is closed")
        size = self.size(name)
        if name not in self._read:
            self._read[name] = self._region(name, size)
        return self._read[name]

    def expect(self, name: str) -> None:
        """Say that all of a member is about to be read."""
        will_need(self.read(name), 0, self.size(name))

    def check_crc(self, name: str) -> None:
        """Folders have no checksums of their own."""

    def close(self) -> None:
        self._closed = True
        self._read.clear()

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _region(self, name: str, size: int) -> memoryview:
        raise NotImplementedError


class _ArchiveSource(_Members):
    """A single file, mapped or in memory; ``descriptor`` is kept only where members are read one by one."""

    def __init__(
        self, data: memoryview, path: str | None, form: Form, limits: Limits, descriptor: int | None = None
    ) -> None:
        where = path if path is not None else "crate"
        entries = archive.read_entries(data, where=where, limits=limits)
        check_member_set((entry.name for entry in entries), where=where)
        super().__init__(path, form, where, {entry.name: entry.size for entry in entries})
        self._entries: dict[str, Entry] = {entry.name: entry for entry in entries}
        self._data: memoryview | None = data if descriptor is None else None
        self._descriptor = descriptor

    def expect(self, name: str) -> None:
        if self._data is not None:
            will_need(self._data, self._entries[name].start, self._entries[name].size)

    def check_crc(self, name: str) -> None:
        archive.check_crc(self.read(name), self._entries[name], where=f"{self.where}: {name}")

    def close(self) -> None:
        super().close()
        self._data = None
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _region(self, name: str, size: int) -> memoryview:
        entry = self._entries[name]
        if self._data is not None:
            return self._data[entry.start : entry.end]
        assert self._descriptor is not None
        return read_region(self._descriptor, entry.start, size, where=f"{self.where}: {name}")


class _FolderSource(_Members):
    """A folder; each file is open from the start, so that all of them are files of one moment."""

    def __init__(self, descriptor: int, path: str, io: IO, limits: Limits) -> None:
        members = folder.open_members(descriptor, where=path, limits=limits)
        self._descriptors = members
        self._io = io
        try:
            check_member_set(members, where=path)
            if MANIFEST_NAME not in members:
                raise FormatError("there is no manifest.json: not a crate", where=path)
            sizes = {name: regular_size(opened, where=f"{path}: {name}") for name, opened in members.items()}
        except BaseException:
            folder.close_all(members.values())
            raise
        super().__init__(path, "folder", path, sizes)

    def close(self) -> None:
        super().close()
        folder.close_all(self._descriptors.values())
        self._descriptors = {}

    def _region(self, name: str, size: int) -> memoryview:
        descriptor, where = self._descriptors[name], f"{self.where}: {name}"
        if self._io == "map":
            return map_region(descriptor, size, where=where)
        if regular_size(descriptor, where=where) != size:
            raise FormatError("the file changed its size while it was open", where=where)
        return read_region(descriptor, 0, size, where=where)


def _open_bytes(data: bytes | bytearray | memoryview, limits: Limits) -> Source:
    """Copied once: the caller's bytes may be changed by the caller, and are rarely aligned."""
    given = memoryview(data).cast("B") if memoryview(data).contiguous else memoryview(bytes(data))
    region = private_region(len(given), where="crate")
    region[:] = given
    return _ArchiveSource(region, None, "memory", limits)


def _open_path(path: str, io: IO, limits: Limits) -> Source:
    try:
        descriptor = open_read(path, follow=True)
    except (OSError, ValueError) as error:
        raise _cannot_open(error, path) from error
    try:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            return _FolderSource(descriptor, path, io, limits)
        data = map_region(descriptor, regular_size(descriptor, where=path), where=path)
        if io == "map":
            return _ArchiveSource(data, path, "file", limits)
        return _ArchiveSource(data, path, "file", limits, os.dup(descriptor))
    finally:
        os.close(descriptor)


def _cannot_open(error: OSError | ValueError, path: str) -> Exception:
    if isinstance(error, ValueError):
        return UsageError("no file can have such a path", where=path)
    remote = "://" in path and isinstance(error, FileNotFoundError)
    hint = "modelcrate opens local paths only; download the file first" if remote else None
    return storage_error(error, "can't be opened", where=path, hint=hint)
