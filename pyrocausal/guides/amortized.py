"""`Amortized`: a guide put together from an encoder for each latent, and the default encoder."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro.nn import PyroModule
from torch import Tensor, nn
from torch.distributions import Distribution, biject_to, constraints

from pyrocausal.mechanisms.base import Block, Standardise, block_of, encoded, perceptron, side_by_side
from pyrocausal.units import Program, module_key
from pyrocausal.variables import Variable
from pyrocausal.world import Values

from .evidence import Evidence, GuideError, NotGiven


class Amortized(PyroModule):
    r"""A guide :math:`q(z_1 \mid \cdot)\, q(z_2 \mid \cdot) \cdots` with one encoder a latent.

    A variable that is observed as a rule may have an encoder too: it proposes the variable for units that
    lack it, and other encoders that read the variable get what was proposed. Where it is known, the encoder
    is not asked; `SCM.guide_log_prob`, a part of the default objective, trains it.

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
        self.observed: tuple[str, ...] = ()
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

    def forward(self, evidence: Evidence) -> None:
        drawn: Values = {}
        for name in self.order:
            reads = self.reads[name]
            if reads is None:
                given: list[Any] = [evidence.joined({n: drawn[n] for n in self.observed})]
            else:
                given = [_either(drawn, evidence, read, name) for read in reads]
            drawn[name] = pyro.sample(name, self._encoder(name)(*given))

    def arrange(self, latent: Collection[str]) -> None:
        """Draw what is observed as a rule before the latents of which an encoder reads all evidence."""
        self.observed = tuple(name for name in self.reads if name not in latent)
        for name in self.observed:
            if self.reads[name] is None:
                raise GuideError(
                    f"the encoder of '{name}', which is observed as a rule, can't read all evidence",
                    why="that is what may be missing with it, and itself",
                    fix=f"write one that names what it reads: Amortized({name}=lambda …: …)",
                )
        self.order = _ordered(
            {n: self.observed if reads is None else reads for n, reads in self.reads.items()}
        )

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

    centre: Tensor
    scale: Tensor
    trained: Tensor

    def __init__(self, hidden: tuple[int, ...] = (64, 64)):
        super().__init__()
        self.hidden = hidden
        self.blocks: dict[str, Block] = {}

    def reset(self) -> None:
        """Forget layers and scales: the next set-up builds new ones."""
        self.blocks = {}

    def build(self, variable: Variable, evidence: Mapping[str, Tensor], prior: Values) -> None:
        """Create the layers for one unit's (tagged) evidence; `prior` has units drawn from the model.

        It starts near the prior of the latent, in the model's units, and reads evidence in those of the
        model's draws until training shows it real ones.
        """
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
        self.register_buffer("trained", torch.tensor(False))
        with torch.no_grad():
            last = self.network[-1]
            last.weight.mul_(0.1)  # type: ignore[operator, union-attr]
            last.bias.zero_()  # type: ignore[operator, union-attr]
            self.standardise.learn(_without_tails(self.features_of(prior)))
            if not variable.discrete:
                free = self._free().inv(prior[variable.name])
                quantiles = torch.quantile(free, torch.tensor([0.16, 0.5, 0.84], dtype=free.dtype), 0)
                self.register_buffer("centre", quantiles[1])
                self.register_buffer("scale", (quantiles[2] - quantiles[0]).clamp_min(1e-6) / 2)

    def learn_scales(self, evidence: Values) -> None:
        """Learn the evidence's scales from the training split; done once."""
        if not self.trained:
            self.standardise.learn(_without_tails(self.features_of(evidence)))
            self.trained.fill_(True)

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
        return side_by_side(parts) if parts else torch.zeros(0, dtype=self.dtype)

    def features_of(self, evidence: Values) -> Tensor:
        """Those of many units, `(units, num_features)`."""
        return torch.vmap(self.features)({name: evidence[name] for name in self.blocks})

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
        scale = self.scale * torch.exp(_MOST_LOG_SCALE * torch.tanh(log_scale / _MOST_LOG_SCALE))
        base = dist.Normal(self.centre + self.scale * loc, scale).to_event(loc.dim())
        if self.latent.support is constraints.real:
            return base
        return dist.TransformedDistribution(base, [free])


_MOST_LOG_SCALE = 10.0  # beside the prior's: unheard-of evidence gives no scale of 0 or infinity


def _without_tails(x: Tensor) -> Tensor:
    """Columns cut at their 2 and 98 percentiles: a mean and an sd that heavy tails can't move."""
    if not x.numel():
        return x
    low, high = torch.quantile(x, torch.tensor([0.02, 0.98], dtype=x.dtype), 0)
    return x.clamp(low, high)


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
    if isinstance(encoder, (type, Distribution)) or not callable(encoder):
        raise GuideError(
            f"the encoder of '{name}' is {encoder!r}",
            fix="pass a module instance or a function, such as lambda x: dist.Normal(x, 1.0)",
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
