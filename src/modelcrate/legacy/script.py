"""TorchScript archives: a module's attributes as inert data, and what of the program lies beside them, never run.

``torch.jit.save`` writes the zip of ``torch.save`` with more members: ``code/`` (the program, as text),
``constants.pkl`` with its storages in ``constants/`` (tensors that the program names by number), and maybe example
inputs, extra files and byte code. The module itself is an object graph in ``data.pkl``: one class a module, its
attributes its state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from modelcrate.errors import FormatError, IntegrityError
from modelcrate.legacy.machine import read_pickle
from modelcrate.legacy.script_model import MODEL
from modelcrate.legacy.view import View
from modelcrate.limits import Limits

if TYPE_CHECKING:
    from modelcrate.legacy.archive import Archive

CONSTANTS: Final = "constants.pkl"
RECORDS: Final = frozenset([
    CONSTANTS, "data.pkl", "version", "byteorder", ".format_version", ".storage_alignment", ".data/serialization_id",
    MODEL, "attributes.pkl", "bytecode.pkl", "mobile_debug_handles.pkl", "traced_inputs.pkl",
])  # fmt: skip
"""What ``torch.jit.save`` writes beside folders."""
FOLDERS: Final = ("data/", "code/", "constants/", "extra/", "traced_inputs/", "tensors/", "debug/", "libs/")
SEQUENCES: Final = frozenset(
    f"torch.jit._pickle.build_{kind}list" for kind in ("int", "double", "bool", "complex", "tensor")
)
"""Typed lists, which a TorchScript pickle makes by a call."""
TAG: Final = "torch.jit._pickle.restore_type_tag"
"""A value and the text of its type; the value is what counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What a TorchScript archive holds beside the attributes of its module.

    ``code`` and ``others`` are members and their sizes in bytes; ``constants`` reads the tuple of the program's
    constants (a view of None where there is none).
    """

    code: tuple[tuple[str, int], ...]
    others: tuple[tuple[str, int], ...]
    constants: Callable[[], View]


def is_script(records: Iterable[str]) -> bool:
    """Whether the members below the top folder are those of a TorchScript archive."""
    return any(record in (CONSTANTS, MODEL) or record.startswith("code/") for record in records)


def read_program(archive: Archive, top: str, *, limits: Limits, where: str) -> Program:
    """What lies beside ``data.pkl`` and its storages.

    :raises FormatError: a member that ``torch.jit.save`` does not write.
    """
    sizes = {entry.name[len(top) :]: entry.size for entry in archive.entries}
    for record in sizes:
        if record not in RECORDS and not record.startswith(FOLDERS):
            raise FormatError(f"the member {record[:80]!r} is none of TorchScript's", where=where)
    code = tuple((record, size) for record, size in sizes.items() if record.startswith(("code/", "libs/")))
    beside = ("debug/", "attributes.pkl", "extra/", "traced_inputs", "bytecode.pkl", "mobile_debug_handles.pkl")
    others = tuple((record, size) for record, size in sizes.items() if record.startswith(beside))
    return Program(code=code, others=others, constants=lambda: _constants(archive, top, limits=limits, where=where))


def _constants(archive: Archive, top: str, *, limits: Limits, where: str) -> View:
    from modelcrate.legacy.torchfile import TorchFile

    place = f"{where}, {CONSTANTS}"
    size = len(archive.data)
    names = set(archive.names())
    if top + CONSTANTS not in names:
        from modelcrate.legacy.context import Context

        return View(None, place, Context(limits=limits))
    data = archive.read(archive.entry(top + CONSTANTS))
    body = read_pickle(data, limits=limits, where=place)
    if body.end != len(data):
        raise FormatError(f"{len(data) - body.end} bytes behind the end of the pickle", where=place)

    def data_of(key: str, nbytes: int) -> bytes | memoryview:
        name = f"{top}constants/{key}"
        if name not in names:
            if nbytes == 0:
                return b""
            raise IntegrityError(f"constant {key} is not in the archive", where=place)
        return archive.read(archive.entry(name))

    file = TorchFile(root=body.root, reading=body, where=place, size=size, data_of=data_of)
    return View(body.root, "constants", file.context(limits))
