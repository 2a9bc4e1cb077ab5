"""The page in a real headless Chromium, started as the README says."""

import re
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from demo_core import story
from demo_core.defenses import DEFENSES
from demo_core.examples import EXAMPLES
from demo_core.models import load, profile_of, study_of
from demo_core.pictures import open_picture, to_photo
from demo_core.story import words
from demo_core.story.finished import stored
from demo_core.story.page_words import DOORS, TABS
from demo_core.story.scenes import FIRST, SCENES, scene_of
from demo_core.ui import handlers
from demo_core.ui.files import FILES, run_page
from tests.e2e import CHROMIUM, started

if CHROMIUM is None:
    pytest.skip("no Chromium is installed (Debian: apt-get install chromium)", allow_module_level=True)

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

pytestmark = pytest.mark.browser

PATIENCE = 90_000  # ms
FIRST_RUN, CHOSEN = stored(SCENES[FIRST].scene), EXAMPLES[0]  # what the page opens on, and another photograph


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def url(data_folder):
    runs = str(data_folder / ".runs")
    with started(CLIP_DATA_DIR=str(data_folder), CLIP_RUNS_DIR=runs, GRADIO_SSR_MODE="True") as (address, _):
        yield address


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
    tab.on(
        "request",
        lambda r: tab.strangers.append(r.url) if not r.url.startswith((url, "data:", "blob:")) else None,
    )
    opened(tab, url)
    tab.wait_for_selector("#both")
    yield tab
    # The framework aborts its own streams when it is closed in the middle of one.
    assert not [error for error in tab.errors if not error.startswith("AbortError")]
    tab.close()


def opened(tab, url: str):
    """The page, past the question that it opens on."""
    tab.goto(url)
    tab.locator(".guess-skip").click(timeout=PATIENCE)


def say(page, pattern: str):
    expect(page.locator(".verdict .say")).to_contain_text(re.compile(pattern), timeout=PATIENCE)


def end_of(reel: dict) -> str:
    """What a finished run says at its end."""
    return re.escape(reel["verdict"]["text"])


def upload(page, path: str):
    page.locator("#photo input[type=file]").set_input_files(path)
    page.wait_for_timeout(500)  # until it is there


def shown(page) -> int:
    return int(page.locator(".stage").get_attribute("data-frame"))


def count_requests(page) -> list[str]:
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url) if not r.url.startswith(("data:", "blob:")) else None)
    return asked


def fits(page) -> bool:
    """Nothing is cut off at the side."""
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def painted(page, selector: str) -> bool:
    """Whether a canvas holds a picture."""
    return page.locator(selector).evaluate(
        "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data"
        ".some((v, i) => i % 4 < 3 && v > 20)"
    )


def open_tab(page, name: str):
    page.get_by_role("tab", name=name, exact=True).click(timeout=PATIENCE)


def serious(tab) -> list[str]:
    """What axe finds that keeps somebody out."""
    found = Axe().run(tab, options={"resultTypes": ["violations"]}).response["violations"]
    return [f"{v['id']}: {v['nodes'][0]['html']}" for v in found if v["impact"] in ("serious", "critical")]


def settle(page):
    expect(page.locator(".stage")).to_have_attribute("data-done", "true", timeout=PATIENCE)


@pytest.mark.parametrize("choice", ["attacked", "clean"])
def test_the_page_opens_on_a_question_and_then_tells_its_story_once(browser, url, choice):
    tab = browser.new_page(viewport={"width": 1280, "height": 720})
    tab.goto(url)
    tab.wait_for_selector(".guess-pick canvas")
    expect(tab.locator(".guess h2")).to_be_in_viewport()
    expect(tab.locator(".verdict")).to_be_hidden()  # it gives nothing away
    tab.wait_for_function("document.querySelector('.guess-pick').dataset.name")
    expect(tab.locator(".guess-pick >> nth=1")).to_be_enabled(timeout=PATIENCE)
    assert all(painted(tab, f".guess-pick:nth-of-type({place}) canvas") for place in (1, 2))
    looks = tab.locator(".guess-pick canvas").evaluate_all("all => all.map((c) => c.toDataURL())")
    assert looks[0] != looks[1]
    tab.click(f".guess-pick[data-name={choice}]")
    clean, fooled = (FIRST_RUN["labels"][FIRST_RUN["frames"][i]["top"][0][0]] for i in (0, 11))
    expect(tab.locator(".guess-said")).to_contain_text("Right" if choice == "attacked" else "the other one")
    expect(tab.locator(".guess-pick[data-name=clean]")).to_contain_text(f"Untouched. CLIP says “{clean}”")
    expect(tab.locator(".guess-pick[data-name=attacked]")).to_contain_text(f"Attacked. CLIP says “{fooled}”")
    tab.click(".guess-on")
    assert shown(tab) == 0
    expect(tab.locator(".invite")).to_be_hidden()
    expect(tab.locator(".invite")).to_be_visible(timeout=40_000)
    assert shown(tab) == len(FIRST_RUN["frames"]) - 1
    expect(tab.locator(".play")).to_have_attribute("aria-label", "play")  # once
    tab.click(".own")
    assert tab.evaluate("document.activeElement.closest('#photo') !== null")
    tab.close()


def test_who_wants_nothing_to_move_steps_through_the_story(browser, url):
    tab = browser.new_page(viewport={"width": 1280, "height": 720}, reduced_motion="reduce")
    tab.goto(url)
    tab.click(".guess-pick >> nth=0")
    tab.click(".guess-on")
    acts = [FIRST_RUN["frames"][0]["act"]]
    for _ in range(3):
        before = shown(tab)
        tab.wait_for_timeout(1500)
        assert shown(tab) == before  # nothing moves by itself
        tab.click(".play")
        acts.append(FIRST_RUN["frames"][shown(tab)]["act"])
    assert acts == [0, 1, 2, 3]
    tab.close()


def test_a_press_is_answered_at_once(page):
    """Within 0.2 s, with the old verdict gone, whatever the server does."""
    say(page, "Recovered")
    page.evaluate("""() => {
      window.since = null;
      window.addEventListener("click", () => { window.pressed = performance.now(); }, true);
      new MutationObserver(() => { window.since ??= window.pressed && performance.now() - window.pressed; })
        .observe(document.querySelector(".say"), { childList: true, characterData: true, subtree: true });
    }""")
    page.click("#both")
    expect(page.locator(".work")).to_contain_text(
        "Working", timeout=2000
    )  # and for how long, where that is known
    assert page.evaluate("window.since") < 200
    expect(page.locator(".note")).to_contain_text("ms a step", timeout=PATIENCE)
    settle(page)
    expect(page.locator(".work")).to_be_hidden()


