"""The live widget: the page's own script, which asks the kernel instead of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyrocausal.errors import MissingExtra, PyrocausalError
from pyrocausal.explorer.page import SCRIPT, STYLE

if TYPE_CHECKING:
    from pyrocausal.explorer.explore import Explorer

MODULE = f"""{SCRIPT}
export default {{
  render({{ model, el }}) {{
    const source = {{
      setting: model.get("setting"),
      live: true,
      ask(state, answer) {{
        this.answer = answer;
        model.set("state", {{ ...state, turn: (this.turn = (this.turn || 0) + 1) }});
        model.save_changes();
      }},
    }};
    model.on("change:scene", () => source.answer && source.answer(model.get("scene")));
    explorer(el, source);
  }},
}};
"""


def widget(explorer: Explorer) -> Any:
    """An anywidget with `setting` (fixed), `state` (what the reader set) and `scene` (what is the case)."""
    try:
        import anywidget
        import traitlets
    except ImportError:
        raise MissingExtra("anywidget", "explore") from None

    class Widget(anywidget.AnyWidget):
        _esm, _css = MODULE, STYLE
        setting = traitlets.Dict().tag(sync=True)
        state = traitlets.Dict().tag(sync=True)
        scene = traitlets.Dict().tag(sync=True)

    made = Widget(setting=explorer.setting())

    def answer(change: Any) -> None:
        made.scene = {**answered(explorer, change["new"]), "turn": change["new"].get("turn")}

    made.observe(answer, "state")
    return made


def answered(explorer: Explorer, state: dict[str, Any]) -> dict[str, Any]:
    """The scene that a state asks for, or the error in words."""
    try:
        row = explorer.units.iloc[[int(state["unit"])]]
        changed = explorer.scenes.read(state.get("evidence", {}))
        for name in changed:
            row = row.assign(**{name: changed[name].to_numpy()})
        return explorer.scene({k: float(v) for k, v in state["actions"].items()}, row)
    except PyrocausalError as error:
        return {"error": str(error)}
