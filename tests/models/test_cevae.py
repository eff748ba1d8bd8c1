"""The model file of CEVAE: its quick runs keep what they claim, and its program answers like any SCM."""

import math

import pytest
import torch

import pyrocausal as pc
from models import cevae
from pyrocausal.experiment import Run

from ..data_at_hand import need


def quick(command, folder):
    run = Run(f"cevae-{command}", quick=True, out=folder, progress=False)
    record = cevae.experiments.run(command, run=run)
    missed = [claim for claim in record["claims"] if not claim["holds"]]
    assert record["claims"] and not missed
    assert (folder / f"cevae-{command}.quick.json").is_file()
    return {claim["what"]: claim["ours"] for claim in record["claims"]}


def test_linear(tmp_path):
    quick("linear", tmp_path)


def test_binary(tmp_path):
    quick("binary", tmp_path)


def test_ihdp(tmp_path):
    need("ihdp", "ihdp_npci_1.csv")
    found = quick("ihdp", tmp_path)
    assert found["CEVAE: √PEHE out of sample, median over replications"] < 1.5  # a constant effect has 0.9


def test_the_closed_forms():
    """Of large samples: the truth is found by the proxies, not by the difference."""
    data = pc.SCM(cevae.two_proxies).sample(200_000, seed=0).to_pandas()
    found = pc.estimate("y", "t", data, proxies=["x0", "x1"], method="linear-bridge")
    assert found.value == pytest.approx(cevae.EFFECT_OF_T, abs=0.005)  # sd 0.0012
    data = pc.SCM(cevae.toy).sample(400_000, seed=0).to_pandas()
    far = data.assign(x0=data.x0.abs() > 4, x1=data.x1.abs() > 4)
    found = pc.estimate("y", "t", far, proxies=["x0", "x1"], replicas=50)
    assert found.value == pytest.approx(0.726, abs=0.03)
    assert data.groupby("t").y.mean().diff().iloc[-1] == pytest.approx(0.839, abs=0.005)


def test_the_program_is_an_scm():
    scm = pc.SCM(cevae.CEVAE(3, 2), latent=["z"], guide=cevae.Recognition(3, 2))
    assert scm.graph.to_string() == "z -> binary; z -> numbers; z -> t -> y; z -> y; z [latent]"
    unit = {"binary": [[1.0, 0.0, 1.0]], "numbers": [[0.5, -0.5]], "t": [math.nan], "y": [math.nan]}
    cf = scm.counterfactual(unit, do=cevae.EFFECT, missing="abduct", method="guide", num_samples=50, seed=0)
    assert set(cf.factual["t"].flatten().tolist()) == {0.0, 1.0}  # the guide's own guess of the treatment
    treated = cf.factual["t"] == 1
    assert torch.allclose(cf.worlds["treated"]["y"][treated], cf.factual["y"][treated], atol=1e-5)