@pytest.mark.parametrize("width, height", [(360, 640), (390, 844)])
def test_on_a_phone_picture_and_slider_are_seen_together(browser, url, width, height):
    tab = browser.new_page(viewport={"width": width, "height": height})
    opened(tab, url)
    say(tab, "Recovered")
    for part in (".canvases", ".scrub", ".verdict", ".bar-run"):
        expect(tab.locator(part)).to_be_in_viewport(ratio=0.99)
    tab.locator(".plot.map").scroll_into_view_if_needed()
    for part in (".canvases", ".scrub", ".bar-run"):
        expect(tab.locator(part)).to_be_in_viewport(ratio=0.99)
    assert tab.locator(".screen").bounding_box()["height"] < height / 5, "there is room to read"
    tab.click("[data-sheet=settings]")
    settings = tab.get_by_role("button", name="Attack settings"), *map(tab.locator, ("#eps", "#defense"))
    tops = [part.bounding_box()["y"] for part in settings]
    assert tops == sorted(tops), "attack, strength, defence"
    expect(tab.locator("#eps")).to_be_in_viewport()
    expect(tab.locator("#photo")).to_be_hidden()
    sheet, bar = tab.locator(".sheet").bounding_box(), tab.locator(".thumb").bounding_box()
    assert sheet["y"] + sheet["height"] >= bar["y"], "nothing shows between the two"
    tab.click("[data-sheet=picture]")
    expect(tab.locator("#photo")).to_be_in_viewport()
    expect(tab.locator("#eps")).to_be_hidden()
    expect(tab.locator("#photo img")).to_be_visible()
    tab.keyboard.press("Escape")
    expect(tab.locator(".sheet")).to_have_count(0)
    assert fits(tab)
    tab.close()


def test_on_a_laptop_the_essentials_are_above_the_fold(browser, url):
    tab = browser.new_page(viewport={"width": 1280, "height": 720})
    opened(tab, url)
    say(tab, "Recovered")
    for part in (".canvases", ".verdict", ".predictions .defended .top .bar i", ".scrub", "#both"):
        expect(tab.locator(part)).to_be_in_viewport(ratio=0.99)
    tops = tab.locator(".predictions section").evaluate_all(
        "all => all.map((n) => n.getBoundingClientRect().top)"
    )
    assert len(set(tops)) == 1 and fits(tab)
    tab.close()


def test_the_page_opens_on_a_finished_run(page):
    """Before anything was computed for this visitor; and no frame of it asks the server for more."""
    say(page, end_of(FIRST_RUN))
    expect(page.locator(".note")).to_have_text("a finished run that came with the demo")
    page.wait_for_function(
        "document.querySelector('.compare .left').getContext('2d')"
        ".getImageData(200, 200, 1, 1).data[3] === 255"
    )
    assert (
        painted(page, ".compare .left")
        and painted(page, ".compare .right")
        and painted(page, ".change .delta")
    )
    assert page.locator(".predictions section").count() == 3
    best, column = (page.locator(f".predictions .clean{p}").bounding_box() for p in (" .top .bar", ""))
    assert best["height"] > 3 and column["x"] <= best["x"] and best["y"] < column["y"] + column["height"]
    for plot in ("drift", "signal", "map"):
        assert len(page.locator(f".plot.{plot} svg[role=img]").get_attribute("aria-label")) > 20
    assert fits(page) and not page.strangers  # no request leaves the page's own server


def test_scrubbing_moves_everything_and_asks_nobody(page):
    page.wait_for_timeout(1000)
    asked = count_requests(page)
    scrub, names = page.locator(".scrub"), page.locator(".predictions .attacked .name").first

    def at_this_moment() -> tuple:
        return (
            page.locator(".moment").inner_text(),
            page.locator(".say").inner_text(),
            page.locator(".drift .above").inner_html(),
            page.locator(".signal .above").inner_html(),
            page.locator(".map svg").inner_html(),
            page.locator(".change .delta").evaluate("c => c.toDataURL()"),
            page.locator(".compare .right").evaluate("c => c.toDataURL()"),
        )

    end = at_this_moment()
    scrub.focus()
    page.keyboard.press("Home")
    assert shown(page) == 0 and page.locator(".moment").inner_text() == "The picture"
    assert all(one != two for one, two in zip(at_this_moment(), end))
    expect(names).to_be_hidden()
    page.keyboard.press("ArrowRight")
    assert shown(page) == 1 and page.locator(".moment").inner_text() == "The attack, step 0 of 10"
    page.locator(".acts .act").nth(2).click()
    say(page, "Does it hold still")
    page.locator(".acts .act").nth(2).press("ArrowLeft")
    assert page.locator(".moment").inner_text() == "The attack, step 10 of 10"
    fooled = [FIRST_RUN["labels"][f["top"][0][0]] for f in FIRST_RUN["frames"] if f["act"] == 1]
    expect(names).to_have_text(fooled[-1])
    page.locator(".play").click()
    expect(page.locator(".play")).to_have_attribute("aria-label", "pause")
    expect(page.locator(".play")).to_have_attribute("aria-label", "play", timeout=30_000)
    say(page, "Recovered")
    assert at_this_moment() == end
    assert not asked


def test_pictures_compare_and_the_perturbation_has_three_looks(page):
    page.wait_for_timeout(800)

    def data(where: str) -> str:
        return page.locator(where).evaluate("c => c.toDataURL()")

    assert data(".compare .left") != data(".compare .right")
    page.locator(".pick-right").select_option("clean")
    assert data(".compare .left") == data(".compare .right")
    page.locator(".pick-right").select_option("attacked")
    before = data(".compare .right")
    page.locator(".sees").check()
    assert data(".compare .right") != before
    looks = set()
    for mode in ("full", "ten", "heat"):
        page.locator(".mode").select_option(mode)
        looks.add(data(".change .delta"))
    assert len(looks) == 3
    page.locator(".split").focus()
    page.keyboard.press("End")
    assert page.locator(".canvases").evaluate("c => c.style.getPropertyValue('--split')") == "100%"


def test_the_embedding_is_shown_and_a_label_s_numbers_beside_it(page):
    say(page, "Recovered")
    said = page.locator(".strip-said")
    best = FIRST_RUN["labels"][FIRST_RUN["frames"][-1]["top"][0][0]]
    expect(said).to_contain_text(f"“{best}” agrees best")
    strips = page.locator(".strips canvas").evaluate_all("all => all.map((c) => c.toDataURL())")
    assert len(set(strips)) == 3
    before = said.inner_text()
    page.locator(".predictions .attacked .row").first.click()
    fooled = FIRST_RUN["labels"][FIRST_RUN["frames"][11]["top"][0][0]]
    assert page.locator(".strip-label option:checked").inner_text() == fooled
    assert said.inner_text() != before and f"“{best}” agrees best" in said.inner_text()
    page.locator(".acts .act").nth(1).click()
    page.keyboard.press("Escape")
    rows = page.locator(".nudge-row")
    expect(rows.first).to_contain_text("mirrored: “")
    page.locator(".scrub").focus()
    page.keyboard.press("End")
    assert rows.count() == 2 and page.locator(".nudge").count() == 12


def test_numbers_stand_beside_every_plot(page):
    page.wait_for_selector(".stage[data-done=true]")
    for plot, rows in (("drift", len(FIRST_RUN["frames"])), ("signal", 2), ("map", len(FIRST_RUN["frames"]))):
        page.locator(f".plot.{plot} summary").click()
        assert page.locator(f".plot.{plot} tbody tr").count() == rows


def test_the_tour_leads_through_the_four_acts(page):
    settle(page)
    page.locator(".start-tour").click()
    for number, title in enumerate(("The picture", "The attack", "The test", "The counterattack"), 1):
        expect(page.locator(".tour-title")).to_have_text(f"{number} of 5: {title}")
        expect(page.locator(".tour-title")).to_be_focused()
        expect(page.locator(".moment")).to_contain_text(title)
        assert len(page.locator(".tour-text").inner_text()) > 80 and page.locator(".stage .lit").count() >= 1
        page.locator(".tour-next").press("Enter")
    expect(page.locator(".tour-title")).to_have_text("5 of 5: Your turn")
    page.locator(".tour-next").click()
    expect(page.locator(".tour")).to_be_hidden()


