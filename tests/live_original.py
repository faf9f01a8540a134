"""Live objects of the real libraries: the crate of the object is the crate of its file, and the object stays as it was.

    python tests/live_original.py --python PYTHON

PYTHON is an interpreter of an environment that has gretel-synthetics, ctgan or sdv, torch, blake3 and jsonschema; this
library is taken from ``src``. Every model that its libraries know is trained for an epoch or two, written by its own
``save``, converted, and saved live; the two crates are compared member by member. Exit status 1 if any differ.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import importlib.util
import os
import pickle
import random
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).resolve().parent.parent / "src"


def has(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def table(rows: int = 120) -> Any:
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(3)
    return pd.DataFrame({
        "age": rng.integers(18, 90, rows),
        "income": rng.gamma(2, 900, rows).round(2),
        "colour": rng.choice(np.array(["red", "green", "blue"], dtype=object), rows),
        "vip": rng.random(rows) > 0.7,
        "day": pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 900, rows), unit="D"),
    })  # fmt: skip


class Callback:
    """A callback that holds what no pickle can: an open file and a lock. It may save the model that calls it."""

    def __init__(self) -> None:
        import threading

        self.lock = threading.Lock()
        self.file = open(os.devnull)  # noqa: SIM115
        self.calls: list[Any] = []
        self.then: Callable[[], None] | None = None

    def __call__(self, told: Any) -> None:
        self.calls.append(told)
        if self.then is not None:
            self.then()


# -- models: (name, live object, how its own library writes it, what to check beside)


def models(work: Path) -> Iterator[tuple[str, Any, Callable[[Path], None], dict[str, Any]]]:
    small = {"epochs": 2, "batch_size": 40, "generator_dim": (16,), "discriminator_dim": (16,), "embedding_dim": 8}
    if has("gretel_synthetics"):
        yield from gretel(work, small)
    if has("ctgan"):
        yield from ctgan(small)
    if has("sdv"):
        yield from (sdv1(small) if has("sdv.single_table") else sdv17(small))


def gretel(work: Path, small: dict[str, Any]) -> Iterator[tuple[str, Any, Callable[[Path], None], dict[str, Any]]]:
    from gretel_synthetics.actgan import ACTGAN

    import modelcrate

    for name, more in (
        ("actgan", {}),
        ("actgan anyway", {"conditional_vector_type": _anyway(), "conditional_select_mean_columns": 2.0}),
        ("actgan binary", {"binary_encoder_cutoff": 2}),
    ):
        callback = Callback()
        model = ACTGAN(**small, pac=2, epoch_callback=callback, cuda=False, **more)

        def save_now(model: Any = model, callback: Callback = callback, name: str = name) -> None:
            modelcrate.save(model, work / f"{name}-{len(callback.calls)}.crate")

        callback.then = save_now
        model.fit(table().drop(columns="vip") if "binary" in name else table())
        callback.then = None
        assert len(callback.calls) == 2
        crates = [work / f"{name}-{epoch}.crate" for epoch in (1, 2)]
        frames = [modelcrate.load(crate).sample(20, seed=1) for crate in crates]
        assert all(len(frame) == 20 for frame in frames)
        assert not frames[0].equals(frames[1]), "each is of its own moment"
        last = modelcrate.load(crates[1], epoch_callback=callback)
        assert last.epoch_callback is callback
        yield name, model, lambda path, model=model: model.save(str(path)), {"callback": callback, "last": crates[1]}
    yield from dgan()


def _anyway() -> Any:
    from gretel_synthetics.actgan.structures import ConditionalVectorType

    return ConditionalVectorType.ANYWAY


def dgan() -> Iterator[tuple[str, Any, Callable[[Path], None], dict[str, Any]]]:
    import numpy as np
    import pandas as pd
    from gretel_synthetics.timeseries_dgan.config import DfStyle, DGANConfig, Normalization
    from gretel_synthetics.timeseries_dgan.dgan import DGAN

    rng = np.random.default_rng(5)
    size = {"attribute_num_units": 12, "feature_num_units": 12, "epochs": 1, "batch_size": 30, "cuda": False}
    wide = pd.DataFrame(np.cumsum(rng.normal(0, 1, (60, 6)), axis=1), columns=[f"t{i}" for i in range(6)])
    wide.insert(0, "kind", rng.choice(np.array(["x", "y"], dtype=object), 60))
    long = wide.melt(id_vars="kind", ignore_index=False).reset_index().sort_values(["index", "variable"])
    long = long.assign(state=rng.choice(np.array(["on", "off"], dtype=object), len(long)))
    long = long[rng.random(len(long)) > 0.1]
    model = DGAN(DGANConfig(max_sequence_len=6, sample_len=2, **size))
    model.train_dataframe(wide, attribute_columns=["kind"], df_style=DfStyle.WIDE)
    yield "dgan wide", model, lambda path, model=model: model.save(str(path)), {}
    model = DGAN(DGANConfig(max_sequence_len=6, sample_len=3, normalization=Normalization.MINUSONE_ONE, **size))
    model.train_dataframe(long, attribute_columns=["kind"], example_id_column="index", time_column="variable",
                          df_style=DfStyle.LONG)  # fmt: skip
    yield "dgan long", model, lambda path, model=model: model.save(str(path)), {}
    model = DGAN(DGANConfig(max_sequence_len=6, sample_len=3, apply_example_scaling=False, **size))
    seen: list[Any] = []

    def progress(told: Any, model: Any = model) -> None:
        import modelcrate

        with tempfile.TemporaryDirectory() as folder:
            before = model.generator.training
            modelcrate.save(model, Path(folder) / "x.crate")
            assert model.generator.training is before is True
            seen.append(modelcrate.load(Path(folder) / "x.crate").sample_arrays(5, seed=1)[1])

    model.train_numpy(features=rng.normal(size=(60, 6, 2)), progress_callback=progress)
    assert len(seen) == 2, "saved after each batch"
    assert (seen[0] != seen[1]).any()
    yield "dgan arrays", model, lambda path, model=model: model.save(str(path)), {}


def ctgan(small: dict[str, Any]) -> Iterator[tuple[str, Any, Callable[[Path], None], dict[str, Any]]]:
    import ctgan as library

    frame = table().drop(columns="day")
    for name in ("CTGAN", "CTGANSynthesizer", "TVAE", "TVAESynthesizer"):
        kind = getattr(library, name, None)
        if kind is None or kind.__name__ != name:
            continue
        own = {"epochs": 2, "batch_size": 40, "embedding_dim": 8} if "TVAE" in name else {**small, "pac": 2}
        model = kind(**own, cuda=False)
        model.fit(frame, ["colour", "vip"])
        yield name, model, lambda path, model=model: model.save(str(path)), {}
        model = kind(**own, cuda=False)
        model.fit(frame, ["colour", "vip"])
        if hasattr(model, "set_random_state"):
            model.set_random_state(7)
            yield f"{name} with random states", model, lambda path, model=model: model.save(str(path)), {}


def sdv17(small: dict[str, Any]) -> Iterator[tuple[str, Any, Callable[[Path], None], dict[str, Any]]]:
    from sdv import tabular

    for name in ("CTGAN", "TVAE", "CopulaGAN", "GaussianCopula"):
        own = {
            "GaussianCopula": {},
            "TVAE": {"epochs": 2, "batch_size": 40, "embedding_dim": 8},
            "CTGAN": {**small, "pac": 2},
        }
        model = getattr(tabular, name)(**own.get(name, small))
        model.fit(table())
        yield f"sdv.tabular.{name}", model, lambda path, model=model: model.save(str(path)), {}


def sdv1(small: dict[str, Any]) -> Iterator[tuple[str, Any, Callable[[Path], None], dict[str, Any]]]:
    from importlib.metadata import version

    from sdv import single_table
    from sdv.metadata import Metadata

    frame = table()
    kinds = {"age": "numerical", "income": "numerical", "colour": "categorical", "vip": "boolean", "day": "datetime"}
    columns = {name: {"sdtype": kind} for name, kind in kinds.items()}
    metadata = Metadata.load_from_dict({"tables": {"table": {"columns": columns}}, "relationships": []})
    for name in ("CTGANSynthesizer", "TVAESynthesizer", "CopulaGANSynthesizer", "GaussianCopulaSynthesizer"):
        own = {"GaussianCopulaSynthesizer": {}, "TVAESynthesizer": {"epochs": 2, "batch_size": 40, "embedding_dim": 8}}
        chosen = own.get(name, {**small, "pac": 2})
        model = getattr(single_table, name)(metadata, **chosen)
        model.fit(frame if version("sdv").startswith("1.") else {"table": frame})
        yield f"sdv.single_table.{name}", model, lambda path, model=model: model.save(str(path)), {}


# -- checks


def fingerprint(model: Any) -> dict[str, Any]:
    """What a save could disturb: networks, where they are and how, random states, the callback."""
    import numpy as np
    import torch

    found: dict[str, Any] = {
        "python": hashlib.sha256(pickle.dumps(random.getstate())).hexdigest(),
        "numpy": hashlib.sha256(pickle.dumps(np.random.get_state())).hexdigest(),
        "torch": hashlib.sha256(torch.get_rng_state().numpy().tobytes()).hexdigest(),
    }
    pending: list[tuple[str, Any]] = [("model", model)]
    seen: set[int] = set()
    while pending:
        path, item = pending.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, torch.nn.Module):
            for name, tensor in [*item.named_parameters(), *item.named_buffers()]:
                bits = hashlib.sha256(tensor.detach().cpu().numpy().tobytes()).hexdigest()
                found[f"{path}.{name}"] = (id(tensor), tensor.data_ptr(), str(tensor.device), bits)
            found[f"{path}.training"] = [part.training for part in item.modules()]
        elif isinstance(item, np.random.RandomState):
            found[f"{path} state"] = hashlib.sha256(pickle.dumps(item.get_state())).hexdigest()
        elif isinstance(item, torch.Generator):
            found[f"{path} state"] = hashlib.sha256(item.get_state().numpy().tobytes()).hexdigest()
        elif isinstance(item, (list, tuple)):
            pending += [(f"{path}[{index}]", value) for index, value in enumerate(item)]
        elif isinstance(item, dict):
            found[path] = [(str(key), id(value)) for key, value in item.items()]
            pending += [(f"{path}[{key}]", value) for key, value in item.items()]
        elif hasattr(item, "__dict__") and type(item).__module__.split(".")[0] in (
            "gretel_synthetics", "ctgan", "sdv", "rdt", "copulas",
        ):  # fmt: skip
            pending.append((path, item.__dict__))
    return found


def check(name: str, model: Any, write: Callable[[Path], None], more: dict[str, Any], work: Path) -> str:
    import modelcrate
    from modelcrate import models as module

    live, file, converted = work / f"{name} live.crate", work / f"{name}.pkl", work / f"{name} file.crate"
    before = fingerprint(model)
    modelcrate.save(model, live)
    assert fingerprint(model) == before, "the object was changed by a save"

    def full(*args: Any, **options: Any) -> Any:
        list(options["components"])
        raise OSError(28, "No space left on device")

    real, module.write_crate = module.write_crate, full
    try:
        modelcrate.save(model, work / "full.crate")
        raise AssertionError("a full disk was not noticed")
    except OSError:
        pass
    finally:
        module.write_crate = real
    assert fingerprint(model) == before, "the object was changed by a save that failed"
    callback = more.get("callback")
    if callback is not None:
        assert model._model._epoch_callback is callback
        assert model._model_kwargs["epoch_callback"] is callback
    write(file)
    modelcrate.convert(file, converted)
    with modelcrate.open(live) as one, modelcrate.open(converted) as other:
        differing = sorted(
            member
            for member in {*one.manifest.members, *other.manifest.members}
            if one.manifest.members.get(member) != other.manifest.members.get(member)
        )
        assert not differing, f"members that differ: {differing}"
        assert one.manifest.components == other.manifest.components
        assert one.manifest.model == other.manifest.model
        assert one.manifest.hyperparameters == other.manifest.hyperparameters, "hyperparameters"
        left = [{each.what for each in crate.manifest.omitted} for crate in (one, other)]
        held = {"the epoch callback"} if callback is not None else set()  # its own save takes it out for a while
        assert left[0] == left[1] | held, f"left out of one alone: {left[0] ^ left[1]}"
        members = len(one.manifest.members)
    sampled = modelcrate.load(live)
    rows = sampled.sample(10, seed=1) if getattr(sampled, "columns", ()) else sampled.sample_arrays(10, seed=1)[1]
    return f"{members} members equal, {len(rows)} rows sampled"


def inside() -> int:
    import numpy
    import pandas
    import torch

    import modelcrate

    torch.manual_seed(0)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(f"Python {sys.version.split()[0]}, numpy {numpy.__version__}, pandas {pandas.__version__}, "
          f"torch {torch.__version__}, modelcrate {modelcrate.__version__}")  # fmt: skip
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, model, write, more in models(Path(folder)):
            try:
                said = check(name, model, write, more, Path(folder))
            except Exception as error:
                failures += 1
                said = f"FAILED: {type(error).__name__}: {str(error)[:300]}"
                if os.environ.get("MODELCRATE_DEBUG"):
                    traceback.print_exc()
            print(f"{name:44}{said}", flush=True)
    return 1 if failures else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", help="the interpreter that has the libraries; without it, this one")
    options = parser.parse_args()
    if options.python is None:
        return inside()
    environment = copy.copy(dict(os.environ)) | {"PYTHONPATH": str(SOURCE), "PYTHONHASHSEED": "0"}
    return subprocess.run([options.python, __file__], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
