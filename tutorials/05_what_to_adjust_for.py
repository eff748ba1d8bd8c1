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
# # 5. What to adjust for
#
# **The question.** You have a table with a treatment, an outcome and five other columns. A colleague says: *put them all into the
# regression, to be safe*. Is that safe?
#
# In this tutorial you run all 32 regressions that one can run with five columns, see which ones are right, and learn to tell from the
# graph without running any. About 20 minutes.

# %%
import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist

import pyrocausal as pc
from pyrocausal.identification import adjustment_set, adjustment_sets, is_adjustment_set, why_no_adjustment

# %% [markdown]
# ## Three small graphs
#
# All of it is made of three pieces. In each, ask: does knowing $x$ tell something about $y$, and does that change when $z$ is known?

# %%
pieces = {"chain": "x -> z -> y", "fork": "x <- z -> y", "collider": "x -> z <- y"}
rows = []
for name, text in pieces.items():
    g = pc.CausalGraph.from_string(text)
    rows.append((name, text, g.is_d_separated("x", "y"), g.is_d_separated("x", "y", "z")))
pd.DataFrame(rows, columns=["piece", "graph", "independent", "independent given z"]).set_index("piece")

# %% [markdown]
# Chain and fork are open, and knowing $z$ blocks them. The collider is the other way round: it is blocked, and **knowing $z$ opens
# it**. That one line is behind most surprises of this tutorial.
#
# ## A surprise: the birth-weight paradox
#
# Among babies of low birth weight, those of *smoking* mothers die less often than those of others. That was found in real birth
# records, and puzzled people for decades. Does smoking protect small babies?


# %%
def births():
    smoking = pyro.sample("smoking", dist.Bernoulli(0.3))
    defect = pyro.sample("defect", dist.Bernoulli(0.05))
    low = pyro.sample("low_weight", dist.Bernoulli(0.03 + 0.12 * smoking + 0.55 * defect))
    pyro.sample("dies", dist.Bernoulli(0.003 + 0.004 * smoking + 0.1 * defect + 0.005 * low))


babies = pc.SCM(births, latent=["defect"])
babies.graph

# %% [markdown]
# In this model smoking *harms* in every baby. **Your guess**: among babies of low weight, who dies more often?

# %%
guess = "babies of smokers"

# %%
for question in ("P(dies=1 | smoking=1, low_weight=1)", "P(dies=1 | smoking=0, low_weight=1)"):
    print(f"{question} = {float(babies.ask(question)):.3f}")
print(f"you said: {guess}\n")
print(babies.ask("E[dies | do(smoking=1)] - E[dies | do(smoking=0)]"))

# %% [markdown]
# Low weight has two causes. If the mother smokes, that explains it. If she does not, the cause is more often a defect, and that is
# deadly. Looking only at small babies opens the path `smoking -> low_weight <- defect -> dies`. It is the sprinkler of tutorial 1
# again.
#
# ## Five columns
#
# Does exercise lower the blood pressure? Beside age there are: weight lost, salt eaten, the distance to the gym, and whether somebody
# has a health app. Two things are not in the table: whether someone is sporty, and whether there is heart trouble in the family.


# %%
def cohort():
    sporty = pyro.sample("sporty", dist.Normal(0.0, 1.0))
    family = pyro.sample("family", dist.Normal(0.0, 1.0))
    age = pyro.sample("age", dist.Normal(50.0, 10.0))
    salt = pyro.sample("salt", dist.Normal(8.0, 2.0))
    distance = pyro.sample("distance", dist.Normal(5.0, 2.0))
    pyro.sample("app", dist.Normal(1.5 * sporty + 1.5 * family, 0.5))
    exercise = pyro.sample("exercise", dist.Normal(8.0 - 0.05 * age - 0.4 * distance + 1.0 * sporty, 1.0))
    weight_lost = pyro.sample("weight_lost", dist.Normal(0.8 * exercise, 1.0))
    mean = 90 + 0.5 * age + 1.5 * salt + 5.0 * family - 1.0 * exercise - 1.25 * weight_lost
    pyro.sample("pressure", dist.Normal(mean, 4.0))


scm = pc.SCM(cohort, latent=["sporty", "family"])
scm.graph

# %% [markdown]
# An hour of exercise a week changes the pressure by $-1 - 0.8 \cdot 1.25 = -2$ mmHg: the half of it directly, the half through weight.
#
# **Your guess.** Which columns should go into the regression, beside exercise?

