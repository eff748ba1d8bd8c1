"""The three steps on a bare Pyro program: `do`, `abduct`, `predict`.

`do` is a Pyro handler: what it returns is a program again, for any Pyro inference. Unlike `pyro.poutine.do`,
an outer trace records the value that was enforced, and one `do` may stand around another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import pyro.distributions as dist
import torch
from pyro.poutine.messenger import Messenger, block_messengers

from pyrocausal.errors import EvidenceError, InterventionError, UnknownVariable, did_you_mean
from pyrocausal.exogenous import Law
from pyrocausal.intervene import Earlier, Hard, Natural, Policy, Shift, Stochastic, parse_action
from pyrocausal.samples import Noise, Samples
from pyrocausal.scm import SCM
from pyrocausal.variables import Variable
from pyrocausal.world import is_plate

_models: WeakKeyDictionary[Callable[..., Any], SCM] = WeakKeyDictionary()


class Intervened:
    """A program under an intervention: callable like the program, and known to `abduct` and `predict`."""

    def __init__(self, program: Callable[..., Any], actions: Mapping[str, Any]):
        self.program, self.actions = program, actions

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with _Do(self.actions):
            return self.program(*args, **kwargs)


def do(program: Callable[..., Any], actions: Mapping[str, Any] | None = None, /, **kw: Any) -> Intervened:
    """The program under an intervention, as a Pyro program.

    An acted-on site records the enforced value, as a deterministic site that adds nothing to the log-density.
    Any program will do, also one with plates and observed sites.

    Args:
        program: a Pyro program.
        actions, kw: as in `SCM.do`, except `natural`, which needs a second world.

    Raises:
        UnknownVariable: when the program has run and met no site of that name.

    >>> import pyro, pyro.distributions as dist, pyrocausal as pc
    >>> def program():
    ...     x = pyro.sample("x", dist.Normal(0.0, 1.0))
    ...     pyro.sample("y", dist.Normal(2 * x, 1.0))
    >>> trace = pyro.poutine.trace(pc.do(program, x=3.0)).get_trace()
    >>> trace.nodes["x"]["value"], trace.nodes["y"]["fn"].mean
    (tensor(3.), tensor(6.))
    """
    given = {**(actions or {}), **kw}
    if not given:
        raise InterventionError("do() without an action", fix="write pc.do(program, x=1)")
    return Intervened(program, given)


def abduct(program: Callable[..., Any], evidence: Any, **options: Any) -> Noise:
    """The exogenous noise of a program's variables given evidence: `SCM(program).abduct(evidence, …)`.

    Args:
        program: a program about one unit, possibly under `do`.
        evidence, options: as in `SCM.abduct`; `latent=[…]` declares latent variables, `guide=` proposes them.

    Raises:
        EvidenceError: see `SCM.abduct`; or an option that there is not.
    """
    latent, guide = options.pop("latent", ()), options.pop("guide", None)
    known = ("method", "num_samples", "missing", "seed")
    for name in options:
        if name not in known:
            raise EvidenceError(
                f"abduct has no option {name!r}",
                why=f"its options are {', '.join((*known, 'latent', 'guide'))}",
                fix=did_you_mean(name, (*known, "latent", "guide")),
            )
    return _model(program, latent, guide).abduct(evidence, **options)


def predict(program: Callable[..., Any], noise: Noise, **options: Any) -> Samples:
    """The values of units in a program, possibly under `do`, from their noise.

    >>> import pyro, pyro.distributions as dist, pyrocausal as pc
    >>> def program():
    ...     x = pyro.sample("x", dist.Normal(0.0, 1.0))
    ...     pyro.sample("y", dist.Normal(2 * x, 1.0))
    >>> noise = pc.abduct(program, {"x": [1.0], "y": [2.5]})
    >>> pc.predict(pc.do(program, x=0.0), noise)["y"]
    tensor([0.5000])
    """
    return _model(program).predict(noise, **options)


def _model(program: Callable[..., Any], latent: Any = (), guide: Any = None) -> SCM:
    if isinstance(program, SCM):
        return program
    if isinstance(program, Intervened):
        return _model(program.program, latent, guide).do(program.actions)
    if latent or guide is not None:
        return SCM(program, latent=latent, guide=guide)
    if program not in _models:
        _models[program] = SCM(program)
    return _models[program]


class _Do(Messenger):
    """Acts on sites as they come; complains at the end about names that never came."""

    def __init__(self, actions: Mapping[str, Any]):
        super().__init__()
        self.actions = actions
        self.values: dict[str, torch.Tensor] = {}

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)
        missed = [name for name in self.actions if name not in self.values]
        if missed and exception[0] is None:
            raise UnknownVariable(
                f"do: the program has no site {missed[0]!r}",
                why=f"its sites are {', '.join(self.values)}",
                fix=did_you_mean(missed[0], list(self.values)) or "correct the name",
            )

    def _pyro_sample(self, msg: Any) -> None:
        if is_plate(msg) or msg["name"] not in self.actions:
            return
        name, fn = msg["name"], msg["fn"]
        if isinstance(self.actions[name], Natural):
            raise InterventionError(
                f"do({name}=natural(…)) needs a second world", fix="use SCM(program).do, or pc.predict on it"
            )
        action = parse_action(_site(name, fn), self.actions[name])
        value = self._enforce(name, action, msg)
        msg["fn"] = dist.Delta(value, event_dim=fn.event_dim).mask(False)
        msg["value"], msg["is_observed"], msg["done"] = value, True, True
        msg["infer"] = {**msg["infer"], "_deterministic": True}

    def _pyro_post_sample(self, msg: Any) -> None:
        if not is_plate(msg):
            self.values[msg["name"]] = msg["value"]

    def _enforce(self, name: str, action: Any, msg: Any) -> torch.Tensor:
        like = msg["fn"].shape()
        match action:
            case Hard():
                value: Any = action.value
            case Shift():
                value = action.function(self._natural(msg))
            case Policy():
                value = action.function(Earlier(name, self.values))
            case Stochastic():
                with block_messengers(lambda _: True):
                    value = action.distribution.sample()
        return torch.as_tensor(value).expand(like)

    @staticmethod
    def _natural(msg: Any) -> torch.Tensor:
        if msg["value"] is not None:  # an inner do, or an observed value
            return msg["value"]
        with block_messengers(lambda _: True):
            return msg["fn"]()


def _site(name: str, fn: Any) -> Variable:
    """A site of any program as a variable, as far as an action on it needs to know."""
    value = fn.sample()
    return Variable(
        name=name, shape=tuple(fn.shape()), dtype=value.dtype, law=Law("none", ()), draws=None, support=None,
        discrete=not value.is_floating_point(), computed=False,
    )  # fmt: skip
