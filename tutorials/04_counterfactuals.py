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
# # 4. Three steps of a counterfactual
#
# **The question.** Mia ran a marathon on a hot day in 271 minutes. She had trained 40 km a week. *What if she had trained 70?*
#
# Nobody will ever see that race. In this tutorial you compute it by hand, in three steps, and see every number that goes in. Then it
# is one call. At the end: why it can be hard even in principle. About 20 minutes.

# %%
import math

import matplotlib.pyplot as plt
import pyro
import pyro.distributions as dist
import torch

import pyrocausal as pc

# %% [markdown]
# Training makes fit, up to the runner's constitution. Fitness and heat decide the time, up to the luck of the day, which is
# *multiplied*: 5 % of a long time is more than 5 % of a short one.


# %%
def race():
    km = pyro.sample("km", dist.Normal(50.0, 12.0))
    fitness = pyro.sample("fitness", dist.Normal(38.0 + 0.2 * km, 4.0))
    heat = pyro.sample("heat", dist.Bernoulli(0.3))
    pyro.sample("minutes", dist.LogNormal(torch.log(400.0 - 3.6 * fitness + 14.0 * heat), 0.05))


scm = pc.SCM(race)
mia = {"km": [40.0], "fitness": [44.0], "heat": [1], "minutes": [271.0]}
scm.graph

# %% [markdown]
# **Your guess.** What would Mia have run?

# %%
guess = 250.0

# %% [markdown]
# ## Step 1, abduction: what was her luck?
#
# Each mechanism is $x = f(\text{parents}, u)$ with noise $u$. Her values are known, so the equations can be solved for $u$.
#
# Fitness is $38 + 0.2\,\text{km} + 4\,u$, so $44 = 38 + 8 + 4\,u$: her constitution is half a standard deviation below average. The
# time is $e^{0.05\,u}$ times what is expected of her:

# %%
u_fitness = (44 - (38 + 0.2 * 40)) / 4
expected = 400 - 3.6 * 44 + 14 * 1
u_minutes = math.log(271 / expected) / 0.05
print(
    f"constitution {u_fitness:+.2f}, luck of the day {u_minutes:+.2f} (she was expected to take {expected:.0f} minutes)"
)

# %% [markdown]
# The toolkit finds the same numbers:

# %%
noise = scm.abduct(mia, seed=0)
noise

# %% [markdown]
# ## Step 2, action: another world
#
# In the world of the question, training is 70 km, and nothing else is touched. Not the heat, and not her noise: *the same runner, on
# the same day*.

# %%
trained = scm.do(km=70.0)
trained.graph

# %% [markdown]
# ## Step 3, prediction: run the day again
#
# **Exercise 1.** Compute Mia's time by hand: first her fitness in the new world, then her time. Use `u_fitness` and `u_minutes`.

# %% tags=["exercise"]
new_fitness = ...
new_minutes = ...

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
if new_minutes is ...:
    new_fitness = 38 + 0.2 * 70 + 4 * u_fitness
    new_minutes = (400 - 3.6 * new_fitness + 14 * 1) * math.exp(0.05 * u_minutes)

# %% tags=["check"]
again = trained.predict(noise)
assert ... not in (new_fitness, new_minutes), "exercise 1 is blank"
assert abs(new_fitness - 52) > 1e-6, (
    "52 is the fitness of an average runner with 70 km; Mia keeps her own constitution"
)
assert abs(new_fitness - 50) < 1e-6, (
    f"her fitness is not {new_fitness}: 38 + 0.2 · 70, and four times her noise"
)
assert abs(new_minutes - (400 - 3.6 * 50 + 14)) > 1e-6, (
    "that is what is expected of her; now multiply by the luck of the day"
)
assert abs(new_minutes - (400 - 3.6 * 50) * math.exp(0.05 * u_minutes)) > 1e-3, "it is still a hot day"
assert abs(new_minutes - again["minutes"].item()) < 0.05, (
    f"not {new_minutes:.1f}: her luck is exp(0.05 · u_minutes)"
)
print(
    f"Right: {new_minutes:.1f} minutes, and the toolkit says {again['minutes'].item():.1f}. You guessed {guess:.0f}."
)

# %% [markdown]
# ## One call
#
# The three steps are what `counterfactual` does; the noise that it found comes with the answer.

