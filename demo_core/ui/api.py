"""The demo for programs: attack, counterattack, arena and suspect as named endpoints, for gradio_client and
as tools of an MCP server. They keep nothing between two calls. What they take is described in settings.py."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import aclosing
from functools import partial

import gradio as gr
from PIL import Image
from starlette.concurrency import run_in_threadpool

from demo_core import story
from demo_core.defenses import DEFENSES
from demo_core.moments import step_by_step
from demo_core.story import Run, suspicion_words, time_words, words
from demo_core.story.price import Price
from demo_core.story.settings import SETTINGS, Setting, choose, read_settings
from demo_core.story.suspicion import Sign
from demo_core.story.takeaway import attacked_picture, defended_picture
from demo_core.ui import suspicion, tempo, visits
from demo_core.ui.inputs import as_sent, picture_input
from demo_core.ui.lent import computed, seconds_of
from demo_core.ui.place import Refused, Waiting, in_turn

OF_AN_ATTACK = tuple(name for name in SETTINGS if name != "beside")  # which is the stage's alone
OF_ALL_DEFENCES = tuple(name for name in OF_AN_ATTACK if name != "defense")
OF_A_DEFENCE = (
    "labels",
    "seed",
    "model",
    "template",
    "defense",
    "resize",
)  # what a counterattack alone depends on


def _named(run: Run, probabilities) -> dict[str, float]:
    """Label -> probability, the likeliest first."""
    return {
        run.settings.labels[i]: round(probabilities[i].item(), 6)
        for i in probabilities.argsort(descending=True).tolist()
    }


def _doubts(run: Run) -> dict[str, float | bool | None]:
    """The chance that any label fits the clean picture, and whether the first answer was a guess."""
    return {"fit": run.fit, "no_label_fits": run.no_label_fits, "unsure": run.unsure}


def _signals(measured: story.Signals) -> dict[str, float]:
    return {"tau": measured.tau, "view_drift": measured.view_drift}


def _attacked(picture: str, given: dict) -> Iterator[None]:
    """Returns the model, and the run to the end of its attack; yields after each step."""
    clip, run = visits.begin(picture, read_settings(choose(**given)))
    return clip, (yield from step_by_step(visits.attacked(clip, run)))


def attack(picture: str, **given) -> Iterator[tuple[dict, Image.Image] | None]:
    """Attack a picture so that CLIP sees something else in it.

    Args:
        picture: The picture to attack: a file, or its address.

    Returns:
        A report with the probabilities before and after, the chance that any of the labels fits, the drift of
        the embedding step by step, the stability signals, and the seconds that this was expected to take; and
        the attacked picture as a PNG that still fools the model when it is given back.
    """
    _, run = yield from _attacked(picture, given)
    yield (
        {
            "verdict": words.verdict(run),
            **_doubts(run),
            "clean": _named(run, run.clean),
            "attacked": _named(run, run.attacked),
            "drift": list(run.attack_drift),
            "clean_signals": _signals(run.clean_signals),
            "attacked_signals": _signals(run.attacked_signals),
        },
        attacked_picture(run),
    )


def counterattack(picture: str, **given) -> Iterator[tuple[dict, Image.Image] | None]:
    """Run the model's own defence on a picture as it is, attacked or not: the gate, and the counterattack
    where it opens.

    Args:
        picture: The picture, a file or its address; for instance one that `attack` gave.

    Returns:
        A report with the probabilities before and after, the chance that any of the labels fits, whether the
        gate opened, the signals that it decides by, and how far each step pushed the embedding; and the
        defended picture as PNG.
    """
    clip, run = visits.begin(picture, read_settings(choose(**given)))
    run = yield from step_by_step(story.defend(clip, run, control=True))
    yield (
        {
            "verdict": words.verdict(run),
            **_doubts(run),
            "engaged": run.engaged,
            "before": _named(run, run.clean),
            "after": _named(run, run.defended),
            "signals": _signals(run.clean_signals),
            "gate": run.gate.signal if run.gate else None,
            "threshold": run.gate.threshold if run.gate else None,
            "push": [run.push(moment) for moment in run.defence],
        },
        defended_picture(run),
    )


def arena(picture: str, **given) -> Iterator[list[dict] | None]:
    """Attack a picture and run every defence on it and, as a control, on the clean picture. Where the
    attacker knows the defence, each defence meets an attack of its own.

    Args:
        picture: The picture to attack: a file, or its address.

    Returns:
        For each defence its name, its label for the attacked and for the clean picture, the probability of
        the clean prediction after the attack, and its passes through the image encoder; whether it acted, by
        which signal and threshold, where it has a gate; and where it rolls dice, in how many of how many
        draws it is right.
    """
    clip, run = yield from _attacked(picture, given)
    clean = int(run.clean.argmax())
    bouts = yield from step_by_step(story.arena(clip, run))
    yield [
        {
            "defence": DEFENSES[bout.key].title,
            "attacked": run.label(bout.attacked),
            "clean": run.label(bout.clean),
            "probability_of_clean_prediction": bout.attacked[clean].item(),
            "forward": bout.forward,
            "backward": bout.backward,
            **_gate_of(run, bout),
            "rerolls": list(bout.rerolls) if bout.rerolls else None,
        }
        for bout in bouts
    ]


def _gate_of(run: Run, bout: story.Bout) -> dict[str, str | float | bool | None]:
    """What a row's gate measured on the attacked picture, and what came of it; nothing of a row without one,
    which acts on every picture."""
    gate = DEFENSES[bout.key].gate(run.profile)
    reading = bout.reading if gate else None
    return {
        "engaged": reading.weight >= 0.5 if reading else None,
        "signal": reading.signal if reading else None,
        "value": reading.value if reading else None,
        "threshold": gate.threshold if gate else None,
    }


def suspect(picture: str, **given) -> Iterator[tuple[dict, Image.Image | None] | None]:
    """Tell whether a picture seems to be attacked, as it is: nothing is attacked here.

    Args:
        picture: The picture, a file or its address; for instance one that `attack` gave.

    Returns:
        A report with the verdict in words; its state, suspicious, calm or unclear; the chance of an attack if
        half of all such pictures were attacked, null where no study of the model knows; each test with its
        value and threshold, the deciding one first; the probabilities without and with the defence; and what
        the deciding test says of the picture after JPEG. And the defended picture as PNG, null where the
        defence moved no pixel.
    """
    found = yield from step_by_step(suspicion.looked_at(picture, read_settings(choose(**given))))
    run, chance = found.run, found.chance
    yield (
        {
            "verdict": suspicion_words.headline(found),
            "limits": suspicion_words.limits(found),
            "state": found.state,
            "chance": chance.share if chance else None,
            **_doubts(run),
            "tests": [_test(sign) for sign in found.signs],
            "before": _named(run, run.clean),
            "after": _named(run, run.defended),
            "after_jpeg": _test(found.stored.sign) | {"answer": _named(run, found.stored.probabilities)},
        },
        defended_picture(run) if words.moved(run) else None,
    )


def _test(sign: Sign) -> dict[str, str | float | bool | None]:
    return {
        "signal": sign.signal,
        "value": sign.value,
        "threshold": sign.gate.threshold if sign.gate else None,
        "suspicious": sign.suspicious,
    }


# Of price.WORKS, what each costs as much as.
WORKS = {attack: "run", counterattack: "control", arena: "attack and arena", suspect: "suspicion"}


def _priced(found: tuple | list, seconds: float | None) -> tuple | list:
    """An answer, whose report has the seconds that it was expected to take."""
    if isinstance(found, list):
        return found
    report, picture = found
    return report | {"expected_seconds": None if seconds is None else round(seconds, 1)}, picture


def endpoint(answer: Callable, names: tuple[str, ...], outputs: int) -> Callable:
    """One of the above as gradio calls it: by position, and with the settings of these names as arguments,
    typed and documented; what cannot be used comes back as one sentence. At each None that it yields gradio
    can end it; a program is sent nothing, but is told as progress how long its work takes, and how many come
    before it."""
    nothing_yet = gr.skip() if outputs == 1 else (gr.skip(),) * outputs

    async def answered(picture, *given):
        *values, progress, request = given

        def waiting(word: Waiting) -> None:
            progress(None, desc=time_words.waiting(word.before, word.seconds, seconds))

        try:
            chosen = dict(zip(names, values, strict=True))
            async for words in visits.arriving(chosen["model"]):
                progress(None, desc=words)
                yield nothing_yet  # a place to end it at
            work = WORKS[answer]

            def read() -> Price:
                return Price(choose(**chosen))

            seconds = await run_in_threadpool(tempo.allowed, work, read)
            if time_words.is_long(seconds):
                progress(None, desc=time_words.working(seconds))
            steps = computed(
                partial(answer, picture, **chosen),
                seconds=lambda: seconds_of(work, read()),
                refusals=visits.BAD_INPUT,
            )
            steps = tempo.TEMPO.watching(chosen["model"], steps)
            async with aclosing(in_turn(steps, waiting, request.session_hash, expected=seconds)) as items:
                async for found in items:
                    yield nothing_yet if found is None else _priced(found, seconds)
        except (*visits.BAD_INPUT, Refused) as error:
            raise gr.Error(str(error), print_exception=False) from None

    kinds = {"picture": str} | {name: SETTINGS[name].kind for name in names}
    by_position = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, by_position) for name in kinds]
    parameters.append(inspect.Parameter("progress", by_position, default=gr.Progress()))  # these two are
    parameters.append(
        inspect.Parameter("request", by_position, default=None, annotation=gr.Request)
    )  # gradio's
    manual = "".join(f"\n        {name}: {SETTINGS[name].manual}" for name in names)
    head, returns = inspect.getdoc(answer).split("\n\nReturns:")
    answered.__name__ = answer.__name__
    answered.__doc__ = f"{head}{manual}\n\nReturns:{returns}"
    answered.__signature__ = inspect.Signature(parameters)
    answered.__annotations__ = (
        kinds | {"request": gr.Request} | {"return": inspect.get_annotations(answer, eval_str=True)["return"]}
    )
    return answered


def _argument(setting: Setting) -> gr.components.Component:
    """The hidden control that an argument comes by; its range is checked with the others, in words."""
    shown = {"value": setting.default, "label": setting.name, "visible": False}
    if setting.rows:
        return gr.Dropdown(list(setting.rows()), **shown)
    if setting.kind is bool:
        return gr.Checkbox(**shown)
    if setting.kind is str:
        return gr.Textbox(**shown)
    return gr.Number(precision=0 if setting.kind is int else None, **shown)


def add() -> None:
    """Put the endpoints into the page under construction."""
    picture = picture_input(label="picture", visible=False)
    arguments = {name: as_sent(_argument(setting)) for name, setting in SETTINGS.items()}
    report = gr.JSON(label="report", visible=False)
    result = gr.Image(label="picture", format="png", visible=False)
    press = gr.Button(visible=False)
    for answer, names, outputs in (
        (attack, OF_AN_ATTACK, [report, result]),
        (counterattack, OF_A_DEFENCE, [report, result]),
        (arena, OF_ALL_DEFENCES, [report]),
        (suspect, OF_A_DEFENCE, [report, result]),
    ):
        inputs = [picture, *(arguments[name] for name in names)]
        press.click(
            endpoint(answer, names, len(outputs)),
            inputs,
            outputs,
            api_name=answer.__name__,
            concurrency_limit=None,
        )
