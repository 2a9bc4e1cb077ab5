"""Take the README's pictures of the running app:  python -m tests.e2e.screenshots URL [DIR]

Start `python app.py` first. Needs an installed Chromium. Desktop, phone and talk mode, light and dark.
"""

import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.e2e import CHROMIUM

SIZES = {"desktop": (1440, 900, ""), "phone": (390, 844, ""), "talk": (1920, 1080, "&talk=1")}


def main(url: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name, (width, height, query) in SIZES.items():
            for theme in ("light", "dark"):
                page = browser.new_page(viewport={"width": width, "height": height})
                page.goto(f"{url}/?__theme={theme}{query}")
                if not query:
                    page.click(".guess-skip")
                page.wait_for_selector(".stage[data-done=true]")
                page.wait_for_timeout(1500)
                page.click("#both")
                page.wait_for_function("document.querySelector('.note').textContent.includes('ms a step')")
                page.wait_for_selector(".stage[data-done=true]")
                page.wait_for_timeout(800)
                picture = Image.open(io.BytesIO(page.screenshot(full_page=name != "talk"))).convert("RGB")
                picture.quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(
                    folder / f"{name}-{theme}.png", optimize=True
                )
                page.close()
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"), Path(sys.argv[2] if len(sys.argv) > 2 else "assets/screenshots"))
