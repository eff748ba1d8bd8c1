"""Are ranks uniform? An exact test by their whole distribution function, and its band.

T. Säilynoja, P.-C. Bürkner and A. Vehtari 2022, "Graphical test for discrete uniformity and its applications
in goodness-of-fit evaluation and multiple sample comparison", Statistics and Computing 32.
"""

from functools import lru_cache

import numpy as np
import torch

HOPELESS = 1e-9  # p-values below this are bounded and not computed


def uniformity(ranks: np.ndarray, most: int) -> float:
    r"""The p-value of the hypothesis that ranks are uniform on 0, 1, …, `most`.

    The number of ranks up to k, :math:`C_k`, is binomial; the statistic is its smallest two-sided tail
    probability over all k (Säilynoja et al. 2022, section 2). Its distribution over uniform ranks is
    computed, not simulated, so the p-value is exact; those below 1e-9 are upper bounds.

    >>> rng = np.random.default_rng(0)
    >>> uniformity(rng.integers(0, 100, 500), 99) > 0.01
    True
    >>> uniformity(rng.binomial(99, 0.5, 500), 99) < 1e-9
    True
    """
    tails = _tails(len(ranks), most)
    smallest = tails[np.arange(most), counts(ranks, most)].min()
    if most * smallest < HOPELESS:
        return float(most * smallest)  # the union bound
    return _leaving(tails > smallest * (1 + 1e-9))


def band(units: int, most: int, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of (count up to k) / units less its expectation that uniform ranks keep with chance 1 - alpha.

    They are left just if `uniformity` is at most alpha.
    """
    tails = _tails(units, most)
    inside, outside = alpha / most / 2, 1.0  # levels of the tails; bisected on a log scale
    for _ in range(25):
        middle = (inside * outside) ** 0.5
        inside, outside = (middle, outside) if _leaving(tails > middle) <= alpha else (inside, middle)
    allowed = tails > inside
    ends = allowed.argmax(1), units - allowed[:, ::-1].argmax(1)
    expected = np.arange(1, most + 1) / (most + 1)
    return ends[0] / units - expected, ends[1] / units - expected


def counts(ranks: np.ndarray, most: int) -> np.ndarray:
    """How many ranks are at most 0, 1, …, most - 1."""
    return np.bincount(ranks, minlength=most + 1).cumsum()[:-1]


@lru_cache(maxsize=4)
def _tails(units: int, most: int) -> np.ndarray:
    """Two-sided tail probabilities `(most, units + 1)` of every count up to k, k = 0 … most - 1."""
    share = torch.arange(1, most + 1, dtype=torch.double)[:, None] / (most + 1)
    binomial = torch.distributions.Binomial(units, share)
    p = binomial.log_prob(torch.arange(units + 1, dtype=torch.double)).exp().numpy()
    return 2 * np.minimum(p.cumsum(1), p[:, ::-1].cumsum(1)[:, ::-1])


def _leaving(allowed: np.ndarray) -> float:
    """The probability that the counts of uniform ranks leave `allowed`, `(most, units + 1)`, at some k.

    Ranks are independent Poisson processes, one a rank, given their total; so the probability of each count
    is carried from k to k + 1 by a convolution (Moscovich and Nadler 2017, "Fast calculation of boundary
    crossing probabilities for Poisson processes", Statistics and Probability Letters 123).
    """
    most, units = len(allowed), allowed.shape[1] - 1
    step, total = _poisson(units, units / (most + 1)), _poisson(units, units)[-1]
    reach = int(np.flatnonzero(step > 1e-18)[-1]) + 1
    p = np.zeros(units + 1)
    p[0] = 1.0
    for possible in allowed:
        p = np.convolve(p, step[:reach])[: units + 1] * possible
    return float(np.clip(1 - (p * step[::-1]).sum() / total, 0, 1))


def _poisson(units: int, rate: float) -> np.ndarray:
    number = torch.arange(units + 1, dtype=torch.double)
    return torch.distributions.Poisson(torch.tensor(rate).double()).log_prob(number).exp().numpy()
