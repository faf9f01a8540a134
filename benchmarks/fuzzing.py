"""What both fuzzers share: the targets, what counts as a finding, and where the seeds come from.

A target takes bytes from anywhere. An error of the library's own tree is a right answer; any other exception, an input
that takes longer than :data:`SLOW` seconds, a broken promise (:class:`Broken`) and anything that an audit hook sees of
imports, code or processes is a finding. A finding is written to a folder once per place where it happened.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import pickle
import pkgutil
import signal
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

SLOW = 2.0
"""Seconds for one input of a few kilobytes; none of the targets needs a tenth of that."""
HANG = 20.0
SEED_BYTES = 1 << 16
FORBIDDEN = ("pickle.find_class", "exec", "compile", "os.system", "os.exec", "subprocess.Popen", "ctypes.dlopen",
             "socket.connect", "socket.getaddrinfo", "marshal.loads", "os.posix_spawn", "os.remove", "os.rename",
             "os.mkdir", "webbrowser.open", "code.__new__", "os.symlink", "os.link", "shutil.rmtree")  # fmt: skip
LAZY = """
    numpy zoneinfo bz2 lzma gzip zlib decimal datetime uuid fractions blake3 jsonschema referencing tempfile
    encodings.raw_unicode_escape encodings.latin_1 encodings.cp437 encodings.ascii encodings.unicode_escape
"""
"""What the targets import of others, when they need it."""


class Broken(Exception):
    """A promise of the target that this input breaks."""


class Hang(BaseException):
    """One input took so long that it was interrupted."""


def _machine(data: bytes) -> None:
    """Strict reading; whatever it accepts, the tolerant reading accepts with the same names."""
    from modelcrate.legacy.machine import read_pickle, survey

    reading = read_pickle(data)
    second = survey(data)
    if second.error is not None:
        raise Broken("the strict reading accepts what the tolerant one does not read to its end")
    if [node.dotted for node in reading.globals] != [node.dotted for node in second.globals]:
        raise Broken("two readings of one pickle name different things")


def _survey(data: bytes) -> None:
    from modelcrate.legacy.machine import survey

    survey(data)


def _scan(data: bytes) -> None:
    from modelcrate.legacy.scan import scan

    report = scan(data).to_dict()
    json.dumps(report, allow_nan=False)
    if report["verdict"] not in ("data", "unknown", "dangerous", "broken", "unrecognised"):
        raise Broken(f"the verdict {report['verdict']}")
    if report["verdict"] in ("dangerous", "unknown") and not report["findings"]:
        raise Broken("a verdict without a finding")


def _values(data: bytes) -> None:
    from modelcrate.format.values import decode, encode

    if encode(decode(data, where="fuzz")) != data:
        raise Broken("a state document that is not written as it was read")


def _manifest(data: bytes) -> None:
    """As it is, and, where it is JSON, in canonical form with a right seal, or no change would get past these two."""
    from modelcrate.errors import ModelcrateError
    from modelcrate.format import jsontext
    from modelcrate.format.digest import digest_of
    from modelcrate.format.manifest import Manifest

    try:
        document = jsontext.parse(data, where="fuzz")
    except ModelcrateError:
        document = None
    if isinstance(document, dict) and "seal" in document:
        document["seal"] = f"blake3:{'0' * 64}"
        blank = jsontext.dump(document)
        document["seal"] = str(digest_of(blank))
        data = jsontext.dump(document)
    if Manifest.from_bytes(data).to_bytes() != data:
        raise Broken("a manifest that is not written as it was read")


def _tensors(data: bytes) -> None:
    from modelcrate.format.tensors import parse_header

    header = parse_header(data, where="fuzz")
    if sum(entry.end - entry.start for entry in header.entries.values()) != len(data) - header.data_start:
        raise Broken("tensors that do not cover the file")


def _crate(data: bytes) -> None:
    from modelcrate.storage import open_source

    with open_source(data) as source:
        for name in source.names():
            if len(source.read(name)) != source.size(name):
                raise Broken("a member of another size than it says")


def _archive(data: bytes) -> None:
    from modelcrate.errors import ModelcrateError
    from modelcrate.legacy.archive import read_archive

    for tolerant in (True, False):
        archive = read_archive(data, tolerant=tolerant)
        for entry in archive.entries:
            try:
                archive.read(entry)
            except ModelcrateError:
                continue


TARGETS: dict[str, Callable[[bytes], None]] = {
    "machine": _machine,
    "survey": _survey,
    "scan": _scan,
    "values": _values,
    "manifest": _manifest,
    "tensors": _tensors,
    "crate": _crate,
    "archive": _archive,
}


class Harness:
    """Runs inputs and keeps the findings; ``outcomes`` counts what the targets answered."""

    def __init__(self, folder: Path) -> None:
        from modelcrate.errors import ModelcrateError

        self.expected = ModelcrateError
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.executions = 0
        self.findings: dict[str, str] = {}
        self.outcomes: dict[str, int] = {}
        self.forbidden: list[str] = []
        self._import_all()
        sys.addaudithook(self._audit)
        signal.signal(signal.SIGALRM, self._alarm)

    @staticmethod
    def _import_all() -> None:
        """Whatever the targets import on first use, so that any later import is an input's doing.

        No target needs torch or pandas; the modules that do are left out.
        """
        heavy = dict.fromkeys(("torch", "pandas", "sklearn", "scipy", "pyarrow"))
        sys.modules.update(heavy)  # type: ignore[arg-type]  # None: can't be imported
        for package in ("format", "storage", "legacy", "legacy.values"):
            root = importlib.import_module(f"modelcrate.{package}")
            for module in pkgutil.iter_modules(root.__path__, f"modelcrate.{package}."):
                with contextlib.suppress(ModuleNotFoundError):
                    importlib.import_module(module.name)
        for name in LAZY.split():
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        for name in heavy:
            del sys.modules[name]

    def run(self, name: str, data: bytes) -> str:
        """One input into one target; what became of it: ``ok``, an error code or ``finding``."""
        signal.setitimer(signal.ITIMER_REAL, HANG)
        started = time.process_time()  # the clock on the wall also counts what else the machine does
        outcome = "finding"
        try:
            outcome = self.attempt(name, TARGETS[name], data)
        except Hang:
            self._keep(name, data, f"hang: more than {HANG:g} s")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        took = time.process_time() - started
        if took > SLOW:
            self._keep(name, data, f"slow: {took:.1f} s for {len(data)} bytes", key=f"slow {name}")
        if self.forbidden:
            self._keep(name, data, f"audit: {self.forbidden[0]}")
            self.forbidden.clear()
        return outcome

    def attempt(self, name: str, target: Callable[[bytes], None], data: bytes) -> str:
        """Run the target and sort what comes of it into right answers and findings."""
        self.executions += 1
        try:
            target(data)
            outcome = "ok"
        except self.expected as error:
            outcome = error.code
        except Exception as error:
            trace = error.__traceback__
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            place = "" if trace is None else f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
            what = f"{type(error).__name__} at {place}"
            self._keep(name, data, f"{what}: {str(error)[:200]}", key=what)
            outcome = "finding"
        key = f"{name} {outcome}"
        self.outcomes[key] = self.outcomes.get(key, 0) + 1
        return outcome

    def _keep(self, name: str, data: bytes, what: str, *, key: str | None = None) -> None:
        key = key or what
        if key in self.findings:
            return
        self.findings[key] = what
        path = self.folder / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
        path.write_bytes(data)
        print(f"FINDING {name}: {what} ({path})", file=sys.stderr, flush=True)

    def _audit(self, event: str, arguments: tuple[object, ...]) -> None:
        if event in FORBIDDEN:
            self.forbidden.append(f"{event} {arguments!r}"[:200])

    @staticmethod
    def _alarm(number: int, frame: object) -> None:
        raise Hang


def seeds(folders: Iterable[Path]) -> Iterator[bytes]:
    """Small files of the folders, and one made example of whatever a target reads."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and 0 < path.stat().st_size <= SEED_BYTES:
                yield path.read_bytes()
    yield from made()