# %%
columns = ["age", "weight_lost", "salt", "distance", "app"]
guess = ["age", "weight_lost", "salt", "distance", "app"]

# %% [markdown]
# Now all 32 regressions, on the same 1,000 people:

# %%
people = scm.sample(1000, seed=0).to_pandas().drop(columns=["sporty", "family"])


def regression(adjust):
    """The coefficient of exercise, and its standard error, by least squares."""
    design = np.column_stack([np.ones(len(people)), people["exercise"], *(people[name] for name in adjust)])
    coefficients, (residual,), *_ = np.linalg.lstsq(design, people["pressure"], rcond=None)
    variance = residual / (len(people) - design.shape[1]) * np.linalg.inv(design.T @ design)
    return coefficients[1], variance[1, 1] ** 0.5


found = []
for adjust in (s for size in range(6) for s in itertools.combinations(columns, size)):
    effect, error = regression(adjust)
    found.append(
        (
            ", ".join(adjust) or "nothing",
            effect,
            error,
            is_adjustment_set(scm.graph, "exercise", "pressure", adjust),
        )
    )
found = pd.DataFrame(found, columns=["adjusted for", "effect", "error", "valid"]).sort_values(
    "effect", ignore_index=True
)

figure, ax = plt.subplots(figsize=(7.5, 7), layout="constrained")
for valid, color, words in ((True, "C2", "valid by the graph"), (False, "0.6", "not valid")):
    some = found[found.valid == valid]
    ax.errorbar(
        some.effect, some.index, xerr=1.96 * some.error, fmt="o", color=color, markersize=4, label=words
    )
ax.axvline(-2, color="C3", linestyle="--", label="truth")
ax.set_yticks(found.index, found["adjusted for"], fontsize=7)
ax.set(xlabel="effect of an hour of exercise on the pressure (mmHg), with its 95 % interval", ylim=(-1, 32))
ax.spines[["top", "right"]].set_visible(False)
_ = ax.legend(frameon=False, loc="upper left")

# %%
effect, error = regression(guess)
print(f"with your columns: {effect:.2f} ± {1.96 * error:.2f}; the truth is -2")

# %% [markdown]
# The graph sorted 32 regressions into right and wrong ones, without seeing a number. Look at how narrow the wrong intervals are. An
# interval measures how few the data are, and not how wrong the question is.
#
# Column by column:
#
# | column | its place | adjust? |
# |---|---|---|
# | age | `exercise <- age -> pressure`, a fork | must: it is the confounder |
# | weight lost | `exercise -> weight_lost -> pressure`, a chain | must not: it is a part of the effect |
# | app | `exercise <- sporty -> app <- family -> pressure`, a collider | must not: it *opens* a path. The graph has the shape of an M |
# | salt | a cause of the outcome alone | may: it narrows the interval |
# | distance | a cause of the treatment alone | may, but it widens the interval |
#
# A set is valid if it contains nothing that the treatment brings about on the way to the outcome (or what comes of that), and blocks
# every path that starts with an arrow *into* the treatment: the back doors.

# %%
exercise_and_pressure = scm.graph.without_outgoing("exercise")
print("back doors, nothing known: ", exercise_and_pressure.open_paths("exercise", "pressure"))
print("back doors, age known:     ", exercise_and_pressure.open_paths("exercise", "pressure", ["age"]))
print("… age and app known:       ", exercise_and_pressure.open_paths("exercise", "pressure", ["age", "app"]))

# %% [markdown]
# ## Let the graph choose

# %%
print("smallest:", *adjustment_set(scm.graph, "exercise", "pressure", "minimum"))
print(
    "all valid ones:", [sorted(z) for z in adjustment_sets(scm.graph, "exercise", "pressure", minimal=False)]
)
print("all columns?", why_no_adjustment(scm.graph, "exercise", "pressure", columns))

# %% [markdown]
# And the estimate, with its warrant. `pc.estimate` takes the graph, chooses the set, and learns what the regression took for a line:

# %%
print(pc.estimate("pressure", "exercise", people, graph=scm.graph))

# %%
print(scm.ask("E[pressure | do(exercise=5)] - E[pressure | do(exercise=4)]", seed=0))

# %% [markdown]
# **Exercise 1.** In this graph, give one set of variables to adjust for, for the effect of `t` on `y`. `u` is not observed.

# %%
puzzle = pc.CausalGraph.from_string("u [latent] -> t; u -> a; a -> y; t -> m -> y; t -> c <- y; b -> t")
puzzle

