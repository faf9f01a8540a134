"""The vectors: what the specification says, in bytes. Another implementation ports this runner first."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from modelcrate.errors import ModelcrateError
from modelcrate.format import manifest, schema, tensors, values

VECTORS = Path(__file__).resolve().parents[2] / "spec" / "vectors"
INDEX = json.loads((VECTORS / "index.json").read_text(encoding="ascii"))

CASES = """
C1 manifest/duplicate-*             C2 manifest/nan                     C2 manifest/*infinity
C2 manifest/overflowing-float       C2 manifest/negative-zero*          C3 manifest/integer-*
C3 manifest/size-float              C4 manifest/size-true               C5 manifest/depth-*
C5 manifest/objects-*               C6 manifest/long-*                  C7 manifest/byte-order-mark
C7 manifest/utf-16                  C7 manifest/*utf-8                  C7 manifest/*surrogate
C7 manifest/nul-in-text             C8 manifest/second-document         C8 manifest/leading-space
C8 manifest/many-spaces             C8 manifest/comment                 C8 manifest/trailing-*
C8 manifest/single-quotes           C9 manifest/display-*               C10 manifest/*-newline
C15 manifest/unknown-*              C16 manifest/version-*              C16 manifest/missing-format*
C18 manifest/requires-unknown       C18 manifest/newer-minor-*          C19 manifest/digest-*
C19 manifest/mixed-algorithms       C20 manifest/sizes-overflow         C26 manifest/compact
C26 manifest/unsorted-keys          C26 manifest/float-*                B19 manifest/member-*
F2 manifest/component-dunder        F1 manifest/tag-*                   I1 manifest/seal*
D1 state/ext-*                      D1 state/timestamp-*                D2 state/key-twice
D3 state/key-*                      D4 state/text-*                     D5 state/depth-33
D6 state/*depth-10000               D6 state/maps-10000-deep            D7 state/*-of-4-*
D9 state/nested-length-bombs        D10 state/trailing-byte             D10 state/second-document
D11 state/cut-short                 D12 state/reserved-c1               D13 state/nan-*
D14 state/*-for-*                   D14 state/keys-unsorted             D15 state/float32
D15 state/int*                      D16 state/dtype-*                   D17 state/array-*
D17 state/scalar-*                  D19 state/pickle-in-map             G1 state/datetime-zone-*
E1 tensors/length-*                 E1 tensors/*-bytes                  E3 tensors/name-twice*
E3 tensors/field-twice              E4 tensors/metadata-*twice          E5 tensors/leading-*
E5 tensors/*padding                 E6 tensors/metadata-*               E6 tensors/unknown-field
E7 tensors/dimension-*              E7 tensors/offsets-*                E8 tensors/hole
E8 tensors/overlap                  E8 tensors/offsets-*                E8 tensors/byte-too-many
E9 tensors/product-wraps            E10 tensors/zero-times-huge         E11 tensors/rank-*
E13 tensors/dtype-*                 E16 tensors/name-*                  E20 tensors/metadata-large
E21 tensors/cut-*                   E25 tensors/misaligned              E17 crate/weights-boolean
B1 crate/*-twice                    B3 crate/local-*name                B4 crate/local-*
B5 crate/flag-*                     B6 crate/byte-before                B6 crate/shifted
B7 crate/*-after                    B8 crate/archive-comment            B9 crate/comment-with-*
B10 crate/two-archives              B11 crate/hidden-entry              B11 crate/gap-*
B12 crate/overlap                   B13 crate/zip64-*                   B14 crate/count-*
B14 crate/directory-*               B14 crate/second-disk               B15 crate/deflated
B15 crate/method-99                 B16 crate/size-*                    B17 crate/crc-*
B18 crate/mode-*                    B19 crate/name-*                    B20 crate/member-code
B20 crate/member-extra              B21 crate/member-missing            B24 crate/members-unsorted
B24 crate/manifest-first            B25 crate/extra-timestamp           B25 crate/time
B25 crate/date                      B31 crate/folder-*                  B33 crate/folder-capital
E23 crate/digest-*                  I5 crate/swapped                    E21 crate/truncated-*
D22 crate/typed-joint-scale-zero    F1 crate/typed-joint-family         D17 crate/typed-joint-vector
C15 crate/typed-joint-unknown-field
"""
"""Which case of the list of hostile inputs a vector stands for: it becomes part of the test's id."""

PATTERNS = list(zip(CASES.split()[::2], CASES.split()[1::2], strict=True))


def stem(row: dict[str, str]) -> str:
    return row["file"].split("/", 1)[1].rsplit(".", 1)[0]


def vectors(*, valid: bool, kind: str | None = None) -> list:
    found = []
    for row in INDEX:
        if ("clause" in row) == valid or kind not in (None, row["kind"]):
            continue
        cases = sorted({case for case, pattern in PATTERNS if fnmatchcase(stem(row), pattern)})
        found.append(pytest.param(row, id="-".join([*cases, row["file"]])))
    return found


def read(row: dict[str, str]) -> object:
    """Read one vector as what it claims to be, everything checked, and describe what is in it."""
    path = VECTORS / row["file"]
    if row["kind"] == "crate":
        return describe_crate(path)
    data = path.read_bytes()
    if row["kind"] == "state":
        return described(values.decode_state(data, where="state"))
    if row["kind"] == "tensors":
        return describe_tensors(data)
    return describe_manifest(data)


def describe_manifest(data: bytes) -> object:
    found = manifest.Manifest.from_bytes(data)
    return {
        "version": str(found.format_version),
        "algorithm": found.algorithm,
        "components": sorted(found.components),
        "members": {name: member.size for name, member in found.members.items()},
        "hyperparameters": found.hyperparameters,
        "identity": str(manifest.identity(data)),
    }


def describe_tensors(data: bytes) -> object:
    header = tensors.parse_header(data, where="tensors")
    found = {}
    for name, entry in header.entries.items():
        items = data[header.data_start + entry.start : header.data_start + entry.end]
        tensors.check_booleans(entry, items, where="tensors")
        found[name] = {"dtype": entry.dtype, "shape": list(entry.shape), "data": items.hex()}
    return {"tensors": found, "metadata": header.metadata}


def describe_crate(path: Path) -> object:
    from modelcrate import crate as crates

    with crates.open(path, verify=True) as crate:
        problems = crate.check_crcs()
        crate.check()
        if problems:
            raise problems[0]
        for component in crate.values():
            if component.has_weights:
                for name in component.data:
                    component.data[name]
            if component.has_state:
                assert type(component.state) is dict
                schema.validate_state(component.state, component.type, "state")
        parts = {}
        for component in crate.values():
            declared = crate.manifest.components[component.name]
            for name, there in ((declared.weights, "weights"), (declared.state, "state_bytes")):
                if name is not None:
                    data = bytes(getattr(component, there))
                    parts[name] = {"size": len(data), "bytes": data.hex()}
        return {"identity": str(crate.identity), "members": parts}


def described(value: object) -> object:
    """The projection on JSON with the content of bytes and arrays."""
    if type(value) is dict:
        return {f"${key}" if key.startswith("$") else key: described(item) for key, item in value.items()}
    if type(value) is list:
        return [described(item) for item in value]
    if type(value) is bytes:
        return {"$bytes": value.hex()}
    leaf = schema.project(value)
    if type(leaf) is dict and "$array" in leaf:
        little = value.astype(value.dtype.newbyteorder("<"))  # type: ignore[attr-defined]
        return {"$array": {**leaf["$array"], "data": little.tobytes().hex()}}
    return leaf


def same(one: object, other: object) -> bool:
    """Equal in type and value, the sign of zero included; NaN does not occur."""
    if type(one) is not type(other):
        return False
    if type(one) is dict:
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if type(one) is list:
        return len(one) == len(other) and all(map(same, one, other))
    return one == other and (type(one) is not float or math.copysign(1, one) == math.copysign(1, other))


@pytest.mark.parametrize("row", vectors(valid=True))
def test_a_valid_vector_decodes_to_what_is_expected(row):
    expected = json.loads((VECTORS / row["expected"]).read_text(encoding="ascii"))
    assert same(read(row), expected)


@pytest.mark.parametrize("row", vectors(valid=False))
def test_an_invalid_vector_is_refused_with_its_code(row):
    with pytest.raises(ModelcrateError) as caught:
        read(row)
    assert caught.value.code == row["code"]
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("row", vectors(valid=True, kind="state"))
def test_a_decoded_state_encodes_to_the_same_bytes(row):
    data = (VECTORS / row["file"]).read_bytes()
    assert values.encode(values.decode(data, where="state")) == data


@pytest.mark.parametrize("row", vectors(valid=True, kind="manifest"))
def test_a_manifest_read_is_written_again_to_the_same_bytes(row):
    if row["file"].endswith("newer-minor.json"):
        return  # a newer version's fields are read past, so they can't be written
    data = (VECTORS / row["file"]).read_bytes()
    assert manifest.Manifest.from_bytes(data).to_bytes() == data


@pytest.mark.parametrize("row", vectors(valid=True, kind="manifest"))
def test_the_schema_accepts_the_valid_manifests_of_its_version(row):
    document = json.loads((VECTORS / row["file"]).read_bytes())
    if document["format_version"] != "1.0":
        with pytest.raises(ModelcrateError):
            schema.validate(document, "manifest", "manifest")
    else:
        schema.validate(document, "manifest", "manifest")


SEEN_BY_SCHEMA = [each for each in vectors(valid=False, kind="manifest") if each.values[0].get("schema")]


@pytest.mark.parametrize("row", SEEN_BY_SCHEMA)
def test_schema_and_reader_refuse_the_same_fields(row):
    document = json.loads((VECTORS / row["file"]).read_bytes())
    with pytest.raises(ModelcrateError):
        schema.validate(document, "manifest", "manifest")


def test_every_case_is_a_vector():
    unused = [pattern for _, pattern in PATTERNS if not any(fnmatchcase(stem(row), pattern) for row in INDEX)]
    assert unused == []


def test_every_clause_that_a_vector_breaks_is_in_the_specification():
    text = (VECTORS.parent / "FORMAT.md").read_text(encoding="utf-8")
    lines = [line.replace("**", "").split(" ", 1)[0] for line in text.splitlines()]
    missing = {row["clause"] for row in INDEX if "clause" in row and row["clause"] not in lines}
    assert missing == set()


def test_the_specification_stays_short():
    assert len((VECTORS.parent / "FORMAT.md").read_text(encoding="utf-8").splitlines()) < 400


def test_there_are_many_more_ways_to_be_wrong():
    valid = sum("clause" not in row for row in INDEX)
    assert valid >= 12
    assert len(INDEX) - valid >= 60


def test_the_generator_makes_the_very_vectors(tmp_path):
    subprocess.run([sys.executable, str(VECTORS / "make.py"), str(tmp_path)], check=True, timeout=60)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    kept = {
        path.relative_to(VECTORS): path.read_bytes()
        for part in ("valid", "invalid")
        for path in (VECTORS / part).rglob("*")
        if path.is_file()
    }
    kept[Path("index.json")] = (VECTORS / "index.json").read_bytes()
    assert made.keys() == kept.keys()
    assert [name for name in made if made[name] != kept[name]] == []


def test_leaves_keep_their_python_types():
    data = (VECTORS / "valid/state/moments.msgpack").read_bytes()
    kinds = {type(item) for item in values.decode(data, where="state")["v"]}
    assert kinds == {datetime, date, time, timedelta}
    data = (VECTORS / "valid/state/decimals.msgpack").read_bytes()
    assert {type(item) for item in values.decode(data, where="state")["v"]} == {Decimal}
