"""Markov chains: the engine "nuts".

The No-U-Turn sampler (Hoffman and Gelman 2014; multinomial, Betancourt 2017) on normal scores, for every
chain of every unit at once. Trees grow iteratively (Phan, Pradhan and Jankowiak 2019, "Composable effects for
flexible and accelerated probabilistic programming in NumPyro", app. A), so that a leap of all chains is one
pass of the program, while each keeps its own step size, tree and end. (Pyro's kernel would move all units as
one state, whose step size falls with their number, and which one unit can stall.) Two things spare warm-up:

- scores are whitened by a unit's Gaussian from `variational`, so that a step size is all that is adapted
  (Hoffman et al. 2019, "NeuTra-lizing bad geometry");
- chains start from that Gaussian's draws, weighted by the posterior (Zhang et al. 2022, "Pathfinder").
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .importance import PROPOSALS, possible
from .problem import Draws, Problem
from .scores import Scores
from .variational import STARTS, Gaussian, fitted, proposals

logger = logging.getLogger("pyrocausal")

CHAINS = 4
WARM_UP = 100
FEWEST = 100  # draws that a chain makes even where fewer are asked for: from less, R-hat says nothing
DEEPEST = 6  # a trajectory has at most 2^6 - 1 steps: whitened, few are needed
DIVERGENT = 1000.0  # loss of energy, in nats, at which a trajectory is given up
ACCEPTANCE = 0.8
GOOD_R_HAT = 1.05

Target = Callable[[Tensor], tuple[Tensor, Tensor]]  # x to its log density and gradient


def nuts(problem: Problem, count: int | None) -> Draws:
    """P(u | evidence) by Markov chains, whose draws follow one another, chain after chain."""
    scores, count = Scores(problem, "nuts"), count or PROPOSALS
    chains = max(n for n in range(1, CHAINS + 1) if count % n == 0)
    s, divergences = sampled(scores, chains, max(count // chains, FEWEST))
    mixing = r_hat(s).amax(-1)
    found = {
        "method": "nuts",
        "r_hat": mixing,
        "ess": effective_draws(s).amin(-1),
        "divergences": divergences,
        "chains": chains,
    }
    warn_if_unmixed(mixing)
    kept = torch.linspace(0, s.shape[1] - 1, count // chains).long()
    return Draws(scores.noise(s[:, kept].flatten(0, 1)), count, None, found)


def warn_if_unmixed(found: Tensor) -> None:
    bad = found > GOOD_R_HAT
    if bad.any():
        logger.warning(
            "The Markov chains of %d of %d units disagree: R-hat up to %.3f (above %.2f they have not "
            'mixed). Raise num_samples; or use method="svi" or "importance", since chains that follow '
            "gradients don't get from one mode of a posterior to another.",
            int(bad.sum()),
            len(bad),
            float(found.max()),
            GOOD_R_HAT,
        )


def sampled(scores: Scores, chains: int, draws: int) -> tuple[Tensor, int]:
    """Scores `(chains, draws, units, d)` after warm-up, and how many trajectories diverged."""
    s, q = _starts(scores, chains)
    generator = scores.problem.generator

    def target(x: Tensor) -> tuple[Tensor, Tensor]:
        value, slope = scores.slope(q.at(q.blocks(x)))
        return value, q.back(slope).flatten(-2)

    x = q.whitened(s)
    point = Point(x, x, *target(x))
    steps, found, divergences = StepSize(point.value), [], 0
    for round_ in range(WARM_UP + draws):
        adapting = round_ < WARM_UP
        point, acceptance, diverged = transition(target, point, steps.size(adapting), generator)
        if adapting:
            steps.adapt(acceptance)
        else:
            found.append(q.at(q.blocks(point.x)))
            divergences += int(diverged.sum())
    return torch.stack(found, 1), divergences


def _starts(scores: Scores, chains: int) -> tuple[Tensor, Gaussian]:
    """Where chains begin, `(chains, units, d)`, and the Gaussian that each is whitened by: its likeliest."""
    q = fitted(scores)
    s, log_weights = proposals(scores, q, PROPOSALS)
    weights = torch.softmax(possible(log_weights), 0).T
    chosen = torch.multinomial(weights, chains, replacement=True, generator=scores.problem.generator)
    units = torch.arange(len(weights))
    s = s[chosen.T, units]
    likeliest = torch.stack([q[start].log_prob(s) for start in range(STARTS)]).argmax(0)
    return s, q[likeliest, units]


# ---- the sampler: every tensor has chains and units first


class Point(NamedTuple):
    """A place in phase space: position, momentum, log density and its gradient."""

    x: Tensor
    r: Tensor
    value: Tensor
    slope: Tensor

    @property
    def energy(self) -> Tensor:
        """The log density of position and momentum."""
        return self.value - 0.5 * self.r.square().sum(-1)

    def where(self, chosen: Tensor, other: Point) -> Point:
        """This point for chains that are chosen, the other for the rest."""
        pairs = zip(self, other, strict=True)
        return Point(*(torch.where(chosen if a.dim() == 2 else chosen.unsqueeze(-1), a, b) for a, b in pairs))


class Tree(NamedTuple):
    """A stretch of trajectory."""

    end: Point
    draw: Point  # one of its points, by their weights
    weight: Tensor  # log of the sum of these, relative to where the trajectory began
    momenta: Tensor  # summed over its points
    whole: Tensor  # whether it neither turned nor diverged
    acceptance: Tensor  # summed over its points
    size: Tensor  # how many these are
    diverged: Tensor


def transition(
    target: Target, start: Point, size: Tensor, generator: torch.Generator
) -> tuple[Point, Tensor, Tensor]:
    """The next draw of every chain, the mean acceptance of its trajectory, and whether that diverged."""
    start = start._replace(r=_randn(start.x, generator))
    left = right = draw = start
    momenta, weight = start.r, torch.zeros_like(start.value)
    acceptance, points = torch.zeros_like(weight), torch.zeros_like(weight)
    growing = torch.ones_like(weight, dtype=torch.bool)
    diverged = torch.zeros_like(growing)
    for depth in range(DEEPEST):
        ahead = _rand(weight, generator) < 0.5
        signed = torch.where(ahead, size, -size)
        new = _grown(target, right.where(ahead, left), signed, depth, start.energy, growing, generator)
        taken = new.whole & (_rand(weight, generator).log() < new.weight - weight)
        draw = new.draw.where(taken, draw)
        weight = torch.where(new.whole, torch.logaddexp(weight, new.weight), weight)
        momenta = momenta + new.momenta * new.whole.unsqueeze(-1)
        right, left = new.end.where(growing & ahead, right), new.end.where(growing & ~ahead, left)
        acceptance, points = acceptance + new.acceptance, points + new.size
        diverged = diverged | new.diverged
        growing = new.whole & ~_turning(left.r, right.r, momenta)
        if not growing.any():
            break
    return draw, acceptance / points, diverged


def _grown(
    target: Target,
    end: Point,
    size: Tensor,
    depth: int,
    energy: Tensor,
    growing: Tensor,
    generator: torch.Generator,
) -> Tree:
    """2^depth further points of the chains that grow, none of whose balanced subtrees makes a U-turn.

    After point n those subtrees are checked that end there: one for each trailing 1 of n in binary. Their
    first points wait in as many slots as n / 2 has ones.
    """
    draw, momenta, weight = end, torch.zeros_like(end.r), torch.full_like(energy, -torch.inf)
    acceptance, points = torch.zeros_like(energy), torch.zeros_like(energy)
    diverged = torch.zeros_like(growing)
    whole, waiting = growing, {}
    for n in range(2**depth):
        end = _leap(target, end, size).where(whole, end)
        gain = torch.nan_to_num(end.energy - energy, nan=-torch.inf)
        total = torch.logaddexp(weight, gain)
        draw = end.where(whole & (_rand(weight, generator).log() < gain - total), draw)
        weight = torch.where(whole, total, weight)
        momenta = momenta + end.r * whole.unsqueeze(-1)
        acceptance, points = acceptance + gain.exp().clamp(max=1.0) * whole, points + whole
        diverged = diverged | (whole & (gain < -DIVERGENT))
        whole = whole & ~diverged
        slot = (n >> 1).bit_count()
        if n % 2 == 0:
            waiting[slot] = end.r, momenta - end.r
        for back in range(slot, slot - (~n & (n + 1)).bit_length() + 1, -1):
            first, before = waiting[back]
            whole = whole & ~_turning(first, end.r, momenta - before)
        if not whole.any():
            break
    return Tree(end, draw, weight, momenta, whole, acceptance, points, diverged)


def _leap(target: Target, point: Point, size: Tensor) -> Point:
    """A leapfrog step."""
    size = size.unsqueeze(-1)
    half = point.r + 0.5 * size * point.slope
    x = point.x + size * half
    value, slope = target(x)
    return Point(x, half + 0.5 * size * slope, value, slope)


def _turning(first: Tensor, last: Tensor, momenta: Tensor) -> Tensor:
    """Whether the ends of a trajectory approach one another (the momenta at its ends count by half)."""
    along = momenta - 0.5 * (first + last)
    return ((along * first).sum(-1) <= 0) | ((along * last).sum(-1) <= 0)


class StepSize:
    """Dual averaging of every chain's log step size, towards `ACCEPTANCE` (Hoffman and Gelman 2014)."""

    def __init__(self, like: Tensor):
        self.centre = math.log(5.0)  # ten times a cautious step for a standard normal
        self.error = torch.zeros_like(like)
        self.log_size = torch.full_like(like, math.log(0.5))
        self.averaged = torch.zeros_like(like)
        self.rounds = 0

    def size(self, adapting: bool) -> Tensor:
        # a standard normal's orbit takes 2π: steps beyond 1 would leap over its turns
        return (self.log_size if adapting else self.averaged).exp().clamp(max=1.0)

    def adapt(self, acceptance: Tensor) -> None:
        self.rounds += 1
        self.error = self.error + (ACCEPTANCE - acceptance - self.error) / (self.rounds + 10)
        self.log_size = self.centre - self.error * self.rounds**0.5 / 0.05
        self.averaged = self.averaged + (self.log_size - self.averaged) * self.rounds**-0.75


