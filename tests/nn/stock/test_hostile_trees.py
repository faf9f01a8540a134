"""A tree from a stranger builds a model of known layers within bounds, or is refused; nothing else happens."""

from __future__ import annotations

import copy
import json
import random
import resource
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import modelcrate as mc
from effort import within
from modelcrate.crate_writer import write_crate
from modelcrate.errors import FormatError, LimitError, ModelcrateError, UnsupportedError
from modelcrate.format.tensors import TensorData
from modelcrate.nn.stock import LAYERS, build, describe
from modelcrate.nn.stock.kinds import Flag, Names, Nothing, Real, Several, Whole, Word, WordOr
from modelcrate.storage.component import ComponentData

LINEAR = {"in_features": 2, "out_features": 3, "bias": True}
CONV = describe(nn.Conv2d(2, 4, 3))["modules"][0]["config"]
LSTM = describe(nn.LSTM(2, 3))["modules"][0]["config"]
EMBEDDING = describe(nn.Embedding(2, 3))["modules"][0]["config"]
BATCH = describe(nn.BatchNorm1d(2))["modules"][0]["config"]


def one(layer: str, config: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"modules": [{"path": "", "layer": layer, "config": config, **more}]}


def places(*listed: dict[str, Any]) -> dict[str, Any]:
    return {"modules": [{"path": "", "layer": "sequential"}, *listed]}


# F1, F2, F9: names


@pytest.mark.parametrize(
    "layer",
    ["torch.nn.Linear", "Linear", "os.system", "builtins.eval", "__class__", "_modules", "linear ", "LINEAR", "",
     "nn/1", "torch.nn/1", "os.system/1", "torch.hub.load", "lambda x: x"],
)  # fmt: skip
def test_f01_f02_f09_only_tags_of_the_table_name_a_layer(layer: str) -> None:
    with pytest.raises((UnsupportedError, FormatError)):
        build(one(layer, LINEAR))


@pytest.mark.parametrize("activation", ["os.system", "sigmoid_", "__import__", "lambda x: x", ".*", None, 1, "child"])
def test_f09_an_activation_is_one_of_the_known_names(activation: Any) -> None:
    tree = describe(nn.TransformerEncoderLayer(2, 1, 2))
    tree["modules"][0]["config"]["activation"] = activation
    with pytest.raises(FormatError, match="activation"):
        build(tree)


@pytest.mark.parametrize("reduction", ["elementwise_mean", "Mean", "", "os.system", 0])
def test_f09_a_reduction_is_one_of_the_known_names(reduction: Any) -> None:
    with pytest.raises(FormatError, match="reduction"):
        build(one("mse_loss", {"reduction": reduction}))


# F4: fields


@pytest.mark.parametrize(
    "config",
    [
        {**LINEAR, "device": "cuda:0"},
        {**LINEAR, "dtype": "float64"},
        {**LINEAR, "generator": None},
        {**LINEAR, "forward": "os.system"},
        {**LINEAR, "**kwargs": {}},
        {**LINEAR, "_weight": [1.0]},
        {"in_features": 2, "out_features": 3},
        {},
        [],
        None,
        {**LINEAR, "bias": 1},
        {**LINEAR, "in_features": 2.0},
        {**LINEAR, "in_features": True},
        {**LINEAR, "in_features": "2"},
        {**LINEAR, "in_features": [2]},
        {**LINEAR, "in_features": None},
    ],
    ids=str,
)
def test_f04_a_config_has_exactly_its_fields_and_types(config: Any) -> None:
    with pytest.raises(FormatError):
        build(one("linear", config))


