"""`twin`: the factual world and others beside it as one Pyro program, for any Pyro inference.

The factual world is the program itself: evidence makes a site observed, what is not in the evidence stays an
ordinary sample site, and a likelihood counts once. Then the program runs again for each world, its sites
pushed from the noise that is pulled out of the factual run. They are deterministic, so no inference moves
them: whatever it finds for the factual world, the others follow.

Inference in Pyro wants units in a plate. A program about one unit may mean something else there (`v.mean()`
is then a mean over units): set-up holds both against each other, and several units are refused if they
differ. One unit needs no plate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyro
import pyro.distributions as dist
import torch
from pyro.poutine.messenger import Messenger
from torch import Size, Tensor, nn

from pyrocausal.counterfactual import Worlds
from pyrocausal.errors import EvidenceError, InterventionError, ProgramError
from pyrocausal.exogenous import Exogenous, exogenous
from pyrocausal.graph.discover import Structure
from pyrocausal.intervene import Action, Hard, Intervention, Natural, Policy
from pyrocausal.scm import SCM
from pyrocausal.table import Table, read
from pyrocausal.units import Program, over_units
from pyrocausal.world import Pass, Values, is_plate, run

PLATE = "units"
UNITS, ROUNDS = 3, 4  # of the comparison between units in a plate and one by one

Shapes = Mapping[str, tuple[int, ...]]
Refusal = tuple[str, str, str]  # what, why and fix


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
    `max_plate_nesting` says how many dimensions plates take up then). Returns the worlds' values.

    Raises:
        UnknownVariable: evidence that is no variable.
        EvidenceError: evidence that contradicts a computed variable.
        ProgramError: several units, of a program that can't be run in a plate: the error names the site.
    """

    def __init__(self, scm: SCM, worlds: Mapping[str, Intervention]):
        super().__init__()
        self.program, self.structure, self.worlds = scm._model.program, scm._model.structure, dict(worlds)
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            self.layout = _layout(self.program, self.structure)

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
        plate = _Plate(self.structure, self.layout.depth, units) if units > 1 else nullcontext()
        factual = _Factual(self.structure, self.layout, observed, self.program.device)
        with self.program.running(factual), plate:
            self.program()
        worlds = _Worlds(self, factual, units, plate, table.index)
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


# ---- the passes


class _Factual(Messenger):
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

    def __init__(self, worlds: _Worlds, intervention: Intervention, label: str | None):
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


