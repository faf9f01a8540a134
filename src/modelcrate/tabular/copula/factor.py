"""The factor that NumPy's legacy multivariate normal takes of a covariance, with the signs of the original's NumPy.

NumPy multiplies standard normal numbers by ``sqrt(s)[:, None] * v`` of the singular value decomposition ``u s v``. The
rows of v have signs of no meaning, which decide the rows that come out all the same, and they differ between releases:
NumPy's wheels up to 1.23 carry a LAPACK whose plane rotations have another convention. For models of that age the
decomposition is repeated here step by step: Householder bidiagonalisation (Golub and Kahan 1965) and the implicit QR
algorithm with zero shifts (Demmel and Kahan 1990), in the order of LAPACK's ``dgebd2`` and ``dbdsqr``.
"""

from __future__ import annotations

import math
from math import copysign
from typing import Final

import numpy as np

from modelcrate.errors import FormatError
from modelcrate.tabular.copula.rotation import UNIT, rotation, smallest, triangle

WIDTH: Final = 25
"""Columns up to which LAPACK decomposes in this way; wider matrices it divides, and the installed one is taken."""
TOLERANCE: Final = max(10.0, min(100.0, UNIT**-0.125)) * UNIT
ALIKE: Final = 0.999
"""Two unit vectors whose product is beyond this are the same but for their sign."""
TINY: Final = 2.2250738585072014e-308


def factor(covariance: np.ndarray, *, early: bool) -> np.ndarray:
    """A factor R of a covariance, both float64 of shape (k, k): R.T @ R is the covariance, the signs are NumPy's.

    ``early``: those of its wheels up to 1.23, else of the one that is installed.
    """
    try:
        _, values, rows = np.linalg.svd(covariance)
    except np.linalg.LinAlgError:
        raise FormatError("the correlations have no singular values", where="joint.correlation") from None
    if early and 1 < len(covariance) <= WIDTH:
        known = _early_rows(covariance)
        agreement = (known * rows).sum(axis=1)
        alike = bool((np.abs(agreement) > ALIKE).all())  # they are not where values coincide
        rows = rows * np.sign(agreement)[:, None] if alike else known
    found: np.ndarray = np.sqrt(values)[:, None] * rows
    return found


def _early_rows(covariance: np.ndarray) -> np.ndarray:
    diagonal, beside, reflections = _bidiagonal(covariance)
    rows = _Iteration(diagonal, beside).run()
    for place in range(len(reflections) - 1, -1, -1):
        scale, direction = reflections[place]
        rows[:, place + 1 :] -= scale * np.outer(rows[:, place + 1 :] @ direction, direction)
    return rows


def _reflection(first: float, others: np.ndarray) -> tuple[float, float, np.ndarray]:
    """(beta, tau, v): the reflection 1 - tau v v' that turns (first, others) into (beta, 0)."""
    norm = float(np.linalg.norm(others)) if len(others) else 0.0
    if norm == 0.0:
        return first, 0.0, np.concatenate([[1.0], np.zeros(len(others))])
    beta = -copysign(math.hypot(first, norm), first)
    return beta, (beta - first) / beta, np.concatenate([[1.0], others / (first - beta)])


def _bidiagonal(matrix: np.ndarray) -> tuple[list[float], list[float], list[tuple[float, np.ndarray]]]:
    """The diagonal, what stands right of it, and the reflections from the right."""
    left = matrix.astype(np.float64, copy=True)
    width = len(left)
    diagonal: list[float] = []
    beside: list[float] = []
    reflections: list[tuple[float, np.ndarray]] = []
    for i in range(width):
        beta, scale, direction = _reflection(float(left[i, i]), left[i + 1 :, i])
        diagonal.append(beta)
        if i + 1 == width:
            break
        left[i:, i + 1 :] -= scale * np.outer(direction, direction @ left[i:, i + 1 :])
        beta, scale, direction = _reflection(float(left[i, i + 1]), left[i, i + 2 :])
        beside.append(beta)
        reflections.append((scale, direction))
        left[i + 1 :, i + 1 :] -= scale * np.outer(left[i + 1 :, i + 1 :] @ direction, direction)
    return diagonal, beside, reflections


