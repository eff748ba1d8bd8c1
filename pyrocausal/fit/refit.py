"""Bootstrap refits: many trainings on resampled rows, run together as one batched training."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pyrocausal.fit.likelihood import Inputs, SiteScores, learn_scales
from pyrocausal.fit.options import FitOptions
from pyrocausal.fit.train import Loop, drive
from pyrocausal.graph.discover import Structure
from pyrocausal.intervene import Intervention
from pyrocausal.mechanisms.base import Mechanism
from pyrocausal.units import Program
from pyrocausal.world import Values

EVALUATIONS = 8  # of the out-of-bag likelihood: each looks at every row for every replica


@dataclass(frozen=True)
class Refits:
    """Parameters of refits.

    Attributes:
        parameters: by name, `(replicas, *shape)`.
        rows: which rows each refit was trained on, `(replicas, n)`.
    """

    program: Program
    parameters: dict[str, Tensor]
    rows: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Tensor]:
        """Puts one refit after the other into the program, and yields its rows."""
        for i, rows in enumerate(self.rows):
            with torch.no_grad():
                for name, p in self.program.named_parameters():
                    p.copy_(self.parameters[name][i])
            yield rows


def bootstrap(
    program: Program,
    structure: Structure,
    data: Values,
    options: FitOptions,
    *,
    replicas: int,
    sites: Collection[str],
) -> Refits:
    """Refit the mechanisms of `sites` on resamples of the rows (Efron 1979), each judged out of bag.

    Every refit starts anew, from random layers and the linear fit to all rows, in the scales of all rows;
    parameters outside of the toolkit's mechanisms start from where they are. `program` is changed: pass a
    copy.
    """
    n = len(next(iter(data.values())))
    generator = torch.Generator().manual_seed(options.seed)
    rows = torch.randint(n, (replicas, n), generator=generator)
    out_of_bag = torch.ones(replicas, n).scatter_(1, rows, 0.0)
    start = _starts(program, structure, data, sites, replicas, options.seed)
    scores = SiteScores(program, structure, Intervention())
    inputs = Inputs.of(program, structure, Intervention(), data)
    loop = Loop(
        scores,
        inputs,
        data,
        rows,
        torch.arange(n),
        start,
        options,
        weights=out_of_bag,
        sites=sites,
        evaluations=EVALUATIONS,
    )
    drive(loop, data, options)
    loop.finish()
    return Refits(program, {name: p.detach() for name, p in loop.parameters.items()}, rows)


def _starts(
    program: Program, structure: Structure, data: Values, sites: Collection[str], replicas: int, seed: int
) -> dict[str, Tensor]:
    """Where each refit starts: the parameters of freshly built layers, the random ones drawn for each."""
    inputs = Inputs.of(program, structure, Intervention(), data)
    chosen = [m for m, used, _, _ in inputs.each(data) if set(used) & set(sites)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        draws = [_rebuilt(program, chosen) for _ in range(replicas)]
    learn_scales(
        program, structure, Intervention(), data
    )  # the last build's layers: their start, and the scales of all
    start = {name: p.detach().expand(replicas, *p.shape).clone() for name, p in program.named_parameters()}
    for name in start:
        stacked = torch.stack([draw[name] for draw in draws])
        if (stacked != stacked[:1]).any():
            start[name] = stacked
    return {name: p.requires_grad_() for name, p in start.items()}


def _rebuilt(program: Program, mechanisms: list[Mechanism]) -> dict[str, Tensor]:
    for mechanism in mechanisms:
        mechanism.reset()
    return {name: p.detach().clone() for name, p in program.named_parameters()}
