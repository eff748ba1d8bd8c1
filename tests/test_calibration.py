"""Simulation-based calibration: right posteriors pass, wrong ones fail, and the p-value is one."""

import itertools

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import stats

import pyrocausal as pc
from pyrocausal.errors import DataError, EvidenceError, UnknownVariable
from pyrocausal.uniformity import band, uniformity

# A right posterior is rejected with a probability of at most 1e-3 a test; the seeds are fixed.
ALPHA = 1e-3
SURE = 1e-6  # wrong posteriors are rejected at this


# ---- the p-value


def test_the_p_value_is_exact():
    """Of all 4⁴ outcomes of four ranks among 0 … 3, a share of p has a p-value of at most p."""
    p = np.array([uniformity(np.array(ranks), 3) for ranks in itertools.product(range(4), repeat=4)])
    assert np.allclose(p, (p[:, None] * (1 + 1e-9) >= p).mean(1))


def test_p_values_of_uniform_ranks_are_uniform():
    rng = np.random.default_rng(0)
    p = np.array([uniformity(rng.integers(0, 20, 100), 19) for _ in range(2000)])
    for alpha in (0.01, 0.05, 0.2, 0.5):
        share = (p <= alpha).mean()
        assert stats.binomtest(round(share * 2000), 2000, alpha, alternative="greater").pvalue > ALPHA
        assert share > 0.8 * alpha - 3 * (alpha / 2000) ** 0.5  # and they are not needlessly large


def test_small_p_values_join_on_to_their_bound():
    """Ranks ever more often at 0: p falls steadily through the place from where on it is bounded."""
    p = [uniformity(np.r_[np.zeros(k, int), np.arange(100 - k) % 20], 19) for k in range(5, 60)]
    assert (np.diff(p) <= 0).all() and p[0] > 0.1 and p[-1] < 1e-50
    assert all(later > 1e-3 * sooner for sooner, later in itertools.pairwise(p))


@pytest.mark.parametrize("units", [30, 500])
def test_ranks_leave_the_band_just_if_their_p_value_is_small(units):
    rng = np.random.default_rng(1)
    low, high = band(units, 19, 0.2)
    expected = np.arange(1, 20) / 20
    left = []
    for _ in range(300):
        ranks = rng.integers(0, 20, units)
        gap = (ranks[:, None] < np.arange(1, 20)).mean(0) - expected
        left.append(bool(((gap < low - 1e-9) | (gap > high + 1e-9)).any()))
        assert left[-1] == (uniformity(ranks, 19) <= 0.2)
    assert 0.05 < np.mean(left) < 0.35


# ---- right posteriors


def line():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(z, 1.0))


def product():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    x = pyro.sample("x", dist.Normal(1.0, 1.0))
    pyro.sample("y", dist.Normal(z * x, 1.0))


def square():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(z**2, 0.5))


def mixture():
    k = pyro.sample("k", dist.Categorical(torch.tensor([0.5, 0.3, 0.2])))
    pyro.sample("y", dist.Normal(1.5 * k, 1.0))


def count():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("n", dist.Poisson(torch.exp(1.0 + 0.5 * z)))


def pair():
    z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
    pyro.sample("y", dist.Normal(z[0] - z[1] ** 2, 1.0))


def guided(shift=0.0, scale=1.0, slope=0.5):
    """`line` with a guide; its posterior is N(y / 2, 1 / 2)."""
    guide = pc.guides.Amortized(z=lambda y: dist.Normal(slope * y + shift, scale * 0.5**0.5))
    return pc.SCM(line, latent=["z"], guide=guide)


@pytest.mark.parametrize(
    ("program", "latent"),
    [(product, "z"), (square, "z"), (mixture, "k"), (count, "z"), (pair, "z")],
    ids=lambda x: getattr(x, "__name__", x),
)
def test_importance_sampling_is_calibrated(program, latent):
    scm = pc.SCM(program, latent=[latent])
    check = pc.check_abduction(scm, units=200, method="importance", seed=0)
    assert check.ok(ALPHA), check
    assert set(check.p_values.index) - {"log p"} == ({"z[0]", "z[1]"} if program is pair else {latent})


