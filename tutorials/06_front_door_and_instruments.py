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
# # 6. When no adjustment helps: front door and instruments
#
# **The question.** What does a year of school add to wages? People with more schooling earn more. But those who stay at school may be
# the able ones, who would earn more anyway. Nobody recorded ability, so no column can be adjusted for.
#
# Two ways lead around a hidden common cause. Both have their price. About 20 minutes.

# %%
import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist

import pyrocausal as pc
from pyrocausal.data import card
from pyrocausal.identification import instruments

# %% [markdown]
# ## The front door
#
# First a case where all can be seen. Smoking leaves tar in the lungs, tar causes cancer, and some gene may make people both smoke and
# fall ill. The gene is hidden.


# %%
def smoker():
    gene = pyro.sample("gene", dist.Bernoulli(0.5))
    smoke = pyro.sample("smoke", dist.Bernoulli(0.2 + 0.6 * gene))
    tar = pyro.sample("tar", dist.Bernoulli(0.1 + 0.7 * smoke))
    pyro.sample("cancer", dist.Bernoulli(0.05 + 0.15 * tar + 0.4 * gene))


smokers = pc.SCM(smoker, latent=["gene"])
smokers.graph

# %% [markdown]
# The back door `smoke <- gene -> cancer` can't be closed. But all of the effect passes through tar. So take it in two pieces:
#
# 1. smoking → tar: nothing confounds it. $P(\text{tar} \mid do(\text{smoke})) = P(\text{tar} \mid \text{smoke})$.
# 2. tar → cancer: confounded by way of smoking, and smoking *is* recorded: adjust for it.
#
# Then put the pieces together:
#
# $$P(c \mid do(s)) = \sum_t P(t \mid s) \sum_{s'} P(c \mid t, s')\, P(s').$$
#
# **Your guess.** In the table, smokers have cancer more often than others, by how much? And what is the effect of smoking?
# (In this made-up world, tar raises the risk by 15 points, and smoking makes tar more likely by 70 points.)

# %%
guess = {"seen": 0.15, "done": 0.15}

# %%
table = smokers.sample(20_000, seed=0).to_pandas().drop(columns="gene")
seen = table.cancer[table.smoke == 1].mean() - table.cancer[table.smoke == 0].mean()
effect = smokers.ask("E[cancer | do(smoke=1)] - E[cancer | do(smoke=0)]")
print(f"seen: {seen:.3f} (you said {guess['seen']}), done: {float(effect):.3f} (you said {guess['done']})\n")
print(effect)

# %% [markdown]
# **Exercise 1.** Compute the effect from the *table* alone, by the formula above. `P_tar` holds $P(t \mid s)$, `P_cancer` holds
# $P(c = 1 \mid s, t)$, and `P_smoke` holds $P(s)$.

# %%
P_tar = pd.crosstab(table.smoke, table.tar, normalize="index")  # P_tar.loc[s, t]
P_cancer = table.groupby(["smoke", "tar"]).cancer.mean()  # P_cancer[s, t]
P_smoke = table.smoke.value_counts(normalize=True)  # P_smoke[s]

# %% tags=["exercise"]
by_front_door = ...

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
if by_front_door is ...:

    def cancer_if(s):
        return sum(
            P_tar.loc[s, t] * sum(P_cancer[other, t] * P_smoke[other] for other in (0, 1)) for t in (0, 1)
        )

    by_front_door = cancer_if(1) - cancer_if(0)

# %% tags=["check"]
assert by_front_door is not ..., "exercise 1 is blank"
assert abs(by_front_door - seen) > 0.05, (
    "that is the difference that is seen: in the inner sum, s' runs over both values for either s"
)
assert abs(by_front_door - float(effect)) < 0.03, (
    f"you have {by_front_door:.3f}, the truth is {float(effect):.3f}: it is a difference of two such sums"
)
print(f"Right: {by_front_door:.3f}, from a table in which the gene never appears.")

# %% [markdown]
# The toolkit does the same, with an interval, once you say that tar carries all of the effect:

# %%
print(pc.estimate("cancer", "smoke", table, mediators=["tar"]))

