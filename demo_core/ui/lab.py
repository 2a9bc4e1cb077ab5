"""The Lab: one page on which a person attacks a picture and watches the counterattack."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, wraps
from inspect import Parameter, Signature
from pathlib import Path

import gradio as gr
import torch
from gradio.data_classes import ImageData

from demo_core import story
from demo_core.attacks import ATTACKS
from demo_core.clip import DEFAULT_MODEL, MODELS, ModelUnavailable, ZeroShotCLIP, load, study_of, surrogate_of
from demo_core.labels import (
    DEFAULT_PRESET, DEFAULT_TEMPLATE, PRESETS, LabelError, check_template, list_labels, parse_labels,
)
from demo_core.pictures import PictureError, enlarged, open_picture, perturb, to_image, to_photo
from demo_core.plots import drift_figure, signal_figure, to_svg, views_figure
from demo_core.story import Run, Settings
from demo_core.examples import EXAMPLES
from demo_core.ui import bench
from demo_core.ui.render import arena_html, gate_html, predictions_html, verdict_html

CSS = (Path(__file__).parent / "style.css").read_text()
OTHER_LABELS = "Your own"
ADAPTIVE_HELP = ("He attacks the defended prediction: he has the model and the defence’s code, but not its dice. He takes the"
                 " counterattack for a constant shift (BPDA, one fresh draw a step), does not aim at the gate, and keeps the plain"
                 " attack where that does more. A stronger attacker may do better still: the benchmark’s also differentiates through the steps.")
CONTROLS = ("photo", "model", "labels", "template", "attack", "eps", "step_size", "steps", "target", "seed", "adaptive")
QUEUE = {"concurrency_id": "model", "concurrency_limit": 1}  # one place for all that computes, on one GPU


class Photo(gr.Image):
    """A picture input that hands over the uploaded file as it is: what cannot be read gets our own sentence."""

    is_template = True  # the page shows it as a gr.Image

    def preprocess(self, payload: ImageData | None) -> str | None:
        if payload is None or (payload.url and payload.url.startswith("data:")):
            return super().preprocess(payload)
        return payload.path


class InputError(ValueError):
    """A setting cannot be used. The message is one sentence that says what to do."""


BAD_INPUT = (PictureError, LabelError, ModelUnavailable, InputError)


@dataclass(frozen=True)
class Session:
    """What a visitor's last run was made from; a counterattack continues it only while that still holds."""

    run: Run
    made_from: tuple


@lru_cache(maxsize=len(MODELS))
def model(key: str) -> ZeroShotCLIP:
    return load(key)


def device_name(clip: ZeroShotCLIP) -> str:
    return torch.cuda.get_device_name(clip.device) if clip.device.type == "cuda" else "CPU"


def read_settings(labels: str, template: str, attack: str, eps: float, step_size: float, steps: float,
                  target: str | None, seed: float, adaptive: bool = False) -> Settings:
    """What the controls say, checked; sizes arrive in 1/255 and leave in pixel units."""
    names = parse_labels(labels)
    if attack not in ATTACKS:
        raise InputError(f"There is no attack “{attack}”: choose one of {', '.join(ATTACKS)}.")
    for name, value, low, high in (("eps", eps, 0, 255), ("step size", step_size, 0, 255), ("steps", steps, 1, 1000),
                                   ("seed", seed, 0, 2**32 - 1)):
        if value is None or not low <= value <= high:
            raise InputError(f"Set {name} to a number from {low} to {high}.")
    chosen = None
    if ATTACKS[attack].targeted:
        if target not in names:
            raise InputError("Choose the label that the targeted attack should reach.")
        chosen = names.index(target)
    return Settings(names, check_template(template), attack, eps / 255, step_size / 255, int(steps), chosen,
                    int(seed), bool(adaptive))


def begin(photo: str | None, key: str, settings: Settings) -> tuple[ZeroShotCLIP, Run]:
    if not photo:
        raise PictureError("Choose a picture first: upload one, or press one of the examples.")
    picture = to_photo(open_picture(photo))
    if key not in MODELS:
        raise InputError(f"There is no model “{key}”: choose one of {', '.join(MODELS)}.")
    clip = model(key)
    return clip, story.begin(clip, picture, settings, MODELS[key].profile)


def picture(title: str, elem_id: str, alt_text: str) -> gr.Image:
    """One of the pictures in the row; PNG throughout, for lossy formats destroy a perturbation of 1/255."""
    with gr.Column(min_width=140):
        gr.HTML(f"<h3>{title}</h3>")
        return gr.Image(type="pil", format="png", interactive=False, show_label=False, height=220, elem_id=elem_id,
                        label=title, alt_text=alt_text, buttons=["download", "fullscreen"])


