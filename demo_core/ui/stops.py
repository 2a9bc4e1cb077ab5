"""Stop, and a new choice: what a visitor has set going ends by itself.

gradio's own `cancels=` breaks a run off from outside; the page is then told now and then of an error where
there is none, and what Stop says can come before the run's last frame.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from functools import wraps

from starlette.concurrency import run_in_threadpool

END = object()
LONGEST = 3.0  # seconds that a stop waits


class Stops:
    """What each visitor has going. Its methods run on the server's event loop, so that nothing here needs a
    lock."""

    def __init__(self):
        self._going: dict[str, set[Going]] = defaultdict(set)

    def stoppable(self, handler: Callable[..., AsyncIterator]) -> Callable[..., AsyncIterator]:
        """The same handler (given a request among others), ended within a moment where its visitor stops what
        he has going, whatever it waits for."""

        @wraps(handler)  # gradio reads what it asks for
        async def until_stopped(*given):
            visitor, going = _visitor(given), Going()
            if visitor:
                self._going[visitor].add(going)
            try:
                async with aclosing(handler(*given)) as items:
                    while (item := await going.next_of(items)) is not END:
                        yield item
            finally:
                going.ended.set()
                self._going[visitor].discard(going)
                if not self._going[visitor]:
                    del self._going[visitor]

        return until_stopped

    def stopping(self, handler: Callable) -> Callable:
        """The same handler, called when what its visitor has going has ended."""

        @wraps(handler)
        async def after_the_end(*given):
            await self.stop(_visitor(given))
            return await run_in_threadpool(handler, *given)

        return after_the_end

    async def stop(self, visitor: str | None) -> None:
        """End what the visitor has going, and wait for that, but not for one whom nobody asks any more."""
        for going in (all_of_his := tuple(self._going.get(visitor, ()))):
            going.stopped.set()
        if ends := [asyncio.ensure_future(going.ended.wait()) for going in all_of_his]:
            for late in (await asyncio.wait(ends, timeout=LONGEST))[1]:
                late.cancel()


class Going:
    """One run of a handler. stopped: set when it is to end; ended: when it has."""

    def __init__(self):
        self.stopped, self.ended = asyncio.Event(), asyncio.Event()

    async def next_of(self, items: AsyncIterator) -> object:
        """The next item, or END."""
        tasks = asyncio.ensure_future(_next(items)), asyncio.ensure_future(self.stopped.wait())
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return END if self.stopped.is_set() else tasks[0].result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


async def _next(items: AsyncIterator) -> object:
    return await anext(items, END)


def _visitor(given: tuple) -> str | None:
    """Whose request is among what gradio gives."""
    return next(value.session_hash for value in given if hasattr(value, "session_hash"))


STOPS = Stops()
