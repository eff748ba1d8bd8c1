"""The three rungs as calls: sample, abduct, predict, counterfactual."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import pandas as pd
import torch
from torch import Tensor

from pyrocausal.abduct import Problem, abduct, check_presence, one_of_each, prior
from pyrocausal.abduct.bounds import levels_of, log_evidence
from pyrocausal.abduct.importance import possible
from pyrocausal.counterfactual import Worlds
from pyrocausal.errors import DataError, EvidenceError, InterventionError
from pyrocausal.intervene import Intervention, Natural
from pyrocausal.randomness import generator_of
from pyrocausal.samples import Counterfactual, Noise, Posterior, Samples
from pyrocausal.scm.base import Base
from pyrocausal.table import Table, index_of, read, whole
from pyrocausal.variables import check_names
from pyrocausal.world import Values, action_noise, run

WEIGHT_DRAWS = 100  # of the shared weights' posterior, that an answer averages over


class Asking(Base):
    """Questions on the three rungs."""

    def compile(self, on: bool = True) -> Self:
        """From now on compile what `sample`, `abduct`, `predict` and `counterfactual` compute.

        A question is traced and fused (by `torch.compile`'s inductor, which needs a C++ compiler) when it is
        first asked, which takes seconds up to a minute; asked again, it is several times faster than before.
        Its graph holds for all numbers of units and all values: of parameters, evidence, noise and actions.
        Another graph is made for other observed variables, another kind of action, or another code or Python
        value in the program. The numbers are those of the program itself, up to rounding; the first answer is
        checked against it. What can't be compiled is run as it is, and a warning says so.

        Args:
            on: False for passes as they were.

        Returns:
            The SCM itself; the choice holds for all its submodels too.

        >>> import pyro, pyro.distributions as dist, pyrocausal as pc
        >>> def program():
        ...     x = pyro.sample("x", dist.Normal(0.0, 1.0))
        ...     pyro.sample("y", dist.Normal(2 * x, 1.0))
        >>> scm = pc.SCM(program).compile()
        >>> scm.do(x=1.0).sample(3, seed=0)["x"]
        tensor([1., 1., 1.])
        """
        self._model.run = self._model.compiled if on else run
        return self

    # ---- rung 1: seeing

    @torch.no_grad()
    def sample(
        self,
        n: int = 1,
        *,
        num_samples: int | None = None,
        seed: int | None = None,
        compile: bool | None = None,
    ) -> Samples:
        """`n` units drawn from the model (of a submodel: from the interventional distribution).

        Args:
            num_samples: of an SCM with shared weights (`pc.units()`), draws of these: each has `n` units, and
                the answer a leading axis. Default: no axis, and every unit has a draw of its own.
            compile: whether passes are compiled (see `compile`); default: what `compile` said.
        """
        n = whole(n, "the number of units n", least=1)
        generator = generator_of(seed)
        draws = self._count_draws(num_samples)
        noise = prior(self.variables, n * (draws or 1), generator)
        with self._model.compiling(compile), self._weighted(draws or n, n if draws else 1, generator):
            values = self._worlds(noise, n, draws or 1, generator).run(self._intervention).values
        if draws:
            values = {name: x.unflatten(0, (draws, n)) for name, x in values.items()}
        return Samples(values, self.variables, draws=draws is not None)

    def _count_draws(self, num_samples: int | None) -> int | None:
        if num_samples is None:
            return None
        if not self._model.structure.shared:
            raise DataError(
                f"num_samples={num_samples!r}: the SCM has no weights to draw",
                why="draws of units are what n counts",
                fix="leave it out, or give weights a prior outside of pc.units()",
            )
        return whole(num_samples, "num_samples", least=1)

    @contextmanager
    def _weighted(self, draws: int, block: int, generator: torch.Generator) -> Iterator[Values]:
        """Within, passes use draws of the shared weights' posterior, each for a block of units."""
        known = self._model.program.weights_posterior
        kept = len(next(iter(known.values()))) if known else 0
        chosen = torch.randperm(kept, generator=generator)[torch.arange(draws) % kept] if known else None
        picked = {name: x[chosen] for name, x in known.items()}
        with self._model.program.weights(picked, block):
            yield picked

    # ---- rung 3: imagining

    @torch.no_grad()
    def abduct(
        self,
        evidence: Any,
        *,
        method: str = "auto",
        num_samples: int | None = None,
        missing: str = "error",
        seed: int | None = None,
        compile: bool | None = None,
    ) -> Noise:
        """Step 1: the exogenous noise given evidence, P(u | evidence).

        Args:
            evidence: a DataFrame, mapping or Series with every variable that is not latent.
            method: how the noise of what is not observed is found; the rest is pulled out exactly given it.

                - "exact": everything is observed (of a discrete variable's noise it is one draw from its
                  posterior);
                - "enumerate": all that is not observed is discrete: exact, as weighted draws;
                - "importance": draws from the guide, or else from the prior, are weighted and resampled;
                - "guide": draws from the guide as they are;
                - "svi": a Gaussian is fitted to each unit's posterior, and its draws weighted and resampled;
                - "nuts": Markov chains, one batch for all units;
                - "auto": the cheapest of these that is right; `diagnostics["method"]` says which it was.
            num_samples: draws per unit, as a leading axis; default: no axis for "exact", 1000 for the others
                (for "enumerate", as many weighted ones as there are).
            missing: "error", or "abduct": cells that are NaN are inferred, each for its own unit.
            seed: for the draws.
            compile: whether passes are compiled (see `compile`); default: what `compile` said.

        Raises:
            EvidenceError: a variable is missing, the evidence is impossible or contradicts the model, or the
                engine can't do it.
        """
        table = read(evidence, self.variables, where="evidence", missing=missing)
        with self._model.compiling(compile):
            return self._abduct(table, method, num_samples, seed)

    @torch.no_grad()
    def predict(self, noise: Noise, *, seed: int | None = None, compile: bool | None = None) -> Samples:
        """Step 3: the values of these units in this (sub)model, from their noise."""
        if not isinstance(noise, Noise):
            raise EvidenceError(f"predict takes the Noise that abduct gives, not {type(noise).__name__}")
        own = {action_noise(name) for name in self.variables}
        check_names([name for name in noise if name not in own], self.variables, where="noise")
        lacking = [v.name for v in self.variables.values() if not v.computed and v.name not in noise]
        if lacking:
            raise EvidenceError(f"the noise of '{lacking[0]}' is missing", fix="pass all that abduct gave")
        with self._model.compiling(compile):
            return self._predict_worlds(noise, {"": self._intervention}, seed)[0][""]

    @torch.no_grad()
    def counterfactual(
        self,
        evidence: Any,
        *,
        do: Mapping[str, Any],
        method: str = "auto",
        num_samples: int | None = None,
        missing: str = "error",
        seed: int | None = None,
        compile: bool | None = None,
    ) -> Counterfactual:
        """Abduction, action and prediction in one: what the same units would have been.

        Args:
            evidence: see `abduct`.
            do: actions, `{"quit": 1}`; or several named worlds, `{"quit": {"quit": 1}, "stay": {"quit": 0}}`.
            method, missing, seed: see `abduct`.
            num_samples: draws per unit, as a leading axis. Default: none where the answer is exact; 100 where
                it depends on noise that evidence does not determine (discrete descendants of an action); 1000
                with latents. For "enumerate" the draws are all that these worlds can tell apart, weighted.
            compile: whether passes are compiled (see `compile`); default: what `compile` said.
        """
        worlds = _named_worlds(do)
        submodels = {name: self.do(actions) if actions else self for name, actions in worlds.items()}
        table = read(evidence, self.variables, where="evidence", missing=missing)
        with self._model.compiling(compile):
            noise = self._abduct(table, method, num_samples, seed, tuple(submodels.values()))
            assert noise.factual is not None
            found, natural = self._predict_worlds(
                noise, {k: m._intervention for k, m in submodels.items()}, seed, factual=noise.factual
            )
        return Counterfactual(found, factual=noise.factual, noise=noise, natural=natural)

    @torch.no_grad()
    def infer(
        self,
        name: str,
        *,
        given: Any,
        method: str = "auto",
        num_samples: int = 1000,
        seed: int | None = None,
    ) -> Posterior:
        """The posterior of a variable given others, P(name | given): what is believed, not what is done.

        Everything else is averaged over. A variable with finitely many levels gets a probability for each, by
        Bayes' rule: p(level, given) is exact where all the rest is discrete, and else estimated with
        `num_samples` draws from the guide or the prior. Other variables get draws, by `abduct`.

        Args:
            name: the variable.
            given: a DataFrame or mapping of other variables, any of them.
            method: an engine of `abduct`, for a variable without levels.

        >>> import pyro, pyro.distributions as dist, pyrocausal as pc
        >>> def program():
        ...     sick = pyro.sample("sick", dist.Bernoulli(0.01))
        ...     pyro.sample("test", dist.Bernoulli(0.05 + 0.9 * sick))
        >>> pc.SCM(program).infer("sick", given={"test": [0.0, 1.0]}).probs[:, 1].round(decimals=4)
        tensor([0.0005, 0.1610], dtype=torch.float64)
        """
        check_names([name], self.variables, where="infer")
        table = read(given, self.variables, where="given")
        if name in table.values:
            raise EvidenceError(f"'{name}' is both asked for and given", fix=f"leave '{name}' out of given=")
        draws = whole(num_samples, "num_samples", least=1)
        variable, index = self.variables[name], index_of(given)
        if self._intervention.replaces(name):
            raise EvidenceError(
                f"'{name}' is set by do in this submodel, so there is nothing to infer",
                fix="ask the model without that action",
            )
        one_hot = variable.support is torch.distributions.constraints.one_hot
        if variable.computed or not variable.discrete or not (one_hot or variable.cardinality):
            if self._model.structure.shared:
                raise EvidenceError(
                    f"infer can't draw '{name}' under uncertain weights", fix="use abduct, whose draws can"
                )
            noise = abduct(self._problem(table, seed, free=self.variables), method=method, num_samples=draws)
            assert noise.factual is not None
            found = Posterior(name, noise.factual[name], self.variables, index)
            found.weights, found.diagnostics = noise.factual.weights, noise.diagnostics
            return found
        levels = levels_of(variable)
        units = len(next(iter(table.values.values())))
        copies = WEIGHT_DRAWS if self._model.structure.shared else 1
        asked = table.repeated(len(levels) * copies)
        asked.values[name] = levels.repeat_interleave(copies * units, 0)
        problem = self._problem(asked, seed, free=self.variables, copies=len(levels) * copies)
        with self._weighted(copies, units, problem.generator):
            each = log_evidence(problem, draws).reshape(len(levels), copies, units)
        scores = possible(torch.logsumexp(each, 1))  # the weights are averaged over
        every = levels[:, None].expand(len(levels), units, *variable.shape)
        found = Posterior(name, every, self.variables, index)
        found.weights = torch.softmax(scores.double(), 0)
        return found

    def _problem(
        self,
        table: Table,
        seed: int | None,
        worlds: tuple[Intervention, ...] = (),
        free: Collection[str] = (),
        copies: int = 1,
    ) -> Problem:
        """What is asked of abduction, checked.

        Args:
            free: variables that need no evidence, beside latents.
            copies: how often the table holds every unit.
        """
        if any(isinstance(action, Natural) for _, _, _, action in self._intervention.items()):
            raise EvidenceError(
                "evidence in a submodel with natural(…) or edge(…) is not supported",
                why="its value depends on a second world, whose noise is what is asked for",
                fix="abduct in the model without it, and predict in this one",
            )
        self._refuse_unseen_draws(table)
        free = {*free, *table.missing, *self._model.graph.latent}
        check_presence(self._model.structure, self._intervention, table.values, free)
        generator = generator_of(seed)
        units = len(next(iter(table.values.values()), (None,) * copies)) // copies
        given = self._worlds({}, units, copies, generator, labels=table.index).given(self._intervention)
        return Problem(
            self._model.program,
            self._model.structure,
            self._intervention,
            table.values,
            missing={name: gaps for name, gaps in table.missing.items() if name in table.values},
            given=given,
            guide=self._model.guide,
            worlds=worlds,
            generator=generator,
            run=self._model.run,
        )

    def _refuse_unseen_draws(self, table: Table) -> None:
        """What an action draws afresh has a posterior too, if evidence hangs on it, and no engine for it."""
        for name in self._intervention.names:
            drawn = self._intervention.drawn(name) is not None
            lacks = name not in table.values or name in table.missing
            below = self.graph.descendants(name) if drawn and lacks else ()
            seen = [other for other in table.values if other in below and other != name]
            if seen:
                raise EvidenceError(
                    f"'{name}' is drawn afresh in this submodel, and its value is not in the evidence",
                    why=f"'{seen[0]}' depends on it, so its draw would have to be inferred",
                    fix=f"give '{name}' as evidence, or abduct in the model without that action",
                )

    def _abduct(
        self,
        table: Table,
        method: str,
        num_samples: int | None,
        seed: int | None,
        submodels: tuple[Base, ...] = (),
    ) -> Noise:
        """The noise, told apart as far as these submodels need it."""
        if num_samples is not None:
            num_samples = whole(num_samples, "the number of draws num_samples", least=1)
        worlds = tuple(m._intervention for m in submodels)
        if self._model.structure.shared:
            noise = self._abduct_by_weights(table, method, num_samples or WEIGHT_DRAWS, seed, worlds)
        else:
            problem = self._problem(table, seed, worlds)
            if num_samples is None and method in ("auto", "exact") and self._ambiguous(problem, submodels):
                num_samples = 100
            noise = abduct(problem, method=method, num_samples=num_samples)
        noise.index = table.index
        if noise.factual is not None:
            noise.factual.index = table.index
        return noise

    def _abduct_by_weights(
        self,
        table: Table,
        method: str,
        draws: int,
        seed: int | None,
        worlds: tuple[Intervention, ...],
    ) -> Noise:
        """For every draw of the shared weights, one of the noise given it: the axis of draws is theirs."""
        problem = self._problem(table.repeated(draws), seed, worlds, copies=draws)
        with self._weighted(draws, problem.units // draws, problem.generator) as weights:
            found = abduct(problem, method=method, num_samples=None)
        return one_of_each(found, draws, weights, problem.generator)

    def _worlds(
        self,
        noise: Mapping[str, Tensor],
        units: int,
        copies: int,
        generator: torch.Generator,
        factual: Mapping[str, Tensor] | None = None,
        labels: pd.Index | None = None,
    ) -> Worlds:
        return Worlds(
            self._model.program,
            self._model.structure,
            dict(noise),
            units=units,
            copies=copies,
            generator=generator,
            factual=dict(factual or {}),
            base=self._intervention,
            labels=labels,
            run=self._model.run,
        )

    def _predict_worlds(
        self,
        noise: Noise,
        worlds: Mapping[str, Intervention],
        seed: int | None,
        factual: Samples | None = None,
    ) -> tuple[dict[str, Samples], dict[str, Samples]]:
        draws, units = noise.num_draws, noise.num_units

        def flat(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {k: x.flatten(0, 1) if noise.has_draws else x for k, x in values.items()}

        store = self._worlds(
            flat(noise), units, draws or 1, generator_of(seed, stream=1), flat(factual or {}), noise.index
        )

        def shaped(values: Mapping[str, Tensor]) -> Samples:
            if draws is not None:
                values = {k: x.reshape(draws, units, *x.shape[1:]) for k, x in values.items()}
            samples = Samples(values, self.variables, draws=draws is not None, index=noise.index)
            samples.weights = noise.weights
            return samples

        with self._model.program.weights(noise.weights_used, units):
            passes = {name: store.run(intervention) for name, intervention in worlds.items()}
        natural = {
            name: shaped({k: seen.natural[k] for k in worlds[name].names}) for name, seen in passes.items()
        }
        return {name: shaped(seen.values) for name, seen in passes.items()}, natural

    def _ambiguous(self, problem: Problem, submodels: Iterable[Base]) -> bool:
        """Whether some world's values depend on noise that exact evidence does not determine."""
        if problem.unobserved:
            return False
        random = {v.name for v in self.variables.values() if v.draws is not None}
        return any(random & _moved(submodel) for submodel in submodels)


def _moved(submodel: Base) -> set[str]:
    """The variables whose own noise may matter in a submodel: what its actions reach, if not set itself."""
    intervention = submodel._intervention
    moved: set[str] = set()
    for name in intervention.names:
        moved |= set(submodel.graph.descendants(name))
    elsewhere = {n for _, _, n, action in intervention.items() if isinstance(action, Natural)}
    return moved - {n for n in intervention.names if intervention.replaces(n)} | elsewhere


def _named_worlds(do: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    if not isinstance(do, Mapping) or not do:
        raise InterventionError(f"do={do!r} names no action", fix='write do={"x": 1}')
    if all(isinstance(value, Mapping) for value in do.values()):
        return dict(do)
    return {"do": do}
