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
# # 1. Seeing is not doing
#
# **The question.** You have a kidney stone. A hospital has treated 700 people like you, half of them by open surgery, half by a
# keyhole operation. Which one do you choose?
#
# You need Python, and to know what a conditional probability is. It takes about 15 minutes. Run the cells from top to bottom, and
# write down your guesses before you look: what surprises you is what you learn.

# %%
import matplotlib.pyplot as plt
import pandas as pd
import pyro
import pyro.distributions as dist
import torch

import pyrocausal as pc

# %% [markdown]
# ## What the hospital saw
#
# These are real numbers (Charig et al. 1986). "Cured" means that after three months no stone was left, or only grit.

# %%
patients = pd.DataFrame(
    [
        ("small", "open", 81, 87),
        ("small", "keyhole", 234, 270),
        ("large", "open", 192, 263),
        ("large", "keyhole", 55, 80),
    ],
    columns=["stone", "treatment", "cured", "treated"],
)
everyone = patients.groupby("treatment")[["cured", "treated"]].sum()
everyone["rate"] = everyone.cured / everyone.treated
everyone.round(3)

# %% [markdown]
# The keyhole operation cured 83 %, open surgery 78 %. Before you decide, here are the same patients once more, by the size of the
# stone.
#
# **Your guess.** Which treatment did better among small stones, and which among large ones? The most common guess stands below.
# Put yours in.

# %%
guess = {"small": "keyhole", "large": "keyhole"}

# %%
rates = (
    patients.set_index(["stone", "treatment"]).cured / patients.set_index(["stone", "treatment"]).treated
).unstack()
for size, row in rates.iterrows():
    print(f"{size} stones: open {row['open']:.1%}, keyhole {row['keyhole']:.1%}; you said {guess[size]}")

# %% [markdown]
# Open surgery did better with small stones, and better with large stones, and worse with stones. That is Simpson's paradox. No
# number is wrong. So what went on?
#
# ## A picture that dissolves it
#
# Move a group of patients from "all stones small" (left) to "all stones large" (right), and its cure rate slides down along a
# straight line. Each treatment has its line. The dot says where the hospital's own patients stood.

# %%
treated = patients.pivot(index="treatment", columns="stone", values="treated")
share_large = treated["large"] / treated.sum(axis=1)
overall = treated["large"].sum() / treated.to_numpy().sum()

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for color, treatment in zip(("C0", "C1"), ("open", "keyhole")):
    ax.plot([0, 1], rates.loc[["small", "large"], treatment], color=color, label=treatment)
    seen = everyone.rate[treatment]
    ax.plot(share_large[treatment], seen, "o", color=color, markersize=10)
    ax.annotate(
        f"seen: {seen:.0%}", (share_large[treatment], seen), (8, 8), textcoords="offset points", color=color
    )
ax.axvline(overall, color="0.5", linestyle=":")
ax.annotate("all 700 patients", (overall, 0.66), (6, 0), textcoords="offset points", color="0.4")
ax.set(xlabel="share of patients with a large stone", ylabel="cured", xlim=(0, 1), ylim=(0.65, 0.97))
ax.xaxis.set_major_formatter("{x:.0%}")
ax.yaxis.set_major_formatter("{x:.0%}")
ax.spines[["top", "right"]].set_visible(False)
_ = ax.legend(frameon=False, title="treatment")

# %% [markdown]
# The line of open surgery is above the other everywhere. But the surgeons kept open surgery for the hard cases: three quarters of
# its patients had large stones, against less than a quarter of the keyhole patients. The two dots compare different kinds of
# patients. A fair comparison is made at *one* place on the axis, for example on the dotted line.
#
# (The picture is Baker and Kramer's.)
#
# ## The story as a program
#
# The stone comes first. The surgeon sees it and picks a treatment. Both decide whether it works. That order is no part of the
# table: it is knowledge about hospitals. A **structural causal model** (SCM) writes it down, as a program about *one* patient.

