"""Take the README's pictures of the running app, and one of each of its doors:

    python -m tests.e2e.screenshots URL [DIR]

Start `python app.py` first. Needs an installed Chromium. Desktop, phone and talk mode, light and dark; the
doors as a laptop shows them.
"""

import io
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from demo_core.defenses import DEFENSES
from demo_core.examples import EXAMPLES
from tests.e2e import CHROMIUM

PATIENCE = 240_000  # milliseconds
DONE = ".stage[data-done=true]"
IDLE = ".work[hidden]"  # nothing is computed any more


def story(page: Page) -> None:
    """A run of one's own, told to its end."""
    if page.locator(".guess-skip").is_visible():
        page.click(".guess-skip")
    page.wait_for_selector(DONE, timeout=PATIENCE)
    page.wait_for_timeout(1500)
    page.click("#both")
    page.wait_for_function("document.querySelector('.note').textContent.includes('ms a step')")
    page.wait_for_selector(DONE, timeout=PATIENCE)


def guess(page: Page) -> None:
    page.wait_for_selector(".guess-skip", timeout=PATIENCE)


def own_picture(page: Page) -> None:
    """A photograph that comes without a name, and what the model makes of it."""
    page.click(".guess-skip")
    page.wait_for_selector(DONE, timeout=PATIENCE)
    photograph = Image.open(EXAMPLES[1].path).convert("RGB")
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        photograph.save(file.name)
        page.locator("#photo input[type=file]").set_input_files(file.name)
        page.wait_for_timeout(1500)
    page.locator("#suggest").click()
    page.wait_for_timeout(2500)
    story(page)


def tab(page: Page, name: str) -> None:
    page.click(".guess-skip")
    page.wait_for_selector(DONE, timeout=PATIENCE)
    page.get_by_role("tab", name=name).click()


def attacked(page: Page) -> None:
    """The example's attacked picture, taken away and brought back."""
    tab(page, "Share and take away")
    with page.expect_download(timeout=PATIENCE) as download:
        page.click("#take-attacked")
    page.get_by_role("tab", name="Is it attacked?").click()
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        download.value.save_as(file.name)
        page.locator("#suspect-photo input[type=file]").set_input_files(file.name)
        page.wait_for_selector("#suspect-photo img")
    page.click("#suspect")
    expect(page.locator("#suspicion .headline")).to_contain_text("Suspicious:", timeout=PATIENCE)


def arena(page: Page) -> None:
    tab(page, "Arena")
    page.click("#run-arena")
    lanes = page.locator("#arena .lane:not(.waiting)")
    expect(lanes).to_have_count(len(DEFENSES), timeout=PATIENCE)
    page.wait_for_selector(DONE, timeout=PATIENCE)


def lesson(page: Page) -> None:
    tab(page, "Lesson")


def benchmark(page: Page) -> None:
    expect(page.locator("#shipped")).to_contain_text("Photo CLIP", timeout=PATIENCE)


@dataclass(frozen=True)
class Door:
    """width, height: of the window; query: what is asked for; act: what is done there; themes: which of them;
    whole: the page's whole length; shown: what is scrolled to."""

    width: int
    height: int
    act: Callable[[Page], None]
    query: str = ""
    themes: tuple[str, ...] = ("light",)
    whole: bool = False
    shown: str = ""


BOTH = ("light", "dark")
DOORS = {
    "desktop": Door(1440, 900, story, themes=BOTH, whole=True),
    "phone": Door(390, 844, story, themes=BOTH, whole=True),
    "talk": Door(1920, 1080, story, "&talk=1", themes=BOTH),
    "guess": Door(1280, 720, guess),
    "own-picture": Door(1280, 720, own_picture),
    "attacked": Door(1280, 720, attacked, shown="#suspicion"),
    "arena": Door(1280, 900, arena, shown="#arena"),
    "lesson": Door(1280, 900, lesson, shown="#lesson"),
    "benchmark": Door(1280, 900, benchmark, "&view=benchmark"),
}


def taken(browser: Browser, url: str, door: Door, theme: str) -> Image.Image:
    """The door's picture, in few colours: it is to be small."""
    page = browser.new_page(viewport={"width": door.width, "height": door.height}, accept_downloads=True)
    page.goto(f"{url}/?__theme={theme}{door.query}")
    door.act(page)
    if page.locator(".work").count():  # the benchmark's page has none
        page.wait_for_selector(IDLE, state="attached", timeout=PATIENCE)
    if door.shown:
        page.locator(door.shown).first.evaluate("part => part.scrollIntoView()")
    page.wait_for_timeout(800)
    picture = Image.open(io.BytesIO(page.screenshot(full_page=door.whole))).convert("RGB")
    page.close()
    return picture.quantize(256, dither=Image.Dither.FLOYDSTEINBERG)


def main(url: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name, door in DOORS.items():
            for theme in door.themes:
                taken(browser, url, door, theme).save(folder / f"{name}-{theme}.png", optimize=True)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"), Path(sys.argv[2] if len(sys.argv) > 2 else "assets/screenshots"))