# %%
answer = scm.counterfactual(mia, do={"km": 70.0}, seed=0)
print("was:    ", {k: round(v.item(), 1) for k, v in answer.factual.items()})
print("would:  ", {k: round(v.item(), 1) for k, v in answer.items()})
print("noise:  ", {k: round(v.item(), 2) for k, v in answer.noise.items()})

# %% [markdown]
# ## Four answers that are often mixed up
#
# Who is "she" in "what if she had trained 70 km"?

# %%
questions = {
    "anybody": "E[minutes | do(km=70)]",
    "anybody, on a hot day": "E[minutes | do(km=70), heat=1]",
    "runners much like Mia": "E[minutes_{km=70} | 38 < km < 42, 43 < fitness < 45, heat=1]",
    "Mia": "E[minutes_{km=70} | km=40, fitness=44, heat=1, minutes=271]",
}
answers = {who: scm.ask(question, seed=0, num_samples=200_000) for who, question in questions.items()}
for who, a in answers.items():
    print(f"{who:24s}{float(a):6.1f}   rung {a.rung}, {a.certificate.verdict}")

# %%
figure, ax = plt.subplots(figsize=(7.5, 3.8), layout="constrained")
hot = trained.do(heat=1).sample(20_000, seed=0)
pc.plots.densities(
    {"anybody, with 70 km": trained.sample(20_000, seed=0)["minutes"], "on a hot day": hot["minutes"]}, ax=ax
)
top = ax.get_ylim()[1]
ax.plot(271, 1.1 * top, "o", color="C3", markersize=10)
ax.plot(float(answers["Mia"]), 1.1 * top, "o", color="C2", markersize=10)
ax.annotate(
    "",
    (float(answers["Mia"]) + 1.5, 1.1 * top),
    (269.5, 1.1 * top),
    arrowprops={"arrowstyle": "->", "color": "0.4", "lw": 1.5},
)
ax.annotate("Mia, as it was", (271, 1.1 * top), (0, 10), textcoords="offset points", color="C3", ha="center")
ax.annotate(
    "Mia, with 70 km",
    (float(answers["Mia"]), 1.1 * top),
    (0, 10),
    textcoords="offset points",
    color="C2",
    ha="center",
)
_ = ax.set(xlabel="minutes", xlim=(165, 300), ylim=(0, 1.35 * top))
_ = ax.legend(frameon=False, loc="upper left")

# %% [markdown]
# The more the question knows of her, the further the answer moves from that of anybody. A population that "looks like Mia" still
# averages over the luck of the day. Only the last one keeps hers.
#
# ## What the answer rests on

# %%
print(answers["Mia"])

# %% [markdown]
# *Not identified* from the graph. The first two questions could be checked by an experiment: make people train 70 km. No experiment
# shows one Mia in two worlds. Here the form of the mechanisms fills the gap: we said that luck multiplies. Had we said that it adds,
# all data might fit as well, and Mia's answer would change:

# %%
adding = (400 - 3.6 * new_fitness + 14) + (271 - expected)
print(f"luck multiplies: {new_minutes:.1f} minutes; luck adds: {adding:.1f}")

# %% [markdown]
# ## When the value does not tell the noise
#
# On the same hot day Tom had a cramp. Cramps come to 10 % of runners on a cool day, and to 40 % on a hot one. Would he have had it on a
# cool day?
#
# A cramp is yes or no. The mechanism turns a continuous noise into one by a threshold, and "yes" only says on which side of the
# threshold the noise was.


# %%
def cramps():
    heat = pyro.sample("heat", dist.Bernoulli(0.3))
    pyro.sample("cramp", dist.Bernoulli(0.1 + 0.3 * heat))


runners = pc.SCM(cramps)
tom = {"heat": [1], "cramp": [1]}
draws = runners.abduct(tom, num_samples=4000, seed=0)["cramp"].flatten()

