"use strict";
// The page of `navbench inspect`: a list of directions, frames of the chosen one, and what is said of it.

const $ = (id) => document.getElementById(id);
const UNITS = 200; // of a slider, to either side of t = 0
const REACH = 1.6; // a slider goes that many times as far as the range that a direction comes with
const POLL_MS = 2500;
const THUMBNAILS_AT_ONCE = 2;

const state = {
  info: null, // what the server said at the beginning
  namings: [], // of each direction: label, not_interpretable, t_min, t_max
  version: "",
  shown: [], // numbers of the directions in the list
  number: 0, // of the chosen one
  t: 0,
  before: null, // t before it was set to 0 for a comparison
  kept: [], // the stack below the chosen one: {number, t}
  codes: [], // as the server writes them: "s0.3", "p1"
  solo: null, // the code that is shown alone
  reach: [-1, 1], // t at the ends of the slider
  mine: new Map(), // by direction, what this tab has saved
  writing: 0, // changes that the server has not confirmed yet
  written: 0, // changes so far
  tab: tabWord(), // by which its changes are known, also after a reload
  lane: crypto.randomUUID(), // by which its frames are
};

function tabWord() {
  try {
    const known = sessionStorage.getItem("tab") || crypto.randomUUID();
    sessionStorage.setItem("tab", known);
    return known;
  } catch {
    return crypto.randomUUID();
  }
}

// --- the server ---------------------------------------------------------------------------------------------

async function ask(path, body) {
  const options = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("The server has ended; start navbench inspect again.");
  }
  if (answer.status === 204) return null;
  if (answer.status === 403) throw new Error("The server does not know this page any more; open the address that it printed.");
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error || `The server answered ${answer.status}.`);
  return found;
}

function tell(text, warn = false) {
  $("status").textContent = text;
  $("status").classList.toggle("warn", warn);
}

function notice(text) {
  const line = document.createElement("p");
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = "Close";
  close.onclick = () => line.remove();
  line.append(text, close);
  $("notices").append(line);
}

// --- words --------------------------------------------------------------------------------------------------

const nameOf = (number) => state.info.directions[number].name;
const indexOf = (number) => nameOf(number).split("/").pop();
const isNamed = (naming) => naming.label !== "" || naming.not_interpretable;
const kindOf = (naming) => (naming.label ? "named" : naming.not_interpretable ? "not" : "none");
const titleOf = (naming) => naming.label || (naming.not_interpretable ? "not interpretable" : "no name yet");
const setOf = (direction) => `${direction.method} · ${direction.place}`;
const rounded = (value) => Number(value.toPrecision(4));
const written = (value) => String(rounded(value)).replace("-", "−");

function captionOf(code) {
  if (code.startsWith("p")) {
    const photo = state.info.photos[Number(code.slice(1))];
    return photo ? `${photo.name} (${photo.space})` : code;
  }
  const [seed, index] = code.slice(1).split(".");
  return `seed ${seed}, ${index}`;
}

// --- the slider: units to either side of 0, so that 0 is in the middle whatever the range --------------------

function toUnits(t, reach = state.reach) {
  return Math.round((UNITS * t) / (t < 0 ? -reach[0] : reach[1]));
}

function fromUnits(units, reach = state.reach) {
  return units === 0 ? 0 : rounded((units / UNITS) * (units < 0 ? -reach[0] : reach[1]));
}

function reachOf(naming) {
  return [REACH * naming.t_min, REACH * naming.t_max];
}

// --- frames -------------------------------------------------------------------------------------------------

const frames = { wanted: null, busy: false };

function stackText() {
  const parts = [...state.kept, { number: state.number, t: state.t }];
  return parts.map(({ number, t }) => `${number}:${t}`).join(",");
}

/** Ask for the frame of the present state; while one is on its way, only the last one wanted is asked for next. */
function show() {
  writeAddress();
  frames.wanted = { stacks: stackText(), codes: shownCodes(), side: sideOf(), words: describeStack() };
  if (!frames.busy) void nextFrame();
}

function shownCodes() {
  return state.solo === null ? state.codes : [state.solo];
}

