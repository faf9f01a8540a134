"""Hostile bytes, built by code: small things that ask for much. Nothing here would do more than make a file."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Sequence

PROTO = b"\x80\x04"


def frame_free(body: bytes) -> bytes:
    """A protocol 4 pickle of these opcodes."""
    return PROTO + body + b"."


def short_text(text: str) -> bytes:
    data = text.encode()
    return b"\x8c" + bytes([len(data)]) + data


def long_number(value: int) -> bytes:
    """LONG1 of any integer."""
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def raw_zip(members: Sequence[tuple[bytes, int, int, int, bytes]]) -> bytes:
    """An archive of (name, method, crc, size, packed bytes); sizes may lie."""
    out, directory = bytearray(), bytearray()
    for name, method, crc, size, packed in members:
        offset = len(out)
        fixed = (0, method, 0, 33, crc, len(packed), size, len(name), 0)
        out += b"PK\x03\x04" + struct.pack("<H4HLLLHH", 20, *fixed) + name + packed
        directory += (
            b"PK\x01\x02" + struct.pack("<HH4HLLLHH", 20, 20, *fixed) + struct.pack("<HHHLL", 0, 0, 0, 0, offset) + name
        )
    end = struct.pack("<4s4HLLH", b"PK\x05\x06", 0, 0, len(members), len(members), len(directory), len(out), 0)
    return bytes(out + directory + end)


def deflate_zeros(size: int) -> tuple[bytes, int]:
    """``size`` zeros deflated, and their checksum, made in pieces."""
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed, crc, piece = bytearray(), 0, bytes(1 << 20)
    for _ in range(size >> 20):
        packed += engine.compress(piece)
        crc = zlib.crc32(piece, crc)
    return bytes(packed + engine.flush()), crc


def gzip_zeros(size: int) -> bytes:
    engine = zlib.compressobj(9, zlib.DEFLATED, 31)
    piece = bytes(1 << 20)
    return b"".join(engine.compress(piece) for _ in range(size >> 20)) + engine.flush()


def gzip_of(data: bytes) -> bytes:
    return gzip.compress(data, 1, mtime=0)


COLLIDING = 2**61 - 1
"""Multiples of this hash to 0 in CPython, so a dict or set of them takes quadratic time."""


def memo_laughs(kind: bytes, levels: int = 64) -> bytes:
    """Each level holds the one below it twice: 2**levels items to whoever expands it."""
    body = b"]\x94"
    for level in range(levels):
        get = b"h" + bytes([level])
        if kind == b"}":
            body += b"}(" + short_text("a") + get + short_text("b") + get + b"u\x94"
        else:
            body += b"(" + get + get + kind + b"\x94"
    return frame_free(body + b"q\xff" + b"0" * (levels + 1) + b"h\xff")  # only the last level stays on the stack


def dup_laughs(levels: int = 64) -> bytes:
    """The same without a memo: DUP, then TUPLE2."""
    return frame_free(b"]" + b"2\x86" * levels)