@pytest.mark.parametrize(
    "more",
    [
        {"device": "cuda:0"},
        {"dtype": "object"},
        {"dtype": "int8x"},
        {"dtype": ["float32"]},
        {"training": True},
        {"children": {}},
        {"same_as": ""},
        {"tensors": {"weight": {}}},
        {"tensors": [{"name": "weight", "kind": "property", "dtype": "float32", "shape": [1]}]},
        {"tensors": [{"name": "weight", "kind": "buffer", "dtype": None, "shape": [1]}]},
        {"tensors": [{"name": "weight", "kind": "buffer", "dtype": "float32", "shape": [1], "device": "cuda"}]},
        {"tensors": [{"name": "weight", "kind": "buffer", "dtype": "float32", "shape": [1] * 9}]},
        {"tensors": [{"name": "weight", "kind": "buffer", "dtype": "float32", "shape": [-1]}]},
        {"tensors": [{"name": "forward", "kind": "buffer", "dtype": "float32", "shape": [1]}]},
        {"tensors": [{"name": "__class__", "kind": "buffer", "dtype": "float32", "shape": [1]}]},
        {"tensors": [{"name": "_parameters", "kind": "buffer", "dtype": "float32", "shape": [1]}]},
        {"tensors": [{"name": "in_features", "kind": "parameter", "dtype": "float32", "shape": [1]}]},
        {"tensors": [{"name": "a.b", "kind": "parameter", "dtype": "float32", "shape": [1]}]},
        {"tensors": [{"name": "", "kind": "parameter", "dtype": "float32", "shape": [1]}]},
        {"tensors": [{"name": "a", "kind": "buffer", "dtype": "bool", "shape": []}] * 2},
        {"parametrizations": [{"name": "weight", "kind": "os.system"}]},
        {"parametrizations": [{"name": "weight", "kind": "weight_norm", "dim": 99}]},
        {"parametrizations": [{"name": "weight", "kind": "weight_norm", "dim": 5}]},
        {"parametrizations": [{"name": "weight", "kind": "weight_norm", "dim": 0, "unsafe": True}]},
        {"parametrizations": [{"name": "nothing", "kind": "weight_norm", "dim": 0}]},
        {"parametrizations": [{"name": "weight", "kind": ["weight_norm"]}]},
        {
            "parametrizations": [
                {"name": "weight", "kind": "spectral_norm", "dim": 0, "n_power_iterations": 0, "eps": 1.0}
            ]
        },
    ],
    ids=lambda more: json.dumps(more)[:60],
)
def test_f04_a_place_has_exactly_its_fields(more: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        build(one("linear", LINEAR, **more))


# F5, F6: sizes


@pytest.mark.parametrize(
    ("layer", "config"),
    [
        ("linear", {**LINEAR, "in_features": 2**31}),
        ("linear", {**LINEAR, "in_features": 2**31 - 1, "out_features": 2**31 - 1}),
        ("linear", {**LINEAR, "in_features": 10**400}),
        ("linear", {**LINEAR, "in_features": -1}),
        ("conv2d", {**CONV, "kernel_size": [2**30, 2**30]}),
        ("conv2d", {**CONV, "kernel_size": 2**31 - 1}),
        ("conv2d", {**CONV, "kernel_size": [1] * 100_000}),
        ("lstm", {**LSTM, "num_layers": 10**6}),
        ("lstm", {**LSTM, "num_layers": 4096, "hidden_size": 2**20}),
        ("embedding", {**EMBEDDING, "num_embeddings": 2**31 - 1, "embedding_dim": 2**20}),
        ("layer_norm", {"normalized_shape": [2**30] * 8, "eps": 1e-5, "elementwise_affine": True, "bias": True}),
        ("parameter_list", {"length": 10**9}),
        ("parameter_dict", {"keys": ["a"] * 5000}),
        ("bilinear", {"in1_features": 2**20, "in2_features": 2**20, "out_features": 2**20, "bias": False}),
    ],
    ids=lambda value: json.dumps(value)[:50],
)
def test_f05_sizes_are_counted_in_integers_before_anything_is_built(layer: str, config: dict[str, Any]) -> None:
    def refused() -> None:
        with pytest.raises((FormatError, LimitError)):
            build(one(layer, config))

    within(2.0, refused)


def test_f05_many_honest_layers_together_are_too_much() -> None:
    big = {"in_features": 2**20, "out_features": 2**19, "bias": False}
    with pytest.raises(LimitError, match="elements"):
        build(places(*({"path": str(n), "layer": "linear", "config": big} for n in range(3))))
    huge = [{"name": "a", "kind": "buffer", "dtype": "uint8", "shape": [2**31, 2**31]}]
    with pytest.raises(LimitError, match="elements"):
        build(one("identity", {}, tensors=huge))


def test_f05_a_hundred_thousand_layers_are_refused() -> None:
    with pytest.raises((FormatError, LimitError)):
        build(places(*({"path": str(n), "layer": "relu", "config": {"inplace": False}} for n in range(100_000))))


def test_f06_terabytes_on_the_meta_device_cost_nothing() -> None:
    config = {"in_features": 2**20, "out_features": 2**19, "bias": False}  # two terabytes of float32
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    module = build(one("linear", config))
    assert module.weight.is_meta
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10


def test_f07_a_small_file_with_a_large_config_is_refused_before_anything_is_allocated(tmp_path: Path) -> None:
    config = one("linear", {"in_features": 2**20, "out_features": 2**19, "bias": False})
    component = ComponentData(
        name="module",
        role="module",
        type="torch.nn/1",
        config=config,
        tensors={"weight": TensorData("F32", (2, 2), bytes(16))},
    )
    write_crate(tmp_path / "x", components=[component], model=("nn.module/1", {"training": True, "dtype": None}))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelcrateError, match=r"weight has shape \[2, 2\]"):
        mc.load(tmp_path / "x")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10