function sideOf() {
  const canvas = $("frames").querySelector("canvas");
  return Math.ceil((canvas ? canvas.clientWidth : 256) * (window.devicePixelRatio || 1)) || 256;
}

async function nextFrame() {
  frames.busy = true;
  while (frames.wanted) {
    const wanted = frames.wanted;
    frames.wanted = null;
    const begun = performance.now();
    try {
      const frame = await fetchFrame(wanted.stacks, wanted.codes, wanted.side, state.lane);
      if (frame) drawFrames(frame, wanted, performance.now() - begun);
      else frames.wanted ??= wanted; // busy: again, unless something newer is wanted
    } catch (error) {
      complain(error.message);
    }
  }
  frames.busy = false;
}

/** A frame's sheet; null if the server is busy, after the time that it asks to wait. */
async function fetchFrame(stacks, codes, side, lane = "") {
  const query = new URLSearchParams({ stacks, codes: codes.join(","), side, lane });
  let answer;
  try {
    answer = await fetch(`/frames?${query}`);
  } catch {
    throw new Error("The server has ended; start navbench inspect again.");
  }
  if (answer.status === 503 || answer.status === 409) {
    await new Promise((resolve) => setTimeout(resolve, 1000 * Number(answer.headers.get("Retry-After") || 0.2)));
    return null;
  }
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error || `The server answered ${answer.status}.`);
  const took = /dur=([\d.]+)/.exec(answer.headers.get("Server-Timing") || "");
  return { picture: await createImageBitmap(await answer.blob()), milliseconds: took ? Number(took[1]) : 0 };
}

function drawFrames(frame, { codes, words }, latency) {
  const width = frame.picture.width / codes.length;
  figures(codes).forEach((figure, place) => {
    const canvas = figure.querySelector("canvas");
    if (canvas.width !== width || canvas.height !== frame.picture.height) [canvas.width, canvas.height] = [width, frame.picture.height];
    canvas.getContext("2d").drawImage(frame.picture, place * width, 0, width, frame.picture.height, 0, 0, width, frame.picture.height);
    canvas.setAttribute("aria-label", `${captionOf(codes[place])} under ${words}`);
  });
  frame.picture.close();
  const rendering = frame.milliseconds ? `, of which rendering ${Math.round(frame.milliseconds)} ms` : ", kept from before";
  $("timing").textContent = `${Math.round(latency)} ms${rendering}`;
}

function describeStack() {
  return [...state.kept, { number: state.number, t: state.t }].map(({ number, t }) => `${nameOf(number)} at t = ${t}`).join(" and ");
}

function complain(text) {
  const line = document.createElement("p");
  line.className = "wrong";
  line.textContent = text;
  for (const figure of figures(shownCodes())) figure.querySelector("canvas").getContext("2d").reset();
  $("frames").prepend(line);
  $("timing").textContent = "";
}

/** The figures of these codes; those that are there already stay, so that nothing flickers. */
function figures(codes) {
  const box = $("frames");
  box.querySelector(".wrong")?.remove();
  box.classList.toggle("solo", state.solo !== null);
  const there = [...box.children].map((child) => child.dataset.code).join();
  if (there !== codes.join()) box.replaceChildren(...codes.map(figureOf));
  return [...box.children];
}

function figureOf(code) {
  const figure = document.createElement("figure");
  figure.dataset.code = code;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [state.info.size[1], state.info.size[0]];
  canvas.setAttribute("role", "img");
  canvas.onclick = () => toggleSolo(code);
  const caption = document.createElement("figcaption");
  const drop = document.createElement("button");
  drop.type = "button";
  drop.textContent = "×";
  drop.setAttribute("aria-label", `Leave out ${captionOf(code)}`);
  drop.onclick = () => leaveOut(code);
  caption.append(captionOf(code), drop);
  figure.append(canvas, caption);
  return figure;
}

function toggleSolo(code) {
  state.solo = state.solo === null ? code : null;
  figures(shownCodes());
  show();
}

// --- codes --------------------------------------------------------------------------------------------------

function samples(seed, index, many) {
  return Array.from({ length: many }, (_, place) => `s${seed}.${index + place}`);
}

function setCodes(codes) {
  state.codes = codes.slice(0, state.info.most_codes);
  state.solo = null;
  figures(state.codes);
  show();
}

