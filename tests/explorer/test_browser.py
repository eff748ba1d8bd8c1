"""The page in a real Chromium: `pytest -m browser`, which `.ci/run --slow` runs. It is not of the gate.

Each test loads the page, lets an appended script do what a reader's hand would, and reads the DOM.
"""

import html
import json
import re
import shutil
import subprocess

import pytest

from pyrocausal.explorer.widget import MODULE, answered

from .lecture import lecture

pytestmark = pytest.mark.browser
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--virtual-time-budget=2000", "--dump-dom"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "lecture.html"
    lecture(population=200).to_html(path)
    return path


def seen(path, tmp_path, hand="", at=""):
    """What each row says this unit would have been, and the title of the world."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    assert chromium, "install Chromium: apt-get install chromium"
    copy = tmp_path / "page.html"
    watch = "<script>window.onerror = (e) => { document.title = 'broken: ' + e; };</script></head>"
    text = path.read_text().replace("</head>", watch)
    copy.write_text(text.replace("</body>", f"<script>{hand}</script></body>"))
    command = [chromium, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", f"file://{copy}{at}"]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True).stdout
    assert "<title>broken" not in dom
    rows = dict(re.findall(r'<tr data-variable="(\w+)".*?<td class="pce-now">(.*?)</td>', dom, re.DOTALL))
    (world,) = re.findall(r'<p class="pce-world">(.*?)</p>', dom)
    plain = {name: html.unescape(re.sub(r"<.*?>", " ", text)).strip() for name, text in rows.items()}
    return plain, re.sub(r"<.*?>", "", world), dom


def test_it_opens_on_the_world_as_it_is(page, tmp_path):
    rows, world, dom = seen(page, tmp_path)
    assert world == "the world as it is"
    assert rows == {"z": "", "x": "", "y": ""}
    assert dom.count('class="pce-plot"') == 3


def test_moving_a_slider_shows_the_counterfactual(page, tmp_path):
    hand = """const slider = document.querySelector('[aria-label="do(x)"]');
    slider.value = 1; slider.dispatchEvent(new Event("input"));"""
    rows, world, dom = seen(page, tmp_path, hand)
    assert world == "the world do(x = 1)"
    assert rows == {"z": "1", "x": "1", "y": "6"}
    assert "z -/&gt; x" in dom


def test_a_link_names_a_world_and_undo_leaves_it(page, tmp_path):
    assert seen(page, tmp_path, at="#x=1")[1] == "the world do(x = 1)"
    undone = seen(page, tmp_path, 'document.querySelector("button").click();', at="#x=1")
    assert undone[1] == "the world as it is"


def test_the_widget_asks_its_kernel(tmp_path):
    """The module that Jupyter loads, with a stand-in for the kernel that knows two answers."""
    found = lecture(population=200)
    state = {"unit": 0, "evidence": {"y": 5}, "actions": {"x": 1}}
    known = {
        "setting": found.setting(),
        "acted": answered(found, state),
        "idle": answered(found, {**state, "actions": {}}),
    }
    stand_in = """
    const heard = {}, values = { setting: known.setting };
    const model = {
      get: (name) => values[name],
      set: (name, value) => { values[name] = value; },
      on: (name, call) => { heard[name] = call; },
      save_changes: () => {
        const acted = values.state.actions.x === 1 && values.state.evidence.y === 5;
        values.scene = acted ? known.acted : known.idle;
        heard["change:scene"]();
      },
    };
    widget.render({ model, el: document.getElementById("cell") });
    const field = document.querySelector('[aria-label="evidence: y"]');
    field.value = 5; field.dispatchEvent(new Event("change"));
    const slider = document.querySelector('[aria-label="do(x)"]');
    slider.value = 1; slider.dispatchEvent(new Event("input"));
    """
    script = (
        f"const known = {json.dumps(known)};{MODULE.replace('export default', 'const widget =')}{stand_in}"
    )
    path = tmp_path / "widget.html"
    path.write_text(f'<html><head></head><body><div id="cell"></div><script>{script}</script></body></html>')
    rows, world, _ = seen(path, tmp_path)
    assert world == "the world do(x = 1)"
    assert rows["y"] == "7"
