"""Morpho-MNIST: digits whose thickness and brightness were set by a known causal model."""

from __future__ import annotations

import io

import pandas as pd
from torch import Tensor

from pyrocausal.data.download import Files
from pyrocausal.data.mnist import read_digits

FILES = Files(
    folder="morphomnist",
    address="https://raw.githubusercontent.com/biomedia-mira/deepscm/master/assets/data/morphomnist/",
    sha256={
        "t10k-images-idx3-ubyte.gz": "8dd5bf8dc2c2315c93c85f1ccf17825855a906ea03b4345c09d6bcad49e4adf4",
        "t10k-labels-idx1-ubyte.gz": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        "t10k-morpho.csv": "426911a6baba7f1009de28f2d76bf86c8a91815ecc9ac0f454ef52dab2f19f43",
    },
)


def morphomnist() -> tuple[Tensor, pd.DataFrame]:
    """MNIST's 10,000 test digits, each redrawn with a drawn thickness and intensity: (images, table).

    Images are uint8 of shape (10000, 28, 28), grey levels from 0 to 255. The table has one row an image:
    label (the digit), thickness t (of the stroke, in pixels) and intensity i (the median grey level of the
    stroke, 64 to 255). The digit stays as it was; t and i are the values drawn, not measured, from

        t = 0.5 + Gamma(10, rate 5),    i = 64 + 191·sigmoid(2t − 5 + 0.5·ε),    ε ~ Normal(0, 1),

    so the noise ε of each image, and with it the true counterfactual of i under any t, is known.

    The files are looked for in `$PYROCAUSAL_DATA/morphomnist`, else downloaded once (2 MB).

    Source: Pawlowski N, Castro DC, Glocker B (2020), *Deep structural causal models for tractable
    counterfactual inference*; repository biomedia-mira/deepscm (MIT). The tools are those of Castro DC et
    al. (2019), *Morpho-MNIST*.
    """
    images, labels = read_digits(FILES, "t10k", 10_000)
    table = pd.read_csv(
        io.BytesIO(FILES.read("t10k-morpho.csv")), index_col="index", float_precision="round_trip"
    )
    table.insert(0, "label", labels.numpy())
    return images, table.rename_axis(None)
