"""What a scan reports: findings, one report a file, and inert renderings of what would have been called."""

from __future__ import annotations

from dataclasses import dataclass, field

from modelcrate.errors import printable
from modelcrate.legacy.graph import (
    ByteArray,
    Call,
    Dict,
    Extension,
    Global,
    Node,
    OutOfBandBuffer,
    PersistentId,
    Set,
    Unknown,
)

ORDER = ("data", "unrecognised", "broken", "unknown", "dangerous")
"""Verdicts from best to worst; a file has the worst that anything in it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not plain data.

    ``name`` is the global as written (or what stands in its place), ``offset`` the byte in the stream ``member``
    (empty for the file itself), ``call`` what would have been called, ``reason`` why it matters, in a sentence.
    """

    verdict: str
    name: str
    reason: str
    offset: int | None = None
    opcode: str = ""
    call: str = ""
    member: str = ""

    def to_dict(self) -> dict[str, object]:
        """Plain JSON, every text printable."""
        return {
            "global": printable(self.name),
            "verdict": self.verdict,
            "offset": self.offset,
            "opcode": self.opcode,
            "call": printable(self.call),
            "reason": printable(self.reason),
            "member": printable(self.member),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanReport:
    """The verdict on one file: ``data``, ``unknown``, ``dangerous``, ``broken`` or ``unrecognised``.

    ``globals`` are all names that its pickles ask for, known ones included.
    """

    path: str
    verdict: str
    kind: str
    findings: list[Finding] = field(default_factory=list)
    globals: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, object]:
        """Plain JSON, every text printable."""
        return {
            "path": printable(self.path, limit=4096),
            "verdict": self.verdict,
            "kind": self.kind,
            "findings": [finding.to_dict() for finding in self.findings],
            "globals": [printable(name) for name in self.globals],
        }


def worst(verdicts: list[str]) -> str:
    """The worst of some verdicts; of none, ``unrecognised``."""
    return max(verdicts, key=ORDER.index, default="unrecognised")


def render(node: Node, *, limit: int = 240) -> str:
    """A node as text, for people: inert, bounded in depth, width and length."""
    text = _render(node, 0)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _render(node: Node, depth: int) -> str:
    if isinstance(node, str):
        return repr(node if len(node) <= 80 else node[:80] + "…")
    if isinstance(node, (bytes, ByteArray)):
        data = node if isinstance(node, bytes) else node.data
        return repr(data) if len(data) <= 40 else f"{data[:40]!r}… ({len(data)} bytes)"
    if isinstance(node, int) and not isinstance(node, bool):
        return str(node) if node.bit_length() <= 256 else f"<integer of {node.bit_length()} bits>"
    if node is None or isinstance(node, (bool, float)):
        return repr(node)
    if isinstance(node, Global):
        return node.dotted[:120]
    if depth >= 3:
        return "…"
    if isinstance(node, Call):
        kwargs = [] if node.kwargs is None else [f"**{_render(node.kwargs, depth + 1)}"]
        inner = [_render(arg, depth + 1) for arg in node.args[:6]] + (["…"] if len(node.args) > 6 else []) + kwargs
        return f"{_render(node.callee, depth + 1)}({', '.join(inner)})"
    if isinstance(node, (list, tuple, Set)):
        items = node.items if isinstance(node, Set) else node
        inner = [_render(item, depth + 1) for item in items[:4]] + (["…"] if len(items) > 4 else [])
        open_, close = ("[", "]") if isinstance(node, list) else ("(", ")") if isinstance(node, tuple) else ("{", "}")
        return open_ + ", ".join(inner) + close
    if isinstance(node, Dict):
        inner = [f"{_render(key, depth + 1)}: {_render(value, depth + 1)}" for key, value in node.pairs[:4]]
        return "{" + ", ".join(inner + (["…"] if len(node.pairs) > 4 else [])) + "}"
    if isinstance(node, PersistentId):
        return f"<persistent id {_render(node.value, depth + 1)}>"
    if isinstance(node, Extension):
        return f"<extension {node.code}>"
    if isinstance(node, OutOfBandBuffer):
        return f"<buffer {node.index}>"
    if isinstance(node, Unknown):
        return f"<{node.why}>"
    return "…"
