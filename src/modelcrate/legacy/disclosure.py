"""What a legacy file discloses beyond what sampling needs: training rows, in one form or another, and whose machine.

Nothing is guessed from a file's family: the whole graph is walked, and what is found is shown with its path. That row
numbers give a table back is proven where it is said: those of a column's categories are all the rows, each once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from modelcrate.disclosure import Disclosed, disclosed_by
from modelcrate.errors import ModelcrateError, UnsupportedError
from modelcrate.legacy.context import Context
from modelcrate.legacy.graph import Call, Dict, Node, PersistentId, Set
from modelcrate.legacy.names import callee_of
from modelcrate.legacy.reader import LegacyFile, read_for_conversion
from modelcrate.legacy.values.arrays import array_of, is_array
from modelcrate.legacy.view import View
from modelcrate.limits import DEFAULT, Limits

if TYPE_CHECKING:
    import numpy as np

MANY: Final = 100
"""Cells of a list, frame or array that are worth a line where the length of the training table is not known."""
EXAMPLES: Final = 3
SHORTEST: Final = 6
"""Characters of the shortest text that tells a path, a user or a line of code."""
_FRAMES: Final = frozenset({"pandas.core.frame.DataFrame", "pandas.core.series.Series"})
_CODE: Final = frozenset({"types.CodeType", "builtins.code", "cloudpickle.cloudpickle._make_function"})
_ROW_LISTS: Final = frozenset({"_rid_by_cat_cols", "model"})
_PATH: Final = re.compile(
    r"/(?:home|Users|root|usr|opt|tmp|var|mnt|media|data|srv|work|workspace)/[^\x00-\x1f\"'<>|*?:]{1,300}"
    r"|[A-Za-z]:\\(?:[^\x00-\x1f\"'<>|*?:]{1,300})"
)
_USER: Final = re.compile(r"(?:/home/|/Users/|[A-Za-z]:\\Users\\)([^/\\]{1,64})")
_SOURCE: Final = re.compile(r"^[ \t]{0,200}(?:class|def|import|from) \w", re.MULTILINE)
_TEXT_LOOKED_AT: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """One thing that a legacy file discloses: what, where in its object, how many values, in words.

    ``beyond``: no crate holds it. The others may be what sampling needs as well, the list of a column's categories say.
    """

    what: str
    where: str
    count: int
    detail: str
    beyond: bool = True


def leaks(legacy: LegacyFile, *, limits: Limits = DEFAULT) -> tuple[Leak, ...]:
    """What a legacy file discloses of its training data and of the machine that it was made on.

    Raises LimitError where its arrays are more than ``limits`` allows.
    """
    walk = _Walk(Context(limits=limits.started(legacy.size), size=legacy.size))
    walk.run(legacy.root.node, legacy.root.path)
    for call in legacy.reading.calls:  # also what no object holds: states that functions set
        walk.run(call, f"{legacy.root.path} at byte {call.offset}")
    return tuple(walk.found())


def read_disclosures(
    source: str | os.PathLike[str], *, limits: Limits = DEFAULT
) -> tuple[tuple[Disclosed, ...], tuple[Leak, ...], UnsupportedError | None]:
    """Of a legacy file: the learnt values that a crate of it would hold, what it discloses beyond, and if it can't be
    converted why the former are not known. Raises as :func:`modelcrate.legacy.reader.read_for_conversion`."""
    from modelcrate.legacy.convert import translate_file

    legacy = read_for_conversion(source, limits=limits, name="model")
    try:
        components = translate_file(legacy, source).components
    except UnsupportedError as error:
        return (), leaks(legacy, limits=limits), error
    held = [part for part in components if part.state is not None]
    values = tuple(item for part in held for item in disclosed_by(part.name, part.type, dict(part.state or {})))
    return values, leaks(legacy, limits=limits), None


def beyond(found: tuple[Leak, ...]) -> str | None:
    """What a crate of the same model does not disclose, in one line; None where that is nothing."""
    counts: dict[str, int] = {}
    for leak in found:
        if leak.beyond:
            counts[leak.what] = counts.get(leak.what, 0) + leak.count
    return "; ".join(f"{count} {what}" for what, count in counts.items()) or None


class _Walk:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.rows: list[tuple[str, list[int], int]] = []
        self.tables: list[tuple[str, str, tuple[int, ...]]] = []
        self.paths: dict[str, str] = {}
        self.users: dict[str, str] = {}
        self.sources: list[str] = []
        self.functions: list[str] = []
        self.seen: set[int] = set()
        self.listed: set[int] = set()

    def run(self, root: Node, where: str) -> None:
        pending: list[tuple[Node, str]] = [(root, where)] if self._is_new(root) else []
        while pending:
            node, path = pending.pop()
            if isinstance(node, str):
                self._text(node, path)
                continue
            if isinstance(node, Call) and self._call(node, path):
                continue
            if isinstance(node, list) and len(node) >= MANY and all(type(item) in (int, float) for item in node):
                self.tables.append((path, "list", (len(node),)))
                continue
            fresh: list[tuple[Node, str]] = []
            for child, step in _children(node, path):
                if isinstance(child, list) and step.rpartition(".")[2] in _ROW_LISTS and id(child) not in self.listed:
                    self.listed.add(id(child))
                    self._row_numbers(child, step)
                if self._is_new(child):
                    fresh.append((child, step))
            pending.extend(reversed(fresh))

    def _is_new(self, node: Node) -> bool:
        """Whether there is anything to look at that was not met before; what a file shares costs it nothing."""
        short = isinstance(node, str) and len(node) < SHORTEST
        if short or not isinstance(node, (str, list, tuple, Dict, Set, Call, PersistentId)) or id(node) in self.seen:
            return False
        self.seen.add(id(node))
        return True

    def _call(self, node: Call, path: str) -> bool:
        """Whether the node has been dealt with as a whole."""
        name = callee_of(node)
        if name is not None and name.startswith("numpy.random."):
            return True  # a generator's state has no row in it
        if name in _CODE:
            self.functions.append(path)
        if name in _FRAMES:
            shape = self._frame(node, path)
            if shape is not None and shape[0] >= MANY:
                self.tables.append((path, "frame", shape))
            return shape is not None
        if is_array(node):
            array = self._array(node, path)
            if array is not None and array.ndim and array.dtype != object:
                words = array.shape == (624,) and array.dtype.kind == "u"  # Mersenne Twister's, from get_state()
                if array.shape[0] >= MANY and not words:
                    self.tables.append((path, "array", array.shape))
                return True
        return False

    def _array(self, node: Node, path: str) -> np.ndarray | None:
        try:
            return array_of(node, self.context, path)
        except ModelcrateError:  # what can't be read as an array is walked as what it is
            return None

    def _frame(self, node: Call, path: str) -> tuple[int, ...] | None:
        view = View(node, path, self.context)
        try:
            if callee_of(node) == "pandas.core.series.Series":
                return (len(view.series().index),)
            frame = view.frame()
            return (len(frame.index), len(frame.columns))
        except ModelcrateError:  # as above
            return None

    def _text(self, text: str, path: str) -> None:
        text = text[:_TEXT_LOOKED_AT]
        for found in _PATH.finditer(text):
            self.paths.setdefault(found.group(), path)
        for found in _USER.finditer(text):
            self.users.setdefault(found.group(1), path)
        if "\n" in text and len(_SOURCE.findall(text)) > 1:
            self.sources.append(path)

    def _row_numbers(self, columns: list[Node], path: str) -> None:
        """Lists of row numbers per category: proven to give the cells of a column back, or not counted."""
        import numpy as np

        for number, categories in enumerate(columns):
            if not isinstance(categories, (list, tuple)) or not categories:
                return
            arrays = [self._array(item, path) if is_array(item) else None for item in categories]
            held = [array for array in arrays if array is not None and array.ndim == 1 and array.dtype.kind in "iu"]
            if len(held) != len(categories):
                return
            own = {id(item) for item in categories}
            if len(own) != len(categories) or not own.isdisjoint(self.listed):
                return  # two categories never have the same rows
            self.listed |= own
            rows = np.concatenate(held)
            if len(rows) and np.array_equal(np.sort(rows), np.arange(len(rows))):
                self.rows.append((f"{path}[{number}]", [len(array) for array in held], len(rows)))

    def found(self) -> Iterator[Leak]:
        """All that was found, the gravest first."""
        cells = sum(rows for _, _, rows in self.rows)
        if self.rows:
            length = self.rows[0][2]
            yield Leak(
                what="categorical cells of the training table, row by row",
                where=self.rows[0][0].rpartition("[")[0],
                count=cells,
                detail=f"the row numbers of every category of {len(self.rows)} columns; for each column they are all"
                f" {length} rows, each once, so every one of these {cells} cells can be written down again",
            )
        listed = {path for path, _, _ in self.rows}
        length = max((rows for _, _, rows in self.rows), default=0)
        for path, kind, shape in self.tables:
            if any(path[:end] in listed for end in range(1, len(path) + 1) if path[end - 1] == "]"):
                continue
            whole = length and shape[0] == length
            cells = 1
            for size in shape:
                cells *= size
            yield Leak(
                what="numbers as long as the training table" if whole else f"values in a long {kind}",
                where=path,
                count=cells,
                detail=f"{'×'.join(map(str, shape))}" + (", one line for each training row" if whole else ""),
                beyond=bool(whole),
            )
        yield from self._machine()

    def _machine(self) -> Iterator[Leak]:
        for what, found in (("file paths", self.paths), ("user names", self.users)):
            if found:
                shown = ", ".join(list(found)[:EXAMPLES]) + (", ..." if len(found) > EXAMPLES else "")
                yield Leak(what=what, where=next(iter(found.values())), count=len(found), detail=shown)
        if self.sources:
            yield Leak(what="texts of source code", where=self.sources[0], count=len(self.sources), detail="")
        if self.functions:
            yield Leak(what="functions or code objects", where=self.functions[0], count=len(self.functions), detail="")


def _children(node: Node, path: str) -> Iterator[tuple[Node, str]]:
    if len(path) > 400:
        path = "…" + path[-300:]
    if isinstance(node, Call):
        yield node.callee, path
        for number, arg in enumerate(node.args):
            yield arg, f"{path}({number})"
        if node.kwargs is not None:
            yield node.kwargs, path
        for state in node.states:
            yield from _attributes(state, path)
        for item in node.appended:
            yield item, f"{path}[]"
        for key, value in node.assigned:
            yield value, f"{path}.{key}" if isinstance(key, str) else f"{path}[]"
            if not isinstance(key, str):
                yield key, path
    elif isinstance(node, Dict):
        for key, value in node.pairs:
            yield value, f"{path}.{key}" if isinstance(key, str) else f"{path}[]"
            if not isinstance(key, str):
                yield key, path
    elif isinstance(node, PersistentId):
        yield node.value, path
    else:
        items = node.items if isinstance(node, Set) else node
        assert isinstance(items, (list, tuple))
        for number, item in enumerate(items):
            yield item, f"{path}[{number}]"


def _attributes(state: Node, path: str) -> Iterator[tuple[Node, str]]:
    if isinstance(state, Dict):
        yield from _children(state, path)
    else:
        yield state, path