def test_on_a_small_phone_the_tour_s_card_leaves_the_picture_in_sight(browser, url):
    tab = browser.new_page(viewport={"width": 360, "height": 640}, reduced_motion="reduce")
    opened(tab, url)
    settle(tab)
    tab.locator(".start-tour").click()
    for _ in ("the picture", "the attack"):
        tab.wait_for_timeout(400)
        picture, card = (tab.locator(part).bounding_box() for part in (".canvases", ".tour"))
        assert picture["y"] >= 0 and picture["y"] + picture["height"] <= card["y"]
        tab.locator(".tour-next").click()
    tab.close()


def test_upload_attack_counterattack_verdict(page):
    upload(page, EXAMPLES[3].path)
    expect(page.locator("#labels textarea")).to_be_visible(timeout=PATIENCE)  # they open by themselves
    page.locator("#labels textarea").fill("coffee\npizza\norange\nlemon")
    page.click("#attack")
    say(page, "The attack turned “.+” into")
    page.click("#counterattack")
    say(page, "suspicious, so CLIP fights back.*CLIP (now )?says")  # what is right nobody told
    settle(page)
    expect(page.locator(".announced")).to_contain_text(re.compile("CLIP (now )?says"))
    open_tab(page, "Share and take away")
    assert fits(page) and not page.strangers
    expect(page.locator("#share")).to_contain_text("your own picture is in no link")


def test_one_who_waits_reads_how_many_come_first(browser, url):
    """On the stage and for a screen reader, in place of another picture's verdict; then his own run comes."""
    first, second = (browser.new_page(viewport={"width": 1440, "height": 900}) for _ in range(2))
    for tab in (first, second):
        opened(tab, url)
        say(tab, "Recovered")
    second.evaluate("""() => {
      window.said = [];
      const work = document.querySelector(".work");
      const now = () => [work, document.querySelector(".say")].map((part) => part.textContent).join("|");
      new MutationObserver(() => window.said.push(now())).observe(work, { childList: true });
    }""")
    first.click("#both")
    first.wait_for_timeout(300)
    second.click("#both")
    expect(second.locator(".note")).to_contain_text("ms a step", timeout=PATIENCE)
    settle(second)
    said = second.evaluate("window.said")
    working = r"Working(: about \d+ s)? …"  # on a slow machine a run takes long enough to say how long
    wanted = ("Working …", r"Waiting: 1 before you, about \d+ s", working)
    assert all(re.fullmatch(rf"{words}\|{words}", found) for words, found in zip(wanted, said))
    say(second, "Recovered")
    assert second.locator(".work").get_attribute("role") == "status"
    for tab in (first, second):
        tab.close()


def test_an_upload_keeps_its_pixels_and_neither_name_nor_place(page, tmp_path):
    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (52.0, 31.0, 12.0)}
    Image.open(EXAMPLES[3].path).convert("RGB").save(tmp_path / "at home.jpg", exif=exif)
    upload(page, str(tmp_path / "at home.jpg"))
    shown = page.locator("#photo img")
    expect(shown).not_to_have_attribute("src", re.compile("home"), timeout=PATIENCE)
    expect(page.locator(".note")).to_contain_text("An earlier run")
    with urllib.request.urlopen(shown.get_attribute("src")) as answer:
        kept = Image.open(answer)
        kept.load()
    assert min(kept.size) <= 896 and not kept.getexif() and not kept.info


def test_example_and_clean_control(page):
    page.locator("#examples button").first.click()
    say(page, end_of(stored(scene_of(CHOSEN.title))))
    expect(page.locator(".note")).to_have_text("a finished run that came with the demo")
    page.click("#control")
    say(page, "CLIP still says|clean picture")
    page.click("#both")
    say(page, "ecovered")
    expect(page.locator(".note")).to_contain_text("ms a step")


def test_presets_show_their_runs_at_once(page):
    asked = [page.locator(".say").inner_text()]
    for preset in list(SCENES.values())[1:]:
        page.wait_for_timeout(700)  # on a phone the page scrolls to the stage that has just come
        page.locator("#preset input").click()
        page.get_by_role("option", name=preset.title, exact=True).click()
        expect(page.locator(".say")).not_to_have_text(asked[-1], timeout=PATIENCE)
        words = {"control": "CLIP still says", "failure": "Not recovered", "adaptive": "Not recovered"}
        say(page, next((w for key, w in words.items() if SCENES[key] is preset), "Recovered"))
        asked.append(page.locator(".say").inner_text())
    assert len(set(asked)) == len(SCENES)


def test_a_run_that_does_not_arrive_is_told_of_and_can_be_chosen_again(browser, url):
    """What is on the stage stays until then."""
    tab = browser.new_page(viewport={"width": 1440, "height": 900})
    opened(tab, url)
    say(tab, "Recovered")
    tab.route("**/reel/**", lambda route: route.abort())
    rocket, sign = tab.locator('#examples button[data-title="rocket"]'), tab.locator(".work")
    rocket.click()
    expect(sign).to_have_text("This run did not arrive. Check the connection, then choose it again.")
    say(tab, "tabby cat")
    tab.unroute("**/reel/**")
    rocket.click()
    say(tab, "rocket")
    expect(sign).to_be_hidden()
    tab.close()


def test_a_link_makes_the_run_again(browser, url):
    """One that came with the demo, and one that did not."""
    ends = []
    for _ in range(2):
        tab = browser.new_page()
        tab.goto(f"{url}/?{replace(scene_of('rocket'), eps=2.0, steps=7, seed=3).query()}")
        say(tab, "ecovered|stands")
        settle(tab)
        expect(tab.locator(".note")).to_contain_text("ms a step", timeout=PATIENCE)
        open_tab(tab, "Share and take away")
        assert tab.locator("#share a.run").get_attribute("href").startswith("./?picture=rocket&")
        link = tab.locator("#share a.run").get_attribute("href")
        assert "steps=7" in link
        expect(tab.locator("#share a.talk-mode")).to_have_attribute("href", f"{link}&talk=1")
        tab.locator(".plot.drift summary").click()
        ends.append((tab.locator(".say").inner_text(), tab.locator(".plot.drift table").inner_text()))
        tab.close()
    assert ends[0] == ends[1]
    tab = browser.new_page()
    tab.goto(f"{url}/?picture={SCENES['failure'].scene.picture}")
    say(tab, "Not recovered")
    for query, why in (
        ("picture=unicorn", "names a picture that is not here"),
        ("picture=cat&steps=1000000000", "Set steps to a whole number"),
        ("picture=cat&attack=targeted_pgd", "Choose the label that the targeted attack should reach"),
    ):
        tab.goto(f"{url}/?{query}")
        expect(tab.get_by_text(why)).to_be_visible(timeout=PATIENCE)
    tab.close()


def test_the_address_follows_and_back_returns(browser, url):
    tab = browser.new_page(viewport={"width": 1440, "height": 900})
    opened(tab, url)
    assert "picture=" not in tab.url
    tab.locator('#examples button[data-title="rocket"]').click()
    tab.wait_for_url("**picture=rocket**")
    tab.get_by_label("number input for eps").fill("2")
    tab.get_by_label("number input for eps").press("Tab")
    tab.click("#both")
    tab.wait_for_url("**eps=2**", timeout=PATIENCE)
    settle(tab)
    verdict = tab.locator(".say").inner_text()
    tab.reload()
    expect(tab.locator(".say")).to_have_text(verdict, timeout=PATIENCE)
    tab.go_back()
    tab.wait_for_url("**picture=rocket")
    say(tab, "rocket")
    expect(tab.get_by_label("number input for eps")).to_have_value("4")
    tab.close()


