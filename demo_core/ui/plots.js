// The three plots, and the tables beside them.
const WORD = 5.2, LONG = 24;  // the width of a letter, and the letters of a label that there is room for

function shortened(label) { return label.length > LONG ? label.slice(0, LONG - 1) + "…" : label; }

function draw(svg, tag, attributes, words = "") {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (words) node.textContent = words;
  svg.append(node);
  return node;
}

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

// What stands at an axis, at the depth that is chosen.
function sayAxis(name, usual) { return page.words["axis_" + name + "_" + depth] ?? usual; }

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
  draw(svg, "text", { x: 10.6, y: middle, "text-anchor": "middle", transform: "rotate(-90,10.6," + middle + ")" }, sayAxis("drift", found.y_words));
  if (found.divide === null) return;
  const [x] = at(found.divide, 0);
  stroke(svg, x, bottom, x, top, { "stroke-dasharray": "0.8,1.32" });
}

// The side of a threshold on which the defence acts; the words begin at the plot's edge, for the zone may be narrower.
function drawZone(zone, { at, left, right, bottom, top }, found, threshold) {
  const line = at(clamp(threshold, ...found.x), 0)[0], [from, to] = found.below ? [left, line] : [line, right];
  zone.replaceChildren();
  if (from >= to) return;
  draw(zone, "rect", { x: from, y: top, width: to - from, height: bottom - top, class: "defended", "fill-opacity": 0.12 });
  const side = found.below ? { x: left + 4, "text-anchor": "start" } : { x: right - 4, "text-anchor": "end" };
  draw(zone, "text", { ...side, y: at(0, found.words_at)[1] + 3.2, "font-size": 8.5, class: "halo" }, sayAxis("engages", found.engages_words));
}

function drawSignalAxes(svg) {
  reel.signal.forEach((found, panel) => {
    const place = scaled("signal", found, panel), { at, left, bottom, top } = place;
    for (const { role, foot, heights } of found.hills) {
      const part = (found.x[1] - found.x[0]) / heights.length, x = (i) => found.x[0] + part * (i + 0.5);
      const points = [[x(0), foot], ...heights.map((height, i) => [x(i), foot + height]), [x(heights.length - 1), foot]];
      draw(svg, "polygon", { points: points.map((p) => at(...p).map((v) => v.toFixed(2)).join()).join(" "), class: role, "fill-opacity": 0.18 });
    }
    if (found.threshold !== null && found.threshold >= found.x[0] && found.threshold <= found.x[1]) {
      const [x] = at(found.threshold, 0);
      stroke(svg, x, bottom, x, top, { "stroke-width": 1 });
    }
    if (found.threshold !== null) drawZone(draw(svg, "g", { class: "zone" }), place, found, found.threshold);
    drawFoot(svg, place, found.x_ticks);
    draw(svg, "text", { x: left, y: top - 6 }, sayAxis(found.name, found.title));
  });
}

// Axes, drawn anew only where they are others, and a layer above them, in the same coordinates.
function plot(name, drawAxes) {
  const [axes, above] = $("." + name + " .axes").children;
  if (drawn[name] !== reel[name] || axes.dataset.depth !== depth) {
    drawn[name] = reel[name];
    axes.dataset.depth = depth;
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
    const name = draw(svg, "text", { x: lx, y: ly, "text-anchor": Math.cos(angle) < 0 ? "end" : "start", class: "halo" }, "→ " + shortened(reel.labels[index]));
    const box = name.getBBox(), over = Math.min(box.x, 0) + Math.max(box.x + box.width - wide, 0);  // beyond either edge
    if (box.width && over) name.setAttribute("x", lx - over);
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
