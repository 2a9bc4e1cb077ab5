"""Two defences on the very same picture: in a run, in its reel and link, in words, and at the buttons."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from demo_core import story
from demo_core.models import profile_of
from demo_core.pictures import open_picture, to_photo
from demo_core.story import pair_words, words
from demo_core.story.price import Price
from demo_core.story.reel import Messages, reel
from demo_core.story.scenes import Scene, SceneError, scene_of
from demo_core.story.seeds import draws
from demo_core.story.settings import OFF, Chosen
from demo_core.story.summary import summary
from demo_core.story.takeaway import TAKEAWAYS, numbers
from demo_core.ui import arena, choices, costs, handlers, visits
from demo_core.ui.files import FILES, file_name
from demo_core.ui.lent import seconds_of
from tests.conftest import only_rows
from tests.test_handlers import after, said, visit  # noqa: F401  a fixture among them
from tests.test_words import CAT, DOG, attacked, clean, fought

PHOTO = profile_of("photo")
TWO = replace(scene_of("cat"), steps=2, defense="low_pass", beside="default")


def begun(clip, scene: Scene = TWO) -> story.Run:
    return story.begin(clip, to_photo(open_picture(scene.example.path)), scene.settings, PHOTO)


@pytest.fixture(scope="module")
def run(clip) -> story.Run:
    return list(story.whole(clip, begun(clip)))[-1]


def test_the_second_row_meets_the_picture_that_the_first_has_met(clip, run):
    """And does just what it does alone."""
    alone = list(story.whole(clip, begun(clip, replace(TWO, defense="default", beside=OFF))))[-1]
    assert run.answered and run.defense.title == "Low-pass" and run.beside.defense.title == "Ours"
    assert run.beside.before_defence is run.before_defence and len(run.beside.defence) != len(run.defence)
    assert torch.equal(run.beside.defended, alone.defended) and run.beside.reading == alone.reading
    assert alone.beside is None and alone.answered


def test_the_control_has_two_rows_too_and_what_is_judged_holds_of_both(clip):
    control = list(story.both(clip, begun(clip), control=True))[-1]
    assert control.beside.control and control.beside.before_defence is control.start
    judged = control.judged(False)
    assert judged.doubted and judged.beside.doubted


def test_other_seeds_ask_the_first_row_alone(clip, monkeypatch):
    asked: list[str] = []
    defend = story.beside.defend
    monkeypatch.setattr(
        story.beside,
        "defend",
        lambda clip, run, **k: (asked.append(run.settings.defense), defend(clip, run, **k))[1],
    )
    next(found for found in draws(clip, begun(clip)) if found)
    assert asked == ["low_pass"]


def test_a_link_holds_both_and_no_second_row_none():
    assert Scene.read(TWO.query()) == TWO and "beside=default" in TWO.query()
    assert "beside" not in scene_of("cat").query() and scene_of("cat").settings.second is None
    assert replace(TWO, beside="low_pass").settings.second is None  # the same once more
    with pytest.raises(SceneError, match="beside, “nobody”, is not here: choose one of off, "):
        Scene.read("picture=cat&beside=nobody")


def test_messages_of_two_rows_join_to_the_whole(clip):
    """Up to the test the second row has the first one's frames, and none of its own is sent twice."""
    messages, joined, beside = Messages("a"), {}, []
    runs = [begun(clip), *story.whole(clip, begun(clip))]
    for found in runs:
        message = messages.next(found, done=found is runs[-1])
        if other := message["beside"]:
            beside = beside or joined["frames"][: other["since"]]
            assert other["since"] == len(beside)
            beside = [*beside, *other["frames"]]
        joined = joined | message | {"frames": [*joined.get("frames", []), *message["frames"]]}
    whole = reel(runs[-1])
    assert (
        beside[whole["beside"]["since"] :] == whole["beside"]["frames"]
        and joined["frames"] == whole["frames"]
    )
    assert [f["act"] for f in beside[: whole["beside"]["since"]]] == [0, 1, 1, 1]
    assert [f["act"] for f in whole["beside"]["frames"]] == [2, *[3] * len(runs[-1].beside.counterattack)]
    assert json.loads(json.dumps(whole))["beside"]["row"]["gauge"]["engages"][1] == 1
    assert whole["row"]["gauge"] is None and whole["row"]["acted"] == "No gate: it acts on every picture."


def test_the_numbers_and_the_settings_in_short_hold_both(run):
    found = numbers(run)
    assert found["beside"]["defense"] == "default" and found["settings"]["beside"] == "default"
    assert found["beside"]["defended"] == run.beside.defended.tolist() != found["defended"]
    assert summary(run.settings)["short"] == "PGD, 4/255; Low-pass beside Ours"
    titles = [title for title, *_ in summary(replace(run.settings, beside=OFF))["rows"]]
    assert "Beside it" not in titles