# %% tags=["exercise"]
adjust = ...  # a set of names, such as {"b", "m"}

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
if adjust is ...:
    adjust = {"a"}

# %% tags=["check"]
assert adjust is not ..., "exercise 1 is blank"
assert "u" not in adjust, "u is not observed"
reason = why_no_adjustment(puzzle, "t", "y", adjust)
assert not reason, f"not valid: {reason}"
print(
    "Right. All sets that will do:",
    ", ".join(str(set(s)) for s in adjustment_sets(puzzle, "t", "y", minimal=False)),
)

# %% [markdown]
# **Exercise 2.** Find a graph in which adjusting for `z` is wrong *although `z` comes before `x`* and is no effect of anything but hidden
# causes. Use `[latent]` for these.

# %% tags=["exercise"]
trap = ...  # pc.CausalGraph.from_string("…") with x, y, z

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
if trap is ...:
    trap = pc.CausalGraph.from_string("a [latent] -> x; a -> z; b [latent] -> z; b -> y; x -> y")

# %% tags=["check"]
assert trap is not ..., "exercise 2 is blank"
assert {"x", "y", "z"} <= set(trap.nodes), "the graph needs x, y and z"
assert "z" not in trap.descendants("x"), "here z is an effect of x: it does not come before it"
assert is_adjustment_set(trap, "x", "y", ()), "without z it should be right: " + why_no_adjustment(
    trap, "x", "y", ()
)
assert not is_adjustment_set(trap, "x", "y", {"z"}), (
    "adjusting for z does no harm in your graph: z must be a collider"
)
print("Right:", why_no_adjustment(trap, "x", "y", {"z"}))

# %% [markdown]
# **Exercise 3.** Is the birth-weight paradox mended by adjusting for the defect too, if it were recorded? Find an expression for the effect
# of smoking *among small babies without a defect* and compare it with zero. Write the difference of two probabilities as one question.

# %% tags=["exercise"]
among = ...  # a string

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
if among is ...:
    among = "P(dies=1 | smoking=1, low_weight=1, defect=0) - P(dies=1 | smoking=0, low_weight=1, defect=0)"

# %% tags=["check"]
assert among is not ..., "exercise 3 is blank"
assert "defect=0" in among.replace(" ", "") and "low_weight=1" in among.replace(" ", ""), (
    "ask of small babies without a defect"
)
difference = float(pc.SCM(births).ask(among))
assert difference > 0, f"you find {difference:.3f}: the babies of smokers first, the others after the minus"
assert abs(difference - 0.004) < 1e-5, (
    f"you find {difference:.4f}, the direct harm is 0.004: what else do you condition on?"
)
print(
    f"Right: +{difference:.3f}. With the other cause held fixed the collider path is blocked, and smoking harms again."
)

# %% [markdown]
# ## What you have learned
#
# - Three pieces, chain, fork and collider, decide what is open.
# - Adjust for what blocks the back doors. Leave out what the treatment brings about, and colliders that open a path.
# - Of valid sets prefer causes of the outcome: they make the estimate precise.
#
# **Pitfalls.** "Only adjust for what comes before the treatment" is not enough: see the app. "Whatever changes the coefficient is a
# confounder" is wrong: weight lost changes it. Choosing columns by their p-values knows nothing of all this. And the graph is an
# assumption: with an arrow from `family` to `exercise` no set of columns would do.
#
# **Next**: [front door and instruments](06_front_door_and_instruments.py), for when no adjustment helps.
#
# ## Sources
#
# - J. Pearl, *Causality* (2nd edition, 2009), section 3.3 (back door). I. Shpitser, T. VanderWeele, J. Robins, "On the validity of
#   covariate adjustment for estimating causal effects", UAI 2010 (all valid sets).
# - S. Hernández-Díaz, E. Schisterman, M. Hernán, "The birth weight 'paradox' uncovered?", American Journal of Epidemiology 164 (2006),
#   1115-1120. Our numbers are made up; the shape is theirs.
# - S. Greenland, J. Pearl, J. Robins, "Causal diagrams for epidemiologic research", Epidemiology 10 (1999), 37-48 (the M).
# - L. Henckel, E. Perković, M. Maathuis, "Graphical criteria for efficient total effect estimation via adjustment in causal linear
#   models", JRSS B 84 (2022), 579-599 (which valid set is best).
# - C. Cinelli, A. Forney, J. Pearl, "A crash course in good and bad controls", Sociological Methods & Research 53 (2024), 1071-1104.
