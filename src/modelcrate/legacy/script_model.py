"""TorchScript of PyTorch 1.0 to 1.2: ``model.json`` describes the modules and their tensors, ``tensors/`` holds these.

What comes out is the graph that a later release would have pickled into ``data.pkl``, so that nothing downstream
needs to know of two layouts. Field names are those of the JSON form of PyTorch's own protocol buffers (``ModelDef``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from modelcrate.errors import FormatError, LimitError, UnsupportedError
from modelcrate.format.jsontext import Json, parse
from modelcrate.legacy.graph import Call, Dict, Global, Node, PersistentId
from modelcrate.legacy.storages import ITEM_SIZES, STORAGE_DTYPES
from modelcrate.legacy.stream import Reading
from modelcrate.limits import Limits

if TYPE_CHECKING:
    from modelcrate.legacy.archive import Archive

MODEL: Final = "model.json"
_STORAGES: Final = {
    "FLOAT": "FloatStorage", "DOUBLE": "DoubleStorage", "FLOAT16": "HalfStorage", "BFLOAT16": "BFloat16Storage",
    "INT64": "LongStorage", "INT32": "IntStorage", "INT16": "ShortStorage", "INT8": "CharStorage",
    "UINT8": "ByteStorage", "BOOL": "BoolStorage",
}  # fmt: skip
_COUNT: Final = re.compile(r"[0-9]{1,18}")
_KEY: Final = re.compile(r"tensors/([0-9]{1,9})")
_NAME: Final = re.compile(r"[A-Za-z0-9_]{1,200}")


def read_model(archive: Archive, top: str, *, limits: Limits, where: str) -> Reading:
    """The module tree of ``model.json`` as the reading of a pickle that holds it.

    :raises FormatError: the document is not of that shape, or names a record that is not there.
    :raises LimitError: more modules, deeper ones, or a larger document than ``limits`` allows.
    :raises UnsupportedError: quantised tensors, dtypes without a plain storage.
    """
    place = f"{where}, {MODEL}"
    entry = archive.entry(top + MODEL)
    document = _map(parse(archive.read(entry), where=place, limits=limits), place)
    tensors = _list(document.get("tensors", []), place)
    if len(tensors) > limits.tensors:
        raise LimitError(f"more than {limits.tensors} tensors", where=place)
    reader = _Tree(archive, top, limits, place)
    nodes = [reader.tensor(_map(item, place), f"{place}, tensor {index}") for index, item in enumerate(tensors)]
    root = reader.tree(_map(document.get("mainModule", {}), place), nodes)
    return Reading(
        root=root, start=0, end=entry.size, protocol=2, opcodes=0, globals=[], calls=[], discarded=[], persistent=[],
        extensions=[], faults=[], blobs=[],
    )  # fmt: skip


class _Tree:
    def __init__(self, archive: Archive, top: str, limits: Limits, where: str) -> None:
        self.archive = archive
        self.top = top
        self.limits = limits
        self.where = where
        self.names = set(archive.names())

    def tree(self, main: dict[str, Json], tensors: list[Node]) -> Node:
        """The modules, walked with a list: each is made before those below it."""
        root = _object("Module")
        pending: list[tuple[dict[str, Json], Call, int]] = [(main, root, 0)]
        count = 0
        while pending:
            module, node, depth = pending.pop()
            count += 1
            if count > self.limits.modules or depth > self.limits.module_depth:
                raise LimitError("too many modules, or modules too deep in each other", where=self.where)
            held: dict[str, Node] = {}
            for item in _list(module.get("parameters", []), self.where):
                given = _map(item, self.where)
                number = _count(given.get("tensorId", "0"), self.where)
                if number >= len(tensors):
                    raise FormatError(f"a parameter is tensor {number} of {len(tensors)}", where=self.where)
                self._add(held, given, tensors[number])
            for item in _list(module.get("submodules", []), self.where):
                given, below = _map(item, self.where), _object("Module")
                self._add(held, given, below)
                pending.append((given, below, depth + 1))
            node.build(Dict(list(held.items())))
        return root

    def _add(self, held: dict[str, Node], given: dict[str, Json], node: Node) -> None:
        name = given.get("name")
        if type(name) is not str or _NAME.fullmatch(name) is None or name in held:
            raise FormatError("a parameter or module without a name of its own", where=self.where)
        held[name] = node

    def tensor(self, given: dict[str, Json], where: str) -> Node:
        """One tensor as the call that pickles make, over the record that holds it."""
        if given.get("isQuantized"):
            raise UnsupportedError("a quantised tensor can't be read", where=where)
        kind = _STORAGES.get(str(given.get("dataType", "FLOAT")))
        if kind is None:
            raise UnsupportedError(f"a tensor of type {given.get('dataType')!r}", where=where)
        record = _map(given.get("data", {}), where).get("key")
        found = _KEY.fullmatch(record) if type(record) is str else None
        if found is None or self.top + str(record) not in self.names:
            raise FormatError("a tensor whose record is not in the archive", where=where)
        width = ITEM_SIZES[STORAGE_DTYPES[f"torch.{kind}"] or "U8"]
        size = self.archive.entry(self.top + str(record)).size
        storage = ("storage", _name("torch", kind), found.group(1), "cpu", size // width)
        learns = given.get("requiresGrad", False)
        args: tuple[Node, ...] = (
            PersistentId(storage, offset=0),
            _count(given.get("offset", "0"), where),
            tuple(_count(item, where) for item in _list(given.get("dims", []), where)),
            tuple(_count(item, where) for item in _list(given.get("strides", []), where)),
            learns is True,
            Dict(),
        )
        return _call("torch._utils", "_rebuild_tensor_v2", args)


def _name(module: str, name: str) -> Global:
    return Global(module, name, offset=0, opcode="GLOBAL")


def _call(module: str, name: str, args: tuple[Node, ...]) -> Call:
    return Call(_name(module, name), args, None, offset=0, opcode="REDUCE")


def _object(name: str) -> Call:
    return Call(_name("__torch__", name), (), None, offset=0, opcode="NEWOBJ")


def _map(value: Json, where: str) -> dict[str, Json]:
    if type(value) is not dict:
        raise FormatError("something that is no map where one belongs", where=where)
    return value


def _list(value: Json, where: str) -> list[Json]:
    if type(value) is not list:
        raise FormatError("something that is no list where one belongs", where=where)
    return value


def _count(value: Json, where: str) -> int:
    """A count as protocol buffers spell it in JSON: text, or a number."""
    if type(value) is str and _COUNT.fullmatch(value):
        return int(value)
    if type(value) is int and value >= 0:
        return value
    raise FormatError("a count that is none", where=where)
