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
# # 7. Identification: what data can tell
#
# **The question.** Here are four graphs. In which of them can the effect of $x$ on $y$ be computed from data on what is observed, with
# any number of rows? A double arrow `<->` is a hidden common cause.
#
# In this tutorial you derive an effect step by step, with the three rules of do-calculus, and see a proof that another can never be
# derived. About 20 minutes.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import pyrocausal as pc
from pyrocausal.identification import DiscreteSCM

graphs = {
    "back door": "z -> x -> y; z -> y",
    "bow": "x -> y; x <-> y",
    "front door": "x -> m -> y; x <-> y",
    "half a front door": "x -> m -> y; x <-> y; m <-> y",
}
figure, axes = plt.subplots(2, 2, figsize=(8, 4), layout="constrained")
for ax, (name, text) in zip(axes.flat, graphs.items()):
    pc.plots.graph(pc.CausalGraph.from_string(text), ax=ax)
    ax.set_title(name)

# %% [markdown]
# **Your guess.** Yes or no?

# %%
guess = {"back door": "yes", "bow": "yes", "front door": "no", "half a front door": "no"}

# %%
for name, text in graphs.items():
    estimand = pc.identify(text, "P(y | do(x))")
    print(f"{name} (you said {guess[name]}): {estimand}\n")

# %% [markdown]
# ## Three rules
#
# All of causal inference from a graph can be done with probability and three rules, each of which looks at a graph with some arrows taken
# out. $\overline{X}$: without arrows *into* $x$; $\underline{Z}$: without arrows *out of* $z$.
#
# 1. **Ignore what is seen.** $P(y \mid do(x), z) = P(y \mid do(x))$ if $y \perp z \mid x$ in $G_{\overline{X}}$.
# 2. **Seeing is doing.** $P(y \mid do(x), do(z)) = P(y \mid do(x), z)$ if $y \perp z \mid x$ in $G_{\overline{X}\underline{Z}}$.
# 3. **Ignore what is done.** $P(y \mid do(x), do(z)) = P(y \mid do(x))$ if $y \perp z \mid x$ in $G_{\overline{X}\overline{Z}}$.
#
# (They hold with further conditions $w$ beside $x$; in rule 3, only those $z$ lose their arrows that are no ancestors of $w$.)
#
# Rule 2 is the one that does the work. It says: take away what $z$ *does*; if $y$ and $z$ are then unrelated, all that relates them is what
# $z$ does.
#
# The front door, derived. Read line by line, and follow each rule's reason in the graph above:

# %%
front_door = pc.identify(graphs["front door"], "P(y | do(x))")
for line in front_door.derivation():
    print(f"{line.formula}\n    {line.rule}{': ' + line.why if line.why else ''}")

# %% [markdown]
# In Jupyter an estimand shows as mathematics:

# %%
front_door

# %% [markdown]
# **Exercise 1.** Check one reason yourself. The step $P(m \mid do(x)) = P(m \mid x)$ is by rule 2. Make the graph that rule 2 looks at, and
# ask whether $m$ and $x$ are separated in it. (`graph.without_outgoing(…)`, `graph.without_incoming(…)`, `graph.is_d_separated(a, b)`.)

# %%
g = pc.CausalGraph.from_string(graphs["front door"])

# %% tags=["exercise"]
looked_at = ...  # a graph, made from g

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
if looked_at is ...:
    looked_at = g.without_outgoing("x")

# %% tags=["check"]
assert looked_at is not ..., "exercise 1 is blank"
assert looked_at != g, "that is the whole graph: in it x and m are related, because x does something"
assert ("x", "m") not in looked_at.edges, "rule 2 takes away what x does: the arrows out of x"
assert looked_at.bidirected, "the hidden cause is still there: only arrows out of x go"
assert looked_at.is_d_separated("m", "x"), (
    "x and m are still related in your graph: take away the arrows out of x, no others added"
)
print("Right. What is left between x and m is x <-> y <- m: blocked, since y is a collider.")

