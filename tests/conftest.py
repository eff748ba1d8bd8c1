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
from .data_at_hand import REASON

torch.set_num_threads(1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
    """A test that is skipped for any other reason than missing data has failed."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and REASON not in str(report.longrepr):
        report.outcome, report.longrepr = "failed", f"skipped without a listed reason: {report.longrepr}"
    return report


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
