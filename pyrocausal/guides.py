"""Amortised guides q(latents | evidence): programs about one unit, like the model, given its evidence.

`Amortized` puts one together from an encoder for each latent; any Pyro program that takes the evidence and
has a site for each latent will do. A guide's noise is derived from its distributions just as a model's is,
so its draws are differentiable, run for all units at once, and repeat with a seed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import pyro
import pyro.distributions as dist
import torch
from pyro.infer.autoguide import AutoGuide
from pyro.nn import PyroModule
from pyro.poutine.messenger import Messenger
from torch import Tensor, nn
from torch.distributions import Distribution, biject_to

from pyrocausal.errors import EvidenceError, PyrocausalError, did_you_mean
from pyrocausal.exogenous import Law, exogenous
from pyrocausal.mechanisms.base import Block, Origin, Standardise, block_of, encoded, perceptron, tag
from pyrocausal.units import Program, over_units
from pyrocausal.variables import Variable, check_names
from pyrocausal.world import Values, is_plate

__all__ = ["Amortized", "Encoder", "Guide", "GuideError", "Proposal"]


class GuideError(PyrocausalError):
    """A guide that does not fit its model, or is asked for what it can't give."""


class Proposal(NamedTuple):
    """Draws from a guide: values `(units, *event)` of each latent, and log q of them together, `(units,)`."""

    values: Values
    log_prob: Tensor


class Amortized(PyroModule):
    r"""A guide :math:`q(z_1 \mid \cdot)\, q(z_2 \mid \cdot) \cdots` with one encoder a latent.

    Args:
        names: latents that get an `Encoder`, a network that reads all evidence.
        encoders: latent to a callable (a module, say) that returns the latent's distribution for one unit. It
            is called with the variables that its arguments are named after: observed ones, and other latents
            (which are then drawn before).

    Raises:
        GuideError: an encoder's argument is no variable, or latents read one another in a circle.

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
        chosen: dict[str, Callable[..., Distribution]] = {name: Encoder() for name in names} | encoders
        if not chosen:
            raise GuideError(
                "Amortized() names no latent", fix='write Amortized("z") or Amortized(z=encoder)'
            )
        self.reads = {name: _reads(name, encoder) for name, encoder in chosen.items()}
        self.order = _ordered(self.reads)
        self.functions = {name: f for name, f in chosen.items() if not isinstance(f, nn.Module)}
        for name, encoder in chosen.items():
            if isinstance(encoder, nn.Module):
                setattr(self, name, encoder)

    def forward(self, evidence: Mapping[str, Tensor]) -> None:
        known = dict(evidence)
        for name in self.order:
            encoder = self.functions[name] if name in self.functions else getattr(self, name)
            reads = self.reads[name]
            given = (evidence,) if reads is None else ()
            named = {} if reads is None else {read: _read(known, read, name) for read in reads}
            known[name] = pyro.sample(name, encoder(*given, **named))  # type: ignore[arg-type]

    def encoders(self) -> Iterator[tuple[str, Encoder]]:
        """The toolkit's own encoders."""
        for name in self.order:
            if name not in self.functions and isinstance(getattr(self, name), Encoder):
                yield name, getattr(self, name)


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

    def build(self, variable: Variable, evidence: Mapping[str, Tensor]) -> None:
        """Create the layers for one unit's (tagged) evidence."""
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
        support = self.latent.support
        return biject_to(support if support is not None else torch.distributions.constraints.real)

    def features(self, evidence: Mapping[str, Tensor]) -> Tensor:
        parts = [encoded(_read(evidence, n, self.latent.name), b, self.dtype) for n, b in self.blocks.items()]
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
        if self.latent.support in (None, torch.distributions.constraints.real):
            return base
        return dist.TransformedDistribution(base, [free])


