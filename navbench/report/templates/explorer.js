
"use strict";
(() => {
  const source = document.getElementById("explorer-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const root = document.getElementById("explorer");
  const find = (name) => root.querySelector(`[data-role="${name}"]`);
  const PAGE = 36, MOST_PINS = 3, PIN_COLOURS = ["#0173b2", "#de8f05", "#029e73"];
  const STEPS = Math.max(3, ...data.rows.map((row) => row.strip?.shifts.length ?? 0));
  const keys = data.numbers.map(([key]) => key);
  const nothing = { moves: [], imitations: [], curve: [], facts: [], label: "", auto: "", verdict: "", attribute: "", space: "" };
  const rows = data.rows.map((row, index) => ({ ...nothing, ...row, called: row.label || row.auto || "", index }));
  const byName = new Map(rows.map((row) => [row.name, row]));
  const state = { step: STEPS - 1, code: 0, sort: keys[0] ?? "", ascending: data.numbers[0]?.[2] === "lower", selected: null, pins: [], shown: rows, drawn: 0 };

  // --- words and elements

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value !== null && value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== null));
    return element;
  };
  const short = (value) => {
    if (value === null || value === undefined) return "–";
    const size = Math.abs(value);
    const text = size !== 0 && (size < 1e-3 || size >= 1e5) ? value.toExponential(1) : String(Number(value.toPrecision(3)));
    return text.replace("-", "−");
  };
  const title = (row) => `${row.method} ${row.name.slice(row.name.lastIndexOf("/") + 1)}`;
  const labelOf = (row) => row.label || (row.auto ? `${row.auto} (auto)` : "");
  const numberOf = (row, key) => row.numbers[keys.indexOf(key)] ?? null;
  const share = () => (2 * state.step) / (STEPS - 1) - 1;
  const shift = (row) => (share() < 0 ? -share() * row.t[0] : share() * row.t[1]);
  const percent = (part) => `${part > 0 ? "+" : part < 0 ? "−" : ""}${Math.round(Math.abs(part) * 100)} %`;

  // --- frames: one picture per direction, of which a window shows one cell

  const place = (image, row, code, part) => {
    const columns = row.strip.shifts.length;
    const column = Math.round(((part + 1) / 2) * (columns - 1));
    image.style.left = `${-100 * column}%`;
    image.style.top = `${-100 * Math.min(code, row.strip.rows - 1)}%`;
  };
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      target.src = target.dataset.source;
      seen.unobserve(target);
    }
  }, { rootMargin: "400px" });
  const frame = (row, code, fixed = null) => {
    if (!row.strip) return make("span", { class: "frame empty" }, "no strip");
    const image = make("img", { alt: "", draggable: "false" });
    image.style.width = `${100 * row.strip.shifts.length}%`;
    image.style.height = `${100 * row.strip.rows}%`;
    image.dataset.source = row.strip.source;
    Object.assign(image, { row, code, fixed });
    place(image, row, code ?? state.code, fixed ?? share());
    seen.observe(image);
    const holder = make("span", { class: "frame" }, image);
    holder.style.setProperty("--ratio", row.strip.ratio);
    return holder;
  };
  const moveFrames = () => {
    for (const image of root.querySelectorAll(".frame img")) {
      place(image, image.row, image.code ?? state.code, image.fixed ?? share());
    }
    for (const text of root.querySelectorAll("[data-commands]")) text.textContent = commandsOf(byName.get(text.dataset.commands));
    for (const output of root.querySelectorAll("[data-shift]")) output.textContent = `t = ${short(shift(byName.get(output.dataset.shift)))}`;
  };

  // --- filters, order, tiles

  const filters = [...root.querySelectorAll("[data-filter]")];
  for (const select of filters) {
    const values = [...new Set(rows.map((row) => row[select.dataset.filter]).filter(Boolean))].sort();
    select.append(...values.map((value) => make("option", { value }, value)));
    select.closest("label").hidden = values.length < 2;
    select.addEventListener("change", () => refresh());
  }
  for (const name of ["sort", "number"]) {
    find(name).append(...data.numbers.map(([key, head, better]) => make("option", { value: key }, head + (better ? ` (${better} is better)` : ""))));
  }
  const bound = (name, missing) => (find(name).value === "" ? missing : Number(find(name).value));
  const plainly = (text) => text.toLowerCase().replaceAll("−", "-"); // as it is typed
  const matcher = () => {
    const hasControls = find("controls").checked;
    const wanted = filters.filter((select) => select.value).map((select) => [select.dataset.filter, select.value]);
    const words = plainly(find("search").value).split(/\s+/).filter(Boolean);
    const key = find("number").value, low = bound("low", -Infinity), high = bound("high", Infinity);
    const isBounded = key && (low !== -Infinity || high !== Infinity);
    return (row) => {
      if ((row.control && !hasControls) || wanted.some(([field, value]) => row[field] !== value)) return false;
      const text = plainly([row.name, row.label, row.auto, row.attribute, row.verdict].join(" "));
      if (!words.every((word) => text.includes(word))) return false;
      const value = isBounded ? numberOf(row, key) : null;
      return !isBounded || (value !== null && value >= low && value <= high);
    };
  };
  const generators = [...new Set(rows.map((row) => row.generator))];
  const kind = (row) => (row.control ? 2 : row.labels ? 1 : 0); // methods first, then those that see labels, then controls
  const order = (a, b) => {
    const group = generators.indexOf(a.generator) - generators.indexOf(b.generator);
    if (group || !state.sort) return group || a.index - b.index;
    if (kind(a) !== kind(b)) return kind(a) - kind(b);
    const [x, y] = [numberOf(a, state.sort), numberOf(b, state.sort)];
    if (x === null || y === null) return (x === null) - (y === null) || a.index - b.index;
    return (state.ascending ? x - y : y - x) || a.index - b.index;
  };
  const told = (row, named = true) => {
    const key = state.sort || keys.find((name) => numberOf(row, name) !== null);
    const number = data.numbers.find(([name]) => name === key);
    const bound = key === "within" && row.least ? "≥ " : "";
    return number ? `${named ? `${number[1]} ` : ""}${bound}${short(numberOf(row, key))}` : "";
  };
  const tile = (row) => {
    const isPinned = state.pins.includes(row);
    const button = make(
      "button", { type: "button", class: "tile", "data-name": row.name, "aria-pressed": String(row === state.selected), onclick: () => select(row) },
      frame(row, null),
      make("span", { class: "name" }, dot(row), title(row), make("small", {}, ` ${row.place}${isPinned ? " · pinned" : ""}`)),
      make("span", { class: "label" }, labelOf(row) || ["", "labels", "control"][kind(row)]),
      make("span", { class: "told" }, told(row, false)),
    );
    return button;
  };
  const tileOf = (row) => [...tiles.querySelectorAll(".tile")].find((each) => each.dataset.name === row?.name);
  const dot = (row, colour = data.colours[row.method] ?? "currentColor") => {
    const mark = make("i", { class: "dot", "aria-hidden": "true" });
    mark.style.background = colour;
    return mark;
  };
  const tiles = find("tiles"), more = find("more");
  const draw = (count) => {
    const part = state.shown.slice(state.drawn, state.drawn + count);
    let last = state.drawn ? state.shown[state.drawn - 1].generator : null;
    for (const row of part) {
      if (generators.length > 1 && row.generator !== last) tiles.append(make("h3", {}, row.generator));
      last = row.generator;
      tiles.append(tile(row));
    }
    state.drawn += part.length;
    more.hidden = state.drawn >= state.shown.length;
  };
  const refresh = () => {
    state.shown = rows.filter(matcher()).sort(order);
    state.drawn = 0;
    tiles.replaceChildren();
    draw(PAGE);
    find("count").textContent = `${state.shown.length} of ${rows.length} directions`;
    find("none").hidden = state.shown.length > 0;
  };
  more.addEventListener("click", () => draw(PAGE));

  // --- the curve

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const faint = (colour) => `${colour}30`;
  const curve = (chosen) => {
    const drawn = chosen.filter((row) => row.curve.length > 1);
    if (!drawn.length || typeof uPlot === "undefined") return null;
    const alone = chosen.length === 1;
    const tables = drawn.map((row) => {
      const points = row.curve.map(([t, effect, value, error]) => [alone ? t : Math.sign(t) * effect, value - 1.96 * error, value + 1.96 * error, value]);
      points.sort((a, b) => a[0] - b[0]);
      return [0, 1, 2, 3].map((column) => points.map((point) => point[column]));
    });
    const series = [{ label: alone ? "t" : "effect" }], bands = [];
    drawn.forEach((row, at) => {
      const colour = alone ? data.colours[row.method] ?? css("--link") : PIN_COLOURS[state.pins.indexOf(row)];
      const dash = [[], [6, 4], [2, 3]][at];
      const line = { stroke: colour, width: 2, dash, spanGaps: true, points: { show: true, size: 6 } };
      const edge = { stroke: "transparent", width: 0, spanGaps: true, points: { show: false } };
      series.push({ ...edge, label: "low" }, { ...edge, label: "high" }, { ...line, label: `${row.generator} ${title(row)}, ${row.place}` });
      bands.push({ series: [3 * at + 2, 3 * at + 1], fill: faint(colour) });
    });
    const holder = make("div", { class: "curve", role: "img", "aria-label": described(drawn, alone) });
    const axis = { stroke: css("--muted"), grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line"), width: 1 }, font: "11px system-ui, sans-serif" };
    const options = {
      width: Math.max(240, Math.min(560, find(alone ? "panel" : "pins").clientWidth - 30)), height: 210, legend: { show: false }, cursor: { show: false },
      scales: { x: { time: false } },
      axes: [{ ...axis, label: alone ? "shift t" : "effect, signed as t", labelSize: 22, size: 32 }, { ...axis, label: "KID ↓", labelSize: 22, size: 58, values: (_, ticks) => ticks.map(short) }],
      series, bands,
      hooks: { drawClear: [(plot) => alone && shade(plot, drawn[0])], draw: [(plot) => alone && mark(plot, drawn[0])] },
    };
    queueMicrotask(() => { if (holder.isConnected) holder.plot = new uPlot(options, uPlot.join(tables), holder); });
    return holder;
  };
  const described = (drawn, alone) => drawn.map((row) => {
    const values = row.curve.map((point) => point[2]);
    return `KID of ${row.name} ${alone ? "against t" : "against effect"}: ${short(Math.min(...values))} to ${short(Math.max(...values))}`;
  }).join("; ");
  const edges = (row) => [0, 1].map((end) => row.limit?.[end] ?? (row.status?.[end] === "beyond" ? row.t[end] : null));
  const shade = (plot, row) => {
    const [low, high] = edges(row);
    if (low === null || high === null) return;
    const { left, top, width, height } = plot.bbox;
    const [from, to] = [low, high].map((t) => Math.min(Math.max(plot.valToPos(t, "x", true), left), left + width));
    plot.ctx.fillStyle = `${css("--good")}22`;
    plot.ctx.fillRect(from, top, to - from, height);
  };
  const mark = (plot, row) => {
    const x = plot.valToPos(shift(row), "x", true);
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.strokeStyle = css("--ink");
    ctx.setLineDash([3, 3]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.restore();
  };
  const redraw = () => root.querySelectorAll(".curve").forEach((holder) => holder.plot?.redraw());

  // --- the panel

  const chips = (row) => {
    const words = [row.verdict, row.control && "control", row.labels && "labels", row.failed && "not converged", row.untrusted && "instrument fails"].filter(Boolean);
    return words.length ? make("p", { class: "chips" }, ...words.map((word) => make("span", { class: [row.verdict, "control", "labels"].includes(word) ? "" : "warn" }, word))) : null;
  };
  const rowsOfCodes = (row) => {
    if (!row.strip) return null;
    const list = [...Array(row.strip.rows).keys()].map((code) => make("div", { class: "before-after" }, frame(row, code, 0), frame(row, code)));
    const after = make("span", { "data-shift": row.name }, `t = ${short(shift(row))}`);
    return make("div", { class: "codes" }, make("div", { class: "heads" }, make("span", {}, "t = 0"), after), ...list);
  };
  const moves = (row) => {
    if (!row.moves.length) return null;
    const most = Math.max(...row.moves.map(([, change]) => Math.abs(change)), 1e-9);
    const list = row.moves.map(([name, change]) => {
      const bar = make("i", { class: change < 0 ? "bar down" : "bar" });
      bar.style.width = `${(100 * Math.abs(change)) / most}%`;
      return make("li", {}, make("span", {}, name), make("span", { class: "track" }, bar), make("span", { class: "amount" }, short(change)));
    });
    return make("div", {}, make("h4", {}, "What it moves most, from end to end, in spreads of the data"), make("ul", { class: "moves" }, ...list));
  };
  const imitations = (row) => {
    if (!row.imitations.length) return null;
    const list = row.imitations.map(([target, left, control, than, status]) => {
      const rest = [control && `a random edit leaves ${control}`, than && `${than} than that`, status].filter(Boolean).join("; ");
      return make("li", {}, `An offset of ${target} leaves ${left}${rest ? ` (${rest})` : ""}.`);
    });
    return make("div", {}, make("h4", {}, "Could a latent code do it? What the best imitation leaves of the edit"), make("ul", {}, ...list));
  };
  const heat = (row) => row.heat ? make("figure", { class: "heat" }, make("img", { src: row.heat.source, alt: `Where ${row.name} changes images`, width: 128, height: 128 }), make("figcaption", {}, `Where it changes images; brightest ${row.heat.top}`)) : null;
  const commands = (row) => !/^[\w.+/-]+$/.test(row.name) ? null : make("div", {}, make("h4", {}, "Use it"), make("pre", { tabindex: "0", "data-commands": row.name }, commandsOf(row)));
  const [inShell, inPython] = data.found.shell ? [` --directions ${data.found.shell}`, `, folder=${data.found.python}`] : ["", ""];
  const commandsOf = (row) => [
    `navbench show ${row.name} --t ${Number(shift(row).toPrecision(3))} --out strip.png${inShell}`,
    `navbench edit photo.png --direction ${row.name}${inShell}`,
    `direction = navbench.load_direction("${row.name}"${inPython})`,
  ].join("\n");
  const destroyPlots = (within) => within.querySelectorAll(".curve").forEach((holder) => holder.plot?.destroy());
  const panel = find("panel");
  const showPanel = () => {
    const row = state.selected;
    destroyPlots(panel);
    if (!row) {
      panel.replaceChildren(make("p", { class: "absent" }, "Choose a direction: its codes, curve, numbers and commands stand here."));
      return;
    }
    const isPinned = state.pins.includes(row);
    panel.replaceChildren(...[
      make("h3", {}, dot(row), row.name),
      make("p", { class: "label" }, labelOf(row)),
      chips(row),
      make("p", { class: "acts" }, make("button", { type: "button", "data-role": "pin", "aria-pressed": String(isPinned), onclick: () => pin(row) }, isPinned ? "Unpin" : "Pin to compare"), " ", make("a", { href: link(row) }, "link to this")),
      rowsOfCodes(row),
      curve([row]),
      row.curve.length ? make("p", { class: "note" }, `${edges(row).every((edge) => edge !== null) ? "Green: where no break of realism is shown. " : ""}Band: ± 1.96 standard errors. ${data.setting[row.generator] ?? ""}`) : null,
      make("dl", { class: "numbers terms" }, ...row.facts.map(([term, value]) => make("div", {}, make("dt", {}, term), make("dd", {}, value)))),
      moves(row), imitations(row), heat(row), commands(row),
    ].filter(Boolean));
  };
  const showPins = () => {
    const holder = find("pins");
    holder.hidden = !state.pins.length;
    destroyPlots(holder);
    holder.replaceChildren(...state.pins.map((row, at) => make(
      "div", { class: "pinned" },
      make("p", {}, dot(row, PIN_COLOURS[at]), make("b", {}, row.name), ` ${labelOf(row)} `, make("button", { type: "button", "aria-label": `unpin ${row.name}`, onclick: () => pin(row) }, "×")),
      make("div", { class: "frames" }, ...[...Array(row.strip?.rows ?? 1).keys()].map((code) => frame(row, code))),
      make("p", { class: "note" }, make("span", { "data-shift": row.name }, `t = ${short(shift(row))}`), ` · ${told(row)}`),
    )));
    if (state.pins.length > 1) {
      const plot = curve(state.pins);
      if (plot) holder.append(make("div", { class: "overlay" }, plot));
    }
  };
  const link = (row) => `#${encodeURIComponent(row.name).replaceAll("%2F", "/").replaceAll("%2B", "+")}@${Number(shift(row).toPrecision(3))}`;
  let touched = false; // what is chosen for the reader is not written into the address
  const address = () => touched && state.selected && history.replaceState(null, "", link(state.selected));

  // --- what a reader does

  const show = (row) => {
    state.selected = row;
    for (const each of tiles.querySelectorAll(".tile")) each.setAttribute("aria-pressed", String(each.dataset.name === row?.name));
    showPanel();
  };
  const select = (row, scroll = false) => {
    touched = true;
    show(row);
    address();
    find("said").textContent = row ? `${row.name} ${labelOf(row)}, ${told(row)}` : "";
    if (scroll) tileOf(row)?.scrollIntoView({ block: "nearest" });
  };
  const pin = (row) => {
    const before = state.pins, { activeElement: focus } = document;
    state.pins = before.includes(row) ? before.filter((each) => each !== row) : [...before, row].slice(-MOST_PINS);
    const [wasTile, wasButton] = [focus === tileOf(row), focus?.dataset?.role === "pin"];
    showPins();
    showPanel();
    for (const each of new Set([...before, ...state.pins, row])) tileOf(each)?.replaceWith(tile(each));
    if (wasTile) tileOf(row).focus();
    if (wasButton) panel.querySelector('[data-role="pin"]')?.focus();
  };
  const slider = find("t");
  const setStep = (step) => {
    const before = state.step;
    state.step = Math.min(Math.max(step, 0), STEPS - 1);
    if (state.step === before && find("share").textContent) return;
    slider.value = state.step;
    slider.setAttribute("aria-valuetext", `${percent(share())} of the range`);
    find("share").textContent = percent(share());
    moveFrames();
    redraw();
    address();
  };
  const step = (by) => {
    const at = state.shown.indexOf(state.selected);
    const next = state.shown[Math.min(Math.max(at + by, 0), state.shown.length - 1)];
    if (!next) return;
    while (state.drawn <= state.shown.indexOf(next)) draw(PAGE);
    select(next, true);
  };
  slider.max = STEPS - 1;
  slider.addEventListener("input", () => setStep(Number(slider.value)));
  const rowsOfMost = Math.max(1, ...rows.map((row) => row.strip?.rows ?? 1));
  find("code").append(...[...Array(rowsOfMost).keys()].map((code) => make("option", { value: code }, String(code + 1))));
  find("code").addEventListener("change", (event) => { state.code = Number(event.target.value); moveFrames(); });
  for (const name of ["number", "controls"]) find(name).addEventListener("change", () => refresh());
  for (const name of ["search", "low", "high"]) find(name).addEventListener("input", () => refresh());
  const sorted = (key, ascending) => {
    const number = data.numbers.find(([name]) => name === key);
    Object.assign(state, { sort: key, ascending });
    find("sort").value = key;
    find("turn").textContent = ascending ? "smallest first" : "largest first";
    find("turn").hidden = !key;
    find("meaning").textContent = `${number ? `${number[1]}: ${number[3]} ` : ""}${data.limit}`;
    refresh();
  };
  find("turn").addEventListener("click", () => sorted(state.sort, !state.ascending));
  find("sort").addEventListener("change", ({ target }) => sorted(target.value, data.numbers.find(([key]) => key === target.value)?.[2] === "lower"));
  const reset = () => {
    for (const each of filters) each.value = "";
    for (const name of ["search", "low", "high", "number"]) find(name).value = "";
    find("controls").checked = true;
    refresh();
  };
  find("reset").addEventListener("click", reset);
  find("csv").addEventListener("click", () => {
    const number = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
    const cell = (text) => (/^('|[=+\-@].)/.test(text) && !number.test(text) ? `'${text}` : text); // no formula (docs/tables.md)
    const quote = (value) => `"${cell(String(value ?? "")).replaceAll('"', '""')}"`;
    const heads = ["name", "generator", "method", "place", "space", "label", "auto_label", "verdict", "attribute", "is_control", "is_labelled", "t_min", "t_max", "limit_min", "limit_max", "limit_min_status", "limit_max_status", ...keys];
    const lines = state.shown.map((row) => [row.name, row.generator, row.method, row.place, row.space, row.label, row.auto, row.verdict, row.attribute, Boolean(row.control), Boolean(row.labels), ...row.t, ...(row.limit ?? [null, null]), ...(row.status ?? ["", ""]), ...row.numbers]);
    const text = [heads, ...lines].map((line) => line.map(quote).join(",")).join("\n");
    const url = URL.createObjectURL(new Blob([text + "\n"], { type: "text/csv" }));
    make("a", { href: url, download: "directions.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.matches?.("input:not([type=range]):not([type=checkbox]), select, textarea");
    if (typing) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const act = {
      ArrowLeft: () => setStep(state.step - 1), ArrowRight: () => setStep(state.step + 1),
      j: () => step(1), k: () => step(-1), p: () => state.selected && pin(state.selected),
      "/": () => find("search").focus(), Escape: () => { if (state.selected) { select(null); history.replaceState(null, "", "#all"); } },
    }[event.key];
    if (!act || (event.key.startsWith("Arrow") && (event.target === slider || event.target.closest?.(".scroll")))) return;
    event.preventDefault();
    act();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { showPanel(); showPins(); });

  // --- permalinks: #NAME@T

  const open = () => {
    let text;
    try { text = decodeURIComponent(location.hash.slice(1)); } catch { return; }
    const [, name, words] = text.match(/^(.*?)(?:@(-?[\d.eE+-]+))?$/) ?? [];
    const row = byName.get(name), t = Number(words);
    if (!row) return;
    touched = false; // the address stays as it was given ...
    if (words !== undefined && Number.isFinite(t)) {
      const part = t < 0 ? -Math.abs(t / row.t[0]) : t / row.t[1];
      setStep(Math.round(((Math.min(Math.max(part, -1), 1) + 1) / 2) * (STEPS - 1)));
    }
    if (!matcher()(row)) reset();
    while (state.drawn <= state.shown.indexOf(row)) draw(PAGE);
    show(row);
    touched = true; // ... until the reader moves something
    root.scrollIntoView();
  };
  addEventListener("hashchange", open);

  root.hidden = false;
  setStep(state.step);
  sorted(state.sort, state.ascending);
  show(byName.get(data.first) ?? null);
  showPins();
  open();
})();