function typedCodes() {
  const whole = (id, least, most) => Math.min(most, Math.max(least, Math.floor(Number($(id).value)) || 0));
  const photos = state.codes.filter((code) => code.startsWith("p"));
  const many = whole("many", 1, state.info.most_codes);
  setCodes([...photos, ...samples(whole("seed", 0, 2 ** 31), whole("index", 0, 1e9 - 16), many)]);
  redrawThumbnails();
}

function newCodes() {
  $("index").value = Number($("index").value) + Number($("many").value);
  typedCodes();
}

function leaveOut(code) {
  if (state.codes.length > 1) setCodes(state.codes.filter((each) => each !== code));
}

function addPhoto() {
  const code = $("photo").value;
  $("photo").value = "";
  if (code && !state.codes.includes(code)) setCodes([code, ...state.codes]);
}

// --- the list -----------------------------------------------------------------------------------------------

function matches(number) {
  const direction = state.info.directions[number];
  const naming = state.namings[number];
  const wanted = { open: !isNamed(naming), named: naming.label !== "", not: naming.not_interpretable };
  const kind = $("by-state").value;
  const words = `${direction.name} ${direction.space} ${naming.label}`.toLowerCase();
  const found = $("search").value.toLowerCase().split(/\s+/).every((word) => words.includes(word));
  return found && (!$("by-set").value || setOf(direction) === $("by-set").value) && (!kind || wanted[kind]);
}

function filter() {
  state.shown = state.info.directions.map((_, number) => number).filter(matches);
  $("items").replaceChildren(...state.shown.map(itemOf));
  if (!state.shown.length) {
    const nothing = document.createElement("p");
    nothing.className = "muted";
    nothing.textContent = "No direction is like that.";
    $("items").append(nothing);
  }
  const all = state.info.directions.length;
  $("count").textContent = state.shown.length === all ? `${all} directions` : `${state.shown.length} of ${all} directions`;
  markChosen();
}

function itemOf(number) {
  const item = document.createElement("li");
  item.id = `d${number}`;
  item.dataset.number = number;
  item.setAttribute("role", "option");
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [3, 1];
  canvas.setAttribute("aria-hidden", "true");
  const words = document.createElement("span");
  words.append(document.createElement("b"), document.createElement("small"));
  item.append(canvas, words, document.createElement("i"));
  item.onclick = () => choose(number);
  describeItem(item);
  thumbnails.seen.observe(item);
  return item;
}

function describeItem(item) {
  const number = Number(item.dataset.number);
  const naming = state.namings[number];
  item.className = kindOf(naming);
  item.querySelector("b").textContent = titleOf(naming);
  item.querySelector("small").textContent = `${setOf(state.info.directions[number])} · ${indexOf(number)}`;
}

function markChosen() {
  for (const item of $("items").querySelectorAll("[aria-selected=true]")) item.setAttribute("aria-selected", "false");
  const item = $(`d${state.number}`);
  if (!item) return;
  item.setAttribute("aria-selected", "true");
  $("items").setAttribute("aria-activedescendant", item.id);
  reveal(item);
}

/** Bring an item into view within the list alone; the page stays where it is. */
function reveal(item) {
  const list = $("items");
  const top = item.offsetTop - list.offsetTop;
  if (top < list.scrollTop) list.scrollTop = top;
  if (top + item.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = top + item.offsetHeight - list.clientHeight;
}

function step(by) {
  const place = state.shown.indexOf(state.number);
  const next = state.shown[place < 0 ? 0 : place + by];
  if (next === undefined) tell(by > 0 ? "This is the last of the list." : "This is the first of the list.");
  else choose(next);
}

// --- thumbnails: three images per direction, a few at a time, of what is in view ------------------------------

const thumbnails = {
  queue: [],
  busy: 0,
  seen: new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting && !target.dataset.drawn) thumbnails.queue.unshift(target);
      if (!isIntersecting) thumbnails.queue = thumbnails.queue.filter((item) => item !== target);
    }
    drawThumbnails();
  }),
};

