"""What the conversion of one legacy file carries along: limits, what is left of them, what was converted already."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

from modelcrate.errors import LimitError
from modelcrate.legacy.graph import Node, PersistentId
from modelcrate.limits import DEFAULT, Limits

if TYPE_CHECKING:
    from modelcrate.legacy.storages import Storage

T = TypeVar("T")

_STEP = 1000
"""Values between two looks at the clock."""


class Context:
    """Budgets and caches of one file of ``size`` bytes.

    ``resolve`` gives persistent ids their meaning where the container has one; ``place`` finds a byte string of the
    pickle, used at some offset, in the mapped file.
    """

    def __init__(
        self,
        *,
        limits: Limits = DEFAULT,
        size: int = 0,
        resolve: Callable[[PersistentId, str], Storage] | None = None,
        place: Callable[[bytes, int], memoryview | None] | None = None,
    ) -> None:
        self.limits = limits
        self.resolve = resolve
        self.place = place
        self._bytes_left = min(limits.materialised_bytes, max(limits.materialised_base, 4 * size))
        self._items_left = limits.legacy_items
        self._look = self._items_left
        self._cache: dict[tuple[str, int], tuple[Node, object]] = {}

    def charge_bytes(self, amount: int, where: str) -> None:
        """Count bytes of an array before it is made.

        :raises LimitError: all arrays of this file together would be larger than the limit, or its time is over.
        """
        self._bytes_left -= amount
        if self._bytes_left < 0:
            raise LimitError("the arrays of this file would be many times larger than the file", where=where)
        self.limits.check_time(where)

    def charge_items(self, amount: int, where: str) -> None:
        """Count values before they are made.

        :raises LimitError: more values than the limit, shared ones counted at each visit.
        """
        self._items_left -= amount
        if self._items_left < 0:
            raise LimitError(f"more than {self.limits.legacy_items} values", where=where)
        if self._items_left < self._look:
            self._look = self._items_left - _STEP
            self.limits.check_time(where)

    def check_depth(self, depth: int, where: str) -> None:
        """Refuse values nested deeper than the limit.

        :raises LimitError: so that nothing recurses further.
        """
        if depth > self.limits.legacy_depth:
            raise LimitError("values nested too deep", where=where)

    def once(self, kind: str, node: Node, make: Callable[[], T]) -> T:
        """``make()`` the first time, the same object after that; nodes are told apart by identity."""
        key = (kind, id(node))
        found = self._cache.get(key)
        if found is None:
            found = self._cache[key] = (node, make())
        return cast("T", found[1])
