"""Our counterattack in feature space: a few exact views say both whether a picture was attacked and where its
embedding belongs. Nothing in it is drawn at random, and it moves no pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from demo_core.ascent import Dice
from demo_core.clip import ZeroShotCLIP
from demo_core.counterattack import Encode, Gate
from demo_core.defenses.random_views import as_constant, jpeg
from demo_core.defenses.shifts import stacked_logits, together, unit_features
from demo_core.defenses.signals import ENGAGED, UNISON
from demo_core.defenses.views import LOOKS, looking, shift
from demo_core.moments import Defended, Defending, Looked, Measured

# How the picture is seen, by name. Each view undoes an attack in part and in a way of its own, and leaves the
# thing in the picture what it is.
SEEN: dict[str, Encode] = {
    "stored as JPEG": partial(as_constant, partial(jpeg, quality=60)),
    "mirrored and moved": lambda pixels: shift(pixels.flip(-1), 3, 3),
    "closer": looking(LOOKS[4]),
    "farther": looking((-7 / 3, 0.0, 0.0, 0.0, 1.0)),  # at nine tenths of its size, its reflection around it
}


@dataclass(frozen=True)
class ShiftConfig:
    """The settings of our counterattack in feature space. gate: on UNISON; views: names of SEEN; strength:
    how many times their mean shift is taken where the gate opens (DBD's); calm: and where it does not."""

    gate: Gate = Gate(UNISON, 0.8)
    views: tuple[str, ...] = tuple(SEEN)
    strength: float = 2.5
    calm: float = 1.0


def seen(pixels: torch.Tensor, views: Sequence[str]) -> torch.Tensor:
    """The pictures [B,3,H,W] and these views of them, [1 + V,B,3,H,W]."""
    return torch.stack([pixels, *(SEEN[name](pixels) for name in views)])


def answer_of(features: torch.Tensor, config: ShiftConfig) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """From unit features [1 + V,B,D] of pictures, item 0, and of their views: what they are answered as
    [B,D], not normalised, the gate's signal [B], and for which of them it opens [B]."""
    mean, score = together(features[1:] - features[:1])
    engaged = config.gate.engages(score.detach())
    times = torch.where(engaged, config.strength, config.calm).unsqueeze(-1)
    return features[0] + times * mean, score, engaged


def shifted(
    clip: ZeroShotCLIP,
    pixels: torch.Tensor,
    text: torch.Tensor,
    dice: Dice = None,
    config: ShiftConfig = ShiftConfig(),
) -> Defending:
    """The unit embedding z is answered as z + s m, m being the mean shift from it to the unit embeddings of
    the views. An attack displaces z, and every view of it less: so the shifts of an attacked picture agree,
    where those of a clean one go as many ways as there are views. Where they agree, s goes past the views'
    mean, which the attack still displaces in part. What DBD does with 31 random views, and labels to choose
    among them, from a few exact ones and none. Which s counts as constant to one who differentiates."""
    views = seen(pixels, config.views)
    features = unit_features(clip, views)
    found, score, engaged = answer_of(features, config)
    signals = {config.gate.signal: score.detach(), ENGAGED: engaged}
    yield Measured(config.gate.signal, score.detach(), engaged.float())
    yield Looked(views, stacked_logits(clip, features, text))
    return Defended(pixels, clip.logits(found, text), signals)


def shifted_calmly(
    clip: ZeroShotCLIP,
    pixels: torch.Tensor,
    text: torch.Tensor,
    dice: Dice = None,
    config: ShiftConfig = ShiftConfig(),
) -> Defending:
    """What is left of it for a picture that its gate lets pass."""
    return (yield from shifted(clip, pixels, text, dice, replace(config, strength=config.calm)))


def unison(
    clip: ZeroShotCLIP, pixels: torch.Tensor, dice: Dice = None, config: ShiftConfig = ShiftConfig()
) -> torch.Tensor:
    """How well the shifts to the views agree [B], the signal of the gate; differentiable."""
    return answer_of(unit_features(clip, seen(pixels, config.views)), config)[1]
