"""Many files scanned side by side, in worker processes with limits on time and memory, so that none stops the rest.

A worker is this interpreter again, with the same module search path and nothing of the current folder in it. It takes
one path at a time, answers with one report, and is replaced when it dies or overstays.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import IO, Any

from modelcrate.errors import ModelcrateError, printable
from modelcrate.legacy.targets import Target, find_targets
from modelcrate.limits import DEFAULT, Limits

_BOOT = "import sys; sys.path[:] = sys.argv[2:]; from modelcrate.legacy.batch import work; work(sys.argv[1])"
_AHEAD = 16
"""Files handed out ahead of the oldest unfinished one, per worker; it bounds the reports that wait for their turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """The verdict on one file of a batch, as plain JSON values.

    ``error`` says why a file could not be looked at to its end (``{"code", "what"}``); its verdict is then
    ``unrecognised`` if it was never opened and ``broken`` if looking at it took too much.
    """

    path: str
    verdict: str
    kind: str = ""
    findings: Sequence[dict[str, Any]] = ()
    globals: Sequence[str] = ()
    error: dict[str, str] | None = None

    def to_dict(self) -> dict[str, object]:
        """One JSON object."""
        found: dict[str, object] = {
            "path": self.path,
            "verdict": self.verdict,
            "findings": list(self.findings),
            "kind": self.kind,
            "globals": list(self.globals),
        }
        return found if self.error is None else {**found, "error": self.error}


def scan_paths(
    paths: Iterable[str | os.PathLike[str]],
    *,
    allow: Iterable[str] = (),
    workers: int | None = None,
    limits: Limits = DEFAULT,
) -> Iterator[FileReport]:
    """Scan files and folders; one report a file, in a fixed order.

    ``allow`` are names (``module.name``) that the caller trusts. With one file, or ``workers=0``, everything happens in
    this process, bounded by the reader's own budgets; otherwise in worker processes (as many as there are processors)
    under ``limits.scan_seconds`` and ``limits.scan_memory`` a file.
    """
    yield from scan_targets(list(find_targets(paths)), allow=allow, workers=workers, limits=limits)


def scan_targets(
    targets: Sequence[Target], *, allow: Iterable[str] = (), workers: int | None = None, limits: Limits = DEFAULT
) -> Iterator[FileReport]:
    """Scan targets that were found already; one report a target, in their order."""
    names = tuple(allow)
    wanted = sum(target.problem is None for target in targets)
    count = min(wanted, _processors() if workers is None else workers)
    if count == 0 or (workers is None and wanted <= 1) or not sys.executable:
        for target in targets:
            yield _report(target, names, limits)
        return
    yield from _Batch(targets, names, count, limits).run()


def _processors() -> int:
    with contextlib.suppress(AttributeError, OSError):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def _report(target: Target, allow: Sequence[str], limits: Limits) -> FileReport:
    """The report on one file, whatever happens."""
    from modelcrate.legacy.scan import scan

    if target.problem is not None:
        return _failed(target.path, "unrecognised", "IO", target.problem)
    try:
        found: dict[str, Any] = scan(target.path, allow=allow, limits=limits).to_dict()
    except ModelcrateError as error:
        return _failed(target.path, "unrecognised" if error.code == "IO" else "broken", error.code, error.what)
    except MemoryError:
        return _failed(target.path, "broken", "LIMIT", "looking at it takes more memory than a scan may use")
    return FileReport(**{**found, "path": target.path})


def _failed(path: str, verdict: str, code: str, what: str) -> FileReport:
    return FileReport(path=path, verdict=verdict, error={"code": code, "what": printable(what)})


