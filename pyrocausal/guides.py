"""Amortised guides q(latents | evidence): programs about one unit, like the model, given its evidence.

`Amortized` puts one together from an encoder for each latent; any Pyro program that takes the evidence and
has a site for each latent will do. A guide's noise is derived from its distributions just as a model's is,
so its draws are differentiable, run for all units at once, and repeat with a seed.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import pyro
import pyro.distributions as dist
import torch
from pyro.infer.autoguide import AutoGuide
from pyro.nn import PyroModule
from pyro.poutine.messenger import Messenger
from torch import Tensor, nn
from torch.distributions import Distribution, biject_to, constraints

from pyrocausal.errors import EvidenceError, PyrocausalError, UnsupportedDistribution, did_you_mean
from pyrocausal.exogenous import Exogenous, Law, exogenous
from pyrocausal.mechanisms.base import Block, Origin, Standardise, block_of, encoded, perceptron, tag
from pyrocausal.units import Program, module_key, over_units
from pyrocausal.variables import Variable, check_names
from pyrocausal.world import Values, is_plate, refuse_foreign_sites

__all__ = ["Amortized", "Encoder", "Guide", "GuideError", "Proposal"]

logger = logging.getLogger("pyrocausal")


class GuideError(PyrocausalError):
    """A guide that does not fit its model, or is asked for what it can't give."""


class NotGiven(EvidenceError, KeyError):
    """A guide reads a variable that is not in its evidence."""


class Proposal(NamedTuple):
    """Draws from a guide.

    Attributes:
        values: of each latent, `(units, *event)`.
        log_prob: log q of them together, `(units,)`.
        log_jump: the part of it of discrete latents, whose draws jump: no gradient goes through them.
    """

    values: Values
    log_prob: Tensor
    log_jump: Tensor


class Amortized(PyroModule):
    r"""A guide :math:`q(z_1 \mid \cdot)\, q(z_2 \mid \cdot) \cdots` with one encoder a latent.

    Args:
        names: latents that get an `Encoder`, a network that reads all evidence.
        encoders: latent to a callable (a module, say) that returns the latent's distribution for one unit. It
            is called with the variables that its arguments are named after: observed ones, and other latents
            (which are then drawn before). An argument that has a default keeps it; one named `evidence` gets
            the mapping of all that is observed.

    Raises:
        GuideError: an encoder can't be called so, or latents read one another in a circle.

    >>> import pyro.distributions as dist, pyrocausal as pc
    >>> def program():
    ...     z = pyro.sample("z", dist.Normal(0.0, 1.0))
    ...     pyro.sample("x", dist.Normal(z, 1.0))
    >>> guide = pc.guides.Amortized(z=lambda x: dist.Normal(x / 2, 0.5**0.5))
    >>> scm = pc.SCM(program, latent=["z"], guide=guide)
    >>> scm.elbo({"x": [0.0, 2.0]})                             # q is the posterior, so this is log p(x)
    tensor([-1.2655, -2.2655])
    """

    def __init__(self, *names: str, **encoders: Callable[..., Distribution]):
        super().__init__()
        odd = [name for name in names if not isinstance(name, str)]
        if odd or not (names or encoders):
            raise GuideError(
                f"{odd[0]!r} is no name" if odd else "Amortized() names no latent",
                fix='write Amortized("z") or Amortized(z=encoder)',
            )
        chosen: dict[str, Callable[..., Distribution]] = {name: Encoder() for name in names} | encoders
        self.reads = {name: _reads(name, encoder) for name, encoder in chosen.items()}
        self.order = _ordered(self.reads)
        for name, encoder in chosen.items():
            if hasattr(self, module_key(name)):
                raise GuideError(
                    f"an encoder can't be named '{name}'",
                    why="a module has something else by that name",
                    fix="rename the latent, or write the whole guide as a program: def guide(evidence): …",
                )
            # in a Program the parameters and modules that a function uses are found, trained and saved
            wrapped = encoder if isinstance(encoder, nn.Module) else Function(encoder, self.reads[name])
            setattr(self, module_key(name), wrapped)

    def forward(self, evidence: Mapping[str, Tensor]) -> None:
        drawn: Values = {}
        for name in self.order:
            reads = self.reads[name]
            given = [evidence] if reads is None else [_either(drawn, evidence, read, name) for read in reads]
            drawn[name] = pyro.sample(name, self._encoder(name)(*given))

    def _encoder(self, name: str) -> nn.Module:
        return getattr(self, module_key(name))

    def encoders(self) -> Iterator[tuple[str, Encoder]]:
        """The toolkit's own encoders."""
        for name in self.order:
            encoder = self._encoder(name)
            if isinstance(encoder, Encoder):
                yield name, encoder


