"""One adapter for each method of the accuracy benchmark, all with the same two questions.

A method is a function ``(values, known, seed) -> Fitted``. Only ``no_abduction`` looks at the true equations;
the others get the rows, the graph and the kinds of the variables. The libraries are imported when they are
used, so that each method can run in an environment without the others.
"""

import copy
import importlib
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from pyrocausal.data.synthetic import KnownSCM
from pyrocausal.errors import MissingExtra

__all__ = ["METHODS", "Fitted", "Method", "Values"]

Values = Mapping[str, Tensor]
Do = Mapping[str, float]


class Fitted(Protocol):
    """A fitted model. ``note`` says what the method chose, for the record."""

    note: str

    def counterfactual(self, values: Values, do: Do) -> Values:
        """The values of these same units in the world ``do``."""

    def interventional(self, n: int, do: Do, seed: int) -> Values:
        """Draw n new units in the world ``do``."""


Method = Callable[[Values, KnownSCM, int], Fitted]


def _peer(module: str) -> Any:
    """A peer's module, or how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(module.split(".")[0], "bench") from error


# ------------------------------------------------------------------------------------------------- pyrocausal


def to_frame(values: Values, known: KnownSCM, text: frozenset[str]) -> pd.DataFrame:
    """A DataFrame in which discrete variables are whole numbers, or strings for those named in ``text``."""
    frame = pd.DataFrame({x: value.numpy() for x, value in values.items()})
    discrete = [x for x, kind in known.kinds.items() if kind != "continuous"]
    frame[discrete] = frame[discrete].astype("int64")
    return frame.astype(dict.fromkeys(text, "str")).astype(dict.fromkeys(text, "object"))


def to_action(do: Do, text: frozenset[str]) -> dict[str, float | str]:
    """The same action in the coding of :func:`to_frame`."""
    return {x: str(int(value)) if x in text else value for x, value in do.items()}


@dataclass
class PyroCausal:
    """This package with its default settings: a DataFrame and a graph."""

    scm: Any
    known: KnownSCM
    text: frozenset[str]
    note: str = ""

    @classmethod
    def fit(cls, values: Values, known: KnownSCM, seed: int) -> "PyroCausal":
        import pyrocausal

        text = frozenset(x for x, kind in known.kinds.items() if kind == "categorical")
        scm = pyrocausal.SCM.from_graph(known.graph).fit(to_frame(values, known, text), seed=seed)
        return cls(scm, known, text)

    def counterfactual(self, values: Values, do: Do) -> Values:
        frame = to_frame(values, self.known, self.text)
        return self._numbers(self.scm.counterfactual(frame, do=to_action(do, self.text)))

    def interventional(self, n: int, do: Do, seed: int) -> Values:
        return self._numbers(self.scm.do(to_action(do, self.text)).sample(n, seed=seed))

    def _numbers(self, world: Any) -> Values:
        return {x: world[x].detach().double() for x in self.known.equations}


# ------------------------------------------------------------------------------------------------------ DoWhy


@contextmanager
def numpy_seed(seed: int) -> Iterator[None]:
    """DoWhy draws from numpy's global generator: seed it, and leave it as it was."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


