"""Tensors of a legacy file stay where they are: mapped copy on write, copied only where they could not be used so."""

from __future__ import annotations

import gc
import io
import pickle
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from described import source

import modelcrate
from modelcrate.errors import FormatError, IntegrityError, UnsupportedError
from modelcrate.legacy.export import export

linux = pytest.mark.skipif(sys.platform != "linux", reason="what is mapped is read from /proc")
OLD = {"_use_new_zipfile_serialization": False}


def saved(path: Path, value: object, **how: object) -> Path:
    torch.save(value, path, **how)
    return path


def is_mapped(tensor: torch.Tensor, path: Path) -> bool:
    """Whether the tensor's memory is a mapping of the file."""
    address = tensor.data_ptr()
    for line in Path("/proc/self/maps").read_text().splitlines():
        begin, _, rest = line.partition("-")
        end = rest.partition(" ")[0]
        if int(begin, 16) <= address < int(end, 16):
            return line.split(maxsplit=5)[-1].strip().removesuffix(" (deleted)") == str(path)
    raise AssertionError("an address that is nowhere")


def rewritten(path: Path, change: object, *, method: int = zipfile.ZIP_STORED, shift: int = 0) -> Path:
    """The archive with its members changed, the first one's name made longer by ``shift``."""
    assert callable(change)
    target = path.with_suffix(".changed")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w", method) as new:
        for name in old.namelist():
            member = zipfile.ZipInfo("x" * shift + name)
            member.compress_type = method
            record = name.partition("/")[2]
            new.writestr(member, change(record, old.read(name)))
    return target


def unchanged(record: str, data: bytes) -> bytes:
    return data


@linux
@pytest.mark.parametrize("how", [pytest.param({}, id="zip"), pytest.param(OLD, id="old")])
def test_tensors_are_mapped_and_writing_to_them_leaves_the_file_alone(tmp_path, how):
    base = torch.arange(64, dtype=torch.uint8)
    path = saved(tmp_path / "x.pt", {"base": base, "view": base[10:20], "w": torch.nn.Parameter(base / 2)}, **how)
    before = path.read_bytes()
    found = modelcrate.read_legacy(path)
    assert is_mapped(found["base"], path)
    assert found["base"].untyped_storage().data_ptr() == found["view"].untyped_storage().data_ptr()
    found["base"][12] = 200
    with torch.no_grad():
        found["w"][0] = 7.0
    assert found["view"][2] == 200
    assert path.read_bytes() == before
    again = modelcrate.read_legacy(path)
    assert again["base"][12] == 12
    assert torch.equal(again["w"], base / 2)


def test_tensors_outlive_everything_that_opened_the_file(tmp_path):
    path = saved(tmp_path / "x.pt", {"a": torch.arange(1000.0), "b": [torch.ones(3)]})
    kept = modelcrate.read_legacy(path)["a"][990:]
    path.unlink()
    gc.collect()
    assert kept.tolist() == list(range(990, 1000))


@linux
def test_reading_takes_no_memory_for_what_is_mapped(tmp_path):
    def anonymous() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

    path = saved(tmp_path / "x.pt", torch.ones(8 << 20))
    modelcrate.read_legacy(saved(tmp_path / "y.pt", torch.ones(1)))
    before = anonymous()
    found = modelcrate.read_legacy(path)
    assert anonymous() - before < 4 << 10
    assert float(found.sum()) == 8 << 20


@linux
def test_a_storage_at_an_odd_place_is_copied_and_no_other(tmp_path):
    """The old layout aligns nothing: a byte more before a storage moves it by one."""
    for extra in range(8):
        value = {"a": torch.arange(1 + extra, dtype=torch.uint8), "b": torch.arange(50.0, dtype=torch.float64)}
        path = saved(tmp_path / f"{extra}.pt", value, **OLD)
        found = modelcrate.read_legacy(path)
        place = path.read_bytes().index(value["b"].numpy().tobytes())
        assert is_mapped(found["a"], path)
        assert is_mapped(found["b"], path) == (place % 8 == 0)
        assert found["b"].data_ptr() % 8 == 0
        assert torch.equal(found["b"], value["b"])
        found["b"][0] = 5.0
        assert torch.equal(modelcrate.read_legacy(path)["b"], value["b"])


@linux
def test_tensors_in_a_plain_pickle_are_mapped_where_they_can_be(tmp_path):
    """``pickle.dumps`` puts a file of the old layout into a byte string for each storage."""
    base = torch.arange(2000, dtype=torch.uint8)
    value = {"a": base, "view": base[5:9], "b": [torch.arange(1000.0) for _ in range(3)], "same": bytes(3000)}
    for protocol in (2, 3, 4, 5):
        path = tmp_path / f"{protocol}.pkl"
        path.write_bytes(pickle.dumps(value, protocol))
        found = modelcrate.read_legacy(path)
        assert is_mapped(found["a"], path) == (protocol > 2)  # which writes bytes as text
        for one, other in zip(tensors(found), tensors(value), strict=True):
            assert torch.equal(one, other)
            assert one.data_ptr() % one.element_size() == 0
        found["a"][6] = 77
        assert modelcrate.read_legacy(path)["a"][6] == 6


@linux
def test_a_zip_that_another_program_packed_anew_is_copied_where_it_must_be(tmp_path):
    path = saved(tmp_path / "x.pt", {"a": torch.arange(9.0), "b": torch.arange(5, dtype=torch.int64)})
    places = set()
    for shift in range(4):
        again = rewritten(path, unchanged, shift=shift)
        found = modelcrate.read_legacy(again)
        assert found["a"].tolist() == list(range(9))
        assert found["b"].tolist() == list(range(5))
        for tensor in found.values():
            places.add(is_mapped(tensor, again))
            assert tensor.data_ptr() % tensor.element_size() == 0
    assert places == {True, False}
    found = modelcrate.read_legacy(rewritten(path, unchanged, method=zipfile.ZIP_DEFLATED))
    assert found["a"].tolist() == list(range(9))


