"""Two classics of evaluation: a training programme with its experiment, and schooling with an instrument."""

from __future__ import annotations

import pandas as pd

_NAMES = {
    "treat": "trained",
    "educ": "education",
    "hisp": "hispanic",
    "marr": "married",
    "nodegree": "no_degree",
    "re74": "earnings_1974",
    "re75": "earnings_1975",
    "re78": "earnings_1978",
}
_SCHOOL = {
    "nearc4": "near_college",
    "educ": "education",
    "smsa": "city",
    "exper": "experience",
    "lwage": "log_wage",
}


def nsw() -> pd.DataFrame:
    """The National Supported Work demonstration: 185 men trained, 260 not, by lot.

    Columns: trained (1 or 0), age, education (years), black, hispanic, married, no_degree (1 or 0), and
    earnings in 1974, 1975 and 1978 (dollars; the last is the outcome). The effect in the experiment is the
    difference in means, 1,794 dollars. The data ship inside the `causaldata` package.

    Source: LaLonde RJ (1986), *Evaluating the econometric evaluations of training programs with experimental
    data*; the subset of Dehejia RH, Wahba S (1999), *Causal effects in nonexperimental studies*.

    >>> from pyrocausal.data import nsw
    >>> df = nsw()
    >>> len(df), round(df.groupby("trained").earnings_1978.mean().diff().iloc[-1])
    (445, 1794)
    """
    from causaldata import nsw_mixtape

    return _people(nsw_mixtape.load_pandas().data)


def cps() -> pd.DataFrame:
    """15,992 men of the Current Population Survey, none of them trained: controls that are no experiment's.

    The columns are those of `nsw`, so ``pd.concat([nsw().query("trained == 1"), cps()])`` is LaLonde's
    observational study. The data ship inside the `causaldata` package.

    >>> from pyrocausal.data import cps
    >>> len(cps())
    15992
    """
    from causaldata import cps_mixtape

    return _people(cps_mixtape.load_pandas().data)


def card() -> pd.DataFrame:
    """Schooling and wages of 3,010 men in 1976; growing up near a college is the instrument.

    Columns: log_wage (the outcome), education (years; the treatment), near_college (1: grew up near a
    four-year college), experience (years), black, south, city (1 or 0). The marital status, which a few lack,
    is left out. The data ship inside the `causaldata` package.

    Source: Card D (1995), *Using geographic variation in college proximity to estimate the return to
    schooling*.

    >>> from pyrocausal.data import card
    >>> df = card()
    >>> len(df), round(float(df.near_college.mean()), 2)
    (3010, 0.68)
    """
    from causaldata import close_college

    raw = close_college.load_pandas().data
    return _plain(raw.drop(columns="married").rename(columns=_SCHOOL))


def _people(raw: pd.DataFrame) -> pd.DataFrame:
    return _plain(raw.drop(columns="data_id").rename(columns=_NAMES))


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype({name: float if dtype.kind == "f" else int for name, dtype in frame.dtypes.items()})