# %% [markdown]
# ## An instrument
#
# Back to schooling. Card (1995) had an idea. Growing up *near a college* makes it cheaper to go there. If it does nothing else to your
# wage, then it is like a lottery ticket that hands out years of school.

# %%
story = pc.CausalGraph.from_string(
    "near_college -> education -> log_wage; ability [latent] -> education; ability -> log_wage"
)
story

# %%
print(
    "can the effect be computed, whatever the mechanisms?",
    pc.identify(story, "P(log_wage | do(education))").identified,
)
print("instruments:", *instruments(story, "education", "log_wage"))

# %% [markdown]
# So an instrument does *not* identify the effect by the graph alone. It needs one assumption more: that each year adds the same, for
# example. Then the arithmetic is short. Nearness changes education by $a$ years and wages by $b$; all of $b$ came through the years; so a
# year is worth $b / a$.
#
# These are real data: 3,010 men of the US National Longitudinal Survey, in 1976.

# %%
men = card()
by_nearness = men.groupby("near_college")[["education", "log_wage"]].mean()
by_nearness.round(3)

# %% [markdown]
# **Your guess.** Plain regression says that a year adds about 5 % to the wage (0.052 in log wages). If it is ability that inflates this
# number, what will the instrument say: less, or more?

# %%
guess = "less"

# %%
difference = by_nearness.loc[1] - by_nearness.loc[0]
wald = difference.log_wage / difference.education
plain = np.polyfit(men.education, men.log_wage, 1)[0]
print(
    f"plain regression: {plain:.3f};  instrument: {difference.log_wage:.3f} / {difference.education:.3f} = {wald:.3f};  you said: {guess}"
)

# %% [markdown]
# 0.19 instead of 0.05: more, and almost four times as much! Before you believe it: who lives near a college?

# %%
men.groupby("near_college")[["black", "south", "city", "experience"]].mean().round(2)

# %% [markdown]
# Colleges are in cities and not in the South, and wages were higher there. So nearness is no lottery; at best it is one *among people of
# the same background*. The graph, with the background in it:

# %%
background = ["black", "south", "city"]
fuller = pc.CausalGraph.from_string(
    "near_college -> education -> log_wage; ability [latent] -> education; ability -> log_wage; "
    + "; ".join(f"{b} -> near_college; {b} -> education; {b} -> log_wage" for b in background)
)
print(*instruments(fuller, "education", "log_wage"))
fuller

# %% [markdown]
# **Exercise 2.** Two-stage least squares with the background. First regress education on nearness and background, and take the fitted
# values: the part of education that the lottery handed out. Then regress the wage on these and the background. The helper `fit(columns,
# target)` gives coefficients, constant first.


# %%
def fit(columns, target):
    design = np.column_stack([np.ones(len(men)), *columns])
    return np.linalg.lstsq(design, target, rcond=None)[0]


rest = [men[name] for name in background]

# %% tags=["exercise"]
two_stage = ...  # what a year adds

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
if two_stage is ...:
    first = fit([men.near_college, *rest], men.education)
    fitted = np.column_stack([np.ones(len(men)), men.near_college, *rest]) @ first
    two_stage = fit([fitted, *rest], men.log_wage)[1]

# %% tags=["check", "warns"]
iv = pc.estimate("log_wage", "education", men, instruments=["near_college"], adjust=background)
assert two_stage is not ..., "exercise 2 is blank"
assert abs(two_stage - wald) > 1e-3, "that is the number without background: put `rest` into both stages"
assert abs(two_stage - fit([men.education, *rest], men.log_wage)[1]) > 1e-3, (
    "that is plain regression: use the fitted education"
)
assert abs(two_stage - iv.value) < 2e-3, (
    f"you have {two_stage:.3f}, the toolkit {iv.value:.3f}: the same columns in both stages?"
)
print(f"Right: {two_stage:.3f}")

# %%
print(iv)

# %% [markdown]
# With an interval, one sees the price. `first-stage F` says how strongly nearness moves education; below 10 an
# instrument is called *weak*, and the usual intervals are wrong. Ours is just below, and the toolkit warns. The interval here is Anderson
# and Rubin's, which is right in any case, and it is wide.
#
# ## One picture of all the answers