class _Worlds(Worlds):
    """The worlds beside a factual run.

    Actions are about one unit, whatever dimensions inference puts left of it (units, particles, levels of an
    enumerated variable): they get everything `flat`, with all of these folded into one.
    """

    def __init__(self, twin: Twin, factual: _Factual, units: int, plate: Any, labels: pd.Index | None):
        self.seen, self.layout, self.plate = factual, twin.layout, plate
        self.lead = torch.broadcast_shapes(*(self.layout.lead(n, x) for n, x in factual.values.items()))
        copies = self.lead.numel() // units
        generator = torch.default_generator  # Pyro's seed is torch's
        super().__init__(
            twin.program, twin.structure, {}, units=units, copies=copies, generator=generator, labels=labels
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


# ---- where units stand


@dataclass(frozen=True)
class Layout:
    """How sites look with dimensions left of a unit's: those of units, and of what inference adds.

    Attributes:
        shapes: of one unit's values, by site.
        depth: the dimensions of the program's own plates; those of others are left of them.
        gaps: for each site, how many of these it does not have, which are then 1.
        refusal: why several units can't be run in a plate, if so.
    """

    shapes: Shapes
    depth: int
    gaps: Mapping[str, int]
    refusal: Refusal | None

    def place(self, name: str, x: Tensor) -> Tensor:
        """From `(*lead, *shape)` to how the site has it."""
        shape = self.shapes[name]
        lead = x.shape[: x.dim() - len(shape)]
        return x.reshape(*lead, *(1,) * self.gaps[name], *shape) if lead else x

    def lead(self, name: str, x: Tensor) -> Size:
        """The leading dimensions of a site's value."""
        return x.shape[: max(x.dim() - len(self.shapes[name]) - self.gaps[name], 0)]


class _Plate(pyro.plate):
    """The plate of the units. Weights that all units share stand outside of it."""

    def __init__(self, structure: Structure, depth: int, units: int):
        super().__init__(PLATE, units, dim=-1 - depth)
        self.structure = structure

    def _process_message(self, msg: Any) -> None:
        if not self._shared(msg):
            super()._process_message(msg)

    def _shared(self, msg: Any) -> bool:
        if msg["type"] != "sample" or msg["name"] in self.structure.variables:
            return False
        return msg["name"] in self.structure.shared or bool(msg["infer"].get("_deterministic"))


@dataclass(frozen=True)
class _Sample:
    """What some units are held at: values, noise, and the weights that they share."""

    values: Values
    noise: Values
    weights: Values

    def unit(self, i: int) -> _Sample:
        values, noise = ({name: x[i] for name, x in table.items()} for table in (self.values, self.noise))
        return _Sample(values, noise, self.weights)


class _Held(Messenger):
    """Every site held at a sample's values; of each is kept what its distribution says, a row a unit."""

    def __init__(self, sample: _Sample, shapes: Shapes, units: int = 1):
        super().__init__()
        self.sample, self.shapes, self.units = sample, shapes, units
        self.said: Values = {}
        self.batch_dims: dict[str, int] = {}
        self.computed_dims: dict[str, int] = {}
        self.depth = 0

    def _pyro_sample(self, msg: Any) -> None:
        if is_plate(msg):
            return
        name, fn = msg["name"], msg["fn"]
        msg["done"] = msg["stop"] = True
        if name not in self.shapes:
            msg["value"] = self.sample.weights.get(name, msg["value"])
            return
        self.batch_dims[name] = len(fn.batch_shape)
        self.depth = max([self.depth, *(-frame.dim for frame in msg["cond_indep_stack"] if frame.dim)])
        shape, value = Size(self.shapes[name]), msg["value"]
        if msg["infer"].get("_deterministic"):
            self.computed_dims[name] = value.dim()
            parts = [value.reshape(shape) if value.numel() == shape.numel() else value.expand(shape)]
        elif fn.shape() != shape:
            raise ValueError(f"it has shape {tuple(fn.shape())} where {tuple(shape)} is due")
        else:
            value = msg["value"] = self.sample.values[name].reshape(shape)
            parts = [_pushed(fn, msg["infer"], value, self.sample.noise[name]), fn.log_prob(value)]
        self.said[name] = torch.cat([part.double().reshape(self.units, -1) for part in parts], -1)


def _pushed(fn: Any, infer: Mapping[str, Any], value: Tensor, noise: Tensor) -> Tensor:
    mechanism = exogenous(fn, infer.get("noise"))
    match mechanism.law.kind:
        case "none":
            return mechanism.push(torch.zeros(()))
        case "joint":  # that of several units is not that of each, side by side
            draws = None if mechanism.draws is None else torch.full(mechanism.draws, 0.5)
            return mechanism.push(mechanism.pull(value, draws))
    return mechanism.push(noise.reshape(mechanism.law.shape))


def _layout(program: Program, structure: Structure) -> Layout:
    """Where the program's sites stand, and whether units in a plate are what each of them is alone."""
    shapes = {name: v.shape for name, v in structure.variables.items()}
    samples = [_sample(program, structure, seed) for seed in range(ROUNDS)]
    alone = [[_hold(program, _Held(one.unit(i), shapes)) for i in range(UNITS)] for one in samples]
    held = [unit for units in alone for unit in units]
    depth = max(unit.depth for unit in held)
    gaps = dict.fromkeys(shapes, 0) | {n: depth - dims for one in held for n, dims in one.batch_dims.items()}
    if not structure.vectorised:
        return Layout(shapes, depth, gaps, BRANCHES)
    placed = {name: (UNITS, *(1,) * gaps[name], *shape) for name, shape in shapes.items()}
    together = [_Held(one, placed, UNITS) for one in samples]
    plate = _Plate(structure, depth, UNITS)
    refusals = [_refusal(program, plate, *pair) for pair in zip(together, alone)]
    # pyro.deterministic does not say what of its value is a plate's, so that is seen in a plate
    for name, dims in together[0].computed_dims.items():
        gaps[name] = max(dims - 1 - len(shapes[name]), 0)
    return Layout(shapes, depth, gaps, next(filter(None, refusals), None))


def _sample(program: Program, structure: Structure, seed: int) -> _Sample:
    """Units from the prior, which differ in discrete variables however rare a level is."""
    generator, variables = torch.Generator().manual_seed(seed), structure.variables
    noise = {name: v.law.sample(UNITS, generator).to(program.device) for name, v in variables.items()}
    weights = {name: draws[:1] for name, draws in program.weights_posterior.items()}
    with program.weights(weights, UNITS):
        values = run(program, units=UNITS, noise=noise, vectorised=structure.vectorised).values
    for name, v in variables.items():
        if structure.vectorised and v.discrete and not v.shape:
            levels = torch.randperm(UNITS, generator=generator) % (v.cardinality or UNITS)
            values[name] = levels.to(values[name])
    return _Sample(values, noise, {name: draw[0] for name, draw in weights.items()})


def _hold(program: Program, held: _Held, plate: Any = None) -> _Held:
    with program.running(held), plate or nullcontext():
        program()
    return held


def _refusal(program: Program, plate: _Plate, together: _Held, alone: list[_Held]) -> Refusal | None:
    reason = ""
    try:
        _hold(program, together, plate)
    except (IndexError, RuntimeError, TypeError, ValueError) as error:
        reason = f"fails: {' '.join(str(error).split())}"
    for name in together.shapes:
        due = torch.cat([held.said[name] for held in alone])
        if name not in together.said or not _same(together.said[name], due):
            return _unsafe(name, reason if name not in together.said else "gives other values")
    return None


def _same(one: Tensor, other: Tensor) -> bool:
    scale = other.nan_to_num(0.0, 0.0, 0.0).abs().amax(0).clamp(min=1.0)
    return one.shape == other.shape and torch.allclose(
        one / scale, other / scale, rtol=0.0, atol=1e-3, equal_nan=True
    )


def _unsafe(site: str, reason: str) -> Refusal:
    return (
        f"the twin can't take several units at once: site '{site}' is not in a plate what it is for one unit",
        f"inference needs units in a plate, on the first axis, and there it {reason}",
        "work on the last axis (v.mean(-1), v[..., 0], v @ W.T for W @ v), or call the twin unit by unit",
    )


BRANCHES = (
    "the twin can't take several units at once: the program branches on a unit's value, or leaves torch",
    "inference needs units in a plate, where a site's value is that of all units",
    "write torch.where instead of `if`, or call the twin unit by unit",
)
