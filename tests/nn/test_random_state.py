"""Random generators go on where they were, and nothing but their numbers reaches them."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch

from modelcrate import errors
from modelcrate.format import values
from modelcrate.format.document import Fields
from modelcrate.format.schema import validate_state
from modelcrate.nn.random_state import RANDOM_STATE_TYPE, RandomState


def through_bytes(own: Any = None) -> dict[str, Any]:
    document = RandomState.capture(own).to_document()
    validate_state(document, RANDOM_STATE_TYPE, "state")
    decoded: dict[str, Any] = values.decode(values.encode(document), where="state")
    return decoded


def restore(document: dict[str, Any], own: Any = None) -> list[str]:
    return RandomState.from_document(Fields(document, "state")).prepare(own)()


def draws() -> list[Any]:
    return [random.random(), random.gauss(0, 1), np.random.normal(), *torch.randn(3).tolist(), np.random.randint(9)]


def test_the_global_generators_go_on_where_they_were() -> None:
    random.gauss(0, 1)  # leaves a second number behind, which is part of the state
    np.random.normal()
    torch.randn(1)
    document = through_bytes()
    wanted = draws()
    draws()
    restore(document)
    assert draws() == wanted


BITS = [np.random.MT19937, np.random.PCG64, np.random.PCG64DXSM, np.random.Philox, np.random.SFC64]


@pytest.mark.parametrize("kind", BITS, ids=lambda kind: kind.__name__)
def test_every_bit_generator_of_numpy(kind: Any) -> None:
    generator = np.random.Generator(kind(7))
    generator.integers(0, 10, dtype=np.uint32)  # leaves half a word behind
    document = through_bytes({"own": generator})
    wanted = generator.normal(size=5).tolist()
    other = np.random.Generator(kind(8))
    restore(document, {"own": other})
    assert other.normal(size=5).tolist() == wanted


@pytest.mark.parametrize(
    ("make", "draw"),
    [
        (lambda seed: torch.Generator().manual_seed(seed), lambda g: torch.rand(4, generator=g).tolist()),
        (np.random.RandomState, lambda g: g.normal(size=3).tolist()),
        (random.Random, lambda g: [g.random(), g.gauss(0, 1)]),
    ],
    ids=["torch", "numpy_legacy", "python"],
)
def test_generators_of_the_users_own(make: Any, draw: Any) -> None:
    generator = make(1)
    draw(generator)
    document = through_bytes({"own": generator})
    wanted = draw(generator)
    other = make(2)
    restore(document, {"own": other})
    assert draw(other) == wanted


def test_a_generator_of_another_kind_is_a_mismatch() -> None:
    document = through_bytes({"own": np.random.default_rng(1)})
    for other in (random.Random(1), np.random.Generator(np.random.Philox(1)), torch.Generator(), object()):
        with pytest.raises(errors.MismatchError, match=r"random_state\.own"):
            restore(document, {"own": other})
    with pytest.raises(errors.MismatchError, match=r"random_state\.absent"):
        restore(document, {"absent": random.Random(1)})


def test_what_is_no_generator_is_refused() -> None:
    for thing in (3, "seed", random.SystemRandom()):
        with pytest.raises(errors.UsageError, match=r"random_state\.own"):
            RandomState.capture({"own": thing})  # type: ignore[dict-item]


def test_states_of_devices_that_are_not_here_are_noted() -> None:
    document = through_bytes()
    document["cuda"] = [np.zeros(16, np.uint8)] * (torch.cuda.device_count() + 2)
    assert any("cuda" in note for note in restore(document))


def change(path: str, value: Any) -> Any:
    def apply(document: dict[str, Any]) -> None:
        *steps, last = path.split(".")
        for step in steps:
            document = document[step]
        document[last] = value

    return apply


HOSTILE: dict[str, Any] = {
    "python version": change("python.version", 2),
    "python position beyond": change("python.position", 625),
    "python position NaN": change("python.position", float("nan")),
    "python position true": change("python.position", True),
    "python words too few": change("python.words", np.zeros(3, np.uint32)),
    "python words of another dtype": change("python.words", np.zeros(624, np.int64)),
    "python words as a list": change("python.words", [0] * 624),
    "python gauss NaN": change("python.gauss", float("nan")),
    "python gauss text": change("python.gauss", "1"),
    "numpy unknown algorithm": change("numpy.bit_generator", "os.system"),
    "numpy other algorithm": change("numpy.bit_generator", "PCG64"),
    "numpy position negative": change("numpy.state.pos", -1),
    "numpy words matrix": change("numpy.state.key", np.zeros((624, 1), np.uint32)),
    "numpy extra field": change("numpy.state.inc", 1),
    "numpy has_gauss": change("numpy.has_gauss", 2),
    "torch too short": change("torch", np.zeros(5, np.uint8)),
    "torch zeros": change("torch", np.zeros(5056, np.uint8)),
    "torch garbage": change("torch", np.full(5056, 255, np.uint8)),
    "torch huge": change("torch", np.zeros(1 << 20, np.uint8)),
    "torch bytes": change("torch", b"\0" * 5056),
    "cuda a map": change("cuda", {}),
    "cuda a number": change("cuda", [3]),
    "own unknown kind": change("own.a", {"kind": "pickle", "state": b""}),
    "own bad name": change("own.A-b", {"kind": "python"}),
    "own not a map": change("own.a", 3),
    "unknown field": change("more", 3),
}


@pytest.mark.parametrize("spoil", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_document_that_lies_is_refused_with_an_error_of_the_library(spoil: Any) -> None:
    document = through_bytes()
    spoil(document)
    with pytest.raises((errors.FormatError, errors.MismatchError)):
        restore(document)


@pytest.mark.parametrize("value", [-1, 2**128, 1.0, True, "1"])
def test_wide_words_are_held_to_their_range(value: Any) -> None:
    document = through_bytes({"own": np.random.default_rng(1)})
    document["own"]["own"]["state"]["state"]["inc"] = value
    with pytest.raises(errors.FormatError):
        restore(document, {"own": np.random.default_rng(1)})


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_every_cuda_device_goes_on_where_it_was() -> None:
    for index in range(torch.cuda.device_count()):
        torch.rand(1, device=f"cuda:{index}")
    document = through_bytes()
    wanted = [torch.rand(3, device=f"cuda:{index}").tolist() for index in range(torch.cuda.device_count())]
    restore(document)
    assert wanted == [torch.rand(3, device=f"cuda:{index}").tolist() for index in range(torch.cuda.device_count())]
