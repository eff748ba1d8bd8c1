"""The model file of DSCM: its quick runs keep what they claim."""

import pandas as pd
import pytest
import torch

from models import dscm
from pyrocausal.experiment import Run

from ..data_at_hand import need


def quick(command, folder):
    run = Run(f"dscm-{command}", quick=True, out=folder, progress=False)
    record = dscm.experiments.run(command, run=run)
    assert record["claims"] and all(claim["holds"] for claim in record["claims"])
    return run, record


def test_bar(tmp_path):
    run, record = quick("bar", tmp_path)
    errors = pd.DataFrame(record["details"]).set_index("world")
    assert (errors["abducted"] < errors["without u"]).all()  # the low-level noise carries the fine detail
    assert run.file("figure.png").is_file() and run.file("safetensors").is_file()


def test_the_renderer():
    """The worlds differ as they should: only in what the action reaches."""
    u = dscm.generate(2000, seed=0)
    factual, thick = dscm.render(u, {}), dscm.render(u, {"thickness": 3.5})
    assert factual["thickness"].mean().item() == pytest.approx(2.5, abs=5 * 0.63 / 2000**0.5)
    assert (thick["thickness"] == 3.5).all() and (thick["intensity"] != factual["intensity"]).all()
    bright = dscm.render(u, {"intensity": 224.0})
    assert torch.equal(bright["thickness"], factual["thickness"])
    assert torch.equal(
        dscm.render(u, {"intensity": factual["intensity"][:1].item()})["image"][0], factual["image"][0]
    )


def test_tabular(tmp_path):
    need("morphomnist")
    quick("tabular", tmp_path)


def test_morphomnist(tmp_path):
    need("morphomnist")
    run, record = quick("morphomnist", tmp_path)
    assert {row["world"] for row in record["details"]} == set(dscm.DIGITS)
    assert run.file("figure.png").is_file()
