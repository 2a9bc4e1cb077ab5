"""Every row of the defence table: invariants on the model in the box, and each published defence against a
plain transcription of its equations, one picture at a time, on a closed-form encoder."""

import math
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms.v2 import functional as vision

from demo_core.adaptive import through
from demo_core.ascent import Budget, random_start, uniform
from demo_core.benchmark.piles import held
from demo_core.benchmark.run import Bench
from demo_core.benchmark.trials import Trial
from demo_core.clip import count_passes, in_bf16, in_tiles
from demo_core.defenses import (
    DEFENSES,
    ENGAGED,
    VIEW_DRIFT,
    Gate,
    OwnConfig,
    augmented,
    look,
    transformed,
    ttc,
)
from demo_core.defenses.subspace import crop_weights
from demo_core.labels import DEFAULT_TEMPLATE, PRESETS
from demo_core.models import profile_of
from demo_core.moments import Moved, exhausted, watched
from tests.conformance import encoder
from tests.conftest import dice
from tests.transcriptions import NAIVE, SETS, SIDE, classify_one, noise_one

PHOTO = profile_of("photo")

LABELS = PRESETS["Everyday"]
MAY_LEAVE = ("ttc", "doc", "default")  # whose gate may leave a picture without a draw, or draws none


@pytest.fixture(scope="module")
def text(clip):
    return clip.text_features(LABELS, DEFAULT_TEMPLATE)


@torch.no_grad()
def run(row, clip, pixels, text, seed=0, profile=PHOTO):
    return exhausted(row.on(profile)(clip, pixels, text, dice(len(pixels), seed)))


@pytest.mark.parametrize("key", DEFENSES)
class TestEveryDefense:
    def test_shapes_and_pixel_range(self, key, clip, photographs, text):
        pixels = torch.cat([photographs, torch.zeros(1, 3, 64, 64), torch.ones(1, 3, 64, 64)])
        result = run(DEFENSES[key], clip, pixels, text)
        assert result.logits.shape == (6, len(LABELS)) and result.logits.isfinite().all()
        assert (
            result.pixels.shape == pixels.shape
            and result.pixels.min() >= -1e-6
            and result.pixels.max() <= 1 + 1e-6
        )
        torch.testing.assert_close(result.probabilities.sum(1), torch.ones(6))
        assert all(signal.shape == (6,) for signal in result.signals.values())
        assert torch.is_grad_enabled()

    def test_same_dice_same_answer(self, key, clip, photographs, text):
        one, again, other = (run(DEFENSES[key], clip, photographs, text, seed).logits for seed in (0, 0, 1))
        assert torch.equal(one, again)
        if DEFENSES[key].exact:
            assert torch.equal(one, other)
        elif key not in MAY_LEAVE:
            assert not torch.equal(one, other)

    def test_a_picture_does_not_feel_its_batch(self, key, clip, photographs, text):
        """In tiles, not by a bit."""
        with in_tiles(8), torch.no_grad():
            whole = run(DEFENSES[key], clip, photographs, text).logits
            alone = exhausted(DEFENSES[key].on(PHOTO)(clip, photographs[2:3], text, dice(4)[2:3])).logits
        assert torch.equal(whole[2:3], alone)

    def test_an_attacker_can_differentiate_it(self, key, clip, photographs, text):
        pixels = photographs.clone().requires_grad_(True)
        logits = through(DEFENSES[key].on(PHOTO), clip, text, dice(4), samples=2)(pixels)
        (gradient,) = torch.autograd.grad(logits[:, 0].sum(), pixels)
        assert gradient.isfinite().all() and (gradient.flatten(1).norm(dim=1) > 0).all()


