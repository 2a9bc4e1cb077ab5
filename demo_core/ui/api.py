"""The demo for programs: attack, counterattack and arena as named endpoints, for gradio_client and as tools
of an MCP server. They keep nothing between two calls."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import gradio as gr
from PIL import Image

from demo_core import story
from demo_core.attacks import ATTACKS
from demo_core.defenses import DEFENSES
from demo_core.labels import DEFAULT_PRESET, DEFAULT_TEMPLATE, PRESETS
from demo_core.models import DEFAULT_MODEL, MODELS
from demo_core.story import Run, words
from demo_core.story.settings import choose, read_settings
from demo_core.takeaway import attacked_picture, defended_picture

# The arguments of whatever attacks, as tools read them in a docstring.
ATTACKING = f"""picture: The picture to attack, as a file.
            labels: Candidate labels, one a line; at least two.
            attack: The method: one of {", ".join(ATTACKS)}.
            eps: The most that any pixel may change, in 1/255.
            step_size: How far one step moves a pixel, in 1/255.
            steps: The number of gradient steps.
            target: The label that a targeted attack should reach; empty otherwise.
            seed: The same seed gives the same answer.
            model: The CLIP: one of {", ".join(MODELS)}.
            template: The prompt, with {{}} where the label goes.
            adaptive: Whether the attacker knows the defence, and attacks through it; in the arena each defence meets its own."""


def _named(run: Run, probabilities) -> dict[str, float]:
    """Label -> probability, the likeliest first."""
    return {
        run.settings.labels[i]: round(probabilities[i].item(), 6)
        for i in probabilities.argsort(descending=True).tolist()
    }


def _doubts(run: Run) -> dict[str, float | bool | None]:
    """The chance that any label fits the clean picture, and whether the first answer was a guess."""
    return {"fit": run.fit, "no_label_fits": run.no_label_fits, "unsure": run.unsure}


def _signals(found: story.Signals) -> dict[str, float]:
    return {"tau": found.tau, "view_drift": found.view_drift}


def add(begin: Callable, attacked: Callable, bad_input: tuple[type[Exception], ...], queue: dict) -> None:
    """Put the endpoints into the page under construction. begin, attacked: the Lab's; bad_input: what they
    raise with a sentence for the caller; queue: the place for all that computes."""

    def start(
        picture, labels, template, attack, eps, step_size, steps, target, seed, model_key, adaptive=False
    ):
        return begin(
            picture,
            model_key,
            read_settings(
                choose(
                    labels=labels,
                    template=template,
                    attack=attack,
                    eps=eps,
                    step_size=step_size,
                    steps=steps,
                    target=target,
                    seed=seed,
                    adaptive=adaptive,
                    model=model_key,
                )
            ),
        )

    def told(endpoint: Callable) -> Callable:
        @wraps(endpoint)
        def answered(*given):
            try:
                return endpoint(*given)
            except bad_input as error:
                raise gr.Error(str(error), print_exception=False) from None

        answered.__doc__ = endpoint.__doc__.replace("<attacking>", ATTACKING).replace(
            "<models>", ", ".join(MODELS)
        )
        return answered

    @told
    def attack(
        picture: str,
        labels: str,
        attack: str,
        eps: float,
        step_size: float,
        steps: int,
        target: str,
        seed: int,
        model: str,
        template: str,
        adaptive: bool,
    ) -> tuple[dict, Image.Image]:
        """Attack a picture so that CLIP sees something else in it.

        Args:
            <attacking>

        Returns:
            A report with the probabilities before and after, the chance that any of the labels fits, the
            drift of the embedding step by step, and the stability signals; and the attacked picture as a PNG
            that still fools the model when it is given back.
        """
        clip, run = start(
            picture, labels, template, attack, eps, step_size, steps, target, seed, model, adaptive
        )
        run = list(attacked(clip, run, model))[-1]
        return {
            "verdict": words.verdict(run),
            **_doubts(run),
            "clean": _named(run, run.clean),
            "attacked": _named(run, run.attacked),
            "drift": list(run.attack_drift),
            "clean_signals": _signals(run.clean_signals),
            "attacked_signals": _signals(run.attacked_signals),
        }, attacked_picture(run)

    @told
    def counterattack(
        picture: str, labels: str, seed: int, model: str, template: str
    ) -> tuple[dict, Image.Image]:
        """Run the model's own defence on a picture as it is, attacked or not: the gate, and the counterattack
        where it opens.

        Args:
            picture: The picture, as a file; for instance one that `attack` gave.
            labels: Candidate labels, one a line; at least two.
            seed: The same seed gives the same counterattack.
            model: The CLIP: one of <models>.
            template: The prompt, with {} where the label goes.

        Returns:
            A report with the probabilities before and after, the chance that any of the labels fits, whether
            the gate opened, the signals that it decides by, and how far each step pushed the embedding; and
            the defended picture as PNG.
        """
        clip, run = start(picture, labels, template, "pgd", 0, 0, 1, None, seed, model)
        run = list(story.defend(clip, run, control=True))[-1]
        return {
            "verdict": words.verdict(run),
            **_doubts(run),
            "engaged": run.engaged,
            "before": _named(run, run.clean),
            "after": _named(run, run.defended),
            "signals": _signals(run.clean_signals),
            "gate": run.profile.gate,
            "threshold": run.profile.threshold,
            "push": [run.push(m) for m in run.defence],
        }, defended_picture(run)

    @told
    def arena(
        picture: str,
        labels: str,
        attack: str,
        eps: float,
        step_size: float,
        steps: int,
        target: str,
        seed: int,
        model: str,
        template: str,
        adaptive: bool,
    ) -> list[dict]:
        """Attack a picture and run every defence on it and, as a control, on the clean picture.

        Args:
            <attacking>

        Returns:
            For each defence its name, its label for the attacked and for the clean picture, the probability
            of the clean prediction after the attack, and its passes through the image encoder.
        """
        clip, run = start(
            picture, labels, template, attack, eps, step_size, steps, target, seed, model, adaptive
        )
        run = list(attacked(clip, run, model))[-1]
        clean = int(run.clean.argmax())
        return [
            {
                "defence": DEFENSES[b.key].title,
                "attacked": run.label(b.attacked),
                "clean": run.label(b.clean),
                "probability_of_clean_prediction": b.attacked[clean].item(),
                "forward": b.forward,
                "backward": b.backward,
            }
            for b in list(story.arena(clip, run))[-1]
        ]

    hidden = {"visible": False}
    picture = gr.Image(type="filepath", image_mode=None, format="png", label="picture", **hidden)
    labels = gr.Textbox("\n".join(PRESETS[DEFAULT_PRESET]), label="labels", lines=2, **hidden)
    kind = gr.Dropdown(list(ATTACKS), value="pgd", label="attack", **hidden)
    eps, step_size = gr.Number(4, label="eps", **hidden), gr.Number(1, label="step_size", **hidden)
    steps, seed = (
        gr.Number(10, precision=0, label="steps", **hidden),
        gr.Number(0, precision=0, label="seed", **hidden),
    )
    target, template = (
        gr.Textbox("", label="target", **hidden),
        gr.Textbox(DEFAULT_TEMPLATE, label="template", **hidden),
    )
    which = gr.Dropdown(list(MODELS), value=DEFAULT_MODEL, label="model", **hidden)
    adaptive = gr.Checkbox(False, label="adaptive", **hidden)
    report, made, press = (
        gr.JSON(label="report", **hidden),
        gr.Image(label="picture", format="png", **hidden),
        gr.Button(**hidden),
    )
    chosen = [picture, labels, kind, eps, step_size, steps, target, seed, which, template, adaptive]
    for run, inputs, outputs in (
        (attack, chosen, [report, made]),
        (counterattack, [picture, labels, seed, which, template], [report, made]),
        (arena, chosen, [report]),
    ):
        press.click(run, inputs, outputs, api_name=run.__name__, **queue)