# %%
grid = torch.linspace(-6, 8, 400)
density = torch.sigmoid(grid) * torch.sigmoid(-grid)  # of the logistic law, from which the noise comes
on_hot, on_cool = math.log(0.6 / 0.4), math.log(0.9 / 0.1)
figure, ax = plt.subplots(figsize=(7.5, 3.4), layout="constrained")
ax.plot(grid, density, color="0.4", label="noise of anybody")
ax.hist(draws, bins=60, density=True, color="C1", alpha=0.35, label="Tom's noise, abducted")
ends = {
    "right": (on_hot, -6, "on a hot day a cramp,\nfrom here on →"),
    "left": (on_cool, 6, "on a cool day too,\nfrom here on →"),
}
for side, (x, gap, words) in ends.items():
    ax.axvline(x, color="C0", linestyle="--")
    ax.annotate(words, (x, 0.58), (gap, 0), textcoords="offset points", color="C0", ha=side)
ax.set(xlabel="noise of cramp", yticks=[], xlim=(-6, 8), ylim=(0, 0.7))
ax.spines[["top", "right", "left"]].set_visible(False)
_ = ax.legend(frameon=False, loc="center right")

# %% [markdown]
# Tom's noise lies right of the first threshold: that is all his cramp says. Where it also lies right of the second, he would have had
# the cramp anyway.
#
# **Exercise 2.** How likely is it that Tom would have had *no* cramp on a cool day? Work it out from 10 % and 40 %: of the runners
# right of the first threshold, which share is left of the second?

# %% tags=["exercise"]
spared = ...

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
if spared is ...:
    spared = (0.4 - 0.1) / 0.4

# %% tags=["check"]
assert spared is not ..., "exercise 2 is blank"
assert abs(spared - 0.9) > 1e-6, (
    "90 % of anybody has none on a cool day. But Tom is somebody who had one on a hot day"
)
assert abs(spared - 0.3) > 1e-6, (
    "30 % of all runners lie between the thresholds; divide by those who may be Tom"
)
assert abs(spared - 0.75) < 1e-6, (
    f"not {spared}: between the thresholds lie 30 of 100, right of the first 40 of 100"
)
print(pc.pn(runners, "heat", "cramp"))

# %% [markdown]
# This is the **probability of necessity**: was the heat a necessary cause of the cramp? Courts ask it.
#
# The certificate warns once more, and with reason. The picture has *one* noise and one order: heat can cause a cramp, and never
# prevents one. Nothing in any data says so. Without that assumption all that can be known is an interval (Tian and Pearl 2000):

# %%
lowest, highest = max(0, (0.4 - 0.1) / 0.4), min(1, 0.9 / 0.4)
print(f"the probability of necessity lies between {lowest:.2f} and {highest:.2f}")

# %% [markdown]
# **Exercise 3.** A sanity check for any counterfactual engine (*composition*): acting as things were must change nothing. Write the action
# for Mia under which she must come out exactly as she was, and which is not empty.

# %% tags=["exercise"]
action = ...  # a dict, such as {"km": 70.0}

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
if action is ...:
    action = {"km": 40.0, "heat": 1}

# %% tags=["check"]
assert action is not ..., "exercise 3 is blank"
assert action, "an empty action is no action: set something"
same = scm.counterfactual(mia, do=action, seed=0)
moved = [name for name, value in mia.items() if abs(same[name].item() - value[0]) > 1e-2]
assert not moved, f"{', '.join(moved)} changed: set variables to the values that Mia had"
print("Right: in the world of", action, "Mia runs", round(same["minutes"].item(), 1), "minutes")

# %% [markdown]
# ## What you have learned
#
# - **Abduction**: solve the mechanisms for the noise. **Action**: replace a mechanism. **Prediction**: run again with that noise.
# - The same question about anybody, about people like her, and about her has different answers.
# - Counterfactuals rest on more than data: on the form in which noise enters. The certificate says when.
#
# **Pitfalls.** Holding fixed what the action would have changed (Mia's fitness!). Redrawing the luck. Taking one draw for the truth
# where the noise is known up to an interval only: then the answer is a probability ([noise](noise.md)).
#
# **Next**: [what to adjust for](05_what_to_adjust_for.py).
#
# ## Sources
#
# - J. Pearl, *Causality* (2nd edition, 2009), theorem 7.1.7 (the three steps), section 7.3.1 (composition), chapter 9 (probability of
#   necessity).
# - J. Tian and J. Pearl, "Probabilities of causation: bounds and identification", Annals of Mathematics and Artificial Intelligence 28
#   (2000), 287-313.
# - A. Balke and J. Pearl, "Probabilistic evaluation of counterfactual queries", AAAI 1994.
# - Mia, Tom and their numbers are made up.
