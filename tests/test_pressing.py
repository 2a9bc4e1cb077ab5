"""What is between a press and what it changes: whose turn it is, how long that takes, and what was forged."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest

from demo_core.story.settings import SETTINGS, Chosen
from demo_core.story.trust_words import BUTTONS
from demo_core.ui import costs, handlers, lab, lent, pressing, tempo, trust, visits
from demo_core.ui.place import PLACE
from demo_core.ui.tempo import Tempo
from tests.test_handlers import after, said, visit  # noqa: F401  a fixture among them

ME = SimpleNamespace(session_hash="me")


@pytest.fixture(scope="module")
def page():
    return lab.build()


def pressed(page, name: str, *given, event: object = None) -> list[dict]:
    """What an event of the page changes, by its handler's name or the address that it has."""
    (found,) = (f for f in page.fns.values() if name in (f.api_name, f.name))
    asked = (SimpleNamespace(_data=event), ME) if event is not None else (ME,)

    async def all_of() -> list[dict]:
        return [changes async for changes in found.fn(*asked, *given)]

    return asyncio.run(all_of())


def controls(**changes) -> list:
    """What the page hands over with a press."""
    seen = visit(**changes)
    return [seen.title, seen.photo, *(seen.values[name] for name in SETTINGS)]


@pytest.fixture
def slow(monkeypatch):
    """A machine on which a pass takes a second."""
    found = Tempo()
    found.saw("photo", 1, 1.0)
    monkeypatch.setattr(tempo, "TEMPO", found)


def files(found: list[dict]) -> list:
    """What is handed over, one after another."""
    values = [[v for c, v in new.items() if getattr(c, "elem_id", None) == "taken"] for new in found]
    return [value for new in values for value in new]


def test_a_file_of_a_run_that_is_there_is_handed_over_whatever_is_chosen_now(page, slow):
    """Nothing is computed for it, so that nothing is too long."""
    session = after(visits.told(handlers.attack_only, visit()))["session"]
    pressing.DESKS.put("me", session)
    none, path = files(pressed(page, "lab_take_json", *controls(adaptive=True, steps=200, eot=16)))
    assert none is None and path.endswith("run.json")
    pressing.DESKS.clear("me")


def test_where_a_file_is_refused_the_last_one_is_not_handed_over_again(page, monkeypatch):
    monkeypatch.setattr(PLACE, "limits", replace(PLACE.limits, waiting=-1))
    assert files(pressed(page, "lab_take_json", *controls())) == [None]


@pytest.mark.parametrize(
    "event, row", [({"key": "ttc"}, "defense"), ({"key": "ttc", "beside": True}, "beside")]
)
def test_a_lane_is_priced_by_its_own_defence(page, monkeypatch, event, row):
    asked = []
    monkeypatch.setattr(tempo, "allowed", lambda work, read: asked.append(read().chosen))
    monkeypatch.setattr(lab, "at_gpu", lambda work, handler, visit: asked.append(visit.chosen) or iter(()))
    pressed(page, "watch", False, *controls(), event=event)
    assert len(asked) == 2 and {getattr(chosen, row) for chosen in asked} == {"ttc"}


@pytest.mark.parametrize("forged", [-100, "x", [4], 1e9, None])
def test_a_number_of_photographs_that_no_button_offers_is_none(page, monkeypatch, forged):
    assert [trust.offered(number) for number in BUTTONS] == list(BUTTONS)
    asked = []
    monkeypatch.setattr(trust, "measure", lambda key, photographs: iter(asked.append(photographs) or ()))
    pressed(page, "calibrate", "photo", event={"photographs": forged})
    pressed(page, "calibrate", "photo", event=["no", "such"])
    assert asked == [None, None]


def test_a_model_is_not_tried_out_in_a_process_that_has_no_gpu(monkeypatch, clip):
    tried = []
    monkeypatch.setattr(visits, "load", lambda key: clip)
    monkeypatch.setattr(visits.TEMPO, "try_out", lambda key, clip: tried.append(key))
    for is_lent in (True, False):
        monkeypatch.setattr(lent, "IS_LENT", is_lent)
        assert visits._loaded("photo") is clip
    assert tried == ["photo"]


def id_of(page, name: str) -> int:
    """Of the one part of the page that is called so."""
    return next(part._id for part in page.blocks.values() if getattr(part, "elem_id", None) == name)


def test_the_arena_goes_by_its_own_switch_and_the_lab_by_its_setting(page):
    """Neither changes the other unseen."""
    switch, setting = id_of(page, "arena-knows"), id_of(page, "adaptive")
    asked = {
        f.api_name: {part._id for part in f.inputs} & {switch, setting}
        for f in page.fns.values()
        if f.api_name in ("lab_arena", "lab_both", "lab_attack", "lab_flip")
    }
    assert asked.pop("lab_arena") == {switch}
    assert len(asked) == 3 and all(found == {setting} for found in asked.values())


def test_what_the_race_takes_is_told_for_the_attacker_of_its_switch(monkeypatch):
    monkeypatch.setattr(costs, "takes", lambda work, price, longest: f"{work}: {price.chosen.adaptive}")
    chosen = [getattr(Chosen(), name) for name in costs.OF]
    for knows in (False, True):
        told = costs.told(*chosen, knows)
        assert f"arena: {knows}" in told["takes_arena"] and "run: False" in told["takes_run"]


def test_how_long_work_takes_is_told_once_for_all_settings_that_change_at_once(page):
    """A scene changes them all."""
    told = {id_of(page, "arena-knows")}
    events = [
        f
        for f in page.fns.values()
        if any(event == "change" for _, event in f.targets)
        and told & {part._id for part in f.outputs}
        and f.fn
    ]
    assert len(events) == 1 and len(events[0].targets) == len(costs.BY)
    assert events[0].trigger_mode == "always_last"
