"""J: what the command line shows, leaves behind and exits with, whatever the files hold."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from crates import ACTGAN, small
from payloads import frame_free, raw_zip

from oracle import ROOT, Oracle

HOSTILE_TEXTS = {
    "erase-line": "\x1b[2K\x1b[1A",
    "title": "\x1b]0;owned\x07",
    "hyperlink": "\x1b]8;;http://evil/\x1b\\click\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "device-control": "\x1bP+q\x1b\\",
    "bell-backspace-return": "\x07\x08\rok",
    "c1": "\x9b2K",
    "bidi": "\u202egnp.exe",
    "zero-width": "a\u200bb\ufeff",
    "line-separator": "a\u2028b",
    "newline": "x\ndata  other.pkl",
    "markup": "[bold red]x[/] [link=http://evil]y[/link]",
    "backslash": "\\x1b[2K",
}
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src")}


def command(*arguments: object, **options: object) -> subprocess.CompletedProcess[bytes]:
    """The real command in a real process."""
    line = [sys.executable, "-m", "modelcrate", *(os.fspath(it) if isinstance(it, Path) else it for it in arguments)]
    options.setdefault("env", ENVIRONMENT)
    return subprocess.run(line, capture_output=True, timeout=120, check=False, **options)  # type: ignore[call-overload, no-any-return]


def named(text: str) -> bytes:
    """A pickle that names, calls and passes on this text."""
    data = text.encode()
    short = b"\x8c" + bytes([len(data)]) + data
    return frame_free(short + short + b"\x93" + short + b"\x85R")


@pytest.mark.parametrize("text", [pytest.param(text, id=f"J1-{name}") for name, text in HOSTILE_TEXTS.items()])
class TestText:
    """J1 to J4: text from a file is escaped on its way to the terminal and to JSON; the oracle looks at every byte."""

    def test_in_names_and_arguments_of_a_pickle(self, oracle: Oracle, text: str) -> None:
        path = oracle.file(named(text))
        shown = oracle.cli("scan", path)
        assert shown.exit_code == 1
        assert shown.stdout.count(b"\nunknown ") + shown.stdout.count(b"\ndata ") == 0, (
            "no line but the first has a verdict"
        )
        assert oracle.cli("convert", path, oracle.outputs / "x.crate").exit_code == 2

    def test_J2_in_json(self, oracle: Oracle, text: str) -> None:
        """Valid JSON in ASCII, one line; what it holds is printable even after it was parsed."""
        path = oracle.file(named(text))
        for form in ("--json", "--sarif"):
            written = oracle.cli("scan", form, path).stdout
            assert written.isascii()
            assert written.count(b"\n") == 1
            json.loads(written)
        report = json.loads(oracle.cli("scan", "--json", path).stdout)
        assert report["verdict"] in ("unknown", "dangerous")
        assert all(character.isprintable() for finding in report["findings"] for character in str(finding["global"]))

    def test_in_member_names_of_an_archive(self, oracle: Oracle, text: str) -> None:
        data = b"cnowhere\nthing\n."
        name = text.encode()
        path = oracle.file(raw_zip([(name, 0, 0, len(data), data), (b"archive/" + name, 0, 0, len(data), data)]))
        assert oracle.cli("scan", path).exit_code == 1
        assert oracle.cli("scan", "--json", path).stdout.isascii()
        for verb in ("inspect", "verify"):
            assert oracle.cli(verb, path).exit_code in (1, 2)

    def test_in_file_names(self, oracle: Oracle, text: str) -> None:
        folder = oracle.inputs / "folder"
        folder.mkdir()
        (folder / text.replace("/", "_")).write_bytes(named("x"))
        (folder / "good").write_bytes(b"N.")
        shown = oracle.cli("scan", "--workers", "0", folder).stdout.decode()
        assert len([line for line in shown.splitlines() if not line.startswith(" ")]) == 2, "one verdict a file"
        for arguments in (["scan"], ["inspect"], ["verify"], ["sample", "-n", "1"]):
            for name in (text.replace("/", "_"), "absent" + text):
                oracle.cli(*arguments, folder / name)
                oracle.cli(*arguments, "--json", folder / name)

    def test_in_a_crate(self, oracle: Oracle, text: str) -> None:
        from modelcrate.errors import ModelcrateError

        path = oracle.inputs / "x.crate"
        try:
            small(path, text)
        except ModelcrateError:
            return  # the format does not hold such text at all
        shown = oracle.cli("inspect", "--all", "--tensors", "--state", path)
        assert shown.exit_code == 0
        assert oracle.cli("inspect", "--json", path).stdout.isascii()
        assert oracle.cli("verify", path).exit_code == 0

    def test_in_arguments(self, oracle: Oracle, text: str) -> None:
        crate = small(oracle.inputs / "x.crate")
        for arguments in (
            ("scan", crate, "--allow", text), ("verify", crate, "--expect", text), ("sample", crate, "-n", text),
            (text,), ("inspect", crate, text), ("convert", crate, oracle.outputs / "a.txt", "--digest", text),
            ("sample", crate, "-n", "1", "-o", f"a.{text}"), ("sample", crate, "-n", "1", "--condition", text),
        ):  # fmt: skip
            assert oracle.cli(*arguments).exit_code == 2


def test_J3_markup_is_shown_and_not_obeyed(oracle: Oracle) -> None:
    shown = oracle.cli("scan", oracle.file(named("[bold]x[/bold]"))).stdout
    assert b"[bold]x[/bold]" in shown


class TestPathsThatAreNoText:
    """J5: a path is bytes; a terminal has an encoding of its own."""

    def test_J5_path(self, tmp_path: Path) -> None:
        path = os.fsencode(tmp_path) + b"/caf\xe9-\xff.pkl"
        Path(os.fsdecode(path)).write_bytes(b"N.")
        for arguments in (["scan"], ["scan", "--json"], ["scan", "--sarif"], ["inspect"], ["verify"]):
            outcome = subprocess.run(
                [os.fsencode(sys.executable), b"-m", b"modelcrate", *map(os.fsencode, arguments), path],
                capture_output=True, env=ENVIRONMENT, timeout=60, check=False,
            )  # fmt: skip
            assert outcome.returncode in (0, 1, 2)
            assert b"Traceback" not in outcome.stderr
            assert outcome.stdout.isascii()

    @pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
    def test_J5_terminal(self, tmp_path: Path, encoding: str) -> None:
        path = tmp_path / "日本語 €.pkl"
        path.write_bytes(named("日本語"))
        outcome = command("scan", path, env={**ENVIRONMENT, "PYTHONIOENCODING": encoding})
        assert outcome.returncode == 1
        assert b"Traceback" not in outcome.stderr


def test_J6_names_that_look_like_options(tmp_path: Path) -> None:
    for name in ("-n", "--json", "-", "*.pkl"):
        (tmp_path / name).write_bytes(b"N.")
    (tmp_path / "other.pkl").write_bytes(named("x"))
    for name in ("-n", "--json", "-", "*.pkl"):
        outcome = command("scan", "--", name, cwd=tmp_path)
        assert (outcome.returncode, outcome.stdout.decode().strip()) == (0, f"data  {name}"), name
    assert command("scan", "--what", cwd=tmp_path).returncode == 2


class TestConvert:
    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(b"cos\nsystem\n(S'touch sentinel'\ntR.", id="J9-system"),
            pytest.param(frame_free(b"cbuiltins\neval\n\x8c\x031+1\x85R0N"), id="J9-discarded"),
            pytest.param(frame_free(b"cnowhere\nModel\n)\x81}b"), id="J10-unknown-class"),
            pytest.param(b"not a model at all", id="J10-text"),
            pytest.param(b"", id="J10-empty"),
        ],
    )
    def test_what_is_refused_leaves_nothing(self, oracle: Oracle, data: bytes) -> None:
        """J9, J10: the oracle compares the disk before and after."""
        outcome = oracle.cli("convert", oracle.file(data), oracle.outputs / "x.crate")
        assert outcome.exit_code == 2
        assert outcome.stderr.count(b"\n") == 1, "one line says why"
        assert not outcome.stdout

    def test_J9_a_batch_stops_at_the_bad_file_and_keeps_no_part_of_it(self, oracle: Oracle) -> None:
        bad = oracle.file(b"cos\nsystem\n(S'x'\ntR.", "bad.pkl")
        outcome = oracle.cli("convert", bad, "--out", oracle.outputs / "new", allow_changes=True)
        assert outcome.exit_code == 2
        assert sorted(path.name for path in oracle.outputs.rglob("*")) in ([], ["new"])

    def test_J9_killed_while_writing(self, tmp_path: Path) -> None:
        """At whatever moment it is killed, the output is whole or absent."""
        target = tmp_path / "x.crate"
        for delay in (0.3, 0.8, 1.2, 1.6):
            process = subprocess.Popen(
                [sys.executable, "-m", "modelcrate", "convert", str(ACTGAN), str(target)],
                env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
            process.wait()
            if target.exists():
                assert command("verify", target).returncode == 0
                target.unlink()

    def test_J22_two_at_once(self, tmp_path: Path) -> None:
        target = tmp_path / "x.crate"
        line = [sys.executable, "-m", "modelcrate", "convert", str(ACTGAN), str(target)]
        both = [
            subprocess.Popen(line, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(2)
        ]
        codes = sorted((process.communicate()[1], process.returncode)[1] for process in both)
        assert codes in ([0, 2], [0, 0])
        assert command("verify", target).returncode == 0
        assert os.listdir(tmp_path) == ["x.crate"]


def label(arguments: list[str]) -> str:
    return "J11-" + "".join(arguments)


class TestBrokenStdout:
    """J11: stdout may be gone or full; that is an exit code and at most one line, never a traceback."""

    @pytest.mark.parametrize(
        "arguments", [["scan", "--json"], ["scan"], ["inspect", "--json"]], ids=lambda it: "J11-" + "".join(it)
    )
    def test_closed_pipe(self, tmp_path: Path, arguments: list[str]) -> None:
        crate = small(tmp_path / "x.crate")
        reader, writer = os.pipe()
        os.close(reader)
        process = subprocess.run(
            [sys.executable, "-m", "modelcrate", *arguments, str(crate)],
            stdout=writer, stderr=subprocess.PIPE, env=ENVIRONMENT, timeout=60, check=False,
        )  # fmt: skip
        os.close(writer)
        assert process.returncode == 2
        assert b"Traceback" not in process.stderr
        assert b"Exception ignored" not in process.stderr

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full device")
    @pytest.mark.parametrize(
        "arguments", [["scan"], ["inspect"], ["--help"]], ids=lambda it: "J11-full-" + it[0].strip("-")
    )
    def test_full_disk(self, tmp_path: Path, arguments: list[str]) -> None:
        crate = [] if "--help" in arguments else [str(small(tmp_path / "x.crate"))]
        with open("/dev/full", "wb") as full:
            process = subprocess.run(
                [sys.executable, "-m", "modelcrate", *arguments, *crate],
                stdout=full, stderr=subprocess.PIPE, env=ENVIRONMENT, timeout=60, check=False,
            )  # fmt: skip
        assert process.returncode != 0
        assert b"Traceback" not in process.stderr

    def test_J11_closed_from_the_start(self, tmp_path: Path) -> None:
        crate = small(tmp_path / "x.crate")
        line = f'exec "{sys.executable}" -m modelcrate scan "{crate}" >&-'
        process = subprocess.run(
            ["/bin/sh", "-c", line], stderr=subprocess.PIPE, env=ENVIRONMENT, timeout=60, check=False
        )
        assert b"Traceback" not in process.stderr


def test_J12_no_traceback_shows_what_a_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(named("\x1b[2Kevil"))
    for debug in ("", "1"):
        outcome = command("convert", path, tmp_path / "x.crate", env={**ENVIRONMENT, "MODELCRATE_DEBUG": debug})
        assert outcome.returncode != 0
        assert b"\x1b" not in outcome.stdout + outcome.stderr
        assert (b"Traceback" in outcome.stderr) == bool(debug)


def test_J13_nothing_is_configured_from_the_current_folder(oracle: Oracle) -> None:
    """The oracle refuses every open outside of what was given; a folder full of traps is not even looked into."""
    working = oracle.inputs.parent / "cwd"
    traps = (
        "modelcrate.toml modelcrate.cfg pyproject.toml setup.cfg .modelcraterc torch.py numpy.py sitecustomize.py .env"
    )
    for name in traps.split():
        (working / name).write_text("raise SystemExit('trap')")
    assert oracle.cli("scan", oracle.file(b"N.")).exit_code == 0


def test_J14_the_environment_variables_are_these_and_none_weakens_a_check() -> None:
    named_there = set()
    for path in (ROOT / "src").rglob("*.py"):
        named_there |= set(re.findall(r"(?:environ(?:\.get)?[\[(]|getenv\()\s*[\"']([A-Z_]+)", path.read_text()))
    assert named_there <= {"MODELCRATE_DEBUG", "TERM", "NO_COLOR", "COLUMNS", "OPENBLAS_NUM_THREADS"}


@pytest.fixture(scope="module")
def synthesizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("synthesizer") / "x.crate"
    outcome = command("convert", ACTGAN, target)
    assert outcome.returncode == 0, outcome.stderr
    return target


class TestSample:
    """J15, J16"""

    def test_J15_cells_are_quoted_as_csv_says(self, tmp_path: Path) -> None:
        import pandas as pd

        from modelcrate.cli.rows import RowWriter

        cells = ["=1+1", "+x", "-x", "@x", "\tx", "\rx", 'a"b', "a,b", "a\nb", "plain", "-5"]
        frame = pd.DataFrame({"=cmd|x": cells})
        for escaped in (False, True):
            target = tmp_path / f"{escaped}.csv"
            with RowWriter(target, stdout=io.StringIO(), escape_formulas=escaped) as writer:
                writer.write(frame)
            with target.open(newline="", encoding="utf-8") as lines:
                rows = list(csv.reader(lines))
            found = [row[0] for row in rows]
            assert len(rows) == len(cells) + 1, "no cell becomes two"
            if escaped:
                assert not any(cell.startswith(("=", "+", "@", "\t", "\r")) for cell in found)
            else:
                assert found == ["=cmd|x", *cells]

    @pytest.mark.parametrize("count", ["-1", "1.5", "1e3", "10000000000000", "many", ""])
    def test_J16_a_row_count_is_a_count(self, oracle: Oracle, count: str) -> None:
        crate = small(oracle.inputs / "x.crate")
        assert oracle.cli("sample", crate, f"-n{count}").exit_code == 2

    def test_J16_rows_stream(self, synthesizer: Path) -> None:
        """The first rows of a large sample arrive long before the last."""
        process = subprocess.Popen(
            [sys.executable, "-m", "modelcrate", "sample", str(synthesizer), "-n", "900000000", "--seed", "1"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT,
        )  # fmt: skip
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(100)]
        assert all(lines)
        process.stdout.close()
        _, errors = process.communicate(timeout=60)
        assert b"Traceback" not in errors

    def test_J16_an_output_file_appears_whole_or_not_at_all(self, synthesizer: Path, tmp_path: Path) -> None:
        target = tmp_path / "rows.csv"
        target.write_text("precious")
        process = subprocess.Popen(
            [sys.executable, "-m", "modelcrate", "sample", synthesizer, "-n", "900000000", "-o", target, "--force"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while len(os.listdir(tmp_path)) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 130
        assert b"Traceback" not in errors
        assert os.listdir(tmp_path) == ["rows.csv"]
        assert target.read_text() == "precious"


class TestWithoutTorch:
    def test_J17_inspect_reads_headers_only(self, tmp_path: Path) -> None:
        """400 MB of weights, and no more than 64 MiB of memory beyond Python's own."""
        from modelcrate.crate import ComponentData, write_crate
        from modelcrate.format.tensors import TensorData

        path = tmp_path / "x.crate"
        big = TensorData("F32", (100, 1 << 20), memoryview(bytearray(400 << 20)))
        component = ComponentData(name="net", role="generator", type="acme.net/1", tensors={"w": big})
        write_crate(path, components=[component])
        program = (
            "import sys; from modelcrate.cli.main import main; "
            "code = main(sys.argv[1:]); "
            "peak = [line for line in open('/proc/self/status') if line.startswith('VmHWM')]; "
            "print(peak[0].split()[1], file=sys.stderr); "
            "assert not {'torch', 'pandas'} & set(sys.modules); sys.exit(code)"
        )
        outcome = subprocess.run(
            [sys.executable, "-c", program, "inspect", "--no-verify", str(path)],
            capture_output=True, env=ENVIRONMENT, timeout=60, check=True,
        )  # fmt: skip
        assert int(outcome.stderr) < (64 << 10) + 32_768

    @pytest.mark.parametrize("verb", ["scan", "inspect", "verify", "--help"])
    def test_J18_the_quick_verbs_import_nothing_heavy(self, tmp_path: Path, verb: str) -> None:
        crate = small(tmp_path / "x.crate")
        program = (
            "import sys\n"
            "for name in ('torch', 'pandas', 'sklearn', 'scipy', 'pickle', 'rich'): sys.modules[name] = None\n"
            "from modelcrate.cli.main import main\n"
            "sys.exit(main(sys.argv[1:]))"
        )
        arguments = [verb] if verb == "--help" else [verb, str(crate)]
        outcome = subprocess.run(
            [sys.executable, "-c", program, *arguments], capture_output=True, env=ENVIRONMENT, timeout=60, check=False
        )
        assert outcome.returncode == 0, outcome.stderr


