"""How the page comes over slow lines, as Chrome’s developer tools have them:

    python -m tests.lines [--lines "Slow 3G" "Fast 3G"]

Starts the app as the README says, and opens it in an installed Chromium of a phone’s size. Of each line: the
bytes on the wire by whose they are, and after how many seconds the first picture is seen, the framework has
built the page’s parts, and the question with its exact pictures can be answered.
"""

import argparse
from dataclasses import dataclass

from playwright.sync_api import Browser, sync_playwright

from tests.e2e import CHROMIUM, started

# Latency in ms, bytes a second down and up.
LINES = {"Slow 3G": (2000, 50_000, 50_000), "Fast 3G": (562.5, 180_000, 84_375)}
GOALS = {"Slow 3G": 5, "Fast 3G": 2}  # seconds to the first picture
PAGE_GOAL = 150_000  # bytes of the page itself
PATIENCE = 300_000  # ms
# Seconds since the address was entered.
SEEN = """() => new Promise((resolve) => new PerformanceObserver((list) => {
  const found = list.getEntries().find((entry) => entry.element?.closest("#soon i, .guess-pick, .canvases"));
  if (found) resolve(found.startTime / 1000);
}).observe({ type: "largest-contentful-paint", buffered: true }))"""
THERE = (
    "(selector) => new Promise((resolve) => { const look = () => document.querySelector(selector)"
    " ? resolve(performance.now() / 1000) : requestAnimationFrame(look); look(); })"
)


@dataclass
class Came:
    """Bytes on the wire by kind, and seconds."""

    wire: dict[str, int]
    picture: float
    mounted: float
    ready: float


def opened(browser: Browser, url: str, line: tuple[float, float, float]) -> Came:
    """The page over a line, until its question can be answered."""
    context = browser.new_context(viewport={"width": 360, "height": 640})
    tab = context.new_page()
    tab.set_default_timeout(PATIENCE)
    tab.set_default_navigation_timeout(PATIENCE)
    network, kinds, sizes = context.new_cdp_session(tab), {}, {}
    network.send("Network.enable")
    latency, down, up = line
    network.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": latency, "downloadThroughput": down, "uploadThroughput": up},
    )

    def more(event: dict) -> None:  # of a stream, which does not end
        sizes[event["requestId"]] = sizes.get(event["requestId"], 0) + event["encodedDataLength"]

    network.on("Network.responseReceived", lambda e: kinds.update({e["requestId"]: kind_of(e)}))
    network.on("Network.dataReceived", more)
    network.on("Network.loadingFinished", lambda e: sizes.update({e["requestId"]: e["encodedDataLength"]}))
    tab.goto(url, wait_until="commit")
    picture = tab.evaluate(SEEN)
    mounted = tab.evaluate(THERE, ".stage")
    ready = tab.evaluate(THERE, ".guess-pick:not(:disabled)")
    context.close()
    wire: dict[str, int] = {}
    for request, kind in kinds.items():
        wire[kind] = wire.get(kind, 0) + sizes.get(request, 0)
    return Came(wire, picture, mounted, ready)


def kind_of(event: dict) -> str:
    """Whose the bytes of an answer are."""
    if event["type"] == "Document":
        return "the page itself"
    address = event["response"]["url"]
    if event["type"] in ("Script", "Stylesheet") and ("/assets/" in address or "/static/" in address):
        return "the framework’s scripts and styles"
    return "pictures and the run"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", nargs="+", choices=LINES, default=list(LINES))
    chosen = parser.parse_args().lines
    with started() as (url, _), sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name in chosen:
            found = opened(browser, url, LINES[name])
            wire = ", ".join(f"{size / 1000:.0f} kB {kind}" for kind, size in found.wire.items())
            print(f"{name}: {wire} (goal: {PAGE_GOAL / 1000:.0f} kB for the page itself)")
            print(
                f"  the first picture after {found.picture:.1f} s (goal: {GOALS[name]} s), the page’s parts"
                f" after {found.mounted:.1f} s, the question’s exact pictures after {found.ready:.1f} s",
                flush=True,
            )
        browser.close()


if __name__ == "__main__":
    main()
