"""The model file of deep CAMA: its quick run keeps what it claims, and its pieces are those of the paper."""

import pytest
import torch

import pyrocausal as pc
from models import cama
from pyrocausal.experiment import Run


def test_measurement(tmp_path):
    run = Run("cama-measurement", quick=True, out=tmp_path, progress=False)
    record = cama.experiments.run("measurement", run=run)
    assert record["claims"] and all(claim["holds"] for claim in record["claims"])


def model():
    guide = pc.guides.Amortized(m=cama.EncodeM(), z=cama.EncodeZ())
    return pc.SCM(cama.Measurements(), latent=["z", "m"], guide=guide)


def test_the_graph_is_the_papers():
    scm = model()
    assert set(scm.graph.edges) == {("a", "y"), ("y", "x"), ("c", "x"), ("z", "x"), ("m", "x")}
    assert scm.do(m=torch.zeros(cama.MANIPULATION)).graph.parents("m") == frozenset()


def test_fine_tuning_moves_the_networks_of_m_alone():
    scm, data = model(), cama.generate(200, seed=0)
    before = {name: p.detach().clone() for name, p in scm.module.named_parameters()}
    scm.fit(
        {"clean": data, "test": cama.generate(100, seed=1, shift_x=1.0)},
        loss=cama.fine_tuning_loss, only=["of_m", "guide.m"], epochs=1, progress=False,
    )  # fmt: skip
    moved = {n for n, p in scm.module.named_parameters() if not torch.equal(p, before[n])}
    assert moved and all(".of_m." in name or ".m." in name for name in moved)


def test_the_generator_and_its_oracle():
    data = cama.generate(20_000, seed=0)
    chance = torch.bincount(data["y"]).max() / len(data["y"])
    assert cama.oracle(data) > 0.95 and chance < 0.6
    assert cama.oracle(cama.generate(20_000, seed=0, shift_c=3.0)) == pytest.approx(
        cama.oracle(data), abs=0.01
    )
    assert cama.oracle(cama.generate(20_000, seed=0, shift_x=2.0)) < 0.8  # it does not know of the shift


def test_the_wrong_graph_keeps_all_numbers():
    data = cama.generate(10, seed=0)
    wrong = cama.as_coparents(data, 2)
    assert wrong["x"].shape == (10, 4) and wrong["c"].shape == (10, 5)
    assert torch.equal(torch.cat([wrong["x"], wrong["c"][:, 3:]], 1), data["x"])
