"""Walking a graph with types: what a family module asks of a node, with the path in every error.

``View`` is to a legacy object what ``Fields`` is to a document: nothing is taken on trust, and an error reads like
``ACTGAN._model._transformer: expected a list, found Call(pandas.core.series.Series)``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.legacy.context import Context
from modelcrate.legacy.graph import Call, Dict, Global, Node, Set, describe
from modelcrate.legacy.names import callee_of, canonical, name_of, torch_name

if TYPE_CHECKING:
    import numpy as np

    from modelcrate.legacy.storages import Tensor
    from modelcrate.legacy.values.frames import FrameData, IndexData, SeriesData

MAPPINGS = frozenset({"collections.OrderedDict", "collections.defaultdict", "collections.Counter"})
SEQUENCES = frozenset({"builtins.list", "builtins.tuple", "builtins.set", "builtins.frozenset", "collections.deque"})


class View:
    """One node, where it is (``path``), and what the conversion carries along (``context``)."""

    __slots__ = ("_attributes", "context", "node", "path")

    def __init__(self, node: Node, path: str, context: Context) -> None:
        self.node = node
        self.path = path
        self.context = context
        self._attributes: dict[str, Node] | None = None

    # -- what it is

    def describe(self) -> str:
        """The node in a few words, for messages."""
        return describe(self.node)

    def is_none(self) -> bool:
        """Whether it is None."""
        return self.node is None

    @property
    def class_name(self) -> str | None:
        """The canonical dotted name of the class that an object is an instance of, else None."""
        made = _instance(self.node)
        return None if made is None else made[0]

    @property
    def global_name(self) -> str | None:
        """The canonical dotted name, if it is a global itself (a class or a function)."""
        return name_of(self.node)

    @property
    def callee(self) -> str | None:
        """The canonical dotted name of what is called, if it is a call of a global."""
        return callee_of(self.node)

    def args(self) -> list[View]:
        """The arguments of a call."""
        if not isinstance(self.node, Call):
            raise self._wrong("a call")
        return [self._child(arg, f"({index})") for index, arg in enumerate(self.node.args)]

    def same(self, other: View) -> bool:
        """Whether both are the very same object."""
        return self.node is other.node

    # -- attributes of an instance

    def attributes(self, *names: str) -> View:
        """The view itself, checked to be an instance of exactly one of ``names``, its attributes readable by ``[]``.

        Instances made by NEWOBJ, ``copyreg.__newobj__``, ``copyreg._reconstructor``, ``object.__new__`` forms, INST and
        OBJ are understood; their states (dicts, or (dict, slots) pairs) are merged in order.

        :raises FormatError: no such instance, or a state that is no set of attributes.
        """
        made = _instance(self.node)
        if made is None or made[0] not in names:
            wanted = names[0] if len(names) == 1 else f"one of {', '.join(names[:6])}"
            raise self._wrong(f"an instance of {wanted}")
        if not isinstance(self.node, Call):
            raise self._wrong("an instance")
        found: dict[str, Node] = {}
        for state in self.node.states:
            _merge_state(state, found, self.path)
        view = View(self.node, self.path, self.context)
        view._attributes = found
        return view

    def names(self) -> tuple[str, ...]:
        """The attributes' names, or the keys of a text-keyed mapping, in order."""
        return tuple(self._named())

    def __getitem__(self, name: str) -> View:
        named = self._named()
        if name not in named:
            raise FormatError(f"the attribute {name!r} is missing", where=self.path)
        return self._child(named[name], self._step(name))

    def get(self, name: str) -> View | None:
        """The attribute, or None where it is absent."""
        named = self._named()
        return self._child(named[name], self._step(name)) if name in named else None

    def __contains__(self, name: object) -> bool:
        return name in self._named()

    def _named(self) -> dict[str, Node]:
        if self._attributes is None:
            found: dict[str, Node] = {}
            for key, value in self._raw_pairs():
                if type(key) is not str:
                    raise FormatError("a mapping with keys that are no text", where=self.path)
                found[key] = value
            self._attributes = found
        return self._attributes

    def _step(self, name: str) -> str:
        return f".{name}" if isinstance(self.node, Call) and name.isidentifier() else f"[{name[:60]!r}]"

    def _child(self, node: Node, step: str) -> View:
        path = self.path + step
        if len(path) > 400:
            path = "…" + path[-300:]
        return View(node, path, self.context)

    # -- scalars

    def text(self) -> str:
        """A text without lone surrogates, or a NumPy one as str."""
        text = self._scalar()
        if type(text) is not str:
            raise self._wrong("text")
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise FormatError("text with a lone surrogate", where=self.path)
        return text

    def integer(self) -> int:
        """An int, or a NumPy integer scalar as int; never a bool."""
        value = self._scalar()
        if type(value) is not int:
            raise self._wrong("an integer")
        return value

    def number(self) -> float:
        """A float or an int, or a NumPy one, as float; NaN and infinities pass."""
        value = self._scalar()
        if not (type(value) is int or type(value) is float):
            raise self._wrong("a number")
        try:
            return float(value)
        except OverflowError:
            raise FormatError("an integer beyond the float range", where=self.path) from None

    def finite(self) -> float:
        """A number that is neither NaN nor infinite."""
        value = self.number()
        if not math.isfinite(value):
            raise FormatError("expected a finite number", where=self.path)
        return value

    def boolean(self) -> bool:
        """A bool, or a NumPy bool scalar as bool."""
        value = self._scalar()
        if type(value) is not bool:
            raise self._wrong("true or false")
        return value

    def _scalar(self) -> object:
        if callee_of(self.node) == "numpy.core.multiarray.scalar":
            from modelcrate.legacy.values.arrays import scalar_of

            made: object = scalar_of(self.node, self.context, self.path).item()
            return made
        return self.node

    # -- containers

    def items(self) -> list[View]:
        """The items of a list, tuple, set, frozenset or deque, in stream order."""
        node = self.node
        found: list[Node] | tuple[Node, ...] | None = None
        if isinstance(node, (list, tuple)):
            found = node
        elif isinstance(node, Set):
            found = node.items
        elif isinstance(node, Call) and callee_of(node) in SEQUENCES:
            from modelcrate.legacy.values.plain import sequence_items

            found = sequence_items(node, self.path)
        if found is None:
            raise self._wrong("a list")
        self.context.charge_items(len(found), self.path)
        return [self._child(item, f"[{index}]") for index, item in enumerate(found)]

    def mapping(self) -> dict[str, View]:
        """A dict, OrderedDict or defaultdict with text keys, in order; a key set twice keeps its first place."""
        found: dict[str, View] = {}
        for given, value in self._raw_pairs():
            key = given if type(given) is str else View(given, self.path, self.context)._scalar()
            if type(key) is not str:
                raise FormatError(f"a mapping with a key that is no text ({describe(given)})", where=self.path)
            found[key] = self._child(value, f"[{key[:60]!r}]")
        self.context.charge_items(len(found), self.path)
        return found

    def pairs(self) -> list[tuple[View, View]]:
        """The pairs of a mapping with any keys, in stream order, duplicates and all."""
        pairs = self._raw_pairs()
        self.context.charge_items(len(pairs), self.path)
        return [
            (self._child(key, f"{{key {index}}}"), self._child(value, f"{{{index}}}"))
            for index, (key, value) in enumerate(pairs)
        ]

    def _raw_pairs(self) -> list[tuple[Node, Node]]:
        node = self.node
        if isinstance(node, Dict):
            return node.pairs
        if isinstance(node, Call) and callee_of(node) in MAPPINGS:
            from modelcrate.legacy.values.plain import mapping_pairs

            return mapping_pairs(node, self.path)
        raise self._wrong("a mapping")

    def __iter__(self) -> Iterator[View]:
        return iter(self.items())

    # -- arrays and values

    def array(self) -> np.ndarray:
        """An ndarray."""
        from modelcrate.legacy.values.arrays import array_of

        return array_of(self.node, self.context, self.path)

    def dtype(self) -> np.dtype[np.generic]:
        """A NumPy dtype, or a NumPy scalar type in its place."""
        from modelcrate.legacy.values.arrays import dtype_of

        return dtype_of(self.node, self.context, self.path)

    def tensor(self) -> Tensor:
        """A PyTorch tensor or parameter."""
        from modelcrate.legacy.storages import tensor_of

        return tensor_of(self.node, self.context, self.path)

    def series(self) -> SeriesData:
        """A pandas Series."""
        from modelcrate.legacy.values.frames import series_of

        return series_of(self.node, self.context, self.path)

    def frame(self) -> FrameData:
        """A pandas DataFrame."""
        from modelcrate.legacy.values.frames import frame_of

        return frame_of(self.node, self.context, self.path)

    def index(self) -> IndexData:
        """A pandas Index."""
        from modelcrate.legacy.values.frames import index_of

        return index_of(self.node, self.context, self.path)

    def value(self) -> object:
        """Any supported plain value, see :func:`modelcrate.legacy.values.plain.value_of`."""
        from modelcrate.legacy.values.plain import value_of

        return value_of(self.node, self.context, self.path)

    def enum(self, *names: str) -> object:
        """The value behind a member of one of these enum classes: ``Colour(2)`` gives 2, a name lookup the name."""
        node = self.node
        if isinstance(node, Call) and callee_of(node) in names and len(node.args) == 1 and not node.states:
            value = self._child(node.args[0], ".value")
            if type(value.node) not in (int, str):
                raise value._wrong("the number or the text of a member")
            return value.node
        if isinstance(node, Call) and callee_of(node) == "builtins.getattr" and len(node.args) == 2:
            owner, member = node.args
            if name_of(owner) in names and type(member) is str:
                return member
        if isinstance(node, Global) and "." in node.name:
            owner_name, _, member_name = node.name.rpartition(".")
            if canonical(node.module, owner_name) in names:
                return member_name
        raise self._wrong(f"a member of {' or '.join(names)}")

    def _wrong(self, wanted: str) -> FormatError:
        return FormatError(f"expected {wanted}, found {describe(self.node)}", where=self.path)