@pytest.mark.parametrize("key", DEFENSES)
def test_who_watches_sees_the_steps_and_changes_nothing(key, clip, photographs, text):
    """As many steps as the row says, from a start inside the eps-ball to the end; a picture that is left
    alone has none; no gradient is kept, and the answer is the one of who does not watch."""
    row = DEFENSES[key]
    moments, defending = [], watched(row.on(PHOTO)(clip, photographs, text, dice(4)))
    while True:
        try:
            moments.append(next(defending))
        except StopIteration as end:
            defended = end.value
            break
    assert torch.is_grad_enabled() and torch.equal(defended.logits, run(row, clip, photographs, text).logits)
    steps = [moment for moment in moments if isinstance(moment, Moved)]
    assert not steps or len(steps) == row.steps(PHOTO) + 1
    for step in steps:
        assert step.delta.shape == photographs[step.rows].shape and not step.delta.requires_grad
        if step.features is not None:
            here = clip.encode(photographs[step.rows] + step.delta)
            torch.testing.assert_close(step.features, here, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "key, forward, backward",
    [
        ("none", 1, 0),
        ("rn", 1, 0),
        ("tte", 10, 0),
        ("anti_adversary", 4, 2),
        ("hedge", 5, 4),
        ("ttc", 4, 2),
        ("doc", 9, 4),
        ("mac", 14, 8),
        ("default", 16, 6),
        ("low_pass", 1, 0),
        ("padding", 2, 0),
        ("dbd", 32, 0),
        ("agc", 33, 0),
        ("tvss", 9, 0),
        ("smoothing", 40, 0),
        ("shift", 5, 0),
    ],
)
def test_passes_are_counted(key, forward, backward, clip, photographs, text, monkeypatch):
    """By hand, with every gate open. TTC: the picture, the noise (which is step 0), step 1, the answer."""
    budget, aim = Budget(steps=2), ("one pixel right", "mirrored")
    profile = replace(PHOTO, own=OwnConfig(Gate(VIEW_DRIFT, -1.0), budget, aim=aim, looks=(0, 1, 2, 3)))
    monkeypatch.setattr(
        "demo_core.counterattack.relative_drift", lambda moved, anchor: torch.zeros(len(moved))
    )
    with count_passes() as passes:
        run(DEFENSES[key], clip, photographs, text, profile=profile)
    assert (passes.forward, passes.backward) == (4 * forward, 4 * backward)


def test_attacks_in_bfloat16_do_not_break_a_defence(clip, photographs, text):
    """Only the image features are in bfloat16: the random views of MAC, say, stay as they are."""
    whole = run(DEFENSES["mac"], clip, photographs, text)
    with in_bf16():
        half = run(DEFENSES["mac"], clip, photographs, text)
    assert half.logits.dtype == torch.float32 and not torch.equal(half.logits, whole.logits)
    assert torch.equal(run(DEFENSES["mac"], clip, photographs, text).logits, whole.logits)
    torch.testing.assert_close(
        half.signals["corruption degree"], whole.signals["corruption degree"], atol=0.05, rtol=0.05
    )


@pytest.mark.slow
@pytest.mark.parametrize("key", [key for key in DEFENSES if key != "none"])
def test_an_adaptive_attack_is_stronger_than_the_static_one(key, clip, photographs, text):
    """PGD that knows the defence leaves the label no more defended probability than PGD on the bare model
    does, on draws that it has not seen; and less, where that left some."""
    labels = run(DEFENSES["none"], clip, photographs, text).logits.argmax(1)
    pile = held((photographs * 255).round().to(torch.uint8), labels, LABELS)
    bench, batch = Bench(clip, pile, tile=8, profile=PHOTO), pile.load(torch.arange(4))
    left = []
    for trial in (Trial("pgd", 1, 4), Trial("pgd", 1, 4, adaptive=True)):
        pixels = bench.attacked(trial, batch, key)
        judged = [run(DEFENSES[key], clip, pixels, text, seed).probabilities for seed in (1, 2)]
        left.append(torch.stack(judged).mean(0).gather(1, labels[:, None]).mean().item())
    static, adaptive = left
    assert adaptive <= static + 0.02  # the luck of the draws
    assert static < 0.3 or adaptive < static - 0.03


@pytest.fixture(scope="module")
def small():
    encode, _ = encoder.build(3.0)
    words = F.normalize(torch.randn(5, 24, generator=torch.Generator().manual_seed(1)), dim=1)
    clip = SimpleNamespace(
        encode=encode,
        probe=encode,
        original=None,
        logits=lambda f, t: 20 * F.normalize(f, dim=-1) @ t.T,
    )
    return clip, torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2)), words


@pytest.mark.parametrize("key", NAIVE)
def test_against_a_transcription_of_the_equations(key, small):
    clip, pictures, words = small
    row = DEFENSES[key].run
    if key in SETS:  # gates are set so that some open, and soft ones in part, on this encoder
        row = partial(row, config=SETS[key])
    with torch.no_grad():
        defended = exhausted(row(clip, pictures, words, dice(3)))
        found = defended.logits
    if key in ("padding", "csr", "shift", "default"):
        assert 0 < defended.signals[ENGAGED].sum() < 3
    for i, x in enumerate(pictures):
        torch.testing.assert_close(
            found[i], NAIVE[key](clip, x, words, dice(3)[i]).detach(), atol=2e-3, rtol=1e-3
        )


