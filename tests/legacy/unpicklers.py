"""CPython's two unpicklers side by side, with everything they would import or call replaced by inert things."""

from __future__ import annotations

import io
import pickle
from typing import Any


class Inert:
    """Stands for whatever a pickle names: takes any arguments, any state and any items, and does nothing."""

    def __new__(cls, *args: object, **kwargs: object) -> Inert:
        return object.__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None:
        self.said: list[object] = [args, sorted(kwargs, key=repr)]

    def __setstate__(self, state: object) -> None:
        self.note("state", state)

    def __setitem__(self, key: object, value: object) -> None:
        self.note("item", key, value)

    def append(self, item: object) -> None:
        self.note("append", item)

    def extend(self, items: Any) -> None:
        for item in items:
            self.note("append", item)

    def add(self, item: object) -> None:
        self.note("add", item)

    def note(self, *what: object) -> None:
        self.__dict__.setdefault("said", []).append(what)


def _named(self: Any, module: str, name: str) -> type[Inert]:
    if not (type(module) is str and type(name) is str):
        raise TypeError
    return Inert


class Fast(pickle.Unpickler):
    find_class = _named

    def persistent_load(self, pid: object) -> object:
        return ("pid", pid)


class Slow(pickle._Unpickler):  # type: ignore[name-defined]
    find_class = _named

    def persistent_load(self, pid: object) -> object:
        return ("pid", pid)


def outcome(kind: type, data: bytes, *, encoding: str = "ASCII") -> tuple[str, str]:
    """``ok`` with a description of the value, or ``error`` with the name of the exception."""
    stream = io.BytesIO(data)
    try:
        value = kind(stream, encoding=encoding).load()
    except Exception as error:
        return "error", type(error).__name__
    return "ok", shown(value)


def shown(value: object) -> str:
    """A description that does not depend on identity, with cycles cut."""
    names: dict[int, int] = {}
    out: list[str] = []
    pending: list[Any] = [value]
    kept = []
    while pending and len(out) < 20_000:
        item = pending.pop()
        if type(item) is _Text:
            out.append(item.text)
            continue
        kind = type(item)
        if kind in (int, float, complex, str, bytes, bool, type(None)):
            out.append(
                f"{kind.__name__}:{item!r}" if kind is not int or -(10**18) < item < 10**18 else f"int:{hex(item)}"
            )
            continue
        if id(item) in names:
            out.append(f"#{names[id(item)]}")
            continue
        names[id(item)] = len(names)
        kept.append(item)
        out.append(f"{kind.__name__}(")
        pending.append(_Text(")"))
        if kind in (list, tuple):
            pending.extend(reversed(item))
        elif kind in (set, frozenset):
            pending.extend(sorted(item, key=repr, reverse=True))
        elif kind is dict:
            for key, inner in reversed(list(item.items())):
                pending += [inner, key]
        elif kind is bytearray:
            out.append(repr(bytes(item)))
        elif isinstance(item, Inert):
            pending.append(item.__dict__.get("said"))
    return " ".join(out)


class _Text:
    def __init__(self, text: str) -> None:
        self.text = text


def disagree(data: bytes) -> str | None:
    """How the two differ on a stream, or None."""
    fast, slow = outcome(Fast, data), outcome(Slow, data)
    if fast[0] != slow[0]:
        return f"C {fast[0]} {str(fast[1])[:80]}, Python {slow[0]} {str(slow[1])[:80]}"
    if fast[0] == "ok" and fast[1] != slow[1]:
        return f"C gives {str(fast[1])[:200]}, Python {str(slow[1])[:200]}"
    return None
