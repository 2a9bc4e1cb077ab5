"""The page in a real headless Chromium, started as the README says."""
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

from demo_core.defenses import DEFENSES
from demo_core.examples import EXAMPLES

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None:
    pytest.skip("no Chromium is installed (Debian: apt-get install chromium)", allow_module_level=True)

from playwright.sync_api import expect, sync_playwright  # noqa: E402

ROOT = Path(__file__).parents[2]
PATIENCE = 60_000  # ms


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def url(data_folder):
    port = free_port()
    app = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=os.environ | {
        "GRADIO_SERVER_PORT": str(port), "CLIP_DATA_DIR": str(data_folder)})
    address = f"http://127.0.0.1:{port}"
    for _ in range(240):
        try:
            urllib.request.urlopen(address, timeout=2)
            break
        except OSError:
            assert app.poll() is None, "app.py stopped"
            time.sleep(0.5)
    yield address
    app.terminate()
    app.wait(20)


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(params=[(1440, 900), (390, 844)], ids=["desktop", "phone"])
def page(request, browser, url):
    width, height = request.param
    tab = browser.new_page(viewport={"width": width, "height": height})
    tab.errors, tab.strangers = [], []
    tab.on("console", lambda m: tab.errors.append(m.text) if m.type == "error" else None)
    tab.on("pageerror", lambda e: tab.errors.append(str(e)))
    tab.on("request", lambda r: tab.strangers.append(r.url) if not r.url.startswith((url, "data:", "blob:")) else None)
    tab.goto(url)
    tab.wait_for_selector("#both")
    yield tab
    assert not tab.errors
    tab.close()


def say(page, pattern: str):
    expect(page.locator("#verdict")).to_contain_text(re.compile(pattern), timeout=PATIENCE)


def upload(page, path: str):
    page.locator("#photo input[type=file]").set_input_files(path)
    page.wait_for_selector("#photo img")


def test_upload_attack_counterattack_verdict(page):
    upload(page, EXAMPLES[1].path)
    page.click("#attack")
    say(page, "The attack turned “.+” into")
    page.click("#counterattack")
    say(page, "counterattack engaged.*ecovered")
    for name in ("clean-picture", "perturbation", "attacked-picture", "defended-picture"):
        assert page.locator(f"#{name} img").evaluate("image => image.naturalWidth") == 448
    assert page.locator("#predictions section").count() == 3
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")  # nothing cut off
    assert not page.strangers  # no request leaves the page's own server


def test_example_and_clean_control(page):
    page.locator("#examples img").first.click()
    expect(page.locator("#labels textarea")).to_have_value(re.compile("^lion"))
    page.wait_for_selector("#photo img")
    page.click("#control")
    say(page, "clean picture")
    page.click("#both")
    say(page, "ecovered")


def test_arena_and_an_attacker_who_knows_the_defence(page):
    upload(page, EXAMPLES[1].path)
    page.click("#run-arena")
    expect(page.get_by_text("there is no attacked picture yet")).to_be_visible(timeout=PATIENCE)
    page.get_by_text("Attack settings").click()
    page.get_by_label("number input for Steps", exact=True).fill("3")
    page.get_by_label("number input for Steps", exact=True).press("Tab")
    page.get_by_label("The attacker knows the defence").check()
    page.click("#attack")
    say(page, "The attack, made through the defence, (turned|did not)")
    page.click("#run-arena")
    count = len(DEFENSES)
    expect(page.locator("#arena")).to_contain_text(f"{count} of {count} defences. Each defence met", timeout=PATIENCE)
    assert page.locator("#arena tbody tr").count() == count
    page.get_by_role("tab", name="Noise and views").click()
    expect(page.locator("#views svg[role=img]")).to_be_visible()
    assert "attacked tau" in page.locator("#views svg[role=img]").get_attribute("aria-label")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_stop_stops(page):
    upload(page, EXAMPLES[0].path)
    page.get_by_text("Attack settings").click()
    page.get_by_label("number input for Steps", exact=True).fill("50")
    page.get_by_label("number input for Steps", exact=True).press("Tab")
    page.wait_for_timeout(500)
    page.click("#both")
    say(page, "attack is running")
    page.click("#stop")
    say(page, r"Stopped after step \d+ of \d+ of the (attack|counterattack)")
    time.sleep(1.5)  # a frame may still be on its way
    stopped = page.locator("#drift svg[role=img]").get_attribute("aria-label")
    time.sleep(2)
    assert page.locator("#drift svg[role=img]").get_attribute("aria-label") == stopped
    say(page, r"Stopped after step \d+ of \d+ of the (attack|counterattack)")


def test_what_is_missing_is_said(page):
    page.click("#both")
    expect(page.get_by_text("Choose a picture first")).to_be_visible(timeout=PATIENCE)


def own_pictures(folder: Path) -> None:
    """Fifty pictures in two classes, made of the examples."""
    for i in range(50):
        kind = folder / ("cat", "lion")[i % 2]
        kind.mkdir(parents=True, exist_ok=True)
        with Image.open(EXAMPLES[1 - i % 2].path) as picture:
            side = min(picture.size) - 2 * i
            picture.convert("RGB").crop((i, i, i + side, i + side)).resize((64, 64)).save(kind / f"{i}.png")


def test_the_benchmark_is_hidden_until_asked_for(page):
    sent = page.content() + page.evaluate("JSON.stringify(window.gradio_config.components)")
    assert "bench-" not in sent and "view=benchmark" not in sent and "What papers printed" not in sent
    assert page.get_by_text("Benchmark", exact=True).count() == 0


def test_a_benchmark_runs_stops_and_is_downloaded(browser, url, data_folder, tmp_path):
    own_pictures(data_folder / "holiday")
    tab = browser.new_page(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    tab.goto(f"{url}/?view=benchmark")
    expect(tab.locator("#shipped")).to_contain_text("Pocket CLIP", timeout=PATIENCE)
    expect(tab.locator("#both")).to_be_hidden()
    tab.get_by_role("tab", name="What papers printed").click()
    expect(tab.locator("#published")).to_contain_text("arXiv", timeout=PATIENCE)
    tab.get_by_role("tab", name="Run").click()
    tab.locator("#bench-data input").click()
    tab.get_by_role("option", name="your folder “holiday”").click()
    tab.locator("#bench-data").get_by_role("button", name=re.compile("example photographs")).or_(
        tab.locator("#bench-data .token", has_text="example photographs").locator(".token-remove")).first.click()
    tab.keyboard.press("Escape")
    tab.locator("#bench-run").click()
    expect(tab.locator("#bench-progress")).to_contain_text("of 450 records", timeout=PATIENCE)
    with tab.expect_response(re.compile("/cancel")):
        tab.locator("#bench-stop").click()
    expect(tab.locator("#bench-progress")).to_contain_text("Stopped", timeout=PATIENCE)
    tab.wait_for_timeout(1000)  # a click while the page still waits for the cancelled run is dropped
    tab.locator("#bench-run").click()
    expect(tab.locator("#bench-progress")).to_contain_text("Done: 450 records.", timeout=4 * PATIENCE)
    expect(tab.locator("#bench-table")).to_contain_text("PGD-10, 4/255")
    with tab.expect_download() as download:
        tab.locator("#bench-download").click()
    download.value.save_as(tmp_path / "table.md")
    assert "| clean | 50 |" in (tmp_path / "table.md").read_text()
    tab.close()
