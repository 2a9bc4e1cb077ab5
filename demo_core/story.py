"""One picture's run, told step by step: generators of Run snapshots for the screen.

A Run is immutable; every step yields a new one, and each holds all there is to draw. Nothing here knows
gradio.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from demo_core.adaptive import informed
from demo_core.ascent import Step, last, uniform
from demo_core.attacks import ATTACKS, seen_by
from demo_core.clip import ZeroShotCLIP, count_passes
from demo_core.counterattack import relative_drift
from demo_core.defenses import DEFENSES, TAU, VIEW_DRIFT, VIEWS, Defense, Profile, view_drift, view_features
from demo_core.drift import TAU_STRENGTH, noise_drifts, view_drifts
from demo_core.fit import Fit
from demo_core.moments import Measured, Moved, exhausted, watched
from demo_core.pictures import to_pixels
from demo_core.settings import Settings


@dataclass(frozen=True)
class Signals:
    """Both stability signals of one picture, whichever of them gates: tau under the paper's noise, and the
    drift under the exact views."""

    tau: float
    view_drift: float

    def __getitem__(self, gate: str) -> float:
        return {TAU: self.tau, VIEW_DRIFT: self.view_drift}[gate]


@dataclass(frozen=True)
class Reading:
    """What the gate of the defence that runs has measured. weight: how much of the counterattack the picture
    gets, 1 or 0 where the gate is a hard one."""

    signal: str
    value: float
    weight: float


@dataclass(frozen=True)
class Moment:
    """The embedding after one step: features [1,D], probabilities [K] of the bare model; delta [1,3,S,S],
    from the picture that the step's act began with; milliseconds that the step took."""

    delta: torch.Tensor
    features: torch.Tensor
    probabilities: torch.Tensor
    milliseconds: float = 0.0


