"""What the page says in its three depths, and how it follows what a visitor does, in a headless Chromium."""

import re
from pathlib import Path

import pytest
from PIL import Image

from demo_core import ui
from demo_core.story.gate_words import in_tenths
from demo_core.ui.choices import NO_PRESET
from tests.e2e import CHROMIUM, started

if CHROMIUM is None:
    pytest.skip("no Chromium is installed (Debian: apt-get install chromium)", allow_module_level=True)

from playwright.sync_api import expect, sync_playwright

pytestmark = pytest.mark.browser

PATIENCE = 90_000  # ms
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


@pytest.fixture(scope="module")
def tabs():
    """New pages by their size, past the question that the page opens on."""
    with started() as (address, _), sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *CAMERA])

        def opened(width: int = 1440, height: int = 900):
            tab = browser.new_page(viewport={"width": width, "height": height})
            tab.set_default_timeout(PATIENCE)
            tab.goto(address)
            tab.locator(".guess-skip").click()
            tab.wait_for_selector(".stage[data-done=true]")
            return tab

        yield opened
        browser.close()


def test_shares_beside_bars_are_told_as_in_the_files(tabs):
    """By the page's own line of script."""
    shares = (0, 0.0003, 0.0005, 0.4321, 0.9994, 0.9996, 1)
    (line,) = re.findall(r"^const percent = .+$", (Path(ui.__file__).parent / "tools.js").read_text(), re.M)
    said = tabs().evaluate(f"(shares) => {{ {line} return shares.map(percent); }}", shares)
    assert [words.replace("\xa0", " ") for words in said] == [in_tenths(share) for share in shares]


def told_for(tab, depth: str) -> None:
    tab.locator("#depth").select_option(depth)


@pytest.mark.parametrize("size", [(1440, 900), (360, 640)], ids=["desktop", "phone"])
def test_everyone_reads_no_number_below_the_verdict_but_the_bars_and_the_small_changes(tabs, size):
    """A student reads them; no depth runs over the edge. How far each small change moves the picture is what
    the test is about, and its threshold a line through these, so that stays at every depth."""
    tab = tabs(*size)
    below = ".change, .strips, .plots"
    tab.wait_for_selector(".nudge")

    def numbers() -> list[str]:
        return [
            found
            for part in tab.locator(below).all()
            for found in re.findall(r"\d+\.\d+|\d+\s%|/255", part.inner_text())
        ]

    assert len(numbers()) > 10
    for depth in ("paper", "everyone"):
        told_for(tab, depth)
        assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert not numbers()
    assert re.search(r"\d\.\d\s%", tab.locator(".predictions").inner_text())
    assert re.search(r"\d\.\d", tab.locator(".nudges").inner_text())
    told_for(tab, "student")
    assert len(numbers()) > 10
    tab.close()


def test_a_picture_that_is_taken_away_at_once_stays_away(tabs, tmp_path):
    """Also where the server’s copy of it comes only then, as on a slow line."""
    Image.effect_noise((300, 240), 60).convert("RGB").save(tmp_path / "mine.png")
    tab = tabs()
    line = tab.context.new_cdp_session(tab)
    line.send("Network.enable")
    slow = {"offline": False, "latency": 800, "downloadThroughput": -1, "uploadThroughput": -1}
    line.send("Network.emulateNetworkConditions", slow)
    take = tab.locator("#photo").get_by_role("button", name="Remove Image")
    take.click()
    tab.locator("#photo input[type=file]").set_input_files(tmp_path / "mine.png")
    with tab.expect_response(re.compile("queue/data")):
        take.click()
    tab.wait_for_timeout(4000)
    expect(take).to_have_count(0)
    expect(tab.locator(".note")).to_contain_text("An earlier run")
    tab.locator("#photo input[type=file]").set_input_files(tmp_path / "mine.png")  # the same once more
    copy = re.compile(r"/image\.png$")
    expect(tab.locator("#photo img")).to_have_attribute("src", copy, timeout=PATIENCE)
    tab.close()


def test_a_picture_of_the_camera_is_a_picture_of_ones_own(tabs):
    """It opens its labels, as an upload does; who says that the first answer is wrong sees that he did."""
    tab = tabs()
    expect(tab.locator("#labels textarea")).to_be_hidden()
    tab.locator("#photo").get_by_role("button", name="Remove Image").click()
    tab.locator("#photo").get_by_label("Capture from camera").click()
    tab.get_by_text("Click to Access Webcam").click()
    tab.wait_for_function(
        "document.querySelector('#photo video')?.videoWidth > 0"
    )  # before that there is none
    tab.get_by_label("capture photo").click()
    expect(tab.locator("#labels textarea")).to_be_visible(timeout=PATIENCE)
    tab.locator("#both").click()
    tab.locator(".asks [data-right=no]").click()
    expect(tab.locator(".asks [data-right=no]")).to_have_attribute("aria-pressed", "true", timeout=PATIENCE)
    expect(tab.locator(".asks [data-right=yes]")).to_have_attribute("aria-pressed", "false")
    tab.close()


def test_an_example_keeps_the_defence_and_a_setting_ends_its_preset(tabs):
    tab = tabs()
    tab.locator("#defense input").click()
    tab.get_by_role("option", name="TTE", exact=True).click()
    expect(tab.locator("#preset input")).to_have_value("", timeout=PATIENCE)
    expect(tab.locator("#preset")).to_contain_text(NO_PRESET)
    tab.locator("#examples button[data-title=lion]").click()
    made_for_it = re.compile("computed on|ms a step")  # it takes no steps; the attack before it does
    expect(tab.locator(".note")).to_contain_text(made_for_it, timeout=PATIENCE)
    expect(tab.locator("#defense input")).to_have_value("TTE")
    tab.get_by_role("tab", name="Arena", exact=True).click()
    cost = tab.locator("#arena-knows")
    expect(cost).to_contain_text("Each defence is attacked through itself", timeout=PATIENCE)
    tab.close()