@pytest.mark.parametrize("how", [pytest.param({}, id="zip"), pytest.param(OLD, id="old")])
def test_what_lies_at_odd_places_is_converted_bit_for_bit(tmp_path, how):
    """Conversions take bytes from wherever they lie; what is not in C order is put in order."""
    for extra in range(8):
        value = {"a": torch.arange(1 + extra, dtype=torch.uint8), "b": torch.rand(5, 7, dtype=torch.float64).t()}
        value["c"] = torch.rand(3, dtype=torch.complex64)
        path = saved(tmp_path / "x.pt", value, **how)
        export(path, tmp_path / "out.pt", to="torch", overwrite=True)
        modelcrate.convert(path, tmp_path / "out.crate", overwrite=True)
        for found in (torch.load(tmp_path / "out.pt"), modelcrate.load(tmp_path / "out.crate")):
            assert list(found) == list(value)
            for name, tensor in value.items():
                assert torch.equal(found[name], tensor)


def test_given_bytes_the_tensors_are_copies_that_can_be_written_to():
    buffer = io.BytesIO()
    torch.save({"a": torch.arange(4.0)}, buffer)
    data = buffer.getvalue()
    found = modelcrate.read_legacy(data)["a"]
    found[0] = 9.0
    assert modelcrate.read_legacy(data)["a"].tolist() == [0, 1, 2, 3]
    assert data == buffer.getvalue()


WIDTHS = {"I64": 8, "F16": 2, "C64": 4, "BOOL": 1, "F64": 8, "BF16": 2}


def test_storages_of_a_big_endian_machine_are_turned_round__E24(tmp_path):
    """What torch writes there: the record ``byteorder`` says big, complex numbers are turned half by half."""
    value = {
        "I64": torch.tensor([1, -2, 2**40]), "F16": torch.tensor([0.5, -3.0], dtype=torch.float16),
        "C64": torch.tensor([1 + 2j, -3.5j]), "BOOL": torch.tensor([True, False]),
        "F64": torch.rand(4, 3, dtype=torch.float64), "BF16": torch.tensor([1.5], dtype=torch.bfloat16),
    }  # fmt: skip
    value["again"] = value["F64"].t()
    order = list(WIDTHS)

    def swapped(record: str, data: bytes) -> bytes:
        if record == "byteorder":
            return b"big"
        if not record.startswith("data/"):
            return data
        width = WIDTHS[order[int(record.removeprefix("data/"))]]
        return b"".join(data[at : at + width][::-1] for at in range(0, len(data), width))

    path = saved(tmp_path / "x.pt", value)
    found = modelcrate.read_legacy(rewritten(path, swapped))
    for name, tensor in value.items():
        assert torch.equal(found[name], tensor), name
    assert found["again"].untyped_storage().data_ptr() == found["F64"].untyped_storage().data_ptr()
    untyped = saved(tmp_path / "y.pt", torch.tensor([1], dtype=torch.uint16))
    assert modelcrate.read_legacy(untyped).tolist() == [1]
    with pytest.raises(UnsupportedError, match="big-endian"):
        modelcrate.read_legacy(rewritten(untyped, lambda record, data: b"big" if record == "byteorder" else data))
    with pytest.raises(UnsupportedError, match="byte order"):
        modelcrate.read_legacy(rewritten(path, lambda record, data: b"middle" if record == "byteorder" else data))


def test_checksums_of_storages_are_compared_unless_told_otherwise__B17(tmp_path):
    path = saved(tmp_path / "x.pt", {"a": torch.arange(40.0), "b": torch.tensor([True])})
    data = bytearray(path.read_bytes())
    data[data.index(torch.arange(40.0).numpy().tobytes()) + 4] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="checksum"):
        modelcrate.read_legacy(path)
    assert modelcrate.read_legacy(path, verify=False)["a"][2:].tolist() == list(range(2, 40))
    with pytest.raises(IntegrityError, match="checksum"):
        modelcrate.convert(path, tmp_path / "out.crate")
    assert not (tmp_path / "out.crate").exists()


@pytest.mark.parametrize("how", [pytest.param({}, id="zip"), pytest.param(OLD, id="old")])
def test_without_checksums_every_other_check_stays(tmp_path, how):
    path = saved(tmp_path / "x.pt", {"flag": torch.tensor([True, True, True, False, True])}, **how)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"\x01\x01\x01\x00\x01", b"\x01\x02\x01\x00\x01"))
    with pytest.raises(FormatError, match="boolean"):
        modelcrate.read_legacy(path, verify=False)
    other = saved(tmp_path / "y.pt", {"name": torch.ones(2)})
    other.write_bytes(other.read_bytes().replace(b"cpu", b"gpu"))
    with pytest.raises(IntegrityError, match="checksum"):
        modelcrate.read_legacy(other, verify=False)


def test_files_of_the_corpus_read_alike_mapped_and_from_bytes():
    for name in ("state_dict", "state_dict_legacy", "shapes"):
        data = Path(source(name)).read_bytes()
        mapped, copied = modelcrate.read_legacy(source(name)), modelcrate.read_legacy(data)
        for one, other in zip(tensors(mapped), tensors(copied), strict=True):
            assert torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)
            assert one.stride() == other.stride()


def tensors(value: object) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    held = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [tensor for item in held for tensor in tensors(item)]
