"""Fixtures that several parts of the tests share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from oracle import Oracle, Server


@pytest.fixture(scope="session")
def oracle_servers() -> Iterator[dict[bool, Server]]:
    """The forking interpreters of this session, started when first needed."""
    servers: dict[bool, Server] = {}
    yield servers
    for server in servers.values():
        server.close()


@pytest.fixture
def oracle(tmp_path: Path, oracle_servers: dict[bool, Server]) -> Oracle:
    """Runs hostile cases under guard and asserts what must hold for each of them; see :mod:`oracle`."""
    return Oracle(tmp_path, oracle_servers)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Take the addresses of objects out of test ids, so that two processes collect the same tests."""
    for item in items:
        item._nodeid = re.sub(r" at 0x[0-9a-f]+", "", item._nodeid)
