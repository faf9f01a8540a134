"""The manifest: one byte form, sealed, and strict about every field."""

from __future__ import annotations

import copy
import dataclasses
import json
import sys
from pathlib import Path

import pytest

from modelcrate.errors import FormatError, IntegrityError, LimitError, ModelcrateError, UnsupportedError
from modelcrate.format import manifest as manifests
from modelcrate.format import schema
from modelcrate.format.digest import digest_of
from modelcrate.format.manifest import Component, Manifest, Member, Model, Omission, Provenance, Source
from modelcrate.limits import DEFAULT

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "spec" / "vectors"))

from making.build import Raw, sealed  # (bytes by hand, with the right seal)
from making.manifests import base


def plain(**changes: object) -> Manifest:
    fields: dict[str, object] = {
        "members": {
            "state/table.msgpack": Member(size=1, digest=digest_of(b"\x80")),
            "weights/net.safetensors": Member(size=3, digest=digest_of(b"abc")),
        },
        "components": {
            "net": Component(role="generator", type="ctgan.generator/1", weights="weights/net.safetensors"),
            "table": Component(role="table", type="tabular.table/1", config={"rows": 3}, state="state/table.msgpack"),
        },
        "model": Model(type="tabular.synthesizer/1", config={"deep": [1, 2.5, None, {"a": "é"}]}),
        "hyperparameters": {"epochs": 3, "lr": 1e-7},
        "omitted": (Omission(what="callback", where="model.callback", why="code"),),
        "provenance": Provenance(
            producer={"modelcrate": "0.1.0"},
            source=Source(digest=digest_of(b""), size=0, format="pickle", versions={"numpy": "1.23"}),
            created_by="convert",
        ),
    }
    return Manifest(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_manifest_reads_back_as_it_was_written():
    assert Manifest.from_bytes(plain().to_bytes()) == plain()


def test_the_bytes_do_not_depend_on_the_order_of_insertion():
    first = plain()
    second = dataclasses.replace(
        first,
        members=dict(reversed(list(first.members.items()))),
        components=dict(reversed(list(first.components.items()))),
        hyperparameters=dict(reversed(list(first.hyperparameters.items()))),
    )
    assert first.to_bytes() == second.to_bytes()


def test_a_manifest_can_not_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        plain().model = None  # type: ignore[misc]


def test_I1_every_flipped_bit_is_refused():
    data = plain().to_bytes()
    for index in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[index] ^= 1 << bit
            with pytest.raises(ModelcrateError):
                Manifest.from_bytes(bytes(flipped))


def test_every_cut_is_refused():
    data = plain().to_bytes()
    for length in range(len(data)):
        with pytest.raises(ModelcrateError):
            Manifest.from_bytes(data[:length])


def test_a_broken_seal_is_a_matter_of_integrity():
    data = plain().to_bytes().replace(b'"epochs": 3', b'"epochs": 4')
    with pytest.raises(IntegrityError):
        Manifest.from_bytes(data)


def test_an_upper_field_named_like_the_seal_does_not_confuse_it():
    tricky = plain(hyperparameters={"seal": "blake3:" + "0" * 64, "x": '\n  "seal": "blake3:' + "0" * 64})
    assert Manifest.from_bytes(tricky.to_bytes()) == tricky


def test_sha256_serves_as_well():
    members = {name: Member(size=1, digest=digest_of(b"x", "sha256")) for name in plain().members}
    data = plain(members=members, algorithm="sha256").to_bytes()
    assert Manifest.from_bytes(data).algorithm == "sha256"
    assert manifests.identity(data).algorithm == "sha256"


def test_I6_identity_covers_names_sizes_digests_and_the_manifest_itself():
    def identity(**changes: object) -> str:
        return str(manifests.identity(plain(**changes).to_bytes()))

    renamed = {
        "state/tabla.msgpack" if name == "state/table.msgpack" else name: member
        for name, member in plain().members.items()
    }
    table = dataclasses.replace(plain().components["table"], state="state/tabla.msgpack")
    resized = {name: dataclasses.replace(member, size=member.size + 1) for name, member in plain().members.items()}
    swapped = dict(zip(plain().members, reversed(list(plain().members.values())), strict=True))
    seen = {
        identity(),
        identity(members=renamed, components={**plain().components, "table": table}),
        identity(members=resized),
        identity(members=swapped),
        identity(hyperparameters={}),
    }
    assert len(seen) == 5
    assert identity() in seen


def test_what_the_writer_can_not_say_is_refused_with_its_path():
    for changes, where in [
        ({"hyperparameters": {"a": (1, 2)}}, "manifest.hyperparameters.a"),
        ({"hyperparameters": {"a": float("inf")}}, "manifest.hyperparameters.a"),
        ({"model": Model(type="a.b/1", config={"x": {1, 2}})}, "manifest.model.config.x"),
        ({"model": Model(type="no tag")}, "manifest.model.type"),
        ({"requires": ("b", "a")}, "manifest.requires"),
        ({"provenance": Provenance(created_by="\x1b[2J")}, "manifest.provenance.created_by"),
    ]:
        with pytest.raises(FormatError) as caught:
            plain(**changes).to_bytes()
        assert caught.value.where == where


def test_C9_an_omission_escapes_what_it_was_told():
    omission = Omission(what="\x1b[31mred\n", where="a\u202eb", why="x" * 10_000)
    assert omission.what == "\\u001b[31mred\\u000a"
    assert omission.where == "a\\u202eb"
    assert len(omission.why) == manifests.DISPLAY_LENGTH
    assert Manifest.from_bytes(plain(omitted=(omission,)).to_bytes()).omitted == (omission,)


def test_B28_the_number_of_members_is_bounded():
    members = {f"weights/m{index}.safetensors": Member(size=0, digest=digest_of(b"")) for index in range(64)}
    components = {f"m{index}": Component(role="r", type="a.b/1", weights=name) for index, name in enumerate(members)}
    with pytest.raises(LimitError):
        plain(members=members, components=components).to_bytes()
    wider = dataclasses.replace(DEFAULT, members=65)
    data = plain(members=members, components=components).to_bytes(limits=wider)
    assert len(Manifest.from_bytes(data, limits=wider).members) == 64


def test_C16_a_newer_major_version_says_so_before_anything_else():
    with pytest.raises(UnsupportedError, match=r"format 2\.0.*reads format 1"):
        Manifest.from_bytes(b'{"format":"modelcrate","format_version":"2.0","nothing":["else"]}')


def test_C17_no_version_escapes_the_checks_by_claiming_to_be_older():
    for version in ("0.0", "0.1", "0.9999"):
        document = base()
        document["format_version"] = version
        with pytest.raises(UnsupportedError):
            Manifest.from_bytes(sealed(document))


def test_C24_urls_and_dates_are_inert_text():
    text = {
        "url": "http://x.invalid/",
        "date": "9999-99-99",
        "$ref": "http://x.invalid/",
        "$schema": "x",
        "zone": "../x",
    }
    assert Manifest.from_bytes(plain(hyperparameters=text).to_bytes()).hyperparameters == text


REPLACEMENTS = [
    None, True, False, 0, 1, -1, 2**53, 1.0, 0.5, "", "x", "a.b/1", "blake3:" + "0" * 64, "x\n", "\x07", [], [1], ["a"],
    {}, {"a": 1}, {"a": {}},
]  # fmt: skip
RELATIONS = ("components", "members", "weights", "state", "requires", "seal", "digest", "size")
"""Fields whose relations to others the reader checks and a schema can't."""


def leaves(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path] if path else []
    if isinstance(value, dict):
        for key, item in value.items():
            found += leaves(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += leaves(item, (*path, index))
    return found


def full_document() -> dict[str, object]:
    document = json.loads(plain().to_bytes())
    del document["seal"]
    return document


@pytest.mark.parametrize("path", leaves(full_document()), ids=lambda path: ".".join(map(str, path)))
def test_C27_replacing_any_value_by_any_other_gives_one_verdict_of_reader_and_schema(path):
    for replacement in REPLACEMENTS:
        document = copy.deepcopy(full_document())
        inner = document
        for step in path[:-1]:
            inner = inner[step]  # type: ignore[assignment,index]
        inner[path[-1]] = replacement  # type: ignore[index]
        data = sealed(document)
        reader = refusal(lambda data=data: Manifest.from_bytes(data))
        opinion = refusal(lambda data=data: schema.validate(json.loads(data), "manifest", "manifest"))
        if opinion is not None:
            assert reader is not None, (path, replacement, opinion)
        elif reader is not None:
            assert set(path) & set(RELATIONS), (path, replacement, reader)


def refusal(call: object) -> ModelcrateError | None:
    try:
        call()  # type: ignore[operator]
    except ModelcrateError as error:
        return error
    return None


def test_C3_an_integer_is_not_a_float():
    document = base()
    document["members"]["state/net.msgpack"]["size"] = Raw("1.0")
    with pytest.raises(FormatError, match="an integer"):
        Manifest.from_bytes(sealed(document))


def test_H16_messages_stay_short_whatever_the_names():
    document = base()
    document["\\" * 200 + "\x07" * 56] = 1
    with pytest.raises(FormatError) as caught:
        Manifest.from_bytes(sealed(document))
    assert len(str(caught.value)) <= 500
    assert str(caught.value).isprintable()
