"""Published defences, and two controls, each (clip, pixels [B,3,H,W], text [K,D], dice) -> a generator of
moments that returns Defended.

What a defence adds to the pictures is computed on detached pixels and counts as a constant, so that the
gradient of its logits with respect to the pixels is the one of BPDA (Athalye et al., ICML 2018), with no code
of its own. With `unroll` the gradient goes straight through the steps of a counterattack too; the table's
surrogates do so where the steps are few. Under no_grad, as everyone but an adaptive attacker runs them,
nothing of the kind is kept.
"""

from __future__ import annotations

from collections.abc import Generator

import torch
import torch.nn.functional as F

from demo_core.ascent import Dice, Step, ascend, random_start, uniform
from demo_core.clip import ZeroShotCLIP
from demo_core.counterattack import (
    TAU,
    Budget,
    TTCConfig,
    counterattack,
    purifying,
    relative_drift,
    weigh,
)
from demo_core.defenses.averages import mean_of
from demo_core.defenses.profile import ENGAGED, DOCConfig, MACConfig
from demo_core.defenses.views import augmented, transformed
from demo_core.moments import Defended, Defending, Looked, Measured, Moved


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
    logits = answer(clip, views.flatten(0, 1), text).unflatten(0, views.shape[:2])
    yield Looked(views, logits)
    return Defended(pixels, mean_of(logits))


def anti_adversary(
    clip: ZeroShotCLIP, pixels: torch.Tensor, text: torch.Tensor, dice: Dice = None, unroll: bool = False
) -> Defending:
    """Anti-adversary (Alfarra et al., AAAI 2022): two signed steps from the picture that lower the
    cross-entropy of the label it is predicted with. Budget and step are the counterattack's; the authors take
    0.15 a step, without a bound."""
    given = still(pixels, unroll)
    with torch.no_grad():
        predicted = answer(clip, given, text).argmax(1)
    path = ascend(
        lambda x: answer(clip, x, text),
        lambda z: -F.cross_entropy(z, predicted, reduction="none"),
        given,
        torch.zeros_like(given),
        eps=4 / 255,
        step_size=2 / 255,
        steps=2,
        unroll=unroll,
    )
    for step in path:
        yield Moved(everyone(pixels), step.delta)
    return Defended(pixels + step.delta, answer(clip, pixels + step.delta, text))


def hedge(clip: ZeroShotCLIP, pixels: torch.Tensor, text: torch.Tensor, dice: Dice = None) -> Defending:
    """Hedge defense (Wu et al., 2021, arXiv 2106.04938): from random noise, four signed steps that raise the
    sum of the cross-entropies to all classes. The budget is the counterattack's; the authors take 20 steps of
    4/255 within 8/255."""
    given = pixels.detach()
    path = ascend(
        lambda x: answer(clip, x, text),
        lambda z: -z.log_softmax(-1).sum(-1),
        given,
        random_start(given, 4 / 255, dice),
        eps=4 / 255,
        step_size=2 / 255,
        steps=4,
    )
    for step in path:
        yield Moved(everyone(pixels), step.delta)
    return Defended(pixels + step.delta, answer(clip, pixels + step.delta, text))


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
        pixels + delta, answer(clip, pixels + delta, text), {TAU: tau, ENGAGED: tau < config.tau_threshold}
    )


def doc(
    clip: ZeroShotCLIP,
    pixels: torch.Tensor,
    text: torch.Tensor,
    dice: Dice = None,
    config: DOCConfig = DOCConfig(),
) -> Defending:
    """Directional orthogonal counterattack (AAAI 2026, arXiv 2511.09064).

    The counterattack's objective along d = g + lambda r, where g is the unit gradient and r a random unit
    direction orthogonal to it, with momentum m <- mu m + d and steps of sign(m); the result is weighted by
    sigma(gamma (tau - tau_hat)), tau_hat being one minus the mean cosine between the features of noisy copies
    and the picture's.
    """
    given = pixels.detach()
    tau_hat = doc_signal(clip, given, config, dice)
    weight = doc_weight(tau_hat, config)
    yield Measured("tau_hat", tau_hat, weight)
    delta = yield from doc_delta(clip, given, config, dice)
    moved = pixels + weight.view(-1, 1, 1, 1) * delta
    return Defended(moved, answer(clip, moved, text), {"tau_hat": tau_hat, "weight": weight})


