"""The numbers of FORMAT.md are the constants of the code; each clause has a vector or a test that shows it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from modelcrate.format import budget, digest, extensions, manifest, names, tensors
from modelcrate.format.version import CURRENT
from modelcrate.limits import DEFAULT
from modelcrate.storage import ziplayout as zl

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "spec" / "vectors"
TEXT = " ".join((ROOT / "spec" / "FORMAT.md").read_text(encoding="utf-8").split())
MIB = 1 << 20


def zipped(number: int, digits: int) -> str:
    return f"0x{number:0{digits}X}"


@pytest.mark.parametrize(
    "saying",
    [
        f"The modelcrate format, version {CURRENT}",
        f"A **member name** is 1 to {names.MEMBER_NAME_BYTES} bytes of ASCII that match `{names.MEMBER_PATTERN}`",
        f"`{names.MANIFEST_NAME}` names the manifest and nothing else",
        f"A **component name**, a **role** and a **feature** match `{names.COMPONENT_PATTERN}`",
        f"A **type tag** is at most {names.TAG_LENGTH} characters and matches `{names.TAG_PATTERN}`",
        f"A **package name** (in tables of versions) matches `{names.PACKAGE_PATTERN}`",
        f"A key has at most {DEFAULT.manifest_key} characters, a text at most {DEFAULT.manifest_text:,} (LIMIT)",
        f"sorted list of at most {manifest.FEATURES} distinct features",
        f"list of at most {manifest.OMISSIONS:,} `{{",
        f"at most {manifest.DISPLAY_LENGTH:,} characters, none of",
        f"at most {manifest.VERSIONS} entries",
        f"Sizes are 0 to 2^{manifest.SIZE_BOUND.bit_length() - 1}, and so is their sum",
        f"lies at a multiple of {zl.ALIGNMENT} from the start of the file",
        f"one padding record: id {zipped(zl.PADDING_ID, 4)}",
        f"date is {zipped(zl.DOS_DATE, 4)}",
        f'"Version needed" is {zl.VERSION_PLAIN}; it is {zl.VERSION_ZIP64} if',
        f'"Version made by" is {zipped(zl.UNIX, 4)} plus version needed',
        f"external attributes {zipped(zl.ATTRIBUTES, 8)}",
        f"method {zl.STORED}, compressed size equal to size",
        f"a size or an offset of {zipped(zl.ZIP64_FROM, 8).replace('0XF', '0xF')} or more",
        f"A local ZIP64 record (id {zipped(zl.ZIP64_ID, 4)})",
        f"version made by {zipped(zl.UNIX | zl.VERSION_ZIP64, 4)}, version needed {zl.VERSION_ZIP64}",
        f"and {digest.HEX_DIGITS} lower-case hex digits",
        f"of texts, at most {tensors.METADATA_BYTES >> 10} KiB together",
        f"a writer pads them to a multiple of {tensors.ALIGNMENT}",
        f"a list of at most {DEFAULT.tensor_rank} integers from 0 to 2^{DEFAULT.tensor_dimension.bit_length() - 1}",
        f"fewest bytes, 9 to {extensions.INTEGER_BYTES:,} of them",
        f"u8 rank from 1 to {extensions.RANK}, a u64 per dimension "
        f"(each at most 2^{extensions.DIMENSION.bit_length() - 1})",
        f"ASCII, at most {extensions.DECIMAL_BYTES:,} bytes",
        f"Nesting of lists and maps is at most {DEFAULT.state_depth}",
        f"| manifest | {DEFAULT.manifest_bytes // MIB} MiB, nesting {DEFAULT.manifest_depth}, "
        f"{DEFAULT.manifest_items:,} values |",
        f"| members | {DEFAULT.members}, the manifest included |",
        f"| safetensors header | {DEFAULT.header_bytes // MIB} MiB, {DEFAULT.tensors:,} tensors |",
        f"| state document | {DEFAULT.state_bytes // MIB} MiB, nesting {DEFAULT.state_depth}, "
        f"{DEFAULT.state_items:,} items (a value or key counts 1, a map {budget.MAP_ITEMS} more, "
        f"a list or ext {budget.CONTAINER_ITEMS} more) |",
        f"| text in one state document | {DEFAULT.state_text_bytes // MIB} MiB,",
    ],
)
def test_a_number_of_the_text_is_the_code_s(saying):
    assert saying in TEXT


def sizes(clause: str) -> dict[str, int]:
    """The dtype names of a clause, each with the item size behind its group."""
    (text,) = re.findall(rf" {re.escape(clause)} (?:\*[^*]*\*|Bytes per item:)(.*?\d)[.,] ", TEXT)
    found = {}
    for group, size in re.findall(r"((?:`[\w\[\]]+`(?:, | and )?)+) (\d+)", text):
        found |= dict.fromkeys(re.findall(r"`([\w\[\]]+)`", group), int(size))
    return found


def test_the_dtypes_and_their_sizes_are_the_code_s():
    assert sizes("6.5") == {name: int(size) for name, size in tensors.DTYPE_SIZES.items()}
    written = sizes("7.5")
    units = written.pop("datetime64[U]"), written.pop("timedelta64[U]")
    assert units == (8, 8)
    (listed,) = re.findall(r"where U is one of `([^`]+)`", TEXT)
    written |= {f"{kind}64[{unit}]": 8 for kind in ("datetime", "timedelta") for unit in listed.split()}
    assert written == extensions.DTYPE_SIZES


PAGE = (VECTORS / "README.md").read_text(encoding="utf-8")
SHOWN = dict(re.findall(r"^\| ((?:READING )?[\d.]+) \| (.+) \|$", PAGE, re.MULTILINE))


@pytest.mark.parametrize("clause", SHOWN)
def test_what_is_said_to_show_a_clause_is_there(clause):
    shown = re.findall(r"`([^`]+)`", SHOWN[clause])
    assert shown
    for each in shown:
        path, _, name = each.partition("::")
        if name:
            assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), each
        else:
            assert (VECTORS / path).exists() or (ROOT / path).exists(), each


def test_every_clause_and_every_promise_is_shown():
    index = json.loads((VECTORS / "index.json").read_text(encoding="ascii"))
    broken = {row["clause"] for row in index if "clause" in row}
    text = (ROOT / "spec" / "FORMAT.md").read_text(encoding="utf-8")
    clauses = re.findall(r"^(\d+(?:\.\d+)+) ", text, re.MULTILINE)
    promises = re.findall(r"^(\d)\. \*\*", (ROOT / "spec" / "READING.md").read_text(encoding="utf-8"), re.MULTILINE)
    parts = {clause.rpartition(".")[0] for clause in broken}
    missing = [clause for clause in clauses if clause not in broken | parts | SHOWN.keys()]
    missing += [number for number in promises if f"READING {number}" not in SHOWN]
    assert missing == []
    assert len(clauses) > 60
    assert len(promises) == 8