class TestTerminal:
    @pytest.mark.parametrize(
        "environment",
        [
            pytest.param({"NO_COLOR": "1"}, id="J20-no-color"),
            pytest.param({"COLUMNS": "-5"}, id="J20-negative-width"),
            pytest.param({"COLUMNS": "0"}, id="J20-no-width"),
            pytest.param({"COLUMNS": "99999999999999"}, id="J20-endless-width"),
            pytest.param({"COLUMNS": "x\x1b[2K"}, id="J20-no-number"),
            pytest.param({"TERM": "evil\x1b[2K"}, id="J20-no-terminal"),
        ],
    )
    def test_width_and_colour(self, oracle: Oracle, environment: dict[str, str]) -> None:
        """J20: no colour where nobody looks, and no width that could hurt."""
        path = oracle.file(named("x"))
        for arguments in (
            ("scan", path),
            ("--help",),
            ("scan", "--help"),
            ("inspect", small(oracle.inputs / "x.crate")),
        ):
            outcome = oracle.cli(*arguments, environment=environment)
            assert outcome.exit_code in (0, 1)
            assert len(outcome.stdout) < 20_000

    def test_J21_help_has_no_side_effects_and_starts_at_once(self, oracle: Oracle) -> None:
        for verb in ("", "scan", "inspect", "verify", "convert", "sample"):
            outcome = oracle.cli(*filter(None, [verb]), "--help", heavy=False)
            assert outcome.exit_code == 0
            assert b"usage" in outcome.stdout
        best = min(_processor_seconds(["--help"]) for _ in range(5))
        assert best < 0.3

    def test_J21_inspect_starts_at_once(self, tmp_path: Path) -> None:
        crate = small(tmp_path / "x.crate")
        best = min(_processor_seconds(["inspect", str(crate)]) for _ in range(5))
        assert best < 0.3

    def test_J23_nothing_is_spawned(self, oracle: Oracle) -> None:
        """No pager, editor or browser: the oracle sees every process that is started, and PAGER would be one."""
        environment = {"PAGER": "touch sentinel", "EDITOR": "touch sentinel", "BROWSER": "touch sentinel"}
        path = oracle.file(frame_free(b"".join(b"cnowhere%d\nthing\n0" % index for index in range(3_000)) + b"N"))
        for arguments in (("scan", path), ("scan", "--json", path), ("--help",), ("--version",)):
            oracle.cli(*arguments, environment=environment)


