"""Named errors. Each says what went wrong, why, and what to do about it."""

import difflib
from collections.abc import Iterable


class PyrocausalError(Exception):
    """Base of every error that pyrocausal raises on purpose.

    >>> print(PyrocausalError("`t` is not a variable", why="no site has that name", fix="did you mean `x`?"))
    `t` is not a variable. Why: no site has that name. Fix: did you mean `x`?
    """

    def __init__(self, what: str, why: str = "", fix: str = "") -> None:
        self.what, self.why, self.fix = what, why, fix
        parts = (what, why and f"Why: {why}", fix and f"Fix: {fix}")
        super().__init__(" ".join(p if p[-1] in ".?!" else f"{p}." for p in parts if p))

    def __str__(self) -> str:  # KeyError, which one subclass also is, would show the repr
        return str(self.args[0])


class UnsupportedDistribution(PyrocausalError):
    """No exogenous noise can be derived for this distribution."""


class UnsupportedCoupling(PyrocausalError):
    """The noise coupling asked for does not exist, or not for this distribution."""


class GraphError(PyrocausalError):
    """A causal graph that can't be, or a question to one about nodes that it does not have."""


class IdentifyError(PyrocausalError):
    """A causal query, or a formula, that can't be what it is: a wrong name, level or table."""


class QueryError(PyrocausalError):
    """A question that can't be read, or can't be asked of this model or graph."""


class ProgramError(PyrocausalError):
    """The program is not a structural causal model that can be run for one unit."""


class DataError(PyrocausalError):
    """Data that can't be taken: a wrong name, type, length, level or value; a missing or damaged file."""


class UnknownVariable(DataError, KeyError):
    """A name that is no variable of the model."""


class EvidenceError(PyrocausalError):
    """Evidence that is incomplete, contradictory or impossible under the model."""


class InterventionError(PyrocausalError):
    """An action that can't be done to its variable."""


class EstimateError(PyrocausalError):
    """An effect that can't be estimated: from these data (no overlap), or in this way."""


class FitError(PyrocausalError):
    """Training that can't start or has gone wrong."""


class SaveError(PyrocausalError):
    """A file that can't be saved to or loaded from."""


class MissingExtra(PyrocausalError, ImportError):
    """An optional package that is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        PyrocausalError.__init__(
            self, f"{package} is not installed", fix=f"run: pip install 'pyrocausal[{extra}]'"
        )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The question that a misspelt name calls for, or nothing if no known name is near.

    >>> did_you_mean("quti", ["age", "quit", "gain"])
    "did you mean 'quit'?"
    >>> did_you_mean("income", ["age", "quit", "gain"])
    ''
    """
    plain = {other.casefold(): other for other in known}
    near = difflib.get_close_matches(name.casefold(), list(plain), n=1)
    return f"did you mean {plain[near[0]]!r}?" if near else ""
