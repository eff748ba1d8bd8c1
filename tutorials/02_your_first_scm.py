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
# # 2. Your first SCM
#
# **The question.** A school offers tutoring to whoever wants it. Over a thousand pupils, hours of tutoring and the final score have a
# correlation of 0.03. The head teacher wants to close the programme. And Anna, who took 4 hours and scored 61, asks: *what would I
# have scored without it?*
#
# This takes about 15 minutes. At the end you have written a model, trained one on a table without writing any, and asked both of them
# about Anna. You need [tutorial 1](01_seeing_is_not_doing.py).

# %%
import matplotlib.pyplot as plt
import pandas as pd
import pyro
import pyro.distributions as dist
import torch

import pyrocausal as pc
from pyrocausal import mechanisms as m

# %% [markdown]
# ## A program about one pupil
#
# Every September there is an entry test. Pupils who do badly in it take more tutoring. Entry level and tutoring both show in the
# final score. Write down how *one* pupil comes about, in the order of time:


# %%
def school():
    entry = pyro.sample("entry", dist.Normal(60.0, 10.0))
    hours = pyro.sample("hours", dist.Poisson(torch.exp((75 - entry) / 20)))
    pyro.sample("score", dist.Normal(25 + 0.5 * entry + 1.5 * hours, 6.0))


scm = pc.SCM(school)
scm.graph

# %% [markdown]
# That is all. Each `pyro.sample` line is a **mechanism**: how nature sets one variable, given the earlier ones. The graph was read
# off the program, by following which values flow where.
#
# What is *not* there: no loop over pupils and no batch dimension, for the program is about one of them. No noise either: that
# `Normal(mean, 6.0)` means "mean plus 6 times a standard normal noise" is worked out for you.

# %%
pupils = scm.sample(1000, seed=1).to_pandas()
pupils.head()

# %%
pupils.corr().round(2)

# %% [markdown]
# There is the head teacher's number: hours and score are uncorrelated. But we wrote the program, and know that an hour adds 1.5
# points.
#
# **Your guess.** Anna had 55 in the entry test, took 4 hours and scored 61. What would she have scored with no tutoring? Those who
# took none scored this on average:

# %%
pupils.score[pupils.hours == 0].mean().round(1)

# %%
guess = 58.0

# %%
anna = {"entry": [55.0], "hours": [4], "score": [61.0]}
answer = scm.counterfactual(anna, do={"hours": 0})
print(f"without tutoring Anna scores {answer['score'].item():.1f}; you said {guess}")
answer

# %% [markdown]
# The pupils who took no tutoring had good entry tests; they are no stand-ins for Anna. The counterfactual compares Anna with *Anna*:
# the same entry level, the same luck in the exam, 4 hours less. Her luck was worked out from what she scored:

# %%
print(
    f"expected of her: {25 + 0.5 * 55 + 1.5 * 4:.1f}, scored: 61, luck: {answer.noise['score'].item():+.2f} standard deviations"
)

# %% [markdown]
# **Exercise 1.** Ben: entry 70, 1 hour, score 58. What would he have scored with 5 hours? Do it with pencil and paper: his luck
# first, then the new score.

# %% tags=["exercise"]
ben_with_five = ...

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
if ben_with_five is ...:
    luck = 58 - (25 + 0.5 * 70 + 1.5 * 1)  # -3.5 points
    ben_with_five = 25 + 0.5 * 70 + 1.5 * 5 + luck

# %% tags=["check"]
ben = scm.counterfactual({"entry": [70.0], "hours": [1], "score": [58.0]}, do={"hours": 5})["score"].item()
assert ben_with_five is not ..., "exercise 1 is blank"
assert abs(ben_with_five - 67.5) > 1e-3, (
    "67.5 is the average of pupils like Ben; Ben himself had bad luck, and keeps it"
)
assert abs(ben_with_five - ben) < 1e-3, (
    f"not {ben_with_five}: his luck is 58 minus what was expected; add it to what 5 hours promise"
)
print(f"Right: {ben}")

# %% [markdown]
# ## Many pupils, one picture
#
# Each arrow is a pupil: from what was to what would have been without tutoring.