def test_enumeration_is_calibrated():
    """Its weighted draws are ranked by drawing from them; all three levels occur, each with ties."""
    check = pc.check_abduction(pc.SCM(mixture, latent=["k"]), method="enumerate", seed=0)
    assert check.diagnostics["method"] == "enumerate"
    assert check.ok(ALPHA), check


def test_an_exact_guide_is_calibrated():
    assert pc.check_abduction(guided(), method="guide", seed=0).ok(ALPHA)


def test_importance_weights_mend_a_narrow_guide():
    check = pc.check_abduction(guided(scale=0.8), units=2000, method="importance", seed=0)
    assert check.ok(ALPHA), check


def test_missing_cells_are_ranked_where_they_are_missing():
    check = pc.check_abduction(
        pc.SCM(product), missing={"x": 0.3, "z": 0.5}, method="importance", seed=0, units=400
    )
    assert {name: len(rank) for name, rank in check.ranks.items()} == {"z": 200, "x": 120, "log p": 400}
    assert check.ok(ALPHA), check


def test_missing_levels():
    check = pc.check_abduction(pc.SCM(mixture), missing={"k": 0.5}, method="importance", seed=0)
    assert len(check.ranks["k"]) == 250 and check.ok(ALPHA), check


def test_a_submodel_is_checked_by_its_own_units():
    scm = pc.SCM(product, latent=["z"])
    for action in (2.0, torch.linspace(-2.0, 2.0, 500)):
        check = pc.check_abduction(scm.do(x=action), method="importance", seed=0)
        assert check.ok(ALPHA), check
    trial = pc.check_abduction(scm.do(x=dist.Normal(0.0, 1.0)), method="importance", seed=0)
    assert trial.ok(ALPHA), trial
    assert list(trial.ranks) == ["z"]  # a variable that is drawn afresh is not scored


# ---- wrong posteriors


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ({"scale": 0.5}, "too narrow"),
        ({"scale": 1.6}, "too wide"),
        ({"shift": 0.4}, "too high"),
        ({"shift": -0.4}, "too low"),
    ],
    ids=["narrow", "wide", "high", "low"],
)
def test_a_wrong_guide_fails_and_its_fault_is_named(fault, name):
    check = pc.check_abduction(guided(**fault), method="guide", seed=0)
    assert check.p_values["z"] < SURE and not check.ok(SURE)
    assert check.to_pandas().loc["z", "draws"] == name


def test_a_guide_that_is_slightly_too_narrow_fails_with_more_units():
    check = pc.check_abduction(guided(scale=0.8), units=2000, method="guide", seed=0)
    assert check.p_values["z"] < SURE  # the same guide as in the test of importance weights


def test_a_guide_that_ignores_the_evidence_fails_by_the_log_density():
    """The prior is right on average over units, so the ranks of z alone can't tell (Modrák et al. 2023)."""
    check = pc.check_abduction(guided(scale=2**0.5, slope=0.0), method="guide", seed=0)
    assert check.p_values["z"] > ALPHA
    assert check.p_values["log p"] < SURE


# ---- what is ranked


def test_noise_and_counterfactuals_are_ranked_as_functions():
    """The noise of a discrete variable, and what it decides, are uncertain even without latents."""

    def program():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Bernoulli(logits=x))

    scm = pc.SCM(program)
    asked = {"noise": lambda noise: noise["y"], "y at x = 1": lambda noise: scm.do(x=1.0).predict(noise)["y"]}
    check = pc.check_abduction(scm, of=asked, seed=0)
    assert check.diagnostics["method"] == "exact" and check.ok(ALPHA), check
    wrong = {"noise": lambda noise: 0.5 * noise["y"] if noise.has_draws else noise["y"]}
    assert not pc.check_abduction(scm, of=wrong, seed=0).ok(SURE)


def test_what_is_known_exactly_is_ranked_at_random():
    scm = pc.SCM(line)
    check = pc.check_abduction(scm, of={"z": lambda noise: noise["z"], "y": lambda noise: noise["y"]}, seed=0)
    assert check.ok(ALPHA) and 0 < check.ranks["y"].mean() < 99