@dataclass(frozen=True)
class Run:
    """Everything known so far about one picture under one attack.

    photo [3,P,P]; pixels [1,3,S,S]; text [K,D]; start, the clean picture; attack and defence, a Moment for
    each step, the first before any gradient. attacked_signals: None until the attack has finished. control:
    the defence was run on the clean picture. reading: what its gate measured, where it has one; engaged:
    whether it acts, None until it has begun. defended: the defended answer [K], and defence_delta what the
    defence added in the end, which is the weighted sum of its steps. fit: the chance that any of the labels
    fits the clean picture; None where the model was not calibrated for it.
    """

    settings: Settings
    profile: Profile
    photo: torch.Tensor
    pixels: torch.Tensor
    text: torch.Tensor
    start: Moment
    clean_signals: Signals
    attack: tuple[Moment, ...] = ()
    attacked_signals: Signals | None = None
    control: bool = False
    reading: Reading | None = None
    engaged: bool | None = None
    defence: tuple[Moment, ...] = ()
    final: Moment | None = None
    defended: torch.Tensor | None = None
    fit: float | None = None

    @property
    def defense(self) -> Defense:
        """The row of DEFENSES that is watched."""
        return DEFENSES[self.settings.defense]

    @property
    def defence_steps(self) -> int:
        """How many steps its counterattack takes."""
        return self.defense.steps(self.profile)

    @property
    def attack_steps(self) -> int:
        return 1 if ATTACKS[self.settings.attack].single_step else self.settings.steps

    @property
    def attack_finished(self) -> bool:
        return self.attacked_signals is not None

    @property
    def clean(self) -> torch.Tensor:
        """Probabilities [K] of the clean picture."""
        return self.start.probabilities

    @property
    def attacked(self) -> torch.Tensor | None:
        """Probabilities [K] of the attacked picture, once the attack has finished."""
        return self.attack[-1].probabilities if self.attack_finished else None

    @property
    def attack_delta(self) -> torch.Tensor | None:
        """The perturbation so far."""
        return self.attack[-1].delta if self.attack else None

    @property
    def before_defence(self) -> Moment:
        """What the defence is given: the attacked picture, or the clean one."""
        return self.start if self.control or not self.attack else self.attack[-1]

    @property
    def tested(self) -> Signals:
        """The signals of what the defence is given."""
        return self.clean_signals if self.control else self.attacked_signals

    @property
    def counterattack(self) -> tuple[Moment, ...]:
        """The steps of the defence, and what it made of them in the end."""
        return (*self.defence, *filter(None, [self.final]))

    @property
    def moments(self) -> tuple[Moment, ...]:
        """All so far, act by act: the picture, the attack, the test, the counterattack."""
        tested = [self.before_defence] if self.attack_finished or self.control else []
        return (self.start, *(() if self.control else self.attack), *tested, *self.counterattack)

    @property
    def defence_delta(self) -> torch.Tensor | None:
        """What the defence has added so far."""
        moment = self.final or (self.defence[-1] if self.defence else None)
        return moment.delta if moment else None if self.engaged is None else torch.zeros_like(self.pixels)

    @property
    def milliseconds(self) -> tuple[float, ...]:
        """Of the steps of the act that is on."""
        return tuple(m.milliseconds for m in (self.attack if self.engaged is None else self.defence))

    def drift(self, moment: Moment) -> float:
        """How far the embedding is from the clean picture's, relative."""
        return relative_drift(moment.features, self.start.features).item()

    def push(self, moment: Moment) -> float:
        """How far it is from where the defence began."""
        return relative_drift(moment.features, self.before_defence.features).item()

    @property
    def attack_drift(self) -> tuple[float, ...]:
        return tuple(map(self.drift, self.attack))

    @property
    def defence_drift(self) -> tuple[float, ...]:
        return tuple(map(self.drift, self.defence))

    @property
    def true_label(self) -> str | None:
        """The label that is known to be right."""
        return None if self.settings.truth is None else self.settings.labels[self.settings.truth]

    @property
    def understood(self) -> bool:
        """Whether the model had the clean picture right, where that is known; else whether nothing says that
        it had not."""
        if self.true_label is not None:
            return self.label(self.clean) == self.true_label
        return not (no_fit(self) or unsure(self))

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
def seen(clip: ZeroShotCLIP, pixels: torch.Tensor, seed: int) -> tuple[torch.Tensor, Signals]:
    """The features [1,D] of one picture [1,3,S,S], and what clip's probe says of it, in one batch of passes."""
    noisy = (pixels + _unit_noise(pixels, seed) * TAU_STRENGTH / 255).clamp(0, 1)
    stack = torch.cat([pixels, noisy, *(view(pixels) for view in VIEWS.values())])
    own, moved, *views = clip.probe(stack).split(1)
    signals = Signals(relative_drift(moved, own).item(), view_drift(torch.stack([own, *views])).item())
    return clip.encode(pixels) if clip.original else own, signals


def _unit_noise(pixels: torch.Tensor, seed: int) -> torch.Tensor:
    return uniform(pixels.shape, torch.Generator().manual_seed(seed + 1)).to(pixels)


@dataclass(frozen=True)
class Drifts:
    """How far one picture's embedding moves: over NOISE_STRENGTHS, of which tau is one point, over
    STUDY_VIEWS, and the mean over the views that can gate."""

    over_noise: tuple[float, ...]
    over_views: tuple[float, ...]
    view_drift: float


@torch.no_grad()
def drifts(clip: ZeroShotCLIP, run: Run) -> dict[str, Drifts]:
    """Drifts of the run's clean and, once it is there, its attacked picture, as clip's probe sees them."""
    found = {}
    for name, delta in (("clean", 0), ("attacked", run.attack_delta if run.attack_finished else None)):
        if delta is None:
            continue
        pixels = run.pixels + delta
        views = view_features(clip.probe, pixels)
        noise = noise_drifts(clip.probe, pixels, _unit_noise(pixels, run.settings.seed), views[0])[
            :, 0
        ].tolist()
        found[name] = Drifts(
            tuple(noise),
            tuple(d.item() for d in view_drifts(clip.probe, pixels, views).values()),
            view_drift(views).item(),
        )
    return found


@torch.no_grad()
def begin(
    clip: ZeroShotCLIP, photo: torch.Tensor, settings: Settings, profile: Profile, fit: Fit | None = None
) -> Run:
    """The clean picture: its prediction and its signals. fit: tells whether any of the labels fits it."""
    pixels = to_pixels(photo, clip.image_size).to(clip.device)
    text = clip.text_features(settings.labels, settings.template)
    features, signals = seen(clip, pixels, settings.seed)
    start = _moment(clip, text, torch.zeros_like(pixels), features)
    best = F.cosine_similarity(features, text, dim=-1).max()
    chance = fit.chance(best).item() if fit else None
    return Run(settings, profile, photo, pixels, text, start, signals, fit=chance)


