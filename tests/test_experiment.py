"""Experiments: options, records, claims and the table; bad input gets an error before anything is run."""

import json

import numpy as np
import pytest
import torch

from pyrocausal.experiment import ExperimentError, Experiments, Run, table

experiments = Experiments("toy", "A toy.\n\n100 % of it.", source="nobody")


@experiments
def coin(run, *, throws: int = 10, fair: bool = True, seeds: list = (0, 1)):
    """Throw 100 % of the coins."""
    run.claim("heads | tails", throws / 2, above=1.0, below=100.0, published="half")
    run.claim("off", 3.0, near=(2.5, 0.1))
    return {
        "array": np.arange(3),
        "tensor": torch.ones(2),
        "bad": float("nan"),
        "fair": fair,
        "n": np.int64(7),
    }


def main(folder, *arguments):
    return experiments.main(["coin", "--out", str(folder), *arguments])


def test_a_record_holds_options_claims_and_details(tmp_path):
    record = main(tmp_path, "--throws", "30", "--no-fair", "--seeds", "4", "5", "--seed", "3")
    written = json.loads((tmp_path / "toy-coin.json").read_text())
    assert written["options"] == {"throws": 30, "fair": False, "seeds": [4, 5], "seed": 3, "device": "cpu",
                                  "quick": False}  # fmt: skip
    assert [claim["holds"] for claim in written["claims"]] == [True, False]
    assert written["details"] == {
        "array": [0, 1, 2],
        "tensor": [1.0, 1.0],
        "bad": None,
        "fair": False,
        "n": 7,
    }
    assert record["claims"][0]["bar"] == "< 100 and > 1"


def test_quick_records_are_no_results(tmp_path):
    main(tmp_path, "--quick")
    with pytest.raises(ExperimentError, match="no results"):
        table(tmp_path)
    main(tmp_path)
    lines = table(tmp_path).splitlines()
    assert lines[2] == r"| toy | coin | heads \| tails | half | 5 | < 100 and > 1 | yes |"
    assert lines[3].endswith("| 3 | 2.5 ± 0.1 | **no** |")


@pytest.mark.parametrize("arguments", [["--help"], ["coin", "--help"]])
def test_help(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        experiments.main(arguments)
    assert stopped.value.code == 0 and "100 %" in capsys.readouterr().out


def test_what_can_not_be_run(tmp_path):
    with pytest.raises(ExperimentError, match=r"no experiment 'coins'.*did you mean 'coin'"):
        experiments.run("coins")
    with pytest.raises(ExperimentError, match=r"no option 'throw'.*did you mean 'throws'"):
        experiments.run("coin", throw=3)
    (tmp_path / "file").write_text("")
    with pytest.raises(ExperimentError, match="can't be written"):
        experiments.run("coin", run=Run("toy-coin", out=tmp_path / "file"))
    with pytest.raises(SystemExit, match="toy coin: results can't be written"):
        main(tmp_path / "file")
    with pytest.raises(ExperimentError, match="claim one number"):
        Run("toy").claim("x", "much")
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(ExperimentError, match="no record of an experiment"):
        table(tmp_path)


def test_options_that_can_not_be():
    def fails(run, *, seed: int = 0): ...
    def lacks(run, *, rows: int): ...

    for function in (fails, lacks):
        with pytest.raises(ExperimentError, match=r"the option '(seed|rows)' can't be"):
            experiments(function)
