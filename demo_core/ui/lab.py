"""The Lab: one page on which a person attacks a picture and watches the counterattack."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache, partial, wraps
from pathlib import Path
from secrets import token_hex

import gradio as gr
import torch
from gradio.data_classes import ImageData

from demo_core import story
from demo_core.attacks import ATTACKS
from demo_core.clip import ZeroShotCLIP
from demo_core.examples import EXAMPLES
from demo_core.labels import DEFAULT_TEMPLATE, PRESETS, LabelError, list_labels, parse_labels
from demo_core.models import (
    DEFAULT_MODEL,
    MODELS,
    ModelUnavailable,
    fit_of,
    load,
    profile_of,
    study_of,
    surrogate_of,
)
from demo_core.pictures import PictureError, open_picture, to_photo
from demo_core.plots import to_svg, views_figure
from demo_core.story import Drifts, Run
from demo_core.story.reel import Messages, made, reel, stored
from demo_core.story.scenes import FIRST, SCENES, Scene, SceneError, scene_of
from demo_core.story.settings import Chosen, InputError, Settings, choose, read_settings
from demo_core.takeaway import TAKEAWAYS, NotThere
from demo_core.ui import api, bench
from demo_core.ui.render import ABOUT, CHOOSE, COPY, arena_html, examples_html, gate_html, share_html

HERE = Path(__file__).parent
CSS = (HERE / "style.css").read_text()
OTHER_LABELS = "Your own"
ADAPTIVE_HELP = (
    "The attacker has the model and the defence’s code, but not its dice, and aims at the defended answer (BPDA, one"
    " fresh draw a step), or keeps the plain attack where that does more. A stronger attacker may do better still."
)
NO_PRESET = "Another run than these: choose one of them to see it at once."
STALE = "() => document.querySelector('.stage')?.dispatchEvent(new Event('stale'))"
QUEUE = {"concurrency_id": "model", "concurrency_limit": 1}  # one place for all that computes, on one GPU
PAUSE = 0.12  # seconds between two frames sent to the page
# What a link's ?talk=1 asks for; the theme is the page's own business.
HEAD = """<script>if (new URLSearchParams(location.search).get("talk") === "1") document.documentElement.classList.add("talk");</script>"""


class Photo(gr.Image):
    """A picture input that hands over the uploaded file as it is: what cannot be read gets our own
    sentence."""

    is_template = True  # the page shows it as a gr.Image

    def preprocess(self, payload: ImageData | None) -> str | None:
        if payload is None or (payload.url and payload.url.startswith("data:")):
            return super().preprocess(payload)
        return payload.path


BAD_INPUT = (PictureError, LabelError, ModelUnavailable, InputError, SceneError, NotThere)


@dataclass(frozen=True)
class Session:
    """What is on a visitor's stage. run: his last one; or scene: a finished one that came with the demo,
    whose run is made when it is asked for. made_from: photo, model, labels and template; a counterattack
    continues a run only while they still hold. name: the run's on the page."""

    run: Run | None
    made_from: tuple
    scene: Scene | None = None
    name: str = ""

    @property
    def model(self) -> str:
        return self.scene.model if self.scene else self.made_from[1]


@lru_cache(maxsize=len(MODELS))
def model(key: str) -> ZeroShotCLIP:
    return load(key)


def device_name(clip: ZeroShotCLIP) -> str:
    return torch.cuda.get_device_name(clip.device) if clip.device.type == "cuda" else "CPU"


def begin(photo: str | None, key: str, settings: Settings) -> tuple[ZeroShotCLIP, Run]:
    """The model, and the clean picture before it. Raises one of BAD_INPUT."""
    if not photo:
        raise PictureError("Choose a picture first: upload one, or press one of the examples.")
    picture = to_photo(open_picture(photo))
    if key not in MODELS:
        raise InputError(f"There is no model “{key}”: choose one of {', '.join(MODELS)}.")
    clip = model(key)
    return clip, story.begin(clip, picture, settings, profile_of(key), fit_of(key))


def surrogate_for(run: Run, key: str) -> ZeroShotCLIP | None:
    """The model that the run's attack is crafted on, where it is a transfer attack on the model called
    key."""
    return model(surrogate_of(key)) if ATTACKS[run.settings.attack].transfer else None


def attacked(clip: ZeroShotCLIP, run: Run, key: str) -> Iterator[Run]:
    """The chosen attack, step by step."""
    return story.attack(clip, run, surrogate_for(run, key))


