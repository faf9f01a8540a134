"""What a crate discloses is listed whole: nothing that was learnt is left out because nobody thought of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import modelcrate
from modelcrate.disclosure import KINDS, STRUCTURE, Disclosed, disclosed, disclosed_by

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "tests" / "corpus"
SCHEMAS = sorted(
    path for path in (ROOT / "spec" / "schemas").glob("*.json") if path.name.split(".")[0] in ("tabular", "series")
)


def properties(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "properties":
                yield from value
            yield from properties(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from properties(item)


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_every_key_of_a_state_document_is_known_to_be_learnt_or_not(path: Path) -> None:
    assert set(properties(json.loads(path.read_text()))) <= STRUCTURE | set(KINDS)


def test_no_key_is_both() -> None:
    assert not STRUCTURE & set(KINDS)


def test_a_key_that_nobody_knows_is_listed() -> None:
    document = {"columns": [{"name": "age", "something_new": 40}]}
    assert [(item.column, item.kind, item.count) for item in disclosed_by("table", "tabular.table/1", document)] == [
        ("age", "other", 1)
    ]


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Disclosed, ...]:
    crate = tmp_path_factory.mktemp("crate") / "mixed.crate"
    modelcrate.convert(CORPUS / "actgan" / "mixed" / "model.pkl", crate)
    return disclosed(crate)


def test_the_values_of_a_model_are_told_by_column(listed: tuple[Disclosed, ...]) -> None:
    found = {(item.column, item.kind): item for item in listed}
    expected = json.loads((CORPUS / "actgan" / "index.json").read_text())
    assert expected
    assert found["colour", "category"].count >= 3
    assert found["age", "bound"].count == 2
    assert found["age.value", "spread"].count > 0
    assert sum(item.nbytes for item in listed) > sum(item.count for item in listed) / 2


def test_where_random_generators_stood_is_nothing_learnt(tmp_path: Path) -> None:
    modelcrate.convert(CORPUS / "actgan" / "random_state" / "model.pkl", tmp_path / "a.crate")
    assert "random_state" not in {item.component for item in disclosed(tmp_path / "a.crate")}
