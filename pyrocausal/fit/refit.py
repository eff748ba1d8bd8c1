"""Bootstrap refits: many trainings on resampled rows, run together as one batched training."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pyrocausal.fit.likelihood import Inputs, SiteScores
from pyrocausal.fit.loop import Loop
from pyrocausal.fit.options import FitOptions
from pyrocausal.fit.train import drive
from pyrocausal.graph.discover import Structure
from pyrocausal.intervene import Intervention
from pyrocausal.units import Program
from pyrocausal.world import Values

EVALUATIONS = 8  # of the out-of-bag likelihood: each looks at every row for every replica


@dataclass(frozen=True)
class Refits:
    """Parameters of refits.

    Attributes:
        values: parameters and buffers by name, `(replicas, *shape)`.
        rows: which rows each refit was trained on, `(replicas, n)`.
    """

    program: Program
    values: dict[str, Tensor]
    rows: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Tensor]:
        """Puts one refit after the other into the program, and yields its rows."""
        for i, rows in enumerate(self.rows):
            with torch.no_grad():
                for name, tensor in self.program.state_dict().items():
                    tensor.copy_(self.values[name][i])
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

    Every refit starts anew: random layers, and scales and a linear fit learned from its own rows. Parameters
    outside of the toolkit's mechanisms start from where they are. `program` is changed: pass a copy.
    """
    n = len(next(iter(data.values())))
    generator = torch.Generator().manual_seed(options.seed)
    rows = torch.randint(n, (replicas, n), generator=generator)
    out_of_bag = torch.ones(replicas, n).scatter_(1, rows, 0.0)
    start = _starts(program, structure, data, sites, rows, options.seed)
    trained = {name for name, _ in program.named_parameters()}
    loop = Loop(
        SiteScores(program, structure, Intervention()),
        Inputs.of(program, structure, Intervention(), data),
        data,
        rows,
        torch.arange(n),
        {name: x.requires_grad_() for name, x in start.items() if name in trained},
        options,
        weights=out_of_bag,
        constants={name: x for name, x in start.items() if name not in trained},
        sites=sites,
        evaluations=EVALUATIONS,
    )
    drive(loop, data, options)
    loop.finish()
    return Refits(
        program, {name: x.detach() for name, x in {**loop.parameters, **loop.constants}.items()}, rows
    )


def _starts(
    program: Program, structure: Structure, data: Values, sites: Collection[str], rows: Tensor, seed: int
) -> dict[str, Tensor]:
    """Where each refit starts: parameters and buffers, `(replicas, *shape)`."""
    inputs = Inputs.of(program, structure, Intervention(), data)
    chosen = [(m, used, x, f) for m, used, x, f in inputs.each(data) if set(used) & set(sites)]
    starts = []
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for own in rows:
            for mechanism, used, x, features in chosen:
                mechanism.reset()
                every = torch.cat(
                    [own + i * len(own) for i in range(len(used))]
                )  # a shared one has all its sites' rows
                mechanism.calibrate(used[0], x[every], features[every])
            starts.append({name: tensor.clone() for name, tensor in program.state_dict().items()})
    return {name: torch.stack([start[name] for start in starts]) for name in starts[0]}
