"""What the Lab's parts do, without a server."""

import asyncio
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from demo_core.examples import EXAMPLES
from demo_core.story import page_words
from demo_core.story.finished import stored
from demo_core.story.flips import Answer, Flip
from demo_core.story.race import Races
from demo_core.story.scenes import FIRST, SCENES, Scene, on_model, scene_of
from demo_core.story.settings import SETTINGS
from demo_core.ui import arena as race
from demo_core.ui import choices, handlers, pressing, suspicion, visits
from demo_core.ui.reels import address_of
from demo_core.ui.render import flips_html
from demo_core.ui.visits import Session, Visit
from tests import fresh
from tests.conftest import only_rows

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def said(monkeypatch) -> list[str]:
    heard: list[str] = []
    monkeypatch.setattr(visits.gr, "Warning", lambda message, **_: heard.append(message))
    return heard


def visit(session=None, title="cat", **changes) -> Visit:
    values = {name: row.default for name, row in SETTINGS.items()} | {"labels": "tabby cat\ndog", "steps": 2}
    photo = next(e.path for e in EXAMPLES if e.title == "cat")
    return Visit(session, title, photo, values | changes)


def after(changes) -> dict:
    """What the page has in the end."""
    whole: dict = {}
    for change in changes:
        whole |= {name: value for name, value in change.items() if value != visits.gr.skip()}
    return whole


@pytest.mark.parametrize("defense", ["ttc", "mac", "tte", "none", "rn"])
def test_any_defence_can_be_watched(defense):
    page = after(visits.told(handlers.attack_and_counterattack, visit(defense=defense)))
    run = page["session"].run
    assert run.settings.defense == defense and run.defended is not None and page["stage"]["done"]
    assert f"defense={defense}" in page["link"]


def test_another_defence_meets_the_attack_that_is_there():
    attacked = after(visits.told(handlers.attack_only, visit()))["session"]
    run = after(visits.told(handlers.counterattack, visit(attacked, defense="ttc")))["session"].run
    assert run.settings.defense == "ttc" and run.attack == attacked.run.attack


def test_an_attack_made_through_one_defence_is_not_shown_to_another(said):
    attacked = after(visits.told(handlers.attack_only, visit(adaptive=True, steps=1)))["session"]
    assert "session" not in after(visits.told(handlers.counterattack, visit(attacked, defense="none")))
    assert said == ["This attack was made through another defence: press Attack again."]


def test_an_unknown_example_gets_a_sentence_and_changes_nothing(said):
    assert set(choices.choose_example("no such picture", "default")) == {"stage"}
    assert said == ["There is no picture “no such picture” here: choose one of the examples."]


def test_a_missing_photograph_has_no_finished_run(monkeypatch, tmp_path):
    scene = SCENES[FIRST].scene
    gone = replace(scene.example, path=str(tmp_path / "gone.png"))
    monkeypatch.setattr(type(scene), "example", property(lambda self: gone))
    assert stored(scene) is None
    assert "stage" not in choices.open_scene(scene)


def test_what_is_computed_ends_where_nobody_asks_on(monkeypatch):
    """Also in the middle of an adaptive attack in the arena: one step more, and no more."""
    attacked = after(visits.told(handlers.attack_only, visit()))["session"]
    passes, model = [], visits.model(SETTINGS["model"].default)
    encode = model.encode
    monkeypatch.setattr(model, "encode", lambda x: (passes.append(1), encode(x))[1])
    settings = replace(attacked.run.settings, steps=50)
    session = Session(replace(attacked.run, settings=settings), attacked.made_from)
    arena = visits.told(race.compare, visit(session, adaptive=True))
    longest = 0
    for _, change in zip(range(30), arena):
        assert "arena" in change or set(change) == {"stage"}
        longest, passes[:] = max(longest, len(passes)), []
    arena.close()
    assert longest < 60  # the whole takes thousands


