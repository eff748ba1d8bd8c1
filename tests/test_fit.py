"""Training: it finds the optimum, resumes bit for bit, learns scales once, refuses what it can't train."""

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.nn import PyroModule
from torch import nn

import pyrocausal as pc
from pyrocausal import files
from pyrocausal import mechanisms as m
from pyrocausal.errors import DataError, FitError, ProgramError
from pyrocausal.fit.loop import Loop
from pyrocausal.fit.options import FitOptions
from pyrocausal.fit.train import split

from . import scenarios

QUICK = {"epochs": 3, "progress": False}


class Lines(PyroModule):
    """z -> x, z -> y, x -> y, each linear-Gaussian."""

    def __init__(self):
        super().__init__()
        self.z, self.x, self.y = m.Linear(), m.Linear(), m.Linear()

    def forward(self):
        z = pyro.sample("z", self.z())
        x = pyro.sample("x", self.x(z))
        pyro.sample("y", self.y(z, x))


class Nets(PyroModule):
    def __init__(self):
        super().__init__()
        self.x, self.y = m.Normal(hidden=(8,)), m.Normal(hidden=(8,))

    def forward(self):
        x = pyro.sample("x", self.x())
        pyro.sample("y", self.y(x))


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return pc.SCM(scenarios.confounded).sample(600, seed=0).to_pandas()


@pytest.fixture(scope="module")
def pair() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    x = rng.normal(50, 10, 400)
    return pd.DataFrame({"x": x, "y": 1000 + 20 * x + rng.normal(0, 30, 400)})


def state(scm) -> dict:
    return {k: v.clone() for k, v in scm.module.state_dict().items()}


def nll(scm, data) -> float:
    return -scm.log_prob(data).mean().item()


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


# ---- the optimum


def by_hand(data: pd.DataFrame) -> tuple[float, np.ndarray]:
    """The maximum likelihood of the linear-Gaussian SCM (mean nll), and the coefficients of y on z and x."""
    total, beta = 0.0, None
    for name, parents in (("z", []), ("x", ["z"]), ("y", ["z", "x"])):
        design = np.column_stack([np.ones(len(data)), *(data[p] for p in parents)])
        beta, *_ = np.linalg.lstsq(design, data[name], rcond=None)
        variance = np.mean((data[name] - design @ beta) ** 2)
        total += 0.5 * np.log(2 * np.pi * np.e * variance)
    return total, beta


def test_a_linear_gaussian_scm_reaches_its_maximum_likelihood(data):
    best, beta = by_hand(data)
    scm = pc.SCM(Lines())
    before = nll(scm, data)
    scm.fit(data, epochs=30, progress=False)
    found = nll(scm, data)
    assert best - 1e-4 <= found < best + 2e-3  # in float32; nothing can be below the optimum
    assert before > best + 1  # control: untrained
    assert np.allclose(scm.mechanisms["y"].coefficients, beta[1:], atol=0.05)


def test_the_fitted_model_answers_with_adjustment(data):
    """The effect of x on y is 2; y's regression on x alone gives 3."""
    scm = pc.SCM(Lines()).fit(data, **QUICK)
    effect = scm.do(x=1.0).sample(2000, seed=0)["y"].mean() - scm.do(x=0.0).sample(2000, seed=0)["y"].mean()
    naive = np.cov(data["x"], data["y"])[0, 1] / data["x"].var()
    assert abs(effect - 2) < 0.1 and abs(naive - 3) < 0.2


def test_gradient_training_reaches_the_optimum():
    """Plain parameters, no closed-form start: N(w, s) at its maximum likelihood."""

    def program():
        w = pyro.param("w", torch.tensor(0.0))
        s = pyro.param("s", torch.tensor(1.0), constraint=dist.constraints.positive)
        pyro.sample("x", dist.Normal(w, s))

    x = 2 + 3 * torch.randn(300, generator=torch.Generator().manual_seed(0))
    scm = pc.SCM(program).fit({"x": x}, epochs=250, learning_rate=0.05, validation=0.0, progress=False)
    w, log_s = (p.item() for p in scm.parameters())
    assert abs(w - x.mean()) < 0.02 and abs(np.exp(log_s) - x.std(correction=0)) < 0.02


