"""Compressed streams undone within a budget: gzip, bz2, xz, lzma and zlib, by the standard library's decoders."""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import Protocol

from modelcrate.errors import FormatError, LimitError
from modelcrate.legacy.stream import Data
from modelcrate.limits import DEFAULT, Limits

STEP = 1 << 20
FIRST = 1 << 10
"""Bytes that a member is given first; more with each turn, so that many small members cost no more than they are."""


class _Engine(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int = ...) -> bytes: ...


class _Inflate:
    """zlib's decoder with the interface of the other two, which keep their unread input themselves."""

    def __init__(self, window: int) -> None:
        self._engine = zlib.decompressobj(window)
        self.eof = False
        self.needs_input = True
        self.unused_data = b""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        out = self._engine.decompress(self._engine.unconsumed_tail + data, max(0, max_length))
        self.eof, self.unused_data = self._engine.eof, self._engine.unused_data
        self.needs_input = not self._engine.unconsumed_tail
        return out


def unpack(
    data: Data | memoryview, kind: str, room: int, where: str, *, limits: Limits = DEFAULT
) -> tuple[bytes, str | None]:
    """The content of a compressed stream, at most ``room`` bytes, and what is wrong with it, if anything.

    Whatever could be decoded before a fault is given back with it, because a fault must not hide what came before.
    Concatenated gzip, bz2 and xz members count as one stream, as their command line tools take them.
    """
    view = memoryview(data)
    parts: list[bytes] = []
    size = position = 0
    while position < len(view):
        engine = _engine(kind)
        before = len(parts)
        consumed, problem = _member(engine, view[position:], parts, room - size, limits)
        size += sum(len(part) for part in parts[before:])
        if problem is not None:
            return b"".join(parts), problem
        position += consumed
        if kind in ("zlib", "lzma"):
            break
        rest = view[position:]
        if bytes(rest[:1]) == b"\0" and not any(bytes(rest[: 1 << 16])):
            break
        if position < len(view) and not _continues(kind, rest):
            return b"".join(parts), "bytes behind the end of the compressed stream"
    if position < len(view) and kind in ("zlib", "lzma"):
        return b"".join(parts), "bytes behind the end of the compressed stream"
    return b"".join(parts), None


def _continues(kind: str, rest: memoryview) -> bool:
    magic = {"gzip": b"\x1f\x8b", "bz2": b"BZh", "xz": b"\xfd7zXZ"}[kind]
    return bytes(rest[: len(magic)]) == magic


def _engine(kind: str) -> _Engine:
    if kind == "gzip":
        return _Inflate(31)
    if kind == "zlib":
        return _Inflate(15)
    if kind == "bz2":
        return bz2.BZ2Decompressor()
    if kind in ("xz", "lzma"):
        form = lzma.FORMAT_XZ if kind == "xz" else lzma.FORMAT_ALONE
        return lzma.LZMADecompressor(form, memlimit=96 << 20)
    raise ValueError(kind)


def _member(engine: _Engine, view: memoryview, parts: list[bytes], room: int, limits: Limits) -> tuple[int, str | None]:
    """Decode one member into ``parts``; how many bytes it took, and what went wrong."""
    position, step = 0, FIRST
    try:
        while not engine.eof:
            if limits.is_late:
                return position, f"undoing the compression takes longer than the limit of {limits.seconds:g} seconds"
            chunk, hungry = b"", engine.needs_input
            if hungry:
                chunk = bytes(view[position : position + step])
                position += len(chunk)
                step = min(2 * step, 1 << 16)
            out = engine.decompress(chunk, min(STEP, room + 1))
            if not out and hungry and not chunk and not engine.eof:
                return position, "the compressed stream ends too early"
            parts.append(out[:room])
            room -= len(out)
            if room < 0:
                return position, "the compressed stream becomes larger than the limit allows"
    except (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError, MemoryError):
        return position, "the compressed stream is damaged"
    return position - len(getattr(engine, "unused_data", b"")), None


def unpack_strictly(data: Data | memoryview, kind: str, room: int, where: str, *, limits: Limits = DEFAULT) -> bytes:
    """The content of a compressed stream.

    :raises FormatError: it is damaged, cut short, or followed by something else.
    :raises LimitError: it becomes larger than ``room``.
    """
    content, problem = unpack(data, kind, room, where, limits=limits)
    if problem is None:
        return content
    raise LimitError(problem, where=where) if "limit" in problem else FormatError(problem, where=where)