def test_both_races_stay_side_by_side_and_a_watched_lane_keeps_them(monkeypatch):
    only_rows(monkeypatch, "none", "low_pass", "rn", "default")
    session = after(visits.told(handlers.attack_only, visit()))["session"]
    found = after(visits.told(race.compare, visit(session)))
    session = found["session"]
    assert len(session.races.static) == 4 and not session.races.adaptive
    found = after(visits.told(race.compare, visit(session, adaptive=True)))
    races = found["session"].races
    assert races.static == session.races.static and len(races.adaptive) == 4
    assert found["arena"].count('class="attacker">') == 8 and found["arena"].count("knows no defence:") == 4
    watched = after(visits.told(partial(race.watch, "low_pass"), visit(found["session"])))
    assert watched["defense"]["value"] == "low_pass" and watched["session"].races == races
    run = watched["session"].run
    assert (
        run.settings.defense == "low_pass" and run.attack == session.run.attack and run.defended is not None
    )
    again = after(visits.told(handlers.attack_only, visit(watched["session"])))["session"]
    assert again.races == Races()  # of another attack


def test_a_lane_is_watched_under_the_attacker_of_the_switch(monkeypatch):
    """Whichever attack is on the stage, it is made anew where it is not that one."""
    only_rows(monkeypatch, "none", "low_pass", "default")
    plain = after(visits.told(handlers.attack_only, visit()))["session"]
    lane = partial(race.watch, "low_pass")
    knows = after(visits.told(lane, visit(plain, adaptive=True)))["session"].run
    assert knows.settings.knows_defence and knows.settings.defense == "low_pass"
    assert (knows.attack_delta - plain.run.attack_delta).abs().max() > 1e-3
    back = after(visits.told(lane, visit(Session(knows, plain.made_from))))["session"].run
    assert not back.settings.knows_defence and torch.equal(back.attack_delta, plain.run.attack_delta)
    static = after(visits.told(race.compare, visit(Session(knows, plain.made_from))))
    torch.testing.assert_close(static["session"].races.static[0].attacked, plain.run.attacked)


def test_an_arena_asks_for_an_attack_only_where_the_page_has_none():
    attacked, control = (choices.open_scene(SCENES[key].scene)["arena"] for key in ("first", "control"))
    other = choices.model_changed("photo", "a photo of a {}.")["arena"]
    assert "on the attacked picture of the run above" in attacked and "Attack a picture first" not in attacked
    assert all("Attack a picture first" in page for page in (control, other))


def test_a_model_brings_its_own_prompt_and_leaves_a_visitor_s():
    assert choices.model_changed("vit-b-32", "a photo of a {}.")["template"] == "This is a photo of a {}."
    assert choices.model_changed("photo", "This is a photo of a {}.")["template"] == "a photo of a {}."
    assert choices.model_changed("vit-b-32", "my {}")["template"] == visits.gr.skip()


def test_stop_says_where_and_a_finished_run_is_left_alone():
    run = after(visits.told(handlers.attack_only, visit()))["session"].run
    half = replace(run, attack=run.attack[:2], attacked_signals=None)
    stage = handlers.stopped(Session(half, (), name="this"))["stage"]
    assert stage["stopped"] and stage["verdict"]["text"] == "Stopped after step 1 of 2 of the attack."
    assert handlers.stopped(Session(run)) == visits.IDLE


def test_lists_of_labels_and_what_is_typed_know_each_other():
    assert choices.labels_changed("cat\ndog", None)["label_list"] == choices.OTHER_LABELS
    labels = choices.choose_label_list("Animals")["labels"]
    assert choices.labels_changed(labels, None)["label_list"] == "Animals"
    assert choices.labels_changed("cat\ndog", "cat")["target"].get("value", "kept") == "kept"
    assert choices.labels_changed("cat\ndog", "horse")["target"]["value"] is None


def test_a_link_to_a_run_that_is_not_here_is_made(said):
    scene = scene_of("cat", steps=1, labels="tabby cat\ndog")
    opened = choices.open_link(scene.query())
    assert opened["pending"] == scene.query() and opened["steps"] == 1
    assert after(visits.told(choices.run_link, scene))["stage"]["done"]
    assert "stage" in choices.open_link("picture=no+such") and "names a picture that is not here" in said[0]


def test_building_the_page_writes_nothing_into_the_source_tree(tmp_path):
    before = {p for p in (ROOT / "demo_core").rglob("*") if "__pycache__" not in p.parts}
    code = "from demo_core.ui import lab; lab.build()"
    fresh.printed(code)
    assert {p for p in (ROOT / "demo_core").rglob("*") if "__pycache__" not in p.parts} == before


