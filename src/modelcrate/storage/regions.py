"""Bytes of one open file as memory: mapped in place, or read into private pages.

Both give a *private* memory: writing to it (training a loaded model) never reaches the file. A mapping shares the
page cache and costs nothing until touched; bytes that were read can't change any more, whatever happens to the file.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import stat
from typing import Literal

from modelcrate.errors import IntegrityError, LimitError, StorageError

IO = Literal["map", "read"]
"""How bytes become memory: ``map`` (in place, copy on write) or ``read`` (a private copy)."""

READ_STEP = 16 << 20
"""Bytes of one read; large files are read by several threads, each step at its own offset."""
READ_THREADS = 4

LARGE_PAGE = 2 << 20
"""Bytes of a large page, from which asking for them is of use."""

_PRIVATE: dict[str, int] = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
_HUGE: int | None = getattr(mmap, "MADV_HUGEPAGE", None)
_WILL_NEED: int | None = getattr(mmap, "MADV_WILLNEED", None)
_EMPTY = memoryview(bytearray())
"""A mapping can't have zero length."""

_NO_BLOCK = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


def open_read(name: str, *, follow: bool, folder: int | None = None) -> int:
    """A descriptor of ``name`` (inside the open ``folder``) that never blocks on a FIFO; raises OSError."""
    return os.open(name, os.O_RDONLY | _NO_BLOCK | (0 if follow else _NO_FOLLOW), dir_fd=folder)


def regular_size(descriptor: int, *, where: str) -> int:
    """The size of an open regular file; StorageError for a FIFO, a socket or a device."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise StorageError("neither a regular file nor a folder", where=where)
    return status.st_size


def map_region(descriptor: int, size: int, *, where: str) -> memoryview:
    """All ``size`` bytes of an open file, mapped copy-on-write."""
    if size == 0:
        return _EMPTY
    try:
        mapping = mmap.mmap(descriptor, size, access=mmap.ACCESS_COPY)
    except (OSError, ValueError, OverflowError) as error:
        raise StorageError(f"can't be mapped into memory ({error})", where=where, hint="try io='read'") from error
    if os.fstat(descriptor).st_size != size:
        raise StorageError("the file changed its size while it was opened", where=where)
    return memoryview(mapping)


def private_region(size: int, *, where: str) -> memoryview:
    """``size`` zero bytes of private memory, page-aligned, so that tensors in it are aligned as in the file.

    Private to the process too: a process that is forked off gets a copy. In large pages where the system has them; a
    gigabyte of small ones costs a third of a second.
    """
    if size == 0:
        return _EMPTY
    try:
        region = mmap.mmap(-1, size, **_PRIVATE)
        if size >= LARGE_PAGE and _HUGE is not None:
            with contextlib.suppress(OSError):
                region.madvise(_HUGE)
        return memoryview(region)
    except (OSError, ValueError, OverflowError) as error:
        raise LimitError(f"there is no memory for {size} bytes", where=where) from error


def read_region(descriptor: int, start: int, size: int, *, where: str) -> memoryview:
    """``size`` bytes of an open file from ``start``, copied into private memory by several threads."""
    region = private_region(size, where=where)

    def fill(offset: int) -> None:
        end = min(offset + READ_STEP, size)
        while offset < end:
            count = os.preadv(descriptor, [region[offset:end]], start + offset)
            if count == 0:
                raise IntegrityError("the file became shorter while it was read", where=where)
            offset += count

    try:
        if size <= READ_STEP:
            fill(0)
        else:
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(READ_THREADS) as pool:
                for _ in pool.map(fill, range(0, size, READ_STEP)):
                    pass
    except OSError as error:
        raise storage_error(error, "can't be read", where=where) from error
    return region


def will_need(region: memoryview, start: int, size: int) -> None:
    """Tell the system that so many bytes of a mapped file are about to be read, all of them and in order.

    It then fetches what is not in memory in large steps, instead of a few pages whenever one is missing.
    """
    if isinstance(region.obj, mmap.mmap) and _WILL_NEED is not None and size >= LARGE_PAGE:
        first = start - start % mmap.ALLOCATIONGRANULARITY
        with contextlib.suppress(OSError, ValueError):
            region.obj.madvise(_WILL_NEED, first, start + size - first)


def storage_error(error: OSError, what: str, *, where: str, hint: str | None = None) -> StorageError:
    """The library's error for a refusal of the file system, in words instead of a number."""
    reasons = {
        errno.EEXIST: "the output exists already",
        errno.ENOENT: "no such file or folder",
        errno.ENOTDIR: "a parent of it is not a folder",
        errno.EACCES: "no permission",
        errno.EPERM: "no permission",
        errno.EROFS: "the file system is read-only",
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the disk quota is used up",
        errno.EFBIG: "the file would be larger than the system allows",
        errno.ELOOP: "a symbolic link stands where a file must be",
        errno.ENAMETOOLONG: "the name is too long",
        errno.EISDIR: "it is a folder",
    }
    reason = reasons.get(error.errno or 0, error.strerror or str(error))
    return StorageError(f"{what}: {reason}", where=where, hint=hint)