class Function(Program):
    """A function as an encoder, with the parameters and modules that it uses."""

    def __init__(self, function: Callable[..., Distribution], reads: tuple[str, ...] | None):
        super().__init__(function, arguments=1 if reads is None else len(reads))

    def forward(self, *arguments: Any) -> Any:
        with self.running(validate=pyro.settings.get("validate_distributions_pyro")):
            return super().forward(*arguments)


class Encoder(nn.Module):
    r"""A network from all evidence to a latent's distribution.

    A number or vector is :math:`N(\mu(x), \mathrm{diag}\,\sigma(x)^2)`, moved into the latent's
    support if that is not the whole line; a discrete latent is Categorical or Bernoulli. The layers are built
    when the SCM is set up, and the evidence's scales are learned from the training split.

    Args:
        hidden: the sizes of the hidden layers.
    """

    def __init__(self, hidden: tuple[int, ...] = (64, 64)):
        super().__init__()
        self.hidden = hidden
        self.blocks: dict[str, Block] = {}

    def reset(self) -> None:
        """Forget layers and scales: the next set-up builds new ones."""
        self.blocks = {}

    def build(self, variable: Variable, evidence: Mapping[str, Tensor]) -> None:
        """Create the layers for one unit's (tagged) evidence."""
        if variable.support is None:
            raise GuideError(
                f"the default encoder has no distribution for '{variable.name}'",
                why="the support of the latent depends on its parents",
                fix=f"write one: Amortized({variable.name}=…)",
            )
        self.latent = variable
        self.blocks = {name: block_of(x) for name, x in evidence.items()}
        continuous = tuple(b.continuous for b in self.blocks.values() for _ in range(b.size))
        self.standardise = Standardise(continuous)
        self.network = perceptron(len(continuous), self.hidden, self._outputs(variable))
        with torch.no_grad():  # start near the prior
            last = self.network[-1]
            last.weight.mul_(0.1)  # type: ignore[operator, union-attr]
            last.bias.zero_()  # type: ignore[operator, union-attr]

    def _outputs(self, variable: Variable) -> int:
        if variable.discrete:
            if variable.shape or variable.cardinality is None:
                raise GuideError(
                    f"the default encoder has no distribution for '{variable.name}'",
                    why="it knows numbers, vectors of numbers, and single variables with a few levels",
                    fix=f"write one: Amortized({variable.name}=…)",
                )
            return 1 if variable.cardinality == 2 else variable.cardinality
        return 2 * int(torch.Size(self._free().inverse_shape(variable.shape)).numel())

    def _free(self) -> Any:
        return biject_to(self.latent.support)

    def features(self, evidence: Mapping[str, Tensor]) -> Tensor:
        parts = [encoded(evidence[n], b, self.dtype) for n, b in self.blocks.items()]
        return torch.cat(parts) if parts else torch.zeros(0, dtype=self.dtype)

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def forward(self, evidence: Mapping[str, Tensor]) -> Distribution:
        out = self.network(self.standardise(self.features(evidence)))
        if self.latent.discrete:
            if self.latent.cardinality == 2:
                return dist.Bernoulli(logits=out[0])
            return dist.Categorical(logits=out)
        free = self._free()
        loc, log_scale = out.reshape(2, *free.inverse_shape(self.latent.shape))
        base = dist.Normal(loc, torch.exp(log_scale)).to_event(loc.dim())
        if self.latent.support is constraints.real:
            return base
        return dist.TransformedDistribution(base, [free])


