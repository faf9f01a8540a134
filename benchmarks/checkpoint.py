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

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from load_save import judged, keep, machine, noted, rotated, warm

SOURCE = Path(__file__).resolve().parent.parent / "src"
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=float, default=[100e6, 533e6], metavar="BYTES")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to write (default: a temporary folder)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(json.dumps(run_step(*options.step)))
        return 0
    results = [measure(int(size), options.rounds, options.folder) for size in options.sizes]
    document = {"machine": machine(), "rounds": options.rounds, "results": results}
    if options.json:
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return 0 if all(bar["met"] for result in results for bar in result["bars"]) else 1


def measure(size: int, rounds: int, parent: Path | None) -> dict[str, Any]:
    """All steps at one size: seconds of each round, and the ratios that the bars ask for."""
    seconds: dict[str, list[float]] = {}
    for steps in (SAVES + STALLS, RESUMES):
        for number in range(rounds):
            for step in rotated(steps, number):
                with tempfile.TemporaryDirectory(dir=parent) as folder:
                    os.sync()
                    keep(seconds, spawn(step, size, folder))
    medians = {step: statistics.median(values) for step, values in seconds.items()}
    bars = judged(BARS, seconds)
    load = os.getloadavg()[0]
    print(f"\n{size / 1e6:,.0f} MB of parameters, {3 * size / 1e6:,.0f} MB with AdamW's state, load {load:.1f}")
    for step, median in medians.items():
        print(f"  {step:36s}{median * 1000:10.1f} ms{noted(bars, step)}")
    return {"bytes": size, "seconds": seconds, "medians": medians, "bars": bars}


def spawn(step: str, size: int, folder: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--step", step, str(size), folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{step} failed:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def run_step(step: str, size: str, folder: str) -> dict[str, float]:
    """Inside the fresh process: a run that has made a step, everything imported, then the one thing that is timed."""
    sys.path.insert(0, str(SOURCE))
    os.chdir(folder)
    warm_up, action = prepare(step, *run(int(size)))
    warm_up()
    start = time.perf_counter()
    finish = action()
    seconds = time.perf_counter() - start
    if callable(finish):
        finish()
    return {step: seconds}


def run(size: int) -> tuple[Any, Any]:
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