# %%
some = pupils.sort_values("hours").iloc[::25]
without = scm.counterfactual(some, do={"hours": 0}).to_pandas()
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.scatter(pupils.hours, pupils.score, s=8, color="0.8", label="all pupils, as they were")
for (_, was), (_, would) in zip(some.iterrows(), without.iterrows()):
    ax.annotate(
        "",
        (would.hours, would.score),
        (was.hours, was.score),
        arrowprops={"arrowstyle": "->", "color": "C1", "alpha": 0.7},
    )
ax.scatter(some.hours, some.score, s=22, color="C0", label="some of them …", zorder=3)
ax.scatter(without.hours, without.score, s=22, color="C1", label="… had they had no tutoring", zorder=3)
ax.set(xlabel="hours of tutoring", ylabel="score")
ax.spines[["top", "right"]].set_visible(False)
_ = ax.legend(frameon=False, loc="lower right")

# %% [markdown]
# The grey cloud is flat: seen from above, tutoring does nothing. Every single arrow falls to the left: for each pupil it does a lot.
#
# ## From a table, without a program
#
# In life you have a table, and not the mechanisms. Then you give the **graph**, and the mechanisms are learned, one a column. Here
# is a table on disk, as yours would be:

# %%
pupils.to_csv("pupils.csv", index=False)
table = pd.read_csv("pupils.csv")

graph = "entry -> hours -> score <- entry"
mechanisms = {"entry": m.Linear(), "hours": m.Poisson(), "score": m.Linear()}
learned = pc.SCM.from_graph(graph, mechanisms=mechanisms).fit(
    table, epochs=5, batch_size=1000, seed=0, progress=False
)
learned

# %% [markdown]
# `m.Linear()` is a Gaussian with a linear mean, quick and here even true. Leave `mechanisms=` out, and each column gets one that
# bends with the data (tutorial 9); that takes a minute or two, and is the better default for a table that you do not know.
#
# Now ask the learned model about Anna, and then about all pupils. Since we wrote the truth, we can see how well it does.

# %%
print(
    "Anna without tutoring, by the learned model:",
    round(learned.counterfactual(anna, do={"hours": 0})["score"].item(), 1),
)
true = scm.counterfactual(table, do={"hours": 0})["score"]
found = learned.counterfactual(table, do={"hours": 0})["score"]
print(f"its mean error over all pupils: {(found - true).abs().mean():.2f} points")

# %% [markdown]
# **What a number rests on.** Every answer to a question carries a certificate. What does an hour more do, on average?

# %%
print(learned.ask("E[score | do(hours=2)] - E[score | do(hours=1)]", num_samples=2000, seed=0))

# %% [markdown]
# "Identified, by backdoor {entry}": given this graph, a better fit means a better answer. The certificate of Anna's own question is
# of another kind. We ask for pupils with her data, one of whom she is:

# %%
hers = learned.ask("P(score_{hours=2} > 57 | entry=55, hours=4, score=61)", seed=0)
print(hers.certificate)

# %% [markdown]
# The graph alone does not settle a counterfactual about one person. It rests on the mechanism's form as well: here, that her luck
# *adds* to the score. [Tutorial 4](04_counterfactuals.py) is about this.
#
# ## When the graph is wrong
#
# **Exercise 2.** Train a model with the graph `hours -> score` alone: the head teacher's view, who never saw the entry test. Put into
# `per_hour` what it believes that one more hour adds.
#
# Guess first: will it be 1.5, more, or less?

# %% tags=["exercise"]
per_hour = ...

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
if per_hour is ...:
    blind = pc.SCM.from_graph("hours -> score", mechanisms={"hours": m.Poisson(), "score": m.Linear()})
    blind.fit(table[["hours", "score"]], epochs=5, batch_size=1000, seed=0, progress=False)
    per_hour = float(blind.ask("E[score | do(hours=2)] - E[score | do(hours=1)]", num_samples=2000))

# %% tags=["check"]
assert per_hour is not ..., "exercise 2 is blank"
assert abs(float(per_hour) - 1.5) > 0.6, (
    "that is near the truth: does your graph still have the entry test in it?"
)
assert abs(float(per_hour)) < 0.6, (
    "that is too far from 0: ask for E[score | do(hours=2)] - E[score | do(hours=1)]"
)
print(
    f"Right: {float(per_hour):.2f} points an hour. No fit, however good, mends a graph that leaves the common cause out."
)

