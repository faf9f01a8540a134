"""DGAN files: every golden output of the corpus, what is carried and what is not, and what is refused, not guessed."""

from __future__ import annotations

import contextlib
import datetime
import io
import lzma
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import modelcrate
import parity
from modelcrate.errors import FormatError, MismatchError, ModelcrateError, UnsupportedError
from modelcrate.legacy import convert as convert_module
from modelcrate.legacy.convert import convert
from modelcrate.legacy.families import gretel_dgan
from modelcrate.legacy.graph import Call, Dict, Global
from modelcrate.legacy.reader import read_for_conversion
from modelcrate.legacy.view import View

pytestmark = pytest.mark.usefixtures("one_thread")
ROOT = Path(__file__).resolve().parents[3]
CORPUS = ROOT / "tests" / "corpus"
CASES = parity.cases(CORPUS, "dgan")


def source(name: str) -> Path:
    return CASES[name][0] / "model.pt.xz"


def root(name: str) -> View:
    return read_for_conversion(source(name), name="model").root


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_cell_and_every_array_is_the_original_s(name, tmp_path):
    folder, case = CASES[name]
    scores = parity.score_dgan(folder, case, tmp_path)
    expected = {path.stem for path in (folder / "golden").glob("*.csv")}
    with (
        np.load(folder / "golden" / "arrays.npz")
        if (folder / "golden" / "arrays.npz").exists()
        else (contextlib.nullcontext(type("none", (), {"files": ()}))) as arrays
    ):
        expected |= {each for each in arrays.files if not each.startswith("noise")}
    assert set(scores) == expected
    for golden, score in scores.items():
        assert score.problems == [], golden
        assert score.cells > 0
        assert score.equal == score.cells or score.worst <= 1e-5, (golden, score.worst_at)


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_crate_is_a_tenth_of_its_file_and_leaves_the_discriminators_out(name, tmp_path):
    found = convert(source(name), tmp_path / "x.crate")
    whole = len(lzma.decompress(source(name).read_bytes()))
    assert (tmp_path / "x.crate").stat().st_size < whole / 10
    assert "the discriminator of whole examples" in {one.what for one in found.omitted}
    assert not any("discriminator" in component for component in found.manifest.components)
    assert modelcrate.verify(tmp_path / "x.crate", schemas=True).ok


def test_the_only_values_of_training_are_bounds_categories_and_the_times_of_one_example(tmp_path):
    convert(source("dgan_long"), tmp_path / "x.crate")
    derived = modelcrate.load(tmp_path / "x.crate").derived()
    assert {kind for _, kind, _ in derived} == {"bound", "category", "mode", "time of the first example"}
    assert {name: count for name, kind, count in derived if kind.startswith("time")} == {"when": 6}


def test_bounds_that_nothing_uses_are_not_carried(tmp_path):
    convert(source("unscaled"), tmp_path / "x.crate")
    assert modelcrate.load(tmp_path / "x.crate").derived() == []


def test_missing_categories_come_back_under_their_own_name_not_the_encoder_s(tmp_path):
    convert(source("dgan_0_20_0"), tmp_path / "x.crate")
    with modelcrate.open(tmp_path / "x.crate") as crate:
        features = {item["name"]: item["encoding"] for item in crate["series"].state["features"]}
    assert not any("gretel-" in str(value) for value in features["user"]["categories"])
    assert any(pd.isna(value) for value in features["user"]["categories"])


def pairs_of(view: View) -> list:
    """The pairs of a mapping, or of an instance's attributes, to be changed in place."""
    node = view.node
    if isinstance(node, Dict):
        return node.pairs
    assert isinstance(node, Call)
    if node.assigned:
        return node.assigned
    assert isinstance(node.states[0], Dict)
    return node.states[0].pairs


def put(view: View, name: str, value: object) -> None:
    pairs = pairs_of(view)
    if name in [key for key, _ in pairs]:
        pairs[:] = [(key, value if key == name else held) for key, held in pairs]
    else:
        pairs.append((name, value))


def attributes(view: View) -> View:
    return view.attributes(view.class_name or "")


