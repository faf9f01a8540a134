"""Fixtures that several parts of the tests share."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from oracle import Oracle, Server

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell starts what it puts in the background so, and the commands that tests interrupt would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Torch in one thread: sums over a batch follow the number of threads, and those of several workers would wait."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
