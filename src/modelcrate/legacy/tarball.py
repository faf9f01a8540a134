"""Members of a tar archive as a scan sees them: where they lie, and what no plain archive of files holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from modelcrate.legacy.stream import Data

_BLOCK = 512
_PLAIN = (b"0", b"\0", b"5", b"x", b"g", b"L")
_CUT = "a tar archive that is cut short"


@dataclass(frozen=True, slots=True, kw_only=True)
class TarMember:
    """One header: a regular file's bytes from ``start``, ``size`` of them; ``problems`` are about the archive."""

    name: str
    start: int
    size: int
    problems: tuple[str, ...] = ()


def tar_members(data: Data, most: int) -> Iterator[TarMember]:
    """The members in order, at most so many; nothing is unpacked, and links are reported and not followed."""
    position = 0
    for _ in range(most):
        block = bytes(data[position : position + _BLOCK])
        if len(block) < _BLOCK or not any(block):
            return
        try:
            size = int(block[124:136].rstrip(b"\0 ") or b"0", 8)
        except ValueError:
            yield TarMember(name="", start=0, size=0, problems=("a tar archive whose sizes are no numbers",))
            return
        problems = [] if block[156:157] in _PLAIN else ["a tar archive with links or devices"]
        if size < 0 or position + _BLOCK + size > len(data):
            problems.append(_CUT)
            size = max(0, min(size, len(data) - position - _BLOCK))
        name = block[:100].rstrip(b"\0").decode("latin-1")[:80]
        regular = block[156:157] in (b"0", b"\0")
        yield TarMember(name=name, start=position + _BLOCK, size=size if regular else 0, problems=tuple(problems))
        position += _BLOCK + (size + _BLOCK - 1) // _BLOCK * _BLOCK
