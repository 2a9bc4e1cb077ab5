"""Published defences transcribed from their equations, one picture at a time, to compare the table's rows
with.

All take (clip, x [3,SIDE,SIDE], words [K,D], die) and return logits [K].
"""

import math

import torch
import torch.nn.functional as F

from demo_core.ascent import Budget
from demo_core.defenses import (
    AGREEMENT,
    CORRUPTION,
    LOOKS,
    LOW_PASS,
    PADDING,
    TAU_HAT,
    UNISON,
    VIEW_DRIFT,
    CSRConfig,
    DBDConfig,
    DOCConfig,
    Gate,
    MACConfig,
    OwnConfig,
    ShiftConfig,
    augmented,
    look,
)
from demo_core.defenses.padding import PaddingConfig
from demo_core.defenses.random_views import dbd_views, jpeg, perspective, resized_crop

SIDE = 12
DOC_SET = DOCConfig(gate=Gate(TAU_HAT, 0.02, below=True, slope=30.0))
MAC_SET = MACConfig(gate=Gate(CORRUPTION, 0.1, slope=20.0))
# Gates are set so that on this encoder they open for some of the pictures.
PADDING_SET = PaddingConfig(gate=Gate(PADDING, 0.5, below=True))
CSR_SET = CSRConfig(gate=Gate(LOW_PASS, 0.85, below=True))
DBD_SET = DBDConfig(gate=Gate(AGREEMENT, 0.6))
OWN_GATE = Gate(VIEW_DRIFT, 0.8)
SHIFT_SET = ShiftConfig(Gate(UNISON, 0.7), strength=2.5, calm=0.5)
OWN_SET = OwnConfig(
    OWN_GATE, Budget(4 / 255, 4 / 255, 1), beta=None, aim=("one pixel right", "mirrored"), looks=(0, 3)
)
SETS = {
    "doc": DOC_SET, "mac": MAC_SET, "padding": PADDING_SET, "csr": CSR_SET, "dbd": DBD_SET,
    "shift": SHIFT_SET, "default": OWN_SET,
}  # fmt: skip


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
        delta = deltas[-1] / (1 + math.exp(-(d.item() - MAC_SET.gate.threshold) * MAC_SET.gate.slope))
        total = total + classify_one(clip, view + delta, words)
    return total / 2


def blurred(x, radius):
    """CSR's filter on the whole, centred spectrum."""
    centre = SIDE // 2
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    mask = torch.exp(-((rows - centre) ** 2 + (columns - centre) ** 2) / (2 * radius**2))
    spectrum = torch.fft.fftshift(torch.fft.fft2(x), dim=(-2, -1)) * mask
    return torch.fft.ifft2(torch.fft.ifftshift(spectrum, dim=(-2, -1))).real.clamp(0, 1)


def naive_low_pass(clip, x, words, die):
    return classify_one(clip, blurred(x, SIDE * 40 / 224), words)


def naive_padding(clip, x, words, die):
    edge = round(SIDE * 32 / 224)
    inner = SIDE - 2 * edge
    small = F.interpolate(x[None], (inner, inner), mode="bilinear", antialias=True, align_corners=False)[0]
    framed = torch.zeros_like(x)
    framed[:, edge : edge + inner, edge : edge + inner] = small
    f, g = clip.encode(torch.stack([x, framed]))
    return classify_one(
        clip, x if f @ g / f.norm() / g.norm() > PADDING_SET.gate.threshold else framed, words
    )


def naive_csr(clip, x, words, die):
    f = clip.encode(x[None])[0]
    low = clip.encode(blurred(x, SIDE * 40 / 224)[None])[0]

    def climbed(p):
        here = clip.encode(p[None])[0]
        return F.cosine_similarity(here, low, dim=0) - F.cosine_similarity(here, f, dim=0)

    if F.cosine_similarity(f, low, dim=0) >= CSR_SET.gate.threshold:
        return classify_one(clip, x, words)
    points = [torch.zeros_like(x)]
    for _ in range(3):
        points.append(climb(climbed, x, points[-1], 4 / 255, 2 / 255, 1))
    return classify_one(clip, x + max(points, key=lambda delta: climbed(x + delta)), words)


def naive_dbd(clip, x, words, die):
    views = dbd_views(x[None], [die])[:, 0]
    z = F.normalize(clip.encode(x[None])[0], dim=0)
    chances = [classify_one(clip, view, words).softmax(0) for view in views]
    surest = sorted(range(31), key=lambda i: -(chances[i] * chances[i].log()).sum())[:16]
    shifts = [F.normalize(clip.encode(views[i][None])[0], dim=0) - z for i in surest]
    shift = sum(shifts) / 16
    score = sum(F.cosine_similarity(each, shift, dim=0) for each in shifts) / 16
    return clip.logits((z + (2.5 if score > DBD_SET.gate.threshold else 1) * shift)[None], words)[0]


def naive_agc(clip, x, words, die):
    z = F.normalize(clip.encode(x[None])[0], dim=0)
    views = [F.normalize(clip.encode(perspective(x[None], [die]))[0], dim=0) for _ in range(32)]
    anchor = F.normalize(sum(views), dim=0)
    outlierness = sum(1 - v @ z for v in views) / 32
    pairs = [views[i] @ views[j] for i in range(32) for j in range(32) if i != j]
    trust = (1 + sum(pairs) / len(pairs)) / 2
    beta = 0.45 + (2.25 - 0.45) * outlierness**0.9 * trust
    angle = torch.acos(z @ anchor)
    gone = (torch.sin((1 - beta) * angle) * z + torch.sin(beta * angle) * anchor) / torch.sin(angle)
    return clip.logits(gone[None], words)[0]


