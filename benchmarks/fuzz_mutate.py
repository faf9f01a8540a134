"""A mutation fuzzer without dependencies: ``python benchmarks/fuzz_mutate.py [--seconds 60] [FOLDER...]``.

Takes the files of the given folders (by default the tests' corpus) and made examples, changes them, and hands them to
every target of :mod:`fuzzing`. Prints one JSON object; exit code 1 when anything was found.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from pathlib import Path

from fuzzing import ROOT, TARGETS, Harness, seeds

OPCODES = b"().}]NIJKMLFGSTUVXcCBPQiaesudtlo012pqrghjRb" + bytes(range(0x80, 0x99))
NUMBERS = [0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1]
LONGEST = 1 << 17
POOL = 20_000
"""Inputs kept per target, seeds and accepted changes of them."""


def mutate(data: bytes, pool: list[bytes], rng: random.Random) -> bytes:
    """A few random changes of a seed: bytes, lengths, opcodes, pieces of itself and of others."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5, 8))):
        at = rng.randrange(len(changed) + 1)
        kind = rng.randrange(10)
        if kind == 0 and changed:
            changed[at % len(changed)] ^= 1 << rng.randrange(8)
        elif kind == 1 and changed:
            changed[at % len(changed)] = rng.randrange(256)
        elif kind == 2:
            changed[at:at] = bytes(rng.choice(OPCODES) for _ in range(rng.choice((1, 1, 2, 4, 16))))
        elif kind == 3 and changed:
            changed[at % len(changed)] = rng.choice(OPCODES)
        elif kind == 4:
            width = rng.choice((1, 2, 4, 8))
            value = (rng.choice(NUMBERS) & (256**width - 1)).to_bytes(width, rng.choice(("little", "big")))
            changed[at : at + width] = value
        elif kind == 5:
            del changed[at : at + rng.choice((1, 1, 2, 4, 16, 256))]
        elif kind == 6:
            length = rng.choice((1, 4, 16, 64, 256))
            start = rng.randrange(len(changed) + 1)
            changed[at:at] = changed[start : start + length] * rng.choice((1, 1, 2, 16))
        elif kind == 7:
            other = rng.choice(pool)
            start = rng.randrange(len(other) + 1)
            changed[at:at] = other[start : start + rng.choice((4, 16, 64, 1024))]
        elif kind == 8:
            del changed[at:]
        else:
            changed += rng.choice(pool)[:4096]
        del changed[LONGEST:]
    return bytes(changed)


def fuzz(
    folders: list[Path], *, targets: list[str], seconds: float, seed: int, keep: Path, report: float
) -> dict[str, object]:
    """Run for so many seconds; the summary.

    A seed belongs to the targets that accept it, and so does a change of it that is still accepted; one input in ten
    goes to any target.
    """
    everything = list(dict.fromkeys(seeds(folders)))
    harness = Harness(keep)
    pools: dict[str, list[bytes]] = {
        target: [data for data in everything if harness.run(target, data) in ("ok", "finding")] for target in targets
    }
    rng = random.Random(seed)
    started = last = time.monotonic()
    while (now := time.monotonic()) - started < seconds:
        if now - last > report:
            last = now
            line = f"{now - started:.0f} s, {harness.executions} executions, {len(harness.findings)} findings"
            print(line, file=sys.stderr, flush=True)
        target = rng.choice(targets)
        pool = pools[target] if pools[target] and rng.random() < 0.9 else everything
        data = mutate(rng.choice(pool), pool, rng)
        if harness.run(target, data) == "ok" and len(pools[target]) < POOL and len(data) < 4096:
            pools[target].append(data)
    return {
        "seconds": round(time.monotonic() - started, 1),
        "seeds": len(everything),
        "executions": harness.executions,
        "findings": sorted(harness.findings.values()),
        "outcomes": dict(sorted(harness.outcomes.items())),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--target", action="append", choices=sorted(TARGETS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--keep", type=Path, default=Path("fuzz-findings"), help="folder for inputs that found something"
    )
    parser.add_argument("--report", type=float, default=60, help="seconds between lines of progress")
    options = parser.parse_args()
    folders = options.folders or [ROOT / "tests" / "corpus"]
    summary = fuzz(
        folders,
        targets=options.target or list(TARGETS),
        seconds=options.seconds,
        seed=options.seed,
        keep=options.keep,
        report=options.report,
    )
    print(json.dumps(summary, indent=1))
    return 1 if summary["findings"] else 0


if __name__ == "__main__":
    sys.exit(main())