# %%
cure = torch.tensor(
    [[234 / 270, 81 / 87], [55 / 80, 192 / 263]]
)  # rows: small, large; columns: keyhole, open


def kidney():
    large = pyro.sample("large", dist.Bernoulli(343 / 700))
    surgeon = torch.where(large > 0, torch.tensor(263 / 343), torch.tensor(87 / 357))
    opened = pyro.sample("open", dist.Bernoulli(surgeon))
    pyro.sample("cured", dist.Bernoulli(cure[large.long(), opened.long()]))


hospital = pc.SCM(kidney)
hospital.graph

# %% [markdown]
# Now put two questions. They look alike:
#
# - **seeing**: $E[\text{cured} \mid \text{open} = 1]$. Of the patients who *had* open surgery, how many were cured?
# - **doing**: $E[\text{cured} \mid do(\text{open} = 1)]$. If *everybody* were given open surgery, how many would be cured?

# %%
seen = hospital.ask("E[cured | open=1] - E[cured | open=0]")
print(seen)

# %%
done = hospital.ask("E[cured | do(open=1)] - E[cured | do(open=0)]")
print(done)

# %% [markdown]
# Read what is printed under the number. `rung` says which kind of question it was. `certificate` says what the answer rests on: the
# graph alone turns the second question into a formula over things that were observed, by *backdoor {large}*: hold the stone fixed,
# compare, then average over the stones of all patients. That is the dotted line in the picture.
#
# What did `do` do? It took the surgeon out of the story. In the submodel, nothing decides about `open` any more:

# %%
hospital.do(open=1).graph

# %% [markdown]
# **Exercise 1.** Compute by hand what `do` computed: the cure rate if *all 700* patients had the keyhole operation. Use `rates`
# (cure rates by stone and treatment) and `overall` (the share of large stones).

# %% tags=["exercise"]
keyhole_for_all = ...

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
if keyhole_for_all is ...:
    keyhole_for_all = overall * rates.loc["large", "keyhole"] + (1 - overall) * rates.loc["small", "keyhole"]

# %% tags=["check"]
assert keyhole_for_all is not ..., "exercise 1 is blank: replace the dots by a number"
assert abs(keyhole_for_all - 0.826) > 1e-3, (
    "that is the rate of those who had it: their stones were mostly small"
)
assert abs(keyhole_for_all - rates["keyhole"].mean()) > 1e-4, (
    "large and small stones are not equally frequent: weigh them"
)
expected = float(hospital.ask("E[cured | do(open=0)]"))
assert abs(keyhole_for_all - expected) < 1e-3, (
    f"do gives {expected:.3f}: average the two rates, with weights 1 - overall, overall"
)
print(
    f"Right: {keyhole_for_all:.1%} of all patients, and not the {everyone.rate['keyhole']:.1%} that was seen."
)

# %% [markdown]
# ## Same numbers, other story
#
# So should one always split the table? Keep every number, and change one word. The third column is now not the size of the stone,
# but **fever on the day after**. Open surgery is a larger wound, so fever is more frequent after it, and fever delays the cure.
#
# **Your guess.** Here, which table would you trust: the one of everyone, or the one split by fever?

# %%
guess = "split by fever"


# %%
def ward():
    opened = pyro.sample("open", dist.Bernoulli(0.5))
    fever = pyro.sample(
        "fever", dist.Bernoulli(torch.where(opened > 0, torch.tensor(263 / 350), torch.tensor(80 / 350)))
    )
    pyro.sample("cured", dist.Bernoulli(cure[fever.long(), opened.long()]))


other = pc.SCM(ward)
other.graph

# %% [markdown]
# The two models agree on every single cell of the table:

# %%
cells = [(z, t, y) for z in (0, 1) for t in (0, 1) for y in (0, 1)]
first = {"large": [c[0] for c in cells], "open": [c[1] for c in cells], "cured": [c[2] for c in cells]}
second = {"fever": first["large"], "open": first["open"], "cured": first["cured"]}
both = pd.DataFrame(cells, columns=["large / fever", "open", "cured"])
both["hospital"], both["ward"] = (
    hospital.log_prob(first).exp().detach(),
    other.log_prob(second).exp().detach(),
)
both.round(4)

