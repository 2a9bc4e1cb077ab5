"""Defences: a model's own (its profile: which signal gates the counterattack, with what budget, and over how
many looks it is judged), and DEFENSES, the table that everything else iterates over.

Two signals can gate. The paper's tau (counterattack.py) is *low* on attacked pictures of a large CLIP: they
are falsely stable. In small networks that does not show; there the drift under small exact views (a one-pixel
shift, a flip) is *high* on attacked pictures: the "corruption degree" of MAC (CVPR 2026), the subject of
*Beyond False Stability* (arXiv 2606.03730).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial, reduce
from pathlib import Path

import torch
import torch.nn.functional as F
from torchvision.transforms.v2 import functional as vision

from demo_core.ascent import Dice, Step, ascend, last, random_start, uniform
from demo_core.counterattack import Budget, TTCConfig, counterattack, purify, relative_drift, stability, weigh

TAU, VIEW_DRIFT = "tau", "view_drift"
ENGAGED = "engaged"


@dataclass(frozen=True)
class DOCConfig:
    """The settings of DOC (see `doc`). eps, step_size and steps are its paper's; the rest stands in a
    supplement that is not public: lam, the weight of the orthogonal direction; mu, the momentum; gamma and
    threshold, slope and middle of the soft gate over tau_hat; copies, the noisy copies of tau_hat. Here they
    are set by hand; the embedded models' are chosen on training pictures (`python -m
    demo_core.embedded.calibrate`) and stand in their profiles.
    """

    eps: float = 4 / 255
    step_size: float = 3 / 255
    steps: int = 4
    lam: float = 0.5
    mu: float = 0.9
    gamma: float = 500.0
    threshold: float = 0.01
    copies: int = 2


@dataclass(frozen=True)
class Profile:
    """A model's default defence. The defaults here are the paper's.

    gate: TAU (engage where it is below the threshold) or VIEW_DRIFT (engage where it is above). threshold: of
    that signal. budget: the counterattack's. aim: names of VIEWS; the counterattack pushes the mean embedding
    of the picture and these views of it, (): of the picture alone. looks: classify a counterattacked picture
    by the probabilities averaged over it and the first so many of LOOKS at it; 0: by it alone. auc: how well
    each signal told attacked from clean pictures where this was calibrated. note: where the numbers come
    from, in words for the screen. doc: how DOC, another row of the table, is set on this model.
    """

    gate: str = TAU
    threshold: float = TTCConfig().tau_threshold
    budget: Budget = Budget()
    aim: tuple[str, ...] = ()
    looks: int = 0
    auc: dict[str, float] = field(default_factory=dict)
    note: str = "The paper’s own rule and values."
    doc: DOCConfig = DOCConfig()

    @property
    def noise_eps(self) -> float:
        """The size of the noise that the counterattack starts from. Under the tau gate it is also the probe,
        so it is the noise that tau is defined with (the paper's), whatever the budget."""
        return TTCConfig().eps if self.gate == TAU else self.budget.eps

    def engages(self, signal: torch.Tensor) -> torch.Tensor:
        """[B] bool: does this signal [B] call for the counterattack?"""
        return signal < self.threshold if self.gate == TAU else signal > self.threshold

    @staticmethod
    def read(path: Path) -> Profile:
        fields = json.loads(path.read_text())
        return Profile(
            **{
                **fields,
                "budget": Budget(**fields["budget"]),
                "aim": tuple(fields["aim"]),
                "doc": DOCConfig(**fields["doc"]),
            }
        )

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")


def shift(pixels: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """The picture moved by whole pixels, its border repeated: [B,3,H,W] -> [B,3,H,W]."""
    h, w = pixels.shape[-2:]
    rows = (torch.arange(h, device=pixels.device) - down).clamp(0, h - 1)
    columns = (torch.arange(w, device=pixels.device) - right).clamp(0, w - 1)
    return pixels[..., rows, :][..., columns]


VIEWS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "one pixel up": lambda x: shift(x, -1, 0),
    "one pixel down": lambda x: shift(x, 1, 0),
    "one pixel left": lambda x: shift(x, 0, -1),
    "one pixel right": lambda x: shift(x, 0, 1),
    "mirrored": lambda x: x.flip(-1),
}


def view_features(encode: Callable, pixels: torch.Tensor) -> torch.Tensor:
    """Features [1 + V, B, D] of the picture and of each of VIEWS, in one batch; differentiable."""
    stack = torch.stack([pixels, *(view(pixels) for view in VIEWS.values())])
    return encode(stack.flatten(0, 1)).unflatten(0, stack.shape[:2])


def view_drift(features: torch.Tensor) -> torch.Tensor:
    """Mean relative drift [B] of the embedding over the views, from view_features [1 + V, B, D]."""
    return mean_of(relative_drift(features[1:], features[:1]))


@torch.no_grad()
def gate_signal(
    encode: Callable, pixels: torch.Tensor, noise: torch.Tensor, profile: Profile
) -> torch.Tensor:
    """The signal [B] that gates this profile; noise [B,3,H,W] is what tau is probed with."""
    if profile.gate == TAU:
        return stability(encode, pixels, noise)
    return view_drift(view_features(encode, pixels))


def look(pixels: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """A closer look at each picture: zoomed in by up to a sixth somewhere in it, turned by up to 5°, and one
    time in two mirrored; [B,3,H,W] -> [B,3,H,W], differentiable. drawn: five numbers [B,5] in [-1,1] for each
    picture: zoom, angle, down, right, and its side, below nought mirrored.

    The grid is written out rather than left to a matrix product, whose last bits depend on the batch.
    """
    zoom, angle, down, right, side = drawn.to(pixels).view(-1, 5, 1, 1).unbind(1)
    scale = 1 - (1 + zoom) / 12
    cos, sin, room = (
        scale * torch.cos(angle * math.radians(5)),
        scale * torch.sin(angle * math.radians(5)),
        1 - scale,
    )
    h, w = pixels.shape[-2:]
    y = ((torch.arange(h, device=pixels.device) * 2 + 1) / h - 1).view(1, h, 1)
    x = ((torch.arange(w, device=pixels.device) * 2 + 1) / w - 1).view(1, 1, w) * torch.where(
        side > 0, 1.0, -1.0
    )
    grid = torch.stack([cos * x - sin * y + room * right, sin * x + cos * y + room * down], -1)
    return F.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)


# Closer looks: zoom, angle, down, right and side of each, as `look` takes them.
LOOKS = (
    (-0.28, 0.0, 0.5, 0.5, 1.0),
    (-0.28, 0.0, 0.33, -0.5, -1.0),
    (0.44, 0.6, -0.42, -0.42, 1.0),
    (0.44, -0.6, -0.42, 0.42, -1.0),
)


def judge(
    clip, pixels: torch.Tensor, text: torch.Tensor, profile: Profile, engaged: torch.Tensor
) -> torch.Tensor:
    """Logits [B,K] as the profile classifies: the model's own of pictures that were left alone, and of those
    that were counterattacked, `engaged` [B], the logarithm of the probabilities averaged over the picture and
    the first of LOOKS at it, as many as the profile has; differentiable."""
    if not profile.looks or not engaged.any():
        return clip.logits(clip.encode(pixels), text)
    if not engaged.all():
        rows = [judge(clip, pixels[mine], text, profile, engaged[mine]) for mine in (engaged, ~engaged)]
        return torch.cat(rows)[torch.cat([engaged.nonzero(), (~engaged).nonzero()])[:, 0].argsort()]
    drawn = torch.tensor(LOOKS[: profile.looks]).expand(len(pixels), -1, -1)
    seen = torch.stack([pixels, *(look(pixels, one) for one in drawn.unbind(1))])
    return log_mean(clip.logits(clip.encode(seen.flatten(0, 1)), text).unflatten(0, seen.shape[:2]))


def mean_of(items: torch.Tensor | Sequence[torch.Tensor]) -> torch.Tensor:
    """The mean over the first dimension, added up one after the other: torch's own sum takes an order, and so
    last bits, that depend on how many pictures there are."""
    return reduce(torch.add, items) / len(items)


def log_mean(logits: torch.Tensor) -> torch.Tensor:
    """The logarithm [B,K] of the mean of the probabilities that logits [N,B,K] stand for; exact where they
    are tiny."""
    found = logits.log_softmax(-1)
    highest = found.detach().amax(0)
    return mean_of((found - highest).exp()).log() + highest


@dataclass(frozen=True)
class Defended:
    """What a defence made of a batch: pixels [B,3,H,W], the picture classified in the end (the first, where a
    defence averages over several); logits [B,K], whose softmax is its answer; signals: name -> [B], what it
    decided by."""

    pixels: torch.Tensor
    logits: torch.Tensor
    signals: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def probabilities(self) -> torch.Tensor:
        return self.logits.softmax(-1)


def left_alone(noise: torch.Tensor, profile: Profile) -> torch.Tensor:
    """What is added [B,3,H,W] to pictures that the gate leaves alone: under tau the probing noise, as in the
    authors' code; under the view gate nothing, for nothing was added to probe them."""
    return noise.clone() if profile.gate == TAU else torch.zeros_like(noise)


def pushed(
    encode: Callable, pixels: torch.Tensor, start: torch.Tensor, profile: Profile, unroll: bool = False
) -> Iterator[Step]:
    """The profile's counterattack, ungated and unweighted: raise ‖F(x+delta) − f(x)‖², F being the mean
    embedding of the picture and the views that the profile aims with, f(x) the picture's own before (with no
    views this is counterattack.counterattack).

    The views of an attacked picture already lie off the place where the attacker left it, so that pushing
    their mean farther from it goes the way that the thing in the picture pulls, not the way of one grid of
    pixels. Step.output holds the features [B,1 + views,D], the picture's own first.
    """

    def seen(x: torch.Tensor) -> torch.Tensor:
        stack = torch.stack([x, *(VIEWS[name](x) for name in profile.aim)], 1)
        return encode(stack.flatten(0, 1)).unflatten(0, stack.shape[:2])

    with torch.set_grad_enabled(unroll):
        anchor = encode(pixels)
    return ascend(
        seen,
        lambda features: (mean_of(features.unbind(1)) - anchor).pow(2).sum(-1),
        pixels,
        start,
        eps=profile.budget.eps,
        step_size=profile.budget.step_size,
        steps=profile.budget.steps,
        unroll=unroll,
    )


def purified(
    encode: Callable,
    pixels: torch.Tensor,
    noise: torch.Tensor,
    engaged: torch.Tensor,
    profile: Profile,
    unroll: bool = False,
) -> torch.Tensor:
    """The pictures [B,3,H,W] after the counterattack on the rows where `engaged` [B] is true; see
    `left_alone` for the others."""
    delta = left_alone(noise, profile)
    if engaged.any():
        path = pushed(encode, pixels[engaged], noise[engaged], profile, unroll)
        delta[engaged] = weigh([step.delta for step in path], profile.budget)
    return pixels + delta


def _still(pixels: torch.Tensor, unroll: bool) -> torch.Tensor:
    """What a defence looks at to make its perturbation."""
    return pixels if unroll else pixels.detach()


def calibrated(
    clip,
    pixels: torch.Tensor,
    text: torch.Tensor,
    noise: torch.Tensor,
    profile: Profile,
    unroll: bool = False,
) -> Defended:
    """A profile's whole defence on a batch; noise [B,3,H,W] probes tau and starts the counterattack."""
    still = _still(pixels, unroll)
    signal = gate_signal(clip.probe, pixels.detach(), noise, profile)
    engaged = profile.engages(signal)
    moved = pixels + (purified(clip.encode, still, noise, engaged, profile, unroll) - still)
    return Defended(
        moved, judge(clip, moved, text, profile, engaged), {profile.gate: signal, ENGAGED: engaged}
    )


# From here on the rows of DEFENSES, all (clip, pixels [B,3,H,W], text [K,D], dice) -> Defended.
#  What a defence adds to the pictures is computed on detached pixels and counts as a constant, so that the
# gradient of its logits with respect to the pixels is the one of BPDA (Athalye et al., ICML 2018), with no
# code of its own. With `unroll` the gradient goes straight through the steps of a counterattack too; the
# table's surrogates do so where the steps are few. Under no_grad, as everyone but an adaptive attacker calls
# them, nothing of the kind is kept.


def none(clip, pixels: torch.Tensor, text: torch.Tensor, dice: Dice = None) -> Defended:
    """No defence, the control."""
    return Defended(pixels, clip.logits(clip.encode(pixels), text))


def random_noise(clip, pixels: torch.Tensor, text: torch.Tensor, dice: Dice = None) -> Defended:
    """RN, the second control of the TTC paper: the counterattack's start noise of 4/255 alone."""
    return none(clip, pixels + random_start(pixels.detach(), TTCConfig().eps, dice), text)


def transformed(pixels: torch.Tensor) -> list[torch.Tensor]:
    """The views of TTE: the picture, its four corner crops (7/8 of each side, resized back), and the mirrors
    of all."""
    side = pixels.shape[-1]
    part = side * 7 // 8
    corners = [
        pixels[..., top : top + part, left : left + part]
        for top in (0, side - part)
        for left in (0, side - part)
    ]
    views = [pixels, *(F.interpolate(c, (side, side), mode="bilinear", align_corners=False) for c in corners)]
    return views + [view.flip(-1) for view in views]


def tte(clip, pixels: torch.Tensor, text: torch.Tensor, dice: Dice = None) -> Defended:
    """Test-time transformation ensembling (Pérez et al., ICCV Workshops 2021): the logits averaged over flips
    and crops."""
    views = torch.stack(transformed(pixels))
    logits = clip.logits(clip.encode(views.flatten(0, 1)), text).unflatten(0, views.shape[:2])
    return Defended(pixels, mean_of(logits))


def anti_adversary(
    clip, pixels: torch.Tensor, text: torch.Tensor, dice: Dice = None, unroll: bool = False
) -> Defended:
    """Anti-adversary (Alfarra et al., AAAI 2022): two signed steps from the picture that lower the
    cross-entropy of the label it is predicted with. Budget and step are the counterattack's; the authors take
    0.15 a step, without a bound."""
    still = _still(pixels, unroll)
    with torch.no_grad():
        predicted = clip.logits(clip.encode(still), text).argmax(1)
    path = ascend(
        lambda x: clip.logits(clip.encode(x), text),
        lambda z: -F.cross_entropy(z, predicted, reduction="none"),
        still,
        torch.zeros_like(still),
        eps=4 / 255,
        step_size=2 / 255,
        steps=2,
        unroll=unroll,
    )
    return none(clip, pixels + last(path).delta, text)


def hedge(clip, pixels: torch.Tensor, text: torch.Tensor, dice: Dice = None) -> Defended:
    """Hedge defense (Wu et al., 2021, arXiv 2106.04938): from random noise, four signed steps that raise the
    sum of the cross-entropies to all classes. The budget is the counterattack's; the authors take 20 steps of
    4/255 within 8/255."""
    still = pixels.detach()
    path = ascend(
        lambda x: clip.logits(clip.encode(x), text),
        lambda z: -z.log_softmax(-1).sum(-1),
        still,
        random_start(still, 4 / 255, dice),
        eps=4 / 255,
        step_size=2 / 255,
        steps=4,
    )
    return none(clip, pixels + last(path).delta, text)


def ttc(clip, pixels: torch.Tensor, text: torch.Tensor, dice: Dice = None, unroll: bool = False) -> Defended:
    """The paper's test-time counterattack at the paper's values (Xing et al., CVPR 2025); the fine-tuned
    model is probed with the original's encoder."""
    noise = random_start(pixels.detach(), TTCConfig().eps, dice)
    delta, tau = purify(
        clip.encode,
        _still(pixels, unroll),
        noise,
        TTCConfig(),
        probe=clip.probe if clip.original else None,
        unroll=unroll,
    )
    return Defended(
        pixels + delta,
        none(clip, pixels + delta, text).logits,
        {TAU: tau, ENGAGED: tau < TTCConfig().tau_threshold},
    )


def doc(
    clip, pixels: torch.Tensor, text: torch.Tensor, dice: Dice = None, config: DOCConfig | None = None
) -> Defended:
    """Directional orthogonal counterattack (AAAI 2026, arXiv 2511.09064).

    The counterattack's objective along d = g + lambda r, where g is the unit gradient and r a random unit
    direction orthogonal to it, with momentum m <- mu m + d and steps of sign(m); the result is weighted by
    sigma(gamma (tau - tau_hat)), tau_hat being one minus the mean cosine between the features of noisy copies
    and the picture's.
    """
    config = config or clip.profile.doc
    still = pixels.detach()
    tau_hat = doc_signal(clip, still, config, dice)
    weight = doc_weight(tau_hat, config)
    moved = pixels + weight.view(-1, 1, 1, 1) * doc_delta(clip, still, config, dice)
    return Defended(moved, none(clip, moved, text).logits, {"tau_hat": tau_hat, "weight": weight})


@torch.no_grad()
def doc_signal(clip, pixels: torch.Tensor, config: DOCConfig, dice: Dice = None) -> torch.Tensor:
    """DOC's tau_hat [B]."""
    anchor = clip.probe(pixels)
    noisy = [clip.probe(pixels + random_start(pixels, config.eps, dice)) for _ in range(config.copies)]
    return 1 - mean_of([F.cosine_similarity(features, anchor) for features in noisy])


def doc_weight(tau_hat: torch.Tensor, config: DOCConfig) -> torch.Tensor:
    """DOC's soft gate [B]."""
    return torch.sigmoid(config.gamma * (config.threshold - tau_hat))


def doc_delta(clip, pixels: torch.Tensor, config: DOCConfig, dice: Dice = None) -> torch.Tensor:
    """DOC's perturbation [B,3,H,W] before the gate."""
    momentum = torch.zeros_like(pixels)

    def advance(step: Step, gradient: torch.Tensor) -> torch.Tensor:
        nonlocal momentum
        g = F.normalize(gradient.flatten(1))
        r = uniform(g.shape, dice).to(g)
        r = F.normalize(r - (r * g).sum(1, keepdim=True) * g)
        momentum = config.mu * momentum + (g + config.lam * r).view_as(gradient)
        return step.delta + config.step_size * momentum.sign()

    return last(
        counterattack(
            clip.encode,
            pixels,
            random_start(pixels, config.eps, dice),
            Budget(config.eps, config.step_size, config.steps),
            advance=advance,
        )
    ).delta


@dataclass(frozen=True)
class MACConfig:
    """MAC's settings: the counterattack's budget, and middle and width of the soft gate over the corruption
    degree."""

    budget: Budget = Budget(eps=8 / 255, step_size=2 / 255, steps=4)
    middle: float = 0.7
    width: float = 0.01


def augmented(pixels: torch.Tensor, dice: Dice = None) -> torch.Tensor:
    """MAC's random view of each picture: up to 5° rotation, 4 % shift and 8 % scale, and each with
    probability one half colour jitter (.08, .08, .08, .02), a 5-tap blur of sigma .5 to 1.2, and noise of
    sigma up to .02. Differentiable."""
    found = []
    drawn = uniform((len(pixels), 13), dice, 0.0, 1.0).tolist()
    grain = uniform(pixels.shape, dice).to(pixels) * 3**0.5  # of unit variance
    for x, u, n in zip(pixels, drawn, grain):
        between = [2 * v - 1 for v in u]
        side = x.shape[-1]
        x = vision.affine(
            x,
            5 * between[0],
            [0.04 * side * between[1], 0.04 * side * between[2]],
            1 + 0.08 * between[3],
            [0.0, 0.0],
            interpolation=vision.InterpolationMode.BILINEAR,
        )
        if u[4] < 0.5:
            x = vision.adjust_brightness(x, 1 + 0.08 * between[5])
            x = vision.adjust_contrast(x, 1 + 0.08 * between[6])
            x = vision.adjust_saturation(x, 1 + 0.08 * between[7])
            x = x + (
                vision.adjust_hue(x.detach(), 0.02 * between[8]) - x.detach()
            )  # torchvision's is not differentiable
        if u[9] < 0.5:
            x = vision.gaussian_blur(x, [5, 5], [0.5 + 0.7 * u[10]] * 2)
        if u[11] < 0.5:
            x = (x + 0.02 * u[12] * n).clamp(0, 1)
        found.append(x.clamp(0, 1))
    return torch.stack(found)


def mac(
    clip, pixels: torch.Tensor, text: torch.Tensor, dice: Dice = None, config: MACConfig = MACConfig()
) -> Defended:
    """Multi-view augmented counterattack (CVPR 2026, arXiv 2606.06938).

    Two views, the picture and one augmented; each is counterattacked (8/255, 2/255, 4 steps), weighted by
    sigma((d - .7) / .01) with d = ‖f(aug(v)) - f(v)‖ / ‖f(v)‖, the corruption degree; the logits are
    averaged. The counterattack starts from noise and is weighted over its steps as in TTC.
    """
    views = [pixels, augmented(pixels, dice)]
    found, degrees = [], []
    for view in views:
        still = view.detach()
        with torch.no_grad():
            anchor = clip.encode(still)
            degree = relative_drift(clip.encode(augmented(still, dice)), anchor)
        path = counterattack(
            clip.encode, still, random_start(still, config.budget.eps, dice), config.budget, anchor=anchor
        )
        weight = torch.sigmoid((degree - config.middle) / config.width).view(-1, 1, 1, 1)
        delta = weight * weigh([step.delta for step in path], config.budget)
        found.append(none(clip, view + delta, text)), degrees.append(degree)
    return Defended(
        found[0].pixels,
        mean_of([f.logits for f in found]),
        {"corruption degree": degrees[0], "corruption degree of the view": degrees[1]},
    )


def default(
    clip,
    pixels: torch.Tensor,
    text: torch.Tensor,
    dice: Dice = None,
    profile: Profile | None = None,
    unroll: bool = False,
) -> Defended:
    """The model's own profile (or the one given): its gate, budget and looks, chosen on training pictures
    where the model is embedded."""
    profile = profile or clip.profile
    return calibrated(
        clip, pixels, text, random_start(pixels.detach(), profile.noise_eps, dice), profile, unroll
    )


def never_engaged(clip, pixels: torch.Tensor, text: torch.Tensor, dice: Dice = None) -> Defended:
    """What is left of the model's own defence for an attacker who stays under its gate: the bare model, or
    the looks alone, for one who takes only the counterattack out of his way."""
    everyone = torch.ones(len(pixels), dtype=torch.bool, device=pixels.device)
    return Defended(pixels, judge(clip, pixels, text, clip.profile, everyone))


@dataclass(frozen=True)
class Rule:
    """Where a defence draws the line on a picture's drift: under noise of `noise`/255, or over the view
    called `view` (VIEW_DRIFT: the mean over VIEWS); below: the pictures that drift less are the suspects,
    else those that drift more."""

    value: float
    noise: float | None = None
    view: str | None = None
    below: bool = False


MAC_VIEW = "random view of MAC"


def _default_rule(profile: Profile) -> Rule:
    if profile.gate == TAU:
        return Rule(profile.threshold, noise=TTCConfig().eps * 255, below=True)
    return Rule(profile.threshold, view=VIEW_DRIFT)


@dataclass(frozen=True)
class Defense:
    """A row of the table. run: (clip, pixels, text, dice) -> Defended; help: one sentence for the screen;
    rule: what it decides by on a model with this profile, where it decides by a drift; surrogates: what else
    than `run` itself an attacker may differentiate to fool it; config: the settings that it runs under on
    this model; departs: how it is not what its paper measured, where it is not."""

    title: str
    run: Callable[..., Defended]
    help: str
    rule: Callable[[Profile], Rule | None] = lambda profile: None
    surrogates: tuple[Callable[..., Defended], ...] = ()
    config: Callable[[Profile], object] = lambda profile: None
    departs: str = ""


DEFENSES: dict[str, Defense] = {
    "none": Defense("None", none, "The bare model."),
    "rn": Defense(
        "Random noise", random_noise, "A little noise, a control: it washes out the weakest attacks only."
    ),
    "tte": Defense("TTE", tte, "The prediction averaged over flips and crops."),
    "anti_adversary": Defense(
        "Anti-adversary",
        anti_adversary,
        "Two steps that make the first guess more certain.",
        surrogates=(partial(anti_adversary, unroll=True),),
        departs="2 steps of 2/255 within 4/255; its authors take steps of 0.15 without a bound",
    ),
    "hedge": Defense(
        "Hedge",
        hedge,
        "A few steps away from every label at once.",
        departs="4 steps of 2/255 within 4/255; its authors take 20 of 4/255 within 8/255",
    ),
    "ttc": Defense(
        "TTC",
        ttc,
        "The paper’s counterattack, with the paper’s values.",
        lambda profile: Rule(TTCConfig().tau_threshold, noise=TTCConfig().eps * 255, below=True),
        surrogates=(partial(ttc, unroll=True),),
        config=lambda profile: TTCConfig(),
    ),
    "doc": Defense(
        "DOC",
        doc,
        "A counterattack with a random orthogonal part and momentum, softly gated.",
        lambda profile: Rule(
            (2 * profile.doc.threshold) ** 0.5, noise=profile.doc.eps * 255, below=True
        ),  # from 1 - cos
        config=lambda profile: profile.doc,
        departs="lambda, mu, gamma and tau are not its paper’s, which does not print them",
    ),
    "mac": Defense(
        "MAC",
        mac,
        "Counterattacks on two views, weighted by how much a view moves the embedding.",
        lambda profile: Rule(MACConfig().middle, view=MAC_VIEW),
        config=lambda profile: MACConfig(),
    ),
    "default": Defense(
        "Ours",
        default,
        "Where small views disagree, a counterattack, judged over several looks.",
        _default_rule,
        surrogates=(partial(default, unroll=True), never_engaged),
        config=lambda profile: replace(profile, auc={}, note="", doc=DOCConfig()),
    ),
}


def in_order(keys: Iterable[str]) -> list[str]:
    """Keys of defences in the order of the table, then those that it does not have."""
    keys = list(dict.fromkeys(keys))
    return [key for key in DEFENSES if key in keys] + [key for key in keys if key not in DEFENSES]


def title_of(key: str) -> str:
    """A defence's title, or its key where the table does not have it."""
    return DEFENSES[key].title if key in DEFENSES else key


def through(
    defense: Callable[..., Defended], clip, text: torch.Tensor, dice: Dice = None, samples: int = 1
) -> Callable[[torch.Tensor], torch.Tensor]:
    """What an adaptive attacker attacks in place of the bare classifier: pixels [B,3,H,W] -> defended logits
    [B,K].

    Gate and counterattack run for real at every step, and count as a constant shift in the backward pass
    (BPDA) where `defense` does not unroll them; views of the pixels are differentiated through. Every call
    draws afresh: he knows the code but not the dice, and over the steps he averages over them; with samples >
    1 within each step too (EOT, Athalye et al., ICML 2018). Give it to any adaptable row of ATTACKS.

    defense: the `run` of a row of DEFENSES, or one of its `surrogates`.
    """

    def classify(pixels: torch.Tensor) -> torch.Tensor:
        drawn = [defense(clip, pixels, text, dice).logits for _ in range(samples)]
        return drawn[0] if samples == 1 else log_mean(torch.stack(drawn))

    return classify


def informed(
    craft: Callable[[Callable], Iterator[Step]],
    defense: Callable[..., Defended],
    clip,
    text: torch.Tensor,
    pixels: torch.Tensor,
    labels: torch.Tensor,
    plain: torch.Tensor,
    dice: Dice = None,
    *,
    surrogates: Sequence[Callable[..., Defended]] = (),
    samples: int = 1,
    targeted: bool = False,
) -> Iterator[Step]:
    """The steps of an attack by someone who knows the defence; the last holds what does most to the defended
    prediction of each picture: the attack through the defence, one through a surrogate of it, or `plain`, the
    one on the bare model.

    craft: makes the attack's steps on a function from pixels to logits; the rest as in `through` and
    `stronger`.
    """
    deltas = [plain, *(last(craft(through(other, clip, text, dice, samples))).delta for other in surrogates)]
    for step in craft(through(defense, clip, text, dice, samples)):
        if step.output is None:
            step = replace(
                step,
                delta=stronger(
                    through(defense, clip, text, dice, samples),
                    pixels,
                    labels,
                    [step.delta, *deltas],
                    targeted,
                ),
            )
        yield step


@torch.no_grad()
def stronger(
    classify: Callable[[torch.Tensor], torch.Tensor],
    pixels: torch.Tensor,
    labels: torch.Tensor,
    deltas: list[torch.Tensor],
    targeted: bool = False,
) -> torch.Tensor:
    """Of several perturbations of each picture, the one [B,3,H,W] that leaves the label least (targeted:
    gives it most) in classify(pixels) -> logits [B,K], a defended prediction on the attacker's own draw: he
    can run the defence himself, and keeps what works. Against some defences the gradient through them
    misleads, and the attack on the bare model is the better one."""
    losses = torch.stack(
        [F.cross_entropy(classify(pixels + delta), labels, reduction="none") for delta in deltas]
    )
    best = losses.argmin(0) if targeted else losses.argmax(0)
    return torch.stack(deltas)[best, torch.arange(len(pixels), device=best.device)]