# %% [markdown]
# ## Is the formula right?
#
# A formula can be tested. Take a random model over the graph, with its hidden cause. Compute the effect from the model, where one can act;
# then from its table of *observed* probabilities alone, by the formula.

# %%
comparison = []
for seed in range(5):
    model = DiscreteSCM.random(g, np.random.default_rng(seed))
    by_acting = model.do(x=1).groupby("y").sum()[1]
    by_formula = front_door.evaluate(model.joint(), {"x": 1, "y": 1})
    seen = model.joint().xs(1, level="x").groupby("y").sum()
    comparison.append((by_acting, by_formula, seen[1] / seen.sum()))
pd.DataFrame(comparison, columns=["by acting", "by the formula", "P(y | x), for comparison"]).round(4)

# %% [markdown]
# The first two columns agree in every model. The third does not.
#
# ## When no data can tell
#
# What does it mean that the bow is *not* identified? It is no lack of cleverness. There are two worlds with this graph that agree in
# everything that can be observed, and in which the action has different effects:

# %%
bow = pc.identify(graphs["bow"], "P(y | do(x))")
one, two = bow.counterexample(seed=0)
pd.DataFrame({"P(x, y) in world one": one.joint(), "in world two": two.joint()}).round(4)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.2), layout="constrained", sharey=True)
cells = [f"x={x}, y={y}" for x, y in one.joint().index]
effect = {world: [float(scm.do(x=x)[1]) for x in (0, 1)] for world, scm in (("one", one), ("two", two))}
for shift, (world, scm), color in zip((-0.2, 0.2), (("one", one), ("two", two)), ("C0", "C1")):
    left.bar(np.arange(4) + shift, scm.joint(), width=0.38, color=color, label=f"world {world}")
    right.bar(np.arange(2) + shift, effect[world], width=0.38, color=color)
left.set_xticks(range(4), cells, fontsize=8)
right.set_xticks([0, 1], ["P(y=1 | do(x=0))", "P(y=1 | do(x=1))"], fontsize=8)
left.set_title("what can be seen", loc="left")
right.set_title("what an action does", loc="left")
for ax in (left, right):
    ax.spines[["top", "right"]].set_visible(False)
_ = left.legend(frameon=False)

# %% [markdown]
# Left, no difference, to the last digit: no test, no sample size, no neural network will ever find out in which world you live. Right, the
# treatment does opposite things. This is why pyrocausal prints a certificate under every number.

# %%
print("they differ in what is seen by at most", f"{abs(one.joint() - two.joint()).max():.1e}")
for x in (0, 1):
    print(
        f"P(y=1 | do(x={x})): {float(one.do(x=x)[1]):.2f} in world one, {float(two.do(x=x)[1]):.2f} in world two"
    )

# %% [markdown]
# **Exercise 2.** Mend the bow. Add *one observed variable* `z` to the graph `x -> y; x <-> y`, keeping both of its edges' meaning: $x$ still
# acts on $y$ (perhaps through `z`), and the hidden cause of $x$ and $y$ stays. The effect must become identified. There is more than one way:
# think of where on the way `z` could stand.

# %% tags=["exercise"]
mended = ...  # a graph as text

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
if mended is ...:
    mended = "x -> z -> y; x <-> y"

# %% tags=["check"]
assert mended is not ..., "exercise 2 is blank"
graph = pc.CausalGraph.from_string(mended)
assert set(graph.nodes) == {"x", "y", "z"}, f"the variables are {graph.nodes}, and should be x, y and z"
assert "y" in graph.descendants("x"), "x should act on y, directly or through z"
assert ("x", "y") in graph.bidirected, "the hidden common cause should stay: x <-> y"
found = pc.identify(mended, "P(y | do(x))")
assert found.identified, str(found)
print("Right:", found)

# %% [markdown]
# ## Formulas nobody would guess
#
# Some effects are identified by none of the named criteria. In the *napkin*, `w` and `z` come before `x`, adjusting for either or both is
# wrong, and there is no mediator. The ID algorithm finds:

