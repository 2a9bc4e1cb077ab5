// The stage: plays, scrubs and draws a reel (demo_core/story/reel.py) without asking the server.
// Runs as gr.HTML's js_on_load, which gives it: element, props, watch. All that it says comes with the page or the reel.
const ACT_TIME = 3600, MOMENT = [220, 2600], REST = 900;  // ms: of an act, of one of its moments, and at its end
const WORD = 5.2, LONG = 24;  // of a plot: the width of a letter, and the letters of a label that there is room for
const CIVIDIS = [[0, 34, 78], [65, 77, 107], [124, 123, 120], [188, 175, 111], [254, 232, 56]];
const $ = (selector) => element.querySelector(selector);
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const percent = (share) => (share < 1 && share >= 0.9995 ? ">\u00a099.9" : (100 * share).toFixed(1)) + "\u00a0%";

const calm = matchMedia("(prefers-reduced-motion: reduce)");
let page = null, reel = null, now = 0, timer = null, photo = null, photoSource = "", means = null, touring = -1, stale = false, asked = "", coded = "", asking = false, at_work = false;
const left = new Set(), drawn = {};

// One of the page's own sentences, at the depth that is chosen where it has words of its own for it, with the values in their places.
function say(key, values = {}) { return (page.words[key + "_" + depth] ?? page.words[key]).replace(/\{(\w+)\}/g, (_, name) => values[name]); }

function shortened(label) { return label.length > LONG ? label.slice(0, LONG - 1) + "…" : label; }

function text(node, words) { if (node.textContent !== words) node.textContent = words; }

// The same, with a note at the first of each term in it.
function told(node, words) {
  if (node.textContent === words) return;
  const known = new Set();
  let last = 0;
  node.replaceChildren();
  for (const { 0: written, index } of words.matchAll(new RegExp(page.terms.pattern, "gi"))) {
    const key = page.terms.keys[written.toLowerCase()];
    if (known.has(key)) continue;
    known.add(key);
    node.append(words.slice(last, index), make("button", { type: "button", class: "term", "data-term": key }, written));
    last = index + written.length;
  }
  node.append(words.slice(last));
}

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

// The perturbation of a frame, plane by plane, from the bytes that came with it and the earlier frames of its act that are
// written in the same unit (see grid.py).
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
    if (bytes[i]) frame.values = unpacked(bytes[i], frame, frames.slice(0, i).filter((f) => f.act === frame.act && f.scale === frame.scale).map((f) => f.values));
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

function paint(canvas, name, label = "") {
  const found = photo && parts(name), context = canvas.getContext("2d"), side = page.side;
  canvas.setAttribute("aria-label", label || say(found ? "picture" : "no_picture", { name }));
  canvas.classList.toggle("empty", !found);
  if (!found) return context.clearRect(0, 0, side, side);
  const size = reel.size, block = side / size, out = new ImageData(side, side), plane = size * size, grid = new Float32Array(plane * 3);
  for (const [levels, unit] of found) for (let i = 0; i < grid.length; i++) grid[i] += levels[i] * unit;
  const sees = $(".sees").checked;
  for (let y = 0, to = 0; y < side; y++) {
    for (let x = 0; x < side; x++, to += 4) {
      const from = Math.floor(y / block) * size + Math.floor(x / block);
      for (let c = 0; c < 3; c++) out.data[to + c] = (sees ? means[from + c * plane] : photo[to + c]) + grid[from + c * plane];
      out.data[to + 3] = 255;
    }
  }
  context.putImageData(out, 0, 0);
}

function blockMeans() {
  const size = reel.size, side = page.side, block = side / size;
  means = new Float32Array(size * size * 3);
  for (let y = 0; y < side; y++) for (let x = 0; x < side; x++) for (let c = 0; c < 3; c++)
    means[(c * size + Math.floor(y / block)) * size + Math.floor(x / block)] += photo[4 * (y * side + x) + c] / block / block;
}

function loadPhoto() {
  if (reel.photo === photoSource) {
    if (photo && means.length !== 3 * reel.size ** 2) blockMeans();  // another model, another grid
    return;
  }
  photo = null;
  const source = photoSource = reel.photo, image = new Image(), side = page.side;
  image.onload = () => {
    if (source !== photoSource) return;
    const canvas = make("canvas", { width: side, height: side }), context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0, side, side);
    photo = context.getImageData(0, 0, side, side).data;
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
  const { by, scale } = reel.frames[index] ?? {};
  const words = index < 0 ? say("no_delta") : by ? say(scale > 128 ? "delta_any" : "delta", { by, most: +scale.toFixed(2) }) : say("left_alone");
  text($(".delta-note"), words);
  canvas.setAttribute("aria-label", say("delta_label", { words }));
}

