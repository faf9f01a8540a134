"""The process that :mod:`oracle` forks its guarded children from. Run as a script; it imports nothing of pytest."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    sys.path[:0] = [path for path in __import__("json").loads(sys.argv[2]) if path not in sys.path]

import contextlib
import importlib
import io
import json
import os
import pkgutil
import resource
import select
import signal
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from effort import slowness

PLAIN = """
    numpy argparse ast base64 binascii bisect bz2 calendar codecs collections concurrent.futures contextlib copy csv
    dataclasses datetime decimal difflib enum errno fcntl fnmatch fractions functools gc gettext glob gzip hashlib
    heapq importlib.metadata importlib.resources inspect io itertools json linecache locale logging lzma math mmap
    msgpack multiprocessing.connection operator pathlib pickletools platform queue random re reprlib secrets selectors
    shlex shutil signal socket stat string struct subprocess tarfile tempfile textwrap threading time token tokenize
    traceback types typing unicodedata urllib.parse uuid warnings weakref zipfile zlib zoneinfo jsonschema referencing
    blake3 rich.console rich.progress encodings.ascii encodings.cp1252 encodings.cp437 encodings.idna
    encodings.latin_1 encodings.raw_unicode_escape encodings.unicode_escape encodings.utf_16 encodings.utf_32
    encodings.utf_8_sig
"""
HEAVY = "torch torch.utils._device pandas pandas.core.arrays safetensors pyarrow pyarrow.csv pyarrow.parquet"
WITHOUT_TORCH = ("torch", "pandas", "sklearn", "scipy", "pyarrow", "safetensors")

PATH_EVENTS = {
    "open", "os.listdir", "os.scandir", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.utime",
    "os.link", "os.symlink", "os.truncate", "os.chown", "os.getxattr", "os.listxattr", "os.setxattr",
    "tempfile.mkstemp", "tempfile.mkdtemp", "shutil.rmtree", "shutil.move", "shutil.copyfile", "shutil.copystat",
    "shutil.copymode", "pathlib.Path.glob", "pathlib.Path.rglob", "glob.glob", "glob.glob/2", "os.walk", "os.fwalk",
}  # fmt: skip
READING = {"os.listdir", "os.scandir", "pathlib.Path.glob", "pathlib.Path.rglob", "glob.glob", "glob.glob/2", "os.walk"}
HARMLESS = {
    "mmap.__new__", "object.__getattr__", "object.__setattr__", "object.__delattr__", "sys._getframe", "time.sleep",
    "sys._getframemodulename", "gc.get_objects", "gc.get_referrers", "gc.get_referents", "array.__new__", "fcntl.flock",
    "fcntl.fcntl", "fcntl.ioctl", "fcntl.lockf", "resource.setrlimit", "resource.prlimit", "signal.pthread_kill",
    "cpython._PySys_ClearAuditHooks", "sys.excepthook", "sys.unraisablehook", "_thread.start_new_thread",
    "_thread.start_joinable_thread", "builtins.id", "sys.setrecursionlimit", "os.putenv", "os.unsetenv", "os.chdir",
    "os.fwalk", "os.posix_fallocate", "sys._current_frames", "os.getrandom",
}  # fmt: skip
SPAWNING = {"subprocess.Popen", "os.posix_spawn", "os.fork", "os.kill", "os.killpg", "_posixsubprocess.fork_exec"}
READ_ANYWHERE = ("/dev/null", "/dev/urandom", "/proc/self/status", "/proc/self/statm", "/proc/meminfo", "/proc/cpuinfo")


class Refusal(BaseException):
    """Raised from the audit hook; no ``except Exception`` swallows it."""


def main() -> None:
    heavy = sys.argv[1] == "heavy"
    warm_up(heavy)
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        answer = serve(json.loads(line))
        out.write(json.dumps(answer).encode() + b"\n")


def warm_up(heavy: bool) -> None:
    """Import all that a verb may import, so that whatever else a case imports is the file's doing."""
    for name in (PLAIN + HEAVY if heavy else PLAIN).split():
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    import modelcrate

    if not heavy:
        sys.modules.update(dict.fromkeys(WITHOUT_TORCH))  # type: ignore[arg-type]  # None: can't be imported
    for name in modules_below(modelcrate.__path__, "modelcrate."):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if heavy or (error.name or "").partition(".")[0] not in WITHOUT_TORCH:
                print(f"oracle: {name} does not import: {error!r}", file=sys.stderr)
        except Exception as error:  # reported, and not fatal to every test that has nothing to do with it
            print(f"oracle: {name} does not import: {error!r}", file=sys.stderr)
    if not heavy:
        for name in WITHOUT_TORCH:
            del sys.modules[name]
    rehearse()