def _rand(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(like.shape, generator=generator, dtype=like.dtype)


def _randn(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, dtype=like.dtype)


# ---- diagnostics of many chains at once, as ArviZ defines them for one


def r_hat(x: Tensor) -> Tensor:
    """Rank-normalised split R-hat of bulk and tail (Vehtari et al. 2021), of `(chains, draws, …)`."""
    halves = _halves(x)
    folded = (halves - halves.flatten(0, 1).quantile(0.5, 0)).abs()
    return torch.maximum(_r_hat(_rank_normal(halves)), _r_hat(_rank_normal(folded)))


def _r_hat(x: Tensor) -> Tensor:
    draws = x.shape[1]
    within, between = x.var(1).mean(0), x.mean(1).var(0)
    return (between / within + (draws - 1) / draws).sqrt()


def effective_draws(x: Tensor) -> Tensor:
    """The effective sample size of the bulk (Vehtari et al. 2021), of `(chains, draws, …)`.

    Autocorrelations are summed in pairs while these are positive, and made monotone (Geyer 1992).
    """
    z = _rank_normal(_halves(x))
    chains, draws = z.shape[:2]
    spectrum = torch.fft.rfft(z - z.mean(1, keepdim=True), 2 * draws, dim=1)
    covariance = torch.fft.irfft(spectrum.abs().square(), 2 * draws, dim=1)[:, :draws].mean(0) / draws
    within = covariance[0] * draws / (draws - 1)
    correlation = 1 - (within - covariance) / (covariance[0] + z.mean(1).var(0))
    pairs = correlation[: draws // 2 * 2].unflatten(0, (-1, 2)).sum(1)
    positive = (pairs > 0).cumprod(0)
    time = 2 * (pairs.cummin(0).values * positive).sum(0) - 1
    return chains * draws / time.clamp(min=1 / math.log10(chains * draws))


def _halves(x: Tensor) -> Tensor:
    half = x.shape[1] // 2
    return torch.cat([x[:, :half], x[:, -half:]])


def _rank_normal(x: Tensor) -> Tensor:
    """Normal scores of the ranks among all draws of all chains."""
    flat = x.flatten(0, 1)
    rank = flat.argsort(0).argsort(0) + 1.0
    return torch.special.ndtri((rank.double() - 0.375) / (len(flat) + 0.25)).reshape(x.shape)
