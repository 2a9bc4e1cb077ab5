"""Low frequencies: the control that blurs, and CSR, which gates and aims by it (ICML 2026, arXiv
2601.19210)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from demo_core.ascent import Budget, Dice, ascend, with_best
from demo_core.clip import ZeroShotCLIP
from demo_core.counterattack import Encode, Gate
from demo_core.defenses.published import answer
from demo_core.defenses.signals import ENGAGED, LOW_PASS
from demo_core.moments import Defended, Defending, Looked, Measured, Moved, exhausted

RADIUS = 40 / 224  # of the mask, as a share of the side: CSR's is 40 at 224 pixels


def low_passed(pixels: torch.Tensor, radius: float) -> torch.Tensor:
    """The pictures [B,3,H,W] with each channel's centred spectrum times exp(-r² / (2 radius²)), r in whole
    frequencies, cut to [0, 1]; differentiable."""
    h, w = pixels.shape[-2:]
    down = torch.fft.fftfreq(h, 1 / h, device=pixels.device).view(-1, 1)
    right = torch.fft.rfftfreq(w, 1 / w, device=pixels.device)
    mask = torch.exp(-(down**2 + right**2) / (2 * radius**2))
    return torch.fft.irfft2(torch.fft.rfft2(pixels) * mask, s=(h, w)).clamp(0, 1)


@dataclass(frozen=True)
class LowPassConfig:
    """radius: of the mask, as a share of the side."""

    radius: float = RADIUS


def low_pass(
    clip: ZeroShotCLIP,
    pixels: torch.Tensor,
    text: torch.Tensor,
    dice: Dice = None,
    config: LowPassConfig = LowPassConfig(),
) -> Defending:
    """The cheap control: blur, then classify (with CSR's mask)."""
    low = low_passed(pixels, config.radius * pixels.shape[-1])
    logits = answer(clip, low, text)
    yield Looked(low[None], logits[None])
    return Defended(low, logits)


@dataclass(frozen=True)
class CSRConfig:
    """CSR's settings. radius: of the mask, as a share of the side; the gate is on the cosine of the picture's
    features with those of the low-passed one."""

    radius: float = RADIUS
    gate: Gate = Gate(LOW_PASS, 0.85, below=True)
    budget: Budget = Budget(eps=4 / 255, step_size=2 / 255, steps=3)


def csr_signal(
    clip: ZeroShotCLIP, pixels: torch.Tensor, dice: Dice = None, config: CSRConfig = CSRConfig()
) -> torch.Tensor:
    """The cosine [B] of the picture's features with those of the low-passed one."""
    low = low_passed(pixels, config.radius * pixels.shape[-1])
    return F.cosine_similarity(clip.encode(pixels), clip.encode(low), dim=-1)


Purifying = Generator[Measured | Moved, None, tuple[torch.Tensor, torch.Tensor, torch.Tensor]]


def _purifying(encode: Encode, pixels: torch.Tensor, radius: float, gate: Gate, budget: Budget) -> Purifying:
    """See csr_purify; returns (delta, similarity, engaged)."""
    with torch.no_grad():
        own = F.normalize(encode(pixels), dim=-1)
        low = F.normalize(encode(low_passed(pixels, radius)), dim=-1)
    similarity = (own * low).sum(-1)
    engaged = gate.engages(similarity)
    yield Measured(gate.signal, similarity, engaged.float())
    delta = torch.zeros_like(pixels)
    if engaged.any():
        given, own, low = pixels[engaged], own[engaged], low[engaged]

        def score(features: torch.Tensor) -> torch.Tensor:
            unit = F.normalize(features, dim=-1)
            return (unit * low).sum(-1) - (unit * own).sum(-1)

        def look(moved: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            features = encode(given + moved)
            return features, score(features)

        path = ascend(encode, score, given, torch.zeros_like(given), budget)
        for step, features, best in with_best(path, look):  # noqa: B007  the last is what is added
            yield Moved(engaged, step.delta, features)
        delta[engaged] = best
    return delta, similarity, engaged


def csr_purify(
    encode: Encode,
    pixels: torch.Tensor,
    *,
    radius: float,
    threshold: float,
    eps: float,
    step_size: float,
    steps: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """CSR on a batch: (pixels [B,3,H,W], similarity [B], engaged [B]).

    Where the cosine of f(x) and f(low-passed x) is below the threshold, `steps` signed steps from x itself
    that raise cos(f(x'), f(low)) - cos(f(x'), f(x)); of all points visited the first of the highest score is
    kept. The others are left as they are. radius: in frequencies.
    """
    gate, budget = Gate(LOW_PASS, threshold, below=True), Budget(eps, step_size, steps)
    delta, similarity, engaged = exhausted(_purifying(encode, pixels, radius, gate, budget))
    return pixels + delta, similarity, engaged


def csr(
    clip: ZeroShotCLIP,
    pixels: torch.Tensor,
    text: torch.Tensor,
    dice: Dice = None,
    config: CSRConfig = CSRConfig(),
) -> Defending:
    """CSR: where low frequencies tell another story than the picture, a few steps towards it."""
    radius = config.radius * pixels.shape[-1]
    purifying = _purifying(clip.encode, pixels.detach(), radius, config.gate, config.budget)
    delta, similarity, engaged = yield from purifying
    moved = pixels + delta
    return Defended(moved, answer(clip, moved, text), {LOW_PASS: similarity, ENGAGED: engaged})
