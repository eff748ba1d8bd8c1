# ruff: noqa: E501 (prose)
"""Write README.md of this folder: what was published beside what came out.

    python models/table.py

The numbers come from the JSON files in results/, each written by a full run of one experiment.
"""

from pathlib import Path

from pyrocausal.experiment import table

HERE = Path(__file__).parent
ABOUT = """# Published systems as model files

Each file is one paper: the reference and the equations on top, the generative program, the guide, the experiments.
`python models/cevae.py --help` lists what it runs; `--quick` runs a small version. `--seed`, `--device` and `--out`
are those of every file. `python models/table.py` writes this page from `results/`.

| file | system | experiments |
|---|---|---|
| [cevae.py](cevae.py) | CEVAE (Louizos et al. 2017), and when it fails (Rissanen and Marttinen 2021) | `ihdp`, `linear`, `binary` |

## Published and ours

"""
NOTES = """

## What was not reproduced, and why

- **CEVAE on IHDP.** The paper averages over 1,000 replications, of which ten are at hand; the mean of the errors hangs on a
  few replications with enormous effects, so the median is given. All confounders are observed in IHDP: it says nothing
  of hidden ones, and two linear regressions, without any latent, are nearly as good or better (see the rows above).
- **CEVAE from a bad start.** The wrong answers with an over-wide latent are local optima here; from random starts training
  found the right effect, with one active dimension, on the seeds that were run.
"""


if __name__ == "__main__":
    (HERE / "README.md").write_text(ABOUT + table(HERE / "results") + NOTES)
