"""One picture's run, step by step: generators of Run snapshots. Every step yields a new one, and each holds
all that there is to draw, in the machine's own memory: a GPU's is for models."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from demo_core.adaptive import Attacker
from demo_core.ascent import Step, uniform
from demo_core.attacks import ATTACKS, Attack, Classify, seen_by
from demo_core.clip import ZeroShotCLIP, count_passes
from demo_core.counterattack import relative_drift
from demo_core.defenses import DEFENSES, VIEWS, Defense, Profile, view_drift, view_features
from demo_core.defenses.drift import TAU_STRENGTH, noise_drifts, view_drifts
from demo_core.fit import Fit
from demo_core.moments import Defended, Looked, Measured, Moved, watched
from demo_core.pictures import to_pixels
from demo_core.story.run import NOISE, UNMOVED, Drifts, Moment, Nudge, Reading, Run, Signals
from demo_core.story.settings import Settings

DRAWS = 4  # of the dice of a defence in the arena, the first being the one that is shown
MOST_PASSES = 1000  # that an attacker who knows a defence may spend on it where somebody waits


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
def seen(
    clip: ZeroShotCLIP, pixels: torch.Tensor, seed: int, text: torch.Tensor
) -> tuple[torch.Tensor, Signals]:
    """The features [1,D] of one picture [1,3,S,S], and what clip's probe says of it beside text [K,D], in one
    batch."""
    noisy = (pixels + _unit_noise(pixels, seed) * TAU_STRENGTH / 255).clamp(0, 1)
    stack = torch.cat([pixels, noisy, *(view(pixels) for view in VIEWS.values())])
    own, moved, *views = clip.probe(stack).split(1)
    nudges = tuple(
        Nudge(name, relative_drift(found, own).item(), int(clip.logits(found, text).argmax()))
        for name, found in ((NOISE, moved), *zip(VIEWS, views))
    )
    signals = Signals(nudges[0].drift, view_drift(torch.stack([own, *views])).item(), nudges)
    return clip.encode(pixels) if clip.original else own, signals


def _unit_noise(pixels: torch.Tensor, seed: int) -> torch.Tensor:
    return uniform(pixels.shape, torch.Generator().manual_seed(seed + 1)).to(pixels)


@torch.no_grad()
def drifts(clip: ZeroShotCLIP, run: Run) -> dict[str, Drifts]:
    """Drifts of the run's clean and, once it is there, its attacked picture, as clip's probe sees them."""
    found = {}
    unit = _unit_noise(run.pixels, run.settings.seed).to(clip.device)
    for name, delta in (("clean", 0), ("attacked", run.attack_delta if run.attack_finished else None)):
        if delta is None:
            continue
        pixels = (run.pixels + delta).to(clip.device)
        views = view_features(clip.probe, pixels)
        noise = noise_drifts(clip.probe, pixels, unit, views[0])[:, 0].tolist()
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
    features, signals = seen(clip, pixels, settings.seed, text)
    start = _moment(clip, text, torch.zeros_like(pixels), features)
    best = F.cosine_similarity(features, text, dim=-1).max()
    chance = fit.chance(best).item() if fit else None
    return Run(settings, profile, photo, pixels.cpu(), text.cpu(), start, signals, fit=chance)


@torch.no_grad()
def _moment(
    clip: ZeroShotCLIP,
    text: torch.Tensor,
    delta: torch.Tensor,
    features: torch.Tensor,
    milliseconds: float = 0.0,
) -> Moment:
    probabilities = clip.logits(features, text).softmax(-1)[0].cpu()
    return Moment(delta.cpu(), features.cpu(), probabilities, milliseconds)


def _on_device(clip: ZeroShotCLIP, run: Run) -> tuple[torch.Tensor, torch.Tensor]:
    """The run's pixels [1,3,S,S] and text features [K,D] where the model computes."""
    return run.pixels.to(clip.device), run.text.to(clip.device)


