"""The shape of a graph: files that are harmless to read, but explode in whoever walks, hashes or frees them."""

from __future__ import annotations

from collections.abc import Iterator

from modelcrate.legacy.graph import Call, Dict, Node, PersistentId, Set
from modelcrate.legacy.machine import Reading

EXPANSION = 50_000_000
"""Values that a graph may become when every shared part is written out (billion laughs)."""
DEPTH = 2_000
"""Nested containers; hashing, comparing, printing and freeing recurse, and Python's own pickler stops at about 500."""
COLLISIONS = 200
"""Keys of one dict with one hash; a dict of n such keys takes n² steps to build."""


def shape_complaints(reading: Reading) -> list[str]:
    """What is wrong with the shape of the graph, in sentences."""
    found: list[str] = []
    sizes: dict[int, tuple[int, int]] = {}
    roots: list[Node] = [reading.root, *reading.discarded[:1000]]
    for root in roots:
        size, depth = _measure(root, sizes, found)
        if size > EXPANSION:
            found.append("shared parts that expand to more than 50 million values")
        if depth > DEPTH:
            found.append("containers nested too deep to be walked or freed")
        if found:
            break
    return found[:1]


_BRANCHES = frozenset({list, tuple, Dict, Set, Call, PersistentId})
"""Types of nodes that hold others; none has subclasses in a graph."""


def _measure(root: Node, sizes: dict[int, tuple[int, int]], found: list[str]) -> tuple[int, int]:
    """Expanded size and depth, depth first by an explicit stack; what is still open (a cycle) counts once."""
    if type(root) not in _BRANCHES:
        return 1, 0
    if id(root) in sizes:
        return sizes[id(root)]
    sizes[id(root)] = (1, 1)
    inner = _branches(root, found)
    stack: list[tuple[Node, list[Node], Iterator[Node]]] = [(root, inner, iter(inner))]
    while stack:
        node, inner, remaining = stack[-1]
        for child in remaining:
            if id(child) not in sizes:
                below = _branches(child, found)
                if not below:
                    sizes[id(child)] = (1 + _width(child), 1)
                    continue
                sizes[id(child)] = (1, 1)
                stack.append((child, below, iter(below)))
                if len(stack) > DEPTH:
                    return 1, len(stack)
                break
        else:
            stack.pop()
            size, depth = 1 + _width(node), 0
            for child in inner:
                child_size, child_depth = sizes[id(child)]
                size += child_size
                depth = max(depth, child_depth)
            sizes[id(node)] = (min(size, 1 << 60), depth + 1)
    return sizes[id(root)]


def _width(node: Node) -> int:
    if isinstance(node, (list, tuple)):
        return len(node)
    return len(node.items) if isinstance(node, Set) else 1


def _branches(node: Node, found: list[str]) -> list[Node]:
    """The containers directly inside a node; dicts and sets are looked at for colliding keys on the way."""
    inner: list[Node] = []
    if isinstance(node, (list, tuple)):
        return [item for item in node if type(item) in _BRANCHES]
    if isinstance(node, Dict):
        _collisions([key for key, _ in node.pairs], found)
        return [part for pair in node.pairs for part in pair if type(part) in _BRANCHES]
    if isinstance(node, Set):
        _collisions(node.items, found)
        return [item for item in node.items if type(item) in _BRANCHES]
    if isinstance(node, PersistentId):
        return [node.value] if type(node.value) in _BRANCHES else []
    if isinstance(node, Call):
        inner.extend(part for part in (*node.args, *node.states, *node.appended) if type(part) in _BRANCHES)
        inner.extend(part for pair in node.assigned for part in pair if type(part) in _BRANCHES)
        if isinstance(node.callee, Call):
            inner.append(node.callee)
        if node.assigned:
            _collisions([key for key, _ in node.assigned], found)
        if node.args and isinstance(node.args[0], (list, tuple)):
            _collisions(list(node.args[0]), found)
        return inner
    return []


def _collisions(keys: list[Node], found: list[str]) -> None:
    """Numbers (and flat tuples of numbers) whose hashes were chosen to be equal; text is salted by Python itself."""
    if len(keys) <= COLLISIONS:
        return
    counts: dict[int, int] = {}
    for key in keys:
        numbers = key if type(key) is tuple and len(key) <= 16 else (key,)
        if not all(type(number) is int or type(number) is float for number in numbers):
            continue
        value = hash(key)
        counts[value] = counts.get(value, 0) + 1
        if counts[value] > COLLISIONS:
            found.append("keys chosen to have one hash, so that a dict of them takes hours to build")
            return