function drawThumbnails() {
  while (thumbnails.busy < THUMBNAILS_AT_ONCE && thumbnails.queue.length) {
    thumbnails.busy += 1;
    void drawThumbnail(thumbnails.queue.shift()).finally(() => {
      thumbnails.busy -= 1;
      drawThumbnails();
    });
  }
}

async function drawThumbnail(item) {
  const number = Number(item.dataset.number);
  const { t_min, t_max } = state.namings[number];
  item.dataset.drawn = "yes";
  const frame = await fetchFrame([t_min, 0, t_max].map((t) => `${number}:${t}`).join(";"), [thumbnailCode()], 64).catch(() => undefined);
  if (frame === null) thumbnails.queue.push(item);
  if (!frame) return;
  const canvas = item.querySelector("canvas");
  const [width, height] = [frame.picture.width, frame.picture.height / 3];
  [canvas.width, canvas.height] = [3 * width, height];
  const pen = canvas.getContext("2d");
  for (let place = 0; place < 3; place++) pen.drawImage(frame.picture, 0, place * height, width, height, place * width, 0, width, height);
  frame.picture.close();
}

function thumbnailCode() {
  return state.codes.find((code) => code.startsWith("s")) || `s${state.info.seed}.0`;
}

function redrawThumbnails() {
  for (const item of $("items").querySelectorAll("li")) {
    delete item.dataset.drawn;
    thumbnails.seen.unobserve(item);
    thumbnails.seen.observe(item);
  }
}

// --- the chosen direction -----------------------------------------------------------------------------------

function choose(number, t) {
  const below = state.kept.find((part) => part.number === number);
  state.kept = state.kept.filter((part) => part.number !== number);
  state.number = number;
  state.before = null;
  const naming = state.namings[number];
  state.reach = reachOf(naming);
  state.t = t ?? (below ? below.t : naming.t_max);
  $("label").value = naming.label;
  describe();
  drawStack();
  markChosen();
  show();
}

function describe() {
  const naming = state.namings[state.number];
  const direction = state.info.directions[state.number];
  if (naming.t_min < state.reach[0] || naming.t_max > state.reach[1]) state.reach = reachOf(naming);
  $("title").textContent = titleOf(naming);
  $("title").className = isNamed(naming) ? "" : "none";
  $("subtitle").textContent = `${direction.name}, in ${direction.space === direction.place ? "latent space" : "the kernel of"} ${direction.place}`;
  document.title = `${titleOf(naming)} · ${direction.name}`;
  if (document.activeElement !== $("label")) $("label").value = naming.label;
  $("not").setAttribute("aria-pressed", String(naming.not_interpretable));
  drawRange(naming);
  drawShift();
}

function drawShift() {
  $("t").value = toUnits(state.t);
  $("t").setAttribute("aria-valuetext", written(state.t));
  if (document.activeElement !== $("t-typed")) $("t-typed").value = rounded(state.t);
  $("unshifted").setAttribute("aria-pressed", String(state.before !== null));
}

function drawRange({ t_min, t_max }) {
  for (const [slider, typed, value] of [["low", "low-typed", t_min], ["high", "high-typed", t_max]]) {
    $(slider).value = toUnits(value);
    $(slider).setAttribute("aria-valuetext", written(value));
    if (document.activeElement !== $(typed)) $(typed).value = rounded(value);
  }
  const share = (t) => 0.5 + 0.5 * Math.max(-1, Math.min(1, toUnits(t) / UNITS));
  $("span").style.left = `calc(8px + (100% - 16px) * ${share(t_min)})`;
  $("span").style.width = `calc((100% - 16px) * ${share(t_max) - share(t_min)})`;
}

function setT(t) {
  state.t = t;
  state.before = null;
  drawShift();
  show();
}

function moveT(by) {
  setT(fromUnits(Math.max(-UNITS, Math.min(UNITS, toUnits(state.t) + by))));
}

function toggleUnshifted() {
  [state.t, state.before] = state.before === null ? [0, state.t] : [state.before, null];
  drawShift();
  show();
}

// --- the stack ----------------------------------------------------------------------------------------------

function keepInStack() {
  if (state.kept.length + 1 >= state.info.most_stacked) {
    tell(`A stack is of at most ${state.info.most_stacked} directions.`, true);
    return;
  }
  state.kept.push({ number: state.number, t: state.t });
  const place = state.shown.indexOf(state.number);
  const next = state.shown[place + 1] ?? state.shown[place - 1];
  if (next === undefined) state.kept.pop();
  else choose(next, 0);
}

