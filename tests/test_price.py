"""What work costs is known before it begins, and said, and what costs too much is not begun."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from demo_core import story
from demo_core.clip import count_passes
from demo_core.defenses import DEFENSES
from demo_core.models import MODELS, profile_of
from demo_core.stages import lasting
from demo_core.stand_in import stand_ins
from demo_core.story import flips, seeds, suspicion, time_words
from demo_core.story.price import Price, passes_of, steps_that_fit
from demo_core.story.scenes import scene_of
from demo_core.story.settings import SETTINGS, Chosen, InputError, read_settings
from demo_core.ui import arena, costs, handlers, tempo, visits
from demo_core.ui.place import Refused
from demo_core.ui.tempo import Tempo, allowed
from demo_core.ui.visits import Session, Visit
from tests.conftest import only_rows

CHOSEN = Chosen(labels="tabby cat\ndog", steps=3)
WAYS = {
    "plain": {},
    "who knows": {"adaptive": True, "defense": "default"},
    "who averages": {"adaptive": True, "eot": 3, "defense": "rn"},
    "black box": {"attack": "square"},
    "carried over": {"attack": "transfer"},
    "one step": {"attack": "fgsm", "steps": 50},
    "one beside it": {"defense": "rn", "beside": "default"},
    "itself beside it": {"beside": "default"},
}


def last(items):
    *_, end = items
    return end


@pytest.fixture
def wild():
    """A model that costs nothing, and before which gates open."""
    return stand_ins(tuned=False)[1]


@pytest.mark.parametrize("changes", WAYS.values(), ids=WAYS)
def test_works_take_about_as_many_passes_as_is_said_before(wild, monkeypatch, changes):
    """Never more, as gates may stay shut, nor much fewer."""
    rows = only_rows(monkeypatch, "none", "rn", "default")
    monkeypatch.setattr("demo_core.story.suspicion.DEFENSES", rows)
    monkeypatch.setattr(seeds, "DRAWS", 2)
    torch.manual_seed(0)  # some pictures end an attack, or a search, sooner
    chosen = replace(CHOSEN, **changes)
    clip = twin = wild
    photo, settings = torch.rand(3, 448, 448), read_settings(chosen)
    begin = story.begin(clip, photo, settings, profile_of("photo"))
    run = last(story.whole(clip, begin, twin))
    works = {
        "run": lambda: (
            story.begin(clip, photo, settings, profile_of("photo")),
            last(story.whole(clip, begin, twin)),
        ),
        "arena": lambda: (
            last(story.attack(clip, begin.under(adaptive=False), twin)),
            last(story.arena(clip, run)),
        ),
        "flip": lambda: last(flips.flips(clip, run, twin, dict.fromkeys(("none", chosen.defense)))),
        "seeds": lambda: last(seeds.draws(clip, begin, twin)),
        "suspicion": lambda: last(suspicion.suspect(clip, photo, settings, profile_of("photo"))),
    }
    for work, compute in works.items():
        with count_passes() as passes:
            compute()
        said = passes_of(work, Price(chosen))
        least = 0.25 if work == "flip" else 0.5  # rows that turn at the same eps share all their attacks
        assert least * said <= passes.total <= said, (work, passes.total, said)


@pytest.mark.parametrize("model", ["photo", "photo-fare"])
def test_the_tests_of_a_picture_take_as_many_passes_as_is_said_before(model):
    """All of the table, and those of a model whose signals another encoder is asked for."""
    clip = stand_ins(tuned=bool(MODELS[model].original))[1]
    chosen = replace(CHOSEN, model=model, defense="none")
    with count_passes() as passes:
        last(suspicion.suspect(clip, torch.rand(3, 448, 448), read_settings(chosen), profile_of(model)))
    price = Price(chosen)
    spared = 2  # a step of this row, and its look at the end, which it has not
    assert passes.total <= passes_of("suspicion", price) <= passes.total + spared


@pytest.mark.parametrize("knows", [False, True])
def test_the_attack_of_a_finished_run_that_is_made_anew_is_in_the_price(wild, monkeypatch, knows):
    """Only its frames came with the demo: whatever goes on from it makes its attack first."""
    only_rows(monkeypatch, "none", "rn", "default")
    for module in (visits, arena):
        monkeypatch.setattr(module, "model", lambda key: wild)
    scene = scene_of("cat", labels=CHOSEN.labels, steps=9, adaptive=knows)
    values = {name: getattr(scene, name) for name in SETTINGS} | {"steps": 1}
    there = Visit(Session(scene=scene), scene.picture, scene.example.path, values)
    works = {
        "defence": handlers.counterattack,
        "views": handlers.measure,
        "lane": partial(arena.watch, "default"),
        "arena": arena.compare,
    }
    for work, press in works.items():
        price = handlers.price_of(there)
        said = passes_of(work, price)
        with count_passes() as passes:
            last(press(there))
        assert 0.4 * said <= passes.total <= said, (work, passes.total, said)
        if work != "arena":  # where no row need be attacked anew
            assert passes.total > passes_of(work, replace(price, before=None)), work
    run = story.begin(wild, torch.rand(3, 448, 448), scene.settings, profile_of("photo"))
    assert handlers.scene_before(replace(there, session=Session(run))) is None


def test_the_most_steps_that_fit_are_named():
    for work in ("run", "arena"):
        chosen = Price(replace(CHOSEN, steps=200))
        assert steps_that_fit(work, chosen, passes_of(work, chosen.instead(steps=37))) == 37
        knows = chosen.instead(adaptive=True)  # with more steps he may try fewer ways
        most = passes_of(work, knows.instead(steps=37))
        found = steps_that_fit(work, knows, most)
        assert found >= 37 and passes_of(work, knows.instead(steps=found)) <= most
    assert steps_that_fit("arena", Price(CHOSEN), 10) == 0


def test_a_tempo_is_the_middle_one_of_the_last_steps():
    found = Tempo()
    assert found.of("photo") is None
    for seconds in (9.0, *[0.2] * 20, 9.0):
        found.saw("photo", 2, seconds)
    found.saw("photo", 0, 5.0)
    assert found.of("photo") == 0.1
    for _ in range(40):  # the machine is busy now
        found.saw("photo", 1, 1.0)
    assert found.of("photo") == 1.0


def test_a_models_first_tempo_and_each_of_its_steps_are_seen(clip):
    found = Tempo()
    found.try_out("photo", clip)
    assert 0 < found.of("photo") < 10
    closed = []

    def steps():
        try:
            with count_passes():  # as the arena counts, whoever counts around it
                clip.encode(clip.mean.expand(4, 3, 64, 64))
            yield 1
            yield 2
        finally:
            closed.append(True)

    watched = Tempo()
    watching = watched.watching("photo", steps())
    assert next(watching) == 1 and watched.of("photo") > 0
    watching.close()
    assert closed


@pytest.fixture
def slow(monkeypatch):
    """A machine on which a pass takes a second."""
    found = Tempo()
    found.saw("photo", 1, 1.0)
    monkeypatch.setattr(tempo, "TEMPO", found)


def test_what_is_too_long_is_refused_and_what_would_fit_is_said(slow):
    chosen = replace(CHOSEN, steps=200)
    passes = passes_of("run", Price(chosen))
    assert allowed("run", lambda: Price(chosen), longest=passes) == passes
    with pytest.raises(Refused) as refused:
        allowed("run", lambda: Price(chosen), longest=100)
    fit = steps_that_fit("run", Price(chosen), 100)
    assert 0 < fit < 200
    assert (
        f"about {lasting(passes)} of computing, and 2 min are given here: choose at most {fit} steps"
        in str(refused.value)
    )
    with pytest.raises(Refused, match="given here: run the demo on a machine of your own"):
        allowed("flips", lambda: Price(chosen), longest=1)


COSTLY = {"defense": "dbd", "beside": "ttc"}


@pytest.mark.parametrize(
    "work, changes, less, advice",
    [
        ("run", {"steps": 50}, {"steps": 20}, "choose at most 20 steps"),
        ("arena", {"adaptive": True}, {"adaptive": False}, "choose an attacker who does not know"),
        ("run", {"attack": "fgsm", **COSTLY}, {"beside": "off"}, "choose nothing beside the defence"),
        ("seeds", {"attack": "fgsm", **COSTLY}, {"defense": "rn"}, "choose another defence"),
        ("defence", {"steps": 50, **COSTLY}, {"defense": "rn", "beside": "off"}, "choose another defence"),
        ("flips", {"attack": "fgsm"}, None, "run the demo on a machine"),
        ("flips", {"model": "vit-b-32", "steps": 50}, None, "choose a smaller model, or run the demo"),
    ],
)
def test_who_asks_for_too_much_is_told_what_would_be_enough(work, changes, less, advice):
    """By the same words beside the button and in the refusal. less: with what it just fits."""
    price = Price(replace(CHOSEN, **changes))
    seconds = passes_of(work, price)
    longest = 1 if less is None else passes_of(work, price.instead(**less))
    found = tempo.advice(work, price, seconds, longest)
    assert longest < seconds and found.startswith(advice)
    for said in (time_words.would_take, time_words.too_long):
        assert said(seconds, longest, found).endswith(f"{found}.")


def test_settings_that_cannot_be_used_and_models_that_nobody_knows_are_let_on(slow):
    def wrong():
        raise InputError("Set steps to a whole number.")

    assert allowed("run", wrong) is None
    assert allowed("run", lambda: Price(replace(CHOSEN, model="photo-fare"))) is None


def test_what_is_long_is_said_beside_its_button(slow):
    knows = True  # the attacker of the arena
    values = [*(getattr(CHOSEN, name) for name in costs.OF), knows]
    told = costs.told(*values)
    assert set(told) == set(costs.TOLD)
    assert f"Takes about {lasting(passes_of('run', Price(CHOSEN)))} here." in told["takes_run"]
    assert "Every defence: would take about" in told["takes_arena"]
    assert "The smallest eps of each:" in told["takes_arena"]
    assert (
        f"{passes_of('arena', Price(CHOSEN).instead(adaptive=True)):,} passes" in told["arena_knows"]["info"]
    )
    tempo.TEMPO._seen["photo"] = (0.001,)
    assert costs.told(*values)["takes_run"].strip() == ""
    assert time_words.waiting(2, 30.4) == "Waiting: 2 before you, about 30 s"
    assert time_words.waiting(0, 0.0, 40.0) == "Working: about 40 s …"
    assert time_words.waiting(0, 0.0, float("inf")) == time_words.WORKING
    assert time_words.waiting(0, 0.0, 1.0) == time_words.WORKING and len(DEFENSES) > 3
