"""Numbers recorded from the implementation that the paper's authors released, on the closed-form encoder."""
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from demo_core.attacks import cw, pgd
from demo_core.counterattack import TTCConfig, purify, stability
from tests.conformance import encoder

DATA = np.load(Path(__file__).parent / "cases.npz")
CASES = list(enumerate(json.loads(str(DATA["cases"]))))
AGREE, SAME_PIXELS = 1e-5, 0.999  # a sign can flip where a gradient is zero but for rounding


def field(i: int, name: str) -> torch.Tensor:
    return torch.from_numpy(DATA[f"{i}.{name}"])


class Counting:
    """An encoder that counts its passes and the rows they carry."""

    def __init__(self, encode):
        self.encode, self.forwards, self.backwards, self.rows = encode, 0, 0, []

    def __call__(self, pixels):
        self.forwards += 1
        self.rows.append(len(pixels))
        out = self.encode(pixels)
        if out.requires_grad:
            out.register_hook(lambda _: setattr(self, "backwards", self.backwards + 1))
        return out


def assert_same(got: torch.Tensor, want: torch.Tensor):
    assert not got.requires_grad
    assert ((got - want).abs() <= AGREE).float().mean() >= SAME_PIXELS


@pytest.mark.parametrize("i, case", [c for c in CASES if c[1]["kind"] == "counterattack"])
def test_counterattack(i, case):
    encode, _ = encoder.build(case["gain"])
    probe = encoder.build(case["probe_gain"])[0] if "probe_gain" in case else None
    config = TTCConfig(**{k: case[k] for k in ("eps", "step_size", "steps", "beta", "tau_threshold")})
    counted = Counting(encode)
    delta, tau = purify(counted, field(i, "images"), field(i, "noise"), config, probe=probe)
    assert_same(delta, field(i, "delta"))
    torch.testing.assert_close(tau, field(i, "tau"), atol=AGREE, rtol=0)
    torch.testing.assert_close(stability(probe or encode, field(i, "images"), field(i, "noise")), field(i, "tau"),
                               atol=AGREE, rtol=0)
    assert counted.forwards <= case["steps"] + 1 and counted.backwards <= case["steps"]
    unstable = int((tau < config.tau_threshold).sum())
    later = counted.rows if probe else counted.rows[2:]  # the first two passes are the stability probe
    assert set(later) <= {unstable}  # rows that are left alone drop out


@pytest.mark.parametrize("i, case", [c for c in CASES if c[1]["kind"] in ("pgd", "cw")])
def test_attack(i, case):
    _, classify = encoder.build(case["gain"])
    trace = list({"pgd": pgd, "cw": cw}[case["kind"]](
        classify, field(i, "images"), field(i, "labels"), start=field(i, "noise"),
        **{k: case[k] for k in ("eps", "step_size", "steps")}))
    assert len(trace) == case["steps"] + 1
    assert_same(trace[-1].delta, field(i, "delta"))


def test_all_kinds_are_held():
    assert sorted(case["kind"] for _, case in CASES) == ["counterattack"] * 5 + ["cw"] + ["pgd"] * 2
