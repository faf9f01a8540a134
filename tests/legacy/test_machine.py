"""The pickle machine: opcodes, strictness, budgets. Ids like A45 are the numbers of the hostile cases."""

from __future__ import annotations

import dataclasses
import pickle
import pickletools
from collections.abc import Callable

import pytest
from pickled import named, stacked, text

from effort import costs, exponent, within
from modelcrate.errors import FormatError, LimitError, ModelcrateError, UnsupportedError
from modelcrate.legacy.graph import ByteArray, Call, Dict, Global, OutOfBandBuffer, PersistentId, Set
from modelcrate.legacy.machine import HANDLERS, Machine, read_pickle, survey
from modelcrate.legacy.opcodes import NAMES
from modelcrate.limits import DEFAULT


def root(data: bytes) -> object:
    return read_pickle(data).root


def test_the_table_has_exactly_the_opcodes_that_python_documents() -> None:
    assert {ord(op.code): op.name for op in pickletools.opcodes} == NAMES
    assert all(HANDLERS[code] is not Machine.invalid for code in NAMES)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"N.", None), (b"I01\n.", True), (b"I00\n.", False), (b"\x88.", True), (b"\x89.", False),
        (b"I42\n.", 42), (b"I-7\n.", -7), (b"L5L\n.", 5), (b"L5\n.", 5), (b"J\xff\xff\xff\xff.", -1),
        (b"K\xff.", 255), (b"M\x01\x02.", 513), (b"\x8a\x02\x00\xff.", -256), (b"\x8a\x00.", 0),
        (b"\x8b\x01\x00\x00\x00\x7f.", 127), (b"F1.5\n.", 1.5), (b"F-inf\n.", float("-inf")),
        (b"G?\xf8\x00\x00\x00\x00\x00\x00.", 1.5),
        (b"S'o\\x73'\n.", "os"), (b'S"a\\\\b\\n"\n.', "a\\b\n"), (b"S'\\377'\n.", "\xff"),
        (b"U\x02\xe9\x00.", "\xe9\x00"), (b"T\x01\x00\x00\x00a.", "a"),
        (b"V\\u00e9x\n.", "\xe9x"), (b"\x8c\x02\xc3\xa9.", "\xe9"), (b"X\x01\x00\x00\x00z.", "z"),
        (b"\x8d\x01\x00\x00\x00\x00\x00\x00\x00z.", "z"), (b"C\x01z.", b"z"), (b"B\x01\x00\x00\x00z.", b"z"),
        (b"\x8e\x01\x00\x00\x00\x00\x00\x00\x00z.", b"z"), (b").", ()), (b"].", []), (b"(.".replace(b"(", b"(t"), ()),
        (b"(K\x01K\x02t.", (1, 2)), (b"K\x01\x85.", (1,)), (b"K\x01K\x02\x86.", (1, 2)),
        (b"K\x01K\x02K\x03\x87.", (1, 2, 3)), (b"(K\x01l.", [1]), (b"]K\x01a.", [1]), (b"](K\x01K\x02e.", [1, 2]),
        (b"K\x01K\x020.", 1), (b"K\x05(K\x01K\x021.", 5), (b"K\x012\x86.", (1, 1)), (b"K\x07p5\ng5\n\x86.", (7, 7)),
        (b"K\x07q\x05h\x05\x86.", (7, 7)), (b"K\x07r\x00\x00\x01\x00j\x00\x00\x01\x00\x86.", (7, 7)),
        (b"K\x07\x94h\x00\x86.", (7, 7)), (b"\x80\x04\x95\x03\x00\x00\x00\x00\x00\x00\x00K\x01.", 1),
    ],
)  # fmt: skip
def test_plain_opcodes_push_what_python_pushes(data: bytes, value: object) -> None:
    found = root(data)
    assert found == value
    assert type(found) is type(value)


def test_dicts_and_sets_keep_their_assignments_in_order_and_hash_nothing() -> None:
    node = root(b"}(]K\x01]K\x02u.")
    assert isinstance(node, Dict)
    assert node.pairs == [([], 1), ([], 2)]
    node = root(b"\x8f(]]\x90.")
    assert isinstance(node, Set)
    assert node.items == [[], []]
    node = root(b"(K\x01K\x01\x91.")
    assert isinstance(node, Set)
    assert node.frozen
    assert node.items == [1, 1]