@dataclass
class DoWhy:
    """``dowhy.gcm`` with automatically assigned mechanisms.

    Binary and categorical variables are strings, as DoWhy asks for, which makes those with parents
    classifiers; these can't be inverted. Counterfactuals therefore use a second model in which discrete
    variables with parents are whole numbers, for which DoWhy has an invertible mechanism, the discrete
    additive noise model.
    """

    invertible: Any
    generative: Any
    known: KnownSCM
    text: frozenset[str]
    text_generative: frozenset[str]
    note: str = ""

    @classmethod
    def fit(cls, values: Values, known: KnownSCM, seed: int, quality: str = "GOOD") -> "DoWhy":
        levels = frozenset(x for x, kind in known.kinds.items() if kind in ("binary", "categorical"))
        roots = frozenset(x for x in levels if not known.equations[x].parents)
        with numpy_seed(seed):
            invertible, note = cls._assign_and_fit(values, known, roots, True, quality)
            generative = invertible
            if levels != roots:
                generative, _ = cls._assign_and_fit(values, known, levels, False, quality)
        return cls(invertible, generative, known, roots, levels, note)

    @staticmethod
    def _assign_and_fit(
        values: Values, known: KnownSCM, text: frozenset[str], invertible: bool, quality: str
    ) -> tuple[Any, str]:
        import networkx as nx

        gcm = _peer("dowhy.gcm")

        gcm.config.disable_progress_bars()
        gcm.config.set_default_n_jobs(1)
        graph = nx.DiGraph(
            [(parent, x) for x, equation in known.equations.items() for parent in equation.parents]
        )
        model = (gcm.InvertibleStructuralCausalModel if invertible else gcm.ProbabilisticCausalModel)(graph)
        frame = to_frame(values, known, text)
        gcm.auto.assign_causal_mechanisms(model, frame, quality=gcm.auto.AssignmentQuality[quality])
        gcm.fit(model, frame)
        chosen = {
            x: str(model.causal_mechanism(x)) for x, equation in known.equations.items() if equation.parents
        }
        return model, "; ".join(f"{x}: {mechanism}" for x, mechanism in chosen.items())

    def counterfactual(self, values: Values, do: Do) -> Values:
        gcm = _peer("dowhy.gcm")

        frame = to_frame(values, self.known, self.text)
        actions = self._actions(do, self.text)
        return self._numbers(gcm.counterfactual_samples(self.invertible, actions, observed_data=frame))

    def interventional(self, n: int, do: Do, seed: int) -> Values:
        gcm = _peer("dowhy.gcm")

        actions = self._actions(do, self.text_generative)
        with numpy_seed(seed):
            return self._numbers(gcm.interventional_samples(self.generative, actions, num_samples_to_draw=n))

    @staticmethod
    def _actions(do: Do, text: frozenset[str]) -> dict[str, Callable[[Any], Any]]:
        return {x: lambda _, value=value: value for x, value in to_action(do, text).items()}

    def _numbers(self, frame: pd.DataFrame) -> Values:
        return {x: torch.as_tensor(frame[x].astype(float).to_numpy(copy=True)) for x in self.known.equations}


def dowhy_better(values: Values, known: KnownSCM, seed: int) -> DoWhy:
    """DoWhy with its larger set of candidate regressors."""
    return DoWhy.fit(values, known, seed, quality="BETTER")


# ------------------------------------------------------------------------------------------------ causalflows