// ---------------------------------------------------------------- predictions

function shownPictures(control) { return page.pictures.filter((name) => !control || name !== "attacked"); }

function showPredictions() {
  const places = { clean: 0, attacked: latest(1), defended: latest(3) };
  for (const name of shownPictures(reel.control)) {
    const section = $(".predictions ." + name), frame = places[name] < 0 ? null : reel.frames[places[name]];
    for (let row = 0; row < page.rows; row++) {
      const line = section.children[row + 1], found = frame?.top[row];
      line.hidden = !found;
      if (!found) continue;
      text(line.children[0], reel.labels[found[0]]);
      line.children[0].title = reel.labels[found[0]];
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
  $(".predictions").replaceChildren(...shownPictures(control).map((name) => {
    const section = make("section", { class: name, "aria-label": say("predictions", { name }) });
    section.append(make("h3", {}, control && name === "defended" ? say("control", { name }) : name));
    for (let row = 0; row < page.rows; row++) {
      const line = make("div", { class: row ? "row" : "row top" });
      line.append(make("span", { class: "name" }), make("span", { class: "value" }), make("span", { class: "bar" }));
      line.children[2].append(make("i"));
      section.append(line);
    }
    section.append(make("p", { class: "small" }, say("not_yet")));
    return section;
  }));
}

// ---------------------------------------------------------------- embeddings, and the test

const COLUMNS = 160, NUDGE = 44;
const BELOW = [0, 114, 178], ABOVE = [213, 94, 0], AGREE = [0, 158, 115], NOT = [120, 120, 120];

function numbersOf(strip) {
  const levels = () => Int8Array.from(atob(strip.bytes), (c) => c.charCodeAt(0));
  return strip.numbers ??= Float32Array.from(levels(), (level) => level * strip.largest / 127);  // read once
}

// Numbers as small squares, the stronger the further from nought; colours: of those below and of those above.
function paintStrip(canvas, numbers, below, above, label) {
  const rows = Math.ceil(numbers.length / COLUMNS), most = numbers.reduce((top, v) => Math.max(top, Math.abs(v)), 1e-9);
  canvas.width = COLUMNS;
  canvas.height = rows;
  canvas.setAttribute("aria-label", label);
  const out = new ImageData(COLUMNS, rows);
  numbers.forEach((value, i) => out.data.set([...(value < 0 ? below : above), 255 * Math.sqrt(Math.abs(value) / most)], 4 * i));
  canvas.getContext("2d").putImageData(out, 0, 0);
}

function showStrips() {
  const known = Object.keys(reel.strips), frame = reel.frames[now], select = $(".strip-label"), best = String(frame.top[0][0]);
  if (select.dataset.labels !== known.join()) {
    select.dataset.labels = known.join();
    const kept = select.value;
    select.replaceChildren(make("option", { value: "" }, say("now")), ...known.map((i) => make("option", { value: i }, reel.labels[i])));
    select.value = known.includes(kept) ? kept : "";
  }
  const chosen = select.value || best, mine = numbersOf(frame.strip), cosine = {};
  for (const i of known) cosine[i] = numbersOf(reel.strips[i]).reduce((sum, v, d) => sum + v * mine[d], 0);
  const its = numbersOf(reel.strips[chosen]), nearest = known.reduce((a, b) => (cosine[a] >= cosine[b] ? a : b));
  paintStrip($(".strip-picture"), mine, BELOW, ABOVE, say("strip_name", { name: say("strip_picture") }));
  paintStrip($(".strip-text"), its, BELOW, ABOVE, say("strip_name", { name: reel.labels[chosen] }));
  paintStrip($(".strip-product"), its.map((v, d) => v * mine[d]), NOT, AGREE, say("strip_agree"));
  const values = { count: mine.length, cosine: cosine[chosen].toFixed(3), best: reel.labels[nearest], most: cosine[nearest].toFixed(3) };
  told($(".strip-said"), [say("strip_said", values), frame.bars].join(" ").trim());
}

// The pictures that the test looks at, small, with what CLIP says of each.
function showNudges() {
  const rows = $(".nudge-rows"), tested = latest(2) >= 0 || reel.control;
  const names = Object.keys(reel.nudges).filter((name) => name === "clean" || tested);
  const key = photoSource.length + names.join() + JSON.stringify(reel.nudges) + Boolean(photo) + depth;
  if (rows.dataset.key === key || !photo) return;
  rows.dataset.key = key;
  rows.replaceChildren(...names.map((name) => {
    const row = make("div", { class: "nudge-row" }), own = make("canvas", { width: page.side, height: page.side });
    const first = reel.frames[name === "clean" ? 0 : latest(1)].top[0][0];
    paint(own, name);
    row.append(make("b", { class: "key " + name }, say("nudge_picture", { name })));
    for (const [view, drift, label] of reel.nudges[name]) {
      const part = make("span", { class: label === first ? "nudge" : "nudge turned" }), small = make("canvas", { width: NUDGE, height: NUDGE, "aria-hidden": "true" });
      const context = small.getContext("2d"), by = NUDGE / reel.size * 4, [dx, dy] = view.includes("left") ? [-by, 0] : view.includes("right") ? [by, 0] : view.includes("up") ? [0, -by] : view.includes("down") ? [0, by] : [0, 0];
      if (view === "mirrored") context.setTransform(-1, 0, 0, 1, NUDGE, 0);
      context.drawImage(own, dx, dy, NUDGE, NUDGE);
      part.append(small, make("span", {}, say("nudge", { name: view, says: reel.labels[label], drift: drift.toFixed(2) })));
      row.append(part);
    }
    return row;
  }));
}

// ---------------------------------------------------------------- plots

function fresh(attributes) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", ["0", "0", page.plot.width, page.plot.height].join(" "));
  for (const [name, value] of Object.entries(attributes)) svg.setAttribute(name, value);
  return svg;
}

// Where a point of a plot's axes lies, and the axes' ends, in units of the view box.
function scaled(name, found, panel = 0) {
  const [left, right, bottom, top] = page.plot.places[name][panel], [x0, x1] = found.x, [y0, y1] = found.y;
  const at = (x, y) => [left + (x - x0) / (x1 - x0) * (right - left), bottom + (y - y0) / (y1 - y0) * (top - bottom)];
  return { at, left, right, bottom, top };
}

function stroke(svg, x1, y1, x2, y2, attributes = {}) {
  draw(svg, "line", { x1, y1, x2, y2, stroke: "currentColor", "stroke-width": 0.8, ...attributes });
}

// The axis at the foot of a plot, and its ticks.
function drawFoot(svg, { at, left, right, bottom }, marks) {
  stroke(svg, left, bottom, right, bottom);
  for (const [value, words] of marks) {
    const [x] = at(value, 0);
    stroke(svg, x, bottom, x, bottom + 3.5);
    draw(svg, "text", { x, y: bottom + 14.6, "text-anchor": "middle", class: "tick" }, words);
  }
}

function drawDriftAxes(svg) {
  const found = reel.drift, place = scaled("drift", found), { at, left, right, bottom, top } = place, middle = (bottom + top) / 2;
  drawFoot(svg, place, found.x_ticks);
  stroke(svg, left, bottom, left, top);
  for (const [value, words] of found.y_ticks) {
    const [, y] = at(0, value);
    stroke(svg, left - 3.5, y, left, y);
    draw(svg, "text", { x: left - 7, y: y + 3.8, "text-anchor": "end", class: "tick" }, words);
  }
  draw(svg, "text", { x: (left + right) / 2, y: bottom + 28.6, "text-anchor": "middle" }, found.x_words);
  draw(svg, "text", { x: 10.6, y: middle, "text-anchor": "middle", transform: "rotate(-90,10.6," + middle + ")" }, found.y_words);
  if (found.divide === null) return;
  const [x] = at(found.divide, 0);
  stroke(svg, x, bottom, x, top, { "stroke-dasharray": "0.8,1.32" });
}

function drawSignalAxes(svg) {
  reel.signal.forEach((found, panel) => {
    const place = scaled("signal", found, panel), { at, left, bottom, top } = place;
    for (const { role, foot, heights } of found.hills) {
      const part = (found.x[1] - found.x[0]) / heights.length, x = (i) => found.x[0] + part * (i + 0.5);
      const points = [[x(0), foot], ...heights.map((height, i) => [x(i), foot + height]), [x(heights.length - 1), foot]];
      draw(svg, "polygon", { points: points.map((p) => at(...p).map((v) => v.toFixed(2)).join()).join(" "), class: role, "fill-opacity": 0.18 });
    }
    if (found.engages) {
      const [from, to] = found.engages.map((value) => at(value, 0)[0]);
      draw(svg, "rect", { x: from, y: top, width: to - from, height: bottom - top, class: "defended", "fill-opacity": 0.12 });
      draw(svg, "text", { x: (from + to) / 2, y: at(0, found.words_at)[1] + 3.2, "text-anchor": "middle", "font-size": 8.5 }, found.engages_words);
    }
    if (found.threshold !== null && found.threshold >= found.x[0] && found.threshold <= found.x[1]) {
      const [x] = at(found.threshold, 0);
      stroke(svg, x, bottom, x, top, { "stroke-width": 1 });
    }
    drawFoot(svg, place, found.x_ticks);
    draw(svg, "text", { x: left, y: top - 6 }, found.title);
  });
}

// Axes, drawn anew only where they are others, and a layer above them, in the same coordinates.
function plot(name, drawAxes) {
  const [axes, above] = $("." + name + " .axes").children;
  if (drawn[name] !== reel[name]) {
    drawn[name] = reel[name];
    axes.replaceChildren();
    drawAxes(axes);
  }
  above.setAttribute("aria-label", reel.said[name]);
  above.replaceChildren();
  return above;
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
  const svg = plot("drift", drawDriftAxes), { at, bottom, top } = scaled("drift", reel.drift);
  const place = (frame) => (frame.act === 1 ? frame.step : reel.drift.first + frame.step);
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
    draw(svg, "line", { class: "cursor", x1: x, x2: x, y1: bottom, y2: top });
  }
}

