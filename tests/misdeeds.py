"""What the oracle must catch: one small misdeed a function. Run by the oracle's own tests only."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from modelcrate.errors import FormatError


def nothing() -> dict[str, str]:
    return {"verdict": "data"}


def library_error() -> None:
    raise FormatError("not what it claims to be")


def foreign_error() -> None:
    raise RecursionError("too deep")


def import_module() -> None:
    import this  # noqa: F401


def swallow_import() -> None:
    try:
        import_module()
    except Exception:
        return


def evaluate() -> None:
    eval("1 + 1")  # noqa: S307


def unpickle() -> None:
    import pickle

    pickle.loads(b"cos\nsystem\n(S'true'\ntR.")


def spawn() -> None:
    os.system("true")


def connect() -> None:
    import socket

    socket.create_connection(("127.0.0.1", 9), timeout=0.1)


def read_elsewhere() -> None:
    Path("/etc/hostname").read_bytes()


def write_into_cwd() -> None:
    Path("sentinel").touch()


def write_elsewhere() -> None:
    Path("/sentinel").touch()


def allocate(amount: int) -> int:
    return len(bytearray(amount).replace(b"\0", b"\1"))


def burn() -> None:
    while True:
        pass


def escape() -> None:
    sys.stdout.write("\x1b[2Kok\n")


def overflow_the_stack() -> None:
    os.kill(os.getpid(), 11)
