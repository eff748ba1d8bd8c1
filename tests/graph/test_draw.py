"""Pictures: well formed, nothing on top of anything else, nothing unescaped, the same in both backends."""

import itertools
import operator
import random
import time
import xml.etree.ElementTree as ElementTree

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrocausal.errors import GraphError
from pyrocausal.graph import CausalGraph, curves, draw, labels, separation
from pyrocausal.graph.layout import Layout, layout
from pyrocausal.graph.picture import picture

from .random_graphs import graphs, random_graph

matplotlib.use("Agg")
SVG = "{http://www.w3.org/2000/svg}"
SMOKING = CausalGraph.from_string("age -> quit -> gain; age -> gain; quit <-> gain; u [latent] -> gain")
KNOWN = {
    "empty": CausalGraph(),
    "single": CausalGraph(["x"]),
    "alone": CausalGraph(["x", "y", "z"]),
    "chain": CausalGraph.from_string(" -> ".join(f"stage_{i}" for i in range(14))),
    "bow": CausalGraph.from_string("x -> y; x <-> y"),
    "napkin": CausalGraph.from_string("w -> z -> x -> y; w <-> x; w <-> y"),
    "do": SMOKING.do("quit"),
    "complete": CausalGraph(edges=itertools.combinations("abcdef", 2)),
    "long names": CausalGraph.from_string(
        "`average daily cigarettes smoked before 1971` -> weight_gain_in_kilograms"
    ),
}


def overlapping(page: Layout) -> list[tuple[str, str]]:
    return [
        (a, b)
        for (a, p), (b, q) in itertools.combinations(page.boxes.items(), 2)
        if abs(p.x - q.x) < (p.width + q.width) / 2 + 8 and abs(p.y - q.y) < (p.height + q.height) / 2 + 8
    ]


def edges_through_nodes(page: Layout) -> list[tuple[str, str, str]]:
    return [
        (a, b, name)
        for (_, a, b), route in page.routes.items()
        for name, box in page.boxes.items()
        if name not in (a, b) and box.distance(curves.samples(route)).min() < 0
    ]


def some_graphs() -> list[CausalGraph]:
    sizes = [(5, 0.5, 0.2), (8, 0.3, 0.1), (12, 0.2, 0.03), (20, 0.1, 0.01), (30, 0.06, 0.0)]
    rng = random.Random(0)
    return [random_graph(rng, *size) for size in sizes for _ in range(2)]


@pytest.mark.parametrize(
    "graph", [*KNOWN.values(), *some_graphs()], ids=lambda graph: f"{len(graph.nodes)} nodes"
)
@pytest.mark.parametrize("direction", ["LR", "TD"])
def test_causes_come_first_and_nothing_overlaps(graph: CausalGraph, direction: str) -> None:
    page = layout(graph, direction)
    assert set(page.boxes) == set(graph.nodes)
    assert not overlapping(page)
    assert not edges_through_nodes(page)
    flow = operator.attrgetter("x" if direction == "LR" else "y")
    assert all(flow(page.boxes[cause]) < flow(page.boxes[effect]) for cause, effect in graph.edges)
    for points in map(curves.samples, page.routes.values()):
        assert (points >= 0).all()
        assert (points <= [page.width, page.height]).all()


def test_edges_end_at_the_outlines_of_their_nodes() -> None:
    page = layout(KNOWN["complete"])
    for (_, a, b), route in page.routes.items():
        assert page.boxes[a].distance(route[:1])[0] == pytest.approx(1, abs=0.5)
        assert page.boxes[b].distance(route[-1:])[0] == pytest.approx(1, abs=0.5)


def test_a_graph_and_its_do_are_laid_out_alike() -> None:
    assert layout(SMOKING, "LR").boxes == layout(SMOKING.do("quit"), "LR").boxes


def test_a_chain_of_causes_is_straight() -> None:
    boxes = layout(CausalGraph.from_string("x -> m -> y; x <-> y"), "LR").boxes
    assert len({round(box.y, 3) for box in boxes.values()}) == 1


def test_wide_graphs_are_drawn_top_down() -> None:
    page = layout(KNOWN["chain"])
    assert page.width < page.height