function drawSignal() {
  const svg = plot("signal", drawSignalAxes), tested = latest(2) >= 0, shapes = { clean: "circle", attacked: "square" };
  reel.signal.forEach((found, signal) => {
    const { at, left, right } = scaled("signal", found, signal), gate = found.threshold === null ? NaN : at(found.threshold, 0)[0];
    for (const [name, row] of Object.entries(page.plot.rows)) {
      if (!reel.signals[name] || (name === "attacked" && !tested)) continue;
      const value = reel.signals[name][signal], [x, y] = at(value, row), leftwards = x > left + 0.7 * (right - left);
      const words = say("signal_point", { name, value: value.toFixed(3) }), crosses = !leftwards && x < gate && gate < x + 9 + WORD * words.length;  // then they stand beyond it
      marker(svg, shapes[name], [x, y], 4.5, { class: name + " mark" });
      draw(svg, "text", { x: leftwards ? x - 9 : crosses ? gate + 4 : x + 9, y: y + 3.5, "text-anchor": leftwards ? "end" : "start", class: "halo" }, words);
    }
  });
  drawThreshold(svg, tested);
}

function drawMap() {
  const svg = $(".map .axes").firstChild, { width: wide, height: high } = page.plot, middle = [wide / 2, high / 2], reach = 84;
  svg.setAttribute("aria-label", reel.said.map);
  svg.replaceChildren();
  draw(svg, "circle", { cx: middle[0], cy: middle[1], r: reach, class: "rim" });
  if (!reel.map) return void draw(svg, "text", { x: middle[0], y: middle[1], "text-anchor": "middle" }, say("map_later"));
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
    draw(svg, "text", { x: lx, y: ly, "text-anchor": Math.cos(angle) < 0 ? "end" : "start", class: "halo" }, "→ " + shortened(reel.labels[index]));
  }
  const points = reel.map.points.map(at), acts = reel.frames.map((f) => f.act), end = acts.lastIndexOf(1), start = Math.max(end, 0);
  for (const [kind, path] of [["attacked", points.slice(0, start + 1)], ["defended", points.slice(start)]]) line(svg, path, { class: kind + " later" });
  line(svg, points.slice(0, Math.min(now, start) + 1), { class: "attacked" });
  if (now > start) line(svg, points.slice(start, now + 1), { class: "defended" });
  marker(svg, "circle", points[0], 4, { class: "clean mark" });
  if (end > 0) marker(svg, "square", points[end], 3.5, { class: "attacked mark" + (now < end ? " later" : "") });
  const here = points[now];
  marker(svg, "circle", here, 6, { class: "here" });
  told($(".map .legend"), say("map_legend", { kept: percent(reel.map.kept) }));
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
  const act = (f) => page.acts[f.act], heads = (...names) => names.map((name) => say("head_" + name)), fixed = (v) => (v === null || v === undefined ? "" : v.toFixed(3));
  const step = (f) => (f.act === 1 || f.act === 3 ? (f.act === 3 && f.step > f.of ? say("last_step") : String(f.step)) : "");
  const put = (name, ...rest) => $("." + name + " .scroll").replaceChildren(table(...rest));
  put("drift", heads("act", "step", "drift", "push", "says", "probability"),
    reel.frames.map((f) => [act(f), step(f), fixed(f.drift), fixed(f.push), reel.labels[f.top[0][0]], percent(f.top[0][1])]));
  put("signal", [...heads("picture"), ...reel.signals.names],
    Object.keys(page.plot.rows).filter((name) => reel.signals[name]).map((name) => [name, ...reel.signals[name].map(fixed)]));
  put("map", heads("act", "step", "x", "y"), reel.map ? reel.frames.map((f, i) => [act(f), step(f), ...reel.map.points[i].map(fixed)]) : []);
}

