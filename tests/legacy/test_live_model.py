"""Live models: the crate of an object is the crate of its file, and the object is only looked at."""

from __future__ import annotations

import copy
import copyreg
import functools
import hashlib
import logging
import os
import pickle
import random
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from standins import StandIn, live, made_up, standins
from torch import nn

import modelcrate as mc
from modelcrate import models as models_module
from modelcrate.errors import FormatError, LimitError, MismatchError, ModelcrateError, UnsupportedError, UsageError
from modelcrate.format.document import Fields
from modelcrate.legacy.dump import INERT, view_of
from modelcrate.legacy.families import rdt
from modelcrate.legacy.read import values_of
from modelcrate.legacy.record import Name, Record
from modelcrate.tabular.columns import read_matrix_encoding
from modelcrate.tabular.draws import CounterDraws, Reversal

CORPUS = Path(__file__).resolve().parents[1] / "corpus"
FILES = {
    "ctgan": "ctgan/0_12_1_mixed/model.pt.xz",
    "ctgan with random states": "ctgan/0_12_1_random_state/model.pt.xz",
    "tvae": "ctgan/0_12_1_tvae_mixed/model.pt.xz",
    "actgan": "actgan/mixed/model.pkl",
    "actgan with random states": "actgan/random_state/model.pkl",
    "actgan anyway": "actgan/anyway/model.pkl",
}


@pytest.fixture(autouse=True)
def _made_up_modules() -> Iterator[None]:
    with standins():
        yield


def model_of(name: str) -> Any:
    return live(CORPUS / FILES[name])


def series_model() -> Any:
    """A DGAN as it is in memory, put together from what ``DGAN.save`` wrote and the network of this library."""
    saved = live(CORPUS / "dgan" / "dgan_long" / "model.pt.xz")
    package = "gretel_synthetics.timeseries_dgan"
    mc.convert(CORPUS / "dgan" / "dgan_long" / "model.pt.xz", _scratch() / "series.crate", overwrite=True)
    network = mc.load(_scratch() / "series.crate").generator
    names = {"SeriesGenerator": "Generator", "Heads": "OutputDecoder", "Module": "Merger"}
    for part in list(network.modules()):
        found = type(part).__name__
        if found in ("Recurrent", "Head"):
            part.__class__ = nn.Sequential
        elif found in names:
            part.__class__ = made_up(f"{package}.torch_modules", names[found], nn.Module)
    model = made_up(f"{package}.dgan", "DGAN")()
    config = made_up(f"{package}.config", "DGANConfig")()
    config.__setstate__(saved["config"])
    converter = made_up(f"{package}.dgan", "_LongDataFrameConverter")()
    held = {name: value for name, value in saved["data_frame_converter"].items() if name != "name"}
    converter.__setstate__({f"_{name}": value for name, value in held.items()})
    model.__setstate__({
        "config": config,
        "is_built": True,
        "data_frame_converter": converter,
        "EPS": 1e-8,
        "attribute_outputs": saved["attribute_outputs"],
        "feature_outputs": saved["feature_outputs"],
        "device": "cpu",
        "generator": network,
        "feature_discriminator": nn.Linear(2, 2),
        "attribute_discriminator": None,
        "attribute_noise_func": lambda size: None,
    })  # fmt: skip
    return model


@functools.cache
def _scratch() -> Path:
    import tempfile

    return Path(tempfile.mkdtemp(prefix="live-"))


@pytest.fixture(autouse=True, scope="module")
def _no_scratch_left() -> Iterator[None]:
    import shutil

    yield
    shutil.rmtree(_scratch(), ignore_errors=True)
    _scratch.cache_clear()


def state_of(model: Any) -> dict[str, Any]:
    """What a save could disturb."""
    found: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": hashlib.sha256(pickle.dumps(np.random.get_state())).hexdigest(),
        "torch": hashlib.sha256(torch.get_rng_state().numpy().tobytes()).hexdigest(),
    }
    pending, seen = [("model", model)], set()
    while pending:
        path, item = pending.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, torch.Tensor):
            bits = hashlib.sha256(item.detach().numpy().tobytes()).hexdigest()
            found[path] = id(item), item.data_ptr(), str(item.device), item.requires_grad, bits
        elif isinstance(item, np.random.RandomState):
            found[path] = hashlib.sha256(pickle.dumps(item.get_state())).hexdigest()
        elif isinstance(item, torch.Generator):
            found[path] = hashlib.sha256(item.get_state().numpy().tobytes()).hexdigest()
        elif isinstance(item, dict):
            found[path] = [(str(key), id(value)) for key, value in item.items()]
            pending += [(f"{path}[{key}]", value) for key, value in item.items()]
        elif isinstance(item, list | tuple):
            pending += [(f"{path}[{index}]", value) for index, value in enumerate(item)]
        elif isinstance(item, nn.Module | StandIn):
            pending.append((path, item.__dict__))
    return found


