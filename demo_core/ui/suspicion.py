"""“Is it attacked?”, a tab of the Lab: its parts, what they do (functions of a visit that give what changes
on the page, as in handlers), and what is shown of what was found."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import gradio as gr
from gradio.components import Component

from demo_core.models import MODELS, fit_of, profile_of, study_of
from demo_core.pictures import PictureError, as_url, to_image
from demo_core.story import suspicion_words, words
from demo_core.story.price import Price
from demo_core.story.settings import OFF, Settings, read_settings
from demo_core.story.summary import summary
from demo_core.story.suspicion import Sign, Suspicion, suspect
from demo_core.story.takeaway import TAKEAWAYS
from demo_core.ui.files import written
from demo_core.ui.lent import computed, seconds_of
from demo_core.ui.render import suspicion_html
from demo_core.ui.scale import scaled
from demo_core.ui.visits import BAD_INPUT, IDLE, PAUSE, Changes, Visit, brought, model_and_photo, put_in

THUMBNAIL = 96  # pixels a side
NOTHING_TO_TAKE = {"visible": False, "value": None}


def parts(picture_input: Callable[..., gr.Image]) -> dict[str, Component]:
    """A picture to be looked at as it is, and what is found, by the names that `look` and `choose` use."""
    made: dict[str, Component] = {}
    with gr.Row(equal_height=False):
        with gr.Column(min_width=220, scale=1):
            made["suspect_photo"] = picture_input(
                None,
                label="Picture",
                height=220,
                sources=["upload", "clipboard", "webcam"],
                elem_id="suspect-photo",
                alt_text="the picture to look at",
            )
            made["suspect_copy"] = picture_input(visible="hidden")
            made["suspect_button"] = gr.Button("Is this picture attacked?", elem_id="suspect")
            made["suspect_take"] = gr.DownloadButton(
                "Take the defended picture", elem_id="suspect-take", visible=False
            )
        with gr.Column(min_width=280, scale=3):
            made["suspicion"] = gr.HTML(suspicion_html(), elem_id="suspicion", label="is it attacked?")
    return made


# ---------------------------------------------------------------- what the parts do


def looked_at(photo: str | None, settings: Settings) -> Iterator[Suspicion]:
    """What is found of a picture's file, piece by piece. Raises one of visits.BAD_INPUT."""
    if not photo:
        raise PictureError(suspicion_words.NO_PICTURE)
    key = settings.model
    clip, picture = model_and_photo(photo, key, settings.resize)
    return suspect(clip, picture, settings, profile_of(key), study_of(key), fit_of(key))


def look(visit: Visit) -> Iterator[Changes]:
    """Is the picture attacked? What is found so far, at most every PAUSE seconds, and in the end the defended
    picture to take away where the defence moved pixels."""
    found, then = None, 0.0
    yield {"suspect_take": gr.update(**NOTHING_TO_TAKE)}
    steps = computed(
        looked_at,
        visit.photo,
        read_settings(visit.chosen),
        seconds=lambda: seconds_of("suspicion", Price(visit.chosen)),
        refusals=BAD_INPUT,
    )
    for found in steps:
        if time.monotonic() - then >= PAUSE:
            yield {"suspicion": shown(found)}
            then = time.monotonic()
        else:
            yield {"stage": gr.skip()}  # a place to stop at
    yield {"suspicion": shown(found)}
    if words.moved(found.run):
        with written(found.run, None, TAKEAWAYS["defended"]) as path:
            yield {"suspect_take": gr.update(visible=True, value=path)}
    yield IDLE


def choose(photo: str | None) -> Changes:
    """Another picture; nothing changes where the page itself put it in."""
    if photo is None or not brought(photo):
        return {"suspect_copy": None}
    return gone() | {"suspect_copy": put_in(photo)}


def asked_with(settings: Settings) -> str:
    """A name of all settings that an answer rests on."""
    rows = summary(replace(settings, beside=OFF), control=True)["rows"]
    return hashlib.sha256(repr(rows).encode()).hexdigest()[:16]


def asked_now(visit: Visit) -> str:
    """What an answer would rest on that is asked for now; empty where none can be."""
    try:
        return asked_with(read_settings(visit.chosen))
    except BAD_INPUT:
        return ""


def gone() -> Changes:
    """What was found of a picture goes with it."""
    return {"suspicion": suspicion_html(), "suspect_take": gr.update(**NOTHING_TO_TAKE)}


# ---------------------------------------------------------------- on the page


def shown(found: Suspicion) -> str:
    """All that is known of the picture so far, as HTML."""
    side = (THUMBNAIL, THUMBNAIL)
    return suspicion_html(
        state=found.state,
        asked=asked_with(found.run.settings),
        picture=as_url(to_image(found.run.photo).resize(side), quality=85),
        headline=suspicion_words.headline(found),
        likelihood=suspicion_words.likelihood(found),
        limits=suspicion_words.limits(found),
        answers=suspicion_words.answers(found),
        choice=suspicion_words.choice(found),
        caveat=suspicion_words.caveat(found),
        stored=suspicion_words.stored(found),
        takeaway=suspicion_words.takeaway(found),
        model=MODELS[found.run.settings.model].title,
        signs=[_shown_sign(sign, place == 0) for place, sign in enumerate(found.signs)],
    )


def _shown_sign(sign: Sign, decides: bool) -> dict[str, object]:
    said = suspicion_words.sign_words(sign.signal)
    return {
        "title": said.title,
        "how": said.how,
        "decides": decides,
        "reading": suspicion_words.reading(sign),
        "worth": suspicion_words.worth(sign),
        "scale": scaled(sign.gate, sign.known, sign.value),
    }