// ---------------------------------------------------------------- the moment

function show() {
  if (!reel) return;
  $(".stage").dataset.done = reel.done;
  if (asking) return paintGuess();
  const frame = reel.frames[now], final = reel.done && now === reel.frames.length - 1;
  told($(".say"), at_work ? $(".work").textContent : final ? inDepth(reel.verdict.text, reel.verdict.depths) : inDepth(frame.say, frame.depths));
  text($(".note"), stale ? say("stale") : reel.verdict.note);
  $(".note").classList.toggle("stale", stale);
  $(".asks").hidden = !(final && reel.asks);
  for (const button of element.querySelectorAll("[data-right]")) button.setAttribute("aria-pressed", String(reel.judgement === (button.dataset.right === "yes")));
  text($(".asks span"), say("asks", { says: reel.labels[reel.frames[0].top[0][0]] }));
  const verdict = $(".verdict");
  verdict.className = "verdict " + (final && !at_work ? reel.verdict.tone : "wait");
  paint($(".left"), choose($(".pick-left")));
  paint($(".right"), choose($(".pick-right")));
  paintDelta();
  showPredictions();
  showStrips();
  showNudges();
  drawDrift();
  drawSignal();
  drawMap();
  const scrub = $(".scrub"), act = page.acts[frame.act];
  const moment = frame.of ? say(frame.step > frame.of ? "end" : "step", { act, step: frame.step, of: frame.of }) : act;
  scrub.max = reel.frames.length - 1;
  scrub.value = now;
  scrub.setAttribute("aria-valuetext", moment);
  text($(".moment"), moment);
  [...$(".acts").querySelectorAll(".act")].forEach((button, act) => {
    button.setAttribute("aria-pressed", String(act === frame.act));
    button.disabled = !reel.frames.some((f) => f.act === act);
  });
  $(".stage").dataset.frame = now;
  shelve();
}

