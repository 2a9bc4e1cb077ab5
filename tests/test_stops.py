"""Stop ends what its visitor has going, and nothing else."""

import asyncio
from types import SimpleNamespace

import pytest

from demo_core.ui import lab
from demo_core.ui import stops as module
from demo_core.ui.stops import Stops

ME, YOU = SimpleNamespace(session_hash="me"), SimpleNamespace(session_hash="you")


class Endless:
    """A handler that says a word and waits for what never comes. closed: whose runs have ended."""

    def __init__(self, last: float = 0.0):
        self.last, self.closed = last, []

    async def __call__(self, request):
        try:
            yield "begun"
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(self.last)
            self.closed.append(request.session_hash)


async def listening(items, heard: list) -> None:
    async for item in items:
        heard.append(item)
    heard.append("over")


def test_a_stop_ends_ones_own_runs_before_its_answer_comes_and_nobody_elses():
    stops, handler = Stops(), Endless(last=0.05)
    until_stopped = stops.stoppable(handler.__call__)
    after = stops.stopping(lambda request: [*handler.closed])

    async def two_visitors() -> tuple:
        mine, yours = [], []
        both = [
            asyncio.create_task(listening(until_stopped(request), heard))
            for request, heard in ((ME, mine), (ME, mine), (YOU, yours))
        ]
        await asyncio.sleep(0.01)
        found = await after(ME)
        await asyncio.wait_for(asyncio.gather(*both[:2]), 1)
        assert await after(ME) == found  # nothing is left to end
        seen = [*yours]
        both[2].cancel()  # as where a tab is closed
        await asyncio.wait(both[2:])
        return found, mine, seen, handler.closed

    found, mine, yours, closed = asyncio.run(two_visitors())
    assert found == ["me", "me"] and mine == ["begun", "begun", "over", "over"]
    assert yours == ["begun"] and closed == ["me", "me", "you"] and not stops._going


def test_what_ends_or_fails_by_itself_does_so_still():
    stops = Stops()

    async def counting(request):
        yield 1
        yield 2
        raise ValueError("of its own")

    async def all_of() -> list:
        found = []
        with pytest.raises(ValueError, match="of its own"):
            async for item in stops.stoppable(counting)(ME):
                found.append(item)
        return found

    assert asyncio.run(all_of()) == [1, 2] and not stops._going


def test_a_stop_does_not_wait_for_what_nobody_asks_any_more(monkeypatch):
    monkeypatch.setattr(module, "LONGEST", 0.05)
    mine, handler = Stops(), Endless()

    async def left_lying() -> None:
        items = mine.stoppable(handler.__call__)(ME)
        assert await anext(items) == "begun"
        await asyncio.wait_for(mine.stop("me"), 1)
        assert await anext(items, "over") == "over" and handler.closed == ["me"]

    asyncio.run(left_lying())


def test_no_event_of_the_page_is_broken_off_from_outside():
    """gradio would tell the page of an error now and then."""
    assert not [row.name for row in lab.build().fns.values() if row.cancels]
