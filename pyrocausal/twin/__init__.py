"""`twin`: the factual world and others beside it as one Pyro program, for any Pyro inference.

The factual world is the program itself: evidence makes a site observed, what is not in the evidence stays an
ordinary sample site, and a likelihood counts once. Then the program runs again for each world, its sites
pushed from the noise that is pulled out of the factual run. They are deterministic, so no inference moves
them: whatever it finds for the factual world, the others follow.

One unit needs no plate. Several do, and there a program about one may mean something else: see `layout`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn

from pyrocausal.errors import InterventionError, ProgramError
from pyrocausal.intervene import Action, Hard, Intervention, Natural
from pyrocausal.scm import SCM
from pyrocausal.table import Table, read
from pyrocausal.world import Values

from .layout import UnitsPlate, layout_of
from .passes import Factual, TwinWorlds

__all__ = ["Twin", "twin"]


def twin(program: Callable[[], Any] | SCM, do: Mapping[str, Any]) -> Twin:
    """Several worlds as one Pyro program: evidence in the factual world, outcomes in the others.

    Args:
        program: a program about one unit, or an `SCM`, fitted if it is to be; its parameters are shared.
        do: actions, as in `SCM.do`: `{"x": 1.0}`; or several named worlds, `{"high": {"x": 1.0}, "low": …}`.

    Returns:
        A Pyro program that takes the evidence (see `Twin`). Its sites are the program's own, and for every
        world the deterministic sites `"y@high"` (`"y@do"` where the one world has no name).

    Raises:
        UnknownVariable: a name in `do` that is no variable.
        InterventionError: an action that can't be done, or `program` is already a submodel.

    >>> import pyro, pyro.distributions as dist, pyrocausal as pc
    >>> from pyro.infer import MCMC, NUTS, Predictive
    >>> def program():
    ...     z = pyro.sample("z", dist.Normal(0.0, 1.0))
    ...     x = pyro.sample("x", dist.Normal(z, 1.0))
    ...     pyro.sample("y", dist.Normal(2 * x + z, 1.0))
    >>> model = pc.twin(program, do={"high": {"x": 1.0}, "low": {"x": -1.0}})
    >>> pyro.set_rng_seed(0)
    >>> mcmc = MCMC(NUTS(model), num_samples=20, warmup_steps=20, disable_progbar=True)
    >>> mcmc.run({"x": 0.0, "y": 3.0})                       # z is latent
    >>> draws = Predictive(model, mcmc.get_samples(), return_sites=["y@high", "y@low"])({"x": 0.0, "y": 3.0})
    >>> draws["y@high"].mean(), draws["y@low"].mean()        # the same unit: z and the noise of y are kept
    (tensor(5.), tensor(1.))
    """
    scm = program if isinstance(program, SCM) else SCM(program)
    if scm._intervention.names:
        raise InterventionError(
            f"twin takes a model, and this is a submodel, under do({', '.join(scm._intervention.names)})",
            why="evidence is read in the world without actions",
            fix="pass the SCM without do, and name these actions in every world of do=",
        )
    return Twin(
        scm, {name: scm.do(acts)._intervention if acts else Intervention() for name, acts in _named(do)}
    )


class Twin(nn.Module):
    """What `twin` returns: a Pyro program of the evidence.

    Its parameters are those of the SCM. Like those of any torch module they are no Pyro parameters: `SVI`
    fits the guide and leaves them alone; `Trace_ELBO()(model, guide)` and a torch optimiser train both.

    Call it with the evidence, a DataFrame or a mapping of variable to one unit's value or per-unit values
    `(n, *event)`. What is not in the evidence is latent, an ordinary sample site. One unit's sites have the
    variables' own shapes; n units stand in a plate named "units", left of the program's own plates (its
    `max_plate_nesting` says how many dimensions plates take up then). Weights that units share (`pc.units()`)
    stand outside of it, latent with their prior. Returns the worlds' values.

    A world costs a run of the program. Inference needs none: infer with one, and predict with many.

    Raises:
        UnknownVariable: evidence that is no variable.
        EvidenceError: evidence that contradicts a computed variable.
        ProgramError: several units (or one, of which inference takes several values at once) of a program
            that goes wrong on axes in front of a unit's own; the error names the site.
    """

    def __init__(self, scm: SCM, worlds: Mapping[str, Intervention]):
        super().__init__()
        self.program, self.structure, self.worlds = scm._model.program, scm._model.structure, dict(worlds)
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            self.layout = layout_of(self.program, self.structure)

    @property
    def max_plate_nesting(self) -> int:
        """What `TraceEnum_ELBO` wants to know: the dimensions of all plates, that of the units among them."""
        return self.layout.depth + 1

    def forward(self, evidence: Any = None) -> dict[str, Values]:
        table = self._read(evidence)
        values = {name: x.to(self.program.device) for name, x in table.values.items()}
        units = len(next(iter(values.values()))) if values else self._acted_units()
        if units > 1 and self.layout.refusal:
            raise ProgramError(*self.layout.refusal)
        observed = values if units > 1 else {n: x[0] for n, x in values.items() if not x.isnan().any()}
        plate = UnitsPlate(self.structure, self.layout.depth, units) if units > 1 else nullcontext()
        factual = Factual(self.structure, self.layout, observed, self.program.device)
        with self.program.running(factual), plate:
            self.program()
        worlds = TwinWorlds(self.program, factual, units, plate, table.index)
        return {label: worlds.enter(intervention, label) for label, intervention in self.worlds.items()}

    def _read(self, evidence: Any) -> Table:
        if evidence is None or (isinstance(evidence, Mapping) and not evidence):
            return Table({}, None, {})
        return read(evidence, self.structure.variables, where="evidence")

    def _acted_units(self) -> int:
        """How many units the actions speak of, where the evidence says nothing."""
        return max(
            (n for w in self.worlds.values() for *_, action in w.items() for n in _units(action)), default=1
        )


def _named(do: Any) -> list[tuple[str, Any]]:
    if not isinstance(do, Mapping) or not do:
        raise InterventionError(f"do={do!r} names no action", fix='write do={"x": 1}')
    return list(do.items()) if all(isinstance(acts, Mapping) for acts in do.values()) else [("do", do)]


def _units(action: Action) -> list[int]:
    match action:
        case Hard(per_unit=True):
            return [len(action.value)]
        case Natural():
            return [n for inner in action.actions.values() for n in _units(inner)]
    return []
