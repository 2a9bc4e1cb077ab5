"""Randomised smoothing: its certificate, against the formulas of the paper and against a classifier whose
smoothed answer is known, and the command that counts it."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from scipy.stats import beta, norm

from demo_core.ascent import gaussian
from demo_core.benchmark import certify
from demo_core.benchmark.certify import certificates, certified_table
from demo_core.benchmark.piles import held
from demo_core.benchmark.run import Bench
from demo_core.defenses import CERTIFIED, DEFENSES, SmoothingConfig, certified, linf_within
from demo_core.defenses.smoothing import ABSTAINS, majority, radii, radius_of, smoothed
from demo_core.moments import exhausted
from tests.conftest import dice

SIDE = 8


def half_space(offset: float) -> SimpleNamespace:
    """A classifier that says 1 where the mean pixel is over `offset`: under noise of sigma its smoothed
    answer turns exactly where the mean does, at an l2 distance of (mean - offset) * sqrt(numbers)."""

    def encode(pixels):
        over = pixels.flatten(1).mean(1) - offset
        return torch.stack([-over, over], 1)

    return SimpleNamespace(encode=encode, logits=lambda features, text: 50 * features)


@pytest.mark.parametrize(
    "hits, draws", [(100, 100), (99, 100), (60, 64), (32, 32), (51, 100), (20, 32), (0, 32)]
)
def test_a_radius_is_the_papers(hits, draws):
    """sigma times the normal quantile of the Clopper-Pearson bound, which is a quantile of a beta."""
    share = beta.ppf(0.001, hits, draws - hits + 1) if hits else 0.0
    wanted = 0.25 * norm.ppf(share) if share > 0.5 else ABSTAINS
    assert radius_of(hits, draws, 0.25, 0.001) == pytest.approx(wanted, abs=1e-9)


def test_only_votes_count_for_a_label_that_others_named():
    """The second picture's guesses name what its votes do not give."""
    guessed = torch.tensor([[1, 1], [1, 1], [0, 0]])
    voted = torch.tensor([[1, 0]] * 20)
    first, second = radii(guessed, voted, 0.1, 0.001).tolist()
    assert first == pytest.approx(radius_of(20, 20, 0.1, 0.001), rel=1e-6) and second == ABSTAINS


def test_no_certificate_reaches_beyond_where_the_answer_turns():
    """Half a sigma away from where the smoothed answer turns: certified, and by no more than that."""
    config = SmoothingConfig(sigma=0.1, guesses=100, draws=2000)
    distance = 0.05
    pixels = torch.full((1, 3, SIDE, SIDE), 0.5)
    clip = half_space(0.5 - distance / math.sqrt(pixels.numel()))
    found = [certified(clip, pixels, None, config, torch.Generator().manual_seed(s), 64) for s in range(5)]
    assert all(label == 1 and 0.5 * distance < radius <= distance for label, radius in found)
    at_the_edge = certified(half_space(0.5), pixels, None, config, torch.Generator().manual_seed(0))
    assert at_the_edge[1] == ABSTAINS


def test_noise_is_not_cut_to_the_pixel_range():
    """On black and on white the answer is that of whole noise; cut, its mean would be grey."""
    for grey in (0.0, 1.0):
        pixels = torch.full((1, 3, SIDE, SIDE), grey)
        clip = half_space(grey - 0.01 if grey else grey + 0.01)
        found = exhausted(smoothed(clip, pixels, None, dice(1), SmoothingConfig(sigma=0.1)))
        assert found.logits.argmax(1).item() == int(grey) and found.signals[CERTIFIED] > 0


def test_the_answer_is_the_share_of_votes_and_ties_go_to_the_likelier():
    logits = torch.tensor([[[9.0, 0.0, 0.0]], [[9.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]], [[0.0, 1.0, 0.0]]])
    shares = majority(logits).softmax(-1)[0]
    mean = logits.softmax(-1).mean(0)[0]
    torch.testing.assert_close(shares, (torch.tensor([2.0, 2.0, 0.0]) + mean) / 5)
    assert shares.argmax() == 0


def test_an_attacker_gets_the_gradient_of_the_mean():
    logits = torch.randn(6, 2, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (found,) = torch.autograd.grad(majority(logits)[:, 1].sum(), logits)
    (wanted,) = torch.autograd.grad(logits.softmax(-1).mean(0).log()[:, 1].sum(), logits)
    torch.testing.assert_close(found, wanted)


def test_an_eps_in_every_pixel_is_as_long_as_its_root():
    assert linf_within(0.25, 3 * 224 * 224) * 255 == pytest.approx(0.1643, abs=1e-4)


def test_gaussian_dice_are_each_pictures_own():
    whole = gaussian((3, 3, 64, 64), dice(3))
    assert torch.equal(whole[1:2], gaussian((1, 3, 64, 64), dice(3)[1:2]))
    assert abs(whole.mean().item()) < 0.02 and whole.std().item() == pytest.approx(1, abs=0.02)


def test_the_command_counts_what_is_right_and_certified(clip, photographs):
    """One label of four is not the picture's own."""
    names = ["tabby cat", "goldfish"]
    with torch.no_grad():
        labels = clip.classifier(names, "a photo of a {}.")(photographs).argmax(1)
    labels[0] = 1 - labels[0]
    bench = Bench(clip, held((photographs * 255).round().byte(), labels, names), tile=8)
    config = SmoothingConfig(sigma=0.01, guesses=4, draws=16)
    found = list(certificates(bench, config))
    assert len(found) == 4 and not found[0][0] and any(right and reaches > 0 for right, reaches in found)
    assert found == list(certificates(bench, config))
    table = certified_table({0.01: found, 0.02: [(True, 0.03), (False, 1.0)]}, 3 * 224 * 224)
    assert list(table.index) == ["0", "0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1"]
    assert list(table["sigma 0.02"]) == ["50.0"] * 3 + ["0.0"] * 5


def test_bad_input_of_the_command_is_one_sentence(capsys):
    with pytest.raises(SystemExit, match="certify nothing, even where all agree: choose --draws 10 or more"):
        certify.main(["--datasets", "CIFAR10", "--draws", "9"])
    with pytest.raises(SystemExit):
        certify.main(["--datasets", "CIFAR10", "--sigmas", "0"])
    assert "“0” is no noise" in capsys.readouterr().err


def test_the_row_says_its_radius(clip, photographs):
    """And answers with what is certified."""
    config = replace(SmoothingConfig(), sigma=0.01, guesses=4, draws=12)
    text = clip.text_features(["tabby cat", "goldfish", "rocket"], "a photo of a {}.")
    with torch.no_grad():
        found = exhausted(DEFENSES["smoothing"].run(clip, photographs, text, dice(4), config))
        bare = clip.logits(clip.encode(photographs), text)
    sure = found.signals[CERTIFIED] > 0
    assert sure.any() and found.signals[CERTIFIED].max() <= radius_of(12, 12, 0.01, 0.001) + 1e-6
    assert torch.equal(found.logits.argmax(1)[sure], bare.argmax(1)[sure])
