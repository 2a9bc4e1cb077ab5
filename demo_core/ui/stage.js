// The stage: plays, scrubs and draws a reel (demo_core/reel.py) without asking the server.
// Runs as gr.HTML's js_on_load, which gives it: element, props, watch.
const SIDE = 448, PACE = 220, TOUR_PACE = 320;
const NAMES = ["clean", "attacked", "defended"];
const CIVIDIS = [[0, 34, 78], [65, 77, 107], [124, 123, 120], [188, 175, 111], [254, 232, 56]];
const $ = (selector) => element.querySelector(selector);
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const percent = (share) => (100 * share).toFixed(1) + " %";

let reel = null, now = 0, timer = null, photo = null, photoSource = "", means = null, touring = -1, stale = false, asked = "";
const left = new Set();

function text(node, words) { if (node.textContent !== words) node.textContent = words; }

function make(tag, attributes = {}, words = "") {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (words) node.textContent = words;
  return node;
}

function draw(svg, tag, attributes, words = "") {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (words) node.textContent = words;
  svg.append(node);
  return node;
}

// ---------------------------------------------------------------- what is known at a moment

// The bytes of a frame's perturbation.
async function inflated(frame) {
  const packed = Uint8Array.from(atob(frame.delta), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Int8Array(await new Response(stream).arrayBuffer());
}

// The perturbation of a frame, plane by plane, from the bytes that came with it and the earlier frames of its act (see
// Grid.packed in reel.py).
function unpacked(bytes, frame, earlier) {
  const before = earlier.at(-1), top = frame.levels;
  if (frame.weights) {
    const sum = new Float64Array(bytes.length);
    earlier.forEach((values, step) => { for (let i = 0; i < sum.length; i++) sum[i] += frame.weights[step] * values[i]; });
    for (let i = 0; i < sum.length; i++) bytes[i] += Math.floor(sum[i] + 0.5);
  } else if (before && frame.stride) {
    const found = bytes.subarray(bytes.length - before.length);
    for (let i = 0; i < found.length; i++)
      found[i] += clamp(before[i] + (bytes[i >> 3] >> (7 - i & 7) & 1 ? frame.stride : -frame.stride), -top, top);
    return found.slice();
  } else if (before) for (let i = 0; i < bytes.length; i++) bytes[i] += before[i];
  return bytes;
}

// Gives every frame that has none its perturbation: all of them are kept, so that going back and forth is instant.
async function unpack(frames) {
  const bytes = await Promise.all(frames.map((f) => (f.delta && !f.values ? inflated(f) : null)));
  frames.forEach((frame, i) => {
    if (bytes[i]) frame.values = unpacked(bytes[i], frame, frames.slice(0, i).filter((f) => f.act === frame.act).map((f) => f.values));
    frame.delta = "";
  });
}

// The newest frame of an act that is not after this moment.
function latest(act, until = now) {
  for (let i = Math.min(until, reel.frames.length - 1); i >= 0; i--) if (reel.frames[i].act === act) return i;
  return -1;
}

// The perturbations, as [levels, grey levels that one of them stands for], that make up a picture by its name.
function parts(name) {
  const attack = latest(1), defence = latest(3);
  if (name === "clean") return [];
  if (name === "attacked") return attack < 0 ? null : [layer(attack)];
  if (defence < 0) return null;
  return reel.control || attack < 0 ? [layer(defence)] : [layer(attack), layer(defence)];
}

function layer(index) { return [reel.frames[index].values, reel.frames[index].scale / reel.frames[index].levels]; }

// ---------------------------------------------------------------- pictures

function choose(select) { return select.value === "now" ? newest() : select.value; }
function newest() { return latest(3) >= 0 ? "defended" : latest(1) >= 0 ? "attacked" : "clean"; }

function paint(canvas, name) {
  const found = photo && parts(name), context = canvas.getContext("2d");
  canvas.setAttribute("aria-label", found ? "the " + name + " picture" : "the " + name + " picture is not there yet");
  canvas.classList.toggle("empty", !found);
  if (!found) return context.clearRect(0, 0, SIDE, SIDE);
  const size = reel.size, block = SIDE / size, out = new ImageData(SIDE, SIDE), plane = size * size, grid = new Float32Array(plane * 3);
  for (const [levels, unit] of found) for (let i = 0; i < grid.length; i++) grid[i] += levels[i] * unit;
  const sees = $(".sees").checked;
  for (let y = 0, to = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++, to += 4) {
      const from = Math.floor(y / block) * size + Math.floor(x / block);
      for (let c = 0; c < 3; c++) out.data[to + c] = (sees ? means[from + c * plane] : photo[to + c]) + grid[from + c * plane];
      out.data[to + 3] = 255;
    }
  }
  context.putImageData(out, 0, 0);
}

