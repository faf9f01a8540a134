"""Anything at all out of the graph, as an inert description: classes become their name and attributes, code its name.

:func:`describe_value` never refuses a callee. What it knows as a value becomes that value, everything else an
:class:`ObjectData`; sharing and cycles survive, because the same node gives the same object.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from modelcrate.errors import UnsupportedError
from modelcrate.legacy.graph import ByteArray, Call, Dict, Global, Node, Set, describe
from modelcrate.legacy.names import callee_of, name_of
from modelcrate.legacy.values import arrays, plain, special

if TYPE_CHECKING:
    from modelcrate.legacy.context import Context


@dataclass(slots=True, kw_only=True, eq=False)
class ObjectData:
    """An object that the reader has no value for.

    ``kind`` is the canonical name of its class or of the function that would make it, ``args`` what that is given,
    ``attributes`` the merged states that are sets of attributes, ``state`` any other one, ``items`` and ``pairs`` what
    a list or dict subclass holds.
    """

    kind: str
    args: tuple[object, ...] = ()
    attributes: dict[str, object] = field(default_factory=dict)
    state: object = None
    items: list[object] = field(default_factory=list)
    pairs: list[tuple[object, object]] = field(default_factory=list)


def describe_value(node: Node, context: Context, where: str) -> object:
    """The value of a node, or its inert description.

    :raises LimitError: nested deeper or larger than the limits allow.
    """
    return _Describer(context).value(node, where, 0)


class _Describer:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.made: dict[int, object] = {}

    def value(self, node: Node, where: str, depth: int) -> object:
        if node is None or type(node) in (bool, int, float, str, bytes):
            return node
        self.context.charge_items(1, where)
        self.context.check_depth(depth, where)
        if isinstance(node, Global):
            return plain.named_value(node, where)
        if id(node) in self.made:
            return self.made[id(node)]
        return self._new(node, where, depth + 1)

    def _keep(self, node: Node, made: object) -> object:
        self.made[id(node)] = made
        return made

    def _new(self, node: Node, where: str, depth: int) -> object:
        if isinstance(node, list):
            found: list[object] = []
            self._keep(node, found)
            found.extend(self.value(item, f"{where}[]", depth) for item in node)
            return found
        if isinstance(node, tuple):
            items = tuple(self.value(item, f"{where}[]", depth) for item in node)
            return self.made.setdefault(id(node), items)
        if isinstance(node, Dict):
            mapping = plain.MappingData([])
            self._keep(node, mapping)
            self._fill(mapping.pairs, node.pairs, where, depth)
            return mapping
        if isinstance(node, Set):
            bag = plain.SetData([], node.frozen)
            self._keep(node, bag)
            bag.items.extend(self.value(item, f"{where}{{}}", depth) for item in node.items)
            return bag
        if isinstance(node, Call):
            return self._call(node, where, depth)
        if isinstance(node, ByteArray):
            return self._keep(node, bytearray(node.data))
        return self._keep(node, ObjectData(kind=describe(node)))

    def _fill(self, into: list[tuple[object, object]], pairs: list[tuple[Node, Node]], where: str, depth: int) -> None:
        for key, value in pairs:
            step = f"{where}[{key[:40]!r}]" if type(key) is str else f"{where}[...]"
            into.append((self.value(key, f"{where} key", depth), self.value(value, step, depth)))

    def _call(self, node: Call, where: str, depth: int) -> object:
        name = callee_of(node)
        if name in MAPPINGS:
            mapping = plain.MappingData([], name or "")
            self._keep(node, mapping)
            self._fill(mapping.pairs, plain.mapping_pairs(node, where), where, depth)
            return mapping
        if name in SEQUENCES:
            found: list[object] = []
            kept: object = found
            if name in ("builtins.set", "builtins.frozenset"):
                kept = plain.SetData(found, name == "builtins.frozenset")
            self._keep(node, kept)
            found.extend(self.value(item, f"{where}[]", depth) for item in plain.sequence_items(node, where))
            return self._keep(node, tuple(found)) if name == "builtins.tuple" else kept
        known = name is not None and (
            name in arrays.CALLEES or name in special.CALLEES or arrays.is_bytes(node) or name in plain.SIMPLE
            or name.startswith(("pandas.", "torch."))
        )  # fmt: skip
        if known:
            try:
                return self._keep(node, plain.value_of(node, self.context, where))
            except UnsupportedError:
                pass
        return self._object(node, name, where, depth)

    def _object(self, node: Call, name: str | None, where: str, depth: int) -> ObjectData:
        made = ObjectData(kind=name or describe(node.callee))
        self._keep(node, made)
        args = node.args
        if name in ("copyreg._reconstructor", "copyreg.__newobj__", "copyreg.__newobj_ex__") and args:
            made.kind = name_of(args[0]) or made.kind
            args = () if name == "copyreg._reconstructor" and args[2:] == (None,) else args[1:]
        made.args = tuple(self.value(arg, f"{where}()", depth) for arg in args)
        for state in node.states:
            self._state(made, state, where, depth)
        made.items.extend(self.value(item, f"{where}[]", depth) for item in node.appended)
        self._fill(made.pairs, list(node.assigned), where, depth)
        return made

    def _state(self, made: ObjectData, state: Node, where: str, depth: int) -> None:
        parts = state if type(state) is tuple and len(state) == 2 else (state,)
        if all(part is None or (isinstance(part, Dict) and _named(part)) for part in parts):
            for part in parts:
                if isinstance(part, Dict):
                    for key, value in part.pairs:
                        made.attributes[str(key)] = self.value(value, f"{where}.{str(key)[:60]}", depth)
        else:
            made.state = self.value(state, f"{where}.state", depth)


MAPPINGS = frozenset({"collections.OrderedDict", "collections.defaultdict", "collections.Counter"})
SEQUENCES = frozenset({
    "builtins.list", "builtins.tuple", "builtins.set", "builtins.frozenset", "collections.deque",
})  # fmt: skip


def _named(node: Dict) -> bool:
    return all(type(key) is str for key, _ in node.pairs)
