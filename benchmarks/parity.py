"""Does a converted model give what its original gives? Every cell of every golden output, counted.

    python benchmarks/parity.py [--corpus tests/corpus] [--case NAME ...] [--json parity.json]

For each file the table says how many cells were compared, how many are equal (text, truth values, categories,
identifiers and missing cells exactly; numbers and dates to the last digit), the bytes of the file and of its crate, the
seconds of the conversion, and, where cells differ, the worst difference of a number in units of the column's standard
deviation. Below it: what was not compared, what no crate holds and why, and which of the bars is missed (every cell
equal, the crate smaller than the file, nothing in it as long as the training table). The goldens were made by the
original library; the README of the corpus says how. Columns of made-up names and addresses are not compared.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import torch

import modelcrate
from corpus_files import files, measure
from modelcrate.errors import UnsupportedError
from modelcrate.tabular.draws import LegacyDraws, Reversal
from modelcrate.tabular.replay import FIXED_SEED, Replay
from modelcrate.tabular.session import Session
from modelcrate.tabular.synthesizer import Synthesizer

CORPUS = Path(__file__).resolve().parent.parent / "tests" / "corpus"
SEED = 1234
INVERSE_SEED = 99


@dataclass
class Score:
    """What was found in one golden file, or in several together."""

    cells: int = 0
    equal: int = 0
    worst: float = 0.0
    worst_at: str = ""
    problems: list[str] = field(default_factory=list)

    def add(self, other: Score) -> None:
        """Count another golden in."""
        self.cells += other.cells
        self.equal += other.equal
        if other.worst > self.worst:
            self.worst, self.worst_at = other.worst, other.worst_at
        self.problems += other.problems


def model_of(folder: Path) -> Path:
    """The legacy file of a folder, compressed or not."""
    return next(iter(sorted(folder.glob("model.*"))))


def read_golden(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A golden frame as texts (missing cells as None), and what its description says of dtypes and cell types."""
    description = json.loads(path.with_suffix("").with_suffix(".dtypes.json").read_text(encoding="utf-8"))
    names = [column["name"] for column in description["columns"]]  # pandas would name a nameless column itself
    texts = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=["\\N"], header=0, names=names).astype(object)
    return texts.where(texts.notna(), None), description


def compare(found: pd.DataFrame, path: Path, *, free: frozenset[str] = frozenset()) -> Score:
    """Compare a frame with a golden file, cell by cell; columns in ``free`` are made up anew each time."""
    texts, description = read_golden(path)
    score = Score()
    names = [column["name"] for column in description["columns"]]
    if list(found.columns) != names:
        score.problems.append(f"columns {list(found.columns)} instead of {names}")
        return score
    if len(found) != len(texts):
        score.problems.append(f"{len(found)} rows instead of {len(texts)}")
    rows = min(len(found), len(texts))
    for column in description["columns"]:
        name = column["name"]
        if name in free:
            continue
        _compare_column(found[name], texts[name].tolist(), column, rows, score)
    return score


def _compare_column(
    values: pd.Series, wanted: list[str | None], column: dict[str, Any], rows: int, score: Score
) -> None:
    name, dtype = column["name"], column["dtype"]
    if str(values.dtype) != dtype:
        score.problems.append(f"{name}: dtype {values.dtype} instead of {dtype}")
    if "cell_types" in column:
        types = dict(Counter(_cell_type(value) for value in values))
        cells: Counter[str] = Counter()  # NumPy's own text is plain text here
        for kind, count in column["cell_types"].items():
            cells["str" if kind == "str_" else kind] += count
        if types != dict(cells):
            score.problems.append(f"{name}: cells of {types} instead of {dict(cells)}")
    numeric = dtype.lower().startswith(("float", "int", "uint", "datetime"))
    numbers = [_number(text, dtype.lower()) for text in wanted] if numeric else []
    known = np.array([number for number in numbers if number is not None], dtype=np.float64)
    spread = float(known.std()) if len(known) and known.std() > 0 else 1.0
    score.cells += len(wanted)
    for row in range(rows):
        cell, text = values.iloc[row], wanted[row]
        if pd.isna(cell) or text is None:
            score.equal += bool(pd.isna(cell)) and text is None
            if bool(pd.isna(cell)) != (text is None):
                score.problems.append(f"{name}[{row}]: {cell!r} instead of {text!r}")
            continue
        if not numeric:
            score.equal += str(cell) == text
            if str(cell) != text:
                score.problems.append(f"{name}[{row}]: {cell!r} instead of {text!r}")
            continue
        expected = numbers[row]
        assert expected is not None
        given = cell.value if isinstance(cell, pd.Timestamp) else cell
        if given == expected:
            score.equal += 1
            continue
        difference = float(abs(given - expected)) / spread  # of moments, whole nanoseconds
        if not difference <= score.worst:
            score.worst, score.worst_at = difference, f"{name}[{row}]: {cell!r} instead of {text}"


