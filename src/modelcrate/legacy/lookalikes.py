"""Files that begin like a pickle and are none: text whose first letter is an opcode, tensor files of other programs.

A pickle may start with almost any letter, so the first bytes are only a claim. What a real unpickler would do decides:
text is text only if the unpickler stops within a few opcodes and asks, up to there, for nothing that could exist.
"""

from __future__ import annotations

import dataclasses
import re

from modelcrate.errors import FormatError, LimitError, ModelcrateError, UnsupportedError
from modelcrate.legacy.graph import Global
from modelcrate.legacy.machine import survey
from modelcrate.legacy.policy import UNKNOWN, classify
from modelcrate.legacy.stream import Data, Reading
from modelcrate.limits import Limits

OPCODES = 8
"""Opcodes that text may pass for; a damaged pickle of protocol 0 is longer and stays a broken one."""
_HEAD = 1 << 16
_BEFORE, _MARKS, _OPCODES_BEHIND = 256, 8, 1000
_MODULE = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_WORD = re.compile(r"[\w.\-]*")
_COUNTED = frozenset(b"TXBUCGJM")
"""Opcodes with counted or binary arguments, whose count is absurd where it is letters."""


def is_text(data: Data) -> bool:
    """Whether the beginning is UTF-8 without control characters, as far as one looks."""
    head = bytes(data[:_HEAD])
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3 or len(head) == len(data):
            return False
        text = head[: error.start].decode("utf-8")
    return all(character >= " " or character in "\t\r\n\f" for character in text) and "\x7f" not in text


def read_as_text(data: Data, limits: Limits) -> tuple[Reading, list[str]] | None:
    """What an unpickler makes of text, and the impossible names it asks for; None if it gets anywhere.

    None too where the text could be a pickle that was cut short, or names a module that could exist.
    """
    if not len(data) or not is_text(data):
        return None
    if data[-1:] == b"." and b" " not in data[:_HEAD]:
        return None  # it ends with STOP
    reading = survey(data, limits=dataclasses.replace(limits, pickle_opcodes=OPCODES), where="text")
    absurd = isinstance(reading.error, LimitError) and data[reading.end] in _COUNTED
    if not (isinstance(reading.error, FormatError | UnsupportedError) or absurd) or reading.extensions:
        return None
    if not all(_impossible(node) for node in reading.globals):
        return None
    if not all(isinstance(call.callee, Global) for call in reading.calls):
        return None
    if any(type(pid.value) is not str or _WORD.fullmatch(pid.value) for pid in reading.persistent):
        return None
    if not reading.globals and _cut_short(data, reading):
        return None
    return reading, [node.dotted for node in reading.globals]


def _impossible(node: Global) -> bool:
    """A name that no import statement could reach, and that imitates none that does harm."""
    if _MODULE.fullmatch(node.module) is not None:
        return False
    return classify(node.module, node.name)[0] == UNKNOWN


def _cut_short(data: Data, reading: Reading) -> bool:
    """Whether the fault is that the data end, as in a pickle of which the rest is missing."""
    assert reading.error is not None
    if "ends" not in reading.error.what:
        return False
    if reading.end >= len(data):
        return True
    opcode = data[reading.end]
    if opcode in _COUNTED:
        return len(data) - reading.end <= 5  # else its count is letters
    line = bytes(data[reading.end + 1 : reading.end + 400]).partition(b"\n")[0].decode("utf-8", "replace")
    return opcode not in b"ci" or _MODULE.fullmatch(line) is not None


def called_from(data: Data, offset: int, limits: Limits) -> bool:
    """Whether the name at ``offset`` (the opcode GLOBAL or INST) would be called by an unpickler that starts there.

    Lists of words are full of ``cos`` and ``studios`` at the end of a line; a hidden pickle goes on behind the name.
    """
    window = bytes(data[max(0, offset - _BEFORE) : offset + _HEAD])
    place = offset - max(0, offset - _BEFORE)
    starts = [place]
    if window[place : place + 1] == b"i":  # it needs a MARK, and its arguments lie between
        starts = [index for index in range(place) if window[index : index + 1] == b"("][-_MARKS:]
    few = dataclasses.replace(limits, pickle_opcodes=_OPCODES_BEHIND)
    return any(survey(window, start=start, limits=few, where="text").calls for start in starts)


def looks_like_tensors(data: Data) -> bool:
    """Whether a safetensors header could begin here: a length within the file, then a brace."""
    head = bytes(data[:9])
    return len(head) == 9 and 2 <= int.from_bytes(head[:8], "little") <= len(data) - 8 and head[8:] == b"{"


def tensors_problem(data: Data, limits: Limits) -> ModelcrateError | None:
    """What is wrong with a safetensors file of any program; None if every reader agrees on what it holds."""
    from modelcrate.format.tensors import parse_header

    try:
        parse_header(memoryview(data), where="safetensors", limits=limits, foreign=True)
    except ModelcrateError as error:
        return error
    return None


def pickle_inside(data: Data, limits: Limits) -> bool:
    """Whether an unpickler that is given these bytes would ask for anything before it stops."""
    reading = survey(data, limits=limits, where="stream")
    return bool(reading.globals or reading.calls or reading.persistent or reading.extensions)
