"""The runs of a twin: the factual one, and one a world.

The factual run is the program's own, with evidence; each site's noise is pulled out of it where a world needs
it. A world's run pushes its sites from that noise.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyro.distributions as dist
import torch
from pyro.poutine.messenger import Messenger
from torch import Size, Tensor

from pyrocausal.counterfactual import Worlds
from pyrocausal.errors import EvidenceError, InterventionError
from pyrocausal.exogenous import Exogenous, exogenous
from pyrocausal.graph.discover import Structure
from pyrocausal.intervene import Hard, Intervention, Policy
from pyrocausal.units import Program, over_units
from pyrocausal.world import Pass, Values, is_plate

from .layout import Layout


class Factual(Messenger):
    """The factual world: evidence in, noise out on demand. Its sites stay what they are."""

    def __init__(self, structure: Structure, layout: Layout, evidence: Values, device: torch.device):
        super().__init__()
        self.structure, self.layout, self.evidence, self.device = structure, layout, evidence, device
        self.values: Values = {}
        self.outside: dict[str, Any] = {}  # what is no variable: the program's own plates, shared weights
        self._sites: dict[str, tuple[Any, Any]] = {}
        self._noise: Values = {}

    def _pyro_sample(self, msg: Any) -> None:
        name = msg["name"]
        if name not in self.structure.variables:
            return
        # as the program gave it: handlers further out (reparametrisations) may put another in its place
        self._sites[name] = msg["fn"], msg["infer"].get("noise")
        if name in self.evidence and not self.structure.variables[name].computed:
            msg["value"] = self.layout.place(name, self.evidence[name])
            msg["is_observed"] = True

    def _pyro_post_sample(self, msg: Any) -> None:
        name, value = msg["name"], msg["value"]
        if name not in self.structure.variables:
            self.outside[name] = value
            return
        self.layout.check(name, value)
        self.values[name] = value
        if name in self.evidence and self.structure.variables[name].computed:
            self._check_computed(name, value)

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)
        missed = [name for name in self.evidence if name not in self.values]
        if missed and exception[0] is None:
            raise EvidenceError(
                f"there is evidence on '{missed[0]}', which the program does not reach",
                why="it branches, and with these values of other variables it takes another branch",
                fix=f"leave '{missed[0]}' out of the evidence, or correct the others",
            )

    def _check_computed(self, name: str, value: Tensor) -> None:
        told = self.layout.place(name, self.evidence[name]).double().expand(value.shape)
        if not torch.allclose(value.double(), told, rtol=1e-4, atol=1e-4):
            raise EvidenceError(
                f"the evidence on '{name}' contradicts what the program computes",
                why="a computed variable has no density: it can be checked, and says nothing of its causes",
                fix="leave it out of the evidence, or observe it with noise, in a pyro.sample site",
            )

    def noise(self, name: str, mechanism: Exogenous) -> Tensor:
        """A site's noise, pulled out once; one that only other worlds meet draws it, once for all of them."""
        if name not in self._noise:
            self._noise[name] = self._pull(name) if name in self.values else self._draw(mechanism)
        return self._noise[name]

    def _draw(self, mechanism: Exogenous) -> Tensor:
        return mechanism.law.sample().to(self.device)

    def _pull(self, name: str) -> Tensor:
        """A draw of P(u | x, parents). Its uniforms are no sample site: no inference may choose them."""
        (fn, coupling), value = self._sites[name], self.values[name]
        event = value.shape[value.dim() - fn.event_dim :]
        batch = torch.broadcast_shapes(fn.batch_shape, value.shape[: value.dim() - fn.event_dim])
        mechanism = exogenous(fn if fn.batch_shape == batch else fn.expand(batch), coupling)
        draws = None if mechanism.draws is None else torch.rand(mechanism.draws, device=value.device)
        return mechanism.pull(value.expand(batch + event), draws)


