"""The zip layout of ``torch.save`` since 1.6: ``<top>/data.pkl`` and one ``<top>/data/<key>`` a storage."""

from __future__ import annotations

from modelcrate.errors import FormatError, IntegrityError, UnsupportedError
from modelcrate.legacy.archive import Archive, read_archive
from modelcrate.legacy.machine import Data, read_pickle
from modelcrate.legacy.script import is_script, read_program
from modelcrate.legacy.script_model import MODEL, read_model
from modelcrate.legacy.torchfile import TorchFile
from modelcrate.limits import DEFAULT, Limits

RECORDS = frozenset({
    "data.pkl", "version", "byteorder", ".format_version", ".storage_alignment", ".data/serialization_id",
})  # fmt: skip
"""What PyTorch writes beside the storages."""


def top_folder(archive: Archive) -> str:
    """The one folder that all members lie in, with its slash.

    :raises FormatError: there are several, or a member lies beside it.
    """
    tops = {name.partition("/")[0] if "/" in name else "" for name in archive.names()}
    if len(tops) != 1 or "" in tops:
        raise FormatError("a PyTorch archive has one folder that holds everything", where=archive.where)
    return tops.pop() + "/"


def read_torch_zip(
    data: Data, *, limits: Limits = DEFAULT, where: str = "file", script: bool = False, verify: bool = True
) -> TorchFile:
    """Read a zip of ``torch.save``, or with ``script`` one of ``torch.jit.save``, whose code is left alone.

    Without ``verify`` the checksums of storages are not computed.

    :raises FormatError: the archive is ambiguous, or not PyTorch's.
    :raises UnsupportedError: TorchScript that was not asked for, an unknown byte order.
    """
    archive = read_archive(data, limits=limits, where=where)
    top = top_folder(archive)
    names = set(archive.names())
    program = None
    if is_script(name[len(top) :] for name in names):
        if not script:
            raise UnsupportedError(
                "a TorchScript archive, which contains code", where=where, hint="take its tensors with --weights-only"
            )
        program = read_program(archive, top, limits=limits, where=where)
    for name in names if program is None else ():
        record = name[len(top) :]
        if record not in RECORDS and not record.startswith("data/"):
            raise FormatError(f"the member {name[:80]!r} is none of PyTorch's", where=where)
    order = bytes(archive.read(archive.entry(top + "byteorder"))) if top + "byteorder" in names else b"little"
    if order not in (b"little", b"big") or (order == b"big" and program is not None):
        raise UnsupportedError("storages of an unknown byte order, or a big-endian TorchScript archive", where=where)
    folder = "data/"
    if program is not None and top + MODEL in names:
        folder, member = "tensors/", archive.entry(top + MODEL)
        body = read_model(archive, top, limits=limits, where=where)
    else:
        member = archive.entry(top + "data.pkl")
        body = read_pickle(archive.read(member), limits=limits, where=f"{where}, data.pkl")
    if body.end != member.size:
        raise FormatError(f"{member.size - body.end} bytes behind the end of the pickle", where=f"{where}, data.pkl")

    def data_of(key: str, nbytes: int) -> bytes | memoryview:
        name = f"{top}{folder}{key}"
        if name not in names:
            if nbytes == 0:
                return b""
            raise IntegrityError(f"storage {key} is not in the archive", where=where)
        return archive.read(archive.entry(name), check=verify)

    return TorchFile(
        root=body.root, reading=body, where=where, size=len(data), data_of=data_of, program=program,
        big_endian=order == b"big",
    )  # fmt: skip