def attack(clip: ZeroShotCLIP, run: Run, surrogate: ZeroShotCLIP | None = None) -> Iterator[Run]:
    """Run the chosen attack: one snapshot a step, the last with the attacked prediction and signals; and the
    same once more for each step of an attack that an attacker who knows the defence tries first.

    Nobody knows an uploaded picture's true label, so the attack starts from the model's own clean prediction.
    surrogate: the model that a transfer attack is crafted on.
    """
    settings, (pixels, text) = run.settings, _on_device(clip, run)
    passed: list[torch.Tensor] = []  # the features of every point that the attack asked the model about

    def bare(x: torch.Tensor) -> torch.Tensor:
        features = clip.encode(x)
        passed.append(features.detach())
        return clip.logits(features, text)

    def also_bare(classify: Classify) -> Classify:
        def both(x: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                bare(x)
            return classify(x)

        return both

    steps: Iterator[Step | None]
    if ATTACKS[settings.attack].transfer:
        assert surrogate is not None  # who has a transfer attack made gives one
        steps = _steps(run, pixels, also_bare(seen_by(surrogate, settings.labels, settings.template)))
    elif settings.knows_defence:
        steps = _informed(clip, run, run.defense, also_bare)
    else:
        steps = _steps(run, pixels, bare)
    run = replace(_undefended(run), attack=(), attacked_signals=None, control=False)
    clock = _Clock(clip.device)
    for step in steps:
        if step is None:  # of an attack that he only tries
            yield run
            continue
        if step.output is None:  # the last one: nobody has looked at it yet
            features, signals = seen(clip, pixels + step.delta, settings.seed, text)
            run = replace(run, attacked_signals=signals)
        elif ATTACKS[settings.attack].rule.black_box:  # what it asked about last is not what it holds
            with torch.no_grad():
                features = clip.encode(pixels + step.delta)
        else:
            features = passed[-1]
        run = replace(run, attack=(*run.attack, _moment(clip, text, step.delta, features, clock.tick())))
        yield run
        clock.tick()  # time spent by whoever draws is not the step's


def _undefended(run: Run) -> Run:
    """The run without what a defence made of it."""
    run = replace(run, reading=None, engaged=None, defence=(), beside=None)
    return replace(run, final=None, defended=None, looks=None)


def _steps(run: Run, pixels: torch.Tensor, classify: Classify, row: Attack | None = None) -> Iterator[Step]:
    """The chosen attack on `classify` and pixels, which lie where it computes, from the clean prediction or
    towards the target; row: as another row has it."""
    settings = run.settings
    return (row or ATTACKS[settings.attack]).run(
        classify,
        pixels,
        _label(run).to(pixels.device),
        eps=settings.eps,
        step_size=settings.step_size,
        steps=settings.steps,
        generator=torch.Generator().manual_seed(settings.seed),
        patch=settings.patch / 100,
    )


def attacker(clip: ZeroShotCLIP, run: Run, row: Defense) -> Attacker:
    """Who makes the chosen attack knowing this defence."""
    settings = run.settings
    attack = ATTACKS[settings.attack]
    text = run.text.to(clip.device)
    return Attacker(clip, text, row, run.profile, attack, settings.steps, settings.eot, MOST_PASSES)


def _informed(
    clip: ZeroShotCLIP,
    run: Run,
    row: Defense,
    watch: Callable[[Classify], Classify] = lambda classify: classify,
) -> Iterator[Step | None]:
    """The chosen attack by someone who knows this defence; see Attacker.run."""
    pixels = run.pixels.to(clip.device)
    return attacker(clip, run, row).run(
        lambda attack, classify: _steps(run, pixels, classify, attack),
        pixels,
        _label(run).to(clip.device),
        torch.Generator().manual_seed(run.settings.seed + 2),
        watch,
    )


def _label(run: Run) -> torch.Tensor:
    """What the attack is about, [1]: the clean prediction, or the target."""
    label = run.settings.target if ATTACKS[run.settings.attack].targeted else int(run.clean.argmax())
    return torch.tensor([label])


@dataclass(frozen=True)
class Bout:
    """One defence in the arena. attacked, clean: its answers [K] on the attacked and on the clean picture;
    forward, backward: its passes through the image tower for one picture; milliseconds: of its run on the
    attacked one. rerolls: of a defence that rolls dice, once they have been rolled again, in how many draws
    its answer on the attacked picture is right, and of how many. reading: what its gate measured on the
    attacked picture; pixels [1,3,S,S]: what it made of it, None where it moves no pixel; random: whether it
    rolls dice; left_out: the ways of an attacker who knows it that he could not pay for."""

    key: str
    attacked: torch.Tensor
    clean: torch.Tensor
    forward: int
    backward: int
    milliseconds: float
    rerolls: tuple[int, int] | None = None
    reading: Reading | None = None
    pixels: torch.Tensor | None = None
    random: bool = False
    left_out: tuple[str, ...] = ()


def answered(
    clip: ZeroShotCLIP, run: Run, row: Defense, pixels: torch.Tensor, draw: int = 0
) -> tuple[Defended, Reading | None, bool]:
    """What a row makes of pixels [1,3,S,S], wherever they lie, what its gate measured, and whether it rolled
    dice. draw: another number for other dice."""
    dice = torch.Generator().manual_seed(run.settings.seed + 1 + 1000 * draw)
    before = dice.get_state()
    reading: Reading | None = None
    defending = watched(row.on(run.profile)(clip, pixels.to(clip.device), run.text.to(clip.device), dice))
    while True:
        try:
            moment = next(defending)
        except StopIteration as end:
            return end.value, reading, not torch.equal(before, dice.get_state())
        if isinstance(moment, Measured):
            reading = Reading.of(moment)


def arena(clip: ZeroShotCLIP, run: Run) -> Iterator[tuple[Bout, ...]]:
    """Every defence on the run's attacked and clean picture: the bouts so far, after each step of the work,
    so that whoever asked can end it there. When all have answered, those that roll dice roll them again.

    Against an adaptive attacker every defence meets an attack of its own, made through it with the run's
    settings.
    """
    bouts: tuple[Bout, ...] = ()
    met: dict[str, torch.Tensor] = {}
    clock = _Clock(clip.device)
    for key, row in DEFENSES.items():
        delta = run.attack_delta
        if run.settings.knows_defence:
            for step in _informed(clip, run, row):
                yield bouts
                delta = step.delta.cpu() if step else delta
        met[key] = run.pixels if delta is None else run.pixels + delta
        with count_passes() as passes:
            clock.tick()
            defended, reading, random = answered(clip, run, row, met[key])
            milliseconds = clock.tick()
        yield bouts
        pixels = defended.pixels.cpu()
        clean = answered(clip, run, row, run.pixels)[0].probabilities[0].cpu()
        bout = Bout(
            key,
            defended.probabilities[0].cpu(),
            clean,
            passes.forward,
            passes.backward,
            milliseconds,
            reading=reading,
            pixels=pixels if (pixels - met[key]).abs().max() > UNMOVED else None,
            random=random,
            left_out=attacker(clip, run, row).left_out if run.settings.knows_defence else (),
        )
        bouts = (*bouts, bout)
        yield bouts
    for place, bout in enumerate(bouts):
        if bout.random:
            right = [run.is_right(bout.attacked)]
            for draw in range(1, DRAWS):
                defended = answered(clip, run, DEFENSES[bout.key], met[bout.key], draw)[0]
                right.append(run.is_right(defended.logits[0]))
                yield bouts
            bout = replace(bout, rerolls=(sum(right), DRAWS))
            bouts = (*bouts[:place], bout, *bouts[place + 1 :])
            yield bouts


def defend(clip: ZeroShotCLIP, run: Run, *, control: bool = False) -> Iterator[Run]:
    """Run the chosen row of DEFENSES on the attacked picture, or with `control` on the clean one: one
    snapshot when it is known whether it acts, one a step, the last with the defended prediction."""
    run = replace(_undefended(run), control=control)
    given, text = _on_device(clip, run)
    pixels = given + run.before_defence.delta.to(given)
    dice = torch.Generator().manual_seed(run.settings.seed + 1)
    defending = watched(run.defense.on(run.profile)(clip, pixels, text, dice))
    clock = _Clock(clip.device)
    while True:
        try:
            moment = next(defending)
        except StopIteration as end:
            defended = end.value
            break
        if isinstance(moment, Measured):
            reading = Reading.of(moment)
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
            step = _moment(clip, text, moment.delta, features, clock.tick())
            run = replace(run, defence=(*run.defence, step))
            yield run
        elif isinstance(moment, Looked):
            run = replace(run, looks=len(moment.pixels))
        clock.tick()
    if run.engaged is None:
        run = replace(run, engaged=True)
        yield run
    with torch.no_grad():
        features = clip.encode(defended.pixels)
    final = _moment(clip, text, defended.pixels - pixels, features, clock.tick())
    yield replace(run, final=final, defended=defended.probabilities[0].cpu())