def _number(text: str | None, dtype: str) -> float | int | None:
    if text is None:
        return None
    if dtype.startswith("datetime"):
        return int(np.datetime64(pd.Timestamp(text).to_datetime64(), "ns").astype(np.int64))
    if dtype.startswith(("int", "uint")):
        return int(text)
    return float(np.float32(text)) if dtype == "float32" else float(text)


def _cell_type(value: object) -> str:
    if value is None:
        return "None"
    if value is pd.NaT:
        return "NaT"
    if value is pd.NA:
        return "NA"
    if isinstance(value, (float, np.floating)) and np.isnan(value):
        return "nan:" + type(value).__name__
    return type(value).__name__


def _replay(synthesizer: Synthesizer, **options: Any) -> Replay:
    return Replay(synthesizer.core, synthesizer.table, **options)


def goldens(synthesizer: Synthesizer, case: dict[str, Any], golden: Path) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each golden output that can be made again, with what this library makes of it."""
    transformer = synthesizer.core.transformer
    state = np.random.RandomState(INVERSE_SEED)
    matrix = np.random.default_rng(7).uniform(-1, 1, (64, transformer.width)).astype("float32")
    how = Reversal(draws=LegacyDraws(state))
    modelled = transformer.inverse(matrix, how)
    yield "inverse_fixed", _frame(modelled)
    # release 0.20, whose samples can't be replayed, has no repair of rdt's rounding
    unrepaired = synthesizer.config.replay is None
    how = Reversal(draws=LegacyDraws(np.random.RandomState(INVERSE_SEED)), rounds_unlearned=unrepaired)
    yield "reverse_fixed", synthesizer.table.reverse(modelled, 64, how, Random(INVERSE_SEED))
    try:
        again = _replay(synthesizer, seed=SEED, stored=synthesizer.random_state)
    except UnsupportedError:
        return
    yield "core_sample", _frame(again.modelled(100))
    yield "sample_seeded", synthesizer.sample(200, replay=SEED)
    # the original leaves what lies outside of the model to the process's generators, which the golden seeded
    fixed = _replay(synthesizer, seed=SEED, model_seed=FIXED_SEED)
    yield "sample_fixed", synthesizer.replayed(fixed, 200)
    conditions = [(each["column_values"], each["num_rows"]) for each in case["conditions"]]
    if conditions:
        yield "sample_conditions", synthesizer.sample(conditions=conditions, replay=SEED)
        yield "sample_conditions_fixed", synthesizer.sample(conditions=conditions, replay="fixed")
    if (golden / "known.csv").exists():
        known = _read_known(golden / "known.csv")
        yield "sample_remaining", synthesizer.sample(conditions=known, replay=SEED)


def _read_known(path: Path) -> pd.DataFrame:
    description = json.loads(path.with_suffix("").with_suffix(".dtypes.json").read_text(encoding="utf-8"))
    known = pd.read_csv(path, keep_default_na=False, na_values=["\\N"])
    return known.astype({column["name"]: column["dtype"] for column in description["columns"]})


def _frame(columns: dict[str, np.ndarray]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(values, dtype=values.dtype) for name, values in columns.items()})


def _converted(folder: Path, work: Path) -> Synthesizer:
    crate = work / f"{folder.name}.crate"
    modelcrate.convert(model_of(folder), crate, overwrite=True)
    synthesizer: Synthesizer = modelcrate.load(crate)
    return synthesizer


def _compared(
    frames: Iterator[tuple[str, pd.DataFrame]], golden: Path, *, free: frozenset[str] = frozenset()
) -> dict[str, Score]:
    """Each frame with the golden of its name, if there is one; columns in ``free`` are made up anew in samples."""
    found: dict[str, Score] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # too few rows for a condition is part of some goldens
        for name, frame in frames:
            path = golden / f"{name}.csv"
            if path.exists():
                modelled = name in ("inverse_fixed", "core_sample")
                found[name] = compare(frame, path, free=frozenset() if modelled else free)
    return found


def _compared_arrays(synthesizer: Synthesizer, golden: Path, *, seed: int = SEED) -> dict[str, Score]:
    """What enters and leaves the network of a CTGAN with the goldens; of what went in, the noise alone is made."""
    arrays = read_arrays(golden)
    if "gen_in" not in arrays:
        return {}
    made = _ctgan_arrays(synthesizer, arrays, seed=seed)
    return {name: compare_arrays(array, np.atleast_2d(arrays[name])[:, : array.shape[1]], name) for name, array in made}


def score_case(folder: Path, case: dict[str, Any], work: Path) -> dict[str, Score]:
    """Convert one legacy file and compare all that its goldens allow."""
    synthesizer, golden = _converted(folder, work), folder / "golden"
    free = frozenset(field.name for field in synthesizer.table.fields if field.anonymiser is not None)
    return _compared(goldens(synthesizer, case, golden), golden, free=free)


def score_ctgan(folder: Path, case: dict[str, Any], work: Path) -> dict[str, Score]:
    """Convert one file of ctgan and compare all that its goldens allow; arrays count as cells."""
    synthesizer, golden = _converted(folder, work), folder / "golden"
    frames = _ctgan_frames(synthesizer, case)
    if synthesizer.hyperparameters["trained_on"] != "frame":
        # a model of arrays gives columns "0", "1", ...; the golden calls them c0, c1, ...
        frames = ((name, frame.add_prefix("c")) for name, frame in frames)
    return _compared(frames, golden) | _compared_arrays(synthesizer, golden)


def _ctgan_frames(synthesizer: Synthesizer, case: dict[str, Any]) -> Iterator[tuple[str, pd.DataFrame]]:
    transformer = synthesizer.core.transformer
    matrix = np.random.default_rng(7).uniform(-1, 1, (64, transformer.width)).astype("float32")
    how = Reversal(draws=LegacyDraws(np.random.RandomState(INVERSE_SEED)))
    modelled = transformer.inverse(matrix, how)
    yield "inverse_fixed", synthesizer.table.reverse(modelled, len(matrix), how, Random(INVERSE_SEED))
    for number, asked in enumerate(case["conditions"]):
        known = {asked["column"]: asked["value"]}
        yield f"sample_condition_{number}", synthesizer.sample(200, conditions=known, replay=SEED)
    try:
        yield "sample_seeded", synthesizer.sample(200, replay=SEED)
    except UnsupportedError:
        return


def _ctgan_arrays(synthesizer: Synthesizer, arrays: Any, *, seed: int = SEED) -> Iterator[tuple[str, np.ndarray]]:
    """The first batch of ``sample_seeded`` from what entered the network: noise, raw outputs, activated outputs."""
    core = synthesizer.core
    given = torch.from_numpy(arrays["gen_in"])
    stored = synthesizer.random_state
    generator = torch.Generator().manual_seed(seed) if stored is None else stored.generator()
    mean = torch.zeros((len(given), core.config.noise_dim))
    noise = torch.normal(mean, mean + 1.0, generator=generator)
    yield "gen_in", noise.numpy()
    raw = core.raw(given, None)
    yield "gen_raw", raw.numpy()
    yield "activated", core.activate(raw, generator).numpy()[: len(arrays["activated"])]
    if core.sigmas is not None:
        yield "sigmas", core.sigmas.astype(np.float32)[None]


def score_sdv17(folder: Path, case: dict[str, Any], work: Path) -> dict[str, Score]:
    """Convert one file of sdv 0.17 and compare all that its goldens allow; arrays count as cells."""
    synthesizer, golden = _converted(folder, work), folder / "golden"
    frames = _sdv17_frames(synthesizer, asked_of(case, golden))
    return _compared(frames, golden) | _compared_arrays(synthesizer, golden)


def _sdv17_frames(synthesizer: Synthesizer, case: dict[str, Any]) -> Iterator[tuple[str, pd.DataFrame]]:
    transformer = getattr(synthesizer.core, "transformer", None)
    if transformer is not None:
        matrix = np.random.default_rng(7).uniform(-1, 1, (64, transformer.width)).astype("float32")
        reversals = [
            Reversal(draws=LegacyDraws(np.random.RandomState(INVERSE_SEED)), rounds_unlearned=True) for _ in range(2)
        ]
        modelled = transformer.inverse(matrix, reversals[0])
        yield "inverse_fixed", _frame(modelled)
        yield "reverse_fixed", synthesizer.table.reverse(modelled, 64, reversals[1], Random(INVERSE_SEED))
    conditions = [(each["column_values"], each["num_rows"]) for each in case["conditions"]]
    try:
        yield "sample_seeded", synthesizer.sample(case.get("rows", 200), replay=SEED)
        fixed = _replay(synthesizer, seed=SEED, model_seed=FIXED_SEED)
        yield "sample_fixed", synthesizer.replayed(fixed, case.get("rows", 200))
        if conditions:
            yield "sample_conditions", synthesizer.sample(conditions=conditions, replay=SEED)
            fixed = _replay(synthesizer, seed=SEED, model_seed=FIXED_SEED)
            yield "sample_conditions_fixed", synthesizer.replayed(fixed, None, conditions)
    except UnsupportedError:
        return


def score_sdv(folder: Path, case: dict[str, Any], work: Path) -> dict[str, Score]:
    """Convert one file of sdv 1 or 2 and compare all that its goldens allow; arrays count as cells."""
    synthesizer, golden = _converted(folder, work), folder / "golden"
    frames = _sdv_frames(synthesizer, asked_of(case, golden))
    return _compared(frames, golden) | _compared_arrays(synthesizer, golden, seed=FIXED_SEED)


def _sdv_frames(synthesizer: Synthesizer, case: dict[str, Any]) -> Iterator[tuple[str, pd.DataFrame]]:
    transformer = getattr(synthesizer.core, "transformer", None)
    table = synthesizer.table
    if transformer is not None:
        matrix = np.random.default_rng(7).uniform(-1, 1, (64, transformer.width)).astype("float32")
        how = Reversal(draws=LegacyDraws(np.random.RandomState(INVERSE_SEED)))
        modelled = transformer.inverse(matrix, how)
        yield "inverse_fixed", _frame(modelled)
        session = Session.resume(table)
        if table.modelled is None:
            yield "reverse_fixed", table.reverse(modelled, 64, how, Random(INVERSE_SEED), session=session)
        else:
            yield "reverse_fixed", table.decode(modelled, 64, how, session)
    conditions = [(each["column_values"], each["num_rows"]) for each in case["conditions"]]
    try:
        again = synthesizer.begin_replay(SEED)
        yield "sample_seeded", synthesizer.sample(case.get("rows", 200), replay=again)
        yield "sample_twice", synthesizer.sample(case.get("again", 100), replay=again)
        if conditions:
            yield "sample_conditions", synthesizer.sample(conditions=conditions, replay=SEED)
    except UnsupportedError:
        return


def score_dgan(folder: Path, case: dict[str, Any], work: Path) -> dict[str, Score]:
    """Convert one DGAN and compare all that its goldens allow; arrays count as cells."""
    synthesizer, golden = _converted(folder, work), folder / "golden"
    made = dict(zip(("attributes", "features"), synthesizer.sample_arrays(60, replay=SEED), strict=True))
    found: dict[str, Score] = {}
    for name, array in made.items():
        if (golden / f"{name}.csv").exists():
            flat = pd.DataFrame(array.reshape(60, -1), dtype=object).add_prefix("c")
            found[name] = compare(flat, golden / f"{name}.csv")
    if (golden / "sample_seeded.csv").exists():
        found["sample_seeded"] = compare(synthesizer.sample(60, replay=SEED), golden / "sample_seeded.csv")
    arrays = read_arrays(golden)
    if "noise_feature" in arrays:
        noise = (torch.from_numpy(arrays[f"noise_{kind}"]) for kind in ("attribute", "feature"))
        names = ("raw_attributes", "raw_additional_attributes", "raw_features")
        made |= dict(zip(names, synthesizer.raw(*noise, faithful=True), strict=True))
    for name in set(arrays) & set(made):
        found[name] = compare_arrays(made[name], arrays[name], name)
    return found


def compare_arrays(found: np.ndarray, wanted: np.ndarray, name: str) -> Score:
    """Compare arrays element by element; the worst difference in standard deviations of all of them."""
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        return Score(problems=[f"{name}: {found.dtype}{found.shape} instead of {wanted.dtype}{wanted.shape}"])
    both_missing = np.isnan(found) & np.isnan(wanted) if wanted.dtype.kind == "f" else np.zeros(1, dtype=bool)
    score = Score(cells=wanted.size, equal=int(((found == wanted) | both_missing).sum()))
    if score.equal != score.cells:
        differences = np.abs(found.astype(np.float64) - wanted) / (float(wanted.std()) or 1.0)
        differences = np.where(both_missing, 0.0, differences)
        score.worst = float(differences.max())
        score.worst_at = f"{name}{[int(at) for at in np.unravel_index(differences.argmax(), found.shape)]}"
    return score


def cases(corpus: Path, family: str) -> dict[str, tuple[Path, dict[str, Any]]]:
    """The files of one folder of a corpus by name: where each lies, and what its index says of it."""
    index = json.loads((corpus / family / "index.json").read_text(encoding="utf-8"))
    return {case["name"]: (corpus / Path(case["path"]).parent, case) for case in index["cases"]}


def asked_of(case: dict[str, Any], golden: Path) -> dict[str, Any]:
    """The case without conditions that the original could not meet: then there is no golden, and an error here too."""
    return case if (golden / "sample_conditions.csv").exists() else {**case, "conditions": []}


def read_arrays(golden: Path) -> dict[str, np.ndarray]:
    """The arrays of a golden folder by name, from one archive or from a file each."""
    found = {path.stem: np.load(path) for path in sorted(golden.glob("*.npy"))}
    if (golden / "arrays.npz").exists():
        with np.load(golden / "arrays.npz") as archive:
            found |= {name: archive[name] for name in archive.files}
    return found


SCORERS: dict[str, Callable[[Path, dict[str, Any], Path], dict[str, Score]]] = {
    "actgan": score_case,
    "ctgan": score_ctgan,
    "dgan": score_dgan,
    "sdv17": score_sdv17,
    "sdv": score_sdv,
}


def report_on(file: Any, work: Path) -> dict[str, Any]:
    """All that the table says of one file."""
    if file.refused:
        try:
            modelcrate.convert(file.model, work / "refused.crate")
        except UnsupportedError as error:
            return {"refused": str(error)}
        return {"refused": None}
    cost = measure(file, work / "measured.crate")
    scores = SCORERS[file.kind](file.folder, file.case, work)
    total = Score()
    for score in scores.values():
        total.add(score)
    golden = file.folder / "golden"
    given = {path.stem for path in golden.glob("*.csv")} - {"known"}
    given |= {name for name in read_arrays(golden) if not name.startswith("noise_")} if file.kind != "actgan" else set()
    return {
        "goldens": len(scores),
        "not_repeated": sorted(given - set(scores)),
        "cells": total.cells,
        "equal": total.equal,
        "worst": total.worst,
        "worst_at": total.worst_at,
        "problems": total.problems,
        "scores": {name: vars(score) for name, score in scores.items()},
        "training_rows": file.training_rows(),
        **asdict(cost),
    }


def show(name: str, found: dict[str, Any]) -> str:
    """One line of the table."""
    if "refused" in found:
        return f"{name:34}refused: {found['refused'] or 'NOT, though it holds code'}"
    worst = "" if found["equal"] == found["cells"] else f"  {found['worst']:.3g} {found['worst_at']}"
    return (
        f"{name:34}{found['goldens']:8}{found['cells']:9}{found['equal']:9}"
        f"{found['before']:10}{found['after']:9}{found['after'] / found['before']:6.0%}{found['seconds']:8.2f}{worst}"
    )


def shortfalls(name: str, family: str, found: dict[str, Any]) -> list[str]:
    """The bars that a file misses."""
    if "refused" in found:
        return [] if found["refused"] else [f"{name}: converted, though it holds code that decides what a row is"]
    missed = [f"{name}: {problem}" for problem in found["problems"][:3]]
    if found["equal"] != found["cells"]:
        missed.append(f"{name}: {found['cells'] - found['equal']} cells differ, at most {found['worst']:.3g}")
    if found["after"] >= found["before"]:
        missed.append(f"{name}: the crate has {found['after']} bytes, the file {found['before']}")
    if found["training_rows"] is not None and found["longest"] >= found["training_rows"]:
        missed.append(f"{name}: {found['longest_at']} is as long as the training table")
    return missed


def main() -> int:
    """Print the table; 1 if a cell differs or a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=CORPUS)
    parser.add_argument("--case", action="append")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--verbose", action="store_true", help="print what differs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    report: dict[str, Any] = {}
    missed: list[str] = []
    heading = f"{'goldens':>8}{'cells':>9}{'equal':>9}{'pickle':>10}{'crate':>9}{'':6}{'seconds':>8}"
    print(f"{'file':34}{heading}  worst difference (standard deviations)")
    with tempfile.TemporaryDirectory() as work:
        chosen = [file for file in files(options.corpus) if not options.case or file.name in options.case]
        for file in [*chosen[:1], *chosen]:  # the first one twice: imports are not its conversion's seconds
            try:
                found = report_on(file, Path(work))
            except Exception as error:  # what went wrong with one file must not hide the others
                missed.append(f"{file.name}: {type(error).__name__}: {error}")
                continue
            report[f"{file.family}/{file.name}"] = {"family": file.family, **found}
        for family in dict.fromkeys(file.family for file in chosen):
            mine = {name: found for name, found in report.items() if found["family"] == family}
            for name, found in mine.items():
                print(show(name, found))
                missed += shortfalls(name, family, found)
                for golden, score in found.get("scores", {}).items() if options.verbose else ():
                    for problem in score["problems"][:12]:
                        print(f"    {golden}: {problem}")
            print(show(f"{family}: {len(mine)} files", summed(list(mine.values()))), end="\n\n")
    print(show(f"all {len(report)} files", summed(list(report.values()))))
    tell_the_rest(report)
    print("\nmissed: " + ("\n        ".join(missed) if missed else "nothing"))
    if options.json:
        options.json.write_text(json.dumps(report, indent=1), encoding="utf-8")
    return 1 if missed else 0


