"""What a network's scores mean: labels, probabilities, or numbers."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from modelcrate.errors import UsageError
from modelcrate.tabular.preprocessing.block import Array
from modelcrate.tabular.preprocessing.categories import Categories

Task = Literal["regression", "classification", "binary", "multilabel"]
Scores = Literal["logits", "probabilities", "log_probabilities"]

TASKS: tuple[Task, ...] = ("regression", "classification", "binary", "multilabel")
SCORES: tuple[Scores, ...] = ("logits", "probabilities", "log_probabilities")


def check_shape(scores: torch.Tensor, task: Task, classes: int | None) -> None:
    """Raise UsageError for an output, (n, ...), that does not fit the task or the count of classes."""
    shape = list(scores.shape)
    if scores.is_complex():
        raise UsageError("the network gives complex numbers", where="network")
    if task == "binary" and not (scores.ndim == 1 or (scores.ndim == 2 and shape[1] == 1)):
        raise UsageError(f"the network gives shape {shape}, a binary task needs one score a row", where="network")
    if task in ("classification", "multilabel"):
        if scores.ndim != 2 or shape[1] < 1:
            raise UsageError(f"the network gives shape {shape}, expected one score a class", where="network")
        if classes is not None and shape[1] != classes:
            raise UsageError(f"the network gives {shape[1]} scores a row, there are {classes} classes", where="network")


def probabilities(scores: torch.Tensor, task: Task, meaning: Scores) -> torch.Tensor:
    """Scores, (n, k) or (n,), as probabilities, (n, k); two of them a row for a binary task."""
    if scores.dtype != torch.float64:
        scores = scores.float()
    if task == "binary":
        scores = scores.reshape(-1)
    if meaning == "logits":
        scores = torch.softmax(scores, dim=1) if task == "classification" else torch.sigmoid(scores)
    elif meaning == "log_probabilities":
        scores = scores.exp()
    return torch.stack([1.0 - scores, scores], dim=1) if task == "binary" else scores


def labels(chances: Array, task: Task, classes: Categories | None, first_row: int) -> Array:
    """The likeliest class of each row, (n,); for a multilabel task whether each class holds, (n, k), from 0.5 up.

    Without classes, their positions. UsageError for NaN, of which no label can be made.
    """
    wrong = np.isnan(chances).any(axis=1)
    if bool(wrong.any()):
        row = first_row + int(np.flatnonzero(wrong)[0])
        raise UsageError(f"the network's scores for row {row} are not numbers", where="network")
    if task == "multilabel":
        return np.asarray(chances >= 0.5)
    places = np.argmax(chances, axis=1)
    return places if classes is None else classes.take(places)