# F8: depth and sharing


def chain(depth: int) -> dict[str, Any]:
    return places(*({"path": ".".join(["0"] * n), "layer": "sequential"} for n in range(1, depth)))


def test_f08_depth_is_capped() -> None:
    with pytest.raises((FormatError, LimitError)):
        build(chain(2000))
    with pytest.raises(LimitError, match="deeper"):
        build(chain(80))
    deep = build(chain(60))
    assert len(repr(deep)) > 0
    deep.eval().to("meta")


def test_f08_a_live_model_beyond_the_cap_is_refused_without_recursion() -> None:
    module = nn.Sequential()
    for _ in range(5000):
        module = nn.Sequential(module)
    with pytest.raises(LimitError, match="deeper"):
        describe(module)
    circular = nn.Sequential(nn.ReLU())
    circular._modules["1"] = circular
    with pytest.raises(UnsupportedError, match="contains itself"):
        describe(circular)


def test_f08_references_that_double_at_every_level_are_counted() -> None:
    listed: list[dict[str, Any]] = [{"path": "0", "layer": "sequential"}]
    for level in range(1, 60):
        listed.append({"path": f"{level}", "layer": "sequential"})
        listed += [{"path": f"{level}.{side}", "same_as": f"{level - 1}"} for side in "ab"]
    with pytest.raises(LimitError, match="visited"):
        build(places(*listed))
    assert len(list(build(places(*listed[:30])).modules())) == 12


@pytest.mark.parametrize(
    "listed",
    [
        [{"path": "0", "same_as": ""}],
        [{"path": "0", "same_as": "0"}],
        [{"path": "0", "same_as": "1"}, {"path": "1", "layer": "identity"}],
        [{"path": "0", "layer": "sequential"}, {"path": "0.0", "same_as": "0"}],
        [{"path": "0", "layer": "identity"}, {"path": "1", "same_as": "0"}, {"path": "2", "same_as": "1"}],
        [{"path": "0", "layer": "none"}, {"path": "1", "same_as": "0"}],
        [{"path": "0", "layer": "none"}, {"path": "0.0", "layer": "identity"}],
        [{"path": "0", "layer": "identity"}, {"path": "0", "layer": "identity"}],
        [{"path": "0.0", "layer": "identity"}],
        [
            {"path": "0", "layer": "sequential"},
            {"path": "1", "layer": "identity"},
            {"path": "0.0", "layer": "identity"},
        ],
        [{"path": "", "layer": "sequential"}],
        [{"path": ".", "layer": "identity"}],
        [{"path": "0.", "layer": "identity"}],
        [{"path": "forward", "layer": "identity"}],
        [{"path": "__class__", "layer": "identity"}],
        [{"path": "_modules", "layer": "identity"}],
        [{"path": "training", "layer": "identity"}],
        [{"path": "a" * 300, "layer": "identity"}],
        [{"path": 0, "layer": "identity"}],
        [{"layer": "identity"}],
        [{"path": "0"}],
        [[]],
    ],
    ids=lambda listed: json.dumps(listed)[:60],
)
def test_f08_places_that_make_no_tree_are_refused(listed: list[Any]) -> None:
    with pytest.raises(FormatError):
        build(places(*listed))


@pytest.mark.parametrize("tree", [None, [], {}, {"modules": []}, {"modules": {}}, {"modules": [], "x": 1}, "linear", 3])
def test_what_is_no_tree_is_refused(tree: Any) -> None:
    with pytest.raises(FormatError):
        build(tree)