class Callback:
    """What a caller may hand in: it holds what no pickle can, and refuses to be written down."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.file = open(os.devnull)  # noqa: SIM115
        self.told: list[Any] = []

    def __reduce__(self) -> Any:
        raise RuntimeError("nobody writes me down")

    def __call__(self, told: Any) -> None:
        self.told.append(told)


def attach(model: Any, callback: Any) -> None:
    model._model._epoch_callback = callback
    model._model_kwargs["epoch_callback"] = callback


# -- the crate


@pytest.mark.parametrize("name", FILES)
def test_the_crate_of_an_object_is_the_crate_of_its_file(tmp_path: Path, name: str) -> None:
    model = model_of(name)
    mc.save(model, tmp_path / "live.crate")
    mc.convert(CORPUS / FILES[name], tmp_path / "file.crate")
    with mc.open(tmp_path / "live.crate") as one, mc.open(tmp_path / "file.crate") as other:
        assert one.manifest.members == other.manifest.members
        assert one.manifest.components == other.manifest.components
        assert one.manifest.model == other.manifest.model
        assert one.manifest.hyperparameters == other.manifest.hyperparameters
        assert [it.what for it in one.manifest.omitted] == [it.what for it in other.manifest.omitted]
        assert one.manifest.provenance.created_by == other.manifest.provenance.created_by
        assert one.manifest.provenance.source is None


def test_a_whole_dgan_gives_the_crate_of_what_its_own_save_writes(tmp_path: Path) -> None:
    mc.save(series_model(), tmp_path / "live.crate")
    mc.convert(CORPUS / "dgan" / "dgan_long" / "model.pt.xz", tmp_path / "file.crate")
    with mc.open(tmp_path / "live.crate") as one, mc.open(tmp_path / "file.crate") as other:
        assert one.manifest.members == other.manifest.members
        assert one.manifest.model == other.manifest.model
        assert [it.what for it in one.manifest.omitted] == ["the discriminator of whole examples"]


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda model: setattr(model, "surprise", 1), UnsupportedError, "surprise"),
        (lambda model: model.generator.register_forward_hook(print), UnsupportedError, "hooks"),
        (lambda model: setattr(model.generator.feature_gen, "extra", nn.Linear(2, 2)), MismatchError, "extra"),
        (lambda model: setattr(model.generator.feature_gen, "extra", nn.GELU()), UnsupportedError, "GELU"),
        (lambda model: setattr(model.config, "sample_len", 2), MismatchError, "unexpected|missing"),
        (lambda model: model.__dict__.pop("generator"), UnsupportedError, "not built"),
        (lambda model: setattr(model, "feature_outputs", [lambda: 1]), ModelcrateError, "feature_outputs"),
    ],
)
def test_a_changed_dgan_is_refused_with_what_was_changed(
    tmp_path: Path, change: Any, error: type[ModelcrateError], words: str
) -> None:
    model = series_model()
    change(model)
    with pytest.raises(error, match=words):
        mc.save(model, tmp_path / "x.crate")
    assert list(tmp_path.iterdir()) == []


def test_an_attribute_that_nobody_knows_is_named_by_its_path(tmp_path: Path) -> None:
    model = model_of("ctgan")
    model._transformer.surprise = 1
    with pytest.raises(UnsupportedError, match="surprise") as caught:
        mc.save(model, tmp_path / "x.crate")
    assert caught.value.where == "CTGAN._transformer"


def test_a_class_of_one_s_own_is_not_taken_for_its_base(tmp_path: Path) -> None:
    model = model_of("ctgan")
    model.__class__ = type("Mine", (type(model),), {})
    with pytest.raises(UsageError, match="Mine"):
        mc.save(model, tmp_path / "x.crate")


def test_a_model_that_was_not_fitted_is_refused(tmp_path: Path) -> None:
    model = model_of("actgan")
    model._model = None
    with pytest.raises(UnsupportedError, match="not fitted"):
        mc.save(model, tmp_path / "x.crate")


# -- the object


def is_full(*args: Any, **options: Any) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("name", FILES)
def test_an_object_is_as_it_was_after_a_save_and_after_one_that_failed(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of(name)
    network = (model._model if name.startswith("actgan") else model).__dict__
    network = network.get("_generator", network.get("decoder"))
    network.train()  # as in the middle of a training
    before = state_of(model)
    mc.save(model, tmp_path / "x.crate")
    assert state_of(model) == before
    monkeypatch.setattr(models_module, "write_crate", is_full)
    with pytest.raises(OSError, match="space"):
        mc.save(model, tmp_path / "y.crate")
    assert state_of(model) == before
    assert network.training


def test_a_callback_stays_attached_and_is_left_out(tmp_path: Path) -> None:
    model, callback = model_of("actgan"), Callback()
    attach(model, callback)
    before = state_of(model)
    mc.save(model, tmp_path / "x.crate")
    assert state_of(model) == before
    assert model._model._epoch_callback is callback
    assert model._model_kwargs["epoch_callback"] is callback
    with mc.open(tmp_path / "x.crate") as crate:
        assert "the epoch callback" in [it.what for it in crate.manifest.omitted]
    assert callback.told == []


def test_a_save_from_within_the_callback_is_of_that_moment(tmp_path: Path) -> None:
    model = model_of("actgan")

    def callback(epoch: int) -> None:
        mc.save(model, tmp_path / f"{epoch}.crate")

    attach(model, callback)
    for epoch in range(2):
        with torch.no_grad():
            model._model._generator.seq[-1].bias.fill_(float(epoch))
        model._model._epoch_callback(epoch)
    for epoch in range(2):
        with mc.open(tmp_path / f"{epoch}.crate") as crate:
            name = next(each for each in crate["generator"].tensors if each.endswith(".bias") and ".fc" not in each
                        and ".bn" not in each)  # fmt: skip
            assert set(crate["generator"].tensors[name].tolist()) == {float(epoch)}


def test_no_hook_that_moves_networks_between_devices_is_called(tmp_path: Path) -> None:
    def moved(self: Any) -> None:
        raise AssertionError("the networks were moved")

    model = model_of("ctgan")
    base = made_up("ctgan.synthesizers.base", "BaseSynthesizer")
    base.__getstate__ = base.set_device = moved
    kind = type(model)
    model.__class__ = type(kind.__name__, (base,), {"__module__": kind.__module__, "__qualname__": kind.__qualname__})
    setattr(sys.modules[kind.__module__], kind.__name__, type(model))
    mc.save(model, tmp_path / "x.crate")
    assert mc.verify(tmp_path / "x.crate").ok


def test_a_subclass_is_refused_as_what_it_is(tmp_path: Path) -> None:
    model = model_of("ctgan")
    model.__class__ = type("Mine", (type(model),), {})
    with pytest.raises(UsageError, match="Mine can't be saved: it is a subclass of ctgan"):
        mc.save(model, tmp_path / "x.crate")
    assert not (tmp_path / "x.crate").exists()


# -- what is loaded


def test_a_callback_attaches_to_what_is_loaded(tmp_path: Path) -> None:
    mc.save(model_of("actgan"), tmp_path / "x.crate")
    callback = Callback()
    loaded = mc.load(tmp_path / "x.crate", epoch_callback=callback)
    assert loaded.epoch_callback is callback
    loaded.sample(3, seed=1)
    assert callback.told == []
    mc.save(loaded, tmp_path / "again.crate")
    assert mc.load(tmp_path / "again.crate").epoch_callback is None
    loaded.set_callback(None)
    assert loaded.epoch_callback is None
    with pytest.raises(UsageError, match="callback"):
        loaded.set_callback(3)
    with pytest.raises(UsageError, match="callback"):
        mc.load(tmp_path / "x.crate", epoch_callback="print")


def test_networks_take_no_callback(tmp_path: Path) -> None:
    mc.save(nn.Linear(2, 2), tmp_path / "x.crate")
    with pytest.raises(UsageError, match="epoch_callback"):
        mc.load(tmp_path / "x.crate", epoch_callback=print)


# -- writing down


def read_back(obj: object) -> Any:
    return values_of(view_of(obj))


class Holder:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)

    def method(self) -> None: ...


def test_values_come_through_as_they_are() -> None:
    given = {"a": [1, 2.5, None, "x", b"y", (True,)], "b": {3: "c"}, "s": {1, 2}}
    assert read_back(given) == given
    array = np.arange(6.0).reshape(2, 3)
    assert read_back([array])[0].tolist() == array.tolist()


def test_what_is_no_data_becomes_a_mark() -> None:
    class Local:
        pass

    with open(os.devnull) as file:
        held = Holder(
            function=lambda: 1,
            kind=Local,
            instance=Local(),
            file=file,
            lock=threading.Lock(),
            steps=(step for step in ()),
            module=os,
            method=Holder().method,
            logger=logging.getLogger("x"),
            imported=copy.deepcopy,
            dtype=torch.float32,
        )
        found = read_back(held)
    assert isinstance(found, Record)
    made = {name: value.class_name for name, value in found.state.items() if isinstance(value, Record)}
    marked = {"function", "kind", "instance", "file", "lock", "steps", "module", "method", "dtype"}
    assert {name for name, kind in made.items() if kind == INERT} == marked
    assert found.state["imported"] == Name("copy.deepcopy")


def test_tensors_keep_dtype_shape_stride_and_what_they_share() -> None:
    base = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    given = {
        "base": base,
        "view": base[1:, ::2],
        "turned": base.t(),
        "half": torch.ones(2, dtype=torch.bfloat16),
        "bits": torch.tensor([True, False]),
        "empty": torch.empty(0, 3),
        "one": torch.tensor(7),
        "conjugate": torch.tensor([1 + 2j]).conj(),
        "parameter": nn.Parameter(torch.ones(2), requires_grad=False),
        "learns": torch.ones(2, requires_grad=True),
        "made": torch.ones(2, requires_grad=True) * 2,
    }
    found = read_back(given)
    for name, tensor in given.items():
        assert found[name].dtype == tensor.dtype, name
        assert found[name].stride() == tensor.stride(), name
        assert found[name].requires_grad == tensor.requires_grad, name
        assert torch.equal(found[name], tensor), name
    assert type(found["parameter"]) is nn.Parameter
    assert found["base"].untyped_storage().data_ptr() == found["view"].untyped_storage().data_ptr()


@pytest.mark.parametrize(
    "tensor",
    [torch.empty(2, device="meta"), torch.eye(2).to_sparse(), nn.UninitializedParameter()],
    ids=["meta", "sparse", "uninitialised"],
)
def test_tensors_that_no_file_holds_plainly_become_marks(tensor: torch.Tensor) -> None:
    assert read_back([tensor])[0].class_name == INERT


def test_objects_that_resist_being_written_down_do_not_stop_the_rest() -> None:
    class Resists(SimpleNamespace):
        def __reduce_ex__(self, protocol: Any) -> Any:
            raise SystemError("no")

    assert read_back([Resists(), 5])[1] == 5


def test_what_nests_without_end_is_a_limit() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(LimitError, match="deep"):
        view_of(deep)


def test_frames_and_types_with_reducers_of_their_own_come_through() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    assert view_of([frame]).items()[0].frame().columns[0][1].tolist() == [1, 2]
    assert complex in copyreg.dispatch_table
    assert read_back([1j]) == [1j]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_tensors_on_a_gpu_are_copied_and_stay_where_they_are() -> None:
    layer = nn.Linear(3, 2).cuda()
    before = {name: (id(it), it.data_ptr()) for name, it in layer.named_parameters()}
    found = read_back({"weight": layer.weight, "view": layer.weight[:, 1]})
    assert torch.equal(found["weight"], layer.weight.cpu())
    assert found["weight"].untyped_storage().data_ptr() == found["view"].untyped_storage().data_ptr()
    assert {name: (id(it), it.data_ptr()) for name, it in layer.named_parameters()} == before
    assert all(it.is_cuda for it in layer.parameters())


def test_a_binary_encoder_that_saw_no_column_of_objects_gives_0_and_1() -> None:
    """Whole numbers and truth values pass through the original's encoder as they are, and come out as one digit."""
    package = "category_encoders"
    ordinal = made_up(f"{package}.ordinal", "OrdinalEncoder")()
    ordinal.__setstate__({"mapping": []})
    base = made_up(f"{package}.basen", "BaseNEncoder")()
    base.__setstate__({"base": 2, "drop_invariant": False, "ordinal_encoder": ordinal})
    outer = made_up(f"{package}.binary", "BinaryEncoder")()
    outer.__setstate__({"base_n_encoder": base})
    transform = made_up("gretel_synthetics.actgan.transformers", "BinaryEncodingTransformer")()
    transform.__setstate__({"encoder": outer, "dummies": [0]})
    encoding = read_matrix_encoding(Fields(rdt.binary(view_of(transform)), "encoding"))
    how = Reversal(draws=CounterDraws(0, 0))
    assert encoding.decode(np.array([[0.2], [0.9]], dtype=np.float32), how).tolist() == [0, 1]
    transform.__setstate__({"dummies": [0, 1]})
    with pytest.raises(FormatError, match="mappings"):
        rdt.binary(view_of(transform))


def test_what_an_object_of_the_caller_raises_is_told_as_ours() -> None:
    class Unwilling:
        @property
        def __class__(self) -> type:
            raise ZeroDivisionError("not today")

    with pytest.raises(UnsupportedError, match="not today"):
        view_of(Unwilling())
