"""H13: the cost of every parser grows linearly. Inputs are honest, of n, 2n and 4n parts; none may end in an error.

What :mod:`test_resources` measures (JSON, msgpack, tensor headers, the machine, the scan of pickles and archives) is
not repeated here.
"""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
import zlib
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from payloads import frame_free, gzip_of, raw_zip, short_text

import crate_bytes
from attacks.values import call, literal, name
from effort import exponent
from modelcrate.format.manifest import Manifest, Omission
from modelcrate.format.values import encode
from oracle import ROOT, Oracle

MOST = 1.2
"""The largest exponent."""
TABLES = 1 << 18
"""Bytes up to which the doubling of single tables is all that is seen."""


def stored(members: dict[str, bytes]) -> bytes:
    return raw_zip([(key.encode(), 0, zlib.crc32(data), len(data), data) for key, data in members.items()])


def tensors_pickle(n: int, *, storages: int | None = None) -> bytes:
    """A dict of ``n`` tensors of two numbers, each with a storage of its own unless told otherwise."""
    rebuild = b"ctorch._utils\n_rebuild_tensor_v2\n\x94"
    pairs = []
    for index in range(n):
        key = short_text(str(index % (storages or n)))
        storage = b"(" + short_text("storage") + b"h\x01" + key + short_text("cpu") + b"K\x02tQ"
        pairs.append(short_text(f"t{index}") + b"h\x00(" + storage + b"K\x00K\x02\x85K\x01\x85\x89h\x02)RtR")
    names = rebuild + b"0ctorch\nFloatStorage\n\x940ccollections\nOrderedDict\n\x940"
    return b"\x80\x04" + names + b"}(" + b"".join(pairs) + b"u."


def torch_zip(n: int) -> bytes:
    held = {f"a/data/{index}": bytes(8) for index in range(n)}
    return stored({"a/data.pkl": tensors_pickle(n), "a/version": b"3\n", **held})


def torch_views(n: int) -> bytes:
    return stored({"a/data.pkl": tensors_pickle(n, storages=1), "a/version": b"3\n", "a/data/0": bytes(8)})