def made() -> Iterator[bytes]:
    """Pickles of every protocol, names and calls of many shapes, archives, headers, documents."""
    import collections
    import datetime
    import decimal
    import fractions
    import uuid

    loop: list[object] = [1]
    loop.append(loop)
    values: list[object] = [
        None, True, -1, 2**70, 1.5, "text ü", b"bytes", bytearray(b"array"), [1, 2, [3]], (1, (2, 3)), {"a": {"b": 1}},
        {1, 2, 3}, frozenset({"x"}), loop, datetime.datetime(2020, 1, 2, tzinfo=datetime.timezone.utc),
        decimal.Decimal("1.5"), fractions.Fraction(1, 3), uuid.UUID(int=5), collections.OrderedDict(a=1),
        collections.Counter("aab"), collections.defaultdict(list, a=[1]), slice(1, 2), range(5), complex(1, 2), print,
    ]  # fmt: skip
    for protocol in range(6):
        for value in values:
            yield pickle.dumps(value, protocol)
    yield b"cos\nsystem\n(S'x'\ntR."
    yield b"(S'x'\nios\nsystem\n."
    yield b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R."
    yield b"\x80\x02cbuiltins\ngetattr\ncos\nX\x06\x00\x00\x00system\x86R."
    yield b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00\x8c\x01a\x94."
    yield b"\x80\x02\x82\x01.P1\n.Q."
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"a": 1}, 2))
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/data/0", bytes(16))
    yield packed.getvalue()
    header = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    header += b" " * (-len(header) % 8)
    yield len(header).to_bytes(8, "little") + header + bytes(8)
    yield bytes.fromhex("83a161 01 a162 93 01 c0 c3 a163 cb 3ff8000000000000".replace(" ", ""))
    yield from _made_by_us()


def _made_by_us() -> Iterator[bytes]:
    """State documents that our own encoder writes."""
    import datetime
    import decimal

    from modelcrate.format.values import encode

    yield encode({"a": [1, 2.5, None, True, b"x"], "n": 2**80, "d": datetime.date(2020, 1, 1)})
    yield encode([decimal.Decimal("1.50"), datetime.timedelta(seconds=1), "text"])
    import numpy

    yield encode({"x": numpy.arange(4, dtype="float32"), "y": numpy.int64(3)})
    yield from _made_crates()


def _made_crates() -> Iterator[bytes]:
    """A small crate, and each of its members by itself."""
    import tempfile

    from modelcrate.crate import ComponentData, write_crate
    from modelcrate.format.manifest import Omission
    from modelcrate.format.tensors import TensorData

    tensors = {"w": TensorData("F32", (2, 2), bytes(16)), "flag": TensorData("BOOL", (3,), b"\0\1\1")}
    component = ComponentData(name="net", role="generator", type="fuzz.net/1", config={"width": 2}, tensors=tensors,
                              state={"rows": 3})  # fmt: skip
    omitted = [Omission(what="a function", where="net.activation", why="it is code")]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seed.crate"
        try:
            write_crate(path, components=[component], model=("fuzz.model/1", {"a": [1, 2.5]}), omitted=omitted)
        except Exception as error:  # a schema that does not know this state, say: the other seeds will do
            print(f"no crate among the seeds: {error}", file=sys.stderr)
            return
        yield path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(name) for name in archive.namelist())
