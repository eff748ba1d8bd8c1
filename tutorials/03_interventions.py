# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3. Interventions: hard, soft, by policy, by chance
#
# **The question.** A hospital ward can give a blood-pressure drug. The board debates four rules: *everybody gets
# 20 mg*; *everybody gets 5 mg more than now*; *20 mg for whoever has more than 150*; *draw lots*. Which lowers the pressure most for
# each milligram, and which would teach us what the drug does?
#
# All four are interventions. They differ in which arrows they cut. About 15 minutes.

# %%
import matplotlib.pyplot as plt
import pandas as pd
import pyro
import pyro.distributions as dist
import torch

import pyrocausal as pc

# %% [markdown]
# Doctors give more to those with a higher pressure. The drug lowers it, and more so in the worse cases; too much makes people dizzy.


# %%
def ward():
    before = pyro.sample("before", dist.Normal(145.0, 12.0))
    dose = pyro.sample("dose", dist.Normal(15.0 + 0.25 * (before - 145.0), 2.5))
    works = 0.6 + 0.015 * (before - 145.0)  # mmHg for each mg
    after = pyro.sample("after", dist.Normal(before - works * dose, 4.0))
    pyro.sample("dizzy", dist.Bernoulli(logits=0.15 * dose - 0.05 * (after - 120.0) - 4.0))


scm = pc.SCM(ward)
scm.graph

# %% [markdown]
# ## Four rules, four submodels
#
# `do` gives back an SCM, the *submodel*: the same program with one mechanism replaced. Everything else stays, by definition.

# %%
rules = {
    "as it is": scm,
    "hard: 20 mg for all": scm.do(dose=20.0),
    "shift: 5 mg more": scm.do(dose=lambda d: d + 5.0),
    "policy: 20 mg above 150": scm.do(dose=pc.policy(lambda v: torch.where(v["before"] > 150, 20.0, 0.0))),
    "chance: 0 to 20 mg, drawn": scm.do(dose=dist.Uniform(0.0, 20.0)),
}
for name, submodel in rules.items():
    print(f"{name:26s} {submodel.graph.to_string()}")

# %% [markdown]
# Read the third word of each line. What happens to the arrow `before -> dose`?
#
# - **hard**: cut. The dose no longer listens to anything.
# - **shift**: kept. Each patient gets what the doctor would have given, and 5 mg more. Doctors still look at the pressure.
# - **policy**: replaced. The doctor's habit is gone, and a rule that reads `before` stands in its place.
# - **chance**: cut. The dose is drawn afresh, whoever the patient is. That is a randomised trial.
#
# In a picture, cut arrows carry scissors:

# %%
rules["hard: 20 mg for all"].graph

# %% [markdown]
# **Your guess.** Order the four rules by the mean pressure afterwards, from the lowest.

# %%
guess = ["hard", "shift", "chance", "policy"]

# %%
worlds = {name: submodel.sample(20_000, seed=0) for name, submodel in rules.items()}
result = pd.DataFrame(
    {
        "mean dose": {name: world["dose"].mean().item() for name, world in worlds.items()},
        "mean pressure": {name: world["after"].mean().item() for name, world in worlds.items()},
        "above 150": {name: (world["after"] > 150).float().mean().item() for name, world in worlds.items()},
        "dizzy": {name: world["dizzy"].float().mean().item() for name, world in worlds.items()},
    }
)
result["mmHg for each mg"] = (worlds["as it is"]["before"].mean().item() - result["mean pressure"]) / result[
    "mean dose"
]
print("your order:", ", ".join(guess))
result.round(2)

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for color, (name, world) in zip(("0.5", "C0", "C1", "C2", "C3"), worlds.items()):
    pc.plots.densities({name: world["after"]}, label="pressure afterwards (mmHg)", ax=axes[0])
    axes[0].lines[-1].set_color(color)
    axes[1].scatter(world["before"][:250], world["dose"][:250], s=6, color=color, alpha=0.7, label=name)
axes[0].get_legend().remove()
axes[1].set(xlabel="pressure before (mmHg)", ylabel="dose (mg)")
axes[1].spines[["top", "right"]].set_visible(False)
_ = figure.legend(
    *axes[1].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False, markerscale=2
)

# %% [markdown]
# The right panel shows what an intervention is: another rule for the dose. The left one shows what follows.
#
# *Hard* and *shift* spend the same 20 mg on average, and the shift does better: it lets the doctors give more to those in whom the drug
# works better. The policy treats one patient in three, and gets the most out of each milligram.
#
# ## The same in words
#
# All but the drawn rule can be asked as they are written on a blackboard, with a certificate:

# %%
print(scm.ask("E[after | do(dose=20)]", num_samples=20_000, seed=0))

# %%
print(scm.ask("E[after | do(dose=dose+5)]", num_samples=20_000, seed=0))

# %% [markdown]
# The second one needs less of nature than the first: nobody is asked to be what they could hardly have been. A hard intervention
# gives 20 mg to people who in the hospital's own records never get that much.
#
# ## Seeing, for comparison
#
# What do the records say of those who *had* about 20 mg?

# %%
seen = scm.ask("E[after | 19 < dose < 21]", seed=0)
set_ = scm.ask("E[after | do(dose=20)]", seed=0)
print(f"seen: {float(seen):.1f}   set: {float(set_):.1f}")
print("\nseen:", seen.certificate, "\nset: ", set_.certificate)