def test_layout_is_fast_and_repeatable() -> None:
    graph = some_graphs()[-1]
    start = time.perf_counter()
    first = draw.svg(graph)
    assert time.perf_counter() - start < 5
    assert draw.svg(graph) == first


# ---- SVG --------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(graphs())
def test_svg_is_well_formed_whatever_the_names(graph: CausalGraph) -> None:
    root = ElementTree.fromstring(draw.svg(graph))
    assert root.tag == f"{SVG}svg"
    allowed = {"svg", "g", "path", "polygon", "rect", "circle", "text", "title", "style"}
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= allowed


def test_names_are_escaped() -> None:
    attack = '"><script>alert(1)</script><img onerror=x>&amp;'
    image = draw.svg(CausalGraph([attack, "y"], [(attack, "y")]))
    assert "<script" not in image
    assert "<img" not in image
    titles = [title.text for title in ElementTree.fromstring(image).iter(f"{SVG}title")]
    assert attack in titles


def test_it_has_a_title_and_adapts_to_the_page() -> None:
    image = SMOKING._repr_html_()
    root = ElementTree.fromstring(image)
    assert root.get("role") == "img"
    assert "age -> quit" in root.get("aria-label", "")
    assert "prefers-color-scheme:dark" in image
    assert "--jp-content-font-color1" in image
    assert "white" not in image
    assert "black" not in image


def test_marks_tell_kinds_apart() -> None:
    image = picture(SMOKING.do("quit"))
    nodes = {node.name: node for node in image.nodes}
    edges = {edge.title: edge for edge in image.edges}
    assert nodes["u"].stroke.dash
    assert not nodes["age"].stroke.dash
    assert nodes["quit"].box.radius < nodes["age"].box.radius
    assert nodes["quit"].tint != nodes["age"].tint
    assert edges["age -/> quit"].scissors
    assert not edges["age -> gain"].scissors
    assert edges["age -/> quit"].stroke.opacity < edges["age -> gain"].stroke.opacity
    assert len(edges["gain </> quit"].heads) == 2
    assert len(edges["age -> gain"].heads) == 1


def test_highlights_come_with_a_legend() -> None:
    plain = picture(SMOKING)
    image = picture(SMOKING, evidence=["u"], adjustment=["age"], paths=["quit <- age -> gain"])
    assert plain.legend == []
    assert [mark.label for mark in image.legend] == ["evidence", "adjusted for", "quit <- age -> gain"]
    edges = {edge.title: edge.stroke.color for edge in image.edges}
    assert edges["age -> quit"] == edges["age -> gain"] == image.legend[2].color
    assert edges["quit -> gain"] != image.legend[2].color
    assert image.height > plain.height
    assert [mark.y for mark in image.legend] == sorted(mark.y for mark in image.legend)


def test_highlights_are_checked() -> None:
    with pytest.raises(GraphError, match="did you mean 'age'"):
        draw.svg(SMOKING, evidence=["aeg"])
    with pytest.raises(GraphError, match="not in the graph"):
        draw.svg(SMOKING, paths=["gain -> age"])


# ---- matplotlib -------------------------------------------------------------------------------


def test_axes_show_the_same_picture() -> None:
    ax = draw.axes(SMOKING.do("quit"), paths=["age -> gain"])
    assert [text.get_text() for text in ax.texts] == [*SMOKING.nodes, "age -> gain"]
    ax.figure.canvas.draw()
    plt.close(ax.figure)


def test_axes_can_be_given_and_names_are_no_mathematics() -> None:
    figure, axes = plt.subplots(1, 2)
    graph = CausalGraph.from_string("`cost $` -> `price $_x`")
    assert draw.axes(graph, axes[1]) is axes[1]
    figure.canvas.draw()
    assert not axes[0].texts
    plt.close(figure)


# ---- the parts --------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.text(max_size=80))
def test_labels_are_few_short_lines(name: str) -> None:
    lines = labels.wrap(name)
    assert 1 <= len(lines) <= labels.MAX_LINES
    assert all(labels.text_width(line) <= labels.MAX_LINE for line in lines)


