"""APGD against numbers recorded from torchattacks 3.5.1 (MIT), itself a port of AutoAttack's, on the closed-form encoder.

The recorded `result` is the last point that fooled the classifier and, where none did, the one of the highest loss.
That implementation compares the first loss of a run with the last place of an array that is still empty; on these
pictures it makes no difference.
"""
from pathlib import Path

import numpy as np
import pytest
import torch

from demo_core.ascent import last
from demo_core.attacks import apgd_ce, apgd_dlr
from tests.conformance import encoder

DATA = np.load(Path(__file__).parent / "apgd.npz")
CASES = [(attack, name, eps, steps) for attack, name in ((apgd_ce, "ce"), (apgd_dlr, "dlr")) for eps, steps in ((8, 20), (2, 50))]


@pytest.mark.parametrize("attack, name, eps, steps", CASES)
def test_apgd_ends_where_the_recorded_one_does(attack, name, eps, steps):
    _, classify = encoder.build(3.0)
    field = {key: torch.from_numpy(DATA[f"{name}.{eps}.{steps}.{key}"]) for key in ("start", "result", "right")}
    pixels, labels = (torch.from_numpy(DATA[key]) for key in ("pixels", "labels"))
    # `steps` there counts moves; here it counts gradients, the start's included
    end = pixels + last(attack(classify, pixels, labels, eps=eps / 255, steps=steps + 1, start=field["start"])).delta
    assert torch.equal(classify(end).argmax(1) == labels, field["right"])
    same = ((end - field["result"]).abs() < 1e-5).flatten(1).float().mean(1)
    # A pixel whose gradient is nought but for rounding may end on the other side of its ball.
    assert (same > 0.9).all() and same.mean() > 0.98
