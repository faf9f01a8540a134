"""A file of a kilobyte makes no reader allocate a gigabyte."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from crate_bytes import Raw, archive
from modelcrate.format.digest import digest_of
from modelcrate.format.manifest import Component, Manifest, Member

SOURCE = str(Path(__file__).resolve().parent.parent / "src")
BUDGET = 32 << 10
"""KiB of resident memory that a file of a kilobyte may cost beyond what the imports cost."""

READ = """
import resource, sys
sys.path.insert(0, sys.argv[1])
import numpy, blake3, modelcrate as mc
from modelcrate.format import values
mc.verify, mc.inspect
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
limit = 4 << 30
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for path in sys.argv[2:]:
    before = peak()
    for io in ("map", "read"):
        assert not mc.verify(path, io=io).ok, path
        try:
            mc.inspect(path, io=io)
        except mc.errors.ModelcrateError:
            pass
        else:
            raise AssertionError(path)
    print(peak() - before)
"""


def crate_with(name: str, data: bytes) -> bytes:
    """A crate of one member whose digest is right, so that only its content can be wrong."""
    kind = "weights" if name.endswith(".safetensors") else "state"
    manifest = Manifest(
        members={name: Member(size=len(data), digest=digest_of(data))},
        components={"part": Component(role="part", type="test.part/1", **{kind: name})},
    )
    return archive([Raw(name=name.encode(), data=data), Raw(name=b"manifest.json", data=manifest.to_bytes())])


def header(text: bytes, length: int | None = None) -> bytes:
    padded = text + b" " * (-len(text) % 8)
    return struct.pack("<Q", len(padded) if length is None else length) + padded


def tensor(shape: list[int], end: int) -> bytes:
    return json.dumps(
        {"x": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}}, separators=(",", ":")
    ).encode()  # fmt: skip


WEIGHTS = {
    "header-length": header(b"{}", 10**8),
    "header-length-64": header(b"{}", 2**63),
    "huge-shape": header(tensor([2**30, 2**10], 2**42)),
    "huge-shape-no-data": header(tensor([2**30, 2**10], 0)),
    "zero-times-huge": header(tensor([0, 2**31, 2**31], 0)),
    "overflow": header(tensor([2**31] * 8, 0)),
}
STATES = {
    "array-of-4-billion": b"\xdd\xff\xff\xff\xff",
    "map-of-4-billion": b"\xdf\xff\xff\xff\xff",
    "text-of-4-gib": b"\x81\xa1x\xdb\xff\xff\xff\xff",
    "bytes-of-4-gib": b"\x81\xa1x\xc6\xff\xff\xff\xff",
    "ext-of-4-gib": b"\x81\xa1x\xc9\xff\xff\xff\xff\x02",
    "nested-lengths": b"\x81\xa1x" + b"\xdd\x00\x00\x04\x00" * 200,
}


def test_a_kilobyte_does_not_become_a_gigabyte(tmp_path: Path) -> None:
    files = {f"weights-{name}": crate_with("weights/part.safetensors", data) for name, data in WEIGHTS.items()}
    files |= {f"state-{name}": crate_with("state/part.msgpack", data) for name, data in STATES.items()}
    members = [Raw(name=b"state/a.msgpack", data=b""), Raw(name=b"manifest.json", data=b"{}")]
    for size in (2**30, 2**32 - 2):
        lie = {"size": size, "stored": size}
        files[f"member-{size}"] = archive([Raw(name=b"manifest.json", data=b"{}", local=lie, central=lie)])
        files[f"directory-{size}"] = archive(members, end={"size": size})
        files[f"offset-{size}"] = archive(members, end={"offset": size})
    files["count"] = archive(members, end={"count": 0xFFFF, "disk_count": 0xFFFF})
    paths = []
    for name, data in files.items():
        assert len(data) < 2200
        (tmp_path / name).write_bytes(data)
        paths.append(str(tmp_path / name))
    done = subprocess.run([sys.executable, "-c", READ, SOURCE, *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    grown = dict(zip(files, map(int, done.stdout.split()), strict=True))
    assert max(grown.values()) < BUDGET, grown


@pytest.mark.parametrize("io", ["map", "read"])
def test_b35_a_sparse_file_of_a_terabyte_is_refused_without_reading_it(tmp_path: Path, io: str) -> None:
    path = tmp_path / "x.crate"
    with path.open("wb") as file:
        file.write(b"PK\3\4")
        file.truncate(1 << 40)
    code = (
        "import resource, sys; sys.path.insert(0, sys.argv[1]); import modelcrate as mc; mc.open\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n"
        "    mc.open(sys.argv[2], io=sys.argv[3])\n"
        "except mc.errors.ModelcrateError:\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, SOURCE, str(path), io], capture_output=True, text=True, check=True, timeout=120
    )
    assert int(done.stdout) < BUDGET


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell whose memory it is")
def test_inspecting_a_large_crate_does_not_hold_it_in_memory(tmp_path: Path) -> None:
    """Mapped pages are the system's to take back; what counts is memory of the process's own."""
    from modelcrate.crate import ComponentData, write_crate
    from modelcrate.format.tensors import TensorData

    size = 256 << 20
    data = {"x": TensorData("U8", (size,), memoryview(bytearray(size)))}
    write_crate(tmp_path / "x", components=[ComponentData(name="a", role="a", type="a.b/1", tensors=data)])
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import modelcrate as mc\n"
        "mc.inspect(sys.argv[2])\n"
        "fields = dict(line.split(':') for line in open('/proc/self/status') if ':' in line)\n"
        "print(fields['RssAnon'].split()[0])\n"
    )
    command = [sys.executable, "-c", code, SOURCE, str(tmp_path / "x")]
    anonymous = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert anonymous < 64 << 10
