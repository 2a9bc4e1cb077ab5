"""One picture's run, told step by step: generators of Run snapshots for the screen.

A Run is immutable; every step yields a new one, and each holds all there is to draw. Nothing here knows gradio.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch

from demo_core.ascent import Step, last, random_start, uniform
from demo_core.attacks import ATTACKS, seen_by
from demo_core.clip import ZeroShotCLIP, count_passes
from demo_core.counterattack import counterattack, relative_drift, weigh
from demo_core.defenses import (
    DEFENSES, TAU, VIEW_DRIFT, Profile, informed, judge, view_drift, view_features,
)
from demo_core.drift import NOISE_STRENGTHS, TAU_STRENGTH, noise_drifts, view_drifts
from demo_core.pictures import to_pixels


@dataclass(frozen=True)
class Settings:
    """What the person chose. eps and step_size in pixel units (1/255 is one grey level); target: a label's index;
    adaptive: the attacker knows the defence and attacks through it."""

    labels: tuple[str, ...]
    template: str
    attack: str = "pgd"
    eps: float = 4 / 255
    step_size: float = 1 / 255
    steps: int = 10
    target: int | None = None
    seed: int = 0
    adaptive: bool = False

    @property
    def knows_defence(self) -> bool:
        """Whether the attack is made through the defence."""
        return self.adaptive and ATTACKS[self.attack].adaptable


@dataclass(frozen=True)
class Signals:
    """Both stability signals of one picture, whichever of them gates: tau under the paper's noise, the drift under
    the exact views; and the drift over NOISE_STRENGTHS, of which tau is one point, and over STUDY_VIEWS."""

    tau: float
    view_drift: float
    over_noise: tuple[float, ...] = ()
    over_views: tuple[float, ...] = ()

    def __getitem__(self, gate: str) -> float:
        return {TAU: self.tau, VIEW_DRIFT: self.view_drift}[gate]


@dataclass(frozen=True)
class Run:
    """Everything known so far about one picture under one attack.

    photo [3,P,P]; pixels, attack_delta, defence_delta [1,3,S,S], the deltas from the clean and from the attacked
    picture; probabilities [K]; drifts are relative, one number a step: attack_drift from the clean embedding,
    defence_drift from the clean one too, and push from where the attacker left it.
    control: the defence was run on the clean picture.
    """

    settings: Settings
    profile: Profile
    photo: torch.Tensor
    pixels: torch.Tensor
    clean_features: torch.Tensor
    clean: torch.Tensor
    clean_signals: Signals
    attack_delta: torch.Tensor | None = None
    attack_drift: tuple[float, ...] = ()
    attacked: torch.Tensor | None = None
    attacked_signals: Signals | None = None
    control: bool = False
    engaged: bool | None = None
    defence_delta: torch.Tensor | None = None
    defence_drift: tuple[float, ...] = ()
    push: tuple[float, ...] = ()
    defended: torch.Tensor | None = None
    milliseconds: tuple[float, ...] = ()

    @property
    def attack_steps(self) -> int:
        return 1 if ATTACKS[self.settings.attack].single_step else self.settings.steps

    @property
    def attack_finished(self) -> bool:
        return self.attacked is not None

    def label(self, probabilities: torch.Tensor) -> str:
        return self.settings.labels[int(probabilities.argmax())]


class _Clock:
    """Milliseconds between ticks, with the GPU's queue emptied first so that they are the step's own."""

    def __init__(self, device: torch.device):
        self.device = device
        self.tick()

    def tick(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        passed, self.then = (now - getattr(self, "then", now)) * 1000, now
        return passed


@torch.no_grad()
def signals(clip: ZeroShotCLIP, pixels: torch.Tensor, seed: int) -> Signals:
    """What clip's probe says of one picture [1,3,S,S]."""
    unit = uniform(pixels.shape, torch.Generator().manual_seed(seed + 1)).to(pixels)
    views = view_features(clip.probe, pixels)
    over_noise = noise_drifts(clip.probe, pixels, unit, views[0])[:, 0].tolist()
    over_views = [drift.item() for drift in view_drifts(clip.probe, pixels, views).values()]
    tau = over_noise[NOISE_STRENGTHS.index(TAU_STRENGTH)]
    return Signals(tau, view_drift(views).item(), tuple(over_noise), tuple(over_views))


@torch.no_grad()
def begin(clip: ZeroShotCLIP, photo: torch.Tensor, settings: Settings, profile: Profile) -> Run:
    """The clean picture: its prediction and its signals."""
    pixels = to_pixels(photo, clip.image_size).to(clip.device)
    features = clip.encode(pixels)
    text = clip.text_features(settings.labels, settings.template)
    clean = clip.logits(features, text).softmax(-1)[0].cpu()
    return Run(settings, profile, photo, pixels, features, clean, signals(clip, pixels, settings.seed))


