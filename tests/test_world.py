"""One pass through one world: pull, push, act, score."""

import pyro
import pyro.distributions as dist
import pytest
import torch

from pyrocausal.intervene import Hard, Intervention, Shift
from pyrocausal.units import Program
from pyrocausal.world import run

from . import scenarios

PROGRAM = Program(scenarios.confounded)
NOISE = {"z": torch.tensor([0.0, 1.0]), "x": torch.tensor([1.0, -1.0]), "y": torch.tensor([0.0, 2.0])}


def go(**options):
    return run(PROGRAM, units=2, **options)


def test_push():
    values = go(noise=NOISE).values
    assert values["z"].tolist() == [1.0, 3.0]
    assert values["x"].tolist() == [1.5, 0.5]
    assert values["y"].tolist() == [4.0, 5.0]


def test_pull_is_the_inverse():
    values = go(noise=NOISE).values
    seen = go(evidence=values, pull=True)
    assert all(torch.allclose(seen.noise[k], NOISE[k], atol=1e-6) for k in NOISE)
    assert all(torch.equal(seen.values[k], values[k]) for k in NOISE)


def test_scores_are_of_the_evidence_only_and_only_where_asked():
    values = go(noise=NOISE).values
    seen = go(evidence={"x": values["x"]}, noise=NOISE, score=frozenset({"x"}))
    assert list(seen.log_prob) == ["x"]
    assert torch.allclose(seen.log_prob["x"], dist.Normal(0.5 * values["z"], 1).log_prob(values["x"]))


def test_evidence_and_noise_together():
    """What is observed is taken as it is; what follows from noise follows from it."""
    seen = go(evidence={"x": torch.tensor([10.0, 10.0])}, noise=NOISE)
    assert torch.allclose(seen.values["y"], 20 + seen.values["z"] + 0.5 * NOISE["y"])


def test_actions_record_what_they_enforce():
    act = Intervention(({"x": Hard(torch.tensor(7.0))},))
    seen = go(noise=NOISE, intervention=act)
    assert seen.values["x"].tolist() == [7.0, 7.0] and seen.natural["x"].tolist() == [1.5, 0.5]
    assert seen.values["y"].tolist() == [15.0, 18.0]


def test_evidence_on_a_replaced_site_does_not_reach_it():
    act = Intervention(({"x": Hard(torch.tensor(7.0))},))
    seen = go(evidence={"x": torch.zeros(2)}, noise=NOISE, intervention=act, pull=True)
    assert seen.values["x"].tolist() == [7.0, 7.0] and torch.equal(seen.noise["x"], NOISE["x"])


def test_layers_act_in_order():
    act = Intervention(({"x": Hard(torch.tensor(1.0))},)).then({"x": Shift(lambda v: v + 1)})
    assert go(noise=NOISE, intervention=act).values["x"].tolist() == [2.0, 2.0]
    assert act.replaces("x") and not act.replaces("z") and act.names == ("x",)
    assert act.before(1).layers == act.layers[:1]


def test_unit_by_unit_is_the_same():
    one, other = go(noise=NOISE), go(noise=NOISE, vectorised=False)
    assert all(torch.equal(one.values[k], other.values[k]) for k in NOISE)


def test_validation_is_off_inside_and_restored_outside():
    before = torch.distributions.Distribution._validate_args
    go(noise=NOISE)
    with pytest.raises(KeyError):
        go(noise={})
    assert torch.distributions.Distribution._validate_args == before
    assert pyro.settings.get("module_local_params") is False
