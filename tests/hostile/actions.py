"""What the oracle's children run in these tests: one function a question, guarded like any other case."""

from __future__ import annotations

import collections
import contextlib
import re
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import effort


def plain_value(data: bytes) -> str:
    """Read a pickle strictly and turn its whole graph into plain values."""
    from modelcrate.legacy.context import Context
    from modelcrate.legacy.machine import read_pickle
    from modelcrate.legacy.view import View

    reading = read_pickle(data)
    return type(View(reading.root, "root", Context(size=len(data))).value()).__name__


def strict(data: bytes) -> int:
    from modelcrate.legacy.machine import read_pickle

    return read_pickle(data).opcodes


def scan_in_threads(path: Path, count: int) -> list[str]:
    """The same file in many threads at once; what each of them found."""
    from modelcrate.legacy.scan import scan

    found: list[str] = []
    start = threading.Barrier(count)

    def one() -> None:
        start.wait()
        report = scan(path)
        found.append(f"{report.verdict} {len(report.findings)} {[finding.reason for finding in report.findings]}")

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


PARSERS: dict[str, Callable[[bytes], object]] = {}


def parser(name: str) -> Callable[[bytes], object]:
    """The parsers whose cost must grow linearly, by name."""
    if not PARSERS:
        from modelcrate.format.jsontext import parse
        from modelcrate.format.tensors import parse_header
        from modelcrate.format.values import decode
        from modelcrate.legacy.archive import read_archive
        from modelcrate.legacy.machine import read_pickle
        from modelcrate.legacy.scan import scan

        PARSERS.update(
            json=lambda data: parse(data, where="test"),
            msgpack=lambda data: decode(data, where="test"),
            tensors=lambda data: parse_header(data, where="test"),
            machine=read_pickle,
            scan=scan,
            archive=lambda data: read_archive(data, tolerant=True),
        )
    return PARSERS[name]


def cost(name: str, inputs: list[str], most: float) -> list[float]:
    """Processor seconds for inputs (latin-1 text) of n, 2n and 4n parts; errors of the library count as done."""
    from modelcrate.errors import ModelcrateError

    def act(data: bytes) -> None:
        with contextlib.suppress(ModelcrateError):
            parser(name)(data)

    return effort.costs(act, [text.encode("latin-1") for text in inputs], most=most)


def memory(name: str, data: bytes) -> int:
    """Python memory at its highest while parsing, in bytes, beyond what was there before."""
    from modelcrate.errors import ModelcrateError

    parse = parser(name)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    try:
        kept = parse(data)
    except ModelcrateError:
        kept = None
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    del kept
    return peak


LETTERS = ("a", "0", ".", "-", "_", "/", " ", "\\", "'", "{", "[", "a.", "0.", "a-", "0e", "',", "\\u", "os ")
METHODS = ("match", "fullmatch", "search", "finditer", "findall", "sub", "split")


def slowest_pattern(size: int) -> list[tuple[str, str, float]]:
    """Every compiled pattern of the library, used as the library uses it, against texts made to make it backtrack.

    Gives (module, pattern, seconds for the worst text).
    """
    modules = [(name, module) for name, module in sorted(sys.modules.items()) if name.startswith("modelcrate")]
    source = "".join(Path(str(module.__file__)).read_text(encoding="utf-8") for _, module in modules)
    texts = [letter * (size // len(letter)) + tail for letter in LETTERS for tail in ("", "!", "\n")]
    found = []
    for name, module in modules:
        for variable, value in vars(module).items():
            if isinstance(value, re.Pattern):
                used = [method for method in METHODS if f"{variable}.{method}(" in source]
                found.append((name, str(value.pattern)[:60], _slowest(value, used or ["match"], texts)))
    return found


def _slowest(pattern: re.Pattern[str] | re.Pattern[bytes], methods: list[str], texts: list[str]) -> float:
    worst = 0.0
    for text in texts:
        subject = text.encode("latin-1") if isinstance(pattern.pattern, bytes) else text
        for method in methods:
            started = time.thread_time()
            if method == "sub":
                pattern.sub(subject[:0], subject)  # type: ignore[arg-type, type-var]
            else:
                found = getattr(pattern, method)(subject)
                if method == "finditer":
                    collections.deque(found, maxlen=0)
            worst = max(worst, time.thread_time() - started)
    return worst


def convert_on_a_small_disk(source: Path, target: Path) -> None:
    """Convert where no file can grow beyond 16 KiB."""
    import resource
    import signal

    import modelcrate

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16 << 10, resource.RLIM_INFINITY))
    try:
        modelcrate.convert(source, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
