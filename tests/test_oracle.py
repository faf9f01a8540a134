"""The oracle catches what it is there to catch; a test that it passes would be worth nothing otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from oracle import Oracle


def test_good_behaviour_passes(oracle: Oracle) -> None:
    assert oracle.run("misdeeds:nothing").verdict == "ok"


def test_an_error_of_the_library_is_a_refusal(oracle: Oracle) -> None:
    outcome = oracle.run("misdeeds:library_error")
    assert (outcome.verdict, outcome.error) == ("refused", "FORMAT")


@pytest.mark.parametrize(
    ("misdeed", "clause"),
    [
        pytest.param("foreign_error", "O1", id="O1-foreign-exception"),
        pytest.param("overflow_the_stack", "O1", id="O1-killed-by-signal"),
        pytest.param("import_module", "O2", id="O2-import"),
        pytest.param("swallow_import", "O2", id="O2-import-swallowed"),
        pytest.param("evaluate", "O2", id="O2-eval"),
        pytest.param("unpickle", "O2", id="O2-unpickle"),
        pytest.param("spawn", "O2", id="O2-process"),
        pytest.param("connect", "O2", id="O2-socket"),
        pytest.param("read_elsewhere", "O2", id="O2-open-for-reading"),
        pytest.param("write_elsewhere", "O2", id="O2-open-for-writing"),
        pytest.param("burn", "O3", id="O3-endless"),
        pytest.param("write_into_cwd", "O4", id="O4-left-behind"),
        pytest.param("escape", "O5", id="O5-escape-sequence"),
    ],
)
def test_a_misdeed_is_caught(oracle: Oracle, misdeed: str, clause: str) -> None:
    with pytest.raises(AssertionError, match=clause):
        oracle.run(f"misdeeds:{misdeed}", seconds=0.2)


def test_memory_is_measured_and_limited(oracle: Oracle) -> None:
    oracle.run("misdeeds:allocate", 8 << 20, memory=32 << 20)
    with pytest.raises(AssertionError, match="O3"):
        oracle.run("misdeeds:allocate", 40 << 20, memory=32 << 20)
    with pytest.raises(AssertionError, match="MemoryError"):
        oracle.run("misdeeds:allocate", 4 << 30, memory=32 << 20)


def test_nothing_stays_of_a_misdeed(oracle: Oracle, tmp_path: Path) -> None:
    oracle.run("misdeeds:write_elsewhere", check=False)
    assert not Path("/sentinel").exists()


def test_plain_runs_have_neither_torch_nor_pandas(oracle: Oracle) -> None:
    outcome = oracle.cli("--help")
    assert outcome.exit_code == 0
    assert not {"torch", "pandas"} & set(outcome.modules)