def naive_tvss(clip, x, words, die):
    """With the optimiser itself, and the subspace from the residuals' second moments."""
    views = [resized_crop(x[None], [die])[0] for _ in range(8)]
    z, *crops = (F.normalize(clip.encode(each[None])[0], dim=0) for each in [x, *views])
    moments = sum(torch.outer(crop - z, crop - z) for crop in crops).double()
    energies, directions = torch.linalg.eigh(moments)
    energies, directions = energies.flip(0), directions.flip(1).float()
    m = next(i for i in range(1, len(crops) + 1) if energies[:i].sum() >= 0.9 * energies.sum())
    reliable = []
    for i, crop in enumerate(crops):
        near = sorted((float(crop @ other) for j, other in enumerate(crops) if j != i), reverse=True)
        reliable.append(math.exp(sum(near[:5]) / 5 / 0.05))
    alpha = torch.zeros(m, requires_grad=True)
    optimiser = torch.optim.AdamW([alpha], lr=0.1)
    chances = [clip.logits((c + directions[:, :m] @ alpha)[None], words)[0].softmax(0) for c in crops]
    loss = sum(-r * (p * p.log()).sum() for r, p in zip(reliable, chances)) / sum(reliable)
    loss.backward()
    optimiser.step()
    moved = [clip.logits((c + directions[:, :m] @ alpha)[None], words)[0].softmax(0) for c in crops]
    return (sum(r * p for r, p in zip(reliable, moved)) / sum(reliable)).log()


def naive_smoothing(clip, x, words, die):
    draws = [x + 0.05 * torch.empty(x.shape).normal_(generator=die) for _ in range(8 + 32)][8:]
    answers = [classify_one(clip, draw, words) for draw in draws]
    votes = torch.zeros(len(words))
    for logits in answers:
        votes[logits.argmax()] += 1
    return ((votes + sum(logits.softmax(0) for logits in answers) / 32) / 33).log()


def suspected(clip, x):
    """Our gate: how far one pixel and a mirror move the embedding, on the mean."""
    edged = F.pad(x[None], [1] * 4, mode="replicate")[0]
    places = ((2, 1), (0, 1), (1, 2), (1, 0))  # up, down, left, right
    views = [edged[:, row : row + SIDE, column : column + SIDE] for row, column in places]
    f = clip.encode(x[None])[0]
    moved = [(clip.encode(view[None])[0] - f).norm() / f.norm() for view in [*views, x.flip(-1)]]
    return sum(moved) / 5 > OWN_GATE.threshold, views


def looked(clip, x, number):
    return F.normalize(clip.encode(look(x[None], torch.tensor([LOOKS[number]])))[0], dim=0)


def naive_default(clip, x, words, die):
    engaged, (_, _, _, right) = suspected(clip, x)
    if not engaged:
        return classify_one(clip, x, words)
    f = clip.encode(x[None])[0]
    edges = F.pad(x[None], [1] * 4, mode="replicate")[0]
    assert torch.equal(right, edges[:, 1:-1, :-2])

    def pushed(p):
        moved = F.pad(p[None], [1] * 4, mode="replicate")[0][:, 1:-1, :-2]
        seen = clip.encode(torch.stack([p, moved, p.flip(-1)]))
        return (seen.mean(0) - f).pow(2).sum()

    away = x + climb(pushed, x, torch.zeros_like(x), 4 / 255, 4 / 255, 1)
    mean = (looked(clip, away, 0) + looked(clip, away, 3)) / 2
    return clip.logits(mean[None], words)[0]


def farther(x):
    """The picture at nine tenths of its size, its reflection around it: bilinear, row by row."""
    weights = torch.zeros(SIDE, SIDE)
    for i in range(SIDE):
        place = abs(10 / 9 * (i + 0.5 - SIDE / 2) + SIDE / 2)  # from the upper border
        place = min(max(min(place, 2 * SIDE - place) - 0.5, 0), SIDE - 1)
        weights[i, int(place)] += 1 - place % 1
        weights[i, min(int(place) + 1, SIDE - 1)] += place % 1
    return weights @ x @ weights.T


def naive_shift(clip, x, words, die):
    stored = jpeg(x[None], 60)[0]
    edged = F.pad(x.flip(-1)[None], [3, 0, 3, 0], mode="replicate")[0][:, :SIDE, :SIDE]
    z, jpeg_z, moved_z, far_z = (
        F.normalize(clip.encode(view[None])[0], dim=0) for view in (x, stored, edged, farther(x))
    )
    shifts = [v - z for v in (jpeg_z, moved_z, looked(clip, x, 4), far_z)]
    mean = sum(shifts) / 4
    score = sum(F.cosine_similarity(each, mean, dim=0) for each in shifts) / 4
    return clip.logits((z + (2.5 if score > SHIFT_SET.gate.threshold else 0.5) * mean)[None], words)[0]


NAIVE = {
    "rn": naive_rn,
    "tte": naive_tte,
    "anti_adversary": naive_anti_adversary,
    "hedge": naive_hedge,
    "ttc": naive_ttc,
    "doc": naive_doc,
    "mac": naive_mac,
    "low_pass": naive_low_pass,
    "padding": naive_padding,
    "csr": naive_csr,
    "dbd": naive_dbd,
    "agc": naive_agc,
    "tvss": naive_tvss,
    "smoothing": naive_smoothing,
    "shift": naive_shift,
    "default": naive_default,
}