def note(clip: ZeroShotCLIP, run: Run) -> str:
    """Device and speed, in a few words."""
    steps = sorted(run.milliseconds)
    return (
        f"{steps[len(steps) // 2]:.0f} ms a step (median) on {device_name(clip)}"
        if steps
        else f"computed on {device_name(clip)}"
    )


def link_to(name: str | None, key: str, run: Run) -> str:
    """What a link has to say to make this run again; nothing where the picture is the visitor's own."""
    if not name:
        return ""
    chosen = asdict(run.settings.chosen()) | {"model": key}
    return Scene(picture=name, control=run.control, **chosen).query()


def chosen_of(kind: str, values: tuple) -> Chosen:
    """The controls' values, in their order, as settings."""
    names = ("labels", "template", "attack", "eps", "step_size", "steps", "target", "seed", "adaptive")
    return choose(model=kind, **dict(zip(names, values)))


@lru_cache
def no_views(key: str) -> str:
    """The plot of drifts before any was measured."""
    return views_html(key, {})


def views_html(key: str, drifts: dict[str, Drifts], eps: float = 4.0) -> str:
    """The drift of a run's pictures over noise and views, before what the model's study found."""
    study = study_of(key)
    behind = (
        f"Behind: the middle 80 % and the median of {study.pictures:,} photographs, clean and under PGD-10 of the"
        " nearest eps. "
        if study
        else ""
    )
    text = (
        "; ".join(
            f"{name}: drift {d.over_noise[0]:.3f} under noise of 1/255 to {d.over_noise[-1]:.2f} under 32/255, {d.view_drift:.3f} over"
            " our views"
            for name, d in drifts.items()
        )
        or "an empty plot: nothing has been measured yet"
    )
    return (
        f'<p class="small">How far the embedding moves when the picture is changed a little. {behind}Short black lines:'
        f" the thresholds of the defences.</p><div class='scroll' tabindex='0' role='region' aria-label='drift over noise and views'>"
        f"{to_svg(views_figure(drifts, profile_of(key), study, eps), text)}</div>"
    )


