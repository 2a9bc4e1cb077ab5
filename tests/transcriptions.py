"""Published defences transcribed from their equations, one picture at a time, to compare the table's rows
with.

All take (clip, x [3,SIDE,SIDE], words [K,D], die) and return logits [K].
"""

import math

import torch
import torch.nn.functional as F

from demo_core.defenses import CORRUPTION, TAU_HAT, DOCConfig, Gate, MACConfig, augmented

SIDE = 12
DOC_SET = DOCConfig(gate=Gate(TAU_HAT, 0.02, below=True, slope=30.0))
MAC_SET = MACConfig(gate=Gate(CORRUPTION, 0.1, slope=20.0))


def classify_one(clip, x, words):
    return clip.logits(clip.encode(x[None]), words)[0]


def climb(loss, x, delta, eps, step, count):
    """Signed steps on one picture, by the book."""
    for _ in range(count):
        leaf = delta.clone().requires_grad_()
        (g,) = torch.autograd.grad(loss(x + leaf), leaf)
        delta = (x + (delta + step * g.sign()).clamp(-eps, eps)).clamp(0, 1) - x
    return delta


def noise_one(x, eps, die):
    return (x + torch.empty(x.shape).uniform_(-eps, eps, generator=die)).clamp(0, 1) - x


def naive_rn(clip, x, words, die):
    return classify_one(clip, x + noise_one(x, 4 / 255, die), words)


def naive_tte(clip, x, words, die):
    part, views = SIDE * 7 // 8, [x]
    for top in (0, SIDE - part):
        for left in (0, SIDE - part):
            crop = x[:, top : top + part, left : left + part]
            views.append(F.interpolate(crop[None], (SIDE, SIDE), mode="bilinear", align_corners=False)[0])
    views += [torch.flip(v, [2]) for v in views]
    return sum(classify_one(clip, v, words) for v in views) / 10


def naive_anti_adversary(clip, x, words, die):
    guess = classify_one(clip, x, words).argmax()
    delta = climb(
        lambda p: classify_one(clip, p, words).log_softmax(0)[guess],
        x,
        torch.zeros_like(x),
        4 / 255,
        2 / 255,
        2,
    )
    return classify_one(clip, x + delta, words)


def naive_hedge(clip, x, words, die):
    delta = climb(
        lambda p: -classify_one(clip, p, words).log_softmax(0).sum(),
        x,
        noise_one(x, 4 / 255, die),
        4 / 255,
        2 / 255,
        4,
    )
    return classify_one(clip, x + delta, words)


def naive_ttc(clip, x, words, die):
    f, n = clip.encode(x[None])[0], noise_one(x, 4 / 255, die)
    tau = (clip.encode((x + n)[None])[0] - f).norm() / f.norm()
    deltas = [n]
    for _ in range(2):
        deltas.append(
            climb(lambda p: (clip.encode(p[None])[0] - f).pow(2).sum(), x, deltas[-1], 4 / 255, 1 / 255, 1)
        )
    weights = [math.exp(2 * i) for i in range(3)]
    delta = sum(w * d for w, d in zip(weights, deltas)) / sum(weights) if tau < 0.2 else n
    return classify_one(clip, x + delta, words)


def naive_doc(clip, x, words, die, config=DOC_SET):
    f = clip.encode(x[None])[0]
    cosines = [
        F.cosine_similarity(clip.encode((x + noise_one(x, config.budget.eps, die))[None])[0], f, dim=0)
        for _ in range(config.copies)
    ]
    tau_hat = 1 - sum(cosines) / config.copies
    delta, m = noise_one(x, config.budget.eps, die), torch.zeros_like(x)
    for _ in range(config.budget.steps):
        leaf = delta.clone().requires_grad_()
        (g,) = torch.autograd.grad((clip.encode((x + leaf)[None])[0] - f).pow(2).sum(), leaf)
        g = g / g.norm()
        r = torch.empty(g.numel()).uniform_(-1, 1, generator=die).view_as(g)
        r = r - (r * g).sum() * g
        m = config.mu * m + g + config.lam * r / r.norm()
        delta = (
            x + (delta + config.budget.step_size * m.sign()).clamp(-config.budget.eps, config.budget.eps)
        ).clamp(0, 1) - x
    return classify_one(
        clip, x + delta / (1 + math.exp(-config.gate.slope * (config.gate.threshold - tau_hat))), words
    )


def naive_mac(clip, x, words, die):
    total = 0
    for view in (x, augmented(x[None], [die])[0]):
        f = clip.encode(view[None])[0]
        d = (clip.encode(augmented(view[None], [die]))[0] - f).norm() / f.norm()
        deltas = [noise_one(view, 8 / 255, die)]
        for _ in range(4):
            deltas.append(
                climb(
                    lambda p, f=f: (clip.encode(p[None])[0] - f).pow(2).sum(),
                    view,
                    deltas[-1],
                    8 / 255,
                    2 / 255,
                    1,
                )
            )
        weights = [math.exp(2 * i) for i in range(5)]
        delta = (
            sum(w * e for w, e in zip(weights, deltas))
            / sum(weights)
            / (1 + math.exp(-(d.item() - MAC_SET.gate.threshold) * MAC_SET.gate.slope))
        )
        total = total + classify_one(clip, view + delta, words)
    return total / 2


NAIVE = {
    "rn": naive_rn,
    "tte": naive_tte,
    "anti_adversary": naive_anti_adversary,
    "hedge": naive_hedge,
    "ttc": naive_ttc,
    "doc": naive_doc,
    "mac": naive_mac,
}