def test_an_example_keeps_the_defence_that_is_chosen():
    """Its finished run is shown where that is the one that came with the demo, else it is made."""
    title = EXAMPLES[2].title
    kept, usual = (choices.choose_example(title, key) for key in ("ttc", SETTINGS["defense"].default))
    assert kept["defense"] == "ttc" and "stage" not in kept
    assert Scene.read(kept["pending"]) == scene_of(title, defense="ttc")
    assert usual["stage"]["at"] == address_of(scene_of(title)) and "pending" not in usual


def test_a_preset_goes_where_its_settings_change():
    """Its line would speak of another run; of the same on another model it says so."""
    scene = SCENES["first"].scene
    chosen = {name: getattr(scene, name) for name in SETTINGS}
    there = Visit(None, scene.picture, scene.example.path, chosen)
    assert choices.preset_now(there, None) == {}
    still = choices.preset_now(there, "first")["preset"]
    assert "value" not in still and still["info"] == SCENES["first"].help
    twin = {name: getattr(on_model(scene, "photo-fare"), name) for name in SETTINGS}
    other = choices.preset_now(replace(there, values=twin), "first")["preset"]
    assert "value" not in other and other["info"].endswith(page_words.CHOSEN_ON_ANOTHER)
    changed = [
        replace(there, values=chosen | c) for c in ({"attack": "fgsm"}, {"labels": "cat"}, {"eps": -1})
    ]
    for visit_of in (*changed, replace(there, title=None)):
        left = choices.preset_now(visit_of, "first")["preset"]
        assert left["value"] is None and left["info"] == choices.NO_PRESET


def test_the_page_s_own_pictures_are_no_visitor_s(monkeypatch):
    """What the page puts into a picture's place makes the same event as what a visitor does."""
    page = SimpleNamespace(upload_file_set={"mine.png"})
    monkeypatch.setattr(visits.LocalContext, "blocks", SimpleNamespace(get=lambda default: page))
    for path in (EXAMPLES[1].path, None):
        assert choices.choose_picture(path) == {"copy": None, "behind": {"behind": None}}
        assert suspicion.choose(path) == {"suspect_copy": None}
    monkeypatch.setattr(visits, "clean_copy", lambda path, uploaded: path)
    mine = choices.choose_picture("mine.png")
    assert mine["copy"] == "mine.png" and mine["title"] is None and mine["behind"] == {"behind": True}


def test_an_upload_opens_its_labels_and_its_words_are_suggested():
    assert choices.choose_picture(EXAMPLES[1].path)["label_box"]["open"] is True
    found = after(visits.told(choices.suggest, visit()))
    assert "tabby cat" in found["labels"].split("\n") and found["stage"] == visits.IDLE["stage"]
    refused = after(visits.told(choices.suggest, replace(visit(), photo=None)))
    assert "labels" not in refused and refused["stage"] == visits.IDLE["stage"]


def test_the_visitor_s_word_changes_the_verdict_and_computes_nothing(monkeypatch):
    session = after(visits.told(handlers.attack_and_counterattack, visit()))["session"]
    unknown = replace(session, run=replace(session.run, settings=replace(session.run.settings, truth=None)))
    monkeypatch.setattr(
        visits.model(SETTINGS["model"].default), "encode", None
    )  # would fail if it were asked
    right, wrong = (handlers.judged(unknown, said) for said in (True, False))
    assert right["stage"]["verdict"]["tone"] == "good" and right["stage"]["asks"]
    assert "you say" in wrong["stage"]["verdict"]["text"] and right["session"].run.true_label
    assert handlers.judged(Session(), True).keys() == {"stage"}


@pytest.mark.parametrize("right", [True, False])
def test_what_the_visitor_said_holds_until_the_picture_or_the_labels_change(right):
    session = after(visits.told(handlers.attack_only, visit()))["session"]
    unknown = replace(session, run=replace(session.run, settings=replace(session.run.settings, truth=None)))
    said = handlers.judged(unknown, right)["session"]
    again = after(visits.told(handlers.attack_only, visit(said, eps=2.0)))["session"].run
    assert again.judgement is right and (again.true_label is not None) is right
    other = after(visits.told(handlers.attack_only, visit(said, labels="tabby cat\nlion")))["session"].run
    assert other.judgement is None


