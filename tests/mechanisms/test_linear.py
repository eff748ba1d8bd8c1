"""Tests for pyrocausal.mechanisms.linear."""

import math

import numpy as np
import pytest
import torch

from pyrocausal import mechanisms as m

from .fitting import calibrate, column, encode, fit, nll, round_trip

N = 400


def data(scale=1.0, seed=0):
    """A number in natural units, a level out of three, and an outcome linear in both."""
    generator = torch.Generator().manual_seed(seed)
    number = 2000 + 30 * torch.randn(N, generator=generator)
    level = torch.randint(3, (N,), generator=generator)
    y = scale * (7 + 0.2 * number + 5 * level + 3 * torch.randn(N, generator=generator))
    return y, number, level


def least_squares(y, number, level):
    design = np.column_stack([np.ones(N), number, *(level == k for k in range(3))]).astype(float)
    return design @ np.linalg.lstsq(design, y.double().numpy(), rcond=None)[0]


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e5])
def test_starts_at_ordinary_least_squares(scale):
    y, number, level = data(scale)
    linear = m.Linear()
    given = calibrate(linear, y, number, column(level, cardinality=3))
    fitted = least_squares(y, number, level)
    sd = math.sqrt(((y.double().numpy() - fitted) ** 2).mean())
    for i in range(0, N, 40):
        distribution = linear(*(p[i] for p in given))
        assert distribution.loc.item() == pytest.approx(fitted[i], abs=1e-4 * sd)
        assert distribution.scale.item() == pytest.approx(sd, rel=1e-4)


def test_coefficients_are_in_natural_units():
    number = torch.linspace(1990, 2020, 50)
    linear = m.Linear()
    calibrate(linear, 1e4 * torch.sin(number) + 300 * number, number)
    slope, intercept = np.polyfit(
        number.double(), 1e4 * torch.sin(number).double() + 300 * number.double(), 1
    )
    torch.testing.assert_close(
        linear.coefficients, torch.tensor([slope], dtype=torch.float32), rtol=1e-4, atol=0
    )
    torch.testing.assert_close(
        linear.intercept, torch.tensor(intercept, dtype=torch.float32), rtol=1e-4, atol=0
    )


def test_training_stays_at_the_solution():
    y, number, level = data()
    parents = number, column(level, cardinality=3)
    started, trained = m.Linear(), m.Linear()
    given = calibrate(started, y, *parents)
    fit(trained, y, *parents, steps=60)
    assert nll(started, y, *given) <= nll(trained, y, *given) < nll(started, y, *given) + 0.01


def test_a_relation_without_noise_keeps_some():
    number = torch.linspace(0, 1, 50)
    linear = m.Linear()
    calibrate(linear, 3 * number, number)
    assert linear(number[0]).scale > 0
    assert nll(linear, 3 * number, number).isfinite()


def vectors(scale=(1e3, 1e-2)):
    generator = torch.Generator().manual_seed(3)
    t = torch.randn(N, generator=generator)
    e = torch.randn(N, 2, generator=generator)
    return torch.stack((t + e[:, 0], -t + e[:, 0] + 0.5 * e[:, 1]), 1) * torch.tensor(scale), t


def test_a_vector_starts_at_the_residuals_covariance():
    x, t = vectors()
    linear = m.Linear(dim=2)
    calibrate(linear, x, t)
    design = np.column_stack([np.ones(N), t]).astype(float)
    fitted = design @ np.linalg.lstsq(design, x.double().numpy(), rcond=None)[0]
    residual = x.double().numpy() - fitted
    distribution = linear(t[5])
    assert distribution.loc.detach().numpy() == pytest.approx(fitted[5], rel=1e-3)
    assert distribution.covariance_matrix.detach().numpy() == pytest.approx(
        residual.T @ residual / N, rel=1e-3
    )
    assert linear.coefficients.shape == (2, 1) and linear.intercept.shape == (2,)


def test_a_vector_whose_parts_are_collinear():
    x, t = vectors()
    x = torch.stack((x[:, 0], 2 * x[:, 0]), 1)
    linear = m.Linear(dim=2)
    calibrate(linear, x, t)
    assert nll(linear, x, t).isfinite()
    assert ((round_trip(linear, x, t) - x).abs() < 1e-5 * x.std(0)).all()


def test_one_number_in_a_vector_equals_the_scalar():
    y, number, level = data()
    scalar, vector = m.Linear(), m.Linear(dim=1)
    given = calibrate(scalar, y, number, column(level, cardinality=3))
    calibrate(vector, y[:, None], number, column(level, cardinality=3))
    torch.testing.assert_close(nll(vector, y[:, None], *given), nll(scalar, y, *given), rtol=1e-4, atol=0)
    assert encode(vector, given, N).shape == (N, 4)
