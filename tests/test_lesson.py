"""The sheet for a class says what its runs show."""

import re
from urllib.parse import urlsplit

import pytest

from demo_core.story.finished import stored
from demo_core.story.lesson import CHALLENGES, MINUTES, STEPS
from demo_core.story.scenes import SCENES, Scene
from demo_core.story.seed_words import BUTTON
from demo_core.ui.render import lesson_html


def test_it_fills_its_time():
    assert sum(step.minutes for step in STEPS) == MINUTES


@pytest.mark.parametrize("step", STEPS, ids=[step.question for step in STEPS])
def test_each_run_comes_with_the_demo_and_ends_as_it_is_said_to(step):
    found = stored(SCENES[step.scene].scene)
    assert found["verdict"]["tone"] == step.tone


def test_what_is_said_of_the_first_run():
    found = stored(SCENES["first"].scene)
    clean, attacked = (found["labels"][found["frames"][i]["top"][0][0]] for i in (0, 11))
    assert clean == "tabby cat" != attacked and found["frames"][0]["top"][0][1] > 0.9
    drifts = {name: [n[1] for n in found["nudges"][name][1:]] for name in ("clean", "attacked")}
    assert max(drifts["clean"]) * 2 < min(drifts["attacked"])
    assert SCENES["first"].scene.eps == 4
    adaptive = stored(SCENES["adaptive"].scene)["verdict"]["text"]
    assert adaptive.startswith("The attacker knew this defence. The attack slipped past the test")
    assert stored(SCENES["control"].scene)["verdict"]["text"].startswith("Looks clean")


def test_what_to_do_begins_where_the_run_is_open_and_names_what_is_on_the_page():
    assert not [step.do for step in STEPS if step.do.startswith("Open this run")]
    assert f"“{BUTTON}”" in STEPS[-1].do


def test_every_link_opens_its_scene():
    links = [link.replace("&amp;", "&") for link in re.findall(r'href="([^"]+)"', lesson_html())]
    named = [SCENES[row.scene].scene for row in (*STEPS, *CHALLENGES)]
    assert [Scene.read(urlsplit(link).query) for link in links] == named