function goTo(moment) { now = clamp(moment, 0, reel.frames.length - 1); show(); }

function pause() {
  clearTimeout(timer);
  timer = null;
  $(".play").classList.remove("on");
  $(".play").setAttribute("aria-label", say("play"));
}

// How long a moment is looked at: every act as long as it needs, whatever the number of its steps.
function dwell(moment) {
  const act = reel.frames[moment].act, ends = reel.frames[moment + 1]?.act !== act;
  return clamp(ACT_TIME / reel.frames.filter((f) => f.act === act).length, ...MOMENT) + (ends ? REST : 0);
}

// Who wants nothing to move gets the end of the act, and of the next one with the next press.
function play(from, to, then = () => {}) {
  pause();
  if (calm.matches) return goTo(Math.min(to, latest(reel.frames[from].act, 1e9)));
  goTo(from);
  $(".play").classList.add("on");
  $(".play").setAttribute("aria-label", say("pause"));
  const next = () => {
    if (now >= to) return pause(), then();
    goTo(now + 1);
    timer = setTimeout(next, dwell(now));
  };
  timer = setTimeout(next, dwell(now));
}

function playOn() {
  if (timer) return pause();
  const last = reel.frames.length - 1;
  play(now === last ? 0 : calm.matches ? now + 1 : now, last);
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
  if (given?.page && !page) furnish(given.page);
  if (given?.qr !== undefined) { $(".qr").innerHTML = given.qr; $(".qr").hidden = !given.qr; return; }
  if (given?.work !== undefined) return given.work ? tellWork(given.work) : working(false);
  if (!given || !given.frames || (left.has(given.run) && !given.stopped)) return;  // a frame of a run that was left or stopped
  if (given.stopped) left.add(given.run);
  if (reel?.live && reel.run !== given.run) left.add(reel.run);
  const found = joined(given);
  if (!found) return;
  await unpack(found.frames);
  const grown = reel && found.run === reel.run && found.frames.length > reel.frames.length;
  if (reel?.run !== found.run) stale = false;  // what was changed in the middle of a run is not in it
  pause();
  if (reel) ask(false);
  if (reel && !grown && matchMedia("(max-width: 900px)").matches) element.scrollIntoView({ block: "start" });
  reel = found;
  if (reel.side !== page.side) measure(reel.side);
  $(".stage").classList.remove("waiting");
  buildPredictions(reel.control);
  loadPhoto();
  now = reel.frames.length - 1;
  buildTables();
  at_work = false;  // frames are sign enough on the stage itself
  if (reel.done || given.stopped) working(false);
  if (given.query !== undefined) follow(given.query);
  else if (!coded) showCode(location.search);
  $(".invite").hidden = true;
  show();
  text($(".announced"), reel.done ? inDepth(reel.verdict.text, reel.verdict.depths) : "");
  if (touring >= 0) tour(-1);
}