def test_measured_widths_are_helveticas() -> None:
    assert labels.text_width("Hamburg") == pytest.approx(
        14 * (722 + 556 + 833 + 556 + 556 + 333 + 556) / 1000
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 100), min_size=4, max_size=4), st.floats(0, 0.9), st.floats(0.05, 1))
def test_part_of_a_curve_is_on_the_curve(numbers: list[float], start: float, share: float) -> None:
    points = np.array([[0.0, numbers[0]], [50.0, numbers[1]], [100.0, numbers[2]], [150.0, numbers[3]]])
    curve = curves.through(points)
    low, high = 3 * start, 3 * start + share * (3 - 3 * start)
    part = curves.between(curve, low, high)
    ends = curves.evaluate(curve, np.array([low, high]))
    assert np.allclose(part[[0, -1]], ends, atol=1e-6)
    fine = curves.evaluate(curve, np.linspace(0, 3, 3000))
    gaps = np.linalg.norm(curves.samples(part)[:, None] - fine[None], axis=-1).min(axis=1)
    assert gaps.max() < 0.2


def test_crossings_are_counted() -> None:
    cross = np.array([[[0.0, 1.0], [1.0, 0.0]]])
    assert curves.crossings(np.array([[0.0, 0.0], [1.0, 1.0]]), cross) == 1
    assert curves.crossings(np.array([[0.0, 0.0], [0.4, 0.4]]), cross) == 0


# ---- show -------------------------------------------------------------------------------------

M_BIAS = CausalGraph.from_string("a -> x; a -> m <- b; b -> y; x -> y")


def test_paths_are_told_apart_by_what_blocks_them() -> None:
    assert repr(M_BIAS.show(paths=("x", "y"))).splitlines()[1:] == [
        "  x -> y   open",
        "  x <- a -> m <- b -> y   blocked at m",
    ]
    assert "m <- b -> y   open" in repr(M_BIAS.show(adjust="m", paths=("x", "y")))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_open_ones_are_those_that_separation_finds(seed: int) -> None:
    rng = random.Random(seed)
    graph = random_graph(rng, 6, 0.4, 0.2)
    x, y, *rest = rng.sample(graph.nodes, 6)
    given_ = set(rng.sample(rest, rng.randrange(3)))
    found = list(separation.paths(graph, x, y, given_))
    assert {path.text for path in found if not path.blocked} == set(graph.open_paths(x, y, given_))
    lengths = [path.text.count(" ") for path in found]
    assert lengths == sorted(lengths)


def test_a_thicket_beside_the_paths_is_not_searched() -> None:
    thicket = itertools.combinations([f"t{i}" for i in range(14)], 2)
    graph = CausalGraph(edges=[("x", "y"), ("x", "t0"), *thicket])
    assert [path.text for path in separation.paths(graph, "x", "y", set())] == ["x -> y"]


def test_blocked_paths_are_dashed_in_the_legend_and_the_graph() -> None:
    image = picture(M_BIAS, **M_BIAS.show(paths=("x", "y")).marks)
    assert [bool(mark.dash) for mark in image.legend] == [False, True]
    strokes = {edge.title: edge.stroke for edge in image.edges}
    assert strokes["a -> m"].dash
    assert not strokes["x -> y"].dash


def test_a_drawing_is_saved_and_shown(tmp_path) -> None:
    drawing = M_BIAS.show(evidence="m", adjust=["a"], paths=("x", "y"))
    drawing.save(tmp_path / "graph.svg")
    assert (tmp_path / "graph.svg").read_text() == drawing.svg
    assert drawing.svg in drawing._repr_html_()
    drawing.save(tmp_path / "graph.png")
    assert (tmp_path / "graph.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(GraphError, match=r"graph\.what"):
        drawing.save(tmp_path / "graph.what")
    with pytest.raises(GraphError, match="both in"):
        M_BIAS.show(adjust="x", paths=("x", "y"))
    many = CausalGraph(edges=itertools.combinations("abcdef", 2)).show(paths=("a", "f"))
    assert repr(many).endswith("and 57 paths more")
