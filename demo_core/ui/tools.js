// What all of the stage's scripts know: the page, the run on it and its moment, and a few helpers. They run one after the other
// as gr.HTML's js_on_load, which gives them: element, props, watch. All that they say comes with the page or the reel.
const $ = (selector) => element.querySelector(selector);
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const percent = (share) => (share > 0 && share < 0.0005 ? "<\u00a00.1" : share < 1 && share >= 0.9995 ? ">\u00a099.9" : (100 * share).toFixed(1)) + "\u00a0%";

const calm = matchMedia("(prefers-reduced-motion: reduce)");
let page = null, reel = null, moment = 0, now = 0, timer = null, photo = null, photoSource = "", means = null, touring = -1, stale = false, asked = "", coded = "", asking = false, at_work = false;
const left = new Set(), drawn = {};

// One of the page's own sentences, at the depth that is chosen where it has words of its own for it, with the values in their places.
function say(key, values = {}) { return (page.words[key + "_" + depth] ?? page.words[key]).replace(/\{(\w+)\}/g, (_, name) => values[name]); }

function text(node, words) { if (node.textContent !== words) node.textContent = words; }

// The same, with a note at the first of each term in it; no line ends between a number and its unit.
function told(node, given) {
  const words = given.replaceAll(" %", "\u00a0%");
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
