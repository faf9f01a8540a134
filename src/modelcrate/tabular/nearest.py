"""Which known names or cells come nearest to one that is not known, for the hint of an error."""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Iterable
from typing import TypeGuard

import numpy as np

from modelcrate.errors import printable

CHOICES_LIMIT = 5_000
"""Names that are looked at; comparing two texts takes microseconds, and a column may have millions of categories."""
TEXT_LIMIT = 100
"""Characters of each that are compared."""
SHOWN = 3
SHOWN_LENGTH = 60


def did_you_mean(value: object, choices: Iterable[object]) -> str | None:
    """A hint at the choices next to ``value``: texts by their letters, numbers by their distance. None without any.

    Control characters are escaped, as ``repr`` does and :func:`printable` sees to.
    """
    known = [choice for choice in itertools.islice(choices, CHOICES_LIMIT) if choice is not None and choice != value]
    if not known:
        return None
    found = _near(value, known)
    if found:
        return f"did you mean {' or '.join(shown(choice) for choice in found)}?"
    more = "" if len(known) <= SHOWN else ", and others"
    return f"there are {', '.join(shown(choice) for choice in known[:SHOWN])}{more}"


def _near(value: object, known: list[object]) -> list[object]:
    numbers = [choice for choice in known if _is_number(choice)]
    if _is_number(value) and len(numbers) == len(known):
        distance = {id(choice): abs(float(choice) - float(value)) for choice in numbers}
        return sorted(known, key=lambda choice: distance[id(choice)])[:SHOWN]
    asked = _text(value)
    texts: dict[str, object] = {}
    for choice in known:
        texts.setdefault(_text(choice), choice)
    same = [text for text in texts if text == asked]  # 1 and "1"
    folded = [text for text in texts if text.strip().casefold() == asked.strip().casefold()]
    close = difflib.get_close_matches(asked, texts, SHOWN)
    return [texts[text] for text in dict.fromkeys([*same, *folded, *close])][:SHOWN]


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _text(value: object) -> str:
    return value[:TEXT_LIMIT] if isinstance(value, str) else str(value)[:TEXT_LIMIT]


def shown(value: object) -> str:
    """A cell as a message has it: bounded, escaped, and a number of NumPy's like any other."""
    if isinstance(value, (np.bool_, np.integer, np.floating)):
        value = value.item()
    return printable(repr(value[:TEXT_LIMIT] if isinstance(value, str) else value), limit=SHOWN_LENGTH)
