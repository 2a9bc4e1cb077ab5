// Two defences on the very same picture: what each of them makes of it at this moment.
const LOOK = 112;  // pixels a side of a row's picture

function buildPair() {
  $(".pair").hidden = $(".pair-below").hidden = !reel.beside;
  const key = reel.beside ? rows().map(({ row }) => row.title).join() : "";
  if ($(".pair").dataset.key === key) return;
  $(".pair").dataset.key = key;
  if (!reel.beside) return $(".pair").replaceChildren();
  $(".pair").replaceChildren(...rows().map(pairPart));
  text($(".pair-below"), say("pair_below", { row: reel.row.title }));
}

function pairPart({ row }) {
  const section = make("section", { class: "pair-row", "aria-label": row.title }), looks = make("div", { class: "looks" });
  const head = make("h3", {}, row.title), gauge = make("span", { class: "gauge", "aria-hidden": "true" });
  for (const kind of ["seen", "added"]) looks.append(make("canvas", { class: kind, width: LOOK, height: LOOK, role: "img" }));
  for (const kind of ["side", "value", "line"]) gauge.append(make("i", { class: kind }));
  head.append(make("b", { class: "held" }));
  looks.append(make("p", { class: "answer" }));
  section.append(head, looks, make("p", { class: "acted" }), gauge, make("p", { class: "told" }));
  return section;
}

function place(node, found) {
  const percents = (share) => (100 * share).toFixed(1) + "%", [side, value, line] = node.children;
  node.classList.toggle("none", !found);
  if (!found) return;
  Object.assign(side.style, { left: percents(found.engages[0]), right: percents(1 - found.engages[1]) });
  value.style.width = percents(found.value);
  line.style.left = percents(found.line);
}

function showPair() {
  buildPair();
  if (!reel.beside) return;
  const frames = rows().map(frameNow), differ = frames[0].top[0][0] !== frames[1].top[0][0];
  rows().forEach((found, i) => {
    const part = $(".pair").children[i], { row, verdict } = found, frame = frames[i], tested = frame.act > 1, ended = frame === found.frames.at(-1) && row.held;
    const at = (name) => part.querySelector(name);
    part.className = "pair-row " + (ended ? verdict.tone : "wait");
    text(at(".held"), ended ? row.held : "");
    paintSmall(at(".seen"), i ? newest("beside") : newest());
    paintDelta(at(".added"), found);
    const [label, share] = frame.top[0];
    at(".answer").replaceChildren(make("b", {}, say("shelf_says", { says: reel.labels[label], share: percent(share) })), ...(differ ? [differing()] : []));
    text(at(".acted"), tested ? row.acted : "");
    place(at(".gauge"), tested && row.gauge);
    told(at(".told"), ended ? inDepth(verdict.text, verdict.depths) : tested ? inDepth(frame.say, frame.depths) : "");  // up to there it is told once
  });
}
