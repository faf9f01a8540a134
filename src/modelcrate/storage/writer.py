"""Writing a crate, one file or a folder, in one pass over the members' memory.

Bytes go from where they are (a tensor's own memory) to the file in large writes, while two threads compute checksum
and digest of the same bytes; nothing is assembled in between. The manifest comes last, when the digests are known.
"""

from __future__ import annotations

import os
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelcrate.errors import UsageError
from modelcrate.format.buffers import Buffer, byte_view
from modelcrate.format.digest import DEFAULT_ALGORITHM, Digest, new_hasher
from modelcrate.format.names import MANIFEST_NAME, check_member_name, check_member_set
from modelcrate.storage import ziplayout as zl
from modelcrate.storage.atomic import Output, create_file, replacing_file, replacing_folder

if TYPE_CHECKING:
    from concurrent.futures import Future

STEP = 8 << 20
"""Bytes of one write; hashing runs at most :data:`AHEAD` steps behind, so generated chunks don't pile up in memory."""
AHEAD = 4
GATHER = 1 << 20
"""Small chunks are put together up to this size: a piece that goes through three threads costs 50 microseconds."""
SMALL = 1 << 16
INLINE = 1 << 20
"""Members up to this size are hashed in the writing thread; handing them over would cost more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """A member to be written: ``chunks()`` yields exactly ``size`` bytes, and never reuses memory that it yielded."""

    size: int
    chunks: Callable[[], Iterable[Buffer]]

    @classmethod
    def of(cls, data: Buffer) -> Payload:
        """A member whose bytes are at hand."""
        return cls(size=memoryview(data).nbytes, chunks=lambda: (data,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written of a member: size, digest and CRC-32."""

    size: int
    digest: Digest
    crc: int


Finish = Callable[[Mapping[str, Written]], bytes]
"""Makes the manifest's bytes from what was written."""


def write_archive(
    path: str,
    members: Mapping[str, Payload],
    finish: Finish,
    *,
    algorithm: str = DEFAULT_ALGORITHM,
    overwrite: bool = False,
) -> None:
    """Write the single-file form (FORMAT.md 4.2), atomically and durably.

    ``finish`` is called with what was written and returns the bytes of ``manifest.json``.
    Raises StorageError where the file system refuses or the output exists; nothing is left behind then.
    """
    _check(members)
    with replacing_file(path, overwrite=overwrite) as output:
        entries: list[zl.Entry] = []
        written: dict[str, Written] = {}

        def append(name: str, payload: Payload) -> None:
            offset = entries[-1].end if entries else 0
            blank = zl.Entry(name=name, size=payload.size, crc=0, offset=offset)
            output.write(zl.local_header(blank))
            written[name] = _copy(output, payload, algorithm)
            entry = zl.Entry(name=name, size=payload.size, crc=written[name].crc, offset=offset)
            output.rewrite(zl.local_header(entry), offset)
            entries.append(entry)

        for name in sorted(members):
            append(name, members[name])
        append(MANIFEST_NAME, Payload.of(finish(dict(written))))
        output.write(zl.tail(entries))


def write_folder(
    path: str,
    members: Mapping[str, Payload],
    finish: Finish,
    *,
    algorithm: str = DEFAULT_ALGORITHM,
    overwrite: bool = False,
) -> None:
    """Write the folder form (FORMAT.md 4.1), which appears whole or not at all; else as :func:`write_archive`."""
    _check(members)
    with replacing_folder(path, overwrite=overwrite) as folder:
        written: dict[str, Written] = {}
        for name in sorted(members):
            target = os.path.join(folder, *name.split("/"))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with create_file(target) as output:
                written[name] = _copy(output, members[name], algorithm)
        with create_file(os.path.join(folder, MANIFEST_NAME)) as output:
            output.write(finish(dict(written)))


def _check(members: Mapping[str, Payload]) -> None:
    for name in members:
        check_member_name(name, where="members")
    if MANIFEST_NAME in members:
        raise UsageError("the manifest is made last, it is not among the members")
    check_member_set([*members, MANIFEST_NAME], where="members")


def _copy(output: Output, payload: Payload, algorithm: str) -> Written:
    """Write a member at the current position, and compute its checksum and digest on the way."""
    hasher = new_hasher(algorithm)
    crc = 0
    total = 0

    def checksum(piece: memoryview) -> None:
        nonlocal crc
        crc = zlib.crc32(piece, crc)

    def pieces() -> Iterable[memoryview]:
        nonlocal total
        gathered = bytearray()
        for chunk in payload.chunks():
            view = byte_view(chunk)
            total += len(view)
            if len(view) <= SMALL:
                gathered += view
            if gathered and (len(view) > SMALL or len(gathered) >= GATHER):
                yield memoryview(gathered)
                gathered = bytearray()
            if len(view) > SMALL:
                for start in range(0, len(view), STEP):
                    yield view[start : start + STEP]
        if gathered:
            yield memoryview(gathered)

    if payload.size <= INLINE:
        for piece in pieces():
            hasher.update(piece)
            checksum(piece)
            output.write(piece)
    else:
        from concurrent.futures import ThreadPoolExecutor

        # One thread for each of the two, so that each sees the pieces in their order.
        with ThreadPoolExecutor(1) as digests, ThreadPoolExecutor(1) as checksums:
            pending: deque[Future[object]] = deque()
            for piece in pieces():
                pending.append(digests.submit(hasher.update, piece))
                pending.append(checksums.submit(checksum, piece))
                output.write(piece)
                while len(pending) > 2 * AHEAD:
                    pending.popleft().result()
            for future in pending:
                future.result()
    if total != payload.size:
        raise UsageError(f"a member of {payload.size} bytes was announced, {total} came")
    return Written(size=total, digest=Digest(algorithm, hasher.hexdigest()), crc=crc)
