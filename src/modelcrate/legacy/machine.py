"""The pickle machine: every opcode of protocols 0 to 5, executed on inert nodes; nothing is imported, called or hashed.

Two ways to run it. :func:`read_pickle` is strict: what CPython's C and Python unpicklers do not agree on, or what no
pickler writes, is an error. :func:`survey` is tolerant and for scanning: it notes such things as faults, goes on as the
more lenient unpickler would, and stops only where both would.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from typing import TypeAlias

from modelcrate.errors import FormatError, ModelcrateError
from modelcrate.legacy.container_ops import ContainerOps
from modelcrate.legacy.graph import Call, Dict, Extension, Global, Node, PersistentId, describe
from modelcrate.legacy.joblib import inline_array
from modelcrate.legacy.opcodes import NAMES
from modelcrate.legacy.stream import Data, Fault, Reading
from modelcrate.limits import DEFAULT, Limits

__all__ = ["COMPUTED", "Data", "Fault", "Machine", "Reading", "read_pickle", "survey"]

COMPUTED = "<computed>"
"""What a survey puts in the place of a name that the pickle computes; no honest pickler does that."""
STEP = 512
"""Opcodes between two looks at the budget, whatever they take; nodes of a fixed size are charged without a look."""
_CALL = 128
_LIST = 80
"""Bytes that a call or a name, and a call's first list, take; what the budget charges."""


def read_pickle(
    data: Data | bytearray | memoryview,
    *,
    start: int = 0,
    limits: Limits = DEFAULT,
    where: str = "pickle",
    joblib: bool = False,
) -> Reading:
    """Read one pickle that begins at ``start`` into a graph, strictly.

    ``joblib`` says that arrays lie between the opcodes, as ``joblib.dump`` puts them.

    :raises FormatError: the stream breaks a rule of the pickle machine, with the byte offset.
    :raises LimitError: the stream asks for more than ``limits`` allows.
    :raises UnsupportedError: a protocol newer than 5, an extension code or an out-of-band buffer.
    """
    return Machine(_plain(data), start=start, limits=limits, where=where, joblib=joblib).run()


def survey(
    data: Data | bytearray | memoryview,
    *,
    start: int = 0,
    limits: Limits = DEFAULT,
    where: str = "pickle",
    joblib: bool = False,
) -> Reading:
    """Read as much of one pickle as any unpickler would; never raises, see :attr:`Reading.error`."""
    machine = Machine(_plain(data), start=start, limits=limits, where=where, tolerant=True, joblib=joblib)
    try:
        return machine.run()
    except ModelcrateError as error:
        return machine.reading(None, error)


def _plain(data: Data | bytearray | memoryview) -> Data:
    """Bytes and mappings can be searched and sliced in place; anything else is copied once."""
    return data if isinstance(data, (bytes, mmap.mmap)) else bytes(data)