def attack(clip: ZeroShotCLIP, run: Run, surrogate: ZeroShotCLIP | None = None) -> Iterator[Run]:
    """Run the chosen attack: one snapshot a step, the last with the attacked prediction and signals.

    Nobody knows an uploaded picture's true label, so the attack starts from the model's own clean prediction.
    surrogate: the model that a transfer attack is crafted on.
    """
    settings = run.settings
    text = clip.text_features(settings.labels, settings.template)
    seen: list[torch.Tensor] = []

    def bare(pixels: torch.Tensor) -> torch.Tensor:
        features = clip.encode(pixels)
        seen.append(features.detach())
        return clip.logits(features, text)

    def watched(target: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
        def classify(pixels: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                bare(pixels)
            return target(pixels)

        return classify

    if ATTACKS[settings.attack].transfer:
        steps = _steps(run, watched(seen_by(surrogate, settings.labels, settings.template)))
    elif settings.knows_defence:
        steps = _informed(clip, run, partial(DEFENSES["default"].run, profile=run.profile), watched)
    else:
        steps = _steps(run, bare)
    run = replace(run, attack_delta=None, attack_drift=(), attacked=None, attacked_signals=None, control=False,
                  engaged=None, defence_delta=None, defence_drift=(), push=(), defended=None, milliseconds=())
    clock = _Clock(clip.device)
    for step in steps:
        if step.output is None:  # the last one: nobody has looked at it yet
            with torch.no_grad():
                features = clip.encode(run.pixels + step.delta)
            seen.append(features)
            run = replace(run, attacked=clip.logits(features, text).softmax(-1)[0].cpu(),
                          attacked_signals=signals(clip, run.pixels + step.delta, settings.seed))
        drift = relative_drift(seen[-1], run.clean_features).item()
        run = replace(run, attack_delta=step.delta, attack_drift=(*run.attack_drift, drift),
                      milliseconds=(*run.milliseconds, clock.tick()))
        yield run
        clock.tick()  # time spent by whoever draws is not the step's


def _steps(run: Run, classify: Callable) -> Iterator[Step]:
    """The chosen attack on `classify`, from the clean prediction or towards the target."""
    settings = run.settings
    return ATTACKS[settings.attack].run(classify, run.pixels, _label(run), eps=settings.eps,
                                        step_size=settings.step_size, steps=settings.steps,
                                        generator=torch.Generator().manual_seed(settings.seed))


def _informed(clip: ZeroShotCLIP, run: Run, defense: Callable, watched: Callable = lambda target: target) -> Iterator[Step]:
    """The chosen attack by someone who knows this defence; `watched` wraps what he attacks."""
    settings = run.settings
    text = clip.text_features(settings.labels, settings.template)
    plain = last(_steps(run, clip.classifier(settings.labels, settings.template))).delta
    return informed(lambda target: _steps(run, watched(target)), defense, clip, text, run.pixels, _label(run), plain,
                    torch.Generator().manual_seed(settings.seed + 2), targeted=ATTACKS[settings.attack].targeted)


def _label(run: Run) -> torch.Tensor:
    """What the attack is about, [1]: the clean prediction, or the target."""
    label = run.settings.target if ATTACKS[run.settings.attack].targeted else int(run.clean.argmax())
    return torch.tensor([label], device=run.pixels.device)


@dataclass(frozen=True)
class Bout:
    """One defence in the arena. attacked, clean: its answers [K] on the attacked and on the clean picture; forward,
    backward: its passes through the image tower for one picture; milliseconds: of its run on the attacked one."""

    key: str
    attacked: torch.Tensor
    clean: torch.Tensor
    forward: int
    backward: int
    milliseconds: float


def arena(clip: ZeroShotCLIP, run: Run) -> Iterator[tuple[Bout, ...]]:
    """Every defence on the run's attacked and clean picture: the bouts so far, after each of them.

    Against an adaptive attacker every defence meets an attack of its own, made through it with the run's settings.
    """
    settings = run.settings
    text = clip.text_features(settings.labels, settings.template)
    bouts: tuple[Bout, ...] = ()

    def dice() -> torch.Generator:
        return torch.Generator().manual_seed(settings.seed + 1)

    clock = _Clock(clip.device)
    for key, row in DEFENSES.items():
        delta = last(_informed(clip, run, row.run)).delta if settings.knows_defence else run.attack_delta
        with torch.no_grad(), count_passes() as passes:
            clock.tick()
            attacked = row.run(clip, run.pixels + delta, text, dice()).probabilities[0].cpu()
            passed = clock.tick()
        with torch.no_grad():
            clean = row.run(clip, run.pixels, text, dice()).probabilities[0].cpu()
        bouts = (*bouts, Bout(key, attacked, clean, passes.forward, passes.backward, passed))
        yield bouts


def defend(clip: ZeroShotCLIP, run: Run, *, control: bool = False) -> Iterator[Run]:
    """Run the profile's defence on the attacked picture, or with `control` on the clean one: one snapshot for the
    gate's decision, one a step where it engages, the last with the defended prediction.

    Gives what defenses.calibrated gives on a batch of one with the same noise.
    """
    profile, settings = run.profile, run.settings
    start_from = run.pixels if control or run.attack_delta is None else run.pixels + run.attack_delta
    found = run.clean_signals if control else run.attacked_signals
    dice = torch.Generator().manual_seed(settings.seed + 1)
    noise = random_start(start_from, profile.noise_eps, dice)
    text = clip.text_features(settings.labels, settings.template)
    engaged = bool(profile.engages(torch.tensor(found[profile.gate])))
    run = replace(run, control=control, engaged=engaged, defended=None,
                  defence_delta=torch.zeros_like(noise), defence_drift=(), push=(), milliseconds=())
    yield run

    deltas: list[torch.Tensor] = []
    clock = _Clock(clip.device)
    if run.engaged:
        with torch.no_grad():
            anchor = clip.encode(start_from)
        for step in counterattack(clip.encode, start_from, noise, profile.ttc, anchor=anchor):
            deltas.append(step.delta)
            features = step.output
            if features is None:
                with torch.no_grad():
                    features = clip.encode(start_from + step.delta)
            run = replace(run, defence_delta=step.delta,
                          defence_drift=(*run.defence_drift, relative_drift(features, run.clean_features).item()),
                          push=(*run.push, relative_drift(features, anchor).item()),
                          milliseconds=(*run.milliseconds, clock.tick()))
            yield run
            clock.tick()
        final = weigh(deltas, profile.ttc)
    else:
        final = noise if profile.gate == TAU else torch.zeros_like(noise)
    with torch.no_grad():
        defended = judge(clip, start_from + final, text, profile, dice).softmax(-1)[0].cpu()
    yield replace(run, defence_delta=final, defended=defended, milliseconds=(*run.milliseconds, clock.tick()))


def stopped(run: Run) -> str:
    """What is said when a person stops a run; empty where it had already ended."""
    if run.engaged is None and not run.attack_finished:
        return f"Stopped after step {max(len(run.attack_drift) - 1, 0)} of {run.attack_steps} of the attack."
    if run.engaged is not None and run.defended is None:
        return f"Stopped after step {max(len(run.push) - 1, 0)} of {run.profile.ttc.steps} of the counterattack."
    return ""


def verdict(run: Run) -> str:
    """Where the run stands, in one sentence or two."""
    clean = run.label(run.clean)
    if run.engaged is None:
        if not run.attack_finished:
            return f"The model sees “{clean}”." if not run.attack_drift else "The attack is running …"
        attacked = run.label(run.attacked)
        if run.settings.eps == 0:
            return f"With eps 0 nothing changes: “{clean}” stands."
        made = ", made through the defence," if run.settings.knows_defence else ""
        if attacked == clean:
            return f"The attack{made} did not change the undefended prediction: “{clean}” stands."
        return f"The attack{made} turned “{clean}” into “{attacked}”."

    signal = (run.clean_signals if run.control else run.attacked_signals)[run.profile.gate]
    sign = "<" if (signal < run.profile.threshold) else ("=" if signal == run.profile.threshold else ">")
    name, unit = ("tau", "Falsely stable") if run.profile.gate == TAU else ("view drift", "Unsteady under small views")
    digits = 2 if f"{signal:.2f}" != f"{run.profile.threshold:.2f}" else 4
    measured = f"{name} {signal:.{digits}f} {sign} {run.profile.threshold:.{digits}f}"
    alone = "left alone" if run.profile.gate == VIEW_DRIFT else "left alone, but for the probing noise"
    gate = f"{unit} ({measured}): counterattack engaged." if run.engaged else f"Looks clean ({measured}): {alone}."
    if run.defended is None:
        return gate
    final, attacked = run.label(run.defended), run.label(run.clean if run.control else run.attacked)
    if run.control:
        end = f"The clean picture keeps its prediction, “{clean}”." if final == clean else \
            f"A cost of the defence: the clean picture changed from “{clean}” to “{final}”."
    elif final == clean:
        end = f"Recovered: “{attacked}” is “{clean}” again." if attacked != clean else f"“{clean}” stands."
    else:
        end = f"Not recovered: the defended prediction is “{final}”, not “{clean}”."
    return f"{gate} {end}"
