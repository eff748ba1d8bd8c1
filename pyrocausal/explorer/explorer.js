// One front end for the page and for Jupyter. A source has `setting` (what stays), `live` (whether any value
// can be asked) and `ask(state, answer)`; a state has actions, a unit and its evidence; a scene what they give.
function explorer(root, source) {
  const setting = source.setting;
  const state = { actions: {}, unit: 0, evidence: {} };
  const WIDTH = 420, HEIGHT = 62, BASE = 44;

  function make(tag, given = {}, ...inside) {
    const vector = ["svg", "path", "line", "circle", "rect", "text", "polygon"].includes(tag);
    const made = vector ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(given)) {
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (value !== false && value !== null) made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...inside);
    return made;
  }

  const short = (x) => String(Number(x.toPrecision(4))).replace("-", "−");
  const called = (variable, x) => (variable.levels.length ? variable.levels[x] ?? short(x) : short(x));
  const place = (variable, x) => {
    if (variable.levels.length) return ((x + 0.5) / variable.levels.length) * WIDTH;
    const share = (x - variable.low) / (variable.high - variable.low || 1);
    return Math.min(1, Math.max(0, share)) * WIDTH;
  };

  // ---- what the reader sets

  function valuesOf(variable) {
    if (source.live) return variable.slider.codes.length ? variable.slider.codes : null;
    return setting.grids[variable.name] || [];
  }

  function doCell(variable) {
    const cell = make("td", { class: "pce-do pce-idle" });
    if (!variable.slider) return cell;
    const values = valuesOf(variable);
    if (values && !values.length) return cell;
    const { low, high } = variable.slider;
    const name = `do(${variable.name})`;
    const box = make("input", { type: "checkbox", "aria-label": `act on ${variable.name}` });
    const slider = values
      ? make("input", { type: "range", min: 0, max: values.length - 1, step: 1, "aria-label": name })
      : make("input", { type: "range", min: low, max: high, step: (high - low) / 200, "aria-label": name });
    slider.value = values ? Math.floor((values.length - 1) / 2) : (low + high) / 2;
    const shown = make("output");
    const value = () => (values ? values[Number(slider.value)] : Number(Number(slider.value).toPrecision(4)));
    const say = () => { shown.textContent = called(variable, value()); };
    const set = () => {
      say();
      if (box.checked) state.actions[variable.name] = value();
      else delete state.actions[variable.name];
      cell.classList.toggle("pce-idle", !box.checked);
      cell.parentElement?.classList.toggle("pce-acted", box.checked);
      ask();
    };
    box.addEventListener("change", set);
    slider.addEventListener("input", () => { box.checked = true; set(); });
    say();
    controls[variable.name] = {
      reset: () => { box.checked = false; set(); },
      put: (x) => {
        const nearest = (best, v, i) => (Math.abs(v - x) < Math.abs(values[best] - x) ? i : best);
        slider.value = values ? values.reduce(nearest, 0) : x;
        box.checked = true;
        set();
      },
    };
    cell.append(box, slider, shown);
    return cell;
  }

  function evidenceCell(variable) {
    const cell = make("td");
    if (!variable.observed) return cell;
    const given = { "aria-label": `evidence: ${variable.name}`, disabled: !source.live };
    const field = variable.levels.length
      ? make("select", given, ...variable.levels.map((level, code) => make("option", { value: code }, level)))
      : make("input", { type: "number", step: "any", ...given });
    field.addEventListener("change", () => {
      if (field.value === "") return;
      state.evidence[variable.name] = Number(field.value);
      ask();
    });
    cells[variable.name] = field;
    cell.append(field);
    return cell;
  }

  function choose(unit) {
    state.unit = unit;
    state.evidence = {};
    for (const [name, value] of Object.entries(setting.units[unit].evidence)) if (cells[name]) cells[name].value = value;
  }

  // ---- what is shown

  function picture(variable, scene) {
    const svg = make("svg", { class: "pce-plot", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img",
      "aria-label": `distribution of ${variable.name}` });
    const before = setting.population[variable.name], after = scene.population[variable.name];
    const moved = after && !(variable.name in state.actions);
    const most = Math.max(...before, ...(moved ? after.map((y) => y / 1.6) : []), 1);
    const up = (y) => BASE - Math.min(1, y / most / 1.6) * (BASE - 4);
    svg.append(make("line", { x1: 0, x2: WIDTH, y1: BASE, y2: BASE, stroke: "currentColor", "stroke-opacity": 0.3 }));
    if (variable.levels.length) bars(svg, variable, [[before, "var(--see)"], [after, "var(--do)"]], up);
    else {
      curve(svg, before, "var(--see)", up, "");
      if (variable.name in state.actions) {
        const x = place(variable, state.actions[variable.name]);
        svg.append(make("line", { x1: x, x2: x, y1: 4, y2: BASE, stroke: "var(--do)", "stroke-width": 2 }));
      } else if (after) curve(svg, after, "var(--do)", up, "6 3");
      for (const [at, x, anchor] of [[variable.low, 0, "start"], [variable.high, WIDTH, "end"]])
        svg.append(make("text", { x, y: HEIGHT - 2, "text-anchor": anchor }, short(at)));
    }
    unit(svg, variable, scene);
    return svg;
  }

  function curve(svg, heights, colour, up, dash) {
    const step = WIDTH / (heights.length - 1);
    const line = heights.map((y, i) => `${i ? "L" : "M"}${(i * step).toFixed(1)},${up(y).toFixed(1)}`).join("");
    svg.append(make("path", { d: `${line}L${WIDTH},${BASE}L0,${BASE}Z`, fill: colour, "fill-opacity": 0.1 }));
    svg.append(make("path", { d: line, fill: "none", stroke: colour, "stroke-width": 1.8, "stroke-dasharray": dash }));
  }

  function bars(svg, variable, laws, up) {
    const room = WIDTH / variable.levels.length, width = Math.min(26, room * 0.36);
    variable.levels.forEach((level, code) => {
      const middle = (code + 0.5) * room;
      laws.forEach(([shares, colour], side) => {
        if (!shares) return;
        const top = BASE - (shares[code] / 1000) * (BASE - 4);
        const x = middle + (side ? 1 : -width - 1);
        svg.append(make("rect", { x, y: top, width, height: BASE - top, fill: colour, "fill-opacity": side ? 0.85 : 0.6 }));
      });
      const most = Math.max(2, Math.floor(room / 7));
      const name = level.length > most ? level.slice(0, most - 1) + "…" : level;
      svg.append(make("text", { x: middle, y: HEIGHT - 1, "text-anchor": "middle" }, name));
    });
  }

  function unit(svg, variable, scene) {
    const was = scene.was[variable.name], now = scene.now?.[variable.name];
    const dot = (x, look) => svg.append(make("circle", { cx: x, cy: BASE, r: 5, ...look }));
    const ring = { fill: "none", stroke: "currentColor", "stroke-width": 1.8 };
    const full = { fill: "var(--imagine)" };
    if (variable.levels.length) {
      now?.forEach((p, code) => p > 0.005 && dot(place(variable, code), { ...full, "fill-opacity": p }));
      was.forEach((p, code) => p > 0.005 && dot(place(variable, code), { ...ring, "stroke-opacity": p }));
      return;
    }
    const from = place(variable, was[0]);
    if (now) {
      const to = place(variable, now[0]), ends = now.slice(1).map((x) => place(variable, x));
      if (ends.length) svg.append(make("line", { x1: ends[0], x2: ends[1], y1: BASE + 5, y2: BASE + 5, stroke: "var(--imagine)", "stroke-width": 2 }));
      if (Math.abs(to - from) > 12) arrow(svg, from, to);
      dot(to, full);
    }
    dot(from, ring);
  }

  function arrow(svg, from, to) {
    const way = Math.sign(to - from), tip = to - way * 6;
    svg.append(make("line", { x1: from + way * 6, x2: tip - way * 5, y1: BASE, y2: BASE, stroke: "var(--imagine)", "stroke-width": 2 }));
    svg.append(make("polygon", { points: `${tip},${BASE} ${tip - way * 8},${BASE - 4} ${tip - way * 8},${BASE + 4}`, fill: "var(--imagine)" }));
  }

  function words(variable, belief) {
    if (!variable.levels.length) return short(belief[0]);
    const best = belief.indexOf(Math.max(...belief));
    const sure = belief[best] > 0.995 ? "" : ` (${Math.round(100 * belief[best])} %)`;
    return variable.levels[best] + sure;
  }

  function nowCell(cell, variable, scene) {
    cell.replaceChildren();
    const now = scene.now?.[variable.name];
    if (!variable.observed) cell.append(words(variable, scene.was[variable.name]), now ? " → " : "");
    if (!now) return;
    cell.append(make("b", {}, words(variable, now)));
    if (now.length === 3 && !variable.levels.length && now[2] - now[1] > 1e-9)
      cell.append(make("small", {}, `90 %: ${short(now[1])} to ${short(now[2])}`));
  }

  function show(scene) {
    error.textContent = scene.error || "";
    if (scene.error) return;
    const by = Object.fromEntries(setting.variables.map((v) => [v.name, v]));
    const actions = Object.entries(state.actions).map(([name, x]) => `${name} = ${called(by[name], x)}`);
    world.replaceChildren(...(actions.length ? ["the world ", make("b", {}, `do(${actions.join(", ")})`)] : ["the world as it is"]));
    graph.innerHTML = scene.graph;
    for (const variable of setting.variables) {
      const row = rows[variable.name];
      nowCell(row.now, variable, scene);
      row.plot.replaceChildren(picture(variable, scene));
    }
  }

  let asked = false;
  function ask() {
    if (asked) return; // one question a frame
    asked = true;
    requestAnimationFrame(() => { asked = false; source.ask(structuredClone(state), show); });
  }

  // ---- the page

  const key = (drawing, text) => make("span", {}, make("svg", { width: 22, height: 12 }, drawing), text);
  const line = (colour, dash) => make("line", { x1: 0, x2: 22, y1: 6, y2: 6, stroke: colour, "stroke-width": 2.5, "stroke-dasharray": dash });
  const controls = {}, cells = {}, rows = {};
  const graph = make("div", { class: "pce-graph" });
  const world = make("p", { class: "pce-world" });
  const error = make("p", { class: "pce-error" });
  const still = source.live ? "" :
    ` This page is precomputed: sliders stop at the values of a grid, and the units are ${setting.units.length} given ones.` +
    (setting.left.length ? ` Not acted on here: ${setting.left.join(", ")}.` : "") + " In Jupyter, any value can be set.";
  const said = make("div", { class: "pce-said" }, world,
    make("div", { class: "pce-key" },
      key(line("var(--see)", ""), "all units, as they are"),
      key(line("var(--do)", "6 3"), "all units, under do"),
      key(make("circle", { cx: 11, cy: 6, r: 4.5, fill: "none", stroke: "currentColor", "stroke-width": 1.8 }), "this unit, as it was"),
      key(make("circle", { cx: 11, cy: 6, r: 5, fill: "var(--imagine)" }), "this unit, had it been done")),
    make("p", { class: "pce-note" }, `Densities are of ${setting.size.toLocaleString("en")} units of the model, with the same noise in all worlds.${still}`),
    error);
  const picker = make("select", { "aria-label": "unit", onchange: () => { choose(Number(picker.value)); ask(); } },
    ...setting.units.map((u, i) => make("option", { value: i }, u.label)));
  const reset = make("button", { type: "button", onclick: () => Object.values(controls).forEach((c) => c.reset()) }, "undo all");
  const head = make("tr", {}, make("th", {}, "variable"), make("th", {}, "do ", reset), make("th", {}, "evidence: ", picker),
    make("th", {}, "had it been done"), make("th", {}, ""));
  const body = make("tbody");
  for (const variable of setting.variables) {
    const now = make("td", { class: "pce-now" }), plot = make("td");
    const name = make("td", { class: "pce-name" }, make("span", {}, variable.name));
    rows[variable.name] = { now, plot };
    body.append(make("tr", { "data-variable": variable.name }, name, doCell(variable), evidenceCell(variable), now, plot));
  }
  root.replaceChildren(make("div", { class: "pce" },
    make("div", { class: "pce-top" }, graph, said), make("table", {}, make("thead", {}, head), body)));
  choose(0);
  if (!source.live) {
    // a link can name a world: page.html#unit=2&x=1.5
    for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
      if (name === "unit") { picker.value = Number(value) - 1; choose(Number(value) - 1); }
      else controls[name]?.put(Number(value));
    }
  }
  ask();
}
