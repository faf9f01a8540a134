"""Loading straight to a GPU: a crate, digests on, against torch and safetensors, and against the bus itself.

    python benchmarks/device.py [--sizes 1.6e9 6e9] [--rounds 5] [--json FILE] [--folder DIR] [--device cuda]

Every load runs in a process of its own that has used the device before, in an order that changes from round to round,
the file in the page cache; the clock stops when the device has everything. The bar is 1.0 of the best of the others
within each round. "pinned copy" is one copy of as many bytes from page-locked memory: nothing can be faster. Without a
CUDA device it says so and measures nothing. ``--device cpu`` runs every step all the same, to see that each works:
its times say nothing, and no bar is asked for.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rounds
from load_save import FILES, TENSORS, flat
from rounds import timed, warm

SAVES = ("torch", "safetensors", "crate")
OTHERS = (
    "torch.load(map_location='cuda')",
    "torch.load(mmap=True), .to('cuda')",
    "safetensors.load_file(device='cuda')",
)
LOADS = (*OTHERS, "modelcrate.load(device='cuda')", "modelcrate.load(device='cuda'), verify=False", "pinned copy")
BARS = {"modelcrate.load(device='cuda')": 1.0, "modelcrate.load(device='cuda'), verify=False": 1.0}
"""Step: the most that its time may be, in times of the best of the others."""
PINNED = 256 << 20
"""Bytes of the page-locked memory that is copied again and again for "pinned copy"."""


def main() -> int:
    """Run all rounds, print the tables, write JSON; exit code 1 if a bar is missed."""
    parser = rounds.parser(__doc__, 5)
    parser.add_argument("--sizes", nargs="+", type=float, default=[1.6e9, 6e9], metavar="BYTES")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 ..., or cpu for a trial (default: cuda)")
    options = parser.parse_args()
    if options.step:
        return rounds.answer(run_step, options.step)
    import torch

    trial = options.device == "cpu"
    if not trial and not torch.cuda.is_available():
        print("skipped: there is no CUDA device here", file=sys.stderr)
        return 0
    results = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for size in options.sizes:
            results.append(measure(int(size), options.rounds, Path(folder), options.device))
            report(results[-1])
    met = [trial or bar["met"] for result in results for bar in result["bars"].values()]
    return rounds.finish(
        options, results, met, device="cpu" if trial else torch.cuda.get_device_name(torch.device(options.device))
    )


def measure(size: int, count: int, folder: Path, device: str) -> dict[str, Any]:
    """All loads at one size: seconds of each round, and the ratios that the bars ask for."""
    argument = f"{size}@{device}"
    for kind in SAVES:
        rounds.spawn(__file__, kind, argument, folder)
        warm(folder / FILES[kind])
    seconds = rounds.timings(LOADS, count, lambda step: rounds.spawn(__file__, step, argument, folder))
    for name in FILES.values():
        (folder / name).unlink()
    best = [min(others) for others in zip(*(seconds[other] for other in OTHERS), strict=True)]
    bars = {}
    for step, most in BARS.items():
        ratio = rounds.ratio(seconds[step], best)
        bars[step] = {"most": most, "ratio": ratio, "met": ratio <= most}
    return {"bytes": size, "seconds": seconds, "medians": rounds.medians(seconds), "bars": bars}


def run_step(step: str, argument: str) -> dict[str, float]:
    """Inside the fresh process: write a file, or load one after the device and all code were used once."""
    import safetensors.torch
    import torch

    import modelcrate

    size, device = argument.split("@")
    if step in SAVES:
        net = flat(int(size) // 4 // TENSORS)
        tensors = {name: tensor.detach() for name, tensor in net.named_parameters()}
        if step == "torch":
            torch.save(tensors, FILES["torch"])
        elif step == "safetensors":
            safetensors.torch.save_file(tensors, FILES["safetensors"])
        else:
            modelcrate.save(net, FILES["crate"], overwrite=True)
        return {}
    flat(1)  # registers the class
    synchronize = (lambda: None) if device == "cpu" else lambda: torch.cuda.synchronize(device)
    torch.zeros(1 << 20).to(device)
    synchronize()
    load = loader(step, int(size), device)

    def complete() -> object:
        found = load()
        synchronize()
        return found

    return {step: timed(complete)[0]}


def loader(step: str, size: int, device: str) -> Callable[[], object]:
    import safetensors.torch
    import torch

    import modelcrate

    if step == "pinned copy":
        source = torch.empty(PINNED, dtype=torch.uint8, pin_memory=device != "cpu").fill_(1)

        def copy() -> object:
            target = torch.empty(size, dtype=torch.uint8, device=device)
            for start in range(0, size, PINNED):
                end = min(start + PINNED, size)
                target[start:end].copy_(source[: end - start], non_blocking=True)
            return target

        return copy
    if step.startswith("torch.load(map"):
        return lambda: torch.load(FILES["torch"], map_location=device)
    if step.startswith("torch.load(mmap"):
        return lambda: {name: it.to(device) for name, it in torch.load(FILES["torch"], mmap=True).items()}
    if step.startswith("safetensors"):
        return lambda: safetensors.torch.load_file(FILES["safetensors"], device=device)
    verify = "verify=False" not in step
    modelcrate.save(flat(1), "warm-up.crate", overwrite=True)
    modelcrate.load("warm-up.crate", device=device, verify=verify)
    return lambda: modelcrate.load(FILES["crate"], device=device, verify=verify)


def report(result: dict[str, Any]) -> None:
    print(f"\n{result['bytes'] / 1e6:,.0f} MB in {TENSORS} tensors")
    bus = result["medians"]["pinned copy"]
    for step, median in result["medians"].items():
        bar = result["bars"].get(step)
        note = f"{result['bytes'] / median / 1e9:8.2f} GB/s, {bus / median:4.0%} of the bus"
        if bar:
            word = "met" if bar["met"] else "MISSED"
            note += f"   {bar['ratio']:5.2f} × the best of the others (bar {bar['most']:.0f}: {word})"
        print(f"  {step:46s}{median * 1000:10.1f} ms {note}")


if __name__ == "__main__":
    sys.exit(main())
