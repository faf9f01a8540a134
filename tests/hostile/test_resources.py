"""H: what a file may cost. Each case is a small file that asks for much time, memory or stack."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import payloads
import pytest
from payloads import COLLIDING, PROTO, frame_free, long_number, raw_zip, short_text

from effort import exponent
from oracle import ROOT, Oracle


def scanned(oracle: Oracle, data: bytes, *, seconds: float = 2.0) -> dict[str, object]:
    """One guarded scan by path; its report."""
    outcome = oracle.run("scan", oracle.file(data), seconds=seconds)
    assert isinstance(outcome.value, dict)
    return outcome.value


def refuses_or_converts_in_bounds(oracle: Oracle, data: bytes) -> None:
    """Turning the graph into values ends in a value or in an error of the library, within the budget."""
    outcome = oracle.run("actions:plain_value", data, seconds=4.0)
    assert outcome.error in (None, "LIMIT", "FORMAT", "UNSUPPORTED")


def test_H1_a_deflate_bomb_is_not_inflated(oracle: Oracle) -> None:
    """A thousand to one in a single member."""
    packed, crc = payloads.deflate_zeros(512 << 20)
    data = raw_zip([(b"archive/data.pkl", 8, crc, 512 << 20, packed)])
    assert scanned(oracle, data)["verdict"] == "broken"


def test_H2_inflated_bytes_are_counted_over_all_members(oracle: Oracle) -> None:
    """Each member is small enough, together they are 2 GB."""
    packed, crc = payloads.deflate_zeros(16 << 20)
    members = [(f"archive/{index}.pkl".encode(), 8, crc, 16 << 20, packed) for index in range(128)]
    assert scanned(oracle, raw_zip(members), seconds=4.0)["verdict"] == "broken"


def test_H3_one_value_named_many_times_is_one_value(oracle: Oracle) -> None:
    """100 kB and 100,000 references to them."""
    blob = b"B" + (100_000).to_bytes(4, "little") + bytes(100_000)
    data = frame_free(b"](" + blob + b"q\x00" + b"h\x00" * 100_000 + b"e")
    assert scanned(oracle, data)["verdict"] == "data"
    refuses_or_converts_in_bounds(oracle, data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(payloads.memo_laughs(b"l"), id="H4-lists"),
        pytest.param(payloads.memo_laughs(b"t"), id="H4-tuples"),
        pytest.param(payloads.memo_laughs(b"}"), id="H4-dicts"),
        pytest.param(payloads.dup_laughs(), id="H5-dup"),
    ],
)
def test_shared_structure_is_not_expanded(oracle: Oracle, data: bytes) -> None:
    """H4, H5: a few hundred bytes that spell out 2**64 items."""
    oracle.scan(data)
    refuses_or_converts_in_bounds(oracle, data)


DEEP = 1_000_000


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(frame_free(b"N" + b"\x85" * DEEP), id="H6-tuple-as-value"),
        pytest.param(frame_free(b"}N" + b"\x85" * DEEP + b"Ns"), id="H6-tuple-as-key"),
        pytest.param(frame_free(b"\x8f(N" + b"\x85" * DEEP + b"\x90"), id="H6-tuple-in-set"),
        pytest.param(frame_free(b"cbuiltins\nlist\nN" + b"\x85" * DEEP + b"R"), id="H6-tuple-as-argument"),
        pytest.param(frame_free(b"]" * DEEP + b"a" * (DEEP - 1)), id="H7-list"),
        pytest.param(frame_free(b"}N" * 200_000 + b"N" + b"s" * 200_000), id="H7-dict"),
        pytest.param(frame_free(b"ccollections\nOrderedDict\n)R" * 100_000 + b"b" * 99_999), id="H7-build-state"),
        pytest.param(frame_free(b"N" + b"Q" * 300_000), id="H7-persistent-id"),
        pytest.param(frame_free(b"(" * 19_000 + b"t" * 19_000), id="H7-marks"),
    ],
)
def test_depth_does_not_reach_the_c_stack(oracle: Oracle, data: bytes) -> None:
    """H6, H7: a million levels; nothing recurses, nothing is hashed, and freeing it is safe."""
    assert scanned(oracle, data, seconds=4.0)["verdict"] != "dangerous"
    refuses_or_converts_in_bounds(oracle, data)


@pytest.mark.parametrize(
    ("data", "verdict"),
    [
        pytest.param(PROTO + b"(" * 5_000_000 + b"N.", "broken", id="H8-marks"),
        pytest.param(frame_free(b"]" + b"q\x00h\x000" * 500_000), "data", id="H8-put-get"),
        pytest.param(frame_free(b"Nr\xff\xff\xff\xff"), "broken", id="H8-sparse-memo"),
        pytest.param(
            frame_free(b"N" + b"".join(b"r" + (7919 * index % 2**32).to_bytes(4, "little") for index in range(10**5))),
            "broken",
            id="H8-many-sparse-memo",
        ),
        pytest.param(PROTO + b"N" + b"\x94" * 4_000_000 + b".", "broken", id="H8-memoize"),
    ],
)
def test_floods_end_at_a_limit(oracle: Oracle, data: bytes, verdict: str) -> None:
    """H8: opcodes that cost the reader more than the writer."""
    assert scanned(oracle, data)["verdict"] == verdict


def colliding_ints(count: int) -> list[bytes]:
    return [long_number(COLLIDING * index) for index in range(1, count + 1)]


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param(colliding_ints(200_000), id="H9-ints"),
        pytest.param([b"G" + _float for _float in [bytes([0x40 + index // 256 % 64, index % 256]) + bytes(6)
                      for index in range(16_384)]], id="H10-floats"),
        pytest.param([key + b"\x85" for key in colliding_ints(50_000)], id="H10-tuples"),
        pytest.param([b"(" + key + b"\x91" for key in colliding_ints(50_000)], id="H10-frozensets"),
    ],
)  # fmt: skip
def test_keys_that_collide_are_never_hashed(oracle: Oracle, keys: list[bytes]) -> None:
    """H9, H10: a hash table of them takes quadratic time."""
    as_dict = frame_free(b"}(" + b"".join(key + b"N" for key in keys) + b"u")
    as_set = frame_free(b"\x8f(" + b"".join(keys) + b"\x90")
    for data in (as_dict, as_set):
        assert scanned(oracle, data)["verdict"] in ("data", "broken")
        refuses_or_converts_in_bounds(oracle, data)


def test_H11_names_are_found_by_the_stack_and_not_by_looking_back(oracle: Oracle) -> None:
    """Thousands of MEMOIZE and then thousands of STACK_GLOBAL."""
    head = short_text("collections") + b"\x94" + short_text("OrderedDict") + b"\x94"
    inputs = [frame_free(head + b"N\x940" * n + b"h\x00h\x01\x930" * n + b"N") for n in (10_000, 20_000, 40_000)]
    takes_linear_time(oracle, "scan", inputs)


def takes_linear_time(oracle: Oracle, parser: str, inputs: list[bytes], *, most: float = 1.2) -> None:
    """For inputs of n, 2n and 4n parts."""
    texts = [data.decode("latin-1") for data in inputs]
    outcome = oracle.run("actions:cost", parser, texts, most, seconds=60.0, memory=1 << 30)
    assert isinstance(outcome.value, list)
    assert exponent(outcome.value, 1e-4) <= most, outcome.value


def test_H12_many_small_texts_and_one_that_is_not_there(oracle: Oracle) -> None:
    """A million texts of one letter; a header of 4 GB with nothing behind it."""
    assert scanned(oracle, frame_free(b"(" + b"\x8c\x01a" * 1_000_000 + b"t"))["verdict"] == "data"
    for header in (b"X\xff\xff\xff\xff", b"\x8d" + b"\xff" * 7 + b"\x7f", b"B\xff\xff\xff\xff", b"\x8e" + b"\xff" * 8):
        assert scanned(oracle, PROTO + header + b"abc.")["verdict"] == "broken"


def json_of(n: int) -> bytes:
    rows = ",\n".join(f'    "key{index:07}": [{index}, true, "text"]' for index in range(n))
    return b"{\n" + rows.encode() + b"\n}\n"


def deep_json(n: int) -> bytes:
    return b"[" * n + b"]" * n


def quotes_json(n: int) -> bytes:
    return b'["' + b'\\"\\\\' * n + b'"]'


def msgpack_of(n: int) -> bytes:
    keys = b"".join(b"\xa8%08d" % index + b"\x93\x01\xc0\xcb\x3f\xf8\0\0\0\0\0\0" for index in range(n))
    head = b"\xde" + n.to_bytes(2, "big") if n < 2**16 else b"\xdf" + n.to_bytes(4, "big")
    return head + keys


def tensors_of(n: int) -> bytes:
    rows = ",".join(
        f'"t{index:07}":{{"dtype":"U8","shape":[1],"data_offsets":[{index},{index + 1}]}}' for index in range(n)
    )
    text = b"{" + rows.encode() + b"}"
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + bytes(n)


def pickle_of(n: int) -> bytes:
    item = b"(\x8c\x01aK\x05G\x3f\xf8\0\0\0\0\0\0\x88Nt\x94"
    return frame_free(b"](" + item * n + b"e")


def calls_of(n: int) -> bytes:
    return frame_free(b"](" + b"ccollections\nOrderedDict\n)R(\x8c\x01aK\x01u" * n + b"e")


def findings_of(n: int) -> bytes:
    return frame_free(b"](" + b"".join(b"cnowhere%d\nthing\n)R" % index for index in range(n)) + b"e")


def garbage_of(n: int) -> bytes:
    return PROTO + b"\xff" + b"os system builtins eval (R" * n


def pickles_in_a_row(n: int) -> bytes:
    return b"N." * n


def archive_of(n: int) -> bytes:
    data = b"N."
    import zlib

    return raw_zip([(b"a/%d" % index, 0, zlib.crc32(data), len(data), data) for index in range(n)])


def local_headers_only(n: int) -> bytes:
    """Members without a directory: each has to be looked for."""
    whole = archive_of(n)
    return whole[: whole.find(b"PK\x01\x02")]


LINEAR = [
    pytest.param("json", json_of, 3_000, id="H13-manifest"),
    pytest.param("json", deep_json, 1_000_000, id="H13-manifest-brackets"),
    pytest.param("json", quotes_json, 500_000, id="H13-manifest-quotes"),
    pytest.param("msgpack", msgpack_of, 6_000, id="H13-state"),
    pytest.param("tensors", tensors_of, 2_500, id="H13-tensor-header"),
    pytest.param("machine", pickle_of, 10_000, id="H13-pickle"),
    pytest.param("machine", calls_of, 4_000, id="H13-pickle-calls"),
    pytest.param("scan", pickle_of, 6_000, id="H13-scan"),
    pytest.param("scan", calls_of, 3_000, id="H13-scan-calls"),
    pytest.param("scan", findings_of, 1_500, id="H13-scan-findings"),
    pytest.param("scan", garbage_of, 60_000, id="H13-scan-garbage"),
    pytest.param("scan", pickles_in_a_row, 200_000, id="H13-scan-pickles-in-a-row"),
    pytest.param("archive", archive_of, 1_000, id="H13-archive"),
    pytest.param("scan", archive_of, 500, id="H13-scan-archive"),
    pytest.param("scan", local_headers_only, 250, id="H13-scan-archive-without-directory"),
]


@pytest.mark.parametrize(("parser", "make", "n"), LINEAR)
def test_time_grows_linearly(oracle: Oracle, parser: str, make: object, n: int) -> None:
    """H13"""
    assert callable(make)
    takes_linear_time(oracle, parser, [make(n), make(2 * n), make(4 * n)])


@pytest.mark.parametrize(
    ("parser", "data", "ratio"),
    [
        pytest.param("json", json_of(16_000), 10, id="H14-manifest"),
        pytest.param("msgpack", msgpack_of(40_000), 16, id="H14-state"),
        pytest.param("tensors", tensors_of(16_000), 20, id="H14-tensor-header"),
        pytest.param("machine", pickle_of(40_000), 60, id="H14-pickle"),
        pytest.param("machine", frame_free(b"(" + b"}" * 400_000 + b"t"), 150, id="H14-pickle-empty-dicts"),
        pytest.param("machine", frame_free(b"(" + b"K\x01" * 400_000 + b"t"), 60, id="H14-pickle-numbers"),
    ],
)
def test_memory_is_a_small_multiple_of_the_input(oracle: Oracle, parser: str, data: bytes, ratio: float) -> None:
    """H14: bytes of Python objects at the peak, for each byte of input."""
    outcome = oracle.run("actions:memory", parser, data, seconds=30.0, memory=1 << 30)
    assert isinstance(outcome.value, int)
    assert outcome.value <= ratio * len(data), f"{outcome.value / len(data):.1f} bytes for each byte"


def test_H15_patterns_do_not_backtrack(oracle: Oracle) -> None:
    """Every compiled pattern of the library against texts built to make it slow, of n and 4n letters."""
    times = {}
    for size in (2_000, 8_000):
        outcome = oracle.run("actions:slowest_pattern", size, seconds=60.0, allow=[ROOT / "src"])
        assert isinstance(outcome.value, list)
        assert outcome.value, "there are patterns to look at"
        times[size] = {(module, pattern): took for module, pattern, took in outcome.value}
    slow = {key: took for key, took in times[8_000].items() if took > 0.02 and took > 8 * times[2_000][key]}
    assert not slow


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"V" + b"\\" * 200_000 + b"x\n", id="H15-backslashes"),
        pytest.param(b"V" + b"\\u" * 100_000 + b"x\n", id="H15-cut-escapes"),
        pytest.param(b"S'" + b"\\" * 200_001 + b"'\n", id="H15-quoted-backslashes"),
        pytest.param(b"F" + b"0" * 200_000 + b"e\n", id="H15-float"),
        pytest.param(b"I" + b"-" * 200_000 + b"\n", id="H15-integer"),
        pytest.param(b"g" + b"0" * 200_000 + b"\n", id="H15-memo-index"),
        pytest.param(b"c" + b"a." * 100_000 + b"\n" + b"b." * 100_000 + b"\n", id="H15-global"),
    ],
)
def test_long_lines_are_read_in_linear_time(oracle: Oracle, line: bytes) -> None:
    scanned(oracle, line + b".")
    scanned(oracle, PROTO + b"N0" + line + b"\xff" + line)


def test_H16_a_report_of_many_faults_is_short(oracle: Oracle) -> None:
    """A file with 100,000 names that nobody knows."""
    report = scanned(oracle, frame_free(b"".join(b"cnowhere%d\nthing\n0" % index for index in range(100_000)) + b"N"))
    assert report["verdict"] == "unknown"
    findings = report["findings"]
    assert isinstance(findings, list)
    assert 0 < len(findings) <= 5_000


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(b"\x8b" + (5_000).to_bytes(4, "little") + b"\xff" * 4_999 + b"\x7f", id="H17-binary"),
        pytest.param(b"L" + b"9" * 20_000 + b"L\n", id="H17-text"),
        pytest.param(b"I" + b"9" * 4_301 + b"\n", id="H17-text-int"),
        pytest.param(b"\x8a\xff" + b"\xff" * 254 + b"\x7f", id="H17-largest-long1"),
    ],
)
def test_huge_integers_can_be_reported(oracle: Oracle, number: bytes) -> None:
    """H17: Python refuses to spell out integers of more than 4300 digits; a report must not fail on one."""
    oracle.scan(frame_free(b"cnowhere\nthing\n" + number + b"\x85R"), archive=False)
    refuses_or_converts_in_bounds(oracle, frame_free(number))


def test_H18_people_see_a_bounded_list(oracle: Oracle) -> None:
    """Of thousands of findings a person is shown some, and told how many more there are."""
    path = oracle.file(frame_free(b"".join(b"cnowhere%d\nthing\n0" % index for index in range(3_000)) + b"N"))
    outcome = oracle.cli("scan", path)
    lines = outcome.stdout.decode().splitlines()
    assert len(lines) < 100
    assert "more findings" in lines[-1]


def test_H19_threads_share_no_budget(oracle: Oracle) -> None:
    """64 threads read one hostile file; each finds what one alone finds."""
    path = oracle.file(frame_free(b"cos\nsystem\n\x8c\x01x\x85R" + b"0N\x94" * 2_000))
    outcome = oracle.run("actions:scan_in_threads", path, 64, seconds=20.0, memory=4 << 30)
    assert isinstance(outcome.value, list)
    assert len(outcome.value) == 64
    assert len(set(outcome.value)) == 1
    assert outcome.value[0].startswith("dangerous")


@pytest.mark.parametrize(
    ("number", "codes"),
    [
        pytest.param(signal.SIGINT, {130}, id="H20-interrupt"),
        pytest.param(signal.SIGTERM, {143, -signal.SIGTERM}, id="H20-terminate"),
    ],
)
def test_an_interrupted_scan_leaves_nothing(tmp_path: Path, number: signal.Signals, codes: set[int]) -> None:
    """H20: workers included."""
    folder = tmp_path / "files"
    folder.mkdir()
    slow = frame_free(b"](" + b"N0" * 2_400_000 + b"e")
    for index in range(40):
        (folder / f"{index}.pkl").write_bytes(slow)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(tmp_path)}
    before = sorted(tmp_path.iterdir())
    process = subprocess.Popen(
        [sys.executable, "-m", "modelcrate", "scan", "--json", str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd=tmp_path, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()  # it is at work, and so are its workers
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode in codes
    assert b"Traceback" not in errors
    assert sorted(tmp_path.iterdir()) == before
    deadline = time.monotonic() + 60
    while _alive_in_group(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive_in_group(process.pid), "a worker outlived the scan"


def _alive_in_group(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(payloads.gzip_zeros(600 << 20), id="H21-gzip"),
        pytest.param(payloads.gzip_of(payloads.gzip_zeros(300 << 20)), id="H21-gzip-in-gzip"),
        pytest.param(
            raw_zip([(b"archive/data.pkl", 8, 0, 10, payloads.deflate_zeros(300 << 20)[0])]), id="H21-size-that-lies"
        ),
    ],
)
def test_decompression_stops_where_it_was_told_to(oracle: Oracle, data: bytes) -> None:
    """H21: gigabytes out of kilobytes, declared or not."""
    assert scanned(oracle, data, seconds=4.0)["verdict"] in ("broken", "unrecognised")


def test_H22_a_file_that_shrinks_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    """A mapped page that is gone must not kill the caller; the worker of a batch may die, the batch goes on."""
    slow = frame_free(b"](" + b"N0" * 2_400_000 + b"e")
    shrinking, other = tmp_path / "a.pkl", tmp_path / "b.pkl"
    shrinking.write_bytes(slow)
    other.write_bytes(frame_free(b"N"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen(
        [sys.executable, "-m", "modelcrate", "scan", "--json", str(shrinking), str(other)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
    )  # fmt: skip
    time.sleep(0.4)
    os.truncate(shrinking, 1)
    output, errors = process.communicate(timeout=60)
    assert b"Traceback" not in errors
    lines = output.decode().splitlines()
    assert len(lines) == 2, errors
    assert '"verdict": "data"' in lines[1]
    assert process.returncode in (0, 2)


@pytest.mark.cuda
def test_H23_a_model_larger_than_the_device_is_an_error_and_leaves_nothing_there(tmp_path: Path) -> None:
    """What a crate declares is in its file, byte for byte; a device that can't hold it says so as an IO error."""
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    import modelcrate
    from modelcrate.errors import StorageError

    modelcrate.save(torch.nn.Sequential(*(torch.nn.Linear(2048, 2048) for _ in range(8))), tmp_path / "net.crate")
    torch.cuda.empty_cache()
    _, total = torch.cuda.mem_get_info()
    before = torch.cuda.memory_allocated()
    torch.cuda.set_per_process_memory_fraction(min(1.0, (torch.cuda.memory_reserved() + (64 << 20)) / total))
    try:
        with pytest.raises(StorageError, match="not enough memory"):
            modelcrate.load(tmp_path / "net.crate", device="cuda")
        assert torch.cuda.memory_allocated() == before
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert modelcrate.load(tmp_path / "net.crate", device="cuda")[0].weight.is_cuda


def test_H24_many_nodes_do_not_make_the_collector_quadratic(oracle: Oracle) -> None:
    """A million containers, with the cyclic collector on as it always is."""
    inputs = [frame_free(b"](" + b"]" * n + b"e") for n in (100_000, 200_000, 400_000)]
    takes_linear_time(oracle, "machine", inputs, most=1.29)  # memory beyond the caches is slower