def build() -> gr.Blocks:
    """The page. Building it loads nothing; `model` does, at the first run or before."""
    with gr.Blocks(
        title="CLIP fights back: test-time counterattacks",
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(600, 3600),
    ) as page:  # visitors' pictures are kept for an hour
        first = SCENES[FIRST].scene
        gr.HTML(
            "<header class='head'><h1>CLIP fights back</h1><p>A change that no eye can see makes CLIP wrong. Its own"
            " frozen image encoder can undo it at test time: a few gradient steps push the picture’s embedding away"
            " from where the attacker left it. Attack a picture and watch.</p></header>"
        )
        session = gr.State(Session(None, (), first))
        title = gr.State(first.picture)  # of the example photograph that is chosen
        with gr.Row(
            equal_height=False, elem_classes="lab"
        ):  # laid out by style.css: steer | show, settings below steer
            with gr.Column(min_width=280, elem_classes="steer"):
                with gr.Row(elem_classes="essential"):
                    preset = gr.Dropdown(
                        [(p.title, key) for key, p in SCENES.items()],
                        value=FIRST,
                        label="Preset",
                        elem_id="preset",
                        info=SCENES[FIRST].help,
                    )
                with gr.Row(elem_classes="essential"):
                    both = gr.Button("Attack, then counterattack", variant="primary", elem_id="both")
                with gr.Row():
                    attack_button = gr.Button("Attack", elem_id="attack", min_width=100, size="md")
                    defend_button = gr.Button(
                        "Counterattack", elem_id="counterattack", min_width=100, size="md"
                    )
                with gr.Row(elem_classes="essential"):
                    control_button = gr.Button("Clean control", elem_id="control", min_width=100, size="md")
                    stop = gr.Button("Stop", variant="stop", elem_id="stop", min_width=100, size="md")
                photo = Photo(
                    first.example.path,
                    label="Picture",
                    type="filepath",
                    image_mode=None,
                    format="png",
                    height=240,
                    sources=["upload", "clipboard", "webcam"],
                    elem_id="photo",
                    alt_text="the picture to attack",
                    buttons=["fullscreen"],
                )
                examples = gr.HTML(
                    examples_html(),
                    js_on_load=CHOOSE,
                    apply_default_css=False,
                    elem_id="examples",
                    label="example photographs",
                )
            with gr.Column(min_width=280, elem_classes="settings"):
                with gr.Accordion("Labels", open=False):
                    words = gr.Dropdown(
                        [*PRESETS, OTHER_LABELS],
                        value=first.example.preset,
                        label="Label list",
                        info="Lists of words that the embedded model knows.",
                    )
                    labels = gr.Textbox(
                        first.labels,
                        lines=6,
                        max_lines=10,
                        elem_id="labels",
                        label="Candidate labels, one a line",
                        info="CLIP picks the likeliest of these.",
                    )
                    template = gr.Textbox(
                        DEFAULT_TEMPLATE,
                        label="Prompt template",
                        elem_id="template",
                        info="The sentence that CLIP reads; {} stands for the label.",
                    )
                with gr.Accordion("Attack settings", open=False):
                    attack = gr.Dropdown(
                        [(row.title, key) for key, row in ATTACKS.items()],
                        value="pgd",
                        label="Attack",
                        info=ATTACKS["pgd"].help,
                        elem_id="attack-kind",
                    )
                    target = gr.Dropdown(
                        list(parse_labels(first.labels)),
                        value=None,
                        label="Target label",
                        visible=False,
                        info="What the attack should make CLIP say.",
                        allow_custom_value=True,
                    )
                    eps = gr.Slider(
                        0, 16, value=4, step=0.5, label="eps, in 1/255", info="How far any pixel may move."
                    )
                    step_size = gr.Slider(
                        0.25,
                        8,
                        value=1,
                        step=0.25,
                        label="Step size, in 1/255",
                        info="How far one step moves it.",
                    )
                    steps = gr.Slider(
                        1,
                        50,
                        value=10,
                        step=1,
                        label="Steps",
                        info="How many gradient steps the attacker takes.",
                    )
                    seed = gr.Number(0, precision=0, label="Seed", info="The same seed gives the same run.")
                    adaptive = gr.Checkbox(
                        False, label="The attacker knows the defence", elem_id="adaptive", info=ADAPTIVE_HELP
                    )
                kind = gr.Dropdown(
                    [(row.title, key) for key, row in MODELS.items()],
                    value=DEFAULT_MODEL,
                    label="Model",
                    info=MODELS[DEFAULT_MODEL].summary,
                    elem_id="model",
                )
            with gr.Column(min_width=300, elem_classes="show"):
                stage = gr.HTML(
                    None,
                    html_template=(HERE / "stage.html").read_text(),
                    js_on_load=(HERE / "stage.js").read_text(),
                    apply_default_css=False,
                    elem_id="stage",
                    label="stage",
                )
                with gr.Tabs(elem_classes="more"):
                    with gr.Tab("Why this gate"):
                        gate = gr.HTML(gate_html(DEFAULT_MODEL), elem_id="gate")
                    with gr.Tab("Arena"):
                        arena_button = gr.Button(
                            "Run every defence on the attacked picture", elem_id="run-arena"
                        )
                        arena = gr.HTML(arena_html(None, ()), elem_id="arena", label="arena")
                    with gr.Tab("Noise and views"):
                        views_button = gr.Button("Measure how this run’s pictures drift", elem_id="run-views")
                        views = gr.HTML(
                            no_views(DEFAULT_MODEL), elem_id="views", label="drift over noise and views"
                        )
                    with gr.Tab("Share and take away"):
                        link = gr.HTML(share_html(first.query()), elem_id="share", js_on_load=COPY)
                        with gr.Row():
                            files = {
                                key: gr.Button(t.title, elem_id=f"take-{key}", min_width=180)
                                for key, t in TAKEAWAYS.items()
                            }
                        file = gr.DownloadButton("Download", elem_id="taken", visible="hidden")
                    with gr.Tab("About"):
                        gr.HTML(ABOUT, elem_id="about")

        settings = [labels, template, attack, eps, step_size, steps, target, seed, adaptive]
        inputs = [title, photo, kind, *settings]
        outputs = [session, stage, arena, link, views]

        def frames(
            clip: ZeroShotCLIP, runs: Iterator[Run], made_from: tuple, picture: str | None, also: dict = {}
        ) -> Iterator[dict]:
            """What changes on the page, at most every PAUSE seconds; the last of the runs is never left out.
            picture: the title of the example, if it is one; also: what else changes with the first of
            them."""
            messages, then, run = Messages(token_hex(4), study_of(made_from[1])), 0.0, None

            def changed(run: Run, done: bool = False) -> dict:
                found = {
                    session: Session(run, made_from, name=messages.name),
                    stage: messages.next(run, note(clip, run), done),
                }
                return found | {link: share_html(link_to(picture, made_from[1], run))} if done else found

            for found in runs:
                if run and time.monotonic() - then >= PAUSE:
                    yield also | changed(run)
                    also, then = {}, time.monotonic()
                run = found
            yield also | changed(run, done=True)

        def handler(generate: Callable[..., Iterator[dict]]) -> Callable[..., Iterator[dict]]:
            """Bad input becomes one sentence, and nothing on the page is lost."""

            @wraps(generate)  # gradio reads from the signature who wants the request
            def told(*given) -> Iterator[dict]:
                try:
                    yield from generate(*given)
                except BAD_INPUT as error:
                    gr.Warning(str(error), title="Not yet")
                    yield {stage: gr.skip()}

            return told

        def fresh(name, photo, kind, *chosen) -> tuple[ZeroShotCLIP, Run, tuple]:
            clip, run = begin(photo, kind, read_settings(chosen_of(kind, chosen), name))
            return clip, run, (photo, kind, *chosen[:2])

        def cleared(kind: str) -> dict:
            return {arena: arena_html(None, ()), views: no_views(kind)}

        def attack_only(name, *controls) -> Iterator[dict]:
            """Attack a picture step by step."""
            clip, run, made_from = fresh(name, *controls)
            yield from frames(clip, attacked(clip, run, controls[1]), made_from, name, cleared(controls[1]))

        def attack_and_counterattack(name, *controls) -> Iterator[dict]:
            """Attack a picture, then counterattack, step by step."""
            clip, run, made_from = fresh(name, *controls)
            yield from frames(
                clip,
                story.whole(clip, run, surrogate_for(run, controls[1])),
                made_from,
                name,
                cleared(controls[1]),
            )

        def attacked_before(kept: Session | None, name, photo, kind, *chosen) -> Session:
            """The session with an attack that still fits the controls; one that came with the demo is made
            now."""
            scene = kept and kept.scene
            if (
                scene
                and not scene.control
                and (scene.picture, scene.model, scene.labels, scene.template)
                == (name, kind, "\n".join(list_labels(chosen[0])), chosen[1])
            ):
                clip, run = begin(photo, kind, scene.settings)
                return Session(list(attacked(clip, run, kind))[-1], (photo, kind, *chosen[:2]))
            if kept and kept.run and kept.run.attack and not kept.run.attack_finished:
                raise InputError("The attack was stopped before its end: press Attack again.")
            if kept is None or kept.run is None or not kept.run.attack_finished:
                raise InputError("Press Attack first: there is no attacked picture yet.")
            if kept.made_from != (photo, kind, *chosen[:2]):
                raise InputError(
                    "The picture, model, labels or template changed since the attack: press Attack again."
                )
            return kept

        def counterattack(kept: Session | None, name, *controls) -> Iterator[dict]:
            """Counterattack the picture that was attacked last, step by step."""
            kept, clip = attacked_before(kept, name, *controls), model(controls[1])
            yield from frames(clip, story.defend(clip, kept.run), kept.made_from, name)

        def clean_control(kept: Session | None, name, *controls) -> Iterator[dict]:
            """Run the same defence on the clean picture; an attack that was made on it stays for a
            counterattack."""
            clip, run, made_from = fresh(name, *controls)
            if kept and kept.run and kept.run.attack_finished and kept.made_from == made_from:
                run = kept.run
            yield from frames(clip, story.defend(clip, run, control=True), made_from, name)

        def compare(kept: Session | None, *controls) -> Iterator[dict]:
            """Run every defence on the picture that was attacked last, and on the clean one, defence by
            defence."""
            kept = attacked_before(kept, *controls)
            yield {arena: arena_html(kept.run, ()), session: kept}
            for bouts in story.arena(model(controls[2]), kept.run):
                yield {arena: arena_html(kept.run, bouts)}

        def measure(kept: Session | None, name, photo, kind, *chosen) -> Iterator[dict]:
            """How far this run's pictures drift under noise and views."""
            try:
                run = attacked_before(kept, name, photo, kind, *chosen).run
            except InputError:
                run = begin(photo, kind, read_settings(chosen_of(kind, chosen), name))[1]
            yield {views: views_html(kind, story.drifts(model(kind), run), run.settings.eps * 255)}

        def take(key: str, kept: Session | None, name, photo, kind, *chosen) -> Iterator[dict]:
            """One file of the run on the stage."""
            if kept is None or (kept.run is None and kept.scene is None):
                raise NotThere("There is no run to take away yet: press a preset, or Attack.")
            yield {file: None}  # so that no earlier one is handed over where this one is refused
            run = kept.run or made(kept.scene, model(kept.scene.model))
            with tempfile.TemporaryDirectory() as folder:  # gradio keeps a copy of its own, for an hour
                path = Path(folder) / TAKEAWAYS[key].file
                path.write_bytes(TAKEAWAYS[key].make(run, study_of(kept.model)))
                yield {file: str(path)}

        def stopped(kept: Session | None):
            said = words.stopped(kept.run) if kept and kept.run else ""
            if not said:
                return gr.skip()
            found = reel(kept.run, study_of(kept.model), name=kept.name)
            return found | {"stopped": True, "verdict": {"text": said, "tone": "wait", "note": ""}}

        def controls_of(scene: Scene) -> dict:
            """Every control as the scene has it."""
            names = list_labels(scene.labels)
            key = next((key for key, row in SCENES.items() if row.scene == scene), None)
            return {
                preset: gr.update(value=key, info=SCENES[key].help if key else NO_PRESET),
                title: scene.picture,
                photo: scene.example.path,
                kind: gr.update(value=scene.model, info=MODELS[scene.model].summary),
                gate: gate_html(scene.model),
                views: no_views(scene.model),
                labels: scene.labels,
                template: scene.template,
                attack: scene.attack,
                eps: scene.eps,
                step_size: scene.step_size,
                steps: scene.steps,
                seed: scene.seed,
                target: gr.update(choices=list(names), value=scene.target or None),
                adaptive: scene.adaptive,
                link: share_html(scene.query()),
                arena: arena_html(None, ()),
            }

        def open_scene(scene: Scene) -> dict:
            """Controls and stage of a scene, at once where its finished run came with the demo."""
            found = stored(scene)
            return controls_of(scene) | (
                {session: Session(None, (), scene), stage: found} if found else {session: None}
            )

        everything = [preset, gate, *inputs, *outputs]
        pending = gr.Textbox(visible="hidden")  # the query of a link whose run did not come with the demo

        def open_link(request: gr.Request) -> dict:
            """The scene that the page's address asks for: its finished run at once, or else word to make
            it."""
            query = str(request.query_params)
            try:
                scene = Scene.read(query)
                if scene is None:
                    return {stage: stored(first)}
                scene.settings  # what cannot be run is refused before anything on the page changes
                known = open_scene(scene)
                return known if stage in known else known | {pending: query}
            except BAD_INPUT as error:
                gr.Warning(str(error), title="Not yet")
                return {stage: stored(first)}

        def run_link(query: str) -> Iterator[dict]:
            """Make the run that a link asks for."""
            scene = Scene.read(query)
            clip, run = begin(scene.example.path, scene.model, scene.settings)
            made_from = (scene.example.path, scene.model, scene.labels, scene.template)
            yield from frames(
                clip,
                story.whole(clip, run, surrogate_for(run, scene.model), control=scene.control),
                made_from,
                scene.picture,
            )

        streaming = dict(
            show_progress="hidden", api_visibility="undocumented", **QUEUE
        )  # programs have endpoints of their own
        running = [
            both.click(handler(attack_and_counterattack), inputs, outputs, api_name="lab_both", **streaming),
            attack_button.click(handler(attack_only), inputs, outputs, api_name="lab_attack", **streaming),
            defend_button.click(
                handler(counterattack), [session, *inputs], outputs, api_name="lab_counterattack", **streaming
            ),
            control_button.click(
                handler(clean_control), [session, *inputs], outputs, api_name="lab_control", **streaming
            ),
            arena_button.click(
                handler(compare),
                [session, *inputs],
                [session, stage, arena],
                api_name="lab_arena",
                **streaming,
            ),
            views_button.click(
                handler(measure), [session, *inputs], [stage, views], api_name="lab_views", **streaming
            ),
            pending.change(handler(run_link), pending, outputs, **streaming | {"api_visibility": "private"}),
        ]
        quiet = dict(api_visibility="private", show_progress="hidden", queue=False)
        speaking = dict(
            api_visibility="private", show_progress="hidden", concurrency_limit=None
        )  # warnings need the queue
        stop.click(stopped, session, stage, cancels=running, **quiet)
        # a page that missed a message of a run asks for all of it
        stage.submit(
            lambda kept: (
                reel(kept.run, study_of(kept.model), name=kept.name) if kept and kept.run else gr.skip()
            ),
            session,
            stage,
            **quiet,
        )
        for key, button in files.items():
            handed = button.click(
                handler(partial(take, key)),
                [session, *inputs],
                [stage, file],
                api_name=f"lab_take_{key}",
                **streaming,
            )
            handed.success(
                None,
                None,
                None,
                js="() => document.querySelector('#taken')?.click()",
                api_visibility="private",
            )

        preset.input(
            lambda key: open_scene(SCENES[key].scene) if key else {stage: gr.skip()},
            preset,
            everything,
            cancels=running,
            **quiet,
        )

        def choose_example(event: gr.EventData) -> dict:
            return open_scene(scene_of(event._data["title"]))

        examples.click(choose_example, None, everything, cancels=running, **quiet)

        def choose_picture(path: str | None) -> dict:
            """A picture of the visitor's own: what is on the stage is not of it, and no link can name it."""
            try:
                if path:
                    open_picture(path)
            except PictureError as error:
                gr.Warning(str(error), title="Not yet")
            return {title: None, preset: gr.update(value=None, info=NO_PRESET)}

        photo.input(choose_picture, photo, [title, preset], **speaking)
        for changed in (photo, words, kind):  # of what is typed, the stage hears by itself
            changed.input(None, None, None, js=STALE, api_visibility="private")
        words.input(
            lambda name: "\n".join(PRESETS[name]) if name in PRESETS else gr.skip(), words, labels, **quiet
        )

        def labels_changed(text: str, current: str | None):
            names = list_labels(text)
            name = next((n for n, known in PRESETS.items() if known == names), OTHER_LABELS)
            return name, gr.update(
                choices=list(names), **({"value": None} if current and current not in names else {})
            )

        labels.change(labels_changed, [labels, target], [words, target], **quiet)

        def attack_changed(key: str):
            row = ATTACKS[key]
            return (
                gr.update(info=row.help),
                gr.update(visible=row.targeted),
                gr.update(visible=not (row.single_step or row.own_step_size)),
                gr.update(visible=not row.single_step),
            )

        attack.change(attack_changed, attack, [attack, target, step_size, steps], **quiet)

        def model_changed(key: str):
            try:
                model(key)
            except ModelUnavailable as error:
                gr.Warning(str(error), title="This model is not available here")
                key = DEFAULT_MODEL
            row = MODELS[key]
            return gr.update(value=key, info=row.summary), gate_html(key), no_views(key), arena_html(None, ())

        kind.select(
            model_changed,
            kind,
            [kind, gate, views, arena],
            api_visibility="private",
            show_progress="hidden",
            **QUEUE,
        )
        page.load(open_link, None, [*everything, pending], **speaking)
        api.add(begin, attacked, BAD_INPUT, QUEUE)
        bench.add(model, QUEUE)
    return page


