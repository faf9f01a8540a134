"""What a file would do if somebody unpickled it: verdict and findings, with nothing executed.

The content decides what a file is. Archives, compressed streams, ``.npy`` arrays of objects, pickles inside byte
strings and everything appended or nested are looked at too; whatever is not understood keeps the file from being
called ``data``.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from modelcrate.errors import ModelcrateError
from modelcrate.legacy.archive import END, LOCAL, Archive, Entry, raw_inflate, read_archive
from modelcrate.legacy.detect import COMPRESSED, UNREAD, detect, is_crate_document
from modelcrate.legacy.findings import ORDER, Finding, ScanReport, worst
from modelcrate.legacy.graph import ByteArray, Call
from modelcrate.legacy.judge import judge
from modelcrate.legacy.lookalikes import called_from, looks_like_tensors, pickle_inside, read_as_text, tensors_problem
from modelcrate.legacy.machine import Reading, survey
from modelcrate.legacy.misuse import encoded
from modelcrate.legacy.names import callee_of
from modelcrate.legacy.npyfile import npy_header
from modelcrate.legacy.opcodes import NAMES
from modelcrate.legacy.policy import sweep
from modelcrate.legacy.reader import called, content_of
from modelcrate.legacy.sparse import Bytes, sparse_complaints
from modelcrate.legacy.stream import Data
from modelcrate.legacy.tarball import tar_members
from modelcrate.legacy.tensors import container_complaints
from modelcrate.legacy.torchzip import RECORDS
from modelcrate.legacy.unpack import unpack
from modelcrate.limits import DEFAULT, Limits

if TYPE_CHECKING:
    from modelcrate.storage.source import Location

PICKLES = 64
"""Pickles in a row in one stream; the legacy layout of PyTorch has five."""
SCAN_FINDINGS = 2_000


def scan(
    source: Location, *, allow: Iterable[str] = (), limits: Limits = DEFAULT, name: str | None = None
) -> ScanReport:
    """Scan one file, or bytes.

    ``allow`` are names (``module.name``) that the caller trusts. The report never says anything about weights.

    :raises StorageError: the file can't be read. Whatever is in it ends in a report, not in an error.
    :raises UsageError: neither a path nor bytes.
    """
    data = content_of(source)
    return scan_data(data, name or called(source), allow=allow, limits=limits)


def scan_data(data: Data, path: str, *, allow: Iterable[str] = (), limits: Limits = DEFAULT) -> ScanReport:
    """Scan what was opened already; ``path`` is what the report calls it."""
    return _Scan(frozenset(allow), limits.started(len(data))).run(data, path)


class _Scan:
    """One scan of one file: budgets shared by all streams in it."""

    def __init__(self, allow: frozenset[str], limits: Limits) -> None:
        self.allow = allow
        self.limits = limits
        self.opcodes = limits.pickle_opcodes
        self.room = limits.inflated_bytes
        self.size = 0
        self.is_late = False
        self.findings: list[Finding] = []
        self.globals: dict[str, None] = {}
        self.verdicts: list[str] = []

    def run(self, data: Data, path: str) -> ScanReport:
        self.size = len(data)
        kind = self.stream(data, "", 0)
        self.late("")  # at the very end too: what was cut short may look like something else
        verdict = worst([*self.verdicts, *(finding.verdict for finding in self.findings)])
        ordered = sorted(self.findings, key=lambda finding: -ORDER.index(finding.verdict))
        return ScanReport(
            path=path, verdict=verdict, kind=kind, findings=ordered[:SCAN_FINDINGS], globals=list(self.globals)[:5000]
        )

    # -- bookkeeping

    def add(self, verdict: str, reason: str, member: str, *, name: str = "", offset: int | None = None) -> None:
        if len(self.findings) < 2 * SCAN_FINDINGS or verdict == "dangerous":
            self.findings.append(Finding(verdict=verdict, name=name, reason=reason, offset=offset, member=member))

    def understood(self) -> None:
        self.verdicts.append("data")

    def error(self, error: ModelcrateError, member: str) -> None:
        self.add("broken", error.what if error.where is None else f"{error.what} ({error.where})", member)

    def late(self, member: str) -> bool:
        """Whether the time for this file is over; what was not looked at by then keeps it from being ``data``."""
        if not self.limits.is_late:
            return False
        if not self.is_late:
            self.is_late = True
            self.add("broken", f"it takes longer than {self.limits.seconds:g} seconds; the rest was not read", member)
        return True

    # -- streams

    def stream(self, data: Data, member: str, depth: int) -> str:
        """Look at one stream; the kind it was taken for."""
        if self.late(member):
            return "unknown"
        if depth > self.limits.pickle_nesting:
            self.add("broken", "files nested in files too deep", member)
            return "unknown"
        kind = detect(data)
        if kind in ("unknown", "pickle", "json") and self.crate_document(data):
            return "crate"
        tensors = kind not in _SIGNED and looks_like_tensors(data)
        if tensors and self.safetensors(data, kind, member, depth):
            kind = "safetensors"
        elif kind in COMPRESSED:
            self.compressed(data, kind, member, depth)
        elif kind == "zip":
            self.zip(data, member, depth)
        elif kind == "npy":
            self.npy(data, member, depth)
        elif kind == "tar":
            self.tar(data, member, depth)
        elif kind == "pickle" and self.text(data, member):
            kind = "text"
        elif kind in ("pickle", "torch-legacy", "safetensors"):
            self.pickles(data, 0, member, depth, legacy=kind == "torch-legacy")
        else:
            self.unrecognised(data, kind, member, depth)
        if kind != "zip":
            self.appended_zip(data, member, depth)
        return kind

    def crate_document(self, data: Data) -> bool:
        """The manifest of a crate or one of its state documents, in their one byte form, and no pickle as well."""
        if not is_crate_document(data, self.limits):
            return False
        reading = survey(data, limits=self.left(), where="stream")
        if reading.error is None or reading.globals or reading.calls:
            return False
        self.understood()
        return True

    def unrecognised(self, data: Data, kind: str, member: str, depth: int) -> None:
        """Nothing that the reader knows; still, an unpickler starts anywhere it is told to."""
        self.verdicts.append("unrecognised")
        if kind == "unknown" and self.text(data, member):
            return
        reading = survey(data, limits=self.left(), where="stream") if len(data) else None
        if reading is not None and (reading.globals or reading.error is None):
            self.pickles(data, 0, member, depth, legacy=False)
        else:
            self.add("unrecognised", _WORDS.get(kind, f"{kind} content, which is no pickle and is not read"), member)
            self.swept(data, 0, member, called=True)

    def left(self) -> Limits:
        return dataclasses.replace(self.limits, pickle_opcodes=max(1, self.opcodes))

    def compressed(self, data: Data, kind: str, member: str, depth: int) -> None:
        content, problem = unpack(data, kind, self.room, member, limits=self.limits)
        self.room -= len(content)
        if problem is not None:
            self.add("broken", problem, member)
        if content:
            self.stream(content, f"{member}({kind})", depth + 1)
        elif problem is None:
            self.add("unrecognised", "an empty compressed stream", member)

    def pickles(self, data: Data, start: int, member: str, depth: int, *, legacy: bool) -> None:
        """One pickle after the other, to the end of the stream."""
        position, joblib = start, b"numpy_pickle" in bytes(data[start : start + (1 << 20)])
        readings: list[Reading] = []
        while position < len(data) and len(readings) < PICKLES:
            if data[position] not in NAMES and readings:
                break
            reading = survey(data, start=position, limits=self.left(), where="pickle", joblib=joblib)
            if readings and reading.error is not None and not reading.globals and not reading.calls:
                break
            readings.append(reading)
            self.opcodes = max(1, self.opcodes - reading.opcodes)
            self.reading(data, reading, member, depth, torch=legacy)
            position = reading.end
            if reading.error is not None:
                self.error(reading.error, member)
                self.swept(data, reading.end, member)
                return
            if legacy and len(readings) == 5:
                for problem in container_complaints(data, readings):
                    self.add("broken", problem, member)
                return
        if legacy:
            self.add("broken", "a file of torch.save that ends too early", member)
        if len(readings) > 1:
            self.add("broken", f"{len(readings)} pickles in a row, of which most programs read the first", member,
                     offset=readings[0].end)  # fmt: skip
        if position < len(data):
            self.add("broken", f"{len(data) - position} bytes behind the end of the pickle", member, offset=position)
            self.swept(data, position, member)

    def reading(self, data: Data, reading: Reading, member: str, depth: int, *, torch: bool) -> None:
        """Judge one pickle and what is hidden in its byte strings."""
        self.understood()
        for node in reading.globals:
            if len(self.globals) < 5000:
                self.globals.setdefault(node.dotted)
        self.findings.extend(judge(reading, allow=self.allow, member=member, torch=torch))
        streams = self.tensor_streams(reading, member, depth)
        for offset, length in reading.blobs:
            if self.late(member):
                break
            content = bytes(data[offset : offset + length])
            if content not in streams:
                self.blob(content, f"{member}[bytes at {offset}]", depth)
        for call in reading.calls:
            text = call.args[0] if callee_of(call) == "_codecs.encode" and call.args else None
            if type(text) is str and len(text) > 3 and text[0] in "\x80P\x1fB\x78\xfd]cI(}i\x93":
                made = encoded(call)
                if made is not None and made not in streams:
                    self.blob(made, f"{member}[bytes at {call.offset}]", depth)

    def tensor_streams(self, reading: Reading, member: str, depth: int) -> set[bytes]:
        """What ``torch.load`` would be given while unpickling; all of it is looked at, whatever it looks like."""
        streams: set[bytes] = set()
        for call in reading.calls:
            if callee_of(call) == "torch.storage._load_from_bytes" and len(call.args) == 1:
                content = call.args[0]
                if isinstance(content, ByteArray):
                    content = content.data
                if isinstance(content, Call):
                    content = encoded(content)
                if isinstance(content, bytes) and content not in streams:
                    streams.add(content)
                    self.stream(content, f"{member}[tensor stream at {call.offset}]", depth + 1)
        return streams

    def blob(self, data: bytes, member: str, depth: int) -> None:
        """A byte string that may be a file: what it says is kept only if it says something."""
        kind = detect(data)
        if kind not in ("pickle", "torch-legacy", "zip", "npy", "tar") and kind not in COMPRESSED:
            return
        inner = _Scan(self.allow, self.limits)
        inner.size, inner.room, inner.opcodes, inner.globals = self.size, self.room, self.opcodes, self.globals
        inner.stream(data, member, depth + 1)
        self.room, self.opcodes = inner.room, inner.opcodes
        damaged = any(finding.verdict in ("broken", "unrecognised") for finding in inner.findings)
        if not damaged or kind in ("torch-legacy", "zip"):
            self.findings.extend(finding for finding in inner.findings if finding.verdict != "unrecognised")
        else:
            # Numbers look like opcodes now and then; names that somebody could have written do not come by chance.
            self.findings.extend(
                finding for finding in inner.findings
                if finding.verdict in ("unknown", "dangerous") and _NAME.fullmatch(finding.name)
            )  # fmt: skip

    def swept(self, data: Data, start: int, member: str, *, called: bool = False) -> None:
        """Names in the part of a stream that no machine reads; ``called`` wants those only that would be called."""
        part = bytes(data[start : start + (64 << 20)])
        found = (
            sweep(part, lambda offset: part[offset] == 0x8C or called_from(part, offset, self.left()))
            if called
            else sweep(part)
        )
        for module, name, offset in found:
            self.add("dangerous", "named in a part of the file that can't be decoded", member,
                     name=f"{module}.{name}", offset=start + offset)  # fmt: skip

    # -- containers

    def appended_zip(self, data: Data, member: str, depth: int) -> None:
        """An archive behind something else: Python's zipfile finds it from the end of the file."""
        tail = bytes(data[max(0, len(data) - 65557) :])
        begin = data.find(LOCAL) if END in tail else -1
        if begin >= 0:
            self.add("broken", "an archive behind something else; programs disagree on what this file is", member)
            self.zip(bytes(data[begin:]), f"{member}[archive at {begin}]", depth + 1)

    def zip(self, data: Data, member: str, depth: int) -> None:
        try:
            archive = read_archive(data, limits=self.limits, where="archive", tolerant=True)
        except ModelcrateError as error:
            self.error(error, member)
            self.local_members(data, member, depth)
            return
        for complaint in archive.complaints:
            self.add("broken", complaint, member)
        if archive.complaints:
            self.local_members(data, member, depth)
        if not archive.entries:
            self.add("unrecognised", "an archive without members", member)
        self.members(archive, member, depth)

    def members(self, archive: Archive, member: str, depth: int) -> None:
        names = archive.names()
        tops = {name.partition("/")[0] for name in names}
        torch = any(name.partition("/")[2] == "data.pkl" for name in names)
        for entry in archive.entries:
            if entry.name.partition("/")[2].startswith("code/") and not entry.name.endswith(".debug_pkl"):
                self.add("unknown", f"code of a TorchScript program ({entry.size} bytes)", member, name=entry.name)
        if torch and len(tops) > 1:
            self.add("broken", "a PyTorch archive with more than one folder", member)
        for entry in archive.entries:
            if self.late(member):
                return
            if entry.name.endswith("/") and entry.size == 0:
                continue
            label = f"{member}{'/' if member else ''}{entry.name[:120]}"
            record = entry.name.partition("/")[2]
            if torch and entry.method == 0 and record.startswith(("data/", "constants/")):
                self.storage(archive, entry, label, depth)
                continue
            try:
                archive.limits = dataclasses.replace(self.limits, inflated_bytes=self.room + archive.inflated)
                content = archive.read(entry)
            except ModelcrateError as error:
                self.error(error, label)
                continue
            self.room = max(0, self.room - (len(content) if entry.method else 0))
            if torch and record in RECORDS and record != "data.pkl":
                if len(content) > 256:
                    self.blob(bytes(content), label, depth)
                continue
            if record.startswith("code/") and record.endswith((".py", ".debug_pkl")):
                if record.endswith(".debug_pkl"):
                    self.blob(bytes(content), label, depth)
                continue
            if torch and record in ("data.pkl", "constants.pkl"):
                self.pickles_of_torch(bytes(content), label, depth, _storages(archive, entry))
            else:
                self.stream(bytes(content), label, depth + 1)

    def pickles_of_torch(self, content: bytes, label: str, depth: int, bytes_of: Bytes) -> None:
        """``data.pkl``: persistent ids are storages there."""
        reading = survey(content, limits=self.left(), where="pickle")
        self.opcodes = max(1, self.opcodes - reading.opcodes)
        self.reading(content, reading, label, depth, torch=True)
        if reading.error is not None:
            self.error(reading.error, label)
            self.swept(content, reading.end, label)
        elif reading.end != len(content):
            self.add("broken", f"{len(content) - reading.end} bytes behind the end of the pickle", label)
            self.pickles(content, reading.end, label, depth, legacy=False)
        for problem in (*container_complaints(content, [reading], self.size), *sparse_complaints(reading, bytes_of)):
            self.add("broken", problem, label)

    def storage(self, archive: Archive, entry: Entry, label: str, depth: int) -> None:
        """A tensor's bytes, mapped: only what begins like a file is looked at."""
        content = memoryview(archive.data)[entry.data_start : entry.data_start + entry.packed]
        if len(content) and detect(bytes(content[:512])) != "unknown":
            self.blob(bytes(content[: 64 << 20]), label, depth)

    def local_members(self, data: Data, member: str, depth: int) -> None:
        """Members as their local headers tell them, for archives whose directory says something else."""
        position, seen = data.find(LOCAL), 0
        while position >= 0 and seen < 1000:
            seen += 1
            head = data[position : position + 30]
            if len(head) < 30:
                break
            size = int.from_bytes(head[18:22], "little")
            start = position + 30 + int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
            method = int.from_bytes(head[8:10], "little")
            following = data.find(LOCAL, start)
            stop = start + size if size and start + size <= len(data) else (following if following > 0 else len(data))
            content = bytes(data[start : min(stop, start + (16 << 20))])
            if method == 8:
                content = raw_inflate(content, min(self.room, 16 << 20))
                self.room -= len(content)
            if content:
                self.blob(content, f"{member}[local member at {position}]", depth)
            position = data.find(LOCAL, position + 4)

    def npy(self, data: Data, member: str, depth: int) -> None:
        """A NumPy array: its header, and the pickle behind it where it holds objects."""
        header = npy_header(data)
        if header.problem is not None:
            self.add("broken", header.problem, member)
            self.swept(data, header.start, member)
            return
        self.understood()
        if header.objects:
            self.pickles(bytes(data[header.start :]), 0, f"{member}[objects]", depth, legacy=False)

    def tar(self, data: Data, member: str, depth: int) -> None:
        """Members of a tar archive; whatever is no regular file is reported."""
        for entry in tar_members(data, self.limits.archive_members):
            label = f"{member}{'/' if member else ''}{entry.name}"
            for problem in entry.problems:
                self.add("broken", problem, label)
            if entry.size:
                self.stream(bytes(data[entry.start : entry.start + entry.size]), label, depth + 1)

    def text(self, data: Data, member: str) -> bool:
        """Text that an unpickler would refuse before it asked for anything that could exist."""
        found = read_as_text(data, self.left())
        if found is None:
            return False
        reading, names = found
        for name in names:
            self.add("unrecognised", "text that reads like a request for this name, which no module can have", member,
                     name=name, offset=0)  # fmt: skip
        self.add("unrecognised", f"text, no pickle: an unpickler would stop at byte {reading.end}", member)
        self.swept(data, 0, member, called=True)
        return True

    def safetensors(self, data: Data, kind: str, member: str, depth: int) -> bool:
        """A safetensors file of any program, unless its bytes mean something to another reader as well."""
        problem = tensors_problem(data, self.limits)
        twofold = pickle_inside(data, self.left())
        if problem is not None and (twofold or kind != "safetensors"):
            return False  # what it was taken for, or a pickle that looks like tensors
        if problem is not None:
            self.error(problem, member)
            return True
        self.understood()
        if twofold:
            self.add("broken", "tensors for one reader and a pickle for another", member)
            self.pickles(data, 0, member, depth, legacy=False)
        elif kind in COMPRESSED:
            content, damage = unpack(data, kind, self.room, member)
            if content or damage is None:
                self.add("broken", "tensors for one reader and a compressed file for another", member)
                self.compressed(data, kind, member, depth)
        return True


def _storages(archive: Archive, entry: Entry) -> Bytes:
    """The storages beside ``data.pkl``, by their keys."""
    folder = entry.name.removesuffix(".pkl")
    return lambda key, size: archive.read(archive.entry(f"{folder}/{key}"))


_WORDS = {
    "empty": "an empty file",
    "unknown": "nothing in it that the reader knows",
    **{kind: f"{kind} compression, which is not undone: what is inside was not looked at" for kind in UNREAD},
}
_SIGNED = frozenset({"zip", "npy", "tar", "torch-legacy"})
"""Kinds with a signature that no length of a tensor header has."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)+")