class Guide:
    """A guide made ready to run for many units.

    Args:
        guide: a Pyro program or module that takes one unit's evidence (a mapping of variable to value).

    Raises:
        GuideError: the guide is an AutoGuide, or has sites that are no latents, or lacks one.
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

    def set_up(self, variables: Mapping[str, Variable], latent: Iterable[str], evidence: Values) -> None:
        """Build its layers and meet its sites, with one unit's values as evidence."""
        tagged = {name: tag(x, _origin(variables[name])) for name, x in evidence.items()}
        module = self.program.module
        if isinstance(module, Amortized):
            check_names(module.order, variables, where="guide")
            for name, encoder in module.encoders():
                if not encoder.blocks:
                    encoder.build(variables[name], tagged)
        recorder = _Recorder()
        with self.program.running(recorder, validate=True):
            self.program(Evidence(tagged))
        check_names(recorder.sites, variables, where="guide")
        lacking = sorted(set(latent) - set(recorder.sites))
        if lacking:
            raise GuideError(
                f"the guide has no site '{lacking[0]}'",
                why="it must propose a value for every latent",
                fix=f'add pyro.sample("{lacking[0]}", …) to it',
            )
        self.sites = recorder.sites

    def learn_scales(self, evidence: Values) -> None:
        """The toolkit's own encoders learn the scales of what they read, once."""
        module = self.program.module
        for _, encoder in module.encoders() if isinstance(module, Amortized) else ():
            if bool((encoder.standardise.scale == 1).all() and (encoder.standardise.mean == 0).all()):
                encoder.standardise.learn(torch.vmap(encoder.features)(evidence))

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

        def one(inputs: tuple[Values, Values]) -> tuple[Values, Tensor]:
            drawing = _Drawing(inputs[1], {name: inputs[0][name] for name in kept})
            with drawing:
                self.program(Evidence(inputs[0]))
            return drawing.values, torch.stack([*drawing.log_prob, torch.zeros(())]).sum()

        with self.program.running():
            values, log_prob = _unpacked(
                over_units(lambda i: _packed(one(i)), (evidence, noise), vectorised=vectorised)
            )
        return Proposal(values, log_prob)


class Evidence(Mapping[str, Tensor]):
    """One unit's evidence, as a guide sees it."""

    def __init__(self, values: Mapping[str, Tensor]):
        self._values = values

    def __getitem__(self, name: str) -> Tensor:
        return _read(self._values, name, "")

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class _Recorder(Messenger):
    """Meets every site of a guide, with a value in the middle of its noise."""

    def __init__(self) -> None:
        super().__init__()
        self.sites: dict[str, Law] = {}

    def _pyro_sample(self, msg: Any) -> None:
        if is_plate(msg) or msg["infer"].get("_deterministic"):
            return
        mechanism = exogenous(msg["fn"], msg["infer"].get("noise"))
        self.sites[msg["name"]] = mechanism.law
        msg["value"] = mechanism.push(
            mechanism.law.sample(1, torch.Generator().manual_seed(0))[0].to(torch.get_default_dtype())
        )
        msg["done"] = msg["stop"] = True


class _Drawing(Messenger):
    """Draws one unit's latents from a guide, by pushing noise."""

    def __init__(self, noise: Values, kept: Values):
        super().__init__()
        self.noise, self.kept = noise, kept
        self.values: Values = {}
        self.log_prob: list[Tensor] = []

    def _pyro_sample(self, msg: Any) -> None:
        if is_plate(msg) or msg["infer"].get("_deterministic"):
            return
        name, fn = msg["name"], msg["fn"]
        if name in self.kept:
            msg["value"] = self.kept[name]
        else:
            value = exogenous(fn, msg["infer"].get("noise")).push(self.noise[name])
            self.values[name] = msg["value"] = value
            self.log_prob.append(fn.log_prob(value).sum())
        msg["done"] = msg["stop"] = True


def _packed(drawn: tuple[Values, Tensor]) -> dict[str, Any]:
    return {"values": drawn[0], "log_prob": {"all": drawn[1]}}


def _unpacked(drawn: dict[str, Any]) -> tuple[Values, Tensor]:
    return drawn["values"], drawn["log_prob"]["all"]


def _origin(v: Variable) -> Origin:
    return Origin(v.name, v.support, v.discrete, v.cardinality)


def _read(values: Mapping[str, Tensor], name: str, reader: str) -> Tensor:
    if name not in values:
        whose = f"the guide of '{reader}'" if reader else "the guide"
        raise EvidenceError(
            f"{whose} reads '{name}', which it is not given",
            why=f"it is given {', '.join(values) or 'nothing'}",
            fix=did_you_mean(name, list(values)) or f"pass '{name}' as evidence, or use another method=",
        )
    return values[name]


def _reads(name: str, encoder: Callable[..., Any]) -> tuple[str, ...] | None:
    """The variables that an encoder's arguments name; None if it takes the evidence whole."""
    if isinstance(encoder, type) or not callable(encoder):
        raise GuideError(
            f"the encoder of '{name}' is {encoder!r}", fix="pass a module instance or a function"
        )
    call = encoder.forward if isinstance(encoder, nn.Module) else encoder
    parameters = inspect.signature(call).parameters
    if list(parameters) == ["evidence"]:
        return None
    return tuple(parameters)


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