def rehearse() -> None:
    """Hold something against every schema: the validator makes classes and opens schemas when they are first used.

    Nothing here may start a thread (hashing and torch would): children are forked from this process.
    """
    from modelcrate.errors import ModelcrateError
    from modelcrate.format import schema

    for name in sorted(schema.schema_names()):
        with contextlib.suppress(ModelcrateError):
            schema.validate({}, name, "rehearsal")


def modules_below(paths: Iterable[str], prefix: str) -> Iterator[str]:
    for module in pkgutil.iter_modules(paths, prefix):
        if not module.name.endswith("__main__"):
            yield module.name
            if module.ispkg and module.name in sys.modules:
                yield from modules_below(sys.modules[module.name].__path__, module.name + ".")


def serve(request: dict[str, Any]) -> dict[str, Any]:
    """Fork, wait, and tell what became of the child."""
    reader, writer = os.pipe()
    streams = [os.memfd_create(name) for name in ("stdout", "stderr")]
    child = os.fork()
    if child == 0:
        os.close(reader)
        run_child(request, writer, streams)
        os._exit(0)
    os.close(writer)
    text, timed_out = collect(reader, child, wall=30 * float(request["seconds"]) + 60)
    os.close(reader)
    _, status, usage = os.wait4(child, 0)
    answer: dict[str, Any] = json.loads(text) if text else {}
    for name, stream in zip(("stdout", "stderr"), streams, strict=True):
        with os.fdopen(stream, "rb") as written:
            written.seek(0)
            answer[name] = written.read(4 << 20).decode("latin-1")
    answer["signal"] = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    if answer["signal"] == signal.SIGXCPU:
        timed_out = True
    answer["timed_out"] = timed_out
    answer["cpu_seconds"] = max(0.0, usage.ru_utime + usage.ru_stime - answer.pop("started_at", 0.0))
    answer["patience"] = 1.0 if answer["cpu_seconds"] < float(request["seconds"]) else slowness()
    if not text and answer["signal"] is None:
        answer["foreign"] = f"the process ended by itself with status {status >> 8}"
    return answer


def collect(reader: int, child: int, *, wall: float) -> tuple[bytes, bool]:
    """All that the child writes, until it closes the pipe or the time is over."""
    deadline, chunks = time.monotonic() + wall, []
    while True:
        ready, _, _ = select.select([reader], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            os.kill(child, signal.SIGKILL)
            return b"", True
        chunk = os.read(reader, 1 << 16)
        if not chunk:
            return b"".join(chunks), False
        chunks.append(chunk)


def run_child(request: dict[str, Any], writer: int, streams: list[int]) -> None:
    answer: dict[str, Any] = {}
    guard = None
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        arguments = [revive(argument) for argument in request["arguments"]]
        action = find(request["action"])
        prepare(request, streams)
        loaded = set(sys.modules)
        before = memory("VmRSS")
        usage = resource.getrusage(resource.RUSAGE_SELF)
        answer["started_at"] = usage.ru_utime + usage.ru_stime
        limit(request, answer["started_at"])
        guard = Guard(request)
        sys.addaudithook(guard)
        outcome = perform(action, arguments, is_command=request["action"] == "cli")
        guard.active = False
        answer |= outcome
        answer["peak_bytes"] = max(0, memory("VmHWM") - before)
        answer["modules"] = sorted(set(sys.modules) - loaded)
        answer["violations"] = guard.violations
        flush()
    except BaseException as error:
        if guard is not None:
            guard.active = False
            answer["violations"] = guard.violations
        answer["foreign"] = describe(error)
    unlimit()
    with os.fdopen(writer, "wb") as pipe:
        pipe.write(json.dumps(answer, default=repr).encode())


def prepare(request: dict[str, Any], streams: list[int]) -> None:
    folder = request["folder"]
    os.chdir(f"{folder}/cwd")
    os.environ.update({"HOME": f"{folder}/home", "TMPDIR": f"{folder}/tmp", **request["environment"]})
    tempfile.tempdir = None
    os.dup2(streams[0], 1)
    os.dup2(streams[1], 2)
    encoding = request["environment"].get("PYTHONIOENCODING", "utf-8")
    sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), encoding=encoding, line_buffering=False)
    sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb", closefd=False), encoding=encoding, line_buffering=True)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)


def limit(request: dict[str, Any], used: float) -> None:
    # Address space leaves room for allocators' reserves; resident memory is what is compared with the budget.
    space = memory("VmSize") + int(request["memory"]) + (64 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (space, resource.RLIM_INFINITY))
    seconds = int(used + 8 * float(request["seconds"])) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def unlimit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CPU, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def memory(what: str) -> int:
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith(what + ":"):
                return int(line.split()[1]) << 10
    raise KeyError(what)


def revive(argument: object) -> object:
    if isinstance(argument, dict) and "path" in argument:
        return Path(argument["path"])
    if isinstance(argument, dict) and "bytes" in argument:
        return argument["bytes"].encode("latin-1")
    return argument


