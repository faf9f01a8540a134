"""State documents: a closed set of values in msgpack, each with exactly one byte form (FORMAT.md 7).

:func:`encode` sorts keys and writes the shortest encodings; :func:`decode` refuses every document that ``encode``
would not have written, and charges items and text to a budget before it builds them. Both are symmetric over: ``None``,
``bool``, ``int`` of any size, ``float``, ``str``, ``bytes``, ``list``, ``dict`` with text keys, numpy arrays and
scalars of the dtypes in FORMAT.md 7.5, ``datetime``, ``date``, ``time``, ``timedelta``, ``Decimal``, :class:`Missing`.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from modelcrate.errors import FormatError, LimitError, ModelcrateError, UsageError
from modelcrate.format.budget import Budget
from modelcrate.format.buffers import Buffer
from modelcrate.format.extensions import Missing, Refused, Zone
from modelcrate.format.packing import Encoder, Unencodable
from modelcrate.format.unpacking import Decoder
from modelcrate.limits import DEFAULT, Limits

__all__ = ["Missing", "Value", "Zone", "decode", "decode_state", "encode"]

Value: TypeAlias = Any
"""One of the values above; numpy's types can't be named here without importing numpy."""


def encode(value: Value, *, where: str = "state", limits: Limits = DEFAULT) -> bytes:
    """The one byte form of ``value``.

    Raises UsageError, with the path of the culprit, for a value outside of the set (a tuple, a subclass, a numpy
    object array), LimitError for a document that a reader with the same ``limits`` would refuse.
    """
    encoder = Encoder(Budget(limits))
    try:
        encoder.value(value, 0)
    except Unencodable as error:
        raise UsageError(f"{error.what} can't be part of a state document", where=where + error.path()) from None
    except LimitError as error:
        raise LimitError(error.what, where=where) from None
    if len(encoder.out) > limits.state_bytes:
        raise LimitError(f"the document takes more than {limits.state_bytes} bytes", where=where)
    return bytes(encoder.out)


def decode(data: Buffer, *, where: str, limits: Limits = DEFAULT) -> Value:
    """The value of a whole document; arrays own their memory.

    Raises LimitError beyond ``limits``, FormatError for every byte sequence that :func:`encode` would not write.
    """
    if len(data) > limits.state_bytes:
        raise LimitError(f"the document takes more than {limits.state_bytes} bytes", where=where)
    decoder = Decoder(bytes(data), Budget(limits))
    try:
        value = decoder.value(0)
    except Refused as error:
        raise FormatError(str(error), where=f"{where} at byte {decoder.position}") from None
    except ModelcrateError as error:
        raise type(error)(error.what, where=f"{where} at byte {decoder.position}") from None
    if decoder.position != len(decoder.data):
        raise FormatError("bytes after the end of the document", where=f"{where} at byte {decoder.position}")
    return value


def decode_state(data: Buffer, *, where: str, limits: Limits = DEFAULT) -> dict[str, Value]:
    """The state of a component: as :func:`decode`, and the document must be a map (FORMAT.md 7.1)."""
    value = decode(data, where=where, limits=limits)
    if type(value) is not dict:
        raise FormatError("the state of a component is a map", where=where)
    return value
