"""Digests are those of the published algorithms, whatever holds the bytes."""

from __future__ import annotations

import pytest

from modelcrate.errors import FormatError, UsageError
from modelcrate.format.digest import Digest, digest_of, new_hasher

PUBLISHED = [
    ("blake3", b"", "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
    (
        "blake3",
        bytes(index % 251 for index in range(1024)),
        "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
    ),
    ("sha256", b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("sha256", b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
]
"""From the test vectors that the authors of the algorithms publish."""


@pytest.mark.parametrize(("algorithm", "data", "digits"), PUBLISHED)
def test_digests_are_the_published_ones(algorithm, data, digits):
    for buffer in (data, bytearray(data), memoryview(data)):
        assert str(digest_of(buffer, algorithm)) == f"{algorithm}:{digits}"


@pytest.mark.parametrize("algorithm", ["blake3", "sha256"])
def test_a_digest_in_pieces_is_the_digest_of_the_whole(algorithm):
    hasher = new_hasher(algorithm)
    for piece in (b"a" * 70_000, b"", b"b" * 3):
        hasher.update(piece)
    assert hasher.hexdigest() == digest_of(b"a" * 70_000 + b"bbb", algorithm).hex


def test_a_digest_reads_back_from_its_text():
    digest = digest_of(b"x")
    assert Digest.parse(str(digest), "here") == digest


@pytest.mark.parametrize(
    "text", ["", "blake3", "blake3:", "blake3:" + "0" * 63, "sha512:" + "0" * 128, "blake3:" + "0" * 64 + "\n"]
)
def test_C19_anything_else_is_no_digest(text):
    with pytest.raises(FormatError):
        Digest.parse(text, "here")


def test_C19_there_is_no_other_algorithm():
    with pytest.raises(UsageError):
        new_hasher("md5")
