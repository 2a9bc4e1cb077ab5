"""Two defences side by side on the stage, in a real browser."""

import pytest

from tests.e2e import CHROMIUM

if CHROMIUM is None:
    pytest.skip("no Chromium is installed (Debian: apt-get install chromium)", allow_module_level=True)

from playwright.sync_api import expect

from tests.e2e.test_browser import (  # noqa: F401  fixtures among them
    PATIENCE,
    browser,
    count_requests,
    data_folder,
    fits,
    open_tab,
    opened,
    painted,
    serious,
    settle,
    url,
)

pytestmark = pytest.mark.browser
LINK = "?picture=cat&steps=4&defense=low_pass&beside=ttc"


@pytest.fixture(params=[(1280, 720, "light"), (360, 640, "dark")], ids=["laptop", "phone"])
def tab(request, browser, url):  # noqa: F811
    """A link to two rows, of which the second has more frames."""
    width, height, theme = request.param
    tab = browser.new_page(viewport={"width": width, "height": height})
    tab.errors = []
    tab.on("pageerror", lambda e: tab.errors.append(str(e)))
    tab.goto(f"{url}/{LINK}&__theme={theme}")
    settle(tab)
    yield tab
    assert not tab.errors
    tab.close()


def test_a_link_opens_with_both_and_one_slider_moves_both(tab):
    rows, held = tab.locator(".pair-row"), tab.locator(".pair .held")
    expect(rows).to_have_count(2)
    expect(tab.locator(".verdict .say")).to_contain_text("of the very same attacked picture they say")
    ends, answers = held.all_inner_texts(), tab.locator(".pair .answer b").all_inner_texts()
    assert set(ends) <= {"Stands", "Fallen"}
    other = len({answer.split(",")[0] for answer in answers}) == 2
    expect(tab.locator(".pair [aria-label=differs]")).to_have_count(2 if other else 0)
    one, two = (row.bounding_box() for row in rows.all())
    stacked = tab.viewport_size["width"] < 900
    assert (one["y"] + one["height"] <= two["y"]) == stacked
    assert (one["x"] + one["width"] <= two["x"]) != stacked
    assert painted(tab, ".pair-row:first-child .seen") and painted(tab, ".pair-row:last-child .seen")
    assert fits(tab) and not serious(tab)
    asked = count_requests(tab)
    tab.locator(".scrub").focus()
    tab.keyboard.press("Home")  # up to the test there is one picture, and one story
    expect(tab.locator(".pair .told").first).to_be_empty()
    expect(held.first).to_be_empty()
    while "The test" not in tab.locator(".moment").inner_text():
        tab.keyboard.press("ArrowRight")
    expect(rows.first).to_contain_text("No gate: it acts on every picture.")
    expect(rows.last).to_contain_text("tau")
    tab.keyboard.press("ArrowRight")
    expect(tab.locator(".moment")).to_contain_text("The counterattack")
    tab.keyboard.press("End")
    expect(tab.locator(".moment")).to_have_text("The counterattack, the end")
    assert held.all_inner_texts() == ends and not asked
    for side, value in (("left", "defended"), ("right", "beside")):  # and the divider lies between the two
        tab.locator(f".pick-{side}").select_option(value)
    expect(tab.locator(".compare .right")).to_have_attribute("aria-label", "the defended (TTC) picture")
    assert painted(tab, ".compare .left") and painted(tab, ".compare .right")


def test_a_second_defence_is_chosen_beside_and_a_lane_is_set_there(browser, url):  # noqa: F811
    tab = browser.new_page(viewport={"width": 1280, "height": 720})
    opened(tab, url)
    settle(tab)
    expect(tab.locator(".pair")).to_be_hidden()
    tab.locator("#beside input").click()
    tab.get_by_role("option", name="Random noise", exact=True).click()
    expect(tab.locator("#beside")).to_contain_text("“Random noise” takes about 3 passes", timeout=PATIENCE)
    tab.click("#both")
    expect(tab.locator(".pair-row h3").last).to_contain_text("Random noise", timeout=PATIENCE)
    settle(tab)
    expect(tab.locator(".verdict .say")).to_contain_text("“Ours” stands, “Random noise” falls")
    assert tab.url.endswith("beside=rn") and tab.locator(".predictions section").count() == 4
    open_tab(tab, "Arena")
    tab.click("#run-arena")
    tab.locator('#arena .watch.beside[data-key="low_pass"]').click(timeout=PATIENCE)
    expect(tab.locator(".pair-row h3").last).to_contain_text("Low-pass", timeout=PATIENCE)
    settle(tab)
    expect(tab.locator("#beside input")).to_have_value("Low-pass")
    tab.locator("#beside input").click()
    tab.get_by_role("option", name="Nothing", exact=True).click()
    tab.click("#counterattack")
    expect(tab.locator(".pair")).to_be_hidden(timeout=PATIENCE)
    tab.close()
