"""Does the noise behind the rows look as the model says: of its law, and independent of everything else?

In an SCM, noise has a law free of the parents, and the noises are independent (Pearl 2009, section 1.4.1). So
abducted noise must have that law (Rosenblatt 1952, "Remarks on a multivariate transformation": its
distribution function is uniform), be independent of the variable's parents (else the mechanism misses how
they act), and of the others' noise (else the graph misses a common cause or an edge). Noise that is not
determined by a row, of discrete variables, is drawn from its posterior, and the same holds (randomised
quantile residuals; Dunn and Smyth 1996). With noise from a model that was fitted to the very rows, the tests
are too lenient; from one that was fitted to others, they also see what estimation got wrong.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats
from torch import Tensor

from pyrocausal.checks.dependence import (
    Column,
    bent,
    centred_distances,
    distance_correlation,
    independence,
)
from pyrocausal.checks.report import Checked, Family, Trial, not_run
from pyrocausal.checks.rows import Rows, coordinates
from pyrocausal.exogenous.law import STANDARD, Law
from pyrocausal.uniformity import band, counts, uniformity

BINS = 100  # of the unit interval, in which uniform noise is counted
MEMORY = 2e8  # numbers of all matrices of distances together

LAW = Family(
    "noise law",
    "gap of distribution functions",
    matters=0.1,
    fine="its noise has the law that the model gives it",
    todo="give the mechanism a law of more freedom: m.Continuous(), or a flow",
    small="more rows, or longer training, may mend it",
)
PARENTS = Family(
    "noise and causes",
    "correlation",
    matters=0.15,
    fine="its noise is independent of its causes",
    todo="let the mechanism bend, vary its spread or interact: m.Normal() or m.Continuous()",
    small="more rows, or longer training, may mend it",
)
OTHERS = Family(
    "noise and noise",
    "correlation",
    matters=0.15,
    fine="the noises are independent",
    todo="look for a common cause of both that the graph lacks, or an edge",
)


@dataclass(frozen=True)
class NoisePicture:
    """What `plots.noise` draws.

    Attributes:
        uniform: by variable, the noise as numbers in (0, 1); of several coordinates the one that fits worst.
        alpha: the chance that some line of a right model leaves the band.
        lines: how many coordinates there are in all.
    """

    uniform: Mapping[str, np.ndarray]
    alpha: float
    lines: int

    def band(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the differences of distribution functions of right models stay, all together."""
        units = len(next(iter(self.uniform.values())))
        return band(units, BINS - 1, self.alpha / self.lines)

    def differences(self) -> dict[str, np.ndarray]:
        """By variable, `difference` of its noise."""
        return {name: difference(uniform) for name, uniform in self.uniform.items()}


def check_noise(rows: Rows, *, most: int, alpha: float, seed: int) -> Checked:
    """The three families, each at level alpha by Holm; and the picture.

    Args:
        most: rows that are looked at.
    """
    scm = rows.scm
    unseen = [name for name in scm.graph.latent] + list(scm._model.structure.shared)
    if unseen:
        why = (
            f"the noise can't be told without '{unseen[0]}', which is inferred; "
            "pc.check_abduction checks that inference"
        )
        return [not_run(family.check, "all", why) for family in (LAW, PARENTS, OTHERS)], {}
    used = rows.some(min(most, int((MEMORY / (2 * len(scm.variables))) ** 0.5)), seed)
    noise = {
        name: uniform
        for name, u in scm.abduct(used.data, seed=seed).items()
        if not scm.variables[name].optional
        and (uniform := distribution_function(scm.variables[name].law, u)) is not None
    }
    laws, picture = _laws(noise, alpha)
    scores = {name: stats.norm.ppf(u.clip(1e-7, 1 - 1e-7)) for name, u in noise.items()}
    columns = {name: Column.of(score, bent(score)) for name, score in scores.items()}
    found = [
        *LAW.judged(laws, alpha),
        *PARENTS.judged(list(_against_parents(used, columns)), alpha),
        *OTHERS.judged(list(_against_each_other(columns)), alpha),
    ]
    return found, {"noise": picture} if picture else {}


def distribution_function(law: Law, u: Tensor) -> np.ndarray | None:
    """The distribution function of a law at its noise, `(n, coordinates)`; None if there is no noise.

    >>> import torch
    >>> distribution_function(Law("logistic", ()), torch.tensor([0.0])).tolist()
    [[0.5]]
    """
    if law.kind == "none":
        return None
    if law.kind == "joint":
        parts = [distribution_function(p, v) for p, v in zip(law.parts, law.split(u))]
        seen = [part for part in parts if part is not None]
        return coordinates(np.hstack(seen)) if seen else None
    return coordinates(STANDARD[law.kind].log_cdf(u.double()).exp().cpu().numpy())


def _laws(noise: Mapping[str, np.ndarray], alpha: float) -> tuple[list[Trial], NoisePicture | None]:
    tests, worst = [], {}
    for name, uniform in noise.items():
        bins = [(column * BINS).astype(int).clip(0, BINS - 1) for column in uniform.T]
        p = [uniformity(b, BINS - 1) for b in bins]
        at = int(np.argmin(p))
        gap = float(np.abs(difference(uniform[:, at])).max())
        meaning = "its noise has another law than the model gives it"
        tests.append(Trial(name, gap, min(1.0, min(p) * len(p)), meaning))
        worst[name] = uniform[:, at]
    if not tests:
        return [], None
    lines = sum(uniform.shape[1] for uniform in noise.values())
    return tests, NoisePicture(worst, alpha, lines)


def difference(uniform: np.ndarray) -> np.ndarray:
    """The share of numbers in (0, 1) below 1/100, 2/100 …, less what is expected."""
    bins = (uniform * BINS).astype(int).clip(0, BINS - 1)
    return counts(bins, BINS - 1) / len(uniform) - np.arange(1, BINS) / BINS


def _against_parents(rows: Rows, noise: Mapping[str, Column]) -> Iterator[Trial]:
    """A test for each variable: against every parent and all together, by Bonferroni."""
    of_parent: dict[str, Column] = {}
    for name, own in noise.items():
        parents = [p for p in rows.scm.graph.parents(name) if p in rows.values]
        if not parents:
            continue
        for parent in parents:
            if parent not in of_parent:
                of_parent[parent] = Column.of(rows.features(parent), rows.bent(parent))
        found = {parent: independence(own, of_parent[parent]) for parent in parents}
        if len(parents) > 1:
            joint = centred_distances(np.hstack([rows.features(p) for p in parents]))
            found["its causes together"] = distance_correlation(own.distances, joint)
        at = min(found, key=lambda key: found[key][1])
        number, p = found[at]
        meaning = f"its mechanism misses how {_verb(at)}: its noise still depends on that"
        yield Trial(name, number, min(1.0, p * len(found)), meaning)


def _verb(cause: str) -> str:
    return f"{cause} act" if cause == "its causes together" else f"{cause} acts"


def _against_each_other(noise: Mapping[str, Column]) -> Iterator[Trial]:
    for a, b in itertools.combinations(noise, 2):
        number, p = independence(noise[a], noise[b])
        yield Trial(f"{a}, {b}", number, p, "their noises depend on each other")
