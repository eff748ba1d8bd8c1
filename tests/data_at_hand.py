"""Tests of real data run where it is at hand. It is the one reason for which a test may be skipped."""

import importlib

import pytest

REASON = "data not at hand"
MODULES = {
    name: importlib.import_module(f"pyrocausal.data.{name}") for name in ("ihdp", "mnist", "morphomnist")
}


def need(data_set: str, *names: str) -> None:
    """Skip the test unless these files (default: all) are in PYROCAUSAL_DATA or in the cache."""
    files = MODULES[data_set].FILES
    for name in names or files.sha256:
        if files.given(name) is None and not files.cached(name).is_file():
            pytest.skip(f"{REASON}: {name} is neither in PYROCAUSAL_DATA nor in the cache; no test downloads")
