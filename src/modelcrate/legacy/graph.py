"""The inert graph that a pickle describes: what it would build and call, as data.

A node never imports, calls or compares anything. Plain values stand for themselves: ``None``, ``bool``, ``int``,
``float``, ``str``, ``bytes``, ``list`` and ``tuple`` are Python's own (lists keep their identity, so sharing and cycles
survive). Everything that would hash, call or import is one of the node types below, compared by identity only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

Node: TypeAlias = object
"""A plain value, or one of the classes below."""


class Dict:
    """A dict: its assignments in order, as pairs; keys are nodes and are never hashed here."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: list[tuple[Node, Node]] | None = None) -> None:
        self.pairs: list[tuple[Node, Node]] = [] if pairs is None else pairs


class Set:
    """A set or (``frozen``) frozenset: its additions in order, never hashed here."""

    __slots__ = ("frozen", "items")

    def __init__(self, items: list[Node] | None = None, *, frozen: bool = False) -> None:
        self.items: list[Node] = [] if items is None else items
        self.frozen = frozen


class ByteArray:
    """A bytearray's content."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class Global:
    """A name that the pickle asks for: ``module`` and ``name`` as written, normalised nowhere.

    ``known`` is where :func:`modelcrate.legacy.names.name_of` keeps the one spelling that tables use.
    """

    __slots__ = ("known", "module", "name", "offset", "opcode")

    def __init__(self, module: str, name: str, *, offset: int, opcode: str) -> None:
        self.module = module
        self.name = name
        self.offset = offset
        self.opcode = opcode
        self.known: str | None = None

    @property
    def dotted(self) -> str:
        """``module.name``, as reports spell it; tables use :func:`modelcrate.legacy.names.canonical`."""
        return f"{self.module}.{self.name}"


class Call:
    """A call or construction that the pickle asks for, with all that it then does to the result.

    ``opcode`` is REDUCE, NEWOBJ, NEWOBJ_EX, INST or OBJ. ``states`` are the arguments of BUILD in order, ``appended``
    the items of APPEND/APPENDS/ADDITEMS, ``assigned`` the pairs of SETITEM/SETITEMS. The three are empty tuples until
    the first such opcode, because most calls have none.
    """

    __slots__ = ("appended", "args", "assigned", "callee", "kwargs", "offset", "opcode", "states")

    def __init__(self, callee: Node, args: tuple[Node, ...], kwargs: Dict | None, *, offset: int, opcode: str) -> None:
        self.callee = callee
        self.args = args
        self.kwargs = kwargs
        self.offset = offset
        self.opcode = opcode
        self.states: Sequence[Node] = ()
        self.appended: Sequence[Node] = ()
        self.assigned: Sequence[tuple[Node, Node]] = ()

    def build(self, state: Node) -> None:
        """What BUILD does: one more state."""
        if isinstance(self.states, list):
            self.states.append(state)
        else:
            self.states = [state]

    def extend(self, items: list[Node]) -> None:
        """What APPEND, APPENDS and ADDITEMS do; takes the list over."""
        if isinstance(self.appended, list):
            self.appended.extend(items)
        else:
            self.appended = items

    def assign(self, pairs: list[tuple[Node, Node]]) -> None:
        """What SETITEM and SETITEMS do; takes the list over."""
        if isinstance(self.assigned, list):
            self.assigned.extend(pairs)
        else:
            self.assigned = pairs


class PersistentId:
    """What PERSID or BINPERSID hands to the container; only a container format gives it a meaning."""

    __slots__ = ("offset", "value")

    def __init__(self, value: Node, *, offset: int) -> None:
        self.value = value
        self.offset = offset


class Extension:
    """A copyreg extension code: its meaning lies in another process's registry, so it has none here."""

    __slots__ = ("code", "offset")

    def __init__(self, code: int, *, offset: int) -> None:
        self.code = code
        self.offset = offset


class OutOfBandBuffer:
    """A NEXT_BUFFER: the bytes travel beside the pickle."""

    __slots__ = ("index", "offset", "readonly")

    def __init__(self, index: int, *, offset: int) -> None:
        self.index = index
        self.offset = offset
        self.readonly = False


class Unknown:
    """Something that the stream leaves undefined; only a tolerant reading holds any."""

    __slots__ = ("offset", "why")

    def __init__(self, why: str, *, offset: int) -> None:
        self.why = why
        self.offset = offset


def describe(node: Node) -> str:
    """What a node is, in a few words and without looking inside: ``Call(pandas.core.series.Series)``."""
    if isinstance(node, Global):
        return f"the global {node.dotted[:200]}"
    if isinstance(node, Call):
        callee = node.callee
        inner = callee.dotted[:200] if isinstance(callee, Global) else type(callee).__name__
        return f"Call({inner})"
    if isinstance(node, Dict):
        return "a dict"
    if isinstance(node, Set):
        return "a frozenset" if node.frozen else "a set"
    if isinstance(node, PersistentId):
        return "a persistent id"
    if node is None:
        return "None"
    names = {bool: "a bool", int: "an int", float: "a float", str: "text", list: "a list", tuple: "a tuple"}
    return names.get(type(node), type(node).__name__)
