"""Streams that break rules, so that a scanner stops early, reads something else, or believes that there is nothing."""

from __future__ import annotations

from collections.abc import Iterator

from attacks.streams import COMMAND, Attack, call, evil_pickle, literal, name, pickled, text

EVIL = b"cos\nsystem\n" + text(COMMAND) + b"\x85R"


CASES = {
    "A8": ("bad-get", "memo-", "index-"),
    "A38": ("invalid", "truncated", "no-stop", "behind-many", "behind-harmless", "padded", "nothing", "cut-"),
    "A42": ("frame", "stop-inside", "cut-frame"),
    "A43": ("proto", "newer", "no-proto"),
    "A44": ("leftover", "mark-", "two-left", "only-mark"),
    "A45": ("underflow", "odd-dict", "odd-items", "obj-nothing"),
    "A46": ("append-", "setitem", "additems", "build-", "call-", "args-", "kwargs"),
    "A49": ("odd-int", "blank-int", "underscore", "hex", "odd-long", "integer-text"),
    "A50": ("long-negative", "integer-of"),
    "A51": ("odd-float", "blank-float", "float-"),
    "A52": (
        "surrogate",
        "behind-unknown",
        "behind-bad",
        "behind-unquoted",
        "text-not",
        "cut-escape",
        "string-negative",
    ),
    "A53": ("bytes-huge", "text-huge", "bytearray-huge", "readonly", "cut-text"),
}
"""The cases that the streams of this module carry, by the beginnings of their names."""


def _case(label: str) -> str:
    return ", ".join(case for case, starts in CASES.items() if label.startswith(starts))


def attacks() -> Iterator[Attack]:
    yield from _dangerous()
    yield from _broken()
    yield from _several()


def _dangerous() -> Iterator[Attack]:
    """A fault does not hide what was named before it, nor what a lenient unpickler would do behind it."""
    length = len(EVIL) + 1
    streams = {
        "invalid-opcode-behind": EVIL + b"\xff",
        "truncated-behind": EVIL + b"X\xff\xff",
        "no-stop": EVIL,
        "underflow-behind": EVIL + b"0000.",
        "bad-get-behind": EVIL + b"g99\n.",
        "leftover-below": b"NNN" + EVIL + b".",
        "mark-left-open": b"(" + EVIL + b".",
        "mark-below": b"N(" + EVIL + b".",
        "proto-in-the-middle": b"\x80\x02N0\x80\x04" + EVIL + b".",
        "proto-0": b"\x80\x00" + EVIL + b".",
        "newer-opcodes-than-declared": b"\x80\x02" + text("os") + text("system") + b"\x93" + text(COMMAND) + b"\x85R.",
        "no-proto-newer-opcodes": text("os") + text("system") + b"\x93" + text(COMMAND) + b"\x85R.",
        "frame-too-short": b"\x80\x04\x95\x03" + bytes(7) + EVIL + b".",
        "frame-too-long": b"\x80\x04\x95" + (length + 9).to_bytes(8, "little") + EVIL + b".",
        "frame-huge": b"\x80\x04\x95" + (2**62).to_bytes(8, "little") + EVIL + b".",
        "frame-empty": b"\x80\x04\x95" + bytes(8) + EVIL + b".",
        "frame-in-frame": b"\x80\x04\x95"
        + (length + 9).to_bytes(8, "little")
        + b"\x95"
        + length.to_bytes(8, "little")
        + EVIL
        + b".",
        "frame-without-proto": b"\x95" + length.to_bytes(8, "little") + EVIL + b".",
        "frame-straddled-by-name": b"\x80\x04\x95\x06" + bytes(7) + EVIL + b".",
        "frame-around-part": b"\x80\x04N0\x95\x04" + bytes(7) + EVIL + b".",
        "odd-int": b"I010\n0" + EVIL + b".",
        "blank-int": b"I 1\n0" + EVIL + b".",
        "underscore-int": b"I1_0\n0" + EVIL + b".",
        "hex-int": b"I0x10\n0" + EVIL + b".",
        "odd-long": b"L0x1L\n0" + EVIL + b".",
        "odd-float": b"F1_0.0\n0" + EVIL + b".",
        "blank-float": b"F 1.0 \n0" + EVIL + b".",
        "float-overflow": b"F1e400\n0" + EVIL + b".",
        "append-to-dict": b"}Na0" + EVIL + b".",
        "append-to-tuple": b")Na0" + EVIL + b".",
        "setitem-on-list": b"]NNs0" + EVIL + b".",
        "additems-on-list": b"](N\x900" + EVIL + b".",
        "build-on-text": b"\x8c\x01a}b0" + EVIL + b".",
        "build-on-none": b"N}b0" + EVIL + b".",
        "call-a-number": b"K\x01)R0" + EVIL + b".",
        "call-none": b"N)R0" + EVIL + b".",
        "args-as-list": b"cos\nsystem\n](" + text(COMMAND) + b"eR.",
        "args-as-text": b"cos\nsystem\n" + text(COMMAND) + b"R.",
        "args-as-dict": b"cos\nsystem\n}" + text(COMMAND) + b"NsR.",
        "kwargs-none": b"cos\nsystem\n" + text(COMMAND) + b"\x85N\x92.",
        "surrogate-before": b"\x8c\x03\xed\xa0\x800" + EVIL + b".",
        "padded-with-none": b"N0" * 5000 + EVIL + b".",
        "padded-with-memo": b"N" + b"\x94" * 5000 + b"0" + EVIL + b".",
        "padded-with-marks": b"(" * 3000 + b"1" * 3000 + EVIL + b".",
        "padded-with-text": text("x" * 70_000) + b"0" + EVIL + b".",
        "behind-many-globals": b"".join(b"cmod%d\nname\n0" % index for index in range(2000)) + EVIL + b".",
        "behind-harmless-call": call(name("collections", "OrderedDict")).opcodes + b"0" + EVIL + b".",
        "behind-unknown-escape": b"S'\\q'\n0" + EVIL + b".",
        "behind-bad-escape": b"S'\\x4'\n0" + EVIL + b".",
        "behind-unquoted": b"Sabc\n0" + EVIL + b".",
    }
    for label, data in streams.items():
        yield Attack(name=f"fault-{label}", data=data, about=_case(label))


