"""What turns raw columns into a network's input, and back: fitted numbers as data, no library of their own needed."""

from __future__ import annotations

from modelcrate.tabular.preprocessing.base import Expected, Step
from modelcrate.tabular.preprocessing.block import Block
from modelcrate.tabular.preprocessing.channels import Channels
from modelcrate.tabular.preprocessing.compose import Branch, Branches, Chain, Keep, read
from modelcrate.tabular.preprocessing.encode import OneHot, Ordinal
from modelcrate.tabular.preprocessing.impute import Impute
from modelcrate.tabular.preprocessing.scale import Rescale, Standardise
from modelcrate.tabular.preprocessing.scikit import feature_names, from_scikit, is_scikit

__all__ = [
    "Block",
    "Branch",
    "Branches",
    "Chain",
    "Channels",
    "Expected",
    "Impute",
    "Keep",
    "OneHot",
    "Ordinal",
    "Rescale",
    "Standardise",
    "Step",
    "feature_names",
    "from_scikit",
    "is_scikit",
    "read",
]
