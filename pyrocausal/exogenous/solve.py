"""The inverse of an increasing function: a fixed number of steps, elementwise, with the implicit gradient."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

#: Evaluations of the function: 6 to 12 bring the brackets of `numeric` to rounding error.
STEPS = 12


def invert(
    f: Callable[[Tensor], Tensor],
    slope: Callable[[Tensor], Tensor],
    target: Tensor,
    low: Tensor,
    high: Tensor,
    steps: int = STEPS,
) -> Tensor:
    """The y in ``[low, high]`` where the increasing, elementwise `f`, of derivative `slope`, equals `target`.

    Values come from `_bracketed`, without a gradient. A last Newton step, whose slope is held constant, then
    attaches the gradient of the implicit function: ``dy = (d target - df) / f'(y)``, in the target and in all
    that `f` holds.

    >>> t = torch.tensor([8.0, -1.0], dtype=torch.float64, requires_grad=True)
    >>> nine = torch.full((2,), 9.0, dtype=torch.float64)
    >>> y = invert(lambda y: y**3, lambda y: 3 * y**2, t, -nine, nine)
    >>> y.detach(), torch.autograd.grad(y.sum(), t)[0]
    (tensor([ 2., -1.], dtype=torch.float64), tensor([0.0833, 0.3333], dtype=torch.float64))
    """
    with torch.no_grad():
        low, high, goal = torch.broadcast_tensors(low.detach(), high.detach(), target.detach())
        y, other = _bracketed(lambda x: f(x) - goal, low, high, steps)
        rate = slope(y)
        rate = torch.where(rate > 0, rate, torch.inf)  # flat to rounding: no step, no gradient
    y, other, rate = y.detach(), other.detach(), rate.detach()
    newton = y - (f(y) - target) / rate
    # where f is flat to rounding the step may lead out of the bracket: then it gives the gradient only
    inside = (newton.detach() - y) * (newton.detach() - other) <= 0
    return torch.where(inside, newton, y + (newton - newton.detach()))


def _bracketed(f: Callable[[Tensor], Tensor], low: Tensor, high: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Both ends, the better first, of a bracket of the root of the increasing `f`.

    Chandrupatla (1997): inverse quadratic steps where they are trustworthy, else bisection.
    """
    a, b, c = high, low, low
    fa, fb, fc = f(a), f(b), f(b)
    t = torch.full_like(a, 0.5)
    for _ in range(steps):
        x = a + t * (b - a)
        fx = f(x)
        same = (fx > 0) == (fa > 0)
        c, fc, b, fb = (
            torch.where(same, a, b),
            torch.where(same, fa, fb),
            torch.where(same, b, a),
            torch.where(same, fb, fa),
        )
        a, fa = x, fx
        t = _next_fraction(a, b, c, fa, fb, fc)
    better = fa.abs() < fb.abs()
    return torch.where(better, a, b), torch.where(better, b, a)


def _next_fraction(a: Tensor, b: Tensor, c: Tensor, fa: Tensor, fb: Tensor, fc: Tensor) -> Tensor:
    """How far to go from a to b: by inverse quadratic interpolation where trusted, else half way."""
    xi, phi = (a - b) / (c - b), (fa - fb) / (fc - fb)
    trusted = (phi * phi < xi) & ((1 - phi) * (1 - phi) < 1 - xi)
    t = fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)
    least = (
        torch.finfo(a.dtype).eps * (a.abs() + b.abs()) / (b - a).abs().clamp(min=torch.finfo(a.dtype).tiny)
    )
    least = least.clamp(max=0.5)
    return torch.where(trusted & torch.isfinite(t), torch.minimum(torch.maximum(t, least), 1 - least), 0.5)