class Guide:
    """A guide made ready to run for many units.

    Args:
        guide: a Pyro program or module that takes one unit's evidence (a mapping of variable to value).

    Attributes:
        sites: the latents that it proposes, with the laws of their noise.
        reads: the variables that it was seen to read.

    Raises:
        GuideError: the guide is an AutoGuide, its sites are not the model's latents, in shape and support, or
            something in it is random besides.
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
        self.reads: frozenset[str] = frozenset()
        self.vectorised = True

    def set_up(self, variables: Mapping[str, Variable], latent: Iterable[str], evidence: Values) -> None:
        """Build its layers and meet its sites, with one unit's values as evidence."""
        given = {n: x for n, x in evidence.items() if not (variables[n].computed or variables[n].optional)}
        tagged = Evidence({name: tag(x, _origin(variables[name])) for name, x in given.items()})
        module = self.program.module
        if isinstance(module, Amortized):
            self._check_encoders(module, variables)
            for name, encoder in module.encoders():
                if not encoder.blocks:
                    encoder.build(variables[name], tagged)
        recorder = _Recorder()
        tagged.seen.clear()
        with self.program.running(recorder, validate=True):
            self.program(tagged)
        check_names(recorder.sites, variables, where="guide")
        self._check_sites(recorder, variables, set(latent))
        self.sites = {name: mechanism.law for name, mechanism in recorder.sites.items()}
        self.reads = frozenset(tagged.seen)
        self.vectorised = self._vectorises(given)

    def _check_encoders(self, module: Amortized, variables: Mapping[str, Variable]) -> None:
        check_names(module.order, variables, where="guide")
        for name, reads in module.reads.items():
            check_names(reads or (), variables, where=f"the encoder of '{name}'")

    def _check_sites(
        self, recorder: _Recorder, variables: Mapping[str, Variable], latent: Collection[str]
    ) -> None:
        for name in recorder.sites:
            if name not in latent:
                raise GuideError(
                    f"the guide has a site '{name}', which is not latent",
                    why="a guide proposes what is not observed",
                    fix=f'declare it, SCM(program, latent=["{name}"], …), or drop it from the guide',
                )
            _check_fit(variables[name], recorder.draws[name], recorder.supports[name])
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
            if bool((encoder.standardise.scale == 1).all() and (encoder.standardise.mean == 0).all()):
                encoder.standardise.learn(torch.vmap(lambda e, f=encoder.features: f(Evidence(e)))(evidence))

    def propose(
        self,
        evidence: Values,
        generator: torch.Generator,
        *,
        known: Iterable[str] = (),
        vectorised: bool = True,
    ) -> Proposal:
        """A draw of every latent for every unit; latents in `known` keep their value in the evidence."""
        units = len(next(iter(evidence.values())))
        dtype = torch.get_default_dtype()
        kept = {name: evidence[name] for name in self.sites if name in known and name in evidence}
        noise = {
            name: law.sample(units, generator, dtype).to(self.program.device)
            for name, law in self.sites.items()
            if name not in kept
        }

        def one(inputs: tuple[Values, Values]) -> dict[str, Values]:
            drawing = _Drawing(inputs[1], {name: inputs[0][name] for name in kept})
            with drawing:
                self.program(Evidence(inputs[0]))
            return {"values": drawing.values, "scores": drawing.scores()}

        with self.program.running():
            found = over_units(one, (evidence, noise), vectorised=vectorised and self.vectorised)
        return Proposal(found["values"], found["scores"]["all"], found["scores"]["jump"])


