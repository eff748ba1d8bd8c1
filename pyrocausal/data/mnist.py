"""MNIST: handwritten digits."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from pyrocausal.data.download import Files
from pyrocausal.data.idx import read_idx
from pyrocausal.errors import DataError

FILES = Files(
    folder="mnist",
    address="https://ossci-datasets.s3.amazonaws.com/mnist/",
    sha256={
        "train-images-idx3-ubyte.gz": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte.gz": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte.gz": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte.gz": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
)
_SPLITS = {"train": ("train", 60_000), "test": ("t10k", 10_000)}


def mnist(split: Literal["train", "test"] = "train") -> tuple[Tensor, Tensor]:
    """Handwritten digits: (images, labels), in the published order.

    Images are uint8 of shape (n, 28, 28), grey levels from 0 (paper) to 255 (ink); labels are int64 of
    shape (n,), the digits 0 to 9. n is 60,000 for `"train"` and 10,000 for `"test"`.

    The files are looked for in `$PYROCAUSAL_DATA/mnist`, else downloaded once (11 MB).

    Source: LeCun Y, Cortes C, Burges CJC, *The MNIST database of handwritten digits* (CC BY-SA 3.0).
    """
    if not isinstance(split, str) or split not in _SPLITS:
        raise DataError(
            f"MNIST has no split {split!r}",
            why="it was published in two parts, 60,000 digits to train on and 10,000 to test on",
            fix='pass "train" or "test", and split those further by rows',
        )
    return read_digits(FILES, *_SPLITS[split])


def read_digits(files: Files, start: str, count: int) -> tuple[Tensor, Tensor]:
    """(images, labels) of the two IDX files whose names begin with `start`."""
    images, labels = f"{start}-images-idx3-ubyte.gz", f"{start}-labels-idx1-ubyte.gz"
    return (
        read_idx(files.read(images), images, (count, 28, 28)),
        read_idx(files.read(labels), labels, (count,)).to(torch.int64),
    )
