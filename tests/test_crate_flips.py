"""One flipped byte, anywhere in a crate, is always noticed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import modelcrate as mc
from crate_bytes import small_crate
from modelcrate.errors import ModelcrateError
from modelcrate.nn import registry

FLIPS = (0x01, 0xFF)


def survivors(data: bytes, use: Callable[[bytes], None]) -> list[tuple[int, int]]:
    """Every (position, flip) that ``use`` did not refuse with an error of the library; other errors are not caught."""
    spoiled = bytearray(data)
    found: list[tuple[int, int]] = []
    for position in range(len(data)):
        for flip in FLIPS:
            spoiled[position] ^= flip
            try:
                use(bytes(spoiled))
            except ModelcrateError:
                pass
            else:
                found.append((position, flip))
            spoiled[position] ^= flip
    return found


def test_verify_refuses_every_flipped_byte_of_weights_state_and_container(tmp_path: Path) -> None:
    data = small_crate(tmp_path / "x").read_bytes()

    def use(spoiled: bytes) -> None:
        report = mc.verify(spoiled)
        if not report.ok:
            raise ModelcrateError("refused")

    use(data)
    assert survivors(data, use) == []


def test_open_refuses_every_flipped_byte_of_what_it_hands_out(tmp_path: Path) -> None:
    data = small_crate(tmp_path / "x").read_bytes()

    def use(spoiled: bytes) -> None:
        with mc.open(spoiled) as crate:
            crate.check()
            assert crate["table"].state
            assert dict(crate["net"].data)

    use(data)
    assert survivors(data, use) == []


def test_load_refuses_every_flipped_byte_of_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))

    @mc.architecture("test.tiny/1")
    class Tiny(torch.nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.fc = torch.nn.Linear(width, width)

    mc.save(Tiny(2), tmp_path / "x")
    data = (tmp_path / "x").read_bytes()
    assert mc.load(data)
    assert survivors(data, lambda spoiled: mc.load(spoiled) and None) == []


def test_every_flipped_byte_of_a_folder_is_refused(tmp_path: Path) -> None:
    folder = small_crate(tmp_path / "x", form="folder")
    for path in [it for it in folder.rglob("*") if it.is_file()]:
        data = path.read_bytes()

        def use(spoiled: bytes, path: Path = path) -> None:
            path.write_bytes(spoiled)
            if not mc.verify(folder).ok:
                raise ModelcrateError("refused")

        assert survivors(data, use) == []
        path.write_bytes(data)
    assert mc.verify(folder).ok
