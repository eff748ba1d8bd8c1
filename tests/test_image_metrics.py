"""The axioms of counterfactuals, measured on a model whose images are a line's slope and a level."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch

import pyrocausal as pc
from pyrocausal.errors import DataError
from pyrocausal.image_metrics import composition, effectiveness, reversibility

PATTERN = torch.tensor([[1.0, 2.0], [3.0, 4.0]])


def program():
    t = pyro.sample("t", dist.Normal(0.0, 1.0))
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("image", dist.Normal(t * PATTERN + z, 0.1).to_event(2))


def encoder(image, t):
    return dist.Normal((image - t * PATTERN).mean(), 0.05)


SCM = pc.SCM(program, latent=["z"], guide=pc.guides.Amortized(z=encoder))
SEEN = {name: x for name, x in SCM.sample(50, seed=0).items() if name != "z"}
OPTIONS = {"method": "guide", "seed": 0}


def test_with_all_noise_kept_nothing_changes():
    assert composition(SCM, SEEN, rounds=10, **OPTIONS).max() < 1e-5
    assert reversibility(SCM, SEEN, do={"t": 2.0}, **OPTIONS).max() < 0.2  # z is drawn anew, sd 0.05
    assert reversibility(pc.SCM(program), {**SEEN, "z": torch.zeros(50)}, do={"t": 2.0}).max() < 1e-5


def test_without_the_images_own_noise_the_decoder_is_left():
    """|u| of four N(0, 0.1²) numbers and of a draw of z, sd 0.05: E about 0.1 * sqrt(2/π) * 1.1."""
    left = composition(SCM, SEEN, drop=["image"], **OPTIONS).mean().item()
    assert left == pytest.approx(0.112 * math.sqrt(2 / math.pi), rel=0.2)
    assert composition(SCM, SEEN, rounds=5, drop=["image"], **OPTIONS).mean().item() > left * 0.8


def test_effectiveness_measures_what_the_world_gives():
    images = torch.stack([2.0 * PATTERN, 3.0 * PATTERN])
    slope = {"t": lambda x: (x[:, 1, 1] - x[:, 0, 0]) / 3}
    assert effectiveness(images, slope, {"t": 2.0})["t"] == pytest.approx(0.5)
    assert effectiveness(images, slope, {"t": torch.tensor([2.0, 3.0])})["t"] == pytest.approx(0.0)
    draws = images.expand(5, 2, 2, 2)
    assert effectiveness(draws, slope, {"t": torch.tensor([2.0, 3.0])}, draws=True)["t"] == pytest.approx(0.0)


def test_a_model_that_does_nothing_is_found_out():
    """It composes and reverses without a fault; its effect is missing."""

    def inert():
        pyro.sample("t", dist.Normal(0.0, 1.0))
        pyro.sample("image", dist.Normal(torch.zeros(2, 2), 1.0).to_event(2))

    scm = pc.SCM(inert)
    assert composition(scm, SEEN).max() < 1e-5 and reversibility(scm, SEEN, do={"t": 2.0}).max() < 1e-5
    moved = scm.counterfactual(SEEN, do={"t": 3.0})["image"]
    slope = {"t": lambda x: (x[:, 1, 1] - x[:, 0, 0]) / 3}
    assert effectiveness(moved, slope, {"t": 3.0})["t"] > 2.0


def test_unknown_names():
    with pytest.raises(DataError, match="no 'q' to compare"):
        effectiveness(torch.zeros(1, 2, 2), {}, {"q": 1.0})
    with pytest.raises(DataError, match="no 'z' to compare"):
        reversibility(SCM, SEEN, do={"z": 0.0})
    noise = SCM.abduct(SEEN, method="guide", num_samples=2, seed=0)
    with pytest.raises(DataError, match="'image' can't be Tensor of \\(3,\\)"):
        noise.replaced({"image": torch.zeros(3)})
