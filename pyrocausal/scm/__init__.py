"""`SCM`: what a user holds. It owns no algorithm: it checks what comes in and calls those who do the work."""

from pyrocausal.scm.checking import Checking

__all__ = ["SCM"]


class SCM(Checking):
    """A structural causal model: a Pyro program for one unit, with Pearl's three rungs as calls.

    Args:
        program: a function or `PyroModule` (an instance) that takes no arguments and whose `pyro.sample`
            sites are the model's variables, for one unit: no plate, no batch dimension.
        graph: what the graph is believed to be (a `CausalGraph`, its text, or a networkx graph). An edge of
            the program that it lacks is an error; an edge of it that the program lacks, a warning.
        latent: variables that are never observed.
        guide: what proposes values of the latents from the evidence: `pc.guides.Amortized(...)`, or any Pyro
            program that takes one unit's evidence and has a site for each latent. It is trained with the
            model.
        seed: for building layers and for the set-up checks; the global random state is left alone.

    Raises:
        ProgramError: the program is no SCM (observed sites, hidden randomness, state between calls …).
        UnsupportedDistribution: a site's distribution has no derived noise; the error shows how to give it.
        GuideError: the guide does not fit the program.

    >>> import pyro, pyro.distributions as dist, torch, pyrocausal as pc
    >>> def program():
    ...     x = pyro.sample("x", dist.Normal(0.0, 1.0))
    ...     y = pyro.sample("y", dist.Normal(2.0 * x, 1.0))
    >>> scm = pc.SCM(program)
    >>> scm.graph.to_string()
    'x -> y'
    >>> cf = scm.counterfactual({"x": [1.0], "y": [3.0]}, do={"x": 0.0})
    >>> cf["y"]
    tensor([1.])
    """
