"""Single units: what each was, and what it would have been; images too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pyrocausal.errors import DataError
from pyrocausal.plots.canvas import COLOURS, INK, bare, canvas, legend, numbers
from pyrocausal.samples import Counterfactual, Samples

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UP, DOWN = COLOURS[1], COLOURS[0]
MARKERS = "osD^vP"


def worlds(
    cf: Counterfactual, variable: str, *, most: int = 40, level: float = 0.9, ax: Axes | None = None
) -> Axes:
    """Each unit's way from what it was to what it would have been, sorted by what it was.

    Where abduction has draws, the arrow ends at their mean, and a thin line covers the middle of them.

    Args:
        cf: one world or several.
        variable: which is shown.
        most: of more units, as many are shown, evenly by rank.
        level: the share of draws that the thin line covers.

    >>> import pyro, pyro.distributions as dist, pyrocausal as pc
    >>> def program():
    ...     x = pyro.sample("x", dist.Normal(0.0, 1.0))
    ...     pyro.sample("y", dist.Normal(2 * x, 1.0))
    >>> scm = pc.SCM(program)
    >>> cf = scm.counterfactual(scm.sample(12, seed=0), do={"x": 1.0})
    >>> pc.plots.worlds(cf, "y").get_xlabel()
    'y'
    """
    was = numbers(cf.factual.mean(variable), f"worlds: '{variable}'")
    order = np.argsort(was, kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, min(most, len(order))).round().astype(int)]
    rows = np.arange(len(chosen))
    with canvas(ax, height=1.1 + 0.2 * len(chosen)) as ax:
        ends = {name: numbers(world.mean(variable), variable)[chosen] for name, world in cf.worlds.items()}
        if len(ends) == 1:
            ((_, end),) = ends.items()
            _arrows(ax, was[chosen], end, rows)
            _spread(ax, next(iter(cf.worlds.values())), variable, chosen, rows, INK, level)
        else:
            _dots(ax, cf, variable, chosen, ends, rows, level)
        ring = {"markerfacecolor": "none", "markersize": 8} if len(ends) > 1 else {"markersize": 4}
        ax.plot(was[chosen], rows, "o", color=INK, label="as it was", zorder=3, **ring)
        ax.set_ylim(-0.8, len(rows) - 0.2)
        ax.set_xlabel(variable)
        _name_units(ax, cf, chosen, rows, len(was))
        bare(ax, "left")
        legend(ax)
    return ax


def _arrows(ax: Any, start: np.ndarray, end: np.ndarray, rows: np.ndarray) -> None:
    for colour, moved, label in ((UP, end > start, "would have been more"), (DOWN, end < start, "less")):
        if not moved.any():
            continue
        ax.plot([], [], color=colour, marker=">" if colour == UP else "<", markersize=5, label=label)
        for a, b, row in zip(start[moved], end[moved], rows[moved]):
            style = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.5, "shrinkA": 2, "shrinkB": 0}
            ax.annotate("", (b, row), (a, row), arrowprops=style)
    ax.plot(end, rows, linestyle="none")  # annotations do not widen the axes
    ax.margins(x=0.05)


def _dots(
    ax: Any,
    cf: Counterfactual,
    variable: str,
    chosen: np.ndarray,
    ends: Mapping[str, np.ndarray],
    rows: np.ndarray,
    level: float,
) -> None:
    every = np.stack([numbers(cf.factual.mean(variable), variable)[chosen], *ends.values()])
    ax.hlines(rows, every.min(0), every.max(0), color=INK, linewidth=0.7, alpha=0.6)
    for i, (name, end) in enumerate(ends.items()):
        colour = COLOURS[i % len(COLOURS)]
        marker = MARKERS[i % len(MARKERS)]
        ax.plot(end, rows, marker, color=colour, markersize=5.5, linestyle="none", label=name)
        _spread(ax, cf.worlds[name], variable, chosen, rows, colour, level)


def _spread(
    ax: Any, world: Samples, variable: str, chosen: np.ndarray, rows: np.ndarray, colour: str, level: float
) -> None:
    if not world.has_draws:
        return
    value = world[variable][:, torch.as_tensor(chosen)].double()
    weights = None if world.weights is None else world.weights[:, torch.as_tensor(chosen)].double()
    low, high = (quantile(value, weights, share) for share in ((1 - level) / 2, (1 + level) / 2))
    ax.hlines(rows, low, high, color=colour, linewidth=0.9, alpha=0.8)


def quantile(draws: Tensor, weights: Tensor | None, share: float) -> np.ndarray:
    """The smallest draw of each unit below or at which lies this share, `(units,)`."""
    ordered, order = draws.sort(0)
    mass = torch.full_like(ordered, 1 / len(draws)) if weights is None else weights.gather(0, order)
    place = (mass.cumsum(0) < share - 1e-9).sum(0).clamp(max=len(draws) - 1)
    return ordered.gather(0, place[None])[0].cpu().numpy()


def _name_units(ax: Any, cf: Counterfactual, chosen: np.ndarray, rows: np.ndarray, units: int) -> None:
    if len(chosen) <= 25:
        ax.set_yticks(rows, [str(cf._index()[i]) for i in chosen])
        ax.tick_params(axis="y", length=0, labelsize="small")
    else:
        ax.set_yticks([])
    part = f"{len(chosen)} of {units:,} units" if len(chosen) < units else "units"
    ax.set_ylabel(f"{part}, sorted")


def images(
    pictures: Counterfactual | Mapping[str, Tensor],
    variable: str | None = None,
    *,
    shape: Sequence[int] | None = None,
    most: int = 6,
    ax: Axes | None = None,
) -> Axes:
    """A row a unit: its image as it is, in each other world, and the difference.

    Of the difference, orange is brighter and blue darker.

    Args:
        pictures: a `Counterfactual`; or images by name, `(units, height, width)` or `(units, channels,
            height, width)` with one or three channels, the first being what others are compared with.
        variable: the image's name in the counterfactual.
        shape: of one image, where it is stored flat.
        most: how many units.

    >>> import torch
    >>> seen = torch.zeros(3, 8, 8)
    >>> ax = images({"seen": seen, "do(bright)": seen + 0.5})
    >>> [text.get_text() for text in ax.texts]
    ['seen', 'do(bright)', 'difference']
    """
    if isinstance(pictures, Counterfactual):
        if variable is None:
            raise DataError("images: which variable?", fix='name it: images(cf, "image")')
        worlds = {name or "counterfactual": w.mean(variable) for name, w in pictures.worlds.items()}
        pictures = {"factual": pictures.factual.mean(variable), **worlds}
    if not isinstance(pictures, Mapping) or not pictures:
        raise DataError("images: there are none", fix='pass a Counterfactual, or {"seen": images, …}')
    first, *others = ((name, _images(x, shape, most)) for name, x in pictures.items())
    columns = [first]
    for name, value in others:
        if value.shape != first[1].shape:
            raise DataError(
                f"images: {name!r} has shape {value.shape}, and {first[0]!r} {first[1].shape}",
                fix="pass images of one size, of the same units",
            )
        columns += [(name, value), ("difference", value.mean(-1) - first[1].mean(-1))]
    with canvas(ax, width=1.15 * len(columns), height=1.1 * len(first[1]) + 0.4) as ax:
        _mosaic(ax, columns)
    return ax


def _images(values: Any, shape: Sequence[int] | None, most: int) -> np.ndarray:
    """`(units, height, width, channels)`."""
    array = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values, dtype=float)[:most]
    if shape is not None:
        try:
            array = array.reshape(len(array), *shape)
        except ValueError:
            raise DataError(
                f"images: {array.shape[1:]} numbers are no image of shape {tuple(shape)}",
                fix="correct shape=",
            ) from None
    if array.ndim == 3:
        return array[..., None]
    if array.ndim == 4 and array.shape[1] in (1, 3):
        return np.moveaxis(array, 1, -1)
    raise DataError(
        f"images: one image has shape {array.shape[1:]}",
        why="(height, width) or (1 or 3 channels, height, width) is due",
        fix="pass shape=(28, 28) if images are stored flat",
    )


def _frame(left: float, right: float, bottom: float, top: float) -> tuple[list[float], list[float]]:
    return [left, right, right, left, left], [bottom, bottom, top, top, bottom]


def _difference(share: np.ndarray) -> np.ndarray:
    """RGBA of what lies between -1 and 1: no difference lets the ground through, be it white or black."""
    from matplotlib.colors import to_rgb

    colour = np.where(share[..., None] > 0, to_rgb(UP), to_rgb(DOWN))
    return np.concatenate([colour, abs(share)[..., None]], axis=-1)


def _mosaic(ax: Any, columns: Sequence[tuple[str, np.ndarray]]) -> None:
    units, height, width = columns[0][1].shape[:3]
    gap = 0.1 * width
    seen = np.concatenate([value.ravel() for name, value in columns if value.ndim == 4])
    low, high = float(seen.min()), float(max(seen.max(), seen.min() + 1e-9))
    reach = max((float(abs(value).max()) for _, value in columns if value.ndim == 3), default=0.0) or 1.0
    for j, (name, value) in enumerate(columns):
        left = j * (width + gap)
        ax.text(left + width / 2, -0.15 * height, name, ha="center", va="bottom", fontsize="small")
        for i, image in enumerate(value):
            top = i * (height + gap)
            where = (left, left + width, top + height, top)
            ax.plot(*_frame(*where), color=INK, linewidth=0.5)
            if value.ndim == 3:
                ax.imshow(_difference(image / reach), extent=where)
            elif image.shape[-1] == 3:
                ax.imshow((image - low) / (high - low), extent=where)
            else:
                ax.imshow(image[..., 0], extent=where, cmap="gray", vmin=low, vmax=high)
    ax.set_xlim(-1, len(columns) * (width + gap) - gap + 1)
    ax.set_ylim(units * (height + gap) - gap + 1, -0.2 * height)
    ax.set_axis_off()