class Machine(ContainerOps):
    """One run over one stream: names, calls, states, and the loop that dispatches opcodes to methods."""

    def run(self) -> Reading:
        """Execute up to STOP."""
        if not 0 <= self.start < self.size:
            raise FormatError("no pickle here: the data ends", where=f"{self.where} at byte {self.start}")
        data, handlers, limit = self.data, HANDLERS, self.limits.pickle_opcodes
        count = step = 0
        stopped: bool | None = None
        try:
            while not stopped:
                if count >= limit:
                    raise self._limit(f"more than {limit} opcodes")
                for step in range(1, min(STEP, limit - count) + 1):  # noqa: B007 (it says how far the loop came)
                    position = self.position
                    if position == self.end:
                        self._leave_frame()
                    self.at = position
                    self.position = position + 1
                    stopped = handlers[data[position]](self)
                    if stopped:
                        break
                count, step = count + step, 0
                self._check_budget()
                self.limits.check_time(self.where)
        except IndexError:
            raise self._format("it takes more from the stack than lies there") from None
        except OverflowError as error:
            raise self._limit(str(error)) from None
        except MemoryError:
            raise self._limit("not enough memory for what it asks for") from None
        finally:
            self.count = count + step
        return self.reading(self.stack.pop(), None)

    def reading(self, root: Node, error: ModelcrateError | None) -> Reading:
        """What has been read so far."""
        return Reading(
            root=root,
            start=self.start,
            end=self.position if error is None else self.at,
            protocol=self.protocol,
            opcodes=self.count,
            globals=self.globals,
            calls=self.calls,
            discarded=self.discarded,
            persistent=self.persistent,
            extensions=self.extensions,
            faults=self.faults,
            blobs=self.blobs,
            error=error,
        )

    def global_text(self) -> None:
        module, name = self._line(), self._line()
        self.stack.append(self._named(module, name, "GLOBAL"))

    def _named(self, module: bytes, name: bytes, opcode: str) -> Global:
        self._charge(_CALL + len(module) + len(name))
        if not module or not name:  # the C unpickler takes an empty line for the end of the stream
            self._irregular("a global without a module or without a name")
        try:
            return self._global(module.decode(), name.decode(), opcode)
        except UnicodeDecodeError:
            self._irregular("a global's name that is not UTF-8")
            return self._global(module.decode("latin-1"), name.decode("latin-1"), opcode)

    def _global(self, module: str, name: str, opcode: str) -> Global:
        node = Global(module, name, offset=self.at, opcode=opcode)
        self.globals.append(node)
        if len(self.globals) > self.limits.pickle_names:
            raise self._limit(f"more than {self.limits.pickle_names} names")
        return node

    def stack_global(self) -> None:
        name = self.stack.pop()
        module = self.stack.pop()
        self.budget -= _CALL
        if type(name) is str and type(module) is str:
            self.stack.append(self._global(module, name, "STACK_GLOBAL"))
            return
        self._irregular(f"STACK_GLOBAL needs two texts, found {describe(module)} and {describe(name)}")
        computed = any(isinstance(part, (Call, PersistentId, Extension)) for part in (module, name))
        if computed:
            parts = [part if type(part) is str else COMPUTED for part in (module, name)]
            self.stack.append(self._global(parts[0], parts[1], "STACK_GLOBAL"))
        else:
            raise self._format("STACK_GLOBAL needs two texts")

    def _call(self, opcode: str, callee: Node, args: tuple[Node, ...], kwargs: Dict | None = None) -> Call:
        self.budget -= _CALL
        node = Call(callee, args, kwargs, offset=self.at, opcode=opcode)
        calls = self.calls
        calls.append(node)
        if len(calls) > self.limits.pickle_calls:
            raise self._limit(f"more than {self.limits.pickle_calls} calls")
        return node

    def _arguments(self, args: Node) -> tuple[Node, ...]:
        """The arguments of a call that are no tuple."""
        # The C unpickler insists on a tuple, the Python one unpacks anything that can be iterated.
        self._irregular(f"the arguments of a call are {describe(args)}, not a tuple")
        return tuple(args) if type(args) is list else (args,)

    def _callee_and_arguments(self) -> tuple[Node, tuple[Node, ...]]:
        args = self.stack.pop()
        if type(args) is not tuple:
            args = self._arguments(args)
        callee = self.stack.pop()
        if type(callee) is not Global:
            self._callable(callee)
        return callee, args

    def reduce(self) -> None:
        callee, args = self._callee_and_arguments()
        self.stack.append(self._call("REDUCE", callee, args))

    def newobj(self) -> None:
        callee, args = self._callee_and_arguments()
        self.stack.append(self._call("NEWOBJ", callee, args))

    def newobj_ex(self) -> None:
        kwargs = self.stack.pop()
        callee, args = self._callee_and_arguments()
        if not isinstance(kwargs, Dict):
            self._irregular(f"the keyword arguments of a call are {describe(kwargs)}, not a dict")
            kwargs = None
        self.stack.append(self._call("NEWOBJ_EX", callee, args, kwargs))

    def inst(self) -> None:
        module, name = self._line(), self._line()
        if not (module.isascii() and name.isascii()):
            self._irregular("an INST with a name that is not ASCII")
        callee = self._named(module, name, "INST")
        args = tuple(self._unmark())
        self.stack.append(self._call("INST", callee, args))

    def obj(self) -> None:
        items = self._unmark()
        if not items:
            raise self._format("OBJ without a class")
        self._callable(items[0])
        self.stack.append(self._call("OBJ", items[0], tuple(items[1:])))

    def _callable(self, node: Node) -> None:
        if not isinstance(node, (Global, Call, Extension, PersistentId)):
            self._irregular(f"it calls {describe(node)}")

    def build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, Call):
            if not target.states:
                self.budget -= _LIST
            target.build(state)
            if self.joblib:
                inline_array(
                    target, self._between_frames, self._take, self._nested, lambda: self.position, self._place()
                )
            return
        # On a global this changes a class or a module, on anything else it fails or has no honest use.
        self._irregular(f"it sets the state of {describe(target)}")
        self.calls.append(Call(target, (state,), None, offset=self.at, opcode="BUILD"))

    def _nested(self) -> Node:
        """The graph of a pickle that lies in the stream right here (an object array of joblib)."""
        if self.depth >= self.limits.pickle_nesting:
            raise self._limit("pickles nested in pickles too deep")
        inner = Machine(
            self.data, start=self.position, limits=self.limits, where=self.where, tolerant=self.tolerant, joblib=True
        )
        inner.depth, inner.budget = self.depth + 1, self.budget
        try:
            return inner.run().root
        finally:
            self.budget, self.position, self.at = inner.budget, inner.position, inner.at
            self.globals += inner.globals
            self.calls += inner.calls
            self.discarded += inner.discarded
            self.persistent += inner.persistent
            self.extensions += inner.extensions
            self.faults += inner.faults
            self.blobs += inner.blobs

    def persid(self) -> None:
        line = self._line()
        if not line.isascii():
            self._irregular("a persistent id that is not ASCII")
        self._charge(_CALL + len(line))
        self._persistent(line.decode("latin-1"))

    def binpersid(self) -> None:
        self.budget -= _CALL
        self._persistent(self.stack.pop())

    def _persistent(self, value: Node) -> None:
        node = PersistentId(value, offset=self.at)
        self.persistent.append(node)
        self.stack.append(node)

    def ext1(self) -> None:
        self._extension(self._number(1))

    def ext2(self) -> None:
        self._extension(self._number(2))

    def ext4(self) -> None:
        self._extension(int.from_bytes(self._take(4), "little", signed=True))

    def _extension(self, code: int) -> None:
        self._unsupported(f"extension code {code}, which only the process that wrote it can resolve")
        self.budget -= 80
        node = Extension(code, offset=self.at)
        self.extensions.append(node)
        self.stack.append(node)

    def invalid(self) -> None:
        raise self._format(f"byte 0x{self.data[self.at]:02x} is no pickle opcode")


