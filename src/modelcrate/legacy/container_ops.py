"""Opcodes that build containers, and those that move nodes between stack, marks and memo."""

from __future__ import annotations

from modelcrate.legacy import literals
from modelcrate.legacy.graph import Call, Dict, Global, Node, Set, describe
from modelcrate.legacy.literal_ops import LiteralOps

_SPARSE = 1 << 20
"""Memo indices that CPython's array of entries takes without harm."""
_ITEM = 8
_LIST = 80
_TUPLE = 56
_CONTAINER = 136
"""Bytes that a list item, an empty list, a tuple and a dict or set node take; what the budget charges."""


class ContainerOps(LiteralOps):
    """Everything from MARK to LONG_BINGET."""

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
        self.budget -= _LIST
        self.stack.append([])

    def empty_tuple(self) -> None:
        self.stack.append(())

    def empty_dict(self) -> None:
        self.budget -= _CONTAINER
        self.stack.append(Dict())

    def empty_set(self) -> None:
        self.budget -= _CONTAINER
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
        self.budget -= _TUPLE + _ITEM
        stack = self.stack
        stack[-1] = (stack[-1],)

    def tuple2(self) -> None:
        self.budget -= _TUPLE + 2 * _ITEM
        stack = self.stack
        second = stack.pop()
        stack[-1] = (stack[-1], second)

    def tuple3(self) -> None:
        self.budget -= _TUPLE + 3 * _ITEM
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
        self.budget -= _TUPLE + 3 * _ITEM
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
            self.budget -= _LIST
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
        position = self.position
        if position >= self.end:
            self._straddle(position + 1)
        self.position = position + 1
        self._store(self.data[position])

    def long_binput(self) -> None:
        self._store(int.from_bytes(self._take(4), "little"))

    def memoize(self) -> None:
        memo = self.memo
        if type(memo) is list and len(memo) < self.memo_room:
            memo.append(self.stack[-1])
        else:
            self._store(len(memo))

    def _store(self, index: int) -> None:
        value = self.stack[-1]
        memo = self.memo
        if type(memo) is list:
            size = len(memo)
            if index == size and size < self.memo_room:
                memo.append(value)
                return
            if index < size:
                memo[index] = value
                return
            memo = self.memo = dict(enumerate(memo))
            self._charge(100 * size)
        if index > _SPARSE and index > 16 * len(memo):
            self._note("a memo index far beyond what is stored, for which CPython allocates all entries below it")
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
        self._recall(int.from_bytes(self._take(4), "little"))

    def _recall(self, index: int) -> None:
        try:
            self.stack.append(self.memo[index])
        except LookupError:
            raise self._format(f"it recalls memo entry {index}, which was never stored") from None