function drawStack() {
  $("stack").replaceChildren(...state.kept.map(stackRow));
  $("stack-note").hidden = state.kept.length > 0;
  $("stack-this").disabled = state.kept.length + 1 >= state.info.most_stacked;
}

function stackRow(part) {
  const row = document.createElement("div");
  row.className = "stacked";
  const naming = state.namings[part.number];
  const reach = reachOf(naming);
  const name = document.createElement("span");
  name.textContent = naming.label ? `${naming.label} (${nameOf(part.number)})` : nameOf(part.number);
  name.title = nameOf(part.number);
  const slider = document.createElement("input");
  Object.assign(slider, { type: "range", min: -UNITS, max: UNITS, step: 1, value: toUnits(part.t, reach) });
  slider.setAttribute("aria-label", `Shift of ${nameOf(part.number)}`);
  const value = document.createElement("output");
  value.textContent = written(part.t);
  slider.oninput = () => {
    part.t = fromUnits(Number(slider.value), reach);
    value.textContent = written(part.t);
    slider.setAttribute("aria-valuetext", written(part.t));
    show();
  };
  const drop = document.createElement("button");
  drop.type = "button";
  drop.textContent = "Take out";
  drop.onclick = () => {
    state.kept = state.kept.filter((each) => each !== part);
    drawStack();
    show();
  };
  row.append(name, slider, value, drop);
  return row;
}

// --- what is said of a direction ----------------------------------------------------------------------------

async function save(number, changes) {
  const known = state.namings[number];
  const seen = "t_min" in changes || "t_max" in changes ? known : { label: known.label, not_interpretable: known.not_interpretable };
  tell("saving …");
  state.writing += 1;
  state.written += 1;
  try {
    const saved = await ask("/names", { number, changes, seen, tab: state.tab });
    state.mine.set(number, { ...state.mine.get(number), ...changedFields(known, saved.naming) });
    take(number, saved.naming);
    tell(`saved: ${nameOf(number)}`);
    if (saved.replaced) notice(`${nameOf(number)} had been changed elsewhere meanwhile (${inWords(saved.replaced)}); what you said has replaced that.`);
  } catch (error) {
    const lost = changes.label ? `The label “${changes.label}” of ${nameOf(number)} was not saved.` : `What you said of ${nameOf(number)} was not saved.`;
    tell(error.message, true);
    notice(`${lost} ${error.message}`);
    describe();
  }
  state.writing -= 1;
}

function changedFields(before, after) {
  return Object.fromEntries(Object.entries(after).filter(([field, value]) => before[field] !== value));
}

function inWords(naming) {
  return `${naming.label ? `“${naming.label}”` : titleOf(naming)}, t from ${written(naming.t_min)} to ${written(naming.t_max)}`;
}

function take(number, naming) {
  state.namings[number] = naming;
  const item = $(`d${number}`);
  if (item) describeItem(item);
  if (number === state.number) describe();
  count();
}

function count() {
  const named = state.namings.filter(isNamed).length;
  const not = state.namings.filter((naming) => naming.not_interpretable).length;
  $("bar").value = named / state.namings.length;
  $("progress").textContent = `${named} of ${state.namings.length} named` + (not ? `, ${not} of them not interpretable` : "");
  const labels = [...new Set(state.namings.map((naming) => naming.label).filter(Boolean))].sort((a, b) => a.localeCompare(b));
  $("labels").replaceChildren(...labels.map((label) => Object.assign(document.createElement("option"), { value: label })));
}

function saveLabel() {
  const label = $("label").value.trim();
  if (label !== state.namings[state.number].label) void save(state.number, { label });
  step(1);
  $("label").select();
}

function markNot() {
  const marked = state.namings[state.number].not_interpretable;
  void save(state.number, { not_interpretable: !marked });
  if (!marked) step(1);
}