Handler: TypeAlias = Callable[[Machine], "bool | None"]

_METHODS: dict[str, Handler] = {
    "PROTO": Machine.proto,
    "FRAME": Machine.frame,
    "STOP": Machine.stop,
    "NONE": Machine.none,
    "NEWTRUE": Machine.true,
    "NEWFALSE": Machine.false,
    "INT": Machine.int_text,
    "LONG": Machine.long_text,
    "BININT": Machine.binint,
    "BININT1": Machine.binint1,
    "BININT2": Machine.binint2,
    "LONG1": Machine.long1,
    "LONG4": Machine.long4,
    "FLOAT": Machine.float_text,
    "BINFLOAT": Machine.binfloat,
    "STRING": Machine.string_text,
    "BINSTRING": Machine.binstring,
    "SHORT_BINSTRING": Machine.short_binstring,
    "UNICODE": Machine.unicode_text,
    "SHORT_BINUNICODE": Machine.short_binunicode,
    "BINUNICODE": Machine.binunicode,
    "BINUNICODE8": Machine.binunicode8,
    "SHORT_BINBYTES": Machine.short_binbytes,
    "BINBYTES": Machine.binbytes,
    "BINBYTES8": Machine.binbytes8,
    "BYTEARRAY8": Machine.bytearray8,
    "NEXT_BUFFER": Machine.next_buffer,
    "READONLY_BUFFER": Machine.readonly_buffer,
    "MARK": Machine.mark,
    "EMPTY_LIST": Machine.empty_list,
    "EMPTY_TUPLE": Machine.empty_tuple,
    "EMPTY_DICT": Machine.empty_dict,
    "EMPTY_SET": Machine.empty_set,
    "LIST": Machine.list_of,
    "TUPLE": Machine.tuple_of,
    "TUPLE1": Machine.tuple1,
    "TUPLE2": Machine.tuple2,
    "TUPLE3": Machine.tuple3,
    "DICT": Machine.dict_of,
    "FROZENSET": Machine.frozenset_of,
    "APPEND": Machine.append,
    "APPENDS": Machine.appends,
    "SETITEM": Machine.setitem,
    "SETITEMS": Machine.setitems,
    "ADDITEMS": Machine.additems,
    "POP": Machine.pop,
    "POP_MARK": Machine.pop_mark,
    "DUP": Machine.dup,
    "PUT": Machine.put,
    "BINPUT": Machine.binput,
    "LONG_BINPUT": Machine.long_binput,
    "MEMOIZE": Machine.memoize,
    "GET": Machine.get,
    "BINGET": Machine.binget,
    "LONG_BINGET": Machine.long_binget,
    "GLOBAL": Machine.global_text,
    "STACK_GLOBAL": Machine.stack_global,
    "REDUCE": Machine.reduce,
    "NEWOBJ": Machine.newobj,
    "NEWOBJ_EX": Machine.newobj_ex,
    "INST": Machine.inst,
    "OBJ": Machine.obj,
    "BUILD": Machine.build,
    "PERSID": Machine.persid,
    "BINPERSID": Machine.binpersid,
    "EXT1": Machine.ext1,
    "EXT2": Machine.ext2,
    "EXT4": Machine.ext4,
}
HANDLERS: list[Handler] = [_METHODS[NAMES[code]] if code in NAMES else Machine.invalid for code in range(256)]
"""Opcode byte to method."""
