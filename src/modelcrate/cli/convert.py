"""``modelcrate convert``: legacy files become crates, without executing them."""

from __future__ import annotations

import argparse
import os
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

_SUFFIXES = {"crate": ".crate", "safetensors": ".safetensors", "torch": ".pt"}


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser(
        "convert",
        help="turn legacy files into crates, without executing them",
        description="Turn legacy files into crates. Nothing in them is executed or imported.",
        epilog=EPILOG,
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="OLD NEW, or OLD... together with --out")
    parser.add_argument("--out", metavar="DIR", type=Path, help="folder for the crates, named after their sources")
    parser.add_argument("--folder", action="store_true", help="write folder crates instead of single files")
    parser.add_argument(
        "--digest", choices=("blake3", "sha256"), default="blake3", help="algorithm of the digests (default: blake3)"
    )
    parser.add_argument(
        "--to",
        choices=("crate", "safetensors", "torch"),
        default="crate",
        help="what to write: a crate, the tensors alone, or a .pt that torch.load(weights_only=True) reads;"
        " for the last two a source may be a crate",
    )
    parser.add_argument(
        "--weights-only",
        action="store_true",
        help="keep the tensors alone, as one state dict under their dotted paths; the way to take the weights out of"
        " TorchScript, whose code is listed and left behind",
    )
    parser.add_argument(
        "--redact",
        metavar="WHAT",
        help="take learnt values out: min-max (the least and greatest values seen), rare-categories=5 (those of fewer"
        " than five training rows; =5/2000 of so many, =0.25%% of sampled rows); a source may then be a crate",
    )
    parser.add_argument("--force", action="store_true", help="replace files that exist already")
    parser.add_argument("--json", action="store_true", help="one JSON object a crate a line on stdout")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, output: Output) -> int:
    """Convert each source; the first failure ends the run and leaves no partial crate."""
    from modelcrate.legacy.convert import convert

    jobs = _jobs(options)
    if options.to != "crate":
        return _export(jobs, options, output)
    with output.progress("converting", len(jobs)) as progress:
        for source, target in jobs:
            conversion = convert(
                source,
                target,
                overwrite=options.force,
                form="folder" if options.folder else "file",
                digest=options.digest,
                weights_only=options.weights_only,
                redact=options.redact,
            )
            _report(source, target, conversion, output)
            progress.advance(1)
    return OK


def _export(jobs: list[tuple[Path, Path]], options: argparse.Namespace, output: Output) -> int:
    from modelcrate.legacy.export import export

    if options.folder or options.redact:
        raise UsageError("--folder and --redact are for crates", where=f"--to {options.to}")
    with output.progress("converting", len(jobs)) as progress:
        for source, target in jobs:
            done = export(source, target, to=options.to, overwrite=options.force, weights_only=options.weights_only)
            if output.json:
                output.document(
                    {
                        "source": str(source),
                        "target": str(target),
                        "tensors": done.tensors,
                        "bytes": done.nbytes,
                        "aliases": dict(done.aliases),
                        "notes": list(done.notes),
                    }
                )
            else:
                output.line(str(target))
            for name, kept in done.aliases.items():
                output.say(f"{name} is the same tensor as {kept}")
            for note in done.notes:
                output.say(f"note: {note}")
            progress.advance(1)
    return OK


def _jobs(options: argparse.Namespace) -> list[tuple[Path, Path]]:
    paths = [Path(path) for path in options.paths]
    if options.out is None:
        if len(paths) != 2:
            raise UsageError("expected OLD NEW", hint="for several files, name a folder with --out")
        return _replacing([(paths[0], paths[1])], options)
    suffix = "" if options.folder else _SUFFIXES[options.to]
    targets = [options.out / (path.stem + suffix) for path in paths]
    doubled = {target.name for target in targets if targets.count(target) > 1}
    if doubled:
        raise UsageError(f"several sources would become {sorted(doubled)[0]!r}", hint="convert them one by one")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise UsageError("--out must be a folder", where=str(options.out)) from error
    return _replacing(list(zip(paths, targets, strict=True)), options)


def _replacing(jobs: list[tuple[Path, Path]], options: argparse.Namespace) -> list[tuple[Path, Path]]:
    """The jobs, if none replaces what may not be; told before the first is done."""
    for source, target in jobs:
        if not options.force and os.path.lexists(target) and not _same(source, target):
            raise UsageError("the output exists already", where=str(target), hint="remove it or pass --force")
    return jobs


def _same(source: Path, target: Path) -> bool:
    try:
        return os.path.samefile(source, target)
    except OSError:
        return False


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
                "undisclosed": conversion.undisclosed,
            }
        )
    else:
        output.line(str(target))
    for item in omitted:
        output.say(f"left out {item['what']} ({item['where']}): {item['why']}")
    for note in conversion.notes:
        output.say(f"note: {note}")
    if conversion.undisclosed is not None:
        output.say(f"{source} discloses what the crate does not: {conversion.undisclosed}")