def choose_example(tab, title: str):
    """On a phone its button lies in a sheet."""
    tab.locator(f'#examples button[data-title="{title}"]').dispatch_event("click")
    say(tab, end_of(stored(scene_of(title))))


def test_the_last_runs_lie_side_by_side_in_this_tab_alone(page, browser, url):
    shelf, table = page.locator(".shelf"), page.locator(".shelf-pair")
    say(page, "Recovered")
    expect(shelf).to_be_hidden()  # one alone is on the stage
    for title in ("rocket", "lion", "cup of coffee", "tower", "cheetah", "dahlia", "rocket"):
        choose_example(page, title)
    runs = page.locator(".shelf-run")
    expect(runs).to_have_count(6)  # the oldest went; one that came again is there once
    assert runs.locator("img").count() == 18
    page.reload()
    page.locator(".guess-skip").click(timeout=PATIENCE) if "picture=" not in page.url else settle(page)
    expect(runs).to_have_count(6, timeout=PATIENCE)
    expect(table).to_be_hidden()
    for place in (0, 1):
        runs.nth(place).get_by_role("button").click()
    expect(table.locator("thead th")).to_have_count(2)
    differing = table.locator("tr.differs th").all_inner_texts()
    assert [head.split(" ≠")[0] for head in differing] == ["Candidate labels"]
    assert fits(page) and not serious(page)
    other = browser.new_page()
    opened(other, url)
    say(other, "Recovered")
    expect(other.locator(".shelf")).to_be_hidden()
    other.close()
    came_with_the_demo = runs.first.locator("button").get_attribute("data-run")
    page.locator("#both").dispatch_event("click")
    newest = runs.first.locator("button")
    expect(newest).not_to_have_attribute("data-run", came_with_the_demo, timeout=PATIENCE)
    own = newest.get_attribute("data-run")
    for title in (
        "lion",
        "cup of coffee",
        "tower",
        "cheetah",
        "dahlia",
        "motorcycle",
    ):  # that are only looked at
        choose_example(page, title)
    expect(runs).to_have_count(6)
    assert own in runs.locator("button").evaluate_all("all => all.map((button) => button.dataset.run)")
    page.locator(".shelf-clear").click()
    expect(shelf).to_be_hidden()


def test_eight_seeds_say_whether_one_run_was_luck(page):
    say(page, "Recovered")
    page.click("#try-seeds")
    expect(page.locator(".work")).to_contain_text(
        "Working", timeout=2000
    )  # and for how long, where that is known
    expect(page.locator("#seeds")).to_contain_text("so far, of 8", timeout=PATIENCE)
    expect(page.locator("#seeds tbody tr")).to_have_count(8, timeout=PATIENCE)
    expect(page.locator(".drawn")).to_have_text(
        re.compile(r"^In [5-8] of 8 draws the attack turns “tabby cat”")
    )
    expect(page.locator(".work")).to_be_hidden()
    page.click("#try-seeds")  # its end says what the last one's did
    expect(page.locator(".work")).to_be_visible()
    expect(page.locator(".work")).to_be_hidden(timeout=PATIENCE)
    assert fits(page)


def test_the_head_leads_to_what_lies_below(page):
    say(page, "Recovered")
    wide = page.viewport_size["width"] > 900
    expect(page.locator(".head nav")).to_be_visible(visible=wide)  # a phone has no room
    for key in DOORS if wide else ():
        page.evaluate("scrollTo(0, 0)")
        page.locator(f'[data-door="{TABS[key]}"]').click()
        expect(page.get_by_role("tab", name=TABS[key])).to_be_in_viewport()
        expect(page.get_by_role("tab", name=TABS[key])).to_have_attribute("aria-selected", "true")


def test_the_slider_shows_where_the_picture_flips(page):
    say(page, "Recovered")
    page.locator("#find-flip").dispatch_event("click")
    tracks = page.locator("#flips .flip-track")
    expect(tracks).to_have_count(2, timeout=PATIENCE)
    expect(page.locator("#flips")).to_contain_text(re.compile(r"Without a defence: .*falls at [\d.]+/255"))
    if page.locator("[data-sheet=settings]").is_visible():
        page.click("[data-sheet=settings]")
    track, slider = tracks.first.bounding_box(), page.locator("#eps input[type=range]").bounding_box()
    assert abs(track["x"] - slider["x"]) < 20 and abs(track["width"] - slider["width"]) < 50
    assert fits(page) and not serious(page)


def test_the_threshold_moves_on_a_finished_run_and_asks_nobody(page):
    say(page, "Recovered")
    page.wait_for_timeout(800)
    asked, said, slider = count_requests(page), page.locator(".threshold-said"), page.locator(".threshold-at")
    clean, attacked = (FIRST_RUN["signals"][name][0] for name in ("clean", "attacked"))
    expect(said).to_contain_text(f"leaves the clean picture ({clean:.3f}) alone and acts on the attacked one")
    expect(page.locator(".axes .moved")).to_have_count(0)
    shares = []
    for at, what in (
        (attacked + 0.01, "leaves the clean picture .* alone and leaves the attacked one .* alone"),
        (clean - 0.01, "acts on the clean picture .* and acts on the attacked one"),
    ):
        slider.fill(str(at))
        expect(said).to_contain_text(re.compile(what))
        shares.append([int(share) for share in re.findall(r"(\d+)\s%", said.inner_text())])
    assert shares[0][0] <= shares[1][0] and shares[0][1] < shares[1][1] == 100
    expect(page.locator(".axes .moved")).to_have_count(1)
    zone, line = page.locator(".zone rect"), page.locator(".axes .moved")
    moved_zone = zone.get_attribute("x")
    assert moved_zone == line.get_attribute("x1"), "the zone begins at the line"
    page.select_option("#depth", "everyone")  # who could not move it back
    expect(page.locator(".axes .moved")).to_have_count(0)
    assert zone.get_attribute("x") != moved_zone
    page.select_option("#depth", "student")
    expect(page.locator(".axes .moved")).to_have_count(1)
    slider.press("ArrowRight")
    page.locator(".threshold-back").click()
    expect(page.locator(".axes .moved")).to_have_count(0)
    expect(said).not_to_contain_text("The run was made at")
    assert not asked


def test_a_threshold_that_engages_below_is_moved_too(browser, url):
    tab = browser.new_page()
    tab.goto(f"{url}/?{replace(scene_of('rocket'), defense='ttc', steps=2).query()}")
    settle(tab)
    said, slider = tab.locator(".threshold-said"), tab.locator(".threshold-at")
    for at, what in (("1", "acts on the clean picture"), ("0", "leaves the clean picture")):
        slider.fill(at)
        expect(said).to_contain_text(what)
    tab.goto(f"{url}/?{replace(scene_of('rocket'), defense='tte', steps=2).query()}")
    expect(said).to_contain_text("No threshold to move", timeout=PATIENCE)
    expect(slider).to_be_disabled()
    tab.close()