def old_torch(n: int) -> bytes:
    heads = [pickle.dumps(it, 2) for it in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    keys = [str(index) for index in range(n)]
    tail = b"".join(struct.pack("<q", 2) + bytes(8) for _ in keys)
    return b"".join([*heads, tensors_pickle(n), pickle.dumps(keys, 2), tail])


def torch_script(n: int) -> bytes:
    code = {f"a/code/__torch__/m{index}.py": b"op_version_set = 1\n" for index in range(n)}
    return stored({"a/data.pkl": b"\x80\x02c__torch__\nM\n)\x81}b.", "a/constants.pkl": b"\x80\x02).", **code})


def joblib_arrays(n: int) -> bytes:
    state = {
        "subclass": name("numpy", "ndarray"), "shape": (4,), "order": "C", "dtype": call(name("numpy", "dtype"), "f8",
        False, True), "allow_mmap": True, "numpy_array_alignment_bytes": 16,
    }  # fmt: skip
    wrapper = name("joblib.numpy_pickle", "NumpyArrayWrapper").opcodes + b")\x81" + literal(state) + b"b"
    return b"\x80\x04]" + (wrapper + b"\x05" + b"\xff" * 5 + bytes(32) + b"a") * n + b"."


def npz(n: int) -> bytes:
    one = io.BytesIO()
    np.save(one, np.arange(4))
    return stored({f"{index}.npy": one.getvalue() for index in range(n)})


def zips_in_a_zip(n: int) -> bytes:
    return stored({f"{index}.zip": stored({"x.pkl": frame_free(b"N")}) for index in range(n)})


def pickles_in_a_pickle(n: int) -> bytes:
    inner = [pickle.dumps([index, "text"], 4) for index in range(n)]
    return pickle.dumps(inner, 4)


def tar(n: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for index in range(n):
            member = tarfile.TarInfo(f"{index}.pkl")
            member.size = 4
            archive.addfile(member, io.BytesIO(b"\x80\x04N."))
    return out.getvalue()


def compressed(n: int) -> bytes:
    return gzip_of(pickle.dumps([f"text {index}" for index in range(n)], 4))


def compressed_in_parts(n: int) -> bytes:
    whole = pickle.dumps(bytes(n), 4)
    return b"".join(gzip_of(whole[at : at + 16]) for at in range(0, len(whole), 16))


def table_of_text(n: int) -> bytes:
    return b"name,size\n" + b"".join(b"row %d,%d.5\n" % (index, index) for index in range(n))


def manifest(n: int) -> bytes:
    omitted = tuple(Omission(what=f"thing {index}", where="model", why="no data") for index in range(n))
    return Manifest(members={}, components={}, omitted=omitted).to_bytes()


def sampler(n: int) -> bytes:
    columns = [{"name": f"column {index}", "categories": 2} for index in range(n)]
    return encode({"columns": columns, "cumulative": np.linspace(0, 1, 2 * n)}, where="state")


def crate(n: int) -> bytes:
    members = [crate_bytes.Raw(name=b"weights/m%06d" % index, data=b"x") for index in range(n)]
    return crate_bytes.archive([*members, crate_bytes.Raw(name=b"manifest.json", data=b"{}")])


def values(n: int) -> bytes:
    """Numbers beyond those that Python keeps anyway."""
    items = [{"id": index, "name": f"n{index}", "tuple": (index, None, 0.5), "list": [b"x", {index}]}
             for index in range(1_000, 1_000 + n)]  # fmt: skip
    return pickle.dumps(items, 4)


def objects(n: int) -> bytes:
    one = b"cmine\nThing\n\x940" + b"(" + (b"h\x00)\x81}" + short_text("a") + b"K\x01sb") * n + b"l"
    return frame_free(one)


def nested_objects(n: int) -> bytes:
    """As deep as is allowed, n times beside each other."""
    deep = b"".join(b"h\x00)\x81}" + short_text("a") for _ in range(20)) + b"N" + b"sb" * 20
    return frame_free(b"cmine\nThing\n\x940(" + deep * n + b"l")


def frame_rows(n: int) -> bytes:
    rows = pd.DataFrame({"a": np.arange(n), "b": np.arange(n) / 2, "c": [f"t{index % 9}" for index in range(n)]})
    return pickle.dumps(rows, 4)


def frame_columns(n: int) -> bytes:
    return pickle.dumps(pd.DataFrame(np.zeros((2, n)), columns=[f"c{index}" for index in range(n)]), 4)


def object_array(n: int) -> bytes:
    return pickle.dumps(np.array([f"t{index}" for index in range(n)], dtype=object), 4)


def nested_state(n: int) -> bytes:
    return encode(
        {"value": [{"@tuple": [index, {"@tensor": "t"}, {"@pairs": [[index, None]]}]} for index in range(n)]},
        where="state",
    )


LIGHT = [
    pytest.param("torch", torch_zip, 200, id="torch-zip"),
    pytest.param("torch", old_torch, 400, id="torch-old"),
    pytest.param("torch", torch_script, 250, id="torchscript"),
    pytest.param("scan", torch_zip, 100, id="scan-torch-zip"),
    pytest.param("scan", torch_views, 150, id="scan-torch-views"),
    pytest.param("scan", old_torch, 150, id="scan-torch-old"),
    pytest.param("scan", torch_script, 200, id="scan-torchscript"),
    pytest.param("scan", joblib_arrays, 150, id="scan-joblib"),
    pytest.param("scan", npz, 150, id="scan-npz"),
    pytest.param("scan", zips_in_a_zip, 60, id="scan-nested-archives"),
    pytest.param("scan", pickles_in_a_pickle, 100, id="scan-nested-pickles"),
    pytest.param("scan", tar, 100, id="scan-tar"),
    pytest.param("scan", compressed, 4_000, id="scan-compressed"),
    pytest.param("scan", compressed_in_parts, 4_000, id="scan-compressed-parts"),
    pytest.param("scan anything", table_of_text, 2_000, id="scan-table-of-text"),
    pytest.param("scan", manifest, 250, id="scan-manifest"),
    pytest.param("manifest", manifest, 250, id="manifest"),
    pytest.param("sampler", sampler, 50, id="state-and-its-schema"),
    pytest.param("crate", crate, 200, id="crate-zip"),
]
HEAVY = [
    pytest.param("read_legacy", torch_zip, 60, id="read-torch-zip"),
    pytest.param("read_legacy", torch_views, 60, id="read-torch-views"),
    pytest.param("read_legacy", old_torch, 60, id="read-torch-old"),
    pytest.param("read_legacy", joblib_arrays, 60, id="read-joblib"),
    pytest.param("read_legacy", values, 120, id="read-values"),
    pytest.param("read_legacy", objects, 250, id="read-objects"),
    pytest.param("read_legacy", nested_objects, 15, id="read-nested-objects"),
    pytest.param("read_legacy", object_array, 1_500, id="read-object-array"),
    pytest.param("plain", values, 200, id="plain-values"),
    pytest.param("frame", frame_rows, 2_000, id="frame-rows"),
    pytest.param("frame", frame_columns, 400, id="frame-columns"),
    pytest.param("translate", torch_zip, 60, id="translate-state-dict"),
    pytest.param("export", torch_zip, 60, id="names-of-tensors"),
    pytest.param("nested", nested_state, 1_000, id="nested-state"),
]


def grows_linearly(oracle: Oracle, parser: str, make: Callable[[int], bytes], n: int, *, heavy: bool) -> None:
    """Time is measured in many rounds if need be; memory has no noise."""
    inputs = [make(n * factor).decode("latin-1") for factor in (1, 2, 4)]
    guard = {"heavy": heavy, "seconds": 60.0, "memory": 1 << 30, "allow": [ROOT]}

    def run(action: str, *arguments: float) -> list[float]:
        outcome = oracle.run(f"growth:{action}", parser, inputs, *arguments, **guard)  # type: ignore[arg-type]
        assert outcome.error is None, outcome.message
        assert isinstance(outcome.value, list)
        return outcome.value

    times = run("cost", MOST)
    assert exponent(times, 1e-4) <= MOST, times
    peaks = run("memory")
    assert exponent(peaks, TABLES) <= MOST, peaks


@pytest.mark.parametrize(("parser", "make", "n"), LIGHT)
def test_H13_time_and_memory_grow_linearly(oracle: Oracle, parser: str, make: Callable[[int], bytes], n: int) -> None:
    grows_linearly(oracle, parser, make, n, heavy=False)


@pytest.mark.parametrize(("parser", "make", "n"), HEAVY)
def test_H13_time_and_memory_of_values_grow_linearly(
    oracle: Oracle, parser: str, make: Callable[[int], bytes], n: int
) -> None:
    grows_linearly(oracle, parser, make, n, heavy=True)
