"""The manifest: what a crate is made of, as one frozen document (FORMAT.md 3).

:meth:`Manifest.from_bytes` is the only way in and refuses every byte sequence but the one that
:meth:`Manifest.to_bytes` would write; a flipped bit anywhere in the manifest breaks its canonical form, its schema or
its seal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar, cast

from modelcrate.errors import FormatError, IntegrityError, LimitError
from modelcrate.format import jsontext, names
from modelcrate.format.buffers import Buffer
from modelcrate.format.digest import DEFAULT_ALGORITHM, HEX_DIGITS, Digest, digest_of, new_hasher
from modelcrate.format.document import Fields
from modelcrate.format.jsontext import Json
from modelcrate.format.version import CURRENT, FORMAT_NAME, FormatVersion, check_readable, check_requires
from modelcrate.limits import DEFAULT, Limits

DISPLAY_LENGTH = 4096
"""Characters in one text that is meant for people."""
VERSIONS = 256
"""Entries in one table of package versions."""
OMISSIONS = 1024
FEATURES = 16
SIZE_BOUND = 2**53

_IDENTITY_DOMAIN = b"modelcrate identity 1\n"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Size in bytes and digest of one member."""

    size: int
    digest: Digest

    @classmethod
    def from_fields(cls, fields: Fields) -> Member:
        size = fields.integer("size", minimum=0, maximum=SIZE_BOUND)
        return cls(size=size, digest=Digest.parse(fields.text("digest"), fields.path("digest")))

    def to_json(self) -> Json:
        return {"size": self.size, "digest": str(self.digest)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What the components are together: a type tag and that type's config; a loader is looked up by the tag."""

    type: str
    config: Mapping[str, Json] = field(default_factory=dict)

    @classmethod
    def from_fields(cls, fields: Fields) -> Model:
        return cls(type=names.check_tag(fields.text("type"), where=fields.path("type")), config=_json(fields, "config"))

    def to_json(self) -> Json:
        return {"type": self.type, "config": dict(self.config)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One part of the model: its role, its type tag and config, and the members that hold its tensors and its state."""

    role: str
    type: str
    config: Mapping[str, Json] = field(default_factory=dict)
    weights: str | None = None
    state: str | None = None

    @classmethod
    def from_fields(cls, fields: Fields) -> Component:
        return cls(
            role=names.check_component_name(fields.text("role"), where=fields.path("role")),
            type=names.check_tag(fields.text("type"), where=fields.path("type")),
            config=_json(fields, "config"),
            weights=fields.nullable("weights", lambda name: _member_name(fields, name, ".safetensors")),
            state=fields.nullable("state", lambda name: _member_name(fields, name, ".msgpack")),
        )

    def to_json(self) -> Json:
        return {
            "role": self.role,
            "type": self.type,
            "config": dict(self.config),
            "weights": self.weights,
            "state": self.state,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Omission:
    """Something that the source held and the crate doesn't: what it is, where it was, why it was left out.

    The texts are for people. What a file cannot hold in them (control and bidirectional characters) is escaped here.
    """

    what: str
    where: str
    why: str

    def __post_init__(self) -> None:
        for name in ("what", "where", "why"):
            object.__setattr__(self, name, names.escape_display(getattr(self, name))[:DISPLAY_LENGTH])

    @classmethod
    def from_fields(cls, fields: Fields) -> Omission:
        return cls(what=_display(fields, "what"), where=_display(fields, "where"), why=_display(fields, "why"))

    def to_json(self) -> Json:
        return {"what": self.what, "where": self.where, "why": self.why}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The file that a crate was converted from."""

    digest: Digest
    size: int
    format: str
    versions: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_fields(cls, fields: Fields) -> Source:
        return cls(
            digest=Digest.parse(fields.text("digest"), fields.path("digest")),
            size=fields.integer("size", minimum=0, maximum=SIZE_BOUND),
            format=_display(fields, "format"),
            versions=_versions(fields, "versions"),
        )

    def to_json(self) -> Json:
        return {
            "digest": str(self.digest),
            "size": self.size,
            "format": self.format,
            "versions": dict(self.versions),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Who wrote the crate, with which versions, and from what; no times, so that equal models give equal bytes."""

    producer: Mapping[str, str] = field(default_factory=dict)
    source: Source | None = None
    created_by: str | None = None

    @classmethod
    def from_fields(cls, fields: Fields, *, newer: bool = False) -> Provenance:
        return cls(
            producer=_versions(fields, "producer"),
            source=fields.nullable("source", lambda name: _finished(fields.fields(name), Source.from_fields, newer)),
            created_by=fields.nullable("created_by", lambda name: _display(fields, name)),
        )

    def to_json(self) -> Json:
        return {
            "producer": dict(self.producer),
            "source": None if self.source is None else self.source.to_json(),
            "created_by": self.created_by,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything that ``manifest.json`` says; ``members`` lists every member but the manifest itself."""

    members: Mapping[str, Member]
    components: Mapping[str, Component]
    model: Model | None = None
    hyperparameters: Mapping[str, Json] = field(default_factory=dict)
    omitted: tuple[Omission, ...] = ()
    provenance: Provenance = Provenance()
    requires: tuple[str, ...] = ()
    format_version: FormatVersion = CURRENT
    algorithm: str = DEFAULT_ALGORITHM
    """The digest algorithm of the seal and of every member."""

    @classmethod
    def from_bytes(cls, data: Buffer, where: str = "manifest", *, limits: Limits = DEFAULT) -> Manifest:
        """Read and check a whole manifest.

        Raises UnsupportedError for another major version or an unknown requirement, LimitError beyond ``limits``,
        IntegrityError for a broken seal, FormatError for everything else (FORMAT.md 3).
        """
        raw = bytes(data[: limits.manifest_bytes + 1])
        document = jsontext.parse(raw, where=where, limits=limits)
        fields = Fields(document, where)
        fields.text("format", choices=(FORMAT_NAME,))
        version = FormatVersion.parse(fields.text("format_version"), where=fields.path("format_version"))
        check_readable(version, where=fields.path("format_version"))
        requires = _features(fields)
        check_requires(requires, where=fields.path("requires"))
        jsontext.check_canonical(raw, document, where=where)
        seal = Digest.parse(fields.text("seal"), fields.path("seal"))
        if _seal(raw, seal.algorithm) != seal:
            raise IntegrityError("the manifest's bytes do not fit its seal", where=fields.path("seal"))
        return _finished(fields, lambda it: _read(it, version, requires, seal.algorithm, limits), version > CURRENT)

    def to_json(self) -> dict[str, Json]:
        """The manifest as plain JSON values, its seal blank: what :meth:`to_bytes` seals."""
        return {
            "format": FORMAT_NAME,
            "format_version": str(self.format_version),
            "requires": list(self.requires),
            "model": None if self.model is None else self.model.to_json(),
            "components": {name: component.to_json() for name, component in self.components.items()},
            "members": {name: member.to_json() for name, member in self.members.items()},
            "hyperparameters": dict(self.hyperparameters),
            "omitted": [omission.to_json() for omission in self.omitted],
            "provenance": self.provenance.to_json(),
            "seal": f"{self.algorithm}:{'0' * HEX_DIGITS}",
        }

    def to_bytes(self, *, limits: Limits = DEFAULT) -> bytes:
        """The one byte form of this manifest, sealed; it is read back, so what is written is what a reader accepts."""
        document = self.to_json()
        jsontext.check_plain(document, where="manifest", limits=limits)
        unsealed = jsontext.dump(document)
        start = _seal_position(unsealed, self.algorithm)
        seal = digest_of(unsealed, self.algorithm)
        sealed = unsealed[:start] + seal.hex.encode("ascii") + unsealed[start + HEX_DIGITS :]
        Manifest.from_bytes(sealed, limits=limits)
        return sealed


def identity(manifest_bytes: Buffer, *, limits: Limits = DEFAULT) -> Digest:
    """The digest that names a crate's whole content, over (name, size, digest) of every member (FORMAT.md 5.4)."""
    manifest = Manifest.from_bytes(manifest_bytes, limits=limits)
    own = Member(size=len(manifest_bytes), digest=digest_of(manifest_bytes, manifest.algorithm))
    hasher = new_hasher(manifest.algorithm)
    hasher.update(_IDENTITY_DOMAIN)
    for name, member in sorted({**manifest.members, names.MANIFEST_NAME: own}.items()):
        for part in (name.encode("ascii"), str(member.size).encode("ascii"), str(member.digest).encode("ascii")):
            hasher.update(len(part).to_bytes(4, "little") + part)
    return Digest(manifest.algorithm, hasher.hexdigest())


def _read(
    fields: Fields, version: FormatVersion, requires: tuple[str, ...], algorithm: str, limits: Limits
) -> Manifest:
    newer = version > CURRENT
    members = {
        names.check_member_name(name, where=fields.path("members")): _finished(each, Member.from_fields, newer)
        for name, each in _named(fields, "members")
    }
    if names.MANIFEST_NAME in members:
        raise FormatError("the manifest lists itself", where=fields.path("members"))
    if len(members) + 1 > limits.members:
        raise LimitError(f"more than {limits.members} members", where=fields.path("members"))
    names.check_member_set([*members, names.MANIFEST_NAME], where=fields.path("members"))
    if sum(member.size for member in members.values()) > SIZE_BOUND:
        raise FormatError("the sizes add up to more than 2**53", where=fields.path("members"))
    for name, member in members.items():
        if member.digest.algorithm != algorithm:
            raise FormatError("not the digest algorithm of the seal", where=f"{fields.path('members')}.{name}.digest")
    components = {
        names.check_component_name(name, where=fields.path("components")): _finished(each, Component.from_fields, newer)
        for name, each in _named(fields, "components")
    }
    if len(components) > limits.members:
        raise LimitError(f"more than {limits.members} components", where=fields.path("components"))
    _check_references(components, members, fields.where)
    return Manifest(
        members=members,
        components=components,
        model=fields.nullable("model", lambda name: _finished(fields.fields(name), Model.from_fields, newer)),
        hyperparameters=_json(fields, "hyperparameters"),
        omitted=tuple(
            _finished(each, Omission.from_fields, newer) for each in fields.each_fields("omitted", max_items=OMISSIONS)
        ),
        provenance=_finished(fields.fields("provenance"), lambda it: Provenance.from_fields(it, newer=newer), newer),
        requires=requires,
        format_version=version,
        algorithm=algorithm,
    )


def _check_references(components: Mapping[str, Component], members: Mapping[str, Member], where: str) -> None:
    """Every member belongs to exactly one component, and every component's members exist (FORMAT.md 3.4)."""
    owners: dict[str, str] = {}
    for name, component in components.items():
        for kind, member in (("weights", component.weights), ("state", component.state)):
            if member is None:
                continue
            path = f"{where}.components.{name}.{kind}"
            if member not in members:
                raise FormatError(f"{member!r} is not listed under members", where=path)
            if member in owners:
                raise FormatError(f"{member!r} already belongs to {owners[member]!r}", where=path)
            owners[member] = name
    for member in members:
        if member not in owners:
            raise FormatError(f"{member!r} belongs to no component", where=f"{where}.members")


def _finished(fields: Fields, read: Callable[[Fields], T], newer: bool) -> T:
    """Read and, unless the file is of a newer minor version, refuse fields that nobody asked for (FORMAT.md 8.3)."""
    value = read(fields)
    if not newer:
        fields.finish()
    return value


def _named(fields: Fields, name: str) -> Iterable[tuple[str, Fields]]:
    nested = fields.fields(name)
    return ((each, nested.fields(each)) for each in nested.names())


def _json(fields: Fields, name: str) -> dict[str, Json]:
    nested = fields.fields(name)
    return {each: cast(Json, nested.value(each)) for each in nested.names()}


def _features(fields: Fields) -> tuple[str, ...]:
    features = fields.texts("requires", max_items=FEATURES)
    for feature in features:
        names.check_feature(feature, where=fields.path("requires"))
    if list(features) != sorted(set(features)):
        raise FormatError("the features are not sorted, or one is there twice", where=fields.path("requires"))
    return features


def _member_name(fields: Fields, name: str, suffix: str) -> str:
    value = names.check_member_name(fields.text(name), where=fields.path(name))
    if not value.endswith(suffix):
        raise FormatError(f"{value!r} does not end in {suffix}", where=fields.path(name))
    return value


def _display(fields: Fields, name: str) -> str:
    value = fields.text(name, max_length=DISPLAY_LENGTH)
    if names.escape_display(value) != value:
        raise FormatError("text for people holds control or bidirectional characters", where=fields.path(name))
    return value


def _versions(fields: Fields, name: str) -> dict[str, str]:
    nested = fields.fields(name)
    if len(nested.names()) > VERSIONS:
        raise FormatError(f"more than {VERSIONS} entries", where=nested.where)
    return {names.check_package(each, where=nested.where): _display(nested, each) for each in nested.names()}


def _seal(raw: bytes, algorithm: str) -> Digest:
    start = _seal_position(raw, algorithm)
    return digest_of(raw[:start] + b"0" * HEX_DIGITS + raw[start + HEX_DIGITS :], algorithm)


def _seal_position(canonical: bytes, algorithm: str) -> int:
    """Where the seal's digits stand: text can't hold a raw newline, so the top-level key is found unambiguously."""
    label = f'\n  "seal": "{algorithm}:'.encode("ascii")
    return canonical.index(label) + len(label)
