"""Archives and wrappers: what two programs read differently, and what a look at the first bytes does not show."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator

from attacks.streams import COMMAND, PYTHON, Attack, call, evil, evil_pickle, literal, name, pickled, raw, text

MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
GOOD = pickled({"weight": [1, 2, 3]}, 2)
BAD = evil_pickle(2)


def attacks() -> Iterator[Attack]:
    yield from _wrapped()
    yield from _torch_zips()
    yield from _ambiguous()
    yield from _arrays()
    yield from _old_torch()
    yield from _strangers()


def archive(members: dict[str, bytes] | list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as packed:
        for member, data in members.items() if isinstance(members, dict) else members:
            info = zipfile.ZipInfo(member)
            info.compress_type = method
            packed.writestr(info, data)
    return out.getvalue()


def torch_zip(pickle: bytes, **more: bytes) -> bytes:
    members = {
        "archive/data.pkl": pickle,
        "archive/byteorder": b"little",
        "archive/data/0": bytes(12),
        "archive/version": b"3\n",
    }
    members.update({f"archive/{key}": value for key, value in more.items()})
    return archive(members)


def _wrapped() -> Iterator[Attack]:
    streams = {
        "gzip": gzip.compress(BAD, mtime=0),
        "bz2": bz2.compress(BAD),
        "xz": lzma.compress(BAD),
        "lzma": lzma.compress(BAD, format=lzma.FORMAT_ALONE),
        "zlib": zlib.compress(BAD),
        "zlib-0": zlib.compress(BAD, 0),
        "gzip-in-gzip": gzip.compress(gzip.compress(BAD, mtime=0), mtime=0),
        "zip-in-gzip": gzip.compress(torch_zip(BAD), mtime=0),
        "gzip-second-member": gzip.compress(GOOD, mtime=0) + gzip.compress(BAD, mtime=0),
        "gzip-damaged-behind": gzip.compress(BAD + bytes(1 << 16), mtime=0)[:-40],
        "zip-deflated": archive({"archive/data.pkl": BAD}, zipfile.ZIP_DEFLATED),
        "zip-any-name": archive({"readme.txt": BAD}),
        "zip-no-extension": archive({"model": BAD}),
        "zip-in-zip": archive({"inner.bin": archive({"archive/data.pkl": BAD})}),
        "zip-folders": archive({"a/b/c/d.txt": BAD}),
        "tar": _tar({"pickle": BAD}),
        "tar-two": _tar({"a": GOOD, "b": BAD}),
        "tar-in-zip": archive({"x": _tar({"p": BAD})}),
        "joblib-zlib": zlib.compress(_joblib(evil())),
    }
    for label, data in streams.items():
        yield Attack(name=f"wrap-{label}", data=data, about="A41, B26")
    yield Attack(name="wrap-gzip-nothing", data=gzip.compress(b"", mtime=0), verdict="unrecognised")
    yield Attack(name="wrap-gzip-cut", data=gzip.compress(GOOD, mtime=0)[:-9], verdict="broken")
    yield Attack(name="wrap-gzip-trailing", data=gzip.compress(GOOD, mtime=0) + b"junk", verdict="broken")
    yield Attack(name="wrap-zlib-trailing", data=zlib.compress(GOOD) + BAD, verdict="broken")
    yield Attack(name="wrap-gzip-wrong-crc", data=gzip.compress(GOOD, mtime=0)[:-8] + bytes(8), verdict="broken")
    for label, magic in {
        "zstd": b"\x28\xb5\x2f\xfd",
        "lz4": b"\x04\x22\x4d\x18",
        "7z": b"7z\xbc\xaf\x27\x1c",
        "rar": b"Rar!\x1a\x07\x00",
    }.items():
        yield Attack(name=f"wrap-{label}", data=magic + bytes(40), verdict="unrecognised", about="A41")


def _tar(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as packed:
        for member, data in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _torch_zips() -> Iterator[Attack]:
    pid = literal(("storage", name("torch", "FloatStorage", 2), "0", "cpu", 3)) + b"Q"
    yield Attack(name="torch-zip", data=torch_zip(BAD))
    yield Attack(name="torch-zip-second-pickle", data=torch_zip(GOOD + BAD))
    yield Attack(
        name="torch-zip-in-storage", data=torch_zip(GOOD, **{"data/1": BAD}), about="a pickle inside a tensor's storage"
    )
    yield Attack(name="torch-zip-in-version", data=torch_zip(GOOD, version=BAD + bytes(300)))
    yield Attack(name="torch-zip-other-pickle", data=torch_zip(GOOD, **{"extra.pkl": BAD}))
    yield Attack(name="torch-zip-constants", data=torch_zip(GOOD, **{"constants.pkl": BAD}))
    yield Attack(
        name="torch-zip-code",
        data=torch_zip(GOOD, **{"code/__torch__.py": PYTHON.encode()}),
        verdict="unknown",
        about="A59",
    )
    yield Attack(name="torch-zip-debug-pickle", data=torch_zip(GOOD, **{"code/__torch__.py.debug_pkl": BAD}))
    yield Attack(
        name="torch-zip-no-pickle",
        data=archive({"archive/version": b"3\n", "archive/x": b"hello"}),
        verdict="unrecognised",
    )
    yield Attack(
        name="torch-zip-two-tops", data=archive({"a/data.pkl": GOOD, "b/data.pkl": GOOD}), verdict="broken", about="B29"
    )
    yield Attack(
        name="torch-zip-script-beside", data=torch_zip(GOOD, **{"setup.py": PYTHON.encode()}), verdict="unrecognised"
    )
    broken = {
        "key-path": ("storage", name("torch", "FloatStorage", 2), "../../x", "cpu", 3),
        "key-number": ("storage", name("torch", "FloatStorage", 2), 0, "cpu", 3),
        "count-negative": ("storage", name("torch", "FloatStorage", 2), "0", "cpu", -3),
        "count-huge": ("storage", name("torch", "FloatStorage", 2), "0", "cpu", 2**61),
        "count-bool": ("storage", name("torch", "FloatStorage", 2), "0", "cpu", True),
        "count-float": ("storage", name("torch", "FloatStorage", 2), "0", "cpu", 3.0),
        "arity": ("storage", name("torch", "FloatStorage", 2)),
        "not-storage": ("model", name("torch", "FloatStorage", 2), "0", "cpu", 3),
        "location-number": ("storage", name("torch", "FloatStorage", 2), "0", 7, 3),
    }
    for label, value in broken.items():
        yield Attack(
            name=f"torch-pid-{label}",
            data=torch_zip(b"\x80\x02" + literal(value) + b"Q."),
            verdict="broken",
            about="A16, A17",
        )
    yield Attack(name="torch-pid-list", data=torch_zip(b"\x80\x02]Q."), verdict="broken", about="A16")
    yield Attack(name="torch-pid-call", data=torch_zip(b"\x80\x02" + evil().opcodes + b"Q."), about="A16")
    yield Attack(
        name="torch-pid-unknown-class",
        data=torch_zip(b"\x80\x02" + literal(("storage", name("acme", "Storage", 2), "0", "cpu", 3)) + b"Q."),
        verdict="unknown",
    )
    other = literal(("storage", name("torch", "LongStorage", 2), "0", "cpu", 3)) + b"Q"
    yield Attack(
        name="torch-pid-two-types", data=torch_zip(b"\x80\x02" + pid + other + b"\x86."), verdict="broken", about="A18"
    )
    rebuild = name("torch._utils", "_rebuild_tensor_v2", 2).opcodes
    geometries = {
        "zero-strides": (0, (10**6, 10**6), (0, 0)),
        "negative-size": (0, (-1,), (1,)),
        "negative-stride": (0, (3,), (-1,)),
        "past-storage": (1, (3,), (1,)),
        "rank-mismatch": (0, (3, 1), (1,)),
        "float-size": (0, (3.0,), (1,)),
        "overflow": (0, (2**40, 2**40), (0, 0)),
        "rank-100": (0, (1,) * 100, (1,) * 100),
        "negative-offset": (-1, (1,), (1,)),
        "bool-size": (0, (True,), (1,)),
        "list-size": (0, [3], [1]),
    }
    for label, (offset, size, stride) in geometries.items():
        data = (
            b"\x80\x02" + rebuild + b"(" + pid + literal(offset) + literal(size) + literal(stride) + b"\x89" + b"NtR."
        )
        yield Attack(name=f"torch-tensor-{label}", data=torch_zip(data), verdict="broken", about="A20, A21")
    for kind in (
        "_rebuild_qtensor",
        "_rebuild_sparse_tensor",
        "_rebuild_nested_tensor",
        "_rebuild_meta_tensor_no_storage",
        "_rebuild_device_tensor_from_numpy",
        "_rebuild_wrapper_subclass",
        "_rebuild_xla_tensor",
    ):
        data = pickled(call(name("torch._utils", kind, 2), 1, 2, 3), 2)
        yield Attack(name=f"torch-kind-{kind.strip('_')}", data=torch_zip(data), verdict="unknown", about="A24")


def _ambiguous() -> Iterator[Attack]:
    """Archives that two programs read differently."""
    good, bad = torch_zip(GOOD), torch_zip(BAD)
    yield Attack(
        name="zip-double-name-bad-last",
        data=archive([("archive/data.pkl", GOOD), ("archive/data.pkl", BAD)]),
        about="B1",
    )
    yield Attack(
        name="zip-double-name-bad-first",
        data=archive([("archive/data.pkl", BAD), ("archive/data.pkl", GOOD)]),
        about="B1",
    )
    yield Attack(
        name="zip-case-names", data=archive([("archive/data.pkl", GOOD), ("archive/DATA.pkl", BAD)]), about="B2"
    )
    for label, other in {
        "case": "archive/Data.pkl",
        "backslash": "archive\\data.pkl",
        "trailing-dot": "archive/data.pkl.",
        "full-width": "archive/\uff44ata.pkl",
    }.items():
        yield Attack(
            name=f"zip-same-name-{label}",
            data=archive([("archive/data.pkl", GOOD), (other, GOOD)]),
            verdict="broken",
            about="B2",
        )
    yield Attack(name="zip-two-archives", data=good + bad, about="B10")
    yield Attack(name="zip-two-archives-bad-first", data=bad + good, about="B10")
    yield Attack(name="zip-two-equal", data=good + good, verdict="broken", about="B10")
    yield Attack(name="zip-prefixed", data=b"junk" + good, verdict="broken", about="B6")
    yield Attack(name="zip-trailing", data=good + b"junk", verdict="broken", about="B7")
    yield Attack(name="zip-comment", data=good[:-2] + b"\x05\x00hello", verdict="broken", about="B8")
    yield Attack(
        name="zip-end-record-in-comment", data=bad[:-2] + b"\x16\x00" + good[-22:], verdict="broken", about="B9"
    )
    yield Attack(name="zip-behind-pickle", data=GOOD + bad, about="B27")
    yield Attack(name="zip-behind-bad-pickle", data=BAD + good, about="B27")
    yield Attack(name="zip-behind-png", data=b"\x89PNG\r\n\x1a\n" + bytes(30) + bad, about="B27")
    yield Attack(name="zip-behind-pdf", data=b"%PDF-1.4\n" + bad, about="B27")
    yield Attack(name="zip-behind-elf", data=b"\x7fELF" + bytes(60) + bad, about="B27")
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    tensors = struct.pack("<Q", len(header)) + header + bytes(4)
    yield Attack(name="zip-behind-safetensors", data=tensors + bad, about="B27")
    yield Attack(name="pickle-behind-safetensors", data=tensors + BAD, verdict="broken", about="B27")
    yield Attack(name="zip-hidden-local-entry", data=_hidden_entry(), about="B11")
    for label, offset, value in (
        ("name", 30, b"Xrchive/data.pkl"),
        ("method", 8, b"\x08\x00"),
        ("crc", 14, b"\x01\x02\x03\x04"),
        ("size", 22, b"\x09\x00\x00\x00"),
        ("flags", 6, b"\x01\x00"),
    ):
        data = bytearray(good)
        data[offset : offset + len(value)] = value
        yield Attack(name=f"zip-local-{label}", data=bytes(data), verdict="broken", about="B3, B4")
    central = good.index(b"PK\x01\x02")
    for label, offset, value in (
        ("encrypted", 8, b"\x01\x00"),
        ("strong", 8, b"\x40\x00"),
        ("method", 10, b"\x63\x00"),
        ("size-huge", 24, b"\xff\xff\xff\x7f"),
        ("packed-huge", 20, b"\xff\xff\xff\x7f"),
        ("offset-huge", 42, b"\xff\xff\xff\x7f"),
        ("disk", 34, b"\x05\x00"),
        ("symlink", 38, b"\x00\x00\xff\xa1"),
        ("name", 46, b"Xrchive"),
        ("crc", 16, b"\x01\x02\x03\x04"),
    ):
        data = bytearray(good)
        data[central + offset : central + offset + len(value)] = value
        yield Attack(name=f"zip-central-{label}", data=bytes(data), verdict="broken", about="B4, B5, B16, B18")
    end = good.index(b"PK\x05\x06")
    for label, offset, value in (
        ("count-more", 10, b"\x09\x00"),
        ("count-less", 10, b"\x01\x00"),
        ("size", 12, b"\x01\x00\x00\x00"),
        ("start", 16, b"\x01\x00\x00\x00"),
        ("disk", 4, b"\x01\x00"),
    ):
        data = bytearray(good)
        data[end + offset : end + offset + len(value)] = value
        yield Attack(name=f"zip-end-{label}", data=bytes(data), verdict="broken", about="B14")
    yield Attack(name="zip-overlap", data=_overlap(), verdict="broken", about="B12")
    for label, member in {"parent": "../evil.pkl", "absolute": "/etc/x", "drive": "C:\\x"}.items():
        yield Attack(
            name=f"zip-path-{label}",
            data=archive([("archive/data.pkl", GOOD), (member, GOOD)]),
            verdict="broken",
            about="B19",
        )
    yield Attack(name="zip-cut", data=good[:-30], verdict="broken")
    yield Attack(name="zip-cut-bad", data=bad[: bad.index(b"PK\x01\x02")], about="a directory that is missing")
    yield Attack(name="zip-empty", data=b"PK\x05\x06" + bytes(18), verdict="unrecognised")


def _hidden_entry() -> bytes:
    """A local entry between the members that no directory lists."""
    good = torch_zip(GOOD)
    hidden = archive({"archive/hidden.pkl": BAD})
    hidden = hidden[: hidden.index(b"PK\x01\x02")]
    directory = good.index(b"PK\x01\x02")
    end = good.index(b"PK\x05\x06")
    data = bytearray(good[:directory] + hidden + good[directory:])
    struct.pack_into("<L", data, end + len(hidden) + 16, directory + len(hidden))
    return bytes(data)


def _overlap() -> bytes:
    """Two directory entries for the same bytes."""
    good = torch_zip(GOOD)
    start, end = good.index(b"PK\x01\x02"), good.index(b"PK\x05\x06")
    first = good[start : good.index(b"PK\x01\x02", start + 4)]
    second = bytearray(first)
    second[46:47] = b"b"
    data = bytearray(good[:end] + bytes(second) + good[end:])
    at = end + len(second)
    count, size = struct.unpack("<H", good[end + 10 : end + 12])[0], struct.unpack("<L", good[end + 12 : end + 16])[0]
    struct.pack_into("<HHL", data, at + 8, count + 1, count + 1, size + len(second))
    return bytes(data)


def _npy(header: bytes, body: bytes, version: int = 1) -> bytes:
    size = struct.pack("<H" if version == 1 else "<L", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + size + header + body


def _arrays() -> Iterator[Attack]:
    objects = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n"
    fields = b"{'descr': [('a', '<f8'), ('b', '|O')], 'fortran_order': False, 'shape': (1,), }\n"
    yield Attack(name="npy-objects", data=_npy(objects, BAD))
    yield Attack(name="npy-object-field", data=_npy(fields, BAD))
    yield Attack(name="npy-version-2", data=_npy(objects, BAD, 2))
    yield Attack(name="npy-version-3", data=_npy(objects, BAD, 3))
    yield Attack(name="npy-good-then-bad", data=_npy(objects, GOOD + BAD))
    yield Attack(name="npz-objects", data=archive({"arr_0.npy": _npy(objects, BAD)}))
    yield Attack(name="npz-deflated", data=archive({"arr_0.npy": _npy(objects, BAD)}, zipfile.ZIP_DEFLATED))
    yield Attack(name="npy-in-gzip", data=gzip.compress(_npy(objects, BAD), mtime=0))
    yield Attack(name="npy-in-pickle", data=pickled(_npy(objects, BAD)))
    for label, header in {
        "code": b"{'descr': __import__('os').system('x'), 'fortran_order': False, 'shape': (1,), }\n",
        "deep": b"[" * 5000,
        "empty": b"",
        "not-a-dict": b"(1, 2)\n",
        "extra-key": b"{'descr': '<f8', 'fortran_order': False, 'shape': (1,), 'x': 1, }\n",
    }.items():
        yield Attack(name=f"npy-header-{label}", data=_npy(header, bytes(8)), verdict="broken")
    yield Attack(name="npy-header-past-end", data=b"\x93NUMPY\x01\x00\xff\xff{'descr'", verdict="broken")
    yield Attack(name="npy-version-9", data=b"\x93NUMPY\x09\x00\x10\x00" + bytes(20), verdict="broken")
    yield Attack(
        name="npy-data-missing",
        data=_npy(b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000,), }\n", bytes(8)),
        verdict="broken",
    )
    yield Attack(name="joblib-objects", data=_joblib(None, objects=True))
    yield Attack(name="joblib-behind-array", data=_joblib(evil()))
    yield Attack(name="joblib-cut", data=_joblib(None)[:-20], verdict="broken", about="A40")
    yield Attack(name="joblib-shape-huge", data=_joblib(None, shape=(10**12,)), verdict="broken", about="A40")
    yield Attack(name="joblib-shape-negative", data=_joblib(None, shape=(-1,)), verdict="broken", about="A40")


def _joblib(then: object, *, objects: bool = False, shape: tuple[int, ...] = (4,)) -> bytes:
    """A list of an array wrapper, its data in the stream, and whatever comes then."""
    dtype = call(name("numpy", "dtype"), "O8" if objects else "f8", False, True)
    state = {
        "subclass": name("numpy", "ndarray"),
        "shape": shape,
        "order": "C",
        "dtype": dtype,
        "allow_mmap": not objects,
    }
    if not objects:
        state["numpy_array_alignment_bytes"] = 16
    wrapper = name("joblib.numpy_pickle", "NumpyArrayWrapper").opcodes + b")\x81" + literal(state) + b"b"
    inline = BAD if objects else b"\x05" + b"\xff" * 5 + bytes(32)
    return b"\x80\x04]" + wrapper + inline + b"a" + (literal(then) + b"a" if then is not None else b"") + b"."


def _old_torch() -> Iterator[Attack]:
    protocol, system = (
        pickled(1001, 2),
        pickled({"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}, 2),
    )
    storage = literal(("storage", name("torch", "FloatStorage", 2), "a1", "cpu", 3, None)) + b"Q"
    body, keys = b"\x80\x02" + storage + b".", pickled(["a1"], 2)
    data = struct.pack("<q", 3) + bytes(12)
    parts = [MAGIC, protocol, system, body, keys]
    for index, label in enumerate(("magic", "protocol", "system", "object", "keys")):
        bad = list(parts)
        bad[index] = BAD
        yield Attack(name=f"old-torch-bad-{label}", data=b"".join(bad) + data, about="A57")
    computed = (
        b"\x80\x02" + name("os", "system", 2).opcodes + literal(COMMAND) + b"\x85R0\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
    )
    yield Attack(name="old-torch-computed-magic", data=computed + b"".join(parts[1:]) + data, about="A57")
    yield Attack(name="old-torch-appended-pickle", data=b"".join(parts) + data + BAD, verdict="broken", about="A57")
    variants = {
        "protocol-1002": [MAGIC, pickled(1002, 2), system, body, keys],
        "no-system": [MAGIC, protocol, pickled(1, 2), body, keys],
        "big-endian": [MAGIC, protocol, pickled({"little_endian": False}, 2), body, keys],
        "keys-missing": [MAGIC, protocol, system, body, pickled([], 2)],
        "keys-more": [MAGIC, protocol, system, body, pickled(["a1", "b"], 2)],
        "keys-double": [MAGIC, protocol, system, body, pickled(["a1", "a1"], 2)],
        "keys-numbers": [MAGIC, protocol, system, body, pickled([1], 2)],
    }
    for label, pieces in variants.items():
        yield Attack(name=f"old-torch-{label}", data=b"".join(pieces) + data, verdict="broken", about="A57")
    for label, tail in {
        "count-more": struct.pack("<q", 4) + bytes(16),
        "count-huge": struct.pack("<q", 2**62) + bytes(12),
        "count-negative": struct.pack("<q", -1),
        "cut": struct.pack("<q", 3) + bytes(5),
        "nothing": b"",
        "trailing": data + b"x",
    }.items():
        yield Attack(name=f"old-torch-data-{label}", data=b"".join(parts) + tail, verdict="broken", about="A57")
    yield Attack(name="old-torch-only-magic", data=MAGIC, verdict="broken", about="A57")
    nested = pickled(
        call(name("torch.storage", "_load_from_bytes"), b"".join([MAGIC, protocol, system, BAD, keys]) + data)
    )
    yield Attack(name="old-torch-bad-in-load-from-bytes", data=nested)
    zipped = pickled(call(name("torch.storage", "_load_from_bytes"), torch_zip(BAD)))
    yield Attack(name="torch-zip-bad-in-load-from-bytes", data=zipped)
    raw_inside = pickled(call(name("torch.storage", "_load_from_bytes"), BAD))
    yield Attack(name="raw-pickle-in-load-from-bytes", data=raw_inside)
    tarred = pickled(
        call(name("torch.storage", "_load_from_bytes"), _tar({"storages": GOOD, "tensors": GOOD, "pickle": BAD}))
    )
    yield Attack(name="tar-in-load-from-bytes", data=tarred, about="A58")


def _strangers() -> Iterator[Attack]:
    files = {
        "empty": b"",
        "one-byte": b"\x00",
        "png": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "pdf": b"%PDF-1.4\n%%EOF",
        "html": b"<!DOCTYPE html><html>404</html>",
        "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "text": b"hello, this is no model\n",
        "script": b"#!/usr/bin/env python\n" + PYTHON.encode(),
        "nul": bytes(1000),
        "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(100),
        "elf": b"\x7fELF" + bytes(100),
        "json": b'{"weights": [1, 2]}',
        "gguf": b"GGUF" + bytes(50),
        "random": bytes((i * 7919 + 13) % 251 | 1 for i in range(500)),
        "xml": b"<?xml version='1.0'?><x/>",
        "yaml": b"!!python/object/apply:os.system ['x']\n",
        "exe": b"MZ" + bytes(100),
        "csv": b"a,b\n1,2\n",
    }
    for label, data in files.items():
        yield Attack(name=f"stranger-{label}", data=data, verdict="unrecognised", about="A60")
    yield Attack(
        name="stranger-safetensors-damaged",
        data=struct.pack("<Q", 20) + b'{"a":{"dtype":"F32"}' + bytes(4),
        verdict="broken",
    )
    yield Attack(name="stranger-raw-names", data=raw(b"x") + text("os"), verdict="broken")
