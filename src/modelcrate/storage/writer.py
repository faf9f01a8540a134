"""Writing a crate, one file or a folder, in one pass over the members' memory.

Bytes go from where they are (a tensor's own memory) to the file block by block, while checksum and digest of the same
bytes are computed; nothing is assembled in between. The manifest comes last, when the digests are known.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from modelcrate.errors import UsageError
from modelcrate.format.buffers import Buffer
from modelcrate.format.digest import DEFAULT_ALGORITHM, Digest
from modelcrate.format.names import MANIFEST_NAME, check_member_name, check_member_set
from modelcrate.storage import ziplayout as zl
from modelcrate.storage.atomic import create_file, replacing_file, replacing_folder
from modelcrate.storage.output import Output


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """A member to be written: ``chunks()`` yields exactly ``size`` bytes."""

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
    """Append a member, and compute its checksum and digest on the way."""
    with output.summed(algorithm) as sums:
        for chunk in payload.chunks():
            output.write(chunk)
    if sums.size != payload.size:
        raise UsageError(f"a member of {payload.size} bytes was announced, {sums.size} came")
    return Written(size=sums.size, digest=sums.digest, crc=sums.crc)