def test_one_switch_tells_it_for_everyone_students_and_readers_of_the_paper(page):
    said, switch = page.locator(".verdict .say"), page.get_by_label("Told for")
    say(page, end_of(FIRST_RUN))
    expect(switch).to_have_value("student")
    head = page.locator(".plot.drift h2")
    for depth, signs, heads in (
        ("everyone", "jumps: suspicious", "How far CLIP’s view of the picture moves"),
        ("paper", "‖f(x′)‖", "How far the embedding moves"),
    ):
        switch.select_option(depth)
        expect(head).to_have_text(heads)
        expect(said).to_have_text(FIRST_RUN["verdict"]["depths"][depth])
        page.locator(".acts .act").nth(1).click()
        page.locator(".scrub").press("Home")
        expect(said).to_have_text(FIRST_RUN["frames"][0]["depths"][depth])
        page.locator(".scrub").press("End")
        expect(said).to_contain_text(signs)
        assert fits(page)
    page.reload()
    page.locator(".guess-skip").click(timeout=PATIENCE)
    expect(said).to_have_text(FIRST_RUN["verdict"]["depths"]["paper"], timeout=PATIENCE)
    expect(switch).to_have_value("paper")
    switch.select_option("student")
    say(page, end_of(FIRST_RUN))


def test_no_tab_hides_in_a_menu_and_the_lesson_s_sheet_is_printed_alone(page):
    tabs = page.get_by_role("tab")
    names = ("Is it attacked?", "Arena", "Share and take away", "Lesson", "About")
    for name in names:
        expect(page.get_by_role("tab", name=name, exact=True)).to_be_visible(timeout=PATIENCE)
    assert tabs.count() == 7 and page.get_by_role("button", name="More tabs").count() == 0
    assert len(page.locator(".lab").evaluate("n => getComputedStyle(n).gridTemplateAreas")) > 10
    open_tab(page, "About")
    expect(page.locator("#about")).to_be_in_viewport()
    assert fits(page)
    open_tab(page, "Lesson")
    page.evaluate("window.print = () => {}")
    page.locator(".lesson summary").first.click()
    page.click(".lesson .print")
    page.emulate_media(media="print")
    for hidden in ("h1", "#stage", "#preset", "#labels", "[role=tab]", "footer", ".lesson .print"):
        expect(page.locator(hidden).first).to_be_hidden()
    expect(page.locator(".lesson")).to_be_visible()
    assert page.locator(".lesson details[open]").count() == 1
    around = (
        "n => { const all = []; while ((n = n.parentElement)) all.push(getComputedStyle(n)); return all.map("
    )
    looks = page.locator(".lesson").evaluate(around + "s => s.display + ' ' + s.overflow); }")
    assert set(looks) == {"block visible"}, "lines are lost where a page of paper ends"
    written = "n => getComputedStyle(n, '::after').content"
    assert "http://" in page.locator(".lesson a").first.evaluate(written)
    page.emulate_media(media="screen")


def test_long_labels_are_cut_where_there_is_no_room(browser, url):
    """In the bars to three lines, on the map to a few letters; the whole label is told on hover."""
    long = "Donaudampfschifffahrtselektrizitaetenhauptbetriebswerk"
    tab = browser.new_page(viewport={"width": 1280, "height": 720})
    opened(tab, url)
    say(tab, "Recovered")
    tab.get_by_role("button", name="Labels").click()
    expect(tab.locator("#labels textarea")).to_have_value(re.compile("tabby cat"))  # it is all there
    tab.locator("#labels textarea").fill(f"{long}\nsomething else entirely that is long to say")
    expect(tab.locator(".note")).to_contain_text("An earlier run")
    tab.click("#both")
    expect(tab.locator(".note")).to_contain_text("ms a step", timeout=PATIENCE)
    settle(tab)
    name = tab.locator(f'.predictions .clean .name[title="{long}"]')
    expect(name).to_have_text(long)
    assert name.bounding_box()["height"] < 75
    on_map = tab.locator(".map svg text").all_text_contents()
    assert on_map and all(label.endswith("…") and len(label) < 30 for label in on_map)
    tab.close()


