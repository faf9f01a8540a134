"""What fuzzing and hostile tests have found, each as the smallest file that showed it."""

from __future__ import annotations

import pytest

from effort import within
from modelcrate.legacy.scan import scan


def npy(shape: str) -> bytes:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


FOUND = {
    "a shape with a blank in a number": (npy("329 38"), {"broken"}),
    "a shape of a very long number": (npy("9" * 5000), {"broken"}),
    "a shape of very many numbers": (npy("9, " * 5000), {"broken"}),
    "a list for the name of a codec": (b"cbuiltins\nbytearray\n(V\n]tR.", {"unknown", "broken", "dangerous"}),
    "a long run of backslashes": (b"V" + b"\\" * 100_000 + b"x\n.", {"data", "broken", "unrecognised"}),
    "a module of many parts": (b"c" + b"a." * 100_000 + b"b\nc\n.", {"unknown", "dangerous", "broken"}),
}


@pytest.mark.parametrize("what", FOUND)
def test_what_was_found_stays_fixed(what: str) -> None:
    data, verdicts = FOUND[what]
    assert within(2.0, lambda: scan(data)).verdict in verdicts
