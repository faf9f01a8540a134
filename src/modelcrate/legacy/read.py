"""Reading any legacy file into plain values: what unpickling would give, with inert records in place of objects.

Containers are Python's own, arrays NumPy's, tensors on the CPU with the storages that they share. Whatever else the
file holds becomes a :class:`~modelcrate.legacy.record.Record` of its class name, arguments and state. Nothing that the
file names is imported, called or looked up.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Generator, Hashable, Iterable
from typing import TYPE_CHECKING, Any, Final

from modelcrate.errors import FormatError, LimitError, UnsupportedError
from modelcrate.legacy import script
from modelcrate.legacy.context import Context
from modelcrate.legacy.graph import ByteArray, Call, Dict, Global, Node, PersistentId, Set, describe
from modelcrate.legacy.joblib import InlinePickle
from modelcrate.legacy.live import Tensors, torch_value
from modelcrate.legacy.names import callee_of, name_of, restored, torch_name
from modelcrate.legacy.reader import read_for_conversion
from modelcrate.legacy.record import Name, Record
from modelcrate.legacy.values import arrays, inline, plain, special
from modelcrate.legacy.view import View
from modelcrate.limits import DEFAULT, Limits

if TYPE_CHECKING:
    from modelcrate.storage.source import Location

DEPTH: Final = 500
"""Nested values: a module in a module takes three, and Python itself frees what is nested by recursion."""
KEY_DEPTH: Final = 8
"""Nested tuples in a key of a dict; hashing recurses."""
COLLISIONS: Final = 200
"""Keys of one dict with one hash; a dict of n such keys takes n² steps to build."""
_LEAVES: Final = frozenset([type(None), bool, int, float, str, bytes])
_FACTORIES: Final[dict[str, Callable[[], object]]] = {
    "builtins.list": list, "builtins.dict": dict, "builtins.set": set, "builtins.int": int, "builtins.float": float,
    "builtins.str": str, "builtins.tuple": tuple, "builtins.bool": bool,
}  # fmt: skip
_SINGLETONS: Final[dict[str, object]] = {"builtins.Ellipsis": Ellipsis, "builtins.NotImplemented": NotImplemented}
_MAPS: Final = ("collections.OrderedDict", "collections.defaultdict", "collections.Counter", "builtins.dict")
_SEQUENCES: Final = ("builtins.list", "builtins.tuple", "builtins.set", "builtins.frozenset", "collections.deque")

Steps = Generator[tuple[Node, str], Any, object]
"""Gives the parts that it needs, each with its path; gets their values; returns its own."""


def read_legacy(source: Location, *, verify: bool = True, limits: Limits = DEFAULT) -> Any:
    """The object in a pickle, joblib, ``torch.save`` or ``torch.jit.save`` file, as plain values; nothing in it is run.

    Containers, numbers, text, dates, NumPy arrays, and tensors on the CPU (dtype, shape, stride, and storages shared as
    in the file) are themselves; every other object, a whole ``torch.nn.Module`` too, is a ``Record`` of its class name,
    arguments and state; classes and functions are a ``Name``. What is shared or circular in the file is so in the
    result. Of TorchScript it is the module's attributes, one Record a module; the program is not looked at.
    Given a path, tensors stay in the file, mapped copy on write: writing to one changes it in memory only. So the file
    must stay as it is while they are in use: who overwrites it in place, as ``torch.save`` onto the same path does,
    changes them or ends the process. Give ``Path(source).read_bytes()`` where that can happen. Storages that are
    compressed or misaligned are copied. ``verify=False`` leaves out their checksums, and so does not touch their bytes.
    Raises FormatError for a broken file, IntegrityError for one whose sizes or checksums differ, PolicyError for one
    that asks for known harm, LimitError, StorageError, and UnsupportedError for tensors that are not dense and plain
    (sparse, quantised).
    """
    return values_of(read_for_conversion(source, script=True, verify=verify, limits=limits).root, aligned=True)


def values_of(view: View, *, aligned: bool = False) -> Any:
    """The value behind a view, as :func:`read_legacy` gives it.

    Without ``aligned``, tensors may lie at odd places of the mapped file: good for taking their bytes, no more.
    """
    return _Reader(view.context, aligned=aligned).read(view.node, view.path)


class _Reader:
    """One reading. Nested values are walked with a stack of generators, so depth is counted and never recursed."""

    def __init__(self, context: Context, *, aligned: bool) -> None:
        self.context = context
        self.tensors = Tensors(context, aligned=aligned)
        self.made: dict[int, object] = {}
        self.open: set[int] = set()
        self.again: set[int] = set()

    def read(self, root: Node, where: str) -> object:
        if type(root) in _LEAVES:
            return root
        stack: list[tuple[Node, Steps]] = [(root, self._steps(root, where))]
        result: object = None
        while stack:
            node, steps = stack[-1]
            try:
                child, path = steps.send(result)
            except StopIteration as done:
                stack.pop()
                result = self.made.setdefault(id(node), done.value)
                self.open.discard(id(node))
                continue
            if type(child) in _LEAVES:
                result = child
                continue
            if id(child) in self.made:
                result = self.made[id(child)]
                continue
            if id(child) in self.open and (type(child) is not tuple or id(child) in self.again):
                raise FormatError("a value that contains itself in a way that can't be made", where=path)
            if len(stack) >= DEPTH:
                raise LimitError(f"values nested deeper than {DEPTH}", where=path)
            self.context.charge_items(1, path)
            if id(child) in self.open:
                # A tuple in a circle: what holds it there was made before its items, so once round, and it is made.
                self.again.add(id(child))
            self.open.add(id(child))
            stack.append((child, self._steps(child, path if len(path) < 300 else "…" + path[-200:])))
            result = None
        return result

    def _steps(self, node: Node, where: str) -> Steps:
        if isinstance(node, list):
            return self._list(node, [], node, where)
        if isinstance(node, tuple):
            return self._tuple(node, where)
        if isinstance(node, Dict):
            return self._mapping(node, node.pairs, {}, "builtins.dict", where)
        if isinstance(node, Set):
            return self._set(node.items, node.frozen, where)
        if isinstance(node, Call):
            return self._called(node, where)
        return self._leaf(node, where)

    def _leaf(self, node: Node, where: str) -> Steps:
        yield from ()
        if isinstance(node, ByteArray):
            return bytearray(node.data)
        if isinstance(node, Global):
            return _named(name_of(node) or "?")
        if isinstance(node, PersistentId):
            name = torch_name(node)
            return self.tensors.whole(node, where) if name is None else Name(name)
        raise UnsupportedError(f"{describe(node)} is no value", where=where)

    # -- containers

    def _list(self, node: Node, made: Any, items: Iterable[Node], where: str) -> Steps:
        self.made[id(node)] = made  # before its items, which may refer to it
        for index, item in enumerate(items):
            made.append((yield item, f"{where}[{index}]"))
        return made

    def _tuple(self, items: Iterable[Node], where: str) -> Steps:
        found: list[object] = []
        for index, item in enumerate(items):
            found.append((yield item, f"{where}[{index}]"))
        return tuple(found)

    def _set(self, items: Iterable[Node], frozen: bool, where: str) -> Steps:
        found: list[Any] = []
        for item in items:
            found.append((yield item, f"{where}{{}}"))
        if not all(_is_key(item) for item in found):
            return Record(class_name="builtins.frozenset" if frozen else "builtins.set", items=found)
        _refuse_collisions(found, where)
        return frozenset(found) if frozen else set(found)

    def _mapping(
        self, node: Node, pairs: Iterable[tuple[Node, Node]], made: dict[Any, Any], kind: str, where: str
    ) -> Steps:
        self.made[id(node)] = made
        found: list[tuple[Any, Any]] = []
        for key, item in pairs:
            read = key if type(key) in _LEAVES else (yield key, f"{where} key")
            place = f"{where}.{key}" if type(key) is str and key.isidentifier() else f"{where}[{_short(key)}]"
            value = yield item, place
            found.append((read, value))
            if type(read) is str:
                made[read] = value
            elif not _is_key(read):
                raise UnsupportedError(f"a key of a {kind} that is {describe(key)}", where=where)
        if not all(type(key) is str for key, _ in found):
            _refuse_collisions([key for key, _ in found], where)
            made.clear()
            made.update(found)
        return made

    # -- calls

    def _called(self, node: Call, where: str) -> Steps:
        plainly = restored(node)
        assert isinstance(plainly, Call)
        name = callee_of(plainly)
        if name is not None:
            if self.tensors.is_tensor(name):
                return self.tensors.tensor(node, where)
            if name in _MAPS:
                return (yield from self._known_mapping(node, name, where))
            if name in _SEQUENCES:
                return (yield from self._known_sequence(node, name, where))
            if name in script.SEQUENCES or name == script.TAG:
                return (yield from self._typed(node, name, where))
            if name == inline.WRAPPER and len(plainly.states) == 2 and isinstance(plainly.states[1], InlinePickle):
                return (yield plainly.states[1].root, where)  # an array of objects, a pickle of its own
            try:
                if arrays.is_array(node) and _holds_objects(node):
                    return (yield from self._objects(node, where))
                return self._value(plainly, name, where)
            except UnsupportedError:
                pass  # an object like any other
        return (yield from self._record(node, where))

    def _value(self, node: Call, name: str, where: str) -> object:
        context = self.context
        if name == "torch.storage._load_from_bytes":
            return self.tensors.whole(node, where)
        if name in ("torch.device", "torch.Size"):
            return torch_value(node, name, where)
        if name in arrays.CALLEES:
            if arrays.is_array(node):
                return arrays.array_of(node, context, where).copy()
            return (arrays.scalar_of if arrays.is_scalar(node) else arrays.dtype_of)(node, context, where)
        if arrays.is_bytes(node):
            data = bytes(arrays.raw_bytes(node, where))
            return bytearray(data) if name == "builtins.bytearray" else data
        if name == inline.WRAPPER:
            return inline.inline_array_of(node, context, where)
        known = name in plain.SIMPLE or name in plain.ZONES or name in special.CALLEES
        if known or name.startswith(("pandas.", "pathlib.")):
            return plain.value_of(node, context, where)
        raise UnsupportedError("no plain value", where=where)

    def _objects(self, node: Call, where: str) -> Steps:
        """An array of objects, whose items are values like any other."""
        import numpy as np

        state = node.states[0]
        assert isinstance(state, tuple)  # _holds_objects looked
        size, fortran, items = state[1], state[3], list(state[4])
        shape = arrays.shape_of(size, where)
        count = 1
        for length in shape:
            count *= length
        if count != len(items):
            raise FormatError("an object array whose items do not fill its shape", where=where)
        flat: Any = np.empty(len(items), dtype=object)
        for index, item in enumerate(items):
            flat[index] = yield item, f"{where}[{index}]"
        return flat.reshape(shape, order="F" if fortran else "C")

    def _known_mapping(self, node: Call, name: str, where: str) -> Steps:
        metadata: Node = None
        bare = Call(node.callee, node.args, node.kwargs, offset=node.offset, opcode=node.opcode)
        bare.assigned = node.assigned
        for state in node.states:
            if not isinstance(state, Dict) or not all(key == "_metadata" for key, _ in state.pairs):
                return (yield from self._record(node, where))
            metadata = state.pairs[-1][1] if state.pairs else metadata
        pairs = plain.mapping_pairs(bare, where)
        if name == "collections.OrderedDict":
            made: dict[Any, Any] = OrderedDict()
            found = yield from self._mapping(node, pairs, made, name, where)
            if metadata is not None:
                vars(made)["_metadata"] = yield metadata, f"{where}._metadata"
            return found
        if name == "collections.defaultdict":
            factory = name_of(node.args[0]) if node.args else None
            return (yield from self._mapping(node, pairs, defaultdict(_FACTORIES.get(factory or "")), name, where))
        if name == "collections.Counter":
            counts: Any = yield from self._mapping(Dict(pairs), pairs, {}, name, where)
            return Counter(counts) if all(type(count) is int for count in counts.values()) else counts
        return (yield from self._mapping(node, pairs, {}, name, where))

    def _known_sequence(self, node: Call, name: str, where: str) -> Steps:
        items = plain.sequence_items(node, where)
        if name == "builtins.tuple":
            return (yield from self._tuple(items, where))
        if name in ("builtins.set", "builtins.frozenset"):
            return (yield from self._set(items, name == "builtins.frozenset", where))
        if name == "builtins.list":
            return (yield from self._list(node, [], items, where))
        length = node.args[1] if len(node.args) == 2 else None
        if not (length is None or (type(length) is int and 0 <= length < 2**31)):
            raise FormatError("a deque whose length is none", where=where)
        return (yield from self._list(node, deque(maxlen=length), items, where))

    def _typed(self, node: Call, name: str, where: str) -> Steps:
        """A value of TorchScript beside what it says of its type."""
        tag = node.args[1] if name == script.TAG and len(node.args) == 2 else ""
        if type(tag) is not str or len(node.args) != (2 if name == script.TAG else 1) or node.states or node.appended:
            raise FormatError(f"a call of {name} with other arguments than TorchScript writes", where=where)
        return (yield node.args[0], where)

    def _record(self, node: Call, where: str) -> Steps:
        """Any other object: its class by name, everything else as values."""
        name, args = _class_and_args(node)
        if name == "uuid.UUID":
            return plain.uuid_of(node, where)
        made = Record(class_name=name)
        self.made[id(node)] = made
        made.args = (yield args, f"{where}()") if args else ()
        if node.kwargs is not None:
            made.kwargs = yield node.kwargs, f"{where}(**)"
        attributes: dict[Any, Any] = {}
        others: list[object] = []
        for state in node.states:
            for part in state if type(state) is tuple and len(state) == 2 else (state,):
                if isinstance(part, Dict):
                    step = f"{where}" if all(type(key) is str for key, _ in part.pairs) else f"{where} state"
                    attributes.update((yield part, step))
                elif part is not None:
                    others.append((yield part, f"{where} state"))
        made.state = attributes or None
        if others:
            made.state = [attributes, *others] if attributes else others[0] if len(others) == 1 else others
        for index, item in enumerate(node.appended):
            made.items.append((yield item, f"{where}[{index}]"))
        for key, item in node.assigned:
            read = key if type(key) in _LEAVES else (yield key, f"{where} key")
            made.pairs.append((read, (yield item, f"{where}[{_short(key)}]")))
        return made


def _named(name: str) -> object:
    from modelcrate.legacy.live import dtype_named

    if name in _SINGLETONS:
        return _SINGLETONS[name]
    dtype = dtype_named(name)
    if dtype is not None:
        return dtype
    if name == "pandas._libs.missing.NA":
        from modelcrate.format.values import Missing

        return Missing.NA
    return Name(name)


def _class_and_args(node: Call) -> tuple[str, tuple[Node, ...]]:
    """The class that an object is of, however the stream spells it, and the arguments."""
    callee = node.callee
    name, args = torch_name(callee) or name_of(callee), node.args
    if name in ("copyreg._reconstructor", "copyreg.__newobj__", "copyreg.__newobj_ex__") and args:
        inner, rest = torch_name(args[0]) or name_of(args[0]), args[1:]
        if inner is None and isinstance(args[0], Call):
            inner = _by_value(args[0])
        if inner is not None:
            plain_object = name == "copyreg._reconstructor" and len(rest) == 2 and rest[1] is None
            return inner, () if plain_object else rest
    if name is None and isinstance(callee, Call):
        name = _by_value(callee)
    return name or describe(callee), args


def _by_value(node: Call) -> str:
    """The name of a class that cloudpickle put into the file itself."""
    if callee_of(node) == "cloudpickle.cloudpickle._make_skeleton_class" and len(node.args) >= 4:
        name, keywords = node.args[1], node.args[3]
        module = "__main__"
        if isinstance(keywords, Dict):
            module = next((str(value) for key, value in keywords.pairs if key == "__module__"), module)
        if type(name) is str:
            return f"{module}.{name}"
    return describe(node)


def _holds_objects(node: Call) -> bool:
    state = node.states[0] if len(node.states) == 1 else None
    kind = name_of(node.args[0]) if node.args else None
    return type(state) is tuple and len(state) == 5 and type(state[4]) is list and kind == "numpy.ndarray"


def _is_key(key: object, depth: int = 0) -> bool:
    """Whether a value may be hashed: plain, immutable, and not nested deep."""
    if type(key) is tuple:
        return depth < KEY_DEPTH and all(_is_key(item, depth + 1) for item in key)
    return isinstance(key, Hashable) and (type(key) in _LEAVES or type(key).__module__ in _SAFE_MODULES)


_SAFE_MODULES: Final = frozenset(["datetime", "decimal", "fractions", "uuid", "builtins"]) - {"builtins"}


def _refuse_collisions(keys: list[Any], where: str) -> None:
    """Numbers whose hashes were chosen to be equal; text is salted by Python itself."""
    if len(keys) <= COLLISIONS:
        return
    worst = Counter(hash(key) for key in keys if type(key) is not str)
    distinct = Counter(hash(key) for key in {(type(key), repr(key)[:64]): key for key in keys}.values())
    if any(count > COLLISIONS and distinct[value] > COLLISIONS for value, count in worst.items()):
        raise LimitError("keys chosen to have one hash, so that a dict of them takes hours to build", where=where)


def _short(key: Node) -> str:
    return repr(key[:60]) if type(key) is str else repr(key) if type(key) in (int, bool, float) else "…"
