"""Every number that bounds input, each with the attack or accident that it stops.

One immutable :class:`Limits` travels with a call; nothing here is global state, so two threads reading two files never
share a budget. A caller with honest but larger files passes ``dataclasses.replace(DEFAULT, ...)``. What opens a file
calls :meth:`Limits.started`, and everything below it gets limits with a deadline.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Final

from modelcrate.errors import LimitError

_BYTES_A_SECOND: Final = 16 << 20
"""What a reader does in a second at the least; a larger file gets the time that its bytes take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on what a file may make a reader do. Sizes are bytes unless the name says otherwise."""

    manifest_bytes: int = 4 << 20
    """A manifest is read whole before anything about it is known."""
    manifest_depth: int = 32
    """Nested brackets in JSON; deeper input is built to exhaust a parser's stack."""
    manifest_items: int = 100_000
    """Values in a manifest; small JSON text can become large Python objects."""
    manifest_key: int = 256
    """Characters in one key of a manifest."""
    manifest_text: int = 65_536
    """Characters in one text of a manifest; longer text belongs in a state document."""
    members: int = 64
    """Members of a crate; a million empty members cost a central directory of 100 MB."""
    header_bytes: int = 16 << 20
    """A safetensors header is parsed before any tensor is known to exist."""
    tensors: int = 65_536
    """Tensors in one header; a million zero-sized tensors cost half a minute and a gigabyte."""
    tensor_rank: int = 8
    """Dimensions of one tensor; no architecture needs more, and a rank of 100,000 is a stack attack."""
    tensor_dimension: int = 2**31
    """Size of one dimension; zero times a huge dimension passes every product check."""
    state_bytes: int = 256 << 20
    """One msgpack document is decoded whole."""
    state_items: int = 2_000_000
    """Values in one msgpack document, containers weighted: 5 MB of empty maps would become 344 MB of objects."""
    state_text_bytes: int = 64 << 20
    """Text in one msgpack document; one wide character makes a whole text four times as large in memory."""
    state_depth: int = 32
    """Nested maps and lists in a state document."""
    pickle_opcodes: int = 5_000_000
    """Opcodes of all pickles in one file together; a MARK flood of that many takes seconds and builds nothing."""
    pickle_memo: int = 2_000_000
    """Memo entries; a sparse index like 2**32 - 1 costs CPython gigabytes, here one entry."""
    pickle_names: int = 100_000
    """Globals that one pickle asks for; a pickler writes each one once and recalls it from the memo after that."""
    pickle_calls: int = 450_000
    """Calls that one pickle asks for; each is judged when a file is scanned."""
    pickle_marks: int = 20_000
    """Marks open at one time; a pickler opens one per level of nesting."""
    pickle_memory: int = 144 << 20
    """Estimated bytes of the nodes that a pickle builds; ``}`` is one byte in the file and 120 in memory."""
    pickle_integer_bytes: int = 1024
    """Bytes of one integer; conversion of a larger one to or from text is quadratic."""
    pickle_text_bytes: int = 16 << 20
    """Bytes of one text; names, categories and documents are shorter."""
    pickle_nesting: int = 8
    """Pickles and archives inside byte strings inside pickles; a matryoshka has no honest use."""
    archive_members: int = 100_000
    """Members of an archive that another program wrote; large checkpoints have some ten thousand."""
    inflated_bytes: int = 96 << 20
    """Bytes that all compressed streams of one file may become, nested ones included; a bomb has no natural end."""
    legacy_depth: int = 200
    """Nested values when a graph is turned into plain values; Python's own pickler recurses less deep."""
    legacy_items: int = 5_000_000
    """Values when a graph is turned into plain values; shared lists (billion laughs) count once per visit."""
    materialised_base: int = 64 << 20
    """Bytes of arrays and tensors that any file may become; a larger file may become four times its size."""
    materialised_bytes: int = 1 << 40
    """Bytes of all arrays and tensors of one file; zero strides make 8 bytes look like terabytes."""
    modules: int = 65_536
    """Places in a module tree; each costs a Python object of some kilobytes before any weight is read."""
    module_depth: int = 64
    """Modules inside modules; torch itself recurses over them in ``to``, ``train`` and ``repr``."""
    module_visits: int = 1 << 20
    """Places counted through shared modules; thirty pairs of references would make ``eval()`` visit a billion."""
    module_elements: int = 1 << 40
    """Elements that the layers of one tree ask for, counted in integers before any of them is built."""

    fresh_bytes: int = 256 << 20
    """Bytes of new tensors that any file may ask for with ``strict=False``; a larger file may ask for its own size."""
    seconds: float = 120.0
    """Seconds to scan, read or convert one file, and one more for each 16 MiB of it; a slow file is an attack too."""
    deadline: float = math.inf
    """When that time is over, on the monotonic clock; :meth:`started` sets it, callers leave it alone."""
    scan_seconds: float = 60.0
    """Seconds for one file of a batch; whatever its content, it can't keep the others waiting longer."""
    scan_memory: int = 512 << 20
    """Private memory of a worker that scans one file of a batch; a mapped file's own bytes do not count."""

    def started(self, size: int) -> Limits:
        """These limits with the clock running, for a file of ``size`` bytes; as they are where it runs already."""
        if self.deadline != math.inf:
            return self
        return replace(self, deadline=time.monotonic() + self.seconds + size / _BYTES_A_SECOND)

    @property
    def is_late(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() > self.deadline

    def check_time(self, where: str) -> None:
        """Raise LimitError if the time is over. It costs a look at the clock: call it every so many steps."""
        if time.monotonic() > self.deadline:
            raise LimitError(f"it takes longer than {self.seconds:g} seconds", where=where, hint=MORE_TIME)


MORE_TIME: Final = "an honest file gets more time with limits of more seconds"

DEFAULT = Limits()
"""The limits used where a caller gives none."""
