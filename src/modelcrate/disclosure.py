"""What a crate discloses of its training data: every learnt value in its state documents, column by column.

What is listed is decided by what is *not*: keys that say how a column is treated are known by name
(:data:`STRUCTURE`), and everything else in a state document counts as taken from the training data. Network weights
were learnt from it as well; what they remember can't be listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from modelcrate.crate import open as open_crate
from modelcrate.format import values
from modelcrate.format.values import Value
from modelcrate.limits import DEFAULT, Limits
from modelcrate.storage.source import Location

EXAMPLES: Final = 3
"""Values shown of each kind."""
SHOWN: Final = 60
"""Characters of one of them."""

STRUCTURE: Final = frozenset({
    "$array", "$scalar", "a", "after", "anonymiser", "applied", "arguments", "aside", "attributes", "b", "before",
    "below", "between", "branches", "capacity", "clip", "column", "columns", "constraints", "difference",
    "discrete", "distances", "distribution", "divisor", "dtype", "encoding", "exact", "example", "feed", "fields",
    "first", "flag", "flagged", "floats", "forward", "guessed", "has_normal", "identifiers", "increment", "input",
    "item", "joint", "keeps_missing", "kept", "keywords", "kind", "label", "layout", "learns_digits", "locales",
    "made", "matched", "missing", "modelled", "name", "named", "noise", "nones", "number", "numeric", "numpy",
    "order", "ordered", "outputs", "parts", "patterns", "per_example", "position", "primary_key", "provider",
    "range", "recent", "relation", "renews", "replaces", "required", "resolution", "restarts", "reverse", "rounds",
    "rule", "scaled", "scrambled", "seed", "shadowed", "shape", "source", "stages", "start", "state", "states",
    "step", "steps", "strict", "task", "text", "texts", "time", "torch", "twisted", "type", "unknown", "used",
    "whole", "width", "written", "zone",
})  # fmt: skip
"""Keys whose values say how something is done, or stand for a container whose inner keys are looked at."""

KINDS: Final[Mapping[str, str]] = {
    "categories": "category", "classes": "category", "fallback": "category", "fallbacks": "category",
    "values": "value", "value": "value",
    "constant": "value", "seen": "made-up value", "stood_in": "made-up value", "left": "count", "repeats": "count",
    "distinct": "count", "counts": "count", "codes": "category", "minimum": "bound", "maximum": "bound",
    "bounds": "bound", "low": "bound", "high": "bound", "min": "bound", "max": "bound", "mean": "mean",
    "means": "mean", "middle": "mean", "centre": "mean", "loc": "mean", "fill": "mean", "fills": "mean",
    "offset": "mean", "std": "spread", "scale": "spread", "deviations": "spread", "scales": "spread",
    "offsets": "frequency", "starts": "frequency", "ends": "frequency", "cumulative": "frequency",
    "share": "frequency", "shares": "frequency", "weight": "frequency", "modes": "mode", "digits": "rounding",
    "rounded": "rounding", "unit": "rounding", "format": "format", "pattern": "pattern", "spare": "pattern",
    "combinations": "combination", "labels": "combination", "correlation": "correlation", "factor": "correlation",
    "freedom": "shape", "scores": "value", "features": "value", "key": "random state", "normal": "random state",
}  # fmt: skip
"""The kind of value at a key; a key that stands in neither table is listed as ``other``."""

_SPECIAL: Final[Mapping[tuple[str, str], str | None]] = {
    **{("inequality", key): None for key in ("low", "high")},
    **{("range", key): None for key in ("low", "middle", "high")},
    ("ascending", "labels"): None,
    ("binary", "digits"): None,
    ("tabular.sampler/1", "categories"): "count",
    **{(kind, "seen"): "missing cells" for kind in ("flag", "empty", "number", "timestamp")},
    **{(kind, "share"): "missing cells" for kind in ("flag", "empty", "number", "timestamp")},
}
"""Keys that mean something else inside of a type; None where they name columns or say how."""
_RANDOM_STATES: Final = frozenset({"tabular.random_state/1"})
"""Where a generator stood after training, which says nothing of the rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosed:
    """All values of one kind that one column of a component holds; ``nbytes`` as they are stored."""

    component: str
    column: str
    kind: str
    count: int
    nbytes: int
    examples: tuple[str, ...]


def disclosed(location: Location, *, limits: Limits = DEFAULT) -> tuple[Disclosed, ...]:
    """What the state documents of a crate hold of its training data, in their order; torch is not imported.

    Raises as :func:`modelcrate.crate.open`.
    """
    with open_crate(location, limits=limits) as crate:
        parts = [part for part in crate.values() if part.has_state]
        return tuple(found for part in parts for found in disclosed_by(part.name, part.type, part.state))


def disclosed_by(component: str, tag: str, document: Value) -> Iterator[Disclosed]:
    """The same of one component's state document, in format values."""
    groups: dict[tuple[str, str], list[Value]] = {}
    for column, kind, value in _leaves(document, tag):
        groups.setdefault((column, kind), []).append(value)
    for (column, kind), found in groups.items():
        yield Disclosed(
            component=component,
            column=column,
            kind=kind,
            count=sum(int(getattr(value, "size", 1)) for value in found),
            nbytes=sum(len(values.encode(value)) for value in found),
            examples=tuple(_shown(value) for value in found[:EXAMPLES]),
        )


def _leaves(document: Value, tag: str) -> Iterator[tuple[str, str, Value]]:
    """(column, kind, value) of every learnt value, in the document's order."""
    pending: list[tuple[str, str, str, Value]] = [] if tag in _RANDOM_STATES else [("", "", tag, document)]
    while pending:
        column, key, kind, value = pending.pop()
        if type(value) is dict:
            column = _column_of(value, column)
            named = value.get("type")
            kind = named if type(named) is str else kind
            inner = [(column, name, kind, item) for name, item in value.items()]
            pending.extend(reversed(inner))
        elif type(value) is list:
            pending.extend((column, key, kind, item) for item in reversed(value))
        elif value is not None:
            meant = _SPECIAL.get((kind, key), None if key in STRUCTURE else KINDS.get(key, "other"))
            if meant is not None:
                yield column, meant, value


def _column_of(value: Mapping[str, Value], outer: str) -> str:
    for key in ("name", "column"):
        name = value.get(key)
        if type(name) is str and name:
            return name
    columns = value.get("columns")
    if type(columns) is list and columns and all(type(item) is str for item in columns):
        return ", ".join(str(item) for item in columns)
    return outer


def _shown(value: Value) -> str:
    shape = getattr(value, "shape", None)
    if shape:
        return f"{getattr(value, 'dtype', '')} {'×'.join(map(str, shape))}"
    text = repr(value.item()) if hasattr(value, "item") else repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
