"""Rewriting a crate without what sampling can do without: bounds that were seen, values that few rows had.

The network stays as it is: it may have learnt what is taken out of the state documents.
"""

from __future__ import annotations

import copy
import itertools
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from modelcrate.crate import Crate
from modelcrate.crate import open as open_crate
from modelcrate.crate_writer import Form, write_crate
from modelcrate.errors import FormatError, UnsupportedError, UsageError
from modelcrate.format.digest import DEFAULT_ALGORITHM
from modelcrate.format.manifest import Manifest, Omission, Provenance
from modelcrate.format.values import Missing
from modelcrate.limits import DEFAULT, Limits
from modelcrate.storage.component import ComponentData
from modelcrate.version import __version__

if TYPE_CHECKING:
    import numpy as np

HOW: Final = "min-max, rare-categories=5, rare-categories=5/2000 or rare-categories=0.25%"
_RARE: Final = re.compile(
    r"rare-categories=([0-9]{1,9})(?:/([0-9]{1,12}))?|rare-categories=([0-9]{1,3}(?:\.[0-9]{1,6})?)%"
)
_STAND_IN: Final = re.compile(r"\(rare [0-9]{1,7}\)")
_BOUNDS: Final = ("minimum", "maximum", "bounds")
ROWS_LIMIT: Final = 10_000_000
"""Rows of a training table that shares are tried to be explained with."""
LEAST_LIMIT: Final = 10_000
"""Rows of the rarest category that are tried."""
CELLS_LIMIT: Final = 1 << 21
"""Numbers that are looked at to explain one column: of many categories, the rarest has few rows."""
EXACT: Final = 1e-7
"""How far a number of rows may miss a whole one where the rows are looked for."""
RELATIVE: Final = 1e-11
"""What the rounding of shares adds to that, relatively."""
NEAR: Final = 0.01
"""A centre or a scale this near to an end, or to the range, tells it; as a part of the range."""
SAME: Final = 1e-6
"""Ends this near to round numbers are round, as a part of the range; copulas adds 1e-7 to both."""
WHOLE: Final = 1e-3
"""How far it may where they are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redaction:
    """What is taken out: ``bounds``; categories of fewer than ``count`` (of ``rows``) or of less than ``share``."""

    bounds: bool = False
    count: int | None = None
    rows: int | None = None
    share: float | None = None

    @classmethod
    def parse(cls, text: str) -> Redaction:
        """Read ``min-max,rare-categories=5``. Raises :class:`UsageError` for anything else."""
        given: dict[str, Any] = {}
        for part in text.split(","):
            rare = _RARE.fullmatch(part.strip())
            if part.strip() == "min-max":
                given["bounds"] = True
            elif rare is not None and rare.group(3) is not None:
                given["share"] = float(rare.group(3)) / 100
            elif rare is not None:
                given["count"] = int(rare.group(1))
                given["rows"] = None if rare.group(2) is None else int(rare.group(2))
            else:
                raise UsageError(
                    f"{part.strip()!r} is nothing that can be taken out", where="redact", hint=f"use {HOW}"
                )
        return cls(**given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Redacted:
    """The new crate's manifest, and what was taken out of it and what sampling loses by that."""

    manifest: Manifest
    omitted: tuple[Omission, ...]


def redact(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    what: str,
    *,
    overwrite: bool = False,
    form: Form = "file",
    digest: str = DEFAULT_ALGORITHM,
    limits: Limits = DEFAULT,
) -> Redacted:
    """Write the tabular crate ``source`` anew as ``target``, without ``what`` (``min-max,rare-categories=5``).

    Raises :class:`UsageError` where ``what`` is not understood, :class:`UnsupportedError` where a column would be left
    without sense, each such column named, and as :func:`modelcrate.load` and the writer do.
    """
    redaction = Redaction.parse(what)
    with open_crate(source, limits=limits) as crate:
        documents = {part.name: copy.deepcopy(part.state) for part in crate.values() if part.has_state}
        omitted = list(_redacted(crate, documents, redaction))
        try:
            _check(documents)
        except FormatError as error:
            what = f"nothing sensible would be left: {error}"
            raise UnsupportedError(what, where=error.where, hint="redact less") from error
        model = crate.manifest.model
        old = crate.manifest.provenance
        manifest = write_crate(
            target,
            components=[
                ComponentData(
                    name=part.name,
                    role=part.role,
                    type=part.type,
                    config=part.config,
                    tensors=part.data if part.has_weights else None,
                    state=documents.get(part.name),
                )
                for part in crate.values()
            ],
            model=None if model is None else (model.type, model.config),
            hyperparameters=crate.manifest.hyperparameters,
            omitted=[*crate.manifest.omitted, *omitted],
            provenance=Provenance(producer={"modelcrate": __version__}, source=old.source, created_by=old.created_by),
            form=form,
            digest=digest,
            overwrite=overwrite,
            limits=limits,
        )
    return Redacted(manifest=manifest, omitted=tuple(omitted))