def _broken() -> Iterator[Attack]:
    """Nothing harmful named, but no pickle either."""
    streams = {
        "nothing-but-proto": b"\x80\x04",
        "only-mark": b"(.",
        "cut-text": b"\x8c\x10abc",
        "cut-frame": b"\x80\x04\x95\x01",
        "cut-number": b"\x80\x02J\x01\x02",
        "two-left": b"\x80\x02NN.",
        "memo-missing": b"\x80\x02h\x05.",
        "memo-negative": b"N p-1\n.".replace(b" ", b""),
        "newer-protocol": b"\x80\x06N.",
        "protocol-255": b"\x80\xffN.",
        "invalid": b"\x80\x02\xfe.",
        "long-negative": b"\x80\x02\x8b\xff\xff\xff\xff.",
        "string-negative": b"\x80\x02T\xff\xff\xff\xff.",
        "bytes-huge": b"\x80\x05\x8e" + b"\xff" * 8 + b".",
        "text-huge": b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7f.",
        "bytearray-huge": b"\x80\x05\x96" + b"\xff" * 7 + b"\x7f.",
        "text-not-utf8": b"\x80\x04\x8c\x02\xff\xfe.",
        "cut-escape": b"\x80\x02V\\u12\n.",
        "odd-dict": b"\x80\x02(Nd.",
        "odd-items": b"\x80\x02}(Nu.",
        "obj-nothing": b"\x80\x02(o.",
        "readonly-none": b"\x80\x05N\x98.",
        "integer-of-a-megabyte": b"\x80\x02\x8b\x00\x00\x10\x00" + b"\x01" * (1 << 20) + b".",
        "integer-text": b"L" + b"9" * 50_000 + b"L\n.",
        "index-full-width": "Np１\n.".encode(),
        "stop-inside-frame": b"\x80\x04\x95\x05" + bytes(7) + b"N.NN.",
    }
    for label, data in streams.items():
        yield Attack(name=f"broken-{label}", data=data, verdict="broken", about=_case(label))


def _several() -> Iterator[Attack]:
    """More than one pickle, and what lies around them."""
    good, bad = pickled({"weights": [1, 2, 3]}), evil_pickle(2)
    streams = {
        "good-then-bad": good + bad,
        "bad-then-good": bad + good,
        "bad-third": good + good + bad,
        "nul-between": good + bytes(16) + bad,
        "newline-between": good + b"\n" + bad,
        "blank-before": b" " + bad,
        "junk-between": good + b"\xff\xfe\xfd" + bad,
        "junk-before": b"\xff\xfe\xfd" + bad,
        "newline-before": b"\n\n" + bad,
        "page-of-nul-before": bytes(4096) + bad,
        "text-between": good + b"# a comment\n" + bad,
        "script-before": b"#!/bin/sh\n" + bad,
        "json-before": b'{"a": 1}\n' + bad,
        "fifty-good": good * 50 + bad,
        "bad-behind-broken": good + b"X\xff\xff\xff\xff" + bad,
        "bom-before": b"\xef\xbb\xbf" + bad,
        "bad-in-the-tail": good + literal(list(range(100))) + b"0" * 30 + b"\xff" + bad,
    }
    for label, data in streams.items():
        yield Attack(name=f"several-{label}", data=data, about="A39")
    for label, tail in {
        "junk": b"\xff" * 10,
        "nul": bytes(10),
        "text": b"hello world",
        "cut-pickle": b"\x80\x04\x95",
    }.items():
        yield Attack(name=f"several-{label}-behind", data=good + tail, verdict="broken", about="A39")
    yield Attack(name="several-two-good", data=good + good, verdict="broken", about="A39")
