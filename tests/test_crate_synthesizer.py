"""A synthesizer goes into a crate and comes out of it; parts that do not fit together are refused early."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import modelcrate as mc
from modelcrate.crate import ComponentData, write_crate
from modelcrate.errors import FormatError, MismatchError, ModelcrateError

MODEL = Path(__file__).parent / "corpus/actgan/only_discrete/model.pkl"


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("converted") / "model.crate"
    mc.convert(MODEL, path)
    return path


@pytest.mark.parametrize("form", ["file", "folder"])
def test_a_loaded_synthesizer_saved_again_is_the_same_model(tmp_path: Path, converted: Path, form: str) -> None:
    first = mc.load(converted)
    mc.save(first, tmp_path / "again", form=form)
    second = mc.load(tmp_path / "again")
    assert second.sample(50, seed=7).equals(first.sample(50, seed=7))
    with mc.open(converted) as before, mc.open(tmp_path / "again") as after:
        assert after.manifest.members == before.manifest.members
        assert after.manifest.components == before.manifest.components
        assert after.manifest.model == before.manifest.model
        assert after.manifest.hyperparameters == before.manifest.hyperparameters


Components = dict[str, ComponentData]


def rewritten(source: Path, target: Path, change: Callable[[Components], Any], **model: Any) -> Path:
    """The crate at ``source`` with its components changed, digests and seal right."""
    with mc.open(source) as crate:
        parts: Components = {
            name: ComponentData(
                name=name,
                role=it.role,
                type=it.type,
                config=it.config,
                tensors=dict(it.data) if it.has_weights else None,
                state=it.state if it.has_state else None,
            )
            for name, it in crate.items()
        }
        change(parts)
        assert crate.manifest.model is not None
        config: Mapping[str, Any] = {**crate.manifest.model.config, **model}
        write_crate(target, components=list(parts.values()), model=(crate.manifest.model.type, config))
    return target


def changed(name: str, **fields: Any) -> Callable[[Components], Any]:
    return lambda parts: parts.update({name: replace(parts[name], **fields)})


@pytest.mark.parametrize("name", ["generator", "transformer", "sampler", "table"])
def test_b21_a_synthesizer_without_one_of_its_parts(tmp_path: Path, converted: Path, name: str) -> None:
    path = rewritten(converted, tmp_path / "x", lambda parts: parts.pop(name))
    with pytest.raises(FormatError, match="needs a part"):
        mc.load(path)


def test_parts_that_a_synthesizer_does_not_have(tmp_path: Path, converted: Path) -> None:
    def double(parts: Components) -> None:
        parts["second"] = replace(parts["table"], name="second")

    def foreign(parts: Components) -> None:
        parts["extra"] = ComponentData(name="extra", role="extra", type="acme.extra/1", state={})

    for name, change in (("double", double), ("foreign", foreign)):
        with pytest.raises(FormatError, match="part"):
            mc.load(rewritten(converted, tmp_path / name, change))


@pytest.mark.parametrize(
    "change",
    [
        changed("table", config={"x": 1}),
        changed("table", state={}),
        changed("transformer", state={"columns": []}),
        changed("sampler", state={"columns": 3}),
        changed("generator", state={"x": 1}),
        changed("generator", type="nn.module/1"),
        changed("generator", tensors={}),
        changed("generator", tensors=None),
        changed("generator", config={}),
    ],
)
def test_c23_parts_that_are_not_what_they_must_be(
    tmp_path: Path, converted: Path, change: Callable[[Components], Any]
) -> None:
    try:
        path = rewritten(converted, tmp_path / "x", change)
    except FormatError:
        return  # the schema of its state refused it already
    with pytest.raises(ModelcrateError):
        mc.load(path)


def test_c23_a_generator_of_another_width_than_its_transformer(tmp_path: Path, converted: Path) -> None:
    def widen(parts: Components) -> None:
        config = dict(parts["generator"].config)
        parts["generator"] = replace(
            parts["generator"], config={**config, "data_dim": int(str(config["data_dim"])) + 1}
        )

    with pytest.raises(MismatchError, match="the other parts need"):
        mc.load(rewritten(converted, tmp_path / "x", widen))
    with pytest.raises(MismatchError, match="the other parts need"):
        mc.load(rewritten(converted, tmp_path / "y", lambda _: None, noise_dim=3))


@pytest.mark.parametrize("config", [{"noise_dim": 0}, {"batch_size": "x"}, {"extra": 1}, {"conditioning": "eval"}])
def test_f04_f10_model_configs_that_do_not_fit(tmp_path: Path, converted: Path, config: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        mc.load(rewritten(converted, tmp_path / "x", lambda _: None, **config))
