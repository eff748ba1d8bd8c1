"""Maximum likelihood training of a fully observed SCM, and what every training does around its loop."""

from __future__ import annotations

import logging

import torch
from torch import Tensor
from tqdm.auto import tqdm

from pyrocausal.errors import FitError
from pyrocausal.fit import checkpoint
from pyrocausal.fit.likelihood import Inputs, SiteScores, learn_scales, refuse_unseen_parameters
from pyrocausal.fit.loop import Loop, rows_of
from pyrocausal.fit.options import FitOptions, History
from pyrocausal.graph.discover import Structure
from pyrocausal.intervene import Hard, Intervention, Policy, Shift
from pyrocausal.units import Program
from pyrocausal.world import Values

logger = logging.getLogger("pyrocausal")


@torch.enable_grad()
def train(
    program: Program, structure: Structure, intervention: Intervention, data: Values, options: FitOptions
) -> History:
    """Maximum likelihood on `data` (observed variables, `(units, *event)`); sets the program's parameters."""
    if options.device:
        program.to(options.device)
    device = next(program.parameters()).device
    data = {name: x.to(device) for name, x in data.items()}
    training, held = split(len(next(iter(data.values()))), options)
    scores = SiteScores(program, structure, intervention)
    try:
        learn_scales(program, structure, intervention, rows_of(data, training))
        inputs = Inputs.of(program, structure, intervention, data)
        refuse_unseen_parameters(scores(rows_of(data, training[:2]), list(data)), program)
        chosen = program.select(options.only)
        loop = Loop(scores, inputs, data, training, held, chosen, options)
        drive(loop, data, options)
        for site in loop.unfinished():
            logger.warning(
                "The training of '%s' has not converged: pass more epochs or a larger learning_rate, and "
                "standardise what a network of your own takes and gives.",
                site,
            )
        loop.finish()
    finally:
        program.zero_grad()
    return loop.history()


def drive(loop: Loop, data: Values, options: FitOptions) -> None:
    """Run a loop to its end, with a progress bar and, if asked for, checkpoints."""
    mark = checkpoint.fingerprint(data, options) if options.checkpoint else None
    if options.checkpoint and mark:
        checkpoint.resume(options.checkpoint, loop, mark)
    with tqdm(
        total=loop.steps, initial=loop.step, disable=not options.progress, desc="fit", unit="step"
    ) as bar:
        if loop.step == 0:
            loop.evaluate()  # the start is a candidate too: for a linear mechanism it is hard to beat
        while loop.step < loop.steps and loop.active:
            loop.advance()
            bar.update()
            if loop.due:
                bar.set_postfix_str(f"held-out nll {loop.evaluate():.4g}")
                if options.checkpoint and mark:
                    checkpoint.write(options.checkpoint, loop, mark)
        bar.update(loop.steps - bar.n)


def split(rows: int, options: FitOptions) -> tuple[Tensor, Tensor]:
    """(training rows, held-out rows), shuffled by the seed."""
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(options.seed))
    held = min(max(50, int(options.validation * rows)), rows // 2) if options.validation else 0
    return order[held:], order[:held]


def check_trainable(program: Program, intervention: Intervention, data: Values) -> None:
    """Errors for what can't be trained."""
    for _, _, name, action in intervention.items():
        if not isinstance(action, (Shift, Policy)) and not (isinstance(action, Hard) and not action.per_unit):
            raise FitError(
                f"a submodel with this action on '{name}' can't be trained",
                why="its value differs from unit to unit, and batches are drawn at random",
                fix="train the model itself, or a submodel with one value for all units",
            )
    if not any(p.requires_grad for p in program.parameters()):
        raise FitError(
            "the program has no parameters to train",
            why="all its distributions are fixed numbers",
            fix="use mechanisms, torch modules or pyro.param in it, or ask without fitting",
        )
    rows = len(next(iter(data.values())))
    if rows < 10:
        raise FitError(f"{rows} rows are too few to fit to", fix="pass at least 10")