def test_training_a_submodel_leaves_the_acted_mechanism_alone(data):
    scm = pc.SCM(Lines())
    before = {k: v for k, v in state(scm).items() if ".x." in k and "predictor" in k}
    scm.do(x=1.0).fit(data[["z", "y"]], **QUICK)
    after = state(scm)
    assert before and all(torch.equal(v, after[k]) for k, v in before.items())
    assert bool(scm.mechanisms["y"].calibrated)


def test_an_scm_that_branches_trains():
    layer = nn.Linear(1, 1)

    def program():
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(layer(z[None])[0] if z > 0 else 0 * z, 1.0))

    generator = torch.Generator().manual_seed(0)
    z = torch.randn(60, generator=generator)
    y = torch.where(z > 0, 3 * z + 1, 0 * z)
    options = {"epochs": 60, "batch_size": 10, "learning_rate": 0.1, "averaging": 0.0, "validation": 0.0}
    scm = pc.SCM(program).fit({"z": z, "y": y}, progress=False, **options)
    assert abs(layer.weight.item() - 3) < 0.3 and scm.history is not None


# ---- seeds


def test_the_same_seed_trains_the_same_model(pair):
    one, again, other = (pc.SCM(Nets()).fit(pair, seed=s, **QUICK) for s in (0, 0, 1))
    assert same(state(one), state(again)) and not same(state(one), state(other))


def test_training_leaves_the_global_random_state(pair):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    scm = pc.SCM(Nets()).fit(pair, **QUICK)
    scm.fit(pair, reset=True, **QUICK)
    assert torch.equal(torch.get_rng_state(), before)


def test_mechanisms_are_trained_as_if_alone(pair):
    """The likelihood is a sum: x's mechanism does not care whether y is in the model."""

    class Alone(Nets):
        def forward(self):
            pyro.sample("x", self.x())
            self.y(torch.zeros(()))

    together, alone = pc.SCM(Nets()).fit(pair, **QUICK), pc.SCM(Alone()).fit(pair[["x"]], **QUICK)
    a, b = ({k: v for k, v in state(s).items() if ".x." in k} for s in (together, alone))
    assert all(torch.allclose(a[k], b[k], atol=1e-6) for k in a)


# ---- scales


def test_scales_are_learned_once(pair):
    scm = pc.SCM(Nets()).fit(pair, **QUICK)
    scales = {k: v for k, v in state(scm).items() if k in dict(scm.module.named_buffers())}
    assert scales
    scm.fit(pair * 10, **QUICK)
    assert same(scales, {k: state(scm)[k] for k in scales})
    scm.fit(pair * 10, reset=True, **QUICK)
    assert not same(scales, {k: state(scm)[k] for k in scales})


def test_a_second_fit_goes_on_from_the_first(pair):
    scm = pc.SCM(Nets()).fit(pair, epochs=30, progress=False)
    before = nll(scm, pair)
    scm.fit(pair, epochs=1, learning_rate=1e-6, progress=False)
    assert nll(scm, pair) < before + 0.01
    scm.fit(pair, epochs=1, learning_rate=1e-6, reset=True, progress=False)
    assert nll(scm, pair) > before  # control: reset forgets


def test_scales_come_from_the_training_split_only(pair):
    """Held-out rows are judged, not learned from: an outlier among them does not move the scales."""
    held = split(len(pair), FitOptions())[1]
    odd = pair.copy()
    odd.loc[held.tolist(), "x"] += 1000
    one, other = (pc.SCM(Nets()).fit(d, epochs=1, progress=False) for d in (pair, odd))
    buffers = dict(one.module.named_buffers())
    assert same({k: state(one)[k] for k in buffers}, {k: state(other)[k] for k in buffers})


def test_natural_units(pair):
    """Columns of very different size train alike: shifting and scaling y shifts its predictions."""
    scm = pc.SCM(Nets()).fit(pair, epochs=20, progress=False)
    big = pc.SCM(Nets()).fit(pair.assign(y=pair["y"] * 1000 + 5), epochs=20, progress=False)
    one, other = (s.do(x=60.0).sample(500, seed=0)["y"].mean() for s in (scm, big))
    assert abs(one - 2200) < 30 and abs((other - 5) / 1000 - one) < 3


# ---- levels


