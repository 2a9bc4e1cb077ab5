"""Our own defence, which runs under a model's profile: its gate, its counterattack, its closer looks.

Two signals can gate. The paper's tau (counterattack.py) is *low* on attacked pictures of a large CLIP: they
are falsely stable. The drift under small exact views (a one-pixel shift, a mirror image) is *high* on
attacked pictures: the "corruption degree" of MAC (CVPR 2026), the subject of *Beyond False Stability* (arXiv
2606.03730).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from demo_core.ascent import Budget, Dice, Step, ascend, random_start
from demo_core.clip import ZeroShotCLIP
from demo_core.counterattack import TAU, Encode, Gate, TTCConfig, stability, weigh
from demo_core.defenses.averages import log_mean, mean_of
from demo_core.defenses.published import answer, everyone, still
from demo_core.defenses.signals import ENGAGED
from demo_core.defenses.views import LOOKS, VIEWS, look, view_drift, view_features
from demo_core.moments import Defended, Defending, Looked, Measured, Moved


@dataclass(frozen=True)
class OwnConfig:
    """The settings of our own defence; the defaults are the paper's. gate: on TAU or VIEW_DRIFT. aim: names
    of VIEWS; the counterattack pushes the mean embedding of the picture and these views of it, (): of the
    picture alone. beta: how steeply its later steps outweigh the earlier ones. looks: classify a
    counterattacked picture by the probabilities averaged over it and the first so many of LOOKS at it; 0: by
    it alone."""

    gate: Gate = TTCConfig().gate
    budget: Budget = Budget()
    beta: float = TTCConfig().beta
    aim: tuple[str, ...] = ()
    looks: int = 0

    @property
    def noise_eps(self) -> float:
        """The size of the noise that the counterattack starts from. Under the tau gate it is also the probe,
        so it is the noise that tau is defined with (the paper's), whatever the budget."""
        return TTCConfig().eps if self.gate.signal == TAU else self.budget.eps


@torch.no_grad()
def gate_signal(encode: Encode, pixels: torch.Tensor, noise: torch.Tensor, config: OwnConfig) -> torch.Tensor:
    """The signal [B] that gates this profile; noise [B,3,H,W] is what tau is probed with."""
    if config.gate.signal == TAU:
        return stability(encode, pixels, noise)
    return view_drift(view_features(encode, pixels))


def left_alone(noise: torch.Tensor, config: OwnConfig) -> torch.Tensor:
    """What is added [B,3,H,W] to pictures that the gate leaves alone: under tau the probing noise, as in the
    authors' code; under the view gate nothing, for nothing was added to probe them."""
    return noise.clone() if config.gate.signal == TAU else torch.zeros_like(noise)


def pushed(
    encode: Encode, pixels: torch.Tensor, start: torch.Tensor, config: OwnConfig, unroll: bool = False
) -> Iterator[Step]:
    """The profile's counterattack, ungated and unweighted: raise ‖F(x+delta) − f(x)‖², F being the mean
    embedding of the picture and the views that the profile aims with, f(x) the picture's own before (with no
    views this is counterattack.counterattack).

    The views of an attacked picture already lie off the place where the attacker left it, so that pushing
    their mean farther from it goes the way that the thing in the picture pulls, not the way of one grid of
    pixels. Step.output holds the features [B,1 + views,D], the picture's own first.
    """

    def seen(x: torch.Tensor) -> torch.Tensor:
        stack = torch.stack([x, *(VIEWS[name](x) for name in config.aim)], 1)
        return encode(stack.flatten(0, 1)).unflatten(0, stack.shape[:2])

    with torch.set_grad_enabled(unroll):
        anchor = encode(pixels)
    return ascend(
        seen,
        lambda features: (mean_of(features.unbind(1)) - anchor).pow(2).sum(-1),
        pixels,
        start,
        config.budget,
        unroll=unroll,
    )


def closer_looks(pixels: torch.Tensor, config: OwnConfig) -> torch.Tensor:
    """The pictures and the first so many of LOOKS at them as the profile has [1 + looks,B,3,H,W]."""
    drawn = torch.tensor(LOOKS[: config.looks]).view(-1, 1, 5).expand(-1, len(pixels), -1)
    return torch.stack([pixels, *(look(pixels, one) for one in drawn)])


def judging(
    clip: ZeroShotCLIP, pixels: torch.Tensor, text: torch.Tensor, config: OwnConfig, engaged: torch.Tensor
) -> Defending:
    """Classify as the profile does; the answer's logits [B,K] are the model's own of pictures that were left
    alone, and of those that were counterattacked, `engaged` [B], the logarithm of the probabilities averaged
    over the picture and the profile's closer looks at it; differentiable."""
    if not config.looks or not engaged.any():
        return Defended(pixels, answer(clip, pixels, text))
    views = closer_looks(pixels[engaged], config)
    seen = answer(clip, views.flatten(0, 1), text).unflatten(0, views.shape[:2])
    yield Looked(views, seen)
    logits = log_mean(seen)
    if not engaged.all():
        rows = torch.cat([logits, answer(clip, pixels[~engaged], text)])
        logits = rows[torch.cat([engaged.nonzero(), (~engaged).nonzero()])[:, 0].argsort()]
    return Defended(pixels, logits)


def default(
    clip: ZeroShotCLIP,
    pixels: torch.Tensor,
    text: torch.Tensor,
    dice: Dice = None,
    config: OwnConfig = OwnConfig(),
    unroll: bool = False,
) -> Defending:
    """The model's own profile: its gate, its counterattack and its looks, chosen on training pictures where
    the model is embedded. The gate counts as constant to one who differentiates through it; see
    published.py."""
    given = still(pixels, unroll)
    noise = random_start(pixels.detach(), config.noise_eps, dice)
    signal = gate_signal(clip.probe, pixels.detach(), noise, config)
    engaged = config.gate.engages(signal)
    yield Measured(config.gate.signal, signal, engaged.float())
    delta, deltas = left_alone(noise, config), []
    if engaged.any():
        for step in pushed(clip.encode, given[engaged], noise[engaged], config, unroll):
            own = None if step.output is None else step.output[:, 0]  # the others are its views'
            yield Moved(engaged, step.delta, own)
            deltas.append(step.delta)
        delta[engaged] = weigh(deltas, config.beta)
    judged = yield from judging(clip, pixels + delta, text, config, engaged)
    return Defended(judged.pixels, judged.logits, {config.gate.signal: signal, ENGAGED: engaged})


def never_engaged(
    clip: ZeroShotCLIP,
    pixels: torch.Tensor,
    text: torch.Tensor,
    dice: Dice = None,
    config: OwnConfig = OwnConfig(),
) -> Defending:
    """What is left of our own defence for an attacker who takes only the counterattack out of his way: the
    looks alone, or the bare model where there are none."""
    return (yield from judging(clip, pixels, text, config, everyone(pixels)))
