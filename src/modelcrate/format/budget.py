"""What one state document may make a reader build, counted before it is built (FORMAT.md 9.1)."""

from __future__ import annotations

from modelcrate.errors import LimitError
from modelcrate.limits import Limits

MAP_ITEMS = 4
"""What a map costs beyond its keys and values, in items of the budget: an empty one takes 64 bytes of memory."""
CONTAINER_ITEMS = 1
"""What a list or an extension costs beyond its items."""
WIDE_TEXT = 4
"""Bytes that a character beyond ASCII can take in memory for every byte in the file."""


class Budget:
    """Counts down the items and the text of one document; both sides of the codec charge the same."""

    __slots__ = ("depth", "items", "text")

    def __init__(self, limits: Limits) -> None:
        self.items = limits.state_items - 1  # the document itself is one
        self.text = limits.state_text_bytes
        self.depth = limits.state_depth

    def enter(self, depth: int, items: int) -> None:
        """Charge a list or map that stands inside of ``depth`` others."""
        if depth >= self.depth:
            raise LimitError(f"the document is nested deeper than {self.depth}")
        self.take_items(items)

    def take_items(self, count: int) -> None:
        self.items -= count
        if self.items < 0:
            raise LimitError("the document holds more items than the limit allows")

    def take_text(self, raw: bytes, text: str) -> None:
        self.text -= len(raw) if text.isascii() else WIDE_TEXT * len(raw)
        if self.text < 0:
            raise LimitError("the document holds more text than the limit allows")
