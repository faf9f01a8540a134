"""Vectors of kind ``crate``: section 4, and how members, digests and manifest fit together."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

from making.build import (
    Entry,
    Vector,
    archive,
    digest,
    padding,
    safetensors,
    sealed,
    small_list,
    small_map,
    tensor,
    text,
)
from making.manifests import identity

WEIGHTS = "weights/net.safetensors"
STATE = "state/net.msgpack"
MANIFEST = "manifest.json"

Members = dict[str, bytes]


def contents() -> Members:
    data = struct.pack("<4f", 0.5, -1.0, 2.0, 3.5)
    return {
        STATE: small_map(("classes", small_list(text("a"), text("b"))), ("steps", b"\x07")),
        WEIGHTS: safetensors(f'{{"layer.weight":{tensor("F32", [2, 2], 0, 16)}}}', data),
    }


def manifest(members: Members, algorithm: str = "blake3", **changes: Any) -> dict[str, Any]:
    document = {
        "format": "modelcrate",
        "format_version": "1.0",
        "requires": [],
        "model": None,
        "components": {
            "net": {
                "role": "network",
                "type": "nn.module/1",
                "config": {},
                "weights": next((name for name in members if name.endswith(".safetensors")), None),
                "state": next((name for name in members if name.endswith(".msgpack")), None),
            }
        }
        if members
        else {},
        "members": {name: {"size": len(data), "digest": digest(data, algorithm)} for name, data in members.items()},
        "hyperparameters": {},
        "omitted": [],
        "provenance": {"producer": {"modelcrate": "0.1.0"}, "source": None, "created_by": None},
    }
    return {**document, **changes}


def whole(members: Members, algorithm: str = "blake3", **changes: Any) -> Members:
    """The members with their manifest, in the order of a single file."""
    return {**dict(sorted(members.items())), MANIFEST: sealed(manifest(members, algorithm, **changes), algorithm)}


def entries(members: Members) -> list[Entry]:
    return [Entry(name.encode(), data) for name, data in members.items()]


def expected(members: Members, algorithm: str = "blake3") -> Any:
    plain = {name: data for name, data in members.items() if name != MANIFEST}
    return {
        "identity": identity(manifest(plain, algorithm), members[MANIFEST], algorithm),
        "members": {name: {"size": len(data), "bytes": data.hex()} for name, data in plain.items()},
    }


def vectors() -> Iterator[Vector]:
    yield from valid()
    for name, data, clause, code, what in [*archive_cases(), *entry_cases(), *member_cases(), *folder_cases()]:
        yield Vector("crate", name, data, what, clause, code)


def valid() -> Iterator[Vector]:
    members = whole(contents())
    yield Vector(
        "crate", "file", archive(entries(members)), "a single file with weights and state", expected=expected(members)
    )
    yield Vector(
        "crate", "folder", members, "the same members as a folder: the same identity", expected=expected(members)
    )
    members = whole(contents(), "sha256")
    yield Vector(
        "crate", "file-sha256", archive(entries(members)), "digests by sha256", expected=expected(members, "sha256")
    )
    members = whole({})
    yield Vector("crate", "manifest-only", archive(entries(members)), "no component", expected=expected(members))
    for letters in range(17, 22):
        members = whole({f"state/{'a' * letters}.msgpack": b"\x80"})
        length = 30 + len(next(iter(members)))
        what = f"a first local header of {length} bytes, so {len(padding(length))} bytes of padding"
        yield Vector("crate", f"padding-{letters}", archive(entries(members)), what, expected=expected(members))
    members = whole({"weights/a.safetensors": safetensors("{}")})
    yield Vector(
        "crate", "no-tensors", archive(entries(members)), "weights without a tensor", expected=expected(members)
    )


Case = tuple[str, bytes | Members, str, str, str]


def archive_cases() -> Iterator[Case]:
    """The file as a whole."""
    members = whole(contents())
    good = archive(entries(members))
    end = good[-22:]
    yield "empty-file", b"", "1.4", "FORMAT", "no bytes at all"
    yield "one-byte", b"P", "1.4", "FORMAT", "one byte"
    yield "text", b"this is no crate\n", "1.4", "FORMAT", "a text file"
    yield "end-record-only", end[:8] + bytes(14), "4.3", "FORMAT", "an archive of no members"
    yield "byte-before", b"\0" + good, "4.2", "FORMAT", "a byte before the first header"
    yield (
        "shifted",
        archive(entries(members), before=b"#!/bin/sh\n" + bytes(54)),
        "4.2",
        "FORMAT",
        "a script before the first header",
    )
    yield "byte-after", good + b"\0", "4.2", "FORMAT", "a byte after the end"
    yield "newline-after", good + b"\n", "4.2", "FORMAT", "a line feed after the end"
    yield (
        "gap-before-directory",
        archive(entries(members), gap=bytes(64)),
        "4.2",
        "FORMAT",
        "bytes before the directory",
    )
    hidden = entries(members)
    hidden[0].after = struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, 0, 0, 0x21, 0, 0, 0, 6, 0) + b"hidden"
    yield "hidden-entry", archive(hidden), "4.2", "FORMAT", "a local entry that the directory doesn't list"
    yield "archive-comment", archive(entries(members), comment=b"hello"), "4.2.5", "FORMAT", "a comment"
    yield (
        "comment-with-end-record",
        archive(entries(members), comment=end),
        "4.2.5",
        "FORMAT",
        "an end record as comment",
    )
    yield "two-archives", good + good, "4.2", "FORMAT", "an archive after an archive"
    yield "truncated-tail", good[:-1], "4.2", "FORMAT", "the last byte is missing"
    yield "truncated-half", good[: len(good) // 2], "4.2", "FORMAT", "the second half is missing"
    yield (
        "count-too-small",
        archive(entries(members), count=2),
        "4.2",
        "FORMAT",
        "an end record that counts one entry less",
    )
    yield (
        "count-too-large",
        archive(entries(members), count=4),
        "4.2",
        "FORMAT",
        "an end record that counts one entry more",
    )
    yield "count-65535", archive(entries(members), count=65535), "9.1", "LIMIT", "a count that asks for ZIP64"
    yield "second-disk", archive(entries(members), disk=1), "4.2.5", "FORMAT", "a second disk"
    yield "directory-shifted", archive(entries(members), directory_shift=1), "4.2", "FORMAT", "a directory elsewhere"
    yield (
        "directory-beyond",
        archive(entries(members), directory_shift=2**31),
        "4.2.11",
        "FORMAT",
        "a directory beyond the file",
    )
    yield (
        "directory-order",
        archive(entries(members), central_order=[1, 0, 2]),
        "4.2",
        "FORMAT",
        "a directory in another order",
    )
    yield (
        "members-unsorted",
        archive([entries(members)[i] for i in (1, 0, 2)]),
        "4.2.1",
        "FORMAT",
        "members out of order",
    )
    yield (
        "manifest-first",
        archive([entries(members)[i] for i in (2, 0, 1)]),
        "4.2.1",
        "FORMAT",
        "the manifest in front",
    )
    twice = entries(members)
    yield "member-twice", archive([twice[0], twice[0], *twice[1:]]), "4.2.1", "FORMAT", "a member twice"
    other = Entry(MANIFEST.encode(), whole(contents(), omitted=[{"what": "a", "where": "b", "why": "c"}])[MANIFEST])
    yield "manifest-twice", archive([*entries(members), other]), "4.2.1", "FORMAT", "two manifests"
    overlap = entries(members)
    overlap[1] = Entry(WEIGHTS.encode(), b"", size=len(members[WEIGHTS]), crc=zlib.crc32(members[WEIGHTS]), offset=0)
    yield "overlap", archive(overlap), "4.2", "FORMAT", "two entries for the same bytes"


def entry_cases() -> Iterator[Case]:
    """Single headers."""

    def changed(which: int, **fields: Any) -> bytes:
        found = entries(whole(contents()))
        for name, value in fields.items():
            setattr(found[which], name, value)
        return archive(found)

    def local(which: int, **fields: Any) -> bytes:
        return changed(which, local=fields)

    data = contents()[STATE]
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    deflated = packed.compress(data) + packed.flush()
    yield (
        "deflated",
        changed(0, data=deflated, method=8, crc=zlib.crc32(data), local={"size": len(data)}),
        "4.2.3",
        "FORMAT",
        "a compressed member",
    )
    yield "method-99", changed(0, method=99), "4.2.3", "FORMAT", "an encryption method"
    for name, flag, what in [
        ("encrypted", 0x1, "encryption"),
        ("data-descriptor", 0x8, "a data descriptor"),
        ("patched", 0x20, "patched data"),
        ("strong-encryption", 0x40, "strong encryption"),
        ("utf-8", 0x800, "the UTF-8 flag"),
        ("masked", 0x2000, "masked headers"),
    ]:
        yield f"flag-{name}", changed(0, flags=flag), "4.2.4", "FORMAT", what
    yield "local-flag", local(1, flags=0x1), "4.2.8", "FORMAT", "a flag in the local header only"
    yield "local-name", local(1, name=b"weights/nex.safetensors"), "4.2.8", "FORMAT", "another name in the local header"
    yield (
        "local-longer-name",
        local(1, name=b"weights/nett.safetensors"),
        "4.2.8",
        "FORMAT",
        "a longer name in the local header",
    )
    yield "local-size", local(1, size=7), "4.2.8", "FORMAT", "another size in the local header"
    yield "local-packed-size", local(1, packed=7), "4.2.8", "FORMAT", "another compressed size in the local header"
    yield "local-crc", local(1, crc=7), "4.2.8", "FORMAT", "another checksum in the local header"
    yield "local-method", local(1, method=8), "4.2.8", "FORMAT", "another method in the local header"
    yield "local-time", local(1, time=1), "4.2.8", "FORMAT", "another time in the local header"
    yield "local-version", local(1, version=45), "4.2.8", "FORMAT", "another version in the local header"
    yield "time", changed(0, time=0x6000), "4.2.5", "FORMAT", "noon"
    yield "date", changed(0, date=0x5A21), "4.2.5", "FORMAT", "a date of 2025"
    yield "version-needed", changed(0, version=10), "4.2.5", "FORMAT", "version needed 10"
    yield "made-by-dos", changed(0, made_by=20), "4.2.5", "FORMAT", "another host system"
    for name, mode, what in [
        ("symlink", 0o120777, "a symbolic link"),
        ("folder", 0o040755, "a folder"),
        ("device", 0o060644, "a device"),
        ("executable", 0o100755, "an executable file"),
        ("setuid", 0o104644, "a set-uid file"),
    ]:
        yield f"mode-{name}", changed(0, attributes=mode << 16), "4.2.5", "FORMAT", what
    yield "attribute-dos-folder", changed(0, attributes=0x81A40010), "4.2.5", "FORMAT", "the folder attribute of DOS"
    yield "internal-attribute", changed(0, internal=1), "4.2.5", "FORMAT", "the text attribute"
    yield "entry-comment", changed(0, comment=b"x"), "4.2.5", "FORMAT", "a comment on an entry"
    yield "not-aligned", changed(0, local_extra=b""), "4.2.6", "FORMAT", "data that is not at a multiple of 64"
    place = 30 + len(STATE)
    good = padding(place)
    yield "padding-not-zero", changed(0, local_extra=good[:-1] + b"x"), "4.2.6", "FORMAT", "a message in the padding"
    yield "padding-other-id", changed(0, local_extra=b"\xff\xff" + good[2:]), "4.2.6", "FORMAT", "padding by another id"
    longer = struct.pack("<2H", 0x434D, len(good) + 60) + bytes(len(good) + 60)
    yield "padding-too-long", changed(0, local_extra=longer), "4.2.6", "FORMAT", "64 bytes of padding too many"
    split = struct.pack("<2H", 0x434D, 0) + struct.pack("<2H", 0x434D, len(good) - 8) + bytes(len(good) - 8)
    yield "padding-in-two", changed(0, local_extra=split), "4.2.6", "FORMAT", "two padding records"
    stamp = struct.pack("<2HBL", 0x5455, 5, 1, 0)
    rest = len(good) - len(stamp)
    yield (
        "extra-timestamp",
        changed(0, local_extra=stamp + struct.pack("<2H", 0x434D, rest - 4) + bytes(rest - 4)),
        "4.2.7",
        "FORMAT",
        "a timestamp record in the local header",
    )
    yield "central-extra", changed(0, central_extra=stamp), "4.2.7", "FORMAT", "a timestamp record in the directory"
    wide = struct.pack("<2H2Q", 1, 16, len(data), len(data))
    yield "zip64-without-need", changed(0, central_extra=wide), "4.2.9", "FORMAT", "a ZIP64 record that nothing needs"
    yield (
        "size-ffffffff",
        changed(0, size=0xFFFFFFFF),
        "4.2.9",
        "FORMAT",
        "a size that asks for a ZIP64 record and has none",
    )
    both = struct.pack("<2H2Q", 1, 16, 2**63, 2**63)
    yield (
        "zip64-size-2-63",
        changed(0, size=0xFFFFFFFF, version=45, made_by=0x032D, central_extra=both),
        "4.2.11",
        "FORMAT",
        "a size of 2**63",
    )
    yield "size-too-large", changed(1, size=2**31), "4.2.11", "FORMAT", "a size beyond the file"
    yield "size-too-small", changed(1, size=8), "4.2", "FORMAT", "a size that leaves bytes behind"
    yield "offset-beyond", changed(2, offset=2**31), "4.2.11", "FORMAT", "an offset beyond the file"
    yield "crc-manifest", changed(2, crc=7), "4.2.10", "INTEGRITY", "a wrong checksum of the manifest"
    yield "crc-weights", changed(1, crc=7), "4.2.10", "INTEGRITY", "a wrong checksum of the weights"
    for name, member, clause in [
        ("parent", b"../x.msgpack", "2.1"),
        ("absolute", b"/x.msgpack", "2.1"),
        ("capital", b"State/net.msgpack", "2.1"),
        ("backslash", b"state\\net.msgpack", "2.1"),
        ("nul", b"state/net.msgpack\0", "2.1"),
        ("utf-8", "é.msgpack".encode(), "2.1"),
        ("latin-1", b"\xe9.msgpack", "2.1"),
        ("device", b"nul.msgpack", "2.2"),
        ("empty", b"", "2.1"),
        ("folder", b"state/", "2.1"),
    ]:
        yield f"name-{name}", changed(0, name=member), clause, "FORMAT", f"an entry's name: {name}"


def member_cases() -> Iterator[Case]:
    """Members against the manifest."""
    plain = contents()

    def file(members: Members, **changes: Any) -> bytes:
        return archive(entries({**whole(plain, **changes), **members}))

    found = whole(plain)
    yield "no-manifest", archive(entries(plain)), "4.3", "FORMAT", "no manifest"
    yield (
        "member-missing",
        archive([it for it in entries(found) if it.name != STATE.encode()]),
        "4.3",
        "FORMAT",
        "a listed member is missing",
    )
    extra = {**plain, "weights/other.safetensors": plain[WEIGHTS]}
    order = [*sorted(extra), MANIFEST]
    known = {**extra, MANIFEST: found[MANIFEST]}
    yield (
        "member-extra",
        archive(entries({name: known[name] for name in order})),
        "4.3",
        "FORMAT",
        "a member that is not listed",
    )
    code = {**plain, "setup.py": b"import os\n"}
    known = {**code, MANIFEST: found[MANIFEST]}
    yield (
        "member-code",
        archive(entries({name: known[name] for name in [*sorted(code), MANIFEST]})),
        "4.3",
        "FORMAT",
        "a program beside the members",
    )
    renamed = {"weights/nex.safetensors" if name == WEIGHTS else name: data for name, data in found.items()}
    yield "member-renamed", archive(entries(renamed)), "4.3", "FORMAT", "a member under another name"
    flipped = bytearray(plain[WEIGHTS])
    flipped[-1] ^= 1
    yield (
        "digest-last-bit",
        file({WEIGHTS: bytes(flipped)}),
        "5.2",
        "INTEGRITY",
        "the last bit of the weights differs, checksum and all",
    )
    yield "digest-state", file({STATE: plain[STATE][:-1] + b"\x08"}), "5.2", "INTEGRITY", "a value of the state differs"
    yield (
        "size-differs",
        file({STATE: plain[STATE] + b"\0"}),
        "5.2",
        "INTEGRITY",
        "a member longer than its recorded size",
    )
    yield (
        "swapped",
        archive(entries({**found, WEIGHTS: plain[STATE], STATE: plain[WEIGHTS]})),
        "5.2",
        "INTEGRITY",
        "two members swapped",
    )
    newer = whole(plain, format_version="2.0")
    yield "version-2", archive(entries(newer)), "8.2", "UNSUPPORTED", "a newer major version"
    bad = {**plain, STATE: b"\x82\xa1a\x01\xa1a\x02"}
    yield "state-key-twice", archive(entries(whole(bad))), "7.3", "FORMAT", "a state with a key twice, digest and all"
    bad = {**plain, STATE: b"\x90"}
    yield "state-list", archive(entries(whole(bad))), "7.1", "FORMAT", "a state that is a list, digest and all"
    bad = {**plain, WEIGHTS: safetensors(f'{{"w":{tensor("F32", [2, 2], 0, 16)}}}', bytes(15))}
    yield "weights-short", archive(entries(whole(bad))), "6.7", "INTEGRITY", "weights that lack a byte, digest and all"
    bad = {**plain, WEIGHTS: safetensors(f'{{"w":{tensor("BOOL", [2], 0, 2)}}}', b"\1\2")}
    yield "weights-boolean", archive(entries(whole(bad))), "6.10", "FORMAT", "a boolean that is 2, digest and all"
    pickle = b"\x80\x04N."
    bad = {**plain, WEIGHTS: pickle}
    yield (
        "weights-pickle",
        archive(entries(whole(bad))),
        "6.1",
        "FORMAT",
        "a pickle in place of weights, digest and all",
    )


def folder_cases() -> Iterator[Case]:
    """The folder form; links, pipes and devices can't travel as files of a vector."""
    members = whole(contents())
    yield (
        "folder-member-missing",
        {name: data for name, data in members.items() if name != WEIGHTS},
        "4.3",
        "FORMAT",
        "a listed member is missing",
    )
    yield (
        "folder-manifest-missing",
        {name: data for name, data in members.items() if name != MANIFEST},
        "4.3",
        "FORMAT",
        "no manifest",
    )
    yield (
        "folder-extra-file",
        {**members, "weights/other.safetensors": b"x"},
        "4.1.1",
        "FORMAT",
        "a file that is not listed",
    )
    yield "folder-hidden-file", {**members, ".hidden": b""}, "4.1.1", "FORMAT", "a hidden file"
    yield (
        "folder-backup-file",
        {**members, "manifest.json~": members[MANIFEST]},
        "4.1.1",
        "FORMAT",
        "an editor's backup",
    )
    yield (
        "folder-extra-folder",
        {**members, "extra/readme.txt": b"x"},
        "4.1.1",
        "FORMAT",
        "a folder that no member needs",
    )
    yield (
        "folder-capital",
        {("Weights/net.safetensors" if name == WEIGHTS else name): data for name, data in members.items()},
        "4.3",
        "FORMAT",
        ("a member under a name with a capital"),
    )
    yield (
        "folder-size",
        {**members, STATE: members[STATE] + b"\0"},
        "4.1.3",
        "INTEGRITY",
        "a member longer than its recorded size",
    )
    yield (
        "folder-digest",
        {**members, STATE: members[STATE][:-1] + b"\x08"},
        "5.2",
        "INTEGRITY",
        "a value of the state differs",
    )
    sealed_wrong = members[MANIFEST].replace(b'"producer": {', b'"producer":  {')
    yield "folder-manifest-edited", {**members, MANIFEST: sealed_wrong}, "3.1.5", "FORMAT", "a blank in the manifest"
    other = members[MANIFEST].replace(b'"network"', b'"netwark"')
    yield "folder-manifest-letter", {**members, MANIFEST: other}, "5.3", "INTEGRITY", "a letter in the manifest"
    yield (
        "folder-member-is-folder",
        {**{name: data for name, data in members.items() if name != STATE}, STATE + "/x": b""},
        "4.3",
        "FORMAT",
        ("a folder where a member belongs"),
    )
