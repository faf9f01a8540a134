"""The exponential function of numpy 1.22 to 1.24 on x86-64 with AVX-512, bit for bit on every machine.

A date that was modelled as the logarithm of nanoseconds comes back through ``exp`` at about e**36, where the last bit
is a nanosecond, and half of the last bits differ between numpy's own releases. The models that are read here were
trained, and their rows checked, with those releases.

Method and constants: Intel's SVML as numpy carries it (``svml_z0_exp_d_la.s``, BSD-3-Clause): ``x = N ln 2 + r`` with N
a multiple of 1/16 rounded down, ``exp(x) = 2**floor(N) * T[j] * (1 + p(r))`` with a polynomial of degree 6, every step
a fused multiply-add. The fused operation is emulated exactly (S. Boldo, G. Melquiond, "Emulation of a FMA and
correctly rounded sums: proved algorithms using rounding to odd", IEEE Transactions on Computers 57(4), 2008).
"""

from __future__ import annotations

from typing import Final

import numpy as np

_LOG2_E: Final = float.fromhex("0x1.71547652b82fep+0")
_LN2_HIGH: Final = float.fromhex("0x1.62e42fefa39efp-1")
_LN2_LOW: Final = float.fromhex("0x1.abc9e3b39803fp-56")
_COEFFICIENTS: Final = tuple(
    float.fromhex(text)
    for text in (
        "0x1.0000000002622p-1",
        "0x1.5555554b508a2p-3",
        "0x1.555564bb4f5f0p-5",
        "0x1.1106603d97c00p-7",
        "0x1.72eb5ef0d213dp-10",
    )
)
"""Of r**2, r**3 ... r**6."""
_THRESHOLD: Final = float.fromhex("0x1.61da04cbafe44p+9")
"""Beyond it a result over- or underflows, or nearly; numpy's plain function does for those."""
_POWERS: Final = np.array(
    [
        float.fromhex(text)
        for text in (
            "0x1.0000000000000p+0",
            "0x1.0b5586cf9890fp+0",
            "0x1.172b83c7d517bp+0",
            "0x1.2387a6e756238p+0",
            "0x1.306fe0a31b715p+0",
            "0x1.3dea64c123422p+0",
            "0x1.4bfdad5362a27p+0",
            "0x1.5ab07dd485429p+0",
            "0x1.6a09e667f3bcdp+0",
            "0x1.7a11473eb0187p+0",
            "0x1.8ace5422aa0dbp+0",
            "0x1.9c49182a3f090p+0",
            "0x1.ae89f995ad3adp+0",
            "0x1.c199bdd85529cp+0",
            "0x1.d5818dcfba487p+0",
            "0x1.ea4afa2a490dap+0",
        )
    ]
)
"""2**(j/16)."""
_SPLITTER: Final = 2.0**27 + 1


def exp(values: np.ndarray) -> np.ndarray:
    """``e ** values``: float64 of any shape as said above; other dtypes as numpy does them."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        result = np.exp(values)
        if values.dtype != np.float64:
            return np.asarray(result)
        usual = np.abs(values) < _THRESHOLD
        return np.where(usual, _usual(np.where(usual, values, 0.0)), result)


def _usual(x: np.ndarray) -> np.ndarray:
    product, error = _product(x, _LOG2_E)
    sixteenths = np.floor(16 * product)
    sixteenths -= (sixteenths == 16 * product) & (error < 0)
    n = sixteenths / 16
    r = _fused(n, -_LN2_LOW, _fused(n, -_LN2_HIGH, x))
    c2, c3, c4, c5, c6 = _COEFFICIENTS
    r2 = r * r
    p56 = _fused(r, c6, c5)
    p34 = _fused(r, c4, c3)
    p12 = _fused(r2, c2, r)
    tail = _fused(r2 * r, _fused(r2, p56, p34), p12)
    power = _POWERS[sixteenths.astype(np.int64) & 15]
    return np.asarray(np.ldexp(_fused(power, tail, power), np.floor(n).astype(np.int64)))


def _fused(a: np.ndarray, b: np.ndarray | float, c: np.ndarray | float) -> np.ndarray:
    """``a * b + c`` rounded once."""
    product, error = _product(a, b)
    upper, lower = _sum(c, error)
    total, rest = _sum(product, upper)
    return np.asarray(total + _odd_sum(rest, lower))


def _product(a: np.ndarray, b: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """The rounded product and its error (Dekker)."""
    product = a * b
    a_high, a_low = _halves(a)
    b_high, b_low = _halves(np.asarray(b))
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def _halves(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scaled = _SPLITTER * a
    high = scaled - (scaled - a)
    return high, a - high


def _sum(a: np.ndarray | float, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rounded sum and its error (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _odd_sum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The sum; where it is not exact, of the two floats around it the one with an odd last bit."""
    total, error = _sum(a, b)
    bits = np.ascontiguousarray(total).view(np.int64)
    step = np.where((error > 0) == (total > 0), 1, -1)
    return np.where((error != 0) & (bits & 1 == 0), bits + step, bits).view(np.float64)
