"""safetensors files, read stricter than the reference reads them and written in one order (FORMAT.md 6).

Tensors are plain bytes here: neither torch nor numpy is imported. Whatever :func:`parse_header` accepts, the reference
implementation reads with the same meaning; a header that lies about shape, size or place never gets that far.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

from modelcrate.errors import FormatError, IntegrityError, LimitError, UsageError
from modelcrate.format.buffers import Buffer, byte_view
from modelcrate.limits import DEFAULT, Limits

DTYPE_SIZES: dict[str, int] = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "F8_E4M3FNUZ": 1,
    "F8_E5M2FNUZ": 1,
    "F8_E8M0": 1,
    "U16": 2,
    "I16": 2,
    "F16": 2,
    "BF16": 2,
    "U32": 4,
    "I32": 4,
    "F32": 4,
    "U64": 8,
    "I64": 8,
    "F64": 8,
    "C64": 8,
}
"""Bytes per item of each dtype, by its safetensors name (FORMAT.md 6.5)."""

FOREIGN_BITS: dict[str, int] = {
    **{name: 8 * size for name, size in DTYPE_SIZES.items()},
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
}
"""Bits per item of each dtype that files of other programs may hold; a tensor's total is a whole number of bytes."""

ALIGNMENT = 64
"""A written header is padded so that the data begins at a multiple of this, for views that need no copy."""

METADATA_BYTES = 65_536
METADATA_KEY = "__metadata__"

_LENGTH_BYTES = 8
_NAME = re.compile(r"[!-~]{1,512}")
_FOREIGN_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]{1,4096}")
_NESTING = 3
_DIGITS = 20


@dataclass(frozen=True, slots=True)
class TensorData:
    """One tensor as plain bytes: safetensors dtype name, shape, little-endian items in C order."""

    dtype: str
    shape: tuple[int, ...]
    data: Buffer

    @property
    def nbytes(self) -> int:
        """Bytes that dtype and shape ask for."""
        return tensor_bytes(self.dtype, self.shape)


class DeferredTensorData(TensorData):
    """A tensor whose bytes are made when they are asked for, and not kept: one that is not in this memory yet."""

    __slots__ = ("_make",)
    _make: Callable[[], Buffer]

    def __init__(self, dtype: str, shape: tuple[int, ...], make: Callable[[], Buffer]) -> None:
        object.__setattr__(self, "dtype", dtype)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "_make", make)

    @property
    def data(self) -> Buffer:
        """The bytes, made anew at each access."""
        return self._make()


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """Where one tensor lies: ``start`` and ``end`` count bytes from the header's ``data_start``."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TensorHeader:
    """A checked header: entries by name in the order of their data, metadata, and where the data begins."""

    entries: dict[str, TensorEntry]
    metadata: dict[str, str]
    data_start: int


def tensor_bytes(dtype: str, shape: tuple[int, ...] | list[int]) -> int:
    """Bytes of a tensor in exact integers; the dtype must be one of :data:`DTYPE_SIZES`."""
    count = DTYPE_SIZES[dtype]
    for size in shape:
        count *= size
    return count


def parse_header(buffer: Buffer, *, where: str, limits: Limits = DEFAULT, foreign: bool = False) -> TensorHeader:
    """Read and check the header of a whole safetensors file in ``buffer``; no tensor's data is touched.

    ``foreign`` takes what other programs write and every reader of safetensors takes alike: names of any printable
    text, blanks between the parts, a header of any length, data at odd places, and the dtypes of ``FOREIGN_BITS``.
    Sizes, offsets, duplicates and limits are checked as ever.

    Raises LimitError beyond ``limits``, IntegrityError where sizes and offsets do not fit the shapes or the file,
    FormatError for everything else that FORMAT.md 6 refuses.
    """
    data = byte_view(buffer)
    if len(data) < _LENGTH_BYTES:
        raise FormatError("shorter than the 8 bytes of a header length", where=where)
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    if length > limits.header_bytes:
        raise LimitError(f"the header claims {length} bytes, more than {limits.header_bytes}", where=where)
    data_start = _LENGTH_BYTES + length
    if data_start > len(data):
        raise IntegrityError(f"the header claims {length} bytes, the file ends before that", where=where)
    if length % _LENGTH_BYTES and not foreign:
        raise FormatError("the header's length is not a multiple of 8", where=where)
    document = _parse_json(bytes(data[_LENGTH_BYTES:data_start]), where=where, limits=limits, foreign=foreign)
    metadata = _metadata(document.pop(METADATA_KEY, {}), where=where)
    if len(document) > limits.tensors:
        raise LimitError(f"more than {limits.tensors} tensors", where=where)
    entries = [_entry(name, fields, where=where, limits=limits, foreign=foreign) for name, fields in document.items()]
    entries.sort(key=lambda entry: (entry.start, entry.end, entry.name))
    _check_tiling(entries, len(data) - data_start, where=where)
    return TensorHeader({entry.name: entry for entry in entries}, metadata, data_start)


@dataclass(frozen=True, slots=True)
class Serialized:
    """A safetensors file that is not in memory: iterated, its header and then each tensor's bytes in place."""

    header: bytes
    tensors: tuple[tuple[str, TensorData], ...]
    """Names and tensors in the order of their data."""
    size: int
    """Bytes of the whole file."""

    def __iter__(self) -> Iterator[bytes | memoryview]:
        return _chunks(self.header, self.tensors)


