"""How simple `Continuous` may be: only what depends on the parents is learned."""

import pytest
import torch
from torch.nn.functional import softplus

from pyrocausal.mechanisms import Continuous
from pyrocausal.mechanisms.power import PowerScale

from .fitting import set_up


def learned(equation, parents=2, n=2000, seed=0, repeated=False):
    """A mechanism that has looked at data of this equation, and what is free in it."""
    generator = torch.Generator().manual_seed(seed)
    features, u = torch.randn(n, parents, generator=generator), torch.randn(n, generator=generator)
    if repeated:
        rows = torch.randint(n, (n,), generator=generator)
        features, u = features[rows], u[rows]
    mechanism = Continuous()
    set_up(mechanism, *features.T)
    mechanism.learn_scales(equation(u, *features.T), features)
    return mechanism, mechanism.free.tolist()


EQUATIONS = {
    "linear": (lambda u, a, b: 5 + a - 2 * b + u, [0, 0]),
    "product": (lambda u, a, b: a * b / 2 + u, [0, 0]),
    "cubic": (lambda u, a, b: (a - 1) ** 3 / 3 + b + u, [0, 0]),
    "additive": (lambda u, a, b: 3 * torch.sin(2 * a) + softplus(b) + u, [1, 0]),
    "skewed noise": (lambda u, a, b: a + b + torch.exp(u), [1, 0]),
    "scale": (lambda u, a, b: a + torch.exp(a / 2) * u, [1, 1]),
    "shape": (lambda u, a, b: a + torch.where(a > 0, u.exp(), -u.exp()), [1, 1]),
}


@pytest.mark.parametrize("name", EQUATIONS)
@pytest.mark.parametrize("seed", range(3))
def test_only_what_depends_on_the_parents_is_free(name, seed):
    equation, free = EQUATIONS[name]
    assert learned(equation, seed=seed)[1] == free


def test_a_bootstraps_repeated_rows_are_no_evidence():
    assert learned(EQUATIONS["additive"][0], repeated=True)[1] == [1, 0]


def test_many_parents_are_not_judged():
    assert learned(lambda u, *parents: sum(parents) + u, parents=13)[1] == [1, 1]


def test_a_fit_that_hangs_on_one_row_is_not_trusted():
    def equation(u, a, b):
        a[0] = 1000.0
        return a + u

    assert learned(equation)[1] != [0, 0]


def test_a_steep_curve_with_little_noise_is_trusted():
    def equation(u, a, b):
        a.exp_()  # a row far out has most of the leverage, but the others foretell it
        return (a - 3) ** 3 + b + u

    assert learned(equation)[1] == [0, 0]


def test_a_quadratic_that_suffices_holds_where_the_parents_are_new():
    def equation(u, a, b):
        b.copy_(a + 0.3 * b)  # seen: parents of the same sign
        return a * b / 2 + 0.3 * u

    mechanism, free = learned(equation)
    new = torch.tensor([[2.0, -2.0], [-2.0, 2.0]])
    assert free == [0, 0]
    median = mechanism.distribution(new).transforms[1](
        mechanism.spline(mechanism.input_scale(new))(torch.zeros(2))
    )
    assert torch.allclose(median, torch.tensor(-2.0), atol=0.5)


def test_a_quadratic_is_a_start_only_if_it_holds_far_out():
    holds, levels_off = (
        lambda u, a, b: a * b + 0.3 * torch.sin(3 * a) + (0.2 + 0.1 * torch.sigmoid(b)) * u,
        lambda u, a, b: 4 * torch.tanh(a**2 / 2) + (0.2 + 0.1 * torch.sigmoid(b)) * u,
    )
    assert learned(holds)[0].polynomial.any()
    assert not learned(levels_off)[0].polynomial.any()


def test_a_linear_scale_forgets_the_power():
    scale, x = PowerScale(), torch.randn(500).exp()
    scale.fit(x, torch.ones(500, 1, dtype=torch.float64))
    scale.fit_linear(x.mean(), x.std())
    assert torch.allclose(scale(x), (x - x.mean()) / x.std(), atol=1e-5)
    assert torch.allclose(scale.inverse(scale(x)), x, atol=1e-4)
