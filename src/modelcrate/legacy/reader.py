"""Opening a legacy file for conversion: what it is, its graph as a view, and a refusal where it asks to run code."""

from __future__ import annotations

import contextlib
import mmap
import os
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelcrate.errors import FormatError, PolicyError, StorageError, UnsupportedError, UsageError
from modelcrate.legacy.context import Context
from modelcrate.legacy.detect import COMPRESSED, detect
from modelcrate.legacy.lookalikes import looks_like_tensors, tensors_problem
from modelcrate.legacy.machine import Data, Reading, read_pickle
from modelcrate.legacy.script import Program
from modelcrate.legacy.torchfile import read_torch
from modelcrate.legacy.unpack import unpack_strictly
from modelcrate.legacy.view import View
from modelcrate.limits import DEFAULT, Limits

if TYPE_CHECKING:
    from modelcrate.storage.source import Location


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyFile:
    """One legacy file, read and not executed.

    ``container`` is ``pickle``, ``torch`` (zip), ``torch-legacy`` or ``torchscript``; ``root`` the object that
    unpickling would give; ``program`` what a TorchScript archive holds beside it.
    """

    container: str
    root: View
    reading: Reading
    size: int
    program: Program | None = None


def read_for_conversion(
    source: Location,
    *,
    limits: Limits = DEFAULT,
    name: str | None = None,
    script: bool = False,
    verify: bool = True,
) -> LegacyFile:
    """Read a pickle or ``torch.save`` file for conversion.

    ``name`` begins the paths in errors; by default the file's name. ``script`` says that a TorchScript archive is
    welcome, for the attributes of its module. Without ``verify`` the checksums of storages are not computed.

    :raises StorageError: the file can't be read.
    :raises FormatError: it is no pickle, or a broken one.
    :raises LimitError: it asks for more than ``limits`` allows.
    :raises PolicyError: it names something that runs code, even where it would not be called.
    """
    data = content_of(source, private=True)
    where = name or os.path.basename(called(source)) or "file"
    limits = limits.started(len(data))
    kind = _kind(data, limits)
    if kind == "empty":
        raise FormatError("an empty file", where=where)
    if kind in COMPRESSED:
        data = unpack_strictly(data, kind, limits.inflated_bytes, where, limits=limits)
        kind = _kind(data, limits)
    refuse_dangerous(data, limits=limits, where=where)
    limits.check_time(where)
    program = None
    if kind in ("zip", "torch-legacy"):
        file = read_torch(data, limits=limits, where=where, script=script, verify=verify)
        context, reading, program = file.context(limits), file.reading, file.program
        container = "torch-legacy" if kind != "zip" else "torch" if program is None else "torchscript"
    elif kind not in ("pickle", "unknown"):
        raise UnsupportedError(f"{kind} content, not a pickle", where=where)
    else:
        joblib = b"numpy_pickle" in bytes(data[: 1 << 20])
        reading = read_pickle(data, limits=limits, where=where, joblib=joblib)
        if reading.end != len(data):
            raise FormatError(f"{len(data) - reading.end} bytes behind the end of the pickle", where=where)
        context, container = Context(limits=limits, size=len(data), place=_places(data, reading)), "pickle"
    root = View(reading.root, where, context)
    return LegacyFile(container=container, root=root, reading=reading, size=len(data), program=program)


def _places(data: Data, reading: Reading) -> Callable[[bytes, int], memoryview | None] | None:
    """Where byte strings lie, if the file is a private mapping: what is used at some offset lies right before it."""
    view = memoryview(data)
    if view.readonly:
        return None
    blobs = sorted(reading.blobs)

    def place(content: bytes, offset: int) -> memoryview | None:
        index = bisect_left(blobs, (offset, 0)) - 1
        start, length = blobs[index] if index >= 0 else (0, 0)
        found = view[start : start + length]
        return found if length == len(content) and found == content else None

    return place


def _kind(data: Data, limits: Limits) -> str:
    """What the content is; the length of a safetensors header may begin like a pickle or a compressed file."""
    kind = detect(data)
    claimed = kind == "pickle" or kind in COMPRESSED
    if claimed and looks_like_tensors(data) and tensors_problem(data, limits) is None:
        return "safetensors"
    return kind


def refuse_dangerous(data: Data, *, limits: Limits = DEFAULT, where: str = "file") -> None:
    """Refuse a file that names a known way to do harm, whether it would be called or not.

    :raises PolicyError: with the first such name.
    """
    from modelcrate.legacy.scan import scan_data

    for finding in scan_data(data, where, limits=limits).findings:
        if finding.verdict == "dangerous":
            place = where if finding.offset is None else f"{where} at byte {finding.offset}"
            raise PolicyError(
                f"the file asks for {finding.name}, which {finding.reason}",
                where=place,
                hint="do not unpickle this file; `modelcrate scan` lists all that it asks for",
            )


def called(source: Location) -> str:
    """What errors call a path, or bytes."""
    return "bytes" if isinstance(source, bytes | bytearray | memoryview) else os.fsdecode(source)


def content_of(source: Location, *, private: bool = False) -> Data:
    """Bytes that were given, or a regular file's content, mapped; an empty one as empty bytes.

    A ``private`` mapping can be written to, page by page copied when it is; where the system has no room for that (it
    may count the whole file as memory), it is one for reading.

    :raises StorageError: absent, not readable, or no regular file.
    :raises UsageError: neither a path nor bytes.
    """
    import stat

    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    try:
        path = os.fspath(source)
    except TypeError:
        raise UsageError(f"expected a path or bytes, got {type(source).__name__}") from None
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise StorageError("not a regular file", where=str(path))
            if status.st_size == 0:
                return b""
            if private:
                with contextlib.suppress(OSError):
                    return mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY)
            return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise StorageError(f"can't be read: {reason}", where=str(Path(os.fsdecode(path)))) from None
