"""Plane curves for edges: cubic Bezier chains, as arrays of 3k + 1 control points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SAMPLES = 16  # points that stand for one cubic when distances and crossings are measured
FINE = 120  # the same where a curve is cut


class Box(NamedTuple):
    """A rectangle with round corners, by its centre."""

    x: float
    y: float
    width: float
    height: float
    radius: float

    def distance(self, points: Array) -> Array:
        """How far points are outside the outline; negative inside."""
        return distances([self], points)[0]


def distances(boxes: Sequence[Box], points: Array) -> Array:
    """How far points are outside each outline, shape (boxes, points)."""
    x, y, width, height, radius = np.array(boxes).T[:, :, None]
    right = np.abs(points[:, 0] - x) - width / 2 + radius
    down = np.abs(points[:, 1] - y) - height / 2 + radius
    outside = np.hypot(np.maximum(right, 0), np.maximum(down, 0))
    return outside + np.minimum(np.maximum(right, down), 0) - radius


def straight(a: Array, b: Array) -> Array:
    return np.array([a, a + (b - a) / 3, b - (b - a) / 3, b])


def bow(a: Array, b: Array, height: float) -> Array:
    """An arc whose middle stands ``height`` to the left of the straight line from a to b."""
    along = b - a
    left = np.array([along[1], -along[0]]) / (np.hypot(*along) or 1.0)
    lift = left * height * 4 / 3
    return np.array([a, a + 0.22 * along + lift, b - 0.22 * along + lift, b])


def through(points: Array) -> Array:
    """A smooth curve through points: Catmull and Rom's, whose tangents follow the points around."""
    before, after = points[:-2], points[2:]
    tangents = np.concatenate([points[1:2] - points[:1], (after - before) / 2, points[-1:] - points[-2:-1]])
    # a tangent as long as the shorter of the two spans beside it cannot overshoot
    spans = np.linalg.norm(np.diff(points, axis=0), axis=1)
    shorter = np.minimum(np.r_[spans, spans[-1]], np.r_[spans[0], spans])
    lengths = np.maximum(np.linalg.norm(tangents, axis=1), 1e-9)
    tangents = tangents * np.minimum(1, shorter / lengths)[:, None]
    pieces = [
        [a + u / 3, b - v / 3, b]
        for a, b, u, v in zip(points[:-1], points[1:], tangents[:-1], tangents[1:], strict=True)
    ]
    return np.array([points[0], *(point for piece in pieces for point in piece)])


def evaluate(curve: Array, t: Array) -> Array:
    """The points at parameters ``t``, from 0 to the number of cubics."""
    piece = np.minimum(t.astype(int), len(curve) // 3 - 1)
    s = (t - piece)[:, None]
    a, b, c, d = (curve[3 * piece + k] for k in range(4))
    return (1 - s) ** 3 * a + 3 * s * (1 - s) ** 2 * b + 3 * s**2 * (1 - s) * c + s**3 * d


def samples(curve: Array) -> Array:
    return evaluate(curve, np.linspace(0, len(curve) // 3, SAMPLES * (len(curve) // 3) + 1))


def between(curve: Array, start: float, end: float) -> Array:
    """The part of a curve from parameter ``start`` to ``end`` (de Casteljau's subdivision)."""
    first = min(int(start), len(curve) // 3 - 1)
    last = min(int(np.ceil(end)) - 1, len(curve) // 3 - 1)
    part = curve[3 * first : 3 * last + 4].copy()
    part[-4:] = _split(part[-4:], end - last)[0]
    # in the last cubic, `start` now stands at a larger share of what is left
    share = (start - first) / (end - last) if first == last else start - first
    part[:4] = _split(part[:4], share)[1]
    return part


def _split(cubic: Array, s: float) -> tuple[Array, Array]:
    rows = [cubic]
    while len(rows[-1]) > 1:
        rows.append(rows[-1][:-1] * (1 - s) + rows[-1][1:] * s)
    return np.array([row[0] for row in rows]), np.array([row[-1] for row in rows[::-1]])


def trim(curve: Array, leaving: Box, entering: Box, gap: float) -> Array:
    """The part of a curve between two nodes, ``gap`` away from either."""
    t = np.linspace(0, len(curve) // 3, FINE * (len(curve) // 3))
    points = evaluate(curve, t)
    start = _first_above(t, leaving.distance(points) - gap)
    end = _first_above(t[::-1], (entering.distance(points) - gap)[::-1])
    return between(curve, start, end) if start < end else between(curve, 0, t[-1])


def shortened(curve: Array, length: float) -> Array:
    """The curve without its last ``length`` pixels; whole if it is shorter than that."""
    t = np.linspace(0, len(curve) // 3, FINE * (len(curve) // 3))
    away = np.linalg.norm(evaluate(curve, t) - curve[-1], axis=1) - length
    end = _first_above(t[::-1], away[::-1])
    return between(curve, 0, end) if end > 0 else curve


def _first_above(t: Array, height: Array) -> float:
    """Where ``height``, sampled at ``t``, first rises above nought; the last ``t`` if it never does."""
    above = np.flatnonzero(height > 0)
    if not len(above):
        return float(t[-1])
    k = above[0]
    if k == 0:
        return float(t[0])
    share = -height[k - 1] / (height[k] - height[k - 1])
    return float(t[k - 1] + share * (t[k] - t[k - 1]))


def crossings(a: Array, others: Array) -> int:
    """How often the polyline ``a`` crosses polylines; ``others`` holds segments, shape (n, 2, 2)."""
    if not len(others):
        return 0
    p, q = a[:-1, None], a[1:, None]
    r, s = others[None, :, 0], others[None, :, 1]
    either_side = _turn(p, q, r) * _turn(p, q, s) < 0
    return int((either_side & (_turn(r, s, p) * _turn(r, s, q) < 0)).sum())


def _turn(a: Array, b: Array, c: Array) -> Array:
    u, v = b - a, c - a
    return u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
