"""Opcodes that push what their own bytes say: numbers, texts, byte strings; and those that frame the stream."""

from __future__ import annotations

import struct
from collections.abc import Callable

from modelcrate.errors import UnsupportedError
from modelcrate.legacy import literals
from modelcrate.legacy.graph import ByteArray, OutOfBandBuffer, Unknown, describe
from modelcrate.legacy.stream import Stream

HIGHEST_PROTOCOL = 5
_MAGIC_BYTES = frozenset(b"\x80P\x1fB\x78\xfd]cI(}i\x93")
"""First bytes of what a byte string can hide: pickles, archives, compressed streams, ``.npy``."""
_TEXT = 56
"""Bytes of a text object beside its characters."""
_DOUBLE = struct.Struct(">d")


class LiteralOps(Stream):
    """PROTO, FRAME, STOP, and everything from NONE to BYTEARRAY8."""

    def proto(self) -> None:
        version = self._number(1)
        if version > HIGHEST_PROTOCOL:
            raise UnsupportedError(f"pickle protocol {version}; 5 is the newest that exists", where=self._place())
        if self.at != self.start:
            self._irregular("PROTO in the middle of a pickle")
        self.protocol = version

    def frame(self) -> None:
        inside = self.at < self.framed_until
        length = self._number(8)
        if inside:
            self._irregular("a frame inside a frame")
        if length == 0:
            self._irregular("an empty frame")
        if length > self.size - self.position:
            # The C unpickler fails on it, the Python one reads the rest as the frame.
            self._irregular("a frame longer than the pickle")
            length = self.size - self.position
        self.end = self.framed_until = self.position + length

    def stop(self) -> bool:
        if not self.stack:
            raise self._format("STOP with nothing on the stack")
        if len(self.stack) > 1 or self.fenced:
            self._irregular("STOP leaves items or marks on the stack")
        if self.position < self.framed_until:
            self._irregular("STOP before the end of its frame")
        return True

    def none(self) -> None:
        self.stack.append(None)

    def true(self) -> None:
        self.stack.append(True)

    def false(self) -> None:
        self.stack.append(False)

    def int_text(self) -> None:
        self._literal(literals.integer)

    def long_text(self) -> None:
        self._literal(literals.long_integer)

    def _literal(self, read: Callable[..., int]) -> None:
        line = self._line()
        self._charge(32 + len(line) // 2)
        try:
            self.stack.append(read(line, max_bytes=self.limits.pickle_integer_bytes))
        except ValueError as error:
            self._irregular(str(error))
            self.stack.append(Unknown(str(error), offset=self.at))

    def binint(self) -> None:
        start = self.position
        self.position = start + 4
        if self.position > self.end:
            self._straddle(self.position)
        self.stack.append(int.from_bytes(self.data[start : start + 4], "little", signed=True))

    def binint1(self) -> None:
        position = self.position
        if position >= self.end:
            self._straddle(position + 1)
        self.position = position + 1
        self.stack.append(self.data[position])

    def binint2(self) -> None:
        start = self.position
        self.position = start + 2
        if self.position > self.end:
            self._straddle(self.position)
        self.stack.append(int.from_bytes(self.data[start : start + 2], "little"))

    def long1(self) -> None:
        self._long(self._number(1))

    def long4(self) -> None:
        length = int.from_bytes(self._take(4), "little", signed=True)
        if length < 0:
            raise self._format("a LONG4 of negative length")
        self._long(length)

    def _long(self, length: int) -> None:
        if length > self.limits.pickle_integer_bytes:
            raise self._limit(f"an integer of {length} bytes")
        self.budget -= length
        self.stack.append(int.from_bytes(self._take(length), "little", signed=True))

    def float_text(self) -> None:
        line = self._line()
        try:
            self.stack.append(literals.real(line))
        except ValueError as error:
            self._irregular(str(error))
            self.stack.append(Unknown(str(error), offset=self.at))

    def binfloat(self) -> None:
        start = self.position
        self.position = start + 8
        if self.position > self.end:
            self._straddle(self.position)
        self.stack.append(_DOUBLE.unpack_from(self.data, start)[0])

    def string_text(self) -> None:
        line = self._line()
        self._charge(_TEXT + len(line))
        try:
            self.stack.append(literals.quoted(line))
        except ValueError as error:
            self._irregular(str(error))
            self.stack.append(Unknown(str(error), offset=self.at))

    def binstring(self) -> None:
        length = int.from_bytes(self._take(4), "little", signed=True)
        if length < 0:
            raise self._format("a BINSTRING of negative length")
        self._charge(_TEXT + length)
        self._latin(length)

    def short_binstring(self) -> None:
        length = self._number(1)
        self._charge(_TEXT + length)
        self._latin(length)

    def _latin(self, length: int) -> None:
        data = self._take(length)
        if length > 3 and data[0] in _MAGIC_BYTES:
            self._blob(length)
        self.stack.append(data.decode("latin-1"))

    def unicode_text(self) -> None:
        line = self._line()
        self._charge(_TEXT + 4 * len(line))
        try:
            self.stack.append(literals.raw_unicode(line))
        except ValueError as error:
            self._irregular(str(error))
            self.stack.append(Unknown(str(error), offset=self.at))

    def short_binunicode(self) -> None:
        start = self.position + 1
        if start > self.end:
            self._straddle(start)
        length = self.data[start - 1]
        stop = start + length
        if stop > self.end:
            self._straddle(stop)
        self.position = stop
        self.budget -= _TEXT + length  # at most 311 bytes
        try:
            self.stack.append(self.data[start:stop].decode())
        except UnicodeDecodeError:
            self._text(self.data[start:stop])

    def binunicode(self) -> None:
        self._unicode(self._number(4))

    def binunicode8(self) -> None:
        self._unicode(self._number(8))

    def _unicode(self, length: int) -> None:
        if length > self.size - self.position:
            raise self._cut()
        if length > self.limits.pickle_text_bytes:
            raise self._limit(f"a text of {length} bytes")
        data = self._take(length)
        self._charge(_TEXT + (length if data.isascii() else 4 * length))
        try:
            self.stack.append(data.decode())
        except UnicodeDecodeError:
            self._text(data)

    def _text(self, data: bytes) -> None:
        """Bytes that are not UTF-8: lone surrogates, which Python's pickler writes, or nothing at all.

        A text with a surrogate stays what it is; whoever uses it as a name or writes it somewhere refuses it.
        """
        try:
            self.stack.append(data.decode("utf-8", "surrogatepass"))
        except UnicodeDecodeError:
            raise self._format("a text that is not UTF-8") from None

    def short_binbytes(self) -> None:
        self._bytes(self._number(1))

    def binbytes(self) -> None:
        self._bytes(self._number(4))

    def binbytes8(self) -> None:
        self._bytes(self._number(8))

    def _bytes(self, length: int) -> None:
        if length > self.size - self.position:
            raise self._cut()
        self.budget -= 40
        data = self._take(length)
        if length > 3 and data[0] in _MAGIC_BYTES:
            self._blob(length)
        self.stack.append(data)

    def _blob(self, length: int) -> None:
        """Remember bytes that may themselves be a file; a scan looks into them."""
        if len(self.blobs) < self.limits.archive_members:
            self.blobs.append((self.position - length, length))

    def bytearray8(self) -> None:
        length = self._number(8)
        if length > self.size - self.position:
            raise self._cut()
        self.budget -= 96
        data = self._take(length)
        if length > 3 and data[0] in _MAGIC_BYTES:
            self._blob(length)
        self.stack.append(ByteArray(data))

    def next_buffer(self) -> None:
        self._unsupported("an out-of-band buffer, whose bytes are not in this file")
        self.budget -= 64
        self.stack.append(OutOfBandBuffer(self.buffers, offset=self.at))
        self.buffers += 1

    def readonly_buffer(self) -> None:
        node = self.stack[-1]
        if isinstance(node, OutOfBandBuffer):
            node.readonly = True
        elif not isinstance(node, (bytes, ByteArray)):
            self._irregular(f"READONLY_BUFFER on {describe(node)}")
