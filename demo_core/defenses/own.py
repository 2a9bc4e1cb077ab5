"""Our own defences, which run under a model's profile: a gate, a counterattack, and closer looks.

Two signals can gate. The paper's tau (counterattack.py) is *low* on attacked pictures of a large CLIP: they
are falsely stable. The drift under small exact views (a one-pixel shift, a mirror image) is *high* on
attacked pictures: the "corruption degree" of MAC (CVPR 2026), the subject of *Beyond False Stability* (arXiv
2606.03730). Nothing in them is drawn at random where the view drift gates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from demo_core.ascent import Budget, Dice, Step, ascend, random_start
from demo_core.clip import ZeroShotCLIP
from demo_core.counterattack import TAU, Encode, Gate, TTCConfig, stability, weigh
from demo_core.defenses.averages import mean_of
from demo_core.defenses.published import answer, everyone, still
from demo_core.defenses.shifts import stacked_logits, unit_features
from demo_core.defenses.signals import ENGAGED
from demo_core.defenses.views import LOOKS, VIEWS, looking, over_stack, view_drift, view_features
from demo_core.moments import Defended, Defending, Looked, Measured, Moved


@dataclass(frozen=True)
class OwnConfig:
    """The settings of our own counterattack; the defaults are the paper's. gate: on TAU or VIEW_DRIFT. aim:
    names of VIEWS; the counterattack pushes the mean embedding of the picture and these views of it, (): of
    the picture alone. beta: how steeply its later steps outweigh the earlier ones; None: the last step is the
    result. looks: numbers of LOOKS; a counterattacked picture is answered from the mean of its embeddings
    under these, (): as it is. calm: the same of a picture that the gate leaves alone."""

    gate: Gate = TTCConfig().gate
    budget: Budget = Budget()
    beta: float | None = TTCConfig().beta
    aim: tuple[str, ...] = ()
    looks: tuple[int, ...] = ()
    calm: tuple[int, ...] = ()

    @property
    def probes(self) -> bool:
        """Whether noise is put on the picture to probe it: then the counterattack starts from that noise,
        and pictures left alone keep it, as in the authors' code; else it starts from the picture itself."""
        return self.gate.signal == TAU

    def result(self, deltas: list[torch.Tensor]) -> torch.Tensor:
        """What the steps of the counterattack come to."""
        return deltas[-1] if self.beta is None else weigh(deltas, self.beta)

    @property
    def noise_eps(self) -> float:
        """The size of that noise. It is the one that tau is defined with (the paper's), whatever the
        budget."""
        return TTCConfig().eps if self.probes else 0.0


def gate_signal(encode: Encode, pixels: torch.Tensor, noise: torch.Tensor, gate: Gate) -> torch.Tensor:
    """The signal [B] that the gate reads; noise [B,3,H,W] is what tau is probed with. Differentiable."""
    if gate.signal == TAU:
        return stability(encode, pixels, noise)
    return view_drift(view_features(encode, pixels))


def own_signal(
    clip: ZeroShotCLIP,
    pixels: torch.Tensor,
    dice: Dice = None,
    config: OwnConfig = OwnConfig(),
) -> torch.Tensor:
    """The same, with noise of its own."""
    return gate_signal(clip.probe, pixels, _probe(pixels.detach(), dice, config.gate), config.gate)


def _probe(pixels: torch.Tensor, dice: Dice, gate: Gate) -> torch.Tensor:
    """The noise that the gate probes with; none where it does not."""
    return random_start(pixels, TTCConfig().eps, dice) if gate.signal == TAU else torch.zeros_like(pixels)


def pushed(
    encode: Encode, pixels: torch.Tensor, start: torch.Tensor, config: OwnConfig, unroll: bool = False
) -> Iterator[Step]:
    """Our counterattack, ungated and unweighted: raise ‖F(x+delta) − f(x)‖², F being the mean embedding of
    the picture and the views that it aims with, f(x) the picture's own before (with no views this is
    counterattack.counterattack).

    The views of an attacked picture already lie off the place where the attacker left it, so that pushing
    their mean farther from it goes the way that the thing in the picture pulls, not the way of one grid of
    pixels. Step.output holds the features [B,1 + views,D], the picture's own first. From the picture itself
    f(x) is known from the first step, and costs no pass.
    """
    anchor: torch.Tensor | None = None

    def seen(x: torch.Tensor) -> torch.Tensor:
        stack = torch.stack([x, *(VIEWS[name](x) for name in config.aim)], 1)
        return over_stack(encode, stack)

    def objective(features: torch.Tensor) -> torch.Tensor:
        nonlocal anchor
        if anchor is None:
            anchor = features[:, 0] if unroll else features[:, 0].detach()
        return (mean_of(features.unbind(1)) - anchor).pow(2).sum(-1)

    if start.count_nonzero() or not config.aim:
        with torch.set_grad_enabled(unroll):
            anchor = encode(pixels)
    return ascend(seen, objective, pixels, start, config.budget, unroll=unroll)


def closer_looks(pixels: torch.Tensor, looks: Sequence[int]) -> torch.Tensor:
    """These of LOOKS at the pictures [looks,B,3,H,W]."""
    return torch.stack([looking(LOOKS[number])(pixels) for number in looks])


def _from_looks(
    clip: ZeroShotCLIP, pixels: torch.Tensor, text: torch.Tensor, looks: Sequence[int]
) -> Defending:
    """The answer from the mean of the unit features under these looks; as the picture is, without any."""
    if not looks:
        return Defended(pixels, answer(clip, pixels, text))
    views = closer_looks(pixels, looks)
    features = unit_features(clip, views)
    yield Looked(views, stacked_logits(clip, features, text))
    return Defended(pixels, clip.logits(mean_of(features), text))


def judging(
    clip: ZeroShotCLIP, pixels: torch.Tensor, text: torch.Tensor, config: OwnConfig, engaged: torch.Tensor
) -> Defending:
    """Classify as the settings say those that were counterattacked, `engaged` [B], and those that were left
    alone; differentiable."""
    if engaged.all() or config.looks == config.calm:
        return (yield from _from_looks(clip, pixels, text, config.looks))
    if not engaged.any():
        return (yield from _from_looks(clip, pixels, text, config.calm))
    hot = yield from _from_looks(clip, pixels[engaged], text, config.looks)
    calm = yield from _from_looks(clip, pixels[~engaged], text, config.calm)
    order = torch.cat([engaged.nonzero(), (~engaged).nonzero()])[:, 0].argsort()
    return Defended(pixels, torch.cat([hot.logits, calm.logits])[order])


def default(
    clip: ZeroShotCLIP,
    pixels: torch.Tensor,
    text: torch.Tensor,
    dice: Dice = None,
    config: OwnConfig = OwnConfig(),
    unroll: bool = False,
) -> Defending:
    """The model's own counterattack: gate, steps and looks, chosen on training pictures where the model is
    embedded. The gate counts as constant to one who differentiates through it; see published.py."""
    given = still(pixels, unroll)
    noise = _probe(pixels.detach(), dice, config.gate)
    with torch.no_grad():
        signal = gate_signal(clip.probe, pixels.detach(), noise, config.gate)
    engaged = config.gate.engages(signal)
    yield Measured(config.gate.signal, signal, engaged.float())
    delta, deltas = noise.clone(), []
    if engaged.any():
        for step in pushed(clip.encode, given[engaged], noise[engaged], config, unroll):
            own = None if step.output is None else step.output[:, 0]  # the others are its views'
            yield Moved(engaged, step.delta, own)
            deltas.append(step.delta)
        delta[engaged] = config.result(deltas)
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
