"""Every hostile file: nothing is executed, nothing is called data, and none takes more than it may."""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from attacks import bombs, calls, containers, faults, indirect, misuses, values
from attacks.streams import SENTINEL, Attack
from effort import within
from modelcrate.errors import ModelcrateError
from modelcrate.legacy.findings import ORDER
from modelcrate.legacy.reader import read_for_conversion
from modelcrate.legacy.scan import scan
from oracle import Oracle

SECONDS = 2.0
"""What one scan may take on a quiet machine."""
WATCHED = (
    "os.",
    "subprocess.",
    "socket.",
    "exec",
    "compile",
    "pickle.",
    "ctypes.",
    "shutil.",
    "webbrowser.",
    "pty.",
    "import",
)
QUIET = ("os.listdir", "os.scandir", "os.walk")


def everything() -> Iterator[Attack]:
    yield from calls.functions()
    yield from calls.ways()
    yield from indirect.attacks()
    yield from faults.attacks()
    yield from containers.attacks()
    yield from values.attacks()
    yield from misuses.attacks()
    yield from bombs.attacks()


ATTACKS = list(everything())


def label(attack: Attack) -> str:
    """The name of a test of it: its own, and the numbers of the cases that it carries."""
    return "-".join([attack.name, *re.findall(r"\b[A-J][0-9]+\b", attack.about)])


class Watch:
    """Records what the interpreter is asked to do while it is on; an audit hook can't be taken away again."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.on = False
        sys.addaudithook(self)

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        if self.on and event.startswith(WATCHED) and event not in QUIET:
            self.events.append(f"{event} {args!r}"[:200])

    def __enter__(self) -> None:
        self.events.clear()
        self.on = True

    def __exit__(self, *error: object) -> None:
        self.on = False


WATCH = Watch()


@pytest.fixture(scope="module", autouse=True)
def _collected() -> Iterator[None]:
    """Keep what other tests have left in memory out of the collector's way, which would be timed otherwise."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    """Import whatever the reader imports lazily, so that the hook sees what a file causes and nothing else."""
    import modelcrate.format.manifest
    import modelcrate.format.tensors
    import modelcrate.format.values
    import modelcrate.legacy.torchfile
    import modelcrate.legacy.torchzip
    import modelcrate.legacy.values.plain  # noqa: F401

    for sample in (b"\x80\x04N.", b'{"a": 1}', b"\x81\xa1a\x01"):
        scan(sample)


def test_there_are_enough_and_each_has_a_name_of_its_own() -> None:
    assert len(ATTACKS) >= 400
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)
    assert len({attack.data for attack in ATTACKS}) >= len(ATTACKS) - 10


BOMBS = [attack for attack in ATTACKS if attack.name.startswith("bomb-")]
"""What costs a second each: scanned once, in the guarded process."""
QUICK = [attack for attack in ATTACKS if attack not in BOMBS]


def is_found(attack: Attack, report: dict[str, Any]) -> None:
    """The report does not call it data, and says why not."""
    assert report["verdict"] != "data", report
    findings = report["findings"]
    assert ORDER.index(report["verdict"]) >= ORDER.index(attack.verdict), findings[:5]
    assert findings
    assert all(finding["reason"] for finding in findings)


@pytest.mark.parametrize("attack", QUICK, ids=[label(attack) for attack in QUICK])
def test_a_scan_executes_nothing_and_calls_nothing_data(
    attack: Attack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with WATCH:
        report = within(SECONDS, lambda: scan(attack.data))
    assert WATCH.events == []
    assert not os.listdir(tmp_path), SENTINEL
    is_found(attack, report.to_dict())


SMALL = [attack for attack in ATTACKS if len(attack.data) < 100_000]


@pytest.mark.parametrize("batch", range(16))
def test_conversion_reads_no_hostile_file_and_executes_nothing(
    batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a scan calls dangerous is refused; whatever else is read ends in a graph or a library error."""
    monkeypatch.chdir(tmp_path)
    for attack in SMALL[batch::16]:
        refused = False
        with WATCH:
            try:
                read_for_conversion(attack.data)
            except ModelcrateError:
                refused = True
        assert WATCH.events == [], attack.name
        assert refused or attack.verdict != "dangerous", attack.name
    assert not os.listdir(tmp_path)


GUARDED = [*QUICK[::25], *BOMBS]


@pytest.mark.parametrize("attack", GUARDED, ids=[attack.name for attack in GUARDED])
def test_a_guarded_process_agrees(attack: Attack, oracle: Oracle) -> None:
    """In a child with an audit hook that refuses, a memory limit of 256 MiB and two seconds."""
    outcome = oracle.run("scan", oracle.file(attack.data), seconds=SECONDS)
    assert outcome.verdict in ("refused", "incomplete")
    assert isinstance(outcome.value, dict)
    is_found(attack, outcome.value)
