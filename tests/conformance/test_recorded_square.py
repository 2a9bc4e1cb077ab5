"""The Square attack against numbers recorded from torchattacks 3.5.1 (MIT), itself a port of AutoAttack's, on the closed-form encoder.

The draws cannot be matched, so robust accuracies are compared: the recorded ones are means over seeds 0 to 7 on 400 pictures,
with n_queries one less than `steps`, for it does not count the start. It draws one square for a whole batch, and so its
accuracy varies over seeds with a deviation of up to .06; ours, with a square for each picture, by .02.
"""
import pytest
import torch

from demo_core.ascent import last
from demo_core.attacks import ATTACKS
from tests.conformance import encoder

# (eps in 1/255, queries) -> robust accuracy
RECORDED = {(8, 20): 0.8956, (8, 100): 0.6466, (16, 20): 0.7978, (16, 100): 0.3866, (32, 20): 0.6194, (32, 100): 0.0981}
TOLERANCE = 0.045  # two standard errors of the recorded mean where it varies most


@pytest.mark.parametrize("eps, steps", RECORDED)
def test_square_is_as_strong_as_the_recorded_one(eps, steps):
    _, classify = encoder.build(3.0)
    pixels = torch.rand(400, 3, 12, 12, generator=torch.Generator().manual_seed(5))
    labels = classify(pixels).argmax(1)
    dice = [torch.Generator().manual_seed(i) for i in range(len(pixels))]
    end = pixels + last(ATTACKS["square"].run(classify, pixels, labels, eps=eps / 255, steps=steps, generator=dice)).delta
    right = (classify(end).argmax(1) == labels).float().mean().item()
    assert abs(right - RECORDED[eps, steps]) < TOLERANCE
