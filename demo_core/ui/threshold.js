// The gate's threshold, moved on a finished run: whether the defence would act at another one, which takes the numbers that
// are there.
const PLACES = 200;  // of the slider
let movedTo = null, movedOf = null;  // where it was moved to, and on which axes

// The same, but where nobody could move it back: told for everyone and in a talk the slider is not there.
function movedNow() { return $(".threshold").offsetParent ? movedTo : null; }

// The axes of the signal that decides, and its place; nothing where none of those shown does.
function deciding() {
  const place = reel.signal.findIndex((found) => found.threshold !== null);
  return place < 0 ? null : { place, found: reel.signal[place], own: reel.signal[place].threshold };
}

function wouldAct(found, value, at) { return found.below ? value < at : value > at; }

// About how much of a pile of photographs it would act on, from the density that the plot shows.
function shareOf(found, role, at) {
  const hill = found.hills.find((other) => other.role === role), part = hill && (found.x[1] - found.x[0]) / hill.heights.length;
  if (!hill) return null;
  const whole = hill.heights.reduce((sum, height) => sum + height, 0);
  const below = hill.heights.reduce((sum, height, i) => sum + height * clamp((at - found.x[0]) / part - i, 0, 1), 0) / whole;
  return (100 * (found.below ? below : 1 - below)).toFixed(0) + "\u00a0%";
}

function thresholdWords({ place, found, own }, at, tested) {
  const does = (name, picture) => {
    const value = reel.signals[name][place];
    return say(wouldAct(found, value, at) ? "threshold_acts" : "threshold_rests", { picture: say(picture, { value: value.toFixed(3) }) });
  };
  const two = tested && reel.signals.attacked, shares = { clean: shareOf(found, "clean", at), attacked: shareOf(found, "attacked", at) };
  const values = { at: at.toFixed(3), clean: does("clean", "threshold_clean"), attacked: two ? does("attacked", "threshold_attacked") : "" };
  return [say(two ? "threshold_two" : "threshold_one", values), shares.clean && shares.attacked ? say("threshold_others", shares) : "",
    at === own ? "" : say("threshold_own", { own: own.toFixed(3) })].filter(Boolean).join(" ");
}

// Into the layer above the signal plot, and below it; tested: whether the moment of the test has come.
function drawThreshold(svg, tested) {
  const known = deciding(), slider = $(".threshold-at");
  if (movedOf !== JSON.stringify(known?.found)) { movedTo = null; movedOf = JSON.stringify(known?.found); }
  slider.disabled = !known;
  const moved = movedNow();
  $(".threshold-back").hidden = moved === null;
  if (!known) return text($(".threshold-said"), say("threshold_none"));
  const { found, own, place } = known, at = moved ?? own, [low, high] = found.x;
  Object.assign(slider, { min: low, max: high, step: "any" });
  slider.value = at;
  const words = thresholdWords(known, at, tested);
  slider.setAttribute("aria-valuetext", words);
  text($(".threshold-said"), words);
  const axes = scaled("signal", found, place), { at: of, bottom, top } = axes, [x] = of(at, 0);
  drawZone($(".signal .zone"), axes, found, at);
  if (moved === null) return;
  draw(svg, "line", { class: "moved", x1: x, x2: x, y1: bottom, y2: top });
}

function moveThreshold(to) {
  if (!reel) return;
  movedTo = to;
  drawSignal();
}

$(".threshold-at").addEventListener("input", ({ target }) => moveThreshold(+target.value));
$(".threshold-at").addEventListener("keydown", (event) => {
  const way = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
  if (!way) return;
  event.preventDefault();
  const { min, max, value } = event.target;
  moveThreshold(clamp(+value + way * (max - min) / PLACES, +min, +max));
});
$(".threshold-back").addEventListener("click", () => { moveThreshold(null); $(".threshold-at").focus(); });