# %% [markdown]
# ## What the toolkit refuses
#
# Mistakes that would give a wrong number without a word are errors, and each says what to do:


# %%
def with_evidence_inside():
    entry = pyro.sample("entry", dist.Normal(60.0, 10.0))
    pyro.sample("score", dist.Normal(entry, 6.0), obs=torch.tensor(61.0))


mistakes = {
    "a misspelt name": lambda: scm.do(huors=0),
    "a cell left out": lambda: scm.counterfactual({"entry": [55.0], "hours": [4]}, do={"hours": 0}),
    "data inside the program": lambda: pc.SCM(with_evidence_inside),
}
for mistake, make in mistakes.items():
    try:
        make()
    except pc.PyrocausalError as error:
        print(f"{mistake}:\n  {error}\n")

# %% [markdown]
# **Exercise 3.** Write an SCM of your own, with this story. A plant gets some sun (hours a day, about 6, give or take 2). The
# gardener gives more water the more sun there is. Height depends on both, and each litre of water adds exactly 3 cm. Call the variables `sun`, `water` and `height`, and the SCM `garden`.

# %% tags=["exercise"]
garden = ...  # pc.SCM(your program)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
if garden is ...:

    def plant():
        sun = pyro.sample("sun", dist.Normal(6.0, 2.0))
        water = pyro.sample("water", dist.Normal(0.5 * sun, 0.5))
        pyro.sample("height", dist.Normal(20 + 2 * sun + 3 * water, 1.0))

    garden = pc.SCM(plant)

# %% tags=["check"]
assert garden is not ..., "exercise 3 is blank: write a program, and garden = pc.SCM(program)"
expected = pc.CausalGraph.from_string("sun -> water -> height <- sun")
assert set(garden.graph.nodes) == set(expected.nodes), (
    f"the variables are {garden.graph.nodes}, and should be {expected.nodes}"
)
assert garden.graph == expected, (
    f"your graph is {garden.graph.to_string()}; which value does each mechanism read?"
)
more, less = (garden.do(water=w).sample(10, seed=0)["height"] for w in (4.0, 3.0))
assert torch.allclose(more - less, torch.tensor(3.0), atol=1e-3), (
    f"a litre adds {(more - less).mean():.2f} cm, and should add 3"
)
print("Right: the graph is", garden.graph.to_string())

# %% [markdown]
# ## Your own table
#
# The recipe, for a table in `my.csv`, a treatment `t` and an outcome `y`:
#
# ```python
# table = pd.read_csv("my.csv").dropna()       # a row a unit, a column a variable
# scm = pc.SCM.from_graph("age -> t -> y <- age").fit(table)      # your graph
# scm.check(table)                             # does the model describe the table? (tutorial 8)
# scm.counterfactual(table.head(), do={"t": 0}).to_pandas()       # these five units, without t
# print(scm.ask("E[y | do(t=1)] - E[y | do(t=0)]"))               # the effect, and what it rests on
# scm.save("my.safetensors")
# ```
#
# Columns that the graph does not name are left alone; 0/1 columns, categories (text) and numbers are told apart by their type. What
# the data must look like: [data](data.md).
#
# ## What you have learned
#
# - An SCM is a Pyro program about one unit: one line a mechanism. Its graph, its noise and its submodels are derived.
# - `scm.counterfactual(unit, do=…)` keeps the unit's own luck and changes only what you change.
# - With a graph and a table, mechanisms are learned. The graph is yours, and no fit repairs it.
#
# **Pitfalls.** Comparing Anna with others ("those without tutoring scored 58"). Writing `if entry > 50:` in the program: it works, but
# unit by unit, which is slow; `torch.where` is fast. Trusting a learned mechanism where there were no data: ask for 30 hours, and a
# line gladly goes on.
#
# **Next**: [interventions](03_interventions.py).
#
# ## Sources
#
# - J. Pearl, M. Glymour, N. Jewell, *Causal Inference in Statistics: A Primer* (2016), sections 1.5 (SCMs) and 4.1-4.2: a story of the
#   same kind, a pupil whose homework is changed and whose luck is kept.
# - E. Bingham et al., "Pyro: Deep universal probabilistic programming", JMLR 20 (2019): the language.
# - The school and its numbers are made up, so that the truth is known.
