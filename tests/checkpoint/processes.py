"""Processes to be killed: forked from an interpreter that has torch imported and has done nothing with it yet.

Run as a script it is that interpreter; it starts one child for each line on its standard input and tells of its end.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class Forker:
    """The interpreter, seen from a test."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "checkpoint.processes"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def start(self, target: str, *arguments: Any) -> int:
        """Start a function of :data:`TARGETS` in a new process; its process id."""
        self._tell([target, *arguments])
        return int(self._hear())

    def finish(self) -> int:
        """Wait for the process that was started last: 0, or minus the signal that ended it."""
        return os.waitstatus_to_exitcode(int(self._hear()))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _tell(self, message: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def _hear(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the interpreter has ended"
        return line


def serve() -> None:
    import torch

    import modelcrate.checkpoint  # noqa: F401
    from checkpoint import trainings  # noqa: F401
    from modelcrate.errors import FormatError
    from modelcrate.format import schema

    torch.set_num_threads(1)
    torch.optim.SGD(torch.nn.Linear(1, 1).parameters())  # torch imports seconds' worth of modules here
    for tag in ("training.optimizer/1", "training.progress/1", "training.random_state/1"):
        with contextlib.suppress(FormatError):
            schema.validate_state({}, tag, "warming up")
    for line in sys.stdin:
        target, *arguments = json.loads(line)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                TARGETS[target](*arguments)
                code = 0
            finally:
                os._exit(code)
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


def save_for_ever(folder: str, log: str, block: bool) -> None:
    """Save a network and an optimizer whose numbers are the step, again and again; log each step once it is saved."""
    import torch

    from modelcrate.checkpoint import CheckpointManager

    manager = CheckpointManager(folder, keep=2, keep_best="loss")
    latest = manager.latest()
    step = 0 if latest is None else (latest.step or 0)
    if latest is not None:
        latest.close()
    module = torch.nn.Linear(120, 120)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.0, momentum=0.9)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while True:
        step += 1
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.fill_(step)
                optimizer.state[parameter]["momentum_buffer"] = torch.full_like(parameter, step)
        manager.save(networks=module, optimizers=optimizer, step=step, losses={"loss": -(step % 7)}, block=block)
        if block:
            os.write(out, f"{step}\n".encode())


def train(folder: str, result: str, progress: int | str, kind: str, total: int, block: bool) -> None:
    """Train from the latest checkpoint to step ``total``, saving after every step; write the trace at the end."""
    import hashlib

    from checkpoint.trainings import Adversaries, Run
    from modelcrate.checkpoint import CheckpointManager

    run: Any = Adversaries() if kind == "gan" else Run(*kind.split("+"))
    with CheckpointManager(folder, keep=2) as manager, open(progress, "a", encoding="ascii") as out:
        latest = manager.latest()
        done = 0
        if latest is not None:
            assert latest.restore(**run.parts()).complete
            run.losses = list(latest.losses["train"])
            done = latest.step or 0
        for step in range(done + 1, total + 1):
            run.step()
            manager.save(**run.parts(), step=step, losses={"train": run.losses}, block=block)
            out.write(f"{os.getpid()} {step}\n")
            out.flush()
    losses, weights, rates = run.trace()
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in weights.items()}
    Path(result).write_text(json.dumps([losses, digests, rates]), encoding="ascii")


TARGETS = {"save_for_ever": save_for_ever, "train": train}

if __name__ == "__main__":
    serve()
