"""A closed-form image encoder and classifier, so that recorded numbers can be reproduced anywhere without weights.

It stands in for CLIP in the recorded cases: pixels [B, 3, 12, 12] in [0, 1] -> raw features [B, 24], and logits
[B, 7] = exp(4.6052) * cosine similarity with seven fixed text features.
"""
import torch
import torch.nn.functional as F

IMAGE_SIZE, HIDDEN, FEATURES, CLASSES = 12, 40, 24, 7
LOGIT_SCALE = torch.tensor(4.6052).exp()


def _weights(rows: int, cols: int, k: float) -> torch.Tensor:
    i = torch.arange(rows, dtype=torch.float64).view(-1, 1)
    j = torch.arange(cols, dtype=torch.float64).view(1, -1)
    return torch.sin(k * (1 + i * 0.37) * (1 + j * 0.113) + k)


def build(gain: float):
    """Return (encode, classify) for one gain; a larger gain makes the encoder more non-linear."""
    inputs = 3 * IMAGE_SIZE * IMAGE_SIZE
    first = (_weights(HIDDEN, inputs, 1.3) / inputs**0.5 * gain).float()
    second = (_weights(FEATURES, HIDDEN, 0.7) / HIDDEN**0.5).float()
    bias = torch.linspace(-0.5, 0.5, FEATURES)
    text = F.normalize(_weights(CLASSES, FEATURES, 2.1).float(), dim=-1)

    def encode(pixels: torch.Tensor) -> torch.Tensor:
        return torch.tanh((pixels - 0.5).flatten(1) @ first.T) @ second.T + bias

    def classify(pixels: torch.Tensor) -> torch.Tensor:
        return F.normalize(encode(pixels), dim=-1) @ text.T * LOGIT_SCALE

    return encode, classify
