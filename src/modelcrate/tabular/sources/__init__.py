"""Where the cells of columns come from that no model learns: counters, patterns, made-up values."""

from __future__ import annotations

from modelcrate.format.document import Fields
from modelcrate.tabular.sources.base import Maker, Source
from modelcrate.tabular.sources.index import Index
from modelcrate.tabular.sources.made_up import MadeUp
from modelcrate.tabular.sources.pattern import Pattern

_KINDS: tuple[type[Source], ...] = (Index, Pattern, MadeUp)
SOURCES: dict[str, type[Source]] = {kind.tag: kind for kind in _KINDS}

__all__ = ["SOURCES", "Maker", "Source", "read_source"]


def read_source(fields: Fields) -> Source:
    """The source that a document describes. Raises :class:`FormatError`, and as patterns and providers do."""
    return SOURCES[fields.text("type", choices=tuple(SOURCES))].from_document(fields)