@pytest.mark.parametrize("tag", sorted(tag for tag, layer in LAYERS.items() if layer.needs))
def test_a_composite_without_its_parts_is_refused(tag: str) -> None:
    composites = {
        "multihead_attention": lambda: nn.MultiheadAttention(2, 1),
        "transformer_encoder_layer": lambda: nn.TransformerEncoderLayer(2, 1, 2),
        "transformer_decoder_layer": lambda: nn.TransformerDecoderLayer(2, 1, 2),
        "transformer_encoder": lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(2, 1, 2), 1, mask_check=False),
        "transformer_decoder": lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(2, 1, 2), 1),
        "transformer": lambda: nn.Transformer(2, 1, 1, 1, 2, batch_first=True),
        "adaptive_log_softmax_with_loss": lambda: nn.AdaptiveLogSoftmaxWithLoss(4, 8, [4]),
        "triplet_margin_with_distance_loss": nn.TripletMarginWithDistanceLoss,
        "linear_cross_entropy_loss": lambda: nn.LinearCrossEntropyLoss(2, 3),
    }
    tree = describe(composites[tag]())
    for name in LAYERS[tag].needs:
        cut = {
            "modules": [it for it in tree["modules"] if it["path"] != name and not it["path"].startswith(f"{name}.")]
        }
        with pytest.raises(FormatError, match=name):
            build(cut)


# F10: ranges


@pytest.mark.parametrize(
    ("layer", "field", "value"),
    [
        ("dropout", "p", -1.0), ("dropout", "p", 2.0), ("dropout", "p", "nan"), ("dropout", "p", "inf"),
        ("leaky_relu", "negative_slope", "inf"), ("elu", "alpha", "nan"), ("prelu", "num_parameters", 0),
        ("batch_norm1d", "eps", 0.0), ("batch_norm1d", "eps", -1.0), ("batch_norm1d", "num_features", 0),
        ("batch_norm1d", "momentum", "nan"), ("layer_norm", "eps", -1e-9), ("layer_norm", "normalized_shape", []),
        ("group_norm", "num_groups", 3), ("group_norm", "num_groups", 0), ("embedding", "num_embeddings", 0),
        ("embedding", "padding_idx", 99), ("embedding", "padding_idx", -1), ("embedding", "max_norm", -1.0),
        ("conv2d", "kernel_size", 0), ("conv2d", "stride", 0), ("conv2d", "padding", -1), ("conv2d", "groups", 3),
        ("conv2d", "padding", "reflect"), ("conv2d", "padding_mode", "same"), ("conv2d", "dilation", 0),
        ("conv2d", "kernel_size", [3, 3, 3]), ("max_pool2d", "kernel_size", 0), ("max_pool2d", "stride", 0),
        ("multihead_attention", "num_heads", 0), ("multihead_attention", "num_heads", 3),
        ("multihead_attention", "dropout", 1.5), ("lstm", "hidden_size", 0), ("lstm", "proj_size", 3),
        ("lstm", "num_layers", 0), ("lstm", "dropout", "nan"), ("cross_entropy_loss", "label_smoothing", 1.5),
        ("huber_loss", "delta", 0.0), ("multi_margin_loss", "p", 3), ("pixel_shuffle", "upscale_factor", 0),
        ("softmax", "dim", 10**6), ("flatten", "start_dim", 2.5), ("upsample", "scale_factor", 0.0),
        ("upsample", "mode", "cubic"), ("fractional_max_pool2d", "output_ratio", 2.0),
        ("unflatten", "unflattened_size", []),
        ("adaptive_log_softmax_with_loss", "cutoffs", [9, 4]), ("adaptive_log_softmax_with_loss", "div_value", 0.0),
        ("adaptive_log_softmax_with_loss", "div_value", 1e300), ("rrelu", "lower", 10**30),
    ],
)  # fmt: skip
def test_f10_every_value_is_held_against_its_range(layer: str, field: str, value: Any) -> None:
    samples: dict[str, nn.Module] = {
        "dropout": nn.Dropout(), "leaky_relu": nn.LeakyReLU(), "elu": nn.ELU(), "prelu": nn.PReLU(),
        "batch_norm1d": nn.BatchNorm1d(4), "layer_norm": nn.LayerNorm(4), "group_norm": nn.GroupNorm(2, 4),
        "embedding": nn.Embedding(5, 2), "conv2d": nn.Conv2d(4, 4, 3), "max_pool2d": nn.MaxPool2d(2),
        "multihead_attention": nn.MultiheadAttention(4, 2), "lstm": nn.LSTM(2, 3),
        "cross_entropy_loss": nn.CrossEntropyLoss(), "huber_loss": nn.HuberLoss(), "softmax": nn.Softmax(0),
        "multi_margin_loss": nn.MultiMarginLoss(), "pixel_shuffle": nn.PixelShuffle(2), "flatten": nn.Flatten(),
        "upsample": nn.Upsample(scale_factor=2), "fractional_max_pool2d": nn.FractionalMaxPool2d(2, output_ratio=0.5),
        "unflatten": nn.Unflatten(1, (2, 2)), "rrelu": nn.RReLU(),
        "adaptive_log_softmax_with_loss": nn.AdaptiveLogSoftmaxWithLoss(8, 20, [5, 10]),
    }  # fmt: skip
    tree = describe(samples[layer])
    build(tree)
    tree["modules"][0]["config"][field] = value
    with pytest.raises(FormatError):
        build(tree)


