"""Randomised smoothing (Cohen, Rosenfeld & Kolter, ICML 2019, arXiv 1902.02918): the answer that most draws
of Gaussian noise give, and how far no attack at all can turn it.

What is certified is the smoothed classifier, the answer that most of *all* noise gives; the draws tell it
with a chance of error of `alpha`. Noise is added in pixel units and not cut to the pixel range, as the proof
wants it, so that radii are l2 distances between pictures in [0,1].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import torch
import torch.nn.functional as F
from scipy.stats import binomtest

from demo_core.ascent import Dice, gaussian
from demo_core.clip import ZeroShotCLIP
from demo_core.defenses.averages import log_mean
from demo_core.defenses.published import answer
from demo_core.defenses.signals import CERTIFIED
from demo_core.defenses.views import over_stack
from demo_core.moments import Defended, Defending, Looked, Measured

ABSTAINS = 0.0  # the radius of an answer that is not certified


@dataclass(frozen=True)
class SmoothingConfig:
    """sigma: the noise's standard deviation, in pixel units; guesses: draws that name the label to certify
    (the paper's n0); draws: those that vote, and that the certificate is reckoned from (its n); alpha: the
    chance that a certificate is wrong, at the most."""

    sigma: float = 0.05
    guesses: int = 8
    draws: int = 32
    alpha: float = 0.001


def least_share(hits: int, draws: int, alpha: float) -> float:
    """The lower end of Clopper and Pearson's one-sided interval: the share of all noise that gives a label
    which `hits` of so many draws gave is less with a chance of at most alpha."""
    return float(binomtest(hits, draws, alternative="greater").proportion_ci(1 - alpha, "exact").low)


def radius_of(hits: int, draws: int, sigma: float, alpha: float) -> float:
    """The l2 radius within which no perturbation turns the smoothed answer, sigma times the normal quantile
    of that share; ABSTAINS where the share may be no majority."""
    share = least_share(hits, draws, alpha)
    return NormalDist(0, sigma).inv_cdf(share) if share > 0.5 else ABSTAINS


def linf_within(radius: float, numbers: int) -> float:
    """The largest l-inf ball inside an l2 ball around so many numbers: a perturbation of eps in every one of
    them is eps times the root of their count long."""
    return radius / math.sqrt(numbers)


def noisy_logits(
    clip: ZeroShotCLIP, pixels: torch.Tensor, text: torch.Tensor, sigma: float, draws: int, dice: Dice = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """So many noisy versions of the pictures, [N,B,3,H,W], and the bare model's logits of them [N,B,K]."""
    views = torch.stack([pixels + sigma * gaussian(pixels.shape, dice).to(pixels) for _ in range(draws)])
    return views, over_stack(lambda x: answer(clip, x, text), views)


def radii(guessed: torch.Tensor, voted: torch.Tensor, sigma: float, alpha: float) -> torch.Tensor:
    """The certified radius [B] of the label that most of the guesses gave, labels [n0,B], by the votes
    [n,B], which know nothing of the guesses. Over ABSTAINS it is the majority of the votes, too."""
    hits = (voted == guessed.mode(0).values).sum(0).tolist()
    return torch.tensor([radius_of(count, len(voted), sigma, alpha) for count in hits])


def majority(logits: torch.Tensor) -> torch.Tensor:
    """Logits [B,K] whose softmax is the share of votes, from those of all draws [N,B,K]; the mean of the
    draws' probabilities counts as one vote more, which breaks ties. Votes have no gradient: backwards it is
    that mean's, an attacker's usual stand-in (Salman et al., NeurIPS 2019)."""
    mean = log_mean(logits)
    with torch.no_grad():
        votes = F.one_hot(logits.argmax(-1), logits.shape[-1]).sum(0)
        shares = torch.logaddexp(votes.to(mean).log(), mean) - math.log(len(logits) + 1)
    return mean + (shares - mean).detach()


def smoothed(
    clip: ZeroShotCLIP,
    pixels: torch.Tensor,
    text: torch.Tensor,
    dice: Dice = None,
    config: SmoothingConfig = SmoothingConfig(),
) -> Defending:
    """The picture is answered by the majority of noisy draws, with the radius that is certified for it.

    The paper abstains where nothing is certified; a row has to answer, so the majority stands there too,
    with a radius of 0, and accuracies count it.
    """
    views, logits = noisy_logits(clip, pixels, text, config.sigma, config.guesses + config.draws, dice)
    labels = logits.argmax(-1)
    radius = radii(labels[: config.guesses], labels[config.guesses :], config.sigma, config.alpha)
    yield Measured(CERTIFIED, radius, torch.ones(len(pixels)))
    yield Looked(views, logits)
    return Defended(pixels, majority(logits[config.guesses :]), {CERTIFIED: radius})


def certified(
    clip: ZeroShotCLIP,
    pixels: torch.Tensor,
    text: torch.Tensor,
    config: SmoothingConfig,
    dice: Dice = None,
    at_once: int = 32,
) -> tuple[int, float]:
    """The paper's CERTIFY on one picture [1,3,H,W], with as many draws as one likes, so many at once: the
    label that its guesses name, and its radius, ABSTAINS where the votes do not bear it out."""
    found, left = [], config.guesses + config.draws
    while left:
        some = min(at_once, left)
        with torch.no_grad():
            found.append(noisy_logits(clip, pixels, text, config.sigma, some, dice)[1].argmax(-1))
        left -= some
    labels = torch.cat(found)
    guessed, voted = labels[: config.guesses], labels[config.guesses :]
    return int(guessed.mode(0).values), float(radii(guessed, voted, config.sigma, config.alpha))
