"""How long work takes here, said beside its buttons before it begins."""

from __future__ import annotations

from dataclasses import replace

import gradio as gr

from demo_core.limits import LIMITS
from demo_core.story import arena_words, pair_words
from demo_core.story.price import Price, passes_of
from demo_core.story.settings import Chosen, InputError, choose
from demo_core.ui.render import takes_html
from demo_core.ui.tempo import takes
from demo_core.ui.visits import Changes

OF = ("attack", "defense", "model", "steps", "eot", "adaptive", "beside")  # settings that decide it
BY = (*OF, "arena_knows")  # and in the arena its own switch, in place of the attacker's setting
# The places where it is said: of which works, and what each is called where there are several.
PLACES: dict[str, dict[str, str]] = {
    "takes_run": {"run": ""},
    "takes_flip": {"flip": ""},
    "takes_seeds": {"seeds": ""},
    "takes_arena": {"arena": arena_words.EVERY_DEFENCE, "flips": arena_words.SMALLEST_OF_EACH},
}
TOLD = ("adaptive", "beside", "arena_knows", *PLACES)  # what says it


def told(*values: object) -> Changes:
    """What is said of values of BY, in each of TOLD."""
    *settings, knows = values
    try:
        chosen = choose(**dict(zip(OF, settings, strict=True)))
    except InputError:  # said where it is used
        return {name: gr.skip() for name in TOLD}
    return {
        "adaptive": gr.update(info=of_knowing(chosen)),
        "beside": gr.update(info=of_second(chosen)),
        "arena_knows": gr.update(info=of_knowing_each(chosen)),
    } | {place: said_at(place, _price(place, chosen, bool(knows))) for place in PLACES}


def _price(place: str, chosen: Chosen, knows: bool) -> Price:
    return Price(replace(chosen, adaptive=knows)) if place == "takes_arena" else Price(chosen)


def said_at(place: str, price: Price) -> str:
    """What one of PLACES says, as HTML."""
    found = {title: takes(work, price, LIMITS.seconds) for work, title in PLACES[place].items()}
    return takes_html(
        [
            f"{title} {words[0].lower()}{words[1:]}" if title else words
            for title, words in found.items()
            if words
        ]
    )


def of_knowing(chosen: Chosen) -> str:
    """What an attacker who knows the chosen defence may try and spend."""
    return arena_words.cost_of_knowing(Price(chosen).knowing())


def of_second(chosen: Chosen) -> str:
    """What a second row takes on top."""
    return pair_words.cost(chosen, Price(chosen).defence(chosen.second) if chosen.second else 0)


def of_knowing_each(chosen: Chosen) -> str:
    """What the race costs against the attacker who knows each."""
    return arena_words.cost(chosen, passes_of("arena", Price(chosen).instead(adaptive=True)))