function saveEnd(field, value) {
  const naming = state.namings[state.number];
  if (!Number.isFinite(value) || value === 0 || value < 0 !== (field === "t_min")) {
    tell("A range needs a lower end below 0 and an upper end above 0.", true);
    describe();
  } else if (rounded(value) !== rounded(naming[field])) {
    void save(state.number, { [field]: value });
  }
}

function endHere() {
  if (state.t !== 0) saveEnd(state.t < 0 ? "t_min" : "t_max", state.t);
  else tell("Move t away from 0 first.", true);
}

async function undo() {
  state.written += 1;
  try {
    const undone = await ask("/undo", { tab: state.tab });
    if (undone.number === null) {
      tell("There is nothing to undo in this tab.");
      return;
    }
    take(undone.number, undone.naming);
    state.mine.delete(undone.number);
    choose(undone.number);
    tell(`undone: ${nameOf(undone.number)}`);
  } catch (error) {
    tell(error.message, true);
    notice(error.message);
  }
}

/** Learn what other tabs and servers have written, and tell where they replaced what this tab had saved. */
async function poll() {
  const before = state.written;
  try {
    const names = await ask(`/names?version=${encodeURIComponent(state.version)}`);
    if (names && !state.writing && state.written === before) { // else it may be older than what this tab has just said
      state.version = names.version;
      names.namings.forEach(takeOthers);
    }
  } catch (error) {
    tell(error.message, true);
  }
  setTimeout(poll, POLL_MS);
}

function takeOthers(naming, number) {
  const changed = changedFields(state.namings[number], naming);
  if (!Object.keys(changed).length) return;
  const mine = state.mine.get(number) || {};
  if (Object.keys(changed).some((field) => field in mine && mine[field] !== naming[field])) {
    notice(`${nameOf(number)} was changed elsewhere after you had saved it: it is now ${inWords(naming)}.`);
    state.mine.delete(number);
  }
  take(number, naming);
}

// --- the address: what is looked at, so that it can be sent and comes back on reload --------------------------

function writeAddress() {
  const parts = { d: nameOf(state.number), t: state.t, codes: state.codes.join(",") };
  if (state.kept.length) parts.with = state.kept.map(({ number, t }) => `${nameOf(number)}@${t}`).join(",");
  const text = Object.entries(parts).map(([key, value]) => `${key}=${encodeURIComponent(value).replaceAll("%2F", "/").replaceAll("%2C", ",").replaceAll("%40", "@")}`);
  history.replaceState(null, "", `/#${text.join("&")}`);
}

function readAddress() {
  const query = new URLSearchParams(location.hash.slice(1));
  const numberOf = (name) => state.info.directions.findIndex((direction) => direction.name === name);
  const codes = (query.get("codes") || "").split(",").filter((code) => /^(s\d{1,18}\.\d{1,9}|p\d{1,6})$/.test(code));
  const kept = (query.get("with") || "").split(",").map((text) => {
    const at = text.lastIndexOf("@");
    return { number: numberOf(text.slice(0, at)), t: Number(text.slice(at + 1)) };
  });
  const t = query.has("t") ? Number(query.get("t")) : NaN;
  return {
    number: numberOf(query.get("d")),
    t: Number.isFinite(t) ? t : undefined,
    codes,
    kept: kept.filter((part) => part.number >= 0 && Number.isFinite(part.t)).slice(0, state.info.most_stacked - 1),
  };
}

// --- keys and controls --------------------------------------------------------------------------------------

const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  l: () => $("label").select(),
  Enter: () => $("label").select(),
  x: markNot,
  u: undo,
  n: newCodes,
  s: keepInStack,
  e: endHere,
  "[": () => setT(state.namings[state.number].t_min),
  "]": () => setT(state.namings[state.number].t_max),
  0: () => setT(0),
  " ": toggleUnshifted,
  "/": () => $("search").select(),
  "?": () => $("help").showModal(),
};
const OF_CONTROLS = { BUTTON: ["Enter", " "], SELECT: "all", INPUT: "all" };

