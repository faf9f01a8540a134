"""The oracle: what must hold for every hostile input, whatever the case is about.

A case runs in a child process that has everything it may need imported already, an audit hook that refuses and records
whatever a reader of data has no business doing, limits on memory and processor time, an empty working folder, an
empty home and an empty temporary folder. What is asserted of each run:

- O1  one error family: an error of the library's own tree, or a verdict; never another exception, never a signal
- O2  nothing imported, executed, compiled, unpickled, spawned or connected; nothing opened but what was given
- O3  processor time and peak memory within the budget, on top of what the file itself holds
- O4  nothing created or changed on disk but the finished output, and that only on success
- O5  nothing unprintable on stdout or stderr; JSON is ASCII; a message has at most 500 characters
- O6  one verdict through every verb and for path, bytes, folder and archive
- O7  "nothing recognised" is never ok

Children are forked from a small server (:mod:`oracle_server`), so that a case costs milliseconds and one test session
starts at most two interpreters: a plain one, and one with torch and pandas for the verbs that need them.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import unicodedata
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from effort import TRIES

ROOT = Path(__file__).resolve().parent.parent
SERVER = Path(__file__).with_name("oracle_server.py")

SECONDS = 2.0
MEMORY = 256 << 20
MESSAGE_LIMIT = 500
CODES = frozenset({"FORMAT", "LIMIT", "POLICY", "INTEGRITY", "UNSUPPORTED", "IO", "MISMATCH", "USAGE"})
VERDICTS = frozenset({"data", "unknown", "dangerous", "broken", "unrecognised"})
EXIT_OF_VERDICT = {"data": 0, "unknown": 1, "dangerous": 1, "broken": 2, "unrecognised": 2}
HEAVY = frozenset({"convert", "load", "sample"})
"""Verbs that may use torch and pandas; all others run in an interpreter that has neither."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one guarded run did. ``error`` is the code of a library error; ``value`` what the call returned, as JSON."""

    value: object = None
    error: str | None = None
    message: str = ""
    foreign: str | None = None
    exit_code: int | None = None
    stdout: bytes = b""
    stderr: bytes = b""
    violations: tuple[str, ...] = ()
    signal: int | None = None
    timed_out: bool = False
    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    changes: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    patience: float = 1.0

    @property
    def verdict(self) -> str:
        """``ok``, ``refused`` (a finding or a library error) or ``incomplete`` (nothing found, nothing vouched for)."""
        if self.error is not None:
            return "refused"
        if self.exit_code is not None:
            return {0: "ok", 1: "refused"}.get(self.exit_code, "incomplete")
        if isinstance(self.value, dict) and self.value.get("ok") is False:
            return "refused"
        found = self.value.get("verdict") if isinstance(self.value, dict) else None
        if found is None:
            return "ok"
        return {"data": "ok", "unrecognised": "incomplete"}.get(found, "refused")


class Server:
    """One forking interpreter."""

    def __init__(self, *, heavy: bool) -> None:
        environment = {
            "PATH": "",
            "LANG": "C.UTF-8",
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "NO_COLOR": "1",
        }
        paths = [str(ROOT / "src"), *(path for path in sys.path if path)]
        command = [sys.executable, "-I", str(SERVER), "heavy" if heavy else "plain", json.dumps(paths)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd="/"
        )

    def ask(self, request: Mapping[str, object]) -> dict[str, object]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the oracle's server has died"
        answer: dict[str, object] = json.loads(line)
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)


