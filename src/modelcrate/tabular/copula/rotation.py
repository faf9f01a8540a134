"""Plane rotations, and the singular values of two by two triangles: the scalar steps of :mod:`.factor`."""

from __future__ import annotations

import math
from math import copysign

UNIT = 2.0**-53
"""Half the distance from 1 to the next float64."""


def rotation(first: float, second: float) -> tuple[float, float, float]:
    """(c, s, r) with c first + s second = r and c second = s first.

    The sign of r is a matter of convention. This is LAPACK's up to 3.9: r is positive unless ``first`` is negative and
    the greater of the two. Later releases give r the sign of ``first``.
    """
    if second == 0.0:
        return 1.0, 0.0, first
    if first == 0.0:
        return 0.0, 1.0, second
    length = math.sqrt(first * first + second * second) or math.hypot(first, second)  # the squares may be nothing
    if abs(first) > abs(second) and first < 0.0:
        length = -length
    return first / length, second / length, length


def smallest(f: float, g: float, h: float) -> float:
    """The smaller singular value of [[f, g], [0, h]]."""
    f, g, h = abs(f), abs(g), abs(h)
    low, high = min(f, h), max(f, h)
    if low == 0.0:
        return 0.0
    plus, minus = 1.0 + low / high, (high - low) / high
    if g < high:
        ratio = (g / high) ** 2
        return low * (2.0 / (math.sqrt(plus * plus + ratio) + math.sqrt(minus * minus + ratio)))
    ratio = high / g
    if ratio == 0.0:
        return (low * high) / g
    spread = math.sqrt(1.0 + (plus * ratio) ** 2) + math.sqrt(1.0 + (minus * ratio) ** 2)
    return (low * (1.0 / spread)) * ratio * 2.0


def triangle(f: float, g: float, h: float) -> tuple[float, float, float, float]:
    """(smaller, greater, c, s) of [[f, g], [0, h]]: its signed singular values, and the rotation from the right."""
    swapped = abs(h) > abs(f)
    top, bottom = (h, f) if swapped else (f, h)
    small, great, left, right = _ordered(top, g, bottom)
    (c_left, s_left), (c_right, s_right) = left, right
    if swapped:
        (c_left, s_left), (c_right, s_right) = (s_right, c_right), (s_left, c_left)
    if abs(g) > abs(top):
        sign = copysign(1.0, s_right) * copysign(1.0, c_left) * copysign(1.0, g)
    elif swapped:
        sign = copysign(1.0, s_right) * copysign(1.0, s_left) * copysign(1.0, h)
    else:
        sign = copysign(1.0, c_right) * copysign(1.0, c_left) * copysign(1.0, f)
    return copysign(small, sign * copysign(1.0, f) * copysign(1.0, h)), copysign(great, sign), c_right, s_right


_Turn = tuple[float, float]


def _ordered(f: float, g: float, h: float) -> tuple[float, float, _Turn, _Turn]:
    """(smaller, greater, (c, s) left, (c, s) right), where abs(f) >= abs(h); singular values without their signs."""
    fa, ga, ha = abs(f), abs(g), abs(h)
    if ga == 0.0:
        return ha, fa, (1.0, 0.0), (1.0, 0.0)
    if ga > fa and fa / ga < UNIT:
        small = fa / (ga / ha) if ha > 1.0 else (fa / ga) * ha
        return small, ga, (1.0, h / g), (f / g, 1.0)
    gap = (fa - ha) / fa
    slope = g / f
    squared = slope * slope
    whole = 2.0 - gap
    s = math.sqrt(whole * whole + squared)
    r = abs(slope) if gap == 0.0 else math.sqrt(gap * gap + squared)
    mean = 0.5 * (s + r)
    if squared != 0.0:
        turn = (slope / (s + whole) + slope / (r + gap)) * (1.0 + mean)
    elif gap == 0.0:
        turn = copysign(2.0, f) * copysign(1.0, g)
    else:
        turn = g / copysign(fa - ha, f) + slope / whole
    length = math.sqrt(turn * turn + 4.0)
    c_right, s_right = 2.0 / length, turn / length
    left = ((c_right + s_right * slope) / mean, (h / f) * s_right / mean)
    return ha / mean, fa * mean, left, (c_right, s_right)
