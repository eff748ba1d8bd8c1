"""A guide made ready to run for many units, and held against its model."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from pyro.infer.autoguide import AutoGuide
from pyro.poutine.messenger import Messenger
from torch import Tensor
from torch.distributions import Distribution

from pyrocausal.errors import UnsupportedDistribution
from pyrocausal.exogenous import Exogenous, Law, exogenous
from pyrocausal.mechanisms.base import Origin, tag
from pyrocausal.units import Program, over_units
from pyrocausal.variables import Variable, check_names
from pyrocausal.world import Values, is_plate, refuse_foreign_sites

from .amortized import Amortized
from .evidence import Evidence, GuideError
from .reach import check_fit

logger = logging.getLogger("pyrocausal")


class Proposal(NamedTuple):
    """Draws from a guide.

    Attributes:
        values: of each latent, and of variables that some units lack, `(units, *event)`.
        log_prob: log q of what was drawn, together, `(units,)`.
        log_jump: the part of it of discrete variables, whose draws jump: no gradient goes through them.
        log_told: log q of what was not drawn but known, as far as asked for, `(units,)`.
    """

    values: Values
    log_prob: Tensor
    log_jump: Tensor
    log_told: Tensor


class Guide:
    """A guide made ready to run for many units.

    Args:
        guide: a Pyro program or module that takes one unit's evidence (a mapping of variable to value).

    Attributes:
        sites: what it proposes, with the laws of their noise: every latent, and perhaps variables that are
            observed as a rule, for units that lack them.

    Raises:
        GuideError: the guide is an AutoGuide, its sites are not variables of the model, in shape and support,
            or something in it is random besides.
    """

    def __init__(self, guide: Callable[..., Any]):
        if isinstance(guide, AutoGuide) or (isinstance(guide, type) and issubclass(guide, AutoGuide)):
            kind = guide.__name__ if isinstance(guide, type) else type(guide).__name__
            raise GuideError(
                f"{kind} can't be the guide of latents",
                why="an AutoGuide holds one local variable a training row, and knows nothing of new units",
                fix='use pc.guides.Amortized("z"), or abduct each query with method="svi"',
            )
        self.program = Program(guide, arguments=1)
        self.sites: dict[str, Law] = {}
        self.vectorised = True

    def set_up(self, variables: Mapping[str, Variable], latent: Iterable[str], prior: Values) -> None:
        """Build its layers and meet its sites, with units drawn from the model; the first is its evidence."""
        latent = set(latent)
        given = {
            n: x[0]
            for n, x in prior.items()
            if not (n in latent or variables[n].computed or variables[n].optional)
        }
        tagged = Evidence({name: tag(x, _origin(variables[name])) for name, x in given.items()})
        module = self.program.module
        if isinstance(module, Amortized):
            self._check_encoders(module, variables)
            module.arrange(latent)
            for name, encoder in module.encoders():
                if not encoder.blocks:
                    encoder.build(variables[name], tagged, prior)
        recorder = _Recorder()
        tagged.seen.clear()
        with self.program.running(recorder, validate=True):
            try:
                self.program(tagged)
            except ValueError as error:  # of torch, which checks the parameters of distributions
                raise GuideError(
                    "the guide gives a distribution that can't be, for a unit drawn from the model",
                    why=str(error).split("\n")[0],
                    fix="keep scales positive and all parameters finite, whatever the evidence",
                ) from error
        check_names(recorder.sites, variables, where="guide")
        self._check_sites(recorder, variables, latent, tagged.seen)
        self.sites = {name: mechanism.law for name, mechanism in recorder.sites.items()}
        self.vectorised = self._vectorises(given)

    def _check_encoders(self, module: Amortized, variables: Mapping[str, Variable]) -> None:
        check_names(module.order, variables, where="guide")
        for name, reads in module.reads.items():
            check_names(reads or (), variables, where=f"the encoder of '{name}'")

    def _check_sites(
        self,
        recorder: _Recorder,
        variables: Mapping[str, Variable],
        latent: Collection[str],
        read: Collection[str],
    ) -> None:
        for name in recorder.sites:
            if variables[name].computed or variables[name].optional:
                raise GuideError(
                    f"the guide has a site '{name}', which has no noise of its own in every unit",
                    why="it is computed from its parents, or not every unit reaches it",
                    fix="drop it from the guide",
                )
            if name in read:
                raise GuideError(
                    f"the guide has a site '{name}', and reads it in its evidence too",
                    why="where it is missing, what it reads there is no value of it",
                    fix="use what pyro.sample gives: that is its value where it is known",
                )
            if recorder.sites[name].law.kind == "none":
                raise GuideError(
                    f"the guide gives '{name}' a single value",
                    why="a point has no density, so it is no draw from a posterior",
                    fix="give it a distribution with a width",
                )
            check_fit(variables[name], recorder.draws[name], recorder.scalars[name])
        # levels can be summed over, so that a guide may leave them out
        lacking = [n for n in latent if n not in recorder.sites and not variables[n].discrete]
        if lacking:
            raise GuideError(
                f"the guide has no site '{min(lacking)}'",
                why="it must propose a value for every latent that is not discrete",
                fix=f'add pyro.sample("{min(lacking)}", …) to it',
            )

    def _vectorises(self, evidence: Values) -> bool:
        """Whether it runs for many units at once."""
        two = {name: torch.stack([x, x]) for name, x in evidence.items()}
        if not two:
            return True
        try:
            self.propose(two, torch.Generator().manual_seed(0))
        except RuntimeError as error:
            if "random operation" in str(error):
                raise GuideError(
                    "the guide draws random numbers outside of pyro.sample",
                    why="they can't be repeated by a seed, and its density is not known",
                    fix="make every random quantity a pyro.sample of a latent",
                ) from error
            if "vmap" not in str(error):
                raise
            logger.warning(
                "The guide branches on a unit's value, so units run one by one; torch.where is fast."
            )
            return False
        return True

    def learn_scales(self, evidence: Values) -> None:
        """The toolkit's own encoders learn the scales of what they read, once."""
        module = self.program.module
        for _, encoder in module.encoders() if isinstance(module, Amortized) else ():
            encoder.learn_scales(evidence)

    def propose(
        self,
        evidence: Values,
        generator: torch.Generator,
        *,
        known: Iterable[str] = (),
        missing: Mapping[str, Tensor] | None = None,
        told: Iterable[str] = (),
        vectorised: bool = True,
    ) -> Proposal:
        """A draw of every site for every unit; those in `known` keep their value in the evidence.

        Args:
            missing: for what is in `known` and not for every unit, which lack it, `(units,)`.
            told: of what is known, that of which log q is to be told.
        """
        units = len(next(iter(evidence.values())))
        dtype = torch.get_default_dtype()
        kept = {name for name in self.sites if name in known and name in evidence}
        gaps = {name: x for name, x in (missing or {}).items() if name in kept}
        noise = {
            name: law.sample(units, generator, dtype).to(self.program.device)
            for name, law in self.sites.items()
            if name not in kept or name in gaps
        }

        def one(inputs: tuple[Values, Values, Values]) -> dict[str, Values]:
            seen, own, lacks = inputs
            drawing = _Drawing(own, {name: seen[name] for name in kept}, lacks, frozenset(told))
            with drawing:
                self.program(Evidence({name: x for name, x in seen.items() if name not in kept}))
            return {"values": drawing.values, "scores": drawing.scores()}

        with self.program.running():
            found = over_units(one, (evidence, noise, gaps), vectorised=vectorised and self.vectorised)
        scores = found["scores"]
        return Proposal(found["values"], scores["all"], scores["jump"], scores["told"])