class Oracle:
    """Runs cases and asserts what must hold for each of them. One a test; ``folder`` is the test's own."""

    def __init__(self, folder: Path, servers: dict[bool, Server]) -> None:
        self._servers = servers
        self._count = 0
        self._folder = folder
        self.inputs = folder / "in"
        self.outputs = folder / "out"
        for name in ("in", "out", "cwd", "home", "tmp"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    # -- inputs

    def file(self, data: bytes, name: str = "case.bin") -> Path:
        """A file with these bytes, beside the other inputs."""
        path = self.inputs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    # -- single runs

    def run(
        self,
        action: str,
        *arguments: object,
        seconds: float = SECONDS,
        memory: int = MEMORY,
        heavy: bool | None = None,
        size: int | None = None,
        allow: Iterable[Path] = (),
        spawning: bool = False,
        environment: Mapping[str, str] | None = None,
        allow_changes: bool = False,
        check: bool = True,
    ) -> Outcome:
        """Run one action under guard.

        ``action`` is a verb of the library (``scan``, ``inspect``, ``verify``, ``load``, ``convert``; the first
        argument a :class:`~pathlib.Path` or bytes), ``cli`` (arguments are the command line) or ``module:function`` of
        something importable from the tests or the library. ``allow`` adds paths that may be opened, ``spawning``
        allows worker processes, ``size`` is what the input weighs by itself (measured where it is a path or bytes).
        """
        if heavy is None:
            heavy = action in HEAVY or (action == "cli" and bool(arguments) and arguments[0] in HEAVY)
        size = self._weight(arguments) if size is None else size
        request = {
            "action": action,
            "arguments": [_portable(argument) for argument in arguments],
            "seconds": seconds,
            "memory": memory + size,
            "allowed": [str(self.inputs), str(self.outputs), *(str(path) for path in allow)],
            "folder": str(self._folder),
            "spawning": spawning,
            "environment": dict(environment or {}),
        }
        for _ in range(TRIES):
            before = self._snapshot()
            answer = self._server(heavy).ask(request)
            for stream in ("stdout", "stderr"):
                answer[stream] = str(answer[stream]).encode("latin-1")
            for name in ("violations", "modules"):
                answer[name] = tuple(answer.get(name, ()))  # type: ignore[arg-type]
            outcome = Outcome(**answer, changes=self._changes(before))  # type: ignore[arg-type]
            if outcome.timed_out or outcome.changes or outcome.cpu_seconds <= seconds * outcome.patience:
                break  # what only took long is run again: other work on the machine makes it take longer
        if check:
            problems = list(self._problems(outcome, seconds, memory + size, action, allow_changes))
            assert not problems, f"{action}: " + "; ".join(problems)
        return outcome

    def cli(self, *arguments: object, **options: object) -> Outcome:
        """Run one command line under guard."""
        return self.run("cli", *arguments, **options)  # type: ignore[arg-type]

    # -- the whole judgement

    def scan(
        self,
        case: bytes | Path,
        *,
        name: str = "case.bin",
        seconds: float = SECONDS,
        memory: int = MEMORY,
        archive: bool = True,
    ) -> dict[str, object]:
        """Scan by path, bytes, folder, archive (a zip around it) and on the command line; one report for all of them.

        Returns the report of the path form: ``{"path", "verdict", "findings"}``.
        """
        path, data = self._both(case, name)
        limits = {"seconds": seconds, "memory": memory}
        first = self.run("scan", path, **limits)  # type: ignore[arg-type]
        assert first.error is None, f"scan has a verdict for every readable file, not an error: {first.message}"
        report = first.value
        assert isinstance(report, dict)
        assert report["verdict"] in VERDICTS, report
        self._check_findings(report)
        verdicts = {"path": report["verdict"]}
        verdicts["bytes"] = _verdict_of(self.run("scan", data, **limits))  # type: ignore[arg-type]
        text = self.cli("scan", "--json", path, **limits)
        lines = text.stdout.decode("ascii").splitlines()
        assert len(lines) == 1, "one object a file a line"
        verdicts["command line"] = json.loads(lines[0])["verdict"]
        assert text.exit_code == EXIT_OF_VERDICT[str(report["verdict"])], (text.exit_code, report["verdict"])
        alone = self.inputs / "alone"
        alone.mkdir(exist_ok=True)
        os.link(path, alone / path.name)
        folder = self.cli("scan", "--json", alone, **limits)
        (alone / path.name).unlink()
        verdicts["folder"] = json.loads(folder.stdout.decode("ascii").splitlines()[0])["verdict"]
        if archive:
            around = self.inputs / "around.zip"
            with zipfile.ZipFile(around, "w", zipfile.ZIP_STORED) as packed:
                packed.writestr(zipfile.ZipInfo(path.name), data)
            verdicts["archive"] = _verdict_of(self.run("scan", around, **limits))  # type: ignore[arg-type]
            around.unlink()
        assert len(set(verdicts.values())) == 1, f"one verdict for every form: {verdicts}"
        return report

    def judge(
        self,
        case: bytes | Path,
        *,
        name: str = "case.bin",
        seconds: float = SECONDS,
        memory: int = MEMORY,
        verbs: Sequence[str] = ("inspect", "verify", "load", "convert"),
        archive: bool = True,
    ) -> dict[str, object]:
        """Everything: scan in all its forms, then the other verbs by path and bytes; returns the scan's report.

        A file whose verdict is not ``data`` must not convert, and what verify refuses must not load.
        """
        report = self.scan(case, name=name, seconds=seconds, memory=memory, archive=archive)
        path, data = self._both(case, name)
        found: dict[str, str] = {}
        for verb in verbs:
            # Loading reads torch and pandas' own memory; the budget is for what the case adds to it.
            forms: list[bytes | Path] = [path] if verb == "convert" else [path, data]
            results = {
                self.run(verb, form, *self._target(verb), seconds=seconds, memory=memory).verdict for form in forms
            }
            assert len(results) == 1, f"{verb}: path and bytes differ: {results}"
            found[verb] = results.pop()
        if report["verdict"] != "data":
            assert found.get("convert", "refused") != "ok", "converted what the scan does not call data"
        if "load" in found and "verify" in found:
            assert found["load"] == found["verify"], found
        return report

    def refused(self, case: bytes | Path, *verbs: str, code: str | None = None, **options: object) -> list[Outcome]:
        """Each verb refuses the case (with this code, if given); returns the outcomes."""
        path, _ = self._both(case, "case.bin")
        outcomes = [self.run(verb, path, *self._target(verb), **options) for verb in verbs]  # type: ignore[arg-type]
        for verb, outcome in zip(verbs, outcomes, strict=True):
            assert outcome.verdict != "ok", f"{verb} accepted it"
            if code is not None:
                assert outcome.error == code, f"{verb}: expected {code}, got {outcome.error}: {outcome.message}"
        return outcomes

    # -- how

    def _server(self, heavy: bool) -> Server:
        if heavy not in self._servers:
            self._servers[heavy] = Server(heavy=heavy)
        return self._servers[heavy]

    def _target(self, verb: str) -> tuple[Path, ...]:
        self._count += 1
        return (self.outputs / f"{self._count}.crate",) if verb == "convert" else ()

    def _both(self, case: bytes | Path, name: str) -> tuple[Path, bytes]:
        if isinstance(case, Path):
            return case, case.read_bytes()
        return self.file(case, name), case

    def _weight(self, arguments: Sequence[object]) -> int:
        total = 0
        for argument in arguments:
            if isinstance(argument, bytes):
                total += len(argument)
            elif isinstance(argument, Path):
                with contextlib.suppress(OSError):
                    total += argument.stat().st_size if argument.is_file() else 0
        return total

    def _snapshot(self) -> dict[str, tuple[int, ...]]:
        found = {}
        for base, folders, files in os.walk(self._folder):
            for name in (*folders, *files):
                path = os.path.join(base, name)
                try:
                    status = os.lstat(path)
                except FileNotFoundError:  # some tests swap files in another thread while a case runs
                    continue
                modified = 0 if name in folders else status.st_mtime_ns
                found[path] = (status.st_mode, 0 if name in folders else status.st_size, modified, status.st_ino)
        return found

    def _changes(self, before: dict[str, tuple[int, ...]]) -> tuple[str, ...]:
        after = self._snapshot()
        changed = [path for path in {*before, *after} if before.get(path) != after.get(path)]
        return tuple(sorted(os.path.relpath(path, self._folder) for path in changed))

    def _problems(
        self, outcome: Outcome, seconds: float, memory: int, action: str, allow_changes: bool
    ) -> Iterable[str]:
        if outcome.timed_out:
            yield f"O3 it did not end (after {outcome.cpu_seconds:.1f} s of processor time)"
        elif outcome.signal is not None:
            yield f"O1 it died of signal {outcome.signal}"
        if outcome.foreign is not None:
            yield f"O1 an exception that is not the library's own: {outcome.foreign}"
        if outcome.error is not None and outcome.error not in CODES:
            yield f"O1 unknown error code {outcome.error}"
        if outcome.exit_code not in (None, 0, 1, 2):
            yield f"O1 exit code {outcome.exit_code}"
        for violation in outcome.violations:
            yield f"O2 {violation}"
        if outcome.cpu_seconds > seconds * outcome.patience:
            yield f"O3 {outcome.cpu_seconds:.2f} s of processor time, more than {seconds * outcome.patience:.2f}"
        if outcome.peak_bytes > memory:
            yield f"O3 {outcome.peak_bytes >> 20} MiB of memory, more than {memory >> 20}"
        if outcome.changes and not allow_changes:
            finished = outcome.verdict == "ok" and all(path.startswith("out/") for path in outcome.changes)
            if not finished or any(path.count("/") > 1 and ".crate/" not in path for path in outcome.changes):
                yield f"O4 changed on disk: {', '.join(outcome.changes[:5])}"
        yield from _unprintable(outcome)
        if len(outcome.message) > MESSAGE_LIMIT:
            yield f"O5 a message of {len(outcome.message)} characters"
        if b"Traceback (most recent call last)" in outcome.stderr:
            yield f"O1 a traceback: {outcome.stderr[-300:]!r}"

    def _check_findings(self, report: dict[str, object]) -> None:
        findings = report["findings"]
        assert isinstance(findings, list)
        for finding in findings:
            assert {"global", "offset", "opcode", "call", "reason"} <= set(finding), finding
            assert finding["reason"], finding
        if report["verdict"] in ("dangerous", "unknown"):
            assert findings, "a verdict against a file comes with a finding"


def _verdict_of(outcome: Outcome) -> str:
    assert isinstance(outcome.value, dict), outcome
    return str(outcome.value["verdict"])


def _portable(argument: object) -> object:
    if isinstance(argument, Path):
        return {"path": str(argument)}
    if isinstance(argument, bytes):
        return {"bytes": argument.decode("latin-1")}
    return argument


def _unprintable(outcome: Outcome) -> Iterable[str]:
    for name, data in (("stdout", outcome.stdout), ("stderr", outcome.stderr), ("message", outcome.message.encode())):
        if data.isascii() and data.replace(b"\n", b"").decode().isprintable():
            continue
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            yield f"O5 {name} is not UTF-8"
            continue
        for character in text:
            if character not in "\n " and unicodedata.category(character)[0] in "CZ":
                yield f"O5 {name} holds U+{ord(character):04X}"
                break
