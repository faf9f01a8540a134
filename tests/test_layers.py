"""Imports go downwards only, and the light layers stay light."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src"
PACKAGE = SOURCE / "modelcrate"

LAYERS: dict[str, int] = {
    "errors": 0, "limits": 0, "version": 0,
    "format": 1,
    "storage": 2,
    "tabular": 3, "nn": 3,
    "crate": 4, "crate_writer": 4, "stored": 4, "parts": 4, "models": 4, "module_parts": 4, "synthesizer_parts": 4,
    "series_parts": 4,
    "values_parts": 4, "device_errors": 4,
    "inspection": 4, "verification": 4, "disclosure": 4, "redaction": 4, "checkpoint": 4, "inference": 4, "legacy": 4,
    "cli": 5, "integrations": 5, "__main__": 5,
}  # fmt: skip
"""The layer of every module and folder right below ``modelcrate``; a new one is added here, with thought."""

SEPARATE = frozenset({("tabular", "nn"), ("nn", "tabular")})
"""Neighbours on one layer that know nothing of each other."""

LIGHT = ("format", "storage", "errors", "limits", "version", "crate", "crate_writer", "stored", "parts", "inspection",
         "verification")  # fmt: skip
LIGHT_LEGACY = ("machine", "graph", "scan", "detect", "view")
"""What starts without torch and pandas."""

CODE_LOADERS = frozenset({"pickle", "_pickle", "joblib", "cloudpickle", "dill", "marshal", "shelve", "ctypes", "runpy"})

WRITES_ONLY = {("legacy/dump.py", name) for name in ("pickle", "pickle.Pickler")}
"""The one exception: a live object of the caller is written down in memory, so that the machine can read it as it reads
a file. The writer loads nothing; that it can't is what :func:`test_the_one_writer_of_pickles_loads_none` is for."""


@dataclass(frozen=True)
class Import:
    """One import statement: where it stands, the module it names, and whether it runs when its module is imported."""

    file: Path
    line: int
    module: str
    at_start: bool

    @property
    def text(self) -> str:
        return f"{self.file.relative_to(SOURCE)}:{self.line} imports {self.module}"


@functools.cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


@functools.cache
def imports_of(file: Path) -> tuple[Import, ...]:
    """Every import of a file: at the top, inside functions, and for type checkers only."""
    return tuple(_imports(file, parsed(file)))


def _imports(file: Path, tree: ast.Module) -> Iterator[Import]:
    later: set[ast.AST] = set()
    for node in ast.walk(tree):
        delayed = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if delayed or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)):
            later.update(ast.walk(node))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield Import(file, node.lineno, name.name, node not in later)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno} is a relative import"
            assert node.module is not None
            yield Import(file, node.lineno, node.module, node not in later)
            for name in node.names:
                yield Import(file, node.lineno, f"{node.module}.{name.name}", node not in later)


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def unit(file: Path) -> str:
    """The layer table's name for the module in ``file``."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def target(module: str) -> str | None:
    """The layer table's name for an imported module; None for one that is not ours."""
    parts = module.split(".")
    if parts[0] != "modelcrate" or len(parts) == 1:
        return None
    exists = (PACKAGE / f"{parts[1]}.py").exists() or (PACKAGE / parts[1]).is_dir()
    return parts[1] if exists else None


def test_every_module_has_a_layer() -> None:
    assert {unit(file) for file in files()} - {"__init__"} <= LAYERS.keys()


@pytest.mark.parametrize("file", files(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_go_downwards(file: Path) -> None:
    """The package's own ``__init__`` is exempt: its public names are resolved on first use."""
    name = unit(file)
    if file == PACKAGE / "__init__.py":
        return
    for found in imports_of(file):
        other = target(found.module)
        if other is None:
            assert found.module != "modelcrate" or LAYERS[name] == 5, f"{found.text}: only a command does that"
            continue
        assert LAYERS[other] <= LAYERS[name], f"{found.text}, which is above it"
        assert (name, other) not in SEPARATE, f"{found.text}, which is beside it"


def test_the_public_init_imports_nothing_heavy() -> None:
    for found in imports_of(PACKAGE / "__init__.py"):
        if found.at_start:
            assert found.module.split(".")[0] != "modelcrate" or found.module.startswith("modelcrate.version"), (
                found.text
            )


@pytest.mark.parametrize("file", files(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_no_module_can_run_code_from_a_file(file: Path) -> None:
    for found in imports_of(file):
        if (file.relative_to(PACKAGE).as_posix(), found.module) not in WRITES_ONLY:
            assert found.module.split(".")[0] not in CODE_LOADERS, found.text
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("eval", "exec", "compile", "__import__", "torch.load", "numpy.load", "np.load"), (
                f"{file.relative_to(SOURCE)}:{node.lineno} calls {called}"
            )


def test_the_one_writer_of_pickles_loads_none() -> None:
    """It takes the writer out of ``pickle`` by name, so nothing else of that module is within reach."""
    file = PACKAGE / "legacy" / "dump.py"
    taken = [
        name.name
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.ImportFrom) and node.module == "pickle"
        for name in node.names
    ]
    assert taken == ["Pickler"]
    assert not any(isinstance(node, ast.Import) and "pickle" in ast.unparse(node) for node in ast.walk(parsed(file)))
    called = {ast.unparse(node.func) for node in ast.walk(parsed(file)) if isinstance(node, ast.Call)}
    assert not {name for name in called if name.rpartition(".")[2] in ("load", "loads", "Unpickler", "import_module")}


@pytest.mark.parametrize("file", files(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_format_imports_neither_torch_nor_pandas(file: Path) -> None:
    light = unit(file) == "format" or (unit(file) == "legacy" and file.stem in LIGHT_LEGACY)
    if not light:
        return
    for found in imports_of(file):
        assert found.module.split(".")[0] not in ("torch", "pandas"), found.text


def test_the_light_modules_start_without_torch_and_pandas() -> None:
    """What they import counts too, so a fresh interpreter is asked."""
    names = [
        f"modelcrate.{'.'.join(file.relative_to(PACKAGE).with_suffix('').parts)}".removesuffix(".__init__")
        for file in files()
        if unit(file) in LIGHT or (unit(file) == "legacy" and file.stem in LIGHT_LEGACY)
    ]
    code = (
        "import importlib, sys; sys.path.insert(0, sys.argv[1])\n"
        "for name in sys.argv[2:]:\n"
        "    importlib.import_module(name)\n"
        "    for heavy in ('torch', 'pandas', 'jsonschema', 'sklearn'):\n"
        "        assert heavy not in sys.modules, f'{name} brings {heavy}'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(SOURCE), *names], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
