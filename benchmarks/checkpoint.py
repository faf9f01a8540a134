"""Saving and resuming a training run: modelcrate against torch.save and torch.distributed.checkpoint.

    python benchmarks/checkpoint.py [--sizes 100e6 533e6] [--rounds 5] [--json FILE] [--folder DIR]

A size is the bytes of the parameters; with the two moments of AdamW a checkpoint holds three times that. Every step
runs in a process of its own, in an order that changes from round to round; times are medians, ratios are medians of the
ratios within each round. modelcrate's saves end after fsync, the others' end in the page cache ("+ fsync" shows what
durable ones take). "stall" is the time for which a background save keeps training waiting; the second one of a process
is timed, which finds its memory already there. Resuming copies into a live network and a live optimizer, from files in
the page cache.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rounds
from rounds import timed, warm

WIDTH = 1024
SAVES = (
    "torch.save",
    "torch.save + fsync",
    "dcp.save",
    "dcp.save + fsync",
    "modelcrate.save_checkpoint",
)
STALLS = ("dcp.async_save stall", "modelcrate block=False stall")
RESUMES = ("torch.load + load_state_dict", "dcp.load", "modelcrate restore", "modelcrate restore, verify=False")
BARS = (
    ("modelcrate.save_checkpoint", "torch.save", 1.0),
    ("modelcrate.save_checkpoint", "torch.save + fsync", 1.0),
    ("modelcrate.save_checkpoint", "dcp.save", 1.0),
    ("modelcrate block=False stall", "dcp.async_save stall", 1.0),
    ("modelcrate restore", "torch.load + load_state_dict", 1.0),
    ("modelcrate restore", "dcp.load", 1.0),
)
"""Step, what it is compared with, and the most that the ratio may be."""


def main() -> int:
    """Run all rounds, print the tables, write JSON; exit code 1 if a bar is missed."""
    parser = rounds.parser(__doc__, 5)
    parser.add_argument("--sizes", nargs="+", type=float, default=[100e6, 533e6], metavar="BYTES")
    options = parser.parse_args()
    if options.step:
        return rounds.answer(run_step, options.step)
    results = [measure(int(size), options.rounds, options.folder) for size in options.sizes]
    return rounds.finish(options, results, rounds.all_met(results))


def measure(size: int, count: int, parent: Path | None) -> dict[str, Any]:
    """All steps at one size: seconds of each round, and the ratios that the bars ask for."""

    def run(step: str) -> dict[str, float]:
        with tempfile.TemporaryDirectory(dir=parent) as folder:
            os.sync()
            return rounds.spawn(__file__, step, size, folder)

    seconds = rounds.timings(SAVES + STALLS, count, run) | rounds.timings(RESUMES, count, run)
    result = {"bytes": size, **rounds.summary(seconds, BARS)}
    title = f"{size / 1e6:,.0f} MB of parameters, {3 * size / 1e6:,.0f} MB with AdamW's state"
    rounds.report(title, result, 36)
    return result


def run_step(step: str, size: str) -> dict[str, float]:
    """Inside the fresh process: a run that has made a step, everything imported, then the one thing that is timed."""
    warm_up, action = prepare(step, *trained(int(size)))
    warm_up()
    seconds, finish = timed(action)
    if callable(finish):
        finish()
    return {step: seconds}


def trained(size: int) -> tuple[Any, Any]:
    """A stack of square layers of so many bytes, and AdamW after one step."""
    import torch

    layers = max(1, size // (4 * WIDTH * WIDTH))
    network = torch.nn.Sequential(*(torch.nn.Linear(WIDTH, WIDTH) for _ in range(layers)))
    optimizer = torch.optim.AdamW(network.parameters())
    for parameter in network.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return network, optimizer


def prepare(step: str, network: Any, optimizer: Any) -> tuple[Callable[[], object], Callable[[], object]]:
    """What is done before, untimed, and what is timed; where that returns a function, it is called afterwards."""
    import torch

    state = {"network": network.state_dict(), "optimizer": optimizer.state_dict()}
    small = torch.nn.Linear(1, 1)
    if step.startswith("torch.save"):
        durable = step.endswith("fsync")
        return lambda: torch.save(small.state_dict(), "warm"), lambda: synced(torch.save(state, "x.pt"), durable)
    if step.startswith("torch.load"):

        def resume() -> None:
            found = torch.load("x.pt", weights_only=True)
            network.load_state_dict(found["network"])
            optimizer.load_state_dict(found["optimizer"])

        return lambda: torch.save(state, "x.pt"), resume
    if step.startswith("dcp"):
        return prepare_dcp(step, state, network, optimizer)
    import modelcrate

    if step == "modelcrate.save_checkpoint":
        tiny = torch.optim.AdamW(small.parameters())
        return lambda: modelcrate.save_checkpoint(
            "warm", networks=small, optimizers=tiny
        ), lambda: modelcrate.save_checkpoint("x.crate", networks=network, optimizers=optimizer)
    if step.startswith("modelcrate block=False"):
        manager = modelcrate.CheckpointManager("m")

        def save() -> Callable[[], None]:
            manager.save(networks=network, optimizers=optimizer, block=False)
            return manager.wait

        return lambda: waited(save()), save
    verify = not step.endswith("verify=False")

    def save_and_read() -> None:
        modelcrate.save_checkpoint("x.crate", networks=network, optimizers=optimizer)
        warm(Path("x.crate"))  # what goes past the page cache is not in it

    return (
        save_and_read,
        lambda: discard(modelcrate.load_checkpoint("x.crate", verify=verify).restore(network, optimizer)),
    )


def prepare_dcp(
    step: str, state: Any, network: Any, optimizer: Any
) -> tuple[Callable[[], object], Callable[[], object]]:
    """torch.distributed.checkpoint in one process, which is how its users without a cluster use it."""
    import torch
    import torch.distributed.checkpoint as dcp

    small = {"a": torch.ones(1)}
    if step == "dcp.load":

        def resume() -> None:
            dcp.load(state, checkpoint_id="x", no_dist=True)
            network.load_state_dict(state["network"])
            optimizer.load_state_dict(state["optimizer"])

        return lambda: dcp.save(state, checkpoint_id="x", no_dist=True), resume
    if step.startswith("dcp.async_save"):
        import torch.distributed as dist

        dist.init_process_group("gloo", init_method=f"file://{os.getcwd()}/rendezvous", rank=0, world_size=1)

        def save(name: str) -> Callable[[], object]:
            future = dcp.async_save(state, checkpoint_id=name)
            found: Callable[[], object] = future.result
            return found

        return lambda: waited(save("warm")), lambda: save("x")
    durable = step.endswith("fsync")
    return (
        lambda: dcp.save(small, checkpoint_id="warm", no_dist=True),
        lambda: synced(dcp.save(state, checkpoint_id="x", no_dist=True), durable),
    )


def synced(_: object, durable: bool) -> None:
    if durable:
        os.sync()


def waited(finish: Callable[[], object]) -> None:
    finish()


def discard(_: object) -> None:
    """For what is returned and not timed any further."""


if __name__ == "__main__":
    sys.exit(main())
