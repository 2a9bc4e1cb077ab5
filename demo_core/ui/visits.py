"""A visitor's press of a button: what came with it, what is kept of him, and the models that answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

import gradio as gr
import torch
from gradio.context import LocalContext

from demo_core import story
from demo_core.attacks import ATTACKS
from demo_core.clip import ZeroShotCLIP
from demo_core.device import name_of
from demo_core.labels import LabelError
from demo_core.models import (
    MODELS,
    ModelUnavailable,
    fit_of,
    load,
    profile_of,
    surrogate_of,
)
from demo_core.pictures import PictureError, open_picture
from demo_core.resizes import photo_for
from demo_core.shelf import Shelf
from demo_core.story import Run, page_words, time_words
from demo_core.story.race import Races
from demo_core.story.scenes import Scene, SceneError
from demo_core.story.settings import Chosen, InputError, Settings, choose
from demo_core.story.takeaway import NotThere
from demo_core.ui import lent
from demo_core.ui.place import Waiting
from demo_core.ui.tempo import TEMPO
from demo_core.ui.uploads import clean_copy

Changes = dict[str, object]  # what a part of the page becomes, by its name
BAD_INPUT = (PictureError, LabelError, ModelUnavailable, InputError, SceneError, NotThere)
PAUSE = 0.12  # seconds between two frames sent to the page
TOLD_EVERY = 0.5  # seconds between two words on a model that is on its way
# What a run is begun with beside the picture.
MADE_FROM = ("model", "labels", "template", "resize")
IDLE: Changes = {"stage": {"work": ""}}  # of work that leaves the stage as it is


@dataclass(frozen=True)
class Session:
    """What is on a visitor's stage. run: his last one; or scene: a finished one that came with the demo,
    whose run is made when it is asked for. made_from: what the run was begun with; a counterattack continues
    it only while the controls still say the same. name: the run's on the page; races: the arena's, on this
    picture under this attack."""

    run: Run | None = None
    made_from: tuple = ()
    scene: Scene | None = None
    name: str = ""
    races: Races = Races()


@dataclass(frozen=True)
class Visit:
    """A press of a button: the session, the title of the example that is chosen, if one is, the picture's
    file, and the controls' values by the names of SETTINGS."""

    session: Session | None
    title: str | None
    photo: str | None
    values: dict = field(default_factory=dict)

    @property
    def chosen(self) -> Chosen:
        return choose(**self.values)

    @property
    def made_from(self) -> tuple:
        """What a run of this visit is begun with."""
        return (self.photo, *(self.values[name] for name in MADE_FROM))


def _loaded(key: str) -> ZeroShotCLIP:
    """A model of the table, whose tempo is known from then on. Raises KeyError or ModelUnavailable."""
    clip = load(key)
    if not lent.IS_LENT:  # where a GPU is lent, this process computes without one, and slowly
        TEMPO.try_out(key, clip)
    return clip


model = Shelf(_loaded)  # a model of the table by its key, loaded once for all visitors


async def arriving(key: str) -> AsyncIterator[str]:
    """What is said while a model is on its way, until it is here. It comes on a thread of its own, so that
    nobody's turn is taken by it. Raises ModelUnavailable."""
    known = isinstance(key, str) and key in MODELS  # of another key, whoever reads it says so
    arrival = model.bring(key) if known else None
    while arrival and not arrival.model.done():
        yield page_words.loading(MODELS[key].title, arrival.stage)
        await asyncio.wait({asyncio.wrap_future(arrival.model)}, timeout=TOLD_EVERY)
    if arrival:
        arrival.model.result()


def device_name(clip: ZeroShotCLIP) -> str:
    return name_of(clip.device)


def model_and_photo(photo: str | None, key: str, resize: str) -> tuple[ZeroShotCLIP, torch.Tensor]:
    """A model, and the picture of a file [3,P,P] for it, resized by a row of RESIZES. The picture is opened
    first: a model is loaded for none that cannot be read. Raises PictureError or ModelUnavailable."""
    if not photo:
        raise PictureError("Choose a picture first: upload one, or press one of the examples.")
    picture, clip = open_picture(photo), model(key)
    return clip, photo_for(clip, picture, resize)


def brought(path: str | None) -> bool:
    """Whether a picture input holds a file that a visitor put into it, which the page did not."""
    page = LocalContext.blocks.get(None)
    return bool(path) and (page is None or path in page.upload_file_set)


def put_in(path: str) -> object:
    """What a visitor's file becomes: a clean copy; where it cannot be read he is told so at once, and it
    stays."""
    page = LocalContext.blocks.get(None)
    try:
        return clean_copy(path, page.upload_file_set if page else ())
    except PictureError as error:
        gr.Warning(str(error), title="Not yet")
        return None


def begin(photo: str | None, settings: Settings) -> tuple[ZeroShotCLIP, Run]:
    """The model, and the clean picture before it. Raises one of BAD_INPUT."""
    clip, picture = model_and_photo(photo, settings.model, settings.resize)
    return clip, story.begin(clip, picture, settings, profile_of(settings.model), fit_of(settings.model))


def surrogate_for(run: Run) -> ZeroShotCLIP | None:
    """The model that the run's attack is crafted on, where it is a transfer attack."""
    return model(surrogate_of(run.settings.model)) if ATTACKS[run.settings.attack].transfer else None


def attacked(clip: ZeroShotCLIP, run: Run) -> Iterator[Run]:
    """The chosen attack, step by step."""
    return story.attack(clip, run, surrogate_for(run))


def at_work(words: str) -> Changes:
    """How the work stands, on the stage."""
    return {"stage": {"work": words}}


def waiting(word: Waiting, own: float | None = None) -> Changes:
    """Word for one who waits; own: seconds that his work takes."""
    return at_work(time_words.waiting(word.before, word.seconds, own))


def told(handler: Callable[..., Iterator[Changes]], visit) -> Iterator[Changes]:
    """What the handler changes. Bad input becomes one sentence, and nothing on the page is lost."""
    try:
        yield from handler(visit)
    except BAD_INPUT as error:
        gr.Warning(str(error), title="Not yet")
        yield IDLE
    except Exception:
        yield IDLE
        raise