// The address makes the run on the stage again, so that Back and reload return to it; what it says besides stays. An
// own picture has no address.
function follow(query) {
  showCode(query);
  const before = new URLSearchParams(location.search), after = new URLSearchParams(query);
  for (const name of ["talk", "__theme"]) if (before.has(name)) after.set(name, before.get(name));
  const next = location.pathname + (after.size ? "?" + after : "");
  if (next !== location.pathname + location.search && (query || before.has("picture"))) history.pushState(null, "", next);
}

// In a talk, a code that leads those who listen to the very run; the server draws it.
function showCode(query) {
  if (!document.documentElement.classList.contains("talk")) return;
  const address = new URL(location.pathname, location.href);
  address.search = query;
  address.searchParams.delete("talk");
  if (address.href === coded) return;
  coded = address.href;
  trigger("select", { address: coded });
}

// One after the other: unpacking takes a moment.
let received = Promise.resolve();
function listen() {
  const given = props.value;
  received = received.then(() => receive(given)).catch((error) => console.error(error));
}

// ---------------------------------------------------------------- the question at the start, and a sign of work

// The page opens on a question instead of its answer; then the story plays once.
function ask(on) {
  asking = on;
  $(".guess").hidden = !on;
  $(".stage").classList.toggle("asking", on);
  if (!on) return;
  const attackedFirst = Math.random() < 0.5;
  [...element.querySelectorAll(".guess-pick")].forEach((button, place) => {
    button.dataset.name = (place === 0) === attackedFirst ? "attacked" : "clean";
    button.setAttribute("aria-label", say("guess_picture", { number: place + 1 }));
  });
}

function paintGuess() {
  if (!photo) return;
  for (const button of element.querySelectorAll(".guess-pick")) {
    paint(button.firstChild, button.dataset.name, button.getAttribute("aria-label"));
    button.disabled = false;
  }
}

function guessed(chosen) {
  if (chosen.dataset.picked || !reel) return;
  const says = { clean: reel.frames[0], attacked: reel.frames[latest(1)] };
  for (const button of element.querySelectorAll(".guess-pick")) {
    const name = button.dataset.name, words = say(name === "clean" ? "guess_clean" : "guess_attacked", { says: reel.labels[says[name].top[0][0]] });
    button.dataset.picked = String(button === chosen);
    text(button.querySelector(".guess-name"), words);
    button.setAttribute("aria-label", words);
  }
  text($(".guess-said"), say(chosen.dataset.name === "attacked" ? "guess_right" : "guess_wrong"));
  $(".guess-on").hidden = false;
  $(".guess-on").focus({ preventScroll: true });
  $(".guess-skip").hidden = true;
}

function tell() {
  ask(false);
  play(0, reel.frames.length - 1, () => { $(".invite").hidden = false; });
  if (calm.matches) $(".invite").hidden = false;
  $(".play").focus({ preventScroll: true });
}