def launch_options() -> dict:
    """What the page needs of launch(): its look, the example files, an MCP server beside the API, and no
    history of runs in visitors' browsers."""
    fonts = dict(
        font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    )  # nothing is fetched
    blue, light = (
        "#005b8f",
        "#8fd0f5",
    )  # against white and black with a contrast of 4.5 and more, as all words need
    theme = gr.themes.Soft(**fonts).set(
        button_primary_background_fill=blue,
        button_primary_background_fill_hover="#00456d",
        button_primary_background_fill_dark=blue,
        button_primary_background_fill_hover_dark="#0072B2",
        block_title_text_color=blue,
        block_title_text_color_dark=light,
        block_title_background_fill="transparent",
        block_title_background_fill_dark="transparent",
        block_label_text_color=blue,
        block_label_text_color_dark=light,
        block_label_background_fill="*neutral_50",
        block_label_background_fill_dark="*neutral_800",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        color_accent=blue,
        checkbox_border_color="*neutral_500",
        slider_color=blue,
        slider_color_dark=light,
        link_text_color=blue,
        link_text_color_dark=light,
        link_text_color_visited=blue,
        link_text_color_visited_dark=light,
        link_text_color_hover=blue,
        link_text_color_hover_dark=light,
        link_text_color_active=blue,
        link_text_color_active_dark=light,
    )
    return dict(
        theme=theme,
        css=CSS,
        head=HEAD,
        allowed_paths=[e.path for e in EXAMPLES],
        run_history=False,
        max_file_size="50mb",
        mcp_server=True,
    )