def test_only_what_is_asked_for_is_ranked():
    for of in ("z", ["z"]):
        assert list(pc.check_abduction(guided(), units=50, of=of, seed=0).ranks) == ["z"]


def test_the_truth_is_not_among_the_proposals():
    """Were simulation and abduction to share a seed, the first proposal of each unit would be its truth."""
    seen = []
    scm = pc.SCM(line, latent=["z"])
    pc.check_abduction(
        scm, of={"z": lambda n: seen.append(n["z"]) or n["z"]}, units=50, method="importance", seed=0
    )
    truth, draws = seen
    assert draws.shape == (99, 50) and not (draws == truth).any()
    assert not torch.equal(truth, scm.sample(50, seed=0)["z"])


def test_a_seed_decides_all_ranks():
    one, again, other = (pc.check_abduction(guided(), units=50, seed=s).ranks["z"] for s in (0, 0, 1))
    assert (one == again).all() and (one != other).any()


# ---- what it shows


@pytest.fixture(scope="module")
def narrow():
    return pc.check_abduction(guided(scale=0.5), method="guide", seed=0)


def test_its_picture_shows_what_its_p_values_say(narrow):
    right = pc.check_abduction(guided(), method="guide", seed=0)
    for check in (right, narrow):
        (low, high), fits = check.bands()[0], []
        for gap in check.differences().values():
            fits.append(bool(((gap >= low - 1e-9) & (gap <= high + 1e-9)).all()))
        assert all(fits) == check.ok()
    ax = narrow.plot()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "99 % of right posteriors", "z", "log p",
    ]  # fmt: skip
    other = right.plot(ax=ax.figure.subplots(), alpha=0.05)
    assert other.get_legend().get_texts()[0].get_text() == "95 % of right posteriors"


def test_its_reprs_say_the_verdict(narrow):
    for text in (repr(narrow), narrow._repr_html_()):
        assert "by guide: 500 units, 99 draws each" in text
        assert "too narrow" in text and "Not calibrated" in text
    assert "No fault found" in repr(pc.check_abduction(guided(), method="guide", seed=0))


# ---- at the door


def test_without_latents_there_is_nothing_to_check():
    with pytest.raises(EvidenceError, match="nothing is hidden") as caught:
        pc.check_abduction(pc.SCM(line))
    assert "latent" in caught.value.fix and "missing=" in caught.value.fix


def test_a_latent_that_is_set_has_no_posterior():
    with pytest.raises(EvidenceError, match="nothing is hidden"):
        pc.check_abduction(guided().do(z=0.0))


def test_misspelt_and_observed_names():
    with pytest.raises(UnknownVariable, match="'zz'"):
        pc.check_abduction(guided(), of=["zz"])
    with pytest.raises(UnknownVariable, match="'yy'"):
        pc.check_abduction(guided(), missing={"yy": 0.2})
    with pytest.raises(EvidenceError, match="'y' is observed") as caught:
        pc.check_abduction(guided(), of="y")
    assert "rank one of z" in caught.value.fix


@pytest.mark.parametrize("missing", [{"y": 0.0}, {"y": 1.0}, {"z": 0.5}])
def test_cells_that_can_not_be_hidden(missing):
    with pytest.raises(DataError, match="missing="):
        pc.check_abduction(guided(), missing=missing)


@pytest.mark.parametrize("wrong", [{"num_samples": 18}, {"units": 0}, {"thin": 0}, {"num_samples": 99.5}])
def test_too_few_draws_or_units(wrong):
    (name, value), *_ = wrong.items()
    with pytest.raises(DataError, match=f"{name}={value!r}|number of units={value!r}|{name}={value}"):
        pc.check_abduction(guided(), **wrong)


def test_uncertain_weights_are_refused():
    def program():
        w = pyro.sample("w", dist.Normal(0.0, 1.0))
        with pc.units():
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
            pyro.sample("y", dist.Normal(w + z, 1.0))

    with pytest.raises(EvidenceError, match="uncertain weights"):
        pc.check_abduction(pc.SCM(program, latent=["z"]))
