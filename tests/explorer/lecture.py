"""The model of the explorer's tests, whose every number is known."""

import pyro
import pyro.distributions as dist

import pyrocausal as pc

UNIT = {"z": [1.0], "x": [0.0], "y": [4.0]}  # luck of y: 4 - 3 * 1 - 2 * 0 = 1


def program():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    x = pyro.sample("x", dist.Bernoulli(logits=z))
    pyro.sample("y", dist.Normal(3.0 * z + 2.0 * x, 1.0))


def lecture(**options):
    return pc.explore(pc.SCM(program), **{"evidence": UNIT, **options})
