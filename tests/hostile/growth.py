"""What the oracle's children run to see how the cost of a parser grows: honest inputs, none of which may fail."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import effort

PARSERS: dict[str, Callable[[bytes], object]] = {}


def light() -> dict[str, Callable[[bytes], object]]:
    """Parsers that need neither torch nor pandas."""
    import dataclasses

    from modelcrate.format.manifest import Manifest
    from modelcrate.format.schema import validate_state
    from modelcrate.format.values import decode
    from modelcrate.legacy.scan import scan
    from modelcrate.legacy.torchfile import read_torch
    from modelcrate.limits import DEFAULT
    from modelcrate.storage.archive import read_entries

    wide = dataclasses.replace(DEFAULT, members=10**6)

    def scanned(data: bytes) -> object:
        report = scan(data)
        assert report.verdict in ("data", "unknown"), report.findings[:3]
        return report

    return {
        "scan": scanned,
        "scan anything": scan,
        "torch": lambda data: read_torch(data, script=True),
        "manifest": Manifest.from_bytes,
        "sampler": lambda data: validate_state(decode(data, where="state"), "tabular.sampler/1", "state"),
        "crate": lambda data: read_entries(memoryview(data), where="crate", limits=wide),
    }


def heavy() -> dict[str, Callable[[bytes], object]]:
    """Parsers that make tensors, frames and live values."""
    import torch

    import modelcrate
    from modelcrate.format.values import decode
    from modelcrate.legacy.export import named_tensors
    from modelcrate.legacy.families.torch_values import translate
    from modelcrate.legacy.reader import read_for_conversion
    from modelcrate.nn import nested

    def root(data: bytes) -> Any:
        return read_for_conversion(data).root

    return {
        "read_legacy": modelcrate.read_legacy,
        "plain": lambda data: root(data).value(),
        "frame": lambda data: root(data).frame(),
        "translate": lambda data: translate(root(data)),
        "export": lambda data: named_tensors(modelcrate.read_legacy(data), "root"),
        "nested": lambda data: nested.decode(decode(data, where="state"), tensors={"t": torch.zeros(1)}, where="state"),
    }


def _parser(name: str) -> Callable[[bytes], object]:
    if not PARSERS:
        PARSERS.update(light())
    if name not in PARSERS:
        PARSERS.update(heavy())
    return PARSERS[name]


def cost(name: str, inputs: list[str], most: float) -> list[float]:
    """Processor seconds for inputs (latin-1 text) of n, 2n and 4n parts."""
    return effort.costs(_parser(name), [text.encode("latin-1") for text in inputs], most=most)


def memory(name: str, inputs: list[str]) -> list[int]:
    """Python memory at its highest while parsing each input, in bytes, beyond what was there before."""
    parse, found = _parser(name), []
    parse(inputs[0].encode("latin-1"))
    for text in inputs:
        data = text.encode("latin-1")
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        kept = parse(data)
        found.append(tracemalloc.get_traced_memory()[1] - before)
        tracemalloc.stop()
        del kept
    return found