@dataclass
class CausalFlows:
    """``causalflows``: a causal normalizing flow on standardised variables, masked by the true graph.

    The affine flow (ELU, three layers of 32: the published configuration of its authors) and the spline flow
    (three layers of 128: the package's README) are both trained, and the better held-out likelihood decides.
    Discrete variables are dequantised with uniform noise, as the authors do, and rounded down on the way out.
    """

    flow: nn.Module
    mean: Tensor
    scale: Tensor
    known: KnownSCM
    top: dict[str, float]
    note: str = ""

    @classmethod
    def fit(cls, values: Values, known: KnownSCM, seed: int) -> "CausalFlows":
        names = list(known.equations)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            rows = _dequantise(torch.stack([values[x] for x in names], -1), known)
            mean, scale = rows.mean(0), rows.std(0)
            rows = ((rows - mean) / scale).float()
            rows = rows[torch.randperm(len(rows))]
            held_out, train = rows[: len(rows) // 10], rows[len(rows) // 10 :]
            trained = {name: _train(flow, train, held_out) for name, flow in cls._candidates(known).items()}
        best = min(trained, key=lambda name: trained[name][1])
        note = (
            best
            + " of "
            + ", ".join(f"{x}: nll {nll:.3f} after {n} epochs" for x, (_, nll, n) in trained.items())
        )
        return cls(trained[best][0], mean, scale, known, {x: values[x].max().item() for x in names}, note)

    @staticmethod
    def _candidates(known: KnownSCM) -> dict[str, nn.Module]:
        flows = _peer("causalflows.flows")
        CausalMAF, CausalNSF = flows.CausalMAF, flows.CausalNSF

        names = list(known.equations)
        adjacency = torch.eye(len(names), dtype=torch.bool)
        for i, equation in enumerate(known.equations.values()):
            adjacency[i, [names.index(parent) for parent in equation.parents]] = True
        return {
            "MAF": CausalMAF(len(names), adjacency=adjacency, hidden_features=(32,) * 3, activation=nn.ELU),
            "NSF": CausalNSF(len(names), adjacency=adjacency, hidden_features=(128,) * 3),
        }

    @torch.no_grad()
    def counterfactual(self, values: Values, do: Do) -> Values:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            rows = _dequantise(torch.stack([values[x] for x in self.known.equations], -1), self.known)
        factual = ((rows - self.mean) / self.scale).float()
        return self._numbers(self.flow().compute_counterfactual(factual, *self._action(do)))

    @torch.no_grad()
    def interventional(self, n: int, do: Do, seed: int) -> Values:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return self._numbers(self.flow().sample_interventional(*self._action(do), sample_shape=(n,)))

    def _action(self, do: Do) -> tuple[int, Tensor]:
        """Index and standardised value of the one intervened variable; a discrete one is set to mid-cell."""
        ((x, value),) = do.items()
        i = list(self.known.equations).index(x)
        value = value + 0.5 * (self.known.kinds[x] != "continuous")
        return i, ((value - self.mean[i]) / self.scale[i]).float()

    def _numbers(self, rows: Tensor) -> Values:
        world = dict(
            zip(self.known.equations, (rows.double() * self.scale + self.mean).unbind(-1), strict=True)
        )
        for x, kind in self.known.kinds.items():
            if kind != "continuous":
                world[x] = world[x].floor().clamp(0, self.top[x] if kind != "count" else math.inf)
        return world


def _dequantise(rows: Tensor, known: KnownSCM) -> Tensor:
    """Add uniform noise to the discrete columns."""
    discrete = torch.tensor([kind != "continuous" for kind in known.kinds.values()])
    return rows + discrete * torch.rand_like(rows)


def _train(flow: nn.Module, train: Tensor, held_out: Tensor) -> tuple[nn.Module, float, int]:
    """Maximum likelihood as the authors publish it; the flow with its held-out loss and the number of epochs.

    Adam at 1e-3, a plateau schedule (factor 0.95, patience 60), at most 1000 epochs of 5 batches. It stops
    after 100 epochs without a better held-out likelihood, and the best weights are kept.
    """
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.95, patience=60)
    best, best_epoch, weights = math.inf, 0, copy.deepcopy(flow.state_dict())
    epoch = 0
    while epoch < 1000 and epoch - best_epoch < 100:
        epoch += 1
        for batch in train[torch.randperm(len(train))].chunk(5):
            optimizer.zero_grad()
            loss = -flow().log_prob(batch).mean()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            held_out_loss = -flow().log_prob(held_out).mean().item()
        schedule.step(held_out_loss)
        if held_out_loss < best:
            best, best_epoch, weights = held_out_loss, epoch, copy.deepcopy(flow.state_dict())
    flow.load_state_dict(weights)
    return flow, best, epoch


# ---------------------------------------------------------------------------------------------------- control


@dataclass
class NoAbduction:
    """The control: the true equations, but new noise for the variables that the action moves.

    It knows everything but the units' noise, so what beats it has abducted something.
    """

    known: KnownSCM
    seed: int
    note: str = "true equations"

    @classmethod
    def fit(cls, _values: Values, known: KnownSCM, seed: int) -> "NoAbduction":
        return cls(known, seed)

    def counterfactual(self, values: Values, do: Do) -> Values:
        moved = {y for x in do for y in self.known.descendants(x)}
        noise = self.known.sample_noise(len(next(iter(values.values()))), seed=50_000 + self.seed)
        kept = {x: value for x, value in values.items() if x not in moved}
        return self.known.predict(noise, do=kept | dict(do))

    def interventional(self, n: int, do: Do, seed: int) -> Values:
        return self.known.predict(self.known.sample_noise(n, seed=seed), do=dict(do))


METHODS: dict[str, Method] = {
    "pyrocausal": PyroCausal.fit,
    "dowhy": DoWhy.fit,
    "dowhy_better": dowhy_better,
    "causalflows": CausalFlows.fit,
    "no_abduction": NoAbduction.fit,
}