def test_calls_record_what_they_are_given_and_what_is_done_to_the_result() -> None:
    node = root(named("a", "b") + b"K\x01\x85R(K\x02e(K\x03K\x04u}b.")
    assert isinstance(node, Call)
    assert isinstance(node.callee, Global)
    assert (node.callee.module, node.callee.name, node.callee.opcode) == ("a", "b", "GLOBAL")
    assert (node.opcode, node.args, list(node.appended), list(node.assigned)) == ("REDUCE", (1,), [2], [(3, 4)])
    assert len(node.states) == 1


@pytest.mark.parametrize(
    ("data", "opcode", "args"),
    [
        (named("a", "b") + b")R.", "REDUCE", ()),
        (named("a", "b") + b"K\x01\x85\x81.", "NEWOBJ", (1,)),
        (stacked("a", "b") + b")}\x92.", "NEWOBJ_EX", ()),
        (b"(K\x01ia\nb\n.", "INST", (1,)),
        (b"(" + named("a", "b") + b"K\x01o.", "OBJ", (1,)),
    ],
)
def test_every_way_to_call_becomes_a_call(data: bytes, opcode: str, args: tuple[object, ...]) -> None:
    node = root(data)
    assert isinstance(node, Call)
    assert (node.opcode, node.args) == (opcode, args)


def test_a_discarded_call_is_remembered() -> None:
    reading = read_pickle(named("os", "system") + b"V touch x\n\x85R0N.")
    assert reading.root is None
    assert [call.callee.dotted for call in reading.discarded] == ["os.system"]  # type: ignore[union-attr]
    assert [node.dotted for node in reading.globals] == ["os.system"]


def test_persistent_ids_and_byte_arrays_are_nodes() -> None:
    node = root(b"Pabc\n.")
    assert isinstance(node, PersistentId)
    assert node.value == "abc"
    node = root(b"K\x05Q.")
    assert isinstance(node, PersistentId)
    assert node.value == 5
    node = root(b"\x96\x02\x00\x00\x00\x00\x00\x00\x00ab.")
    assert isinstance(node, ByteArray)
    assert node.data == b"ab"


def test_cycles_are_kept_as_identity__A47() -> None:
    node = root(b"]q\x00h\x00a.")
    assert isinstance(node, list)
    assert node[0] is node
    node = root(b"}q\x00K\x01h\x00s.")
    assert isinstance(node, Dict)
    assert node.pairs[0][1] is node


def test_memo_entries_are_those_of_the_stack_machine_not_of_a_look_back__A7() -> None:
    data = text("os") + b"\x94" + text("nothing") + b"q\x00" + text("system") + b"\x94" + b"h\x00h\x01\x93."
    reading = survey(data)
    assert [node.dotted for node in reading.globals] == ["nothing.system"]


