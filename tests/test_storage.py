"""Saving and loading: everything an answer needs, and no code."""

import json
import os

import pandas as pd
import pyro
import pytest
import torch
from pyro.nn import PyroModule
from safetensors import safe_open

import pyrocausal as pc
from pyrocausal import files
from pyrocausal import mechanisms as m
from pyrocausal.errors import SaveError

from . import scenarios
from .test_samples import People, fitted, people  # noqa: F401


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def same_state(one: pc.SCM, other: pc.SCM) -> bool:
    a, b = one.module.state_dict(), other.module.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_a_program_comes_back(fitted, people, path):  # noqa: F811
    fitted.save(path)
    back = pc.SCM.load(path, People())
    assert same_state(fitted, back)
    assert not same_state(fitted, pc.SCM(People()))  # control
    one, other = (
        s.counterfactual(people.head(), do={"sex": "man"}, seed=0).to_pandas() for s in (fitted, back)
    )
    pd.testing.assert_frame_equal(one, other)
    assert back.graph.edges == fitted.graph.edges
    assert {k: v.column for k, v in back.variables.items()} == {
        k: v.column for k, v in fitted.variables.items()
    }


def test_an_scm_from_a_graph_needs_no_program(people, path):  # noqa: F811
    scm = pc.SCM.from_graph("sex -> weight; smoker -> weight; grade -> weight")
    scm.fit(people, epochs=1, progress=False).save(path)
    back = pc.SCM.load(path)
    assert same_state(scm, back)
    pd.testing.assert_frame_equal(scm.sample(5, seed=0).to_pandas(), back.sample(5, seed=0).to_pandas())


@pytest.mark.parametrize("name", ["module", "pyro.param", "closure over a layer"])
def test_parameters_wherever_they_are(name, path):
    scm = scenarios.named(name).scm()
    with torch.no_grad():
        for p in scm.parameters():
            p.add_(1.5)
    scm.save(path)
    back = pc.SCM.load(path, scenarios.named(name).build())
    assert same_state(scm, back)
    assert torch.equal(scm.sample(3, seed=0)["y"], back.sample(3, seed=0)["y"])


def test_loading_runs_no_code(fitted, path):  # noqa: F811
    """safetensors and JSON, not pickle."""
    fitted.save(path)
    with safe_open(path, framework="pt") as file:
        about = json.loads(file.metadata()["pyrocausal"])
    assert about["columns"]["grade"]["levels"] == ["low", "mid", "top"]


def test_latents_come_back(path):
    pc.SCM(scenarios.Module(), latent=["x"]).save(path)
    assert pc.SCM.load(path, scenarios.Module()).graph.latent == {"x"}


def test_writing_is_all_or_nothing(fitted, path, monkeypatch):  # noqa: F811
    fitted.save(path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(files.os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        fitted.save(path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


# ---- at the door


def refused(load) -> SaveError:
    with pytest.raises(SaveError) as caught:
        load()
    return caught.value


def test_a_program_is_needed_for_a_program(path):
    pc.SCM(scenarios.Module()).save(path)
    assert "SCM.load(path, " in refused(lambda: pc.SCM.load(path)).fix


def test_another_program(path):
    pc.SCM(scenarios.Module()).save(path)
    e = refused(lambda: pc.SCM.load(path, People()))
    assert "does not fit" in e.what and "'" in e.why
    assert refused(lambda: pc.SCM.load(path, scenarios.with_param)).fix


def test_other_sizes(path):
    def program(size):
        layer = torch.nn.Linear(1, size)

        def run():
            import pyro
            import pyro.distributions as dist

            pyro.sample("x", dist.Normal(layer(torch.ones(1)).sum(), 1.0))

        return run

    pc.SCM(program(2)).save(path)
    assert "differs in shape" in refused(lambda: pc.SCM.load(path, program(3))).why


def test_no_file_no_folder_and_other_files(path, tmp_path):
    assert "no file" in refused(lambda: pc.SCM.load(path)).what
    assert "no folder" in refused(lambda: pc.SCM(scenarios.Module()).save(tmp_path / "none" / "x")).what
    path.write_bytes(b"not safetensors")
    assert "damaged" in refused(lambda: pc.SCM.load(path)).what
    files.write_tensors(path, {"a": torch.zeros(1)}, {})
    assert "not written by SCM.save" in refused(lambda: pc.SCM.load(path)).what


def test_a_damaged_file(path):
    pc.SCM(scenarios.Module()).save(path)
    path.write_bytes(path.read_bytes()[:-2])
    refused(lambda: pc.SCM.load(path, scenarios.Module()))


def test_a_newer_format(path):
    files.write_tensors(path, {}, {"pyrocausal": json.dumps({"format": 99})})
    assert "newer" in refused(lambda: pc.SCM.load(path)).what


def test_variables_that_the_program_lacks(path):
    """The file's columns must be the program's: a renamed variable is no silent match."""
    import pyro
    import pyro.distributions as dist

    def one():
        pyro.sample("x", dist.Normal(pyro.param("w", torch.tensor(0.0)), 1.0))

    def renamed():
        pyro.sample("q", dist.Normal(pyro.param("w", torch.tensor(0.0)), 1.0))

    pc.SCM(one).save(path)
    refused(lambda: pc.SCM.load(path, renamed))


class Ordered(PyroModule):
    """y reads a and b in one order or the other: same shapes, other meaning."""

    def __init__(self, swap: bool):
        super().__init__()
        self.swap = swap
        self.a, self.b, self.y = m.Linear(), m.Linear(), m.Linear()

    def forward(self):
        a, b = pyro.sample("a", self.a()), pyro.sample("b", self.b())
        pyro.sample("y", self.y(b, a) if self.swap else self.y(a, b))


def test_parents_in_another_order_are_an_error(path):
    pc.SCM(Ordered(swap=False)).save(path)
    assert same_state(pc.SCM.load(path, Ordered(swap=False)), pc.SCM(Ordered(swap=False)))
    with pytest.raises(SaveError, match="'y' was called with the parents"):
        pc.SCM.load(path, Ordered(swap=True))


def test_a_file_with_nan_is_damaged(path):
    scm = pc.SCM(Ordered(swap=False))
    with torch.no_grad():
        for p in scm.parameters():
            p.fill_(float("nan"))
    scm.save(path)
    with pytest.raises(SaveError, match="damaged"):
        pc.SCM.load(path, Ordered(swap=False))
