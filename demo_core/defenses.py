"""How a model is defended: which signal gates the counterattack, with what budget, and over which views it is judged.

Two signals can gate. The paper's tau (counterattack.py) is *low* on attacked pictures of a large CLIP: they are
falsely stable. In small networks that does not show; there the drift under small exact views (a one-pixel shift, a
flip) is *high* on attacked pictures: the "corruption degree" of MAC (CVPR 2026), the subject of *Beyond False
Stability* (arXiv 2606.03730).
"""
from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from demo_core.ascent import random_start
from demo_core.counterattack import TTCConfig, counterattack, relative_drift, stability, weigh

TAU, VIEW_DRIFT = "tau", "view_drift"


@dataclass(frozen=True)
class Profile:
    """A model's default defence. The defaults here are the paper's.

    gate: TAU (engage where it is below the threshold) or VIEW_DRIFT (engage where it is above).
    threshold: of that signal. ttc: the counterattack's own settings. average_views: classify by the softmax averaged
    over the exact views of the defended picture. auc: how well each signal told attacked from clean pictures where
    this was calibrated. note: where the numbers come from, in words for the screen.
    """

    gate: str = TAU
    threshold: float = 0.2
    ttc: TTCConfig = field(default_factory=TTCConfig)
    average_views: bool = False
    auc: dict[str, float] = field(default_factory=dict)
    note: str = "The paper’s own rule and values."

    @property
    def noise_eps(self) -> float:
        """The size of the noise that the counterattack starts from. Under the tau gate it is also the probe, so it is
        the noise that tau is defined with (the paper's), whatever the budget."""
        return TTCConfig().eps if self.gate == TAU else self.ttc.eps

    def engages(self, signal: torch.Tensor) -> torch.Tensor:
        """[B] bool: does this signal [B] call for the counterattack?"""
        return signal < self.threshold if self.gate == TAU else signal > self.threshold

    @staticmethod
    def read(path: Path) -> Profile:
        fields = json.loads(path.read_text())
        return Profile(**{**fields, "ttc": TTCConfig(**fields["ttc"])})

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")


def shift(pixels: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """The picture moved by whole pixels, its border repeated: [B,3,H,W] -> [B,3,H,W]."""
    h, w = pixels.shape[-2:]
    rows = (torch.arange(h, device=pixels.device) - down).clamp(0, h - 1)
    columns = (torch.arange(w, device=pixels.device) - right).clamp(0, w - 1)
    return pixels[..., rows, :][..., columns]


VIEWS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "one pixel up": lambda x: shift(x, -1, 0),
    "one pixel down": lambda x: shift(x, 1, 0),
    "one pixel left": lambda x: shift(x, 0, -1),
    "one pixel right": lambda x: shift(x, 0, 1),
    "mirrored": lambda x: x.flip(-1),
}


def view_features(encode: Callable, pixels: torch.Tensor) -> torch.Tensor:
    """Features [1 + V, B, D] of the picture and of each of VIEWS, in one batch; differentiable."""
    stack = torch.stack([pixels, *(view(pixels) for view in VIEWS.values())])
    return encode(stack.flatten(0, 1)).unflatten(0, stack.shape[:2])


def view_drift(features: torch.Tensor) -> torch.Tensor:
    """Mean relative drift [B] of the embedding over the views, from view_features [1 + V, B, D]."""
    return relative_drift(features[1:], features[:1]).mean(0)


@torch.no_grad()
def gate_signal(encode: Callable, pixels: torch.Tensor, noise: torch.Tensor, profile: Profile) -> torch.Tensor:
    """The signal [B] that gates this profile; noise [B,3,H,W] is what tau is probed with."""
    if profile.gate == TAU:
        return stability(encode, pixels, noise)
    return view_drift(view_features(encode, pixels))


def judge(clip, pixels: torch.Tensor, text: torch.Tensor, profile: Profile) -> torch.Tensor:
    """Probabilities [B,K] as the profile classifies: plainly, or averaged over the exact views; differentiable."""
    if not profile.average_views:
        return clip.logits(clip.encode(pixels), text).softmax(-1)
    features = view_features(clip.encode, pixels)
    return clip.logits(features.flatten(0, 1), text).softmax(-1).unflatten(0, features.shape[:2]).mean(0)


@dataclass(frozen=True)
class Defended:
    """pixels: what was classified in the end [B,3,H,W]; probabilities [B,K]; signal [B]; engaged [B] bool."""

    pixels: torch.Tensor
    probabilities: torch.Tensor
    signal: torch.Tensor
    engaged: torch.Tensor


def purified(encode: Callable, pixels: torch.Tensor, noise: torch.Tensor, engaged: torch.Tensor,
             profile: Profile) -> torch.Tensor:
    """The pictures [B,3,H,W] after the counterattack on the rows where `engaged` [B] is true.

    As in the authors' code, a picture that the tau gate leaves alone keeps the probing noise. One that the view gate
    leaves alone is not touched at all, for nothing was added to probe it.
    """
    delta = noise.clone() if profile.gate == TAU else torch.zeros_like(noise)
    if engaged.any():
        path = counterattack(encode, pixels[engaged], noise[engaged], profile.ttc)
        delta[engaged] = weigh([step.delta for step in path], profile.ttc)
    return pixels + delta


@torch.no_grad()
def defend(clip, pixels: torch.Tensor, text: torch.Tensor, noise: torch.Tensor, profile: Profile) -> Defended:
    """The profile's whole defence on a batch; noise [B,3,H,W] probes tau and starts the counterattack."""
    signal = gate_signal(clip.probe, pixels, noise, profile)
    engaged = profile.engages(signal)
    defended = purified(clip.encode, pixels, noise, engaged, profile)
    return Defended(defended, judge(clip, defended, text, profile), signal, engaged)


def through_defence(clip, text: torch.Tensor, profile: Profile, generator: torch.Generator, samples: int = 1
                    ) -> Callable[[torch.Tensor], torch.Tensor]:
    """What an attacker who knows the defence attacks: pixels [B,3,H,W] -> defended log-probabilities [B,K].

    The gate and the counterattack run for real and count as a constant shift in the backward pass (BPDA, Athalye et
    al., ICML 2018); the views are differentiated through. Every call averages over `samples` fresh noises (EOT), so
    he knows the defence's code but not its dice. Give it to any attack of ATTACKS in place of the bare classifier.
    """
    def classify(pixels: torch.Tensor) -> torch.Tensor:
        found = []
        for _ in range(samples):
            noise = random_start(pixels.detach(), profile.noise_eps, generator)
            moved = defend(clip, pixels.detach(), text, noise, profile).pixels - pixels.detach()
            found.append(judge(clip, pixels + moved, text, profile))
        return torch.stack(found).mean(0).clamp(min=1e-12).log()

    return classify