def summed(each: list[dict[str, Any]]) -> dict[str, Any]:
    """The line below several."""
    counted = [found for found in each if "refused" not in found]
    names = ("goldens", "cells", "equal", "before", "after", "seconds")
    total: dict[str, Any] = {name: sum(found[name] for found in counted) for name in names}
    total["before"] = total["before"] or 1
    return total | {"worst": max((found["worst"] for found in counted), default=0.0), "worst_at": ""}


def tell_the_rest(report: dict[str, Any]) -> None:
    """What was not compared, and what no crate holds, each with its reason."""
    skipped = {name: found["not_repeated"] for name, found in report.items() if found.get("not_repeated")}
    print("\nGoldens that are not compared (their notes, below, say why):" if skipped else "")
    for name, goldens in skipped.items():
        print(f"  {name}: {', '.join(goldens)}")
    reasons: dict[tuple[str, str], int] = {}
    for found in report.values():
        for what, why in {(what, why) for what, why in found.get("omitted", [])}:
            reasons[what, why] = reasons.get((what, why), 0) + 1
        for note in set(found.get("notes", [])):
            reasons[note, ""] = reasons.get((note, ""), 0) + 1
    print("\nLeft out of crates, and remarks (number of files):")
    for (what, why), count in sorted(reasons.items(), key=lambda item: -item[1]):
        print(f"  {count:4}  {what}{': ' + why if why else ''}")


if __name__ == "__main__":
    sys.exit(main())