def test_levels_and_dtypes_are_remembered():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"k": rng.choice(["a", "b", "c"], 100), "y": rng.normal(size=100)})

    class Program(PyroModule):
        def __init__(self):
            super().__init__()
            self.k, self.y = m.Categorical(3), m.Linear()

        def forward(self):
            k = pyro.sample("k", self.k())
            pyro.sample("y", self.y(k))

    scm = pc.SCM(Program()).fit(frame, **QUICK)
    assert scm.variables["k"].column.levels == ("a", "b", "c")
    assert scm.variables["y"].column.mean == pytest.approx(frame["y"].mean())
    scm.fit(frame[frame["k"] != "b"], **QUICK)  # a level that a later table lacks is still a level
    assert scm.variables["k"].column.levels == ("a", "b", "c")
    with pytest.raises(DataError, match="'d' is no level of 'k'"):
        scm.fit(frame.assign(k="d"), **QUICK)


def test_too_many_levels(pair):
    frame = pair.assign(x=[f"l{i % 5}" for i in range(len(pair))])

    class Program(PyroModule):
        def __init__(self):
            super().__init__()
            self.x = m.Categorical(3)

        def forward(self):
            pyro.sample("x", self.x())

    with pytest.raises(DataError, match=r"5 levels.*has 3"):
        pc.SCM(Program()).fit(frame, **QUICK)


def test_names_for_a_continuous_variable(pair):
    with pytest.raises(DataError, match=r"'x' holds.*continuous"):
        pc.SCM(Nets()).fit(pair.assign(x="high"), **QUICK)


# ---- early stop, history, progress


def test_late_weights_are_kept_unless_clearly_worse(pair):
    """`Continuous` has a prior against overfitting: chance maxima of the held-out score do not stop it."""
    scm = pc.SCM.from_graph("x -> y").fit(pair, epochs=60, progress=False)
    curves, best = scm.history.curves, scm.history.best
    assert all(best[site] >= curves[site].idxmin() for site in ("x", "y"))
    assert any(best[site] > curves[site].idxmin() for site in ("x", "y"))
    assert all(curves[site][best[site]] < curves[site].min() + 0.05 for site in ("x", "y"))


def test_a_stale_mechanism_stops_early(pair):
    short, long = (
        pc.SCM(Lines2()).fit(pair, epochs=150, patience=p, progress=False).history.curves.index[-1]
        for p in (0.05, 1.0)
    )
    assert short < long == 150 * 2


class Lines2(PyroModule):
    def __init__(self):
        super().__init__()
        self.x, self.y = m.Linear(), m.Linear()

    def forward(self):
        pyro.sample("y", self.y(pyro.sample("x", self.x())))


def test_the_best_weights_are_kept(pair):
    """Weights are those of the best held-out score, not the last."""
    scm = pc.SCM(Nets()).fit(pair, epochs=40, progress=False)
    curves, best = scm.history.curves, scm.history.best
    for site in ("x", "y"):
        assert curves[site].idxmin() == best[site]
    held = split(len(pair), FitOptions())[1].tolist()
    assert nll(scm, pair.iloc[held]) == pytest.approx(sum(curves[s].min() for s in curves), abs=1e-3)


def test_history(pair):
    history = pc.SCM(Nets()).fit(pair, **QUICK).history
    assert list(history.curves) == ["x", "y"] and history.curves.index.name == "step"
    assert "<table" in history._repr_html_()
    assert pc.SCM(Nets()).history is None


def test_progress_is_shown_when_asked(pair, capsys):
    pc.SCM(Nets()).fit(pair, epochs=1, progress=True)
    assert "fit" in capsys.readouterr().err
    pc.SCM(Nets()).fit(pair, epochs=1, progress=False)
    assert capsys.readouterr().err == ""


def test_the_mode_after_training_is_evaluation(pair):
    scm = pc.SCM(Nets()).fit(pair, **QUICK)
    assert not scm.module.training and all(p.grad is None for p in scm.parameters())


# ---- checkpoints


def interrupt_after(monkeypatch, steps):
    advance, taken = Loop.advance, []

    def stop(self):
        if len(taken) == steps:
            raise KeyboardInterrupt
        taken.append(1)
        return advance(self)

    monkeypatch.setattr(Loop, "advance", stop)


