"""The factor of a covariance: a decomposition repeated step by step, down to the signs of its rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from modelcrate.tabular.copula.factor import WIDTH, factor
from modelcrate.tabular.copula.rotation import rotation, smallest, triangle

WIDTHS = (2, 3, 5, 8, 11, 17, 22, 25)


@pytest.fixture(scope="module")
def early() -> dict[str, np.ndarray]:
    """Correlations of random tables and what NumPy 1.23.5 made of them: the factors of ``multivariate_normal``."""
    with np.load(Path(__file__).parent / "fixtures" / "factors_numpy_1_23.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_early_convention_gives_the_rows_of_numpy_1_23(width, early):
    found = factor(early[f"covariance_{width}"], early=True)
    np.testing.assert_allclose(found, early[f"factor_{width}"], atol=1e-11)


@pytest.mark.parametrize("width", WIDTHS)
def test_otherwise_the_rows_are_those_of_the_installed_numpy(width, early):
    """To the last bit: normal numbers times the factor are what its own multivariate normal draws."""
    covariance = early[f"covariance_{width}"]
    noise = np.random.RandomState(5).standard_normal((50, width))
    wanted = np.random.RandomState(5).multivariate_normal(np.zeros(width), covariance, size=50, check_valid="ignore")
    np.testing.assert_array_equal(np.dot(noise, factor(covariance, early=False)), wanted)


def test_the_conventions_differ_in_signs_alone(early):
    changed = 0
    for width in WIDTHS:
        covariance = early[f"covariance_{width}"]
        one, other = factor(covariance, early=True), factor(covariance, early=False)
        np.testing.assert_allclose(np.abs(one), np.abs(other), atol=1e-11)
        changed += not np.allclose(one, other)
    assert changed


def degenerate() -> dict[str, np.ndarray]:
    ones = np.ones((6, 6))
    isolated = 0.5 * np.eye(7) + 0.5
    isolated[2, :] = isolated[:, 2] = 0.0
    isolated[2, 2] = 1e-7
    return {
        "nothing": np.zeros((0, 0)),
        "one": np.array([[4.0]]),
        "identity": np.eye(9),
        "all-the-same": ones,
        "zero": np.zeros((4, 4)),
        "isolated": isolated,
        "tiny": 1e-12 * (np.eye(5) + 0.3 * np.ones((5, 5))),
        "wider": np.eye(WIDTH + 5) + 0.2,
    }


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("name", degenerate())
def test_a_factor_is_a_factor_whatever_the_covariance(name, early):
    covariance = degenerate()[name]
    found = factor(covariance, early=early)
    assert found.shape == covariance.shape
    np.testing.assert_allclose(found.T @ found, covariance, atol=1e-12)


def test_rotations_and_triangles_do_what_they_say():
    random = np.random.default_rng(8)
    for f, g, h in [
        *random.normal(size=(200, 3)),
        (1.0, 1e20, 2.0),
        (3.0, 0.0, -4.0),
        (0.0, 2.0, 1.0),
        (1.0, 1.0, 0.0),
    ]:
        c, s, r = rotation(float(f), float(g))
        np.testing.assert_allclose([c * f + s * g, c * g - s * f], [r, 0.0], atol=1e-12 * max(1.0, abs(g)))
        if f == 0.0:
            continue
        matrix = np.array([[f, g], [0.0, h]])
        exact = np.linalg.svd(matrix, compute_uv=False)
        small, great, c, s = triangle(float(f), float(g), float(h))
        np.testing.assert_allclose([abs(great), abs(small)], exact, rtol=1e-9, atol=1e-14)
        np.testing.assert_allclose(smallest(float(f), float(g), float(h)), exact[1], rtol=1e-9, atol=1e-14)
        turned = matrix @ np.array([[c, -s], [s, c]])
        np.testing.assert_allclose(np.linalg.norm(turned[:, 0]), exact[0], rtol=1e-9)
