"""Fixtures that several parts of the tests share."""

from __future__ import annotations

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