BROKEN = {
    "A6-int": b"K\x01\x8c\x01a\x93.", "A6-none": b"NN\x93.", "A6-bytes": b"C\x02osC\x06system\x93.",
    "A6-tuple": b"))\x93.", "A5": named("a", "b") + b")R" + text("system") + b"\x93.",
    "A8-memoize-empty": b"\x94.", "A8-put-empty": b"p0\n.", "A8-get-missing": b"g7\n.", "A8-binget-missing": b"h\x07.",
    "A8-negative": b"Np-1\n.", "A8-space": b"Np0\ng 0\n.", "A8-hex": b"Np0\ng0x0\n.",
    "A8-fullwidth": "Np1\ng１\n.".encode(), "A10": named("numpy", "size") + b"}b.",
    "A13": b"cmod\n\xf8\n.", "A38-invalid": b"N\xff.", "A38-cut": b"\x8c\x05ab", "A38-no-stop": b"N",
    "A42-nested": b"\x80\x04\x95\x0c\x00\x00\x00\x00\x00\x00\x00\x95\x01\x00\x00\x00\x00\x00\x00\x00NN.",
    "A42-empty": b"\x80\x04\x95" + bytes(8) + b"N.", "A42-huge": b"\x80\x04\x95" + b"\xff" * 8 + b"N.",
    "A42-straddle": b"\x80\x04\x95\x02\x00\x00\x00\x00\x00\x00\x00\x8c\x02ab.",
    "A42-past-end": b"\x80\x04\x95\x09\x00\x00\x00\x00\x00\x00\x00N.",
    "A42-stop-inside": b"\x80\x04\x95\x03\x00\x00\x00\x00\x00\x00\x00N.N",
    "A43-middle": b"\x80\x02\x80\x02N.", "A43-later": b"N0\x80\x02N.",
    "A44-two": b"NN.", "A44-mark": b"(N.", "A44-empty": b".", "A44-mark-below": b"N(N.",
    "A46-append-dict": b"}Na.", "A46-append-tuple": b")Na.", "A46-appends-dict": b"}(Ne.",
    "A46-setitem-list": b"]NNs.", "A46-setitems-tuple": b")(NNu.", "A46-additems-list": b"](N\x90.",
    "A46-additems-frozen": b"(\x91(N\x90.", "A46-odd": b"}(Nu.", "A46-odd-dict": b"(Nd.",
    "A46-build-text": b"\x8c\x01a}b.", "A46-build-list": b"]}b.", "A46-build-dict": b"}}b.",
    "A46-call-int": b"K\x01)R.",
    "A46-args-list": named("a", "b") + b"]R.", "A46-obj-empty": b"(o.",
    "A46-kwargs": named("a", "b") + b")N\x92.",
    "A49-blank": b"I 1\n.", "A49-underscore": b"I1_0\n.", "A49-hex": b"I0x10\n.", "A49-octal": b"I010\n.",
    "A49-plus": b"I+1\n.", "A49-empty": b"I\n.", "A49-long-letters": b"L1LL\n.",
    "A50-negative": b"\x8b\xff\xff\xff\xff.", "A51-overflow": b"F1e400\n.", "A51-underscore": b"F1_0.0\n.",
    "A51-blank": b"F 1.0\n.", "A52-unquoted": b"Sabc\n.", "A52-unbalanced": b"S'abc\n.", "A52-escape": b"S'\\x4'\n.",
    "A52-utf8": b"\x8c\x01\xff.", "A52-cut-escape": b"V\\u12\n.", "A53-unicode": b"X\xff\xff\xff\x7fa.",
    "A53-unicode8": b"\x8d" + b"\xff" * 7 + b"\x00a.", "A53-bytes": b"B\xff\xff\xff\xffa.",
    "A53-bytes8": b"\x8e" + b"\xff" * 8 + b"a.", "A53-bytearray": b"\x96\xff\xff\xff\xff\xff\xff\x00\x00a.",
    "A53-binstring": b"T\xff\xff\xff\xff.", "A60-one-byte": b"x",
}  # fmt: skip


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_streams_that_no_pickler_writes_are_format_errors_with_their_offset(data: bytes) -> None:
    with pytest.raises(FormatError, match=r"byte [0-9]+"):
        read_pickle(data)


@pytest.mark.parametrize("data", [b"\x80\x06N.", b"\x80\xffN.", b"\x82\x01.", b"\x83\x01\x00.",
                                  b"\x84\x01\x00\x00\x00.", b"\x82\x00.", b"\x97.", b"\x97\x98."])  # fmt: skip
def test_newer_protocols_extensions_and_outside_buffers_are_unsupported__A15_A43_A53(data: bytes) -> None:
    with pytest.raises(UnsupportedError):
        read_pickle(data)


def _error_of(read: Callable[[bytes], object], data: bytes) -> ModelcrateError | None:
    try:
        read(data)
    except ModelcrateError as error:
        return error
    return None


@pytest.mark.parametrize("depth", range(4))
@pytest.mark.parametrize("code", sorted(NAMES), ids=NAMES.get)
def test_no_opcode_takes_more_than_lies_on_the_stack__A45(code: int, depth: int) -> None:
    """Whatever an opcode finds on a shallow stack, the outcome is a graph or a library error."""
    for filler in (b"N", b"]", b"(", b"}", b"K\x01", named("a", "b")):
        for argument in (b"", b"\n", b"\x01", b"a\nb\n", bytes(9)):
            data = filler * depth + bytes([code]) + argument + b"."
            for read in (read_pickle, survey):
                error = _error_of(read, data)
                assert error is None or "byte" in str(error.where)


