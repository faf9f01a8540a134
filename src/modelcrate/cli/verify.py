"""``modelcrate verify``: is this crate whole?"""

from __future__ import annotations

import argparse

from modelcrate.cli.output import NEGATIVE, OK, Output, human_size


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser(
        "verify",
        help="check every byte of a crate",
        description="Check a crate's container, manifest, digests, checksums, tensor headers and state documents.",
        epilog="Exit code 0: whole. 1: something is wrong with it. 2: it could not be checked. It says nothing about "
        "who made the crate; pin one that you trust with --expect.",
    )
    parser.add_argument("path", metavar="CRATE", help="file or folder")
    parser.add_argument("--expect", metavar="DIGEST", help="the identity that the crate must have")
    parser.add_argument("--schemas", action="store_true", help="also hold every document against its JSON Schema")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, output: Output) -> int:
    """Print the verdict; exit code 1 where something is wrong."""
    from modelcrate.verification import verify

    verdict = verify(options.path, expect=options.expect, schemas=options.schemas)
    identity = None if verdict.identity is None else str(verdict.identity)
    if output.json:
        output.document(
            {
                "report": 1,
                "path": verdict.path,
                "ok": verdict.ok,
                "identity": identity,
                "members": verdict.members,
                "size": verdict.size,
                "problems": [
                    {"code": problem.code, "where": problem.where, "what": problem.what} for problem in verdict.problems
                ],
            }
        )
    elif verdict.ok:
        output.line(f"{options.path}: whole, {verdict.members} members, {human_size(verdict.size)}, {identity}")
    else:
        for problem in verdict.problems:
            place = problem.where or str(options.path)
            output.line(f"{place}: {problem.code}: {problem.what}")
    return OK if verdict.ok else NEGATIVE