class _World(Messenger):
    """Another world: every site deterministic, under its name there; without a label, unrecorded."""

    def __init__(self, worlds: TwinWorlds, intervention: Intervention, label: str | None):
        super().__init__()
        self.worlds, self.intervention, self.label = worlds, intervention, label
        self.given = worlds.given(intervention)
        self.reached = worlds.reached(intervention)
        self.values: Values = {}

    def _pyro_sample(self, msg: Any) -> None:
        name, outside = msg["name"], self.worlds.seen.outside
        if name in outside:
            msg["value"], msg["done"], msg["stop"] = outside[name], True, True
            return
        if is_plate(msg):  # of a branch that the factual world did not take
            return
        value = self.values[name] = self._value(msg)
        if self.label is None:
            msg["value"], msg["done"], msg["stop"] = value, True, True
            return
        # As pyro.deterministic: observed (and not `done`, which enumeration passes by), of density 1 whatever
        # the value. Only plates are its batch: what else inference put into the value enters no sum.
        msg["fn"] = dist.Delta(value, event_dim=value.dim()).expand(_plates(msg)).mask(False)
        msg["name"], msg["value"], msg["is_observed"] = f"{name}@{self.label}", value, True
        msg["infer"] = {"_deterministic": True}

    def _value(self, msg: Any) -> Tensor:
        name, factual = msg["name"], self.worlds.seen
        if name not in self.reached and name in factual.values:
            return factual.values[name]
        value = msg["value"] if msg["infer"].get("_deterministic") else self._push(name, msg)
        return self._act(name, value) if name in self.intervention.chains else value

    def _push(self, name: str, msg: Any) -> Tensor:
        mechanism = exogenous(msg["fn"], msg["infer"].get("noise"))
        if mechanism.law.kind == "none":
            return mechanism.push(torch.zeros(()))
        return mechanism.push(self.worlds.seen.noise(name, mechanism))

    def _act(self, name: str, value: Tensor) -> Tensor:
        chain = self.intervention.chains[name]
        last = chain[-1][1]
        if isinstance(last, Hard) and not last.per_unit:
            return last.value.to(value.device).expand(value.shape)
        reads = any(isinstance(action, Policy) for _, action in chain)
        inputs = {
            "value": self.worlds.flat(name, value),
            "values": {n: self.worlds.flat(n, x) for n, x in self.values.items()} if reads else {},
            "given": {key: self.given[key].to(value.device) for key, _ in chain if key in self.given},
        }
        return self.worlds.unflat(name, _each(self.intervention, name, inputs))


def _plates(msg: Any) -> Size:
    size = {frame.dim: frame.size for frame in msg["cond_indep_stack"] if frame.dim is not None}
    return Size(size.get(dim, 1) for dim in range(min(size, default=0), 0))


def _each(intervention: Intervention, name: str, inputs: dict[str, Any]) -> Tensor:
    """The action on a variable for each unit, also where it branches on the unit's value."""

    def one(unit: dict[str, Any]) -> Tensor:
        return intervention.act(name, unit["value"], unit["values"], unit["given"])

    try:
        return over_units(one, inputs)
    except RuntimeError as error:
        if "random operation" in str(error):
            raise InterventionError(
                f"the action on '{name}' draws random numbers of its own",
                why="they can't be shared between worlds",
                fix="let the action be a distribution",
            ) from error
        if "vmap" not in str(error):
            raise
    return over_units(one, inputs, vectorised=False)


class TwinWorlds(Worlds):
    """The worlds beside a factual run.

    Actions are about one unit, whatever dimensions inference puts left of it (units, particles, levels of an
    enumerated variable): they get everything `flat`, with all of these folded into one.
    """

    def __init__(self, program: Program, factual: Factual, units: int, plate: Any, labels: pd.Index | None):
        self.seen, self.layout, self.plate = factual, factual.layout, plate
        self.lead = torch.broadcast_shapes(*(self.layout.lead(n, x) for n, x in factual.values.items()))
        copies = self.lead.numel() // units
        generator = torch.default_generator  # Pyro's seed is torch's
        super().__init__(
            program, factual.structure, {}, units=units, copies=copies, generator=generator, labels=labels
        )

    def enter(self, intervention: Intervention, label: str | None) -> Values:
        world = _World(self, intervention, label)
        with self.program.running(world), self.plate:
            self.program()
        return world.values

    def _run(self, intervention: Intervention) -> Pass:
        values = self.enter(intervention, None)
        return Pass({name: self.flat(name, x) for name, x in values.items()}, {}, {}, {}, {})

    def reached(self, intervention: Intervention) -> set[str]:
        """What may differ from the factual world."""
        if not self.structure.vectorised:
            return set(self.structure.variables)
        acted = set(intervention.names)
        return acted.union(*(self.structure.graph.descendants(name) for name in acted))

    def flat(self, name: str, x: Tensor) -> Tensor:
        """A site's value as `(all leading dimensions in one, *shape of one unit's value)`."""
        shape = self.layout.shapes[name]
        x = x.reshape(self.layout.lead(name, x) + shape)
        return x.expand(self.lead + shape).reshape(-1, *shape)

    def unflat(self, name: str, x: Tensor) -> Tensor:
        # a sampler that diverges passes through infinity, and comes back
        finite = torch.isfinite(x.reshape(len(x), -1)).all(-1)
        self.structure.variables[name].check(x[finite], where=f"do({name}=…)")
        return self.layout.place(name, x.reshape(self.lead + self.layout.shapes[name]))
