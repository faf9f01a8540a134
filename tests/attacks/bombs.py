"""Small files that would fill memory, burn time or overflow a stack in whoever loads them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator

from attacks.streams import Attack, call, name, number, pickled

PRIME = 2**61 - 1


def attacks() -> Iterator[Attack]:
    for label, data in {**_streams(), **_calls(), **_compressed()}.items():
        yield Attack(name=f"bomb-{label}", data=data, verdict="broken", about="part H")


def _streams() -> dict[str, bytes]:
    laughs = b"\x80\x04]\x94" + b"".join(b"0](" + b"h%c" % index * 10 + b"e\x94" for index in range(60)) + b"."
    tuples = b"\x80\x04)\x94" + b"".join(b"0(" + b"h%c" % index * 10 + b"t\x94" for index in range(60)) + b"."
    dicts = (
        b"\x80\x04}\x94"
        + b"".join(b"0}(" + b"".join(b"K%ch%c" % (key, index) for key in range(8)) + b"u\x94" for index in range(60))
        + b"."
    )
    dups = b"\x80\x04N" + b"2222\x87\x86" * 40 + b"."
    collisions = b"}(" + b"".join(number(k * PRIME) + b"N" for k in range(20_000)) + b"u."
    many = 1_500_000
    return {
        "laughs-lists": laughs,
        "laughs-tuples": tuples,
        "laughs-dicts": dicts,
        "laughs-dup": dups,
        "laughs-in-call": b"\x80\x04]\x94"
        + b"".join(b"](" + b"h%c" % i * 10 + b"e\x94" for i in range(60))
        + b"\x850ccollections\nOrderedDict\nh;\x85R.",
        "deep-lists": b"]" * 300_000 + b"a" * 299_999 + b".",
        "deep-tuples": b")" + b"\x85" * 300_000 + b".",
        "deep-tuple-as-key": b"})" + b"\x85" * 300_000 + b"Ns.",
        "deep-tuple-in-set": b"\x80\x04\x8f()" + b"\x85" * 300_000 + b"\x90.",
        "deep-tuple-in-frozenset": b"\x80\x04()" + b"\x85" * 300_000 + b"\x91.",
        "deep-tuple-as-argument": b"ccollections\nOrderedDict\n)" + b"\x85" * 300_000 + b"R.",
        "deep-dicts": b"}" + b"K\x01}" * 200_000 + b"s" * 200_000 + b".",
        "deep-persistent-ids": b"N" + b"Q" * 200_000 + b".",
        "deep-calls": b"ccollections\nOrderedDict\nq\x00N" + b"\x85q\x010h\x00h\x01R" * 100_000 + b".",
        "deep-states": b"ccollections\nOrderedDict\n)R" * 3000 + b"b" * 2999 + b".",
        "marks": b"(" * 3_000_000 + b".",
        "opcodes": b"N0" * 2_600_000 + b"N.",
        "memo": b"N" + b"\x94" * 2_500_000 + b".",
        "memo-sparse": b"N"
        + b"".join(b"r" + (i * 1_000_003 % 2**32).to_bytes(4, "little") for i in range(1_200_000))
        + b".",
        "memo-index-of-4-billion": b"Nr\xff\xff\xff\xff" * 2 + b".",
        "empty-lists": b"]" * 3_000_000 + b".",
        "empty-dicts": b"}" * many + b"0" * (many - 1) + b".",
        "empty-sets": b"\x80\x04" + b"\x8f" * many + b".",
        "byte-arrays": b"\x80\x05" + (b"\x96" + bytes(8)) * 1_000_000 + b".",
        "small-texts": b"\x8c\x02ab" * 2_000_000 + b".",
        "globals": b"ca\nb\n" * 600_000 + b".",
        "calls": b"ccollections\nOrderedDict\nq\x00" + b"h\x00)R0" * 1_000_000 + b"N.",
        "colliding-integers": collisions,
        "colliding-integers-in-set": b"\x80\x04\x8f(" + b"".join(number(k * PRIME) for k in range(5000)) + b"\x90.",
        "colliding-integers-in-frozenset": b"\x80\x04(" + b"".join(number(k * PRIME) for k in range(5000)) + b"\x91.",
        "colliding-tuples": b"}(" + b"".join(number(k * PRIME) + b"\x85N" for k in range(5000)) + b"u.",
        "colliding-in-ordered-dict": b"ccollections\nOrderedDict\n)R("
        + b"".join(number(k * PRIME) + b"N" for k in range(5000))
        + b"u.",
        "colliding-in-set-call": b"c__builtin__\nset\n]("
        + b"".join(number(k * PRIME) for k in range(5000))
        + b"e\x85R.",
        "text-of-one-line": b"V" + b"\\u0041" * 1_500_000,
        "string-of-one-line": b"S'" + b"\\x41" * 1_500_000,
    }


def _calls() -> dict[str, bytes]:
    """Allowed constructors, given arguments that make something enormous."""
    dtype = call(name("numpy", "dtype"), "f8", False, True)
    made = {
        "bytes-of-a-number": call(name("builtins", "bytes"), 10**10),
        "bytearray-of-a-number": call(name("builtins", "bytearray"), 10**10),
        "list-of-range": call(name("builtins", "list"), call(name("builtins", "range"), 10**12)),
        "tuple-of-range": call(name("builtins", "tuple"), call(name("builtins", "range"), 10**12)),
        "set-of-range": call(name("builtins", "set"), call(name("builtins", "range"), 10**12)),
        "deque-of-range": call(name("collections", "deque"), call(name("builtins", "range"), 10**12)),
        "counter-of-range": call(name("collections", "Counter"), call(name("builtins", "range"), 10**12)),
        "fraction-of-exponent": call(name("fractions", "Fraction"), "1e999999999"),
        "ndarray-of-shape": call(name("numpy", "ndarray"), (10**6, 10**6)),
        "void-of-a-size": call(name("numpy", "void"), 10**10),
        "seed-sequence": call(name("numpy.random.bit_generator", "SeedSequence"), 1, 3 * 10**8),
        "scalar-of-wide-text": call(
            name("numpy.core.multiarray", "scalar"), call(name("numpy", "dtype"), "U999999999"), b""
        ),
        "array-of-nothing": call(name("numpy.core.numeric", "_frombuffer"), b"", dtype, (10**12,), "C"),
    }
    return {label: pickled(code) for label, code in made.items()}


def _compressed() -> dict[str, bytes]:
    zeros = bytes(100 << 20)
    small = bytes(1 << 20)
    nested = zlib.compress(zlib.compress(zlib.compress(zeros, 1), 1), 1)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("archive/data.pkl", zeros)
    many = io.BytesIO()
    with zipfile.ZipFile(many, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for index in range(300):
            archive.writestr(f"archive/data/{index}.bin", small)
    matryoshka = pickled(1)
    for _ in range(12):
        matryoshka = gzip.compress(matryoshka, mtime=0)
    archives = pickled(1)
    for _ in range(12):
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w") as archive:
            archive.writestr("a.pkl", archives)
        archives = inner.getvalue()
    return {
        "gzip": gzip.compress(zeros, 1, mtime=0),
        "bz2": bz2.compress(zeros, 1),
        "xz": lzma.compress(zeros, preset=0),
        "zlib": zlib.compress(zeros, 1),
        "zlib-in-zlib": nested,
        "zip-member": packed.getvalue(),
        "zip-many-members": many.getvalue(),
        "gzip-matryoshka": matryoshka,
        "zip-matryoshka": archives,
        "lzma-alone": lzma.compress(zeros, format=lzma.FORMAT_ALONE, preset=0),
    }