def _redacted(crate: Crate, documents: dict[str, dict[str, Any]], redaction: Redaction) -> Iterator[Omission]:
    tabular = [part.name for part in crate.values() if part.type.startswith("tabular.") and part.name in documents]
    if "table" not in tabular:
        raise UnsupportedError("only crates of tables can be redacted", where=crate.path or "crate")
    _check(documents)
    if redaction.bounds:
        columns = {column for name in tabular for column in _unbounded(documents[name])}
        if columns:
            yield Omission(
                what="the least and greatest values seen",
                where=", ".join(sorted(columns)),
                why="redacted; sampled numbers are no longer kept inside of the range of the training data",
            )
        moved = {column for document in documents.values() for column in _blunted(document)}
        if moved:
            yield Omission(
                what="the ends of distributions",
                where=", ".join(sorted(moved)),
                why="redacted; moved outwards to round numbers, and sampled numbers may lie a little further out",
            )
    if redaction.count is not None or redaction.share is not None:
        rare = _rare(documents, redaction)
        counted = {column for column, _, shares in _categorical(documents) if shares is not None}
        for column, replaced in rare.items():
            few = "that few rows had" if column in counted else "(how often each occurred is not known)"
            yield Omission(
                what=f"{len(replaced)} categories {few}",
                where=column,
                why="redacted; rows that would have had them say '(rare 1)', '(rare 2)' ... instead, and they can't be"
                " asked for by a condition",
            )
        for name in tabular:
            _replace(documents[name], rare)


