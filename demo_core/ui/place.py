"""The one place where anything is computed, and the turns that visitors take in it.

All who compute stand in one line. Whoever is first keeps the place from step to step; once he has had it for
QUANTUM seconds he stands behind everybody who has had less, so that nobody's long work blocks a short story,
and between two stories of others he takes a step, so that it ends too. Who waits holds no thread and is told
how many are before him. Who stops or leaves is out of the line at once, and off the place with the step that
is being computed.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

from demo_core.limits import LIMITS, Limits
from demo_core.stages import lasting

Item = TypeVar("Item")
QUANTUM = 10.0  # seconds in which most stories are told
END = object()


class Refused(RuntimeError):
    """The line is full, or somebody has computed long enough. The message is one sentence that says what to
    do."""


@dataclass(frozen=True)
class Waiting:
    """Word for one who waits. before: how many come first; seconds: about how long they compute until his
    turn, None where nobody knows of one of them."""

    before: int
    seconds: float | None = None


class Ticket:
    """One's stand in the line. order: the smaller, the earlier; expected: seconds that his work takes in all,
    None where nobody knows; spent: seconds computed, of which `quantum` since he last went to the back; told:
    set whenever the line has changed."""

    def __init__(self, order: int, visitor: str | None, expected: float | None = None):
        self.order, self.visitor, self.expected, self.long = order, visitor, expected, False
        self.spent = self.quantum = 0.0
        self.told = asyncio.Event()


class Place:
    """The line. Its methods run on the server's event loop, so that nothing here needs a lock; the steps run
    on one thread of the place's own."""

    def __init__(self, quantum: float = QUANTUM, limits: Limits = LIMITS):
        self.quantum, self.limits = quantum, limits
        self._tickets: list[Ticket] = []
        self._computing: Ticket | None = None
        self._step_owed = False  # to the long ones, since a short one has ended
        self._orders = count()
        self._thread = ThreadPoolExecutor(1, "place")

    async def turns(
        self,
        steps: Iterator[Item],
        visitor: str | None = None,
        longest: float | None = None,
        expected: float | None = None,
    ) -> AsyncIterator[Item | Waiting]:
        """The same items, each computed when it is one's turn, and Waiting each time that one waits for
        another number of others, in the end for none. visitor: whose they are, where that is known; longest:
        seconds of computing, the limits' own where none are given; expected: those that it will take, where
        that is known. Raises Refused; whatever happens, `steps` is closed."""
        longest = self.limits.seconds if longest is None else longest
        ticket, step = None, None
        try:
            ticket = self._enter(visitor, expected)
            while True:
                told = 0
                while (before := self._before(ticket)) != told or before or self._computing:
                    if before != told:
                        yield Waiting(before, self._seconds_before(ticket))
                        told = before  # and the line may have moved on meanwhile
                    else:
                        ticket.told.clear()
                        await ticket.told.wait()
                self._computing = ticket
                step = asyncio.ensure_future(self._step(ticket, steps))
                # One who leaves ends his waiting, not the step, which a thread is busy with.
                item = await asyncio.shield(step)
                if item is END:
                    return
                yield item
                if ticket.spent > longest:  # asked for more
                    raise Refused(
                        f"This was stopped after {lasting(longest)} of computing, as others wait:"
                        " choose what takes less, or run the demo on a machine of your own."
                    )
        finally:
            if step and not step.done():
                step.add_done_callback(lambda _: self._leave(ticket, steps))
            else:
                self._leave(ticket, steps)

    def _enter(self, visitor: str | None, expected: float | None) -> Ticket:
        if len(self._tickets) > self.limits.waiting:
            raise Refused(
                f"As many as can wait ({self.limits.waiting}) do so already: try again in a few minutes."
            )
        if visitor and sum(ticket.visitor == visitor for ticket in self._tickets) > self.limits.waiting_each:
            raise Refused("You have asked for enough at once: wait for an answer first.")
        self._tickets.append(ticket := Ticket(next(self._orders), visitor, expected))
        return ticket

    async def _step(self, ticket: Ticket, steps: Iterator[Item]) -> Item | object:
        begun = time.monotonic()
        try:
            context = contextvars.copy_context()  # warnings find their visitor by it
            run = asyncio.get_running_loop().run_in_executor
            return await run(self._thread, context.run, next, steps, END)
        finally:
            self._computing = None
            self._spend(ticket, time.monotonic() - begun)
            self._tell()

    def _spend(self, ticket: Ticket, seconds: float) -> None:
        ticket.spent += seconds
        ticket.quantum += seconds
        if ticket.long:
            self._step_owed = False
        if ticket.quantum > self.quantum:
            ticket.long, ticket.quantum, ticket.order = True, 0.0, next(self._orders)

    def _leave(self, ticket: Ticket | None, steps: Iterator) -> None:
        steps.close()
        if ticket in self._tickets:
            self._tickets.remove(ticket)
            self._step_owed = self._step_owed or not ticket.long
            self._tell()

    def _tell(self) -> None:
        for ticket in self._tickets:
            ticket.told.set()

    def _in_order(self) -> list[Ticket]:
        short = sorted((t for t in self._tickets if not t.long), key=lambda t: t.order)
        long = sorted((t for t in self._tickets if t.long), key=lambda t: t.order)
        return [*long[:1], *short, *long[1:]] if self._step_owed else [*short, *long]

    def _before(self, ticket: Ticket) -> int:
        return self._in_order().index(ticket)

    def _seconds_before(self, ticket: Ticket) -> float | None:
        """Each of those before him computes to his end, or until he goes to the back."""
        total = 0.0
        for other in self._in_order()[: self._before(ticket)]:
            if other.expected is None:
                return None
            total += max(0.0, min(other.expected - other.spent, self.quantum - other.quantum))
        return total


PLACE = Place()


async def in_turn(
    steps: Iterator[Item],
    while_waiting: Callable[[Waiting], Item],
    visitor: str | None = None,
    longest: float | None = None,
    expected: float | None = None,
) -> AsyncIterator[Item]:
    """The same items, computed in the place; see Place.turns. while_waiting: what is said to one who waits.
    Raises Refused."""
    async with aclosing(PLACE.turns(steps, visitor, longest, expected)) as items:
        async for item in items:
            yield while_waiting(item) if isinstance(item, Waiting) else item