def test_a_crop_counts_as_much_as_others_lie_near_it():
    """By hand; nothing counts that a crop is near itself."""
    views = F.normalize(torch.randn(7, 2, 4, generator=torch.Generator().manual_seed(0)), dim=-1)
    found = crop_weights(views, 2, 0.05)
    for picture in range(2):
        likeness = views[:, picture] @ views[:, picture].T
        near = [sorted(row.tolist(), reverse=True)[1:3] for row in likeness]
        wanted = torch.tensor([sum(two) / 2 / 0.05 for two in near]).softmax(0)
        torch.testing.assert_close(found[:, picture], wanted, atol=1e-5, rtol=1e-4)


def test_an_unrolled_counterattack_has_the_gradient_of_its_steps(small):
    """One picture at a time, by the book: every step's gradient is kept in the graph, and so is the
    anchor."""
    clip, pictures, words = small
    pixels, weights = pictures.clone().requires_grad_(), torch.randn(5)
    found = exhausted(ttc(clip, pixels, words, dice(3), unroll=True)).logits
    with torch.no_grad():
        torch.testing.assert_close(found, exhausted(ttc(clip, pictures, words, dice(3))).logits)
    (gradient,) = torch.autograd.grad((found * weights).sum(), pixels)
    (constant,) = torch.autograd.grad(
        (exhausted(ttc(clip, pixels, words, dice(3))).logits * weights).sum(), pixels
    )
    engaged = 0
    for i, picture in enumerate(pictures):
        x = picture.clone().requires_grad_()
        f, n = clip.encode(x[None])[0], noise_one(picture, 4 / 255, dice(3)[i])
        tau = ((clip.encode((x + n)[None])[0] - f).norm() / f.norm()).item()
        deltas = [n.clone().requires_grad_()]
        for _ in range(2 if tau < 0.2 else 0):
            (g,) = torch.autograd.grad(
                (clip.encode((x + deltas[-1])[None])[0] - f).pow(2).sum(), deltas[-1], create_graph=True
            )
            size = g.detach().abs().mean()
            sign = g.detach().sign() + torch.tanh(g / size) - torch.tanh(g / size).detach()
            deltas.append((x + (deltas[-1] + sign / 255).clamp(-4 / 255, 4 / 255)).clamp(0, 1) - x)
        share = [math.exp(2 * j) for j in range(3)] if tau < 0.2 else [1.0]
        delta = sum(s * d for s, d in zip(share, deltas)) / sum(share)
        (mine,) = torch.autograd.grad((classify_one(clip, x + delta, words) * weights).sum(), x)
        torch.testing.assert_close(gradient[i], mine, atol=1e-3, rtol=1e-3)
        if tau < 0.2:
            engaged += 1
            assert (gradient[i] - constant[i]).norm() > 0.01 * constant[i].norm()
    assert engaged


def test_start_noise_is_each_pictures_own():
    pixels = torch.rand(3, 3, 4, 4)
    assert torch.equal(random_start(pixels, 0.1, dice(3))[1:2], random_start(pixels[1:2], 0.1, dice(3)[1:2]))
    assert uniform((3, 2), torch.Generator().manual_seed(0)).shape == (3, 2)


def test_transformed_views_begin_with_the_picture(photographs):
    views = transformed(photographs)
    assert (
        len(views) == 10
        and torch.equal(views[0], photographs)
        and torch.equal(views[5], photographs.flip(-1))
    )


def test_augmented_views_are_small_changes(photographs):
    views = augmented(photographs, dice(4))
    change = (views - photographs).abs().flatten(1).mean(1)
    assert views.min() >= 0 and views.max() <= 1 and ((change > 1e-3) & (change < 0.25)).all()


def test_a_look_is_turned_zoomed_and_mirrored_as_it_says():
    """Against other ways to the same pixels: a turn by 5°, a cut-out of five sixths in a corner, its mirror
    image."""
    picture = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    turned = vision.rotate(picture, 5, vision.InterpolationMode.BILINEAR)
    corner = F.interpolate(picture[..., 4:, :20], (24, 24), mode="bilinear", align_corners=False)
    for zoom, angle, down, right, wanted in (
        (-1.0, 0.0, 0.0, 0.0, picture),
        (-1.0, 1.0, 0.0, 0.0, turned),
        (1.0, 0.0, 1.0, -1.0, corner),
    ):
        for side, seen in ((1.0, wanted), (-1.0, wanted.flip(-1))):
            found = look(picture, torch.tensor([[zoom, angle, down, right, side]]))
            inner = (..., slice(2, -2), slice(2, -2))  # the border is filled in another way
            torch.testing.assert_close(found[inner], seen[inner], atol=1e-4, rtol=0)
