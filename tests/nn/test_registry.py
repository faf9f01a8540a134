"""Tags and what they stand for: only code that is installed or written here decides that (FORMAT.md 1.2)."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import pytest
import torch

import modelcrate
from modelcrate.errors import FormatError, UnsupportedError, UsageError
from modelcrate.nn import registry
from modelcrate.nn.registry import architecture, built, lookup


@pytest.fixture(autouse=True)
def own_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))


def net(tag: str = "test.net/1") -> type[torch.nn.Module]:
    @architecture(tag)
    class Net(torch.nn.Module):
        def __init__(self, width: int, depth: int = 2, *, sizes: Any = (1, 2), act: str = "relu") -> None:
            super().__init__()
            self.layers = torch.nn.ModuleList(torch.nn.Linear(width, width) for _ in range(depth))

    return Net


def test_the_arguments_of_a_construction_are_remembered_as_data() -> None:
    sizes = [3, {"a": (1.5, None, True)}]
    found = built(net()(4, sizes=sizes))
    sizes.append(5)
    assert found.tag == "test.net/1"
    assert found.config == {"width": 4, "depth": 2, "sizes": [3, {"a": [1.5, None, True]}], "act": "relu"}


def test_a_registered_class_stays_a_class() -> None:
    kind = net()
    assert isinstance(kind, type)
    assert isinstance(kind(2), kind)
    assert kind.__name__ == "Net"


def test_a_function_can_be_registered() -> None:
    @architecture("test.function/1")
    def build(width: int) -> torch.nn.Module:
        return torch.nn.Linear(width, width)

    assert built(build(3)).config == {"width": 3}
    assert isinstance(lookup("test.function/1").construct({"width": 2}, where="x"), torch.nn.Linear)


@pytest.mark.parametrize(
    "value",
    [torch.nn.ReLU(), lambda: 0, float("nan"), {1: 2}, {1, 2}, b"x"],
    ids=lambda value: type(value).__name__,
)
def test_arguments_that_are_not_data_can_be_used_but_not_saved(value: object) -> None:
    module = net()(2, sizes=value)
    with pytest.raises(UsageError, match="sizes"):
        built(module)


def test_a_class_that_is_not_registered_is_told_what_to_write() -> None:
    with pytest.raises(UsageError, match=r"@modelcrate.architecture\('you.linear/1'\)"):
        built(torch.nn.Linear(2, 2))


def test_a_subclass_of_a_registered_class_is_not_registered() -> None:
    class Other(net()):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(3)

    with pytest.raises(UsageError, match="Other is not a registered architecture"):
        built(Other())


def test_f01_f02_a_tag_is_never_a_path_to_code() -> None:
    for tag in ("os.system/1", "builtins.eval/1", "torch.hub.load/1", "__class__.__init__/1", "_modules._x/1"):
        with pytest.raises(UnsupportedError):
            lookup(tag)


def test_an_unknown_tag_says_what_to_do() -> None:
    with pytest.raises(UnsupportedError, match=r"@modelcrate.architecture\('acme.unet/1'\)"):
        lookup("acme.unet/1")


@pytest.mark.parametrize("tag", ["net", "net/1", "a.b/0", "a.b/x", "A.b/1", "a.b/1\n", "", "a.b/12345", "a..b/1"])
def test_malformed_tags_are_not_registered(tag: str) -> None:
    with pytest.raises(UsageError):
        net(tag)


def test_a_tag_that_is_taken_stays_with_its_owner() -> None:
    net()
    with pytest.raises(UsageError, match="taken"):

        @architecture("test.net/1")
        class Other(torch.nn.Module):
            pass

    with pytest.raises(UsageError, match="taken"):
        net("ctgan.generator/1")


def test_a_definition_that_is_run_twice_is_the_same_architecture() -> None:
    net()
    again = net()
    assert lookup("test.net/1").build is again


def test_a_class_without_a_constructor_has_no_parameters() -> None:
    @architecture("test.bare/1")
    class Bare(torch.nn.Module):
        pass

    assert built(Bare()).config == {}
    assert isinstance(lookup("test.bare/1").construct({}, where="config"), Bare)


def test_f04_parameters_without_names_are_refused() -> None:
    with pytest.raises(UsageError, match="kwargs"):

        @architecture("test.kwargs/1")
        class Kwargs(torch.nn.Module):
            def __init__(self, **kwargs: object) -> None:
                super().__init__()


@pytest.mark.parametrize(
    "config",
    [{}, {"width": 2, "extra": 1}, {"width": 2, "device": "cuda:7"}, {"width": "x"}, {"width": -1}, {"width": 2**80},
     {"width": None}, {"width": 2, "self": 1}, {"width": 2, "dtype": "float64"}, {"width": []}],
    ids=str,
)  # fmt: skip
def test_f04_f10_f19_configs_that_do_not_fit(config: dict[str, Any]) -> None:
    net()
    with pytest.raises(FormatError), torch.device("meta"):
        lookup("test.net/1").construct(config, where="config")


def test_a_constructor_that_fails_in_its_own_way_is_a_format_error() -> None:
    @architecture("test.fails/1")
    class Fails(torch.nn.Module):
        def __init__(self, depth: int) -> None:
            super().__init__()
            if depth:
                Fails(depth - 1)

    with pytest.raises(FormatError, match="RecursionError"):
        lookup("test.fails/1").construct({"depth": 100_000}, where="config")


class Plugin(torch.nn.Module):
    """What an installed package would offer under its tag."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(width, width)


def test_a_plugin_is_found_by_an_entry_point_whose_name_is_the_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def entry_points(*, group: str, name: str) -> list[importlib.metadata.EntryPoint]:
        asked.append(f"{group} {name}")
        known = importlib.metadata.EntryPoint("acme.plugin/1", f"{__name__}:Plugin", group)
        return [known] if name == known.name else []

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    module = lookup("acme.plugin/1").construct({"width": 2}, where="config")
    assert isinstance(module, Plugin)
    assert asked == ["modelcrate.architectures acme.plugin/1"]
    with pytest.raises(UnsupportedError):
        lookup("acme.other/1")


def test_a_plugin_that_can_not_be_imported_is_an_error_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = importlib.metadata.EntryPoint("acme.broken/1", "no_such_module_anywhere:Net", "modelcrate.architectures")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: [broken])
    with pytest.raises(UnsupportedError, match="plugin"):
        lookup("acme.broken/1")


def test_the_public_name_is_the_same_function() -> None:
    assert modelcrate.architecture is architecture
