"""The state of a learning-rate scheduler, or of anything like one, as a plain document.

``load_state_dict`` of torch's schedulers writes every key that it is given into ``__dict__``, methods' names too. So a
document is compared with the live scheduler first: keys that name something which isn't state are refused, lists that
go by parameter group must be as long as they are, and a value must be of the kind that it replaces.

Functions (the lambdas of ``LambdaLR``, a ``scale_fn``) are no data. torch leaves them out of ``state_dict()``; the live
scheduler's own are used after a restore.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from modelcrate.errors import FormatError, MismatchError, UsageError
from modelcrate.format.document import Fields
from modelcrate.format.values import Value
from modelcrate.nn import nested
from modelcrate.nn.nested import Tensors, TensorSink

PER_GROUP = frozenset(["base_lrs", "_last_lr", "lr_lambdas", "min_lrs", "max_lrs", "base_momentums", "max_momentums"])
"""Lists with one item for each parameter group; a shorter one would end in an IndexError in the middle of training."""
FUNCTIONS = frozenset(["lr_lambdas", "_scale_fn_custom"])
"""Keys that hold the attributes of callable objects, or None in place of a function."""
CHILDREN = "_schedulers"
DEPTH = 8
"""Schedulers inside schedulers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerState:
    """What ``state_dict()`` of a scheduler says, with the class name for messages."""

    kind: str
    state: Mapping[str, Any]

    @classmethod
    def capture(cls, scheduler: Any, *, where: str) -> SchedulerState:
        """Look at a live scheduler; UsageError for an object without a ``state_dict()`` that is a map of names."""
        return cls(kind=type(scheduler).__name__, state=_state_dict(scheduler, where))

    def to_document(self, *, where: str, sink: TensorSink) -> dict[str, Value]:
        """The document; UsageError, naming the path, for what is no data."""
        return {"class": self.kind, "state": nested.encode(dict(self.state), where=where, sink=sink)}

    @classmethod
    def from_document(cls, fields: Fields, tensors: Tensors, used: set[str]) -> SchedulerState:
        kind = fields.text("class", max_length=256)
        state = nested.read_map(fields, "state", tensors=tensors, used=used)
        fields.finish()
        return cls(kind=kind, state=state)

    def prepare(self, scheduler: Any, *, where: str, strict: bool = True) -> Callable[[], list[str]]:
        """Compare with a live scheduler, and return what restores it (and returns notes for the report).

        Raises MismatchError, before anything is changed, for another class (unless ``strict=False``), another number of
        parameter groups or of children, and values of another kind.
        """
        if strict and type(scheduler).__name__ != self.kind:
            raise MismatchError(f"saved by {self.kind}, restored into {type(scheduler).__name__}", where=where)
        notes: list[str] = []
        state = _checked(scheduler, self.state, where, notes, 0)

        def apply() -> list[str]:
            try:
                scheduler.load_state_dict(state)
            except (ValueError, TypeError, KeyError, IndexError, RuntimeError, AttributeError) as error:
                raise MismatchError(f"the scheduler refused its state: {error}", where=where) from error
            return notes

        return apply


def _state_dict(scheduler: Any, where: str) -> dict[str, Any]:
    try:
        found = scheduler.state_dict()
        if isinstance(found, dict) and all(type(key) is str for key in found):
            return dict(found)
    except (AttributeError, TypeError):
        pass
    raise UsageError(f"{type(scheduler).__name__} has no state_dict() that is a map of names", where=where)