@pytest.mark.parametrize("killed_after", [1, 17, 33])
def test_resume_equals_uninterrupted_bit_for_bit(pair, tmp_path, monkeypatch, killed_after):
    options = {"epochs": 20, "progress": False}
    whole = pc.SCM(Nets()).fit(pair, **options)
    path = tmp_path / "training"
    with monkeypatch.context() as patch:
        interrupt_after(patch, killed_after)
        with pytest.raises(KeyboardInterrupt):
            pc.SCM(Nets()).fit(pair, checkpoint=path, **options)
    resumed = pc.SCM(Nets()).fit(pair, checkpoint=path, **options)
    assert same(state(whole), state(resumed))
    assert resumed.history.best == whole.history.best
    pd.testing.assert_frame_equal(resumed.history.curves, whole.history.curves)


def test_resuming_takes_up_where_it_stopped(pair, tmp_path, monkeypatch):
    options = {"epochs": 20, "progress": False, "checkpoint": tmp_path / "training"}
    with monkeypatch.context() as patch:
        interrupt_after(patch, 30)
        with pytest.raises(KeyboardInterrupt):
            pc.SCM(Nets()).fit(pair, **options)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 25)  # 40 steps in all: a fresh start would need more
        pc.SCM(Nets()).fit(pair, **options)


def test_a_finished_training_is_not_repeated(pair, tmp_path, monkeypatch):
    options = {**QUICK, "checkpoint": tmp_path / "training"}
    first = pc.SCM(Nets()).fit(pair, **options)
    interrupt_after(monkeypatch, 0)
    assert same(state(first), state(pc.SCM(Nets()).fit(pair, **options)))


def test_a_checkpoint_of_another_training_is_refused(pair, tmp_path):
    path = tmp_path / "training"
    pc.SCM(Nets()).fit(pair, checkpoint=path, **QUICK)
    for other, options in ((pair + 1, QUICK), (pair, {**QUICK, "epochs": 4}), (pair, {**QUICK, "seed": 1})):
        with pytest.raises(FitError, match="another training"):
            pc.SCM(Nets()).fit(other, checkpoint=path, **options)


