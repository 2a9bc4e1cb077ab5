"""The patch: a square of the size that was asked for, at a place from the dice, and nothing outside it."""

import pytest
import torch

from demo_core.attacks import ATTACKS
from demo_core.patch import square_mask
from tests.conftest import dice


@pytest.mark.parametrize("share, side", [(0.05, 3), (0.15, 10), (0.3, 19), (0.001, 1), (1.0, 64)])
def test_the_patch_has_the_size_that_was_asked_for(share, side, photographs):
    mask = square_mask(photographs, share, dice(4))
    assert mask.shape == (4, 1, 64, 64) and (mask.flatten(1).sum(1) == side**2).all()
    assert all(m.any(2).sum() == side and m.any(1).sum() == side for m in mask.bool())


def test_its_place_is_drawn_for_each_picture_and_not_for_its_batch(photographs):
    whole = square_mask(photographs, 0.15, dice(4))
    assert not torch.equal(whole[0], whole[1])
    assert torch.equal(whole[2:3], square_mask(photographs[2:3], 0.15, dice(1, first=2)))


def test_it_moves_no_pixel_outside_and_any_inside(classify, photographs):
    labels = classify(photographs).argmax(1)
    steps = list(
        ATTACKS["patch"].run(classify, photographs, labels, eps=0, steps=20, generator=dice(4), patch=0.2)
    )
    mask = square_mask(photographs, 0.2, dice(4)).expand(-1, 3, -1, -1) > 0
    assert len(steps) == 21
    for step in steps:
        assert (step.delta[~mask] == 0).all()
        assert (photographs + step.delta).min() >= -1e-6 and (photographs + step.delta).max() <= 1 + 1e-6
    assert steps[-1].delta.abs().max() > 64 / 255
    assert (steps[-2].objective > steps[0].objective).all()
