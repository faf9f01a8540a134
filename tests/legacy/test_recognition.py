"""What a file is taken for: text, tensor files of other programs, pictures; and that no pickle passes for one."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import struct
import zlib

import numpy as np
import pytest
from pickled import named, text

from modelcrate.errors import PolicyError, UnsupportedError
from modelcrate.legacy.detect import detect
from modelcrate.legacy.reader import read_for_conversion
from modelcrate.legacy.scan import scan
from oracle import Oracle


def tensors(names: list[str], *, blanks: str = "", extra: dict[str, object] | None = None, length: int = 0) -> bytes:
    """A safetensors file of float32 scalars; ``blanks`` behind the header, at least ``length`` bytes of it."""
    document: dict[str, object] = dict(extra or {})
    for place, name in enumerate(names):
        document[name] = {"dtype": "F32", "shape": [], "data_offsets": [4 * place, 4 * place + 4]}
    header = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + blanks.encode()
    header += b" " * (length - len(header))
    return struct.pack("<Q", len(header)) + header + bytes(4 * len(names))


class TestText:
    @pytest.mark.parametrize(
        "content",
        [
            "colour,age\nblue,61\n", "c,a\ngreen,1\n", "c\n.green\n", "id,age,c\n0,48,green\n", "c0\nb\nn\n",
            "Product,Price\nA,1\n", "Key,Value\n1,2\n", "The quick brown fox\njumps over\n", "(see below)\nx\n",
            "I am text\n", "cos,sin,tan\n0.1,0.2,0.3\n", "Größe,c\nü,1\n", "c,a\n1,2", "]\n[", "N,M\n",
            "Table of contents", "Be careful with this.\n", "X is a letter and not a pickle\n", "# README\n\ncos(x)\n",
        ],
    )  # fmt: skip
    def test_text_is_no_pickle(self, content: str) -> None:
        report = scan(content.encode())
        assert report.verdict == "unrecognised", report
        assert report.findings

    @pytest.mark.parametrize(
        ("content", "verdict"),
        [
            pytest.param("cos\nsystem\n", "dangerous", id="a-name-that-exists"),
            pytest.param("cos\nsystem\nand,more\n1,2\n", "dangerous", id="text-behind"),
            pytest.param("colour\nred\nblue\n", "unknown", id="a-name-that-could-exist"),
            pytest.param("cos.path,x\ny\nz\n", "dangerous", id="a-module-of-a-known-one"),
            pytest.param("(S'x'\nios\nsystem\n.", "dangerous", id="inst"),
            pytest.param("c__builtin__\neval\n(S'1'\ntR.", "dangerous", id="whole-pickle"),
            pytest.param("Vtext\np0\n.", "data", id="pickled-text"),
            pytest.param("(lp0\nI1\na.", "data", id="pickled-list"),
            pytest.param("I1\nX", "broken", id="cut-short"),
            pytest.param("hello cos\nsystem\n(S'id'\ntR.", "dangerous", id="hidden-in-text"),
            pytest.param("hello (S'id'\nios\nsystem\n.", "dangerous", id="inst-hidden-in-text"),
            pytest.param("tacos\nstudy\ncos\nsystem\n(S'id'\ntR.", "dangerous", id="behind-a-decoy"),
        ],
    )
    def test_no_pickle_passes_for_text(self, content: str, verdict: str) -> None:
        assert scan(content.encode()).verdict == verdict

    def test_lists_of_words_accuse_nobody(self) -> None:
        words = "studios study tacos system pickle load basic eval optic request radios exec focus download kill (x)"
        content = "\n".join(words.split() * 50).encode()
        assert scan(content).verdict == "unrecognised"
        assert scan(b"\x00\x01" + content).verdict == "unrecognised"

    def test_what_text_would_ask_for_is_shown(self) -> None:
        report = scan(b"colour,age\nblue,61\n")
        assert "olour,age.blue,61" in [finding.name for finding in report.findings]


class TestTensorFiles:
    @pytest.mark.parametrize(
        "names",
        [
            ["a b"], ["Layer.Weight"], ["größe", "重み", "вес"], ["x" * 2000], ["a/b", "../c"], ["a(as pairs)"],
            ["quote\"d", "back\\slash"], ["emoji 👍🏽"],
        ],
    )  # fmt: skip
    def test_names_that_other_programs_give(self, names: list[str]) -> None:
        assert scan(tensors(names)).verdict == "data"

    def test_blanks_dtypes_and_odd_lengths_of_other_programs(self) -> None:
        document = {"a": {"dtype": "F4", "shape": [3, 2], "data_offsets": [0, 3]},
                    "b": {"dtype": "F32", "shape": [1], "data_offsets": [3, 7]}}  # fmt: skip
        header = json.dumps(document, indent=1).encode()
        assert scan(struct.pack("<Q", len(header)) + header + bytes(7)).verdict == "data"
        assert scan(tensors(["a"], blanks=" " * 500)).verdict == "data"
        assert scan(tensors(["a"], extra={"__metadata__": {"format": "pt", "note": "a b"}})).verdict == "data"

    @pytest.mark.parametrize("length", [0x80, 0x178, 0x280, 0x480, 0x5E78, 0x9C78, 0xDA78, 0x5D, 0x2E80, 0x8028])
    def test_a_header_whose_length_looks_like_something_else(self, length: int) -> None:
        """A length of 376 begins like zlib, one of 1152 like a pickle of protocol 4, one of 93 like lzma."""
        data = tensors(["weight"], length=length)
        assert scan(data).verdict == "data"
        with pytest.raises(UnsupportedError, match="safetensors content, not a pickle"):
            read_for_conversion(data)

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(tensors(["a\nb"]).replace(b"\\n", b"\n"), id="control-character"),
            pytest.param(tensors(["a\x01b"]), id="escaped-control-character"),
            pytest.param(tensors(["a", "b"])[:-1], id="cut-short"),
            pytest.param(tensors(["a"]) + b"x", id="bytes-behind"),
            pytest.param(tensors(["a"]).replace(b"[0,4]", b"[4,8]"), id="hole"),
            pytest.param(tensors(["a"]).replace(b"F32", b"F99"), id="dtype"),
            pytest.param(tensors(["a", "b"]).replace(b'"b"', b'"a"'), id="doubled"),
            pytest.param(tensors(["a"]).replace(b"[]", b"[9]"), id="shape"),
        ],
    )
    def test_a_header_that_lies_is_broken(self, data: bytes) -> None:
        assert scan(data).verdict == "broken"

    def test_a_pickle_is_not_hidden_by_a_header__B27(self) -> None:
        """BINFLOAT takes eight bytes, and the unpickler goes on inside of the JSON."""
        name = "c" + "os\nsystem\n(S'id'\ntR."
        document = b'{"a' + name.encode() + b'":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}'
        length = int.from_bytes(b"\x80\x02G\0\0\0\0\0", "little")
        data = b"\x80\x02G\0\0\0\0\0" + document + b" " * (length - len(document)) + bytes(4)
        assert scan(data).verdict == "dangerous"
        with pytest.raises(PolicyError, match="system"):
            read_for_conversion(data)

    def test_a_pickle_that_begins_like_a_header_is_read_as_a_pickle(self) -> None:
        frame = (0x7B).to_bytes(8, "little")
        data = b"\x80\x04\x95" + frame + named("os", "system") + text("id") + b"\x85R."
        assert scan(data).verdict == "dangerous"


class TestOtherContent:
    @pytest.mark.parametrize(
        ("data", "kind"),
        [
            (b"GGUF\x03\0\0\0" + bytes(40), "gguf"), (b"\x89HDF\r\n\x1a\n" + bytes(40), "hdf5"),
            (b"\x08\x09\x12\x07pytorch" + bytes(40), "onnx"), (b'{"model_type": "bert"}', "json"),
            (b"[1, 2, 3]", "json"), (b"\x89PNG\r\n\x1a\n" + bytes(40), "png"), (b"\xff\xd8\xff" + bytes(40), "jpeg"),
            (b"GIF89a" + bytes(40), "gif"), (b"RIFF\x20\0\0\0WEBP" + bytes(9), "riff"), (b"PAR1" + bytes(9), "parquet"),
            (b"\x28\xb5\x2f\xfd" + bytes(40), "zstd"), (b"\x04\x22\x4d\x18" + bytes(40), "lz4"),
            (b"\x1c\0\0\0TFL3" + bytes(40), "tflite"), (b"%PDF-1.7", "pdf"),
        ],
    )  # fmt: skip
    def test_what_is_not_read_is_named_and_never_data(self, data: bytes, kind: str) -> None:
        report = scan(data)
        assert report.verdict == "unrecognised"
        assert kind in report.kind
        assert any(kind in finding.reason for finding in report.findings)

    def test_compression_that_is_not_undone_is_said__A60(self) -> None:
        for magic in (b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18"):
            (finding,) = scan(magic + bytes(40)).findings
            assert "not undone" in finding.reason

    def test_pictures_hide_no_pickle(self) -> None:
        payload = named("os", "system") + b"(" + text("id") + b"tR."
        assert scan(b"GIF89a\0\0" + b"0" + payload + b"0").verdict in ("dangerous", "broken")
        assert scan(b"G" + b"IF89a\0\0\0" + payload).verdict == "dangerous"

    def test_arrays_of_numbers_are_data_and_arrays_of_objects_are_looked_into(self) -> None:
        plain, objects, packed = io.BytesIO(), io.BytesIO(), io.BytesIO()
        np.save(plain, np.zeros((2, 3), dtype=[("a", "<i4"), ("b", "<f8", (2,))]))
        np.save(objects, np.array([1, "x"], dtype=object), allow_pickle=True)
        np.savez_compressed(packed, a=np.arange(3), b=np.zeros((0, 2)))
        for file in (plain, objects, packed):
            assert scan(file.getvalue()).verdict == "data", detect(file.getvalue())
        start = objects.getvalue().index(b"\x80\x04") if b"\x80\x04" in objects.getvalue() else -1
        assert start > 0
        bad = objects.getvalue()[:start] + b"\x80\x04" + named("os", "system") + text("id") + b"\x85R."
        assert scan(bad).verdict == "dangerous"

    @pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zlib.compress])
    def test_text_in_a_compressed_file_is_still_no_pickle(self, pack: object) -> None:
        assert scan(pack(b"colour,age\nblue,61\n")).verdict == "unrecognised"  # type: ignore[operator]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"colour,age\nblue,61\n", id="table"),
        pytest.param(b"tacos\nsystem\nstudios\n", id="words"),
        pytest.param(tensors(["Größe (a b)"]), id="tensors"),
        pytest.param(tensors(["weight"], length=0x178), id="tensors-like-zlib"),
        pytest.param(b"\x80\x04\x95" + (0x7B).to_bytes(8, "little") + b"cacme\nNet\n)R.", id="pickle-like-tensors"),
        pytest.param(b'{"a": 1}', id="json"),
        pytest.param(b"GGUF\x03\0\0\0" + bytes(40), id="gguf"),
        pytest.param(b"\x28\xb5\x2f\xfd" + bytes(40), id="zstd"),
        pytest.param(pickle.dumps(np.arange(3), 0), id="array"),
    ],
)
def test_one_verdict_for_path_bytes_folder_and_archive__O6(data: bytes, oracle: Oracle) -> None:
    oracle.scan(data)