class Evidence(Mapping[str, Tensor]):
    """One unit's evidence, as a guide sees it; it remembers what was looked at."""

    def __init__(self, values: Mapping[str, Tensor]):
        self._values = values
        self.seen: set[str] = set()

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._values:
            raise NotGiven(
                f"the guide reads '{name}', which it is not given",
                why=f"it is given {', '.join(self._values) or 'nothing'}",
                fix=did_you_mean(str(name), list(self._values))
                or f"pass '{name}' as evidence, or use another method=",
            )
        self.seen.add(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class _Recorder(Messenger):
    """Meets every site of a guide, with a value in the middle of its noise."""

    def __init__(self) -> None:
        super().__init__()
        self.sites: dict[str, Exogenous] = {}
        self.draws: Values = {}
        self.supports: dict[str, Any] = {}

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
        self.supports[name] = _support(fn)
        msg["value"] = self.draws[name][0]
        msg["done"] = msg["stop"] = True


class _Drawing(Messenger):
    """Draws one unit's latents from a guide, by pushing noise."""

    def __init__(self, noise: Values, kept: Values):
        super().__init__()
        self.noise, self.kept = noise, kept
        self.values: Values = {}
        self.smooth: list[Tensor] = []  # log q of draws that gradients go through …
        self.jump: list[Tensor] = []  # … and of others

    def _pyro_sample(self, msg: Any) -> None:
        if is_plate(msg) or msg["infer"].get("_deterministic"):
            return
        name, fn = msg["name"], msg["fn"]
        if name in self.kept:
            msg["value"] = self.kept[name]
        else:
            value = exogenous(fn, msg["infer"].get("noise")).push(self.noise[name])
            self.values[name] = msg["value"] = value
            (self.jump if fn.support.is_discrete else self.smooth).append(fn.log_prob(value).sum())
        msg["done"] = msg["stop"] = True

    def scores(self) -> Values:
        nothing = torch.zeros(())
        jump = torch.stack([*self.jump, nothing]).sum()
        return {"all": torch.stack([*self.smooth, jump]).sum(), "jump": jump}


def _support(fn: Any) -> constraints.Constraint:
    """Where each number of a draw lies."""
    while isinstance(fn, torch.distributions.Independent):
        fn = fn.base_dist
    support = fn.support
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    return support


def _check_fit(variable: Variable, draws: Tensor, support: constraints.Constraint) -> None:
    """A guide's site must draw what its latent can be: `draws` are some, `(n, *event)`."""
    name = variable.name
    if tuple(draws.shape[1:]) != variable.shape:
        raise GuideError(
            f"the guide draws '{name}' of shape {tuple(draws.shape[1:])}",
            why=f"in the model it has shape {variable.shape}",
            fix="give its distribution that shape, with .to_event(1) for a vector",
        )
    outside = variable.support is not None and not variable.support.check(draws).all()
    if outside or variable.discrete != bool(support.is_discrete):
        raise GuideError(
            f"the guide draws values of '{name}' that it can't have",
            why=f"it draws from {_in_words(support)}, and in the model '{name}' lies in "
            f"{_in_words(variable.support)}",
            fix="give it a distribution on those values: biject_to(support) moves a Normal there",
        )


def _in_words(support: constraints.Constraint | None) -> str:
    return "the real line" if support is constraints.real else str(support)


def _origin(v: Variable) -> Origin:
    return Origin(v.name, v.support, v.discrete, v.cardinality)


def _either(drawn: Values, evidence: Mapping[str, Tensor], name: str, reader: str) -> Tensor:
    """A variable that an encoder reads: drawn before, or observed."""
    if name in drawn:
        return drawn[name]
    try:
        return evidence[name]
    except NotGiven as error:
        raise NotGiven(f"the encoder of '{reader}': {error.what}", why=error.why, fix=error.fix) from None


def _reads(name: str, encoder: Callable[..., Any]) -> tuple[str, ...] | None:
    """The variables that an encoder's arguments name; None if it takes the evidence whole."""
    if isinstance(encoder, type) or not callable(encoder):
        raise GuideError(
            f"the encoder of '{name}' is {encoder!r}", fix="pass a module instance or a function"
        )
    call = encoder.forward if isinstance(encoder, nn.Module) else encoder
    parameters = inspect.signature(call).parameters.values()
    needed = [p for p in parameters if p.default is p.empty]
    if any(p.kind not in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in needed):
        raise GuideError(
            f"the encoder of '{name}' does not name what it reads",
            why="it is called with the variables that its arguments are named after",
            fix="write them out, as in lambda x, y: …, or take all of it: lambda evidence: …",
        )
    names = tuple(p.name for p in needed)
    return None if names == ("evidence",) else names


def _ordered(reads: Mapping[str, tuple[str, ...] | None]) -> list[str]:
    """Latents so that each comes after those that its encoder reads."""
    order: list[str] = []
    while len(order) < len(reads):
        ready = [
            name
            for name, wanted in reads.items()
            if name not in order and all(w in order for w in wanted or () if w in reads)
        ]
        if not ready:
            circle = ", ".join(name for name in reads if name not in order)
            raise GuideError(
                f"the encoders of {circle} read one another", fix="let one of them not read the other"
            )
        order += ready[:1]
    return order
