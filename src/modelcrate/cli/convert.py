"""``modelcrate convert``: legacy files become crates, without executing them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from modelcrate.cli.output import OK, Output
from modelcrate.errors import UsageError

if TYPE_CHECKING:
    from modelcrate.legacy.convert import Conversion

EPILOG = (
    "What a crate can't carry (callbacks, code, training rows) is left out and listed, with the reason, in the "
    "manifest and on stderr. A file that needs code to be understood is refused."
)


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser(
        "convert",
        help="turn legacy pickles into crates, without executing them",
        description="Turn legacy files into crates. Nothing in them is executed or imported.",
        epilog=EPILOG,
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="OLD NEW, or OLD... together with --out")
    parser.add_argument("--out", metavar="DIR", type=Path, help="folder for the crates, named after their sources")
    parser.add_argument("--folder", action="store_true", help="write folder crates instead of single files")
    parser.add_argument("--digest", choices=("blake3", "sha256"), default="blake3", help="digest algorithm")
    parser.add_argument("--force", action="store_true", help="replace crates that exist already")
    parser.add_argument("--json", action="store_true", help="one JSON object a crate on stdout")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, output: Output) -> int:
    """Convert each source; the first failure ends the run and leaves no partial crate."""
    from modelcrate.legacy.convert import convert

    jobs = _jobs(options)
    with output.progress("converting", len(jobs)) as progress:
        for source, target in jobs:
            conversion = convert(
                source,
                target,
                overwrite=options.force,
                form="folder" if options.folder else "file",
                digest=options.digest,
            )
            _report(source, target, conversion, output)
            progress.advance(1)
    return OK


def _jobs(options: argparse.Namespace) -> list[tuple[Path, Path]]:
    paths = [Path(path) for path in options.paths]
    if options.out is None:
        if len(paths) != 2:
            raise UsageError("expected OLD NEW", hint="for several files, name a folder with --out")
        return [(paths[0], paths[1])]
    suffix = "" if options.folder else ".crate"
    targets = [options.out / (path.stem + suffix) for path in paths]
    doubled = {target.name for target in targets if targets.count(target) > 1}
    if doubled:
        raise UsageError(f"several sources would become {sorted(doubled)[0]!r}", hint="convert them one by one")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise UsageError("--out must be a folder", where=str(options.out)) from error
    return list(zip(paths, targets, strict=True))


def _report(source: Path, target: Path, conversion: Conversion, output: Output) -> None:
    omitted = [{"what": item.what, "where": item.where, "why": item.why} for item in conversion.omitted]
    if output.json:
        output.document(
            {
                "source": str(source),
                "crate": str(target),
                "identity": str(conversion.identity),
                "omitted": omitted,
                "notes": list(conversion.notes),
            }
        )
    else:
        output.line(str(target))
    for item in omitted:
        output.say(f"left out {item['what']} ({item['where']}): {item['why']}")
    for note in conversion.notes:
        output.say(f"note: {note}")
