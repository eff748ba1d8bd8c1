"""Checking an SCM against rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyrocausal import checks
from pyrocausal.scm.training import Training


class Checking(Training):
    """What can be checked before an answer is believed."""

    def check(
        self,
        data: Any,
        *,
        effect: str | Callable[[Any, Any], Any] | None = None,
        treatment: str | None = None,
        outcome: str | None = None,
        contrast: tuple[Any, Any] = (1, 0),
        alpha: float = 0.01,
        rows: int = 1000,
        refits: int = 20,
        seed: int = 0,
        progress: bool = True,
        **options: Any,
    ) -> checks.Report:
        """Check the mechanisms and the graph on rows, and an effect if one is asked.

        Always: whether abducted noise has the law that the model gives it, and is independent of the causes
        and of other noise; whether the rows have the independences that the graph says.

        With an effect, as `"E[y | do(t=1)] - E[y | do(t=0)]"` or by `treatment` and `outcome`, also: whether
        rows tell of these actions (overlap); whether refits find nothing where nothing is, and what is known
        where it is known (refutations; this trains the mechanisms between treatment and outcome about five
        times `refits` times, in batches); and how strong a hidden common cause must be to explain it away.

        Each family of tests errs on a right model with a chance of at most `alpha`, by Holm's correction. A
        test fails if it is significant and what it measures is large, and warns if it is small.

        Args:
            data: rows with every variable that is not latent; best are rows that the SCM was not fitted to.
            effect: the difference of an outcome's means under two actions on one variable, in text (see
                `ask`). Another question, or a function of an SCM and rows that gives a number, gets an
                interval and the refutations that make sense for it.
            treatment, outcome: the effect by names.
            contrast: the two actions, each anything that `do` takes, or None for no action.
            alpha: the chance of a false alarm in a family, at most 0.05.
            rows: how many the noise and the graph are checked on, at random; more see smaller faults.
            refits: for each refutation; 0 leaves them out.
            seed: of all draws.
            progress: whether refits show a bar.
            options: of the refits' training, see `pyrocausal.fit.FitOptions`.

        Raises:
            InterventionError: this is a submodel.
            QueryError: the effect can't be asked.
            DataError: rows that can't be taken, or too few.

        >>> import pyro, pyro.distributions as dist, pyrocausal as pc
        >>> def program():
        ...     x = pyro.sample("x", dist.Normal(0.0, 1.0))
        ...     pyro.sample("y", dist.Normal(2 * x, 1.0))
        >>> scm = pc.SCM(program)
        >>> scm.check(scm.sample(300, seed=0)).verdict
        'pass'
        >>> x = scm.sample(300, seed=0)["x"]
        >>> scm.check({"x": x, "y": x**2 + 2 * x}).of("noise and causes")[0].verdict
        'fail'
        """
        return checks.check(
            self,
            data,
            effect=effect,
            treatment=treatment,
            outcome=outcome,
            contrast=contrast,
            alpha=alpha,
            rows=rows,
            refits=refits,
            seed=seed,
            progress=progress,
            **options,
        )
