"""The errors of modelcrate: one tree, and every message says what is wrong, where, and what to do.

::

    ModelcrateError
    ├── FormatError        FORMAT       the bytes do not follow the format they claim to follow
    ├── LimitError         LIMIT        following the bytes would cost more than a limit allows
    ├── PolicyError        POLICY       the file asks for something that is never done: running code, above all
    ├── IntegrityError     INTEGRITY    bytes differ from the digest, checksum or size recorded for them
    ├── UnsupportedError   UNSUPPORTED  understood, but not possible here (newer version, unknown tag, missing extra)
    ├── StorageError       IO           the file system said no: absent, no permission, disk full
    ├── MismatchError      MISMATCH     tensors and architecture do not fit together
    └── UsageError         USAGE        the caller's own argument is wrong: unknown column, bad device, bad seed

Text that came from a file is escaped before it becomes part of a message, and messages are bounded, so that a
hostile name can neither steer a terminal nor flood a log.
"""

from __future__ import annotations

import unicodedata
from typing import ClassVar

MESSAGE_LIMIT = 500
"""Characters in a rendered message; a hostile name of a megabyte must not become a megabyte of log."""


class ModelcrateError(Exception):
    """The root of the tree.

    ``what`` says what is wrong, ``where`` names the place (``manifest.components.generator.config``), ``hint`` says
    what to do. ``code`` is stable and fit for machines.
    """

    code: ClassVar[str] = "ERROR"

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.what = printable(what)
        self.where = None if where is None else printable(where, limit=200)
        self.hint = None if hint is None else printable(hint)
        super().__init__(self.render())

    def render(self) -> str:
        """The message as one bounded line of printable text."""
        text = self.what if self.where is None else f"{self.where}: {self.what}"
        if self.hint is not None:
            room = max(0, MESSAGE_LIMIT - len(self.hint) - 2)
            text = f"{_shorten(text, room)}; {self.hint}"
        return _shorten(text, MESSAGE_LIMIT)

    def __str__(self) -> str:
        return self.render()


class FormatError(ModelcrateError):
    """The bytes do not follow the format they claim to follow."""

    code = "FORMAT"


class LimitError(ModelcrateError):
    """Following the bytes would cost more memory, time or space than a limit allows."""

    code = "LIMIT"


class PolicyError(ModelcrateError):
    """The file asks for something that modelcrate never does, such as running code."""

    code = "POLICY"


class IntegrityError(ModelcrateError):
    """Bytes differ from the digest, checksum or size that is recorded for them."""

    code = "INTEGRITY"


class UnsupportedError(ModelcrateError):
    """The content is understood but can't be honoured: a newer version, an unknown tag, a missing extra."""

    code = "UNSUPPORTED"


class StorageError(ModelcrateError):
    """The file system refused: the path is absent, not readable, not writable, or the disk is full."""

    code = "IO"


class MismatchError(ModelcrateError):
    """Tensors and architecture do not fit together."""

    code = "MISMATCH"


class UsageError(ModelcrateError):
    """The caller's own argument is wrong; no file is to blame."""

    code = "USAGE"


def printable(text: str, *, limit: int = MESSAGE_LIMIT) -> str:
    """Return ``text`` with every control, format, bidi and unassigned character escaped, shortened to ``limit``."""
    head = text[: limit + 1]
    escaped = "".join(character if _is_plain(character) else _escape(character) for character in head)
    return _shorten(escaped, limit)


def _is_plain(character: str) -> bool:
    return character == " " or unicodedata.category(character)[0] not in "CZ"


def _escape(character: str) -> str:
    point = ord(character)
    if point <= 0xFF:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point <= 0xFFFF else f"\\U{point:08x}"


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: max(0, limit - 1)] + "…"
