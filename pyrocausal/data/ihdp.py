"""IHDP: real infants and covariates, simulated outcomes, so that each child's true effect is known."""

from __future__ import annotations

import io
from numbers import Integral

import pandas as pd

from pyrocausal.data.download import Files
from pyrocausal.errors import DataError

FILES = Files(
    folder="ihdp",
    address="https://raw.githubusercontent.com/AMLab-Amsterdam/CEVAE/master/datasets/IHDP/csv/",
    sha256={
        "ihdp_npci_1.csv": "2bdc8b94fdf2f669b1d3d49325fd9359d88418566545003867841312a1653411",
        "ihdp_npci_2.csv": "36db2f3d002250bc95e5214477718c939fbe7dfe8df573c4050d8b246d314042",
        "ihdp_npci_3.csv": "bd792ce0642468195b2c3f0cd4c521378d7d52d044f153e844d151a87e067518",
        "ihdp_npci_4.csv": "ac04602a2f052af1211347bcaff87f7bab356a4a7f42f8c6a81edede51549006",
        "ihdp_npci_5.csv": "8f9b3ef4b66e8f9dd240c9851233f4fb483c73c25b6d23c6459c666edb9cd691",
        "ihdp_npci_6.csv": "e05192794201c8a8fe1e4a88f12d3367d3d6b568eadb46365557661bff00712e",
        "ihdp_npci_7.csv": "246684bfc9e1258e5bdc59c3d1c13c0694a331d1f13026ff79f6c4605e6d3678",
        "ihdp_npci_8.csv": "6e88b890ee4ed6274b8ea4285500dd0865ab71e17010ee505f7e2a2d507c4511",
        "ihdp_npci_9.csv": "fe959d86a37be9278ef195fbf139b2b8af1b8246b3518208cd00b295d906a98f",
        "ihdp_npci_10.csv": "b9bce7e081f245b7689a3c2b5e4ed37162dca8cd596e0998b73ddc0ac92a4919",
    },
)
_BINARY = [f"x{k}" for k in range(7, 26)]
_COLUMNS = ["t", "y", "y_cf", "mu0", "mu1", *(f"x{k}" for k in range(1, 7)), *_BINARY]


def ihdp(replication: int = 1) -> pd.DataFrame:
    """One of ten simulations of outcomes for the 747 children of the Infant Health and Development Program.

    The children and covariates are real: a trial of home visits and day care for premature infants of low
    birth weight, made observational by leaving out a non-random part of the treated (139 are left). The
    outcomes are drawn, anew in each replication, and all that confounds them is among the covariates.

    Columns: t (1: treated), y (the outcome, in no real unit; its noise has standard deviation 1), y_cf (the
    outcome drawn for the other treatment), mu0 and mu1 (the true means of the outcome without and with
    treatment, so the true effect on child i is mu1 − mu0), x1 to x6 (numbers, standardised), and x7 to x25
    (0 or 1; the file codes x14 as 1 and 2, which is brought to 0 and 1, as published code does).

    Among the treated the mean true effect is 4 in each replication. Its spread over children differs much
    between replications (standard deviation 0.3 to 27), so report results for each, not just their mean.

    The file is looked for in `$PYROCAUSAL_DATA/ihdp`, else downloaded once (0.2 MB).

    Source: Hill JL (2011), *Bayesian nonparametric modeling for causal inference*; setting A of the NPCI
    package, in the files of Louizos C et al. (2017), *Causal effect inference with deep latent-variable
    models*, repository AMLab-Amsterdam/CEVAE.

    Args:
        replication: which simulation, 1 to 10.
    """
    if not isinstance(replication, Integral) or isinstance(replication, bool) or not 1 <= replication <= 10:
        raise DataError(
            f"IHDP has no replication {replication!r}",
            why="there are ten, numbered from 1",
            fix="pass a whole number from 1 to 10",
        )
    content = io.BytesIO(FILES.read(f"ihdp_npci_{replication}.csv"))
    table = pd.read_csv(content, header=None, names=_COLUMNS, float_precision="round_trip")
    table["x14"] -= 1
    return table.astype(dict.fromkeys(["t", *_BINARY], "int64"))