# F11: what kinds there are


def test_f11_no_field_of_any_layer_is_a_path_a_url_or_free_text() -> None:
    closed = (Flag, Whole, Real, Word, Several, WordOr, Nothing)
    for tag, layer in LAYERS.items():
        for name, field in layer.fields.items():
            allowed = (*closed, Names) if (tag, name) == ("parameter_dict", "keys") else closed
            assert isinstance(field.kind, allowed), (tag, name)
            assert not any(word in name for word in ("file", "path", "url", "device", "dtype", "generator")), (
                tag,
                name,
            )


# F12, F13, F21: nothing happens besides


def test_f12_f13_building_changes_no_global_state() -> None:
    tree = describe(
        nn.Sequential(
            nn.Linear(2, 2),
            nn.utils.parametrizations.spectral_norm(nn.Conv2d(2, 2, 2)),
            nn.LSTM(2, 2, 2, dropout=0.1),
            nn.Embedding(3, 2),
            nn.MultiheadAttention(2, 1, add_bias_kv=True),
            nn.Transformer(2, 1, 1, 1, 2, batch_first=True),
        )
    )
    torch.manual_seed(5)
    before = (
        torch.get_rng_state(),
        random.getstate(),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.get_default_device(),
        torch.are_deterministic_algorithms_enabled(),
    )
    build(tree)
    torch.set_default_dtype(torch.float64)
    try:
        assert build(tree)[0].weight.dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)
    after = (
        torch.get_rng_state(),
        random.getstate(),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.get_default_device(),
        torch.are_deterministic_algorithms_enabled(),
    )
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_f21_loading_writes_nothing_compiles_nothing_and_starts_nothing(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.LSTM(2, 2), nn.TransformerEncoderLayer(2, 1, 2))
    mc.save(torch.compile(model), tmp_path / "net.crate")
    code = """
        import os, sys, torch, modelcrate
        seen = []
        def watch(event, args):
            if event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
                seen.append((event, str(args[0])))
            elif event.split(".")[0] in ("subprocess", "socket", "urllib") or event in (
                "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.mkdir", "os.rename", "os.remove"
            ):
                seen.append((event, str(args)[:80]))
        sys.dont_write_bytecode = True
        modelcrate.load
        sys.addaudithook(watch)
        model = modelcrate.load(sys.argv[1])
        assert not seen, seen
        assert "torch._inductor" not in sys.modules
        assert "torch._dynamo" not in sys.modules
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "net.crate")],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


# Everything else: a changed tree is a model or an error of the library


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_changed_trees_end_in_a_model_or_an_error_of_the_library() -> None:
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3),
        nn.BatchNorm2d(4),
        nn.LSTM(2, 3),
        nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)),
        nn.ParameterList([torch.ones(2)]),
        nn.TransformerEncoderLayer(2, 1, 2),
        nn.AdaptiveLogSoftmaxWithLoss(4, 8, [4]),
        nn.Upsample(scale_factor=2),
    )
    model[0].register_buffer("more", torch.ones(2))
    tree = json.loads(json.dumps(describe(model)))
    values = [
        None,
        True,
        0,
        -1,
        2**31,
        2**64,
        1.5,
        "inf",
        "x",
        "",
        "linear",
        [],
        [1],
        [[]],
        {},
        {"path": "0"},
        "0",
        "0.0",
    ]
    dice = random.Random(11)
    ended = {"model": 0, "error": 0}
    for _ in range(1500):
        changed = copy.deepcopy(tree)
        for _ in range(dice.randint(1, 3)):
            _mutate(changed, dice, values)
        try:
            build(changed)
            ended["model"] += 1
        except ModelcrateError:
            ended["error"] += 1
    assert ended["error"] > 500


def _mutate(value: Any, dice: random.Random, values: list[Any]) -> None:
    """Change one place somewhere inside."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = dice.choice(keys)
        if isinstance(value[key], (dict, list)) and value[key] and dice.random() < 0.85:
            value = value[key]
            continue
        action = dice.random()
        if action < 0.15:
            del value[key]
        elif action < 0.3 and isinstance(value, list):
            value.insert(key, copy.deepcopy(value[key]))
        else:
            value[key] = copy.deepcopy(dice.choice(values))
        return
