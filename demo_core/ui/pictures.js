// The pictures, what CLIP says of them, their embeddings, and the test's small changes.
const CIVIDIS = [[0, 34, 78], [65, 77, 107], [124, 123, 120], [188, 175, 111], [254, 232, 56]];

function choose(select) { return select.value === "now" ? newest() : select.value; }
function newest(defended = "defended") {
  return latest(3, rowOf(defended)) >= 0 ? defended : latest(1) >= 0 ? "attacked" : "clean";
}

// The pictures that can be laid over each other, in both choices; what was chosen stays.
function offerPictures() {
  const names = [...page.pictures, ...(reel?.beside ? ["beside"] : []), "now"], key = names.map(pictureName).join();
  if ($(".pick-left").dataset.names === key) return;
  $(".pick-left").dataset.names = key;
  for (const [side, first] of [["left", "clean"], ["right", "now"]]) {
    const select = $(".pick-" + side), chosen = names.includes(select.value) ? select.value : first;
    select.replaceChildren(...names.map((value) => make("option", { value }, value === "now" ? say("now") : pictureName(value))));
    select.value = chosen;
  }
}

function paint(canvas, name, label = "") {
  const found = photo && parts(name), context = canvas.getContext("2d"), side = page.side;
  canvas.setAttribute("aria-label", label || say(found ? "picture" : "no_picture", { name: pictureName(name) }));
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

// The same on a canvas of any size.
function paintSmall(canvas, name) {
  const whole = make("canvas", { width: page.side, height: page.side });
  paint(whole, name);
  canvas.setAttribute("aria-label", whole.getAttribute("aria-label"));
  canvas.getContext("2d").drawImage(whole, 0, 0, canvas.width, canvas.height);
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

// What the last step of a row has added; tells it in words.
function paintDelta(canvas, row = reel) {
  const frame = row.frames[latest(frameNow(row).act === 3 ? 3 : 1, row)], size = reel.size, mode = $(".mode").value;
  canvas.width = canvas.height = size;
  const out = new ImageData(size, size), plane = size * size, [values, unit] = frame ? layer(frame) : [new Int8Array(plane * 3), 0];
  const top = frame?.levels ?? 127;
  for (let i = 0; i < plane; i++) {
    const at = [values[i], values[i + plane], values[i + 2 * plane]];
    if (mode === "heat") {
      const strength = 4 * at.reduce((sum, v) => sum + Math.abs(v), 0) / (3 * top), low = Math.min(Math.floor(strength), 3);
      for (let c = 0; c < 3; c++) out.data[4 * i + c] = CIVIDIS[low][c] + (CIVIDIS[low + 1][c] - CIVIDIS[low][c]) * (strength - low);
    } else for (let c = 0; c < 3; c++) out.data[4 * i + c] = 128 + at[c] * (mode === "ten" ? 10 * unit : 127 / top);
    out.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(out, 0, 0);
  const { by, scale } = frame ?? {};
  const words = !frame ? say("no_delta") : by ? say(scale > 128 ? "delta_any" : "delta", { by, most: +scale.toFixed(2) }) : say("left_alone");
  canvas.setAttribute("aria-label", say("delta_label", { words }));
  return words;
}

// ---------------------------------------------------------------- predictions

function shownPictures(control) {
  return [...page.pictures.filter((name) => !control || name !== "attacked"), ...(reel?.beside ? ["beside"] : [])];
}

// A picture's name; of two defended ones with the row that it comes from.
function pictureName(name) {
  return reel?.beside && (name === "beside" || name === "defended") ? say("defended_by", { row: rowOf(name).row.title }) : name;
}

// The frame that tells what CLIP says of a picture; nothing where that is not there yet.
function frameOf(name) {
  const row = rowOf(name);
  return row.frames[name === "clean" ? 0 : latest(name === "attacked" ? 1 : 3, row)];
}

function showPredictions() {
  for (const name of shownPictures(reel.control)) {
    const section = $(".predictions ." + name), frame = frameOf(name);
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
  const key = control + shownPictures(control).map(pictureName).join();
  if ($(".predictions").dataset.key === key) return;
  $(".predictions").dataset.key = key;
  $(".predictions").replaceChildren(...shownPictures(control).map((name) => {
    const section = make("section", { class: name, "aria-label": say("predictions", { name: pictureName(name) }) });
    section.append(make("h3", {}, control && name === "defended" ? say("control", { name: pictureName(name) }) : pictureName(name)));
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