POPPING = {
    "POP": b"0", "POP_MARK": b"1", "DUP": b"2", "PUT": b"p0\n", "BINPUT": b"q\x00", "LONG_BINPUT": b"r\x00\x00\x00\x00",
    "MEMOIZE": b"\x94", "REDUCE": b"R", "BUILD": b"b", "APPEND": b"a", "APPENDS": b"e", "SETITEM": b"s",
    "SETITEMS": b"u", "ADDITEMS": b"\x90", "TUPLE": b"t", "TUPLE1": b"\x85", "TUPLE2": b"\x86", "TUPLE3": b"\x87",
    "LIST": b"l", "DICT": b"d", "FROZENSET": b"\x91", "OBJ": b"o", "INST": b"ia\nb\n", "NEWOBJ": b"\x81",
    "NEWOBJ_EX": b"\x92", "STACK_GLOBAL": b"\x93", "BINPERSID": b"Q", "READONLY_BUFFER": b"\x98", "STOP": b".",
}  # fmt: skip


@pytest.mark.parametrize("data", POPPING.values(), ids=POPPING.keys())
def test_an_empty_stack_and_a_fresh_mark_hold_nothing__A45(data: bytes) -> None:
    for prefix in (b"", b"\x80\x02"):
        with pytest.raises(FormatError):
            read_pickle(prefix + data + b".")
    if data not in (b"0", b"1", b"t", b"l", b"d", b"\x91", b"ia\nb\n", b"e", b"u", b"\x90"):
        with pytest.raises(FormatError):
            read_pickle(b"NN(" + data + b".")


def limited(**bounds: int) -> object:
    return dataclasses.replace(DEFAULT, **bounds)


@pytest.mark.parametrize(
    ("data", "bounds"),
    [
        pytest.param(b"(" * 30_000 + b".", {}, id="H8-marks"),
        pytest.param(b"N0" * 600 + b"N.", {"pickle_opcodes": 1000}, id="H8-opcodes"),
        pytest.param(b"N" + b"\x94" * 2000 + b".", {"pickle_memo": 1000}, id="H8-memo"),
        pytest.param(b"N" + b"".join(b"r" + (i * 7919).to_bytes(4, "little") for i in range(2000)) + b".",
                     {"pickle_memo": 1000}, id="H8-sparse-memo"),
        pytest.param(b"]" * 100_000 + b".", {"pickle_memory": 1 << 20}, id="memory-lists"),
        pytest.param(b"}" * 100_000 + b".", {"pickle_memory": 1 << 20}, id="memory-dicts"),
        pytest.param(b"N" + b"\x85" * 100_000 + b".", {"pickle_memory": 1 << 20}, id="memory-tuples"),
        pytest.param(b"\x8c\x02ab" * 100_000 + b".", {"pickle_memory": 1 << 20}, id="H12-texts"),
        pytest.param(b"X" + (2000).to_bytes(4, "little") + b"a" * 2000 + b".", {"pickle_text_bytes": 1000}, id="H12"),
        pytest.param(b"\x8b\xd0\x07\x00\x00" + b"\x01" * 2000 + b".", {}, id="A50-payload"),
        pytest.param(b"L" + b"9" * 100_000 + b"L\n.", {}, id="A49-digits"),
        pytest.param(b"I" + b"9" * 100_000 + b"\n.", {}, id="A49-int-digits"),
    ],
)  # fmt: skip
def test_budgets_stop_a_stream_that_asks_for_more(data: bytes, bounds: dict[str, int]) -> None:
    with pytest.raises(LimitError):
        read_pickle(data, limits=limited(**bounds))  # type: ignore[arg-type]


def test_a_sparse_memo_index_costs_one_entry__H8() -> None:
    assert root(b"Nr\xff\xff\xff\xffj\xff\xff\xff\xff\x86.") == (None, None)


