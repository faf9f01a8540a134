"""Where CPython's C and Python unpicklers disagree on a stream, a scan says that something is wrong with it."""

from __future__ import annotations

import collections
import copyreg
import pickle
import pickletools
import random

import pytest
from unpicklers import disagree

from modelcrate.errors import ModelcrateError
from modelcrate.legacy.machine import read_pickle
from modelcrate.legacy.scan import scan

pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::DeprecationWarning", "ignore::SyntaxWarning"
)
NUMBERS = [
    b"0", b"1", b"-1", b"00", b"01", b" 1", b"1 ", b"+1", b"1_0", b"0x1", b"1L", b"L", b"", b"1.0", b"1e3", b"inf",
    b"nan", b"-0", b"\t1", b"0b1", b"1e400", b"1\x00", b"\xc2\xb2", b"\xef\xbc\x91", b"9" * 25, b"True", b"1.5\r",
    b"1\r", b".5", b"5.", b"1__0", b"_1", b"255", b"256", b"000",
]  # fmt: skip
TEXTS = [
    b"'a'", b'"a"', b"'a\"", b"'\\x41'", b"'\\q'", b"'\\x4'", b"a", b"''", b"'", b"", b"'a' ", b" 'a'", b"'\\'",
    b"'a'b'", b"'\xff'", b"'\\u0041'", b"'\\777'", b"'a'\r",
]  # fmt: skip
UNICODE = [b"a", b"\\u0041", b"\\u12", b"\\ud800", b"\xff", b"\\U00110000", b"\\", b"", b"a\\", b"\\x41", b"a\r"]
NAMES = [b"os", b"builtins", b"a.b", b"", b"\xff", b"\xc3\xa9", b" os", b"os\r", b"__builtin__"]
BODIES = [b"", b"a", b"os", b"\xff", b"\xed\xa0\x80", b"ab\n", b"\x00", b"\x80", b"\xff\xff"]
PUSHES = [
    b"N", b"K\x01", b"]", b"}", b")", b"\x8f", b"\x88", b"\x8c\x01a", b"C\x01a", b"(", b"cm\nn\n", b"K\x01\x85",
    b"](K\x01e", b"}\x8c\x01aK\x01s",
]  # fmt: skip
VALUES = [
    {"a": [1, 2.5, (None, True, "x")], "b": {1, 2}, "c": b"xy", "d": 2**80}, [1, [2, [3]]], ("a",) * 3,
    bytearray(b"abc"), frozenset([1, 2]), 1 + 2j, range(3), collections.OrderedDict(a=1),
]  # fmt: skip
SEEDS = [pickle.dumps(value, protocol) for protocol in range(6) for value in VALUES]
WIDTHS = {"1": 1, "4": 4, "8": 8}


def argument(opcode: pickletools.OpcodeInfo, chance: random.Random) -> bytes:
    """An argument of an opcode that is right, nearly right, or spelled in another way."""
    if opcode.arg is None:
        return b""
    name = opcode.arg.name
    fixed = {
        "uint1": [b"\0", b"\1", b"\2", b"\xff"],
        "uint2": [b"\0\0", b"\1\0", b"\xff\xff"],
        "int4": [number.to_bytes(4, "little", signed=True) for number in (0, 1, -1, 2**31 - 1, -(2**31))],
        "uint4": [number.to_bytes(4, "little") for number in (0, 1, 2, 1000)],
        "uint8": [number.to_bytes(8, "little") for number in (0, 1, 2, 3, 5, 8, 20, 2**62)],
        "float8": [bytes(8), b"\x7f\xf0" + bytes(6), b"\x7f\xf8" + bytes(6)],
    }
    lines = {"stringnl": TEXTS, "unicodestringnl": UNICODE, "stringnl_noescape": [*NUMBERS, *NAMES]}
    if name in fixed:
        return chance.choice(fixed[name])
    if name == "stringnl_noescape_pair":
        return chance.choice(NAMES) + b"\n" + chance.choice(NAMES) + b"\n"
    if name.endswith("nl") or name in ("decimalnl_short", "decimalnl_long") or name in lines:
        return chance.choice(lines.get(name, NUMBERS)) + b"\n"
    body = chance.choice(BODIES)
    length = max(0, len(body) + chance.choice([0, 0, 0, 0, 1, -1]))
    return length.to_bytes(WIDTHS[name[-1]], "little") + body