@torch.no_grad()
def doc_signal(
    clip: ZeroShotCLIP, pixels: torch.Tensor, config: DOCConfig, dice: Dice = None
) -> torch.Tensor:
    """DOC's tau_hat [B]."""
    anchor = clip.probe(pixels)
    noisy = [clip.probe(pixels + random_start(pixels, config.eps, dice)) for _ in range(config.copies)]
    return 1 - mean_of([F.cosine_similarity(features, anchor) for features in noisy])


def doc_weight(tau_hat: torch.Tensor, config: DOCConfig) -> torch.Tensor:
    """DOC's soft gate [B]."""
    return torch.sigmoid(config.gamma * (config.threshold - tau_hat))


def doc_delta(
    clip: ZeroShotCLIP, pixels: torch.Tensor, config: DOCConfig, dice: Dice = None
) -> Generator[Moved, None, torch.Tensor]:
    """DOC's perturbation [B,3,H,W] before the gate, step by step."""
    momentum = torch.zeros_like(pixels)

    def advance(step: Step, gradient: torch.Tensor) -> torch.Tensor:
        nonlocal momentum
        g = F.normalize(gradient.flatten(1))
        r = uniform(g.shape, dice).to(g)
        r = F.normalize(r - (r * g).sum(1, keepdim=True) * g)
        momentum = config.mu * momentum + (g + config.lam * r).view_as(gradient)
        return step.delta + config.step_size * momentum.sign()

    start, budget = random_start(pixels, config.eps, dice), Budget(config.eps, config.step_size, config.steps)
    for step in counterattack(clip.encode, pixels, start, budget, advance=advance):
        yield Moved(everyone(pixels), step.delta, step.output)
    return step.delta


def mac(
    clip: ZeroShotCLIP,
    pixels: torch.Tensor,
    text: torch.Tensor,
    dice: Dice = None,
    config: MACConfig = MACConfig(),
) -> Defending:
    """Multi-view augmented counterattack (CVPR 2026, arXiv 2606.06938).

    Two views, the picture and one augmented; each is counterattacked (8/255, 2/255, 4 steps), weighted by
    sigma((d - .7) / .01) with d = ‖f(aug(v)) - f(v)‖ / ‖f(v)‖, the corruption degree; the logits are
    averaged. The counterattack starts from noise and is weighted over its steps as in TTC. The moments of the
    second view's are not told: they start from another picture.
    """
    moved: list[torch.Tensor] = []
    degrees: list[torch.Tensor] = []
    for view in (pixels, augmented(pixels, dice)):
        given = view.detach()
        with torch.no_grad():
            anchor = clip.encode(given)
            degree = relative_drift(clip.encode(augmented(given, dice)), anchor)
        weight = torch.sigmoid((degree - config.middle) / config.width)
        start, deltas = random_start(given, config.budget.eps, dice), []
        if not moved:
            yield Measured("corruption degree", degree, weight)
        for step in counterattack(clip.encode, given, start, config.budget, anchor=anchor):
            if not moved:
                yield Moved(everyone(pixels), step.delta, step.output)
            deltas.append(step.delta)
        moved.append(view + weight.view(-1, 1, 1, 1) * weigh(deltas, config.budget))
        degrees.append(degree)
    logits = torch.stack([answer(clip, each, text) for each in moved])
    yield Looked(torch.stack(moved), logits)
    signals = {"corruption degree": degrees[0], "corruption degree of the view": degrees[1]}
    return Defended(moved[0], mean_of(logits), signals)
