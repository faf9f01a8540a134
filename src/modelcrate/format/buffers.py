"""What the format layer takes as bytes, without asking numpy or torch what a buffer is."""

from __future__ import annotations

from typing import TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview
"""Bytes in memory; a memory-mapped file is a memoryview of its mapping."""


def byte_view(buffer: Buffer) -> memoryview:
    """A flat view of unsigned bytes over ``buffer``, without a copy (a non-contiguous buffer is copied)."""
    view = memoryview(buffer)
    if view.ndim == 1 and view.format == "B" and view.contiguous:
        return view
    if not view.c_contiguous:
        return memoryview(view.tobytes())
    return view.cast("B") if view.nbytes else memoryview(b"")
