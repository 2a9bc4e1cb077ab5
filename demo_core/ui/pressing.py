"""Between a press of a button and what it changes: whose turn it is, how long that takes, whose desk it is,
and the page's parts by their names. Wired by lab.py."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing
from functools import partial
from itertools import count
from types import MappingProxyType

import gradio as gr
from gradio.components import Component
from starlette.concurrency import run_in_threadpool

from demo_core.models import ModelUnavailable
from demo_core.story import time_words
from demo_core.story.price import Price
from demo_core.story.scenes import Scene
from demo_core.ui import choices, tempo, visits
from demo_core.ui.desks import Desks
from demo_core.ui.handlers import price_of
from demo_core.ui.layout import Controls
from demo_core.ui.lent import computed, seconds_of
from demo_core.ui.place import Refused, in_turn
from demo_core.ui.tempo import TEMPO
from demo_core.ui.visits import Changes, Session, Visit

DESKS: Desks[Session] = Desks()
NUMBERS = count()


def by_component(controls: Controls, changes: Changes, visitor: str | None = None) -> dict[Component, object]:
    """What changes on the page; the session among it goes to the visitor's desk. A word on the work, a run
    to be fetched and one to be made are numbered: gradio tells the page of no value that it has already."""
    if "session" in changes:
        DESKS.put(visitor, changes["session"])
    if "pending" in changes:
        changes = changes | {"pending": f"{changes['pending']}&{next(NUMBERS)}"}
    if {"work", "at"} & set(stage := changes.get("stage") or {}):
        changes = changes | {"stage": stage | {"number": next(NUMBERS)}}
    return {controls[name]: value for name, value in changes.items() if name != "session"}


async def computing(
    controls: Controls,
    visitor: str | None,
    steps: Iterator[Changes],
    key: str,
    longest: float | None = None,
    price: Callable[[], float | None] = lambda: math.inf,
) -> AsyncIterator[dict[Component, object]]:
    """The same changes on the page, computed when it is the visitor's turn and the model is here; key: its
    own; longest: as `in_turn` takes it; price: the seconds that it takes, where that is known; raises Refused
    where they are too many. A frame that comes after he has chosen another run is left out."""
    begun = False
    try:
        async for words in visits.arriving(key):
            yield by_component(controls, visits.at_work(words))
        seconds = await run_in_threadpool(price)
        if time_words.is_long(seconds):
            yield by_component(controls, visits.at_work(time_words.working(seconds)))
        while_waiting, steps = partial(visits.waiting, own=seconds), TEMPO.watching(key, steps)
        async with aclosing(in_turn(steps, while_waiting, visitor, longest, seconds)) as found:
            async for changes in found:
                there = DESKS.of(visitor)
                if begun and there and there.scene:
                    return
                begun = begun or "session" in changes
                yield by_component(controls, changes, visitor)
    except (Refused, ModelUnavailable) as refused:
        gr.Warning(str(refused), title="Not yet")
        yield by_component(controls, visits.IDLE)


def at_gpu(work: str, handler: Callable[[Visit], Iterator[Changes]], visit: Visit) -> Iterator[Changes]:
    """What the handler changes, computed where the GPU is, if one is lent. work: of price.WORKS, which it
    costs as much as."""
    return computed(
        handler, visit, seconds=lambda: seconds_of(work, price_of(visit)), refusals=visits.BAD_INPUT
    )


def link_at_gpu(scene: Scene) -> Iterator[Changes]:
    """The same for the run that a link asks for."""
    seconds = partial(seconds_of, "run", Price(scene))
    steps = computed(choices.run_link, scene, seconds=seconds, refusals=visits.BAD_INPUT)
    return choices.kept_for_all(scene, steps)


def pressing(
    controls: Controls,
    work: str | None,
    handler: Callable[[Visit], Iterator[Changes]],
    instead: Mapping[str, object] = MappingProxyType({}),
) -> Callable:
    """The handler as gradio calls it: with the values of `visit_parts`, in their order. work: as `at_gpu`
    takes it, None where next to nothing is computed; instead: settings that the handler goes by in place of
    the controls'."""

    async def pressed(request: gr.Request, title, photo, *values):
        chosen = dict(zip(controls.settings, values, strict=True)) | instead

        def visit() -> Visit:
            """With what is on the desk by then."""
            return Visit(DESKS.of(request.session_hash), title, photo, chosen)

        def visited() -> Iterator[Changes]:
            """When the turn comes: what was pressed before has ended by then."""
            yield from visits.told(handler, visit())

        def price() -> float | None:
            return tempo.allowed(work, lambda: price_of(visit())) if work else None

        steps = computing(controls, request.session_hash, visited(), chosen["model"], price=price)
        async with aclosing(steps) as found:
            async for changes in found:
                yield changes

    return pressed


def said(event: gr.EventData) -> dict:
    """What a part of the page says with an event; nothing where that is of another form."""
    return event._data if isinstance(event._data, dict) else {}


def visit_parts(controls: Controls, **instead: Component) -> list[Component]:
    """What a press goes by; instead: controls in place of those of settings, by these settings' names."""
    return [*controls.all_of("title", "photo"), *(controls.settings | instead).values()]


def changing(controls: Controls, handler: Callable[..., Changes]) -> Callable:
    """A handler of single values as gradio calls it."""
    return lambda *values: by_component(controls, handler(*values))


def at_desk(controls: Controls, handler: Callable[..., Changes]) -> Callable:
    """The same for a handler of the visitor's session, and of single values."""

    def changed(request: gr.Request, *values):
        visitor = request.session_hash
        return by_component(controls, handler(DESKS.of(visitor), *values), visitor)

    return changed
