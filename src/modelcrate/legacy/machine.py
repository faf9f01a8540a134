"""The pickle machine: every opcode of protocols 0 to 5, executed on inert nodes; nothing is imported, called or hashed.

Two ways to run it. :func:`read_pickle` is strict: what CPython's C and Python unpicklers do not agree on, or what no
pickler writes, is an error. :func:`survey` is tolerant and for scanning: it notes such things as faults, goes on as the
more lenient unpickler would, and stops only where both would.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from modelcrate.errors import FormatError, LimitError, ModelcrateError, UnsupportedError
from modelcrate.legacy import literals
from modelcrate.legacy.graph import (
    ByteArray,
    Call,
    Dict,
    Extension,
    Global,
    Node,
    OutOfBandBuffer,
    PersistentId,
    Set,
    Unknown,
    describe,
)
from modelcrate.limits import DEFAULT, Limits

Data: TypeAlias = "bytes | mmap.mmap"

HIGHEST_PROTOCOL = 5
COMPUTED = "<computed>"
"""What a survey puts in the place of a name that the pickle computes; no honest pickler does that."""
_ITEM = 8
_LIST = 80
_TUPLE = 56
_CONTAINER = 136
_CALL = 128
_TEXT = 56


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong with a stream: what, and the byte offset and name of the opcode it happened at."""

    what: str
    offset: int
    opcode: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One pickle: its graph and all that it named and called, in the order of the stream.

    ``end`` is the offset behind STOP, or of the fault that ended a survey (then ``error`` is set and ``root`` is
    None). ``discarded`` are nodes that a POP threw away, with what they would have done: state setters of cloudpickle
    live there.
    """

    root: Node
    start: int
    end: int
    protocol: int
    opcodes: int
    globals: list[Global]
    calls: list[Call]
    discarded: list[Node]
    persistent: list[PersistentId]
    extensions: list[Extension]
    faults: list[Fault]
    error: ModelcrateError | None = None


def read_pickle(
    data: Data | bytearray | memoryview, *, start: int = 0, limits: Limits = DEFAULT, where: str = "pickle"
) -> Reading:
    """Read one pickle that begins at ``start`` into a graph, strictly.

    :raises FormatError: the stream breaks a rule of the pickle machine, with the byte offset.
    :raises LimitError: the stream asks for more than ``limits`` allows.
    :raises UnsupportedError: a protocol newer than 5, an extension code or an out-of-band buffer.
    """
    return Machine(_plain(data), start=start, limits=limits, where=where).run()


def survey(
    data: Data | bytearray | memoryview, *, start: int = 0, limits: Limits = DEFAULT, where: str = "pickle"
) -> Reading:
    """Read as much of one pickle as any unpickler would; never raises, see :attr:`Reading.error`."""
    machine = Machine(_plain(data), start=start, limits=limits, where=where, tolerant=True)
    try:
        return machine.run()
    except ModelcrateError as error:
        return machine.reading(None, error)


def _plain(data: Data | bytearray | memoryview) -> Data:
    """Bytes and mappings can be searched and sliced in place; anything else is copied once."""
    return data if isinstance(data, (bytes, mmap.mmap)) else bytes(data)


class Machine:
    """One run over one stream. Handlers are methods; a table maps the opcode byte to the method."""

    def __init__(
        self, data: Data, *, start: int, limits: Limits, where: str, tolerant: bool = False
    ) -> None:
        self.data = data
        self.size = len(data)
        self.start = start
        self.position = start
        self.at = start
        self.end = self.size
        self.limits = limits
        self.where = where
        self.tolerant = tolerant
        self.budget = limits.pickle_memory
        self.protocol = 0
        self.count = 0
        self.stack: list[Node] = []
        self.fenced: list[list[Node]] = []
        self.memo: list[Node] | dict[int, Node] = []
        self.buffers = 0
        self.globals: list[Global] = []
        self.calls: list[Call] = []
        self.discarded: list[Node] = []
        self.persistent: list[PersistentId] = []
        self.extensions: list[Extension] = []
        self.faults: list[Fault] = []

    def run(self) -> Reading:
        """Execute up to STOP."""
        if not 0 <= self.start < self.size:
            raise FormatError("no pickle here: the data ends", where=f"{self.where} at byte {self.start}")
        data, handlers, limit = self.data, HANDLERS, self.limits.pickle_opcodes
        count = 0
        try:
            while True:
                position = self.position
                if position == self.end:
                    self._leave_frame()
                self.at = position
                self.position = position + 1
                count += 1
                if count > limit:
                    raise self._limit(f"more than {limit} opcodes")
                if handlers[data[position]](self):
                    break
        except IndexError:
            raise self._format("it takes more from the stack than lies there") from None
        except OverflowError as error:
            raise self._limit(str(error)) from None
        except MemoryError:
            raise self._limit("not enough memory for what it asks for") from None
        finally:
            self.count = count
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
            error=error,
        )

    # -- errors

    def opcode(self) -> str:
        """The name of the opcode that is being executed."""
        return NAMES.get(self.data[self.at], "?") if self.at < self.size else "end"

    def _place(self) -> str:
        return f"{self.where} at byte {self.at} ({self.opcode()})"

    def _format(self, what: str) -> FormatError:
        return FormatError(what, where=self._place())

    def _limit(self, what: str) -> LimitError:
        return LimitError(what, where=self._place())

    def _irregular(self, what: str) -> None:
        """An error when strict, a fault when tolerant."""
        if not self.tolerant:
            raise self._format(what)
        if len(self.faults) < 1000:
            self.faults.append(Fault(what=what, offset=self.at, opcode=self.opcode()))

    def _unsupported(self, what: str) -> None:
        if not self.tolerant:
            raise UnsupportedError(what, where=self._place())
        if len(self.faults) < 1000:
            self.faults.append(Fault(what=what, offset=self.at, opcode=self.opcode()))

    # -- input

    def _leave_frame(self) -> None:
        if self.position == self.size:
            self.at = self.position
            raise self._format("the pickle ends before its STOP")
        self.end = self.size

    def _cut(self) -> ModelcrateError:
        if self.end < self.size:
            return self._format("an opcode crosses the end of its frame")
        return self._format("the pickle ends inside an opcode")

    def _take(self, length: int) -> bytes:
        start = self.position
        stop = start + length
        if stop > self.end:
            self._straddle(stop)
        self.position = stop
        return self.data[start:stop]

    def _straddle(self, stop: int) -> None:
        """An argument beyond the frame: the C unpickler does not look at frames, the Python one refuses."""
        if stop > self.size or self.end == self.size:
            raise self._cut()
        self._irregular("an opcode crosses the end of its frame")
        self.end = self.size

    def _number(self, length: int) -> int:
        return int.from_bytes(self._take(length), "little")

    def _line(self) -> bytes:
        stop = self.data.find(b"\n", self.position, self.end)
        if stop < 0:
            if self.end < self.size:
                self._irregular("an opcode crosses the end of its frame")
                self.end = self.size
                return self._line()
            raise self._cut()
        line = self.data[self.position : stop]
        self.position = stop + 1
        return line

    def _charge(self, amount: int) -> None:
        self.budget -= amount
        if self.budget < 0:
            raise self._limit(f"its objects would fill more than {self.limits.pickle_memory >> 20} MiB")

    # -- framing and protocol

    def proto(self) -> None:
        version = self._number(1)
        if version > HIGHEST_PROTOCOL:
            raise UnsupportedError(f"pickle protocol {version}; 5 is the newest that exists", where=self._place())
        if self.at != self.start:
            self._irregular("PROTO in the middle of a pickle")
        self.protocol = version

    def frame(self) -> None:
        inside = self.end < self.size
        length = self._number(8)
        if inside and self.position <= self.end:
            self._irregular("a frame inside a frame")
        if length == 0:
            self._irregular("an empty frame")
        if length > self.size - self.position:
            # The C unpickler fails on it, the Python one reads the rest as the frame.
            self._irregular("a frame longer than the pickle")
            length = self.size - self.position
        self.end = self.position + length

    def stop(self) -> bool:
        if not self.stack:
            raise self._format("STOP with nothing on the stack")
        if len(self.stack) > 1 or self.fenced:
            self._irregular("STOP leaves items or marks on the stack")
        if self.end < self.size and self.position < self.end:
            self._irregular("STOP before the end of its frame")
        return True

    # -- literals

    def none(self) -> None:
        self.stack.append(None)

    def true(self) -> None:
        self.stack.append(True)

    def false(self) -> None:
        self.stack.append(False)

    def int_text(self) -> None:
        self._literal(literals.integer)

    def long_text(self) -> None:
        self._literal(literals.long_integer)

    def _literal(self, read: Callable[..., int]) -> None:
        line = self._line()
        self._charge(32 + len(line) // 2)
        try:
            self.stack.append(read(line, max_bytes=self.limits.pickle_integer_bytes))
        except ValueError as error:
            self._irregular(str(error))
            self.stack.append(Unknown(str(error), offset=self.at))

    def binint(self) -> None:
        start = self.position
        self.position = start + 4
        if self.position > self.end:
            self._straddle(self.position)
        self.stack.append(int.from_bytes(self.data[start : start + 4], "little", signed=True))

    def binint1(self) -> None:
        position = self.position
        if position >= self.end:
            self._straddle(position + 1)
        self.position = position + 1
        self.stack.append(self.data[position])

    def binint2(self) -> None:
        self.stack.append(self._number(2))

    def long1(self) -> None:
        self._long(self._number(1))

    def long4(self) -> None:
        length = int.from_bytes(self._take(4), "little", signed=True)
        if length < 0:
            raise self._format("a LONG4 of negative length")
        self._long(length)

    def _long(self, length: int) -> None:
        if length > self.limits.pickle_integer_bytes:
            raise self._limit(f"an integer of {length} bytes")
        self._charge(length)
        self.stack.append(int.from_bytes(self._take(length), "little", signed=True))

    def float_text(self) -> None:
        line = self._line()
        try:
            self.stack.append(literals.real(line))
        except ValueError as error:
            self._irregular(str(error))
            self.stack.append(Unknown(str(error), offset=self.at))

    def binfloat(self) -> None:
        self.stack.append(_DOUBLE.unpack(self._take(8))[0])

    def string_text(self) -> None:
        line = self._line()
        self._charge(_TEXT + len(line))
        try:
            self.stack.append(literals.quoted(line))
        except ValueError as error:
            self._irregular(str(error))
            self.stack.append(Unknown(str(error), offset=self.at))

    def binstring(self) -> None:
        length = int.from_bytes(self._take(4), "little", signed=True)
        if length < 0:
            raise self._format("a BINSTRING of negative length")
        self._charge(_TEXT + length)
        self.stack.append(self._take(length).decode("latin-1"))

    def short_binstring(self) -> None:
        length = self._number(1)
        self._charge(_TEXT + length)
        self.stack.append(self._take(length).decode("latin-1"))

    def unicode_text(self) -> None:
        line = self._line()
        self._charge(_TEXT + 4 * len(line))
        try:
            self.stack.append(literals.raw_unicode(line))
        except ValueError as error:
            self._irregular(str(error))
            self.stack.append(Unknown(str(error), offset=self.at))

    def short_binunicode(self) -> None:
        start = self.position + 1
        if start > self.end:
            self._straddle(start)
        length = self.data[start - 1]
        stop = start + length
        if stop > self.end:
            self._straddle(stop)
        self.position = stop
        self._charge(_TEXT + length)
        try:
            self.stack.append(self.data[start:stop].decode())
        except UnicodeDecodeError:
            self._text(self.data[start:stop])

    def binunicode(self) -> None:
        self._unicode(self._number(4))

    def binunicode8(self) -> None:
        self._unicode(self._number(8))

    def _unicode(self, length: int) -> None:
        if length > self.size - self.position:
            raise self._cut()
        if length > self.limits.pickle_text_bytes:
            raise self._limit(f"a text of {length} bytes")
        data = self._take(length)
        self._charge(_TEXT + (length if data.isascii() else 4 * length))
        try:
            self.stack.append(data.decode())
        except UnicodeDecodeError:
            self._text(data)

    def _text(self, data: bytes) -> None:
        """Bytes that are not UTF-8: lone surrogates, which Python's pickler writes, or nothing at all.

        A text with a surrogate stays what it is; whoever uses it as a name or writes it somewhere refuses it.
        """
        try:
            self.stack.append(data.decode("utf-8", "surrogatepass"))
        except UnicodeDecodeError:
            raise self._format("a text that is not UTF-8") from None

    def short_binbytes(self) -> None:
        self._bytes(self._number(1))

    def binbytes(self) -> None:
        self._bytes(self._number(4))

    def binbytes8(self) -> None:
        self._bytes(self._number(8))

    def _bytes(self, length: int) -> None:
        if length > self.size - self.position:
            raise self._cut()
        self._charge(40)
        self.stack.append(self._take(length))

    def bytearray8(self) -> None:
        length = self._number(8)
        if length > self.size - self.position:
            raise self._cut()
        self._charge(96)
        self.stack.append(ByteArray(self._take(length)))

    def next_buffer(self) -> None:
        self._unsupported("an out-of-band buffer, whose bytes are not in this file")
        self._charge(64)
        self.stack.append(OutOfBandBuffer(self.buffers, offset=self.at))
        self.buffers += 1

    def readonly_buffer(self) -> None:
        node = self.stack[-1]
        if isinstance(node, OutOfBandBuffer):
            node.readonly = True
        elif not isinstance(node, (bytes, ByteArray)):
            self._irregular(f"READONLY_BUFFER on {describe(node)}")

    # -- containers

    def mark(self) -> None:
        if len(self.fenced) >= self.limits.pickle_marks:
            raise self._limit(f"more than {self.limits.pickle_marks} open marks")
        self.fenced.append(self.stack)
        self.stack = []

    def _unmark(self) -> list[Node]:
        if not self.fenced:
            raise self._format("it needs a MARK and there is none")
        items = self.stack
        self.stack = self.fenced.pop()
        return items

    def empty_list(self) -> None:
        self._charge(_LIST)
        self.stack.append([])

    def empty_tuple(self) -> None:
        self.stack.append(())

    def empty_dict(self) -> None:
        self._charge(_CONTAINER)
        self.stack.append(Dict())

    def empty_set(self) -> None:
        self._charge(_CONTAINER)
        self.stack.append(Set())

    def list_of(self) -> None:
        items = self._unmark()
        self._charge(_LIST + _ITEM * len(items))
        self.stack.append(items)

    def tuple_of(self) -> None:
        items = self._unmark()
        self._charge(_TUPLE + _ITEM * len(items))
        self.stack.append(tuple(items))

    def tuple1(self) -> None:
        self._charge(_TUPLE + _ITEM)
        stack = self.stack
        stack[-1] = (stack[-1],)

    def tuple2(self) -> None:
        self._charge(_TUPLE + 2 * _ITEM)
        stack = self.stack
        second = stack.pop()
        stack[-1] = (stack[-1], second)

    def tuple3(self) -> None:
        self._charge(_TUPLE + 3 * _ITEM)
        stack = self.stack
        third = stack.pop()
        second = stack.pop()
        stack[-1] = (stack[-1], second, third)

    def dict_of(self) -> None:
        items = self._unmark()
        self._charge(_CONTAINER)
        self.stack.append(Dict(self._pairs(items)))

    def frozenset_of(self) -> None:
        items = self._unmark()
        self._charge(_CONTAINER + _ITEM * len(items))
        self.stack.append(Set(items, frozen=True))

    def _pairs(self, items: list[Node]) -> list[tuple[Node, Node]]:
        if len(items) % 2:
            raise self._format("a key without a value")
        self._charge((_TUPLE + 3 * _ITEM) * (len(items) // 2))
        return list(zip(items[::2], items[1::2], strict=True))

    def append(self) -> None:
        item = self.stack.pop()
        self._extend([item])

    def appends(self) -> None:
        self._extend(self._unmark())

    def _extend(self, items: list[Node]) -> None:
        self._charge(_ITEM * len(items))
        target = self.stack[-1]
        if type(target) is list:
            target.extend(items)
        elif isinstance(target, Call):
            self._charge(_LIST)
            target.extend(items)
        else:
            self._irregular(f"it appends to {describe(target)}")

    def setitem(self) -> None:
        value = self.stack.pop()
        key = self.stack.pop()
        self._charge(_TUPLE + 3 * _ITEM)
        self._assign([(key, value)])

    def setitems(self) -> None:
        items = self._unmark()
        self._assign(self._pairs(items))

    def _assign(self, pairs: list[tuple[Node, Node]]) -> None:
        target = self.stack[-1]
        if isinstance(target, Dict):
            if target.pairs:
                target.pairs.extend(pairs)
            else:
                target.pairs = pairs
        elif isinstance(target, Call):
            self._charge(_LIST)
            target.assign(pairs)
        else:
            self._irregular(f"it assigns items to {describe(target)}")

    def additems(self) -> None:
        items = self._unmark()
        target = self.stack[-1]
        self._charge(_ITEM * len(items))
        if isinstance(target, Set) and not target.frozen:
            target.items.extend(items)
        elif isinstance(target, Call):
            self._charge(_LIST)
            target.extend(items)
        else:
            self._irregular(f"it adds items to {describe(target)}")

    # -- stack and memo

    def pop(self) -> None:
        if self.stack:
            self._discard(self.stack.pop())
        else:
            self._unmark()

    def pop_mark(self) -> None:
        for node in self._unmark():
            self._discard(node)

    def _discard(self, node: Node) -> None:
        if isinstance(node, (Call, Global)):
            self.discarded.append(node)

    def dup(self) -> None:
        self.stack.append(self.stack[-1])

    def put(self) -> None:
        try:
            self._store(literals.index(self._line()))
        except ValueError as error:
            self._memo_text(str(error))

    def _memo_text(self, what: str) -> None:
        raise self._format(what)

    def binput(self) -> None:
        self._store(self._number(1))

    def long_binput(self) -> None:
        self._store(self._number(4))

    def memoize(self) -> None:
        memo = self.memo
        if isinstance(memo, list) and len(memo) < self.limits.pickle_memo:
            memo.append(self.stack[-1])
        else:
            self._store(len(memo))

    def _store(self, index: int) -> None:
        value = self.stack[-1]
        memo = self.memo
        if isinstance(memo, list):
            size = len(memo)
            if index < size:
                memo[index] = value
                return
            if index == size and size < self.limits.pickle_memo:
                memo.append(value)
                return
            memo = self.memo = dict(enumerate(memo))
            self._charge(100 * size)
        if index not in memo:
            if len(memo) >= self.limits.pickle_memo:
                raise self._limit(f"more than {self.limits.pickle_memo} memo entries")
            self._charge(100)
        memo[index] = value

    def get(self) -> None:
        try:
            self._recall(literals.index(self._line()))
        except ValueError as error:
            self._memo_text(str(error))

    def binget(self) -> None:
        position = self.position
        if position >= self.end:
            self._straddle(position + 1)
        self.position = position + 1
        self._recall(self.data[position])

    def long_binget(self) -> None:
        self._recall(self._number(4))

    def _recall(self, index: int) -> None:
        try:
            self.stack.append(self.memo[index])
        except LookupError:
            raise self._format(f"it recalls memo entry {index}, which was never stored") from None

    # -- names and calls

    def global_text(self) -> None:
        module, name = self._line(), self._line()
        self.stack.append(self._named(module, name))

    def _named(self, module: bytes, name: bytes) -> Global:
        self._charge(_CALL + len(module) + len(name))
        try:
            return self._global(module.decode(), name.decode())
        except UnicodeDecodeError:
            self._irregular("a global's name that is not UTF-8")
            return self._global(module.decode("latin-1"), name.decode("latin-1"))

    def _global(self, module: str, name: str) -> Global:
        node = Global(module, name, offset=self.at, opcode=self.opcode())
        self.globals.append(node)
        return node

    def stack_global(self) -> None:
        name = self.stack.pop()
        module = self.stack.pop()
        self._charge(_CALL)
        if type(name) is str and type(module) is str:
            self.stack.append(self._global(module, name))
            return
        self._irregular(f"STACK_GLOBAL needs two texts, found {describe(module)} and {describe(name)}")
        computed = any(isinstance(part, (Call, PersistentId, Extension)) for part in (module, name))
        if computed:
            parts = [part if type(part) is str else COMPUTED for part in (module, name)]
            self.stack.append(self._global(parts[0], parts[1]))
        else:
            raise self._format("STACK_GLOBAL needs two texts")

    def _call(self, callee: Node, args: tuple[Node, ...], kwargs: Dict | None = None) -> Call:
        self._charge(_CALL)
        node = Call(callee, args, kwargs, offset=self.at, opcode=self.opcode())
        self.calls.append(node)
        return node

    def _arguments(self, args: Node) -> tuple[Node, ...]:
        if type(args) is tuple:
            return args
        # The C unpickler insists on a tuple, the Python one unpacks anything that can be iterated.
        self._irregular(f"the arguments of a call are {describe(args)}, not a tuple")
        return tuple(args) if type(args) is list else (args,)

    def reduce(self) -> None:
        args = self._arguments(self.stack.pop())
        callee = self.stack.pop()
        self._callable(callee)
        self.stack.append(self._call(callee, args))

    def newobj(self) -> None:
        args = self._arguments(self.stack.pop())
        callee = self.stack.pop()
        self._callable(callee)
        self.stack.append(self._call(callee, args))

    def newobj_ex(self) -> None:
        kwargs = self.stack.pop()
        args = self._arguments(self.stack.pop())
        callee = self.stack.pop()
        self._callable(callee)
        if not isinstance(kwargs, Dict):
            self._irregular(f"the keyword arguments of a call are {describe(kwargs)}, not a dict")
            kwargs = None
        self.stack.append(self._call(callee, args, kwargs))

    def inst(self) -> None:
        module, name = self._line(), self._line()
        if not (module.isascii() and name.isascii()):
            self._irregular("an INST with a name that is not ASCII")
        callee = self._named(module, name)
        args = tuple(self._unmark())
        self.stack.append(self._call(callee, args))

    def obj(self) -> None:
        items = self._unmark()
        if not items:
            raise self._format("OBJ without a class")
        self._callable(items[0])
        self.stack.append(self._call(items[0], tuple(items[1:])))

    def _callable(self, node: Node) -> None:
        if not isinstance(node, (Global, Call, Extension, PersistentId)):
            self._irregular(f"it calls {describe(node)}")

    def build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, Call):
            if not target.states:
                self._charge(_LIST)
            target.build(state)
            return
        # On a global this changes a class or a module, on anything else it fails or has no honest use.
        self._irregular(f"it sets the state of {describe(target)}")
        self.calls.append(Call(target, (state,), None, offset=self.at, opcode="BUILD"))

    def persid(self) -> None:
        line = self._line()
        if not line.isascii():
            self._irregular("a persistent id that is not ASCII")
        self._charge(_CALL + len(line))
        self._persistent(line.decode("latin-1"))

    def binpersid(self) -> None:
        self._charge(_CALL)
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
        self._charge(80)
        node = Extension(code, offset=self.at)
        self.extensions.append(node)
        self.stack.append(node)

    def invalid(self) -> None:
        raise self._format(f"byte 0x{self.data[self.at]:02x} is no pickle opcode")


_DOUBLE = struct.Struct(">d")
Handler: TypeAlias = Callable[[Machine], "bool | None"]

OPCODES: dict[int, tuple[str, Handler]] = {
    ord("\x80"): ("PROTO", Machine.proto),
    ord("\x95"): ("FRAME", Machine.frame),
    ord("."): ("STOP", Machine.stop),
    ord("N"): ("NONE", Machine.none),
    ord("\x88"): ("NEWTRUE", Machine.true),
    ord("\x89"): ("NEWFALSE", Machine.false),
    ord("I"): ("INT", Machine.int_text),
    ord("L"): ("LONG", Machine.long_text),
    ord("J"): ("BININT", Machine.binint),
    ord("K"): ("BININT1", Machine.binint1),
    ord("M"): ("BININT2", Machine.binint2),
    ord("\x8a"): ("LONG1", Machine.long1),
    ord("\x8b"): ("LONG4", Machine.long4),
    ord("F"): ("FLOAT", Machine.float_text),
    ord("G"): ("BINFLOAT", Machine.binfloat),
    ord("S"): ("STRING", Machine.string_text),
    ord("T"): ("BINSTRING", Machine.binstring),
    ord("U"): ("SHORT_BINSTRING", Machine.short_binstring),
    ord("V"): ("UNICODE", Machine.unicode_text),
    ord("\x8c"): ("SHORT_BINUNICODE", Machine.short_binunicode),
    ord("X"): ("BINUNICODE", Machine.binunicode),
    ord("\x8d"): ("BINUNICODE8", Machine.binunicode8),
    ord("C"): ("SHORT_BINBYTES", Machine.short_binbytes),
    ord("B"): ("BINBYTES", Machine.binbytes),
    ord("\x8e"): ("BINBYTES8", Machine.binbytes8),
    ord("\x96"): ("BYTEARRAY8", Machine.bytearray8),
    ord("\x97"): ("NEXT_BUFFER", Machine.next_buffer),
    ord("\x98"): ("READONLY_BUFFER", Machine.readonly_buffer),
    ord("("): ("MARK", Machine.mark),
    ord("]"): ("EMPTY_LIST", Machine.empty_list),
    ord(")"): ("EMPTY_TUPLE", Machine.empty_tuple),
    ord("}"): ("EMPTY_DICT", Machine.empty_dict),
    ord("\x8f"): ("EMPTY_SET", Machine.empty_set),
    ord("l"): ("LIST", Machine.list_of),
    ord("t"): ("TUPLE", Machine.tuple_of),
    ord("\x85"): ("TUPLE1", Machine.tuple1),
    ord("\x86"): ("TUPLE2", Machine.tuple2),
    ord("\x87"): ("TUPLE3", Machine.tuple3),
    ord("d"): ("DICT", Machine.dict_of),
    ord("\x91"): ("FROZENSET", Machine.frozenset_of),
    ord("a"): ("APPEND", Machine.append),
    ord("e"): ("APPENDS", Machine.appends),
    ord("s"): ("SETITEM", Machine.setitem),
    ord("u"): ("SETITEMS", Machine.setitems),
    ord("\x90"): ("ADDITEMS", Machine.additems),
    ord("0"): ("POP", Machine.pop),
    ord("1"): ("POP_MARK", Machine.pop_mark),
    ord("2"): ("DUP", Machine.dup),
    ord("p"): ("PUT", Machine.put),
    ord("q"): ("BINPUT", Machine.binput),
    ord("r"): ("LONG_BINPUT", Machine.long_binput),
    ord("\x94"): ("MEMOIZE", Machine.memoize),
    ord("g"): ("GET", Machine.get),
    ord("h"): ("BINGET", Machine.binget),
    ord("j"): ("LONG_BINGET", Machine.long_binget),
    ord("c"): ("GLOBAL", Machine.global_text),
    ord("\x93"): ("STACK_GLOBAL", Machine.stack_global),
    ord("R"): ("REDUCE", Machine.reduce),
    ord("\x81"): ("NEWOBJ", Machine.newobj),
    ord("\x92"): ("NEWOBJ_EX", Machine.newobj_ex),
    ord("i"): ("INST", Machine.inst),
    ord("o"): ("OBJ", Machine.obj),
    ord("b"): ("BUILD", Machine.build),
    ord("P"): ("PERSID", Machine.persid),
    ord("Q"): ("BINPERSID", Machine.binpersid),
    ord("\x82"): ("EXT1", Machine.ext1),
    ord("\x83"): ("EXT2", Machine.ext2),
    ord("\x84"): ("EXT4", Machine.ext4),
}
"""Opcode byte to name and handler: all 68 of protocols 0 to 5."""

NAMES = {code: name for code, (name, _) in OPCODES.items()}
HANDLERS: list[Handler] = [OPCODES[code][1] if code in OPCODES else Machine.invalid for code in range(256)]
