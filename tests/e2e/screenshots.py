"""Take the README's pictures of the running app:  python -m tests.e2e.screenshots URL [DIR]

Start `python app.py` first. Needs an installed Chromium.
"""
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

SIZES = {"desktop": (1440, 900), "phone": (390, 844)}


def main(url: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, (width, height) in SIZES.items():
            for theme in ("light", "dark"):
                page = browser.new_page(viewport={"width": width, "height": height})
                page.goto(f"{url}/?__theme={theme}")
                page.locator("#examples img").nth(1).click()
                page.wait_for_selector("#photo img")
                page.wait_for_timeout(1000)
                page.click("#both")
                page.wait_for_function("/Recovered|stands|Not recovered/.test(document.querySelector('#verdict').innerText)")
                page.click("#run-arena")
                page.wait_for_function("(t => t && t[1] === t[2])(/(\\d+) of (\\d+) defences/.exec(document.querySelector('#arena').innerText))")
                page.wait_for_timeout(1000)
                page.screenshot(path=folder / f"{name}-{theme}.png", full_page=True)
                page.close()
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"), Path(sys.argv[2] if len(sys.argv) > 2 else "assets/screenshots"))