@torch.no_grad()
def _moment(
    clip: ZeroShotCLIP,
    text: torch.Tensor,
    delta: torch.Tensor,
    features: torch.Tensor,
    milliseconds: float = 0.0,
) -> Moment:
    return Moment(delta, features, clip.logits(features, text).softmax(-1)[0].cpu(), milliseconds)


def attack(clip: ZeroShotCLIP, run: Run, surrogate: ZeroShotCLIP | None = None) -> Iterator[Run]:
    """Run the chosen attack: one snapshot a step, the last with the attacked prediction and signals.

    Nobody knows an uploaded picture's true label, so the attack starts from the model's own clean prediction.
    surrogate: the model that a transfer attack is crafted on.
    """
    settings, text = run.settings, run.text
    passed: list[torch.Tensor] = []  # the features of every point that the attack asked the model about

    def bare(pixels: torch.Tensor) -> torch.Tensor:
        features = clip.encode(pixels)
        passed.append(features.detach())
        return clip.logits(features, text)

    def also_bare(classify: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
        def both(pixels: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                bare(pixels)
            return classify(pixels)

        return both

    if ATTACKS[settings.attack].transfer:
        steps = _steps(run, also_bare(seen_by(surrogate, settings.labels, settings.template)))
    elif settings.knows_defence:
        steps = _informed(clip, run, run.defense, also_bare)
    else:
        steps = _steps(run, bare)
    run = replace(_undefended(run), attack=(), attacked_signals=None, control=False)
    clock = _Clock(clip.device)
    for step in steps:
        if step.output is None:  # the last one: nobody has looked at it yet
            features, signals = seen(clip, run.pixels + step.delta, settings.seed)
            run = replace(run, attacked_signals=signals)
        else:
            features = passed[-1]
        run = replace(run, attack=(*run.attack, _moment(clip, text, step.delta, features, clock.tick())))
        yield run
        clock.tick()  # time spent by whoever draws is not the step's


def _undefended(run: Run) -> Run:
    """The run without what a defence made of it."""
    return replace(run, reading=None, engaged=None, defence=(), final=None, defended=None)


def _steps(run: Run, classify: Callable) -> Iterator[Step]:
    """The chosen attack on `classify`, from the clean prediction or towards the target."""
    settings = run.settings
    return ATTACKS[settings.attack].run(
        classify,
        run.pixels,
        _label(run),
        eps=settings.eps,
        step_size=settings.step_size,
        steps=settings.steps,
        generator=torch.Generator().manual_seed(settings.seed),
    )


def _informed(
    clip: ZeroShotCLIP, run: Run, row: Defense, wrapped: Callable = lambda classify: classify
) -> Iterator[Step]:
    """The chosen attack by someone who knows this defence; `wrapped` is put around what he attacks."""
    settings = run.settings
    return informed(
        lambda classify: _steps(run, wrapped(classify)),
        row.on(run.profile),
        clip,
        run.text,
        run.pixels,
        _label(run),
        last(_steps(run, clip.classifier(settings.labels, settings.template))).delta,
        torch.Generator().manual_seed(settings.seed + 2),
        surrogates=row.surrogates_on(run.profile),
        targeted=ATTACKS[settings.attack].targeted,
    )


def _label(run: Run) -> torch.Tensor:
    """What the attack is about, [1]: the clean prediction, or the target."""
    label = run.settings.target if ATTACKS[run.settings.attack].targeted else int(run.clean.argmax())
    return torch.tensor([label], device=run.pixels.device)


@dataclass(frozen=True)
class Bout:
    """One defence in the arena. attacked, clean: its answers [K] on the attacked and on the clean picture;
    forward, backward: its passes through the image tower for one picture; milliseconds: of its run on the
    attacked one."""

    key: str
    attacked: torch.Tensor
    clean: torch.Tensor
    forward: int
    backward: int
    milliseconds: float


def arena(clip: ZeroShotCLIP, run: Run) -> Iterator[tuple[Bout, ...]]:
    """Every defence on the run's attacked and clean picture: the bouts so far, after each of them.

    Against an adaptive attacker every defence meets an attack of its own, made through it with the run's
    settings.
    """
    settings = run.settings
    bouts: tuple[Bout, ...] = ()

    @torch.no_grad()
    def answered(row: Defense, pixels: torch.Tensor) -> torch.Tensor:
        dice = torch.Generator().manual_seed(settings.seed + 1)
        return exhausted(row.on(run.profile)(clip, pixels, run.text, dice)).probabilities[0].cpu()

    clock = _Clock(clip.device)
    for key, row in DEFENSES.items():
        delta = last(_informed(clip, run, row)).delta if settings.knows_defence else run.attack_delta
        with count_passes() as passes:
            clock.tick()
            attacked = answered(row, run.pixels + delta)
            milliseconds = clock.tick()
        clean = answered(row, run.pixels)
        bouts = (*bouts, Bout(key, attacked, clean, passes.forward, passes.backward, milliseconds))
        yield bouts


def defend(clip: ZeroShotCLIP, run: Run, *, control: bool = False) -> Iterator[Run]:
    """Run the chosen row of DEFENSES on the attacked picture, or with `control` on the clean one: one snapshot
    when it is known whether it acts, one a step, the last with the defended prediction."""
    run = replace(_undefended(run), control=control)
    pixels = run.pixels + run.before_defence.delta
    dice = torch.Generator().manual_seed(run.settings.seed + 1)
    defending = watched(run.defense.on(run.profile)(clip, pixels, run.text, dice))
    clock = _Clock(clip.device)
    while True:
        try:
            moment = next(defending)
        except StopIteration as end:
            defended = end.value
            break
        if isinstance(moment, Measured):
            reading = Reading(moment.signal, moment.value.item(), moment.weight.item())
            run = replace(run, reading=reading, engaged=reading.weight >= 0.5)
            yield run
        elif isinstance(moment, Moved):
            if run.engaged is None:  # no gate: it acts on every picture
                run = replace(run, engaged=True)
                yield run
            features = moment.features
            if features is None:
                with torch.no_grad():
                    features = clip.encode(pixels + moment.delta)
            step = _moment(clip, run.text, moment.delta, features, clock.tick())
            run = replace(run, defence=(*run.defence, step))
            yield run
        clock.tick()
    if run.engaged is None:
        run = replace(run, engaged=True)
        yield run
    with torch.no_grad():
        features = clip.encode(defended.pixels)
    final = _moment(clip, run.text, defended.pixels - pixels, features, clock.tick())
    yield replace(run, final=final, defended=defended.probabilities[0].cpu())


def whole(
    clip: ZeroShotCLIP, run: Run, surrogate: ZeroShotCLIP | None = None, *, control: bool = False
) -> Iterator[Run]:
    """The attack, unless this is the control, and then the defence."""
    if not control:
        for run in attack(clip, run, surrogate):
            yield run
    yield from defend(clip, run, control=control)


def stopped(run: Run) -> str:
    """What is said when a person stops a run; empty where it had already ended."""
    if run.engaged is None and not run.attack_finished:
        return f"Stopped after step {max(len(run.attack) - 1, 0)} of {run.attack_steps} of the attack."
    if run.engaged is not None and run.defended is None:
        return (
            f"Stopped after step {max(len(run.defence) - 1, 0)} of {run.defence_steps} of the counterattack."
        )
    return ""


UNSURE = 0.5  # below this probability an answer is unsure
SELDOM = 0.5  # below this chance it is likelier that no label fits than that one does


def no_fit(run: Run) -> bool:
    """Whether it seems that none of the labels describes the clean picture."""
    return run.fit is not None and run.fit < SELDOM


def unsure(run: Run) -> bool:
    """Whether the model's first answer is a guess among its labels."""
    return run.clean.max().item() < UNSURE


def caveat(run: Run) -> str:
    """What has to be said before any verdict; empty where nothing has."""
    clean = run.label(run.clean)
    if run.true_label is not None and run.true_label != clean:
        return f"CLIP had this picture wrong before any attack: it is “{run.true_label}”, and CLIP said “{clean}”."
    if run.true_label is None and no_fit(run):
        return (
            f"None of these labels seems to fit the picture (a chance of {run.fit:.0%} that one does): whatever CLIP"
            " says of it is a guess. Write a label that names what you see."
        )
    if run.true_label is None and unsure(run):
        return f"CLIP was not sure before any attack: “{clean}” with {run.clean.max().item():.0%}."
    return ""


def verdict(run: Run) -> str:
    """Where the run stands, in a few sentences: first what puts it in doubt, then the gate, then what came of
    it."""
    return " ".join(filter(None, [caveat(run), _standing(run)]))


def _standing(run: Run) -> str:
    clean = run.label(run.clean)
    if run.engaged is None:
        if not run.attack_finished:
            return f"The model sees “{clean}”." if not run.attack else "The attack is running …"
        attacked = run.label(run.attacked)
        if run.settings.eps == 0:
            return f"With eps 0 nothing changes: “{clean}” stands."
        made = ", made through the defence," if run.settings.knows_defence else ""
        if attacked == clean:
            return f"The attack{made} did not change the undefended prediction: “{clean}” stands."
        return f"The attack{made} turned “{clean}” into “{attacked}”."

    signal = run.tested[run.profile.gate]
    sign = "<" if (signal < run.profile.threshold) else ("=" if signal == run.profile.threshold else ">")
    name, unit = (
        ("tau", "Falsely stable") if run.profile.gate == TAU else ("view drift", "Unsteady under small views")
    )
    value, line = told_apart(signal, run.profile.threshold)
    measured = f"{name} {value} {sign} {line}"
    alone = "no counterattack" + (", only the probing noise" if run.profile.gate == TAU else "")
    gate = (
        f"{unit} ({measured}): counterattack engaged."
        if run.engaged
        else f"Looks clean ({measured}): {alone}."
    )
    if run.defended is None:
        return gate
    return f"{gate} {outcome(run)}"


def told_apart(value: float, line: float) -> tuple[str, str]:
    """Two numbers with as many digits as they need to differ."""
    digits = 2 if f"{value:.2f}" != f"{line:.2f}" else 4
    return f"{value:.{digits}f}", f"{line:.{digits}f}"


def outcome(run: Run) -> str:
    """What the defence came to, in one sentence. “Recovered” is said only of a label that is known to be
    right."""
    clean, final, attacked = map(run.label, (run.clean, run.defended, run.before_defence.probabilities))
    truth = run.true_label
    by = " by the probing noise alone" if not run.engaged and run.profile.gate == TAU else ""
    if run.control:
        if final == clean:
            return f"The picture keeps its prediction, “{clean}”."
        if truth is not None and final == truth:
            return f"The defence put the answer right: “{clean}” became “{final}”."
        cost = "A cost of the defence" if truth == clean else "The defence changed the answer"
        return f"{cost}: the clean picture changed from “{clean}” to “{final}”."
    if truth is None:
        if final != clean:
            return f"CLIP now says “{final}”; before the attack it said “{clean}”."
        return (
            f"CLIP says “{clean}” again{by}, as before the attack."
            if attacked != clean
            else f"CLIP says “{clean}” throughout."
        )
    if final == truth:
        return (
            f"Recovered{by}: “{attacked}” is “{truth}” again."
            if attacked != truth and clean == truth
            else (
                f"“{truth}” stands." if clean == truth else f"The defended prediction, “{truth}”, is right."
            )
        )
    if clean == truth:
        return f"Not recovered: the defended prediction is “{final}”, not “{truth}”."
    return (
        f"The defended prediction is “{final}”, not right either."
        if final != clean
        else (f"CLIP is back at its own mistake, “{clean}”.")
    )


def tone(run: Run) -> str:
    """Whether things stand well: "good" only where a label that is known to be right is there after the
    defence, "bad" where it is known to be gone, "same" or "other" where only the first answer is known to
    compare with, and "wait" where the run has not come so far."""
    answer = run.defended if run.defended is not None else run.attacked
    if answer is None:
        return "wait"
    now, first, truth = run.label(answer), run.label(run.clean), run.true_label
    if truth is None:
        return "other" if now != first else "wait" if run.defended is None else "same"
    if now != truth:
        return "bad" if first == truth else "other"
    return "wait" if run.defended is None else "good"
