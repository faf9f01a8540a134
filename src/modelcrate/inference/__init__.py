"""Lean inference packages: a network, what its input and output mean, and nothing that only training needs."""

from __future__ import annotations

from modelcrate.inference.columns import Column
from modelcrate.inference.interface import TableInput, TensorInput
from modelcrate.inference.load import load_inference
from modelcrate.inference.package import InferencePackage, Interface
from modelcrate.inference.save import save_inference

__all__ = ["Column", "InferencePackage", "Interface", "TableInput", "TensorInput", "load_inference", "save_inference"]