def build() -> gr.Blocks:
    """The page. Building it loads nothing; `model` does, at the first run or before."""
    with gr.Blocks(title="Test-time counterattacks on CLIP", analytics_enabled=False,
                   delete_cache=(600, 3600)) as page:  # visitors' pictures are kept for an hour
        gr.HTML(
            "<header class='head'><h1>CLIP fights back</h1><p>A change that no eye can see makes CLIP wrong. Its own"
            " frozen image encoder can undo it at test time: a few gradient steps push the picture’s embedding away"
            " from where the attacker left it. Attack a picture and watch.</p></header>")
        session = gr.State(None)
        with gr.Row(equal_height=False, elem_classes="lab"):  # laid out by style.css: act | show, settings below act
            with gr.Column(min_width=300, elem_classes="act"):
                photo = Photo(label="Picture", type="filepath", image_mode=None, format="png", height=280,
                              sources=["upload", "clipboard", "webcam"], elem_id="photo", alt_text="the picture to attack",
                              buttons=["fullscreen"])
                examples = gr.Dataset(
                    label="Or one of these photographs", components=[gr.Image(visible=False, type="filepath", format="png")],
                    samples=[[e.path] for e in EXAMPLES], type="index", samples_per_page=len(EXAMPLES), elem_id="examples")
                with gr.Row():
                    both = gr.Button("Attack, then counterattack", variant="primary", elem_id="both")
                with gr.Row():
                    attack_button = gr.Button("Attack", elem_id="attack", min_width=120)
                    defend_button = gr.Button("Counterattack", elem_id="counterattack", min_width=120)
                with gr.Row():
                    control_button = gr.Button("Clean control", elem_id="control", min_width=120)
                    stop = gr.Button("Stop", variant="stop", elem_id="stop", min_width=120)
            with gr.Column(min_width=300, elem_classes="settings"):
                with gr.Row():
                    preset = gr.Dropdown([*PRESETS, OTHER_LABELS], value=DEFAULT_PRESET, label="Label list", min_width=130)
                    template = gr.Textbox(DEFAULT_TEMPLATE, label="Prompt template", info="{} stands for the label.", min_width=150)
                labels = gr.Textbox("\n".join(PRESETS[DEFAULT_PRESET]), lines=6, max_lines=10, elem_id="labels",
                                    label="Candidate labels, one a line", info="CLIP picks the likeliest of these.")
                with gr.Accordion("Attack settings", open=False):
                    attack = gr.Dropdown([(row.title, key) for key, row in ATTACKS.items()], value="pgd", label="Attack",
                                         info=ATTACKS["pgd"].help, elem_id="attack-kind")
                    target = gr.Dropdown(list(PRESETS[DEFAULT_PRESET]), value=None, label="Target label", visible=False,
                                         info="What the attack should make CLIP say.", allow_custom_value=True)
                    eps = gr.Slider(0, 16, value=4, step=0.5, label="eps, in 1/255", info="How far any pixel may move.")
                    step_size = gr.Slider(0.25, 8, value=1, step=0.25, label="Step size, in 1/255", info="How far one step moves it.")
                    steps = gr.Slider(1, 50, value=10, step=1, label="Steps", info="How many gradient steps the attacker takes.")
                    seed = gr.Number(0, precision=0, label="Seed", info="The same seed gives the same run.")
                    adaptive = gr.Checkbox(False, label="The attacker knows the defence", elem_id="adaptive", info=ADAPTIVE_HELP)
                kind = gr.Dropdown([(row.title, key) for key, row in MODELS.items()], value=DEFAULT_MODEL, label="Model",
                                   info=MODELS[DEFAULT_MODEL].summary, elem_id="model")
            with gr.Column(min_width=300, elem_classes="show"):
                verdict = gr.HTML(verdict_html(None), elem_id="verdict", label="verdict")
                with gr.Row(elem_classes="pictures"):
                    clean_picture = picture("Clean", "clean-picture", "the clean picture")
                    attacked_picture = picture("Attacked", "attacked-picture", "the attacked picture")
                    defended_picture = picture("Defended", "defended-picture", "the picture after the defence")
                    noise_picture = picture("Perturbation", "perturbation", "the attack’s perturbation, or while"
                                            " the defence runs the counterattack’s, enlarged to the full range of grey")
                predictions = gr.HTML(predictions_html(None), elem_id="predictions", label="predictions")
                with gr.Row():
                    with gr.Column(min_width=320):
                        gr.HTML("<h2>How far the embedding has moved</h2>")
                        drift = gr.HTML(svg_of(drift_figure(None), None), elem_id="drift", label="drift plot")
                    with gr.Column(min_width=320):
                        gr.HTML("<h2>Does the picture hold still?</h2>")
                        signal = gr.HTML(empty_signal(DEFAULT_MODEL), elem_id="signal", label="signal plot")
                gate = gr.HTML(gate_html(MODELS[DEFAULT_MODEL]), elem_id="gate")
                with gr.Tabs():
                    with gr.Tab("Arena"):
                        arena_button = gr.Button("Run every defence on the attacked picture", elem_id="run-arena")
                        arena = gr.HTML(arena_html(None, ()), elem_id="arena", label="arena")
                    with gr.Tab("Noise and views"):
                        views = gr.HTML(views_html(DEFAULT_MODEL, None), elem_id="views", label="drift over noise and views")

        settings = [labels, template, attack, eps, step_size, steps, target, seed, adaptive]
        outputs = [session, verdict, clean_picture, noise_picture, attacked_picture, defended_picture, predictions, drift, signal,
                   views, arena]

        def frame(clip: ZeroShotCLIP, run: Run, made_from: tuple, *, first: bool = False) -> dict:
            """What changes on the screen with this snapshot."""
            changed = {session: Session(run, made_from), verdict: verdict_html(run, device_name(clip)),
                       drift: svg_of(drift_figure(run), run)}
            if first:
                changed |= {clean_picture: to_image(run.photo), noise_picture: None, attacked_picture: None,
                            defended_picture: None, arena: arena_html(None, ())}
            at_the_gate = run.engaged is not None and not run.push and run.defended is None
            if first or at_the_gate or (run.attacked is not None and run.engaged is None):
                # what the pictures' signals are does not change while a counterattack steps on
                changed |= {views: views_html(made_from[1], run), signal: svg_of(signal_figure(run, study=study_of(made_from[1])), run)}
            if run.engaged is None:
                if run.attack_delta is not None:
                    changed |= {noise_picture: enlarged(run.attack_delta, run.settings.eps),
                                attacked_picture: to_image(perturb(run.photo, run.attack_delta))}
            else:
                base = run.attack_delta if run.attack_delta is not None and not run.control else 0
                changed |= {noise_picture: enlarged(run.defence_delta, run.profile.ttc.eps),
                            defended_picture: to_image(perturb(run.photo, base + run.defence_delta))}
            if first or run.attacked is not None or run.engaged is not None:
                changed[predictions] = predictions_html(run)
            return changed

        def handler(generate: Callable[..., Iterator[dict]]) -> Callable[..., Iterator[dict]]:
            """Bad input becomes one sentence and nothing on the screen is lost; the API sees the controls' names."""
            @wraps(generate)
            def told(*given) -> Iterator[dict]:
                try:
                    yield from generate(*given)
                except BAD_INPUT as error:
                    gr.Warning(str(error), title="Not yet")
                    yield {verdict: gr.skip()}

            names = [*(["session"] if generate in (counterattack, clean_control, compare) else []), *CONTROLS]
            told.__signature__ = Signature([Parameter(n, Parameter.POSITIONAL_OR_KEYWORD) for n in names])
            return told

        def fresh(photo, kind, *chosen) -> Iterator[dict]:
            """A new run: the clean picture."""
            clip, run = begin(photo, kind, read_settings(*chosen))
            yield frame(clip, run, (photo, kind, *chosen[:2]), first=True)

        def attack_only(*controls) -> Iterator[dict]:
            """Attack a picture step by step."""
            for changed in fresh(*controls):
                yield changed
            kept, clip = changed[session], model(controls[1])
            row = ATTACKS[kept.run.settings.attack]
            surrogate = model(surrogate_of(controls[1])) if row.transfer else None
            for run in story.attack(clip, kept.run, surrogate):
                yield frame(clip, run, kept.made_from)

        def defended(kept: Session, kind: str, control: bool = False) -> Iterator[dict]:
            clip = model(kind)
            for run in story.defend(clip, kept.run, control=control):
                yield frame(clip, run, kept.made_from)

        def attacked_before(kept: Session | None, photo, kind, *chosen) -> Session:
            if kept is None or not kept.run.attack_finished:
                raise InputError("Press Attack first: there is no attacked picture yet.")
            if kept.made_from != (photo, kind, *chosen[:2]):
                raise InputError("The picture, model, labels or template changed since the attack: press Attack again.")
            return kept

        def counterattack(kept: Session | None, photo, kind, *chosen) -> Iterator[dict]:
            """Counterattack the picture that was attacked last, step by step."""
            yield from defended(attacked_before(kept, photo, kind, *chosen), kind)

        def compare(kept: Session | None, photo, kind, *chosen) -> Iterator[dict]:
            """Run every defence on the picture that was attacked last, and on the clean one, defence by defence."""
            run = attacked_before(kept, photo, kind, *chosen).run
            yield {arena: arena_html(run, ())}
            for bouts in story.arena(model(kind), run):
                yield {arena: arena_html(run, bouts)}

        def attack_and_counterattack(*controls) -> Iterator[dict]:
            """Attack a picture, then counterattack, step by step."""
            for changed in attack_only(*controls):
                yield changed
            yield from defended(changed[session], controls[1])

        def clean_control(kept: Session | None, photo, kind, *chosen) -> Iterator[dict]:
            """Run the same defence on the clean picture; an attack that was made on it stays for a counterattack."""
            if kept is None or not kept.run.attack_finished or kept.made_from != (photo, kind, *chosen[:2]):
                for changed in fresh(photo, kind, *chosen):
                    yield changed
                kept = changed[session]
            yield from defended(kept, kind, control=True)

        def stopped(kept: Session | None):
            words = story.stopped(kept.run) if kept else ""
            return verdict_html(kept.run, device_name(model(DEFAULT_MODEL)), words) if words else gr.skip()

        streaming = dict(outputs=outputs, show_progress="hidden", **QUEUE)
        inputs = [photo, kind, *settings]
        running = [
            both.click(handler(attack_and_counterattack), inputs, api_name="attack_and_counterattack", **streaming),
            attack_button.click(handler(attack_only), inputs, api_name="attack", **streaming),
            defend_button.click(handler(counterattack), [session, *inputs], api_name="counterattack", **streaming),
            control_button.click(handler(clean_control), [session, *inputs], api_name="clean_control", **streaming),
            arena_button.click(handler(compare), [session, *inputs], api_name="arena", **streaming | {"outputs": [verdict, arena]}),
        ]
        stop.click(stopped, session, verdict, cancels=running, api_visibility="private", queue=False, show_progress="hidden")

        def choose_example(index: int):
            example = EXAMPLES[index]
            return example.path, example.preset, "\n".join(PRESETS[example.preset])

        quiet = dict(api_visibility="private", show_progress="hidden", queue=False)
        examples.click(choose_example, examples, [photo, preset, labels], **quiet)
        preset.input(lambda name: "\n".join(PRESETS[name]) if name in PRESETS else gr.skip(), preset, labels, **quiet)

        def labels_changed(text: str, current: str | None):
            names = list_labels(text)
            name = next((n for n, known in PRESETS.items() if known == names), OTHER_LABELS)
            return name, gr.update(choices=list(names), value=current if current in names else None)

        labels.change(labels_changed, [labels, target], [preset, target], **quiet)

        def attack_changed(key: str):
            row = ATTACKS[key]
            return (gr.update(info=row.help), gr.update(visible=row.targeted),
                    gr.update(visible=not (row.single_step or row.own_step_size)), gr.update(visible=not row.single_step))

        attack.change(attack_changed, attack, [attack, target, step_size, steps], **quiet)

        def model_changed(key: str):
            try:
                model(key)
            except ModelUnavailable as error:
                gr.Warning(str(error), title="This model is not available here")
                row, key = MODELS[DEFAULT_MODEL], DEFAULT_MODEL
            row = MODELS[key]
            return (gr.update(value=key, info=row.summary), gate_html(row), empty_signal(key), verdict_html(None),
                    views_html(key, None), arena_html(None, ()))

        kind.select(model_changed, kind, [kind, gate, signal, verdict, views, arena], api_visibility="private", **QUEUE)
        bench.add(model, QUEUE)
    return page