@pytest.mark.parametrize("key", FILES)
def test_every_file_is_downloaded(browser, url, tmp_path, key):
    tab = browser.new_page(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    opened(tab, url)
    say(tab, "Recovered")
    tab.get_by_role("tab", name="Share and take away").click()
    with tab.expect_download(timeout=PATIENCE) as download:
        tab.click(f"#take-{key}")
    assert download.value.suggested_filename == f"clip-fights-back_cat_photo_pgd-4_{FILES[key].file}"
    download.value.save_as(tmp_path / "file")
    starts = {
        "json": b"{",
        "npz": b"PK",
        "gif": b"GIF8",
        "pdf": b"%PDF",
        "svg": b"<?xml",
        "page": b"<!doctype",
    }
    assert (tmp_path / "file").read_bytes().startswith(starts.get(key, b"\x89PNG"))
    tab.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_run_plays_as_one_file_without_a_server(browser, tmp_path, theme):
    """With labels that would end a script, or begin a picture."""
    clip, example = load("photo"), EXAMPLES[1]
    labels = ("tabby cat", "</script><img src=x onerror=alert(1)>", "lion")
    run = story.begin(
        clip,
        to_photo(open_picture(example.path)),
        story.Settings(labels, "{}.", steps=10, eps=4 / 255),
        profile_of("photo"),
    )
    *_, run = story.whole(clip, run)
    path = tmp_path / "run.html"
    path.write_bytes(run_page(run, study_of("photo")))
    assert path.stat().st_size < 2_000_000
    tab, errors = browser.new_page(viewport={"width": 1280, "height": 720}, color_scheme=theme), []
    asked = count_requests(tab)
    tab.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    tab.on("pageerror", lambda e: errors.append(str(e)))
    tab.goto(path.as_uri())
    expect(tab.locator(".say")).to_have_text(words.verdict(run))
    expect(tab.locator("header")).to_contain_text("CLIP names what a picture shows")
    expect(tab.locator("header summary")).to_have_text("PGD, 4/255; Ours")
    expect(tab.locator(".predictions .clean")).to_contain_text("</script><img")
    tab.locator(".scrub").focus()
    tab.keyboard.press("Home")
    expect(tab.locator(".moment")).to_have_text("The picture")
    tab.keyboard.press("ArrowRight")
    expect(tab.locator(".moment")).to_have_text("The attack, step 0 of 10")
    tab.wait_for_function("document.querySelector('.compare .left').getAttribute('aria-label')")
    assert painted(tab, ".compare .right") and painted(tab, ".change .delta") and fits(tab)
    assert not serious(tab)
    assert not errors and asked == [path.as_uri()]
    tab.close()


def test_a_picture_taken_away_is_suspected_when_it_comes_back(page, tmp_path):
    """By the door beside the Lab; its defended picture can be taken, and another picture clears all."""
    open_tab(page, "Share and take away")
    with page.expect_download(timeout=PATIENCE) as download:
        page.click("#take-attacked")
    download.value.save_as(tmp_path / "friend.png")
    open_tab(page, "Is it attacked?")
    page.locator("#suspect-photo input[type=file]").set_input_files(tmp_path / "friend.png")
    page.wait_for_selector("#suspect-photo img")
    behind, labels = page.locator("#suspicion .behind"), page.locator("#labels textarea")
    page.get_by_role("button", name="Labels").click()
    before = labels.input_value(timeout=PATIENCE)
    page.click("#suspect")
    labels.fill(f"{before}\nzebra")  # while it is looked at
    expect(page.locator("#suspicion .headline")).to_contain_text("Suspicious:", timeout=PATIENCE)
    expect(page.locator("#suspect-take")).to_be_visible(timeout=PATIENCE)
    assert fits(page)
    assert not serious(page)
    expect(behind).to_be_visible(timeout=PATIENCE)
    labels.fill(before)
    expect(behind).not_to_be_visible(timeout=PATIENCE)
    labels.fill(f"{before}\nlion")
    expect(behind).to_be_visible(timeout=PATIENCE)
    with page.expect_download(timeout=PATIENCE) as download:
        page.click("#suspect-take")
    assert download.value.suggested_filename == "clip-fights-back_own-picture_photo_as-it-is_defended.png"
    page.locator("#suspect-photo").get_by_role("button", name=re.compile("Clear|Remove")).click()
    expect(page.locator("#suspicion")).to_contain_text("Put a picture in", timeout=PATIENCE)
    expect(page.locator("#suspect-take")).not_to_be_visible()


def test_a_refused_file_is_not_an_earlier_one(browser, url):
    tab = browser.new_page(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    opened(tab, url)
    say(tab, "Recovered")
    open_tab(tab, "Share and take away")
    with tab.expect_download(timeout=PATIENCE):
        tab.click("#take-defended")
    tab.click("#attack")
    say(tab, "The attack turned")
    settle(tab)
    handed = []
    tab.on("download", lambda download: handed.append(download))
    tab.click("#take-defended")
    expect(tab.get_by_text("press Counterattack first")).to_be_visible(timeout=PATIENCE)
    tab.wait_for_timeout(1500)
    assert not handed
    tab.close()


def test_what_is_chosen_meanwhile_stays(browser, url):
    """A preset pressed while a run streams ends that run; no late frame takes the stage back."""
    tab = browser.new_page(viewport={"width": 1440, "height": 900})
    tab.goto(f"{url}/?picture={SCENES['failure'].scene.picture}")
    say(tab, "Not recovered")
    tab.get_by_role("button", name="Attack settings").click()
    tab.get_by_label("The attacker knows the defence").check()
    tab.click("#both")
    expect(tab.locator(".stage")).to_have_attribute("data-done", "false", timeout=PATIENCE)
    tab.locator("#examples button").first.click()
    say(tab, f"“{CHOSEN.expected}” again")
    tab.wait_for_timeout(3000)
    say(tab, f"“{CHOSEN.expected}” again")
    note, eps = tab.locator(".note"), tab.locator("#eps input[type=number]")
    expect(note).to_have_text("a finished run that came with the demo")
    for value, said in ((7, "An earlier run"), (4, "a finished run"), (6, "An earlier run")):
        eps.fill(str(value))
        eps.press("Tab")
        expect(note).to_contain_text(said, timeout=PATIENCE)
    tab.locator("#examples button").nth(1).click()
    expect(note).to_contain_text("a finished run", timeout=PATIENCE)
    tab.get_by_role("button", name="Labels").first.click()
    tab.click("#suggest")
    expect(tab.get_by_text(re.compile("CLIP takes this for “"))).to_be_visible(timeout=PATIENCE)
    expect(note).to_contain_text("An earlier run", timeout=PATIENCE)
    tab.close()


def test_the_page_brings_no_run_and_keeps_its_place_free(browser, url):
    """The first run is asked for by the page; nothing moves when it comes."""
    with urllib.request.urlopen(url) as page:
        assert len(page.read()) < 500_000
    for width, height, query in ((1440, 900, ""), (390, 844, ""), (1440, 900, "?picture=cat")):
        tab = browser.new_page(viewport={"width": width, "height": height})
        tab.add_init_script("""
          window.places = new Set();
          new MutationObserver(() => {
            const parts = [...document.querySelectorAll(".stage > *")].map((n) =>
              n.offsetTop - n.parentNode.offsetTop + ":" + n.offsetHeight);
            if (parts.length) window.places.add(parts.join());
          }).observe(document, { subtree: true, childList: true, attributes: true, characterData: true });""")
        tab.goto(f"{url}/{query}")
        settle(tab)
        tab.wait_for_timeout(800)
        assert tab.evaluate("window.places.size") == 1
        tab.close()


def test_a_message_that_was_missed_is_made_up_for(browser, url):
    """The page is kept from hearing of every other message in the middle of a run, and still has all of it in
    the end."""
    tab = browser.new_page(viewport={"width": 1440, "height": 900})
    tab.add_init_script("""
      window.missed = 0;
      window.Function = new Proxy(Function, { apply(make, self, given) {
        const code = given.at(-1), deaf = `const all = watch; let heard = 0;
          watch = (name, hear) => all(name, () => {
            if (props.value?.since && !props.value.done && heard++ % 2) window.missed++; else hear();
          });`;
        const stage = given.includes("watch") && code.includes("The stage:");
        return make(...given.slice(0, -1), stage ? deaf + code : code);
      } });""")
    opened(tab, url)
    settle(tab)
    tab.click("#both")
    expect(tab.locator(".note")).to_contain_text("ms a step", timeout=PATIENCE)
    settle(tab)
    tab.locator(".plot.drift summary").click()
    expect(tab.locator(".plot.drift tbody tr")).to_have_count(len(FIRST_RUN["frames"]), timeout=PATIENCE)
    say(tab, "Recovered")
    assert tab.evaluate("window.missed") > 0
    tab.close()


def test_labels_are_words_on_the_stage(browser, url):
    tab = browser.new_page(viewport={"width": 1440, "height": 900})
    opened(tab, url)
    say(tab, "Recovered")
    tab.get_by_role("button", name="Labels").click()
    labels = tab.locator("#labels textarea")
    expect(labels).to_have_value(re.compile("tabby cat"))  # what is written before it has its words is lost
    labels.fill("<img src=x onerror=alert(1)>\n<b>cat")
    expect(tab.locator(".note")).to_contain_text("An earlier run")
    tab.click("#both")
    expect(tab.locator(".predictions .clean")).to_contain_text("<img src=x", timeout=PATIENCE)
    settle(tab)
    assert tab.locator(".stage img:not(.looks img), .stage b:not(.act b, .key)").count() == 0
    tab.close()


def test_arena_and_an_attacker_who_knows_the_defence(page):
    page.get_by_role("button", name="Attack settings").click()
    page.get_by_label("number input for Steps", exact=True).fill("1")
    page.get_by_label("number input for Steps", exact=True).press("Tab")
    page.get_by_label("The attacker knows the defence").check()
    page.click("#attack")
    say(page, "The attack, made through the defence, (turned|did not)")
    open_tab(page, "Arena")
    page.get_by_label("The attacker knows each defence").check()
    page.click("#run-arena")
    count, some = len(DEFENSES), 5  # all of them would take minutes
    expect(page.locator("#arena")).to_contain_text(
        f"{some} of {count} defences. Each defence met", timeout=PATIENCE
    )
    page.click("#stop-arena")
    lanes = page.locator("#arena .lane")
    assert lanes.count() == count
    shown = lanes.evaluate_all("nodes => nodes.map((n) => [n.dataset.key, n.getBoundingClientRect().top])")
    assert min(shown, key=lambda lane: lane[1])[0] == "none"  # the control stays first
    states = lanes.evaluate_all("nodes => nodes.map((n) => [+n.style.order, n.className])")
    ranked = [state for _, state in sorted(states)[1:]]
    places = ("standing", "costly", "fallen", "waiting")
    assert ranked == sorted(ranked, key=lambda state: [place in state for place in places].index(True))
    expect(lanes.first).to_contain_text("No sign of masked gradients")
    assert fits(page)


def test_a_lane_is_watched_and_nobody_loses_his_place(page):
    open_tab(page, "Arena")
    page.click("#run-arena")
    button = page.locator('#arena .watch:not(.beside)[data-key="low_pass"]')
    button.focus(timeout=PATIENCE)  # it is there before the race is over
    before = page.locator("#arena .lane:not(.waiting)").count()
    expect(page.locator("#arena .lane:not(.waiting)")).to_have_count(len(DEFENSES), timeout=PATIENCE)
    assert before < len(DEFENSES)
    expect(button).to_be_focused()
    page.click("#stop-arena")
    page.wait_for_timeout(1000)
    button.press("Enter")
    say(page, "It takes no step: it changes the picture as a whole")
    expect(page.locator("#defense input")).to_have_value("Low-pass")
    expect(page.locator(".stage")).to_be_in_viewport()
    expect(page.locator("#arena .lane:not(.waiting)")).to_have_count(len(DEFENSES))


def test_the_arena_s_switch_is_its_own_and_says_what_it_costs(page):
    open_tab(page, "Arena")
    switch = page.get_by_label("The attacker knows each defence")
    switch.check()
    expect(page.locator("#arena-knows")).to_contain_text(re.compile(r"at most [\d,]+ passes"))
    expect(page.locator(".block.takes").filter(has_text="Every defence: ")).to_contain_text("about")
    page.get_by_role("button", name="Attack settings").click()
    expect(page.locator("#adaptive")).to_contain_text(
        re.compile(r"Against “Ours” he makes it .* at most \d+ passes")
    )
    setting = page.get_by_label("The attacker knows the defence")
    expect(setting).not_to_be_checked()
    setting.check()
    switch.uncheck()
    page.wait_for_timeout(500)
    expect(setting).to_be_checked()


def test_stop_stops(page):
    page.get_by_role("button", name="Attack settings").click()
    page.get_by_label("number input for Steps", exact=True).fill("50")
    page.get_by_label("number input for Steps", exact=True).press("Tab")
    page.get_by_label("The attacker knows the defence").check()
    page.wait_for_timeout(500)
    page.click("#attack")
    expect(page.locator(".stage")).to_have_attribute("data-done", "false", timeout=PATIENCE)
    page.click("#stop")
    say(page, r"Stopped after step \d+ of \d+ of the attack")
    time.sleep(1.5)  # a frame may still be on its way
    stopped = shown(page)
    time.sleep(2)
    assert shown(page) == stopped < 52
    for after in range(100, 900, 200):  # milliseconds: in the middle of whatever it computes
        page.click("#attack")
        expect(page.locator(".stage")).to_have_attribute("data-done", "false", timeout=PATIENCE)
        page.wait_for_timeout(after)
        page.click("#stop")
        say(page, r"Stopped after step \d+ of \d+ of the attack")
        assert page.get_by_text("Error", exact=True).count() == 0


def test_nothing_jumps_while_a_run_streams(browser, url):
    """The plots keep their nodes and places from the first frame to the last."""
    tab = browser.new_page(viewport={"width": 1440, "height": 900})
    opened(tab, url)
    say(tab, "Recovered")
    places = (
        "[...document.querySelectorAll('.plot .axes, .scrub, .compare canvas')]"
        ".map(n => JSON.stringify(n.getBoundingClientRect())).join()"
    )
    tab.evaluate(f"""() => {{
      window.kept = [...document.querySelectorAll(".plot .axes > svg:first-child")];
      window.seen = new Set();
      const look = () => {{ window.seen.add({places}); window.looking = requestAnimationFrame(look); }};
      look();
    }}""")
    tab.click("#both")
    expect(tab.locator(".note")).to_contain_text("ms a step", timeout=PATIENCE)
    settle(tab)
    tab.evaluate("cancelAnimationFrame(window.looking)")
    assert tab.evaluate("window.kept.every(n => n.isConnected)") and tab.evaluate("window.seen.size") == 1
    tab.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    "width, height, query",
    [(1440, 900, ""), (390, 844, ""), (1920, 1080, "&talk=1")],
    ids=["desktop", "phone", "talk"],
)
def test_no_serious_violations_of_accessibility(browser, url, width, height, query, theme):
    tab = browser.new_page(viewport={"width": width, "height": height})
    address = f"{url}/?__theme={theme}{query}"
    if query:
        tab.goto(address)
    else:
        opened(tab, address)
    say(tab, "Recovered")
    tab.wait_for_timeout(800)
    assert not serious(tab)
    tab.close()


def test_everything_is_reached_by_keyboard(browser, url):
    tab = browser.new_page(viewport={"width": 1440, "height": 900})
    opened(tab, url)
    say(tab, "Recovered")
    reached = set()
    for _ in range(90):
        tab.keyboard.press("Tab")
        reached.add(
            tab.evaluate(
                "(n => n.id || n.className || n.closest('[id]')?.id || '')(document.activeElement)"
            ).split(" ")[0]
        )
    assert {
        "both",
        "attack",
        "counterattack",
        "control",
        "stop",
        "act",
        "start-tour",
        "split",
        "pick-left",
        "pick-right",
        "sees",
        "mode",
        "play",
        "scrub",
    } <= reached
    tab.close()


def test_talk_mode_shows_the_essentials(browser, url):
    tab = browser.new_page(viewport={"width": 1920, "height": 1080})
    tab.goto(f"{url}/?talk=1")
    say(tab, "Recovered")
    assert tab.locator(".say").evaluate("n => parseFloat(getComputedStyle(n).fontSize)") >= 26
    for hidden in ("#labels", "#photo", "#arena", "footer"):
        expect(tab.locator(hidden)).to_be_hidden()
    for visible in ("h1:visible", "#both", ".compare", ".predictions", ".scrub", ".qr svg"):
        expect(tab.locator(visible)).to_be_in_viewport(ratio=1)
    assert tab.locator(".canvases").bounding_box()["height"] >= 540
    small = """() => [...document.querySelectorAll("body *")].filter((node) => node.checkVisibility()
      && !node.ownerSVGElement && [...node.childNodes].some((part) => part.nodeType === 3 && part.data.trim())
      && parseFloat(getComputedStyle(node).fontSize) < 24).map((node) => node.textContent)"""
    assert tab.evaluate(small) == []
    tab.set_viewport_size({"width": 1280, "height": 720})
    code, stop = (tab.locator(part).bounding_box() for part in (".qr", "#stop"))
    assert code["y"] + code["height"] <= stop["y"]
    broken = """() => [...document.querySelectorAll(".predictions .row:not([hidden]) .name")].flatMap(
      (node) => [...node.textContent.matchAll(/\\S+/g)].filter(({ 0: word, index }) => {
        const range = document.createRange();
        range.setStart(node.firstChild, index);
        range.setEnd(node.firstChild, index + word.length);
        return range.getClientRects().length > 1;
      }).map(String))"""
    assert tab.evaluate(broken) == []
    tab.close()


def test_a_talk_on_a_phone_is_the_page_as_it_always_is(browser, url):
    tab = browser.new_page(viewport={"width": 360, "height": 640})
    tab.goto(f"{url}/?talk=1&picture=rocket")
    say(tab, "rocket")
    expect(tab.locator(".thumb")).to_be_in_viewport(ratio=1)
    expect(tab.locator(".screen")).to_be_in_viewport(ratio=1)
    assert fits(tab)
    tab.close()


def test_a_talk_s_code_leads_to_its_run(browser, url):
    """To the very run, as everybody sees it; and to another once another is on the stage."""
    tab = browser.new_page(viewport={"width": 1920, "height": 1080})
    tab.goto(f"{url}/?talk=1&picture=rocket")
    say(tab, end_of(stored(scene_of("rocket"))))

    def leads_to(query: str):
        drawn = handlers.coded(f"{url}/?{query}")["stage"]["qr"]
        path = re.search(r' d="([^"]+)"', drawn)[1]
        expect(tab.locator(".qr path").first).to_have_attribute("d", path, timeout=PATIENCE)

    leads_to("picture=rocket")
    tab.goto(f"{url}/?talk=1")
    say(tab, "Recovered")
    tab.locator("#preset input").click()
    tab.get_by_role("option", name="A strong attack").click()
    leads_to(SCENES["strong"].scene.query())
    tab.close()


def test_a_term_s_note_comes_on_hover_tap_and_focus(page):
    term, card = page.locator(".verdict .term").first, page.locator(".term-card")
    term.click()
    expect(card).to_contain_text("How far the embedding moves")
    assert fits(page)
    expect(term).to_have_attribute("aria-describedby", "term-card")
    page.keyboard.press("Escape")
    expect(card).to_be_hidden()
    page.locator(".scrub").hover()
    term.hover()
    expect(card).to_be_visible()
    page.locator(".play").click()
    expect(card).to_be_hidden()
    open_tab(page, "Why this gate")
    page.locator("#gate .term").first.focus()
    expect(card).to_be_visible()


def test_what_is_missing_is_said(page):
    page.get_by_role("button", name="Remove Image").click()
    page.click("#both")
    expect(page.get_by_text("Choose a picture first")).to_be_visible(timeout=PATIENCE)
    say(page, "Recovered")  # nothing is lost


def test_a_picture_of_ones_own_can_be_taken_away_too(page, tmp_path):
    Image.effect_noise((300, 240), 60).convert("RGB").save(tmp_path / "mine.png")
    page.get_by_role("button", name="Remove Image").click()
    upload(page, str(tmp_path / "mine.png"))
    made = page.locator("#photo img")  # what the server makes of it
    expect(made).to_have_attribute("src", re.compile(r"/image\.png$"), timeout=PATIENCE)
    page.get_by_role("button", name="Remove Image").click()
    page.wait_for_timeout(1000)  # it does not come back
    expect(page.get_by_role("button", name="Remove Image")).to_have_count(0)
    open_tab(page, "Is it attacked?")
    page.locator("#suspect-photo input[type=file]").set_input_files(tmp_path / "mine.png")
    page.locator("#suspect-photo").get_by_role("button", name="Remove Image").click()
    page.wait_for_timeout(1000)
    expect(page.get_by_role("button", name="Remove Image")).to_have_count(0)


def own_pictures(folder: Path) -> None:
    """Six pictures in two classes, made of the examples."""
    for i in range(6):
        kind = folder / ("cat", "lion")[i % 2]
        kind.mkdir(parents=True, exist_ok=True)
        with Image.open(EXAMPLES[1 - i % 2].path) as picture:
            side = min(picture.size) - 2 * i
            picture.convert("RGB").crop((i, i, i + side, i + side)).resize((224, 224)).save(kind / f"{i}.png")


def test_the_benchmark_is_hidden_until_asked_for(page):
    sent = page.content() + page.evaluate("JSON.stringify(window.gradio_config.components)")
    assert "bench-" not in sent and "In papers" not in sent  # there are links to it, and nothing of it
    assert page.get_by_text("Benchmark", exact=True).count() == 0


VALUES = "cells => cells.map(cell => cell.dataset.v)"


def test_a_benchmark_runs_stops_and_is_downloaded(browser, url, data_folder, tmp_path):
    own_pictures(data_folder / "holiday")
    tab = browser.new_page(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    tab.goto(f"{url}/?view=benchmark")
    expect(tab.locator("#shipped")).to_contain_text("Photo CLIP", timeout=PATIENCE)
    expect(tab.locator("#both")).to_be_hidden()
    tab.get_by_role("tab", name="In papers").click()
    expect(tab.locator("#published")).to_contain_text("arXiv", timeout=PATIENCE)
    tab.get_by_role("tab", name="Run").click()
    tab.locator("#bench-data input").click()
    tab.get_by_role("option", name="your folder “holiday”").click()
    tab.locator("#bench-data").get_by_role("button", name=re.compile("example photographs")).or_(
        tab.locator("#bench-data .token", has_text="example photographs").locator(".token-remove")
    ).first.click()
    tab.keyboard.press("Escape")
    tab.locator("#bench-run").click()
    expect(tab.locator("#bench-progress")).to_contain_text("of 54 records; about", timeout=PATIENCE)
    tab.locator("#bench-stop").click()
    expect(tab.locator("#bench-progress")).to_contain_text("Stopped", timeout=PATIENCE)
    tab.wait_for_timeout(1000)  # a run that went on would say how far it is
    expect(tab.locator("#bench-progress")).to_contain_text("Stopped")
    expect(tab.locator("#bench-progress")).not_to_contain_text("Error")
    with tab.expect_download() as download:
        tab.locator("#bench-records").click()
    download.value.save_as(tmp_path / "records.csv")
    assert 1 < len((tmp_path / "records.csv").read_text().splitlines()) < 55
    tab.reload()
    tab.get_by_role("tab", name="Run").click(timeout=PATIENCE)
    tab.locator("#bench-kept input").click()
    tab.get_by_role("option", name=re.compile("holiday; 3 attacks, 3 defences")).click()
    expect(tab.locator("#bench-table")).to_contain_text("clean", timeout=PATIENCE)
    tab.locator("#bench-run").click()
    expect(tab.locator("#bench-progress")).to_contain_text("Done: 54 records.", timeout=4 * PATIENCE)
    expect(tab.locator("#bench-table")).to_contain_text("PGD-10, 4/255")
    expect(tab.locator("#bench-charts svg").first).to_be_visible()
    with tab.expect_download() as download:
        tab.locator("#bench-download").click()
    download.value.save_as(tmp_path / "table.md")
    assert re.search(r"\| clean +\| 6 +\|", (tmp_path / "table.md").read_text())
    with tab.expect_download() as download:
        tab.locator("#bench-report").click()
    download.value.save_as(tmp_path / "report.html")
    tab.set_viewport_size({"width": 390, "height": 844})
    tab.goto(f"file://{tmp_path / 'report.html'}")
    tab.locator("td a").first.click()  # a figure opens the pictures behind it
    expect(tab.locator(":target h4")).to_be_in_viewport()
    assert tab.evaluate("document.documentElement.scrollWidth") == 390  # what is wider has a box of its own
    column = tab.locator("thead th").nth(1)
    column.locator("button").click()
    expect(column).to_have_attribute("aria-sort", "descending")
    values = [float(v) for v in tab.locator("tbody").first.locator("td:nth-child(2)").evaluate_all(VALUES)]
    assert len(values) == 3 and values == sorted(values, reverse=True)
    tab.close()