@dataclass(slots=True, kw_only=True)
class _Worker:
    process: subprocess.Popen[bytes]
    job: int | None = None
    since: float = 0.0
    answer: bytearray = field(default_factory=bytearray)

    @property
    def out(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout


class _Batch:
    """One run: hands out targets, collects reports, replaces workers, gives reports back in order."""

    def __init__(self, targets: Sequence[Target], allow: Sequence[str], count: int, limits: Limits) -> None:
        self.targets = targets
        self.count = count
        self.limits = limits
        self.settings = json.dumps({"allow": list(allow), "limits": asdict(limits)})
        self.next = 0
        self.done: dict[int, FileReport] = {}
        self.workers: list[_Worker] = []
        self.selector = selectors.DefaultSelector()

    def run(self) -> Iterator[FileReport]:
        try:
            for index in range(len(self.targets)):
                while index not in self.done:
                    self._hand_out(index)
                    if index not in self.done:
                        self._collect()
                yield self.done.pop(index)
        finally:
            for worker in list(self.workers):
                self._dismiss(worker)
            self.selector.close()

    def _hand_out(self, oldest: int) -> None:
        """Give every idle worker a file, starting workers as long as there is work for them."""
        while self.next < min(len(self.targets), oldest + _AHEAD * self.count):
            target = self.targets[self.next]
            if target.problem is not None:
                self.done[self.next] = _failed(target.path, "unrecognised", "IO", target.problem)
                self.next += 1
                continue
            worker = next((worker for worker in self.workers if worker.job is None), None)
            if worker is None:
                if len(self.workers) == self.count:
                    return
                worker = self._start()
            worker.job, worker.since, self.next = self.next, time.monotonic(), self.next + 1
            assert worker.process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # it died; that shows when its answer is awaited
                worker.process.stdin.write(json.dumps(target.path).encode() + b"\n")
                worker.process.stdin.flush()

    def _start(self) -> _Worker:
        search_path = [path for path in sys.path if path]
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", _BOOT, self.settings, *search_path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("MODELCRATE_DEBUG") == "1" else subprocess.DEVNULL,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # one numerical thread a worker, and its memory only
        )
        worker = _Worker(process=process)
        self.workers.append(worker)
        self.selector.register(worker.out, selectors.EVENT_READ, worker)
        return worker

    def _collect(self) -> None:
        """Wait until a worker has something to say, or has had its time."""
        now = time.monotonic()
        patience = [worker.since + self.limits.scan_seconds - now for worker in self.workers if worker.job is not None]
        for key, _ in self.selector.select(max(0.0, min(patience, default=0.0))):
            self._read(key.data)
        now = time.monotonic()
        for worker in list(self.workers):
            if worker.job is not None and now - worker.since > self.limits.scan_seconds:
                self._give_up(worker, f"looking at it takes longer than {self.limits.scan_seconds:g} s")

    def _read(self, worker: _Worker) -> None:
        chunk = os.read(worker.out.fileno(), 1 << 16)
        worker.answer += chunk
        if not chunk:
            status = worker.process.wait()
            what = f"signal {-status}" if status < 0 else f"exit code {status}"
            self._give_up(worker, f"the process that looked at it died ({what})")
        elif worker.answer.endswith(b"\n"):
            assert worker.job is not None
            self.done[worker.job] = FileReport(**json.loads(worker.answer))
            worker.job = None
            worker.answer.clear()

    def _give_up(self, worker: _Worker, why: str) -> None:
        if worker.job is not None:
            self.done[worker.job] = _failed(self.targets[worker.job].path, "broken", "LIMIT", why)
        self._dismiss(worker)

    def _dismiss(self, worker: _Worker) -> None:
        self.selector.unregister(worker.out)
        self.workers.remove(worker)
        worker.process.kill()
        with contextlib.suppress(OSError):  # what is left in its buffer was for a process that is gone
            assert worker.process.stdin is not None
            worker.process.stdin.close()
        worker.out.close()
        worker.process.wait()


def work(settings: str) -> None:
    """What a worker does: a path a line comes in, a report a line goes out. Ends when its input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is for the process that started this one
    options = json.loads(settings)
    limits = Limits(**options["limits"])
    import modelcrate.legacy.scan  # noqa: F401  # before memory is limited

    _limit_memory(limits.scan_memory)
    for line in sys.stdin.buffer:
        report = _report(Target(path=json.loads(line)), options["allow"], limits)
        sys.stdout.buffer.write(json.dumps(report.to_dict()).encode() + b"\n")
        sys.stdout.buffer.flush()


def _limit_memory(amount: int) -> None:
    """Bound private memory where the system can; elsewhere the reader's own budgets have to do."""
    if sys.platform != "linux":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_DATA, (amount, amount))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
