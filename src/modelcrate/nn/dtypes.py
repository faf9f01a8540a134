"""The dtypes of torch by the names that files use: a literal table, so that no name is ever looked up in torch."""

from __future__ import annotations

import torch

from modelcrate.errors import UsageError
from modelcrate.format.tensors import DTYPE_SIZES

_STORED: dict[str, str] = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "uint16": "U16",
    "int16": "I16",
    "uint32": "U32",
    "int32": "I32",
    "uint64": "U64",
    "int64": "I64",
    "float16": "F16",
    "bfloat16": "BF16",
    "float32": "F32",
    "float64": "F64",
    "complex64": "C64",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "float8_e8m0fnu": "F8_E8M0",
}

STORED_NAMES: dict[torch.dtype, str] = {
    getattr(torch, name): stored for name, stored in _STORED.items() if hasattr(torch, name) and stored in DTYPE_SIZES
}
"""safetensors name of every dtype that a crate can hold; an older torch lacks some of the 8-bit floats."""

DTYPES: dict[str, torch.dtype] = {stored: dtype for dtype, stored in STORED_NAMES.items()}
"""The torch dtype of a safetensors name."""

NAMED: dict[str, torch.dtype] = {str(dtype).removeprefix("torch."): dtype for dtype in STORED_NAMES}
"""The torch dtype of a name in a config (``bfloat16``)."""


def name_of(dtype: torch.dtype) -> str:
    """``bfloat16`` for ``torch.bfloat16``."""
    return str(dtype).removeprefix("torch.")


def is_real_or_complex(dtype: torch.dtype) -> bool:
    """Whether a tensor of this dtype follows its layer's dtype (and may require gradients)."""
    return dtype.is_floating_point or dtype.is_complex


def resolve_dtype(dtype: torch.dtype | str) -> torch.dtype:
    """The floating-point dtype meant by ``torch.bfloat16`` or ``"bfloat16"``; UsageError for any other."""
    found = NAMED.get(dtype) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or not found.is_floating_point or found not in STORED_NAMES:
        choices = ", ".join(name for name, known in NAMED.items() if known.is_floating_point)
        raise UsageError(f"{str(dtype)!r} is no floating-point dtype", where="dtype", hint=f"there is {choices}")
    return found