def _maps(document: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Every map of a document with the column it is about; its values are looked at when it has been dealt with."""
    pending: list[tuple[Any, str]] = [(document, "")]
    while pending:
        value, column = pending.pop()
        if isinstance(value, list):
            pending.extend((item, column) for item in value)
        if isinstance(value, dict):
            column = value["name"] if isinstance(value.get("name"), str) else column
            yield value, column
            pending.extend((item, column) for item in value.values())


def _unbounded(document: Any) -> Iterator[str]:
    """Take the bounds out of a document; the columns that had any."""
    for value, column in _maps(document):
        for key in _BOUNDS:
            if value.get(key) is not None and (key != "bounds" or value.get("type") == "timestamp"):
                yield column
                if key == "bounds":
                    del value[key]
                else:
                    value[key] = None


def _blunted(document: Any) -> Iterator[str]:
    """Move the ends of distributions, which are the least and greatest values seen; the columns that had any.

    A truncated normal distribution tells them in scales from its centre, which may be one of them as well.
    """
    for value, column in _maps(document):
        family = value.get("type")
        if family not in ("uniform", "truncated_normal"):
            continue
        loc, scale = value["loc"], value["scale"]
        low, high = (0.0, 1.0) if family == "uniform" else (value["low"], value["high"])
        least, greatest = loc + low * scale, loc + high * scale
        lower, upper = _outwards(least, greatest)
        if max(least - lower, upper - greatest) <= SAME * (upper - lower):
            continue
        near = NEAR * (greatest - least)
        if abs(scale - (greatest - least)) <= near:
            scale = upper - lower
        if abs(loc - least) <= near:
            loc = lower
        elif abs(loc - greatest) <= near:
            loc = upper
        value.update(loc=loc, scale=scale)
        if family == "truncated_normal":
            value.update(low=(lower - loc) / scale, high=(upper - loc) / scale)
        yield column


def _outwards(least: float, greatest: float) -> tuple[float, float]:
    """The next round numbers outside of both, a tenth to a fifth of their distance apart; round ones stay."""
    while greatest > least:
        slack = SAME * (greatest - least)
        power = 10.0 ** math.floor(math.log10((greatest - least - slack) / 10.0))
        step = next(power * digit for digit in (1, 2, 5, 10) if power * digit >= (greatest - least - slack) / 10.0)
        found = math.floor((least + slack) / step) * step, math.ceil((greatest - slack) / step) * step
        if max(abs(found[0] - least), abs(found[1] - greatest)) <= slack:
            return found
        least, greatest = found
    return least, greatest


def _rare(documents: Mapping[str, dict[str, Any]], redaction: Redaction) -> dict[str, dict[str, str]]:
    """By column: what stands in for each rare category. Raises :class:`UnsupportedError` where that has no sense."""
    found: dict[str, dict[str, str]] = {}
    senseless: list[str] = []
    rows = redaction.rows
    for column, encoding, shares in _categorical(documents):
        categories = encoding["categories"]
        if shares is None:
            rare = list(range(len(categories)))  # how often its values occurred is not known
        elif redaction.share is not None:
            rare = [code for code, share in enumerate(shares) if share < redaction.share]
        else:
            rows = _rows(documents) if rows is None else rows
            rare = [code for code, count in enumerate(_counts(shares, rows)) if round(count) < (redaction.count or 0)]
        rare = [code for code in rare if not _says_nothing(categories[code])]
        if not rare:
            continue
        if any(type(categories[code]) is not str for code in rare):
            senseless.append(f"{column!r} (its categories are no texts, nothing can stand in for one)")
        elif shares is not None and len(rare) == len(categories):
            senseless.append(f"{column!r} (every category is rare)")
        else:
            names = (f"(rare {number})" for number in itertools.count(1))
            free = (name for name in names if name not in categories)
            found[column] = {categories[code]: next(free) for code in rare}
    constrained = _constrained(documents) & set(found)
    senseless += [f"{column!r} (a constraint lists its values)" for column in sorted(constrained)]
    if senseless:
        raise UnsupportedError(
            f"nothing sensible would be left of {', '.join(senseless)}",
            where="rare-categories",
            hint="train without these columns, or choose a lower number",
        )
    return found


def _categorical(documents: Mapping[str, dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any], np.ndarray | None]]:
    """(column, its encoding, the share of rows of each category or None where that is not known)."""
    import numpy as np

    table = documents["table"]
    inner = {
        output
        for column in table["columns"]
        if column["encoding"]["type"] != "identity"
        for output in column["outputs"]
    }
    for column in table["columns"]:
        encoding = column["encoding"]
        if "categories" in encoding:
            ends, starts = encoding.get("ends"), encoding.get("starts")
            if starts is None and ends is not None:
                starts = np.concatenate([[0.0], ends[:-1]])
            yield column["name"], encoding, None if ends is None else np.asarray(ends) - np.asarray(starts)
    sampled = dict(_sampled(documents.get("sampler", {"columns": []})))
    for column in documents.get("transformer", {"columns": []})["columns"]:
        if "categories" in column["encoding"] and column["name"] not in inner:
            yield column["name"], column["encoding"], sampled.get(column["name"])


def _sampled(sampler: Mapping[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    import numpy as np

    start = 0
    for column in sampler["columns"]:
        stop = start + column["categories"]
        shares = np.diff(sampler["cumulative"], prepend=0.0)[start:stop]
        yield column["name"], shares / (shares.sum() or 1.0)
        start = stop


def _rows(documents: Mapping[str, dict[str, Any]]) -> int:
    """The fewest training rows that explain all shares. Raises :class:`UsageError` where no number does."""
    columns = [shares for _, _, shares in _categorical(documents) if shares is not None and len(shares) > 1]
    found = [_explained(shares) for shares in columns]
    common = set[int].intersection(*found) if found else set()
    if not common:
        raise UsageError(
            "the crate does not say how many rows it was trained on",
            where="rare-categories",
            hint="say it, as rare-categories=5/2000, or give a share, as rare-categories=0.25%",
        )
    return min(common)


def _explained(shares: np.ndarray) -> set[int]:
    """Numbers of rows for which every category has a whole number of them, by its share or by that of its logarithm.

    Samplers may hold shares of log(count + 1), as CTGAN trains with (section 4.3 of the paper).
    """
    import numpy as np

    positive = shares[shares > 0]
    if not len(positive) or not np.isfinite(shares).all():
        return set()
    least = np.arange(1, min(LEAST_LIMIT, max(CELLS_LIMIT // len(shares), 1)) + 1)[:, None]
    smallest = positive.min()
    found: set[int] = set()
    for counts in (least * (shares / smallest), np.expm1(np.log1p(least) * np.minimum(shares / smallest, 60.0))):
        with np.errstate(over="ignore", invalid="ignore"):
            near = (np.abs(counts - np.round(counts)) <= EXACT + RELATIVE * counts).all(axis=1)
            totals = counts.sum(axis=1)
        found |= {round(float(total)) for total in totals[near] if total <= ROWS_LIMIT}
    return found


def _counts(shares: np.ndarray, rows: int) -> np.ndarray:
    """How many of ``rows`` each category had: whichever of share and logarithm gives whole numbers, else the lesser."""
    import numpy as np

    if not float(shares.max()) > 0.0:
        return np.zeros(len(shares))
    low, high = 0.0, np.log1p(rows) / float(shares.max())
    for _ in range(200):  # the sum of all rises with the scale; halving the interval finds it
        scale = (low + high) / 2
        low, high = (scale, high) if float(np.expm1(shares * scale).sum()) < rows else (low, scale)
    plain: np.ndarray = shares * rows
    logarithmic: np.ndarray = np.expm1(shares * high)
    for counts in (plain, logarithmic):
        if (np.abs(counts - np.round(counts)) < WHOLE).all():
            return counts
    lesser: np.ndarray = np.minimum(plain, logarithmic)
    return lesser


def _constrained(documents: Mapping[str, dict[str, Any]]) -> set[str]:
    """Columns whose values a constraint lists."""
    found: set[str] = set()
    for constraint in documents["table"]["constraints"]["constraints"]:
        if "combinations" in constraint:
            found |= {*constraint["columns"], constraint["joint"]}
    return found


def _replace(document: Any, rare: Mapping[str, Mapping[str, str]]) -> None:
    """Put the stand-ins where the rare categories are: in lists under ``categories`` and ``fallbacks``."""
    for value, column in _maps(document):
        for key in ("categories", "fallbacks"):
            if isinstance(value.get(key), list) and column in rare:
                stands = rare[column]
                value[key] = [stands.get(item, item) if type(item) is str else item for item in value[key]]


def _says_nothing(value: object) -> bool:
    """Whether a category is of no row: a missing cell, one of the two that any boolean column has, or a stand-in."""
    import numpy as np

    stands = isinstance(value, str) and _STAND_IN.fullmatch(value) is not None
    return stands or isinstance(value, (bool, np.bool_)) or _is_missing(value)


def _is_missing(value: object) -> bool:
    return value is None or isinstance(value, Missing) or value != value  # noqa: PLR0124 - NaN alone differs from itself


def _check(documents: Mapping[str, dict[str, Any]]) -> None:
    """Read what is looked at here as a loader will. Raises :class:`FormatError` and :class:`MismatchError` as that."""
    from modelcrate.tabular.fit import check_parts
    from modelcrate.tabular.sampler import ConditionalSampler
    from modelcrate.tabular.table import Table
    from modelcrate.tabular.transformer import Transformer

    table = Table.from_document(documents["table"], "table")
    if documents.keys() & {"transformer", "sampler"}:  # a copula has neither
        for name in {"transformer", "sampler"} - documents.keys():
            raise FormatError(f"a synthesizer without a {name}", where="manifest.components")
        check_parts(
            transformer=Transformer.from_document(documents["transformer"], "transformer"),
            sampler=ConditionalSampler.from_document(documents["sampler"], "sampler"),
            table=table,
        )
