"""The time that one file may take: in this process, whatever it is spent on, and with an end of the library's own."""

from __future__ import annotations

import gzip
import io
import math
import time
import zipfile
from dataclasses import replace

import pytest

import modelcrate
import modelcrate.limits
from effort import within
from modelcrate.cli.main import main
from modelcrate.errors import LimitError
from modelcrate.legacy.reader import read_for_conversion
from modelcrate.legacy.scan import scan
from modelcrate.legacy.unpack import unpack
from modelcrate.limits import DEFAULT, Limits


class Clock:
    """Stands in for the monotonic clock of the limits; each look at it takes ``step`` seconds."""

    now = 1000.0
    step = 0.0

    def monotonic(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(modelcrate.limits, "time", made)
    return made


SHORT = replace(DEFAULT, seconds=0.02)
SLOW = b"\x80\x04](" + b"]" * 1_500_000 + b"e."


def zipped(*members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, data in enumerate(members):
            archive.writestr(zipfile.ZipInfo(f"{number}.pkl"), data)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(SLOW, id="opcodes"),
        pytest.param(gzip.compress(SLOW, 1), id="compressed"),
        pytest.param(zipped(*[SLOW[:300_000] + b"e."] * 20), id="members"),
    ],
)
def test_a_scan_ends_when_its_time_is_over_and_says_so(data):
    report = within(1.5, lambda: scan(data, limits=SHORT))
    assert report.verdict == "broken"
    assert any("longer than 0.02 seconds" in found.reason for found in report.findings)


def test_a_name_before_the_end_of_the_time_is_still_reported(clock):
    clock.step = SHORT.seconds / 10
    report = scan(b"\x80\x04cos\nsystem\n0" + SLOW[2:], limits=SHORT)
    assert report.verdict == "dangerous"
    assert any("longer than 0.02 seconds" in found.reason for found in report.findings)


def test_a_reading_and_a_conversion_end_with_a_limit_error(tmp_path):
    (tmp_path / "slow.pkl").write_bytes(SLOW)
    for read in (
        lambda: read_for_conversion(SLOW, limits=SHORT),
        lambda: modelcrate.read_legacy(SLOW, limits=SHORT),
        lambda: modelcrate.convert(tmp_path / "slow.pkl", tmp_path / "x.crate", weights_only=True, limits=SHORT),
    ):
        with pytest.raises(LimitError, match=r"longer than 0\.02 seconds.*more"):
            read()
    assert not (tmp_path / "x.crate").exists()


def test_values_are_counted_too():
    """Past the pickle: a graph that is small, and large for whoever walks it."""
    from modelcrate.legacy.context import Context

    context = Context(limits=replace(DEFAULT, deadline=time.monotonic() - 1))
    with pytest.raises(LimitError):
        context.charge_items(1, "here")
    with pytest.raises(LimitError):
        context.charge_bytes(1, "here")


def test_decompression_ends_when_the_time_is_over():
    packed = gzip.compress(bytes(64 << 20), 1)
    content, problem = unpack(
        packed, "gzip", 1 << 30, "here", limits=replace(DEFAULT, deadline=time.monotonic() + 0.01)
    )
    assert problem is not None
    assert "longer than" in problem
    assert len(content) < 64 << 20


def test_the_clock_starts_once_and_a_large_file_has_more_time(clock):
    started = Limits(seconds=5.0).started(0)
    assert started.deadline == clock.now + 5.0
    assert started.started(1 << 40) is started
    assert Limits(seconds=5.0).started(160 << 20).deadline == clock.now + 15.0
    assert DEFAULT.deadline == math.inf
    assert not DEFAULT.is_late


def test_limits_that_are_used_twice_start_twice(clock):
    data = b"\x80\x04N."
    once = replace(DEFAULT, seconds=0.2)
    assert scan(data, limits=once).verdict == "data"
    clock.now += 0.25
    assert scan(data, limits=once).verdict == "data"


def test_the_command_limits_a_single_file_as_well(tmp_path, capsys):
    (tmp_path / "slow.pkl").write_bytes(SLOW)
    assert main(["scan", "--seconds", "0.02", str(tmp_path / "slow.pkl")]) == 2
    assert "longer than 0.02 seconds" in capsys.readouterr().out
