"""What is this file? Decided by content, never by name, from the first bytes and, for a zip, its member names."""

from __future__ import annotations

import re

from modelcrate.errors import ModelcrateError
from modelcrate.legacy.opcodes import NAMES
from modelcrate.legacy.stream import Data
from modelcrate.limits import Limits

_OLD_TORCH = re.compile(
    rb"\x80[\x02-\x05](?:\x95.{8})?\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19\.|L119547037146038801333356L\n\.", re.DOTALL
)
"""The magic number of ``torch.save`` before 1.6, as each protocol pickles it; 2 unless it was asked for another."""

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x93NUMPY", "npy"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x5d\x00\x00", "lzma"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"ZF0x", "zfile"),
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"GGUF", "gguf"),
    (b"\x89PNG", "png"),
    (b"%PDF", "pdf"),
    (b"\x7fELF", "elf"),
    (b"MZ", "exe"),
    (b"version https://git-lfs", "git-lfs pointer"),
    (b"<!DOCTYPE", "html"),
    (b"<html", "html"),
    (b"<?xml", "xml"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF8", "gif"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"OggS", "ogg"),
    (b"fLaC", "flac"),
    (b"RIFF", "riff (webp, wav, avi)"),
    (b"PAR1", "parquet"),
    (b"ARROW1", "arrow"),
    (b"FEA1", "feather"),
    (b"SQLite format 3\x00", "sqlite"),
    (b"\x00asm", "wasm"),
)
_LATER: tuple[tuple[int, bytes, str], ...] = ((4, b"TFL3", "tflite"), (4, b"ftyp", "mp4"))
COMPRESSED = frozenset({"gzip", "bz2", "xz", "lzma", "zlib"})
"""Wrappers that the standard library can undo."""
UNREAD = ("zstd", "lz4", "zfile", "7z", "rar")
"""Wrappers that it can't, on every Python that this library supports; ``zfile`` is joblib's before 0.10."""
_ZLIB_HEADS = frozenset({b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"})


_JSON = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*(?:\{[ \t\r\n]*[\"}]|\[[ \t\r\n]*[\"{\[\]0-9tfn-])")
_ONNX = re.compile(rb"\x08[\x01-\x20](?:\x12[\x01-\x7f][ -~]|\x1a[\x00-\x7f]|\x3a)")
"""The version of the format, then the producer's name or the graph."""


def detect(data: Data) -> str:
    """The kind: ``pickle``, ``torch-legacy``, ``zip``, ``npy``, ``gzip``, ``json`` and the like, or ``unknown``.

    ``pickle`` is only a claim: its first opcodes look like one.
    """
    head = bytes(data[:512])
    if not head:
        return "empty"
    if _OLD_TORCH.match(head):
        return "torch-legacy"
    if head[:1] == b"\x80" and len(head) > 1:
        return "pickle"
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[:2] in _ZLIB_HEADS:
        return "zlib"
    if head[257:262] == b"ustar":
        return "tar"
    if _is_safetensors(head, len(data)):
        return "safetensors"
    for place, magic, kind in _LATER:
        if head.startswith(magic, place):
            return kind
    if _JSON.match(head):
        return "json"
    if _ONNX.match(head):
        return "onnx (or another protobuf)"
    if _starts_like_pickle(head):
        return "pickle"
    return "unknown"


def _is_safetensors(head: bytes, size: int) -> bool:
    length = int.from_bytes(head[:8], "little")
    return len(head) > 8 and 2 <= length <= size - 8 and head[8:9] == b"{"


_FIRST = frozenset(b"(]})NIJKMLFGSTUVXcCBPi\x8a\x8b\x8c\x8d\x8e\x8f\x88\x89\x82\x83\x84\x95\x96\x97")
"""Opcodes that can come first: they push something without taking anything."""


def _starts_like_pickle(head: bytes) -> bool:
    """Whether protocol 0 or 1 could begin so: a pushing opcode, then a second byte that is an opcode or an argument."""
    if head[0] not in _FIRST:
        return False
    if head[0] in b"(]})N\x88\x89\x8f":
        return len(head) > 1 and head[1] in NAMES
    if head[0] in b"IFLVSPci":
        return _plausible_line(head[:1], head[1:].partition(b"\n")[0], whole=b"\n" in head)
    return True


def _plausible_line(opcode: bytes, line: bytes, *, whole: bool) -> bool:
    if opcode in (b"I", b"L", b"F"):
        return line.strip(b"L").replace(b".", b"").replace(b"-", b"").replace(b"e", b"").replace(b"+", b"").isdigit()
    if opcode == b"S":
        return line[:1] in (b"'", b'"') and (not whole or (len(line) > 1 and line[:1] == line[-1:]))
    if opcode == b"V":
        return whole or b"\\u" in line
    return whole and len(line) < 400


def is_crate_document(data: Data, limits: Limits) -> bool:
    """Whether these are a manifest's or a state document's bytes, whole and canonical."""
    try:
        if data[:1] == b"{" and len(data) <= limits.manifest_bytes:
            from modelcrate.format.manifest import Manifest

            Manifest.from_bytes(bytes(data), limits=limits)
            return True
        if len(data) and (0x81 <= data[0] <= 0x8F or data[0] in (0xDE, 0xDF)) and len(data) <= limits.state_bytes:
            from modelcrate.format.values import decode

            return isinstance(decode(bytes(data), where="state", limits=limits), dict)
    except ModelcrateError:
        return False
    return False
