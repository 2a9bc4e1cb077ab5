// How deep the words of the acts and of the verdict go: chosen in the page's head, and kept in this browser.
const DEPTH = "depth";
let depth = "";
try { depth = localStorage.getItem(DEPTH) ?? ""; } catch { /* then it is chosen anew each time */ }

// What is said at the depth that is chosen; the usual one where it is not told otherwise, as of a run that was stopped.
function inDepth(usual, depths) { return depths?.[depth] ?? usual; }

// The switch as it was left; it may come onto the page after the stage. What only students need is left out by style.
function showDepth() {
  $(".stage").dataset.depth = depth;
  for (const node of element.querySelectorAll("[data-words]")) (node.matches(".plot h2, .strips h2, .nudges h2") ? told : text)(node, say(node.dataset.words));
  const select = document.querySelector("#depth");
  if (select && [...select.options].some((option) => option.value === depth)) select.value = depth;
}

document.addEventListener("change", ({ target }) => {
  if (target.id !== DEPTH) return;
  depth = target.value;
  try { localStorage.setItem(DEPTH, depth); } catch { /* as above */ }
  if (page) showDepth();
  if (reel) show();
});