def launch_options() -> dict:
    """What the page needs of launch(): its look, the example files, and no history of runs in visitors' browsers."""
    fonts = dict(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])  # nothing is fetched
    return dict(theme=gr.themes.Soft(**fonts), css=CSS, allowed_paths=[e.path for e in EXAMPLES], run_history=False, max_file_size="50mb")


def empty_signal(key: str) -> str:
    """The signal plot of a model before a run: what its study found."""
    return svg_of(signal_figure(None, MODELS[key].profile, study_of(key)), None)


def views_html(key: str, run: Run | None) -> str:
    """The drift of a run's pictures over noise and views, before what the model's study found."""
    study = study_of(key)
    behind = (f"Behind: the middle 80 % and the median of {study.pictures:,} photographs, clean and under PGD-10 of the"
              " nearest eps. " if study else "")
    return (f'<p class="small">How far the embedding moves when the picture is changed a little. {behind}Straight lines:'
            f" where each defence draws its own.</p>{svg_of(views_figure(run, MODELS[key].profile, study), run)}")


def svg_of(figure, run: Run | None) -> str:
    """A figure as SVG with a text alternative made of the run's own numbers."""
    if run is None:
        text = "an empty plot: nothing has run yet"
    else:
        parts = [f"{name} {values[-1]:.2f}" for name, values in (
            ("attack drift", run.attack_drift), ("counterattack drift", run.defence_drift)) if values]
        for name, found in (("clean", run.clean_signals), ("attacked", run.attacked_signals)):
            if found:
                parts.append(f"{name} tau {found.tau:.3f}, view drift {found.view_drift:.3f}")
        text = "; ".join(parts)
    return to_svg(figure, text)
