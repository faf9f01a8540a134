"""The grammars of names that a crate may hold: members, components, features and type tags (FORMAT.md 2).

Every name is lower-case ASCII, so that no two names of one crate can collide on a file system that folds case or
normalises text, and none can steer a path: there is no ``..``, no leading dot, no drive, no device name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from modelcrate.errors import FormatError

MANIFEST_NAME = "manifest.json"
"""The member that lists all others and never itself (FORMAT.md 2.4)."""

MEMBER_NAME_BYTES = 255
TAG_LENGTH = 128

COMPONENT_PATTERN = r"[a-z][a-z0-9_]{0,63}"
TAG_PATTERN = r"[a-z0-9_]+(\.[a-z0-9_]+)+/[1-9][0-9]{0,3}"
MEMBER_PATTERN = r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9_-]+)*(/[a-z0-9][a-z0-9_-]*(\.[a-z0-9_-]+)*)*"

PACKAGE_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
DISPLAY_REFUSED = r"\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
"""Characters that text for people may not hold: controls, line separators, what reorders a line, half surrogates."""

_COMPONENT = re.compile(COMPONENT_PATTERN)
_PACKAGE = re.compile(PACKAGE_PATTERN)
_REFUSED = re.compile(f"[{DISPLAY_REFUSED}]")
_TAG = re.compile(TAG_PATTERN)
_MEMBER = re.compile(MEMBER_PATTERN)

_DEVICES = frozenset(["con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))])
"""Names that Windows opens as devices, whatever extension follows them."""


def check_member_name(name: str, *, where: str) -> str:
    """Return ``name`` if it may name a member, else raise FormatError (FORMAT.md 2.1 to 2.3)."""
    if len(name) > MEMBER_NAME_BYTES:
        raise FormatError(f"a member name longer than {MEMBER_NAME_BYTES} bytes", where=where)
    if _MEMBER.fullmatch(name) is None:
        raise FormatError(f"{name!r} does not follow the grammar of member names", where=where)
    if any(part.split(".", 1)[0] in _DEVICES for part in name.split("/")):
        raise FormatError(f"{name!r} names a device on some systems", where=where)
    return name


def check_member_set(names: Iterable[str], *, where: str) -> None:
    """Refuse a set of members in which one is a folder of another (FORMAT.md 2.3)."""
    present = set(names)
    for name in sorted(present):
        parts = name.split("/")
        for count in range(1, len(parts)):
            if "/".join(parts[:count]) in present:
                raise FormatError(f"{name!r} lies in a folder that is itself a member", where=where)


def check_component_name(name: str, *, where: str) -> str:
    """Return ``name`` if it may name a component or a role, else raise FormatError (FORMAT.md 2.5)."""
    if _COMPONENT.fullmatch(name) is None:
        raise FormatError(f"{name!r} does not follow the grammar of component names", where=where)
    return name


def is_component_name(name: str) -> bool:
    """Whether ``name`` may name a component."""
    return _COMPONENT.fullmatch(name) is not None


def check_tag(tag: str, *, where: str) -> str:
    """Return ``tag`` if it is a type tag such as ``ctgan.generator/1``, else raise FormatError (FORMAT.md 2.6)."""
    if len(tag) > TAG_LENGTH or _TAG.fullmatch(tag) is None:
        raise FormatError(f"{tag!r} is not a type tag such as 'ctgan.generator/1'", where=where)
    return tag


def check_feature(feature: str, *, where: str) -> str:
    """Return ``feature`` if it may stand in ``requires``, else raise FormatError (FORMAT.md 8.4)."""
    if _COMPONENT.fullmatch(feature) is None:
        raise FormatError(f"{feature!r} does not follow the grammar of features", where=where)
    return feature


def check_package(name: str, *, where: str) -> str:
    """Return ``name`` if it may name a package in a table of versions, else raise FormatError (FORMAT.md 2.7)."""
    if _PACKAGE.fullmatch(name) is None:
        raise FormatError(f"{name!r} does not follow the grammar of package names", where=where)
    return name


def escape_display(text: str) -> str:
    """``text`` with every character that text for people may not hold written as an escape (FORMAT.md 3.6)."""
    return _REFUSED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
