"""Published defences, and two controls, each (clip, pixels [B,3,H,W], text [K,D], dice) -> a generator of
moments that returns Defended.

What a defence adds to the pictures is computed on detached pixels and counts as a constant, so that the
gradient of its logits with respect to the pixels is the one of BPDA (Athalye et al., ICML 2018), with no code
of its own. With `unroll` the gradient goes straight through the steps of a counterattack too; the table's
surrogates do so where the steps are few. Under no_grad, as everyone but an adaptive attacker runs them,
nothing of the kind is kept.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from demo_core.ascent import Budget, Dice, ascend, random_start
from demo_core.clip import ZeroShotCLIP
from demo_core.counterattack import TAU, TTCConfig, purifying, stability
from demo_core.defenses.averages import mean_of
from demo_core.defenses.signals import ENGAGED
from demo_core.defenses.views import over_stack, transformed
from demo_core.moments import Defended, Defending, Looked, Moved


def still(pixels: torch.Tensor, unroll: bool) -> torch.Tensor:
    """What a defence looks at to make its perturbation."""
    return pixels if unroll else pixels.detach()


def everyone(pixels: torch.Tensor) -> torch.Tensor:
    """All rows [B] of a batch."""
    return torch.ones(len(pixels), dtype=torch.bool, device=pixels.device)


def answer(clip: ZeroShotCLIP, pixels: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """The bare model's logits [B,K]."""
    return clip.logits(clip.encode(pixels), text)


def none(clip: ZeroShotCLIP, pixels: torch.Tensor, text: torch.Tensor, dice: Dice = None) -> Defending:
    """No defence, the control."""
    yield from ()
    return Defended(pixels, answer(clip, pixels, text))


def random_noise(
    clip: ZeroShotCLIP, pixels: torch.Tensor, text: torch.Tensor, dice: Dice = None
) -> Defending:
    """RN, the second control of the TTC paper: the counterattack's start noise of 4/255 alone."""
    noise = random_start(pixels.detach(), TTCConfig().eps, dice)
    yield Moved(everyone(pixels), noise)
    return Defended(pixels + noise, answer(clip, pixels + noise, text))


def tte(clip: ZeroShotCLIP, pixels: torch.Tensor, text: torch.Tensor, dice: Dice = None) -> Defending:
    """Test-time transformation ensembling (Pérez et al., ICCV Workshops 2021): the logits averaged over flips
    and crops."""
    views = torch.stack(transformed(pixels))
    logits = over_stack(lambda x: answer(clip, x, text), views)
    yield Looked(views, logits)
    return Defended(pixels, mean_of(logits))


ANTI_ADVERSARY = Budget(eps=4 / 255, step_size=2 / 255, steps=2)
HEDGE = Budget(eps=4 / 255, step_size=2 / 255, steps=4)


def anti_adversary(
    clip: ZeroShotCLIP,
    pixels: torch.Tensor,
    text: torch.Tensor,
    dice: Dice = None,
    config: Budget = ANTI_ADVERSARY,
    unroll: bool = False,
) -> Defending:
    """Anti-adversary (Alfarra et al., AAAI 2022): two signed steps from the picture that lower the
    cross-entropy of the label it is predicted with. The authors take 0.15 a step, without a bound."""
    given = still(pixels, unroll)
    with torch.no_grad():
        predicted = answer(clip, given, text).argmax(1)
    path = ascend(
        lambda x: answer(clip, x, text),
        lambda z: -F.cross_entropy(z, predicted, reduction="none"),
        given,
        torch.zeros_like(given),
        config,
        unroll=unroll,
    )
    for step in path:
        yield Moved(everyone(pixels), step.delta)
    return Defended(pixels + step.delta, answer(clip, pixels + step.delta, text))


def hedge(
    clip: ZeroShotCLIP,
    pixels: torch.Tensor,
    text: torch.Tensor,
    dice: Dice = None,
    config: Budget = HEDGE,
) -> Defending:
    """Hedge defense (Wu et al., 2021, arXiv 2106.04938): from random noise, four signed steps that raise the
    sum of the cross-entropies to all classes. The authors take 20 steps of 4/255 within 8/255."""
    given = pixels.detach()
    path = ascend(
        lambda x: answer(clip, x, text),
        lambda z: -z.log_softmax(-1).sum(-1),
        given,
        random_start(given, config.eps, dice),
        config,
    )
    for step in path:
        yield Moved(everyone(pixels), step.delta)
    return Defended(pixels + step.delta, answer(clip, pixels + step.delta, text))


def ttc_signal(
    clip: ZeroShotCLIP, pixels: torch.Tensor, dice: Dice = None, config: TTCConfig = TTCConfig()
) -> torch.Tensor:
    """tau [B], differentiable."""
    return stability(clip.probe, pixels, random_start(pixels.detach(), config.eps, dice))


def ttc(
    clip: ZeroShotCLIP,
    pixels: torch.Tensor,
    text: torch.Tensor,
    dice: Dice = None,
    config: TTCConfig = TTCConfig(),
    unroll: bool = False,
) -> Defending:
    """The paper's test-time counterattack at the paper's values (Xing et al., CVPR 2025); the fine-tuned
    model is probed with the original's encoder."""
    noise = random_start(pixels.detach(), config.eps, dice)
    probe = clip.probe if clip.original else None
    delta, tau = yield from purifying(
        clip.encode, still(pixels, unroll), noise, config, probe=probe, unroll=unroll
    )
    return Defended(
        pixels + delta, answer(clip, pixels + delta, text), {TAU: tau, ENGAGED: config.gate.engages(tau)}
    )