// On a phone the columns that steer lie in sheets, one at a time; name: of the one that is to be seen.
function openSheet(name) {
  for (const button of element.querySelectorAll("[data-sheet]")) {
    const on = button.dataset.sheet === name && button.getAttribute("aria-expanded") === "false";
    button.setAttribute("aria-expanded", String(on));
    document.querySelector(".lab > ." + button.dataset.sheet)?.classList.toggle("sheet", on);
  }
}

// Of what was pressed, until something comes of it; onStage: then the old verdict goes, too.
function working(on, onStage = false) {
  at_work = on && onStage;
  tellWork(on ? say("working") : "");
  if (at_work && reel) ask(false);
  if (reel && (at_work || !on)) show();
}

// How the work stands, until it shows itself.
function tellWork(words) {
  $(".work").hidden = !words;
  text($(".work"), words);
  if (at_work) text($(".say"), words);
}

// ---------------------------------------------------------------- the tour

function tour(stop) {
  if (stop < 0 && $(".tour").contains(document.activeElement)) setTimeout(() => $(".start-tour").focus());
  touring = stop;
  const on = stop >= 0, here = reel.tour[stop];
  $(".tour").hidden = !on;
  $(".stage").classList.toggle("touring", on && Boolean(here.lit));
  for (const node of element.querySelectorAll(".compare, .change, .predictions, .plot")) node.classList.toggle("lit", on && here.lit.split(" ").some((name) => name && node.classList.contains(name)));
  if (!on) return;
  text($(".tour-title"), here.title);
  told($(".tour-text"), here.text);
  $(".tour-back").disabled = stop === 0;
  text($(".tour-next"), say(stop === reel.tour.length - 1 ? "done" : "next"));
  const from = reel.frames.findIndex((f) => f.act === here.act), to = latest(here.act, 1e9);
  if (from >= 0) play(from, to);
  $(".tour-title").focus({ preventScroll: true });
  element.querySelector(".lit")?.scrollIntoView({ block: "start" });
}

// ---------------------------------------------------------------- notes at terms, wherever they stand on the page

// term: the button of one, or nothing, which puts the note away.
function note(term) {
  const card = $(".term-card");
  if (!term && card.hidden) return;  // of every move and scroll
  for (const other of document.querySelectorAll(".term[aria-describedby]")) other.removeAttribute("aria-describedby");
  card.hidden = !term;
  if (!term) return;
  text(card, page.terms.notes[term.dataset.term]);
  term.setAttribute("aria-describedby", "term-card");
  const at = term.getBoundingClientRect(), room = document.documentElement.clientWidth;
  card.style.left = clamp(at.left, 8, Math.max(8, room - card.offsetWidth - 8)) + "px";
  card.style.top = (at.bottom + card.offsetHeight + 8 < innerHeight ? at.bottom + 6 : at.top - card.offsetHeight - 6) + "px";
}
// The term whose note is open and that has the focus: neither a scroll nor a resting mouse takes its note away.
function held() {
  const term = document.activeElement;
  return term?.matches(".term[aria-describedby]") ? term : null;
}
for (const event of ["mouseover", "focusin", "click"]) document.addEventListener(event, ({ target }) => {
  const term = target.closest?.(".term");
  if (term || event === "click" || !target.closest?.(".term-card")) note(term ?? (event === "mouseover" ? held() : null));
});
addEventListener("scroll", () => note(held()), { passive: true });  // focus scrolls its term into view

// ---------------------------------------------------------------- wiring

// Pixels a side of the photo: what the model's own are the block means of.
function measure(side) {
  page.side = side;
  for (const canvas of element.querySelectorAll(".canvases canvas, .guess canvas")) canvas.width = canvas.height = side;
}