def test_a_code_that_cannot_be_drawn_takes_the_last_one_away():
    assert "<svg" in handlers.coded("https://demo.example/?picture=cat")["stage"]["qr"]
    for address in ("javascript:alert(1)", "None", "https://demo.example/" + "x" * 5000):
        assert handlers.coded(address) == {"stage": {"qr": ""}}


def test_where_it_flips_stays_at_the_slider_while_only_the_size_changes():
    session = after(visits.told(handlers.attack_only, visit()))["session"]
    found = after(visits.told(race.flip_point, visit(session)))
    session, marks = found["session"], found["flips"]
    assert [flip.key for flip in session.races.flips] == ["none", "default"]
    assert (
        re.search(r"Without a defence: (stands at [\d.]+/255, )?falls at", marks)
        and "Ours: " in marks
        and "tabby cat" in marks
    )
    larger = after(visits.told(handlers.attack_only, visit(session, eps=2.0, step_size=0.5)))
    assert larger["flips"] == marks and larger["session"].races.flips == session.races.flips
    assert larger["session"].races.static == ()
    for other in ({"attack": "fgsm"}, {"seed": 1}, {"labels": "tabby cat\nlion"}):
        changed = after(visits.told(handlers.attack_only, visit(session, **other)))
        assert changed["flips"] == "" and not changed["session"].races.flips


def test_no_mark_is_drawn_beyond_the_slider(said):
    session = after(visits.told(handlers.attack_only, visit(steps=1)))["session"]
    tried = {
        4.0: Answer(True, 0.9),
        16.0: Answer(True, 0.5),
        22.6: Answer(False, 0.1),
        64.0: Answer(False, 0.1),
    }
    marks = flips_html(session.run, [Flip("default", tried)])
    assert "stands at 16/255, falls at 23/255" in marks and marks.count("<b ") == 2
    assert 'class="stands" style="width:100.0%"' in marks and 'class="falls" style' not in marks
    back = flips_html(session.run, [Flip("default", {2.0: Answer(False, 0.1)} | tried)])
    assert 'class="falls" style' not in back and back.count('class="lost"') == 1
    after(visits.told(race.flip_point, visit(session, labels="tabby cat\nlion")))
    assert said == [
        "The picture, model, labels, template or resizing changed since the attack: press Attack again."
    ]


def test_the_stage_hears_whether_its_run_is_of_what_is_chosen():
    """Of every setting that counts, of the picture, and of a finished run that came with the demo."""
    session = after(visits.told(handlers.attack_and_counterattack, visit()))["session"]
    assert choices.behind(visit(session)) is False
    changes = (
        {"defense": "ttc"},
        {"attack": "fgsm"},
        {"eps": 7.0},
        {"labels": "tabby cat\nfox"},
        {"seed": 5},
    )
    assert all(choices.behind(visit(session, **change)) for change in changes)
    assert choices.behind(visit(session, labels="tabby cat\n\n dog ", eot=3)) is False  # says the same
    assert choices.behind(replace(visit(session), title=None, photo="another.png"))
    assert choices.behind(visit(session, eps="no number"))
    attacked = after(visits.told(handlers.attack_only, visit()))["session"]
    assert choices.behind(visit(attacked, defense="ttc")) is False  # it is yet to come
    scene = SCENES["strong"].scene
    values = {name: getattr(scene, name) for name in SETTINGS}
    opened = Visit(Session(scene=scene), scene.picture, scene.example.path, values)
    assert choices.behind(opened) is False
    assert choices.behind(replace(opened, values=values | {"steps": 3}))
    assert choices.behind(visit(Session())) is None


def test_a_late_frame_takes_no_desk_from_a_run_that_was_chosen_meanwhile():
    chosen = Session(scene=SCENES["strong"].scene)

    def steps():
        yield {"session": Session(name="run"), "stage": "first"}
        pressing.DESKS.put("somebody", chosen)
        yield {"session": Session(name="run"), "stage": "late"}

    async def seen() -> list:
        found = pressing.computing({"stage": "stage"}, "somebody", steps(), SETTINGS["model"].default)
        return [changes["stage"] async for changes in found]

    assert asyncio.run(seen())[-1] == "first" and pressing.DESKS.of("somebody") is chosen
    pressing.DESKS.clear("somebody")