def two(first=CAT, second=CAT, beside="ttc", control=False, **changes) -> story.Run:
    start = replace(clean(beside=beside, **changes), control=control)
    start = start if control else attacked(start)
    other = replace(fought(start.under(defense=beside, beside=OFF), second, steps=0), through=None)
    return replace(fought(start, first, steps=0), beside=other)


@pytest.mark.parametrize(
    "run, said",
    [
        (two(), "“Ours” and “TTC” both stand: of the very same attacked picture they say “cat”."),
        (
            two(CAT, DOG),
            "“Ours” stands, “TTC” falls: of the very same attacked picture they say “cat” and “dog”.",
        ),
        (
            two(DOG, CAT),
            "“TTC” stands, “Ours” falls: of the very same attacked picture they say “cat” and “dog”.",
        ),
        (two(DOG, DOG), "“Ours” and “TTC” both fall: of the very same attacked picture they say “dog”."),
        (two(control=True), "“Ours” and “TTC” both stand: of the very same clean picture they say “cat”."),
        (
            two(adaptive=True),
            "The attacker knew “Ours” alone. “Ours” and “TTC” both stand: of the very same attacked picture"
            " they say “cat”.",
        ),
        (replace(two(), beside=None), ""),
    ],
)
def test_the_verdict_on_two(run, said):  # noqa: F811
    assert pair_words.verdict(run) == said


def test_the_second_row_is_not_the_one_that_the_attacker_knew(clip):
    scene = replace(TWO, steps=1, adaptive=True, defense="low_pass", beside="none")
    run = list(story.whole(clip, begun(clip, scene)))[-1]
    assert words.verdict(run).startswith("The attacker knew this defence.")
    assert words.verdict(run.beside).startswith("The attacker knew “Low-pass”, not this defence.")


def test_where_two_were_stopped():
    half = replace(two(), beside=None)
    assert words.stopped(half) == "Stopped before “TTC” had answered; “Ours” has." and not words.stopped(
        two()
    )
    assert pair_words.tone(two(), two().beside) == "good" and pair_words.tone(*[two(), two(DOG)]) == "other"


def test_what_the_second_row_costs_is_said_before():
    said = costs.of_second(Chosen(beside="ttc"))  # noqa: F811
    more = Price(Chosen()).defence("ttc")
    assert more > 6 and f"“TTC” takes about {more} passes through the image tower on top" in said
    assert "is the first one already" in costs.of_second(Chosen(beside="default"))
    assert "passes" not in costs.of_second(Chosen())
    one, two, same = (seconds_of("run", Price(Chosen(beside=key))) for key in (OFF, "ttc", "default"))
    assert two == pytest.approx(one + more * 0.03) and same == one


def test_a_lane_is_set_beside_the_one_on_the_stage(monkeypatch, said):  # noqa: F811
    only_rows(monkeypatch, "none", "low_pass", "default")
    session = after(visits.told(handlers.attack_and_counterattack, visit()))["session"]
    session = after(visits.told(arena.compare, visit(session)))["session"]
    page = after(visits.told(lambda v: arena.beside("low_pass", v), visit(session)))
    run = page["session"].run
    assert run.defended is session.run.defended  # the first has answered already
    assert run.beside.settings.defense == "low_pass" and page["beside"] == "low_pass"
    assert page["session"].races == session.races and "beside=low_pass" in page["link"]
    assert page["stage"]["done"] and page["stage"]["beside"]["row"]["title"] == "Low-pass"
    refused = after(visits.told(lambda v: arena.beside("default", v), visit(page["session"])))
    assert refused == visits.IDLE
    assert said == ["“Ours” is on the stage already: set another lane beside it."]


def test_an_example_keeps_the_second_row_that_is_chosen():
    found = choices.choose_example("lion", "default", "ttc")
    assert found["beside"] == "ttc" and "beside=ttc" in found["pending"] and "stage" not in found
    assert choices.choose_example("lion", "default", "nobody")["stage"]["at"]


def test_a_counterattack_takes_the_second_row_that_is_chosen_now():
    session = after(visits.told(handlers.attack_only, visit()))["session"]
    run = after(visits.told(handlers.counterattack, visit(session, beside="none")))["session"].run
    assert run.attack == session.run.attack and run.beside.settings.defense == "none"


def test_files_hold_both_rows_or_say_that_they_show_one(run):
    exact = np.load(io.BytesIO(TAKEAWAYS["npz"].make(run, None)))
    assert np.array_equal(exact["answer"], run.defended.numpy())
    assert np.array_equal(exact["beside_answer"], run.beside.defended.numpy())
    names = {key: file_name(run, "cat", row) for key, row in FILES.items()}
    alone = {key for key, name in names.items() if "_low-pass-alone_" in name}
    assert alone == {"defended", "gif", "svg", "pdf"}
    assert "alone" not in file_name(run.under(beside=OFF), "cat", FILES["gif"])
    assert "“Low-pass” alone" in choices.open_scene(TWO)["link"]
    assert "alone" not in choices.open_scene(replace(TWO, beside=OFF))["link"]