// All that is there before any run.
function furnish(given) {
  page = given;
  for (const node of element.querySelectorAll("[data-words]")) (node.matches(".plot h2, .strips h2, .nudges h2") ? told : text)(node, say(node.dataset.words));
  for (const node of element.querySelectorAll("[data-label]")) node.setAttribute("aria-label", say(node.dataset.label));
  measure(page.side);
  for (const name of ["drift", "signal"]) {
    const axes = fresh({ "aria-hidden": "true", "font-size": 10, "font-family": "system-ui, sans-serif" });
    $("." + name + " .axes").replaceChildren(axes, fresh({ role: "img", class: "above" }));
  }
  $(".map .axes").replaceChildren(fresh({ role: "img" }));
  told($(".map .legend"), say("map_legend", { kept: percent(0) }));
  page.acts.forEach((title, act) => {
    const button = make("button", { type: "button", class: "act", "aria-pressed": "false", disabled: "" });
    button.append(make("b", {}, act + 1), make("span", {}, " " + title));
    button.addEventListener("click", () => play(reel.frames.findIndex((f) => f.act === act), latest(act, 1e9)));
    $(".acts").append(button);
  });
  $(".acts").append(make("button", { type: "button", class: "start-tour" }, say("start_tour")));
  $(".start-tour").addEventListener("click", () => reel && tour(touring < 0 ? 0 : -1));
  for (const [side, chosen] of [["left", "clean"], ["right", "now"]])
    for (const [value, words] of [...page.pictures.map((name) => [name, name]), ["now", say("now")]])
      $(".pick-" + side).append(make("option", value === chosen ? { value, selected: "" } : { value }, words));
  buildPredictions(false);  // empty: the place of what will come
  showDepth();
  const asked = new URLSearchParams(location.search);
  ask(given.asks !== false && !asked.has("picture") && asked.get("talk") !== "1");  // a link and a talk begin with their run
}

for (const button of element.querySelectorAll(".guess-pick")) button.addEventListener("click", () => guessed(button));
for (const button of element.querySelectorAll("[data-sheet]")) button.addEventListener("click", () => openSheet(button.dataset.sheet));
$(".bar-run").addEventListener("click", () => document.querySelector("#both")?.click());
$(".guess-on").addEventListener("click", tell);
for (const button of element.querySelectorAll("[data-right]")) button.addEventListener("click", () => trigger("click", { right: button.dataset.right === "yes" }));
$(".guess-skip").addEventListener("click", () => { ask(false); if (reel) show(); });
$(".own").addEventListener("click", () => {
  const own = document.querySelector("#photo"), bar = $("[data-sheet=steer]");
  if (bar.offsetParent && bar.getAttribute("aria-expanded") === "false") openSheet("steer");
  own?.scrollIntoView({ block: "center" });
  own?.querySelector(".source-selection button, button")?.focus({ preventScroll: true });
});
document.addEventListener("click", (event) => {
  const pressed = event.target.closest("#both, #attack, #counterattack, #control, #run-arena, #find-eps, #find-flip, #run-views, #suspect, #suggest, #try-seeds, .watch");
  if (!pressed || pressed.disabled) return;
  openSheet("");
  working(true, pressed.matches("#both, #attack, #counterattack, #control, .watch"));
}, true);
$(".tour-next").addEventListener("click", () => tour(touring === reel.tour.length - 1 ? -1 : touring + 1));
$(".tour-back").addEventListener("click", () => tour(touring - 1));
$(".tour-end").addEventListener("click", () => tour(-1));
for (const side of ["left", "right"]) $(".pick-" + side).addEventListener("change", show);
$(".sees").addEventListener("change", show);
$(".mode").addEventListener("change", show);
$(".strip-label").addEventListener("change", () => reel && show());
for (const event of ["click", "mouseover"]) $(".predictions").addEventListener(event, ({ target }) => {
  const place = reel && reel.labels.indexOf(target.closest(".row")?.querySelector(".name").textContent);
  if (place >= 0 && reel.strips[place] && $(".strip-label").value !== String(place)) { $(".strip-label").value = place; showStrips(); }
});
$(".scrub").addEventListener("input", (event) => { if (reel) { pause(); goTo(+event.target.value); } });
$(".play").addEventListener("click", () => reel && playOn());
$(".split").addEventListener("input", (event) => $(".canvases").style.setProperty("--split", event.target.value + "%"));
$(".stage").addEventListener("stale", ({ detail }) => { if (reel) { stale = detail ?? stale; show(); } });
document.addEventListener("input", (event) => { if (event.target.closest("#labels, #template")) $(".stage").dispatchEvent(new CustomEvent("stale", { detail: true })); });
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") { note(null); openSheet(""); if (touring >= 0) tour(-1); }
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step || !reel || !(event.target === document.body || element.contains(event.target)) || event.altKey || event.ctrlKey || event.metaKey
    || event.target.closest?.("input, select, textarea, .scroll")) return;
  event.preventDefault();
  pause();
  goTo(now + step);
});
addEventListener("popstate", () => location.reload());
if (props.value?.page) furnish(props.value.page);  // at once, so that nothing moves when the run comes
watch("value", listen);
listen();
