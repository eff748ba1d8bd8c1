"""How good counterfactual images are where the true ones are not known.

The axioms of counterfactuals (Galles and Pearl 1998), measured: composition, effectiveness and reversibility.
M. Monteiro, F. De Sousa Ribeiro, N. Pawlowski, D. C. Castro, B. Glocker: Measuring axiomatic soundness of
counterfactual image models, ICLR 2023. None of them alone says much: a model that returns the image it was
given composes and reverses without a fault, and has no effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from pyrocausal.errors import DataError
from pyrocausal.samples import Noise
from pyrocausal.table import whole

Measure = Callable[[Tensor], Tensor]


def composition(
    scm: Any,
    evidence: Mapping[str, Tensor],
    *,
    image: str = "image",
    rounds: int = 1,
    drop: Iterable[str] = (),
    seed: int | None = None,
    **abduction: Any,
) -> Tensor:
    """How far the image is from itself after abduction and prediction without an action, `(units,)`.

    Args:
        scm: the model.
        evidence: all that is observed, by variable.
        image: the variable that is compared, by the mean absolute difference of its numbers.
        rounds: each abducts what the last one predicted.
        drop: variables whose noise is set to 0 in each round; with the image itself, what a decoder alone
            gives back. (With all noise kept, an invertible mechanism composes exactly.)
        seed, abduction: of `SCM.abduct`.

    >>> import pyro, pyro.distributions as dist, pyrocausal as pc
    >>> from pyrocausal.image_metrics import composition
    >>> def program():
    ...     t = pyro.sample("t", dist.Normal(0.0, 1.0))
    ...     pyro.sample("image", dist.Normal(t * torch.ones(2, 2), 1.0).to_event(2))
    >>> seen = {"t": torch.tensor([1.0]), "image": torch.ones(1, 2, 2) + 0.5}
    >>> composition(pc.SCM(program), seen), composition(pc.SCM(program), seen, drop=["image"])
    (tensor([0.]), tensor([0.5000]))
    """
    rounds, before = whole(rounds, "rounds", least=1), _tensors(evidence, image)
    now = dict(before)
    for _ in range(rounds):
        now |= {image: _predicted(scm, scm, now, image, drop, seed, abduction)}
    return _distance(now[image], before[image])


def reversibility(
    scm: Any,
    evidence: Mapping[str, Tensor],
    *,
    do: Mapping[str, Any],
    image: str = "image",
    seed: int | None = None,
    **abduction: Any,
) -> Tensor:
    """How far the image is from itself after `do` and back, the noise abducted anew in between, `(units,)`.

    Args: see `composition`; `do` are actions on variables that the evidence has.
    """
    _need(evidence, do)
    evidence = _tensors(evidence, image)
    worlds = scm.do(do).predict(_noise(scm, evidence, seed, abduction))
    there = {name: _first(worlds, name) for name in evidence}
    back = {name: evidence[name] for name in do}
    return _distance(_predicted(scm, scm.do(back), there, image, (), seed, abduction), evidence[image])


def effectiveness(
    images: Tensor,
    measures: Mapping[str, Measure],
    due: Mapping[str, float | Tensor],
    *,
    draws: bool = False,
) -> pd.Series:
    """Mean absolute differences between what is measured on images and what it should be.

    Args:
        images: `(units, *event)`, or `(draws, units, *event)` if `draws`.
        measures: by variable, a function of images `(n, *event)` that gives a tensor `(n,)`.
        due: by variable, the value that the world gives it, or one for each unit, `(units,)`.

    Raises:
        DataError: a variable without a measure, or a measure or values of another shape.
    """
    _need(measures, due)
    flat, units = (images.flatten(0, 1), images.shape[1]) if draws else (images, len(images))
    found = {}
    for name, value in due.items():
        told, measured = torch.as_tensor(value), torch.as_tensor(measures[name](flat))
        for what, x, shapes in (
            ("the measure gives", measured, [(len(flat),)]),
            ("the values due are", told, [(), (units,)]),
        ):
            if tuple(x.shape) not in shapes:
                raise DataError(
                    f"effectiveness of '{name}': {what} of shape {tuple(x.shape)}",
                    why=f"there are {units} units{f', in {len(images)} draws' if draws else ''}",
                    fix=f"give {' or '.join(map(str, shapes))}; draws=True if images have draws in front",
                )
        each = told.expand(units).repeat(len(flat) // units)
        found[name] = (measured.double() - each.double()).abs().mean().item()
    return pd.Series(found, name="mean absolute error", dtype=float)


def _noise(scm: Any, evidence: Mapping[str, Tensor], seed: int | None, abduction: Mapping[str, Any]) -> Noise:
    options = {"num_samples": 1, **abduction} if scm.graph.latent else dict(abduction)
    return scm.abduct(evidence, seed=seed, **options)


def _predicted(
    scm: Any,
    submodel: Any,
    evidence: Mapping[str, Tensor],
    image: str,
    drop: Iterable[str],
    seed: int | None,
    abduction: Mapping[str, Any],
) -> Tensor:
    noise = _noise(scm, evidence, seed, abduction)
    names = (drop,) if isinstance(drop, str) else tuple(drop)
    _need(noise, dict.fromkeys(names))
    without = noise.replaced({name: torch.zeros_like(noise[name]) for name in names})
    return _first(submodel.predict(without), image)


def _tensors(evidence: Mapping[str, Any], image: str) -> dict[str, Tensor]:
    _need(evidence, {image: None})
    return {name: torch.as_tensor(x) for name, x in evidence.items()}


def _first(worlds: Any, name: str) -> Tensor:
    return worlds[name][0] if worlds.has_draws else worlds[name]


def _distance(one: Tensor, other: Tensor) -> Tensor:
    return (one - other).abs().reshape(len(one), -1).mean(-1)


def _need(known: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    for name in asked:
        if name not in known:
            raise DataError(f"there is no '{name}' to compare with", why=f"there is {', '.join(known)}")
