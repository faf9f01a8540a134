"""Vectors of kind ``manifest``: section 3 and what it refers to in 2, 5 and 8."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from making.build import Raw, Vector, digest, rendered, sealed

Document = dict[str, Any]
Edit = Callable[[Document], object]

WEIGHTS = "weights/net.safetensors"
STATE = "state/net.msgpack"


def base(algorithm: str = "blake3") -> Document:
    """A plain manifest of one component with both members."""
    return {
        "format": "modelcrate",
        "format_version": "1.0",
        "requires": [],
        "model": None,
        "components": {
            "net": {"role": "network", "type": "nn.module/1", "config": {}, "weights": WEIGHTS, "state": STATE}
        },
        "members": {
            WEIGHTS: {"size": 3, "digest": digest(b"abc", algorithm)},
            STATE: {"size": 1, "digest": digest(b"\x80", algorithm)},
        },
        "hyperparameters": {},
        "omitted": [],
        "provenance": {"producer": {}, "source": None, "created_by": None},
    }


def edited(edit: Edit, algorithm: str = "blake3") -> bytes:
    document = base(algorithm)
    edit(document)
    return sealed(document, algorithm)


def put(*path: str, value: Any) -> Edit:
    """Set one field, by path."""

    def edit(document: Document) -> None:
        for step in path[:-1]:
            document = document[step]
        document[path[-1]] = value

    return edit


def drop(*path: str) -> Edit:
    def edit(document: Document) -> None:
        for step in path[:-1]:
            document = document[step]
        del document[path[-1]]

    return edit


def rename(path: tuple[str, ...], old: str, new: str) -> Edit:
    """Rename one key, and every mention of it as a member."""

    def edit(document: Document) -> None:
        inner = document
        for step in path:
            inner = inner[step]
        inner[new] = inner.pop(old)
        for component in document["components"].values():
            for kind in ("weights", "state"):
                if path == ("members",) and component[kind] == old:
                    component[kind] = new

    return edit


def add_network(document: Document, index: int) -> None:
    """One component more, with weights of its own."""
    name = f"weights/m{index}.safetensors"
    document["members"][name] = document["members"][WEIGHTS]
    document["components"][f"m{index}"] = {**document["components"]["net"], "weights": name, "state": None}


def vectors() -> Iterator[Vector]:
    yield from valid()
    for name, data, clause, code, what in [*text_cases(), *version_cases()]:
        yield Vector("manifest", name, data, what, clause, code)
    for name, edit, clause, code, what in field_cases():
        yield Vector("manifest", name, edited(edit), what, clause, code, schema=True)
    for name, edit, clause, code, what in relation_cases():
        yield Vector("manifest", name, edited(edit), what, clause, code)


def valid() -> Iterator[Vector]:
    full = base("sha256")
    full["model"] = {"type": "tabular.synthesizer/1", "config": {"table": "table", "columns": ["a", "b"]}}
    full["hyperparameters"] = {"epochs": 300, "learning_rate": 0.0002, "cuda": True, "name": None}
    full["omitted"] = [{"what": "callback", "where": "model.callback", "why": "code is never kept"}]
    full["provenance"] = {
        "producer": {"modelcrate": "0.1.0", "Some.Package-x_1": "2"},
        "created_by": "convert",
        "source": {"digest": digest(b"", "sha256"), "size": 0, "format": "a pickle", "versions": {"numpy": "1.23.5"}},
    }
    numbers = base()
    numbers["hyperparameters"] = {
        "integers": [0, -1, 9007199254740992, -9007199254740992],
        "floats": [
            0.0,
            1.0,
            -2.5,
            0.1,
            0.0001,
            1e-05,
            1e-07,
            1e15,
            1e16,
            2.5e16,
            1e22,
            123456789012345680.0,
            5e-324,
            1.7976931348623157e308,
        ],
        "texts": ["", '"\\/', "\b\t\n\f\r", "\x01\x1f\x7f", "é€😀", "\u202e"],
        "nested": {"": {"a": [], "b": {}, "c": [[]]}},
    }
    newer = base()
    newer.update(format_version="1.7", later={"x": 1}, zebra=None)
    newer["components"]["net"]["later"] = 1
    newer["members"][STATE]["later"] = "x"
    newer["provenance"]["later"] = []
    names = base()
    long_member = "a" * 120 + "/" + "b" * 122 + ".safetensors"
    rename(("members",), WEIGHTS, long_member)(names)
    rename(("components",), "net", "n" + "_9" * 31 + "x")(names)
    names["components"]["n" + "_9" * 31 + "x"]["type"] = "a.b_c.0/9999"
    names["requires"] = []
    empty = base()
    empty.update(components={}, members={})
    deep: Any = []
    for _ in range(29):
        deep = [deep]
    depth = base()
    depth["hyperparameters"] = {"deep": deep}  # 1 + 1 + 30 levels
    most = base()
    for index in range(61):
        add_network(most, index)
    most["components"]["net"]["type"] = "a." + "b" * 121 + "/9999"
    most["hyperparameters"] = {"k" * 256: "t" * 65_536}
    most["omitted"] = [{"what": "w", "where": "", "why": ""}] * 1023 + [{"what": "x" * 4096, "where": "", "why": ""}]
    most["provenance"]["producer"] = {f"p{index}": "1" for index in range(255)} | {"P" + "x" * 63: ""}
    for name, document, algorithm, what in [
        ("empty", empty, "blake3", "no component and no member"),
        ("full", full, "sha256", "every field filled, sha256"),
        ("numbers-and-text", numbers, "blake3", "the canonical forms of numbers and texts"),
        ("newer-minor", newer, "blake3", "a newer minor version with fields that this one doesn't know"),
        ("long-names", names, "blake3", "names as long as they may be"),
        ("depth-32", depth, "blake3", "nested as deep as it may be"),
        ("most", most, "blake3", "as many members, omissions, packages and characters as there may be"),
    ]:
        data = sealed(document, algorithm)
        parsed = json.loads(data)
        expected = {
            "version": parsed["format_version"],
            "algorithm": algorithm,
            "components": sorted(parsed["components"]),
            "members": {key: member["size"] for key, member in parsed["members"].items()},
            "hyperparameters": parsed["hyperparameters"],
            "identity": identity(parsed, data, algorithm),
        }
        yield Vector("manifest", name, data, what, expected=expected)


def identity(document: Document, data: bytes, algorithm: str) -> str:
    """Clause 5.4, written out."""
    rows = [(name, member["size"], member["digest"]) for name, member in document["members"].items()]
    rows.append(("manifest.json", len(data), digest(data, algorithm)))
    stream = b"modelcrate identity 1\n"
    for row in sorted(rows):
        for part in row:
            raw = str(part).encode("ascii")
            stream += len(raw).to_bytes(4, "little") + raw
    return digest(stream, algorithm)


Case = tuple[str, bytes, str, str, str]


def text_cases() -> Iterator[Case]:
    """Faults of the JSON text itself."""
    good = sealed(base())

    def swap(old: str, new: str | bytes) -> bytes:
        raw = new.encode() if isinstance(new, str) else new
        assert old.encode() in good
        return good.replace(old.encode(), raw, 1)

    def hyper(raw: str) -> bytes:
        return edited(put("hyperparameters", value={"x": Raw(raw)}))

    yield "empty-file", b"", "3.1", "FORMAT", "no bytes at all"
    yield "null", b"null\n", "3.2", "FORMAT", "a JSON text that is no object"
    yield "array", b"[]\n", "3.2", "FORMAT", "a JSON text that is no object"
    yield "cut-short", good[:-40], "3.1", "FORMAT", "the end is missing"
    yield "second-document", good + good, "3.1", "FORMAT", "two JSON texts"
    yield "trailing-nul", good + b"\0", "3.1.1", "FORMAT", "a NUL after the end"
    yield "byte-order-mark", b"\xef\xbb\xbf" + good, "3.1.1", "FORMAT", "a byte order mark in front"
    yield "utf-16", good.decode().encode("utf-16"), "3.1.1", "FORMAT", "UTF-16"
    yield "raw-non-ascii", swap('"role": "network"', '"role": "netwörk"'), "3.1.1", "FORMAT", "UTF-8 beyond ASCII"
    yield "invalid-utf-8", swap('"role": "network"', b'"role": "net\xffork"'), "3.1.1", "FORMAT", "a byte of no text"
    yield "raw-surrogate", swap('"role": "network"', b'"role": "\xed\xa0\x80"'), "3.1.1", "FORMAT", "CESU-8"
    yield "raw-tab-in-text", swap('"role": "network"', '"role": "net\twork"'), "3.1.1", "FORMAT", "a raw tab"
    yield "raw-newline-in-text", swap('"network"', '"net\nwork"'), "3.1.1", "FORMAT", "a raw line feed inside of text"
    yield "carriage-returns", good.replace(b"\n", b"\r\n"), "3.1.1", "FORMAT", "lines that end in CR LF"
    yield (
        "duplicate-key",
        swap('  "model": null,', '  "model": null,\n  "model": null,'),
        "3.1.2",
        "FORMAT",
        "a key twice",
    )
    yield (
        "duplicate-key-escaped",
        swap('  "model": null,', '  "model": null,\n  "mode\\u006c": null,'),
        "3.1.2",
        "FORMAT",
        "a key twice, once with an escape",
    )
    yield (
        "duplicate-key-nested",
        swap('      "config": {},', '      "config": {},\n      "config": {},'),
        "3.1.2",
        "FORMAT",
        "a key twice in a component",
    )
    yield "nan", hyper("NaN"), "3.1.2", "FORMAT", "NaN"
    yield "infinity", hyper("Infinity"), "3.1.2", "FORMAT", "Infinity"
    yield "minus-infinity", hyper("-Infinity"), "3.1.2", "FORMAT", "-Infinity"
    yield "overflowing-float", hyper("1e999"), "3.1.2", "FORMAT", "a number that reads as infinity"
    yield "negative-zero", hyper("-0.0"), "3.1.2", "FORMAT", "negative zero, a float"
    yield "negative-zero-integer", hyper("-0"), "3.1.4", "FORMAT", "negative zero, an integer"
    yield "integer-beyond-2-53", hyper("9007199254740993"), "3.1.2", "FORMAT", "2**53 + 1"
    yield "integer-of-5000-digits", hyper("9" * 5000), "3.1.2", "FORMAT", "an integer of 5,000 digits"
    yield "nul-in-text", hyper('"a\\u0000b"'), "3.1.2", "FORMAT", "an escaped NUL"
    yield "half-surrogate", hyper('"\\ud800"'), "3.1.2", "FORMAT", "half of a surrogate pair"
    yield "long-key", edited(put("hyperparameters", value={"k" * 257: 1})), "3.1.2", "LIMIT", "a key of 257 characters"
    yield (
        "long-text",
        edited(put("hyperparameters", value={"k": "x" * 65537})),
        "3.1.2",
        "LIMIT",
        "a text of 65,537 characters",
    )
    yield "float-with-zeros", hyper("1.50"), "3.1.4", "FORMAT", "a float with a digit too many"
    yield "float-exponent-form", hyper("1e2"), "3.1.4", "FORMAT", "100.0 with an exponent"
    yield "float-positional-form", hyper("0.00001"), "3.1.4", "FORMAT", "1e-05 without its exponent"
    yield "float-upper-case", hyper("1E-07"), "3.1.4", "FORMAT", "a capital E"
    yield "float-short-exponent", hyper("1e-7"), "3.1.4", "FORMAT", "an exponent of one digit"
    yield "float-17-digits", hyper("0.10000000000000001"), "3.1.4", "FORMAT", "0.1 with more digits than it needs"
    yield "leading-zero", hyper("01"), "3.1", "FORMAT", "an integer with a leading zero"
    yield "leading-plus", hyper("+1"), "3.1", "FORMAT", "an integer with a plus sign"
    yield "leading-space", b" " + good, "3.1.5", "FORMAT", "a blank in front"
    yield "many-spaces", b" " * (1 << 10) + good, "3.1.5", "FORMAT", "many blanks in front"
    yield "no-final-newline", good[:-1], "3.1.3", "FORMAT", "no line feed at the end"
    yield "two-final-newlines", good + b"\n", "3.1.3", "FORMAT", "two line feeds at the end"
    compact = json.dumps(json.loads(good), sort_keys=True, separators=(",", ":")).encode() + b"\n"
    yield "compact", compact, "3.1.3", "FORMAT", "no indent"
    yield "tab-indent", good.replace(b'\n  "model"', b'\n\t"model"'), "3.1.1", "FORMAT", "a tab as indent"
    yield "three-spaces", good.replace(b'\n  "model"', b'\n   "model"'), "3.1.3", "FORMAT", "an indent of three"
    yield "space-before-colon", swap('"model":', '"model" :'), "3.1.3", "FORMAT", "a blank before a colon"
    yield "spread-empty-object", swap('"config": {}', '"config": {\n      }'), "3.1.3", "FORMAT", "{} on two lines"
    unsorted = swap(
        '  "format": "modelcrate",\n  "format_version": "1.0",', '  "format_version": "1.0",\n  "format": "modelcrate",'
    )
    yield "unsorted-keys", unsorted, "3.1.3", "FORMAT", "keys out of order"
    yield "escaped-slash", hyper('"a\\/b"'), "3.1.3", "FORMAT", "an escape that nothing needs"
    yield "escaped-letter", hyper('"\\u0061"'), "3.1.3", "FORMAT", "a letter written as an escape"
    yield "upper-case-escape", hyper('"\\u00E9"'), "3.1.3", "FORMAT", "an escape in capitals"
    yield "long-escape-of-newline", hyper('"\\u000a"'), "3.1.3", "FORMAT", "a line feed with the long escape"
    yield "comment", swap('  "model": null,', '  // hello\n  "model": null,'), "3.1", "FORMAT", "a comment"
    yield "trailing-comma", swap('"requires": []', '"requires": [,]'), "3.1", "FORMAT", "a comma too many"
    yield "single-quotes", good.replace(b'"role"', b"'role'"), "3.1", "FORMAT", "single quotes"
    yield "unknown-escape", hyper('"\\x41"'), "3.1", "FORMAT", "an escape that JSON doesn't have"
    yield "depth-33", edited(put("hyperparameters", value={"x": nested(31)})), "9.1", "LIMIT", "nested 33 deep"
    yield "depth-10000", hyper("[" * 10000 + "]" * 10000), "9.1", "LIMIT", "nested 10,000 deep"
    yield "depth-100000-unclosed", b"[" * 100000, "9.1", "LIMIT", "100,000 open brackets"
    yield "objects-10000-deep", b'{"a":' * 10000, "9.1", "LIMIT", "10,000 open objects"
    yield "escaped-quote-flood", b'{"' + b'\\"' * 20000, "3.1", "FORMAT", "a text of escaped quotes without an end"


def nested(depth: int) -> Any:
    inner: Any = []
    for _ in range(depth - 1):
        inner = [inner]
    return inner


def version_cases() -> Iterator[Case]:
    """Faults of version, requirements and seal, which a schema of one version can't see or doesn't describe."""
    for name, text, code, clause, what in [
        ("version-2", "2.0", "UNSUPPORTED", "8.2", "a newer major version"),
        ("version-999", "999.0", "UNSUPPORTED", "8.2", "a much newer major version"),
        ("version-0-9", "0.9", "UNSUPPORTED", "8.2", "a version before the first"),
        ("version-word", "one", "FORMAT", "8.1", "a version that is a word"),
        ("version-major-only", "1", "FORMAT", "8.1", "a version without minor"),
        ("version-three-parts", "1.0.0", "FORMAT", "8.1", "a version of three parts"),
        ("version-negative", "-1.0", "FORMAT", "8.1", "a negative version"),
        ("version-leading-zero", "01.0", "FORMAT", "8.1", "a version with a leading zero"),
        ("version-newline", "1.0\n", "FORMAT", "8.1", "a version with a line feed behind"),
        ("version-huge", "1.99999", "FORMAT", "8.1", "a minor version of five digits"),
        ("version-wide-digit", "１.0", "FORMAT", "8.1", "a digit that is not ASCII"),
    ]:
        yield name, edited(put("format_version", value=text)), clause, code, what

    def shape_of_tomorrow(document: Document) -> None:
        document.clear()
        document.update(format="modelcrate", format_version="2.0", parts=[1, 2])

    yield (
        "version-2-other-shape",
        edited(shape_of_tomorrow),
        "8.2",
        "UNSUPPORTED",
        "a newer major version of another shape",
    )
    tomorrow = rendered({"format": "modelcrate", "format_version": "3.1"}).replace("\n", " ").encode()
    yield "version-3-not-canonical", tomorrow, "8.2", "UNSUPPORTED", "a newer major version in another canonical form"
    yield "requires-unknown", edited(put("requires", value=["sparse"])), "8.4", "UNSUPPORTED", "an unknown feature"

    def newer_requires(document: Document) -> None:
        document.update(format_version="1.3", requires=["sparse"])

    yield "newer-minor-requires-unknown", edited(newer_requires), "8.4", "UNSUPPORTED", "a newer minor with a feature"
    good = sealed(base())
    yield "missing-seal", (rendered(base()) + "\n").encode(), "3.2", "FORMAT", "no seal"
    digits = good.split(b'"seal": "blake3:')[1][:64]
    other = b"0" * 64
    yield "seal-wrong", good.replace(digits, other), "5.3", "INTEGRITY", "a seal of zeros"
    last = digits[:-1] + (b"0" if digits[-1:] != b"0" else b"1")
    yield "seal-last-digit", good.replace(digits, last), "5.3", "INTEGRITY", "one digit of the seal"
    resized = good.replace(b'"size": 3', b'"size": 4')
    yield "sealed-then-edited", resized, "5.3", "INTEGRITY", "a size changed after sealing"
    sha = sealed(base("sha256"), "sha256")
    yield (
        "seal-other-algorithm",
        sha.replace(b'"seal": "sha256:', b'"seal": "blake3:'),
        "5.3",
        "INTEGRITY",
        "the wrong algorithm",
    )


EditCase = tuple[str, Edit, str, str, str]


def field_cases() -> Iterator[EditCase]:
    """Faults of single fields: the schema sees each of them too."""
    for field in (
        "format",
        "format_version",
        "requires",
        "model",
        "components",
        "members",
        "hyperparameters",
        "omitted",
        "provenance",
    ):
        yield f"missing-{field.replace('_', '-')}", drop(field), "3.2", "FORMAT", f"no field {field}"
    yield "missing-role", drop("components", "net", "role"), "3.3", "FORMAT", "a component without role"
    yield (
        "missing-state",
        drop("components", "net", "state"),
        "3.3",
        "FORMAT",
        "a component without state, not even null",
    )
    yield "missing-size", drop("members", STATE, "size"), "3.4", "FORMAT", "a member without size"
    yield "unknown-field", put("extensions", value={}), "3.5", "FORMAT", "an unknown field"
    yield "unknown-component-field", put("components", "net", "import", value="os"), "3.5", "FORMAT", "an unknown field"
    yield (
        "unknown-member-field",
        put("members", STATE, "url", value="http://x.invalid"),
        "3.5",
        "FORMAT",
        "an unknown field",
    )
    yield "unknown-provenance-field", put("provenance", "date", value="2020-01-01"), "3.7", "FORMAT", "a date"
    yield "other-format", put("format", value="Modelcrate"), "3.2", "FORMAT", "the name of another format"
    for name, value, what in [("number", 1.0, "a number"), ("list", [1, 0], "a list"), ("null", None, "null")]:
        yield f"version-{name}", put("format_version", value=value), "8.1", "FORMAT", f"a version that is {what}"
    yield "requires-text", put("requires", value="x"), "3.2", "FORMAT", "a text where a list belongs"
    yield "requires-number", put("requires", value=[1]), "3.2", "FORMAT", "a feature that is a number"
    yield "requires-grammar", put("requires", value=["os.system"]), "2.5", "FORMAT", "a feature outside of its grammar"
    yield "requires-17", put("requires", value=[f"f{i:02d}" for i in range(17)]), "3.2", "FORMAT", "17 features"
    for name, size, what in [
        ("negative", -1, "a negative size"),
        ("float", 3.0, "a size that is a float"),
        ("true", True, "true as size"),
        ("text", "3", "a size that is text"),
        ("null", None, "null as size"),
    ]:
        yield f"size-{name}", put("members", WEIGHTS, "size", value=size), "3.4", "FORMAT", what
    for name, text, what in [
        ("short", "blake3:" + "0" * 63, "a digit is missing"),
        ("long", "blake3:" + "0" * 65, "a digit too many"),
        ("upper-case", "blake3:" + "A" * 64, "capitals"),
        ("md5", "md5:" + "0" * 32, "another algorithm"),
        ("sha1", "sha1:" + "0" * 40, "another algorithm"),
        ("bare", "0" * 64, "no algorithm"),
        ("empty", "", "nothing"),
        ("newline", "blake3:" + "0" * 64 + "\n", "a line feed behind"),
        ("null", None, "null"),
    ]:
        yield f"digest-{name}", put("members", WEIGHTS, "digest", value=text), "5.1", "FORMAT", f"a digest: {what}"
    for name, member, clause, what in [
        ("parent", "../net.safetensors", "2.1", "a parent folder"),
        ("inner-parent", "a/../b.safetensors", "2.1", "a detour"),
        ("absolute", "/net.safetensors", "2.1", "a leading slash"),
        ("backslash", "a\\b.safetensors", "2.1", "a backslash"),
        ("drive", "c:net.safetensors", "2.1", "a drive"),
        ("capital", "Net.safetensors", "2.1", "a capital"),
        ("double-slash", "a//b.safetensors", "2.1", "a double slash"),
        ("hidden", "a/.safetensors", "2.1", "a leading dot"),
        ("dot", "a/./b.safetensors", "2.1", "a dot as folder"),
        ("blank", "a b.safetensors", "2.1", "a blank"),
        ("nul", "a\x01.safetensors", "2.1", "a control character"),
        ("accent", "é.safetensors", "2.1", "beyond ASCII"),
        ("fullwidth", "ａ.safetensors", "2.1", "a letter that folds to ASCII"),
        ("empty", "", "2.1", "nothing"),
        ("trailing-dot", "a./b.safetensors", "2.1", "a trailing dot"),
        ("256-bytes", "a" * 244 + ".safetensors", "2.1", "256 bytes"),
        ("device", "weights/con.safetensors", "2.2", "a device"),
        ("device-folder", "aux.d/x.safetensors", "2.2", "a device"),
        ("device-number", "com7.safetensors", "2.2", "a device"),
    ]:
        yield f"member-{name}", rename(("members",), WEIGHTS, member), clause, "FORMAT", f"a member name with {what}"
    yield (
        "member-newline",
        rename(("members",), WEIGHTS, "a.safetensors\n"),
        "2.1",
        "FORMAT",
        "a line feed behind a name",
    )
    for name, component, what in [
        ("dunder", "__class__", "underscores in front"),
        ("dotted", "net.weight", "a dot"),
        ("capital", "Net", "a capital"),
        ("digit", "1net", "a digit in front"),
        ("empty", "", "nothing"),
        ("long", "n" * 65, "65 characters"),
        ("newline", "net\n", "a line feed behind"),
        ("slash", "a/b", "a slash"),
    ]:
        yield (
            f"component-{name}",
            rename(("components",), "net", component),
            "2.5",
            "FORMAT",
            f"a component name: {what}",
        )
    for name, tag, what in [
        ("import-path", "torch.nn.Linear", "an import path"),
        ("call", "os.system/1()", "a call"),
        ("zero", "a.b/0", "revision 0"),
        ("leading-zero", "a.b/01", "a leading zero"),
        ("one-part", "generator/1", "one part only"),
        ("newline", "a.b/1\n", "a line feed"),
        ("empty-part", "a..b/1", "an empty part"),
        ("null", None, "null"),
        ("long", "a." + "b" * 126 + "/1", "130 characters"),
        ("big", "a.b/10000", "a revision of five digits"),
    ]:
        yield f"tag-{name}", put("components", "net", "type", value=tag), "2.6", "FORMAT", f"a type tag: {what}"
    yield (
        "model-tag",
        put("model", value={"type": "Model", "config": {}}),
        "2.6",
        "FORMAT",
        "a model's type that is no tag",
    )
    yield "model-text", put("model", value="a.b/1"), "3.2", "FORMAT", "a model that is a text"
    yield "role-blank", put("components", "net", "role", value="a b"), "2.5", "FORMAT", "a role outside of its grammar"
    yield "config-list", put("components", "net", "config", value=[]), "3.3", "FORMAT", "a config that is a list"
    yield "config-null", put("components", "net", "config", value=None), "3.3", "FORMAT", "a config that is null"
    yield (
        "weights-suffix",
        rename(("members",), WEIGHTS, "weights/net.pickle"),
        "3.3",
        "FORMAT",
        "weights of another kind",
    )
    yield "state-suffix", rename(("members",), STATE, "state/net.pkl"), "3.3", "FORMAT", "state of another kind"
    yield "weights-number", put("components", "net", "weights", value=0), "3.3", "FORMAT", "weights that are a number"
    yield "components-list", put("components", value=[]), "3.2", "FORMAT", "components that are a list"
    yield "hyperparameters-null", put("hyperparameters", value=None), "3.2", "FORMAT", "hyperparameters that are null"
    entry = {"what": "a", "where": "b", "why": "c"}
    yield "omitted-object", put("omitted", value={}), "3.2", "FORMAT", "omitted that is an object"
    yield (
        "omitted-missing",
        put("omitted", value=[{"what": "a", "where": "b"}]),
        "3.2",
        "FORMAT",
        "an omission without why",
    )
    yield "omitted-number", put("omitted", value=[{**entry, "why": 1}]), "3.2", "FORMAT", "an omission with a number"
    yield "omitted-1025", put("omitted", value=[entry] * 1025), "3.2", "FORMAT", "1,025 omissions"
    for name, text, what in [
        ("escape", "\x1b[2Jx", "an escape character"),
        ("bell", "\x07", "a bell"),
        ("c1", "\x9b0m", "a C1 control"),
        ("newline", "a\nb", "a line feed"),
        ("last-newline", "a\n", "a line feed at the end"),
        ("bidi", "\u202ecod.elip", "a character that reorders the line"),
        ("separator", "a\u2028b", "a line separator"),
        ("long", "x" * 4097, "4,097 characters"),
    ]:
        yield (
            f"display-{name}",
            put("omitted", value=[{**entry, "what": text}]),
            "3.6",
            "FORMAT",
            f"display text with {what}",
        )

    def many(document: Document) -> None:
        for index in range(62):
            add_network(document, index)

    yield "members-65", many, "9.1", "LIMIT", "65 members with the manifest"
    yield (
        "producer-name",
        put("provenance", "producer", value={"../x": "1"}),
        "2.7",
        "FORMAT",
        "a package name with dots and slash",
    )
    yield (
        "producer-257",
        put("provenance", "producer", value={f"p{index}": "1" for index in range(257)}),
        "3.7",
        "FORMAT",
        "257 packages",
    )
    yield (
        "producer-number",
        put("provenance", "producer", value={"x": 1}),
        "3.7",
        "FORMAT",
        "a version that is a number",
    )
    yield "source-partial", put("provenance", "source", value={"size": 1}), "3.7", "FORMAT", "a source without digest"
    yield "created-by-number", put("provenance", "created_by", value=1), "3.7", "FORMAT", "created_by that is a number"


def relation_cases() -> Iterator[EditCase]:
    """Faults between fields, which no schema sees."""
    yield "requires-twice", put("requires", value=["a", "a"]), "3.2", "FORMAT", "a feature twice"
    yield "requires-unsorted", put("requires", value=["b", "a"]), "3.2", "FORMAT", "features out of order"
    yield (
        "member-unreferenced",
        put("components", "net", "state", value=None),
        "3.4",
        "FORMAT",
        "a member of no component",
    )
    yield "member-unlisted", drop("members", STATE), "3.4", "FORMAT", "a component's member that is not listed"
    yield (
        "manifest-listed",
        put("members", "manifest.json", value={"size": 1, "digest": digest(b"x", "blake3")}),
        "2.4",
        "FORMAT",
        "a manifest that lists itself",
    )

    def twice(document: Document) -> None:
        document["components"]["other"] = dict(document["components"]["net"])

    yield "member-shared", twice, "3.4", "FORMAT", "a member of two components"

    def folder(document: Document) -> None:
        document["components"]["other"] = {**document["components"]["net"], "state": None}
        document["components"]["other"]["weights"] = WEIGHTS + "/x.safetensors"
        document["members"][WEIGHTS + "/x.safetensors"] = document["members"][WEIGHTS]

    yield "member-is-folder", folder, "2.3", "FORMAT", "a member that is the folder of another"
    yield (
        "mixed-algorithms",
        put("members", STATE, "digest", value=digest(b"\x80", "sha256")),
        "5.2",
        "FORMAT",
        "two algorithms",
    )

    def huge(document: Document) -> None:
        for member in document["members"].values():
            member["size"] = 2**53

    yield "sizes-overflow", huge, "3.4", "FORMAT", "sizes whose sum is beyond 2**53"