@pytest.mark.parametrize("count", [200_000])
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda n: b")" + b"\x85" * n + b".", id="tuples"),
        pytest.param(lambda n: b"]" * n + b"a" * (n - 1) + b".", id="lists"),
        pytest.param(lambda n: b"}" + b"K\x01}" * n + b"s" * n + b".", id="dicts"),
        pytest.param(lambda n: b"}" + b")" + b"\x85" * n + b"Ns.", id="as-key"),
        pytest.param(lambda n: b"\x8f(" + b")" + b"\x85" * n + b"\x90.", id="in-set"),
        pytest.param(lambda n: named("a", "b") + b")" + b"\x85" * n + b"R.", id="as-argument"),
        pytest.param(lambda n: b")" + b"\x85" * n + b"Q.", id="as-persistent-id"),
    ],
)
def test_depth_costs_no_stack__H6_H7(make: object, count: int) -> None:
    reading = read_pickle(make(count))  # type: ignore[operator]
    assert reading.opcodes > 0
    del reading  # freeing it must not recurse either


def test_equal_hashes_cost_nothing__H9_H10() -> None:
    prime = 2**61 - 1
    keys = b"".join(b"\x8a\x0a" + (k * prime).to_bytes(10, "little") + b"N" for k in range(20_000))
    node = within(1.0, lambda: root(b"}(" + keys + b"u."))
    assert isinstance(node, Dict)
    assert len(node.pairs) == 20_000


def test_names_are_resolved_in_linear_time__H11() -> None:
    def names(count: int) -> bytes:
        body = b"".join(text(f"m{i}") + b"\x94" + text(f"n{i}") + b"\x94\x93\x940" for i in range(count))
        return b"\x80\x04" + body + b"N."

    assert exponent(costs(read_pickle, [names(4000), names(8000), names(16_000)], most=1.2), 1e-4) <= 1.2


@pytest.mark.parametrize("data", [b"\x80\x02N.", b"\x80\x05\x95\x02\x00\x00\x00\x00\x00\x00\x00N."])
def test_a_reading_ends_behind_its_stop_and_can_begin_anywhere__A39(data: bytes) -> None:
    reading = read_pickle(b"junk" + data + b"rest", start=4)
    assert reading.end == 4 + len(data)
    for kind in (bytearray, memoryview):
        assert read_pickle(kind(data)).root is None


def test_a_survey_reports_what_came_before_the_fault__A38() -> None:
    reading = survey(named("os", "system") + b"\x8c\x01x\x85R0\xff")
    assert isinstance(reading.error, FormatError)
    assert [node.dotted for node in reading.globals] == ["os.system"]
    assert reading.root is None


@pytest.mark.parametrize("case", ["A10", "A42-straddle", "A42-stop-inside", "A43-middle", "A44-two", "A46-append-dict",
                                  "A46-args-list", "A49-octal", "A51-blank", "A13"])  # fmt: skip
def test_a_survey_goes_on_where_some_unpickler_would(case: str) -> None:
    tail = b"0" + named("os", "system") + b"\x8c\x01x\x85R."
    reading = survey(BROKEN[case][:-1] + tail if case != "A42-stop-inside" else BROKEN[case])
    assert reading.faults
    if case != "A42-stop-inside":
        assert "os.system" in [node.dotted for node in reading.globals]


def test_out_of_band_buffers_are_nodes_in_a_survey() -> None:
    node = survey(b"\x97\x98.").root
    assert isinstance(node, OutOfBandBuffer)
    assert node.readonly


def test_errors_never_show_raw_control_characters() -> None:
    with pytest.raises(FormatError) as caught:
        read_pickle(b"\x8c\x05\x1b[2Jx" + b"}b.")
    assert "\x1b" not in str(caught.value)


def test_python_2_byte_strings_keep_every_byte__A52() -> None:
    data = bytes(range(256))
    assert root(b"T\x00\x01\x00\x00" + data + b".") == data.decode("latin-1")
    quoted = repr(data)[1:].encode()
    assert root(b"S" + quoted + b"\n.") == data.decode("latin-1")


def test_lone_surrogates_stay_in_the_graph__A52() -> None:
    for protocol in range(6):
        assert root(pickle.dumps("a\ud800b", protocol)) == "a\ud800b"
