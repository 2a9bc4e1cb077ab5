// The stage: plays and scrubs a reel (demo_core/story/reel.py) without asking the server, and takes what comes.
const ACT_TIME = 3600, MOMENT = [220, 2600], REST = 900;  // ms: of an act, of one of its moments, and at its end

function show() {
  if (!reel) return;
  $(".stage").dataset.done = reel.done;
  if (asking) return paintGuess();
  const frame = frameNow(longest()), final = reel.done && moment === end(), { text: words, depths, tone } = verdictNow();
  const apart = reel.beside && frame.act > 1;  // then each row tells its own
  told($(".say"), at_work ? $(".work").textContent : final ? inDepth(words, depths) : apart ? say("pair_apart") : inDepth(frame.say, frame.depths));
  text($(".note"), stale ? say("stale") : reel.verdict.note);
  $(".note").classList.toggle("stale", stale);
  $(".asks").hidden = !(final && reel.asks);
  for (const button of element.querySelectorAll("[data-right]")) button.setAttribute("aria-pressed", String(reel.judgement === (button.dataset.right === "yes")));
  text($(".asks span"), say("asks", { says: reel.labels[reel.frames[0].top[0][0]] }));
  const verdict = $(".verdict");
  verdict.className = "verdict " + (final && !at_work ? tone : "wait");
  paint($(".left"), choose($(".pick-left")));
  paint($(".right"), choose($(".pick-right")));
  text($(".delta-note"), paintDelta($(".delta")));
  showPredictions();
  showStrips();
  showPair();
  showNudges();
  drawDrift();
  drawSignal();
  drawMap();
  const scrub = $(".scrub"), act = page.acts[frame.act];
  const where = frame.of ? say(frame.step > frame.of ? "end" : "step", { act, step: frame.step, of: frame.of }) : act;
  scrub.max = end();
  scrub.value = moment;
  scrub.setAttribute("aria-valuetext", where);
  text($(".moment"), where);
  [...$(".acts").querySelectorAll(".act")].forEach((button, act) => {
    button.setAttribute("aria-pressed", String(act === frame.act));
    button.disabled = !reel.frames.some((f) => f.act === act);
  });
  $(".stage").dataset.frame = moment;
  shelve();
}

// What stands in the end: the verdict on both rows where there are two.
function verdictNow() { return reel.beside?.both.text ? reel.beside.both : reel.verdict; }

function setMoment(to) {
  moment = clamp(to, 0, end());
  now = Math.min(moment, reel.frames.length - 1);
}

function goTo(to) { setMoment(to); show(); }

function pause() {
  clearTimeout(timer);
  timer = null;
  $(".play").classList.remove("on");
  $(".play").setAttribute("aria-label", say("play"));
}

// How long a moment is looked at: every act as long as it needs, whatever the number of its steps.
function dwell() {
  const { frames } = longest(), act = frames[moment].act, ends = frames[moment + 1]?.act !== act;
  return clamp(ACT_TIME / frames.filter((f) => f.act === act).length, ...MOMENT) + (ends ? REST : 0);
}

// Who wants nothing to move gets the end of the act, and of the next one with the next press.
function play(from, to, then = () => {}) {
  pause();
  if (calm.matches) return goTo(Math.min(to, endOf(longest().frames[from].act)));
  goTo(from);
  $(".play").classList.add("on");
  $(".play").setAttribute("aria-label", say("pause"));
  const next = () => {
    if (moment >= to) return pause(), then();
    goTo(moment + 1);
    timer = setTimeout(next, dwell());
  };
  timer = setTimeout(next, dwell());
}

function playOn() {
  if (timer) return pause();
  play(moment === end() ? 0 : calm.matches ? moment + 1 : moment, end());
}

// Of a message that another one was missed before: the whole is asked for, once.
function missed(given) {
  const since = [given.run, given.since, given.beside?.since].join();
  if (asked !== since) trigger("submit");
  asked = since;
}

