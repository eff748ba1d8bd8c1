"""Fixtures shared by all tests; one thread a process, since several processes share the cores."""

import logging
import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported
os.environ["MPLBACKEND"] = "Agg"

from collections.abc import Iterator

import pytest
import torch

import pyrocausal as pc

from . import scenarios

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _log_level() -> Iterator[None]:
    """A page of the docs shows how to silence the logger; no test may leave it so."""
    logger = logging.getLogger("pyrocausal")
    level = logger.level
    yield
    logger.setLevel(level)


@pytest.fixture
def confounded() -> pc.SCM:
    """z -> x, z -> y, x -> y, linear-Gaussian: y = 2x + z + u/2."""
    return pc.SCM(scenarios.confounded)


@pytest.fixture
def chain() -> pc.SCM:
    """x -> m -> y and x -> y: m = x/2 + u, y = x + 2m + u."""
    return pc.SCM(scenarios.chain)


@pytest.fixture
def bernoulli() -> pc.SCM:
    return pc.SCM(scenarios.bernoulli)


@pytest.fixture
def double_precision() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