# %%
print(other.ask("E[cured | do(open=1)] - E[cured | do(open=0)]"))
print("\nyou trusted the table", guess)

# %% [markdown]
# In this story open surgery is *worse*, by 4.6 points, and the table of everyone is the one to trust. Fever is one of the ways in
# which surgery acts. Who holds it fixed takes a part of the effect away.
#
# > Two worlds with the same data, and opposite answers. **No statistic of the table can tell them apart.** What tells them apart is
# > the arrow between treatment and third variable, and an arrow is knowledge about how the data came to be.
#
# **Exercise 2.** The surgeons of the first story can be changed. Choose the chances with which a patient with a small stone and one
# with a large stone get open surgery, so that *seeing* gives the same difference as *doing*, and everyone's table tells the truth.

# %% tags=["exercise"]
chance_small, chance_large = ..., ...

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
if chance_small is ...:
    chance_small, chance_large = 0.5, 0.5  # any two equal numbers: a trial


# %% tags=["check"]
def new_rules():
    large = pyro.sample("large", dist.Bernoulli(343 / 700))
    surgeon = torch.where(large > 0, torch.tensor(float(chance_large)), torch.tensor(float(chance_small)))
    opened = pyro.sample("open", dist.Bernoulli(surgeon))
    pyro.sample("cured", dist.Bernoulli(cure[large.long(), opened.long()]))


assert ... not in (chance_small, chance_large), "exercise 2 is blank: replace both dots by a chance"
assert 0 < chance_small < 1 and 0 < chance_large < 1, (
    "chances lie between 0 and 1, and both treatments must happen"
)
reformed = pc.SCM(new_rules)
seeing = float(reformed.ask("E[cured | open=1] - E[cured | open=0]"))
doing = float(reformed.ask("E[cured | do(open=1)] - E[cured | do(open=0)]"))
assert abs(seeing - doing) < 1e-5, (
    f"seeing gives {seeing:.3f}, doing {doing:.3f}: your surgeons still look at the stone. What if they could not see it?"
)
print(
    f"Right: seeing {seeing:.3f}, doing {doing:.3f}. A surgeon who can't see the stone is a randomised trial."
)

# %% [markdown]
# ## The sprinkler
#
# The most famous small graph there is (Pearl 2009, p. 15). The season decides how often it rains, and when the gardener turns the
# sprinkler on. Both make the path wet, and a wet path is slippery.


# %%
def garden():
    season = pyro.sample("season", dist.Categorical(torch.ones(4) / 4))  # spring, summer, autumn, winter
    rain = pyro.sample("rain", dist.Bernoulli(torch.tensor([0.4, 0.1, 0.5, 0.4])[season]))
    sprinkler = pyro.sample("sprinkler", dist.Bernoulli(torch.tensor([0.3, 0.8, 0.1, 0.0])[season]))
    wet = pyro.sample("wet", dist.Bernoulli(1 - (1 - 0.95 * rain) * (1 - 0.9 * sprinkler)))
    pyro.sample("slippery", dist.Bernoulli(0.7 * wet))


garden = pc.SCM(garden)
garden.graph

# %% [markdown]
# It rains on 35 days of 100. **Your guess:** how likely is rain *now*, if
#
# 1. you look out and *see* that the sprinkler is on?
# 2. you go out and *turn it on*?

# %%
guess = {"see it on": 0.35, "turn it on": 0.35}

