"""NHEFS: who quit smoking between 1971 and 1982, and how their weight changed."""

from __future__ import annotations

import pandas as pd

#: Our name for each variable, its column in the data set, and its levels' names (codes 0, 1, … or as given).
_COLUMNS: dict[str, tuple[str, dict[int, str] | None]] = {
    "sex": ("sex", {0: "male", 1: "female"}),
    "race": ("race", {0: "white", 1: "other"}),
    "age": ("age", None),
    "education": (
        "education",
        {
            1: "8th grade or less",
            2: "high school dropout",
            3: "high school",
            4: "college dropout",
            5: "college",
        },
    ),
    "smoking_years": ("smokeyrs", None),
    "smoking_intensity": ("smokeintensity", None),
    "exercise": ("exercise", {0: "much", 1: "moderate", 2: "little"}),
    "activity": ("active", {0: "very active", 1: "moderately active", 2: "inactive"}),
    "weight_1971": ("wt71", None),
    "quit": ("qsmk", None),
    "weight_change": ("wt82_71", None),
}


def nhefs() -> pd.DataFrame:
    """The 1,566 complete cases of the NHANES I Epidemiologic Follow-up Study, as Hernán and Robins use them.

    Columns: age in 1971 (years), sex, race, education, smoking_intensity (cigarettes a day), smoking_years,
    exercise, activity, weight_1971 (kg), quit (1: stopped smoking between the visits), weight_change (kg,
    1971 to 1982). The data ship inside the `causaldata` package.

    Source: Hernán MA, Robins JM, *Causal Inference: What If*, chapters 12 to 14.

    >>> from pyrocausal.data import nhefs
    >>> df = nhefs()
    >>> difference = df.weight_change[df.quit == 1].mean() - df.weight_change[df.quit == 0].mean()
    >>> len(df), round(float(difference), 2)
    (1566, 2.54)
    """
    from causaldata import nhefs_complete

    raw = nhefs_complete.load_pandas().data
    return pd.DataFrame({name: _column(raw[source], levels) for name, (source, levels) in _COLUMNS.items()})


def _column(raw: pd.Series, levels: dict[int, str] | None) -> pd.Series:
    if levels is not None:
        codes = raw.astype(int).map(levels)
        return codes.astype(pd.CategoricalDtype(list(levels.values())))
    numbers = raw.astype(float)
    return numbers.astype(int) if (numbers == numbers.round()).all() else numbers