def test_a_checkpoint_is_written_whole_or_not_at_all(pair, tmp_path, monkeypatch):
    path = tmp_path / "training"
    with monkeypatch.context() as patch:
        interrupt_after(patch, 12)
        with pytest.raises(KeyboardInterrupt):
            pc.SCM(Nets()).fit(pair, epochs=20, progress=False, checkpoint=path)
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("killed while writing")))
        with pytest.raises(OSError, match="killed"):
            pc.SCM(Nets()).fit(pair, epochs=20, progress=False, checkpoint=path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1
    files.read_tensors(path)


# ---- parameters


def test_two_scms_of_one_class_share_nothing(pair):
    one, other = pc.SCM(Nets()), pc.SCM(Nets())
    before = state(other)
    one.fit(pair, **QUICK)
    assert same(before, state(other))
    trained = state(one)
    other.fit(pair, **QUICK)
    assert same(trained, state(one)) and not same(before, state(other))  # the second trains too
    assert same(trained, state(other))


def test_two_scms_of_one_function_share_nothing():
    data = {"x": torch.linspace(-1, 1, 50), "y": torch.linspace(-1, 1, 50)}
    one, other = pc.SCM(scenarios.with_param), pc.SCM(scenarios.with_param)
    one.fit(data, epochs=20, progress=False)
    assert next(one.parameters()) != 3.0 and next(other.parameters()) == 3.0
    other.fit(data, epochs=20, progress=False)
    assert torch.equal(next(one.parameters()), next(other.parameters()))


def test_parameters_that_the_scm_cannot_see(pair):
    hidden = {"deep": {"weight": torch.tensor(1.0, requires_grad=True)}}
    known = nn.Linear(1, 1)

    def program():
        x = pyro.sample("x", dist.Normal(known(torch.ones(1))[0], 1.0))
        pyro.sample("y", dist.Normal(hidden["deep"]["weight"] * x, 1.0))

    with pytest.raises(ProgramError, match="can't see") as caught:
        pc.SCM(program).fit(pair, **QUICK)
    assert "PyroModule" in caught.value.fix


def test_shared_mechanisms_train_together():
    """One mechanism at two sites: its scales and weights come from both columns."""

    class Shared(PyroModule):
        def __init__(self):
            super().__init__()
            self.m = m.Normal()

        def forward(self):
            pyro.sample("a", self.m())
            pyro.sample("b", self.m())

    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(300, generator=generator), 4 + torch.randn(300, generator=generator)
    scm = pc.SCM(Shared()).fit({"a": a, "b": b}, epochs=30, progress=False)
    s = scm.sample(4000, seed=0)
    assert abs(s["a"].mean() - 2) < 0.3 and abs(s["b"].mean() - 2) < 0.3


# ---- at the door


def refused(scm, data, kind=FitError, **options):
    with pytest.raises(kind) as caught:
        scm.fit(data, **{**QUICK, **options})
    assert caught.value.what
    return caught.value


def test_a_constant_column(pair):
    e = refused(pc.SCM(Nets()), pair.assign(x=3.0), DataError)
    assert "'x' is constant (3)" in e.what and "deterministic" in e.fix


@pytest.mark.parametrize("row", [0, 350])
def test_missing_values_name_the_row(pair, row):
    frame = pair.copy()
    frame.loc[row, "y"] = np.nan
    assert f"'y' is missing (NaN) in row {row}" in refused(pc.SCM(Nets()), frame, DataError).what


def test_a_missing_column(pair):
    e = refused(pc.SCM(Nets()), pair.rename(columns={"y": "yy"}), DataError)
    assert "no column 'y'" in e.what and "'yy'" in e.fix


def test_unknown_options(pair):
    assert "did you mean 'epochs'?" in refused(pc.SCM(Nets()), pair, epoch=3).fix


@pytest.mark.parametrize(
    "options",
    [{"epochs": 0}, {"batch_size": -1}, {"learning_rate": 0.0}, {"validation": 1.0}, {"averaging": 1.0}],
)
def test_impossible_options(pair, options):
    assert next(iter(options)) in refused(pc.SCM(Nets()), pair, **options).what


def test_nothing_to_train(data):
    assert "no parameters" in refused(pc.SCM(scenarios.confounded), data).what


def test_too_few_rows(pair):
    assert "3 rows" in refused(pc.SCM(Nets()), pair.head(3)).what


def test_unobserved_latents(pair):
    assert "'x'" in refused(pc.SCM(Nets(), latent=["x"]), pair[["y"]]).what


def test_divergence_is_named(pair):
    def program():
        x = pyro.sample("x", dist.Normal(pyro.param("w", torch.tensor(0.0)) * 1e30, 1.0))
        pyro.sample("y", dist.Normal(x, 1.0))

    e = refused(pc.SCM(program), pair, learning_rate=1e9)
    assert "finite at step" in e.what and "learning_rate" in e.fix


def test_a_submodel_refuses_data_of_another_value():
    scm = pc.SCM(Lines()).do(x=1.0)
    with pytest.raises(DataError, match="not what this submodel sets"):
        scm.log_prob({"z": torch.zeros(3), "x": torch.zeros(3), "y": torch.zeros(3)})


def test_training_that_has_not_converged_says_so(caplog):
    def program():
        pyro.sample("x", dist.Normal(pyro.param("loc", torch.tensor(0.0)), 1.0))

    x = 500 + torch.randn(200, generator=torch.Generator().manual_seed(0))
    pc.SCM(program).fit({"x": x}, progress=False)
    assert "has not converged" in caplog.text
    caplog.clear()
    scm = pc.SCM(program).fit({"x": x - 495}, progress=False)  # within reach of the default steps
    assert not caplog.text
    assert next(scm.parameters()).item() == pytest.approx(5.0, abs=0.3)


def test_weights_that_fit_the_rows_too_well_are_not_kept():
    """With few rows and many parents the held-out loss rises again, by less than it is sure of."""
    generator = np.random.default_rng(0)
    df = pd.DataFrame(generator.normal(size=(400, 8)), columns=[f"x{i}" for i in range(8)])
    df["y"] = df.x0.abs() * df.x1 + np.exp(0.5 * df.x2) * generator.standard_t(3, size=400)
    mechanisms = {f"x{i}": m.Normal() for i in range(8)}
    scm = pc.SCM.from_graph("; ".join(f"{x} -> y" for x in mechanisms), mechanisms=mechanisms)
    history = scm.fit(df, epochs=150, progress=False).history
    loss = history.curves["y"]
    assert loss.iloc[-1] > loss.min() + 0.05
    assert history.taken["y"] <= loss.min() + 0.011
