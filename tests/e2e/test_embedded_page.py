"""The page below a path of a proxy, within a page of another origin: as on a host's own web site."""

import json
import re

import pytest

from tests.e2e import CHROMIUM, started
from tests.e2e.proxy import behind_a_proxy

if CHROMIUM is None:
    pytest.skip("no Chromium is installed (Debian: apt-get install chromium)", allow_module_level=True)

from playwright.sync_api import expect, sync_playwright

pytestmark = pytest.mark.browser

PATIENCE = 90_000  # ms
PREFIX = "/some/demo"


@pytest.fixture(scope="module")
def origin():
    """As on a Space, which asks for rendering on the server."""
    with (
        started(GRADIO_ROOT_PATH=PREFIX, GRADIO_SSR_MODE="true") as (address, _),
        behind_a_proxy(address, PREFIX) as found,
    ):
        yield found


@pytest.fixture
def tab(origin):
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1440, "height": 1000}, accept_downloads=True)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        tab = context.new_page()
        tab.failed, tab.strangers = [], []
        tab.on("console", lambda m: tab.failed.append(m.text) if m.type == "error" else None)
        tab.on("response", lambda r: tab.failed.append(f"{r.status} {r.url}") if r.status >= 400 else None)
        ours = (f"{origin}{PREFIX}/", f"{origin}{PREFIX}?", "data:", "blob:")
        tab.on("request", lambda r: None if r.url.startswith(ours) else tab.strangers.append(r.url))
        yield tab
        browser.close()


def test_behind_a_proxy_in_a_frame_a_run_works_is_downloaded_and_its_link_is_the_outer_address(
    tab, origin, tmp_path
):
    outer = origin.replace("127.0.0.1", "localhost")  # another origin on the same machine
    asked = f"{outer}/embedding?of={origin}{PREFIX}/"
    tab.goto(asked)
    page = tab.frame_locator("iframe")
    page.locator(".guess-skip").click(timeout=PATIENCE)
    expect(page.locator(".lab").first).to_have_css("display", "grid")
    expect(page.locator(".verdict .say")).to_contain_text("Recovered", timeout=PATIENCE)

    page.locator('#examples button[data-title="rocket"]').click()
    expect(page.locator(".say")).to_contain_text("rocket", timeout=PATIENCE)
    page.get_by_label("number input for eps").fill("2")
    page.get_by_label("number input for eps").press("Tab")
    page.locator("#both").click()
    expect(page.locator(".note")).to_contain_text("ms a step", timeout=PATIENCE)
    expect(page.locator(".stage")).to_have_attribute("data-done", "true", timeout=PATIENCE)

    page.get_by_role("tab", name="Share and take away").click()
    link = page.locator("#share a.run").evaluate("link => link.href")
    assert link == f"{origin}{PREFIX}/?picture=rocket&eps=2"
    page.locator("#share button").first.click()
    expect(page.locator("#share")).to_contain_text("Copied", timeout=PATIENCE)
    assert tab.frames[1].evaluate("() => navigator.clipboard.readText()") == link
    with tab.expect_download(timeout=PATIENCE) as download:
        page.locator("#take-json").click()
    download.value.save_as(tmp_path / "run.json")
    assert json.loads((tmp_path / "run.json").read_text())["settings"]["eps"] == 2
    assert [url for url in tab.strangers if not url.startswith(f"{outer}/")] == [] and not tab.failed

    tab.goto(link)  # what was copied leads whoever gets it to the run
    expect(tab.locator(".verdict .say")).to_contain_text(re.compile("rocket"), timeout=PATIENCE)
    expect(tab.get_by_label("number input for eps")).to_have_value("2")