def serialize(tensors: Mapping[str, TensorData], *, metadata: Mapping[str, str] | None = None) -> Serialized:
    """The safetensors file of some tensors; nothing is copied.

    Bytes of :class:`DeferredTensorData` are made one tensor at a time. Equal tensors give equal bytes whatever their
    order (FORMAT.md 6.9). Raises UsageError for a tensor that the format can't hold or whose bytes do not fit its
    shape, before the first chunk (for deferred bytes, when it is their turn).
    """
    for name, tensor in tensors.items():
        _check_writable(name, tensor)
    order = sorted(tensors)
    order.sort(key=lambda name: -DTYPE_SIZES[tensors[name].dtype])  # stable: by name where sizes are alike
    document: dict[str, object] = {METADATA_KEY: dict(sorted(metadata.items()))} if metadata else {}
    position = 0
    for name in order:
        tensor = tensors[name]
        end = position + tensor.nbytes
        document[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [position, end]}
        position = end
    text = json.dumps(document, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    padding = -(_LENGTH_BYTES + len(text)) % ALIGNMENT
    header = (len(text) + padding).to_bytes(_LENGTH_BYTES, "little") + text + b" " * padding
    return Serialized(header, tuple((name, tensors[name]) for name in order), len(header) + position)


def check_booleans(entry: TensorEntry, data: Buffer, *, where: str) -> None:
    """Refuse a ``BOOL`` tensor with a byte that is neither 0 nor 1 (FORMAT.md 6.10); others pass unread."""
    if entry.dtype != "BOOL":
        return
    view = byte_view(data)
    for start in range(0, len(view), 1 << 20):
        if view[start : start + (1 << 20)].tobytes().strip(b"\x00\x01"):
            raise FormatError(f"{entry.name!r} holds a boolean that is neither 0 nor 1", where=where)


def _chunks(header: bytes, tensors: Iterable[tuple[str, TensorData]]) -> Iterator[bytes | memoryview]:
    yield header
    for name, tensor in tensors:
        view = byte_view(tensor.data)
        _check_size(name, tensor, len(view))
        if len(view):
            yield view
        del view  # or it would be held while the next one is made


def _check_writable(name: str, tensor: TensorData) -> None:
    where = f"tensor {name!r}"
    if _NAME.fullmatch(name) is None or name == METADATA_KEY:
        raise UsageError("a tensor's name is 1 to 512 characters of printable ASCII without blanks", where=where)
    if tensor.dtype not in DTYPE_SIZES:
        raise UsageError(f"tensors of dtype {tensor.dtype!r} can't be kept", where=where)
    shape = tensor.shape
    sized = {int}.issuperset(map(type, shape)) and (
        not shape or (min(shape) >= 0 and max(shape) <= DEFAULT.tensor_dimension)
    )
    if len(shape) > DEFAULT.tensor_rank or not sized:
        raise UsageError(f"a shape has at most {DEFAULT.tensor_rank} dimensions from 0 to 2**31", where=where)
    if not isinstance(tensor, DeferredTensorData):
        _check_size(name, tensor, memoryview(tensor.data).nbytes)


def _check_size(name: str, tensor: TensorData, held: int) -> None:
    if held != tensor.nbytes:
        raise UsageError(f"{held} bytes do not fit shape {tensor.shape} of {tensor.dtype}", where=f"tensor {name!r}")


def _parse_json(raw: bytes, *, where: str, limits: Limits, foreign: bool) -> dict[str, object]:
    if not raw.startswith(b"{"):
        raise FormatError("the header does not begin with '{'", where=where)
    text_bytes = raw.rstrip(b" ")
    if len(raw) - len(text_bytes) >= ALIGNMENT and not foreign:
        raise FormatError("more than 63 blanks after the header", where=where)
    outside = text_bytes.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2]
    _check_structure(b"".join(outside), where=where, limits=limits, foreign=foreign)
    try:
        text = text_bytes.decode("utf-8")
        strict = _Strict(where, escapes="\\u" in text)
        document = json.loads(
            text,
            object_pairs_hook=strict.pairs,
            parse_constant=strict.number,
            parse_float=strict.number,
            parse_int=strict.integer,
        )
    except UnicodeDecodeError:
        raise FormatError("the header is not UTF-8", where=where) from None
    except json.JSONDecodeError as error:
        raise FormatError(f"the header is not JSON: {error.msg} at {error.pos}", where=where) from None
    found: dict[str, object] = document
    return found