# %%
questions = {
    "any day": "P(rain=1)",
    "see it on": "P(rain=1 | sprinkler=1)",
    "turn it on": "P(rain=1 | do(sprinkler=1))",
    "see the path wet": "P(rain=1 | wet=1)",
    "see it wet,\nand the sprinkler on": "P(rain=1 | wet=1, sprinkler=1)",
}
answers = {name: garden.ask(question) for name, question in questions.items()}
figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
colors = ["0.6", "C0", "C1", "C0", "C0"]
bars = ax.barh(list(answers), [float(a) for a in answers.values()], color=colors, height=0.6)
ax.bar_label(bars, [f"{float(a):.0%}" for a in answers.values()], padding=4)
ax.invert_yaxis()
ax.set(xlabel="chance of rain (blue: seeing, orange: doing)", xlim=(0, 0.8))
ax.xaxis.set_major_formatter("{x:.0%}")
ax.spines[["top", "right", "left"]].set_visible(False)
ax.tick_params(axis="y", length=0)
for name in guess:
    print(f"{name}: you said {guess[name]:.0%}, it is {float(answers[name]):.0%}")

# %%
print(answers["see it on"], answers["turn it on"], sep="\n\n")

# %% [markdown]
# *Seeing* the sprinkler on tells that it is probably summer, and in summer it rains less. *Turning* it on tells nothing: you did it,
# not the season.
#
# The last two bars are worth a thought. A wet path makes rain more likely. Then you see the sprinkler, and rain becomes unlikely
# again: the wetness is *explained away*. Rain and sprinkler do not act on each other, and yet knowing one tells about the other once
# you know their common effect. Tutorial 5 shows what havoc that works in data analysis.
#
# **Exercise 3.** You empty a bucket of water over the path. How likely is it that it rains? Write the question as one would on a
# blackboard, as a string.

# %% tags=["exercise"]
bucket = ...

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
if bucket is ...:
    bucket = "P(rain=1 | do(wet=1))"

# %% tags=["check"]
assert bucket is not ..., 'exercise 3 is blank: write a string, such as "P(rain=1 | wet=1)"'
answer = garden.ask(bucket)
assert answer.rung == 2, "you asked about a path that you SEE wet; here you made it wet yourself"
assert abs(float(answer) - float(garden.ask("P(rain=1)"))) < 1e-6, (
    f"your question gives {float(answer):.2f}. A bucket of water makes no rain: what did you set, and what did you ask for?"
)
print(answer)

# %% [markdown]
# ## What you have learned
#
# - $P(y \mid x)$ is about those units that *have* $x$. $P(y \mid do(x))$ is about all units, *given* $x$. They differ when something
#   decides both who gets $x$ and what becomes of them.
# - Which of two tables answers your question is decided by the causal story, and not by the numbers.
# - An SCM writes the story as a program. `scm.ask` then answers both kinds of question, and its certificate says what the answer
#   rests on.
#
# **Pitfalls.** "Always adjust for everything" is wrong: see fever. "The data will tell" is wrong: see the two stories. And this
# analysis rests on *one* confounder. If the surgeons also looked at the patient's age, and we did not, the 5 points are off. The
# certificate speaks about the graph that you gave. It can't know which one nature has.
#
# **Next**: [your first SCM](02_your_first_scm.py), in which you write one and train it.
#
# ## Sources
#
# - C. R. Charig, D. R. Webb, S. R. Payne, J. E. Wickham, "Comparison of treatment of renal calculi by open surgery, percutaneous
#   nephrolithotomy, and extracorporeal shockwave lithotripsy", BMJ 292 (1986), 879-882: the data. S. A. Julious and M. A. Mullee,
#   "Confounding and Simpson's paradox", BMJ 309 (1994), 1480-1481: as an example of the paradox.
# - S. G. Baker and B. S. Kramer, "Good for women, good for men, bad for people", Journal of Women's Health & Gender-Based Medicine 10
#   (2001), 867-872: the picture.
# - J. Pearl, *Causality* (2nd edition, 2009), section 1.2 (sprinkler) and chapter 6 (Simpson's paradox); "Understanding Simpson's
#   paradox", The American Statistician 68 (2014), 8-13: the same table, two stories. The fever is ours.
