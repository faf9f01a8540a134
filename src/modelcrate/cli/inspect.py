"""``modelcrate inspect``: what a crate holds, without building anything."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from modelcrate.cli.output import OK, Output, human_size

if TYPE_CHECKING:
    from modelcrate.inspection import ComponentSummary, Inspection

ROWS_SHOWN = 40
"""Tensors or state places listed per component unless --all is given; JSON always has all of them."""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser(
        "inspect",
        help="show what a crate holds",
        description="Show a crate's components, tensors, fitted values, hyperparameters and what was left out.",
    )
    parser.add_argument("path", metavar="CRATE", help="file or folder; with --privacy a legacy file too")
    parser.add_argument("--tensors", action="store_true", help="list the tensors")
    parser.add_argument("--state", action="store_true", help="list what the state documents hold, place by place")
    parser.add_argument("--all", action="store_true", help="list without shortening")
    parser.add_argument(
        "--privacy",
        action="store_true",
        help="list what it discloses of its training data, column by column",
    )
    parser.add_argument("--no-verify", action="store_true", help="don't compare digests first")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, output: Output) -> int:
    """Print the inspection."""
    if options.privacy:
        from modelcrate.cli.privacy import show

        return show(options.path, options, output)
    from modelcrate.inspection import inspect

    inspection = inspect(options.path, verify=not options.no_verify)
    if output.json:
        output.document(to_json(inspection))
        return OK
    manifest = inspection.manifest
    output.table(
        [
            ("crate", inspection.path or "-"),
            ("identity", str(inspection.identity)),
            ("format", f"{manifest.format_version}, {inspection.form}, {human_size(inspection.size)}"),
            ("model", manifest.model.type if manifest.model else "none"),
        ],
        indent="",
    )
    for component in inspection.components:
        _show_component(component, options, output)
    if manifest.hyperparameters:
        output.line()
        output.line("hyperparameters")
        output.table([(name, _plain(value)) for name, value in sorted(manifest.hyperparameters.items())])
    remarks = _replay_remarks(manifest.model.config) if manifest.model is not None else []
    if remarks:
        output.line()
        output.line("replay")
        for remark in remarks:
            output.line(f"  {remark}")
    if manifest.omitted:
        output.line()
        output.line("left out")
        for item in manifest.omitted:
            output.line(f"  {item.what} ({item.where}): {item.why}")
    source = manifest.provenance.source
    if source is not None:
        output.line()
        output.line(f"converted from {source.format}, {human_size(source.size)}, {source.digest}")
        if source.versions:
            output.line("  " + ", ".join(f"{name} {version}" for name, version in sorted(source.versions.items())))
    return OK


def to_json(inspection: Inspection) -> dict[str, object]:
    """The whole inspection as one JSON value; ``report`` counts incompatible revisions of this shape."""
    manifest = inspection.manifest
    return {
        "report": 1,
        "path": inspection.path,
        "form": inspection.form,
        "size": inspection.size,
        "identity": str(inspection.identity),
        "manifest": {name: value for name, value in manifest.to_json().items() if name != "seal"},
        "components": {
            component.name: {
                "role": component.role,
                "type": component.type,
                "config": dict(component.config),
                "parameters": component.parameters,
                "weights_bytes": component.weights_bytes,
                "state_bytes": component.state_bytes,
                "tensors": {
                    entry.name: {"dtype": entry.dtype, "shape": list(entry.shape)} for entry in component.tensors
                },
                "state": [{"path": item.path, "kind": item.kind, "count": item.count} for item in component.state],
            }
            for component in inspection.components
        },
    }


def _replay_remarks(config: Mapping[str, object]) -> list[str]:
    """Where the rows of the original can't be had, or are not what was asked for, by the rules of the model."""
    rules = config.get("replay", {})
    if rules is None:
        return ["not possible: the original draws on its training rows, which are not here"]
    if not isinstance(rules, Mapping):
        return []
    remarks = []
    if rules.get("unconditioned") is False:
        remarks.append(
            "with conditions only: all other rows the original draws on its training rows, which are not here"
        )
    if rules.get("misplaced") is True:
        remarks.append(
            "the original asks for the wrong category in a condition on any discrete column but the first; a replay "
            "repeats that, conditions without a replay don't"
        )
    return remarks


def _show_component(component: ComponentSummary, options: argparse.Namespace, output: Output) -> None:
    output.line()
    parts = [component.role, component.type]
    if component.weights_bytes:
        parts.append(f"{component.parameters:,} numbers in {len(component.tensors)} tensors")
        parts.append(human_size(component.weights_bytes))
    if component.state_bytes:
        parts.append(f"state {human_size(component.state_bytes)}")
    output.line(f"{component.name}: " + ", ".join(parts))
    if component.config:
        output.table([(name, _plain(value)) for name, value in sorted(component.config.items())])
    if options.tensors:
        rows = [(entry.name, entry.dtype, "×".join(map(str, entry.shape)) or "scalar") for entry in component.tensors]
        _show_rows(rows, options, output)
    if options.state:
        _show_rows([(item.path, item.count, item.kind) for item in component.state], options, output)


def _show_rows(rows: Sequence[Sequence[object]], options: argparse.Namespace, output: Output) -> None:
    shown = rows if options.all else rows[:ROWS_SHOWN]
    output.table(shown)
    if len(shown) < len(rows):
        output.line(f"  … and {len(rows) - len(shown)} more (--all)")


def _plain(value: object) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value)