function blockMeans() {
  const size = reel.size, block = SIDE / size;
  means = new Float32Array(size * size * 3);
  for (let y = 0; y < SIDE; y++) for (let x = 0; x < SIDE; x++) for (let c = 0; c < 3; c++)
    means[(c * size + Math.floor(y / block)) * size + Math.floor(x / block)] += photo[4 * (y * SIDE + x) + c] / block / block;
}

function loadPhoto() {
  if (reel.photo === photoSource) {
    if (photo && means.length !== 3 * reel.size ** 2) blockMeans();  // another model, another grid
    return;
  }
  photo = null;
  const source = photoSource = reel.photo, image = new Image();
  image.onload = () => {
    if (source !== photoSource) return;
    const canvas = make("canvas", { width: SIDE, height: SIDE }), context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0, SIDE, SIDE);
    photo = context.getImageData(0, 0, SIDE, SIDE).data;
    blockMeans();
    show();
  };
  image.src = source;
}

function paintDelta() {
  const index = reel.frames[now].act === 3 ? latest(3) : latest(1), canvas = $(".delta"), size = reel.size, mode = $(".mode").value;
  canvas.width = canvas.height = size;
  const out = new ImageData(size, size), plane = size * size, [values, unit] = index < 0 ? [new Int8Array(plane * 3), 0] : layer(index);
  const top = index < 0 ? 127 : reel.frames[index].levels;
  for (let i = 0; i < plane; i++) {
    const at = [values[i], values[i + plane], values[i + 2 * plane]];
    if (mode === "heat") {
      const strength = 4 * at.reduce((sum, v) => sum + Math.abs(v), 0) / (3 * top), low = Math.min(Math.floor(strength), 3);
      for (let c = 0; c < 3; c++) out.data[4 * i + c] = CIVIDIS[low][c] + (CIVIDIS[low + 1][c] - CIVIDIS[low][c]) * (strength - low);
    } else for (let c = 0; c < 3; c++) out.data[4 * i + c] = 128 + at[c] * (mode === "ten" ? 10 * unit : 127 / top);
    out.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(out, 0, 0);
  const by = index < 0 ? "none yet" : reel.frames[index].by;
  const words = index < 0 || !by ? by || "none: no counterattack" : by + ", at most " + +reel.frames[index].scale.toFixed(2) + "/255";
  text($(".delta-note"), words);
  canvas.setAttribute("aria-label", "the perturbation: " + words);
}

// ---------------------------------------------------------------- predictions

function showPredictions() {
  const places = { clean: 0, attacked: latest(1), defended: latest(3) };
  for (const name of reel.control ? ["clean", "defended"] : NAMES) {
    const section = $(".predictions ." + name), frame = places[name] < 0 ? null : reel.frames[places[name]];
    for (let row = 0; row < 6; row++) {
      const line = section.children[row + 1], found = frame?.top[row];
      line.hidden = !found;
      if (!found) continue;
      text(line.children[0], reel.labels[found[0]]);
      text(line.children[1], percent(found[1]));
      line.children[2].firstChild.style.width = 100 * found[1] + "%";
    }
    section.lastChild.hidden = Boolean(frame);
  }
}

function buildPredictions(control) {
  const key = String(control);
  if ($(".predictions").dataset.key === key) return;
  $(".predictions").dataset.key = key;
  $(".predictions").replaceChildren(...(control ? ["clean", "defended"] : NAMES).map((name) => {
    const section = make("section", { class: name, "aria-label": "predictions, " + name });
    section.append(make("h3", {}, control && name === "defended" ? "defended, without any attack" : name));
    for (let row = 0; row < 6; row++) {
      const line = make("div", { class: row ? "row" : "row top" });
      line.append(make("span", { class: "name" }), make("span", { class: "value" }), make("span", { class: "bar" }));
      line.children[2].append(make("i"));
      section.append(line);
    }
    section.append(make("p", { class: "small" }, "not yet"));
    return section;
  }));
}

// ---------------------------------------------------------------- plots

// Axes drawn by the server, and a layer of our own above them, in the same coordinates.
function plot(name) {
  const holder = $("." + name + " .axes");
  if (holder.dataset.svg !== reel[name].svg) {
    holder.dataset.svg = reel[name].svg;
    holder.innerHTML = reel[name].svg;
    const axes = holder.querySelector("svg"), above = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    axes.setAttribute("aria-hidden", "true");
    axes.removeAttribute("role");
    above.setAttribute("viewBox", axes.getAttribute("viewBox"));
    above.setAttribute("role", "img");
    above.classList.add("above");
    holder.append(above);
  }
  const above = holder.querySelector(".above");
  above.setAttribute("aria-label", reel.said[name]);
  above.replaceChildren();
  return above;
}

function scaled(box) {
  const [x0, x1, y0, y1, left, right, bottom, top] = box;
  return (x, y) => [left + (x - x0) / (x1 - x0) * (right - left), bottom + (y - y0) / (y1 - y0) * (top - bottom)];
}

function line(svg, points, attributes) {
  if (points.length) draw(svg, "polyline", { points: points.map((p) => p.join()).join(" "), fill: "none", ...attributes });
}

function marker(svg, shape, [x, y], size, attributes) {
  if (shape === "circle") return draw(svg, "circle", { cx: x, cy: y, r: size, ...attributes });
  if (shape === "square") return draw(svg, "rect", { x: x - size, y: y - size, width: 2 * size, height: 2 * size, ...attributes });
  return draw(svg, "path", { d: "M" + x + " " + (y - size) + "l" + size + " " + 1.8 * size + "h" + -2 * size + "z", ...attributes });
}

function drawDrift() {
  const svg = plot("drift"), box = reel.drift.boxes[0], at = scaled(box);
  const steps = reel.frames.find((f) => f.act === 1)?.of ?? 0, first = reel.control ? 0 : steps + 1;
  const place = (frame) => (frame.act === 1 ? frame.step : first + frame.step);
  for (const [act, field, kind, shape] of [[1, "drift", "attacked", "circle"], [3, "drift", "defended", "square"], [3, "push", "defended from", "triangle"]]) {
    if (reel.control && field === "drift" && act === 3) continue;
    const frames = reel.frames.map((f, i) => [f, i]).filter(([f]) => f.act === act), points = frames.map(([f]) => at(place(f), f[field]));
    const shown = points.filter((_, i) => frames[i][1] <= now);
    line(svg, points, { class: kind + " later" });
    line(svg, shown, { class: kind });
    points.forEach((p, i) => marker(svg, shape, p, frames[i][1] === now ? 5 : 2.6, { class: kind + " mark" + (frames[i][1] > now ? " later" : "") }));
  }
  const frame = reel.frames[now];
  if (frame.act === 1 || frame.act === 3) {
    const [x] = at(place(frame), 0);
    draw(svg, "line", { class: "cursor", x1: x, x2: x, y1: box[6], y2: box[7] });
  }
}

function drawSignal() {
  const svg = plot("signal"), tested = latest(2) >= 0;
  reel.signal.boxes.forEach((box, signal) => {
    const at = scaled(box);
    for (const [row, name, shape] of [[1, "clean", "circle"], [0, "attacked", "square"]]) {
      if (!reel.signals[name] || (name === "attacked" && !tested)) continue;
      const value = reel.signals[name][signal], [x, y] = at(value, row), leftwards = x > box[4] + 0.7 * (box[5] - box[4]);
      marker(svg, shape, [x, y], 4.5, { class: name + " mark" });
      draw(svg, "text", { x: x + (leftwards ? -9 : 9), y: y + 3.5, "text-anchor": leftwards ? "end" : "start", class: "halo" }, name + " " + value.toFixed(3));
    }
  });
}

function drawMap() {
  const holder = $(".map .axes"), wide = 345.6, high = 216, middle = [wide / 2, high / 2], reach = 84;
  if (!holder.firstChild) {
    const fresh = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    fresh.setAttribute("viewBox", "0 0 " + wide + " " + high);
    fresh.setAttribute("role", "img");
    holder.append(fresh);
  }
  const svg = holder.firstChild;
  svg.setAttribute("aria-label", reel.said.map);
  svg.replaceChildren();
  draw(svg, "circle", { cx: middle[0], cy: middle[1], r: reach, class: "rim" });
  if (!reel.map) return void draw(svg, "text", { x: middle[0], y: middle[1], "text-anchor": "middle" }, "drawn when the run has ended");
  const longest = Math.max(...reel.map.points.map(([x, y]) => Math.hypot(x, y)), 1e-9);
  const at = ([x, y]) => [middle[0] + x / longest * reach * 0.94, middle[1] - y / longest * reach * 0.94];
  const taken = [];
  for (const [index, x, y] of reel.map.labels) {
    const tip = [middle[0] + x * reach, middle[1] - y * reach];
    draw(svg, "line", { x1: middle[0], y1: middle[1], x2: tip[0], y2: tip[1], class: "towards" });
    const angle = Math.atan2(-y, x), lx = middle[0] + Math.cos(angle) * (reach + 6);
    let ly = clamp(middle[1] + Math.sin(angle) * (reach + 8) + 3, 10, high - 4);
    const way = ly > middle[1] ? -11 : 11;
    for (let tries = 0; tries < 9 && taken.some(([a, b]) => Math.abs(a - lx) < 60 && Math.abs(b - ly) < 11); tries++) ly += way;
    taken.push([lx, ly]);
    draw(svg, "text", { x: lx, y: ly, "text-anchor": Math.cos(angle) < 0 ? "end" : "start", class: "halo" }, "→ " + reel.labels[index]);
  }
  const points = reel.map.points.map(at), acts = reel.frames.map((f) => f.act), end = acts.lastIndexOf(1), start = Math.max(end, 0);
  for (const [kind, path] of [["attacked", points.slice(0, start + 1)], ["defended", points.slice(start)]]) line(svg, path, { class: kind + " later" });
  line(svg, points.slice(0, Math.min(now, start) + 1), { class: "attacked" });
  if (now > start) line(svg, points.slice(start, now + 1), { class: "defended" });
  marker(svg, "circle", points[0], 4, { class: "clean mark" });
  if (end > 0) marker(svg, "square", points[end], 3.5, { class: "attacked mark" + (now < end ? " later" : "") });
  const here = points[now];
  marker(svg, "circle", here, 6, { class: "here" });
  text($(".map .kept"), percent(reel.map.kept));
}

// ---------------------------------------------------------------- tables

function table(heads, rows) {
  const found = make("table", { class: "numbers" }), head = make("tr"), top = make("thead"), body = make("tbody");
  heads.forEach((words) => head.append(make("th", { scope: "col" }, words)));
  top.append(head);
  for (const row of rows) {
    const tr = make("tr");
    row.forEach((words) => tr.append(make("td", {}, words)));
    body.append(tr);
  }
  found.append(top, body);
  return found;
}

function buildTables() {
  const act = (f) => reel.acts[f.act], fixed = (v) => (v === null || v === undefined ? "" : v.toFixed(3));
  const step = (f) => (f.act === 1 || f.act === 3 ? (f.act === 3 && f.step > f.of ? "end" : String(f.step)) : "");
  const put = (name, ...rest) => $("." + name + " .scroll").replaceChildren(table(...rest));
  put("drift", ["act", "step", "drift from clean", "drift from where it began", "CLIP says", "probability"],
    reel.frames.map((f) => [act(f), step(f), fixed(f.drift), fixed(f.push), reel.labels[f.top[0][0]], percent(f.top[0][1])]));
  put("signal", ["picture", ...reel.signals.names],
    ["clean", "attacked"].filter((name) => reel.signals[name]).map((name) => [name, ...reel.signals[name].map(fixed)]));
  put("map", ["act", "step", "x", "y"], reel.map ? reel.frames.map((f, i) => [act(f), step(f), ...reel.map.points[i].map(fixed)]) : []);
}

// ---------------------------------------------------------------- the moment

function show() {
  if (!reel) return;
  const frame = reel.frames[now], final = reel.done && now === reel.frames.length - 1;
  text($(".say"), final ? reel.verdict.text : frame.say);
  text($(".note"), stale ? "An earlier run: picture, labels or model have changed since." : reel.verdict.note);
  const verdict = $(".verdict");
  verdict.className = "verdict " + (final ? reel.verdict.tone : "wait");
  paint($(".left"), choose($(".pick-left")));
  paint($(".right"), choose($(".pick-right")));
  paintDelta();
  showPredictions();
  drawDrift();
  drawSignal();
  drawMap();
  const scrub = $(".scrub"), step = frame.of ? (frame.step > frame.of ? ", the end" : ", step " + frame.step + " of " + frame.of) : "";
  scrub.max = reel.frames.length - 1;
  scrub.value = now;
  scrub.setAttribute("aria-valuetext", reel.acts[frame.act] + step);
  text($(".moment"), reel.acts[frame.act] + step);
  [...$(".acts").querySelectorAll(".act")].forEach((button, act) => {
    button.setAttribute("aria-pressed", String(act === frame.act));
    button.disabled = !reel.frames.some((f) => f.act === act);
  });
  $(".stage").dataset.frame = now;
  $(".stage").dataset.done = reel.done;
}

function goTo(moment) { now = clamp(moment, 0, reel.frames.length - 1); show(); }

function pause() {
  clearInterval(timer);
  timer = null;
  $(".play").textContent = "▶";
  $(".play").setAttribute("aria-label", "play");
}

function play(from, to, pace) {
  pause();
  goTo(from);
  $(".play").textContent = "⏸";
  $(".play").setAttribute("aria-label", "pause");
  timer = setInterval(() => (now >= to ? pause() : goTo(now + 1)), pace);
}

// What came last, joined to what was there: a message holds the frames from `since` on, and of all else what has changed.
// null where one was missed; then the whole is asked for.
function joined(given) {
  const known = given.since ? reel?.run === given.run && reel.frames : [];
  if (known && given.since <= known.length)
    return { ...(given.since ? reel : {}), ...given, frames: [...known.slice(0, given.since), ...given.frames.map((f) => ({ ...f }))] };
  if (asked !== given.run + given.since) trigger("submit");
  asked = given.run + given.since;
  return null;
}

async function receive(given) {
  if (!given || !given.frames || (left.has(given.run) && !given.stopped)) return;  // a frame of a run that was left or stopped
  if (given.stopped) left.add(given.run);
  if (reel?.live && reel.run !== given.run) left.add(reel.run);
  const found = joined(given);
  if (!found) return;
  await unpack(found.frames);
  const grown = reel && found.run === reel.run && found.frames.length > reel.frames.length;
  stale = false;
  pause();
  if (reel && !grown && matchMedia("(max-width: 900px)").matches) element.scrollIntoView({ block: "start" });
  reel = found;
  $(".stage").classList.remove("waiting");
  buildPredictions(reel.control);
  loadPhoto();
  now = reel.frames.length - 1;
  buildTables();
  show();
  text($(".announced"), reel.done ? reel.verdict.text : "");
  if (touring >= 0) tour(-1);
}

// One after the other: unpacking takes a moment.
let received = Promise.resolve();
function listen() {
  const given = props.value;
  received = received.then(() => receive(given)).catch((error) => console.error(error));
}

// ---------------------------------------------------------------- the tour

function share() { return (reel.frames[0].top[0][1] * 100).toFixed(0) + " %"; }

const TOUR = [
  { act: 0, lit: "compare predictions", words: () => "CLIP turns the picture into a list of numbers, its embedding, and does the same with every label. It picks the label that points the same way. Here that is “" + reel.labels[reel.frames[0].top[0][0]] + "”, with " + share() + "." },
  { act: 1, lit: "compare change predictions", words: () => reel.control ? "In this run nobody attacks: it is the control." : "The attacker asks the model itself which way to push each pixel so that it errs, and takes small steps that way. No pixel moves by more than " + +reel.budgets[0].toFixed(2) + " of 255 grey levels. Pull the divider over the picture: can you see it? Beside it stands all that he added, made visible." },
  { act: 2, lit: "signal", words: () => "Before anything is done, the picture is tested: it is moved by one pixel and mirrored, or given a little noise, and we look how far its embedding moves. An attacked picture stands on a needle’s point, and it shows. Below: this picture’s point, before the hills that thousands of clean and attacked pictures make." },
  { act: 3, lit: "drift map predictions", words: () => !reel.frames.some((f) => f.act === 3 && f.step <= f.of) ? "The gate stayed shut, so this picture was not counterattacked. " + reel.frames[reel.frames.length - 1].say : "Nobody trains anything. The same frozen model takes a few steps of its own and pushes the embedding away from where the attacker left it; it may move each pixel by up to " + +reel.budgets[1].toFixed(2) + " grey levels. " + reel.frames[reel.frames.length - 1].say },
  { act: -1, lit: "", words: () => "Choose a preset, another attack, or your own picture. Try the failure and the attacker who knows the defence as well: a defence is worth what it withstands." },
];

function tour(stop) {
  if (stop < 0 && $(".tour").contains(document.activeElement)) setTimeout(() => $(".start-tour").focus());
  touring = stop;
  const on = stop >= 0, here = TOUR[stop];
  $(".tour").hidden = !on;
  $(".stage").classList.toggle("touring", on && Boolean(here.lit));
  for (const node of element.querySelectorAll(".compare, .change, .predictions, .plot")) node.classList.toggle("lit", on && here.lit.split(" ").some((name) => name && node.classList.contains(name)));
  if (!on) return;
  text($(".tour-title"), here.act < 0 ? "Your turn" : (here.act + 1) + " of 4: " + reel.acts[here.act]);
  text($(".tour-text"), here.words());
  $(".tour-back").disabled = stop === 0;
  text($(".tour-next"), stop === TOUR.length - 1 ? "Done" : "Next");
  const from = reel.frames.findIndex((f) => f.act === here.act), to = latest(here.act, 1e9);
  if (from >= 0) play(from, to, TOUR_PACE);
  $(".tour-title").focus({ preventScroll: true });
  element.querySelector(".lit")?.scrollIntoView({ block: "start" });
}

// ---------------------------------------------------------------- wiring

["The picture", "The attack", "The test", "The counterattack"].forEach((title, act) => {
  const button = make("button", { type: "button", class: "act", "aria-pressed": "false", disabled: "" });
  button.append(make("b", {}, act + 1), " " + title);
  button.addEventListener("click", () => play(reel.frames.findIndex((f) => f.act === act), latest(act, 1e9), PACE));
  $(".acts").append(button);
});
$(".acts").append(make("button", { type: "button", class: "start-tour" }, "Guided tour"));
$(".start-tour").addEventListener("click", () => reel && tour(touring < 0 ? 0 : -1));
$(".tour-next").addEventListener("click", () => tour(touring === TOUR.length - 1 ? -1 : touring + 1));
$(".tour-back").addEventListener("click", () => tour(touring - 1));
$(".tour-end").addEventListener("click", () => tour(-1));
for (const [name, chosen] of [["left", "clean"], ["right", "now"]]) {
  for (const [value, words] of [["clean", "clean"], ["attacked", "attacked"], ["defended", "defended"], ["now", "at this moment"]])
    $(".pick-" + name).append(make("option", value === chosen ? { value, selected: "" } : { value }, words));
  $(".pick-" + name).addEventListener("change", show);
}
$(".sees").addEventListener("change", show);
$(".mode").addEventListener("change", show);
$(".scrub").addEventListener("input", (event) => { if (reel) { pause(); goTo(+event.target.value); } });
$(".play").addEventListener("click", () => reel && (timer ? pause() : play(now === reel.frames.length - 1 ? 0 : now, reel.frames.length - 1, PACE)));
$(".split").addEventListener("input", (event) => $(".canvases").style.setProperty("--split", event.target.value + "%"));
$(".stage").addEventListener("stale", () => { if (reel) { stale = true; show(); } });
document.addEventListener("input", (event) => { if (event.target.closest("#labels, #template")) $(".stage").dispatchEvent(new Event("stale")); });
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && touring >= 0) tour(-1);
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step || !reel || !(event.target === document.body || element.contains(event.target)) || event.altKey || event.ctrlKey || event.metaKey
    || event.target.closest?.("input, select, textarea, .scroll")) return;
  event.preventDefault();
  pause();
  goTo(now + step);
});
buildPredictions(false);  // empty: the place of what will come
watch("value", listen);
listen();
