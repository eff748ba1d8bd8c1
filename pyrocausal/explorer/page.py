"""The page: script, style and all scenes in one file."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

_HERE = files("pyrocausal.explorer")
SCRIPT = (_HERE / "explorer.js").read_text(encoding="utf-8")
STYLE = (_HERE / "explorer.css").read_text(encoding="utf-8")

START = """
const data = JSON.parse(document.getElementById("data").textContent);
const source = {
  setting: data,
  live: false,
  ask(state, answer) {
    const places = Object.entries(data.grids).map(([name, grid]) =>
      name in state.actions ? 1 + grid.indexOf(state.actions[name]) : 0);
    const scene = data.scenes[places.join()];
    const acted = places.some((place) => place > 0);
    answer({
      population: scene.population,
      was: data.scenes[places.map(() => 0).join()].units[state.unit],
      now: acted ? scene.units[state.unit] : null,
      graph: data.graphs[places.map((place) => Number(place > 0)).join()],
    });
  },
};
explorer(document.getElementById("explorer"), source);
"""


def html(data: dict[str, Any], title: str = "Explore a causal model") -> str:
    """A whole page. Data stand in it as JSON, where `<` can't end the element."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>\n:root{{color-scheme:light dark}}\nbody{{margin:24px;background:Canvas;color:CanvasText}}\n"
        f"{STYLE}</style></head>\n"
        f'<body><div id="explorer"></div>\n<script id="data" type="application/json">{text}</script>\n'
        f"<script>\n{SCRIPT}{START}</script></body>\n</html>\n"
    )