# %%
answers = {
    "plain regression": pc.estimate("log_wage", "education", men, adjust=[], method="partially-linear"),
    "adjusted for background": pc.estimate("log_wage", "education", men, adjust=background),
    "instrument": pc.estimate("log_wage", "education", men, instruments=["near_college"], adjust=[]),
    "instrument, with background": iv,
    "… and experience": pc.estimate(
        "log_wage", "education", men, instruments=["near_college"], adjust=[*background, "experience"]
    ),
}
shown = pd.DataFrame(
    {name: (a.value, *a.interval) for name, a in answers.items()}, index=["effect", "low", "high"]
).T
ax = pc.plots.forest(shown)
_ = ax.set_xlabel("log wage for each year of school (0.1 is about 10 %), with 95 % intervals")

# %% [markdown]
# What to make of it? The instrument's number rests on three claims: nearness moves education (the data show it), nothing confounds it given
# the background, and it acts through education alone (**no data can show these two**). And even if all hold, people differ: then the
# number is about those *whom a college nearby sends to school*, men from poor families perhaps, for whom a year may be worth more than
# for others. Card's own reading is of that kind.
#
# The last row is a trap. Experience was computed as age minus school minus six, so it is an *effect* of education. It is common to
# adjust for it; by tutorial 5 it needs an argument.
#
# **Exercise 3.** A friend proposes another instrument: *the father's income*. Draw the graph in which it is none, though it moves
# education, and nothing causes it. Use the names `income`, `education`, `log_wage` and `ability` (latent).

# %% tags=["exercise"]
friend = ...  # pc.CausalGraph.from_string("…")

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
if friend is ...:
    friend = pc.CausalGraph.from_string(
        "income -> education -> log_wage; income -> log_wage; ability [latent] -> education; ability -> log_wage"
    )

# %% tags=["check"]
assert friend is not ..., "exercise 3 is blank"
assert set(friend.nodes) == {"income", "education", "log_wage", "ability"}, f"the nodes are {friend.nodes}"
assert "ability" in friend.latent, "ability should be latent: write ability [latent]"
assert "income" in friend.parents("education") and not friend.parents("income"), (
    "income moves education, and nothing causes it"
)
assert "income" not in {i.z for i in instruments(friend, "education", "log_wage")}, (
    "here it is an instrument: let it act on wages otherwise"
)
print(
    "Right: rich fathers also know people who hire. Then income moves wages by another way, and the ratio is no effect."
)

# %% [markdown]
# ## What you have learned
#
# - **Front door**: if a mediator carries all of the effect, and nothing hidden touches it, the effect is computed in two pieces.
# - **Instrument**: something like a lottery that moves the treatment. The ratio of what it does to the outcome and to the treatment.
# - The front door is identified by the graph. The instrument needs an assumption on the mechanisms besides.
#
# **Pitfalls.** Weak instruments. Instruments that act by a second way. A front door with a leak: an effect that does not pass through
# tar. Taking an instrument's number for that of everybody.
#
# **Next**: [identification](07_identification.py): what can be known from data at all.
#
# ## Sources
#
# - J. Pearl, *Causality* (2nd edition, 2009), section 3.3.2 (front door; smoking, tar and a genotype are its example). Our numbers are
#   made up.
# - D. Card, "Using geographic variation in college proximity to estimate the return to schooling", in *Aspects of Labour Market
#   Behaviour* (1995), 201-222: the data and the idea. They ship with the Python package `causaldata` (N. Huntington-Klein), with fewer
#   columns than Card had: he also knew parents and region.
# - G. Imbens and J. Angrist, "Identification and estimation of local average treatment effects", Econometrica 62 (1994), 467-475.
# - T. W. Anderson and H. Rubin, "Estimation of the parameters of a single equation in a complete system of stochastic equations",
#   Annals of Mathematical Statistics 20 (1949), 46-63 (the interval).
# - D. Staiger and J. Stock, "Instrumental variables regression with weak instruments", Econometrica 65 (1997), 557-586 (F below 10).
