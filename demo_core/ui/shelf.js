// The shelf: the last runs of this tab, kept in the browser alone, and two of them side by side.
const MOST_KEPT = 6, SMALL = 96, SHELF = "last-runs";  // shelf_help tells how many
let kept = remembered(), pair = [];

// What this tab kept before it was loaded again; nothing where the browser keeps nothing, or something else.
function remembered() {
  try { return JSON.parse(sessionStorage.getItem(SHELF)) ?? []; } catch { return []; }
}

function remember() {
  try { sessionStorage.setItem(SHELF, JSON.stringify(kept)); } catch { /* then they are kept while the page is open */ }
}

// A picture by its name as it is in the end, small; nothing where the run has none.
function look(name) {
  const frame = frameOf(name);
  if (!frame) return null;
  const small = make("canvas", { width: SMALL, height: SMALL });
  paintSmall(small, name);
  return { name, title: pictureName(name), address: small.toDataURL("image/webp", 0.85), label: reel.labels[frame.top[0][0]], share: frame.top[0][1] };
}

// Puts the run on the stage upon the shelf, once it has ended and is seen to its end; the same run again takes its own place.
function shelve() {
  if (!reel.done || !photo || moment < end()) return;
  const { tone, text: verdict } = verdictNow(), run = reel.run + verdict;
  if (kept.some((other) => other.run === run) || (!reel.live && kept.filter((other) => other.live).length >= MOST_KEPT)) return drawShelf();
  const own = { run, name: reel.run, live: reel.live, ...reel.summary, query: reel.query ?? "", tone, said: reel.beside ? verdict : reel.frames.at(-1).say, verdict,
    looks: shownPictures(reel.control).map(look).filter(Boolean) };
  kept = [own, ...kept.filter((other) => other.name !== own.name)];
  if (kept.length > MOST_KEPT) kept.splice(kept.findLastIndex((other) => !other.live), 1);  // what came with the demo goes first, else the oldest
  remember();
  drawShelf();
}

function shelfPicture({ title, address, label }) {
  return make("img", { src: address, width: SMALL, height: SMALL, alt: say("shelf_picture", { name: title, says: label }) });
}

function shelfRun(own) {
  const item = make("li", { class: "shelf-run " + own.tone }), looks = make("div", { class: "looks" }), buttons = make("p");
  const chosen = pair.includes(own.run), button = make("button", { type: "button", "aria-pressed": String(chosen), "data-run": own.run }, say("shelf_compare"));
  looks.append(...own.looks.map(shelfPicture));
  button.addEventListener("click", () => {
    pair = chosen ? pair.filter((run) => run !== own.run) : [...pair, own.run].slice(-2);
    drawShelf();
    [...element.querySelectorAll(".shelf-run button")].find((other) => other.dataset.run === own.run)?.focus();
  });
  buttons.append(button);
  if (own.query) buttons.append(" ", make("a", { href: "?" + own.query }, say("shelf_again")));
  item.append(looks, make("p", { class: "told" }, own.said), make("p", { class: "small" }, own.short), buttons);
  return item;
}

function drawShelf() {
  const key = JSON.stringify([kept.map((own) => own.run), pair]);
  if ($(".shelf").dataset.key === key) return;
  $(".shelf").dataset.key = key;
  pair = pair.filter((run) => kept.some((own) => own.run === run));
  $(".shelf").hidden = kept.length < 2;  // one alone is the run on the stage
  $(".shelf-runs").replaceChildren(...kept.map(shelfRun));
  const two = pair.map((run) => kept.find((own) => own.run === run));
  $(".shelf-pair").hidden = two.length < 2;
  $(".shelf-pair").replaceChildren(...(two.length < 2 ? [] : [sideBySide(two)]));
}

// The mark of what differs between two.
function differing() { return make("span", { role: "img", "aria-label": say("shelf_differs") }, " ≠"); }

// A row of the table: its head, and a cell of each run; differs: the head says so.
function pairRow(head, cells, differs = false) {
  const row = make("tr", differs ? { class: "differs" } : {}), th = make("th", { scope: "row" }, head);
  if (differs) th.append(differing());
  row.append(th, ...cells.map((cell) => {
    const td = make("td");
    td.append(...cell);
    return td;
  }));
  return row;
}

function sideBySide(two) {
  const found = make("table"), head = make("tr"), top = make("thead"), body = make("tbody");
  head.append(make("td"), ...two.map((own) => make("th", { scope: "col" }, own.short)));
  top.append(head);
  for (const name of [...page.pictures, "beside"]) {
    const looks = two.map((own) => own.looks.find((other) => other.name === name));
    if (looks.some(Boolean))
      body.append(pairRow([...new Set(looks.filter(Boolean).map((one) => one.title))].join(" / "), looks.map((one) => (one ? [shelfPicture(one), say("shelf_says", { says: one.label, share: percent(one.share) })] : [say("shelf_none")]))));
  }
  body.append(pairRow(say("shelf_verdict"), two.map((own) => [own.verdict])));
  const fuller = [...two].sort((one, other) => other.rows.length - one.rows.length);
  for (const title of new Set(fuller.flatMap((own) => own.rows.map(([head]) => head)))) {
    const values = two.map((own) => own.rows.find(([head]) => head === title));
    body.append(pairRow(title, values.map((value) => [value ? value[1] : say("shelf_none")]), values[0]?.[2] !== values[1]?.[2]));
  }
  found.append(top, body);
  return found;
}

$(".shelf-clear").addEventListener("click", () => {
  kept = [];
  pair = [];
  remember();
  drawShelf();
});
