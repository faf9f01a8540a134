"""Is this crate whole? Every member against its digest and checksum, every header and document against the format."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from modelcrate.crate import Crate
from modelcrate.crate import open as open_crate
from modelcrate.errors import ModelcrateError, StorageError, UnsupportedError, UsageError
from modelcrate.format.digest import Digest
from modelcrate.limits import DEFAULT, Limits
from modelcrate.storage.regions import IO
from modelcrate.storage.source import Location
from modelcrate.stored import StoredComponent

PROBLEMS_LIMIT = 20
"""Problems in one report; a file built to have thousands is bad after the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong: the error's stable code, the place, and what it is."""

    code: str
    where: str | None
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The verdict on a crate. ``identity`` is None where the manifest itself could not be read."""

    path: str | None
    identity: Digest | None
    members: int
    size: int
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether everything was checked and nothing is wrong. It says nothing about who made the crate."""
        return not self.problems


def verify(
    location: Location,
    *,
    expect: str | Digest | None = None,
    schemas: bool = False,
    io: IO = "map",
    limits: Limits = DEFAULT,
) -> Verification:
    """Check a whole crate, and report instead of raising where the crate is at fault.

    ``schemas=True`` also holds manifest and states against the published JSON Schemas. Raises only where no verdict is
    possible: StorageError (it can't be read), UnsupportedError (a newer version), UsageError (a wrong argument).
    """
    path = str(location) if not isinstance(location, bytes | bytearray | memoryview) else None
    try:
        crate = open_crate(location, expect=expect, verify=False, io=io, limits=limits)
    except (StorageError, UnsupportedError, UsageError):
        raise
    except ModelcrateError as error:
        return Verification(path=path, identity=None, members=0, size=0, problems=(_problem(error),))
    with crate:
        problems = crate.damaged() or crate.check_crcs() or _content(crate, schemas)
        return Verification(
            path=path,
            identity=crate.identity,
            members=len(crate.manifest.members) + 1,
            size=crate.size,
            problems=tuple(_problem(error) for error in problems[:PROBLEMS_LIMIT]),
        )


def _content(crate: Crate, schemas: bool) -> list[ModelcrateError]:
    """What is wrong inside members whose bytes are as recorded."""
    checks: list[Callable[[], None]] = []
    if schemas:
        checks.append(lambda: _check_manifest_schema(crate))
    for component in crate.values():
        checks.append(functools.partial(_check_component, component, schemas))
    problems: list[ModelcrateError] = []
    for check in checks:
        try:
            check()
        except ModelcrateError as error:
            problems.append(error)
    return problems


def _check_component(component: StoredComponent, schemas: bool) -> None:
    if component.has_weights:
        for name in component.data:
            component.data[name]
    if component.has_state:
        state = component.state
        if schemas:
            from modelcrate.format.schema import validate_state

            validate_state(state, component.type, f"{component.where}.state")


def _check_manifest_schema(crate: Crate) -> None:
    import json

    from modelcrate.format.schema import MANIFEST, validate

    validate(json.loads(crate.manifest_bytes), MANIFEST, "manifest")


def _problem(error: ModelcrateError) -> Problem:
    return Problem(code=error.code, where=error.where, what=error.what)