class _Iteration:
    """The singular values of a bidiagonal matrix and its right singular vectors, by implicit QR sweeps."""

    def __init__(self, diagonal: list[float], beside: list[float]) -> None:
        self.d = diagonal
        self.e = beside
        self.rows = np.eye(len(diagonal))
        width = len(diagonal)
        least = reach = abs(diagonal[0])
        for i in range(1, width):
            if least == 0.0:
                break
            reach = abs(diagonal[i]) * (reach / (reach + abs(beside[i - 1])))
            least = min(least, reach)
        self.threshold = max(TOLERANCE * (least / math.sqrt(width)), 6 * width * width * TINY)

    def run(self) -> np.ndarray:
        """The vectors as rows, by falling values."""
        d, e = self.d, self.e
        width, last = len(d), len(d) - 1
        old_first, old_last, downwards = -1, -1, True
        for _ in range(12 * width * width):
            if last <= 0:
                break
            first, greatest = self._block(last)
            if first == last:
                last -= 1
                continue
            if first == last - 1:
                d[last], d[first], c, s = triangle(d[first], e[first], d[last])
                e[first] = 0.0
                upper, lower = self.rows[first].copy(), self.rows[last].copy()
                self.rows[first], self.rows[last] = c * upper + s * lower, c * lower - s * upper
                last -= 2
                continue
            if first > old_last or last < old_first:
                downwards = abs(d[first]) >= abs(d[last])
            least = self._converged(first, last, downwards)
            if least is None:
                continue
            old_first, old_last = first, last
            shift = self._shift(first, last, downwards, least / greatest)
            if shift == 0.0:
                self._plain_sweep(first, last, downwards)
            else:
                self._shifted_sweep(first, last, downwards, shift)
        return self._sorted()

    def _block(self, last: int) -> tuple[int, float]:
        """Where the block that ends at ``last`` begins, and its greatest entry."""
        greatest = abs(self.d[last])
        for i in range(last - 1, -1, -1):
            if abs(self.e[i]) <= self.threshold:
                self.e[i] = 0.0
                return i + 1, greatest
            greatest = max(greatest, abs(self.d[i]), abs(self.e[i]))
        return 0, greatest

    def _converged(self, first: int, last: int, downwards: bool) -> float | None:
        """None where an entry beside the diagonal has become nothing, else a lower bound of the least value."""
        d, e = self.d, self.e
        end, before = (last, last - 1) if downwards else (first, first)
        if abs(e[before]) <= TOLERANCE * abs(d[end]):
            e[before] = 0.0
            return None
        least = reach = abs(d[first] if downwards else d[last])
        for i in range(first, last) if downwards else range(last - 1, first - 1, -1):
            if abs(e[i]) <= TOLERANCE * reach:
                e[i] = 0.0
                return None
            reach = abs(d[i + 1] if downwards else d[i]) * (reach / (reach + abs(e[i])))
            least = min(least, reach)
        return least

    def _shift(self, first: int, last: int, downwards: bool, ratio: float) -> float:
        d, e = self.d, self.e
        if len(d) * TOLERANCE * ratio <= max(UNIT, 0.01 * TOLERANCE):
            return 0.0
        start, at = (abs(d[first]), last - 1) if downwards else (abs(d[last]), first)
        shift = smallest(d[at], e[at], d[at + 1])
        return 0.0 if start > 0.0 and (shift / start) ** 2 < UNIT else shift

    def _turn(self, at: int, c: float, s: float) -> None:
        """Rotate two neighbouring rows."""
        upper, lower = self.rows[at].copy(), self.rows[at + 1].copy()
        self.rows[at + 1] = c * lower - s * upper
        self.rows[at] = s * lower + c * upper

    def _plain_sweep(self, first: int, last: int, downwards: bool) -> None:
        d, e = self.d, self.e
        c = old_c = 1.0
        old_s = 0.0
        if downwards:
            for i in range(first, last):
                c, s, r = rotation(d[i] * c, e[i])
                if i > first:
                    e[i - 1] = old_s * r
                old_c, old_s, d[i] = rotation(old_c * r, d[i + 1] * s)
                self._turn(i, c, s)
            rest = d[last] * c
            d[last], e[last - 1] = rest * old_c, rest * old_s
            self._drop(last - 1)
            return
        for i in range(last, first, -1):
            c, s, r = rotation(d[i] * c, e[i - 1])
            if i < last:
                e[i] = old_s * r
            old_c, old_s, d[i] = rotation(old_c * r, d[i - 1] * s)
            self._turn(i - 1, old_c, -old_s)
        rest = d[first] * c
        d[first], e[first] = rest * old_c, rest * old_s
        self._drop(first)

    def _shifted_sweep(self, first: int, last: int, downwards: bool, shift: float) -> None:
        d, e = self.d, self.e
        start = d[first] if downwards else d[last]
        f = (abs(start) - shift) * (copysign(1.0, start) + shift / start)
        g = e[first] if downwards else e[last - 1]
        if downwards:
            for i in range(first, last):
                c, s, r = rotation(f, g)
                if i > first:
                    e[i - 1] = r
                f, e[i] = c * d[i] + s * e[i], c * e[i] - s * d[i]
                g, d[i + 1] = s * d[i + 1], c * d[i + 1]
                self._turn(i, c, s)
                c, s, d[i] = rotation(f, g)
                f, d[i + 1] = c * e[i] + s * d[i + 1], c * d[i + 1] - s * e[i]
                if i < last - 1:
                    g, e[i + 1] = s * e[i + 1], c * e[i + 1]
            e[last - 1] = f
            self._drop(last - 1)
            return
        for i in range(last, first, -1):
            c, s, r = rotation(f, g)
            if i < last:
                e[i] = r
            f, e[i - 1] = c * d[i] + s * e[i - 1], c * e[i - 1] - s * d[i]
            g, d[i - 1] = s * d[i - 1], c * d[i - 1]
            c, s, d[i] = rotation(f, g)
            f, d[i - 1] = c * e[i - 1] + s * d[i - 1], c * d[i - 1] - s * e[i - 1]
            if i > first + 1:
                g, e[i - 2] = s * e[i - 2], c * e[i - 2]
            self._turn(i - 1, c, -s)
        e[first] = f
        self._drop(first)

    def _drop(self, at: int) -> None:
        if abs(self.e[at]) <= self.threshold:
            self.e[at] = 0.0

    def _sorted(self) -> np.ndarray:
        values = np.array(self.d)
        negative = values < 0.0
        values[negative] *= -1.0
        self.rows[negative] *= -1.0
        for end in range(len(values) - 1, 0, -1):
            least = 0
            for i in range(1, end + 1):
                least = i if values[i] <= values[least] else least
            values[[least, end]] = values[[end, least]]
            self.rows[[least, end]] = self.rows[[end, least]]
        return self.rows
