// What leads through a run: the question at the start, the tour, and notes at terms.

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
  const says = { clean: reel.frames[0], attacked: frameOf("attacked") };
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
  play(0, end(), () => { $(".invite").hidden = false; });
  if (calm.matches) $(".invite").hidden = false;
  $(".play").focus({ preventScroll: true });
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
  const from = reel.frames.findIndex((f) => f.act === here.act), to = endOf(here.act);
  if (from >= 0) play(from, to);
  $(".tour-title").focus({ preventScroll: true });
  (element.querySelector(".lit .screen-place") ?? element.querySelector(".lit"))?.scrollIntoView({ block: "start" });  // on a phone .compare has no box
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
