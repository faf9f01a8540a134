"""What stands in a legacy file's values for what is never made: objects and functions, as inert data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Record:
    """An object of some class, not made: what the file says of it, and nothing that could run.

    ``class_name`` is the dotted name that the file gives; ``args`` and ``kwargs`` what its class or builder would be
    called with. ``state`` is what it would be set up with: a dict of attributes for almost every object, None if there
    is none. ``items`` and ``pairs`` are what would be added to it (subclasses of list and dict).
    Records may contain each other in circles.
    """

    class_name: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    state: Any = None
    items: list[Any] = field(default_factory=list)
    pairs: list[tuple[Any, Any]] = field(default_factory=list)

    @property
    def attributes(self) -> dict[str, Any]:
        """The state where it is a dict of attributes, else an empty one."""
        return self.state if type(self.state) is dict else {}

    def __repr__(self) -> str:
        return f"<Record of {self.class_name}>"


@dataclass(frozen=True, slots=True)
class Name:
    """A class or a function that the file names, as the dotted name alone."""

    name: str