CHANGES = {
    "an attribute that nobody knows": (lambda top: put(top, "surprise", 1), UnsupportedError, "surprise"),
    "a setting that nobody knows": (lambda top: put(top["config"], "surprise", 1), UnsupportedError, "surprise"),
    "a converter that nobody knows": (
        lambda top: put(top["data_frame_converter"], "name", "DiagonalConverter"), UnsupportedError, "Diagonal"),
    "steps that are no multiple": (
        lambda top: put(top["config"], "max_sequence_len", 7), FormatError, "multiple"),
    "other steps": (lambda top: put(top["config"], "sample_len", 1), MismatchError, "unexpected"),
    "other units": (lambda top: put(top["config"], "feature_num_units", 25), MismatchError, "shape"),
    "another normalisation": (
        lambda top: put(top["feature_outputs"].items()[0], "normalization", 3), FormatError, "Normalization"),
    "an output that was not fitted": (
        lambda top: put(top["feature_outputs"].items()[0], "is_fit", False), UnsupportedError, "fitted"),
    "bounds the wrong way round": (
        lambda top: put(top["feature_outputs"].items()[0], "global_max", -1e9), FormatError, "minimum"),
    "a bound that is not finite": (
        lambda top: put(top["feature_outputs"].items()[0], "global_max", float("inf")), FormatError, "finite"),
    "an encoder that is a class": (
        lambda top: put(top["feature_outputs"].items()[1], "_encoder", Global("os.path", "join", offset=0, opcode="")),
        FormatError, "_encoder"),
    "fewer columns than outputs": (
        lambda top: put(top["data_frame_converter"], "feature_columns", ["level"]), FormatError, "columns"),
    "columns in an order of others": (
        lambda top: put(top["data_frame_converter"], "df_column_order", ["level", "x"]), FormatError, "order"),
    "a column's name that is a list": (
        lambda top: put(top["data_frame_converter"], "example_id_column", [1]), UnsupportedError, "name"),
    "no times": (lambda top: put(top["data_frame_converter"], "time_column_values", []), FormatError, "times"),
    "a flag beyond the features": (
        lambda top: put(top["data_frame_converter"], "generation_flag_index", 9), FormatError, "columns|flag"),
    "a batch of nothing": (lambda top: put(top["config"], "batch_size", 0), FormatError, "batch_size"),
    "layers without end": (lambda top: put(top["config"], "feature_num_layers", 10**9), FormatError, "feature_layers"),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_what_is_not_understood_is_refused_with_its_path(what):
    change, error, words = CHANGES[what]
    top = root("dgan_long")
    change(top)
    with pytest.raises(error, match=words) as caught:
        checked(top)
    assert caught.value.where


def checked(top: View) -> None:
    """Translate a file whose graph was changed, and hold the parts against each other as a conversion does."""
    convert_module._check_series(gretel_dgan.translate_saved(root_again(top)))


def root_again(view: View) -> View:
    """The same node without what a view remembers."""
    return View(view.node, view.path, view.context)


def test_a_tensor_that_the_configuration_does_not_know_is_named():
    top = root("dgan_wide")
    states = pairs_of(top["generate_state_dict"])
    states.append(("feature_gen.extra", states[0][1]))
    with pytest.raises(MismatchError, match=r"feature_gen\.extra"):
        checked(top)


def test_times_beyond_one_example_are_left_behind():
    top = root("dgan_long")
    held = dict(pairs_of(top["data_frame_converter"]))["time_column_values"]
    put(top["data_frame_converter"], "time_column_values", [*held, *held])
    found = gretel_dgan.translate_saved(root_again(top))
    assert len(found.components[1].state["layout"]["time"]["values"]) == 6


def test_a_number_without_a_category_is_none_where_most_cells_were():
    top = root("dgan_0_20_0")
    for output in top["feature_outputs"].items():
        if (output.class_name or "").endswith("BinaryEncodedOutput"):
            put(output, "_mode", None)
    features = gretel_dgan.translate_saved(root_again(top)).components[1].state["features"]
    fallbacks = [item["encoding"]["fallback"] for item in features if item["encoding"]["type"] == "binary"]
    assert fallbacks == [None]


def test_categories_that_are_dates_are_refused_where_they_stand(tmp_path):
    (tmp_path / "dtype.pkl").write_bytes(pickle.dumps(np.dtype("datetime64[ns]")))
    top = root("dgan_long")
    encoder = attributes(top["feature_outputs"].items()[1])["_encoder"]
    ordinal = attributes(attributes(encoder)["ordinal_encoder"])
    put(ordinal["mapping"].items()[0], "data_type", read_for_conversion(tmp_path / "dtype.pkl").root.node)
    with pytest.raises(UnsupportedError, match=r"categories of dtype datetime64\[ns\]") as caught:
        gretel_dgan.translate_saved(root_again(top))
    assert caught.value.where == "model['feature_outputs'][1]._encoder"


def in_zone(tmp_path: Path, zone: datetime.tzinfo) -> View:
    """The long model, its times in a zone."""
    moments = list(pd.date_range("2021-05-01", periods=6, freq="6h", tz=zone))
    (tmp_path / "times.pkl").write_bytes(pickle.dumps(moments))
    top = root("dgan_long")
    put(top["data_frame_converter"], "time_column_values", read_for_conversion(tmp_path / "times.pkl").root.node)
    return root_again(top)


def test_times_in_utc_stay_in_it(tmp_path):
    layout = gretel_dgan.translate_saved(in_zone(tmp_path, datetime.timezone.utc)).components[1].state["layout"]
    first = datetime.datetime(2021, 5, 1, tzinfo=datetime.timezone.utc)
    assert layout["time"]["values"] == [first + datetime.timedelta(hours=6 * step) for step in range(6)]


def test_times_in_another_zone_are_refused_by_its_name(tmp_path):
    zone = datetime.timezone(datetime.timedelta(hours=2))
    with pytest.raises(UnsupportedError, match=r"the zone UTC\+02:00") as caught:
        gretel_dgan.translate_saved(in_zone(tmp_path, zone))
    assert caught.value.where.endswith("['time_column_values'][0]")


def test_a_dict_that_only_looks_similar_stays_a_checkpoint(tmp_path):
    torch.save({"config": {}, "generate_state_dict": {"a": torch.ones(2)}}, tmp_path / "x.pt")
    found = convert(tmp_path / "x.pt", tmp_path / "x.crate")
    assert found.manifest.model.type == "torch.values/1"


def test_truncated_and_flipped_files_fail_as_errors_of_this_library(tmp_path):
    data = lzma.decompress(source("plain").read_bytes())
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        name = next(each for each in archive.namelist() if each.endswith("data.pkl"))
        info = archive.getinfo(name)
        start = data.index(archive.read(name)[:64])
    rng = np.random.default_rng(0)
    for at in rng.integers(start, start + info.file_size, 25):
        broken = bytearray(data)
        broken[at] ^= int(rng.integers(1, 256))
        (tmp_path / "x.pt").write_bytes(broken)
        with contextlib.suppress(ModelcrateError):
            convert(tmp_path / "x.pt", tmp_path / "x.crate", overwrite=True)
