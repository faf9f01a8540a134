"""What a file would do if somebody unpickled it: verdict and findings, with nothing executed.

The content decides what a file is. Archives, compressed streams, ``.npy`` arrays of objects, pickles inside byte
strings and everything appended or nested are looked at too; whatever is not understood keeps the file from being
called ``data``.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable

from modelcrate.errors import ModelcrateError
from modelcrate.legacy.archive import END, LOCAL, Archive, Entry, read_archive
from modelcrate.legacy.detect import COMPRESSED, detect
from modelcrate.legacy.findings import Finding, ScanReport, worst
from modelcrate.legacy.graph import ByteArray, Call
from modelcrate.legacy.judge import judge
from modelcrate.legacy.machine import Reading, survey
from modelcrate.legacy.names import callee_of
from modelcrate.legacy.opcodes import NAMES
from modelcrate.legacy.policy import sweep
from modelcrate.legacy.reader import map_file
from modelcrate.legacy.stream import Data
from modelcrate.legacy.tensors import container_complaints
from modelcrate.legacy.torchzip import RECORDS
from modelcrate.legacy.unpack import unpack
from modelcrate.limits import DEFAULT, Limits

PICKLES = 64
"""Pickles in a row in one stream; the legacy layout of PyTorch has five."""
SCAN_FINDINGS = 2_000
_HEADER = re.compile(
    r"\{'descr': (.{1,60000}), 'fortran_order': (?:True|False), 'shape': \(([0-9, L]*)\), ?\}\s*", re.DOTALL
)


def scan(
    source: str | os.PathLike[str] | bytes,
    *,
    allow: Iterable[str] = (),
    limits: Limits = DEFAULT,
    name: str | None = None,
) -> ScanReport:
    """Scan one file, or bytes.

    ``allow`` are names (``module.name``) that the caller trusts. The report never says anything about weights.

    :raises StorageError: the file can't be read. Whatever is in it ends in a report, not in an error.
    """
    path = name or ("bytes" if isinstance(source, bytes) else os.fsdecode(source))
    data = source if isinstance(source, bytes) else map_file(source)
    return scan_data(data, path, allow=allow, limits=limits)


def scan_data(data: Data, path: str, *, allow: Iterable[str] = (), limits: Limits = DEFAULT) -> ScanReport:
    """Scan what was opened already; ``path`` is what the report calls it."""
    return _Scan(frozenset(allow), limits).run(data, path)


class _Scan:
    """One scan of one file: budgets shared by all streams in it."""

    def __init__(self, allow: frozenset[str], limits: Limits) -> None:
        self.allow = allow
        self.limits = limits
        self.opcodes = limits.pickle_opcodes
        self.room = limits.inflated_bytes
        self.size = 0
        self.findings: list[Finding] = []
        self.globals: dict[str, None] = {}
        self.verdicts: list[str] = []

    def run(self, data: Data, path: str) -> ScanReport:
        self.size = len(data)
        kind = self.stream(data, "", 0)
        verdict = worst([*self.verdicts, *(finding.verdict for finding in self.findings)])
        ordered = sorted(self.findings, key=lambda finding: -_ORDER[finding.verdict])
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

    # -- streams

    def stream(self, data: Data, member: str, depth: int) -> str:
        """Look at one stream; the kind it was taken for."""
        if depth > self.limits.pickle_nesting:
            self.add("broken", "files nested in files too deep", member)
            return "unknown"
        kind = detect(data)
        if kind in ("unknown", "pickle") and self.crate_document(data):
            return "crate"
        if kind in COMPRESSED:
            self.compressed(data, kind, member, depth)
        elif kind == "zip":
            self.zip(data, member, depth)
        elif kind == "npy":
            self.npy(data, member, depth)
        elif kind == "tar":
            self.tar(data, member, depth)
        elif kind in ("pickle", "torch-legacy"):
            self.pickles(data, 0, member, depth, legacy=kind == "torch-legacy")
        elif kind == "safetensors":
            self.safetensors(data, member)
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
        reading = survey(data, limits=self.left(), where="stream") if len(data) else None
        if reading is not None and (reading.globals or reading.error is None):
            self.pickles(data, 0, member, depth, legacy=False)
        else:
            words = {"empty": "an empty file", "unknown": "nothing in it that the reader knows"}
            self.add("unrecognised", words.get(kind, f"{kind} content"), member)
            self.swept(data, 0, member)

    def left(self) -> Limits:
        return dataclasses.replace(self.limits, pickle_opcodes=max(1, self.opcodes))

    def compressed(self, data: Data, kind: str, member: str, depth: int) -> None:
        content, problem = unpack(data, kind, self.room, member)
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
            content = bytes(data[offset : offset + length])
            if content not in streams:
                self.blob(content, f"{member}[bytes at {offset}]", depth)
        for call in reading.calls:
            text = call.args[0] if callee_of(call) == "_codecs.encode" and call.args else None
            if streams and type(text) is str and text.encode("latin-1", "replace") in streams:
                continue
            if type(text) is str and len(text) > 3 and text[0] in "\x80P\x1fB\x78\xfd]cI(}i\x93":
                self.blob(text.encode("latin-1", "replace"), f"{member}[bytes at {call.offset}]", depth)

    def tensor_streams(self, reading: Reading, member: str, depth: int) -> set[bytes]:
        """What ``torch.load`` would be given while unpickling; all of it is looked at, whatever it looks like."""
        streams: set[bytes] = set()
        for call in reading.calls:
            if callee_of(call) == "torch.storage._load_from_bytes" and len(call.args) == 1:
                content = call.args[0]
                if isinstance(content, ByteArray):
                    content = content.data
                if isinstance(content, Call):
                    text = content.args[0] if callee_of(content) == "_codecs.encode" and content.args else None
                    content = text.encode("latin-1", "replace") if type(text) is str else None
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

    def swept(self, data: Data, start: int, member: str) -> None:
        """Names in the part of a stream that no machine reads."""
        for module, name, offset in sweep(bytes(data[start : start + (64 << 20)])):
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
        code = [name for name in names if name.partition("/")[2].startswith("code/")]
        if code:
            self.add("unknown", f"a TorchScript program ({len(code)} files of code)", member, name=code[0])
        if torch and len(tops) > 1:
            self.add("broken", "a PyTorch archive with more than one folder", member)
        for entry in archive.entries:
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
            self.member(bytes(content), label, depth, torch=torch and record in ("data.pkl", "constants.pkl"))

    def member(self, content: bytes, label: str, depth: int, *, torch: bool) -> None:
        if torch:
            self.pickles_of_torch(content, label, depth)
        else:
            self.stream(content, label, depth + 1)

    def pickles_of_torch(self, content: bytes, label: str, depth: int) -> None:
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
        for problem in container_complaints(content, [reading], self.size):
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
                content = _raw_inflate(content, min(self.room, 16 << 20))
                self.room -= len(content)
            if content:
                self.blob(content, f"{member}[local member at {position}]", depth)
            position = data.find(LOCAL, position + 4)

    def npy(self, data: Data, member: str, depth: int) -> None:
        """A NumPy array: its header, and the pickle behind it where it holds objects."""
        head = bytes(data[:12])
        if len(head) < 12 or head[6] not in (1, 2, 3):
            self.add("broken", "an .npy file with a header that is none", member)
            return
        wide = head[6] > 1
        length = int.from_bytes(head[8:12] if wide else head[8:10], "little")
        start = 12 if wide else 10
        header = bytes(data[start : start + min(length, 1 << 16)]).decode("latin-1")
        match = _HEADER.fullmatch(header)
        if length > 1 << 16 or start + length > len(data) or match is None:
            self.add("broken", "an .npy file with a header that is none", member)
            self.swept(data, start, member)
            return
        if _DESCRIPTION.fullmatch(match.group(1)) is None:
            self.add("broken", "an .npy file whose dtype is none", member)
            return
        self.understood()
        plain = _PLAIN_DTYPE.fullmatch(match.group(1))
        if plain is not None:
            count = 1
            for size in match.group(2).replace("L", "").split(","):
                count *= int(size) if size.strip() else 1
            width = int(plain.group(2)) * (4 if plain.group(1) == "U" else 1)
            if count * width != len(data) - start - length:
                self.add("broken", "an .npy file whose data do not fill its shape", member)
        elif "O" in re.sub(r"'[^']*'(?=, *['(\[])", "", match.group(1)) or "|O" in match.group(1):
            rest = bytes(data[start + length :])
            self.pickles(rest, 0, f"{member}[objects]", depth, legacy=False)

    def tar(self, data: Data, member: str, depth: int) -> None:
        """Members of a tar archive; whatever is no regular file is reported."""
        position = 0
        for _ in range(self.limits.archive_members):
            block = bytes(data[position : position + 512])
            if len(block) < 512 or not any(block):
                return
            try:
                size = int(block[124:136].rstrip(b"\0 ") or b"0", 8)
            except ValueError:
                self.add("broken", "a tar archive whose sizes are no numbers", member)
                return
            label = f"{member}{'/' if member else ''}{block[:100].rstrip(bytes(1)).decode('latin-1')[:80]}"
            if block[156:157] not in (b"0", b"\0", b"5", b"x", b"g", b"L"):
                self.add("broken", "a tar archive with links or devices", label)
            if size < 0 or position + 512 + size > len(data):
                self.add("broken", "a tar archive that is cut short", member)
                size = max(0, min(size, len(data) - position - 512))
            if size and block[156:157] in (b"0", b"\0"):
                self.stream(bytes(data[position + 512 : position + 512 + size]), label, depth + 1)
            position += 512 + (size + 511) // 512 * 512

    def safetensors(self, data: Data, member: str) -> None:
        from modelcrate.format.tensors import parse_header

        try:
            parse_header(memoryview(data), where="safetensors", limits=self.limits)
        except ModelcrateError as error:
            self.error(error, member)
        else:
            self.understood()


_DESCRIPTION = re.compile(r"""(?:'[^'\\]*'|"[^"\\]*"|[\[\](), 0-9L])+""")
_PLAIN_DTYPE = re.compile(r"'[<>=|]?([biufcmMSUV])([0-9]{1,9})(?:\[[a-zA-Z0-9]+\])?'")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)+")
_ORDER = {verdict: rank for rank, verdict in enumerate(("data", "unrecognised", "broken", "unknown", "dangerous"))}


def _raw_inflate(content: bytes, room: int) -> bytes:
    import zlib

    try:
        return zlib.decompressobj(-15).decompress(content, max(1, room))
    except zlib.error:
        return b""


def is_crate_document(data: Data, limits: Limits) -> bool:
    """Whether these are a manifest's or a state document's bytes, whole and canonical."""
    try:
        if data[:1] == b"{" and len(data) <= limits.manifest_bytes:
            from modelcrate.format.manifest import Manifest

            Manifest.from_bytes(bytes(data), limits=limits)
            return True
        if len(data) and (0x81 <= data[0] <= 0x8F or data[0] in (0xDE, 0xDF)) and len(data) <= limits.state_bytes:
            from modelcrate.format.values import decode

            return isinstance(decode(bytes(data), where="state", limits=limits), dict)
    except ModelcrateError:
        return False
    return False