def _check_structure(outside: bytes, *, where: str, limits: Limits, foreign: bool) -> None:
    """Bound nesting and item count, and refuse blanks, over what stands outside of texts."""
    if not foreign and any(blank in outside for blank in (b" ", b"\t", b"\n", b"\r")):
        raise FormatError("blanks between the parts of the header", where=where)
    objects = outside.count(b"{")
    if objects > limits.tensors + 2:
        raise LimitError(f"more than {limits.tensors} tensors", where=where)
    if outside.count(b",") + outside.count(b"[") > (limits.tensor_rank + 6) * objects + METADATA_BYTES:
        raise LimitError("more items than so many tensors have", where=where)
    depth = 0
    for match in re.finditer(rb"[\[\]{}]", outside):
        depth += 1 if match[0] in b"[{" else -1
        if depth > _NESTING:
            raise FormatError(f"the header is nested deeper than {_NESTING}", where=where)


def _metadata(found: object, *, where: str) -> dict[str, str]:
    if type(found) is not dict or not all(type(value) is str for value in found.values()):
        raise FormatError("__metadata__ is not an object of texts", where=where)
    size = sum(len(key) + len(value) for key, value in found.items())
    if size > METADATA_BYTES:
        raise LimitError(f"__metadata__ holds more than {METADATA_BYTES} characters", where=where)
    return found


def _entry(name: str, fields: object, *, where: str, limits: Limits, foreign: bool) -> TensorEntry:
    if (_FOREIGN_NAME if foreign else _NAME).fullmatch(name) is None:
        raise FormatError(f"{name[:80]!r} does not follow the grammar of tensor names", where=where)
    where = f"{where} tensor {name!r}"
    if type(fields) is not dict or set(fields) != {"dtype", "shape", "data_offsets"}:
        raise FormatError("a tensor has exactly dtype, shape and data_offsets", where=where)
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if type(dtype) is not str or dtype not in (FOREIGN_BITS if foreign else DTYPE_SIZES):
        raise FormatError(f"unknown dtype {str(dtype)[:80]!r}", where=where)
    if not _is_integers(shape) or len(shape) > limits.tensor_rank or any(it > limits.tensor_dimension for it in shape):
        raise FormatError(f"a shape is a list of at most {limits.tensor_rank} integers from 0 to 2**31", where=where)
    if not _is_integers(offsets) or len(offsets) != 2:
        raise FormatError("data_offsets is a list of two integers", where=where)
    bits = FOREIGN_BITS[dtype]
    if tensor_bytes("U8", [size or 1 for size in shape]) * bits >= 2**66:
        raise FormatError("the shape overflows", where=where)
    start, end = offsets
    if (end - start) * 8 != tensor_bytes("U8", shape) * bits:
        raise IntegrityError(f"shape {shape} of {dtype} does not fit the bytes {start} to {end}", where=where)
    if not foreign and start % DTYPE_SIZES[dtype]:
        raise FormatError(f"the data of a {dtype} tensor begins at the odd place {start}", where=where)
    return TensorEntry(name, dtype, tuple(shape), start, end)


def _is_integers(value: object) -> bool:
    return type(value) is list and {int}.issuperset(map(type, value))


def _check_tiling(entries: list[TensorEntry], data_bytes: int, *, where: str) -> None:
    position = 0
    for entry in entries:
        if entry.start != position:
            kind = "overlaps the tensor before it" if entry.start < position else "leaves a hole before it"
            raise IntegrityError(f"tensor {entry.name!r} {kind}", where=where)
        position = entry.end
    if position != data_bytes:
        raise IntegrityError(f"the tensors take {position} bytes, the file has {data_bytes}", where=where)


class _Strict:
    """Hooks that make the standard parser strict."""

    __slots__ = ("escapes", "where")

    def __init__(self, where: str, *, escapes: bool) -> None:
        self.where = where
        self.escapes = escapes

    def pairs(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise FormatError("the header has a key twice", where=self.where)
        for key, value in pairs if self.escapes else ():  # UTF-8 itself has no surrogates
            for text in (key, value):
                if type(text) is str and not text.isascii() and re.search("[\ud800-\udfff]", text):
                    raise FormatError("the header holds half of a surrogate pair", where=self.where)
        return found

    def number(self, text: str) -> NoReturn:
        raise FormatError(f"{text[:40]!r} in the header is not a plain integer", where=self.where)

    def integer(self, text: str) -> int:
        if text.startswith("-") or len(text) > _DIGITS:
            raise FormatError(f"{text[:40]!r} in the header is not a plain integer", where=self.where)
        return int(text)