def some(chance: random.Random) -> bytes:
    """Opcodes in any order, or a pickle that somebody changed here and there."""
    if chance.random() < 0.5:
        out = chance.choice([b"", b"", b"\x80\x02", b"\x80\x04", b"\x80\x05"])
        for _ in range(chance.randrange(1, 12)):
            opcode = chance.choice(pickletools.opcodes)
            plain = chance.random() < 0.55
            out += chance.choice(PUSHES) if plain else opcode.code.encode("latin-1") + argument(opcode, chance)
        return out + b"."
    data = bytearray(chance.choice(SEEDS))
    for _ in range(chance.randrange(1, 4)):
        place, what = chance.randrange(len(data) + 1), chance.random()
        opcode = chance.choice(pickletools.opcodes)
        if what < 0.3 and place < len(data):
            data[place] = chance.randrange(256)
        elif what < 0.5:
            del data[place : place + chance.randrange(1, 4)]
        elif what < 0.75:
            data[place:place] = opcode.code.encode("latin-1") + argument(opcode, chance)
        elif what < 0.9:
            data[place:place] = chance.choice(PUSHES)
        else:
            other = chance.choice(SEEDS)
            data[place:] = other[chance.randrange(len(other)) :]
    return bytes(data)


def faulty(data: bytes) -> bool:
    """Whether a scan finds fault with the stream itself, whatever it names."""
    return any(found.verdict in ("broken", "unrecognised") for found in scan(data).findings)


@pytest.mark.parametrize("seed", range(6))
def test_what_the_two_unpicklers_disagree_on_is_reported(seed: int) -> None:
    chance = random.Random(f"unpicklers {seed}")
    differences = 0
    for _ in range(1200):
        data = some(chance)
        how = disagree(data)
        if how is not None:
            differences += 1
            assert faulty(data), (data, how)
            with pytest.raises(ModelcrateError):
                read_pickle(data)
    assert differences > 3


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"cos\n\n.", id="A6-no-name"),
        pytest.param(b"c\nos\n.", id="A6-no-module"),
        pytest.param(b"(i\nos\n.", id="A6-inst-no-module"),
        pytest.param(b"cm\nn\n]R.", id="A46-list-of-arguments"),
    ],
)
def test_known_disagreements(data: bytes) -> None:
    assert disagree(data) is not None
    assert faulty(data)


CODES = [b"\x82\x01", b"\x82\xff", b"\x83\x01\x01", b"\x84\x01\x01\x01\x00", b"\x84\xff\xff\xff\x7f", b"\x82\x00",
         b"\x84\x00\x00\x00\x80"]  # fmt: skip


@pytest.mark.parametrize("code", CODES, ids=[f"A15-{code.hex()}" for code in CODES])
def test_an_extension_code_means_nothing_here_even_if_it_does_in_this_process(code: bytes) -> None:
    """Registered and warm, or not: its meaning lies in another process."""
    copyreg.add_extension("collections", "OrderedDict", 1)
    try:
        if code == b"\x82\x01":
            assert pickle.loads(b"\x80\x02" + code + b")R.") == collections.OrderedDict()
        assert scan(b"\x80\x02" + code + b")R.").verdict != "data"
        with pytest.raises(ModelcrateError):
            read_pickle(b"\x80\x02" + code + b")R.")
    finally:
        copyreg.remove_extension("collections", "OrderedDict", 1)
        copyreg.clear_extension_cache()


@pytest.mark.parametrize("opcode", pickletools.opcodes, ids=lambda opcode: opcode.name)
def test_every_opcode_in_random_company_gives_what_pickle_gives_or_an_error(opcode: pickletools.OpcodeInfo) -> None:
    """Each opcode of protocols 0 to 5, with right and odd arguments, behind stacks of all kinds."""
    from pickled import evaluate
    from unpicklers import Fast, outcome, shown

    chance = random.Random(opcode.name)
    for _ in range(60):
        data = b"".join(chance.choice(PUSHES) for _ in range(chance.randrange(5)))
        data += opcode.code.encode("latin-1") + argument(opcode, chance)
        data += b"" if opcode.name == "STOP" else b"."
        try:
            root = read_pickle(data).root
        except ModelcrateError:
            continue
        kind, value = outcome(Fast, data, encoding="latin-1")  # as the machine reads texts of Python 2
        assert kind == "ok" or "unhashable" in value or value == "TypeError", (data, value)
        if kind == "ok" and b"cm\nn\n" not in data and opcode.name not in ("GLOBAL", "INST", "PERSID", "BINPERSID"):
            assert shown(evaluate(root)) == value, data