# %%
napkin = pc.identify("w -> z -> x -> y; w <-> x; w <-> y", "P(y | do(x))")
print(napkin)
napkin.graph

# %% [markdown]
# ## Experiments as data
#
# Sometimes an experiment on $x$ can't be had, but one on another variable was done: `experiments=["z"]` says that its results are known
# too. In `z -> x -> y; x <-> y; z <-> y` the effect of $x$ is not identified from observation.
#
# **Your guess**: does an experiment on `z` help?

# %%
guess = "yes"

# %%
hard = "z -> x -> y; x <-> y; z <-> y"
print("from observation:        ", pc.identify(hard, "P(y | do(x))"))
print("and an experiment on z:  ", pc.identify(hard, "P(y | do(x))", experiments=["z"]))
print("and an experiment on x:  ", pc.identify(hard, "P(y | do(x))", experiments=["x"]))
print("you said:", guess)

# %% [markdown]
# A randomised `z` is an instrument, and tutorial 6 said that an instrument alone does not identify. So the answer is no.
#
# **Exercise 3.** Here an experiment on something *else* does help. In the graph below, the effect of $x$ on $y$ is not identified from
# observation. Which single variable (not $x$) should be randomised?

# %%
lab = "z -> x -> y; z <-> x; z <-> y"
print(pc.identify(lab, "P(y | do(x))"))
pc.CausalGraph.from_string(lab)

# %% tags=["exercise"]
randomise = ...  # a name

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
if randomise is ...:
    randomise = "z"

# %% tags=["check"]
assert randomise is not ..., "exercise 3 is blank"
assert randomise != "x", "that would be the experiment that we wish to do without"
assert randomise in ("y", "z"), "the variables are x, y and z"
with_it = pc.identify(lab, "P(y | do(x))", experiments=[randomise])
assert with_it.identified, f"an experiment on {randomise} does not help: {with_it}"
print("Right:", with_it)

# %% [markdown]
# ## From the formula to a number
#
# An identified estimand and a table give an estimate. With a graph, `scm.ask` and `pc.estimate` do this by themselves, and refuse or say so
# where there is none:

# %%
rows = DiscreteSCM.random(g, np.random.default_rng(7)).joint().rename("p").reset_index()
table = rows.sample(4000, replace=True, weights="p", random_state=0)[["x", "m", "y"]].reset_index(drop=True)
print(pc.estimate("y", "x", table, mediators=["m"]))
try:
    pc.estimate("y", "x", table[["x", "y"]], graph=graphs["bow"])
except pc.PyrocausalError as error:
    print("\nthe bow:", error)

# %% [markdown]
# ## What you have learned
#
# - An effect is **identified** if every two worlds that agree on what is observed agree on it. Then there is a formula.
# - Do-calculus derives it: ignore what is seen, exchange doing for seeing, ignore what is done.
# - If it is not identified, there is a pair of worlds to show for it. More rows do not help; other *variables* or experiments do.
#
# **Pitfalls.** Identified is not estimated: a formula may ask for combinations that hardly occur. The answer is about the *graph*: leave out
# a `<->`, and everything is identified, and wrong. And "not identified" is no end: bounds, an assumption on the mechanisms (an instrument with
# equal effects), or an experiment can still give an answer.
#
# **Next**: [a real question, from graph to effect](08_a_real_question.py).
#
# ## Sources
#
# - J. Pearl, "Causal diagrams for empirical research", Biometrika 82 (1995), 669-688; *Causality* (2nd edition, 2009), theorem 3.4.1 (the
#   rules) and section 3.4.3 (the front door derived).
# - I. Shpitser and J. Pearl, "Identification of joint interventional distributions in recursive semi-Markovian causal models", AAAI 2006
#   (the algorithm, and that it is complete).
# - J. Pearl and D. Mackenzie, *The Book of Why* (2018), chapter 7 (the napkin).
# - S. Lee, J. Correa, E. Bareinboim, "General identifiability with arbitrary surrogate experiments", UAI 2019.