async function receive(given) {
  if (given?.page && !page) furnish(given.page);
  if (given?.qr !== undefined) { $(".qr").innerHTML = given.qr; $(".qr").hidden = !given.qr; return; }
  if (given?.work !== undefined) return given.work ? tellWork(given.work) : working(false);
  if (!given || !given.frames || (left.has(given.run) && !given.stopped)) return;  // a frame of a run that was left or stopped
  if (given.stopped) left.add(given.run);
  if (reel?.live && reel.run !== given.run) left.add(reel.run);
  const found = joined(given);
  if (!found) return missed(given);
  await unpack(found.frames);
  if (found.beside) await unpack(found.beside.frames);
  const grown = reel?.run === found.run;
  if (reel?.run !== found.run) stale = false;  // what was changed in the middle of a run is not in it
  pause();
  if (reel) ask(false);
  if (reel && !grown && matchMedia("(max-width: 900px)").matches) element.scrollIntoView({ block: "start" });
  reel = found;
  if (reel.side !== page.side) measure(reel.side);
  $(".stage").classList.remove("waiting");
  buildPredictions(reel.control);
  loadPhoto();
  setMoment(reel.beside && !reel.done && !given.stopped ? reel.beside.frames.length - 1 : end());
  offerPictures();
  buildTables();
  at_work = false;  // frames are sign enough on the stage itself
  if (reel.done || given.stopped) working(false);
  if (given.query !== undefined) follow(given.query);
  else if (!coded && !early) showCode(location.search);
  $(".invite").hidden = true;
  show();
  text($(".announced"), reel.done ? inDepth(verdictNow().text, verdictNow().depths) : "");
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
let received = Promise.resolve(), coming = null, early = "";
function receiveNext(given) { received = received.then(() => receive(given)).catch((error) => console.error(error)); }

function listen() {
  const given = props.value;
  if (given?.at && early) {  // the run that is here already, or on its way
    const same = new URL(given.at, document.baseURI).href === early;
    early = "";
    if (same) return given.query === undefined ? showCode(location.search) : follow(given.query);
  }
  if (given?.at) return bring(given);
  if (given?.frames && !left.has(given.run)) coming?.abort();  // another run was pressed meanwhile
  receiveNext(given);
}

// A finished run, which lies at an address of its own.
async function bring({ at, query }) {
  coming?.abort();
  const { signal } = (coming = new AbortController());
  if (reel?.live) left.add(reel.run);
  if (reel) tellWork(say("coming"));
  try {
    const answer = await fetch(at, { signal });
    if (!answer.ok) throw new Error(answer.status);
    const found = await answer.json();
    if (!signal.aborted) receiveNext({ ...found, query });
  } catch {
    if (!signal.aborted) tellWork(say("lost"));
  }
}

// ---------------------------------------------------------------- a sign of work, and a phone's sheets

// On a phone what steers lies in sheets, one at a time; name: of the one that is to be seen.
function openSheet(name) {
  const steer = document.querySelector(".lab > .steer"), before = steer?.classList.contains("sheet-" + name);
  for (const button of element.querySelectorAll("[data-sheet]")) {
    const on = button.dataset.sheet === name && button.getAttribute("aria-expanded") === "false";
    button.setAttribute("aria-expanded", String(on));
    steer?.classList.toggle("sheet-" + button.dataset.sheet, on);
  }
  steer?.classList.toggle("sheet", Boolean(name) && !before);
  if (steer && !before) steer.scrollTop = 0;
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

// ---------------------------------------------------------------- wiring

// Pixels a side of the photo: what the model's own are the block means of.
function measure(side) {
  page.side = side;
  for (const canvas of element.querySelectorAll(".canvases canvas, .guess canvas")) canvas.width = canvas.height = side;
}

// All that is there before any run.
function furnish(given) {
  page = given;
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
    button.addEventListener("click", () => play(reel.frames.findIndex((f) => f.act === act), endOf(act)));
    $(".acts").append(button);
  });
  $(".acts").append(make("button", { type: "button", class: "start-tour" }, say("start_tour")));
  $(".start-tour").addEventListener("click", () => reel && tour(touring < 0 ? 0 : -1));
  offerPictures();
  buildPredictions(false);  // empty: the place of what will come
  showDepth();
  const asked = new URLSearchParams(location.search);
  ask(given.asks !== false && !asked.has("picture") && asked.get("talk") !== "1");  // a link and a talk begin with their run
}

for (const button of element.querySelectorAll(".guess-pick")) button.addEventListener("click", () => guessed(button));
// On a phone the picture and its slider stay in sight of what is read below them, small: in a place that keeps its
// height, so that nothing moves.
new IntersectionObserver(([{ isIntersecting, boundingClientRect: { top, height } }]) => {
  const small = !isIntersecting && top < 0 && height > 0 && matchMedia("(max-width: 900px)").matches;
  $(".screen-place").style.height = small ? height + "px" : "";
  $(".screen").classList.toggle("small", small);
}, { rootMargin: "-100px 0px 0px 0px" }).observe($(".screen-place"));
for (const button of element.querySelectorAll("[data-sheet]")) button.addEventListener("click", () => openSheet(button.dataset.sheet));
$(".bar-run").addEventListener("click", () => document.querySelector("#both")?.click());
$(".guess-on").addEventListener("click", tell);
for (const button of element.querySelectorAll("[data-right]")) button.addEventListener("click", () => trigger("click", { right: button.dataset.right === "yes" }));
$(".guess-skip").addEventListener("click", () => { ask(false); if (reel) show(); });
$(".own").addEventListener("click", () => {
  const own = document.querySelector("#photo"), bar = $("[data-sheet=picture]");
  if (bar.offsetParent && bar.getAttribute("aria-expanded") === "false") openSheet("picture");
  own?.scrollIntoView({ block: "center" });
  own?.classList.add("pointed");
  setTimeout(() => own?.classList.remove("pointed"), 3000);
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
  goTo(moment + step);
});
addEventListener("popstate", () => location.reload());
if (props.value?.page) furnish(props.value.page);  // at once, so that nothing moves when the run comes
// The page itself has asked for the run on which it opens, long before the server can be asked through the framework.
if (document.querySelector("#early") && props.value?.page) bring({ at: (early = document.querySelector("#early").href) });
watch("value", listen);
listen();