# %% [markdown]
# Those who had 20 mg were the ill ones.
#
# **Exercise 1.** The drug has a second use: a *floor*. Nobody is to get less than 10 mg; whoever would get more keeps it. Write it as an
# intervention. Which kind is it?

# %% tags=["exercise"]
floor = ...  # scm.do(…)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
if floor is ...:
    floor = scm.do(dose=lambda d: torch.clamp(d, min=10.0))  # soft: it reads what the dose would have been

# %% tags=["check"]
assert floor is not ..., "exercise 1 is blank: floor = scm.do(dose=…)"
was, now = scm.sample(2000, seed=3)["dose"], floor.sample(2000, seed=3)["dose"]
assert now.min() >= 10.0, f"somebody gets {now.min():.1f} mg"
assert not torch.allclose(now, now[0].expand_as(now)), (
    "all get the same: a hard intervention. Use a function of the natural dose"
)
assert torch.allclose(now[was > 10], was[was > 10]), "those who had more than 10 mg should keep what they had"
assert "before" in floor.graph.parents("dose"), (
    "the doctors should still look at the pressure: the arrow is cut in your model"
)
print("Right. Mean pressure:", round(floor.sample(20_000, seed=0)["after"].mean().item(), 1))

# %% [markdown]
# ## Why chance teaches
#
# Draw the dose by chance, and seeing becomes doing. In the trial's submodel, regress the pressure on the dose; then in the records.

# %%
trial = rules["chance: 0 to 20 mg, drawn"]


def slope(world):
    dose, after = world["dose"], world["after"]
    return (torch.cov(torch.stack([dose, after]))[0, 1] / dose.var()).item()


print(f"records: {slope(worlds['as it is']):+.2f} mmHg for each mg")
print(f"trial:   {slope(trial.sample(20_000, seed=0)):+.2f}")
print(f"truth:   {float(scm.ask('E[after | do(dose=11)] - E[after | do(dose=10)]', seed=0)):+.2f}")

# %% [markdown]
# In the records the drug seems to *raise* the pressure. In the trial, a plain regression gives the truth.
#
# ## Actions on actions
#
# A submodel is an SCM, so it can be acted on again. The later action works in the world that the earlier one made:

# %%
twice = scm.do(dose=10.0).do(dose=lambda d: d + 5.0)
print(twice.sample(3, seed=0)["dose"])

# %% [markdown]
# **Exercise 2.** Find a better policy. It may read `before`, must keep the mean dose at 15 mg or less (what the ward uses now), give nobody
# less than 0 or more than 40, and bring the mean pressure below the present one by 1.5 mmHg at least.

# %% tags=["exercise"]
my_policy = ...  # pc.policy(lambda v: …)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
if my_policy is ...:
    my_policy = pc.policy(lambda v: torch.where(v["before"] > 149.0, 40.0, 0.0))

# %% tags=["check"]
assert my_policy is not ..., "exercise 2 is blank"
mine = scm.do(dose=my_policy).sample(20_000, seed=0)
assert mine["dose"].min() >= 0 and mine["dose"].max() <= 40, (
    f"doses go from {mine['dose'].min():.1f} to {mine['dose'].max():.1f} mg"
)
assert mine["dose"].mean() <= 15.0, f"the mean dose is {mine['dose'].mean():.1f} mg, and may be 15"
gained = result["mean pressure"]["as it is"] - mine["after"].mean().item()
assert gained >= 1.5, (
    f"the mean pressure falls by {gained:.1f} mmHg, and should by 1.5: in whom does the drug work best?"
)
print(
    f"Right: {gained:.1f} mmHg lower, with {mine['dose'].mean():.1f} mg. Dizzy: {mine['dizzy'].float().mean():.0%}"
)

# %% [markdown]
# ## What you have learned
#
# | rule | you type | the arrow into `dose` |
# |---|---|---|
# | hard | `scm.do(dose=20.0)` | cut |
# | soft: of what it would have been | `scm.do(dose=lambda d: d + 5)` | kept |
# | policy: of what came earlier | `scm.do(dose=pc.policy(lambda v: …))` | to what the rule reads |
# | stochastic | `scm.do(dose=dist.Uniform(0.0, 20.0))` | cut |
#
# - An intervention replaces one mechanism; the others stay. That they *can* stay is what makes them mechanisms.
# - Chance makes seeing equal to doing: that is why trials work.
#
# **Pitfalls.** "Do" must be doable: `do(age=30)` is a number for which no action is known. A rule far from what the data show
# (40 mg) rests on the form of the mechanisms. And a policy may read only what comes *before* the variable: reading `after` would be a
# loop, and is an error.
#
# **Next**: [counterfactuals](04_counterfactuals.py).
#
# ## Sources
#
# - J. Pearl, *Causality* (2nd edition, 2009), definitions 7.1.2 and 7.1.3 (submodel, effect of an action), section 4.2 (policies).
# - J. Correa and E. Bareinboim, "A calculus for stochastic interventions: causal effect identification and surrogate experiments", AAAI
#   2020: soft and stochastic interventions.
# - I. Díaz and M. van der Laan, "Population intervention causal effects based on stochastic interventions", Biometrics 68 (2012),
#   541-549: why to ask for shifts.
# - The ward is made up.