def find(action: str) -> Any:
    """The function to run, looked up before the guard stands."""
    if action == "cli":
        from modelcrate.cli.main import main as command

        return lambda *arguments: command([os.fspath(argument) for argument in arguments])  # type: ignore[call-overload]
    if ":" in action:
        module, _, name = action.partition(":")
        return getattr(importlib.import_module(module), name)
    import modelcrate

    verb = getattr(modelcrate, action)
    return lambda *arguments: as_plain(verb(*arguments))


def as_plain(value: object) -> object:
    if hasattr(value, "ok") and hasattr(value, "problems"):
        return {"ok": value.ok, "problems": [problem.code for problem in value.problems]}
    for method in ("to_dict", "to_document"):
        if hasattr(value, method):
            return getattr(value, method)()
    return type(value).__name__


def perform(action: Any, arguments: list[object], *, is_command: bool) -> dict[str, Any]:
    from modelcrate.errors import ModelcrateError

    is_command = (
        getattr(action, "__name__", "") == "<lambda>"
        and action.__closure__
        and "command" in action.__code__.co_freevars
    )
    try:
        value = action(*arguments)
    except ModelcrateError as error:
        return {"error": error.code, "message": str(error)}
    except SystemExit as error:
        code = error.code
        return {"exit_code": code if isinstance(code, int) else (0 if code is None else 1)}
    except Refusal:
        return {"foreign": "stopped by the audit hook"}
    except BaseException as error:
        return {"foreign": describe(error)}
    return {"exit_code": value} if is_command else {"value": value}


def describe(error: BaseException) -> str:
    """The exception and the last places it passed through; source files are not opened for it."""
    places, trace = [], error.__traceback__
    while trace is not None:
        places.append(f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}")
        trace = trace.tb_next
    try:
        text = str(error)[:300]
    except Exception:
        text = "(no text)"
    return f"{type(error).__name__}: {text} at {' < '.join(reversed(places[-4:]))}"


def flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue


class Guard:
    """The audit hook: refuses what is not on its lists, and remembers it."""

    def __init__(self, request: dict[str, Any]) -> None:
        folder = request["folder"]
        self.allowed = tuple(os.path.realpath(path) for path in request["allowed"])
        self.inside = (*self.allowed, *(os.path.realpath(f"{folder}/{name}") for name in ("cwd", "tmp")))
        import modelcrate

        self.package_data = os.path.realpath(modelcrate.__path__[0]) + "/format/schemas"
        self.spawning = bool(request["spawning"])
        self.violations: list[str] = []
        self.active = True

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.active or event in HARMLESS:
            return
        self.active = False  # what the check itself does is not the case's doing
        try:
            problem = self.check(event, arguments)
        finally:
            self.active = True
        if problem:
            if len(self.violations) < 20:
                self.violations.append(problem)
            raise Refusal(problem)

    def check(self, event: str, arguments: tuple[object, ...]) -> str | None:
        if event in PATH_EVENTS:
            writing = event not in READING and not (event == "open" and opened_to_read(arguments))
            for path in arguments[: 2 if event in ("os.rename", "os.link", "os.symlink", "shutil.move") else 1]:
                if not self.may_open(path, writing=writing):
                    return f"{event} of {path!r}"[:300]
            return None
        if event in SPAWNING and self.spawning:
            return None
        if event == "import" and str(arguments[0]).startswith(("encodings.", "modelcrate.")):
            return None
        return f"{event}{arguments!r}"[:300]

    def is_installed(self, text: str) -> bool:
        """The library's own schemas, and what says which plugins are installed: the interpreter's search path."""
        if os.path.realpath(text).startswith(self.package_data):
            return True
        return text in sys.path or os.path.dirname(text).endswith((".dist-info", ".egg-info"))

    def may_open(self, path: object, *, writing: bool) -> bool:
        if isinstance(path, int) or path is None:
            return True
        if not isinstance(path, (str, bytes, os.PathLike)):
            return False
        text = os.fsdecode(path)
        if text in READ_ANYWHERE or (not writing and self.is_installed(text)):
            return True
        if not os.path.isabs(text):
            # Relative to the working folder, or to an open descriptor of a folder that was checked when it was opened.
            return ".." not in text.split("/")
        real = os.path.realpath(os.path.dirname(text) or "/") + "/" + os.path.basename(text)
        return any(real == base or real.startswith(base + "/") for base in self.inside)


def opened_to_read(arguments: tuple[object, ...]) -> bool:
    """Whether an ``open`` event (path, mode, flags) only reads."""
    flags = arguments[2] if len(arguments) > 2 else None
    writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    return isinstance(flags, int) and not flags & writes


if __name__ == "__main__":
    main()
