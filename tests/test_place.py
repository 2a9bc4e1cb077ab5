"""The place where everything is computed: who is next, who waits and hears of it, and who is gone."""

import asyncio
import threading
import time
from types import SimpleNamespace

import pytest

from demo_core.limits import Limits
from demo_core.ui.place import Place, Refused, Waiting


def work(name, log, steps=3, seconds=0.0, gone=None):
    """A visitor's work, which writes down each of its steps, and that it was closed."""
    try:
        for step in range(steps):
            time.sleep(seconds)
            log.append((name, step, threading.current_thread().name))
            yield name, step
    finally:
        if gone is not None:
            gone.append(name)


async def all_of(place, steps, begun=None, **turns):
    found = []
    async for item in place.turns(steps, **turns):
        found.append(item)
        if begun:
            begun.set()
    return found


def names_of(log):
    return [name for name, *_ in log]


def test_one_story_after_the_other_in_the_order_of_their_clicks_and_on_one_thread():
    log = []

    async def three():
        place = Place()
        return await asyncio.gather(*(all_of(place, work(name, log)) for name in "abc"))

    found = asyncio.run(three())
    assert names_of(log) == list("aaabbbccc") and len({thread for *_, thread in log}) == 1
    assert found[0] == [("a", 0), ("a", 1), ("a", 2)]
    assert found[1] == [Waiting(1), Waiting(0, 0.0), ("b", 0), ("b", 1), ("b", 2)]
    assert found[2][:3] == [Waiting(2), Waiting(1), Waiting(0, 0.0)] and len(found[2]) == 6


def test_long_work_gives_way_to_a_story_at_its_next_step_and_ends_although_more_stories_come():
    log = []

    async def visits():
        place, begun = Place(quantum=0.02), asyncio.Event()
        long = asyncio.create_task(all_of(place, work("long", log, 12, 0.015), begun))
        await begun.wait()
        for visitor in range(3):
            await all_of(place, work(visitor, log, 2))
        in_between = names_of(log).count("long")
        await long
        return in_between

    in_between = asyncio.run(visits())
    order = names_of(log)
    assert order.count("long") == 12 and all(order.count(visitor) == 2 for visitor in range(3))
    for visitor in range(3):  # a story is told in one go
        assert order[order.index(visitor) :][:2] == [visitor, visitor]
    assert 3 <= in_between <= 8  # neither starved nor first


def test_two_long_ones_take_turns():
    log = []

    async def two():
        place = Place(quantum=0.02)
        await asyncio.gather(*(all_of(place, work(name, log, 12, 0.01)) for name in "ab"))

    asyncio.run(two())
    order = names_of(log)
    assert "b" in order[: len(order) - 1 - order[::-1].index("a")]  # b is on before a has ended
    assert order.index("b") > 1


def test_one_who_leaves_is_off_with_the_step_that_is_computed():
    log, gone = [], []

    async def visits():
        place, begun = Place(), asyncio.Event()
        long = asyncio.create_task(all_of(place, work("left", log, 1000, 0.02, gone), begun))
        await begun.wait()
        next_one = asyncio.create_task(all_of(place, work("next", log)))
        await asyncio.sleep(0)
        long.cancel()
        with pytest.raises(asyncio.CancelledError):
            await long
        steps = names_of(log).count("left")
        await next_one
        return names_of(log).count("left") - steps

    assert asyncio.run(visits()) <= 1
    assert gone == ["left"] and names_of(log)[-3:] == ["next"] * 3


def test_one_who_leaves_while_he_waits_never_computes():
    log, gone = [], []

    async def visits():
        place, begun = Place(), asyncio.Event()
        first = asyncio.create_task(all_of(place, work("first", log, 5, 0.01), begun))
        await begun.wait()
        second = asyncio.create_task(all_of(place, work("second", log, gone=gone)))
        third = asyncio.create_task(all_of(place, work("third", log)))
        await asyncio.sleep(0.01)
        second.cancel()
        await asyncio.gather(first, third)
        return third.result()

    found = asyncio.run(visits())
    assert "second" not in names_of(log)
    assert found[:3] == [Waiting(2), Waiting(1), Waiting(0, 0.0)]


def test_a_full_line_and_too_much_computing_are_refused_in_a_sentence():
    async def visits():
        place = Place(limits=Limits(waiting=1))
        first = asyncio.create_task(all_of(place, work("first", [], 100, 0.02), longest=0.03))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(all_of(place, work("second", [], 1)))
        await asyncio.sleep(0)
        third = await asyncio.gather(all_of(place, work("third", [], 1)), return_exceptions=True)
        return *await asyncio.gather(first, second, return_exceptions=True), *third

    first, second, third = asyncio.run(visits())
    assert isinstance(first, Refused) and "choose what takes less" in str(first)
    assert second[-1] == ("second", 0)
    assert isinstance(third, Refused) and "try again in a few minutes" in str(third)


def test_one_visitor_has_a_few_waiting_and_the_others_are_not_kept_out():
    async def visits():
        place = Place(limits=Limits(waiting_each=2))
        whose = ["a", "a", "a", "a", "b", None, None]
        several = (all_of(place, work("work", [], 1), visitor=visitor) for visitor in whose)
        return await asyncio.gather(*several, return_exceptions=True)

    refused = [isinstance(found, Refused) for found in asyncio.run(visits())]
    assert refused == [False, False, False, True, False, False, False]  # one at work, two waiting


def test_an_error_reaches_its_visitor_alone():
    def fails():
        yield 1
        raise ValueError("of this visitor")

    async def visits():
        place = Place()
        return await asyncio.gather(
            all_of(place, fails()), all_of(place, work("other", [])), return_exceptions=True
        )

    failed, other = asyncio.run(visits())
    assert isinstance(failed, ValueError) and other[-1] == ("other", 2)


def test_who_waits_is_told_about_as_long_as_it_takes(monkeypatch):
    """By a clock that goes with the steps alone: stories, and a long work that gives way, each as long as it
    was expected to be; the first word that each gets, and every later one."""
    now = [0.0]
    monkeypatch.setattr("demo_core.ui.place.time", SimpleNamespace(monotonic=lambda: now[0]))
    told, begun = [], {}

    def lasts(name, seconds):
        for step in range(seconds):
            begun.setdefault(name, now[0])
            now[0] += 1
            yield step

    async def visit(place, name, seconds):
        async for item in place.turns(lasts(name, seconds), expected=float(seconds)):
            if isinstance(item, Waiting) and item.before:
                told.append((name, now[0], item.seconds))

    async def crowd():
        place = Place(quantum=10.0)
        works = {"a": 4, "long": 40, "b": 6, "c": 3, "d": 8, "e": 5}
        await asyncio.gather(*(visit(place, name, seconds) for name, seconds in works.items()))

    asyncio.run(crowd())
    assert len(told) >= 15
    for name, when, seconds in told:
        if name != "long" or when < begun["long"]:
            took = begun[name] - when  # with a step of the long one between two stories
            assert took == pytest.approx(seconds, abs=1 + 0.2 * seconds), (name, when, seconds)


def test_nobody_guesses_where_one_before_him_is_unknown():
    async def visits():
        place = Place()
        both = (
            all_of(place, work(name, []), expected=seconds) for name, seconds in (("a", None), ("b", 1.0))
        )
        return await asyncio.gather(*both)

    assert asyncio.run(visits())[1][0] == Waiting(1, None)
