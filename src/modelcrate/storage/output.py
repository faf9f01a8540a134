"""A file being written: bytes are gathered in blocks, and each block goes to the disk while the next one is filled.

A save ends when its bytes are on the disk, so the way there is what it costs. Full blocks go past the page cache where
the system allows it (``O_DIRECT``): one copy and half of the time less than a write that an fsync follows, and the
cache keeps what the machine is working with. Elsewhere they are written as usual, with syncs under way behind.
Checksum and digest are taken of the blocks, which the processor has in its cache and nobody changes any more.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from modelcrate.format.buffers import Buffer, byte_view
from modelcrate.format.digest import Digest, new_hasher

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

BLOCK = 1 << 20
"""Bytes of a block, and the alignment of every write but the last: any disk's sector and any page divides it."""
BLOCKS = 4
"""Blocks that one file has at most: one being filled, the others on their way."""
SYNC_EVERY = 64 << 20
"""Bytes after which a sync is started, where blocks go through the page cache."""
SMALL = 1 << 16
"""Up to so many bytes a thread hashes itself; handing them over would cost more."""

_DIRECT = getattr(os, "O_DIRECT", 0)
"""Linux has it; elsewhere 0."""


class Sums:
    """Size, CRC-32 and digest of a part of a file."""

    def __init__(self, algorithm: str) -> None:
        self.size = 0
        self.crc = 0
        self._algorithm = algorithm
        self._hasher = new_hasher(algorithm, threads=1)
        self._pending: Future[object] | None = None

    @property
    def digest(self) -> Digest:
        """Asked for once everything was added and waited for."""
        return Digest(self._algorithm, self._hasher.hexdigest())

    def add(self, piece: memoryview, submit: Callable[..., Future[object] | None]) -> Future[object] | None:
        """Take in the next piece; what is returned is done when nobody reads the piece any more."""
        self.size += len(piece)
        if len(piece) > SMALL or not (self._pending is None or self._pending.done()):
            self._pending = submit(self._hasher.update, piece)
        else:
            self._hasher.update(piece)
        self.crc = zlib.crc32(piece, self.crc)
        return self._pending

    def wait(self) -> None:
        """Return when all pieces are taken in."""
        if self._pending is not None:
            self._pending.result()


class Output:
    """Appends to an open, empty file. All methods raise the OSError of a write that failed before."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._block = _block()
        self._filled = 0
        self._flushed = 0
        self._blocks = 1
        self._busy: deque[tuple[memoryview, list[Future[Any]]]] = deque()
        self._patches: list[tuple[int, bytes]] = []
        self._sums: Sums | None = None
        self._since = 0
        self._readers: list[Future[Any]] = []
        self._direct: bool | None = None
        self._unsynced = 0
        self._syncing: Future[None] | None = None
        self._threads: dict[str, ThreadPoolExecutor] = {}
        self._last: dict[str, Future[Any]] = {}

    @property
    def position(self) -> int:
        """Bytes that were given so far."""
        return self._flushed + self._filled

    def write(self, data: Buffer) -> None:
        """Append a copy of ``data``, which may change at once."""
        view = byte_view(data)
        start = 0
        while start < len(view):
            count = min(len(view) - start, BLOCK - self._filled)
            self._block[self._filled : self._filled + count] = view[start : start + count]
            self._filled += count
            start += count
            if self._filled == BLOCK:
                self._turn()

    def rewrite(self, data: bytes, offset: int) -> None:
        """Put ``data`` in the place of bytes that were written before and are in no :meth:`summed` part."""
        at = offset - self._flushed
        if at >= 0:
            self._block[at : at + len(data)] = data
        else:
            self._patches.append((offset, data))

    @contextlib.contextmanager
    def summed(self, algorithm: str) -> Iterator[Sums]:
        """What is written inside the block has its checksum and digest taken, complete when the block ends."""
        sums = self._sums = Sums(algorithm)
        self._since = self._filled
        try:
            yield sums
            self._add_up()
            sums.wait()
        finally:
            self._sums = None

    def finish(self) -> None:
        """Return when everything is on the disk."""
        while self._busy:
            self._settle()
        self._set_direct(False)
        self._put(self._block[: self._filled])
        for offset, data in self._patches:
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            self._put(data)
        if self._syncing is not None:
            self._syncing.result()
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file, after what may still be using it."""
        for thread in self._threads.values():
            thread.shutdown()
        os.close(self._descriptor)

    def _turn(self) -> None:
        """Send the full block off, and take another one."""
        self._add_up()
        if self._direct is None:
            self._direct = self._set_direct(True)
        written = self._submit("write", self._put_block, self._block)
        self._busy.append((self._block, [*self._readers, *([] if written is None else [written])]))
        self._readers = []
        self._flushed += BLOCK
        self._filled = self._since = 0
        if self._blocks < BLOCKS:
            self._blocks += 1
            self._block = _block()
        else:
            self._block = self._settle()

    def _settle(self) -> memoryview:
        """The block that is longest on its way, when it has arrived."""
        block, users = self._busy.popleft()
        for user in users:
            user.result()
        return block

    def _add_up(self) -> None:
        if self._sums is not None and self._filled > self._since:
            piece = self._block[self._since : self._filled]
            reader = self._sums.add(piece, lambda *call: self._submit("digest", *call))
            self._readers += [] if reader is None else [reader]
            self._since = self._filled

    def _put_block(self, block: memoryview) -> None:
        """In the writing thread: one full block at the current position."""
        self._put(block)
        if self._direct:
            return
        self._unsynced += len(block)
        if self._unsynced >= SYNC_EVERY and (self._syncing is None or self._syncing.done()):
            if self._syncing is not None:
                self._syncing.result()
            self._syncing = self._submit("sync", getattr(os, "fdatasync", os.fsync), self._descriptor)
            self._unsynced = 0

    def _put(self, data: Buffer) -> None:
        view = memoryview(data)
        start = 0
        while start < len(view):
            try:
                start += os.write(self._descriptor, view[start:])
            except OSError as error:
                # A file system that lets the flag be set and refuses the write, or one that wrote a part of a sector.
                if error.errno != errno.EINVAL or not self._direct:
                    raise
                self._direct = self._set_direct(False)

    def _set_direct(self, wanted: bool) -> bool:
        """Switch the page cache off or on for what is written next; whether it is off."""
        if not _DIRECT or not (wanted or self._direct):
            return False
        import fcntl

        flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
        try:
            fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags | _DIRECT if wanted else flags & ~_DIRECT)
        except OSError:  # a file system that has no such way
            return False
        return wanted

    def _submit(self, thread: str, call: Callable[..., Any], *arguments: Any) -> Future[Any] | None:
        """Call in a thread of that name, one call after the other; at once where no thread can be had any more."""
        try:
            if thread not in self._threads:
                from concurrent.futures import ThreadPoolExecutor

                self._threads[thread] = ThreadPoolExecutor(1)
            self._last[thread] = self._threads[thread].submit(call, *arguments)
        except RuntimeError:  # the interpreter is on its way out, and a save in the background is not done yet
            if thread in self._last:
                self._last.pop(thread).result()
            call(*arguments)
            return None
        return self._last[thread]


def _block() -> memoryview:
    """Memory that begins at a page, as writes past the page cache ask for."""
    return memoryview(mmap.mmap(-1, BLOCK))
