"""The header of a NumPy ``.npy`` file as a scan sees it: where the data begin, and whether they are a pickle."""

from __future__ import annotations

import re
from dataclasses import dataclass

from modelcrate.legacy.stream import Data

_SHAPE = r"(?:[0-9]{1,19}L?, ?){0,63}(?:[0-9]{1,19}L?)?"
_HEADER = re.compile(
    r"\{'descr': (.{1,60000}), 'fortran_order': (?:True|False), 'shape': \((" + _SHAPE + r")\),? ?\}\s*", re.DOTALL
)
_DESCRIPTION = re.compile(r"""(?:'[^'\\]*'|"[^"\\]*"|[\[\](), 0-9L])+""")
_PLAIN_DTYPE = re.compile(r"'[<>=|]?([biufcmMSUV])([0-9]{1,9})(?:\[[a-zA-Z0-9]+\])?'")


@dataclass(frozen=True, slots=True, kw_only=True)
class NpyHeader:
    """``start`` is the offset of the data, ``objects`` says that they are a pickle, ``problem`` what is wrong."""

    start: int
    objects: bool = False
    problem: str | None = None


def npy_header(data: Data) -> NpyHeader:
    """Read the header without NumPy and without evaluating anything."""
    head = bytes(data[:12])
    if len(head) < 12 or head[6] not in (1, 2, 3):
        return NpyHeader(start=0, problem="an .npy file with a header that is none")
    wide = head[6] > 1
    length = int.from_bytes(head[8:12] if wide else head[8:10], "little")
    begin = 12 if wide else 10
    start = begin + length
    header = bytes(data[begin : begin + min(length, 1 << 16)]).decode("latin-1")
    match = _HEADER.fullmatch(header)
    if length > 1 << 16 or start > len(data) or match is None:
        return NpyHeader(start=begin, problem="an .npy file with a header that is none")
    description = match.group(1)
    if _DESCRIPTION.fullmatch(description) is None:
        return NpyHeader(start=start, problem="an .npy file whose dtype is none")
    plain = _PLAIN_DTYPE.fullmatch(description)
    if plain is None:
        named = re.sub(r"'[^']*'(?=, *['(\[])", "", description)
        return NpyHeader(start=start, objects="O" in named or "|O" in description)
    count = 1
    for size in match.group(2).replace("L", "").split(","):
        count *= int(size) if size.strip() else 1
    width = int(plain.group(2)) * (4 if plain.group(1) == "U" else 1)
    fits = count * width == len(data) - start
    return NpyHeader(start=start, problem=None if fits else "an .npy file whose data do not fill its shape")