function onKey(event) {
  if ($("help").open) return;
  const { target, key } = event;
  const isSlider = target.type === "range";
  if (key === "Escape" && target.tagName === "INPUT") target.blur();
  if ((event.ctrlKey || event.metaKey) && key === "z" && (isSlider || target.tagName !== "INPUT")) {
    event.preventDefault();
    void undo();
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const own = isSlider ? [] : OF_CONTROLS[target.tagName] || [];
  if (own === "all" || own.includes(key)) return;
  if (key === "ArrowLeft" || key === "ArrowRight") {
    if (isSlider) return;
    event.preventDefault();
    moveT((key === "ArrowLeft" ? -1 : 1) * (event.shiftKey ? 25 : 5));
  } else if (target === $("items") && (key === "ArrowDown" || key === "ArrowUp")) {
    event.preventDefault();
    step(key === "ArrowDown" ? 1 : -1);
  } else if (Object.hasOwn(KEYS, key)) {
    event.preventDefault();
    KEYS[key]();
  }
}

function bind() {
  const on = (id, kind, work) => $(id).addEventListener(kind, work);
  document.addEventListener("keydown", onKey);
  on("open-help", "click", () => $("help").showModal());
  for (const id of ["search", "by-set", "by-state"]) on(id, "input", filter);
  on("search", "keydown", (event) => {
    if (event.key === "Enter" && state.shown.length) {
      choose(state.shown[0]);
      $("search").blur();
    }
  });
  on("t", "input", () => setT(fromUnits(Number($("t").value))));
  on("t-typed", "change", () => Number.isFinite($("t-typed").valueAsNumber) && setT($("t-typed").valueAsNumber));
  for (const [slider, typed, field] of [["low", "low-typed", "t_min"], ["high", "high-typed", "t_max"]]) {
    on(slider, "input", () => {
      const value = fromUnits(Number($(slider).value));
      drawRange({ ...state.namings[state.number], [field]: value });
      setT(value);
    });
    on(slider, "change", () => saveEnd(field, fromUnits(Number($(slider).value))));
    on(typed, "change", () => saveEnd(field, $(typed).valueAsNumber));
  }
  on("end-here", "click", endHere);
  on("unshifted", "click", toggleUnshifted);
  on("stack-this", "click", keepInStack);
  on("naming", "submit", (event) => {
    event.preventDefault();
    saveLabel();
  });
  on("not", "click", markNot);
  on("previous", "click", () => step(-1));
  on("next", "click", () => step(1));
  on("undo", "click", undo);
  on("new-codes", "click", newCodes);
  for (const id of ["seed", "index", "many"]) on(id, "change", typedCodes);
  on("photo", "change", addPhoto);
  addEventListener("resize", () => show());
}

// --- the beginning ------------------------------------------------------------------------------------------

function fill() {
  const { info } = state;
  $("generator").textContent = info.generator;
  const sets = [...new Set(info.directions.map(setOf))];
  $("by-set").replaceChildren(new Option("all sets", ""), ...sets.map((each) => new Option(each, each)));
  $("by-set").hidden = sets.length < 2;
  $("photo-choice").hidden = !info.photos.length;
  $("photo").replaceChildren(new Option("add …", ""), ...info.photos.map((each, place) => new Option(`${each.name} (${each.space})`, `p${place}`)));
  $("kept").textContent = `Names and ranges go into ${info.kept.length > 3 ? `${info.kept.length} sets' files` : info.kept.join(", ")}.`;
  $("seed").value = info.seed;
  $("index").value = 0;
  $("many").value = Math.min(6, info.most_codes);
  const width = info.size[1];
  $("frames").style.setProperty("--cell", `${Math.min(320, Math.max(150, width))}px`);
}

async function start() {
  if (location.search) history.replaceState(null, "", `/${location.hash}`); // the token is in a cookie by now
  try {
    const info = await ask("/state");
    Object.assign(state, { info, namings: info.namings, version: info.version });
  } catch (error) {
    tell(error.message, true);
    return;
  }
  fill();
  const before = readAddress();
  const codes = before.codes.length ? before.codes : samples(state.info.seed, 0, Number($("many").value));
  state.codes = codes.slice(0, state.info.most_codes);
  state.kept = before.kept;
  figures(state.codes);
  filter();
  const open = state.namings.findIndex((naming) => !isNamed(naming));
  count();
  bind();
  choose(before.number >= 0 ? before.number : Math.max(0, open), before.t);
  setTimeout(poll, POLL_MS);
}

void start();
