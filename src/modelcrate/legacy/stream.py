"""The lower half of the pickle machine: a stream of bytes with frames, budgets, and errors that name the place."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import TypeAlias

from modelcrate.errors import FormatError, LimitError, ModelcrateError, UnsupportedError
from modelcrate.legacy.graph import Call, Extension, Global, Node, PersistentId
from modelcrate.legacy.opcodes import NAMES
from modelcrate.limits import Limits

Data: TypeAlias = "bytes | mmap.mmap"
"""What can be searched and sliced in place."""


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
    live there. ``blobs`` are the (offset, length) of byte strings that may be files themselves.
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
    blobs: list[tuple[int, int]]
    error: ModelcrateError | None = None


class Stream:
    """Position, frame, stack, memo and budget of one run, and what it has met so far."""

    def __init__(
        self, data: Data, *, start: int, limits: Limits, where: str, tolerant: bool = False, joblib: bool = False
    ) -> None:
        self.data = data
        self.size = len(data)
        self.start = start
        self.position = start
        self.at = start
        self.end = self.size
        self.framed_until = start
        self.limits = limits
        self.where = where
        self.tolerant = tolerant
        self.joblib = joblib
        self.depth = 0
        self.budget = limits.pickle_memory
        self.protocol = 0
        self.count = 0
        self.stack: list[Node] = []
        self.fenced: list[list[Node]] = []
        self.memo: list[Node] | dict[int, Node] = []
        self.memo_room = limits.pickle_memo
        self.buffers = 0
        self.globals: list[Global] = []
        self.calls: list[Call] = []
        self.discarded: list[Node] = []
        self.persistent: list[PersistentId] = []
        self.extensions: list[Extension] = []
        self.faults: list[Fault] = []
        self.blobs: list[tuple[int, int]] = []

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

    def _note(self, what: str) -> None:
        """A fault that a scan reports, and that costs this machine nothing."""
        if self.tolerant and len(self.faults) < 1000:
            self.faults.append(Fault(what=what, offset=self.at, opcode=self.opcode()))

    def _unsupported(self, what: str) -> None:
        if not self.tolerant:
            raise UnsupportedError(what, where=self._place())
        if len(self.faults) < 1000:
            self.faults.append(Fault(what=what, offset=self.at, opcode=self.opcode()))

    def _leave_frame(self) -> None:
        if self.position == self.size:
            self.at = self.position
            raise self._format("the pickle ends before its STOP")
        self.end = self.size

    def _between_frames(self) -> None:
        """What follows lies outside of any frame, as joblib writes it."""
        if self.position == self.end:
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
        self._check_budget()

    def _check_budget(self) -> None:
        if self.budget < 0:
            raise self._limit(f"its objects would fill more than {self.limits.pickle_memory >> 20} MiB")