def _checked(scheduler: Any, saved: Mapping[str, Any], where: str, notes: list[str], depth: int) -> dict[str, Any]:
    """A copy of ``saved`` that is safe to hand to ``scheduler.load_state_dict``."""
    live = _state_dict(scheduler, where)
    state: dict[str, Any] = {}
    for key, value in saved.items():
        place = f"{where}.{key}"
        if key == CHILDREN and isinstance(getattr(scheduler, CHILDREN, None), list | tuple):
            state[key] = _children(scheduler, value, place, notes, depth)
        elif key in live:
            state[key] = _value(key, live[key], value, scheduler, place, notes)
        elif key in getattr(scheduler, "__dict__", {}) or not _is_free(scheduler, key):
            raise FormatError("this name is no state of the scheduler", where=place)
        else:
            state[key] = value  # state that another version of the scheduler keeps, or that appears while it runs
    absent = sorted(set(live) - set(saved))
    if set(absent) & (PER_GROUP | FUNCTIONS | {CHILDREN, "last_epoch"}):
        raise MismatchError(f"{absent[0]!r} was not saved", where=where)
    if absent:
        notes.append(f"{where}: not saved, left as they are: {', '.join(absent)}")
    return state


def _children(scheduler: Any, saved: object, where: str, notes: list[str], depth: int) -> list[dict[str, Any]]:
    children = getattr(scheduler, CHILDREN)
    if not isinstance(saved, list) or not all(isinstance(item, dict) for item in saved) or depth >= DEPTH:
        raise FormatError("expected a list of maps", where=where)
    if len(saved) != len(children):
        raise MismatchError(f"saved with {len(saved)} schedulers, there are {len(children)}", where=where)
    return [
        _checked(child, item, f"{where}[{index}]", notes, depth + 1)
        for index, (child, item) in enumerate(zip(children, saved, strict=True))
    ]


def _value(key: str, live: Any, saved: Any, scheduler: Any, where: str, notes: list[str]) -> Any:
    if key in FUNCTIONS:
        return _functions(key, live, saved, scheduler, where, notes)
    if not nested.compatible(live, saved) and not _same_kind(live, saved):
        raise MismatchError("the saved value is of another kind", where=where)
    if key in PER_GROUP and isinstance(live, list) and len(saved) != len(live):
        raise MismatchError(f"saved for {len(saved)} parameter groups, there are {len(live)}", where=where)
    return saved


def _functions(key: str, live: Any, saved: Any, scheduler: Any, where: str, notes: list[str]) -> Any:
    """Attributes go onto a callable object that has them already; a function stays the live scheduler's own."""
    functions = getattr(scheduler, key, None)
    if not isinstance(functions, list):
        if (saved is None) != (live is None):
            raise MismatchError("a function here, an object with state there", where=where)
        if saved is None:
            if functions is not None:
                notes.append(f"{where}: a function is no data; the scheduler's own is used")
            return None
        return _attributes(functions, saved, where)
    if not isinstance(saved, list) or not isinstance(live, list) or len(saved) != len(live):
        raise MismatchError("not one entry for each parameter group", where=where)
    found: list[Any] = []
    for index, (function, ours, theirs) in enumerate(zip(functions, live, saved, strict=True)):
        if (theirs is None) != (ours is None):
            raise MismatchError("a function here, an object with state there", where=f"{where}[{index}]")
        found.append(None if theirs is None else _attributes(function, theirs, f"{where}[{index}]"))
    if None in found:
        notes.append(f"{where}: functions are no data; the scheduler's own are used")
    return found


def _attributes(function: Any, saved: Any, where: str) -> dict[str, Any]:
    own = getattr(function, "__dict__", None)
    if isinstance(function, types.FunctionType) or not isinstance(own, dict) or not isinstance(saved, dict):
        raise MismatchError("expected an object that has attributes", where=where)
    for name, value in saved.items():
        if name not in own or not (nested.compatible(own[name], value) or _same_kind(own[name], value)):
            raise MismatchError(f"the object has no attribute like the saved {name!r}", where=where)
    return saved


def _same_kind(live: Any, saved: Any) -> bool:
    """Lists and maps may have grown; a number may have become a tensor's."""
    return type(live) is type(saved) and isinstance(live, list | dict)


def _is_free(scheduler: object, key: str) -> bool:
    """Whether ``key`` can be an attribute without hiding anything that the class defines."""
    if not key.isidentifier() or key.startswith("__") or key == "optimizer":
        return False
    found = getattr(type(scheduler), key, None)
    return found is None or isinstance(found, bool | int | float | str)
