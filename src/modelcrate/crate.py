"""The noun that users hold: a crate that is open, with its manifest and its components (FORMAT.md 1 to 5)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType

from modelcrate.crate_writer import write_crate
from modelcrate.errors import FormatError, IntegrityError, LimitError, ModelcrateError, UsageError
from modelcrate.format.digest import Digest, digest_of
from modelcrate.format.manifest import Manifest, identity
from modelcrate.format.names import MANIFEST_NAME
from modelcrate.limits import DEFAULT, Limits
from modelcrate.storage import Source, open_source
from modelcrate.storage.component import ComponentData
from modelcrate.storage.regions import IO
from modelcrate.storage.source import Location
from modelcrate.stored import StoredComponent

__all__ = ["ComponentData", "Crate", "open", "write_crate"]

PARALLEL_FROM = 8 << 20
"""Total bytes from which members are digested by several threads; starting them costs more than a small crate."""


class Crate(Mapping[str, StoredComponent]):
    """An open crate: a mapping from component names to components, read lazily.

    Use it as a context manager. What was read (tensors, states) stays valid after it is closed.
    """

    def __init__(self, source: Source, *, verify: bool, limits: Limits) -> None:
        self._source = source
        self._verify = verify
        self._limits = limits
        self._checked: set[str] = set()
        size = source.size(MANIFEST_NAME)
        if size > limits.manifest_bytes:
            raise LimitError(f"the manifest is larger than {limits.manifest_bytes} bytes", where=source.where)
        source.check_crc(MANIFEST_NAME)
        self.manifest_bytes = bytes(source.read(MANIFEST_NAME))
        """The manifest as it is written."""
        self.manifest = Manifest.from_bytes(self.manifest_bytes, f"{source.where}: manifest", limits=limits)
        """What the crate is made of."""
        _check_members(source, self.manifest)
        self._components = {
            name: StoredComponent(name, component, self._read, where=source.where, limits=limits)
            for name, component in self.manifest.components.items()
        }

    @property
    def path(self) -> str | None:
        """The path that was opened, or None for bytes."""
        return self._source.path

    @property
    def form(self) -> str:
        """``file``, ``folder`` or ``memory``."""
        return self._source.form

    @property
    def size(self) -> int:
        """Bytes of all members together."""
        return sum(self._source.size(name) for name in self._source.names())

    @property
    def identity(self) -> Digest:
        """The digest that names the whole content, whatever the form (FORMAT.md 5.4); ``load(expect=...)`` pins it."""
        return identity(self.manifest_bytes, limits=self._limits)

    def check(self, components: Iterable[str] | None = None) -> None:
        """Compare every member with its digest, several at a time; IntegrityError names the first that differs.

        ``components`` limits it to the members of those components.
        """
        for problem in self.damaged(components):
            raise problem

    def damaged(self, components: Iterable[str] | None = None) -> list[ModelcrateError]:
        """One error for each member that differs from its digest, none for those found right before."""
        wanted: Iterable[str | None] = self.manifest.members
        if components is not None:
            found = [self.manifest.components[name] for name in components]
            wanted = [name for one in found for name in (one.weights, one.state)]
        names = [name for name in dict.fromkeys(wanted) if name is not None and name not in self._checked]
        if sum(self.manifest.members[name].size for name in names) < PARALLEL_FROM:
            results = [self._problem(name) for name in names]
        else:
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(min(len(names), os.cpu_count() or 1)) as pool:
                results = list(pool.map(self._problem, names))
        return [problem for problem in results if problem is not None]

    def check_crcs(self) -> list[ModelcrateError]:
        """One error for each member whose bytes differ from the checksum in its container."""
        problems: list[ModelcrateError] = []
        for name in self.manifest.members:
            try:
                self._source.check_crc(name)
            except IntegrityError as error:
                problems.append(error)
        return problems

    def close(self) -> None:
        """Let go of the file; what was read stays valid."""
        self._source.close()

    def __getitem__(self, name: str) -> StoredComponent:
        return self._components[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._components)

    def __len__(self) -> int:
        return len(self._components)

    def __enter__(self) -> Crate:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        model = self.manifest.model
        return f"<Crate {'' if model is None else model.type + ' '}of {', '.join(self._components) or 'nothing'}>"

    def _read(self, name: str) -> memoryview:
        if self._verify and name not in self._checked:
            problem = self._problem(name)
            if problem is not None:
                raise problem
        return self._source.read(name)

    def _problem(self, name: str) -> ModelcrateError | None:
        wanted = self.manifest.members[name].digest
        try:
            data = self._source.read(name)
            self._source.expect(name)
        except ModelcrateError as error:
            return error
        if digest_of(data, wanted.algorithm) != wanted:
            return IntegrityError("the bytes differ from their digest", where=f"{self._source.where}: {name}")
        self._checked.add(name)
        return None


def open(
    location: Location,
    *,
    verify: bool = True,
    expect: str | Digest | None = None,
    io: IO = "map",
    limits: Limits = DEFAULT,
) -> Crate:
    """Open a crate: a single file, a folder, or the bytes of a single file. Nothing in it is executed or imported.

    The container, the manifest and the sizes of all members are checked now, each member's digest before its first
    use (``verify=False`` leaves the digests out). ``expect`` pins the identity. ``io="read"`` copies each member into
    memory before it is checked, for files that others may change meanwhile; ``io="map"`` maps them in place.
    Raises FormatError, IntegrityError, LimitError, PolicyError, UnsupportedError or StorageError; UsageError for an
    ``expect`` that is not a digest.
    """
    pinned = _pin(expect)
    source = open_source(location, io=io, limits=limits)
    try:
        crate = Crate(source, verify=verify, limits=limits)
        if pinned is not None and crate.identity != pinned:
            raise IntegrityError(f"the crate is {crate.identity}, not the expected {pinned}", where=source.where)
    except BaseException:
        source.close()
        raise
    return crate


def _pin(expect: str | Digest | None) -> Digest | None:
    if expect is None or isinstance(expect, Digest):
        return expect
    try:
        return Digest.parse(expect, "expect")
    except (FormatError, TypeError):
        raise UsageError("expect is a digest such as 'blake3:<64 hex digits>'") from None


def _check_members(source: Source, manifest: Manifest) -> None:
    """What is there is exactly what the manifest lists, with the sizes it lists (FORMAT.md 4.3 and 4.1.3)."""
    present = set(source.names()) - {MANIFEST_NAME}
    _refuse(manifest.members.keys() - present, "is listed in the manifest, and missing", source.where)
    _refuse(present - manifest.members.keys(), "is not listed in the manifest", source.where)
    for name, member in manifest.members.items():
        if source.size(name) != member.size:
            what = f"has {source.size(name)} bytes, the manifest says {member.size}"
            raise IntegrityError(what, where=f"{source.where}: {name}")


def _refuse(names: Iterable[str], what: str, where: str) -> None:
    for name in sorted(names):
        raise FormatError(f"{name!r} {what}", where=where)