class _Recorder(Messenger):
    """Meets every site of a guide, with a value in the middle of its noise."""

    def __init__(self) -> None:
        super().__init__()
        self.sites: dict[str, Exogenous] = {}
        self.draws: Values = {}
        self.scalars: dict[str, Any] = {}  # the distribution of each number of a draw

    def _pyro_sample(self, msg: Any) -> None:
        name, fn = msg["name"], msg["fn"]
        if not isinstance(fn, Distribution):
            raise GuideError(
                f"the guide of '{name}' gives {type(fn).__name__}, which is no distribution",
                fix="return one, such as dist.Normal(loc, scale)",
            )
        refuse_foreign_sites(msg)
        if is_plate(msg) or msg["infer"].get("_deterministic"):
            return
        if name in self.sites:
            raise GuideError(f"the guide has two sites named '{name}'", fix="draw each latent once")
        try:
            mechanism = self.sites[name] = exogenous(fn, msg["infer"].get("noise"))
        except UnsupportedDistribution as error:
            raise GuideError(f"the guide of '{name}': {error.what}", why=error.why, fix=error.fix) from None
        noise = mechanism.law.sample(100, torch.Generator().manual_seed(0), torch.get_default_dtype())
        self.draws[name] = torch.vmap(mechanism.push)(noise)
        self.scalars[name] = _of_numbers(fn)
        msg["value"] = self.draws[name][0]
        msg["done"] = msg["stop"] = True


class _Drawing(Messenger):
    """Draws one unit's latents, and what it lacks, from a guide, by pushing noise."""

    def __init__(self, noise: Values, kept: Values, missing: Values, tell: frozenset[str]):
        super().__init__()
        self.noise, self.kept, self.missing, self.tell = noise, kept, missing, tell
        self.values: Values = {}
        self.smooth: list[Tensor] = []  # log q of draws that gradients go through …
        self.jump: list[Tensor] = []  # … of others …
        self.told: list[Tensor] = []  # … and of what was known

    def _pyro_sample(self, msg: Any) -> None:
        if is_plate(msg) or msg["infer"].get("_deterministic"):
            return
        name, fn = msg["name"], msg["fn"]
        value, lacks = self.kept.get(name), self.missing.get(name)
        if name in self.noise:
            drawn = exogenous(fn, msg["infer"].get("noise")).push(self.noise[name])
            value = drawn if value is None or lacks is None else torch.where(lacks, drawn, value)
            self.values[name] = value
        score = fn.log_prob(value).sum()
        of_drawn = self.jump if fn.support.is_discrete else self.smooth
        if name in self.noise:
            of_drawn.append(score if lacks is None else torch.where(lacks, score, 0.0))
        if name in self.tell and name in self.kept:
            self.told.append(score if lacks is None else torch.where(lacks, 0.0, score))
        msg["value"] = value
        msg["done"] = msg["stop"] = True

    def scores(self) -> Values:
        jump, told = _total(self.jump), _total(self.told)
        return {"all": _total([*self.smooth, jump]), "jump": jump, "told": told}


def _total(scores: list[Tensor]) -> Tensor:
    return torch.stack([*scores, torch.zeros(())]).sum()


def _of_numbers(fn: Any) -> Any:
    while isinstance(fn, torch.distributions.Independent):
        fn = fn.base_dist
    return fn


def _origin(v: Variable) -> Origin:
    return Origin(v.name, v.support, v.discrete, v.cardinality)