def _processor_seconds(arguments: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command(*arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_J7_usage_errors_are_two(oracle: Oracle) -> None:
    for arguments in ((), ("scan",), ("nothing",), ("scan", "--nothing"), ("verify", "a", "b")):
        outcome = oracle.cli(*arguments)
        assert outcome.exit_code == 2
        assert b"usage" in outcome.stderr


@pytest.mark.parametrize(
    ("verb", "make"),
    [
        pytest.param("verify", lambda path: path.write_bytes(b"junk"), id="J7-verify-junk"),
        pytest.param("inspect", lambda path: path.write_bytes(b""), id="J7-inspect-empty"),
        pytest.param("inspect", lambda path: path.mkdir(), id="J7-inspect-folder"),
        pytest.param("sample", small, id="J7-sample-no-synthesizer"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(oracle: Oracle, verb: str, make: Callable[[Path], object]) -> None:
    """J7: not zero, one line, no traceback."""
    path = oracle.inputs / "x.crate"
    make(path)
    arguments = (verb, path, "-n", "1") if verb == "sample" else (verb, path)
    outcome = oracle.cli(*arguments)
    assert outcome.exit_code in (1, 2)
    assert (outcome.stdout + outcome.stderr).count(b"\n") == 1


@pytest.mark.parametrize("verb", ["scan", "inspect", "verify", "convert"])
def test_J4_a_newline_in_the_name_of_a_file_forges_no_second_line(oracle: Oracle, verb: str) -> None:
    """A name that would read as a verdict on another file: it stays on the line of its own, quoted or escaped."""
    path = oracle.file(named("x"), name="a\ndata  good.pkl\nok  good.crate\n")
    arguments = [path, oracle.outputs / "x.crate"] if verb == "convert" else [path]
    outcome = oracle.cli(verb, *arguments, seconds=6.0)
    assert outcome.exit_code != 0
    lines = (outcome.stdout + outcome.stderr).decode().splitlines()
    assert not any(line.startswith(("data ", "ok ", "good")) for line in lines), lines
    assert not any(b"good" in part and b"\\x0a" not in part for part in (outcome.stdout, outcome.stderr))