def _instance(node: Node) -> tuple[str, tuple[Node, ...]] | None:
    """Class name and constructor arguments of an instance, in any of the spellings of protocols 0 to 5."""
    if not isinstance(node, Call):
        return None
    name = _class_name(node.callee)
    if name is None:
        return None
    if name == "copyreg._reconstructor" and len(node.args) == 3:
        inner = _class_name(node.args[0])
        plain = name_of(node.args[1]) == "builtins.object" and node.args[2] is None
        return (inner, ()) if inner is not None and plain else None
    if name in ("copyreg.__newobj__", "copyreg.__newobj_ex__") and node.args:
        inner = _class_name(node.args[0])
        return (inner, node.args[1:]) if inner is not None else None
    if name == "builtins.object" and not node.args:
        return None
    return (name, node.args)


def _class_name(node: Node) -> str | None:
    return name_of(node) or torch_name(node)


def _merge_state(state: Node, into: dict[str, Node], where: str) -> None:
    """What object.__reduce_ex__ hands to BUILD: a dict, None, or (dict or None, slots)."""
    parts = state if type(state) is tuple and len(state) == 2 else (state,)
    for part in parts:
        if part is None:
            continue
        if not isinstance(part, Dict):
            raise UnsupportedError(f"an object whose state is {describe(part)}", where=where)
        for key, value in part.pairs:
            if type(key) is not str:
                raise FormatError("an attribute whose name is no text", where=where)
            into[key] = value
